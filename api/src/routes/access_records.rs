//! `/api/v1/access-records`: who watched what, when and why, for auditors.

use super::wire::camera_id;
use crate::{authority::Authority, refusal::Refusal};
use axum::{Json, extract::Query};
use index::{
    access::{AccessRecord, Action, Category, Filter, Span},
    journal::Seq,
    model::{CameraId, StreamId, UtcMicros, Window},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which records. All are optional.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RecordsQuery {
    /// Of this account.
    person: Option<String>,
    /// About this camera.
    camera: Option<String>,
    /// Asked for at or after this.
    from_us: Option<i64>,
    /// Asked for before this.
    to_us: Option<i64>,
    /// `live`, `playback`, `still`, `export` or `search`.
    action: Option<String>,
    /// Those before this number: the `next_before_seq` of the last page.
    before_seq: Option<u64>,
    /// At most so many, up to 500; 100 by default.
    limit: Option<usize>,
}

/// Records, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Records {
    records: Vec<RecordBody>,
    /// Where to go on; absent when nothing older is left.
    next_before_seq: Option<u64>,
}

/// One access, or a refused attempt at one.
#[derive(Serialize, ToSchema)]
pub(super) struct RecordBody {
    /// Its place in the journal.
    seq: u64,
    at_us: i64,
    person: String,
    display: String,
    unit: String,
    login: String,
    #[schema(value_type = String)]
    from: std::net::IpAddr,
    #[schema(value_type = Vec<u32>)]
    cameras: Vec<CameraId>,
    #[schema(value_type = Vec<String>)]
    streams: Vec<StreamId>,
    /// `live`, `playback`, `still`, `export` or `search`.
    action: &'static str,
    /// What was opened or searched; absent for live.
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<WindowBody>,
    purpose: PurposeOf,
    /// What was searched for; absent for looks at pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<String>,
    /// Why it was refused; absent if it was admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    /// When it ended; `null` while it lasts.
    ended_us: Option<i64>,
    /// Bytes of media that left; `null` while it lasts or if the node stopped first.
    bytes: Option<u64>,
}

/// A window of time.
#[derive(Serialize, ToSchema)]
pub(super) struct WindowBody {
    /// Absent where it has no beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    from_us: Option<i64>,
    /// Absent where it has no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_us: Option<i64>,
}

/// Why.
#[derive(Serialize, ToSchema)]
pub(super) struct PurposeOf {
    #[schema(value_type = Option<String>)]
    category: Option<Category>,
    text: String,
    case: Option<String>,
}

/// Who watched what. For auditors.
#[utoipa::path(get, path = "/api/v1/access-records", params(RecordsQuery),
    responses((status = 200, body = Records), (status = 403, body = Refusal)))]
pub(super) async fn list(authority: Authority, Query(query): Query<RecordsQuery>) -> Result<Json<Records>, Refusal> {
    let action = query.action.as_deref().map(|word| {
        let named =
            Action::ALL.into_iter().find(|action| (action.is_media() || *action == Action::Search) && action.word() == word);
        named.ok_or_else(|| Refusal::bad_request("action is live, playback, still, export or search").on("action"))
    });
    let during = (query.from_us.is_some() || query.to_us.is_some()).then(|| {
        Window::new(
            query.from_us.map_or(UtcMicros::MIN, UtcMicros::from_micros),
            query.to_us.map_or(UtcMicros::MAX, UtcMicros::from_micros),
        )
    });
    let filter = Filter {
        person: query.person,
        camera: query.camera.as_deref().map(camera_id).transpose()?,
        during,
        action: action.transpose()?,
    };
    let (before, limit) = (query.before_seq.map(Seq::new), query.limit.unwrap_or(100).clamp(1, 500));
    let page = authority.node().blocking(move |node| node.register.records(&filter, before, limit)).await?;
    let page = page.map_err(|error| Refusal::failed("read the register", &error))?;
    Ok(Json(Records { records: page.records.into_iter().map(body).collect(), next_before_seq: page.next.map(Seq::get) }))
}

fn body(record: AccessRecord) -> RecordBody {
    let cameras = record.extent().cameras();
    let began = record.began;
    RecordBody {
        seq: record.seq.get(),
        at_us: record.at.as_micros(),
        person: began.person,
        display: began.display,
        unit: began.unit,
        login: began.login,
        from: began.from,
        cameras,
        streams: began.streams,
        action: began.action.word(),
        window: match began.span {
            Span::Live => None,
            Span::Recorded(Window { from, to }) => Some(WindowBody {
                from_us: (from > UtcMicros::MIN).then(|| from.as_micros()),
                to_us: (to < UtcMicros::MAX).then(|| to.as_micros()),
            }),
        },
        purpose: PurposeOf { category: began.category, text: began.text, case: began.case },
        question: began.question,
        refused: began.refused,
        ended_us: record.end.map(|end| end.at.as_micros()),
        bytes: record.end.and_then(|end| end.bytes),
    }
}
