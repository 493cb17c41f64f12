//! Which volumes there are. A volume keeps its place for as long as the node runs, also while its disk is away: segments are named by
//! it. One that returns is another [`Volume`] in the same place.

use super::volume::Volume;
use std::sync::{Arc, PoisonError, RwLock};

/// See the module.
pub(super) struct Volumes(RwLock<Arc<[Arc<Volume>]>>);

impl Volumes {
    /// Each in the place that it says it has, from 0 on.
    pub(super) fn new(volumes: Vec<Arc<Volume>>) -> Self {
        debug_assert!(volumes.iter().enumerate().all(|(at, volume)| usize::from(volume.index) == at));
        Self(RwLock::new(volumes.into()))
    }

    /// All of them as they are now.
    pub(super) fn all(&self) -> Arc<[Arc<Volume>]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The one in that place.
    pub(super) fn get(&self, index: usize) -> Option<Arc<Volume>> {
        self.all().get(index).cloned()
    }

    /// Puts a volume in the place that it says it has: in that of the one before it, or behind all.
    pub(super) fn put(&self, volume: &Arc<Volume>) {
        let mut volumes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut all = volumes.to_vec();
        match all.get_mut(usize::from(volume.index)) {
            Some(place) => *place = Arc::clone(volume),
            None => all.push(Arc::clone(volume)),
        }
        *volumes = all.into();
    }
}
