//! Proving to cameras who we are, over RTSP and HTTP alike: Digest (RFC 2617, RFC 7616) and Basic (RFC 7617), as far as cameras know them.
//!
//! Of several challenges the strongest is answered (Q13). A challenge may change at any request (Q15); whether another
//! try is worth the risk of a locked account (Q19) is decided here, too: a password that was never accepted in this
//! session is not offered twice, unless the camera says itself that only its nonce was stale.

use base64::{Engine, engine::general_purpose::STANDARD};
use index::model::Credentials;
use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};
use std::fmt::Write;

/// Challenges beyond this number in one answer are not looked at.
const CHALLENGES_MAX: usize = 16;

/// What the camera asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Challenge {
    scheme: Scheme,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    stale: bool,
    /// The algorithm as the camera writes it: it is sent back unchanged.
    algorithm: Option<String>,
    session: bool,
    qop: bool,
}

/// Weakest first. An algorithm that nobody knows is most likely MD5 with a misspelt name (Q14).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Scheme {
    Basic,
    Unknown,
    Md5,
    Sha256,
    Sha512,
}

/// What to do about a 401.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Send the same request again: it will carry an answer to the challenge.
    Retry,
    /// The password is missing or wrong; asking again may lock the account.
    Refused,
}

/// The state of our authentication towards one camera.
#[derive(Debug)]
pub(crate) struct Authentication {
    credentials: Option<Credentials>,
    challenge: Option<Challenge>,
    /// Random, from the shell.
    cnonce: String,
    /// Requests made with the present nonce.
    count: u32,
    /// The camera has accepted the password in this session.
    accepted: bool,
    /// 401s in a row to the present request.
    refusals: u32,
}

impl Authentication {
    /// `cnonce`: random text without quotes.
    pub(crate) fn new(credentials: Option<Credentials>, cnonce: String) -> Self {
        Self { credentials, challenge: None, cnonce, count: 0, accepted: false, refusals: 0 }
    }

    /// The camera answered a request with something other than 401.
    pub(crate) fn accept(&mut self) {
        self.accepted |= self.challenge.is_some();
        self.refusals = 0;
    }

    /// The camera answered 401, with these values of `WWW-Authenticate`.
    pub(crate) fn challenged<'a>(&mut self, values: impl Iterator<Item = &'a str>) -> Verdict {
        let strongest = values.flat_map(challenges).take(CHALLENGES_MAX).max_by_key(|c| c.scheme);
        let (Some(challenge), Some(_)) = (strongest, &self.credentials) else { return Verdict::Refused };
        self.refusals += 1;
        let answered = self.challenge.as_ref();
        let nonce_changed = answered.is_none_or(|old| old.nonce != challenge.nonce);
        let verdict = match (answered, self.refusals) {
            (None, 1) => Verdict::Retry,
            (Some(_), 1) if challenge.stale || (self.accepted && nonce_changed) => Verdict::Retry,
            (Some(_), 2) if challenge.stale && nonce_changed => Verdict::Retry,
            _ => Verdict::Refused,
        };
        self.challenge = Some(challenge);
        self.count = 0;
        verdict
    }

    /// The value of the Authorization header for a request; `uri` exactly as it stands in the request line (Q20). `None`
    /// as long as the camera asked for nothing.
    pub(crate) fn authorise(&mut self, method: &str, uri: &str) -> Option<String> {
        let (Some(credentials), Some(challenge)) = (&self.credentials, &self.challenge) else { return None };
        let (user, password) = (credentials.user.as_str(), credentials.password.expose());
        if challenge.scheme == Scheme::Basic {
            return Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
        }
        self.count += 1;
        let hash = |text: String| challenge.scheme.hash(&text);
        let (nonce, cnonce, count) = (&challenge.nonce, &self.cnonce, format!("{:08x}", self.count));
        let mut secret = hash(format!("{user}:{}:{password}", challenge.realm));
        if challenge.session {
            secret = hash(format!("{secret}:{nonce}:{cnonce}"));
        }
        let request = hash(format!("{method}:{uri}"));
        let response = if challenge.qop {
            hash(format!("{secret}:{nonce}:{count}:{cnonce}:auth:{request}"))
        } else {
            hash(format!("{secret}:{nonce}:{request}"))
        };
        let mut text = format!(
            "Digest username={}, realm={}, nonce={}, uri=\"{uri}\", response=\"{response}\"",
            quoted(user),
            quoted(&challenge.realm),
            quoted(nonce)
        );
        if let Some(algorithm) = &challenge.algorithm {
            let _ = write!(text, ", algorithm={algorithm}");
        }
        if let Some(opaque) = &challenge.opaque {
            let _ = write!(text, ", opaque={}", quoted(opaque));
        }
        if challenge.qop {
            let _ = write!(text, ", qop=auth, nc={count}");
        }
        if challenge.qop || challenge.session {
            let _ = write!(text, ", cnonce=\"{cnonce}\"");
        }
        Some(text)
    }
}

impl Scheme {
    fn hash(self, text: &str) -> String {
        match self {
            Self::Sha256 => hex(&Sha256::digest(text)),
            Self::Sha512 => hex(&Sha512_256::digest(text)),
            Self::Basic | Self::Unknown | Self::Md5 => hex(&Md5::digest(text)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A quoted string; line breaks cannot be in it, for header values have none.
fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", escaped.replace(['\r', '\n'], ""))
}

/// The challenges in one header: `Digest realm="a", nonce="b", Basic realm="c"`.
fn challenges(header: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = header;
    while found.len() < CHALLENGES_MAX {
        rest = rest.trim_start_matches([' ', '\t', ',', ';']);
        let end = rest.find(['=', ' ', '\t', ',']).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        if word.is_empty() && tail.is_empty() {
            break;
        }
        match tail.trim_start().strip_prefix('=') {
            Some(value) => {
                let (value, tail) = value_of(value.trim_start());
                rest = tail;
                if let Some((_, parameters)) = found.last_mut() {
                    parameters.push((word.to_ascii_lowercase(), value));
                }
            }
            None => {
                rest = tail;
                found.push((word.to_ascii_lowercase(), Vec::new()));
            }
        }
    }
    found.into_iter().filter_map(|(scheme, parameters)| challenge(&scheme, &parameters)).collect()
}

/// A token or a quoted string, and what follows it. A quote that is never closed ends with the text.
fn value_of(text: &str) -> (String, &str) {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = inner.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &inner[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
            _ => value.push(letter),
        }
    }
    (value, "")
}

fn challenge(scheme: &str, parameters: &[(String, String)]) -> Option<Challenge> {
    let get = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let algorithm = get("algorithm").filter(|text| text.bytes().all(|b| b.is_ascii_graphic() && b != b'"'));
    let named = algorithm.as_deref().unwrap_or("MD5").trim().to_ascii_uppercase();
    let (name, session) = named.strip_suffix("-SESS").map_or((named.as_str(), false), |name| (name, true));
    let scheme = match (scheme, name) {
        ("basic", _) => Scheme::Basic,
        ("digest", "MD5" | "") => Scheme::Md5,
        ("digest", "SHA-256" | "SHA256") => Scheme::Sha256,
        ("digest", "SHA-512-256") => Scheme::Sha512,
        ("digest", _) => Scheme::Unknown,
        _ => return None,
    };
    let qop = get("qop").is_some_and(|list| list.split([',', ' ']).any(|word| word.trim().eq_ignore_ascii_case("auth")));
    let stale = get("stale").is_some_and(|word| word.eq_ignore_ascii_case("true"));
    let (realm, nonce) = (get("realm").unwrap_or_default(), get("nonce").unwrap_or_default());
    Some(Challenge { scheme, realm, nonce, opaque: get("opaque"), stale, algorithm, session, qop })
}

#[cfg(test)]
mod tests {
    use super::*;
    use index::model::Secret;

    fn authentication(user: &str, password: &str, cnonce: &str) -> Authentication {
        let credentials = Credentials { user: user.to_owned(), password: Secret::new(password) };
        Authentication::new(Some(credentials), cnonce.to_owned())
    }

    #[test]
    fn the_examples_of_rfc_2617_and_rfc_7616_come_out() {
        let mut old = authentication("Mufasa", "Circle Of Life", "0a4f113b");
        let challenge = r#"Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
        assert_eq!(old.challenged([challenge].into_iter()), Verdict::Retry);
        let answer = old.authorise("GET", "/dir/index.html").expect("an answer");
        assert!(answer.contains(r#"response="6629fae49393a05397450978507c4ef1""#), "{answer}");
        assert!(answer.contains("nc=00000001") && answer.contains("opaque="));

        let mut new = authentication("Mufasa", "Circle of Life", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ");
        let challenge = r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;
        new.challenged([challenge].into_iter());
        let answer = new.authorise("GET", "/dir/index.html").expect("an answer");
        assert!(answer.contains(r#"response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1""#), "{answer}");
    }

    #[test]
    fn q13_the_strongest_challenge_is_answered() {
        let mut both = authentication("a", "b", "c");
        both.challenged([r#"Basic realm="x""#, r#"Digest realm="x", nonce="1", algorithm=MD5"#].into_iter());
        assert!(both.authorise("OPTIONS", "rtsp://h/").is_some_and(|text| text.starts_with("Digest ")));
        let mut one_line = authentication("a", "b", "c");
        let line = r#"Digest realm="x", nonce="1", Digest realm="x", nonce="2", algorithm="SHA-256", Basic realm="x""#;
        one_line.challenged([line].into_iter());
        assert!(one_line.authorise("OPTIONS", "rtsp://h/").is_some_and(|text| text.contains("nonce=\"2\"")));
        let mut basic = authentication("a", "b", "c");
        basic.challenged(["Basic realm=x"].into_iter());
        assert_eq!(basic.authorise("OPTIONS", "rtsp://h/").as_deref(), Some("Basic YTpi"));
    }

    #[test]
    fn q14_sha_256_is_known_and_an_odd_algorithm_is_taken_for_md5() {
        let mut odd = authentication("a", "b", "c");
        odd.challenged([r#"Digest realm="x", nonce="1", algorithm="MD-5""#].into_iter());
        let answer = odd.authorise("PLAY", "rtsp://h/").expect("an answer");
        let response = hex(&Md5::digest(format!("{}:1:{}", hex(&Md5::digest("a:x:b")), hex(&Md5::digest("PLAY:rtsp://h/")))));
        assert!(answer.contains(&response) && answer.contains("algorithm=MD-5"), "{answer}");
    }

    #[test]
    fn q15_a_stale_nonce_is_answered_once_at_any_request() {
        let mut auth = authentication("a", "b", "c");
        let nonce = |n: u32, stale: &str| format!(r#"Digest realm="x", nonce="{n}"{stale}"#);
        assert_eq!(auth.challenged([nonce(1, "").as_str()].into_iter()), Verdict::Retry);
        auth.accept();
        assert_eq!(auth.challenged([nonce(2, ", stale=true").as_str()].into_iter()), Verdict::Retry);
        assert!(auth.authorise("SETUP", "u").is_some_and(|text| text.contains("nonce=\"2\"")));
        auth.accept();
        assert_eq!(auth.challenged([nonce(3, "").as_str()].into_iter()), Verdict::Retry, "a new nonce without the word stale");
        assert_eq!(auth.challenged([nonce(4, "").as_str()].into_iter()), Verdict::Refused);
    }

    #[test]
    fn q19_a_wrong_password_is_offered_once() {
        let mut auth = authentication("a", "b", "c");
        assert_eq!(auth.challenged([r#"Digest realm="x", nonce="1""#].into_iter()), Verdict::Retry);
        assert_eq!(auth.challenged([r#"Digest realm="x", nonce="2""#].into_iter()), Verdict::Refused);
        let mut none = Authentication::new(None, String::new());
        assert_eq!(none.challenged([r#"Basic realm="x""#].into_iter()), Verdict::Refused);
    }

    #[test]
    fn q20_the_uri_is_hashed_exactly_as_sent() {
        let mut auth = authentication("a", "b", "c");
        auth.challenged([r#"Digest realm="x", nonce="1""#].into_iter());
        let uri = "rtsp://192.0.2.1/cam/realmonitor?channel=1&subtype=0";
        let answer = auth.authorise("DESCRIBE", uri).expect("an answer");
        assert!(answer.contains(&format!("uri=\"{uri}\"")));
        let expected = format!("{}:1:{}", hex(&Md5::digest("a:x:b")), hex(&Md5::digest(format!("DESCRIBE:{uri}"))));
        assert!(answer.contains(&hex(&Md5::digest(expected))));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_challenges_end(text in "[ -~]{0,200}") {
            proptest::prop_assert!(challenges(&text).len() <= CHALLENGES_MAX);
        }
    }
}
