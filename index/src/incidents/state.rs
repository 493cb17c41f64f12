//! The state machine: an opening and moves in their order, the state out. Pure, and the same wherever it runs.
//!
//! Order is (hybrid time, node, number), which agrees with who had seen what. Each move meets the state at its place:
//!
//! - N1: a move that is possible there takes effect.
//! - N2: a person's move that is not, because of something its author could not have seen, is a clash: kept and shown. The later one
//!   decides, but never takes back what is further on: a unit on its way is not called back by an acknowledgement of before.
//! - N3: a clock's move takes effect only if its time was up there, and an escalation is known by the tier it leaves and its number.
//!   So one is made once whichever node told of it, and one that somebody forestalled is none.
//! - N4: nothing is thrown away: what has no effect stands in the history and says so.

use super::moves::{
    Author, CloseCode, Deed, Evidence, FalseReason, IncidentId, MAX_SHELVED, Opening, Told, UNDO_WITHIN, What, Who,
};
use crate::journal::Seq;
use crate::model::{NodeId, Tier, UtcMicros};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// How far an incident has come.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// 新: nobody has seen it.
    New,
    /// 已确认: somebody has.
    Acknowledged,
    /// 重开: it was closed and goes on.
    Reopened,
    /// 核实: it is true.
    Verified,
    /// 已派单: somebody is on the way.
    Dispatched {
        /// Who.
        unit: String,
    },
    /// 到场: they are there.
    Arrived {
        /// Who.
        unit: String,
    },
    /// 已处置: it is dealt with.
    Resolved,
    /// 归档: it is over.
    Closed {
        /// How.
        code: CloseCode,
    },
    /// 误报: it was none.
    False {
        /// Why.
        reason: FalseReason,
    },
    /// 已合并: it is part of another.
    Merged {
        /// Which.
        into: IncidentId,
    },
}

impl Stage {
    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.rank() >= OVER
    }

    /// How far along.
    fn rank(&self) -> u8 {
        match self {
            Self::New => 0,
            Self::Acknowledged | Self::Reopened => 1,
            Self::Verified => 2,
            Self::Dispatched { .. } => 3,
            Self::Arrived { .. } => 4,
            Self::Resolved => 5,
            Self::Closed { .. } | Self::False { .. } | Self::Merged { .. } => OVER,
        }
    }

    /// A word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Acknowledged => "acknowledged",
            Self::Reopened => "reopened",
            Self::Verified => "verified",
            Self::Dispatched { .. } => "dispatched",
            Self::Arrived { .. } => "arrived",
            Self::Resolved => "resolved",
            Self::Closed { .. } => "closed",
            Self::False { .. } => "false",
            Self::Merged { .. } => "merged",
        }
    }
}

const OVER: u8 = 6;

/// Where a move stands in the order of an incident.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Place {
    /// Hybrid logical time.
    pub at: UtcMicros,
    /// The author's node.
    pub node: NodeId,
    /// Its number there.
    pub seq: Seq,
}

/// What became of a move.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It took effect.
    Done,
    /// It took effect over something that its author had not seen.
    DoneOver,
    /// Its author had not seen what made it impossible: kept, without effect.
    Clash,
    /// It was not wanted any more: somebody had forestalled the clock, or the same was told before.
    Nothing,
}

/// A move, and what became of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Its place.
    pub place: Place,
    /// The tier where it was made.
    pub tier: Tier,
    /// Who made it.
    pub by: Author,
    /// What it was.
    pub deed: Deed,
    /// What became of it.
    pub effect: Effect,
}

/// Laid aside.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Shelved {
    /// Until then.
    pub until: UtcMicros,
    /// Why.
    pub reason: String,
}

/// Whoever answers for an incident.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Owner {
    /// At which node.
    pub node: NodeId,
    /// Who.
    pub who: Who,
}

/// An incident as its moves make it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Incident {
    /// Its name.
    pub id: IncidentId,
    /// Whose it is.
    pub home: NodeId,
    /// When it was opened,
    pub opened: UtcMicros,
    /// at which tier,
    pub opened_tier: Tier,
    /// and by whom.
    pub opened_by: Author,
    /// What was known then.
    pub opening: Opening,
    /// How far it is.
    pub stage: Stage,
    /// The tier that has it.
    pub tier: Tier,
    /// Who there has taken it on.
    pub owner: Option<Owner>,
    /// From when the present clock counts.
    pub since: UtcMicros,
    /// How often it was escalated.
    pub escalations: u32,
    /// Laid aside, and until when.
    pub shelved: Option<Shelved>,
    /// What belongs to it.
    pub evidence: Vec<Evidence>,
    /// When it was first taken on, when somebody arrived, when it ended.
    pub acknowledged: Option<UtcMicros>,
    /// See `acknowledged`.
    pub arrived: Option<UtcMicros>,
    /// See `acknowledged`.
    pub ended: Option<UtcMicros>,
    /// Moves known here but for those that only add: whoever acts says which they saw.
    pub version: u32,
    /// Moves that met something their author had not seen.
    pub clashes: u32,
    /// Everything that was done, in order.
    pub history: Vec<Entry>,
    /// The newest record of each node about it.
    pub seen: BTreeMap<NodeId, Seq>,
}

/// Why something cannot be done with an incident as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotNow {
    /// It is over.
    #[error("the incident is over")]
    Over,
    /// It is not over.
    #[error("the incident is not over")]
    Open,
    /// The tier above has it.
    #[error("the tier above has it now")]
    Above,
    /// What comes before was not done.
    #[error("what comes before has not been done")]
    Early,
    /// It was done.
    #[error("that was done before")]
    Done,
    /// It is too late to take it back, or somebody else's to do so.
    #[error("it can no longer be taken back")]
    TooLate,
    /// It cannot be so long, or there is no tier above, or the like.
    #[error("that cannot be")]
    Impossible,
}

/// What an undo goes back to.
struct Before {
    place: Place,
    by: Author,
    incident: Incident,
}

impl Incident {
    /// The state after some moves; they must be in order.
    pub(super) fn fold(id: IncidentId, opened: &Told, opening: &Opening, moves: &BTreeMap<Place, Told>) -> Self {
        let mut incident = Self {
            id,
            home: opened.home,
            opened: opened.at,
            opened_tier: opened.tier,
            opened_by: opened.by.clone(),
            opening: opening.clone(),
            stage: Stage::New,
            tier: opened.tier,
            owner: None,
            since: opened.at,
            escalations: 0,
            shelved: None,
            evidence: Vec::new(),
            acknowledged: None,
            arrived: None,
            ended: None,
            version: 0,
            clashes: 0,
            history: Vec::new(),
            seen: BTreeMap::from([(id.node, id.seq)]),
        };
        let mut before = None;
        for (place, told) in moves {
            incident.take(*place, told, &mut before);
        }
        incident
    }

    /// When the clock is over; `None` if none runs.
    #[must_use]
    pub fn due(&self) -> Option<UtcMicros> {
        if self.shelved.is_some() {
            return None;
        }
        self.opening.limits.of(&self.stage, self.owner.is_some()).map(|limit| self.since + limit)
    }

    /// The same as it is at an instant: what was laid aside until then is back.
    #[must_use]
    pub fn as_of(&self, now: UtcMicros) -> Self {
        let mut incident = self.clone();
        incident.come_back(now);
        incident
    }

    /// When it changes by itself, if nothing else happens: its clock is over, or it is back.
    #[must_use]
    pub fn wakes(&self) -> Option<UtcMicros> {
        match &self.shelved {
            Some(shelved) if !self.stage.is_over() => Some(shelved.until),
            _ => self.due(),
        }
    }

    fn come_back(&mut self, now: UtcMicros) {
        if let Some(shelved) = &self.shelved
            && now >= shelved.until
        {
            self.since = shelved.until;
            self.shelved = None;
        }
    }

    /// Whether a deed of somebody at a tier is possible now. `at` is when.
    ///
    /// # Errors
    /// Why not.
    pub fn may(&self, tier: Tier, by: &Author, deed: &Deed, at: UtcMicros) -> Result<(), NotNow> {
        if !deed.only_adds() && tier < self.tier {
            return Err(NotNow::Above);
        }
        let over = self.stage.is_over();
        let rank = self.stage.rank();
        match deed {
            Deed::Note { .. } | Deed::Attach { .. } => Ok(()),
            Deed::Undo { .. } => Err(NotNow::TooLate),
            Deed::Reopen if over => Ok(()),
            Deed::Reopen => Err(NotNow::Open),
            _ if over => Err(NotNow::Over),
            // Whoever is in command above takes it over by acknowledging it.
            Deed::Acknowledge if self.owner.is_some() && self.stage != Stage::New && tier <= self.tier => Err(NotNow::Done),
            Deed::Verify if rank >= 2 => Err(NotNow::Done),
            Deed::Dispatch { .. } | Deed::Resolve if rank >= 5 => Err(NotNow::Done),
            Deed::Arrive if rank < 3 => Err(NotNow::Early),
            Deed::Arrive if rank > 3 => Err(NotNow::Done),
            Deed::Close { .. } | Deed::Resolve if rank < 1 => Err(NotNow::Early),
            Deed::Escalate { from, to, number } => match () {
                () if *to <= *from => Err(NotNow::Impossible),
                () if *from != self.tier || *number != self.escalations => Err(NotNow::Done),
                () if *by == Author::Clock && self.due().is_none_or(|due| at < due) => Err(NotNow::Early),
                () => Ok(()),
            },
            Deed::Shelve { .. } if self.shelved.is_some() => Err(NotNow::Done),
            Deed::Shelve { until, .. } if *until <= at || until.since(at) > MAX_SHELVED + Duration::from_secs(60) => {
                Err(NotNow::Impossible)
            }
            Deed::Unshelve if self.shelved.is_none() => Err(NotNow::Done),
            Deed::Merge { into } if *into == self.id => Err(NotNow::Impossible),
            _ => Ok(()),
        }
    }

    fn take(&mut self, place: Place, told: &Told, before: &mut Option<Before>) {
        let What::Moved { seen, deed, .. } = &told.what else { return };
        self.come_back(place.at);
        let newest = self.seen.entry(place.node).or_insert(place.seq);
        *newest = (*newest).max(place.seq);
        self.version += u32::from(!deed.only_adds());
        let unseen = self.met_unseen(place.node, seen);
        let possible = match deed {
            Deed::Undo { node, seq } => {
                let slip = before.take_if(|slip| {
                    (slip.place.node, slip.place.seq) == (*node, *seq)
                        && slip.by == told.by
                        && place.node == *node
                        && place.at.since(slip.place.at) <= UNDO_WITHIN
                });
                slip.map(|slip| self.go_back(slip.incident)).ok_or(NotNow::TooLate)
            }
            deed => self.may(told.tier, &told.by, deed, place.at),
        };
        let is_undo = matches!(deed, Deed::Undo { .. });
        let effect = match possible {
            Ok(()) if unseen && !deed.only_adds() => Effect::DoneOver,
            Ok(()) => Effect::Done,
            Err(_) if told.by == Author::Clock || !unseen => Effect::Nothing,
            Err(_) if self.decides_late(deed) => Effect::DoneOver,
            Err(_) => Effect::Clash,
        };
        if matches!(effect, Effect::Done | Effect::DoneOver) && !is_undo {
            if matches!(deed, Deed::Close { .. } | Deed::Dismiss { .. }) {
                *before = Some(Before { place, by: told.by.clone(), incident: self.clone() });
            } else if !deed.only_adds() {
                *before = None;
            }
            self.apply(place, told, deed);
        }
        self.clashes += u32::from(matches!(effect, Effect::DoneOver | Effect::Clash));
        self.history.push(Entry { place, tier: told.tier, by: told.by.clone(), deed: deed.clone(), effect });
    }

    /// Whether another node did something before this place that the author had not seen.
    fn met_unseen(&self, author: NodeId, seen: &BTreeMap<NodeId, Seq>) -> bool {
        let unseen =
            |entry: &&Entry| entry.place.node != author && seen.get(&entry.place.node).is_none_or(|seq| *seq < entry.place.seq);
        let moved = |entry: &&Entry| !entry.deed.only_adds() && matches!(entry.effect, Effect::Done | Effect::DoneOver);
        self.history.iter().filter(moved).any(|entry| unseen(&entry))
    }

    /// N2: of two that did not know of each other the later one decides, unless it would only set back.
    fn decides_late(&self, deed: &Deed) -> bool {
        let rank = self.stage.rank();
        match deed {
            Deed::Verify | Deed::Dispatch { .. } | Deed::Arrive | Deed::Resolve => rank == OVER || rank < 2,
            Deed::Close { .. } | Deed::Dismiss { .. } => true,
            Deed::Merge { into } => *into != self.id,
            _ => false,
        }
    }

    /// Back to before a slip; what was known since stays known.
    fn go_back(&mut self, was: Self) {
        let Self { version, clashes, history, seen, evidence, .. } = std::mem::replace(self, was);
        (self.version, self.clashes, self.history, self.seen, self.evidence) = (version, clashes, history, seen, evidence);
    }

    fn apply(&mut self, place: Place, told: &Told, deed: &Deed) {
        let person = if let Author::Person(who) = &told.by { Some(Owner { node: place.node, who: who.clone() }) } else { None };
        if !deed.only_adds() {
            // Acting from above takes it over.
            let taken_over = told.tier > self.tier;
            self.tier = self.tier.max(told.tier);
            if (taken_over || self.owner.is_none()) && !matches!(deed, Deed::Escalate { .. }) {
                self.owner = person.clone().or(self.owner.take());
                self.acknowledged = self.acknowledged.or(Some(place.at));
            }
        }
        let stage = match deed {
            Deed::Acknowledge if self.stage == Stage::New => Some(Stage::Acknowledged),
            // Whoever takes it on at the next tier has the time of the next step from then on.
            Deed::Acknowledge => Some(self.stage.clone()),
            Deed::Verify => Some(Stage::Verified),
            Deed::Dispatch { unit } => Some(Stage::Dispatched { unit: unit.clone() }),
            Deed::Arrive => {
                self.arrived = self.arrived.or(Some(place.at));
                Some(Stage::Arrived { unit: self.unit() })
            }
            Deed::Resolve => Some(Stage::Resolved),
            Deed::Close { code } => Some(Stage::Closed { code: *code }),
            Deed::Dismiss { reason } => Some(Stage::False { reason: *reason }),
            Deed::Merge { into } => Some(Stage::Merged { into: *into }),
            Deed::Reopen => {
                self.owner = person;
                Some(Stage::Reopened)
            }
            Deed::Escalate { to, .. } => {
                (self.tier, self.owner, self.since) = (*to, None, place.at);
                self.escalations += 1;
                self.shelved = None;
                None
            }
            Deed::Shelve { until, reason } => {
                self.shelved = Some(Shelved { until: *until, reason: reason.clone() });
                None
            }
            Deed::Unshelve => {
                (self.shelved, self.since) = (None, place.at);
                None
            }
            Deed::Hand { to } => {
                self.owner = Some(Owner { node: place.node, who: to.clone() });
                None
            }
            Deed::Attach { evidence } => {
                self.evidence.push(evidence.clone());
                None
            }
            Deed::Note { .. } | Deed::Undo { .. } => None,
        };
        if let Some(stage) = stage {
            (self.stage, self.since, self.shelved) = (stage, place.at, None);
            self.ended = self.stage.is_over().then_some(place.at);
        }
    }

    fn unit(&self) -> String {
        match &self.stage {
            Stage::Dispatched { unit } | Stage::Arrived { unit } => unit.clone(),
            _ => String::new(),
        }
    }

    /// The time that a move made now must carry: later than everything known of the incident.
    #[must_use]
    pub fn next_at(&self, now: UtcMicros) -> UtcMicros {
        let newest = self.history.last().map_or(self.opened, |entry| entry.place.at);
        now.max(newest + Duration::from_micros(1))
    }
}
