//! Why the journal does not do what was asked.

use std::{io, path::PathBuf, sync::Arc};

/// Why a record is not in the journal, or does not come back from it. Cheap to clone: one failed sync answers many.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The disk refused. After a failed write or sync the journal takes no more records until it is opened again: what
    /// the disk kept is unknown, and a second sync would lie about it.
    #[error("{doing} {path}", path = path.display())]
    Io {
        /// What was tried: `open`, `write`, `sync`, …
        doing: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// Bytes that were acknowledged are not what they were.
    #[error("journal file {path} is damaged at byte {offset}: {what}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// The files were written by another node.
    #[error("journal file {path} belongs to node {found}", path = path.display())]
    ForeignNode {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: crate::model::NodeId,
    },
    /// Too many records wait for the disk.
    #[error("{waiting} records wait for the disk already")]
    Full {
        /// How many.
        waiting: usize,
    },
    /// The record's kind or body is not one that can be written.
    #[error("the record is refused: {0}")]
    Record(&'static str),
    /// The journal has been closed, or failed before.
    #[error("the journal takes no more records")]
    Closed,
}

impl JournalError {
    /// Whether the disk is full: then the same may succeed later.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, doing: "write" | "create", .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source: Arc::new(source) }
    }
}
