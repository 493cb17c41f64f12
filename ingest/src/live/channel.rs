//! One stream's side of the fan-out: its newest GOP and the queues of whoever watches.

use super::{KeyUnit, LiveTier, lock, queue::Queue};
use index::model::{AccessUnit, MediaTicks, StreamId, TrackKind, Tracks, UtcMicros};
use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How much of the units since the last key unit is kept for a new viewer. A longer GOP is not kept: the viewer starts at
/// its key unit and then waits for the next one.
pub(super) const GOP_BYTES_LIMIT: usize = 4 << 20;
/// Of a stream that nobody watches, what comes later than this after the key unit is not kept: together they are most of what
/// a node remembers. A viewer who comes then sees the key unit at once, and movement from the next one on.
const UNWATCHED_GOP: MediaTicks = MediaTicks::new(MediaTicks::PER_SECOND);
/// A stream counts as watched for so long after its last viewer.
const INTEREST: Duration = Duration::from_secs(60);
/// One stream's fan-out. The session publishes here.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: StreamId,
    pub(super) state: Mutex<ChannelState>,
    /// How many watch any stream of the runtime that reads this one: it takes shorter naps while anyone does.
    pub(super) viewers_nearby: Arc<AtomicUsize>,
    gaps: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct ChannelState {
    pub(super) tracks: Option<Arc<Tracks>>,
    /// The newest key unit and what followed it, in order of arrival; only the key unit once the GOP is too long.
    pub(super) gop: Vec<Arc<AccessUnit>>,
    gop_bytes: usize,
    pub(super) gop_whole: bool,
    /// When somebody last watched, or asked for the newest key unit.
    wanted: Option<UtcMicros>,
    viewers: Vec<Weak<Queue>>,
    pub(super) ended: bool,
}

impl Channel {
    /// A stream of which nothing is known yet and that nobody watches.
    pub(super) fn new(stream: StreamId, viewers_nearby: Arc<AtomicUsize>) -> Channel {
        Channel { stream, state: Mutex::default(), viewers_nearby, gaps: AtomicU64::new(0) }
    }

    /// Whose channel this is.
    pub(super) fn stream(&self) -> StreamId {
        self.stream
    }

    /// A new viewer's queue, filled with what is kept for it.
    pub(super) fn admit(&self, tier: LiveTier) -> Arc<Queue> {
        let mut state = lock(&self.state);
        let queue = Arc::new(Queue::begin(tier, &state));
        state.wanted = Some(UtcMicros::now());
        state.viewers.push(Arc::downgrade(&queue));
        self.viewers_nearby.fetch_add(1, Ordering::Relaxed);
        queue
    }

    /// A viewer has gone; its queue is let go of at the next batch.
    pub(super) fn leave(&self) {
        self.viewers_nearby.fetch_sub(1, Ordering::Relaxed);
    }

    /// The newest key unit and what decodes it; `None` before the first.
    pub(super) fn latest_key(&self) -> Option<KeyUnit> {
        let state = lock(&self.state);
        state.tracks.clone().zip(state.gop.first().cloned())
    }

    /// How many watch, and how often one of them was too slow.
    pub(super) fn viewers(&self) -> (usize, u64) {
        let watching = lock(&self.state).viewers.iter().filter(|viewer| viewer.strong_count() > 0).count();
        (watching, self.gaps.load(Ordering::Relaxed))
    }

    /// What decodes the units that follow; a new recording begins for viewers too.
    pub(crate) fn tracks(&self, tracks: &Arc<Tracks>) {
        let mut state = lock(&self.state);
        if state.tracks.as_ref().is_some_and(|known| known == tracks) {
            return;
        }
        state.tracks = Some(Arc::clone(tracks));
        state.forget_gop();
        state.for_each_viewer(|queue| queue.change(tracks));
    }

    /// The stream broke: the next unit does not continue the last one.
    pub(crate) fn broken(&self) {
        let mut state = lock(&self.state);
        state.gop_whole = false;
        state.for_each_viewer(|queue| queue.gap());
    }

    /// Hands a batch to every viewer, in order.
    pub(crate) fn publish(&self, units: &[AccessUnit]) {
        if units.is_empty() {
            return;
        }
        let mut state = lock(&self.state);
        let shared: Vec<Arc<AccessUnit>> = units.iter().map(|unit| Arc::new(unit.clone())).collect();
        for unit in &shared {
            state.remember(unit);
        }
        state.for_each_viewer(|queue| {
            let mut overflow = false;
            for unit in &shared {
                overflow |= queue.push(unit);
            }
            if overflow {
                self.gaps.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    pub(super) fn end(&self) {
        let mut state = lock(&self.state);
        state.ended = true;
        state.forget_gop();
        state.for_each_viewer(Queue::end);
    }
}

impl ChannelState {
    fn remember(&mut self, unit: &Arc<AccessUnit>) {
        if unit.track == TrackKind::Video && unit.key {
            self.forget_gop();
            self.gop_whole = true;
        } else if self.gop.is_empty() || !self.gop_whole {
            return;
        } else if self.gop_bytes + unit.data.len() > GOP_BYTES_LIMIT || self.outlasts_interest(unit) {
            self.gop.truncate(1);
            self.gop_whole = false;
            return;
        }
        self.gop_bytes += unit.data.len();
        self.gop.push(Arc::clone(unit));
    }

    /// Whether the GOP has grown longer than it is kept for nobody.
    fn outlasts_interest(&mut self, unit: &AccessUnit) -> bool {
        if self.gop.first().is_none_or(|key| unit.decode - key.decode <= UNWATCHED_GOP) {
            return false;
        }
        if self.viewers.iter().any(|viewer| viewer.strong_count() > 0) {
            self.wanted = Some(unit.received);
        }
        self.wanted.is_none_or(|at| unit.received.since(at) > INTEREST)
    }

    fn forget_gop(&mut self) {
        self.gop.clear();
        self.gop_bytes = 0;
        self.gop_whole = false;
    }

    fn for_each_viewer(&mut self, mut act: impl FnMut(&Queue)) {
        self.viewers.retain(|viewer| match viewer.upgrade() {
            Some(queue) => {
                act(&queue);
                queue.wake();
                true
            }
            None => false,
        });
    }
}
