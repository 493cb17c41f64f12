//! What a file holds, found out from its bytes: at start for those that were open, for all of them when a volume's checkpoint is lost.
//!
//! A record that does not read back is either the tail of a commit that a crash cut, which nobody was told of, or was
//! damaged since. The difference is what stands behind it: each record names the first record of its commit, and a commit is written
//! only after the one before it is durable. So if a later record's commit began behind the bad one, the bad one had been
//! durable: it is reported, and both sides are kept. Otherwise the tail is cut off, and what is whole in it is kept.

use super::{
    catalogue::{SegmentKey, SegmentMeta},
    disk::{AlignedBuffer, DiskFile, read_twice, read_vec},
    format::{
        BLOCK, DATA_START, ERASE_MARK, Entry, EraseMark, FOOTER, MAX_RECORDS, RECORD_HEADER, RecordHeader, SegmentHeader,
        Trailer, checksum, encode_footer, footer_blocks, read_entries,
    },
    head::{self, Head},
    planted::{Bug, planted},
    spans,
};
use crate::model::{StreamId, Window};
use std::{io, time::Duration};

/// What a file is.
pub(super) enum Found {
    /// It may be written.
    Free,
    /// It holds footage and its footer.
    Sealed { stream: StreamId, header: Box<SegmentHeader>, meta: SegmentMeta },
    /// It holds footage and no footer (yet).
    Unsealed(Box<SegmentHeader>),
    /// It was made by something else, or its header is damaged: it is left alone.
    Alien,
}

/// How far behind a bad record others of the same commit may stand: two commits' bytes.
const SEARCH: u64 = 24 << 20;
const CHUNK: usize = 1 << 20;
/// A segment is begun at most so long after its first picture was filmed.
const FILMED: Duration = Duration::from_secs(15);

/// Reads a file's two ends. `volume` is its volume's place in the configuration.
pub(super) fn probe(file: &dyn DiskFile, volume: u16, number: u32) -> io::Result<Found> {
    let size = file.len()?;
    if size < DATA_START + FOOTER {
        return Ok(Found::Alien);
    }
    let header = match head::read(file, Some(number))? {
        Head::Free { .. } => return Ok(Found::Free),
        Head::Damaged => return Ok(Found::Alien),
        Head::Used(header) => header,
    };
    let Some(stream) = header.stream else { return Ok(Found::Alien) };
    Ok(match sealed_meta(file, &header, volume)? {
        Some(meta) => Found::Sealed { stream, header, meta },
        None => Found::Unsealed(header),
    })
}

/// What the footer says, if there is one and what it says of the last commit is true: the sync that covered both may not
/// have returned.
fn sealed_meta(file: &dyn DiskFile, header: &SegmentHeader, volume: u16) -> io::Result<Option<SegmentMeta>> {
    let Some((salvaged, entries)) = footer(file, header)? else { return Ok(None) };
    if !salvaged && !planted(Bug::TrustFooter) && !last_commit_is_whole(file, header.incarnation, &entries)? {
        return Ok(None);
    }
    Ok(meta_of(header, volume, &entries, None))
}

/// The footer's entries, if there is a whole one, and whether recovery wrote it.
pub(super) fn footer(file: &dyn DiskFile, header: &SegmentHeader) -> io::Result<Option<(bool, Vec<Entry>)>> {
    read_twice(|| {
        let last = read_vec(file, header.size - BLOCK as u64, BLOCK)?;
        let Some(trailer) = Trailer::decode(&last, header.incarnation) else { return Ok(None) };
        let footer = read_vec(file, header.size - FOOTER, footer_blocks(trailer.entries))?;
        Ok(read_entries(&footer, &trailer).map(|entries| (trailer.salvaged, entries)))
    })
}

fn last_commit_is_whole(file: &dyn DiskFile, incarnation: u64, entries: &[Entry]) -> io::Result<bool> {
    let Some(last) = entries.last() else { return Ok(true) };
    let Some(record) = read_record(file, incarnation, last.offset(), file.len()?)? else { return Ok(false) };
    for entry in entries.iter().skip(record.span.first as usize) {
        if !payload_is_whole(file, incarnation, entry.offset())? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a record reads back, payload and all, or was erased by order.
pub(super) fn payload_is_whole(file: &dyn DiskFile, incarnation: u64, offset: u64) -> io::Result<bool> {
    let len = file.len()?;
    let whole = read_twice(|| {
        let head = read_vec(file, offset, RECORD_HEADER)?;
        let record = RecordHeader::decode(&head, incarnation, offset).filter(|record| offset + record.total_len() <= len);
        let Some(record) = record else { return Ok(None) };
        let payload = read_vec(file, offset + RECORD_HEADER as u64, record.payload_len as usize)?;
        let erased = || EraseMark::read_whole(&payload, incarnation).is_some();
        Ok((checksum(incarnation, &payload) == record.payload_crc || erased()).then_some(()))
    })?;
    Ok(whole.is_some())
}

/// What memory holds of a segment with these entries. `None` if there are none, or all were erased.
pub(super) fn meta_of(header: &SegmentHeader, volume: u16, entries: &[Entry], open: Option<Vec<Entry>>) -> Option<SegmentMeta> {
    let mut set = Vec::new();
    let there = || entries.iter().filter(|entry| !entry.is_erased());
    there().for_each(|entry| spans::join(&mut set, entry.window()));
    let mut meta = SegmentMeta {
        key: SegmentKey { volume, number: header.number, incarnation: header.incarnation },
        window: *set.first()?,
        holes: None,
        bytes: there().map(|entry| u64::from(entry.payload_len)).sum(),
        records: there().count() as u32,
        class: header.class,
        end: entries.last().map_or(0, Entry::end),
        entries: open,
    };
    meta.set_spans(&set);
    Some(meta)
}

/// What was found in an unsealed file.
#[derive(Default)]
pub(super) struct Scan {
    /// Records that are whole.
    pub(super) entries: Vec<Entry>,
    pub(super) chain: [u8; 32],
    /// Acknowledged records that do not read back: where, and when they were filmed at the most.
    pub(super) damaged: Vec<Damage>,
    /// Records that do not read back although their header, or a footer, tells of them: the last commit of a run that a crash cut, or
    /// damage to one that was durable.
    pub(super) doubtful: Vec<Entry>,
    /// Bytes between whole records, that were never acknowledged.
    pub(super) torn: Vec<(u64, u64)>,
    /// Whether a footer says what there was.
    pub(super) listed: bool,
    /// Whether there was a second commit: the first was durable then, and the header that was synced with it.
    pub(super) went_on: bool,
}

/// A stretch of a file that was whole once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Damage {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Between the whole records around it.
    pub(super) window: Window,
    /// Whether no whole record stands before it, and the window begins when its first picture may have been filmed at the earliest.
    pub(super) guessed: bool,
}

/// Reads the records of an unsealed file, header by header; of the last commits the payloads too. `known` are entries that
/// a checkpoint tells of: they are not read again.
pub(super) fn scan(file: &dyn DiskFile, header: &SegmentHeader, known: Vec<Entry>) -> io::Result<Scan> {
    let limit = header.size - FOOTER;
    let mut records: Vec<(u64, RecordHeader)> = Vec::new();
    let mut gaps: Vec<(u64, u64, usize)> = Vec::new();
    let mut at = known.last().map_or(DATA_START, Entry::end);
    let mut next = known.len() as u32;
    while known.len() + records.len() < MAX_RECORDS {
        match read_record(file, header.incarnation, at, limit)?.filter(|record| record.record >= next) {
            Some(record) => {
                next = record.record + 1;
                let end = at + record.total_len();
                records.push((at, record));
                at = end;
            }
            None if planted(Bug::TruncateAtBad) => break,
            None => match search(file, header.incarnation, at, limit, next)? {
                Some(found) => {
                    gaps.push((at, found, records.len()));
                    at = found;
                }
                None => break,
            },
        }
    }
    let went_on = !known.is_empty() || records.iter().any(|(_, record)| record.span.commit > 1);
    let mut scan = Scan { entries: known, chain: header.chain, went_on, ..Scan::default() };
    classify(&mut scan, header, &records, &gaps);
    let last_commit = records.last().map(|(_, record)| record.span.commit);
    for (offset, record) in &records {
        let open = Some(record.span.commit) == last_commit && !planted(Bug::TrustTail);
        if open && !payload_is_whole(file, header.incarnation, *offset)? {
            scan.torn.push((*offset, offset + record.total_len()));
            scan.doubtful.push(Entry::of(record, *offset));
            continue;
        }
        let entry = Entry::of(record, *offset);
        scan.entries.push(if is_erased(file, header.incarnation, *offset)? { entry.erased() } else { entry });
        scan.chain = record.chain;
    }
    if let Some((_, listed)) = footer(file, header)? {
        scan.listed = true;
        narrow(&mut scan, &listed);
        let known = |entry: &Entry| scan.entries.iter().chain(&scan.doubtful).any(|other| other.block == entry.block);
        let damaged = |entry: &Entry| scan.damaged.iter().any(|damage| (damage.from..damage.to).contains(&entry.offset()));
        let unknown: Vec<_> = listed.into_iter().filter(|entry| !entry.is_erased() && !known(entry) && !damaged(entry)).collect();
        scan.doubtful.extend(unknown);
    }
    if let (true, Some(last)) = (records.is_empty(), scan.entries.last()) {
        scan.chain = read_record(file, header.incarnation, last.offset(), limit)?.map_or(header.chain, |record| record.chain);
    }
    Ok(scan)
}

/// Where a footer says what stood in a damaged stretch, that is what is damaged; nothing, where all of it was erased before.
fn narrow(scan: &mut Scan, listed: &[Entry]) {
    for damage in std::mem::take(&mut scan.damaged) {
        let inside = || listed.iter().filter(|entry| (damage.from..damage.to).contains(&entry.offset()));
        if inside().next().is_none() {
            scan.damaged.push(damage);
            continue;
        }
        let there = inside().filter(|entry| !entry.is_erased());
        scan.damaged.extend(there.map(|entry| {
            let window = entry.window();
            Damage { from: entry.offset(), to: entry.end(), window, guessed: false }
        }));
        if inside().all(Entry::is_erased) {
            scan.torn.push((damage.from, damage.to));
        }
    }
}

/// Tells damage from crash tails: see the module.
fn classify(scan: &mut Scan, header: &SegmentHeader, records: &[(u64, RecordHeader)], gaps: &[(u64, u64, usize)]) {
    for (from, to, behind) in gaps {
        let Some((_, after)) = records.get(*behind) else { continue };
        let bad = after.record.saturating_sub(1);
        let durable = records[*behind..].iter().any(|(_, record)| record.span.first > bad);
        if durable {
            let before = behind.checked_sub(1).map(|before| Entry::of(&records[before].1, 0).window().to);
            let before = before.or(scan.entries.last().map(|entry| entry.window().to));
            let window = Window::new(before.unwrap_or(header.created.min(after.utc) - FILMED), after.utc);
            scan.damaged.push(Damage { from: *from, to: *to, window, guessed: before.is_none() });
        } else {
            scan.torn.push((*from, *to));
        }
    }
}

fn read_record(file: &dyn DiskFile, incarnation: u64, at: u64, limit: u64) -> io::Result<Option<RecordHeader>> {
    if at + RECORD_HEADER as u64 > limit {
        return Ok(None);
    }
    read_twice(|| {
        let head = read_vec(file, at, RECORD_HEADER)?;
        Ok(RecordHeader::decode(&head, incarnation, at).filter(|record| at + record.total_len() <= limit))
    })
}

/// Whether the record at `at` was erased by order.
fn is_erased(file: &dyn DiskFile, incarnation: u64, at: u64) -> io::Result<bool> {
    let head = read_vec(file, at + RECORD_HEADER as u64, ERASE_MARK)?;
    Ok(EraseMark::read(&head, incarnation).is_some())
}

/// The next block behind `at` that begins with a record numbered `least` or higher.
fn search(file: &dyn DiskFile, incarnation: u64, at: u64, limit: u64, least: u32) -> io::Result<Option<u64>> {
    let end = limit.min(at + SEARCH);
    let mut from = at + BLOCK as u64;
    while from < end {
        let chunk = || read_vec(file, from, CHUNK.min((end - from) as usize));
        let chunk = chunk().or_else(|_| chunk())?;
        for (i, block) in chunk.chunks(BLOCK).enumerate() {
            let offset = from + (i * BLOCK) as u64;
            let record = RecordHeader::decode(block, incarnation, offset);
            if record.is_some_and(|record| record.record >= least && offset + record.total_len() <= limit) {
                return Ok(Some(offset));
            }
        }
        from += chunk.len() as u64;
    }
    Ok(None)
}

/// Gives an unsealed file its footer, so that it plays and need not be scanned again. Writes only where nothing was ever
/// acknowledged. The caller syncs.
pub(super) fn seal(file: &dyn DiskFile, header: &SegmentHeader, scan: &Scan) -> io::Result<()> {
    let mut set = Vec::new();
    let there = || scan.entries.iter().filter(|entry| !entry.is_erased());
    there().for_each(|entry| spans::join(&mut set, entry.window()));
    let tail = scan.entries.last().map_or(DATA_START, Entry::end);
    let mut trailer = Trailer {
        incarnation: header.incarnation,
        entries: 0,
        entries_crc: 0,
        bytes: there().map(|entry| u64::from(entry.payload_len)).sum(),
        data_end: tail,
        chain: scan.chain,
        salvaged: true,
        spans: Some(set),
    };
    let mut pieces = encode_footer(header.size, &scan.entries, &mut trailer);
    for (from, to) in scan.torn.iter().filter(|(from, _)| *from < tail) {
        let mut free = vec![0; BLOCK];
        free[..4].copy_from_slice(&((to - from) as u32).to_be_bytes());
        free[4..8].copy_from_slice(b"free");
        pieces.push((*from, free));
    }
    for (offset, piece) in pieces {
        write(file, offset, &piece)?;
    }
    Ok(())
}

/// Writes whole blocks from any memory.
pub(super) fn write(file: &dyn DiskFile, offset: u64, bytes: &[u8]) -> io::Result<()> {
    let mut aligned = AlignedBuffer::default();
    aligned.push(bytes);
    file.write_at(aligned.bytes(), offset)
}
