//! Holds and orders of erasure: what people, two of them each time, decide about footage against the rule of its term.
//!
//! - C1: what a hold covers is neither expired nor erased, from the moment it is asked for: nothing may go while the second person is
//!   being found. A request that nobody approves lapses after [`APPROVAL`].
//! - C2: whoever asks does not approve, and a hold is released by two persons too.
//! - C3: each step is in the journal before it is answered, and this state is a projection of these records (I7).
//! - C4: holds win over erasure: an order touches nothing that is held, and says how much that was.
//! - C5: time is told by the caller, from a clock that is believed: a clock that jumped ends no hold.
//!
//! Pure: [`Custody`] decides and remembers; writing to the journal and to disks is done elsewhere.

mod act;
mod erasure;
mod hold;
mod told;

pub(super) use act::Act;
pub use erasure::{Erased, Erasure, ErasureState};
pub use hold::{Hold, HoldState};

use crate::model::{CameraId, StreamId, UtcMicros, Window};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// How long a request waits for its second person.
pub const APPROVAL: Duration = Duration::from_secs(72 * 3600);
/// The longest hold: it can be asked for again.
pub const HOLD_MAX: Duration = Duration::from_secs(3 * 366 * 86_400);
/// An order is carried out this long after the end of its window, when all that was filmed then is on disk.
pub(super) const SETTLED: Duration = Duration::from_secs(60);
const TEXT_MAX: usize = 500;

/// What somebody asks for: which footage, why, and on whose authority.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Which cameras, all their streams. At least one.
    pub cameras: Vec<CameraId>,
    /// Which time.
    pub window: Window,
    /// Why, in words.
    pub reason: String,
    /// The document that says so: its number.
    pub authority: String,
}

impl Order {
    /// Whether it is about some of this.
    #[must_use]
    pub fn touches(&self, stream: StreamId, window: Window) -> bool {
        self.window.overlaps(window) && self.cameras.contains(&stream.camera)
    }

    fn check(&self) -> Result<(), CustodyError> {
        let says = |text: &str| !text.trim().is_empty() && text.chars().count() <= TEXT_MAX;
        if self.cameras.is_empty() || self.window.is_empty() {
            return Err(CustodyError::Nothing);
        }
        if !says(&self.reason) || !says(&self.authority) {
            return Err(CustodyError::Words);
        }
        Ok(())
    }
}

/// Who did something, and when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Deed {
    /// The account.
    pub by: String,
    /// When.
    pub at: UtcMicros,
}

/// Why a hold or an order is not as asked. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CustodyError {
    /// No camera or no time is named.
    #[error("it names no camera or no time")]
    Nothing,
    /// Reason or document is missing or too long.
    #[error("reason and document are needed, each of at most 500 characters")]
    Words,
    /// The end of a hold is not in the future, or too far in it.
    #[error("a hold ends in the future, at most three years from now")]
    Expiry,
    /// Footage that is still being filmed cannot be erased.
    #[error("an order of erasure is about the past")]
    Future,
    /// There is none of that number.
    #[error("there is no number {0}")]
    Unknown(u64),
    /// It is over, or not in a state for this.
    #[error("number {0} is {1}")]
    State(u64, &'static str),
    /// Whoever asked cannot be the second person.
    #[error("a second person is needed: {0} asked for it")]
    SecondPerson(String),
    /// Holds would take up more than their share of the disks.
    #[error("holds would take up {wanted} bytes, {quota} are set aside for them")]
    Quota {
        /// With the new one.
        wanted: u64,
        /// The most there may be.
        quota: u64,
    },
    /// All of what an order names is held.
    #[error("the footage is held by hold {0}")]
    Held(u64),
    /// The journal takes no record, so nothing is decided.
    #[error("the journal cannot be written: {0}")]
    Journal(String),
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(super) struct Custody {
    #[serde(default)]
    pub(super) holds: BTreeMap<u64, Hold>,
    #[serde(default)]
    pub(super) erasures: BTreeMap<u64, Erasure>,
}

/// What is held, for whoever removes footage.
#[derive(Clone, Default, Debug)]
pub(super) struct Held(Vec<Order>);

impl Held {
    pub(super) fn covers(&self, stream: StreamId, window: Window) -> bool {
        self.0.iter().any(|order| order.touches(stream, window))
    }

    /// Whether some of that time is held, of whatever camera.
    pub(super) fn is_about(&self, window: Window) -> bool {
        self.0.iter().any(|order| order.window.overlaps(window))
    }
}

impl Custody {
    /// The footage of every hold that is in force.
    pub(super) fn held(&self) -> Held {
        Held(self.holds.values().filter(|hold| hold.in_force()).map(|hold| hold.order.clone()).collect())
    }

    /// Whether an order of erasure that was approved, carried out or not, names some of that time of a stream.
    pub(super) fn orders_gone(&self, stream: StreamId, window: Window) -> bool {
        let stands = |order: &Erasure| matches!(order.state, ErasureState::Approved | ErasureState::Done);
        self.erasures.values().any(|order| stands(order) && order.order.touches(stream, window))
    }

    /// The next free number: holds and orders share one row of numbers, so that a document can cite either.
    pub(super) fn next(&self) -> u64 {
        let last = |newest: Option<u64>| newest.unwrap_or(0);
        1 + last(self.holds.keys().next_back().copied()).max(last(self.erasures.keys().next_back().copied()))
    }

    /// The camera that a step is about, if there is only one.
    pub(super) fn cameras_of(&self, act: &Act) -> Vec<CameraId> {
        let id = act.id();
        let order = self.holds.get(&id).map(|hold| &hold.order).or(self.erasures.get(&id).map(|erasure| &erasure.order));
        order.map(|order| order.cameras.clone()).unwrap_or_default()
    }

    /// Requests that nobody approved in time, and holds whose time is over, as the acts that end them.
    pub(super) fn overdue(&self, now: UtcMicros) -> Vec<Act> {
        let holds = self.holds.values().filter_map(|hold| hold.overdue(now)).map(|how| (how.0, how.1));
        let mut acts: Vec<Act> = holds.map(|(id, how)| Act::HoldEnded { id, how, at: now }).collect();
        let late = |order: &&Erasure| order.state == ErasureState::Requested && now.since(order.asked.at) > APPROVAL;
        acts.extend(self.erasures.values().filter(late).map(|order| Act::ErasureLapsed { id: order.id, at: now }));
        acts
    }

    /// Orders that are to be carried out now.
    pub(super) fn due(&self, now: UtcMicros) -> Vec<Erasure> {
        let due = |order: &&Erasure| order.state == ErasureState::Approved && now.since(order.order.window.to) >= SETTLED;
        self.erasures.values().filter(due).cloned().collect()
    }

    /// Whether this may be done by rule C2 and by the state that things are in.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(&self, act: &Act) -> Result<(), CustodyError> {
        match act {
            Act::HoldRequested(hold) => hold.check(),
            Act::HoldApproved { id, deed } => self.hold(*id)?.may_approve(&deed.by),
            Act::HoldDeclined { id, .. } => self.hold(*id)?.expect(HoldState::Requested),
            Act::ReleaseAsked { id, .. } => self.hold(*id)?.expect(HoldState::Active),
            Act::HoldReleased { id, deed, .. } => self.hold(*id)?.may_release(&deed.by),
            Act::HoldEnded { id, .. } => self.hold(*id).map(drop),
            Act::ErasureRequested(order) => order.order.check(),
            Act::ErasureApproved { id, deed } => self.erasure(*id)?.may_approve(&deed.by),
            Act::ErasureDeclined { id, .. } => self.erasure(*id)?.expect(ErasureState::Requested),
            Act::ErasureLapsed { id, .. } | Act::ErasureDone { id, .. } => self.erasure(*id).map(drop),
        }
    }

    pub(super) fn hold(&self, id: u64) -> Result<&Hold, CustodyError> {
        self.holds.get(&id).ok_or(CustodyError::Unknown(id))
    }

    pub(super) fn erasure(&self, id: u64) -> Result<&Erasure, CustodyError> {
        self.erasures.get(&id).ok_or(CustodyError::Unknown(id))
    }

    /// Does it. Doing it again changes nothing: the journal may tell twice.
    pub(super) fn apply(&mut self, act: &Act) {
        let id = act.id();
        match act {
            Act::HoldRequested(hold) => drop(self.holds.entry(id).or_insert_with(|| hold.clone())),
            Act::ErasureRequested(order) => drop(self.erasures.entry(id).or_insert_with(|| order.clone())),
            _ => {
                if let Some(hold) = self.holds.get_mut(&id) {
                    hold.apply(act);
                } else if let Some(order) = self.erasures.get_mut(&id) {
                    order.apply(act);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
