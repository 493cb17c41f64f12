//! The tracks of a session: which of those on offer are asked for, and what becomes of their packets.

use super::{
    Moment, address,
    picture::Pictures,
    reorder::Reorder,
    rtcp::{self, Reception},
    rtp::{self, Arrival, Sequence},
    sdp::{Description, Map, Media},
    sound::{self, Aac, Documents, Sound},
};
use crate::{
    session::source::{self, Item, RawUnit},
    timeline,
};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use index::model::{AudioCodec, AudioParameters, TrackKind, Tracks, VideoCodec};
use std::{sync::Arc, time::Instant};

/// Cameras pad base64, or do not, or wrongly.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);
/// The RTP clock of video and metadata, whatever the description says (Q38).
const VIDEO_RATE: u32 = 90_000;

/// One track that is asked for.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) kind: TrackKind,
    /// What to call it in SETUP.
    pub(super) url: String,
    /// Interleaved channels of packets and reports, once set up.
    pub(super) channels: (u8, u8),
    /// The camera's UDP ports, where it named them.
    pub(super) server_ports: Option<(u16, u16)>,
    formats: Vec<u8>,
    rate: u32,
    payload: Payload,
    /// Of the sound; the pictures' track knows them, too.
    audio: Option<AudioParameters>,
    /// Whether documents travel beside the pictures.
    metadata: bool,
    sequence: Sequence,
    pub(super) reorder: Reorder,
    /// When the last packet came.
    last: Option<Moment>,
    /// The last sender report's NTP time, and when it came.
    reported: Option<(u32, Instant)>,
    told: (u64, u64),
}

#[derive(Debug)]
enum Payload {
    Video(Box<Pictures>),
    Audio(Sound),
    Metadata(Documents),
}

/// Which tracks of an offer are recorded, video first. An error lists what was offered.
///
/// # Errors
/// The encodings on offer, if none is a video codec that is recorded.
pub(super) fn choose(offer: &Description, base: &str, audio: bool, metadata: bool) -> Result<Vec<Track>, String> {
    let find = |make: &dyn Fn(&Media) -> Option<Track>| offer.media.iter().find_map(make);
    let url = |media: &Media| address::join(base, media.control.as_deref());
    let video = find(&|media| video_track(offer, media, url(media))).ok_or_else(|| {
        let kinds: Vec<String> = offer.media.iter().map(described).collect();
        kinds.join(", ").chars().filter(|letter| !letter.is_control()).take(200).collect::<String>()
    })?;
    let mut tracks = vec![video];
    if audio {
        tracks.extend(find(&|media| audio_track(offer, media, &url(media))));
    }
    if metadata {
        tracks.extend(find(&|media| metadata_track(media, url(media))));
    }
    Ok(tracks)
}

fn described(media: &Media) -> String {
    let names: Vec<&str> =
        media.formats.iter().filter_map(|format| media.map(*format)).map(|map| map.encoding.as_str()).collect();
    format!("{}/{}", media.kind, names.join("+"))
}

fn video_track(offer: &Description, media: &Media, url: String) -> Option<Track> {
    if media.kind != "video" {
        return None;
    }
    let codec_of = |format: u8| match media.map(format).map(|map| map.encoding.as_str()) {
        Some("H264") => Some(VideoCodec::H264),
        Some("H265" | "HEVC") => Some(VideoCodec::H265),
        Some(_) => None,
        // No rtpmap: the parameters give it away.
        None => {
            let parameters = offer.parameters(media, format);
            let h264 = parameters.get("sprop-parameter-sets").map(|_| VideoCodec::H264);
            h264.or_else(|| parameters.get("sprop-sps").map(|_| VideoCodec::H265))
        }
    };
    let (format, codec) = media.formats.iter().find_map(|format| Some((*format, codec_of(*format)?)))?;
    let parameters = offer.parameters(media, format);
    let numbered = parameters.get("sprop-max-don-diff").and_then(|text| text.parse::<u32>().ok()).is_some_and(|diff| diff > 0);
    let mut pictures = Pictures::new(codec, numbered);
    let lists =
        ["sprop-parameter-sets", "sprop-vps", "sprop-sps", "sprop-pps"].map(|name| parameters.get(name).unwrap_or_default());
    let sets = lists.iter().flat_map(|list| list.split(',')).filter_map(|set| BASE64.decode(set.trim()).ok());
    pictures.offer(&sets.filter(|set| !set.is_empty()).collect::<Vec<_>>());
    let formats = media.formats.iter().copied().filter(|other| codec_of(*other) == Some(codec)).collect();
    Some(Track::new(TrackKind::Video, url, formats, VIDEO_RATE, Payload::Video(Box::new(pictures)), None))
}

fn audio_track(offer: &Description, media: &Media, url: &str) -> Option<Track> {
    // A camera's loudspeaker is no microphone (Q39).
    if media.kind != "audio" || media.backchannel {
        return None;
    }
    media.formats.iter().find_map(|format| {
        let g711 = |codec, map: Option<&Map>| {
            let rate = map.and_then(|map| map.rate).unwrap_or(8_000);
            let channels = map.map_or(1, |map| map.channels);
            (Sound::Plain, AudioParameters { codec, sample_rate: rate, channels, config: Bytes::new() })
        };
        let map = media.map(*format);
        let (sound, parameters) = match (map.map(|map| map.encoding.as_str()), format) {
            (Some("PCMU"), _) | (None, 0) => g711(AudioCodec::Pcmu, map),
            (Some("PCMA"), _) | (None, 8) => g711(AudioCodec::Pcma, map),
            (Some("MPEG4-GENERIC"), _) => {
                let line = offer.parameters(media, *format);
                (Sound::Aac(Aac::new(line)), sound::aac_parameters(map?, line.get("config"))?)
            }
            _ => return None,
        };
        let rate = parameters.sample_rate;
        Some(Track::new(TrackKind::Audio, url.to_owned(), vec![*format], rate, Payload::Audio(sound), Some(parameters)))
    })
}

fn metadata_track(media: &Media, url: String) -> Option<Track> {
    // Documents in EXI are left alone. Of the two names for gzip the first is published, the second is that of newer drafts.
    const READ: [&str; 3] = ["VND.ONVIF.METADATA", "VND.ONVIF.METADATA.GZIP", "VND.ONVIF.METADATA+GZIP"];
    let read = |format: &&u8| media.map(**format).is_some_and(|map| READ.contains(&map.encoding.as_str()));
    let format = media.formats.iter().find(read)?;
    let payload = Payload::Metadata(Documents::default());
    Some(Track::new(TrackKind::Metadata, url, vec![*format], VIDEO_RATE, payload, None))
}

/// Tells the pictures' track what travels beside it, once it is known which tracks the camera agreed to send.
pub(super) fn introduce(tracks: &mut [Track]) {
    let audio = tracks.iter().find_map(|track| track.audio.clone());
    let metadata = tracks.iter().any(|track| track.kind == TrackKind::Metadata);
    for track in tracks.iter_mut().filter(|track| track.kind == TrackKind::Video) {
        (track.audio, track.metadata) = (audio.clone(), metadata);
    }
}

impl Track {
    fn new(kind: TrackKind, url: String, formats: Vec<u8>, rate: u32, payload: Payload, audio: Option<AudioParameters>) -> Self {
        Self {
            kind,
            url,
            channels: (0, 1),
            server_ports: None,
            formats,
            rate,
            payload,
            audio,
            metadata: false,
            sequence: Sequence::default(),
            reorder: Reorder::default(),
            last: None,
            reported: None,
            told: (0, 0),
        }
    }

    /// Takes one RTP packet.
    pub(super) fn packet(&mut self, bytes: &[u8], now: Moment, into: &mut Vec<Item>) {
        let Some(packet) = rtp::parse(bytes) else { return };
        if !self.formats.contains(&packet.payload_type) {
            return self.sequence.pass(packet.ssrc, packet.sequence);
        }
        let (missing, anew) = match self.sequence.judge(packet.ssrc, packet.sequence) {
            Arrival::Next => (0, false),
            Arrival::After(missing) => (missing, false),
            Arrival::Anew => (0, true),
            Arrival::Drop => return,
        };
        if missing > 0 {
            into.push(Item::Lost(missing.into()));
        }
        let before = self.last.replace(now).unwrap_or(now);
        let (track, rate) = (self.kind, self.rate);
        let unit = |key: bool, rtp: u32, data: Bytes, at: Moment| {
            let arrival = timeline::Arrival { rtp, rate, received: at.utc, monotonic: source::monotonic(at.at) };
            Item::Unit(RawUnit { track, key, arrival, data })
        };
        let broken = missing > 0 || anew;
        match &mut self.payload {
            Payload::Audio(sound) => sound.push(&packet, broken, |rtp, data| into.push(unit(true, rtp, data, now))),
            Payload::Metadata(documents) => {
                into.extend(documents.push(&packet, broken).map(|document| unit(true, packet.timestamp, document, now)));
            }
            Payload::Video(pictures) => {
                // A camera that only counts anew, between units, has not lost anything (Q74).
                let broken = missing > 0 || (anew && pictures.is_within_nal());
                pictures.push(&packet, broken, |picture| {
                    if let Some(video) = picture.news {
                        let tracks = Tracks { video, audio: self.audio.clone(), metadata: self.metadata };
                        into.push(Item::Tracks(Arc::new(tracks)));
                    }
                    let at = if picture.rtp == packet.timestamp { now } else { before };
                    into.push(unit(picture.key, picture.rtp, picture.data, at));
                });
                match std::mem::take(&mut pictures.dropped) {
                    0 => {}
                    dropped => into.push(Item::Damaged(dropped)),
                }
            }
        }
    }

    /// Takes one RTCP packet.
    pub(super) fn report(&mut self, bytes: &[u8], now: Moment, into: &mut Vec<Item>) {
        let Some(report) = rtcp::sender_report(bytes) else { return };
        // Reports of others are not about our packets (Q75).
        if self.sequence.highest().is_some_and(|(source, _)| source != report.ssrc) {
            return;
        }
        self.reported = Some((report.middle, now.at));
        if let Some(camera) = report.utc {
            into.push(Item::SenderReport { track: self.kind, rtp: report.rtp, camera, received: now.utc });
        }
    }

    /// What to tell the camera about its packets, once some came.
    pub(super) fn reception(&mut self, now: Instant) -> Option<Reception> {
        let (source, highest) = self.sequence.highest()?;
        let (lost, received) = (self.sequence.lost, self.sequence.received);
        let (lost_since, received_since) = (lost - self.told.0, received - self.told.1);
        self.told = (lost, received);
        let fraction = (lost_since * 256).checked_div(lost_since + received_since).unwrap_or(0).min(255) as u8;
        let (last_report, at) = self.reported.unwrap_or((0, now));
        let since_report = (now.saturating_duration_since(at).as_micros() * 65_536 / 1_000_000) as u32;
        Some(Reception { source, highest, lost, fraction, last_report, since_report })
    }
}

/// The wall clock of a moment: only tests make one from nothing.
#[cfg(test)]
pub(super) fn moment(at: Instant, micros: i64) -> Moment {
    Moment { at, utc: index::model::UtcMicros::from_micros(micros) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::native::{rtp::tests::packet, sdp};

    fn chosen(text: &str, audio: bool, metadata: bool) -> String {
        match choose(&sdp::parse(text.as_bytes()), "rtsp://h/a/", audio, metadata) {
            Ok(tracks) => tracks.iter().map(|t| format!("{:?} {} {:?}", t.kind, t.url, t.formats)).collect::<Vec<_>>().join("; "),
            Err(offered) => format!("none of {offered}"),
        }
    }

    const VIDEO: &str = "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=control:v\n";
    const SOUND: &str = "m=audio 0 RTP/AVP 8\na=control:a\n";
    const DOCUMENTS: &str = "m=application 0 RTP/AVP 107\na=rtpmap:107 vnd.onvif.metadata/90000\na=control:m\n";

    #[test]
    fn only_what_is_asked_for_is_set_up() {
        let all = format!("{SOUND}{VIDEO}{DOCUMENTS}");
        assert_eq!(chosen(&all, false, false), "Video rtsp://h/a/v [96]");
        assert_eq!(chosen(&all, true, true), "Video rtsp://h/a/v [96]; Audio rtsp://h/a/a [8]; Metadata rtsp://h/a/m [107]");
    }

    #[test]
    fn q29_q115_tracks_of_unknown_kind_or_codec_are_not_asked_for() {
        let odd = "m=application/TP-LINK 0 RTP/AVP smart/1/90000\nm=audio 0 RTP/AVP 4\na=rtpmap:4 G723/8000\n";
        assert_eq!(chosen(&format!("{odd}{VIDEO}"), true, true), "Video rtsp://h/a/v [96]");
        assert_eq!(chosen("m=video 0 RTP/AVP 26\na=rtpmap:26 JPEG/90000\n", true, true), "none of video/JPEG");
    }

    #[test]
    fn q39_a_loudspeaker_is_not_asked_for() {
        let both = format!("{VIDEO}m=audio 0 RTP/AVP 0\na=sendonly\na=control:talk\n{SOUND}");
        assert_eq!(chosen(&both, true, false), "Video rtsp://h/a/v [96]; Audio rtsp://h/a/a [8]");
    }

    #[test]
    fn q112_documents_with_gzip_are_asked_for_and_those_in_exi_are_left_alone() {
        let named = |name: &str| chosen(&format!("{VIDEO}{}", DOCUMENTS.replace("metadata/", name)), false, true);
        for gzip in ["metadata.gzip/", "metadata+gzip/"] {
            assert_eq!(named(gzip), "Video rtsp://h/a/v [96]; Metadata rtsp://h/a/m [107]", "{gzip}");
        }
        assert_eq!(named("metadata.exi.onvif/"), "Video rtsp://h/a/v [96]");
    }

    #[test]
    fn a_track_without_a_map_is_known_by_its_parameters() {
        assert_eq!(chosen("m=video 0 RTP/AVP 96\na=fmtp:96 sprop-sps=QgE=\n", false, false), "Video rtsp://h/a/ [96]");
    }

    #[test]
    fn q78_packets_of_other_types_are_neither_video_nor_missing() {
        let mut tracks = choose(&sdp::parse(VIDEO.as_bytes()), "rtsp://h/", false, false).expect("video");
        let (now, mut items) = (moment(Instant::now(), 0), Vec::new());
        let mut foreign = packet(true, 2, 10, &[0x41, 0x9a]);
        foreign[1] = 0x80 | 50;
        for bytes in [packet(true, 1, 10, &[0x65, 0x88]), foreign, packet(true, 2, 20, &[0x41, 0x9a])] {
            tracks[0].packet(&bytes, now, &mut items);
        }
        assert!(matches!(&items[..], [Item::Unit(first), Item::Unit(_)] if first.key), "{items:?}");
    }

    #[test]
    fn q75_reports_about_other_sources_are_ignored() {
        let mut tracks = choose(&sdp::parse(VIDEO.as_bytes()), "rtsp://h/", false, false).expect("video");
        let (now, mut items) = (moment(Instant::now(), 0), Vec::new());
        tracks[0].packet(&packet(false, 1, 10, &[0x65, 0x88]), now, &mut items);
        let mut report = vec![0x80, 200, 0, 6];
        for word in [99u32, 3_900_000_000, 0, 10, 0, 0] {
            report.extend(word.to_be_bytes());
        }
        tracks[0].report(&report, now, &mut items);
        assert!(items.is_empty());
        report[4..8].copy_from_slice(&7u32.to_be_bytes());
        tracks[0].report(&report, now, &mut items);
        assert!(matches!(items[..], [Item::SenderReport { rtp: 10, .. }]));
    }
}
