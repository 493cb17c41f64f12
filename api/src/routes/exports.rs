//! `/api/v1/exports`: copies to take away. Each needs its own reason and case, and has its own access record.

use super::{
    login::purpose_refused,
    wire::{WindowQuery, json},
};
use crate::{
    authority::Authority,
    exports::{Job, Order, State},
    ranges,
    recorded::with_lead_in,
    refusal::Refusal,
};
use axum::{
    Json,
    body::{Body, Bytes},
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use index::{
    access::{Action, Extent, Purpose},
    model::{CameraId, StreamId, StreamKind, UtcMicros, Window},
};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, atomic::Ordering};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use utoipa::ToSchema;

/// Cameras of one export.
const MAX_CAMERAS: usize = 16;

/// What to copy, and why.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportWish {
    /// At most 16.
    #[schema(value_type = Vec<u32>)]
    cameras: Vec<CameraId>,
    /// `main` or `sub`.
    #[schema(value_type = String)]
    stream: StreamKind,
    from_us: i64,
    to_us: i64,
    /// Why this leaves the system: 2 to 200 characters.
    reason: String,
    /// The case or document.
    case: String,
}

/// An export and how far it is.
#[derive(Serialize, ToSchema)]
pub(super) struct ExportBody {
    id: String,
    /// `queued`, `running`, `done` or `failed`.
    state: &'static str,
    /// 0 to 1.
    progress: f64,
    /// When it is done.
    files: Vec<ExportFile>,
    /// When it is done: the sums and gaps of all files.
    manifest: Option<String>,
    /// When it failed: why.
    refusal: Option<Refusal>,
}

/// One file of an export.
#[derive(Serialize, ToSchema)]
pub(super) struct ExportFile {
    #[schema(value_type = u32)]
    camera: CameraId,
    name: String,
    uri: String,
    bytes: u64,
    sha256: String,
    state: &'static str,
}

/// Begins an export.
#[utoipa::path(post, path = "/api/v1/exports", request_body = ExportWish,
    responses((status = 202, body = ExportBody), (status = 400, body = Refusal), (status = 403, body = Refusal)))]
pub(super) async fn begin(authority: Authority, bytes: Bytes) -> Result<(StatusCode, Json<ExportBody>), Refusal> {
    let (streams, window, purpose) = wanted(&authority, &bytes)?;
    let extent = Extent::recorded(streams.clone(), with_lead_in(window));
    let permit = authority.admit(Action::Export, extent, purpose.clone()).await?;
    let person = authority.person()?;
    let order = Order { person: person.name.clone(), display: person.display.clone(), purpose, streams, window, permit };
    let job = authority.node().exports.begin(authority.node(), order)?;
    Ok((StatusCode::ACCEPTED, Json(body(&job))))
}

/// The cameras that a body asks for.
pub(super) fn cameras(bytes: &[u8]) -> Result<Vec<CameraId>, Refusal> {
    json::<ExportWish>(bytes).map(|wish| wish.cameras)
}

/// What a body asks for: of which streams, when, and why.
pub(super) fn wanted(authority: &Authority, bytes: &[u8]) -> Result<(Vec<StreamId>, Window, Purpose), Refusal> {
    let wish: ExportWish = json(bytes)?;
    let window = WindowQuery { from_us: wish.from_us, to_us: wish.to_us }.footage()?;
    if wish.cameras.is_empty() || wish.cameras.len() > MAX_CAMERAS {
        return Err(Refusal::bad_request("name 1 to 16 cameras").on("cameras"));
    }
    if wish.case.trim().is_empty() {
        return Err(Refusal::bad_request("an export needs the number of a case or document").on("case"));
    }
    let category = authority.purpose()?.category();
    let purpose = Purpose::new(category, &wish.reason, Some(&wish.case)).map_err(|error| purpose_refused(error).on("reason"))?;
    let mut streams = wish.cameras.iter().map(|id| authority.stream(*id, wish.stream)).collect::<Result<Vec<_>, _>>()?;
    streams.sort();
    streams.dedup();
    Ok((streams, window, purpose))
}

/// How far an export is.
#[utoipa::path(get, path = "/api/v1/exports/{id}", params(("id" = String, Path)),
    responses((status = 200, body = ExportBody), (status = 404, body = Refusal)))]
pub(super) async fn progress(authority: Authority, Path(id): Path<String>) -> Result<Json<ExportBody>, Refusal> {
    Ok(Json(body(&*own(&authority, &id)?)))
}

/// A file of an export, with byte ranges: `{camera}.mp4` or `manifest.json`.
#[utoipa::path(get, path = "/api/v1/exports/{id}/{file}", params(("id" = String, Path), ("file" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "video/mp4"), (status = 206, body = Vec<u8>, content_type = "video/mp4"),
        (status = 404, body = Refusal), (status = 416, body = Refusal)))]
pub(super) async fn file(
    authority: Authority,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let job = own(&authority, &id)?;
    let node = authority.node().clone();
    let missing = || Refusal::not_found("该导出文件", "exported file");
    let path = node.exports.path(&job, &name).ok_or_else(missing)?;
    let State::Done(manifest) = job.state() else { return Err(missing()) };
    let made = manifest.files.iter().find(|made| made.file == name);
    // Fetching is an access of its own: pictures leave now, perhaps days after they were copied.
    let permit = match made {
        None => None,
        Some(made) => {
            let window = Window::new(UtcMicros::from_micros(made.from_us), UtcMicros::from_micros(made.to_us));
            let stream = StreamId::new(made.camera, made.stream);
            let extent = Extent::recorded([stream], window);
            authority.grant_media(Action::Export, &extent).map(drop)?;
            let visit = &authority.login()?.belongings;
            Some(match visit.find(Action::Export, |open| *open == extent) {
                Some(permit) => permit,
                None => visit.keep(authority.admit(Action::Export, extent, job.purpose.clone()).await?),
            })
        }
    };
    let mut file = tokio::fs::File::open(&path).await.map_err(|error| Refusal::failed("open an export", &error))?;
    let length = file.metadata().await.map_err(|error| Refusal::failed("open an export", &error))?.len();
    let tag = format!("\"{}\"", made.map_or(job.id.as_str(), |made| made.sha256.as_str()));
    let wanted = ranges::wanted(&headers, length, &tag)?;
    let range = wanted.bytes(length);
    file.seek(std::io::SeekFrom::Start(range.start)).await.map_err(|error| Refusal::failed("read an export", &error))?;
    let kind = if made.is_some() { "video/mp4" } else { "application/json" };
    let mut out = HeaderMap::new();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    out.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    out.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    for (key, text) in [(header::ETAG, tag), (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""))] {
        out.insert(key, HeaderValue::from_str(&text).map_err(|error| Refusal::failed("export header", &error))?);
    }
    let mut status = StatusCode::OK;
    if let ranges::Wanted::Part(_) = wanted {
        status = StatusCode::PARTIAL_CONTENT;
        let text = format!("bytes {}-{}/{length}", range.start, range.end - 1);
        out.insert(header::CONTENT_RANGE, HeaderValue::from_str(&text).map_err(|error| Refusal::failed("range", &error))?);
    }
    let blocks = tokio_util::io::ReaderStream::with_capacity(file.take(range.end - range.start), 256 << 10);
    let blocks = blocks.inspect(move |block| {
        if let (Ok(block), Some(permit)) = (block, &permit) {
            permit.count(block.len() as u64);
            node.figures.media_bytes.fetch_add(block.len() as u64, Ordering::Relaxed);
        }
    });
    Ok((status, out, Body::from_stream(blocks)).into_response())
}

/// An export of this person's; nobody else's exists for them.
fn own(authority: &Authority, id: &str) -> Result<Arc<Job>, Refusal> {
    let person = &authority.person()?.name;
    let job = authority.node().exports.find(id).filter(|job| job.person == *person);
    job.ok_or_else(|| Refusal::not_found("该导出任务", "export"))
}

fn body(job: &Job) -> ExportBody {
    let progress = job.progress();
    let (state, files, refusal) = match job.state() {
        State::Waiting => ("queued", Vec::new(), None),
        State::Running => ("running", Vec::new(), None),
        State::Failed(refusal) => ("failed", Vec::new(), Some(refusal)),
        State::Done(manifest) => {
            let file = |made: &crate::exports::ManifestFile| ExportFile {
                camera: made.camera,
                name: made.file.clone(),
                uri: format!("/api/v1/exports/{}/{}", job.id, made.file),
                bytes: made.bytes,
                sha256: made.sha256.clone(),
                state: "done",
            };
            ("done", manifest.files.iter().map(file).collect(), None)
        }
    };
    let manifest = (state == "done").then(|| format!("/api/v1/exports/{}/manifest.json", job.id));
    ExportBody { id: job.id.clone(), state, progress, files, manifest, refusal }
}
