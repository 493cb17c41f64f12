//! A bell for whoever waits for any of several histories to grow.

use super::lock;
use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

/// Rung each time one of several histories grew. It says that something did, not what: whoever hears it looks.
#[derive(Default)]
pub struct Bell {
    rung: Mutex<u64>,
    ringing: Condvar,
    listeners: Mutex<Vec<Listener>>,
}

type Listener = Box<dyn Fn() + Send + Sync>;

impl Bell {
    /// Rings it.
    pub fn ring(&self) {
        *lock(&self.rung) += 1;
        self.ringing.notify_all();
        lock(&self.listeners).iter().for_each(|listener| listener());
    }

    /// How often it rang. Whoever waits asks this first, then looks, then waits beyond it: so no ring is missed between.
    #[must_use]
    pub fn count(&self) -> u64 {
        *lock(&self.rung)
    }

    /// Waits until it rang more often than `heard`, at most `limit`.
    pub fn wait_beyond(&self, heard: u64, limit: Duration) {
        let rung = lock(&self.rung);
        drop(self.ringing.wait_timeout_while(rung, limit, |rung| *rung <= heard).unwrap_or_else(PoisonError::into_inner));
    }

    /// Calls `listener` at each ring, on the thread that rings: it must be short.
    pub fn on_ring(&self, listener: impl Fn() + Send + Sync + 'static) {
        lock(&self.listeners).push(Box::new(listener));
    }
}

impl std::fmt::Debug for Bell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bell").field("rung", &self.count()).finish_non_exhaustive()
    }
}
