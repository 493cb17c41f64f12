//! How one shift hands over to the next: two records, signed by two persons with their own logins.

use super::moves::{IncidentId, MAX_TEXT, Who};
use crate::journal::{JournalError, Record, Seen, Seq};
use crate::model::UtcMicros;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Characters of what a shift tells the next in words.
pub const MAX_REMARKS: usize = 4 * MAX_TEXT;
/// Hand-overs kept in mind; all stay in the journal.
const REMEMBERED: usize = 100;

/// A hand-over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HandOver {
    /// Its record.
    pub seq: Seq,
    /// When it was handed over,
    pub at: UtcMicros,
    /// by whom,
    pub by: Who,
    /// to whom.
    pub to: Who,
    /// What they should know.
    pub remarks: String,
    /// What was open then.
    pub open: Vec<IncidentId>,
    /// When the other one signed.
    pub taken: Option<UtcMicros>,
}

/// Why a shift was not handed over or taken over.
#[derive(Debug, thiserror::Error)]
pub enum ShiftError {
    /// Both are the same person.
    #[error("nobody hands over to themselves")]
    Oneself,
    /// The remarks are too long.
    #[error("the remarks have up to {MAX_REMARKS} characters")]
    Text,
    /// There is no such hand-over, or no more.
    #[error("there is no such hand-over")]
    Unknown,
    /// It is for somebody else to sign.
    #[error("{0} is to sign it")]
    NotTheirs(String),
    /// It was signed.
    #[error("it is signed")]
    Signed,
    /// The journal does not take it now.
    #[error("the journal did not take it")]
    Journal(#[from] JournalError),
}

#[derive(Deserialize)]
struct Handed {
    by: Who,
    to: Who,
    remarks: String,
    open: Vec<IncidentId>,
}

#[derive(Deserialize)]
struct Taken {
    shift: Seq,
    by: Who,
}

pub(super) fn handed(by: &Who, to: &Who, remarks: &str, mut open: Vec<IncidentId>, now: UtcMicros) -> Record {
    // A record has its bound; what is open beyond is in the queue all the same.
    open.truncate(500);
    Record::new(now, "shift.handed", json!({ "by": by, "to": to, "remarks": remarks, "open": open }))
}

pub(super) fn taken(by: &Who, shift: Seq, now: UtcMicros) -> Record {
    Record::new(now, "shift.taken", json!({ "shift": shift, "by": by }))
}

/// A record of this node's journal.
pub(super) fn take(shifts: &mut Vec<HandOver>, seen: &Seen<'_>) {
    match seen.kind {
        "shift.handed" => {
            if let Ok(Handed { by, to, remarks, open }) = serde_json::from_slice(seen.body) {
                if shifts.len() >= REMEMBERED {
                    shifts.remove(0);
                }
                shifts.push(HandOver { seq: seen.seq, at: seen.at, by, to, remarks, open, taken: None });
            }
        }
        "shift.taken" => {
            let Ok(Taken { shift, by }) = serde_json::from_slice(seen.body) else { return };
            let of = shifts.iter_mut().find(|of| of.seq == shift && of.to == by && of.taken.is_none());
            if let Some(of) = of {
                of.taken = Some(seen.at);
            }
        }
        _ => {}
    }
}
