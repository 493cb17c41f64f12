//! The footage store: encoded video, appended once, never rewritten.
//!
//! Cameras write all day and operators read minutes of it. So writing only ever appends; one sync a second makes all cameras of a disk
//! durable at once; and the map from time to offset is small and can be rebuilt from the files. [`format`] describes the
//! bytes, [`writer`] the way to disk, [`recovery`] what is believed after a crash, [`ledger`] how each second gets a cause.
//!
//! It has its own threads, two a volume, and no runtime: it may be called from anywhere, and nothing here waits except
//! [`Store::flush`] and [`Store::close`].

mod aftermath;
mod away;
mod catalogue;
mod checkpoint;
mod custody;
mod disk;
mod erase;
mod expiry;
mod fare;
mod fit;
mod forecast;
mod format;
mod fragment;
mod head;
mod keeper;
mod keeping;
mod ledger;
pub mod mp4;
mod opening;
mod placement;
mod planted;
mod pool;
mod reader;
mod recovery;
mod refused;
mod reload;
mod retention;
mod roster;
mod scrub;
mod segment;
mod shared;
mod shelf;
mod spans;
pub mod tools;
mod types;
mod volume;
mod volumes;
mod warden;
mod world;
mod writer;

pub use custody::{APPROVAL, CustodyError, Deed, Erased, Erasure, ErasureState, HOLD_MAX, Hold, HoldState, Order};
pub use fit::{Shortfall, shortfall};
pub use forecast::{Forewarning, WARNING};
pub use fragment::Fragment;
pub use keeping::{Retention, StreamRetention, VolumeRetention};
pub use ledger::Tally;
pub use reader::{FragmentRef, Reader, SegmentName};
pub use types::{
    Announced, Draft, Full, Interval, IntervalState, OpenError, ReadError, RetentionTerms, Setup, StoreHealth, StreamSummary,
    Trouble, VolumeHealth, VolumeSetup, VolumeState,
};

use crate::{
    access::Permit,
    journal::Journal,
    model::{GapCause, StreamId, UtcMicros, Window},
};
use catalogue::StreamIndex;
use keeper::Keeper;
use ledger::{Facts, Ledger, Notebook, Silence};
use reader::Cache;
use shared::Shared;
use shelf::{Directories, Shelf};
use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};
use volume::lock;
use warden::Warden;
use world::{Machine, World};

/// The footage of one node. See the module.
pub struct Store {
    shared: Arc<Shared>,
    cache: Arc<Cache>,
    warden: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens the store and is ready to record at once, whatever it holds: what an earlier run left open is sealed in the background,
    /// and [`VolumeHealth::recovering`] says until when the timeline may be incomplete.
    ///
    /// # Errors
    /// [`OpenError`] says which volume, what is wrong with it, and is fit for an operator. Nothing was changed then,
    /// except that volumes before it may have been prepared.
    pub fn open(setup: Setup, journal: Arc<Journal>) -> Result<Arc<Self>, OpenError> {
        Self::open_on(setup, Arc::new(Directories), journal)
    }

    fn open_on(setup: Setup, shelf: Arc<dyn Shelf>, notebook: Arc<dyn Notebook>) -> Result<Arc<Self>, OpenError> {
        let world: Arc<dyn World> = Arc::new(Machine);
        let ledger = Ledger::open(&setup.state_dir, notebook, Arc::clone(&world));
        let disks = opening::disks(&setup, &*shelf)?;
        let (mut shared, leftovers) = Shared::open(setup, disks, ledger, world)?;
        shared.shelf = shelf;
        let shared = Arc::new(shared);
        let store = Self { shared: Arc::clone(&shared), cache: Arc::default(), warden: Mutex::default() };
        let failed = |source| OpenError::Io { volume: String::new(), path: std::path::PathBuf::new(), source };
        for (volume, leftovers) in shared.volumes.all().iter().zip(leftovers) {
            if !volume.is_absent() {
                warden::staff(&shared, volume, leftovers).map_err(failed)?;
            }
        }
        let warden = Warden::new(Arc::clone(&shared));
        let thread = std::thread::Builder::new().name("warden".to_owned()).spawn(move || warden.run()).map_err(failed)?;
        *lock(&store.warden) = Some(thread);
        Ok(Arc::new(store))
    }

    /// Takes one fragment to be made durable within about a second; [`Store::on_announced`] tells when it is. Never waits. A draft
    /// without units is dropped.
    ///
    /// # Errors
    /// [`Full`] gives the draft back when its volume's queue is full: the caller sheds by rule and says so with [`Store::lost`].
    pub fn append(&self, draft: Draft) -> Result<(), Full> {
        if draft.units.is_empty() {
            return Ok(());
        }
        let bytes = draft.bytes();
        lock(&self.shared.silent).remove(&draft.stream);
        let mut places = lock(&self.shared.places);
        let Some(volume) = self.shared.place(&mut places, draft.stream).and_then(|at| self.shared.volumes.get(at)) else {
            return Err(Full { draft: Box::new(draft), volume: String::new(), queued: 0, bound: 0 });
        };
        let mut queue = lock(&volume.queue);
        if queue.closing || queue.held() + bytes > queue.bound {
            let (queued, bound) = (queue.held(), queue.bound);
            return Err(Full { draft: Box::new(draft), volume: volume.name.clone(), queued, bound });
        }
        queue.push(Arc::new(draft), self.shared.world.monotonic());
        if queue.bytes >= self.shared.setup.commit_bytes {
            volume.work.notify_one();
        }
        Ok(())
    }

    /// From `at` on, whatever of `stream` is not recorded is missing for this cause, until the next mark or the next picture. Durable
    /// through the journal. `detail` is for people; 200 characters of it are kept.
    pub fn mark(&self, stream: StreamId, at: UtcMicros, cause: GapCause, detail: &str) {
        // The same cause again is news where anything was appended since, be it durable or not, and after a start.
        let last = lock(&self.shared.silent).get(&stream).copied();
        let silence = last.map(|last| Silence { marked: last, recorded: self.recorded_to(stream) });
        if self.shared.ledger.mark(stream, at, cause, detail, silence) {
            lock(&self.shared.silent).insert(stream, at);
        }
    }

    /// A definite loss inside a recording that goes on: units that our queue shed, packets lost on the network.
    pub fn lost(&self, stream: StreamId, window: Window, cause: GapCause, units: u32) {
        self.shared.ledger.lose(stream, window, cause, units);
    }

    /// Where the newest durable picture of a stream ends. `None` if there is none.
    #[must_use]
    pub fn recorded_to(&self, stream: StreamId) -> Option<UtcMicros> {
        self.shared.catalogue.read().get(&stream).and_then(StreamIndex::newest)
    }

    /// Tiles `window` (I2): recorded, gap with its cause, or partial, without overlap or hole, from its start to the instant up
    /// to which it is known; the end of the last interval says which. Neighbours differ. Intervals shorter than `resolution`
    /// are merged for drawing: a gap never vanishes in it, what holds both is partial.
    #[must_use]
    pub fn coverage(&self, stream: StreamId, window: Window, resolution: Duration) -> Vec<Interval> {
        ledger::merge(self.tiles(stream, window), resolution)
    }

    /// How each of `spans` of a stream's time adds up: what is recorded, and what is missing for each cause. The spans are in order and
    /// do not overlap; the sums equal the tiling of [`Store::coverage`], to the microsecond.
    #[must_use]
    pub fn tally(&self, stream: StreamId, spans: &[Window]) -> Vec<Tally> {
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return Vec::new() };
        ledger::tally(&self.tiles(stream, Window::new(first.from, last.to)), spans)
    }

    fn tiles(&self, stream: StreamId, window: Window) -> Vec<Interval> {
        let recorded = {
            let streams = self.shared.catalogue.read();
            streams.get(&stream).map(|index| index.recorded_around(window).to_vec()).unwrap_or_default()
        };
        let (now, waiting, ends) = (self.shared.world.now(), self.shared.waiting(stream), self.shared.ledger.ends());
        let tile = |story: &_, restarts: &_| {
            ledger::tile(&Facts { window, recorded: &recorded, story, restarts, ends: &ends, now, waiting })
        };
        let tiles = self.shared.ledger.with(stream, tile);
        self.shared.away.explain(stream, tiles)
    }

    /// Every stream that there is footage of, by number.
    #[must_use]
    pub fn streams(&self) -> Vec<StreamSummary> {
        let streams = self.shared.catalogue.read();
        let summary = |(stream, index): (&StreamId, &StreamIndex)| {
            let first = index.segments().first()?.window.from;
            let (last, bytes, segments) = (index.newest().unwrap_or(first), index.bytes(), index.segments().len());
            Some(StreamSummary { stream: *stream, first, last, bytes, segments })
        };
        let mut all: Vec<_> = streams.iter().filter_map(summary).collect();
        all.sort_unstable_by_key(|summary| summary.stream);
        all
    }

    /// Opens a reader for what the permit covers: the only way to media bytes (I8).
    ///
    /// # Errors
    /// None so far: whether there is anything to read is each question's own answer.
    pub fn read(self: &Arc<Self>, permit: &Permit) -> Result<Reader, ReadError> {
        Ok(Reader::new(Arc::clone(&self.shared), Arc::clone(&self.cache), permit.extent().clone()))
    }

    /// The store's figures.
    #[must_use]
    pub fn health(&self) -> StoreHealth {
        let shared = &self.shared;
        let oldest = shared.catalogue.read().values().filter_map(|index| Some(index.segments().first()?.window.from)).min();
        StoreHealth {
            volumes: shared.volume_health(),
            fragments: shared.fragments.load(Ordering::Relaxed),
            fragments_lost: shared.fragments_lost.load(Ordering::Relaxed),
            oldest,
            retention_frozen: shared.retention_frozen(),
        }
    }

    /// Calls `watch` with every fragment that becomes durable, on the writer's thread right after its sync: it must be short, and
    /// must not call the store's waiting functions.
    pub fn on_announced(&self, watch: Box<dyn Fn(&Announced) + Send + Sync>) {
        self.shared.watchers.write().unwrap_or_else(PoisonError::into_inner).push(watch);
    }

    /// Commits what is pending now and waits until it is durable, or was refused.
    pub fn flush(&self) {
        for volume in self.shared.volumes.all().iter() {
            volume.flush();
        }
    }

    /// Says that the machine's clock is right although it jumped: retention goes on.
    pub fn confirm_clock(&self) {
        self.shared.confirm_clock();
    }

    /// Whether what earlier runs left open is sealed, and the timeline complete.
    #[must_use]
    pub fn is_recovered(&self) -> bool {
        !self.shared.is_recovering()
    }

    /// Makes pending drafts durable, ends the threads and releases the volumes. What is appended later is given back as [`Full`].
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        for volume in self.shared.volumes.all().iter() {
            lock(&volume.queue).closing = true;
            volume.work.notify_all();
            volume.chores.notify_all();
        }
        let Some(warden) = lock(&self.warden).take() else { return };
        lock(&self.shared.crew).iter().for_each(|(_, thread)| thread.thread().unpark());
        self.shared.dismiss_crews();
        self.shared.closed.store(true, Ordering::Release);
        warden.thread().unpark();
        if warden.join().is_err() {
            tracing::error!("the warden of the footage store panicked");
        }
        self.shared.lose_rest();
        for volume in self.shared.volumes.all().iter().filter(|volume| volume.is_home()) {
            Keeper { volume: Arc::clone(volume), shared: Arc::clone(&self.shared) }.save();
        }
        for volume in self.shared.volumes.all().iter() {
            volume.disk.release();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod promises;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod simulation;
