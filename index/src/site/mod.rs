//! The site tree at a centre: district › sub-district › community › site › camera, owned below and known above.
//!
//! Each room says in its journal which cameras it has (`camera.added`, `.changed`, `.removed`, and all of them as `cameras.listed`); a
//! centre reads that out of its copies and puts it together. Names of nodes are the roster's and are asked for by a function, so a node
//! that is called otherwise moves with all its cameras.
//!
//! - T1: the tree is what the copies say, whatever the order in which they came (I7); the file that keeps it only saves reading.
//! - T2: a camera's number means one camera. Where nodes state the same one it is that of whoever stated it first, by the node's own
//!   clock; the others' is under no number, events of theirs are nobody's by that number, and an event says that it is so.
//! - T3: no address, user or password is in it.

mod follow;
mod told;
mod view;

pub use told::{Doing, LISTED, Stated, Told};
pub use view::{Children, Clash, Located, View};

pub(crate) use follow::read_on;
pub(crate) use told::statement;

use crate::cameras::Cameras;
use crate::durable::FileError;
use crate::journal::{Copies, Journal, JournalError};
use crate::model::{Camera, CameraId, NodeId};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

/// Where nodes stand in the tree: the names of the centres between and their own, outermost first. A node that it does not name stands
/// under its number.
pub type Paths = Box<dyn Fn() -> BTreeMap<NodeId, Vec<String>> + Send + Sync>;

/// The tree of everything below a centre. Dropping it ends its thread.
pub struct Site {
    shared: Arc<follow::Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Site {
    /// Reads what was kept in `file` and follows all copies from there, also those that are begun later. `paths` is asked once a
    /// second, and `changed` called after each change, on the thread that follows: both must be short.
    ///
    /// # Errors
    /// If the thread cannot be made, or the file's directory does not read.
    pub fn open(
        file: &Path,
        journal: Arc<Journal>,
        copies: Arc<Copies>,
        paths: Paths,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, FileError> {
        let (shared, thread) = follow::start(file, journal, copies, paths, Box::new(changed))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// The tree as it stands.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.shared.view()
    }

    /// Which node has a camera, and the camera, its place counted from here; also one that is no longer recorded.
    #[must_use]
    pub fn locate(&self, id: CameraId) -> Option<(NodeId, Camera)> {
        self.view().get(id).map(|located| (located.node, located.camera.clone()))
    }

    /// Ends the thread and keeps what was read.
    pub fn close(&self) {
        self.shared.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the site tree did not end cleanly; the next start reads more of the copies");
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Site").field("cameras", &self.view().list().count()).finish_non_exhaustive()
    }
}

/// Sees to it that a room's journal says which cameras it has, for the nodes above: reads it on from what `file` keeps, and has the
/// catalogue state what is not in it. Waits for the disk; the first time it reads the whole journal.
///
/// # Errors
/// If the journal does not read back, or does not take the statement.
pub fn settle(file: &Path, journal: &Journal, cameras: &Cameras) -> Result<bool, JournalError> {
    let (mut told, mut seq) = follow::kept_of_room(file, journal);
    let tail = journal.tail();
    read_on(&mut told, journal, seq, tail)?;
    seq = tail.max(seq);
    follow::keep_of_room(file, journal.node(), seq, &told);
    cameras.state_if_unsaid(told, seq)
}

#[cfg(test)]
mod tests;
