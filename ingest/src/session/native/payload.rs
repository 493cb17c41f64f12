//! How one RTP payload carries NAL units: RFC 6184 (H.264) and RFC 7798 (H.265), each packet looked at by itself.

use crate::nal;
use index::model::VideoCodec;

/// How a packet carries NAL units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Carried<'a> {
    Single(&'a [u8]),
    /// NAL units behind 2-byte lengths; `gap` bytes of numbers stand before each but the first.
    Several {
        rest: &'a [u8],
        gap: usize,
    },
    /// A part of one; `header` is the first one or two bytes of the whole.
    Part {
        first: bool,
        last: bool,
        header: [u8; 2],
        rest: &'a [u8],
    },
    /// Reserved types, forbidden bits, nothing (Q98, Q105).
    Useless,
}

/// Whether a packet can be the first of a unit: what is missing before it then belongs to others.
pub(super) fn begins_unit(codec: VideoCodec, carried: &Carried<'_>) -> bool {
    match carried {
        Carried::Part { first: false, .. } | Carried::Useless => false,
        Carried::Several { .. } => true,
        _ => !continues_picture(codec, carried),
    }
}

/// Whether a packet begins a slice that is not its picture's first.
pub(super) fn continues_picture(codec: VideoCodec, carried: &Carried<'_>) -> bool {
    let (header, body) = match carried {
        Carried::Single(nal) => match (codec, nal) {
            (VideoCodec::H264, [header, body @ ..]) | (VideoCodec::H265, [header, _, body @ ..]) => (*header, body),
            _ => return false,
        },
        Carried::Part { first: true, header, rest, .. } => (header[0], *rest),
        _ => return false,
    };
    let slice = match codec {
        VideoCodec::H264 => matches!(header & 0x1f, 1 | 2 | 5),
        VideoCodec::H265 => header >> 1 & 0x3f < 32,
    };
    // first_mb_in_slice is 0, and so is written as a single 1 bit; first_slice_segment_in_pic_flag is 1.
    slice && body.first().is_some_and(|first| first & 0x80 == 0)
}

/// Whether a start code and a plausible NAL unit lie within what came as one set or message.
pub(super) fn hides_start_code(codec: VideoCodec, nal: &[u8]) -> bool {
    nal.windows(4).skip(1).any(|four| {
        let plausible = match codec {
            VideoCodec::H264 => matches!(four[3] & 0x9f, 1 | 5..=8),
            VideoCodec::H265 => matches!(four[3] >> 1, 0..=9 | 16..=21 | 32..=34 | 39 | 40),
        };
        four[..3] == [0, 0, 1] && plausible
    })
}

/// How `payload` carries what it carries. `numbered` as for [`super::picture::Pictures`].
pub(super) fn carried(codec: VideoCodec, numbered: bool, payload: &[u8]) -> Carried<'_> {
    match codec {
        VideoCodec::H264 => carried_h264(payload),
        VideoCodec::H265 => carried_h265(payload, if numbered { 2 } else { 0 }),
    }
}

/// RFC 6184 §5.2. The packetisation mode that was announced is not looked at (Q40).
fn carried_h264(payload: &[u8]) -> Carried<'_> {
    // A start code instead of a header is Annex B within the packet (Q35).
    if nal::has_start_codes(payload) {
        return Carried::Single(payload);
    }
    match payload {
        [header, ..] if header & 0x80 != 0 => Carried::Useless,
        [header, rest @ ..] if header & 0x1f == 24 => Carried::Several { rest, gap: 0 },
        [header, _, _, rest @ ..] if header & 0x1f == 25 => Carried::Several { rest, gap: 0 },
        [header, fragment, rest @ ..] if matches!(header & 0x1f, 28 | 29) => {
            let first = fragment & 0x80 != 0;
            let numbers = if first && header & 0x1f == 29 { 2 } else { 0 };
            Carried::Part {
                first,
                last: fragment & 0x40 != 0,
                header: [header & 0xe0 | fragment & 0x1f, 0],
                rest: rest.get(numbers..).unwrap_or_default(),
            }
        }
        [header, ..] if (1..=23).contains(&(header & 0x1f)) => Carried::Single(payload),
        _ => Carried::Useless,
    }
}

/// RFC 7798 §4.4, with `numbers` bytes of decoding order number where they may stand.
fn carried_h265(payload: &[u8], numbers: usize) -> Carried<'_> {
    if nal::has_start_codes(payload) {
        return Carried::Single(payload);
    }
    let [header, second, rest @ ..] = payload else { return Carried::Useless };
    match header >> 1 {
        _ if header & 0x80 != 0 => Carried::Useless,
        48 => Carried::Several { rest: rest.get(numbers..).unwrap_or_default(), gap: numbers / 2 },
        49 => {
            let [fragment, rest @ ..] = rest else { return Carried::Useless };
            let first = fragment & 0x80 != 0;
            Carried::Part {
                first,
                last: fragment & 0x40 != 0,
                header: [header & 0x81 | (fragment & 0x3f) << 1, *second],
                rest: rest.get(if first { numbers } else { 0 }..).unwrap_or_default(),
            }
        }
        0..48 if numbers == 0 => Carried::Single(payload),
        // The number stands between header and body, so the NAL unit is not in one piece: it is carried as a part that is whole.
        0..48 => {
            Carried::Part { first: true, last: true, header: [*header, *second], rest: rest.get(numbers..).unwrap_or_default() }
        }
        _ => Carried::Useless,
    }
}
