//! NAL units: which of them is a slice or a parameter set, and the two ways in which they are strung together.

use bytes::{BufMut, Bytes, BytesMut};
use index::model::VideoCodec;

/// What a NAL unit is, as far as recording cares.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum NalKind {
    /// H.265 video parameter set.
    Vps,
    /// Sequence parameter set.
    Sps,
    /// Picture parameter set.
    Pps,
    /// Coded picture data.
    Slice,
    /// SEI, delimiters, filler.
    Other,
}

/// Tells a NAL unit by its header (H.264 §7.4.1, H.265 §7.4.2.2).
pub(crate) fn kind(codec: VideoCodec, nal: &[u8]) -> NalKind {
    let Some(&header) = nal.first() else { return NalKind::Other };
    match codec {
        VideoCodec::H264 => match header & 0x1f {
            1..=5 => NalKind::Slice,
            7 => NalKind::Sps,
            8 => NalKind::Pps,
            _ => NalKind::Other,
        },
        VideoCodec::H265 => match header >> 1 & 0x3f {
            0..=31 => NalKind::Slice,
            32 => NalKind::Vps,
            33 => NalKind::Sps,
            34 => NalKind::Pps,
            _ => NalKind::Other,
        },
    }
}

/// Whether decoding can start at a unit (NAL units behind 4-byte lengths): its first slice says so.
pub(crate) fn is_key(codec: VideoCodec, data: &[u8]) -> bool {
    with_lengths(data).find(|nal| kind(codec, nal) == NalKind::Slice).is_some_and(|nal| codec.starts_decoding(nal))
}

/// The NAL units behind 4-byte lengths. Stops at the first length that does not fit.
pub(crate) fn with_lengths(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let (length, tail) = rest.split_first_chunk::<4>()?;
        let (nal, tail) = tail.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        rest = tail;
        Some(nal)
    })
}

/// The NAL units between start codes (H.264 Annex B). Empty ones are left out.
pub(crate) fn with_start_codes(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = start_code(data).map(|(_, after)| &data[after..]);
    std::iter::from_fn(move || {
        loop {
            let here = rest?;
            let nal = match start_code(here) {
                Some((end, after)) => {
                    rest = Some(&here[after..]);
                    &here[..end]
                }
                None => {
                    rest = None;
                    here
                }
            };
            if !nal.is_empty() {
                return Some(nal);
            }
        }
    })
}

/// Where the next start code begins, its zero byte included, and where it ends.
fn start_code(data: &[u8]) -> Option<(usize, usize)> {
    let at = data.windows(3).position(|three| three == [0, 0, 1])?;
    // A NAL unit does not end in a zero byte (§7.4.1): what stands before the code belongs to it.
    let begins = data[..at].iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    Some((begins, at + 3))
}

/// Whether bytes begin with a start code rather than a length.
pub(crate) fn has_start_codes(data: &[u8]) -> bool {
    data.starts_with(&[0, 0, 1]) || data.starts_with(&[0, 0, 0, 1])
}

/// Strings NAL units together behind 4-byte lengths.
pub(crate) fn join<'a>(nals: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
    let length = nals.clone().map(|nal| nal.len() + 4).sum();
    let mut joined = BytesMut::with_capacity(length);
    for nal in nals {
        joined.put_u32(u32::try_from(nal.len()).unwrap_or(u32::MAX));
        joined.put_slice(nal);
    }
    joined.freeze()
}

/// The same with start codes, for decoders that want them.
#[cfg(test)]
pub(crate) fn annex_b<'a>(nals: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    nals.flat_map(|nal| [&[0, 0, 0, 1], nal].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_unit_is_key_by_its_first_slice() {
        let check = |codec, nals: &[&[u8]], key| assert_eq!(is_key(codec, &join(nals.iter().copied())), key, "{nals:?}");
        check(VideoCodec::H264, &[&[0x06, 5], &[0x65, 1]], true);
        check(VideoCodec::H264, &[&[0x06, 5], &[0x41, 1]], false);
        check(VideoCodec::H264, &[&[0x06, 5]], false);
        check(VideoCodec::H265, &[&[39 << 1, 1], &[21 << 1, 1]], true);
        check(VideoCodec::H265, &[&[39 << 1, 1], &[1 << 1, 1]], false);
    }

    #[test]
    fn start_codes_of_both_lengths_and_trailing_zeros_separate_nal_units() {
        let data = [0, 0, 0, 1, 0x67, 7, 0, 0, 1, 0x68, 8, 0, 0, 0, 0, 1, 0x65, 5, 0];
        let nals: Vec<&[u8]> = with_start_codes(&data).collect();
        assert_eq!(nals, [&[0x67, 7][..], &[0x68, 8], &[0x65, 5, 0]]);
        assert_eq!(with_start_codes(&[1, 2, 3]).count(), 0);
        assert_eq!(with_start_codes(&[]).count(), 0);
    }

    proptest! {
        #[test]
        fn nal_units_survive_the_trip_through_both_forms(nals in prop::collection::vec(prop::collection::vec(1_u8..=255, 1..40), 0..6)) {
            let given: Vec<&[u8]> = nals.iter().map(Vec::as_slice).collect();
            let annex_b = annex_b(given.iter().copied());
            prop_assert_eq!(with_start_codes(&annex_b).collect::<Vec<_>>(), given.clone());
            let joined = join(with_start_codes(&annex_b).collect::<Vec<_>>().into_iter());
            prop_assert_eq!(with_lengths(&joined).collect::<Vec<_>>(), given);
        }

        #[test]
        fn no_bytes_make_splitting_fail(data in prop::collection::vec(0_u8..3, 0..200)) {
            let _ = with_start_codes(&data).map(<[u8]>::len).sum::<usize>();
            let _ = with_lengths(&data).map(<[u8]>::len).sum::<usize>();
        }
    }
}
