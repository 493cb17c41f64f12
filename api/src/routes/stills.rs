//! `/api/v1/stills/{camera}`: one picture at an instant, as the key access unit itself or as JPEG.

use super::wire::{camera_id, stream_kind};
use crate::{
    authority::Authority,
    recorded::{nothing_recorded, unreadable, with_lead_in},
    refusal::{Refusal, words},
};
use axum::{
    extract::{Path, Query},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use index::{
    access::{Action, Extent},
    model::{AccessUnit, StreamId, Tracks, UtcMicros, Window},
};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Which picture.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StillQuery {
    /// The instant; the picture is of the last key unit at or before it. Left out: the newest picture there is, live.
    pub(super) at_us: Option<i64>,
    /// `main` (the default) or `sub`.
    pub(super) stream: Option<String>,
    /// `jpeg` (the default) or `unit`: the key access unit as recorded, with 4-byte lengths.
    format: Option<String>,
    /// The widest that a JPEG may be: 16 to 3840 pixels; its own width by default.
    width: Option<u32>,
}

/// One picture.
#[utoipa::path(get, path = "/api/v1/stills/{camera}", params(("camera" = u32, Path), StillQuery),
    responses((status = 200, body = Vec<u8>, content_type = "image/jpeg"), (status = 403, body = Refusal), (status = 404, body = Refusal)))]
pub(super) async fn still(
    authority: Authority,
    Path(camera): Path<String>,
    Query(query): Query<StillQuery>,
) -> Result<Response, Refusal> {
    let stream = authority.stream(camera_id(&camera)?, stream_kind(query.stream.as_deref().unwrap_or("main"))?)?;
    let jpeg = match query.format.as_deref() {
        None | Some("jpeg") => true,
        Some("unit") => false,
        Some(_) => return Err(Refusal::bad_request("format is jpeg or unit").on("format")),
    };
    let width = query.width.unwrap_or(3840).clamp(16, 3840);
    let at = query.at_us.map(UtcMicros::from_micros);
    let extent = match at {
        Some(at) => {
            Extent::recorded([stream], with_lead_in(Window::new(at, UtcMicros::from_micros(at.as_micros().saturating_add(1)))))
        }
        None => Extent::live([stream]),
    };
    let permit = authority.admit(Action::Still, extent, authority.purpose()?).await?;
    let node = authority.node().clone();
    let taken = authority.node().reads.run(move || {
        let (tracks, unit) = find(&node, &permit, stream, at)?;
        let picture = if jpeg {
            ingest::picture::jpeg(&tracks.video, &unit, width).map_err(|error| undecodable(&error))?
        } else {
            unit.data.to_vec()
        };
        permit.finish(picture.len() as u64);
        Ok::<_, Refusal>((tracks, unit.utc, picture))
    });
    let (tracks, utc, picture) = taken.await??;
    let mut headers = HeaderMap::new();
    let kind = if jpeg { "image/jpeg" } else { "application/octet-stream" };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert("x-haohe-utc-us", HeaderValue::from(utc.as_micros()));
    if let Ok(codec) = HeaderValue::from_str(&tracks.video.rfc6381) {
        headers.insert("x-haohe-codec", codec);
    }
    Ok((headers, picture).into_response())
}

fn find(
    node: &crate::node::Node,
    permit: &index::access::Permit,
    stream: StreamId,
    at: Option<UtcMicros>,
) -> Result<(Arc<Tracks>, AccessUnit), Refusal> {
    let Some(at) = at else {
        let newest = node.ingest.live().latest_key(permit, stream).ok().flatten();
        return newest.map(|(tracks, unit)| (tracks, (*unit).clone())).ok_or_else(nothing_recorded);
    };
    let reader = node.store.read(permit).map_err(|error| unreadable(&error))?;
    reader.key_unit(stream, at).map_err(|error| unreadable(&error))?.ok_or_else(nothing_recorded)
}

fn undecodable(error: &dyn std::fmt::Display) -> Refusal {
    tracing::warn!(%error, "a recorded key unit could not be decoded");
    Refusal::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "picture_undecodable",
        words("该画面无法解码；录像原样保存", "This picture cannot be decoded; it is kept as the camera sent it"),
        words("可换一个时刻，或导出录像后用其他软件查看", "Try another instant, or export the footage for another player"),
    )
}
