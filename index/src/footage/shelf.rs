//! How a volume's directory becomes a disk: it must be there, be ours alone, and be the disk that it was, not the empty directory that
//! is left where a disk is not mounted.

use super::{
    disk::{Disk, RealDisk},
    types::{OpenError, VolumeSetup},
};
use std::{fs::File, io, os::unix::fs::MetadataExt as _, path::Path, sync::Arc};

/// Where disks are found. The machine's ([`Directories`]), or a test's.
pub(super) trait Shelf: Send + Sync {
    /// The disk of a volume. `known` if the volume was used before.
    fn disk(&self, volume: &VolumeSetup, known: bool) -> Result<Arc<dyn Disk>, OpenError>;
}

/// The directories of the machine.
pub(super) struct Directories;

impl Shelf for Directories {
    fn disk(&self, volume: &VolumeSetup, known: bool) -> Result<Arc<dyn Disk>, OpenError> {
        let refuse = |source| refusal(&volume.name, &volume.path, source);
        let (name, path) = (volume.name.clone(), volume.path.clone());
        match std::fs::metadata(&volume.path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(OpenError::Missing { volume: name, path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OpenError::Missing { volume: name, path }),
            Err(source) => return Err(refuse(source)),
        }
        // A new disk in the place of a known one is mounted there.
        let empty = !volume.path.join(super::volume::Identity::NAME).try_exists().map_err(refuse)?;
        if known && empty && !is_mount_point(&volume.path).map_err(refuse)? {
            return Err(OpenError::NotMounted { volume: name, path });
        }
        let lock = take(volume)?;
        Ok(Arc::new(RealDisk::new(&volume.path, lock).map_err(refuse)?))
    }
}

fn is_mount_point(path: &Path) -> io::Result<bool> {
    let above = path.canonicalize()?.parent().map(Path::to_owned);
    let Some(above) = above else { return Ok(true) };
    Ok(std::fs::metadata(path)?.dev() != std::fs::metadata(above)?.dev())
}

/// Takes the volume for this process, for as long as the file is open.
fn take(volume: &VolumeSetup) -> Result<File, OpenError> {
    let refuse = |source| refusal(&volume.name, &volume.path, source);
    let file = File::options().create(true).truncate(false).write(true).open(volume.path.join("lock"));
    let file = file.map_err(refuse)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked { volume: volume.name.clone(), path: volume.path.clone() }),
        Err(error) => Err(refuse(error.into())),
    }
}

/// What the system said about a volume, as an [`OpenError`].
pub(super) fn refusal(name: &str, path: &Path, source: io::Error) -> OpenError {
    let (volume, path) = (name.to_owned(), path.to_owned());
    match source.kind() {
        io::ErrorKind::PermissionDenied => OpenError::Permission { volume, path },
        io::ErrorKind::StorageFull => OpenError::Full { volume, path, free: 0, needed: 0 },
        _ => OpenError::Io { volume, path, source },
    }
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
