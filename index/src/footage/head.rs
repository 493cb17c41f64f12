//! The start of a segment's file, read: whose footage it is and what decodes it. It stands there twice, and either copy is enough: a
//! bit that flips in it must not cost all that stands behind it.
//!
//! Both copies are written together and synced before anything in the file is announced. So where two sound copies differ, a crash came
//! between two uses of the file, or one copy was written elsewhere. That it is in use counts before that it is free, whatever clock
//! dated them: what frees a file is in the ledger before, and is written twice, while a use may be known to one copy alone.

use super::{
    disk::{DiskFile, read_twice, read_vec},
    format::{BLOCK, HEAD_COPY, SegmentHeader, SegmentState},
    mp4,
};
use std::io;

/// What the start of a file says.
pub(super) enum Head {
    /// It may be used again since that checkpoint of its volume, by number; 0 if it was never used.
    Free { since: u32 },
    /// It holds footage.
    Used(Box<SegmentHeader>),
    /// Neither copy is sound, or they are those of another file.
    Damaged,
}

/// Where the copies begin.
const COPIES: [u64; 2] = [0, HEAD_COPY];

/// Reads both copies of the header of a file of this number (any, if `None`).
pub(super) fn read(file: &dyn DiskFile, number: Option<u32>) -> io::Result<Head> {
    let len = file.len()?;
    let mut sound: Vec<SegmentHeader> = Vec::with_capacity(2);
    let mut blank = true;
    for at in COPIES {
        let mine = |header: &SegmentHeader| header.size == len && number.is_none_or(|number| number == header.number);
        let mut zeros = false;
        sound.extend(read_twice(|| {
            let block = read_vec(file, at, BLOCK)?;
            zeros = block.iter().all(|byte| *byte == 0);
            Ok(SegmentHeader::decode(&block).filter(mine))
        })?);
        blank &= zeros;
    }
    // Of two copies that say so the later one: whoever asks wants to know whether it was used since.
    let since = sound.iter().map(|header| header.run).max().unwrap_or(0);
    Ok(match sound.into_iter().max_by_key(|header| (header.state == SegmentState::Used, header.created)) {
        None if blank => Head::Free { since: 0 },
        None => Head::Damaged,
        Some(header) if header.state == SegmentState::Free => Head::Free { since },
        Some(header) => Head::Used(Box::new(header)),
    })
}

/// Whether both copies are what was written, whichever of them a reader would take: for whoever looks for damage before it costs
/// anything.
pub(super) fn is_whole(file: &dyn DiskFile, header: &SegmentHeader) -> io::Result<bool> {
    let len = BLOCK + (header.moov_len as usize).min(HEAD_COPY as usize - BLOCK);
    let ftyp = mp4::ftyp();
    for at in COPIES {
        let whole = read_twice(|| {
            let bytes = read_vec(file, at, len)?;
            let (block, moov) = bytes.split_at(BLOCK);
            let same = SegmentHeader::decode(block).as_ref() == Some(header) && block.starts_with(&ftyp);
            Ok((same && crc32c::crc32c(moov) == header.moov_crc).then_some(()))
        })?;
        if whole.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads the movie box, from whichever copy is sound. `None` if neither is.
pub(super) fn moov(file: &dyn DiskFile, header: &SegmentHeader) -> io::Result<Option<Vec<u8>>> {
    let len = (header.moov_len as usize).min(HEAD_COPY as usize - BLOCK);
    for at in COPIES {
        let sound = |moov: &Vec<u8>| crc32c::crc32c(moov) == header.moov_crc;
        let moov = read_twice(|| Ok(Some(read_vec(file, at + BLOCK as u64, len)?).filter(sound)))?;
        if moov.is_some() {
            return Ok(moov);
        }
    }
    Ok(None)
}
