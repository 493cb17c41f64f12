//! Which room has which camera: asked of the rooms when somebody wants a camera, and kept.

use super::{Down, Reply, Say};
use crate::link::roster::Roster;
use index::model::{Camera, CameraAddress, CameraId, NodeId};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long a room may take to list its cameras.
const PATIENCE: Duration = Duration::from_secs(4);
/// A camera that nobody had is asked for again after so long.
const AGAIN: Duration = Duration::from_secs(2);
/// Cameras of one node that are believed.
const MAX_CAMERAS: usize = 5_000;

/// A camera as a room lists it to nodes above.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Its number.
    pub id: CameraId,
    /// What people call it.
    pub name: String,
    /// Where it stands below the room.
    pub place: Vec<String>,
    /// Whether it has a sub-stream.
    pub sub: bool,
}

/// See the module.
pub struct Places {
    down: Arc<Down>,
    roster: Arc<Roster>,
    known: Mutex<HashMap<CameraId, (NodeId, Camera)>>,
    asking: tokio::sync::Mutex<Option<Instant>>,
}

impl Places {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(down: Arc<Down>, roster: Arc<Roster>) -> Self {
        Self { down, roster, known: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// Where a camera is, as far as is known.
    #[must_use]
    pub fn known(&self, camera: CameraId) -> Option<(NodeId, Camera)> {
        self.lock().get(&camera).cloned()
    }

    /// All that are known, by number.
    #[must_use]
    pub fn all(&self) -> Vec<(NodeId, Camera)> {
        let mut all: Vec<_> = self.lock().values().cloned().collect();
        all.sort_by_key(|(_, camera)| camera.id);
        all
    }

    /// Asks the rooms if one of these is not known, and not just asked.
    pub async fn learn(&self, cameras: &[CameraId]) {
        let unknown = || cameras.is_empty() || cameras.iter().any(|camera| self.known(*camera).is_none());
        if !unknown() {
            return;
        }
        let mut asked = self.asking.lock().await;
        if !unknown() || asked.is_some_and(|asked| asked.elapsed() < AGAIN) {
            return;
        }
        let rooms = self.roster.list().into_iter().filter(|known| known.named.tier.records()).map(|known| known.named.node);
        futures::future::join_all(rooms.map(|room| self.ask(room))).await;
        *asked = Some(Instant::now());
    }

    async fn ask(&self, room: NodeId) {
        let Ok((Reply::Cameras, bytes)) = self.down.ask(room, Say::Cameras, PATIENCE).await else { return };
        let Ok(listed) = serde_json::from_slice::<Vec<Listed>>(&bytes) else { return };
        let Ok(address) = CameraAddress::new("rtsp://below/") else { return };
        let mut known = self.lock();
        known.retain(|_, (node, _)| *node != room);
        for Listed { id, name, place, sub } in listed.into_iter().take(MAX_CAMERAS) {
            let camera = Camera { place, sub: sub.then(|| address.clone()), ..Camera::new(id, name, address.clone()) };
            // A number that another room has is that room's.
            known.entry(id).or_insert((room, camera));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CameraId, (NodeId, Camera)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Places").finish_non_exhaustive()
    }
}
