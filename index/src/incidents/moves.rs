//! What people and clocks do with an incident, as the journal has it.
//!
//! A record says what was done, by whom, and what its author had seen of the incident: enough for every node that ever holds it to
//! come to the same state, in whatever order the records of several nodes reach it.

use super::clock::Limits;
use crate::alarms::AlarmId;
use crate::events::{EventId, Kind, Text};
use crate::journal::{Record, Seq};
use crate::model::{CameraId, NodeId, Tier, UtcMicros, Window};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

/// Characters of a note, a reason, a unit's name.
pub const MAX_TEXT: usize = 500;
/// The longest time that an incident may be laid aside.
pub const MAX_SHELVED: Duration = Duration::from_secs(8 * 3600);
/// How long closing can be taken back. The person is told of five seconds; the rest is the way there.
pub const UNDO_WITHIN: Duration = Duration::from_secs(7);

/// An incident's name: the node that opened it and the number of the record that says so.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IncidentId {
    /// Which node.
    pub node: NodeId,
    /// Which record of its journal.
    pub seq: Seq,
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.node, self.seq)
    }
}

impl FromStr for IncidentId {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (node, seq) = text.split_once('.').ok_or(())?;
        Ok(Self { node: node.parse().map_err(drop)?, seq: Seq::new(seq.parse().map_err(drop)?) })
    }
}

impl Serialize for IncidentId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IncidentId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(|()| serde::de::Error::custom("an incident is a node, a dot and a number"))
    }
}

/// How soon an incident wants somebody. What asks for nobody is an event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// 紧急, at once.
    P1,
    /// 高, in minutes.
    P2,
    /// 中, when there is time.
    P3,
}

impl Priority {
    /// `p1`, `p2`, `p3`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::P1 => "p1",
            Self::P2 => "p2",
            Self::P3 => "p3",
        }
    }
}

/// A person, as other nodes are told of one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Who {
    /// The account.
    pub name: String,
    /// The name colleagues know.
    pub display: String,
}

/// Who did something.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// Somebody signed in at the node.
    Person(Who),
    /// The clock of the owning node: nobody did anything in time.
    Clock,
    /// A rule that opens incidents, by its name.
    Rule(String),
}

/// What is known of an incident from its beginning.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Opening {
    /// A number of the day, for people: `1124-0417` is the 417th of the opening node's 24th of November.
    pub number: String,
    /// How soon it wants somebody.
    pub priority: Priority,
    /// What it is about, if an event began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// In words; empty where the kind says it all.
    #[serde(default)]
    pub text: Text,
    /// Which camera, and what it was called and where it stood then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<CameraId>,
    /// See `camera`.
    #[serde(default)]
    pub name: String,
    /// See `camera`.
    #[serde(default)]
    pub place: Vec<String>,
    /// When what it is about happened.
    pub happened: UtcMicros,
    /// The event that it was opened for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// The alarm of the same node that it was opened for: one alarm opens one incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<AlarmId>,
    /// How long each step may take. They travel with the incident, so that every node counts alike.
    pub limits: Limits,
}

/// What stands for an incident when it is asked about one day.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Evidence {
    /// Footage of this camera,
    pub camera: CameraId,
    /// of this time,
    pub window: Window,
    /// kept beyond its term by this hold of the home node, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<u64>,
}

/// How an incident ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CloseCode {
    /// 现场处置完毕: dealt with on the spot.
    Handled,
    /// 劝离: those concerned were advised and went.
    Advised,
    /// 移交公安: handed to the police.
    Police,
    /// 移交其他部门: handed to another department.
    Department,
    /// 无需处置: nothing had to be done.
    Nothing,
}

/// Why an incident was none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FalseReason {
    /// 光线、天气: light or weather.
    Weather,
    /// 动物、植物: animals or plants.
    Animal,
    /// 正常活动: people doing what they may.
    Allowed,
    /// 算法误判: the analysis was wrong.
    Misjudged,
    /// 测试、检修: a test or works.
    Test,
}

/// Something done with an incident.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Deed {
    /// Seen, and taken on by whoever does it.
    Acknowledge,
    /// It is true.
    Verify,
    /// Somebody is sent.
    Dispatch {
        /// Who.
        unit: String,
    },
    /// They are there.
    Arrive,
    /// It is dealt with.
    Resolve,
    /// It is over.
    Close {
        /// How.
        code: CloseCode,
    },
    /// It was none.
    Dismiss {
        /// Why.
        reason: FalseReason,
    },
    /// The tier above has it from now on.
    Escalate {
        /// Which tier had it.
        from: Tier,
        /// Which has it then.
        to: Tier,
        /// How often it was escalated before: with `from` it makes the same escalation known however often it is told (N3).
        number: u32,
    },
    /// It is laid aside, and comes back by itself.
    Shelve {
        /// Until when.
        until: UtcMicros,
        /// Why.
        reason: String,
    },
    /// It is taken back before its time.
    Unshelve,
    /// It is part of another.
    Merge {
        /// Which.
        into: IncidentId,
    },
    /// It was closed and goes on.
    Reopen,
    /// Closing it was a slip.
    Undo {
        /// The closing move: its node and number.
        node: NodeId,
        /// See `node`.
        seq: Seq,
    },
    /// Somebody else of the same node answers for it from now on.
    Hand {
        /// Who.
        to: Who,
    },
    /// Something worth writing down.
    Note {
        /// What.
        text: String,
    },
    /// Footage that belongs to it.
    Attach {
        /// Which.
        evidence: Evidence,
    },
}

impl Deed {
    /// What its record is called.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Acknowledge => "incident.acknowledged",
            Self::Verify => "incident.verified",
            Self::Dispatch { .. } => "incident.dispatched",
            Self::Arrive => "incident.arrived",
            Self::Resolve => "incident.resolved",
            Self::Close { .. } => "incident.closed",
            Self::Dismiss { .. } => "incident.false",
            Self::Escalate { .. } => "incident.escalated",
            Self::Shelve { .. } => "incident.shelved",
            Self::Unshelve => "incident.unshelved",
            Self::Merge { .. } => "incident.merged",
            Self::Reopen => "incident.reopened",
            Self::Undo { .. } => "incident.undone",
            Self::Hand { .. } => "incident.handed",
            Self::Note { .. } => "incident.noted",
            Self::Attach { .. } => "incident.evidence",
        }
    }

    /// Whether it only adds to what is known and moves nothing: any tier that holds the incident may, at any time.
    #[must_use]
    pub fn only_adds(&self) -> bool {
        matches!(self, Self::Note { .. } | Self::Attach { .. })
    }

    /// The words a person wrote in it.
    #[must_use]
    pub fn words(&self) -> Option<&str> {
        match self {
            Self::Dispatch { unit: text } | Self::Shelve { reason: text, .. } | Self::Note { text } => Some(text),
            _ => None,
        }
    }
}

/// What a record of an incident says beside its place in its journal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Told {
    /// The node whose incident it is: the room with the camera, or the centre that opened it without one. Whatever is done above is
    /// handed down towards it.
    pub home: NodeId,
    /// When, by the author's clock, and later than anything of the incident that the author had seen (hybrid logical time).
    pub at: UtcMicros,
    /// The tier of the author's node.
    pub tier: Tier,
    /// Who.
    pub by: Author,
    /// What.
    pub what: What,
}

/// See [`Told`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It begins.
    Opened(Box<Opening>),
    /// Something is done with it.
    Moved {
        /// Which incident.
        incident: IncidentId,
        /// The newest record of each node that the author had seen about it.
        seen: BTreeMap<NodeId, Seq>,
        /// What is done.
        deed: Deed,
    },
}

impl Told {
    /// As a record of the author's journal.
    #[must_use]
    pub fn record(&self, now: UtcMicros) -> Record {
        let kind = match &self.what {
            What::Opened(_) => "incident.opened",
            What::Moved { deed, .. } => deed.kind(),
        };
        Record::new(now, kind, serde_json::json!(self))
    }

    /// Which incident it is about, if the record stands at this place.
    #[must_use]
    pub fn incident(&self, node: NodeId, seq: Seq) -> IncidentId {
        match &self.what {
            What::Opened(_) => IncidentId { node, seq },
            What::Moved { incident, .. } => *incident,
        }
    }
}

/// The record of something that was handed down from above: kept in the own journal before it is confirmed.
pub const RECEIVED: &str = "incident.received";

/// A record of an incident on its way down, with the place where it stands in its author's journal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Handed {
    /// Where it stands in the journal of the neighbour that hands it on: the cursor.
    pub at: Seq,
    /// The author's node.
    pub node: NodeId,
    /// Its number there.
    pub seq: Seq,
    /// What it says.
    pub told: Told,
}

/// The body of [`RECEIVED`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Received {
    /// The neighbour above that handed it down.
    pub via: NodeId,
    /// What.
    pub handed: Handed,
}
