//! Thousands of short lives on a disk that tears, loses and refuses: whatever was announced is there, byte for byte, and whatever
//! is there was sent (I1). A failing seed is printed and reproduces.

use super::{
    disk::sim::{Fault, SimDisk},
    simulation::world::directory,
    *,
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

/// A journal in memory.
#[derive(Default)]
struct Memory(Mutex<Vec<(u64, String, Value)>>);

impl Notebook for Memory {
    fn note(&self, _: UtcMicros, kind: &'static str, body: Value) {
        let mut facts = lock(&self.0);
        let number = facts.len() as u64 + 1;
        facts.push((number, kind.to_owned(), body));
    }

    fn inherited_at(&self) -> Option<UtcMicros> {
        None
    }

    fn newest(&self) -> u64 {
        lock(&self.0).len() as u64
    }

    fn after(&self, after: u64, limit: usize) -> Vec<(u64, String, Value)> {
        lock(&self.0).iter().skip(after as usize).take(limit).cloned().collect()
    }
}

type Name = (StreamId, UtcMicros);

/// One node over its lives.
struct Lives {
    dir: tempfile::TempDir,
    journal: Arc<Memory>,
    disks: Vec<SimDisk>,
    /// Everything that was ever appended.
    sent: BTreeMap<Name, Draft>,
    /// What was announced and not removed by rule since.
    announced: Arc<Mutex<HashSet<Name>>>,
    next: BTreeMap<StreamId, i64>,
    random: SmallRng,
    /// Whether cameras reconnect now and then.
    flapping: bool,
}

/// One life.
struct Life {
    shared: Arc<Shared>,
    writers: Vec<Writer>,
    keepers: Vec<Keeper>,
}

impl Lives {
    fn new(seed: u64, disks: usize) -> Self {
        let disks = (0..disks as u64).map(|i| SimDisk::new(seed ^ i << 32, 9 << 20)).collect();
        Self {
            dir: directory(),
            journal: Arc::default(),
            disks,
            sent: BTreeMap::new(),
            announced: Arc::default(),
            next: BTreeMap::new(),
            random: SmallRng::seed_from_u64(seed),
            flapping: false,
        }
    }

    /// `None` if a planned death comes before it is open.
    fn begin(&mut self) -> Option<Life> {
        let mut setup = small(self.dir.path());
        let volume = setup.volumes[0].clone();
        setup.volumes = self.disks.iter().map(|_| VolumeSetup { capacity: 8 << 20, ..volume.clone() }).collect();
        // Retention is a step of the test, and then everything is past its term.
        setup.terms = RetentionTerms::default();
        let world: Arc<dyn World> = Arc::new(Machine);
        let ledger = Ledger::open(self.dir.path(), Arc::clone(&self.journal) as Arc<dyn Notebook>, Arc::clone(&world));
        let disks = self.disks.iter().map(|disk| Arc::new(disk.clone()) as Arc<dyn Disk>).collect();
        let (shared, leftovers) = Shared::open(setup, disks, ledger, world).ok()?;
        let shared = Arc::new(shared);
        let seen = Arc::clone(&self.announced);
        let watch = move |fragment: &Announced| {
            lock(&seen).insert((fragment.stream, fragment.window.from));
        };
        shared.watchers.write().expect("fresh").push(Box::new(watch));
        let writers = shared.volumes.all().iter().map(|volume| Writer::new(Arc::clone(volume), Arc::clone(&shared))).collect();
        let keeper = |volume: &Arc<Volume>| Keeper { volume: Arc::clone(volume), shared: Arc::clone(&shared) };
        let keepers: Vec<_> = shared.volumes.all().iter().map(keeper).collect();
        for (keeper, leftovers) in keepers.iter().zip(leftovers) {
            keeper.recover(leftovers);
            while keeper.grow(4) {}
        }
        Some(Life { shared, writers, keepers })
    }

    fn drafts(&mut self) -> Vec<Draft> {
        let streams = [stream(1, StreamKind::Main), stream(1, StreamKind::Sub), stream(2, StreamKind::Main)];
        let mut drafts = Vec::new();
        for stream in streams {
            for _ in 0..self.random.random_range(0..4) {
                let next = self.next.entry(stream).or_insert(0);
                let size = if self.random.random_ratio(1, 10) { 30_000 } else { self.random.random_range(20..9000) };
                // Now and then the camera reconnects, and a segment is sealed early.
                let run = if self.flapping { *next as u32 / self.random.random_range(5..40) } else { 1 };
                let draft = draft(stream, *next, size, run);
                *next += 1;
                self.sent.insert((stream, draft.window().from), draft.clone());
                drafts.push(draft);
            }
        }
        drafts
    }

    /// Everything readable equals what was sent; everything announced is readable.
    fn check(&self, life: &Life, what: &str) {
        let mut found = HashSet::new();
        for stream in self.next.keys() {
            let extent = Extent::recorded([*stream], Window::ALL);
            let reader = Reader::new(Arc::clone(&life.shared), Arc::default(), extent);
            for fragment in reader.fragments(*stream, window(-10.0, 1e6)) {
                let name = (*stream, fragment.window.from);
                let read = reader.fetch(&fragment).unwrap_or_else(|error| panic!("{what}: {name:?}: {error}"));
                let sent = self.sent.get(&name).unwrap_or_else(|| panic!("{what}: a phantom at {name:?}"));
                assert!(read.units() == sent.units, "{what}: {name:?} differs from what was sent");
                found.insert(name);
            }
        }
        let lost: Vec<_> = lock(&self.announced).difference(&found).copied().collect();
        assert!(lost.is_empty(), "{what}: announced and gone: {lost:?}");
    }

    /// Removes what is past its term; from here on it need not be there.
    fn sweep(&self, life: &Life) {
        let removable: Vec<Name> = {
            let streams = life.shared.catalogue.read();
            let sealed = |stream: &StreamId, name: &Name| {
                name.0 == *stream
                    && streams[stream]
                        .segments()
                        .iter()
                        .any(|segment| segment.entries.is_none() && segment.window.contains(name.1))
            };
            let announced = lock(&self.announced);
            announced.iter().filter(|name| streams.keys().any(|stream| sealed(stream, name))).copied().collect()
        };
        let mut announced = lock(&self.announced);
        announced.retain(|name| !removable.contains(name));
        drop(announced);
        for keeper in &life.keepers {
            keeper.sweep();
        }
    }
}

impl Life {
    /// One turn of every writer: what one volume refuses goes to another by the rules of the store.
    fn turn(&mut self, drafts: Vec<Draft>) {
        for draft in drafts {
            let mut places = lock(&self.shared.places);
            let at = self.shared.place(&mut places, draft.stream).expect("there is a volume");
            let volume = self.shared.volumes.get(at).expect("it is one of them");
            let mut queue = lock(&volume.queue);
            queue.push(Arc::new(draft), Duration::ZERO);
        }
        // Twice, so that what moved is written too.
        for _ in 0..2 {
            for (writer, volume) in self.writers.iter_mut().zip(self.shared.volumes.all().iter()) {
                let drafts = lock(&volume.queue).take_queued();
                let outcome = writer.commit(drafts, UtcMicros::now());
                for draft in outcome.waiting {
                    self.shared.lose(&draft, GapCause::Disk, "full");
                }
                self.shared.rehome(volume, outcome.refused, "refused");
                self.shared.move_on(volume, outcome.moved);
            }
        }
    }
}

#[test]
fn what_was_announced_survives_power_cuts_at_any_operation_and_nothing_else_appears() {
    for seed in 0..60 {
        let mut lives = Lives::new(seed, 1);
        lives.flapping = seed % 2 == 0;
        for life_number in 0..4 {
            let what = format!("seed {seed}, life {life_number}");
            let death = lives.random.random_range(0..120);
            lives.disks[0].plan(death, Fault::Death);
            let Some(mut life) = lives.begin() else {
                lives.disks[0].crash();
                continue;
            };
            for turn in 0..25 {
                let drafts = lives.drafts();
                life.turn(drafts);
                if lives.disks[0].is_dead() {
                    break;
                }
                match lives.random.random_range(0..12) {
                    0 => life.keepers[0].save(),
                    1 => lives.sweep(&life),
                    2 => lives.check(&life, &format!("{what}, turn {turn}")),
                    3 => life.keepers[0].trim(),
                    _ => {
                        life.keepers[0].grow(2);
                    }
                }
            }
            drop(life);
            lives.disks[0].crash();
            let life = lives.begin().expect("a disk without faults opens");
            lives.check(&life, &what);
        }
    }
}

#[test]
fn a_disk_whose_syncs_do_nothing_is_noticed() {
    let caught = (0..40).filter(|seed| {
        let mut lives = Lives::new(*seed, 1);
        let mut life = lives.begin().expect("a disk without faults opens");
        lives.disks[0].lie();
        for _ in 0..3 {
            let drafts = lives.drafts();
            life.turn(drafts);
        }
        lives.disks[0].crash();
        let life = lives.begin().expect("it opens");
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lives.check(&life, "lies"))).is_err()
    });
    assert!(caught.count() > 30, "the checker would not see a missing sync");
}

#[test]
fn what_one_disk_refuses_is_recorded_by_another() {
    for seed in 0..40 {
        let mut lives = Lives::new(seed, 2);
        let mut life = lives.begin().expect("disks without faults open");
        for turn in 0..12 {
            let fault = [Fault::Error, Fault::ShortWrite, Fault::NoSpace][lives.random.random_range(0..3)];
            if turn == 4 {
                let after = lives.random.random_range(1..8);
                lives.disks[0].plan(after, fault);
            }
            let drafts = lives.drafts();
            life.turn(drafts);
        }
        assert_eq!(life.shared.fragments_lost.load(Ordering::Relaxed), 0, "seed {seed}");
        let all: HashSet<_> = lives.sent.keys().copied().collect();
        assert_eq!(*lock(&lives.announced), all, "seed {seed}: everything sent is announced");
        lives.check(&life, &format!("seed {seed}"));
        lives.disks.iter().for_each(SimDisk::crash);
        let life = lives.begin().expect("they open again");
        lives.check(&life, &format!("seed {seed} after a crash"));
    }
}

#[test]
fn a_rotten_record_is_told_from_a_crash_tail_and_its_neighbours_stay() {
    let mut lives = Lives::new(1, 1);
    let mut life = lives.begin().expect("a disk without faults opens");
    let gate = stream(1, StreamKind::Main);
    for second in 0..10 {
        let draft = draft(gate, second, 2000, 1);
        lives.sent.insert((gate, draft.window().from), draft.clone());
        life.turn(vec![draft]);
    }
    lives.next.insert(gate, 10);
    let (number, entries) = {
        let streams = life.shared.catalogue.read();
        let segment = &streams[&gate].segments()[0];
        (segment.key.number, segment.entries.clone().expect("it is open"))
    };
    // The header of the fifth record loses a bit; the power goes.
    lives.disks[0].rot(&volume::segment_name(number), entries[4].offset() as usize + 90, 3);
    drop(life);
    lives.disks[0].crash();
    let life = lives.begin().expect("it opens");
    assert_eq!(life.shared.volumes.all()[0].health().damaged, 1);
    lock(&lives.announced).remove(&(gate, entries[4].utc));
    lives.check(&life, "both sides of the damage are kept");
    let damage = life.shared.ledger.with(gate, |story, _| story.losses.clone());
    assert_eq!((damage[0].window, damage[0].cause), (window(4.0, 5.0), GapCause::Damaged));
}

#[test]
fn a_recycled_files_old_bytes_are_never_taken_for_footage() {
    let mut lives = Lives::new(1, 1);
    let mut life = lives.begin().expect("a disk without faults opens");
    // Every file is used several times over, and each use leaves most of the one before behind its own tail.
    for round in 0..12 {
        for _ in 0..4 {
            let drafts = lives.drafts();
            life.turn(drafts);
        }
        drop(life);
        lives.disks[0].crash();
        life = lives.begin().expect("it opens");
        lives.check(&life, &format!("round {round}"));
        lives.sweep(&life);
        life.keepers[0].save();
    }
    assert!(lives.sent.len() > lock(&lives.announced).len(), "something was recycled");
}
