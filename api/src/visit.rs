//! What belongs to one login for as long as it lasts: the declared purpose, and the accesses that are open.
//!
//! A player fetches a window of footage in many small requests. They are one access, with one record: the permit stays open
//! while the requests come, and its end is written when they have stopped for a minute, with the bytes that left.
//!
//! A page that shows the newest events asks the same again whenever one comes. That is one search, with one record, for as long
//! as its window only follows the clock; a register full of repeats would hide who looked for what.

use index::{
    access::{Action, Extent, Permit, Purpose},
    model::Window,
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// An access that nothing was asked under for that long is over.
const IDLE: Duration = Duration::from_secs(60);
/// Open accesses of one login at most; the least recently used one ends for a new one.
const MAX_OPEN: usize = 64;
/// A search whose window went that far past the end of the recorded one is a new search.
const FOLLOWED: Duration = Duration::from_mins(5);
/// Recorded searches of one login that are remembered; the oldest is forgotten, and so recorded again.
const MAX_SEARCHES: usize = 16;

/// See the module.
#[derive(Default)]
pub struct Visit {
    purpose: Mutex<Option<Purpose>>,
    open: Mutex<Vec<Open>>,
    searches: Mutex<VecDeque<(String, Window)>>,
}

struct Open {
    permit: Arc<Permit>,
    used: Instant,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Visit {
    /// Why this person looks, as declared; `None` before they said.
    #[must_use]
    pub fn purpose(&self) -> Option<Purpose> {
        lock(&self.purpose).clone()
    }

    /// Declares a purpose. What was opened under another one is over.
    pub fn declare(&self, purpose: Purpose) {
        let mut declared = lock(&self.purpose);
        if declared.as_ref() != Some(&purpose) {
            lock(&self.open).clear();
            lock(&self.searches).clear();
            *declared = Some(purpose);
        }
    }

    /// An open access that is enough, if there is one.
    #[must_use]
    pub fn find(&self, action: Action, enough: impl Fn(&Extent) -> bool) -> Option<Arc<Permit>> {
        let mut open = lock(&self.open);
        let found = open.iter_mut().find(|o| o.permit.action() == action && enough(o.permit.extent()))?;
        found.used = Instant::now();
        Some(Arc::clone(&found.permit))
    }

    /// Keeps an access open for the requests that follow.
    pub fn keep(&self, permit: Permit) -> Arc<Permit> {
        let permit = Arc::new(permit);
        let mut open = lock(&self.open);
        if open.len() >= MAX_OPEN
            && let Some(oldest) = (0..open.len()).min_by_key(|n| open[*n].used)
        {
            open.swap_remove(oldest);
        }
        open.push(Open { permit: Arc::clone(&permit), used: Instant::now() });
        permit
    }

    /// Whether a search stands in the register already: the same words, and no other time than what came since.
    #[must_use]
    pub fn has_searched(&self, question: &str, window: Window) -> bool {
        let within = |noted: &Window| noted.from <= window.from && window.to <= noted.to + FOLLOWED;
        lock(&self.searches).iter().any(|(text, noted)| text == question && within(noted))
    }

    /// Remembers a search that stands in the register.
    pub fn searched(&self, question: String, window: Window) {
        let mut searches = lock(&self.searches);
        searches.truncate(MAX_SEARCHES - 1);
        searches.push_front((question, window));
    }

    /// Ends what has not been used lately. A body still being sent holds its permit itself.
    pub fn sweep(&self) {
        lock(&self.open).retain(|open| open.used.elapsed() < IDLE);
    }
}
