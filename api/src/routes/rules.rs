//! `/api/v1/rules`: for which events operators are called, and how often that would have been before a rule is saved.

use super::{events, wire::json};
use crate::{
    authority::Authority,
    node::actor,
    refusal::{Refusal, words},
};
use axum::{Json, body::Bytes, extract::Path, http::StatusCode};
use index::{
    alarms::{self, AlarmError, Rule, RuleError, RuleId},
    model::UtcMicros,
};
use serde::Serialize;
use utoipa::ToSchema;

/// All rules.
#[derive(Serialize, ToSchema)]
pub(super) struct RulesBody {
    /// `id`, `name`, `enabled`, `kinds`, `severity`, `under`, `cameras`, `text`, `schedule` (`from_hour`, `to_hour`, `days`),
    /// `urgency` (`urgent`, `high`, `medium`), `group_s`, `hold_off_s`.
    #[schema(value_type = Vec<serde_json::Value>)]
    rules: Vec<Rule>,
    /// How many alarms a day one operator can look into.
    budget_per_day: u32,
}

/// The number of a rule.
#[derive(Serialize, ToSchema)]
pub(super) struct RuleNumber {
    id: u32,
}

/// What a rule would have made of the last days.
#[derive(Serialize, ToSchema)]
pub(super) struct RateBody {
    /// Oldest first.
    days: Vec<DayBody>,
    /// From here on everything was counted.
    counted_from_us: i64,
    /// Over what was counted; `null` if that is less than an hour.
    alarms_per_day: Option<f64>,
    /// How many a day one operator can look into.
    budget_per_day: u32,
}

/// A day on the district's clocks.
#[derive(Serialize, ToSchema)]
pub(super) struct DayBody {
    from_us: i64,
    /// Events that match.
    events: u64,
    /// Alarms that they would have been.
    alarms: u64,
}

/// The rules.
#[utoipa::path(get, path = "/api/v1/rules", responses((status = 200, body = RulesBody), (status = 403, body = Refusal)))]
pub(super) async fn list(authority: Authority) -> Json<RulesBody> {
    let node = authority.node();
    let rules = node.alarms.state().rules().cloned().collect();
    Json(RulesBody { rules, budget_per_day: node.config.alarm_budget_per_day })
}

/// Adds a rule. It is in force when the answer leaves.
#[utoipa::path(post, path = "/api/v1/rules", request_body = serde_json::Value,
    responses((status = 201, body = RuleNumber), (status = 400, body = Refusal), (status = 409, body = Refusal)))]
pub(super) async fn add(authority: Authority, body: Bytes) -> Result<(StatusCode, Json<RuleNumber>), Refusal> {
    let rule = Rule { id: RuleId::default(), ..json(&body)? };
    let id = set(&authority, rule).await?;
    Ok((StatusCode::CREATED, Json(RuleNumber { id: id.0 })))
}

/// Changes a rule. It is in force when the answer leaves.
#[utoipa::path(put, path = "/api/v1/rules/{rule}", params(("rule" = u32, Path)), request_body = serde_json::Value,
    responses((status = 204), (status = 400, body = Refusal), (status = 404, body = Refusal)))]
pub(super) async fn change(authority: Authority, Path(rule): Path<String>, body: Bytes) -> Result<StatusCode, Refusal> {
    let id = number(&rule)?;
    set(&authority, Rule { id, ..json(&body)? }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a rule. Its alarms stay until somebody takes them on.
#[utoipa::path(delete, path = "/api/v1/rules/{rule}", params(("rule" = u32, Path)),
    responses((status = 204), (status = 404, body = Refusal)))]
pub(super) async fn remove(authority: Authority, Path(rule): Path<String>) -> Result<StatusCode, Refusal> {
    let id = number(&rule)?;
    let by = actor(authority.person()?, authority.from());
    let removed = authority.node().blocking(move |node| node.alarms.remove_rule(&by, id)).await?;
    removed.map(|()| StatusCode::NO_CONTENT).map_err(refused)
}

/// How often a rule would have called over the last days, grouping and hold-off included. Nothing is changed.
#[utoipa::path(post, path = "/api/v1/rules/rate", request_body = serde_json::Value,
    responses((status = 200, body = RateBody), (status = 400, body = Refusal)))]
pub(super) async fn rate(authority: Authority, body: Bytes) -> Result<Json<RateBody>, Refusal> {
    let rule: Rule = json(&body)?;
    rule.check().map_err(|error| refused(error.into()))?;
    let reach = events::reach(&authority)?;
    let node = authority.node();
    let events = node.events.clone();
    let rate = node.searches.run(move || alarms::rate(&events, reach, &rule, UtcMicros::now())).await?;
    let rate = rate.map_err(|error| Refusal::failed("work out a rule's rate", &error))?;
    let day = |&(from, events, alarms): &(UtcMicros, u64, u64)| DayBody { from_us: from.as_micros(), events, alarms };
    Ok(Json(RateBody {
        days: rate.days.iter().map(day).collect(),
        counted_from_us: rate.counted_from.as_micros(),
        alarms_per_day: rate.alarms_per_day,
        budget_per_day: node.config.alarm_budget_per_day,
    }))
}

async fn set(authority: &Authority, rule: Rule) -> Result<RuleId, Refusal> {
    let by = actor(authority.person()?, authority.from());
    authority.node().blocking(move |node| node.alarms.set_rule(&by, rule)).await?.map_err(refused)
}

/// A path's number; 0, which means a new one, is none.
fn number(text: &str) -> Result<RuleId, Refusal> {
    let number = text.parse().ok().filter(|number| *number > 0).map(RuleId);
    number.ok_or_else(|| refused(RuleError::Unknown.into()))
}

fn refused(error: AlarmError) -> Refusal {
    match error {
        AlarmError::Rule(RuleError::Unknown) => Refusal::not_found("该规则", "rule"),
        AlarmError::Rule(error) => {
            let (status, field) = match error {
                RuleError::TooMany => (StatusCode::CONFLICT, "rules"),
                RuleError::Name => (StatusCode::BAD_REQUEST, "name"),
                RuleError::Kinds => (StatusCode::BAD_REQUEST, "kinds"),
                RuleError::Text => (StatusCode::BAD_REQUEST, "text"),
                RuleError::Schedule => (StatusCode::BAD_REQUEST, "schedule"),
                RuleError::Seconds | RuleError::Unknown => (StatusCode::BAD_REQUEST, "group_s"),
            };
            Refusal::new(
                status,
                "rule_refused",
                words("规则不被接受，未作任何更改", format!("Nothing was changed: {error}")),
                words("请更正后重试", "Correct it and try again"),
            )
            .on(field)
        }
        error => Refusal::failed("change a rule", &error),
    }
}
