//! Carrying out an order of erasure on one volume. Its approval is in the journal before anything is touched, and it is carried out
//! again after a crash until the journal says that it is done: every step finds out from the disk what is left to do.
//!
//! Of a segment that is to go whole, every byte but the header is zeroed and the file is freed. Of another, the media of the
//! fragments concerned are zeroed in place, see [`EraseMark`], and the footer is written anew: its neighbours keep every byte. This is
//! the one exception to I5. What is held is passed over (C4).

use super::{
    catalogue::{SegmentKey, SegmentMeta},
    custody::{Act, Custody, Erased, Erasure},
    disk::{DiskFile, read_vec},
    format::{BLOCK, Entry, EraseMark, FOOTER, HEAD_COPY, RECORD_HEADER, SegmentHeader, Trailer, encode_footer, pad_len},
    head::{self, Head},
    keeper::Keeper,
    ledger::Story,
    recovery::{self, Scan},
    spans,
    volume::{lock, segment_name},
};
use crate::model::{GapCause, StreamId, UtcMicros, Window};
use serde_json::json;
use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// A segment without a footer whose last picture is older than this is written by nobody: an open one is sealed after an hour.
const ABANDONED: Duration = Duration::from_secs(2 * 3600);
const ZEROS: usize = 1 << 20;

/// What is left of an order on a volume.
enum Left {
    Nothing,
    /// A segment that is being written has to be sealed first.
    Open,
}

impl Keeper {
    /// Carries out the orders that are due, as far as this volume is concerned.
    pub(super) fn erase(&self) {
        if self.volume.recovering.load(Ordering::Acquire) {
            return;
        }
        let now = self.shared.world.now();
        let due = self.shared.ledger.custody(|custody| custody.due(now));
        for order in due.iter().filter(|order| !self.shared.ledger.is_erased_on(order.id, self.volume.index)) {
            if let Err(error) = self.carry_out(order, now) {
                tracing::error!(volume = %self.volume.name, order = order.id, %error, "erasure not finished, it is tried again");
            }
        }
    }

    fn carry_out(&self, order: &Erasure, now: UtcMicros) -> io::Result<()> {
        let mut left = Left::Nothing;
        let mut kept = 0;
        for (stream, key) in self.touched(order) {
            // What is held now is held until this segment is done (C1).
            let _still = self.shared.ledger.still();
            let Some(meta) = self.segment(stream, key) else { continue };
            if meta.entries.is_some() && now.since(meta.window.to) < ABANDONED {
                lock(&self.volume.seal_wanted).insert(stream);
                self.volume.work.notify_one();
                left = Left::Open;
                continue;
            }
            let erased = self.erase_segment(stream, &meta, order, now)?;
            kept += erased.kept_by_hold;
            let here = Erased { kept_by_hold: 0, ..erased };
            self.shared.ledger.erasing(order.id, self.volume.index, here, false, &[]);
        }
        if let Left::Open = left {
            return Ok(());
        }
        // A start from the checkpoint of before would believe in what is gone.
        self.checkpoint()?;
        let all: Vec<u16> = self.shared.volumes.all().iter().map(|volume| volume.index).collect();
        let kept = Erased { kept_by_hold: kept, ..Erased::default() };
        if let Some(erased) = self.shared.ledger.erasing(order.id, self.volume.index, kept, true, &all) {
            let still = self.shared.ledger.still();
            let done = Act::ErasureDone { id: order.id, at: self.shared.world.now(), erased };
            self.shared.ledger.act(&still, &done).map_err(io::Error::other)?;
            tracing::info!(order = order.id, fragments = erased.fragments, bytes = erased.bytes, "erased by order");
        }
        Ok(())
    }

    /// The segments of this volume that hold some of what is to go.
    fn touched(&self, order: &Erasure) -> Vec<(StreamId, SegmentKey)> {
        let streams = self.shared.catalogue.read();
        let concerned = streams.iter().filter(|(stream, _)| order.order.cameras.contains(&stream.camera));
        let touched = concerned.flat_map(|(stream, index)| {
            let here = index.overlapping(order.order.window).filter(|meta| meta.key.volume == self.volume.index);
            here.map(|meta| (*stream, meta.key))
        });
        touched.collect()
    }

    fn segment(&self, stream: StreamId, key: SegmentKey) -> Option<SegmentMeta> {
        self.shared.catalogue.read().get(&stream)?.segment(key).cloned()
    }

    fn erase_segment(&self, stream: StreamId, meta: &SegmentMeta, order: &Erasure, now: UtcMicros) -> io::Result<Erased> {
        let file = self.volume.disk.open(&segment_name(meta.key.number))?;
        let header = match head::read(&*file, Some(meta.key.number))? {
            Head::Used(header) if header.incarnation == meta.key.incarnation => *header,
            Head::Used(_) | Head::Free | Head::Damaged => {
                // Zeroed and freed before a crash that the checkpoint did not see.
                self.free(stream, meta, &file)?;
                return Ok(Erased::default());
            }
        };
        let entries = self.entries(&*file, &header, meta)?;
        let held = self.shared.ledger.custody(Custody::held);
        let asked = |entry: &Entry| !entry.is_erased() && entry.window().overlaps(order.order.window);
        let mut erased = Erased::default();
        let mut left = entries.clone();
        let mut gone = Vec::new();
        for entry in left.iter_mut().filter(|entry| asked(entry)) {
            if held.covers(stream, entry.window()) {
                erased.kept_by_hold += 1;
                continue;
            }
            spans::join(&mut gone, entry.window());
            erased.fragments += 1;
            erased.bytes += u64::from(entry.payload_len);
            *entry = entry.erased();
        }
        if erased.fragments > 0 {
            self.write_down(stream, meta, order, &gone, &erased)?;
        }
        if left.iter().all(Entry::is_erased) {
            self.zero(&*file, meta, header.size)?;
            self.free(stream, meta, &file)?;
            return Ok(erased);
        }
        let mark = EraseMark { order: order.id, at: now };
        for (entry, _) in entries.iter().zip(&left).filter(|(before, after)| !before.is_erased() && after.is_erased()) {
            blank(&*file, entry, mark, header.incarnation)?;
        }
        self.volume.disk.sync_written(&[Arc::clone(&file)])?;
        if meta.entries.is_none() {
            seal_again(&*file, &header, &left)?;
            self.volume.disk.sync_written(&[Arc::clone(&file)])?;
        }
        let open = meta.entries.is_some().then(|| left.clone());
        if let Some(meta) = recovery::meta_of(&header, self.volume.index, &left, open) {
            self.shared.catalogue.replace(stream, meta);
        }
        self.volume.changed();
        Ok(erased)
    }

    /// What is in the segment: as its footer says, or as memory knows of one without, or else as reading finds where a crash cut the
    /// footer's renewal.
    fn entries(&self, file: &dyn DiskFile, header: &SegmentHeader, meta: &SegmentMeta) -> io::Result<Vec<Entry>> {
        if let Some(entries) = &meta.entries {
            return Ok(entries.clone());
        }
        match recovery::footer(file, header)? {
            Some((_, entries)) => Ok(entries),
            None => Ok(recovery::scan(file, header, Vec::new())?.entries),
        }
    }

    /// Takes out of what a crash left in a file what was removed before: a copy that a disk refused and then kept all the same, or an
    /// erasure that was cut short. What was erased is overwritten, with all that the crash tore; what is past its term is left out.
    pub(super) fn purge(&self, stream: StreamId, file: &dyn DiskFile, header: &SegmentHeader, scan: &mut Scan) -> io::Result<()> {
        let held = self.shared.ledger.custody(Custody::held);
        let is = |entry: &Entry, causes: &[GapCause]| {
            !entry.is_erased()
                && !held.covers(stream, entry.window())
                && self.shared.ledger.is_removed(stream, header.incarnation, entry.window(), causes)
        };
        let any_erased = |story: &Story| story.removed.iter().any(|gone| gone.cause == GapCause::Erased);
        let erasing = self.shared.ledger.with(stream, |story, _| any_erased(story));
        for (from, to) in scan.torn.iter().filter(|_| erasing) {
            zero_range(file, *from, *to)?;
        }
        let mut left = Vec::with_capacity(scan.entries.len());
        for entry in &scan.entries {
            if is(entry, &[GapCause::Erased]) {
                blank(file, entry, self.mark_for(stream, entry), header.incarnation)?;
                left.push(entry.erased());
            } else if is(entry, &[GapCause::Erased, GapCause::Expired]) {
                scan.torn.push((entry.offset(), entry.end()));
            } else {
                left.push(*entry);
            }
        }
        scan.entries = left;
        Ok(())
    }

    /// As [`Keeper::purge`], for a file that has its footer. Gives the entries if there was anything to do.
    pub(super) fn purge_sealed(
        &self,
        stream: StreamId,
        file: &dyn DiskFile,
        header: &SegmentHeader,
        meta: &SegmentMeta,
    ) -> io::Result<Option<Vec<Entry>>> {
        let gone = |window: &Window| self.shared.ledger.with(stream, |story, _| story.removed_in(*window).next().is_some());
        if !meta.spans().iter().any(gone) {
            return Ok(None);
        }
        let Some((_, entries)) = recovery::footer(file, header)? else { return Ok(None) };
        let mut scan = Scan { entries: entries.clone(), ..Scan::default() };
        self.purge(stream, file, header, &mut scan)?;
        if scan.entries == entries {
            return Ok(None);
        }
        let left = |entry: &Entry| scan.entries.iter().any(|other| other.block == entry.block && !other.is_erased());
        let kept: Vec<Entry> = entries.iter().map(|entry| if left(entry) { *entry } else { entry.erased() }).collect();
        file.sync()?;
        seal_again(file, header, &kept)?;
        file.sync()?;
        Ok(Some(kept))
    }

    /// What is written in the place of a fragment that was erased before.
    fn mark_for(&self, stream: StreamId, entry: &Entry) -> EraseMark {
        let by = |custody: &Custody| {
            let order = custody.erasures.values().find(|erasure| erasure.order.touches(stream, entry.window()));
            order.map_or(0, |erasure| erasure.id)
        };
        EraseMark { order: self.shared.ledger.custody(by), at: self.shared.world.now() }
    }

    /// In the ledger before it happens: what is there counts before what is said, and a crash in between leaves no time without cause.
    fn write_down(
        &self,
        stream: StreamId,
        meta: &SegmentMeta,
        order: &Erasure,
        gone: &[Window],
        erased: &Erased,
    ) -> io::Result<()> {
        let record = json!({
            "order": order.id, "volume": self.volume.name, "segment": meta.key.number, "fragments": erased.fragments, "bytes": erased.bytes,
        });
        self.shared.ledger.removed(stream, gone, GapCause::Erased, &order.citation(), record);
        let body = json!({ "order": order.id, "volume": self.volume.name, "segment": meta.key.number });
        self.shared.ledger.note_durably("erasure.segment", body).map_err(io::Error::other)
    }

    /// Overwrites everything of a segment but both copies of its header.
    fn zero(&self, file: &dyn DiskFile, meta: &SegmentMeta, size: u64) -> io::Result<()> {
        let end = meta.end.max(BLOCK as u64).next_multiple_of(BLOCK as u64).min(size - FOOTER);
        let block = BLOCK as u64;
        for (from, to) in [(block, HEAD_COPY), (HEAD_COPY + block, end), (size - FOOTER, size)] {
            zero_range(file, from, to)?;
        }
        file.sync()
    }

    /// Gives the file of a segment that is gone back to the pool.
    fn free(&self, stream: StreamId, meta: &SegmentMeta, file: &Arc<dyn DiskFile>) -> io::Result<()> {
        let (_, size) = self.remove(meta.key)?;
        self.volume.disk.sync_written(&[Arc::clone(file)])?;
        self.shared.catalogue.remove(stream, meta.key);
        if let Some(size) = size {
            self.make_whole(meta.key.number, size);
        }
        self.volume.changed();
        Ok(())
    }
}

/// Overwrites whole blocks.
fn zero_range(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS.min((to - from) as usize)];
    (from..to).step_by(ZEROS).try_for_each(|at| recovery::write(file, at, &zeros[..ZEROS.min((to - at) as usize)]))
}

/// Writes zeros and the mark over the media of a record. Its header, its padding and every other block stay as they are.
fn blank(file: &dyn DiskFile, entry: &Entry, mark: EraseMark, incarnation: u64) -> io::Result<()> {
    let length = entry.payload_len as usize;
    let mut record = read_vec(file, entry.offset(), RECORD_HEADER + length + pad_len(length))?;
    let payload = mark.payload(entry.payload_len, incarnation);
    record[RECORD_HEADER..RECORD_HEADER + length].copy_from_slice(&payload[..length]);
    recovery::write(file, entry.offset(), &record)
}

/// Writes the footer of a segment of which something was erased.
fn seal_again(file: &dyn DiskFile, header: &SegmentHeader, entries: &[Entry]) -> io::Result<()> {
    let last = read_vec(file, header.size - BLOCK as u64, BLOCK)?;
    let Some(mut trailer) = Trailer::decode(&last, header.incarnation) else {
        // The renewal of this footer was cut: it is made from the records, as after any crash.
        let scan = recovery::scan(file, header, Vec::new())?;
        return recovery::seal(file, header, &scan);
    };
    let mut set = Vec::new();
    let there = || entries.iter().filter(|entry| !entry.is_erased());
    there().for_each(|entry| spans::join(&mut set, entry.window()));
    trailer.spans = Some(set);
    trailer.bytes = there().map(|entry| u64::from(entry.payload_len)).sum();
    encode_footer(header.size, entries, &mut trailer)
        .into_iter()
        .try_for_each(|(offset, piece)| recovery::write(file, offset, &piece))
}
