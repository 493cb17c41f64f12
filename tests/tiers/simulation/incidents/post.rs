//! A node of the three tiers, on a simulated disk.

use super::{Plan, above, utc_at};
use api::link::{Desk, Standings};
use index::{
    incidents::{Book, Casebook, Clocks, Lower, Me},
    journal::{Copies, CopyLimits, History, Journal, JournalLimits, Seq, SimDisk},
    model::{NodeId, Tier, UtcMicros},
};
use std::{sync::Arc, time::Duration};

/// Small files, so that there are many of them.
const JOURNAL: JournalLimits = JournalLimits { segment_bytes: 1 << 20, queue_records: 16_384 };
const COPY: CopyLimits = CopyLimits { segment_bytes: 1 << 20 };

pub(super) struct Post {
    pub(super) id: NodeId,
    plan: Plan,
    number: usize,
    tier: Tier,
    disk: SimDisk,
    journal: Option<Arc<Journal>>,
    copies: Option<Arc<Copies>>,
    pub(super) standings: Arc<Standings>,
    casebook: Option<Arc<Casebook>>,
    /// By how much its clock is wrong, in milliseconds.
    skew_ms: i64,
    /// When its thread is to look at the clocks next.
    pub(super) wakes_ms: Option<u64>,
    down_since: Option<u64>,
    /// It stands, and its disk does not do what it should.
    failing_since: Option<u64>,
    /// From when to when it did nothing, in milliseconds of the simulation.
    pub(super) outages: Vec<(u64, u64)>,
}

pub(super) fn id_of(number: usize) -> NodeId {
    NodeId::from_bytes([number as u8 + 1; 16])
}

fn tier_of(plan: Plan, number: usize) -> Tier {
    let rooms = plan.subdistricts * plan.rooms_each;
    match number {
        n if n < rooms => Tier::Room,
        n if n < rooms + plan.subdistricts => Tier::Subdistrict,
        _ => Tier::District,
    }
}

impl Post {
    pub(super) fn new(number: usize, plan: Plan) -> Self {
        let disk = SimDisk::new(plan.seed ^ 77 ^ number as u64);
        let tier = tier_of(plan, number);
        let journal = open_journal(&disk, number);
        let copies = (tier > Tier::Room).then(|| open_copies(&disk));
        let casebook = casebook(plan, number, &journal, copies.as_ref());
        Self {
            id: id_of(number),
            plan,
            number,
            tier,
            disk,
            journal: Some(journal),
            copies,
            standings: Arc::default(),
            casebook: Some(casebook),
            skew_ms: (number as i64 * 37) % 400 - 200,
            wakes_ms: None,
            down_since: None,
            failing_since: None,
            outages: Vec::new(),
        }
    }

    pub(super) fn clock(&self, now_ms: u64) -> UtcMicros {
        utc_at(now_ms.saturating_add_signed(self.skew_ms))
    }

    /// When its clock shows an instant: the first millisecond at which it is not before it.
    pub(super) fn ms_of(&self, at: UtcMicros) -> u64 {
        let micros = at.micros_from(utc_at(0)).max(0) as u64;
        micros.div_ceil(1000).saturating_add_signed(-self.skew_ms)
    }

    pub(super) fn is_down(&self) -> bool {
        self.down_since.is_some()
    }

    pub(super) fn has_fallen(&self) -> bool {
        self.down_since.is_some() || self.failing_since.is_some()
    }

    pub(super) fn tail(&self) -> Seq {
        self.journal.as_ref().map_or(Seq::ZERO, |journal| journal.tail())
    }

    pub(super) fn casebook(&self) -> &Arc<Casebook> {
        self.casebook.as_ref().expect("a node has incidents but while it starts")
    }

    pub(super) fn copies(&self) -> &Copies {
        self.copies.as_ref().expect("a centre has copies")
    }

    /// Whether something can be opened for a node here.
    pub(super) fn knows(&self, home: NodeId) -> bool {
        home == self.id || self.copies.as_ref().is_some_and(|copies| copies.list().iter().any(|copy| copy.node() == home))
    }

    pub(super) fn answer(&self, question: &[u8], now_ms: u64) -> Option<Vec<u8>> {
        let own = Arc::clone(self.journal.as_ref()?) as Arc<dyn History>;
        let desk = match &self.copies {
            Some(copies) => Desk::of_centre(own, Arc::clone(copies), Arc::clone(&self.standings)),
            None => Desk::of_room(own),
        };
        desk.taking(Arc::clone(self.casebook())).answer(question, self.clock(now_ms))
    }

    /// Clocks that are over by more than a second although the node is well.
    pub(super) fn overdue(&self, now_ms: u64) -> u64 {
        if self.tier == Tier::District {
            return 0;
        }
        let now = self.clock(now_ms);
        let book = self.casebook().book();
        let late = |due: UtcMicros| now.since(due) > Duration::from_secs(1);
        let all = book.all().filter(|incident| incident.tier == self.tier && !incident.stage.is_over());
        all.filter(|incident| incident.as_of(now).due().is_some_and(late)).count() as u64
    }

    /// Somewhere in the next operations the power goes, or it does not and the process just ends.
    pub(super) fn fall(&mut self, power_goes: bool, at_once: bool, now_ms: u64) {
        if self.is_down() {
            return;
        }
        if power_goes {
            self.disk.cut_power_at(self.disk.operations() + 1 + self.disk.operations() % 7);
        }
        if at_once || !power_goes {
            self.down_since = Some(now_ms);
        } else {
            self.failing_since = Some(now_ms);
        }
    }

    /// It starts again, and reads everything anew.
    pub(super) fn back(&mut self, now_ms: u64) {
        let since = self.failing_since.take().into_iter().chain(self.down_since.take()).min();
        self.outages.extend(since.map(|since| (since, now_ms)));
        drop(self.journal.take());
        drop(self.casebook.take());
        self.disk.restart();
        let journal = open_journal(&self.disk, self.number);
        self.copies = (self.tier > Tier::Room).then(|| open_copies(&self.disk));
        self.casebook = Some(casebook(self.plan, self.number, &journal, self.copies.as_ref()));
        self.journal = Some(journal);
        self.standings = Arc::default();
        self.wakes_ms = None;
    }
}

fn casebook(plan: Plan, number: usize, journal: &Arc<Journal>, copies: Option<&Arc<Copies>>) -> Arc<Casebook> {
    let tier = tier_of(plan, number);
    let tier_below: Arc<dyn Fn(NodeId) -> Option<Tier> + Send + Sync> = Arc::new(move |node: NodeId| {
        let count = plan.subdistricts * (plan.rooms_each + 1);
        (0..count).find(|n| id_of(*n) == node).map(|n| tier_of(plan, n))
    });
    let below = copies.map(|copies| Lower { copies: Arc::clone(copies), tier: tier_below });
    let me = Me { node: id_of(number), tier, clocks: Clocks::default() };
    let casebook = Casebook::new(me, Arc::clone(journal), below, Book::new(me.node, tier));
    if tier < Tier::District {
        casebook.set_upper(tier_of(plan, above(plan, number)));
    }
    Arc::new(casebook)
}

fn open_journal(disk: &SimDisk, number: usize) -> Arc<Journal> {
    Journal::open_simulated(disk, id_of(number), JOURNAL).expect("a journal opens after whatever happened")
}

fn open_copies(disk: &SimDisk) -> Arc<Copies> {
    Arc::new(Copies::open_simulated(disk, COPY).expect("copies open after whatever happened"))
}
