//! The cameras of the nodes below, as a centre lists them: what their journals say, under the names of their nodes.

use super::{CameraBody, CameraList, StateBody, StreamBody};
use crate::{authority::Authority, refusal::Refusal};
use index::{
    access::Action,
    model::{AudioBasis, CameraId, StreamKind, UtcMicros},
    site::{Clash, Doing, Located, View},
};
use serde::Serialize;
use utoipa::ToSchema;

/// A number that several nodes below use.
#[derive(Serialize, ToSchema)]
pub(super) struct ClashBody {
    #[schema(value_type = u32)]
    camera: CameraId,
    /// Whose camera it means here.
    owner: String,
    /// Who uses it too.
    others: Vec<String>,
}

/// The cameras in one's scope. Clashes are told of to whoever reaches the camera that the number means.
pub(super) fn list(authority: &Authority) -> Result<CameraList, Refusal> {
    let person = authority.person()?;
    let Some(site) = &authority.node().site else { return Err(Refusal::held_in_rooms()) };
    let view = site.view();
    let may = |located: &Located| person.may(Action::ListCameras, Some(&located.camera)).is_ok();
    let now = UtcMicros::now();
    let cameras = view.list().filter(|located| may(located)).map(|located| body(located)).collect();
    let known = view.clashes().iter().filter(|clash| view.get(clash.camera).is_some_and(|located| may(located)));
    let clashes = known.map(|clash| clash_body(&view, clash)).collect();
    Ok(CameraList { cameras, removed: Vec::new(), clashes, as_of_us: now.as_micros() })
}

fn clash_body(view: &View, clash: &Clash) -> ClashBody {
    let name = |node| view.path(node).map_or_else(|| node.to_string(), |path| path.join(" / "));
    ClashBody { camera: clash.camera, owner: name(clash.owner), others: clash.others.iter().map(|node| name(*node)).collect() }
}

fn body(located: &Located) -> CameraBody {
    let camera = located.camera.clone();
    let streams = StreamKind::ALL.into_iter().filter(|kind| camera.address(*kind).is_some());
    CameraBody {
        streams: streams.map(|kind| stream(kind, camera.enabled, located.doing)).collect(),
        id: camera.id,
        name: camera.name,
        place: camera.place,
        initials: located.initials.clone(),
        pinyin: located.pinyin.clone(),
        node: Some(located.node.to_string()),
        enabled: camera.enabled,
        retention: camera.retention,
        priority: camera.priority,
        transport: camera.transport,
        driver: None,
        driver_wanted: None,
        onvif: None,
        audio: camera.audio.map(|AudioBasis(basis)| basis),
        has_password: false,
        managed: "below",
    }
}

fn stream(kind: StreamKind, enabled: bool, doing: Option<Doing>) -> StreamBody {
    let (word, since) = match doing {
        _ if !enabled => ("paused", 0),
        Some(Doing { recorded: true, since }) => ("playing", since.as_micros()),
        Some(Doing { recorded: false, since }) => ("backing_off", since.as_micros()),
        None => ("untold", 0),
    };
    StreamBody {
        kind: kind.word(),
        address: None,
        state: StateBody { word, since_us: since, cause: None, sentence: None, remedy: None },
        codec: None,
        width: None,
        height: None,
        fps: None,
        gop_s: None,
        kbit_s: None,
        last_unit_us: None,
        recorded_to_us: None,
        lost_rtp_packets: 0,
        lost_kernel_packets: 0,
        lost_queue_units: 0,
        disk_wait_ms_p99: 0.0,
    }
}
