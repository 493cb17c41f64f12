//! A room for tests: journal, register, store and ingest in a directory of their own, and a fleet in front of them.

use fleet::{Checker, Fleet, Report};
use index::{
    access::{AccessRequest, Action, Category, Extent, Permit, Person, Purpose, Register, Role, Scope},
    footage::{Interval, IntervalState, Setup, Store, VolumeSetup},
    journal::Journal,
    model::{
        Camera, CameraAddress, CameraId, Credentials, Driver, GapCause, NodeId, StreamId, StreamKind, TrackKind, UtcMicros,
        Window,
    },
};
use ingest::{AddressPolicy, CameraEvent, DriverMemory, Ingest, IngestSetup, StreamStatus};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// The drivers that were remembered, in memory.
#[derive(Default)]
pub(crate) struct Memory(Mutex<BTreeMap<CameraId, Driver>>);

impl DriverMemory for Memory {
    fn remembered(&self, camera: CameraId) -> Option<Driver> {
        self.0.lock().expect("no panic").get(&camera).copied()
    }

    fn remember(&self, camera: CameraId, driver: Driver) {
        self.0.lock().expect("no panic").insert(camera, driver);
    }
}

/// Documents of metadata tracks, in the order told.
type Documents = Arc<Mutex<Vec<(StreamId, Vec<u8>)>>>;

/// See the module. The directory goes last.
pub(crate) struct Room {
    pub(crate) ingest: Ingest,
    pub(crate) store: Arc<Store>,
    pub(crate) register: Arc<Register>,
    pub(crate) events: Arc<Mutex<Vec<CameraEvent>>>,
    pub(crate) memory: Arc<Memory>,
    /// The metadata that was told of.
    pub(crate) documents: Documents,
    cameras: Mutex<BTreeMap<CameraId, (Camera, Option<Credentials>)>>,
    _folder: TempDir,
}

impl Room {
    pub(crate) fn open() -> Self {
        Self::open_with(|_| {})
    }

    pub(crate) fn open_with(change: impl FnOnce(&mut Setup)) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let path = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).expect("a directory");
            path
        };
        let node = NodeId::from_bytes([7; 16]);
        let journal = Journal::open(&path("journal"), node).expect("a journal");
        let register = Register::open(Arc::clone(&journal)).expect("a register");
        let volume = VolumeSetup { name: "disk-01".to_owned(), path: path("disk"), capacity: 256 << 20 };
        let mut setup = Setup::new(node, path("state"), vec![volume]);
        (setup.segment_bytes, setup.sub_segment_bytes) = (4 << 20, 1 << 20);
        change(&mut setup);
        let store = Store::open(setup, journal).expect("a store");
        let events = Arc::<Mutex<Vec<CameraEvent>>>::default();
        let heard = Arc::clone(&events);
        let memory = Arc::<Memory>::default();
        let documents = Documents::default();
        let told = Arc::clone(&documents);
        let ingest = Ingest::start(IngestSetup {
            store: Arc::clone(&store),
            cores: 2,
            tick: Duration::from_millis(20),
            allow: AddressPolicy::new(vec!["127.0.0.0/8".parse().expect("a network")]),
            on_event: Box::new(move |event| heard.lock().expect("no panic").push(event)),
            memory: Arc::clone(&memory) as Arc<dyn DriverMemory>,
            on_metadata: Arc::new(move |stream, _, document| {
                told.lock().expect("no panic").push((stream, document.to_vec()));
            }),
            pictures: Default::default(),
        });
        let ingest = ingest.expect("threads");
        Self { ingest, store, register, events, memory, documents, cameras: Mutex::default(), _folder: folder }
    }

    /// Configures camera `number` of the fleet, changed by `change`.
    pub(crate) fn add(&self, fleet: &Fleet, number: u32, change: impl FnOnce(&mut Camera)) -> StreamId {
        self.add_with(fleet, number, None, change)
    }

    pub(crate) fn add_with(
        &self,
        fleet: &Fleet,
        number: u32,
        credentials: Option<Credentials>,
        change: impl FnOnce(&mut Camera),
    ) -> StreamId {
        let id = CameraId::new(number).expect("a number");
        let mut camera = Camera::new(
            id,
            format!("camera {number}"),
            CameraAddress::new(&fleet.url(number, StreamKind::Main)).expect("an address"),
        );
        change(&mut camera);
        self.cameras.lock().expect("no panic").insert(id, (camera, credentials));
        self.apply();
        StreamId::new(id, StreamKind::Main)
    }

    pub(crate) fn change(&self, stream: StreamId, change: impl FnOnce(&mut Camera)) {
        change(&mut self.cameras.lock().expect("no panic").get_mut(&stream.camera).expect("configured").0);
        self.apply();
    }

    pub(crate) fn remove(&self, stream: StreamId) {
        self.cameras.lock().expect("no panic").remove(&stream.camera);
        self.apply();
    }

    fn apply(&self) {
        let cameras: Vec<_> = self.cameras.lock().expect("no panic").values().cloned().collect();
        self.ingest.apply(&cameras);
    }

    pub(crate) fn status(&self, stream: StreamId) -> StreamStatus {
        let cameras = self.ingest.status();
        let mut streams = cameras.into_iter().flat_map(|camera| camera.streams);
        streams.find(|status| status.stream == stream).expect("configured")
    }

    /// Waits until `met`; panics with `what` and the stream's status if it takes too long.
    pub(crate) async fn until(&self, what: &str, met: impl Fn() -> bool) {
        let begun = Instant::now();
        while !met() {
            assert!(begun.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}: {:#?}", self.ingest.status());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until so much of a stream is durable, counted from now.
    pub(crate) async fn records(&self, stream: StreamId, span: Duration) {
        let goal = UtcMicros::now() + span;
        self.until(&format!("recording {stream}"), || self.store.recorded_to(stream).is_some_and(|to| to >= goal)).await;
    }

    /// Ends the sessions and makes everything durable.
    pub(crate) async fn finish(&self) {
        self.ingest.drain().await;
        self.store.flush();
    }

    pub(crate) fn heard(&self, stream: StreamId) -> Vec<&'static str> {
        let events = self.events.lock().expect("no panic");
        events.iter().filter(|event| event.stream == stream).map(|event| event.kind.word()).collect()
    }

    pub(crate) fn permit(&self, action: Action, extent: Extent) -> Permit {
        let cameras = self.cameras.lock().expect("no panic");
        let cameras: Vec<&Camera> = extent.cameras().iter().filter_map(|id| Some(&cameras.get(id)?.0)).collect();
        let person = Person {
            name: "li".to_owned(),
            display: "李".to_owned(),
            unit: String::new(),
            roles: [Role::Operator].into(),
            scopes: vec![Scope::Everything],
            must_change_password: false,
        };
        let grant = person.may_all(action, &cameras).expect("an operator may");
        let request = AccessRequest {
            login: "1".to_owned(),
            from: IpAddr::V4(Ipv4Addr::LOCALHOST),
            extent,
            purpose: Purpose::new(Category::Maintenance, "looking at the new cameras", None).expect("a purpose"),
        };
        self.register.admit(grant, request).expect("a permit")
    }

    /// What is stored of a stream, against what the fleet sent between the first and the last picture stored.
    pub(crate) fn compare(&self, fleet: &Fleet, stream: StreamId) -> Report {
        let permit = self.permit(Action::Playback, Extent::recorded([stream], Window::ALL));
        let reader = self.store.read(&permit).expect("a reader");
        let mut checker = Checker::new();
        let mut window: Option<Window> = None;
        for found in reader.fragments(stream, Window::ALL) {
            let codec = reader.tracks(&found).expect("tracks").video.codec;
            for unit in reader.fetch(&found).expect("a fragment").units() {
                if unit.track == TrackKind::Video {
                    checker.unit(codec, &unit.nal_units().collect::<Vec<_>>());
                    let from = window.map_or(unit.utc, |window| window.from);
                    window = Some(Window::new(from, unit.utc));
                }
            }
        }
        let window = window.expect("something is stored");
        // The node's times are some milliseconds off the fleet's: the edges are left out.
        let edge = Duration::from_millis(200);
        let log = fleet.sent(stream).expect("a camera of the fleet");
        checker.report(Some(&[log]), Window::new(window.from + edge, window.to - edge))
    }

    /// Which tracks a stream's footage has units of.
    pub(crate) fn tracks_stored(&self, stream: StreamId) -> Vec<TrackKind> {
        let permit = self.permit(Action::Playback, Extent::recorded([stream], Window::ALL));
        let reader = self.store.read(&permit).expect("a reader");
        let fragments = reader.fragments(stream, Window::ALL);
        let units = fragments.iter().flat_map(|found| reader.fetch(found).expect("a fragment").units());
        let mut tracks: Vec<_> = units.map(|unit| unit.track).collect();
        tracks.sort_unstable_by_key(|track| track.track_id());
        tracks.dedup();
        tracks
    }

    /// The causes of the gaps longer than `least` since `from`, in order.
    pub(crate) fn gaps(&self, stream: StreamId, from: UtcMicros, least: Duration) -> Vec<GapCause> {
        let tiles = self.store.coverage(stream, Window::new(from, UtcMicros::now()), Duration::ZERO);
        tiles.iter().filter_map(|tile| gap(tile).filter(|_| tile.window.duration() >= least)).collect()
    }
}

fn gap(tile: &Interval) -> Option<GapCause> {
    match &tile.state {
        IntervalState::Gap { cause, .. } => Some(*cause),
        IntervalState::Recorded | IntervalState::Partial { .. } => None,
    }
}
