//! How far an index has come in each of the journals that it is made of, and how that stands in a day's commit.
//!
//! A room's index is made of one journal, and its commits carry one number. A centre's is made of its own journal and of a copy of each
//! node's below; its commits carry a number for each, and how many events the day has, because the order in which records arrive from
//! several journals is no one's number: it is counted.

use crate::journal::Seq;
use crate::model::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whose journal a record stands in: `None` for the node's own, else the copy of a node's below.
pub(super) type Origin = Option<NodeId>;

/// How far, in one copy.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(super) struct InCopy {
    pub(super) seq: Seq,
    /// Which copy of that node it is: a number from one that was begun anew since says nothing.
    pub(super) begun: u32,
}

/// How far, in each of the journals.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(super) struct Reached {
    pub(super) own: Seq,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) below: BTreeMap<NodeId, InCopy>,
}

impl Reached {
    /// How far in the journal of that origin.
    pub(super) fn of(&self, origin: Origin) -> Seq {
        match origin {
            None => self.own,
            Some(node) => self.below.get(&node).map_or(Seq::ZERO, |there| there.seq),
        }
    }
}

/// How events of one millisecond are told apart in the order key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// By their number in the one journal there is.
    ByNumber,
    /// By the count of the day's events when they arrived.
    ByArrival {
        /// How many arrived.
        arrived: u64,
    },
}

impl Order {
    /// Of the index of a node with that many journals, before anything arrived.
    pub(super) fn of_journals(several: bool) -> Self {
        if several { Self::ByArrival { arrived: 0 } } else { Self::ByNumber }
    }
}

#[derive(Serialize, Deserialize)]
struct Payload {
    arrived: u64,
    #[serde(flatten)]
    reached: Reached,
}

/// What a day's commit carries.
pub(super) fn write(reached: &Reached, order: Order) -> String {
    match order {
        Order::ByNumber => reached.own.get().to_string(),
        Order::ByArrival { arrived } => serde_json::to_string(&Payload { arrived, reached: reached.clone() }).unwrap_or_default(),
    }
}

/// What a day's commit carried; `None` if it was none of ours.
pub(super) fn read(payload: &str) -> Option<(Reached, Order)> {
    if let Ok(own) = payload.parse() {
        return Some((Reached { own: Seq::new(own), ..Reached::default() }, Order::ByNumber));
    }
    let Payload { arrived, reached } = serde_json::from_str(payload).ok()?;
    Some((reached, Order::ByArrival { arrived }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_commit_carries_comes_back_and_a_rooms_is_one_number() {
        let room = Reached { own: Seq::new(41), ..Reached::default() };
        assert_eq!(write(&room, Order::ByNumber), "41");
        let node = NodeId::from_bytes([7; 16]);
        let centre = Reached { own: Seq::new(3), below: [(node, InCopy { seq: Seq::new(9), begun: 1 })].into() };
        for (reached, order) in [(room, Order::ByNumber), (centre, Order::ByArrival { arrived: 12 })] {
            assert_eq!(read(&write(&reached, order)), Some((reached, order)));
        }
        assert!(["", "x", "{}", "-1"].iter().all(|other| read(other).is_none()));
    }
}
