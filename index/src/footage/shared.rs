//! What all threads of a store share, and the few acts that concern more than one volume.

use super::{
    aftermath::Doubt,
    away::Away,
    catalogue::Catalogue,
    forecast::Forewarning,
    keeping::Retention,
    ledger::Ledger,
    planted::{Bug, planted},
    retention::ClockGuard,
    roster::Roster,
    shelf::{Directories, Shelf},
    spans,
    types::{Announced, Draft, Setup, Trouble, VolumeState},
    volume::{Volume, lock},
    volumes::Volumes,
    warden::Crew,
    world::World,
};
use crate::model::{GapCause, StreamId, UtcMicros, VolumeId, Window};
use serde_json::json;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// Called after each sync with what it made durable.
pub(super) type Watcher = Box<dyn Fn(&Announced) + Send + Sync>;

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
    pub(super) started_at: UtcMicros,
    /// The last sign of life of an earlier run that the ledger knows of.
    pub(super) alive: Option<UtcMicros>,
    /// What recovery found that does not read back.
    pub(super) doubts: Mutex<Vec<Doubt>>,
    pub(super) restart_noted: AtomicBool,
    /// For each start that has no cause yet: the last instant before it of which earlier runs left a recording or a mark. What this run
    /// leaves does not count, as its clock may have been set back.
    pub(super) ended: Mutex<HashMap<UtcMicros, UtcMicros>>,
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

    /// Where the oldest begins that was received of a stream and waits to be written.
    pub(super) fn waiting(&self, stream: StreamId) -> Option<UtcMicros> {
        let volumes = self.volumes.all();
        volumes.iter().filter_map(|volume| lock(&volume.queue).oldest_of(stream)).min()
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
