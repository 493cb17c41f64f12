//! What moved where: for each picture that was looked at, which of 32 × 18 cells had changed since the one before. "When did something
//! move *here*?" over 30 days is then a read of some megabytes, and not of footage.
//!
//! A directory a camera, a file a day (UTC), in the node's own directory: the grids outlive no footage (`forget`), but no disk of
//! footage has to turn for them. What comes in is gathered for ten seconds, then written for all cameras and made durable with one sync.
//! A crash costs what was being gathered; the time concerned counts as not looked at.
//!
//! - M1: a look is found by a search from the moment it was noted.
//! - M2: an answer says what time nobody looked at (I9); what does not read back is such time.
//! - M3: grids go when the footage that they describe is gone: at the end of a term with its day, by an order of erasure at once.
//! - M4: nobody waits for this: what cannot be written is dropped and counted (I10, I11).

mod forget;
mod format;
mod grid;
mod search;
mod store;

pub use forget::Footage;
pub use format::{Found, Look};
pub use grid::{CELLS, COLUMNS, Grid, ROWS};
pub use search::{Answer, Density, MAX_CAMERAS, MAX_DAYS, MAX_SPANS, MAX_UNSEEN, Order, Question, Seen, Span};

use crate::{
    durable::FileError,
    model::{CameraId, Window},
};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};
use store::Shared;

/// How long looks are gathered before they are written.
const GATHER: Duration = Duration::from_secs(10);
/// How often is looked for grids whose footage is gone.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// The grids of one node. Dropping it writes what was gathered.
pub struct Motion {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How the store of grids does. Counts are since start.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MotionHealth {
    /// Looks made durable.
    pub stored: u64,
    /// Looks that were dropped because they could not be written.
    pub lost: u64,
    /// Days of a camera that were removed with their footage.
    pub forgotten: u64,
    /// What the disk last refused; `None` while all is well.
    pub problem: Option<String>,
}

impl Motion {
    /// Opens the grids in `dir`, made if missing.
    ///
    /// # Errors
    /// If the directory cannot be made or opened, or there is no thread.
    pub fn open(dir: &Path, footage: Arc<dyn Footage>) -> Result<Arc<Self>, FileError> {
        let shared = Arc::new(Shared::open(dir, footage)?);
        let working = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("motion".to_owned()).spawn(move || working.run(GATHER, FORGET_EVERY));
        let thread = thread.map_err(|source| FileError { doing: "start the thread for", path: dir.to_owned(), source })?;
        Ok(Arc::new(Self { shared, thread: Mutex::new(Some(thread)) }))
    }

    /// Takes what a picture of a camera said. Never waits for a disk.
    pub fn note(&self, camera: CameraId, look: Look) {
        self.shared.note(camera, look);
    }

    /// Answers a question. Reads some megabytes a camera and month: not for a runtime's thread. More cameras, spans or days than the
    /// bounds allow are left out.
    #[must_use]
    pub fn search(&self, question: &Question) -> Answer {
        let mut question = question.clone();
        question.cameras.sort_unstable();
        question.cameras.dedup();
        question.cameras.truncate(MAX_CAMERAS);
        question.limit = question.limit.min(MAX_SPANS);
        question.join = question.join.min(Duration::from_secs(3600));
        question.window = bounded(question.window);
        search::search(&question, &mut self.shared.reader())
    }

    /// How much moved along time, in at most 10,000 columns. Reads as [`Motion::search`] does.
    #[must_use]
    pub fn density(&self, camera: CameraId, window: Window, region: &Grid, columns: usize) -> Density {
        search::density(camera, bounded(window), region, columns.clamp(1, 10_000), &mut self.shared.reader())
    }

    /// Its figures.
    #[must_use]
    pub fn health(&self) -> MotionHealth {
        self.shared.health()
    }

    /// Writes what was gathered and makes it durable.
    pub fn flush(&self) {
        self.shared.flush();
    }

    /// Writes what was gathered, makes it durable and ends the thread. Asking goes on.
    pub fn close(&self) {
        self.shared.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that stores motion did not end cleanly; motion of the last seconds may be missing");
        }
    }
}

/// At most [`MAX_DAYS`] of it, the newest, and nothing before 1970 or after 2500.
fn bounded(window: Window) -> Window {
    use crate::model::UtcMicros;
    const LAST: UtcMicros = UtcMicros::from_micros(16_725_225_600_000_000);
    let to = window.to.min(LAST).max(UtcMicros::from_micros(0));
    let longest = Duration::from_secs(u64::from(MAX_DAYS) * 86_400);
    Window::new(window.from.max(to - longest).max(UtcMicros::from_micros(0)), to)
}

impl Drop for Motion {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Motion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Motion").field("dir", &self.shared.root).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
