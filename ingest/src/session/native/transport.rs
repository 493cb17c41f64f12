//! What a camera answers to SETUP: where packets travel, and which session they belong to. Advice, mostly: of all that
//! cameras write here, only channel and port numbers can be relied on (Q41 to Q49).

use std::time::Duration;

/// How long a session lives that does not say (RFC 2326 §12.37).
const TIMEOUT_USUAL: Duration = Duration::from_secs(60);
/// Bounds on what a camera may say.
const TIMEOUT_RANGE: (u64, u64) = (5, 3600);

/// A Transport header, as far as it matters.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct TransportAnswer {
    /// The interleaved channels of packets and reports; a single number means that number and the next.
    pub(super) channels: Option<(u8, u8)>,
    /// The camera's UDP ports for packets and reports.
    pub(super) server_ports: Option<(u16, u16)>,
}

/// Reads the first transport of the header; what cannot be read is left out. The SSRC and the source are not even looked
/// at: both are wrong too often (Q43, Q49).
pub(super) fn parse(header: &str) -> TransportAnswer {
    let mut answer = TransportAnswer::default();
    for part in header.split(',').next().unwrap_or_default().split(';') {
        let Some((name, value)) = part.split_once('=') else { continue };
        match name.trim().to_ascii_lowercase().as_str() {
            "interleaved" => {
                answer.channels = pair(value).and_then(|(a, b)| Some((u8::try_from(a).ok()?, u8::try_from(b).ok()?)));
            }
            "server_port" => answer.server_ports = pair(value).filter(|(a, b)| *a != 0 && *b != 0),
            _ => {}
        }
    }
    answer
}

/// `4-5`, ` 4 - 5`, or `4` alone.
fn pair(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split('-').map(|number| number.trim().trim_matches('"').parse::<u16>());
    let first = numbers.next()?.ok()?;
    Some((first, numbers.next().and_then(Result::ok).unwrap_or(first.saturating_add(1))))
}

/// The session's name and how long it lives without a sign of life (Q42: written in every way).
pub(super) fn session(header: &str) -> Option<(String, Duration)> {
    let mut parts = header.split(';');
    let name = parts.next().map(str::trim).filter(|name| !name.is_empty())?;
    let seconds = parts
        .filter_map(|part| part.split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case("timeout"))
        .and_then(|(_, value)| value.trim().parse::<u64>().ok());
    let timeout = seconds.map_or(TIMEOUT_USUAL, |s| Duration::from_secs(s.clamp(TIMEOUT_RANGE.0, TIMEOUT_RANGE.1)));
    Some((name.to_owned(), timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, channels: Option<(u8, u8)>, ports: Option<(u16, u16)>) {
        assert_eq!(parse(header), TransportAnswer { channels, server_ports: ports }, "{header}");
    }

    #[test]
    fn q42_a_session_is_read_however_it_is_written() {
        for text in ["9;timeout=20", "9;timeout=20;", " 9 ; timeout = 20", "9;foo=1;Timeout=20"] {
            assert_eq!(session(text), Some(("9".to_owned(), Duration::from_secs(20))), "{text}");
        }
        assert_eq!(session("9"), Some(("9".to_owned(), Duration::from_secs(60))));
        assert_eq!(session("9;timeout=0").map(|(_, t)| t), Some(Duration::from_secs(5)));
        assert_eq!(session(" ;timeout=3"), None);
    }

    #[test]
    fn q43_a_wrong_ssrc_is_no_matter() {
        check("RTP/AVP/TCP;ssrc= zz;unicast;interleaved=0-1", Some((0, 1)), None);
    }

    #[test]
    fn q44_spaces_and_capitals_are_no_matter() {
        check("RTP/AVP/TCP; unicast; Interleaved = 2 - 3 ", Some((2, 3)), None);
    }

    #[test]
    fn q45_q46_channels_may_be_absent_single_or_odd() {
        check("RTP/AVP;unicast", None, None);
        check("RTP/AVP;interleaved=5", Some((5, 6)), None);
        check("RTP/AVP/TCP;interleaved=300-301", None, None);
    }

    #[test]
    fn q47_q49_a_udp_answer_may_lack_ports_and_name_any_source() {
        check("RTP/AVP;unicast;client_port=5000-5001", None, None);
        check("RTP/AVP;client_port=1-2;server_port=6970-6971;source=camera.local", None, Some((6970, 6971)));
        check("RTP/AVP;server_port=0-0", None, None);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_headers_are_read_without_a_panic(text in ".{0,80}") {
            let _ = (parse(&text), session(&text));
        }
    }
}
