//! Figures as `tests/measure` prints them: a line each, and a JSON object of them all at the end.

use serde_json::{Map, Value};

/// The figures of one run, in the order in which they were taken.
#[derive(Default)]
pub(in crate::footage) struct Figures(Map<String, Value>);

impl Figures {
    /// Remembers one figure, and prints it where a person asked for figures.
    pub(in crate::footage) fn add(&mut self, name: &str, value: f64, unit: &str) {
        let value = (value * 1000.0).round() / 1000.0;
        if wanted() {
            println!("{name} {value} {unit}");
        }
        self.0.insert(name.to_owned(), value.into());
    }

    /// Ends with the JSON object.
    pub(in crate::footage) fn finish(self) {
        if wanted() {
            println!("{}", Value::Object(self.0));
        }
    }
}

/// Whether a person asked for figures.
pub(in crate::footage) fn wanted() -> bool {
    std::env::var_os("HAOHE_FIGURES").is_some()
}

/// A number that `tests/measure` passes on as `name`, or `default`.
pub(in crate::footage) fn option(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
