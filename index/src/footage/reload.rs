//! Volumes that come and go while the node records: the configuration was changed and is taken anew.

use super::{
    Store,
    types::{OpenError, VolumeSetup, VolumeState},
    volume::lock,
    warden,
};
use std::sync::atomic::Ordering;

impl Store {
    /// Takes the volumes as they are configured now. New ones are used at once; streams move there as their segments end. Those that
    /// are not named any more give up their streams and are let go. One that does not do well is tried again: a disk that was
    /// repaired, or is believed again, is taken back by this.
    ///
    /// # Errors
    /// [`OpenError`] says which volume cannot be taken, and why; nothing was changed then.
    pub fn reload(&self, configured: &[VolumeSetup]) -> Result<(), OpenError> {
        let shared = &self.shared;
        let present = shared.volumes.all();
        let place = |name: &str| present.iter().find(|volume| volume.name == name);
        if configured.is_empty() {
            return Err(OpenError::NoVolume);
        }
        if let Some(moved) = configured.iter().find(|setup| place(&setup.name).is_some_and(|volume| volume.path != setup.path)) {
            return Err(OpenError::Moved { volume: moved.name.clone(), path: moved.path.clone() });
        }
        let is_new = |setup: &&VolumeSetup| place(&setup.name).is_none_or(|volume| volume.removed.load(Ordering::Acquire));
        let mut added = Vec::new();
        let mut next = present.len();
        for setup in configured.iter().filter(is_new) {
            let index = place(&setup.name).map_or(next, |volume| usize::from(volume.index));
            next += usize::from(index == next);
            added.push(warden::open(shared, index as u16, setup)?);
        }
        for (volume, leftovers) in added {
            shared.take_back(&volume);
            let staffed = warden::staff(shared, &volume, leftovers);
            staffed.map_err(|source| OpenError::Io { volume: volume.name.clone(), path: volume.path.clone(), source })?;
            shared.fare_changed(&volume);
        }
        for volume in present.iter() {
            match configured.iter().find(|setup| setup.name == volume.name) {
                None => {
                    tracing::info!(volume = %volume.name, "the volume is not configured any more, and let go");
                    volume.removed.store(true, Ordering::Release);
                }
                Some(setup) => {
                    lock(&volume.pool).resize(setup.capacity);
                    let ill = volume.state() >= VolumeState::Draining;
                    volume.ask_again.store(ill, Ordering::Release);
                }
            }
        }
        self.wake_warden();
        Ok(())
    }

    fn wake_warden(&self) {
        if let Some(warden) = &*lock(&self.warden) {
            warden.thread().unpark();
        }
    }
}
