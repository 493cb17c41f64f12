//! Why a session ended or could not begin: what the ledger, the operator and the next attempt each need to know of it.

use crate::{AddressError, Notice, Sentence};
use index::model::GapCause;
use std::io;

/// Where in its life a session was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Opening the connection and asking what there is (DESCRIBE).
    Describe,
    /// Asking for one stream (SETUP).
    Setup,
    /// Asking for it to start (PLAY).
    Play,
    /// Receiving.
    Media,
}

/// Why a session ended. Texts come from a driver and hold no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The address is not one that this node dials.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No connection could be made, or it broke.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// This node has no way to the camera: its own network is down, or knows no route there.
    #[error("no network: {0}")]
    NoNetwork(String),
    /// The camera did not answer in time.
    #[error("no answer in time ({0:?})")]
    TimedOut(Phase),
    /// The camera refused the password, or asks for one and none is configured.
    #[error("the camera refuses the password")]
    Unauthorised,
    /// The camera answered with a status that is not about the password: 404, 453, 503.
    #[error("the camera refuses with status {0}")]
    Refused(u16),
    /// What the camera said cannot be understood by this driver; another may.
    #[error("not understood: {0}")]
    Protocol(String),
    /// Connected, and no picture came for [`crate::session::SILENCE_LIMIT`].
    #[error("connected, but no picture comes")]
    Silent,
    /// The camera offers no codec that is recorded.
    #[error("no stream with a codec that is recorded: {0}")]
    UnsupportedCodec(String),
    /// Pictures come that nothing can decode: no parameter sets, or never a key unit.
    #[error("pictures come that cannot be decoded")]
    Undecodable,
}

impl Fault {
    /// Why a connection could not be made, or broke.
    #[must_use]
    pub(crate) fn of_connection(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => Self::NoNetwork(error.kind().to_string()),
            other => Self::Unreachable(other.to_string()),
        }
    }

    /// The cause the ledger names for the gap that follows.
    #[must_use]
    pub fn cause(&self) -> GapCause {
        match self {
            Self::Address(_) | Self::Unreachable(_) | Self::TimedOut(_) => GapCause::CameraUnreachable,
            Self::NoNetwork(_) => GapCause::NoNetwork,
            Self::Unauthorised => GapCause::WrongPassword,
            Self::Refused(_) => GapCause::CameraRefused,
            Self::Silent => GapCause::CameraSilent,
            Self::UnsupportedCodec(_) => GapCause::UnsupportedCodec,
            Self::Protocol(_) | Self::Undecodable => GapCause::CameraFault,
        }
    }

    /// Whether the other driver may have better luck: the camera is there and talks, but not as this driver likes it.
    #[must_use]
    pub fn blames_driver(&self) -> bool {
        matches!(self, Self::Protocol(_) | Self::Silent | Self::UnsupportedCodec(_) | Self::Undecodable)
            || matches!(self, Self::TimedOut(Phase::Setup | Phase::Play))
    }

    /// What an operator reads.
    #[must_use]
    pub fn notice(&self) -> Notice {
        let (code, zh, en, remedy_zh, remedy_en) = match self {
            Self::Address(AddressError::Forbidden(_)) => (
                "camera_address_forbidden",
                "摄像机地址不在允许的网段内，未连接",
                "The camera's address is outside the allowed networks; it is not dialled",
                "核对地址，或由管理员在配置的 allow_networks 中加入该网段",
                "Check the address, or have an administrator add the network to allow_networks",
            ),
            Self::Address(AddressError::Unresolved(_)) => (
                "camera_name_unknown",
                "摄像机的主机名无法解析",
                "The camera's host name has no address",
                "核对主机名，或改用 IP 地址",
                "Check the name, or use the IP address",
            ),
            Self::Address(AddressError::Unreadable) => (
                "camera_address_bad",
                "摄像机地址无法识别",
                "The camera's address cannot be read",
                "修改地址",
                "Correct the address",
            ),
            Self::Unreachable(_) => (
                "camera_unreachable",
                "摄像机连接不上",
                "The camera cannot be reached",
                "检查供电、网线、交换机以及地址和端口",
                "Check power, cable and switch, and the address and port",
            ),
            Self::NoNetwork(_) => (
                "no_network",
                "录像机到摄像机的网络不通",
                "This recorder has no network to the camera",
                "检查录像机的网口、网线和路由",
                "Check this recorder's network port, cable and routes",
            ),
            Self::TimedOut(_) => (
                "camera_no_answer",
                "摄像机没有应答",
                "The camera does not answer",
                "检查网络；若其他摄像机正常，重启该摄像机",
                "Check the network; if other cameras are fine, restart this one",
            ),
            Self::Unauthorised => (
                "camera_unauthorised",
                "摄像机拒绝了用户名或密码",
                "The camera refuses the user name or password",
                "更新该摄像机的用户名和密码；为防锁定，数分钟内不会重试",
                "Update this camera's user name and password; no attempt is made for minutes, so that the account is not locked",
            ),
            Self::Refused(404) => (
                "camera_stream_unknown",
                "摄像机没有这一路码流",
                "The camera does not know this stream",
                "核对地址中的路径和通道号",
                "Check the path and channel in the address",
            ),
            Self::Refused(453 | 503) => (
                "camera_busy",
                "摄像机的连接数已满",
                "The camera has no session left",
                "减少其他连接该摄像机的客户端",
                "Disconnect other clients from this camera",
            ),
            Self::Refused(_) => (
                "camera_refused",
                "摄像机拒绝提供视频",
                "The camera refuses to send video",
                "查看摄像机自身的设置和日志",
                "Look at the camera's own settings and log",
            ),
            Self::Protocol(_) => (
                "camera_not_understood",
                "摄像机的应答无法识别",
                "The camera's answer cannot be understood",
                "升级摄像机固件，或为它指定另一种驱动",
                "Update the camera's firmware, or choose the other driver for it",
            ),
            Self::Silent => (
                "camera_silent",
                "已连接，但没有画面传来",
                "Connected, but no picture comes",
                "重启摄像机；检查其编码设置",
                "Restart the camera; check its encoder settings",
            ),
            Self::UnsupportedCodec(_) => (
                "camera_codec",
                "摄像机的编码格式不支持录像",
                "The camera's codec cannot be recorded",
                "把编码改为 H.264 或 H.265",
                "Set its encoder to H.264 or H.265",
            ),
            Self::Undecodable => (
                "camera_undecodable",
                "画面缺少参数集或关键帧，无法录像",
                "The pictures lack parameter sets or key frames and cannot be recorded",
                "把关键帧间隔设为 2 秒，关闭智能编码后重启摄像机",
                "Set a key frame interval of 2 s, switch smart coding off and restart the camera",
            ),
        };
        Notice { code, state: Sentence::new(zh, en), remedy: Sentence::new(remedy_zh, remedy_en) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_is_down_here_is_told_from_a_camera_that_is() {
        let cause = |errno: rustix::io::Errno| Fault::of_connection(&errno.into()).cause();
        assert_eq!(cause(rustix::io::Errno::NETUNREACH), GapCause::NoNetwork);
        assert_eq!(cause(rustix::io::Errno::NETDOWN), GapCause::NoNetwork);
        // On its own segment, a camera without power is a host that nobody answers for.
        assert_eq!(cause(rustix::io::Errno::HOSTUNREACH), GapCause::CameraUnreachable);
        assert_eq!(cause(rustix::io::Errno::CONNREFUSED), GapCause::CameraUnreachable);
    }

    #[test]
    fn what_an_operator_must_do_about_it_tells_the_causes_apart() {
        let faults =
            [Fault::Unreachable(String::new()), Fault::Unauthorised, Fault::Refused(453), Fault::Silent, Fault::Undecodable];
        let mut causes: Vec<_> = faults.iter().map(Fault::cause).collect();
        causes.extend([Fault::NoNetwork(String::new()).cause(), Fault::UnsupportedCodec(String::new()).cause()]);
        causes.sort_unstable_by_key(|cause| cause.code());
        causes.dedup();
        assert_eq!(causes.len(), 7);
    }
}
