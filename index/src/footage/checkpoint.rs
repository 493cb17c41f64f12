//! A volume's checkpoint: what a start would otherwise have to read from every file. Written now and then, replaced whole, checked
//! by checksum, and never needed: a volume without one is read file by file in the background.

use super::{
    catalogue::{Catalogue, SegmentKey, SegmentMeta},
    disk::Disk,
    format::{ENTRY, Entry},
    pool::Size,
    volume::{Volume, lock},
};
use crate::model::{RetentionClass, StreamId, UtcMicros, VolumeId, Window};
use std::{io, sync::atomic::Ordering};

const NAME: &str = "catalogue.bin";
const MAGIC: u64 = u64::from_le_bytes(*b"HAOHECAT");
const VERSION: u16 = 2;

/// What a volume held when the checkpoint was written.
#[derive(Clone, Default, PartialEq, Debug)]
pub(super) struct Checkpoint {
    /// Its number: each that is begun has the next.
    pub(super) number: u32,
    /// Segments in use: those with entries were being written. The last is the size, by its place in [`Size::ALL`].
    pub(super) segments: Vec<(StreamId, SegmentMeta, u8)>,
    /// Free files by size, in the order in which they are used.
    pub(super) free: [Vec<u32>; 2],
}

/// Writes what the catalogue and the pool know of a volume. Files that were freed since the last time may be used again then.
pub(super) fn write(volume: &Volume, catalogue: &Catalogue) -> io::Result<()> {
    // A file that is freed from here on may have been used since: it is marked by this number.
    let number = volume.checkpoints.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
    // The free list first: a file that is taken meanwhile stands in both, and is then looked into.
    let (free, freed) = {
        let pool = lock(&volume.pool);
        let freed = pool.limbo();
        let of = |size| freed.iter().filter(move |(_, other)| *other == size).map(|(number, _)| *number);
        (Size::ALL.map(|size| pool.free_numbers(size).chain(of(size)).collect()), freed.clone())
    };
    let mut segments = Vec::new();
    for (stream, index) in &*catalogue.read() {
        let mine = index.segments().iter().filter(|segment| segment.key.volume == volume.index);
        // Of what is being erased the file itself says at the next start how far that is.
        let mine = mine.filter(|segment| !volume.is_erasing(segment.key));
        segments.extend(mine.map(|segment| (*stream, segment.clone(), Size::of(stream.kind) as u8)));
    }
    volume.disk.replace_small(NAME, &encode(volume.id, &Checkpoint { number, segments, free }))?;
    lock(&volume.pool).release(&freed);
    Ok(())
}

/// Reads it. `None` if there is none, or it is not whole, or another volume's.
pub(super) fn read(disk: &dyn Disk, id: VolumeId, volume: u16) -> Option<Checkpoint> {
    let bytes = match disk.read_small(NAME) {
        Ok(bytes) => bytes,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(%error, "catalogue checkpoint unreadable, reading every file");
            }
            return None;
        }
    };
    let checkpoint = decode(&bytes, id, volume);
    if checkpoint.is_none() {
        tracing::warn!("catalogue checkpoint damaged, reading every file");
    }
    checkpoint
}

fn encode(id: VolumeId, checkpoint: &Checkpoint) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + checkpoint.segments.len() * 80);
    out.extend(MAGIC.to_le_bytes());
    out.extend(VERSION.to_le_bytes());
    out.extend(id.to_bytes());
    out.extend(checkpoint.number.to_le_bytes());
    out.extend((checkpoint.segments.len() as u32).to_le_bytes());
    for (stream, meta, size) in &checkpoint.segments {
        out.extend(stream.to_raw().to_le_bytes());
        out.extend(meta.key.number.to_le_bytes());
        out.extend(meta.key.incarnation.to_le_bytes());
        out.extend(meta.bytes.to_le_bytes());
        out.extend(meta.records.to_le_bytes());
        out.extend(meta.end.to_le_bytes());
        out.extend([meta.class.code(), *size, u8::from(meta.entries.is_some()), 0]);
        out.extend((meta.spans().len() as u32).to_le_bytes());
        for span in meta.spans() {
            out.extend(span.from.as_micros().to_le_bytes());
            out.extend(span.to.as_micros().to_le_bytes());
        }
        if let Some(entries) = &meta.entries {
            out.extend((entries.len() as u32).to_le_bytes());
            for entry in entries {
                let mut bytes = [0; ENTRY];
                entry.encode(&mut bytes);
                out.extend(bytes);
            }
        }
    }
    for free in &checkpoint.free {
        out.extend((free.len() as u32).to_le_bytes());
        free.iter().for_each(|number| out.extend(number.to_le_bytes()));
    }
    let crc = crc32c::crc32c(&out);
    out.extend(crc.to_le_bytes());
    out
}

fn decode(bytes: &[u8], id: VolumeId, volume: u16) -> Option<Checkpoint> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let mut from = Cursor(body);
    if from.u64()? != MAGIC || u16::from_le_bytes(from.take()?) != VERSION || from.take::<16>()? != id.to_bytes() {
        return None;
    }
    let mut checkpoint = Checkpoint { number: from.u32()?, ..Checkpoint::default() };
    for _ in 0..from.u32()? {
        let stream = StreamId::from_raw(from.u32()?)?;
        let key = SegmentKey { volume, number: from.u32()?, incarnation: from.u64()? };
        let (bytes, records, end) = (from.u64()?, from.u32()?, from.u64()?);
        let [class, size, open, _] = from.take()?;
        let spans = (0..from.u32()?).map(|_| from.window()).collect::<Option<Vec<_>>>()?;
        let entries = match open {
            0 => None,
            _ => Some((0..from.u32()?).map(|_| Some(Entry::decode(&from.take::<ENTRY>()?))).collect::<Option<Vec<_>>>()?),
        };
        let class = RetentionClass::from_code(class);
        let mut meta = SegmentMeta { key, window: *spans.first()?, holes: None, bytes, records, class, end, entries };
        meta.set_spans(&spans);
        checkpoint.segments.push((stream, meta, size));
    }
    for free in &mut checkpoint.free {
        *free = (0..from.u32()?).map(|_| from.u32()).collect::<Option<_>>()?;
    }
    Some(checkpoint)
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn window(&mut self) -> Option<Window> {
        let mut instant = || self.take().map(|bytes| UtcMicros::from_micros(i64::from_le_bytes(bytes)));
        Some(Window::new(instant()?, instant()?))
    }
}

/// Removes the checkpoint, so that the next start reads every file.
pub(super) fn remove(disk: &dyn Disk) -> io::Result<()> {
    match disk.remove(NAME) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => disk.sync_dir(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_comes_back_and_a_damaged_one_does_not() {
        let window = |from, to| Window::new(UtcMicros::from_micros(from), UtcMicros::from_micros(to));
        let key = SegmentKey { volume: 3, number: 7, incarnation: 99 };
        let mut sealed = SegmentMeta {
            key,
            window: window(0, 1),
            holes: None,
            bytes: 5,
            records: 2,
            class: RetentionClass::KeyTarget,
            end: 70_000,
            entries: None,
        };
        sealed.set_spans(&[window(5, 9), window(1_000_000, 2_000_000)]);
        let entry = Entry {
            utc: UtcMicros::from_micros(5),
            duration_us: 4,
            block: 16,
            payload_len: 600,
            lead_len: 50,
            moof_len: 300,
            samples: 25,
            starts_with_key: true,
        };
        let open = SegmentMeta { entries: Some(vec![entry; 3]), ..sealed.clone() };
        let stream = StreamId::from_raw(17).expect("a stream");
        let checkpoint =
            Checkpoint { number: 12, segments: vec![(stream, sealed, 0), (stream, open, 1)], free: [vec![4, 2, 9], vec![]] };
        let id = VolumeId::from_bytes([4; 16]);
        let bytes = encode(id, &checkpoint);
        assert_eq!(decode(&bytes, id, 3), Some(checkpoint));
        assert_eq!(decode(&bytes, VolumeId::from_bytes([5; 16]), 3), None);
        for bit in (0..bytes.len() * 8).step_by(7) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped, id, 3), None, "bit {bit}");
        }
    }
}
