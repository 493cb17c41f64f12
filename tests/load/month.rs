//! A month of footage as the index sees it: as many segments as 30 days of 50 cameras leave on a disk, in a volume that fits a
//! test machine. Each segment holds one picture that is shown as long as the segment would have lasted, and what its file was
//! given and never used goes back to the file system.

use anyhow::{Context, Result, ensure};
use index::{
    footage::{Draft, Setup, Store, VolumeSetup},
    journal::Journal,
    model::{
        AccessUnit, CameraId, ClockReading, GapCause, MediaTicks, Priority, RetentionClass, StreamId, StreamKind, TrackKind,
        Tracks, UtcMicros, VideoCodec, VideoParameters, Window,
    },
    node::StateDir,
};
use rustix::fs::{FallocateFlags, SeekFrom};
use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// What is laid down.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Cameras.
    pub(crate) cameras: u32,
    /// Days, which end now.
    pub(crate) days: u32,
    /// How long a segment lasts.
    pub(crate) segment: Duration,
    /// How long nothing is recorded after it: a gap in the ledger, as of a camera that does not answer.
    pub(crate) gap: Duration,
}

impl Plan {
    /// So many cameras and days without gaps, in segments of the usual size: 256 MiB at 4 Mbit/s and a little.
    pub(crate) fn usual(cameras: u32, days: u32) -> Self {
        Self { cameras, days, segment: Duration::from_secs(500), gap: Duration::ZERO }
    }

    /// Bytes that a volume must be allowed to hold for [`lay`]: a segment that is sealed early gives back all but its head, its record
    /// and its footer.
    pub(crate) fn capacity(&self) -> u64 {
        u64::from(self.cameras) * (self.rounds() * KEPT_BYTES + 3 * FILE_BYTES)
    }

    fn rounds(&self) -> u64 {
        u64::from(self.days) * 86_400 / (self.segment + self.gap).as_secs().max(1)
    }
}

/// The smallest file the store makes: what it does not use is given back.
const FILE_BYTES: u64 = 1 << 20;
/// What the store counts of such a file once it is sealed.
const KEPT_BYTES: u64 = 208 << 10;
/// One picture; its content is nobody's business here.
const PICTURE_BYTES: usize = 3000;

/// What was laid down.
pub(crate) struct Month {
    /// From the first picture to the end of the last.
    pub(crate) window: Window,
    /// Segments of all cameras.
    pub(crate) segments: u64,
}

/// Fills the volume in `volume` by the store's own code and as the node whose state is in `state`. Blocks for minutes.
pub(crate) fn lay(state: &Path, volume: &Path, plan: Plan) -> Result<Month> {
    let state = StateDir::open(state)?;
    let journal = Journal::open(&state.path().join("journal"), state.node())?;
    ensure!(plan.segment.as_micros() <= u128::from(u32::MAX), "a segment of one fragment is at most 71 minutes long");
    let disk = VolumeSetup { name: "disk1".to_owned(), path: volume.to_owned(), capacity: plan.capacity() };
    let setup = Setup {
        segment_bytes: FILE_BYTES,
        sub_segment_bytes: FILE_BYTES,
        segment_max: plan.segment,
        commit_every: Duration::from_millis(1),
        scrub_bytes: 0,
        ..Setup::new(state.node(), state.path().to_owned(), vec![disk])
    };
    let store = Store::open(setup, journal)?;
    let to = UtcMicros::now();
    let from = to - (plan.segment + plan.gap) * u32::try_from(plan.rounds())?;
    let (tracks, mut shrunk) = (tracks(), HashSet::new());
    for round in 0..plan.rounds() {
        for camera in 1..=plan.cameras {
            let draft = draft(CameraId::new(camera)?, round, from, &plan, &tracks);
            let (stream, ends) = (draft.stream, draft.window().to);
            append(&store, draft)?;
            if !plan.gap.is_zero() {
                store.mark(stream, ends, GapCause::CameraUnreachable, "it does not answer");
            }
        }
        store.flush();
        for camera in 1..=plan.cameras {
            let camera = CameraId::new(camera)?;
            until_recorded(&store, || draft(camera, round, from, &plan, &tracks))?;
        }
        if round % 64 == 63 {
            give_back(volume, &mut shrunk)?;
        }
    }
    store.flush();
    let segments = store.streams().iter().map(|stream| stream.segments as u64).sum();
    store.close();
    give_back(volume, &mut shrunk)?;
    Ok(Month { window: Window::new(from, to), segments })
}

/// Appends, and waits where the store has no room for more yet.
fn append(store: &Store, mut draft: Draft) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(full) = store.append(draft) {
        ensure!(Instant::now() < deadline, "the store takes nothing more");
        draft = *full.draft;
        store.flush();
    }
    Ok(())
}

/// Offers a draft again until it is durable: a room that writes days in a minute runs ahead of the thread that makes segment files,
/// and what finds no file is not recorded.
fn until_recorded(store: &Store, draft: impl Fn() -> Draft) -> Result<()> {
    let wanted = draft();
    let (stream, ends) = (wanted.stream, wanted.window().to);
    let deadline = Instant::now() + Duration::from_secs(60);
    while store.recorded_to(stream).is_none_or(|to| to < ends) {
        ensure!(Instant::now() < deadline, "{stream} is not recorded: the volume has no room");
        std::thread::sleep(Duration::from_millis(2));
        append(store, draft())?;
        store.flush();
    }
    Ok(())
}

fn draft(camera: CameraId, round: u64, from: UtcMicros, plan: &Plan, tracks: &Arc<Tracks>) -> Draft {
    let begin = (plan.segment + plan.gap) * round as u32;
    let utc = from + begin;
    let at = MediaTicks::new(begin.as_secs() as i64 * MediaTicks::PER_SECOND);
    let mut data = vec![camera.number() as u8; PICTURE_BYTES];
    data[..4].copy_from_slice(&(PICTURE_BYTES as u32 - 4).to_be_bytes());
    data[4] = 0x65;
    let unit = AccessUnit {
        track: TrackKind::Video,
        key: true,
        decode: at,
        present: at,
        utc,
        received: utc,
        rtp: at.get() as u32,
        data: data.into(),
    };
    Draft {
        stream: StreamId::new(camera, StreamKind::Main),
        tracks: Arc::clone(tracks),
        units: vec![unit],
        duration: MediaTicks::new(plan.segment.as_secs() as i64 * MediaTicks::PER_SECOND),
        // After a gap it is another recording.
        run: if plan.gap.is_zero() { 1 } else { round as u32 },
        clock: ClockReading { epoch: 1, error_ms: 5, camera_offset_ms: None },
        retention: RetentionClass::Standard,
        priority: Priority::Normal,
    }
}

fn tracks() -> Arc<Tracks> {
    let decoder_config: &'static [u8] = &[1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0, 2, 0x67, 1, 1, 0, 2, 0x68, 1];
    let video = VideoParameters {
        codec: VideoCodec::H264,
        width: 1920,
        height: 1080,
        decoder_config: decoder_config.into(),
        rfc6381: "avc1.4d401f".into(),
    };
    Arc::new(Tracks { video, audio: None, metadata: false })
}

/// Gives back what files were given and do not use: they keep their size and read as they did.
fn give_back(volume: &Path, done: &mut HashSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(volume.join("segs"))? {
        let file = entry?.path();
        if done.insert(file.clone()) {
            punch(&file).with_context(|| format!("give back the unused part of {}", file.display()))?;
        }
    }
    Ok(())
}

fn punch(path: &Path) -> Result<()> {
    let file = match fs::File::options().write(true).open(path) {
        // A file that was never used makes room for another size.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let size = file.metadata()?.len();
    let mut at = 0;
    while at < size {
        let hole = rustix::fs::seek(&file, SeekFrom::Hole(at))?;
        let data = rustix::fs::seek(&file, SeekFrom::Data(hole)).unwrap_or(size);
        if data > hole {
            rustix::fs::fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, hole, data - hole)?;
        }
        at = data.max(hole + 1);
    }
    Ok(())
}
