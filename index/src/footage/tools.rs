//! The store at a shell, for `haohe footage …`: what is on a volume, whether it is whole, a playable copy of a damaged file, and
//! a start without the checkpoint. They read the files and nothing else, so they work where no node runs, and on a single disk
//! taken from one. What they say goes to `out`, a line an item.

use super::{
    checkpoint,
    disk::{Disk, DiskFile, RealDisk, read_vec},
    format::{DATA_START, Entry, EraseMark, FOOTER, RECORD_HEADER, RecordHeader, SegmentHeader},
    head::{self, Head},
    mp4,
    recovery::{self, Found},
    volume::{Identity, Unsound, segment_name, segment_number},
};
use crate::model::Window;
use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
};

/// Why a tool could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// There is no volume in that directory.
    #[error("{path} is not a volume: {reason}")]
    NotAVolume {
        /// The directory.
        path: std::path::PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A node is recording there.
    #[error("a node is recording in {0}: stop it first")]
    InUse(std::path::PathBuf),
    /// The file is not a segment, or nothing of it can be read.
    #[error("{0} is no segment that holds footage")]
    NotASegment(std::path::PathBuf),
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What [`verify`] found.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Verdict {
    /// Segments that hold footage.
    pub segments: u64,
    /// Fragments read.
    pub fragments: u64,
    /// Bytes of media read.
    pub bytes: u64,
    /// Fragments or files that are not what was written.
    pub damaged: u64,
    /// Fragments whose media were erased by order; what is left of them is as it should be.
    pub erased: u64,
}

/// Lists the segments in a volume's directory, by number: number, state, stream, from, to, fragments, bytes.
///
/// # Errors
/// [`ToolError::NotAVolume`]; [`ToolError::Io`].
pub fn ls(dir: &Path, out: &mut dyn Write) -> Result<(), ToolError> {
    each(dir, |number, file| {
        match recovery::probe(file, 0, number)? {
            Found::Free => {}
            Found::Alien => writeln!(out, "{number:08} alien - - - 0 0")?,
            Found::Sealed { stream, meta, .. } => {
                line(out, number, "sealed", &stream, meta.window, meta.records.into(), meta.bytes)?;
            }
            Found::Unsealed(header) => {
                let scan = recovery::scan(file, &header, Vec::new())?;
                let bytes = scan.entries.iter().map(|entry| u64::from(entry.payload_len)).sum();
                match (header.stream, recovery::meta_of(&header, 0, &scan.entries, None)) {
                    (Some(stream), Some(meta)) => {
                        line(out, number, "unsealed", &stream, meta.window, scan.entries.len() as u64, bytes)?;
                    }
                    _ => writeln!(out, "{number:08} empty - - - 0 0")?,
                }
            }
        }
        Ok(())
    })
}

fn line(
    out: &mut dyn Write,
    number: u32,
    state: &str,
    stream: &dyn std::fmt::Display,
    window: Window,
    fragments: u64,
    bytes: u64,
) -> io::Result<()> {
    writeln!(out, "{number:08} {state} {stream} {} {} {fragments} {bytes}", window.from, window.to)
}

/// Reads every byte of every fragment in a volume's directory and compares it with what was written: checksums, BLAKE3 hashes and
/// the chain from record to record. Damage is a line each.
///
/// # Errors
/// [`ToolError::NotAVolume`]; [`ToolError::Io`].
pub fn verify(dir: &Path, out: &mut dyn Write) -> Result<Verdict, ToolError> {
    let mut verdict = Verdict::default();
    each(dir, |number, file| {
        let entries = match recovery::probe(file, 0, number)? {
            Found::Free => return Ok(()),
            Found::Alien => {
                verdict.damaged += 1;
                return writeln!(out, "{number:08} is not a segment, or its header is damaged");
            }
            Found::Sealed { .. } | Found::Unsealed(_) => records(file)?,
        };
        let Some((header, entries, holes)) = entries else { return Ok(()) };
        verdict.segments += 1;
        for (from, to) in holes {
            verdict.damaged += 1;
            writeln!(out, "{number:08} bytes {from} to {to} are damaged")?;
        }
        let mut before = Some(header.chain);
        for entry in &entries {
            match check(file, &header, entry, before)? {
                Ok(Whole { record, erased: None }) => {
                    verdict.fragments += 1;
                    verdict.bytes += u64::from(record.payload_len);
                    before = Some(record.chain);
                }
                Ok(Whole { record, erased: Some(mark) }) => {
                    verdict.erased += 1;
                    before = Some(record.chain);
                    let (at, order, when) = (entry.offset(), mark.order, mark.at);
                    writeln!(out, "{number:08} byte {at}: erased by order {order} at {when} (filmed {})", entry.utc)?;
                }
                Err(what) => {
                    verdict.damaged += 1;
                    before = None;
                    writeln!(out, "{number:08} byte {}: {what} (filmed {})", entry.offset(), entry.utc)?;
                }
            }
        }
        Ok(())
    })?;
    writeln!(
        out,
        "{} segments, {} fragments, {} bytes, {} damaged, {} erased",
        verdict.segments, verdict.fragments, verdict.bytes, verdict.damaged, verdict.erased
    )?;
    Ok(verdict)
}

/// A record that is what it should be.
pub(super) struct Whole {
    pub(super) record: RecordHeader,
    /// Its media are gone, by this order.
    pub(super) erased: Option<EraseMark>,
}

/// Reads one record whole. The inner error says which check failed.
pub(super) fn check(
    file: &dyn DiskFile,
    header: &SegmentHeader,
    entry: &Entry,
    before: Option<[u8; 32]>,
) -> io::Result<Result<Whole, &'static str>> {
    let bytes = read_vec(file, entry.offset(), RECORD_HEADER + entry.payload_len as usize)?;
    let Some(record) = RecordHeader::decode(&bytes, header.incarnation, entry.offset()) else {
        return Ok(Err("its header is damaged"));
    };
    let erased = EraseMark::read_whole(&bytes[RECORD_HEADER..], header.incarnation);
    if erased.is_none() && blake3::hash(&bytes[RECORD_HEADER..]).as_bytes() != &record.hash {
        return Ok(Err("its media are damaged"));
    }
    let mut own = [0; RECORD_HEADER];
    own.copy_from_slice(&bytes[..RECORD_HEADER]);
    if before.is_some_and(|before| super::format::chain(&before, &own) != record.chain) {
        return Ok(Err("the chain is broken: a record before it is not what it was"));
    }
    Ok(Ok(Whole { record, erased }))
}

type Records = (SegmentHeader, Vec<Entry>, Vec<(u64, u64)>);

/// The records of a segment: what its footer says, or else what is found by reading, and then the stretches of bytes between
/// them that are none. `None` if it holds none.
fn records(file: &dyn DiskFile) -> io::Result<Option<Records>> {
    let Head::Used(header) = head::read(file, None)? else { return Ok(None) };
    let header = *header;
    if let Some((_, entries)) = recovery::footer(file, &header)? {
        return Ok(Some((header, entries, Vec::new())));
    }
    let scan = recovery::scan(file, &header, Vec::new())?;
    let holes = scan.damaged.iter().map(|damage| (damage.from, damage.to)).collect();
    Ok((!scan.entries.is_empty()).then_some((header, scan.entries, holes)))
}

/// Writes a playable MP4 of whatever is whole in a segment's file, sealed or not, damaged or not. Says how many fragments it
/// holds.
///
/// # Errors
/// [`ToolError::NotASegment`] if nothing in it can be read; [`ToolError::Io`].
pub fn extract(path: &Path, out: &mut dyn Write) -> Result<u64, ToolError> {
    let none = || ToolError::NotASegment(path.to_owned());
    let file = PlainFile(std::fs::File::open(path)?);
    if file.len()? < DATA_START + FOOTER {
        return Err(none());
    }
    let (header, entries, _) = records(&file)?.ok_or_else(none)?;
    let moov = head::moov(&file, &header)?.ok_or_else(none)?;
    out.write_all(&mp4::ftyp())?;
    out.write_all(&moov)?;
    let mut whole = 0;
    for entry in entries.iter().filter(|entry| !entry.is_erased()) {
        if recovery::payload_is_whole(&file, header.incarnation, entry.offset())? {
            out.write_all(&read_vec(&file, entry.offset() + RECORD_HEADER as u64, entry.payload_len as usize)?)?;
            whole += 1;
        }
    }
    Ok(whole)
}

/// Removes a volume's checkpoint, so that the next start reads every file, and lists what it will find.
///
/// # Errors
/// [`ToolError::InUse`] if a node records there; [`ToolError::NotAVolume`]; [`ToolError::Io`].
pub fn rebuild(dir: &Path, out: &mut dyn Write) -> Result<(), ToolError> {
    let disk = volume(dir)?;
    let lock = std::fs::File::options().create(true).truncate(false).write(true).open(dir.join("lock"))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| ToolError::InUse(dir.to_owned()))?;
    checkpoint::remove(&*disk)?;
    ls(dir, out)
}

/// The volume in a directory, for reading.
fn volume(dir: &Path) -> Result<Arc<dyn Disk>, ToolError> {
    let not = |reason: String| ToolError::NotAVolume { path: dir.to_owned(), reason };
    if !dir.join("segs").is_dir() {
        return Err(not("it has no directory segs".to_owned()));
    }
    let disk = RealDisk::for_reading(dir);
    match Identity::read(&disk) {
        // Whose it is matters to a node; its segments can be read without.
        Ok(Ok(_) | Err(Unsound::Damaged(_))) => Ok(Arc::new(disk)),
        Ok(Err(Unsound::Unknown(reason))) => Err(not(reason)),
        Err(error) => Err(not(error.to_string())),
    }
}

/// Calls `tell` for each segment's file, by number.
fn each(dir: &Path, mut tell: impl FnMut(u32, &dyn DiskFile) -> io::Result<()>) -> Result<(), ToolError> {
    let disk = volume(dir)?;
    let mut numbers: Vec<u32> = disk.list("segs")?.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    for number in numbers {
        tell(number, &*disk.open(&segment_name(number))?)?;
    }
    Ok(())
}

/// A file anywhere, to be read.
struct PlainFile(std::fs::File);

impl DiskFile for PlainFile {
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.0, bytes, offset)
    }
    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}
