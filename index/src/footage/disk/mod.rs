//! The one way to bytes on a disk. Two implementations: the machine's ([`RealDisk`]), and one that tears, loses and refuses
//! writes from a seed (`sim`, for tests). Everything above speaks to a directory of fixed-size files through these traits, so the
//! store that is tested is the store that runs.

mod absent;
mod buffer;
mod real;
#[cfg(test)]
pub(super) mod sim;

pub(super) use absent::AbsentDisk;
pub(super) use buffer::AlignedBuffer;
pub(super) use real::RealDisk;

use std::{io, sync::Arc};

/// A directory of one volume.
pub(super) trait Disk: Send + Sync {
    /// Makes a file of `len` bytes whose blocks are allocated, so that writing it never meets a full disk. Reads as zeros. Durable
    /// after [`DiskFile::sync`] and [`Disk::sync_dir`].
    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives the blocks of a stretch of a file back; they read as zeros. Where that cannot be done nothing happens, and it is an
    /// error.
    fn punch(&self, name: &str, from: u64, to: u64) -> io::Result<()>;
    /// Allocates whatever blocks a file of that length lacks.
    fn refill(&self, name: &str, len: u64) -> io::Result<()>;
    /// Opens a file that is there.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// The files in a directory below the volume (`""` for its own), by name.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Removes a file; durable after [`Disk::sync_dir`].
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes a directory's names durable.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Reads a small file whole.
    fn read_small(&self, name: &str) -> io::Result<Vec<u8>>;
    /// Puts a small file in place of the one of that name, so that a crash leaves either the old or the new one, whole. Durable
    /// on return.
    fn replace_small(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Makes every write that returned before this call, to any of `touched`, durable: one sync where the file system allows it.
    /// After an error nothing is known about any of them, and asking again proves nothing.
    fn sync_written(&self, touched: &[Arc<dyn DiskFile>]) -> io::Result<()>;
    /// Makes everything durable that was written here, by whomever. A process may have ended between a write and its sync while the
    /// machine went on: the next one reads what the next crash may take back.
    fn settle(&self) -> io::Result<()>;
    /// Bytes that may still be allocated.
    fn free_bytes(&self) -> io::Result<u64>;
    /// Lets go of the volume, for another process or another store to take.
    fn release(&self) {}
    /// Whether writes bypass the page cache.
    fn is_direct(&self) -> bool;
}

/// One file of a volume.
pub(super) trait DiskFile: Send + Sync {
    /// Writes all of `bytes`; offset, length and the memory's address are multiples of 4,096.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Fills all of `bytes`, from any offset.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
    /// What was read there will not be read again soon: no memory need be kept for it.
    fn forget(&self, _offset: u64, _len: u64) {}
    /// Makes what was written to this file durable, its length included.
    fn sync(&self) -> io::Result<()>;
    /// Its length.
    fn len(&self) -> io::Result<u64>;
}

/// Reads something that can be told right from wrong, and once more if it is wrong or refused: a disk that reads the wrong place once
/// reads the right one the next time, and what is called damaged is given up for ever.
pub(super) fn read_twice<T>(mut read: impl FnMut() -> io::Result<Option<T>>) -> io::Result<Option<T>> {
    match read() {
        Ok(Some(right)) => Ok(Some(right)),
        Ok(None) | Err(_) => read(),
    }
}

/// Reads `len` bytes at `offset` into fresh memory.
pub(super) fn read_vec(file: &dyn DiskFile, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    file.read_at(&mut bytes, offset)?;
    Ok(bytes)
}
