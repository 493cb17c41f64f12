//! What is known of each stream at this moment: for the page, for health and for metrics.

use crate::{Notice, timeline::Timeline};
use index::model::{AccessUnit, CameraId, Driver, GapCause, StreamId, TrackKind, UtcMicros, VideoCodec, VideoParameters};
use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
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
    /// Units shed because our queue was full: the disks could not keep up.
    pub lost_queue_units: u64,
    /// Units not recorded because no key unit or parameters had come before them.
    pub units_undecodable: u64,
    /// Bytes of media that arrived.
    pub bytes_received: u64,
    /// RTP packets that never reached us, by the gaps in their numbers; those in [`Self::lost_kernel_packets`] among them.
    pub lost_rtp_packets: u64,
    /// Datagrams that reached this machine and that its kernel dropped because nobody read them in time. 0 over TCP.
    pub lost_kernel_packets: u64,
    /// From handing a fragment to the store until it was durable, of the last 128 fragments: the 99th percentile in
    /// milliseconds, the wait for the commit included. 0 before the first.
    pub disk_wait_ms_p99: f64,
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
            lost_queue_units: 0,
            units_undecodable: 0,
            bytes_received: 0,
            lost_rtp_packets: 0,
            lost_kernel_packets: 0,
            disk_wait_ms_p99: 0.0,
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
    lost_rtp_packets: AtomicU64,
    lost_kernel_packets: AtomicU64,
    waits: Mutex<Waits>,
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

/// How long fragments wait to be durable.
#[derive(Debug, Default)]
struct Waits {
    /// Handed over and not yet announced: where each ends, and since when it waits.
    open: VecDeque<(UtcMicros, Instant)>,
    /// The last waits, in milliseconds.
    ended: VecDeque<u32>,
}

/// Waits that are remembered, and fragments that are waited for: more of either are those of a store that hangs.
const WAITS: usize = 128;

impl Waits {
    fn begin(&mut self, ends: UtcMicros, now: Instant) {
        if self.open.len() == WAITS {
            self.open.pop_front();
        }
        self.open.push_back((ends, now));
    }

    fn end(&mut self, to: UtcMicros, now: Instant) {
        while let Some((_, since)) = self.open.pop_front_if(|(ends, _)| *ends <= to) {
            if self.ended.len() == WAITS {
                self.ended.pop_front();
            }
            self.ended.push_back(u32::try_from((now - since).as_millis()).unwrap_or(u32::MAX));
        }
    }

    fn p99_ms(&self) -> f64 {
        let mut waits: Vec<u32> = self.ended.iter().copied().collect();
        waits.sort_unstable();
        waits.get((waits.len() * 99).div_ceil(100).saturating_sub(1)).copied().map_or(0.0, f64::from)
    }
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
            lost_rtp_packets: AtomicU64::new(0),
            lost_kernel_packets: AtomicU64::new(0),
            waits: Mutex::default(),
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
        status.lost_queue_units = count(&self.shed);
        status.units_undecodable = count(&self.undecodable);
        status.lost_rtp_packets = count(&self.lost_rtp_packets);
        status.lost_kernel_packets = count(&self.lost_kernel_packets);
        status.disk_wait_ms_p99 = self.waits().p99_ms();
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

    pub(crate) fn lost_rtp_packets(&self, packets: u32) {
        self.lost_rtp_packets.fetch_add(packets.into(), Ordering::Relaxed);
    }

    pub(crate) fn lost_kernel_packets(&self, packets: u32) {
        self.lost_kernel_packets.fetch_add(packets.into(), Ordering::Relaxed);
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A fragment that ends there is about to be handed to the store.
    pub(crate) fn hands_over(&self, ends: UtcMicros, now: Instant) {
        self.waits().begin(ends, now);
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
        self.waits().end(to, Instant::now());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_waits_from_its_handing_over_to_its_announcement() {
        let (mut waits, now) = (Waits::default(), Instant::now());
        assert_eq!(waits.p99_ms(), 0.0);
        let at = |s: i64| UtcMicros::from_micros(s * 1_000_000);
        for s in 0..200 {
            waits.begin(at(s), now);
            let wait = if s == 190 { 7_000 } else { 400 };
            waits.end(at(s - 1), now + Duration::from_millis(50));
            waits.end(at(s), now + Duration::from_millis(wait));
        }
        assert_eq!((waits.ended.len(), waits.open.len()), (WAITS, 0));
        assert_eq!(waits.p99_ms(), 400.0, "one in 128 is beyond the 99th percentile");
        waits.begin(at(200), now);
        waits.begin(at(201), now);
        waits.end(at(201), now + Duration::from_secs(9));
        assert_eq!(waits.p99_ms(), 9_000.0, "what is durable makes what is before it durable, too");
    }
}
