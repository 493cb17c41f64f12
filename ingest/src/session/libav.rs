//! The driver on FFmpeg's libavformat, for cameras that our own cannot read, and for RTSP over TLS: a thread of its own for
//! each session.
//!
//! libavformat blocks, and asks a callback whether it should go on; so every wait has a limit and a session can be ended at
//! any time. The password travels in the address, as libavformat wants it, only within this process's memory; FFmpeg's log,
//! which repeats addresses, is silent. Pictures come with start codes and leave with lengths; their parameter sets, where
//! the camera sends them in-band, stay where they were (I4).
//!
//! Of libavformat's own doings two matter here. It follows redirects by itself, past the address policy: so it may make one
//! connection a session, and a camera that redirects is left to `native`, which asks the policy. And of a camera's sender
//! reports it passes on the wall clock of packets.

use super::{
    fault::{Fault, Phase},
    source::{self, BATCH, Item, RawUnit, Source, Target, UNIT_BYTES_MAX},
};
use crate::{ffmpeg as library, nal, parameters::ParameterSets, timeline::Arrival};
use bytes::Bytes;
use ffmpeg_next::{Dictionary, Error, Packet, codec, codec::packet::side_data, ffi, format::context, media};
use index::model::{AudioCodec, AudioParameters, TrackKind, Tracks, Transport, UtcMicros, VideoCodec, VideoParameters};
use std::{
    ffi::{CStr, CString, c_int, c_void},
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicPtr, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroize as _;

/// Connecting to the first answer about media, as [`super::retina`] has it in all.
const OPEN_LIMIT: Duration = Duration::from_secs(20);
/// One packet; the session's own watchdog is faster.
const READ_LIMIT: Duration = Duration::from_secs(15);
/// Batches on their way to the lane. A lane that is so far behind lets the thread wait, and TCP the camera.
const BATCHES: usize = 64;
/// What libavformat may open. Files and pipes are no cameras: an address must not make it open one.
const PROTOCOLS: &str = "rtp,rtcp,udp,srtp,rtsp,rtsps,tcp,tls";
/// The beginning of [`PROTOCOLS`]: what makes no connection.
const RECEIVING: &str = "rtp,rtcp,udp,srtp";
/// How often the camera's clock is passed on, in microseconds; as often as sender reports come.
const REPORT_EVERY: i64 = 5_000_000;

/// A session on a thread of its own.
pub(crate) struct LibavSource {
    batches: mpsc::Receiver<Result<Vec<Item>, Fault>>,
    control: Arc<Control>,
}

/// What ends libavformat's waits.
#[derive(Debug, Default)]
struct Control {
    stop: AtomicBool,
    /// On [`source::monotonic`]'s clock.
    deadline: AtomicI64,
    /// The context that is making its first connection; null once it has begun to.
    connecting: AtomicPtr<ffi::AVFormatContext>,
}

impl Control {
    fn allow(&self, span: Duration) {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        self.deadline.store(source::monotonic(Instant::now()) + micros, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || source::monotonic(Instant::now()) > self.deadline.load(Ordering::Relaxed)
    }

    /// Ends the list of what libavformat may open before whatever makes connections. It looks at the list whenever it opens
    /// something, and asks its callback for the first time when the first connection is under way: so it keeps that
    /// connection and gets no other. One to where a redirect points is refused before it is begun.
    #[expect(unsafe_code, reason = "the list is a C string of libavformat's")]
    fn forbid_connections(&self) {
        let context = self.connecting.swap(ptr::null_mut(), Ordering::Relaxed);
        // SAFETY: `open_input` stored the context that it is opening, and the callback runs within that call, on its thread.
        // The list is libavformat's own copy, ends with a zero byte and is at least as long as what it is compared with.
        unsafe {
            let Some(context) = context.as_mut().filter(|context| !context.protocol_whitelist.is_null()) else { return };
            if CStr::from_ptr(context.protocol_whitelist).to_bytes() == PROTOCOLS.as_bytes() {
                *context.protocol_whitelist.add(RECEIVING.len()) = 0;
            }
        }
    }
}

impl Drop for LibavSource {
    fn drop(&mut self) {
        self.control.stop.store(true, Ordering::Relaxed);
    }
}

/// Ends the thread when nobody waits for it any more.
struct StopOnDrop(Option<Arc<Control>>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(control) = &self.0 {
            control.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Dials a camera and asks it to send.
///
/// # Errors
/// Why it does not.
pub(crate) async fn open(target: &Target) -> Result<LibavSource, Fault> {
    let control = Arc::<Control>::default();
    let mut guard = StopOnDrop(Some(Arc::clone(&control)));
    let (opened, answer) = oneshot::channel();
    let (send, batches) = mpsc::channel(BATCHES);
    let (target, mine) = (target.clone(), Arc::clone(&control));
    let thread = std::thread::Builder::new().name("libav".to_owned());
    let work = move || match Session::open(&target, mine) {
        Ok(session) => {
            if opened.send(Ok(())).is_ok() {
                session.run(&send);
            }
        }
        // Nobody waits any more: then nobody needs the reason.
        Err(fault) => drop(opened.send(Err(fault))),
    };
    thread.spawn(work).map_err(|error| Fault::Unreachable(format!("no thread: {error}")))?;
    answer.await.unwrap_or_else(|_| Err(Fault::Protocol("the driver's thread ended".to_owned())))?;
    guard.0 = None;
    Ok(LibavSource { batches, control })
}

impl Source for LibavSource {
    fn poll_items(&mut self, cx: &mut Context<'_>, into: &mut Vec<Item>) -> Poll<Result<(), Fault>> {
        let before = into.len();
        while into.len() - before < BATCH {
            match self.batches.poll_recv(cx) {
                Poll::Ready(Some(Ok(items))) => into.extend(items),
                Poll::Ready(Some(Err(fault))) => return Poll::Ready(Err(fault)),
                Poll::Ready(None) => return Poll::Ready(Err(Fault::Unreachable("the driver's thread ended".to_owned()))),
                Poll::Pending if into.len() > before => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The thread's side.
struct Session {
    input: context::Input,
    video: usize,
    audio: Option<(usize, AudioParameters)>,
    codec: VideoCodec,
    rates: Vec<u32>,
    sets: ParameterSets,
    /// Whether the tracks changed since they were last told.
    untold: bool,
    tracks: Option<Arc<Tracks>>,
    reported: i64,
    // After the input: its callback points here.
    control: Arc<Control>,
}

impl Session {
    fn open(target: &Target, control: Arc<Control>) -> Result<Self, Fault> {
        library::ready();
        control.allow(OPEN_LIMIT);
        let input = open_input(target, &control)?;
        let (mut video, mut audio, mut rates, mut offered) = (None, None, Vec::new(), Vec::new());
        for stream in input.streams() {
            let (index, parameters) = (stream.index(), stream.parameters());
            rates.push(u32::try_from(stream.time_base().denominator()).unwrap_or(90_000));
            offered.push(format!("{:?}", parameters.id()));
            match (parameters.medium(), video_codec(parameters.id())) {
                (media::Type::Video, Some(codec)) if video.is_none() => {
                    let mut sets = ParameterSets::new(codec);
                    sets.update(nal::with_start_codes(extradata(&parameters)));
                    video = Some((index, codec, sets));
                }
                (media::Type::Audio, _) if target.audio && audio.is_none() => {
                    audio = audio_parameters(&parameters).map(|parameters| (index, parameters));
                }
                _ => {}
            }
        }
        let (video, codec, sets) = video.ok_or_else(|| Fault::UnsupportedCodec(offered.join(", ")))?;
        Ok(Self { input, video, audio, codec, rates, sets, untold: true, tracks: None, reported: i64::MIN, control })
    }

    fn run(mut self, send: &mpsc::Sender<Result<Vec<Item>, Fault>>) {
        let mut packet = Packet::empty();
        loop {
            self.control.allow(READ_LIMIT);
            let read = packet.read(&mut self.input);
            if self.control.stop.load(Ordering::Relaxed) {
                return;
            }
            let batch = match read {
                Ok(()) => Ok(self.items(&packet)),
                Err(error) => Err(fault(error, Phase::Media)),
            };
            let last = batch.is_err();
            // A receiver that is gone ends the session too.
            if send.blocking_send(batch).is_err() || last {
                return;
            }
        }
    }

    fn items(&mut self, packet: &Packet) -> Vec<Item> {
        let mut items = Vec::with_capacity(3);
        let now = Instant::now();
        let Some(time) = packet.pts().or(packet.dts()) else { return items };
        let (Some(data), Some(&rate)) = (packet.data(), self.rates.get(packet.stream())) else { return items };
        let arrival = Arrival { rtp: time as u32, rate, received: UtcMicros::now(), monotonic: source::monotonic(now) };
        if packet.is_corrupt() {
            items.push(Item::Lost(1));
        }
        if packet.stream() == self.video {
            if data.len() > UNIT_BYTES_MAX {
                return vec![Item::Lost(1)];
            }
            self.picture(data, arrival, &mut items);
            items.extend(self.report(packet, arrival));
        } else if self.audio.as_ref().is_some_and(|audio| audio.0 == packet.stream()) && self.tracks.is_some() {
            let data = Bytes::copy_from_slice(data);
            items.push(Item::Unit(RawUnit { track: TrackKind::Audio, key: true, arrival, data }));
        }
        items
    }

    fn picture(&mut self, data: &[u8], arrival: Arrival, items: &mut Vec<Item>) {
        let nals: Vec<&[u8]> =
            if nal::has_start_codes(data) { nal::with_start_codes(data).collect() } else { nal::with_lengths(data).collect() };
        self.untold |= self.sets.update(nals.iter().copied());
        let data = nal::join(nals.into_iter());
        let key = nal::is_key(self.codec, &data);
        // New parameter sets take effect at a key unit; some cameras send them before it in a unit of their own.
        if self.untold
            && key
            && let Some(video) = self.sets.describe()
        {
            self.describe(video, items);
        }
        items.push(Item::Unit(RawUnit { track: TrackKind::Video, key, arrival, data }));
    }

    fn describe(&mut self, video: VideoParameters, items: &mut Vec<Item>) {
        self.untold = false;
        let audio = self.audio.as_ref().map(|audio| audio.1.clone());
        let tracks = Tracks { video, audio, metadata: false };
        if self.tracks.as_deref() != Some(&tracks) {
            let tracks = Arc::new(tracks);
            self.tracks = Some(Arc::clone(&tracks));
            items.push(Item::Tracks(tracks));
        }
    }

    fn report(&mut self, packet: &Packet, arrival: Arrival) -> Option<Item> {
        if arrival.monotonic.saturating_sub(self.reported) < REPORT_EVERY {
            return None;
        }
        let told = packet.side_data().find(|data| data.kind() == side_data::Type::PRFT)?;
        // AVProducerReferenceTime begins with the wall clock in microseconds.
        let wall = i64::from_ne_bytes(*told.data().first_chunk::<8>()?);
        self.reported = arrival.monotonic;
        let (camera, received) = (UtcMicros::from_micros(wall), arrival.received);
        Some(Item::SenderReport { track: TrackKind::Video, rtp: arrival.rtp, camera, received })
    }
}

fn video_codec(id: codec::Id) -> Option<VideoCodec> {
    match id {
        codec::Id::H264 => Some(VideoCodec::H264),
        codec::Id::HEVC => Some(VideoCodec::H265),
        _ => None,
    }
}

fn audio_parameters(parameters: &codec::Parameters) -> Option<AudioParameters> {
    let codec = match parameters.id() {
        codec::Id::AAC => AudioCodec::Aac,
        codec::Id::PCM_MULAW => AudioCodec::Pcmu,
        codec::Id::PCM_ALAW => AudioCodec::Pcma,
        _ => return None,
    };
    let config = Bytes::copy_from_slice(extradata(parameters));
    if codec == AudioCodec::Aac && config.is_empty() {
        return None;
    }
    let (sample_rate, channels) = audio_shape(parameters);
    let channels = u8::try_from(channels).ok().filter(|n| (1..=2).contains(n))?;
    Some(AudioParameters { codec, sample_rate: u32::try_from(sample_rate).ok().filter(|rate| *rate > 0)?, channels, config })
}

/// What an FFmpeg error means. Its text never repeats an address.
fn fault(error: Error, phase: Phase) -> Fault {
    const UNREACHABLE: [c_int; 6] = [
        ffmpeg_next::error::ECONNREFUSED,
        ffmpeg_next::error::ECONNRESET,
        ffmpeg_next::error::ECONNABORTED,
        ffmpeg_next::error::EHOSTUNREACH,
        ffmpeg_next::error::EPIPE,
        ffmpeg_next::error::ENOTCONN,
    ];
    match error {
        Error::HttpUnauthorized | Error::HttpForbidden => Fault::Unauthorised,
        Error::HttpNotFound => Fault::Refused(404),
        Error::HttpBadRequest => Fault::Refused(400),
        // RTSP's 453, "not enough bandwidth", among them.
        Error::HttpOther4xx => Fault::Refused(453),
        Error::HttpServerError => Fault::Refused(503),
        Error::Exit | Error::Other { errno: ffmpeg_next::error::ETIMEDOUT } => Fault::TimedOut(phase),
        Error::Eof => Fault::Unreachable("the camera hung up".to_owned()),
        Error::Other { errno: ffmpeg_next::error::ENETUNREACH | ffmpeg_next::error::ENETDOWN } => {
            Fault::NoNetwork(error.to_string())
        }
        Error::Other { errno } if UNREACHABLE.contains(&errno) => Fault::Unreachable(error.to_string()),
        _ => Fault::Protocol(error.to_string()),
    }
}

fn options(target: &Target) -> Dictionary<'static> {
    let mut options = Dictionary::new();
    let media = if target.audio { "video+audio" } else { "video" };
    let transport = match target.transport {
        Transport::Tcp => "tcp",
        Transport::Udp => "udp",
    };
    let wait = READ_LIMIT.as_micros().to_string();
    for (key, value) in [
        ("rtsp_transport", transport),
        ("allowed_media_types", media),
        ("timeout", wait.as_str()),
        ("user_agent", concat!("Haohe/", env!("CARGO_PKG_VERSION"))),
        ("max_delay", "300000"),
        ("protocol_whitelist", PROTOCOLS),
    ] {
        options.set(key, value);
    }
    options
}

/// The address with the password in it, percent-encoded, to be cleared after use.
fn address(target: &Target) -> Result<CString, Fault> {
    let mut url = target.url.clone();
    if let Some(known) = &target.credentials {
        let set = url.set_username(&known.user).and_then(|()| url.set_password(Some(known.password.expose())));
        set.map_err(|()| Fault::Protocol("the address takes no password".to_owned()))?;
    }
    CString::new(String::from(url)).map_err(|_| Fault::Protocol("the address holds a zero byte".to_owned()))
}

extern "C" fn interrupted(opaque: *mut c_void) -> c_int {
    #[expect(unsafe_code, reason = "libavformat hands back the pointer that `open_input` gave it")]
    // SAFETY: it points to the `Control` that the session holds until after its input is closed.
    let control = unsafe { &*opaque.cast::<Control>() };
    control.forbid_connections();
    c_int::from(control.is_over())
}

/// Opens the address without looking into the streams: their description says enough, and looking takes seconds.
#[expect(unsafe_code, reason = "ffmpeg-next's own `input` functions insist on looking into the streams")]
fn open_input(target: &Target, control: &Arc<Control>) -> Result<context::Input, Fault> {
    let address = address(target)?;
    // SAFETY: the context is fresh; on failure `avformat_open_input` frees it, on success the wrapper owns it. The options
    // are taken over and freed. The callback's pointer stays valid: see `interrupted`.
    let opened = unsafe {
        let mut context = ffi::avformat_alloc_context();
        if context.is_null() {
            return Err(Fault::Protocol("out of memory".to_owned()));
        }
        let opaque = Arc::as_ptr(control).cast_mut().cast::<c_void>();
        (*context).interrupt_callback = ffi::AVIOInterruptCB { callback: Some(interrupted), opaque };
        control.connecting.store(context, Ordering::Relaxed);
        let mut raw = options(target).disown();
        let result = ffi::avformat_open_input(&raw mut context, address.as_ptr(), std::ptr::null(), &raw mut raw);
        drop(Dictionary::own(raw));
        if result < 0 { Err(Error::from(result)) } else { Ok(context::Input::wrap(context)) }
    };
    address.into_bytes_with_nul().zeroize();
    opened.map_err(|error| fault(error, Phase::Describe))
}

#[expect(unsafe_code, reason = "ffmpeg-next does not expose a stream's extradata")]
fn extradata(parameters: &codec::Parameters) -> &[u8] {
    // SAFETY: libavformat keeps pointer and size together; they live as long as the parameters.
    unsafe {
        let raw = parameters.as_ptr();
        match ((*raw).extradata, usize::try_from((*raw).extradata_size)) {
            (data, Ok(size)) if !data.is_null() => std::slice::from_raw_parts(data, size),
            _ => &[],
        }
    }
}

/// Samples a second and channels.
#[expect(unsafe_code, reason = "ffmpeg-next does not expose the shape of undecoded sound")]
fn audio_shape(parameters: &codec::Parameters) -> (c_int, c_int) {
    // SAFETY: plain fields of a structure that lives as long as the parameters.
    unsafe { ((*parameters.as_ptr()).sample_rate, (*parameters.as_ptr()).ch_layout.nb_channels) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use index::model::{Credentials, Secret};

    fn target(url: &str) -> Target {
        Target {
            url: url.parse().expect("a url"),
            credentials: Some(Credentials { user: "admin".to_owned(), password: Secret::new("ca:n@ry/47") }),
            transport: Transport::Tcp,
            audio: false,
            metadata: false,
        }
    }

    #[test]
    fn the_password_is_percent_encoded_and_reaches_no_error() {
        let target = target("rtsp://127.0.0.1:1/x");
        let address = address(&target).expect("an address");
        assert_eq!(address.to_str(), Ok("rtsp://admin:ca%3An%40ry%2F47@127.0.0.1:1/x"));
        let fault = Session::open(&target, Arc::default()).err().expect("nobody listens");
        assert_eq!(fault.cause(), index::model::GapCause::CameraUnreachable);
        assert!(!fault.to_string().contains("ry"), "{fault}");
    }

    /// Answers one connection's requests with a redirect to `elsewhere`, and counts them.
    fn redirecting_camera(elsewhere: &str) -> (String, std::thread::JoinHandle<usize>) {
        use std::io::{BufRead as _, BufReader, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("rtsp://{}/x", listener.local_addr().expect("bound"));
        let location = format!("RTSP/1.0 302 Moved\r\nLocation: {elsewhere}\r\n");
        let camera = std::thread::spawn(move || {
            let (stream, _) = listener.accept().expect("it connects");
            let (mut answer, mut requests, mut number) = (stream.try_clone().expect("a socket"), 0, String::new());
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if line.starts_with("CSeq") {
                    number = line;
                } else if line.is_empty() {
                    requests += 1;
                    answer.write_all(format!("{location}{number}\r\n\r\n").as_bytes()).expect("it listens");
                }
            }
            requests
        });
        (url, camera)
    }

    #[test]
    fn q18_a_redirect_is_not_followed_because_nobody_asked_the_address_policy() {
        let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        elsewhere.set_nonblocking(true).expect("a listener");
        let (url, camera) = redirecting_camera(&format!("rtsp://{}/y", elsewhere.local_addr().expect("bound")));
        let fault = Session::open(&target(&url), Arc::default()).err().expect("there is nothing to play");
        assert!(fault.blames_driver(), "native knows what to do with it: {fault:?}");
        assert!(camera.join().expect("no panic") > 0, "it was asked");
        assert_eq!(elsewhere.accept().err().map(|error| error.kind()), Some(std::io::ErrorKind::WouldBlock));
    }

    #[tokio::test]
    async fn a_camera_that_never_answers_is_left_as_soon_as_nobody_waits() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("rtsp://{}/x", listener.local_addr().expect("bound"));
        let target = target(&url);
        let opening = tokio::time::timeout(Duration::from_millis(200), open(&target));
        assert!(opening.await.is_err());
        let (mut camera, _) = listener.accept().expect("it connected");
        // The thread hangs up soon after, long before its own limit.
        camera.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        let mut rest = Vec::new();
        std::io::Read::read_to_end(&mut camera, &mut rest).expect("it hung up");
    }
}
