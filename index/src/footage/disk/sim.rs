//! A disk that behaves as badly as disks do, from a seed. What is written is visible at once and durable after a sync; a crash decides
//! for each sector of each unsynced write, on its own, whether the old bytes are there, the new ones, half of each, or zeros.

use super::{Disk, DiskFile};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

const SECTOR: usize = 512;

/// What goes wrong at the operation of that number, counted from the disk's making or the last crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::footage) enum Fault {
    /// The machine dies: this operation and all later ones fail, until [`SimDisk::crash`].
    Death,
    /// Half of a write is done, then it fails.
    ShortWrite,
    /// The disk refuses one operation.
    Error,
    /// The disk is full.
    NoSpace,
}

#[derive(Default)]
struct File {
    /// What a crash leaves for sure.
    durable: Vec<u8>,
    /// What is read.
    visible: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
    /// Whether its name survives a crash.
    named: bool,
}

impl File {
    fn settle(&mut self) {
        for (at, bytes) in std::mem::take(&mut self.pending) {
            self.durable[at..at + bytes.len()].copy_from_slice(&bytes);
        }
    }
}

struct State {
    files: BTreeMap<String, File>,
    /// Files whose removal is not durable.
    removed: Vec<(String, File)>,
    operations: u64,
    faults: Vec<(u64, Fault)>,
    dead: bool,
    room: u64,
    random: SmallRng,
    /// The simulation of a disk that forgets: syncs succeed and do nothing. For proving that the tests would notice.
    lies: bool,
}

/// See the module. Clones are the same disk.
#[derive(Clone)]
pub(in crate::footage) struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    pub(in crate::footage) fn new(seed: u64, room: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            removed: Vec::new(),
            operations: 0,
            faults: Vec::new(),
            dead: false,
            room,
            random: SmallRng::seed_from_u64(seed),
            lies: false,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans a fault `after` so many operations from now.
    pub(in crate::footage) fn plan(&self, after: u64, fault: Fault) {
        let mut state = self.state();
        let at = state.operations + after;
        state.faults.push((at, fault));
    }

    /// From now on syncs say yes and do nothing.
    pub(in crate::footage) fn lie(&self) {
        self.state().lies = true;
    }

    pub(in crate::footage) fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// The power goes, and comes back.
    pub(in crate::footage) fn crash(&self) {
        let mut guard = self.state();
        let state = &mut *guard;
        for file in state.files.values_mut() {
            for (offset, bytes) in std::mem::take(&mut file.pending) {
                for (i, sector) in bytes.chunks(SECTOR).enumerate() {
                    let at = offset + i * SECTOR;
                    let place = &mut file.durable[at..at + sector.len()];
                    match state.random.random_range(0..4) {
                        0 => {}
                        1 => place.copy_from_slice(sector),
                        2 => place[..sector.len() / 2].copy_from_slice(&sector[..sector.len() / 2]),
                        _ => place.fill(0),
                    }
                }
            }
            file.visible.copy_from_slice(&file.durable);
        }
        for (name, file) in std::mem::take(&mut state.removed) {
            if state.random.random() {
                state.files.insert(name, File { visible: file.durable.clone(), pending: vec![], ..file });
            }
        }
        let random = &mut state.random;
        state.files.retain(|_, file| file.named || random.random());
        (state.dead, state.lies, state.faults) = (false, false, Vec::new());
    }

    /// Flips a bit at rest.
    pub(in crate::footage) fn rot(&self, name: &str, offset: usize, bit: u8) {
        if let Some(file) = self.state().files.get_mut(name) {
            file.durable[offset] ^= 1 << bit;
            file.visible[offset] ^= 1 << bit;
        }
    }
}

impl State {
    /// Counts an operation and lets it fail if that is planned.
    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        match self.fault() {
            None | Some(Fault::ShortWrite) => Ok(()),
            Some(Fault::NoSpace) => Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::Error | Fault::Death) => Err(io::Error::from_raw_os_error(5)),
        }
    }

    fn fault(&mut self) -> Option<Fault> {
        let now = self.operations;
        let fault = self.faults.iter().find(|(at, _)| *at == now).map(|(_, fault)| *fault);
        self.dead |= fault == Some(Fault::Death);
        if self.dead { Some(Fault::Death) } else { fault }
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        self.files.get_mut(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for SimDisk {
    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.step()?;
        state.room = state.room.checked_sub(len).ok_or(io::ErrorKind::StorageFull)?;
        let zeros = vec![0; len as usize];
        state.files.insert(name.to_owned(), File { durable: zeros.clone(), visible: zeros, pending: vec![], named: false });
        Ok(Arc::new(SimFile { disk: self.clone(), name: name.to_owned() }))
    }

    fn punch(&self, name: &str, from: u64, to: u64) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.room += to - from;
        let file = state.file(name)?;
        file.visible[from as usize..to as usize].fill(0);
        file.pending.push((from as usize, vec![0; (to - from) as usize]));
        Ok(())
    }

    fn refill(&self, name: &str, _: u64) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.file(name).map(drop)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.state().file(name)?;
        Ok(Arc::new(SimFile { disk: self.clone(), name: name.to_owned() }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let prefix = format!("{dir}/");
        Ok(self.state().files.keys().filter_map(|name| name.strip_prefix(&prefix)).map(str::to_owned).collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let file = state.files.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.room += file.visible.len() as u64;
        state.removed.push((name.to_owned(), file));
        Ok(())
    }

    fn sync_dir(&self, _: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.removed.clear();
        state.files.values_mut().for_each(|file| file.named = true);
        Ok(())
    }

    fn read_small(&self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self.state().file(name)?.visible.clone())
    }

    fn replace_small(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let file = File { durable: bytes.to_vec(), visible: bytes.to_vec(), pending: vec![], named: true };
        state.files.insert(name.to_owned(), file);
        Ok(())
    }

    fn sync_written(&self, _: &[Arc<dyn DiskFile>]) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if !state.lies {
            state.files.values_mut().for_each(File::settle);
        }
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
            bytes.as_ptr().align_offset(4096) == 0 && bytes.len().is_multiple_of(4096) && offset.is_multiple_of(4096),
            "direct I/O"
        );
        let mut state = self.disk.state();
        let failed = state.step();
        // A write that fails, or is cut by the machine's death, may have reached the disk in part.
        let short = state.faults.iter().any(|(at, fault)| *at == state.operations && *fault == Fault::ShortWrite);
        let part = if failed.is_err() || short { bytes.len() / 2 } else { bytes.len() };
        let file = state.file(&self.name)?;
        let at = offset as usize;
        file.visible[at..at + part].copy_from_slice(&bytes[..part]);
        file.pending.push((at, bytes[..part].to_vec()));
        failed?;
        if short { Err(io::ErrorKind::WriteZero.into()) } else { Ok(()) }
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let visible = &state.file(&self.name)?.visible;
        let at = offset as usize;
        bytes.copy_from_slice(visible.get(at..at + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step()?;
        state.file(&self.name)?.settle();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().file(&self.name)?.visible.len() as u64)
    }
}
