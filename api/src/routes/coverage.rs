//! `/api/v1/coverage`: which seconds are recorded, and why the others are not, at a resolution fit for drawing.

use super::wire::{WindowQuery, stream_kind};
use crate::{
    authority::Authority,
    refusal::{Refusal, Words, words},
};
use axum::{Json, extract::Query};
use index::{
    footage::IntervalState,
    model::{CameraId, GapCause, StreamId, UtcMicros, Window},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use utoipa::{IntoParams, ToSchema};

/// Rows of one answer.
pub(super) const MAX_ROWS: usize = 64;

/// What is drawn.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CoverageQuery {
    /// Camera numbers, separated by commas; at most 64.
    pub(super) cameras: String,
    /// `main` (the default) or `sub`.
    stream: Option<String>,
    /// The first instant drawn.
    pub(super) from_us: i64,
    /// The first instant no longer drawn.
    pub(super) to_us: i64,
    /// How many pixels wide it is drawn: 1 to 8192, 1200 by default.
    px: Option<u32>,
}

/// The time of several cameras, tiled.
#[derive(Serialize, ToSchema)]
pub(super) struct Coverage {
    from_us: i64,
    to_us: i64,
    /// When this was true.
    as_of_us: i64,
    /// What is shorter than this may be merged with its neighbours. A gap never vanishes.
    bucket_us: i64,
    rows: Vec<Row>,
    /// What the codes mean.
    causes: BTreeMap<u8, Cause>,
}

/// The time of one stream.
#[derive(Serialize, ToSchema)]
pub(super) struct Row {
    #[schema(value_type = u32)]
    camera: CameraId,
    stream: &'static str,
    /// Its oldest picture; `null` if there is none.
    first_us: Option<i64>,
    /// `[from_us, to_us, code, share]`: code 0 is recorded, others are a cause; the share of it that is recorded. The
    /// last one ends where the ledger is complete to.
    #[schema(value_type = Vec<Vec<f64>>)]
    intervals: Vec<(i64, i64, u8, f32)>,
    /// What the place that named a cause had to add, where it had: the interval's place in the list, and the words. Says by which
    /// rule footage was deleted, and when.
    #[schema(value_type = Vec<Vec<serde_json::Value>>)]
    details: Vec<(usize, String)>,
}

/// Why there is no footage.
#[derive(Serialize, ToSchema)]
pub(super) struct Cause {
    #[schema(value_type = String)]
    word: GapCause,
    #[serde(flatten)]
    words: Words,
}

/// Which seconds are recorded, and why the others are not.
#[utoipa::path(get, path = "/api/v1/coverage", params(CoverageQuery),
    responses((status = 200, body = Coverage), (status = 400, body = Refusal), (status = 404, body = Refusal)))]
pub(super) async fn coverage(authority: Authority, Query(query): Query<CoverageQuery>) -> Result<Json<Coverage>, Refusal> {
    let window = WindowQuery { from_us: query.from_us, to_us: query.to_us }.window()?;
    let kind = stream_kind(query.stream.as_deref().unwrap_or("main"))?;
    let ids = query.cameras.split(',').filter(|id| !id.is_empty()).map(super::wire::camera_id).collect::<Result<Vec<_>, _>>()?;
    if ids.is_empty() || ids.len() > MAX_ROWS {
        return Err(Refusal::bad_request("name 1 to 64 cameras").on("cameras"));
    }
    let streams =
        ids.into_iter().map(|id| authority.camera(id).map(|_| StreamId::new(id, kind))).collect::<Result<Vec<_>, _>>()?;
    let px = query.px.unwrap_or(1200).clamp(1, 8192);
    let bucket = window.duration() / px;
    let node = authority.node().clone();
    let rows = authority.node().reads.run(move || {
        let firsts: HashMap<_, _> = node.store.streams().into_iter().map(|held| (held.stream, held.first)).collect();
        streams.into_iter().map(|stream| row(&node, stream, window, bucket, firsts.get(&stream).copied())).collect()
    });
    Ok(Json(Coverage {
        from_us: query.from_us,
        to_us: query.to_us,
        as_of_us: UtcMicros::now().as_micros(),
        bucket_us: i64::try_from(bucket.as_micros()).unwrap_or(i64::MAX),
        rows: rows.await?,
        causes: causes(),
    }))
}

fn row(node: &crate::node::Node, stream: StreamId, window: Window, bucket: Duration, first: Option<UtcMicros>) -> Row {
    let mut details = Vec::new();
    let intervals = node.store.coverage(stream, window, bucket).into_iter().enumerate().map(|(n, interval)| {
        let (code, share) = match interval.state {
            IntervalState::Recorded => (0, 1.0),
            IntervalState::Gap { cause, detail } => {
                details.extend((!detail.is_empty()).then_some((n, detail)));
                (cause.code(), 0.0)
            }
            IntervalState::Partial { cause, share, .. } => (cause.code(), share),
        };
        (interval.window.from.as_micros(), interval.window.to.as_micros(), code, share)
    });
    let intervals = intervals.collect();
    Row { camera: stream.camera, stream: stream.kind.word(), first_us: first.map(UtcMicros::as_micros), intervals, details }
}

pub(super) fn causes() -> BTreeMap<u8, Cause> {
    GapCause::ALL.into_iter().map(|cause| (cause.code(), Cause { word: cause, words: cause_words(cause) })).collect()
}

/// What a cause is called.
pub(crate) fn cause_words(cause: GapCause) -> Words {
    match cause {
        GapCause::NotConfigured => words("未配置", "not configured"),
        GapCause::Paused => words("已暂停", "paused"),
        GapCause::CameraUnreachable => words("摄像机无法连接", "camera unreachable"),
        GapCause::CameraRefused => words("摄像机拒绝连接", "camera refused"),
        GapCause::CameraSilent => words("摄像机无画面", "camera sent no picture"),
        GapCause::CameraFault => words("摄像机码流异常", "camera stream faulty"),
        GapCause::Network => words("网络丢包", "packets lost on the network"),
        GapCause::OurQueue => words("队列溢出", "our queue was full"),
        GapCause::Disk => words("磁盘故障或已满", "disk failed or full"),
        GapCause::Restart => words("录像服务未运行", "recorder not running"),
        GapCause::Expired => words("到期删除", "removed at end of term"),
        GapCause::Erased => words("依法删除", "erased by order"),
        GapCause::Damaged => words("存储后损坏", "damaged since stored"),
        GapCause::Unexplained => words("原因不明", "unexplained"),
        GapCause::NoNetwork => words("本机网络不通", "no network here"),
        GapCause::WrongPassword => words("摄像机密码错误", "camera refuses the password"),
        GapCause::UnsupportedCodec => words("编码格式不支持", "codec not supported"),
    }
}
