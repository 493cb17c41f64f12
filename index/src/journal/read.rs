//! Reading the journal from any sequence number, while it is written.

use super::batch::{Gathered, Gathering, History};
use super::record::{self, Entry, Hash, MAX_RECORD, Seq};
use super::segment::{SECTOR, SegmentFile};
use super::{Journal, JournalError, lock};
use crate::model::{NodeId, UtcMicros};
use std::{ops::ControlFlow, sync::Arc, time::Duration};

/// Bytes read from disk at a time.
const CHUNK: u64 = 256 << 10;
/// A page ends after so many bytes of bodies, however many records were asked for.
const PAGE_BYTES: usize = 8 << 20;

/// A record as a walk meets it, its body not yet parsed.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Its place.
    pub seq: Seq,
    /// When it happened.
    pub at: UtcMicros,
    /// What happened.
    pub kind: &'a str,
    /// The facts, as JSON.
    pub body: &'a [u8],
}

impl History for Journal {
    fn node(&self) -> NodeId {
        self.node
    }

    fn head(&self) -> (Seq, Hash) {
        Journal::head(self)
    }

    fn gather(&self, after: Seq, hash: Hash, bytes: usize) -> Result<Gathered, JournalError> {
        let (tail, tail_hash) = Journal::head(self);
        let mut gathering = match Gathering::begin(self.node, (after, hash), (tail, tail_hash), bytes) {
            Ok(gathering) => gathering,
            Err(settled) => return Ok(settled),
        };
        self.walk(gathering.from(), tail, |raw| gathering.take(raw))?;
        Ok(gathering.finish())
    }

    fn visit(&self, from: Seq, to: Seq, visit: &mut dyn FnMut(Seen<'_>) -> ControlFlow<()>) -> Result<(), JournalError> {
        Journal::visit(self, from, to, visit)
    }

    fn wait_beyond(&self, seen: Seq, limit: Duration) -> Seq {
        Journal::wait_beyond(self, seen, limit)
    }
}

impl Journal {
    /// Durable records from `from` on, in order, at most `limit`; fewer if their bodies are large. Empty only if there is
    /// nothing at or after `from`.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] if a record does not read back; [`JournalError::Io`].
    pub fn read(&self, from: Seq, limit: usize) -> Result<Vec<Entry>, JournalError> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        if limit == 0 {
            return Ok(entries);
        }
        self.walk(from, self.tail(), |raw| {
            let Some(entry) = raw.entry() else { return ControlFlow::Break(Err("the body is not JSON")) };
            entries.push(entry);
            bytes += raw.body.len();
            if entries.len() >= limit || bytes >= PAGE_BYTES { ControlFlow::Break(Ok(())) } else { ControlFlow::Continue(()) }
        })?;
        Ok(entries)
    }

    /// Calls `visit` with each durable record from `from` to `to`, both included, until it breaks. Much cheaper than
    /// [`Journal::read`] where few kinds matter.
    ///
    /// # Errors
    /// As [`Journal::read`].
    pub fn visit(&self, from: Seq, to: Seq, mut visit: impl FnMut(Seen<'_>) -> ControlFlow<()>) -> Result<(), JournalError> {
        self.walk(from, to.min(self.tail()), |raw| visit(raw.seen()).map_break(Ok))
    }

    /// The first sequence numbers of the files, oldest first: places where reading backwards may start anew.
    #[must_use]
    pub fn file_starts(&self) -> Vec<Seq> {
        lock(&self.shared.files).segments.iter().map(|file| file.header.first).collect()
    }

    fn walk(
        &self,
        from: Seq,
        to: Seq,
        mut visit: impl FnMut(&record::Raw<'_>) -> ControlFlow<Result<(), &'static str>>,
    ) -> Result<(), JournalError> {
        let from = from.max(Seq::new(1));
        if from > to {
            return Ok(());
        }
        let files: Vec<Arc<SegmentFile>> = {
            let files = lock(&self.shared.files);
            let start = files.segments.partition_point(|file| file.header.first <= from).saturating_sub(1);
            files.segments[start..].to_vec()
        };
        let mut expected = None;
        for file in files {
            let mut cursor = Cursor::new(&file, file.start_for(from));
            while let Some((offset, raw)) = cursor.next()? {
                let damaged = |what| JournalError::Damaged { path: file.path.clone(), offset, what };
                if expected.is_some_and(|seq| raw.place.seq != seq) {
                    return Err(damaged("the record is not the one that belongs here"));
                }
                expected = Some(raw.place.seq.next());
                if raw.place.seq < from {
                    continue;
                }
                match visit(&raw) {
                    ControlFlow::Continue(()) if raw.place.seq < to => {}
                    ControlFlow::Continue(()) | ControlFlow::Break(Ok(())) => return Ok(()),
                    ControlFlow::Break(Err(what)) => return Err(damaged(what)),
                }
            }
        }
        Ok(())
    }
}

/// Steps over the records of one file.
struct Cursor<'a> {
    file: &'a SegmentFile,
    end: u64,
    at: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer starts.
    base: u64,
}

impl<'a> Cursor<'a> {
    fn new(file: &'a SegmentFile, at: u64) -> Self {
        Self { file, end: file.end(), at, buffer: Vec::new(), base: at }
    }

    /// The next record and its offset; `None` at the durable end of the file.
    fn next(&mut self) -> Result<Option<(u64, record::Raw<'_>)>, JournalError> {
        if self.at >= self.end {
            return Ok(None);
        }
        let offset = self.at;
        self.fill()?;
        let here = (offset - self.base) as usize;
        let raw = record::decode(&self.buffer[here..]).ok_or_else(|| JournalError::Damaged {
            path: self.file.path.clone(),
            offset,
            what: "no whole record where one should be",
        })?;
        self.at += raw.length as u64;
        if raw.place.last {
            self.at = self.at.next_multiple_of(SECTOR);
        }
        self.file.note(raw.place.seq, offset);
        Ok(Some((offset, raw)))
    }

    /// Makes sure that a whole record at `at` is in the buffer, if the file has it.
    fn fill(&mut self) -> Result<(), JournalError> {
        let have = self.base + self.buffer.len() as u64;
        let need = (self.at + MAX_RECORD as u64).min(self.end);
        if self.buffer.is_empty() || need > have {
            let length = CHUNK.min(self.end - self.at);
            self.file.file.read_at(self.at, length, &mut self.buffer).map_err(JournalError::io("read", &self.file.path))?;
            self.base = self.at;
        }
        Ok(())
    }
}
