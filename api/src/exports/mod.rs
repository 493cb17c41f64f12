//! Copies of footage that people take away: made in the background into the state directory, with a manifest that lets
//! anyone check them, kept for a week.
//!
//! ```text
//! exports/<id>/1042.mp4, 1042-2.mp4, …   one file a camera, another where its parameters changed
//! exports/<id>/manifest.json             written last, whole or not at all: an export without one does not exist
//! ```

mod manifest;
mod movie;

pub use manifest::{Manifest, ManifestFile, ManifestGap};

use crate::{
    node::Shared,
    recorded::Footage,
    refusal::{Refusal, words},
};
use axum::http::StatusCode;
use index::{
    access::{Permit, Purpose},
    footage::IntervalState,
    model::{StreamId, UtcMicros, Window},
};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

/// Exports being made at once; more wait.
const AT_ONCE: usize = 2;
/// Exports waiting or being made; beyond that the answer is "busy".
const MAX_UNFINISHED: usize = 16;
/// Finished exports are removed after that long: what is taken away is taken in time.
const KEPT: Duration = Duration::from_secs(7 * 86_400);
/// Bytes that stay free on the state directory's disk.
const SPARE_BYTES: u64 = 512 << 20;

/// What is wanted.
pub struct Order {
    /// Who asked, by account.
    pub person: String,
    /// The name colleagues know.
    pub display: String,
    /// Why, with the case.
    pub purpose: Purpose,
    /// Of which streams, one a camera.
    pub streams: Vec<StreamId>,
    /// When.
    pub window: Window,
    /// The right to read it; its record names all of the above.
    pub permit: Permit,
}

/// All exports of this node.
pub struct Exports {
    dir: PathBuf,
    jobs: Mutex<HashMap<String, Arc<Job>>>,
    turns: Arc<Semaphore>,
    stopping: AtomicBool,
}

/// One export.
pub struct Job {
    /// Its name: random, so that it cannot be guessed.
    pub id: String,
    /// Who asked, by account: nobody else may fetch it.
    pub person: String,
    /// Why.
    pub purpose: Purpose,
    /// When it was asked for.
    pub at: UtcMicros,
    state: Mutex<State>,
    /// Bytes of footage to copy, and copied.
    total: AtomicU64,
    done: AtomicU64,
}

/// How far an export is.
#[derive(Clone)]
pub enum State {
    /// Waiting for its turn.
    Waiting,
    /// Being made.
    Running,
    /// Ready to be fetched.
    Done(Arc<Manifest>),
    /// Not made; the words are for the person who asked.
    Failed(Refusal),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Job {
    /// How far it is.
    #[must_use]
    pub fn state(&self) -> State {
        lock(&self.state).clone()
    }

    /// The share that is copied, 0 to 1.
    #[must_use]
    pub fn progress(&self) -> f64 {
        let total = self.total.load(Ordering::Relaxed).max(1);
        (self.done.load(Ordering::Relaxed) as f64 / total as f64).min(1.0)
    }
}

impl Exports {
    /// Opens the directory: finished exports are kept, halves of an earlier run are removed.
    ///
    /// # Errors
    /// If the directory cannot be made or read.
    pub fn open(dir: PathBuf) -> std::io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let mut jobs = HashMap::new();
        for entry in fs::read_dir(&dir)?.flatten() {
            match Manifest::read(&entry.path().join("manifest.json")).and_then(Job::finished) {
                Some(job) => drop(jobs.insert(job.id.clone(), Arc::new(job))),
                None => fs::remove_dir_all(entry.path())?,
            }
        }
        Ok(Self { dir, jobs: Mutex::new(jobs), turns: Arc::new(Semaphore::new(AT_ONCE)), stopping: AtomicBool::new(false) })
    }

    /// An export by its name.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Arc<Job>> {
        lock(&self.jobs).get(id).cloned()
    }

    /// Where a finished export's file is; only a name that its manifest has.
    #[must_use]
    pub fn path(&self, job: &Job, file: &str) -> Option<PathBuf> {
        let State::Done(manifest) = job.state() else { return None };
        let known = file == "manifest.json" || manifest.files.iter().any(|made| made.file == file);
        known.then(|| self.dir.join(&job.id).join(file))
    }

    /// Begins an export.
    ///
    /// # Errors
    /// 503 if too many are unfinished.
    pub fn begin(&self, node: &Shared, order: Order) -> Result<Arc<Job>, Refusal> {
        let job = Arc::new(Job {
            id: uuid::Uuid::new_v4().simple().to_string(),
            person: order.person.clone(),
            purpose: order.purpose.clone(),
            at: UtcMicros::now(),
            state: Mutex::new(State::Waiting),
            total: AtomicU64::new(0),
            done: AtomicU64::new(0),
        });
        {
            let mut jobs = lock(&self.jobs);
            let unfinished = jobs.values().filter(|job| matches!(*lock(&job.state), State::Waiting | State::Running)).count();
            if unfinished >= MAX_UNFINISHED {
                return Err(Refusal::busy());
            }
            jobs.insert(job.id.clone(), Arc::clone(&job));
        }
        let (node, made, turns) = (node.clone(), Arc::clone(&job), Arc::clone(&self.turns));
        tokio::spawn(async move {
            let _turn = turns.acquire_owned().await;
            *lock(&made.state) = State::Running;
            let (work, maker) = (Arc::clone(&made), node.clone());
            let result = tokio::task::spawn_blocking(move || make(&maker, &work, &order)).await;
            let result = result.unwrap_or_else(|error| Err(Refusal::failed("export", &error)));
            if result.is_err() {
                let _ = fs::remove_dir_all(node.exports.dir.join(&made.id));
            }
            *lock(&made.state) = match result {
                Ok(manifest) => State::Done(Arc::new(manifest)),
                Err(refusal) => State::Failed(refusal),
            };
        });
        Ok(job)
    }

    /// Gives up what is being made: the node is going down, and halves are removed.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Counts copied bytes.
    fn copied(&self, job: &Job, bytes: u64) -> Result<(), Refusal> {
        job.done.fetch_add(bytes, Ordering::Relaxed);
        if self.stopping.load(Ordering::Relaxed) { Err(Refusal::busy()) } else { Ok(()) }
    }

    /// Removes what has been kept long enough. Blocking.
    pub fn sweep(&self, now: UtcMicros) {
        lock(&self.jobs).retain(|id, job| {
            let over = matches!(*lock(&job.state), State::Done(_) | State::Failed(_)) && now.since(job.at) > KEPT;
            if over && let Err(error) = fs::remove_dir_all(self.dir.join(id)) {
                tracing::warn!(%error, "an old export could not be removed");
            }
            !over
        });
    }
}

impl Job {
    fn finished(manifest: Manifest) -> Option<Self> {
        Some(Self {
            id: manifest.id.clone(),
            person: manifest.person.clone(),
            purpose: manifest.purpose()?,
            at: UtcMicros::from_micros(manifest.made_us),
            state: Mutex::new(State::Done(Arc::new(manifest))),
            total: AtomicU64::new(1),
            done: AtomicU64::new(1),
        })
    }
}

/// Makes an export. Blocking.
fn make(node: &Shared, job: &Job, order: &Order) -> Result<Manifest, Refusal> {
    let dir = node.exports.dir.join(&job.id);
    let unreadable = |error: index::footage::ReadError| crate::recorded::unreadable(&error);
    let open = |stream| Footage::open(node, &order.permit, stream, order.window).map(|footage| (stream, footage));
    let footage = order.streams.iter().copied().map(open).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    let total: u64 = footage.iter().flat_map(|(_, f)| &f.parts).map(|part| u64::from(part.fragment.length)).sum();
    if total == 0 {
        return Err(crate::recorded::nothing_recorded());
    }
    job.total.store(total, Ordering::Relaxed);
    // Pictures are written once raw and once behind their header.
    ensure_room(&node.exports.dir, 2 * total)?;
    let failed = |error: std::io::Error| Refusal::failed("write an export", &error);
    fs::create_dir(&dir).map_err(failed)?;
    let mut files = Vec::new();
    for (stream, footage) in &footage {
        let camera = node.camera_ever(stream.camera).map(|camera| camera.name).unwrap_or_default();
        for mut file in movie::write(&dir, *stream, footage, &|bytes| node.exports.copied(job, bytes))? {
            file.name.clone_from(&camera);
            file.gaps = gaps(node, *stream, order.window);
            files.push(file);
        }
    }
    let manifest = Manifest::new(node, job, order, files);
    manifest.write(&dir).map_err(failed)?;
    Ok(manifest)
}

fn ensure_room(dir: &Path, needed: u64) -> Result<(), Refusal> {
    let disk = rustix::fs::statvfs(dir).map_err(|error| Refusal::failed("look at the disk", &error))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= needed.saturating_add(SPARE_BYTES) {
        return Ok(());
    }
    let (free, needed) = (free >> 20, needed >> 20);
    Err(Refusal::new(
        StatusCode::INSUFFICIENT_STORAGE,
        "export_disk_full",
        words(
            format!("导出目录所在磁盘空间不足：需要 {needed} MiB，剩余 {free} MiB；录像不受影响"),
            format!("The disk for exports has {free} MiB left, {needed} MiB are needed; recording is not affected"),
        ),
        words(
            "请缩短时段，或由管理员清理状态目录所在磁盘",
            "Export less, or an administrator frees space on the state directory's disk",
        ),
    ))
}

fn gaps(node: &Shared, stream: StreamId, window: Window) -> Vec<ManifestGap> {
    let gap = |window: Window, cause, share, detail: String| ManifestGap {
        from_us: window.from.as_micros(),
        to_us: window.to.as_micros(),
        cause,
        recorded_share: share,
        detail,
    };
    let tiles = node.store.coverage(stream, window, Duration::ZERO).into_iter();
    tiles
        .filter_map(|tile| match tile.state {
            IntervalState::Recorded => None,
            IntervalState::Gap { cause, detail } => Some(gap(tile.window, cause, 0.0, detail)),
            IntervalState::Partial { cause, share, units } => Some(gap(tile.window, cause, share, format!("{units} units lost"))),
        })
        .collect()
}
