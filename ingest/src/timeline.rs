//! The camera's clock onto the node's.
//!
//! A camera stamps pictures with a counter of its own: it starts anywhere, wraps, drifts, runs at another rate than it says,
//! and on some models jumps by hours. What is stored needs instants on the node's clock that are comparable across
//! cameras, and media time that never runs backwards. So each track maps its counter to UTC by a line that starts at the
//! first unit's arrival and follows the *earliest* arrivals since (network delay only ever adds), by at most
//! [`SLEW_PPM`]; media time is that UTC counted from the start of the run, so the two never drift apart.
//!
//! - T1: within a run, decode time of a track strictly grows; within an epoch, so does the node's time of its key units.
//! - T2: a counter that jumps is not believed: the unit is stamped by the pace of those before it, and the jump is accepted
//!   only after [`OUTLIERS_BELIEVED`] units that agree.
//! - T3: an error that slewing cannot mend, or a step of the node's clock, begins a new run and epoch, at a key unit, so
//!   that no unit is lost by it.
//! - T4: a counter that breaks again and again is left alone: units are stamped as they arrive.

use index::model::{ClockReading, MediaTicks, TrackKind, UtcMicros};

mod track;
use track::TrackClock;

/// How fast the line may be bent, in parts per million: above any crystal's error (±100), below what ears and players note.
const SLEW_PPM: f64 = 500.0;
/// The line is bent once in this many microseconds, by the earliest arrival within them.
const DISCIPLINE_EVERY: i64 = 8_000_000;
/// An error beyond this many microseconds is a step: slewing it away would take half an hour.
const STEP: i64 = 1_000_000;
/// A counter this far (in microseconds) ahead of the arrival, or behind the last unit, has jumped.
const JUMP: i64 = 2_000_000;
/// Units that must agree before a jump is believed.
const OUTLIERS_BELIEVED: u32 = 3;
/// After this many breaks within [`BREAKS_WITHIN`] the counter is not used any more.
const BREAKS_ALLOWED: usize = 3;
/// See [`BREAKS_ALLOWED`]; microseconds.
const BREAKS_WITHIN: i64 = 120_000_000;
/// How far the node's wall clock may move against its monotonic one between two units without being a step.
const NODE_STEP: i64 = 500_000;

/// When a unit came, by three clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// The counter as the camera sent it.
    pub(crate) rtp: u32,
    /// Its declared ticks a second.
    pub(crate) rate: u32,
    /// The node's wall clock when the unit's last packet came.
    pub(crate) received: UtcMicros,
    /// The node's monotonic clock at the same moment, in microseconds from any origin.
    pub(crate) monotonic: i64,
}

/// Where a unit lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    pub(crate) decode: MediaTicks,
    pub(crate) present: MediaTicks,
    pub(crate) utc: UtcMicros,
}

/// One stream's clocks. Lives as long as the stream is configured, across sessions.
#[derive(Debug)]
pub(crate) struct Timeline {
    run: u32,
    epoch: u32,
    /// The node's time at media time 0 of this run; `None` until the run's first video unit.
    origin: Option<UtcMicros>,
    tracks: [TrackClock; 3],
    decoded: [MediaTicks; 3],
    /// Wall minus monotonic clock, at the last unit.
    node_offset: Option<i64>,
    /// A step waits for the next key unit.
    step: Option<i64>,
    stepped: Option<i64>,
}

impl Timeline {
    pub(crate) fn new() -> Self {
        Self {
            run: 0,
            epoch: 0,
            origin: None,
            tracks: Default::default(),
            decoded: [MediaTicks::new(-1); 3],
            node_offset: None,
            step: None,
            stepped: None,
        }
    }

    /// A new session, or new parameters: media time starts again, and nothing is known of the camera's counter.
    pub(crate) fn begin_session(&mut self) {
        self.tracks = Default::default();
        self.begin_run();
    }

    /// Media time starts again at the next video unit; the clocks are kept.
    pub(crate) fn begin_run(&mut self) {
        self.run = self.run.wrapping_add(1);
        self.origin = None;
        self.decoded = [MediaTicks::new(-1); 3];
    }

    /// Counts unbroken media timelines.
    pub(crate) fn run(&self) -> u32 {
        self.run
    }

    /// What is known about time now.
    pub(crate) fn clock(&self) -> ClockReading {
        let video = self.track(TrackKind::Video);
        ClockReading { epoch: self.epoch, error_ms: video.error_ms(), camera_offset_ms: video.camera_offset_ms() }
    }

    /// The step that the last stamps took, in milliseconds, once.
    pub(crate) fn take_step(&mut self) -> Option<i64> {
        self.stepped.take()
    }

    /// A sender report: the camera's own clock at a value of a track's counter, and when the report came.
    pub(crate) fn sender_report(&mut self, track: TrackKind, rtp: u32, camera: UtcMicros, received: UtcMicros) {
        let shared = self.track(TrackKind::Video).camera_offset();
        let clock = &mut self.tracks[index(track)];
        clock.sender_report(rtp, camera.as_micros(), received.as_micros());
        if let (true, Some(offset)) = (track != TrackKind::Video, shared) {
            clock.align(rtp, camera.as_micros() - offset);
        }
    }

    /// Puts one unit on the node's clock. `key`: a video unit at which a new run may begin.
    pub(crate) fn stamp(&mut self, track: TrackKind, key: bool, arrival: Arrival) -> Stamp {
        self.watch_node_clock(arrival);
        if key
            && track == TrackKind::Video
            && let Some(by) = self.step.take()
        {
            self.take(by);
        }
        let mapped = self.tracks[index(track)].map(arrival);
        if mapped.broke {
            self.epoch = self.epoch.wrapping_add(1);
        }
        if let Some(by) = mapped.step {
            self.step = Some(by);
        }
        let origin = match (self.origin, track) {
            (Some(origin), _) => origin,
            (None, TrackKind::Video) => *self.origin.insert(mapped.utc),
            (None, _) => mapped.utc,
        };
        let ticks = |utc: UtcMicros| MediaTicks::from_micros(utc.micros_from(origin));
        let decoded = &mut self.decoded[index(track)];
        *decoded = ticks(mapped.decode).max(*decoded + MediaTicks::new(1));
        // Only video is reordered; sound and documents are shown when they are decoded.
        let present = if track == TrackKind::Video && mapped.reordered { ticks(mapped.utc) } else { *decoded };
        Stamp { decode: *decoded, present, utc: mapped.utc }
    }

    fn watch_node_clock(&mut self, arrival: Arrival) {
        let offset = arrival.received.as_micros().saturating_sub(arrival.monotonic);
        let before = self.node_offset.replace(offset).unwrap_or(offset);
        if (offset - before).abs() > NODE_STEP {
            self.step = Some(offset - before);
            // Until the step is taken, units keep to the line they are on.
            self.tracks.iter_mut().for_each(|track| track.node_stepped(offset - before));
        }
    }

    fn take(&mut self, by: i64) {
        self.epoch = self.epoch.wrapping_add(1);
        self.tracks.iter_mut().for_each(TrackClock::forget_line);
        self.stepped = Some(by / 1_000);
        self.begin_run();
    }

    fn track(&self, track: TrackKind) -> &TrackClock {
        &self.tracks[index(track)]
    }
}

fn index(track: TrackKind) -> usize {
    track.track_id() as usize - 1
}

#[cfg(test)]
mod tests;
