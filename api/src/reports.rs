//! The one door for events from outside the node: a batch of an analytics box, by HTTP or by MQTT.
//!
//! What says who somebody is is refused before anything is made of it, and counted by door; a box speaks of the cameras of its source
//! alone; its own number keeps an event from being kept twice; and what is told as kept is durable.

use crate::{
    node::{Node, Shared},
    refusal::{Refusal, Words, words},
    sources::Source,
};
use index::{
    events::{Event, EventError, Kind, MAX_BATCH, Objects, Region, ReportError, Reported, Severity, Source as Origin, Text},
    model::{CameraId, UtcMicros},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// By which way a batch came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// `POST /api/v1/events`.
    Http,
    /// A message of the configured broker.
    Mqtt,
}

impl Door {
    fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Mqtt => "mqtt",
        }
    }
}

/// A batch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// At most 1,000.
    #[schema(value_type = Vec<Value>)]
    pub events: Vec<Value>,
}

impl Batch {
    /// Whether it has more events than one batch may.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.events.len() > MAX_BATCH
    }
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

/// What became of one.
#[derive(Serialize, ToSchema)]
pub struct Taken {
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
pub struct Why {
    /// `identity`, `not_an_event`, `camera`, `too_large`, `time`, `busy`.
    code: &'static str,
    #[serde(flatten)]
    words: Words,
}

impl Taken {
    /// Whether it may be taken if it is sent again.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.refused.as_ref().is_some_and(|why| why.code == BUSY)
    }

    /// Whether it is not kept.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.refused.is_some()
    }
}

impl Why {
    fn new(code: &'static str, zh: &'static str, en: impl Into<String>) -> Self {
        Self { code, words: words(zh, en.into()) }
    }
}

/// The code of what may be taken if it is sent again.
const BUSY: &str = "busy";

/// Takes a batch of a source, whose rate was asked already: what became of its events, in order. What is told as kept is durable.
///
/// # Errors
/// 500 if the part of the node that keeps events fails altogether.
pub async fn take(node: &Shared, source: &Source, door: Door, batch: Vec<Value>) -> Result<Vec<Taken>, Refusal> {
    let results: Vec<Read> = batch.into_iter().map(|value| read(node, source, door, value)).collect();
    let events = results.iter().filter_map(|result| result.as_ref().ok()).map(|(_, event)| event.clone()).collect();
    let fates = node.blocking(move |node| node.events.report(door.word(), events)).await?;
    let mut fates = fates.into_iter();
    let kept = |id, event: index::events::EventId, repeated| Taken {
        id: Some(id),
        event: Some(event.to_string()),
        repeated,
        refused: None,
    };
    let refused = |id, why| Taken { id, event: None, repeated: false, refused: Some(why) };
    let taken = results.into_iter().map(|result| match result {
        Err((id, why)) => refused(id, why),
        Ok((id, _)) => match fates.next() {
            Some(Ok(Reported::New(event))) => kept(id, event, false),
            Some(Ok(Reported::Repeated(event))) => kept(id, event, true),
            Some(Err(error)) => refused(Some(id), why(&error)),
            None => refused(Some(id), busy()),
        },
    });
    Ok(taken.collect())
}

/// One event of a batch under the name that its source gave it, or why it is refused.
type Read = Result<(String, Event), (Option<String>, Why)>;

fn read(node: &Node, source: &Source, door: Door, value: Value) -> Read {
    let id = value.get("id").and_then(Value::as_str).map(str::to_owned);
    let failed = |why| (id.clone(), why);
    // Before anything is made of it: whatever carries identity is refused as such and counted, unknown fields included.
    if let Some(why) = node.events.identity_in(&value) {
        node.events.refused.count(door.word(), why);
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
    Why::new(BUSY, "暂时无法写入，请稍后重发", "it could not be written now: send it again")
}
