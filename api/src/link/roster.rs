//! The nodes below by name, and through which neighbour each is reached.
//!
//! A node's journal is taken from one neighbour only: whoever is admitted here is its own neighbour, and what lies further below belongs
//! to the centre that offered it first, until a person says otherwise. So no centre can offer what another one answers for.

use super::{
    message::{Named, Offered},
    pull::Peer,
};
use crate::tls::write_private;
use index::model::NodeId;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A node below.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Known {
    /// What it is called.
    #[serde(flatten)]
    pub named: Named,
    /// The neighbour that answers for it: itself, or the centre between.
    pub via: NodeId,
}

/// See the module.
#[derive(Default, Debug)]
pub struct Roster {
    /// Where it is kept; nowhere in tests.
    file: Option<PathBuf>,
    inner: Mutex<Inner>,
}

#[derive(Default, Debug)]
struct Inner {
    known: BTreeMap<NodeId, Known>,
    /// Who answers for each node that was ever offered.
    via: BTreeMap<NodeId, NodeId>,
    /// Offers that were refused, by neighbour: said when they change.
    refused: BTreeMap<NodeId, usize>,
}

impl Roster {
    /// Reads what was known when the node stopped. What does not read back is learnt again.
    #[must_use]
    pub fn open(dir: &Path) -> Self {
        let file = dir.join("below.json");
        let known: Vec<Known> = std::fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let via = known.iter().map(|known| (known.named.node, known.via)).collect();
        let known = known.into_iter().map(|known| (known.named.node, known)).collect();
        Self { file: Some(file), inner: Mutex::new(Inner { known, via, refused: BTreeMap::new() }) }
    }

    /// A node that was admitted here answers for itself, whoever offered it before. Waits for the disk.
    pub fn admit(&self, named: Named) {
        let mut inner = self.lock();
        let node = named.node;
        inner.via.insert(node, node);
        inner.known.insert(node, Known { named, via: node });
        self.keep(&inner);
    }

    /// What is known of a node.
    #[must_use]
    pub fn of(&self, node: NodeId) -> Option<Known> {
        self.lock().known.get(&node).cloned()
    }

    /// All of them, by node.
    #[must_use]
    pub fn list(&self) -> Vec<Known> {
        self.lock().known.values().cloned().collect()
    }

    /// Where each node stands in the tree below here: under the centre between, if there is one, and its own name. Of nodes that are called
    /// the same in one place, each has the beginning of its number behind its name.
    #[must_use]
    pub fn paths(&self) -> BTreeMap<NodeId, Vec<String>> {
        let inner = self.lock();
        let mut called: BTreeMap<(NodeId, &str), usize> = BTreeMap::new();
        let around = |known: &Known| if known.via == known.named.node { NodeId::from_bytes([0; 16]) } else { known.via };
        for known in inner.known.values() {
            *called.entry((around(known), known.named.name.as_str())).or_default() += 1;
        }
        let name = |known: &Known| {
            let Known { named, .. } = known;
            let alone = called.get(&(around(known), named.name.as_str())).is_none_or(|all| *all == 1);
            let number = named.node.to_string();
            if alone { named.name.clone() } else { format!("{} {}", named.name, &number[..8]) }
        };
        let path = |known: &Known| {
            let between = inner.known.get(&known.via).filter(|_| known.via != known.named.node);
            between.map(name).into_iter().chain([name(known)]).collect()
        };
        inner.known.iter().map(|(node, known)| (*node, path(known))).collect()
    }

    /// Those of a neighbour's offers that it answers for.
    pub fn fed_by(&self, peer: Peer, offers: Vec<Offered>) -> Vec<Offered> {
        let mut inner = self.lock();
        let all = offers.len();
        // What a room offers beside its own is refused, and said, elsewhere.
        let ours =
            |offer: &Offered| !peer.may_offer(offer.node) || *inner.via.entry(offer.node).or_insert(peer.node) == peer.node;
        let fed: Vec<Offered> = offers.into_iter().filter(ours).collect();
        let refused = all - fed.len();
        if inner.refused.insert(peer.node, refused).unwrap_or(0) != refused && refused > 0 {
            tracing::error!(
                peer = %peer.node, journals = refused,
                "a centre below offers journals of nodes that another one answers for, and they are not taken: somebody must look into it"
            );
        }
        fed
    }

    /// Takes what a neighbour calls those that it answers for. Waits for the disk if something is new.
    pub(super) fn learn(&self, peer: Peer, named: Vec<Named>) {
        let mut inner = self.lock();
        let mut changed = false;
        for named in named.into_iter().filter(|named| peer.may_offer(named.node)) {
            if inner.via.get(&named.node) != Some(&peer.node) {
                continue;
            }
            let known = Known { via: peer.node, named };
            changed |= inner.known.insert(known.named.node, known.clone()).as_ref() != Some(&known);
        }
        if changed {
            self.keep(&inner);
        }
    }

    fn keep(&self, inner: &Inner) {
        let Some(file) = &self.file else { return };
        let all: Vec<&Known> = inner.known.values().collect();
        if let Err(error) = write_private(file, &serde_json::to_vec(&all).unwrap_or_default()) {
            tracing::warn!(%error, "names of nodes below could not be kept; they are asked for again after the next start");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use index::{
        journal::{Hash, Seq},
        model::{Tier, UtcMicros},
    };

    fn node(n: u8) -> NodeId {
        NodeId::from_bytes([n; 16])
    }

    fn offers(nodes: &[u8]) -> Vec<Offered> {
        let offer =
            |n: &u8| Offered { node: node(*n), tail: Seq::new(1), hash: Hash::ZERO, complete_to: UtcMicros::MIN, trouble: None };
        nodes.iter().map(offer).collect()
    }

    fn fed(roster: &Roster, peer: u8, nodes: &[u8]) -> Vec<NodeId> {
        let peer = Peer { node: node(peer), carries: true };
        roster.fed_by(peer, offers(nodes)).iter().map(|offer| offer.node).collect()
    }

    fn named(n: u8) -> Named {
        Named { node: node(n), name: format!("室 {n}"), tier: Tier::Room }
    }

    #[test]
    fn a_node_that_one_line_feeds_is_not_taken_from_another_also_after_a_restart() {
        let dir = tempfile::tempdir().expect("a directory");
        let roster = Roster::open(dir.path());
        assert_eq!(fed(&roster, 10, &[10, 1, 2]), [node(10), node(1), node(2)]);
        assert_eq!(fed(&roster, 20, &[20, 2, 3]), [node(20), node(3)]);
        roster.learn(Peer { node: node(10), carries: true }, vec![named(1), named(2), named(3)]);
        let names = |roster: &Roster| roster.list().into_iter().map(|known| known.named.node).collect::<Vec<_>>();
        assert_eq!(names(&roster), [node(1), node(2)], "and no centre names another's");
        let again = Roster::open(dir.path());
        assert_eq!(fed(&again, 20, &[1, 2]), []);
        assert_eq!(names(&again), [node(1), node(2)]);
    }

    #[test]
    fn whoever_is_admitted_here_answers_for_itself_whoever_offered_it_before() {
        let roster = Roster::default();
        assert_eq!(fed(&roster, 10, &[1]), [node(1)]);
        roster.admit(named(1));
        assert_eq!(fed(&roster, 10, &[1]), []);
        assert_eq!(fed(&roster, 1, &[1]), [node(1)]);
    }
}
