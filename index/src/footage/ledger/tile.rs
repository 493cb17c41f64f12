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

use super::{Mark, Story};
use crate::{
    footage::types::{Interval, IntervalState},
    model::{GapCause, UtcMicros, Window},
};
use std::time::Duration;

const FRESH: Duration = Duration::from_secs(10);
const PENDING: Duration = Duration::from_secs(15);
/// A loss this near to a hole is its cause: fragments are dated by their first picture, losses by what was shed.
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
        overlay(facts, visible, None, tiles);
        return;
    };
    let mut at = visible.from;
    for change in inner {
        let until = change.at.clamp(at, visible.to);
        overlay(facts, Window::new(at, until), Some(&active), tiles);
        at = until;
        active = change;
    }
    overlay(facts, Window::new(at, visible.to), Some(&active), tiles);
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
fn overlay(facts: &Facts, part: Window, active: Option<&Change>, tiles: &mut Tiles) {
    if part.is_empty() {
        return;
    }
    let near = Window::new(part.from - NEAR, part.to + NEAR);
    let nearby = || facts.story.losses_in(near).next().map_or(GapCause::Unexplained, |loss| loss.cause);
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
