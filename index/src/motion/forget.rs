//! Grids go with the footage that they describe (M3): a day of them when the last footage of that day has gone at the end of its term,
//! so at most a day later than the footage itself; what was erased by order at once, and not only by its name: the old bytes are
//! overwritten.

use super::format::{Found, Look, day_window};
use super::store::{FILE, Shared, file_of, looks_of};
use crate::{
    durable,
    footage::{ErasureState, IntervalState, Store},
    model::{CameraId, GapCause, StreamId, StreamKind, UtcMicros, Window},
};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    time::Duration,
};

/// Grids are not kept longer than this, whatever else: of time whose footage was never stored, nothing tells when it is gone.
const KEEP_MAX: Duration = Duration::from_secs(400 * 86_400);

/// What grids must know of the footage.
pub trait Footage: Send + Sync {
    /// Whether any footage of a camera's window is there, or may be. May read indices, not disks.
    fn keeps(&self, camera: CameraId, window: Window) -> bool;
    /// How many orders of erasure have been carried out.
    fn orders(&self) -> usize;
    /// What of a camera's window was erased by order.
    fn erased(&self, camera: CameraId, window: Window) -> Vec<Window>;
}

impl Footage for Store {
    fn keeps(&self, camera: CameraId, window: Window) -> bool {
        if !self.is_recovered() {
            return true;
        }
        let gone = |cause| matches!(cause, GapCause::Expired | GapCause::Erased);
        let mut removed = false;
        for kind in StreamKind::ALL {
            for tile in self.coverage(StreamId::new(camera, kind), window, Duration::ZERO) {
                match tile.state {
                    IntervalState::Recorded | IntervalState::Partial { .. } => return true,
                    // On a disk that is away, perhaps.
                    IntervalState::Gap { cause: GapCause::Disk, .. } => return true,
                    IntervalState::Gap { cause, .. } => removed |= gone(cause),
                }
            }
        }
        !removed
    }

    fn orders(&self) -> usize {
        self.erasures().iter().filter(|order| order.state == ErasureState::Done).count()
    }

    fn erased(&self, camera: CameraId, window: Window) -> Vec<Window> {
        let tiles =
            StreamKind::ALL.into_iter().flat_map(|kind| self.coverage(StreamId::new(camera, kind), window, Duration::ZERO));
        let erased = tiles.filter(|tile| matches!(tile.state, IntervalState::Gap { cause: GapCause::Erased, .. }));
        erased.map(|tile| tile.window).collect()
    }
}

impl Shared {
    /// Removes what is due. Orders are gone through again after each start.
    pub(super) fn forget(&self, now: UtcMicros) {
        let orders = self.footage.orders();
        let thorough = self.orders_seen.swap(orders, std::sync::atomic::Ordering::Relaxed) != orders;
        for camera in numbers(&self.root) {
            let Ok(camera) = CameraId::new(camera) else { continue };
            let mut days = numbers(&self.folder(camera));
            days.sort_unstable();
            let old = days.iter().take_while(|day| {
                let window = day_window(**day);
                let past = now.since(window.to);
                past > KEEP_MAX || (!past.is_zero() && !self.footage.keeps(camera, window))
            });
            let old = old.count();
            for day in &days[..old] {
                self.done(camera, *day, self.alone(camera, || fs::remove_file(self.path(camera, *day))));
            }
            for day in days[old..].iter().filter(|_| thorough) {
                let erased = self.footage.erased(camera, day_window(*day));
                if !erased.is_empty() {
                    self.done(camera, *day, self.alone(camera, || self.erase(camera, *day, &erased)));
                }
            }
            if days.len() == old {
                // Refused while it holds anything else.
                let _ = fs::remove_dir(self.folder(camera));
            }
        }
    }

    fn done(&self, camera: CameraId, day: u32, result: io::Result<()>) {
        match result {
            Ok(()) => self.forgot(1),
            Err(error) => {
                // Tried again with the next round.
                self.orders_seen.store(usize::MAX, std::sync::atomic::Ordering::Relaxed);
                tracing::error!(%camera, day, %error, "motion whose footage is gone cannot be removed yet");
            }
        }
    }

    /// Makes a day's file anew without what says something of the erased time, and overwrites the old one.
    fn erase(&self, camera: CameraId, day: u32, erased: &[Window]) -> io::Result<()> {
        let path = self.path(camera, day);
        let mut looks = looks_of(&fs::read(&path)?, camera, day);
        let before = looks.len();
        looks.retain(|look| erased.iter().all(|gone| !told(look).overlaps(*gone)));
        if looks.len() == before {
            return Ok(());
        }
        let old = File::options().write(true).open(&path)?;
        if looks.is_empty() {
            fs::remove_file(&path)?;
        } else {
            durable::replace(&path, &file_of(&looks, camera, day), 0o600).map_err(|error| error.source)?;
        }
        overwrite(old)
    }
}

/// The time that a look says something of; its own instant at least.
fn told(look: &Look) -> Window {
    let since = match look.found {
        Found::Moved { since, .. } => since,
        Found::Unknown => Duration::ZERO,
    };
    Window::new(look.at - since, look.at + Duration::from_micros(1))
}

fn overwrite(mut file: File) -> io::Result<()> {
    let zeros = [0; 4096];
    let mut left = file.metadata()?.len();
    while left > 0 {
        let piece = left.min(zeros.len() as u64);
        file.write_all(&zeros[..piece as usize])?;
        left -= piece;
    }
    file.sync_all()
}

/// The entries of a directory that are numbers, as cameras' directories and days' files are.
fn numbers(dir: &Path) -> Vec<u32> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let named = |name: std::ffi::OsString| name.to_str()?.trim_end_matches(FILE).parse().ok();
    let mut numbers: Vec<u32> = entries.filter_map(|entry| named(entry.file_name())).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
