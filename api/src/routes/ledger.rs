//! `/api/v1/ledger`: how much was to be recorded, how much is, and for what the rest is missing, summed by camera, place, room and
//! day; cameras that were removed since included. The sums are those of the tiling that `/api/v1/coverage` draws, to the microsecond.

use super::{
    coverage::cause_words,
    wire::{WindowQuery, camera_id, stream_kind},
};
use crate::{
    authority::Authority,
    days,
    node::Node,
    refusal::{Refusal, Words, words},
};
use axum::{Json, extract::Query};
use index::{
    footage::Tally,
    model::{Camera, CameraId, GapCause, StreamId, StreamKind, UtcMicros, Window},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};
use utoipa::{IntoParams, ToSchema};

/// What is summed.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LedgerQuery {
    /// The first instant.
    pub(super) from_us: i64,
    /// The first instant no longer meant; at most 400 days later.
    pub(super) to_us: i64,
    /// `camera` (the default), `place`, `room`, `day`, `camera_day` or `place_day`.
    pub(super) by: Option<String>,
    /// Camera numbers, separated by commas; all in the scope if absent.
    pub(super) cameras: Option<String>,
    /// Only cameras below this place: its levels, outermost first, separated by slashes.
    pub(super) place: Option<String>,
    /// For sums by place: how many levels make a place, 1 to 6; 1 by default.
    pub(super) levels: Option<usize>,
    /// `main` (the default) or `sub`.
    stream: Option<String>,
}

/// Sums of recorded and missing time.
#[derive(Serialize, ToSchema)]
pub(super) struct Ledger {
    from_us: i64,
    to_us: i64,
    /// When this was true.
    as_of_us: i64,
    /// The node's time zone: days begin at its midnight.
    zone: String,
    by: &'static str,
    stream: &'static str,
    /// What the figures mean.
    definitions: BTreeMap<&'static str, Words>,
    /// What the causes are called.
    #[schema(value_type = BTreeMap<String, Words>)]
    causes: BTreeMap<&'static str, Words>,
    /// By camera or place, then by day.
    rows: Vec<Row>,
    total: Sums,
}

/// The sums of one camera, place or day.
#[derive(Serialize, ToSchema)]
pub(super) struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>)]
    camera: Option<CameraId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<Vec<String>>,
    /// Since when the camera is no longer recorded: what was recorded and missed before counts all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_us: Option<i64>,
    /// The date, in the node's time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    day: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_us: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_us: Option<i64>,
    #[serde(flatten)]
    sums: Sums,
}

/// Seconds of recording. `recorded_s` and all `gaps` together are `window_s`.
#[derive(Serialize, ToSchema)]
pub(super) struct Sums {
    /// Cameras summed.
    cameras: usize,
    window_s: f64,
    expected_s: f64,
    recorded_s: f64,
    missing_s: f64,
    partial_s: f64,
    units_lost: u64,
    /// 0 to 1; `null` if nothing is expected.
    completeness: Option<f64>,
    /// Seconds by cause; causes without any are left out.
    #[schema(value_type = BTreeMap<String, f64>)]
    gaps: BTreeMap<&'static str, f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Camera,
    Place,
    Room,
}

/// How the sums are cut: the word, which cameras together, and whether by day.
const CUTS: [(&str, Group, bool); 6] = [
    ("camera", Group::Camera, false),
    ("place", Group::Place, false),
    ("room", Group::Room, false),
    ("day", Group::Room, true),
    ("camera_day", Group::Camera, true),
    ("place_day", Group::Place, true),
];

/// How much was to be recorded, how much is, and why the rest is not.
#[utoipa::path(get, path = "/api/v1/ledger", params(LedgerQuery),
    responses((status = 200, body = Ledger), (status = 400, body = Refusal), (status = 404, body = Refusal)))]
pub(super) async fn ledger(authority: Authority, Query(query): Query<LedgerQuery>) -> Result<Json<Ledger>, Refusal> {
    let window = WindowQuery { from_us: query.from_us, to_us: query.to_us }.window()?;
    let word = query.by.as_deref().unwrap_or("camera");
    let (by, group, daily) = *CUTS
        .iter()
        .find(|(cut, ..)| *cut == word)
        .ok_or_else(|| Refusal::bad_request("by is camera, place, room, day, camera_day or place_day").on("by"))?;
    let kind = stream_kind(query.stream.as_deref().unwrap_or("main"))?;
    let days = days::of(window, &authority.node().config.zone)
        .ok_or_else(|| Refusal::bad_request(format!("the window is longer than {} days", days::MAX_DAYS)).on("to_us"))?;
    let cameras = chosen(&authority, &query, kind)?;
    let levels = query.levels.unwrap_or(1).clamp(1, 6);
    let node = authority.node().clone();
    let spans = match daily {
        true => days.iter().map(|(day, part)| (Some(day.to_string()), *part)).collect(),
        false => vec![(None, window)],
    };
    let (rows, total) = authority.node().reads.run(move || sum(&node, &cameras, kind, (group, levels), &spans)).await?;
    Ok(Json(Ledger {
        from_us: query.from_us,
        to_us: query.to_us,
        as_of_us: UtcMicros::now().as_micros(),
        zone: authority.node().config.zone_name.clone(),
        by,
        stream: kind.word(),
        definitions: definitions(),
        causes: GapCause::ALL.into_iter().map(|cause| (cause.word(), cause_words(cause))).collect(),
        rows,
        total,
    }))
}

/// A camera whose time is summed.
struct Chosen {
    camera: Camera,
    /// Since when it is no longer recorded.
    removed: Option<UtcMicros>,
}

/// The cameras asked for that this person may list; also those removed since, whose time counts as any other's.
fn chosen(authority: &Authority, query: &LedgerQuery, kind: StreamKind) -> Result<Vec<Chosen>, Refusal> {
    let wanted: Option<HashSet<CameraId>> = match query.cameras.as_deref().filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(text.split(',').map(camera_id).collect::<Result<_, _>>()?),
    };
    if let Some(wanted) = &wanted {
        // One that does not exist for this person is not silently left out of a sum.
        wanted.iter().try_for_each(|id| authority.camera(*id).map(drop))?;
    }
    let place: Vec<&str> = query.place.iter().flat_map(|place| place.split('/')).filter(|level| !level.is_empty()).collect();
    let below = |camera: &Camera| camera.place.len() >= place.len() && camera.place.iter().zip(&place).all(|(a, b)| a == b);
    let present = authority.cameras()?.into_iter().map(|entry| Chosen { camera: entry.camera, removed: None });
    let mut cameras: Vec<Chosen> = present.collect();
    let known: HashSet<CameraId> = cameras.iter().map(|chosen| chosen.camera.id).collect();
    // A number that another camera has by now is that camera's.
    let gone = authority.removed_cameras()?.into_iter().filter(|gone| !known.contains(&gone.camera.id));
    cameras.extend(gone.map(|gone| Chosen { camera: gone.camera, removed: Some(gone.at) }));
    cameras.retain(|Chosen { camera, .. }| {
        wanted.as_ref().is_none_or(|wanted| wanted.contains(&camera.id)) && below(camera) && camera.address(kind).is_some()
    });
    Ok(cameras)
}

/// What a row is about: a place, a camera, or with neither the room.
type Key = (Vec<String>, Option<CameraId>);

/// The sums of each group in each span. A camera that was removed before anything of the window was to be recorded is left out.
fn sum(
    node: &Node,
    cameras: &[Chosen],
    kind: StreamKind,
    (group, levels): (Group, usize),
    spans: &[(Option<String>, Window)],
) -> (Vec<Row>, Sums) {
    let windows: Vec<Window> = spans.iter().map(|(_, window)| *window).collect();
    let mut groups: BTreeMap<Key, (usize, Vec<Tally>)> = BTreeMap::new();
    let mut total = Tally::default();
    let mut by_id: BTreeMap<CameraId, &Chosen> = BTreeMap::new();
    for chosen in cameras {
        let camera = &chosen.camera;
        let tallies = node.store.tally(StreamId::new(camera.id, kind), &windows);
        if chosen.removed.is_some() && tallies.iter().all(|tally| tally.expected().is_zero()) {
            continue;
        }
        by_id.insert(camera.id, chosen);
        let key = match group {
            Group::Camera => (Vec::new(), Some(camera.id)),
            Group::Place => (camera.place.iter().take(levels).cloned().collect(), None),
            Group::Room => (Vec::new(), None),
        };
        let (count, sums) = groups.entry(key).or_insert_with(|| (0, vec![Tally::default(); windows.len()]));
        *count += 1;
        for (sum, tally) in sums.iter_mut().zip(tallies) {
            sum.add(&tally);
            total.add(&tally);
        }
    }
    let mut rows = Vec::new();
    for ((place, id), (count, sums)) in groups {
        let chosen = id.and_then(|id| by_id.get(&id).copied());
        let camera = chosen.map(|chosen| &chosen.camera);
        for ((day, window), tally) in spans.iter().zip(&sums) {
            if day.is_some() && tally.known.is_zero() {
                continue;
            }
            let place = (group != Group::Room).then(|| camera.map_or_else(|| place.clone(), |camera| camera.place.clone()));
            rows.push(Row {
                camera: id,
                name: camera.map(|camera| camera.name.clone()),
                removed_us: chosen.and_then(|chosen| chosen.removed).map(UtcMicros::as_micros),
                place,
                from_us: day.is_some().then(|| window.from.as_micros()),
                to_us: day.is_some().then(|| window.to.as_micros()),
                day: day.clone(),
                sums: Sums::new(count, tally),
            });
        }
    }
    (rows, Sums::new(by_id.len(), &total))
}

impl Sums {
    fn new(cameras: usize, tally: &Tally) -> Self {
        let seconds = |time: Duration| time.as_secs_f64();
        Self {
            cameras,
            window_s: seconds(tally.known),
            expected_s: seconds(tally.expected()),
            recorded_s: seconds(tally.recorded),
            missing_s: seconds(tally.missing()),
            partial_s: seconds(tally.partial),
            units_lost: tally.units,
            completeness: tally.completeness(),
            gaps: tally.gaps().map(|(cause, missing)| (cause.word(), seconds(missing))).collect(),
        }
    }
}

pub(super) fn definitions() -> BTreeMap<&'static str, Words> {
    BTreeMap::from([
        (
            "window_s",
            words(
                "台账已有结论的时长：所选时段，至当前为止，各摄像机相加",
                "Time the ledger accounts for: the window up to now, summed over cameras",
            ),
        ),
        (
            "expected_s",
            words(
                "应有录像的时长：除去未配置、到期删除和依法删除；暂停计入应有",
                "Time that should be on disk: all but not configured, deleted at end of term, and erased by order; a pause counts as expected",
            ),
        ),
        ("recorded_s", words("已录时长，含个别帧缺失的时段", "Time recorded, including time in which single frames are missing")),
        ("missing_s", words("应有而未录的时长", "Expected time that is not recorded")),
        ("partial_s", words("已录但有帧缺失的时长", "Recorded time in which frames are missing")),
        ("completeness", words("完整率：已录 ÷ 应有", "Recorded divided by expected")),
    ])
}
