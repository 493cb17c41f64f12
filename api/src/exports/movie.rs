//! One camera's footage as progressive MP4: the movie box in front, every received NAL byte behind it (I4).
//!
//! The box's size follows from all samples, so the pictures are first copied to a raw file, then put behind the box. Time in
//! the file is the time of day: the last sample before a gap lasts until the gap's end.

use super::ManifestFile;
use crate::{
    recorded::{Footage, Part, unreadable},
    refusal::Refusal,
};
use index::{
    footage::{
        Fragment,
        mp4::{self, SampleRow, TrackTable},
    },
    model::{StreamId, TrackKind, Tracks, UtcMicros},
};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::Path,
};

/// Told of bytes copied; says whether to go on.
type Copied<'a> = &'a dyn Fn(u64) -> Result<(), Refusal>;

/// Writes the files of one stream: one, and another wherever its tracks change.
pub(super) fn write(dir: &Path, stream: StreamId, footage: &Footage, copied: Copied<'_>) -> Result<Vec<ManifestFile>, Refusal> {
    let mut files = Vec::new();
    let mut rest = &footage.parts[..];
    while let Some(first) = rest.first() {
        let same = rest.iter().take_while(|part| part.tracks == first.tracks).count();
        let (parts, later) = rest.split_at(same);
        let number = files.len() + 1;
        let name = if number == 1 { format!("{}.mp4", stream.camera) } else { format!("{}-{number}.mp4", stream.camera) };
        files.push(write_one(dir, name, stream, footage, parts, copied)?);
        rest = later;
    }
    Ok(files)
}

fn write_one(
    dir: &Path,
    name: String,
    stream: StreamId,
    footage: &Footage,
    parts: &[Part],
    copied: Copied<'_>,
) -> Result<ManifestFile, Refusal> {
    let failed = |error: io::Error| Refusal::failed("write an export", &error);
    let raw = dir.join(format!("{name}.raw"));
    let tracks = &parts[0].tracks;
    let mut body = Body::new(tracks, &raw).map_err(failed)?;
    let (mut clock_error_ms, mut camera_offset) = (0, None);
    let mut end: Option<UtcMicros> = None;
    for part in parts {
        let fragment = footage.reader.fetch(&part.fragment).map_err(|error| unreadable(&error))?;
        if let Some(end) = end.filter(|_| !part.continues) {
            body.hold(part.fragment.window.from.micros_from(end));
        }
        end = Some(part.fragment.window.to);
        body.add(&fragment).map_err(failed)?;
        clock_error_ms = clock_error_ms.max(fragment.clock().error_ms);
        camera_offset = fragment.clock().camera_offset_ms.or(camera_offset);
        copied(u64::from(part.fragment.length))?;
    }
    let pictures = body.tables.first().map_or(0, |table| table.samples.len() as u64);
    let (bytes, sha256) = body.finish(&dir.join(&name), &raw).map_err(failed)?;
    Ok(ManifestFile {
        camera: stream.camera,
        name: String::new(),
        stream: stream.kind,
        file: name,
        bytes,
        sha256,
        from_us: parts[0].fragment.window.from.as_micros(),
        to_us: end.unwrap_or_default().as_micros(),
        pictures,
        clock_error_ms,
        camera_clock_offset_ms: camera_offset,
        gaps: Vec::new(),
    })
}

/// Samples on their way into a file.
struct Body<'a> {
    tracks: &'a Tracks,
    tables: Vec<TrackTable>,
    out: BufWriter<File>,
    length: u64,
}

impl<'a> Body<'a> {
    fn new(tracks: &'a Tracks, raw: &Path) -> io::Result<Self> {
        // Video first; ONVIF metadata stays in the node: it is for search, and no player shows it.
        let kinds = [Some(TrackKind::Video), tracks.audio.as_ref().map(|_| TrackKind::Audio)];
        let table = |track| TrackTable { track, samples: Vec::new(), chunks: Vec::new() };
        let tables = kinds.into_iter().flatten().map(table).collect();
        Ok(Self { tracks, tables, out: BufWriter::with_capacity(1 << 20, File::create(raw)?), length: 0 })
    }

    fn add(&mut self, fragment: &Fragment) -> io::Result<()> {
        let bytes = fragment.bytes();
        for table in &mut self.tables {
            let start = self.length;
            let before = table.samples.len();
            for (row, offset) in fragment.samples(table.track) {
                let size = row.size as usize;
                self.out.write_all(&bytes[offset..offset + size])?;
                self.length += size as u64;
                table.samples.push(row);
            }
            let count = (table.samples.len() - before) as u32;
            if count > 0 {
                table.chunks.push((start, count));
            }
        }
        Ok(())
    }

    /// The last samples last so much longer.
    fn hold(&mut self, micros: i64) {
        for table in &mut self.tables {
            let scale = i64::from(mp4::timescale(self.tracks, table.track));
            if let Some(SampleRow { duration, .. }) = table.samples.last_mut() {
                let more = u32::try_from(micros.saturating_mul(scale) / 1_000_000).unwrap_or(0);
                *duration = duration.saturating_add(more);
            }
        }
    }

    fn finish(mut self, path: &Path, raw: &Path) -> io::Result<(u64, String)> {
        self.out.flush()?;
        let mut out = Hashing { inner: BufWriter::with_capacity(1 << 20, File::create(path)?), hash: Sha256::new(), bytes: 0 };
        out.write_all(&mp4::movie_header(self.tracks, &self.tables, self.length))?;
        let mut pictures = File::open(raw)?;
        let mut block = vec![0; 1 << 20];
        loop {
            let read = pictures.read(&mut block)?;
            if read == 0 {
                break;
            }
            out.write_all(&block[..read])?;
        }
        out.inner.flush()?;
        out.inner.get_ref().sync_all()?;
        fs::remove_file(raw)?;
        let sha256 = out.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok((out.bytes, sha256))
    }
}

struct Hashing {
    inner: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Hashing {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.inner.write_all(bytes)
    }
}
