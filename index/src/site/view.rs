//! The tree as it stands: every camera below, where it stands and which node has it. Never changed, only replaced.

use super::told::{Doing, Told};
use crate::cameras::{initials, pinyin};
use crate::model::{Camera, CameraId, NodeId, UtcMicros};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A camera of a node below.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Located {
    /// The node that records it, or did.
    pub node: NodeId,
    /// The camera, its place counted from this centre. Its addresses are nobody's: see [`crate::model::CameraAddress::held_by_its_node`].
    pub camera: Camera,
    /// The initials of its name in pinyin: `nmgt`.
    pub initials: String,
    /// Its name in pinyin: `nanmengangting`.
    pub pinyin: String,
    /// Whether it is recorded, as its node last told; `None` if it never did.
    pub doing: Option<Doing>,
    /// Since when it is no longer recorded; `None` for a camera that is.
    pub removed: Option<UtcMicros>,
}

/// A number that several nodes state as theirs. It means the camera of the first owner, and never anyone else's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Clash {
    /// The number.
    pub camera: CameraId,
    /// Who stated it first, and has it here.
    pub owner: NodeId,
    /// Who states it too. Their cameras of that number are found under no number here.
    pub others: Vec<NodeId>,
}

/// What stands directly below a place.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Children {
    /// The places, by name, each with how many cameras stand in it.
    pub places: BTreeMap<String, usize>,
    /// The cameras that stand here and in no place within, by number.
    pub cameras: Vec<CameraId>,
}

/// See the module.
#[derive(PartialEq, Eq, Default, Debug)]
pub struct View {
    cameras: BTreeMap<CameraId, Arc<Located>>,
    removed: BTreeMap<CameraId, Arc<Located>>,
    clashes: Vec<Clash>,
    /// Who else uses or used a number that is another's here.
    elsewhere: BTreeMap<CameraId, Vec<NodeId>>,
    paths: BTreeMap<NodeId, Vec<String>>,
}

/// One node's cameras, made once for each change of what it tells.
#[derive(Default, Debug)]
pub(super) struct Part {
    path: Vec<String>,
    /// With since when its node states them.
    present: Vec<(UtcMicros, Arc<Located>)>,
    past: Vec<Arc<Located>>,
}

impl Part {
    pub(super) fn of(node: NodeId, told: &Told, path: &[String]) -> Self {
        let located = |stated: &super::told::Stated, doing, removed| {
            let camera = stated.camera(path);
            let (initials, pinyin) = (initials(&camera.name), pinyin(&camera.name));
            Arc::new(Located { node, camera, initials, pinyin, doing, removed })
        };
        let present = told.present.values().map(|present| (present.since, located(&present.stated, present.doing, None)));
        let past = told.past.values().map(|past| located(&past.stated, None, Some(past.at)));
        Self { path: path.to_vec(), present: present.collect(), past: past.collect() }
    }

    pub(super) fn path(&self) -> &[String] {
        &self.path
    }
}

impl View {
    /// Puts the nodes' cameras together. The result depends on what they told and not on the order in which it came (I7).
    pub(super) fn of(parts: &BTreeMap<NodeId, Part>) -> Self {
        let mut claims: BTreeMap<CameraId, Vec<(UtcMicros, &Arc<Located>)>> = BTreeMap::new();
        for (since, located) in parts.values().flat_map(|part| &part.present) {
            claims.entry(located.camera.id).or_default().push((*since, located));
        }
        let mut view = Self::default();
        for (camera, mut claims) in claims {
            claims.sort_by_key(|(since, located)| (*since, located.node));
            let mut claims = claims.into_iter().map(|(_, located)| located);
            let Some(first) = claims.next() else { continue };
            view.cameras.insert(camera, Arc::clone(first));
            let others: Vec<NodeId> = claims.map(|located| located.node).collect();
            if !others.is_empty() {
                view.clashes.push(Clash { camera, owner: first.node, others: others.clone() });
                view.elsewhere.insert(camera, others);
            }
        }
        for gone in parts.values().flat_map(|part| &part.past) {
            let id = gone.camera.id;
            let owner = match view.cameras.get(&id) {
                Some(owner) => owner.node,
                None => {
                    let newest = view.removed.entry(id).or_insert_with(|| Arc::clone(gone));
                    if (gone.removed, gone.node) > (newest.removed, newest.node) {
                        *newest = Arc::clone(gone);
                    }
                    continue;
                }
            };
            if owner != gone.node {
                view.elsewhere.entry(id).or_default().push(gone.node);
            }
        }
        for nodes in view.elsewhere.values_mut() {
            nodes.sort_unstable();
            nodes.dedup();
        }
        view.paths = parts.iter().map(|(node, part)| (*node, part.path.clone())).collect();
        view
    }

    /// Every camera, by number.
    pub fn list(&self) -> impl Iterator<Item = &Arc<Located>> {
        self.cameras.values()
    }

    /// Every camera that is no longer recorded, by number.
    pub fn removed(&self) -> impl Iterator<Item = &Arc<Located>> {
        self.removed.values()
    }

    /// A camera, also one that is no longer recorded.
    #[must_use]
    pub fn get(&self, id: CameraId) -> Option<&Arc<Located>> {
        self.cameras.get(&id).or_else(|| self.removed.get(&id))
    }

    /// Numbers that several nodes state as theirs, by number.
    #[must_use]
    pub fn clashes(&self) -> &[Clash] {
        &self.clashes
    }

    /// Nodes that use these numbers, or did, for cameras that are not the ones the numbers mean here.
    #[must_use]
    pub fn elsewhere(&self, cameras: &BTreeSet<CameraId>) -> BTreeSet<(NodeId, CameraId)> {
        let few = self.elsewhere.iter().filter(|(camera, _)| cameras.contains(camera));
        few.flat_map(|(camera, nodes)| nodes.iter().map(|node| (*node, *camera))).collect()
    }

    /// Where a node stands in the tree.
    #[must_use]
    pub fn path(&self, node: NodeId) -> Option<&[String]> {
        self.paths.get(&node).map(Vec::as_slice)
    }

    /// The nodes that a place of the tree is in or holds, and the rest of the place within them: empty where whole nodes stand below it.
    #[must_use]
    pub fn nodes_of(&self, place: &[String]) -> (BTreeSet<NodeId>, Vec<String>) {
        let whole: BTreeSet<NodeId> =
            self.paths.iter().filter(|(_, path)| path.starts_with(place)).map(|(node, _)| *node).collect();
        if !whole.is_empty() {
            return (whole, Vec::new());
        }
        let around = self.paths.iter().filter(|(_, path)| place.starts_with(path)).max_by_key(|(_, path)| path.len());
        match around {
            Some((node, path)) => ([*node].into(), place[path.len()..].to_vec()),
            None => (BTreeSet::new(), place.to_vec()),
        }
    }

    /// What stands directly below a place.
    #[must_use]
    pub fn children(&self, place: &[String]) -> Children {
        let mut children = Children::default();
        for located in self.cameras.values().filter(|located| located.camera.place.starts_with(place)) {
            match located.camera.place.get(place.len()) {
                Some(name) => *children.places.entry(name.clone()).or_default() += 1,
                None => children.cameras.push(located.camera.id),
            }
        }
        children
    }

    /// Cameras that a text means, at most `limit`: by the beginning of the number, a part of the name, or its pinyin or initials. Those
    /// of that very number first, then by number.
    #[must_use]
    pub fn find(&self, text: &str, limit: usize) -> Vec<&Arc<Located>> {
        let text = text.trim().to_lowercase();
        let number = |located: &Located| located.camera.id.to_string();
        let meant = |located: &&Arc<Located>| {
            number(located).starts_with(&text)
                || located.camera.name.to_lowercase().contains(&text)
                || located.initials.contains(&text)
                || located.pinyin.contains(&text)
        };
        let exact = self.cameras.values().filter(|located| number(located) == text);
        let others = self.cameras.values().filter(|located| number(located) != text).filter(meant);
        exact.chain(others).take(limit).collect()
    }
}
