//! What all threads of a store share, and the few acts that concern more than one volume.

use super::{
    catalogue::{Catalogue, SegmentMeta},
    ledger::Ledger,
    planted::{Bug, planted},
    retention::ClockGuard,
    types::{Announced, Draft, Setup, VolumeState},
    volume::{Volume, lock},
    world::World,
    writer::takes_new,
};
use crate::model::{GapCause, StreamId, StreamKind, UtcMicros, Window};
use serde_json::json;
use std::{
    collections::HashMap,
    io,
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
    pub(super) volumes: Vec<Arc<Volume>>,
    /// Which volume each stream is written to. Held while a draft is queued, so that a stream that moves keeps its order.
    pub(super) places: Mutex<HashMap<StreamId, usize>>,
    pub(super) watchers: RwLock<Vec<Watcher>>,
    pub(super) fragments: AtomicU64,
    pub(super) fragments_lost: AtomicU64,
    pub(super) closing: AtomicBool,
    guard: Mutex<ClockGuard>,
    pub(super) world: Arc<dyn World>,
    started_at: UtcMicros,
    /// The last sign of life of an earlier run that the ledger knows of.
    alive: Option<UtcMicros>,
    restart_noted: AtomicBool,
}

impl Shared {
    pub(super) fn new(setup: Setup, volumes: Vec<Arc<Volume>>, ledger: Ledger, world: Arc<dyn World>) -> Self {
        let (started, started_at) = (world.monotonic(), world.now());
        let alive = ledger.last_alive();
        Self {
            setup,
            catalogue: Catalogue::default(),
            ledger,
            volumes,
            places: Mutex::default(),
            watchers: RwLock::default(),
            fragments: AtomicU64::new(0),
            fragments_lost: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            guard: Mutex::new(ClockGuard::new(alive, started_at, started)),
            world,
            started_at,
            alive,
            restart_noted: AtomicBool::new(false),
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
        let pending = self.volumes.iter().any(|volume| volume.recovering.load(Ordering::Acquire));
        if pending || self.restart_noted.swap(true, Ordering::AcqRel) {
            return;
        }
        let earlier = |segments: &[SegmentMeta]| {
            let mut before = segments.iter().rev().filter(|segment| segment.window.from < self.started_at);
            before.next().map(|segment| segment.window.to)
        };
        let recorded = self.catalogue.read().values().filter_map(|index| earlier(index.segments())).max();
        if let Some(alive) = self.alive.max(recorded) {
            self.ledger.restarted(Window::new(alive, self.started_at));
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
        self.ledger.note("footage.clock", json!({ "frozen_us": null }));
    }

    /// Saves the ledger, so that the next start need not read the whole journal. Before the restart is noted the state is not
    /// complete.
    pub(super) fn save_ledger(&self) {
        if !self.restart_noted.load(Ordering::Acquire) {
            return;
        }
        let now = self.world.now();
        // Marks and losses are kept as long as any footage could be, and a month for looking back.
        let horizon = now - self.setup.terms.standard.max(self.setup.terms.key_target) - Duration::from_secs(30 * 86_400);
        if let Err(error) = self.ledger.checkpoint(now, horizon) {
            tracing::warn!(%error, "ledger checkpoint not written");
        }
    }

    /// Counts a draft that will not be stored, and says why.
    pub(super) fn lose(&self, draft: &Draft, cause: GapCause, why: &str) {
        self.fragments_lost.fetch_add(1, Ordering::Relaxed);
        tracing::error!(stream = %draft.stream, units = draft.units.len(), why, "footage lost");
        self.ledger.lose(draft.stream, draft.window(), cause, draft.units.len() as u32);
    }

    /// A volume fell to a worse state.
    pub(super) fn volume_fell(&self, volume: &Volume, state: VolumeState, error: &io::Error) {
        tracing::error!(volume = %volume.name, state = state.word(), %error, "the disk refuses to write");
        let body = json!({ "volume": volume.name, "state": state.word(), "error": error.to_string() });
        self.ledger.note("footage.volume", body);
    }

    /// The volume for a stream: the one it has, or the one with the least to write for its size.
    pub(super) fn place(&self, places: &mut HashMap<StreamId, usize>, stream: StreamId) -> Option<usize> {
        if let Some(at) = places.get(&stream) {
            return Some(*at);
        }
        let best = self.least_loaded(places, |volume| takes_new(volume.state()) && !volume.full.load(Ordering::Relaxed));
        let any = best.or_else(|| self.least_loaded(places, |volume| volume.state() < VolumeState::Failed));
        let at = any.or((!self.volumes.is_empty()).then_some(0))?;
        places.insert(stream, at);
        Some(at)
    }

    fn least_loaded(&self, places: &HashMap<StreamId, usize>, fit: impl Fn(&Volume) -> bool) -> Option<usize> {
        let mut load = vec![0u64; self.volumes.len()];
        for (stream, at) in places {
            load[*at] += if stream.kind == StreamKind::Main { 8 } else { 1 };
        }
        let fit = (0..self.volumes.len()).filter(|at| fit(&self.volumes[*at]));
        // Share of the load over share of the capacity, without division.
        fit.min_by(|a, b| {
            let weight = |of: usize, against: usize| u128::from(load[of] + 8) * u128::from(self.volumes[against].capacity.max(1));
            weight(*a, *b).cmp(&weight(*b, *a))
        })
    }

    /// Finds a home for drafts that a volume refused or has no file for: another takes over the stream, with what waits in the queue,
    /// or they are lost and accounted for.
    pub(super) fn rehome(&self, from: &Volume, refused: Vec<Draft>, why: &str) {
        if refused.is_empty() || planted(Bug::DropRefused) {
            return;
        }
        let here = usize::from(from.index);
        let mut places = lock(&self.places);
        for draft in refused {
            if self.closing.load(Ordering::Acquire) {
                // The other writers may have ended.
                self.lose(&draft, GapCause::Disk, why);
                continue;
            }
            let placed = places.get(&draft.stream).copied().filter(|home| *home != here);
            let has_room = |volume: &Volume| takes_new(volume.state()) && !volume.full.load(Ordering::Relaxed);
            let elsewhere = |volume: &Volume| volume.index != from.index && has_room(volume);
            match placed.or_else(|| self.least_loaded(&places, elsewhere)) {
                Some(home) => {
                    if places.insert(draft.stream, home) != Some(home) {
                        let to = &self.volumes[home].name;
                        tracing::warn!(stream = %draft.stream, from = %from.name, %to, "the stream is recorded on another disk");
                    }
                    push(&self.volumes[home], draft);
                }
                None => self.lose(&draft, GapCause::Disk, why),
            }
        }
        let moved = |stream: StreamId| places.get(&stream).copied().filter(|home| *home != here);
        let behind: Vec<Draft> = {
            let mut queue = lock(&from.queue);
            let (behind, stay): (Vec<_>, Vec<_>) =
                std::mem::take(&mut queue.drafts).into_iter().partition(|draft| moved(draft.stream).is_some());
            queue.drafts = stay;
            queue.bytes -= behind.iter().map(Draft::bytes).sum::<usize>();
            behind
        };
        for draft in behind {
            if let Some(home) = moved(draft.stream) {
                push(&self.volumes[home], draft);
            }
        }
    }
}

/// Queues a draft whatever the queue's bound: it was counted already where it comes from.
fn push(volume: &Volume, draft: Draft) {
    let mut queue = lock(&volume.queue);
    queue.bytes += draft.bytes();
    queue.drafts.push(draft);
    volume.work.notify_one();
}
