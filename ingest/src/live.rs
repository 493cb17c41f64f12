//! Live fan-out: what a camera sends reaches every viewer at once, without waiting for a disk, and no viewer can slow
//! another one or the recording (I10).
//!
//! A session publishes its units in batches, as it reads them. Each stream keeps its newest key unit, so that a new viewer has
//! a picture at once, and what followed it, so that the picture moves at once: for streams that somebody watches, or watched
//! a minute ago, the whole GOP; for the others its first second, which the fragment on its way to the disk holds anyway. A viewer has a bounded queue; when it is full the queue is emptied, the viewer is told
//! of a gap and goes on at the next key unit (I11). With nobody watching, publishing costs one uncontended lock a batch and
//! a reference count a unit: bytes are never copied.

use index::{
    access::Permit,
    model::{AccessUnit, MediaTicks, StreamId, TrackKind, Tracks, UtcMicros},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// How much of the units since the last key unit is kept for a new viewer. A longer GOP is not kept: the viewer starts at
/// its key unit and then waits for the next one.
const GOP_BYTES_LIMIT: usize = 4 << 20;
/// Of a stream that nobody watches, what comes later than this after the key unit is not kept: together they are most of what
/// a node remembers. A viewer who comes then sees the key unit at once, and movement from the next one on.
const UNWATCHED_GOP: MediaTicks = MediaTicks::new(MediaTicks::PER_SECOND);
/// A stream counts as watched for so long after its last viewer.
const INTEREST: Duration = Duration::from_secs(60);
/// The most units that wait for one viewer: 8 s at 25 pictures a second. The cached GOP comes on top.
const QUEUE_UNITS: usize = 200;
/// The most bytes that wait for one viewer; the cached GOP comes on top.
const QUEUE_BYTES: usize = 8 << 20;

/// Which units a viewer gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LiveTier {
    /// Key units only: for walls.
    Key,
    /// Every unit, sound and metadata included.
    Full,
}

/// What a viewer gets next.
#[derive(Clone, Debug)]
pub enum LiveItem {
    /// What decodes the units that follow. Always the first item, and again whenever it changes.
    Tracks(Arc<Tracks>),
    /// One unit. The first video unit after `Tracks` or `Gap` is a key unit.
    Unit(Arc<AccessUnit>),
    /// Units were left out, because the viewer was too slow or the stream broke; a key unit follows.
    Gap,
    /// The stream is no longer configured. Nothing follows.
    Ended,
}

/// Why there is nothing to watch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LiveError {
    /// The permit is for something else.
    #[error("the permit does not cover {0} live")]
    NotPermitted(StreamId),
    /// No such stream is configured here.
    #[error("{0} is not configured on this node")]
    Unknown(StreamId),
}

/// A key access unit and what decodes it.
pub type KeyUnit = (Arc<Tracks>, Arc<AccessUnit>);

/// Every stream's newest units, and whoever watches them.
#[derive(Debug, Default)]
pub struct LiveHub {
    channels: RwLock<HashMap<StreamId, Arc<Channel>>>,
}

/// One viewer of one stream. Dropping it ends the viewing.
#[derive(Debug)]
pub struct LiveSubscription {
    channel: Arc<Channel>,
    queue: Arc<Queue>,
}

/// One stream's fan-out. The session publishes here.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: StreamId,
    state: Mutex<ChannelState>,
    /// How many watch any stream of the runtime that reads this one: it takes shorter naps while anyone does.
    viewers_nearby: Arc<AtomicUsize>,
    gaps: AtomicU64,
}

#[derive(Debug, Default)]
struct ChannelState {
    tracks: Option<Arc<Tracks>>,
    /// The newest key unit and what followed it, in order of arrival; only the key unit once the GOP is too long.
    gop: Vec<Arc<AccessUnit>>,
    gop_bytes: usize,
    gop_whole: bool,
    /// When somebody last watched, or asked for the newest key unit.
    wanted: Option<UtcMicros>,
    viewers: Vec<Weak<Queue>>,
    ended: bool,
}

#[derive(Debug)]
struct Queue {
    tier: LiveTier,
    state: Mutex<QueueState>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct QueueState {
    items: VecDeque<LiveItem>,
    units: usize,
    bytes: usize,
    /// Units are left out until the next key unit.
    waits_for_key: bool,
    ended: bool,
}

/// A poisoned lock here means a panic between two plain assignments: the state is still a state.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LiveHub {
    /// Watches `stream` from its newest key unit on: the queue is filled with the cached GOP at once (tier `Full`) or with
    /// the newest key unit (tier `Key`).
    ///
    /// # Errors
    /// [`LiveError::NotPermitted`] unless `permit` covers the stream now; [`LiveError::Unknown`] if it is not configured.
    pub fn subscribe(&self, permit: &Permit, stream: StreamId, tier: LiveTier) -> Result<LiveSubscription, LiveError> {
        covers_now(permit, stream)?;
        self.open(stream, tier)
    }

    /// The newest key unit of a stream and what decodes it; `None` before the first one.
    ///
    /// # Errors
    /// As [`LiveHub::subscribe`].
    pub fn latest_key(&self, permit: &Permit, stream: StreamId) -> Result<Option<KeyUnit>, LiveError> {
        covers_now(permit, stream)?;
        let channel = self.channel(stream).ok_or(LiveError::Unknown(stream))?;
        let state = lock(&channel.state);
        Ok(state.tracks.clone().zip(state.gop.first().cloned()))
    }

    /// How many viewers `stream` has, and how often one of them was too slow.
    #[must_use]
    pub fn viewers(&self, stream: StreamId) -> (usize, u64) {
        self.channel(stream).map_or((0, 0), |channel| {
            let viewers = lock(&channel.state).viewers.iter().filter(|viewer| viewer.strong_count() > 0).count();
            (viewers, channel.gaps.load(Ordering::Relaxed))
        })
    }

    fn open(&self, stream: StreamId, tier: LiveTier) -> Result<LiveSubscription, LiveError> {
        let channel = self.channel(stream).ok_or(LiveError::Unknown(stream))?;
        let queue = Arc::new(Queue { tier, state: Mutex::default(), filled: Notify::new() });
        {
            let mut state = lock(&channel.state);
            let mut waiting = lock(&queue.state);
            waiting.begin(&state, tier);
            drop(waiting);
            state.wanted = Some(UtcMicros::now());
            state.viewers.push(Arc::downgrade(&queue));
        }
        channel.viewers_nearby.fetch_add(1, Ordering::Relaxed);
        Ok(LiveSubscription { channel, queue })
    }

    /// The channel of a configured stream.
    pub(crate) fn channel(&self, stream: StreamId) -> Option<Arc<Channel>> {
        self.channels.read().unwrap_or_else(PoisonError::into_inner).get(&stream).cloned()
    }

    /// Adds a stream; an earlier channel of the same stream ends.
    pub(crate) fn add(&self, stream: StreamId, viewers_nearby: Arc<AtomicUsize>) -> Arc<Channel> {
        let channel = Arc::new(Channel { stream, state: Mutex::default(), viewers_nearby, gaps: AtomicU64::new(0) });
        let earlier = self.channels.write().unwrap_or_else(PoisonError::into_inner).insert(stream, Arc::clone(&channel));
        if let Some(earlier) = earlier {
            earlier.end();
        }
        channel
    }

    /// Ends a stream for everyone who watches it.
    pub(crate) fn remove(&self, stream: StreamId) {
        let removed = self.channels.write().unwrap_or_else(PoisonError::into_inner).remove(&stream);
        if let Some(channel) = removed {
            channel.end();
        }
    }
}

fn covers_now(permit: &Permit, stream: StreamId) -> Result<(), LiveError> {
    if permit.covers_live(stream) { Ok(()) } else { Err(LiveError::NotPermitted(stream)) }
}

impl Channel {
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

    fn end(&self) {
        let mut state = lock(&self.state);
        state.ended = true;
        state.forget_gop();
        state.for_each_viewer(|queue| queue.state().ended = true);
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
                queue.filled.notify_one();
                true
            }
            None => false,
        });
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, QueueState> {
        lock(&self.state)
    }

    fn change(&self, tracks: &Arc<Tracks>) {
        let mut state = self.state();
        state.items.push_back(LiveItem::Tracks(Arc::clone(tracks)));
        state.waits_for_key = true;
    }

    fn gap(&self) {
        let mut state = self.state();
        if !state.waits_for_key {
            state.items.push_back(LiveItem::Gap);
            state.waits_for_key = true;
        }
    }

    /// Returns whether the viewer turned out to be too slow.
    fn push(&self, unit: &Arc<AccessUnit>) -> bool {
        let mut state = self.state();
        let key = unit.track == TrackKind::Video && unit.key;
        if (self.tier == LiveTier::Key || state.waits_for_key) && !key {
            return false;
        }
        let full = state.units >= QUEUE_UNITS || state.bytes + unit.data.len() > QUEUE_BYTES;
        if full && state.units > 0 {
            state.skip();
            if !key {
                state.waits_for_key = true;
                return true;
            }
        }
        state.add(unit);
        full
    }
}

impl QueueState {
    fn begin(&mut self, channel: &ChannelState, tier: LiveTier) {
        self.ended = channel.ended;
        if let Some(tracks) = &channel.tracks {
            self.items.push_back(LiveItem::Tracks(Arc::clone(tracks)));
        }
        let kept = if tier == LiveTier::Key { &channel.gop[..channel.gop.len().min(1)] } else { &channel.gop[..] };
        for unit in kept {
            self.add(unit);
        }
        // What is cached is a gift; the bound is for what comes after.
        (self.units, self.bytes) = (0, 0);
        self.waits_for_key = kept.is_empty() || (tier == LiveTier::Full && !channel.gop_whole);
    }

    fn add(&mut self, unit: &Arc<AccessUnit>) {
        self.units += 1;
        self.bytes += unit.data.len();
        self.waits_for_key = false;
        self.items.push_back(LiveItem::Unit(Arc::clone(unit)));
    }

    /// Leaves out every waiting unit, but never what decodes the units that follow.
    fn skip(&mut self) {
        let tracks = self.items.drain(..).rfind(|item| matches!(item, LiveItem::Tracks(_)));
        self.items.extend(tracks);
        self.items.push_back(LiveItem::Gap);
        (self.units, self.bytes) = (0, 0);
    }

    fn pop(&mut self) -> Option<LiveItem> {
        let item = self.items.pop_front();
        if let Some(LiveItem::Unit(unit)) = &item {
            self.units = self.units.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(unit.data.len());
        }
        item.or_else(|| self.ended.then_some(LiveItem::Ended))
    }
}

impl LiveSubscription {
    /// Which stream this is.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        self.channel.stream
    }

    /// The next item; waits for one. May be dropped and called again without losing an item.
    pub async fn next(&mut self) -> LiveItem {
        loop {
            if let Some(item) = self.try_next() {
                return item;
            }
            self.queue.filled.notified().await;
        }
    }

    /// The next item if one is waiting.
    pub fn try_next(&mut self) -> Option<LiveItem> {
        self.queue.state().pop()
    }
}

impl Drop for LiveSubscription {
    fn drop(&mut self) {
        self.channel.viewers_nearby.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Script};

    fn hub() -> (LiveHub, Arc<Channel>) {
        let hub = LiveHub::default();
        let channel = hub.add(testing::stream(), Arc::default());
        channel.tracks(&testing::tracks());
        (hub, channel)
    }

    /// What waits for a viewer, in words: `T` tracks, `K` key unit, `p` other unit, `-` gap, `.` the end.
    fn seen(viewer: &mut LiveSubscription) -> String {
        let mut text = String::new();
        while let Some(item) = viewer.try_next() {
            text.push(match item {
                LiveItem::Tracks(_) => 'T',
                LiveItem::Unit(unit) if unit.key => 'K',
                LiveItem::Unit(_) => 'p',
                LiveItem::Gap => '-',
                LiveItem::Ended => {
                    text.push('.');
                    break;
                }
            });
        }
        text
    }

    fn check(tier: LiveTier, before: &str, after: &str, expected: &str) {
        let (hub, channel) = hub();
        let mut script = Script::default();
        channel.publish(&script.units(before));
        let mut viewer = hub.open(testing::stream(), tier).expect("configured");
        channel.publish(&script.units(after));
        assert_eq!(seen(&mut viewer), expected, "{tier:?}: {before} | {after}");
    }

    #[test]
    fn a_new_viewer_starts_with_the_cached_gop() {
        check(LiveTier::Full, "KppKpp", "pp", "TKpppp");
        check(LiveTier::Full, "", "ppKp", "TKp");
        check(LiveTier::Key, "KppKpp", "ppKpp", "TKK");
    }

    #[test]
    fn of_a_stream_that_nobody_watches_the_key_unit_and_a_second_are_kept() {
        let (hub, channel) = hub();
        let second = "p".repeat(25);
        let mut script = Script::default();
        channel.publish(&script.units(&format!("K{second}")));
        assert_eq!(lock(&channel.state).gop.len(), 26);
        channel.publish(&script.units("p"));
        assert_eq!(lock(&channel.state).gop.len(), 1, "only the key unit");
        let mut viewer = hub.open(testing::stream(), LiveTier::Full).expect("configured");
        channel.publish(&script.units(&format!("ppK{second}pppp")));
        assert_eq!(seen(&mut viewer), format!("TKK{second}pppp"), "a picture at once, movement from the next key unit");
        let mut second_viewer = hub.open(testing::stream(), LiveTier::Full).expect("configured");
        assert_eq!(seen(&mut second_viewer), format!("TK{second}pppp"), "watched, a stream keeps its whole GOP");
    }

    #[test]
    fn a_slow_viewer_skips_to_the_next_key_unit_and_is_told() {
        let (hub, channel) = hub();
        let mut script = Script::default();
        let mut slow = hub.open(testing::stream(), LiveTier::Full).expect("configured");
        let mut quick = hub.open(testing::stream(), LiveTier::Full).expect("configured");
        let mut quick_units = 0;
        for _ in 0..QUEUE_UNITS / 10 + 2 {
            channel.publish(&script.units("Kppppppppp"));
            quick_units += seen(&mut quick).matches(['K', 'p']).count();
        }
        assert_eq!(quick_units, QUEUE_UNITS + 20, "a slow viewer costs the others nothing");
        assert!(seen(&mut slow).starts_with("T-K"), "the slow one goes on at a key unit");
        assert_eq!(hub.viewers(testing::stream()).1, 1);
    }

    #[test]
    fn a_break_is_told_once_and_ends_with_a_key_unit() {
        let (hub, channel) = hub();
        let mut script = Script::default();
        channel.publish(&script.units("Kp"));
        let mut viewer = hub.open(testing::stream(), LiveTier::Full).expect("configured");
        channel.broken();
        channel.broken();
        channel.publish(&script.units("ppKp"));
        assert_eq!(seen(&mut viewer), "TKp-Kp");
    }

    #[test]
    fn a_gop_too_long_to_cache_leaves_its_key_unit() {
        let (hub, channel) = hub();
        let mut script = Script { bytes: GOP_BYTES_LIMIT / 4, ..Script::default() };
        channel.publish(&script.units("Kppppp"));
        let mut viewer = hub.open(testing::stream(), LiveTier::Full).expect("configured");
        assert_eq!(seen(&mut viewer), "TK");
        channel.publish(&script.units("pK"));
        assert_eq!(seen(&mut viewer), "K");
    }

    #[test]
    fn a_removed_stream_ends_for_its_viewers() {
        let (hub, _channel) = hub();
        let mut viewer = hub.open(testing::stream(), LiveTier::Full).expect("configured");
        hub.remove(testing::stream());
        assert_eq!(seen(&mut viewer), "T.");
        assert!(matches!(hub.open(testing::stream(), LiveTier::Full), Err(LiveError::Unknown(_))));
    }

    #[tokio::test]
    async fn a_waiting_viewer_is_woken() {
        let (hub, channel) = hub();
        let mut viewer = hub.open(testing::stream(), LiveTier::Full).expect("configured");
        assert!(matches!(viewer.next().await, LiveItem::Tracks(_)));
        let publish = async {
            tokio::task::yield_now().await;
            channel.publish(&Script::default().units("K"));
        };
        let (item, ()) = tokio::join!(viewer.next(), publish);
        assert!(matches!(item, LiveItem::Unit(_)));
        drop(viewer);
        assert_eq!(channel.viewers_nearby.load(Ordering::Relaxed), 0);
    }
}
