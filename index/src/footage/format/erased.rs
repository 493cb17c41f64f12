//! What stands in the place of a fragment that was erased by order: a `free` box of the same length, so that players pass over it, with a
//! mark that says by which order and when, and zeros. The record's header before it stays as it was, hash and chain included, so
//! the chain still verifies and shows what is gone.

use super::{checksum_around, get, put};
use crate::model::UtcMicros;

const MAGIC: u64 = u64::from_le_bytes(*b"HAOHEERA");
const AT_CRC: usize = 40;

/// Bytes of the mark, its box's head included.
pub(in crate::footage) const ERASE_MARK: usize = 64;

/// By which order a fragment was erased, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::footage) struct EraseMark {
    pub(in crate::footage) order: u64,
    pub(in crate::footage) at: UtcMicros,
}

impl EraseMark {
    /// What is written over a payload of `length` bytes, at least [`ERASE_MARK`].
    pub(in crate::footage) fn payload(self, length: u32, incarnation: u64) -> Vec<u8> {
        let mut out = vec![0; (length as usize).max(ERASE_MARK)];
        put(&mut out, 0, length.to_be_bytes());
        put(&mut out, 4, *b"free");
        put(&mut out, 8, MAGIC.to_le_bytes());
        put(&mut out, 16, incarnation.to_le_bytes());
        put(&mut out, 24, self.order.to_le_bytes());
        put(&mut out, 32, self.at.as_micros().to_le_bytes());
        let crc = checksum_around(incarnation, &out[..ERASE_MARK], AT_CRC);
        put(&mut out, AT_CRC, crc.to_le_bytes());
        out
    }

    /// Reads the mark at the start of a payload. `None` if it was not erased.
    pub(in crate::footage) fn read(payload: &[u8], incarnation: u64) -> Option<Self> {
        let mark = payload.get(..ERASE_MARK)?;
        let sound = get(mark, 4) == *b"free"
            && get(mark, 8) == MAGIC.to_le_bytes()
            && u64::from_le_bytes(get(mark, 16)) == incarnation
            && checksum_around(incarnation, mark, AT_CRC).to_le_bytes() == get(mark, AT_CRC);
        sound.then(|| Self {
            order: u64::from_le_bytes(get(mark, 24)),
            at: UtcMicros::from_micros(i64::from_le_bytes(get(mark, 32))),
        })
    }

    /// As [`EraseMark::read`], and nothing but zeros stands behind the mark.
    pub(in crate::footage) fn read_whole(payload: &[u8], incarnation: u64) -> Option<Self> {
        let mark = Self::read(payload, incarnation)?;
        payload[ERASE_MARK..].iter().all(|byte| *byte == 0).then_some(mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_and_a_flipped_bit_or_a_byte_behind_it_is_seen() {
        let mark = EraseMark { order: 12, at: UtcMicros::from_micros(1_795_000_000_000_000) };
        let payload = mark.payload(9000, 77);
        assert_eq!((payload.len(), EraseMark::read_whole(&payload, 77)), (9000, Some(mark)));
        assert_eq!(EraseMark::read(&payload, 78), None, "another use of the file");
        for bit in 32..ERASE_MARK * 8 {
            let mut flipped = payload.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(EraseMark::read(&flipped, 77), None, "bit {bit}");
        }
        let mut left = payload;
        left[8000] = 1;
        assert_eq!(EraseMark::read_whole(&left, 77), None);
    }
}
