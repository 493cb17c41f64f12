//! The movie box of an export: one file with all its samples in tables, as every player and court reads it.

use super::{
    boxes::{Put, boxed, full},
    init::{mvhd, tracks_present, trak},
    timescale,
};
use crate::model::{TrackKind, Tracks};
use bytes::Bytes;

/// One sample of a track.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SampleRow {
    /// How long it lasts, in the track's units (see [`timescale`]).
    pub duration: u32,
    /// Its bytes.
    pub size: u32,
    /// Presentation minus decode time, in the track's units.
    pub composition: i32,
    /// Whether decoding can start at it.
    pub key: bool,
}

/// All samples of one track, and where they lie in the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrackTable {
    /// Which track.
    pub track: TrackKind,
    /// In decode order.
    pub samples: Vec<SampleRow>,
    /// Runs of samples that lie together: the offset in the file of the first, and how many.
    pub chunks: Vec<(u64, u32)>,
}

/// What stands at the start of an export: `ftyp`, the movie box, and the header of a 64-bit `mdat` that holds `mdat_len` bytes. Chunk
/// offsets in `tables` count from the first byte inside `mdat`: the layout is the same whatever the header's length.
#[must_use]
pub fn movie_header(tracks: &Tracks, tables: &[TrackTable], mdat_len: u64) -> Bytes {
    let mut out = super::ftyp();
    let length = movie(tracks, tables, 0).len();
    let first = (out.len() + length + 16) as u64;
    out.extend_from_slice(&movie(tracks, tables, first));
    out.u32(1);
    out.extend_from_slice(b"mdat");
    out.u64(mdat_len + 16);
    out.into()
}

/// The movie box alone; `shift` is added to every chunk's offset. Its length does not depend on `shift`.
#[must_use]
pub fn movie(tracks: &Tracks, tables: &[TrackTable], shift: u64) -> Bytes {
    let mut out = Vec::new();
    let length = |table: &TrackTable| table.samples.iter().map(|sample| u64::from(sample.duration)).sum::<u64>();
    let millis = tables.iter().map(|table| length(table).saturating_mul(1000) / u64::from(timescale(tracks, table.track))).max();
    boxed(&mut out, b"moov", |out| {
        mvhd(out, millis.unwrap_or(0));
        for track in tracks_present(tracks) {
            let Some(table) = tables.iter().find(|table| table.track == track && !table.samples.is_empty()) else {
                continue;
            };
            trak(out, tracks, track, length(table), |out| sample_tables(out, table, shift));
        }
    });
    out.into()
}

fn sample_tables(out: &mut Vec<u8>, table: &TrackTable, shift: u64) {
    runs(out, b"stts", 0, table.samples.iter().map(|sample| sample.duration));
    if table.samples.iter().any(|sample| sample.composition != 0) {
        runs(out, b"ctts", 1, table.samples.iter().map(|sample| sample.composition as u32));
    }
    if table.samples.iter().any(|sample| !sample.key) {
        let keys = || table.samples.iter().enumerate().filter(|(_, sample)| sample.key);
        full(out, b"stss", 0, 0, |out| {
            out.u32(keys().count() as u32);
            keys().for_each(|(i, _)| out.u32(i as u32 + 1));
        });
    }
    full(out, b"stsz", 0, 0, |out| {
        out.u32(0);
        out.u32(table.samples.len() as u32);
        table.samples.iter().for_each(|sample| out.u32(sample.size));
    });
    full(out, b"stsc", 0, 0, |out| {
        let count_at = out.len();
        out.u32(0);
        let (mut rows, mut last) = (0u32, None);
        for (i, (_, samples)) in table.chunks.iter().enumerate() {
            if last != Some(samples) {
                out.u32(i as u32 + 1);
                out.u32(*samples);
                out.u32(1);
                rows += 1;
                last = Some(samples);
            }
        }
        out[count_at..count_at + 4].copy_from_slice(&rows.to_be_bytes());
    });
    full(out, b"co64", 0, 0, |out| {
        out.u32(table.chunks.len() as u32);
        table.chunks.iter().for_each(|(offset, _)| out.u64(offset + shift));
    });
}

/// A table of equal values in a row: count and value.
fn runs(out: &mut Vec<u8>, kind: &[u8; 4], version: u8, values: impl Iterator<Item = u32>) {
    full(out, kind, version, 0, |out| {
        let count_at = out.len();
        out.u32(0);
        let (mut rows, mut current) = (0u32, None::<(u32, u32)>);
        for value in values {
            match &mut current {
                Some((count, same)) if *same == value => *count += 1,
                _ => {
                    if let Some((count, same)) = current.replace((1, value)) {
                        out.u32(count);
                        out.u32(same);
                        rows += 1;
                    }
                }
            }
        }
        if let Some((count, same)) = current {
            out.u32(count);
            out.u32(same);
            rows += 1;
        }
        out[count_at..count_at + 4].copy_from_slice(&rows.to_be_bytes());
    });
}
