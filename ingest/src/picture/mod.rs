//! What key pictures show: stills for people, where something moved, and what is wrong with a picture.
//!
//! Only key units are decoded, of the sub-stream where there is one. `decode` names FFmpeg; `sample`, `movement`, `view` and `judge` are
//! pure and see numbers only; `turns` decides which camera's picture is looked at next within the budget; [`Pictures`] owns the threads.

mod decode;
mod desk;
mod jpeg;
mod judge;
mod movement;
mod sample;
mod turns;
mod view;
mod watch;

pub use desk::{Diagnosis, PictureFigures, PictureSetup, PictureState, PictureStatus, Pictures};
pub use jpeg::jpeg;
pub use judge::{Fault, Judge, Reason, Verdict};
pub use movement::Movement;
pub use sample::{Planes, Sampled};
pub use watch::{Report, Watch};

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// Only a key unit of video can be decoded alone.
    #[error("not a key unit of video")]
    NotKey,
    /// More pixels or bytes than any camera sends.
    #[error("a picture of {width} × {height} is not decoded")]
    TooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// Too few pixels to say where something moves.
    #[error("a picture of {width} × {height} is too small to be looked at")]
    TooSmall {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The bytes are not a picture.
    #[error("cannot be decoded")]
    Decode(#[source] ffmpeg_next::Error),
    /// The picture cannot be made into a JPEG.
    #[error("cannot be encoded as JPEG")]
    Encode(#[source] ffmpeg_next::Error),
}
