//! What somebody asks to be done with an incident, and what the node adds to it.

use super::super::wire::camera_id;
use crate::{authority::Authority, refusal::Refusal};
use index::{
    incidents::{CloseCode, Deed, Evidence, FalseReason, Incident, IncidentId},
    model::{Tier, UtcMicros, Window},
};
use serde::Deserialize;
use std::time::Duration;

/// The longest stretch of footage that is one piece of evidence.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// See the module.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(super) enum DeedBody {
    Acknowledge,
    Verify,
    Dispatch { unit: String },
    Arrive,
    Resolve,
    Close { code: CloseCode },
    Dismiss { reason: FalseReason },
    Escalate,
    Shelve { minutes: u32, reason: String },
    Unshelve,
    Merge { into: String },
    Reopen,
    Undo,
    Note { text: String },
    Attach { camera: String, from_us: i64, to_us: i64, hold: Option<u64> },
}

impl DeedBody {
    /// What it is for this incident as it is, now.
    ///
    /// # Errors
    /// 400 for what cannot be; 404 for a camera or incident that does not exist for whoever asks.
    pub(super) fn complete(self, incident: &Incident, authority: &Authority, now: UtcMicros) -> Result<Deed, Refusal> {
        Ok(match self {
            Self::Acknowledge => Deed::Acknowledge,
            Self::Verify => Deed::Verify,
            Self::Dispatch { unit } => Deed::Dispatch { unit },
            Self::Arrive => Deed::Arrive,
            Self::Resolve => Deed::Resolve,
            Self::Close { code } => Deed::Close { code },
            Self::Dismiss { reason } => Deed::Dismiss { reason },
            Self::Escalate => {
                let upper = authority.node().incidents.casebook().upper();
                // Without a tier above it is refused as impossible, in words.
                let to = upper.unwrap_or(Tier::Room);
                Deed::Escalate { from: incident.tier, to, number: incident.escalations }
            }
            Self::Shelve { minutes, reason } => {
                if !(1..=480).contains(&minutes) {
                    return Err(Refusal::bad_request("it can be laid aside for 1 to 480 minutes").on("minutes"));
                }
                Deed::Shelve { until: now + Duration::from_secs(u64::from(minutes) * 60), reason }
            }
            Self::Unshelve => Deed::Unshelve,
            Self::Merge { into } => {
                let other = super::find(authority, &into)?;
                let into: IncidentId = other.id;
                Deed::Merge { into }
            }
            Self::Reopen => Deed::Reopen,
            Self::Undo => {
                let last = index::incidents::Book::last_move(incident);
                let place = last.map(|entry| entry.place).ok_or_else(|| Refusal::bad_request("nothing was done").on("do"))?;
                Deed::Undo { node: place.node, seq: place.seq }
            }
            Self::Note { text } => Deed::Note { text },
            Self::Attach { camera, from_us, to_us, hold } => {
                let window = Window::new(UtcMicros::from_micros(from_us), UtcMicros::from_micros(to_us));
                if from_us < 0 || window.is_empty() || window.duration() > LONGEST {
                    return Err(
                        Refusal::bad_request("the window is empty, longer than 24 hours or begins before 1970").on("from_us")
                    );
                }
                let camera = camera_id(&camera)?;
                if incident.opening.camera != Some(camera) {
                    authority.camera(camera)?;
                }
                Deed::Attach { evidence: Evidence { camera, window, hold } }
            }
        })
    }
}
