//! A disk that behaves as badly as disks do, from a seed. What is written is visible at once and durable after a sync; a crash
//! decides for each 512-byte sector of each unsynced write, on its own, whether the old bytes are there, the new ones, half of
//! each, zeros, or what stood there before the old ones. Beside that it refuses, stalls, writes short, loses what a failed sync
//! was to make durable, writes and reads at the wrong place, flips bits, and dies.
//!
//! Files are pages of 4 KiB that share what did not change, so a volume of many megabytes costs what was written to it.

use super::{Disk, DiskFile};
use crate::footage::volume::segment_number;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

const SECTOR: usize = 512;
const PAGE: usize = 4096;

/// What goes wrong at the operation of that number, counted from the disk's making or the last crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::footage) enum Fault {
    /// The machine dies: this operation and all later ones, of all disks on the same power, fail until [`SimDisk::crash`].
    Death,
    /// Half of a write is done, then it fails.
    ShortWrite,
    /// The disk refuses one operation.
    Error,
    /// The disk is full.
    NoSpace,
    /// The operation takes so many seconds, and succeeds.
    Stall(u32),
    /// The next sync fails, what it was to make durable never reaches the disk although it can be read, and later syncs succeed.
    LostSync,
    /// The next write lands on another place of another file, and succeeds.
    MisdirectedWrite,
    /// The next read gets the bytes of another place, once.
    MisdirectedRead,
    /// This disk dies for good.
    Gone,
}

type Page = Option<Arc<[u8; PAGE]>>;

#[derive(Clone, Default)]
struct File {
    /// What a crash leaves for sure.
    durable: Vec<Page>,
    /// What is read.
    visible: Vec<Page>,
    /// What stood in a page before its last sync.
    before: BTreeMap<usize, Page>,
    /// Page by page, in the order in which they were written.
    pending: Vec<(usize, Page)>,
    /// Pages that a fault of the disk changed or kept from changing, and that were not written since.
    spoiled: BTreeSet<usize>,
    /// Whether its name survives a crash.
    named: bool,
}

impl File {
    fn settle(&mut self) {
        for (at, page) in std::mem::take(&mut self.pending) {
            let old = std::mem::replace(&mut self.durable[at], page);
            self.before.insert(at, old);
        }
    }
}

struct State {
    files: BTreeMap<String, File>,
    small: BTreeMap<String, Vec<u8>>,
    /// Files whose removal is not durable.
    removed: Vec<(String, File)>,
    operations: u64,
    faults: Vec<(u64, Fault)>,
    /// Wait for the next operation that they concern.
    armed: Vec<Fault>,
    power: Arc<AtomicBool>,
    gone: bool,
    room: u64,
    random: SmallRng,
    /// The simulation of a disk that forgets: syncs succeed and do nothing. For proving that the tests would notice.
    lies: bool,
    /// A sync failed since the last crash: what is read need not be on the disk, and nobody can know any more.
    forgot: bool,
    /// What a stall calls.
    wait: Option<Arc<dyn Fn(Duration) + Send + Sync>>,
    /// A digest of every operation so far: two runs of a seed agree in it.
    trace: u64,
}

/// See the module. Clones are the same disk.
#[derive(Clone)]
pub(in crate::footage) struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    /// A disk on a power supply of its own.
    pub(in crate::footage) fn new(seed: u64, room: u64) -> Self {
        Self::on(seed, room, Arc::new(AtomicBool::new(true)), None)
    }

    /// A disk of a machine: `power` is that of all its disks, `wait` is called where the disk takes its time.
    pub(in crate::footage) fn on(
        seed: u64,
        room: u64,
        power: Arc<AtomicBool>,
        wait: Option<Arc<dyn Fn(Duration) + Send + Sync>>,
    ) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            small: BTreeMap::new(),
            removed: Vec::new(),
            operations: 0,
            faults: Vec::new(),
            armed: Vec::new(),
            power,
            gone: false,
            room,
            random: SmallRng::seed_from_u64(seed),
            lies: false,
            forgot: false,
            wait,
            trace: 0,
        })))
    }

    /// A disk of its own with the same bytes, on a power supply of its own.
    pub(in crate::footage) fn fork(&self) -> Self {
        let state = self.state();
        let fork = Self::on(0, state.room, Arc::new(AtomicBool::new(true)), None);
        {
            let mut other = fork.state();
            other.files.clone_from(&state.files);
            other.small.clone_from(&state.small);
        }
        drop(state);
        fork
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans a fault `after` so many operations from now.
    pub(in crate::footage) fn plan(&self, after: u64, fault: Fault) {
        let mut state = self.state();
        let at = state.operations + after + 1;
        state.faults.push((at, fault));
    }

    /// From now on syncs say yes and do nothing.
    pub(in crate::footage) fn lie(&self) {
        self.state().lies = true;
    }

    pub(in crate::footage) fn is_dead(&self) -> bool {
        let state = self.state();
        state.gone || !state.power.load(Ordering::Relaxed)
    }

    /// The digest of everything that was done to it.
    pub(in crate::footage) fn trace(&self) -> u64 {
        self.state().trace
    }

    /// Whether a fault of the disk is at fault for what stands in that stretch of a file.
    pub(in crate::footage) fn is_spoiled(&self, name: &str, from: u64, to: u64) -> bool {
        let state = self.state();
        let pages = from as usize / PAGE..(to as usize).div_ceil(PAGE);
        state.gone || state.files.get(name).is_some_and(|file| file.spoiled.range(pages).next().is_some())
    }

    /// The segments in which [`SimDisk::is_spoiled`] may say yes; `None` if it says so of all.
    pub(in crate::footage) fn spoiled_files(&self) -> Option<BTreeSet<u32>> {
        let state = self.state();
        let spoiled = || state.files.iter().filter(|(_, file)| !file.spoiled.is_empty());
        let number = |name: &str| segment_number(name.strip_prefix("segs/")?);
        (!state.gone).then(|| spoiled().filter_map(|(name, _)| number(name)).collect())
    }

    /// The power goes, and comes back.
    pub(in crate::footage) fn crash(&self) {
        let mut guard = self.state();
        let state = &mut *guard;
        for file in state.files.values_mut() {
            for (at, new) in std::mem::take(&mut file.pending) {
                let bytes = |page: &Page| page.as_deref().copied().unwrap_or([0; PAGE]);
                let (old, new, stale) = (bytes(&file.durable[at]), bytes(&new), file.before.get(&at).map_or([0; PAGE], bytes));
                let mut mixed = old;
                for sector in (0..PAGE).step_by(SECTOR) {
                    let (half, all) = (sector..sector + SECTOR / 2, sector..sector + SECTOR);
                    match state.random.random_range(0..5) {
                        0 => {}
                        1 => mixed[all.clone()].copy_from_slice(&new[all]),
                        2 => mixed[half.clone()].copy_from_slice(&new[half]),
                        3 => mixed[all].fill(0),
                        _ => mixed[all.clone()].copy_from_slice(&stale[all]),
                    }
                }
                file.durable[at] = Some(Arc::new(mixed));
            }
            file.visible.clone_from(&file.durable);
        }
        for (name, file) in std::mem::take(&mut state.removed) {
            if state.random.random() && !state.files.contains_key(&name) {
                state.files.insert(name, File { visible: file.durable.clone(), pending: vec![], ..file });
            }
        }
        let random = &mut state.random;
        // A name that is there after a crash is on the disk.
        state.files.retain(|_, file| {
            file.named = file.named || random.random();
            file.named
        });
        (state.lies, state.forgot) = (false, false);
        state.start_anew();
    }

    /// The process ends and the machine goes on: what it wrote is read by the next one, whether it is durable or not. `false` if a sync
    /// has failed, after which a process that does not know of it would read what is not on the disk.
    pub(in crate::footage) fn leave(&self) -> bool {
        let mut state = self.state();
        if state.forgot {
            return false;
        }
        state.start_anew();
        true
    }

    /// What a stretch of a file reads as. `None` if it is not there.
    pub(in crate::footage) fn peek(&self, name: &str, from: u64, len: usize) -> Option<Vec<u8>> {
        let state = self.state();
        let file = state.files.get(name)?;
        let mut bytes = Vec::with_capacity(len);
        let mut at = from as usize;
        while bytes.len() < len {
            let (page, within) = (at / PAGE, at % PAGE);
            let some = (PAGE - within).min(len - bytes.len());
            match file.visible.get(page)? {
                Some(page) => bytes.extend_from_slice(&page[within..within + some]),
                None => bytes.resize(bytes.len() + some, 0),
            }
            at += some;
        }
        Some(bytes)
    }

    /// Flips a bit at rest; in a small file too.
    pub(in crate::footage) fn rot(&self, name: &str, offset: usize, bit: u8) {
        let mut state = self.state();
        if let Some(bytes) = state.small.get_mut(name) {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= 1 << bit;
            }
        } else if let Some(file) = state.files.get_mut(name) {
            let (page, at) = (offset / PAGE, offset % PAGE);
            for pages in [&mut file.durable, &mut file.visible] {
                let mut bytes = pages[page].as_deref().copied().unwrap_or([0; PAGE]);
                bytes[at] ^= 1 << bit;
                pages[page] = Some(Arc::new(bytes));
            }
            file.spoiled.insert(page);
        }
    }

    /// Flips a bit somewhere in what was written.
    pub(in crate::footage) fn rot_anywhere(&self) {
        let mut state = self.state();
        let written = |file: &File| file.visible.iter().filter(|page| page.is_some()).count();
        let total: usize = state.files.values().map(written).sum();
        if total == 0 {
            return;
        }
        let (mut nth, at, bit) =
            (state.random.random_range(0..total), state.random.random_range(0..PAGE), state.random.random_range(0..8));
        let mut found = None;
        for (name, file) in &state.files {
            let pages = written(file);
            if nth < pages {
                let page = file.visible.iter().enumerate().filter(|(_, page)| page.is_some()).nth(nth).map(|(page, _)| page);
                found = page.map(|page| (name.clone(), page * PAGE + at));
                break;
            }
            nth -= pages;
        }
        drop(state);
        if let Some((name, offset)) = found {
            self.rot(&name, offset, bit);
        }
    }
}

impl State {
    fn settle_names(&mut self) {
        self.removed.clear();
        self.files.values_mut().for_each(|file| file.named = true);
    }

    fn start_anew(&mut self) {
        (self.faults, self.armed) = (Vec::new(), Vec::new());
        self.power.store(true, Ordering::Relaxed);
    }

    /// Counts an operation and lets it fail if that is planned.
    fn step(&mut self, what: u64) -> io::Result<()> {
        self.operations += 1;
        self.trace = self.trace.rotate_left(5).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ what;
        let now = self.operations;
        let due: Vec<Fault> = self.faults.iter().filter(|(at, _)| *at == now).map(|(_, fault)| *fault).collect();
        let mut result = Ok(());
        for fault in due {
            match fault {
                Fault::Death => self.power.store(false, Ordering::Relaxed),
                Fault::Gone => self.gone = true,
                Fault::NoSpace => result = Err(io::ErrorKind::StorageFull.into()),
                Fault::Error => result = Err(io::Error::from_raw_os_error(5)),
                Fault::Stall(seconds) => {
                    if let Some(wait) = &self.wait {
                        wait(Duration::from_secs(seconds.into()));
                    }
                }
                Fault::ShortWrite | Fault::LostSync | Fault::MisdirectedWrite | Fault::MisdirectedRead => self.armed.push(fault),
            }
        }
        self.alive().and(result)
    }

    fn alive(&self) -> io::Result<()> {
        match self.gone || !self.power.load(Ordering::Relaxed) {
            true => Err(io::Error::from_raw_os_error(5)),
            false => Ok(()),
        }
    }

    /// Takes an armed fault of that kind.
    fn take(&mut self, fault: Fault) -> bool {
        let at = self.armed.iter().position(|other| *other == fault);
        at.map(|at| self.armed.remove(at)).is_some()
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        self.files.get_mut(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Some place of some file.
    fn anywhere(&mut self) -> Option<(String, usize)> {
        let nth = self.random.random_range(0..self.files.len().max(1));
        let (name, pages) = self.files.iter().nth(nth).map(|(name, file)| (name.clone(), file.visible.len()))?;
        (pages > 0).then(|| (name, self.random.random_range(0..pages)))
    }

    /// Makes everything durable that is pending in `files` (all, where there is none named).
    fn sync(&mut self, name: Option<&str>) -> io::Result<()> {
        let stepped = self.step(2);
        let lost = self.take(Fault::LostSync);
        let lies = self.lies;
        let files = self.files.iter_mut().filter(|(file, _)| name.is_none_or(|name| name == *file));
        if lost {
            // What was dirty is clean now, and nowhere but in memory.
            self.forgot = true;
            files.for_each(|(_, file)| file.pending.clear());
            return Err(io::Error::from_raw_os_error(5));
        }
        stepped?;
        if !lies {
            files.for_each(|(_, file)| file.settle());
        }
        Ok(())
    }
}

impl Disk for SimDisk {
    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.step(3)?;
        state.room = state.room.checked_sub(len).ok_or(io::ErrorKind::StorageFull)?;
        let zeros = vec![None; len as usize / PAGE];
        state.files.insert(name.to_owned(), File { durable: zeros.clone(), visible: zeros, ..File::default() });
        Ok(Arc::new(SimFile { disk: self.clone(), name: name.to_owned() }))
    }

    fn punch(&self, name: &str, from: u64, to: u64) -> io::Result<()> {
        let mut state = self.state();
        state.step(4)?;
        state.room += to - from;
        let file = state.file(name)?;
        for page in from as usize / PAGE..to as usize / PAGE {
            file.visible[page] = None;
            file.pending.push((page, None));
        }
        Ok(())
    }

    fn refill(&self, name: &str, _: u64) -> io::Result<()> {
        let mut state = self.state();
        state.step(5)?;
        state.file(name).map(drop)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.alive()?;
        state.file(name)?;
        Ok(Arc::new(SimFile { disk: self.clone(), name: name.to_owned() }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let prefix = format!("{dir}/");
        let state = self.state();
        state.alive()?;
        Ok(state.files.keys().filter_map(|name| name.strip_prefix(&prefix)).map(str::to_owned).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step(6)?;
        if state.small.remove(name).is_some() {
            return Ok(());
        }
        let file = state.files.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.room += (file.visible.len() * PAGE) as u64;
        state.removed.push((name.to_owned(), file));
        Ok(())
    }

    fn sync_dir(&self, _: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step(7)?;
        state.settle_names();
        Ok(())
    }

    fn read_small(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.state();
        state.alive()?;
        state.small.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn replace_small(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        // What a machine without power still believes to do is not done.
        state.alive()?;
        let stepped = state.step(8);
        // Refused, or cut by the machine's death: the new one may be there all the same. Never a mixture.
        if stepped.is_ok() || (!state.gone && state.random.random_ratio(1, 3)) {
            state.small.insert(name.to_owned(), bytes.to_vec());
        }
        stepped
    }

    fn sync_written(&self, _: &[Arc<dyn DiskFile>]) -> io::Result<()> {
        self.state().sync(None)
    }

    fn settle(&self) -> io::Result<()> {
        let mut state = self.state();
        state.sync(None)?;
        state.settle_names();
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.state().room)
    }

    fn is_direct(&self) -> bool {
        true
    }
}

struct SimFile {
    disk: SimDisk,
    name: String,
}

impl DiskFile for SimFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        assert!(
            bytes.as_ptr().align_offset(PAGE) == 0 && bytes.len().is_multiple_of(PAGE) && offset.is_multiple_of(PAGE as u64),
            "direct I/O"
        );
        let mut state = self.disk.state();
        state.alive()?;
        let failed = state.step(offset ^ (bytes.len() as u64) << 32);
        if state.gone {
            return failed;
        }
        let short = state.take(Fault::ShortWrite);
        let pages = bytes.len() / PAGE;
        // A write that fails, or is cut by the machine's death, may have reached the disk in part.
        let part = if failed.is_err() || short { pages / 2 } else { pages };
        let mut place = (self.name.clone(), offset as usize / PAGE);
        if state.take(Fault::MisdirectedWrite)
            && let Some(other) = state.anywhere()
        {
            let file = state.file(&self.name)?;
            file.spoiled.extend(place.1..place.1 + pages);
            place = other;
            let file = state.file(&place.0)?;
            let end = (place.1 + pages).min(file.visible.len());
            file.spoiled.extend(place.1..end);
        } else {
            let file = state.file(&self.name)?;
            for page in place.1..place.1 + part {
                file.spoiled.remove(&page);
            }
        }
        let file = state.file(&place.0)?;
        for (i, bytes) in bytes.chunks_exact(PAGE).take(part).enumerate() {
            if let (Some(slot), Ok(bytes)) = (file.visible.get_mut(place.1 + i), bytes.try_into()) {
                let page: Page = Some(Arc::new(bytes));
                slot.clone_from(&page);
                file.pending.push((place.1 + i, page));
            }
        }
        failed?;
        if short { Err(io::ErrorKind::WriteZero.into()) } else { Ok(()) }
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.alive()?;
        let (mut name, mut at) = (self.name.clone(), offset as usize);
        if state.take(Fault::MisdirectedRead)
            && let Some((other, page)) = state.anywhere()
        {
            (name, at) = (other, page * PAGE);
        }
        let file = state.file(&name)?;
        let mut filled = 0;
        while filled < bytes.len() {
            let (page, within) = (at / PAGE, at % PAGE);
            let some = (PAGE - within).min(bytes.len() - filled);
            let into = &mut bytes[filled..filled + some];
            match file.visible.get(page).ok_or(io::ErrorKind::UnexpectedEof)? {
                Some(page) => into.copy_from_slice(&page[within..within + some]),
                None => into.fill(0),
            }
            filled += some;
            at += some;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.state().sync(Some(&self.name))
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.alive()?;
        Ok((state.file(&self.name)?.visible.len() * PAGE) as u64)
    }
}
