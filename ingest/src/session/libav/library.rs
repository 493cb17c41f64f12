//! The calls into libavformat, and what its answers mean. All that is `unsafe` about the driver stands here.

use super::READ_LIMIT;
use crate::session::{
    fault::{Fault, Phase},
    source::{self, Target},
};
use bytes::Bytes;
use ffmpeg_next::{Dictionary, Error, codec, ffi, format::context};
use index::model::{AudioCodec, AudioParameters, Transport, VideoCodec};
use std::{
    ffi::{CStr, CString, c_int, c_void},
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicPtr, Ordering},
    },
    time::{Duration, Instant},
};
use zeroize::Zeroize as _;

/// What libavformat may open. Files and pipes are no cameras: an address must not make it open one.
const PROTOCOLS: &str = "rtp,rtcp,udp,srtp,rtsp,rtsps,tcp,tls";
/// The beginning of [`PROTOCOLS`]: what makes no connection.
const RECEIVING: &str = "rtp,rtcp,udp,srtp";

/// What ends libavformat's waits.
#[derive(Debug, Default)]
pub(super) struct Control {
    /// Nobody waits for the session any more.
    pub(super) stop: AtomicBool,
    /// On [`source::monotonic`]'s clock.
    deadline: AtomicI64,
    /// The context that is making its first connection; null once it has begun to.
    connecting: AtomicPtr<ffi::AVFormatContext>,
}

impl Control {
    /// What is waited for may take `span` from now on.
    pub(super) fn allow(&self, span: Duration) {
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

pub(super) fn video_codec(id: codec::Id) -> Option<VideoCodec> {
    match id {
        codec::Id::H264 => Some(VideoCodec::H264),
        codec::Id::HEVC => Some(VideoCodec::H265),
        _ => None,
    }
}

pub(super) fn audio_parameters(parameters: &codec::Parameters) -> Option<AudioParameters> {
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
pub(super) fn fault(error: Error, phase: Phase) -> Fault {
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
pub(super) fn address(target: &Target) -> Result<CString, Fault> {
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
pub(super) fn open_input(target: &Target, control: &Arc<Control>) -> Result<context::Input, Fault> {
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
pub(super) fn extradata(parameters: &codec::Parameters) -> &[u8] {
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
