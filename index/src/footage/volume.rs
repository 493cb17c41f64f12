//! One volume: its identity, its pool of files, the queue before its writer, and how it fares. Shared between the writer, the
//! keeper and whoever appends or reads.

use super::{
    catalogue::SegmentKey,
    disk::{AbsentDisk, Disk, DiskFile},
    erase::Unfinished,
    fare::Fare,
    head::{self, Head},
    pool::{Pool, Size},
    types::{Draft, VolumeHealth, VolumeSetup, VolumeState},
};
use crate::{
    durable,
    model::{NodeId, StreamId, UtcMicros, VolumeId},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashSet, VecDeque},
    io,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

/// A lock whose holder cannot have left half-done work: every critical section here is a few assignments.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// See the module.
pub(super) struct Volume {
    /// Its place in the configuration.
    pub(super) index: u16,
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) id: VolumeId,
    pub(super) capacity: u64,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) queue: Mutex<Queue>,
    /// Rung when the writer has something to do before its next commit.
    pub(super) work: Condvar,
    /// Rung after each commit.
    pub(super) committed: Condvar,
    pub(super) pool: Mutex<Pool>,
    /// Rung when the keeper has something to do.
    pub(super) chores: Condvar,
    pub(super) stats: Mutex<Stats>,
    /// No file to write to, and none to be had.
    pub(super) full: AtomicBool,
    pub(super) recovering: AtomicBool,
    /// Bytes that were read again.
    pub(super) verified: AtomicU64,
    /// Its threads shall end: its disk is gone.
    pub(super) retired: AtomicBool,
    /// It was taken out of the configuration.
    pub(super) removed: AtomicBool,
    /// Somebody asked for it to be tried again.
    pub(super) ask_again: AtomicBool,
    /// Its disk is not there: it only keeps the place.
    absent: bool,
    /// The number of the newest checkpoint that was begun, whether or not it came to be.
    pub(super) checkpoints: AtomicU32,
    /// Commits of the pool and catalogue since the last checkpoint.
    pub(super) changes: AtomicU64,
    /// Segments sealed early, whose unused bytes the keeper gives back: number, from, to.
    pub(super) sealed_early: Mutex<Vec<(u32, u64, u64)>>,
    /// Streams whose open segment is to be sealed at the next commit: some of it is to be erased.
    pub(super) seal_wanted: Mutex<HashSet<StreamId>>,
    /// Files that the writer writes. To others it never comes back, sealed or not.
    pub(super) writing: Mutex<HashSet<u32>>,
    /// Erasures that are decided and not done on the disk yet.
    pub(super) unfinished: Mutex<Vec<Unfinished>>,
    /// What the disk refused and may have all the same. Their files are not used before the next start: no more than there are files.
    pub(super) refused: Mutex<Vec<super::refused::Refused>>,
    /// Files of earlier runs that could not be looked into at the start.
    pub(super) unread: Mutex<Vec<u32>>,
    files: Mutex<VecDeque<(u32, Arc<dyn DiskFile>)>>,
}

/// Drafts before their commit.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) drafts: Vec<Arc<Draft>>,
    /// Bytes of those.
    pub(super) bytes: usize,
    /// What the writer is committing: still in memory until it is durable, so that another volume can take it if this one never
    /// answers.
    pub(super) writing: Vec<Arc<Draft>>,
    writing_bytes: usize,
    /// Somebody took what is being committed elsewhere.
    pub(super) taken: bool,
    /// Since when a commit is under way. These instants are those of the machine's monotonic clock.
    pub(super) writing_since: Option<Duration>,
    /// When the oldest of `drafts` came.
    pub(super) oldest: Option<Duration>,
    /// Some of `drafts` came back from a commit for want of a file: there is no hurry.
    pub(super) starved: bool,
    pub(super) bound: usize,
    /// Commit now. Counts the requests, so that each can wait for its own.
    pub(super) flush: u64,
    pub(super) flushed: u64,
    pub(super) closing: bool,
    /// The writer is gone: nothing will be committed any more.
    pub(super) ended: bool,
}

impl Queue {
    /// Bytes in memory that are not durable yet.
    pub(super) fn held(&self) -> usize {
        self.bytes + self.writing_bytes
    }

    /// Queues a draft.
    pub(super) fn push(&mut self, draft: Arc<Draft>, now: Duration) {
        self.bytes += draft.bytes();
        self.oldest.get_or_insert(now);
        self.drafts.push(draft);
    }

    /// Where the oldest begins that is not durable yet of a stream.
    pub(super) fn oldest_of(&self, stream: StreamId) -> Option<UtcMicros> {
        let all = self.writing.iter().chain(&self.drafts);
        all.filter(|draft| draft.stream == stream).map(|draft| draft.window().from).min()
    }

    /// Some of what is queued came before `since`: it was in another queue, or waited for a file.
    pub(super) fn hurry(&mut self, since: Duration) {
        self.oldest = self.oldest.map(|oldest| oldest.min(since));
    }

    /// Takes what is to be committed, oldest first: all of it, or some more than `most` bytes where a stall has left a backlog, so that
    /// what is written first is also durable and seen first, and no commit is so long that it looks like another stall. Where drafts
    /// wait for a file they must not stand before those that have one, so all are taken.
    pub(super) fn begin(&mut self, now: Duration, most: usize) -> Vec<Arc<Draft>> {
        let (mut bytes, all) = (0, self.starved);
        let fits = |draft: &&Arc<Draft>| {
            let fits = all || bytes < most;
            bytes += draft.bytes();
            fits
        };
        let count = self.drafts.iter().take_while(fits).count();
        let later = self.drafts.split_off(count);
        let drafts = std::mem::replace(&mut self.drafts, later);
        self.writing.clone_from(&drafts);
        self.writing_bytes = drafts.iter().map(|draft| draft.bytes()).sum();
        self.bytes -= self.writing_bytes;
        self.writing_since = Some(now);
        if self.drafts.is_empty() {
            self.oldest = None;
        }
        (self.starved, self.taken) = (false, false);
        drafts
    }

    /// The commit is over, except for those that found no file. Says whether it still was this volume's to make: whoever did not
    /// want to wait for it has taken its drafts elsewhere otherwise.
    pub(super) fn end(&mut self, waiting: Vec<Arc<Draft>>, now: Duration) -> bool {
        let mine = !std::mem::take(&mut self.taken);
        (self.writing, self.writing_bytes, self.writing_since) = (Vec::new(), 0, None);
        if mine && !waiting.is_empty() {
            self.starved = true;
            self.bytes += waiting.iter().map(|draft| draft.bytes()).sum::<usize>();
            self.oldest.get_or_insert(now);
            self.drafts.splice(..0, waiting);
        }
        mine
    }

    /// Takes out what waits, in order.
    pub(super) fn take_queued(&mut self) -> Vec<Arc<Draft>> {
        (self.bytes, self.oldest, self.starved) = (0, None, false);
        std::mem::take(&mut self.drafts)
    }

    /// Takes everything out, in order, what is being committed included.
    pub(super) fn clear(&mut self) -> Vec<Arc<Draft>> {
        self.taken |= self.writing_since.is_some();
        let mut drafts = std::mem::take(&mut self.writing);
        self.writing_bytes = 0;
        drafts.append(&mut self.take_queued());
        drafts
    }
}

/// A volume's figures.
pub(super) struct Stats {
    pub(super) fare: Fare,
    pub(super) bytes_written: u64,
    pub(super) commits: u64,
    pub(super) open: usize,
    pub(super) damaged: u64,
    /// Of the last commits, in microseconds.
    times: VecDeque<u32>,
}

/// Commits whose time is remembered.
const TIMES: usize = 256;

impl Stats {
    fn new() -> Self {
        Self { fare: Fare::new(), bytes_written: 0, commits: 0, open: 0, damaged: 0, times: VecDeque::with_capacity(TIMES) }
    }

    pub(super) fn committed(&mut self, took: Duration, bytes: u64) {
        self.commits += 1;
        self.bytes_written += bytes;
        if self.times.len() == TIMES {
            self.times.pop_front();
        }
        self.times.push_back(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
    }

    /// Commit times in milliseconds at the given share of them, 0 to 1.
    pub(super) fn commit_ms(&self, share: f64) -> f64 {
        let mut times: Vec<u32> = self.times.iter().copied().collect();
        times.sort_unstable();
        let at = ((times.len() as f64 - 1.0) * share).round().max(0.0) as usize;
        times.get(at).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
    }
}

/// What stands in the file `volume.json` of the directory: whose it is, and its checksum.
#[derive(Serialize, Deserialize)]
pub(super) struct Identity {
    version: u16,
    pub(super) id: VolumeId,
    pub(super) node: NodeId,
}

impl Identity {
    pub(super) const NAME: &'static str = "volume.json";

    /// Reads who the volume is, or prepares it when it is new. Where that is damaged, its segments say it. The error is a sentence.
    pub(super) fn read_or_make(disk: &dyn Disk, node: NodeId, fresh: [u8; 16]) -> io::Result<Result<Self, String>> {
        match Self::read(disk) {
            Ok(Err(Unsound::Unknown(reason))) => Ok(Err(reason)),
            Ok(Err(Unsound::Damaged(reason))) => {
                let found = Self::of_segments(disk)?;
                tracing::error!(reason, found = found.is_some(), "a volume does not say whose it is: its segments are asked");
                let identity = found.unwrap_or(Self { version: 1, id: VolumeId::from_bytes(fresh), node });
                match identity.node == node {
                    true => identity.write(disk).map(|()| Ok(identity)),
                    false => Ok(Err(format!("it was prepared by node {}", identity.node))),
                }
            }
            Ok(Ok(identity)) if identity.node != node => Ok(Err(format!("it was prepared by node {}", identity.node))),
            Ok(Ok(identity)) => Ok(Ok(identity)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let identity = Self { version: 1, id: VolumeId::from_bytes(fresh), node };
                identity.write(disk).map(|()| Ok(identity))
            }
            Err(error) => Err(error),
        }
    }

    /// Who a running volume is, for putting it down again.
    pub(super) fn of(volume: &Volume, node: NodeId) -> Self {
        Self { version: 1, id: volume.id, node }
    }

    /// Puts it down.
    pub(super) fn write(&self, disk: &dyn Disk) -> io::Result<()> {
        disk.replace_small(Self::NAME, &durable::with_checksum(&serde_json::to_vec_pretty(self)?))
    }

    /// Who the volume is by the first segment that says so.
    fn of_segments(disk: &dyn Disk) -> io::Result<Option<Self>> {
        for number in disk.list("segs")?.iter().filter_map(|name| segment_number(name)) {
            if let Ok(Head::Used(header)) = head::read(&*disk.open(&segment_name(number))?, Some(number)) {
                return Ok(Some(Self { version: 1, id: header.volume, node: header.node }));
            }
        }
        Ok(None)
    }

    /// Reads who the volume is.
    pub(super) fn read(disk: &dyn Disk) -> io::Result<Result<Self, Unsound>> {
        let bytes = disk.read_small(Self::NAME)?;
        Ok(match durable::read_checked::<Self>(&bytes) {
            Ok(identity) if identity.version == 1 => Ok(identity),
            Ok(identity) => Err(Unsound::Unknown(format!("its format is version {}, this program knows 1", identity.version))),
            Err(error) => Err(Unsound::Damaged(format!("{} is damaged: {error}", Self::NAME))),
        })
    }
}

/// Why a volume's file does not say whose it is. In a sentence.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsound {
    /// It is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// A later version of this program wrote it.
    #[error("{0}")]
    Unknown(String),
}

/// The name of a segment's file below the volume.
pub(super) fn segment_name(number: u32) -> String {
    format!("segs/{number:08}.mp4")
}

/// The number in a file's name in `segs`.
pub(super) fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".mp4")?;
    (digits.len() >= 8).then(|| digits.parse().ok()).flatten()
}

/// Files that stay open for reading.
const FILES: usize = 128;

impl Volume {
    pub(super) fn new(
        index: u16,
        setup: &super::VolumeSetup,
        disk: Arc<dyn Disk>,
        id: VolumeId,
        pool: Pool,
        bound: usize,
    ) -> Self {
        Self {
            index,
            name: setup.name.clone(),
            path: setup.path.clone(),
            id,
            capacity: setup.capacity,
            disk,
            queue: Mutex::new(Queue { bound, ..Queue::default() }),
            work: Condvar::new(),
            committed: Condvar::new(),
            pool: Mutex::new(pool),
            chores: Condvar::new(),
            stats: Mutex::new(Stats::new()),
            full: AtomicBool::new(false),
            recovering: AtomicBool::new(true),
            verified: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            removed: AtomicBool::new(false),
            ask_again: AtomicBool::new(false),
            absent: false,
            checkpoints: AtomicU32::new(0),
            changes: AtomicU64::new(0),
            sealed_early: Mutex::default(),
            seal_wanted: Mutex::default(),
            writing: Mutex::default(),
            unfinished: Mutex::default(),
            refused: Mutex::default(),
            unread: Mutex::default(),
            files: Mutex::new(VecDeque::new()),
        }
    }

    /// Whether streams may be recorded here.
    pub(super) fn is_home(&self) -> bool {
        lock(&self.stats).fare.keeps() && !self.retired.load(Ordering::Acquire) && !self.removed.load(Ordering::Acquire)
    }

    /// What keeps its place while its disk is not there.
    pub(super) fn absent(&self, error: String, now: UtcMicros) -> Self {
        let since = lock(&self.stats).fare.since().unwrap_or(now);
        let disk = Arc::new(AbsentDisk(error.clone()));
        let (main, sub) = {
            let pool = lock(&self.pool);
            (pool.bytes_of(Size::Main), pool.bytes_of(Size::Sub))
        };
        let volume = Self {
            absent: true,
            recovering: AtomicBool::new(false),
            removed: AtomicBool::new(self.removed.load(Ordering::Acquire)),
            ..Self::new(self.index, &self.setup(), disk, self.id, Pool::new(main, sub, 0), lock(&self.queue).bound)
        };
        lock(&volume.stats).fare = Fare::away(error, since);
        volume
    }

    /// Whether it only keeps a place.
    pub(super) fn is_absent(&self) -> bool {
        self.absent
    }

    /// Whether its disk does what it is asked, for better or worse.
    pub(super) fn answers(&self) -> bool {
        lock(&self.stats).fare.answers()
    }

    /// Whether it can be read: a disk that stands still is not asked, lest whoever reads stands still with it.
    pub(super) fn is_readable(&self) -> bool {
        !self.absent && self.answers()
    }

    /// As it is configured.
    pub(super) fn setup(&self) -> VolumeSetup {
        VolumeSetup { name: self.name.clone(), path: self.path.clone(), capacity: self.capacity }
    }

    /// Lets its threads end.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.work.notify_all();
        self.chores.notify_all();
    }

    /// How much of the streams it is given: the bytes that its disk has for segments.
    pub(super) fn weight(&self) -> u64 {
        lock(&self.pool).capacity().max(1)
    }

    pub(super) fn state(&self) -> VolumeState {
        lock(&self.stats).fare.state()
    }

    /// A segment's file, for reading. Keeps the last [`FILES`] open.
    pub(super) fn file(&self, number: u32) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = lock(&self.files);
        if let Some(at) = files.iter().position(|(other, _)| *other == number)
            && let Some(entry) = files.remove(at)
        {
            let file = Arc::clone(&entry.1);
            files.push_back(entry);
            return Ok(file);
        }
        drop(files);
        let file = self.disk.open(&segment_name(number))?;
        let mut files = lock(&self.files);
        if files.len() >= FILES {
            files.pop_front();
        }
        files.push_back((number, Arc::clone(&file)));
        Ok(file)
    }

    /// Forgets the open file of a segment that is removed.
    pub(super) fn forget_file(&self, number: u32) {
        lock(&self.files).retain(|(other, _)| *other != number);
    }

    /// Commits what is pending now, and waits until that was tried.
    pub(super) fn flush(&self) {
        let mut queue = lock(&self.queue);
        queue.flush += 1;
        let mine = queue.flush;
        self.work.notify_one();
        // A disk that stands still is not waited for.
        while queue.flushed < mine && !queue.ended && self.state() < VolumeState::Draining {
            queue = self.committed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Its figures.
    pub(super) fn health(&self) -> VolumeHealth {
        let (queue_bytes, queue_bound) = {
            let queue = lock(&self.queue);
            (queue.held(), queue.bound)
        };
        let (segments_total, wanted, missing, segments_free) = {
            let pool = lock(&self.pool);
            (pool.total(), pool.wanted(), pool.missing(), Size::ALL.into_iter().map(|size| pool.free(size)).sum())
        };
        let stats = lock(&self.stats);
        VolumeHealth {
            name: self.name.clone(),
            path: self.path.clone(),
            state: stats.fare.state(),
            trouble: stats.fare.trouble(),
            since: stats.fare.since(),
            streams: 0,
            missing,
            direct_io: self.disk.is_direct(),
            segments_total,
            segments_free,
            segments_open: stats.open,
            full: self.full.load(Ordering::Relaxed),
            capacity: if self.absent { self.capacity } else { wanted },
            bytes_written: stats.bytes_written,
            queue_bytes,
            queue_bound,
            commits: stats.commits,
            commit_ms_p50: stats.commit_ms(0.5),
            commit_ms_p99: stats.commit_ms(0.99),
            last_error: stats.fare.last_error().map(str::to_owned),
            recovering: self.recovering.load(Ordering::Acquire),
            damaged: stats.damaged,
            verified: self.verified.load(Ordering::Relaxed),
        }
    }

    /// Whether some of a segment is to be erased and its disk has not done so yet.
    pub(super) fn is_erasing(&self, key: SegmentKey) -> bool {
        lock(&self.unfinished).iter().any(|work| work.key() == key)
    }

    /// Whether a file's own head says that it is free.
    pub(super) fn is_free(&self, number: u32) -> bool {
        let head = self.disk.open(&segment_name(number)).and_then(|file| head::read(&*file, Some(number)));
        matches!(head, Ok(Head::Free { .. }))
    }

    /// Something changed that the next checkpoint should say.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn key(&self, number: u32, incarnation: u64) -> SegmentKey {
        SegmentKey { volume: self.index, number, incarnation }
    }
}
