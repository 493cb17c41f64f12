//! Rules and alarms as the journal's records make them: a plain state machine, records in, alarms out.
//!
//! An alarm is worked out from an event by the rules that stood before it, so the same journal gives the same alarms (I7). That it
//! was raised is then written as a record of its own: history stays what it was when rules are read otherwise one day.

use super::rule::{Rule, RuleError, RuleId, Urgency};
use crate::events::{EventId, Kept, Kind, Text};
use crate::journal::{Record, Seen, Seq};
use crate::model::{CameraId, NodeId, UtcMicros};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    str::FromStr,
    time::Duration,
};

/// Rules of a node.
pub const MAX_RULES: usize = 200;
/// Alarms kept in mind. Beyond that the oldest goes, an acknowledged one first, and is counted: each stays in the journal.
pub const MAX_ALARMS: usize = 2_000;
/// How long an acknowledged alarm stays in the list.
const SHOWN_FOR: Duration = Duration::from_secs(24 * 3600);

/// An alarm's name: the event that began it and the rule that called.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AlarmId {
    /// The event.
    pub event: Seq,
    /// The rule.
    pub rule: RuleId,
}

impl fmt::Display for AlarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.event, self.rule)
    }
}

impl FromStr for AlarmId {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (event, rule) = text.split_once('-').ok_or(())?;
        Ok(Self { event: Seq::new(event.parse().map_err(drop)?), rule: RuleId(rule.parse().map_err(drop)?) })
    }
}

impl Serialize for AlarmId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AlarmId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map_err(|()| serde::de::Error::custom("an alarm is an event's number, a dash and a rule's number"))
    }
}

/// A call to the operators.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Alarm {
    /// Its name.
    pub id: AlarmId,
    /// The event that began it.
    pub event: EventId,
    /// What the rule was called.
    pub rule_name: String,
    /// How it calls.
    pub urgency: Urgency,
    /// Whether it opens an incident.
    #[serde(default)]
    pub opens_incident: bool,
    /// What happened.
    pub kind: Kind,
    /// Which camera, and what it was called and where it stood then.
    pub camera: Option<CameraId>,
    /// See `camera`.
    pub name: String,
    /// See `camera`.
    pub place: Vec<String>,
    /// What the event says; empty where its kind says it all.
    #[serde(default)]
    pub text: Text,
    /// When the event happened.
    pub at: UtcMicros,
    /// When the node heard of it.
    pub raised: UtcMicros,
    /// When it heard of the newest repeat.
    pub last: UtcMicros,
    /// How many events after the first are part of it.
    pub repeats: u32,
    /// Who acknowledged it, and when.
    pub acknowledged: Option<(String, UtcMicros)>,
}

impl Alarm {
    /// The record that says that it was raised.
    #[must_use]
    pub fn record(&self) -> Record {
        Record::new(UtcMicros::now(), "alarm.raised", json!(self))
    }
}

#[derive(Deserialize)]
struct Acknowledged {
    alarm: AlarmId,
    by: String,
}

#[derive(Deserialize)]
struct RuleSet {
    rule: Rule,
}

#[derive(Deserialize)]
struct RuleGone {
    rule: RuleId,
}

/// See the module.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct State {
    rules: BTreeMap<RuleId, Rule>,
    newest_rule: RuleId,
    alarms: BTreeMap<AlarmId, Alarm>,
    /// Alarms dropped because there were too many.
    shed: u64,
    /// Counts changes, for whoever wants to know what is new.
    #[serde(skip)]
    revision: u64,
    #[serde(skip)]
    changed: BTreeMap<AlarmId, u64>,
    /// The newest alarm of a rule and a camera.
    #[serde(skip)]
    latest: HashMap<(RuleId, Option<CameraId>), AlarmId>,
}

impl State {
    /// The state as it was kept in a file.
    #[must_use]
    pub(super) fn restored(mut self) -> Self {
        let mut newest: HashMap<(RuleId, Option<CameraId>), (UtcMicros, AlarmId)> = HashMap::new();
        for alarm in self.alarms.values() {
            let entry = newest.entry((alarm.id.rule, alarm.camera)).or_insert((alarm.raised, alarm.id));
            *entry = (*entry).max((alarm.raised, alarm.id));
        }
        self.latest = newest.into_iter().map(|(key, (_, id))| (key, id)).collect();
        self
    }

    /// The rules, by number.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.values()
    }

    /// The number that the next new rule gets, if there is room for one.
    ///
    /// # Errors
    /// [`RuleError::TooMany`].
    pub fn next_rule(&self) -> Result<RuleId, RuleError> {
        if self.rules.len() >= MAX_RULES { Err(RuleError::TooMany) } else { Ok(RuleId(self.newest_rule.0 + 1)) }
    }

    /// One rule.
    #[must_use]
    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules.get(&id)
    }

    /// One alarm.
    #[must_use]
    pub fn alarm(&self, id: AlarmId) -> Option<&Alarm> {
        self.alarms.get(&id)
    }

    /// The alarms that changed after a revision, oldest first; all of them after 0.
    pub fn alarms_since(&self, revision: u64) -> impl Iterator<Item = &Alarm> {
        let is_new = move |alarm: &&Alarm| revision == 0 || self.changed.get(&alarm.id).is_some_and(|at| *at > revision);
        self.alarms.values().filter(is_new)
    }

    /// Grows with every change.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Alarms that were dropped because there were too many, since ever.
    #[must_use]
    pub fn shed(&self) -> u64 {
        self.shed
    }

    /// Takes a record of the journal, each once and in order. Returns the alarms that it begins.
    pub fn take(&mut self, node: NodeId, seen: Seen<'_>) -> Vec<Alarm> {
        match seen.kind {
            "rule.set" => {
                if let Ok(RuleSet { rule }) = serde_json::from_slice(seen.body) {
                    self.set_rule(rule);
                }
            }
            "rule.removed" => {
                if let Ok(RuleGone { rule }) = serde_json::from_slice(seen.body) {
                    self.rules.remove(&rule);
                    self.revision += 1;
                }
            }
            "alarm.acknowledged" => {
                if let Ok(Acknowledged { alarm, by }) = serde_json::from_slice(seen.body) {
                    self.acknowledge(alarm, by, seen.at);
                }
            }
            // As a rule it is known already; not where rules are read otherwise today than when it was raised.
            "alarm.raised" => {
                if let Ok(alarm) = serde_json::from_slice::<Alarm>(seen.body)
                    && !self.alarms.contains_key(&alarm.id)
                {
                    self.insert(alarm);
                }
            }
            _ if self.rules.values().any(|rule| rule.enabled) => {
                if let Some(kept) = Kept::read(node, seen.seq, seen.at, seen.kind, seen.body) {
                    return self.judge(&kept);
                }
            }
            _ => {}
        }
        Vec::new()
    }

    pub(super) fn set_rule(&mut self, rule: Rule) {
        self.newest_rule = self.newest_rule.max(rule.id);
        self.rules.insert(rule.id, rule);
        self.revision += 1;
    }

    fn acknowledge(&mut self, id: AlarmId, by: String, at: UtcMicros) {
        if let Some(alarm) = self.alarms.get_mut(&id)
            && alarm.acknowledged.is_none()
        {
            alarm.acknowledged = Some((by, at));
            self.touch(id);
        }
    }

    /// What the rules make of an event: a repeat of an alarm that is on, or a new one, for each rule.
    pub(super) fn judge(&mut self, kept: &Kept) -> Vec<Alarm> {
        let calling: Vec<Rule> = self.rules.values().filter(|rule| rule.enabled && rule.matches(kept)).cloned().collect();
        let mut begun = Vec::new();
        for rule in calling {
            let known = self.latest.get(&(rule.id, kept.event.camera)).copied();
            if let Some(alarm) = known.and_then(|id| self.alarms.get_mut(&id))
                && is_repeat(&rule, alarm, kept.received)
            {
                alarm.repeats = alarm.repeats.saturating_add(1);
                alarm.last = kept.received;
                let id = alarm.id;
                self.touch(id);
                continue;
            }
            let alarm = alarm(&rule, kept);
            begun.push(alarm.clone());
            self.insert(alarm);
        }
        begun
    }

    fn insert(&mut self, alarm: Alarm) {
        self.forget(alarm.raised);
        let id = alarm.id;
        self.latest.insert((id.rule, alarm.camera), id);
        self.alarms.insert(id, alarm);
        self.touch(id);
    }

    fn touch(&mut self, id: AlarmId) {
        self.revision += 1;
        self.changed.insert(id, self.revision);
    }

    /// Makes room: acknowledged alarms of yesterday go, and beyond the bound the oldest.
    fn forget(&mut self, now: UtcMicros) {
        let old = |alarm: &Alarm| alarm.acknowledged.as_ref().is_some_and(|(_, at)| now.since(*at) > SHOWN_FOR);
        self.alarms.retain(|_, alarm| !old(alarm));
        while self.alarms.len() >= MAX_ALARMS {
            let acknowledged = self.alarms.values().find(|alarm| alarm.acknowledged.is_some()).map(|alarm| alarm.id);
            let Some(id) = acknowledged.or_else(|| self.alarms.keys().next().copied()) else { break };
            self.shed += u64::from(self.alarms.remove(&id).is_some_and(|alarm| alarm.acknowledged.is_none()));
        }
        let alarms = &self.alarms;
        self.changed.retain(|id, _| alarms.contains_key(id));
        self.latest.retain(|_, id| alarms.contains_key(id));
    }
}

fn is_repeat(rule: &Rule, alarm: &Alarm, received: UtcMicros) -> bool {
    let within = |seconds: u32, since: UtcMicros| seconds > 0 && received.since(since) <= Duration::from_secs(seconds.into());
    within(rule.group_s, alarm.last) || within(rule.hold_off_s, alarm.raised)
}

fn alarm(rule: &Rule, kept: &Kept) -> Alarm {
    let event = &kept.event;
    Alarm {
        id: AlarmId { event: kept.seq, rule: rule.id },
        event: kept.id,
        rule_name: rule.name.clone(),
        urgency: rule.urgency,
        opens_incident: rule.opens_incident,
        kind: event.kind,
        camera: event.camera,
        name: event.name.clone(),
        place: event.place.clone(),
        text: event.text.clone(),
        at: event.time,
        raised: kept.received,
        last: kept.received,
        repeats: 0,
        acknowledged: None,
    }
}
