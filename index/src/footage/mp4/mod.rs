//! ISO base media files, as far as we write and read them: the initialisation of a recording, its fragments, and the one
//! movie box of an export. Pure: bytes in, bytes out.
//!
//! Written by hand and not with a box library because a fragment's `moof` is the hot path (a few hundred bytes for each
//! second of each camera, without allocation), and because a decoder configuration must come back byte for byte. The tests read
//! what is written here with `mp4-atom` and with ffprobe.

mod boxes;
mod fragment;
mod init;
mod movie;

pub(in crate::footage) use boxes::children;
pub(in crate::footage) use fragment::{Anchor, ParsedFragment, Sample, encode_moof, mdat_len, parse, retime};
pub(in crate::footage) use init::{ftyp, moov, tracks_of};
pub use init::{init_segment, rfc6381};
pub use movie::{SampleRow, TrackTable, movie, movie_header};

use crate::model::{MediaTicks, TrackKind, Tracks};

/// Units of a track's media timeline in a second: those of its samples for sound, 90,000 for the others.
#[must_use]
pub fn timescale(tracks: &Tracks, track: TrackKind) -> u32 {
    match (track, &tracks.audio) {
        (TrackKind::Audio, Some(audio)) if audio.sample_rate > 0 => audio.sample_rate,
        _ => MediaTicks::PER_SECOND as u32,
    }
}

/// A span of media ticks in a track's own units, rounded to the nearest.
pub(in crate::footage) fn scaled(ticks: i64, timescale: u32) -> i64 {
    if i64::from(timescale) == MediaTicks::PER_SECOND {
        return ticks;
    }
    let product = i128::from(ticks) * i128::from(timescale);
    let half = i128::from(MediaTicks::PER_SECOND / 2);
    (product + half).div_euclid(i128::from(MediaTicks::PER_SECOND)) as i64
}

/// The inverse of [`scaled`], to the nearest tick.
pub(in crate::footage) fn unscaled(units: i64, timescale: u32) -> i64 {
    if i64::from(timescale) == MediaTicks::PER_SECOND || timescale == 0 {
        return units;
    }
    let product = i128::from(units) * i128::from(MediaTicks::PER_SECOND);
    (product + i128::from(timescale / 2)).div_euclid(i128::from(timescale)) as i64
}
