//! The index as a projection of the journal: one thread reads records in order and puts the events among them into days.
//!
//! The thread owns all writing; whoever asks reads beside it. Each day's commit carries the journal's number, and a note
//! beside the days says up to where *all* of them are complete: a start goes on from there, and what a day has beyond it is
//! skipped (E3). A day that does not open is set aside and made again from the journal, while the others serve.
//!
//! - E4: an event is findable within a second of being durable, if the index keeps up; how far it is, every answer says.
//! - E5: the index never keeps the node from starting, and the journal never waits for it (I10).

mod follower;
mod mend;
mod names;

pub(super) use names::{day_dirs, day_name};

use super::day;
use crate::{
    durable::FileError,
    journal::{Journal, JournalError},
};
use follower::Follower;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};
use tantivy::TantivyError;

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
    pub(super) fields: day::Fields,
    pub(super) reader: tantivy::IndexReader,
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

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
