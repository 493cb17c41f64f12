//! The token without which no media byte can be read.

use super::{Action, Register};
use crate::journal::Seq;
use crate::model::{CameraId, StreamId, UtcMicros, Window};
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Which time an access is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Span {
    /// What the cameras see while the access lasts.
    Live,
    /// What was recorded in a window.
    Recorded(Window),
}

/// Which streams and which time an access is about: what a reader compares its work with. It opens nothing by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extent {
    /// The streams, at least one.
    pub streams: Vec<StreamId>,
    /// The time.
    pub span: Span,
}

impl Extent {
    /// Whether all of a window of a stream's footage is inside.
    #[must_use]
    pub fn covers(&self, stream: StreamId, window: Window) -> bool {
        matches!(self.span, Span::Recorded(mine) if mine.covers(window)) && self.streams.contains(&stream)
    }

    /// Whether any of a window of a stream's footage is inside: a fragment at the window's edge has a second on both sides.
    #[must_use]
    pub fn touches(&self, stream: StreamId, window: Window) -> bool {
        matches!(self.span, Span::Recorded(mine) if mine.overlaps(window)) && self.streams.contains(&stream)
    }

    /// Whether it is about watching a stream live.
    #[must_use]
    pub fn covers_live(&self, stream: StreamId) -> bool {
        self.span == Span::Live && self.streams.contains(&stream)
    }

    /// The cameras, each once, ascending.
    #[must_use]
    pub fn cameras(&self) -> Vec<CameraId> {
        let mut cameras: Vec<_> = self.streams.iter().map(|stream| stream.camera).collect();
        cameras.sort();
        cameras.dedup();
        cameras
    }
}

/// The right to read some media, whose access record is durable (I8). Only [`Register::admit`] makes one; it can be
/// neither copied nor made up. Dropping it ends the access: the register notes when, and how many bytes left.
///
/// ```compile_fail,E0451
/// # use index::access::{Action, Extent, Permit};
/// # fn forge(real: Permit, extent: Extent) -> Permit {
/// Permit { extent, ..real } // its fields are its own
/// # }
/// ```
/// ```compile_fail,E0599
/// # use index::access::Permit;
/// # fn copy(permit: &Permit) -> Permit {
/// permit.clone() // one record, one permit
/// # }
/// ```
#[must_use = "dropping the permit ends the access"]
pub struct Permit {
    access: Seq,
    action: Action,
    extent: Extent,
    bytes: AtomicU64,
    register: Arc<Register>,
}

impl Permit {
    /// Only for the register, after the record is durable.
    pub(super) fn new(access: Seq, action: Action, extent: Extent, register: Arc<Register>) -> Self {
        Self { access, action, extent, bytes: AtomicU64::new(0), register }
    }

    /// The access record's place in the journal.
    #[must_use]
    pub fn access(&self) -> Seq {
        self.access
    }

    /// What it was granted for.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// What it opens.
    #[must_use]
    pub fn extent(&self) -> &Extent {
        &self.extent
    }

    /// The streams that it opens, at least one.
    #[must_use]
    pub fn streams(&self) -> &[StreamId] {
        &self.extent.streams
    }

    /// The window of footage that it opens; an empty one if it is for watching live.
    #[must_use]
    pub fn window(&self) -> Window {
        match self.extent.span {
            Span::Live => Window::new(UtcMicros::MAX, UtcMicros::MAX),
            Span::Recorded(window) => window,
        }
    }

    /// See [`Extent::covers`].
    #[must_use]
    pub fn covers(&self, stream: StreamId, window: Window) -> bool {
        self.extent.covers(stream, window)
    }

    /// See [`Extent::covers_live`].
    #[must_use]
    pub fn covers_live(&self, stream: StreamId) -> bool {
        self.extent.covers_live(stream)
    }

    /// Counts bytes that left.
    pub fn count(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Ends the access after so many more bytes.
    pub fn finish(self, bytes: u64) {
        self.count(bytes);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.register.end(self.access, self.bytes.load(Ordering::Relaxed));
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit").field("access", &self.access).field("action", &self.action).finish_non_exhaustive()
    }
}
