//! What cameras tell beside their pictures: ONVIF notifications and objects, and what of it is an event of ours.
//!
//! Pure: bytes, received at an instant, go in, events come out. `document` reads what a camera sent and trusts nothing in it;
//! `mapping` names things by our kinds; `watch` knows what a camera said before, so that a state that is told again and again
//! is one event. Whoever carries the documents here (the metadata track, a pull point) is no matter.

mod document;
mod mapping;
mod watch;

pub use document::{Document, DocumentError, Item, Notification, Operation, Seen};
pub use watch::{Outcome, Watch};

#[cfg(test)]
mod tests;
