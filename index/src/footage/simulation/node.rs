//! A simulated node: the store's own code on simulated disks, clock and chance, single-threaded. What its threads would do in some
//! order is done here one after the other, and the seed decides when.

use super::{
    cameras::Camera,
    model::{Model, Name, Outcome},
    people::People,
    trouble::Plan,
    world::{SimJournal, SimWorld, directory},
};
use crate::{
    footage::{
        Announced, OpenError, RetentionTerms, Setup, Store, VolumeSetup,
        disk::{Disk, sim::SimDisk},
        keeper::{Keeper, Leftovers, Rounds},
        ledger::{Ledger, Notebook},
        shared::Shared,
        tests::{EPOCH, NODE, stream},
        volume::lock,
        world::World,
        writer::Writer,
    },
    model::{GapCause, NodeId, RetentionClass, StreamKind, UtcMicros},
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use std::{
    collections::btree_map::Entry,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The step in which time passes.
const STEP: Duration = Duration::from_millis(100);

/// A node over its lives.
pub(super) struct Node {
    dir: tempfile::TempDir,
    power: Arc<AtomicBool>,
    pub(super) world: Arc<SimWorld>,
    pub(super) journal: Arc<SimJournal>,
    pub(super) disks: Vec<SimDisk>,
    pub(super) cameras: Vec<Camera>,
    pub(super) model: Model,
    announced: Arc<Mutex<Vec<Name>>>,
    pub(super) random: SmallRng,
    pub(super) outcome: Outcome,
    pub(super) plan: Plan,
    people: People,
    /// By how much the clock is off by more than anybody believes.
    pub(super) clock_off: i64,
    /// Whether a disk misbehaved, or was full, or the keepers were late, in this life: then a crash may cost more.
    pub(super) troubled: bool,
    pub(super) disk_lost: bool,
    /// Whether it tells what happens: for replaying a seed.
    talks: bool,
}

/// One life of it: from a start to a crash.
pub(super) struct Life {
    pub(super) store: Arc<Store>,
    writers: Vec<(Writer, Duration)>,
    keepers: Vec<(Keeper, Rounds, Option<Leftovers>)>,
    steps: u32,
}

impl Node {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut people = People::new(seed);
        let plan = Plan::new(seed, &mut random, &mut people);
        let power = Arc::new(AtomicBool::new(true));
        let start = UtcMicros::from_micros(EPOCH);
        let world = Arc::new(SimWorld::new(seed, start));
        let mut cameras = Vec::new();
        for i in 0..random.random_range(2..6) {
            let kind = if i % 3 == 1 { StreamKind::Sub } else { StreamKind::Main };
            let class = if i == 3 { RetentionClass::KeyTarget } else { RetentionClass::Standard };
            cameras.push(Camera::new(stream(i / 2 + 1 + i % 2, kind), class, random.random_range(1..5)));
        }
        let mut node = Self {
            dir: directory(),
            journal: Arc::new(SimJournal::new(Arc::clone(&power))),
            disks: Vec::new(),
            model: Model::new(plan.terms, start),
            power,
            world,
            cameras,
            announced: Arc::default(),
            random,
            outcome: Outcome::default(),
            plan,
            people,
            clock_off: 0,
            troubled: false,
            disk_lost: false,
            talks: std::env::var_os("HAOHE_SEED").is_some(),
        };
        for _ in 0..node.plan.disks {
            let disk = node.blank();
            node.disks.push(disk);
        }
        for camera in &node.cameras {
            node.model.begun.insert(camera.stream, start);
        }
        node
    }

    /// A node to which nothing happens but that it records: for looking at what that leaves.
    pub(super) fn undisturbed(seed: u64) -> Self {
        let mut node = Self::new(seed);
        let years = Duration::from_secs(60 * 365 * 86_400);
        node.plan = Plan {
            disks: 1,
            capacity: 20 << 20,
            fault_rate: 0,
            rot: false,
            clocks: false,
            terms: RetentionTerms { standard: years, key_target: years },
            segment_max: Duration::from_secs(7),
            later: false,
            kills: false,
            people: false,
        };
        node.model.terms = node.plan.terms;
        let disk = node.blank();
        node.disks = vec![disk];
        node
    }

    pub(super) fn state_dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    fn blank(&mut self) -> SimDisk {
        let world = Arc::clone(&self.world);
        let wait = Arc::new(move |time| world.advance(time));
        SimDisk::on(self.random.random(), self.plan.capacity + (2 << 20), Arc::clone(&self.power), Some(wait))
    }

    pub(super) fn is_up(&self) -> bool {
        self.power.load(Ordering::Relaxed)
    }

    /// What the clock would say had nobody set it by hours.
    fn trusted(&self) -> UtcMicros {
        UtcMicros::from_micros(self.world.now().as_micros() - self.clock_off)
    }

    pub(super) fn setup(&self) -> Setup {
        let volume = |i: usize| VolumeSetup {
            name: format!("disk-{i}"),
            path: PathBuf::from(format!("/simulated/{i}")),
            capacity: self.plan.capacity,
        };
        let volumes = (0..self.disks.len()).map(volume).collect();
        let mut setup = Setup::new(NodeId::from_bytes(NODE), self.dir.path().to_owned(), volumes);
        (setup.segment_bytes, setup.sub_segment_bytes) = (1 << 20, 1 << 20);
        setup.segment_max = self.plan.segment_max;
        setup.commit_every = Duration::from_millis(500);
        setup.terms = self.plan.terms;
        setup.hold_percent = 60;
        setup
    }

    /// Starts the node. The error is that of [`Store::open`].
    pub(super) fn begin(&mut self) -> Result<Life, OpenError> {
        let world: Arc<dyn World> = Arc::clone(&self.world) as Arc<dyn World>;
        let notebook = Arc::clone(&self.journal) as Arc<dyn Notebook>;
        let ledger = Ledger::open(self.dir.path(), notebook, Arc::clone(&world));
        let disks = self.disks.iter().map(|disk| Arc::new(disk.clone()) as Arc<dyn Disk>).collect();
        let (shared, leftovers) = Shared::open(self.setup(), disks, ledger, world)?;
        let store = Store { shared: Arc::new(shared), cache: Arc::default(), warden: Mutex::default() };
        let store = Arc::new(store);
        let seen = Arc::clone(&self.announced);
        store.on_announced(Box::new(move |fragment| lock(&seen).push(name(fragment))));
        let now = self.world.monotonic();
        let mut life = Life { store: Arc::clone(&store), writers: Vec::new(), keepers: Vec::new(), steps: 0 };
        for (volume, leftovers) in store.shared.volumes.all().iter().zip(leftovers) {
            life.writers.push((Writer::new(Arc::clone(volume), Arc::clone(&store.shared)), now));
            let keeper = Keeper { volume: Arc::clone(volume), shared: Arc::clone(&store.shared) };
            keeper.grow(4);
            life.keepers.push((keeper, Rounds::default(), Some(leftovers)));
        }
        self.troubled = false;
        for camera in &mut self.cameras {
            camera.connect(self.world.now(), now);
        }
        Ok(life)
    }

    /// Lets every volume's keeper look after what an earlier life left.
    pub(super) fn recover(&mut self, life: &mut Life) {
        self.model.excuse_spoiled(&self.disks);
        for (keeper, _, leftovers) in &mut life.keepers {
            if let Some(leftovers) = leftovers.take().filter(|_| self.power.load(Ordering::Relaxed)) {
                keeper.recover(leftovers);
            }
        }
    }

    /// A tenth of a second passes. `false` if the power went.
    pub(super) fn step(&mut self, life: &mut Life, what: &str) -> bool {
        life.steps += 1;
        self.world.advance(STEP);
        if self.random.random() {
            self.journal.settle();
        }
        self.model.decided.next_turn();
        self.trouble(life);
        if self.model.tainted {
            // Before anything is written over what a disk changed.
            self.model.excuse_spoiled(&self.disks);
        }
        self.decide(life, what);
        self.film(&life.store);
        // A writer that finds no file rings its keeper.
        let rung = self.write(life);
        if self.is_up() && (rung || life.steps.is_multiple_of(5)) {
            self.keep(life);
        }
        self.model.trust(self.trusted());
        self.notice(life, what);
        for name in std::mem::take(&mut *lock(&self.announced)) {
            self.outcome.acknowledged += 1;
            self.outcome.bytes += self.model.sent.get(&name).map_or(0, |sent| sent.bytes());
            self.model.announced(name);
        }
        self.model.locate(&life.store);
        if self.is_up() && life.steps.is_multiple_of(4) {
            self.model.check(&life.store, &self.disks, false, what, &mut self.outcome);
            if life.steps.is_multiple_of(20) {
                self.model.ask(&life.store, &mut self.random, what, &mut self.outcome);
            }
        }
        self.is_up()
    }

    /// Whatever cameras filmed is appended; what the store does not take is shed, and said.
    fn film(&mut self, store: &Store) {
        let monotonic = self.world.monotonic();
        for camera in &mut self.cameras {
            if camera.silent_until > Duration::ZERO && monotonic >= camera.silent_until {
                camera.silent_until = Duration::ZERO;
                camera.connect(self.world.now(), monotonic);
            }
            while let Some(sent) = camera.film(monotonic, &mut self.random) {
                // A clock that was set back may come to the same microsecond again: then that instant has a picture already.
                let Entry::Vacant(fresh) = self.model.sent.entry((sent.stream, sent.utc)) else { continue };
                fresh.insert(sent);
                if let Err(full) = store.append(sent.draft()) {
                    self.troubled = true;
                    store.lost(sent.stream, full.draft.window(), GapCause::OurQueue, full.draft.units.len() as u32);
                }
            }
        }
    }

    /// Every writer whose turn it is takes it. Says whether one of them found no file to write to.
    fn write(&mut self, life: &mut Life) -> bool {
        let mut rung = false;
        for ((writer, turned), volume) in life.writers.iter_mut().zip(life.store.shared.volumes.all().iter()) {
            let now = self.world.monotonic();
            let due = writer.due(&lock(&volume.queue), *turned);
            if self.power.load(Ordering::Relaxed) && now >= due {
                *turned = now;
                let taken = writer.take(&mut lock(&volume.queue));
                writer.turn(taken);
                rung |= lock(&volume.queue).starved;
            }
        }
        self.troubled |= life.store.shared.fragments_lost.load(Ordering::Relaxed) > 0;
        rung
    }

    /// Every keeper makes its round. The ledger's checkpoint lies on a disk that is not simulated: what a dead machine wrote there
    /// was not written.
    fn keep(&mut self, life: &mut Life) {
        let file = self.dir.path().join("ledger.json");
        let saved = std::fs::read(&file).ok();
        for (keeper, rounds, leftovers) in &mut life.keepers {
            if leftovers.is_none() {
                keeper.round(rounds);
            }
        }
        if let (false, Some(saved)) = (self.is_up(), saved) {
            std::fs::write(&file, saved).expect("writable");
        }
    }

    /// Somebody asks for a hold or an erasure, or answers. What is there before that is looked at, so that whatever goes is known to
    /// have gone before, or after.
    fn decide(&mut self, life: &Life, what: &str) {
        if !self.plan.people || !self.people.wake() || !self.is_up() || !life.store.is_recovered() {
            return;
        }
        self.model.check(&life.store, &self.disks, false, what, &mut self.outcome);
        let told = self.people.act(&life.store, &mut self.model, what, &mut self.outcome);
        self.told(&told);
    }

    /// What the store did about holds and orders by itself is compared with what it may do.
    fn notice(&mut self, life: &Life, what: &str) {
        if self.model.decided.is_empty() {
            return;
        }
        let model = &mut self.model;
        let done = model.decided.compare(&life.store, model.trusted, &model.sent, what, &mut self.outcome);
        self.outcome.erasures += u64::from(done);
        // A machine without power reads nothing.
        if done && self.is_up() {
            self.model.check(&life.store, &self.disks, false, what, &mut self.outcome);
            self.model.check_erased(&self.disks, what, &mut self.outcome);
        }
    }

    /// Nothing is filmed and nothing goes wrong: what was ordered is carried out.
    pub(super) fn finish(&mut self, life: &mut Life, what: &str) {
        // A clock that was set back by minutes comes to the time of each order first.
        let due = self.model.decided.latest(self.world.now()).map_or(0, |to| to.since(self.world.now()).as_secs());
        for _ in 0..due + 150 {
            if !self.model.decided.is_work_left(self.world.now()) || self.clock_off < 0 {
                break;
            }
            self.world.advance(Duration::from_secs(1));
            self.model.trust(self.trusted());
            self.model.decided.next_turn();
            self.write(life);
            self.keep(life);
            self.notice(life, what);
        }
        // A clock that stands years back keeps an order waiting.
        if self.model.decided.is_work_left(self.world.now()) && self.clock_off >= 0 && !self.disks.iter().any(SimDisk::is_dead) {
            self.outcome.fault(format!("{what}: an order of erasure is not carried out"));
        }
        self.model.check_erased(&self.disks, what, &mut self.outcome);
    }

    /// Says what happens, where a seed is replayed.
    pub(super) fn told(&self, what: &str) {
        if self.talks {
            println!("{} (trusted {}): {what}", self.world.now(), self.model.trusted);
        }
    }

    /// The power goes now, if it has not; what a crash cost is counted; the power comes back.
    pub(super) fn crash(&mut self, life: Option<Life>) {
        self.told("the power goes");
        self.power.store(false, Ordering::Relaxed);
        self.outcome.crashes += 1;
        if life.is_some() {
            let now = self.world.now();
            for camera in self.cameras.iter().filter(|camera| camera.silent_until == Duration::ZERO) {
                let end = self.model.end_of(camera.stream, camera.run_from, UtcMicros::MAX).unwrap_or(camera.run_from);
                let lost = now.since(end).as_secs_f64();
                if lost > 2.0 {
                    self.told(&format!("{} loses {lost} s", camera.stream));
                }
                let worst = if self.troubled { &mut self.outcome.lost_after_faults_s } else { &mut self.outcome.lost_s };
                *worst = worst.max(lost);
            }
        }
        drop(life);
        self.model.excuse_spoiled(&self.disks);
        self.journal.crash(&mut self.random);
        // Of a machine that goes on all disks do.
        let killed = self.plan.kills && self.people.chance(1, 2);
        if killed {
            self.told("but only for the process");
        }
        for at in 0..self.disks.len() {
            let dead = {
                self.power.store(true, Ordering::Relaxed);
                self.disks[at].is_dead()
            };
            self.outcome.trace = self.outcome.trace.rotate_left(9) ^ self.disks[at].trace();
            match dead {
                // It is replaced by a new one.
                true => self.disks[at] = self.blank(),
                false if killed && self.disks[at].leave() => {}
                false => self.disks[at].crash(),
            }
        }
        self.power.store(true, Ordering::Relaxed);
        let off = Duration::from_millis(self.random.random_range(200..20_000));
        self.world.advance(off);
        if self.plan.people && self.people.chance(1, 2) {
            // Long enough for an order to be due.
            self.world.advance(Duration::from_secs(self.people.between(20, 90)));
        }
        self.model.trust(self.trusted());
    }
}

fn name(fragment: &Announced) -> Name {
    (fragment.stream, fragment.window.from)
}
