//! `/api/v1/feed`: events as they happen, over a WebSocket.
//!
//! The feed reads the journal, not a queue: a page that was away says the last number it saw and gets everything since, in
//! order, each once. Whoever is slow is behind and catches up; nothing is dropped and nothing is kept in memory for them.
//! Rights are looked at anew for every batch.
//!
//! node → page: `{"hello":{"tail":12}}` first, then `{"seq":13,"event":{…}}` for each event and `{"seen":20}` after records
//! that are none of the page's business, so that it resumes behind them. `{"alarms":[…],"all":true}` are the alarms as they now are: all of
//! them at first, then those that changed. `{"incidents":[…]}` are incidents that changed.

use super::super::{
    alarms::{AlarmBody, reaches},
    incidents,
};
use super::{EventBody, reach};
use crate::{
    authority::Authority,
    headers::check_origin,
    refusal::{Refusal, words},
};
use axum::{
    extract::{
        Query,
        ws::{Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode, Uri, header},
    response::Response,
};
use index::{
    events::{Kept, Reach},
    journal::Seq,
    model::{UtcMicros, Window},
};
use serde::Deserialize;
use serde_json::json;
use std::{ops::ControlFlow, time::Duration};
use utoipa::IntoParams;

/// What the register calls following it.
const FEED: &str = "feed";
/// Records looked at in one go.
const BATCH: u64 = 2_000;
/// Events sent in one go.
const EVENTS: usize = 200;
/// A page that takes nothing for so long is gone.
const SEND_PATIENCE: Duration = Duration::from_secs(10);
/// How often a silent feed says that it is there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Bytes of a message from the page, which has nothing to say.
const MAX_MESSAGE: usize = 1024;

/// Where to begin.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct FeedQuery {
    /// The last number that was seen; from now on if left out.
    after: Option<u64>,
}

/// Opens the feed.
#[utoipa::path(get, path = "/api/v1/feed", params(FeedQuery),
    responses((status = 101, description = "the socket; its messages are described in the code"), (status = 403, body = Refusal)))]
pub(in super::super) async fn feed(
    authority: Authority,
    Query(query): Query<FeedQuery>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
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
    let tail = authority.node().journal.tail();
    // A number from the future is another journal's.
    let after = query.after.map(Seq::new).filter(|after| *after <= tail).unwrap_or(tail);
    let now = UtcMicros::now();
    // Whoever loads the page again follows the same feed; who resumes it sees what came meanwhile.
    let question = if after == tail { FEED.to_owned() } else { format!("{FEED} after={after}") };
    authority.note_search(Window::new(now, UtcMicros::MAX), question).await?;
    Ok(upgrade.max_message_size(MAX_MESSAGE).on_upgrade(move |socket| run(authority, after, socket)))
}

async fn run(authority: Authority, mut after: Seq, mut socket: WebSocket) {
    let Ok(ended) = authority.login().map(|login| login.ended.clone()) else { return };
    let mut commits = authority.node().commits.clone();
    let hello = json!({ "hello": { "tail": authority.node().journal.tail(), "after": after } });
    if !send(&mut socket, hello.to_string()).await {
        return;
    }
    let mut revisions = authority.node().alarm_revisions.clone();
    let mut revision = None;
    let mut cases = authority.node().incident_revisions.clone();
    let mut case_revision = None;
    let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        commits.mark_unchanged();
        match deliver(&authority, &mut after, &mut socket).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(()) => return,
        }
        revisions.mark_unchanged();
        if deliver_alarms(&authority, &mut revision, &mut socket).await.is_err() {
            return;
        }
        cases.mark_unchanged();
        if deliver_incidents(&authority, &mut case_revision, &mut socket).await.is_err() {
            return;
        }
        tokio::select! {
            () = ended.cancelled() => return,
            changed = cases.changed() => if changed.is_err() { return },
            changed = revisions.changed() => if changed.is_err() { return },
            changed = commits.changed() => if changed.is_err() { return },
            _ = ping.tick() => if tokio::time::timeout(SEND_PATIENCE, socket.send(Message::Ping(Default::default()))).await.is_err() { return },
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}

/// Sends what stands after `after`, one batch; whether there may be more. `Err` when the feed is over.
async fn deliver(authority: &Authority, after: &mut Seq, socket: &mut WebSocket) -> Result<bool, ()> {
    let node = authority.node().clone();
    // The rights of now, not those of when the feed was opened.
    let authority = authority.renewed().map_err(drop)?;
    let reach = reach(&authority).map_err(drop)?;
    let from = *after;
    let (events, seen) = node.blocking(move |node| batch(node, from, &reach)).await.map_err(drop)?;
    let silent = events.is_empty() && seen > *after;
    for kept in events {
        let text = json!({ "seq": kept.seq, "event": EventBody::from(kept) }).to_string();
        if !send(socket, text).await {
            return Err(());
        }
    }
    if silent && !send(socket, json!({ "seen": seen }).to_string()).await {
        return Err(());
    }
    let more = seen > *after;
    *after = seen;
    Ok(more)
}

/// Sends the alarms that changed since a revision; those in reach by the rights of now. `Err` when the feed is over.
async fn deliver_alarms(authority: &Authority, revision: &mut Option<u64>, socket: &mut WebSocket) -> Result<(), ()> {
    let first = revision.is_none();
    if Some(authority.node().alarms.state().revision()) == *revision {
        return Ok(());
    }
    let reach = reach(&authority.renewed().map_err(drop)?).map_err(drop)?;
    let bodies: Vec<AlarmBody> = {
        let state = authority.node().alarms.state();
        let changed =
            state.alarms_since(revision.unwrap_or(0)).filter(|alarm| reaches(&reach, alarm.camera)).map(AlarmBody::of).collect();
        *revision = Some(state.revision());
        changed
    };
    if (first || !bodies.is_empty()) && !send(socket, json!({ "alarms": bodies, "all": first }).to_string()).await {
        return Err(());
    }
    Ok(())
}

/// Sends the incidents that changed since a revision, none at first: whoever wants all asks for the queue. `Err` when the feed is over.
async fn deliver_incidents(authority: &Authority, revision: &mut Option<u64>, socket: &mut WebSocket) -> Result<(), ()> {
    let now = authority.node().incidents.casebook().book().revision();
    let Some(seen) = revision.replace(now).filter(|seen| *seen < now) else { return Ok(()) };
    let authority = authority.renewed().map_err(drop)?;
    let (reach, person) = (reach(&authority).map_err(drop)?, authority.person().map_err(drop)?.clone());
    let (bodies, now) = incidents::changed(authority.node(), &person, &reach, seen);
    *revision = Some(now);
    if !bodies.is_empty() && !send(socket, json!({ "incidents": bodies }).to_string()).await {
        return Err(());
    }
    Ok(())
}

/// The next events in reach, and up to where the journal was looked at.
fn batch(node: &crate::node::Node, after: Seq, reach: &Reach) -> (Vec<Kept>, Seq) {
    let (mut events, mut seen) = (Vec::new(), after);
    let to = Seq::new(after.get() + BATCH);
    let read = node.journal.visit(after.next(), to, |record| {
        seen = record.seq;
        events.extend(Kept::read_within(reach, node.id, record.seq, record.at, record.kind, record.body));
        if events.len() >= EVENTS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if let Err(error) = read {
        tracing::error!(%error, "the journal does not read back for the feed of events");
    }
    (events, seen)
}

async fn send(socket: &mut WebSocket, text: String) -> bool {
    let sent = tokio::time::timeout(SEND_PATIENCE, socket.send(Message::Text(text.into()))).await;
    matches!(sent, Ok(Ok(())))
}
