//! Who may see what, and the register of who saw what, when and why.
//!
//! Nobody watches unseen: media bytes can only be read with a [`Permit`], a permit only comes from [`Register::admit`], and
//! that returns after the access record is durable in the journal (I8). So it is the compiler, not discipline, that keeps
//! a route from serving video without a record.
//!
//! ```text
//! Person ──may(action, camera)──▶ Grant ──admit(grant, request)──▶ record durable ──▶ Permit ──▶ Reader, LiveHub
//!            the one policy          │                                                  │
//!            └──▶ Denied             └── whose it is and for which cameras              └── dropped: end record
//! ```
//! Rules by number are those of Decree 799 and its companions as this system reads them: A1 a record before the first byte,
//! A2 a purpose in words, Z1 scope, Z3 roles apart.

pub mod above;
mod permit;
mod person;
mod policy;
mod purpose;
mod records;
mod register;

pub use above::{AboveGrant, AbovePolicy, AskedFrom, Asker, RoomDenied};
pub use permit::{Extent, Permit, Span};
pub use person::{Actor, Person, Role, Scope};
pub use policy::{Action, Denied, Grant};
pub use purpose::{Category, Purpose, PurposeError};
pub use records::{AccessEnd, AccessRecord, Began, Filter, Page};
pub use register::{AccessRequest, AdmitError, Register};

#[cfg(test)]
mod tests;
