//! `/api/v1/events`: what happened, found by words, place, kind and time.
//!
//! Who asks may find the events of the cameras in their scope; that is part of the query. A search writes its access record
//! before the answer leaves, once a question, not once a page of it. Questions take turns: two at once, beside recording.

pub(super) mod feed;
pub(super) mod reports;

use super::{
    below::{self, NodeBody},
    wire::camera_id,
};
use crate::{authority::Authority, refusal::Refusal};
use axum::{Json, extract::Query};
use index::{
    access::{Action, Person},
    events::{Answer, AskError, Kept, Kind, Question, Reach, Region, Severity, Text},
    model::{CameraId, NodeId, UtcMicros, Window},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use utoipa::{IntoParams, ToSchema};

/// How far back a question reaches that does not say.
const DEFAULT_DAYS: i64 = 30;
const DAY_MICROS: i64 = 86_400_000_000;
/// Characters of a question's text.
const MAX_TEXT: usize = 200;
/// Cameras named in one question.
const MAX_CAMERAS: usize = 4096;

/// Which events. All are optional.
#[derive(Deserialize, IntoParams, Debug)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct EventsQuery {
    /// Words, all of which must be met: Chinese, English, pinyin or its initials.
    text: Option<String>,
    /// Within this part of the site tree, levels parted by `/`.
    place: Option<String>,
    /// Of these cameras, parted by commas.
    cameras: Option<String>,
    /// Told by these nodes, parted by commas.
    nodes: Option<String>,
    /// Of these kinds, parted by commas.
    kinds: Option<String>,
    /// At least so severe: `info`, `notice`, `warning`, `alarm`.
    severity: Option<String>,
    /// At or after this; 30 days ago if left out.
    from_us: Option<i64>,
    /// Before this; now if left out.
    to_us: Option<i64>,
    /// At these hours of the day: `22-6` is from 22:00 to 06:59.
    hours: Option<String>,
    /// Touching this part of the picture: `left,top,right,bottom`, 0 to 1.
    region: Option<String>,
    /// Those after a page: its `next`.
    before: Option<u64>,
    /// At most so many, up to 500; 50 by default.
    limit: Option<usize>,
    /// `1` counts by kind, severity, camera and hour.
    facets: Option<u8>,
    /// Counts along time in columns of so many seconds, at most 1,500 of them.
    histogram_s: Option<i64>,
}

/// Chinese and English.
#[derive(Serialize, ToSchema)]
pub(super) struct Words {
    zh: String,
    en: String,
}

/// An event.
#[derive(Serialize, ToSchema)]
pub(super) struct EventBody {
    id: String,
    node: String,
    /// What the node is called, if it is one below.
    node_name: Option<String>,
    seq: u64,
    time_us: i64,
    received_us: i64,
    kind: &'static str,
    kind_name: Words,
    severity: &'static str,
    #[schema(value_type = Option<u32>)]
    camera: Option<CameraId>,
    /// Which cameras, where it is about several: those in one's scope.
    #[schema(value_type = Vec<u32>)]
    cameras: Vec<CameraId>,
    /// What the camera was called then.
    name: String,
    /// Where it stood then.
    place: Vec<String>,
    text: Words,
    /// `[left, top, right, bottom]`, 0 to 1.
    region: Option<[f32; 4]>,
    #[schema(value_type = Value)]
    objects: Value,
    #[schema(value_type = Value)]
    attributes: Value,
    #[schema(value_type = Value)]
    source: Value,
}

/// A page of events and what it covers.
#[derive(Serialize, ToSchema)]
pub(super) struct EventsBody {
    events: Vec<EventBody>,
    /// For the next page; `null` at the end.
    next: Option<u64>,
    total: TotalBody,
    /// How the text was understood where it met nothing as written: `words`, `homophone`, `short_form`, `one_character`.
    corrected: Option<&'static str>,
    #[schema(value_type = Option<Value>)]
    facets: Option<Value>,
    #[schema(value_type = Option<Value>)]
    histogram: Option<Value>,
    #[schema(value_type = Value)]
    coverage: Value,
}

/// How many events there are.
#[derive(Serialize, ToSchema)]
pub(super) struct TotalBody {
    count: u64,
    /// `false`: at least so many.
    exact: bool,
}

/// A kind of event.
#[derive(Serialize, ToSchema)]
pub(super) struct KindBody {
    kind: &'static str,
    name: Words,
    severity: &'static str,
}

/// Finds events.
#[utoipa::path(get, path = "/api/v1/events", params(EventsQuery),
    responses((status = 200, body = EventsBody), (status = 400, body = Refusal), (status = 403, body = Refusal)))]
pub(super) async fn find(authority: Authority, Query(query): Query<EventsQuery>) -> Result<Json<EventsBody>, Refusal> {
    let question = below_place(&authority, question(&query, reach(&authority)?, UtcMicros::now())?);
    authority.purpose()?;
    if question.before.is_none() {
        authority.note_search(question.window, described(&query)).await?;
    }
    let node = authority.node().clone();
    let events = node.events.clone();
    // How the copies stand is asked first: what the index has come to know since is more than is said, not less.
    let looked = below::look(&node);
    let answer = node.searches.run(move || events.ask(&question)).await?;
    let answer = answer.map_err(|error| refused(&error))?;
    let (nodes, names) = (below::bodies(&looked, &answer.coverage), below::names(&looked));
    let of: Vec<_> = answer.events.iter().map(|kept| names.get(&kept.node).cloned()).collect();
    let mut found = body(answer, &nodes);
    found.events.iter_mut().zip(of).for_each(|(event, name)| event.node_name = name);
    Ok(Json(found))
}

/// Every kind of event there is, with its name.
#[utoipa::path(get, path = "/api/v1/events/kinds", responses((status = 200, body = Vec<KindBody>), (status = 403, body = Refusal)))]
pub(super) async fn kinds(_: Authority) -> Json<Vec<KindBody>> {
    let kind = |kind: &Kind| KindBody { kind: kind.word(), name: words(kind.name()), severity: kind.severity().word() };
    Json(Kind::ALL.iter().map(kind).collect())
}

/// What somebody may find: the events of the cameras in their scope.
pub(super) fn reach(authority: &Authority) -> Result<Reach, Refusal> {
    let person: &Person = authority.person()?;
    if person.reaches_everything() {
        return Ok(Reach::Everything);
    }
    if let Some(site) = &authority.node().site {
        let view = site.view();
        let mine = view.list().filter(|located| person.may(Action::ListCameras, Some(&located.camera)).is_ok());
        let cameras = mine.map(|located| located.camera.id).collect();
        let elsewhere = view.elsewhere(&cameras);
        return Ok(Reach::Below { cameras, elsewhere });
    }
    Ok(Reach::Cameras(authority.cameras()?.into_iter().map(|entry| entry.camera.id).collect()))
}

/// In a centre a place begins with nodes: asked for are their events, and what the rest of the place names within them.
fn below_place(authority: &Authority, mut question: Question) -> Question {
    let Some(site) = &authority.node().site else { return question };
    if question.under.is_empty() {
        return question;
    }
    let (nodes, rest) = site.view().nodes_of(&question.under);
    let both: BTreeSet<NodeId> =
        if question.nodes.is_empty() { nodes } else { question.nodes.intersection(&nodes).copied().collect() };
    // A place that no node below is in: nothing happened there.
    question.nodes = if both.is_empty() { [NodeId::from_bytes([0; 16])].into() } else { both };
    question.under = rest;
    question
}

fn question(query: &EventsQuery, reach: Reach, now: UtcMicros) -> Result<Question, Refusal> {
    let bad = |field: &'static str, what: &'static str| Refusal::bad_request(what).on(field);
    let to = query.to_us.unwrap_or(now.as_micros() + 300_000_000);
    let from = query.from_us.unwrap_or(to - DEFAULT_DAYS * DAY_MICROS);
    if from < 0 || to <= from {
        return Err(bad("from_us", "the window is empty or begins before 1970"));
    }
    let text = query.text.clone().unwrap_or_default();
    if text.chars().count() > MAX_TEXT {
        return Err(bad("text", "the text is longer than 200 characters"));
    }
    let list = |text: &Option<String>| -> Vec<String> {
        text.iter().flat_map(|text| text.split(',')).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let cameras = list(&query.cameras);
    if cameras.len() > MAX_CAMERAS {
        return Err(bad("cameras", "more than 4,096 cameras are named"));
    }
    let kind = |word: &String| Kind::from_word(word).ok_or_else(|| bad("kinds", "a kind is not one of /api/v1/events/kinds"));
    let node = |text: &String| text.parse().map_err(|_| bad("nodes", "a node is not named by its number"));
    let severity = query.severity.as_deref().map_or(Some(Severity::Info), Severity::from_word);
    Ok(Question {
        text,
        under: query
            .place
            .iter()
            .flat_map(|place| place.split('/'))
            .filter(|level| !level.is_empty())
            .map(str::to_owned)
            .collect(),
        cameras: cameras.iter().map(|text| camera_id(text)).collect::<Result<_, _>>()?,
        nodes: list(&query.nodes).iter().map(node).collect::<Result<_, _>>()?,
        kinds: list(&query.kinds).iter().map(kind).collect::<Result<_, _>>()?,
        severity: severity.ok_or_else(|| bad("severity", "severity is info, notice, warning or alarm"))?,
        hours: query
            .hours
            .as_deref()
            .map(|text| hours(text).ok_or_else(|| bad("hours", "hours are two numbers, 0 to 23: 22-6")))
            .transpose()?,
        region: query
            .region
            .as_deref()
            .map(|text| region(text).ok_or_else(|| bad("region", "a region is left,top,right,bottom, 0 to 1")))
            .transpose()?,
        before: query.before,
        limit: query.limit.unwrap_or(50).clamp(1, index::events::MAX_PAGE),
        facets: query.facets == Some(1),
        step_millis: query.histogram_s.map(|seconds| seconds.saturating_mul(1000)),
        ..Question::new(reach, Window::new(UtcMicros::from_micros(from), UtcMicros::from_micros(to)))
    })
}

/// `22-6` as hours of the day, both ends included.
fn hours(text: &str) -> Option<[bool; 24]> {
    let (from, to) = text.split_once('-')?;
    let (from, to): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
    if from > 23 || to > 23 {
        return None;
    }
    let within = |hour: usize| if from <= to { (from..=to).contains(&hour) } else { hour >= from || hour <= to };
    Some(std::array::from_fn(within))
}

fn region(text: &str) -> Option<Region> {
    let shares: Vec<f32> = text.split(',').map(|share| share.trim().parse().ok()).collect::<Option<_>>()?;
    let [left, top, right, bottom] = shares[..] else { return None };
    Region::new(left, top, right, bottom)
}

/// A question in one line, for the register.
fn described(query: &EventsQuery) -> String {
    let parts = [
        ("text", &query.text),
        ("place", &query.place),
        ("cameras", &query.cameras),
        ("nodes", &query.nodes),
        ("kinds", &query.kinds),
        ("severity", &query.severity),
        ("hours", &query.hours),
        ("region", &query.region),
    ];
    let said = parts.into_iter().filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}={value}")));
    let line: String = said.collect::<Vec<_>>().join(" ");
    line.chars().take(300).collect()
}

fn refused(error: &AskError) -> Refusal {
    match error {
        AskError::Question(what) => Refusal::bad_request(*what),
        AskError::Index(_) => Refusal::failed("ask the event index", error),
    }
}

pub(super) fn words((zh, en): (&str, &str)) -> Words {
    Words { zh: zh.to_owned(), en: en.to_owned() }
}

/// What an operator reads: what the source said, or what the kind says.
pub(super) fn said(text: &Text, kind: Kind) -> Words {
    if text.is_empty() {
        return words(kind.name());
    }
    let either = |one: &String, other: &String| if one.is_empty() { other.clone() } else { one.clone() };
    Words { zh: either(&text.zh, &text.en), en: either(&text.en, &text.zh) }
}

/// A text without a kind: one of its languages serves for both.
pub(super) fn either(text: &Text) -> Words {
    said(text, Kind::Bookmark)
}

impl From<Kept> for EventBody {
    fn from(kept: Kept) -> Self {
        let event = kept.event;
        Self {
            id: kept.id.to_string(),
            node: kept.node.to_string(),
            node_name: None,
            seq: kept.seq.get(),
            time_us: event.time.as_micros(),
            received_us: kept.received.as_micros(),
            kind: event.kind.word(),
            kind_name: words(event.kind.name()),
            severity: event.severity.word(),
            camera: event.camera,
            cameras: event.cameras,
            name: event.name,
            place: event.place,
            text: said(&event.text, event.kind),
            region: event.region.map(Region::corners),
            objects: json!(event.objects),
            attributes: Value::Object(event.attributes),
            source: json!({ "name": event.source.name, "topic": event.source.topic, "id": event.source.id }),
        }
    }
}

fn body(answer: Answer, below: &[NodeBody]) -> EventsBody {
    let Answer { events, next, total, understood, facets, histogram, coverage } = answer;
    let counted_from = coverage.counted_from.as_micros();
    let lag_s = if coverage.indexed_to >= coverage.journal {
        0.0
    } else {
        UtcMicros::now().since(coverage.indexed_at.max(UtcMicros::from_micros(0))).as_secs_f64()
    };
    let state = if coverage.problem.is_some() {
        "failed"
    } else if lag_s > 2.0 || coverage.rebuilding {
        "behind"
    } else {
        "current"
    };
    let all_here = below.iter().all(|node| node.state == "current");
    let own = json!({ "node": coverage.node.to_string(), "state": state, "lag_s": lag_s });
    let sources: Vec<Value> = std::iter::once(own).chain(below.iter().map(|node| json!(node))).collect();
    EventsBody {
        events: events.into_iter().map(EventBody::from).collect(),
        next,
        total: TotalBody { count: total.count, exact: total.exact },
        corrected: (understood != index::events::Understood::Literally).then(|| understood.word()),
        facets: facets.map(|facets| {
            json!({
                "kinds": facets.kinds.iter().map(|(kind, count)| json!([kind.word(), count])).collect::<Vec<_>>(),
                "severities": Severity::ALL.iter().zip(facets.severities).map(|(severity, count)| json!([severity.word(), count])).collect::<Vec<_>>(),
                "cameras": facets.cameras.iter().map(|(camera, count)| json!([camera, count])).collect::<Vec<_>>(),
                "hours": facets.hours,
                "complete": total.exact,
                "from_us": counted_from,
            })
        }),
        histogram: histogram.map(|histogram| {
            json!({
                "from_us": histogram.from.as_micros(),
                "step_s": histogram.step_millis / 1000,
                "counts": histogram.counts,
                "complete": total.exact,
                "counted_from_us": counted_from,
            })
        }),
        coverage: json!({
            "indexed_to_seq": coverage.indexed_to.get(),
            "journal_seq": coverage.journal.get(),
            "indexed_to_us": coverage.indexed_at.as_micros().max(0),
            "lag_s": lag_s,
            "complete": all_here && lag_s <= 2.0 && !coverage.rebuilding && coverage.problem.is_none(),
            "days": coverage.known.map(|known| json!({ "from_us": known.from.as_micros(), "to_us": known.to.as_micros() })),
            "rebuilding": coverage.rebuilding,
            "problem": coverage.problem,
            "sources": sources,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_may_pass_midnight() {
        let night = hours("22-6").expect("hours");
        assert_eq!((0..24).filter(|hour| night[*hour]).count(), 9);
        assert!(night[22] && night[0] && night[6] && !night[7]);
        assert_eq!(hours("8-8").map(|hours| hours.iter().filter(|on| **on).count()), Some(1));
        assert!(hours("24-3").is_none() && hours("3").is_none());
    }

    #[test]
    fn a_region_is_four_shares() {
        assert!(region("0,0,0.5,1").is_some());
        assert!(region("0,0,0.5").is_none() && region("0,0,2,1").is_none() && region("0.5,0,0.5,1").is_none());
    }
}
