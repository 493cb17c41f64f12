//! The journal on a disk that loses power at every operation, keeps any part of what was not synced, and fails syncs.

use super::medium::{LogFile, Medium, Use};
use super::*;
use crate::model::UtcMicros;
use std::{
    collections::{BTreeMap, HashMap},
    io,
};

const SECTOR: usize = 512;

/// A sequence of choices that a number brings about (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % sides
    }
}

/// What becomes of the disk's operations, counted from 1.
#[derive(Clone, Copy, Default, Debug)]
struct Fate {
    /// The operation that finds the power gone.
    power_cut_at: Option<u64>,
    /// The operation that fails if it is a sync, and what was pending with it may or may not be lost.
    sync_fails_at: Option<u64>,
}

#[derive(Default)]
struct Disk {
    names: BTreeMap<String, u64>,
    files: HashMap<u64, Content>,
    operations: u64,
    fate: Fate,
    dice: Option<Dice>,
}

#[derive(Default)]
struct Content {
    durable: Vec<u8>,
    pending: Vec<(u64, Vec<u8>)>,
}

impl Content {
    fn view(&self) -> Vec<u8> {
        let mut all = self.durable.clone();
        self.pending.iter().for_each(|(offset, bytes)| put(&mut all, *offset as usize, bytes));
        all
    }

    /// Each sector that was not synced: new, old, or half of each.
    fn lose(&mut self, dice: &mut Dice) {
        for (offset, bytes) in std::mem::take(&mut self.pending) {
            for (n, sector) in bytes.chunks(SECTOR).enumerate() {
                let at = offset as usize + n * SECTOR;
                match dice.roll(5) {
                    0 | 1 => put(&mut self.durable, at, sector),
                    2 => put(&mut self.durable, at, &sector[..dice.roll(sector.len() as u64) as usize]),
                    3 => put(&mut self.durable, at, &vec![0; sector.len()]),
                    _ => {}
                }
            }
        }
    }
}

fn put(into: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    into.resize(into.len().max(at + bytes.len()), 0);
    into[at..at + bytes.len()].copy_from_slice(bytes);
}

#[derive(Clone, Default)]
struct SimMedium(Arc<Mutex<Disk>>);

struct SimFile(Arc<Mutex<Disk>>, u64);

impl Disk {
    /// Counts an operation; fails from the power cut on.
    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        let off = self.fate.power_cut_at.is_some_and(|at| self.operations >= at);
        if off { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }

    fn file(&mut self, id: u64) -> &mut Content {
        self.files.entry(id).or_default()
    }
}

impl SimMedium {
    fn new(fate: Fate, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Disk { fate, dice: Some(Dice(seed)), ..Disk::default() })))
    }

    /// The power comes back, and the disk works from now on.
    fn restart(&self) {
        let mut disk = lock(&self.0);
        disk.fate = Fate::default();
        let mut dice = disk.dice.take().expect("there are dice");
        let mut ids: Vec<u64> = disk.files.keys().copied().collect();
        ids.sort();
        ids.into_iter().for_each(|id| disk.file(id).lose(&mut dice));
        disk.dice = Some(dice);
    }
}

impl Medium for SimMedium {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut disk = lock(&self.0);
        disk.step()?;
        Ok(disk.names.keys().cloned().collect())
    }

    fn open(&self, name: &str, _to: Use) -> io::Result<Box<dyn LogFile>> {
        let mut disk = lock(&self.0);
        disk.step()?;
        let id = disk.names.get(name).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(SimFile(Arc::clone(&self.0), id)))
    }

    fn create(&self, name: &str, _reserve: u64) -> io::Result<Box<dyn LogFile>> {
        let mut disk = lock(&self.0);
        disk.step()?;
        let id = disk.operations;
        disk.names.insert(name.to_owned(), id);
        disk.files.insert(id, Content::default());
        Ok(Box::new(SimFile(Arc::clone(&self.0), id)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = lock(&self.0);
        let done = disk.step();
        let mut dice = disk.dice.take().expect("there are dice");
        // A rename that met the power cut may have happened or not.
        if done.is_ok() || dice.roll(2) == 0 {
            let id = disk.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            disk.names.insert(to.to_owned(), id);
        }
        disk.dice = Some(dice);
        done
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("sim").join(name)
    }
}

impl LogFile for SimFile {
    fn read_at(&self, offset: u64, length: u64, into: &mut Vec<u8>) -> io::Result<()> {
        let mut disk = lock(&self.0);
        disk.step()?;
        let all = disk.file(self.1).view();
        let from = (offset as usize).min(all.len());
        *into = all[from..(from + length as usize).min(all.len())].to_vec();
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut disk = lock(&self.0);
        let done = disk.step();
        // What the power cut interrupts may be there in part.
        disk.file(self.1).pending.push((offset, bytes.to_vec()));
        done
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = lock(&self.0);
        disk.step()?;
        if disk.fate.sync_fails_at == Some(disk.operations) {
            // As Linux does: the pages are called clean although nobody knows whether they were written.
            let mut dice = disk.dice.take().expect("there are dice");
            disk.file(self.1).lose(&mut dice);
            disk.dice = Some(dice);
            return Err(io::Error::other("input/output error"));
        }
        let file = disk.file(self.1);
        file.durable = file.view();
        file.pending.clear();
        Ok(())
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        let mut disk = lock(&self.0);
        disk.step()?;
        let file = disk.file(self.1);
        file.durable = file.view();
        file.pending.clear();
        file.durable.resize(length as usize, 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let mut disk = lock(&self.0);
        disk.step()?;
        Ok(disk.file(self.1).view().len() as u64)
    }
}

fn node() -> NodeId {
    NodeId::from_bytes([7; 16])
}

fn record(n: u64) -> Record {
    Record::new(
        UtcMicros::from_micros(n as i64),
        "test.record",
        serde_json::json!({ "n": n, "text": "x".repeat(n as usize * 37 % 700) }),
    )
}

const LIMITS: JournalLimits = JournalLimits { segment_bytes: 4096, queue_records: 100 };

/// Appends in groups until all is done or something fails. Returns how many records were acknowledged, and tried.
fn live(medium: &SimMedium, from: u64, to: u64) -> (u64, u64) {
    let Ok(journal) = Journal::open_on(Arc::new(medium.clone()), node(), LIMITS) else { return (from, from) };
    let mut acknowledged = from;
    let mut tried = from;
    while tried < to {
        let group = 1 + tried % 4;
        let tickets: Vec<_> = (1..=group).map(|n| journal.append(record(tried + n))).collect();
        tried += group;
        for ticket in tickets {
            match ticket.wait() {
                Ok(seq) => acknowledged = acknowledged.max(seq.get()),
                Err(_) => return (acknowledged, tried),
            }
        }
    }
    (acknowledged, tried)
}

/// One life that ends by `fate`, and one after it. Returns how many operations the first had.
fn check(fate: Fate, seed: u64) -> u64 {
    let medium = SimMedium::new(fate, seed);
    let (acknowledged, tried) = live(&medium, 0, 40);
    let operations = lock(&medium.0).operations;
    medium.restart();
    let case = format!("{fate:?}, seed {seed}");
    let journal = Journal::open_on(Arc::new(medium.clone()), node(), LIMITS).unwrap_or_else(|error| panic!("{case}: {error}"));
    let tail = journal.tail().get();
    assert!((acknowledged..=tried).contains(&tail), "{case}: {acknowledged} acknowledged, {tail} found of {tried}");
    for entry in journal.read(Seq::ZERO, 1000).expect("readable") {
        assert_eq!(entry.body, record(entry.seq.get()).body, "{case}");
    }
    drop(journal);
    let (again, _) = live(&medium, tail, tail + 10);
    assert!(again >= tail + 10, "{case}");
    let verified = Journal::verify_on(&medium).unwrap_or_else(|error| panic!("{case}: {error}")).expect("there");
    assert_eq!((verified.tail.get(), verified.unfinished_bytes), (again, 0), "{case}");
    operations
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_that_was_acknowledged() {
    let whole = check(Fate::default(), 0);
    assert!(whole > 60, "{whole} operations are worth cutting");
    for at in 1..=whole {
        for seed in 0..12 {
            check(Fate { power_cut_at: Some(at), ..Fate::default() }, seed);
        }
    }
}

#[test]
fn a_sync_that_fails_at_any_operation_is_never_followed_by_an_acknowledgement_that_lies() {
    let whole = check(Fate::default(), 0);
    for at in 1..=whole {
        for seed in 0..6 {
            check(Fate { sync_fails_at: Some(at), ..Fate::default() }, seed);
        }
    }
}
