//! Reading: the one way to media bytes, and it needs a permit (I8). Every byte is checked against what was written before it is
//! handed out.

use super::{
    catalogue::{SegmentKey, SegmentMeta},
    disk::DiskFile,
    format::{
        BLOCK, Entry, EraseMark, FOOTER, RECORD_HEADER, RecordHeader, SegmentHeader, Trailer, checksum, footer_blocks,
        read_entries,
    },
    fragment::Fragment,
    head, mp4,
    planted::{Bug, planted},
    recovery,
    shared::Shared,
    types::ReadError,
    volume::lock,
};
use crate::{
    access::Extent,
    model::{AccessUnit, StreamId, TrackKind, Tracks, UtcMicros, Window},
};
use bytes::Bytes;
use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Where a fragment is. Cheap to keep and to copy; what it names may have been removed by the time it is fetched.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FragmentRef {
    /// Whose.
    pub stream: StreamId,
    /// From its first picture, for its duration.
    pub window: Window,
    /// Bytes of its `moof` and `mdat`.
    pub length: u32,
    /// Whether its first video unit is a key unit.
    pub starts_with_key: bool,
    /// Which segment: fragments of equal segments have equal tracks and one media timeline.
    pub segment: SegmentName,
    /// Where its record begins in the segment's file.
    pub offset: u64,
}

/// A segment as a reader names it. Ordered by nothing in particular; unique for ever.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SegmentName(pub(super) SegmentKey);

impl std::fmt::Display for SegmentName {
    /// `volume-number-incarnation`: fit for a URL.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{:016x}", self.0.volume, self.0.number, self.0.incarnation)
    }
}

impl std::str::FromStr for SegmentName {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next().ok_or(());
        let (volume, number, incarnation) = (part()?, part()?, part()?);
        Ok(Self(SegmentKey {
            volume: volume.parse().map_err(|_| ())?,
            number: number.parse().map_err(|_| ())?,
            incarnation: u64::from_str_radix(incarnation, 16).map_err(|_| ())?,
        }))
    }
}

/// Reads what one permit covers.
pub struct Reader {
    shared: Arc<Shared>,
    cache: Arc<Cache>,
    extent: Extent,
}

/// What is in a segment.
type Entries = Arc<[Entry]>;

/// What reading remembers of segments.
#[derive(Default)]
pub(super) struct Cache {
    heads: Mutex<Recent<SegmentKey, Arc<Head>>>,
    /// By what was in them too: an erasure takes from it.
    footers: Mutex<Recent<(SegmentKey, u32), Entries>>,
}

/// The start of a segment, read.
pub(super) struct Head {
    pub(super) header: SegmentHeader,
    pub(super) tracks: Arc<Tracks>,
}

/// Heads and footers kept: 500 footers of an hour each are 60 MB at the worst and 8 MB at 4 Mbit/s.
const KEPT: usize = 500;
/// Fragments to look back for a key unit: 10 s and more, whatever the camera's interval.
const LOOK_BACK: usize = 64;
/// Time to look back in the segments of every epoch: a usual camera's interval.
const NEAR: Duration = Duration::from_secs(10);
/// The same where the last few segments have none: after a bad night they may be many and short.
const FAR: Duration = Duration::from_secs(60);

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, cache: Arc<Cache>, extent: Extent) -> Self {
        Self { shared, cache, extent }
    }

    fn may(&self, stream: StreamId, window: Window) -> Result<(), ReadError> {
        if self.extent.touches(stream, window) { Ok(()) } else { Err(ReadError::NotPermitted { stream }) }
    }

    /// Whether footage is that of the stream it was asked for as: a reference may come from outside.
    fn is_of(found: Option<StreamId>, stream: StreamId) -> Result<(), ReadError> {
        if found == Some(stream) { Ok(()) } else { Err(ReadError::NotPermitted { stream }) }
    }

    /// The fragments of `stream` that overlap `window` and the permit, by time. Empty where nothing is recorded, or permitted. A
    /// segment that cannot be read is left out and logged: what it held shows as missing, not what lies around it.
    #[must_use]
    pub fn fragments(&self, stream: StreamId, window: Window) -> Vec<FragmentRef> {
        let mut found = Vec::new();
        for meta in self.segments(stream, window) {
            match self.entries(&meta) {
                Ok(entries) => {
                    let touched = |at: Window| at.overlaps(window) && self.extent.touches(stream, at);
                    let inside = entries.iter().filter(|entry| touched(entry.window()) && meta.shows(entry));
                    found.extend(inside.map(|entry| FragmentRef::new(stream, meta.key, entry)));
                }
                Err(error) => tracing::warn!(%stream, segment = meta.key.number, %error, "segment left out"),
            }
        }
        found.sort_by_key(|fragment| fragment.window.from);
        // A stream that moved to another disk within a commit may be on both.
        found.dedup_by(|a, b| a.window == b.window && a.length == b.length);
        found
    }

    /// Segments that overlap, without those entries that are not wanted.
    fn segments(&self, stream: StreamId, window: Window) -> Vec<SegmentMeta> {
        let streams = self.shared.catalogue.read();
        let Some(index) = streams.get(&stream) else { return Vec::new() };
        index
            .overlapping(window)
            .map(|meta| SegmentMeta {
                entries: meta
                    .entries
                    .as_ref()
                    .map(|entries| entries.iter().filter(|entry| entry.window().overlaps(window)).copied().collect()),
                holes: meta.holes.clone(),
                ..*meta
            })
            .collect()
    }

    /// What decodes a fragment.
    ///
    /// # Errors
    /// As [`Reader::fetch`].
    pub fn tracks(&self, fragment: &FragmentRef) -> Result<Arc<Tracks>, ReadError> {
        self.may(fragment.stream, fragment.window)?;
        let head = self.head(fragment.segment.0)?;
        Self::is_of(head.header.stream, fragment.stream)?;
        Ok(Arc::clone(&head.tracks))
    }

    /// Reads a fragment and checks every byte of it.
    ///
    /// # Errors
    /// [`ReadError::NotPermitted`] if the permit does not cover it; [`ReadError::Gone`] if it was removed since;
    /// [`ReadError::Damaged`] if it is not what was written; [`ReadError::Io`] if the disk refuses.
    pub fn fetch(&self, fragment: &FragmentRef) -> Result<Fragment, ReadError> {
        self.may(fragment.stream, fragment.window)?;
        let key = fragment.segment.0;
        let head = self.head(key)?;
        let bytes = self.read(key, fragment.offset, RECORD_HEADER + fragment.length as usize)?;
        let record = self.record(key, fragment.offset, &bytes)?;
        // What the reference claims was checked; what counts is what the record says of itself.
        Self::is_of(StreamId::from_raw(record.stream), fragment.stream)?;
        self.may(fragment.stream, record.window())?;
        let payload = Bytes::from(bytes).slice(RECORD_HEADER..);
        if EraseMark::read(&payload, key.incarnation).is_some() {
            return Err(ReadError::Gone { segment: key.number });
        }
        let whole = planted(Bug::TrustPayload) || checksum(key.incarnation, &payload) == record.payload_crc;
        if record.payload_len != fragment.length || !whole {
            return Err(damaged(key, fragment.offset, "payload checksum"));
        }
        Fragment::new(payload, &record, head.header.base, Arc::clone(&head.tracks))
            .ok_or_else(|| damaged(key, fragment.offset, "moof"))
    }

    /// The last key unit at or before `at`, with what decodes it, reading its bytes and little else. `None` if there is none in the
    /// 64 fragments before. The caller says whether it is too old to stand for `at`. The permit must reach back to it.
    ///
    /// # Errors
    /// As [`Reader::fetch`].
    pub fn key_unit(&self, stream: StreamId, at: UtcMicros) -> Result<Option<(Arc<Tracks>, AccessUnit)>, ReadError> {
        self.may(stream, Window::new(at, at + Duration::from_micros(1)))?;
        let Some((key, entry)) = self.key_entry(stream, at) else { return Ok(None) };
        self.may(stream, entry.window())?;
        let head = self.head(key)?;
        let moof_end = RECORD_HEADER + entry.moof_len as usize + 8;
        let bytes = self.read(key, entry.offset(), moof_end + entry.lead_len as usize)?;
        let record = self.record(key, entry.offset(), &bytes)?;
        Self::is_of(StreamId::from_raw(record.stream), stream)?;
        self.may(stream, record.window())?;
        let lead = &bytes[moof_end..];
        if record.lead_len != entry.lead_len || checksum(key.incarnation, lead) != record.lead_crc {
            return Err(damaged(key, entry.offset(), "key unit checksum"));
        }
        if record.moof_crc == 0 {
            // An earlier version wrote it: only the checksum of the whole says whether its `moof` is sound.
            recovery::payload_is_whole(&*self.file(key)?, key.incarnation, entry.offset())
                .map_err(|source| ReadError::Io { segment: key.number, source })?
                .then_some(())
                .ok_or_else(|| damaged(key, entry.offset(), "payload checksum"))?;
        } else if checksum(key.incarnation, &bytes[RECORD_HEADER..moof_end]) != record.moof_crc {
            return Err(damaged(key, entry.offset(), "moof checksum"));
        }
        let parsed = mp4::parse(&bytes[RECORD_HEADER..]).ok_or_else(|| damaged(key, entry.offset(), "moof"))?;
        let sample = parsed.samples.iter().find(|sample| sample.track == TrackKind::Video);
        let sample = sample.ok_or_else(|| damaged(key, entry.offset(), "moof"))?;
        let anchor = super::fragment::anchor(&record, head.header.base, sample);
        let unit = parsed.unit(sample, &head.tracks, anchor, Bytes::from(bytes).slice(moof_end..));
        Ok(Some((Arc::clone(&head.tracks), unit)))
    }

    /// The fragment whose first unit is the key unit wanted. Fragments begin at key units wherever the camera's interval allows it.
    fn key_entry(&self, stream: StreamId, at: UtcMicros) -> Option<(SegmentKey, Entry)> {
        let looked: Vec<SegmentMeta> = {
            let streams = self.shared.catalogue.read();
            // Two segments back is far enough for a key unit.
            streams.get(&stream)?.back_from(at).take(3).cloned().collect()
        };
        let best = self.newest_key(&looked, at, None);
        // Where epochs of the clock overlap, a newer one may be in any segment that reaches beyond it.
        let since = best.map_or(at - FAR, |(_, entry)| entry.utc.min(at - NEAR));
        let further: Vec<_> = {
            let streams = self.shared.catalogue.read();
            let here = Window::new(since, at + Duration::from_micros(1));
            let fresh = |meta: &&SegmentMeta| looked.iter().all(|other| other.key != meta.key);
            streams.get(&stream)?.overlapping(here).filter(fresh).cloned().collect()
        };
        self.newest_key(&further, at, best)
    }

    /// Of `best` and what these segments hold, the last key unit at or before `at`.
    fn newest_key(
        &self,
        segments: &[SegmentMeta],
        at: UtcMicros,
        mut best: Option<(SegmentKey, Entry)>,
    ) -> Option<(SegmentKey, Entry)> {
        for meta in segments {
            let Ok(entries) = self.entries(meta) else { continue };
            let end = entries.partition_point(|entry| entry.utc <= at);
            let back = entries[..end].iter().rev().take(LOOK_BACK);
            let there = |entry: &&Entry| entry.starts_with_key && entry.lead_len > 0 && meta.shows(entry);
            if let Some(entry) = back.clone().find(there)
                && best.as_ref().is_none_or(|(_, other)| other.utc < entry.utc)
            {
                best = Some((meta.key, *entry));
            }
        }
        best
    }

    fn entries(&self, meta: &SegmentMeta) -> Result<Arc<[Entry]>, ReadError> {
        if let Some(entries) = &meta.entries {
            return Ok(entries.as_slice().into());
        }
        let known = (meta.key, meta.records);
        if let Some(entries) = lock(&self.cache.footers).get(&known) {
            return Ok(entries);
        }
        let entries: Arc<[Entry]> = match self.read_footer(meta.key) {
            // The records themselves say the same, and cost more to ask.
            Err(ReadError::Damaged { offset, what, .. }) => {
                tracing::error!(segment = meta.key.number, offset, what, "a footer is damaged, reading the records instead");
                let head = self.head(meta.key)?;
                let scan = recovery::scan(&*self.file(meta.key)?, &head.header, Vec::new());
                scan.map_err(|source| ReadError::Io { segment: meta.key.number, source })?.entries.into()
            }
            entries => entries?.into(),
        };
        lock(&self.cache.footers).put(known, Arc::clone(&entries));
        Ok(entries)
    }

    fn read_footer(&self, key: SegmentKey) -> Result<Vec<Entry>, ReadError> {
        let head = self.head(key)?;
        let size = head.header.size;
        let last = self.read(key, size - BLOCK as u64, BLOCK)?;
        let trailer = Trailer::decode(&last, key.incarnation).ok_or_else(|| damaged(key, size - BLOCK as u64, "trailer"))?;
        let bytes = self.read(key, size - FOOTER, footer_blocks(trailer.entries))?;
        read_entries(&bytes, &trailer).ok_or_else(|| damaged(key, size - FOOTER, "footer"))
    }

    fn head(&self, key: SegmentKey) -> Result<Arc<Head>, ReadError> {
        if let Some(head) = lock(&self.cache.heads).get(&key) {
            return Ok(head);
        }
        let refused = |source| ReadError::Io { segment: key.number, source };
        let file = self.file(key)?;
        let header = match head::read(&*file, Some(key.number)).map_err(refused)? {
            head::Head::Used(header) if header.incarnation == key.incarnation => *header,
            head::Head::Used(_) | head::Head::Free { .. } => return Err(ReadError::Gone { segment: key.number }),
            head::Head::Damaged => return Err(damaged(key, 0, "segment header")),
        };
        let moov = head::moov(&*file, &header).map_err(refused)?;
        let moov = moov.ok_or_else(|| damaged(key, BLOCK as u64, "movie box checksum"))?;
        let tracks = Arc::new(mp4::tracks_of(&moov).ok_or_else(|| damaged(key, BLOCK as u64, "movie box"))?);
        let head = Arc::new(Head { header, tracks });
        lock(&self.cache.heads).put(key, Arc::clone(&head));
        Ok(head)
    }

    /// The record header that `bytes` begin with.
    fn record(&self, key: SegmentKey, offset: u64, bytes: &[u8]) -> Result<RecordHeader, ReadError> {
        RecordHeader::decode(bytes, key.incarnation, offset).ok_or_else(|| {
            // The file may have been recycled since its head was cached.
            match self.file(key).map(|file| head::read(&*file, Some(key.number))) {
                Ok(Ok(head::Head::Free { .. })) => ReadError::Gone { segment: key.number },
                Ok(Ok(head::Head::Used(header))) if header.incarnation != key.incarnation => {
                    ReadError::Gone { segment: key.number }
                }
                _ => damaged(key, offset, "record header"),
            }
        })
    }

    fn read(&self, key: SegmentKey, offset: u64, len: usize) -> Result<Vec<u8>, ReadError> {
        let read = super::disk::read_vec(&*self.file(key)?, offset, len);
        read.map_err(|source| ReadError::Io { segment: key.number, source })
    }

    fn file(&self, key: SegmentKey) -> Result<Arc<dyn DiskFile>, ReadError> {
        let volume = self.shared.volumes.get(usize::from(key.volume)).ok_or(ReadError::Gone { segment: key.number })?;
        if !volume.is_readable() {
            return Err(ReadError::Io { segment: key.number, source: std::io::ErrorKind::NotConnected.into() });
        }
        volume.file(key.number).map_err(|source| ReadError::Io { segment: key.number, source })
    }
}

impl FragmentRef {
    fn new(stream: StreamId, key: SegmentKey, entry: &Entry) -> Self {
        Self {
            stream,
            window: entry.window(),
            length: entry.payload_len,
            starts_with_key: entry.starts_with_key,
            segment: SegmentName(key),
            offset: entry.offset(),
        }
    }
}

fn damaged(key: SegmentKey, offset: u64, what: &'static str) -> ReadError {
    ReadError::Damaged { segment: key.number, offset, what }
}

/// The values read last, a bounded number of them: first in, first out, which is near enough to least recently used.
struct Recent<K, V> {
    values: HashMap<K, V>,
    /// In the order in which they came.
    order: VecDeque<K>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { values: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Copy + Eq + Hash, V: Clone> Recent<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        self.values.get(key).cloned()
    }

    fn put(&mut self, key: K, value: V) {
        if self.values.insert(key, value).is_none() {
            self.order.push_back(key);
        }
        while self.values.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
    }
}
