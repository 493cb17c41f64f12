//! How the journal does, in figures.

use super::{JournalError, Seq};
use std::{collections::VecDeque, time::Duration};

/// Commits whose times are remembered.
const REMEMBERED: usize = 256;

/// The journal's state for health pages and metrics.
#[derive(Clone, Debug)]
pub struct JournalHealth {
    /// The newest durable record.
    pub tail: Seq,
    /// Records that wait for the disk now.
    pub waiting: usize,
    /// Records refused since the start: queue full, disk full, malformed, or after a failure.
    pub refused: u64,
    /// Commits since the start.
    pub commits: u64,
    /// The middle of the last 256 commits' times, writing and syncing; zero before the first.
    pub commit_p50: Duration,
    /// The time that 99 % of them stayed within.
    pub commit_p99: Duration,
    /// Why the journal takes no more records until it is opened again, if it failed.
    pub failed: Option<JournalError>,
}

#[derive(Default)]
pub(super) struct Tally {
    pub refused: u64,
    pub failed: Option<JournalError>,
    commits: u64,
    times: VecDeque<Duration>,
}

impl Tally {
    pub(super) fn note_commit(&mut self, took: Duration) {
        self.commits += 1;
        if self.times.len() >= REMEMBERED {
            self.times.pop_front();
        }
        self.times.push_back(took);
    }

    pub(super) fn report(&self, tail: Seq, waiting: usize) -> JournalHealth {
        let mut times: Vec<Duration> = self.times.iter().copied().collect();
        times.sort();
        let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        JournalHealth {
            tail,
            waiting,
            refused: self.refused,
            commits: self.commits,
            commit_p50: at(50),
            commit_p99: at(99),
            failed: self.failed.clone(),
        }
    }
}
