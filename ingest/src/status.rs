//! What is known of each stream at this moment: for the page, for health and for metrics.

use crate::Notice;
use index::model::{CameraId, Driver, GapCause, StreamId, UtcMicros, VideoCodec};
use std::time::Duration;

/// A camera and its streams, main first.
#[derive(Clone, PartialEq, Debug)]
pub struct CameraStatus {
    /// Which camera.
    pub camera: CameraId,
    /// One entry for each stream that is configured.
    pub streams: Vec<StreamStatus>,
}

/// Where a session stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamState {
    /// Dialling, or asking for the stream.
    Connecting,
    /// Access units arrive.
    Playing,
    /// Waiting before the next attempt.
    BackingOff {
        /// When the next attempt is due.
        until: UtcMicros,
        /// Why the last one ended.
        cause: GapCause,
    },
    /// The configuration says not to record it.
    Paused,
}

impl StreamState {
    /// The word on the wire: `connecting`, `playing`, `backing_off`, `paused`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Playing => "playing",
            Self::BackingOff { .. } => "backing_off",
            Self::Paused => "paused",
        }
    }
}

/// One stream at this moment. Counts are since the stream was configured in this process.
#[derive(Clone, PartialEq, Debug)]
pub struct StreamStatus {
    /// Which stream.
    pub stream: StreamId,
    /// Where its session stands.
    pub state: StreamState,
    /// Since when.
    pub since: UtcMicros,
    /// Who speaks, or last spoke, to the camera.
    pub driver: Option<Driver>,
    /// How its pictures are coded; `None` before the first recording.
    pub codec: Option<VideoCodec>,
    /// Width in pixels; 0 when unknown.
    pub width: u16,
    /// Height in pixels; 0 when unknown.
    pub height: u16,
    /// Pictures a second over the last seconds; 0 when unknown.
    pub fps: f32,
    /// Time between key units over the last ones; zero when unknown.
    pub gop: Duration,
    /// Bits a second over the last seconds.
    pub bits_per_second: u64,
    /// When the last access unit arrived.
    pub last_unit: Option<UtcMicros>,
    /// The end of what is durable on disk.
    pub recorded_to: Option<UtcMicros>,
    /// Units that arrived.
    pub units_received: u64,
    /// Units handed to the store.
    pub units_stored: u64,
    /// Units shed because the disks could not keep up.
    pub units_shed: u64,
    /// Units not recorded because no key unit or parameters had come before them.
    pub units_undecodable: u64,
    /// Bytes of media that arrived.
    pub bytes_received: u64,
    /// RTP packets that never came.
    pub packets_lost: u64,
    /// Sessions begun after the first.
    pub reconnects: u64,
    /// The camera's clock minus the node's, in milliseconds, where it tells its clock.
    pub camera_offset_ms: Option<i32>,
    /// Units arrive and are not being stored: the disk is the problem, not the camera.
    pub not_stored: bool,
    /// Why the last session ended; kept until units are stored again.
    pub notice: Option<Notice>,
}

impl StreamStatus {
    /// A stream of which nothing is known yet.
    #[must_use]
    pub fn unknown(stream: StreamId, now: UtcMicros) -> Self {
        Self {
            stream,
            state: StreamState::Connecting,
            since: now,
            driver: None,
            codec: None,
            width: 0,
            height: 0,
            fps: 0.0,
            gop: Duration::ZERO,
            bits_per_second: 0,
            last_unit: None,
            recorded_to: None,
            units_received: 0,
            units_stored: 0,
            units_shed: 0,
            units_undecodable: 0,
            bytes_received: 0,
            packets_lost: 0,
            reconnects: 0,
            camera_offset_ms: None,
            not_stored: false,
            notice: None,
        }
    }
}
