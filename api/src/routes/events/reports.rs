//! Events from outside: analytics boxes with a token, and operators' bookmarks.

use super::super::wire::json;
use super::Words;
use crate::{
    authority::Authority,
    refusal::{Refusal, words},
    sources::Source,
};
use axum::{Json, body::Bytes, http::StatusCode};
use index::{
    events::{Event, EventError, Kind, MAX_BATCH, Objects, Region, ReportError, Reported, Severity, Source as Origin, Text},
    model::{CameraId, UtcMicros},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Instant;
use utoipa::ToSchema;

/// A batch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Batch {
    /// At most 1,000.
    #[schema(value_type = Vec<Value>)]
    events: Vec<Value>,
}

/// An event as a box sends it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    /// One of `/api/v1/events/kinds` that is about pictures.
    kind: String,
    /// When it happened.
    time_us: i64,
    camera: CameraId,
    severity: Option<String>,
    #[serde(default)]
    text: Text,
    region: Option<Region>,
    #[serde(default)]
    objects: Vec<Objects>,
    #[serde(default)]
    attributes: Map<String, Value>,
    /// The box's own number: the same number with the same time twice is one event.
    id: String,
}

/// What became of a batch's events, in order.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct Taken {
    accepted: Vec<TakenOne>,
}

/// What became of one.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct TakenOne {
    /// The box's own number, as far as it could be read.
    id: Option<String>,
    /// Our number, if it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    /// It was sent before and is kept once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    repeated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Why>,
}

/// Why an event is not kept.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct Why {
    /// `identity`, `not_an_event`, `camera`, `too_large`, `time`, `busy`.
    code: &'static str,
    #[serde(flatten)]
    words: Words,
}

impl Why {
    fn new(code: &'static str, zh: &str, en: impl Into<String>) -> Self {
        Self { code, words: Words { zh: zh.to_owned(), en: en.into() } }
    }
}

/// Takes a batch of events from an analytics box. What was kept is durable when the answer leaves.
#[utoipa::path(post, path = "/api/v1/events", request_body = Batch,
    responses((status = 200, body = Taken), (status = 400, body = Refusal), (status = 401, body = Refusal), (status = 429, body = Refusal)))]
pub(in super::super) async fn report(authority: Authority, body: Bytes) -> Result<Json<Taken>, Refusal> {
    let source = authority.source()?;
    let batch: Batch = json(&body)?;
    if batch.events.len() > MAX_BATCH {
        return Err(Refusal::bad_request("a batch has at most 1,000 events").on("events"));
    }
    source.spend(batch.events.len(), Instant::now()).map_err(too_fast)?;
    let node = authority.node().clone();
    let read = |value: Value| read(&authority, &source, value);
    let results: Vec<Read> = batch.events.into_iter().map(read).collect();
    let events = results.iter().filter_map(|result| result.as_ref().ok()).map(|(_, event)| event.clone()).collect();
    let fates = node.blocking(move |node| node.events.report("http", events)).await?;
    let mut fates = fates.into_iter();
    let accepted = results.into_iter().map(|result| match result {
        Err((id, why)) => TakenOne { id, event: None, repeated: false, refused: Some(why) },
        Ok((id, _)) => match fates.next() {
            Some(Ok(Reported::New(event))) => {
                TakenOne { id: Some(id), event: Some(event.to_string()), repeated: false, refused: None }
            }
            Some(Ok(Reported::Repeated(event))) => {
                TakenOne { id: Some(id), event: Some(event.to_string()), repeated: true, refused: None }
            }
            Some(Err(error)) => TakenOne { id: Some(id), event: None, repeated: false, refused: Some(why(&error)) },
            None => TakenOne { id: Some(id), event: None, repeated: false, refused: Some(busy()) },
        },
    });
    Ok(Json(Taken { accepted: accepted.collect() }))
}

/// One event of a batch under the name that its source gave it, or why it is refused.
type Read = Result<(String, Event), (Option<String>, Why)>;

fn read(authority: &Authority, source: &Source, value: Value) -> Read {
    let id = value.get("id").and_then(Value::as_str).map(str::to_owned);
    let failed = |why| (id.clone(), why);
    let node = authority.node();
    // Before anything is made of it: whatever carries identity is refused as such and counted, unknown fields included.
    if let Some(why) = node.events.identity_in(&value) {
        node.events.refused.count("http", why);
        return Err(failed(Why::new(
            "identity",
            "含有人员身份信息，不予接收",
            format!("it carries identity data ({}), which is never kept", why.word()),
        )));
    }
    let report: Report =
        serde_json::from_value(value).map_err(|error| failed(Why::new("not_an_event", "不是有效事件", error.to_string())))?;
    let kind = Kind::from_word(&report.kind).filter(|kind| kind.may_come_from_outside());
    let kind =
        kind.ok_or_else(|| failed(Why::new("not_an_event", "事件类型无效", "its kind is not one that a box may report")))?;
    let severity = report.severity.as_deref().map_or(Some(kind.severity()), Severity::from_word);
    let severity =
        severity.ok_or_else(|| failed(Why::new("not_an_event", "级别无效", "severity is info, notice, warning or alarm")))?;
    let camera = node.camera(report.camera).filter(|camera| source.reaches(camera));
    let camera = camera.ok_or_else(|| failed(Why::new("camera", "没有该摄像机", "there is no such camera for this source")))?;
    let event = Event {
        severity,
        camera: Some(camera.id),
        name: camera.name,
        place: camera.place,
        text: report.text,
        region: report.region,
        objects: report.objects,
        attributes: report.attributes,
        source: Origin { name: source.name.clone(), topic: String::new(), id: report.id.clone() },
        ..Event::new(UtcMicros::from_micros(report.time_us), kind)
    };
    Ok((report.id, event))
}

fn why(error: &ReportError) -> Why {
    match error {
        ReportError::Event(EventError::Identity { .. }) => Why::new("identity", "含有人员身份信息，不予接收", error.to_string()),
        ReportError::Event(EventError::Time) => Why::new("time", "时间超出范围，请校准设备时钟", error.to_string()),
        ReportError::Event(EventError::TooLarge { .. }) => Why::new("too_large", "内容过长", error.to_string()),
        ReportError::Event(_) => Why::new("not_an_event", "不是有效事件", error.to_string()),
        ReportError::Journal(_) | ReportError::CatchingUp | ReportError::Index(_) => busy(),
    }
}

fn busy() -> Why {
    Why::new("busy", "暂时无法写入，请稍后重发", "it could not be written now: send it again")
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
