//! The files of a copy: a header as a journal's file has it, then batches, each on a sector of its own.
//!
//! ```text
//! batch:  0 4 magic "HCB1" | 4 4 CRC32C of bytes 8 to the end | 8 4 length of all this | 12 4 number of records
//!        16 8 first sequence number | 24 8 batch number | 32 8 received, microseconds UTC | 40 the records, as their node wrote them
//! ```
//! The commits that the node itself wrote stay visible in the records, but what was made durable at once here is a batch: so it is the
//! number of the batch that tells a torn end from damage at rest, as the number of the commit does in a journal (C4).

use super::super::batch::{MAX_BATCH_BYTES, News};
use super::super::record::{self, Hash, Raw, Seq};
use super::super::segment::{Header, Layout, SECTOR};
use crate::model::UtcMicros;

pub(super) static COPY: Layout = Layout { magic: *b"HAOHECPY", suffix: ".copy" };
const MAGIC: [u8; 4] = *b"HCB1";
pub(super) const HEAD: usize = 40;
/// The longest batch with its head.
pub(super) const MAX_FRAME: usize = HEAD + MAX_BATCH_BYTES;

/// A batch in a file's bytes, checked against its CRC.
pub(super) struct Frame<'a> {
    pub first: Seq,
    pub number: u64,
    pub records: &'a [u8],
    pub length: usize,
}

/// The length that the batch at the start of `bytes` says it has, if that can be.
pub(super) fn length_of(bytes: &[u8]) -> Option<usize> {
    let head = bytes.first_chunk::<HEAD>()?;
    let length = u32::from_le_bytes(*head[8..].first_chunk()?) as usize;
    (head[..4] == MAGIC && (HEAD..=MAX_FRAME).contains(&length)).then_some(length)
}

/// The batch at the start of `bytes`; `None` if there is no whole and unchanged one.
pub(super) fn decode(bytes: &[u8]) -> Option<Frame<'_>> {
    let length = length_of(bytes)?;
    let frame = bytes.get(..length)?;
    let crc = u32::from_le_bytes(*frame[4..].first_chunk()?);
    let word = |at: usize| frame[at..].first_chunk().map(|word| u64::from_le_bytes(*word));
    let found = Frame { first: Seq::new(word(16)?), number: word(24)?, records: &frame[HEAD..], length };
    (crc32c::crc32c(&frame[8..]) == crc).then_some(found)
}

/// Appends a batch and zeros to the next sector.
pub(super) fn encode(news: &News<'_>, number: u64, received: UtcMicros, out: &mut Vec<u8>) {
    let start = out.len();
    let length = HEAD + news.records.len();
    let first = news.tail.get() + 1 - u64::from(news.count);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(length as u32).to_le_bytes());
    out.extend_from_slice(&news.count.to_le_bytes());
    out.extend_from_slice(&first.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&received.as_micros().to_le_bytes());
    out.extend_from_slice(news.records);
    let crc = crc32c::crc32c(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    out.resize(out.len().next_multiple_of(SECTOR as usize), 0);
}

/// The records of a batch, in order; ends early at what is none.
pub(super) fn records(mut bytes: &[u8]) -> impl Iterator<Item = Raw<'_>> {
    std::iter::from_fn(move || {
        let raw = record::decode(bytes)?;
        bytes = &bytes[raw.length..];
        Some(raw)
    })
}

/// How far a file's batches are whole, and what comes then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Scan {
    pub tail: Seq,
    pub hash: Hash,
    /// When the newest record happened; `None` if the file has none.
    pub at: Option<UtcMicros>,
    pub batch: u64,
    /// The end of the last whole batch.
    pub end: u64,
    /// Where acknowledged bytes are not what they were, and why.
    pub damage: Option<(u64, &'static str)>,
}

/// Walks over a whole file, or over what of it is before record `until`: every batch's CRC and number, every record's number and link of
/// the chain. Pure.
pub(super) fn scan(bytes: &[u8], header: &Header, until: Option<Seq>) -> Scan {
    let mut whole = Scan {
        tail: Seq::new(header.first.get().saturating_sub(1)),
        hash: header.before,
        at: None,
        batch: header.first_commit.saturating_sub(1),
        end: SECTOR,
        damage: None,
    };
    while (whole.end as usize) < bytes.len() && until.is_none_or(|until| whole.tail.next() < until) {
        match batch_at(bytes, &whole) {
            Ok(next) => whole = next,
            Err(what) => {
                // C4: a batch of a later number proves that this one was acknowledged.
                let later = bytes[whole.end as usize..].chunks(SECTOR as usize).enumerate().any(|(n, _)| {
                    let at = whole.end as usize + n * SECTOR as usize;
                    decode(&bytes[at..]).is_some_and(|frame| frame.number > whole.batch + 1)
                });
                whole.damage = (later || until.is_some()).then_some((whole.end, what));
                break;
            }
        }
    }
    whole
}

fn batch_at(bytes: &[u8], before: &Scan) -> Result<Scan, &'static str> {
    let frame = decode(&bytes[before.end as usize..]).ok_or("no whole batch where one should be")?;
    if frame.number != before.batch + 1 || frame.first != before.tail.next() {
        return Err("the batch is not the one that belongs here");
    }
    let mut now = Scan { batch: frame.number, ..before.clone() };
    let mut seen = 0;
    for raw in records(frame.records) {
        if raw.place.seq != now.tail.next() || !raw.follows(now.hash) {
            return Err("the record does not continue the chain");
        }
        (now.tail, now.hash, now.at) = (raw.place.seq, raw.hash, Some(raw.at));
        seen += raw.length;
    }
    if seen != frame.records.len() {
        return Err("no whole record where one should be");
    }
    now.end = (before.end + frame.length as u64).next_multiple_of(SECTOR);
    Ok(now)
}
