//! The nodes: rooms that write, centres that fetch.

use super::{Plan, utc_at};
use api::link::{Desk, Standings};
use index::{
    events::{Event, Kind},
    journal::{Copies, CopyLimits, History, Journal, JournalLimits, Record, Seq, SimDisk},
    model::{CameraId, NodeId, UtcMicros},
};
use rand::{RngExt, rngs::StdRng};
use std::sync::Arc;

/// Small files, so that there are many of them.
const JOURNAL: JournalLimits = JournalLimits { segment_bytes: 2 << 20, queue_records: 16_384 };
const COPY: CopyLimits = CopyLimits { segment_bytes: 2 << 20 };

/// Which node.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Node {
    Room(usize),
    Centre(usize),
}

/// Events that a room acknowledged: when, by its own clock; the newest record then; their numbers.
pub(super) struct Acknowledged {
    pub(super) at: UtcMicros,
    pub(super) tail: Seq,
    pub(super) first: u64,
    pub(super) last: u64,
}

pub(super) struct Room {
    pub(super) id: NodeId,
    disk: SimDisk,
    journal: Option<Arc<Journal>>,
    first_camera: u32,
    cameras: u32,
    per_s: usize,
    /// By how much its clock is wrong, in milliseconds.
    skew_ms: i64,
    /// Events made so far, acknowledged or not.
    pub(super) made: u64,
    pub(super) acknowledged: Vec<Acknowledged>,
    dead_since: Option<u64>,
}

impl Room {
    pub(super) fn new(n: usize, plan: Plan) -> Self {
        let rooms = plan.subdistricts * plan.rooms_each;
        let mut room = Self {
            id: NodeId::from_bytes([n as u8 + 1; 16]),
            disk: SimDisk::new(plan.seed ^ n as u64),
            journal: None,
            first_camera: n as u32 * plan.cameras_each + 1,
            cameras: plan.cameras_each,
            per_s: plan.events_per_s / rooms + usize::from(n < plan.events_per_s % rooms),
            skew_ms: (n as i64 * 37) % 4000 - 2000,
            made: 0,
            acknowledged: Vec::new(),
            dead_since: None,
        };
        room.back();
        room
    }

    pub(super) fn journal(&self) -> &Arc<Journal> {
        self.journal.as_ref().expect("a room has a journal but while it starts")
    }

    fn clock(&self, now_ms: u64) -> UtcMicros {
        utc_at(now_ms.saturating_add_signed(self.skew_ms))
    }

    /// A second's events: what is acknowledged must arrive above, what is not may.
    pub(super) fn write(&mut self, now_ms: u64, dice: &mut StdRng) {
        if self.dead_since.is_some() {
            return;
        }
        let at = self.clock(now_ms);
        let first = self.made + 1;
        let records = (0..self.per_s).map(|_| self.event(at, dice)).collect();
        if let Ok(tail) = self.journal().append_all(records) {
            self.acknowledged.push(Acknowledged { at, tail, first, last: self.made });
        }
    }

    fn event(&mut self, at: UtcMicros, dice: &mut StdRng) -> Record {
        self.made += 1;
        let kind = match dice.random_range(0..20) {
            0 => Kind::CameraOffline,
            1 => Kind::CameraRecording,
            _ => Kind::Motion,
        };
        let number = self.first_camera + dice.random_range(0..self.cameras);
        let mut event =
            Event { camera: CameraId::new(number).ok(), name: format!("{number}号摄像机"), ..Event::new(at, kind) };
        event.attributes.insert("n".to_owned(), self.made.into());
        event.into_record(at)
    }

    pub(super) fn answer(&self, question: &[u8], now_ms: u64) -> Option<Vec<u8>> {
        if self.dead_since.is_some() {
            return None;
        }
        Desk::of_room(Arc::clone(self.journal()) as Arc<dyn History>).answer(question, self.clock(now_ms))
    }

    pub(super) fn fall(&mut self, power_goes: bool, dead: bool, now_ms: u64) {
        fall(&self.disk, power_goes);
        self.dead_since = dead.then_some(now_ms);
    }

    pub(super) fn back(&mut self) {
        self.dead_since = None;
        drop(self.journal.take());
        self.disk.restart();
        self.journal =
            Some(Journal::open_simulated(&self.disk, self.id, JOURNAL).expect("a journal opens after whatever happened"));
    }
}

pub(super) struct Centre {
    pub(super) id: NodeId,
    disk: SimDisk,
    journal: Option<Arc<Journal>>,
    pub(super) copies: Arc<Copies>,
    pub(super) standings: Arc<Standings>,
    pub(super) dead_since: Option<u64>,
    pub(super) begun_ms: u64,
}

impl Centre {
    pub(super) fn new(n: usize, seed: u64) -> Self {
        let disk = SimDisk::new(seed ^ 500 ^ n as u64);
        let mut centre = Self {
            id: NodeId::from_bytes([n as u8 + 101; 16]),
            copies: open_copies(&disk),
            disk,
            journal: None,
            standings: Arc::default(),
            dead_since: None,
            begun_ms: 0,
        };
        centre.back(0);
        centre
    }

    pub(super) fn journal(&self) -> &Arc<Journal> {
        self.journal.as_ref().expect("a centre has a journal but while it starts")
    }

    /// What a centre writes itself: somebody signs in now and then.
    pub(super) fn write(&mut self, now_ms: u64) {
        if now_ms.is_multiple_of(5000) && self.dead_since.is_none() {
            // It may fail: then it is not there, and no copy has it.
            drop(self.journal().append_all(vec![Record::new(
                utc_at(now_ms),
                "test.sign_in",
                serde_json::json!({ "ms": now_ms }),
            )]));
        }
    }

    pub(super) fn answer(&self, question: &[u8], now_ms: u64) -> Option<Vec<u8>> {
        if self.dead_since.is_some() {
            return None;
        }
        let own = Arc::clone(self.journal()) as Arc<dyn History>;
        Desk::of_centre(own, Arc::clone(&self.copies), Arc::clone(&self.standings)).answer(question, utc_at(now_ms))
    }

    pub(super) fn fall(&mut self, power_goes: bool, dead: bool, now_ms: u64) {
        fall(&self.disk, power_goes);
        self.dead_since = dead.then_some(now_ms);
    }

    pub(super) fn back(&mut self, now_ms: u64) {
        (self.dead_since, self.begun_ms) = (None, now_ms);
        drop(self.journal.take());
        self.disk.restart();
        self.journal =
            Some(Journal::open_simulated(&self.disk, self.id, JOURNAL).expect("a journal opens after whatever happened"));
        self.copies = open_copies(&self.disk);
        self.standings = Arc::default();
    }
}

/// Somewhere in the next operations the power goes, or it does not and the process just ends.
fn fall(disk: &SimDisk, power_goes: bool) {
    if power_goes {
        disk.cut_power_at(disk.operations() + 1 + disk.operations() % 7);
    }
}

fn open_copies(disk: &SimDisk) -> Arc<Copies> {
    Arc::new(Copies::open_simulated(disk, COPY).expect("copies open after whatever happened"))
}
