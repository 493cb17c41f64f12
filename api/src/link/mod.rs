//! The line between tiers: what happened flows up it, and questions will come down it.
//!
//! An upper node fetches, from each node below it, that node's journal and the copies that it keeps of journals further below, by node
//! and number, and keeps them as copies of its own ([`index::journal::Copies`]). The journal remembers and the line only carries: a
//! broker that loses everything loses nothing, a message that comes twice, late, torn or not at all costs a repetition.
//!
//! - L1: whatever comes over a line is hostile until checked: its size before it is read, its checksum and version before it is
//!   understood, its records against the chain of their node ([`index::journal::JournalCopy::apply`]).
//! - L2: the place that fetching goes on from is the end of the durable copy, read from it and never remembered beside it.
//! - L3: a line has one question under way and one batch in memory, however much there is to fetch.
//! - L4: who is behind, by how much and why is visible at any moment ([`Standings`]); nothing that is missing looks complete (I9).
//!
//! `message` is what is said, [`Desk`] answers in the lower node, [`pull::Puller`] decides in the upper one, [`replicate`] acts for it.
//! What was done above about incidents is handed down the same line as a question ([`deliver()`](deliver::deliver)).
//! [`Line`] has two implementations: [`embedded()`] for tiers in one process, and [`nats`] between machines, where the lower node's [`leaf`]
//! dials the upper one's [`broker`]. Who may dial is decided once, by a person's code ([`members`]), and shown by certificate from then on
//! ([`authority`], [`papers`]). [`below`] runs the upper node's side of all its lines, [`above`] the lower node's of its one.

pub mod above;
pub mod authority;
pub mod below;
pub mod broker;
pub mod deliver;
mod desk;
pub mod down;
mod embedded;
pub mod join;
pub mod leaf;
pub mod members;
pub mod message;
pub mod nats;
pub mod papers;
pub mod pull;
mod replicate;
pub mod roster;
mod server;
mod standing;

pub use desk::Desk;
pub use embedded::{EmbeddedLine, embedded};
pub use replicate::{applied, here, offered, replicate};
pub use standing::{Standing, Standings, Trouble};

use futures::future::BoxFuture;
use std::time::Duration;

/// A way to put questions to one other node. It carries bytes and understands none of them.
pub trait Line: Send + Sync {
    /// Sends a question and waits for its answer, at most until the deadline. Both are [`message::MAX_MESSAGE`] bytes at most. May be
    /// dropped at any time; an answer that comes later is then nobody's.
    ///
    /// # Errors
    /// Why there is no answer: asking again later may bring one.
    fn ask(&self, question: Vec<u8>, deadline: Duration) -> BoxFuture<'_, Result<Vec<u8>, LineError>>;
}

/// Why there is no answer, or none that can be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LineError {
    /// Nothing came in time.
    #[error("no answer came in time")]
    Deadline,
    /// Nobody is at the other end.
    #[error("the line is down")]
    Down,
    /// Too many questions wait already.
    #[error("too many questions wait for this line")]
    Busy,
    /// What came is no answer to this question.
    #[error("the answer cannot be used: {0}")]
    Malformed(&'static str),
    /// The other end said no.
    #[error("the other end refuses: {0}")]
    Refused(message::Refused),
}
