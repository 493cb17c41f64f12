//! Opening a journal after whatever happened to it.

use super::medium::{Medium, Use};
use super::segment::{self, Header, OWN, Scan, SegmentFile, Stop};
use super::{Files, Hash, JournalError, Seq, hint};
use crate::model::{NodeId, UtcMicros};
use std::sync::Arc;

/// Finds the tail, cuts off what was never acknowledged, and refuses what was and is damaged. Returns the files and the
/// number of the last commit.
pub(super) fn recover(medium: &dyn Medium, node: NodeId, reserve: u64) -> Result<(Files, u64), JournalError> {
    let note = hint::read(medium)?;
    let mut segments = open_all(medium, Use::Append)?;
    segments.iter().try_for_each(|file| file.check_node(node))?;
    check_order(&segments)?;
    let Some(newest) = segments.last() else {
        hint::check(note.as_ref(), medium, Seq::ZERO, Hash::ZERO)?;
        let header = Header {
            node,
            first: Seq::new(1),
            first_commit: 1,
            previous: Seq::ZERO,
            before: Hash::ZERO,
            created: UtcMicros::now(),
        };
        segments.push(Arc::new(SegmentFile::draft(medium, &OWN, header, reserve)?.publish(medium)?));
        return Ok((Files { segments, tail: Seq::ZERO, tail_hash: Hash::ZERO }, 0));
    };
    let scan = scan_file(newest)?;
    refuse_damage(newest, &scan)?;
    hint::check(note.as_ref(), medium, scan.tail, scan.hash)?;
    cut(newest, &scan)?;
    Ok((Files { tail: scan.tail, tail_hash: scan.hash, segments }, scan.commit))
}

/// The journal's files, oldest first.
pub(super) fn open_all(medium: &dyn Medium, to: Use) -> Result<Vec<Arc<SegmentFile>>, JournalError> {
    segment::list(medium, &OWN)?.iter().map(|name| SegmentFile::open(medium, &OWN, name, to).map(Arc::new)).collect()
}

/// Each file must name the one before it: a file that was taken away leaves a hole (J1).
pub(super) fn check_order(segments: &[Arc<SegmentFile>]) -> Result<(), JournalError> {
    let mut previous = Seq::ZERO;
    for file in segments {
        if file.header.previous != previous {
            return Err(JournalError::Damaged {
                path: file.path.clone(),
                offset: 48,
                what: "the file before this one is missing",
            });
        }
        previous = file.header.first;
    }
    Ok(())
}

/// Reads and walks over a whole file.
pub(super) fn scan_file(file: &SegmentFile) -> Result<Scan, JournalError> {
    let mut bytes = Vec::new();
    file.file.read_at(0, file.end(), &mut bytes).map_err(JournalError::io("read", &file.path))?;
    Ok(segment::scan(&bytes, &file.header))
}

fn refuse_damage(file: &SegmentFile, scan: &Scan) -> Result<(), JournalError> {
    match scan.stop {
        Stop::Damaged(offset, what) => Err(JournalError::Damaged { path: file.path.clone(), offset, what }),
        Stop::Clean | Stop::Unfinished => Ok(()),
    }
}

/// Ends the newest file at its last whole commit, durably, so that what is written next cannot be mistaken.
fn cut(file: &SegmentFile, scan: &Scan) -> Result<(), JournalError> {
    let length = file.end();
    if scan.stop == Stop::Unfinished {
        tracing::warn!(
            file = %file.path.display(), offset = scan.end, bytes = length - scan.end,
            "an unfinished commit at the journal's end was removed: nobody was told that it was kept"
        );
        file.file.cut(scan.end).map_err(JournalError::io("truncate", &file.path))?;
    }
    // A whole commit that no crash let us acknowledge counts from now on, so it must be durable first.
    file.file.sync().map_err(JournalError::io("sync", &file.path))?;
    file.extend(scan.end);
    Ok(())
}
