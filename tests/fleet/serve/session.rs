//! One RTSP session that plays: which picture is due next, and the packets that go out with it.

use super::{
    Shared,
    camera::{CameraState, Stream},
};
use crate::{
    dice::Dice,
    faults::Effects,
    metadata,
    packets::{Header, Packets, append_packet, patch_headers},
    quirks::{Act, Moment},
    sdp::TrackName,
    sent::Fate,
};
use index::model::{StreamKind, UtcMicros};
use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Sender reports go out as often as RFC 3550 §6.2 has it for small sessions.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// How a track's packets travel.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path {
    /// Within the RTSP connection, on the channel of this number and the next one.
    Interleaved { channel: u8 },
    /// To these ports.
    Udp { rtp: SocketAddr, rtcp: SocketAddr },
}

/// One track that was set up.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) name: TrackName,
    pub(super) path: Path,
    pub(super) ssrc: u32,
    pub(super) sequence: u16,
    /// The first number of the access unit that is being sent.
    first: u16,
    pub(super) base: u32,
    /// The channel in the scratch buffer: on UDP it only tells tracks apart.
    channel: u8,
    packets: u32,
    octets: u32,
    reported: Option<Instant>,
}

/// A session. When it goes, the camera's slot is free again and the log is closed.
pub(super) struct Session {
    pub(super) number: u64,
    pub(super) camera: Arc<CameraState>,
    pub(super) kind: StreamKind,
    pub(super) tracks: Vec<Track>,
    /// The picture that is due next; `None` until PLAY.
    pub(super) next: Option<u64>,
    /// Waits for a key picture because the client did not read.
    pub(super) refusing: bool,
    shared: Arc<Shared>,
    packets: Arc<Packets>,
    dice: Dice,
}

impl Session {
    pub(super) fn new(shared: &Arc<Shared>, camera: &Arc<CameraState>, kind: StreamKind) -> Self {
        let number = shared.counters.sessions_ever.fetch_add(1, Relaxed) + 1;
        let dice = Dice::new(shared.spec.seed, number << 8);
        let packets = camera.stream(kind).packets.clone();
        Self {
            number,
            camera: camera.clone(),
            kind,
            tracks: Vec::new(),
            next: None,
            refusing: false,
            shared: shared.clone(),
            packets,
            dice,
        }
    }

    /// What the client must name in every request.
    pub(super) fn id(&self) -> String {
        format!("{:08X}", (self.number as u32).wrapping_mul(0x9e37_79b1))
    }

    pub(super) fn set_up(&mut self, name: TrackName, path: Path) -> &Track {
        self.tracks.retain(|track| track.name != name);
        let channel = match path {
            Path::Interleaved { channel } => channel,
            Path::Udp { .. } => name as u8 * 2,
        };
        let (ssrc, sequence, base) = (self.dice.next() as u32, self.dice.next() as u16, self.dice.next() as u32);
        self.tracks.push(Track {
            name,
            path,
            ssrc,
            sequence,
            first: sequence,
            base,
            channel,
            packets: 0,
            octets: 0,
            reported: None,
        });
        &self.tracks[self.tracks.len() - 1]
    }

    /// Begins to play with the next key picture.
    pub(super) fn play(&mut self) {
        if self.next.is_some() {
            return;
        }
        let from = self.shared.now_us() + self.camera.effects().slow_start.as_micros() as u64;
        self.next = Some(self.camera.next_key(self.kind, from));
        self.shared.counters.sessions.fetch_add(1, Relaxed);
        self.stream().ledger.open(self.number, UtcMicros::now());
    }

    pub(super) fn stream(&self) -> &Stream {
        self.camera.stream(self.kind)
    }

    /// When the next picture is due, in microseconds of the fleet's time.
    pub(super) fn due(&self) -> Option<u64> {
        let taken = self.camera.taken_at(self.kind, self.next?);
        let bursts = self.camera.effects().bursts.as_micros() as u64;
        Some(if bursts == 0 { taken } else { taken.next_multiple_of(bursts) })
    }

    /// The RTP timestamp and sequence number that a track's next packet will carry.
    pub(super) fn rtp_info(&self, track: &Track) -> (u32, u16) {
        let counter = self.next.unwrap_or(0);
        let effects = self.camera.effects();
        (self.timestamp(track, counter, self.camera.taken_at(self.kind, counter), &effects), track.sequence)
    }

    fn timestamp(&self, track: &Track, counter: u64, at: u64, effects: &Effects) -> u32 {
        let offset = effects.media_offset(at as i64);
        let ticks = counter as i64 * i64::from(self.packets.spec.ticks()) + offset;
        let rate = match (&self.camera.audio, track.name) {
            (Some(audio), TrackName::Audio) => i64::from(audio.sample_rate),
            _ => 90_000,
        };
        track.base.wrapping_add((i128::from(ticks) * i128::from(rate) / 90_000) as u32)
    }

    /// Notes what became of a picture.
    pub(super) fn note(&self, counter: u64, fate: Fate) {
        self.stream().ledger.note(self.number, counter, fate);
        let count = match fate {
            Fate::Sent => return,
            Fate::Refused => &self.shared.counters.refused,
            Fate::Withheld => &self.shared.counters.withheld,
        };
        count.fetch_add(1, Relaxed);
    }

    /// Whether the picture is one that decoding can start at.
    pub(super) fn is_key(&self, counter: u64) -> bool {
        (counter + self.camera.shift).is_multiple_of(u64::from(self.stream().packets.spec.gop))
    }

    /// Fills `out` with everything that goes out with a picture: sound and metadata of its time, sender reports that
    /// are due, and the access unit. All as interleaved frames.
    pub(super) fn unit(&mut self, counter: u64, effects: &Effects, out: &mut Vec<u8>) {
        out.clear();
        if self.is_key(counter) {
            let stream = self.stream();
            self.packets = if effects.new_parameters { stream.other.clone() } else { stream.packets.clone() };
        }
        let at = self.camera.taken_at(self.kind, counter);
        let mut tracks = std::mem::take(&mut self.tracks);
        for track in &mut tracks {
            track.first = track.sequence;
            match track.name {
                TrackName::Video => self.video(track, counter, at, effects, out),
                TrackName::Audio => self.audio(track, counter, at, effects, out),
                TrackName::Metadata => self.metadata(track, counter, at, effects, out),
            }
            self.report(track, counter, at, effects, out);
        }
        let gop = (counter + self.camera.shift) / u64::from(self.stream().packets.spec.gop);
        let moment = Moment { counter, gop, key: self.is_key(counter) };
        for act in effects.acts() {
            match act {
                Act::Reshape(change) => {
                    change(out, moment);
                    tracks.iter_mut().for_each(|track| track.number_anew(out));
                }
                Act::Unit(change) => change(out, moment),
                _ => {}
            }
        }
        self.tracks = tracks;
    }

    fn video(&mut self, track: &mut Track, counter: u64, at: u64, effects: &Effects, out: &mut Vec<u8>) {
        let place = (counter + self.camera.shift) % self.packets.units.len() as u64;
        let unit = &self.packets.units[place as usize];
        let begin = out.len();
        out.extend_from_slice(&unit.bytes);
        let shown = unit.delay * self.packets.spec.ticks();
        let timestamp = self.timestamp(track, counter, at, effects).wrapping_add(shown);
        let header = Header { channel: track.channel, sequence: track.sequence, timestamp, ssrc: track.ssrc };
        let utc = self.shared.utc(at);
        unit.patch(&mut out[begin..], self.packets.spec.codec, header, self.stream().id, counter, utc);
        track.count(&unit.packets, out.len() - begin);
    }

    fn audio(&mut self, track: &mut Track, counter: u64, at: u64, effects: &Effects, out: &mut Vec<u8>) {
        let Some(audio) = self.camera.audio.clone() else { return };
        let offset = effects.media_offset(at as i64) * i64::from(audio.sample_rate) / 90_000;
        for (sample, payload) in audio.within(counter, self.packets.spec.frames_per_second) {
            // The marker means "whole access unit" to AAC and "first after silence" to G.711.
            let marker = if audio.config.is_empty() { 0 } else { 0x80 };
            let (begin, mut packets) = (out.len(), Vec::new());
            append_packet(out, &mut packets, audio.payload_type | marker, &[payload]);
            let timestamp = track.base.wrapping_add((sample as i64 + offset) as u32);
            let header = Header { channel: track.channel, sequence: track.sequence, timestamp, ssrc: track.ssrc };
            patch_headers(out, &packets, header);
            track.count(&packets, out.len() - begin);
        }
    }

    fn metadata(&mut self, track: &mut Track, counter: u64, at: u64, effects: &Effects, out: &mut Vec<u8>) {
        let utc = UtcMicros::from_micros(self.shared.utc(at).as_micros() + effects.clock_offset);
        let document = self.camera.truth.as_ref().and_then(|truth| truth.document(counter + self.camera.shift, utc));
        let Some(document) = document else { return };
        let (begin, mut packets) = (out.len(), Vec::new());
        metadata::packetise(&document, out, &mut packets);
        let timestamp = self.timestamp(track, counter, at, effects);
        patch_headers(out, &packets, Header { channel: track.channel, sequence: track.sequence, timestamp, ssrc: track.ssrc });
        track.count(&packets, out.len() - begin);
    }

    fn report(&self, track: &mut Track, counter: u64, at: u64, effects: &Effects, out: &mut Vec<u8>) {
        if effects.no_rtcp || track.reported.is_some_and(|last| last.elapsed() < REPORT_EVERY) {
            return;
        }
        track.reported = Some(Instant::now());
        let timestamp = self.timestamp(track, counter, at, effects);
        let clock = self.shared.utc(at).as_micros() + effects.clock_offset;
        let report = sender_report(track.ssrc, clock, timestamp, track.packets, track.octets);
        out.extend([b'$', track.channel + 1]);
        out.extend((report.len() as u16).to_be_bytes());
        out.extend(report);
    }
}

impl Track {
    /// Numbers the track's packets in `frames` one after the other: there may be more or fewer than there were.
    fn number_anew(&mut self, frames: &mut [u8]) {
        self.sequence = self.first;
        let mut rest = frames;
        while let Some((&mut [_, channel, high, low], tail)) = rest.split_first_chunk_mut::<4>() {
            let Some((packet, tail)) = tail.split_at_mut_checked(usize::from(u16::from_be_bytes([high, low]))) else { return };
            if let Some(number) = packet.get_mut(2..4).filter(|_| channel == self.channel) {
                number.copy_from_slice(&self.sequence.to_be_bytes());
                self.sequence = self.sequence.wrapping_add(1);
            }
            rest = tail;
        }
    }

    fn count(&mut self, packets: &[u32], bytes: usize) {
        self.sequence = self.sequence.wrapping_add(packets.len() as u16);
        self.packets = self.packets.wrapping_add(packets.len() as u32);
        self.octets = self.octets.wrapping_add((bytes - packets.len() * crate::packets::HEADERS) as u32);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.camera.sessions.fetch_sub(1, Relaxed);
        if self.next.is_some() {
            self.shared.counters.sessions.fetch_sub(1, Relaxed);
            self.stream().ledger.close(self.number, UtcMicros::now());
        }
    }
}

/// A compound RTCP packet: sender report (RFC 3550 §6.4.1) and the name that §6.5.1 demands.
fn sender_report(ssrc: u32, utc_micros: i64, timestamp: u32, packets: u32, octets: u32) -> Vec<u8> {
    // NTP counts from 1900; its fraction is of 2^32.
    let seconds = (utc_micros.div_euclid(1_000_000) + 2_208_988_800) as u32;
    let fraction = ((utc_micros.rem_euclid(1_000_000) as u64) << 32) / 1_000_000;
    let mut report = vec![0x80, 200, 0, 6];
    for word in [ssrc, seconds, fraction as u32, timestamp, packets, octets] {
        report.extend(word.to_be_bytes());
    }
    // One chunk: SSRC, CNAME of six bytes, the end mark and padding to whole words.
    report.extend([0x81, 202, 0, 4]);
    report.extend(ssrc.to_be_bytes());
    report.extend(*b"\x01\x06camera\0\0\0\0");
    report
}
