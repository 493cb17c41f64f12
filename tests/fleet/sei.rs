//! The stamp that each simulated camera puts into every access unit: which camera and stream, the unit's number, when it
//! was taken, and a checksum of the picture. It is an SEI message, user data unregistered (H.264 §D.2.7, H.265 §D.3.7),
//! which decoders skip and recorders must keep (I4).
//!
//! The payload is written in nibbles from 0x40 to 0x4f, so that no byte sequence in it can look like a start code: it needs
//! no emulation prevention, has a constant length, and can be patched in place in a packet made beforehand.

/// The identity of our SEI messages among all that cameras send.
pub const UUID: [u8; 16] = *b"HAOHE-FLEET-SEI1";

/// What one access unit says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The simulated camera's index, from 1.
    pub camera: u32,
    /// 0 main, 1 sub.
    pub stream: u8,
    /// The camera's own number of this picture since the fleet started; it also counts while nobody is connected.
    pub counter: u64,
    /// When the picture was taken: UTC microseconds of the fleet's clock.
    pub utc_us: i64,
    /// CRC32C over the bytes of the unit's VCL NAL units, in order. Parameter sets and SEI are left out: a driver may move them.
    pub crc: u32,
}

const FIELDS: usize = 4 + 1 + 8 + 8 + 4;
const PAYLOAD: usize = UUID.len() + 2 * FIELDS;

/// Length of the SEI NAL unit in bytes, with its header, for H.264 and H.265.
#[must_use]
pub const fn nal_len(hevc: bool) -> usize {
    header(hevc).len() + 2 + PAYLOAD + 1
}

const fn header(hevc: bool) -> &'static [u8] {
    // H.264: nal_unit_type 6. H.265: type 39 (prefix SEI), layer 0, temporal id 1.
    if hevc { &[39 << 1, 1] } else { &[6] }
}

/// Writes the whole NAL unit. `out` must have [`nal_len`] bytes.
///
/// # Panics
/// If `out` has another length.
pub fn write(stamp: &Stamp, hevc: bool, out: &mut [u8]) {
    assert_eq!(out.len(), nal_len(hevc), "the SEI's place has its exact length");
    let header = header(hevc);
    let (start, rest) = out.split_at_mut(header.len());
    start.copy_from_slice(header);
    // payloadType 5, payloadSize, payload, rbsp_trailing_bits.
    rest[0] = 5;
    rest[1] = PAYLOAD as u8;
    rest[2..18].copy_from_slice(&UUID);
    let mut fields = [0; FIELDS];
    fields[..4].copy_from_slice(&stamp.camera.to_be_bytes());
    fields[4] = stamp.stream;
    fields[5..13].copy_from_slice(&stamp.counter.to_be_bytes());
    fields[13..21].copy_from_slice(&stamp.utc_us.to_be_bytes());
    fields[21..].copy_from_slice(&stamp.crc.to_be_bytes());
    for (pair, byte) in rest[18..].chunks_exact_mut(2).zip(fields) {
        pair.copy_from_slice(&[0x40 | byte >> 4, 0x40 | byte & 0xf]);
    }
    rest[2 + PAYLOAD] = 0x80;
}

/// Reads a NAL unit. `None` if it is not one of ours.
#[must_use]
pub fn parse(nal: &[u8], hevc: bool) -> Option<Stamp> {
    let body = nal.strip_prefix(header(hevc))?.strip_prefix(&[5, PAYLOAD as u8])?.strip_prefix(&UUID)?;
    let mut fields = [0; FIELDS];
    for (pair, byte) in body.get(..2 * FIELDS)?.chunks_exact(2).zip(&mut fields) {
        if pair[0] >> 4 != 4 || pair[1] >> 4 != 4 {
            return None;
        }
        *byte = pair[0] << 4 | pair[1] & 0xf;
    }
    let (camera, rest) = fields.split_first_chunk()?;
    let (stream, rest) = rest.split_first()?;
    let (counter, rest) = rest.split_first_chunk()?;
    let (utc_us, rest) = rest.split_first_chunk()?;
    let (crc, _) = rest.split_first_chunk()?;
    Some(Stamp {
        camera: u32::from_be_bytes(*camera),
        stream: *stream,
        counter: u64::from_be_bytes(*counter),
        utc_us: i64::from_be_bytes(*utc_us),
        crc: u32::from_be_bytes(*crc),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_comes_back_and_never_holds_a_start_code() {
        for hevc in [false, true] {
            for stamp in [
                Stamp { camera: 0, stream: 0, counter: 0, utc_us: 0, crc: 0 },
                Stamp { camera: 300, stream: 1, counter: u64::MAX, utc_us: i64::MIN, crc: u32::MAX },
            ] {
                let mut nal = vec![0; nal_len(hevc)];
                write(&stamp, hevc, &mut nal);
                assert_eq!(parse(&nal, hevc), Some(stamp));
                assert!(!nal.windows(2).any(|pair| pair == [0, 0]));
            }
        }
    }

    #[test]
    fn other_messages_are_not_ours() {
        assert_eq!(parse(&[6, 5, 20, 1, 2, 3], false), None);
        assert_eq!(parse(&[], true), None);
    }
}
