//! What the tests of this folder share: a node's memory through its public doors, and video whose bytes say which they are.

use index::access::{AccessRequest, Action, Actor, Category, Extent, Filter, Permit, Person, Purpose, Register, Role, Scope};
use index::accounts::{Account, Accounts, PasswordHash};
use index::footage::{Draft, FragmentRef, IntervalState, RetentionTerms, Setup, Store, VolumeSetup};
use index::journal::Journal;
use index::model::{
    AccessUnit, Camera, CameraAddress, CameraId, ClockReading, GapCause, MediaTicks, Priority, RetentionClass, StreamId,
    StreamKind, TrackKind, Tracks, UtcMicros, VideoCodec, VideoParameters, Window,
};
use index::node::StateDir;
use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// A Tuesday in 2023.
pub(crate) const EPOCH: i64 = 1_700_000_000_000_000;

pub(crate) fn at(second: i64) -> UtcMicros {
    UtcMicros::from_micros(EPOCH + second * 1_000_000)
}

pub(crate) fn window(from: i64, to: i64) -> Window {
    Window::new(at(from), at(to))
}

pub(crate) fn camera(number: u32, place: &str) -> Camera {
    Camera {
        place: vec![place.into()],
        ..Camera::new(
            CameraId::new(number).expect("a number"),
            format!("camera {number}"),
            CameraAddress::new("rtsp://192.0.2.7/main").expect("an address"),
        )
    }
}

pub(crate) fn main_of(camera: &Camera) -> StreamId {
    StreamId::new(camera.id, StreamKind::Main)
}

/// A second of video, five units, whose bytes name their stream and second.
pub(crate) fn draft(stream: StreamId, second: i64) -> Draft {
    let config = [1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0, 2, 0x67, 1, 1, 0, 2, 0x68, 1];
    let video = VideoParameters {
        codec: VideoCodec::H264,
        width: 640,
        height: 360,
        decoder_config: config.to_vec().into(),
        rfc6381: "avc1.4d401f".into(),
    };
    let units = (0..5).map(|n| {
        let mut data = vec![n as u8; 1000];
        data[..4].copy_from_slice(&996_u32.to_be_bytes());
        data[4] = if n == 0 { 0x65 } else { 0x41 };
        data[5..9].copy_from_slice(&stream.to_raw().to_be_bytes());
        data[9..17].copy_from_slice(&second.to_be_bytes());
        let ticks = MediaTicks::new(second * 90_000 + n * 18_000);
        let utc = at(second) + Duration::from_millis(200 * n as u64);
        let (decode, present, rtp) = (ticks, ticks, ticks.get() as u32);
        AccessUnit { track: TrackKind::Video, key: n == 0, decode, present, utc, received: utc, rtp, data: data.into() }
    });
    Draft {
        stream,
        tracks: Arc::new(Tracks { video, audio: None, metadata: false }),
        units: units.collect(),
        duration: MediaTicks::new(90_000),
        run: 0,
        clock: ClockReading { epoch: 1, error_ms: 5, camera_offset_ms: None },
        retention: RetentionClass::Standard,
        priority: Priority::Normal,
    }
}

/// Everything a room remembers, opened in the order of its start.
pub(crate) struct Node {
    pub(crate) accounts: Accounts,
    pub(crate) register: Arc<Register>,
    pub(crate) store: Arc<Store>,
    pub(crate) journal: Arc<Journal>,
    _state: StateDir,
}

impl Node {
    pub(crate) fn open(dir: &Path) -> Self {
        let state = StateDir::open(&dir.join("state")).expect("the node's directory");
        let journal = Journal::open(&state.journal(), state.node()).expect("a journal");
        let volume = VolumeSetup { name: "disk-1".into(), path: dir.join("disk-1"), capacity: 16 << 20 };
        fs::create_dir_all(&volume.path).expect("a directory");
        let mut setup = Setup::new(state.node(), state.path().to_owned(), vec![volume]);
        (setup.segment_bytes, setup.sub_segment_bytes) = (1 << 20, 1 << 20);
        setup.commit_every = Duration::from_millis(20);
        // The footage of these tests is of 2023.
        let century = Duration::from_secs(100 * 365 * 86_400);
        setup.terms = RetentionTerms { standard: century, key_target: century };
        let store = Store::open(setup, Arc::clone(&journal)).expect("a store");
        let register = Register::open(Arc::clone(&journal)).expect("a register");
        let accounts = Accounts::open(&state.people(), Arc::clone(&journal)).expect("people");
        wait("recovery", || store.is_recovered());
        Self { accounts, register, store, journal, _state: state }
    }

    pub(crate) fn record(&self, camera: &Camera, seconds: std::ops::Range<i64>) {
        for second in seconds {
            self.store.append(draft(main_of(camera), second)).expect("the queue is not full");
        }
        self.store.flush();
    }

    pub(crate) fn person(&self, name: &str) -> Person {
        self.accounts.person(name, UtcMicros::now()).expect("a person in good standing")
    }

    pub(crate) fn hire(&self, name: &str, role: Role, scope: Scope) -> Person {
        let person = Person {
            name: name.into(),
            display: name.into(),
            unit: "东苑社区".into(),
            roles: [role].into(),
            scopes: vec![scope],
            must_change_password: false,
        };
        let account = Account { person, password: PasswordHash::new("$argon2id$…"), disabled: false, staff_expires: None };
        self.accounts.add(&Actor::Shell, account).expect("added");
        self.person(name)
    }

    pub(crate) fn permit(&self, person: &Person, action: Action, camera: &Camera, extent: Extent) -> Permit {
        let grant = person.may(action, Some(camera)).expect("the policy says yes");
        let purpose = Purpose::new(Category::Incident, "查找走失老人", None).expect("a purpose");
        let request = AccessRequest { login: "1".into(), from: [192, 0, 2, 1].into(), extent, purpose };
        self.register.admit(grant, request).expect("admitted")
    }

    /// The fragments that a playback of these seconds may read, each read and compared with what was recorded.
    pub(crate) fn play(&self, person: &Person, camera: &Camera, seconds: Window) -> Vec<FragmentRef> {
        let permit = self.permit(person, Action::Playback, camera, Extent::recorded([main_of(camera)], seconds));
        let reader = self.store.read(&permit).expect("a reader");
        let fragments = reader.fragments(main_of(camera), Window::ALL);
        for fragment in &fragments {
            let second = (fragment.window.from.as_micros() - EPOCH) / 1_000_000;
            let read = reader.fetch(fragment).expect("it is there");
            assert_eq!(read.units(), draft(main_of(camera), second).units, "second {second}");
        }
        permit.finish(fragments.iter().map(|fragment| u64::from(fragment.length)).sum());
        fragments
    }

    /// What auditors see, newest first, once what is queued is durable.
    pub(crate) fn audit(&self) -> Vec<(String, String, Option<u64>)> {
        wait("the journal's queue", || self.journal.health().waiting == 0);
        let mark = index::journal::Record::new(UtcMicros::now(), "test.mark", serde_json::Value::Null);
        self.journal.append(mark).wait().expect("durable");
        let page = self.register.records(&Filter::default(), None, 100).expect("readable");
        let words = |record: index::access::AccessRecord| {
            (record.began.person, record.began.action.word().to_owned(), record.end.and_then(|end| end.bytes))
        };
        page.records.into_iter().map(words).collect()
    }

    pub(crate) fn gaps(&self, camera: &Camera, seconds: Window) -> Vec<(i64, i64, Option<GapCause>)> {
        let second = |t: UtcMicros| (t.as_micros() - EPOCH) / 1_000_000;
        let tiles = self.store.coverage(main_of(camera), seconds, Duration::ZERO);
        let word = |state| match state {
            IntervalState::Gap { cause, .. } => Some(cause),
            IntervalState::Recorded | IntervalState::Partial { .. } => None,
        };
        tiles.into_iter().map(|tile| (second(tile.window.from), second(tile.window.to), word(tile.state))).collect()
    }
}

pub(crate) fn directory() -> tempfile::TempDir {
    // Beside the build: temporary directories may be in memory, where direct I/O is refused.
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

pub(crate) fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what} did not come");
        std::thread::yield_now();
    }
}
