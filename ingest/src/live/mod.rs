//! Live fan-out: what a camera sends reaches every viewer at once, without waiting for a disk, and no viewer can slow
//! another one or the recording (I10).
//!
//! A session publishes its units in batches, as it reads them. Each stream keeps its newest key unit, so that a new viewer has
//! a picture at once, and what followed it, so that the picture moves at once: for streams that somebody watches, or watched
//! a minute ago, the whole GOP; for the others its first second, which the fragment on its way to the disk holds anyway. A
//! viewer has a bounded queue; when it is full the queue is emptied, the viewer is told of a gap and goes on at the next key
//! unit (I11). With nobody watching, publishing costs one uncontended lock a batch and a reference count a unit: bytes are
//! never copied.

mod channel;
mod queue;
#[cfg(test)]
mod tests;

pub(crate) use self::channel::Channel;
use self::queue::Queue;
use index::{
    access::Permit,
    model::{AccessUnit, StreamId, Tracks},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, atomic::AtomicUsize},
};

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

/// What publishes a stream that another node records: a centre's live pictures come over its line and not from a camera. While it is
/// there the stream can be watched; dropping it ends the stream for everyone.
#[derive(Debug)]
pub struct LiveSource {
    hub: Arc<LiveHub>,
    channel: Arc<Channel>,
}

impl LiveSource {
    /// What decodes the units that follow, told when it changes.
    pub fn tracks(&self, tracks: &Arc<Tracks>) {
        self.channel.tracks(tracks);
    }

    /// The next units, in order.
    pub fn publish(&self, units: &[AccessUnit]) {
        self.channel.publish(units);
    }

    /// The next unit does not continue the last one.
    pub fn broken(&self) {
        self.channel.broken();
    }

    /// The stream as the node above gets it. Whoever watches there has a permit of that node's and of the one that records.
    #[must_use]
    pub fn hand_on(&self, tier: LiveTier) -> LiveSubscription {
        LiveSubscription { queue: self.channel.admit(tier), channel: Arc::clone(&self.channel) }
    }
}

impl Drop for LiveSource {
    fn drop(&mut self) {
        self.hub.end(&self.channel);
    }
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
        Ok(channel.latest_key())
    }

    /// How many viewers `stream` has, and how often one of them was too slow.
    #[must_use]
    pub fn viewers(&self, stream: StreamId) -> (usize, u64) {
        self.channel(stream).map_or((0, 0), |channel| channel.viewers())
    }

    fn open(&self, stream: StreamId, tier: LiveTier) -> Result<LiveSubscription, LiveError> {
        let channel = self.channel(stream).ok_or(LiveError::Unknown(stream))?;
        let queue = channel.admit(tier);
        Ok(LiveSubscription { channel, queue })
    }

    /// The channel of a configured stream.
    pub(crate) fn channel(&self, stream: StreamId) -> Option<Arc<Channel>> {
        self.channels.read().unwrap_or_else(PoisonError::into_inner).get(&stream).cloned()
    }

    /// Adds a stream; an earlier channel of the same stream ends.
    pub(crate) fn add(&self, stream: StreamId, viewers_nearby: Arc<AtomicUsize>) -> Arc<Channel> {
        let channel = Arc::new(Channel::new(stream, viewers_nearby));
        let earlier = self.channels.write().unwrap_or_else(PoisonError::into_inner).insert(stream, Arc::clone(&channel));
        if let Some(earlier) = earlier {
            earlier.end();
        }
        channel
    }

    /// A stream that another node records, published by whoever fetches it; an earlier one of the same stream ends.
    #[must_use]
    pub fn source(self: &Arc<Self>, stream: StreamId) -> LiveSource {
        LiveSource { hub: Arc::clone(self), channel: self.add(stream, Arc::default()) }
    }

    /// Ends a channel, and its stream if it is still its own.
    fn end(&self, channel: &Arc<Channel>) {
        let mut channels = self.channels.write().unwrap_or_else(PoisonError::into_inner);
        if channels.get(&channel.stream()).is_some_and(|known| Arc::ptr_eq(known, channel)) {
            channels.remove(&channel.stream());
        }
        drop(channels);
        channel.end();
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

impl LiveSubscription {
    /// Which stream this is.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        self.channel.stream()
    }

    /// The next item; waits for one. May be dropped and called again without losing an item.
    pub async fn next(&mut self) -> LiveItem {
        loop {
            if let Some(item) = self.try_next() {
                return item;
            }
            self.queue.filled().await;
        }
    }

    /// The next item if one is waiting.
    pub fn try_next(&mut self) -> Option<LiveItem> {
        self.queue.pop()
    }
}

impl Drop for LiveSubscription {
    fn drop(&mut self) {
        self.channel.leave();
    }
}
