//! One step of a hold or an order: what the journal keeps of it.

use super::{Deed, Erasure, Hold, HoldState, erasure::Erased, told::told};
use crate::model::{CameraId, UtcMicros};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// See the module. In the journal its kind is [`Act::kind`], its body [`Act::body`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(in crate::footage) enum Act {
    HoldRequested(Hold),
    HoldApproved { id: u64, deed: Deed },
    HoldDeclined { id: u64, deed: Deed },
    ReleaseAsked { id: u64, deed: Deed, reason: String },
    HoldReleased { id: u64, deed: Deed, reason: String },
    HoldEnded { id: u64, how: HoldState, at: UtcMicros },
    ErasureRequested(Erasure),
    ErasureApproved { id: u64, deed: Deed },
    ErasureDeclined { id: u64, deed: Deed },
    ErasureLapsed { id: u64, at: UtcMicros },
    ErasureDone { id: u64, at: UtcMicros, erased: Erased },
}

#[derive(Deserialize)]
struct Step {
    id: u64,
    deed: Deed,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct End {
    id: u64,
    at: UtcMicros,
    how: Option<HoldState>,
    #[serde(default)]
    erased: Erased,
}

impl Act {
    pub(in crate::footage) fn kind(&self) -> &'static str {
        match self {
            Self::HoldRequested(_) => "hold.requested",
            Self::HoldApproved { .. } => "hold.approved",
            Self::HoldDeclined { .. } => "hold.declined",
            Self::ReleaseAsked { .. } => "hold.release_asked",
            Self::HoldReleased { .. } => "hold.released",
            Self::HoldEnded { .. } => "hold.ended",
            Self::ErasureRequested(_) => "erasure.requested",
            Self::ErasureApproved { .. } => "erasure.approved",
            Self::ErasureDeclined { .. } => "erasure.declined",
            Self::ErasureLapsed { .. } => "erasure.lapsed",
            Self::ErasureDone { .. } => "erasure.done",
        }
    }

    pub(super) fn id(&self) -> u64 {
        match self {
            Self::HoldRequested(hold) => hold.id,
            Self::ErasureRequested(order) => order.id,
            Self::HoldApproved { id, .. }
            | Self::HoldDeclined { id, .. }
            | Self::ReleaseAsked { id, .. }
            | Self::HoldReleased { id, .. }
            | Self::HoldEnded { id, .. }
            | Self::ErasureApproved { id, .. }
            | Self::ErasureDeclined { id, .. }
            | Self::ErasureLapsed { id, .. }
            | Self::ErasureDone { id, .. } => *id,
        }
    }

    /// The variant's fields, and what people read of it: the record is an event too, about these cameras. Whoever may see some of them
    /// finds it, as far as it is about those.
    pub(in crate::footage) fn body(&self, cameras: &[CameraId]) -> Value {
        let mut body = serde_json::to_value(self).unwrap_or_default();
        if let Some(body) = body.as_object_mut() {
            body.insert("text".to_owned(), told(self, cameras));
            match cameras {
                [] => None,
                [camera] => body.insert("camera".to_owned(), json!(camera)),
                several => body.insert("camera_numbers".to_owned(), json!(several)),
            };
        }
        body
    }

    /// What the journal tells. `None` for records of other kinds, or of a later version.
    pub(in crate::footage) fn read(kind: &str, body: &Value) -> Option<Self> {
        fn of<T: serde::de::DeserializeOwned>(body: &Value) -> Option<T> {
            serde_json::from_value(body.clone()).ok()
        }
        let step = || of::<Step>(body);
        let end = || of::<End>(body);
        Some(match kind {
            "hold.requested" => Self::HoldRequested(of(body)?),
            "hold.approved" => step().map(|Step { id, deed, .. }| Self::HoldApproved { id, deed })?,
            "hold.declined" => step().map(|Step { id, deed, .. }| Self::HoldDeclined { id, deed })?,
            "hold.release_asked" => step().map(|Step { id, deed, reason }| Self::ReleaseAsked { id, deed, reason })?,
            "hold.released" => step().map(|Step { id, deed, reason }| Self::HoldReleased { id, deed, reason })?,
            "hold.ended" => end().and_then(|End { id, at, how, .. }| Some(Self::HoldEnded { id, how: how?, at }))?,
            "erasure.requested" => Self::ErasureRequested(of(body)?),
            "erasure.approved" => step().map(|Step { id, deed, .. }| Self::ErasureApproved { id, deed })?,
            "erasure.declined" => step().map(|Step { id, deed, .. }| Self::ErasureDeclined { id, deed })?,
            "erasure.lapsed" => end().map(|End { id, at, .. }| Self::ErasureLapsed { id, at })?,
            "erasure.done" => end().map(|End { id, at, erased, .. }| Self::ErasureDone { id, at, erased })?,
            _ => return None,
        })
    }
}
