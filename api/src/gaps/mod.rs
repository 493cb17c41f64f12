//! Gaps in recordings, told as events: what was not recorded of which camera, from when to when, and why.
//!
//! The ledger knows every gap (I3); this reads it and tells what is over. So whatever made a gap, a camera, the network, a disk, a
//! restart of this node or a defect of ours, it is found among the events, and rules are asked about it. That a camera is offline *now*
//! is another event, told at once (`camera.offline`). What both streams of a camera lost together is one event, about the main stream,
//! the recording that people ask for; what the sub-stream lost alone is a note of its own.
//!
//! How far each stream was looked at is kept in a file, always at the beginning of the oldest gap that was not told; what the journal has
//! beyond it is read at start. So a restart, also after a crash, neither loses a gap nor tells it twice.

mod gather;
mod holes;

pub use gather::{Gather, Told};
pub use holes::{Gap, Holes, holes, together};

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
    /// From where on each stream is looked at.
    cursors: BTreeMap<StreamId, UtcMicros>,
    /// Nothing before this is told of a stream without a cursor: of main streams, of sub-streams.
    horizons: [UtcMicros; 2],
    gather: Gather,
    kept: Option<Instant>,
}

/// The file: for the journal up to `seq`, from where on the gaps of each camera's main stream and sub-stream were not told yet. Earlier
/// versions told nothing of sub-streams.
#[derive(Serialize, Deserialize)]
struct Kept {
    node: NodeId,
    seq: Seq,
    from_us: BTreeMap<CameraId, UtcMicros>,
    sub_from_us: Option<BTreeMap<CameraId, UtcMicros>>,
}

/// What is read of a record of a gap: where that of each camera's main stream and sub-stream ended, if it had one.
#[derive(Deserialize)]
struct Before {
    camera_numbers: Vec<CameraId>,
    ends_us: Vec<Option<UtcMicros>>,
    #[serde(default)]
    sub_ends_us: Vec<Option<UtcMicros>>,
}

impl Before {
    fn ends(self) -> impl Iterator<Item = (StreamId, UtcMicros)> {
        let Self { camera_numbers, ends_us, sub_ends_us } = self;
        let of = move |kind, ends: Vec<Option<UtcMicros>>| {
            let cameras = camera_numbers.clone();
            cameras.into_iter().zip(ends).filter_map(move |(camera, to)| Some((StreamId::new(camera, kind), to?)))
        };
        of(StreamKind::Main, ends_us).chain(of(StreamKind::Sub, sub_ends_us))
    }
}

impl Gaps {
    /// Goes on where the file and the journal say that the node was. Blocking.
    #[must_use]
    pub fn open(file: &Path, journal: &Journal, now: UtcMicros) -> Self {
        let kept = std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
        let kept = kept.filter(|kept| kept.node == journal.node() && kept.seq <= journal.tail());
        let (mut cursors, mut horizons) = (BTreeMap::new(), [now - UNKNOWN; 2]);
        if let Some(kept) = kept {
            horizons = [UtcMicros::MIN, if kept.sub_from_us.is_some() { UtcMicros::MIN } else { now - UNKNOWN }];
            let of = |kind| move |(camera, from)| (StreamId::new(camera, kind), from);
            cursors.extend(kept.from_us.into_iter().map(of(StreamKind::Main)));
            cursors.extend(kept.sub_from_us.into_iter().flatten().map(of(StreamKind::Sub)));
            let read = journal.visit(kept.seq.next(), journal.tail(), |seen| {
                if seen.kind == "recording.gap"
                    && let Ok(before) = serde_json::from_slice::<Before>(seen.body)
                {
                    for (stream, to) in before.ends() {
                        let cursor = cursors.entry(stream).or_insert(to);
                        *cursor = to.max(*cursor);
                    }
                }
                ControlFlow::Continue(())
            });
            if let Err(error) = read {
                tracing::warn!(%error, "the journal does not read back; some gaps of the last run may be told twice");
            }
        }
        Self { file: file.to_owned(), cursors, horizons, gather: Gather::default(), kept: None }
    }

    /// Looks at the ledger, and writes what is to be told into the journal. Blocking.
    pub fn look(&mut self, node: &Node, now: UtcMicros, monotonic: Instant) {
        // Until then what an earlier run left open looks like a gap.
        if !node.store.is_recovered() {
            return;
        }
        let seq = node.journal.tail();
        let cameras: BTreeSet<CameraId> = node.catalogue.list().iter().map(|entry| entry.camera.id).collect();
        self.cursors.retain(|stream, _| cameras.contains(&stream.camera));
        // A stream that was never recorded has no gap yet.
        for held in node.store.streams() {
            let horizon = self.horizons[usize::from(held.stream.kind == StreamKind::Sub)];
            self.cursors.entry(held.stream).or_insert(held.first.max(horizon));
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
        let settled = now - SETTLED;
        let streams = [StreamKind::Main, StreamKind::Sub].map(|kind| StreamId::new(camera, kind));
        let [mut main, mut sub] = streams.map(|stream| match self.cursors.get(&stream) {
            Some(from) => holes(stream, &store.coverage(stream, Window::new(*from, now), Duration::ZERO), settled),
            None => Holes::default(),
        });
        for gap in together(&mut main, &mut sub, settled) {
            self.gather.take(gap, monotonic);
        }
        for (stream, holes) in streams.into_iter().zip([main, sub]) {
            if let (Some(from), Some(next)) = (self.cursors.get_mut(&stream), holes.next) {
                *from = next.max(*from);
            }
        }
    }

    fn keep(&self, node: NodeId, seq: Seq) {
        let mut from = self.cursors.clone();
        for (stream, untold) in self.gather.untold() {
            from.entry(stream).and_modify(|from| *from = untold.min(*from)).or_insert(untold);
        }
        let of = |kind| from.iter().filter(move |(stream, _)| stream.kind == kind).map(|(stream, from)| (stream.camera, *from));
        let (from_us, sub_from_us) = (of(StreamKind::Main).collect(), Some(of(StreamKind::Sub).collect()));
        let bytes = serde_json::to_vec(&Kept { node, seq, from_us, sub_from_us }).unwrap_or_default();
        if let Err(error) = hooks::keep(&self.file, &bytes) {
            tracing::warn!(%error, "how far gaps were told could not be kept; the next start reads more of the journal");
        }
    }
}
