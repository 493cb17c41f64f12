//! Coded media as it travels from a camera to the disk: access units and the parameters that decode them.

use super::{MediaTicks, UtcMicros};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// How a camera's pictures are coded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoCodec {
    /// ITU-T H.264, ISO/IEC 14496-10.
    H264,
    /// ITU-T H.265, ISO/IEC 23008-2.
    H265,
}

/// What a decoder must know before the first key unit, and a player before it shows anything.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct VideoParameters {
    /// Which codec.
    pub codec: VideoCodec,
    /// Width in pixels, as displayed (after cropping).
    pub width: u16,
    /// Height in pixels, as displayed.
    pub height: u16,
    /// The decoder configuration record: `avcC` (ISO/IEC 14496-15 §5.3.3.1) or `hvcC` (§8.3.3.1), without its box
    /// header. It carries the parameter sets; its NAL length size is 4.
    pub decoder_config: Bytes,
    /// The codec as browsers name it (RFC 6381): `avc1.4d401f`, `hvc1.1.6.L93.b0`.
    pub rfc6381: String,
}

/// How a camera's sound is coded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AudioCodec {
    /// MPEG-4 AAC, low complexity, raw access units.
    Aac,
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
}

/// What a decoder of the sound must know.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct AudioParameters {
    /// Which codec.
    pub codec: AudioCodec,
    /// Samples a second.
    pub sample_rate: u32,
    /// 1 or 2.
    pub channels: u8,
    /// AAC: the AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1). Empty for G.711.
    pub config: Bytes,
}

/// Everything that the units of one recording need beside themselves. Two segments with equal tracks need no new
/// initialisation between them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Tracks {
    /// The pictures; every recording has them.
    pub video: VideoParameters,
    /// The sound, where the camera's configuration gives the legal basis for it.
    pub audio: Option<AudioParameters>,
    /// Whether ONVIF metadata documents are recorded as a third track.
    pub metadata: bool,
}

/// Which of a stream's tracks a unit belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrackKind {
    /// A coded picture.
    Video,
    /// A packet of sound.
    Audio,
    /// One ONVIF metadata document (XML).
    Metadata,
}

impl TrackKind {
    /// The track's number in every MP4 we write: 1 video, 2 audio, 3 metadata.
    #[must_use]
    pub fn track_id(self) -> u32 {
        match self {
            Self::Video => 1,
            Self::Audio => 2,
            Self::Metadata => 3,
        }
    }
}

/// The coded bytes of one picture (or one audio packet, or one metadata document), as received.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessUnit {
    /// Which track it belongs to.
    pub track: TrackKind,
    /// Whether decoding can start here: H.264 NAL type 5, H.265 types 16 to 23. Always true of audio and metadata.
    pub key: bool,
    /// When it is decoded, on the stream's media clock of 1/90 000 s (audio and metadata too). Never runs backwards
    /// within a recording.
    pub decode: MediaTicks,
    /// When it is shown, on the same clock. Differs from `decode` only where the camera sends B-pictures.
    pub present: MediaTicks,
    /// When it was shown to the lens, as well as the node knows: the node's clock, disciplined by the camera's sender reports.
    pub utc: UtcMicros,
    /// When its last packet reached our socket, on the node's clock.
    pub received: UtcMicros,
    /// The RTP timestamp as the camera sent it.
    pub rtp: u32,
    /// Video: NAL units, each behind its length in 4 bytes, big-endian, in the order received (I4), parameter sets
    /// included if they came in-band. Audio: one packet. Metadata: the XML.
    pub data: Bytes,
}

impl AccessUnit {
    /// The NAL units of a video unit, without their lengths. Stops at the first length that does not fit.
    pub fn nal_units(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.data[..];
        std::iter::from_fn(move || {
            let (length, tail) = rest.split_first_chunk::<4>()?;
            let (nal, tail) = tail.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            rest = tail;
            Some(nal)
        })
    }
}

impl VideoCodec {
    /// Whether decoding can start at a NAL unit: an IDR picture of H.264 (type 5), or an IRAP picture of H.265 (types
    /// 16 to 23: BLA, IDR, CRA; many cameras' "H.265+" sends CRA only).
    #[must_use]
    pub fn starts_decoding(self, nal: &[u8]) -> bool {
        match (self, nal.first()) {
            (Self::H264, Some(header)) => header & 0x1f == 5,
            (Self::H265, Some(header)) => (16..=23).contains(&(header >> 1 & 0x3f)),
            (_, None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(data: &'static [u8]) -> AccessUnit {
        AccessUnit {
            track: TrackKind::Video,
            key: true,
            decode: MediaTicks::default(),
            present: MediaTicks::default(),
            utc: UtcMicros::default(),
            received: UtcMicros::default(),
            rtp: 0,
            data: Bytes::from_static(data),
        }
    }

    #[test]
    fn nal_units_end_at_the_first_length_that_lies() {
        let nals: Vec<_> =
            unit(&[0, 0, 0, 1, 0x65, 0, 0, 0, 2, 0x06, 0x05, 0, 0, 0, 9, 1]).nal_units().map(<[u8]>::to_vec).collect();
        assert_eq!(nals, [vec![0x65], vec![0x06, 0x05]]);
        assert_eq!(unit(&[0, 0]).nal_units().count(), 0);
    }

    #[test]
    fn h265_cra_pictures_start_decoding() {
        let cra = [21 << 1, 1];
        assert!(VideoCodec::H265.starts_decoding(&cra));
        assert!(!VideoCodec::H265.starts_decoding(&[1 << 1, 1]));
        assert!(VideoCodec::H264.starts_decoding(&[0x65]) && !VideoCodec::H264.starts_decoding(&[0x41]));
        assert!(!VideoCodec::H264.starts_decoding(&[]));
    }
}
