//! The one thread that writes the journal: takes all that waits, writes it as one commit, syncs, then tells.

use super::medium::Medium;
use super::record::{self, Hash, Pending, Seq};
use super::segment::{Header, OWN, SECTOR, SegmentFile};
use super::{JournalError, JournalLimits, Shared, hint, lock};
use crate::model::{NodeId, UtcMicros};
use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
    thread::JoinHandle,
    time::Instant,
};

/// Called with a record's fate.
pub(super) type Then = Box<dyn FnOnce(Result<Seq, JournalError>) + Send>;

/// Bytes of records that one commit takes at most: a bound on memory and on how long a sync may take.
const COMMIT_BYTES: usize = 4 << 20;

/// What waits for the writer.
pub(super) struct Queue {
    waiting: VecDeque<(Pending, Then)>,
    limit: usize,
    open: bool,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        Self { waiting: VecDeque::new(), limit, open: true }
    }

    /// Takes a record in, or gives its callback back with the reason for the refusal.
    pub(super) fn push(&mut self, pending: Pending, then: Then) -> Option<(Then, JournalError)> {
        if !self.open {
            return Some((then, JournalError::Closed));
        }
        if self.waiting.len() >= self.limit {
            return Some((then, JournalError::Full { waiting: self.waiting.len() }));
        }
        self.waiting.push_back((pending, then));
        None
    }

    pub(super) fn close(&mut self) {
        self.open = false;
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn take(&mut self) -> Vec<(Pending, Then)> {
        let mut bytes = 0;
        let fits = self.waiting.iter().take_while(|(pending, _)| {
            bytes += pending.body.len();
            bytes <= COMMIT_BYTES
        });
        let count = fits.count();
        self.waiting.drain(..count).collect()
    }
}

struct Writer {
    medium: Arc<dyn Medium>,
    node: NodeId,
    limits: JournalLimits,
    shared: Arc<Shared>,
    file: Arc<SegmentFile>,
    end: u64,
    /// Where the next file is begun.
    rotate_at: u64,
    seq: Seq,
    hash: Hash,
    commit: u64,
    buffer: Vec<u8>,
}

impl JournalLimits {
    /// A file has one commit at least.
    fn rotate_at(self) -> u64 {
        self.segment_bytes.max(2 * SECTOR)
    }
}

/// Starts the writer at the tail that recovery found.
pub(super) fn start(
    medium: Arc<dyn Medium>,
    node: NodeId,
    limits: JournalLimits,
    commit: u64,
    shared: Arc<Shared>,
) -> Result<JoinHandle<()>, JournalError> {
    let (file, seq, hash) = {
        let files = lock(&shared.files);
        let newest = files.segments.last().ok_or(JournalError::Closed)?;
        (Arc::clone(newest), files.tail, files.tail_hash)
    };
    let end = file.end();
    let failed = JournalError::io("start the writer of", medium.path(""));
    let rotate_at = limits.rotate_at();
    let mut writer = Writer { medium, node, limits, shared, file, end, rotate_at, seq, hash, commit, buffer: Vec::new() };
    std::thread::Builder::new().name("journal".into()).spawn(move || writer.run()).map_err(failed)
}

impl Writer {
    fn run(&mut self) {
        while let Some((records, thens)) = self.next() {
            let first = self.seq.next();
            let started = Instant::now();
            match self.commit(&records) {
                Ok(()) => {
                    lock(&self.shared.health).note_commit(started.elapsed());
                    let mut seq = first;
                    for then in thens {
                        then(Ok(seq));
                        seq = seq.next();
                    }
                    for watcher in lock(&self.shared.watchers).iter() {
                        watcher(self.seq);
                    }
                }
                Err(error) if error.is_full() => {
                    // Nothing was acknowledged, and the next commit is written over what there is of this one.
                    tracing::error!(%error, "the journal's disk is full: what needs an access record is refused until there is room");
                    lock(&self.shared.health).refused += thens.len() as u64;
                    thens.into_iter().for_each(|then| then(Err(error.clone())));
                }
                Err(error) => {
                    tracing::error!(%error, "the journal stopped: nothing that needs an access record is shown until restart");
                    self.fail(&error, thens);
                    return;
                }
            }
        }
        self.note_tail();
    }

    /// Notes how far the journal reaches. Without the note it is as good as ever, only its end is less well guarded.
    fn note_tail(&self) {
        if let Err(error) = hint::write(&*self.medium, self.seq, self.hash) {
            tracing::warn!(%error, tail = %self.seq, "the journal's end could not be noted");
        }
    }

    /// Waits for work. `None` when the journal is closed and nothing waits.
    fn next(&self) -> Option<(Vec<Pending>, Vec<Then>)> {
        let mut queue = lock(&self.shared.queue);
        while queue.waiting.is_empty() {
            if !queue.open {
                return None;
            }
            queue = self.shared.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        Some(queue.take().into_iter().unzip())
    }

    /// Writes one commit and makes it durable; only then moves the tail (J2).
    fn commit(&mut self, records: &[Pending]) -> Result<(), JournalError> {
        if self.end >= self.rotate_at {
            self.rotate()?;
        }
        let commit = self.commit + 1;
        self.buffer.clear();
        let (seq, hash) = record::encode_commit(records, commit, self.seq, self.hash, &mut self.buffer);
        let path = &self.file.path;
        self.file.file.write_at(&self.buffer, self.end).map_err(JournalError::io("write", path))?;
        self.file.file.sync().map_err(JournalError::io("sync", path))?;
        self.file.note(self.seq.next(), self.end);
        self.end += self.buffer.len() as u64;
        (self.seq, self.hash, self.commit) = (seq, hash, commit);
        let mut files = lock(&self.shared.files);
        self.file.extend(self.end);
        (files.tail, files.tail_hash) = (seq, hash);
        drop(files);
        self.shared.committed.notify_all();
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), JournalError> {
        let header = Header {
            node: self.node,
            first: self.seq.next(),
            first_commit: self.commit + 1,
            previous: self.file.header.first,
            before: self.hash,
            created: UtcMicros::now(),
        };
        let draft = match SegmentFile::draft(&*self.medium, &OWN, header, self.limits.segment_bytes) {
            Ok(draft) => draft,
            Err(error) => {
                // The present file is as good as ever; it grows past its size until there is room for another.
                tracing::warn!(%error, file = %self.file.path.display(), "the next journal file could not be created yet");
                self.rotate_at = self.end + self.limits.segment_bytes / 4;
                return Ok(());
            }
        };
        self.file = Arc::new(draft.publish(&*self.medium)?);
        self.end = SECTOR;
        self.rotate_at = self.limits.rotate_at();
        lock(&self.shared.files).segments.push(Arc::clone(&self.file));
        self.note_tail();
        Ok(())
    }

    /// Takes no more, and answers what was being written and what waits.
    fn fail(&self, error: &JournalError, thens: Vec<Then>) {
        lock(&self.shared.health).failed = Some(error.clone());
        let waiting = {
            let mut queue = lock(&self.shared.queue);
            queue.close();
            std::mem::take(&mut queue.waiting)
        };
        thens.into_iter().chain(waiting.into_iter().map(|(_, then)| then)).for_each(|then| then(Err(error.clone())));
    }
}
