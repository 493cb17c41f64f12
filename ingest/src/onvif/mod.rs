//! What cameras tell beside their pictures: ONVIF notifications and objects, and what of it is an event of ours.
//!
//! Pure: bytes, received at an instant, go in, events come out. `document` reads what a camera sent and trusts nothing in it;
//! `mapping` names things by our kinds; `watch` knows what a camera said before, so that a state that is told again and again
//! is one event. Whoever carries the documents here is no matter: the metadata track of a session, or `pull`, which asks cameras.

mod document;
mod mapping;
mod pull;
mod watch;

pub use document::{Document, DocumentError, Item, Notification, Operation, Seen};
pub(crate) use pull::PullPoints;
pub use pull::{PullStatus, PullTrouble};
pub use watch::{Outcome, Watch};

#[cfg(test)]
mod tests;
