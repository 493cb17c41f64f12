//! Records on their way from one node's journal to another's copy of it: byte for byte, in order, a bounded number of them.
//!
//! Whoever asks says how far it has come and which hash stands there, so whoever answers notices at once when the two do not hold the
//! same history. Nothing else is trusted either: a batch proves itself against the end of the copy that takes it in ([`Batch::follow`]).

use super::record::{self, Hash, MAX_RECORD, Raw, Seq};
use super::{CopyError, JournalError, Seen};
use crate::model::{NodeId, UtcMicros};
use std::{ops::ControlFlow, time::Duration};

/// Bytes of records in one batch, at most: with what a link puts around them they fit one message of a broker (1 MiB), compressed or not.
pub const MAX_BATCH_BYTES: usize = 512 << 10;
/// Whoever asks for less gets as much: any one record fits.
pub const MIN_BATCH_BYTES: usize = 128 << 10;
const _: () = assert!(MAX_RECORD <= MIN_BATCH_BYTES);

/// A node's numbered records as they can be read: its own journal, or the copy that an upper node keeps of another's.
pub trait History: Send + Sync {
    /// Whose records they are.
    fn node(&self) -> NodeId;

    /// The newest durable record and the chain up to it; [`Seq::ZERO`] and [`Hash::ZERO`] if there is none.
    fn head(&self) -> (Seq, Hash);

    /// The records after `after`, whose chain hash is `hash`, up to about so many bytes: [`MIN_BATCH_BYTES`] to [`MAX_BATCH_BYTES`].
    ///
    /// # Errors
    /// As [`super::Journal::read`].
    fn gather(&self, after: Seq, hash: Hash, bytes: usize) -> Result<Gathered, JournalError>;

    /// Calls `visit` with each record from `from` to `to`, both included, until it breaks.
    ///
    /// # Errors
    /// As [`super::Journal::read`].
    fn visit(&self, from: Seq, to: Seq, visit: &mut dyn FnMut(Seen<'_>) -> ControlFlow<()>) -> Result<(), JournalError>;

    /// Waits until a record newer than `seen` is durable, at most `limit`. Returns the newest.
    fn wait_beyond(&self, seen: Seq, limit: Duration) -> Seq;
}

/// What a history has for somebody who came as far as a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Gathered {
    /// The next records.
    Batch(Batch),
    /// Nothing newer.
    Nothing,
    /// This history ends before that record: it lost its end, or it is itself a copy that has not come so far.
    Behind {
        /// Where it ends.
        tail: Seq,
    },
    /// Another record stands at that place: the two are not the same history.
    OtherChain {
        /// The chain there, here.
        hash: Hash,
    },
}

/// Records of one node, consecutive, as they stand in its journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// Whose.
    pub node: NodeId,
    /// The record before the first of them.
    pub after: Seq,
    /// The records, one behind the other. At most [`MAX_BATCH_BYTES`].
    pub records: Vec<u8>,
}

/// The part of a batch that a copy does not have yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct News<'a> {
    pub records: &'a [u8],
    pub count: u32,
    pub tail: Seq,
    pub hash: Hash,
    /// When the newest of them happened.
    pub at: UtcMicros,
}

impl Batch {
    /// What of it continues a history of `node` that ends at (`tail`, `hash`). Each record is checked: bytes, number, link of the
    /// chain, and that it can be read. Pure.
    pub(super) fn follow(&self, node: NodeId, tail: Seq, hash: Hash) -> Result<Option<News<'_>>, CopyError> {
        if self.records.len() > MAX_BATCH_BYTES {
            return Err(CopyError::TooLarge { bytes: self.records.len() });
        }
        if self.node != node {
            return Err(CopyError::ForeignNode { expected: node, found: self.node });
        }
        if self.after > tail {
            return Err(CopyError::Hole { node, expected: tail.next(), found: self.after.next() });
        }
        let mut expected = self.after.next();
        let mut rest = &self.records[..];
        let mut news = News { records: &[], count: 0, tail, hash, at: UtcMicros::MIN };
        while !rest.is_empty() {
            let malformed = |what| CopyError::Malformed { node, seq: expected, what };
            let raw = record::decode(rest).ok_or_else(|| malformed("its bytes are not those of a whole record"))?;
            let seq = raw.place.seq;
            if seq != expected {
                return Err(CopyError::Hole { node, expected, found: seq });
            }
            if seq == tail && raw.hash != hash {
                return Err(CopyError::Chain { node, seq });
            }
            if seq > tail {
                if !raw.follows(news.hash) {
                    return Err(CopyError::Chain { node, seq });
                }
                if !record::is_kind(raw.kind) {
                    return Err(malformed("its kind is not one that can be written"));
                }
                raw.entry().ok_or_else(|| malformed("its body is not JSON"))?;
                if news.count == 0 {
                    news.records = rest;
                }
                news = News { count: news.count + 1, tail: seq, hash: raw.hash, at: raw.at, ..news };
            }
            expected = seq.next();
            rest = &rest[raw.length..];
        }
        Ok((news.count > 0).then_some(news))
    }
}

/// Records being gathered from a walk that starts at [`Gathering::from`].
pub(super) struct Gathering {
    batch: Batch,
    hash: Hash,
    room: usize,
    other: Option<Hash>,
}

impl Gathering {
    /// Begins where somebody came to `after`, in a history that ends at `head`; or the answer, if nothing need be read for it.
    pub(super) fn begin(node: NodeId, after: (Seq, Hash), head: (Seq, Hash), bytes: usize) -> Result<Self, Gathered> {
        let ((after, hash), (tail, tail_hash)) = (after, head);
        if after > tail {
            return Err(Gathered::Behind { tail });
        }
        if after == tail {
            return Err(if hash == tail_hash { Gathered::Nothing } else { Gathered::OtherChain { hash: tail_hash } });
        }
        if after == Seq::ZERO && hash != Hash::ZERO {
            return Err(Gathered::OtherChain { hash: Hash::ZERO });
        }
        let room = bytes.clamp(MIN_BATCH_BYTES, MAX_BATCH_BYTES);
        Ok(Self { batch: Batch { node, after, records: Vec::new() }, hash, room, other: None })
    }

    /// Where the walk starts: at the record that the asker has, to compare it.
    pub(super) fn from(&self) -> Seq {
        self.batch.after.max(Seq::new(1))
    }

    pub(super) fn take(&mut self, raw: &Raw<'_>) -> ControlFlow<Result<(), &'static str>> {
        if raw.place.seq == self.batch.after {
            if raw.hash != self.hash {
                self.other = Some(raw.hash);
                return ControlFlow::Break(Ok(()));
            }
        } else if self.batch.records.len() + raw.length > self.room {
            return ControlFlow::Break(Ok(()));
        } else {
            self.batch.records.extend_from_slice(raw.whole);
        }
        ControlFlow::Continue(())
    }

    pub(super) fn finish(self) -> Gathered {
        match self.other {
            Some(hash) => Gathered::OtherChain { hash },
            None if self.batch.records.is_empty() => Gathered::Nothing,
            None => Gathered::Batch(self.batch),
        }
    }
}
