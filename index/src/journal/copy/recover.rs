//! Opening a copy after whatever happened to it, and proving that it is whole.

use super::super::medium::{Medium, Use};
use super::super::recover::check_order;
use super::super::segment::{self, SECTOR, SegmentFile};
use super::super::{Hash, JournalError, Seq};
use super::format::{self, COPY, Scan};
use super::{Files, Pen};
use crate::model::{NodeId, UtcMicros};
use std::sync::Arc;

/// Finds the end of the copy. What a crash tore is cut off; a newest file that is damaged is set aside, with a copy that ends before it.
pub(super) fn recover(medium: &dyn Medium, node: NodeId) -> Result<(Files, Pen), JournalError> {
    let mut names = segment::list(medium, &COPY)?;
    let mut until = None;
    let mut newest = None;
    while let Some(name) = names.pop() {
        match open_newest(medium, &name, until) {
            Ok(found) => {
                newest = Some(found);
                break;
            }
            Err(error @ JournalError::Damaged { .. }) => {
                until = Some(set_aside(medium, &name, &error)?);
            }
            Err(error) => return Err(error),
        }
    }
    let mut segments = names
        .iter()
        .map(|name| SegmentFile::open(medium, &COPY, name, Use::Read).map(Arc::new))
        .collect::<Result<Vec<_>, _>>()?;
    let Some((file, scan)) = newest else {
        let pen = Pen { file: None, end: SECTOR, batch: 0, buffer: Vec::new() };
        return Ok((Files { segments, tail: Seq::ZERO, hash: Hash::ZERO, at: None }, pen));
    };
    let at = match (scan.at, segments.last()) {
        (None, Some(before)) => scan_file(before, Some(file.header.first))?.at,
        (at, _) => at,
    };
    let mut pen = Pen { file: None, end: scan.end, batch: scan.batch, buffer: Vec::new() };
    if until.is_none() {
        cut(&file, &scan)?;
        pen.file = Some(Arc::clone(&file));
    }
    segments.push(file);
    segments.iter().try_for_each(|file| file.check_node(node))?;
    check_order(&segments)?;
    Ok((Files { segments, tail: scan.tail, hash: scan.hash, at }, pen))
}

/// Checks every file of a copy against its chain. Returns its end.
pub(super) fn verify(segments: &[Arc<SegmentFile>]) -> Result<Seq, JournalError> {
    check_order(segments)?;
    let (mut tail, mut hash) = (Seq::ZERO, Hash::ZERO);
    for (n, file) in segments.iter().enumerate() {
        if file.header.first != tail.next() || file.header.before != hash {
            let what = "the file does not continue the one before it";
            return Err(JournalError::Damaged { path: file.path.clone(), offset: 32, what });
        }
        let scan = scan_file(file, segments.get(n + 1).map(|next| next.header.first))?;
        (tail, hash) = (scan.tail, scan.hash);
    }
    Ok(tail)
}

fn open_newest(medium: &dyn Medium, name: &str, until: Option<Seq>) -> Result<(Arc<SegmentFile>, Scan), JournalError> {
    let file = SegmentFile::open(medium, &COPY, name, Use::Append)?;
    let scan = scan_file(&file, until)?;
    Ok((Arc::new(file), scan))
}

fn scan_file(file: &SegmentFile, until: Option<Seq>) -> Result<Scan, JournalError> {
    let mut bytes = Vec::new();
    file.file.read_at(0, file.end(), &mut bytes).map_err(JournalError::io("read", &file.path))?;
    let scan = format::scan(&bytes, &file.header, until);
    match scan.damage {
        Some((offset, what)) => Err(JournalError::Damaged { path: file.path.clone(), offset, what }),
        None => Ok(scan),
    }
}

/// Ends the newest file at its last whole batch, durably.
fn cut(file: &SegmentFile, scan: &Scan) -> Result<(), JournalError> {
    if file.end() > scan.end {
        file.file.cut(scan.end).map_err(JournalError::io("truncate", &file.path))?;
    }
    // A whole batch that no crash let us count counts from now on, so it must be durable first.
    file.file.sync().map_err(JournalError::io("sync", &file.path))?;
    file.extend(scan.end);
    Ok(())
}

/// Gives a damaged file a name under which it is kept and not read. Returns the number it began with.
fn set_aside(medium: &dyn Medium, name: &str, error: &JournalError) -> Result<Seq, JournalError> {
    let aside = format!("{name}.{}.damaged", UtcMicros::now().as_micros());
    tracing::error!(
        %error, kept_as = %medium.path(&aside).display(),
        "a file of a copy is damaged and was set aside: what it held is fetched again from its node; check the disk"
    );
    medium.rename(name, &aside).map_err(JournalError::io("rename", medium.path(name)))?;
    Ok(segment::first_of(name, &COPY).unwrap_or_default())
}
