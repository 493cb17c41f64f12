//! What was recorded on volumes whose disks are not there: it cannot be read now, and may come back. Until then its time is a gap
//! whose cause is the disk, and the disk is named. So that a start without the disk knows too, a file in the state directory says of
//! each volume what time it holds.

use super::{
    catalogue::Catalogue,
    spans,
    types::{Interval, IntervalState},
    volume::{Volume, lock},
};
use crate::model::{GapCause, StreamId, VolumeId, Window};
use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::Mutex,
};

/// See the module. By the volume's place.
pub(super) struct Away {
    dir: PathBuf,
    missing: Mutex<HashMap<u16, Missing>>,
    /// Disks in whose place others are: what is written down of them is not needed once the ledger knows what was lost.
    replaced: Mutex<Vec<VolumeId>>,
}

/// Recorded time by stream: merged, in order.
type Held = HashMap<StreamId, Vec<Window>>;

/// One volume's.
struct Missing {
    name: String,
    streams: Held,
}

/// What the catalogue holds of a volume.
fn held(volume: u16, catalogue: &Catalogue) -> Held {
    let mut streams = Held::new();
    for (stream, index) in &*catalogue.read() {
        let mine = index.segments().iter().filter(|segment| segment.key.volume == volume);
        for span in mine.flat_map(|segment| segment.spans().iter().copied()) {
            spans::join(streams.entry(*stream).or_default(), span);
        }
    }
    streams
}

impl Away {
    /// Of the node whose state is in `state_dir`. Nothing is away yet.
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("held"), missing: Mutex::default(), replaced: Mutex::default() }
    }

    fn file(&self, id: VolumeId) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }

    /// Writes down what a volume holds, for a start without it. Replaced whole and not synced: what is lost by that is the cause of a
    /// gap, if the disk goes in the same moment as the power.
    pub(super) fn write(&self, volume: &Volume, catalogue: &Catalogue) -> io::Result<()> {
        std::fs::create_dir_all(&self.dir)?;
        let (file, new) = (self.file(volume.id), self.dir.join(format!("{}.new", volume.id)));
        std::fs::write(&new, serde_json::to_vec(&held(volume.index, catalogue))?)?;
        std::fs::rename(new, file)
    }

    /// Remembers what the catalogue holds of a volume that is about to leave it.
    pub(super) fn remember(&self, volume: &Volume, catalogue: &Catalogue) {
        self.keep(volume.index, &volume.name, held(volume.index, catalogue));
    }

    /// Remembers what was written down of the disk `id` that is not in its place.
    pub(super) fn recall(&self, index: u16, name: &str, id: VolumeId) {
        let read = std::fs::read(self.file(id)).and_then(|bytes| Ok(serde_json::from_slice::<Held>(&bytes)?));
        match read {
            Ok(streams) => self.keep(index, name, streams),
            Err(error) => tracing::warn!(volume = name, %error, "what the disk that is not there holds is not known"),
        }
    }

    fn keep(&self, index: u16, name: &str, streams: Held) {
        lock(&self.missing).insert(index, Missing { name: name.to_owned(), streams });
    }

    /// The volume is back.
    pub(super) fn forget(&self, volume: u16) {
        lock(&self.missing).remove(&volume);
    }

    /// Another disk has the place of the disk `id`, which held this: it is not waited for any more.
    pub(super) fn give_up(&self, volume: u16, id: VolumeId) -> Vec<(StreamId, Vec<Window>)> {
        lock(&self.replaced).push(id);
        lock(&self.missing).remove(&volume).map(|missing| missing.streams.into_iter().collect()).unwrap_or_default()
    }

    /// Removes what was written down of disks that were given up: the ledger is saved, and knows. Not of one that is `there` again.
    pub(super) fn tidy(&self, there: impl Fn(VolumeId) -> bool) {
        for id in std::mem::take(&mut *lock(&self.replaced)).into_iter().filter(|id| !there(*id)) {
            let file = self.file(id);
            if let Err(error) = std::fs::remove_file(&file)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(file = %file.display(), %error, "what a replaced disk held is still written down");
            }
        }
    }

    /// Says of gaps in a stream's time that what was recorded then is on a disk that is not there.
    pub(super) fn explain(&self, stream: StreamId, mut tiles: Vec<Interval>) -> Vec<Interval> {
        for missing in lock(&self.missing).values() {
            if let Some(windows) = missing.streams.get(&stream) {
                tiles = overlay(tiles, windows, &missing.name);
            }
        }
        tiles
    }
}

/// `windows` are in order and apart.
fn overlay(tiles: Vec<Interval>, windows: &[Window], name: &str) -> Vec<Interval> {
    let mut out: Vec<Interval> = Vec::with_capacity(tiles.len());
    for tile in tiles {
        if !matches!(tile.state, IntervalState::Gap { .. }) {
            out.push(tile);
            continue;
        }
        let mut at = tile.window.from;
        let first = windows.partition_point(|window| window.to <= at);
        for window in windows[first..].iter().take_while(|window| window.from < tile.window.to) {
            let gone = window.intersect(Window::new(at, tile.window.to));
            if gone.is_empty() {
                continue;
            }
            if at < gone.from {
                out.push(Interval { window: Window::new(at, gone.from), state: tile.state.clone() });
            }
            let detail = format!("disk {name} is not there");
            out.push(Interval { window: gone, state: IntervalState::Gap { cause: GapCause::Disk, detail } });
            at = gone.to;
        }
        if at < tile.window.to {
            out.push(Interval { window: Window::new(at, tile.window.to), state: tile.state });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UtcMicros;

    #[test]
    fn time_on_a_disk_that_is_not_there_is_a_gap_that_names_the_disk_and_the_rest_stays_as_it_was() {
        let window = |from, to| Window::new(UtcMicros::from_micros(from), UtcMicros::from_micros(to));
        let gap = |from, to, cause, detail: &str| Interval {
            window: window(from, to),
            state: IntervalState::Gap { cause, detail: detail.to_owned() },
        };
        let recorded = Interval { window: window(0, 10), state: IntervalState::Recorded };
        let tiles = vec![recorded.clone(), gap(10, 50, GapCause::Unexplained, "")];
        let said = overlay(tiles, &[window(5, 8), window(20, 30), window(45, 90)], "d2");
        let disk = "disk d2 is not there";
        let expected = [
            recorded,
            gap(10, 20, GapCause::Unexplained, ""),
            gap(20, 30, GapCause::Disk, disk),
            gap(30, 45, GapCause::Unexplained, ""),
            gap(45, 50, GapCause::Disk, disk),
        ];
        assert_eq!(said, expected);
    }
}
