//! Pieces that several resources' wire types share.

use crate::refusal::{Refusal, Words};
use index::model::{CameraId, StreamKind, UtcMicros, Window};
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

/// The longest window of footage that one request may name.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// A window in a query: both ends in microseconds UTC.
#[derive(Deserialize, IntoParams, Clone, Copy, Debug)]
#[into_params(parameter_in = Query)]
pub(super) struct WindowQuery {
    /// The first instant wanted.
    pub(super) from_us: i64,
    /// The first instant no longer wanted.
    pub(super) to_us: i64,
}

impl WindowQuery {
    /// The window, if it is one and at most a day long.
    pub(super) fn footage(self) -> Result<Window, Refusal> {
        let window = self.window()?;
        if window.duration() > LONGEST {
            return Err(Refusal::bad_request("the window is longer than 24 hours").on("to_us"));
        }
        Ok(window)
    }

    /// The window, if it is one.
    pub(super) fn window(self) -> Result<Window, Refusal> {
        let window = Window::new(UtcMicros::from_micros(self.from_us), UtcMicros::from_micros(self.to_us));
        if window.is_empty() || self.from_us < 0 {
            return Err(Refusal::bad_request("the window is empty or begins before 1970").on("from_us"));
        }
        Ok(window)
    }
}

pub(super) fn camera_id(text: &str) -> Result<CameraId, Refusal> {
    text.parse().map_err(|_| Refusal::not_found("该摄像机", "camera"))
}

pub(super) fn stream_kind(text: &str) -> Result<StreamKind, Refusal> {
    text.parse().map_err(|_| Refusal::not_found("该路码流", "stream; main and sub are streams"))
}

/// A body of JSON; what is wrong with it is said in a [`Refusal`].
pub(super) fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| {
        // serde quotes wrong values: they may be a password in the wrong place, so only the position is repeated.
        let known = error
            .is_data()
            .then(|| error.to_string())
            .filter(|text| text.starts_with("missing field") || text.starts_with("unknown field"));
        let said =
            known.unwrap_or_else(|| format!("the body is not as documented, at line {} column {}", error.line(), error.column()));
        Refusal::bad_request(said).on("body")
    })
}

pub(super) fn sentence(sentence: &ingest::Sentence) -> Words {
    crate::refusal::words(sentence.zh.clone(), sentence.en.clone())
}
