//! `powercut`: the store on real file systems whose power goes. Real fragments are written on a loop-mounted ext4 and XFS; the file
//! system is shut down without flushing its log, so that all that the kernel had not made durable is gone; it is mounted again, the
//! store opens, and what it serves is compared with what it had acknowledged. The journal lies on the same file system.
//!
//! What this cannot show is a disk that tears sectors or forgets its cache: `footage::simulation` shows that.

use crate::{figures::Figures, film, loop_disk::LoopDisk};
use anyhow::{Context, Result, ensure};
use index::{
    footage::{Draft, FragmentRef, Setup, Store, VolumeSetup},
    journal::Journal,
    model::{GapCause, NodeId, StreamId, UtcMicros, Window},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rustix::ioctl::{Setter, ioctl, opcode};
use std::{
    collections::{HashMap, HashSet},
    fs::File,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

const FILE_SYSTEMS: [&str; 2] = ["ext4", "xfs"];
const CAMERAS: u32 = 8;
/// Bytes of a second of a camera: half of 4 Mbit/s, so that two file systems at once keep a small machine's disk awake, not busy.
const SECOND_BYTES: usize = 250_000;
const CAPACITY: u64 = 448 << 20;
/// Small, so that sealing and beginning segments fall into the cuts too.
const SEGMENT: u64 = 4 << 20;
/// Power cuts after which an empty file system is begun with: what each leaves must fit.
const GENERATION: u32 = 20;
/// How long every second life lasts: it may be cut while it looks after what the last one left.
const SHORT_MS: std::ops::Range<u64> = 300..1800;
/// And the others.
const LONG_MS: std::ops::Range<u64> = 1800..4500;
/// How often the cameras are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long recovery may take before the run is given up.
const LIMIT: Duration = Duration::from_secs(60);

/// FS_IOC_SHUTDOWN of ext4 and XFS_IOC_GOINGDOWN are the same request, `_IOR('X', 125, __u32)`.
const SHUTDOWN: rustix::ioctl::Opcode = opcode::read::<u32>(b'X', 125);
/// Nothing is flushed first, not even the log.
const NO_LOG_FLUSH: u32 = 2;

/// What all cuts of a run came to.
#[derive(Default)]
pub(crate) struct Sums {
    pub(crate) cuts: u32,
    pub(crate) fragments: u64,
    pub(crate) bytes: u64,
    pub(crate) bytes_lost: u64,
    pub(crate) wrong_frames: u64,
    pub(crate) unexplained: Duration,
    pub(crate) lost_s: Vec<f64>,
    pub(crate) remount_ms: Vec<f64>,
    pub(crate) open_ms: Vec<f64>,
    pub(crate) recovery_ms: Vec<f64>,
}

/// `tests/measure powercut`.
pub(crate) fn powercut(cycles: u32, seed: u64) -> Result<()> {
    let folder = std::env::current_dir()?.join(".cache/measure/powercut");
    let mut figures = Figures::default();
    let mut skipped = 0.0;
    let runs: Vec<_> = std::thread::scope(|scope| {
        let run = |kind| {
            let folder = folder.join(kind);
            scope.spawn(move || cut_again_and_again(&folder, kind, cycles, seed))
        };
        let runs: Vec<_> = FILE_SYSTEMS.map(run).into_iter().collect();
        runs.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let mut all = Sums::default();
    for (kind, run) in FILE_SYSTEMS.into_iter().zip(runs) {
        match run.map_err(|_| anyhow::anyhow!("the run on {kind} panicked"))?? {
            Some(sums) => {
                sums.print(&format!("{kind}_"), &mut figures);
                all.add(sums);
            }
            None => skipped += 1.0,
        }
    }
    figures.add("seed", seed as f64, "seed");
    if all.cuts > 0 {
        all.print("", &mut figures);
    }
    figures.add("skipped", skipped, "file systems");
    figures.finish();
    Ok(())
}

/// So many power cuts of a file system of that kind, mounted below `folder`. `None`, with the reason printed, where this machine cannot.
pub(crate) fn cut_again_and_again(folder: &Path, kind: &str, cycles: u32, seed: u64) -> Result<Option<Sums>> {
    let disk = match LoopDisk::make(&folder.join("disk"), kind) {
        Ok(disk) => disk,
        Err(error) => {
            println!("skipped: {kind}: this machine mounts no {kind} on a loop device ({error:#})");
            return Ok(None);
        }
    };
    let mut sums = Sums::default();
    let mut random = StdRng::seed_from_u64(seed ^ kind.len() as u64);
    while sums.cuts < cycles {
        let mut generation = Generation::default();
        let last = (sums.cuts + GENERATION).min(cycles);
        while sums.cuts < last {
            let range = if sums.cuts % 2 == 0 { LONG_MS } else { SHORT_MS };
            let life = Duration::from_millis(random.random_range(range));
            generation.live(&disk.mount_point, Some(life), &mut sums).with_context(|| format!("{kind}, cut {}", sums.cuts))?;
            sums.cuts += 1;
            let began = Instant::now();
            disk.unmount()?;
            disk.mount()?;
            sums.remount_ms.push(began.elapsed().as_secs_f64() * 1e3);
        }
        // One more life, that is not cut, in which everything is read again.
        generation.live(&disk.mount_point, None, &mut sums).with_context(|| format!("{kind}, after cut {}", sums.cuts))?;
        disk.unmount()?;
        disk.format(kind)?;
        disk.mount()?;
    }
    Ok(Some(sums))
}

/// A fragment's name.
type Name = (StreamId, UtcMicros);

/// The lives of one file system, from its making on.
#[derive(Default)]
struct Generation {
    /// Seconds filmed so far: what is in each follows from its number.
    filmed: u64,
    sent: HashMap<Name, u64>,
    acknowledged: Arc<Mutex<Vec<(Name, u64)>>>,
    /// Of these, what is not there.
    lost: HashSet<Name>,
    /// So many were compared already by an earlier life.
    compared: usize,
    /// Of the lives that nobody looked at yet: when each began and was cut.
    cuts: Vec<Window>,
    first: Option<UtcMicros>,
}

impl Generation {
    /// Opens the store, films, compares what earlier lives left once that is known, and is cut after `life`; or ends in peace.
    fn live(&mut self, mount_point: &Path, life: Option<Duration>, sums: &mut Sums) -> Result<()> {
        let began = Instant::now();
        let node = NodeId::from_bytes([7; 16]);
        for part in ["state", "volume"] {
            std::fs::create_dir_all(mount_point.join(part))?;
        }
        let journal = Journal::open(&mount_point.join("journal"), node)?;
        let store = Store::open(setup(mount_point, node), Arc::clone(&journal))?;
        sums.open_ms.push(began.elapsed().as_secs_f64() * 1e3);
        let acknowledged = Arc::clone(&self.acknowledged);
        store.on_announced(Box::new(move |fragment| {
            let mut all = acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(((fragment.stream, fragment.window.from), fragment.bytes));
        }));
        let opened = UtcMicros::now();
        self.first.get_or_insert(opened);
        let mut cameras = (1..=CAMERAS).map(|number| Camera::begin(number, opened)).collect::<Result<Vec<_>>>()?;
        let mut compared = false;
        let mut filmed = Vec::new();
        loop {
            for camera in &mut cameras {
                filmed.extend(camera.film(&mut self.filmed, &mut self.sent));
            }
            for draft in filmed.drain(..) {
                let (stream, window) = (draft.stream, draft.window());
                if store.append(draft).is_err() {
                    store.lost(stream, window, GapCause::OurQueue, 1);
                }
            }
            if !compared && store.is_recovered() {
                compared = true;
                sums.recovery_ms.push(began.elapsed().as_secs_f64() * 1e3);
                self.compare(&store, &journal, life.is_none(), opened, sums)?;
            }
            match life {
                Some(life) if began.elapsed() >= life => break,
                None if compared => break,
                _ => ensure!(began.elapsed() < LIMIT, "the store did not recover within {} s", LIMIT.as_secs()),
            }
            std::thread::sleep(LOOK_EVERY);
        }
        if life.is_some() {
            let cut = UtcMicros::now();
            shut_down(mount_point)?;
            self.cuts.push(Window::new(opened, cut));
        }
        store.close();
        Ok(())
    }

    /// What the store holds, against what it said and what was filmed.
    fn compare(
        &mut self,
        store: &Arc<Store>,
        journal: &Arc<Journal>,
        whole: bool,
        opened: UtcMicros,
        sums: &mut Sums,
    ) -> Result<()> {
        let streams = (1..=CAMERAS).map(film::stream).collect::<Result<Vec<_>>>()?;
        let reader = film::reader(store, journal, &streams)?;
        let mut held: HashMap<Name, FragmentRef> = HashMap::new();
        for stream in &streams {
            held.extend(reader.fragments(*stream, Window::ALL).into_iter().map(|found| ((*stream, found.window.from), found)));
        }
        let acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut read = HashSet::new();
        let fresh = &acknowledged[self.compared..];
        sums.fragments += fresh.len() as u64;
        sums.bytes += fresh.iter().map(|(_, bytes)| bytes).sum::<u64>();
        for (name, bytes) in if whole { &acknowledged } else { fresh } {
            let right = held.get(name).is_some_and(|found| self.is_right(name, reader.fetch(found).ok()));
            if !right && self.lost.insert(*name) {
                eprintln!("{} of {} was acknowledged and is lost", name.0, name.1);
                sums.bytes_lost += bytes;
            }
            read.insert(*name);
        }
        // What was salvaged without having been acknowledged must be what was filmed, too.
        for (name, found) in held.iter().filter(|(name, _)| name.1 < opened && !read.contains(name)) {
            let fetched = reader.fetch(found).ok();
            sums.wrong_frames += u64::from(fetched.is_some() && !self.is_right(name, fetched));
        }
        self.compared = acknowledged.len();
        for life in self.cuts.drain(..) {
            for stream in &streams {
                let mine = held.keys().filter(|name| name.0 == *stream && name.1 >= life.from && name.1 < life.to);
                let end = mine.map(|name| name.1 + film::SECOND).max().unwrap_or(life.from);
                sums.lost_s.push(life.to.since(end).as_secs_f64());
            }
        }
        let known = Window::new(self.first.unwrap_or(opened), opened);
        for stream in &streams {
            sums.unexplained += store.tally(*stream, &[known])[0].gap(GapCause::Unexplained);
        }
        Ok(())
    }

    fn is_right(&self, name: &Name, fetched: Option<index::footage::Fragment>) -> bool {
        let (Some(fetched), Some(number)) = (fetched, self.sent.get(name)) else { return false };
        let filmed = film::second(name.0, name.1, *number, SECOND_BYTES);
        let units = fetched.units();
        units.len() == filmed.units.len() && units.iter().zip(&filmed.units).all(|(read, sent)| read.data == sent.data)
    }
}

/// One camera of a life: a second of film whenever one is over.
struct Camera {
    stream: StreamId,
    next: UtcMicros,
}

impl Camera {
    /// Its seconds begin when nobody else's do.
    fn begin(number: u32, opened: UtcMicros) -> Result<Self> {
        let stagger = film::SECOND * number / CAMERAS;
        Ok(Self { stream: film::stream(number)?, next: opened + stagger })
    }

    fn film(&mut self, filmed: &mut u64, sent: &mut HashMap<Name, u64>) -> Option<Draft> {
        let end = self.next + film::SECOND;
        if UtcMicros::now() < end {
            return None;
        }
        let (from, number) = (std::mem::replace(&mut self.next, end), *filmed);
        *filmed += 1;
        sent.insert((self.stream, from), number);
        Some(film::second(self.stream, from, number, SECOND_BYTES))
    }
}

fn setup(mount_point: &Path, node: NodeId) -> Setup {
    let volume = VolumeSetup { name: "disk-1".into(), path: mount_point.join("volume"), capacity: CAPACITY };
    let mut setup = Setup::new(node, mount_point.join("state"), vec![volume]);
    (setup.segment_bytes, setup.sub_segment_bytes) = (SEGMENT, 1 << 20);
    setup
}

/// The power of a file system goes: nothing that is not on its device by now ever will be.
fn shut_down(mount_point: &Path) -> Result<()> {
    let root = File::open(mount_point)?;
    #[expect(unsafe_code, reason = "the request has no safe wrapper; it reads one u32, which is what the setter holds")]
    unsafe { ioctl(&root, Setter::<SHUTDOWN, u32>::new(NO_LOG_FLUSH)) }
        .with_context(|| format!("shut down the file system at {}", mount_point.display()))
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.cuts += other.cuts;
        self.fragments += other.fragments;
        self.bytes += other.bytes;
        self.bytes_lost += other.bytes_lost;
        self.wrong_frames += other.wrong_frames;
        self.unexplained += other.unexplained;
        self.lost_s.extend(other.lost_s);
        self.remount_ms.extend(other.remount_ms);
        self.open_ms.extend(other.open_ms);
        self.recovery_ms.extend(other.recovery_ms);
    }

    fn print(&self, of: &str, figures: &mut Figures) {
        let mut add = |name: &str, value: f64, unit: &str| figures.add(&format!("{of}{name}"), value, unit);
        let max = |samples: &[f64]| samples.iter().copied().fold(0.0, f64::max);
        let mean = |samples: &[f64]| samples.iter().sum::<f64>() / samples.len().max(1) as f64;
        add("cycles", f64::from(self.cuts), "power cuts");
        add("acknowledged_fragments", self.fragments as f64, "fragments");
        add("acknowledged_bytes", self.bytes as f64, "bytes");
        add("acknowledged_bytes_lost", self.bytes_lost as f64, "bytes");
        add("wrong_frames", self.wrong_frames as f64, "fragments");
        add("unexplained_s", self.unexplained.as_secs_f64(), "s");
        add("lost_s_max", max(&self.lost_s), "s");
        add("lost_s_mean", mean(&self.lost_s), "s");
        add("remount_ms_max", max(&self.remount_ms), "ms");
        add("recording_ms_max", max(&self.open_ms), "ms");
        add("recovery_ms_max", max(&self.recovery_ms), "ms");
        add("recovery_ms_mean", mean(&self.recovery_ms), "ms");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_on_a_real_file_system_is_there_after_its_power_was_cut() {
        for kind in FILE_SYSTEMS {
            let folder = tempfile::tempdir().expect("a directory");
            let Some(sums) = cut_again_and_again(folder.path(), kind, 3, 1).expect("it runs") else { continue };
            assert!(sums.fragments > 0, "{kind}: nothing was acknowledged in three lives");
            assert_eq!((sums.bytes_lost, sums.wrong_frames), (0, 0), "{kind}: of {} bytes", sums.bytes);
            assert_eq!(sums.unexplained, Duration::ZERO, "{kind}: every gap has its cause");
        }
    }
}
