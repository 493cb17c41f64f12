//! The store as its users see it: on a real directory, with real bitstreams where players judge.

mod absent;
mod clips;
mod crash;
mod disks;
mod gates;
mod keeping;
mod play;
mod store;
mod tools;

use super::{
    disk::Disk,
    volume::{Queue, Volume},
    writer::Writer,
    *,
};
use crate::{
    access::{AccessRequest, Action, Category, Extent, Permit, Person, Purpose, Register, Role, Scope},
    model::{
        AccessUnit, Camera, CameraAddress, CameraId, ClockReading, MediaTicks, NodeId, Priority, RetentionClass, StreamKind,
        TrackKind, Tracks, VideoCodec, VideoParameters,
    },
};
use bytes::Bytes;
use std::{path::Path, time::Instant};

pub(super) const NODE: [u8; 16] = [7; 16];
/// A Tuesday in 2023.
pub(super) const EPOCH: i64 = 1_700_000_000_000_000;

pub(super) fn stream(camera: u32, kind: StreamKind) -> StreamId {
    StreamId::new(CameraId::new(camera).expect("a camera number"), kind)
}

pub(super) fn at(seconds: f64) -> UtcMicros {
    UtcMicros::from_micros(EPOCH + (seconds * 1e6) as i64)
}

pub(super) fn window(from: f64, to: f64) -> Window {
    Window::new(at(from), at(to))
}

pub(super) fn tracks() -> Arc<Tracks> {
    let decoder_config = Bytes::from_static(&[1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0, 2, 0x67, 1, 1, 0, 2, 0x68, 1]);
    let video =
        VideoParameters { codec: VideoCodec::H264, width: 640, height: 360, decoder_config, rfc6381: "avc1.4d401f".into() };
    Arc::new(Tracks { video, audio: None, metadata: false })
}

/// A second of video: 5 units, a key unit first, whose bytes say which they are.
pub(super) fn second(stream: StreamId, second: i64) -> Draft {
    draft(stream, second, 3000, 0)
}

pub(super) fn draft(stream: StreamId, second: i64, unit_bytes: usize, run: u32) -> Draft {
    let units = (0..5).map(|i| {
        let ticks = second * 90_000 + i * 18_000;
        let utc = UtcMicros::from_micros(EPOCH + second * 1_000_000 + i * 200_000);
        let mut data = vec![(second * 5 + i) as u8; unit_bytes];
        data[..4].copy_from_slice(&(unit_bytes as u32 - 4).to_be_bytes());
        data[4] = if i == 0 { 0x65 } else { 0x41 };
        data[5..13].copy_from_slice(&(second * 5 + i).to_be_bytes());
        AccessUnit {
            track: TrackKind::Video,
            key: i == 0,
            decode: MediaTicks::new(ticks),
            present: MediaTicks::new(ticks),
            utc,
            received: utc,
            rtp: ticks as u32,
            data: data.into(),
        }
    });
    Draft {
        stream,
        tracks: tracks(),
        units: units.collect(),
        duration: MediaTicks::new(90_000),
        run,
        clock: ClockReading { epoch: 1, error_ms: 5, camera_offset_ms: None },
        retention: RetentionClass::Standard,
        priority: Priority::Normal,
    }
}

/// A store in a directory of its own, with the journal it needs.
pub(super) struct Site {
    pub(super) dir: tempfile::TempDir,
    pub(super) journal: Arc<Journal>,
    pub(super) store: Arc<Store>,
}

pub(super) fn small(dir: &Path) -> Setup {
    let volume = VolumeSetup { name: "disk-1".into(), path: dir.join("disk-1"), capacity: 24 << 20 };
    std::fs::create_dir_all(&volume.path).expect("a directory");
    let mut setup = Setup::new(NodeId::from_bytes(NODE), dir.to_owned(), vec![volume]);
    (setup.segment_bytes, setup.sub_segment_bytes) = (1 << 20, 1 << 20);
    setup.commit_every = Duration::from_millis(20);
    setup.scrub_bytes = 0;
    // The footage of these tests is of 2023.
    setup.terms = RetentionTerms { standard: Duration::from_secs(100 * 365 * 86_400), ..RetentionTerms::default() };
    setup.terms.key_target = setup.terms.standard;
    setup
}

impl Site {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/../target").expect("a directory");
        let journal = Journal::open(&dir.path().join("journal"), NodeId::from_bytes(NODE)).expect("a journal");
        let store = Store::open(small(dir.path()), Arc::clone(&journal)).expect("a store");
        Self { dir, journal, store }
    }

    pub(super) fn reopen(&mut self) {
        self.store.close();
        self.store = Store::open(small(self.dir.path()), Arc::clone(&self.journal)).expect("a store");
        wait("recovery", || self.store.is_recovered());
    }

    pub(super) fn reader(&self, streams: &[StreamId]) -> Reader {
        let (reader, _) = reader(&self.store, &self.journal, streams);
        reader
    }
}

/// A reader as an operator gets one: after the access record is durable.
pub(super) fn reader(store: &Arc<Store>, journal: &Arc<Journal>, streams: &[StreamId]) -> (Reader, Permit) {
    let register = Register::open(Arc::clone(journal)).expect("a register");
    let person = Person {
        name: "wang".into(),
        display: "Wang".into(),
        unit: String::new(),
        roles: [Role::Operator].into(),
        scopes: vec![Scope::Everything],
        must_change_password: false,
    };
    let address = CameraAddress::new("rtsp://192.0.2.7/").expect("an address");
    let camera = Camera::new(streams[0].camera, "gate", address);
    let grant = person.may(Action::Playback, Some(&camera)).expect("an operator may");
    let purpose = Purpose::new(Category::Duty, "reading what was recorded", None).expect("a purpose");
    let request = AccessRequest {
        login: "1".into(),
        from: std::net::IpAddr::from([127, 0, 0, 1]),
        extent: Extent::recorded(streams.iter().copied(), Window::ALL),
        purpose,
    };
    let permit = register.admit(grant, request).expect("admitted");
    (store.read(&permit).expect("a reader"), permit)
}

/// Waits for a condition that background threads bring about.
pub(super) fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what} did not come");
        std::thread::yield_now();
    }
}
