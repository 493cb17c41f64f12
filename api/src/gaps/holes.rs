//! Reads the holes out of a tiled span of a stream's time, and puts those of a camera's two streams together. Pure.

use index::{
    footage::{Interval, IntervalState},
    model::{GapCause, StreamId, UtcMicros, Window},
};
use std::time::Duration;

/// A shorter hole is in the ledger's sums, and no event: nobody could act on it.
const LEAST: Duration = Duration::from_secs(1);

/// Holes of a camera's two streams that begin so close to each other are one trouble,
const BEGAN_TOGETHER: Duration = Duration::from_secs(15);
/// if they also end so close to each other. The other stream's end is waited for so long: a stream that was away is tried again every
/// half a minute.
const ENDED_TOGETHER: Duration = Duration::from_secs(45);

/// A hole in a stream's recording that is over.
#[derive(Clone, PartialEq, Debug)]
pub struct Gap {
    /// Whose. The main stream's, where it and the sub-stream have it together.
    pub stream: StreamId,
    /// From the last picture before it to the first one after it.
    pub window: Window,
    /// The cause of most of it.
    pub cause: GapCause,
    /// The hole that the camera's sub-stream has together with this one of its main stream.
    pub with_sub: Option<Window>,
}

/// What is known of a stream's holes.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Holes {
    /// Those that were over, oldest first.
    pub over: Vec<Gap>,
    /// The beginning of one that is not.
    pub open: Option<UtcMicros>,
    /// From where on to look the next time: never past the beginning of a hole that is not told. `None` if nothing was tiled.
    pub next: Option<UtcMicros>,
}

/// The holes in `tiles`, as things stood at `settled`.
///
/// A hole in which the cause changes is one hole. Time in which nothing was to be recorded, or whose footage was there and is gone, ends
/// a hole and is none: it was wanted, and has a record of its own.
#[must_use]
pub fn holes(stream: StreamId, tiles: &[Interval], settled: UtcMicros) -> Holes {
    let mut gaps = Vec::new();
    let mut open: Vec<(Window, GapCause)> = Vec::new();
    let mut next = None;
    for tile in tiles.iter().take_while(|tile| tile.window.from < settled) {
        match &tile.state {
            IntervalState::Gap { cause, .. } if unwanted(*cause) => open.push((tile.window, *cause)),
            _ => {
                gaps.extend(close(stream, &std::mem::take(&mut open)).filter(|gap| gap.window.duration() >= LEAST));
                next = Some(tile.window.to.min(settled));
            }
        }
    }
    let open = open.first().map(|(window, _)| window.from);
    Holes { over: gaps, open, next: open.or(next) }
}

/// Puts the holes of a camera's main stream and sub-stream together: one that both have for one cause is the main stream's, and says
/// so. A hole waits for the other stream's that began with it, for a while; what follows it waits with it.
#[must_use]
pub fn together(main: &mut Holes, sub: &mut Holes, settled: UtcMicros) -> Vec<Gap> {
    let later = first_that_waits(main, sub, settled);
    let later_of_sub = first_that_waits(sub, main, settled);
    postpone(main, later);
    postpone(sub, later_of_sub);
    let mut all = std::mem::take(&mut main.over);
    for gap in std::mem::take(&mut sub.over) {
        match all.iter_mut().find(|one| one.stream != gap.stream && one.with_sub.is_none() && one.is_one_with(&gap)) {
            Some(one) => one.with_sub = Some(gap.window),
            None => all.push(gap),
        }
    }
    all
}

/// The first hole that may turn out to be one with the other stream's that is not over.
fn first_that_waits(one: &Holes, other: &Holes, settled: UtcMicros) -> Option<usize> {
    let open = other.open?;
    let waits = |gap: &Gap| {
        near(gap.window.from, open, BEGAN_TOGETHER)
            && settled.since(gap.window.to) < ENDED_TOGETHER
            && !other.over.iter().any(|over| over.is_one_with(gap))
    };
    one.over.iter().position(waits)
}

fn postpone(holes: &mut Holes, from: Option<usize>) {
    if let Some(first) = from {
        holes.next = holes.over.get(first).map(|gap| gap.window.from);
        holes.over.truncate(first);
    }
}

fn near(one: UtcMicros, other: UtcMicros, span: Duration) -> bool {
    one.max(other).since(one.min(other)) <= span
}

impl Gap {
    fn is_one_with(&self, other: &Self) -> bool {
        group(self.cause) == group(other.cause)
            && near(self.window.from, other.window.from, BEGAN_TOGETHER)
            && near(self.window.to, other.window.to, ENDED_TOGETHER)
    }
}

/// Causes that one broken line shows as, now this and now that, are one group.
pub(super) fn group(cause: GapCause) -> u8 {
    match cause {
        GapCause::CameraUnreachable | GapCause::CameraSilent | GapCause::Network | GapCause::NoNetwork => {
            GapCause::CameraUnreachable.code()
        }
        other => other.code(),
    }
}

fn close(stream: StreamId, parts: &[(Window, GapCause)]) -> Option<Gap> {
    let window = Window::new(parts.first()?.0.from, parts.last()?.0.to);
    let share = |wanted: GapCause| -> Duration {
        parts.iter().filter(|(_, cause)| *cause == wanted).map(|(window, _)| window.duration()).sum()
    };
    // Of two that take as long the first: it began the trouble.
    let cause = parts.iter().rev().map(|(_, cause)| *cause).max_by_key(|cause| share(*cause))?;
    Some(Gap { stream, window, cause, with_sub: None })
}

fn unwanted(cause: GapCause) -> bool {
    !matches!(cause, GapCause::NotConfigured | GapCause::Paused | GapCause::Expired | GapCause::Erased | GapCause::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use GapCause::{CameraSilent, CameraUnreachable, Expired, Paused, Restart};
    use index::model::{CameraId, StreamKind};

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
        let stream = stream(StreamKind::Main);
        let Holes { over, next: from, .. } = holes(stream, &tiles, at(settled));
        let expected: Vec<Gap> = expected.iter().map(|(from, to, cause)| gap(StreamKind::Main, *from, *to, *cause)).collect();
        assert_eq!((over, from), (expected, next.map(at)));
    }

    fn stream(kind: StreamKind) -> StreamId {
        StreamId::new(CameraId::new(7).expect("a number"), kind)
    }

    fn gap(kind: StreamKind, from: i64, to: i64, cause: GapCause) -> Gap {
        Gap { stream: stream(kind), window: Window::new(at(from), at(to)), cause, with_sub: None }
    }

    #[test]
    fn a_hole_of_both_streams_is_one_and_waits_for_the_stream_that_comes_back_later() {
        let over = |kind, spans: &[(i64, i64, GapCause)]| Holes {
            over: spans.iter().map(|(from, to, cause)| gap(kind, *from, *to, *cause)).collect(),
            open: None,
            next: Some(at(5000)),
        };
        let open = |from| Holes { over: Vec::new(), open: Some(at(from)), next: Some(at(from)) };
        let main = over(StreamKind::Main, &[(100, 900, CameraUnreachable), (2000, 2100, Restart)]);
        // Both for one cause: one hole. What only the sub-stream has stays its own.
        let mut sub = over(StreamKind::Sub, &[(90, 1100, CameraSilent), (3000, 3050, CameraSilent)]);
        let found = together(&mut main.clone(), &mut sub, at(5000));
        let spans: Vec<_> = found.iter().map(|gap| (gap.stream.kind, gap.with_sub.is_some(), gap.window.from)).collect();
        let expected =
            [(StreamKind::Main, true, at(100)), (StreamKind::Main, false, at(2000)), (StreamKind::Sub, false, at(3000))];
        assert_eq!(spans, expected);
        // The sub-stream is still away: the hole waits and is not passed, but not for ever.
        let mut waiting = main.clone();
        assert_eq!(together(&mut waiting, &mut open(110), at(1000)), []);
        assert_eq!(waiting.next, Some(at(100)));
        assert_eq!(together(&mut main.clone(), &mut open(110), at(5000)).len(), 2);
        // One that was away long before has nothing to do with it.
        assert_eq!(together(&mut main.clone(), &mut open(-9000), at(1000)).len(), 2);
        // And the other way round.
        let mut sub = over(StreamKind::Sub, &[(100, 900, CameraUnreachable)]);
        assert_eq!((together(&mut open(100), &mut sub, at(1000)), sub.next), (Vec::new(), Some(at(100))));
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
