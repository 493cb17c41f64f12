//! How video comes in: cameras are dialled, their access units put on the node's clock, cut into fragments and handed to
//! the store; whoever watches live gets the same units at once.
//!
//! Only this crate speaks RTSP, and only it decodes pictures. What decides (the session, the timeline, the cutting, the
//! shedding) is plain state machines without sockets or clocks; `session::shell` and `supervisor` drive them.

mod address;
mod assemble;
mod auth;
mod event;
mod ffmpeg;
mod lane;
mod live;
mod nal;
mod notice;
pub mod onvif;
mod pace;
mod parameters;
pub mod picture;
mod shedding;
mod status;
mod supervisor;
mod timeline;

pub use address::{AddressError, AddressPolicy, Network, NetworkError};
pub use event::{CameraEvent, CameraEventKind};
pub use live::{KeyUnit, LiveError, LiveHub, LiveItem, LiveSource, LiveSubscription, LiveTier};
pub use notice::{Notice, Sentence};
pub use session::{Fault, Phase};
pub use status::{CameraStatus, StreamState, StreamStatus};
pub use supervisor::{DriverMemory, Ingest, IngestSetup, OnMetadata};

mod session;
#[cfg(test)]
mod testing;
