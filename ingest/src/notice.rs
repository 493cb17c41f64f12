//! What an operator reads about a camera: the state and what to do about it, in both languages, behind a stable code.

/// One sentence in the two languages of the page.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Sentence {
    /// Chinese.
    pub zh: String,
    /// English.
    pub en: String,
}

impl Sentence {
    /// A sentence from its two texts.
    #[must_use]
    pub fn new(zh: impl Into<String>, en: impl Into<String>) -> Self {
        Self { zh: zh.into(), en: en.into() }
    }
}

/// The effect, and the remedy. Holds no secret and no address with user information (I12).
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Notice {
    /// Stable across versions, for programs: `camera_unauthorised`.
    pub code: &'static str,
    /// What is so.
    pub state: Sentence,
    /// What to do about it.
    pub remedy: Sentence,
}
