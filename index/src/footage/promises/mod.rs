//! Promises measured on the store's own code, on simulated disks and clocks: that retention is kept, neither early nor late, with a
//! warning before it breaks; that the ledger finds every fault, when it was, and why; and that an order of erasure is carried out
//! whatever happens on the way. They run with every test, and longer where `tests/measure retention` and `tests/measure ledger` ask.

mod erasure;
mod ledger;
mod retention;
mod standstill;
mod told;

use super::{
    disk::{Disk, sim::SimDisk},
    keeper::{Keeper, Rounds},
    ledger::{Ledger, Notebook},
    shared::Shared,
    simulation::{
        figures::{self, Figures, option},
        world::{SimJournal, SimWorld, directory},
    },
    tests::{NODE, small},
    world::World,
    writer::Writer,
    *,
};
use crate::model::NodeId;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use std::sync::atomic::AtomicBool;

/// What of a node survives its end: its disk, its journal, and the machine. The power is that of all three.
struct Site {
    dir: tempfile::TempDir,
    disk: SimDisk,
    capacity: u64,
    power: Arc<AtomicBool>,
    journal: Arc<SimJournal>,
    world: Arc<SimWorld>,
    random: SmallRng,
}

/// A store on one simulated disk, taken apart into turns.
struct Node {
    store: Store,
    writer: Writer,
    keeper: Keeper,
    rounds: Rounds,
    world: Arc<SimWorld>,
}

impl Site {
    /// A machine with a disk of that many bytes for segments.
    fn new(capacity: u64, seed: u64) -> Self {
        let power = Arc::new(AtomicBool::new(true));
        Self {
            dir: directory(),
            disk: SimDisk::on(seed, capacity + (4 << 20), Arc::clone(&power), None),
            capacity,
            journal: Arc::new(SimJournal::new(Arc::clone(&power))),
            world: Arc::new(SimWorld::new(seed, UtcMicros::from_micros(1_700_006_400_000_000))),
            power,
            random: SmallRng::seed_from_u64(seed),
        }
    }

    fn start(&self, change: impl FnOnce(&mut Setup)) -> Node {
        let mut setup = small(self.dir.path());
        setup.node = NodeId::from_bytes(NODE);
        setup.volumes[0].capacity = self.capacity;
        change(&mut setup);
        let world = Arc::clone(&self.world) as Arc<dyn World>;
        let ledger = Ledger::open(self.dir.path(), Arc::clone(&self.journal) as Arc<dyn Notebook>, Arc::clone(&world));
        let (shared, mut leftovers) =
            Shared::open(setup, vec![Arc::new(self.disk.clone()) as Arc<dyn Disk>], ledger, world).expect("it opens");
        let shared = Arc::new(shared);
        let volume = shared.volumes.get(0).expect("one volume");
        let keeper = Keeper { volume: Arc::clone(&volume), shared: Arc::clone(&shared) };
        keeper.recover(leftovers.remove(0));
        while keeper.grow(64) {}
        let writer = Writer::new(volume, Arc::clone(&shared));
        let store = Store { shared, cache: Arc::default(), warden: Mutex::default() };
        Node { store, writer, keeper, rounds: Rounds::default(), world: Arc::clone(&self.world) }
    }

    /// The power goes, and comes back: what is not durable may be there or not.
    fn crash(&mut self) {
        self.power.store(false, Ordering::Relaxed);
        self.journal.crash(&mut self.random);
        self.disk.crash();
        self.power.store(true, Ordering::Relaxed);
    }

    /// Below `bound`.
    fn dice(&mut self, bound: u64) -> u64 {
        self.random.random_range(0..bound)
    }
}

impl Node {
    /// Appends drafts, and has the writer take its turn.
    fn commit(&mut self, drafts: Vec<Draft>) {
        for draft in drafts {
            let stream = draft.stream;
            if let Err(full) = self.store.append(draft) {
                self.store.lost(stream, full.draft.window(), GapCause::OurQueue, full.draft.units.len() as u32);
            }
        }
        let taken = self.writer.take(&mut lock(&self.keeper.volume.queue));
        self.writer.turn(taken);
    }

    /// What the keeper does meanwhile.
    fn round(&mut self) {
        while self.keeper.round(&mut self.rounds) {}
    }
}
