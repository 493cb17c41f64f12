//! MP4 as the checker reads it: written from ISO/IEC 14496-12 alone, so that it shares no mistake with the code that
//! wrote the file. Knows what it needs: where the samples of the video tracks are, and how they are coded.

use index::model::VideoCodec;
use std::collections::HashMap;

/// One access unit in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sample {
    /// Where its bytes begin in the file.
    pub offset: usize,
    /// How many they are.
    pub length: usize,
    /// How they are coded.
    pub codec: VideoCodec,
    /// How many bytes each NAL unit's length takes.
    pub length_size: usize,
}

/// The video samples of a file, in the file's order, and what is odd about it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Layout {
    /// In the order of fragments and of samples within them.
    pub samples: Vec<Sample>,
    /// How many bytes at the end belong to no box.
    pub trailing: usize,
    /// Sentences on what is malformed; empty for a good file.
    pub faults: Vec<String>,
}

#[derive(Clone, Copy)]
struct Coding {
    codec: VideoCodec,
    length_size: usize,
}

/// Defaults for the samples of a track's fragments: `trex`, overridden by `tfhd`.
#[derive(Clone, Copy, Default)]
struct Defaults {
    size: u32,
}

/// Big-endian fields, one after the other. Beyond the end it reads zeros and remembers that it did.
struct Fields<'a> {
    rest: &'a [u8],
    short: bool,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, short: false }
    }

    fn take(&mut self, count: usize) -> u64 {
        let (head, tail) = self.rest.split_at_checked(count).unwrap_or_else(|| {
            self.short = true;
            (&[], &[])
        });
        self.rest = tail;
        head.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    fn u32(&mut self) -> u32 {
        self.take(4) as u32
    }
}

/// The boxes in `bytes`: type, offset of the whole box, contents. Stops where no box can be.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], usize, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at;
        let head = bytes.get(begin..)?;
        let (size, kind) = (head.first_chunk::<4>()?, head.get(4..8)?);
        let kind = [kind[0], kind[1], kind[2], kind[3]];
        if !kind.iter().all(u8::is_ascii_graphic) && !kind.contains(&b' ') {
            return None;
        }
        let (header, size) = match u32::from_be_bytes(*size) {
            0 => (8, head.len()),
            1 => (16, usize::try_from(Fields::new(head.get(8..16)?).take(8)).ok()?),
            size => (8, size as usize),
        };
        let contents = head.get(header..size)?;
        at = begin + size;
        Some((kind, begin, contents))
    })
}

fn find<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    path.iter()
        .try_fold(bytes, |inside, wanted| boxes(inside).find(|(kind, ..)| kind == *wanted).map(|(_, _, contents)| contents))
}

/// Finds every video sample of a file. Anything else than an MP4 has no samples and all its bytes trail.
#[must_use]
pub(super) fn layout(file: &[u8]) -> Layout {
    let mut found = Layout::default();
    let mut tracks: HashMap<u32, (Coding, Defaults)> = HashMap::new();
    let mut end = 0;
    for (kind, at, contents) in boxes(file) {
        end = at + (contents.as_ptr() as usize - file[at..].as_ptr() as usize) + contents.len();
        match &kind {
            b"moov" => {
                tracks.clear();
                for (kind, _, track) in boxes(contents) {
                    if &kind == b"trak" {
                        read_track(track, file, &mut tracks, &mut found);
                    }
                }
                read_defaults(contents, &mut tracks);
            }
            b"moof" => read_fragment(contents, at, file, &tracks, &mut found),
            _ => {}
        }
    }
    found.trailing = file.len() - end;
    found
}

fn read_track(track: &[u8], file: &[u8], tracks: &mut HashMap<u32, (Coding, Defaults)>, found: &mut Layout) {
    let Some(header) = find(track, &[b"tkhd"]) else { return found.faults.push("a trak without tkhd".into()) };
    let mut fields = Fields::new(header);
    let wide = fields.take(1) == 1;
    fields.take(if wide { 3 + 16 } else { 3 + 8 });
    let id = fields.u32();
    let Some(table) = find(track, &[b"mdia", b"minf", b"stbl"]) else { return };
    let Some(coding) = find(table, &[b"stsd"]).and_then(|entries| coding(entries.get(8..)?)) else { return };
    tracks.insert(id, (coding, Defaults::default()));
    if let Err(fault) = read_table(table, file, coding, &mut found.samples) {
        found.faults.push(format!("track {id}: {fault}"));
    }
}

/// The first sample entry, if it is video of a codec that can carry stamps (ISO/IEC 14496-15 §5.4, §8.4).
fn coding(entries: &[u8]) -> Option<Coding> {
    let (kind, _, entry) = boxes(entries).next()?;
    // A visual sample entry's own fields are 78 bytes.
    let inner = entry.get(78..)?;
    match &kind {
        b"avc1" | b"avc3" => {
            let length_size = usize::from(find(inner, &[b"avcC"])?.get(4)? & 3) + 1;
            Some(Coding { codec: VideoCodec::H264, length_size })
        }
        b"hvc1" | b"hev1" => {
            let length_size = usize::from(find(inner, &[b"hvcC"])?.get(21)? & 3) + 1;
            Some(Coding { codec: VideoCodec::H265, length_size })
        }
        _ => None,
    }
}

/// The sample table of a progressive file; an initialisation segment's is empty.
fn read_table(table: &[u8], file: &[u8], coding: Coding, samples: &mut Vec<Sample>) -> Result<(), String> {
    let Some(sizes) = find(table, &[b"stsz"]) else { return Ok(()) };
    let mut sizes = Fields::new(&sizes[4.min(sizes.len())..]);
    let (fixed, count) = (sizes.u32(), sizes.u32());
    if count == 0 {
        return Ok(());
    }
    let wide = find(table, &[b"co64"]);
    let chunks = wide.or_else(|| find(table, &[b"stco"])).ok_or("samples, but no chunk offsets")?;
    let mut offsets = Fields::new(&chunks[4.min(chunks.len())..]);
    let runs = find(table, &[b"stsc"]).ok_or("samples, but no stsc")?;
    let mut runs = Fields::new(&runs[4.min(runs.len())..]);
    let runs: Vec<(u32, u32)> = (0..runs.u32())
        .map_while(|_| {
            let run = (runs.u32(), runs.u32());
            runs.u32();
            (!runs.short).then_some(run)
        })
        .collect();
    let mut left = count;
    for chunk in 1..=offsets.u32() {
        let mut offset = if wide.is_some() { offsets.take(8) } else { offsets.take(4) } as usize;
        let run = runs.iter().rev().find(|(first, _)| *first <= chunk).ok_or("a chunk in no run")?;
        for _ in 0..run.1.min(left) {
            let length = if fixed == 0 { sizes.u32() } else { fixed } as usize;
            push(samples, file, offset, length, coding)?;
            offset += length;
        }
        left -= run.1.min(left);
    }
    if left > 0 || sizes.short || offsets.short { Err("the sample table is cut short".into()) } else { Ok(()) }
}

fn push(samples: &mut Vec<Sample>, file: &[u8], offset: usize, length: usize, coding: Coding) -> Result<(), String> {
    if offset.checked_add(length).is_none_or(|end| end > file.len()) {
        return Err(format!("a sample of {length} bytes at {offset} lies outside the file"));
    }
    samples.push(Sample { offset, length, codec: coding.codec, length_size: coding.length_size });
    Ok(())
}

fn read_defaults(moov: &[u8], tracks: &mut HashMap<u32, (Coding, Defaults)>) {
    let Some(extends) = find(moov, &[b"mvex"]) else { return };
    for (_, _, contents) in boxes(extends).filter(|(kind, ..)| kind == b"trex") {
        let mut fields = Fields::new(contents);
        fields.u32();
        let id = fields.u32();
        fields.take(8);
        if let Some((_, defaults)) = tracks.get_mut(&id) {
            defaults.size = fields.u32();
        }
    }
}

fn read_fragment(moof: &[u8], at: usize, file: &[u8], tracks: &HashMap<u32, (Coding, Defaults)>, found: &mut Layout) {
    for (_, _, traf) in boxes(moof).filter(|(kind, ..)| kind == b"traf") {
        if let Err(fault) = read_track_fragment(traf, at, file, tracks, &mut found.samples) {
            found.faults.push(format!("fragment at {at}: {fault}"));
        }
    }
}

fn read_track_fragment(
    traf: &[u8],
    moof_at: usize,
    file: &[u8],
    tracks: &HashMap<u32, (Coding, Defaults)>,
    samples: &mut Vec<Sample>,
) -> Result<(), String> {
    let header = find(traf, &[b"tfhd"]).ok_or("a traf without tfhd")?;
    let mut fields = Fields::new(header);
    let flags = fields.u32() & 0xff_ffff;
    let id = fields.u32();
    let Some((coding, mut defaults)) = tracks.get(&id).copied() else { return Ok(()) };
    let base = if flags & 1 != 0 { fields.take(8) as usize } else { moof_at };
    fields.take(if flags & 2 != 0 { 4 } else { 0 } + if flags & 8 != 0 { 4 } else { 0 });
    if flags & 0x10 != 0 {
        defaults.size = fields.u32();
    }
    let mut offset = base;
    for (_, _, run) in boxes(traf).filter(|(kind, ..)| kind == b"trun") {
        let mut fields = Fields::new(run);
        let flags = fields.u32() & 0xff_ffff;
        let count = fields.u32();
        if flags & 1 != 0 {
            offset = base.checked_add_signed(fields.u32() as i32 as isize).ok_or("a data offset before the file")?;
        }
        fields.take(if flags & 4 != 0 { 4 } else { 0 });
        for _ in 0..count {
            fields.take(if flags & 0x100 != 0 { 4 } else { 0 });
            let length = if flags & 0x200 != 0 { fields.u32() } else { defaults.size } as usize;
            fields.take(if flags & 0x400 != 0 { 4 } else { 0 } + if flags & 0x800 != 0 { 4 } else { 0 });
            if fields.short {
                return Err("trun is cut short".into());
            }
            push(samples, file, offset, length, coding)?;
            offset += length;
        }
    }
    Ok(())
}

impl Sample {
    /// Its NAL units, or a sentence on why it does not divide into them.
    ///
    /// # Errors
    /// A length that does not fit.
    pub(super) fn nal_units<'a>(&self, file: &'a [u8]) -> Result<Vec<&'a [u8]>, String> {
        let mut rest = file.get(self.offset..self.offset + self.length).ok_or("outside the file")?;
        let mut nals = Vec::new();
        while !rest.is_empty() {
            let mut fields = Fields::new(rest);
            let length = fields.take(self.length_size) as usize;
            let (nal, tail) = fields.rest.split_at_checked(length).ok_or("a NAL unit is longer than its sample")?;
            nals.push(nal);
            rest = tail;
        }
        Ok(nals)
    }
}
