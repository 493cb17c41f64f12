//! Where the journal's files live: a directory of the machine, or one that loses power and lies (`sim`).

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a file is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Use {
    /// Looking only.
    Read,
    /// Appending too.
    Append,
}

/// A directory of log files.
pub(super) trait Medium: Send + Sync {
    /// The names in it, in any order.
    fn list(&self) -> io::Result<Vec<String>>;
    fn open(&self, name: &str, to: Use) -> io::Result<Box<dyn LogFile>>;
    /// Makes an empty file in place of any other of that name, with room for `reserve` bytes: [`io::ErrorKind::StorageFull`]
    /// if there is none.
    fn create(&self, name: &str, reserve: u64) -> io::Result<Box<dyn LogFile>>;
    /// Gives a file or directory another name, durably.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// A directory in this one, made durably if it is missing.
    fn below(&self, name: &str) -> io::Result<Arc<dyn Medium>>;
    /// The file's name as people know it, for errors.
    fn path(&self, name: &str) -> PathBuf;
}

/// One log file.
pub(super) trait LogFile: Send + Sync {
    /// Reads `length` bytes from `offset` on, fewer at the end of the file.
    fn read_at(&self, offset: u64, length: u64, into: &mut Vec<u8>) -> io::Result<()>;
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written durable, with the length needed to read it. Once refused, nothing is known any more.
    fn sync(&self) -> io::Result<()>;
    /// Removes what is behind `length`, durably.
    fn cut(&self, length: u64) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
}

/// A directory of the machine.
pub(super) struct RealMedium(PathBuf);

impl RealMedium {
    /// For a directory that is there.
    pub(super) fn new(dir: &Path) -> Self {
        Self(dir.to_owned())
    }

    /// Creates the directory if it is missing, durably.
    pub(super) fn create(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(Self::new(dir))
    }
}

impl Medium for RealMedium {
    fn list(&self) -> io::Result<Vec<String>> {
        fs::read_dir(&self.0)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn open(&self, name: &str, to: Use) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(File::options().read(true).write(to == Use::Append).open(self.0.join(name))?))
    }

    fn create(&self, name: &str, reserve: u64) -> io::Result<Box<dyn LogFile>> {
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600).open(self.0.join(name))?;
        // Not every file system reserves; where it does not, a full disk shows when a commit is written.
        if let Err(Errno::NOSPC | Errno::DQUOT) = fallocate(&file, FallocateFlags::KEEP_SIZE, 0, reserve) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(Box::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))?;
        File::open(&self.0)?.sync_all()
    }

    fn below(&self, name: &str) -> io::Result<Arc<dyn Medium>> {
        Ok(Arc::new(Self::create(&self.0.join(name))?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl LogFile for File {
    fn read_at(&self, offset: u64, length: u64, into: &mut Vec<u8>) -> io::Result<()> {
        into.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        let mut have = 0;
        while have < into.len() {
            match FileExt::read_at(self, &mut into[have..], offset + have as u64) {
                Ok(0) => break,
                Ok(n) => have += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        into.truncate(have);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.sync_all()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
