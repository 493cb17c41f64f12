//! The one thread that writes the journal: takes all that waits, writes it as one commit, syncs, then tells.

use super::record::{self, Hash, Pending, Seq};
use super::segment::{Header, SECTOR, SegmentFile};
use super::{JournalError, JournalLimits, Shared, lock};
use crate::model::{NodeId, UtcMicros};
use std::{
    collections::VecDeque,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{Arc, PoisonError},
    thread::JoinHandle,
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
    dir: PathBuf,
    node: NodeId,
    limits: JournalLimits,
    shared: Arc<Shared>,
    file: Arc<SegmentFile>,
    end: u64,
    seq: Seq,
    hash: Hash,
    commit: u64,
    buffer: Vec<u8>,
}

/// Starts the writer at the tail that recovery found.
pub(super) fn start(
    dir: PathBuf,
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
    let failed = JournalError::io("start the writer of", dir.clone());
    let mut writer = Writer { dir, node, limits, shared, file, end, seq, hash, commit, buffer: Vec::new() };
    std::thread::Builder::new().name("journal".into()).spawn(move || writer.run()).map_err(failed)
}

impl Writer {
    fn run(&mut self) {
        while let Some((records, thens)) = self.next() {
            let first = self.seq.next();
            match self.commit(&records) {
                Ok(()) => {
                    let mut seq = first;
                    for then in thens {
                        then(Ok(seq));
                        seq = seq.next();
                    }
                    for watcher in lock(&self.shared.watchers).iter() {
                        watcher(self.seq);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the journal stopped: nothing that needs an access record is shown until restart");
                    thens.into_iter().for_each(|then| then(Err(error.clone())));
                    self.fail(&error);
                    return;
                }
            }
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
        if self.end >= self.limits.segment_bytes.max(2 * SECTOR) {
            self.rotate()?;
        }
        let commit = self.commit + 1;
        self.buffer.clear();
        let (seq, hash) = record::encode_commit(records, commit, self.seq, self.hash, &mut self.buffer);
        let path = &self.file.path;
        self.file.file.write_all_at(&self.buffer, self.end).map_err(JournalError::io("write", path))?;
        self.file.file.sync_data().map_err(JournalError::io("sync", path))?;
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
        self.file = Arc::new(SegmentFile::create(&self.dir, header)?);
        self.end = SECTOR;
        lock(&self.shared.files).segments.push(Arc::clone(&self.file));
        Ok(())
    }

    /// Answers everything that waits and takes no more.
    fn fail(&self, error: &JournalError) {
        let waiting = {
            let mut queue = lock(&self.shared.queue);
            queue.close();
            std::mem::take(&mut queue.waiting)
        };
        waiting.into_iter().for_each(|(_, then)| then(Err(error.clone())));
    }
}
