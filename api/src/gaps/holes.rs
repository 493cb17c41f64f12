//! Reads the holes out of a tiled span of a camera's time. Pure.

use index::{
    footage::{Interval, IntervalState},
    model::{CameraId, GapCause, UtcMicros, Window},
};
use std::time::Duration;

/// A shorter hole is in the ledger's sums, and no event: nobody could act on it.
const LEAST: Duration = Duration::from_secs(1);

/// A hole in a camera's recording that is over.
#[derive(Clone, PartialEq, Debug)]
pub struct Gap {
    /// Whose.
    pub camera: CameraId,
    /// From the last picture before it to the first one after it.
    pub window: Window,
    /// The cause of most of it.
    pub cause: GapCause,
}

/// The holes in `tiles` that were over before `settled`, oldest first, and from where on to look the next time: never past the
/// beginning of a hole that is not over. `None` if nothing was tiled.
///
/// A hole in which the cause changes is one hole. Time in which nothing was to be recorded, or whose footage was there and is gone, ends
/// a hole and is none: it was wanted, and has a record of its own.
#[must_use]
pub fn holes(camera: CameraId, tiles: &[Interval], settled: UtcMicros) -> (Vec<Gap>, Option<UtcMicros>) {
    let mut gaps = Vec::new();
    let mut open: Vec<(Window, GapCause)> = Vec::new();
    let mut next = None;
    for tile in tiles.iter().take_while(|tile| tile.window.from < settled) {
        match &tile.state {
            IntervalState::Gap { cause, .. } if unwanted(*cause) => open.push((tile.window, *cause)),
            _ => {
                gaps.extend(close(camera, &std::mem::take(&mut open)).filter(|gap| gap.window.duration() >= LEAST));
                next = Some(tile.window.to.min(settled));
            }
        }
    }
    (gaps, open.first().map(|(window, _)| window.from).or(next))
}

fn close(camera: CameraId, parts: &[(Window, GapCause)]) -> Option<Gap> {
    let window = Window::new(parts.first()?.0.from, parts.last()?.0.to);
    let share = |wanted: GapCause| -> Duration {
        parts.iter().filter(|(_, cause)| *cause == wanted).map(|(window, _)| window.duration()).sum()
    };
    // Of two that take as long the first: it began the trouble.
    let cause = parts.iter().rev().map(|(_, cause)| *cause).max_by_key(|cause| share(*cause))?;
    Some(Gap { camera, window, cause })
}

fn unwanted(cause: GapCause) -> bool {
    !matches!(cause, GapCause::NotConfigured | GapCause::Paused | GapCause::Expired | GapCause::Erased | GapCause::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use GapCause::{CameraSilent, CameraUnreachable, Expired, Paused, Restart};

    fn at(tenths: i64) -> UtcMicros {
        UtcMicros::from_micros(tenths * 100_000)
    }

    /// Tiles in tenths of a second: `None` is recorded.
    fn check(tiles: &[(i64, i64, Option<GapCause>)], settled: i64, expected: &[(i64, i64, GapCause)], next: Option<i64>) {
        let tiles: Vec<Interval> = tiles
            .iter()
            .map(|(from, to, cause)| Interval {
                window: Window::new(at(*from), at(*to)),
                state: cause.map_or(IntervalState::Recorded, |cause| IntervalState::Gap { cause, detail: String::new() }),
            })
            .collect();
        let camera = CameraId::new(7).expect("a number");
        let (gaps, from) = holes(camera, &tiles, at(settled));
        let expected: Vec<Gap> = expected
            .iter()
            .map(|(from, to, cause)| Gap { camera, window: Window::new(at(*from), at(*to)), cause: *cause })
            .collect();
        assert_eq!((gaps, from), (expected, next.map(at)));
    }

    #[test]
    fn a_hole_is_told_once_it_is_over_with_the_cause_of_most_of_it() {
        let tiles = [(0, 100, None), (100, 200, Some(CameraSilent)), (200, 900, Some(CameraUnreachable)), (900, 990, None)];
        check(&tiles, 950, &[(100, 900, CameraUnreachable)], Some(950));
        check(&tiles, 850, &[], Some(100));
        check(&tiles[..3], 880, &[], Some(100));
        check(
            &[(0, 30, None), (30, 60, Some(CameraSilent)), (60, 90, Some(Restart)), (90, 99, None)],
            99,
            &[(30, 90, CameraSilent)],
            Some(99),
        );
    }

    #[test]
    fn what_was_not_to_be_recorded_or_is_gone_on_purpose_is_no_gap() {
        let tiles = [(0, 100, None), (100, 200, Some(Paused)), (200, 300, Some(Expired)), (300, 400, None)];
        check(&tiles, 350, &[], Some(350));
        check(&[(0, 100, Some(CameraSilent)), (100, 200, Some(Paused))], 150, &[(0, 100, CameraSilent)], Some(150));
    }

    #[test]
    fn what_is_shorter_than_a_second_stands_in_the_sums_alone() {
        check(&[(0, 100, None), (100, 109, Some(Restart)), (109, 200, None)], 150, &[], Some(150));
        check(&[], 150, &[], None);
    }
}
