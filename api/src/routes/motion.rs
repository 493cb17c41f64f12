//! `/api/v1/motion`: when something moved in a part of the picture, and how much along time.
//!
//! It says when there was somebody, so it is a search: for whoever may search, within their cameras, and written to the register before the
//! answer leaves, once a question, not once a page of it. How much moved along a timeline that is looked at is part of looking at it.

use super::wire::{WindowQuery, camera_id};
use crate::{authority::Authority, refusal::Refusal};
use axum::{Json, extract::Query};
use index::{
    model::{CameraId, UtcMicros, Window},
    motion::{Answer, CELLS, COLUMNS, Grid, MAX_CAMERAS, MAX_DAYS, MAX_SPANS, Order, Question, ROWS, Seen},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// Quiet that ends a span, unless the question says otherwise, and at most, in seconds.
const JOIN: (u64, u64) = (10, 3600);
/// Spans of a page that does not say how many.
const DEFAULT_LIMIT: usize = 100;
/// Columns of a density.
const MAX_COLUMNS: usize = 4_000;

/// Where and when.
#[derive(Deserialize, IntoParams, Debug)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MotionQuery {
    /// Camera numbers, parted by commas; at most 64.
    cameras: String,
    /// The first instant searched.
    from_us: i64,
    /// The first instant no longer searched; at most 400 days later.
    to_us: i64,
    /// The corners of a polygon, in shares of the picture from its upper left corner: `x,y,x,y,…`; at most 64 corners.
    polygon: Option<String>,
    /// Cells of the 32 × 18 that a picture has, numbered row by row from 0: `40-45,72-77`. Without either, the whole picture.
    cells: Option<String>,
    /// Quiet of fewer seconds does not end a span: 0 to 3,600, 10 by default.
    join_s: Option<u64>,
    /// Only spans of so many seconds and more.
    least_s: Option<u64>,
    /// `newest` (the default) or `oldest` first.
    order: Option<String>,
    /// Those after a page: its `next`.
    after: Option<String>,
    /// At most so many, up to 500; 100 by default.
    limit: Option<usize>,
}

/// When something moved there.
#[derive(Serialize, ToSchema)]
pub(super) struct MotionBody {
    spans: Vec<SpanBody>,
    /// For the next page; `null` at the end.
    next: Option<String>,
    coverage: MotionCoverage,
}

/// Something moved.
#[derive(Serialize, ToSchema)]
pub(super) struct SpanBody {
    #[schema(value_type = u32)]
    camera: CameraId,
    from_us: i64,
    to_us: i64,
    /// In how many pictures, of those looked at.
    pictures: u32,
}

/// What the answer covers.
#[derive(Serialize, ToSchema)]
pub(super) struct MotionCoverage {
    /// The answer is complete for this window: all that was asked for, or as far as its last span.
    from_us: i64,
    to_us: i64,
    cameras: Vec<SeenBody>,
    /// How many pictures were gone through.
    pictures: u64,
    /// Bytes of stored grids that do not read back; their time counts as not looked at.
    damaged_bytes: u64,
}

/// What of a camera's time was looked at.
#[derive(Serialize, ToSchema)]
pub(super) struct SeenBody {
    #[schema(value_type = u32)]
    camera: CameraId,
    /// 0 to 1.
    share: f64,
    /// `[from_us, to_us]` of times that nobody looked at; the longest 50 if `more`.
    #[schema(value_type = Vec<Vec<i64>>)]
    unseen: Vec<(i64, i64)>,
    more: bool,
}

/// When did something move in this part of the picture?
#[utoipa::path(get, path = "/api/v1/motion", params(MotionQuery),
    responses((status = 200, body = MotionBody), (status = 400, body = Refusal), (status = 403, body = Refusal), (status = 404, body = Refusal)))]
pub(super) async fn search(authority: Authority, Query(query): Query<MotionQuery>) -> Result<Json<MotionBody>, Refusal> {
    let question = question(&query)?;
    within_reach(&authority, &question.cameras)?;
    authority.purpose()?;
    if question.after.is_none() {
        authority.note_search(question.window, described(&query)).await?;
    }
    let node = authority.node().clone();
    let motion = node.motion.clone();
    let order = question.order;
    let answer = node.searches.run(move || motion.search(&question)).await?;
    Ok(Json(body(answer, order)))
}

/// What is drawn.
#[derive(Deserialize, IntoParams, Debug)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DensityQuery {
    /// Camera numbers, parted by commas; at most 9.
    pub(super) cameras: String,
    /// The first instant drawn.
    from_us: i64,
    /// The first instant no longer drawn; at most 400 days later.
    to_us: i64,
    /// How many columns wide: 1 to 4,000, 600 by default.
    columns: Option<usize>,
}

/// How much moved along time.
#[derive(Serialize, ToSchema)]
pub(super) struct DensityBody {
    from_us: i64,
    to_us: i64,
    rows: Vec<DensityRow>,
}

/// One camera's row.
#[derive(Serialize, ToSchema)]
pub(super) struct DensityRow {
    #[schema(value_type = u32)]
    camera: CameraId,
    /// For each column, in percent: in how much of its looked-at time something moved; -1 where nobody looked.
    moved: Vec<i8>,
}

/// How much moved along time, for drawing under a timeline.
#[utoipa::path(get, path = "/api/v1/motion/density", params(DensityQuery),
    responses((status = 200, body = DensityBody), (status = 400, body = Refusal), (status = 404, body = Refusal)))]
pub(super) async fn density(authority: Authority, Query(query): Query<DensityQuery>) -> Result<Json<DensityBody>, Refusal> {
    let window = window(query.from_us, query.to_us)?;
    let cameras = cameras(&query.cameras, 9)?;
    within_reach(&authority, &cameras)?;
    authority.purpose()?;
    let columns = query.columns.unwrap_or(600).clamp(1, MAX_COLUMNS);
    let node = authority.node().clone();
    let motion = node.motion.clone();
    let read = move || -> Vec<DensityRow> {
        let row = |camera| {
            let density = motion.density(camera, window, &Grid::ALL, columns);
            let percent = |(moved, looked): (&f32, &f32)| {
                if *looked > 0.0 { ((moved * 100.0).round() as i8).max(i8::from(*moved > 0.0)) } else { -1 }
            };
            DensityRow { camera, moved: density.moved.iter().zip(&density.looked).map(percent).collect() }
        };
        cameras.into_iter().map(row).collect()
    };
    let rows = node.searches.run(read).await?;
    Ok(Json(DensityBody { from_us: query.from_us, to_us: query.to_us, rows }))
}

/// A camera outside the scope does not exist.
pub(super) fn within_reach(authority: &Authority, cameras: &[CameraId]) -> Result<(), Refusal> {
    cameras.iter().try_for_each(|camera| authority.camera(*camera).map(drop))
}

pub(super) fn cameras(text: &str, most: usize) -> Result<Vec<CameraId>, Refusal> {
    let cameras = text.split(',').filter(|id| !id.is_empty()).map(camera_id).collect::<Result<Vec<_>, _>>()?;
    if cameras.is_empty() || cameras.len() > most {
        return Err(Refusal::bad_request(format!("name 1 to {most} cameras")).on("cameras"));
    }
    Ok(cameras)
}

fn window(from_us: i64, to_us: i64) -> Result<Window, Refusal> {
    let window = WindowQuery { from_us, to_us }.window()?;
    if window.duration() > Duration::from_secs(86_400 * u64::from(MAX_DAYS)) {
        return Err(Refusal::bad_request("the window is longer than 400 days").on("to_us"));
    }
    Ok(window)
}

pub(super) fn question(query: &MotionQuery) -> Result<Question, Refusal> {
    let bad = |field: &'static str, what: &'static str| Refusal::bad_request(what).on(field);
    let region = match (&query.polygon, &query.cells) {
        (Some(corners), None) => {
            polygon(corners).ok_or_else(|| bad("polygon", "a polygon is x,y,x,y,…, each 0 to 1, at most 64 corners"))?
        }
        (None, Some(list)) => {
            cells(list).ok_or_else(|| bad("cells", "cells are numbers from 0 to 575, or ranges of them: 40-45,72"))?
        }
        (None, None) => Grid::ALL,
        (Some(_), Some(_)) => return Err(bad("cells", "give a polygon or cells, not both")),
    };
    let order = match query.order.as_deref() {
        None | Some("newest") => Order::NewestFirst,
        Some("oldest") => Order::OldestFirst,
        Some(_) => return Err(bad("order", "order is newest or oldest")),
    };
    let after = query.after.as_deref().map(|text| key(text).ok_or_else(|| bad("after", "this is no page's next"))).transpose()?;
    Ok(Question {
        cameras: cameras(&query.cameras, MAX_CAMERAS)?,
        window: window(query.from_us, query.to_us)?,
        region,
        join: Duration::from_secs(query.join_s.unwrap_or(JOIN.0).min(JOIN.1)),
        least: Duration::from_secs(query.least_s.unwrap_or(0)),
        order,
        after,
        limit: query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_SPANS),
    })
}

fn polygon(text: &str) -> Option<Grid> {
    let numbers: Vec<f32> = text.split(',').take(129).map(|part| part.trim().parse().ok()).collect::<Option<_>>()?;
    let (corners, rest) = numbers.as_chunks::<2>();
    let corners: Vec<(f32, f32)> = corners.iter().map(|[x, y]| (*x, *y)).collect();
    rest.is_empty().then(|| Grid::polygon(&corners)).flatten()
}

fn cells(text: &str) -> Option<Grid> {
    let mut grid = Grid::EMPTY;
    for part in text.split(',').take(CELLS + 1) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (usize, usize) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        if from > to || to >= COLUMNS * ROWS {
            return None;
        }
        (from..=to).for_each(|cell| grid.set(cell));
    }
    Some(grid)
}

/// A page's place: instant and camera of its last span.
fn key(text: &str) -> Option<(UtcMicros, CameraId)> {
    let (at, camera) = text.split_once('.')?;
    Some((UtcMicros::from_micros(at.parse().ok().filter(|at| *at >= 0)?), camera.parse().ok()?))
}

/// What the register keeps of a question.
pub(super) fn described(query: &MotionQuery) -> String {
    let region = query.polygon.as_ref().or(query.cells.as_ref()).map_or("*", String::as_str);
    let mut text = format!("motion cameras={} region={region}", query.cameras);
    let end = text.char_indices().nth(400).map_or(text.len(), |(at, _)| at);
    text.truncate(end);
    text
}

fn body(answer: Answer, order: Order) -> MotionBody {
    let Answer { spans, more, answered, seen, pictures, damaged } = answer;
    let next =
        spans.last().filter(|_| more).map(|span| span.key(order)).map(|(at, camera)| format!("{}.{camera}", at.as_micros()));
    let times = |window: Window| (window.from.as_micros(), window.to.as_micros());
    let seen_body = |seen: Seen| SeenBody {
        camera: seen.camera,
        share: (seen.share * 1e4).floor() / 1e4,
        unseen: seen.unseen.into_iter().map(times).collect(),
        more: seen.more,
    };
    let span = |span: &index::motion::Span| SpanBody {
        camera: span.camera,
        from_us: span.window.from.as_micros(),
        to_us: span.window.to.as_micros(),
        pictures: span.pictures,
    };
    MotionBody {
        spans: spans.iter().map(span).collect(),
        next,
        coverage: MotionCoverage {
            from_us: answered.from.as_micros(),
            to_us: answered.to.as_micros(),
            cameras: seen.into_iter().map(seen_body).collect(),
            pictures,
            damaged_bytes: damaged,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_numbers_and_ranges_and_polygons_pairs() {
        assert_eq!(cells("40-42,575").map(|grid| grid.cells().collect::<Vec<_>>()), Some(vec![40, 41, 42, 575]));
        for wrong in ["", "576", "3-1", "a", "1,,2", "-1"] {
            assert_eq!(cells(wrong), None, "{wrong:?}");
        }
        assert_eq!(polygon("0,0,1,0,1,1,0,1").map(|grid| grid.count()), Some(CELLS));
        for wrong in ["0,0,1", "0,0,2,1", "x,1"] {
            assert_eq!(polygon(wrong), None, "{wrong:?}");
        }
        assert_eq!(key("1500.7").map(|(at, camera)| (at.as_micros(), camera.number())), Some((1500, 7)));
        assert!(key("1500").is_none() && key("-1.7").is_none() && key("1.0").is_none());
    }
}
