//! Simulated cameras: what they send follows from a few numbers, so that the model keeps those and makes the bytes again when it
//! compares.

use crate::{
    footage::{Draft, tests::tracks},
    model::{AccessUnit, ClockReading, MediaTicks, Priority, RetentionClass, StreamId, TrackKind, UtcMicros, Window},
};
use rand::{RngExt as _, rngs::SmallRng};
use std::time::Duration;

/// One fragment as it was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sent {
    pub(super) stream: StreamId,
    /// Counts the stream's fragments.
    pub(super) number: i64,
    pub(super) utc: UtcMicros,
    /// Bytes of each of its five units.
    pub(super) size: usize,
    pub(super) key: bool,
    run: u32,
    epoch: u32,
    pub(super) class: RetentionClass,
}

/// Units of a fragment, and the time between two.
const UNITS: i64 = 5;
const UNIT: Duration = Duration::from_millis(200);
/// Where in each sector of a unit its sign stands, and how long it is.
const SIGN_AT: usize = 5;
const SIGN: usize = 12;
const SECTOR: usize = 512;
/// A fragment's time.
pub(super) const SECOND: Duration = Duration::from_secs(1);

impl Sent {
    pub(super) fn window(&self) -> Window {
        Window::new(self.utc, self.utc + SECOND)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.size as u64 * UNITS as u64
    }

    /// What stands in every sector of a unit, and nowhere else.
    fn sign(&self, unit: i64) -> [u8; SIGN] {
        let mut sign = [0; SIGN];
        sign[..8].copy_from_slice(&(self.number * UNITS + unit).to_be_bytes());
        sign[8..].copy_from_slice(&self.stream.to_raw().to_be_bytes());
        sign
    }

    /// Whether any of its pictures stands in what is read where its record stood. `payload` is all of that record but its header.
    pub(super) fn shows_in(&self, payload: &[u8]) -> bool {
        let media = payload.len().saturating_sub(self.bytes() as usize);
        (0..UNITS).any(|unit| {
            let start = media + unit as usize * self.size;
            let mut signs = (SIGN_AT..).step_by(SECTOR).take_while(|at| at + SIGN <= self.size);
            signs.any(|at| payload.get(start + at..start + at + SIGN) == Some(&self.sign(unit)))
        })
    }

    pub(super) fn units(&self) -> Vec<AccessUnit> {
        let unit = |i: i64| {
            let ticks = self.number * 90_000 + i * 18_000;
            let utc = self.utc + UNIT * i as u32;
            let mut data = vec![(self.number * UNITS + i) as u8; self.size];
            data[..4].copy_from_slice(&(self.size as u32 - 4).to_be_bytes());
            data[4] = if self.key && i == 0 { 0x65 } else { 0x41 };
            // Each sector of it says whose it is, so that what should be gone from a disk is recognised there.
            for at in (SIGN_AT..).step_by(SECTOR).take_while(|at| at + SIGN <= self.size) {
                data[at..at + SIGN].copy_from_slice(&self.sign(i));
            }
            AccessUnit {
                track: TrackKind::Video,
                key: self.key && i == 0,
                decode: MediaTicks::new(ticks),
                present: MediaTicks::new(ticks),
                utc,
                received: utc,
                rtp: ticks as u32,
                data: data.into(),
            }
        };
        (0..UNITS).map(unit).collect()
    }

    pub(super) fn draft(&self) -> Draft {
        Draft {
            stream: self.stream,
            tracks: tracks(),
            units: self.units(),
            duration: MediaTicks::new(90_000),
            run: self.run,
            clock: ClockReading { epoch: self.epoch, error_ms: 5, camera_offset_ms: None },
            retention: self.class,
            priority: Priority::Normal,
        }
    }
}

/// One stream's source.
pub(super) struct Camera {
    pub(super) stream: StreamId,
    class: RetentionClass,
    /// Key units stand at the start of each so many fragments.
    interval: i64,
    number: i64,
    run: u32,
    epoch: u32,
    /// Where the fragment that is being filmed begins: on the machine's clock, and on the monotonic one.
    utc: UtcMicros,
    begun: Duration,
    /// Sends nothing before.
    pub(super) silent_until: Duration,
    /// Of the present run: its first picture.
    pub(super) run_from: UtcMicros,
}

impl Camera {
    pub(super) fn new(stream: StreamId, class: RetentionClass, interval: i64) -> Self {
        let (run, epoch, number) = (0, 0, 0);
        let (utc, begun, silent_until) = (UtcMicros::default(), Duration::ZERO, Duration::ZERO);
        Self { stream, class, interval, number, run, epoch, utc, begun, silent_until, run_from: utc }
    }

    /// Connects anew: a run begins now.
    pub(super) fn connect(&mut self, now: UtcMicros, monotonic: Duration) {
        self.run += 1;
        (self.utc, self.run_from, self.begun) = (now, now, monotonic);
    }

    /// The machine's clock was set: what is filmed from now on is dated by it.
    pub(super) fn clock_was_set(&mut self, now: UtcMicros, monotonic: Duration) {
        self.epoch += 1;
        self.connect(now, monotonic);
    }

    /// Where what was sent so far ends.
    pub(super) fn end(&self) -> UtcMicros {
        self.utc
    }

    /// The next fragment, if it has been filmed whole.
    pub(super) fn film(&mut self, monotonic: Duration, random: &mut SmallRng) -> Option<Sent> {
        if monotonic < self.begun + SECOND || monotonic < self.silent_until {
            return None;
        }
        let size = match random.random_range(0..12) {
            0 => 12_000,
            1 => 20,
            _ => random.random_range(20..3000),
        };
        let key = self.number % self.interval == 0 || self.utc == self.run_from;
        let (stream, number, utc) = (self.stream, self.number, self.utc);
        let sent = Sent { stream, number, utc, size, key, run: self.run, epoch: self.epoch, class: self.class };
        self.number += 1;
        self.begun += SECOND;
        // The clock that dates pictures is slewed towards the camera's: neighbours touch to within milliseconds.
        self.utc = UtcMicros::from_micros(utc.as_micros() + 1_000_000 + random.random_range(-3000..3000));
        Some(sent)
    }
}
