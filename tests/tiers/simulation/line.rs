//! A line between two nodes, and what it does to messages.

use super::node::Node;
use api::link::pull::{Peer, Puller};
use rand::{RngExt, rngs::StdRng};

pub(super) struct Line {
    /// Which centre fetches over it.
    pub(super) upper: usize,
    pub(super) lower: Node,
    pub(super) peer: Peer,
    pub(super) puller: Puller,
    /// The number of the question that was put last.
    pub(super) pending: u64,
    pub(super) weather: Weather,
}

impl Line {
    pub(super) fn new(upper: usize, lower: Node, peer: Peer, puller: Puller) -> Self {
        Self { upper, lower, peer, puller, pending: 0, weather: Weather::fair(0) }
    }
}

/// How well a line carries.
pub(super) struct Weather {
    pub(super) cut_since: Option<u64>,
    whole_since: u64,
    bytes_per_ms: u64,
    latency_ms: (u64, u64),
}

impl Weather {
    pub(super) fn fair(now_ms: u64) -> Self {
        Self { cut_since: None, whole_since: now_ms, bytes_per_ms: 12_500, latency_ms: (10, 60) }
    }

    /// 256 kbit/s by satellite.
    pub(super) fn slow() -> Self {
        Self { cut_since: None, whole_since: 0, bytes_per_ms: 32, latency_ms: (600, 1500) }
    }

    pub(super) fn cut(&mut self, now_ms: u64) {
        self.cut_since.get_or_insert(now_ms);
    }

    pub(super) fn heal(&mut self, now_ms: u64) {
        if self.cut_since.take().is_some() {
            self.whole_since = now_ms;
        }
    }

    /// Since when it carries, if it does.
    pub(super) fn fair_since(&self) -> Option<u64> {
        self.cut_since.is_none().then_some(self.whole_since)
    }

    /// What becomes of a message: each copy of it that arrives, and after how many milliseconds.
    pub(super) fn carry(&self, bytes: Vec<u8>, trouble: bool, dice: &mut StdRng) -> Vec<(u64, Vec<u8>)> {
        let mut delay = || dice.random_range(self.latency_ms.0..=self.latency_ms.1) + bytes.len() as u64 / self.bytes_per_ms;
        if self.cut_since.is_some() {
            return Vec::new();
        }
        let (first, second) = (delay(), delay());
        match if trouble { dice.random_range(0..1000) } else { 1000 } {
            0..5 => Vec::new(),
            5..10 => vec![(first, bytes.clone()), (second, bytes)],
            10..14 => vec![(first, bytes[..dice.random_range(0..bytes.len())].to_vec())],
            // It comes when nobody waits for it any more.
            14..18 => vec![(first + 15_000, bytes)],
            _ => vec![(first, bytes)],
        }
    }
}
