//! Which footage exists, by time: for each stream its segments in order, 80 bytes each, in memory. A month of 50 streams is
//! 20 MB and is asked by binary search. What is inside a sealed segment stands in its footer and is read when wanted.
//!
//! Nothing here is the truth: all of it can be read from the segment files again.

use super::{format::Entry, spans};
use crate::model::{RetentionClass, StreamId, UtcMicros, Window};
use std::{
    collections::{HashMap, HashSet},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

/// One use of one segment file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct SegmentKey {
    /// The volume's place in the configuration.
    pub(super) volume: u16,
    pub(super) number: u32,
    pub(super) incarnation: u64,
}

/// What memory holds of a segment.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct SegmentMeta {
    pub(super) key: SegmentKey,
    /// From its first picture to the end of its last.
    pub(super) window: Window,
    /// The recorded time inside, where it is not all of the window.
    pub(super) holes: Option<Box<[Window]>>,
    pub(super) bytes: u64,
    pub(super) records: u32,
    pub(super) class: RetentionClass,
    /// Where its last record ends in the file.
    pub(super) end: u64,
    /// The entries of a segment that has no footer (yet).
    pub(super) entries: Option<Vec<Entry>>,
}

impl SegmentMeta {
    /// The recorded time in it, merged.
    pub(super) fn spans(&self) -> &[Window] {
        self.holes.as_deref().unwrap_or(std::slice::from_ref(&self.window))
    }

    /// Whether a fragment that its footer tells of is still there: while an order of erasure is carried out the footer may lag behind.
    pub(super) fn shows(&self, entry: &Entry) -> bool {
        let middle = entry.utc + Duration::from_micros(u64::from(entry.duration_us / 2));
        !entry.is_erased() && self.spans().iter().any(|span| span.contains(middle))
    }

    /// Sets window and spans from the recorded time, merged and in order. Not empty.
    pub(super) fn set_spans(&mut self, spans: &[Window]) {
        if let (Some(first), Some(last)) = (spans.first(), spans.last()) {
            self.window = Window::new(first.from, last.to);
            self.holes = (spans.len() > 1).then(|| spans.into());
        }
    }
}

/// One stream's segments.
#[derive(Default)]
pub(super) struct StreamIndex {
    /// By the time of their first picture.
    segments: Vec<SegmentMeta>,
    bytes: u64,
    /// The longest window among them: how far back a search must look.
    longest: Duration,
    /// Where the picture ends that came last.
    newest: Option<UtcMicros>,
    /// All recorded time, merged: few spans however many segments, so that a month of a room is tiled in milliseconds.
    spans: Vec<Window>,
}

impl StreamIndex {
    /// Segments that overlap `window`, by their start.
    pub(super) fn overlapping(&self, window: Window) -> impl Iterator<Item = &SegmentMeta> {
        let first = self.segments.partition_point(|segment| segment.window.from < window.from - self.longest);
        let last = self.segments.partition_point(|segment| segment.window.from < window.to).max(first);
        self.segments[first..last].iter().filter(move |segment| segment.window.overlaps(window))
    }

    /// The last segment that begins at or before `at` and those before it, newest first.
    pub(super) fn back_from(&self, at: UtcMicros) -> impl Iterator<Item = &SegmentMeta> {
        let end = self.segments.partition_point(|segment| segment.window.from <= at);
        self.segments[..end].iter().rev()
    }

    /// The recorded time that overlaps `window`, merged, in order, and the span next to it on either side.
    pub(super) fn recorded_around(&self, window: Window) -> &[Window] {
        let first = self.spans.partition_point(|span| span.to <= window.from).saturating_sub(1);
        let last = self.spans.partition_point(|span| span.from < window.to);
        &self.spans[first..(last + 1).min(self.spans.len())]
    }

    /// One segment.
    pub(super) fn segment(&self, key: SegmentKey) -> Option<&SegmentMeta> {
        self.position(key).map(|at| &self.segments[at])
    }

    pub(super) fn segments(&self) -> &[SegmentMeta] {
        &self.segments
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn newest(&self) -> Option<UtcMicros> {
        self.newest
    }

    fn insert(&mut self, meta: SegmentMeta) {
        if meta.records > 0 {
            meta.spans().iter().for_each(|span| spans::join(&mut self.spans, *span));
        }
        self.bytes += meta.bytes;
        self.longest = self.longest.max(meta.window.duration());
        if meta.records > 0 {
            self.newest = self.newest.max(Some(meta.window.to));
        }
        let at = self.segments.partition_point(|other| other.window.from <= meta.window.from);
        self.segments.insert(at, meta);
    }

    /// As [`Self::insert`] for each of them, in the time of one pass instead of one each.
    fn insert_all(&mut self, volume: u16, metas: Vec<SegmentMeta>) {
        let mine = self.segments.iter().filter(|segment| segment.key.volume == volume);
        let mut known: HashSet<SegmentKey> = mine.map(|segment| segment.key).collect();
        for meta in metas {
            if known.insert(meta.key) {
                self.insert(meta);
            }
        }
    }

    /// Forgets a segment, and recorded time that no other holds.
    fn remove(&mut self, key: SegmentKey) -> Option<SegmentMeta> {
        let meta = self.segments.remove(self.position(key)?);
        self.bytes -= meta.bytes;
        // The merged spans that it was part of are put together anew without it.
        let first = self.spans.partition_point(|span| span.to < meta.window.from);
        let last = self.spans.partition_point(|span| span.from <= meta.window.to);
        if let (Some(from), Some(to)) = (self.spans.get(first), last.checked_sub(1).and_then(|last| self.spans.get(last))) {
            let touched = Window::new(from.from, to.to);
            let mut anew = Vec::new();
            self.overlapping(touched).flat_map(SegmentMeta::spans).for_each(|span| spans::join(&mut anew, *span));
            anew.retain(|span| span.overlaps(touched));
            self.spans.splice(first..last, anew);
        }
        Some(meta)
    }

    /// Whether it is one of them.
    pub(super) fn holds(&self, key: SegmentKey) -> bool {
        self.position(key).is_some()
    }

    fn position(&self, key: SegmentKey) -> Option<usize> {
        // The one that is looked for is nearly always the newest.
        self.segments.iter().rposition(|segment| segment.key == key)
    }
}

/// The index of all streams.
#[derive(Default)]
pub(super) struct Catalogue {
    streams: RwLock<HashMap<StreamId, StreamIndex>>,
}

impl Catalogue {
    pub(super) fn read(&self) -> RwLockReadGuard<'_, HashMap<StreamId, StreamIndex>> {
        self.streams.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<StreamId, StreamIndex>> {
        self.streams.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a segment that recovery found, unless it is known.
    pub(super) fn insert(&self, stream: StreamId, meta: SegmentMeta) {
        let mut streams = self.write();
        let index = streams.entry(stream).or_default();
        if index.position(meta.key).is_none() {
            index.insert(meta);
        }
    }

    /// Adds the segments of a stream that a volume's checkpoint tells of, but for those that are known. A start with a month of footage
    /// takes as long as this.
    pub(super) fn insert_all(&self, stream: StreamId, volume: u16, metas: Vec<SegmentMeta>) {
        self.write().entry(stream).or_default().insert_all(volume, metas);
    }

    /// Adds what one commit made durable: records of an open segment, and whether it is sealed now.
    pub(super) fn announce(&self, commits: impl Iterator<Item = Commit>) {
        let mut streams = self.write();
        for commit in commits {
            streams.entry(commit.stream).or_default().announce(commit);
        }
    }

    /// Forgets a volume's segments: its disk is away, or is read anew.
    pub(super) fn remove_volume(&self, volume: u16) {
        for index in self.write().values_mut() {
            let gone: u64 =
                index.segments.iter().filter(|segment| segment.key.volume == volume).map(|segment| segment.bytes).sum();
            index.segments.retain(|segment| segment.key.volume != volume);
            index.bytes -= gone;
            index.spans.clear();
            for segment in index.segments.iter().filter(|segment| segment.records > 0) {
                segment.spans().iter().for_each(|span| spans::join(&mut index.spans, *span));
            }
        }
    }

    /// Takes time out of a segment: what was recorded then cannot be read any more.
    pub(super) fn cut(&self, stream: StreamId, key: SegmentKey, gone: Window) {
        let mut streams = self.write();
        let Some(index) = streams.get_mut(&stream) else { return };
        let newest = index.newest;
        if let Some(mut meta) = index.remove(key) {
            let mut left = meta.spans().to_vec();
            spans::cut(&mut left, gone);
            // A segment of which nothing is left keeps its place in time: its file is in use.
            if !left.is_empty() {
                meta.set_spans(&left);
            }
            index.insert(meta);
        }
        index.newest = newest;
    }

    /// Puts what is left of a segment in the place of what was there before.
    pub(super) fn replace(&self, stream: StreamId, meta: SegmentMeta) {
        let mut streams = self.write();
        if let Some(index) = streams.get_mut(&stream)
            && index.remove(meta.key).is_some()
        {
            index.insert(meta);
        }
    }

    /// Forgets a segment. Says what it was.
    pub(super) fn remove(&self, stream: StreamId, key: SegmentKey) -> Option<SegmentMeta> {
        let mut streams = self.write();
        streams.get_mut(&stream)?.remove(key)
    }
}

/// What one commit added to one segment.
pub(super) struct Commit {
    pub(super) stream: StreamId,
    pub(super) key: SegmentKey,
    pub(super) class: RetentionClass,
    pub(super) entries: Vec<Entry>,
    pub(super) sealed: bool,
}

impl StreamIndex {
    fn announce(&mut self, commit: Commit) {
        let Some(first) = commit.entries.first() else {
            if let (true, Some(at)) = (commit.sealed, self.position(commit.key)) {
                self.segments[at].entries = None;
            }
            return;
        };
        let at = self.position(commit.key).unwrap_or_else(|| {
            self.insert(SegmentMeta {
                key: commit.key,
                window: first.window(),
                holes: None,
                bytes: 0,
                records: 0,
                class: commit.class,
                end: 0,
                entries: Some(Vec::new()),
            });
            self.position(commit.key).unwrap_or(0)
        });
        let segment = &mut self.segments[at];
        let mut spans = segment.spans().to_vec();
        for entry in &commit.entries {
            spans::join(&mut spans, entry.window());
            spans::join(&mut self.spans, entry.window());
            segment.bytes += u64::from(entry.payload_len);
            self.bytes += u64::from(entry.payload_len);
        }
        segment.set_spans(&spans);
        segment.end = segment.end.max(commit.entries.last().map_or(0, Entry::end));
        segment.records += commit.entries.len() as u32;
        self.longest = self.longest.max(segment.window.duration());
        // Not the latest there is: footage of a clock that had jumped ahead says nothing about whether recording goes on.
        self.newest = commit.entries.last().map(|entry| entry.window().to);
        match (&mut segment.entries, commit.sealed) {
            (entries, true) => *entries = None,
            (Some(entries), false) => entries.extend(commit.entries),
            (None, false) => {}
        }
    }
}
