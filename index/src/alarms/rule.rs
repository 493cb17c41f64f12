//! A rule: which events an operator is called for, when, and how often at most. Pure.

use crate::events::{Kept, Kind, Severity, ZONE_HOURS};
use crate::model::{CameraId, UtcMicros};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt, time::Duration};

/// Characters of a rule's name and of its words.
pub const MAX_RULE_TEXT: usize = 60;
/// Seconds that repeats may be grouped over, or held off for: a day.
pub const MAX_RULE_SECS: u32 = 86_400;
/// An event that the node hears of so much later is no call any more: it is found, not rung for.
pub const LATE: Duration = Duration::from_secs(600);

/// A rule's number, given once in a node's life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(pub u32);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How much a call asks of the operator (ISA-18.2's priorities; a fourth, a mere note, is an event and no alarm).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Urgency {
    /// To be looked at in some minutes; silent.
    Medium,
    /// Soon: one tone.
    High,
    /// At once: a tone until somebody acknowledges.
    Urgent,
}

impl Urgency {
    /// The word for it in the journal and the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Medium => "medium",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }
}

/// When a rule holds, on the district's clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// From the beginning of this hour, 0 to 23,
    pub from_hour: u8,
    /// to the end of this one, past midnight if it is smaller.
    pub to_hour: u8,
    /// On which days, Monday first. A night belongs to the day on which its hour stands.
    pub days: [bool; 7],
}

impl Default for Schedule {
    fn default() -> Self {
        Self { from_hour: 0, to_hour: 23, days: [true; 7] }
    }
}

impl Schedule {
    /// Whether it holds at an instant.
    #[must_use]
    pub fn holds(self, at: UtcMicros) -> bool {
        let hours = at.as_micros().div_euclid(3_600_000_000) + ZONE_HOURS;
        let hour = u8::try_from(hours.rem_euclid(24)).unwrap_or(0);
        // 1970-01-01 was a Thursday.
        let day = usize::try_from((hours.div_euclid(24) + 3).rem_euclid(7)).unwrap_or(0);
        let within = if self.from_hour <= self.to_hour {
            (self.from_hour..=self.to_hour).contains(&hour)
        } else {
            hour >= self.from_hour || hour <= self.to_hour
        };
        within && self.days[day]
    }
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its number; 0 before it has one.
    #[serde(default)]
    pub id: RuleId,
    /// What people call it.
    pub name: String,
    /// Whether it is at work.
    pub enabled: bool,
    /// Of these kinds; at least one.
    pub kinds: BTreeSet<Kind>,
    /// At least so severe.
    #[serde(default = "lightest")]
    pub severity: Severity,
    /// Within this part of the site tree; everywhere if empty.
    #[serde(default)]
    pub under: Vec<String>,
    /// Of these cameras, or of several among which one of them is; of all if empty.
    #[serde(default)]
    pub cameras: BTreeSet<CameraId>,
    /// All of these words stand in what the event says; any event if empty.
    #[serde(default)]
    pub text: String,
    /// When.
    #[serde(default)]
    pub schedule: Schedule,
    /// How it calls.
    pub urgency: Urgency,
    /// Whether each of its alarms opens an incident, which has an owner and a clock.
    #[serde(default)]
    pub opens_incident: bool,
    /// An event of the same camera so many seconds after the one before is a repeat of the same alarm.
    pub group_s: u32,
    /// After an alarm began, the same camera raises no other for so many seconds.
    pub hold_off_s: u32,
}

fn lightest() -> Severity {
    Severity::Info
}

/// Why a rule is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RuleError {
    /// It has no name, or a long one.
    #[error("a rule has a name of 1 to 60 characters")]
    Name,
    /// It names no kind, so it would call for everything.
    #[error("a rule names the kinds of events that it is about")]
    Kinds,
    /// Its words are long.
    #[error("a rule's words are at most 60 characters")]
    Text,
    /// An hour that no clock has.
    #[error("hours are 0 to 23, and a rule holds on at least one day")]
    Schedule,
    /// A day is the longest.
    #[error("repeats are grouped, and alarms held off, for at most a day")]
    Seconds,
    /// There are enough.
    #[error("a node has at most 200 rules")]
    TooMany,
    /// No such rule.
    #[error("there is no such rule")]
    Unknown,
}

impl Rule {
    /// Checks its bounds.
    ///
    /// # Errors
    /// The first that is passed.
    pub fn check(&self) -> Result<(), RuleError> {
        let length = self.name.trim().chars().count();
        let hours = self.schedule.from_hour.max(self.schedule.to_hour);
        let broken = [
            (!(1..=MAX_RULE_TEXT).contains(&length), RuleError::Name),
            (self.kinds.is_empty(), RuleError::Kinds),
            (self.text.chars().count() > MAX_RULE_TEXT, RuleError::Text),
            (hours > 23 || !self.schedule.days.contains(&true), RuleError::Schedule),
            (self.group_s.max(self.hold_off_s) > MAX_RULE_SECS, RuleError::Seconds),
        ];
        broken.into_iter().find_map(|(broken, error)| broken.then_some(Err(error))).unwrap_or(Ok(()))
    }

    /// Whether an event is one that it calls for. Not asked here: whether the rule is at work, and grouping.
    #[must_use]
    pub fn matches(&self, kept: &Kept) -> bool {
        let event = &kept.event;
        let place = |(wanted, stands): (&String, &String)| wanted == stands;
        self.kinds.contains(&event.kind)
            && event.severity >= self.severity
            && (self.cameras.is_empty() || event.camera.iter().chain(&event.cameras).any(|camera| self.cameras.contains(camera)))
            && event.place.len() >= self.under.len()
            && self.under.iter().zip(&event.place).all(place)
            && self.schedule.holds(event.time)
            && kept.received.since(event.time) <= LATE
            && self.says(kept)
    }

    fn says(&self, kept: &Kept) -> bool {
        if self.text.trim().is_empty() {
            return true;
        }
        let event = &kept.event;
        let (zh, en) = event.kind.name();
        let classes = event.objects.iter().flat_map(|objects| <[&str; 2]>::from(objects.class.words()));
        let facts = event.attributes.values().filter_map(|value| value.as_str());
        let said =
            [zh, en, &event.text.zh, &event.text.en, &event.name, &event.source.topic].into_iter().chain(classes).chain(facts);
        let said: String = said.flat_map(|text| [text, "\n"]).collect::<String>().to_lowercase();
        self.text.to_lowercase().split_whitespace().all(|word| said.contains(word))
    }
}
