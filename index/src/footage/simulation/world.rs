//! The simulated machine beside its disks: its power, its clocks and chance, and the journal, which loses its newest facts when the
//! power goes.

use crate::{
    footage::{ledger::Notebook, volume::lock, world::World},
    model::UtcMicros,
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use serde_json::Value;
use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

/// A directory for what is not simulated: in memory, where the machine has that, because checkpoints in it are synced by the thousand.
pub(in crate::footage) fn directory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    directory.expect("a directory")
}

/// Both clocks and chance.
pub(in crate::footage) struct SimWorld {
    now_us: AtomicI64,
    monotonic_us: AtomicU64,
    random: Mutex<SmallRng>,
}

impl SimWorld {
    pub(in crate::footage) fn new(seed: u64, now: UtcMicros) -> Self {
        Self {
            now_us: AtomicI64::new(now.as_micros()),
            monotonic_us: AtomicU64::new(3_600_000_000),
            random: Mutex::new(SmallRng::seed_from_u64(seed)),
        }
    }

    /// Time passes.
    pub(in crate::footage) fn advance(&self, time: Duration) {
        let micros = time.as_micros() as u64;
        self.monotonic_us.fetch_add(micros, Ordering::Relaxed);
        self.now_us.fetch_add(micros as i64, Ordering::Relaxed);
    }

    /// Somebody sets the machine's clock.
    pub(in crate::footage) fn set_by(&self, micros: i64) {
        self.now_us.fetch_add(micros, Ordering::Relaxed);
    }
}

impl World for SimWorld {
    fn now(&self) -> UtcMicros {
        UtcMicros::from_micros(self.now_us.load(Ordering::Relaxed))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.monotonic_us.load(Ordering::Relaxed))
    }

    fn random(&self) -> u64 {
        lock(&self.random).random()
    }
}

/// A journal in memory: a fact is durable some time after it was noted, and until then the power may take it.
pub(in crate::footage) struct SimJournal {
    facts: Mutex<Facts>,
    power: Arc<AtomicBool>,
}

#[derive(Default)]
struct Facts {
    all: Vec<(u64, UtcMicros, String, Value)>,
    durable: usize,
    /// When the newest fact of an earlier life was noted.
    inherited: Option<UtcMicros>,
}

impl SimJournal {
    pub(in crate::footage) fn new(power: Arc<AtomicBool>) -> Self {
        Self { facts: Mutex::default(), power }
    }

    /// A journal of the same facts, of a machine that starts anew.
    pub(super) fn copy(&self, power: Arc<AtomicBool>) -> Self {
        let facts = lock(&self.facts);
        let inherited = facts.all.last().map(|(_, at, ..)| *at);
        Self { facts: Mutex::new(Facts { all: facts.all.clone(), durable: facts.durable, inherited }), power }
    }

    /// Everything noted so far is durable.
    pub(in crate::footage) fn settle(&self) {
        let mut facts = lock(&self.facts);
        facts.durable = facts.all.len();
    }

    /// The power goes: what is not durable is there up to some fact, and nothing behind it.
    pub(in crate::footage) fn crash(&self, random: &mut SmallRng) {
        let mut facts = lock(&self.facts);
        let (durable, all) = (facts.durable, facts.all.len());
        facts.all.truncate(random.random_range(durable..=all));
        facts.durable = facts.all.len();
        facts.inherited = facts.all.last().map(|(_, at, ..)| *at);
    }
}

impl Notebook for SimJournal {
    fn note(&self, at: UtcMicros, kind: &'static str, body: Value) {
        if self.power.load(Ordering::Relaxed) {
            if std::env::var_os("HAOHE_SEED").is_some() {
                println!("{at} journal: {kind} {body}");
            }
            let mut facts = lock(&self.facts);
            let number = facts.all.len() as u64 + 1;
            facts.all.push((number, at, kind.to_owned(), body));
        }
    }

    fn note_durably(&self, at: UtcMicros, kind: &'static str, body: Value) -> Result<(), String> {
        self.note(at, kind, body);
        self.settle();
        match self.power.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err("the power is gone".to_owned()),
        }
    }

    fn inherited_at(&self) -> Option<UtcMicros> {
        lock(&self.facts).inherited
    }

    fn newest(&self) -> u64 {
        lock(&self.facts).all.len() as u64
    }

    fn after(&self, after: u64, limit: usize) -> Vec<(u64, String, Value)> {
        let facts = lock(&self.facts);
        let later = facts.all.iter().skip(after as usize).take(limit);
        later.map(|(number, _, kind, body)| (*number, kind.clone(), body.clone())).collect()
    }
}
