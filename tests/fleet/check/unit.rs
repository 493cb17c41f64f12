//! One access unit against its own stamp.

use crate::stamp::{Stamp, StampError, checksum, is_slice};
use index::model::VideoCodec;
use serde::{Deserialize, Serialize};

/// What one access unit turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It carries a stamp, and this is what became of the rest.
    Stamped(Stamp, Condition),
    /// It carries something that was a stamp.
    Broken(StampError),
    /// It carries none: not ours, or the stamp was dropped.
    Unstamped,
}

/// What became of the NAL units beside the stamp.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Every byte is there, in order.
    Whole,
    /// The slices are, but the parameter sets were moved elsewhere, as some RTSP clients do.
    Bare,
    /// The picture is damaged.
    Altered,
}

impl Verdict {
    /// Judges the NAL units of one access unit, in their order.
    #[must_use]
    pub fn of(codec: VideoCodec, nals: &[&[u8]]) -> Self {
        let mut found = None;
        let mut others = Vec::with_capacity(nals.len());
        for nal in nals {
            match (Stamp::read(codec, nal), &found) {
                (Some(read), None) => found = Some(read),
                // A second stamp means two units run together: the checksum below shows it.
                _ => others.push(*nal),
            }
        }
        let stamp = match found {
            None => return Self::Unstamped,
            Some(Err(error)) => return Self::Broken(error),
            Some(Ok(stamp)) => stamp,
        };
        let slices = checksum(others.iter().copied().filter(|nal| is_slice(codec, nal)));
        let foreign = others.iter().any(|nal| Stamp::read(codec, nal).is_some());
        let condition = if checksum(others.iter().copied()) == stamp.all {
            Condition::Whole
        } else if slices == stamp.slices && !foreign {
            Condition::Bare
        } else {
            Condition::Altered
        };
        Self::Stamped(stamp, condition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::template;
    use index::model::UtcMicros;

    const CODEC: VideoCodec = VideoCodec::H264;

    fn stamped() -> (Stamp, Vec<u8>) {
        let (set, slice) = (&[0x67u8, 1][..], &[0x65u8, 2, 3][..]);
        let stamp = Stamp {
            stream: "1/main".parse().expect("a stream"),
            counter: 5,
            utc: UtcMicros::default(),
            all: checksum([set, slice].into_iter()),
            slices: checksum([slice].into_iter()),
        };
        let mut nal = template(CODEC);
        stamp.patch(CODEC, &mut nal);
        (stamp, nal)
    }

    #[test]
    fn missing_parameter_sets_are_told_from_a_damaged_picture() {
        let (stamp, sei) = stamped();
        let verdict = |others: &[&[u8]]| match Verdict::of(CODEC, &[&[&sei[..]], others].concat()) {
            Verdict::Stamped(found, condition) if found == stamp => condition,
            other => panic!("{other:?}"),
        };
        assert_eq!(verdict(&[&[0x67, 1], &[0x65, 2, 3]]), Condition::Whole);
        assert_eq!(verdict(&[&[0x65, 2, 3]]), Condition::Bare);
        assert_eq!(verdict(&[&[0x67, 1], &[0x65, 2, 4]]), Condition::Altered);
        assert_eq!(verdict(&[&[0x67, 1]]), Condition::Altered);
        assert_eq!(verdict(&[&[0x65, 2, 3], &sei]), Condition::Altered);
    }

    #[test]
    fn a_unit_without_a_stamp_says_so() {
        assert_eq!(Verdict::of(CODEC, &[&[0x65, 1]]), Verdict::Unstamped);
        let (_, mut sei) = stamped();
        let last = sei.len() - 2;
        sei[last] ^= 1;
        assert_eq!(Verdict::of(CODEC, &[&sei]), Verdict::Broken(StampError::Checksum));
    }
}
