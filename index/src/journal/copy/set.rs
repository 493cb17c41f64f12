//! All the copies that a centre keeps, a directory each.

use super::super::medium::{Medium, RealMedium};
use super::super::{Bell, JournalError, SimDisk, batch::History, lock};
use super::{CopyError, CopyLimits, JournalCopy};
use crate::model::NodeId;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, atomic::Ordering},
};

/// Nodes that copies are kept of, at most: many times a district's.
pub const MAX_COPIES: usize = 1024;

/// The copies of the journals of all nodes below.
pub struct Copies {
    medium: Arc<dyn Medium>,
    limits: CopyLimits,
    open: Mutex<BTreeMap<NodeId, Arc<JournalCopy>>>,
    bell: Arc<Bell>,
}

impl Copies {
    /// Opens the copies in `dir`, which is made if missing. Reads only the newest file of each. A copy that does not open is passed over
    /// and said loudly: the others go on, and [`Copies::of`] says why this one does not.
    ///
    /// # Errors
    /// If the directory cannot be made or read.
    pub fn open(dir: &Path, limits: CopyLimits) -> Result<Self, JournalError> {
        let medium = RealMedium::create(dir).map_err(JournalError::io("create", dir))?;
        Self::open_on(Arc::new(medium), limits)
    }

    /// As [`Copies::open`], on a simulated disk.
    ///
    /// # Errors
    /// As [`Copies::open`].
    pub fn open_simulated(disk: &SimDisk, limits: CopyLimits) -> Result<Self, JournalError> {
        Self::open_on(disk.medium().below("copies").map_err(JournalError::io("create", "copies"))?, limits)
    }

    fn open_on(medium: Arc<dyn Medium>, limits: CopyLimits) -> Result<Self, JournalError> {
        let names = medium.list().map_err(JournalError::io("list", medium.path("")))?;
        let copies = Self { medium, limits, open: Mutex::default(), bell: Arc::default() };
        for node in names.iter().filter_map(|name| name.parse().ok()) {
            if let Err(error) = copies.of(node) {
                tracing::error!(%node, %error, "the copy of a node's journal does not open: move its directory away to fetch it anew, and have the index of events made anew (haohe events rebuild)");
            }
        }
        Ok(copies)
    }

    /// The copy of a node's journal, begun if there is none.
    ///
    /// # Errors
    /// [`CopyError::TooMany`]; [`CopyError::Journal`] if it does not open.
    pub fn of(&self, node: NodeId) -> Result<Arc<JournalCopy>, CopyError> {
        let mut open = lock(&self.open);
        if let Some(copy) = open.get(&node) {
            return Ok(Arc::clone(copy));
        }
        if open.len() >= MAX_COPIES {
            return Err(CopyError::TooMany { node, limit: MAX_COPIES });
        }
        let name = node.to_string();
        let medium = self.medium.below(&name).map_err(JournalError::io("create", self.medium.path(&name)))?;
        let names = self.medium.list().map_err(JournalError::io("list", self.medium.path("")))?;
        let aside = |other: &&String| other.strip_prefix(&name).is_some_and(|rest| rest.starts_with('.'));
        let begun_anew = names.iter().filter(aside).count() as u32;
        let copy = JournalCopy::open(medium, node, self.limits, (begun_anew, Arc::clone(&self.bell)))?;
        let copy = Arc::new(copy);
        open.insert(node, Arc::clone(&copy));
        drop(open);
        self.bell.ring();
        Ok(copy)
    }

    /// Rung when any of the copies grew, or another is kept.
    #[must_use]
    pub fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// The copies that are open, by node.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<JournalCopy>> {
        lock(&self.open).values().cloned().collect()
    }

    /// Begins the copy of a node anew, because a person decided that its journal is another one now. What was copied before stays in a
    /// directory beside, and is not read any more.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn begin_anew(&self, node: NodeId) -> Result<Arc<JournalCopy>, CopyError> {
        let mut open = lock(&self.open);
        let name = node.to_string();
        if let Some(old) = open.remove(&node) {
            let _no_batch_is_under_way = lock(&old.pen);
            old.retired.store(true, Ordering::Release);
            let names = self.medium.list().map_err(JournalError::io("list", self.medium.path("")))?;
            let aside = (1..).map(|n: u32| format!("{name}.{n}")).find(|aside| !names.contains(aside)).unwrap_or_default();
            self.medium.rename(&name, &aside).map_err(JournalError::io("rename", self.medium.path(&name)))?;
            tracing::warn!(%node, tail = %old.head().0, kept_as = aside, "the copy of a node's journal is begun anew");
        }
        drop(open);
        self.of(node)
    }
}

impl std::fmt::Debug for Copies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Copies")
            .field("dir", &self.medium.path(""))
            .field("open", &lock(&self.open).len())
            .finish_non_exhaustive()
    }
}
