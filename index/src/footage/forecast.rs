//! Whether the promise of retention will be kept: how fast a volume fills, what will expire meanwhile, and when the two meet. Pure.
//!
//! Nothing is deleted within its term, so a promise breaks by new footage that finds no room. Rates are those of recorded time: a
//! camera that was away for hours fills the disk at its full rate again tomorrow.

use super::{
    catalogue::{SegmentMeta, StreamIndex},
    custody::Order,
    format::{BLOCK, FOOTER, spare},
    types::RetentionTerms,
};
use crate::model::{StreamId, UtcMicros, Window};
use std::time::Duration;

/// What was recorded within this time says how fast a stream fills a disk.
const RECENT: Duration = Duration::from_secs(48 * 3600);
/// A rate is taken from at least so much recorded time.
const ENOUGH: Duration = Duration::from_secs(600);
/// How long before the promise breaks somebody is told. Three days: one to notice, one to fetch a disk, and one in hand.
pub const WARNING: Duration = Duration::from_secs(72 * 3600);
/// A warning stands until the day is so far off. A forecast counts whole files, so it moves by hours with each of them: told at one
/// threshold and taken back at the same, it would come and go.
const RELIEF: Duration = Duration::from_secs(96 * 3600);
const DAY_S: f64 = 86_400.0;

/// Bytes that a segment takes up on its disk, `size` being that of its file.
pub(super) fn cost(meta: &SegmentMeta, size: u64) -> u64 {
    match spare(meta.end, size) {
        Some(_) if meta.entries.is_none() => meta.end + BLOCK as u64 + FOOTER,
        _ => size,
    }
}

/// Bytes a second that a stream takes up while it is recorded; 0 if it was not of late.
pub(super) fn rate(index: &StreamIndex, size: u64, now: UtcMicros) -> f64 {
    let recent = Window::new(now - RECENT, now);
    let sealed = index.overlapping(recent).filter(|meta| meta.entries.is_none());
    let (bytes, time) = sealed.fold((0, Duration::ZERO), |(bytes, time), meta| {
        let recorded = meta.spans().iter().map(|span| span.duration()).sum::<Duration>();
        (bytes + cost(meta, size), time + recorded)
    });
    if time >= ENOUGH { bytes as f64 / time.as_secs_f64() } else { 0.0 }
}

/// When each byte of a volume may go.
#[derive(Clone, Default, Debug)]
pub(super) struct Book {
    /// By instant after [`Book::settle`]: bytes that may go from then on.
    leaving: Vec<(UtcMicros, u64)>,
    pub(super) held: u64,
}

impl Book {
    /// Enters a segment. What is held goes when its last hold ends, and not before its term.
    pub(super) fn enter(
        &mut self,
        stream: StreamId,
        meta: &SegmentMeta,
        size: u64,
        terms: &RetentionTerms,
        holds: &[(Order, UtcMicros)],
    ) {
        let term = meta.window.to + terms.of(meta.class);
        let holding = holds.iter().filter(|(order, _)| order.touches(stream, meta.window)).map(|(_, ends)| *ends).max();
        let bytes = cost(meta, size);
        self.held += if holding.is_some() { bytes } else { 0 };
        self.leaving.push((holding.map_or(term, |ends| ends.max(term)), bytes));
    }

    /// When a volume with so much room, filling at so many bytes a second, has none although nothing more may go. `None` if that is
    /// not before `horizon`, from which on what is recorded now may go itself.
    pub(super) fn breaks(mut self, free: u64, rate: f64, now: UtcMicros, horizon: UtcMicros) -> Option<UtcMicros> {
        if rate <= 0.0 {
            return None;
        }
        self.leaving.sort_unstable();
        let mut free = free as f64;
        let mut at = now;
        for (leaves, bytes) in self.leaving.into_iter().chain([(horizon, 0)]) {
            let until = leaves.min(horizon).max(at);
            let filled = rate * until.since(at).as_secs_f64();
            if filled > free {
                return Some(at + Duration::from_secs_f64((free / rate).max(0.0)));
            }
            free += bytes as f64 - filled;
            at = until;
        }
        None
    }
}

/// That people are told of a promise that will break.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forewarning {
    /// Since when they are.
    pub since: UtcMicros,
    /// When it breaks, by the newest forecast.
    pub breaks: UtcMicros,
}

/// What becomes of a warning by a new forecast: it begins [`WARNING`] before the day, and stands until the day is further off than
/// [`RELIEF`], or there is none.
pub(super) fn forewarned(before: Option<Forewarning>, breaks: Option<UtcMicros>, now: UtcMicros) -> Option<Forewarning> {
    let near = if before.is_some() { RELIEF } else { WARNING };
    let breaks = breaks.filter(|at| at.since(now) <= near)?;
    Some(Forewarning { since: before.map_or(now, |before| before.since), breaks })
}

/// Bytes a day.
pub(super) fn a_day(rate: f64) -> u64 {
    (rate * DAY_S) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: i64) -> UtcMicros {
        UtcMicros::from_micros(n * 86_400_000_000)
    }

    /// 100 bytes a day for thirty days, each to be kept for thirty.
    fn book() -> Book {
        Book { leaving: (0..30).map(|n| (day(n + 30), 100)).collect(), held: 0 }
    }

    #[test]
    fn a_disk_that_holds_its_term_never_breaks_it() {
        assert_eq!(book().breaks(150, 100.0 / DAY_S, day(30), day(60)), None);
    }

    #[test]
    fn a_disk_that_fills_faster_than_it_empties_breaks_the_promise_on_a_day_that_is_named() {
        // 130 a day come, 100 go at each day's start: of 150 bytes 20 and 100 are left after a day, then less by 30 each day.
        let breaks = book().breaks(150, 130.0 / DAY_S, day(30), day(60)).expect("it breaks");
        assert!(breaks > day(34) && breaks < day(36), "{breaks}");
    }

    #[test]
    fn a_warning_comes_three_days_before_and_a_forecast_that_wavers_does_not_take_it_back() {
        let hour = |n: i64| day(100) + Duration::from_secs(3600) * n as u32;
        let mut warned = None;
        let mut told = |breaks: Option<i64>| {
            warned = forewarned(warned, breaks.map(hour), hour(0));
            warned.map(|warned: Forewarning| warned.breaks)
        };
        assert_eq!(told(Some(73)), None);
        assert_eq!(told(Some(71)), Some(hour(71)));
        assert_eq!(told(Some(80)), Some(hour(80)), "a file more is no relief");
        assert_eq!(told(Some(97)), None, "another disk is");
        assert_eq!(told(Some(80)), None, "and from there on it is told at three days again");
        assert_eq!(told(Some(20)), Some(hour(20)));
        assert_eq!(told(None), None);
    }

    #[test]
    fn what_is_held_does_not_make_room() {
        let mut book = book();
        book.leaving.iter_mut().for_each(|(leaves, _)| *leaves = day(500));
        let breaks = book.breaks(150, 100.0 / DAY_S, day(30), day(60)).expect("it breaks");
        assert_eq!(breaks, day(30) + Duration::from_secs(36 * 3600));
    }
}
