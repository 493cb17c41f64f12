//! A room's life, read top to bottom: what is built from what, and what is drained first.
//!
//! state directory (its lock) → journal → people and cameras → footage store → ingest → HTTPS. Nothing listens before all
//! of it stands; recording begins before anyone can watch. The drain goes the other way about: who watches is let go, the
//! sessions with cameras end, the store makes durable what it holds, the journal is last, because all of them write to it.

use crate::{
    config::{Config, ConfigError},
    diagnosis,
    exports::Exports,
    figures::Figures,
    gaps::Gaps,
    headers::Hosts,
    hooks::Hooks,
    link::{self, Desk, down::budget::Budget, message::Named},
    memory,
    metadata::Metadata,
    mqtt::{self, MqttFigures},
    node::{Node, Reads, Shared},
    outages::{self, Outages, Told},
    own::{DiskRoom, Own},
    routes,
    sign_in::{logins::Logins, passwords::Passwords},
    sources::Sources,
    stating, tls,
};
use anyhow::{Context, ensure};
use axum_server::{Handle, accept::NoDelayAcceptor, tls_rustls::RustlsConfig};
use index::{
    access::Register,
    accounts::Accounts,
    alarms::Alarms,
    cameras::Cameras,
    events::{Events, IndexLimits},
    footage::{Setup, Store, VolumeSetup},
    incidents::{Incidents, Lower, Me},
    journal::{History, Journal, Record},
    model::{CameraId, Driver, UtcMicros},
    motion::{Footage, Motion},
    node::StateDir,
    reports::Reports,
    seal::NodeKey,
    site,
};
use ingest::{AddressPolicy, CameraEvent, DriverMemory, Ingest, IngestSetup, picture::PictureSetup};
use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot, watch,
    },
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long requests that are under way may take to finish when the node stops.
pub(crate) const GRACE: Duration = Duration::from_secs(3);
/// How often what has ended is cleared away.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// How long somebody who connected may take to say what they want.
const HEADER_PATIENCE: Duration = Duration::from_secs(15);

/// Passwords hashed at once: each takes 19 MiB and a core for tens of milliseconds.
pub(crate) const HASHES_AT_ONCE: usize = 2;

/// Events of cameras that may wait to be written.
const CAMERA_EVENTS: usize = 8192;
/// How often it is looked whether what was held back is due.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often the ledger is looked at for gaps that are over.
const GAPS_EVERY: Duration = Duration::from_secs(3);

/// Questions to the index of events at once: each is some tens of milliseconds of a core.
pub(crate) const SEARCHES_AT_ONCE: usize = 2;

/// A running room.
pub struct Room {
    /// Its parts.
    pub node: Shared,
    /// Where it listens; with port 0 configured, the port it was given.
    pub address: SocketAddr,
    handle: Handle<SocketAddr>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    sweeping: [tokio::task::JoinHandle<()>; 5],
    hearing: (oneshot::Sender<()>, tokio::task::JoinHandle<()>),
    /// Ends the line to the node above.
    above: DropGuard,
    /// Held, not read: whoever holds it is this node.
    _state: StateDir,
}

/// Runs a room until it is told to stop.
///
/// # Errors
/// Whatever keeps it from starting, in words for whoever starts it.
pub async fn run(config_file: PathBuf, config: Config) -> anyhow::Result<()> {
    let mut stop = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut reload = signal(SignalKind::hangup())?;
    let room = Room::start(config).await?;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    loop {
        tokio::select! {
            _ = stop.0.recv() => break,
            _ = stop.1.recv() => break,
            _ = reload.recv() => match room.reload(&config_file).await {
                Ok(cameras) => tracing::info!(cameras, "configuration reloaded"),
                Err(error) => tracing::error!(error = format!("{error:#}"), "configuration not reloaded, recording goes on with the old one"),
            },
        }
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    room.drain().await;
    Ok(())
}

impl Room {
    /// Builds the parts in order and begins to record, then to listen.
    ///
    /// # Errors
    /// Whatever keeps it from starting. Everything begun is undone.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        ensure!(
            config.tier.records(),
            "this is the configuration of a {}, and `haohe room` runs rooms: give it a file with tier = \"room\"",
            config.tier
        );
        tls::choose_provider();
        // The port first, unserved: two nodes of one configuration must not both open the disks.
        let listener = listen(config.http.listen)?;
        let address = listener.local_addr()?;
        let state = open_state(&config.state_dir)?;
        let journal = Journal::open(&state.journal(), state.node()).context("open the journal")?;
        let (ring, commits) = watch::channel(());
        journal.on_commit(move |_| ring.send_replace(()));
        let limits = IndexLimits { keep_days: config.event_days };
        let events = Events::open(&state.events(), Arc::clone(&journal), limits).context("open the index of events")?;
        let (tell, alarm_revisions) = watch::channel(0);
        let changed = move |revision| {
            tell.send_replace(revision);
        };
        let alarms = Alarms::open(&state.alarms(), Arc::clone(&journal), changed).context("open the rules and alarms")?;
        let (incidents, incident_revisions) = open_incidents(&config, &state, &journal, None)?;
        let hooks = Hooks::start(&state.hooks(), &config.hooks, &journal, &commits).context("make the directory of web hooks")?;
        let register = Register::open(Arc::clone(&journal)).context("open the access register")?;
        let accounts = Accounts::open(&state.people(), Arc::clone(&journal)).context("open the people file")?;
        let key = NodeKey::open_or_create(&state.key()).context("open the key for camera passwords")?;
        let catalogue = Cameras::open(&state.cameras(), key, Arc::clone(&journal), config.cameras.clone());
        let catalogue = Arc::new(catalogue.context("open the camera catalogue")?);
        let (tls, fingerprint) = tls::server_config(&config.http, state.path())?;
        let exports = Exports::open(state.path().join("exports")).context("open the directory of exports")?;
        let store = Store::open(store_setup(&config, &state), Arc::clone(&journal)).context("open the footage store")?;
        let motion =
            Motion::open(&state.motion(), Arc::clone(&store) as Arc<dyn Footage>).context("open what is kept of motion")?;
        let reports = Reports::open(&state.reports(), Arc::clone(&journal), None).context("open what reports are made of")?;
        let events = Arc::new(events);
        let metadata =
            Metadata::start(Arc::clone(&events), Arc::clone(&catalogue)).context("start the thread that reads metadata")?;
        let metadata = Arc::new(metadata);
        let (tell, told) = mpsc::channel(CAMERA_EVENTS);
        let ingest = start_ingest(&config, &store, &journal, &catalogue, &motion, &metadata, tell)?;
        let node = Arc::new(Node {
            sources: Sources::new(&config.sources),
            mqtt: MqttFigures::default(),
            id: state.node(),
            started: UtcMicros::now(),
            hosts: Hosts::new(&config.http.allowed_hosts),
            logins: Logins::new(config.http.login_idle, config.http.login_max),
            passwords: Passwords::new(HASHES_AT_ONCE),
            figures: Figures::default(),
            reads: Reads::default(),
            cameras_changed: tokio::sync::watch::Sender::default(),
            throttle: std::sync::Mutex::default(),
            accounts: Arc::new(accounts),
            config,
            store,
            journal,
            events,
            motion,
            reports: Arc::new(reports),
            metadata,
            below: None,
            site: None,
            commits,
            alarms: Arc::new(alarms),
            incidents: Arc::new(incidents),
            incident_revisions,
            hooks,
            alarm_revisions,
            searches: Reads::new(SEARCHES_AT_ONCE),
            register,
            catalogue,
            ingest,
            exports,
        });
        node.apply_cameras();
        if node.accounts.list().is_empty() {
            tracing::warn!("nobody can sign in yet: run `haohe person add NAME --role admin --one-time` and restart");
        }
        let (handle, serving) = serve(&node, listener, tls)?;
        // Whoever is above, now or later, may fetch what happens here.
        let own = Named { node: node.id, name: node.config.name.clone(), tier: node.config.tier };
        let desk = Desk::of_room(Arc::clone(&node.journal) as Arc<dyn History>).called(own, Arc::default());
        let desk = desk.taking(Arc::clone(node.incidents.casebook()));
        let budget = Arc::new(Budget::new(node.config.above.budget));
        let answers = Arc::new(routes::answers(&node, &budget));
        let desk = desk.answering(Arc::clone(&answers)).within(budget);
        let above = CancellationToken::new();
        tokio::spawn(link::above::serve(state.link(), node.config.nats_server.clone(), node.id, Arc::new(desk), above.clone()));
        let (file, journal, cameras) = (state.site(), Arc::clone(&node.journal), Arc::clone(&node.catalogue));
        // The first time it reads the whole journal: nothing waits for it.
        let settling = std::thread::Builder::new().name("settle".into()).spawn(move || state_cameras(&file, &journal, &cameras));
        drop(settling.context("start the thread that states the cameras")?);
        let gaps = Gaps::open(&state.gaps(), &node.journal, UtcMicros::now());
        let sweeping = [
            tokio::spawn(sweep(node.clone())),
            tokio::spawn(tell_gaps(node.clone(), gaps)),
            tokio::spawn(stating::follow(node.clone())),
            tokio::spawn(mqtt::listen(node.clone())),
            tokio::spawn(async move {
                let mut turns = tokio::time::interval(SWEEP_EVERY);
                loop {
                    turns.tick().await;
                    answers.sweep();
                }
            }),
        ];
        let (ended, end) = oneshot::channel();
        let hearing = (ended, tokio::spawn(hear(told, end, Arc::clone(&node.journal), Arc::clone(&node.catalogue))));
        tracing::info!(%address, fingerprint, cameras = node.catalogue.list().len(), "recording, and listening for HTTPS");
        let started = Record::new(UtcMicros::now(), "node.started", serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }));
        drop(node.journal.append(started));
        Ok(Self { node, address, handle, serving, sweeping, hearing, above: above.drop_guard(), _state: state })
    }

    /// Takes the volumes and the cameras of the configuration file as they are now. Other keys are read at start only.
    ///
    /// # Errors
    /// The file, a volume or its cameras are refused; everything goes on as before.
    pub async fn reload(&self, config_file: &Path) -> anyhow::Result<usize> {
        let file = config_file.to_owned();
        let config = tokio::task::spawn_blocking(move || Config::load(&file)).await?.map_err(|error: ConfigError| error)?;
        let node = self.node.clone();
        tokio::task::spawn_blocking(move || {
            let cameras = config.cameras.len();
            node.store.reload(&volumes(&config)).context("take the volumes anew")?;
            node.catalogue.reload(config.cameras)?;
            node.apply_cameras();
            Ok(cameras)
        })
        .await?
    }

    /// Stops in the stated order, losing nothing that was received.
    pub async fn drain(self) {
        tracing::info!("stopping");
        let Self { node, handle, serving, sweeping, hearing: (ended, hearing), above, .. } = self;
        drop(above);
        sweeping.iter().for_each(tokio::task::JoinHandle::abort);
        node.logins.end_all();
        node.exports.stop();
        handle.graceful_shutdown(Some(GRACE));
        node.ingest.drain().await;
        let _ = serving.await;
        // What the cameras' sessions told and was held back.
        let _ = ended.send(());
        let _ = hearing.await;
        node.close().await;
    }
}

/// Serves a node's API and page on its port.
pub(crate) fn serve(
    node: &Shared,
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
) -> anyhow::Result<(Handle<SocketAddr>, tokio::task::JoinHandle<std::io::Result<()>>)> {
    let handle = Handle::new();
    let app = routes::router(node).into_make_service_with_connect_info::<SocketAddr>();
    let mut server = axum_server::from_tcp_rustls(listener, RustlsConfig::from_config(tls))?
        // Small answers must not wait for the peer's delayed acknowledgement: 40 ms, felt in every seek.
        .map(|tls| tls.acceptor(NoDelayAcceptor::new()))
        .handle(handle.clone())
        .first_request_timeout(HEADER_PATIENCE);
    server.http_builder().http1().header_read_timeout(HEADER_PATIENCE);
    Ok((handle, tokio::spawn(server.serve(app))))
}

/// Room on the disk of a directory; `None` if the system does not say.
fn disk_room(path: &Path) -> Option<DiskRoom> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(DiskRoom { free: stat.f_bavail * stat.f_frsize, total: stat.f_blocks * stat.f_frsize })
}

pub(crate) fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("port taken: another program listens on {address}; stop it or change http.listen")
        }
        std::io::ErrorKind::PermissionDenied => {
            anyhow::anyhow!("no permission to listen on {address}: take a port from 1024 up, or grant CAP_NET_BIND_SERVICE")
        }
        _ => anyhow::anyhow!("cannot listen on {address}: {error}; correct http.listen"),
    })
}

/// Opens the state directory, and makes it if its parent is there.
///
/// # Errors
/// It cannot be made or is another process's.
pub fn open_state(path: &Path) -> anyhow::Result<StateDir> {
    use std::os::unix::fs::DirBuilderExt;
    if !path.exists() {
        std::fs::DirBuilder::new().mode(0o700).create(path).with_context(|| {
            format!("make the state directory {}: its parent must exist and be writable by this user", path.display())
        })?;
    }
    StateDir::open(path).with_context(|| format!("open the state directory {}", path.display()))
}

fn volumes(config: &Config) -> Vec<VolumeSetup> {
    let volume = |v: &crate::config::Volume| VolumeSetup { name: v.name.clone(), path: v.path.clone(), capacity: v.capacity };
    config.volumes.iter().map(volume).collect()
}

/// Opens a node's incidents, and what tells of their changes.
pub(crate) fn open_incidents(
    config: &Config,
    state: &StateDir,
    journal: &Arc<Journal>,
    below: Option<Lower>,
) -> anyhow::Result<(Incidents, watch::Receiver<u64>)> {
    let (tell, revisions) = watch::channel(0);
    let changed = move |revision| {
        tell.send_replace(revision);
    };
    let me = Me { node: state.node(), tier: config.tier, clocks: config.incident_clocks };
    let opened = Incidents::open(&state.incidents(), me, Arc::clone(journal), below, changed);
    Ok((opened.context("open the incidents")?, revisions))
}

pub(crate) fn store_setup(config: &Config, state: &StateDir) -> Setup {
    Setup {
        segment_bytes: config.segment_bytes,
        sub_segment_bytes: config.sub_segment_bytes,
        terms: config.terms(),
        hold_percent: config.hold_percent,
        queue_bytes: memory::footage_queue(memory::installed(), config.volumes.len()),
        ..Setup::new(state.node(), state.path().to_owned(), volumes(config))
    }
}

pub(crate) fn start_ingest(
    config: &Config,
    store: &Arc<Store>,
    journal: &Arc<Journal>,
    catalogue: &Arc<Cameras>,
    motion: &Arc<Motion>,
    metadata: &Arc<Metadata>,
    tell: mpsc::Sender<CameraEvent>,
) -> anyhow::Result<Ingest> {
    let cores = match config.ingest_cores {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        cores => cores,
    };
    let pictures = picture_setup(config, journal, catalogue, motion);
    let journal = Arc::clone(journal);
    let cameras = Arc::clone(catalogue);
    let metadata = Arc::clone(metadata);
    Ingest::start(IngestSetup {
        store: Arc::clone(store),
        cores,
        tick: config.ingest_tick,
        allow: AddressPolicy::new(config.allow_networks.clone()),
        // Told by the reading threads: the queue is never waited for. One that does not fit is written as it is.
        on_event: Box::new(move |event| {
            if let Err(TrySendError::Full(event) | TrySendError::Closed(event)) = tell.try_send(event) {
                drop(journal.append(record(&event, cameras.get(event.stream.camera))));
            }
        }),
        memory: Arc::new(Memory(Arc::clone(catalogue))),
        on_metadata: Arc::new(move |stream, received, document| metadata.tell(stream, received, document)),
        pictures,
    })
    .context("start the threads that talk to cameras")
}

/// What pictures show goes where it is kept: motion beside the footage, what is wrong with a picture into the journal.
fn picture_setup(config: &Config, journal: &Arc<Journal>, catalogue: &Arc<Cameras>, motion: &Arc<Motion>) -> PictureSetup {
    let (journal, cameras, motion) = (Arc::clone(journal), Arc::clone(catalogue), Arc::clone(motion));
    PictureSetup {
        cpu_percent: config.pictures_cpu_percent,
        on_look: Box::new(move |camera, look| motion.note(camera, look)),
        on_verdict: Box::new(move |camera, at, verdict| {
            let event = diagnosis::event(at, camera, cameras.get(camera).map(|entry| entry.camera).as_ref(), verdict);
            drop(journal.append(event.into_record(UtcMicros::now())));
        }),
    }
}

/// Writes what the sessions with cameras tell into the journal; cameras that go or come together as one event.
/// Ends, with nothing held back, when `end` is rung.
async fn hear(
    mut told: mpsc::Receiver<CameraEvent>,
    mut end: oneshot::Receiver<()>,
    journal: Arc<Journal>,
    cameras: Arc<Cameras>,
) {
    let mut outages = Outages::default();
    let mut turns = tokio::time::interval(LOOK_EVERY);
    let write = |told: Told| {
        let record = match told {
            Told::One(event) => record(&event, cameras.get(event.stream.camera)),
            Told::Many(events) => outages::record(&events, |id| Some(cameras.get(id)?.camera), UtcMicros::now()),
        };
        drop(journal.append(record));
    };
    loop {
        tokio::select! {
            biased;
            event = told.recv() => match event {
                Some(event) => outages.take(event, Instant::now()).into_iter().for_each(write),
                None => break,
            },
            _ = &mut end => break,
            _ = turns.tick() => outages.due(Instant::now()).into_iter().for_each(write),
        }
    }
    outages.rest().into_iter().for_each(write);
}

/// A camera's event as the journal keeps it: with the camera's name and place, so that it is found by them whatever the camera
/// is called later.
fn record(event: &CameraEvent, camera: Option<index::cameras::Entry>) -> Record {
    let mut body = serde_json::json!({ "camera": event.stream.camera, "stream": event.stream });
    let detail = match &event.kind {
        ingest::CameraEventKind::Recording { down_s } => serde_json::json!({ "down_s": down_s }),
        ingest::CameraEventKind::Offline { cause, notice } => serde_json::json!({ "cause": cause, "notice": notice }),
        ingest::CameraEventKind::Shedding { units } => serde_json::json!({ "units": units }),
        ingest::CameraEventKind::ClockStep { by_ms } => serde_json::json!({ "by_ms": by_ms }),
        ingest::CameraEventKind::DriverChosen(driver) => serde_json::json!({ "driver": driver }),
        _ => serde_json::json!({}),
    };
    if let Some(entry) = camera {
        body["name"] = entry.camera.name.into();
        body["place"] = entry.camera.place.into();
    }
    if let (Some(body), serde_json::Value::Object(detail)) = (body.as_object_mut(), detail) {
        body.extend(detail);
    }
    Record::new(event.at, event.kind.word(), body)
}

/// What the probe found is remembered in the catalogue.
struct Memory(Arc<Cameras>);

impl DriverMemory for Memory {
    fn remembered(&self, camera: CameraId) -> Option<Driver> {
        self.0.remembered(camera)
    }

    fn remember(&self, camera: CameraId, driver: Driver) {
        self.0.remember(camera, driver);
    }
}

/// Has the journal say which cameras there are, for the nodes above.
fn state_cameras(file: &Path, journal: &Journal, cameras: &Cameras) {
    match site::settle(file, journal, cameras) {
        Ok(stated) if stated => tracing::info!("the journal now says which cameras this node has"),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "nodes above may not know all cameras until the next start"),
    }
}

/// Ends logins that went idle and accesses that nobody uses any more, removes old exports, and looks at the node's own disk and
/// clock.
pub(crate) async fn sweep(node: Shared) {
    let mut turns = tokio::time::interval(SWEEP_EVERY);
    let mut own = Own::new(UtcMicros::now(), Instant::now());
    loop {
        turns.tick().await;
        let state_dir = node.config.state_dir.clone();
        let room = node.blocking(move |_| disk_room(&state_dir)).await.ok().flatten();
        for event in own.look(room, UtcMicros::now(), Instant::now()) {
            drop(node.journal.append(event.into_record(UtcMicros::now())));
        }
        node.logins.sweep(|name| node.person(name).is_some(), crate::visit::Visit::sweep);
        let swept = node.blocking(|node| node.exports.sweep(UtcMicros::now())).await;
        if swept.is_err() {
            tracing::error!("old exports could not be looked through");
        }
    }
}

/// Tells of gaps in recordings as the ledger comes to know them.
async fn tell_gaps(node: Shared, mut gaps: Gaps) {
    let mut turns = tokio::time::interval(GAPS_EVERY);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let looked = node.blocking(move |node| {
            gaps.look(node, UtcMicros::now(), Instant::now());
            gaps
        });
        let Ok(next) = looked.await else {
            tracing::error!("gaps in recordings are told no more until the node is started anew; the ledger has them all");
            return;
        };
        gaps = next;
    }
}
