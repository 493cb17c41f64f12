//! Events: what happened, kept as journal records and found again through an index.
//!
//! The journal is the truth ([`crate::journal`]); everything else here is a projection of it that can be thrown away and
//! made again. Nothing here knows a network or a camera: whoever noticed something makes an [`Event`] and has it taken in by
//! [`Events::report`], or, if it is a part of the node itself, appends the record.
//!
//! - E1: no event says who a person is (I14): [`Event::check`] refuses it at every door, by name and by shape, and it is counted.
//! - E2: an event is never edited; what changes is told by a further event.
//! - E3: what is replayed into the index is neither lost nor doubled, whichever of several journals it comes from (`day`, `reached`).
//! - E4: an event is findable within a second of being durable (`projection`).
//! - E5: the index never keeps the node from starting (`projection`).
//!
//! Only this module names tantivy.

mod ask;
mod atoms;
mod counts;
mod day;
mod event;
mod freely;
mod glimpse;
mod identity;
mod kind;
mod parts;
mod plan;
mod projection;
mod question;
mod reached;
mod rebuild;
mod report;
mod scan;
mod several;
mod sieve;
mod text;
mod words;

pub use day::ZONE_HOURS;
pub use event::{Event, EventError, Kept, MAX_ATTRIBUTES, MAX_OBJECTS, MAX_TEXT, MAX_WORD, NEWEST, OLDEST};
pub use identity::{Identity, Refused, identity_in_item};
pub use kind::{Kind, Severity};
pub use parts::{Class, EventId, Objects, Region, Source, Text};
pub use projection::{IndexError, IndexLimits, Sources};
pub use question::{
    Answer, AskError, Coverage, CoverageBelow, EXACT_TO, FACET_CAMERAS, Facets, Histogram, MAX_COLUMNS, MAX_PAGE, MAX_TERMS,
    Question, Reach, Total, Understood,
};
pub use rebuild::{Content, Rebuilt, contents, rebuild};
pub use report::{MAX_BATCH, ReportError, Reported};
pub use several::{CAMERAS, COUNT};

use crate::journal::{Copies, Journal, Seq};
use crate::model::Window;
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// The events of one node: its journal's and, in a centre, those of the journals that it keeps copies of; and the index over them. Dropping it ends the index's thread.
pub struct Events {
    shared: Arc<projection::Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    remembered: Mutex<ask::Remembered>,
    recent: report::Recent,
    /// What was refused because it said who somebody is.
    pub refused: Refused,
}

impl Events {
    /// Opens the index in `dir`, made if missing, and starts following the journal from where it ended.
    ///
    /// # Errors
    /// Only if the directory cannot be made or written to: an index that does not read back is made anew (E5).
    pub fn open(dir: &Path, journal: Arc<Journal>, limits: IndexLimits) -> Result<Self, IndexError> {
        Self::open_over(dir, Sources::own(journal), limits)
    }

    /// As [`Events::open`], over the node's own journal and the copies of those below.
    ///
    /// # Errors
    /// As [`Events::open`].
    pub fn open_with_copies(
        dir: &Path,
        journal: Arc<Journal>,
        copies: Arc<Copies>,
        limits: IndexLimits,
    ) -> Result<Self, IndexError> {
        Self::open_over(dir, Sources::with_copies(journal, copies), limits)
    }

    fn open_over(dir: &Path, sources: Sources, limits: IndexLimits) -> Result<Self, IndexError> {
        let known_from = sources.own.tail();
        let (shared, thread) = projection::start(dir, sources, limits)?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
            remembered: Mutex::default(),
            recent: report::Recent { known_from, ..report::Recent::default() },
            refused: Refused::default(),
        })
    }

    /// Answers a question: typically in milliseconds, at the worst some tenths of a second of this thread.
    ///
    /// # Errors
    /// [`AskError::Question`] for one that cannot be asked so; [`AskError::Index`] if a day does not read back, which is then
    /// made anew.
    pub fn ask(&self, question: &Question) -> Result<Answer, AskError> {
        ask::ask(&self.shared, &self.remembered, question)
    }

    /// The newest events that a question asks for, up to its limit, which may be any number here: newest first, and whether those are
    /// all. Text is not looked at.
    ///
    /// # Errors
    /// As [`Events::ask`].
    pub fn gather(&self, question: &Question) -> Result<(Vec<Kept>, bool), AskError> {
        ask::gather(&self.shared, &self.remembered, question)
    }

    /// Takes at most [`MAX_BATCH`] events in, durably, and returns what became of each, in order. An event whose source gave
    /// it a number that it gave before is not taken twice. Waits for the disk: not for async code.
    pub fn report(&self, door: &'static str, events: Vec<Event>) -> Vec<Result<Reported, ReportError>> {
        let results = report::report(&self.shared, &self.recent, events);
        for result in &results {
            if let Err(ReportError::Event(EventError::Identity { why, .. })) = result {
                self.refused.count(door, *why);
            }
        }
        results
    }

    /// Whether a report, as a source sent it, says who somebody is anywhere in it.
    #[must_use]
    pub fn identity_in(&self, report: &serde_json::Value) -> Option<Identity> {
        identity::in_value(report)
    }

    /// How far the index is, and what it knows.
    #[must_use]
    pub fn coverage(&self, window: Window) -> Coverage {
        ask::coverage(&self.shared, window)
    }

    /// Waits until everything up to `seq` can be found, at most `limit`; whether it can.
    #[must_use]
    pub fn wait_indexed(&self, seq: Seq, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        loop {
            if self.shared.progress.seq.load(Ordering::Relaxed) >= seq.get() {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until everything that its journals have by now can be found, at most `limit`; whether it can.
    #[must_use]
    pub fn wait_current(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let wanted = self.shared.sources.list();
        let wanted: Vec<_> = wanted.iter().map(|source| (source, source.history.head().0)).collect();
        while !wanted.iter().all(|(source, tail)| self.shared.progress.reached(source).seq >= *tail) {
            if Instant::now() >= until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Events put into the index since start.
    #[must_use]
    pub fn added(&self) -> u64 {
        self.shared.progress.added.load(Ordering::Relaxed)
    }

    /// The node's own journal.
    #[must_use]
    pub fn journal(&self) -> &Arc<Journal> {
        &self.shared.sources.own
    }

    /// Makes findable what the journal has, and ends the index's thread. Asking goes on.
    pub fn close(&self) {
        self.shared.stop();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.join().is_err()
        {
            tracing::error!("the event index's thread did not end cleanly; the next start reads what it missed from the journal");
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").field("dir", &self.shared.root).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
