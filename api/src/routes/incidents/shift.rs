//! `/api/v1/shift-note`: what one shift tells the next, made by the node, signed by both.

use super::{
    super::{events, wire::json},
    body::IncidentBody,
    in_reach, who,
};
use crate::{
    authority::Authority,
    refusal::{Refusal, words},
};
use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query},
    http::StatusCode,
};
use index::{
    access::Role,
    incidents::{Deed, HandOver, ShiftError, Who},
    journal::Seq,
    model::UtcMicros,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// Of which time.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct NoteQuery {
    /// Hours back from now, 1 to 24; 12 by default.
    hours: Option<u32>,
}

/// What the next shift should know.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct NoteBody {
    node_name: String,
    tier: &'static str,
    from_us: i64,
    to_us: i64,
    person: String,
    display: String,
    opened: u32,
    closed: u32,
    acknowledge_median_s: Option<f64>,
    open: Vec<IncidentBody>,
    shelved: Vec<IncidentBody>,
    notes: Vec<Remark>,
    /// Cameras in the scope that do not record now.
    offline: Vec<OfflineBody>,
    /// The newest hand-overs, newest first.
    hand_overs: Vec<HandOverBody>,
    /// Whom one can hand over to.
    colleagues: Vec<PersonBody>,
}

/// A camera without a picture.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct OfflineBody {
    camera: u32,
    name: String,
    place: Vec<String>,
}

/// Something that was written down at an incident.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct Remark {
    at_us: i64,
    number: String,
    by: Option<String>,
    text: String,
}

/// A colleague.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct PersonBody {
    name: String,
    display: String,
}

/// A hand-over with its signatures.
#[derive(Serialize, ToSchema)]
pub(in super::super) struct HandOverBody {
    seq: u64,
    at_us: i64,
    by: String,
    to: String,
    /// Whether it is for the person who asks to sign it.
    for_me: bool,
    remarks: String,
    open: usize,
    taken_us: Option<i64>,
}

fn hand_over(shift: &HandOver, me: &str) -> HandOverBody {
    HandOverBody {
        seq: shift.seq.get(),
        at_us: shift.at.as_micros(),
        by: shift.by.display.clone(),
        to: shift.to.display.clone(),
        for_me: shift.to.name == me,
        remarks: shift.remarks.clone(),
        open: shift.open.len(),
        taken_us: shift.taken.map(UtcMicros::as_micros),
    }
}

/// What the next shift should know, as it is now.
#[utoipa::path(get, path = "/api/v1/shift-note", params(NoteQuery),
    responses((status = 200, body = NoteBody), (status = 403, body = Refusal)))]
pub(in super::super) async fn note(authority: Authority, Query(query): Query<NoteQuery>) -> Result<Json<NoteBody>, Refusal> {
    authority.purpose()?;
    let now = UtcMicros::now();
    let from = now - Duration::from_secs(u64::from(query.hours.unwrap_or(12).clamp(1, 24)) * 3600);
    let (node, person, reach) = (authority.node().clone(), authority.person()?.clone(), events::reach(&authority)?);
    let offline = super::super::cameras::not_recording(&authority)?;
    let offline =
        offline.into_iter().map(|camera| OfflineBody { camera: camera.id.number(), name: camera.name, place: camera.place });
    let colleagues = node.accounts.list().into_iter().filter(|account| account.person.name != person.name);
    let operates = |account: &index::accounts::Account| !account.disabled && account.person.roles.contains(&Role::Operator);
    let colleagues = colleagues.filter(operates);
    let colleagues =
        colleagues.map(|account| PersonBody { name: account.person.name, display: account.person.display }).collect();
    let book = node.incidents.casebook().book();
    let own = |incident: &&index::incidents::Incident| incident.tier == node.config.tier && in_reach(&reach, &person, incident);
    let (mut open, mut shelved, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for incident in book.all().filter(own) {
        for entry in incident.history.iter().filter(|entry| entry.place.at >= from) {
            if let Deed::Note { text } = &entry.deed {
                let by = if let index::incidents::Author::Person(who) = &entry.by { Some(who.display.clone()) } else { None };
                let number = incident.opening.number.clone();
                notes.push(Remark { at_us: entry.place.at.as_micros(), number, by, text: text.clone() });
            }
        }
        if !incident.stage.is_over() {
            let to = if incident.shelved.is_some() { &mut shelved } else { &mut open };
            to.push(IncidentBody::of(incident, &node));
        }
    }
    notes.sort_by_key(|note| note.at_us);
    let figures = book.figures(from);
    Ok(Json(NoteBody {
        node_name: node.config.name.clone(),
        tier: node.config.tier.word(),
        from_us: from.as_micros(),
        to_us: now.as_micros(),
        person: person.name.clone(),
        display: person.display.clone(),
        opened: figures.opened,
        closed: figures.closed,
        acknowledge_median_s: figures.acknowledge_median_s,
        open,
        shelved,
        notes,
        offline: offline.collect(),
        hand_overs: book.shifts().iter().rev().take(10).map(|shift| hand_over(shift, &person.name)).collect(),
        colleagues,
    }))
}

/// Whom the shift is handed over to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct HandBody {
    /// The account.
    to: String,
    /// What they should know, up to 2,000 characters.
    #[serde(default)]
    remarks: String,
}

/// Hands the shift over: the first signature.
#[utoipa::path(post, path = "/api/v1/shift-note", request_body = HandBody,
    responses((status = 201, body = HandOverBody), (status = 400, body = Refusal), (status = 404, body = Refusal)))]
pub(in super::super) async fn hand(authority: Authority, body: Bytes) -> Result<(StatusCode, Json<HandOverBody>), Refusal> {
    let body: HandBody = json(&body)?;
    let person = authority.person()?.clone();
    let to = authority.node().person(&body.to).ok_or_else(|| Refusal::not_found("该人员", "person"))?;
    let (by, to, now) = (who(&person), Who { name: to.name, display: to.display }, UtcMicros::now());
    let done = authority.node().blocking(move |node| node.incidents.casebook().hand_over(&by, &to, &body.remarks, now));
    let shift = done.await?.map_err(|error| refused(&error))?;
    Ok((StatusCode::CREATED, Json(hand_over(&shift, &person.name))))
}

/// Takes the shift over: the second signature, by the person it was handed to.
#[utoipa::path(post, path = "/api/v1/shift-note/{seq}/take", params(("seq" = u64, Path)),
    responses((status = 200, body = HandOverBody), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
pub(in super::super) async fn take(authority: Authority, Path(seq): Path<String>) -> Result<Json<HandOverBody>, Refusal> {
    let seq: u64 = seq.parse().map_err(|_| Refusal::not_found("该交接", "hand-over"))?;
    let person = authority.person()?.clone();
    let (by, now) = (who(&person), UtcMicros::now());
    let done = authority.node().blocking(move |node| node.incidents.casebook().take_over(&by, Seq::new(seq), now));
    let shift = done.await?.map_err(|error| refused(&error))?;
    Ok(Json(hand_over(&shift, &person.name)))
}

fn refused(error: &ShiftError) -> Refusal {
    let conflict = |zh: String, en: String| {
        Refusal::new(StatusCode::CONFLICT, "shift", words(zh, en), words("请核对交接人", "Check who hands over to whom"))
    };
    match error {
        ShiftError::Oneself | ShiftError::Text => Refusal::bad_request(error.to_string()).on("to"),
        ShiftError::Unknown => Refusal::not_found("该交接", "hand-over"),
        ShiftError::NotTheirs(who) => conflict(format!("该交接由 {who} 签收"), error.to_string()),
        ShiftError::Signed => conflict("该交接已签收".to_owned(), error.to_string()),
        ShiftError::Journal(error) => Refusal::failed("hand the shift over", error),
    }
}
