//! Copies against holes, forgeries, crashes and failing disks.

use super::super::{Journal, JournalLimits, MAX_BATCH_BYTES, MIN_BATCH_BYTES, Record, SimDisk};
use super::*;
use proptest::prelude::*;

fn node() -> NodeId {
    NodeId::from_bytes([7; 16])
}

fn record(n: u64, text: usize) -> Record {
    Record::new(UtcMicros::from_micros(n as i64), "test.record", serde_json::json!({ "n": n, "text": "x".repeat(text) }))
}

const OWN: JournalLimits = JournalLimits { segment_bytes: 64 << 10, queue_records: 16_384 };
const LIMITS: CopyLimits = CopyLimits { segment_bytes: 4096 };

/// A journal with so many records, in commits of some.
fn journal(records: u64) -> (SimDisk, Arc<Journal>) {
    journal_of(records, 0)
}

fn journal_of(records: u64, variant: usize) -> (SimDisk, Arc<Journal>) {
    let disk = SimDisk::new(1);
    let journal = Journal::open_simulated(&disk, node(), OWN).expect("a new journal");
    for first in (1..=records).step_by(7) {
        let group = (first..(first + 7).min(records + 1)).map(|n| record(n, n as usize * 37 % 900 + variant)).collect();
        journal.append_all(group).expect("appended");
    }
    (disk, journal)
}

fn copy_on(disk: &SimDisk) -> Arc<JournalCopy> {
    Copies::open_simulated(disk, LIMITS).expect("they open").of(node()).expect("it opens")
}

/// What a history has after `copy`, cut to so many bytes and no more.
fn next(history: &dyn History, copy: &JournalCopy, bytes: usize) -> Option<Batch> {
    let (tail, hash) = copy.head();
    match history.gather(tail, hash, bytes).expect("readable") {
        Gathered::Batch(mut batch) => {
            let ends = format::records(&batch.records).scan(0, |end, raw| {
                *end += raw.length;
                Some(*end)
            });
            let cut = ends.take_while(|end| *end <= bytes.max(1000)).last().expect("a record fits");
            batch.records.truncate(cut);
            Some(batch)
        }
        Gathered::Nothing => None,
        other => panic!("{other:?}"),
    }
}

fn all(history: &dyn History) -> Vec<(u64, String)> {
    try_all(history).expect("readable")
}

fn try_all(history: &dyn History) -> Result<Vec<(u64, String)>, JournalError> {
    let mut found = Vec::new();
    let visit = &mut |seen: Seen<'_>| {
        found.push((seen.seq.get(), String::from_utf8_lossy(seen.body).into_owned()));
        ControlFlow::Continue(())
    };
    history.visit(Seq::ZERO, history.head().0, visit)?;
    Ok(found)
}

fn fetch_all(history: &dyn History, copy: &JournalCopy, bytes: usize) {
    while let Some(batch) = next(history, copy, bytes) {
        copy.apply(&batch).expect("it continues the copy");
    }
}

#[test]
fn a_copy_is_the_journal_record_by_record_and_hash_by_hash_and_can_be_copied_in_turn() {
    let (_disk, journal) = journal(300);
    let (below, above) = (copy_on(&SimDisk::new(2)), copy_on(&SimDisk::new(3)));
    fetch_all(&*journal, &below, 5000);
    fetch_all(&*below, &above, 3000);
    assert_eq!(all(&*above), all(&*journal));
    assert_eq!(above.head(), journal.head());
    assert_eq!((below.verify().expect("whole"), above.verify().expect("whole")), (Seq::new(300), Seq::new(300)));
    assert_eq!(above.newest_at(), Some(UtcMicros::from_micros(300)));
}

#[test]
fn any_number_of_any_copy_can_be_read_from_and_gathered_from() {
    let (_disk, journal) = journal(120);
    let copy = copy_on(&SimDisk::new(2));
    fetch_all(&*journal, &copy, 2000);
    let whole = all(&*journal);
    for from in 1..=120 {
        let mut first = None;
        let visit = &mut |seen: Seen<'_>| {
            first = Some(seen.seq.get());
            ControlFlow::Break(())
        };
        copy.visit(Seq::new(from), Seq::new(120), visit).expect("readable");
        assert_eq!(first, Some(from));
    }
    assert_eq!(all(&*copy), whole);
}

#[test]
fn a_batch_that_comes_twice_or_overlaps_changes_nothing_twice() {
    let (_disk, journal) = journal(100);
    let copy = copy_on(&SimDisk::new(2));
    let mut sent = Vec::new();
    while let Some(batch) = next(&*journal, &copy, 4000) {
        sent.push(batch.clone());
        assert!(copy.apply(&batch).expect("new").new > 0);
        for before in &sent {
            assert_eq!(copy.apply(before).expect("known").new, 0);
        }
    }
    let Gathered::Batch(whole) = journal.gather(Seq::ZERO, Hash::ZERO, MAX_BATCH_BYTES).expect("readable") else {
        panic!("empty")
    };
    let half = copy_on(&SimDisk::new(3));
    half.apply(&sent[0]).expect("new");
    let known = half.head().0.get();
    assert_eq!(u64::from(half.apply(&whole).expect("the rest").new), 100 - known);
    assert_eq!((all(&*half), half.verify().expect("whole")), (all(&*journal), Seq::new(100)));
}

#[test]
fn a_hole_is_refused_and_the_number_that_must_come_next_is_named() {
    let (_disk, journal) = journal(100);
    let (copy, ahead) = (copy_on(&SimDisk::new(2)), copy_on(&SimDisk::new(3)));
    fetch_all(&*journal, &ahead, 1000);
    let first = next(&*journal, &copy, 2000).expect("records");
    copy.apply(&first).expect("new");
    let expected = copy.head().0.next();
    let mut later = next(&*journal, &copy, 2000).expect("records");
    let skipped = format::records(&later.records).next().expect("a record").length;
    later.records.drain(..skipped);
    let error = copy.apply(&later).expect_err("a record is missing inside");
    assert!(matches!(error, CopyError::Hole { expected: e, found, .. } if e == expected && found == expected.next()), "{error}");
    later.after = later.after.next();
    let error = copy.apply(&later).expect_err("a record is missing before");
    assert!(matches!(error, CopyError::Hole { expected: e, found, .. } if e == expected && found == expected.next()), "{error}");
    assert_eq!(copy.head().0.next(), expected, "nothing entered");
}

#[test]
fn no_altered_record_enters_whichever_bit_was_altered_and_whatever_checksum_it_got() {
    let (_disk, journal) = journal(12);
    let copy = copy_on(&SimDisk::new(2));
    let whole = next(&*journal, &copy, 100_000).expect("records");
    for bit in (0..whole.records.len() * 8).step_by(5) {
        let mut forged = whole.clone();
        forged.records[bit / 8] ^= 1 << (bit % 8);
        // A forger writes the checksum that belongs to what he wrote.
        let mut at = 0;
        while let Some(length) =
            forged.records.get(at + 8..at + 12).map(|word| u32::from_le_bytes(word.try_into().expect("four")) as usize)
        {
            if length < 12 || at + length > forged.records.len() {
                break;
            }
            let crc = crc32c::crc32c(&forged.records[at + 8..at + length]);
            forged.records[at + 4..at + 8].copy_from_slice(&crc.to_le_bytes());
            at += length;
        }
        if forged != whole {
            let error = copy.apply(&forged).expect_err("it was altered");
            assert!(error.is_peers_fault(), "{error}");
        }
        assert_eq!(copy.head(), (Seq::ZERO, Hash::ZERO), "bit {bit}");
    }
    copy.apply(&whole).expect("what was written enters");
}

#[test]
fn records_exchanged_repeated_or_of_another_node_are_refused() {
    let (_disk, journal) = journal(10);
    let copy = copy_on(&SimDisk::new(2));
    let whole = next(&*journal, &copy, 100_000).expect("records");
    let parts: Vec<&[u8]> = format::records(&whole.records).map(|raw| raw.whole).collect();
    let with = |parts: Vec<&[u8]>| Batch { records: parts.concat(), ..whole.clone() };
    let mut swapped = parts.clone();
    swapped.swap(3, 4);
    let mut repeated = parts.clone();
    repeated.insert(3, parts[2]);
    for forged in [with(swapped), with(repeated), Batch { node: NodeId::from_bytes([8; 16]), ..whole.clone() }] {
        assert!(copy.apply(&forged).expect_err("refused").is_peers_fault());
    }
    let large = Batch { records: vec![0; MAX_BATCH_BYTES + 1], ..whole };
    assert!(matches!(copy.apply(&large), Err(CopyError::TooLarge { .. })));
    assert_eq!(copy.head().0, Seq::ZERO);
}

#[test]
fn a_journal_that_was_begun_anew_is_noticed_on_both_sides_and_enters_only_when_a_person_says_so() {
    let disk = SimDisk::new(2);
    let copies = Copies::open_simulated(&disk, LIMITS).expect("they open");
    let copy = copies.of(node()).expect("it opens");
    // Whole commits of seven: then 42 records are the same whatever comes behind them.
    let (_first, before) = journal(42);
    fetch_all(&*before, &copy, 2000);
    let (tail, hash) = copy.head();
    for (records, shorter) in [(21, true), (63, false), (42, false)] {
        let (_second, anew) = journal_of(records, 1);
        let found = anew.gather(tail, hash, MAX_BATCH_BYTES).expect("readable");
        assert_eq!(matches!(found, Gathered::Behind { .. }), shorter, "{records}: {found:?}");
        assert_eq!(matches!(found, Gathered::OtherChain { .. }), !shorter, "{records}: {found:?}");
    }
    let (_second, anew) = journal_of(63, 1);
    // A peer that does not compare sends what follows: it does not continue the chain.
    let (_, there) = journal_of(42, 1).1.head();
    let Gathered::Batch(batch) = anew.gather(tail, there, MAX_BATCH_BYTES).expect("readable") else { panic!("no batch") };
    assert!(matches!(copy.apply(&batch), Err(CopyError::Chain { seq, .. }) if seq == tail.next()));
    let fresh = copies.begin_anew(node()).expect("begun");
    fetch_all(&*anew, &fresh, 2000);
    assert_eq!(all(&*fresh), all(&*anew));
    assert!(matches!(copy.apply(&batch), Err(CopyError::Retired { .. })));
    let again = Copies::open_simulated(&disk, LIMITS).expect("they open");
    assert_eq!(again.list().len(), 1, "what was set aside is not read");
    assert_eq!(again.of(node()).expect("it opens").head(), anew.head());
}

#[test]
fn a_gathering_never_exceeds_what_was_asked_and_never_starves() {
    let (_disk, journal) = journal(0);
    journal.append_all((1..=30).map(|n| record(n, 60_000)).collect()).expect("appended");
    for (asked, most) in [(0, MIN_BATCH_BYTES), (MIN_BATCH_BYTES, MIN_BATCH_BYTES), (usize::MAX, MAX_BATCH_BYTES)] {
        let Gathered::Batch(batch) = journal.gather(Seq::ZERO, Hash::ZERO, asked).expect("readable") else { panic!("no batch") };
        assert!((60_000..=most).contains(&batch.records.len()), "{asked}: {}", batch.records.len());
    }
}

/// One life of a copy that ends by `fate`, and one after it. Returns how many operations the first had.
fn check(fate: impl Fn(&SimDisk), seed: u64, case: &str) -> u64 {
    let (_disk, journal) = journal(60);
    let disk = SimDisk::new(seed);
    fate(&disk);
    let mut acknowledged = Seq::ZERO;
    if let Ok(copies) = Copies::open_simulated(&disk, LIMITS)
        && let Ok(copy) = copies.of(node())
    {
        // A batch that fails is tried again, as the replicator does; without power it fails for good.
        let mut failures = 0;
        while let Some(batch) = next(&*journal, &copy, 1500)
            && failures < 3
        {
            match copy.apply(&batch) {
                Ok(applied) => {
                    acknowledged = applied.tail;
                    assert_eq!(applied.tail, copy.head().0);
                }
                Err(_) => failures += 1,
            }
        }
        if acknowledged == journal.tail()
            && let Ok(found) = try_all(&*copy)
        {
            assert_eq!(found, all(&*journal), "{case}");
        }
    }
    let operations = disk.operations();
    disk.restart();
    let copy = copy_on(&disk);
    assert!(copy.head().0 >= acknowledged, "{case}: {acknowledged} acknowledged, {} found", copy.head().0);
    fetch_all(&*journal, &copy, 1500);
    assert_eq!(all(&*copy), all(&*journal), "{case}");
    drop(copy);
    let copy = copy_on(&disk);
    assert_eq!(copy.verify().unwrap_or_else(|error| panic!("{case}: {error}")), Seq::new(60));
    operations
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_of_a_copy_that_was_acknowledged() {
    let whole = check(|_| (), 0, "no cut");
    assert!(whole > 60, "{whole} operations are worth cutting");
    for at in 1..=whole {
        for seed in 0..6 {
            check(|disk| disk.cut_power_at(at), seed, &format!("cut at {at}, seed {seed}"));
        }
    }
}

#[test]
fn a_sync_that_fails_at_any_operation_is_never_followed_by_a_copy_that_lies() {
    let whole = check(|_| (), 0, "no failure");
    for at in 1..=whole {
        for seed in 0..6 {
            check(|disk| disk.fail_sync_at(at), seed, &format!("sync fails at {at}, seed {seed}"));
        }
    }
}

#[test]
fn a_damaged_file_of_a_copy_is_set_aside_and_what_it_held_is_fetched_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_disk, journal) = journal(60);
    let open = || Copies::open(dir.path(), LIMITS).expect("they open").of(node()).expect("it opens");
    let copy = open();
    fetch_all(&*journal, &copy, 1500);
    let files = copy.segments();
    let (newest, before) = (&files[files.len() - 1], &files[files.len() - 2]);
    drop(copy);
    // In the newest file's header, and in a batch of it with another behind it.
    for offset in [20, SECTOR as usize + 60] {
        let mut bytes = std::fs::read(&newest.path).expect("readable");
        bytes[offset] ^= 1;
        std::fs::write(&newest.path, bytes).expect("writable");
        let copy = open();
        assert_eq!(copy.head().0.next(), newest.header.first, "what is before the damaged file is kept");
        fetch_all(&*journal, &copy, 1500);
        assert_eq!(all(&*copy), all(&*journal));
        assert_eq!(copy.verify().expect("whole"), Seq::new(60));
    }
    let kept = std::fs::read_dir(newest.path.parent().expect("a directory")).expect("listed");
    assert_eq!(
        kept.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).filter(|name| name.ends_with(".damaged")).count(),
        2
    );
    assert!(before.path.exists());
}

proptest! {
    #[test]
    fn arbitrary_records_never_panic_and_never_enter(bytes in proptest::collection::vec(any::<u8>(), 0..300), after in 0_u64..3) {
        let copy = copy_on(&SimDisk::new(2));
        let mut bytes = bytes;
        if bytes.len() > 4 { bytes[..4].copy_from_slice(b"HJR1"); }
        let applied = copy.apply(&Batch { node: node(), after: Seq::new(after), records: bytes });
        prop_assert!(applied.is_err() || applied.is_ok_and(|applied| applied.new == 0));
        prop_assert_eq!(copy.head().0, Seq::ZERO);
    }
}
