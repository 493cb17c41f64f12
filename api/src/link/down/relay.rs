//! A centre's live streams: each is fetched once over the line, however many watch it here or above.
//!
//! While somebody watches, a task asks for the stream part by part and publishes its units in the node's own hub ([`ingest::LiveHub`]),
//! whose new viewers begin at the newest key unit. Everybody who watches has a watch in the room ([`Say::Watch`]), kept while they do. The
//! node above is fed from the same hub, so a stream crosses each line once.

use super::{Asker, Down, No, Reply, Say, Unreached, budget::Budget, live::Feeds, units::Reader};
use bytes::Bytes;
use index::model::{MediaTicks, NodeId, StreamId, UtcMicros};
use ingest::{LiveHub, LiveItem, LiveSource, LiveTier};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// How long the room may take to write the access record of a watch.
const BEGINNING: Duration = Duration::from_secs(6);
/// How long a part may keep us waiting: the room answers as soon as it has one.
const PART: Duration = Duration::from_secs(4);
/// A stream of which nothing came for so long is said to be lost.
const LOST: Duration = Duration::from_secs(3);
/// The wait after a question without an answer.
const PAUSE: Duration = Duration::from_millis(150);
/// How often the room is told that its watches go on; it forgets them after 30 s.
const KEEP_EVERY: Duration = Duration::from_secs(8);
/// A stream is fetched on for so long after the last viewer: whoever changes the layout comes back at once.
const LINGER: Duration = Duration::from_secs(2);

/// How a stream comes, as its viewers are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineState {
    /// It comes.
    Coming,
    /// The room does not answer, since an instant of this node's clock.
    Lost(UtcMicros),
    /// The line has no room for it now.
    Waiting,
}

/// See the module.
pub struct Relays {
    down: Arc<Down>,
    hub: Arc<LiveHub>,
    streams: Mutex<HashMap<StreamId, Arc<Relay>>>,
    /// Watches of people here, by handle.
    watches: Mutex<HashMap<u64, Kept>>,
    /// Watches of nodes above, which passed here: what they keep coming, and when they were kept last.
    passed: Mutex<HashMap<u64, (Interest, Instant)>>,
    feeds: Feeds,
}

struct Kept {
    room: NodeId,
    asker: Asker,
    stream: StreamId,
    bytes: Arc<AtomicU64>,
}

/// A stream that is fetched.
struct Relay {
    room: NodeId,
    stream: StreamId,
    source: LiveSource,
    state: watch::Sender<LineState>,
    /// How many want it whole, and how many at all.
    whole: AtomicUsize,
    all: AtomicUsize,
    left: Mutex<Instant>,
}

/// Keeps a stream coming.
struct Interest {
    relay: Arc<Relay>,
    whole: bool,
}

/// Somebody who watches: dropping it ends the watch here and in the room.
pub struct Watching {
    of: Weak<Relays>,
    handle: u64,
    bytes: Arc<AtomicU64>,
    interest: Interest,
}

/// Why somebody may not watch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotWatching {
    /// The room cannot be asked.
    Unreached(Unreached),
    /// It says no: a stable word, and the same in Chinese and English.
    Refused(String, String, String),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relays {
    /// Nothing is fetched yet. `budget` is that of the line to the node above.
    #[must_use]
    pub fn new(down: Arc<Down>, hub: Arc<LiveHub>, budget: Arc<Budget>) -> Arc<Self> {
        let relays = Arc::new(Self {
            down,
            hub,
            streams: Mutex::default(),
            watches: Mutex::default(),
            passed: Mutex::default(),
            feeds: Feeds::new(budget),
        });
        tokio::spawn(keep(Arc::downgrade(&relays)));
        relays
    }

    /// Somebody here begins to watch. Their access record in the room is durable when this returns; their own node's is before it.
    ///
    /// # Errors
    /// Why not.
    pub async fn watch(
        self: &Arc<Self>,
        room: NodeId,
        asker: Asker,
        stream: StreamId,
        tier: LiveTier,
    ) -> Result<Watching, NotWatching> {
        let handle = rand::random();
        let say = Say::Watch { handle, asker: Box::new(asker.clone()), stream };
        match self.down.ask(room, say, BEGINNING).await {
            Ok((Reply::Watching, _)) => {}
            Ok((Reply::Refused { code, zh, en }, _)) => return Err(NotWatching::Refused(code, zh, en)),
            Ok(_) => return Err(NotWatching::Unreached(Unreached { by: room, why: No::NotAnswered })),
            Err(why) => return Err(NotWatching::Unreached(why)),
        }
        let bytes = Arc::new(AtomicU64::new(0));
        lock(&self.watches).insert(handle, Kept { room, asker, stream, bytes: Arc::clone(&bytes) });
        let interest = self.interest(room, stream, tier);
        Ok(Watching { of: Arc::downgrade(self), handle, bytes, interest })
    }

    /// Hands a question of the node above on to the node that it is for, and answers for streams that are fetched here anyway.
    pub async fn hand_on(self: &Arc<Self>, to: NodeId, say: Say, within: Duration) -> (Reply, Bytes) {
        match say {
            Say::Live { handle, stream, key, from } => self.feed(handle, stream, key, from, within).await,
            Say::Watch { handle, stream, .. } => {
                let answer = self.down.pass(to, say, within).await;
                if answer.0 == Reply::Watching {
                    // Whether it is wanted whole is said by what is fetched.
                    let interest = self.interest(to, stream, LiveTier::Key);
                    lock(&self.passed).insert(handle, (interest, Instant::now()));
                }
                answer
            }
            Say::Keep { ref watching } => {
                let handles: Vec<u64> = watching.iter().map(|(handle, _)| *handle).collect();
                let answer = self.down.pass(to, say, within).await;
                if let Reply::Kept { gone } = &answer.0 {
                    let mut passed = lock(&self.passed);
                    for handle in handles {
                        if let (false, Some((_, kept))) = (gone.contains(&handle), passed.get_mut(&handle)) {
                            *kept = Instant::now();
                        }
                    }
                    gone.iter().for_each(|handle| drop(passed.remove(handle)));
                }
                answer
            }
            Say::Leave { handle, .. } => {
                lock(&self.passed).remove(&handle);
                self.down.pass(to, say, within).await
            }
            Say::Close { handle } => {
                self.feeds.close(handle);
                self.down.pass(to, say, within).await
            }
            say => self.down.pass(to, say, within).await,
        }
    }

    async fn feed(self: &Arc<Self>, handle: u64, stream: StreamId, key: bool, from: u64, within: Duration) -> (Reply, Bytes) {
        let until = tokio::time::Instant::now() + within;
        let no = |why| (Reply::No { by: self.down.own(), why }, Bytes::new());
        let relay = {
            let mut passed = lock(&self.passed);
            let mut watched = passed.values_mut().filter(|(interest, _)| interest.relay.stream == stream);
            let Some((interest, _)) = watched.next() else {
                self.feeds.close(handle);
                return no(No::Gone);
            };
            interest.set_whole(!key);
            Arc::clone(&interest.relay)
        };
        if let LineState::Lost(_) = *relay.state.borrow() {
            // Said by whoever cannot reach it: what is known here is old.
            return no(No::NoContact);
        }
        let tier = if key { LiveTier::Key } else { LiveTier::Full };
        let part = self.feeds.part((handle, from), (stream, tier), until, || Some(relay.source.hand_on(tier))).await;
        part.unwrap_or_else(no)
    }

    /// Has a stream come, from now on and as long as this is kept.
    fn interest(self: &Arc<Self>, room: NodeId, stream: StreamId, tier: LiveTier) -> Interest {
        let mut streams = lock(&self.streams);
        let relay = match streams.get(&stream).filter(|relay| relay.room == room) {
            Some(relay) => Arc::clone(relay),
            None => {
                let relay = Arc::new(Relay {
                    room,
                    stream,
                    source: self.hub.source(stream),
                    state: watch::Sender::new(LineState::Coming),
                    whole: AtomicUsize::new(0),
                    all: AtomicUsize::new(0),
                    left: Mutex::new(Instant::now()),
                });
                streams.insert(stream, Arc::clone(&relay));
                tokio::spawn(fetch(Arc::downgrade(self), Arc::clone(&self.down), Arc::clone(&relay)));
                relay
            }
        };
        let whole = tier == LiveTier::Full;
        relay.all.fetch_add(1, Ordering::AcqRel);
        relay.whole.fetch_add(usize::from(whole), Ordering::AcqRel);
        Interest { relay, whole }
    }

    /// Gives a stream up if nobody wants it, under the lock that a new interest takes.
    fn given_up(&self, relay: &Arc<Relay>) -> bool {
        let mut streams = lock(&self.streams);
        if relay.all.load(Ordering::Acquire) > 0 || lock(&relay.left).elapsed() < LINGER {
            return false;
        }
        if streams.get(&relay.stream).is_some_and(|known| Arc::ptr_eq(known, relay)) {
            streams.remove(&relay.stream);
        }
        true
    }

    /// Tells rooms which watches go on, and begins again those that they forgot.
    async fn keep_once(self: &Arc<Self>) {
        lock(&self.passed).retain(|_, (_, kept)| kept.elapsed() < KEEP_EVERY * 5);
        self.feeds.sweep();
        let mut rooms: HashMap<NodeId, Vec<(u64, u64)>> = HashMap::new();
        for (handle, kept) in lock(&self.watches).iter() {
            rooms.entry(kept.room).or_default().push((*handle, kept.bytes.swap(0, Ordering::AcqRel)));
        }
        let asks = rooms.into_iter().map(|(room, watching)| async move {
            let told = watching.clone();
            match self.down.ask(room, Say::Keep { watching }, BEGINNING).await {
                Ok((Reply::Kept { gone }, _)) => self.again(room, gone).await,
                // Said again next time.
                _ => {
                    for (handle, bytes) in told {
                        if let Some(kept) = lock(&self.watches).get(&handle) {
                            kept.bytes.fetch_add(bytes, Ordering::AcqRel);
                        }
                    }
                }
            }
        });
        futures::future::join_all(asks).await;
    }

    /// A room that was restarted, or out of reach for long, knows nothing of these: the access is a new one, with its own record.
    async fn again(&self, room: NodeId, gone: Vec<u64>) {
        for handle in gone {
            let known = lock(&self.watches).get(&handle).map(|kept| (kept.asker.clone(), kept.stream));
            let Some((asker, stream)) = known else { continue };
            let say = Say::Watch { handle, asker: Box::new(asker), stream };
            if let Ok((Reply::Refused { code, .. }, _)) = self.down.ask(room, say, BEGINNING).await {
                tracing::info!(%room, %stream, code, "a room lets somebody watch no longer");
                lock(&self.watches).remove(&handle);
            }
        }
    }
}

/// Keeps watches until the centre is gone.
async fn keep(relays: Weak<Relays>) {
    let mut turns = tokio::time::interval(KEEP_EVERY);
    loop {
        turns.tick().await;
        let Some(relays) = relays.upgrade() else { return };
        relays.keep_once().await;
    }
}

/// Fetches a stream as long as somebody wants it.
async fn fetch(relays: Weak<Relays>, down: Arc<Down>, relay: Arc<Relay>) {
    let mut feed = Feed::new();
    let mut heard = Instant::now();
    loop {
        let Some(of) = relays.upgrade() else { return };
        if of.given_up(&relay) {
            break;
        }
        drop(of);
        let whole = relay.whole.load(Ordering::Acquire) > 0;
        if feed.whole != whole {
            close(&down, &relay, feed.handle);
            feed.begin_again(whole);
        }
        let say = Say::Live { handle: feed.handle, stream: relay.stream, key: !whole, from: feed.at };
        match down.ask(relay.room, say, PART).await {
            Ok((Reply::Part { from, end, waits }, bytes)) if from == feed.at => {
                heard = Instant::now();
                relay.tell(if waits { LineState::Waiting } else { LineState::Coming });
                let over = feed.take(&bytes, &relay.source);
                if over || end {
                    feed.begin_anew(whole);
                    relay.source.broken();
                    tokio::time::sleep(PAUSE).await;
                }
            }
            Err(Unreached { why: No::NoContact | No::Busy | No::UnknownNode, .. }) => {
                if heard.elapsed() > LOST {
                    relay.tell(LineState::Lost(UtcMicros::now() - heard.elapsed()));
                }
                tokio::time::sleep(PAUSE).await;
            }
            // The room knows nothing of the feed, or lets nobody watch: it is begun anew, and the watches with it.
            Ok(_) | Err(_) => {
                if heard.elapsed() > LOST {
                    relay.tell(LineState::Lost(UtcMicros::now() - heard.elapsed()));
                }
                feed.begin_anew(whole);
                relay.source.broken();
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    close(&down, &relay, feed.handle);
}

fn close(down: &Arc<Down>, relay: &Relay, handle: u64) {
    let (down, room) = (Arc::clone(down), relay.room);
    tokio::spawn(async move { drop(down.ask(room, Say::Close { handle }, PART).await) });
}

/// What was read of a feed.
struct Feed {
    handle: u64,
    at: u64,
    whole: bool,
    reader: Reader,
    /// The newest unit that was published: what a new feed tells again is left out.
    newest: Option<MediaTicks>,
}

impl Feed {
    fn new() -> Self {
        Self { handle: rand::random(), at: 0, whole: false, reader: Reader::default(), newest: None }
    }

    fn begin_again(&mut self, whole: bool) {
        (self.handle, self.at, self.whole, self.reader) = (rand::random(), 0, whole, Reader::default());
    }

    /// As if nothing had been read: the room's clocks may be others by now.
    fn begin_anew(&mut self, whole: bool) {
        self.begin_again(whole);
        self.newest = None;
    }

    /// Publishes what a part brings; whether the stream is over, or cannot be read on.
    fn take(&mut self, part: &[u8], source: &LiveSource) -> bool {
        self.at += part.len() as u64;
        self.reader.take(part);
        let mut units = Vec::new();
        let over = loop {
            match self.reader.item() {
                Ok(None) => break false,
                Ok(Some(LiveItem::Unit(unit))) => {
                    if self.newest.is_none_or(|newest| unit.decode > newest) {
                        self.newest = Some(unit.decode);
                        units.push((*unit).clone());
                    }
                }
                Ok(Some(LiveItem::Tracks(tracks))) => {
                    source.publish(&std::mem::take(&mut units));
                    source.tracks(&tracks);
                }
                Ok(Some(LiveItem::Gap)) => {
                    source.publish(&std::mem::take(&mut units));
                    source.broken();
                    self.newest = None;
                }
                Ok(Some(LiveItem::Ended)) => break true,
                Err(error) => {
                    tracing::warn!(error, "a live stream from below cannot be read and is begun anew");
                    break true;
                }
            }
        };
        source.publish(&units);
        over
    }
}

impl Relay {
    fn tell(&self, state: LineState) {
        self.state.send_if_modified(|known| {
            let same = *known == state || matches!((*known, state), (LineState::Lost(_), LineState::Lost(_)));
            if !same {
                *known = state;
            }
            !same
        });
    }
}

impl Interest {
    fn set_whole(&mut self, whole: bool) {
        if whole && !self.whole {
            self.relay.whole.fetch_add(1, Ordering::AcqRel);
        }
        if !whole && self.whole {
            self.relay.whole.fetch_sub(1, Ordering::AcqRel);
        }
        self.whole = whole;
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        *lock(&self.relay.left) = Instant::now();
        self.relay.whole.fetch_sub(usize::from(self.whole), Ordering::AcqRel);
        self.relay.all.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Watching {
    /// Counts bytes that reached whoever watches.
    pub fn count(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    /// How the stream comes, as it changes.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<LineState> {
        self.interest.relay.state.subscribe()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let Some(of) = self.of.upgrade() else { return };
        let Some(kept) = lock(&of.watches).remove(&self.handle) else { return };
        let (handle, bytes) = (self.handle, kept.bytes.swap(0, Ordering::AcqRel));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { drop(of.down.ask(kept.room, Say::Leave { handle, bytes }, PART).await) });
        }
    }
}

impl std::fmt::Debug for Relays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relays").field("streams", &lock(&self.streams).len()).finish_non_exhaustive()
    }
}
