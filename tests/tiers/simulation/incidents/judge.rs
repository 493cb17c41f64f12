//! Holds what the tiers tell against what was acknowledged to people, and the clocks against a reckoning of its own.

use super::{
    Found, Plan, above,
    post::{Post, id_of},
    utc_at,
};
use index::{
    incidents::{Author, Deed, Effect, Incident, IncidentId},
    journal::Seq,
    model::{NodeId, Tier, UtcMicros},
};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

pub(super) struct Judge {
    /// What was acknowledged: the node, its number, and about what.
    done: Vec<(usize, Seq, IncidentId)>,
    /// The room of each incident.
    rooms: BTreeMap<IncidentId, usize>,
    /// When each node first had a record, in milliseconds of the simulation.
    learnt: Vec<HashMap<(NodeId, Seq), u64>>,
    /// Up to which revision each node's book was looked at.
    looked: Vec<u64>,
}

impl Judge {
    pub(super) fn new(posts: usize) -> Self {
        Self { done: Vec::new(), rooms: BTreeMap::new(), learnt: vec![HashMap::new(); posts], looked: vec![0; posts] }
    }

    /// Something was done at a node and said to be durable.
    pub(super) fn acknowledged(&mut self, post: usize, seq: Seq, incident: IncidentId, room: usize) {
        self.done.push((post, seq, incident));
        self.rooms.insert(incident, room);
    }

    /// The nodes that have a part in an incident: its room and those above.
    pub(super) fn path(&self, incident: IncidentId, plan: Plan) -> [usize; 3] {
        let room = self.rooms[&incident];
        let between = above(plan, room);
        [room, between, above(plan, between)]
    }

    /// Notes what a node knows now that it did not know before.
    pub(super) fn look(&mut self, at: usize, post: &Post, now_ms: u64) {
        let book = post.casebook().book();
        // After a restart the book counts from the beginning again.
        let from = if book.revision() < self.looked[at] { 0 } else { self.looked[at] };
        self.looked[at] = book.revision();
        for incident in book.since(from) {
            self.learnt[at].entry((incident.id.node, incident.id.seq)).or_insert(now_ms);
            for entry in &incident.history {
                self.learnt[at].entry((entry.place.node, entry.place.seq)).or_insert(now_ms);
            }
        }
    }

    /// Judges everything, once nothing is under way; whether all tiers have everything.
    pub(super) fn conclude(&self, posts: &[Post], plan: Plan, found: &mut Found) -> bool {
        (found.lost_moves, found.disagreements) = (0, 0);
        for (at, seq, id) in &self.done {
            let has = |incident: &Incident| {
                let place = (id_of(*at), *seq);
                (id.node, id.seq) == place || incident.history.iter().any(|entry| (entry.place.node, entry.place.seq) == place)
            };
            let missing = |post: &&usize| !posts[**post].casebook().book().get(*id).is_some_and(has);
            found.lost_moves += self.path(*id, plan).iter().filter(missing).count() as u64;
        }
        for id in self.rooms.keys() {
            // What is laid aside comes back by each node's own clock.
            let told =
                self.path(*id, plan).map(|post| posts[post].casebook().book().get(*id).map(|one| one.as_of(UtcMicros::MAX)));
            found.disagreements += u64::from(told[0].is_none() || told[0] != told[1] || told[1] != told[2]);
        }
        if found.lost_moves + found.disagreements > 0 {
            return false;
        }
        for id in self.rooms.keys() {
            let path = self.path(*id, plan);
            if let Some(incident) = posts[path[0]].casebook().book().get(*id) {
                self.reckon(incident, path, posts, found);
            }
        }
        true
    }

    /// Follows an incident with a clock of its own: when it should have been escalated, and whether it was, once.
    fn reckon(&self, incident: &Incident, path: [usize; 3], posts: &[Post], found: &mut Found) {
        found.clashes += u64::from(incident.clashes);
        let limits = incident.opening.limits;
        let mut told: Vec<(Tier, u32, bool)> = Vec::new();
        // What the owner had to know to know that its clock ran: whose records.
        let mut known = vec![(incident.id.node, incident.id.seq)];
        for (n, entry) in incident.history.iter().enumerate() {
            let done = matches!(entry.effect, Effect::Done | Effect::DoneOver);
            if let (Author::Clock, Deed::Escalate { from, number, .. }) = (&entry.by, &entry.deed) {
                // A second one is a mistake if its author had the first; one that somebody forestalled may be made again.
                let twice = told
                    .iter()
                    .any(|(tier, before, took)| *took && (tier, before) == (from, number) && (done || knew(incident, n)));
                found.escalated_twice += u64::from(twice);
                told.push((*from, *number, done));
                if done {
                    found.escalated += 1;
                    let owner = path[tier_number(*from)];
                    let due = due_before(incident, n, limits);
                    let late = self.is_late(due, entry.place.at, owner, &posts[owner], &known);
                    if late && std::env::var_os("HAOHE_FIGURES").is_none() {
                        println!("late: {} #{n} at {} due {due:?}: {:?}", incident.id, entry.place.at, incident.history);
                    }
                    found.late += u64::from(late);
                }
            }
            known.push((entry.place.node, entry.place.seq));
        }
    }

    /// Whether an escalation came more than a second after it could have come.
    fn is_late(&self, due: Option<UtcMicros>, at: UtcMicros, owner: usize, post: &Post, known: &[(NodeId, Seq)]) -> bool {
        let Some(due) = due else { return true };
        let learnt = known.iter().filter_map(|record| self.learnt[owner].get(record)).max().copied().unwrap_or(0);
        let mut could = due.max(post.clock(learnt));
        for (from, to) in &post.outages {
            // Whoever was down just then could not; nor in the moment after it was back.
            if post.clock(*from) <= could + Duration::from_secs(1) && could < post.clock(*to) {
                could = post.clock(*to);
            }
        }
        at > could + Duration::from_secs(1)
    }
}

fn tier_number(tier: Tier) -> usize {
    match tier {
        Tier::Room => 0,
        Tier::Subdistrict => 1,
        Tier::District => 2,
    }
}

/// Whether the author of an entry knew the entries before it that stand in its own node's journal: then it told something twice.
fn knew(incident: &Incident, n: usize) -> bool {
    let author = incident.history[n].place.node;
    let (Deed::Escalate { from, number, .. }, before) = (&incident.history[n].deed, &incident.history[..n]) else { return false };
    before.iter().any(|entry| {
        entry.place.node == author
            && entry.by == Author::Clock
            && matches!(&entry.deed, Deed::Escalate { from: f, number: k, .. } if (f, k) == (from, number))
            && entry.effect == Effect::Done
    })
}

/// When the clock was over that ran before an entry, reckoned from the history alone and written apart from the code that is judged.
fn due_before(incident: &Incident, n: usize, limits: index::incidents::Limits) -> Option<UtcMicros> {
    let at = incident.history[n].place.at;
    let (mut since, mut step, mut taken, mut shelved) = (incident.opened, 0, false, None);
    let mut undo = None;
    for entry in incident.history[..n].iter().filter(|entry| matches!(entry.effect, Effect::Done | Effect::DoneOver)) {
        let now = entry.place.at;
        if let Some(until) = shelved.filter(|until| now >= *until) {
            (since, shelved) = (until, None);
        }
        let person = matches!(entry.by, Author::Person(_));
        let before = (since, step, taken, shelved);
        match &entry.deed {
            Deed::Note { .. } | Deed::Attach { .. } => continue,
            Deed::Acknowledge => (since, step, shelved) = (now, step.max(1), None),
            Deed::Verify => (since, step, shelved) = (now, 2, None),
            Deed::Dispatch { .. } => (since, step, shelved) = (now, 3, None),
            Deed::Arrive | Deed::Resolve | Deed::Close { .. } | Deed::Dismiss { .. } | Deed::Merge { .. } => {
                (since, step, shelved) = (now, 4, None);
            }
            Deed::Reopen => (since, step, shelved) = (now, 1, None),
            Deed::Escalate { .. } => (since, shelved) = (now, None),
            Deed::Shelve { until, .. } => shelved = Some(*until),
            Deed::Unshelve => (since, shelved) = (now, None),
            Deed::Undo { .. } => (since, step, taken, shelved) = undo?,
            Deed::Hand { .. } => taken = true,
        }
        match &entry.deed {
            Deed::Escalate { .. } => taken = false,
            Deed::Undo { .. } => {}
            _ => taken |= person,
        }
        undo = matches!(entry.deed, Deed::Close { .. } | Deed::Dismiss { .. }).then_some(before);
    }
    if let Some(until) = shelved {
        if at < until {
            return None;
        }
        since = until;
    }
    let seconds = match (taken, step) {
        (_, 4..) => return None,
        (false, _) | (_, 0) => limits.acknowledge_s,
        (true, 1) => limits.verify_s,
        (true, 2) => limits.dispatch_s,
        (true, _) => limits.arrive_s,
    };
    // Where the simulation begins: a clock before it would be a mistake of its own.
    (seconds > 0 && since >= utc_at(0)).then(|| since + Duration::from_secs(seconds.into()))
}
