//! `/api/v1/hooks`: what web hooks could not deliver and laid aside, and what a person does about it.

use crate::{
    authority::Authority,
    hooks::{Aside, AsideError},
    node::{Shared, actor},
    refusal::{Refusal, Words, words},
};
use axum::{Json, extract::Path, http::StatusCode};
use index::{journal::Seq, model::UtcMicros};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// All hooks.
#[derive(Serialize, ToSchema)]
pub(super) struct HooksBody {
    hooks: Vec<HookBody>,
}

/// One hook.
#[derive(Serialize, ToSchema)]
struct HookBody {
    name: String,
    /// Messages that the receiver took, since ever.
    taken: u64,
    /// Why the newest attempt failed; `null` when it did not.
    failing: Option<String>,
    /// Messages that were laid aside, oldest first; the newest thousand.
    aside: Vec<AsideBody>,
    /// Messages that were laid aside and had to leave that list for newer ones, since ever: each is a `hook.failed` event.
    left: u64,
}

/// A message that was laid aside.
#[derive(Serialize, ToSchema)]
struct AsideBody {
    /// Its number in the journal.
    seq: u64,
    /// Since when it lies there; `null` if an earlier version laid it aside.
    since_us: Option<i64>,
    /// How often it was sent.
    attempts: u32,
    why: Words,
    /// `alarm.raised` or `alarm.acknowledged`; `null` if the journal has it no more.
    kind: Option<String>,
    /// What it said of the alarm.
    #[schema(value_type = Value)]
    alarm: Value,
}

/// What was not delivered.
#[utoipa::path(get, path = "/api/v1/hooks", responses((status = 200, body = HooksBody), (status = 403, body = Refusal)))]
pub(super) async fn list(authority: Authority) -> Result<Json<HooksBody>, Refusal> {
    let hooks = authority.node().reads.run({
        let node = authority.node().clone();
        move || node.hooks.states().into_iter().map(|(name, state)| body(&node, name, state)).collect()
    });
    Ok(Json(HooksBody { hooks: hooks.await? }))
}

fn body(node: &Shared, name: String, state: crate::hooks::HookState) -> HookBody {
    let aside = state.aside.iter().map(|aside| {
        let (kind, alarm) = node.hooks.said(&name, aside.seq).unzip();
        AsideBody {
            seq: aside.seq.get(),
            since_us: aside.since.map(UtcMicros::as_micros),
            attempts: aside.attempts,
            why: why(aside),
            kind,
            alarm: alarm.unwrap_or_default(),
        }
    });
    HookBody { aside: aside.collect(), left: state.left, taken: state.taken, failing: state.failing, name }
}

fn why(aside: &Aside) -> Words {
    match aside.status {
        Some(status) => words(format!("接收方答复状态 {status}"), format!("The receiver answered with status {status}")),
        None if aside.attempts == 0 => words("原因未记录", "Why was not kept"),
        None => words("接收方无应答", "The receiver did not answer"),
    }
}

/// Sends a message once more, at once. It is laid aside no longer if the receiver takes it.
#[utoipa::path(post, path = "/api/v1/hooks/{hook}/messages/{seq}/send", params(("hook" = String, Path), ("seq" = u64, Path)),
    responses((status = 204), (status = 404, body = Refusal), (status = 502, body = Refusal)))]
pub(super) async fn send(authority: Authority, Path((hook, seq)): Path<(String, String)>) -> Result<StatusCode, Refusal> {
    let by = actor(authority.person()?, authority.from());
    authority.node().hooks.send_again(&by, &hook, number(&seq)?).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a message up.
#[utoipa::path(post, path = "/api/v1/hooks/{hook}/messages/{seq}/discard", params(("hook" = String, Path), ("seq" = u64, Path)),
    responses((status = 204), (status = 404, body = Refusal)))]
pub(super) async fn discard(authority: Authority, Path((hook, seq)): Path<(String, String)>) -> Result<StatusCode, Refusal> {
    let by = actor(authority.person()?, authority.from());
    authority.node().hooks.discard(&by, &hook, number(&seq)?).await.map_err(refused)?;
    Ok(StatusCode::NO_CONTENT)
}

fn number(text: &str) -> Result<Seq, Refusal> {
    text.parse().map(Seq::new).map_err(|_| refused(AsideError::Unknown))
}

fn refused(error: AsideError) -> Refusal {
    match error {
        AsideError::Unknown => Refusal::not_found("该未送达消息", "message laid aside"),
        AsideError::Journal => Refusal::failed("write into the journal", &"it takes nothing"),
        AsideError::NotTaken(status) => {
            let (zh, en) = match status {
                Some(status) => (format!("答复状态 {status}"), format!("it answered with status {status}")),
                None => ("无应答".to_owned(), "it did not answer".to_owned()),
            };
            Refusal::new(
                StatusCode::BAD_GATEWAY,
                "hook_not_taken",
                words(
                    format!("接收方仍未接收（{zh}），消息保留"),
                    format!("The receiver did not take it ({en}); the message stays here"),
                ),
                words("请先检查接收系统，再重发", "Look at the receiving system first, then send it again"),
            )
        }
    }
}
