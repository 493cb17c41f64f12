//! The node's journal: everything that happened here, numbered, chained and durable.
//!
//! Indexes, incidents, the register of accesses and the ledger's marks are projections of it and can be thrown away; the
//! journal cannot. So it only ever appends, says that a record is kept after the disk said so, and would rather refuse to
//! open than skip a damaged place. What a record means belongs to whoever writes it: here a record is an instant, a dotted
//! kind and a JSON body.
//!
//! - J1: sequence numbers start at 1 and have no hole (I6).
//! - J2: an acknowledged record survives power loss: it is acknowledged after `fdatasync`.
//! - J3: no acknowledged sector is written again: each commit starts on a sector of its own.
//! - J4: commit n + 1 is written only after commit n is durable. So a bad record with a later commit behind it was damaged
//!   at rest and is reported; without one it is the tail of a commit that nobody was told of, and is cut off. A note of how
//!   far the journal reaches, written at each new file and at a clean stop, catches what this rule cannot see.
//! - J5: each record carries the BLAKE3 hash of itself and of the hash before it, so no edit, removal or exchange of order
//!   goes unseen by [`Journal::verify`].
//!
//! What a journal holds is copied upwards record by record, byte for byte (`batch`, `copy`): the hash chain goes with it, so whoever
//! holds a copy can prove it.
//!
//! Files: `00000000000000000001.journal`, named by the first sequence number inside; `segment` and `record` describe the bytes.

mod batch;
mod bell;
mod check;
mod copy;
mod error;
mod health;
mod hint;
mod medium;
mod read;
mod record;
mod recover;
mod segment;
mod sim;
mod writer;

pub use batch::{Batch, Gathered, History, MAX_BATCH_BYTES, MIN_BATCH_BYTES};
pub use bell::Bell;
pub use check::Verified;
pub use copy::{Applied, Copies, CopyError, CopyLimits, JournalCopy, MAX_COPIES};
pub use error::JournalError;
pub use health::JournalHealth;
pub use read::Seen;
pub use record::{Entry, Hash, MAX_BODY, Record, Seq};
pub use sim::SimDisk;

use crate::model::NodeId;
use medium::{Medium, RealMedium};
use segment::SegmentFile;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc},
    thread::JoinHandle,
    time::Duration,
};
use writer::{Queue, Then};

/// How large a file grows before the next one is begun, and how much may wait for the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JournalLimits {
    /// Bytes after which a file is closed. Default 16 MiB.
    pub segment_bytes: u64,
    /// Records that may wait for the writer; one more is refused with [`JournalError::Full`]. Default 16,384.
    pub queue_records: usize,
}

impl Default for JournalLimits {
    fn default() -> Self {
        Self { segment_bytes: 16 << 20, queue_records: 16_384 }
    }
}

/// The journal of one node. Share it in an `Arc`; when the last one goes, what is queued is made durable first.
pub struct Journal {
    dir: PathBuf,
    node: NodeId,
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// The newest record when it was opened.
    inherited: Seq,
}

/// What the writer and everybody else see.
struct Shared {
    queue: Mutex<Queue>,
    /// Rung when the queue has work or must end.
    work: Condvar,
    /// The files that hold durable records, oldest first, and how far they are durable.
    files: Mutex<Files>,
    /// Rung after each commit.
    committed: Condvar,
    watchers: Mutex<Vec<Watcher>>,
    health: Mutex<health::Tally>,
}

/// Called after each commit with the new tail.
type Watcher = Box<dyn Fn(Seq) + Send + Sync>;

struct Files {
    segments: Vec<Arc<SegmentFile>>,
    tail: Seq,
    tail_hash: Hash,
}

/// Waits for one record to be durable.
#[must_use = "a record is only known to be durable once its ticket says so"]
pub struct Ticket(mpsc::Receiver<Result<Seq, JournalError>>);

impl Ticket {
    /// Blocks until the record is durable; typically the time of one disk sync. Not for async code: see
    /// [`Journal::append_then`].
    ///
    /// # Errors
    /// Why the record is not in the journal, and will not be.
    pub fn wait(self) -> Result<Seq, JournalError> {
        self.0.recv().unwrap_or(Err(JournalError::Closed))
    }
}

impl Journal {
    /// Opens the journal in `dir`, which is created if missing, and starts its writer. Reads only the newest file, so it
    /// takes milliseconds whatever the journal's size. The tail of a commit that was cut by a crash is removed.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] with file and offset if an acknowledged record does not read back;
    /// [`JournalError::ForeignNode`] if the files are another node's; [`JournalError::Io`] if the disk refuses.
    pub fn open(dir: &Path, node: NodeId) -> Result<Arc<Self>, JournalError> {
        Self::open_with(dir, node, JournalLimits::default())
    }

    /// As [`Journal::open`], with limits of the caller's choice.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_with(dir: &Path, node: NodeId, limits: JournalLimits) -> Result<Arc<Self>, JournalError> {
        let medium = RealMedium::create(dir).map_err(JournalError::io("create", dir))?;
        Self::open_on(Arc::new(medium), node, limits)
    }

    /// As [`Journal::open_with`], on a simulated disk.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn open_simulated(disk: &SimDisk, node: NodeId, limits: JournalLimits) -> Result<Arc<Self>, JournalError> {
        Self::open_on(disk.medium().below("journal").map_err(JournalError::io("create", "journal"))?, node, limits)
    }

    fn open_on(medium: Arc<dyn Medium>, node: NodeId, limits: JournalLimits) -> Result<Arc<Self>, JournalError> {
        let dir = medium.path("");
        let (found, commit) = recover::recover(&*medium, node, limits.segment_bytes)?;
        let inherited = found.tail;
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new(limits.queue_records)),
            work: Condvar::new(),
            files: Mutex::new(found),
            committed: Condvar::new(),
            watchers: Mutex::default(),
            health: Mutex::default(),
        });
        let writer = writer::start(medium, node, limits, commit, Arc::clone(&shared))?;
        Ok(Arc::new(Self { dir, node, shared, writer: Mutex::new(Some(writer)), inherited }))
    }

    /// Whose journal it is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// Queues a record and returns at once. A record alone is committed at once, many share one sync.
    pub fn append(&self, record: Record) -> Ticket {
        let (done, ticket) = mpsc::sync_channel(1);
        self.append_then(record, move |result| drop(done.send(result)));
        Ticket(ticket)
    }

    /// Queues a record and returns at once; `then` is called when it is durable, or with the reason why it never will be:
    /// on the journal's thread, in the order of sequence numbers, so it must be short; on the caller's thread if the
    /// record is refused at the door.
    pub fn append_then(&self, record: Record, then: impl FnOnce(Result<Seq, JournalError>) + Send + 'static) {
        let then: Then = Box::new(then);
        let refused = match record.encode_body() {
            Err(error) => Some((then, error)),
            Ok(pending) => lock(&self.shared.queue).push(pending, then),
        };
        match refused {
            Some((then, error)) => {
                lock(&self.shared.health).refused += 1;
                then(Err(error));
            }
            None => self.shared.work.notify_one(),
        }
    }

    /// Queues records together and waits until they are durable: one commit, if they fit. Returns the number of the last, and
    /// [`Journal::tail`] for none.
    ///
    /// # Errors
    /// Why some of them are not in the journal: then the ones before those are.
    pub fn append_all(&self, records: Vec<Record>) -> Result<Seq, JournalError> {
        let mut waiting = Vec::with_capacity(records.len());
        let pending: Vec<_> = records.into_iter().map(Record::encode_body).collect::<Result<_, _>>()?;
        let mut queue = lock(&self.shared.queue);
        for record in pending {
            let (done, ticket) = mpsc::sync_channel(1);
            waiting.push(Ticket(ticket));
            if let Some((then, error)) = queue.push(record, Box::new(move |result| drop(done.send(result)))) {
                then(Err(error));
            }
        }
        drop(queue);
        self.shared.work.notify_one();
        waiting.into_iter().try_fold(self.tail(), |_, ticket| ticket.wait())
    }

    /// The newest durable record; [`Seq::ZERO`] if there is none.
    #[must_use]
    pub fn tail(&self) -> Seq {
        lock(&self.shared.files).tail
    }

    /// The newest record of earlier runs, by which it is known how long the last of them lived; [`Seq::ZERO`] if there is none.
    #[must_use]
    pub fn inherited(&self) -> Seq {
        self.inherited
    }

    /// The hash of the newest durable record: whoever keeps it elsewhere can later prove that nothing before it changed.
    #[must_use]
    pub fn head(&self) -> (Seq, Hash) {
        let files = lock(&self.shared.files);
        (files.tail, files.tail_hash)
    }

    /// How the journal does.
    #[must_use]
    pub fn health(&self) -> JournalHealth {
        let waiting = lock(&self.shared.queue).waiting();
        let tail = self.tail();
        lock(&self.shared.health).report(tail, waiting)
    }

    /// Waits until a record newer than `seen` is durable, at most `limit`. Returns the tail.
    #[must_use]
    pub fn wait_beyond(&self, seen: Seq, limit: Duration) -> Seq {
        let files = lock(&self.shared.files);
        let (files, _) = self
            .shared
            .committed
            .wait_timeout_while(files, limit, |files| files.tail <= seen)
            .unwrap_or_else(PoisonError::into_inner);
        files.tail
    }

    /// Calls `watcher` after each commit with the new tail, on the journal's thread: it must be short.
    pub fn on_commit(&self, watcher: impl Fn(Seq) + Send + Sync + 'static) {
        lock(&self.shared.watchers).push(Box::new(watcher));
    }

    /// Makes durable what is queued and ends the writer. Later appends are refused with [`JournalError::Closed`];
    /// reading goes on.
    pub fn close(&self) {
        lock(&self.shared.queue).close();
        self.shared.work.notify_all();
        if let Some(writer) = lock(&self.writer).take() {
            // The last handle may go in a callback, on the writer's own thread: it ends after this commit.
            if writer.thread().id() != std::thread::current().id() {
                // A writer that panicked has told its tickets so by dropping them.
                drop(writer.join());
            }
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("dir", &self.dir).field("tail", &self.tail()).finish_non_exhaustive()
    }
}

/// Locks, also after a panic elsewhere: every section below leaves its data whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod tests;
