//! One RTSP session: `core` decides, `shell` drives it, `retina`, `libav` and `native` speak to the camera.

pub(crate) mod core;
mod fault;
mod libav;
pub(crate) mod native;
pub(crate) mod recorder;
pub(crate) mod retina;
pub(crate) mod shell;
pub(crate) mod source;

pub use fault::{Fault, Phase};
