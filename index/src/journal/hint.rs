//! How far the journal is known to reach: a note beside its files, written when a file is full and at a clean stop.
//!
//! Files alone cannot tell that their end was taken away: the newest file removed, or its last commits. The note can, as
//! far as it reaches, and so damage to the last commit is told from a tail that a crash tore whenever the stop was clean.

use super::medium::{Medium, Use};
use super::{Hash, JournalError, Seq};
use serde::{Deserialize, Serialize};
use std::io;

const NAME: &str = "tail";
/// More than a note ever has.
const MAX: u64 = 4096;

/// How far the journal is known to reach.
#[derive(Serialize, Deserialize)]
pub(super) struct Note {
    version: u32,
    tail: Seq,
    hash: String,
}

/// Notes that the journal durably reaches to `tail`.
pub(super) fn write(medium: &dyn Medium, tail: Seq, hash: Hash) -> io::Result<()> {
    let draft = format!("{NAME}.new");
    let file = medium.create(&draft, 0)?;
    file.write_at(&serde_json::to_vec(&Note { version: 1, tail, hash: hash.to_string() })?, 0)?;
    file.sync()?;
    medium.rename(&draft, NAME)
}

/// The note, if there is one. Whoever reads a journal that is being written reads the note first.
pub(super) fn read(medium: &dyn Medium) -> Result<Option<Note>, JournalError> {
    let path = medium.path(NAME);
    let mut bytes = Vec::new();
    match medium.open(NAME, Use::Read).and_then(|file| file.read_at(0, MAX, &mut bytes)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(JournalError::io("read", &path))?,
    }
    match serde_json::from_slice(&bytes) {
        Ok(note @ Note { version: 1, .. }) => Ok(Some(note)),
        _ => Err(JournalError::Damaged { path, offset: 0, what: "it is not a note of the journal's end" }),
    }
}

/// Refuses a journal that reaches less far than was noted, or ends otherwise.
pub(super) fn check(note: Option<&Note>, medium: &dyn Medium, tail: Seq, hash: Hash) -> Result<(), JournalError> {
    let Some(note) = note else { return Ok(()) };
    let what = if note.tail > tail {
        "the journal once reached further: its newest records are missing"
    } else if note.tail == tail && note.hash != hash.to_string() {
        "the journal's newest record is not the one that was written"
    } else {
        return Ok(());
    };
    Err(JournalError::Damaged { path: medium.path(NAME), offset: 0, what })
}
