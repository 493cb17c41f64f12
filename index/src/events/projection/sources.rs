//! The journals that an index is made of.

use super::super::reached::Origin;
use crate::journal::{Bell, Copies, History, Journal, Seq};
use std::{sync::Arc, time::Duration};

/// The journals that an index is made of: the node's own, and the copies of those below.
pub struct Sources {
    pub(in crate::events) own: Arc<Journal>,
    below: Option<(Arc<Copies>, Arc<Bell>)>,
}

/// One of them.
pub(in crate::events) struct Source {
    pub(in crate::events) origin: Origin,
    /// Which copy of its node it is; 0 for the node's own journal.
    pub(in crate::events) begun: u32,
    pub(in crate::events) history: Arc<dyn History>,
}

impl Sources {
    /// The node's own journal alone: a room.
    #[must_use]
    pub fn own(journal: Arc<Journal>) -> Self {
        Self { own: journal, below: None }
    }

    /// The node's own journal and all copies that it keeps, also those that are begun later.
    #[must_use]
    pub fn with_copies(journal: Arc<Journal>, copies: Arc<Copies>) -> Self {
        let bell = Arc::new(Bell::default());
        let (own, below) = (Arc::downgrade(&bell), Arc::downgrade(&bell));
        journal.on_commit(move |_| {
            if let Some(bell) = own.upgrade() {
                bell.ring();
            }
        });
        copies.bell().on_ring(move || {
            if let Some(bell) = below.upgrade() {
                bell.ring();
            }
        });
        Self { own: journal, below: Some((copies, bell)) }
    }

    /// Whether there may be more than one.
    pub(in crate::events) fn several(&self) -> bool {
        self.below.is_some()
    }

    /// Those there are now, the node's own first.
    pub(in crate::events) fn list(&self) -> Vec<Source> {
        let own = Source { origin: None, begun: 0, history: Arc::clone(&self.own) as Arc<dyn History> };
        let copies = self.below.iter().flat_map(|(copies, _)| copies.list()).map(|copy| Source {
            origin: Some(copy.node()),
            begun: copy.begun_anew(),
            history: copy as Arc<dyn History>,
        });
        std::iter::once(own).chain(copies).collect()
    }

    /// Waits until the own journal goes beyond `own`, or another has more than was read, at most `limit`.
    pub(in crate::events) fn wait(&self, own: Seq, has_more: impl Fn(&Source) -> bool, limit: Duration) {
        let Some((_, bell)) = &self.below else {
            let _ = self.own.wait_beyond(own, limit);
            return;
        };
        let heard = bell.count();
        if !self.list().iter().any(has_more) {
            bell.wait_beyond(heard, limit);
        }
    }
}
