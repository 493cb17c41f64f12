//! A fragment as readers get it: the bytes of a file, and the access units in them.

use super::{
    format::RecordHeader,
    mp4::{self, Anchor, ParsedFragment, Sample, SampleRow},
};
use crate::model::{AccessUnit, ClockReading, MediaTicks, TrackKind, Tracks, UtcMicros, Window};
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// Whole access units of one stream, about a second of them, as stored: checked, and whole.
#[derive(Clone)]
pub struct Fragment {
    payload: Bytes,
    parsed: ParsedFragment,
    tracks: Arc<Tracks>,
    anchor: Anchor,
    window: Window,
    clock: ClockReading,
    hash: [u8; 32],
}

/// What a record's header says about the times of its samples, `lead` being the first of video.
pub(super) fn anchor(record: &RecordHeader, base: MediaTicks, lead: &Sample) -> Anchor {
    let decode = MediaTicks::new(record.decode.get() + i64::from(lead.composition));
    Anchor { decode, utc: record.utc, received: record.received, rtp: record.rtp, base }
}

impl Fragment {
    pub(super) fn new(payload: Bytes, record: &RecordHeader, base: MediaTicks, tracks: Arc<Tracks>) -> Option<Self> {
        let parsed = mp4::parse(&payload)?;
        let lead = parsed.samples.first()?;
        let anchor = anchor(record, base, lead);
        let end = parsed.samples.iter().map(|sample| sample.offset + sample.size).max()?;
        let window = record.window();
        (end <= payload.len()).then_some(Self { payload, parsed, tracks, anchor, window, clock: record.clock, hash: record.hash })
    }

    /// The units in it: by track, video first, in decode order within each. Times of the units behind the first are
    /// computed from the media clock; `received` likewise.
    #[must_use]
    pub fn units(&self) -> Vec<AccessUnit> {
        let data = |sample: &Sample| self.payload.slice(sample.offset..sample.offset + sample.size);
        self.parsed.samples.iter().map(|sample| self.parsed.unit(sample, &self.tracks, self.anchor, data(sample))).collect()
    }

    /// From its first picture, for its duration.
    #[must_use]
    pub fn window(&self) -> Window {
        self.window
    }

    /// What was known about time when it was recorded.
    #[must_use]
    pub fn clock(&self) -> ClockReading {
        self.clock
    }

    /// When its first picture was taken.
    #[must_use]
    pub fn utc(&self) -> UtcMicros {
        self.window.from
    }

    /// What decodes it.
    #[must_use]
    pub fn tracks(&self) -> &Arc<Tracks> {
        &self.tracks
    }

    /// BLAKE3 of its bytes, as recorded when they were stored.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// `moof` and `mdat`, as stored: times count from the start of its segment.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.payload
    }

    /// The `moof` alone.
    #[must_use]
    pub fn moof(&self) -> Bytes {
        self.payload.slice(..self.parsed.moof_len)
    }

    /// The `mdat` alone, header included.
    #[must_use]
    pub fn mdat(&self) -> Bytes {
        self.payload.slice(self.parsed.moof_len..)
    }

    /// The decode time of its first video unit, in ticks from the start of its segment.
    #[must_use]
    pub fn base_decode_time(&self) -> u64 {
        self.parsed.samples.first().map_or(0, |sample| sample.decode.max(0) as u64)
    }

    /// The rows of one track's samples, and where each one's bytes begin, counted from the start of [`Fragment::bytes`].
    pub fn samples(&self, track: TrackKind) -> impl Iterator<Item = (SampleRow, usize)> + '_ {
        self.parsed.samples.iter().filter(move |sample| sample.track == track).map(|sample| {
            let row = SampleRow {
                duration: sample.duration,
                size: sample.size as u32,
                composition: sample.composition,
                key: sample.key,
            };
            (row, sample.offset)
        })
    }

    /// The fragment for another file: its video begins at `base_decode_time` (ticks of 1/90 000 s), the other tracks keep their
    /// distance to it; `sequence` counts the fragments of that file from 1. Its length does not change.
    #[must_use]
    pub fn retimed(&self, base_decode_time: u64, sequence: u32) -> Bytes {
        let mut bytes = BytesMut::from(&self.payload[..]);
        let done = mp4::retime(&mut bytes[..self.parsed.moof_len], &self.tracks, base_decode_time, sequence);
        debug_assert!(done.is_some(), "the moof was parsed before");
        bytes.freeze()
    }
}
