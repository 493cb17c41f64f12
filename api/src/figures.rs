//! The API's own counters: for `/metrics` and for measuring.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of the buckets of a histogram of times, in microseconds.
const BOUNDS: [u64; 12] = [500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 5_000_000];

/// Times, counted by size.
#[derive(Default, Debug)]
pub struct Times {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_us: AtomicU64,
}

impl Times {
    /// Counts one.
    pub fn add(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| us <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Writes it as a Prometheus histogram, in seconds.
    pub fn write(&self, name: &str, out: &mut String) {
        use std::fmt::Write;
        let _ = writeln!(out, "# TYPE {name} histogram");
        let mut count = 0;
        for (n, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            let bound = BOUNDS.get(n).map_or("+Inf".to_owned(), |us| format!("{}", *us as f64 / 1e6));
            let _ = writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let _ = writeln!(out, "{name}_sum {}\n{name}_count {count}", self.sum_us.load(Ordering::Relaxed) as f64 / 1e6);
    }
}

/// See the module.
#[derive(Default, Debug)]
pub struct Figures {
    /// Time from request to the head of the answer.
    pub requests: Times,
    /// Answers of status 500 and above.
    pub failures: AtomicU64,
    /// Open media sockets.
    pub sockets: AtomicU64,
    /// Open live channels on them.
    pub channels: AtomicU64,
    /// Live units sent.
    pub live_units: AtomicU64,
    /// Bytes of media sent, live and recorded.
    pub media_bytes: AtomicU64,
    /// Times that a viewer was skipped to the next key unit.
    pub live_gaps: AtomicU64,
    /// Time from a unit's last packet at our socket to its frame at the viewer's socket.
    pub live_age: Times,
}
