//! `/api/v1/fragments`: footage as the page's own player takes it: a list, then one fragment after another.
//!
//! The list opens one access for its whole window; the fragments are fetched under it. A fragment's media time counts from
//! `origin_us`, or from 1970 where none is given, so that every fragment of a stream lies on one timeline.

use super::wire::{WindowQuery, camera_id, stream_kind};
use crate::{
    authority::Authority,
    recorded::{Footage, Part, nothing_recorded, ticks, unreadable, with_lead_in},
    refusal::Refusal,
};
use axum::{
    Json,
    extract::{Path, Query},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use index::{
    access::{Action, Permit},
    footage::{FragmentRef, ReadError, mp4},
    model::{StreamId, Tracks, UtcMicros, Window},
};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, atomic::Ordering};
use utoipa::{IntoParams, ToSchema};

/// The fragments of a window, in order of time.
#[derive(Serialize, ToSchema)]
pub(super) struct FragmentList {
    fragments: Vec<FragmentBody>,
}

/// One fragment.
#[derive(Serialize, ToSchema)]
pub(super) struct FragmentBody {
    from_us: i64,
    to_us: i64,
    /// Whether decoding can start at it.
    key: bool,
    /// Where what decodes it is; equal for all fragments that the same tracks decode.
    init: String,
    /// Where it is.
    uri: String,
    /// Its length.
    bytes: u32,
}

/// Which fragment, and on which timeline.
#[derive(Deserialize, IntoParams, Clone, Copy)]
#[into_params(parameter_in = Query)]
pub(super) struct FragmentQuery {
    /// The fragment's own first instant.
    pub(super) from_us: i64,
    /// The fragment's own end.
    pub(super) to_us: i64,
    /// Where media time 0 is; 1970 by default.
    origin_us: Option<i64>,
}

/// A short name of what decodes a recording: part of an init's address, so that it never changes its content.
pub(super) fn tracks_name(tracks: &Tracks) -> String {
    blake3::hash(&mp4::init_segment(tracks)).to_hex()[..16].to_owned()
}

pub(super) fn init_uri(stream: StreamId, part: &Part) -> String {
    let window = part.fragment.window;
    let name = tracks_name(&part.tracks);
    let base = format!("/api/v1/fragments/{}/{}", stream.camera, stream.kind);
    format!("{base}/init/{name}.mp4?from_us={}&to_us={}", window.from.as_micros(), window.to.as_micros())
}

pub(super) fn fragment_uri(stream: StreamId, fragment: &FragmentRef) -> String {
    let (from, to) = (fragment.window.from.as_micros(), fragment.window.to.as_micros());
    format!(
        "/api/v1/fragments/{}/{}/{}/{}.m4s?from_us={from}&to_us={to}",
        stream.camera, stream.kind, fragment.segment, fragment.offset
    )
}

/// The fragments that play a window, from the last key unit before it on.
#[utoipa::path(get, path = "/api/v1/fragments/{camera}/{stream}", params(("camera" = u32, Path), ("stream" = String, Path), WindowQuery),
    responses((status = 200, body = FragmentList), (status = 403, body = Refusal), (status = 404, body = Refusal)))]
pub(super) async fn list(
    authority: Authority,
    Path((camera, kind)): Path<(String, String)>,
    Query(query): Query<WindowQuery>,
) -> Result<Json<FragmentList>, Refusal> {
    let window = query.footage()?;
    let stream = authority.stream(camera_id(&camera)?, stream_kind(&kind)?)?;
    let (footage, _) = open(&authority, Action::Playback, stream, window).await?;
    let mut init: Option<(Arc<Tracks>, String)> = None;
    let fragments = footage.parts.iter().map(|part| {
        if !init.as_ref().is_some_and(|(tracks, _)| *tracks == part.tracks) {
            init = Some((Arc::clone(&part.tracks), init_uri(stream, part)));
        }
        FragmentBody {
            from_us: part.fragment.window.from.as_micros(),
            to_us: part.fragment.window.to.as_micros(),
            key: part.fragment.starts_with_key,
            init: init.as_ref().map(|(_, uri)| uri.clone()).unwrap_or_default(),
            uri: fragment_uri(stream, &part.fragment),
            bytes: part.fragment.length,
        }
    });
    Ok(Json(FragmentList { fragments: fragments.collect() }))
}

/// Admits, then lists the footage of a window.
pub(super) async fn open(
    authority: &Authority,
    action: Action,
    stream: StreamId,
    window: Window,
) -> Result<(Footage, Arc<Permit>), Refusal> {
    let permit = authority.recorded(action, stream, with_lead_in(window)).await?;
    let (node, held) = (authority.node().clone(), Arc::clone(&permit));
    let footage = authority.node().reads.run(move || Footage::open(&node, &held, stream, window)).await?;
    Ok((footage.map_err(|error| unreadable(&error))?, permit))
}

/// What decodes a fragment: an initialisation segment.
#[utoipa::path(get, path = "/api/v1/fragments/{camera}/{stream}/init/{tracks}",
    params(("camera" = u32, Path), ("stream" = String, Path), ("tracks" = String, Path), FragmentQuery),
    responses((status = 200, body = Vec<u8>, content_type = "video/mp4"), (status = 404, body = Refusal)))]
pub(super) async fn init(
    authority: Authority,
    Path((camera, kind, name)): Path<(String, String, String)>,
    Query(query): Query<FragmentQuery>,
) -> Result<Response, Refusal> {
    let init = one(&authority, &camera, &kind, query, move |reader, found| {
        for fragment in found {
            let tracks = reader.tracks(&fragment)?;
            if name.strip_suffix(".mp4") == Some(tracks_name(&tracks).as_str()) {
                return Ok(Some(mp4::init_segment(&tracks)));
            }
        }
        Ok(None)
    });
    Ok(media(init.await?))
}

/// One fragment: `moof` and `mdat`, every byte checked.
#[utoipa::path(get, path = "/api/v1/fragments/{camera}/{stream}/{segment}/{offset}",
    params(("camera" = u32, Path), ("stream" = String, Path), ("segment" = String, Path), ("offset" = String, Path, description = "where it begins, and `.m4s`"), FragmentQuery),
    responses((status = 200, body = Vec<u8>, content_type = "video/mp4"), (status = 404, body = Refusal)))]
pub(super) async fn fragment(
    authority: Authority,
    Path((camera, kind, segment, file)): Path<(String, String, String, String)>,
    Query(query): Query<FragmentQuery>,
) -> Result<Response, Refusal> {
    // Players look at the ending of an address, so it has one.
    let offset: Option<u64> = file.strip_suffix(".m4s").and_then(|offset| offset.parse().ok());
    let offset = offset.ok_or_else(nothing_recorded)?;
    let origin = UtcMicros::from_micros(query.origin_us.unwrap_or(0));
    let bytes = one(&authority, &camera, &kind, query, move |reader, found| {
        let wanted = found.into_iter().find(|f| f.offset == offset && f.segment.to_string() == segment);
        let Some(wanted) = wanted else { return Ok(None) };
        let sequence = u32::try_from(wanted.window.from.as_micros() / 1_000_000).unwrap_or(1);
        reader.fetch(&wanted).map(|fragment| Some(fragment.retimed(ticks(wanted.window.from, origin), sequence)))
    });
    Ok(media(bytes.await?))
}

/// Reads something of the fragments in a fragment's own window, under the access that is open for it.
async fn one(
    authority: &Authority,
    camera: &str,
    kind: &str,
    query: FragmentQuery,
    read: impl FnOnce(&index::footage::Reader, Vec<FragmentRef>) -> Result<Option<Bytes>, ReadError> + Send + 'static,
) -> Result<Bytes, Refusal> {
    let window = WindowQuery { from_us: query.from_us, to_us: query.to_us }.footage()?;
    let stream = authority.stream(camera_id(camera)?, stream_kind(kind)?)?;
    // The list's window ends inside its last fragment; that much of it is covered.
    let permit = authority.recorded_touching(Action::Playback, stream, window).await?;
    let (node, held) = (authority.node().clone(), Arc::clone(&permit));
    let result = authority.node().reads.run(move || {
        let reader = node.store.read(&held)?;
        let found = reader.fragments(stream, window);
        read(&reader, found)
    });
    let bytes = result.await?.map_err(|error| unreadable(&error))?.ok_or_else(nothing_recorded)?;
    permit.count(bytes.len() as u64);
    authority.node().figures.media_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    Ok(bytes)
}

fn media(bytes: Bytes) -> Response {
    // Pictures are kept nowhere but in the page's memory: a cache would outlive the sign-in.
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("video/mp4")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    (headers, bytes).into_response()
}
