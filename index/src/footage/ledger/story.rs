//! What is known about one stream's time beside what is recorded: marks, losses and removals, each sorted and asked by binary search.

use crate::{
    footage::spans,
    model::{GapCause, UtcMicros, Window},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// From an instant on, whatever is not recorded is missing for this cause.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(in crate::footage) struct Mark {
    pub(in crate::footage) at: UtcMicros,
    pub(in crate::footage) cause: GapCause,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(in crate::footage) detail: String,
}

/// A definite loss.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(in crate::footage) struct Loss {
    pub(in crate::footage) window: Window,
    pub(in crate::footage) cause: GapCause,
    pub(in crate::footage) units: u32,
}

/// Recorded time that is gone on purpose: by the rule of its term, or by an order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(in crate::footage) struct Removed {
    pub(in crate::footage) window: Window,
    /// [`GapCause::Expired`] or [`GapCause::Erased`].
    pub(in crate::footage) cause: GapCause,
    /// In words: `standard, 30 days`, or which order.
    pub(in crate::footage) rule: String,
    /// When: from the first removal in it to the last.
    pub(in crate::footage) done: Window,
}

impl Removed {
    /// What a person who asks for this time is told.
    pub(super) fn detail(&self) -> String {
        match self.cause {
            _ if self.rule.is_empty() => String::new(),
            GapCause::Erased => format!("erased by {} at {}", self.rule, self.done.to),
            _ => format!("deleted by rule {} at {}", self.rule, self.done.to),
        }
    }

    /// Whether `next` continues it: what expires segment by segment is one removal a day.
    fn goes_on(&self, next: &Self) -> bool {
        // Between two that were erased there may be one that is held, however short it is.
        let apart = if self.cause == GapCause::Erased { Duration::ZERO } else { spans::JOIN };
        self.cause == next.cause
            && self.rule == next.rule
            && next.window.from <= self.window.to + apart
            && next.done.to.since(self.done.from) <= DAY
            && self.done.to.since(next.done.from) <= DAY
    }
}

const DAY: Duration = Duration::from_secs(86_400);

/// A time in which nothing of a stream came, and somebody has said why already.
#[derive(Clone, Copy, Debug)]
pub(in crate::footage) struct Silence {
    /// The instant from which on that was said.
    pub(in crate::footage) marked: UtcMicros,
    /// Where the picture ends that was recorded last, if there is one.
    pub(in crate::footage) recorded: Option<UtcMicros>,
}

/// See the module.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(in crate::footage) struct Story {
    /// By instant.
    pub(in crate::footage) marks: Vec<Mark>,
    /// By start.
    pub(in crate::footage) losses: Vec<Loss>,
    /// By start, none overlapping another.
    pub(in crate::footage) removed: Vec<Removed>,
    /// The longest loss: how far back a search must look.
    #[serde(default)]
    longest: Duration,
}

impl Story {
    /// The same cause again in one `silence` says nothing new.
    pub(super) fn mark(&mut self, mark: Mark, silence: Option<Silence>) -> bool {
        let at = self.marks.partition_point(|other| other.at <= mark.at);
        let before = at.checked_sub(1).map(|before| &self.marks[before]);
        let again = |before: &Mark| before.cause == mark.cause && before.detail == mark.detail;
        // Where somebody set the clock, what stands before it may be about another time altogether.
        let goes_on = |silence: Silence, before: &Mark| {
            before.at == silence.marked && silence.recorded.is_none_or(|recorded| before.at >= recorded)
        };
        let same_hole = |before: &Mark| before.at == mark.at || silence.is_some_and(|silence| goes_on(silence, before));
        if before.is_some_and(|before| again(before) && same_hole(before)) {
            return false;
        }
        self.marks.insert(at, mark);
        true
    }

    pub(super) fn lose(&mut self, loss: Loss) {
        self.longest = self.longest.max(loss.window.duration());
        let at = self.losses.partition_point(|other| other.window.from <= loss.window.from);
        match at.checked_sub(1).map(|before| &mut self.losses[before]) {
            // A run of losses is one: what is shed is shed second by second.
            Some(before) if before.cause == loss.cause && loss.window.from <= before.window.to + spans::JOIN => {
                before.window.to = before.window.to.max(loss.window.to);
                before.units = before.units.saturating_add(loss.units);
                self.longest = self.longest.max(before.window.duration());
            }
            _ => self.losses.insert(at, loss),
        }
    }

    /// Notes a removal. What was removed before stays removed by what removed it; so the same fact may come twice.
    pub(super) fn remove(&mut self, removed: &Removed) {
        let mut from = removed.window.from;
        let known: Vec<Window> = self.removed_in(removed.window).map(|gone| gone.window).collect();
        for window in known.into_iter().chain([Window::new(removed.window.to, removed.window.to)]) {
            self.insert_removed(Removed { window: Window::new(from, window.from), ..removed.clone() });
            from = from.max(window.to);
        }
    }

    fn insert_removed(&mut self, new: Removed) {
        if new.window.is_empty() {
            return;
        }
        let at = self.removed.partition_point(|other| other.window.from < new.window.from);
        self.removed.insert(at, new);
        // What stands behind it may go on from it, and it from what stands before.
        for first in [at, at.wrapping_sub(1)] {
            let Some([before, next]) = self.removed.get(first..first.saturating_add(2)) else { continue };
            if before.goes_on(next) {
                let next = self.removed.remove(first + 1);
                let before = &mut self.removed[first];
                before.window.to = next.window.to;
                before.done = Window::new(before.done.from.min(next.done.from), before.done.to.max(next.done.to));
            }
        }
    }

    pub(super) fn losses_in(&self, window: Window) -> impl Iterator<Item = &Loss> {
        let first = self.losses.partition_point(|loss| loss.window.from < window.from - self.longest);
        self.losses[first..]
            .iter()
            .take_while(move |loss| loss.window.from < window.to)
            .filter(move |loss| loss.window.overlaps(window))
    }

    pub(in crate::footage) fn removed_in(&self, window: Window) -> impl Iterator<Item = &Removed> {
        let first = self.removed.partition_point(|gone| gone.window.to <= window.from);
        self.removed[first..].iter().take_while(move |gone| gone.window.from < window.to)
    }

    /// What of the window was not erased, if an order names it, nor went at the end of a term at `over` or later.
    pub(in crate::footage) fn left_of(&self, window: Window, over: Option<UtcMicros>, ordered: bool) -> Vec<Window> {
        let mut left = vec![window];
        let counts = |gone: &&Removed| match gone.cause {
            GapCause::Erased => ordered,
            _ => over.is_some_and(|over| gone.done.to >= over),
        };
        self.removed_in(window).filter(counts).for_each(|gone| spans::cut(&mut left, gone.window));
        left
    }

    /// Whether anything from that instant on was erased by order.
    pub(in crate::footage) fn any_erased_from(&self, at: UtcMicros) -> bool {
        self.removed.iter().rev().take_while(|gone| gone.window.to > at).any(|gone| gone.cause == GapCause::Erased)
    }

    /// Removals in the window, with one more on either side.
    pub(super) fn removed_around(&self, window: Window) -> &[Removed] {
        let first = self.removed.partition_point(|gone| gone.window.to <= window.from).saturating_sub(1);
        let last = self.removed.partition_point(|gone| gone.window.from < window.to);
        &self.removed[first..(last + 1).min(self.removed.len())]
    }

    /// Forgets what lies wholly before `horizon`, except the last mark, which may still speak for what follows, and what was erased by
    /// order, which is asked for years later.
    pub(super) fn forget(&mut self, horizon: UtcMicros) {
        let marks = self.marks.partition_point(|mark| mark.at < horizon).saturating_sub(1);
        self.marks.drain(..marks);
        self.losses.retain(|loss| loss.window.to >= horizon);
        // Long after it all expired, where its gaps were matters to nobody; that it was there, and when the last of it went, does.
        let mut kept: Vec<Removed> = Vec::with_capacity(self.removed.len());
        for gone in self.removed.drain(..) {
            match kept.last_mut() {
                Some(before)
                    if gone.window.to < horizon && before.cause == GapCause::Expired && gone.cause == GapCause::Expired =>
                {
                    before.window.to = gone.window.to;
                    before.done = Window::new(before.done.from.min(gone.done.from), before.done.to.max(gone.done.to));
                    before.rule = gone.rule;
                }
                _ => kept.push(gone),
            }
        }
        self.removed = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> UtcMicros {
        UtcMicros::from_micros(second * 1_000_000)
    }

    fn gone(from: i64, to: i64, cause: GapCause, done: i64) -> Removed {
        let rule = if cause == GapCause::Erased { "order 1" } else { "standard, 30 days" };
        Removed { window: Window::new(at(from), at(to)), cause, rule: rule.to_owned(), done: Window::new(at(done), at(done)) }
    }

    #[test]
    fn what_expires_segment_by_segment_is_one_removal_a_day() {
        let mut story = Story::default();
        for n in 0..400 {
            story.remove(&gone(n * 600, (n + 1) * 600, GapCause::Expired, 10_000_000 + n * 600));
        }
        assert_eq!(story.removed.len(), 3, "240,000 seconds are less than three days: {:?}", story.removed);
        assert_eq!(story.removed[0].detail(), "deleted by rule standard, 30 days at 1970-04-27T17:46:40.000000Z");
    }

    #[test]
    fn the_same_cause_again_is_news_where_the_clock_was_set_in_between() {
        let mark = |second| Mark { at: at(second), cause: GapCause::CameraFault, detail: String::new() };
        let silence = |marked, recorded| Some(Silence { marked: at(marked), recorded: Some(at(recorded)) });
        let mut story = Story::default();
        assert!(story.mark(mark(1000), None));
        assert!(!story.mark(mark(1030), silence(1000, 1000)), "the camera is still away");
        // The clock stands an hour back for a while, in which it is away too, and is set right again.
        assert!(story.mark(mark(100), silence(1000, 100)));
        assert!(story.mark(mark(2000), silence(100, 100)), "what was said of 1000 is another silence");
        assert!(!story.mark(mark(2030), silence(2000, 100)));
        assert!(!story.mark(mark(2060), Some(Silence { marked: at(2000), recorded: None })), "nothing was ever recorded");
    }

    proptest! {
        #[test]
        fn removals_never_overlap_and_the_first_reason_stands(
            facts in prop::collection::vec((0i64..300, 1i64..60, any::<bool>()), 1..30)
        ) {
            let mut story = Story::default();
            let mut model = vec![None; 400];
            for (n, (from, len, erased)) in facts.iter().enumerate() {
                let cause = if *erased { GapCause::Erased } else { GapCause::Expired };
                let fact = gone(*from, from + len, cause, 100_000 * n as i64);
                story.remove(&fact);
                story.remove(&fact);
                for second in &mut model[*from as usize..(from + len) as usize] {
                    *second = second.or(Some(cause));
                }
            }
            for pair in story.removed.windows(2) {
                prop_assert!(pair[0].window.to <= pair[1].window.from);
            }
            for (second, cause) in model.iter().enumerate() {
                let here = Window::new(at(second as i64), at(second as i64 + 1));
                let found = story.removed_in(here).find(|gone| gone.window.covers(here)).map(|gone| gone.cause);
                prop_assert_eq!(found, *cause, "second {}", second);
            }
        }
    }
}
