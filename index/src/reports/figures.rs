//! What is added up: integers, so that sums over rooms and days are exact whichever way they are taken.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// The figures of one node and day, or of many added together. Times are microseconds, summed over main streams.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// Cameras that something was expected of; over several days, camera-days.
    pub cameras: u64,
    /// Time that should be recorded: see [`crate::footage::Tally::expected`].
    pub expected_us: u64,
    /// Of this, recorded.
    pub recorded_us: u64,
    /// Expected time in which the node ran and the camera was not paused: somebody could know whether the camera was there.
    pub watched_us: u64,
    /// Of this, time in which the camera sent pictures, whatever became of them.
    pub online_us: u64,
    /// How far back recordings should go: the term, or as long as the camera has been there.
    pub promised_us: u64,
    /// How far back they go, as far as is promised.
    pub kept_us: u64,
    /// Cameras whose recordings go back more than a day less than promised; over several days, camera-days.
    pub short: u64,
    /// Missing time by cause, by its word. Causes without any are left out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub gaps_us: BTreeMap<String, u64>,
    /// Faults of pictures that began, by the word of their kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<String, u64>,
    /// Time in which a picture was faulty.
    pub faulty_us: u64,
}

impl Figures {
    /// Adds another node's or day's.
    pub fn add(&mut self, other: &Self) {
        let sums = [
            (&mut self.cameras, other.cameras),
            (&mut self.expected_us, other.expected_us),
            (&mut self.recorded_us, other.recorded_us),
            (&mut self.watched_us, other.watched_us),
            (&mut self.online_us, other.online_us),
            (&mut self.promised_us, other.promised_us),
            (&mut self.kept_us, other.kept_us),
            (&mut self.short, other.short),
            (&mut self.faulty_us, other.faulty_us),
        ];
        // What a node states is not believed to be small.
        sums.into_iter().for_each(|(sum, part)| *sum = sum.saturating_add(part));
        for (sums, parts) in [(&mut self.gaps_us, &other.gaps_us), (&mut self.faults, &other.faults)] {
            for (word, part) in parts {
                let sum = sums.entry(word.clone()).or_default();
                *sum = sum.saturating_add(*part);
            }
        }
    }

    /// Whether nothing at all was to be recorded or was seen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.expected_us == 0 && self.faults.is_empty() && self.faulty_us == 0
    }

    /// Faults of pictures that began, of all kinds.
    #[must_use]
    pub fn all_faults(&self) -> u64 {
        self.faults.values().fold(0, |sum, part| sum.saturating_add(*part))
    }
}

/// How many of something took how long, in classes: whole seconds up to ten minutes, whole minutes up to a day, whole hours up to 31
/// days, each counted as its upper end; what took longer counts as 31 days. At most [`Spread::CLASSES`] classes, however many are
/// counted, and exactly additive: that is why a day carries one, and neither its durations one by one, which nothing bounds, nor its
/// median, which cannot be added.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Spread(BTreeMap<u32, u64>);

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 86_400;

impl Spread {
    /// The most classes that there are: 601 of seconds, 1,430 of minutes, 720 of hours.
    pub const CLASSES: usize = 601 + 1430 + 720;

    /// The class of a duration, in seconds.
    #[must_use]
    pub fn class(took: Duration) -> u32 {
        let secs = took.as_secs() + u64::from(took.subsec_nanos() > 0);
        let grain = match secs {
            0..=600 => 1,
            601..=DAY => MINUTE,
            _ => HOUR,
        };
        secs.div_ceil(grain).saturating_mul(grain).min(31 * DAY) as u32
    }

    /// Counts one.
    pub fn count(&mut self, took: Duration) {
        *self.0.entry(Self::class(took)).or_default() += 1;
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        for (class, count) in &other.0 {
            let sum = self.0.entry(*class).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// How many are counted.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The shortest duration, in seconds, that at least `percent` of all took no longer than (the nearest rank); `None` if there are
    /// none. 50 is the median, the lower one of two.
    #[must_use]
    pub fn percentile(&self, percent: u32) -> Option<u32> {
        let rank = (u128::from(self.len()) * u128::from(percent)).div_ceil(100).max(1);
        let mut seen = 0_u128;
        self.0.iter().find_map(|(class, count)| {
            seen += u128::from(*count);
            (seen >= rank).then_some(*class)
        })
    }

    /// Whether every class is one that durations have.
    pub(super) fn is_sound(&self) -> bool {
        self.0.iter().all(|(class, count)| *count > 0 && Self::class(Duration::from_secs((*class).into())) == *class)
    }
}

/// How the incidents of one kind fared that were raised on a day.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Times {
    /// How many there were.
    pub raised: u64,
    /// How long those took that were acknowledged.
    pub acknowledge: Spread,
    /// How long until somebody was there, of those where somebody was.
    pub arrive: Spread,
    /// How long until they were closed, of those that are.
    pub close: Spread,
}

impl Times {
    /// Adds another day's.
    pub fn add(&mut self, other: &Self) {
        self.raised = self.raised.saturating_add(other.raised);
        self.acknowledge.add(&other.acknowledge);
        self.arrive.add(&other.arrive);
        self.close.add(&other.close);
    }
}

/// Incidents by the word of their kind.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Incidents(pub BTreeMap<String, Times>);

impl Incidents {
    /// Adds another day's or node's.
    pub fn add(&mut self, other: &Self) {
        for (kind, times) in &other.0 {
            self.0.entry(kind.clone()).or_default().add(times);
        }
    }

    /// All kinds together.
    #[must_use]
    pub fn all(&self) -> Times {
        let mut all = Times::default();
        self.0.values().for_each(|times| all.add(times));
        all
    }
}
