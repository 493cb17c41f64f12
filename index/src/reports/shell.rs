//! The book on its journals: reads on where it was, keeps what it knows in a file, and states the days of a node that records.

use super::{
    book::Book,
    facts::FOLLOWED,
    figures::Figures,
    statement::{Day, Statement},
};
use crate::{
    durable::{self, FileError},
    journal::{Copies, History, Journal, JournalError, Seq},
    model::{NodeId, UtcMicros, Window},
};
use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Records read under one lock.
const BATCH: u64 = 5_000;
/// How long after a day's midnight its figures are read again from the ledger; from then on they stand, because what is deleted at the
/// end of its term leaves the ledger's sums. Incidents and pictures are followed for as long as [`FOLLOWED`].
const LEDGER_OPEN: Duration = Duration::from_secs(3 * 86_400);

/// The reports of a node. Owns no thread and no clock.
pub struct Reports {
    book: Mutex<Book>,
    journal: Arc<Journal>,
    copies: Option<Arc<Copies>>,
    file: PathBuf,
    /// One reader at a time, and one who states days.
    reading: Mutex<()>,
    stating: Mutex<()>,
}

impl Reports {
    /// Takes what is kept in `file`; what it does not have is read by [`Reports::catch_up`].
    ///
    /// # Errors
    /// If the file's directory does not read.
    pub fn open(file: &Path, journal: Arc<Journal>, copies: Option<Arc<Copies>>) -> Result<Self, FileError> {
        let kept = durable::read(file)?.and_then(|bytes| serde_json::from_slice::<Book>(durable::checked(&bytes)?).ok());
        let kept = kept.filter(|kept| kept.own() == journal.node() && kept.cursor(journal.node()) <= journal.tail());
        let book = Mutex::new(kept.unwrap_or_else(|| Book::new(journal.node())));
        Ok(Self { book, journal, copies, file: file.to_owned(), reading: Mutex::default(), stating: Mutex::default() })
    }

    /// What is known, locked: look and let go.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what the journals have and the book has not. Waits for the disk; with a journal of millions of records and no file it takes
    /// seconds, and whoever looks at the book meanwhile does not wait for it. A copy that does not read back is passed over: the others
    /// go on, and its error is returned when all are read.
    ///
    /// # Errors
    /// As [`Journal::visit`].
    pub fn catch_up(&self) -> Result<(), JournalError> {
        let _one = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let own = self.follow(self.journal.node(), &*self.journal);
        let copies = self.copies.as_ref().map(|copies| copies.list()).unwrap_or_default();
        let read = copies.into_iter().map(|copy| {
            self.book().begin(copy.node(), copy.begun_anew());
            self.follow(copy.node(), &*copy)
        });
        read.fold(own, Result::and)
    }

    fn follow(&self, node: NodeId, history: &dyn History) -> Result<(), JournalError> {
        loop {
            let (cursor, head) = (self.book().cursor(node), history.head().0);
            if cursor >= head {
                return Ok(());
            }
            let mut book = self.book();
            let to = Seq::new(cursor.get() + BATCH).min(head);
            history.visit(cursor.next(), to, &mut |seen| {
                book.take(node, seen);
                ControlFlow::Continue(())
            })?;
        }
    }

    /// States the days that are over and not stated, or stated otherwise than they are now known: `days` with their whole windows, oldest
    /// first. `figures` reads the ledger for a window. The book must have caught up. Durable when this returns, and in the book. Returns
    /// how many were stated.
    ///
    /// # Errors
    /// If the journal does not take them, or does not read back.
    pub fn state(
        &self,
        days: &[(Day, Window)],
        zone: &str,
        now: UtcMicros,
        figures: impl Fn(Window) -> Figures,
    ) -> Result<usize, JournalError> {
        let _one = self.stating.lock().unwrap_or_else(PoisonError::into_inner);
        self.catch_up()?;
        let node = self.journal.node();
        let mut stated = 0;
        for (day, window) in days.iter().filter(|(_, window)| window.to <= now && now.since(window.to) <= FOLLOWED) {
            let known = self.book().stated(node, *day).cloned();
            if known.is_some() && !self.book().facts.covers(*window) {
                continue;
            }
            let open = now.since(window.to) <= LEDGER_OPEN;
            let ledger = match &known {
                Some(known) if !open => without_faults(&known.figures),
                Some(known) => {
                    // How far recordings went back when the day was over, and not how far they do now.
                    let read = figures(*window);
                    let Figures { promised_us, kept_us, short, .. } = known.figures;
                    Figures { promised_us, kept_us, short, ..read }
                }
                None => figures(*window),
            };
            let mut statement = self.worked_out(*day, *window, ledger);
            let is_news = match &known {
                Some(known) => !known.says_as(&statement),
                None => !statement.figures.is_empty() || !statement.incidents.0.is_empty(),
            };
            if is_news {
                statement.revision = known.map_or(0, |known| known.revision) + 1;
                self.journal.append_all(statement.records(zone, now))?;
                stated += 1;
            }
        }
        self.catch_up()?;
        self.book().facts.forget(now - FOLLOWED - Duration::from_secs(2 * 86_400));
        Ok(stated)
    }

    /// A day as it is known now, not stated: `window` is as much of it as there is.
    #[must_use]
    pub fn worked_out(&self, day: Day, window: Window, mut figures: Figures) -> Statement {
        let book = self.book();
        book.facts.add_faults(window, &mut figures);
        Statement { day, window, revision: 0, figures, incidents: book.facts.incidents(window) }
    }

    /// Writes what is known into the file, so that the next start reads on from there.
    ///
    /// # Errors
    /// If the disk refuses: then the next start reads more.
    pub fn keep(&self) -> Result<(), FileError> {
        let bytes = serde_json::to_vec(&*self.book()).unwrap_or_default();
        durable::replace(&self.file, &durable::with_checksum(&bytes), 0o600)
    }
}

fn without_faults(figures: &Figures) -> Figures {
    Figures { faults: Default::default(), faulty_us: 0, ..figures.clone() }
}

impl std::fmt::Debug for Reports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reports").field("file", &self.file).finish_non_exhaustive()
    }
}
