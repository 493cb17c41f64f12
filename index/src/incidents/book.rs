//! All incidents that a node knows, folded from the records of its own journal and of the copies it keeps. Pure: records in, state out.

use super::moves::{Deed, Handed, IncidentId, Priority, RECEIVED, Received, Told, What};
use super::shift::{self, HandOver};
use super::state::{Incident, Place};
use crate::alarms::{Alarm, AlarmId};
use crate::events::ZONE_HOURS;
use crate::journal::{Seen, Seq};
use crate::model::{NodeId, Tier, UtcMicros};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Incidents kept in mind. Beyond that the one that ended first goes, and is counted; each stays in the journal.
pub const MAX_INCIDENTS: usize = 20_000;
/// Moves of one incident that are looked at; more are counted and passed over.
const MAX_MOVES: usize = 1_000;

/// What is known of one incident. Its opening may come after moves: they are another node's.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Case {
    opened: Option<Told>,
    #[serde(with = "pairs")]
    moves: BTreeMap<Place, Told>,
    #[serde(skip)]
    folded: Option<Incident>,
    #[serde(skip)]
    wakes: Option<UtcMicros>,
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Book {
    node: NodeId,
    tier: Tier,
    cases: BTreeMap<IncidentId, Case>,
    /// How far each journal was read.
    cursors: BTreeMap<NodeId, Seq>,
    /// How far what the neighbour above hands down is durable here.
    handed: BTreeMap<NodeId, Seq>,
    /// The newest hand-overs between shifts of this node.
    #[serde(default)]
    shifts: Vec<HandOver>,
    /// Incidents dropped because there were too many.
    shed: u64,
    /// Records that do not read, or that their author may not write.
    refused: u64,
    #[serde(skip)]
    alarms: HashMap<(NodeId, AlarmId), IncidentId>,
    /// Alarms of this node that are to open an incident and have not.
    #[serde(default)]
    waiting: BTreeMap<AlarmId, Alarm>,
    #[serde(skip)]
    wakes: BTreeSet<(UtcMicros, IncidentId)>,
    #[serde(skip)]
    revision: u64,
    #[serde(skip)]
    changed: BTreeMap<IncidentId, u64>,
}

impl Book {
    /// Of a node of a tier, empty.
    #[must_use]
    pub fn new(node: NodeId, tier: Tier) -> Self {
        Self {
            node,
            tier,
            cases: BTreeMap::new(),
            cursors: BTreeMap::new(),
            handed: BTreeMap::new(),
            shifts: Vec::new(),
            shed: 0,
            refused: 0,
            alarms: HashMap::new(),
            waiting: BTreeMap::new(),
            wakes: BTreeSet::new(),
            revision: 0,
            changed: BTreeMap::new(),
        }
    }

    /// The same after it was read from a file: what follows from the rest is made anew.
    #[must_use]
    pub(super) fn restored(mut self) -> Self {
        for id in self.cases.keys().copied().collect::<Vec<_>>() {
            self.fold(id);
        }
        self
    }

    /// How far a journal was read.
    #[must_use]
    pub fn cursor(&self, node: NodeId) -> Seq {
        self.cursors.get(&node).copied().unwrap_or_default()
    }

    pub(super) fn set_cursor(&mut self, node: NodeId, seq: Seq) {
        self.cursors.insert(node, seq);
    }

    /// Up to which record of a neighbour's journal everything that it handed down is durable here.
    #[must_use]
    pub fn handed(&self, via: NodeId) -> Seq {
        self.handed.get(&via).copied().unwrap_or_default()
    }

    /// One record of the journal of a node of a tier, in the order of that journal. What a copy says that another node did is not
    /// believed: that node's own journal says it.
    pub fn take(&mut self, (journal_of, tier): (NodeId, Tier), seen: &Seen<'_>) {
        if seen.kind == "alarm.raised" && journal_of == self.node {
            self.take_alarm(seen);
        } else if seen.kind == RECEIVED {
            if journal_of == self.node {
                self.take_received(seen);
            }
        } else if seen.kind.starts_with("shift.") {
            if journal_of == self.node {
                shift::take(&mut self.shifts, seen);
            }
        } else if seen.kind.starts_with("incident.") {
            match serde_json::from_slice::<Told>(seen.body) {
                Ok(told) if told.tier == tier && (tier > Tier::Room || told.home == journal_of) => {
                    self.insert(journal_of, seen.seq, told);
                }
                _ => self.refused += 1,
            }
        }
    }

    fn take_alarm(&mut self, seen: &Seen<'_>) {
        if let Ok(alarm) = serde_json::from_slice::<Alarm>(seen.body)
            && alarm.opens_incident
            && !self.alarms.contains_key(&(self.node, alarm.id))
        {
            self.waiting.insert(alarm.id, alarm);
        }
    }

    fn take_received(&mut self, seen: &Seen<'_>) {
        let Ok(Received { via, handed }) = serde_json::from_slice(seen.body) else {
            self.refused += 1;
            return;
        };
        let cursor = self.handed.entry(via).or_default();
        *cursor = (*cursor).max(handed.at);
        self.insert(handed.node, handed.seq, handed.told);
    }

    fn insert(&mut self, node: NodeId, seq: Seq, told: Told) {
        let id = told.incident(node, seq);
        let place = Place { at: told.at, node, seq };
        match &told.what {
            What::Opened(opening) => {
                if let Some(alarm) = opening.alarm {
                    self.waiting.remove(&alarm);
                    // Two for one alarm: the first counts.
                    if *self.alarms.entry((node, alarm)).or_insert(id) != id {
                        return;
                    }
                }
                self.make_room();
                self.cases.entry(id).or_default().opened = Some(told);
            }
            What::Moved { .. } => {
                let case = self.cases.entry(id).or_default();
                if case.moves.len() >= MAX_MOVES {
                    self.refused += 1;
                    return;
                }
                case.moves.insert(place, told);
            }
        }
        self.fold(id);
    }

    fn fold(&mut self, id: IncidentId) {
        let Some(case) = self.cases.get_mut(&id) else { return };
        let Some(opened) = &case.opened else { return };
        let What::Opened(opening) = &opened.what else { return };
        if let Some(alarm) = opening.alarm {
            self.alarms.insert((id.node, alarm), id);
        }
        let incident = Incident::fold(id, opened, opening, &case.moves);
        if let Some(at) = case.wakes.take() {
            self.wakes.remove(&(at, id));
        }
        // The clock is that of the tier that has it.
        case.wakes = incident.wakes().filter(|_| incident.tier == self.tier || incident.shelved.is_some());
        if let Some(at) = case.wakes {
            self.wakes.insert((at, id));
        }
        case.folded = Some(incident);
        self.touch(id);
    }

    fn touch(&mut self, id: IncidentId) {
        self.revision += 1;
        self.changed.insert(id, self.revision);
    }

    fn make_room(&mut self) {
        while self.cases.len() >= MAX_INCIDENTS {
            let ended = self.all().filter_map(|incident| Some((incident.ended?, incident.id))).min();
            let Some(id) = ended.map(|(_, id)| id).or_else(|| self.cases.keys().next().copied()) else { return };
            if let Some(at) = self.cases.remove(&id).and_then(|case| case.wakes) {
                self.wakes.remove(&(at, id));
            }
            self.changed.remove(&id);
            self.alarms.retain(|_, of| *of != id);
            self.shed += 1;
        }
    }

    /// One incident, as its moves left it.
    #[must_use]
    pub fn get(&self, id: IncidentId) -> Option<&Incident> {
        self.cases.get(&id)?.folded.as_ref()
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = &Incident> {
        self.cases.values().filter_map(|case| case.folded.as_ref())
    }

    /// The incident that an alarm of a node opened.
    #[must_use]
    pub fn of_alarm(&self, node: NodeId, alarm: AlarmId) -> Option<&Incident> {
        self.alarms.get(&(node, alarm)).and_then(|id| self.get(*id))
    }

    /// Alarms that are to open an incident and have not.
    pub(super) fn waiting(&self) -> Vec<Alarm> {
        self.waiting.values().cloned().collect()
    }

    /// The newest hand-overs between shifts of this node, oldest first.
    #[must_use]
    pub fn shifts(&self) -> &[HandOver] {
        &self.shifts
    }

    /// Counts changes.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Those that changed after a revision.
    pub fn since(&self, revision: u64) -> impl Iterator<Item = &Incident> {
        self.changed.iter().filter(move |(_, changed)| **changed > revision).filter_map(|(id, _)| self.get(*id))
    }

    /// Incidents that were dropped, and records that were refused.
    #[must_use]
    pub fn passed_over(&self) -> (u64, u64) {
        (self.shed, self.refused)
    }

    /// Incidents whose clock is over or that are back, up to an instant.
    #[must_use]
    pub(super) fn woken(&self, now: UtcMicros) -> Vec<IncidentId> {
        self.wakes.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect()
    }

    /// When the next of them is.
    #[must_use]
    pub(super) fn next_wake(&self, after: UtcMicros) -> Option<UtcMicros> {
        self.wakes.range((after, IncidentId { node: NodeId::from_bytes([0; 16]), seq: Seq::ZERO })..).next().map(|(at, _)| *at)
    }

    /// What is laid aside and whose time is over by now is back; whoever looks is told.
    pub(super) fn bring_back(&mut self, id: IncidentId, now: UtcMicros) {
        let Some(case) = self.cases.get_mut(&id) else { return };
        let Some(folded) = case.folded.as_ref().filter(|folded| folded.shelved.is_some()) else { return };
        let folded = folded.as_of(now);
        if folded.shelved.is_some() {
            return;
        }
        if let Some(at) = case.wakes.take() {
            self.wakes.remove(&(at, id));
        }
        case.wakes = folded.wakes().filter(|_| folded.tier == self.tier);
        if let Some(at) = case.wakes {
            self.wakes.insert((at, id));
        }
        case.folded = Some(folded);
        self.touch(id);
    }

    /// The next number of the day for an incident opened here.
    #[must_use]
    pub(super) fn next_number(&self, now: UtcMicros) -> String {
        let local = now.as_micros().div_euclid(1_000_000) + ZONE_HOURS * 3600;
        let date = jiff::Timestamp::from_second(local).map_or_else(|_| "0000".to_owned(), |day| day.strftime("%m%d").to_string());
        let number = |incident: &Incident| {
            let (day, number) = incident.opening.number.split_once('-')?;
            (day == date).then(|| number.parse::<u32>().ok())?
        };
        let named = |seq| IncidentId { node: self.node, seq: Seq::new(seq) };
        let newest = self.cases.range(named(0)..=named(u64::MAX)).rev();
        let last = newest.filter_map(|(_, case)| case.folded.as_ref()).take(50).filter_map(number).max().unwrap_or(0);
        format!("{date}-{:04}", last + 1)
    }

    /// Whether a record of a node is known.
    #[must_use]
    pub(super) fn knows(&self, handed: &Handed) -> bool {
        let id = handed.told.incident(handed.node, handed.seq);
        let Some(case) = self.cases.get(&id) else { return false };
        match handed.told.what {
            What::Opened(_) => case.opened.is_some(),
            What::Moved { .. } => case.moves.contains_key(&Place { at: handed.told.at, node: handed.node, seq: handed.seq }),
        }
    }

    /// What the last person or clock did that moved an incident, for whoever came too late.
    #[must_use]
    pub fn last_move(incident: &Incident) -> Option<&super::state::Entry> {
        incident.history.iter().rev().find(|entry| !entry.deed.only_adds())
    }

    /// How many were opened here by a tier in the time before an instant, by priority, and how long they waited to be taken on.
    #[must_use]
    pub fn figures(&self, from: UtcMicros) -> Figures {
        let mut figures = Figures::default();
        let mut waits = Vec::new();
        for incident in self.all() {
            figures.opened += u32::from(incident.opened >= from);
            figures.closed += u32::from(incident.ended.is_some_and(|at| at >= from));
            if let Some(at) = incident.acknowledged.filter(|at| *at >= from) {
                waits.push(at.since(incident.opened));
            }
        }
        waits.sort();
        figures.acknowledge_median_s = waits.get(waits.len() / 2).map(|wait| wait.as_secs_f64());
        figures
    }
}

/// How it went lately.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Figures {
    /// Incidents opened.
    pub opened: u32,
    /// Incidents that ended.
    pub closed: u32,
    /// Half of those that were taken on waited at most so many seconds.
    pub acknowledge_median_s: Option<f64>,
}

/// The priority that stands for how an alarm calls.
#[must_use]
pub(super) fn priority_of(urgency: crate::alarms::Urgency) -> Priority {
    match urgency {
        crate::alarms::Urgency::Urgent => Priority::P1,
        crate::alarms::Urgency::High => Priority::P2,
        crate::alarms::Urgency::Medium => Priority::P3,
    }
}

/// Which incident a deed points to besides its own.
#[must_use]
pub(super) fn other(deed: &Deed) -> Option<IncidentId> {
    if let Deed::Merge { into } = deed { Some(*into) } else { None }
}

/// Moves as a list: a place is no text that could be a key.
mod pairs {
    use super::{Place, Told};
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeMap;

    pub(super) fn serialize<S: Serializer>(moves: &BTreeMap<Place, Told>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(moves)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<Place, Told>, D::Error> {
        Ok(Vec::<(Place, Told)>::deserialize(from)?.into_iter().collect())
    }
}
