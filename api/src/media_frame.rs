//! The binary frames of the media socket.
//!
//! 20 bytes of header, then the payload; all numbers big-endian:
//!
//! ```text
//! u8 version = 1 | u8 type | u16 channel | u32 sequence | i64 UTC µs | u32 age µs
//! type 0 init   u16 length of the codec string | codec string | u16 width | u16 height | decoder configuration record
//! type 1 key    one access unit, NAL units behind 4-byte lengths; decoding can start here
//! type 2 delta  one access unit that needs the ones before it
//! type 3 gap    nothing; units were left out, a key unit follows
//! ```
//! The sequence counts a channel's frames from 0. The age is the time from the unit's last packet at our socket to this
//! frame's making: the node's own share of the latency, measured on every unit.

use bytes::{BufMut, Bytes, BytesMut};
use index::model::{AccessUnit, Tracks, UtcMicros};

/// Bytes before the payload.
pub const HEADER: usize = 20;
const VERSION: u8 = 1;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameType {
    /// What decodes the units that follow.
    Init = 0,
    /// A key unit.
    Key = 1,
    /// Another unit.
    Delta = 2,
    /// Units were left out.
    Gap = 3,
}

fn frame(kind: FrameType, channel: u16, sequence: u32, utc: UtcMicros, age: u32, payload: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(HEADER + payload);
    out.put_u8(VERSION);
    out.put_u8(kind as u8);
    out.put_u16(channel);
    out.put_u32(sequence);
    out.put_i64(utc.as_micros());
    out.put_u32(age);
    out
}

/// The payload that announces how a stream's units are decoded; key-unit answers use it too.
#[must_use]
pub fn init_payload(tracks: &Tracks) -> Bytes {
    let video = &tracks.video;
    let mut out = BytesMut::with_capacity(6 + video.rfc6381.len() + video.decoder_config.len());
    out.put_u16(u16::try_from(video.rfc6381.len()).unwrap_or(0));
    out.put_slice(video.rfc6381.as_bytes());
    out.put_u16(video.width);
    out.put_u16(video.height);
    out.put_slice(&video.decoder_config);
    out.freeze()
}

/// A frame that carries [`init_payload`].
#[must_use]
pub fn init(channel: u16, sequence: u32, tracks: &Tracks) -> Bytes {
    let payload = init_payload(tracks);
    let mut out = frame(FrameType::Init, channel, sequence, UtcMicros::default(), 0, payload.len());
    out.put_slice(&payload);
    out.freeze()
}

/// A frame that carries one access unit. One copy: the header differs between viewers, and a socket takes one piece.
#[must_use]
pub fn unit(channel: u16, sequence: u32, unit: &AccessUnit, now: UtcMicros) -> Bytes {
    let kind = if unit.key { FrameType::Key } else { FrameType::Delta };
    let age = u32::try_from(now.since(unit.received).as_micros()).unwrap_or(u32::MAX);
    let mut out = frame(kind, channel, sequence, unit.utc, age, unit.data.len());
    out.put_slice(&unit.data);
    out.freeze()
}

/// A frame that says units were left out.
#[must_use]
pub fn gap(channel: u16, sequence: u32, now: UtcMicros) -> Bytes {
    frame(FrameType::Gap, channel, sequence, now, 0, 0).freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use index::model::{MediaTicks, TrackKind, VideoCodec, VideoParameters};

    #[test]
    fn a_unit_follows_twenty_bytes_that_say_which_and_when() {
        let key = AccessUnit {
            track: TrackKind::Video,
            key: true,
            decode: MediaTicks::default(),
            present: MediaTicks::default(),
            utc: UtcMicros::from_micros(0x0102_0304_0506_0708),
            received: UtcMicros::from_micros(1_000),
            rtp: 0,
            data: Bytes::from_static(&[0, 0, 0, 1, 0x65]),
        };
        let frame = unit(0x0a0b, 7, &key, UtcMicros::from_micros(1_258));
        assert_eq!(frame[..], [1, 1, 10, 11, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 1, 2, 0, 0, 0, 1, 0x65]);
    }

    #[test]
    fn init_names_codec_and_size_before_the_configuration_record() {
        let video = VideoParameters {
            codec: VideoCodec::H264,
            width: 640,
            height: 360,
            decoder_config: Bytes::from_static(&[1, 2]),
            rfc6381: "avc1.4d401e".to_owned(),
        };
        let payload = init_payload(&Tracks { video, audio: None, metadata: false });
        assert_eq!(payload[..2], [0, 11]);
        assert_eq!(&payload[2..13], b"avc1.4d401e");
        assert_eq!(payload[13..], [2, 128, 1, 104, 1, 2]);
    }
}
