//! The index as a projection of the journals: one thread reads records in order and puts the events among them into days.
//!
//! The thread owns all writing; whoever asks reads beside it. Each day's commit carries how far it is complete in each journal, and a
//! note beside the days says the same of *all* of them: a start goes on from there, and what a day has beyond it is skipped (E3). Where
//! there are several journals they take turns, so that the backlog of one keeps no other waiting. A day that does not open is set aside and made again from the journal, while the others serve.
//!
//! - E4: an event is findable within a second of being durable, if the index keeps up; how far it is, every answer says.
//! - E5: the index never keeps the node from starting, and the journal never waits for it (I10).

mod follower;
mod late;
mod mend;
mod names;
mod sources;

pub(super) use names::{day_dirs, day_name};

use sources::Source;
pub use sources::Sources;

use super::{
    day,
    reached::{InCopy, Origin, Reached},
};
use crate::{
    durable::FileError,
    journal::{JournalError, Seq},
    model::{NodeId, UtcMicros},
};
use follower::Follower;
use serde::{Deserialize, Serialize};
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
    #[error("a journal does not read back, so the event index cannot follow it")]
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
    /// Everything of the node's own journal up to here can be found.
    pub(super) seq: AtomicU64,
    /// When the newest record of it that can be found was received, microseconds.
    pub(super) at: AtomicI64,
    /// The same of each copy.
    pub(super) below: Mutex<BTreeMap<NodeId, Mark>>,
    /// Events put in since start.
    pub(super) added: AtomicU64,
    /// Whether days are being made anew.
    pub(super) rebuilding: AtomicBool,
    /// What keeps it from following.
    pub(super) problem: Mutex<Option<String>>,
}

/// How far the index is in one journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Everything up to here is in.
    pub(super) seq: Seq,
    /// When the newest of it was received, by its node's clock.
    pub(super) at: UtcMicros,
    /// Which copy of its node it is.
    #[serde(default)]
    pub(super) begun: u32,
}

impl Mark {
    pub(super) const NONE: Self = Self { seq: Seq::ZERO, at: UtcMicros::MIN, begun: 0 };
}

/// How far the index is in each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Marks {
    pub(super) own: Mark,
    pub(super) below: BTreeMap<NodeId, Mark>,
}

impl Marks {
    fn none() -> Self {
        Self { own: Mark::NONE, below: BTreeMap::new() }
    }

    fn of(&self, origin: Origin) -> Mark {
        origin.map_or(self.own, |node| self.below.get(&node).copied().unwrap_or(Mark::NONE))
    }

    fn set(&mut self, origin: Origin, mark: Mark) {
        match origin {
            None => self.own = mark,
            Some(node) => drop(self.below.insert(node, mark)),
        }
    }

    /// As a day's commit carries it.
    fn reached(&self) -> Reached {
        let below = self.below.iter().map(|(node, mark)| (*node, InCopy { seq: mark.seq, begun: mark.begun }));
        Reached { own: self.own.seq, below: below.collect() }
    }
}

impl Progress {
    /// How far what can be found goes in a journal.
    pub(super) fn reached(&self, source: &Source) -> Mark {
        match source.origin {
            None => Mark {
                seq: Seq::new(self.seq.load(Ordering::Relaxed)),
                at: UtcMicros::from_micros(self.at.load(Ordering::Relaxed)),
                begun: 0,
            },
            Some(node) => {
                let mark = lock(&self.below).get(&node).copied().unwrap_or(Mark::NONE);
                if mark.begun == source.begun { mark } else { Mark::NONE }
            }
        }
    }

    fn tell(&self, marks: &Marks) {
        self.seq.store(marks.own.seq.get(), Ordering::Relaxed);
        self.at.store(marks.own.at.as_micros(), Ordering::Relaxed);
        let mut below = lock(&self.below);
        if *below != marks.below {
            below.clone_from(&marks.below);
        }
    }

    fn told(&self) -> Marks {
        let own = Mark {
            seq: Seq::new(self.seq.load(Ordering::Relaxed)),
            at: UtcMicros::from_micros(self.at.load(Ordering::Relaxed)),
            begun: 0,
        };
        Marks { own, below: lock(&self.below).clone() }
    }
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
    pub(super) sources: Sources,
    pub(super) days: Days,
    pub(super) progress: Progress,
    /// Days that a question found broken.
    pub(super) suspects: Mutex<BTreeSet<i64>>,
    stop: AtomicBool,
    limits: IndexLimits,
}

/// Starts following the journals.
pub(super) fn start(root: &Path, sources: Sources, limits: IndexLimits) -> Result<(Arc<Shared>, JoinHandle<()>), IndexError> {
    fs::create_dir_all(root).map_err(|source| FileError { doing: "create", path: root.to_owned(), source })?;
    let shared = Arc::new(Shared {
        root: root.to_owned(),
        sources,
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
