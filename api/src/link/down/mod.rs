//! Questions and footage come down the line: what somebody at a centre wants to see of a room, asked for piece by piece.
//!
//! A centre hands a request for a resource that only rooms have ([`crate::doors`]) to the room that has it, through the centres between;
//! the room answers it by its own router, under its own rights and with its own access record, as if the person were there
//! ([`Answers`]). What comes back is taken in parts, each asked for by its place ([`Down`]): the line carries nothing that nobody
//! waits for, and needs nothing but questions and answers.
//!
//! - D1: a part that was lost is asked for again from the same place: the room keeps the newest part until the next one is asked for.
//! - D2: everything is bounded: bodies under way at a time, bytes of a part, time without a question.
//! - D3: a request is begun once however often it is asked: the asker chooses the number of its body.
//! - D4: no byte leaves the room before its access record, nor the centre before its own (I8).

mod answers;
mod ask;
mod bodies;
pub mod budget;
mod exports;
mod live;
mod places;
mod relay;
#[cfg(test)]
mod tests;
pub mod units;

pub use answers::{Answers, FromAbove};
pub use ask::{Body, Down, Opened, Unreached};
pub use exports::{ExportBelow, ExportsBelow};
pub use places::{Listed, Places};
pub use relay::{LineState, NotWatching, Relays, Watching};

use crate::refusal::Refusal;
use index::{
    access::{Category, Purpose, PurposeError},
    model::{CameraId, NodeId, StreamId},
};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// The most bytes that one answer carries.
pub const MAX_PART: usize = 256 << 10;
/// The largest body of a request, as at a node's own door.
pub const MAX_BODY: usize = 256 << 10;

/// Who asks, and what the centre where they are signed in grants them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asker {
    /// The centre.
    pub node: NodeId,
    /// What it is called; up to 100 characters.
    pub node_name: String,
    /// The account there.
    pub person: String,
    /// The name colleagues know.
    pub display: String,
    /// Their organisation.
    pub unit: String,
    /// The public number of their login there.
    pub login: String,
    /// From where they are signed in.
    pub from: IpAddr,
    /// Why they look.
    pub category: Category,
    /// The same in words.
    pub text: String,
    /// The case or document, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// The cameras that the centre's own rights grant them for this; `None`: all there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cameras: Option<Vec<CameraId>>,
}

impl Asker {
    /// Why they look.
    ///
    /// # Errors
    /// If the words say nothing: a room does not take less than its own page does.
    pub fn purpose(&self) -> Result<Purpose, PurposeError> {
        Purpose::new(self.category, &self.text, self.case.as_deref())
    }
}

/// A request as it would come to the room's own door.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: String,
    /// Path and query, from `/api/v1/` on.
    pub uri: String,
    /// Which bytes, as in the header `Range`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// Of which version, as in the header `If-Range`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_range: Option<String>,
    /// JSON, or nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
}

/// What is asked of a node from above.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case", deny_unknown_fields)]
pub enum Say {
    /// Answer a request: its head and the first bytes. The same handle again is the same request (D3).
    Open {
        /// The number of the body, chosen by chance by whoever asks.
        handle: u64,
        /// For whom.
        asker: Box<Asker>,
        /// What.
        request: Box<Request>,
    },
    /// The bytes of a body from a place on.
    Next {
        /// Of which.
        handle: u64,
        /// The place: where the last part ended, or began if it was lost.
        from: u64,
    },
    /// No more of it is wanted.
    Close {
        /// Of which.
        handle: u64,
    },
    /// Which cameras are here?
    Cameras,
    /// Somebody begins to watch a stream live: the access record of it. The same handle again is the same watch (D3).
    Watch {
        /// The number of the watch, chosen by chance by whoever asks.
        handle: u64,
        /// For whom.
        asker: Box<Asker>,
        /// What.
        stream: StreamId,
    },
    /// These watches go on.
    Keep {
        /// Each with the bytes that reached whoever watches since this was said last.
        watching: Vec<(u64, u64)>,
    },
    /// A watch is over.
    Leave {
        /// Which.
        handle: u64,
        /// The bytes since it was said last that it goes on.
        bytes: u64,
    },
    /// The next units of a stream that somebody watches, from a place of the feed on: a part as of a body.
    Live {
        /// The number of the feed, chosen by chance by whoever asks.
        handle: u64,
        /// What.
        stream: StreamId,
        /// Key units only.
        key: bool,
        /// The place.
        from: u64,
    },
}

/// What a node answers to [`Say`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// A request is answered; its first bytes are attached.
    Opened {
        /// The HTTP status.
        status: u16,
        /// The headers that a viewer needs.
        headers: Vec<(String, String)>,
        /// Whether the attached bytes are all.
        end: bool,
        /// Whether they stand back for what is more urgent on the line, and so are none: they come when asked for from 0.
        waits: bool,
    },
    /// The attached bytes of a body from a place on; none if none came in time.
    Part {
        /// The place.
        from: u64,
        /// Whether the body ends with them.
        end: bool,
        /// Whether they stand back for what is more urgent on the line, and so are none.
        waits: bool,
    },
    /// Nothing more is kept.
    Closed,
    /// Cameras, as JSON in what is attached.
    Cameras,
    /// The access record is durable: the stream may be fetched and shown.
    Watching,
    /// Of the watches that go on, those that do not: they are not known, or may no longer.
    Kept {
        /// Which.
        gone: Vec<u64>,
    },
    /// The node says no, in words for whoever asked.
    Refused {
        /// A stable word.
        code: String,
        /// Why, in Chinese.
        zh: String,
        /// Why, in English.
        en: String,
    },
    /// It cannot be had.
    No {
        /// Which node says so.
        by: NodeId,
        /// Why.
        why: No,
    },
}

impl Reply {
    fn refused(refusal: &Refusal) -> Self {
        let said = refusal.said();
        let text = |text: &str| text.to_owned();
        Self::Refused { code: text(&said.code), zh: text(&said.state.zh), en: text(&said.state.en) }
    }
}

/// Why something cannot be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum No {
    /// The node meant is not known below the one that answers.
    UnknownNode,
    /// The node meant, or one between, does not answer.
    NoContact,
    /// Too much is under way.
    Busy,
    /// That body is not kept here, or not from that place on.
    Gone,
    /// The body broke off: what reads it failed.
    Broken,
    /// The request is not one that is answered to nodes above.
    NotAnswered,
}

impl fmt::Display for No {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownNode => "the node is not known there",
            Self::NoContact => "the node does not answer",
            Self::Busy => "too much is under way",
            Self::Gone => "what was asked for is not kept any more",
            Self::Broken => "it broke off",
            Self::NotAnswered => "it is not answered to nodes above",
        })
    }
}
