//! The one who writes a volume: once a second it takes all pending drafts, writes them in the order of their place on disk, syncs
//! once, and only then announces them (F3). The core, [`Writer::commit`], is one call without clock or thread, so that tests
//! can crash it anywhere; [`Writer::turn`] is what surrounds it each time, and [`run`] is the thread around it.

use super::{
    catalogue::Commit,
    disk::{AlignedBuffer, DiskFile},
    fare::Refused,
    format::HeadPieces,
    planted::{Bug, planted},
    pool::Size,
    recovery, refused,
    segment::{OpenSegment, Place, record_bound, room},
    shared::Shared,
    types::{Announced, Draft, VolumeState},
    volume::{Queue, Volume, lock, segment_name},
};
use crate::model::{GapCause, StreamId, UtcMicros};
use std::{
    collections::HashMap,
    io,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

/// A write is at most about this long: more only costs memory.
const WRITE_BYTES: usize = 8 << 20;
/// A commit takes at most some more than this many times what starts one early.
const COMMIT_FULL: usize = 8;
/// A segment that nothing was added to for this long is sealed: its stream has ended.
const IDLE: Duration = Duration::from_secs(600);
/// The writer looks up so often where nothing is pending.
const TURN: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Writer {
    volume: Arc<Volume>,
    shared: Arc<Shared>,
    open: HashMap<StreamId, OpenSegment>,
    /// The last chain value of each stream, for its next segment.
    chains: HashMap<StreamId, [u8; 32]>,
    buffer: AlignedBuffer,
    scratch: Vec<u8>,
}

/// What became of a commit's drafts.
#[derive(Default)]
pub(super) struct Outcome {
    /// There was no file for these yet; the keeper makes some.
    pub(super) waiting: Vec<Arc<Draft>>,
    /// The disk refused these.
    pub(super) refused: Vec<Arc<Draft>>,
    /// Another volume has more room for the streams of these.
    pub(super) moved: Vec<Arc<Draft>>,
}

/// What is written and not yet synced.
#[derive(Default)]
struct Batch {
    files: Vec<Arc<dyn DiskFile>>,
    /// Segments that got their footer.
    sealed: Vec<OpenSegment>,
    /// Streams whose open segments were written to.
    streams: Vec<StreamId>,
    /// Drafts written, to be handed on if the sync fails.
    drafts: Vec<Arc<Draft>>,
    bytes: u64,
    /// A stream goes to another volume.
    moved: bool,
    /// Headers that are written too late. Empty but for a planted mistake.
    late: Vec<(Arc<dyn DiskFile>, HeadPieces)>,
}

/// How a stream's next draft is stored.
enum Step {
    /// In the open segment.
    Goes,
    /// When there is a file for it.
    Waits,
    /// By another volume.
    Moves,
}

impl Batch {
    fn touch(&mut self, file: &Arc<dyn DiskFile>) {
        if !self.files.last().is_some_and(|last| Arc::ptr_eq(last, file)) {
            self.files.push(Arc::clone(file));
        }
    }
}

impl Writer {
    pub(super) fn new(volume: Arc<Volume>, shared: Arc<Shared>) -> Self {
        Self {
            volume,
            shared,
            open: HashMap::new(),
            chains: HashMap::new(),
            buffer: AlignedBuffer::default(),
            scratch: Vec::new(),
        }
    }

    /// Makes drafts durable and announces them. Those of one stream keep their order.
    pub(super) fn commit(&mut self, mut drafts: Vec<Arc<Draft>>, now: UtcMicros) -> Outcome {
        let began = self.shared.world.monotonic();
        // By place on disk: open segments by number, new ones last. The sort is stable, so a stream's drafts stay in order.
        let place = |draft: &Arc<Draft>| (self.open.get(&draft.stream).map_or(u32::MAX, |open| open.key.number), draft.stream);
        drafts.sort_by_cached_key(place);
        let (mut outcome, mut batch) = (Outcome::default(), Batch::default());
        let mut drafts = drafts.into_iter().peekable();
        while let Some(draft) = drafts.next() {
            if lock(&self.volume.queue).taken {
                break;
            }
            let stream = draft.stream;
            let mut group = vec![draft];
            while let Some(draft) = drafts.next_if(|draft| draft.stream == stream) {
                group.push(draft);
            }
            self.write_stream(stream, group, now, &mut batch, &mut outcome);
        }
        self.seal_idle(now, &mut batch, &mut outcome);
        self.sync(batch, began, &mut outcome);
        *lock(&self.volume.writing) = self.open.values().map(|open| open.key.number).collect();
        outcome
    }

    /// Makes durable what was written, and announces it; or gives it back.
    fn sync(&mut self, mut batch: Batch, began: Duration, outcome: &mut Outcome) {
        // A volume under suspicion is tried also while nothing is recorded there: how else would it be trusted again.
        if batch.files.is_empty() && self.volume.state() != VolumeState::Suspect {
            return;
        }
        if planted(Bug::AnnounceFirst) {
            self.tell(&batch.drafts);
        }
        let synced = match self.volume.disk.sync_written(&batch.files) {
            _ if planted(Bug::SkipSync) => Ok(()),
            Err(_) if planted(Bug::RetrySync) => self.volume.disk.sync_written(&batch.files),
            synced => synced,
        };
        match synced {
            Ok(()) => {
                let late = std::mem::take(&mut batch.late);
                self.announce(batch, began);
                late.iter().for_each(|(file, head)| drop(write_head(&**file, head)));
            }
            Err(error) => {
                // Never asked again: the segments keep their durable prefix, the drafts are still in memory.
                self.fell(&error, Refused::Sync);
                for stream in &batch.streams {
                    self.abandon(*stream);
                }
                batch.sealed.iter().for_each(|sealed| self.remember_refused(sealed));
                outcome.refused.append(&mut batch.drafts);
            }
        }
    }

    /// Writes one stream's drafts, in one piece where they follow each other.
    fn write_stream(
        &mut self,
        stream: StreamId,
        group: Vec<Arc<Draft>>,
        now: UtcMicros,
        batch: &mut Batch,
        outcome: &mut Outcome,
    ) {
        self.buffer.clear();
        let mut at = self.open.get(&stream).map_or(0, |open| open.tail);
        let mut group = group.into_iter();
        let mut failed = None;
        while let Some(draft) = group.next() {
            let size = Size::of(stream.kind);
            if record_bound(&draft) > room(lock(&self.volume.pool).bytes_of(size)) {
                self.shared.lose(&draft, GapCause::CameraFault, "a fragment larger than a segment");
                continue;
            }
            let goes_on = self.open.get(&stream).is_some_and(|open| open.takes(&draft, self.shared.setup.segment_max));
            let step = if goes_on && self.buffer.len() < WRITE_BYTES {
                Ok(Step::Goes)
            } else if goes_on {
                self.write_out(stream, &mut at, batch).map(|()| Step::Goes)
            } else {
                self.write_out(stream, &mut at, batch)
                    .and_then(|()| self.seal(stream, batch))
                    .and_then(|()| self.begin(&draft, &mut at, now, batch))
            };
            match step {
                Ok(Step::Goes) => {}
                Ok(Step::Waits) => {
                    outcome.waiting.push(draft);
                    outcome.waiting.extend(group);
                    return;
                }
                Ok(Step::Moves) => {
                    outcome.moved.push(draft);
                    outcome.moved.extend(group);
                    return;
                }
                Err(error) => {
                    failed = Some((error, Some(draft)));
                    break;
                }
            }
            if let Some(open) = self.open.get_mut(&stream) {
                open.encode(&draft, &mut self.buffer, &mut self.scratch, self.shared.world.monotonic().as_micros() as u64);
                open.touched = now;
                batch.drafts.push(draft);
            }
        }
        let failed = failed.or_else(|| self.write_out(stream, &mut at, batch).err().map(|error| (error, None)));
        if let Some((error, draft)) = failed {
            self.give_up(stream, &error, batch, outcome);
            outcome.refused.extend(draft);
            outcome.refused.extend(group);
        }
        self.buffer.shrink(2 * WRITE_BYTES);
    }

    /// Writes what is encoded at `at`, where it was encoded for.
    fn write_out(&mut self, stream: StreamId, at: &mut u64, batch: &mut Batch) -> io::Result<()> {
        let Some(open) = self.open.get(&stream).filter(|_| self.buffer.len() > 0) else { return Ok(()) };
        open.file.write_at(self.buffer.bytes(), *at)?;
        *at += self.buffer.len() as u64;
        batch.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        batch.touch(&open.file);
        if batch.streams.last() != Some(&stream) {
            batch.streams.push(stream);
        }
        Ok(())
    }

    /// Ends a stream's segment, if it has one, with its footer.
    fn seal(&mut self, stream: StreamId, batch: &mut Batch) -> io::Result<()> {
        let Some(open) = self.open.get(&stream) else { return Ok(()) };
        for (offset, piece) in open.footer() {
            let mut aligned = AlignedBuffer::default();
            aligned.push(&piece);
            open.file.write_at(aligned.bytes(), offset)?;
            batch.bytes += piece.len() as u64;
        }
        batch.touch(&open.file);
        if let Some(open) = self.open.remove(&stream) {
            self.chains.insert(stream, open.chain);
            batch.sealed.push(open);
        }
        Ok(())
    }

    /// Begins a segment for `draft`, unless its stream had better begin it on another volume. At the end of the node it does not move:
    /// the other volume's writer may be gone.
    fn begin(&mut self, draft: &Draft, at: &mut u64, now: UtcMicros, batch: &mut Batch) -> io::Result<Step> {
        let stays = self.shared.closing.load(Ordering::Acquire);
        if !stays && self.shared.lives_better_elsewhere(draft.stream, &self.volume, batch.moved) {
            batch.moved = true;
            return Ok(Step::Moves);
        }
        let size = Size::of(draft.stream.kind);
        let bytes = lock(&self.volume.pool).bytes_of(size);
        let taken = self.take_free(size);
        self.volume.chores.notify_one();
        let Some(number) = taken else { return Ok(Step::Waits) };
        lock(&self.volume.writing).insert(number);
        let file = self.volume.disk.open(&segment_name(number))?;
        let place = Place {
            key: self.volume.key(number, self.shared.world.random()),
            node: self.shared.setup.node,
            volume: self.volume.id,
            size: bytes,
            chain: self.chains.get(&draft.stream).copied().unwrap_or_default(),
            now,
        };
        self.shared.ledger.begin(draft.stream, draft.window().from, place.key.incarnation);
        let Some((open, head)) = OpenSegment::begin(&place, file, draft) else {
            lock(&self.volume.pool).give_back(number, size);
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a decoder configuration that fits no segment"));
        };
        if planted(Bug::ReuseEarly) {
            batch.late.push((Arc::clone(&open.file), head));
        } else {
            write_head(&*open.file, &head)?;
        }
        batch.touch(&open.file);
        *at = open.tail;
        self.volume.forget_file(number);
        self.open.insert(draft.stream, open);
        Ok(Step::Goes)
    }

    /// A file to write to. One that only a checkpoint calls free is looked into first: what was recorded in it since must not be
    /// overwritten, whatever a crash left of the files before it.
    fn take_free(&self, size: Size) -> Option<u32> {
        loop {
            let (number, believed) = {
                let mut pool = lock(&self.volume.pool);
                let number = pool.take(size)?;
                (number, pool.was_believed(number))
            };
            if !believed || self.volume.is_free(number) {
                return Some(number);
            }
            tracing::warn!(volume = %self.volume.name, segment = number, "a file is in use that was free when the catalogue was saved");
            lock(&self.volume.unread).push(number);
            lock(&self.volume.pool).retire(size);
        }
    }

    /// Seals segments whose streams have ended, and those of which some is to be erased.
    fn seal_idle(&mut self, now: UtcMicros, batch: &mut Batch, outcome: &mut Outcome) {
        let wanted = std::mem::take(&mut *lock(&self.volume.seal_wanted));
        let ripe = |open: &&OpenSegment| now.since(open.touched) > IDLE || wanted.contains(&open.stream);
        let mut idle: Vec<_> = self.open.values().filter(ripe).map(|open| open.stream).collect();
        idle.sort_unstable();
        for stream in idle {
            if let Err(error) = self.seal(stream, batch) {
                self.give_up(stream, &error, batch, outcome);
            }
        }
    }

    /// The disk refused a stream's segment: what was written there in this batch goes elsewhere too.
    fn give_up(&mut self, stream: StreamId, error: &io::Error, batch: &mut Batch, outcome: &mut Outcome) {
        self.fell(error, Refused::Write);
        self.abandon(stream);
        let (mine, others) = std::mem::take(&mut batch.drafts).into_iter().partition(|draft| draft.stream == stream);
        batch.drafts = others;
        batch.streams.retain(|other| *other != stream);
        for sealed in batch.sealed.extract_if(.., |sealed| sealed.stream == stream) {
            self.remember_refused(&sealed);
        }
        outcome.refused.extend::<Vec<Arc<Draft>>>(mine);
    }

    /// Everything in the batch is durable: says so.
    fn announce(&mut self, batch: Batch, began: Duration) {
        let mut commits = Vec::with_capacity(batch.streams.len() + batch.sealed.len());
        let commit = |open: &mut OpenSegment, sealed| Commit {
            stream: open.stream,
            key: open.key,
            class: open.class,
            entries: open.committed(),
            sealed,
        };
        for mut sealed in batch.sealed {
            if let Some((from, to)) = sealed.spare() {
                lock(&self.volume.sealed_early).push((sealed.key.number, from, to));
                self.volume.chores.notify_one();
            }
            commits.push(commit(&mut sealed, true));
        }
        for stream in &batch.streams {
            commits.extend(self.open.get_mut(stream).map(|open| commit(open, false)));
        }
        self.shared.catalogue.announce(commits.into_iter());
        let changed = {
            let mut stats = lock(&self.volume.stats);
            let took = self.shared.world.monotonic().saturating_sub(began);
            stats.committed(took, batch.bytes);
            stats.open = self.open.len();
            stats.fare.committed(self.shared.world.monotonic(), took, self.shared.world.now())
        };
        if changed.is_some() {
            self.shared.fare_changed(&self.volume);
        }
        if batch.drafts.is_empty() {
            return;
        }
        self.volume.changed();
        // What was taken elsewhere in the meantime is told of when it is durable there. That it is here too harms nobody.
        if lock(&self.volume.queue).taken {
            return;
        }
        self.shared.fragments.fetch_add(batch.drafts.len() as u64, Ordering::Relaxed);
        self.tell(&batch.drafts);
    }

    /// Calls the watchers.
    fn tell(&self, drafts: &[Arc<Draft>]) {
        let watchers = self.shared.watchers.read().unwrap_or_else(PoisonError::into_inner);
        for draft in drafts {
            let announced = Announced { stream: draft.stream, window: draft.window(), bytes: draft.bytes() as u64 };
            watchers.iter().for_each(|watch| watch(&announced));
        }
    }

    /// The disk refused something: the volume falls by rule, and its fall is an event.
    fn fell(&self, error: &io::Error, what: Refused) {
        let fell = lock(&self.volume.stats).fare.refused(what, error, self.shared.world.now());
        if fell.is_some() {
            self.shared.fare_changed(&self.volume);
        }
    }

    /// What was not durable of a segment may be on the disk all the same.
    fn remember_refused(&self, open: &OpenSegment) {
        let entries = open.pending().to_vec();
        if !entries.is_empty() {
            lock(&self.volume.refused).push(refused::Refused { stream: open.stream, key: open.key, entries });
        }
    }

    /// Gives up a stream's open segment. What is durable in it stays in the catalogue with its entries; recovery seals the
    /// file at the next start.
    fn abandon(&mut self, stream: StreamId) {
        if let Some(open) = self.open.remove(&stream) {
            self.remember_refused(&open);
            self.chains.remove(&stream);
            lock(&self.volume.pool).retire(Size::of(open.stream.kind));
        }
    }
}

/// Writes what says whose a file is now: before anything in it is announced.
fn write_head(file: &dyn DiskFile, head: &HeadPieces) -> io::Result<()> {
    head.iter().try_for_each(|(offset, piece)| recovery::write(file, *offset, piece))
}

/// What a turn is to write.
pub(super) struct Taken {
    drafts: Vec<Arc<Draft>>,
    /// The requests to commit now that are answered by it.
    requests: u64,
    /// It is the last.
    ending: bool,
}

impl Writer {
    /// What waits for this volume, in order: all of it, or as much as a commit may take. Requests to commit now, and the end, come after
    /// the last of it.
    pub(super) fn take(&mut self, queue: &mut Queue) -> Taken {
        let drafts = queue.begin(self.shared.world.monotonic(), COMMIT_FULL * self.shared.setup.commit_bytes);
        let all = queue.drafts.is_empty();
        let ending = queue.closing || self.volume.retired.load(Ordering::Acquire);
        Taken { drafts, requests: if all { queue.flush } else { queue.flushed }, ending: ending && all }
    }

    /// One turn: commits what was taken, finds a home for what this volume refused, and answers who waits. Without clock or thread of
    /// its own, as [`Writer::commit`] is.
    pub(super) fn turn(&mut self, taken: Taken) {
        let Taken { drafts, requests, ending } = taken;
        let (volume, shared) = (Arc::clone(&self.volume), Arc::clone(&self.shared));
        let outcome = self.commit(drafts, shared.world.now());
        let full = volume.full.load(Ordering::Relaxed);
        let (homeless, waiting) = if ending || full { (outcome.waiting, Vec::new()) } else { (Vec::new(), outcome.waiting) };
        let mine = {
            let mut queue = lock(&volume.queue);
            queue.flushed = requests;
            queue.end(waiting, shared.world.monotonic())
        };
        volume.committed.notify_all();
        // What somebody took elsewhere meanwhile is not this volume's any more.
        if mine {
            shared.rehome(&volume, outcome.refused, "the disk refused it and there is no other");
            shared.move_on(&volume, outcome.moved);
            let none = "no segment is free and none is past its term";
            match ending {
                // Nobody makes files any more, here or elsewhere.
                true => homeless.iter().for_each(|draft| shared.lose(draft, GapCause::Disk, none)),
                false => shared.rehome(&volume, homeless, none),
            }
        }
        if ending {
            // Not before another volume's refusals, and what this one tries again, are written.
            let mut queue = lock(&volume.queue);
            queue.ended = queue.drafts.is_empty();
            volume.committed.notify_all();
        }
    }

    /// When the next turn is due, by the monotonic clock, if the last ended at `began`: at once where somebody asks or much waits, else
    /// when the oldest draft has waited for long enough. So what waits is bounded, and a quiet disk is left alone.
    pub(super) fn due(&self, queue: &Queue, began: Duration) -> Duration {
        let ending = queue.closing || self.volume.retired.load(Ordering::Acquire);
        let many = queue.bytes >= self.shared.setup.commit_bytes && !queue.starved;
        if ending || queue.flush > queue.flushed || many {
            return Duration::ZERO;
        }
        queue.oldest.map_or(began + TURN, |oldest| oldest + self.shared.setup.commit_every)
    }

    /// Waits for the next commit to be due and takes what it is to write.
    fn next(&mut self) -> Taken {
        let (volume, shared) = (Arc::clone(&self.volume), Arc::clone(&self.shared));
        let (every, began) = (shared.setup.commit_every, shared.world.monotonic());
        let mut queue = lock(&volume.queue);
        loop {
            let (now, due) = (shared.world.monotonic(), self.due(&queue, began));
            if now >= due {
                return self.take(&mut queue);
            }
            // Whoever queues the first draft does not ring.
            let turn = (due - now).min(every).min(TURN);
            queue = volume.work.wait_timeout(queue, turn).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The thread: commits when it is time, when much is pending, when asked, and at the end until nothing is left.
pub(super) fn run(mut writer: Writer) {
    loop {
        let taken = writer.next();
        writer.turn(taken);
        if lock(&writer.volume.queue).ended {
            return;
        }
    }
}
