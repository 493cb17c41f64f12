//! The threads that look at pictures, and what they found.
//!
//! Sessions leave a key picture here and go on: it costs them a short lock (I10). The threads run at low priority, within the budget,
//! on what [`super::turns`] gives them.

use super::judge::{Fault, Verdict};
use super::turns::{Next, Terms, Turns};
use super::watch::{Report, Watch};
use index::{
    model::{AccessUnit, Camera, CameraId, StreamId, StreamKind, Tracks, UtcMicros},
    motion::Look,
};
use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How nice the threads are: whatever records or answers goes first.
const NICE: i32 = 10;
/// A thread looks up at least so often.
const AT_LEAST: Duration = Duration::from_secs(1);
/// After so many pictures in a row that could not be decoded, the camera's pictures are called unreadable.
const UNREADABLE_FROM: u32 = 5;

/// What looking at pictures is told at start.
pub struct PictureSetup {
    /// CPU time that may go into it, in percent of one core: 100 is one core. 0 looks at nothing.
    pub cpu_percent: u32,
    /// Told what every picture said. Called from the looking threads: it should return soon.
    pub on_look: Box<dyn Fn(CameraId, Look) + Send + Sync>,
    /// Told when a picture becomes wrong or good. Called from the looking threads.
    pub on_verdict: Box<dyn Fn(CameraId, UtcMicros, Verdict) + Send + Sync>,
}

impl Default for PictureSetup {
    /// Looks at nothing.
    fn default() -> Self {
        Self { cpu_percent: 0, on_look: Box::new(|_, _| {}), on_verdict: Box::new(|_, _, _| {}) }
    }
}

/// How looking at a camera's pictures stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PictureState {
    /// No key picture came yet.
    None,
    /// Its pictures are looked at.
    Watched,
    /// The budget does not suffice: its pictures are passed over, and others' looked at.
    Waiting,
    /// Its pictures cannot be decoded.
    Unreadable,
}

impl PictureState {
    /// The word on the wire: `none`, `watched`, `waiting`, `unreadable`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Watched => "watched",
            Self::Waiting => "waiting",
            Self::Unreadable => "unreadable",
        }
    }
}

/// What is wrong with a camera's picture.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Diagnosis {
    /// What.
    pub fault: Fault,
    /// Since when.
    pub since: UtcMicros,
    /// Which figure gave it, what it was and its limit.
    pub reason: super::Reason,
}

/// A camera's pictures at this moment. Counts are since the camera was configured in this process.
#[derive(Clone, PartialEq, Debug)]
pub struct PictureStatus {
    /// Which camera.
    pub camera: CameraId,
    /// How looking at them stands.
    pub state: PictureState,
    /// What is wrong with them.
    pub diagnosis: Option<Diagnosis>,
    /// When the newest one that was looked at was filmed.
    pub looked: Option<UtcMicros>,
    /// Pictures looked at.
    pub looks: u64,
    /// Pictures that were due and passed over, because the budget did not suffice.
    pub passed_over: u64,
    /// Pictures that could not be decoded.
    pub unreadable: u64,
}

/// Figures of all of it, since start.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct PictureFigures {
    /// CPU time spent, in seconds.
    pub cpu_seconds: f64,
    /// Pictures looked at.
    pub looks: u64,
}

/// See the module.
pub struct Pictures {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    setup: PictureSetup,
    cpu_nanos: AtomicU64,
    looks: AtomicU64,
}

struct State {
    turns: Turns<Waiting, Box<Watch>>,
    known: BTreeMap<CameraId, Known>,
    closing: bool,
}

/// A picture and what decodes it.
struct Waiting(Arc<Tracks>, AccessUnit);

#[derive(Default)]
struct Known {
    diagnosis: Option<Diagnosis>,
    looked: Option<UtcMicros>,
    looks: u64,
    unreadable: u64,
    /// In a row.
    unread: u32,
}

impl Pictures {
    /// Starts as many threads as the budget has cores; none if it is 0.
    ///
    /// # Errors
    /// What the system says when it cannot make a thread.
    pub(crate) fn start(setup: PictureSetup) -> io::Result<Arc<Self>> {
        let threads = setup.cpu_percent.div_ceil(100);
        let turns = Turns::new(Duration::from_millis(10) * setup.cpu_percent, Instant::now());
        let state = Mutex::new(State { turns, known: BTreeMap::new(), closing: false });
        let (cpu_nanos, looks) = (AtomicU64::new(0), AtomicU64::new(0));
        let shared = Arc::new(Shared { state, work: Condvar::new(), setup, cpu_nanos, looks });
        let start = |number| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("pictures-{number}")).spawn(move || shared.run())
        };
        let threads = (0..threads).map(start).collect::<io::Result<_>>()?;
        Ok(Arc::new(Self { shared, threads: Mutex::new(threads) }))
    }

    /// Makes these the cameras whose pictures are looked at; a paused one is not.
    pub(crate) fn apply<'a>(&self, cameras: impl Iterator<Item = &'a Camera>) {
        let terms = |camera: &Camera| Terms { priority: camera.priority, has_sub: camera.address(StreamKind::Sub).is_some() };
        let wanted: BTreeMap<_, _> = cameras.filter(|camera| camera.enabled).map(|camera| (camera.id, terms(camera))).collect();
        let mut state = self.shared.lock();
        state.turns.apply(&wanted, Instant::now());
        state.known.retain(|camera, _| wanted.contains_key(camera));
    }

    /// A key picture came. Never waits.
    pub(crate) fn offer(&self, stream: StreamId, tracks: &Arc<Tracks>, unit: &AccessUnit) {
        if self.shared.setup.cpu_percent == 0 {
            return;
        }
        let waiting = Waiting(Arc::clone(tracks), unit.clone());
        if self.shared.lock().turns.offer(stream, waiting, Instant::now()) {
            self.shared.work.notify_one();
        }
    }

    /// How each camera's pictures stand, by number. Empty where nothing is looked at.
    #[must_use]
    pub fn status(&self) -> Vec<PictureStatus> {
        if self.shared.setup.cpu_percent == 0 {
            return Vec::new();
        }
        let state = self.shared.lock();
        let nothing = Known::default();
        let status = |(camera, standing): (CameraId, super::turns::Standing)| {
            let known = state.known.get(&camera).unwrap_or(&nothing);
            let is = match known {
                _ if standing.waits => PictureState::Waiting,
                known if known.unread >= UNREADABLE_FROM => PictureState::Unreadable,
                known if known.looks == 0 => PictureState::None,
                _ => PictureState::Watched,
            };
            let Known { diagnosis, looked, looks, unreadable, .. } = *known;
            PictureStatus { camera, state: is, diagnosis, looked, looks, passed_over: standing.passed_over, unreadable }
        };
        state.turns.standing().map(status).collect()
    }

    /// Figures of all of it.
    #[must_use]
    pub fn figures(&self) -> PictureFigures {
        let cpu_seconds = self.shared.cpu_nanos.load(Ordering::Relaxed) as f64 / 1e9;
        PictureFigures { cpu_seconds, looks: self.shared.looks.load(Ordering::Relaxed) }
    }

    /// Ends the threads after the pictures they look at.
    pub(crate) fn stop(&self) {
        self.shared.lock().closing = true;
        self.shared.work.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        if threads.into_iter().map(JoinHandle::join).any(|ended| ended.is_err()) {
            tracing::error!("a thread that looks at pictures did not end cleanly");
        }
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Pictures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pictures").field("figures", &self.figures()).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        // Refused in some containers; then it competes as an equal, within its budget.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
        let mut state = self.lock();
        while !state.closing {
            let rest = match state.turns.next(Instant::now()) {
                Next::Look(camera, waiting, watch) => {
                    drop(state);
                    self.look(camera, &waiting, watch);
                    state = self.lock();
                    continue;
                }
                Next::Rest(rest) => rest.min(AT_LEAST),
                Next::Idle => AT_LEAST,
            };
            state = self.work.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn look(&self, camera: CameraId, Waiting(tracks, unit): &Waiting, mut watch: Box<Watch>) {
        let begun = cpu();
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| watch.look(&tracks.video, unit)));
        let cost = cpu().saturating_sub(begun);
        self.cpu_nanos.fetch_add(u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let report = match looked {
            Ok(Ok(report)) => Some(report),
            Ok(Err(error)) => {
                tracing::debug!(%camera, %error, "a key picture cannot be looked at");
                None
            }
            Err(_) => {
                tracing::error!(%camera, "looking at a key picture failed; what was learnt of this camera is learnt anew");
                watch = Box::default();
                None
            }
        };
        {
            let mut state = self.lock();
            state.turns.done(camera, watch, cost, Instant::now());
            let known = state.known.entry(camera).or_default();
            known.take(unit.utc, report.as_ref());
        }
        if let Some(Report { look, verdict }) = report {
            self.looks.fetch_add(1, Ordering::Relaxed);
            (self.setup.on_look)(camera, look);
            if let Some(verdict) = verdict {
                (self.setup.on_verdict)(camera, unit.utc, verdict);
            }
        }
    }
}

impl Known {
    fn take(&mut self, at: UtcMicros, report: Option<&Report>) {
        let Some(report) = report else {
            self.unreadable += 1;
            self.unread += 1;
            return;
        };
        (self.looked, self.unread, self.looks) = (Some(at), 0, self.looks + 1);
        match report.verdict {
            Some(Verdict::Wrong { fault, since, reason }) => self.diagnosis = Some(Diagnosis { fault, since, reason }),
            Some(Verdict::Good { .. }) => self.diagnosis = None,
            None => {}
        }
    }
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use index::model::VideoCodec;
    use std::sync::mpsc;

    fn camera(id: CameraId) -> Camera {
        Camera::new(id, "南门岗亭", index::model::CameraAddress::new("rtsp://192.0.2.7/main").expect("an address"))
    }

    #[test]
    fn key_pictures_of_either_codec_are_looked_at_and_others_pass_by() {
        for codec in [VideoCodec::H264, VideoCodec::H265] {
            let clip = testing::clip(codec, 320, 180, 2);
            let (send, receive) = mpsc::channel();
            let on_look = Box::new(move |camera, look| {
                let _ = send.send((camera, look));
            });
            let pictures =
                Pictures::start(PictureSetup { cpu_percent: 100, on_look, ..PictureSetup::default() }).expect("threads");
            let stream = testing::stream();
            let tracks = Arc::new(Tracks { video: clip.parameters.clone(), audio: None, metadata: false });
            pictures.offer(stream, &tracks, &clip.units[0]);
            pictures.apply([camera(stream.camera)].iter());
            pictures.offer(stream, &tracks, &clip.units[0]);
            let (camera, look) = receive.recv_timeout(Duration::from_secs(20)).expect("looked at");
            assert_eq!((camera, look.at), (stream.camera, clip.units[0].utc), "{codec:?}");
            pictures.stop();
            let status = pictures.status();
            assert_eq!((status[0].state, status[0].looks, status[0].unreadable), (PictureState::Watched, 1, 0));
            assert!(pictures.figures().cpu_seconds > 0.0);
        }
    }

    #[test]
    fn hostile_bytes_are_counted_and_harm_nothing() {
        let clip = testing::clip(VideoCodec::H264, 320, 180, 1);
        let mut watch = Watch::default();
        let mut dice = 1u32;
        let mut refused = 0;
        for turn in 0..200 {
            let mut unit = clip.units[0].clone();
            let mut data = unit.data.to_vec();
            for _ in 0..1 + turn / 10 {
                dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = dice as usize % data.len();
                data[at] ^= (dice >> 16) as u8;
            }
            unit.data = data.into();
            refused += u32::from(watch.look(&clip.parameters, &unit).is_err());
        }
        assert!(refused > 0, "some of it is no picture");
        let mut huge = clip.units[0].clone();
        huge.data = vec![0; 9 << 20].into();
        assert!(matches!(watch.look(&clip.parameters, &huge), Err(super::super::PictureError::TooLarge { .. })));
    }
}
