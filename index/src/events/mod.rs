//! Events: what happened, kept as journal records and found again through an index.
//!
//! The journal is the truth ([`crate::journal`]); everything else here is a projection of it that can be thrown away and
//! made again. Nothing here knows a network or a camera: whoever noticed something makes an [`Event`], has it checked, and
//! appends its record.
//!
//! - E1: no event says who a person is (I14): [`Event::check`] refuses it at every door, by name and by shape, and it is counted.
//! - E2: an event is never edited; what changes is told by a further event.

mod event;
mod identity;
mod kind;

pub use event::{
    Class, Event, EventError, EventId, Kept, MAX_ATTRIBUTES, MAX_OBJECTS, MAX_TEXT, MAX_WORD, NEWEST, OLDEST, Objects, Region,
    Source, Text,
};
pub use identity::{Identity, Refused};
pub use kind::{Kind, Severity};
