use super::*;

fn recorded(store: &Store, stream: StreamId) -> Vec<(f64, f64)> {
    let seconds = |t: UtcMicros| (t.as_micros() - EPOCH) as f64 / 1e6;
    let tiles = store.coverage(stream, window(-100.0, 1000.0), Duration::ZERO);
    let recorded = tiles.into_iter().filter(|tile| tile.state == IntervalState::Recorded);
    recorded.map(|tile| (seconds(tile.window.from), seconds(tile.window.to))).collect()
}

#[test]
fn what_is_appended_is_announced_after_it_is_durable_and_read_back_unit_by_unit() {
    let mut site = Site::new();
    let gate = stream(1, StreamKind::Main);
    let announced = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&announced);
    site.store.on_announced(Box::new(move |fragment| lock(&seen).push(fragment.clone())));
    for n in 0..200 {
        site.store.append(second(gate, n)).expect("the queue is not full");
        if n % 7 == 0 {
            site.store.flush();
        }
    }
    // On a busy machine some wait until the keeper has made the next file: a commit tries them again.
    wait("all of them to be announced", || {
        site.store.flush();
        lock(&announced).len() >= 200
    });
    assert_eq!(lock(&announced).len(), 200);
    assert_eq!(site.store.recorded_to(gate), Some(at(200.0)));

    for round in ["while running", "after a restart"] {
        let reader = site.reader(&[gate]);
        let fragments = reader.fragments(gate, window(0.0, 1000.0));
        assert_eq!(fragments.len(), 200, "{round}");
        for (n, fragment) in fragments.iter().enumerate() {
            let read = reader.fetch(fragment).expect("it is there");
            assert_eq!(read.units(), second(gate, n as i64).units, "{round}, second {n}");
            assert!(fragment.starts_with_key);
        }
        assert_eq!(recorded(&site.store, gate), [(0.0, 200.0)], "{round}");
        let (_, unit) = reader.key_unit(gate, at(77.9)).expect("readable").expect("there is one");
        assert_eq!(unit, second(gate, 77).units[0]);
        site.reopen();
    }
}

#[test]
fn a_reader_gets_nothing_that_its_permit_does_not_cover() {
    let site = Site::new();
    let (gate, yard) = (stream(1, StreamKind::Main), stream(2, StreamKind::Main));
    site.store.append(second(gate, 0)).expect("room");
    site.store.append(second(yard, 0)).expect("room");
    site.store.flush();
    let reader = site.reader(&[gate]);
    assert!(reader.fragments(yard, window(0.0, 9.0)).is_empty());
    assert!(matches!(reader.key_unit(yard, at(0.5)), Err(ReadError::NotPermitted { .. })));
    let foreign = site.reader(&[yard]).fragments(yard, window(0.0, 9.0));
    assert!(matches!(reader.fetch(&foreign[0]), Err(ReadError::NotPermitted { .. })));
}

#[test]
fn a_draft_beyond_the_queues_bound_comes_back_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Journal::open(&dir.path().join("journal"), NodeId::from_bytes(NODE)).expect("a journal");
    let setup = Setup { queue_bytes: 40_000, commit_every: Duration::from_secs(3600), ..small(dir.path()) };
    let store = Store::open(setup, journal).expect("a store");
    let gate = stream(1, StreamKind::Main);
    store.append(second(gate, 0)).expect("room");
    store.append(second(gate, 1)).expect("room");
    let full = store.append(second(gate, 2)).expect_err("the bound");
    assert_eq!((full.draft.units.len(), full.queued, full.bound), (5, 30_000, 40_000));
    store.flush();
    store.append(*full.draft).expect("room again");
}

#[test]
fn a_backlog_is_committed_oldest_first_in_pieces_unless_some_of_it_waits_for_a_file() {
    let gate = stream(1, StreamKind::Main);
    let mut queue = Queue::default();
    let now = Duration::from_secs(5);
    (0..5).for_each(|second_number| queue.push(Arc::new(second(gate, second_number)), now));
    let firsts =
        |drafts: &[Arc<Draft>]| drafts.iter().map(|draft| draft.units[0].utc.since(at(0.0)).as_secs()).collect::<Vec<_>>();
    let first = queue.begin(now, 20_000);
    assert_eq!((firsts(&first), firsts(&queue.drafts)), (vec![0, 1], vec![2, 3, 4]), "the draft that passes the bound goes too");
    assert_eq!((queue.bytes, queue.held(), queue.oldest), (45_000, 75_000, Some(now)));
    assert!(queue.end(vec![Arc::clone(&first[1])], now));
    assert_eq!(firsts(&queue.begin(now, 20_000)), [1, 2, 3, 4], "nothing stands behind what has no file yet");
    assert_eq!((queue.bytes, queue.oldest), (0, None));
}

#[test]
fn a_store_without_volumes_is_a_centres_and_has_no_footage() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Journal::open(&dir.path().join("journal"), NodeId::from_bytes(NODE)).expect("a journal");
    let store = Store::open(Setup { volumes: vec![], ..small(dir.path()) }, journal).expect("a store");
    assert!(store.health().volumes.is_empty() && store.health().oldest.is_none());
    assert!(matches!(store.reload(&[]), Err(OpenError::NoVolume)), "what has disks is not left without them by a reload");
    store.close();
}

#[test]
fn a_directory_that_cannot_be_used_is_refused_with_its_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Journal::open(&dir.path().join("journal"), NodeId::from_bytes(NODE)).expect("a journal");
    let open = |setup: Setup| Store::open(setup, Arc::clone(&journal)).map(drop);
    let mut missing = small(dir.path());
    missing.volumes[0].path = dir.path().join("nowhere");
    assert!(matches!(open(missing), Err(OpenError::Missing { .. })));
    assert!(matches!(open(Setup { segment_bytes: 5000, ..small(dir.path()) }), Err(OpenError::SegmentSize(5000))));
    let first = Store::open(small(dir.path()), Arc::clone(&journal)).expect("a store");
    assert!(matches!(open(small(dir.path())), Err(OpenError::Locked { .. })));
    first.close();
    let other = Setup { node: NodeId::from_bytes([8; 16]), ..small(dir.path()) };
    assert!(matches!(open(other), Err(OpenError::Foreign { .. })));
    open(small(dir.path())).expect("free again");
}

#[test]
fn another_run_or_other_tracks_begin_another_segment() {
    let site = Site::new();
    let gate = stream(1, StreamKind::Main);
    for (n, run) in [(0, 1), (1, 1), (10, 2), (11, 2)] {
        site.store.append(draft(gate, n, 500, run)).expect("room");
    }
    site.store.flush();
    let fragments = site.reader(&[gate]).fragments(gate, window(0.0, 100.0));
    let segments: Vec<_> = fragments.iter().map(|fragment| fragment.segment).collect();
    assert_eq!(segments.len(), 4);
    assert!(segments[0] == segments[1] && segments[1] != segments[2] && segments[2] == segments[3]);
    assert_eq!(recorded(&site.store, gate), [(0.0, 2.0), (10.0, 12.0)]);
}

#[test]
fn a_camera_that_reconnects_all_the_time_does_not_use_up_the_disk() {
    let site = Site::new();
    let gate = stream(1, StreamKind::Main);
    // Each run gets a file of 1 MiB; the volume has room for 24, were they not given back what they do not use.
    for n in 0..60 {
        site.store.append(draft(gate, n, 500, n as u32)).expect("room");
        wait("the fragment", || {
            site.store.flush();
            site.store.recorded_to(gate) == Some(at(n as f64 + 1.0))
        });
    }
    assert_eq!(site.store.health().fragments_lost, 0);
    let reader = site.reader(&[gate]);
    let fragments = reader.fragments(gate, window(0.0, 100.0));
    assert_eq!(fragments.len(), 60);
    for fragment in &fragments {
        reader.fetch(fragment).expect("readable");
    }
}

#[test]
fn every_index_can_be_thrown_away() {
    let mut site = Site::new();
    let streams = [stream(1, StreamKind::Main), stream(1, StreamKind::Sub), stream(9, StreamKind::Main)];
    for n in 0..150 {
        for stream in streams {
            site.store.append(second(stream, n)).expect("room");
        }
        site.store.flush();
    }
    // What finds no file at once waits for one.
    wait("everything", || streams.iter().all(|stream| site.store.recorded_to(*stream) == Some(at(150.0))));
    let all = |site: &Site| streams.map(|stream| site.reader(&[stream]).fragments(stream, window(0.0, 1000.0)));
    let before = all(&site);
    site.store.close();
    std::fs::remove_file(site.dir.path().join("disk-1/catalogue.bin")).expect("it was written");
    std::fs::remove_file(site.dir.path().join("ledger.json")).expect("it was written");
    site.reopen();
    assert!(all(&site) == before, "the timeline differs");
    site.reopen();
    assert!(all(&site) == before, "the timeline differs");
}

#[test]
fn a_forged_reference_gives_no_other_cameras_bytes() {
    let site = Site::new();
    let (mine, foreign) = (stream(1, StreamKind::Main), stream(2, StreamKind::Main));
    site.store.append(second(mine, 0)).expect("room");
    site.store.append(second(foreign, 0)).expect("room");
    site.store.flush();
    let real = site.reader(&[foreign]).fragments(foreign, window(0.0, 9.0))[0];
    let forged = FragmentRef { stream: mine, ..real };
    let reader = site.reader(&[mine]);
    assert!(matches!(reader.fetch(&forged), Err(ReadError::NotPermitted { .. })));
    assert!(matches!(reader.tracks(&forged), Err(ReadError::NotPermitted { .. })));
}

#[test]
fn footage_past_its_term_is_removed_its_files_used_again_and_its_time_is_called_expired() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Journal::open(&dir.path().join("journal"), NodeId::from_bytes(NODE)).expect("a journal");
    let setup = Setup { terms: RetentionTerms::default(), ..small(dir.path()) };
    let store = Store::open(setup, Arc::clone(&journal)).expect("a store");
    let gate = stream(1, StreamKind::Main);
    // Four times what the volume holds, all of it past its term.
    for n in 0..1200 {
        wait("room in the queue", || {
            store.flush();
            store.health().volumes[0].queue_bytes == 0
        });
        store.append(draft(gate, n, 15_000, 1)).expect("room");
    }
    store.flush();
    assert_eq!(store.health().fragments_lost, 0);
    let tiles = store.coverage(gate, window(0.0, 1200.0), Duration::ZERO);
    let (first, last) = (&tiles[0], &tiles[tiles.len() - 1]);
    assert!(matches!(first.state, IntervalState::Gap { cause: GapCause::Expired, .. }), "{first:?}");
    assert_eq!(last.state, IntervalState::Recorded);
    assert_eq!(tiles.len(), 2);
}

#[test]
fn footage_within_its_term_is_never_removed_and_what_finds_no_room_is_accounted_for() {
    let site = Site::new();
    let gate = stream(1, StreamKind::Main);
    for n in 0..500 {
        wait("room in the queue", || {
            site.store.flush();
            site.store.health().volumes[0].queue_bytes == 0
        });
        site.store.append(draft(gate, n, 15_000, 1)).expect("room");
    }
    wait("the last one's fate", || {
        site.store.flush();
        site.store.health().fragments + site.store.health().fragments_lost == 500
    });
    let health = site.store.health();
    assert!(health.volumes[0].full && health.fragments_lost > 0);
    let reader = site.reader(&[gate]);
    let kept = reader.fragments(gate, window(0.0, 1000.0));
    assert_eq!(kept.len() as u64 + health.fragments_lost, 500);
    assert_eq!(kept[0].window.from, at(0.0), "the oldest is still there");
    let tiles = site.store.coverage(gate, window(0.0, 499.0), Duration::ZERO);
    assert!(tiles.iter().all(|tile| match &tile.state {
        IntervalState::Recorded => true,
        IntervalState::Gap { cause, .. } => *cause == GapCause::Disk,
        IntervalState::Partial { .. } => false,
    }));
}

#[test]
fn a_node_that_lost_its_ledger_knows_from_its_journal_how_long_it_lived() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || Journal::open(&dir.path().join("journal"), NodeId::from_bytes(NODE)).expect("a journal");
    let record = |journal: &Journal, seconds, kind| {
        let record = crate::journal::Record::new(at(seconds), kind, serde_json::json!({}));
        journal.append(record).wait().expect("durable");
    };
    let journal = open();
    let ledger = Ledger::open(dir.path(), Arc::clone(&journal) as Arc<dyn Notebook>, Arc::new(Machine));
    ledger.mark(stream(1, StreamKind::Main), at(10.0), GapCause::CameraSilent, "", None);
    record(&journal, 700.0, "access.live");
    drop(ledger);
    journal.close();
    // The next run writes facts of its own before the store opens.
    let journal = open();
    record(&journal, 5000.0, "camera.added");
    let ledger = Ledger::open(dir.path(), journal as Arc<dyn Notebook>, Arc::new(Machine));
    assert_eq!(ledger.last_alive(), Some(at(700.0)));
}

#[test]
fn footage_that_nobody_knew_of_while_other_footage_of_its_time_expired_is_judged_by_its_own_term() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Journal::open(&dir.path().join("journal"), NodeId::from_bytes(NODE)).expect("a journal");
    let ledger = Ledger::open(dir.path(), Arc::clone(&journal) as Arc<dyn Notebook>, Arc::new(Machine));
    let (gate, time) = (stream(1, StreamKind::Main), Window::new(at(10.0), at(20.0)));
    let now = UtcMicros::now();
    ledger.removed(gate, 7, &[time], GapCause::Expired, "standard, 30 days", serde_json::json!({}));
    let left = |over| ledger.left_of(gate, 8, time, over);
    assert!(left(Some(now)).is_empty(), "its term was over as well: a copy of what went, or as old");
    assert_eq!(left(Some(now + Duration::from_secs(60))), [time], "its term is longer");
    assert_eq!(left(None), [time], "nobody erased it");
    ledger.kept(gate, 8, &[time]);
    assert_eq!(left(Some(now)), [time], "it was there, and stayed");
    // What is said of segments whose time nobody asks for any more is forgotten.
    let size = || std::fs::metadata(dir.path().join("ledger.json")).expect("a checkpoint").len();
    (100..300).for_each(|incarnation| ledger.kept(gate, incarnation, &[time]));
    ledger.checkpoint(now, true, UtcMicros::MIN).expect("written");
    let before = size();
    ledger.checkpoint(now, true, at(5000.0)).expect("written");
    assert!(size() < before / 2, "{} of {before} bytes", size());
    assert!(left(Some(now)).is_empty());
    journal.close();
}
