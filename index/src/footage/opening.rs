//! A store's start: which disks are there, whose they are, and what stands on them. Recording begins when this is done, so it takes
//! no longer with a full archive than with an empty one.

use super::{
    disk::{AbsentDisk, Disk},
    format::BLOCK,
    keeper,
    ledger::Ledger,
    pool::{Pool, Size},
    roster::Roster,
    shared::Shared,
    shelf::{self, Shelf},
    types::{OpenError, Setup, VolumeSetup},
    volume::{Identity, Volume, lock},
    world::World,
};
use crate::model::VolumeId;
use std::{io, sync::Arc};

/// Finds the disks of all volumes. One that was used before and is not there does not keep the others from recording; a new one
/// that is not there is a mistake in the configuration.
pub(super) fn disks(setup: &Setup, shelf: &dyn Shelf) -> Result<Vec<Arc<dyn Disk>>, OpenError> {
    let roster = Roster::open(&setup.state_dir);
    let mut disks: Vec<Arc<dyn Disk>> = Vec::new();
    let mut absent = Vec::new();
    for volume in &setup.volumes {
        let known = roster.id(&volume.name).is_some();
        match shelf.disk(volume, known) {
            Ok(disk) => disks.push(disk),
            Err(error) if known && error.is_absence() => {
                let error = absent_error(&mut absent, error);
                tracing::error!(volume = %volume.name, error, "the disk is not there, recording begins without it");
                disks.push(Arc::new(AbsentDisk(error)));
            }
            Err(error) => return Err(error),
        }
    }
    match absent.len() == disks.len() {
        true => absent.into_iter().next().map_or(Ok(disks), Err),
        false => Ok(disks),
    }
}

fn absent_error(absent: &mut Vec<OpenError>, error: OpenError) -> String {
    let text = shelf::chain(&error);
    absent.push(error);
    text
}

impl Shared {
    /// Opens every volume. See [`super::Store::open`].
    pub(super) fn open(
        setup: Setup,
        disks: Vec<Arc<dyn Disk>>,
        ledger: Ledger,
        world: Arc<dyn World>,
    ) -> Result<(Self, Vec<keeper::Leftovers>), OpenError> {
        for bytes in [setup.segment_bytes, setup.sub_segment_bytes] {
            if bytes % BLOCK as u64 != 0 || !(1 << 20..=1 << 30).contains(&bytes) {
                return Err(OpenError::SegmentSize(bytes));
            }
        }
        let roster = Roster::open(&setup.state_dir);
        let (mut volumes, mut replaced) = (Vec::new(), Vec::new());
        for ((index, volume), disk) in setup.volumes.iter().enumerate().zip(disks) {
            let identity = match Identity::read_or_make(&*disk, setup.node, fresh_id(&*world)) {
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                    let id = roster.id(&volume.name).unwrap_or(VolumeId::from_bytes([0; 16]));
                    let there = made(&setup, index as u16, volume, disk, id);
                    volumes.push(Arc::new(there.absent(error.to_string(), world.now())));
                    continue;
                }
                identity => identity.map_err(|source| refuse(volume, source))?,
            };
            let (name, path) = (volume.name.clone(), volume.path.clone());
            let identity = identity.map_err(|reason| OpenError::Foreign { volume: name, path, reason })?;
            replaced.extend(roster.id(&volume.name).filter(|before| *before != identity.id).map(|before| (index, before)));
            roster.note(&volume.name, identity.id);
            volumes.push(Arc::new(made(&setup, index as u16, volume, disk, identity.id)));
        }
        let shared = Self::new(setup, volumes, ledger, world);
        let mut leftovers = Vec::new();
        for volume in shared.volumes.all().iter() {
            if volume.is_absent() {
                shared.away.recall(volume.index, &volume.name, volume.id);
                leftovers.push(keeper::Leftovers::default());
                continue;
            }
            leftovers.push(keeper::open(volume, &shared).map_err(|source| refuse(&volume.setup(), source))?);
            shared.check_room(volume)?;
        }
        for (volume, before) in replaced.into_iter().filter_map(|(index, before)| Some((shared.volumes.get(index)?, before))) {
            shared.away.recall(volume.index, &volume.name, before);
            shared.replaced(&volume, before);
        }
        shared.settle_places();
        Ok((shared, leftovers))
    }

    /// A volume in that place, not yet looked into.
    pub(super) fn volume(&self, index: u16, setup: &VolumeSetup, disk: Arc<dyn Disk>, id: VolumeId) -> Volume {
        made(&self.setup, index, setup, disk, id)
    }

    /// A volume without a segment and without room for one is refused.
    pub(super) fn check_room(&self, volume: &Volume) -> Result<(), OpenError> {
        let (total, needed) = {
            let pool = lock(&volume.pool);
            (pool.total(), pool.bytes_of(Size::Main))
        };
        let refuse = |source| refuse(&volume.setup(), source);
        let listed = volume.disk.list("segs").map_err(refuse)?.len();
        let free = volume.disk.free_bytes().map_err(refuse)?;
        if total + listed == 0 && free < needed {
            return Err(OpenError::Full { volume: volume.name.clone(), path: volume.path.clone(), free, needed });
        }
        Ok(())
    }
}

fn made(setup: &Setup, index: u16, volume: &VolumeSetup, disk: Arc<dyn Disk>, id: VolumeId) -> Volume {
    let pool = Pool::new(setup.segment_bytes, setup.sub_segment_bytes, volume.capacity);
    Volume::new(index, volume, disk, id, pool, setup.queue_bytes)
}

/// An id that no volume has.
pub(super) fn fresh_id(world: &dyn World) -> [u8; 16] {
    (u128::from(world.random()) << 64 | u128::from(world.random())).to_le_bytes()
}

fn refuse(volume: &VolumeSetup, source: io::Error) -> OpenError {
    shelf::refusal(&volume.name, &volume.path, source)
}
