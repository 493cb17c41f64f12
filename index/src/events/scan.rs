//! Going through a day's matches: the page's place in them, their number, and the counts that were asked for.

use super::day::{hour_of, millis_of};
use super::parts::Region;
use super::question::{FACET_CAMERAS, Facets};
use super::{Kind, Severity};
use crate::model::CameraId;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};
use tantivy::{
    COLLECT_BLOCK_BUFFER_LEN, DocAddress, DocSet, Searcher, SegmentReader, TantivyError,
    columnar::ColumnValues,
    query::{EnableScoring, Query},
};

/// More than any kind's number.
const KINDS: usize = 128;

/// Spreads camera numbers over a table: they are our own, so nobody can choose them to collide, and speed is what counts.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

/// What a match must be besides being found by the query: things that a column says at once.
#[derive(Clone, Debug)]
pub(super) struct Narrow {
    /// Keys from here on.
    pub(super) from: u64,
    /// Keys before this.
    pub(super) to: u64,
    pub(super) hours: Option<[bool; 24]>,
    pub(super) region: Option<u64>,
}

/// Counts of a day's matches.
#[derive(Clone, Default, Debug)]
pub(super) struct Counts {
    pub(super) all: u64,
    /// Whether the parts below were counted too.
    pub(super) parted: bool,
    /// By kind's number.
    kinds: Vec<u64>,
    severities: [u64; 4],
    cameras: HashMap<u64, u64, BuildHasherDefault<Spread>>,
    hours: [u64; 24],
    /// By column of the histogram, counted from 1970.
    columns: HashMap<i64, u64>,
}

/// The newest matches before a place, at most so many.
pub(super) struct Newest {
    before: u64,
    limit: usize,
    heap: BinaryHeap<Reverse<(u64, i64, DocAddress)>>,
}

impl Newest {
    pub(super) fn new(before: u64, limit: usize) -> Self {
        Self { before, limit, heap: BinaryHeap::with_capacity(limit + 1) }
    }

    fn offer(&mut self, key: u64, day: i64, at: DocAddress) {
        if key >= self.before {
            return;
        }
        if self.heap.len() < self.limit {
            self.heap.push(Reverse((key, day, at)));
        } else if self.heap.peek().is_some_and(|Reverse(least)| key > least.0) {
            self.heap.pop();
            self.heap.push(Reverse((key, day, at)));
        }
    }

    /// Whether a day that begins with this key can still give anything to the page.
    pub(super) fn wants(&self, day_begins: u64) -> bool {
        self.before > day_begins && !self.is_full()
    }

    pub(super) fn is_full(&self) -> bool {
        self.heap.len() >= self.limit
    }

    /// Newest first.
    pub(super) fn into_sorted(self) -> Vec<(u64, i64, DocAddress)> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(hit)| hit).collect()
    }
}

/// How much of a scan is wanted.
pub(super) struct Wants {
    /// Count by kind, severity, camera and hour.
    pub(super) facets: bool,
    /// Count along time, in columns so wide.
    pub(super) step_millis: Option<i64>,
}

/// The columns of a segment that a scan reads.
struct Columns {
    key: Arc<dyn ColumnValues<u64>>,
    region: Arc<dyn ColumnValues<u64>>,
    kind: Arc<dyn ColumnValues<u64>>,
    severity: Arc<dyn ColumnValues<u64>>,
    camera: Arc<dyn ColumnValues<u64>>,
}

impl Columns {
    fn of(segment: &SegmentReader) -> Result<Self, TantivyError> {
        let column = |name: &str| Ok::<_, TantivyError>(segment.fast_fields().u64(name)?.first_or_default_col(0));
        Ok(Self {
            key: column("key")?,
            region: column("region")?,
            kind: column("kind")?,
            severity: column("severity")?,
            camera: column("camera")?,
        })
    }
}

/// Cameras with smaller numbers are counted in a table by number.
const DENSE: usize = 1 << 15;

/// What of a block passed.
struct Matching {
    docs: [u32; COLLECT_BLOCK_BUFFER_LEN],
    keys: [u64; COLLECT_BLOCK_BUFFER_LEN],
    length: usize,
    /// Room for a column's values.
    values: [u64; COLLECT_BLOCK_BUFFER_LEN],
}

impl Default for Matching {
    fn default() -> Self {
        let none = [0; COLLECT_BLOCK_BUFFER_LEN];
        Self { docs: [0; COLLECT_BLOCK_BUFFER_LEN], keys: none, length: 0, values: none }
    }
}

impl Matching {
    fn push(&mut self, doc: u32, key: u64) {
        (self.docs[self.length], self.keys[self.length]) = (doc, key);
        self.length += 1;
    }
}

/// Goes through the matches of a day. Returns how many documents it looked at: what it cost.
pub(super) fn scan(
    (number, searcher): (i64, &Searcher),
    query: &dyn Query,
    narrow: &Narrow,
    wants: &Wants,
    newest: &mut Newest,
    counts: &mut Counts,
) -> Result<u64, TantivyError> {
    let mut looked_at = 0;
    let mut column = (0, 0);
    let mut cameras = if wants.facets { vec![0; DENSE] } else { Vec::new() };
    let weight = query.weight(EnableScoring::disabled_from_searcher(searcher))?;
    for (ordinal, segment) in searcher.segment_readers().iter().enumerate() {
        let columns = Columns::of(segment)?;
        if columns.key.max_value() < narrow.from {
            continue;
        }
        let mut docs = weight.scorer(segment, 1.0)?;
        let mut block = [0; COLLECT_BLOCK_BUFFER_LEN];
        let mut keys = [0; COLLECT_BLOCK_BUFFER_LEN];
        let mut matching = Matching::default();
        loop {
            let filled = docs.fill_buffer(&mut block);
            looked_at += filled as u64;
            columns.key.get_vals(&block[..filled], &mut keys[..filled]);
            for (doc, key) in block[..filled].iter().zip(keys) {
                if key < narrow.from || key >= narrow.to || !passes(narrow, &columns, *doc, key) {
                    continue;
                }
                newest.offer(key, number, DocAddress::new(ordinal as u32, *doc));
                counts.all += 1;
                if wants.facets {
                    matching.push(*doc, key);
                }
                if let Some(step) = wants.step_millis {
                    let here = millis_of(key).div_euclid(step);
                    // Neighbours in the index are neighbours in time.
                    if here != column.0 {
                        *counts.columns.entry(column.0).or_default() += column.1;
                        column = (here, 0);
                    }
                    column.1 += 1;
                }
            }
            // Column by column: values that lie together are read together.
            counts.add_facets(&columns, &mut matching, &mut cameras);
            if filled < COLLECT_BLOCK_BUFFER_LEN {
                break;
            }
        }
    }
    counts.add_cameras(&cameras);
    if column.1 > 0 {
        *counts.columns.entry(column.0).or_default() += column.1;
    }
    counts.parted = wants.facets;
    Ok(looked_at)
}

fn passes(narrow: &Narrow, columns: &Columns, doc: u32, key: u64) -> bool {
    narrow.hours.is_none_or(|hours| hours[hour_of(millis_of(key)) as usize])
        && narrow.region.is_none_or(|region| {
            let there = columns.region.get_val(doc);
            there != 0 && Region::touch(there, region)
        })
}

impl Counts {
    /// Counts a block's matches and empties it; cameras of small numbers into `dense`.
    fn add_facets(&mut self, columns: &Columns, matching: &mut Matching, dense: &mut [u64]) {
        let Matching { docs, keys, length, values } = matching;
        let filled = std::mem::take(length);
        if filled == 0 {
            return;
        }
        let (docs, values) = (&docs[..filled], &mut values[..filled]);
        self.kinds.resize(KINDS, 0);
        columns.kind.get_vals(docs, values);
        values.iter().for_each(|kind| self.kinds[*kind as usize % KINDS] += 1);
        columns.severity.get_vals(docs, values);
        values.iter().for_each(|severity| self.severities[(*severity & 3) as usize] += 1);
        columns.camera.get_vals(docs, values);
        for camera in values.iter() {
            match dense.get_mut(*camera as usize) {
                Some(count) => *count += 1,
                None => *self.cameras.entry(*camera).or_default() += 1,
            }
        }
        keys[..filled].iter().for_each(|key| self.hours[hour_of(millis_of(*key)) as usize] += 1);
    }

    fn add_cameras(&mut self, dense: &[u64]) {
        for (number, count) in (0..).zip(dense).filter(|(_, count)| **count > 0) {
            *self.cameras.entry(number).or_default() += count;
        }
    }

    /// Adds another day's.
    pub(super) fn merge(&mut self, other: &Self) {
        self.all += other.all;
        self.kinds.resize(KINDS, 0);
        self.kinds.iter_mut().zip(&other.kinds).for_each(|(mine, theirs)| *mine += theirs);
        other.cameras.iter().for_each(|(key, count)| *self.cameras.entry(*key).or_default() += count);
        other.columns.iter().for_each(|(key, count)| *self.columns.entry(*key).or_default() += count);
        self.severities.iter_mut().zip(other.severities).for_each(|(mine, theirs)| *mine += theirs);
        self.hours.iter_mut().zip(other.hours).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// As people read them.
    pub(super) fn facets(&self) -> Facets {
        let mut kinds: Vec<(Kind, u64)> = (0..)
            .zip(&self.kinds)
            .filter(|(_, count)| **count > 0)
            .filter_map(|(code, count)| Some((Kind::from_code(code)?, *count)))
            .collect();
        kinds.sort_by_key(|(kind, count)| (Reverse(*count), *kind));
        let camera = |number: u64| u32::try_from(number).ok().and_then(|number| CameraId::new(number).ok());
        let mut cameras: Vec<(CameraId, u64)> =
            self.cameras.iter().filter_map(|(number, count)| Some((camera(*number)?, *count))).collect();
        cameras.sort_by_key(|(camera, count)| (Reverse(*count), *camera));
        cameras.truncate(FACET_CAMERAS);
        debug_assert_eq!(self.severities.len(), Severity::ALL.len());
        Facets { kinds, severities: self.severities, cameras, hours: self.hours }
    }

    /// So many columns from one on.
    pub(super) fn columns(&self, first: i64, count: usize) -> Vec<u64> {
        (first..).take(count).map(|column| self.columns.get(&column).copied().unwrap_or(0)).collect()
    }

    /// Roughly the memory it takes, to bound what is remembered.
    pub(super) fn weight(&self) -> usize {
        200 + 16 * (self.kinds.len() + self.cameras.len() + self.columns.len())
    }
}
