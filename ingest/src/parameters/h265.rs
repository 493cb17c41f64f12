//! H.265: the sequence parameter set (§7.3.2.2.1) as far as the bit depths, and the `hvcC` record (ISO/IEC 14496-15 §8.3.3.1).

use super::{bits::Bits, put_set, take_set};
use bytes::Bytes;

/// `general_profile_space` to `general_level_idc`: 12 bytes, copied as they stand (§7.3.3).
const PROFILE_BYTES: usize = 12;

#[derive(Debug)]
pub(super) struct Sps {
    sub_layers: u8,
    nested: bool,
    profile: [u8; PROFILE_BYTES],
    chroma_format: u32,
    depth_luma: u32,
    depth_chroma: u32,
    pub(super) width: u16,
    pub(super) height: u16,
}

impl Sps {
    pub(super) fn read(nal: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(nal.get(2..)?);
        bits.skip(4)?; // sps_video_parameter_set_id
        let sub_layers = u8::try_from(bits.bits(3)?).ok()? + 1;
        let nested = bits.bit()?;
        let mut profile = [0; PROFILE_BYTES];
        for byte in &mut profile {
            *byte = u8::try_from(bits.bits(8)?).ok()?;
        }
        sub_layer_profiles(&mut bits, usize::from(sub_layers) - 1)?;
        bits.ue()?; // sps_seq_parameter_set_id
        let chroma_format = bits.ue()?;
        let separate_planes = chroma_format == 3 && bits.bit()?;
        let (width, height) = (bits.ue()?, bits.ue()?);
        let (mut crop_width, mut crop_height) = (0, 0);
        if bits.bit()? {
            let (unit_x, unit_y) = match (separate_planes, chroma_format) {
                (false, 1) => (2, 2),
                (false, 2) => (2, 1),
                _ => (1, 1),
            };
            crop_width = bits.ue()?.checked_add(bits.ue()?)?.checked_mul(unit_x)?;
            crop_height = bits.ue()?.checked_add(bits.ue()?)?.checked_mul(unit_y)?;
        }
        let (depth_luma, depth_chroma) = (bits.ue()?, bits.ue()?);
        let width = u16::try_from(width.checked_sub(crop_width)?).ok()?;
        let height = u16::try_from(height.checked_sub(crop_height)?).ok()?;
        Some(Self { sub_layers, nested, profile, chroma_format, depth_luma, depth_chroma, width, height })
    }

    /// ISO/IEC 14496-15 annex E.3: profile, compatibility flags in reverse, tier and level, constraint bytes.
    pub(super) fn rfc6381(&self) -> String {
        let [general, c0, c1, c2, c3, constraints @ .., level] = self.profile;
        let space = ["", "A", "B", "C"][usize::from(general >> 6)];
        let tier = if general >> 5 & 1 == 1 { 'H' } else { 'L' };
        let compatible = u32::from_be_bytes([c0, c1, c2, c3]).reverse_bits();
        let mut text = format!("hvc1.{space}{}.{compatible:x}.{tier}{level}", general & 0x1f);
        let used = constraints.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
        for byte in &constraints[..used] {
            text.push_str(&format!(".{byte:x}"));
        }
        text
    }
}

fn sub_layer_profiles(bits: &mut Bits, count: usize) -> Option<()> {
    if count == 0 {
        return Some(());
    }
    let mut present = Vec::with_capacity(count);
    for _ in 0..count {
        present.push((bits.bit()?, bits.bit()?));
    }
    bits.skip(2 * (8 - count))?;
    for (profile, level) in present {
        bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
    }
    Some(())
}

/// The record, with 4-byte lengths; one array for each kind of set, its NAL type before it.
pub(super) fn hvcc(read: &Sps, arrays: [(u8, &Vec<Bytes>); 3]) -> Vec<u8> {
    let low = |value: u32, mask: u32| (value & mask) as u8;
    let mut out = vec![1];
    out.extend_from_slice(&read.profile);
    // Spatial segmentation and parallelism: unknown; reserved bits are ones.
    out.extend_from_slice(&[0xf0, 0, 0xfc]);
    out.extend_from_slice(&[0xfc | low(read.chroma_format, 3), 0xf8 | low(read.depth_luma, 7), 0xf8 | low(read.depth_chroma, 7)]);
    // Average frame rate: unknown.
    out.extend_from_slice(&[0, 0, read.sub_layers << 3 | u8::from(read.nested) << 2 | 3]);
    let filled = arrays.into_iter().filter(|(_, sets)| !sets.is_empty());
    out.push(filled.clone().count() as u8);
    for (kind, sets) in filled {
        // The array holds every set of its kind.
        out.push(0x80 | kind);
        out.extend_from_slice(&(sets.len() as u16).to_be_bytes());
        sets.iter().for_each(|set| put_set(&mut out, set));
    }
    out
}

pub(super) fn sets_of<'a>(record: &'a [u8], sets: &mut Vec<&'a [u8]>) -> Option<()> {
    let arrays = *record.get(22)?;
    let mut rest = &record[23..];
    for _ in 0..arrays {
        let (head, tail) = rest.split_first_chunk::<3>()?;
        rest = tail;
        for _ in 0..u16::from_be_bytes([head[1], head[2]]) {
            take_set(&mut rest, sets)?;
        }
    }
    Some(())
}
