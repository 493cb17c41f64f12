//! How events come into their days, and where those wait whose day has no writer now.
//!
//! A writer takes tens of megabytes, so few days have one. What comes late, an analytics box's day-old reports in a storm, mixes
//! days: were a writer to change days with every such event, each would cost a commit, the end of a merge and a look through all
//! the day's texts. So events of other days wait here, and a day takes its turn once a commit, with all that waits for it.

use super::{
    super::{
        day::{Day, day_of},
        glimpse::Glimpse,
        reached::Origin,
    },
    IndexError, Mark, Source, day_name,
    follower::{Follower, filed_at},
};
use crate::{
    journal::{Seen, Seq},
    model::UtcMicros,
};
use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

/// Days that are written to at once.
const WRITING_DAYS: usize = 3;
/// A copy that did not read back is tried again so much later.
const STUCK: Duration = Duration::from_secs(30);

/// Bytes of bodies that may wait; then a commit is due.
const FULL_BYTES: usize = 16 << 20;
/// The same in events, for short ones.
const FULL_EVENTS: usize = 40_000;

/// A record of the journal that waits.
pub(super) struct Kept {
    /// When it is put in.
    time: UtcMicros,
    origin: Origin,
    seq: Seq,
    at: UtcMicros,
    kind: Box<str>,
    body: Box<[u8]>,
}

impl Kept {
    fn seen(&self) -> Seen<'_> {
        Seen { seq: self.seq, at: self.at, kind: &self.kind, body: &self.body }
    }
}

/// See the module. Each day's events are in the order in which they were read.
#[derive(Default)]
pub(super) struct Late {
    days: BTreeMap<i64, Vec<Kept>>,
    events: usize,
    bytes: usize,
}

impl Late {
    pub(super) fn keep(&mut self, (day, time): (i64, UtcMicros), seen: Seen<'_>, origin: Origin) {
        self.events += 1;
        self.bytes += seen.body.len();
        let kept = Kept { time, origin, seq: seen.seq, at: seen.at, kind: seen.kind.into(), body: seen.body.into() };
        self.days.entry(day).or_default().push(kept);
    }

    pub(super) fn holds(&self, day: i64) -> bool {
        self.days.contains_key(&day)
    }

    /// Whether no more should wait before a commit.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= FULL_BYTES || self.events >= FULL_EVENTS
    }

    /// A day's events, which wait no longer; another day's every time until there is none.
    pub(super) fn next_day(&mut self) -> Option<(i64, Vec<Kept>)> {
        let (day, kept) = self.days.pop_first()?;
        self.forget(&kept);
        Some((day, kept))
    }

    /// What waits for a day is not needed: it is read again from the journal.
    pub(super) fn drop_day(&mut self, day: i64) {
        if let Some(kept) = self.days.remove(&day) {
            self.forget(&kept);
        }
    }

    fn forget(&mut self, kept: &[Kept]) {
        self.events -= kept.len();
        self.bytes -= kept.iter().map(|kept| kept.body.len()).sum::<usize>();
    }
}

impl Follower {
    /// Takes the events among a journal's records up to there, or as many as may wait; its mark says how far.
    pub(super) fn take(&mut self, source: &Source, to: Seq) -> Result<(), IndexError> {
        let mut failed = Ok(());
        let before = self.marks.of(source.origin);
        let mut last = Mark { begun: source.begun, ..before };
        let visited = source.history.visit(before.seq.next(), to, &mut |seen| {
            if let Some(glimpse) = Glimpse::of(seen)
                && let Err(error) = self.take_one(&glimpse, seen, source.origin)
            {
                failed = Err(error);
                return ControlFlow::Break(());
            }
            last = Mark { seq: seen.seq, at: seen.at, begun: source.begun };
            if self.late.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        // What was read before something failed is in, and need not be read again.
        self.marks.set(source.origin, last);
        match (visited, source.origin) {
            (Err(error), Some(node)) => {
                if self.stuck.insert(node, Instant::now() + STUCK).is_none() {
                    tracing::error!(%node, %error, "a copy does not read back: what its node told from there on is not found until it does");
                }
            }
            (Err(error), None) => return Err(error.into()),
            (Ok(()), Some(node)) if self.stuck.remove(&node).is_some() => {
                tracing::info!(%node, "the copy reads back again");
            }
            (Ok(()), _) => {}
        }
        failed
    }

    /// Puts an event into its day, or aside until the day has a writer.
    fn take_one(&mut self, glimpse: &Glimpse<'_>, seen: Seen<'_>, origin: Origin) -> Result<(), IndexError> {
        let time = filed_at(glimpse, origin);
        let number = day_of(time);
        let known = self.days.get(&number).is_some_and(|day| glimpse.seq <= day.complete_to.of(origin));
        if known || number < self.oldest_kept() {
            return Ok(());
        }
        let writing = self.touched.contains_key(&number) || self.touched.len() < WRITING_DAYS;
        if writing && !self.late.holds(number) {
            return self.add((number, time), glimpse, origin);
        }
        self.late.keep((number, time), seen, origin);
        self.count_waiting();
        Ok(())
    }

    fn add(&mut self, (number, time): (i64, UtcMicros), glimpse: &Glimpse<'_>, origin: Origin) -> Result<(), IndexError> {
        if !self.days.contains_key(&number) {
            let path = self.shared.root.join(day_name(number));
            let day = Day::open(&path, self.order()).map_err(|source| IndexError::Index { path, source })?;
            self.publish(number, day);
        }
        let Some(day) = self.days.get_mut(&number) else { return Ok(()) };
        let added = day.add(glimpse, origin, time).map_err(|source| IndexError::Index { path: day.path.clone(), source })?;
        if day.is_writing() {
            self.touched.insert(number, Instant::now());
        }
        if added {
            self.shared.progress.added.fetch_add(1, Ordering::Relaxed);
            self.count_waiting();
        }
        Ok(())
    }

    fn count_waiting(&mut self) {
        self.waiting += 1;
        self.waiting_since.get_or_insert_with(Instant::now);
    }

    /// Gives every day that events wait for its turn, so that all days have what is theirs up to the marks.
    pub(super) fn take_turns(&mut self) -> Result<(), IndexError> {
        while let Some((number, kept)) = self.late.next_day() {
            if !self.touched.contains_key(&number) && self.touched.len() >= WRITING_DAYS {
                self.make_room()?;
            }
            for kept in &kept {
                if let Some(glimpse) = Glimpse::of(kept.seen()) {
                    self.add((number, kept.time), &glimpse, kept.origin)?;
                }
            }
        }
        Ok(())
    }

    /// The writing day that was left alone longest gives its place to another. It has all of its events up to the marks.
    fn make_room(&mut self) -> Result<(), IndexError> {
        let Some(number) = self.touched.iter().min_by_key(|(_, at)| **at).map(|(number, _)| *number) else { return Ok(()) };
        self.touched.remove(&number);
        let reached = self.marks.reached();
        match self.days.get_mut(&number) {
            Some(day) => day.rest(&reached).map_err(|source| IndexError::Index { path: day.path.clone(), source }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        events::{
            Event, IndexLimits, Kind, contents,
            projection::{Shared, Sources},
        },
        journal::Journal,
        model::NodeId,
    };
    use std::sync::Arc;

    #[test]
    fn events_of_many_days_that_come_mixed_are_in_once_by_one_commit_a_day() {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::open(&dir.path().join("journal"), NodeId::from_bytes([5; 16])).expect("a journal");
        let (days, now) = (2 * WRITING_DAYS as i64, UtcMicros::now().as_micros());
        let of = |n: i64| Event::new(UtcMicros::from_micros(now - n % days * 86_400_000_000), Kind::Motion);
        let tickets: Vec<_> = (0..600).map(|n| journal.append(of(n).into_record(UtcMicros::from_micros(now)))).collect();
        for ticket in tickets {
            ticket.wait().expect("durable");
        }
        let shared = Arc::new(Shared {
            root: dir.path().join("events"),
            sources: Sources::own(journal),
            days: Default::default(),
            progress: Default::default(),
            suspects: Default::default(),
            stop: Default::default(),
            limits: IndexLimits::default(),
        });
        std::fs::create_dir(&shared.root).expect("a directory for the index");
        let mut follower = Follower::open(Arc::clone(&shared)).expect("an index");
        let own = shared.sources.list().remove(0);
        for to in [200, 600].map(Seq::new) {
            follower.take(&own, to).expect("taken");
            follower.commit().expect("committed");
            assert_eq!(shared.progress.reached(&own).seq, to);
        }
        let segments: Vec<usize> = follower.days.values().map(|day| day.reader.searcher().segment_readers().len()).collect();
        assert_eq!(segments, vec![2; days as usize], "a commit a day each time");
        follower.finish().expect("ended");
        drop(follower);
        let found: Vec<u64> = contents(&shared.root).expect("an index").into_iter().map(|(seq, ..)| seq).collect();
        assert_eq!(found, (1..=600).collect::<Vec<u64>>(), "each event once");
    }
}
