//! The files: what is gathered, written, made durable together, and read.

use super::MotionHealth;
use super::forget::Footage;
use super::format::{DayFile, HEADER, Look, PICTURES, day_of, encode, header, may_follow};
use super::search::Days;
use crate::{
    durable::FileError,
    model::{CameraId, UtcMicros},
};
use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, atomic::AtomicUsize},
    time::{Duration, Instant},
};

/// Looks of one camera that wait for a disk: a quarter of an hour of them. Then the oldest go.
const WAITING_MAX: usize = 512;

/// How a day's file is called, behind its number.
pub(super) const FILE: &str = ".motion";

/// What the thread, those who note and those who ask share.
pub(super) struct Shared {
    pub(super) root: PathBuf,
    pub(super) footage: Arc<dyn Footage>,
    waiting: Mutex<Waiting>,
    work: Condvar,
    /// Held for writing while a frame moves from `waiting` into its file or a file is replaced, so that whoever reads both finds
    /// each look once (M1).
    moving: RwLock<()>,
    files: Mutex<Files>,
    health: Mutex<MotionHealth>,
    /// How many orders of erasure had been carried out when they were last gone through.
    pub(super) orders_seen: AtomicUsize,
}

#[derive(Default)]
struct Waiting {
    looks: BTreeMap<CameraId, Vec<Look>>,
    closing: bool,
}

/// The files that are being appended to, by camera, and of which day each is.
pub(super) type Files = HashMap<CameraId, (u32, File)>;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn open(dir: &Path, footage: Arc<dyn Footage>) -> Result<Self, FileError> {
        fs::create_dir_all(dir).map_err(|source| FileError { doing: "create", path: dir.to_owned(), source })?;
        Ok(Self {
            root: dir.to_owned(),
            footage,
            waiting: Mutex::default(),
            work: Condvar::new(),
            moving: RwLock::new(()),
            files: Mutex::default(),
            health: Mutex::default(),
            orders_seen: AtomicUsize::new(usize::MAX),
        })
    }

    pub(super) fn note(&self, camera: CameraId, look: Look) {
        let mut waiting = lock(&self.waiting);
        let looks = waiting.looks.entry(camera).or_default();
        looks.push(look);
        if looks.len() > WAITING_MAX {
            looks.remove(0);
            drop(waiting);
            lock(&self.health).lost += 1;
        }
    }

    /// The thread.
    pub(super) fn run(&self, gather: Duration, forget_every: Duration) {
        let mut forgot: Option<Instant> = None;
        loop {
            let waiting = lock(&self.waiting);
            let idle = |waiting: &mut Waiting| !waiting.closing;
            let (waiting, _) = self.work.wait_timeout_while(waiting, gather, idle).unwrap_or_else(PoisonError::into_inner);
            let closing = waiting.closing;
            drop(waiting);
            self.flush();
            if closing {
                return;
            }
            if forgot.is_none_or(|at| at.elapsed() >= forget_every) {
                forgot = Some(Instant::now());
                self.forget(UtcMicros::now());
            }
        }
    }

    pub(super) fn stop(&self) {
        lock(&self.waiting).closing = true;
        self.work.notify_all();
    }

    pub(super) fn health(&self) -> MotionHealth {
        lock(&self.health).clone()
    }

    pub(super) fn forgot(&self, days: u64) {
        lock(&self.health).forgotten += days;
    }

    /// Writes what was gathered and makes it durable. What the disk refuses is dropped: it says so, and counts (M4).
    pub(super) fn flush(&self) {
        let (mut written, mut problem) = self.write();
        if written > 0
            && let Err(error) = self.sync()
        {
            lock(&self.health).lost += written;
            (written, problem) = (0, Some(error));
        }
        let mut health = lock(&self.health);
        health.stored += written;
        match problem {
            None if written > 0 => health.problem = None,
            Some(error) if health.problem.is_none() => {
                tracing::error!(dir = %self.root.display(), %error, "motion cannot be stored: region search will not know of this time");
                health.problem = Some(error.to_string());
            }
            _ => {}
        }
    }

    /// Writes what was gathered: how many looks, and what was refused last.
    pub(super) fn write(&self) -> (u64, Option<io::Error>) {
        let waiting = lock(&self.waiting);
        let cameras: Vec<CameraId> = waiting.looks.iter().filter(|(_, looks)| !looks.is_empty()).map(|(id, _)| *id).collect();
        drop(waiting);
        let (mut written, mut problem) = (0, None);
        for camera in cameras {
            match self.append(camera) {
                Ok(looks) => written += looks as u64,
                Err((looks, error)) => {
                    lock(&self.health).lost += looks as u64;
                    problem = Some(error);
                }
            }
        }
        (written, problem)
    }

    /// One sync for all cameras; nothing else of weight is written to this file system.
    fn sync(&self) -> io::Result<()> {
        rustix::fs::syncfs(File::open(&self.root)?)?;
        Ok(())
    }

    fn append(&self, camera: CameraId) -> Result<usize, (usize, io::Error)> {
        let looks = lock(&self.waiting).looks.get(&camera).cloned().unwrap_or_default();
        let mut files = lock(&self.files);
        let _moving = self.moving.write().unwrap_or_else(PoisonError::into_inner);
        let result = frames(&looks).try_for_each(|frame| {
            let day = day_of(frame[0].at);
            let file = self.file(&mut files, camera, day)?;
            file.write_all(&encode(camera, day, frame))
        });
        if result.is_err() {
            // Whatever of it arrived ends where the next opening finds the last whole frame.
            files.remove(&camera);
        }
        if let Some(waiting) = lock(&self.waiting).looks.get_mut(&camera) {
            waiting.drain(..looks.len().min(waiting.len()));
        }
        result.map(|()| looks.len()).map_err(|error| (looks.len(), error))
    }

    fn file<'a>(&self, files: &'a mut Files, camera: CameraId, day: u32) -> io::Result<&'a mut File> {
        if files.get(&camera).is_none_or(|(of, _)| *of != day) {
            files.insert(camera, (day, self.prepare(camera, day)?));
        }
        files.get_mut(&camera).map(|(_, file)| file).ok_or_else(|| io::Error::other("no file"))
    }

    /// A day's file, ready for the next frame: what a crash left behind its last whole one is cut off.
    fn prepare(&self, camera: CameraId, day: u32) -> io::Result<File> {
        let path = self.path(camera, day);
        fs::create_dir_all(self.folder(camera))?;
        let mut file = File::options().read(true).append(true).create(true).open(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let mut known = DayFile::open(&bytes, camera, day);
        (&mut known).for_each(drop);
        let good = known.good;
        if good < HEADER {
            if bytes.len() > HEADER {
                tracing::error!(file = %path.display(), "not a file of motion, or its header is damaged: set aside, and begun anew");
                fs::rename(&path, path.with_extension("damaged"))?;
                file = File::options().read(true).append(true).create_new(true).open(&path)?;
            } else {
                file.set_len(0)?;
            }
            file.write_all(&header(camera, day))?;
        } else if good < bytes.len() {
            tracing::warn!(file = %path.display(), bytes = bytes.len() - good, "a crash cut the last frame of motion; what came before is whole");
            file.set_len(good as u64)?;
        }
        Ok(file)
    }

    /// Replaces or removes a day's file while nobody reads it or appends to it.
    pub(super) fn alone<T>(&self, camera: CameraId, act: impl FnOnce() -> T) -> T {
        let mut files = lock(&self.files);
        let _moving = self.moving.write().unwrap_or_else(PoisonError::into_inner);
        files.remove(&camera);
        act()
    }

    pub(super) fn folder(&self, camera: CameraId) -> PathBuf {
        self.root.join(camera.number().to_string())
    }

    pub(super) fn path(&self, camera: CameraId, day: u32) -> PathBuf {
        self.folder(camera).join(format!("{day}{FILE}"))
    }

    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { shared: self, buffer: Vec::new() }
    }
}

/// Looks in the pieces that frames take.
fn frames(looks: &[Look]) -> impl Iterator<Item = &[Look]> {
    let mut rest = looks;
    std::iter::from_fn(move || {
        let mut many = rest.len().min(1);
        while many < rest.len() && many < PICTURES && may_follow(&rest[many - 1], &rest[many]) {
            many += 1;
        }
        let (frame, after) = rest.split_at(many);
        rest = after;
        (!frame.is_empty()).then_some(frame)
    })
}

/// Reads days as they lie on disk, and what waits to be written.
pub(super) struct Reader<'a> {
    shared: &'a Shared,
    buffer: Vec<u8>,
}

impl Days for Reader<'_> {
    fn day(&mut self, camera: CameraId, day: u32, read: &mut dyn FnMut(&[u8])) {
        self.buffer.clear();
        let waiting = {
            let _still = self.shared.moving.read().unwrap_or_else(PoisonError::into_inner);
            // A day without a file is a day without looks; one that does not read back counts as not looked at (M2).
            let path = self.shared.path(camera, day);
            let found = File::open(path).and_then(|mut file| file.read_to_end(&mut self.buffer));
            if found.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
                tracing::error!(%camera, day, "a day of motion cannot be read");
            }
            let waiting = lock(&self.shared.waiting);
            let looks = waiting.looks.get(&camera).map(Vec::as_slice).unwrap_or_default();
            looks.iter().filter(|look| day_of(look.at) == day).copied().collect::<Vec<_>>()
        };
        read(&self.buffer);
        if !waiting.is_empty() {
            self.buffer.clear();
            self.buffer.extend_from_slice(&header(camera, day));
            frames(&waiting).for_each(|frame| self.buffer.extend(encode(camera, day, frame)));
            read(&self.buffer);
        }
    }
}

/// The looks of a file, for whoever makes it anew.
pub(super) fn looks_of(bytes: &[u8], camera: CameraId, day: u32) -> Vec<Look> {
    DayFile::open(bytes, camera, day).flat_map(|frame| frame.looks()).collect()
}

/// A file of these looks.
pub(super) fn file_of(looks: &[Look], camera: CameraId, day: u32) -> Vec<u8> {
    let mut bytes = header(camera, day).to_vec();
    frames(looks).for_each(|frame| bytes.extend(encode(camera, day, frame)));
    bytes
}
