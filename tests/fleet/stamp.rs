//! The stamp that every access unit carries, so that what was stored, played or exported can be compared with what was
//! sent, unit by unit, without trusting anything in between.
//!
//! It travels as a NAL unit of its own: SEI, user data unregistered (H.264 type 6, H.265 prefix SEI), our UUID, then each
//! half-byte of the fields as one byte 0x40 to 0x4f. So no emulation prevention is ever needed and the length never
//! changes: a session patches the bytes in place.

use index::model::{CameraId, StreamId, UtcMicros, VideoCodec};

/// Marks our SEI among others. Without a zero byte, so that it needs no emulation prevention either.
pub const STAMP_UUID: [u8; 16] = [0x9d, 0x5c, 0x3a, 0x71, 0xe8, 0x46, 0x4b, 0x1f, 0xa2, 0x6e, 0x48, 0x61, 0x6f, 0x68, 0x65, 0x21];

/// camera u32, stream u8, counter u64, utc i64, all u32, slices u32, own u32, each byte as two.
const FIELDS: usize = 4 + 1 + 8 + 8 + 4 + 4 + 4;
const PAYLOAD: usize = 16 + FIELDS * 2;

/// What a stamp says about its access unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Whose picture, which encoding.
    pub stream: StreamId,
    /// The camera's own number of the picture since the fleet started; it also counts while nobody looks.
    pub counter: u64,
    /// When the picture was taken, by the fleet's clock.
    pub utc: UtcMicros,
    /// The checksum of all other NAL units of the access unit, see [`checksum`].
    pub all: u32,
    /// The checksum of its slices alone: tells a recorder that drops parameter sets from one that damages pictures.
    pub slices: u32,
}

/// Why a NAL unit that carries our UUID is no stamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StampError {
    /// It is cut short or holds bytes that no stamp holds.
    #[error("the stamp is cut short or holds foreign bytes")]
    Shape,
    /// Its own checksum does not match.
    #[error("the stamp's own checksum does not match")]
    Checksum,
    /// It names no stream.
    #[error("the stamp names no stream")]
    Stream,
}

/// How many bytes the NAL unit takes: a constant per codec.
#[must_use]
pub(crate) fn nal_length(codec: VideoCodec) -> usize {
    header(codec).len() + 2 + PAYLOAD + 1
}

fn header(codec: VideoCodec) -> &'static [u8] {
    match codec {
        VideoCodec::H264 => &[6],
        VideoCodec::H265 => &[39 << 1, 1],
    }
}

/// The NAL unit with all fields zero: the template that [`Stamp::patch`] fills.
#[must_use]
pub(crate) fn template(codec: VideoCodec) -> Vec<u8> {
    let mut nal = header(codec).to_vec();
    nal.extend([5, PAYLOAD as u8]);
    nal.extend(STAMP_UUID);
    nal.extend([0x40; FIELDS * 2]);
    nal.push(0x80);
    nal
}

/// The CRC32C over NAL units in their order, each behind its length as four bytes, big-endian.
#[must_use]
pub fn checksum<'a>(nals: impl Iterator<Item = &'a [u8]>) -> u32 {
    nals.fold(0, |sum, nal| {
        let sum = crc32c::crc32c_append(sum, &(nal.len() as u32).to_be_bytes());
        crc32c::crc32c_append(sum, nal)
    })
}

/// Whether a NAL unit is part of a picture: H.264 types 1 to 5, H.265 below 32.
#[must_use]
pub(crate) fn is_slice(codec: VideoCodec, nal: &[u8]) -> bool {
    match (codec, nal.first()) {
        (VideoCodec::H264, Some(header)) => (1..=5).contains(&(header & 0x1f)),
        (VideoCodec::H265, Some(header)) => (header >> 1 & 0x3f) < 32,
        (_, None) => false,
    }
}

impl Stamp {
    fn fields(&self) -> [u8; FIELDS] {
        let mut bytes = [0; FIELDS];
        bytes[..4].copy_from_slice(&u32::from(self.stream.camera).to_be_bytes());
        bytes[4] = self.stream.kind as u8;
        bytes[5..13].copy_from_slice(&self.counter.to_be_bytes());
        bytes[13..21].copy_from_slice(&self.utc.as_micros().to_be_bytes());
        bytes[21..25].copy_from_slice(&self.all.to_be_bytes());
        bytes[25..29].copy_from_slice(&self.slices.to_be_bytes());
        let own = crc32c::crc32c(&bytes[..29]);
        bytes[29..].copy_from_slice(&own.to_be_bytes());
        bytes
    }

    /// Writes the fields into a NAL unit made by [`template`]. A slice of another length is left alone.
    pub fn patch(&self, codec: VideoCodec, nal: &mut [u8]) {
        let from = header(codec).len() + 2 + 16;
        let Some(target) = nal.get_mut(from..from + FIELDS * 2) else { return };
        for (pair, byte) in target.chunks_exact_mut(2).zip(self.fields()) {
            pair[0] = 0x40 | byte >> 4;
            pair[1] = 0x40 | byte & 15;
        }
    }

    /// Reads a NAL unit. `None` if it is not ours; a slice, a parameter set or another's SEI.
    #[must_use]
    pub fn read(codec: VideoCodec, nal: &[u8]) -> Option<Result<Self, StampError>> {
        let payload = nal.strip_prefix(header(codec))?.strip_prefix(&[5, PAYLOAD as u8])?;
        let coded = payload.strip_prefix(&STAMP_UUID)?;
        Some(Self::decode(coded))
    }

    fn decode(coded: &[u8]) -> Result<Self, StampError> {
        let coded = coded.get(..FIELDS * 2).ok_or(StampError::Shape)?;
        if coded.iter().any(|byte| byte & 0xf0 != 0x40) {
            return Err(StampError::Shape);
        }
        let mut bytes = [0u8; FIELDS];
        for (byte, pair) in bytes.iter_mut().zip(coded.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1] & 15;
        }
        let u32_at = |at: usize| bytes[at..at + 4].iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte));
        let u64_at = |at: usize| u64::from(u32_at(at)) << 32 | u64::from(u32_at(at + 4));
        if u32_at(29) != crc32c::crc32c(&bytes[..29]) {
            return Err(StampError::Checksum);
        }
        let camera = CameraId::new(u32_at(0)).map_err(|_| StampError::Stream)?;
        let kind = index::model::StreamKind::ALL.into_iter().find(|kind| *kind as u8 == bytes[4]).ok_or(StampError::Stream)?;
        Ok(Self {
            stream: StreamId::new(camera, kind),
            counter: u64_at(5),
            utc: UtcMicros::from_micros(u64_at(13) as i64),
            all: u32_at(21),
            slices: u32_at(25),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        let stream = "1042/sub".parse().expect("a stream");
        Stamp { stream, counter: 1 << 40 | 3, utc: UtcMicros::from_micros(1_800_000_000_000_001), all: 7, slices: u32::MAX }
    }

    #[test]
    fn a_stamp_survives_the_trip_through_a_nal_unit_of_either_codec() {
        for codec in [VideoCodec::H264, VideoCodec::H265] {
            let mut nal = template(codec);
            assert_eq!(nal.len(), nal_length(codec));
            stamp().patch(codec, &mut nal);
            assert_eq!(Stamp::read(codec, &nal), Some(Ok(stamp())));
            let zeros = nal.windows(2).filter(|pair| pair == &[0, 0]).count();
            assert_eq!(zeros, 0, "emulation prevention would be needed");
        }
    }

    #[test]
    fn an_altered_stamp_is_told_from_a_foreign_sei() {
        let codec = VideoCodec::H264;
        let mut nal = template(codec);
        stamp().patch(codec, &mut nal);
        let at = nal.len() - 20;
        nal[at] ^= 1;
        assert_eq!(Stamp::read(codec, &nal), Some(Err(StampError::Checksum)));
        nal[at] = 0;
        assert_eq!(Stamp::read(codec, &nal), Some(Err(StampError::Shape)));
        assert_eq!(Stamp::read(codec, &nal[..40]), Some(Err(StampError::Shape)));
        assert_eq!(Stamp::read(codec, &[6, 5, 20, 1, 2, 3]), None);
        assert_eq!(Stamp::read(codec, &[]), None);
    }
}
