//! Disks that are not there: they vanish and come back, a node starts without one, another is put in their place. Nobody's footage is
//! shown that cannot be read, and what is away is said to be away.

use super::{
    gates::{CAMERAS, Mood, Room},
    *,
};
use crate::model::VolumeId;

#[test]
fn a_disk_that_vanishes_takes_its_footage_from_the_timeline_with_its_name_and_brings_it_back() {
    let (mut room, gate) = Room::without_its_last_disk(2);
    wait("the disk to be missed", || room.volume("d2").state == VolumeState::Failed);
    let covered = |room: &Room| {
        Room::streams().map(|stream| room.store.coverage(stream, window(0.0, 2.0), Duration::ZERO)).collect::<Vec<_>>()
    };
    let missing = IntervalState::Gap { cause: GapCause::Disk, detail: "disk d2 is not there".to_owned() };
    wait("its footage to leave the timeline", || {
        let all = covered(&room);
        all.iter().filter(|tiles| tiles[0].state == missing && tiles[0].window == window(0.0, 1.0)).count() == 2
    });
    gate.set(Mood::Well);
    wait("its footage to come back", || {
        covered(&room).iter().all(|tiles| tiles.len() == 1 && tiles[0].state == IntervalState::Recorded)
    });
    room.film();
    room.settle();
    room.check();
    assert_eq!(room.events().last().map(String::as_str), Some("d2 ok -"));
}

#[test]
fn a_node_starts_without_a_disk_that_it_knows_and_takes_it_in_when_it_is_there() {
    let mut room = Room::filmed(2);
    room.store.close();
    room.shelf.gate("d1").set(Mood::Gone);
    room.store = Room::open(&room.dir, &room.journal, &room.shelf, 2);
    room.watch();
    assert_eq!(room.volume("d1").trouble, Some(Trouble::Away));
    room.film();
    room.settle();
    room.shelf.gate("d1").set(Mood::Well);
    wait("the disk", || room.volume("d1").state == VolumeState::Ok && room.store.is_recovered());
    room.check();
}

#[test]
fn what_waited_for_a_disk_that_is_not_there_when_the_node_stopped_has_the_disk_as_its_cause() {
    let mut room = Room::filmed(1);
    room.shelf.gate("d1").set(Mood::Gone);
    wait("the disk to be missed", || room.volume("d1").state == VolumeState::Failed);
    for _ in 0..3 {
        room.film();
    }
    room.store.close();
    assert_eq!(room.store.health().fragments_lost, 3 * u64::from(CAMERAS));
    for stream in Room::streams() {
        let tiles = room.store.coverage(stream, window(1.0, 4.0), Duration::ZERO);
        let disk = |tile: &Interval| matches!(tile.state, IntervalState::Gap { cause: GapCause::Disk, .. });
        assert!(!tiles.is_empty() && tiles.iter().all(disk), "{tiles:?}");
    }
}

/// Puts an empty disk in the place of a volume's.
fn put_another_disk(room: &Room, name: &str) {
    let dir = room.dir.path().join(name);
    std::fs::remove_dir_all(&dir).expect("it goes");
    std::fs::create_dir(&dir).expect("another is mounted there");
    let identity = serde_json::json!({ "version": 1, "id": VolumeId::from_bytes([9; 16]), "node": NodeId::from_bytes(NODE) });
    std::fs::write(dir.join(volume::Identity::NAME), identity.to_string()).expect("as a node prepares it");
}

/// The first second of every camera: how many are recorded, and how many are missing by the disk.
fn first_second(room: &Room) -> (usize, usize) {
    let states: Vec<_> =
        Room::streams().map(|stream| room.store.coverage(stream, window(0.0, 1.0), Duration::ZERO).remove(0).state).collect();
    let by_disk = |state: &&IntervalState| matches!(state, IntervalState::Gap { cause: GapCause::Disk, .. });
    (states.iter().filter(|state| **state == IntervalState::Recorded).count(), states.iter().filter(by_disk).count())
}

#[test]
fn what_was_on_a_disk_that_another_took_the_place_of_is_lost_by_the_disk_for_good() {
    let (mut room, gate) = Room::without_its_last_disk(2);
    wait("its footage to leave the timeline", || first_second(&room) == (2, 2));
    put_another_disk(&room, "d2");
    gate.set(Mood::Well);
    wait("the other disk", || room.volume("d2").state == VolumeState::Ok && room.store.is_recovered());
    assert_eq!(first_second(&room), (2, 2));
    room.store.close();
    room.store = Room::open(&room.dir, &room.journal, &room.shelf, 2);
    wait("recovery", || room.store.is_recovered());
    assert_eq!(first_second(&room), (2, 2), "also for those who start later");
    room.store.close();
    let written = std::fs::read_dir(room.dir.path().join("held")).expect("a directory");
    assert_eq!(written.count(), 2, "what the disk held that is gone is not written down any more, and what the others hold is");
}

#[test]
fn a_node_that_starts_without_a_disk_knows_what_time_is_on_it_and_what_is_gone_with_it_when_it_was_replaced() {
    for replaced in [false, true] {
        let mut room = Room::filmed(2);
        room.store.close();
        let gate = room.shelf.gate("d2");
        match replaced {
            true => put_another_disk(&room, "d2"),
            false => gate.set(Mood::Gone),
        }
        room.store = Room::open(&room.dir, &room.journal, &room.shelf, 2);
        wait("recovery", || room.store.is_recovered());
        assert_eq!(first_second(&room), (2, 2), "replaced: {replaced}");
        if !replaced {
            gate.set(Mood::Well);
            wait("its footage to come back", || first_second(&room) == (4, 0));
        }
    }
}

#[test]
fn a_directory_left_over_where_a_known_disk_is_not_mounted_is_not_taken_for_a_new_disk() {
    let mut room = Room::filmed(2);
    room.store.close();
    std::fs::remove_dir_all(room.dir.path().join("d2")).expect("unmounted");
    room.store = Room::open(&room.dir, &room.journal, &room.shelf, 2);
    assert!(!room.dir.path().join("d2/segs").exists());
    let fare = room.volume("d2");
    assert_eq!((fare.state, fare.trouble), (VolumeState::Failed, Some(Trouble::Away)));
    assert!(fare.last_error.is_some_and(|error| error.contains("not mounted")));
}
