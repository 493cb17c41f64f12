//! What is known of each stream at this moment: for the page, for health and for metrics.

use crate::{Notice, timeline::Timeline};
use index::model::{AccessUnit, CameraId, Driver, GapCause, StreamId, TrackKind, UtcMicros, VideoCodec, VideoParameters};
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

/// A camera and its streams, main first.
#[derive(Clone, PartialEq, Debug)]
pub struct CameraStatus {
    /// Which camera.
    pub camera: CameraId,
    /// One entry for each stream that is configured.
    pub streams: Vec<StreamStatus>,
}

/// Where a session stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamState {
    /// Dialling, or asking for the stream.
    Connecting,
    /// Access units arrive.
    Playing,
    /// Waiting before the next attempt.
    BackingOff {
        /// When the next attempt is due.
        until: UtcMicros,
        /// Why the last one ended.
        cause: GapCause,
    },
    /// The configuration says not to record it.
    Paused,
}

impl StreamState {
    /// The word on the wire: `connecting`, `playing`, `backing_off`, `paused`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Playing => "playing",
            Self::BackingOff { .. } => "backing_off",
            Self::Paused => "paused",
        }
    }
}

/// One stream at this moment. Counts are since the stream was configured in this process.
#[derive(Clone, PartialEq, Debug)]
pub struct StreamStatus {
    /// Which stream.
    pub stream: StreamId,
    /// Where its session stands.
    pub state: StreamState,
    /// Since when.
    pub since: UtcMicros,
    /// Who speaks, or last spoke, to the camera.
    pub driver: Option<Driver>,
    /// How its pictures are coded; `None` before the first recording.
    pub codec: Option<VideoCodec>,
    /// Width in pixels; 0 when unknown.
    pub width: u16,
    /// Height in pixels; 0 when unknown.
    pub height: u16,
    /// Pictures a second over the last seconds; 0 when unknown.
    pub fps: f32,
    /// Time between key units over the last ones; zero when unknown.
    pub gop: Duration,
    /// Bits a second over the last seconds.
    pub bits_per_second: u64,
    /// When the last access unit arrived.
    pub last_unit: Option<UtcMicros>,
    /// The end of what is durable on disk.
    pub recorded_to: Option<UtcMicros>,
    /// Units that arrived.
    pub units_received: u64,
    /// Units handed to the store.
    pub units_stored: u64,
    /// Units shed because the disks could not keep up.
    pub units_shed: u64,
    /// Units not recorded because no key unit or parameters had come before them.
    pub units_undecodable: u64,
    /// Bytes of media that arrived.
    pub bytes_received: u64,
    /// RTP packets that never came.
    pub packets_lost: u64,
    /// Sessions begun after the first.
    pub reconnects: u64,
    /// The camera's clock minus the node's, in milliseconds, where it tells its clock.
    pub camera_offset_ms: Option<i32>,
    /// Units arrive and are not being stored: the disk is the problem, not the camera.
    pub not_stored: bool,
    /// Why the last session ended; kept until units are stored again.
    pub notice: Option<Notice>,
}

impl StreamStatus {
    /// A stream of which nothing is known yet.
    #[must_use]
    pub fn unknown(stream: StreamId, now: UtcMicros) -> Self {
        Self {
            stream,
            state: StreamState::Connecting,
            since: now,
            driver: None,
            codec: None,
            width: 0,
            height: 0,
            fps: 0.0,
            gop: Duration::ZERO,
            bits_per_second: 0,
            last_unit: None,
            recorded_to: None,
            units_received: 0,
            units_stored: 0,
            units_shed: 0,
            units_undecodable: 0,
            bytes_received: 0,
            packets_lost: 0,
            reconnects: 0,
            camera_offset_ms: None,
            not_stored: false,
            notice: None,
        }
    }
}

/// A stream's status as its task, the store and whoever asks share it. Each unit costs a few relaxed additions; the lock is
/// taken once a fragment.
#[derive(Debug)]
pub(crate) struct Shared {
    status: Mutex<(StreamStatus, Meter)>,
    received: AtomicU64,
    bytes: AtomicU64,
    stored: AtomicU64,
    shed: AtomicU64,
    undecodable: AtomicU64,
    packets_lost: AtomicU64,
    pictures: AtomicU64,
    keys: AtomicU64,
    /// When the newest video unit was filmed and when it arrived; `i64::MIN` before the first.
    last_utc: AtomicI64,
    last_arrival: AtomicI64,
    last_key: AtomicI64,
    recorded_to: AtomicI64,
    announcements: AtomicU64,
}

/// What was counted when rates were last computed.
#[derive(Debug, Default)]
struct Meter {
    at: i64,
    pictures: u64,
    bytes: u64,
    keys: u64,
    key_at: i64,
    sessions: u64,
}

/// Rates are computed over at least this many microseconds.
const METER_EVERY: i64 = 4_000_000;

impl Shared {
    pub(crate) fn new(stream: StreamId, recorded_to: Option<UtcMicros>, now: UtcMicros) -> Self {
        Self {
            status: Mutex::new((StreamStatus::unknown(stream, now), Meter::default())),
            received: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            shed: AtomicU64::new(0),
            undecodable: AtomicU64::new(0),
            packets_lost: AtomicU64::new(0),
            pictures: AtomicU64::new(0),
            keys: AtomicU64::new(0),
            last_utc: AtomicI64::new(i64::MIN),
            last_arrival: AtomicI64::new(i64::MIN),
            last_key: AtomicI64::new(i64::MIN),
            recorded_to: AtomicI64::new(recorded_to.map_or(i64::MIN, UtcMicros::as_micros)),
            announcements: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, (StreamStatus, Meter)> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The status at this moment.
    pub(crate) fn get(&self) -> StreamStatus {
        let mut status = self.lock().0.clone();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        status.units_received = count(&self.received);
        status.bytes_received = count(&self.bytes);
        status.units_stored = count(&self.stored);
        status.units_shed = count(&self.shed);
        status.units_undecodable = count(&self.undecodable);
        status.packets_lost = count(&self.packets_lost);
        status.last_unit = instant(&self.last_arrival);
        status.recorded_to = self.recorded_to();
        status
    }

    pub(crate) fn count(&self, unit: &AccessUnit) {
        self.received.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(unit.data.len() as u64, Ordering::Relaxed);
        if unit.track == TrackKind::Video {
            self.pictures.fetch_add(1, Ordering::Relaxed);
            self.last_utc.store(unit.utc.as_micros(), Ordering::Relaxed);
            self.last_arrival.store(unit.received.as_micros(), Ordering::Relaxed);
            if unit.key {
                self.keys.fetch_add(1, Ordering::Relaxed);
                self.last_key.store(unit.utc.as_micros(), Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn undecodable(&self) {
        self.undecodable.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn packets_lost(&self, packets: u32) {
        self.packets_lost.fetch_add(packets.into(), Ordering::Relaxed);
    }

    pub(crate) fn stored(&self, units: u64) {
        self.stored.fetch_add(units, Ordering::Relaxed);
    }

    pub(crate) fn shed(&self, units: u64) {
        self.shed.fetch_add(units, Ordering::Relaxed);
    }

    /// When the newest picture was filmed.
    pub(crate) fn last_unit(&self) -> Option<UtcMicros> {
        instant(&self.last_utc)
    }

    /// The store announced a fragment that ends here.
    pub(crate) fn announced(&self, to: UtcMicros) {
        self.recorded_to.fetch_max(to.as_micros(), Ordering::Relaxed);
        self.announcements.fetch_add(1, Ordering::Release);
    }

    /// How many fragments were announced.
    pub(crate) fn announcements(&self) -> u64 {
        self.announcements.load(Ordering::Acquire)
    }

    /// The end of what is durable.
    pub(crate) fn recorded_to(&self) -> Option<UtcMicros> {
        instant(&self.recorded_to)
    }

    pub(crate) fn dialling(&self, driver: Driver) {
        let (status, meter) = &mut *self.lock();
        status.driver = Some(driver);
        status.reconnects = meter.sessions;
        meter.sessions += 1;
    }

    pub(crate) fn describe(&self, video: &VideoParameters) {
        let (status, _) = &mut *self.lock();
        (status.codec, status.width, status.height) = (Some(video.codec), video.width, video.height);
    }

    pub(crate) fn show(&self, state: StreamState, notice: Option<Notice>, not_stored: bool, now: UtcMicros) {
        let (status, _) = &mut *self.lock();
        if status.state.word() != state.word() {
            status.since = now;
        }
        status.state = state;
        status.notice = notice;
        status.not_stored = not_stored;
    }

    /// Once a fragment: rates and clocks.
    pub(crate) fn update(&self, timeline: &Timeline) {
        let (status, meter) = &mut *self.lock();
        status.camera_offset_ms = timeline.clock().camera_offset_ms;
        let now = self.last_utc.load(Ordering::Relaxed);
        if now.saturating_sub(meter.at) < METER_EVERY {
            return;
        }
        let (pictures, bytes) = (self.pictures.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        let (keys, key_at) = (self.keys.load(Ordering::Relaxed), self.last_key.load(Ordering::Relaxed));
        if meter.at != 0 {
            let seconds = (now - meter.at) as f64 / 1e6;
            status.fps = ((pictures - meter.pictures) as f64 / seconds) as f32;
            status.bits_per_second = ((bytes - meter.bytes) as f64 * 8.0 / seconds) as u64;
            if keys > meter.keys && meter.keys > 0 {
                let span = key_at.saturating_sub(meter.key_at) / (keys - meter.keys).cast_signed();
                status.gop = Duration::from_micros(span.max(0).cast_unsigned());
            }
        }
        *meter = Meter { at: now, pictures, bytes, keys, key_at, sessions: meter.sessions };
    }
}

fn instant(at: &AtomicI64) -> Option<UtcMicros> {
    let micros = at.load(Ordering::Relaxed);
    (micros != i64::MIN).then(|| UtcMicros::from_micros(micros))
}
