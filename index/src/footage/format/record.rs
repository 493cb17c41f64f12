//! The header in front of each fragment, and the padding behind it.

use super::{BLOCK, RECORD_HEADER, checksum_around, get, is_uuid_head, put, put_uuid_head};
use crate::footage::planted::{Bug, planted};
use crate::model::{ClockReading, MediaTicks, UtcMicros, Window};
use std::time::Duration;

const MAGIC: u32 = u32::from_le_bytes(*b"HHR1");
const MEDIA: u8 = 1;
const FLAG_KEY: u8 = 1;
const AT_CRC: usize = 28;
const AT_CHAIN: usize = 168;
const NO_OFFSET: i32 = i32::MIN;

/// The place of a record among those that were made durable together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::footage) struct CommitSpan {
    /// Counts the commits of a segment from 1; n + 1 is written only after n is durable.
    pub(in crate::footage) commit: u64,
    /// The number of the commit's first record in this segment.
    pub(in crate::footage) first: u32,
}

/// What stands before each fragment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::footage) struct RecordHeader {
    pub(in crate::footage) incarnation: u64,
    pub(in crate::footage) span: CommitSpan,
    /// Counts the records of a segment from 0.
    pub(in crate::footage) record: u32,
    /// See [`crate::model::StreamId::to_raw`].
    pub(in crate::footage) stream: u32,
    pub(in crate::footage) starts_with_key: bool,
    /// Bytes of `moof` + `mdat`.
    pub(in crate::footage) payload_len: u32,
    /// Bytes of the `free` box behind them.
    pub(in crate::footage) pad_len: u32,
    pub(in crate::footage) payload_crc: u32,
    /// The first picture.
    pub(in crate::footage) utc: UtcMicros,
    pub(in crate::footage) received: UtcMicros,
    pub(in crate::footage) decode: MediaTicks,
    pub(in crate::footage) rtp: u32,
    pub(in crate::footage) duration_us: u32,
    /// Microseconds since the machine started.
    pub(in crate::footage) monotonic_us: u64,
    pub(in crate::footage) clock: ClockReading,
    pub(in crate::footage) samples: u16,
    pub(in crate::footage) moof_len: u32,
    /// Bytes of the first video unit, which stand right behind the `mdat`'s header; 0 if there is none.
    pub(in crate::footage) lead_len: u32,
    pub(in crate::footage) lead_crc: u32,
    /// Of the `moof` and the `mdat`'s header, so that the first unit can be read and checked alone; 0 in records of earlier versions.
    pub(in crate::footage) moof_crc: u32,
    /// The block of the file that it stands in, so that one that a disk wrote elsewhere in the same file is none; 0 in records of earlier
    /// versions.
    pub(in crate::footage) block: u32,
    /// BLAKE3 of the payload.
    pub(in crate::footage) hash: [u8; 32],
    /// BLAKE3 of the chain value before it and of this header: see [`chain`].
    pub(in crate::footage) chain: [u8; 32],
}

impl RecordHeader {
    /// Bytes from this record to the next.
    pub(in crate::footage) fn total_len(&self) -> u64 {
        RECORD_HEADER as u64 + u64::from(self.payload_len) + u64::from(self.pad_len)
    }

    /// Its time.
    pub(in crate::footage) fn window(&self) -> Window {
        Window::new(self.utc, self.utc + Duration::from_micros(u64::from(self.duration_us)))
    }

    /// Writes the header, which must be followed by the payload. Fills in `chain` from the value before it.
    pub(in crate::footage) fn encode(&mut self, before: &[u8; 32], out: &mut [u8; RECORD_HEADER]) {
        out.fill(0);
        put_uuid_head(out, RECORD_HEADER as u32, b"rec1");
        put(out, 24, MAGIC.to_le_bytes());
        put(out, 32, self.incarnation.to_le_bytes());
        put(out, 40, self.span.commit.to_le_bytes());
        put(out, 48, self.record.to_le_bytes());
        out[52] = MEDIA;
        out[53] = if self.starts_with_key { FLAG_KEY } else { 0 };
        put(out, 54, self.clock.error_ms.to_le_bytes());
        put(out, 56, self.stream.to_le_bytes());
        put(out, 60, self.payload_len.to_le_bytes());
        put(out, 64, self.pad_len.to_le_bytes());
        put(out, 68, self.payload_crc.to_le_bytes());
        put(out, 72, self.utc.as_micros().to_le_bytes());
        put(out, 80, self.duration_us.to_le_bytes());
        put(out, 84, self.rtp.to_le_bytes());
        put(out, 88, self.monotonic_us.to_le_bytes());
        put(out, 96, self.clock.epoch.to_le_bytes());
        put(out, 100, self.clock.camera_offset_ms.unwrap_or(NO_OFFSET).to_le_bytes());
        put(out, 104, self.span.first.to_le_bytes());
        put(out, 108, self.moof_len.to_le_bytes());
        put(out, 112, self.lead_len.to_le_bytes());
        put(out, 116, self.lead_crc.to_le_bytes());
        put(out, 120, self.received.as_micros().to_le_bytes());
        put(out, 128, self.decode.get().to_le_bytes());
        put(out, 136, self.hash);
        put(out, 200, self.samples.to_le_bytes());
        put(out, 204, self.moof_crc.to_le_bytes());
        put(out, 208, self.block.to_le_bytes());
        self.chain = chain(before, out);
        put(out, AT_CHAIN, self.chain);
        let crc = checksum_around(self.incarnation, out, AT_CRC);
        put(out, AT_CRC, crc.to_le_bytes());
    }

    /// Reads a header at an offset of the file with that incarnation. `None` for anything else (F1), be it a single wrong bit, or a place
    /// that it was not written for.
    pub(in crate::footage) fn decode(bytes: &[u8], incarnation: u64, offset: u64) -> Option<Self> {
        let bytes: &[u8; RECORD_HEADER] = bytes.first_chunk()?;
        if !is_uuid_head(bytes, RECORD_HEADER as u32, b"rec1") || get(bytes, 24) != MAGIC.to_le_bytes() || bytes[52] != MEDIA {
            return None;
        }
        let header = Self {
            incarnation: u64::from_le_bytes(get(bytes, 32)),
            span: CommitSpan { commit: u64::from_le_bytes(get(bytes, 40)), first: u32::from_le_bytes(get(bytes, 104)) },
            record: u32::from_le_bytes(get(bytes, 48)),
            stream: u32::from_le_bytes(get(bytes, 56)),
            starts_with_key: bytes[53] & FLAG_KEY != 0,
            payload_len: u32::from_le_bytes(get(bytes, 60)),
            pad_len: u32::from_le_bytes(get(bytes, 64)),
            payload_crc: u32::from_le_bytes(get(bytes, 68)),
            utc: UtcMicros::from_micros(i64::from_le_bytes(get(bytes, 72))),
            received: UtcMicros::from_micros(i64::from_le_bytes(get(bytes, 120))),
            decode: MediaTicks::new(i64::from_le_bytes(get(bytes, 128))),
            rtp: u32::from_le_bytes(get(bytes, 84)),
            duration_us: u32::from_le_bytes(get(bytes, 80)),
            monotonic_us: u64::from_le_bytes(get(bytes, 88)),
            clock: ClockReading {
                epoch: u32::from_le_bytes(get(bytes, 96)),
                error_ms: u16::from_le_bytes(get(bytes, 54)),
                camera_offset_ms: Some(i32::from_le_bytes(get(bytes, 100))).filter(|&ms| ms != NO_OFFSET),
            },
            samples: u16::from_le_bytes(get(bytes, 200)),
            moof_len: u32::from_le_bytes(get(bytes, 108)),
            lead_len: u32::from_le_bytes(get(bytes, 112)),
            lead_crc: u32::from_le_bytes(get(bytes, 116)),
            moof_crc: u32::from_le_bytes(get(bytes, 204)),
            block: u32::from_le_bytes(get(bytes, 208)),
            hash: get(bytes, 136),
            chain: get(bytes, AT_CHAIN),
        };
        let sound = (header.incarnation == incarnation || planted(Bug::NoIncarnation))
            && checksum_around(incarnation, bytes, AT_CRC).to_le_bytes() == get(bytes, AT_CRC)
            && (header.block == 0 || u64::from(header.block) * BLOCK as u64 == offset)
            && header.total_len().is_multiple_of(BLOCK as u64)
            && u64::from(header.moof_len) + 8 + u64::from(header.lead_len) <= u64::from(header.payload_len);
        sound.then_some(header)
    }
}

/// The chain value of a record: BLAKE3 of the value before it, and of its header with chain and checksum still zero. Whoever
/// keeps the last value of a segment can tell whether any byte before it was changed since.
pub(in crate::footage) fn chain(before: &[u8; 32], header: &[u8; RECORD_HEADER]) -> [u8; 32] {
    let mut clean = *header;
    put(&mut clean, AT_CRC, [0; 4]);
    put(&mut clean, AT_CHAIN, [0; 32]);
    let mut hasher = blake3::Hasher::new();
    hasher.update(before);
    hasher.update(&clean);
    *hasher.finalize().as_bytes()
}

/// Bytes of the `free` box that brings a record with this payload to a whole number of blocks: none, or at least the 8 of
/// its header.
pub(in crate::footage) fn pad_len(payload: usize) -> usize {
    match (BLOCK - (RECORD_HEADER + payload) % BLOCK) % BLOCK {
        0 => 0,
        short @ 1..8 => short + BLOCK,
        pad => pad,
    }
}

/// Writes that box; `pad` is 0 or as long as [`pad_len`] says.
pub(in crate::footage) fn write_pad(pad: &mut [u8]) {
    pad.fill(0);
    if pad.len() >= 8 {
        let length = pad.len() as u32;
        put(pad, 0, length.to_be_bytes());
        put(pad, 4, *b"free");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(payload: u32, incarnation: u64) -> RecordHeader {
        RecordHeader {
            incarnation,
            span: CommitSpan { commit: 7, first: 11 },
            record: 12,
            stream: 8337,
            starts_with_key: true,
            payload_len: payload,
            pad_len: pad_len(payload as usize) as u32,
            payload_crc: 0xdead_beef,
            utc: UtcMicros::from_micros(1_700_000_000_123_456),
            received: UtcMicros::from_micros(1_700_000_000_223_456),
            decode: MediaTicks::new(987_654_321),
            rtp: 0xffff_0000,
            duration_us: 1_000_000,
            monotonic_us: 55_555,
            clock: ClockReading { epoch: 3, error_ms: 12, camera_offset_ms: Some(-4000) },
            samples: 25,
            moof_len: 500,
            lead_len: payload - 508,
            lead_crc: 77,
            moof_crc: 78,
            block: 16,
            hash: [9; 32],
            chain: [0; 32],
        }
    }

    proptest! {
        #[test]
        fn a_header_comes_back_as_it_was_written(payload in 600u32..4_000_000, incarnation: u64, offset in prop::option::of(-90_000i32..90_000), key: bool) {
            let mut header = header(payload, incarnation);
            header.clock.camera_offset_ms = offset;
            header.starts_with_key = key;
            let mut bytes = [0; RECORD_HEADER];
            header.encode(&[1; 32], &mut bytes);
            prop_assert_eq!(RecordHeader::decode(&bytes, incarnation, 65_536), Some(header));
            prop_assert_eq!(RecordHeader::decode(&bytes, incarnation.wrapping_add(1), 65_536), None);
            prop_assert_eq!(RecordHeader::decode(&bytes, incarnation, 65_536 + 4096), None, "it stands elsewhere");
        }

        #[test]
        fn a_record_ends_on_a_block(payload in 0usize..20_000) {
            let pad = pad_len(payload);
            prop_assert_eq!((RECORD_HEADER + payload + pad) % BLOCK, 0);
            prop_assert!(pad == 0 || pad >= 8);
        }
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_seen() {
        let mut bytes = [0; RECORD_HEADER];
        header(5000, 42).encode(&[0; 32], &mut bytes);
        for bit in 0..RECORD_HEADER * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RecordHeader::decode(&flipped, 42, 65_536), None, "bit {bit}");
        }
    }

    #[test]
    fn a_change_anywhere_changes_the_chain() {
        let mut bytes = [0; RECORD_HEADER];
        header(5000, 42).encode(&[0; 32], &mut bytes);
        let whole = chain(&[0; 32], &bytes);
        assert_ne!(chain(&[1; 32], &bytes), whole);
        bytes[80] ^= 1;
        assert_ne!(chain(&[0; 32], &bytes), whole);
    }
}
