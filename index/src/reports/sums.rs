//! Periods, sums and ranks. Pure.

use super::{
    figures::{Figures, Incidents},
    statement::{Day, Statement},
};
use jiff::{ToSpan, civil::Weekday};
use std::cmp::Ordering;

/// How long a period is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// One day.
    Day,
    /// Monday to Sunday.
    Week,
    /// A month of the calendar.
    Month,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// `day`, `week` or `month`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The first day of the period that a day is in.
    fn first_of(self, day: Day) -> Day {
        let date = match self {
            Self::Day => day.0,
            Self::Week if day.0.weekday() == Weekday::Monday => day.0,
            Self::Week => day.0.nth_weekday(-1, Weekday::Monday).unwrap_or(day.0),
            Self::Month => day.0.first_of_month(),
        };
        Day(date)
    }
}

/// Days that are summed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Period {
    /// The first day in it.
    pub from: Day,
    /// The last day in it.
    pub to: Day,
    /// All of them, in order.
    pub days: Vec<Day>,
}

/// The periods that the days `from` to `to` fall into, in order, each only with days between these two. At most `most` days; `None` if
/// there are more, or none.
#[must_use]
pub fn periods(from: Day, to: Day, step: Step, most: usize) -> Option<Vec<Period>> {
    let mut periods: Vec<Period> = Vec::new();
    let mut day = from;
    for _ in 0..most {
        if day > to {
            break;
        }
        match periods.last_mut() {
            Some(period) if step.first_of(period.from) == step.first_of(day) => {
                period.to = day;
                period.days.push(day);
            }
            _ => periods.push(Period { from: day, to: day, days: vec![day] }),
        }
        day = Day(day.0.checked_add(1.day()).ok()?);
    }
    (day > to && !periods.is_empty()).then_some(periods)
}

/// What statements add up to, and which days are not among them (R3).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Sum {
    /// The figures.
    pub figures: Figures,
    /// The incidents.
    pub incidents: Incidents,
    /// Days summed; of several nodes, node-days.
    pub days: u64,
    /// Of these, not over yet.
    pub running: u64,
    /// Days that nothing is stated of, in order.
    pub missing: Vec<Day>,
}

impl Sum {
    /// Adds a day that is stated or under way.
    pub fn take(&mut self, statement: &Statement) {
        self.figures.add(&statement.figures);
        self.incidents.add(&statement.incidents);
        self.days += 1;
        self.running += u64::from(statement.revision == 0);
    }

    /// Adds another node's sum of the same period.
    pub fn add(&mut self, other: &Self) {
        self.figures.add(&other.figures);
        self.incidents.add(&other.incidents);
        self.days += other.days;
        self.running += other.running;
        self.missing.extend(&other.missing);
        self.missing.sort_unstable();
        self.missing.dedup();
    }
}

/// What is ranked by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Measure {
    /// Recorded divided by expected.
    Completeness,
    /// Time online divided by time watched.
    Online,
    /// How far back recordings go, divided by how far they should.
    Retention,
    /// Faults of pictures a camera and day; fewer are better.
    Faults,
    /// The median time to acknowledge; shorter is better.
    Acknowledge,
}

/// A rank, 1 the best. Equals share theirs, and the next one's counts them: 1, 2, 2, 4.
pub type Ranked = Option<u32>;

impl Measure {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Completeness, Self::Online, Self::Retention, Self::Faults, Self::Acknowledge];

    /// A stable word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Completeness => "completeness",
            Self::Online => "online",
            Self::Retention => "retention",
            Self::Faults => "faults",
            Self::Acknowledge => "acknowledge",
        }
    }

    /// A sum's value as a fraction; `None` where there is nothing to divide by.
    #[must_use]
    pub fn fraction(self, sum: &Sum) -> Option<(u64, u64)> {
        let figures = &sum.figures;
        let (part, whole) = match self {
            Self::Completeness => (figures.recorded_us, figures.expected_us),
            Self::Online => (figures.online_us, figures.watched_us),
            Self::Retention => (figures.kept_us, figures.promised_us),
            Self::Faults => (figures.all_faults(), figures.cameras),
            Self::Acknowledge => (sum.incidents.all().acknowledge.percentile(50)?.into(), 1),
        };
        (whole > 0).then_some((part, whole))
    }

    /// The same as a number.
    #[must_use]
    pub fn value(self, sum: &Sum) -> Option<f64> {
        self.fraction(sum).map(|(part, whole)| part as f64 / whole as f64)
    }

    fn more_is_better(self) -> bool {
        matches!(self, Self::Completeness | Self::Online | Self::Retention)
    }

    /// The better one first, compared as fractions: no rounding makes or breaks a tie.
    fn compare(self, (a, b): (u64, u64), (c, d): (u64, u64)) -> Ordering {
        let order = (u128::from(a) * u128::from(d)).cmp(&(u128::from(c) * u128::from(b)));
        if self.more_is_better() { order.reverse() } else { order }
    }
}

/// The rank of each sum; `None` for one that has no value.
#[must_use]
pub fn rank(measure: Measure, sums: &[&Sum]) -> Vec<Ranked> {
    let values: Vec<_> = sums.iter().map(|sum| measure.fraction(sum)).collect();
    let better = |mine: &(u64, u64)| {
        values.iter().flatten().filter(|other| measure.compare(**other, *mine) == Ordering::Less).count() as u32
    };
    values.iter().map(|value| value.as_ref().map(|mine| better(mine) + 1)).collect()
}
