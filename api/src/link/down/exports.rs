//! Exports that rooms make for people of this centre: which room has each, and what its record says when it is fetched.

use index::{
    access::Purpose,
    model::{NodeId, StreamId, Window},
};
use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// Exports that are remembered; the oldest is forgotten, and stays in its room until its week is over.
const MAX_EXPORTS: usize = 1024;

/// An export in a room.
#[derive(Clone, Debug)]
pub struct ExportBelow {
    /// The number that the room gave it.
    pub id: String,
    /// The room.
    pub node: NodeId,
    /// Who asked, by account; nobody else may fetch it.
    pub person: String,
    /// Of which streams.
    pub streams: Vec<StreamId>,
    /// When.
    pub window: Window,
    /// Why.
    pub purpose: Purpose,
}

/// See the module. In memory, as logins are.
#[derive(Default, Debug)]
pub struct ExportsBelow(Mutex<VecDeque<ExportBelow>>);

impl ExportsBelow {
    /// Remembers one.
    pub fn keep(&self, export: ExportBelow) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(MAX_EXPORTS - 1);
        kept.push_front(export);
    }

    /// One of this person's; nobody else's exists for them.
    #[must_use]
    pub fn find(&self, id: &str, person: &str) -> Option<ExportBelow> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|export| export.id == id && export.person == person).cloned()
    }
}
