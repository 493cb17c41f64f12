//! How footage goes at the end of its term: written down first, then its file's header says durably that it is free, and after the next
//! checkpoint the file is used again. Which footage goes is decided in [`retention`].

use super::{
    catalogue::{SegmentKey, SegmentMeta},
    custody::Custody,
    disk::DiskFile,
    format::{SegmentHeader, SegmentState},
    keeper::Keeper,
    pool::{Size, Unspare},
    recovery, retention, spans,
    types::RetentionTerms,
    volume::{lock, segment_name},
};
use crate::model::{GapCause, RetentionClass, StreamId};
use serde_json::json;
use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

/// Segments removed in one go: at most some four times what is recorded meanwhile.
const REMOVALS: usize = 64;

/// The rule of a class, as the ledger cites it.
fn rule(class: RetentionClass, terms: &RetentionTerms) -> String {
    format!("{}, {} days", class.word(), terms.of(class).as_secs() / 86_400)
}

impl Keeper {
    /// Removes segments past their term, but for what is held. Says how many.
    pub(super) fn sweep(&self) -> usize {
        let Some(now) = self.shared.retention_now() else { return 0 };
        // What is held now is held until this sweep is over (C1).
        let _still = self.shared.ledger.still();
        let held = self.shared.ledger.custody(Custody::held);
        let terms = &self.shared.setup.terms;
        let mut due = retention::expired(&self.shared.catalogue, self.volume.index, terms, now, &held, REMOVALS);
        // What is being erased goes its own way, and then its bytes are gone too.
        due.retain(|(_, key)| !self.volume.is_erasing(*key));
        if due.is_empty() || !self.record(&due) {
            return 0;
        }
        let mut gone = Vec::new();
        for (stream, key) in due {
            match self.remove(key) {
                Ok((file, size)) => gone.push((stream, key, file, size)),
                Err(error) => {
                    tracing::error!(volume = %self.volume.name, segment = key.number, %error, "expired segment cannot be freed");
                    self.give_up(stream, key);
                }
            }
        }
        let files: Vec<_> = gone.iter().map(|(_, _, file, _)| Arc::clone(file)).collect();
        let synced = || self.volume.disk.sync_written(&files).is_ok();
        // Twice: a disk that gives back after a crash what stood in a sector before its last bytes must not bring back footage whose
        // file is being used again by then.
        let again = || gone.iter().try_for_each(|(_, key, file, _)| self.free_header(&**file, key.number, file.len()?)).is_ok();
        if files.is_empty() || !synced() || !again() || !synced() {
            gone.iter().for_each(|(stream, key, ..)| self.give_up(*stream, *key));
            return 0;
        }
        for (stream, key, _, size) in &gone {
            self.shared.catalogue.remove(*stream, *key);
            self.shared.ledger.freed(key.incarnation);
            if let Some(size) = size {
                self.make_whole(key.number, *size);
            }
        }
        self.volume.changed();
        gone.len()
    }

    /// The disk refused what frees a segment, perhaps half way: nobody knows what its header says now. It is not served any more, as
    /// was written down, and its file is not used before the next start has looked into it.
    fn give_up(&self, stream: StreamId, key: SegmentKey) {
        self.volume.forget_file(key.number);
        self.shared.catalogue.remove(stream, key);
        lock(&self.volume.pool).removed(key.number, Size::of(stream.kind));
        self.volume.changed();
    }

    /// Writes down what is about to go, and by which rule, and waits until that is durable: a crash in between leaves footage of which
    /// the ledger says that it went, and not a gap of which nobody says anything. What is there counts before what is said.
    fn record(&self, due: &[(StreamId, SegmentKey)]) -> bool {
        let mut bytes = 0;
        for (stream, key) in due {
            let found = self.shared.catalogue.read().get(stream).and_then(|index| index.segment(*key)).cloned();
            let Some(meta) = found else { continue };
            // First, so that no crash leaves the one in the journal without the other.
            self.keep_beside(*stream, &meta, due);
            let rule = rule(meta.class, &self.shared.setup.terms);
            let record =
                json!({ "volume": self.volume.name, "segment": key.number, "fragments": meta.records, "bytes": meta.bytes });
            self.shared.ledger.removed(*stream, key.incarnation, meta.spans(), GapCause::Expired, &rule, record);
            bytes += meta.bytes;
        }
        let body = json!({ "volume": self.volume.name, "segments": due.len(), "bytes": bytes });
        let noted = self.shared.ledger.note_durably("footage.deleted", body);
        if let Err(error) = &noted {
            tracing::error!(volume = %self.volume.name, error, "nothing is deleted, because the journal takes no record of it");
            due.iter().for_each(|(_, key)| self.shared.ledger.freed(key.incarnation));
        }
        noted.is_ok()
    }

    /// Notes which segments stay that share time with one that goes. Where the clock had been set back the same seconds were recorded
    /// twice, and the term of the other's last picture may be over later: what is said of the one must not be taken for said of the
    /// other at the next start. Neighbours overlap by milliseconds, which hide no fragment. Of what is on a disk that is away, or in a
    /// file that was not read yet, nobody knows here: it is told apart when it is found, see [`Keeper::purge`].
    fn keep_beside(&self, stream: StreamId, goes: &SegmentMeta, due: &[(StreamId, SegmentKey)]) {
        let common = |other: &SegmentMeta| {
            let pairs = other.spans().iter().flat_map(|span| goes.spans().iter().map(|gone| gone.intersect(*span)));
            pairs.filter(|both| both.duration() > spans::JOIN).collect::<Vec<_>>()
        };
        let stay: Vec<_> = match self.shared.catalogue.read().get(&stream) {
            Some(index) => {
                let others = index.overlapping(goes.window).filter(|other| !due.contains(&(stream, other.key)));
                others.map(|other| (other.key.incarnation, common(other))).filter(|(_, common)| !common.is_empty()).collect()
            }
            None => return,
        };
        stay.iter().for_each(|(incarnation, common)| self.shared.ledger.kept(stream, *incarnation, common));
    }

    /// Puts a freed file among those to be used, with all its blocks; or removes it where others have them by now.
    pub(super) fn make_whole(&self, number: u32, size: Size) {
        let (needed, bytes) = {
            let mut pool = lock(&self.volume.pool);
            (pool.unspare(number), pool.bytes_of(size))
        };
        let name = segment_name(number);
        let whole = match needed {
            Unspare::Whole => true,
            Unspare::Refill => self.volume.disk.refill(&name, bytes).is_ok(),
            Unspare::NoRoom => false,
        };
        if whole {
            lock(&self.volume.pool).freed(number, size);
            return;
        }
        if let Err(error) = self.volume.disk.remove(&name).and_then(|()| self.volume.disk.sync_dir("segs")) {
            tracing::error!(volume = %self.volume.name, segment = number, %error, "segment cannot be removed");
        }
        lock(&self.volume.pool).removed(number, size);
    }

    /// Writes over a segment's header that it is free. Nothing of it validates from then on; the sync is the caller's.
    pub(super) fn remove(&self, key: SegmentKey) -> io::Result<(Arc<dyn DiskFile>, Option<Size>)> {
        let file = self.volume.disk.open(&segment_name(key.number))?;
        let len = file.len()?;
        // Its bytes must not be given back after someone else has them.
        lock(&self.volume.sealed_early).retain(|(number, ..)| *number != key.number);
        self.free_header(&*file, key.number, len)?;
        self.forget_refused(key.number, |_| false);
        self.volume.forget_file(key.number);
        Ok((file, lock(&self.volume.pool).size_of(len)))
    }

    pub(super) fn free_header(&self, file: &dyn DiskFile, number: u32, size: u64) -> io::Result<()> {
        let header = SegmentHeader {
            state: SegmentState::Free,
            incarnation: self.shared.world.random(),
            node: self.shared.setup.node,
            volume: self.volume.id,
            number,
            stream: None::<StreamId>,
            class: RetentionClass::Standard,
            created: self.shared.world.now(),
            size,
            base: crate::model::MediaTicks::default(),
            clock_epoch: 0,
            // No run wrote it: since which checkpoint it is free.
            run: self.volume.checkpoints.load(Ordering::Relaxed),
            moov_len: 0,
            moov_crc: 0,
            chain: [0; 32],
        };
        let pieces = header.encode(&super::mp4::ftyp(), &[]);
        pieces.iter().try_for_each(|(offset, piece)| recovery::write(file, *offset, piece))
    }
}
