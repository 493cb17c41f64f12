//! The state file: JSON, versioned, nothing unknown in it.

use super::{Added, CameraId, Removed, State};
use crate::model::{Camera, UtcMicros};
use crate::seal::Sealed;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    added: Vec<StoredCamera>,
    /// As the configuration had them last: what it changes while the node is down is seen at the next start.
    configured: Vec<Camera>,
    /// Recorded once: what may be seen of their footage is still decided by where they stood.
    #[serde(default)]
    removed: Vec<StoredRemoved>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRemoved {
    camera: Camera,
    at_us: UtcMicros,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredCamera {
    camera: Camera,
    #[serde(default)]
    credentials: Option<Sealed>,
}

/// The cameras added through the API, and those last configured; or what is wrong.
pub(super) fn parse(bytes: &[u8]) -> Result<(State, BTreeMap<CameraId, Camera>), String> {
    let stored: Stored = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if stored.version != 1 {
        return Err(format!("its version is {}, not 1", stored.version));
    }
    let mut state = State::default();
    for StoredCamera { camera, credentials } in stored.added {
        let id = camera.id;
        camera.check().map_err(|error| format!("{id:?}: {error}"))?;
        if state.added.insert(id, Added { camera, sealed: credentials }).is_some() {
            return Err(format!("{id:?} stands in it twice"));
        }
    }
    let removed = stored.removed.into_iter().map(|StoredRemoved { camera, at_us }| (camera.id, Removed { camera, at: at_us }));
    state.removed = removed.collect();
    Ok((state, stored.configured.into_iter().map(|camera| (camera.id, camera)).collect()))
}

pub(super) fn encode(state: &State) -> Result<Vec<u8>, String> {
    let added = state.added.values().cloned().map(|Added { camera, sealed }| StoredCamera { camera, credentials: sealed });
    let configured = state.configured.values().map(|(camera, _)| camera.clone());
    let removed = state.removed.values().cloned().map(|Removed { camera, at }| StoredRemoved { camera, at_us: at });
    let stored = Stored { version: 1, added: added.collect(), configured: configured.collect(), removed: removed.collect() };
    serde_json::to_vec_pretty(&stored).map_err(|error| error.to_string())
}
