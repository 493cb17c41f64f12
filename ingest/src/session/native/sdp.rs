//! The session description (RFC 8866), of which a recorder needs little: which tracks there are, how they are coded, and
//! what to call them in SETUP.
//!
//! Everything else is not parsed and so cannot be wrong: origin, connection, times and names are the lines that cameras get
//! wrong most (Q24 to Q28).

use std::collections::BTreeMap;

/// Tracks beyond this number are not looked at.
const MEDIA_MAX: usize = 32;
/// Attributes of one kind in one track, likewise.
const ATTRIBUTES_MAX: usize = 32;

/// What the camera offers.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Description {
    /// The control attribute of the whole presentation.
    pub(super) control: Option<String>,
    pub(super) media: Vec<Media>,
}

/// One track on offer.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Media {
    /// `video`, `audio`, `application`, or what the camera invented; lower case.
    pub(super) kind: String,
    /// Payload types, preferred first.
    pub(super) formats: Vec<u8>,
    pub(super) control: Option<String>,
    /// The camera wants to receive here, not send (Q39).
    pub(super) backchannel: bool,
    maps: BTreeMap<u8, Map>,
    parameters: BTreeMap<u8, String>,
}

/// An rtpmap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Map {
    /// The encoding's name, upper case.
    pub(super) encoding: String,
    /// Ticks a second; `None` if it says nonsense (Q38).
    pub(super) rate: Option<u32>,
    pub(super) channels: u8,
}

/// Reads a description. Never fails: what cannot be read is not offered.
pub(super) fn parse(body: &[u8]) -> Description {
    let text = String::from_utf8_lossy(body);
    let mut description = Description::default();
    for line in text.split(['\n', '\r']).map(str::trim) {
        let Some((key, value)) = line.split_once('=') else { continue };
        let full = description.media.len() >= MEDIA_MAX;
        match (key, description.media.last_mut()) {
            ("m", _) if full => break,
            ("m", _) => description.media.push(Media::new(value)),
            ("a", Some(media)) => media.attribute(value),
            ("a", None) => {
                if let Some(control) = value.strip_prefix("control:") {
                    description.control = Some(control.trim().to_owned());
                }
            }
            _ => {}
        }
    }
    description
}

impl Media {
    /// `video 0 RTP/AVP 96 97`
    fn new(line: &str) -> Self {
        let mut words = line.split_ascii_whitespace();
        let kind = words.next().unwrap_or_default().to_ascii_lowercase();
        let formats = words.skip(2).filter_map(|word| word.parse().ok()).filter(|format| *format < 128).take(16);
        Self { kind, formats: formats.collect(), ..Self::default() }
    }

    fn attribute(&mut self, text: &str) {
        let (name, value) = text.split_once(':').map_or((text, ""), |(name, value)| (name, value.trim()));
        match name.trim().to_ascii_lowercase().as_str() {
            "control" => self.control = Some(value.to_owned()),
            "sendonly" => self.backchannel = true,
            "rtpmap" if self.maps.len() < ATTRIBUTES_MAX => self.maps.extend(numbered(value).and_then(map)),
            "fmtp" if self.parameters.len() < ATTRIBUTES_MAX => {
                let line = numbered(value).filter(|(_, rest)| !rest.is_empty());
                self.parameters.extend(line.map(|(format, rest)| (format, rest.to_owned())));
            }
            _ => {}
        }
    }

    /// What a payload type means, if this track says.
    pub(super) fn map(&self, format: u8) -> Option<&Map> {
        self.maps.get(&format)
    }
}

impl Description {
    /// The parameters of a payload type: from its own track, or from wherever the camera put them (Q32).
    pub(super) fn parameters<'a>(&'a self, media: &'a Media, format: u8) -> Parameters<'a> {
        let elsewhere = || self.media.iter().find_map(|other| other.parameters.get(&format));
        Parameters(media.parameters.get(&format).or_else(elsewhere).map_or("", String::as_str))
    }
}

/// An fmtp line: `packetization-mode=1;sprop-parameter-sets=Z0,aM4=`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters<'a>(&'a str);

impl<'a> Parameters<'a> {
    /// The value under a name, trimmed. Base64 values keep their `=`.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self.0.split(';').filter_map(|part| part.split_once('='));
        pairs.find(|(known, _)| known.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().trim_matches('"'))
    }
}

/// `96 H264/90000` or `96 packetization-mode=1`: the number, and the rest.
fn numbered(text: &str) -> Option<(u8, &str)> {
    let (number, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    Some((number.trim().parse().ok()?, rest.trim()))
}

fn map((format, text): (u8, &str)) -> Option<(u8, Map)> {
    let mut parts = text.split('/').map(str::trim);
    let encoding = parts.next().filter(|name| !name.is_empty())?.to_ascii_uppercase();
    let rate = parts.next().and_then(|rate| rate.parse().ok()).filter(|rate| (1_000..=1_000_000).contains(rate));
    let channels = parts.next().and_then(|channels| channels.parse().ok()).filter(|count| (1..=8).contains(count)).unwrap_or(1);
    Some((format, Map { encoding, rate, channels }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIDEO: &str =
        "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 sprop-parameter-sets=Z0IAHg==,aM4=\r\na=control:track1\r\n";

    #[track_caller]
    fn offers_video(text: &str) -> Media {
        let description = parse(text.as_bytes());
        let media = description.media.iter().find(|media| media.kind == "video").expect("a video track").clone();
        assert_eq!(media.map(96).map(|map| (map.encoding.as_str(), map.rate)), Some(("H264", Some(90_000))), "{text}");
        assert_eq!(description.parameters(&media, 96).get("sprop-parameter-sets"), Some("Z0IAHg==,aM4="), "{text}");
        assert_eq!(media.control.as_deref(), Some("track1"));
        media
    }

    #[test]
    fn q24_to_q28_broken_lines_about_the_session_do_not_matter() {
        for head in [
            "v=0\r\no=- 1001 1 IN\r\nc=IN\r\ns=-\r\n",
            "v=0\r\ns=-\r\no=- 1 1 IN IP4 0.0.0.0\r\n",
            "v=0\r\no=- 12.5 -3 IN IPV4 x\r\no=- 99999999999999999999999 1 IN IP4 h\r\n",
            "o=- 1 1 IN IP4 h\r\n",
            "v=0\r\n",
            "",
        ] {
            offers_video(&format!("{head}{VIDEO}s=again\r\ni=again\r\n"));
        }
        offers_video(&VIDEO.replace("\r\n", "\n"));
    }

    #[test]
    fn q29_unknown_kinds_of_track_stand_beside_the_others() {
        let description = parse(format!("m=application/TP-LINK 0 RTP/AVP smart/1/90000\r\n{VIDEO}m=meta 0 x\r\n").as_bytes());
        assert_eq!(description.media.len(), 3);
        assert!(description.media[0].formats.is_empty());
    }

    #[test]
    fn q30_q31_spaces_behind_maps_and_empty_parameters_are_no_matter() {
        let media = offers_video(&VIDEO.replace("90000", "90000 ").replace("a=control", "a=fmtp:97\r\na=control"));
        assert!(!media.parameters.contains_key(&97));
    }

    #[test]
    fn q32_parameters_on_the_wrong_track_are_found() {
        let text = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\nm=audio 0 RTP/AVP 8\na=fmtp:96 sprop-parameter-sets=AAA\n";
        let description = parse(text.as_bytes());
        assert_eq!(description.parameters(&description.media[0], 96).get("sprop-parameter-sets"), Some("AAA"));
    }

    #[test]
    fn q38_a_bogus_clock_rate_is_unknown() {
        let description = parse(b"m=video 0 RTP/AVP 96\na=rtpmap:96 H264/0\n");
        assert_eq!(description.media[0].map(96).and_then(|map| map.rate), None);
    }

    #[test]
    fn q39_a_backchannel_is_known_as_one() {
        let description = parse(b"m=audio 0 RTP/AVP 0\na=sendonly\nm=audio 0 RTP/AVP 8\na=recvonly\n");
        assert_eq!(description.media.iter().map(|media| media.backchannel).collect::<Vec<_>>(), [true, false]);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

        #[test]
        fn arbitrary_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            proptest::prop_assert!(parse(&bytes).media.len() <= MEDIA_MAX);
        }

        #[test]
        fn arbitrary_lines_are_read_without_a_panic(text in "([mac]=(rtpmap:|fmtp:|control:)?[0-9a-zA-Z /;=]{0,30}\r?\n){0,60}") {
            proptest::prop_assert!(parse(text.as_bytes()).media.len() <= MEDIA_MAX);
        }
    }
}
