//! The thread that writes the index: reads each journal in order, puts its events into their days, and commits as seldom as the promise
//! of finding them within a second allows.

use super::{
    super::{
        day::{Day, day_of},
        event::NEWEST,
        glimpse::Glimpse,
        reached::{Order, Origin},
    },
    DayReader, IndexError, Mark, Marks, Shared, Source, day_dirs, day_name,
    late::Late,
    lock, mend,
};
use crate::{
    durable,
    journal::Seq,
    model::{NodeId, UtcMicros},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

/// An event is to be findable so soon, also one that just missed a commit and waits for the next one (E4).
const FINDABLE: Duration = Duration::from_millis(900);
/// The longest wait for a commit. A commit costs tens of milliseconds of CPU whatever it holds, so the rarest that keep the promise
/// are made: with a room's cameras telling something all the time, eight a second cost more than recording them.
const COMMIT_LATEST: Duration = Duration::from_millis(650);
/// The same where a commit takes so long that the promise is broken: a third of the time stays free for what else the disk has to do.
const COMMIT_BEHIND: Duration = Duration::from_millis(350);
/// Events after which one is made in any case.
const COMMIT_EVENTS: u64 = 50_000;
/// Records read in one go, of all journals together, and at least so many of each that has more.
const BATCH: u64 = 20_000;
const BATCH_LEAST: u64 = 1000;
/// How often the note of what is complete is renewed.
const NOTE_EVERY: Duration = Duration::from_secs(5);
/// A day that nothing was added to for so long gives its writer back.
const REST_AFTER: Duration = Duration::from_secs(60);
/// The layout of the index's files, of one journal and of several. Another one means: make it anew.
const LAYOUT: [u32; 2] = [4, 5];

#[derive(Serialize, Deserialize)]
struct Note {
    layout: u32,
    node: NodeId,
    complete_to: Seq,
    at: UtcMicros,
    /// How far in the copies, of whichever nodes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    below: BTreeMap<NodeId, Mark>,
}

/// The writing side: see the module.
pub(super) struct Follower {
    pub(super) shared: Arc<Shared>,
    pub(super) days: BTreeMap<i64, Day>,
    /// When each writing day was last added to.
    pub(super) touched: BTreeMap<i64, Instant>,
    /// How far each journal was read.
    pub(super) marks: Marks,
    /// Copies that did not read back, and when each is tried again: the others go on.
    pub(super) stuck: BTreeMap<NodeId, Instant>,
    /// Events that the marks are beyond and that are in no writer yet.
    pub(super) late: Late,
    pub(super) broken: BTreeSet<i64>,
    pub(super) waiting: u64,
    pub(super) waiting_since: Option<Instant>,
    /// How long an event waits for a commit now.
    pub(super) patience: Duration,
    pub(super) noted: Instant,
}

/// How long events wait for the commit after one that took so long.
fn patience_after(commit: Duration) -> Duration {
    let spare = FINDABLE.saturating_sub(commit * 2).min(COMMIT_LATEST);
    spare.max((commit / 2).min(COMMIT_BEHIND))
}

/// Whether what is known of a copy, by its node, is of another one than there is now: a person had it begun anew.
fn is_of_another(source: &Source, begun: impl Fn(NodeId) -> Option<u32>) -> bool {
    source.origin.and_then(begun).is_some_and(|known| known != source.begun)
}

/// When an event is put in. What another node dates far into the future is put in within five minutes, where it is found: a directory
/// for each day that somebody invents would fill the disk.
pub(super) fn filed_at(glimpse: &Glimpse<'_>, origin: Origin) -> UtcMicros {
    if origin.is_some() { glimpse.time.min(UtcMicros::now() + NEWEST) } else { glimpse.time }
}

impl Follower {
    pub(super) fn open(shared: Arc<Shared>) -> Result<Self, IndexError> {
        let mut follower = Self {
            days: BTreeMap::new(),
            touched: BTreeMap::new(),
            marks: Marks::none(),
            stuck: BTreeMap::new(),
            late: Late::default(),
            broken: BTreeSet::new(),
            waiting: 0,
            waiting_since: None,
            patience: COMMIT_LATEST,
            noted: Instant::now(),
            shared,
        };
        let root = follower.shared.root.clone();
        let note: Option<Note> =
            durable::read(&root.join("complete.json"))?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let sources = follower.shared.sources.list();
        let other = |note: &Note| sources.iter().any(|source| is_of_another(source, |node| Some(note.below.get(&node)?.begun)));
        let ours = |note: &Note| {
            note.layout == follower.layout()
                && note.node == follower.shared.sources.own.node()
                && note.complete_to <= follower.shared.sources.own.tail()
                && !other(note)
        };
        match note {
            Some(note) if ours(&note) => {
                let own = Mark { seq: note.complete_to, at: note.at, begun: 0 };
                follower.marks = Marks { own, below: note.below };
            }
            Some(_) => {
                tracing::warn!(path = %root.display(), "the event index belongs to another journal or layout; it is made anew");
                follower.discard_all()?;
            }
            // No note: the days themselves know how far they are complete, and the journal is read from its start.
            None => {}
        }
        follower.open_days()?;
        follower.tell();
        Ok(follower)
    }

    fn open_days(&mut self) -> Result<(), IndexError> {
        let sources = self.shared.sources.list();
        for (number, path) in day_dirs(&self.shared.root) {
            match Day::open(&path, self.order()) {
                // A day beyond the journal's end is of a journal that was put back from an older copy. A copy may be shorter: it is
                // fetched again.
                Ok(day) if day.complete_to.own > self.shared.sources.own.tail() => {
                    self.set_aside(number, "it knows records that the journal does not have");
                }
                Ok(day)
                    if sources
                        .iter()
                        .any(|source| is_of_another(source, |node| Some(day.complete_to.below.get(&node)?.begun))) =>
                {
                    self.set_aside(number, "it knows records of a copy that was begun anew since");
                }
                Ok(day) => self.publish(number, day),
                Err(error) => self.set_aside(number, &error.to_string()),
            }
        }
        Ok(())
    }

    pub(super) fn publish(&mut self, number: i64, day: Day) {
        let reader = DayReader { fields: day.fields, reader: day.reader.clone() };
        self.shared.days.write().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::new(reader));
        self.days.insert(number, day);
    }

    pub(super) fn run(&mut self) {
        let mut patience = Duration::from_millis(200);
        loop {
            let result = self.repair().and_then(|()| self.turn());
            match result {
                Ok(()) => {
                    patience = Duration::from_millis(200);
                    if lock(&self.shared.progress.problem).take().is_some() {
                        tracing::info!("the event index follows the journal again");
                    }
                }
                Err(error) => {
                    if let IndexError::Index { path, source } = &error
                        && let Some((number, _)) = day_dirs(&self.shared.root).into_iter().find(|(_, dir)| dir == path)
                        && mend::is_damage(source)
                    {
                        self.set_aside(number, &source.to_string());
                    }
                    let text = error.to_string();
                    if lock(&self.shared.progress.problem).replace(text.clone()).is_none() {
                        tracing::error!(
                            error = text,
                            "the event index does not follow the journal; events are kept and will be findable later"
                        );
                    }
                    self.abandon();
                    self.rest(patience);
                    patience = (patience * 2).min(Duration::from_secs(30));
                }
            }
            if self.shared.stopping() && (self.is_current() || lock(&self.shared.progress.problem).is_some()) {
                break;
            }
        }
        if let Err(error) = self.finish() {
            tracing::warn!(%error, "the event index did not end cleanly; the next start reads a little more of the journal");
        }
    }

    fn rest(&self, patience: Duration) {
        let until = Instant::now() + patience;
        while Instant::now() < until && !self.shared.stopping() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Reads on, and commits when it is time.
    fn turn(&mut self) -> Result<(), IndexError> {
        let due = self.waiting_since.map_or(COMMIT_LATEST, |since| self.patience.saturating_sub(since.elapsed()));
        if !self.shared.stopping() {
            self.shared.sources.wait(self.marks.own.seq, |source| self.has_more(source), due);
        }
        self.read_on()?;
        let waited = self.waiting_since.is_some_and(|since| since.elapsed() >= self.patience);
        if waited || self.waiting >= COMMIT_EVENTS || self.late.is_full() {
            self.commit()?;
        }
        if self.waiting == 0 {
            self.tell();
            self.rest_days()?;
        }
        Ok(())
    }

    /// Reads a turn of each journal that has more.
    pub(super) fn read_on(&mut self) -> Result<(), IndexError> {
        let sources = self.shared.sources.list();
        let anew = |source: &Source| is_of_another(source, |node| Some(self.marks.below.get(&node)?.begun));
        if sources.iter().any(anew) {
            self.start_anew()?;
        }
        let longer: Vec<&Source> = sources.iter().filter(|source| self.has_more(source)).collect();
        let turn = (BATCH / longer.len().max(1) as u64).max(BATCH_LEAST);
        for source in longer {
            let to = Seq::new(self.marks.of(source.origin).seq.get() + turn).min(source.history.head().0);
            self.take(source, to)?;
        }
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result<(), IndexError> {
        let begun = Instant::now();
        self.take_turns()?;
        let reached = self.marks.reached();
        for day in self.days.values_mut().filter(|day| day.is_dirty()) {
            day.commit(&reached).map_err(|source| IndexError::Index { path: day.path.clone(), source })?;
        }
        self.patience = patience_after(begun.elapsed());
        (self.waiting, self.waiting_since) = (0, None);
        self.tell();
        if self.noted.elapsed() >= NOTE_EVERY {
            self.note()?;
        }
        Ok(())
    }

    fn tell(&self) {
        self.shared.progress.tell(&self.marks);
    }

    pub(super) fn note(&mut self) -> Result<(), IndexError> {
        let Marks { own, below } = self.marks.clone();
        let node = self.shared.sources.own.node();
        let note = Note { layout: self.layout(), node, complete_to: own.seq, at: own.at, below };
        let text = serde_json::to_vec(&note).unwrap_or_default();
        durable::replace(&self.shared.root.join("complete.json"), &text, 0o600)?;
        self.noted = Instant::now();
        self.forget_old();
        Ok(())
    }

    fn layout(&self) -> u32 {
        LAYOUT[usize::from(self.shared.sources.several())]
    }

    pub(super) fn order(&self) -> Order {
        Order::of_journals(self.shared.sources.several())
    }

    /// Whether a journal goes further than it was read, and can be read.
    fn has_more(&self, source: &Source) -> bool {
        let stuck = source.origin.and_then(|node| self.stuck.get(&node)).is_some_and(|until| Instant::now() < *until);
        !stuck && source.history.head().0 > self.marks.of(source.origin).seq
    }

    fn is_current(&self) -> bool {
        !self.shared.sources.list().iter().any(|source| self.has_more(source))
    }

    pub(super) fn oldest_kept(&self) -> i64 {
        day_of(UtcMicros::now()) - i64::from(self.shared.limits.keep_days) + 1
    }

    fn forget_old(&mut self) {
        let oldest = self.oldest_kept();
        let old: Vec<i64> = self.days.range(..oldest).map(|(number, _)| *number).collect();
        for number in old {
            self.shared.days.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
            self.days.remove(&number);
            self.touched.remove(&number);
            if let Err(error) = fs::remove_dir_all(self.shared.root.join(day_name(number))) {
                tracing::warn!(day = day_name(number), %error, "an old day of the event index could not be removed");
            }
        }
    }

    fn rest_days(&mut self) -> Result<(), IndexError> {
        let idle: Vec<i64> = self.touched.iter().filter(|(_, at)| at.elapsed() > REST_AFTER).map(|(number, _)| *number).collect();
        let reached = self.marks.reached();
        for number in idle {
            self.touched.remove(&number);
            if let Some(day) = self.days.get_mut(&number) {
                day.rest(&reached).map_err(|source| IndexError::Index { path: day.path.clone(), source })?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(&mut self) -> Result<(), IndexError> {
        self.commit()?;
        let reached = self.marks.reached();
        for day in self.days.values_mut() {
            day.rest(&reached).map_err(|source| IndexError::Index { path: day.path.clone(), source })?;
        }
        self.note()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_findable_in_time_by_the_fewest_commits_and_a_slow_disk_is_left_a_third_of_its_time() {
        let millis = |commit| patience_after(Duration::from_millis(commit)).as_millis();
        assert_eq!([millis(5), millis(200), millis(300), millis(600), millis(9_000)], [650, 500, 300, 300, 350]);
    }
}
