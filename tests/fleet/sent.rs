//! What the fleet sent, refused and withheld, as ranges of picture numbers: the other half of every comparison.

use index::model::{StreamId, UtcMicros};
use serde::{Deserialize, Serialize};
use std::sync::Mutex;

/// What became of a picture.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// All its bytes were handed to the kernel.
    Sent,
    /// The client did not read, so the camera dropped it.
    Refused,
    /// A fault kept it back.
    Withheld,
}

/// Pictures that follow each other and share a fate; both ends are inside.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Number of the first picture.
    pub first: u64,
    /// Number of the last picture.
    pub last: u64,
    /// What became of them.
    pub fate: Fate,
}

/// One RTSP session of one stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionLog {
    /// Its number within the fleet.
    pub session: u64,
    /// When it began to play.
    pub from: UtcMicros,
    /// When it ended; `None` while it plays.
    pub to: Option<UtcMicros>,
    /// What became of the pictures, in order.
    pub runs: Vec<Run>,
}

/// Everything that one stream sent, session by session, and how picture numbers become times.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StreamLog {
    /// Which stream.
    pub stream: StreamId,
    /// When picture 0 was taken.
    pub zero: UtcMicros,
    /// Pictures a second.
    pub frames_per_second: u32,
    /// Oldest first. Of a stream with very many sessions only the newest are kept.
    pub sessions: Vec<SessionLog>,
}

/// How many sessions of a stream are remembered: a camera that flaps for days must not fill the memory.
const MOST_SESSIONS: usize = 4096;

impl StreamLog {
    /// When a picture was taken.
    #[must_use]
    pub fn taken_at(&self, counter: u64) -> UtcMicros {
        let micros = counter.saturating_mul(1_000_000) / u64::from(self.frames_per_second.max(1));
        UtcMicros::from_micros(self.zero.as_micros().saturating_add(i64::try_from(micros).unwrap_or(i64::MAX)))
    }

    /// The ranges of pictures that share a fate in any session, in order, joined.
    #[must_use]
    pub fn ranges(&self, fate: Fate) -> Vec<(u64, u64)> {
        let mut all: Vec<_> = self.sessions.iter().flat_map(|session| &session.runs).filter(|run| run.fate == fate).collect();
        all.sort_by_key(|run| run.first);
        let mut joined: Vec<(u64, u64)> = Vec::new();
        for run in all {
            match joined.last_mut() {
                Some((_, last)) if run.first <= *last + 1 => *last = run.last.max(*last),
                _ => joined.push((run.first, run.last)),
            }
        }
        joined
    }
}

/// The log of one stream while it is written.
#[derive(Debug)]
pub(crate) struct Ledger(Mutex<StreamLog>);

impl Ledger {
    pub(crate) fn new(stream: StreamId, zero: UtcMicros, frames_per_second: u32) -> Self {
        Self(Mutex::new(StreamLog { stream, zero, frames_per_second, sessions: Vec::new() }))
    }

    fn with<T>(&self, act: impl FnOnce(&mut StreamLog) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(crate) fn open(&self, session: u64, from: UtcMicros) {
        self.with(|log| {
            if log.sessions.len() >= MOST_SESSIONS {
                log.sessions.remove(0);
            }
            log.sessions.push(SessionLog { session, from, to: None, runs: Vec::new() });
        });
    }

    pub(crate) fn note(&self, session: u64, counter: u64, fate: Fate) {
        self.with(|log| {
            let Some(entry) = log.sessions.iter_mut().rev().find(|entry| entry.session == session) else { return };
            match entry.runs.last_mut() {
                Some(run) if run.fate == fate && run.last + 1 == counter => run.last = counter,
                _ => entry.runs.push(Run { first: counter, last: counter, fate }),
            }
        });
    }

    pub(crate) fn close(&self, session: u64, to: UtcMicros) {
        self.with(|log| {
            if let Some(entry) = log.sessions.iter_mut().rev().find(|entry| entry.session == session) {
                entry.to = Some(to);
            }
        });
    }

    pub(crate) fn read(&self) -> StreamLog {
        self.with(|log| log.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_one_fate_form_one_run_and_sessions_are_joined() {
        let ledger = Ledger::new("1/main".parse().expect("a stream"), UtcMicros::from_micros(1_000_000), 25);
        ledger.open(1, UtcMicros::default());
        (10..20).for_each(|n| ledger.note(1, n, Fate::Sent));
        (20..25).for_each(|n| ledger.note(1, n, Fate::Refused));
        ledger.close(1, UtcMicros::default());
        ledger.open(2, UtcMicros::default());
        (18..30).for_each(|n| ledger.note(2, n, Fate::Sent));
        let log = ledger.read();
        assert_eq!(log.sessions[0].runs.len(), 2);
        assert_eq!(log.ranges(Fate::Sent), [(10, 29)]);
        assert_eq!(log.ranges(Fate::Refused), [(20, 24)]);
        assert_eq!(log.taken_at(25).as_micros(), 2_000_000);
    }
}
