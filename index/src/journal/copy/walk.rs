//! Reading a copy from any number, while it grows.

use super::super::JournalError;
use super::super::record::{Raw, Seq};
use super::super::segment::{SECTOR, SegmentFile};
use super::format::{self, Frame, MAX_FRAME};
use std::{ops::ControlFlow, sync::Arc};

/// Bytes read from disk at a time, unless a batch is longer.
const CHUNK: u64 = 256 << 10;

/// Calls `visit` with each record from `from` to `to`, both included, until it breaks. `segments` hold them.
pub(super) fn walk(
    segments: &[Arc<SegmentFile>],
    from: Seq,
    to: Seq,
    mut visit: impl FnMut(&Raw<'_>) -> ControlFlow<Result<(), &'static str>>,
) -> Result<(), JournalError> {
    let from = from.max(Seq::new(1));
    if from > to {
        return Ok(());
    }
    let start = segments.partition_point(|file| file.header.first <= from).saturating_sub(1);
    let mut expected = None;
    for (n, file) in segments.iter().enumerate().skip(start) {
        // What a file holds from there on was never acknowledged: the next file has it. No batch reaches across.
        let until = segments.get(n + 1).map(|next| next.header.first);
        let mut cursor = Cursor { file, at: file.start_for(from), buffer: Vec::new(), base: 0 };
        let mut next = None;
        while next.is_none() || until.is_none_or(|until| next < Some(until)) {
            let Some((offset, frame)) = cursor.next()? else { break };
            let damaged = |what| JournalError::Damaged { path: file.path.clone(), offset, what };
            for raw in format::records(frame.records) {
                let seq = raw.place.seq;
                if expected.is_some_and(|expected| seq != expected) {
                    return Err(damaged("the record is not the one that belongs here"));
                }
                expected = Some(seq.next());
                next = expected;
                if seq < from {
                    continue;
                }
                match visit(&raw) {
                    ControlFlow::Continue(()) if seq < to => {}
                    ControlFlow::Continue(()) | ControlFlow::Break(Ok(())) => return Ok(()),
                    ControlFlow::Break(Err(what)) => return Err(damaged(what)),
                }
            }
        }
    }
    Ok(())
}

/// Steps over the batches of one file.
struct Cursor<'a> {
    file: &'a SegmentFile,
    at: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer starts.
    base: u64,
}

impl Cursor<'_> {
    /// The next batch and its offset; `None` at the durable end of the file.
    fn next(&mut self) -> Result<Option<(u64, Frame<'_>)>, JournalError> {
        let end = self.file.end();
        if self.at >= end {
            return Ok(None);
        }
        let offset = self.at;
        let held = |cursor: &Self| format::length_of(cursor.rest()).is_some_and(|length| cursor.rest().len() >= length);
        for room in [CHUNK, MAX_FRAME as u64] {
            if held(self) {
                break;
            }
            self.file
                .file
                .read_at(offset, room.min(end - offset), &mut self.buffer)
                .map_err(JournalError::io("read", &self.file.path))?;
            self.base = offset;
        }
        let here = (offset - self.base) as usize;
        let frame = self.buffer.get(here..).and_then(format::decode).ok_or_else(|| JournalError::Damaged {
            path: self.file.path.clone(),
            offset,
            what: "no whole batch where one should be",
        })?;
        self.at = (offset + frame.length as u64).next_multiple_of(SECTOR);
        self.file.note(frame.first, offset);
        Ok(Some((offset, frame)))
    }

    /// What of the file is in memory from the present place on.
    fn rest(&self) -> &[u8] {
        self.at.checked_sub(self.base).and_then(|here| self.buffer.get(here as usize..)).unwrap_or_default()
    }
}
