//! Sound and metadata: AAC in RFC 3640, G.711 as it comes, ONVIF documents in pieces.

use super::{
    rtp::Packet,
    sdp::{Map, Parameters},
};
use bytes::Bytes;
use index::model::{AudioCodec, AudioParameters};

/// The longest document of metadata; a longer one is dropped.
const DOCUMENT_MAX: usize = 1 << 20;
/// The longest AAC access unit: 13 bits of length.
const AAC_MAX: usize = 1 << 13;
/// Samples in an AAC access unit.
const AAC_SAMPLES: u32 = 1024;
/// ISO/IEC 14496-3 §1.6.3.4.
const AAC_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// Unpacks one track of sound.
#[derive(Debug)]
pub(super) enum Sound {
    /// A packet is a unit.
    Plain,
    Aac(Aac),
}

/// RFC 3640 §3.2, with the sizes that the description gives (Q111).
#[derive(Debug)]
pub(super) struct Aac {
    size_bits: u32,
    index_bits: u32,
    delta_bits: u32,
    /// A unit in fragments, and the length it will have.
    partial: Vec<u8>,
    expected: usize,
}

impl Sound {
    /// Takes a packet; hands on RTP times and units.
    pub(super) fn push(&mut self, packet: &Packet<'_>, broken: bool, mut hand_on: impl FnMut(u32, Bytes)) {
        match self {
            Self::Plain if packet.payload.is_empty() => {}
            Self::Plain => hand_on(packet.timestamp, Bytes::copy_from_slice(packet.payload)),
            Self::Aac(aac) => aac.push(packet, broken, hand_on),
        }
    }
}

impl Aac {
    pub(super) fn new(parameters: Parameters<'_>) -> Self {
        let bits = |name: &str, usual: u32| {
            parameters.get(name).and_then(|text| text.parse().ok()).filter(|n| *n <= 16).unwrap_or(usual)
        };
        Self {
            size_bits: bits("sizelength", 13).max(1),
            index_bits: bits("indexlength", 3),
            delta_bits: bits("indexdeltalength", 3),
            partial: Vec::new(),
            expected: 0,
        }
    }

    fn push(&mut self, packet: &Packet<'_>, broken: bool, mut hand_on: impl FnMut(u32, Bytes)) {
        if broken {
            self.partial.clear();
        }
        // A bare ADTS frame, without the headers of RFC 3640 (Q110).
        if packet.payload.first_chunk::<2>().is_some_and(|head| head[0] == 0xff && head[1] & 0xf6 == 0xf0) {
            return hand_on(packet.timestamp, Bytes::copy_from_slice(without_adts(packet.payload)));
        }
        let Some((length, rest)) = packet.payload.split_first_chunk::<2>() else { return };
        let header_bits = usize::from(u16::from_be_bytes(*length));
        let Some((headers, mut data)) = rest.split_at_checked(header_bits.div_ceil(8)) else { return };
        let mut bits = Bits::new(headers);
        let (mut left, mut number) = (header_bits, 0u32);
        loop {
            let index_bits = if number == 0 { self.index_bits } else { self.delta_bits };
            let needed = (self.size_bits + index_bits) as usize;
            if left < needed {
                break;
            }
            left -= needed;
            let Some(size) = bits.bits(self.size_bits).map(|size| size as usize) else { break };
            if bits.bits(index_bits).is_none() || size == 0 || size > AAC_MAX {
                break;
            }
            if size > data.len() {
                // A fragment: it is alone in its packet.
                return self.fragment(size, data, packet, hand_on);
            }
            let (unit, rest) = data.split_at(size);
            data = rest;
            self.partial.clear();
            hand_on(packet.timestamp.wrapping_add(number * AAC_SAMPLES), Bytes::copy_from_slice(without_adts(unit)));
            number += 1;
        }
    }

    fn fragment(&mut self, size: usize, data: &[u8], packet: &Packet<'_>, mut hand_on: impl FnMut(u32, Bytes)) {
        if self.expected != size {
            self.partial.clear();
        }
        self.expected = size;
        self.partial.extend_from_slice(data);
        if self.partial.len() >= size {
            self.partial.truncate(size);
            hand_on(packet.timestamp, Bytes::from(std::mem::take(&mut self.partial)));
        } else if packet.marker {
            self.partial.clear();
        }
    }
}

/// The raw unit behind an ADTS header, where there is one (Q110).
fn without_adts(unit: &[u8]) -> &[u8] {
    match unit {
        [0xff, second, ..] if second & 0xf6 == 0xf0 => unit.get(if second & 1 == 1 { 7 } else { 9 }..).unwrap_or_default(),
        _ => unit,
    }
}

/// What decodes AAC: from `config` as the description has it, or else put together from the rtpmap (Q109). The config's
/// rate is the true one (Q111).
pub(super) fn aac_parameters(map: &Map, config: Option<&str>) -> Option<AudioParameters> {
    let given = config.and_then(from_hex).and_then(|bytes| Some((read_config(&bytes)?, bytes)));
    let ((rate, channels), config) = match given {
        Some(known) => known,
        None => {
            let rate = map.rate?;
            let index = AAC_RATES.iter().position(|known| *known == rate)? as u16;
            // AAC-LC (2), the rate's index, the channels, and three bits of zero.
            let word = 2u16 << 11 | index << 7 | u16::from(map.channels) << 3;
            ((rate, map.channels), word.to_be_bytes().to_vec())
        }
    };
    Some(AudioParameters { codec: AudioCodec::Aac, sample_rate: rate, channels, config: Bytes::from(config) })
}

/// Rate and channels of an AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).
fn read_config(bytes: &[u8]) -> Option<(u32, u8)> {
    let mut bits = Bits::new(bytes);
    if bits.bits(5)? == 31 {
        bits.bits(6)?;
    }
    let rate = match bits.bits(4)? {
        15 => bits.bits(24)?,
        index => *AAC_RATES.get(index as usize)?,
    };
    let channels = bits.bits(4)? as u8;
    (1..=8).contains(&channels).then_some((rate, channels)).filter(|_| rate > 0)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let whole = !text.is_empty() && text.len().is_multiple_of(2) && text.len() <= 128 && text.is_ascii();
    let pairs = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2).unwrap_or_default(), 16).ok());
    if whole { pairs.collect() } else { None }
}

/// Reads bits from the most significant on; `None` once the end is passed.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// At most 32 of them.
    fn bits(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0u32, |value, _| {
            let bit = self.bytes.get(self.at / 8)? >> (7 - self.at % 8) & 1;
            self.at += 1;
            Some(value << 1 | u32::from(bit))
        })
    }
}

/// Puts ONVIF documents together: a marker ends one.
#[derive(Debug, Default)]
pub(super) struct Documents {
    text: Vec<u8>,
    /// What comes until the next marker is of no use.
    spoilt: bool,
}

impl Documents {
    /// Takes a packet; hands on a whole document.
    pub(super) fn push(&mut self, packet: &Packet<'_>, broken: bool) -> Option<Bytes> {
        // A piece may be missing, unless what comes now is visibly a beginning.
        let text = packet.payload.trim_ascii_start();
        let begins = text.starts_with(b"<?xml") || text.starts_with(b"<tt:MetadataStream") || text.starts_with(&[0x1f, 0x8b]);
        if broken {
            self.text.clear();
            self.spoilt = !begins;
        }
        if !self.spoilt && self.text.len() + packet.payload.len() <= DOCUMENT_MAX {
            self.text.extend_from_slice(packet.payload);
        } else {
            self.text.clear();
            self.spoilt = true;
        }
        if !packet.marker {
            return None;
        }
        let whole = std::mem::take(&mut self.text);
        (!std::mem::take(&mut self.spoilt) && !whole.is_empty()).then(|| Bytes::from(whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::native::sdp;
    use proptest::prelude::*;

    fn packet(marker: bool, payload: &[u8]) -> Packet<'_> {
        Packet { marker, payload_type: 97, sequence: 0, timestamp: 1000, ssrc: 1, payload }
    }

    fn aac(parameters: &str) -> Sound {
        let description = sdp::parse(format!("m=audio 0 RTP/AVP 97\na=fmtp:97 {parameters}\n").as_bytes());
        Sound::Aac(Aac::new(description.parameters(&description.media[0], 97)))
    }

    fn units(sound: &mut Sound, packets: &[(bool, &[u8])]) -> Vec<(u32, Vec<u8>)> {
        let mut out = Vec::new();
        for (marker, payload) in packets {
            sound.push(&packet(*marker, payload), false, |rtp, data| out.push((rtp, data.to_vec())));
        }
        out
    }

    #[test]
    fn several_aac_units_in_a_packet_get_times_of_their_own() {
        let payload = [0, 32, 0, 2 << 3, 0, 1 << 3, 0xa, 0xb, 0xc];
        assert_eq!(units(&mut aac(""), &[(true, &payload)]), [(1000, vec![0xa, 0xb]), (2024, vec![0xc])]);
    }

    #[test]
    fn an_aac_unit_in_fragments_is_put_together() {
        let first = [0, 16, 0, 3 << 3, 0xa, 0xb];
        let last = [0, 16, 0, 3 << 3, 0xc];
        assert_eq!(units(&mut aac(""), &[(false, &first), (true, &last)]), [(1000, vec![0xa, 0xb, 0xc])]);
        assert_eq!(units(&mut aac(""), &[(true, &first)]), []);
    }

    #[test]
    fn q109_q111_parameters_are_taken_from_the_config_or_made_from_the_map() {
        let map = Map { encoding: "MPEG4-GENERIC".to_owned(), rate: Some(16_000), channels: 1 };
        let made = aac_parameters(&map, None).expect("made");
        assert_eq!((made.sample_rate, &made.config[..]), (16_000, &[0x14, 0x08][..]));
        let given = aac_parameters(&map, Some("1190")).expect("given");
        assert_eq!((given.sample_rate, given.channels), (48_000, 2));
        assert!(aac_parameters(&Map { rate: Some(12_345), ..map.clone() }, Some("zz")).is_none());
    }

    #[test]
    fn q110_adts_headers_are_stripped() {
        let adts = [0xff, 0xf1, 0x60, 0x40, 0x01, 0x3f, 0xfc, 0xaa];
        assert_eq!(units(&mut aac(""), &[(true, &adts)]), [(1000, vec![0xaa])]);
        let within = [&[0, 16, 0, 8 << 3][..], &adts].concat();
        assert_eq!(units(&mut aac(""), &[(true, &within)]), [(1000, vec![0xaa])]);
    }

    #[test]
    fn q111_other_sizes_of_headers_are_read() {
        let low = [0, 8, 2 << 2, 0xa, 0xb];
        assert_eq!(units(&mut aac("sizelength=6; indexlength=2;indexdeltalength=2"), &[(true, &low)]), [(1000, vec![0xa, 0xb])]);
    }

    #[test]
    fn q113_g711_passes_as_it_comes() {
        assert_eq!(units(&mut Sound::Plain, &[(false, &[1, 2, 3]), (false, &[])]), [(1000, vec![1, 2, 3])]);
    }

    #[test]
    fn a_document_ends_with_its_marker_and_one_with_a_hole_is_dropped() {
        let mut documents = Documents::default();
        assert_eq!(documents.push(&packet(false, b"<a>"), false), None);
        assert_eq!(documents.push(&packet(true, b"</a>"), false).as_deref(), Some(&b"<a></a>"[..]));
        assert_eq!(documents.push(&packet(false, b"<b>"), false), None);
        assert_eq!(documents.push(&packet(true, b"</b>"), true), None);
        assert_eq!(documents.push(&packet(true, b"<?xml?><c/>"), true).as_deref(), Some(&b"<?xml?><c/>"[..]));
    }

    #[test]
    fn a_document_beyond_the_limit_is_dropped_and_the_next_is_not() {
        let mut documents = Documents::default();
        for _ in 0..30 {
            assert_eq!(documents.push(&packet(false, &[b'x'; 60_000]), false), None);
            assert!(documents.text.len() <= DOCUMENT_MAX);
        }
        assert_eq!(documents.push(&packet(true, b"x"), false), None);
        assert!(documents.push(&packet(true, b"<d/>"), false).is_some());
    }

    proptest! {
        #[test]
        fn arbitrary_packets_never_panic(packets in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..50)), 0..20)) {
            let mut sound = aac("");
            let mut documents = Documents::default();
            for (marker, payload) in &packets {
                sound.push(&packet(*marker, payload), *marker, |_, data| assert!(data.len() <= AAC_MAX));
                let _ = documents.push(&packet(*marker, payload), false);
            }
        }
    }
}
