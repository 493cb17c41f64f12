//! A whole district in one thread: rooms that write journals, sub-districts and a district that fetch them, by the code that runs, on
//! simulated disks, clocks and lines, from a seed. What goes wrong does so by the seed too; what comes out is held against what was written.
//!
//! Time is milliseconds from the start. Things happen in the order of their time; nothing here waits for a real clock.

pub(crate) mod incidents;
mod line;
mod node;
mod observer;
mod trouble;

use api::link::{
    message,
    pull::{Action, Input, Peer, Puller},
};
use index::{
    journal::History,
    model::{NodeId, UtcMicros},
};
use line::{Line, Weather};
use node::{Centre, Node, Room};
use observer::Observer;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    time::{Duration, Instant},
};
use trouble::Trouble;

/// Where the simulated clocks begin.
const BEGINNING: i64 = 1_750_000_000_000_000;
/// After the last event everything must have arrived within so many seconds.
const PATIENCE_S: u64 = 900;
/// Somebody who is out of reach for so long must be named as missing: until the neighbour notices, and until its word of him is stale above.
const NAMED_AFTER_MS: u64 = 30_000;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) subdistricts: usize,
    pub(crate) rooms_each: usize,
    pub(crate) cameras_each: u32,
    pub(crate) events_per_s: usize,
    pub(crate) secs: u64,
    /// Whether lines fail, nodes restart and disks lose power.
    pub(crate) trouble: bool,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(crate) struct Found {
    /// Events that a room acknowledged.
    pub(crate) acknowledged: u64,
    /// Of them, those that the district does not have.
    pub(crate) lost: u64,
    /// Events that stood in the district more than once.
    pub(crate) doubled: u64,
    /// Events that stood there behind a later one of their room.
    pub(crate) out_of_order: u64,
    /// Journals whose copy in the district does not end in the same hash.
    pub(crate) differing: u64,
    /// Cameras whose state, told by the district's copies, is not that in the room.
    pub(crate) states_differ: u64,
    /// Times that the district called a room complete up to an instant and did not have all of it.
    pub(crate) untrue: u64,
    /// Times that the district was looked at while a room was out of reach, and those at which it said so.
    pub(crate) missing: u64,
    pub(crate) missing_named: u64,
    pub(crate) restarts: u64,
    pub(crate) messages: u64,
    pub(crate) line_bytes: u64,
    /// Bytes of records that came out of them.
    pub(crate) record_bytes: u64,
    /// Seconds after the last event until all had arrived; `None` if they did not.
    pub(crate) quiet_after_s: Option<u64>,
}

enum Happening {
    /// The rooms' next second.
    Second,
    Wake(usize),
    Question {
        line: usize,
        bytes: Vec<u8>,
        broker: u64,
    },
    Answer {
        line: usize,
        bytes: Vec<u8>,
        broker: u64,
    },
    Deadline {
        line: usize,
        number: u64,
    },
    Trouble(Trouble),
    Back(Node),
}

pub(crate) struct District {
    plan: Plan,
    dice: StdRng,
    beginning: Instant,
    now_ms: u64,
    order: u64,
    agenda: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: std::collections::HashMap<u64, Happening>,
    rooms: Vec<Room>,
    /// The sub-districts, and the district last.
    centres: Vec<Centre>,
    /// Each with the room or sub-district at its lower end: rooms first, in order.
    lines: Vec<Line>,
    /// How often the broker was wiped: what was under way then is gone.
    broker: u64,
    observer: Observer,
    found: Found,
}

/// Lives through a plan.
pub(crate) fn run(plan: Plan) -> Found {
    let mut district = District::new(plan);
    district.begin();
    let end = plan.secs * 1000;
    while let Some(happening) = district.step(end) {
        district.live(happening);
    }
    district.now_ms = end;
    district.heal();
    let limit = end + PATIENCE_S * 1000;
    while !district.is_quiet()
        && let Some(happening) = district.step(limit)
    {
        district.live(happening);
    }
    district.conclude(end)
}

impl District {
    fn new(plan: Plan) -> Self {
        let beginning = Instant::now();
        let rooms: Vec<Room> = (0..plan.subdistricts * plan.rooms_each).map(|n| Room::new(n, plan)).collect();
        let centres: Vec<Centre> = (0..=plan.subdistricts).map(|n| Centre::new(n, plan.seed)).collect();
        let puller = |peer, n: usize| Puller::new(peer, None, plan.seed ^ n as u64, beginning);
        let below_rooms = rooms.iter().enumerate().map(|(n, room)| {
            let peer = Peer { node: room.id, carries: false };
            Line::new(n / plan.rooms_each, Node::Room(n), peer, puller(peer, n))
        });
        let between = centres[..plan.subdistricts].iter().enumerate().map(|(n, centre)| {
            let peer = Peer { node: centre.id, carries: true };
            Line::new(plan.subdistricts, Node::Centre(n), peer, puller(peer, 1000 + n))
        });
        let lines = below_rooms.chain(between).collect();
        Self {
            observer: Observer::new(&rooms),
            dice: StdRng::seed_from_u64(plan.seed),
            plan,
            beginning,
            now_ms: 0,
            order: 0,
            agenda: BinaryHeap::new(),
            happenings: std::collections::HashMap::new(),
            rooms,
            centres,
            lines,
            broker: 0,
            found: Found::default(),
        }
    }

    fn begin(&mut self) {
        for line in 0..self.lines.len() {
            self.plan_at(line as u64, Happening::Wake(line));
        }
        self.plan_at(1000, Happening::Second);
        if self.plan.trouble {
            for (at, trouble) in trouble::schedule(&mut self.dice, &self.plan) {
                self.plan_at(at, Happening::Trouble(trouble));
            }
        }
    }

    fn plan_at(&mut self, at_ms: u64, happening: Happening) {
        self.order += 1;
        self.agenda.push(Reverse((at_ms.max(self.now_ms), self.order)));
        self.happenings.insert(self.order, happening);
    }

    /// The next thing that happens before `end_ms`.
    fn step(&mut self, end_ms: u64) -> Option<Happening> {
        let Reverse((at, order)) = self.agenda.pop_if_due(end_ms)?;
        self.now_ms = at;
        self.happenings.remove(&order)
    }

    fn live(&mut self, happening: Happening) {
        match happening {
            Happening::Second => self.second(),
            Happening::Wake(line) => self.give(line, Input::Tick),
            Happening::Question { line, bytes, broker } => self.question_arrives(line, &bytes, broker),
            Happening::Answer { line, bytes, broker } => self.answer_arrives(line, &bytes, broker),
            Happening::Deadline { line, number } => self.give(line, Input::Failed(number, api::link::LineError::Deadline)),
            Happening::Trouble(trouble) => self.strike(trouble),
            Happening::Back(node) => self.back(node),
        }
    }

    fn second(&mut self) {
        let writing = self.now_ms <= self.plan.secs * 1000;
        for room in self.rooms.iter_mut().filter(|_| writing) {
            room.write(self.now_ms, &mut self.dice);
        }
        for centre in self.centres.iter_mut().filter(|_| writing) {
            centre.write(self.now_ms);
        }
        let district = self.plan.subdistricts;
        if self.centres[district].dead_since.is_none() {
            self.observer.look(&self.centres[district], &self.rooms, &mut self.found);
            self.count_missing();
        }
        self.plan_at(self.now_ms + 1000, Happening::Second);
    }

    /// Rooms out of reach for long, while everybody between is well: the district must say so.
    fn count_missing(&mut self) {
        let well = |since: u64| self.now_ms >= since + NAMED_AFTER_MS;
        let district = &self.centres[self.plan.subdistricts];
        if !well(district.begun_ms) {
            return;
        }
        for (n, room) in self.rooms.iter().enumerate() {
            let between = n / self.plan.rooms_each;
            let up = &self.lines[self.rooms.len() + between];
            let path = self.centres[between].dead_since.is_none()
                && well(self.centres[between].begun_ms)
                && up.weather.fair_since().is_some_and(well);
            let Some(cut_since) = self.lines[n].weather.cut_since else { continue };
            // Until something was fetched, the district does not know that there is such a room.
            let known = district.copies.list().iter().any(|copy| copy.node() == room.id);
            if path && well(cut_since) && known {
                self.found.missing += 1;
                let standing = district.standings.of(room.id);
                self.found.missing_named +=
                    u64::from(standing.is_none_or(|standing| standing.missing(utc_at(self.now_ms)).is_some()));
            }
        }
    }

    /// Tells a line's upper end something, and does what it wants.
    fn give(&mut self, line: usize, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let upper = self.lines[line].upper;
            if self.centres[upper].dead_since.is_some() {
                return;
            }
            let (now, utc) = (self.beginning + Duration::from_millis(self.now_ms), utc_at(self.now_ms));
            let actions = self.lines[line].puller.handle(input, now, utc);
            self.centres[upper].standings.set(self.lines[line].puller.standings());
            for action in actions {
                match action {
                    Action::Tell(_) => {}
                    Action::WakeAt(at) => {
                        let at_ms = (at - self.beginning).as_millis() as u64 + 1;
                        self.plan_at(at_ms, Happening::Wake(line));
                    }
                    Action::Ask { number, question, deadline } => {
                        self.lines[line].pending = number;
                        self.plan_at(self.now_ms + deadline.as_millis() as u64, Happening::Deadline { line, number });
                        let bytes = message::write_question(number, &question);
                        self.send(line, bytes, |line, bytes, broker| Happening::Question { line, bytes, broker });
                    }
                    Action::Apply(batch) => {
                        self.found.record_bytes += batch.records.len() as u64;
                        inputs.push(Input::Applied(batch.node, api::link::applied(&self.centres[upper].copies, &batch)));
                    }
                }
            }
        }
    }

    /// Puts bytes on a line: they arrive once, not at all, twice, in part, sooner or later.
    fn send(&mut self, line: usize, bytes: Vec<u8>, arrive: impl Fn(usize, Vec<u8>, u64) -> Happening) {
        self.found.messages += 1;
        self.found.line_bytes += bytes.len() as u64;
        let broker = self.broker;
        for (delay, bytes) in self.lines[line].weather.carry(bytes, self.plan.trouble, &mut self.dice) {
            self.plan_at(self.now_ms + delay, arrive(line, bytes, broker));
        }
    }

    fn question_arrives(&mut self, line: usize, bytes: &[u8], broker: u64) {
        if broker != self.broker || self.lines[line].weather.cut_since.is_some() {
            return;
        }
        let answer = match self.lines[line].lower {
            Node::Room(n) => self.rooms[n].answer(bytes, self.now_ms),
            Node::Centre(n) => self.centres[n].answer(bytes, self.now_ms),
        };
        if let Some(answer) = answer {
            self.send(line, answer, |line, bytes, broker| Happening::Answer { line, bytes, broker });
        }
    }

    fn answer_arrives(&mut self, line: usize, bytes: &[u8], broker: u64) {
        if broker != self.broker || self.lines[line].weather.cut_since.is_some() {
            return;
        }
        let input = match message::read_answer(bytes) {
            Ok((number, message::Answer::Histories(offers))) => {
                let Line { upper, peer, .. } = self.lines[line];
                Input::Offered(number, api::link::offered(&self.centres[upper].copies, peer, offers))
            }
            Ok((number, answer)) => Input::Answered(number, answer),
            Err(why) => Input::Failed(self.lines[line].pending, api::link::LineError::Malformed(why)),
        };
        self.give(line, input);
    }

    fn strike(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Cut(line) => self.lines[line].weather.cut(self.now_ms),
            Trouble::Heal(line) => self.lines[line].weather.heal(self.now_ms),
            Trouble::Slow(line) => self.lines[line].weather = Weather::slow(),
            Trouble::WipeBroker => self.broker += 1,
            Trouble::Restart { node, power_goes, dead, after_ms } => {
                match node {
                    Node::Room(n) => self.rooms[n].fall(power_goes, dead, self.now_ms),
                    Node::Centre(n) => self.centres[n].fall(power_goes, dead, self.now_ms),
                }
                self.plan_at(self.now_ms + after_ms, Happening::Back(node));
            }
        }
    }

    fn back(&mut self, node: Node) {
        self.found.restarts += 1;
        match node {
            Node::Room(n) => self.rooms[n].back(),
            Node::Centre(n) => {
                self.centres[n].back(self.now_ms);
                let now = self.beginning + Duration::from_millis(self.now_ms);
                for line in (0..self.lines.len()).filter(|line| self.lines[*line].upper == n).collect::<Vec<_>>() {
                    let peer = self.lines[line].peer;
                    let here = api::link::here(&self.centres[n].copies, peer.node);
                    self.lines[line].puller = Puller::new(peer, here, self.dice.random(), now);
                    self.plan_at(self.now_ms + 1, Happening::Wake(line));
                }
            }
        }
    }

    /// All lines are good, and everybody is there, from now on.
    fn heal(&mut self) {
        self.plan.trouble = false;
        self.lines.iter_mut().for_each(|line| line.weather = Weather::fair(self.now_ms));
        let down: Vec<Node> = self
            .happenings
            .values()
            .filter_map(|what| if let Happening::Back(node) = what { Some(*node) } else { None })
            .collect();
        self.happenings.retain(|_, what| !matches!(what, Happening::Back(_) | Happening::Trouble(_)));
        self.agenda.retain(|Reverse((_, order))| self.happenings.contains_key(order));
        down.into_iter().for_each(|node| self.back(node));
    }

    /// Whether the district has everything that any node below wrote.
    fn is_quiet(&self) -> bool {
        let district = &self.centres[self.plan.subdistricts];
        let has = |node: NodeId, history: &dyn History| {
            district.standings.of(node).is_some_and(|standing| standing.trouble.is_none() && standing.tail == history.head().0)
        };
        self.rooms.iter().all(|room| has(room.id, &**room.journal()))
            && self.centres[..self.plan.subdistricts].iter().all(|centre| has(centre.id, &**centre.journal()))
    }

    fn conclude(mut self, end_ms: u64) -> Found {
        let district = &self.centres[self.plan.subdistricts];
        self.found.quiet_after_s = self.is_quiet().then_some((self.now_ms - end_ms) / 1000);
        self.observer.look(district, &self.rooms, &mut self.found);
        self.observer.conclude(&self.rooms, &mut self.found);
        let head = |node| district.copies.list().iter().find(|copy| copy.node() == node).map(|copy| copy.head());
        let rooms = self.rooms.iter().map(|room| (room.id, room.journal().head()));
        let centres = self.centres[..self.plan.subdistricts].iter().map(|centre| (centre.id, centre.journal().head()));
        self.found.differing = rooms.chain(centres).filter(|(node, there)| head(*node) != Some(*there)).count() as u64;
        self.found
    }
}

/// The simulated instant on a clock that is right.
fn utc_at(ms: u64) -> UtcMicros {
    UtcMicros::from_micros(BEGINNING + ms as i64 * 1000)
}

trait Due {
    fn pop_if_due(&mut self, end_ms: u64) -> Option<Reverse<(u64, u64)>>;
}

impl Due for BinaryHeap<Reverse<(u64, u64)>> {
    fn pop_if_due(&mut self, end_ms: u64) -> Option<Reverse<(u64, u64)>> {
        let Reverse((at, _)) = self.peek()?;
        if *at <= end_ms { self.pop() } else { None }
    }
}
