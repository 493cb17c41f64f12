//! What a camera says about its stream (RFC 4566): tracks, codecs, parameter sets.

use crate::{
    audio::AudioClip,
    packets::{Packets, VIDEO_TYPE},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use index::model::{AudioCodec, VideoCodec};
use std::fmt::Write;

/// Payload type of ONVIF metadata.
pub(crate) const METADATA_TYPE: u8 = 107;

/// Which track a control URL `trackID=N` names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum TrackName {
    /// `trackID=0`
    Video,
    /// `trackID=1`
    Audio,
    /// `trackID=2`
    Metadata,
}

impl TrackName {
    /// The track that the last part of a path names.
    #[must_use]
    pub(crate) fn of(part: &str) -> Option<Self> {
        [Self::Video, Self::Audio, Self::Metadata].into_iter().find(|track| track.control() == part)
    }

    /// `trackID=0` and so on.
    #[must_use]
    pub(crate) fn control(self) -> &'static str {
        match self {
            Self::Video => "trackID=0",
            Self::Audio => "trackID=1",
            Self::Metadata => "trackID=2",
        }
    }
}

/// The description of one stream.
#[must_use]
pub(crate) fn describe(session: u64, packets: &Packets, audio: Option<&AudioClip>, metadata: bool) -> String {
    let mut text = format!(
        "v=0\r\no=- {session} 1 IN IP4 127.0.0.1\r\ns=Simulated camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\na=range:npt=now-\r\n"
    );
    text.push_str(&video(packets));
    if let Some(audio) = audio {
        text.push_str(&sound(audio));
    }
    if metadata {
        let control = TrackName::Metadata.control();
        let _ = write!(
            text,
            "m=application 0 RTP/AVP {METADATA_TYPE}\r\na=rtpmap:{METADATA_TYPE} vnd.onvif.metadata/90000\r\na=control:{control}\r\na=recvonly\r\n"
        );
    }
    text
}

fn video(packets: &Packets) -> String {
    let sets: Vec<_> = packets.parameter_sets.iter().map(|set| STANDARD.encode(set)).collect();
    let (name, parameters) = match (packets.spec.codec, &sets[..]) {
        (VideoCodec::H264, _) => {
            let profile = packets.parameter_sets.first().and_then(|sps| sps.get(1..4)).unwrap_or(&[66, 0, 30]);
            let profile: String = profile.iter().map(|byte| format!("{byte:02X}")).collect();
            ("H264", format!("packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={}", sets.join(",")))
        }
        (VideoCodec::H265, [vps, sps, pps]) => ("H265", format!("sprop-vps={vps};sprop-sps={sps};sprop-pps={pps}")),
        (VideoCodec::H265, _) => ("H265", "sprop-max-don-diff=0".to_owned()),
    };
    let (kbit, control) = (packets.bits_per_second() / 1000, TrackName::Video.control());
    let rate = packets.spec.frames_per_second;
    format!(
        "m=video 0 RTP/AVP {VIDEO_TYPE}\r\nb=AS:{kbit}\r\na=rtpmap:{VIDEO_TYPE} {name}/90000\r\n\
         a=fmtp:{VIDEO_TYPE} {parameters}\r\na=framerate:{rate}\r\na=control:{control}\r\na=recvonly\r\n"
    )
}

fn sound(audio: &AudioClip) -> String {
    let (payload_type, rate, control) = (audio.payload_type, audio.sample_rate, TrackName::Audio.control());
    let map = match audio.codec {
        AudioCodec::Pcma => format!("a=rtpmap:{payload_type} PCMA/{rate}\r\n"),
        AudioCodec::Pcmu => format!("a=rtpmap:{payload_type} PCMU/{rate}\r\n"),
        AudioCodec::Aac => {
            let config: String = audio.config.iter().map(|byte| format!("{byte:02x}")).collect();
            format!(
                "a=rtpmap:{payload_type} mpeg4-generic/{rate}/1\r\na=fmtp:{payload_type} streamtype=5;profile-level-id=1;\
                 mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config={config}\r\n"
            )
        }
    };
    format!("m=audio 0 RTP/AVP {payload_type}\r\n{map}a=control:{control}\r\na=recvonly\r\n")
}
