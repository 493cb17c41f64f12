//! The tiling of a stream's time (I2, I3): what is recorded, and for what is not, why. Pure.
//!
//! - A hole takes the cause of the marks inside it, each from its instant on. What lies before the first of them takes the cause
//!   of a mark made at most [`FRESH`] before the hole, or else of that first one: trouble is noticed after it began.
//! - An older mark explains nothing any more: recording went on after it.
//! - A restart is a mark for every stream, except for those that were paused or not configured.
//! - What was removed by rule is a gap of that cause, whatever else was said about it then.
//! - A loss explains the hole it lies in; inside a recording it makes it partial.
//! - What is left has no cause: [`GapCause::Unexplained`].
//! - The end of a running stream, up to [`PENDING`] of it, is not tiled before it is known: it is on its way to the disk.

use super::{Loss, Mark, Story};
use crate::{
    footage::types::{Interval, IntervalState},
    model::{GapCause, UtcMicros, Window},
};
use std::time::Duration;

const FRESH: Duration = Duration::from_secs(10);
const PENDING: Duration = Duration::from_secs(15);
/// A loss explains a hole that is longer by no more than this at each end: fragments are dated by their first picture, losses by
/// what was shed.
const NEAR: Duration = Duration::from_secs(1);

/// Everything that is known about a stream's time around the window.
pub(in crate::footage) struct Facts<'a> {
    pub(in crate::footage) window: Window,
    /// Recorded time inside the window: merged, in order.
    pub(in crate::footage) recorded: &'a [Window],
    /// Where the last recorded span before the window ends.
    pub(in crate::footage) before: Option<UtcMicros>,
    /// Where the first one after it begins.
    pub(in crate::footage) after: Option<UtcMicros>,
    pub(in crate::footage) story: &'a Story,
    /// When this node was not running: in order.
    pub(in crate::footage) restarts: &'a [Window],
    pub(in crate::footage) now: UtcMicros,
}

/// Tiles the window without overlap or hole, up to the instant up to which something is known. Neighbours differ.
pub(in crate::footage) fn tile(facts: &Facts) -> Vec<Interval> {
    let newest = facts.recorded.last().map(|span| span.to);
    let window = Window::new(facts.window.from, facts.window.to.min(newest.max(Some(facts.now)).unwrap_or(facts.now)));
    if window.is_empty() {
        return Vec::new();
    }
    let mut tiles = Tiles::default();
    let mut at = window.from;
    let mut hole_start = facts.before;
    let ends = facts.recorded.iter().map(Some).chain([None]);
    for span in ends {
        let hole_end = span.map(|span| span.from).or(facts.after).unwrap_or(UtcMicros::MAX);
        let visible = Window::new(at, span.map_or(window.to, |span| span.from).min(window.to));
        if !visible.is_empty() {
            explain(facts, Window::new(hole_start.unwrap_or(UtcMicros::MIN), hole_end), visible, &mut tiles);
        }
        if let Some(span) = span {
            record(facts, *span, &mut tiles);
            at = span.to;
            hole_start = Some(span.to);
        }
    }
    tiles.0
}

#[derive(Default)]
struct Tiles(Vec<Interval>);

impl Tiles {
    fn push(&mut self, window: Window, state: IntervalState) {
        if window.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some(last) if last.state == state && last.window.to == window.from => last.window.to = window.to,
            _ => self.0.push(Interval { window, state }),
        }
    }

    fn gap(&mut self, window: Window, cause: GapCause, detail: &str) {
        self.push(window, IntervalState::Gap { cause, detail: detail.to_owned() });
    }
}

/// Tiles the visible part of a hole.
fn explain(facts: &Facts, hole: Window, visible: Window, tiles: &mut Tiles) {
    let story = facts.story;
    let first = story.marks.partition_point(|mark| mark.at < hole.from);
    let fresh = story.marks[..first].last().filter(|mark| hole.from == UtcMicros::MIN || mark.at + FRESH >= hole.from);
    let mut inner: Vec<_> = story.marks[first..].iter().take_while(|mark| mark.at < hole.to).map(Change::of).collect();
    // A node that was down is no news about a stream that was not to be recorded anyway.
    for restart in facts.restarts.iter().filter(|restart| restart.from + FRESH >= hole.from && restart.from < hole.to) {
        let before = inner.iter().rev().find(|change| change.at <= restart.from).map(|change| change.cause);
        let before = before.or(fresh.map(|mark| mark.cause));
        if !matches!(before, Some(GapCause::Paused | GapCause::NotConfigured)) {
            inner.push(Change { at: restart.from.max(hole.from), cause: GapCause::Restart, detail: "" });
        }
    }
    inner.sort_by_key(|change| change.at);

    let never_before = hole.from == UtcMicros::MIN;
    let start = match (fresh, inner.first()) {
        (Some(mark), _) => Some(Change::of(mark)),
        (None, _) if never_before => Some(Change { at: hole.from, cause: GapCause::NotConfigured, detail: "" }),
        (None, Some(first)) => Some(first.clone()),
        (None, None) => None,
    };
    let Some(mut active) = start else {
        let to_now = hole.to == UtcMicros::MAX;
        if to_now && facts.now.since(hole.from) <= PENDING {
            // Not known yet; nothing follows.
            return;
        }
        overlay(facts, hole, visible, None, tiles);
        return;
    };
    let mut at = visible.from;
    for change in inner {
        let until = change.at.clamp(at, visible.to);
        overlay(facts, hole, Window::new(at, until), Some(&active), tiles);
        at = until;
        active = change;
    }
    overlay(facts, hole, Window::new(at, visible.to), Some(&active), tiles);
}

#[derive(Clone)]
struct Change<'a> {
    at: UtcMicros,
    cause: GapCause,
    detail: &'a str,
}

impl<'a> Change<'a> {
    fn of(mark: &'a Mark) -> Self {
        Self { at: mark.at, cause: mark.cause, detail: &mark.detail }
    }
}

/// Tiles a part of a hole that has one cause, or none, except where a loss, or even more a removal, says otherwise.
fn overlay(facts: &Facts, hole: Window, part: Window, active: Option<&Change>, tiles: &mut Tiles) {
    if part.is_empty() {
        return;
    }
    let about = |loss: &&Loss| Window::new(loss.window.from - NEAR, loss.window.to + NEAR).covers(hole);
    let near = Window::new(hole.from - NEAR, hole.to + NEAR);
    let nearby = || facts.story.losses_in(near).find(about).map_or(GapCause::Unexplained, |loss| loss.cause);
    let (cause, detail) = active.map_or_else(|| (nearby(), ""), |change| (change.cause, change.detail));
    let mut at = part.from;
    for loss in facts.story.losses_in(part) {
        let lost = loss.window.intersect(Window::new(at, part.to));
        if !lost.is_empty() {
            unless_removed(facts, Window::new(at, lost.from), cause, detail, tiles);
            unless_removed(facts, lost, loss.cause, "", tiles);
            at = lost.to;
        }
    }
    unless_removed(facts, Window::new(at, part.to), cause, detail, tiles);
}

fn unless_removed(facts: &Facts, part: Window, cause: GapCause, detail: &str, tiles: &mut Tiles) {
    let mut at = part.from;
    for gone in facts.story.removed_in(part) {
        let gone = gone.intersect(Window::new(at, part.to));
        if !gone.is_empty() {
            tiles.gap(Window::new(at, gone.from), cause, detail);
            tiles.gap(gone, GapCause::Expired, "");
            at = gone.to;
        }
    }
    tiles.gap(Window::new(at, part.to), cause, detail);
}

/// Tiles a recorded span: whole, except where units were lost inside.
fn record(facts: &Facts, span: Window, tiles: &mut Tiles) {
    let mut at = span.from;
    for loss in facts.story.losses_in(span) {
        let lost = loss.window.intersect(Window::new(at, span.to));
        if !lost.is_empty() {
            tiles.push(Window::new(at, lost.from), IntervalState::Recorded);
            tiles.push(lost, IntervalState::Partial { cause: loss.cause, share: 1.0, units: loss.units });
            at = lost.to;
        }
    }
    tiles.push(Window::new(at, span.to), IntervalState::Recorded);
}

/// Merges neighbours that are shorter than `resolution` until they are not: for drawing. Long intervals stay as they are, and a gap
/// never vanishes: what holds both is partial, with the cause of its longest gap.
pub(in crate::footage) fn merge(tiles: Vec<Interval>, resolution: Duration) -> Vec<Interval> {
    if resolution.is_zero() {
        return tiles;
    }
    let mut merged = Vec::new();
    let mut group: Vec<Interval> = Vec::new();
    for tile in tiles {
        let long = tile.window.duration() >= resolution;
        if !long {
            group.push(tile);
            let whole = group.iter().map(|tile| tile.window.duration()).sum::<Duration>();
            if whole >= resolution {
                merged.extend(blend(&group));
                group.clear();
            }
        } else {
            merged.extend(blend(&group));
            group.clear();
            merged.push(tile);
        }
    }
    merged.extend(blend(&group));
    merged
}

/// One interval for several that follow each other. `None` for none.
fn blend(group: &[Interval]) -> Option<Interval> {
    let (first, last) = (group.first()?, group.last()?);
    if group.len() == 1 {
        return Some(first.clone());
    }
    let window = Window::new(first.window.from, last.window.to);
    let mut recorded = Duration::ZERO;
    let mut units = 0;
    let mut worst: Option<(Duration, &Interval)> = None;
    for tile in group {
        let long = tile.window.duration();
        let missing = match &tile.state {
            IntervalState::Recorded => {
                recorded += long;
                continue;
            }
            IntervalState::Gap { .. } => long,
            IntervalState::Partial { share, units: lost, .. } => {
                recorded += long.mul_f32(share.clamp(0.0, 1.0));
                units += lost;
                long.mul_f32(1.0 - share.clamp(0.0, 1.0))
            }
        };
        if worst.is_none_or(|(longest, _)| missing > longest) {
            worst = Some((missing, tile));
        }
    }
    let state = match worst.map(|(_, tile)| &tile.state) {
        None | Some(IntervalState::Recorded) => IntervalState::Recorded,
        Some(IntervalState::Gap { cause, detail }) if recorded.is_zero() => {
            IntervalState::Gap { cause: *cause, detail: detail.clone() }
        }
        Some(IntervalState::Gap { cause, .. } | IntervalState::Partial { cause, .. }) => {
            let share = recorded.as_secs_f32() / window.duration().as_secs_f32();
            IntervalState::Partial { cause: *cause, share, units }
        }
    };
    Some(Interval { window, state })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::footage::spans;
    use proptest::prelude::*;

    fn at(second: i64) -> UtcMicros {
        UtcMicros::from_micros(second * 1_000_000)
    }

    fn window(from: i64, to: i64) -> Window {
        Window::new(at(from), at(to))
    }

    /// A history as text: `rec 0..3`, `mark 3 camera_silent`, `lost 5..6 network`, `restart 7..9`, `gone 0..2`.
    #[derive(Clone, Default, Debug)]
    struct History {
        recorded: Vec<Window>,
        story: Story,
        restarts: Vec<Window>,
    }

    impl History {
        fn add(&mut self, word: &str, from: i64, to: i64, cause: GapCause) {
            match word {
                "rec" => spans::join(&mut self.recorded, window(from, to)),
                "mark" => drop(self.story.mark(Mark { at: at(from), cause, detail: String::new() }, None)),
                "lost" => self.story.lose(Loss { window: window(from, to), cause, units: 1 }),
                "restart" => spans::join(&mut self.restarts, window(from, to)),
                _ => spans::join(&mut self.story.removed, window(from, to)),
            }
        }

        fn parse(text: &str) -> Self {
            let mut history = Self::default();
            for fact in text.split('|').map(str::trim) {
                let words: Vec<&str> = fact.split_whitespace().collect();
                let (from, to) = words[1].split_once("..").unwrap_or((words[1], words[1]));
                let seconds = |text: &str| text.parse().expect("a number of seconds");
                let cause = words.get(2).map_or(GapCause::Unexplained, |word| cause(word));
                history.add(words[0], seconds(from), seconds(to), cause);
            }
            history
        }

        fn tile(&self, window: Window, now: i64) -> Vec<Interval> {
            let inside = self.recorded.iter().map(|span| span.intersect(window)).filter(|span| !span.is_empty());
            let recorded: Vec<_> = inside.collect();
            let before = self.recorded.iter().filter(|span| span.from < window.from).map(|span| span.to.min(window.from)).max();
            let after = self.recorded.iter().filter(|span| span.to > window.to).map(|span| span.from.max(window.to)).min();
            let (story, restarts, now) = (&self.story, &self.restarts[..], at(now));
            tile(&Facts { window, recorded: &recorded, before, after, story, restarts, now })
        }
    }

    fn cause(word: &str) -> GapCause {
        serde_json::from_value(word.into()).expect("a cause")
    }

    fn show(tiles: &[Interval]) -> String {
        let second = |at: UtcMicros| at.as_micros() / 1_000_000;
        let state = |state: &IntervalState| match state {
            IntervalState::Recorded => "rec".to_owned(),
            IntervalState::Gap { cause, .. } => {
                serde_json::to_value(cause).expect("a word").as_str().unwrap_or_default().to_owned()
            }
            IntervalState::Partial { cause, share, units } => format!("partial {cause:?} {share:.2} {units}"),
        };
        let tile = |tile: &Interval| format!("{} {}..{}", state(&tile.state), second(tile.window.from), second(tile.window.to));
        tiles.iter().map(tile).collect::<Vec<_>>().join(" | ")
    }

    fn check(history: &str, expected: &str) {
        assert_eq!(show(&History::parse(history).tile(window(0, 100), 100)), expected, "{history}");
    }

    #[test]
    fn a_hole_takes_the_cause_of_its_marks_also_before_the_first_was_made() {
        check("rec 0..3 | mark 3 camera_silent | rec 43..100", "rec 0..3 | camera_silent 3..43 | rec 43..100");
        check("rec 0..3 | mark 13 camera_silent | rec 43..100", "rec 0..3 | camera_silent 3..43 | rec 43..100");
        check(
            "rec 0..50 | mark 50 camera_silent | mark 60 camera_unreachable | mark 80 paused",
            "rec 0..50 | camera_silent 50..60 | camera_unreachable 60..80 | paused 80..100",
        );
    }

    #[test]
    fn before_the_first_picture_nothing_was_configured_until_a_mark_says_otherwise() {
        check("mark 20 camera_refused | rec 50..100", "not_configured 0..20 | camera_refused 20..50 | rec 50..100");
        check("rec 50..100", "not_configured 0..50 | rec 50..100");
    }

    #[test]
    fn a_mark_that_recording_went_on_after_explains_nothing_any_more() {
        check(
            "mark 0 camera_silent | rec 10..40 | rec 60..100",
            "camera_silent 0..10 | rec 10..40 | unexplained 40..60 | rec 60..100",
        );
    }

    #[test]
    fn a_restart_is_a_cause_but_not_for_what_was_paused() {
        check("rec 0..20 | restart 21..40 | rec 45..100", "rec 0..20 | restart 20..45 | rec 45..100");
        check("rec 0..20 | mark 20 paused | restart 30..40 | rec 45..100", "rec 0..20 | paused 20..45 | rec 45..100");
        check(
            "rec 0..20 | mark 20 camera_silent | restart 30..40 | mark 50 camera_refused | rec 60..100",
            "rec 0..20 | camera_silent 20..30 | restart 30..50 | camera_refused 50..60 | rec 60..100",
        );
    }

    #[test]
    fn a_loss_explains_its_hole_and_makes_recorded_time_partial() {
        check("rec 0..20 | lost 20..23 our_queue | rec 23..100", "rec 0..20 | our_queue 20..23 | rec 23..100");
        check("rec 0..100 | lost 20..23 network", "rec 0..20 | partial Network 1.00 1 20..23 | rec 23..100");
    }

    #[test]
    fn what_expired_says_so() {
        check(
            "gone 0..50 | mark 55 camera_silent | rec 60..100",
            "expired 0..50 | not_configured 50..55 | camera_silent 55..60 | rec 60..100",
        );
    }

    #[test]
    fn the_end_of_a_running_stream_is_not_called_a_gap() {
        check("rec 0..90", "rec 0..90");
        check("rec 0..60", "rec 0..60 | unexplained 60..100");
        check("rec 0..95 | mark 95 camera_silent", "rec 0..95 | camera_silent 95..100");
    }

    #[test]
    fn merging_keeps_every_gap_visible() {
        let tiles = History::parse("rec 0..50 | lost 50..51 our_queue | rec 51..100").tile(window(0, 100), 100);
        assert_eq!(show(&merge(tiles.clone(), Duration::from_secs(10))), "rec 0..50 | our_queue 50..51 | rec 51..100");
        let busy = "rec 0..3 | lost 3..4 our_queue | rec 4..7 | lost 7..9 disk | rec 9..100";
        let merged = merge(History::parse(busy).tile(window(0, 100), 100), Duration::from_secs(9));
        assert_eq!(show(&merged), "partial Disk 0.67 0 0..9 | rec 9..100");
    }

    fn facts() -> impl Strategy<Value = Vec<(usize, i64, i64, usize)>> {
        prop::collection::vec((0usize..5, 0i64..300, 1i64..40, 0usize..GapCause::ALL.len()), 0..30)
    }

    fn history(facts: &[(usize, i64, i64, usize)]) -> History {
        let mut history = History::default();
        for (word, from, len, cause) in facts {
            history.add(["rec", "rec", "mark", "lost", "restart"][*word], *from, from + len, GapCause::ALL[*cause]);
        }
        history
    }

    proptest! {
        #[test]
        fn time_is_tiled_without_overlap_or_hole(facts in facts(), from in -10i64..300, len in 1i64..200, now in 0i64..400, seconds in 0u64..30) {
            let history = history(&facts);
            let window = window(from, from + len);
            let tiles = history.tile(window, now);
            for tiles in [tiles.clone(), merge(tiles, Duration::from_secs(seconds))] {
                let mut edge = window.from;
                for tile in &tiles {
                    prop_assert_eq!(tile.window.from, edge);
                    prop_assert!(!tile.window.is_empty());
                    edge = tile.window.to;
                }
                prop_assert!(edge <= window.to);
                let whole = tiles.is_empty() || edge == window.to || edge >= at(now).min(window.to) - PENDING;
                prop_assert!(whole, "ends at {:?}", edge);
                // What is called a gap was not recorded; what is called recorded was.
                for tile in &tiles {
                    let touched = history.recorded.iter().any(|span| span.overlaps(tile.window));
                    match tile.state {
                        IntervalState::Gap { .. } => prop_assert!(!touched),
                        IntervalState::Recorded => prop_assert!(history.recorded.iter().any(|span| span.covers(tile.window))),
                        IntervalState::Partial { .. } => prop_assert!(touched),
                    }
                }
            }
        }

        #[test]
        fn a_part_of_the_answer_is_the_answer_for_the_part(facts in facts(), from in 0i64..300, len in 1i64..100) {
            let history = history(&facts);
            let (part, all) = (window(from, from + len), window(-50, 500));
            let clipped: Vec<_> = history
                .tile(all, 1000)
                .into_iter()
                .map(|tile| Interval { window: tile.window.intersect(part), ..tile })
                .filter(|tile| !tile.window.is_empty())
                .collect();
            prop_assert_eq!(show(&history.tile(part, 1000)), show(&clipped));
        }
    }
}
