//! What happens to a disk in `tests/measure disks`, brought about on a real file system. Where a machine cannot do it, [`Trouble::begin`]
//! says so by giving none.

use crate::loop_disk::{LoopDisk, run};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// What happens to the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It answers nothing for some seconds.
    Stalled,
    /// It answers for a moment in every two seconds.
    Slow,
    /// Its file system turns read-only after an error.
    ReadOnly,
    /// Nothing on it can be read or written any more.
    Vanished,
    /// Another's file took most of it before it was first used.
    Full,
    /// Another's file takes the rest while it is in use.
    Filled,
}

impl Fault {
    pub(crate) const ALL: [Self; 6] = [Self::Stalled, Self::Slow, Self::ReadOnly, Self::Vanished, Self::Full, Self::Filled];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Stalled => "stalled",
            Self::Slow => "slow",
            Self::ReadOnly => "read_only",
            Self::Vanished => "vanished",
            Self::Full => "full",
            Self::Filled => "filled",
        }
    }

    /// The file system that it can be shown on. XFS, for its shutdown can be asked for at a shell.
    pub(crate) fn file_system(self) -> &'static str {
        match self {
            Self::ReadOnly => "ext4",
            _ => "xfs",
        }
    }
}

/// A fault under way; ended when dropped, so that nothing stays frozen.
pub(crate) struct Trouble {
    mount_point: PathBuf,
    thaw: bool,
    slow: Option<std::thread::JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Trouble {
    /// Lets a fault begin; `None` if this machine cannot bring it about.
    pub(crate) fn begin(fault: Fault, disk: &LoopDisk) -> Result<Option<Self>> {
        let path = disk.mount_point.clone();
        let stop = Arc::<AtomicBool>::default();
        let mut trouble = Self { mount_point: path.clone(), thaw: false, slow: None, stop: stop.clone() };
        match fault {
            Fault::Stalled => {
                run("fsfreeze", &["-f".as_ref(), path.as_os_str()])?;
                trouble.thaw = true;
            }
            Fault::Slow => {
                trouble.slow = Some(std::thread::spawn(move || {
                    while !stop.load(Ordering::Acquire) {
                        let _ = run("fsfreeze", &["-f".as_ref(), path.as_os_str()]);
                        std::thread::sleep(Duration::from_millis(1800));
                        let _ = run("fsfreeze", &["-u".as_ref(), path.as_os_str()]);
                        std::thread::sleep(Duration::from_millis(100));
                    }
                }));
            }
            Fault::ReadOnly => {
                let device = disk.device.file_name().context("a device")?;
                let trigger = Path::new("/sys/fs/ext4").join(device).join("trigger_fs_error");
                if fs::write(&trigger, "measured").is_err() {
                    return Ok(None);
                }
            }
            Fault::Vanished => {
                if run("xfs_io", &["-x".as_ref(), "-c".as_ref(), "shutdown".as_ref(), path.as_os_str()]).is_err() {
                    return Ok(None);
                }
            }
            Fault::Filled => disk.fill(1 << 20)?,
            // It was full before the room began.
            Fault::Full => {}
        }
        Ok(Some(trouble))
    }

    /// Lets it end, where it can.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Release);
        if let Some(slow) = self.slow.take() {
            drop(slow.join());
        }
        if std::mem::take(&mut self.thaw) {
            run("fsfreeze", &["-u".as_ref(), self.mount_point.as_os_str()])?;
        }
        Ok(())
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("{error:#}");
        }
    }
}
