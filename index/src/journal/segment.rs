//! One file of the journal: a header in its first sector, then commits, each on a sector of its own (J3).
//!
//! ```text
//! header, 512 bytes:  0 8 magic "HAOHEJNL" | 8 4 version 1 | 12 4 zero | 16 16 node | 32 8 first sequence number
//!                    40 8 first commit number | 48 8 first sequence number of the file before, 0 if none
//!                    56 32 hash before the first record | 88 8 created, microseconds UTC | 508 4 CRC32C of bytes 0 to 508
//! commit:             record, record, … (see `record`), zeros to the next multiple of 512
//! ```
//! A file is created whole: header written and synced under another name, then renamed. So a header that does not check
//! was damaged at rest, never torn.

use super::medium::{LogFile, Medium, Use};
use super::record::{self, Hash, Raw, Seq};
use super::{JournalError, lock};
use crate::model::{NodeId, UtcMicros};
use std::{
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// The unit that a disk writes whole; every commit starts on one.
pub(super) const SECTOR: u64 = 512;
const VERSION: u32 = 1;
/// A point of the sparse index about every so many bytes: what a read from any sequence number wades through at most.
const STRIDE: u64 = 64 << 10;

/// What tells the node's own files from copies of another node's.
pub(super) struct Layout {
    pub magic: [u8; 8],
    pub suffix: &'static str,
}

/// The node's own journal.
pub(super) static OWN: Layout = Layout { magic: *b"HAOHEJNL", suffix: ".journal" };

/// What a file says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub node: NodeId,
    pub first: Seq,
    pub first_commit: u64,
    pub previous: Seq,
    pub before: Hash,
    pub created: UtcMicros,
}

impl Header {
    pub(super) fn encode(&self, layout: &Layout) -> [u8; SECTOR as usize] {
        let mut bytes = [0; SECTOR as usize];
        bytes[..8].copy_from_slice(&layout.magic);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.node.to_bytes());
        bytes[32..40].copy_from_slice(&self.first.get().to_le_bytes());
        bytes[40..48].copy_from_slice(&self.first_commit.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.previous.get().to_le_bytes());
        bytes[56..88].copy_from_slice(&self.before.0);
        bytes[88..96].copy_from_slice(&self.created.as_micros().to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..508]);
        bytes[508..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the start of a file, or what is wrong with it.
    pub(super) fn decode(bytes: &[u8], layout: &Layout) -> Result<Self, &'static str> {
        let bytes: &[u8; SECTOR as usize] = bytes.first_chunk().ok_or("the file is shorter than its header")?;
        let word = |at: usize| u64::from_le_bytes(take(bytes, at));
        if bytes[..8] != layout.magic {
            return Err("it does not start as a journal file does");
        }
        if crc32c::crc32c(&bytes[..508]) != u32::from_le_bytes(take(bytes, 508)) {
            return Err("the header's checksum does not match");
        }
        if u32::from_le_bytes(take(bytes, 8)) != VERSION {
            return Err("the file was written by a later version of this program");
        }
        Ok(Self {
            node: NodeId::from_bytes(take(bytes, 16)),
            first: Seq::new(word(32)),
            first_commit: word(40),
            previous: Seq::new(word(48)),
            before: Hash(take(bytes, 56)),
            created: UtcMicros::from_micros(word(88) as i64),
        })
    }
}

fn take<const N: usize>(bytes: &[u8; SECTOR as usize], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

/// A file that holds durable records. Its bytes up to `end` never change.
pub(super) struct SegmentFile {
    pub path: PathBuf,
    pub header: Header,
    pub file: Box<dyn LogFile>,
    /// How far it is durable, in bytes.
    end: AtomicU64,
    /// Where records stand, about one in [`STRIDE`] bytes, ascending; grows as reads pass by.
    points: Mutex<Vec<(Seq, u64)>>,
}

impl SegmentFile {
    /// Opens a file and checks its header against its name.
    pub(super) fn open(medium: &dyn Medium, layout: &Layout, name: &str, to: Use) -> Result<Self, JournalError> {
        let path = medium.path(name);
        let file = medium.open(name, to).map_err(JournalError::io("open", &path))?;
        let length = file.len().map_err(JournalError::io("stat", &path))?;
        let mut bytes = Vec::new();
        file.read_at(0, SECTOR, &mut bytes).map_err(JournalError::io("read", &path))?;
        let damaged = |what| JournalError::Damaged { path: path.clone(), offset: 0, what };
        let header = Header::decode(&bytes, layout).map_err(damaged)?;
        if first_of(name, layout) != Some(header.first) {
            return Err(damaged("its name is not that of its first record"));
        }
        Ok(Self { path, header, file, end: AtomicU64::new(length), points: Mutex::default() })
    }

    /// Refuses a file of another node.
    pub(super) fn check_node(&self, node: NodeId) -> Result<(), JournalError> {
        let found = self.header.node;
        if found == node { Ok(()) } else { Err(JournalError::ForeignNode { path: self.path.clone(), found }) }
    }

    /// Prepares a file under another name, with room for `reserve` bytes, so that a full disk shows here and not in the
    /// middle of a commit. It is no part of the journal before [`Draft::publish`].
    pub(super) fn draft(
        medium: &dyn Medium,
        layout: &'static Layout,
        header: Header,
        reserve: u64,
    ) -> Result<Draft, JournalError> {
        let name = format!("{:020}{}.new", header.first.get(), layout.suffix);
        let path = medium.path(&name);
        let file = medium.create(&name, reserve).map_err(JournalError::io("create", &path))?;
        file.write_at(&header.encode(layout), 0).map_err(JournalError::io("write", &path))?;
        file.sync().map_err(JournalError::io("sync", &path))?;
        Ok(Draft { layout, name, header, file })
    }

    pub(super) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Tells readers that bytes up to `end` are durable.
    pub(super) fn extend(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// Where to start reading to meet `seq`: at a record's first byte, at or before it.
    pub(super) fn start_for(&self, seq: Seq) -> u64 {
        let points = lock(&self.points);
        let after = points.partition_point(|(at, _)| *at <= seq);
        if after == 0 { SECTOR } else { points[after - 1].1 }
    }

    /// Remembers where a record stands, if no other near it is remembered.
    pub(super) fn note(&self, seq: Seq, offset: u64) {
        let mut points = lock(&self.points);
        let after = points.partition_point(|(_, at)| *at <= offset);
        let far_from_before = offset >= points[..after].last().map_or(SECTOR, |(_, at)| *at) + STRIDE;
        let far_from_next = points.get(after).is_none_or(|(_, at)| *at >= offset + STRIDE);
        if far_from_before && far_from_next {
            points.insert(after, (seq, offset));
        }
    }
}

/// A file that waits for its name.
pub(super) struct Draft {
    layout: &'static Layout,
    name: String,
    header: Header,
    file: Box<dyn LogFile>,
}

impl Draft {
    /// Gives the file its name. It is there after a power cut, or not at all.
    pub(super) fn publish(self, medium: &dyn Medium) -> Result<SegmentFile, JournalError> {
        let Self { layout, name: draft, header, file } = self;
        let name = format!("{:020}{}", header.first.get(), layout.suffix);
        let path = medium.path(&name);
        medium.rename(&draft, &name).map_err(JournalError::io("rename", &path))?;
        Ok(SegmentFile { path, header, file, end: AtomicU64::new(SECTOR), points: Mutex::default() })
    }
}

/// The names of the journal's files, oldest first. Drafts that a crash left are not among them: the next file overwrites
/// them.
pub(super) fn list(medium: &dyn Medium, layout: &Layout) -> Result<Vec<String>, JournalError> {
    let mut names = medium.list().map_err(JournalError::io("list", medium.path("")))?;
    names.retain(|name| first_of(name, layout).is_some());
    names.sort();
    Ok(names)
}

pub(super) fn first_of(name: &str, layout: &Layout) -> Option<Seq> {
    let digits = name.strip_suffix(layout.suffix)?;
    if digits.len() == 20 { digits.parse().ok().map(Seq::new) } else { None }
}

/// What a walk over a file's commits found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Scan {
    pub tail: Seq,
    pub hash: Hash,
    pub commit: u64,
    /// The end of the last whole commit, a multiple of [`SECTOR`].
    pub end: u64,
    pub stop: Stop,
}

/// Why the walk ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stop {
    /// All bytes make sense.
    Clean,
    /// What follows `end` is the start of a commit that was never acknowledged (J4).
    Unfinished,
    /// Acknowledged bytes at an offset are not what they were.
    Damaged(u64, &'static str),
}

/// Walks over a whole file: every record's CRC, number, commit and link of the chain. Pure.
pub(super) fn scan(bytes: &[u8], header: &Header) -> Scan {
    let mut at = SECTOR as usize;
    let mut whole = Scan {
        tail: Seq::new(header.first.get().saturating_sub(1)),
        hash: header.before,
        commit: header.first_commit.saturating_sub(1),
        end: SECTOR,
        stop: Stop::Clean,
    };
    while at < bytes.len() {
        match commit_at(bytes, at, &whole) {
            Ok(next) => {
                at = next.end as usize;
                whole = next;
            }
            Err((offset, what)) => {
                // J4: a record of a later commit than this one proves that this one was acknowledged.
                let later = later_commit(&bytes[offset..], whole.commit + 1);
                whole.stop = if later { Stop::Damaged(offset as u64, what) } else { Stop::Unfinished };
                return whole;
            }
        }
    }
    whole
}

/// The state after the commit that starts at `at`, or where and why it is not whole.
fn commit_at(bytes: &[u8], mut at: usize, before: &Scan) -> Result<Scan, (usize, &'static str)> {
    let mut now = Scan { commit: before.commit + 1, ..before.clone() };
    loop {
        let raw = record::decode(&bytes[at.min(bytes.len())..]).ok_or((at, "no whole record where one should be"))?;
        let first = now.tail == before.tail;
        if raw.place.seq != now.tail.next() || raw.place.commit != now.commit || raw.place.first != first {
            return Err((at, "the record is not the one that belongs here"));
        }
        if !raw.follows(now.hash) {
            return Err((at, "the record does not continue the chain"));
        }
        (now.tail, now.hash) = (raw.place.seq, raw.hash);
        at += raw.length;
        if raw.place.last {
            now.end = (at as u64).next_multiple_of(SECTOR);
            return Ok(now);
        }
    }
}

/// Whether a commit later than `this` starts on a sector somewhere in `bytes`.
fn later_commit(bytes: &[u8], this: u64) -> bool {
    // The bytes start anywhere; commits start on sectors, so trying each magic is the same walk without knowing where.
    let mut rest = bytes;
    while let Some(at) = rest.windows(4).position(|four| four == record::MAGIC) {
        rest = &rest[at..];
        let found: Option<Raw<'_>> = record::decode(rest);
        if found.is_some_and(|raw| raw.place.commit > this) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}
