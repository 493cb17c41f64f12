//! `/api/v1/cameras`: which cameras there are, how their streams do, and changing them.

mod below;

use super::wire::{camera_id, json, sentence};
use crate::{
    authority::Authority,
    node::{Shared, actor},
    refusal::{Refusal, Words, words},
};
use axum::{Json, body::Bytes, extract::Path, http::StatusCode};
use index::{
    access::Action,
    cameras::{CamerasError, Entry, Managed, Password, Removed, initials, pinyin},
    footage::StreamSummary,
    model::{
        AudioBasis, Camera, CameraAddress, CameraId, Credentials, DeviceAddress, Driver, Priority, RetentionClass, Secret,
        StreamId, StreamKind, Transport, UtcMicros, VideoCodec,
    },
};
use ingest::{StreamState, StreamStatus};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;

/// The cameras a person may list, by number.
#[derive(Serialize, ToSchema)]
pub(super) struct CameraList {
    cameras: Vec<CameraBody>,
    /// Those that are no longer recorded, and of which footage is left: it plays as any other.
    removed: Vec<RemovedBody>,
    /// Numbers that several nodes below use: each means one camera here, and the others are listed under none.
    clashes: Vec<below::ClashBody>,
    /// When this was true.
    as_of_us: i64,
}

/// One camera. No secret is in it.
#[derive(Serialize, ToSchema)]
pub(super) struct CameraBody {
    #[schema(value_type = u32)]
    id: CameraId,
    name: String,
    place: Vec<String>,
    /// The initials of its name in pinyin, for search.
    initials: String,
    /// Its name in pinyin, for search.
    pinyin: String,
    /// In a centre, the node that has it; the names before its own place are those of nodes.
    node: Option<String>,
    enabled: bool,
    /// `standard` or `key_target`.
    #[schema(value_type = String)]
    retention: RetentionClass,
    /// `low`, `normal` or `key`.
    #[schema(value_type = String)]
    priority: Priority,
    /// `tcp` or `udp`.
    #[schema(value_type = String)]
    transport: Transport,
    /// `retina`, `libav` or `native`, as configured or as the probe chose; `null` before.
    #[schema(value_type = Option<String>)]
    driver: Option<Driver>,
    /// The driver asked for; `null` lets the probe choose.
    #[schema(value_type = Option<String>)]
    driver_wanted: Option<Driver>,
    /// The address of its ONVIF device service, for who may change cameras; `null` otherwise or where it has none.
    onvif: Option<String>,
    /// The legal basis for recording sound; `null`: no sound is asked for.
    audio: Option<String>,
    /// Whether a user name and password are known.
    has_password: bool,
    /// `api`, `config`, or `below`: where it can be changed.
    managed: &'static str,
    streams: Vec<StreamBody>,
}

/// A camera that is no longer recorded.
#[derive(Serialize, ToSchema)]
pub(super) struct RemovedBody {
    #[schema(value_type = u32)]
    id: CameraId,
    /// As it was last, like its place.
    name: String,
    place: Vec<String>,
    initials: String,
    /// Since when it is not recorded.
    removed_us: i64,
    streams: Vec<LeftBody>,
}

/// What is left of a stream.
#[derive(Serialize, ToSchema)]
pub(super) struct LeftBody {
    /// `main` or `sub`.
    kind: &'static str,
    recorded_from_us: i64,
    recorded_to_us: i64,
}

/// One stream of a camera.
#[derive(Serialize, ToSchema)]
pub(super) struct StreamBody {
    /// `main` or `sub`.
    kind: &'static str,
    /// Only for those who may change cameras.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    state: StateBody,
    /// `h264` or `h265`.
    codec: Option<&'static str>,
    width: Option<u16>,
    height: Option<u16>,
    fps: Option<f32>,
    gop_s: Option<f64>,
    kbit_s: Option<u64>,
    last_unit_us: Option<i64>,
    /// Where what is durable on disk ends.
    recorded_to_us: Option<i64>,
    /// Where packets went since this process began: RTP packets that never came,
    lost_rtp_packets: u64,
    /// of them, those that this machine's kernel dropped because nobody read them in time,
    lost_kernel_packets: u64,
    /// units that our queue shed because the disks were too slow,
    lost_queue_units: u64,
    /// and how long fragments wait to be durable: milliseconds, 99th percentile of the last two minutes.
    disk_wait_ms_p99: f64,
}

/// Where a stream's session stands.
#[derive(Serialize, ToSchema)]
pub(super) struct StateBody {
    /// `connecting`, `playing`, `backing_off` or `paused`; in a centre as its node last told, `untold` where it did not.
    word: &'static str,
    since_us: i64,
    /// Why it is backing off: a gap cause.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<index::model::GapCause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sentence: Option<Words>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<Words>,
}

/// A camera to add, or what it shall be: all of its settings.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CameraWish {
    #[schema(value_type = u32)]
    id: CameraId,
    name: String,
    #[serde(default)]
    place: Vec<String>,
    #[schema(value_type = String)]
    main: CameraAddress,
    #[schema(value_type = Option<String>)]
    sub: Option<CameraAddress>,
    /// The address of its ONVIF device service, whose events are then pulled: `http://192.0.2.7/onvif/device_service`.
    #[schema(value_type = Option<String>)]
    onvif: Option<DeviceAddress>,
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    transport: Transport,
    #[schema(value_type = Option<String>)]
    driver: Option<Driver>,
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    retention: RetentionClass,
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    priority: Priority,
    /// The legal basis for recording sound; without one, sound is not asked for.
    audio: Option<String>,
    #[serde(default = "yes")]
    enabled: bool,
    /// With `password`: the camera's own user. Left out, what is known stays; `""` forgets it.
    user: Option<String>,
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Secret>,
}

fn yes() -> bool {
    true
}

impl CameraWish {
    fn split(self) -> Result<(Camera, Password), Refusal> {
        let password = match (self.user, self.password) {
            (Some(user), None) if user.is_empty() => Password::Clear,
            (Some(user), Some(password)) => Password::Set(Credentials { user, password }),
            (None, None) => Password::Keep,
            _ => return Err(Refusal::bad_request("user and password belong together").on("password")),
        };
        let camera = Camera {
            id: self.id,
            name: self.name,
            place: self.place,
            main: self.main,
            sub: self.sub,
            onvif: self.onvif,
            transport: self.transport,
            driver: self.driver,
            retention: self.retention,
            priority: self.priority,
            audio: self.audio.map(AudioBasis),
            enabled: self.enabled,
        };
        Ok((camera, password))
    }
}

/// The cameras this person may list, and how they do.
#[utoipa::path(get, path = "/api/v1/cameras", responses((status = 200, body = CameraList), (status = 403, body = Refusal)))]
pub(super) async fn list(authority: Authority) -> Result<Json<CameraList>, Refusal> {
    let node = authority.node();
    if node.site.is_some() {
        return below::list(&authority).map(Json);
    }
    let shows_address = authority.person()?.may(Action::ChangeCameras, None).is_ok();
    let statuses = statuses(node);
    let now = UtcMicros::now();
    let cameras = authority.cameras()?.into_iter().map(|entry| body(node, entry, &statuses, shows_address, now)).collect();
    Ok(Json(CameraList { cameras, removed: removed(&authority)?, clashes: Vec::new(), as_of_us: now.as_micros() }))
}

fn removed(authority: &Authority) -> Result<Vec<RemovedBody>, Refusal> {
    let gone = authority.removed_cameras()?;
    if gone.is_empty() {
        return Ok(Vec::new());
    }
    let held = authority.node().store.streams();
    let bodies = gone.into_iter().map(|Removed { camera, at }| RemovedBody {
        id: camera.id,
        initials: initials(&camera.name),
        name: camera.name,
        place: camera.place,
        removed_us: at.as_micros(),
        streams: held.iter().filter(|held| held.stream.camera == camera.id).map(left).collect(),
    });
    Ok(bodies.filter(|body| !body.streams.is_empty()).collect())
}

fn left(held: &StreamSummary) -> LeftBody {
    let StreamSummary { stream, first, last, .. } = held;
    LeftBody { kind: stream.kind.word(), recorded_from_us: first.as_micros(), recorded_to_us: last.as_micros() }
}

/// The cameras of a scope that should record and do not, by number.
pub(super) fn not_recording(authority: &Authority) -> Result<Vec<Camera>, Refusal> {
    let statuses = statuses(authority.node());
    let recording = |camera: &Camera| {
        let main = statuses.get(&StreamId::new(camera.id, StreamKind::Main));
        main.is_some_and(|status| matches!(status.state, StreamState::Playing))
    };
    let cameras = authority.cameras()?.into_iter().map(|entry| entry.camera);
    Ok(cameras.filter(|camera| camera.enabled && !recording(camera)).collect())
}

pub(super) fn statuses(node: &Shared) -> HashMap<StreamId, StreamStatus> {
    node.ingest.status().into_iter().flat_map(|camera| camera.streams).map(|status| (status.stream, status)).collect()
}

fn body(
    node: &Shared,
    entry: Entry,
    statuses: &HashMap<StreamId, StreamStatus>,
    shows_address: bool,
    now: UtcMicros,
) -> CameraBody {
    let camera = entry.camera;
    let streams = StreamKind::ALL.into_iter().filter_map(|kind| {
        let address = camera.address(kind)?;
        let stream = StreamId::new(camera.id, kind);
        let unknown;
        let status = match statuses.get(&stream) {
            Some(status) => status,
            None => {
                unknown = StreamStatus::unknown(stream, now);
                &unknown
            }
        };
        let recorded_to = node.store.recorded_to(stream).or(status.recorded_to);
        Some(stream_body(status, recorded_to, shows_address.then(|| address.to_string())))
    });
    CameraBody {
        streams: streams.collect(),
        id: camera.id,
        pinyin: pinyin(&camera.name),
        node: None,
        name: camera.name,
        place: camera.place,
        initials: entry.initials,
        enabled: camera.enabled,
        retention: camera.retention,
        priority: camera.priority,
        transport: camera.transport,
        driver: camera.driver.or(entry.verdict),
        driver_wanted: camera.driver,
        onvif: camera.onvif.filter(|_| shows_address).map(String::from),
        audio: camera.audio.map(|AudioBasis(basis)| basis),
        has_password: entry.has_password,
        managed: match entry.managed {
            Managed::Api => "api",
            Managed::Config => "config",
            Managed::Below => "below",
        },
    }
}

fn stream_body(status: &StreamStatus, recorded_to: Option<UtcMicros>, address: Option<String>) -> StreamBody {
    let cause = match status.state {
        StreamState::BackingOff { cause, .. } => Some(cause),
        _ => None,
    };
    let codec = status.codec.map(|codec| match codec {
        VideoCodec::H264 => "h264",
        VideoCodec::H265 => "h265",
    });
    StreamBody {
        kind: status.stream.kind.word(),
        address,
        state: StateBody {
            word: status.state.word(),
            since_us: status.since.as_micros(),
            cause,
            sentence: status.notice.as_ref().map(|notice| sentence(&notice.state)),
            remedy: status.notice.as_ref().map(|notice| sentence(&notice.remedy)),
        },
        codec,
        width: codec.map(|_| status.width),
        height: codec.map(|_| status.height),
        fps: codec.map(|_| status.fps),
        gop_s: codec.map(|_| status.gop.as_secs_f64()),
        kbit_s: codec.map(|_| status.bits_per_second / 1000),
        last_unit_us: status.last_unit.map(UtcMicros::as_micros),
        recorded_to_us: recorded_to.map(UtcMicros::as_micros),
        lost_rtp_packets: status.lost_rtp_packets,
        lost_kernel_packets: status.lost_kernel_packets,
        lost_queue_units: status.lost_queue_units,
        disk_wait_ms_p99: status.disk_wait_ms_p99,
    }
}

/// Adds a camera. Recording begins at once; the others lose nothing.
#[utoipa::path(post, path = "/api/v1/cameras", request_body = CameraWish,
    responses((status = 201), (status = 400, body = Refusal), (status = 409, body = Refusal)))]
pub(super) async fn add(authority: Authority, bytes: Bytes) -> Result<StatusCode, Refusal> {
    let (camera, password) = json::<CameraWish>(&bytes)?.split()?;
    if authority.node().camera(camera.id).is_some() {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            "camera_exists",
            words("该编号已被使用，未作任何更改", "Another camera has this number; nothing was changed"),
            words("请换一个编号，或修改原有摄像机", "Take another number, or change that camera"),
        )
        .on("id"));
    }
    put(&authority, camera, password).await?;
    Ok(StatusCode::CREATED)
}

/// Changes a camera. Only its own streams are interrupted, and only if how to reach it changes.
#[utoipa::path(put, path = "/api/v1/cameras/{id}", params(("id" = u32, Path)), request_body = CameraWish,
    responses((status = 204), (status = 400, body = Refusal), (status = 404, body = Refusal)))]
pub(super) async fn change(authority: Authority, Path(id): Path<String>, bytes: Bytes) -> Result<StatusCode, Refusal> {
    let id = camera_id(&id)?;
    let (camera, password) = json::<CameraWish>(&bytes)?.split()?;
    if camera.id != id {
        return Err(Refusal::bad_request("the body is about another camera").on("id"));
    }
    changeable(&authority, id)?;
    put(&authority, camera, password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a camera. Its footage is kept for its term.
#[utoipa::path(delete, path = "/api/v1/cameras/{id}", params(("id" = u32, Path)),
    responses((status = 204), (status = 404, body = Refusal)))]
pub(super) async fn remove(authority: Authority, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    let id = camera_id(&id)?;
    changeable(&authority, id)?;
    let by = actor(authority.person()?, authority.from());
    authority
        .node()
        .blocking(move |node| node.catalogue.remove(&by, id).map(|()| node.apply_cameras()))
        .await?
        .map_err(|error| refused(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether this person may change this camera. One that is no longer recorded is added again, not changed.
fn changeable(authority: &Authority, id: CameraId) -> Result<(), Refusal> {
    let camera = authority.camera(id)?;
    if authority.node().camera(id).is_none() {
        return Err(Refusal::not_found("该摄像机", "camera"));
    }
    authority.grant(Action::ChangeCameras, &[&camera], None).map(drop)
}

async fn put(authority: &Authority, camera: Camera, password: Password) -> Result<(), Refusal> {
    camera.check().map_err(|error| Refusal::bad_request(error.to_string()).on("camera"))?;
    // The new place must be within the person's scope too.
    authority.grant(Action::ChangeCameras, &[&camera], None).map(drop)?;
    let by = actor(authority.person()?, authority.from());
    let done = authority.node().blocking(move |node| node.catalogue.upsert(&by, camera, password).map(|()| node.apply_cameras()));
    done.await?.map_err(|error| refused(&error))
}

fn refused(error: &CamerasError) -> Refusal {
    let (status, zh) = match error {
        CamerasError::Unknown(_) => return Refusal::not_found("该摄像机", "camera"),
        CamerasError::Configured(_) | CamerasError::Twice(_) => (StatusCode::CONFLICT, "该摄像机由配置文件管理，未作任何更改"),
        CamerasError::TooMany => (StatusCode::CONFLICT, "摄像机数量已达上限，未作任何更改"),
        CamerasError::PasswordForNewHost(_) => (StatusCode::BAD_REQUEST, "地址已换主机，需重新填写摄像机密码"),
        CamerasError::Camera(..) => (StatusCode::BAD_REQUEST, "摄像机设置不正确，未作任何更改"),
        _ => return Refusal::failed("change cameras", error),
    };
    Refusal::new(status, "camera_refused", words(zh, error.to_string()), words("请更正后重试", "Correct it and try again"))
}
