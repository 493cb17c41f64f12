//! Which streams are recorded: one task each, pinned to a lane, started and stopped as the wanted set changes.
//!
//! A change touches only the streams that it is about: everything else goes on without losing a unit. A stream whose
//! settings changed is stopped before it is started again, because many cameras allow one session only.

use crate::{
    AddressPolicy, CameraEvent, CameraEventKind, CameraStatus, LiveHub, StreamState, StreamStatus,
    lane::Lane,
    onvif::{PullPoints, PullStatus},
    pace::Pace,
    picture::{PictureSetup, Pictures},
    session::shell::{self, StreamTask},
    shedding::Volumes,
    status::Shared,
};
use index::{
    footage::Store,
    model::{
        Camera, CameraAddress, CameraId, Credentials, Driver, GapCause, Priority, RetentionClass, StreamId, StreamKind,
        Transport, UtcMicros,
    },
};
use retina::client::SessionGroup;
use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// How long the last sessions may take to end.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// What ingest is told once, at start.
pub struct IngestSetup {
    /// Where footage goes.
    pub store: Arc<Store>,
    /// Threads that read sockets; 0 counts as 1. Each camera is pinned to one.
    pub cores: usize,
    /// How long a thread sleeps between two rounds over its sockets while nobody watches; 40 ms is a good value.
    pub tick: Duration,
    /// Which addresses may be dialled.
    pub allow: AddressPolicy,
    /// Told of every change of state. Called from the reading threads: it must return at once.
    pub on_event: Box<dyn Fn(CameraEvent) + Send + Sync>,
    /// Which driver plays with which camera.
    pub memory: Arc<dyn DriverMemory>,
    /// Told of every document of a camera's ONVIF metadata track or pull point: of which stream, when it was received on the
    /// node's clock, and its bytes as they came. Called from the reading threads: it must return at once.
    pub on_metadata: OnMetadata,
    /// Looking at key pictures: how much, and who is told.
    pub pictures: PictureSetup,
}

/// Takes a document of a camera's metadata track or pull point: its stream, when it was received on the node's clock, its bytes as they came.
pub type OnMetadata = Arc<dyn Fn(StreamId, UtcMicros, &[u8]) + Send + Sync>;

/// Keeps in mind which driver was found to play with a camera.
pub trait DriverMemory: Send + Sync {
    /// The driver that played before, if one did. Must return at once.
    fn remembered(&self, camera: CameraId) -> Option<Driver>;
    /// This one played. Must return at once.
    fn remember(&self, camera: CameraId, driver: Driver);
}

/// What every stream's task shares.
pub(crate) struct Room {
    pub(crate) store: Arc<Store>,
    pub(crate) allow: AddressPolicy,
    pub(crate) pace: Pace,
    pub(crate) volumes: Volumes,
    pub(crate) memory: Arc<dyn DriverMemory>,
    on_event: Box<dyn Fn(CameraEvent) + Send + Sync>,
    pub(crate) on_metadata: OnMetadata,
    pub(crate) pictures: Arc<Pictures>,
}

impl Room {
    pub(crate) fn tell(&self, stream: StreamId, kind: CameraEventKind) {
        (self.on_event)(CameraEvent { at: UtcMicros::now(), stream, kind });
    }
}

/// Everything that, when it changes, needs a new session. A camera's name and place do not.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Plan {
    pub(crate) address: CameraAddress,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) transport: Transport,
    pub(crate) driver: Option<Driver>,
    pub(crate) retention: RetentionClass,
    pub(crate) priority: Priority,
    pub(crate) audio: bool,
    pub(crate) metadata: bool,
    enabled: bool,
}

impl Plan {
    fn of(camera: &Camera, credentials: Option<&Credentials>, kind: StreamKind) -> Option<Self> {
        Some(Self {
            address: camera.address(kind)?.clone(),
            credentials: credentials.cloned(),
            transport: camera.transport,
            driver: camera.driver,
            retention: camera.retention,
            priority: camera.priority,
            // The sub-stream is for walls: it carries neither.
            audio: camera.audio.is_some() && kind == StreamKind::Main,
            metadata: kind == StreamKind::Main,
            enabled: camera.enabled,
        })
    }
}

/// One configured stream. A paused one has no task.
struct Stream {
    plan: Plan,
    lane: Arc<Lane>,
    shared: Arc<Shared>,
    task: Option<Task>,
}

struct Task {
    stop: CancellationToken,
    handle: JoinHandle<Option<UtcMicros>>,
}

/// The cameras of one node. Dropping it without [`Ingest::drain`] ends the sessions at once.
pub struct Ingest {
    room: Arc<Room>,
    live: Arc<LiveHub>,
    lanes: Vec<Arc<Lane>>,
    streams: Mutex<BTreeMap<StreamId, Stream>>,
    announced: Arc<RwLock<HashMap<StreamId, Arc<Shared>>>>,
    group: Arc<SessionGroup>,
    pull_points: PullPoints,
}

impl Ingest {
    /// Starts the reading threads. Nothing is dialled before [`Ingest::apply`].
    ///
    /// # Errors
    /// What the system says when it cannot make a thread.
    pub fn start(setup: IngestSetup) -> io::Result<Self> {
        let IngestSetup { store, cores, tick, allow, on_event, memory, on_metadata, pictures } = setup;
        let lanes = (0..cores.max(1)).map(|number| Lane::start(number, tick)).collect::<io::Result<Vec<_>>>()?;
        let announced = Arc::<RwLock<HashMap<StreamId, Arc<Shared>>>>::default();
        let listeners = Arc::clone(&announced);
        store.on_announced(Box::new(move |fragment| {
            let listeners = listeners.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(shared) = listeners.get(&fragment.stream) {
                shared.announced(fragment.window.to);
            }
        }));
        let pull_points = PullPoints::start(allow.clone(), Arc::clone(&on_metadata))?;
        let (pace, volumes) = (Pace::new(Instant::now()), Volumes::default());
        let pictures = Pictures::start(pictures)?;
        let room = Room { store, allow, pace, volumes, memory, on_event, on_metadata, pictures };
        Ok(Self {
            room: Arc::new(room),
            live: Arc::default(),
            lanes,
            streams: Mutex::default(),
            announced,
            group: Arc::new(SessionGroup::default().named("cameras".to_owned())),
            pull_points,
        })
    }

    /// Live pictures of what is configured.
    #[must_use]
    pub fn live(&self) -> &Arc<LiveHub> {
        &self.live
    }

    /// What is known of the cameras' pictures.
    #[must_use]
    pub fn pictures(&self) -> &Pictures {
        &self.room.pictures
    }

    /// How the pull points of cameras that have one do, by the camera's number.
    #[must_use]
    pub fn pull_points(&self) -> Vec<PullStatus> {
        self.pull_points.status()
    }

    /// Makes the wanted set the recorded set. Streams that are in both, with equal settings, do not notice. Returns at once;
    /// sessions end and begin in the background.
    pub fn apply(&self, cameras: &[(Camera, Option<Credentials>)]) {
        let mut wanted = BTreeMap::new();
        // Main streams first: after a start they are what is dialled first.
        for kind in StreamKind::ALL {
            for (camera, credentials) in cameras {
                if let Some(plan) = Plan::of(camera, credentials.as_ref(), kind) {
                    wanted.insert((kind, camera.id), plan);
                }
            }
        }
        self.pull_points.apply(cameras);
        self.room.pictures.apply(cameras.iter().map(|(camera, _)| camera));
        let mut streams = self.streams();
        let gone: Vec<StreamId> = streams.keys().filter(|id| !wanted.contains_key(&(id.kind, id.camera))).copied().collect();
        for id in gone {
            if let Some(stream) = streams.remove(&id) {
                self.remove(id, stream);
            }
        }
        for ((kind, camera), plan) in wanted {
            let id = StreamId::new(camera, kind);
            match streams.get(&id) {
                Some(known) if known.plan == plan => {}
                _ => {
                    let before = streams.remove(&id);
                    let stream = self.begin(id, plan, before);
                    streams.insert(id, stream);
                }
            }
        }
    }

    /// The status of every configured camera, by its number.
    #[must_use]
    pub fn status(&self) -> Vec<CameraStatus> {
        let mut cameras: BTreeMap<CameraId, Vec<StreamStatus>> = BTreeMap::new();
        for (id, stream) in self.streams().iter() {
            cameras.entry(id.camera).or_default().push(stream.shared.get());
        }
        cameras.into_iter().map(|(camera, streams)| CameraStatus { camera, streams }).collect()
    }

    /// Ends every session, hands what was received to the store, and returns; at the latest after 5 s. The store is closed
    /// by whoever opened it.
    pub async fn drain(&self) {
        let stopped = std::mem::take(&mut *self.streams());
        let mut tasks = Vec::new();
        for (id, stream) in stopped {
            self.live.remove(id);
            if let Some(task) = stream.task {
                task.stop.cancel();
                tasks.push((id, task.handle));
            }
        }
        let ended = async {
            for (id, handle) in tasks {
                let at = handle.await.unwrap_or_default();
                shell::mark_stopped(&self.room, id, at, GapCause::Restart, "the node was stopped");
            }
            self.pull_points.drain().await;
            // What a broken camera says to a farewell is not our concern.
            let _ = self.group.await_teardown().await;
        };
        if tokio::time::timeout(DRAIN_LIMIT, ended).await.is_err() {
            tracing::warn!("sessions did not end in time");
        }
        let lanes = self.lanes.clone();
        let pictures = Arc::clone(&self.room.pictures);
        // Joining a thread is no work for a runtime's thread.
        let ends = move || {
            pictures.stop();
            lanes.iter().for_each(|lane| lane.stop());
        };
        let _ = tokio::task::spawn_blocking(ends).await;
    }

    fn streams(&self) -> MutexGuard<'_, BTreeMap<StreamId, Stream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listeners(&self, act: impl FnOnce(&mut HashMap<StreamId, Arc<Shared>>)) {
        act(&mut self.announced.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn remove(&self, id: StreamId, stream: Stream) {
        self.live.remove(id);
        self.listeners(|listeners| drop(listeners.remove(&id)));
        stream.lane.streams.fetch_sub(1, Ordering::Relaxed);
        let room = Arc::clone(&self.room);
        match stream.task {
            Some(Task { stop, handle }) => {
                stop.cancel();
                stream.lane.handle().spawn(async move {
                    let at = handle.await.unwrap_or_default();
                    shell::mark_stopped(&room, id, at, GapCause::NotConfigured, "removed from the configuration");
                });
            }
            None => shell::mark_stopped(&room, id, None, GapCause::NotConfigured, "removed from the configuration"),
        }
    }

    /// Starts a stream, after its earlier task, if it has one, came to its end.
    fn begin(&self, id: StreamId, plan: Plan, before: Option<Stream>) -> Stream {
        let lane = match &before {
            Some(before) => Arc::clone(&before.lane),
            None => self.choose_lane(id),
        };
        let known = before.as_ref().map(|before| Arc::clone(&before.shared));
        let shared = known.unwrap_or_else(|| Arc::new(Shared::new(id, self.room.store.recorded_to(id), UtcMicros::now())));
        self.listeners(|listeners| drop(listeners.insert(id, Arc::clone(&shared))));
        let earlier = before.and_then(|before| before.task);
        let stop = CancellationToken::new();
        // Who watches goes on watching when the settings change.
        let channel = self.live.channel(id).unwrap_or_else(|| self.live.add(id, Arc::clone(&lane.viewers)));
        let task = StreamTask {
            stream: id,
            plan: plan.clone(),
            room: Arc::clone(&self.room),
            channel,
            shared: Arc::clone(&shared),
            lane: Arc::clone(&lane),
            group: Arc::clone(&self.group),
            stop: stop.clone(),
        };
        let span = tracing::info_span!("session", camera = %id.camera, stream = %id.kind);
        let enabled = plan.enabled;
        let work = async move {
            if let Some(Task { stop, handle }) = earlier {
                stop.cancel();
                let at = handle.await.unwrap_or_default();
                shell::mark_stopped(&task.room, id, at, GapCause::Paused, "its settings were changed");
            }
            if enabled {
                return shell::run(task).await;
            }
            task.shared.show(StreamState::Paused, None, false, UtcMicros::now());
            shell::mark_stopped(&task.room, id, None, GapCause::Paused, "paused in the configuration");
            None
        };
        let handle = lane.handle().spawn(work.instrument(span));
        Stream { plan, lane, shared, task: Some(Task { stop, handle }) }
    }

    /// A camera's streams share a lane; otherwise the one with the fewest streams is taken.
    fn choose_lane(&self, id: StreamId) -> Arc<Lane> {
        let least = self.lanes.iter().min_by_key(|lane| lane.streams.load(Ordering::Relaxed));
        let lane = least.unwrap_or(&self.lanes[id.camera.number() as usize % self.lanes.len()]);
        lane.streams.fetch_add(1, Ordering::Relaxed);
        Arc::clone(lane)
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        for stream in std::mem::take(&mut *self.streams()).into_values() {
            if let Some(task) = stream.task {
                task.stop.cancel();
            }
        }
        self.lanes.iter().for_each(|lane| lane.stop());
    }
}
