//! Digest authentication, the server's side (RFC 2617 for MD5, RFC 7616 for SHA-256).

use crate::{
    rtsp::{Reply, Request},
    spec::{Auth, DigestAlgorithm},
};
use sha2::Digest;

const REALM: &str = "Haohe camera";

/// One connection's challenge.
#[derive(Clone, Debug)]
pub(crate) struct Challenge {
    nonce: String,
}

impl Challenge {
    /// A challenge with a nonce of 64 random bits.
    #[must_use]
    pub(crate) fn new(random: u64) -> Self {
        Self { nonce: format!("{random:016x}") }
    }

    /// Adds what a client must answer to a 401 reply.
    #[must_use]
    pub(crate) fn ask(&self, auth: &Auth, reply: Reply) -> Reply {
        let Auth::Digest { algorithm, .. } = auth else { return reply };
        // MD5 as old cameras do it, without qop; SHA-256 as RFC 7616 wants it.
        let rest = match algorithm {
            DigestAlgorithm::Md5 => "",
            DigestAlgorithm::Sha256 => ", algorithm=SHA-256, qop=\"auth\"",
        };
        reply.with("WWW-Authenticate", format!("Digest realm=\"{REALM}\", nonce=\"{}\"{rest}", self.nonce))
    }

    /// Whether what a request proves is about the very address in its first line.
    #[must_use]
    pub(crate) fn is_exact(request: &Request) -> bool {
        let given = request.header("Authorization").and_then(|value| value.strip_prefix("Digest "));
        given.is_none_or(|given| fields(given).any(|(name, value)| name.eq_ignore_ascii_case("uri") && value == request.uri))
    }

    /// Whether a request proves that its sender knows the password.
    #[must_use]
    pub(crate) fn admits(&self, auth: &Auth, request: &Request) -> bool {
        let Auth::Digest { user, password, algorithm } = auth else { return true };
        let Some(given) = request.header("Authorization").and_then(|value| value.strip_prefix("Digest ")) else { return false };
        let field = |name: &str| fields(given).find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value);
        let hash = |text: String| match algorithm {
            DigestAlgorithm::Md5 => hex(&md5::Md5::digest(text)),
            DigestAlgorithm::Sha256 => hex(&sha2::Sha256::digest(text)),
        };
        let (Some(uri), Some(response)) = (field("uri"), field("response")) else { return false };
        let secret = hash(format!("{user}:{REALM}:{password}"));
        let act = hash(format!("{}:{uri}", request.method));
        let middle = match (field("qop"), field("nc"), field("cnonce")) {
            (Some(qop), Some(count), Some(client)) => format!("{count}:{client}:{qop}:"),
            _ => String::new(),
        };
        let expected = hash(format!("{secret}:{}:{middle}{act}", self.nonce));
        field("username") == Some(user) && field("nonce") == Some(&self.nonce) && response.eq_ignore_ascii_case(&expected)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `name="value"` or `name=value`, separated by commas; commas may stand within quotes.
fn fields(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (name, tail) = rest.trim_start_matches([' ', ',']).split_once('=')?;
        let (value, tail) = match tail.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => tail.split_once(',').unwrap_or((tail, "")),
        };
        rest = tail;
        Some((name.trim(), value.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtsp::{Input, parse};

    #[test]
    fn only_the_right_answer_to_this_challenge_is_admitted() {
        let auth = Auth::Digest { user: "viewer".into(), password: "secret".into(), algorithm: DigestAlgorithm::Md5 };
        let challenge = Challenge::new(1);
        let secret = hex(&md5::Md5::digest("viewer:Haohe camera:secret"));
        let act = hex(&md5::Md5::digest("DESCRIBE:rtsp://h/cam/1/main?a=1,2"));
        let good = hex(&md5::Md5::digest(format!("{secret}:0000000000000001:{act}")));
        let request = |response: &str, nonce: &str| {
            let text = format!(
                "DESCRIBE rtsp://h/ RTSP/1.0\r\nAuthorization: Digest username=\"viewer\", realm=\"Haohe camera\", \
                 nonce=\"{nonce}\", uri=\"rtsp://h/cam/1/main?a=1,2\", response=\"{response}\"\r\n\r\n"
            );
            match parse(text.as_bytes()) {
                Ok(Some((_, Input::Request(request)))) => request,
                other => panic!("{other:?}"),
            }
        };
        assert!(challenge.admits(&auth, &request(&good, "0000000000000001")));
        assert!(!challenge.admits(&auth, &request(&good, "0000000000000002")));
        assert!(!challenge.admits(&auth, &request("", "0000000000000001")));
    }
}
