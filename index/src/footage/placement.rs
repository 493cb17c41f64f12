//! Which volume each stream is written to: chosen by load for its size, kept while the volume does well, and changed for a better one with
//! everything that is not durable yet. A draft is in memory until some disk has it, so that a disk that goes costs none of it.

use super::{
    planted::{Bug, planted},
    pool::Size,
    shared::Shared,
    types::{Draft, VolumeHealth, VolumeState},
    volume::{Volume, lock},
};
use crate::model::{GapCause, StreamId, StreamKind};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
};

impl Shared {
    /// Streams go on where they were recorded last.
    pub(super) fn settle_places(&self) {
        let mut places = lock(&self.places);
        for (stream, index) in &*self.catalogue.read() {
            if let Some(segment) = index.segments().last() {
                places.insert(*stream, usize::from(segment.key.volume));
            }
        }
    }

    /// The volume for a stream: the one it has, or the one with the least to write for its size. Also a bad one, if there is no other:
    /// what it refuses is accounted for.
    pub(super) fn place(&self, places: &mut HashMap<StreamId, usize>, stream: StreamId) -> Option<usize> {
        if let Some(at) = places.get(&stream) {
            return Some(*at);
        }
        let volumes = self.volumes.all();
        let load = Load::of(places, volumes.len());
        let best = self.home(&load, stream, None);
        let any = best.or_else(|| load.least(&volumes, stream, |volume| volume.state() < VolumeState::Failed));
        let at = any.or((!volumes.is_empty()).then_some(0))?;
        places.insert(stream, at);
        Some(at)
    }

    /// The best volume for a stream, other than `except`, of those that are well and have room.
    fn home(&self, load: &Load, stream: StreamId, except: Option<u16>) -> Option<usize> {
        let volumes = self.volumes.all();
        let well = |volume: &Volume| Some(volume.index) != except && volume.is_home() && !volume.full.load(Ordering::Relaxed);
        let bears = |volume: &Volume| lock(&volume.pool).bears(load.with(usize::from(volume.index), stream));
        load.least(&volumes, stream, |volume| well(volume) && bears(volume)).or_else(|| load.least(&volumes, stream, well))
    }

    /// Whether a stream that is about to begin a segment had better do so on another volume than `here`: one that was added, or came
    /// back. It must still be better when the stream has moved, or streams would never settle; so where another `moved` a moment ago and
    /// its new place is not known yet, this one stays, unless nothing can stay.
    pub(super) fn lives_better_elsewhere(&self, stream: StreamId, here: &Volume, moved: bool) -> bool {
        let volumes = self.volumes.all();
        if volumes.len() < 2 {
            return false;
        }
        let places = lock(&self.places);
        let load = Load::of(&places, volumes.len());
        let Some(there) = self.home(&load, stream, Some(here.index)).and_then(|at| volumes.get(at)) else { return false };
        if !here.is_home() || moved {
            return !here.is_home();
        }
        let (here_at, there_at) = (usize::from(here.index), usize::from(there.index));
        let after = |volume: &Volume, bytes: u64| u128::from(bytes) * u128::from(volume.weight());
        let left = load.bytes[here_at].saturating_sub(Load::share(stream));
        after(here, load.bytes[there_at] + Load::share(stream)) <= after(there, left)
    }

    /// Finds a home for drafts that a volume did not write: another takes over the stream, with what waits in the queue; or the same
    /// one tries again in another file, as long as it is trusted; or they are lost and accounted for.
    pub(super) fn rehome(&self, from: &Volume, refused: Vec<Arc<Draft>>, why: &str) {
        if refused.is_empty() || planted(Bug::DropRefused) {
            return;
        }
        let here = usize::from(from.index);
        let mut places = lock(&self.places);
        let volumes = self.volumes.all();
        let mut again = Vec::new();
        for draft in refused {
            let placed = places.get(&draft.stream).copied().filter(|home| *home != here);
            let found = || self.home(&Load::of(&places, volumes.len()), draft.stream, Some(from.index));
            match placed.or_else(found).filter(|home| self.writes(&volumes[*home])) {
                Some(home) => {
                    if places.insert(draft.stream, home) != Some(home) {
                        let to = &volumes[home].name;
                        tracing::warn!(stream = %draft.stream, from = %from.name, %to, "the stream is recorded on another disk");
                    }
                    self.push(&volumes[home], draft);
                }
                None if from.is_home() && !from.full.load(Ordering::Relaxed) => again.push(draft),
                None => self.lose(&draft, GapCause::Disk, why),
            }
        }
        let moved = |stream: StreamId| places.get(&stream).copied().filter(|home| *home != here);
        let behind: Vec<_> = {
            let mut queue = lock(&from.queue);
            let all = queue.take_queued();
            let (behind, stay): (Vec<_>, Vec<_>) = all.into_iter().partition(|draft| moved(draft.stream).is_some());
            again.into_iter().chain(stay).for_each(|draft| queue.push(draft, self.world.monotonic()));
            behind
        };
        for draft in behind {
            if let Some(home) = moved(draft.stream) {
                self.push(&volumes[home], draft);
            }
        }
    }

    /// Finds the better home for drafts of streams that leave a volume. They have waited for a commit already: the next one is due now.
    pub(super) fn move_on(&self, from: &Volume, moved: Vec<Arc<Draft>>) {
        let streams: HashSet<StreamId> = moved.iter().map(|draft| draft.stream).collect();
        self.rehome(from, moved, "the disk that was to have it is gone, and there is no other");
        let places = lock(&self.places);
        let volumes = self.volumes.all();
        for home in streams.iter().filter_map(|stream| volumes.get(*places.get(stream)?)) {
            lock(&home.queue).hurry(self.world.monotonic().saturating_sub(self.setup.commit_every));
            home.work.notify_one();
        }
    }

    /// Every volume's figures, those aside that were taken out of the configuration.
    pub(super) fn volume_health(&self) -> Vec<VolumeHealth> {
        let volumes = self.volumes.all();
        let load = Load::of(&lock(&self.places), volumes.len());
        let there = volumes.iter().filter(|volume| !volume.removed.load(Ordering::Acquire));
        there
            .map(|volume| VolumeHealth { streams: load.streams[usize::from(volume.index)].iter().sum(), ..volume.health() })
            .collect()
    }

    /// Moves every stream of a volume elsewhere, with all that is not durable yet. Says how many; `None` if there is no elsewhere.
    pub(super) fn evacuate(&self, from: &Volume) -> Option<usize> {
        let here = usize::from(from.index);
        let mut places = lock(&self.places);
        let volumes = self.volumes.all();
        let mut streams: Vec<StreamId> = places.iter().filter(|(_, at)| **at == here).map(|(stream, _)| *stream).collect();
        self.home(&Load::of(&places, volumes.len()), *streams.first()?, Some(from.index))?;
        places.retain(|_, at| *at != here);
        streams.sort_unstable();
        for stream in &streams {
            self.place(&mut places, *stream);
        }
        for draft in lock(&from.queue).clear() {
            if let Some(to) = self.place(&mut places, draft.stream).and_then(|home| volumes.get(home)) {
                self.push(to, draft);
            }
        }
        let streams = streams.len();
        tracing::warn!(from = %from.name, streams, "its streams are recorded on other disks");
        Some(streams)
    }

    /// Puts a volume in its place, with what waited there for a disk: nothing that was taken is left behind.
    pub(super) fn install(&self, volume: &Arc<Volume>) {
        // Held: whoever queues a draft does so under it.
        let _places = lock(&self.places);
        let before = self.volumes.get(usize::from(volume.index));
        self.volumes.put(volume);
        if let Some(before) = before {
            for draft in lock(&before.queue).clear() {
                self.push(volume, draft);
            }
        }
    }

    /// Puts a volume that is back, or another in its place, where it was.
    pub(super) fn take_back(&self, volume: &Arc<Volume>) {
        let another = self.volumes.get(usize::from(volume.index)).map(|before| before.id).filter(|before| *before != volume.id);
        self.install(volume);
        match another {
            Some(before) => self.replaced(volume, before),
            None => self.away.forget(volume.index),
        }
    }

    /// Whether what is queued for a volume is still written: at the end of the node its writer may be gone.
    fn writes(&self, volume: &Volume) -> bool {
        !(self.closing.load(Ordering::Acquire) && lock(&volume.queue).ended)
    }

    /// Queues a draft whatever the queue's bound: it was counted already where it comes from.
    fn push(&self, volume: &Volume, draft: Arc<Draft>) {
        lock(&volume.queue).push(draft, self.world.monotonic());
        volume.work.notify_one();
    }
}

/// What each volume has to write, by the places of streams.
struct Load {
    /// In eighths of a main stream.
    bytes: Vec<u64>,
    /// Streams of each size.
    streams: Vec<[usize; 2]>,
}

impl Load {
    fn of(places: &HashMap<StreamId, usize>, volumes: usize) -> Self {
        let mut load = Self { bytes: vec![0; volumes], streams: vec![[0; 2]; volumes] };
        for (stream, at) in places {
            load.bytes[*at] += Self::share(*stream);
            load.streams[*at][Size::of(stream.kind) as usize] += 1;
        }
        load
    }

    fn share(stream: StreamId) -> u64 {
        if stream.kind == StreamKind::Main { 8 } else { 1 }
    }

    /// A volume's streams with one more.
    fn with(&self, at: usize, stream: StreamId) -> [usize; 2] {
        let mut streams = self.streams[at];
        streams[Size::of(stream.kind) as usize] += 1;
        streams
    }

    /// Of the volumes that fit, the one with the least to write for its size.
    fn least(&self, volumes: &[Arc<Volume>], stream: StreamId, fit: impl Fn(&Volume) -> bool) -> Option<usize> {
        let fit = (0..volumes.len()).filter(|at| fit(&volumes[*at]));
        // Share of the load over share of the capacity, without division.
        fit.min_by(|a, b| {
            let bytes = |of: usize| u128::from(self.bytes[of] + Self::share(stream));
            (bytes(*a) * u128::from(volumes[*b].weight())).cmp(&(bytes(*b) * u128::from(volumes[*a].weight())))
        })
    }
}
