//! Reads what is stored again, slowly, and compares it with what was written: a disk that forgets does not say so by itself. What is
//! damaged is an event, a problem on the health page, and a gap whose cause is damage, before anybody asks for it. What the disk refuses
//! to read is asked for again, at once and at the end of its segment, and then is a gap whose cause is the disk: it may be whole.
//!
//! One pass over a volume reads every sealed segment; the next one begins a week after it at the earliest. It yields: it reads no
//! faster than its cap, and not at all while the disk does not do well or has much to write.

use super::{
    catalogue::SegmentKey,
    disk::DiskFile,
    format::{BLOCK, DATA_START, Entry, RECORD_HEADER, SegmentHeader},
    head::{self, Head},
    recovery,
    shared::Shared,
    tools,
    types::VolumeState,
    volume::{Volume, lock, segment_name},
};
use crate::model::{GapCause, StreamId, Window};
use serde_json::json;
use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// The least time from the beginning of one pass to that of the next.
const PASS: Duration = Duration::from_secs(7 * 86_400);
/// With more than this waiting to be written, nothing is read.
const BUSY: usize = 8 << 20;
/// The longest it sleeps.
const PAUSE: Duration = Duration::from_secs(5);

/// See the module. One a volume.
pub(super) struct Scrub {
    volume: Arc<Volume>,
    shared: Arc<Shared>,
    /// What this pass has not read yet, last first.
    left: Vec<(StreamId, SegmentKey)>,
    began: Option<Duration>,
    open: Option<Open>,
}

/// What is wrong with a segment beside its records: where, and what.
type Flaw = Option<(u64, &'static str)>;

/// A segment that is being read.
struct Open {
    stream: StreamId,
    key: SegmentKey,
    file: Arc<dyn DiskFile>,
    header: SegmentHeader,
    entries: std::vec::IntoIter<Entry>,
    /// Of the record before, and where that ends: behind damage, and behind what a crash tore, the chain cannot be followed.
    chain: Option<([u8; 32], u64)>,
    /// What the disk refused to read.
    refused: Vec<Entry>,
}

impl Scrub {
    pub(super) fn new(volume: Arc<Volume>, shared: Arc<Shared>) -> Self {
        Self { volume, shared, left: Vec::new(), began: None, open: None }
    }

    /// The thread.
    pub(super) fn run(mut self) {
        let ending = |scrub: &Self| scrub.shared.closing.load(Ordering::Acquire) || scrub.volume.retired.load(Ordering::Acquire);
        while !ending(&self) {
            let bytes = if self.may_read() { self.step() } else { 0 };
            let cap = self.shared.setup.scrub_bytes.max(1);
            let pause = if bytes == 0 { PAUSE } else { Duration::from_secs_f64(bytes as f64 / cap as f64) };
            std::thread::park_timeout(pause);
        }
    }

    fn may_read(&self) -> bool {
        self.shared.setup.scrub_bytes > 0 && self.volume.state() == VolumeState::Ok && lock(&self.volume.queue).held() < BUSY
    }

    /// Reads one record more. Says how many bytes that were; 0 if there is nothing to read now.
    pub(super) fn step(&mut self) -> u64 {
        if self.open.is_none() && !self.next_segment() {
            return 0;
        }
        let Some(open) = &mut self.open else { return BLOCK as u64 };
        let (stream, key) = (open.stream, open.key);
        let again = open.entries.len() == 0;
        let Some(entry) = open.entries.next().or_else(|| open.refused.pop()) else {
            self.open = None;
            return BLOCK as u64;
        };
        let bytes = RECORD_HEADER as u64 + u64::from(entry.payload_len);
        let before = open.chain.take().filter(|(_, end)| *end == entry.offset()).map(|(chain, _)| chain);
        match look(&self.shared, open, &entry, before) {
            Ok(Ok(whole)) => open.chain = Some((whole.record.chain, entry.end())),
            Ok(Err(what)) => self.damaged(stream, key, entry.offset(), Some(entry.window()), what),
            // Whether the disk does well is judged by others.
            Err(error) if again => self.unreadable(stream, key, &entry, &error),
            Err(_) => open.refused.push(entry),
        }
        if let Some(open) = &self.open {
            open.file.forget(entry.offset(), bytes);
        }
        self.volume.verified.fetch_add(bytes, Ordering::Relaxed);
        bytes
    }

    /// Opens the next segment of this pass, or begins another pass. `false` if there is none now.
    fn next_segment(&mut self) -> bool {
        let now = self.shared.world.monotonic();
        if self.left.is_empty() {
            if self.began.is_some_and(|began| now.saturating_sub(began) < PASS) {
                return false;
            }
            let streams = self.shared.catalogue.read();
            let mine =
                |segment: &&super::catalogue::SegmentMeta| segment.key.volume == self.volume.index && segment.entries.is_none();
            let keys = |(stream, index): (&StreamId, &super::catalogue::StreamIndex)| {
                index.segments().iter().filter(mine).map(|segment| (*stream, segment.key)).collect::<Vec<_>>()
            };
            self.left = streams.iter().flat_map(keys).collect();
            drop(streams);
            self.left.sort_unstable_by_key(|(_, key)| std::cmp::Reverse(key.number));
            if self.left.is_empty() {
                return false;
            }
            self.began = Some(now);
        }
        let Some((stream, key)) = self.left.pop() else { return false };
        let mut opened = self.open(stream, key);
        if !matches!(opened, Ok((Some(_), None))) {
            // Once more while nothing is removed: what is being erased or freed is not as it should be for a moment.
            let _still = self.shared.ledger.still();
            opened = self.open(stream, key);
        }
        match opened {
            Ok((open, flaw)) => {
                if let Some((offset, what)) = flaw {
                    self.damaged(stream, key, offset, None, what);
                }
                self.open = open;
            }
            Err(error) => tracing::warn!(volume = %self.volume.name, segment = key.number, %error, "segment not read again"),
        }
        true
    }

    /// A segment with its entries, and what is wrong with it beside them: where, and what. No segment, if its header is gone.
    fn open(&self, stream: StreamId, key: SegmentKey) -> io::Result<(Option<Open>, Flaw)> {
        let file = self.volume.disk.open(&segment_name(key.number))?;
        let header = match head::read(&*file, Some(key.number))? {
            Head::Used(header) => Some(*header).filter(|header| header.incarnation == key.incarnation),
            Head::Free { .. } | Head::Damaged => None,
        };
        let Some(header) = header else { return Ok((None, Some((0, "the segment's header is damaged")))) };
        let mut flaw = None;
        if !head::is_whole(&*file, &header)? {
            flaw = Some((0, "one of the two copies of the segment's header is damaged"));
        }
        let entries = match recovery::footer(&*file, &header)? {
            Some((_, entries)) => entries,
            None => {
                flaw = Some((header.size, "the segment's footer is damaged"));
                recovery::scan(&*file, &header, Vec::new())?.entries
            }
        };
        let chain = Some((header.chain, DATA_START));
        let open = Open { stream, key, file, header, entries: entries.into_iter(), chain, refused: Vec::new() };
        Ok((Some(open), flaw))
    }

    /// Whether a segment should be as it was written: it was not removed meanwhile, and none of it is being erased.
    fn is_there(&self, stream: StreamId, key: SegmentKey) -> bool {
        self.shared.catalogue.read().get(&stream).is_some_and(|index| index.holds(key)) && !self.volume.is_erasing(key)
    }

    /// Notes that the disk does not read something: it is a gap now, and stays where it is.
    fn unreadable(&self, stream: StreamId, key: SegmentKey, entry: &Entry, error: &io::Error) {
        if !self.is_there(stream, key) {
            return;
        }
        let offset = entry.offset();
        tracing::error!(volume = %self.volume.name, segment = key.number, offset, %error, "stored footage cannot be read");
        let span = [entry.window().from, entry.window().to];
        let body = json!({
            "volume": self.volume.name, "segment": key.number, "stream": stream, "offset": offset, "window_us": span,
            "error": error.to_string(),
        });
        self.shared.ledger.note("footage.unreadable", body);
        self.shared.ledger.lose(stream, entry.window(), GapCause::Disk, 0);
    }

    /// Notes damage, once, unless the segment was removed meanwhile.
    fn damaged(&self, stream: StreamId, key: SegmentKey, offset: u64, window: Option<Window>, what: &str) {
        if !self.is_there(stream, key) {
            return;
        }
        lock(&self.volume.stats).damaged += 1;
        tracing::error!(volume = %self.volume.name, segment = key.number, offset, what, "stored footage is damaged");
        let span = window.map(|window| [window.from, window.to]);
        let body = json!({
            "volume": self.volume.name, "segment": key.number, "stream": stream, "offset": offset, "window_us": span, "what": what,
        });
        self.shared.ledger.note("footage.damaged", body);
        if let Some(window) = window {
            self.shared.catalogue.cut(stream, key, window);
            self.shared.ledger.lose(stream, window, GapCause::Damaged, 0);
            self.volume.changed();
        }
    }
}

/// Reads a record, and once more if it is not as it should be: then nobody erases anything meanwhile, and a disk that read the wrong
/// place reads the right one.
fn look(shared: &Shared, open: &Open, entry: &Entry, before: Option<[u8; 32]>) -> io::Result<Result<tools::Whole, &'static str>> {
    let check = || tools::check(&*open.file, &open.header, entry, before);
    match check() {
        Ok(Ok(whole)) => Ok(Ok(whole)),
        Ok(Err(_)) | Err(_) => {
            let _still = shared.ledger.still();
            check()
        }
    }
}
