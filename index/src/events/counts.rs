//! What is counted of a question's matches: all of them, by what they are, by camera, by hour, and along time.

use super::question::{FACET_CAMERAS, Facets};
use super::sieve::{Block, Columns, Spread, Steps};
use super::{Kind, Severity};
use crate::model::CameraId;
use std::{cmp::Reverse, collections::HashMap, hash::BuildHasherDefault};

/// More than any kind's number.
const KINDS: usize = 128;
/// Cameras with smaller numbers are counted in a table by number.
const DENSE: usize = 1 << 15;

/// What is to be counted.
pub(super) struct Wants {
    /// By kind, severity, camera and hour.
    pub(super) facets: bool,
    /// Along time, in columns so wide.
    pub(super) step_millis: Option<i64>,
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

/// The counting of one day.
pub(super) struct Counting<'a> {
    wants: &'a Wants,
    counts: &'a mut Counts,
    cameras: Vec<u64>,
    hours: Steps,
    steps: Option<Steps>,
    /// A column of the histogram, and what it has so far: neighbours in the index are neighbours in time.
    column: (i64, u64),
}

impl<'a> Counting<'a> {
    pub(super) fn new(wants: &'a Wants, counts: &'a mut Counts) -> Self {
        let cameras = if wants.facets { vec![0; DENSE] } else { Vec::new() };
        let (hours, steps) = (Steps::hours(), wants.step_millis.map(Steps::new));
        Self { wants, counts, cameras, hours, steps, column: (0, 0) }
    }

    /// Counts a block's matches.
    pub(super) fn add(&mut self, columns: &Columns, block: &mut Block) {
        self.counts.all += block.len() as u64;
        if let Some(steps) = &mut self.steps {
            for key in block.keys() {
                let here = steps.of(*key);
                if here != self.column.0 {
                    self.counts.add_column(self.column);
                    self.column = (here, 0);
                }
                self.column.1 += 1;
            }
        }
        if self.wants.facets && block.len() > 0 {
            self.add_facets(columns, block);
        }
    }

    fn add_facets(&mut self, columns: &Columns, block: &mut Block) {
        let counts = &mut *self.counts;
        counts.kinds.resize(KINDS, 0);
        // Column by column: values that lie together are read together.
        block.values(&*columns.kind).iter().for_each(|kind| counts.kinds[*kind as usize % KINDS] += 1);
        block.values(&*columns.severity).iter().for_each(|severity| counts.severities[(*severity & 3) as usize] += 1);
        for camera in block.values(&*columns.camera) {
            match self.cameras.get_mut(*camera as usize) {
                Some(count) => *count += 1,
                None => *counts.cameras.entry(*camera).or_default() += 1,
            }
        }
        block.keys().iter().for_each(|key| counts.hours[self.hours.hour(*key)] += 1);
    }

    /// Ends the day.
    pub(super) fn finish(self) {
        self.counts.add_column(self.column);
        self.counts.add_cameras(&self.cameras);
        self.counts.parted = self.wants.facets;
    }
}

impl Counts {
    fn add_column(&mut self, (column, count): (i64, u64)) {
        if count > 0 {
            *self.columns.entry(column).or_default() += count;
        }
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
