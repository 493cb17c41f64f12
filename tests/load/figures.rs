//! Figures as they are printed: a line each while they come, and one JSON object of them all at the end.

use serde_json::{Map, Number, Value};

/// The figures of one run, in the order in which they were taken.
#[derive(Default)]
pub(crate) struct Figures {
    all: Map<String, Value>,
}

impl Figures {
    /// Prints and remembers one figure. `name` is in snake case and ends in its unit, `unit` repeats it for people.
    pub(crate) fn add(&mut self, name: &str, value: f64, unit: &str) {
        let shown = rounded(value);
        println!("{name} {shown} {unit}");
        self.all.insert(name.to_owned(), Number::from_f64(shown).map_or(Value::Null, Value::Number));
    }

    /// Adds the median, 95th and 99th percentile of samples under `name_p50`, `_p95` and `_p99`.
    pub(crate) fn percentiles(&mut self, name: &str, samples: &mut [f64], unit: &str) {
        samples.sort_by(f64::total_cmp);
        for (suffix, share) in [("p50", 0.50), ("p95", 0.95), ("p99", 0.99)] {
            self.add(&format!("{name}_{suffix}"), percentile(samples, share), unit);
        }
    }

    /// Ends the output with the JSON object.
    pub(crate) fn finish(self) {
        println!("{}", Value::Object(self.all));
    }
}

/// The sample below which `share` of all lie, of samples in ascending order; NaN of none.
#[must_use]
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// Three significant digits below 1,000, whole numbers above: more would be noise.
fn rounded(value: f64) -> f64 {
    if !value.is_finite() || value == 0.0 {
        return value;
    }
    let digits = (2 - value.abs().log10().floor() as i32).max(0);
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_sample_that_was_taken() {
        let samples: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&samples, 0.95), 95.0);
        assert_eq!(percentile(&samples, 1.0), 100.0);
        assert_eq!(percentile(&samples[..1], 0.5), 1.0);
    }

    #[test]
    fn figures_keep_three_digits() {
        assert_eq!(rounded(4.23456), 4.23);
        assert_eq!(rounded(0.000_123_456), 0.000_123);
        assert_eq!(rounded(12_345.6), 12_346.0);
    }
}
