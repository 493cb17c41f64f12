//! Clocks. An instant, a span on a camera's own crystal and a window of time are different types: mixing them is how
//! other recorders came to play an hour late.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    ops::{Add, Sub},
    time::{Duration, SystemTime},
};

/// An instant on the node's clock: microseconds since 1970-01-01T00:00:00Z, leap seconds ignored as POSIX does.
/// Comparable across cameras. Written as a number in JSON, as RFC 3339 in logs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UtcMicros(i64);

impl UtcMicros {
    /// The first and last instants there are: bounds for "since ever" and "for ever".
    pub const MIN: Self = Self(i64::MIN);
    /// See [`UtcMicros::MIN`].
    pub const MAX: Self = Self(i64::MAX);

    /// Takes microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The machine's clock, now. Only shells ask; cores are told.
    #[must_use]
    pub fn now() -> Self {
        // Before 1970 the clock is broken; zero is as good as any answer and the clock guard will say so.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    /// The time from `earlier` to this instant; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Signed microseconds from `other` to this instant.
    #[must_use]
    pub fn micros_from(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }
}

impl Add<Duration> for UtcMicros {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for UtcMicros {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for UtcMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(time) => write!(f, "{time:.6}"),
            Err(_) => write!(f, "{} µs", self.0),
        }
    }
}

impl fmt::Debug for UtcMicros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A span of time, from `from` up to but not including `to`. Empty when `to <= from`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Window {
    /// The first instant inside.
    pub from: UtcMicros,
    /// The first instant after.
    pub to: UtcMicros,
}

impl Window {
    /// Everything there ever was or will be.
    pub const ALL: Self = Self { from: UtcMicros::MIN, to: UtcMicros::MAX };

    /// The window from `from` to `to`.
    #[must_use]
    pub const fn new(from: UtcMicros, to: UtcMicros) -> Self {
        Self { from, to }
    }

    /// Whether no instant is inside.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.to <= self.from
    }

    /// Whether `at` is inside.
    #[must_use]
    pub fn contains(self, at: UtcMicros) -> bool {
        self.from <= at && at < self.to
    }

    /// Whether all of `other` is inside. An empty window is inside every other.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        other.is_empty() || (self.from <= other.from && other.to <= self.to)
    }

    /// What both share; empty if nothing.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }

    /// Whether both share an instant.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        !self.intersect(other).is_empty()
    }

    /// How long it is; zero when empty.
    #[must_use]
    pub fn duration(self) -> Duration {
        self.to.since(self.from)
    }
}

/// A span or position on one stream's media clock, in 1/90 000 s. Each camera's crystal drives its own: never compare
/// those of two streams.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaTicks(i64);

impl MediaTicks {
    /// Ticks in a second: the RTP clock of all video (RFC 3551 §5).
    pub const PER_SECOND: i64 = 90_000;

    /// Takes a number of ticks.
    #[must_use]
    pub const fn new(ticks: i64) -> Self {
        Self(ticks)
    }

    /// The number of ticks.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// This span in microseconds, rounded towards zero.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        // 1 tick = 100/9 µs; the product overflows only after 32,000 years.
        self.0.saturating_mul(100) / 9
    }

    /// The span nearest to a number of microseconds.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros.saturating_mul(9) / 100)
    }
}

impl Add for MediaTicks {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for MediaTicks {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// What was known about time when a fragment was cut. Stored with it, so that evidence can say how sure its time is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct ClockReading {
    /// Counts the steps of the node's clock and the breaks of the stream's: instants of two epochs may overlap.
    pub epoch: u32,
    /// Half-width of the uncertainty of the fragment's UTC, in milliseconds.
    pub error_ms: u16,
    /// The camera's own clock minus the node's, in milliseconds, where the camera told it (RTCP sender reports).
    pub camera_offset_ms: Option<i32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: i64, to: i64) -> Window {
        Window::new(UtcMicros::from_micros(from), UtcMicros::from_micros(to))
    }

    #[test]
    fn windows_are_half_open() {
        let w = window(10, 20);
        assert!(w.contains(UtcMicros::from_micros(10)) && !w.contains(UtcMicros::from_micros(20)));
        assert!(!w.overlaps(window(20, 30)) && w.overlaps(window(19, 30)));
        assert!(w.covers(window(10, 20)) && !w.covers(window(9, 20)));
        assert!(window(20, 10).is_empty() && w.covers(window(90, 90)));
    }

    #[test]
    fn ticks_and_microseconds_agree_to_one_tick() {
        for micros in [0, 1, 11, 12, 40_000, 1_000_000, 86_400_000_000, -40_000] {
            let back = MediaTicks::from_micros(micros).as_micros();
            assert!((back - micros).abs() <= 12, "{micros} came back as {back}");
        }
    }

    #[test]
    fn an_instant_prints_as_rfc_3339() {
        assert_eq!(UtcMicros::from_micros(1_795_000_000_123_456).to_string(), "2026-11-18T11:06:40.123456Z");
    }
}
