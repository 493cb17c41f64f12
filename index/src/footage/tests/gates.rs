//! Several disks, each behind a gate that decides what it does, and a room of cameras on them. The directories, the store, its threads
//! and its rules are the real ones.

use super::{
    disk::DiskFile,
    shelf::{Directories, Shelf},
    *,
};
use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::Condvar,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mood {
    Well,
    /// Whoever writes or syncs waits.
    Still,
    /// Writes and syncs are refused with this error.
    Refusing(i32),
    /// Nothing is there.
    Gone,
}

pub(super) const EIO: i32 = 5;
pub(super) const EROFS: i32 = 30;

pub(super) struct Gate {
    mood: Mutex<Mood>,
    changed: Condvar,
}

impl Gate {
    pub(super) fn set(&self, mood: Mood) {
        *lock(&self.mood) = mood;
        self.changed.notify_all();
    }

    fn write(&self) -> io::Result<()> {
        let mut mood = lock(&self.mood);
        while *mood == Mood::Still {
            mood = self.changed.wait(mood).unwrap_or_else(PoisonError::into_inner);
        }
        match *mood {
            Mood::Refusing(errno) => Err(io::Error::from_raw_os_error(errno)),
            Mood::Gone => Err(io::Error::from_raw_os_error(EIO)),
            Mood::Well | Mood::Still => Ok(()),
        }
    }

    fn read(&self) -> io::Result<()> {
        if *lock(&self.mood) == Mood::Gone { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }
}

struct GatedDisk(Arc<dyn Disk>, Arc<Gate>);
struct GatedFile(Arc<dyn DiskFile>, Arc<Gate>);

impl GatedDisk {
    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(GatedFile(file, Arc::clone(&self.1)))
    }
}

impl Disk for GatedDisk {
    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.1.write().and_then(|()| self.0.create(name, len)).map(|file| self.file(file))
    }
    fn punch(&self, name: &str, from: u64, to: u64) -> io::Result<()> {
        self.1.write().and_then(|()| self.0.punch(name, from, to))
    }
    fn refill(&self, name: &str, len: u64) -> io::Result<()> {
        self.1.write().and_then(|()| self.0.refill(name, len))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.1.read().and_then(|()| self.0.open(name)).map(|file| self.file(file))
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.1.read().and_then(|()| self.0.list(dir))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.1.write().and_then(|()| self.0.remove(name))
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.1.write().and_then(|()| self.0.sync_dir(dir))
    }
    fn read_small(&self, name: &str) -> io::Result<Vec<u8>> {
        self.1.read().and_then(|()| self.0.read_small(name))
    }
    fn replace_small(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.1.write().and_then(|()| self.0.replace_small(name, bytes))
    }
    fn sync_written(&self, touched: &[Arc<dyn DiskFile>]) -> io::Result<()> {
        self.1.write().and_then(|()| self.0.sync_written(touched))
    }
    fn settle(&self) -> io::Result<()> {
        self.1.write().and_then(|()| self.0.settle())
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.0.free_bytes()
    }
    fn release(&self) {
        self.0.release();
    }
    fn is_direct(&self) -> bool {
        self.0.is_direct()
    }
}

impl DiskFile for GatedFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.1.write().and_then(|()| self.0.write_at(bytes, offset))
    }
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.1.read().and_then(|()| self.0.read_at(bytes, offset))
    }
    fn sync(&self) -> io::Result<()> {
        self.1.write().and_then(|()| self.0.sync())
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}

/// Real directories behind gates, by the name of the volume.
#[derive(Default)]
pub(super) struct GatedShelf(Mutex<HashMap<String, Arc<Gate>>>);

impl GatedShelf {
    pub(super) fn gate(&self, name: &str) -> Arc<Gate> {
        let make = || Arc::new(Gate { mood: Mutex::new(Mood::Well), changed: Condvar::new() });
        Arc::clone(lock(&self.0).entry(name.to_owned()).or_insert_with(make))
    }
}

impl Shelf for GatedShelf {
    fn disk(&self, volume: &VolumeSetup, known: bool) -> Result<Arc<dyn Disk>, OpenError> {
        let gate = self.gate(&volume.name);
        if *lock(&gate.mood) == Mood::Gone {
            return Err(OpenError::Missing { volume: volume.name.clone(), path: volume.path.clone() });
        }
        Ok(Arc::new(GatedDisk(Directories.disk(volume, known)?, gate)))
    }
}

/// A node with several disks and a camera on each.
pub(super) struct Room {
    pub(super) dir: tempfile::TempDir,
    pub(super) journal: Arc<Journal>,
    pub(super) shelf: Arc<GatedShelf>,
    pub(super) store: Arc<Store>,
    announced: Arc<Mutex<BTreeSet<(StreamId, UtcMicros)>>>,
    pub(super) next: i64,
}

pub(super) const CAMERAS: u32 = 4;

impl Room {
    pub(super) fn new(disks: usize) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/../target").expect("a directory");
        let journal = Journal::open(&dir.path().join("journal"), NodeId::from_bytes(NODE)).expect("a journal");
        let shelf = Arc::new(GatedShelf::default());
        let store = Self::open(&dir, &journal, &shelf, disks);
        let room = Self { dir, journal, shelf, store, announced: Arc::default(), next: 0 };
        room.watch();
        room
    }

    pub(super) fn open(dir: &tempfile::TempDir, journal: &Arc<Journal>, shelf: &Arc<GatedShelf>, disks: usize) -> Arc<Store> {
        let setup = Setup { volumes: Self::volumes(dir, disks), ..small(dir.path()) };
        let notebook = Arc::clone(journal) as Arc<dyn Notebook>;
        Store::open_on(setup, Arc::clone(shelf) as Arc<dyn Shelf>, notebook).expect("a store")
    }

    pub(super) fn volumes(dir: &tempfile::TempDir, disks: usize) -> Vec<VolumeSetup> {
        let volume = |n| {
            let volume = VolumeSetup { name: format!("d{n}"), path: dir.path().join(format!("d{n}")), capacity: 24 << 20 };
            std::fs::create_dir_all(&volume.path).expect("a directory");
            volume
        };
        (1..=disks).map(volume).collect()
    }

    pub(super) fn watch(&self) {
        let seen = Arc::clone(&self.announced);
        let watch = move |fragment: &Announced| {
            lock(&seen).insert((fragment.stream, fragment.window.from));
        };
        self.store.on_announced(Box::new(watch));
    }

    pub(super) fn streams() -> impl Iterator<Item = StreamId> {
        (1..=CAMERAS).map(|camera| stream(camera, StreamKind::Main))
    }

    /// One that has filmed a second.
    pub(super) fn filmed(disks: usize) -> Self {
        let mut room = Self::new(disks);
        room.film();
        room.settle();
        room
    }

    /// One whose last disk vanished after the first second, and that has filmed another since.
    pub(super) fn without_its_last_disk(disks: usize) -> (Self, Arc<Gate>) {
        let mut room = Self::filmed(disks);
        let gate = room.shelf.gate(&format!("d{disks}"));
        gate.set(Mood::Gone);
        room.film();
        room.settle();
        (room, gate)
    }

    /// A second of every camera.
    pub(super) fn film(&mut self) {
        for stream in Self::streams() {
            self.store.append(second(stream, self.next)).expect("room");
        }
        self.next += 1;
    }

    /// Waits until everything filmed is durable.
    pub(super) fn settle(&self) {
        wait("what was filmed", || lock(&self.announced).len() == self.next as usize * CAMERAS as usize);
        assert_eq!(self.store.health().fragments_lost, 0);
    }

    pub(super) fn volume(&self, name: &str) -> VolumeHealth {
        self.store.health().volumes.into_iter().find(|volume| volume.name == name).expect("it is configured")
    }

    /// Everything filmed is there, once.
    pub(super) fn check(&self) {
        for stream in Self::streams() {
            let (reader, _) = reader(&self.store, &self.journal, &[stream]);
            let fragments = reader.fragments(stream, window(0.0, 1e6));
            let at: Vec<_> = fragments.iter().map(|fragment| fragment.window.from).collect();
            let filmed: Vec<_> = (0..self.next).map(|n| super::at(n as f64)).collect();
            assert_eq!(at, filmed, "{stream}");
            for fragment in &fragments {
                reader.fetch(fragment).expect("whole");
            }
        }
    }

    pub(super) fn events(&self) -> Vec<String> {
        let entries = self.journal.read(crate::journal::Seq::new(1), 10_000).expect("readable");
        let fares = entries.iter().filter(|entry| entry.kind == "footage.volume");
        let text = |body: &serde_json::Value, key: &str| body[key].as_str().unwrap_or("-").to_owned();
        fares.map(|entry| ["volume", "state", "trouble"].map(|key| text(&entry.body, key)).join(" ")).collect()
    }
}
