//! One simulated camera: what it films, since when, and what is wrong with it.

use crate::{audio::AudioClip, auth::Challenge, faults::Effects, metadata::Truth, packets::Packets, sent::Ledger};
use index::model::{CameraId, StreamId, StreamKind};
use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicU32, Ordering::Relaxed},
};

/// A camera of a running fleet. It counts its pictures from the start, whether anyone looks or not.
#[derive(Debug)]
pub(crate) struct CameraState {
    pub(crate) id: CameraId,
    pub(crate) main: Stream,
    pub(crate) sub: Stream,
    pub(crate) audio: Option<Arc<AudioClip>>,
    pub(crate) truth: Option<Arc<Truth>>,
    /// Whether it tells of it on a metadata track.
    pub(crate) metadata: bool,
    /// Microseconds of the fleet's time at which picture 0 was taken: spreads the load of many cameras.
    pub(crate) phase: u64,
    /// Which picture of the clip is picture 0.
    pub(crate) shift: u64,
    pub(crate) sessions: AtomicU32,
    /// Wrong passwords since the start.
    pub(crate) wrong: AtomicU32,
    /// The challenge that outlives a connection, for cameras that close it.
    pub(crate) challenge: OnceLock<Challenge>,
    effects: Mutex<Arc<Effects>>,
}

/// One encoding of a camera's picture.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    pub(crate) packets: Arc<Packets>,
    /// Same codec, other parameter sets: what is sent while they are changed.
    pub(crate) other: Arc<Packets>,
    pub(crate) ledger: Ledger,
}

impl CameraState {
    pub(crate) fn new(id: CameraId, main: Stream, sub: Stream, phase: u64, shift: u64) -> Self {
        let (sessions, wrong, challenge) = (AtomicU32::new(0), AtomicU32::new(0), OnceLock::new());
        let effects = Mutex::new(Arc::default());
        Self { id, main, sub, audio: None, truth: None, metadata: false, phase, shift, sessions, wrong, challenge, effects }
    }

    pub(crate) fn stream(&self, kind: StreamKind) -> &Stream {
        match kind {
            StreamKind::Main => &self.main,
            StreamKind::Sub => &self.sub,
        }
    }

    /// What is wrong with it now.
    pub(crate) fn effects(&self) -> Arc<Effects> {
        self.effects.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Effects)) {
        let mut effects = self.effects.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Effects::clone(&effects);
        change(&mut changed);
        *effects = Arc::new(changed);
    }

    /// When a picture is taken, in microseconds of the fleet's time.
    pub(crate) fn taken_at(&self, kind: StreamKind, counter: u64) -> u64 {
        self.phase + counter * 1_000_000 / u64::from(self.stream(kind).packets.spec.frames_per_second)
    }

    /// The first key picture that is taken at or after an instant of the fleet's time.
    pub(crate) fn next_key(&self, kind: StreamKind, at: u64) -> u64 {
        let spec = &self.stream(kind).packets.spec;
        let counter = (at.saturating_sub(self.phase) * u64::from(spec.frames_per_second)).div_ceil(1_000_000);
        let gop = u64::from(spec.gop);
        counter + (gop - (counter + self.shift) % gop) % gop
    }

    /// Takes one of the camera's session slots. `false` if there is none.
    pub(crate) fn take_slot(&self, limit: Option<u32>) -> bool {
        let limit = limit.unwrap_or(u32::MAX);
        self.sessions.try_update(Relaxed, Relaxed, |taken| (taken < limit).then_some(taken + 1)).is_ok()
    }
}
