//! The running node, as every handler sees it: one of each part, built by [`crate::room`], shared by all requests.

use crate::{
    config::Config,
    exports::Exports,
    figures::Figures,
    headers::Hosts,
    hooks::Hooks,
    link::below::Below,
    metadata::Metadata,
    mqtt::MqttFigures,
    refusal::Refusal,
    sign_in::{logins::Logins, passwords::Passwords},
    sources::Sources,
    stating,
    visit::Visit,
};
use index::{
    access::{Actor, Person, Register},
    accounts::{Accounts, Throttle},
    alarms::Alarms,
    cameras::Cameras,
    events::Events,
    footage::Store,
    incidents::Incidents,
    journal::{Journal, JournalError, Record, Seq},
    model::{Camera, CameraId, NodeId, UtcMicros},
    motion::Motion,
    reports::Reports,
    site::Site,
};
use ingest::Ingest;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::{Semaphore, watch};

/// How many reads of footage go on at once, beside recording. Each is a few disk reads on a thread of its own.
const READS_AT_ONCE: usize = 8;
/// How many more may wait; beyond that the answer is "busy", at once.
const READS_WAITING: usize = 256;

/// A node as handlers share it.
pub type Shared = Arc<Node>;

/// The parts of a node.
pub struct Node {
    /// What it was told at start. Its cameras are in [`Node::catalogue`], which changes.
    pub config: Config,
    /// Which node this is.
    pub id: NodeId,
    /// When this process started.
    pub started: UtcMicros,
    /// Its footage.
    pub store: Arc<Store>,
    /// Its history.
    pub journal: Arc<Journal>,
    /// What happened, and the index that finds it.
    pub events: Arc<Events>,
    /// What moved in the pictures, and where.
    pub motion: Arc<Motion>,
    /// Rung after each commit of the journal.
    pub commits: watch::Receiver<()>,
    /// Who else is told of alarms.
    pub hooks: Hooks,
    /// What operators are called for.
    pub alarms: Arc<Alarms>,
    /// Cases that operators work on.
    pub incidents: Arc<Incidents>,
    /// Their revision, as it changes.
    pub incident_revisions: watch::Receiver<u64>,
    /// The revision of the alarms, as it changes.
    pub alarm_revisions: watch::Receiver<u64>,
    /// What this node and those below state of their days.
    pub reports: Arc<Reports>,
    /// What cameras tell beside their pictures, on its way to the journal.
    pub metadata: Arc<Metadata>,
    /// Analytics boxes that report events.
    pub sources: Sources,
    /// How the broker of their messages fares, where one is configured.
    pub mqtt: MqttFigures,
    /// Who watched what.
    pub register: Arc<Register>,
    /// What a centre has of the nodes below it; `None` in a room.
    pub below: Option<Arc<Below>>,
    /// The cameras below a centre, by where they stand; `None` in a room.
    pub site: Option<Arc<Site>>,
    /// Who may sign in.
    pub accounts: Arc<Accounts>,
    /// Slows down whoever tries passwords.
    pub throttle: Mutex<Throttle>,
    /// Its cameras and their sealed credentials.
    pub catalogue: Arc<Cameras>,
    /// The sessions with the cameras.
    pub ingest: Ingest,
    /// Who is signed in.
    pub logins: Logins<Visit>,
    /// Password hashing, a few at a time.
    pub passwords: Passwords,
    /// Copies being made for people to take away.
    pub exports: Exports,
    /// Counters of the API itself.
    pub figures: Figures,
    /// The host names it answers to.
    pub hosts: Hosts,
    /// Turns at reading footage.
    pub reads: Reads,
    /// How often the cameras changed; live sockets wait for it.
    pub cameras_changed: tokio::sync::watch::Sender<u64>,
    /// Turns at searching events: fewer, so that putting events in keeps up.
    pub searches: Reads,
}

/// Turns at reading: a bounded number at once, a bounded number waiting (I11), so that reads never starve recording (I10).
pub struct Reads {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl Default for Reads {
    fn default() -> Self {
        Self::new(READS_AT_ONCE)
    }
}

impl Reads {
    /// So many turns at once.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(at_once)), waiting: AtomicUsize::new(0) }
    }

    /// Runs `read` on a blocking thread when it is its turn.
    ///
    /// # Errors
    /// 503 "busy" when too many wait already; 500 if it panics.
    pub async fn run<T: Send + 'static>(&self, read: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= READS_WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::busy());
        }
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let Ok(turn) = turn else { return Err(Refusal::busy()) };
        tokio::task::spawn_blocking(move || {
            let result = read();
            drop(turn);
            result
        })
        .await
        .map_err(|error| Refusal::failed("read", &error))
    }
}

impl Node {
    /// The person behind a sign-in name, with the rights they have now; `None` if they may not be signed in.
    #[must_use]
    pub fn person(&self, name: &str) -> Option<Person> {
        self.accounts.person(name, UtcMicros::now()).ok()
    }

    /// One camera.
    #[must_use]
    pub fn camera(&self, id: CameraId) -> Option<Camera> {
        match &self.site {
            Some(site) => site.view().get(id).filter(|located| located.removed.is_none()).map(|located| located.camera.clone()),
            None => self.catalogue.get(id).map(|entry| entry.camera),
        }
    }

    /// Which node has a camera, and the camera, also one that is no longer recorded: this node itself, or one below.
    #[must_use]
    pub fn locate(&self, id: CameraId) -> Option<(NodeId, Camera)> {
        match &self.site {
            Some(site) => site.locate(id),
            None => self.camera_ever(id).map(|camera| (self.id, camera)),
        }
    }

    /// One camera, also one that is no longer recorded, or at a centre one of a room below: what it left is looked at under the rights that hold where it stood.
    #[must_use]
    pub fn camera_ever(&self, id: CameraId) -> Option<Camera> {
        match &self.site {
            Some(site) => site.locate(id).map(|(_, camera)| camera).or_else(|| self.told_of(id)),
            None => self.camera(id).or_else(|| self.catalogue.get_removed(id).map(|gone| gone.camera)),
        }
    }

    /// A camera that a room below was asked for and whose record is not here yet, in the same tree.
    fn told_of(&self, id: CameraId) -> Option<Camera> {
        let below = self.below.as_ref()?;
        let (room, mut camera) = below.places.known(id)?;
        camera.place.splice(0..0, below.roster.paths().remove(&room)?);
        Some(camera)
    }

    /// Hands ingest the cameras that the catalogue now holds. Cameras that did not change lose nothing.
    /// Whoever watches live is asked for their rights again: a camera may have moved out of their scope.
    pub fn apply_cameras(&self) {
        self.ingest.apply(&self.catalogue.wanted());
        self.cameras_changed.send_modify(|count| *count += 1);
    }

    /// Writes a fact into the journal and waits until it is durable.
    ///
    /// # Errors
    /// If the journal cannot take it.
    pub async fn note(&self, kind: &'static str, body: serde_json::Value) -> Result<Seq, JournalError> {
        let (send, receive) = tokio::sync::oneshot::channel();
        self.journal.append_then(Record::new(UtcMicros::now(), kind, body), move |result| drop(send.send(result)));
        receive.await.unwrap_or(Err(JournalError::Closed))
    }

    /// Closes its parts in the stated order, when nobody tells or asks it anything any more. The journal's last record says that it
    /// was meant to end.
    pub async fn close(self: &Arc<Self>) {
        let parts = Arc::clone(self);
        let closed = tokio::task::spawn_blocking(move || {
            // What cameras told is made durable before the journal ends.
            // It writes when a clock is over.
            parts.incidents.close();
            if let Some(site) = &parts.site {
                site.close();
            }
            parts.metadata.close();
            parts.store.close();
            parts.motion.close();
            drop(parts.journal.append(Record::new(UtcMicros::now(), "node.stopped", serde_json::json!({}))));
            parts.journal.close();
            stating::keep(&parts.reports);
            parts.alarms.close();
            // The last records are in the journal now, and so can be found at once after the next start.
            parts.events.close();
        });
        if closed.await.is_err() {
            tracing::error!("the node did not close cleanly; the next start reads what was not finished");
        }
        tracing::info!("stopped");
    }

    /// Runs something that waits for the disk, beside the async threads.
    ///
    /// # Errors
    /// 500 if it panics.
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let node = Arc::clone(self);
        tokio::task::spawn_blocking(move || work(&node)).await.map_err(|error| Refusal::failed("blocking work", &error))
    }
}

/// Somebody signed in, as the journal names who changed something.
#[must_use]
pub fn actor(person: &Person, from: std::net::IpAddr) -> Actor {
    Actor::Person { name: person.name.clone(), from }
}
