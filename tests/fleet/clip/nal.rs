//! NAL units in a byte stream: where they begin, and which are parameter sets.

use index::model::VideoCodec;

/// The NAL units of an Annex B byte stream, without start codes and trailing zeros. Empty ones are left out.
pub(crate) fn annex_b(bytes: &[u8]) -> Vec<&[u8]> {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(3).position(|window| window == [0, 0, 1]) {
        starts.push(at + found + 3);
        at += found + 3;
    }
    let ends = starts.iter().skip(1).map(|start| start - 3).chain([bytes.len()]);
    let cut = |(start, end): (&usize, usize)| {
        let nal = &bytes[*start..end];
        let length = nal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &nal[..length]
    };
    starts.iter().zip(ends).map(cut).filter(|nal| !nal.is_empty()).collect()
}

/// Whether a NAL unit is a parameter set: H.264 SPS or PPS, H.265 VPS, SPS or PPS.
#[must_use]
pub(crate) fn is_parameter_set(codec: VideoCodec, nal: &[u8]) -> bool {
    match (codec, nal.first()) {
        (VideoCodec::H264, Some(header)) => matches!(header & 0x1f, 7 | 8),
        (VideoCodec::H265, Some(header)) => (32..=34).contains(&(header >> 1 & 0x3f)),
        (_, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_codes_of_both_lengths_are_found() {
        let nals = annex_b(&[0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 3, 0]);
        assert_eq!(nals, [&[0x67, 1][..], &[0x68, 2], &[0x65, 3]]);
        assert!(annex_b(&[1, 2, 3]).is_empty() && annex_b(&[0, 0, 1]).is_empty());
    }
}
