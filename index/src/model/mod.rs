//! The vocabulary that every crate shares: identities, clocks, coded media, cameras and the causes of gaps.
//!
//! These types live beside the store that gives them meaning. A word here has one meaning everywhere: in code,
//! configuration, logs, the API and the page.

mod camera;
mod clock;
mod gap;
mod ids;
mod media;
mod secret;
mod tier;

pub use camera::{
    AudioBasis, Camera, CameraAddress, CameraError, Credentials, DeviceAddress, Driver, Priority, RetentionClass, Transport,
};
pub use clock::{ClockReading, MediaTicks, UtcMicros, Window};
pub use gap::GapCause;
pub use ids::{CameraId, IdError, NodeId, StreamId, StreamKind, VolumeId};
pub use media::{AccessUnit, AudioCodec, AudioParameters, TrackKind, Tracks, VideoCodec, VideoParameters};
pub use secret::Secret;
pub use tier::Tier;
