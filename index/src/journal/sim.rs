//! A disk in memory that loses power and lies about syncs when it is told to, from a seed: what simulations of a whole district run
//! journals and their copies on, because no real disk can be asked to. It is public, and no test's own, because such simulations are
//! other crates' too.

use super::lock;
use super::medium::{LogFile, Medium, Use};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// What a write is torn into when the power goes.
const SECTOR: usize = 512;

/// One simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

struct State {
    dirs: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, u64>,
    files: HashMap<u64, Content>,
    operations: u64,
    power_cut_at: Option<u64>,
    sync_fails_at: Option<u64>,
    dice: StdRng,
}

impl SimDisk {
    /// An empty disk; the seed decides what of unsynced writes survives.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            dirs: BTreeSet::new(),
            names: BTreeMap::new(),
            files: HashMap::new(),
            operations: 0,
            power_cut_at: None,
            sync_fails_at: None,
            dice: StdRng::seed_from_u64(seed),
        })))
    }

    /// How many operations it was asked for.
    #[must_use]
    pub fn operations(&self) -> u64 {
        lock(&self.0).operations
    }

    /// The operation of that number, counted from 1, and all after it find the power gone.
    pub fn cut_power_at(&self, operation: u64) {
        lock(&self.0).power_cut_at = Some(operation);
    }

    /// The operation of that number fails if it is a sync, and what was pending with it may or may not be lost.
    pub fn fail_sync_at(&self, operation: u64) {
        lock(&self.0).sync_fails_at = Some(operation);
    }

    /// The power is back, if it was gone; whatever was not synced is there, not there, or there in part.
    pub fn restart(&self) {
        let mut state = lock(&self.0);
        (state.power_cut_at, state.sync_fails_at) = (None, None);
        let State { files, dice, .. } = &mut *state;
        let mut ids: Vec<u64> = files.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            files.entry(id).and_modify(|file| file.lose(dice));
        }
    }

    /// Its root, as the journal sees a directory.
    pub(super) fn medium(&self) -> Arc<dyn Medium> {
        Arc::new(SimDir { disk: self.clone(), at: PathBuf::from("sim") })
    }
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimDisk").field("operations", &self.operations()).finish_non_exhaustive()
    }
}

impl State {
    /// Counts an operation; fails from the power cut on.
    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        let off = self.power_cut_at.is_some_and(|at| self.operations >= at);
        if off { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }

    fn file(&mut self, id: u64) -> &mut Content {
        self.files.entry(id).or_default()
    }
}

/// A file's bytes as they read now, and how to go back to what is durable.
#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    pending: Vec<Write>,
}

struct Write {
    offset: usize,
    new: Vec<u8>,
    /// What stood there, as far as the file reached, and how long it was.
    old: Vec<u8>,
    old_len: usize,
}

impl Content {
    fn write(&mut self, offset: usize, new: &[u8]) {
        let old_len = self.bytes.len();
        let old = self.bytes[offset.min(old_len)..(offset + new.len()).min(old_len)].to_vec();
        self.pending.push(Write { offset, new: new.to_vec(), old, old_len });
        put(&mut self.bytes, offset, new);
    }

    /// Each sector that was not synced: new, old, or half of each.
    fn lose(&mut self, dice: &mut StdRng) {
        let pending = std::mem::take(&mut self.pending);
        for write in pending.iter().rev() {
            self.bytes.truncate(write.old_len);
            put(&mut self.bytes, write.offset.min(write.old_len), &write.old);
        }
        for write in pending {
            for (n, sector) in write.new.chunks(SECTOR).enumerate() {
                let at = write.offset + n * SECTOR;
                match dice.random_range(0..5) {
                    0 | 1 => put(&mut self.bytes, at, sector),
                    2 => put(&mut self.bytes, at, &sector[..dice.random_range(0..sector.len())]),
                    3 => put(&mut self.bytes, at, &vec![0; sector.len()]),
                    _ => {}
                }
            }
        }
    }
}

fn put(into: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    into.resize(into.len().max(at + bytes.len()), 0);
    into[at..at + bytes.len()].copy_from_slice(bytes);
}

struct SimDir {
    disk: SimDisk,
    at: PathBuf,
}

impl Medium for SimDir {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = lock(&self.disk.0);
        state.step()?;
        let ours = |path: &Path| {
            (path.parent() == Some(&self.at)).then(|| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        };
        Ok(state.dirs.iter().chain(state.names.keys()).filter_map(|path| ours(path).flatten()).collect())
    }

    fn open(&self, name: &str, _to: Use) -> io::Result<Box<dyn LogFile>> {
        let mut state = lock(&self.disk.0);
        state.step()?;
        let id = state.names.get(&self.at.join(name)).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(SimFile(self.disk.clone(), id)))
    }

    fn create(&self, name: &str, _reserve: u64) -> io::Result<Box<dyn LogFile>> {
        let mut state = lock(&self.disk.0);
        state.step()?;
        let id = state.operations;
        let replaced = state.names.insert(self.at.join(name), id);
        replaced.map(|id| state.files.remove(&id));
        state.files.insert(id, Content::default());
        Ok(Box::new(SimFile(self.disk.clone(), id)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = lock(&self.disk.0);
        let done = state.step();
        // A rename that met the power cut may have happened or not.
        if done.is_ok() || state.dice.random() {
            let (from, to) = (self.at.join(from), self.at.join(to));
            if let Some(id) = state.names.remove(&from) {
                let replaced = state.names.insert(to, id);
                replaced.map(|id| state.files.remove(&id));
            } else if state.dirs.remove(&from) {
                let moved = |path: &Path| Some(to.join(path.strip_prefix(&from).ok()?));
                let names = std::mem::take(&mut state.names);
                state.names = names.into_iter().map(|(path, id)| (moved(&path).unwrap_or(path), id)).collect();
                state.dirs.insert(to);
            } else {
                return Err(io::ErrorKind::NotFound.into());
            }
        }
        done
    }

    fn below(&self, name: &str) -> io::Result<Arc<dyn Medium>> {
        let mut state = lock(&self.disk.0);
        state.step()?;
        let at = self.at.join(name);
        state.dirs.insert(at.clone());
        Ok(Arc::new(Self { disk: self.disk.clone(), at }))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.at.join(name)
    }
}

struct SimFile(SimDisk, u64);

impl LogFile for SimFile {
    fn read_at(&self, offset: u64, length: u64, into: &mut Vec<u8>) -> io::Result<()> {
        let mut state = lock(&self.0.0);
        state.step()?;
        let all = &state.file(self.1).bytes;
        let from = (offset as usize).min(all.len());
        into.clear();
        into.extend_from_slice(&all[from..(from + length as usize).min(all.len())]);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = lock(&self.0.0);
        let done = state.step();
        // What the power cut interrupts may be there in part.
        state.file(self.1).write(offset as usize, bytes);
        done
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = lock(&self.0.0);
        state.step()?;
        let State { files, dice, operations, sync_fails_at, .. } = &mut *state;
        let file = files.entry(self.1).or_default();
        if *sync_fails_at == Some(*operations) {
            // As Linux does: the pages are called clean although nobody knows whether they were written.
            file.lose(dice);
            return Err(io::Error::other("input/output error"));
        }
        file.pending.clear();
        Ok(())
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        let mut state = lock(&self.0.0);
        state.step()?;
        let file = state.file(self.1);
        file.pending.clear();
        file.bytes.resize(length as usize, 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = lock(&self.0.0);
        state.step()?;
        Ok(state.file(self.1).bytes.len() as u64)
    }
}
