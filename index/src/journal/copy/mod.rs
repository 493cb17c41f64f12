//! Copies of other nodes' journals, as a centre keeps them of every node below it.
//!
//! A copy holds the same records under the same numbers and hashes, byte for byte, so it proves itself against the chain that its node
//! wrote, and it can be handed further up in turn. How far it goes *is* the cursor of whoever fetches it: there is no second number that
//! could disagree after a crash. What the records mean belongs to projections.
//!
//! - C1: a record enters only as the next number and the next link of the chain: nothing altered, left out or put elsewhere.
//! - C2: the end of a copy moves after the records are durable, and not before.
//! - C3: a batch that came before changes nothing; one that leaves a hole is refused and says which number was expected.
//! - C4: a batch is written after the one before it is durable, and a file whose write or sync failed is never written again: so a bad
//!   batch with a later one behind it was damaged at rest. Its file is set aside, and what it held is fetched again.
//! - C5: a journal that was begun anew under the same name enters nothing until a person says so ([`Copies::begin_anew`]); the old copy
//!   stays.
//!
//! Files: a directory a node, named by its id; in it `00000000000000000001.copy`, named by the first sequence number inside (`format`).

mod error;
mod format;
mod recover;
mod set;
mod walk;

pub use error::CopyError;
pub use set::{Copies, MAX_COPIES};

use super::batch::{Batch, Gathered, Gathering, History, News};
use super::bell::Bell;
use super::medium::Medium;
use super::record::{Hash, Seq};
use super::segment::{Header, SECTOR, SegmentFile};
use super::{JournalError, Seen, lock};
use crate::model::{NodeId, UtcMicros};
use format::COPY;
use std::{
    ops::ControlFlow,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// How a copy is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CopyLimits {
    /// Bytes after which a file is closed. Default 16 MiB.
    pub segment_bytes: u64,
}

impl Default for CopyLimits {
    fn default() -> Self {
        Self { segment_bytes: 16 << 20 }
    }
}

/// The copy of one node's journal.
pub struct JournalCopy {
    node: NodeId,
    medium: Arc<dyn Medium>,
    limits: CopyLimits,
    files: Mutex<Files>,
    /// Rung when the copy grew.
    grown: Condvar,
    /// Whoever holds it writes.
    pen: Mutex<Pen>,
    /// Another copy took this one's place.
    retired: AtomicBool,
    /// How many copies of this node a person set aside before this one.
    begun_anew: u32,
    /// That of all copies of this centre.
    bell: Arc<Bell>,
}

/// What readers see: durable records only.
struct Files {
    segments: Vec<Arc<SegmentFile>>,
    tail: Seq,
    hash: Hash,
    at: Option<UtcMicros>,
}

/// Where the next batch is written.
struct Pen {
    /// `None`: into a new file.
    file: Option<Arc<SegmentFile>>,
    end: u64,
    batch: u64,
    buffer: Vec<u8>,
}

/// What a batch changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Applied {
    /// Records that are new; 0 if all of them were there.
    pub new: u32,
    /// The end of the copy now.
    pub tail: Seq,
}

impl JournalCopy {
    fn open(
        medium: Arc<dyn Medium>,
        node: NodeId,
        limits: CopyLimits,
        (begun_anew, bell): (u32, Arc<Bell>),
    ) -> Result<Self, JournalError> {
        let (files, pen) = recover::recover(&*medium, node)?;
        Ok(Self {
            node,
            medium,
            limits,
            files: Mutex::new(files),
            grown: Condvar::new(),
            pen: Mutex::new(pen),
            retired: AtomicBool::new(false),
            begun_anew,
            bell,
        })
    }

    /// Takes a batch in. What of it is new is durable when this returns; what is not is passed over. Waits for the disk.
    ///
    /// # Errors
    /// [`CopyError::Hole`] names the number that must come next; [`CopyError::Chain`] and [`CopyError::Malformed`] the record that is
    /// not what its node wrote, or is of another journal; [`CopyError::Journal`] if the disk refuses. Nothing has entered then, and the
    /// same batch may be tried again.
    pub fn apply(&self, batch: &Batch) -> Result<Applied, CopyError> {
        let mut pen = lock(&self.pen);
        if self.retired.load(Ordering::Acquire) {
            return Err(CopyError::Retired { node: self.node });
        }
        let (tail, hash) = self.head();
        let Some(news) = batch.follow(self.node, tail, hash)? else { return Ok(Applied { new: 0, tail }) };
        self.write(&mut pen, &news)?;
        let mut files = lock(&self.files);
        (files.tail, files.hash, files.at) = (news.tail, news.hash, Some(news.at));
        drop(files);
        self.grown.notify_all();
        self.bell.ring();
        Ok(Applied { new: news.count, tail: news.tail })
    }

    /// When its newest record happened, on its node's clock; `None` if it has none.
    #[must_use]
    pub fn newest_at(&self) -> Option<UtcMicros> {
        lock(&self.files).at
    }

    /// How often a person had the copy of this node begun anew ([`Copies::begin_anew`]): a projection of an earlier one is none of this one.
    #[must_use]
    pub fn begun_anew(&self) -> u32 {
        self.begun_anew
    }

    /// Reads every file and checks every batch, record and link of the chain.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] names the first place that does not check.
    pub fn verify(&self) -> Result<Seq, JournalError> {
        recover::verify(&self.segments())
    }

    /// Writes one batch and makes it durable.
    fn write(&self, pen: &mut Pen, news: &News<'_>) -> Result<(), JournalError> {
        let file = match pen.file.take() {
            Some(file) if pen.end < self.limits.segment_bytes.max(2 * SECTOR) => file,
            _ => self.begin_file(pen)?,
        };
        pen.buffer.clear();
        format::encode(news, pen.batch + 1, UtcMicros::now(), &mut pen.buffer);
        // C4: if either of these fails the file is not put back, and the next batch begins another.
        file.file.write_at(&pen.buffer, pen.end).map_err(JournalError::io("write", &file.path))?;
        file.file.sync().map_err(JournalError::io("sync", &file.path))?;
        file.note(Seq::new(news.tail.get() + 1 - u64::from(news.count)), pen.end);
        pen.end += pen.buffer.len() as u64;
        pen.batch += 1;
        file.extend(pen.end);
        pen.file = Some(file);
        Ok(())
    }

    fn begin_file(&self, pen: &mut Pen) -> Result<Arc<SegmentFile>, JournalError> {
        let mut files = lock(&self.files);
        let first = files.tail.next();
        // A file of that number holds nothing durable: its first write failed. The new one takes its place.
        files.segments.retain(|file| file.header.first < first);
        let header = Header {
            node: self.node,
            first,
            first_commit: pen.batch + 1,
            previous: files.segments.last().map_or(Seq::ZERO, |file| file.header.first),
            before: files.hash,
            created: UtcMicros::now(),
        };
        drop(files);
        let file = Arc::new(SegmentFile::draft(&*self.medium, &COPY, header, self.limits.segment_bytes)?.publish(&*self.medium)?);
        pen.end = SECTOR;
        lock(&self.files).segments.push(Arc::clone(&file));
        Ok(file)
    }

    fn segments(&self) -> Vec<Arc<SegmentFile>> {
        lock(&self.files).segments.clone()
    }
}

impl History for JournalCopy {
    fn node(&self) -> NodeId {
        self.node
    }

    fn head(&self) -> (Seq, Hash) {
        let files = lock(&self.files);
        (files.tail, files.hash)
    }

    fn gather(&self, after: Seq, hash: Hash, bytes: usize) -> Result<Gathered, JournalError> {
        let head = self.head();
        let mut gathering = match Gathering::begin(self.node, (after, hash), head, bytes) {
            Ok(gathering) => gathering,
            Err(settled) => return Ok(settled),
        };
        walk::walk(&self.segments(), gathering.from(), head.0, |raw| gathering.take(raw))?;
        Ok(gathering.finish())
    }

    fn visit(&self, from: Seq, to: Seq, visit: &mut dyn FnMut(Seen<'_>) -> ControlFlow<()>) -> Result<(), JournalError> {
        let to = to.min(self.head().0);
        walk::walk(&self.segments(), from, to, |raw| visit(raw.seen()).map_break(Ok))
    }

    fn wait_beyond(&self, seen: Seq, limit: Duration) -> Seq {
        let files = lock(&self.files);
        let waited = self.grown.wait_timeout_while(files, limit, |files| files.tail <= seen);
        waited.unwrap_or_else(PoisonError::into_inner).0.tail
    }
}

impl std::fmt::Debug for JournalCopy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JournalCopy").field("node", &self.node).field("tail", &self.head().0).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
