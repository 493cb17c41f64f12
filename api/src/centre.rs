//! A centre's life, read top to bottom: a sub-district's or the district's, which records nothing and finds everything below it.
//!
//! state directory (its lock) → journal → copies of the journals below → the index over all of them → people → HTTPS → the broker and its
//! lines → the line to whoever is above. It has the same parts as a room, of which those for cameras and footage are empty: what only
//! rooms have is refused at the door ([`crate::doors`]), in words.

use crate::{
    config::Config,
    exports::Exports,
    figures::Figures,
    headers::Hosts,
    hooks::Hooks,
    link::{
        self, Desk,
        below::{Below, Down},
        down::{Relays, budget::Budget},
        message::Named,
    },
    metadata::Metadata,
    mqtt::MqttFigures,
    node::{Node, Reads, Shared},
    room::{self, GRACE, HASHES_AT_ONCE, SEARCHES_AT_ONCE},
    sign_in::{logins::Logins, passwords::Passwords},
    sources::Sources,
    stating, tls,
};
use anyhow::{Context, ensure};
use axum_server::Handle;
use index::{
    access::Register,
    accounts::Accounts,
    alarms::Alarms,
    cameras::Cameras,
    events::{Events, IndexLimits},
    footage::Store,
    incidents::Lower,
    journal::{Copies, CopyLimits, History, Journal, Record},
    model::UtcMicros,
    motion::{Footage, Motion},
    node::StateDir,
    reports::Reports,
    seal::NodeKey,
    site::Site,
};
use ingest::{AddressPolicy, DriverMemory, Ingest, IngestSetup};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

/// A running centre.
pub struct Centre {
    /// Its parts.
    pub node: Shared,
    /// Where it listens; with port 0 configured, the port it was given.
    pub address: SocketAddr,
    handle: Handle<SocketAddr>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    sweeping: [tokio::task::JoinHandle<()>; 2],
    fetching: tokio::task::JoinHandle<()>,
    stop: CancellationToken,
    /// Held, not read: whoever holds it is this node.
    _state: StateDir,
}

/// Runs a centre until it is told to stop.
///
/// # Errors
/// Whatever keeps it from starting, in words for whoever starts it.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut stop = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let centre = Centre::start(config).await?;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tokio::select! {
        _ = stop.0.recv() => {}
        _ = stop.1.recv() => {}
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    centre.drain().await;
    Ok(())
}

impl Centre {
    /// Builds the parts in order, begins to listen, and then to fetch.
    ///
    /// # Errors
    /// Whatever keeps it from starting. Everything begun is undone.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        ensure!(
            !config.tier.records(),
            "this is the configuration of a room, and `haohe centre` runs centres: start it with `haohe room`"
        );
        let Some(broker) = config.below.clone() else {
            anyhow::bail!(
                "the configuration has no section [below], so no node could reach this centre: config/district.toml shows it"
            );
        };
        tls::choose_provider();
        let listener = room::listen(config.http.listen)?;
        let address = listener.local_addr()?;
        let state = room::open_state(&config.state_dir)?;
        let journal = Journal::open(&state.journal(), state.node()).context("open the journal")?;
        let (ring, commits) = watch::channel(());
        journal.on_commit(move |_| ring.send_replace(()));
        let copies = Copies::open(&state.copies(), CopyLimits::default()).context("open the copies of journals below")?;
        let identity = (state.node(), config.tier, config.name.as_str());
        let below =
            Below::open(identity, &state.link(), Arc::new(copies), broker).context("open what is known of nodes below")?;
        let below = Arc::new(below);
        let limits = IndexLimits { keep_days: config.event_days };
        let events = Events::open_with_copies(&state.events(), Arc::clone(&journal), Arc::clone(&below.copies), limits);
        let events = Arc::new(events.context("open the index of events")?);
        let (tls, fingerprint) = tls::server_config(&config.http, state.path())?;
        let node = Arc::new(build(config, &state, journal, commits, events, Arc::clone(&below))?);
        if node.accounts.list().is_empty() {
            tracing::warn!("nobody can sign in yet: run `haohe person add NAME --role admin --one-time` and restart");
        }
        let stop = CancellationToken::new();
        let down = Down { incidents: Arc::clone(node.incidents.casebook()), commits: node.commits.clone() };
        let fetching = Arc::clone(&below).run(down, stop.clone()).await?;
        let (handle, serving) = room::serve(&node, listener, tls)?;
        let own = Named { node: node.id, name: node.config.name.clone(), tier: node.config.tier };
        let history = Arc::clone(&node.journal) as Arc<dyn History>;
        let desk = Desk::of_centre(history, Arc::clone(&below.copies), Arc::clone(&below.standings));
        below.down.allow(node.config.below_budget);
        let budget = Arc::new(Budget::new(node.config.above.budget));
        let relays = Relays::new(Arc::clone(&below.down), Arc::clone(node.ingest.live()), Arc::clone(&budget));
        let relays = Arc::clone(below.relays.get_or_init(|| relays));
        let desk = desk.called(own, Arc::clone(&below.roster)).taking(Arc::clone(node.incidents.casebook()));
        let desk = desk.handing_on(relays).within(budget);
        tokio::spawn(link::above::serve(state.link(), node.config.nats_server.clone(), node.id, Arc::new(desk), stop.clone()));
        let sweeping = [tokio::spawn(room::sweep(node.clone())), tokio::spawn(stating::follow(node.clone()))];
        tracing::info!(%address, fingerprint, members = below.members.list().len(), "fetching from nodes below, and listening for HTTPS");
        let started = Record::new(UtcMicros::now(), "node.started", serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }));
        drop(node.journal.append(started));
        Ok(Self { node, address, handle, serving, sweeping, fetching, stop, _state: state })
    }

    /// Stops in the stated order: who asks is let go, what is being copied is finished, the journal is last.
    pub async fn drain(self) {
        tracing::info!("stopping");
        let Self { node, handle, serving, sweeping, fetching, stop, .. } = self;
        sweeping.iter().for_each(tokio::task::JoinHandle::abort);
        node.logins.end_all();
        handle.graceful_shutdown(Some(GRACE));
        let _ = serving.await;
        stop.cancel();
        let _ = fetching.await;
        node.close().await;
    }
}

/// Drivers of cameras are not remembered where there are none.
struct NoMemory;

impl DriverMemory for NoMemory {
    fn remembered(&self, _: index::model::CameraId) -> Option<index::model::Driver> {
        None
    }
    fn remember(&self, _: index::model::CameraId, _: index::model::Driver) {}
}

fn build(
    config: Config,
    state: &StateDir,
    journal: Arc<Journal>,
    commits: watch::Receiver<()>,
    events: Arc<Events>,
    below: Arc<Below>,
) -> anyhow::Result<Node> {
    let (tell, alarm_revisions) = watch::channel(0);
    let changed = move |revision| {
        tell.send_replace(revision);
    };
    let alarms = Alarms::open(&state.alarms(), Arc::clone(&journal), changed).context("open the rules and alarms")?;
    let roster = Arc::clone(&below.roster);
    let lower =
        Lower { copies: Arc::clone(&below.copies), tier: Arc::new(move |node| roster.of(node).map(|known| known.named.tier)) };
    let (incidents, incident_revisions) = room::open_incidents(&config, state, &journal, Some(lower))?;
    let hooks = Hooks::start(&state.hooks(), &[], &journal, &commits).context("make the directory of web hooks")?;
    let register = Register::open(Arc::clone(&journal)).context("open the access register")?;
    let accounts = Accounts::open(&state.people(), Arc::clone(&journal)).context("open the people file")?;
    let key = NodeKey::open_or_create(&state.key()).context("open the node's key")?;
    let catalogue = Cameras::open(&state.cameras(), key, Arc::clone(&journal), Vec::new());
    let catalogue = Arc::new(catalogue.context("open the camera catalogue")?);
    let cameras_changed = watch::Sender::default();
    let (tell, names, copies) = (cameras_changed.clone(), Arc::clone(&below), Arc::clone(&below.copies));
    let told = move || tell.send_modify(|count: &mut u64| *count += 1);
    let site = Site::open(&state.site(), Arc::clone(&journal), copies, Box::new(move || names.roster.paths()), told);
    let site = site.context("start the thread of the site tree")?;
    let exports = Exports::open(state.path().join("exports")).context("open the directory of exports")?;
    let store = Store::open(room::store_setup(&config, state), Arc::clone(&journal)).context("open the footage store")?;
    let motion = Motion::open(&state.motion(), Arc::clone(&store) as Arc<dyn Footage>).context("open what is kept of motion")?;
    let reports = Reports::open(&state.reports(), Arc::clone(&journal), Some(Arc::clone(&below.copies)));
    let reports = reports.context("open what reports are made of")?;
    let metadata =
        Metadata::start(Arc::clone(&events), Arc::clone(&catalogue)).context("start the thread that reads metadata")?;
    let ingest = Ingest::start(IngestSetup {
        store: Arc::clone(&store),
        cores: 1,
        tick: config.ingest_tick,
        allow: AddressPolicy::new(Vec::new()),
        on_event: Box::new(|_| {}),
        memory: Arc::new(NoMemory),
        on_metadata: Arc::new(|_, _, _| {}),
        pictures: Default::default(),
    });
    Ok(Node {
        sources: Sources::new(&[]),
        mqtt: MqttFigures::default(),
        id: state.node(),
        started: UtcMicros::now(),
        hosts: Hosts::new(&config.http.allowed_hosts),
        logins: Logins::new(config.http.login_idle, config.http.login_max),
        passwords: Passwords::new(HASHES_AT_ONCE),
        figures: Figures::default(),
        reads: Reads::default(),
        cameras_changed,
        throttle: std::sync::Mutex::default(),
        accounts: Arc::new(accounts),
        config,
        store,
        journal,
        events,
        motion,
        reports: Arc::new(reports),
        metadata: Arc::new(metadata),
        below: Some(below),
        site: Some(Arc::new(site)),
        commits,
        alarms: Arc::new(alarms),
        incidents: Arc::new(incidents),
        incident_revisions,
        hooks,
        alarm_revisions,
        searches: Reads::new(SEARCHES_AT_ONCE),
        register,
        catalogue,
        ingest: ingest.context("start the thread of cameras")?,
        exports,
    })
}
