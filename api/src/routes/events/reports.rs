//! Events from outside: analytics boxes with a token, and operators' bookmarks.

use super::super::wire::json;
use crate::{
    authority::Authority,
    refusal::{Refusal, words},
    reports::{self, Batch, Door},
};
use axum::{Json, body::Bytes, http::StatusCode};
use index::{
    events::{Event, EventError, Kind, ReportError, Reported, Source as Origin, Text},
    model::{CameraId, UtcMicros},
};
use serde::{Deserialize, Serialize};
use std::time::Instant;
use utoipa::ToSchema;

/// What became of a batch's events, in order.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct Taken {
    accepted: Vec<reports::Taken>,
}

/// Takes a batch of events from an analytics box. What was kept is durable when the answer leaves.
#[utoipa::path(post, path = "/api/v1/events", request_body = Batch,
    responses((status = 200, body = Taken), (status = 400, body = Refusal), (status = 401, body = Refusal), (status = 429, body = Refusal)))]
pub(in super::super) async fn report(authority: Authority, body: Bytes) -> Result<Json<Taken>, Refusal> {
    let source = authority.source()?;
    let batch: Batch = json(&body)?;
    if batch.is_too_long() {
        return Err(Refusal::bad_request("a batch has at most 1,000 events").on("events"));
    }
    source.spend(batch.events.len(), Instant::now()).map_err(too_fast)?;
    let accepted = reports::take(authority.node(), &source, Door::Http, batch.events).await?;
    Ok(Json(Taken { accepted }))
}

fn too_fast(seconds: u64) -> Refusal {
    Refusal::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too_many_events",
        words("上报速率超过限额，本批未接收", "More events than this source may send; nothing of the batch was taken"),
        words("请稍后重发，或调高配置中的 rate_per_s", "Send it again later, or raise rate_per_s in the configuration"),
    )
    .after(seconds)
}

/// A moment that an operator marks.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct BookmarkBody {
    #[schema(value_type = u32)]
    camera: CameraId,
    time_us: i64,
    /// At most 500 characters.
    text: String,
}

/// The number of a new event.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct Numbered {
    id: String,
}

/// Marks a moment of a camera, to be found again.
#[utoipa::path(post, path = "/api/v1/bookmarks", request_body = BookmarkBody,
    responses((status = 201, body = Numbered), (status = 400, body = Refusal), (status = 404, body = Refusal)))]
pub(in super::super) async fn bookmark(authority: Authority, body: Bytes) -> Result<(StatusCode, Json<Numbered>), Refusal> {
    let mark: BookmarkBody = json(&body)?;
    let camera = authority.camera(mark.camera)?;
    if mark.text.trim().is_empty() {
        return Err(Refusal::bad_request("a bookmark says something").on("text"));
    }
    let event = Event {
        camera: Some(camera.id),
        name: camera.name,
        place: camera.place,
        text: Text { zh: mark.text, en: String::new() },
        source: Origin { name: authority.person()?.name.clone(), ..Origin::default() },
        ..Event::new(UtcMicros::from_micros(mark.time_us), Kind::Bookmark)
    };
    let mut fates = authority.node().blocking(move |node| node.events.report("bookmark", vec![event])).await?;
    match fates.pop() {
        Some(Ok(Reported::New(id) | Reported::Repeated(id))) => Ok((StatusCode::CREATED, Json(Numbered { id: id.to_string() }))),
        Some(Err(ReportError::Event(error @ EventError::Identity { .. }))) => {
            Err(Refusal::bad_request(error.to_string()).on("text"))
        }
        Some(Err(ReportError::Event(error))) => Err(Refusal::bad_request(error.to_string())),
        Some(Err(error)) => Err(Refusal::failed("keep the bookmark", &error)),
        None => Err(Refusal::busy()),
    }
}
