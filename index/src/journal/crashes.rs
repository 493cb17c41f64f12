//! The journal on a disk that loses power at every operation, keeps any part of what was not synced, and fails syncs.

use super::*;
use crate::model::UtcMicros;

/// What becomes of the disk's operations, counted from 1.
#[derive(Clone, Copy, Default, Debug)]
struct Fate {
    /// The operation that finds the power gone.
    power_cut_at: Option<u64>,
    /// The operation that fails if it is a sync.
    sync_fails_at: Option<u64>,
}

impl Fate {
    fn disk(self, seed: u64) -> SimDisk {
        let disk = SimDisk::new(seed);
        self.power_cut_at.into_iter().for_each(|at| disk.cut_power_at(at));
        self.sync_fails_at.into_iter().for_each(|at| disk.fail_sync_at(at));
        disk
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
fn live(disk: &SimDisk, from: u64, to: u64) -> (u64, u64) {
    let Ok(journal) = Journal::open_simulated(disk, node(), LIMITS) else { return (from, from) };
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
    let disk = fate.disk(seed);
    let (acknowledged, tried) = live(&disk, 0, 40);
    let operations = disk.operations();
    disk.restart();
    let case = format!("{fate:?}, seed {seed}");
    let journal = Journal::open_simulated(&disk, node(), LIMITS).unwrap_or_else(|error| panic!("{case}: {error}"));
    let tail = journal.tail().get();
    assert!((acknowledged..=tried).contains(&tail), "{case}: {acknowledged} acknowledged, {tail} found of {tried}");
    for entry in journal.read(Seq::ZERO, 1000).expect("readable") {
        assert_eq!(entry.body, record(entry.seq.get()).body, "{case}");
    }
    drop(journal);
    let (again, _) = live(&disk, tail, tail + 10);
    assert!(again >= tail + 10, "{case}");
    let verified = Journal::verify_on(&*disk.medium().below("journal").expect("there"))
        .unwrap_or_else(|error| panic!("{case}: {error}"))
        .expect("there");
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
