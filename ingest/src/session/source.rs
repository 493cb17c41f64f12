//! What a driver is to the rest: something that, once opened, hands over access units in batches.

use super::fault::Fault;
use crate::timeline::Arrival;
use bytes::Bytes;
use index::model::{Credentials, TrackKind, Tracks, Transport, UtcMicros};
use std::{
    sync::{Arc, LazyLock},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use url::Url;

/// No camera sends a larger picture; what is larger is dropped before it fills the memory (Q106).
pub(crate) const UNIT_BYTES_MAX: usize = 8 << 20;
/// The most items a driver hands over at once: then others get their turn.
pub(crate) const BATCH: usize = 64;

/// What to dial, after the address policy pinned it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Names the host by number and holds no user information.
    pub(crate) url: Url,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) transport: Transport,
    pub(crate) audio: bool,
    pub(crate) metadata: bool,
}

/// One thing a driver has to say.
#[derive(Debug)]
pub(crate) enum Item {
    /// What decodes the units that follow. Comes before the first unit, and again when it changes.
    Tracks(Arc<Tracks>),
    /// One unit, not yet on our clock.
    Unit(RawUnit),
    /// The camera's clock at a value of a track's counter.
    SenderReport { track: TrackKind, rtp: u32, camera: UtcMicros, received: UtcMicros },
    /// Packets that never came, or could not be used.
    Lost(u32),
    /// Pictures that were not handed over because they miss packets.
    Damaged(u32),
    /// Of the lost packets, those that this machine's kernel dropped because nobody read them in time.
    Overrun(u32),
}

/// One unit as the driver has it.
#[derive(Debug)]
pub(crate) struct RawUnit {
    pub(crate) track: TrackKind,
    pub(crate) key: bool,
    pub(crate) arrival: Arrival,
    pub(crate) data: Bytes,
}

/// An open session with a camera. Dropping it hangs up. A driver may own an event loop for many cameras: all that is asked
/// of it is that it hands over what has come.
pub(crate) trait Source: Send {
    /// Appends what has come, at most [`BATCH`] items; pending while nothing has. May be dropped and polled again.
    ///
    /// # Errors
    /// Why nothing more will come.
    fn poll_items(&mut self, cx: &mut Context<'_>, into: &mut Vec<Item>) -> Poll<Result<(), Fault>>;
}

/// Waits until a source has something to say.
pub(crate) async fn items(source: &mut dyn Source, into: &mut Vec<Item>) -> Result<(), Fault> {
    std::future::poll_fn(|cx| source.poll_items(cx, into)).await
}

/// An instant of the monotonic clock in microseconds from one origin for the whole process.
pub(crate) fn monotonic(at: Instant) -> i64 {
    static ORIGIN: LazyLock<Instant> =
        LazyLock::new(|| Instant::now().checked_sub(Duration::from_secs(60)).unwrap_or_else(Instant::now));
    i64::try_from(at.saturating_duration_since(*ORIGIN).as_micros()).unwrap_or(i64::MAX)
}
