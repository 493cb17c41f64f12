//! The bytes of a segment file, final: encoders and decoders side by side, pure.
//!
//! ```text
//! 0         ftyp | uuid segment header | free                        one block
//! 4 KiB     moov | free                                              up to 64 KiB; at 32 KiB, inside the free box, a copy of both
//! 64 KiB    record*: uuid header (256 B) | moof | mdat | free        each a multiple of 4 KiB
//!           free over what is unused
//! end-128K  uuid footer: an entry of 32 B for each record | trailer  the trailer is the last block
//! ```
//! A sealed file is therefore a plain fragmented MP4. Integers in our own boxes are little-endian.
//!
//! - F1: a record is valid iff its checksum, seeded with the file's incarnation, matches: a recycled file's old bytes, zeros or
//!   a block that belongs elsewhere never do.
//! - F2: a record says whether it starts with a key unit, and which record began its commit: so recovery knows whether a bad
//!   one had been acknowledged.
//! - F3: a fragment is announced only after its bytes are synced, and no acknowledged block is written again (I1, I5), except by an
//!   order of erasure: then zeros stand in the place of the media, see `erased`, and the footer is written anew.

mod erased;
mod record;
mod segment;

pub(super) use erased::{ERASE_MARK, EraseMark};
pub(super) use record::{CommitSpan, RecordHeader, chain, pad_len, write_pad};
pub(super) use segment::{Entry, HeadPieces, SegmentHeader, SegmentState, Trailer, encode_footer, footer_blocks, read_entries};

use super::planted::{Bug, planted};

/// The unit of direct I/O; every record begins on one.
pub(super) const BLOCK: usize = 4096;
/// Where the copy of the header's block, and behind it that of `moov`, begins.
pub(super) const HEAD_COPY: u64 = 32 << 10;
/// Where records begin.
pub(super) const DATA_START: u64 = 64 << 10;
/// Bytes at the end of every file that the footer may use.
pub(super) const FOOTER: u64 = 128 << 10;
/// Bytes of a footer before its entries.
pub(super) const FOOTER_HEAD: usize = 64;
/// Bytes of an entry.
pub(super) const ENTRY: usize = 32;
/// The most records a segment takes: what the footer has room for.
pub(super) const MAX_RECORDS: usize = (FOOTER as usize - FOOTER_HEAD - BLOCK) / ENTRY;
/// Bytes of a record's header.
pub(super) const RECORD_HEADER: usize = 256;
/// The first 8 bytes of a box and its user type.
const UUID_HEAD: usize = 24;
/// The version that this code writes, and the newest it reads.
pub(super) const VERSION: u16 = 1;

/// The user type of our boxes: 12 letters and 4 that say which.
const fn usertype(which: &[u8; 4]) -> [u8; 16] {
    let p = b"haohefootage";
    [p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], which[0], which[1], which[2], which[3]]
}

/// Rounds up to a whole number of blocks.
pub(super) const fn blocks(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK as u64) * BLOCK as u64
}

/// The bytes of a sealed file of `size` that nothing stands in, if they are worth giving back to the file system: a stream that ended
/// early, or a camera that reconnects each minute, must not take up a whole file. `end` is where its last record ends.
pub(super) fn spare(end: u64, size: u64) -> Option<(u64, u64)> {
    // The block behind the last record begins the `free` box over the rest.
    let (from, to) = (end + BLOCK as u64, size.saturating_sub(FOOTER));
    (to > from && to - from >= size / 4).then_some((from, to))
}

/// CRC32C of `bytes`, seeded with a file's incarnation.
pub(super) fn checksum(incarnation: u64, bytes: &[u8]) -> u32 {
    let seed = if planted(Bug::NoIncarnation) { 0 } else { crc32c::crc32c(&incarnation.to_le_bytes()) };
    crc32c::crc32c_append(seed, bytes)
}

/// As [`checksum`], with the four bytes at `hole` taken as zero.
fn checksum_around(incarnation: u64, bytes: &[u8], hole: usize) -> u32 {
    let crc = checksum(incarnation, &bytes[..hole]);
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &[0; 4]), &bytes[hole + 4..])
}

fn put<const N: usize>(bytes: &mut [u8], at: usize, value: [u8; N]) {
    bytes[at..at + N].copy_from_slice(&value);
}

/// The `N` bytes at `at`; the caller has checked the length of `bytes`.
fn get<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[at..at + N]);
    value
}

/// Writes the head of a `uuid` box of `length` bytes.
fn put_uuid_head(bytes: &mut [u8], length: u32, which: &[u8; 4]) {
    put(bytes, 0, length.to_be_bytes());
    put(bytes, 4, *b"uuid");
    put(bytes, 8, usertype(which));
}

fn is_uuid_head(bytes: &[u8], length: u32, which: &[u8; 4]) -> bool {
    bytes.len() >= UUID_HEAD && bytes[..4] == length.to_be_bytes() && bytes[4..8] == *b"uuid" && bytes[8..24] == usertype(which)
}
