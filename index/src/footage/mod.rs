//! The footage store: encoded video, appended once, never rewritten.
//!
//! Cameras write all day and operators read minutes of it. So writing only ever appends; one sync a second makes all cameras of a disk
//! durable at once; and the map from time to offset is small and can be rebuilt from the files. [`format`] describes the
//! bytes, [`writer`] the way to disk, [`recovery`] what is believed after a crash, [`ledger`] how each second gets a cause.
//!
//! It has its own threads, two a volume, and no runtime: it may be called from anywhere, and nothing here waits except
//! [`Store::flush`] and [`Store::close`].

mod catalogue;
mod checkpoint;
mod disk;
mod fare;
mod format;
mod fragment;
mod keeper;
mod ledger;
pub mod mp4;
mod planted;
mod pool;
mod reader;
mod recovery;
mod retention;
mod segment;
mod shared;
mod spans;
pub mod tools;
mod types;
mod volume;
mod volumes;
mod world;
mod writer;

pub use fragment::Fragment;
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
use disk::{Disk, RealDisk};
use format::BLOCK;
use keeper::Keeper;
use ledger::{Facts, Ledger, Notebook};
use pool::{Pool, Size};
use reader::Cache;
use shared::Shared;
use std::{
    fs::File,
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};
use volume::{Identity, Volume, lock};
use world::{Machine, World};
use writer::Writer;

/// The footage of one node. See the module.
pub struct Store {
    shared: Arc<Shared>,
    cache: Arc<Cache>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held, not read: a lock goes with its file.
    locks: Mutex<Vec<File>>,
}

impl Store {
    /// Opens the store and is ready to record at once, whatever it holds: what an earlier run left open is sealed in the background,
    /// and [`VolumeHealth::recovering`] says until when the timeline may be incomplete.
    ///
    /// # Errors
    /// [`OpenError`] says which volume, what is wrong with it, and is fit for an operator. Nothing was changed then,
    /// except that volumes before it may have been prepared.
    pub fn open(setup: Setup, journal: Arc<Journal>) -> Result<Arc<Self>, OpenError> {
        let mut disks: Vec<Arc<dyn Disk>> = Vec::new();
        let mut locks = Vec::new();
        for volume in &setup.volumes {
            locks.push(lock_volume(volume)?);
            let disk = RealDisk::new(&volume.path).map_err(|source| refuse(volume, source))?;
            disks.push(Arc::new(disk));
        }
        Self::open_on(setup, disks, locks, journal)
    }

    fn open_on(
        setup: Setup,
        disks: Vec<Arc<dyn Disk>>,
        locks: Vec<File>,
        notebook: Arc<dyn Notebook>,
    ) -> Result<Arc<Self>, OpenError> {
        let world: Arc<dyn World> = Arc::new(Machine);
        let ledger = Ledger::open(&setup.state_dir, notebook, Arc::clone(&world));
        let (shared, leftovers) = Shared::open(setup, disks, ledger, world)?;
        let store = Self { shared: Arc::new(shared), cache: Arc::default(), threads: Mutex::default(), locks: Mutex::new(locks) };
        for (volume, leftovers) in store.shared.volumes.all().iter().zip(leftovers) {
            let writer = Writer::new(Arc::clone(volume), Arc::clone(&store.shared));
            let keeper = Keeper { volume: Arc::clone(volume), shared: Arc::clone(&store.shared) };
            // A first few files at once: the rest of the pool grows while recording goes on.
            keeper.grow(4);
            let failed = |source| refuse_at(volume, source);
            let named = |role: &str| std::thread::Builder::new().name(format!("{role}-{}", volume.index));
            let threads = [
                named("writer").spawn(move || writer::run(writer)).map_err(failed)?,
                named("keeper").spawn(move || keeper.run(leftovers)).map_err(failed)?,
            ];
            lock(&store.threads).extend(threads);
        }
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
        self.shared.ledger.mark(stream, at, cause, detail, self.recorded_to(stream));
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
        let now = self.shared.world.now();
        self.shared
            .ledger
            .with(stream, |story, restarts| ledger::tile(&Facts { window, recorded: &recorded, story, restarts, now }))
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
            volumes: shared.volumes.all().iter().map(|volume| volume.health()).collect(),
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
        self.shared.volumes.all().iter().all(|volume| !volume.recovering.load(Ordering::Acquire))
    }

    /// Makes pending drafts durable, ends the threads and releases the volumes. What is appended later is given back as [`Full`].
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        for volume in self.shared.volumes.all().iter() {
            lock(&volume.queue).closing = true;
            volume.work.notify_all();
            volume.chores.notify_all();
        }
        let threads = std::mem::take(&mut *lock(&self.threads));
        let any = !threads.is_empty();
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the footage store panicked");
            }
        }
        if any {
            for volume in self.shared.volumes.all().iter() {
                Keeper { volume: Arc::clone(volume), shared: Arc::clone(&self.shared) }.save();
            }
        }
        lock(&self.locks).clear();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

/// Takes the volume for this process, for as long as the file is open.
fn lock_volume(volume: &VolumeSetup) -> Result<File, OpenError> {
    let (name, path) = (volume.name.clone(), volume.path.clone());
    match std::fs::metadata(&volume.path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(OpenError::Missing { volume: name, path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OpenError::Missing { volume: name, path }),
        Err(source) => return Err(refuse(volume, source)),
    }
    let file = File::options().create(true).truncate(false).write(true).open(volume.path.join("lock"));
    let file = file.map_err(|source| refuse(volume, source))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked { volume: name, path }),
        Err(error) => Err(refuse(volume, error.into())),
    }
}

/// What the system said about a volume, as an [`OpenError`].
fn refuse(volume: &VolumeSetup, source: io::Error) -> OpenError {
    refusal(&volume.name, &volume.path, source)
}

fn refuse_at(volume: &Volume, source: io::Error) -> OpenError {
    refusal(&volume.name, &volume.path, source)
}

fn refusal(name: &str, path: &Path, source: io::Error) -> OpenError {
    let (volume, path) = (name.to_owned(), path.to_owned());
    match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => OpenError::Permission { volume, path },
        io::ErrorKind::StorageFull => OpenError::Full { volume, path, free: 0, needed: 0 },
        _ => OpenError::Io { volume, path, source },
    }
}

impl Shared {
    /// Opens every volume. See [`Store::open`].
    fn open(
        setup: Setup,
        disks: Vec<Arc<dyn Disk>>,
        ledger: Ledger,
        world: Arc<dyn World>,
    ) -> Result<(Self, Vec<keeper::Leftovers>), OpenError> {
        if setup.volumes.is_empty() {
            return Err(OpenError::NoVolume);
        }
        for bytes in [setup.segment_bytes, setup.sub_segment_bytes] {
            if bytes % BLOCK as u64 != 0 || !(1 << 20..=1 << 30).contains(&bytes) {
                return Err(OpenError::SegmentSize(bytes));
            }
        }
        let mut volumes = Vec::new();
        for ((index, volume), disk) in setup.volumes.iter().enumerate().zip(disks) {
            let fresh = (u128::from(world.random()) << 64 | u128::from(world.random())).to_le_bytes();
            let identity = Identity::read_or_make(&*disk, setup.node, fresh).map_err(|source| refuse(volume, source))?;
            let (name, path) = (volume.name.clone(), volume.path.clone());
            let identity = identity.map_err(|reason| OpenError::Foreign { volume: name, path, reason })?;
            let pool = Pool::new(setup.segment_bytes, setup.sub_segment_bytes, volume.capacity);
            volumes.push(Arc::new(Volume::new(index as u16, volume, disk, identity.id, pool, setup.queue_bytes)));
        }
        let shared = Self::new(setup, volumes, ledger, world);
        let mut leftovers = Vec::new();
        for volume in shared.volumes.all().iter() {
            leftovers.push(keeper::open(volume, &shared).map_err(|source| refuse_at(volume, source))?);
            shared.check_room(volume)?;
        }
        shared.settle_places();
        Ok((shared, leftovers))
    }

    /// A volume without a segment and without room for one is refused.
    fn check_room(&self, volume: &Volume) -> Result<(), OpenError> {
        let (total, needed) = {
            let pool = lock(&volume.pool);
            (pool.total(), pool.bytes_of(Size::Main))
        };
        let listed = volume.disk.list("segs").map_err(|source| refuse_at(volume, source))?.len();
        let free = volume.disk.free_bytes().map_err(|source| refuse_at(volume, source))?;
        if total + listed == 0 && free < needed {
            return Err(OpenError::Full { volume: volume.name.clone(), path: volume.path.clone(), free, needed });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
