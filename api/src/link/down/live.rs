//! Live streams up a line: each crosses it once, whoever watches above, and only while somebody does.
//!
//! Watching and fetching are apart. Everybody above who watches has a *watch* in the room, with an access record of their own that lasts
//! as long as they keep it; the stream itself is fetched by one *feed* of the neighbour above, which is opened under one of those watches.
//! A centre between has the watches pass and feeds the node above from its own relay ([`super::Relays`]).
//!
//! Nothing here waits for a line: a feed whose parts are not fetched in time goes on at the next key unit, and one that has to stand back
//! for what is more urgent is cut down to key units for a while (I10, I11).

use super::{
    FromAbove, No, Reply,
    bodies::{Bodies, Part, Ranked, Sending, Source, lock},
    budget::{Budget, Rank},
    units,
};
use crate::{authority::Authority, node::Shared, refusal::Refusal};
use bytes::Bytes;
use index::{
    access::{Action, Extent, Permit},
    model::{StreamId, StreamKind, TrackKind},
};
use ingest::{LiveItem, LiveSubscription, LiveTier};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// People above who watch live at a time.
const MAX_WATCHES: usize = 1024;
/// A watch that nobody keeps for so long is over: its centre is gone, or the line.
const LEASE: Duration = Duration::from_secs(30);
/// A feed that had to wait for the line for longer than this, in parts of a second, is cut down to key units.
const TOO_LONG: Duration = Duration::from_millis(600);
/// For how long, before it is tried whole again.
const CUT_DOWN: Duration = Duration::from_secs(12);

/// Who watches what from above, in the room.
pub(super) struct Watches {
    node: Shared,
    table: Mutex<HashMap<u64, Watch>>,
}

struct Watch {
    stream: StreamId,
    permit: Arc<Permit>,
    authority: Authority,
    used: Instant,
}

impl Watches {
    pub(super) fn new(node: Shared) -> Self {
        Self { node, table: Mutex::default() }
    }

    /// Somebody begins to watch: their access record first. The same handle again is the same watch.
    pub(super) async fn begin(&self, handle: u64, above: &FromAbove, stream: StreamId) -> Result<Reply, No> {
        if let Some(watch) = lock(&self.table).get_mut(&handle) {
            watch.used = Instant::now();
            return Ok(Reply::Watching);
        }
        if lock(&self.table).len() >= MAX_WATCHES {
            return Err(No::Busy);
        }
        match self.admit(above, stream).await {
            Ok((authority, permit)) => {
                let watch = Watch { stream, permit: Arc::new(permit), authority, used: Instant::now() };
                lock(&self.table).insert(handle, watch);
                Ok(Reply::Watching)
            }
            Err(refusal) => Ok(Reply::refused(&refusal)),
        }
    }

    async fn admit(&self, above: &FromAbove, stream: StreamId) -> Result<(Authority, Permit), Refusal> {
        let authority = Authority::from_above(&self.node, Action::Live, above)?;
        let stream = authority.stream(stream.camera, stream.kind)?;
        let permit = authority.admit(Action::Live, Extent::live([stream]), authority.purpose()?).await?;
        Ok((authority, permit))
    }

    /// These go on watching, and so many bytes reached them since: those that are no longer known, or may no longer.
    pub(super) fn keep(&self, watching: Vec<(u64, u64)>) -> Vec<u64> {
        let mut table = lock(&self.table);
        let mut gone = Vec::new();
        for (handle, bytes) in watching {
            let may = |watch: &Watch| {
                let camera = self.node.camera(watch.stream.camera);
                camera.is_some_and(|camera| watch.authority.grant(Action::Live, &[&camera], None).is_ok())
            };
            match table.get_mut(&handle) {
                Some(watch) if may(watch) => {
                    watch.permit.count(bytes);
                    watch.used = Instant::now();
                }
                _ => {
                    table.remove(&handle);
                    gone.push(handle);
                }
            }
        }
        gone
    }

    pub(super) fn leave(&self, handle: u64, bytes: u64) {
        if let Some(watch) = lock(&self.table).remove(&handle) {
            watch.permit.count(bytes);
        }
    }

    pub(super) fn sweep(&self) {
        lock(&self.table).retain(|_, watch| watch.used.elapsed() < LEASE);
    }

    /// Opens a stream under the access of one who watches it.
    pub(super) fn open(&self, stream: StreamId, tier: LiveTier) -> Option<LiveSubscription> {
        let permit = self.watched(stream)?;
        self.node.ingest.live().subscribe(&permit, stream, tier).ok()
    }

    /// The access of somebody who watches a stream now.
    fn watched(&self, stream: StreamId) -> Option<Arc<Permit>> {
        let table = lock(&self.table);
        let watch = table.values().find(|watch| watch.stream == stream && watch.used.elapsed() < LEASE)?;
        Some(Arc::clone(&watch.permit))
    }

    pub(super) fn is_watched(&self, stream: StreamId) -> bool {
        self.watched(stream).is_some()
    }
}

/// The streams that the node above fetches.
pub(super) struct Feeds {
    bodies: Bodies,
}

impl Feeds {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self { bodies: Bodies::new(budget) }
    }

    /// The next part of a stream, which `open` opens if it is not open yet.
    pub(super) async fn part(
        &self,
        (handle, from): (u64, u64),
        (stream, tier): (StreamId, LiveTier),
        until: Instant,
        open: impl FnOnce() -> Option<LiveSubscription>,
    ) -> Result<(Reply, Bytes), No> {
        let kept = if from == 0 { self.bodies.kept(handle)? } else { self.bodies.find(handle)? };
        let mut sending = tokio::time::timeout_at(until, kept.sending.lock()).await.map_err(|_| No::Busy)?;
        if sending.is_none() {
            let Some(subscription) = open() else {
                self.bodies.close(handle);
                return Err(No::Gone);
            };
            let ranked = Ranked::new(rank(stream, tier));
            *sending = Some(Sending::new(200, Vec::new(), source(subscription, stream, tier, &ranked), ranked));
        }
        let Some(sending) = sending.as_mut() else { return Err(No::Gone) };
        let Part { bytes, end, waits } = self.bodies.part(sending, from, until).await?;
        Ok((Reply::Part { from, end, waits }, bytes))
    }

    pub(super) fn close(&self, handle: u64) {
        self.bodies.close(handle);
    }

    pub(super) fn sweep(&self) {
        self.bodies.sweep();
    }
}

fn rank(stream: StreamId, tier: LiveTier) -> Rank {
    match (tier, stream.kind) {
        (LiveTier::Key, _) => Rank::LiveKey,
        (LiveTier::Full, StreamKind::Sub) => Rank::LiveSub,
        (LiveTier::Full, StreamKind::Main) => Rank::LiveMain,
    }
}

/// A stream's items as they go, cut down to key units while the line has no room for all of them.
fn source(subscription: LiveSubscription, stream: StreamId, tier: LiveTier, ranked: &Arc<Ranked>) -> Source {
    struct Feeding {
        subscription: LiveSubscription,
        stream: StreamId,
        tier: LiveTier,
        ranked: Arc<Ranked>,
        /// How long it waited lately.
        waited: Duration,
        cut_until: Option<Instant>,
        /// Units were left out since the last key unit.
        skipping: bool,
        over: bool,
    }
    let feeding = Feeding {
        subscription,
        stream,
        tier,
        ranked: Arc::clone(ranked),
        waited: Duration::ZERO,
        cut_until: None,
        skipping: false,
        over: false,
    };
    Box::pin(futures::stream::unfold(feeding, |mut of| async move {
        if of.over {
            return None;
        }
        loop {
            let item = of.subscription.next().await;
            of.waited = of.waited / 2 + of.ranked.waited();
            let key = matches!(&item, LiveItem::Unit(unit) if unit.track == TrackKind::Video && unit.key);
            if of.tier == LiveTier::Full {
                let cut = of.cut_until.is_some_and(|until| Instant::now() < until);
                if !cut && of.waited > TOO_LONG {
                    of.cut_until = Some(Instant::now() + CUT_DOWN);
                    of.ranked.set(Rank::LiveKey);
                } else if !cut && key && of.cut_until.take().is_some() {
                    of.ranked.set(rank(of.stream, of.tier));
                }
                let other = matches!(&item, LiveItem::Unit(_)) && !key;
                if other && (of.cut_until.is_some() || of.skipping) {
                    // One gap for all that is left out: whoever watches knows that the picture stands.
                    if !std::mem::replace(&mut of.skipping, true) {
                        return Some((Ok(units::write(&LiveItem::Gap)), of));
                    }
                    continue;
                }
                of.skipping &= !key;
            }
            of.over = matches!(item, LiveItem::Ended);
            let bytes = units::write(&item);
            if !bytes.is_empty() {
                return Some((Ok(bytes), of));
            }
        }
    }))
}
