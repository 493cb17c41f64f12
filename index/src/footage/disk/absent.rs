//! The disk of a volume that is not there: refuses everything, for the reason that it is not there.

use super::{Disk, DiskFile};
use std::{io, sync::Arc};

/// See the module. Holds what was said when it was looked for.
pub(in crate::footage) struct AbsentDisk(pub(in crate::footage) String);

impl AbsentDisk {
    fn refuse<T>(&self) -> io::Result<T> {
        Err(io::Error::new(io::ErrorKind::NotConnected, self.0.clone()))
    }
}

impl Disk for AbsentDisk {
    fn create(&self, _: &str, _: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.refuse()
    }
    fn punch(&self, _: &str, _: u64, _: u64) -> io::Result<()> {
        self.refuse()
    }
    fn refill(&self, _: &str, _: u64) -> io::Result<()> {
        self.refuse()
    }
    fn open(&self, _: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.refuse()
    }
    fn list(&self, _: &str) -> io::Result<Vec<String>> {
        self.refuse()
    }
    fn remove(&self, _: &str) -> io::Result<()> {
        self.refuse()
    }
    fn sync_dir(&self, _: &str) -> io::Result<()> {
        self.refuse()
    }
    fn read_small(&self, _: &str) -> io::Result<Vec<u8>> {
        self.refuse()
    }
    fn replace_small(&self, _: &str, _: &[u8]) -> io::Result<()> {
        self.refuse()
    }
    fn sync_written(&self, _: &[Arc<dyn DiskFile>]) -> io::Result<()> {
        self.refuse()
    }
    fn settle(&self) -> io::Result<()> {
        self.refuse()
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.refuse()
    }
    fn is_direct(&self) -> bool {
        true
    }
}
