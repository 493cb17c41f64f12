//! The checker: what was recorded, played or exported against what was sent, unit by unit.
//!
//! It trusts no index, no file name and no clock but the stamps. Feed it files (MP4, fragmented or not, segments as they
//! lie on a disk, Annex B) or single units, then ask for the [`Report`].

mod boxes;
mod report;
mod unit;

pub use report::{Report, Span, StreamReport, pictures};
pub use unit::{Condition, Verdict};

use crate::{clip::annex_b, sent::StreamLog, stamp::is_slice};
use index::model::{StreamId, UtcMicros, VideoCodec, Window};
use std::collections::BTreeMap;

/// Collects access units in the order they are played.
#[derive(Default, Debug)]
pub struct Checker {
    streams: BTreeMap<StreamId, Vec<Found>>,
    unstamped: u64,
    faults: Vec<String>,
}

/// One unit of a stream.
#[derive(Clone, Copy, Debug)]
struct Found {
    counter: u64,
    utc: UtcMicros,
    condition: Condition,
}

impl Checker {
    /// A checker that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one access unit; units of one stream come in the order in which a player meets them.
    pub fn unit(&mut self, codec: VideoCodec, nals: &[&[u8]]) {
        match Verdict::of(codec, nals) {
            Verdict::Stamped(stamp, condition) => {
                let found = Found { counter: stamp.counter, utc: stamp.utc, condition };
                self.streams.entry(stamp.stream).or_default().push(found);
            }
            Verdict::Broken(error) => self.fault(format!("an access unit whose stamp is damaged: {error}")),
            Verdict::Unstamped => self.unstamped += 1,
        }
    }

    /// Takes a whole file, named `name` in messages: MP4 of any kind, or an Annex B byte stream (H.264 or H.265).
    pub fn file(&mut self, name: &str, bytes: &[u8]) {
        if bytes.starts_with(&[0, 0, 1]) || bytes.starts_with(&[0, 0, 0, 1]) {
            return self.byte_stream(bytes);
        }
        let layout = boxes::layout(bytes);
        for fault in layout.faults {
            self.fault(format!("{name}: {fault}"));
        }
        if layout.samples.is_empty() {
            self.fault(format!("{name}: no video sample in {} bytes", bytes.len()));
        }
        for sample in layout.samples {
            match sample.nal_units(bytes) {
                Ok(nals) => self.unit(sample.codec, &nals),
                Err(fault) => self.fault(format!("{name}: sample at {}: {fault}", sample.offset)),
            }
        }
    }

    fn byte_stream(&mut self, bytes: &[u8]) {
        let nals = annex_b(bytes);
        // Forbidden bit and layer identity of a VPS look like no H.264 NAL unit that begins a stream.
        let codec = match nals.first().map(|nal| nal[0]) {
            Some(0x40 | 0x4e | 0x42 | 0x44) => VideoCodec::H265,
            _ => VideoCodec::H264,
        };
        let mut unit: Vec<&[u8]> = Vec::new();
        for nal in nals {
            // A new unit begins with the first NAL unit after a slice that is none; our stamp always is.
            let after_picture = unit.last().is_some_and(|last| is_slice(codec, last));
            if after_picture && !is_slice(codec, nal) {
                self.unit(codec, &std::mem::take(&mut unit));
            }
            unit.push(nal);
        }
        if !unit.is_empty() {
            self.unit(codec, &unit);
        }
    }

    /// Notes something that is wrong beside single units: it makes the report bad.
    pub fn fault(&mut self, sentence: String) {
        self.faults.push(sentence);
    }

    /// Compares with what was sent: `None` knows only the stamps, so a loss at either end does not show. Of `sent`, only
    /// pictures taken within `window` are expected.
    #[must_use]
    pub fn report(&self, sent: Option<&[StreamLog]>, window: Window) -> Report {
        let mut ids: Vec<StreamId> = self.streams.keys().copied().collect();
        ids.extend(sent.unwrap_or_default().iter().map(|log| log.stream));
        ids.sort_unstable();
        ids.dedup();
        let stream = |id: StreamId| {
            let log = sent.and_then(|logs| logs.iter().find(|log| log.stream == id));
            StreamReport::new(id, self.streams.get(&id).map_or(&[], Vec::as_slice), log, window)
        };
        let streams = ids.into_iter().map(stream).collect();
        Report { streams, unstamped: self.unstamped, faults: self.faults.clone() }
    }
}
