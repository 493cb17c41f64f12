//! What all threads of a store share, and the few acts that concern more than one volume.

use super::{
    away::Away,
    catalogue::{Catalogue, SegmentMeta, StreamIndex},
    forecast::Forewarning,
    keeping::Retention,
    ledger::{self, Facts, Ledger},
    planted::{Bug, planted},
    pool::Size,
    retention::ClockGuard,
    roster::Roster,
    shelf::{Directories, Shelf},
    spans,
    types::{Announced, Draft, Interval, IntervalState, Setup, Trouble, VolumeHealth, VolumeState},
    volume::{Volume, lock},
    volumes::Volumes,
    warden::Crew,
    world::World,
};
use crate::model::{GapCause, StreamId, StreamKind, UtcMicros, VolumeId, Window};
use serde_json::json;
use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// Called after each sync with what it made durable.
pub(super) type Watcher = Box<dyn Fn(&Announced) + Send + Sync>;

/// A node that runs gives a sign of life at least this often: it is twice the time between two checkpoints.
const SIGNS: Duration = Duration::from_secs(60);

/// So long after it was filmed a fragment is durable, or was given to another disk.
const DURABLE: Duration = Duration::from_secs(15);

/// See the module.
pub(super) struct Shared {
    pub(super) setup: Setup,
    pub(super) catalogue: Catalogue,
    pub(super) ledger: Ledger,
    pub(super) volumes: Volumes,
    /// Which volume each stream is written to. Held while a draft is queued, so that a stream that moves keeps its order.
    pub(super) places: Mutex<HashMap<StreamId, usize>>,
    /// Streams of which nothing was appended since somebody said why they are missing, and the instant of which that speaks.
    pub(super) silent: Mutex<HashMap<StreamId, UtcMicros>>,
    pub(super) watchers: RwLock<Vec<Watcher>>,
    pub(super) fragments: AtomicU64,
    pub(super) fragments_lost: AtomicU64,
    pub(super) closing: AtomicBool,
    /// Nothing is left to look after.
    pub(super) closed: AtomicBool,
    /// The threads of all volumes.
    pub(super) crew: Mutex<Crew>,
    pub(super) roster: Roster,
    pub(super) shelf: Arc<dyn Shelf>,
    pub(super) away: Away,
    /// Volumes that will have no room before long, by their place.
    pub(super) forewarned: Mutex<HashMap<u16, Forewarning>>,
    /// When that was looked at, by the monotonic clock.
    pub(super) looked_ahead: Mutex<Option<Duration>>,
    /// How the promise of retention stood, and when that was, by the monotonic clock.
    pub(super) retention_seen: Mutex<Option<(Duration, Arc<Retention>)>>,
    guard: Mutex<ClockGuard>,
    pub(super) world: Arc<dyn World>,
    started_at: UtcMicros,
    /// The last sign of life of an earlier run that the ledger knows of.
    alive: Option<UtcMicros>,
    /// What recovery found that does not read back.
    pub(super) doubts: Mutex<Vec<Doubt>>,
    restart_noted: AtomicBool,
    /// For each start that has no cause yet: the last instant before it of which earlier runs left a recording or a mark. What this run
    /// leaves does not count, as its clock may have been set back.
    ended: Mutex<HashMap<UtcMicros, UtcMicros>>,
}

impl Shared {
    pub(super) fn new(setup: Setup, volumes: Vec<Arc<Volume>>, ledger: Ledger, world: Arc<dyn World>) -> Self {
        let (started, started_at) = (world.monotonic(), world.now());
        let alive = ledger.last_alive();
        let guard = ClockGuard::new(ledger.believed().or(alive), started_at, started);
        ledger.started(started_at, guard.frozen().is_none());
        let ran = |start: UtcMicros| Some((start, ledger.ran_before(start)?));
        let ended = ledger.starts().into_iter().filter_map(ran).collect();
        Self {
            roster: Roster::open(&setup.state_dir),
            shelf: Arc::new(Directories),
            away: Away::new(&setup.state_dir),
            forewarned: Mutex::default(),
            looked_ahead: Mutex::default(),
            retention_seen: Mutex::default(),
            crew: Mutex::default(),
            closed: AtomicBool::new(false),
            setup,
            catalogue: Catalogue::default(),
            ledger,
            volumes: Volumes::new(volumes),
            places: Mutex::default(),
            silent: Mutex::default(),
            watchers: RwLock::default(),
            fragments: AtomicU64::new(0),
            fragments_lost: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            guard: Mutex::new(guard),
            world,
            started_at,
            alive,
            doubts: Mutex::default(),
            restart_noted: AtomicBool::new(false),
            ended: Mutex::new(ended),
        }
    }

    /// Streams go on where they were recorded last.
    pub(super) fn settle_places(&self) {
        let mut places = lock(&self.places);
        for (stream, index) in &*self.catalogue.read() {
            if let Some(segment) = index.segments().last() {
                places.insert(*stream, usize::from(segment.key.volume));
            }
        }
    }

    /// A volume's leftovers are looked after. When all are, it is known when the earlier run ended: from its last sign of life to
    /// our start, the node was not running.
    pub(super) fn recovered(&self) {
        if self.is_recovering() || self.restart_noted.swap(true, Ordering::AcqRel) {
            return;
        }
        // Also for earlier starts, where a crash came before it was said.
        let ended = lock(&self.ended).clone();
        let signs = self.ledger.signs();
        self.settle_doubts();
        for start in self.ledger.starts() {
            let alive = self.alive.filter(|alive| start == self.started_at && *alive <= start);
            let alive = alive.max(ended.get(&start).copied());
            self.ledger.restarted(Window::new(alive.unwrap_or(start), start));
        }
        for (start, sign) in signs {
            self.explain_end(sign, start);
        }
    }

    /// A record that does not read back although the node went on for long after it was written had been durable, or else was written
    /// elsewhere: where nothing else says what became of it, it is damaged.
    pub(super) fn settle_doubts(&self) {
        let doubts = std::mem::take(&mut *lock(&self.doubts));
        let long_ago =
            |doubt: &Doubt| doubt.damaged || self.ledger.last_sign().is_some_and(|sign| doubt.window.to + DURABLE <= sign);
        for doubt in doubts.into_iter().filter(long_ago) {
            let known = |state: &IntervalState| match state {
                IntervalState::Recorded | IntervalState::Partial { .. } => true,
                IntervalState::Gap { cause, .. } => {
                    use GapCause::{Damaged, Disk, Erased, Expired, OurQueue, Restart};
                    matches!(cause, Disk | OurQueue | Restart | Expired | Erased | Damaged)
                }
            };
            let tiles = self.tiles(doubt.stream, doubt.window);
            if !doubt.damaged && tiles.iter().all(|tile| known(&tile.state)) {
                continue;
            }
            if let Some(volume) = self.volumes.all().iter().find(|volume| volume.name == doubt.volume) {
                lock(&volume.stats).damaged += 1;
            }
            tracing::error!(volume = doubt.volume, segment = doubt.segment, stream = %doubt.stream, "stored footage is damaged");
            let span = [doubt.window.from, doubt.window.to];
            let body = json!({ "volume": doubt.volume, "segment": doubt.segment, "stream": doubt.stream, "window_us": span });
            self.ledger.note("footage.damaged", body);
            if !doubt.damaged {
                self.ledger.lose(doubt.stream, doubt.window, GapCause::Damaged, 0);
                continue;
            }
            for hole in tiles {
                if matches!(hole.state, IntervalState::Gap { cause: GapCause::Unexplained, .. }) {
                    self.ledger.lose(doubt.stream, hole.window, GapCause::Damaged, 0);
                }
            }
        }
    }

    /// The tiling of a stream's time, as far as this node's disks and ledger tell.
    fn tiles(&self, stream: StreamId, window: Window) -> Vec<Interval> {
        let recorded = self.catalogue.read().get(&stream).map(|index| index.recorded_around(window).to_vec()).unwrap_or_default();
        let now = self.world.now().max(window.to);
        let tile =
            |story: &_, restarts: &_| ledger::tile(&Facts { window, recorded: &recorded, story, restarts, now, waiting: None });
        self.ledger.with(stream, tile)
    }

    /// Where the oldest begins that was received of a stream and waits to be written.
    pub(super) fn waiting(&self, stream: StreamId) -> Option<UtcMicros> {
        let volumes = self.volumes.all();
        volumes.iter().filter_map(|volume| lock(&volume.queue).oldest_of(stream)).min()
    }

    /// A run ended soon after its last sign of life. Where its clock had been set back, that was at a time of which there is older footage,
    /// and holes in that footage which nothing else explains are the end of this run: its last seconds, that were not durable.
    fn explain_end(&self, sign: UtcMicros, start: UtcMicros) {
        let end = (sign + SIGNS).max(start).min(sign + 2 * SIGNS);
        let last = |index: &StreamIndex| index.recorded_around(Window::new(end, UtcMicros::MAX)).last().map(|span| span.to);
        let mut streams: Vec<_> = self.catalogue.read().iter().map(|(stream, index)| (*stream, last(index))).collect();
        streams.sort_unstable();
        for (stream, last) in streams {
            // A hole that begins there goes on to the older footage behind it, however far that is.
            let window = Window::new(sign - DURABLE, end.max(last.unwrap_or(end)));
            for hole in self.tiles(stream, window).into_iter().take_while(|hole| hole.window.from < end) {
                match hole.state {
                    IntervalState::Gap { cause: GapCause::Unexplained, .. } => {
                        self.ledger.lose(stream, hole.window, GapCause::Restart, 0);
                    }
                    // Only a stop that begins after this run's end explains it: footage that a clock set back puts between would part them.
                    IntervalState::Gap { cause: GapCause::Restart, .. }
                        if !self.stopped_within(stream, hole.window.from, end) =>
                    {
                        self.ledger.mark(stream, hole.window.from, GapCause::Restart, "", None);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Whether a restart or a mark of a stream lies between two instants.
    fn stopped_within(&self, stream: StreamId, from: UtcMicros, to: UtcMicros) -> bool {
        self.ledger.with(stream, |story, restarts| {
            let marked = story.marks.iter().any(|mark| from <= mark.at && mark.at <= to);
            marked || restarts.iter().any(|restart| restart.from <= to && from <= restart.to)
        })
    }

    /// Whether what earlier runs left open is still being looked into.
    pub(super) fn is_recovering(&self) -> bool {
        self.volumes.all().iter().any(|volume| volume.recovering.load(Ordering::Acquire))
    }

    /// The process did not run for so long, up to now: what it missed meanwhile has that cause, and no disk is to blame.
    pub(super) fn stood_still(&self, long: Duration) {
        let now = self.world.now();
        tracing::error!(seconds = long.as_secs(), "the process or its machine was stopped, and nothing was recorded meanwhile");
        for volume in self.volumes.all().iter() {
            let mut queue = lock(&volume.queue);
            queue.writing_since = queue.writing_since.map(|since| since + long);
        }
        self.ledger.restarted(Window::new(now - long, now));
    }

    /// Takes in a segment of an earlier run.
    pub(super) fn inherit(&self, stream: StreamId, meta: SegmentMeta) {
        self.note_ended(&meta);
        self.catalogue.insert(stream, meta);
    }

    /// The same of all that a volume's checkpoint tells of a stream.
    pub(super) fn inherit_all(&self, stream: StreamId, volume: u16, metas: Vec<SegmentMeta>) {
        metas.iter().for_each(|meta| self.note_ended(meta));
        self.catalogue.insert_all(stream, volume, metas);
    }

    fn note_ended(&self, meta: &SegmentMeta) {
        let mut ended = lock(&self.ended);
        for start in self.ledger.starts() {
            if let Some(end) = meta.spans().iter().map(|span| span.to).filter(|end| *end <= start).max() {
                let last = ended.entry(start).or_insert(end);
                *last = end.max(*last);
            }
        }
    }

    /// The instant that retention may count to; `None` while the clock is not believed.
    pub(super) fn retention_now(&self) -> Option<UtcMicros> {
        let (now, monotonic) = (self.world.now(), self.world.monotonic());
        let mut guard = lock(&self.guard);
        let was = guard.frozen();
        let reading = guard.reading(now, monotonic);
        if let (None, Some(since)) = (was, guard.frozen()) {
            tracing::error!(%since, "the clock jumped, retention stands still until it is back or confirmed");
            self.ledger.note("footage.clock", json!({ "frozen_us": since }));
        }
        if planted(Bug::TrustClock) { Some(now) } else { reading }
    }

    pub(super) fn retention_frozen(&self) -> Option<UtcMicros> {
        lock(&self.guard).frozen()
    }

    pub(super) fn confirm_clock(&self) {
        lock(&self.guard).confirm(self.world.now(), self.world.monotonic());
        self.ledger.confirmed(self.world.now());
        self.ledger.note("footage.clock", json!({ "frozen_us": null }));
    }

    /// Another disk is where the volume `before` was: what that one held is not to come back. Where nothing else has it, it is lost by
    /// the disk, and the ledger says so from now on.
    pub(super) fn replaced(&self, volume: &Volume, before: VolumeId) {
        for (stream, windows) in self.away.give_up(volume.index, before) {
            for window in windows {
                let mut lost = vec![window];
                if let Some(index) = self.catalogue.read().get(&stream) {
                    index.recorded_around(window).iter().for_each(|there| spans::cut(&mut lost, *there));
                }
                lost.into_iter().for_each(|lost| self.ledger.lose(stream, lost, GapCause::Disk, 0));
            }
        }
        tracing::warn!(volume = %volume.name, "another disk is in its place: what the one before held is gone");
    }

    /// Saves the ledger, so that the next start need not read the whole journal. Before the restart is noted the state is not
    /// complete. Says whether it is saved.
    pub(super) fn save_ledger(&self) -> bool {
        if !self.restart_noted.load(Ordering::Acquire) {
            return false;
        }
        let (now, believed) = (self.world.now(), self.retention_now().is_some());
        // Marks and losses are kept as long as any footage could be, and a month for looking back. A clock that is not believed makes
        // nothing old.
        let kept = self.setup.terms.standard.max(self.setup.terms.key_target) + Duration::from_secs(30 * 86_400);
        let horizon = if believed { now - kept } else { UtcMicros::MIN };
        let saved = self.ledger.checkpoint(now, believed, horizon);
        if let Err(error) = &saved {
            tracing::warn!(%error, "ledger checkpoint not written");
        }
        saved.is_ok()
    }

    /// Counts a draft that will not be stored, and says why.
    pub(super) fn lose(&self, draft: &Draft, cause: GapCause, why: &str) {
        self.fragments_lost.fetch_add(1, Ordering::Relaxed);
        tracing::error!(stream = %draft.stream, units = draft.units.len(), why, "footage lost");
        self.ledger.lose(draft.stream, draft.window(), cause, draft.units.len() as u32);
    }

    /// A volume fares worse, or better: an event, and a line in the log.
    pub(super) fn fare_changed(&self, volume: &Volume) {
        let (state, trouble, error) = {
            let stats = lock(&volume.stats);
            (stats.fare.state(), stats.fare.trouble().map(Trouble::word), stats.fare.last_error().map(str::to_owned))
        };
        match state {
            VolumeState::Ok => tracing::info!(volume = %volume.name, "the disk does well again"),
            state => tracing::error!(volume = %volume.name, state = state.word(), trouble, error, "the disk does not do well"),
        }
        let error = error.filter(|_| state != VolumeState::Ok);
        let body = json!({ "volume": volume.name, "state": state.word(), "trouble": trouble, "error": error });
        self.ledger.note("footage.volume", body);
    }

    /// The volume for a stream: the one it has, or the one with the least to write for its size. Also a bad one, if there is no other:
    /// what it refuses is accounted for.
    pub(super) fn place(&self, places: &mut HashMap<StreamId, usize>, stream: StreamId) -> Option<usize> {
        if let Some(at) = places.get(&stream) {
            return Some(*at);
        }
        let volumes = self.volumes.all();
        let load = Load::of(places, volumes.len());
        let best = self.home(&load, stream, None);
        let any = best.or_else(|| load.least(&volumes, stream, |volume| volume.state() < VolumeState::Failed));
        let at = any.or((!volumes.is_empty()).then_some(0))?;
        places.insert(stream, at);
        Some(at)
    }

    /// The best volume for a stream, other than `except`, of those that are well and have room.
    fn home(&self, load: &Load, stream: StreamId, except: Option<u16>) -> Option<usize> {
        let volumes = self.volumes.all();
        let well = |volume: &Volume| Some(volume.index) != except && volume.is_home() && !volume.full.load(Ordering::Relaxed);
        let bears = |volume: &Volume| lock(&volume.pool).bears(load.with(usize::from(volume.index), stream));
        load.least(&volumes, stream, |volume| well(volume) && bears(volume)).or_else(|| load.least(&volumes, stream, well))
    }

    /// Whether a stream that is about to begin a segment had better do so on another volume than `here`: one that was added, or came
    /// back. It must still be better when the stream has moved, or streams would never settle; so where another `moved` a moment ago and
    /// its new place is not known yet, this one stays, unless nothing can stay.
    pub(super) fn lives_better_elsewhere(&self, stream: StreamId, here: &Volume, moved: bool) -> bool {
        let volumes = self.volumes.all();
        if volumes.len() < 2 {
            return false;
        }
        let places = lock(&self.places);
        let load = Load::of(&places, volumes.len());
        let Some(there) = self.home(&load, stream, Some(here.index)).and_then(|at| volumes.get(at)) else { return false };
        if !here.is_home() || moved {
            return !here.is_home();
        }
        let (here_at, there_at) = (usize::from(here.index), usize::from(there.index));
        let after = |volume: &Volume, bytes: u64| u128::from(bytes) * u128::from(volume.weight());
        let left = load.bytes[here_at].saturating_sub(Load::share(stream));
        after(here, load.bytes[there_at] + Load::share(stream)) <= after(there, left)
    }

    /// Finds a home for drafts that a volume did not write: another takes over the stream, with what waits in the queue; or the same
    /// one tries again in another file, as long as it is trusted; or they are lost and accounted for.
    pub(super) fn rehome(&self, from: &Volume, refused: Vec<Arc<Draft>>, why: &str) {
        if refused.is_empty() || planted(Bug::DropRefused) {
            return;
        }
        let here = usize::from(from.index);
        let mut places = lock(&self.places);
        let volumes = self.volumes.all();
        let mut again = Vec::new();
        for draft in refused {
            let placed = places.get(&draft.stream).copied().filter(|home| *home != here);
            let found = || self.home(&Load::of(&places, volumes.len()), draft.stream, Some(from.index));
            match placed.or_else(found).filter(|home| self.writes(&volumes[*home])) {
                Some(home) => {
                    if places.insert(draft.stream, home) != Some(home) {
                        let to = &volumes[home].name;
                        tracing::warn!(stream = %draft.stream, from = %from.name, %to, "the stream is recorded on another disk");
                    }
                    self.push(&volumes[home], draft);
                }
                None if from.is_home() && !from.full.load(Ordering::Relaxed) => again.push(draft),
                None => self.lose(&draft, GapCause::Disk, why),
            }
        }
        let moved = |stream: StreamId| places.get(&stream).copied().filter(|home| *home != here);
        let behind: Vec<_> = {
            let mut queue = lock(&from.queue);
            let all = queue.take_queued();
            let (behind, stay): (Vec<_>, Vec<_>) = all.into_iter().partition(|draft| moved(draft.stream).is_some());
            again.into_iter().chain(stay).for_each(|draft| queue.push(draft, self.world.monotonic()));
            behind
        };
        for draft in behind {
            if let Some(home) = moved(draft.stream) {
                self.push(&volumes[home], draft);
            }
        }
    }

    /// Finds the better home for drafts of streams that leave a volume. They have waited for a commit already: the next one is due now.
    pub(super) fn move_on(&self, from: &Volume, moved: Vec<Arc<Draft>>) {
        let streams: HashSet<StreamId> = moved.iter().map(|draft| draft.stream).collect();
        self.rehome(from, moved, "the disk that was to have it is gone, and there is no other");
        let places = lock(&self.places);
        let volumes = self.volumes.all();
        for home in streams.iter().filter_map(|stream| volumes.get(*places.get(stream)?)) {
            lock(&home.queue).hurry(self.world.monotonic().saturating_sub(self.setup.commit_every));
            home.work.notify_one();
        }
    }

    /// Every volume's figures, those aside that were taken out of the configuration.
    pub(super) fn volume_health(&self) -> Vec<VolumeHealth> {
        let volumes = self.volumes.all();
        let load = Load::of(&lock(&self.places), volumes.len());
        let there = volumes.iter().filter(|volume| !volume.removed.load(Ordering::Acquire));
        there
            .map(|volume| VolumeHealth { streams: load.streams[usize::from(volume.index)].iter().sum(), ..volume.health() })
            .collect()
    }

    /// Waits for the threads of all volumes to end, except for those that wait for a disk that does not answer.
    pub(super) fn dismiss_crews(&self) {
        loop {
            let ended: Vec<_> = lock(&self.crew).extract_if(.., |(_, thread)| thread.is_finished()).collect();
            for (_, thread) in ended {
                if thread.join().is_err() {
                    tracing::error!("a thread of the footage store panicked");
                }
            }
            let volumes = self.volumes.all();
            let waits = |of: &u16| volumes.get(usize::from(*of)).is_some_and(|volume| volume.answers());
            if !lock(&self.crew).iter().any(|(of, _)| waits(of)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        for (of, _) in std::mem::take(&mut *lock(&self.crew)) {
            let volume = self.volumes.get(usize::from(of)).map(|volume| volume.name.clone());
            tracing::error!(volume, "a thread still waits for its disk and is left behind");
        }
    }

    /// Moves every stream of a volume elsewhere, with all that is not durable yet. Says how many; `None` if there is no elsewhere.
    pub(super) fn evacuate(&self, from: &Volume) -> Option<usize> {
        let here = usize::from(from.index);
        let mut places = lock(&self.places);
        let volumes = self.volumes.all();
        let mut streams: Vec<StreamId> = places.iter().filter(|(_, at)| **at == here).map(|(stream, _)| *stream).collect();
        self.home(&Load::of(&places, volumes.len()), *streams.first()?, Some(from.index))?;
        places.retain(|_, at| *at != here);
        streams.sort_unstable();
        for stream in &streams {
            self.place(&mut places, *stream);
        }
        for draft in lock(&from.queue).clear() {
            if let Some(to) = self.place(&mut places, draft.stream).and_then(|home| volumes.get(home)) {
                self.push(to, draft);
            }
        }
        let streams = streams.len();
        tracing::warn!(from = %from.name, streams, "its streams are recorded on other disks");
        Some(streams)
    }

    /// Puts a volume in its place, with what waited there for a disk: nothing that was taken is left behind.
    pub(super) fn install(&self, volume: &Arc<Volume>) {
        // Held: whoever queues a draft does so under it.
        let _places = lock(&self.places);
        let before = self.volumes.get(usize::from(volume.index));
        self.volumes.put(volume);
        if let Some(before) = before {
            for draft in lock(&before.queue).clear() {
                self.push(volume, draft);
            }
        }
    }

    /// Puts a volume that is back, or another in its place, where it was.
    pub(super) fn take_back(&self, volume: &Arc<Volume>) {
        let another = self.volumes.get(usize::from(volume.index)).map(|before| before.id).filter(|before| *before != volume.id);
        self.install(volume);
        match another {
            Some(before) => self.replaced(volume, before),
            None => self.away.forget(volume.index),
        }
    }

    /// Whether what is queued for a volume is still written: at the end of the node its writer may be gone.
    fn writes(&self, volume: &Volume) -> bool {
        !(self.closing.load(Ordering::Acquire) && lock(&volume.queue).ended)
    }

    /// Queues a draft whatever the queue's bound: it was counted already where it comes from.
    fn push(&self, volume: &Volume, draft: Arc<Draft>) {
        lock(&volume.queue).push(draft, self.world.monotonic());
        volume.work.notify_one();
    }

    /// Loses what still waits when all that can end has ended: for a disk that does not answer, is not there, or ended a moment too
    /// early to take another's refusals. What was received and is not there has a cause of its own (I3).
    pub(super) fn lose_rest(&self) {
        for volume in self.volumes.all().iter() {
            for draft in lock(&volume.queue).clear() {
                self.lose(&draft, GapCause::Disk, "its disk did not take it before the node stopped");
            }
        }
    }
}

/// A record that does not read back.
pub(super) struct Doubt {
    pub(super) stream: StreamId,
    pub(super) window: Window,
    pub(super) volume: String,
    pub(super) segment: u32,
    /// Whether it is known to be damaged, and not when: the window is longer than it was.
    pub(super) damaged: bool,
}

/// What each volume has to write, by the places of streams.
struct Load {
    /// In eighths of a main stream.
    bytes: Vec<u64>,
    /// Streams of each size.
    streams: Vec<[usize; 2]>,
}

impl Load {
    fn of(places: &HashMap<StreamId, usize>, volumes: usize) -> Self {
        let mut load = Self { bytes: vec![0; volumes], streams: vec![[0; 2]; volumes] };
        for (stream, at) in places {
            load.bytes[*at] += Self::share(*stream);
            load.streams[*at][Size::of(stream.kind) as usize] += 1;
        }
        load
    }

    fn share(stream: StreamId) -> u64 {
        if stream.kind == StreamKind::Main { 8 } else { 1 }
    }

    /// A volume's streams with one more.
    fn with(&self, at: usize, stream: StreamId) -> [usize; 2] {
        let mut streams = self.streams[at];
        streams[Size::of(stream.kind) as usize] += 1;
        streams
    }

    /// Of the volumes that fit, the one with the least to write for its size.
    fn least(&self, volumes: &[Arc<Volume>], stream: StreamId, fit: impl Fn(&Volume) -> bool) -> Option<usize> {
        let fit = (0..volumes.len()).filter(|at| fit(&volumes[*at]));
        // Share of the load over share of the capacity, without division.
        fit.min_by(|a, b| {
            let bytes = |of: usize| u128::from(self.bytes[of] + Self::share(stream));
            (bytes(*a) * u128::from(volumes[*b].weight())).cmp(&(bytes(*b) * u128::from(volumes[*a].weight())))
        })
    }
}
