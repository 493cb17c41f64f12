//! What waits for one viewer: bounded, and emptied rather than grown when the viewer is too slow.

use super::{LiveItem, LiveTier, channel::ChannelState, lock};
use index::model::{AccessUnit, TrackKind, Tracks};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::sync::Notify;

/// The most units that wait for one viewer: 8 s at 25 pictures a second. The cached GOP comes on top.
pub(super) const QUEUE_UNITS: usize = 200;
/// The most bytes that wait for one viewer; the cached GOP comes on top.
const QUEUE_BYTES: usize = 8 << 20;

/// What waits for one viewer.
#[derive(Debug)]
pub(super) struct Queue {
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

impl Queue {
    /// The queue of a viewer who comes now: what the channel keeps waits in it already.
    pub(super) fn begin(tier: LiveTier, channel: &ChannelState) -> Queue {
        let mut state = QueueState::default();
        state.begin(channel, tier);
        Queue { tier, state: Mutex::new(state), filled: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        lock(&self.state)
    }

    /// The next item, if one waits.
    pub(super) fn pop(&self) -> Option<LiveItem> {
        self.state().pop()
    }

    /// Until something may wait.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Tells the viewer that something waits.
    pub(super) fn wake(&self) {
        self.filled.notify_one();
    }

    /// Nothing follows what waits.
    pub(super) fn end(&self) {
        self.state().ended = true;
    }

    /// New parameters: units wait again from the next key unit on.
    pub(super) fn change(&self, tracks: &Arc<Tracks>) {
        let mut state = self.state();
        state.items.push_back(LiveItem::Tracks(Arc::clone(tracks)));
        state.waits_for_key = true;
    }

    /// The stream broke.
    pub(super) fn gap(&self) {
        let mut state = self.state();
        if !state.waits_for_key {
            state.items.push_back(LiveItem::Gap);
            state.waits_for_key = true;
        }
    }

    /// Returns whether the viewer turned out to be too slow.
    pub(super) fn push(&self, unit: &Arc<AccessUnit>) -> bool {
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
