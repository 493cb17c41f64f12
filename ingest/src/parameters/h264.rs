//! H.264: the sequence parameter set (§7.3.2.1.1) as far as the cropping, and the `avcC` record (ISO/IEC 14496-15 §5.3.3.1).

use super::{bits::Bits, put_set, take_set};
use bytes::Bytes;

#[derive(Debug)]
pub(super) struct Sps {
    /// Profile, constraint flags, level: the three bytes after the header.
    profile: [u8; 3],
    chroma_format: u32,
    depth_luma: u32,
    depth_chroma: u32,
    pub(super) width: u16,
    pub(super) height: u16,
}

impl Sps {
    pub(super) fn read(nal: &[u8]) -> Option<Self> {
        let profile = *nal.get(1..4)?.first_chunk::<3>()?;
        let mut bits = Bits::new(&nal[4..]);
        bits.ue()?; // seq_parameter_set_id
        let (mut chroma_format, mut depth_luma, mut depth_chroma, mut separate_planes) = (1, 0, 0, false);
        if has_chroma(profile[0]) {
            chroma_format = bits.ue()?;
            if chroma_format == 3 {
                separate_planes = bits.bit()?;
            }
            depth_luma = bits.ue()?;
            depth_chroma = bits.ue()?;
            bits.bit()?; // qpprime_y_zero_transform_bypass_flag
            if bits.bit()? {
                scaling_lists(&mut bits, if chroma_format == 3 { 12 } else { 8 })?;
            }
        }
        bits.ue()?; // log2_max_frame_num_minus4
        match bits.ue()? {
            0 => drop(bits.ue()?),
            1 => {
                bits.bit()?;
                bits.se()?;
                bits.se()?;
                let cycle = bits.ue()?;
                if cycle > 255 {
                    return None;
                }
                for _ in 0..cycle {
                    bits.se()?;
                }
            }
            _ => {}
        }
        bits.ue()?; // max_num_ref_frames
        bits.bit()?; // gaps_in_frame_num_value_allowed_flag
        let width = bits.ue()?.checked_add(1)?.checked_mul(16)?;
        let map_units = bits.ue()?.checked_add(1)?.checked_mul(16)?;
        let frames_only = bits.bit()?;
        if !frames_only {
            bits.bit()?; // mb_adaptive_frame_field_flag
        }
        let fields = if frames_only { 1 } else { 2 };
        let height = map_units.checked_mul(fields)?;
        bits.bit()?; // direct_8x8_inference_flag
        let (mut crop_width, mut crop_height) = (0, 0);
        if bits.bit()? {
            let (unit_x, unit_y) = match (separate_planes, chroma_format) {
                (false, 1) => (2, 2 * fields),
                (false, 2) => (2, fields),
                _ => (1, fields),
            };
            crop_width = bits.ue()?.checked_add(bits.ue()?)?.checked_mul(unit_x)?;
            crop_height = bits.ue()?.checked_add(bits.ue()?)?.checked_mul(unit_y)?;
        }
        let width = u16::try_from(width.checked_sub(crop_width)?).ok()?;
        let height = u16::try_from(height.checked_sub(crop_height)?).ok()?;
        Some(Self { profile, chroma_format, depth_luma, depth_chroma, width, height })
    }

    pub(super) fn rfc6381(&self) -> String {
        let [profile, constraints, level] = self.profile;
        format!("avc1.{profile:02x}{constraints:02x}{level:02x}")
    }
}

/// The profiles whose parameter sets name a chroma format.
fn has_chroma(profile: u8) -> bool {
    [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135].contains(&profile)
}

fn scaling_lists(bits: &mut Bits, lists: usize) -> Option<()> {
    for list in 0..lists {
        if !bits.bit()? {
            continue;
        }
        let (mut last, mut next) = (8_i32, 8_i32);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = last.checked_add(bits.se()?)?.rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

/// The record, with 4-byte lengths; `None` for more sets than it can count.
pub(super) fn avcc(read: &Sps, sps: &[Bytes], pps: &[Bytes]) -> Option<Vec<u8>> {
    let [profile, constraints, level] = read.profile;
    let mut out = vec![1, profile, constraints, level, 0xff, 0xe0 | u8::try_from(sps.len()).ok().filter(|n| *n < 32)?];
    sps.iter().for_each(|set| put_set(&mut out, set));
    out.push(u8::try_from(pps.len()).ok()?);
    pps.iter().for_each(|set| put_set(&mut out, set));
    if ![66, 77, 88].contains(&profile) {
        let low = |value: u32, mask: u32| (value & mask) as u8;
        out.extend_from_slice(&[
            0xfc | low(read.chroma_format, 3),
            0xf8 | low(read.depth_luma, 7),
            0xf8 | low(read.depth_chroma, 7),
            0,
        ]);
    }
    Some(out)
}

pub(super) fn sets_of<'a>(record: &'a [u8], sets: &mut Vec<&'a [u8]>) -> Option<()> {
    let mut rest = record.get(6..)?;
    for _ in 0..record[5] & 0x1f {
        take_set(&mut rest, sets)?;
    }
    let (&count, tail) = rest.split_first()?;
    rest = tail;
    for _ in 0..count {
        take_set(&mut rest, sets)?;
    }
    Some(())
}
