//! Copies that a disk refused and may have all the same. A sync that failed says nothing of what became of the bytes: what was in that
//! commit is written elsewhere, or lost and said to be, and the next start finds whatever the disk kept. Until then nobody is shown it,
//! and no catalogue knows it; an order of erasure has to, because what it orders gone is not to come back.

use super::{
    catalogue::SegmentKey,
    custody::{Custody, Erasure},
    erase::{TIMES, zero_range},
    format::Entry,
    head::{self, Head},
    keeper::Keeper,
    volume::{lock, segment_name},
};
use crate::model::StreamId;
use std::{io, sync::Arc};

/// What of a segment was refused.
#[derive(Clone)]
pub(super) struct Refused {
    pub(super) stream: StreamId,
    pub(super) key: SegmentKey,
    /// Where each of its records may stand. Never empty.
    pub(super) entries: Vec<Entry>,
}

impl Keeper {
    /// Overwrites what an order names of the copies that this volume's disk refused, but for what is held. Durable on return.
    pub(super) fn erase_refused(&self, order: &Erasure) -> io::Result<()> {
        let copies = lock(&self.volume.refused).clone();
        for copy in copies.iter().filter(|copy| order.order.cameras.contains(&copy.stream.camera)) {
            // What is held now is held until this is done (C1).
            let _still = self.shared.ledger.still();
            let held = self.shared.ledger.custody(Custody::held);
            // What is held stays where it is. Should another copy of it go when the hold is over, the next start takes this one with it.
            let goes = |entry: &Entry| entry.window().overlaps(order.order.window) && !held.covers(copy.stream, entry.window());
            let goes: Vec<Entry> = copy.entries.iter().copied().filter(goes).collect();
            if !goes.is_empty() {
                self.overwrite(copy, &goes)?;
                self.forget_refused(copy.key.number, |entry| goes.iter().all(|gone| gone.block != entry.block));
            }
        }
        Ok(())
    }

    fn overwrite(&self, copy: &Refused, goes: &[Entry]) -> io::Result<()> {
        let file = match self.volume.disk.open(&segment_name(copy.key.number)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        match head::read(&*file, Some(copy.key.number))? {
            // Something else stands there by now.
            Head::Used(header) if header.incarnation != copy.key.incarnation => return Ok(()),
            // Also where its head was refused with it: nobody else uses the file before the next start.
            Head::Used(_) | Head::Free { .. } | Head::Damaged => {}
        }
        for _ in 0..TIMES {
            goes.iter().try_for_each(|entry| zero_range(&*file, entry.offset(), entry.end()))?;
            self.volume.disk.sync_written(&[Arc::clone(&file)])?;
        }
        Ok(())
    }

    /// Of a file, what is still to be thought of as refused.
    pub(super) fn forget_refused(&self, number: u32, still: impl Fn(&Entry) -> bool) {
        let mut refused = lock(&self.volume.refused);
        refused.iter_mut().filter(|copy| copy.key.number == number).for_each(|copy| copy.entries.retain(&still));
        refused.retain(|copy| !copy.entries.is_empty());
    }
}
