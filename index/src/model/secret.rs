//! Secrets that cannot be printed by accident (I12).

use serde::Deserialize;
use std::fmt;

/// A password or key. It has no `Display`, its `Debug` shows nothing, it cannot be serialised, and its memory is cleared
/// when it goes. [`Secret::expose`] is the one way to read it; searching for that name finds every place that does.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret in.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself. The caller must not log, format or return it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints_itself() {
        assert!(!format!("{:?}", Secret::new("canary-4711")).contains("canary"));
    }
}
