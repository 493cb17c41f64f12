//! Gaps in recordings, told as events: what was not recorded of which camera, from when to when, and why.
//!
//! The ledger knows every gap (I3); this reads it and tells what is over. So whatever made a gap, a camera, the network, a disk, a
//! restart of this node or a defect of ours, it is found among the events, and rules are asked about it. That a camera is offline *now*
//! is another event, told at once (`camera.offline`). Told is the main stream: the recording that people ask for.
//!
//! How far each camera was looked at is kept in a file, always at the beginning of the oldest gap that was not told; what the journal has
//! beyond it is read at start. So a restart, also after a crash, neither loses a gap nor tells it twice.

mod gather;
mod holes;

pub use gather::{Gather, Told};
pub use holes::{Gap, holes};

use crate::{hooks, node::Node};
use index::{
    footage::Store,
    journal::{Journal, Seq},
    model::{CameraId, NodeId, StreamId, StreamKind, UtcMicros, Window},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// What is younger may still change: fragments wait for a commit, or for another disk than the one that stands still.
const SETTLED: Duration = Duration::from_secs(10);
/// Where it is not known how far a node was, it begins so long before its start: the gap of that start is told, and no month of old ones.
const UNKNOWN: Duration = Duration::from_secs(3600);
/// How often it is kept how far everything was looked at.
const KEEP_EVERY: Duration = Duration::from_secs(60);

/// Follows the ledger of a node's cameras.
#[derive(Debug)]
pub struct Gaps {
    file: PathBuf,
    /// From where on each camera is looked at.
    cursors: BTreeMap<CameraId, UtcMicros>,
    /// Nothing before this is told of a camera without a cursor.
    horizon: UtcMicros,
    gather: Gather,
    kept: Option<Instant>,
}

/// The file: for the journal up to `seq`, from where on each camera's gaps were not told yet.
#[derive(Serialize, Deserialize)]
struct Kept {
    node: NodeId,
    seq: Seq,
    from_us: BTreeMap<CameraId, UtcMicros>,
}

/// What is read of a record of a gap.
#[derive(Deserialize)]
struct Before {
    camera_numbers: Vec<CameraId>,
    ends_us: Vec<UtcMicros>,
}

impl Gaps {
    /// Goes on where the file and the journal say that the node was. Blocking.
    #[must_use]
    pub fn open(file: &Path, journal: &Journal, now: UtcMicros) -> Self {
        let kept = std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
        let kept = kept.filter(|kept| kept.node == journal.node() && kept.seq <= journal.tail());
        let (mut cursors, mut horizon) = (BTreeMap::new(), now - UNKNOWN);
        if let Some(kept) = kept {
            (cursors, horizon) = (kept.from_us, UtcMicros::MIN);
            let read = journal.visit(kept.seq.next(), journal.tail(), |seen| {
                if seen.kind == "recording.gap"
                    && let Ok(before) = serde_json::from_slice::<Before>(seen.body)
                {
                    for (camera, to) in before.camera_numbers.into_iter().zip(before.ends_us) {
                        let cursor = cursors.entry(camera).or_insert(to);
                        *cursor = to.max(*cursor);
                    }
                }
                ControlFlow::Continue(())
            });
            if let Err(error) = read {
                tracing::warn!(%error, "the journal does not read back; some gaps of the last run may be told twice");
            }
        }
        Self { file: file.to_owned(), cursors, horizon, gather: Gather::default(), kept: None }
    }

    /// Looks at the ledger, and writes what is to be told into the journal. Blocking.
    pub fn look(&mut self, node: &Node, now: UtcMicros, monotonic: Instant) {
        // Until then what an earlier run left open looks like a gap.
        if !node.store.is_recovered() {
            return;
        }
        let seq = node.journal.tail();
        let cameras: BTreeSet<CameraId> = node.catalogue.list().iter().map(|entry| entry.camera.id).collect();
        self.cursors.retain(|camera, _| cameras.contains(camera));
        if cameras.iter().any(|camera| !self.cursors.contains_key(camera)) {
            // A camera that was never recorded has no gap yet.
            for held in node.store.streams().into_iter().filter(|held| held.stream.kind == StreamKind::Main) {
                self.cursors.entry(held.stream.camera).or_insert(held.first.max(self.horizon));
            }
        }
        for camera in cameras {
            self.look_at(&node.store, camera, now, monotonic);
        }
        for told in self.gather.due(monotonic) {
            drop(node.journal.append(told.record(|id| node.camera(id), &node.config.zone, now)));
        }
        if self.kept.is_none_or(|kept| monotonic.duration_since(kept) >= KEEP_EVERY) {
            self.keep(node.id, seq);
            self.kept = Some(monotonic);
        }
    }

    fn look_at(&mut self, store: &Store, camera: CameraId, now: UtcMicros, monotonic: Instant) {
        let stream = StreamId::new(camera, StreamKind::Main);
        let Some(from) = self.cursors.get(&camera).copied() else { return };
        let (gaps, next) = holes(camera, &store.coverage(stream, Window::new(from, now), Duration::ZERO), now - SETTLED);
        self.cursors.insert(camera, next.unwrap_or(from).max(from));
        gaps.into_iter().for_each(|gap| self.gather.take(gap, monotonic));
    }

    fn keep(&self, node: NodeId, seq: Seq) {
        let mut from_us = self.cursors.clone();
        for (camera, untold) in self.gather.untold() {
            from_us.entry(camera).and_modify(|from| *from = untold.min(*from)).or_insert(untold);
        }
        let bytes = serde_json::to_vec(&Kept { node, seq, from_us }).unwrap_or_default();
        if let Err(error) = hooks::keep(&self.file, &bytes) {
            tracing::warn!(%error, "how far gaps were told could not be kept; the next start reads more of the journal");
        }
    }
}
