//! What belongs to one login for as long as it lasts: the declared purpose, and the accesses that are open.
//!
//! A player fetches a window of footage in many small requests. They are one access, with one record: the permit stays open
//! while the requests come, and its end is written when they have stopped for a minute, with the bytes that left.

use index::access::{Action, Extent, Permit, Purpose};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// An access that nothing was asked under for that long is over.
const IDLE: Duration = Duration::from_secs(60);
/// Open accesses of one login at most; the least recently used one ends for a new one.
const MAX_OPEN: usize = 64;

/// See the module.
#[derive(Default)]
pub struct Visit {
    purpose: Mutex<Option<Purpose>>,
    open: Mutex<Vec<Open>>,
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

    /// Ends what has not been used lately. A body still being sent holds its permit itself.
    pub fn sweep(&self) {
        lock(&self.open).retain(|open| open.used.elapsed() < IDLE);
    }
}
