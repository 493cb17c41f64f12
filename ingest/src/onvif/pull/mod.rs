//! ONVIF pull points: what cameras tell whose metadata track says nothing, or that have none (ONVIF Core Specification §9.2).
//!
//! A task for each camera that has a device service configured, all on one thread of their own, so that no reader of pictures ever
//! waits for an answer in XML. `core` decides what to ask and when; `soap` words it; `line` is the way to the camera. What was pulled goes on as it came, to whoever reads metadata documents: by either way it is read by the same code.

mod core;
mod line;
mod soap;
#[cfg(test)]
mod tests;

use self::{
    core::{Answer, Ask, Core, PULL, TERM},
    line::{Failure, Line},
    soap::{Place, Question},
};
use crate::{OnMetadata, address::AddressPolicy};
use index::model::{Camera, CameraId, Credentials, DeviceAddress, StreamId, StreamKind, UtcMicros};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Notifications that one answer may hold.
const AT_ONCE: u32 = 100;
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// How one camera's pull point does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PullStatus {
    /// Whose it is.
    pub camera: CameraId,
    /// Whether the camera has a subscription of ours and answers.
    pub subscribed: bool,
    /// Since when that is so.
    pub since: UtcMicros,
    /// Why it is not, as far as the last answer tells.
    pub trouble: Option<PullTrouble>,
    /// How far the camera's clock is ahead of ours, in seconds, when it was last asked.
    pub clock_ahead_s: Option<i64>,
}

/// Why a camera's events cannot be pulled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PullTrouble {
    /// The address is in no network that may be dialled, or has no number.
    Address,
    /// Nobody answers, or nothing that can be read.
    NoAnswer,
    /// The user or the password is wrong.
    Unauthorised,
    /// The camera has no event service.
    NoEvents,
    /// It answers and says no.
    Refused,
}

/// What every task shares.
struct Shared {
    allow: AddressPolicy,
    told: OnMetadata,
    status: Mutex<BTreeMap<CameraId, PullStatus>>,
}

/// The pull points of a node. Dropping it ends them at once.
pub(crate) struct PullPoints {
    shared: Arc<Shared>,
    tasks: Mutex<BTreeMap<CameraId, Task>>,
    handle: tokio::runtime::Handle,
    end: CancellationToken,
}

/// What, when it changes, needs a new task.
#[derive(Clone, PartialEq)]
struct Plan {
    address: DeviceAddress,
    credentials: Option<Credentials>,
}

struct Task {
    plan: Plan,
    stop: CancellationToken,
    handle: tokio::task::JoinHandle<()>,
}

impl PullPoints {
    /// Starts the thread; no camera is asked before [`PullPoints::apply`].
    ///
    /// # Errors
    /// What the system says when it cannot make a thread.
    pub(crate) fn start(allow: AddressPolicy, told: OnMetadata) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (handle, end) = (runtime.handle().clone(), CancellationToken::new());
        let ended = end.clone();
        std::thread::Builder::new().name("pull-points".into()).spawn(move || runtime.block_on(ended.cancelled()))?;
        let shared = Arc::new(Shared { allow, told, status: Mutex::default() });
        Ok(Self { shared, tasks: Mutex::default(), handle, end })
    }

    /// Makes the wanted set the asked set. Cameras that are in both, with equal settings, do not notice.
    pub(crate) fn apply(&self, cameras: &[(Camera, Option<Credentials>)]) {
        let wanted: BTreeMap<CameraId, Plan> = cameras
            .iter()
            .filter(|(camera, _)| camera.enabled)
            .filter_map(|(camera, credentials)| {
                Some((camera.id, Plan { address: camera.onvif.clone()?, credentials: credentials.clone() }))
            })
            .collect();
        let mut tasks = lock(&self.tasks);
        tasks.retain(|id, task| {
            let stays = wanted.get(id) == Some(&task.plan);
            if !stays {
                task.stop.cancel();
                lock(&self.shared.status).remove(id);
            }
            stays
        });
        for (id, plan) in wanted {
            tasks.entry(id).or_insert_with(|| {
                let stop = self.end.child_token();
                let handle = self.handle.spawn(run(id, plan.clone(), Arc::clone(&self.shared), stop.clone()));
                Task { plan, stop, handle }
            });
        }
    }

    /// How the pull points do, by camera.
    pub(crate) fn status(&self) -> Vec<PullStatus> {
        lock(&self.shared.status).values().copied().collect()
    }

    /// Says farewell to every camera, so that its subscriptions are free for who comes next, and ends the thread; within 3 s.
    pub(crate) async fn drain(&self) {
        let tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.values().for_each(|task| task.stop.cancel());
        let ended = async {
            for task in tasks.into_values() {
                if task.handle.await.is_err() {
                    tracing::error!("a camera's pull point ended by a defect");
                }
            }
        };
        if tokio::time::timeout(FAREWELL + Duration::from_secs(1), ended).await.is_err() {
            tracing::warn!(
                "not every camera's pull point was given back in time; cameras free them by themselves after two minutes"
            );
        }
        self.end.cancel();
    }
}

impl Drop for PullPoints {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run(camera: CameraId, plan: Plan, shared: Arc<Shared>, stop: CancellationToken) {
    let spread = f64::from(camera.number().wrapping_mul(2_654_435_761) >> 16 & 0xffff) / 65_536.0;
    let mut core = Core::new(Instant::now(), spread);
    let mut point = Point { camera, plan, shared, line: None, events: Place::default(), subscription: Place::default() };
    point.show(false, None, None);
    loop {
        let work = async {
            match core.next(Instant::now()) {
                Err(until) => tokio::time::sleep_until(until.into()).await,
                Ok(ask) => {
                    let answer = point.ask(ask).await;
                    core.heard(answer, Instant::now());
                    point.told(ask, answer, core.is_subscribed());
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = work => {}
        }
    }
    if core.is_subscribed()
        && let Some(line) = &mut point.line
    {
        // What a camera says to a farewell is not our concern.
        let _ = tokio::time::timeout(FAREWELL, line.ask(Question::Unsubscribe, &point.subscription)).await;
    }
}

/// One camera's pull point, as far as it is known.
struct Point {
    camera: CameraId,
    plan: Plan,
    shared: Arc<Shared>,
    line: Option<Line>,
    events: Place,
    subscription: Place,
}

impl Point {
    async fn ask(&mut self, ask: Ask) -> Answer {
        if ask == Ask::Clock {
            return self.begin().await;
        }
        let Some(line) = &mut self.line else { return Answer::Failed };
        let (question, place) = match ask {
            Ask::Clock => (Question::Clock, line.home()),
            Ask::Find => (Question::Capabilities, line.home()),
            Ask::Subscribe => (Question::Subscribe(TERM), self.events.clone()),
            Ask::Synchronise => (Question::Synchronise, self.subscription.clone()),
            Ask::Renew => (Question::Renew(TERM), self.subscription.clone()),
            Ask::Pull(wait) => (Question::Pull(wait, AT_ONCE), self.subscription.clone()),
        };
        let answered = match line.ask(question, &place).await {
            Ok(answered) => answered,
            Err(failure) => {
                tracing::debug!(camera = %self.camera, ?ask, ?failure, "the camera's pull point");
                return answer(&failure);
            }
        };
        match ask {
            Ask::Find => match answered.reply.events {
                Some(events) => self.events = Place::at(&events),
                None => return Answer::NoEvents,
            },
            Ask::Subscribe => match answered.reply.subscription {
                Some(subscription) => self.subscription = subscription,
                None => return Answer::Failed,
            },
            Ask::Pull(_) => {
                let stream = StreamId::new(self.camera, StreamKind::Main);
                (self.shared.told)(stream, UtcMicros::now(), answered.text.as_bytes());
            }
            Ask::Clock | Ask::Synchronise | Ask::Renew => {}
        }
        Answer::Good { states: answered.states }
    }

    /// Finds the camera anew, and what time it has.
    async fn begin(&mut self) -> Answer {
        self.line = None;
        let Ok(home) = self.shared.allow.pin_device(&self.plan.address).await else {
            self.show(false, Some(PullTrouble::Address), None);
            return Answer::Failed;
        };
        let Ok(mut line) = Line::new(home, PULL, self.plan.credentials.clone()) else { return Answer::Failed };
        let home = line.home();
        let outcome = match line.ask(Question::Clock, &home).await {
            Ok(answered) => {
                let ahead = answered.reply.clock_s.map(|at| at - UtcMicros::now().as_micros() / 1_000_000);
                line.ahead_s = ahead.unwrap_or(0);
                if let Some(status) = lock(&self.shared.status).get_mut(&self.camera) {
                    status.clock_ahead_s = ahead;
                }
                Answer::Good { states: 0 }
            }
            // A camera that tells the time only to who signs in: without the help, then.
            Err(Failure::Unauthorised) => Answer::Fault,
            Err(failure) => answer(&failure),
        };
        self.line = Some(line);
        outcome
    }

    /// Keeps the status true after an answer.
    fn told(&self, ask: Ask, answer: Answer, subscribed: bool) {
        let trouble = match answer {
            Answer::Good { .. } => None,
            Answer::Fault => Some(PullTrouble::Refused),
            Answer::Cut | Answer::Failed => Some(PullTrouble::NoAnswer),
            Answer::Unauthorised => Some(PullTrouble::Unauthorised),
            Answer::NoEvents => Some(PullTrouble::NoEvents),
        };
        match (ask, answer) {
            // Only what was pulled shows that the camera hears for us.
            (Ask::Pull(_), Answer::Good { .. }) => self.show(true, None, None),
            _ if subscribed => {}
            (_, Answer::Good { .. }) => {}
            _ => self.show(false, trouble, None),
        }
    }

    fn show(&self, subscribed: bool, trouble: Option<PullTrouble>, clock_ahead_s: Option<i64>) {
        let mut status = lock(&self.shared.status);
        let before = status.get(&self.camera).copied();
        let since = before.filter(|before| before.subscribed == subscribed).map_or_else(UtcMicros::now, |before| before.since);
        // An address that is refused is not "no answer" a moment later.
        let trouble = match (before.and_then(|before| before.trouble), trouble) {
            (Some(PullTrouble::Address), Some(PullTrouble::NoAnswer)) => Some(PullTrouble::Address),
            (_, trouble) => trouble,
        };
        if before.is_some_and(|before| before.subscribed != subscribed) {
            tracing::info!(camera = %self.camera, subscribed, ?trouble, "the camera's pull point");
        }
        let clock_ahead_s = clock_ahead_s.or(before.and_then(|before| before.clock_ahead_s));
        status.insert(self.camera, PullStatus { camera: self.camera, subscribed, since, trouble, clock_ahead_s });
    }
}

fn answer(failure: &Failure) -> Answer {
    match failure {
        Failure::Fault(words) if words.contains("ActionNotSupported") => Answer::NoEvents,
        Failure::Fault(_) => Answer::Fault,
        Failure::Unauthorised => Answer::Unauthorised,
        Failure::Cut => Answer::Cut,
        Failure::NoAnswer => Answer::Failed,
    }
}
