use super::*;
use crate::access::Actor;
use crate::cameras::{Configured, Password};
use crate::journal::{CopyLimits, Gathered, History, MAX_BATCH_BYTES, Record, Seq, SimDisk};
use crate::model::{CameraAddress, Credentials, Secret, UtcMicros};
use crate::seal::NodeKey;
use serde_json::json;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

fn node(n: u8) -> NodeId {
    NodeId::from_bytes([n; 16])
}

fn id(number: u32) -> CameraId {
    CameraId::new(number).expect("a number")
}

fn camera(number: u32, name: &str, place: &[&str]) -> Camera {
    Camera {
        place: place.iter().map(|level| (*level).to_owned()).collect(),
        sub: CameraAddress::new("rtsp://192.0.2.7/canary-sub").ok(),
        ..Camera::new(id(number), name, CameraAddress::new("rtsp://192.0.2.7/canary-main").expect("an address"))
    }
}

/// A room: its journal and its cameras.
struct Room {
    dir: tempfile::TempDir,
    journal: Arc<Journal>,
    cameras: Cameras,
}

impl Room {
    fn new(n: u8) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::open(&dir.path().join("journal"), node(n)).expect("a journal");
        let cameras = open_cameras(dir.path(), &journal, Vec::new());
        Self { dir, journal, cameras }
    }

    fn add(&self, camera: Camera) {
        let secret = Credentials { user: "canary-user".into(), password: Secret::new("canary-password") };
        self.cameras.upsert(&Actor::Shell, camera, Password::Set(secret)).expect("added");
    }

    fn tell(&self, kind: &'static str, body: serde_json::Value) {
        self.journal.append(Record::new(UtcMicros::now(), kind, body)).wait().expect("told");
    }

    fn settle(&self) -> bool {
        settle(&self.dir.path().join("site.json"), &self.journal, &self.cameras).expect("settled")
    }
}

fn open_cameras(dir: &Path, journal: &Arc<Journal>, configured: Configured) -> Cameras {
    let key = NodeKey::open_or_create(&dir.join("node.key")).expect("a key");
    Cameras::open(&dir.join("cameras.json"), key, Arc::clone(journal), configured).expect("cameras")
}

/// A centre: its own journal, and its copies.
struct Centre {
    dir: tempfile::TempDir,
    journal: Arc<Journal>,
    copies: Arc<Copies>,
}

impl Centre {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::open(&dir.path().join("journal"), node(99)).expect("a journal");
        let copies = Copies::open_simulated(&SimDisk::new(1), CopyLimits::default()).expect("copies");
        Self { dir, journal, copies: Arc::new(copies) }
    }

    fn fetch(&self, room: &Room) {
        let copy = self.copies.of(room.journal.node()).expect("a copy");
        let (tail, hash) = copy.head();
        if let Gathered::Batch(batch) = room.journal.gather(tail, hash, MAX_BATCH_BYTES).expect("readable") {
            copy.apply(&batch).expect("it continues");
        }
    }

    fn site(&self, file: &str) -> Site {
        let paths = || (1..9).map(|n| (node(n), vec!["甲街道".to_owned(), format!("{n} 号室")])).collect();
        let (journal, copies) = (Arc::clone(&self.journal), Arc::clone(&self.copies));
        Site::open(&self.dir.path().join(file), journal, copies, Box::new(paths), || {}).expect("a site")
    }
}

fn until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_centre_knows_the_cameras_below_where_they_stand_and_who_has_them_and_nothing_that_could_be_dialled() {
    let (room, other, centre) = (Room::new(1), Room::new(2), Centre::new());
    room.add(camera(1042, "南门岗亭", &["东苑", "3号楼"]));
    room.add(camera(1043, "北门", &["东苑"]));
    other.add(camera(2001, "长桥", &[]));
    room.cameras.remove(&Actor::Shell, id(1043)).expect("removed");
    room.tell("camera.offline", json!({ "camera": 1042, "stream": "1042/main" }));
    [&room, &other].into_iter().for_each(|room| centre.fetch(room));
    let site = centre.site("site.json");
    until("both rooms are read", || site.view().list().count() == 2 && site.view().removed().count() == 1);
    let (owner, found) = site.locate(id(1042)).expect("there");
    assert_eq!((owner, found.place.join("/")), (node(1), "甲街道/1 号室/东苑/3号楼".to_owned()));
    assert!(found.sub.is_some(), "which streams it has is known");
    let view = site.view();
    assert_eq!(view.get(id(1042)).and_then(|located| located.doing).map(|doing| doing.recorded), Some(false));
    let meant = |text: &str| view.find(text, 10).iter().map(|located| located.camera.id.number()).collect::<Vec<_>>();
    assert_eq!((meant("nmgt"), meant("nanmen"), meant("南门"), meant("20")), (vec![1042], vec![1042], vec![1042], vec![2001]));
    assert_eq!(view.children(&["甲街道".to_owned()]).places.values().sum::<usize>(), 2);
    let rest = ["甲街道", "1 号室", "东苑"].map(str::to_owned);
    assert_eq!(view.nodes_of(&rest), ([node(1)].into(), vec!["东苑".to_owned()]));
    assert_eq!(view.nodes_of(&rest[..1]).0, [node(1), node(2)].into());
    site.close();
    let kept = std::fs::read_to_string(centre.dir.path().join("site.json")).expect("kept");
    assert!(!format!("{view:?}{kept}").contains("canary") && !kept.contains("192.0.2.7"), "T3");
}

#[test]
fn what_is_kept_and_read_on_equals_what_is_read_from_the_beginning() {
    let (rooms, centre) = ([Room::new(1), Room::new(2), Room::new(3)], Centre::new());
    for round in 0..4_u32 {
        for (n, room) in rooms.iter().enumerate() {
            let base = 1000 * (n as u32 + 1);
            room.add(camera(base + round, &format!("摄像机 {round}"), &["东苑"]));
            room.add(camera(base, &format!("改名 {round}"), &["西苑"]));
            if round == 2 {
                room.cameras.remove(&Actor::Shell, id(base + 1)).expect("removed");
            }
            centre.fetch(room);
        }
        let site = centre.site("kept.json");
        let expected = if round < 2 { 3 * (round as usize + 1) } else { 3 * round as usize };
        until("it is read on", || site.view().list().count() == expected);
        let fresh = centre.site(&format!("fresh-{round}.json"));
        until("they are equal", || fresh.view() == site.view());
    }
}

#[test]
fn a_number_that_two_rooms_state_is_the_first_ones_is_never_mixed_and_an_event_says_so_once() {
    let (first, second, centre) = (Room::new(2), Room::new(1), Centre::new());
    first.add(camera(1042, "南门岗亭", &[]));
    until("the clock has moved on", || UtcMicros::now() > first.journal.read(Seq::ZERO, 1).expect("readable")[0].at);
    second.add(camera(1042, "另一台", &[]));
    // They come in the other order.
    [&second, &first].into_iter().for_each(|room| centre.fetch(room));
    let clashes = || {
        let told = centre.journal.read(Seq::ZERO, 100).expect("readable");
        told.iter().filter(|entry| entry.kind == "camera.clash").count()
    };
    for _ in 0..2 {
        let site = centre.site("site.json");
        until("both are read", || site.view().clashes().len() == 1);
        let view = site.view();
        assert_eq!(
            view.get(id(1042)).map(|located| (located.node, located.camera.name.clone())),
            Some((node(2), "南门岗亭".into()))
        );
        assert_eq!(view.elsewhere(&BTreeSet::from([id(1042)])), [(node(1), id(1042))].into());
        until("it is told", || clashes() == 1);
    }
    std::fs::remove_file(centre.dir.path().join("site.json")).expect("kept");
    let site = centre.site("site.json");
    until("it is read anew", || site.view().clashes().len() == 1);
    site.close();
    assert_eq!(clashes(), 1, "told before");
}

#[test]
fn a_room_whose_journal_does_not_say_what_it_has_states_it_once() {
    let room = Room::new(1);
    for number in 1..=40 {
        room.add(camera(number, "南门岗亭", &["东苑"]));
    }
    assert!(!room.settle(), "each was told as it was added");
    // A catalogue that came with an older journal: nothing there tells of its cameras.
    let moved = Room::new(2);
    for name in ["cameras.json", "node.key"] {
        std::fs::copy(room.dir.path().join(name), moved.dir.path().join(name)).expect("copied");
    }
    let moved = Room { cameras: open_cameras(moved.dir.path(), &moved.journal, Vec::new()), ..moved };
    assert!(moved.settle());
    assert!(!moved.settle(), "once");
    let centre = Centre::new();
    centre.fetch(&moved);
    let site = centre.site("site.json");
    until("all are known", || site.view().list().count() == 40);
}

#[test]
fn a_list_that_lost_a_part_or_says_too_much_changes_nothing() {
    let (room, centre) = (Room::new(1), Centre::new());
    room.add(camera(7, "南门岗亭", &[]));
    let stated = |number: u32, name: &str| json!({ "id": number, "name": name });
    room.tell(LISTED, json!({ "part": 2, "parts": 2, "cameras": [stated(8, "八")] }));
    room.tell(LISTED, json!({ "part": 1, "parts": 2, "cameras": [stated(8, "八")] }));
    room.tell(LISTED, json!({ "part": 3, "parts": 3, "cameras": [stated(9, "九")] }));
    room.tell("camera.added", json!({ "camera": 10, "after": stated(11, "他人") }));
    room.tell("camera.added", json!({ "camera": 12, "after": stated(12, &"长".repeat(101)) }));
    room.tell("camera.added", json!({ "camera": 13, "after": stated(13, "末") }));
    centre.fetch(&room);
    let site = centre.site("site.json");
    until("all is read", || site.view().get(id(13)).is_some());
    assert_eq!(site.view().list().map(|located| located.camera.id.number()).collect::<Vec<_>>(), [7, 13]);
}
