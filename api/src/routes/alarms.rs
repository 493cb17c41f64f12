//! `/api/v1/alarms`: what operators are called for, and who took it on. New ones are told on the feed.

use super::{
    events::{self, Words},
    wire::camera_id,
};
use crate::{
    authority::Authority,
    node::actor,
    refusal::{Refusal, words},
};
use axum::{Json, extract::Path, http::StatusCode};
use index::{
    access::Action,
    alarms::{Alarm, AlarmError, AlarmId},
    events::Reach,
    model::CameraId,
};
use serde::Serialize;
use utoipa::ToSchema;

/// An alarm as it now is.
#[derive(Serialize, ToSchema)]
pub(super) struct AlarmBody {
    /// The event's number, a dash, the rule's number.
    id: String,
    event: String,
    rule: u32,
    rule_name: String,
    /// `urgent`, `high`, `medium`.
    urgency: &'static str,
    kind: &'static str,
    kind_name: Words,
    #[schema(value_type = Option<u32>)]
    camera: Option<CameraId>,
    name: String,
    place: Vec<String>,
    text: Words,
    /// When the event happened.
    at_us: i64,
    /// When the node heard of it.
    raised_us: i64,
    /// When it heard of the newest repeat.
    last_us: i64,
    /// Events after the first.
    repeats: u32,
    acknowledged: Option<AcknowledgedBody>,
}

/// Who took an alarm on.
#[derive(Serialize, ToSchema)]
pub(super) struct AcknowledgedBody {
    by: String,
    at_us: i64,
}

impl AlarmBody {
    pub(super) fn of(alarm: &Alarm) -> Self {
        Self {
            id: alarm.id.to_string(),
            event: alarm.event.to_string(),
            rule: alarm.id.rule.0,
            rule_name: alarm.rule_name.clone(),
            urgency: alarm.urgency.word(),
            kind: alarm.kind.word(),
            kind_name: events::words(alarm.kind.name()),
            camera: alarm.camera,
            name: alarm.name.clone(),
            place: alarm.place.clone(),
            text: events::said(&alarm.text, alarm.kind),
            at_us: alarm.at.as_micros(),
            raised_us: alarm.raised.as_micros(),
            last_us: alarm.last.as_micros(),
            repeats: alarm.repeats,
            acknowledged: alarm.acknowledged.as_ref().map(|(by, at)| AcknowledgedBody { by: by.clone(), at_us: at.as_micros() }),
        }
    }
}

/// The alarms of the last day, and those that nobody took on.
#[derive(Serialize, ToSchema)]
pub(super) struct AlarmsBody {
    /// Oldest first.
    alarms: Vec<AlarmBody>,
    /// How many a day one operator can look into.
    budget_per_day: u32,
    /// Alarms that were dropped from this list because there were too many; they are in the journal.
    shed: u64,
    /// Records of the journal that rules were not yet asked about.
    behind: u64,
}

/// Whether somebody who reaches these cameras may know of what happened at this one, or at none.
pub(super) fn reaches(reach: &Reach, camera: Option<CameraId>) -> bool {
    *reach == Reach::Everything || camera.is_some_and(|camera| reach.has(camera))
}

/// The alarms in one's scope.
#[utoipa::path(get, path = "/api/v1/alarms", responses((status = 200, body = AlarmsBody), (status = 403, body = Refusal)))]
pub(super) async fn list(authority: Authority) -> Result<Json<AlarmsBody>, Refusal> {
    authority.purpose()?;
    let reach = events::reach(&authority)?;
    let node = authority.node();
    let behind = node.journal.tail().get().saturating_sub(node.alarms.cursor().get());
    let state = node.alarms.state();
    Ok(Json(AlarmsBody {
        alarms: state.alarms_since(0).filter(|alarm| reaches(&reach, alarm.camera)).map(AlarmBody::of).collect(),
        budget_per_day: node.config.alarm_budget_per_day,
        shed: state.shed(),
        behind,
    }))
}

/// Takes an alarm on, and the incident that it opened. Durable when the answer leaves; 409 names who was first.
#[utoipa::path(post, path = "/api/v1/alarms/{alarm}/acknowledge", params(("alarm" = String, Path)),
    responses((status = 204), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
pub(super) async fn acknowledge(authority: Authority, Path(alarm): Path<String>) -> Result<StatusCode, Refusal> {
    let unknown = || Refusal::not_found("该报警", "alarm");
    let id: AlarmId = alarm.parse().map_err(|()| unknown())?;
    let about = authority.node().alarms.state().alarm(id).map(|alarm| alarm.camera).ok_or_else(unknown)?;
    match about {
        // What is outside the scope does not exist.
        Some(camera) => {
            let camera = authority.camera(camera_id(&camera.to_string())?).map_err(|_| unknown())?;
            drop(authority.grant(Action::Acknowledge, &[&camera], None)?);
        }
        None if authority.person()?.reaches_everything() => {}
        None => return Err(unknown()),
    }
    let person = authority.person()?.clone();
    let by = actor(&person, authority.from());
    let acknowledge = move |node: &crate::node::Node| {
        node.alarms.acknowledge(&by, &person.name, id)?;
        super::incidents::acknowledge_incident(node, &person, id);
        Ok(())
    };
    let done = authority.node().blocking(acknowledge).await?;
    done.map(|()| StatusCode::NO_CONTENT).map_err(|error| match error {
        AlarmError::Acknowledged(first) => Refusal::new(
            StatusCode::CONFLICT,
            "acknowledged",
            words(format!("{first} 已确认该报警"), format!("{first} acknowledged this alarm before")),
            words("无需再次确认", "Nothing is left to do"),
        ),
        AlarmError::Unknown => unknown(),
        error => Refusal::failed("acknowledge an alarm", &error),
    })
}
