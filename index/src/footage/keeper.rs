//! The one who keeps a volume in order beside its writer: at start it looks after what an earlier run left open, then it fills the
//! pool, writes checkpoints, and removes what is past its term. Nothing here is waited for by recording.

use super::{
    aftermath::Doubt,
    catalogue::{SegmentKey, SegmentMeta},
    checkpoint::{self, Checkpoint},
    disk::DiskFile,
    format::{Entry, SegmentHeader, spare},
    head::{self, Head},
    ledger::Removed,
    planted::{Bug, planted},
    pool::{Growth, Size},
    recovery::{self, Found},
    shared::Shared,
    spans,
    volume::{Volume, lock, segment_name, segment_number},
};
use crate::model::{GapCause, Window};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

const CHECKPOINT: Duration = Duration::from_secs(30);
const RETENTION: Duration = Duration::from_secs(20);
/// A disk that had no room for a file is asked again after that long: what took it may be gone.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// What the disk refused to erase, or a file that it refused to read, is tried again after that long.
const REFUSED: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(500);
/// Files made in one go before they are synced.
const BATCH: usize = 8;
/// The same where none is left.
const URGENT: usize = 64;
/// Files of a size in a row that are still free, after which the rest of a checkpoint's list is believed: files are used in its order,
/// and no more of them than that are lost with one failed sync. Whoever takes one looks into it all the same.
const STILL_FREE: usize = 2048;

/// What is left to do in the background after a volume was opened.
#[derive(Default)]
pub(super) struct Leftovers {
    /// Files that the checkpoint does not vouch for.
    unknown: Vec<u32>,
    /// What a checkpoint knows of segments that were open.
    entries: HashMap<SegmentKey, Vec<Entry>>,
    /// What it calls free, in the order in which it is used.
    believed: Vec<(u32, Size)>,
    /// Its number.
    newest: u32,
}

/// Opens a volume for recording: takes its checkpoint's word for what is sealed and free, and leaves the rest for
/// [`Keeper::recover`]. Fast whatever the volume holds.
pub(super) fn open(volume: &Volume, shared: &Shared) -> io::Result<Leftovers> {
    let mut present: HashSet<u32> = volume.disk.list("segs")?.iter().filter_map(|name| segment_number(name)).collect();
    let mut leftovers = Leftovers::default();
    let checkpoint = checkpoint::read(&*volume.disk, volume.id, volume.index);
    let mut pool = lock(&volume.pool);
    present.iter().for_each(|number| pool.saw(*number));
    let Checkpoint { number: newest, segments, free } = checkpoint.unwrap_or_default();
    volume.checkpoints.store(newest, Ordering::Relaxed);
    let mut sealed: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (stream, meta, size) in segments {
        // Of what was being removed when the last run ended, the checkpoint need not know: the file itself says whether it is gone.
        let removed =
            |span: &Window| shared.ledger.with(stream, |story, _| story.removed_in(*span).any(|gone| is_doubtful(gone, *span)));
        if shared.ledger.is_expired(meta.key.incarnation) || meta.spans().iter().any(removed) {
            continue;
        }
        match (meta.entries, Size::ALL.get(usize::from(size))) {
            (None, Some(size)) if present.remove(&meta.key.number) => {
                pool.found(meta.key.number, *size, false);
                if let Some((from, to)) = spare(meta.end, pool.bytes_of(*size)) {
                    pool.spare(meta.key.number, to - from);
                }
                sealed.entry(stream).or_default().push(SegmentMeta { entries: None, ..meta });
            }
            (Some(entries), _) => drop(leftovers.entries.insert(meta.key, entries)),
            (None, _) => {}
        }
    }
    sealed.into_iter().for_each(|(stream, metas)| shared.inherit_all(stream, volume.index, metas));
    for (size, numbers) in Size::ALL.into_iter().zip(free) {
        for number in numbers.into_iter().filter(|number| present.remove(number)) {
            pool.believe(number, size);
            leftovers.believed.push((number, size));
        }
    }
    leftovers.newest = newest;
    leftovers.unknown = present.into_iter().collect();
    leftovers.unknown.sort_unstable();
    Ok(leftovers)
}

/// Whether of a span that a checkpoint tells of some was removed. What was erased is cut out of it, but for the few milliseconds by which
/// neighbours overlap.
fn is_doubtful(gone: &Removed, span: Window) -> bool {
    gone.cause == GapCause::Expired || gone.window.intersect(span).duration() > spans::JOIN
}

/// What a keeper remembers from round to round: when it did what, by the monotonic clock.
#[derive(Default)]
pub(super) struct Rounds {
    saved: Option<Duration>,
    saved_changes: Option<u64>,
    swept: Option<Duration>,
    asked: Option<Duration>,
    /// When the disk last refused some of what was to be erased or looked into.
    refused: Option<Duration>,
}

/// See the module.
pub(super) struct Keeper {
    pub(super) volume: Arc<Volume>,
    pub(super) shared: Arc<Shared>,
}

impl Keeper {
    /// The thread.
    pub(super) fn run(self, leftovers: Leftovers) {
        self.recover(leftovers);
        let mut rounds = Rounds::default();
        while !self.shared.closing.load(Ordering::Acquire) && !self.volume.retired.load(Ordering::Acquire) {
            if !self.round(&mut rounds) {
                let pool = lock(&self.volume.pool);
                drop(self.volume.chores.wait_timeout(pool, PAUSE).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    /// Does what is due. Says whether the next round is wanted at once.
    pub(super) fn round(&self, rounds: &mut Rounds) -> bool {
        let now = self.shared.world.monotonic();
        let passed = |since: Option<Duration>, time: Duration| since.is_none_or(|since| now.saturating_sub(since) >= time);
        if passed(rounds.asked, ASK_AGAIN) {
            rounds.asked = Some(now);
            lock(&self.volume.pool).retry();
        }
        self.trim();
        if passed(rounds.refused, REFUSED) {
            let well = self.recover_unread() & self.erase();
            rounds.refused = (!well).then_some(now);
        }
        let grew = self.grow(if self.shortage().1 { URGENT } else { BATCH });
        let changes = self.volume.changes.load(Ordering::Relaxed);
        if passed(rounds.saved, CHECKPOINT) {
            rounds.saved = Some(now);
            if rounds.saved_changes != Some(changes) {
                rounds.saved_changes = Some(changes);
                self.save();
            } else if self.volume.index == 0 {
                // A sign of life also where nothing is recorded: a restart's gap begins at the last one.
                self.save_ledger();
            }
        }
        let (low, starved) = self.shortage();
        if passed(rounds.swept, RETENTION) || (low && !grew) {
            rounds.swept = Some(now);
            self.shared.end_overdue();
            self.shared.forewarn();
            self.shared.ledger.tell_expired();
            let removed = self.sweep();
            if removed > 0 {
                self.save();
            }
            // Only what no growth and no removal can help is a full volume.
            self.volume.full.store(starved && !grew && removed == 0, Ordering::Relaxed);
        } else if !starved {
            self.volume.full.store(false, Ordering::Relaxed);
        }
        self.serve();
        grew
    }

    /// What waited for a file is written now that there is one.
    fn serve(&self) {
        if self.shortage().1 {
            return;
        }
        let mut queue = lock(&self.volume.queue);
        if queue.starved {
            queue.hurry(self.shared.world.monotonic().saturating_sub(self.shared.setup.commit_every));
            self.volume.work.notify_one();
        }
    }

    /// Looks into every file that the checkpoint does not vouch for: seals what was open, finds what is free.
    pub(super) fn recover(&self, leftovers: Leftovers) {
        let Leftovers { unknown, mut entries, believed, newest } = leftovers;
        if let Err(error) = self.volume.disk.settle() {
            // What was announced is durable all the same, and must not wait for a disk that refuses.
            tracing::error!(volume = %self.volume.name, %error, "what an earlier run wrote last may not outlive a loss of power");
        }
        for number in unknown {
            if self.shared.closing.load(Ordering::Acquire) {
                return;
            }
            self.look_into(number, &mut entries);
        }
        for size in Size::ALL {
            let numbers = believed.iter().filter(|(_, other)| *other == size).map(|(number, _)| *number);
            self.prove_free(size, numbers, newest, &mut entries);
        }
        // The writer may have met some that are in use, in the meantime.
        self.recover_unread();
        self.volume.recovering.store(false, Ordering::Release);
        self.shared.recovered();
    }

    fn look_into(&self, number: u32, known: &mut HashMap<SegmentKey, Vec<Entry>>) {
        // Once more, because one bad read must not hide a segment.
        let found = self.recover_file(number, known, false).or_else(|_| self.recover_file(number, known, true));
        if let Err(error) = found {
            tracing::error!(volume = %self.volume.name, segment = number, %error, "segment cannot be read, it is tried again");
            lock(&self.volume.unread).push(number);
        }
    }

    /// Looks for what was written since the checkpoint of that number into files that it calls free.
    fn prove_free(
        &self,
        size: Size,
        numbers: impl Iterator<Item = u32>,
        newest: u32,
        known: &mut HashMap<SegmentKey, Vec<Entry>>,
    ) {
        let mut still = 0;
        for number in numbers {
            if still == STILL_FREE || self.shared.closing.load(Ordering::Acquire) {
                return;
            }
            // Whoever took it meanwhile has looked into it.
            let Some(at) = lock(&self.volume.pool).withdraw(number, size) else { continue };
            let head = self.volume.disk.open(&segment_name(number)).and_then(|file| head::read(&*file, Some(number)));
            match head {
                Ok(Head::Free { since }) => {
                    lock(&self.volume.pool).restore(number, size, at);
                    // One that was freed since was used since, and those behind it may be in use.
                    still = if since < newest || since == 0 { still + 1 } else { 0 };
                }
                Ok(Head::Used(_) | Head::Damaged) | Err(_) => {
                    still = 0;
                    self.look_into(number, known);
                }
            }
        }
    }

    /// Looks again into files that the disk refused to read or to mend. `false` if it still refuses.
    fn recover_unread(&self) -> bool {
        let unread = lock(&self.volume.unread).clone();
        for number in &unread {
            match self.recover_file(*number, &mut HashMap::new(), true) {
                Ok(()) => lock(&self.volume.unread).retain(|other| other != number),
                Err(error) => {
                    tracing::debug!(volume = %self.volume.name, segment = number, %error, "segment still cannot be read");
                }
            }
        }
        let left = lock(&self.volume.unread).len();
        if left < unread.len() {
            self.shared.settle_doubts();
        }
        left == 0
    }

    /// Looks into one file. `again` where the disk refused that once.
    fn recover_file(&self, number: u32, known: &mut HashMap<SegmentKey, Vec<Entry>>, again: bool) -> io::Result<()> {
        let volume = &self.volume;
        let file = volume.disk.open(&segment_name(number))?;
        let size = lock(&volume.pool).size_of(file.len()?);
        let count = |free| {
            if let Some(size) = size {
                lock(&volume.pool).found(number, size, free);
            }
        };
        let found = recovery::probe(&*file, volume.index, number)?;
        let mute = match &found {
            Found::Sealed { header, .. } | Found::Unsealed(header) => self.is_mute(&*file, header, known, again)?,
            Found::Free | Found::Alien => false,
        };
        match found {
            Found::Free => count(true),
            Found::Sealed { header, .. } | Found::Unsealed(header)
                if mute || self.shared.ledger.is_expired(header.incarnation) =>
            {
                self.discard(&*file, &header)?;
                self.shared.ledger.freed(header.incarnation);
                count(true);
            }
            Found::Sealed { stream, header, meta } => {
                let purged = self.purge_sealed(stream, &*file, &header, &meta, again)?;
                let meta = match purged {
                    None => Some(meta),
                    Some(entries) => recovery::meta_of(&header, volume.index, &entries, None),
                };
                let free = meta.is_none();
                match meta {
                    Some(meta) => {
                        self.give_back(number, spare(meta.end, file.len()?));
                        self.shared.inherit(stream, meta);
                    }
                    None => self.discard(&*file, &header)?,
                }
                // Counted once all of it has succeeded: whoever tries again counts then.
                count(free);
            }
            Found::Unsealed(header) => {
                let key = volume.key(number, header.incarnation);
                let end = self.salvage(&*file, &header, known.remove(&key).unwrap_or_default(), again)?;
                count(end.is_none());
                self.give_back(number, end.and_then(|end| spare(end, header.size)));
            }
            Found::Alien => {
                tracing::error!(volume = %volume.name, segment = number, "not a segment, or its header is damaged: left alone");
                lock(&volume.stats).damaged += 1;
            }
        }
        volume.changed();
        Ok(())
    }

    /// Frees a file that holds nothing which is owed to anybody. Durable on return.
    fn discard(&self, file: &dyn DiskFile, header: &SegmentHeader) -> io::Result<()> {
        // Twice, as wherever a file is freed: one write that goes astray must not bring back what it held.
        for _ in 0..2 {
            self.free_header(file, header.number, header.size)?;
            file.sync()?;
        }
        Ok(())
    }

    /// Whether a crash tore both copies of what decodes a file: then nothing in it was announced, because they are durable before that.
    /// Where it went on after its first commit they were there, and were damaged since.
    fn is_mute(
        &self,
        file: &dyn DiskFile,
        header: &SegmentHeader,
        known: &HashMap<SegmentKey, Vec<Entry>>,
        again: bool,
    ) -> io::Result<bool> {
        let (Some(stream), None) = (header.stream, head::moov(file, header)?) else { return Ok(false) };
        let known = known.get(&self.volume.key(header.number, header.incarnation)).cloned().unwrap_or_default();
        let mut scan = recovery::scan(file, header, known)?;
        // An erasure that was cut short may have taken what decodes it first.
        self.purge(stream, file, header, &mut scan, again)?;
        let all_erased = !scan.entries.is_empty() && scan.entries.iter().all(Entry::is_erased) && scan.damaged.is_empty();
        if !scan.went_on || all_erased {
            return Ok(true);
        }
        lock(&self.volume.stats).damaged += 1;
        tracing::error!(volume = %self.volume.name, segment = header.number, "what decodes a segment is damaged");
        let body = json!({ "volume": self.volume.name, "segment": header.number, "stream": stream, "what": "movie box" });
        self.shared.ledger.note("footage.damaged", body);
        scan.entries.iter().for_each(|entry| self.shared.ledger.lose(stream, entry.window(), GapCause::Damaged, 0));
        Ok(false)
    }

    /// Seals what a crash left open, and says where its last record ends. `None` if there was nothing in it, and it is free now.
    fn salvage(&self, file: &dyn DiskFile, header: &SegmentHeader, known: Vec<Entry>, again: bool) -> io::Result<Option<u64>> {
        let volume = &self.volume;
        let Some(stream) = header.stream else { return Ok(Some(header.size)) };
        let mut scan = recovery::scan(file, header, known)?;
        self.purge(stream, file, header, &mut scan, again)?;
        let doubt = |window: Window, damaged| {
            let (volume, segment) = (volume.name.clone(), header.number);
            Doubt { stream, window, volume, segment, damaged }
        };
        let guessed = scan.damaged.extract_if(.., |damage| damage.guessed).collect::<Vec<_>>();
        let doubts = scan.doubtful.iter().map(|entry| doubt(entry.window(), false));
        lock(&self.shared.doubts).extend(doubts.chain(guessed.iter().map(|damage| doubt(damage.window, true))));
        let Some(meta) = recovery::meta_of(header, volume.index, &scan.entries, None) else {
            self.discard(file, header)?;
            return Ok(None);
        };
        let end = meta.end;
        let sealed = recovery::seal(file, header, &scan).and_then(|()| file.sync());
        let meta = match sealed {
            Ok(()) => meta,
            Err(error) => {
                // What was found is there all the same: memory holds what the footer was to say, and the next start writes it.
                tracing::warn!(volume = %volume.name, segment = header.number, %error, "a segment cannot be sealed");
                SegmentMeta { entries: Some(scan.entries.clone()), ..meta }
            }
        };
        for damage in &scan.damaged {
            lock(&volume.stats).damaged += 1;
            let body = json!({ "volume": volume.name, "segment": header.number, "from": damage.from, "to": damage.to });
            self.shared.ledger.note("footage.damaged", body);
            self.shared.ledger.lose(stream, damage.window, GapCause::Damaged, 0);
            tracing::error!(volume = %volume.name, segment = header.number, offset = damage.from, "stored footage is damaged");
        }
        tracing::info!(volume = %volume.name, segment = header.number, %stream, fragments = scan.entries.len(), "segment salvaged");
        self.shared.inherit(stream, meta);
        Ok(Some(end))
    }

    /// Gives unused bytes of a sealed file back to the file system, and counts them.
    fn give_back(&self, number: u32, unused: Option<(u64, u64)>) {
        let Some((from, to)) = unused else { return };
        match self.volume.disk.punch(&segment_name(number), from, to) {
            Ok(()) => lock(&self.volume.pool).spare(number, to - from),
            Err(error) => tracing::debug!(segment = number, %error, "the file system takes no bytes back"),
        }
    }

    /// Gives the unused bytes of segments that were sealed early back.
    pub(super) fn trim(&self) {
        let early = std::mem::take(&mut *lock(&self.volume.sealed_early));
        for (number, from, to) in early {
            self.give_back(number, Some((from, to)));
        }
    }

    /// Makes files until enough are ready, at most `limit`. Says whether there may be more to make.
    pub(super) fn grow(&self, limit: usize) -> bool {
        let (mut made, mut files) = (Vec::new(), Vec::new());
        for _ in 0..limit {
            let open = lock(&self.volume.stats).open;
            let growth = {
                let mut pool = lock(&self.volume.pool);
                let low = pool.low(open);
                let mut urgent = low.into_iter().map(|size| pool.growth(Some(size), false));
                let urgent = urgent.find(|growth| *growth != Growth::Enough);
                urgent.unwrap_or_else(|| pool.growth(None, true))
            };
            match growth {
                Growth::Enough => break,
                Growth::Convert { remove, .. } => {
                    if lock(&self.volume.pool).was_believed(remove) && !self.volume.is_free(remove) {
                        lock(&self.volume.unread).push(remove);
                        continue;
                    }
                    self.volume.forget_file(remove);
                    if let Err(error) = self.volume.disk.remove(&segment_name(remove)) {
                        tracing::error!(volume = %self.volume.name, segment = remove, %error, "segment cannot be removed");
                    }
                }
                Growth::Create { number, size } => {
                    let bytes = lock(&self.volume.pool).bytes_of(size);
                    match self.volume.disk.create(&segment_name(number), bytes) {
                        Ok(file) => {
                            made.push((number, size));
                            files.push(file);
                        }
                        Err(error) => {
                            tracing::warn!(volume = %self.volume.name, %error, "the volume is smaller than configured");
                            lock(&self.volume.pool).grown(number, size, false);
                        }
                    }
                }
            }
        }
        if made.is_empty() {
            return false;
        }
        // One sync for all of them: with one each, hundreds of streams would wait for their first files for a minute.
        let durable = self.volume.disk.sync_written(&files);
        let names = || if planted(Bug::ForgetName) { Ok(()) } else { self.volume.disk.sync_dir("segs") };
        let durable = durable.and_then(|()| names());
        let mut pool = lock(&self.volume.pool);
        for (number, size) in made {
            pool.grown(number, size, durable.is_ok());
        }
        self.volume.changed();
        true
    }

    /// Whether free files run low, and whether a size has none.
    fn shortage(&self) -> (bool, bool) {
        let open = lock(&self.volume.stats).open;
        let pool = lock(&self.volume.pool);
        let any = |short: &dyn Fn(Size) -> bool| Size::ALL.into_iter().any(short);
        (any(&|size| pool.is_low(size, open)), any(&|size| pool.free(size) == 0))
    }

    /// Writes the checkpoint that makes the next start fast. Failing costs only time at that start.
    pub(super) fn save(&self) {
        if let Err(error) = self.checkpoint() {
            tracing::warn!(volume = %self.volume.name, %error, "catalogue checkpoint not written");
        }
        if let Err(error) = self.shared.away.write(&self.volume, &self.shared.catalogue) {
            tracing::warn!(volume = %self.volume.name, %error, "what the volume holds is not written down: a start without it will not know");
        }
        self.save_ledger();
    }

    fn save_ledger(&self) {
        if self.shared.save_ledger() {
            let volumes = self.shared.volumes.all();
            self.shared.away.tidy(|id| volumes.iter().any(|volume| volume.id == id));
        }
    }

    pub(super) fn checkpoint(&self) -> io::Result<()> {
        checkpoint::write(&self.volume, &self.shared.catalogue)
    }
}
