//! A day as a node states it, and the journal's records that it is: the figures and as many incidents as fit in the first, the rest in
//! further parts, all of one commit. Encode and decode side by side.

use super::figures::{Figures, Incidents, Spread, Times};
use crate::{
    journal::Record,
    model::{UtcMicros, Window},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{collections::BTreeMap, fmt, str::FromStr};

/// What its records are called.
pub(super) const KIND: &str = "report.day";
/// Bytes of spreads in one part: with the rest of it well below what a record may have. One spread alone is at most 38 KiB.
const PART_BYTES: usize = 40 << 10;
/// Parts of one statement, at most.
const MAX_PARTS: u32 = 200;

/// A day of the calendar, as counted where the node stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(pub jiff::civil::Date);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Day {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| "a day is written 2026-11-22")
    }
}

impl TryFrom<String> for Day {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

/// What a node says of one of its days.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    /// Which day.
    pub day: Day,
    /// From its midnight to the next, or up to when the day has come.
    pub window: Window,
    /// 1, 2, 3, …: the highest of a day counts. 0 is a day that is not over and not stated.
    pub revision: u32,
    /// Its figures.
    pub figures: Figures,
    /// Incidents that were raised on it, whenever they went on.
    pub incidents: Incidents,
}

/// A step of an incident, as its spread is named in a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    Acknowledge,
    Arrive,
    Close,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Took {
    kind: String,
    step: Step,
    /// Seconds to how many.
    times: Spread,
}

fn steps(times: &Times) -> impl Iterator<Item = (Step, &Spread)> {
    let all = [(Step::Acknowledge, &times.acknowledge), (Step::Arrive, &times.arrive), (Step::Close, &times.close)];
    all.into_iter().filter(|(_, times)| !times.is_empty())
}

/// One record's body.
#[derive(Debug, Deserialize)]
pub(super) struct Part {
    pub(super) day: Day,
    from_us: UtcMicros,
    to_us: UtcMicros,
    pub(super) revision: u32,
    part: u32,
    parts: u32,
    #[serde(default)]
    figures: Figures,
    #[serde(default)]
    raised: BTreeMap<String, u64>,
    #[serde(default)]
    took: Vec<Took>,
}

impl Statement {
    /// The records that state it. `zone` is said beside, for whoever reads the journal.
    #[must_use]
    pub fn records(&self, zone: &str, now: UtcMicros) -> Vec<Record> {
        let mut parts: Vec<(usize, Vec<Took>)> = vec![(0, Vec::new())];
        for (kind, times) in &self.incidents.0 {
            for (step, times) in steps(times) {
                let took = Took { kind: kind.clone(), step, times: times.clone() };
                let bytes = serde_json::to_vec(&took).map_or(0, |text| text.len());
                if parts.last().is_none_or(|(filled, _)| *filled > 0 && filled + bytes > PART_BYTES) {
                    parts.push((0, Vec::new()));
                }
                if let Some((filled, list)) = parts.last_mut() {
                    *filled += bytes;
                    list.push(took);
                }
            }
        }
        let raised: BTreeMap<&String, u64> = self.incidents.0.iter().map(|(kind, times)| (kind, times.raised)).collect();
        let count = parts.len();
        let record = |(number, (_, took)): (usize, (usize, Vec<Took>))| {
            let mut body = json!({
                "day": self.day,
                "zone": zone,
                "from_us": self.window.from,
                "to_us": self.window.to,
                "revision": self.revision,
                "part": number + 1,
                "parts": count,
                "took": took,
            });
            if number == 0 {
                body["figures"] = json!(self.figures);
                body["raised"] = json!(raised);
            }
            Record::new(now, KIND, body)
        };
        parts.into_iter().enumerate().map(record).collect()
    }

    /// Whether another says the same, under whatever revision.
    #[must_use]
    pub fn says_as(&self, other: &Self) -> bool {
        self.day == other.day && self.window == other.window && self.figures == other.figures && self.incidents == other.incidents
    }
}

impl Part {
    /// Reads a body; `None` if it is none that a node writes.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let part: Self = serde_json::from_slice(body).ok()?;
        let numbered = (1..=part.parts).contains(&part.part) && part.parts <= MAX_PARTS && part.revision > 0;
        let words = part.raised.keys().chain(part.took.iter().map(|took| &took.kind));
        let sound = words.into_iter().all(|word| word.len() <= 64) && part.took.iter().all(|took| took.times.is_sound());
        (numbered && sound && !Window::new(part.from_us, part.to_us).is_empty()).then_some(part)
    }
}

/// A statement of which not all parts have come.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Draft {
    revision: u32,
    next: u32,
    parts: u32,
    statement: Kept,
}

impl Draft {
    /// Takes the next part; the statement when it is whole. Parts of one statement stand one after the other in the journal: another
    /// one's begins anew.
    pub(super) fn take(slot: &mut Option<Self>, part: Part) -> Option<Statement> {
        if part.part == 1 {
            let statement = Kept {
                day: part.day,
                from_us: part.from_us,
                to_us: part.to_us,
                revision: part.revision,
                figures: part.figures,
                raised: part.raised,
                took: Vec::new(),
            };
            *slot = Some(Self { revision: part.revision, next: 1, parts: part.parts, statement });
        }
        let draft = slot.as_mut()?;
        let goes_on = draft.statement.day == part.day
            && (draft.revision, draft.next, draft.parts) == (part.revision, part.part, part.parts);
        if !goes_on {
            *slot = None;
            return None;
        }
        draft.next += 1;
        draft.statement.took.extend(part.took);
        if draft.next <= draft.parts { None } else { slot.take().map(|draft| draft.statement.into()) }
    }
}

/// A statement in a file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    day: Day,
    from_us: UtcMicros,
    to_us: UtcMicros,
    revision: u32,
    figures: Figures,
    raised: BTreeMap<String, u64>,
    took: Vec<Took>,
}

impl From<Kept> for Statement {
    fn from(kept: Kept) -> Self {
        let mut incidents = Incidents::default();
        for (kind, raised) in kept.raised {
            incidents.0.entry(kind).or_default().raised = raised;
        }
        for took in kept.took {
            let times = incidents.0.entry(took.kind).or_default();
            match took.step {
                Step::Acknowledge => times.acknowledge.add(&took.times),
                Step::Arrive => times.arrive.add(&took.times),
                Step::Close => times.close.add(&took.times),
            }
        }
        let window = Window::new(kept.from_us, kept.to_us);
        Self { day: kept.day, window, revision: kept.revision, figures: kept.figures, incidents }
    }
}

impl From<&Statement> for Kept {
    fn from(statement: &Statement) -> Self {
        let mut took = Vec::new();
        for (kind, times) in &statement.incidents.0 {
            for (step, times) in steps(times) {
                took.push(Took { kind: kind.clone(), step, times: times.clone() });
            }
        }
        Self {
            day: statement.day,
            from_us: statement.window.from,
            to_us: statement.window.to,
            revision: statement.revision,
            figures: statement.figures.clone(),
            raised: statement.incidents.0.iter().map(|(kind, times)| (kind.clone(), times.raised)).collect(),
            took,
        }
    }
}

impl Serialize for Statement {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        Kept::from(self).serialize(s)
    }
}

impl<'de> Deserialize<'de> for Statement {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Kept::deserialize(d).map(Into::into)
    }
}
