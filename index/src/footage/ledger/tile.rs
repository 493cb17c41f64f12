//! The tiling of a stream's time (I2, I3): what is recorded, and for what is not, why. Pure.
//!
//! - A hole takes the cause of the marks inside it, each from its instant on. What lies before the first of them takes the cause
//!   of a mark made at most [`FRESH`] before the hole, or else of that first one: trouble is noticed after it began.
//! - An older mark explains nothing any more: recording went on after it.
//! - A restart is a mark for every stream, except for those that were paused or not configured. So is a time in which the process was
//!   stopped. What a mark says of an instant while nothing ran counts from when it ran again.
//! - What was removed by rule or order is a gap of that cause, whatever else was said about it then; around it the causes are what
//!   they were while it was there.
//! - A loss explains the hole it lies in; inside a recording it makes it partial, but for a disk that was given up and is back, and
//!   for the end of a run, which a clock that was set back may record over.
//! - Before footage that is dated later than now, because the clock was ahead, lies time that has not come yet: nothing was to be
//!   recorded then.
//! - A hole that begins when a run ended, by the clock which that run had, is the end of that run where nothing else explains it.
//! - What is left has no cause: [`GapCause::Unexplained`].
//! - The end of a running stream, up to [`PENDING`] of it and as far as it waits in memory for a disk that takes its time, is not tiled
//!   before it is known: it is on its way to the disk.

use super::story::{Loss, Mark, Removed, Story};
use crate::{
    footage::{
        spans,
        types::{Interval, IntervalState},
    },
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
    /// Recorded time, merged and in order: what overlaps the window, and what stands next to it on either side.
    pub(in crate::footage) recorded: &'a [Window],
    pub(in crate::footage) story: &'a Story,
    /// When this node was not running: in order.
    pub(in crate::footage) restarts: &'a [Window],
    /// When runs of this node ended, by the clocks that they had: some time in each of these.
    pub(in crate::footage) ends: &'a [Window],
    pub(in crate::footage) now: UtcMicros,
    /// From when on what was received waits for a disk that takes its time; `None` if nothing waits.
    pub(in crate::footage) waiting: Option<UtcMicros>,
}

/// Tiles the window without overlap or hole, up to the instant up to which something is known. Neighbours differ.
pub(in crate::footage) fn tile(facts: &Facts) -> Vec<Interval> {
    let newest = facts.recorded.iter().filter(|span| span.overlaps(facts.window)).map(|span| span.to).max();
    let window = Window::new(facts.window.from, facts.window.to.min(newest.max(Some(facts.now)).unwrap_or(facts.now)));
    if window.is_empty() {
        return Vec::new();
    }
    let (mut tiles, mut hole_start) = (Tiles::default(), UtcMicros::MIN);
    for span in footage(facts) {
        hole(facts, Window::new(hole_start, span.window.from), window, &mut tiles);
        let visible = span.window.intersect(window);
        match span.removed {
            None => record(facts, visible, &mut tiles),
            Some(removed) => tiles.gap(visible, removed.cause, &removed.detail()),
        }
        hole_start = span.window.to;
    }
    hole(facts, Window::new(hole_start, UtcMicros::MAX), window, &mut tiles);
    tiles.0
}

/// Time in which there was a recording: it is there, or was removed on purpose.
struct Footage<'a> {
    window: Window,
    removed: Option<&'a Removed>,
}

/// What was ever recorded around the window, in order and apart. What is there counts before what is gone.
fn footage<'a>(facts: &Facts<'a>) -> Vec<Footage<'a>> {
    let mut all: Vec<Footage> = facts.recorded.iter().map(|span| Footage { window: *span, removed: None }).collect();
    for removed in facts.story.removed_around(facts.window) {
        let mut from = removed.window.from;
        for span in facts.recorded.iter().filter(|span| span.overlaps(removed.window)) {
            all.push(Footage { window: Window::new(from, span.from), removed: Some(removed) });
            from = from.max(span.to);
        }
        all.push(Footage { window: Window::new(from, removed.window.to), removed: Some(removed) });
    }
    all.retain(|span| !span.window.is_empty());
    all.sort_unstable_by_key(|span| span.window.from);
    // Between recorded spans so short a hole is none; nor is it where one of the two is gone by now.
    for at in 1..all.len() {
        let (before, after) = (all[at - 1].window.to, all[at].window.from);
        if before < after && after <= before + spans::JOIN {
            if all[at - 1].removed.is_some() {
                all[at - 1].window.to = after;
            } else if all[at].removed.is_some() {
                all[at].window.from = before;
            }
        }
    }
    all
}

/// Whether a hole goes on at the end of what is tiled: then its last seconds may still come from the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Past,
    Present,
}

/// Tiles what the window shows of a hole between recordings.
fn hole(facts: &Facts, hole: Window, window: Window, tiles: &mut Tiles) {
    let visible = hole.intersect(window);
    if visible.is_empty() {
        return;
    }
    let open = hole.to >= window.to && hole.contains(facts.now);
    explain(facts, hole, visible, if open { End::Present } else { End::Past }, tiles);
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
fn explain(facts: &Facts, hole: Window, visible: Window, end: End, tiles: &mut Tiles) {
    let story = facts.story;
    let first = story.marks.partition_point(|mark| mark.at < hole.from);
    let fresh = story.marks[..first].last().filter(|mark| hole.from == UtcMicros::MIN || mark.at + FRESH >= hole.from);
    // A restart that was over when recording went on is not why it ended again later.
    let restarts = || facts.restarts.iter().filter(|restart| restart.to + NEAR >= hole.from && restart.from < hole.to);
    let ran = |at: UtcMicros| restarts().find(|restart| restart.from < at && at < restart.to).map_or(at, |restart| restart.to);
    let marks = story.marks[first..].iter().take_while(|mark| mark.at < hole.to);
    let mut inner: Vec<_> = marks.map(|mark| Change { at: ran(mark.at), ..Change::of(mark) }).collect();
    // A node that was down is no news about a stream that was not to be recorded anyway.
    for restart in restarts() {
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
        // A clock that was ahead left footage behind that is dated later than now: what lies between has not come yet.
        let losses = story.losses_in(Window::new(hole.from, facts.now.max(hole.from)));
        let settled = losses.map(|loss| loss.window.to.min(facts.now)).max().map_or(hole.from, |last| last.max(hole.from));
        let known = if is_young(facts, settled) { settled } else { facts.now };
        if end == End::Present || known >= hole.to {
            return unmarked(facts, hole, visible, end, tiles);
        }
        unmarked(
            facts,
            Window::new(hole.from, known),
            Window::new(visible.from, known.clamp(visible.from, visible.to)),
            end,
            tiles,
        );
        let coming = Window::new(known.clamp(visible.from, visible.to), visible.to);
        return tiles.gap(coming, GapCause::NotConfigured, "the clock has not come to this time yet");
    };
    let mut at = visible.from;
    for change in inner {
        let until = change.at.clamp(at, visible.to);
        overlay(facts, Window::new(at, until), &active, tiles);
        at = until;
        active = change;
    }
    overlay(facts, Window::new(at, visible.to), &active, tiles);
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

/// Tiles a part of a hole that has one cause, except where a loss says otherwise.
fn overlay(facts: &Facts, part: Window, active: &Change, tiles: &mut Tiles) {
    let mut at = part.from;
    // What a stopped recorder let camera and network drop was not theirs to keep.
    let ours = |loss: &Loss| active.cause == GapCause::Restart && facts.restarts.iter().any(|down| down.overlaps(loss.window));
    for loss in facts.story.losses_in(part).filter(|loss| !ours(loss)) {
        let lost = loss.window.intersect(Window::new(at, part.to));
        if !lost.is_empty() {
            tiles.gap(Window::new(at, lost.from), active.cause, active.detail);
            tiles.gap(lost, loss.cause, "");
            at = lost.to;
        }
    }
    tiles.gap(Window::new(at, part.to), active.cause, active.detail);
}

/// Tiles the visible part of a hole that no mark speaks of: losses explain it, and what stands next to them as far as [`NEAR`]. At the
/// present end the rest is not known yet.
fn unmarked(facts: &Facts, hole: Window, visible: Window, end: End, tiles: &mut Tiles) {
    let near = Window::new(hole.from - NEAR, hole.to + NEAR);
    let about = |loss: &&Loss| Window::new(loss.window.from - NEAR, loss.window.to + NEAR).covers(hole);
    let rest = facts.story.losses_in(near).find(about).map_or(GapCause::Unexplained, |loss| loss.cause);
    let beside = |piece: Window, loss: GapCause| if piece.duration() <= NEAR { loss } else { rest };
    let (mut at, mut last) = (hole.from, rest);
    // What is lost later, or earlier by a clock that was ahead, says nothing about what is on its way to the disk.
    let young = |from: UtcMicros| end == End::Present && is_young(facts, from);
    let ended = facts.ends.iter().any(|end| end.contains(hole.from));
    let name = |cause| if ended && cause == GapCause::Unexplained { GapCause::Restart } else { cause };
    for loss in facts.story.losses_in(hole) {
        let piece = Window::new(at, loss.window.from);
        let cause = beside(piece, loss.cause);
        if cause == GapCause::Unexplained && !piece.is_empty() && young(at) {
            return;
        }
        tiles.gap(piece.intersect(visible), name(cause), "");
        tiles.gap(loss.window.intersect(Window::new(at, hole.to)).intersect(visible), loss.cause, "");
        at = at.max(loss.window.to);
        last = loss.cause;
    }
    let tail = Window::new(at, hole.to);
    if !young(at) {
        tiles.gap(tail.intersect(visible), name(beside(tail, last)), "");
    }
}

/// Whether what was received from then on may still be on its way to the disk.
fn is_young(facts: &Facts, from: UtcMicros) -> bool {
    facts.now.since(from) <= PENDING || facts.waiting.is_some_and(|since| since <= from + spans::JOIN)
}

/// Tiles a recorded span: whole, except where units were lost inside.
fn record(facts: &Facts, span: Window, tiles: &mut Tiles) {
    let mut at = span.from;
    let back = |loss: &&Loss| matches!(loss.cause, GapCause::Disk | GapCause::Restart) && loss.units == 0;
    for loss in facts.story.losses_in(span).filter(|loss| !back(loss)) {
        let lost = loss.window.intersect(Window::new(at, span.to));
        if !lost.is_empty() {
            tiles.push(Window::new(at, lost.from), IntervalState::Recorded);
            tiles.push(lost, IntervalState::Partial { cause: loss.cause, share: 1.0, units: loss.units });
            at = lost.to;
        }
    }
    tiles.push(Window::new(at, span.to), IntervalState::Recorded);
}

#[cfg(test)]
#[path = "tile_tests.rs"]
mod tests;
