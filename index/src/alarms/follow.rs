//! The thread that follows the journal, and the file that it keeps its state in.

use super::state::{AlarmId, State};
use crate::durable::{self, FileError};
use crate::journal::{Journal, JournalError, Record, Seq};
use crate::model::NodeId;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashSet,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Records looked at under one lock.
const BATCH: u64 = 2_000;
/// How long the thread waits for the journal before it looks whether it should end.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often the state is kept.
const KEEP_EVERY: Duration = Duration::from_secs(20);
/// What a change waits at most until it is in force.
const IN_FORCE: Duration = Duration::from_secs(5);

/// Told the revision after each change.
pub(super) type Changed = Box<dyn Fn(u64) + Send + Sync>;

/// What the thread and everybody else see.
pub(super) struct Shared {
    journal: Arc<Journal>,
    state: Mutex<State>,
    cursor: AtomicU64,
    stop: AtomicBool,
    file: PathBuf,
    changed: Changed,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    node: NodeId,
    seq: Seq,
    state: State,
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cursor(&self) -> Seq {
        Seq::new(self.cursor.load(Ordering::Acquire))
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Appends a record, and waits until it is durable and the state knows it.
    pub(super) fn note(&self, record: Record) -> Result<Seq, JournalError> {
        let seq = self.journal.append(record).wait()?;
        let until = Instant::now() + IN_FORCE;
        while self.cursor() < seq && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(seq)
    }
}

/// Reads what was kept and starts to follow.
pub(super) fn start(file: &Path, journal: Arc<Journal>, changed: Changed) -> Result<(Arc<Shared>, JoinHandle<()>), FileError> {
    let kept = durable::read(file)?.and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
    let kept = kept.filter(|kept| kept.node == journal.node() && kept.seq <= journal.tail());
    let (seq, state) = kept.map_or_else(|| (Seq::ZERO, State::default()), |kept| (kept.seq, kept.state.restored()));
    let shared = Arc::new(Shared {
        journal,
        state: Mutex::new(state),
        cursor: AtomicU64::new(seq.get()),
        stop: AtomicBool::new(false),
        file: file.to_owned(),
        changed,
    });
    let mut follower =
        Follower { shared: Arc::clone(&shared), raised: HashSet::new(), kept: (Instant::now(), seq), failing: false };
    let thread = std::thread::Builder::new().name("alarms".into()).spawn(move || follower.run());
    let thread = thread.map_err(|source| FileError { doing: "start the thread of", path: file.to_owned(), source })?;
    Ok((shared, thread))
}

struct Follower {
    shared: Arc<Shared>,
    /// What the journal had as raised beyond the kept state when this process began (A1).
    raised: HashSet<AlarmId>,
    kept: (Instant, Seq),
    failing: bool,
}

impl Follower {
    fn run(&mut self) {
        let inherited = self.shared.journal.tail();
        if let Err(error) = self.learn_raised(inherited) {
            tracing::error!(%error, "the journal does not read back for alarms; some may be raised a second time");
        }
        loop {
            let stopping = self.shared.stop.load(Ordering::Acquire);
            let cursor = self.shared.cursor();
            let tail = if stopping { self.shared.journal.tail() } else { self.shared.journal.wait_beyond(cursor, PATIENCE) };
            if tail > cursor {
                self.take(cursor, tail.min(Seq::new(cursor.get() + BATCH)));
            } else if stopping {
                break;
            }
            if self.failing && stopping {
                break;
            }
            if self.kept.0.elapsed() >= KEEP_EVERY {
                self.keep();
            }
            if !self.raised.is_empty() && self.shared.cursor() >= inherited {
                self.raised = HashSet::new();
            }
        }
        self.keep();
    }

    fn learn_raised(&mut self, to: Seq) -> Result<(), JournalError> {
        #[derive(Deserialize)]
        struct Raised {
            id: AlarmId,
        }
        let raised = &mut self.raised;
        self.shared.journal.visit(self.shared.cursor().next(), to, |seen| {
            if seen.kind == "alarm.raised"
                && let Ok(Raised { id }) = serde_json::from_slice(seen.body)
            {
                raised.insert(id);
            }
            ControlFlow::Continue(())
        })
    }

    fn take(&mut self, after: Seq, to: Seq) {
        let mut begun = Vec::new();
        let node = self.shared.journal.node();
        let mut last = after;
        let revision = {
            let mut state = self.shared.state();
            let before = state.revision();
            let read = self.shared.journal.visit(after.next(), to, |seen| {
                begun.extend(state.take(node, seen));
                last = seen.seq;
                ControlFlow::Continue(())
            });
            if read.is_err() != self.failing {
                self.failing = read.is_err();
                if let Err(error) = &read {
                    tracing::error!(%error, "the journal does not read back for alarms; nobody is called until it does");
                }
            }
            (state.revision() > before).then(|| state.revision())
        };
        for alarm in begun.iter().filter(|alarm| !self.raised.contains(&alarm.id)) {
            self.shared.journal.append_then(alarm.record(), |result| {
                if let Err(error) = result {
                    tracing::error!(%error, "an alarm is shown and could not be written into the journal");
                }
            });
        }
        self.shared.cursor.store(last.get(), Ordering::Release);
        if let Some(revision) = revision {
            (self.shared.changed)(revision);
        }
        if self.failing {
            std::thread::sleep(PATIENCE);
        }
    }

    fn keep(&mut self) {
        let (seq, bytes) = {
            let state = self.shared.state();
            let seq = self.shared.cursor();
            if seq == self.kept.1 {
                self.kept.0 = Instant::now();
                return;
            }
            let kept = Kept { node: self.shared.journal.node(), seq, state: state.clone() };
            (seq, serde_json::to_vec(&kept).unwrap_or_default())
        };
        if let Err(error) = durable::replace(&self.shared.file, &bytes, 0o600) {
            tracing::warn!(%error, "rules and alarms could not be kept; the next start reads more of the journal");
        }
        self.kept = (Instant::now(), seq);
    }
}
