//! Real coded video, made once: a scene is painted, encoded by x264 or x265, and kept in a cache by the hash of its
//! specification. Cameras replay clips, so a fleet of thousands costs no encoding.

mod cache;
mod encode;
mod nal;

pub(crate) use nal::{annex_b, is_parameter_set};

use crate::scene::{Happening, Object, Scene};
use index::model::VideoCodec;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything that decides the bytes of a clip. Two equal specifications share one file in the cache.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct ClipSpec {
    /// What is filmed.
    pub scene: Scene,
    /// How it is coded.
    pub codec: VideoCodec,
    /// Pixels; a multiple of 8.
    pub width: u32,
    /// Pixels; a multiple of 8.
    pub height: u32,
    /// Pictures a second; must divide 90 000.
    pub frames_per_second: u32,
    /// Length of the clip in GOPs; it loops.
    pub gops: u32,
    /// Pictures from one key unit to the next.
    pub gop: u32,
    /// What the encoder aims at, in kbit/s.
    pub kbit_per_second: u32,
    /// B-pictures between two others; 0 as cameras do.
    pub b_pictures: u32,
}

/// One coded picture: its NAL units, without parameter sets, delimiters and the encoder's own messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coded {
    /// Whether decoding can start here.
    pub key: bool,
    /// How many frame intervals later than decoded it is shown; 0 without B-pictures.
    pub delay: u32,
    /// The slices, in order.
    pub slices: Vec<Vec<u8>>,
}

/// A clip: coded pictures in decode order, beginning with a key picture, and what is seen on them.
#[derive(Clone, Debug)]
pub struct Clip {
    /// What it was made from.
    pub spec: ClipSpec,
    /// VPS (H.265 only), SPS, PPS.
    pub parameter_sets: Vec<Vec<u8>>,
    /// The pictures.
    pub units: Vec<Coded>,
}

/// Why a clip could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClipError {
    /// The specification asks for what no clip can be.
    #[error("a clip of {0} is impossible")]
    Spec(String),
    /// GStreamer or an encoder is missing or failed.
    #[error("encode with GStreamer (packages gstreamer1.0-plugins-ugly, -bad): {0}")]
    Encode(String),
    /// The encoder did not keep to the specification: the fleet's counters depend on it.
    #[error("the encoder made {0}")]
    Output(String),
    /// The cache cannot be read or written.
    #[error("clip cache {path}")]
    Cache {
        /// Which file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl ClipSpec {
    /// How many pictures the clip has.
    #[must_use]
    pub fn frames(&self) -> u32 {
        self.gops * self.gop
    }

    /// RTP clock ticks from one picture to the next.
    #[must_use]
    pub fn ticks(&self) -> u32 {
        90_000 / self.frames_per_second
    }

    /// # Errors
    /// [`ClipError::Spec`] for a size, rate or length that cannot be coded or looped.
    pub fn check(&self) -> Result<(), ClipError> {
        let refuse = |what: String| Err(ClipError::Spec(what));
        if self.width == 0
            || self.height == 0
            || !self.width.is_multiple_of(8)
            || !self.height.is_multiple_of(4)
            || self.width > 4096
        {
            return refuse(format!("{}×{} pixels", self.width, self.height));
        }
        if self.frames_per_second == 0 || 90_000 % self.frames_per_second != 0 {
            return refuse(format!("{} frames a second", self.frames_per_second));
        }
        if self.gop < 2 || !(2..=100_000).contains(&self.frames()) {
            return refuse(format!("{} GOPs of {}", self.gops, self.gop));
        }
        Ok(())
    }

    /// What is in the picture with the given number; numbers beyond the clip's end begin anew.
    #[must_use]
    pub fn objects(&self, frame: u32) -> Vec<Object> {
        self.scene.objects(frame % self.frames(), self.frames())
    }

    /// What happens in one round of the clip, in order.
    #[must_use]
    pub fn happenings(&self) -> Vec<Happening> {
        self.scene.happenings(self.frames())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Weather;

    pub(super) fn tiny(codec: VideoCodec) -> ClipSpec {
        let scene = Scene { seed: 1, night: false, weather: Weather::Clear, people: 1, vehicles: 1 };
        let (width, height, frames_per_second) = (160, 120, 25);
        ClipSpec { scene, codec, width, height, frames_per_second, gops: 2, gop: 10, kbit_per_second: 200, b_pictures: 0 }
    }

    #[test]
    fn both_codecs_give_key_units_exactly_where_the_specification_says() {
        let cache = tempfile::tempdir().expect("a directory");
        for codec in [VideoCodec::H264, VideoCodec::H265] {
            let clip = Clip::load(&tiny(codec), cache.path()).expect("a clip");
            let keys: Vec<_> = (0..).zip(&clip.units).filter(|(_, unit)| unit.key).map(|(at, _)| at).collect();
            assert_eq!((clip.units.len(), keys), (20, vec![0, 10]), "{codec:?}");
            assert_eq!(clip.parameter_sets.len(), if codec == VideoCodec::H264 { 2 } else { 3 });
            // Those of the encoder are a handful of bytes; longer ones carry what is not theirs.
            assert!(clip.parameter_sets.last().is_some_and(|pps| pps.len() < 16), "{:x?}", clip.parameter_sets);
        }
    }

    #[test]
    fn a_cached_clip_is_the_clip_that_was_made_and_a_damaged_one_is_made_again() {
        let cache = tempfile::tempdir().expect("a directory");
        let made = Clip::load(&tiny(VideoCodec::H264), cache.path()).expect("a clip");
        let read = Clip::load(&tiny(VideoCodec::H264), cache.path()).expect("a cached clip");
        assert_eq!(made.units, read.units);
        let file = std::fs::read_dir(cache.path()).expect("entries").flatten().map(|entry| entry.path());
        let file = file.into_iter().find(|path| path.extension().is_some_and(|e| e == "clip")).expect("a clip file");
        let length = std::fs::metadata(&file).expect("a length").len();
        let opened = std::fs::OpenOptions::new().write(true).open(&file).expect("writable");
        opened.set_len(length / 2).expect("cut");
        let again = Clip::load(&tiny(VideoCodec::H264), cache.path()).expect("made again");
        assert_eq!(again.units.len(), made.units.len());
    }

    #[test]
    fn b_pictures_are_shown_later_than_decoded() {
        let cache = tempfile::tempdir().expect("a directory");
        let spec = ClipSpec { b_pictures: 2, ..tiny(VideoCodec::H264) };
        let clip = Clip::load(&spec, cache.path()).expect("a clip");
        assert!(clip.units.iter().any(|unit| unit.delay > 1));
    }

    #[test]
    fn an_impossible_clip_is_refused_before_anything_is_encoded() {
        let spec = ClipSpec { width: 161, ..tiny(VideoCodec::H264) };
        assert!(matches!(Clip::load(&spec, std::path::Path::new("/nonexistent")), Err(ClipError::Spec(_))));
    }
}
