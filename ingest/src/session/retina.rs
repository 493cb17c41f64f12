//! The driver on the retina crate: asynchronous, cheap, and strict. Cameras that it refuses go to [`super::libav`].
//!
//! retina's defaults are tightened and loosened where cameras were found to need it (the numbers are those of the list of
//! camera oddities that the simulated fleet plays): the sequence number and time of RTP-Info are not believed (Q50-Q52), the
//! first session id is kept (Q41), each phase has a limit, only streams whose codec is recorded are set up (Q29, Q109), a
//! back channel never (Q39), and key units are recognised by their NAL types, since retina flags no CRA picture.

use super::{
    fault::{Fault, Phase},
    source::{self, BATCH, Item, RawUnit, Source, Target, UNIT_BYTES_MAX},
};
use crate::{nal, timeline::Arrival};
use bytes::Bytes;
use futures::Stream as _;
use index::model::{AudioCodec, AudioParameters, TrackKind, Tracks, Transport, UtcMicros, VideoCodec, VideoParameters};
use retina::{
    PacketContext,
    client::{
        Credentials, Demuxed, Described, InitialSequenceNumberPolicy, InitialTimestampPolicy, PlayOptions, Session, SessionGroup,
        SessionIdPolicy, SessionOptions, SetupOptions, TcpTransportOptions, UdpTransportOptions,
    },
    codec::{CodecItem, FrameFormat, ParametersRef},
};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};
use tokio::time::timeout;

/// Connecting, asking and authenticating: three round trips of a camera that may be waking up.
const DESCRIBE_LIMIT: Duration = Duration::from_secs(10);
/// One answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Single packets that cannot be used are skipped; more than this many in a session are not chance.
const BAD_PACKETS_MAX: u32 = 100;
/// After this many without a key unit between them, it is the key units that cannot be used.
const BAD_SINCE_KEY_MAX: u32 = 4;
/// Some cameras answer only clients that say who they are (Q10).
const USER_AGENT: &str = concat!("Haohe/", env!("CARGO_PKG_VERSION"));

/// A session that plays.
pub(crate) struct RetinaSource {
    demuxed: Demuxed,
    chosen: Chosen,
    tracks: Option<Arc<Tracks>>,
    bad_packets: u32,
    bad_since_key: u32,
    last_bad: Option<Fault>,
}

/// Which of the camera's streams are recorded, by retina's index.
#[derive(Clone, Copy, Debug)]
struct Chosen {
    video: (usize, VideoCodec),
    audio: Option<(usize, AudioCodec)>,
    metadata: Option<usize>,
}

/// Dials a camera and asks it to send.
///
/// # Errors
/// Why it does not.
pub(crate) async fn open(target: &Target, group: Arc<SessionGroup>) -> Result<RetinaSource, Fault> {
    let credentials = target
        .credentials
        .as_ref()
        .map(|known| Credentials { username: known.user.clone(), password: known.password.expose().to_owned() });
    let options = SessionOptions::default()
        .creds(credentials)
        .user_agent(USER_AGENT.to_owned())
        .session_group(group)
        .session_id(SessionIdPolicy::UseFirst);
    let mut session = limited(Phase::Describe, DESCRIBE_LIMIT, Session::describe(target.url.clone(), options)).await?;
    let chosen = choose(&session, target)?;
    let streams = [Some(chosen.video.0), chosen.audio.map(|audio| audio.0), chosen.metadata];
    for stream in streams.into_iter().flatten() {
        limited(Phase::Setup, ANSWER_LIMIT, session.setup(stream, setup(target.transport))).await?;
    }
    let options = PlayOptions::default()
        .initial_timestamp(InitialTimestampPolicy::Permissive)
        .initial_seq(InitialSequenceNumberPolicy::Ignore);
    let playing = limited(Phase::Play, ANSWER_LIMIT, session.play(options)).await?;
    let demuxed = playing.demuxed().map_err(|error| fault(&error, Phase::Play))?;
    Ok(RetinaSource { demuxed, chosen, tracks: None, bad_packets: 0, bad_since_key: 0, last_bad: None })
}

fn setup(transport: Transport) -> SetupOptions {
    let transport = match transport {
        Transport::Tcp => retina::client::Transport::Tcp(TcpTransportOptions::default()),
        Transport::Udp => retina::client::Transport::Udp(UdpTransportOptions::default()),
    };
    // Parameter sets travel in the track's description; everything else stays as received (I4).
    SetupOptions::default().transport(transport).frame_format(FrameFormat::MP4)
}

async fn limited<T>(phase: Phase, limit: Duration, answer: impl Future<Output = Result<T, retina::Error>>) -> Result<T, Fault> {
    timeout(limit, answer).await.map_err(|_| Fault::TimedOut(phase))?.map_err(|error| fault(&error, phase))
}

/// Documents that are read; those in EXI are not, and `+gzip` is a name that retina does not know.
const METADATA: [&str; 2] = ["vnd.onvif.metadata", "vnd.onvif.metadata.gzip"];

fn choose(session: &Session<Described>, target: &Target) -> Result<Chosen, Fault> {
    let streams = session.streams();
    let towards_camera = back_channels(session.sdp());
    let listens = |index: usize| towards_camera.len() == streams.len() && towards_camera[index];
    // Some cameras mark their pictures with a direction that they mean the other way round; only sound has a back channel.
    let find = |media: &str, wanted: &dyn Fn(&str) -> bool| {
        (0..streams.len()).find(|&index| {
            let stream = &streams[index];
            stream.media() == media && wanted(stream.encoding_name()) && (media != "audio" || !listens(index))
        })
    };
    let video = find("video", &|name| video_codec(name).is_some());
    let Some((video, codec)) = video.and_then(|index| Some((index, video_codec(streams[index].encoding_name())?))) else {
        let offered: Vec<String> = streams.iter().map(|s| format!("{}/{}", s.media(), s.encoding_name())).collect();
        return Err(Fault::UnsupportedCodec(offered.join(", ")));
    };
    let audio = target.audio.then(|| find("audio", &|name| audio_codec(name).is_some())).flatten();
    let audio = audio.and_then(|index| {
        // A stream without parameters would end the whole session (Q109).
        streams[index].parameters()?;
        Some((index, audio_codec(streams[index].encoding_name())?))
    });
    let metadata = target.metadata.then(|| find("application", &|name| METADATA.contains(&name))).flatten();
    Ok(Chosen { video: (video, codec), audio, metadata })
}

fn video_codec(encoding_name: &str) -> Option<VideoCodec> {
    match encoding_name {
        "h264" => Some(VideoCodec::H264),
        "h265" => Some(VideoCodec::H265),
        _ => None,
    }
}

fn audio_codec(encoding_name: &str) -> Option<AudioCodec> {
    match encoding_name {
        "mpeg4-generic" => Some(AudioCodec::Aac),
        "pcmu" => Some(AudioCodec::Pcmu),
        "pcma" => Some(AudioCodec::Pcma),
        _ => None,
    }
}

/// For each `m=` section of an SDP, whether the camera only listens there: its loudspeaker.
fn back_channels(sdp: &[u8]) -> Vec<bool> {
    let mut sections = Vec::new();
    for line in String::from_utf8_lossy(sdp).lines() {
        if line.starts_with("m=") {
            sections.push(false);
        } else if line.trim_end() == "a=sendonly"
            && let Some(last) = sections.last_mut()
        {
            // The direction is written from the camera's client's point of view where a back channel is offered
            // (ONVIF Streaming Specification §5.3): we would send only.
            *last = true;
        }
    }
    sections
}

/// What a retina error means. Its text is shortened to the first line: the rest is addresses and hex.
fn fault(error: &retina::Error, phase: Phase) -> Fault {
    let text = error.to_string();
    let line: String = text.lines().next().unwrap_or_default().chars().take(200).collect();
    match error.status_code() {
        Some(401) if phase == Phase::Describe => return Fault::Unauthorised,
        // It let us in and then did not: a stale nonce (Q15), which the other driver answers.
        Some(401) => return Fault::Protocol(line),
        Some(status @ 400..) => return Fault::Refused(status),
        Some(_) => return Fault::Protocol(line),
        None => {}
    }
    let broken =
        ["Unable to connect", "Error reading from RTSP peer", "Error writing to RTSP peer", "Error receiving UDP packet"];
    if broken.iter().any(|start| line.starts_with(start)) && !line.contains("keepalive") {
        Fault::Unreachable(line)
    } else {
        Fault::Protocol(line)
    }
}

impl Source for RetinaSource {
    fn poll_items(&mut self, cx: &mut Context<'_>, into: &mut Vec<Item>) -> Poll<Result<(), Fault>> {
        let before = into.len();
        while into.len() - before < BATCH {
            match Pin::new(&mut self.demuxed).poll_next(cx) {
                Poll::Ready(Some(Ok(item))) => self.take(item, into),
                Poll::Ready(Some(Err(error))) => self.tolerate(&error, into)?,
                Poll::Ready(None) => {
                    let ended = self.last_bad.take();
                    return Poll::Ready(Err(ended.unwrap_or_else(|| Fault::Unreachable("the camera hung up".to_owned()))));
                }
                Poll::Pending if into.len() > before => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl RetinaSource {
    fn take(&mut self, item: CodecItem, into: &mut Vec<Item>) {
        match item {
            CodecItem::VideoFrame(frame) => {
                lost(frame.loss(), into);
                if self.tracks.is_none() || frame.has_new_parameters() {
                    self.describe(into);
                }
                let arrival = arrival(frame.timestamp(), frame.end_ctx());
                let data = Bytes::from(frame.into_data());
                if data.len() > UNIT_BYTES_MAX {
                    into.push(Item::Lost(1));
                    return;
                }
                let key = nal::is_key(self.chosen.video.1, &data);
                if key {
                    self.bad_since_key = 0;
                }
                into.push(Item::Unit(RawUnit { track: TrackKind::Video, key, arrival, data }));
            }
            CodecItem::AudioFrame(frame) => {
                lost(frame.loss(), into);
                let (arrival, data) = (arrival(frame.timestamp(), frame.ctx()), Bytes::copy_from_slice(frame.data()));
                into.push(Item::Unit(RawUnit { track: TrackKind::Audio, key: true, arrival, data }));
            }
            CodecItem::MessageFrame(frame) => {
                lost(frame.loss(), into);
                let (arrival, data) = (arrival(frame.timestamp(), frame.ctx()), Bytes::copy_from_slice(frame.data()));
                if data.len() <= UNIT_BYTES_MAX {
                    into.push(Item::Unit(RawUnit { track: TrackKind::Metadata, key: true, arrival, data }));
                }
            }
            CodecItem::Rtcp(packet) => into.extend(self.sender_report(&packet)),
            _ => {}
        }
    }

    /// One bad packet does not end a session (Q76, Q95, Q105); many do.
    fn tolerate(&mut self, error: &retina::Error, into: &mut Vec<Item>) -> Result<(), Fault> {
        let fault = fault(error, Phase::Media);
        self.bad_packets += 1;
        // Errors about one packet name the packet; all others leave retina without a connection.
        self.bad_since_key += 1;
        let too_many = self.bad_packets > BAD_PACKETS_MAX || self.bad_since_key > BAD_SINCE_KEY_MAX;
        if !error.to_string().contains("\npkt: ") || too_many {
            return Err(fault);
        }
        self.last_bad = Some(fault);
        into.push(Item::Lost(1));
        Ok(())
    }

    fn describe(&mut self, into: &mut Vec<Item>) {
        let streams = self.demuxed.streams();
        let (video, codec) = self.chosen.video;
        let Some(ParametersRef::Video(parameters)) = streams[video].parameters() else { return };
        let (width, height) = parameters.pixel_dimensions();
        let video = VideoParameters {
            codec,
            width: u16::try_from(width).unwrap_or(u16::MAX),
            height: u16::try_from(height).unwrap_or(u16::MAX),
            decoder_config: Bytes::copy_from_slice(parameters.extra_data()),
            rfc6381: parameters.rfc6381_codec().to_owned(),
        };
        let audio = self.chosen.audio.and_then(|(index, codec)| {
            let Some(ParametersRef::Audio(parameters)) = streams[index].parameters() else { return None };
            Some(AudioParameters {
                codec,
                sample_rate: parameters.clock_rate(),
                channels: u8::try_from(parameters.channels().get()).unwrap_or(u8::MAX),
                config: if codec == AudioCodec::Aac { Bytes::copy_from_slice(parameters.extra_data()) } else { Bytes::new() },
            })
        });
        let tracks = Tracks { video, audio, metadata: self.chosen.metadata.is_some() };
        if self.tracks.as_deref() != Some(&tracks) {
            let tracks = Arc::new(tracks);
            self.tracks = Some(Arc::clone(&tracks));
            into.push(Item::Tracks(tracks));
        }
    }

    fn sender_report(&self, packet: &retina::rtcp::ReceivedCompoundPacket) -> Option<Item> {
        let report = packet.pkts().next()?.as_sender_report().ok()??;
        let track = self.track(packet.stream_id())?;
        // NTP counts from 1900, in 32.32 bits (RFC 3550 §4).
        const UNIX_EPOCH: i64 = 2_208_988_800;
        let ntp = report.ntp_timestamp().0;
        let micros =
            ((ntp >> 32).cast_signed() - UNIX_EPOCH) * 1_000_000 + (((ntp & 0xffff_ffff) * 1_000_000) >> 32).cast_signed();
        Some(Item::SenderReport {
            track,
            rtp: report.rtp_timestamp(),
            camera: UtcMicros::from_micros(micros),
            received: wall(packet.ctx()),
        })
    }

    fn track(&self, stream: usize) -> Option<TrackKind> {
        if stream == self.chosen.video.0 {
            Some(TrackKind::Video)
        } else if self.chosen.audio.is_some_and(|audio| audio.0 == stream) {
            Some(TrackKind::Audio)
        } else {
            (self.chosen.metadata == Some(stream)).then_some(TrackKind::Metadata)
        }
    }
}

fn lost(packets: u16, into: &mut Vec<Item>) {
    if packets > 0 {
        into.push(Item::Lost(packets.into()));
    }
}

fn arrival(timestamp: retina::Timestamp, context: &PacketContext) -> Arrival {
    Arrival {
        rtp: timestamp.timestamp() as u32,
        rate: timestamp.clock_rate().get(),
        received: wall(context),
        monotonic: source::monotonic(context.received()),
    }
}

fn wall(context: &PacketContext) -> UtcMicros {
    let since = SystemTime::from(context.received_wall()).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UtcMicros::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loudspeaker_of_a_camera_is_not_taken_for_its_microphone() {
        let sdp = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=recvonly\r\nm=audio 0 RTP/AVP 0\r\na=recvonly\r\nm=audio 0 RTP/AVP 0\r\na=sendonly\r\n";
        assert_eq!(back_channels(sdp), [false, false, true]);
    }
}
