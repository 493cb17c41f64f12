//! A running fleet: an RTSP server of many cameras in this process, scripted and asked through [`Fleet`].

mod answers;
mod camera;
mod connection;
mod devices;
mod output;
mod session;
mod shard;

use crate::{
    audio::AudioClip,
    clip::{Clip, ClipError, ClipSpec},
    dice::Dice,
    faults::{Effects, Fault, Who},
    metadata::Truth,
    packets::Packets,
    scene::What,
    sent::{Ledger, StreamLog},
    spec::{AudioPlan, FleetSpec},
    stats::{Counters, Stats},
};
use camera::{CameraState, Stream};
use devices::Devices;
use index::model::{AudioCodec, CameraId, StreamId, StreamKind, UtcMicros, Window};
use serde::Serialize;
use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What all threads of a fleet share.
pub(crate) struct Shared {
    pub(crate) spec: FleetSpec,
    pub(crate) counters: Counters,
    pub(crate) stop: CancellationToken,
    cameras: Vec<Arc<CameraState>>,
    began: Instant,
    zero: UtcMicros,
}

impl Shared {
    /// Microseconds since the fleet started.
    pub(crate) fn now_us(&self) -> u64 {
        self.began.elapsed().as_micros() as u64
    }

    /// The wall clock at an instant of the fleet's time.
    pub(crate) fn utc(&self, at: u64) -> UtcMicros {
        self.zero + Duration::from_micros(at)
    }

    /// A camera by number, from 1.
    pub(crate) fn camera(&self, number: u32) -> Option<&Arc<CameraState>> {
        self.cameras.get((number as usize).checked_sub(1)?)
    }
}

/// Why a fleet does not start.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The specification makes no sense.
    #[error("a fleet of {0} is impossible")]
    Spec(String),
    /// A clip cannot be made.
    #[error(transparent)]
    Clip(#[from] ClipError),
    /// The address is taken or not ours.
    #[error("listen on {address}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// No thread or socket could be had.
    #[error("start a sender thread")]
    Thread(#[source] std::io::Error),
}

/// Something that happened before a camera, with its time.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TruthEvent {
    /// When the first picture that shows it was taken.
    pub at: UtcMicros,
    /// The number of that picture of the main stream.
    pub counter: u64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// A running fleet. It stops when it is dropped.
pub struct Fleet {
    shared: Arc<Shared>,
    address: SocketAddr,
    /// Where the device services listen, if there are any.
    devices: Option<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
    reported: Mutex<Stats>,
}

impl Fleet {
    /// Makes the clips that the cache lacks, then listens. Returns when cameras can be dialled.
    ///
    /// # Errors
    /// [`FleetError`] says what to mend.
    pub fn start(spec: FleetSpec) -> Result<Self, FleetError> {
        if spec.scenes.is_empty() || !(1..=16).contains(&spec.threads) {
            return Err(FleetError::Spec(format!("{} scenes on {} threads", spec.scenes.len(), spec.threads)));
        }
        let clips = Clips::load(&spec)?;
        let at = |source| FleetError::Listen { address: spec.listen, source };
        let listener = TcpListener::bind(spec.listen).map_err(at)?;
        let address = listener.local_addr().map_err(at)?;
        let (began, zero) = (Instant::now(), UtcMicros::now());
        let cameras = (1..=spec.cameras).map(|number| clips.camera(&spec, number, zero)).collect::<Result<_, _>>()?;
        let (counters, stop) = (Counters::new(spec.threads), CancellationToken::new());
        let shared = Arc::new(Shared { spec, counters, stop, cameras, began, zero });
        let mut fleet = Self { shared, address, devices: None, threads: Vec::new(), reported: Mutex::default() };
        fleet.start_threads(listener)?;
        fleet.start_devices()?;
        Ok(fleet)
    }

    fn start_threads(&mut self, listener: TcpListener) -> Result<(), FleetError> {
        let mut shards = Vec::new();
        for number in 0..self.shared.spec.threads {
            let (give, take) = mpsc::unbounded_channel();
            let udp = udp_pair(self.address).map_err(FleetError::Thread)?;
            let shared = self.shared.clone();
            self.spawn(format!("fleet-{number}"), move || shard::run(&shared, number, udp, take))?;
            shards.push(give);
        }
        let shared = self.shared.clone();
        self.spawn("fleet-script".to_owned(), move || script(&shared))?;
        let shared = self.shared.clone();
        self.spawn("fleet-accept".to_owned(), move || accept(&listener, &shards, &shared))
    }

    fn start_devices(&mut self) -> Result<(), FleetError> {
        if self.shared.spec.pull_points == 0 {
            return Ok(());
        }
        let wanted = SocketAddr::new(self.address.ip(), 0);
        let at = |source| FleetError::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).map_err(at)?;
        listener.set_nonblocking(true).map_err(at)?;
        let address = listener.local_addr().map_err(at)?;
        self.devices = Some(address);
        let devices = Devices::new(Arc::clone(&self.shared), address);
        self.spawn("fleet-devices".to_owned(), move || devices.run(listener))
    }

    fn spawn(&mut self, name: String, run: impl FnOnce() + Send + 'static) -> Result<(), FleetError> {
        self.threads.push(std::thread::Builder::new().name(name).spawn(run).map_err(FleetError::Thread)?);
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of one stream. It has no user information: passwords travel apart.
    #[must_use]
    pub fn url(&self, camera: u32, kind: StreamKind) -> String {
        format!("rtsp://{}/cam/{camera}/{kind}", self.address)
    }

    /// The address of a camera's device service. `None` if it has none.
    #[must_use]
    pub fn device_url(&self, camera: u32) -> Option<String> {
        let address = self.devices.filter(|_| (1..=self.shared.spec.pull_points).contains(&camera))?;
        Some(format!("http://{address}/cam/{camera}/onvif/device_service"))
    }

    /// Counts now, rates since the last call.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut before = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        *before = self.shared.counters.report(self.shared.began.elapsed(), &before);
        before.clone()
    }

    /// What one stream sent so far. `None` if the fleet has no such camera.
    #[must_use]
    pub fn sent(&self, stream: StreamId) -> Option<StreamLog> {
        Some(self.shared.camera(stream.camera.into())?.stream(stream.kind).ledger.read())
    }

    /// What every stream that was ever played sent so far.
    #[must_use]
    pub fn sent_by_all(&self) -> Vec<StreamLog> {
        let streams = self.shared.cameras.iter().flat_map(|camera| [&camera.main, &camera.sub]);
        streams.map(|stream| stream.ledger.read()).filter(|log| !log.sessions.is_empty()).collect()
    }

    /// Lets a fault begin now.
    pub fn begin(&self, fault: Fault, who: &Who) {
        self.change(who, |effects, now| effects.begin(fault, now));
    }

    /// Lets a fault end now.
    pub fn end(&self, fault: Fault, who: &Who) {
        self.change(who, |effects, now| effects.end(fault, now));
    }

    /// Lets every fault end now.
    pub fn clear(&self, who: &Who) {
        self.change(who, Effects::clear);
    }

    fn change(&self, who: &Who, change: impl Fn(&mut Effects, i64)) {
        let now = self.shared.now_us() as i64;
        for number in who.cameras(self.shared.spec.cameras, self.shared.spec.seed, 0) {
            if let Some(camera) = self.shared.camera(number) {
                camera.change(|effects| change(effects, now));
            }
        }
    }

    /// What happened before a camera within a window, in order, by the truth of its scene. Empty for an unknown camera.
    /// At most one hour from the start of the fleet or of the window, whichever is later.
    #[must_use]
    pub fn truth(&self, camera: u32, window: Window) -> Vec<TruthEvent> {
        let Some(camera) = self.shared.camera(camera) else { return Vec::new() };
        let truth = Truth::new(&camera.main.packets.spec);
        let rate = u64::from(camera.main.packets.spec.frames_per_second);
        let from = window.from.since(self.shared.zero).as_micros() as u64;
        let first = from.saturating_sub(camera.phase) * rate / 1_000_000;
        let timed =
            (first..first + rate * 3600).map(|counter| (counter, self.shared.utc(camera.taken_at(StreamKind::Main, counter))));
        timed
            .take_while(|(_, at)| *at < window.to)
            .filter(|(_, at)| window.contains(*at))
            .flat_map(|(counter, at)| {
                let found = truth.happenings(counter + camera.shift).to_vec();
                found.into_iter().map(move |what| TruthEvent { at, counter, what })
            })
            .collect()
    }

    /// Closes every connection and waits for the threads.
    pub fn stop(mut self) {
        self.halt();
    }

    fn halt(&mut self) {
        self.shared.stop.cancel();
        // The accepting thread waits in accept(): a last connection lets it see the end.
        drop(std::net::TcpStream::connect_timeout(&self.address, Duration::from_secs(1)));
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a fleet thread had panicked");
            }
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.halt();
    }
}

fn accept(listener: &TcpListener, shards: &[mpsc::UnboundedSender<std::net::TcpStream>], shared: &Shared) {
    for (number, stream) in listener.incoming().enumerate() {
        if shared.stop.is_cancelled() {
            return;
        }
        match stream {
            Ok(stream) => {
                shared.counters.connections.fetch_add(1, Ordering::Relaxed);
                // A shard that is gone means that the fleet stops.
                if stream.set_nonblocking(true).is_ok() && shards[number % shards.len()].send(stream).is_err() {
                    return;
                }
            }
            // Out of file descriptors, for example: do not spin.
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Lets the specification's rules begin and end at their times.
fn script(shared: &Shared) {
    let mut moves: Vec<(Duration, bool, Fault, Vec<u32>)> = Vec::new();
    for (number, rule) in (0u64..).zip(&shared.spec.faults) {
        let who = rule.who.cameras(shared.spec.cameras, shared.spec.seed, number);
        moves.push((rule.at, true, rule.fault, who.clone()));
        if let Some(lasting) = rule.lasting {
            moves.push((rule.at + lasting, false, rule.fault, who));
        }
    }
    moves.sort_by_key(|(at, ..)| *at);
    for (at, begins, fault, who) in moves {
        while shared.began.elapsed() < at {
            if shared.stop.is_cancelled() {
                return;
            }
            std::thread::sleep((at.saturating_sub(shared.began.elapsed())).min(Duration::from_millis(50)));
        }
        tracing::info!(%fault, begins, cameras = who.len(), "scripted fault");
        let now = shared.now_us() as i64;
        for camera in who.iter().filter_map(|number| shared.camera(*number)) {
            camera.change(|effects| if begins { effects.begin(fault, now) } else { effects.end(fault, now) });
        }
    }
}

/// Two UDP sockets on the listener's address, RTP on an even port and RTCP on the next (RFC 3550 §11).
fn udp_pair(address: SocketAddr) -> std::io::Result<[UdpSocket; 2]> {
    let at = |port| SocketAddr::new(address.ip(), port);
    let mut last = std::io::ErrorKind::AddrInUse.into();
    for _ in 0..100 {
        let first = UdpSocket::bind(at(0))?;
        let port = first.local_addr()?.port();
        if !port.is_multiple_of(2) || port == u16::MAX {
            continue;
        }
        match UdpSocket::bind(at(port + 1)) {
            Ok(second) => {
                for socket in [&first, &second] {
                    socket.set_nonblocking(true)?;
                    socket2::SockRef::from(socket).set_send_buffer_size(4 << 20)?;
                }
                return Ok([first, second]);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The clips of a fleet, each loaded and cut once.
struct Clips {
    packets: HashMap<ClipSpec, Arc<Packets>>,
    truths: HashMap<ClipSpec, Arc<Truth>>,
    audio: HashMap<AudioCodec, Arc<AudioClip>>,
}

impl Clips {
    fn load(spec: &FleetSpec) -> Result<Self, FleetError> {
        let mut clips = Self { packets: HashMap::new(), truths: HashMap::new(), audio: HashMap::new() };
        for clip in needed(spec) {
            let packets = Packets::new(&Clip::load(&clip, &spec.cache)?);
            clips.packets.insert(clip, Arc::new(packets));
        }
        if spec.metadata || spec.pull_points > 0 {
            let mains = spec.scenes.iter().map(|scene| scene.main.clone());
            clips.truths = mains.map(|main| (main.clone(), Arc::new(Truth::new(&main)))).collect();
        }
        for codec in (1..=spec.cameras.min(3)).filter_map(|number| heard(spec.audio, number)) {
            if let std::collections::hash_map::Entry::Vacant(place) = clips.audio.entry(codec) {
                place.insert(Arc::new(AudioClip::new(codec)?));
            }
        }
        Ok(clips)
    }

    fn camera(&self, spec: &FleetSpec, number: u32, zero: UtcMicros) -> Result<Arc<CameraState>, FleetError> {
        let id = CameraId::new(number).map_err(|error| FleetError::Spec(error.to_string()))?;
        let scene = &spec.scenes[(number as usize - 1) % spec.scenes.len()];
        let mut dice = Dice::new(spec.seed, u64::from(number));
        let shift = dice.below(u64::from(scene.main.frames()));
        let interval = 1_000_000 / u64::from(scene.main.frames_per_second);
        let phase = interval * u64::from(number - 1) / u64::from(spec.cameras);
        let stream = |kind, clip: &ClipSpec| {
            let id = StreamId::new(id, kind);
            let ledger = Ledger::new(id, zero + Duration::from_micros(phase), clip.frames_per_second);
            Stream { id, packets: self.packets[clip].clone(), other: self.packets[&other(clip)].clone(), ledger }
        };
        let (main, sub) = (stream(StreamKind::Main, &scene.main), stream(StreamKind::Sub, &scene.sub));
        let mut camera = CameraState::new(id, main, sub, phase, shift);
        camera.audio = heard(spec.audio, number).and_then(|codec| self.audio.get(&codec).cloned());
        camera.truth = self.truths.get(&scene.main).cloned();
        camera.metadata = spec.metadata;
        Ok(Arc::new(camera))
    }
}

/// Makes the clips that a fleet needs and its cache lacks, so that it starts at once later.
///
/// # Errors
/// [`ClipError`] as [`Clip::load`].
pub fn make_clips(spec: &FleetSpec) -> Result<(), ClipError> {
    needed(spec).iter().try_for_each(|clip| Clip::load(clip, &spec.cache).map(drop))
}

/// Every clip that a fleet needs, each once.
fn needed(spec: &FleetSpec) -> Vec<ClipSpec> {
    let mut all = Vec::new();
    for clip in spec.scenes.iter().take(spec.cameras as usize).flat_map(|scene| [&scene.main, &scene.sub]) {
        for clip in [clip.clone(), other(clip)] {
            if !all.contains(&clip) {
                all.push(clip);
            }
        }
    }
    all
}

/// The clip with other parameter sets that stands in for `clip` while they are changed: same codec, rate and GOP, but small and one GOP long.
fn other(clip: &ClipSpec) -> ClipSpec {
    ClipSpec { width: 480, height: 272, gops: 1, kbit_per_second: clip.kbit_per_second.min(500), ..clip.clone() }
}

fn heard(plan: AudioPlan, number: u32) -> Option<AudioCodec> {
    match plan {
        AudioPlan::None => None,
        AudioPlan::Pcma => Some(AudioCodec::Pcma),
        AudioPlan::Pcmu => Some(AudioCodec::Pcmu),
        AudioPlan::Aac => Some(AudioCodec::Aac),
        AudioPlan::Mixed => [Some(AudioCodec::Pcma), Some(AudioCodec::Aac), None][(number as usize - 1) % 3],
    }
}
