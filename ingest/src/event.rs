//! What ingest tells the node about its cameras: changes of state only, never one event a unit.

use crate::Notice;
use index::model::{Driver, GapCause, StreamId, UtcMicros};

/// One dated change of a stream.
#[derive(Clone, PartialEq, Debug)]
pub struct CameraEvent {
    /// When, on the node's clock.
    pub at: UtcMicros,
    /// Of which stream.
    pub stream: StreamId,
    /// What changed.
    pub kind: CameraEventKind,
}

/// What changed.
#[derive(Clone, PartialEq, Debug)]
pub enum CameraEventKind {
    /// Access units of the stream are being stored again, after `down_s` seconds without (0 for the first time).
    Recording {
        /// Whole seconds since the stream was last recorded.
        down_s: u64,
    },
    /// The stream stopped, or could not be started. Raised once an outage, not once an attempt.
    Offline {
        /// The cause as the ledger has it.
        cause: GapCause,
        /// What an operator reads.
        notice: Notice,
    },
    /// The camera refused our password twice: nobody dials it again for minutes, so that it does not lock the account.
    WrongPassword,
    /// Units arrive and are not being stored: the disk is the problem, not the camera.
    NotStored,
    /// What [`CameraEventKind::NotStored`] said is over.
    StoredAgain,
    /// The disks cannot keep up and units are dropped by rule.
    Shedding {
        /// Units dropped so far in this episode.
        units: u64,
    },
    /// The camera sends another resolution or codec than before; a new recording begins.
    ParametersChanged,
    /// The stream's clock broke and was set anew from the node's.
    ClockStep {
        /// How far, in milliseconds; positive when the camera's clock jumped ahead.
        by_ms: i64,
    },
    /// The probe found the driver that this camera plays with.
    DriverChosen(Driver),
}

impl CameraEventKind {
    /// The event's kind as journals name it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Recording { .. } => "camera.recording",
            Self::Offline { .. } => "camera.offline",
            Self::WrongPassword => "camera.wrong_password",
            Self::NotStored => "camera.not_stored",
            Self::StoredAgain => "camera.stored_again",
            Self::Shedding { .. } => "camera.shedding",
            Self::ParametersChanged => "camera.parameters_changed",
            Self::ClockStep { .. } => "camera.clock_step",
            Self::DriverChosen(_) => "camera.driver_chosen",
        }
    }
}
