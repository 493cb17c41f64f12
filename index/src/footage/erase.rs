//! Carrying out an order of erasure on one volume. Its approval is in the journal before anything is touched, and it is carried out
//! again after a crash until the journal says that it is done: every step finds out from the disk what is left to do.
//!
//! What goes is decided segment by segment, and in one go with it ledger and catalogue say that it is gone: readers and timeline agree
//! however long the disk takes. Then the disk is made to agree, and asked again until it has done so.
//!
//! Of a segment that is to go whole, every byte but the header is zeroed and the file is freed. Of another, the media of the
//! fragments concerned are zeroed in place, see [`EraseMark`], and the footer is written anew: its neighbours keep every byte. This is
//! the one exception to I5. What is held is passed over (C4).

use super::{
    catalogue::{SegmentKey, SegmentMeta},
    custody::{Act, Custody, Erased, Erasure, ErasureState},
    disk::{DiskFile, read_vec},
    format::{
        BLOCK, DATA_START, Entry, EraseMark, FOOTER, HEAD_COPY, RECORD_HEADER, SegmentHeader, Trailer, encode_footer, pad_len,
    },
    head::{self, Head},
    keeper::Keeper,
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

const ZEROS: usize = 1 << 20;
/// What is erased is overwritten so often, each time durably: a disk that gives back after a crash what stood in a sector before its
/// last bytes must not give back what was to go, when somebody else uses the file by then.
pub(super) const TIMES: usize = 2;

/// What is decided about a segment and left to do on its disk: ledger, catalogue and readers know it as done. It is tried until it is
/// done, and a start after a crash does it by what the ledger says.
#[derive(Clone)]
pub(super) struct Unfinished {
    orders: Vec<u64>,
    stream: StreamId,
    /// As it was.
    meta: SegmentMeta,
    /// Its entries, of which those that go say that they are gone.
    left: Vec<Entry>,
    /// Those that go, as they were, and what is to stand there.
    gone: Vec<(Entry, EraseMark)>,
}

impl Unfinished {
    pub(super) fn key(&self) -> SegmentKey {
        self.meta.key
    }

    /// Whether nothing of it stays.
    fn is_whole(&self) -> bool {
        self.left.iter().all(Entry::is_erased)
    }

    /// Whether an order is not carried out before this is, be it that another order decided it.
    fn is_named_by(&self, order: &Erasure) -> bool {
        self.orders.contains(&order.id) || self.gone.iter().any(|(entry, _)| order.order.touches(self.stream, entry.window()))
    }
}

impl Keeper {
    /// Carries out the orders that are due, as far as this volume is concerned. `false` if the disk refused some of it.
    pub(super) fn erase(&self) -> bool {
        if self.volume.recovering.load(Ordering::Acquire) {
            return true;
        }
        let now = self.shared.world.now();
        let due = self.shared.ledger.custody(|custody| custody.due(now));
        let mut well = true;
        for order in due.iter().filter(|order| !self.shared.ledger.is_erased_on(order.id, self.volume.index)) {
            if let Err(error) = self.carry_out(order, now) {
                tracing::error!(volume = %self.volume.name, order = order.id, %error, "erasure not finished, it is tried again");
                well = false;
            }
        }
        well
    }

    fn carry_out(&self, order: &Erasure, now: UtcMicros) -> io::Result<()> {
        // A file that a start could not look into may hold some of it.
        let mut waits = !lock(&self.volume.unread).is_empty();
        let mut failed = None;
        let mut kept = 0;
        for (stream, key) in self.touched(order) {
            // What is held now is held until this is decided (C1).
            let _still = self.shared.ledger.still();
            let Some(meta) = self.segment(stream, key) else { continue };
            if lock(&self.volume.writing).contains(&key.number) {
                lock(&self.volume.seal_wanted).insert(stream);
                self.volume.work.notify_one();
                waits = true;
                continue;
            }
            match self.decide(stream, &meta, order, now) {
                Ok(erased) => {
                    kept += erased.kept_by_hold;
                    let here = Erased { kept_by_hold: 0, ..erased };
                    self.shared.ledger.erasing(order.id, self.volume.index, here, false, &[]);
                }
                // The others need not wait for this one.
                Err(error) => failed = Some(error),
            }
        }
        self.finish(order)?;
        self.erase_refused(order)?;
        if let Some(error) = failed {
            return Err(error);
        }
        if waits {
            return Ok(());
        }
        // A start from the checkpoint of before would have to look into what was changed.
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

    /// The segments of this volume that hold some of what is to go, in the order of their files.
    fn touched(&self, order: &Erasure) -> Vec<(StreamId, SegmentKey)> {
        let streams = self.shared.catalogue.read();
        let concerned = streams.iter().filter(|(stream, _)| order.order.cameras.contains(&stream.camera));
        let touched = concerned.flat_map(|(stream, index)| {
            let here = index.overlapping(order.order.window).filter(|meta| meta.key.volume == self.volume.index);
            here.map(|meta| (*stream, meta.key))
        });
        let mut touched: Vec<_> = touched.collect();
        touched.sort_unstable_by_key(|(_, key)| key.number);
        touched
    }

    fn segment(&self, stream: StreamId, key: SegmentKey) -> Option<SegmentMeta> {
        self.shared.catalogue.read().get(&stream)?.segment(key).cloned()
    }

    /// Decides what of a segment goes, and takes it out of ledger and catalogue: from then on nobody is shown it.
    fn decide(&self, stream: StreamId, meta: &SegmentMeta, order: &Erasure, now: UtcMicros) -> io::Result<Erased> {
        let file = self.volume.disk.open(&segment_name(meta.key.number))?;
        let held = self.shared.ledger.custody(Custody::held);
        let (header, before) = match head::read(&*file, Some(meta.key.number))? {
            Head::Used(header) if header.incarnation == meta.key.incarnation => {
                let entries = self.entries(&*file, &header, meta)?;
                (Some(header), entries)
            }
            Head::Used(_) => {
                // Not that segment any more: there is nothing of it to erase.
                meta.spans().iter().for_each(|span| self.shared.ledger.lose(stream, *span, GapCause::Damaged, 0));
                self.shared.catalogue.remove(stream, meta.key);
                return Ok(Erased::default());
            }
            Head::Free { .. } | Head::Damaged if held.covers(stream, meta.window) => {
                self.shared.ledger.kept(stream, meta.key.incarnation, meta.spans());
                return Ok(Erased { kept_by_hold: u64::from(meta.records), ..Erased::default() });
            }
            // Nobody can tell any more what is where in it: all of it goes.
            Head::Free { .. } | Head::Damaged => (None, Vec::new()),
        };
        let mark = EraseMark { order: order.id, at: now };
        let (mut left, mut gone, mut windows) = (before, Vec::new(), Vec::<Window>::new());
        let (mut erased, mut kept) = (Erased::default(), Vec::new());
        let mut goes_on = false;
        for entry in left.iter_mut().filter(|entry| !entry.is_erased()) {
            let window = entry.window();
            let held = window.overlaps(order.order.window) && held.covers(stream, window);
            let goes = window.overlaps(order.order.window) && !held;
            if held {
                erased.kept_by_hold += 1;
                spans::join(&mut kept, window);
            }
            if goes {
                // What stays between two that go is not said to be gone, however short it is.
                match windows.last_mut().filter(|last| goes_on && window.from <= last.to + spans::JOIN) {
                    Some(last) => last.to = last.to.max(window.to),
                    None => windows.push(window),
                }
                erased.fragments += 1;
                erased.bytes += u64::from(entry.payload_len);
                gone.push((*entry, mark));
                *entry = entry.erased();
            }
            goes_on = goes;
        }
        if header.is_none() {
            (erased.fragments, erased.bytes) = (u64::from(meta.records), meta.bytes);
            meta.spans().iter().for_each(|span| self.shared.ledger.lose(stream, *span, GapCause::Damaged, 0));
            windows = meta.spans().iter().map(|span| span.intersect(order.order.window)).collect();
            windows.retain(|window| !window.is_empty());
        }
        if !kept.is_empty() {
            self.shared.ledger.kept(stream, meta.key.incarnation, &kept);
        }
        if erased.fragments == 0 && header.is_some() {
            return Ok(erased);
        }
        let record = json!({
            "order": order.id, "volume": self.volume.name, "segment": meta.key.number, "fragments": erased.fragments, "bytes": erased.bytes,
        });
        self.shared.ledger.removed(stream, meta.key.incarnation, &windows, GapCause::Erased, &order.citation(), record);
        let open = meta.entries.is_some().then(|| left.clone());
        let rest = header.and_then(|header| recovery::meta_of(&header, self.volume.index, &left, open));
        // Before the catalogue knows it, so that no checkpoint vouches for the file meanwhile.
        let mut unfinished = lock(&self.volume.unfinished);
        match unfinished.iter_mut().find(|other| other.key() == meta.key) {
            Some(other) => {
                other.orders.push(order.id);
                other.left = left;
                other.gone.append(&mut gone);
            }
            None => unfinished.push(Unfinished { orders: vec![order.id], stream, meta: meta.clone(), left, gone }),
        }
        drop(unfinished);
        match rest {
            Some(rest) => self.shared.catalogue.replace(stream, rest),
            None => drop(self.shared.catalogue.remove(stream, meta.key)),
        }
        self.volume.changed();
        Ok(erased)
    }

    /// Does on the disk what is decided by an order.
    fn finish(&self, order: &Erasure) -> io::Result<()> {
        let mine = || lock(&self.volume.unfinished).iter().filter(|work| work.is_named_by(order)).cloned().collect::<Vec<_>>();
        let mut result = Ok(());
        for work in mine() {
            match self.finish_one(&work) {
                Ok(()) => lock(&self.volume.unfinished).retain(|other| other.key() != work.key()),
                Err(error) => result = Err(error),
            }
        }
        result
    }

    /// Again from the beginning where the disk refused it once: what it took then may not be there for long.
    fn finish_one(&self, unfinished: &Unfinished) -> io::Result<()> {
        let Unfinished { orders, stream, meta, left, gone } = unfinished;
        let number = meta.key.number;
        // In the journal before it happens: what is there counts before what is said, and a crash in between leaves no time without cause.
        let body = json!({ "orders": orders, "volume": self.volume.name, "segment": number });
        self.shared.ledger.note_durably("erasure.segment", body).map_err(io::Error::other)?;
        let _still = self.shared.ledger.still();
        let file = match self.volume.disk.open(&segment_name(number)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if unfinished.is_whole() {
            for _ in 0..TIMES {
                self.zero(&*file, meta)?;
            }
            return self.free(*stream, meta, &file);
        }
        let header = match head::read(&*file, Some(number))? {
            Head::Used(header) if header.incarnation == meta.key.incarnation => Some(header),
            // What was left of it is past its term by now.
            Head::Used(_) | Head::Free { .. } => return Ok(()),
            // Nobody reads the footer of such a file.
            Head::Damaged => None,
        };
        for _ in 0..TIMES {
            gone.iter().try_for_each(|(entry, mark)| blank(&*file, entry, *mark, meta.key.incarnation))?;
            if meta.entries.is_some() {
                // The disk refused what was to come next: copies of what was written elsewhere then may stand there.
                zero_range(&*file, meta.end, file.len()?.saturating_sub(FOOTER))?;
            }
            self.volume.disk.sync_written(&[Arc::clone(&file)])?;
        }
        if let Some(header) = header.filter(|_| meta.entries.is_none()) {
            seal_again(&*file, &header, left)?;
            self.volume.disk.sync_written(&[Arc::clone(&file)])?;
        }
        self.volume.changed();
        Ok(())
    }

    /// What is in the segment: as its footer says, or as memory knows of one that has none or will have another, or else as reading finds.
    fn entries(&self, file: &dyn DiskFile, header: &SegmentHeader, meta: &SegmentMeta) -> io::Result<Vec<Entry>> {
        if let Some(work) = lock(&self.volume.unfinished).iter().find(|work| work.key() == meta.key) {
            return Ok(work.left.clone());
        }
        if let Some(entries) = &meta.entries {
            return Ok(entries.clone());
        }
        match recovery::footer(file, header)? {
            Some((_, entries)) => Ok(entries),
            None => Ok(recovery::scan(file, header, Vec::new())?.entries),
        }
    }

    /// Takes out of what a crash left in a file what was removed before: a copy that a disk refused and then kept all the same, or an
    /// erasure that was cut short. What was erased is overwritten, with all that does not read back and may be some of it; what is past
    /// its term is left out. `again` where the disk refused it once: then what was overwritten is overwritten again. Durable on return.
    pub(super) fn purge(
        &self,
        stream: StreamId,
        file: &dyn DiskFile,
        header: &SegmentHeader,
        scan: &mut Scan,
        again: bool,
    ) -> io::Result<()> {
        let ledger = &self.shared.ledger;
        let held = ledger.custody(Custody::held);
        let gone =
            |entry: &Entry, over: Option<UtcMicros>| ledger.left_of(stream, header.incarnation, entry.window(), over).is_empty();
        // Another that went at the end of its term says so of this one only if this one's was over too by then: where the clock had
        // been set back the same seconds were recorded twice, perhaps on a disk that was away, or in a file that was not read.
        let over = |entry: &Entry| Some(entry.window().to + self.shared.setup.terms.of(header.class));
        let mut wrote = false;
        if ledger.with(stream, |story, _| story.any_erased_from(UtcMicros::MIN)) {
            wrote |= !scan.torn.is_empty();
            scan.torn.iter().try_for_each(|(from, to)| zero_range(file, *from, *to))?;
        }
        let mut unreadable = Vec::new();
        for damage in std::mem::take(&mut scan.damaged) {
            let left = ledger.left_of_stretch(stream, header.incarnation, damage.window);
            let known: Duration = left.iter().map(|piece| piece.duration()).sum();
            let erased = damage.window.duration().saturating_sub(known) > spans::JOIN;
            if erased {
                unreadable.push((damage.from, damage.to));
            }
            // Where nobody knows when it began, what was erased then is what stood there.
            if left.iter().any(|piece| piece.duration() > spans::JOIN) && !(erased && damage.guessed) {
                scan.damaged.push(damage);
            }
        }
        let (erased, doubtful) = std::mem::take(&mut scan.doubtful).into_iter().partition(|entry| gone(entry, None));
        scan.doubtful = doubtful;
        unreadable.extend::<Vec<_>>(erased.iter().map(|entry: &Entry| (entry.offset(), entry.end())).collect());
        for (from, to) in unreadable {
            zero_range(file, from, to)?;
            scan.torn.push((from, to));
            wrote = true;
        }
        let last = scan.entries.last();
        let since = last.map_or(UtcMicros::MIN, |entry| entry.window().to);
        if !scan.listed && self.is_erasing(stream) && ledger.with(stream, |story, _| story.any_erased_from(since)) {
            // Nobody knows what stood behind the last record: it may be some of what is being erased.
            zero_range(file, last.map_or(DATA_START, Entry::end), header.size - FOOTER)?;
            wrote = true;
        }
        let mut entries = Vec::with_capacity(scan.entries.len());
        for entry in &scan.entries {
            if entry.is_erased() || gone(entry, None) {
                // The mark may be there and not yet all of the zeros behind it.
                if again || !entry.is_erased() || !is_blank(file, entry, header.incarnation)? {
                    blank(file, entry, self.mark_for(stream, entry), header.incarnation)?;
                    wrote = true;
                }
                entries.push(entry.erased());
            } else if !held.covers(stream, entry.window()) && gone(entry, over(entry)) {
                scan.torn.push((entry.offset(), entry.end()));
            } else {
                entries.push(*entry);
            }
        }
        scan.entries = entries;
        if wrote { file.sync() } else { Ok(()) }
    }

    /// Whether an order about a camera is being carried out.
    fn is_erasing(&self, stream: StreamId) -> bool {
        let about = |order: &Erasure| order.state == ErasureState::Approved && order.order.cameras.contains(&stream.camera);
        self.shared.ledger.custody(|custody| custody.erasures.values().any(about))
    }

    /// As [`Keeper::purge`], for a file that has its footer. Gives the entries if there was anything to do.
    pub(super) fn purge_sealed(
        &self,
        stream: StreamId,
        file: &dyn DiskFile,
        header: &SegmentHeader,
        meta: &SegmentMeta,
        again: bool,
    ) -> io::Result<Option<Vec<Entry>>> {
        let gone = |window: &Window| self.shared.ledger.with(stream, |story, _| story.removed_in(*window).next().is_some());
        if !again && !meta.spans().iter().any(gone) {
            return Ok(None);
        }
        let Some((_, entries)) = recovery::footer(file, header)? else { return Ok(None) };
        let mut scan = Scan { entries: entries.clone(), listed: true, ..Scan::default() };
        self.purge(stream, file, header, &mut scan, again)?;
        let redo = again && entries.iter().any(Entry::is_erased);
        if scan.entries == entries && !redo {
            return Ok(None);
        }
        let left = |entry: &Entry| scan.entries.iter().any(|other| other.block == entry.block && !other.is_erased());
        let kept: Vec<Entry> = entries.iter().map(|entry| if left(entry) { *entry } else { entry.erased() }).collect();
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

    /// Overwrites everything of a segment but both copies of its header.
    fn zero(&self, file: &dyn DiskFile, meta: &SegmentMeta) -> io::Result<()> {
        let (block, size) = (BLOCK as u64, file.len()?);
        let behind = size.saturating_sub(FOOTER);
        // What stands behind the records of a sealed segment was given back to the file system.
        let end = if meta.entries.is_some() { behind } else { meta.end.max(block).next_multiple_of(block).min(behind) };
        for (from, to) in [(block, HEAD_COPY), (HEAD_COPY + block, end), (behind, size)] {
            zero_range(file, from, to)?;
        }
        file.sync()
    }

    /// Gives the file of a segment that is gone back to the pool, unless the disk refused it before.
    fn free(&self, stream: StreamId, meta: &SegmentMeta, file: &Arc<dyn DiskFile>) -> io::Result<()> {
        let (_, size) = self.remove(meta.key)?;
        self.volume.disk.sync_written(&[Arc::clone(file)])?;
        self.shared.catalogue.remove(stream, meta.key);
        if let Some(size) = size.filter(|_| meta.entries.is_none()) {
            self.make_whole(meta.key.number, size);
        }
        self.volume.changed();
        Ok(())
    }
}

/// Overwrites whole blocks.
pub(super) fn zero_range(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; ZEROS.min(to.saturating_sub(from) as usize)];
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

/// Whether nothing but the mark stands where the media of a record stood.
fn is_blank(file: &dyn DiskFile, entry: &Entry, incarnation: u64) -> io::Result<bool> {
    let payload = read_vec(file, entry.offset() + RECORD_HEADER as u64, entry.payload_len as usize)?;
    Ok(EraseMark::read_whole(&payload, incarnation).is_some())
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
