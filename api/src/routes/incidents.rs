//! `/api/v1/incidents`: cases that operators take on, send somebody for, pass up and close; `shift` is how one shift hands over.
//!
//! Whoever moves an incident says which version of it they saw. If somebody moved it meanwhile, nothing is done and the answer says who.

pub(super) mod body;
mod deed;
pub(super) mod shift;

use super::{
    alarms::reaches,
    events,
    wire::{camera_id, json},
};
use crate::{
    authority::Authority,
    node::{Node, actor},
    refusal::{Refusal, words},
};
use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query},
    http::StatusCode,
};
use body::{Counts, DetailBody, IncidentBody, IncidentsBody};
use index::{
    access::{Action, Person},
    events::{Kind, Reach, Text},
    incidents::{Author, Book, Draft, Incident, IncidentError, IncidentId, NotNow, Priority, Who, opening},
    model::{CameraId, NodeId, Tier, UtcMicros},
};
use serde::Deserialize;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// Incidents on one page.
const PAGE: usize = 200;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// What floods are judged over.
const FLOOD: Duration = Duration::from_secs(600);

/// Which incidents. All are optional.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct IncidentsQuery {
    /// `mine`, `room`, `subdistrict`, `district` (those that are open at that tier), `shelved` or `closed`; all that are open if left out.
    queue: Option<String>,
    /// Those behind this one: the `next` of the last page.
    after: Option<String>,
    /// At most so many, up to 200.
    limit: Option<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Queue {
    Open,
    Mine,
    At(Tier),
    Shelved,
    Closed,
}

impl Queue {
    fn named(word: Option<&str>) -> Result<Self, Refusal> {
        Ok(match word {
            None => Self::Open,
            Some("mine") => Self::Mine,
            Some("room") => Self::At(Tier::Room),
            Some("subdistrict") => Self::At(Tier::Subdistrict),
            Some("district") => Self::At(Tier::District),
            Some("shelved") => Self::Shelved,
            Some("closed") => Self::Closed,
            Some(_) => {
                let known = "queue is mine, room, subdistrict, district, shelved or closed";
                return Err(Refusal::bad_request(known).on("queue"));
            }
        })
    }

    fn has(self, incident: &Incident, (node, person): (NodeId, &str)) -> bool {
        let (over, shelved) = (incident.stage.is_over(), incident.shelved.is_some());
        match self {
            Self::Closed => over,
            Self::Shelved => !over && shelved,
            _ if over || shelved => false,
            Self::Open => true,
            Self::Mine => incident.owner.as_ref().is_some_and(|owner| owner.node == node && owner.who.name == person),
            Self::At(tier) => incident.tier == tier,
        }
    }
}

/// Where an incident stands in its list: what is due first comes first, what ended last comes first.
fn order(incident: &Incident) -> (i64, IncidentId) {
    let by = match incident.ended {
        Some(at) => at.as_micros().saturating_neg(),
        None => incident.due().map_or(i64::MAX, UtcMicros::as_micros),
    };
    (by, incident.id)
}

fn parse_order(text: &str) -> Option<(i64, IncidentId)> {
    let (by, id) = text.split_once('.')?;
    Some((by.parse().ok()?, id.parse().ok()?))
}

/// Whether somebody may know of an incident.
pub(super) fn in_reach(reach: &Reach, person: &Person, incident: &Incident) -> bool {
    reaches(reach, incident.opening.camera) || in_place(person, &incident.opening.place)
}

/// What is about cameras of other nodes is reached by the place that it was told with.
fn in_place(person: &Person, place: &[String]) -> bool {
    let within = |scope: &index::access::Scope| match scope {
        index::access::Scope::Place(levels) => !levels.is_empty() && place.starts_with(levels),
        _ => false,
    };
    person.scopes.iter().any(within)
}

/// The queue, and how many there are in each.
#[utoipa::path(get, path = "/api/v1/incidents", params(IncidentsQuery),
    responses((status = 200, body = IncidentsBody), (status = 403, body = Refusal)))]
pub(super) async fn list(authority: Authority, Query(query): Query<IncidentsQuery>) -> Result<Json<IncidentsBody>, Refusal> {
    authority.purpose()?;
    let queue = Queue::named(query.queue.as_deref())?;
    let after =
        query.after.as_deref().map(|text| parse_order(text).ok_or_else(|| Refusal::bad_request("no such place").on("after")));
    let (after, limit) = (after.transpose()?, query.limit.unwrap_or(PAGE).clamp(1, PAGE));
    let (node, person, reach) = (authority.node().clone(), authority.person()?.clone(), events::reach(&authority)?);
    let now = UtcMicros::now();
    let who = (node.id, person.name.as_str());
    let book = node.incidents.casebook().book();
    let mut counts = Counts::default();
    let mut found = Vec::new();
    for incident in book.all().filter(|incident| in_reach(&reach, &person, incident)) {
        counts.add(incident, who, now);
        if queue.has(incident, who) && after.is_none_or(|after| order(incident) > after) {
            found.push(incident);
        }
    }
    found.sort_by_cached_key(|incident| order(incident));
    let next = (found.len() > limit).then(|| found[limit - 1]).map(|last| {
        let (by, id) = order(last);
        format!("{by}.{id}")
    });
    let incidents = found.into_iter().take(limit).map(|incident| IncidentBody::of(incident, &node)).collect();
    let recent = book.figures(now - FLOOD).opened;
    let (shed, refused) = book.passed_over();
    Ok(Json(IncidentsBody {
        incidents,
        next,
        counts,
        figures: body::FiguresBody::of(book.figures(now - DAY), recent),
        tier: node.config.tier.word(),
        upper: node.incidents.casebook().upper().map(Tier::word),
        node: node.id.to_string(),
        person: person.name.clone(),
        units: node.config.incident_units.clone(),
        now_us: now.as_micros(),
        shed,
        refused,
    }))
}

/// One incident with its history.
#[utoipa::path(get, path = "/api/v1/incidents/{incident}", params(("incident" = String, Path)),
    responses((status = 200, body = DetailBody), (status = 404, body = Refusal)))]
pub(super) async fn one(authority: Authority, Path(incident): Path<String>) -> Result<Json<DetailBody>, Refusal> {
    authority.purpose()?;
    let incident = find(&authority, &incident)?;
    Ok(Json(DetailBody::of(&incident, authority.node())))
}

fn unknown() -> Refusal {
    Refusal::not_found("该事件单", "incident")
}

/// An incident, if it exists for whoever asks.
fn find(authority: &Authority, id: &str) -> Result<Incident, Refusal> {
    let id: IncidentId = id.parse().map_err(|()| unknown())?;
    let incident = authority.node().incidents.casebook().book().get(id).cloned().ok_or_else(unknown)?;
    let reach = events::reach(authority)?;
    if !in_reach(&reach, authority.person()?, &incident) {
        return Err(unknown());
    }
    Ok(incident.as_of(UtcMicros::now()))
}

/// An incident to be opened.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OpenBody {
    /// `p1`, `p2` or `p3`.
    #[schema(value_type = String)]
    priority: Priority,
    /// At which camera; left out for what no camera shows.
    camera: Option<String>,
    /// What an event calls it.
    #[schema(value_type = Option<String>)]
    kind: Option<Kind>,
    /// In words, up to 500 characters.
    #[serde(default)]
    text: String,
    /// The event that it is about.
    #[schema(value_type = Option<String>)]
    event: Option<index::events::EventId>,
    /// The node that told of the event, in a centre; the incident is that node's.
    #[schema(value_type = Option<String>)]
    node: Option<NodeId>,
    /// What the camera is called and where it stands, in a centre that does not keep it.
    #[serde(default)]
    name: String,
    #[serde(default)]
    place: Vec<String>,
    /// When it happened; now if left out.
    happened_us: Option<i64>,
}

/// Opens an incident. Durable when the answer leaves.
#[utoipa::path(post, path = "/api/v1/incidents", request_body = OpenBody,
    responses((status = 201, body = DetailBody), (status = 400, body = Refusal), (status = 404, body = Refusal)))]
pub(super) async fn open(authority: Authority, body: Bytes) -> Result<(StatusCode, Json<DetailBody>), Refusal> {
    let body: OpenBody = json(&body)?;
    let now = UtcMicros::now();
    let node = authority.node().clone();
    let happened = body.happened_us.map_or(now, UtcMicros::from_micros);
    if happened.as_micros() < 0 || happened > now + DAY {
        return Err(Refusal::bad_request("it happened before 1970 or has yet to").on("happened_us"));
    }
    if body.place.len() > 16 || body.place.iter().any(|level| level.chars().count() > 100) {
        return Err(Refusal::bad_request("a place has up to 16 levels of 100 characters").on("place"));
    }
    let home = body.node.unwrap_or(node.id);
    let here = |home: NodeId| node.below.as_ref().is_some_and(|below| below.roster.of(home).is_some());
    if home != node.id && !here(home) {
        return Err(Refusal::not_found("该节点", "node"));
    }
    let mut opening = opening(body.priority, &node.config.incident_clocks, happened);
    (opening.kind, opening.event) = (body.kind, body.event);
    opening.text = Text { zh: body.text.trim().to_owned(), en: String::new() };
    match &body.camera {
        Some(camera) if home == node.id => {
            let camera = authority.camera(camera_id(camera)?)?;
            drop(authority.grant(Action::Acknowledge, &[&camera], None)?);
            (opening.camera, opening.name, opening.place) = (Some(camera.id), camera.name, camera.place);
        }
        camera => {
            let camera: Option<CameraId> = camera.as_deref().map(camera_id).transpose()?;
            let person = authority.person()?;
            if !reaches(&events::reach(&authority)?, camera) && !in_place(person, &body.place) {
                return Err(Refusal::not_found("该摄像机", "camera"));
            }
            (opening.camera, opening.name, opening.place) = (camera, body.name, body.place);
        }
    }
    let who = who(authority.person()?);
    let opened = node.blocking(move |node| node.incidents.casebook().open(who, Draft { home, opening }, now)).await?;
    let incident = opened.map_err(refused)?;
    Ok((StatusCode::CREATED, Json(DetailBody::of(&incident, &node))))
}

/// Something done with an incident.
#[derive(Deserialize, ToSchema)]
pub(super) struct MoveBody {
    /// The `version` of what was seen.
    version: u32,
    /// `{"do":"acknowledge"}`, `verify`, `dispatch` with `unit`, `arrive`, `resolve`, `close` with `code` (`handled`, `advised`, `police`,
    /// `department`, `nothing`), `dismiss` with `reason` (`weather`, `animal`, `allowed`, `misjudged`, `test`), `escalate`, `shelve` with
    /// `minutes` and `reason`, `unshelve`, `merge` with `into`, `reopen`, `undo`, `note` with `text`, `attach` with `camera`, `from_us`,
    /// `to_us` and `hold`.
    #[schema(value_type = serde_json::Value)]
    #[serde(flatten)]
    deed: deed::DeedBody,
}

/// Does something with an incident. Durable when the answer leaves; 409 says who moved it meanwhile.
#[utoipa::path(post, path = "/api/v1/incidents/{incident}/moves", params(("incident" = String, Path)), request_body = MoveBody,
    responses((status = 200, body = DetailBody), (status = 400, body = Refusal), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
pub(super) async fn act(authority: Authority, Path(id): Path<String>, body: Bytes) -> Result<Json<DetailBody>, Refusal> {
    let incident = find(&authority, &id)?;
    let MoveBody { version, deed } = json(&body)?;
    let now = UtcMicros::now();
    let deed = deed.complete(&incident, &authority, now)?;
    let person = authority.person()?.clone();
    let (who, by) = (who(&person), actor(&person, authority.from()));
    let id = incident.id;
    let done = authority.node().blocking(move |node| {
        let done = node.incidents.casebook().act(who, id, version, deed, now)?;
        acknowledge_alarm(node, &by, &person.name, &done);
        Ok(done)
    });
    let incident = done.await?.map_err(refused)?;
    Ok(Json(DetailBody::of(&incident, authority.node())))
}

/// Whoever takes an incident on has seen the alarm that opened it.
fn acknowledge_alarm(node: &Node, by: &index::access::Actor, person: &str, incident: &Incident) {
    let Some(alarm) = incident.opening.alarm.filter(|_| incident.id.node == node.id && incident.owner.is_some()) else { return };
    match node.alarms.acknowledge(by, person, alarm) {
        Ok(()) | Err(index::alarms::AlarmError::Acknowledged(_) | index::alarms::AlarmError::Unknown) => {}
        Err(error) => tracing::warn!(%error, "an incident was taken on, and its alarm could not be acknowledged with it"),
    }
}

/// And whoever acknowledges an alarm takes on the incident that it opened.
pub(super) fn acknowledge_incident(node: &Node, person: &Person, alarm: index::alarms::AlarmId) {
    let casebook = node.incidents.casebook();
    let Some((id, version)) = casebook.book().of_alarm(node.id, alarm).map(|incident| (incident.id, incident.version)) else {
        return;
    };
    // Somebody else was faster: then it is theirs.
    let done = casebook.act(who(person), id, version, index::incidents::Deed::Acknowledge, UtcMicros::now());
    if let Err(IncidentError::Journal(error)) = done {
        tracing::warn!(%error, "an alarm was acknowledged, and its incident could not be taken on with it");
    }
}

pub(super) fn who(person: &Person) -> Who {
    Who { name: person.name.clone(), display: person.display.clone() }
}

fn refused(error: IncidentError) -> Refusal {
    let again = || words("请看最新状态后再操作", "Look at it as it is now, then act");
    match error {
        IncidentError::Unknown => unknown(),
        IncidentError::Text => Refusal::bad_request("the text has 1 to 500 characters").on("text"),
        IncidentError::Moved { last, .. } => {
            let (zh, en) =
                last.as_deref().map_or_else(Default::default, |entry| (body::deed_zh(&entry.deed), body::deed_en(&entry.deed)));
            let by = last.map_or_else(String::new, |entry| match entry.by {
                Author::Person(who) => who.display,
                Author::Clock => "系统 / the clock".to_owned(),
                Author::Rule(name) => name,
            });
            let state = words(format!("{by} 已先操作（{zh}），本次未执行"), format!("{by} was first ({en}); nothing was done"));
            Refusal::new(StatusCode::CONFLICT, "incident_moved", state, again())
        }
        IncidentError::NotNow { why, .. } => {
            let zh = match why {
                NotNow::Over => "该事件单已结束",
                NotNow::Open => "该事件单尚未结束",
                NotNow::Above => "该事件单已由上级负责，本级可查看和记录",
                NotNow::Early => "前一步尚未完成",
                NotNow::Done => "该步骤已完成",
                NotNow::TooLate => "已超过撤销时限，或由他人操作",
                NotNow::Impossible => "不能这样操作：没有上级，或超出时限",
            };
            Refusal::new(StatusCode::CONFLICT, "incident_not_now", words(zh, why.to_string()), again())
        }
        IncidentError::Journal(error) => Refusal::failed("move an incident", &error),
    }
}

/// Those in reach that changed after a revision, and the revision now.
pub(super) fn changed(node: &Node, person: &Person, reach: &Reach, revision: u64) -> (Vec<IncidentBody>, u64) {
    let book = node.incidents.casebook().book();
    let found = book.since(revision).filter(|incident| in_reach(reach, person, incident));
    (found.map(|incident| IncidentBody::of(incident, node)).collect(), Book::revision(&book))
}
