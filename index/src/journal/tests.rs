//! The journal against crashes, damage, tampering and crowds.

use super::record::{self, Pending};
use super::segment::{Header, OWN, SECTOR, Scan, Stop, scan};
use super::*;
use crate::model::UtcMicros;
use proptest::prelude::*;
use std::fs;

const NODE: [u8; 16] = [7; 16];

fn node() -> NodeId {
    NodeId::from_bytes(NODE)
}

fn record(n: u64) -> Record {
    Record::new(
        UtcMicros::from_micros(n as i64),
        "test.record",
        serde_json::json!({ "n": n, "text": "x".repeat(n as usize % 90) }),
    )
}

fn header() -> Header {
    Header {
        node: node(),
        first: Seq::new(1),
        first_commit: 1,
        previous: Seq::ZERO,
        before: Hash::ZERO,
        created: UtcMicros::from_micros(0),
    }
}

/// A file of commits of so many records each, and what a scan must find after each commit.
fn image(commits: &[usize]) -> (Vec<u8>, Vec<Scan>) {
    let mut bytes = header().encode(&OWN).to_vec();
    let mut states = vec![scan(&bytes, &header())];
    let (mut tail, mut hash) = (Seq::ZERO, Hash::ZERO);
    for (n, count) in commits.iter().enumerate() {
        let records: Vec<Pending> =
            (1..=*count as u64).map(|i| record(tail.get() + i).encode_body().expect("a good record")).collect();
        (tail, hash) = record::encode_commit(&records, n as u64 + 1, tail, hash, &mut bytes);
        states.push(Scan { tail, hash, commit: n as u64 + 1, end: bytes.len() as u64, stop: Stop::Clean });
    }
    (bytes, states)
}

/// The state that must be found when only what `end` bytes hold is left.
fn last_within(states: &[Scan], end: usize) -> &Scan {
    states.iter().rev().find(|state| state.end as usize <= end).expect("the header is always there")
}

#[test]
fn a_file_cut_at_any_byte_opens_with_every_whole_commit() {
    let (bytes, states) = image(&[1, 3, 1, 7, 2]);
    assert_eq!(&scan(&bytes, &header()), &states[5]);
    for cut in SECTOR as usize..bytes.len() {
        let found = scan(&bytes[..cut], &header());
        let known = last_within(&states, cut);
        // The zeros behind a commit's last record are no part of it.
        assert!(found.tail >= known.tail, "cut at {cut}: {found:?}");
        let padding = &bytes[cut..found.end.max(cut as u64) as usize];
        assert!(found.tail == known.tail || padding.iter().all(|b| *b == 0), "cut at {cut}: {found:?}");
        assert!(!matches!(found.stop, Stop::Damaged(..)), "cut at {cut}: {found:?}");
    }
}

#[test]
fn a_damaged_byte_before_the_last_commit_is_reported_where_it_is_and_nothing_is_cut() {
    let (bytes, states) = image(&[1, 3, 1, 7, 2]);
    let last = states[4].end as usize;
    for at in SECTOR as usize..last {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        let found = scan(&damaged, &header());
        if found.stop == Stop::Clean {
            assert_eq!((bytes[at], found.tail), (0, states[5].tail), "only padding may change unseen: {at}");
            continue;
        }
        let Stop::Damaged(offset, _) = found.stop else { panic!("byte {at}: {found:?}") };
        assert!(offset as usize <= at && at < offset as usize + record::MAX_RECORD, "byte {at} reported at {offset}");
        assert_eq!(found.tail, last_within(&states, at).tail, "byte {at}");
    }
}

#[test]
fn any_part_of_the_last_commit_may_be_missing_after_a_crash() {
    let (bytes, states) = image(&[1, 3, 20]);
    let start = states[2].end as usize;
    let sectors = (bytes.len() - start) / SECTOR as usize;
    assert!(sectors >= 3, "worth testing");
    for lost in 1_u32..1 << sectors {
        let mut torn = bytes.clone();
        for sector in (0..sectors).filter(|sector| lost >> sector & 1 == 1) {
            torn[start + sector * 512..][..512].fill(0);
        }
        assert_eq!(scan(&torn, &header()), Scan { stop: Stop::Unfinished, ..states[2].clone() }, "sectors {lost:b} lost");
    }
}

proptest! {
    #[test]
    fn whatever_follows_the_last_commit_never_hides_or_changes_what_was_kept(
        commits in proptest::collection::vec(1_usize..6, 0..6),
        garbage in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let (mut bytes, states) = image(&commits);
        let whole = states.last().expect("the header").clone();
        bytes.extend_from_slice(&garbage);
        let found = scan(&bytes, &header());
        let expected = if garbage.is_empty() { Stop::Clean } else { Stop::Unfinished };
        prop_assert_eq!(found, Scan { stop: expected, ..whole });
    }

    #[test]
    fn arbitrary_files_never_panic_and_never_gain_records(
        commits in proptest::collection::vec(1_usize..6, 1..6),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let (mut bytes, states) = image(&commits);
        let whole = states.last().expect("the header").clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = Header::decode(&bytes, &OWN);
        prop_assert!(scan(&bytes, &header()).tail <= whole.tail);
    }
}

#[test]
fn a_record_that_was_edited_and_given_a_new_checksum_breaks_the_chain() {
    let (mut bytes, _) = image(&[1, 1, 1]);
    let second = {
        let mut other = Vec::new();
        let edited = Record::new(UtcMicros::from_micros(2), "test.record", serde_json::json!({ "n": 3, "text": "xx" }));
        let edited = edited.encode_body().expect("a good record");
        record::encode_commit(&[edited], 2, Seq::new(1), Hash([9; 32]), &mut other);
        other
    };
    bytes[1024..1536].copy_from_slice(&second);
    assert_eq!(scan(&bytes, &header()).stop, Stop::Damaged(1024, "the record does not continue the chain"));
}

fn numbers(journal: &Journal, from: u64, limit: usize) -> Vec<u64> {
    let entries = journal.read(Seq::new(from), limit).expect("readable");
    assert!(entries.iter().all(|entry| entry.body["n"] == entry.seq.get() && entry.kind == "test.record"));
    entries.iter().map(|entry| entry.seq.get()).collect()
}

fn append(journal: &Journal, numbers: impl IntoIterator<Item = u64>) {
    let tickets: Vec<_> = numbers.into_iter().map(|n| (n, journal.append(record(n)))).collect();
    for (n, ticket) in tickets {
        assert_eq!(ticket.wait().expect("durable"), Seq::new(n));
    }
}

#[test]
fn records_are_numbered_without_holes_and_come_back_from_any_number_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let limits = JournalLimits { segment_bytes: 4096, ..JournalLimits::default() };
    for round in 0..3 {
        let journal = Journal::open_with(dir.path(), node(), limits).expect("opens");
        assert_eq!(journal.tail(), Seq::new(round * 100));
        for five in 0..20 {
            append(&journal, (1..=5).map(|n| round * 100 + five * 5 + n));
        }
        for from in [1, 2, 37, 100, round * 100 + 99, round * 100 + 100, round * 100 + 101] {
            let expected: Vec<u64> = (from..=(round + 1) * 100).take(40).collect();
            assert_eq!(numbers(&journal, from, 40), expected, "from {from}");
        }
        assert!(numbers(&journal, 0, 0).is_empty());
        assert!(round < 2 || journal.file_starts().len() > 5, "the files rotate");
    }
    let verified = Journal::verify(dir.path()).expect("whole").expect("there");
    assert_eq!((verified.tail, verified.unfinished_bytes, verified.node), (Seq::new(300), 0, node()));
}

#[test]
fn a_journal_cut_anywhere_in_its_last_commit_opens_and_goes_on_without_a_hole() {
    let dir = tempfile::tempdir().expect("a directory");
    let (bytes, states) = image(&[2, 1, 4]);
    let file = dir.path().join("00000000000000000001.journal");
    // Every place where a record or sector starts, and around it.
    let edges = states.iter().flat_map(|state| [state.end - 1, state.end, state.end + 1, state.end + 41]);
    for cut in edges.map(|cut| cut as usize).filter(|cut| (SECTOR as usize..=bytes.len()).contains(cut)) {
        fs::write(&file, &bytes[..cut]).expect("writable");
        // A crash leaves no note of the end.
        let _ = fs::remove_file(dir.path().join("tail"));
        let journal = Journal::open(dir.path(), node()).expect("opens");
        let tail = journal.tail().get();
        append(&journal, tail + 1..=tail + 3);
        drop(journal);
        let verified = Journal::verify(dir.path()).expect("whole").expect("there");
        assert_eq!((verified.tail.get(), verified.unfinished_bytes), (tail + 3, 0), "cut at {cut}");
    }
}

#[test]
fn a_journal_damaged_in_the_middle_is_refused_by_file_and_offset_and_left_as_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut bytes, states) = image(&[2, 1, 4]);
    bytes[states[1].end as usize + 60] ^= 1;
    let file = dir.path().join("00000000000000000001.journal");
    fs::write(&file, &bytes).expect("writable");
    for error in [Journal::open(dir.path(), node()).expect_err("refused"), Journal::verify(dir.path()).expect_err("reported")] {
        let text = error.to_string();
        assert!(text.contains("00000000000000000001.journal") && text.contains(&format!("byte {}", states[1].end)), "{text}");
    }
    assert_eq!(fs::read(&file).expect("there"), bytes);
}

#[test]
fn a_missing_exchanged_or_foreign_file_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let limits = JournalLimits { segment_bytes: 1024, ..JournalLimits::default() };
    let journal = Journal::open_with(dir.path(), node(), limits).expect("opens");
    append(&journal, 1..=4);
    for n in 5..12 {
        append(&journal, [n]);
    }
    drop(journal);
    let other = Journal::open(dir.path(), NodeId::from_bytes([8; 16])).expect_err("another node's");
    assert!(matches!(other, JournalError::ForeignNode { found, .. } if found == node()), "{other}");
    let files = segment::list(&RealMedium::new(dir.path()), &OWN).expect("listed");
    let files: Vec<_> = files.iter().map(|name| dir.path().join(name)).collect();
    assert!(files.len() >= 4, "{files:?}");
    let aside = dir.path().join("aside");
    for missing in &files {
        fs::rename(missing, &aside).expect("moved");
        assert!(matches!(Journal::open(dir.path(), node()), Err(JournalError::Damaged { .. })), "{missing:?}");
        assert!(matches!(Journal::verify(dir.path()), Err(JournalError::Damaged { .. })), "{missing:?}");
        fs::rename(&aside, missing).expect("moved back");
    }
    fs::rename(&files[1], &aside).expect("moved");
    fs::rename(&files[2], &files[1]).expect("moved");
    fs::rename(&aside, &files[2]).expect("moved");
    assert!(matches!(Journal::open(dir.path(), node()), Err(JournalError::Damaged { .. })));
}

#[test]
fn a_journal_whose_end_was_taken_away_or_damaged_after_a_clean_stop_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("00000000000000000001.journal");
    let journal = Journal::open(dir.path(), node()).expect("opens");
    append(&journal, [1]);
    append(&journal, [2]);
    drop(journal);
    let whole = fs::read(&file).expect("there");
    let mut rotten = whole.clone();
    rotten[1024 + 60] ^= 1;
    for changed in [&whole[..1024], &whole[..512], &rotten[..]] {
        fs::write(&file, changed).expect("writable");
        assert!(matches!(Journal::open(dir.path(), node()), Err(JournalError::Damaged { .. })));
        assert!(matches!(Journal::verify(dir.path()), Err(JournalError::Damaged { .. })));
        assert_eq!(fs::read(&file).expect("there"), changed, "nothing was cut");
    }
    fs::remove_file(&file).expect("removed");
    assert!(Journal::open(dir.path(), node()).is_err() && Journal::verify(dir.path()).is_err());
    fs::write(&file, &whole).expect("writable");
    append(&Journal::open(dir.path(), node()).expect("opens"), [3]);
}

#[test]
fn many_threads_share_syncs_and_every_record_is_there_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Journal::open(dir.path(), node()).expect("opens");
    let commits = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&commits);
    journal.on_commit(move |_| *lock(&seen) += 1);
    let mut given: Vec<(Seq, u64)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8_u64)
            .map(|thread| {
                let journal = &journal;
                scope.spawn(move || {
                    let tickets: Vec<_> =
                        (0..200).map(|n| (thread * 1000 + n, journal.append(record(thread * 1000 + n)))).collect();
                    tickets.into_iter().map(|(n, ticket)| (ticket.wait().expect("durable"), n)).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    given.sort();
    let kept = journal.read(Seq::ZERO, 10_000).expect("readable");
    assert_eq!(kept.iter().map(|e| (e.seq, e.body["n"].as_u64().expect("a number"))).collect::<Vec<_>>(), given);
    assert_eq!(kept.iter().map(|e| e.seq.get()).collect::<Vec<_>>(), (1..=1600).collect::<Vec<_>>());
    journal.close();
    assert!(*lock(&commits) < 1600, "no sync was shared");
}

#[test]
fn callbacks_come_in_order_and_a_full_queue_refuses_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let limits = JournalLimits { queue_records: 2, ..JournalLimits::default() };
    let journal = Journal::open_with(dir.path(), node(), limits).expect("opens");
    let (entered, has_entered) = mpsc::sync_channel(1);
    let (release, released) = mpsc::sync_channel::<()>(1);
    journal.append_then(record(1), move |_| {
        let _ = entered.send(());
        let _ = released.recv();
    });
    has_entered.recv().expect("the writer is held");
    let (second, third) = (journal.append(record(2)), journal.append(record(3)));
    assert!(matches!(journal.append(record(4)).wait(), Err(JournalError::Full { waiting: 2 })));
    release.send(()).expect("the writer waits");
    assert_eq!((second.wait().expect("durable"), third.wait().expect("durable")), (Seq::new(2), Seq::new(3)));
    append(&journal, [4]);
}

#[test]
fn what_is_queued_when_the_journal_closes_is_durable_and_later_records_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Journal::open(dir.path(), node()).expect("opens");
    let tickets: Vec<_> = (1..=50).map(|n| journal.append(record(n))).collect();
    journal.close();
    assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
    assert!(matches!(journal.append(record(51)).wait(), Err(JournalError::Closed)));
    assert_eq!(numbers(&journal, 50, 10), [50]);
}

#[test]
fn a_journal_that_cannot_begin_its_next_file_goes_on_in_the_present_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let (place, moved) = (dir.path().join("journal"), dir.path().join("elsewhere"));
    let limits = JournalLimits { segment_bytes: 1024, ..JournalLimits::default() };
    let journal = Journal::open_with(&place, node(), limits).expect("opens");
    fs::rename(&place, &moved).expect("moved");
    for n in 1..=20 {
        append(&journal, [n]);
    }
    fs::rename(&moved, &place).expect("moved back");
    append(&journal, 21..=30);
    append(&journal, 31..=40);
    assert_eq!(numbers(&journal, 1, 100), (1..=40).collect::<Vec<_>>());
    assert!(journal.file_starts().len() > 1, "it rotates as soon as it can");
    drop(journal);
    assert_eq!(Journal::verify(&place).expect("whole").expect("there").tail, Seq::new(40));
}

#[test]
fn after_a_failure_everything_is_refused_and_what_was_durable_still_reads() {
    let dir = tempfile::tempdir().expect("a directory");
    let limits = JournalLimits { segment_bytes: 1024, ..JournalLimits::default() };
    let journal = Journal::open_with(dir.path(), node(), limits).expect("opens");
    append(&journal, [1]);
    // The next file cannot have its name: something else has it.
    let taken = dir.path().join("00000000000000000002.journal");
    fs::create_dir(&taken).expect("created");
    assert!(matches!(journal.append(record(2)).wait(), Err(JournalError::Io { doing: "rename", .. })));
    assert!(matches!(journal.append(record(3)).wait(), Err(JournalError::Closed)));
    let health = journal.health();
    assert!(matches!(health.failed, Some(JournalError::Io { .. })) && health.refused == 1 && health.tail == Seq::new(1));
    assert_eq!(numbers(&journal, 1, 10), [1]);
    drop(journal);
    fs::remove_dir(&taken).expect("removed");
    let again = Journal::open(dir.path(), node()).expect("opens");
    append(&again, [2]);
    assert_eq!((again.health().commits, again.health().failed.is_none()), (1, true));
}

#[test]
fn the_last_handle_may_go_in_a_callback() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Journal::open(dir.path(), node()).expect("opens");
    let (done, is_done) = mpsc::channel();
    let last = Arc::clone(&journal);
    journal.append_then(record(1), move |result| {
        drop(last);
        drop(done.send(result));
    });
    drop(journal);
    assert_eq!(is_done.recv().expect("called").expect("durable"), Seq::new(1));
}

#[test]
fn waiting_for_news_ends_with_the_next_record() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Journal::open(dir.path(), node()).expect("opens");
    assert_eq!(journal.wait_beyond(Seq::ZERO, Duration::from_millis(1)), Seq::ZERO);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| journal.wait_beyond(Seq::ZERO, Duration::from_secs(20)));
        append(&journal, [1]);
        assert_eq!(waiting.join().expect("no panic"), Seq::new(1));
    });
}

#[test]
fn a_walk_sees_kinds_and_bodies_of_a_range() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Journal::open(dir.path(), node()).expect("opens");
    append(&journal, 1..=30);
    let mut seen = Vec::new();
    let result = journal.visit(Seq::new(5), Seq::new(20), |record| {
        assert_eq!((record.kind, record.at), ("test.record", UtcMicros::from_micros(record.seq.get() as i64)));
        seen.push(record.seq.get());
        if record.seq == Seq::new(12) { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(()) }
    });
    result.expect("readable");
    assert_eq!(seen, (5..=12).collect::<Vec<_>>());
}
