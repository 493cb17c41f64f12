//! One RTSP session: `core` decides, `shell` drives it, `retina` and `libav` speak to the camera.

mod fault;

pub use fault::{Fault, Phase};
