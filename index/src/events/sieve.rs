//! What a match must be besides being found by a query: things that a segment's columns say at once, a block of documents at
//! a time.

use super::atoms::ROLES;
use super::day::{ZONE_HOURS, key_at, millis_of};
use super::parts::Region;
use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};
use tantivy::{
    COLLECT_BLOCK_BUFFER_LEN, DocId, DocSet, SegmentReader, TantivyError,
    columnar::{Cardinality, Column, ColumnValues},
};

/// Spreads camera numbers over a table: they are our own, so nobody can choose them to collide, and speed is what counts.
#[derive(Default)]
pub(super) struct Spread(u64);

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

/// Numbers below this are a row of bits.
const DENSE: u64 = 1 << 16;
const HOUR_MILLIS: i64 = 3_600_000;

/// A set of numbers that is asked for every document: cameras, atoms.
#[derive(Default, Debug)]
pub(super) struct Numbers {
    bits: Vec<u64>,
    others: HashSet<u64, BuildHasherDefault<Spread>>,
}

impl Numbers {
    pub(super) fn insert(&mut self, number: u64) {
        if number >= DENSE {
            self.others.insert(number);
            return;
        }
        let word = (number / 64) as usize;
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        self.bits[word] |= 1 << (number % 64);
    }

    fn has(&self, number: u64) -> bool {
        match self.bits.get((number / 64) as usize) {
            Some(word) => word >> (number % 64) & 1 == 1,
            None => !self.others.is_empty() && self.others.contains(&number),
        }
    }

    fn is_empty(&self) -> bool {
        self.bits.is_empty() && self.others.is_empty()
    }
}

impl FromIterator<u64> for Numbers {
    fn from_iter<I: IntoIterator<Item = u64>>(numbers: I) -> Self {
        let mut all = Self::default();
        numbers.into_iter().for_each(|number| all.insert(number));
        all
    }
}

/// Steps of time that keys fall into. Neighbours in the index are neighbours in time, so it seldom divides.
pub(super) struct Steps {
    millis: i64,
    here: i64,
    keys: std::ops::Range<u64>,
}

impl Steps {
    /// Steps so long, counted from 1970.
    pub(super) fn new(millis: i64) -> Self {
        Self { millis, here: 0, keys: 0..0 }
    }

    pub(super) fn hours() -> Self {
        Self::new(HOUR_MILLIS)
    }

    /// The step of a key.
    pub(super) fn of(&mut self, key: u64) -> i64 {
        if !self.keys.contains(&key) {
            self.here = millis_of(key).div_euclid(self.millis);
            let begins = self.here.saturating_mul(self.millis);
            self.keys = key_at(begins)..key_at(begins.saturating_add(self.millis));
        }
        self.here
    }

    /// The hour of the day of a key, 0 to 23, on the district's clocks, if the steps are hours.
    pub(super) fn hour(&mut self, key: u64) -> usize {
        (self.of(key) + ZONE_HOURS).rem_euclid(24) as usize
    }
}

/// The columns of a segment.
pub(super) struct Columns {
    pub(super) key: Arc<dyn ColumnValues<u64>>,
    pub(super) kind: Arc<dyn ColumnValues<u64>>,
    pub(super) severity: Arc<dyn ColumnValues<u64>>,
    pub(super) camera: Arc<dyn ColumnValues<u64>>,
    /// The cameras of events about several; `None` where there is no such event.
    concerns: Option<Column<u64>>,
    region: Arc<dyn ColumnValues<u64>>,
    roles: [Arc<dyn ColumnValues<u64>>; ROLES],
}

impl Columns {
    pub(super) fn of(segment: &SegmentReader) -> Result<Self, TantivyError> {
        let column = |name| column(segment, name);
        Ok(Self {
            key: column("key")?,
            kind: column("kind")?,
            severity: column("severity")?,
            camera: column("camera")?,
            concerns: segment.fast_fields().column_opt("concerns")?,
            region: column("region")?,
            roles: [column("place")?, column("what")?, column("said")?],
        })
    }
}

/// A column without holes as it lies there; with holes, zeros in them. Looking for holes takes longer than reading.
fn column(segment: &SegmentReader, name: &str) -> Result<Arc<dyn ColumnValues<u64>>, TantivyError> {
    let column = segment.fast_fields().u64(name)?;
    let full = column.get_cardinality() == Cardinality::Full;
    Ok(if full { column.values } else { column.first_or_default_col(0) })
}

/// Some documents of a segment, and those of them that have passed so far.
pub(super) struct Block {
    docs: [DocId; COLLECT_BLOCK_BUFFER_LEN],
    keys: [u64; COLLECT_BLOCK_BUFFER_LEN],
    /// Room for a column's values.
    values: [u64; COLLECT_BLOCK_BUFFER_LEN],
    pass: [bool; COLLECT_BLOCK_BUFFER_LEN],
    length: usize,
}

impl Block {
    pub(super) fn new() -> Self {
        let none = [0; COLLECT_BLOCK_BUFFER_LEN];
        Self { docs: [0; COLLECT_BLOCK_BUFFER_LEN], keys: none, values: none, pass: [false; COLLECT_BLOCK_BUFFER_LEN], length: 0 }
    }

    /// Takes the next documents in; how many they are, less than a full block at the end.
    pub(super) fn fill(&mut self, docs: &mut dyn DocSet) -> usize {
        self.length = docs.fill_buffer(&mut self.docs);
        self.length
    }

    /// Reads the keys of what is left.
    fn read_keys(&mut self, column: &dyn ColumnValues<u64>) {
        column.get_vals(&self.docs[..self.length], &mut self.keys[..self.length]);
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn keys(&self) -> &[u64] {
        &self.keys[..self.length]
    }

    pub(super) fn matches(&self) -> impl Iterator<Item = (DocId, u64)> {
        self.docs.iter().copied().zip(self.keys.iter().copied()).take(self.length)
    }

    /// What a column says of what is left.
    pub(super) fn values(&mut self, column: &dyn ColumnValues<u64>) -> &[u64] {
        column.get_vals(&self.docs[..self.length], &mut self.values[..self.length]);
        &self.values[..self.length]
    }

    fn keep_keys(&mut self, mut test: impl FnMut(u64) -> bool) {
        let mut kept = 0;
        for at in 0..self.length {
            (self.docs[kept], self.keys[kept]) = (self.docs[at], self.keys[at]);
            kept += usize::from(test(self.keys[at]));
        }
        self.length = kept;
    }

    /// Before keys are read.
    fn keep(&mut self, column: &dyn ColumnValues<u64>, test: impl Fn(u64) -> bool) {
        self.pass[..self.length].fill(false);
        self.allow(column, test);
        self.keep_allowed();
    }

    fn allow(&mut self, column: &dyn ColumnValues<u64>, test: impl Fn(u64) -> bool) {
        let length = self.length;
        column.get_vals(&self.docs[..length], &mut self.values[..length]);
        self.pass[..length].iter_mut().zip(&self.values[..length]).for_each(|(pass, value)| *pass |= test(*value));
    }

    fn allow_atoms(&mut self, columns: &Columns, atoms: &[Numbers; ROLES]) {
        for (numbers, column) in atoms.iter().zip(&columns.roles).filter(|(numbers, _)| !numbers.is_empty()) {
            self.allow(&**column, |atom| numbers.has(atom));
        }
    }

    /// Whether one of what is left has, for each condition, an atom that meets it. Leaves everything as it is.
    pub(super) fn meets(&mut self, columns: &Columns, conditions: &[[Numbers; ROLES]]) -> bool {
        let mut all = [true; COLLECT_BLOCK_BUFFER_LEN];
        for atoms in conditions {
            self.pass[..self.length].fill(false);
            self.allow_atoms(columns, atoms);
            all.iter_mut().zip(&self.pass[..self.length]).for_each(|(all, pass)| *all &= pass);
        }
        all[..self.length].contains(&true)
    }

    /// Before keys are read. Events of none of the cameras, but about several among which they are, are few: each is looked at alone.
    fn keep_cameras(&mut self, columns: &Columns, cameras: &Numbers) {
        self.pass[..self.length].fill(false);
        self.allow(&*columns.camera, |camera| cameras.has(camera));
        if let Some(concerns) = &columns.concerns {
            let (docs, values) = (&self.docs[..self.length], &self.values[..self.length]);
            for ((doc, _), pass) in docs.iter().zip(values).zip(&mut self.pass).filter(|((_, camera), _)| **camera == 0) {
                *pass |= concerns.values_for_doc(*doc).any(|camera| cameras.has(camera));
            }
        }
        self.keep_allowed();
    }

    fn keep_allowed(&mut self) {
        let mut kept = 0;
        for at in 0..self.length {
            // No branch: whether a document passes is a coin's toss.
            self.docs[kept] = self.docs[at];
            kept += usize::from(self.pass[at]);
        }
        self.length = kept;
    }
}

/// What a question says of every day alike.
#[derive(Clone, Debug)]
pub(super) struct Narrow {
    /// Keys from here on.
    pub(super) from: u64,
    /// Keys before this.
    pub(super) to: u64,
    pub(super) hours: Option<[bool; 24]>,
    pub(super) region: Option<u64>,
    /// In whose journals the events stand, by number.
    pub(super) origins: Option<Vec<u64>>,
    /// Not those that stand in the journal of that number and are about the camera of that number.
    pub(super) elsewhere: Vec<(u64, u64)>,
}

/// See the module. What is `None` or empty lets everything pass.
#[derive(Debug)]
pub(super) struct Sieve<'a> {
    pub(super) narrow: &'a Narrow,
    /// By number of the kind.
    pub(super) kinds: Option<Numbers>,
    pub(super) severities: Option<Numbers>,
    pub(super) cameras: Option<&'a Numbers>,
    /// For each condition of the text the atoms that meet it, by role.
    pub(super) texts: Vec<[Numbers; ROLES]>,
}

impl<'a> Sieve<'a> {
    /// One that looks at nothing else.
    pub(super) fn new(narrow: &'a Narrow) -> Self {
        Self { narrow, kinds: None, severities: None, cameras: None, texts: Vec::new() }
    }

    /// Leaves what passes.
    pub(super) fn apply(&self, columns: &Columns, block: &mut Block, hours: &mut Steps) {
        let narrow = self.narrow;
        if let Some(severities) = &self.severities {
            block.keep(&*columns.severity, |severity| severities.has(severity));
        }
        if let Some(kinds) = &self.kinds {
            block.keep(&*columns.kind, |kind| kinds.has(kind));
        }
        if let Some(cameras) = self.cameras {
            block.keep_cameras(columns, cameras);
        }
        for atoms in &self.texts {
            block.pass[..block.length].fill(false);
            block.allow_atoms(columns, atoms);
            block.keep_allowed();
        }
        if let Some(region) = narrow.region {
            block.keep(&*columns.region, |there| there != 0 && Region::touch(there, region));
        }
        // Last: the widest column, and days outside the window are left out whole.
        block.read_keys(&*columns.key);
        block.keep_keys(|key| {
            narrow.from <= key && key < narrow.to && narrow.hours.is_none_or(|allowed| allowed[hours.hour(key)])
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UtcMicros;

    #[test]
    fn numbers_are_those_that_were_put_in_whatever_their_size() {
        let put = [0, 1, 63, 64, DENSE - 1, DENSE, 1 << 29];
        let numbers: Numbers = put.into_iter().collect();
        assert!(put.iter().all(|number| numbers.has(*number)));
        assert!([2, 62, 65, DENSE + 1, (1 << 29) - 1].iter().all(|number| !numbers.has(*number)));
        assert!(Numbers::default().is_empty() && !numbers.is_empty());
    }

    #[test]
    fn a_step_is_the_same_for_all_its_keys_and_another_for_the_next() {
        let at = |millis: i64| key_at(millis) + 5;
        let mut steps = Steps::new(1000);
        assert_eq!([0, 999, 1000, 1999, 500, 2000].map(|millis| steps.of(at(millis))), [0, 0, 1, 1, 0, 2]);
        let noon = UtcMicros::from_micros(4 * 3_600_000_000);
        assert_eq!(Steps::hours().hour(key_at(noon.as_micros() / 1000)), 12, "four in the morning UTC is noon there");
    }
}
