//! Holds, expiry and erasure on a real directory: what is held stays, what is gone is gone from the disk, and a query says why.

use super::*;
use crate::footage::tools;

fn order(camera: u32, from: f64, to: f64) -> Order {
    Order {
        cameras: vec![CameraId::new(camera).expect("a number")],
        window: window(from, to),
        reason: "交通事故取证".to_owned(),
        authority: "公(交)调证字〔2026〕17号".to_owned(),
    }
}

fn tomorrow() -> UtcMicros {
    UtcMicros::now() + Duration::from_secs(86_400)
}

/// Segments of six seconds each.
fn record(store: &Store, stream: StreamId, seconds: std::ops::Range<i64>) {
    for n in seconds {
        store.append(draft(stream, n, 3000, n as u32 / 6)).expect("room");
        // On a busy machine it may wait until the keeper has made the next file: the next commit tries it again.
        wait("it to be durable", || {
            store.flush();
            store.recorded_to(stream) == Some(at((n + 1) as f64))
        });
    }
}

fn cause_at(store: &Store, stream: StreamId, second: f64) -> Option<(GapCause, String)> {
    let tiles = store.coverage(stream, window(second, second + 0.5), Duration::ZERO);
    match tiles.first().map(|tile| tile.state.clone()) {
        Some(IntervalState::Gap { cause, detail }) => Some((cause, detail)),
        _ => None,
    }
}

#[test]
fn what_is_held_outlives_its_term_and_a_restart_and_goes_once_it_is_released() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Journal::open(&dir.path().join("journal"), NodeId::from_bytes(NODE)).expect("a journal");
    let setup = || Setup { hold_percent: 50, ..small(dir.path()) };
    let gate = stream(1, StreamKind::Main);
    let store = Store::open(setup(), Arc::clone(&journal)).expect("a store");
    record(&store, gate, 0..30);
    let hold = store.request_hold(order(1, 9.0, 11.0), tomorrow(), "wang").expect("asked");
    assert_eq!(store.approve_hold(hold.id, "wang"), Err(CustodyError::SecondPerson("wang".to_owned())));
    store.approve_hold(hold.id, "li").expect("a second person");
    store.close();

    // The footage is of 2023: under the terms of the law all of it is past its term now.
    let expire = || Setup { terms: RetentionTerms::default(), ..setup() };
    std::fs::remove_file(dir.path().join("ledger.json")).expect("a checkpoint");
    let store = Store::open(expire(), Arc::clone(&journal)).expect("a store");
    assert_eq!(store.holds()[0].state, HoldState::Active, "I7: rebuilt from the journal alone");
    wait("expiry", || cause_at(&store, gate, 3.0).is_some());
    let (cause, detail) = cause_at(&store, gate, 3.0).expect("gone");
    assert_eq!(cause, GapCause::Expired);
    assert!(detail.starts_with("deleted by rule standard, 30 days at 20"), "{detail}");
    let (reader, _permit) = reader(&store, &journal, &[gate]);
    let kept = reader.fragments(gate, window(0.0, 24.0));
    assert_eq!((kept.len(), kept[0].window.from), (6, at(6.0)), "the segment that is held in part, whole");
    let hour = Duration::from_secs(3600);
    assert!(store.retention().held > 0 && store.retention_within(hour).held > 0);
    assert!(Arc::ptr_eq(&store.retention_within(hour), &store.retention_within(hour)), "worked out once");

    store.release_hold(hold.id, "li", "结案").expect("asked");
    assert_eq!(store.release_hold(hold.id, "li", "结案"), Err(CustodyError::SecondPerson("li".to_owned())));
    assert_eq!(store.release_hold(hold.id, "zhao", "结案").expect("a second person").state, HoldState::Released);
    store.close();
    let store = Store::open(expire(), Arc::clone(&journal)).expect("a store");
    wait("expiry", || cause_at(&store, gate, 9.0).is_some_and(|(cause, _)| cause == GapCause::Expired));
    let deleted = journal.read(Default::default(), 1000).expect("readable");
    let deleted: Vec<_> = deleted.iter().filter(|entry| entry.kind == "ledger.expired").collect();
    assert!(deleted.iter().any(|entry| entry.body["rule"] == "standard, 30 days" && entry.body["bytes"].as_u64() > Some(0)));
}

#[test]
fn a_hold_beyond_the_share_of_holds_is_refused_and_changes_nothing() {
    let site = Site::new();
    let gate = stream(1, StreamKind::Main);
    record(&site.store, gate, 0..90);
    let refused = site.store.request_hold(order(1, 0.0, 90.0), tomorrow(), "wang");
    let Err(CustodyError::Quota { wanted, quota }) = refused else { panic!("{refused:?}") };
    assert!(wanted > quota && quota == (24 << 20) / 10, "{wanted} {quota}");
    assert!(site.store.holds().is_empty());
    site.store.request_hold(order(1, 0.0, 1.0), tomorrow(), "wang").expect("one segment is below it");
}

#[test]
fn an_erasure_zeroes_its_seconds_and_nothing_beside_them_and_the_rest_still_plays() {
    let mut site = Site::new();
    let clip = clips::h264(6);
    let file = play::sealed(&mut site, &clip);
    let gate = stream(1, StreamKind::Main);
    let before = std::fs::read(&file).expect("the segment");
    let fragments = site.reader(&[gate]).fragments(gate, window(0.0, 50.0));
    let canary = site.reader(&[gate]).fetch(&fragments[2]).expect("it is there").bytes().clone();

    let hold = site.store.request_hold(order(1, 3.2, 3.6), tomorrow(), "wang").expect("asked");
    let asked = site.store.request_erasure(order(1, 2.0, 4.0), "wang").expect("asked");
    assert!(site.store.approve_erasure(asked.id, "wang").is_err(), "C2");
    assert!(cause_at(&site.store, gate, 2.5).is_none(), "nothing happens before it is approved");
    site.store.approve_erasure(asked.id, "li").expect("a second person");
    wait("the erasure", || site.store.erasures()[0].state == ErasureState::Done);
    assert_eq!(site.store.erasures()[0].erased, Erased { fragments: 1, bytes: canary.len() as u64, kept_by_hold: 1 }, "C4");
    assert!(site.store.holds()[0].in_force() && site.store.holds()[0].id == hold.id);

    let (cause, detail) = cause_at(&site.store, gate, 2.5).expect("gone");
    assert_eq!(cause, GapCause::Erased);
    assert!(detail.contains("order 2") && detail.contains("17号"), "{detail}");
    let reader = site.reader(&[gate]);
    let left: Vec<_> = reader.fragments(gate, window(0.0, 50.0));
    assert_eq!(left.len(), 5);
    left.iter().for_each(|fragment| drop(reader.fetch(fragment).expect("the others are whole")));
    assert!(matches!(reader.fetch(&fragments[2]), Err(ReadError::Gone { .. })), "an old reference finds nothing");

    let after = std::fs::read(&file).expect("the segment");
    let (start, end) = (fragments[2].offset as usize + 256, fragments[3].offset as usize);
    assert_eq!(after[..start], before[..start], "what stands before it, its record's header included");
    let footer = after.len() - (128 << 10);
    assert_eq!(after[end..footer], before[end..footer], "what stands behind it");
    assert!(after[start + 64..start + canary.len()].iter().all(|byte| *byte == 0));
    let needle = &canary[canary.len() / 2..canary.len() / 2 + 64];
    for path in play::segments(&site) {
        let bytes = std::fs::read(&path).expect("a file");
        assert!(!bytes.windows(64).any(|window| window == needle), "{} holds erased bytes", path.display());
    }
    assert_eq!(clips::decode(&file).0, 5 * 25, "players pass over it");

    site.store.close();
    let mut said = Vec::new();
    let verdict = tools::verify(&site.dir.path().join("disk-1"), &mut said).expect("the tool works");
    assert_eq!((verdict.erased, verdict.damaged), (1, 0), "{}", String::from_utf8_lossy(&said));
    for index in ["disk-1/catalogue.bin", "ledger.json"] {
        std::fs::remove_file(site.dir.path().join(index)).expect("it was written");
    }
    site.reopen();
    assert_eq!(cause_at(&site.store, gate, 2.5).expect("gone").0, GapCause::Erased, "from files and journal alone");
    assert_eq!(site.reader(&[gate]).fragments(gate, window(0.0, 50.0)).len(), 5);
}

#[test]
fn a_segment_that_goes_whole_is_zeroed_and_its_file_used_again() {
    let site = Site::new();
    let gate = stream(1, StreamKind::Main);
    record(&site.store, gate, 0..20);
    let reader = site.reader(&[gate]);
    let doomed = reader.fragments(gate, window(6.0, 12.0));
    let needle = reader.fetch(&doomed[0]).expect("it is there").bytes()[600..700].to_vec();
    let free = site.store.health().volumes[0].segments_free;
    // The last seconds stand in the segment that is being written: it is sealed first.
    for (from, to) in [(6.0, 12.0), (18.5, 19.0)] {
        let asked = site.store.request_erasure(order(1, from, to), "wang").expect("asked");
        site.store.approve_erasure(asked.id, "li").expect("a second person");
    }
    wait("the erasures", || site.store.erasures().iter().all(|order| order.state == ErasureState::Done));
    assert_eq!(site.store.erasures().iter().map(|order| order.erased.fragments).collect::<Vec<_>>(), [6, 1]);
    assert!(site.store.health().volumes[0].segments_free >= free, "the file is free again");
    for second in [6.0, 11.0, 18.5] {
        assert_eq!(cause_at(&site.store, gate, second).expect("gone").0, GapCause::Erased, "second {second}");
    }
    for path in play::segments(&site) {
        let bytes = std::fs::read(&path).expect("a file");
        assert!(!bytes.windows(100).any(|window| window == needle), "{} holds erased bytes", path.display());
    }
    record(&site.store, gate, 20..30);
    assert_eq!(site.reader(&[gate]).fragments(gate, window(0.0, 30.0)).len(), 23);
}
