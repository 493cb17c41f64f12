//! Which volumes this node ever had, by name: a file in the state directory. Without it an empty directory, left over where a disk is
//! not mounted, would be taken for a new disk, and recording would fill the system's.

use crate::{durable, model::VolumeId};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Mutex,
};

use super::volume::lock;

/// See the module.
pub(super) struct Roster {
    file: PathBuf,
    ids: Mutex<BTreeMap<String, VolumeId>>,
}

impl Roster {
    /// Reads it. One that is unreadable counts as empty, and is said to be.
    pub(super) fn open(state_dir: &Path) -> Self {
        let file = state_dir.join("volumes.json");
        let read = durable::read(&file).map_err(|error| error.to_string());
        let ids = read.and_then(|bytes| match bytes {
            Some(bytes) => durable::read_checked(&bytes),
            None => Ok(BTreeMap::new()),
        });
        let ids = ids.unwrap_or_else(|error| {
            tracing::warn!(file = %file.display(), error, "the list of known volumes is unreadable: each is taken as it is found");
            BTreeMap::new()
        });
        Self { file, ids: Mutex::new(ids) }
    }

    /// The volume of that name; `None` if there never was one.
    pub(super) fn id(&self, name: &str) -> Option<VolumeId> {
        lock(&self.ids).get(name).copied()
    }

    /// Remembers a volume. Failing costs only what the module says.
    pub(super) fn note(&self, name: &str, id: VolumeId) {
        let bytes = {
            let mut ids = lock(&self.ids);
            if ids.insert(name.to_owned(), id) == Some(id) {
                return;
            }
            serde_json::to_vec_pretty(&*ids)
        };
        let written = bytes.map_err(|error| error.to_string()).map(|bytes| durable::with_checksum(&bytes));
        let written = written.and_then(|bytes| durable::replace(&self.file, &bytes, 0o640).map_err(|error| error.to_string()));
        if let Err(error) = written {
            tracing::warn!(error, volume = name, "the volume is not on the list of known ones");
        }
    }
}
