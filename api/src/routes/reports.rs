//! `/api/v1/reports`: how well rooms recorded and how soon somebody came, by room, sub-district or district and day, week or month; as JSON
//! for the page, as CSV and as a page to print.
//!
//! Reports are about nodes as a whole: they rank rooms and count incidents of every camera. So whoever reaches a part of the site only is
//! told no, in words, instead of being shown sums that look like the room's and are not; what was recorded of their own cameras
//! is at `/api/v1/ledger`. That a report was taken out is in the journal before it leaves.

mod body;
mod print;

use crate::{
    authority::Authority,
    days,
    node::{Node, Shared, actor},
    refusal::{Refusal, Words},
    stating,
};
use axum::{
    Json,
    extract::Query,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use body::{Level, ReportBody, Source};
use index::{
    journal::History,
    model::{NodeId, Tier, UtcMicros, Window},
    reports::{Day, Period, Step, Sum, periods},
};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use utoipa::IntoParams;

/// Rows of one answer, at most.
const MAX_ROWS: usize = 6_000;

/// Which report.
#[derive(Deserialize, IntoParams, Clone)]
#[into_params(parameter_in = Query)]
pub(super) struct ReportQuery {
    /// The first day, `2026-11-01`, in the node's time zone.
    from: String,
    /// The last day; at most 400 days later.
    to: String,
    /// `day` (the default), `week` from Monday, or `month`.
    step: Option<String>,
    /// What is a row: `room` (the default), `subdistrict` or `district`.
    level: Option<String>,
    /// Only this node, or the rooms below it.
    under: Option<String>,
    /// `zh` (the default) or `en`: the language of what is printed.
    lang: Option<String>,
}

/// A question that was understood.
struct Asked {
    from: Day,
    to: Day,
    step: Step,
    level: Level,
    under: Option<NodeId>,
    periods: Vec<Period>,
}

impl ReportQuery {
    fn understood(&self) -> Result<Asked, Refusal> {
        let day = |text: &str, field: &'static str| text.parse::<Day>().map_err(|why| Refusal::bad_request(why).on(field));
        let (from, to) = (day(&self.from, "from")?, day(&self.to, "to")?);
        let word = self.step.as_deref().unwrap_or("day");
        let step = Step::ALL.into_iter().find(|step| step.word() == word);
        let step = step.ok_or_else(|| Refusal::bad_request("step is day, week or month").on("step"))?;
        let level = Level::from_word(self.level.as_deref().unwrap_or("room"))
            .ok_or_else(|| Refusal::bad_request("level is room, subdistrict or district").on("level"))?;
        let under =
            self.under.as_deref().filter(|text| !text.is_empty()).map(|text| {
                text.parse::<NodeId>().map_err(|_| Refusal::bad_request("under is the number of a node").on("under"))
            });
        let periods = periods(from, to, step, days::MAX_DAYS)
            .ok_or_else(|| Refusal::bad_request(format!("the days are none, or more than {}", days::MAX_DAYS)).on("to"))?;
        Ok(Asked { from, to, step, level, under: under.transpose()?, periods })
    }

    fn english(&self) -> bool {
        self.lang.as_deref() == Some("en")
    }
}

/// How well rooms recorded and how soon somebody came.
#[utoipa::path(get, path = "/api/v1/reports", params(ReportQuery),
    responses((status = 200, body = ReportBody), (status = 400, body = Refusal), (status = 403, body = Refusal)))]
pub(super) async fn report(authority: Authority, Query(query): Query<ReportQuery>) -> Result<Json<ReportBody>, Refusal> {
    made(&authority, &query).await.map(Json)
}

/// The same as a table for a spreadsheet: UTF-8 with its mark, a row for each period and node and one for all together.
#[utoipa::path(get, path = "/api/v1/reports.csv", params(ReportQuery),
    responses((status = 200, body = String, content_type = "text/csv"), (status = 403, body = Refusal)))]
pub(super) async fn csv(authority: Authority, Query(query): Query<ReportQuery>) -> Result<Response, Refusal> {
    let body = made(&authority, &query).await?;
    note(&authority, &query, "csv").await?;
    let name = format!("attachment; filename=\"haohe-report-{}-{}.csv\"", body.from, body.to);
    let name = HeaderValue::from_str(&name).map_err(|error| Refusal::failed("name the file", &error))?;
    let kind = HeaderValue::from_static("text/csv; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], print::csv(&body, query.english())).into_response())
}

/// The same as a page to print.
#[utoipa::path(get, path = "/api/v1/reports.html", params(ReportQuery),
    responses((status = 200, body = String, content_type = "text/html"), (status = 403, body = Refusal)))]
pub(super) async fn page(authority: Authority, Query(query): Query<ReportQuery>) -> Result<Response, Refusal> {
    let body = made(&authority, &query).await?;
    note(&authority, &query, "html").await?;
    let who = &authority.person()?.display;
    Ok(axum::response::Html(print::html(&body, query.english(), who)).into_response())
}

/// How that page looks; apart, because nothing inline is taken here.
#[utoipa::path(get, path = "/api/v1/reports.css", responses((status = 200, body = String, content_type = "text/css")))]
pub(super) async fn style() -> Response {
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"))];
    (headers, include_str!("reports/print.css")).into_response()
}

/// Notes who takes which report out, before it leaves.
async fn note(authority: &Authority, query: &ReportQuery, format: &'static str) -> Result<(), Refusal> {
    let by = actor(authority.person()?, authority.from());
    let body = json!({
        "actor": by, "format": format, "from": query.from, "to": query.to,
        "step": query.step, "level": query.level, "under": query.under,
    });
    let noted = authority.node().note("report.taken", body).await;
    noted.map(drop).map_err(|error| Refusal::failed("note who takes a report out", &error))
}

async fn made(authority: &Authority, query: &ReportQuery) -> Result<ReportBody, Refusal> {
    let asked = query.understood()?;
    let node = authority.node().clone();
    authority.node().reads.run(move || make(&node, &asked)).await?
}

fn make(node: &Shared, asked: &Asked) -> Result<ReportBody, Refusal> {
    let now = UtcMicros::now();
    let sources: Vec<Source> = sources(node, now).into_iter().filter(|source| source.is_under(asked.under)).collect();
    if asked.under.is_some() && sources.is_empty() {
        return Err(Refusal::not_found("该节点", "node"));
    }
    if sources.len().max(1) * asked.periods.len() > MAX_ROWS {
        return Err(Refusal::bad_request(format!("these are more than {MAX_ROWS} rows: choose weeks or months, or fewer days"))
            .on("step"));
    }
    let windows = windows(node, asked.from, asked.to);
    let sum = |source: &Source, period: &Period| sum(node, source, period, &windows, now);
    Ok(ReportBody::new(node, asked, &sources, now, sum))
}

/// The rooms that this node can report of: itself, or those below.
fn sources(node: &Node, now: UtcMicros) -> Vec<Source> {
    let Some(below) = &node.below else {
        return vec![Source::own(node.id, node.config.name.clone(), now)];
    };
    let name = |id: NodeId| match below.roster.of(id) {
        Some(known) => known.named.name,
        None if id == node.id => node.config.name.clone(),
        None => id.to_string(),
    };
    let book = node.reports.book();
    let stated: Vec<NodeId> = book.nodes().collect();
    drop(book);
    let looked = below.look(now).into_iter();
    let rooms = looked.filter(|below| match &below.known {
        Some(known) => known.named.tier == Tier::Room,
        None => stated.contains(&below.node),
    });
    let source = |room: crate::link::below::NodeBelow| Source {
        node: room.node,
        name: name(room.node),
        // A room that is fetched from itself stands below this centre.
        above: if room.standing.via == room.node {
            (node.id, node.config.name.clone())
        } else {
            (room.standing.via, name(room.standing.via))
        },
        covered_to: below.copies.of(room.node).ok().and_then(|copy| copy.newest_at()).filter(|_| room.standing.tail.get() > 0),
        read_to_end: below.copies.of(room.node).is_ok_and(|copy| node.reports.book().cursor(room.node) >= copy.head().0),
        reason: room.missing.map(super::below::reason),
    };
    rooms.map(source).collect()
}

/// The whole windows of the days asked for, as the node counts them.
fn windows(node: &Node, from: Day, to: Day) -> BTreeMap<Day, Window> {
    let midnight = |day: jiff::civil::Date| {
        let at = day.to_zoned(node.config.zone.clone()).ok()?.timestamp();
        Some(UtcMicros::from_micros(at.as_microsecond()))
    };
    let mut windows = BTreeMap::new();
    let mut day = from.0;
    while day <= to.0 {
        let Ok(next) = day.tomorrow() else { break };
        if let (Some(from), Some(to)) = (midnight(day), midnight(next)) {
            windows.insert(Day(day), Window::new(from, to));
        }
        day = next;
    }
    windows
}

/// What a node stated of a period's days. Days that are not over are worked out where that can be done: in the room itself.
fn sum(node: &Node, source: &Source, period: &Period, windows: &BTreeMap<Day, Window>, now: UtcMicros) -> Sum {
    let mut sum = Sum::default();
    let first = node.reports.book().first_day(source.node);
    for day in &period.days {
        let Some(window) = windows.get(day).filter(|window| window.from < now) else { continue };
        let stated = node.reports.book().stated(source.node, *day).cloned();
        // A day is worked out only while the ledger has all of it, and a node is asked nothing of before it was there.
        let fresh = now.since(window.to) <= stating::GRACE * 6;
        let live = || stating::live(node, *day, Window::new(window.from, window.to.min(now)));
        match stated.or_else(|| fresh.then(live).flatten()) {
            Some(statement) => sum.take(&statement),
            None if fresh || first.is_some_and(|first| *day < first) => {}
            None => sum.missing.push(*day),
        }
    }
    sum
}

/// Words of a list, by their stable names.
type WordList = BTreeMap<String, Words>;
