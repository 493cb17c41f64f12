//! Why a batch did not enter a copy.

use super::super::{JournalError, Seq};
use crate::model::NodeId;

/// Why records did not enter a copy. Nothing of the batch did.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CopyError {
    /// The batch begins, or goes on, behind the next number.
    #[error(
        "the copy of node {node} goes on with record {expected}, and record {found} came: what is between them must come first"
    )]
    Hole {
        /// Whose copy.
        node: NodeId,
        /// The number that must come next.
        expected: Seq,
        /// The number that came.
        found: Seq,
    },
    /// A record does not continue the chain.
    #[error(
        "record {seq} of node {node} does not continue the chain that was copied: it was altered on its way, or the node's journal was \
         lost and begun anew"
    )]
    Chain {
        /// Whose copy.
        node: NodeId,
        /// Which record.
        seq: Seq,
    },
    /// A record is none, or cannot be read.
    #[error("record {seq} of node {node} is refused: {what}")]
    Malformed {
        /// Whose copy.
        node: NodeId,
        /// Which record.
        seq: Seq,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The batch is larger than any that is sent.
    #[error("a batch of {bytes} bytes is larger than any that a node sends")]
    TooLarge {
        /// How large.
        bytes: usize,
    },
    /// The batch is of another node.
    #[error("records of node {found} came for the copy of node {expected}")]
    ForeignNode {
        /// Whose copy.
        expected: NodeId,
        /// Whose records.
        found: NodeId,
    },
    /// There are as many copies as there may be.
    #[error("copies of {limit} nodes are kept already, and node {node} would be one more")]
    TooMany {
        /// Whose copy.
        node: NodeId,
        /// How many there may be.
        limit: usize,
    },
    /// Another copy of the node took this one's place.
    #[error("the copy of node {node} was begun anew")]
    Retired {
        /// Whose copy.
        node: NodeId,
    },
    /// The disk refuses, or what it held does not read back.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl CopyError {
    /// Whether it is the records' fault, so that the same batch can never enter.
    #[must_use]
    pub fn is_peers_fault(&self) -> bool {
        matches!(
            self,
            Self::Hole { .. } | Self::Chain { .. } | Self::Malformed { .. } | Self::TooLarge { .. } | Self::ForeignNode { .. }
        )
    }
}
