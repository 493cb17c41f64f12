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

mod library;
#[cfg(test)]
mod tests;

use self::library::{Control, audio_parameters, extradata, fault, open_input, video_codec};
use super::{
    fault::{Fault, Phase},
    source::{self, BATCH, Item, RawUnit, Source, Target, UNIT_BYTES_MAX},
};
use crate::{ffmpeg, nal, parameters::ParameterSets, timeline::Arrival};
use bytes::Bytes;
use ffmpeg_next::{Packet, codec::packet::side_data, format::context, media};
use index::model::{AudioParameters, TrackKind, Tracks, UtcMicros, VideoCodec, VideoParameters};
use std::{
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

/// Connecting to the first answer about media, as [`super::retina`] has it in all.
const OPEN_LIMIT: Duration = Duration::from_secs(20);
/// One packet; the session's own watchdog is faster.
const READ_LIMIT: Duration = Duration::from_secs(15);
/// Batches on their way to the lane. A lane that is so far behind lets the thread wait, and TCP the camera.
const BATCHES: usize = 64;
/// How often the camera's clock is passed on, in microseconds; as often as sender reports come.
const REPORT_EVERY: i64 = 5_000_000;

/// A session on a thread of its own.
pub(crate) struct LibavSource {
    batches: mpsc::Receiver<Result<Vec<Item>, Fault>>,
    control: Arc<Control>,
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
        ffmpeg::ready();
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
