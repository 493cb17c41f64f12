//! A directory of the machine's file system. Writes go through `O_DIRECT`, past the page cache: video that is written once and
//! rarely read would only push out what is needed, and copying it there costs as much as the rest of the store. Reads do use it.

use super::{Disk, DiskFile};
use crate::footage::format::BLOCK;
use rustix::fs::{self, FallocateFlags, Mode, OFlags};
use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::{AsFd, OwnedFd},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

const EXT4: u64 = 0xef53;
const XFS: u64 = 0x5846_5342;

/// See the module.
pub(in crate::footage) struct RealDisk {
    root: PathBuf,
    direct: bool,
    /// Where one journal orders all metadata of the file system: a file whose length changes at each commit. See
    /// [`RealDisk::sync_written`].
    beat: Option<Beat>,
    /// Held, not read: a lock goes with its file.
    lock: Mutex<Option<File>>,
}

struct Beat {
    file: OwnedFd,
    len: AtomicU64,
}

impl RealDisk {
    /// The directory `root`, which must exist, be writable, and be ours: `lock` is kept. Finds out what the file system can do.
    pub(in crate::footage) fn new(root: &Path, lock: File) -> io::Result<Self> {
        std::fs::create_dir_all(root.join("segs"))?;
        let direct = try_direct(root)?;
        let kind = fs::statfs(root)?.f_type as u64;
        let beat = match direct && (kind == EXT4 || kind == XFS) {
            true => {
                let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
                let file = fs::open(root.join("beat"), flags, Mode::from_raw_mode(0o640))?;
                fs::ftruncate(&file, 0)?;
                Some(Beat { file, len: AtomicU64::new(0) })
            }
            false => None,
        };
        if !direct {
            tracing::warn!(path = %root.display(), "the file system refuses direct I/O, writing through the page cache");
        }
        Ok(Self { root: root.to_owned(), direct, beat, lock: Mutex::new(Some(lock)) })
    }

    /// The directory `root`, to be read only: changes and probes nothing.
    pub(in crate::footage) fn for_reading(root: &Path) -> Self {
        Self { root: root.to_owned(), direct: true, beat: None, lock: Mutex::default() }
    }

    fn file(&self, name: &str, writable: bool) -> io::Result<RealFile> {
        let path = self.root.join(name);
        let read = File::options().read(true).write(writable && !self.direct).open(&path)?;
        Ok(RealFile { path, direct: self.direct, writable, read, write: OnceLock::new() })
    }
}

/// Whether a block written with `O_DIRECT` is accepted.
fn try_direct(root: &Path) -> io::Result<bool> {
    let path = root.join("segs/.probe");
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::DIRECT;
    let accepted = match fs::open(&path, flags, Mode::from_raw_mode(0o600)) {
        Ok(file) => {
            let mut block = super::AlignedBuffer::default();
            block.grow(BLOCK).fill(0);
            File::from(file).write_at(block.bytes(), 0).is_ok()
        }
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => false,
        Err(error) => return Err(error.into()),
    };
    // Left behind when opening failed half way; absent on most file systems then.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(accepted),
    }
}

impl Disk for RealDisk {
    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let file = File::options().read(true).write(true).create_new(true).open(self.root.join(name))?;
        if let Err(error) = fs::fallocate(&file, FallocateFlags::empty(), 0, len) {
            // NFS and some others cannot: a length is all they give.
            let made = match error {
                rustix::io::Errno::OPNOTSUPP => file.set_len(len),
                other => Err(other.into()),
            };
            if let Err(error) = made {
                let _ = std::fs::remove_file(self.root.join(name));
                return Err(error);
            }
        }
        Ok(Arc::new(self.file(name, true)?))
    }

    fn punch(&self, name: &str, from: u64, to: u64) -> io::Result<()> {
        let file = File::options().write(true).open(self.root.join(name))?;
        Ok(fs::fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, from, to - from)?)
    }

    fn refill(&self, name: &str, len: u64) -> io::Result<()> {
        let file = File::options().write(true).open(self.root.join(name))?;
        Ok(fs::fallocate(&file, FallocateFlags::empty(), 0, len)?)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(self.file(name, true)?))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(self.root.join(dir))? {
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.root.join(name))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        File::open(self.root.join(dir))?.sync_all()
    }

    fn read_small(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.root.join(name))
    }

    fn replace_small(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (path, new) = (self.root.join(name), self.root.join(format!("{name}.new")));
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(new, path)?;
        self.sync_dir("")
    }

    /// On ext4 and XFS one `fdatasync` is enough for all files. Each direct write has returned, so its data is on the device or in
    /// the device's cache, and the change of its extents (from allocated to written) is in the file system's journal. That
    /// journal commits in order, and flushes the device. So it is enough to sync a file whose own metadata changed after
    /// all of these: `beat`, whose length is changed here.
    fn sync_written(&self, touched: &[Arc<dyn DiskFile>]) -> io::Result<()> {
        match &self.beat {
            Some(beat) => {
                // Growing costs the file system less than shrinking; no block is allocated for either.
                let len = beat.len.fetch_add(1, Ordering::Relaxed) % (1 << 20) + 1;
                fs::ftruncate(&beat.file, len)?;
                Ok(fs::fdatasync(&beat.file)?)
            }
            None => touched.iter().try_for_each(|file| file.sync()),
        }
    }

    fn settle(&self) -> io::Result<()> {
        Ok(fs::syncfs(File::open(&self.root)?)?)
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = fs::statvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn release(&self) {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is_direct(&self) -> bool {
        self.direct
    }
}

struct RealFile {
    path: PathBuf,
    direct: bool,
    writable: bool,
    read: File,
    /// Opened at the first write, where writes are direct.
    write: OnceLock<File>,
}

impl RealFile {
    fn writer(&self) -> io::Result<&File> {
        if !self.direct || !self.writable {
            return Ok(&self.read);
        }
        if let Some(file) = self.write.get() {
            return Ok(file);
        }
        let file = fs::open(&self.path, OFlags::RDWR | OFlags::CLOEXEC | OFlags::DIRECT, Mode::empty())?;
        Ok(self.write.get_or_init(|| file.into()))
    }
}

impl DiskFile for RealFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.writer()?.write_all_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read.read_exact_at(bytes, offset)
    }

    fn forget(&self, offset: u64, len: u64) {
        // Advice: where it is not taken, nothing is lost.
        let _ = fs::fadvise(&self.read, offset, std::num::NonZeroU64::new(len), fs::Advice::DontNeed);
    }

    fn sync(&self) -> io::Result<()> {
        Ok(fs::fdatasync(self.writer()?.as_fd())?)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.read.metadata()?.len())
    }
}
