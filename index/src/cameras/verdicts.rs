//! Which driver worked with which camera. A convenience: lost or damaged, it costs a probe.

use crate::durable;
use crate::model::{CameraId, Driver};
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, SyncSender},
    },
    thread::JoinHandle,
};

type Known = BTreeMap<CameraId, Driver>;

/// The remembered drivers, and a thread that writes them down.
pub(super) struct Verdicts {
    known: Arc<Mutex<Known>>,
    /// One waiting nudge is enough: the writer takes all there is.
    changed: Option<SyncSender<()>>,
    writer: Option<JoinHandle<()>>,
}

impl Verdicts {
    pub(super) fn open(path: &Path) -> Self {
        let known = durable::read(path).ok().flatten().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let known = Arc::new(Mutex::new(known));
        let (changed, nudges) = mpsc::sync_channel(1);
        let (path, shared) = (path.to_owned(), Arc::clone(&known));
        let writer = std::thread::Builder::new().name("drivers".into()).spawn(move || {
            for () in nudges {
                let now = lock(&shared).clone();
                let written = serde_json::to_vec(&now).map(|bytes| durable::replace(&path, &bytes, 0o600));
                if let Ok(Err(error)) = written {
                    tracing::warn!(%error, "remembered drivers could not be written; cameras will be probed again");
                }
            }
        });
        Self { known, changed: Some(changed), writer: writer.ok() }
    }

    pub(super) fn get(&self, id: CameraId) -> Option<Driver> {
        lock(&self.known).get(&id).copied()
    }

    pub(super) fn set(&self, id: CameraId, driver: Driver) {
        let news = lock(&self.known).insert(id, driver) != Some(driver);
        if news && let Some(changed) = &self.changed {
            // Full: the writer has not looked yet and will see this one too.
            let _ = changed.try_send(());
        }
    }
}

impl Drop for Verdicts {
    fn drop(&mut self) {
        self.changed = None;
        if let Some(writer) = self.writer.take() {
            drop(writer.join());
        }
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
