//! `/api/v1/media`: every live picture of one window, over one WebSocket.
//!
//! Text messages steer, binary messages carry units (see [`crate::media_frame`]):
//!
//! ```text
//! page → node  {"op":"sub","ch":1,"camera":1042,"tier":"key"|"sub"|"main"}   {"op":"unsub","ch":1}   {"op":"credit","ch":1,"seq":99}
//! node → page  {"op":"state","ch":1,"word":"playing"|"ended"|"lost"|"waiting"}   {"op":"error","ch":1,"code":"…","state":{"zh":"…","en":"…"}}
//! ```
//! Tier `key` is the key units of the sub-stream, or of the main stream where there is none; `sub` falls back likewise.
//! On `sub` the newest GOP comes at once. Each subscription is one access with its own record, which ends with it.
//!
//! Nobody waits for a slow viewer: units wait in a bounded queue for each channel, and when it is full the channel goes on
//! at the next key unit, after a gap frame. A page that reports credit says how far it has drawn; more than
//! [`CREDIT_WINDOW`] units beyond that are not sent either.

mod channel;

use self::channel::{Channel, Step};
use crate::{
    authority::Authority,
    headers::check_origin,
    link::down::{LineState, Watching},
    refusal::{Refusal, words},
    routes::asked,
};
use axum::{
    extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
    http::{HeaderMap, StatusCode, Uri, header},
    response::Response,
};
use futures::{
    FutureExt, SinkExt, StreamExt,
    future::BoxFuture,
    stream::{BoxStream, FuturesUnordered, SelectAll, SplitSink},
};
use index::{
    access::{Action, Extent, Permit},
    model::{CameraId, StreamId, StreamKind, UtcMicros},
};
use ingest::{LiveItem, LiveSubscription, LiveTier};
use serde::Deserialize;
use std::{collections::HashMap, sync::atomic::Ordering, time::Duration};
use tokio_util::sync::CancellationToken;

/// Channels of one socket.
const MAX_CHANNELS: usize = 64;
/// Bytes of one control message.
const MAX_CONTROL: usize = 4096;
/// A page that takes nothing for that long is gone.
const SEND_PATIENCE: Duration = Duration::from_secs(10);
/// How often a silent page is asked whether it is there; after two silences it is not.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Units written before the socket is flushed: one system call for a burst.
const BURST: usize = 32;
/// Units sent beyond the last one that the page reported drawn.
pub(super) const CREDIT_WINDOW: u32 = 100;

/// What a page asks.
#[derive(Deserialize, Debug)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
enum Control {
    Sub { ch: u16, camera: CameraId, tier: Tier },
    Unsub { ch: u16 },
    Credit { ch: u16, seq: u32 },
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
enum Tier {
    Key,
    Sub,
    Main,
}

/// Opens the window's live socket.
#[utoipa::path(get, path = "/api/v1/media",
    responses((status = 101, description = "the socket; its messages are described in the code"), (status = 403, body = Refusal)))]
pub(super) async fn media(
    authority: Authority,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).or_else(|| uri.authority().map(|a| a.as_str()));
    check_origin(&headers, host)?;
    authority.purpose()?;
    let upgrade = upgrade.map_err(|_| {
        Refusal::new(
            StatusCode::UPGRADE_REQUIRED,
            "websocket_only",
            words("该地址只接受 WebSocket", "This address is a WebSocket"),
            words("请以 WebSocket 连接", "Connect with a WebSocket"),
        )
    })?;
    Ok(upgrade
        .max_message_size(MAX_CONTROL)
        .max_frame_size(MAX_CONTROL)
        .on_upgrade(move |socket| Session::new(authority).run(socket)))
}

type Items = SelectAll<BoxStream<'static, (u16, LiveItem)>>;
type Admission = BoxFuture<'static, (u16, CancellationToken, Result<Admitted, Refusal>)>;

/// Somebody who may watch a stream now, and at a centre what has it come from its room.
struct Admitted {
    permit: Permit,
    stream: StreamId,
    tier: LiveTier,
    watching: Option<Watching>,
}

/// One window's socket.
struct Session {
    authority: Authority,
    channels: HashMap<u16, Channel>,
    /// Subscriptions whose access record is being written, and what withdraws them.
    pending: HashMap<u16, CancellationToken>,
    admissions: FuturesUnordered<Admission>,
    items: Items,
    /// How the streams of rooms below come, as it changes.
    lines: SelectAll<BoxStream<'static, (u16, LineState)>>,
}

/// Why a socket ends.
enum End {
    /// The page left, or the connection broke.
    Gone,
    /// With a close code and a word.
    Closed(u16, &'static str),
}

type Out = SplitSink<WebSocket, Message>;

impl Session {
    fn new(authority: Authority) -> Self {
        authority.node().figures.sockets.fetch_add(1, Ordering::Relaxed);
        Self {
            authority,
            channels: HashMap::new(),
            pending: HashMap::new(),
            admissions: FuturesUnordered::new(),
            items: SelectAll::new(),
            lines: SelectAll::new(),
        }
    }

    async fn run(mut self, socket: WebSocket) {
        let Ok(ended) = self.authority.login().map(|login| login.ended.clone()) else { return };
        let (mut out, mut incoming) = socket.split();
        let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
        let mut silences = 0;
        let mut cameras_changed = self.authority.node().cameras_changed.subscribe();
        let end = loop {
            let done = tokio::select! {
                biased;
                () = ended.cancelled() => Err(End::Closed(4401, "signed_out")),
                message = incoming.next() => {
                    silences = 0;
                    self.hear(message, &mut out).await
                }
                Ok(()) = cameras_changed.changed() => self.ask_again(&mut out).await,
                Some(admitted) = self.admissions.next() => self.admitted(admitted, &mut out).await,
                Some((ch, line)) = self.lines.next() => self.line(ch, line, &mut out).await,
                Some(item) = self.items.next() => self.burst(item, &mut out).await,
                _ = ping.tick() => {
                    silences += 1;
                    if silences > 2 { Err(End::Gone) } else { send(&mut out, Message::Ping(bytes::Bytes::new())).await }
                }
            };
            if let Err(end) = done {
                break end;
            }
        };
        if let End::Closed(code, reason) = end {
            let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
            let _ = send(&mut out, Message::Close(Some(frame))).await;
        }
    }

    async fn hear(&mut self, message: Option<Result<Message, axum::Error>>, out: &mut Out) -> Result<(), End> {
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Binary(_))) => return Err(End::Closed(1003, "text only")),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(End::Gone),
        };
        let Ok(control) = serde_json::from_str(&text) else { return Err(End::Closed(1008, "not a control message")) };
        match control {
            Control::Sub { ch, camera, tier } => {
                self.drop_channel(ch);
                if self.channels.len() + self.pending.len() >= MAX_CHANNELS {
                    return refuse(out, ch, &Refusal::busy()).await;
                }
                let withdrawn = CancellationToken::new();
                self.pending.insert(ch, withdrawn.clone());
                let authority = self.authority.clone();
                self.admissions.push(async move { (ch, withdrawn, admit(&authority, camera, tier).await) }.boxed());
                Ok(())
            }
            Control::Unsub { ch } => {
                self.drop_channel(ch);
                Ok(())
            }
            Control::Credit { ch, seq } => {
                if let Some(channel) = self.channels.get_mut(&ch) {
                    channel.credit(seq);
                }
                Ok(())
            }
        }
    }

    /// The access record is durable, or there is none: only now may the stream be opened (I8).
    async fn admitted(
        &mut self,
        (ch, withdrawn, result): (u16, CancellationToken, Result<Admitted, Refusal>),
        out: &mut Out,
    ) -> Result<(), End> {
        if withdrawn.is_cancelled() {
            return Ok(());
        }
        self.pending.remove(&ch);
        let Admitted { permit, stream, tier, watching } = match result {
            Ok(admitted) => admitted,
            Err(refusal) => return refuse(out, ch, &refusal).await,
        };
        let node = self.authority.node();
        let subscription = match node.ingest.live().subscribe(&permit, stream, tier) {
            Ok(subscription) => subscription,
            Err(error) => {
                tracing::info!(%error, "no live stream");
                return refuse(out, ch, &Refusal::not_found("实时画面", "live stream")).await;
            }
        };
        let lines = watching.as_ref().map(Watching::states);
        let channel = Channel::new(stream.camera, permit, watching);
        if let Some(lines) = lines {
            let lines = changes(lines).map(move |line| (ch, line)).take_until(channel.ended().cancelled_owned());
            self.lines.push(lines.boxed());
        }
        self.items.push(items(ch, subscription, channel.ended()));
        node.figures.channels.fetch_add(1, Ordering::Relaxed);
        self.channels.insert(ch, channel);
        Ok(())
    }

    /// Cameras changed: ends the channels whose camera is no longer there, or no longer within this person's rights. What changes a
    /// person's own rights ends the login, and the socket with it.
    async fn ask_again(&mut self, out: &mut Out) -> Result<(), End> {
        let node = self.authority.node().clone();
        let known = |id| if node.below.is_some() { node.camera_ever(id) } else { node.camera(id) };
        let may = |id| known(id).is_some_and(|camera| self.authority.grant(Action::Live, &[&camera], None).is_ok());
        let over: Vec<u16> = self.channels.iter().filter(|(_, channel)| !may(channel.camera())).map(|(ch, _)| *ch).collect();
        for ch in over {
            self.drop_channel(ch);
            send(out, state(ch, "ended")).await?;
        }
        Ok(())
    }

    /// Says how a stream of a room below comes: a picture that stands still must not look live.
    async fn line(&mut self, ch: u16, line: LineState, out: &mut Out) -> Result<(), End> {
        if !self.channels.contains_key(&ch) {
            return Ok(());
        }
        let message = match line {
            LineState::Coming => state(ch, "playing"),
            LineState::Waiting => state(ch, "waiting"),
            LineState::Lost(since) => {
                let text = serde_json::json!({ "op": "state", "ch": ch, "word": "lost", "since_us": since.as_micros() });
                Message::Text(text.to_string().into())
            }
        };
        send(out, message).await
    }

    fn drop_channel(&mut self, ch: u16) {
        if let Some(withdrawn) = self.pending.remove(&ch) {
            withdrawn.cancel();
        }
        if self.channels.remove(&ch).is_some() {
            self.authority.node().figures.channels.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Writes an item and those that wait behind it, then flushes once.
    async fn burst(&mut self, first: (u16, LiveItem), out: &mut Out) -> Result<(), End> {
        let mut next = Some(first);
        for _ in 0..BURST {
            let Some((ch, item)) = next else { break };
            self.item(ch, item, out).await?;
            next = self.items.next().now_or_never().flatten();
        }
        if let Some((ch, item)) = next {
            self.item(ch, item, out).await?;
        }
        timed(out.flush()).await
    }

    async fn item(&mut self, ch: u16, item: LiveItem, out: &mut Out) -> Result<(), End> {
        let Some(channel) = self.channels.get_mut(&ch) else { return Ok(()) };
        let figures = &self.authority.node().figures;
        let now = UtcMicros::now();
        match channel.step(ch, item, now) {
            Step::Nothing => Ok(()),
            Step::Frame(frame) => timed(out.feed(Message::Binary(frame))).await,
            Step::Gap(frame) => {
                figures.live_gaps.fetch_add(1, Ordering::Relaxed);
                timed(out.feed(Message::Binary(frame))).await
            }
            Step::Unit { frame, received, first } => {
                if channel.is_fresh(received) {
                    figures.live_age.add(now.since(received));
                }
                if first {
                    timed(out.feed(state(ch, "playing"))).await?;
                }
                figures.live_units.fetch_add(1, Ordering::Relaxed);
                figures.media_bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
                timed(out.feed(Message::Binary(frame))).await
            }
            Step::Ended => {
                self.drop_channel(ch);
                timed(out.feed(state(ch, "ended"))).await
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let figures = &self.authority.node().figures;
        figures.sockets.fetch_sub(1, Ordering::Relaxed);
        figures.channels.fetch_sub(self.channels.len() as u64, Ordering::Relaxed);
    }
}

async fn admit(authority: &Authority, id: CameraId, tier: Tier) -> Result<Admitted, Refusal> {
    let node = authority.node();
    let camera = match &node.below {
        None => node.camera(id),
        Some(below) => {
            below.places.learn(&[id]).await;
            node.camera_ever(id)
        }
    };
    let camera = camera.ok_or_else(|| Refusal::not_found("该摄像机", "camera"))?;
    let kind = if tier == Tier::Main || camera.sub.is_none() { StreamKind::Main } else { StreamKind::Sub };
    let stream = StreamId::new(id, kind);
    let permit = authority.admit(Action::Live, Extent::live([stream]), authority.purpose()?).await?;
    let tier = if tier == Tier::Key { LiveTier::Key } else { LiveTier::Full };
    let watching = match &node.below {
        None => None,
        Some(_) => Some(asked::watch(authority, stream, tier).await?),
    };
    Ok(Admitted { permit, stream, tier, watching })
}

/// What changes, as a stream: how it is now if that is not what everybody expects, then each change.
fn changes(states: tokio::sync::watch::Receiver<LineState>) -> impl futures::Stream<Item = LineState> + Send {
    futures::stream::unfold((states, true), |(mut states, first)| async move {
        if first {
            let now = *states.borrow_and_update();
            if now != LineState::Coming {
                return Some((now, (states, false)));
            }
        }
        states.changed().await.ok()?;
        let now = *states.borrow_and_update();
        Some((now, (states, false)))
    })
}

/// A subscription as a stream that ends when its channel goes.
fn items(ch: u16, subscription: LiveSubscription, ended: CancellationToken) -> BoxStream<'static, (u16, LiveItem)> {
    futures::stream::unfold((subscription, false), move |(mut subscription, over)| async move {
        if over {
            return None;
        }
        let item = subscription.next().await;
        let over = matches!(item, LiveItem::Ended);
        Some(((ch, item), (subscription, over)))
    })
    .take_until(ended.cancelled_owned())
    .boxed()
}

fn state(ch: u16, word: &str) -> Message {
    Message::Text(serde_json::json!({ "op": "state", "ch": ch, "word": word }).to_string().into())
}

async fn refuse(out: &mut Out, ch: u16, refusal: &Refusal) -> Result<(), End> {
    let said = refusal.said();
    let text = serde_json::json!({ "op": "error", "ch": ch, "code": said.code, "state": said.state });
    send(out, Message::Text(text.to_string().into())).await
}

async fn send(out: &mut Out, message: Message) -> Result<(), End> {
    timed(out.send(message)).await
}

async fn timed(sending: impl Future<Output = Result<(), axum::Error>>) -> Result<(), End> {
    match tokio::time::timeout(SEND_PATIENCE, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Gone),
    }
}
