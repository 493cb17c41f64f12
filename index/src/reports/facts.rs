//! What a node's own journal says of a day beside the ledger: incidents with their steps, and faults of pictures. Pure: records in,
//! figures out.

use super::figures::{Figures, Incidents};
use crate::{
    alarms::{Alarm, AlarmId},
    events::{Kept, Kind},
    incidents::{Author, Deed, Handed, RECEIVED, Told, What},
    journal::Seen,
    model::{CameraId, NodeId, UtcMicros, Window},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// How long an incident is followed after it was raised: what is done later is in the journal and in no report.
pub const FOLLOWED: Duration = Duration::from_secs(31 * 86_400);
/// Incidents followed at once, and faults remembered; beyond that the oldest goes, with what its day already states.
const MOST: usize = 100_000;
/// A fault that is found again so soon after a restart is the same one: a judge that begins anew tells it anew.
const SAME_AGAIN: Duration = Duration::from_secs(15 * 60);

/// An incident as reports see it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Incident {
    /// The word of what it is about.
    pub kind: String,
    /// When the node knew of it.
    pub raised: UtcMicros,
    /// When somebody first did something with it: who does has seen it.
    pub acknowledged: Option<UtcMicros>,
    /// When somebody was first there.
    pub arrived: Option<UtcMicros>,
    /// When it was last closed, found to be none, or made part of another.
    pub closed: Option<UtcMicros>,
    /// When it was last opened again.
    pub reopened: Option<UtcMicros>,
}

/// Something wrong with a camera's picture.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Fault {
    camera: CameraId,
    kind: Kind,
    from: UtcMicros,
    /// `None` while it lasts.
    to: Option<UtcMicros>,
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Facts {
    incidents: BTreeMap<String, Incident>,
    /// Alarms that opened an incident: the two are one, under the incident's name.
    opened_for: BTreeMap<String, String>,
    faults: VecDeque<Fault>,
    /// When the node last began to work.
    started: UtcMicros,
    /// Nothing from here on was dropped because there was too much.
    whole_from: UtcMicros,
}

impl Incident {
    fn new(kind: String, raised: UtcMicros) -> Self {
        Self { kind, raised, acknowledged: None, arrived: None, closed: None, reopened: None }
    }

    /// Notes a move. In whatever order the moves of several nodes come, the same stands there afterwards.
    fn take(&mut self, deed: &Deed, told: &Told) {
        if matches!(told.by, Author::Person(_)) && !deed.only_adds() {
            earliest(&mut self.acknowledged, told.at);
        }
        match deed {
            Deed::Arrive => earliest(&mut self.arrived, told.at),
            Deed::Close { .. } | Deed::Dismiss { .. } | Deed::Merge { .. } => self.closed = self.closed.max(Some(told.at)),
            Deed::Reopen | Deed::Undo { .. } => self.reopened = self.reopened.max(Some(told.at)),
            _ => {}
        }
    }
}

fn earliest(known: &mut Option<UtcMicros>, at: UtcMicros) {
    *known = Some(known.map_or(at, |known| known.min(at)));
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            incidents: BTreeMap::new(),
            opened_for: BTreeMap::new(),
            faults: VecDeque::new(),
            started: UtcMicros::MIN,
            whole_from: UtcMicros::MIN,
        }
    }
}

#[derive(Deserialize)]
struct Acknowledged {
    alarm: AlarmId,
}

#[derive(Deserialize)]
struct Received {
    handed: Handed,
}

/// What an incident is called that no event began.
const BY_HAND: &str = "incident";

impl Facts {
    /// Takes a record of the node's own journal, each once and in order.
    pub fn take(&mut self, node: NodeId, seen: Seen<'_>) {
        match seen.kind {
            "alarm.raised" => {
                if let Ok(alarm) = serde_json::from_slice::<Alarm>(seen.body) {
                    let (kind, raised) = (alarm.kind.word().to_owned(), alarm.raised);
                    let id = alarm.id.to_string();
                    if !self.opened_for.contains_key(&id) {
                        self.raise(id, Incident::new(kind, raised), seen.at);
                    }
                }
            }
            "alarm.acknowledged" => {
                if let Ok(Acknowledged { alarm }) = serde_json::from_slice(seen.body) {
                    self.step(&alarm.to_string(), |incident| earliest(&mut incident.acknowledged, seen.at));
                }
            }
            RECEIVED => {
                if let Ok(Received { handed: Handed { node: author, seq, told, .. } }) = serde_json::from_slice(seen.body)
                    && told.home == node
                {
                    self.told(told.incident(author, seq).to_string(), &told, seen.at);
                }
            }
            kind if kind.starts_with("incident.") => {
                // What is another node's incident is in that node's report.
                if let Ok(told) = serde_json::from_slice::<Told>(seen.body)
                    && told.home == node
                {
                    self.told(told.incident(node, seen.seq).to_string(), &told, seen.at);
                }
            }
            "node.started" | "node.stopped" => {
                // Nobody looks at pictures now: what was wrong is told again if it still is.
                self.end(|_| true, seen.at);
                self.started = if seen.kind == "node.started" { seen.at } else { self.started };
            }
            kind if kind.starts_with("picture.") || kind == "camera.removed" => {
                if let Some(kept) = Kept::read(node, seen.seq, seen.at, seen.kind, seen.body) {
                    self.picture(&kept);
                }
            }
            _ => {}
        }
    }

    fn told(&mut self, id: String, told: &Told, now: UtcMicros) {
        match &told.what {
            What::Opened(opening) => {
                let kind = opening.kind.map_or(BY_HAND, Kind::word).to_owned();
                let alarm = opening.alarm.map(|alarm| alarm.to_string());
                // What the alarm knows already is the incident's.
                let known = alarm.as_ref().and_then(|alarm| self.incidents.remove(alarm));
                if let Some(alarm) = alarm {
                    self.opened_for.insert(alarm, id.clone());
                }
                self.raise(id, known.unwrap_or_else(|| Incident::new(kind, told.at)), now);
            }
            What::Moved { deed, .. } => self.step(&id, |incident| incident.take(deed, told)),
        }
    }

    /// Takes an incident that begins.
    fn raise(&mut self, id: String, incident: Incident, now: UtcMicros) {
        self.incidents.entry(id).or_insert(incident);
        if self.incidents.len() > MOST {
            let horizon = now - FOLLOWED;
            self.incidents.retain(|_, incident| incident.raised >= horizon);
        }
        if self.incidents.len() > MOST {
            // A tenth at a time: it is looked through rarely.
            let mut raised: Vec<UtcMicros> = self.incidents.values().map(|incident| incident.raised).collect();
            let until = *raised.select_nth_unstable(MOST / 10).1;
            self.incidents.retain(|_, incident| incident.raised > until);
            self.whole_from = self.whole_from.max(until + Duration::from_micros(1));
        }
    }

    /// Notes what was done with an incident, if it is still followed.
    fn step(&mut self, id: &str, note: impl FnOnce(&mut Incident)) {
        let id = self.opened_for.get(id).map_or(id, String::as_str);
        if let Some(incident) = self.incidents.get_mut(id) {
            note(incident);
        }
    }

    fn picture(&mut self, kept: &Kept) {
        let Some(camera) = kept.event.camera else { return };
        let (kind, at) = (kept.event.kind, kept.event.time);
        // What is wrong now is what was told last.
        self.end(|fault| fault.camera == camera, at);
        if matches!(kind, Kind::PictureGood | Kind::CameraRemoved) {
            return;
        }
        let restarted = self.started;
        let again = self.faults.iter_mut().rev().find(|fault| fault.camera == camera).filter(|fault| {
            fault.kind == kind
                && fault.to.is_some_and(|to| to <= restarted)
                && at.since(restarted) <= SAME_AGAIN
                && at >= restarted
        });
        match again {
            Some(fault) => fault.to = None,
            None => self.faults.push_back(Fault { camera, kind, from: at, to: None }),
        }
        if self.faults.len() > MOST
            && let Some(gone) = self.faults.pop_front()
        {
            self.whole_from = self.whole_from.max(gone.to.unwrap_or(at));
        }
    }

    fn end(&mut self, which: impl Fn(&Fault) -> bool, at: UtcMicros) {
        for fault in self.faults.iter_mut().filter(|fault| fault.to.is_none() && which(fault)) {
            fault.to = Some(at.max(fault.from));
        }
    }

    /// Whether all that happened in a window is still remembered. Of an older one what was stated stands.
    #[must_use]
    pub fn covers(&self, window: Window) -> bool {
        window.from >= self.whole_from
    }

    /// Forgets what no day that may still be stated is about.
    pub fn forget(&mut self, before: UtcMicros) {
        self.incidents.retain(|_, incident| incident.raised >= before);
        let incidents = &self.incidents;
        self.opened_for.retain(|_, id| incidents.contains_key(id));
        self.faults.retain(|fault| fault.to.is_none_or(|to| to >= before));
    }

    /// The incidents that were raised in a window, with what was done within [`FOLLOWED`].
    #[must_use]
    pub fn incidents(&self, window: Window) -> Incidents {
        let mut sums = Incidents::default();
        for incident in self.incidents.values().filter(|incident| window.contains(incident.raised)) {
            let times = sums.0.entry(incident.kind.clone()).or_default();
            times.raised += 1;
            let steps = [
                (incident.acknowledged, &mut times.acknowledge),
                (incident.arrived, &mut times.arrive),
                (incident.closed.filter(|closed| incident.reopened.is_none_or(|again| again < *closed)), &mut times.close),
            ];
            for (at, spread) in steps {
                if let Some(took) = at.map(|at| at.since(incident.raised)).filter(|took| *took <= FOLLOWED) {
                    spread.count(took);
                }
            }
        }
        sums
    }

    /// Puts the faults of pictures in a window into its figures: those that began in it, and how long pictures were faulty.
    pub fn add_faults(&self, window: Window, figures: &mut Figures) {
        for fault in &self.faults {
            if window.contains(fault.from) {
                *figures.faults.entry(fault.kind.word().to_owned()).or_default() += 1;
            }
            let lasted = Window::new(fault.from, fault.to.unwrap_or(window.to)).intersect(window).duration();
            figures.faulty_us += lasted.as_micros() as u64;
        }
    }
}
