//! All that nodes stated of their days, and what the own journal says of days that are not stated yet. Pure: a projection of journals, in
//! each the same whatever the others do (I7).

use super::{
    facts::Facts,
    statement::{Day, Draft, KIND, Part, Statement},
};
use crate::{
    journal::{Seen, Seq},
    model::NodeId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Days kept of each node, the newest ones: more than two years.
pub const KEPT_DAYS: usize = 800;

/// See the module.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Book {
    own: NodeId,
    nodes: BTreeMap<NodeId, Stated>,
    /// What the own journal says of incidents and pictures.
    pub facts: Facts,
}

/// What is known of one node.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Stated {
    /// How far its journal was read.
    cursor: Seq,
    /// Which copy of it, as a person may have one begun anew.
    begun: u32,
    #[serde(with = "as_list")]
    days: BTreeMap<Day, Statement>,
    draft: Option<Draft>,
}

impl Book {
    /// An empty book of this node.
    #[must_use]
    pub fn new(own: NodeId) -> Self {
        Self { own, nodes: BTreeMap::new(), facts: Facts::default() }
    }

    /// Whose book it is.
    #[must_use]
    pub fn own(&self) -> NodeId {
        self.own
    }

    /// How far a node's journal was read.
    #[must_use]
    pub fn cursor(&self, node: NodeId) -> Seq {
        self.nodes.get(&node).map_or(Seq::ZERO, |stated| stated.cursor)
    }

    /// Begins a node anew if its copy is another one than the one that was read.
    pub fn begin(&mut self, node: NodeId, begun: u32) {
        let stated = self.nodes.entry(node).or_default();
        if stated.begun != begun {
            *stated = Stated { begun, ..Stated::default() };
        }
    }

    /// Takes a record of a node's journal, each once and in order.
    pub fn take(&mut self, node: NodeId, seen: Seen<'_>) {
        if node == self.own {
            self.facts.take(node, seen);
        }
        let stated = self.nodes.entry(node).or_default();
        stated.cursor = seen.seq;
        if seen.kind != KIND {
            return;
        }
        let Some(statement) = Part::read(seen.body).and_then(|part| Draft::take(&mut stated.draft, part)) else { return };
        // R1: the highest revision counts, and of two alike the first.
        if stated.days.get(&statement.day).is_none_or(|known| known.revision < statement.revision) {
            stated.days.insert(statement.day, statement);
        }
        while stated.days.len() > KEPT_DAYS {
            stated.days.pop_first();
        }
    }

    /// What a node stated of a day.
    #[must_use]
    pub fn stated(&self, node: NodeId, day: Day) -> Option<&Statement> {
        self.nodes.get(&node)?.days.get(&day)
    }

    /// The first day that a node stated; nothing of before is missing.
    #[must_use]
    pub fn first_day(&self, node: NodeId) -> Option<Day> {
        self.nodes.get(&node)?.days.keys().next().copied()
    }

    /// The nodes that stated anything, by number.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.nodes.iter().filter(|(_, stated)| !stated.days.is_empty()).map(|(node, _)| *node)
    }
}

/// A map of days as a list: each says which day it is.
mod as_list {
    use super::{BTreeMap, Day, Statement};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(days: &BTreeMap<Day, Statement>, s: S) -> Result<S::Ok, S::Error> {
        days.values().collect::<Vec<_>>().serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeMap<Day, Statement>, D::Error> {
        Ok(Vec::<Statement>::deserialize(d)?.into_iter().map(|statement| (statement.day, statement)).collect())
    }
}
