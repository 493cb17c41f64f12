//! File systems of their own on loop devices, for what only a real file system shows. They need root and /dev/loop*: where a machine
//! has neither, [`LoopDisk::make`] says so, and who asked counts it as skipped.

use anyhow::{Context, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// Bytes of one disk, of which only those are taken up that are written.
const DISK: u64 = 640 << 20;
/// How long a file system that was used a moment ago may stay busy.
const BUSY: Duration = Duration::from_secs(20);

/// A file system on a loop device; unmounted and given back when dropped, whatever happened to it.
pub(crate) struct LoopDisk {
    image: PathBuf,
    pub(crate) device: PathBuf,
    pub(crate) mount_point: PathBuf,
}

impl LoopDisk {
    /// Makes and mounts an `ext4` or `xfs` at `mount_point`, with its image beside it.
    pub(crate) fn make(mount_point: &Path, kind: &str) -> Result<Self> {
        let image = mount_point.with_extension("img");
        fs::create_dir_all(mount_point)?;
        fs::File::create(&image)?.set_len(DISK)?;
        let device = run("losetup", &["--find".as_ref(), "--show".as_ref(), image.as_os_str()]);
        let device = device.inspect_err(|_| drop(fs::remove_file(&image)))?;
        let disk = Self { image, device: device.trim().into(), mount_point: mount_point.to_owned() };
        disk.format(kind)?;
        disk.mount()?;
        Ok(disk)
    }

    /// Puts an empty file system on the device, which is not mounted.
    pub(crate) fn format(&self, kind: &str) -> Result<()> {
        let device = self.device.as_os_str();
        match kind {
            "xfs" => run("mkfs.xfs", &["-q".as_ref(), "-f".as_ref(), device])?,
            _ => run(
                "mkfs.ext4",
                &["-q".as_ref(), "-F".as_ref(), "-m".as_ref(), "0".as_ref(), "-e".as_ref(), "remount-ro".as_ref(), device],
            )?,
        };
        Ok(())
    }

    pub(crate) fn mount(&self) -> Result<()> {
        run("mount", &[self.device.as_os_str(), self.mount_point.as_os_str()]).map(drop)
    }

    /// As an operator does whose disk is still in use: at once for everybody who asks for it by name.
    pub(crate) fn detach(&self) -> Result<()> {
        run("umount", &["-l".as_ref(), self.mount_point.as_os_str()]).map(drop)
    }

    /// Unmounts it, once nobody uses it any more: what was in memory of it is gone then.
    pub(crate) fn unmount(&self) -> Result<()> {
        let deadline = Instant::now() + BUSY;
        loop {
            match run("umount", &[self.mount_point.as_os_str()]) {
                Err(error) if Instant::now() < deadline && error.to_string().contains("busy") => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                result => return result.map(drop),
            }
        }
    }

    /// Leaves only so many bytes free.
    pub(crate) fn fill(&self, leave: u64) -> Result<()> {
        let stat = rustix::fs::statvfs(&self.mount_point)?;
        let free = stat.f_bavail * stat.f_frsize;
        let foreign = fs::File::create(self.mount_point.join("foreign"))?;
        Ok(rustix::fs::fallocate(&foreign, rustix::fs::FallocateFlags::empty(), 0, free.saturating_sub(leave))?)
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        // Frozen by a measurement that failed, or unmounted by one that did not.
        let _ = run("fsfreeze", &["-u".as_ref(), self.mount_point.as_os_str()]);
        let _ = self.detach();
        let _ = run("losetup", &["--detach".as_ref(), self.device.as_os_str()]);
        let _ = fs::remove_file(&self.image);
        let _ = fs::remove_dir(&self.mount_point);
    }
}

/// Runs a program of the system and gives what it printed.
pub(crate) fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| format!("run {program}"))?;
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
