//! What health says of cameras whose events are pulled: from whom none can be, and why.

use super::{Problem, Severity};
use crate::{
    node::Node,
    refusal::{Words, words},
};
use index::model::{Camera, UtcMicros};
use ingest::onvif::{PullStatus, PullTrouble};
use std::time::Duration;

/// A pull point may be away so long before anyone needs to know: a camera that restarts takes a minute or two.
const PATIENCE: Duration = Duration::from_secs(180);
/// A camera's clock may be off by so many seconds before anyone needs to know.
const CLOCK_OFF_S: u64 = 60;

/// What is wrong with the pull points of these cameras.
pub(super) fn problems(node: &Node, cameras: &[Camera], now: UtcMicros) -> Vec<Problem> {
    let of = |status: PullStatus| Some((cameras.iter().find(|camera| camera.id == status.camera)?, status));
    let found: Vec<(&Camera, PullStatus)> = node.ingest.pull_points().into_iter().filter_map(of).collect();
    let away = found.iter().filter_map(|(camera, status)| away(camera, *status, now));
    away.chain(found.iter().filter_map(|(camera, status)| clock(camera, *status))).collect()
}

fn away(camera: &Camera, status: PullStatus, now: UtcMicros) -> Option<Problem> {
    let trouble = status.trouble.filter(|_| !status.subscribed && now.since(status.since) > PATIENCE)?;
    let (zh, en, remedy) = said(trouble);
    let state = words(
        format!("收不到摄像机事件（{zh}）；录像不受影响"),
        format!("its events do not come ({en}); recording is not affected"),
    );
    Some(Problem::of_camera(camera, "events_not_pulled", Severity::Medium, Some(status.since), state, remedy))
}

fn said(trouble: PullTrouble) -> (&'static str, &'static str, Words) {
    match trouble {
        PullTrouble::Address => (
            "ONVIF 地址不在允许的网段内",
            "its ONVIF address is in no network that may be dialled",
            words("请核对地址和 ingest.allow_networks", "Check the address and ingest.allow_networks"),
        ),
        PullTrouble::NoAnswer => (
            "ONVIF 服务无应答",
            "its ONVIF service does not answer",
            words(
                "请核对 ONVIF 地址和端口，并在摄像机上启用 ONVIF",
                "Check the ONVIF address and port, and switch ONVIF on in the camera",
            ),
        ),
        PullTrouble::Unauthorised => (
            "用户名或密码错误",
            "wrong user or password",
            words("许多摄像机的 ONVIF 用户需单独建立，请核对", "Many cameras keep ONVIF users apart from others: check there"),
        ),
        PullTrouble::NoEvents => {
            ("摄像机没有事件服务", "the camera has no event service", words("请清空其 ONVIF 地址", "Empty its ONVIF address"))
        }
        PullTrouble::Refused => (
            "摄像机拒绝订阅",
            "the camera refuses a subscription",
            words("可能有其他系统占用其订阅名额，请检查", "Other systems may hold all its subscriptions: look for them"),
        ),
    }
}

/// Signing in works all the same, and events are put right; but the camera's own picture shows the wrong time.
fn clock(camera: &Camera, status: PullStatus) -> Option<Problem> {
    let ahead = status.clock_ahead_s.filter(|ahead| ahead.unsigned_abs() > CLOCK_OFF_S)?;
    let off = ahead.unsigned_abs();
    let (zh, en) = if ahead > 0 { ("快", "ahead") } else { ("慢", "behind") };
    let state = words(
        format!("摄像机时钟{zh} {off} 秒；录像和事件按本机时间"),
        format!("its clock is {off} s {en}; footage and events go by this node's"),
    );
    let remedy = words("请在摄像机上设置时间同步（NTP）", "Set a time server (NTP) in the camera");
    Some(Problem::of_camera(camera, "camera_clock_off", Severity::Info, None, state, remedy))
}
