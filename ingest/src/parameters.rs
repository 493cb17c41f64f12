//! Parameter sets into what a track's description needs: the decoder configuration record, the size of the picture and the
//! codec's name. Only for drivers that do not do it themselves.
//!
//! Sequence parameter sets come from cameras: a field that cannot be read makes the set useless, never the session (Q37).

use crate::nal::{self, NalKind};
use bytes::Bytes;
use index::model::{VideoCodec, VideoParameters};

mod bits;
mod h264;
mod h265;

/// The newest parameter sets of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ParameterSets {
    codec: VideoCodec,
    vps: Vec<Bytes>,
    sps: Vec<Bytes>,
    pps: Vec<Bytes>,
}

/// No camera sends more of one kind; the record counts them in 5 or 8 bits.
const SETS_MAX: usize = 16;

impl ParameterSets {
    pub(crate) fn new(codec: VideoCodec) -> Self {
        Self { codec, vps: Vec::new(), sps: Vec::new(), pps: Vec::new() }
    }

    /// Takes the parameter sets among `nals` as the new ones; kinds that do not occur keep theirs. Returns whether anything
    /// changed.
    pub(crate) fn update<'a>(&mut self, nals: impl Iterator<Item = &'a [u8]>) -> bool {
        let (mut vps, mut sps, mut pps) = (Vec::new(), Vec::new(), Vec::new());
        for nal in nals {
            let sets = match nal::kind(self.codec, nal) {
                NalKind::Vps => &mut vps,
                NalKind::Sps => &mut sps,
                NalKind::Pps => &mut pps,
                NalKind::Slice | NalKind::Other => continue,
            };
            if sets.len() < SETS_MAX && nal.len() <= usize::from(u16::MAX) && !sets.iter().any(|known| known == nal) {
                sets.push(Bytes::copy_from_slice(nal));
            }
        }
        let mut changed = false;
        for (known, found) in [(&mut self.vps, vps), (&mut self.sps, sps), (&mut self.pps, pps)] {
            if !found.is_empty() && *known != found {
                *known = found;
                changed = true;
            }
        }
        changed
    }

    /// What they say; `None` while a kind is missing or cannot be read.
    pub(crate) fn describe(&self) -> Option<VideoParameters> {
        let sps = self.sps.first()?;
        if self.pps.is_empty() {
            return None;
        }
        let (width, height, decoder_config, rfc6381) = match self.codec {
            VideoCodec::H264 => {
                let read = h264::Sps::read(sps)?;
                (read.width, read.height, h264::avcc(&read, &self.sps, &self.pps)?, read.rfc6381())
            }
            VideoCodec::H265 => {
                let read = h265::Sps::read(sps)?;
                let arrays = [(32, &self.vps), (33, &self.sps), (34, &self.pps)];
                (read.width, read.height, h265::hvcc(&read, arrays), read.rfc6381())
            }
        };
        Some(VideoParameters { codec: self.codec, width, height, decoder_config: decoder_config.into(), rfc6381 })
    }
}

/// The parameter sets that a decoder configuration record (`avcC`, `hvcC`) carries, in its order; ends where it lies.
pub(crate) fn sets_of(codec: VideoCodec, record: &[u8]) -> Vec<&[u8]> {
    let mut sets = Vec::new();
    // A record that ends early still has the sets before its end.
    let _ = match codec {
        VideoCodec::H264 => h264::sets_of(record, &mut sets),
        VideoCodec::H265 => h265::sets_of(record, &mut sets),
    };
    sets
}

/// Moves one set, behind its length in 2 bytes, from `rest` to `sets`.
fn take_set<'a>(rest: &mut &'a [u8], sets: &mut Vec<&'a [u8]>) -> Option<()> {
    let (length, tail) = rest.split_first_chunk::<2>()?;
    let (set, tail) = tail.split_at_checked(u16::from_be_bytes(*length).into())?;
    *rest = tail;
    sets.push(set);
    Some(())
}

fn put_set(out: &mut Vec<u8>, set: &[u8]) {
    // `update` takes none that is longer.
    out.extend_from_slice(&u16::try_from(set.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(set);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use proptest::prelude::*;

    #[test]
    fn real_encoders_parameter_sets_are_read() {
        for (codec, word) in [(VideoCodec::H264, "avc1."), (VideoCodec::H265, "hvc1.1.")] {
            let clip = testing::clip(codec, 200, 112, 2);
            let described = &clip.parameters;
            assert_eq!((described.width, described.height), (200, 112), "{codec:?}: the cropped size");
            assert!(described.rfc6381.starts_with(word), "{}", described.rfc6381);
            let mut again = ParameterSets::new(codec);
            assert!(again.update(sets_of(codec, &described.decoder_config).into_iter()));
            assert_eq!(again.describe().as_ref(), Some(described), "{codec:?}: a record tells its own sets");
            assert!(!again.update(sets_of(codec, &described.decoder_config).into_iter()), "nothing is new");
        }
    }

    #[test]
    fn a_missing_kind_is_waited_for() {
        let clip = testing::clip(VideoCodec::H264, 64, 64, 1);
        let sets = sets_of(VideoCodec::H264, &clip.parameters.decoder_config);
        let mut half = ParameterSets::new(VideoCodec::H264);
        assert!(half.update(sets[..1].iter().copied()));
        assert_eq!(half.describe(), None);
        assert!(half.update(sets[1..].iter().copied()));
        assert!(half.describe().is_some());
    }

    proptest! {
        #[test]
        fn no_parameter_set_makes_reading_fail(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = h264::Sps::read(&bytes);
            let _ = h265::Sps::read(&bytes);
            let _ = sets_of(VideoCodec::H264, &bytes);
            let _ = sets_of(VideoCodec::H265, &bytes);
        }
    }
}
