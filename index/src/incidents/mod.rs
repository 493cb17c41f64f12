//! Incidents: cases that operators open, own, pass on and close, in three tiers that may be cut off from each other.
//!
//! Each move is a record of the journal of the node where it was made, so it flows up with that journal; what is done above is handed
//! down along the way to the incident's home, and kept there as a record too. Every node folds what it holds into the same state
//! ([`state`](Incident)), and only the node whose tier has an incident runs its clock.
//!
//! `shift` is how one shift hands over to the next, `moves` is what can be done and how it stands in a journal, `state` the machine with its rules N1 to N4, `book` all incidents of a
//! node, [`Casebook`] the book on its journals, and [`Incidents`] that with a thread.

mod book;
mod casebook;
mod clock;
mod moves;
mod shift;
mod state;

pub use book::{Book, Figures, MAX_INCIDENTS};
pub use casebook::{Casebook, Draft, IncidentError, Lower, Me, opening};
pub use clock::{Clocks, Limits};
pub use moves::{
    Author, CloseCode, Deed, Evidence, FalseReason, Handed, IncidentId, MAX_SHELVED, MAX_TEXT, Opening, Priority, RECEIVED, Told,
    UNDO_WITHIN, What, Who,
};
pub use shift::{HandOver, MAX_REMARKS, ShiftError};
pub use state::{Effect, Entry, Incident, NotNow, Owner, Place, Shelved, Stage};

use crate::durable::{self, FileError};
use crate::journal::{Bell, Journal};
use crate::model::UtcMicros;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long the thread waits at most before it looks at the clocks.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often the book is kept: a start reads what came since from the journals.
const KEEP_EVERY: Duration = Duration::from_secs(120);

/// Told the revision after each change.
type Changed = Box<dyn Fn(u64) + Send + Sync>;

/// The incidents of a running node. Dropping it ends its thread.
pub struct Incidents {
    casebook: Arc<Casebook>,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Incidents {
    /// Reads the book kept in `file` and begins to follow the journals; `changed` is called after each change, on the thread that
    /// follows, with the new revision: it must be short.
    ///
    /// # Errors
    /// If the thread cannot be made, or the file's directory does not read.
    pub fn open(
        file: &Path,
        me: Me,
        journal: Arc<Journal>,
        below: Option<Lower>,
        changed: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<Self, FileError> {
        let kept = durable::read(file)?.and_then(|bytes| serde_json::from_slice::<Book>(durable::checked(&bytes)?).ok());
        let kept = kept.filter(|kept| kept.cursor(me.node) <= journal.tail());
        let book = kept.map_or_else(|| Book::new(me.node, me.tier), Book::restored);
        let bell = Arc::new(Bell::default());
        let rung = Arc::clone(&bell);
        journal.on_commit(move |_| rung.ring());
        if let Some(Lower { copies, .. }) = &below {
            let rung = Arc::clone(&bell);
            copies.bell().on_ring(move || rung.ring());
        }
        let casebook = Arc::new(Casebook::new(me, journal, below, book));
        let stop = Arc::new(AtomicBool::new(false));
        let follower = Follower {
            casebook: Arc::clone(&casebook),
            stop: Arc::clone(&stop),
            bell,
            file: file.to_owned(),
            changed: Box::new(changed),
            told: 0,
            kept: (Instant::now(), u64::MAX),
            failing: false,
        };
        let thread = std::thread::Builder::new().name("incidents".into()).spawn(move || follower.run());
        let thread = thread.map_err(|source| FileError { doing: "start the thread of", path: file.to_owned(), source })?;
        Ok(Self { casebook, stop, thread: Mutex::new(Some(thread)) })
    }

    /// The book on its journals.
    #[must_use]
    pub fn casebook(&self) -> &Arc<Casebook> {
        &self.casebook
    }

    /// Ends the thread after it has seen what the journal has, and keeps the book.
    pub fn close(&self) {
        self.stop.store(true, Ordering::Release);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of incidents did not end cleanly; the next start reads what it missed from the journals");
        }
    }
}

impl Drop for Incidents {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Incidents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incidents").field("casebook", &self.casebook).finish_non_exhaustive()
    }
}

struct Follower {
    casebook: Arc<Casebook>,
    stop: Arc<AtomicBool>,
    bell: Arc<Bell>,
    file: PathBuf,
    changed: Changed,
    told: u64,
    kept: (Instant, u64),
    failing: bool,
}

impl Follower {
    fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            let heard = self.bell.count();
            let now = UtcMicros::now();
            let ticked = self.casebook.tick(now);
            self.say(ticked.as_ref().err());
            self.tell();
            if self.kept.0.elapsed() >= KEEP_EVERY {
                self.keep();
            }
            let next = ticked.ok().flatten().map_or(PATIENCE, |next| next.since(UtcMicros::now()).min(PATIENCE));
            self.bell.wait_beyond(heard, next.max(Duration::from_millis(5)));
        }
        drop(self.casebook.catch_up());
        self.keep();
    }

    fn say(&mut self, error: Option<&crate::journal::JournalError>) {
        if error.is_some() != self.failing {
            self.failing = error.is_some();
            if let Some(error) = error {
                tracing::error!(%error, "a journal fails for incidents: nothing is escalated by the clock until it does not");
            }
        }
        if self.failing {
            std::thread::sleep(PATIENCE);
        }
    }

    fn tell(&mut self) {
        let revision = self.casebook.book().revision();
        if revision != self.told {
            self.told = revision;
            (self.changed)(revision);
        }
    }

    fn keep(&mut self) {
        let (revision, bytes) = {
            let book = self.casebook.book();
            if book.revision() == self.kept.1 {
                self.kept.0 = Instant::now();
                return;
            }
            (book.revision(), serde_json::to_vec(&*book).unwrap_or_default())
        };
        if let Err(error) = durable::replace(&self.file, &durable::with_checksum(&bytes), 0o600) {
            tracing::warn!(%error, "incidents could not be kept; the next start reads more of the journals");
        }
        self.kept = (Instant::now(), revision);
    }
}

#[cfg(test)]
mod tests;
