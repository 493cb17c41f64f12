//! A node's memory as an outsider uses it: state directory, journal, people, register and footage together, through their
//! public doors only.

use index::access::{
    AccessRequest, Action, Actor, Category, Denied, Extent, Filter, Permit, Person, Purpose, Register, Role, Scope,
};
use index::accounts::{Account, Accounts, PasswordHash};
use index::footage::{Draft, FragmentRef, IntervalState, ReadError, RetentionTerms, Setup, Store, VolumeSetup};
use index::journal::{Journal, Seq};
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
const EPOCH: i64 = 1_700_000_000_000_000;

fn at(second: i64) -> UtcMicros {
    UtcMicros::from_micros(EPOCH + second * 1_000_000)
}

fn window(from: i64, to: i64) -> Window {
    Window::new(at(from), at(to))
}

fn camera(number: u32, place: &str) -> Camera {
    Camera {
        id: CameraId::new(number).expect("a number"),
        name: format!("camera {number}"),
        place: vec![place.into()],
        main: CameraAddress::new("rtsp://192.0.2.7/main").expect("an address"),
        sub: None,
        transport: Default::default(),
        driver: None,
        retention: Default::default(),
        priority: Default::default(),
        audio: None,
        enabled: true,
    }
}

fn main_of(camera: &Camera) -> StreamId {
    StreamId::new(camera.id, StreamKind::Main)
}

/// A second of video, five units, whose bytes name their stream and second.
fn draft(stream: StreamId, second: i64) -> Draft {
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
struct Node {
    accounts: Accounts,
    register: Arc<Register>,
    store: Arc<Store>,
    journal: Arc<Journal>,
    _state: StateDir,
}

impl Node {
    fn open(dir: &Path) -> Self {
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

    fn record(&self, camera: &Camera, seconds: std::ops::Range<i64>) {
        for second in seconds {
            self.store.append(draft(main_of(camera), second)).expect("the queue is not full");
        }
        self.store.flush();
    }

    fn person(&self, name: &str) -> Person {
        self.accounts.person(name, UtcMicros::now()).expect("a person in good standing")
    }

    fn hire(&self, name: &str, role: Role, scope: Scope) -> Person {
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

    fn permit(&self, person: &Person, action: Action, camera: &Camera, extent: Extent) -> Permit {
        let grant = person.may(action, Some(camera)).expect("the policy says yes");
        let purpose = Purpose::new(Category::Incident, "查找走失老人", None).expect("a purpose");
        let request = AccessRequest { login: "1".into(), from: [192, 0, 2, 1].into(), extent, purpose };
        self.register.admit(grant, request).expect("admitted")
    }

    /// The fragments that a playback of these seconds may read, each read and compared with what was recorded.
    fn play(&self, person: &Person, camera: &Camera, seconds: Window) -> Vec<FragmentRef> {
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
    fn audit(&self) -> Vec<(String, String, Option<u64>)> {
        wait("the journal's queue", || self.journal.health().waiting == 0);
        let mark = index::journal::Record::new(UtcMicros::now(), "test.mark", serde_json::Value::Null);
        self.journal.append(mark).wait().expect("durable");
        let page = self.register.records(&Filter::default(), None, 100).expect("readable");
        let words = |record: index::access::AccessRecord| {
            (record.began.person, record.began.action.word().to_owned(), record.end.and_then(|end| end.bytes))
        };
        page.records.into_iter().map(words).collect()
    }

    fn gaps(&self, camera: &Camera, seconds: Window) -> Vec<(i64, i64, Option<GapCause>)> {
        let second = |t: UtcMicros| (t.as_micros() - EPOCH) / 1_000_000;
        let tiles = self.store.coverage(main_of(camera), seconds, Duration::ZERO);
        let word = |state| match state {
            IntervalState::Gap { cause, .. } => Some(cause),
            IntervalState::Recorded | IntervalState::Partial { .. } => None,
        };
        tiles.into_iter().map(|tile| (second(tile.window.from), second(tile.window.to), word(tile.state))).collect()
    }
}

fn directory() -> tempfile::TempDir {
    // Beside the build: temporary directories may be in memory, where direct I/O is refused.
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what} did not come");
        std::thread::yield_now();
    }
}

#[test]
fn an_operator_reads_the_seconds_of_the_purpose_and_the_auditor_sees_it() {
    let dir = directory();
    let node = Node::open(dir.path());
    let (gate, yard) = (camera(1, "东苑社区"), camera(2, "西苑社区"));
    node.record(&gate, 0..30);
    node.record(&yard, 0..30);
    let li = node.hire("li", Role::Operator, Scope::Place(vec!["东苑社区".into()]));
    let auditor = node.hire("chen", Role::Auditor, Scope::Everything);
    let admin = node.hire("root", Role::Admin, Scope::Everything);

    let played = node.play(&li, &gate, window(10, 15));
    assert_eq!(played.iter().map(|f| f.window.from).collect::<Vec<_>>(), (10..15).map(at).collect::<Vec<_>>());
    let bytes = played.iter().map(|f| u64::from(f.length)).sum();
    for (person, camera, why) in
        [(&li, &yard, "outside_scope"), (&auditor, &gate, "auditor_apart"), (&admin, &gate, "role_missing")]
    {
        for action in [Action::Live, Action::Playback, Action::Still, Action::Export] {
            assert_eq!(person.may(action, Some(camera)).map(drop).map_err(Denied::code), Err(why), "{} {action:?}", person.name);
        }
    }
    assert!(auditor.may(Action::ReadRegister, None).is_ok() && li.may(Action::ReadRegister, None).is_err());
    assert_eq!(node.audit(), [("li".to_owned(), "playback".to_owned(), Some(bytes))]);
}

#[test]
fn the_access_record_is_durable_before_a_reader_exists() {
    let dir = directory();
    let node = Node::open(dir.path());
    let gate = camera(1, "东苑社区");
    node.record(&gate, 0..3);
    let li = node.hire("li", Role::Operator, Scope::Everything);
    let permit = node.permit(&li, Action::Playback, &gate, Extent::recorded([main_of(&gate)], window(0, 3)));
    // As another process would read the disk, at this moment.
    let verified = Journal::verify(&dir.path().join("state/journal")).expect("whole").expect("there");
    assert!(verified.tail >= permit.access());
    let entry = node.journal.read(permit.access(), 1).expect("readable").remove(0);
    assert_eq!((entry.kind.as_str(), entry.body["person"].as_str()), ("access.playback", Some("li")));
}

#[test]
fn a_reader_gives_nothing_beyond_its_permit() {
    let dir = directory();
    let node = Node::open(dir.path());
    let (gate, yard) = (camera(1, "东苑社区"), camera(2, "东苑社区"));
    node.record(&gate, 0..10);
    node.record(&yard, 0..10);
    let li = node.hire("li", Role::Operator, Scope::Everything);
    let foreign = node.play(&li, &yard, window(0, 10));
    let later = node.play(&li, &gate, window(8, 9));
    let permit = node.permit(&li, Action::Playback, &gate, Extent::recorded([main_of(&gate)], window(2, 4)));
    let reader = node.store.read(&permit).expect("a reader");
    assert_eq!(reader.fragments(main_of(&gate), Window::ALL).len(), 2);
    assert!(reader.fragments(main_of(&yard), Window::ALL).is_empty());
    for honest in foreign.iter().chain(&later) {
        assert!(matches!(reader.fetch(honest), Err(ReadError::NotPermitted { .. })), "{honest:?}");
    }
    for second in [0, 5, 9] {
        assert!(matches!(reader.key_unit(main_of(&gate), at(second)), Err(ReadError::NotPermitted { .. })), "second {second}");
    }
    let (_, unit) = reader.key_unit(main_of(&gate), at(3)).expect("permitted").expect("recorded");
    assert_eq!(unit, draft(main_of(&gate), 3).units[0]);
}

#[test]
fn a_permit_for_watching_live_reads_no_footage() {
    let dir = directory();
    let node = Node::open(dir.path());
    let gate = camera(1, "东苑社区");
    node.record(&gate, 0..3);
    let li = node.hire("li", Role::Operator, Scope::Everything);
    let recorded = node.play(&li, &gate, window(0, 3));
    let live = node.permit(&li, Action::Live, &gate, Extent::live([main_of(&gate)]));
    let reader = node.store.read(&live).expect("a reader");
    assert!(reader.fragments(main_of(&gate), Window::ALL).is_empty());
    assert!(matches!(reader.fetch(&recorded[0]), Err(ReadError::NotPermitted { .. })));
    assert!(matches!(reader.key_unit(main_of(&gate), at(1)), Err(ReadError::NotPermitted { .. })));
}

#[test]
fn a_restart_forgets_nothing_and_every_projection_can_be_thrown_away() {
    let dir = directory();
    let gate = camera(1, "东苑社区");
    let stream = main_of(&gate);
    let first = {
        let node = Node::open(dir.path());
        node.hire("li", Role::Operator, Scope::Everything);
        node.record(&gate, 0..10);
        node.store.mark(stream, at(10), GapCause::CameraUnreachable, "no route to host");
        node.record(&gate, 20..30);
        node.store.mark(stream, at(30), GapCause::Paused, "");
        node.play(&node.person("li"), &gate, window(0, 40));
        (node.audit(), node.gaps(&gate, window(0, 40)))
    };
    let expected = [(0, 10, None), (10, 20, Some(GapCause::CameraUnreachable)), (20, 30, None), (30, 40, Some(GapCause::Paused))];
    assert_eq!(first.1, expected);
    for lost in ["", "state/ledger.json", "disk-1/catalogue.bin"] {
        if !lost.is_empty() {
            fs::remove_file(dir.path().join(lost)).expect("it was written");
        }
        let node = Node::open(dir.path());
        assert_eq!((node.audit(), node.gaps(&gate, window(0, 40))), first, "without {lost:?}");
    }
    let node = Node::open(dir.path());
    assert_eq!(node.play(&node.person("li"), &gate, window(0, 40)).len(), 20);
    assert_eq!(node.audit().len(), 2);
}

#[test]
fn an_access_that_a_crash_cut_short_is_ended_and_a_disabled_person_is_nobody() {
    let dir = directory();
    let gate = camera(1, "东苑社区");
    {
        let node = Node::open(dir.path());
        let li = node.hire("li", Role::Operator, Scope::Everything);
        node.hire("root", Role::Admin, Scope::Everything);
        let permit = node.permit(&li, Action::Live, &gate, Extent::live([main_of(&gate)]));
        node.journal.close();
        // Its end finds the journal closed, as at a power cut.
        drop(permit);
    }
    let node = Node::open(dir.path());
    assert_eq!(node.audit(), [("li".to_owned(), "live".to_owned(), None)]);
    let page = node.register.records(&Filter::default(), None, 1).expect("readable");
    assert!(page.records[0].end.is_some_and(|end| end.bytes.is_none()));
    let by = Actor::Person { name: "root".into(), from: [192, 0, 2, 1].into() };
    node.accounts.change(&by, "li", index::accounts::Change { disabled: Some(true), ..Default::default() }).expect("changed");
    assert_eq!(node.accounts.person("li", UtcMicros::now()), Err(index::accounts::Barred::Disabled));
    let kinds: Vec<_> = node.journal.read(Seq::ZERO, 100).expect("readable").into_iter().map(|entry| entry.kind).collect();
    assert!(kinds.iter().any(|kind| kind == "person.changed"), "{kinds:?}");
}
