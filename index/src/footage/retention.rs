//! What may be forgotten: pure rules. Footage goes when its class's term is over, never before; and a clock that jumped
//! deletes nothing.

use super::{
    catalogue::{Catalogue, SegmentKey},
    custody::Held,
    types::RetentionTerms,
};
use crate::model::{StreamId, UtcMicros};
use std::time::Duration;

/// A jump of the machine's clock against its monotonic one, from which on it is not believed.
const JUMP: Duration = Duration::from_secs(3600);
/// A node may have been off: this long without a sign of life is still believed at start.
const OFF: Duration = Duration::from_secs(7 * 86_400);

/// Watches the clock. Retention stands still from a jump until the clock is back, or someone says that it is right.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockGuard {
    /// What the clock would say, had it only ever run.
    expected: UtcMicros,
    /// Of the monotonic clock.
    at: Duration,
    frozen: Option<UtcMicros>,
}

impl ClockGuard {
    /// `alive` is the last sign of life of an earlier run; `monotonic` counts from any start.
    pub(super) fn new(alive: Option<UtcMicros>, now: UtcMicros, monotonic: Duration) -> Self {
        let believed = alive.is_none_or(|alive| now + JUMP >= alive && now.since(alive) <= OFF);
        let expected = if believed { now } else { alive.unwrap_or(now) };
        Self { expected, at: monotonic, frozen: (!believed).then_some(now) }
    }

    /// Takes a reading of both clocks. `Some` is the instant that terms may be counted to; `None` while frozen.
    pub(super) fn reading(&mut self, now: UtcMicros, monotonic: Duration) -> Option<UtcMicros> {
        let expected = self.expected + monotonic.saturating_sub(self.at);
        self.at = monotonic;
        let off = now.since(expected).max(expected.since(now));
        if off > JUMP {
            self.frozen.get_or_insert(now);
            self.expected = expected;
            return None;
        }
        // Small steps and slewing are the clock being set right.
        self.frozen = None;
        self.expected = now;
        Some(now)
    }

    /// Someone says that the clock is right.
    pub(super) fn confirm(&mut self, now: UtcMicros, monotonic: Duration) {
        *self = Self { expected: now, at: monotonic, frozen: None };
    }

    /// Since when retention stands still.
    pub(super) fn frozen(&self) -> Option<UtcMicros> {
        self.frozen
    }
}

/// Segments of a volume whose term is over at `now`, oldest first, at most `limit`. Never one that is being written, never one that
/// is held in part (C1).
pub(super) fn expired(
    catalogue: &Catalogue,
    volume: u16,
    terms: &RetentionTerms,
    now: UtcMicros,
    held: &Held,
    limit: usize,
) -> Vec<(StreamId, SegmentKey)> {
    let mut due = Vec::new();
    for (stream, index) in &*catalogue.read() {
        let shortest = terms.standard.min(terms.key_target);
        let old = index.segments().iter().take_while(|segment| segment.window.from < now - shortest);
        let over = old.filter(|segment| {
            segment.key.volume == volume
                && segment.entries.is_none()
                && segment.window.to < now - terms.of(segment.class)
                && !held.covers(*stream, segment.window)
        });
        due.extend(over.map(|segment| (segment.window.to, *stream, segment.key)));
    }
    due.sort_unstable_by_key(|(to, _, key)| (*to, key.number));
    due.truncate(limit);
    due.into_iter().map(|(_, stream, key)| (stream, key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: i64) -> UtcMicros {
        UtcMicros::from_micros(n * 86_400_000_000)
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_clock_that_jumps_by_years_freezes_retention_until_it_is_back() {
        let mut guard = ClockGuard::new(None, day(100), HOUR);
        assert_eq!(guard.reading(day(100) + HOUR, 2 * HOUR), Some(day(100) + HOUR));
        assert_eq!(guard.reading(day(100 + 7300), 3 * HOUR), None);
        assert_eq!(guard.frozen(), Some(day(100 + 7300)));
        assert_eq!(guard.reading(day(100) + 3 * HOUR, 4 * HOUR), Some(day(100) + 3 * HOUR));
        assert_eq!(guard.frozen(), None);
    }

    #[test]
    fn a_jump_while_the_node_was_down_freezes_it_too() {
        let guard = ClockGuard::new(Some(day(100)), day(130), HOUR);
        assert!(guard.frozen().is_some());
        let back = ClockGuard::new(Some(day(100)), day(90), HOUR);
        assert!(back.frozen().is_some());
        assert!(ClockGuard::new(Some(day(100)), day(102), HOUR).frozen().is_none());
    }

    #[test]
    fn a_person_can_say_that_the_clock_is_right() {
        let mut guard = ClockGuard::new(Some(day(100)), day(130), HOUR);
        assert_eq!(guard.reading(day(130), HOUR), None);
        guard.confirm(day(130), HOUR);
        assert_eq!(guard.reading(day(130), HOUR), Some(day(130)));
    }
}
