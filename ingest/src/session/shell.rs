//! Drives one session: owns the socket, the alarm and the clock, and decides nothing.

use super::{
    core::{Action, Choice, Input, Session, State},
    fault::Fault,
    libav, native,
    recorder::Recorder,
    retina,
    source::{self, Item, Source, Target},
};
use crate::{
    StreamState,
    assemble::Terms,
    lane::Lane,
    live::Channel,
    status::Shared,
    supervisor::{Plan, Room},
};
use ::retina::client::SessionGroup;
use futures::future::BoxFuture;
use index::model::{Driver, GapCause, StreamId, UtcMicros};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// Everything one stream's task needs.
pub(crate) struct StreamTask {
    pub(crate) stream: StreamId,
    pub(crate) plan: Plan,
    pub(crate) room: Arc<Room>,
    pub(crate) channel: Arc<Channel>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) lane: Arc<Lane>,
    pub(crate) group: Arc<SessionGroup>,
    pub(crate) stop: CancellationToken,
}

/// The way to the camera.
enum Link {
    Idle,
    Opening(BoxFuture<'static, Result<Box<dyn Source>, Fault>>),
    Open(Box<dyn Source>),
}

/// What the shell keeps while it runs.
struct Shell {
    task: StreamTask,
    recorder: Recorder,
    session: Session,
    link: Link,
    alarm: Pin<Box<Sleep>>,
    /// Where the last session's recording ended, if it recorded anything.
    ended: Option<UtcMicros>,
    /// Announcements already passed on to the session.
    announced: u64,
}

/// Records one stream until it is told to stop. Returns where its recording ends, if the last session recorded anything.
pub(crate) async fn run(task: StreamTask) -> Option<UtcMicros> {
    let plan = &task.plan;
    let terms = Terms { stream: task.stream, retention: plan.retention, priority: plan.priority };
    let choice = match plan.driver {
        Some(driver) => Choice::Fixed(driver),
        None => Choice::Probe(task.room.memory.remembered(task.stream.camera)),
    };
    let seed = u64::from(task.stream.to_raw()) << 32 ^ UtcMicros::now().as_micros().cast_unsigned();
    let recorder = Recorder::new(Arc::clone(&task.room), terms, Arc::clone(&task.channel), Arc::clone(&task.shared));
    let mut shell = Shell {
        session: Session::new(choice, seed, Instant::now()),
        recorder,
        link: Link::Idle,
        alarm: Box::pin(tokio::time::sleep_until(Instant::now().into())),
        ended: None,
        announced: task.shared.announcements(),
        task,
    };
    shell.drive().await;
    shell.link = Link::Idle;
    shell.recorder.finish()
}

impl Shell {
    async fn drive(&mut self) {
        let stop = self.task.stop.clone();
        let mut items = Vec::new();
        self.give(Input::Tick);
        loop {
            let input = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                input = self.link.next(&mut items) => match input {
                    Event::Opened(source) => {
                        self.link = Link::Open(source);
                        self.recorder.begin_session();
                        Input::Opened
                    }
                    Event::Items => self.take(&mut items),
                    Event::Fault(fault) => {
                        // What came before the fault counts.
                        if !items.is_empty() {
                            let units = self.take(&mut items);
                            self.give(units);
                        }
                        Input::Fault(fault)
                    }
                },
                () = self.alarm.as_mut() => Input::Tick,
            };
            self.give(input);
        }
    }

    fn take(&mut self, items: &mut Vec<Item>) -> Input {
        let taken = self.recorder.take(items);
        // The ledger's announcements are looked at when units come: they need no wake-up of their own.
        let announced = self.task.shared.announcements();
        if announced != self.announced {
            self.announced = announced;
            let ours = self.recorder.began().zip(self.task.shared.recorded_to()).is_some_and(|(began, to)| to > began);
            if ours {
                self.give(Input::Stored);
            }
        }
        if taken.video { Input::Units { recordable: taken.recordable } } else { Input::Tick }
    }

    fn give(&mut self, input: Input) {
        let quiet = matches!(input, Input::Units { .. });
        for action in self.session.handle(input, Instant::now()) {
            self.perform(action);
        }
        if !quiet {
            self.show();
        }
    }

    fn perform(&mut self, action: Action) {
        let Shell { task, .. } = self;
        match action {
            Action::Open(driver) => {
                debug!(?driver, "dialling");
                task.shared.dialling(driver);
                self.link = Link::Opening(Box::pin(dial(driver, Dial::new(task))));
            }
            Action::Close => {
                self.link = Link::Idle;
                self.ended = self.recorder.end_session();
            }
            Action::WakeAt(at) => self.alarm.as_mut().reset(at.into()),
            Action::Mark(fault) => {
                let at = self.ended.unwrap_or_else(UtcMicros::now);
                warn!(error = %fault, "not recording");
                self.task.room.store.mark(self.task.stream, at, fault.cause(), &fault.to_string());
            }
            Action::Tell(event) => {
                info!(event = event.word(), "state changed");
                task.room.tell(task.stream, event);
            }
            Action::Remember(driver) => task.room.memory.remember(task.stream.camera, driver),
        }
    }

    fn show(&mut self) {
        let now = (Instant::now(), UtcMicros::now());
        let state = match self.session.state() {
            State::Waiting { cause: None, .. } | State::Opening { .. } => StreamState::Connecting,
            State::Playing(_) => StreamState::Playing,
            State::Waiting { until, cause: Some(cause) } => {
                StreamState::BackingOff { until: now.1 + until.saturating_duration_since(now.0), cause: *cause }
            }
        };
        let notice = self.session.trouble().map(Fault::notice);
        self.task.shared.show(state, notice, self.session.not_stored(), now.1);
    }
}

enum Event {
    Opened(Box<dyn Source>),
    Items,
    Fault(Fault),
}

impl Link {
    async fn next(&mut self, items: &mut Vec<Item>) -> Event {
        match self {
            Self::Idle => std::future::pending().await,
            Self::Opening(opening) => match opening.await {
                Ok(source) => Event::Opened(source),
                Err(fault) => Event::Fault(fault),
            },
            Self::Open(source) => match source::items(source.as_mut(), items).await {
                Ok(()) => Event::Items,
                Err(fault) => Event::Fault(fault),
            },
        }
    }
}

/// What dialling needs, apart from the task, so that the future owns it.
struct Dial {
    plan: Plan,
    room: Arc<Room>,
    group: Arc<SessionGroup>,
    lane: Arc<Lane>,
}

impl Dial {
    fn new(task: &StreamTask) -> Self {
        let StreamTask { plan, room, group, lane, .. } = task;
        Self { plan: plan.clone(), room: Arc::clone(room), group: Arc::clone(group), lane: Arc::clone(lane) }
    }
}

async fn dial(driver: Driver, dial: Dial) -> Result<Box<dyn Source>, Fault> {
    dial.room.pace.turn().await;
    let pinned = dial.room.allow.pin(&dial.plan.address).await?;
    let target = Target {
        url: pinned.url,
        credentials: dial.plan.credentials.clone(),
        transport: dial.plan.transport,
        audio: dial.plan.audio,
        metadata: dial.plan.metadata,
    };
    // Datagrams wait in a small kernel buffer: while any come, the lane takes short naps.
    let datagrams = (target.transport == index::model::Transport::Udp).then(|| Counted::new(&dial.lane.datagrams));
    match driver {
        Driver::Native => {
            let source = native::open(&target, pinned.socket, &dial.room.allow).await?;
            Ok(Box::new(With { source, _held: datagrams }))
        }
        Driver::Retina => {
            let source = retina::open(&target, dial.group).await?;
            Ok(Box::new(With { source, _held: datagrams }))
        }
        Driver::Libav => Ok(Box::new(libav::open(&target).await?)),
    }
}

/// Counted as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counter))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A source and what must be held as long as it is open.
struct With<S, H> {
    source: S,
    _held: H,
}

impl<S: Source, H: Send> Source for With<S, H> {
    fn poll_items(&mut self, cx: &mut std::task::Context<'_>, into: &mut Vec<Item>) -> std::task::Poll<Result<(), Fault>> {
        self.source.poll_items(cx, into)
    }
}

/// The gap that a stream leaves when its task is stopped.
pub(crate) fn mark_stopped(room: &Room, stream: StreamId, ended: Option<UtcMicros>, cause: GapCause, why: &str) {
    room.store.mark(stream, ended.unwrap_or_else(UtcMicros::now), cause, why);
}
