//! Why a second was not recorded. A gap always has a cause (I3); the words here stand in the journal, the API and the page.

use serde::{Deserialize, Serialize};

/// Why nothing, or not everything, was recorded of a stream in some span of time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum GapCause {
    /// The stream did not exist in this node's configuration yet, or any more.
    NotConfigured = 1,
    /// An operator paused it; the journal says who and why.
    Paused = 2,
    /// The camera does not answer, or the connection broke.
    CameraUnreachable = 3,
    /// The camera answered and said no: session limit, unknown stream.
    CameraRefused = 4,
    /// Connected, and no picture came.
    CameraSilent = 5,
    /// Pictures came that cannot be recorded: no parameter sets, no key unit.
    CameraFault = 6,
    /// Packets were lost on the way. Pictures that miss any are not stored; those after them are, as received, and may show
    /// damage up to the next key unit.
    Network = 7,
    /// Our own queue was full and shed by rule.
    OurQueue = 8,
    /// The disk failed, filled or was too slow.
    Disk = 9,
    /// This node was not running.
    Restart = 10,
    /// Kept for its term and then removed by the retention rule.
    Expired = 11,
    /// Removed by a legal order.
    Erased = 12,
    /// Stored once, and found damaged since.
    Damaged = 13,
    /// No place that should know the cause named one. A defect of ours: counted, alarmed, and 0 in every test.
    Unexplained = 14,
    /// This node has no way to the camera: its own network is down or knows no route.
    NoNetwork = 15,
    /// The camera refuses the user name or password.
    WrongPassword = 16,
    /// The camera offers no codec that is recorded.
    UnsupportedCodec = 17,
}

impl GapCause {
    /// Every cause, in the order of their numbers in files.
    pub const ALL: [Self; 17] = [
        Self::NotConfigured,
        Self::Paused,
        Self::CameraUnreachable,
        Self::CameraRefused,
        Self::CameraSilent,
        Self::CameraFault,
        Self::Network,
        Self::OurQueue,
        Self::Disk,
        Self::Restart,
        Self::Expired,
        Self::Erased,
        Self::Damaged,
        Self::Unexplained,
        Self::NoNetwork,
        Self::WrongPassword,
        Self::UnsupportedCodec,
    ];

    /// The word for it in the journal and the API: `camera_silent`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NotConfigured => "not_configured",
            Self::Paused => "paused",
            Self::CameraUnreachable => "camera_unreachable",
            Self::CameraRefused => "camera_refused",
            Self::CameraSilent => "camera_silent",
            Self::CameraFault => "camera_fault",
            Self::Network => "network",
            Self::OurQueue => "our_queue",
            Self::Disk => "disk",
            Self::Restart => "restart",
            Self::Expired => "expired",
            Self::Erased => "erased",
            Self::Damaged => "damaged",
            Self::Unexplained => "unexplained",
            Self::NoNetwork => "no_network",
            Self::WrongPassword => "wrong_password",
            Self::UnsupportedCodec => "unsupported_codec",
        }
    }

    /// The number files carry.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The cause a file's number means; `None` for a number of a later version.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.code() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_comes_back_from_its_code() {
        for cause in GapCause::ALL {
            assert_eq!(GapCause::from_code(cause.code()), Some(cause));
            assert_eq!(serde_json::to_value(cause).expect("a word"), cause.word());
        }
        assert_eq!(GapCause::from_code(0), None);
    }
}
