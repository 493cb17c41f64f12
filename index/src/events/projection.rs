//! The index as a projection of the journal: one thread reads records in order and puts the events among them into days.
//!
//! The thread owns all writing; whoever asks reads beside it. Each day's commit carries the journal's number, and a note
//! beside the days says up to where *all* of them are complete: a start goes on from there, and what a day has beyond it is
//! skipped (E3). A day that does not open is set aside and made again from the journal, while the others serve.
//!
//! - E4: an event is findable within a second of being durable, if the index keeps up; how far it is, every answer says.
//! - E5: the index never keeps the node from starting, and the journal never waits for it (I10).

use super::day::{Day, Glimpse, day_of};
use crate::durable::{self, FileError};
use crate::journal::{Journal, JournalError, Seq};
use crate::model::{NodeId, UtcMicros};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tantivy::TantivyError;

/// An event is to be findable so soon, also one that just missed a commit and waits for the next one (E4).
const FINDABLE: Duration = Duration::from_millis(900);
/// The longest wait for a commit. A commit costs tens of milliseconds of CPU whatever it holds, so the rarest that keep the promise
/// are made: with a room's cameras telling something all the time, eight a second cost more than recording them.
const COMMIT_LATEST: Duration = Duration::from_millis(650);
/// The same where a commit takes so long that the promise is broken: a third of the time stays free for what else the disk has to do.
const COMMIT_BEHIND: Duration = Duration::from_millis(350);
/// Events after which one is made in any case.
const COMMIT_EVENTS: u64 = 50_000;
/// Records read in one go.
const BATCH: u64 = 20_000;
/// Days that are written to at once: each takes memory. Late events of many days take turns.
const WRITING_DAYS: usize = 3;
/// How often the note of what is complete is renewed.
const NOTE_EVERY: Duration = Duration::from_secs(5);
/// A day that nothing was added to for so long gives its writer back.
const REST_AFTER: Duration = Duration::from_secs(60);
/// The layout of the index's files. Another one means: make it anew.
const LAYOUT: u32 = 1;

/// How the index is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexLimits {
    /// How many days of events stay findable, the present one included. Default 180.
    pub keep_days: u32,
}

impl Default for IndexLimits {
    fn default() -> Self {
        Self { keep_days: 180 }
    }
}

/// Why the index is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The journal does not read back.
    #[error("the journal does not read back, so the event index cannot follow it")]
    Journal(#[from] JournalError),
    /// The index's files do not read back, or the disk refuses.
    #[error("the event index in {path} does not work: {source}", path = path.display())]
    Index {
        /// Which day's directory.
        path: PathBuf,
        /// What it says.
        source: TantivyError,
    },
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// How far the index is, for everybody who asks.
#[derive(Default)]
pub(super) struct Progress {
    /// Everything up to here can be found.
    pub(super) seq: AtomicU64,
    /// When the newest record that can be found was received, microseconds.
    pub(super) at: AtomicI64,
    /// Events put in since start.
    pub(super) added: AtomicU64,
    /// Whether days are being made anew.
    pub(super) rebuilding: AtomicBool,
    /// What keeps it from following.
    pub(super) problem: Mutex<Option<String>>,
}

/// The days that can be read, by number.
pub(super) type Days = RwLock<BTreeMap<i64, Arc<DayReader>>>;

/// What a question needs of a day.
pub(super) struct DayReader {
    pub(super) fields: super::day::Fields,
    pub(super) reader: tantivy::IndexReader,
}

#[derive(Serialize, Deserialize)]
struct Note {
    layout: u32,
    node: NodeId,
    complete_to: Seq,
    at: UtcMicros,
}

/// The index of a node's events.
pub(super) struct Shared {
    pub(super) root: PathBuf,
    pub(super) journal: Arc<Journal>,
    pub(super) days: Days,
    pub(super) progress: Progress,
    /// Days that a question found broken.
    pub(super) suspects: Mutex<BTreeSet<i64>>,
    stop: AtomicBool,
    limits: IndexLimits,
}

/// Starts following the journal.
pub(super) fn start(
    root: &Path,
    journal: Arc<Journal>,
    limits: IndexLimits,
) -> Result<(Arc<Shared>, JoinHandle<()>), IndexError> {
    fs::create_dir_all(root).map_err(|source| FileError { doing: "create", path: root.to_owned(), source })?;
    let shared = Arc::new(Shared {
        root: root.to_owned(),
        journal,
        days: RwLock::default(),
        progress: Progress::default(),
        suspects: Mutex::default(),
        stop: AtomicBool::new(false),
        limits,
    });
    let mut follower = Follower::open(Arc::clone(&shared))?;
    let thread = std::thread::Builder::new().name("events".into()).spawn(move || follower.run());
    let thread = thread.map_err(|source| FileError { doing: "start the thread of", path: root.to_owned(), source })?;
    Ok((shared, thread))
}

impl Shared {
    /// Tells the thread to end after what it has is findable.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// The writing side.
struct Follower {
    shared: Arc<Shared>,
    days: BTreeMap<i64, Day>,
    /// When each writing day was last added to.
    touched: BTreeMap<i64, Instant>,
    cursor: Seq,
    cursor_at: UtcMicros,
    broken: BTreeSet<i64>,
    waiting: u64,
    waiting_since: Option<Instant>,
    /// How long an event waits for a commit now.
    patience: Duration,
    noted: Instant,
}

/// How long events wait for the commit after one that took so long.
fn patience_after(commit: Duration) -> Duration {
    let spare = FINDABLE.saturating_sub(commit * 2).min(COMMIT_LATEST);
    spare.max((commit / 2).min(COMMIT_BEHIND))
}

impl Follower {
    fn open(shared: Arc<Shared>) -> Result<Self, IndexError> {
        let mut follower = Self {
            days: BTreeMap::new(),
            touched: BTreeMap::new(),
            cursor: Seq::ZERO,
            cursor_at: UtcMicros::MIN,
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
        let ours = |note: &Note| {
            note.layout == LAYOUT
                && note.node == follower.shared.journal.node()
                && note.complete_to <= follower.shared.journal.tail()
        };
        match note {
            Some(note) if ours(&note) => (follower.cursor, follower.cursor_at) = (note.complete_to, note.at),
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

    fn discard_all(&self) -> Result<(), IndexError> {
        for (_, path) in day_dirs(&self.shared.root) {
            fs::remove_dir_all(&path).map_err(|source| FileError { doing: "remove", path, source })?;
        }
        Ok(())
    }

    fn open_days(&mut self) -> Result<(), IndexError> {
        for (number, path) in day_dirs(&self.shared.root) {
            match Day::open(&path) {
                // A day beyond the journal's end is of a journal that was put back from an older copy.
                Ok(day) if day.complete_to <= self.shared.journal.tail() => self.publish(number, day),
                Ok(_) => self.set_aside(number, "it knows records that the journal does not have"),
                Err(error) => self.set_aside(number, &error.to_string()),
            }
        }
        Ok(())
    }

    fn publish(&mut self, number: i64, day: Day) {
        let reader = DayReader { fields: day.fields, reader: day.reader.clone() };
        self.shared.days.write().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::new(reader));
        self.days.insert(number, day);
    }

    /// A day that does not work is moved out of the way, for whoever wants to know why, and made again.
    fn set_aside(&mut self, number: i64, why: &str) {
        self.shared.days.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
        self.days.remove(&number);
        self.touched.remove(&number);
        let path = self.shared.root.join(day_name(number));
        let aside = self.shared.root.join(format!("aside-{}", day_name(number)));
        let _ = fs::remove_dir_all(&aside);
        let moved = fs::rename(&path, &aside).or_else(|_| fs::remove_dir_all(&path));
        tracing::error!(
            day = day_name(number),
            why,
            moved = moved.is_ok(),
            "a day of the event index does not work; it is made anew from the journal"
        );
        self.broken.insert(number);
    }

    fn run(&mut self) {
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
                        && is_damage(source)
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
            if self.shared.stopping()
                && (self.cursor >= self.shared.journal.tail() || lock(&self.shared.progress.problem).is_some())
            {
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

    /// What was added and not committed is gone with the writers; the days know how far they are complete.
    fn abandon(&mut self) {
        let root = self.shared.root.clone();
        for number in std::mem::take(&mut self.touched).into_keys() {
            self.days.remove(&number);
            match Day::open(&root.join(day_name(number))) {
                Ok(day) => self.publish(number, day),
                Err(error) => self.set_aside(number, &error.to_string()),
            }
        }
        self.cursor = Seq::new(self.shared.progress.seq.load(Ordering::Relaxed));
        (self.waiting, self.waiting_since) = (0, None);
    }

    /// Reads on, and commits when it is time.
    fn turn(&mut self) -> Result<(), IndexError> {
        let due = self.waiting_since.map_or(COMMIT_LATEST, |since| self.patience.saturating_sub(since.elapsed()));
        let tail =
            if self.shared.stopping() { self.shared.journal.tail() } else { self.shared.journal.wait_beyond(self.cursor, due) };
        if tail > self.cursor {
            self.take(tail.min(Seq::new(self.cursor.get() + BATCH)))?;
        }
        let waited = self.waiting_since.is_some_and(|since| since.elapsed() >= self.patience);
        if waited || self.waiting >= COMMIT_EVENTS {
            self.commit()?;
        }
        if self.waiting == 0 {
            self.tell();
            self.rest_days()?;
        }
        Ok(())
    }

    fn take(&mut self, to: Seq) -> Result<(), IndexError> {
        let journal = Arc::clone(&self.shared.journal);
        let mut failed = Ok(());
        let mut last = (self.cursor, self.cursor_at);
        journal.visit(self.cursor.next(), to, |seen| {
            let (seq, at) = (seen.seq, seen.at);
            if let Some(glimpse) = Glimpse::of(seen) {
                match self.add(&glimpse, last.0) {
                    Ok(()) => {}
                    Err(error) => {
                        failed = Err(error);
                        return ControlFlow::Break(());
                    }
                }
            }
            last = (seq, at);
            ControlFlow::Continue(())
        })?;
        (self.cursor, self.cursor_at) = last;
        failed
    }

    fn add(&mut self, glimpse: &Glimpse<'_>, before: Seq) -> Result<(), IndexError> {
        let number = day_of(glimpse.time);
        if number < self.oldest_kept() {
            return Ok(());
        }
        if !self.days.contains_key(&number) {
            let path = self.shared.root.join(day_name(number));
            let day = Day::open(&path).map_err(|source| IndexError::Index { path, source })?;
            self.publish(number, day);
        }
        if !self.touched.contains_key(&number) && self.touched.len() >= WRITING_DAYS {
            self.make_room(before)?;
        }
        let Some(day) = self.days.get_mut(&number) else { return Ok(()) };
        let added = day.add(glimpse).map_err(|source| IndexError::Index { path: day.path.clone(), source })?;
        if day.is_writing() {
            self.touched.insert(number, Instant::now());
        }
        if added {
            self.shared.progress.added.fetch_add(1, Ordering::Relaxed);
            self.waiting += 1;
            self.waiting_since.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// The writing day that was left alone longest gives its place to another.
    fn make_room(&mut self, complete_to: Seq) -> Result<(), IndexError> {
        let Some(number) = self.touched.iter().min_by_key(|(_, at)| **at).map(|(number, _)| *number) else { return Ok(()) };
        self.touched.remove(&number);
        match self.days.get_mut(&number) {
            Some(day) => day.rest(complete_to).map_err(|source| IndexError::Index { path: day.path.clone(), source }),
            None => Ok(()),
        }
    }

    fn commit(&mut self) -> Result<(), IndexError> {
        let begun = Instant::now();
        for day in self.days.values_mut().filter(|day| day.is_dirty()) {
            day.commit(self.cursor).map_err(|source| IndexError::Index { path: day.path.clone(), source })?;
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
        self.shared.progress.seq.store(self.cursor.get(), Ordering::Relaxed);
        self.shared.progress.at.store(self.cursor_at.as_micros(), Ordering::Relaxed);
    }

    fn note(&mut self) -> Result<(), IndexError> {
        let note = Note { layout: LAYOUT, node: self.shared.journal.node(), complete_to: self.cursor, at: self.cursor_at };
        let text = serde_json::to_vec(&note).unwrap_or_default();
        durable::replace(&self.shared.root.join("complete.json"), &text, 0o600)?;
        self.noted = Instant::now();
        self.forget_old();
        Ok(())
    }

    fn oldest_kept(&self) -> i64 {
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
        for number in idle {
            self.touched.remove(&number);
            if let Some(day) = self.days.get_mut(&number) {
                day.rest(self.cursor).map_err(|source| IndexError::Index { path: day.path.clone(), source })?;
            }
        }
        Ok(())
    }

    /// Makes broken days anew from the journal's files that can hold events of theirs.
    fn repair(&mut self) -> Result<(), IndexError> {
        let suspects = std::mem::take(&mut *lock(&self.shared.suspects));
        for number in suspects {
            if self.days.contains_key(&number) {
                self.set_aside(number, "a question could not be answered from it");
            }
        }
        if self.broken.is_empty() {
            return Ok(());
        }
        self.shared.progress.rebuilding.store(true, Ordering::Relaxed);
        if self.waiting > 0 {
            self.commit()?;
        }
        while let Some(number) = self.broken.first().copied() {
            self.remake(number)?;
            self.broken.remove(&number);
            tracing::info!(day = day_name(number), "a day of the event index was made anew");
        }
        self.shared.progress.rebuilding.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn remake(&mut self, number: i64) -> Result<(), IndexError> {
        let path = self.shared.root.join(day_name(number));
        let failed = |source| IndexError::Index { path: path.clone(), source };
        if path.exists() {
            fs::remove_dir_all(&path).map_err(|source| FileError { doing: "remove", path: path.clone(), source })?;
        }
        let mut day = Day::open(&path).map_err(failed)?;
        let mut result = Ok(());
        self.shared.journal.visit(Seq::new(1), self.cursor, |seen| {
            if let Some(glimpse) = Glimpse::of(seen)
                && day_of(glimpse.time) == number
                && let Err(error) = day.add(&glimpse)
            {
                result = Err(error);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        result.and_then(|()| day.rest(self.cursor)).map_err(failed)?;
        self.publish(number, day);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), IndexError> {
        self.commit()?;
        for day in self.days.values_mut() {
            day.rest(self.cursor).map_err(|source| IndexError::Index { path: day.path.clone(), source })?;
        }
        self.note()
    }
}

/// Whether an error says that the files are not an index, rather than that the disk is full or refuses.
fn is_damage(error: &TantivyError) -> bool {
    !matches!(error, TantivyError::IoError(_) | TantivyError::LockFailure(..) | TantivyError::OpenDirectoryError(_))
}

/// `2026-11-23` for a day's number.
pub(super) fn day_name(number: i64) -> String {
    let text = UtcMicros::from_micros(number * 86_400_000_000).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// The days' directories, oldest first.
pub(super) fn day_dirs(root: &Path) -> Vec<(i64, PathBuf)> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut days: Vec<(i64, PathBuf)> =
        entries.filter_map(|entry| Some((day_number(entry.file_name().to_str()?)?, entry.path()))).collect();
    days.sort();
    days
}

fn day_number(name: &str) -> Option<i64> {
    let date: jiff::civil::Date = name.parse().ok()?;
    let number = jiff::civil::Date::constant(1970, 1, 1).until(date).ok()?.get_days();
    (day_name(i64::from(number)) == name).then_some(i64::from(number))
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_findable_in_time_by_the_fewest_commits_and_a_slow_disk_is_left_a_third_of_its_time() {
        let millis = |commit| patience_after(Duration::from_millis(commit)).as_millis();
        assert_eq!([millis(5), millis(200), millis(300), millis(600), millis(9_000)], [650, 500, 300, 300, 350]);
    }

    #[test]
    fn a_day_is_named_by_its_date() {
        for name in ["1970-01-01", "2026-11-23", "2028-02-29"] {
            assert_eq!(day_number(name).map(day_name).as_deref(), Some(name));
        }
        assert_eq!(day_number("aside-2026-11-23"), None);
        assert_eq!(day_number("2026-11-31"), None);
    }
}
