//! What the fleet costs and how well it keeps time, counted where it happens.

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counts of a running fleet. All only go up, but for `sessions`.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) sessions: AtomicU64,
    pub(crate) sessions_ever: AtomicU64,
    pub(crate) units: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) withheld: AtomicU64,
    pub(crate) waits: AtomicU64,
    pub(crate) wait_us: AtomicU64,
    /// CPU time of each sender thread, in microseconds.
    pub(crate) cpu_us: Vec<AtomicU64>,
    /// How late units were handed to the kernel: four buckets to a doubling, from 1 µs.
    late: [AtomicU64; 128],
}

/// A report. Rates and jitter are of the time since the report before, or since the start.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Connections that were ever taken, whatever came of them.
    pub connections: u64,
    /// Sessions that play now.
    pub sessions: u64,
    /// Sessions that ever played.
    pub sessions_ever: u64,
    /// Access units sent.
    pub units: u64,
    /// Bytes handed to the kernel.
    pub bytes: u64,
    /// Access units dropped because a client did not read.
    pub refused: u64,
    /// Access units that faults kept back.
    pub withheld: u64,
    /// How often a client made the fleet wait.
    pub waits: u64,
    /// How long clients made the fleet wait, summed over sessions, in seconds.
    pub wait_s: f64,
    /// Mbit/s sent.
    pub mbit_per_s: f64,
    /// CPU time (user and system) of the sender threads since the start, in seconds.
    pub cpu_s: f64,
    /// Share of one core used.
    pub cpu_cores: f64,
    /// How late half of the units were sent, in milliseconds.
    pub jitter_ms_p50: f64,
    /// How late one in a hundred was.
    pub jitter_ms_p99: f64,
    /// How late the latest was, rounded up to the bucket.
    pub jitter_ms_max: f64,
    /// Seconds since the fleet started.
    pub up_s: f64,
    /// The buckets of lateness so far, for the next report's share of them.
    #[serde(skip)]
    late: Vec<u64>,
}

impl Counters {
    pub(crate) fn new(threads: usize) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            connections: zero(),
            sessions: zero(),
            sessions_ever: zero(),
            units: zero(),
            bytes: zero(),
            refused: zero(),
            withheld: zero(),
            waits: zero(),
            wait_us: zero(),
            cpu_us: (0..threads).map(|_| zero()).collect(),
            late: std::array::from_fn(|_| zero()),
        }
    }

    pub(crate) fn sent(&self, late: Duration) {
        self.units.fetch_add(1, Relaxed);
        let micros = late.as_micros().max(1) as f64;
        let bucket = (micros.log2() * 4.0) as usize;
        self.late[bucket.min(self.late.len() - 1)].fetch_add(1, Relaxed);
    }

    pub(crate) fn waited(&self, span: Duration) {
        self.waits.fetch_add(1, Relaxed);
        self.wait_us.fetch_add(span.as_micros() as u64, Relaxed);
    }

    fn late_ms(counts: &[u64], share: f64) -> f64 {
        let wanted = (counts.iter().sum::<u64>() as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in counts.iter().enumerate() {
            seen += count;
            if wanted > 0 && seen >= wanted {
                return ((bucket + 1) as f64 / 4.0).exp2() / 1000.0;
            }
        }
        0.0
    }

    /// The counts now, with rates since `before`.
    pub(crate) fn report(&self, up: Duration, before: &Stats) -> Stats {
        let cpu_s = self.cpu_us.iter().map(|cpu| cpu.load(Relaxed)).sum::<u64>() as f64 / 1e6;
        let (bytes, up_s) = (self.bytes.load(Relaxed), up.as_secs_f64());
        let span = (up_s - before.up_s).max(1e-3);
        let late: Vec<u64> = self.late.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let told = before.late.iter().copied().chain(std::iter::repeat(0));
        let since: Vec<u64> = late.iter().zip(told).map(|(now, then)| now - then).collect();
        Stats {
            connections: self.connections.load(Relaxed),
            sessions: self.sessions.load(Relaxed),
            sessions_ever: self.sessions_ever.load(Relaxed),
            units: self.units.load(Relaxed),
            bytes,
            refused: self.refused.load(Relaxed),
            withheld: self.withheld.load(Relaxed),
            waits: self.waits.load(Relaxed),
            wait_s: self.wait_us.load(Relaxed) as f64 / 1e6,
            mbit_per_s: (bytes.saturating_sub(before.bytes)) as f64 * 8.0 / 1e6 / span,
            cpu_s,
            cpu_cores: (cpu_s - before.cpu_s) / span,
            jitter_ms_p50: Self::late_ms(&since, 0.5),
            jitter_ms_p99: Self::late_ms(&since, 0.99),
            jitter_ms_max: Self::late_ms(&since, 1.0),
            up_s,
            late,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_told_within_a_fifth() {
        let counters = Counters::new(1);
        (0..990).for_each(|_| counters.sent(Duration::from_micros(100)));
        (0..10).for_each(|_| counters.sent(Duration::from_millis(30)));
        let stats = counters.report(Duration::from_secs(1), &Stats::default());
        assert!((0.1..0.12).contains(&stats.jitter_ms_p99), "{}", stats.jitter_ms_p99);
        assert!((30.0..36.0).contains(&stats.jitter_ms_max), "{}", stats.jitter_ms_max);
    }
}
