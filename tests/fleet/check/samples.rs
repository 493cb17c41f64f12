//! Finds the video samples of an MP4 file, fragmented (a segment, playback) or progressive (an export).

use super::boxes::{boxes, find, path, u32_at, u64_at};
use std::ops::Range;

/// Where one video sample's bytes are in its file.
pub(super) type Sample = Range<usize>;

/// What a file's first `moov` says.
pub(super) struct Movie {
    /// The number of the video track.
    track: u32,
    /// Whether the video is H.265.
    pub(super) hevc: bool,
    /// Default sample size of the track's fragments (`trex`).
    default_size: u32,
}

/// Reads the video track of a file; `None` if it has none.
pub(super) fn movie(file: &[u8]) -> Option<Movie> {
    let moov = find(file, b"moov")?.payload;
    let trak = boxes(moov).filter(|b| &b.kind == b"trak").map(|b| b.payload).find(|trak| is_video(trak))?;
    let track = track_id(trak)?;
    let stsd = path(trak, &[b"mdia", b"minf", b"stbl", b"stsd"])?;
    let entry: [u8; 4] = stsd.get(12..16)?.try_into().ok()?;
    let trex =
        path(moov, &[b"mvex"]).and_then(|mvex| boxes(mvex).find(|b| &b.kind == b"trex" && u32_at(b.payload, 4) == Some(track)));
    Some(Movie {
        track,
        hevc: matches!(&entry, b"hvc1" | b"hev1"),
        default_size: trex.and_then(|t| u32_at(t.payload, 16)).unwrap_or(0),
    })
}

fn is_video(trak: &[u8]) -> bool {
    path(trak, &[b"mdia", b"hdlr"]).and_then(|hdlr| hdlr.get(8..12)) == Some(b"vide")
}

fn track_id(trak: &[u8]) -> Option<u32> {
    let tkhd = find(trak, b"tkhd")?.payload;
    // Version 1 has 64-bit times before the number.
    u32_at(tkhd, if tkhd.first()? == &1 { 20 } else { 12 })
}

/// The video samples in the order in which the file gives them to a player.
pub(super) fn samples(file: &[u8], movie: &Movie) -> Vec<Sample> {
    let fragmented: Vec<_> =
        boxes(file).filter(|b| &b.kind == b"moof").flat_map(|moof| of_fragment(moof.payload, moof.start, movie)).collect();
    if fragmented.is_empty() { of_tables(file, movie).unwrap_or_default() } else { fragmented }
}

fn of_fragment(moof: &[u8], moof_start: usize, movie: &Movie) -> Vec<Sample> {
    boxes(moof)
        .filter(|b| &b.kind == b"traf")
        .filter_map(|traf| of_track_fragment(traf.payload, moof_start, movie))
        .flatten()
        .collect()
}

/// `tfhd` and `trun`: ISO/IEC 14496-12 §8.8.7 and §8.8.8.
fn of_track_fragment(traf: &[u8], moof_start: usize, movie: &Movie) -> Option<Vec<Sample>> {
    let tfhd = find(traf, b"tfhd")?.payload;
    if u32_at(tfhd, 4)? != movie.track {
        return None;
    }
    let flags = u32_at(tfhd, 0)? & 0xff_ffff;
    let mut at = 8;
    let mut base = moof_start;
    if flags & 0x1 != 0 {
        base = usize::try_from(u64_at(tfhd, at)?).ok()?;
        at += 8;
    }
    at += 4 * (flags & 0x2 != 0) as usize + 4 * (flags & 0x8 != 0) as usize;
    let default_size = if flags & 0x10 != 0 { u32_at(tfhd, at)? } else { movie.default_size };
    let mut samples = Vec::new();
    let mut next = base;
    for trun in boxes(traf).filter(|b| &b.kind == b"trun") {
        next = of_run(trun.payload, base, next, default_size, &mut samples)?;
    }
    Some(samples)
}

fn of_run(trun: &[u8], base: usize, next: usize, default_size: u32, samples: &mut Vec<Sample>) -> Option<usize> {
    let flags = u32_at(trun, 0)? & 0xff_ffff;
    let count = u32_at(trun, 4)?;
    let mut at = 8;
    let mut position = next;
    if flags & 0x1 != 0 {
        position = base.checked_add_signed(u32_at(trun, at)?.cast_signed() as isize)?;
        at += 4;
    }
    at += 4 * (flags & 0x4 != 0) as usize;
    for _ in 0..count {
        at += 4 * (flags & 0x100 != 0) as usize;
        let size = if flags & 0x200 != 0 { u32_at(trun, at)? } else { default_size } as usize;
        at += 4 * (flags & 0x200 != 0) as usize + 4 * (flags & 0x400 != 0) as usize + 4 * (flags & 0x800 != 0) as usize;
        samples.push(position..position.checked_add(size)?);
        position += size;
    }
    Some(position)
}

/// `stsz`, `stsc`, `stco`/`co64`: a progressive file's sample tables, §8.7.
fn of_tables(file: &[u8], movie: &Movie) -> Option<Vec<Sample>> {
    let moov = find(file, b"moov")?.payload;
    let trak = boxes(moov).find(|b| &b.kind == b"trak" && track_id(b.payload) == Some(movie.track))?.payload;
    let stbl = path(trak, &[b"mdia", b"minf", b"stbl"])?;
    let stsz = find(stbl, b"stsz")?.payload;
    let (uniform, count) = (u32_at(stsz, 4)?, u32_at(stsz, 8)? as usize);
    let size = |i: usize| if uniform != 0 { Some(uniform) } else { u32_at(stsz, 12 + 4 * i) };
    let offsets: Vec<u64> = match find(stbl, b"co64") {
        Some(co64) => (0..u32_at(co64.payload, 4)? as usize).filter_map(|i| u64_at(co64.payload, 8 + 8 * i)).collect(),
        None => {
            let stco = find(stbl, b"stco")?.payload;
            (0..u32_at(stco, 4)? as usize).filter_map(|i| u32_at(stco, 8 + 4 * i).map(u64::from)).collect()
        }
    };
    let stsc = find(stbl, b"stsc")?.payload;
    let runs: Vec<(usize, usize)> = (0..u32_at(stsc, 4)? as usize)
        .filter_map(|i| Some((u32_at(stsc, 8 + 12 * i)? as usize, u32_at(stsc, 12 + 12 * i)? as usize)))
        .collect();
    let mut samples = Vec::with_capacity(count.min(file.len()));
    for (chunk, offset) in offsets.iter().enumerate() {
        let per_chunk = runs.iter().rev().find(|(first, _)| *first <= chunk + 1)?.1;
        let mut position = usize::try_from(*offset).ok()?;
        for _ in 0..per_chunk {
            if samples.len() == count {
                return Some(samples);
            }
            let length = size(samples.len())? as usize;
            samples.push(position..position.checked_add(length)?);
            position += length;
        }
    }
    Some(samples)
}
