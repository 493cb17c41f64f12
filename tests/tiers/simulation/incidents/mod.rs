//! Incidents in three tiers, in one thread: rooms where they are opened, centres above, people who act at any of them, clocks that
//! escalate, and lines that are cut meanwhile. By the code that runs, on simulated disks, clocks and lines, from a seed.

mod judge;
mod post;

use super::{BEGINNING, Due, line::Weather};
use api::link::{
    LineError,
    deliver::{self, Deliverer},
    message::{self, Question},
    pull::{self, Peer, Puller},
};
use index::{
    incidents::{Clocks, CloseCode, Deed, Draft, FalseReason, Incident, IncidentId, Priority, Who, opening},
    journal::Seq,
    model::{Tier, UtcMicros},
};
use judge::Judge;
use post::Post;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    time::{Duration, Instant},
};

/// After the last act lines and nodes are whole again for so long before the clocks are judged.
const HEALED_S: u64 = 60;
/// Then everything must have reached everybody within so many seconds.
const PATIENCE_S: u64 = 900;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) subdistricts: usize,
    pub(crate) rooms_each: usize,
    pub(crate) incidents: usize,
    pub(crate) secs: u64,
    /// Whether lines fail, nodes restart and disks lose power.
    pub(crate) trouble: bool,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(crate) struct Found {
    pub(crate) opened: u64,
    /// Things that people did and that were acknowledged to them, openings included.
    pub(crate) moves: u64,
    /// Times that somebody was told that it cannot be done, or was done by somebody else.
    pub(crate) turned_away: u64,
    /// Escalations by a clock that took effect.
    pub(crate) escalated: u64,
    /// Those that were made again although the first was known.
    pub(crate) escalated_twice: u64,
    /// Clocks that were over for more than a second before they escalated, without the node being down or not knowing.
    pub(crate) late: u64,
    /// Acknowledged moves that are missing in the history of some tier.
    pub(crate) lost_moves: u64,
    /// Incidents of which the tiers do not tell the same.
    pub(crate) disagreements: u64,
    pub(crate) clashes: u64,
    pub(crate) restarts: u64,
    pub(crate) cuts: u64,
    pub(crate) messages: u64,
    /// Simulated seconds until everybody knew everything; `None` if they never did.
    pub(crate) quiet_after_s: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    Up,
    Down,
}

enum Happening {
    Open,
    Act {
        incident: IncidentId,
        left: u32,
    },
    Tick(usize),
    Wake(usize, Way),
    /// The journal grew from which is handed down over a line.
    Grew(usize),
    Question(usize, Way, Vec<u8>),
    Answer(usize, Way, Vec<u8>),
    Deadline(usize, Way, u64),
    Cut(usize),
    Heal(usize),
    Fall {
        post: usize,
        power_goes: bool,
        after_ms: u64,
    },
    Back(usize),
}

/// From one node to the one above it; both ways are asked from above.
struct Line {
    upper: usize,
    lower: usize,
    puller: Puller,
    deliverer: Deliverer,
    /// The numbers of the questions that were put last.
    pending: (u64, u64),
    /// When handing down goes on by itself: earlier plans are void.
    down_at_ms: u64,
    weather: Weather,
}

pub(super) struct World {
    plan: Plan,
    dice: StdRng,
    beginning: Instant,
    now_ms: u64,
    order: u64,
    agenda: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: HashMap<u64, Happening>,
    /// Rooms, then sub-districts, the district last.
    posts: Vec<Post>,
    /// Line n goes up from node n.
    lines: Vec<Line>,
    /// After the clocks were judged they stand still, so that what is under way can arrive.
    clocks_run: bool,
    judge: Judge,
    found: Found,
}

/// Lives through a plan.
pub(crate) fn run(plan: Plan) -> Found {
    let mut world = World::new(plan);
    world.begin();
    let end = plan.secs * 1000;
    world.until(end);
    world.heal();
    world.until(end + HEALED_S * 1000);
    for post in 0..world.posts.len() {
        world.tick(post);
        world.found.late += world.posts[post].overdue(world.now_ms);
    }
    world.clocks_run = false;
    let mut quiet = None;
    for second in (5..PATIENCE_S).step_by(5) {
        world.until(end + (HEALED_S + second) * 1000);
        if world.judge.conclude(&world.posts, plan, &mut world.found) {
            quiet = Some(second);
            break;
        }
    }
    world.found.quiet_after_s = quiet;
    world.found
}

impl World {
    fn new(plan: Plan) -> Self {
        let beginning = Instant::now();
        let rooms = plan.subdistricts * plan.rooms_each;
        let posts: Vec<Post> = (0..=rooms + plan.subdistricts).map(|n| Post::new(n, plan)).collect();
        let line = |lower: usize| {
            let upper = above(plan, lower);
            let peer = Peer { node: posts[lower].id, carries: lower >= rooms };
            let seed = plan.seed ^ lower as u64;
            let (puller, deliverer) = (Puller::new(peer, None, seed, beginning), Deliverer::new(seed, beginning));
            Line { upper, lower, puller, deliverer, pending: (0, 0), down_at_ms: 0, weather: Weather::fair(0) }
        };
        let lines = (0..posts.len() - 1).map(line).collect();
        Self {
            plan,
            dice: StdRng::seed_from_u64(plan.seed),
            beginning,
            now_ms: 0,
            order: 0,
            agenda: BinaryHeap::new(),
            happenings: HashMap::new(),
            judge: Judge::new(posts.len()),
            posts,
            lines,
            clocks_run: true,
            found: Found::default(),
        }
    }

    fn begin(&mut self) {
        for line in 0..self.lines.len() {
            self.plan_at(line as u64, Happening::Wake(line, Way::Up));
            self.plan_at(line as u64, Happening::Wake(line, Way::Down));
        }
        let end = self.plan.secs * 1000;
        for _ in 0..self.plan.incidents {
            let at = self.dice.random_range(0..end);
            self.plan_at(at, Happening::Open);
        }
        if !self.plan.trouble {
            return;
        }
        for line in 0..self.lines.len() {
            let mut at = self.dice.random_range(0..end / 4);
            while at < end {
                let long = self.dice.random_range(1_000..120_000);
                self.plan_at(at, Happening::Cut(line));
                self.plan_at(at + long, Happening::Heal(line));
                at += long + self.dice.random_range(10_000..end / 4 + 10_001);
            }
        }
        for post in 0..self.posts.len() {
            let mut at = self.dice.random_range(1_000..end / 4);
            while at < end {
                let (after_ms, power_goes) = (self.dice.random_range(300..20_000), self.dice.random());
                self.plan_at(at, Happening::Fall { post, power_goes, after_ms });
                at += after_ms + self.dice.random_range(20_000..end / 4 + 20_001);
            }
        }
    }

    fn plan_at(&mut self, at_ms: u64, happening: Happening) {
        self.order += 1;
        self.agenda.push(Reverse((at_ms.max(self.now_ms), self.order)));
        self.happenings.insert(self.order, happening);
    }

    fn until(&mut self, end_ms: u64) {
        while let Some(Reverse((at, order))) = self.agenda.pop_if_due(end_ms) {
            self.now_ms = at;
            if let Some(happening) = self.happenings.remove(&order) {
                self.live(happening);
            }
        }
        self.now_ms = end_ms;
    }

    fn live(&mut self, happening: Happening) {
        match happening {
            Happening::Open => self.open(),
            Happening::Act { incident, left } => self.act(incident, left),
            Happening::Tick(post) => self.tick(post),
            Happening::Wake(line, Way::Up) => self.pull(line, pull::Input::Tick),
            Happening::Wake(line, Way::Down) if self.now_ms < self.lines[line].down_at_ms => {}
            Happening::Wake(line, Way::Down) | Happening::Grew(line) => self.deliver(line, deliver::Input::Tick),
            Happening::Question(line, way, bytes) => self.question(line, way, &bytes),
            Happening::Answer(line, way, bytes) => self.answer(line, way, bytes),
            Happening::Deadline(line, Way::Up, number) => self.pull(line, pull::Input::Failed(number, LineError::Deadline)),
            Happening::Deadline(line, Way::Down, number) => {
                self.deliver(line, deliver::Input::Failed(number, LineError::Deadline));
            }
            Happening::Cut(line) => {
                self.found.cuts += 1;
                self.lines[line].weather.cut(self.now_ms);
            }
            Happening::Heal(line) => self.lines[line].weather.heal(self.now_ms),
            Happening::Fall { post, power_goes, after_ms } => {
                self.posts[post].fall(power_goes, self.dice.random(), self.now_ms);
                self.plan_at(self.now_ms + after_ms, Happening::Back(post));
            }
            Happening::Back(post) => self.back(post),
        }
    }

    /// An incident in a room, opened there or in the district, and what people will do about it.
    fn open(&mut self) {
        let room = self.dice.random_range(0..self.plan.subdistricts * self.plan.rooms_each);
        let at = if self.dice.random_range(0..20) == 0 { self.posts.len() - 1 } else { room };
        let home = self.posts[room].id;
        let priority = [Priority::P1, Priority::P2, Priority::P3][self.dice.random_range(0..3)];
        let post = &self.posts[at];
        let (now, tail) = (post.clock(self.now_ms), post.tail());
        // Whoever wants to hand something to a room that is not known above cannot.
        if post.is_down() || !post.knows(home) {
            return;
        }
        let draft = Draft { home, opening: opening(priority, &Clocks::default(), now) };
        let Ok(incident) = post.casebook().open(who(at), draft, now) else { return };
        self.found.opened += 1;
        self.judge.acknowledged(at, tail.next(), incident.id, room);
        self.found.moves += 1;
        let left = self.dice.random_range(0..7_u32);
        self.next_act(incident.id, left);
        self.moved(at);
    }

    fn next_act(&mut self, incident: IncidentId, left: u32) {
        if left > 0 {
            let wait = 1000 + self.dice.random_range(0..20_u64).pow(2) * self.dice.random_range(0..1_500);
            self.plan_at(self.now_ms + wait, Happening::Act { incident, left });
        }
    }

    /// Somebody at some tier does something with what they see there.
    fn act(&mut self, id: IncidentId, left: u32) {
        if self.now_ms >= self.plan.secs * 1000 {
            return;
        }
        self.next_act(id, left - 1);
        let path = self.judge.path(id, self.plan);
        let at = path[self.dice.random_range(0..3)];
        let post = &self.posts[at];
        if post.is_down() {
            return;
        }
        let seen = post.casebook().book().get(id).cloned();
        let Some(seen) = seen else { return };
        let now = post.clock(self.now_ms);
        let deed = some_deed(&seen, now, &mut self.dice);
        // Now and then somebody acts on what was on the screen before.
        let version = if self.dice.random_range(0..20) == 0 { seen.version.wrapping_sub(1) } else { seen.version };
        let tail = post.tail();
        match post.casebook().act(who(at), id, version, deed, now) {
            Ok(_) => {
                self.found.moves += 1;
                let room = path[0];
                self.judge.acknowledged(at, tail.next(), id, room);
                self.moved(at);
            }
            Err(_) => self.found.turned_away += 1,
        }
    }

    /// A node's journal grew: its thread looks, and so does whoever hands down from it.
    fn moved(&mut self, post: usize) {
        self.plan_at(self.now_ms + 1, Happening::Tick(post));
        for line in (0..self.lines.len()).filter(|line| self.lines[*line].upper == post).collect::<Vec<_>>() {
            self.plan_at(self.now_ms + 1, Happening::Grew(line));
        }
    }

    /// What the thread of a node's incidents does.
    fn tick(&mut self, at: usize) {
        let post = &mut self.posts[at];
        if post.is_down() {
            return;
        }
        let tail = post.tail();
        if self.clocks_run {
            let next = post.casebook().tick(post.clock(self.now_ms));
            let grew = post.tail() > tail;
            // If the journal fails, the thread tries again a moment later.
            let wake = match next {
                Ok(next) => next.map(|next| post.ms_of(next)),
                Err(_) => Some(self.now_ms + 250),
            };
            if let Some(wake) = wake.filter(|wake| post.wakes_ms.is_none_or(|known| known <= self.now_ms || *wake < known)) {
                post.wakes_ms = Some(wake);
                self.plan_at(wake.max(self.now_ms + 1), Happening::Tick(at));
            }
            if grew {
                self.moved(at);
            }
        } else {
            drop(post.casebook().catch_up());
        }
        let post = &self.posts[at];
        self.judge.look(at, post, self.now_ms);
    }

    fn pull(&mut self, line: usize, input: pull::Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let upper = self.lines[line].upper;
            if self.posts[upper].is_down() {
                return;
            }
            let (now, utc) = (self.instant(), self.posts[upper].clock(self.now_ms));
            for action in self.lines[line].puller.handle(input, now, utc) {
                match action {
                    pull::Action::Tell(_) => {}
                    pull::Action::WakeAt(at) => self.wake(line, Way::Up, at),
                    pull::Action::Ask { number, question, deadline } => self.ask(line, Way::Up, number, &question, deadline),
                    pull::Action::Apply(batch) => {
                        let applied = api::link::applied(self.posts[upper].copies(), &batch);
                        inputs.push(pull::Input::Applied(batch.node, applied));
                        self.plan_at(self.now_ms + 1, Happening::Tick(upper));
                    }
                }
            }
            let known = self.lines[line].puller.standings();
            self.posts[upper].standings.set(known);
        }
    }

    fn deliver(&mut self, line: usize, input: deliver::Input) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let Line { upper, lower, .. } = self.lines[line];
            if self.posts[upper].is_down() {
                return;
            }
            let now = self.instant();
            match self.lines[line].deliverer.handle(input, now) {
                None => {}
                Some(deliver::Action::WakeAt(at)) => {
                    self.lines[line].down_at_ms = (at - self.beginning).as_millis() as u64 + 1;
                    self.wake(line, Way::Down, at);
                }
                Some(deliver::Action::Look(after)) => {
                    let (posts, plan) = (&self.posts, self.plan);
                    let goes = |home| {
                        posts.iter().position(|post| post.id == home).is_some_and(|n| n == lower || above(plan, n) == lower)
                    };
                    let looked = posts[upper].casebook().outgoing(after, goes);
                    let (moves, upto) = looked.unwrap_or((Vec::new(), after));
                    next = Some(deliver::Input::Found(moves, upto));
                }
                Some(deliver::Action::Ask { number, moves, deadline }) => {
                    let via = self.posts[upper].id;
                    self.ask(line, Way::Down, number, &Question::Deliver { via, moves }, deadline);
                }
            }
        }
    }

    fn instant(&self) -> Instant {
        self.beginning + Duration::from_millis(self.now_ms)
    }

    fn wake(&mut self, line: usize, way: Way, at: Instant) {
        self.plan_at((at - self.beginning).as_millis() as u64 + 1, Happening::Wake(line, way));
    }

    fn ask(&mut self, line: usize, way: Way, number: u64, question: &Question, deadline: Duration) {
        let pending = &mut self.lines[line].pending;
        *(if way == Way::Up { &mut pending.0 } else { &mut pending.1 }) = number;
        self.plan_at(self.now_ms + deadline.as_millis() as u64, Happening::Deadline(line, way, number));
        self.send(line, message::write_question(number, question), |bytes| Happening::Question(line, way, bytes));
    }

    fn send(&mut self, line: usize, bytes: Vec<u8>, arrive: impl Fn(Vec<u8>) -> Happening) {
        self.found.messages += 1;
        for (delay, bytes) in self.lines[line].weather.carry(bytes, self.plan.trouble, &mut self.dice) {
            self.plan_at(self.now_ms + delay, arrive(bytes));
        }
    }

    fn question(&mut self, line: usize, way: Way, bytes: &[u8]) {
        let lower = self.lines[line].lower;
        if self.lines[line].weather.cut_since.is_some() || self.posts[lower].is_down() {
            return;
        }
        let tail = self.posts[lower].tail();
        let answer = self.posts[lower].answer(bytes, self.now_ms);
        if self.posts[lower].tail() > tail {
            self.moved(lower);
        }
        if let Some(answer) = answer {
            self.send(line, answer, |bytes| Happening::Answer(line, way, bytes));
        }
    }

    fn answer(&mut self, line: usize, way: Way, bytes: Vec<u8>) {
        if self.lines[line].weather.cut_since.is_some() {
            return;
        }
        let Line { upper, lower, pending, .. } = self.lines[line];
        if way == Way::Down {
            return self.deliver(line, deliver::understood(pending.1, Ok(bytes)));
        }
        let input = match message::read_answer(&bytes) {
            Ok((number, message::Answer::Histories(offers))) if !self.posts[upper].is_down() => {
                let rooms = self.plan.subdistricts * self.plan.rooms_each;
                let peer = Peer { node: self.posts[lower].id, carries: lower >= rooms };
                pull::Input::Offered(number, api::link::offered(self.posts[upper].copies(), peer, offers))
            }
            Ok((number, answer)) => pull::Input::Answered(number, answer),
            Err(why) => pull::Input::Failed(pending.0, LineError::Malformed(why)),
        };
        self.pull(line, input);
    }

    fn back(&mut self, at: usize) {
        if !self.posts[at].has_fallen() {
            return;
        }
        self.found.restarts += 1;
        self.posts[at].back(self.now_ms);
        let now = self.instant();
        let rooms = self.plan.subdistricts * self.plan.rooms_each;
        for line in (0..self.lines.len()).filter(|line| self.lines[*line].upper == at).collect::<Vec<_>>() {
            let lower = self.lines[line].lower;
            let peer = Peer { node: self.posts[lower].id, carries: lower >= rooms };
            let here = api::link::here(self.posts[at].copies(), peer.node);
            self.lines[line].puller = Puller::new(peer, here, self.dice.random(), now);
            self.lines[line].deliverer = Deliverer::new(self.dice.random(), now);
            self.lines[line].down_at_ms = 0;
            self.plan_at(self.now_ms + 1, Happening::Wake(line, Way::Up));
            self.plan_at(self.now_ms + 1, Happening::Wake(line, Way::Down));
        }
        self.tick(at);
    }

    /// All lines are good, and everybody is there, from now on.
    fn heal(&mut self) {
        self.plan.trouble = false;
        for line in &mut self.lines {
            line.weather = Weather::fair(self.now_ms);
        }
        self.happenings.retain(|_, what| {
            !matches!(
                what,
                Happening::Cut(_) | Happening::Fall { .. } | Happening::Back(_) | Happening::Open | Happening::Act { .. }
            )
        });
        for post in 0..self.posts.len() {
            self.back(post);
        }
    }
}

/// Which node is above another.
fn above(plan: Plan, lower: usize) -> usize {
    let rooms = plan.subdistricts * plan.rooms_each;
    if lower < rooms { rooms + lower / plan.rooms_each } else { rooms + plan.subdistricts }
}

fn who(post: usize) -> Who {
    Who { name: format!("p{post}"), display: format!("{post}号") }
}

/// Something that is likely with an incident as it is, and now and then something that is not.
fn some_deed(incident: &Incident, now: UtcMicros, dice: &mut StdRng) -> Deed {
    let close = Deed::Close { code: CloseCode::Handled };
    let dispatch = Deed::Dispatch { unit: "巡逻组".to_owned() };
    match dice.random_range(0..20) {
        0 => Deed::Dismiss { reason: FalseReason::Animal },
        1 => Deed::Shelve { until: now + Duration::from_secs(dice.random_range(5..300)), reason: "检修".to_owned() },
        2 => Deed::Escalate {
            from: incident.tier,
            to: if incident.tier == Tier::Room { Tier::Subdistrict } else { Tier::District },
            number: incident.escalations,
        },
        3 | 4 => Deed::Note { text: "看到了".to_owned() },
        5 => close,
        6 => Deed::Reopen,
        7 => Deed::Hand { to: who(99) },
        8 => {
            let last = incident.history.last().map(|entry| entry.place);
            last.map_or(Deed::Unshelve, |place| Deed::Undo { node: place.node, seq: place.seq })
        }
        9 => Deed::Merge { into: IncidentId { node: incident.id.node, seq: Seq::new(incident.id.seq.get().saturating_sub(1)) } },
        _ => match incident.stage.word() {
            "new" => Deed::Acknowledge,
            _ if incident.owner.is_none() => Deed::Acknowledge,
            "acknowledged" | "reopened" => Deed::Verify,
            "verified" => dispatch,
            "dispatched" => Deed::Arrive,
            "arrived" => Deed::Resolve,
            _ => close,
        },
    }
}

/// The simulated instant on a clock that is right.
fn utc_at(ms: u64) -> UtcMicros {
    UtcMicros::from_micros(BEGINNING + ms as i64 * 1000)
}
