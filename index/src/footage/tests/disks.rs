//! Disks as operators meet them: they stand still, turn read-only, fill up and rot, are added and taken out, while cameras go on.

use super::{
    gates::{CAMERAS, EIO, EROFS, Mood, Room},
    *,
};

#[test]
fn what_a_disk_that_stands_still_was_writing_is_recorded_by_others_and_there_once_when_it_answers_again() {
    let mut room = Room::filmed(3);
    assert!((1..=3).all(|n| room.volume(&format!("d{n}")).streams > 0), "each disk has its share of cameras");
    room.shelf.gate("d1").set(Mood::Still);
    for _ in 0..5 {
        room.film();
    }
    // Durable while the disk still stands.
    room.settle();
    let fare = room.volume("d1");
    assert_eq!((fare.state, fare.trouble, fare.streams), (VolumeState::Suspect, Some(Trouble::Stalled), 0));
    assert_eq!(room.events(), ["d1 suspect stalled"]);
    room.shelf.gate("d1").set(Mood::Well);
    room.film();
    room.settle();
    wait("the commit that stood", || room.volume("d1").commits > 1);
    room.check();
    room.store.close();
    room.store = Room::open(&room.dir, &room.journal, &room.shelf, 3);
    wait("recovery", || room.store.is_recovered());
    room.check();
}

#[test]
fn a_disk_that_turns_read_only_or_refuses_a_sync_gives_its_streams_up_at_once_and_is_still_read() {
    // What is tried of a disk under suspicion is a sync, and a refused sync is the end of trust.
    for (errno, troubles) in [(EROFS, &[Trouble::ReadOnly][..]), (EIO, &[Trouble::Refuses, Trouble::Unsynced])] {
        let mut room = Room::filmed(2);
        room.shelf.gate("d2").set(Mood::Refusing(errno));
        for _ in 0..4 {
            room.film();
            room.settle();
        }
        wait("the streams to leave", || room.volume("d2").streams == 0);
        assert!(room.volume("d2").trouble.is_some_and(|trouble| troubles.contains(&trouble)), "{errno}");
        room.check();
    }
}

#[test]
fn a_volume_is_added_and_another_taken_out_while_cameras_record() {
    let mut room = Room::filmed(2);
    let three = Room::volumes(&room.dir, 3);
    room.store.reload(&three).expect("a new volume");
    assert_eq!(room.volume("d3").state, VolumeState::Ok);
    room.store.reload(&three[1..]).expect("one less");
    wait("the streams to leave", || room.volume("d2").streams + room.volume("d3").streams == 4);
    room.film();
    room.settle();
    assert_eq!(room.volume("d2").streams + room.volume("d3").streams, 4);
    let elsewhere = VolumeSetup { path: room.dir.path().join("d9"), ..three[1].clone() };
    assert!(matches!(room.store.reload(&[elsewhere]), Err(OpenError::Moved { .. })));
    wait("it to be let go, and taken back", || room.store.reload(&three).is_ok());
    wait("its tails to be read", || room.store.is_recovered());
    room.film();
    room.settle();
    room.check();
}

#[test]
fn what_a_disk_did_not_take_before_the_node_stopped_has_the_disk_as_its_cause() {
    for mood in [Mood::Still, Mood::Refusing(EIO)] {
        let mut room = Room::filmed(1);
        room.shelf.gate("d1").set(mood);
        for _ in 0..3 {
            room.film();
        }
        // Nothing says of a disk that stands still, before it has for a while, that it will not answer.
        let known = || mood != Mood::Still || room.volume("d1").trouble == Some(Trouble::Stalled);
        wait("the disk to be known as standing still", known);
        room.store.close();
        for stream in Room::streams() {
            let tiles = room.store.coverage(stream, window(0.0, 4.0), Duration::ZERO);
            let shown: Vec<_> = tiles.iter().map(|tile| (tile.window, matches!(tile.state, IntervalState::Recorded))).collect();
            assert_eq!(shown, [(window(0.0, 1.0), true), (window(1.0, 4.0), false)], "{mood:?}: {tiles:?}");
            let disk = |tile: &Interval| matches!(tile.state, IntervalState::Gap { cause: GapCause::Disk, .. });
            assert!(disk(&tiles[1]), "{mood:?}: {tiles:?}");
        }
        assert_eq!(room.store.health().fragments_lost, 3 * u64::from(CAMERAS), "{mood:?}: each is told of once");
        room.shelf.gate("d1").set(Mood::Well);
    }
}

#[test]
fn a_node_that_stops_while_streams_are_moving_to_a_better_disk_loses_nothing() {
    let mut room = Room::filmed(1);
    room.store.reload(&Room::volumes(&room.dir, 3)).expect("two more");
    wait("files enough", || (1..=3).all(|n| room.volume(&format!("d{n}")).segments_total >= 20));
    for run in 1..=2 {
        // Each begins a segment, on whichever disk is better then.
        for stream in Room::streams() {
            room.store.append(draft(stream, room.next, 3000, run)).expect("room");
        }
        room.next += 1;
    }
    room.store.close();
    room.settle();
    room.check();
}

#[test]
fn a_volume_with_fewer_segments_than_streams_is_full_and_the_others_have_gaps_with_a_cause() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Journal::open(&dir.path().join("journal"), NodeId::from_bytes(NODE)).expect("a journal");
    let mut setup = small(dir.path());
    setup.volumes[0].capacity = 4 << 20;
    let store = Store::open(setup, journal).expect("a store");
    for n in 0..6 {
        for camera in 1..=6 {
            store.append(second(stream(camera, StreamKind::Main), n)).expect("room");
        }
    }
    wait("every fragment's fate", || {
        store.flush();
        store.health().fragments + store.health().fragments_lost == 36
    });
    let volume = &store.health().volumes[0];
    assert!(volume.full && volume.streams == 6 && volume.segments_open < 6, "{volume:?}");
    let causes = (1..=6).flat_map(|camera| store.coverage(stream(camera, StreamKind::Main), window(0.0, 6.0), Duration::ZERO));
    let unrecorded: Vec<_> = causes.filter(|tile| tile.state != IntervalState::Recorded).collect();
    assert!(!unrecorded.is_empty());
    assert!(
        unrecorded.iter().all(|tile| matches!(tile.state, IntervalState::Gap { cause: GapCause::Disk, .. })),
        "{unrecorded:?}"
    );
}

#[test]
fn what_rots_on_a_disk_is_found_by_reading_it_again_and_is_an_event_and_a_gap_of_that_cause() {
    let site = super::Site::new();
    let gate = stream(1, StreamKind::Main);
    for n in 0..20 {
        // Two runs: the first one's segment is sealed.
        site.store.append(draft(gate, n, 3000, u32::from(n >= 10))).expect("room");
    }
    site.store.flush();
    let volume = site.store.shared.volumes.get(0).expect("it is configured");
    let (key, offset) = {
        let streams = site.store.shared.catalogue.read();
        let sealed = streams[&gate].segments().iter().find(|segment| segment.entries.is_none()).expect("one is sealed");
        let file = volume.file(sealed.key.number).expect("readable");
        let block = crate::footage::disk::read_vec(&*file, 0, 4096).expect("readable");
        let header = crate::footage::format::SegmentHeader::decode(&block).expect("a header");
        let (_, entries) = crate::footage::recovery::footer(&*file, &header).expect("readable").expect("a footer");
        (sealed.key, entries[4].offset())
    };
    let path = site.dir.path().join("disk-1").join(volume::segment_name(key.number));
    let file = std::fs::File::options().write(true).open(path).expect("writable");
    std::os::unix::fs::FileExt::write_all_at(&file, b"rot", offset + 3000).expect("written");
    let mut scrub = crate::footage::scrub::Scrub::new(Arc::clone(&volume), Arc::clone(&site.store.shared));
    let bytes: u64 = std::iter::from_fn(|| Some(scrub.step()).filter(|bytes| *bytes > 0)).sum();
    assert!(bytes > 10 * 15_000, "the sealed segment is read whole");
    assert_eq!(site.store.health().volumes[0].damaged, 1);
    let tiles = site.store.coverage(gate, window(0.0, 20.0), Duration::ZERO);
    let gaps: Vec<_> = tiles.iter().filter(|tile| tile.state != IntervalState::Recorded).collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0].window, window(4.0, 5.0));
    assert!(matches!(gaps[0].state, IntervalState::Gap { cause: GapCause::Damaged, .. }), "{gaps:?}");
    wait("the event", || {
        let entries = site.journal.read(crate::journal::Seq::new(1), 1000).expect("readable");
        entries.iter().any(|entry| entry.kind == "footage.damaged" && entry.body["segment"] == key.number)
    });
}
