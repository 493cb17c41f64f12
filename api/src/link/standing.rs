//! How the copies of the nodes below stand: what is said of each on pages, in metrics, to upper nodes and beside every answer.

use index::{
    journal::{History, JournalCopy, Seq},
    model::{NodeId, UtcMicros},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// A node that was not heard of for so long counts as missing: longer than an answer may take.
const STALE: Duration = Duration::from_secs(12);

/// What keeps a copy from following its node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// The node, or the one between, does not answer.
    NoContact,
    /// What comes from it does not continue what came before: altered on the way, or another journal.
    Altered,
    /// The node's journal is another one than was copied: a person must decide.
    OtherChain,
    /// The node's journal ends before our copy does: it lost records that it had told.
    LostEnd,
    /// The node between has come less far than our copy, and is itself fetching.
    BetweenBehind,
    /// The other end does not give its records.
    Withheld,
    /// Our own disk does not take it.
    OurDisk,
}

impl Trouble {
    /// Whether a person must act: waiting does not mend it.
    #[must_use]
    pub fn is_grave(self) -> bool {
        matches!(self, Self::Altered | Self::OtherChain | Self::LostEnd | Self::OurDisk)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoContact => "the node does not answer",
            Self::Altered => "what the node sends does not continue what it sent before",
            Self::OtherChain => "the node's journal is another one than was copied",
            Self::LostEnd => "the node's journal ends before our copy of it does",
            Self::BetweenBehind => "the node between is behind our copy",
            Self::Withheld => "the node does not give its records",
            Self::OurDisk => "our own disk does not take the copy",
        })
    }
}

/// How the copy of one node stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The neighbour that it is fetched from: the node itself, or the centre between.
    pub via: NodeId,
    /// How far the copy goes.
    pub tail: Seq,
    /// How far the journal is known to go.
    pub there: Seq,
    /// What was durable in the node at this instant, by its own clock, is all in the copy.
    pub complete_to: UtcMicros,
    /// The same of whoever it is fetched from, when that was last heard.
    pub there_complete_to: UtcMicros,
    /// What is in the way now.
    pub trouble: Option<Trouble>,
    /// When its neighbour last said anything of it, on our clock; `None` since the start of this process.
    pub heard: Option<UtcMicros>,
}

impl Standing {
    /// Why an answer at `now`, on our clock, does not cover the node up to now; `None` if it does. Nobody's word is taken for longer
    /// than it is fresh, and no two nodes' clocks are compared.
    #[must_use]
    pub fn missing(&self, now: UtcMicros) -> Option<Trouble> {
        let fresh = self.heard.is_some_and(|heard| now.micros_from(heard) <= STALE.as_micros() as i64);
        self.trouble.or_else(|| (!fresh).then_some(Trouble::NoContact))
    }

    /// Records that are known to be there and not here.
    #[must_use]
    pub fn lag_records(&self) -> u64 {
        self.there.get().saturating_sub(self.tail.get())
    }

    /// Seconds of the node's time that are known to be there and are not here.
    #[must_use]
    pub fn lag_secs(&self) -> f64 {
        (self.there_complete_to.micros_from(self.complete_to)).max(0) as f64 / 1e6
    }
}

/// The standings of all nodes below, by node: written by replicators, read by everybody.
#[derive(Default, Debug)]
pub struct Standings(Mutex<BTreeMap<NodeId, Standing>>);

impl Standings {
    /// How a node's copy stands; `None` if nothing is known of it.
    #[must_use]
    pub fn of(&self, node: NodeId) -> Option<Standing> {
        self.lock().get(&node).copied()
    }

    /// How a copy stands that is kept here; if nothing was heard of its node since the start of this process, that is what is in the way.
    #[must_use]
    pub fn of_copy(&self, copy: &JournalCopy) -> Standing {
        let tail = copy.head().0;
        let complete_to = copy.newest_at().unwrap_or(UtcMicros::MIN);
        self.of(copy.node()).unwrap_or(Standing {
            via: copy.node(),
            tail,
            there: tail,
            complete_to,
            there_complete_to: complete_to,
            trouble: Some(Trouble::NoContact),
            heard: None,
        })
    }

    /// All of them, by node.
    #[must_use]
    pub fn list(&self) -> Vec<(NodeId, Standing)> {
        self.lock().iter().map(|(node, standing)| (*node, *standing)).collect()
    }

    /// Takes what a replicator knows of the nodes that it fetches.
    pub fn set(&self, known: impl IntoIterator<Item = (NodeId, Standing)>) {
        self.lock().extend(known);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<NodeId, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
