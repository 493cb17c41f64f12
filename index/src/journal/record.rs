//! One record: its bytes, encoded and decoded side by side.
//!
//! ```text
//!  0  4  magic "HJR1"                 16  8  sequence number
//!  4  4  CRC32C of bytes 8 to end     24  8  commit number
//!  8  4  length of all this           32  8  instant, microseconds UTC
//! 12  1  flags: 1 first of its commit, 2 last of it
//! 13  1  length of the kind           40     kind | body (JSON) | BLAKE3 hash, 32 bytes
//! 14  2  zero
//! ```
//! Integers are little-endian. The hash is that of the hash before it and of bytes 8 to the hash.

use super::JournalError;
use super::segment::SECTOR;
use crate::model::UtcMicros;
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// The largest body, in bytes of JSON.
pub const MAX_BODY: usize = 64 << 10;
pub(super) const MAX_RECORD: usize = HEAD + 255 + MAX_BODY + HASH;
pub(super) const MAGIC: [u8; 4] = *b"HJR1";
const HEAD: usize = 40;
const HASH: usize = 32;

/// A record's place in the journal: 1, 2, 3, … without holes (J1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(u64);

impl Seq {
    /// Before the first record.
    pub const ZERO: Self = Self(0);

    /// Takes a number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A link of the hash chain.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What stands before the first record.
    pub const ZERO: Self = Self([0; 32]);
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::str::FromStr for Hash {
    type Err = &'static str;

    /// The inverse of its `Display`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; HASH];
        if text.len() != 2 * HASH || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err("a hash is 64 hexadecimal digits");
        }
        for (n, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).map_err(|_| "a hash is 64 hexadecimal digits")?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Cow::<'_, str>::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What is to be remembered.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// When it happened, on the node's clock.
    pub at: UtcMicros,
    /// What happened: dotted words, `access.playback`. 1 to 64 bytes of `a-z`, `0-9`, `.`, `_`.
    pub kind: Cow<'static, str>,
    /// The facts. At most [`MAX_BODY`] bytes when written. No secret (I12).
    pub body: serde_json::Value,
}

impl Record {
    /// A record of `kind` at an instant.
    #[must_use]
    pub fn new(at: UtcMicros, kind: impl Into<Cow<'static, str>>, body: serde_json::Value) -> Self {
        Self { at, kind: kind.into(), body }
    }

    /// Checks the record and writes its body, on the caller's thread.
    pub(super) fn encode_body(self) -> Result<Pending, JournalError> {
        if !is_kind(&self.kind) {
            return Err(JournalError::Record("its kind is not 1 to 64 bytes of a-z, 0-9, dot and underscore"));
        }
        let body = serde_json::to_vec(&self.body).map_err(|_| JournalError::Record("its body cannot be written as JSON"))?;
        if body.len() > MAX_BODY {
            return Err(JournalError::Record("its body is longer than 64 KiB"));
        }
        Ok(Pending { at: self.at, kind: self.kind, body })
    }
}

/// Whether a kind is 1 to 64 bytes of what kinds are made of.
pub(super) fn is_kind(kind: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'_';
    (1..=64).contains(&kind.len()) && kind.bytes().all(word)
}

/// A record as it comes back.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Entry {
    /// Its place.
    pub seq: Seq,
    /// When it happened.
    pub at: UtcMicros,
    /// What happened.
    pub kind: String,
    /// The facts.
    pub body: serde_json::Value,
    /// The chain up to and including this record.
    #[serde(skip)]
    pub hash: Hash,
}

/// A checked record that waits for its number.
#[derive(Debug)]
pub(super) struct Pending {
    pub at: UtcMicros,
    pub kind: Cow<'static, str>,
    pub body: Vec<u8>,
}

/// Where a record stands in its commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub seq: Seq,
    pub commit: u64,
    pub first: bool,
    pub last: bool,
}

/// A record in a file's bytes, checked against its CRC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Raw<'a> {
    pub place: Place,
    pub at: UtcMicros,
    pub kind: &'a str,
    pub body: &'a [u8],
    pub hash: Hash,
    /// The bytes that the hash covers.
    hashed: &'a [u8],
    /// How many bytes the record takes.
    pub length: usize,
    /// All of them, as whoever copies the record needs them.
    pub whole: &'a [u8],
}

/// Appends the record's bytes to `out` and returns its link of the chain.
pub(super) fn encode(pending: &Pending, place: Place, before: Hash, out: &mut Vec<u8>) -> Hash {
    let start = out.len();
    let length = HEAD + pending.kind.len() + pending.body.len() + HASH;
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(length as u32).to_le_bytes());
    out.push(u8::from(place.first) | u8::from(place.last) << 1);
    out.push(pending.kind.len() as u8);
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&place.seq.get().to_le_bytes());
    out.extend_from_slice(&place.commit.to_le_bytes());
    out.extend_from_slice(&pending.at.as_micros().to_le_bytes());
    out.extend_from_slice(pending.kind.as_bytes());
    out.extend_from_slice(&pending.body);
    let hash = link(before, &out[start + 8..]);
    out.extend_from_slice(&hash.0);
    let crc = crc32c::crc32c(&out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    hash
}

/// Appends a whole commit of at least one record after (`tail`, `before`), and zeros to the next sector. Returns the new
/// tail and its hash.
pub(super) fn encode_commit(records: &[Pending], commit: u64, tail: Seq, before: Hash, out: &mut Vec<u8>) -> (Seq, Hash) {
    let (mut seq, mut hash) = (tail, before);
    for (n, pending) in records.iter().enumerate() {
        seq = seq.next();
        hash = encode(pending, Place { seq, commit, first: n == 0, last: n + 1 == records.len() }, hash, out);
    }
    out.resize(out.len().next_multiple_of(SECTOR as usize), 0);
    (seq, hash)
}

/// The record at the start of `bytes`. `None` if there is none, or not a whole and unchanged one.
pub(super) fn decode(bytes: &[u8]) -> Option<Raw<'_>> {
    let head = bytes.first_chunk::<HEAD>()?;
    if head[..4] != MAGIC {
        return None;
    }
    let length = u32_at(head, 8) as usize;
    let kind_len = usize::from(head[13]);
    if !(HEAD + kind_len + HASH..=MAX_RECORD).contains(&length) {
        return None;
    }
    let record = bytes.get(..length)?;
    if crc32c::crc32c(&record[8..]) != u32_at(head, 4) {
        return None;
    }
    let (hashed, hash) = record[8..].split_last_chunk::<HASH>()?;
    let (kind, body) = record[HEAD..length - HASH].split_at(kind_len);
    let place =
        Place { seq: Seq::new(u64_at(head, 16)), commit: u64_at(head, 24), first: head[12] & 1 != 0, last: head[12] & 2 != 0 };
    Some(Raw {
        place,
        at: UtcMicros::from_micros(u64_at(head, 32) as i64),
        kind: std::str::from_utf8(kind).ok()?,
        body,
        hash: Hash(*hash),
        hashed,
        length,
        whole: record,
    })
}

impl Raw<'_> {
    /// Whether the record is the one that was written after `before` (J5).
    pub(super) fn follows(&self, before: Hash) -> bool {
        link(before, self.hashed) == self.hash
    }

    /// The record as a walk shows it.
    pub(super) fn seen(&self) -> super::Seen<'_> {
        super::Seen { seq: self.place.seq, at: self.at, kind: self.kind, body: self.body }
    }

    /// The record with its body parsed; `None` if the body is not JSON, which this journal never wrote.
    pub(super) fn entry(&self) -> Option<Entry> {
        let body = serde_json::from_slice(self.body).ok()?;
        Some(Entry { seq: self.place.seq, at: self.at, kind: self.kind.to_owned(), body, hash: self.hash })
    }
}

fn link(before: Hash, bytes: &[u8]) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&before.0).update(bytes);
    Hash(*hasher.finalize().as_bytes())
}

fn u32_at(bytes: &[u8; HEAD], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8; HEAD], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pending(kind: &'static str, body: serde_json::Value) -> Pending {
        Record::new(UtcMicros::from_micros(-7), kind, body).encode_body().expect("a good record")
    }

    const PLACE: Place = Place { seq: Seq(9), commit: 4, first: true, last: false };

    proptest! {
        #[test]
        fn a_record_comes_back_as_it_went(kind in "[a-z.]{1,64}", text in ".{0,300}", at: i64, seq: u64, commit: u64, first: bool, last: bool) {
            let record = Record::new(UtcMicros::from_micros(at), kind.clone(), serde_json::json!({ "text": text }));
            let place = Place { seq: Seq(seq), commit, first, last };
            let mut bytes = Vec::new();
            let hash = encode(&record.clone().encode_body().expect("good"), place, Hash([3; 32]), &mut bytes);
            bytes.extend_from_slice(b"what follows");
            let raw = decode(&bytes).expect("whole");
            prop_assert!(raw.follows(Hash([3; 32])) && !raw.follows(Hash([4; 32])));
            prop_assert_eq!(raw.place, place);
            let entry = raw.entry().expect("JSON");
            prop_assert_eq!(entry, Entry { seq: Seq(seq), at: record.at, kind, body: record.body, hash });
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut bytes = bytes;
            let _ = decode(&bytes);
            if bytes.len() > 4 { bytes[..4].copy_from_slice(&MAGIC); }
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn one_flipped_bit_anywhere_is_seen() {
        let mut bytes = Vec::new();
        encode(&pending("a.b", serde_json::json!({"n": 1})), PLACE, Hash::ZERO, &mut bytes);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bytes).is_none(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for short in 0..bytes.len() {
            assert!(decode(&bytes[..short]).is_none(), "{short} bytes");
        }
        assert!(decode(&bytes).is_some());
    }

    #[test]
    fn kinds_are_dotted_words_and_bodies_are_bounded() {
        let refused = |kind: &'static str, body| Record::new(UtcMicros::MIN, kind, body).encode_body().is_err();
        for kind in ["", "Access", "a b", "出口", "x".repeat(65).leak()] {
            assert!(refused(kind, serde_json::Value::Null), "{kind:?}");
        }
        assert!(refused("a", serde_json::Value::String("x".repeat(MAX_BODY))));
        assert!(!refused("a", serde_json::Value::String("x".repeat(MAX_BODY - 2))));
    }
}
