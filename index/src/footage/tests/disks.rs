//! Disks as operators meet them: they stand still, turn read-only, vanish and come back, are added and taken out, while cameras go on.
//! A gate before a real directory decides what its disk does; the store, its threads and its rules are the real ones.

use super::{
    disk::DiskFile,
    shelf::{Directories, Shelf},
    *,
};
use crate::model::VolumeId;
use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::Condvar,
};

/// What a disk does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mood {
    Well,
    /// Whoever writes or syncs waits.
    Still,
    /// Writes and syncs are refused with this error.
    Refusing(i32),
    /// Nothing is there.
    Gone,
}

const EIO: i32 = 5;
const EROFS: i32 = 30;

struct Gate {
    mood: Mutex<Mood>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, mood: Mood) {
        *lock(&self.mood) = mood;
        self.changed.notify_all();
    }

    fn write(&self) -> io::Result<()> {
        let mut mood = lock(&self.mood);
        while *mood == Mood::Still {
            mood = self.changed.wait(mood).unwrap_or_else(PoisonError::into_inner);
        }
        match *mood {
            Mood::Refusing(errno) => Err(io::Error::from_raw_os_error(errno)),
            Mood::Gone => Err(io::Error::from_raw_os_error(EIO)),
            Mood::Well | Mood::Still => Ok(()),
        }
    }

    fn read(&self) -> io::Result<()> {
        if *lock(&self.mood) == Mood::Gone { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }
}

struct GatedDisk(Arc<dyn Disk>, Arc<Gate>);
struct GatedFile(Arc<dyn DiskFile>, Arc<Gate>);

impl GatedDisk {
    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(GatedFile(file, Arc::clone(&self.1)))
    }
}

impl Disk for GatedDisk {
    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.1.write().and_then(|()| self.0.create(name, len)).map(|file| self.file(file))
    }
    fn punch(&self, name: &str, from: u64, to: u64) -> io::Result<()> {
        self.1.write().and_then(|()| self.0.punch(name, from, to))
    }
    fn refill(&self, name: &str, len: u64) -> io::Result<()> {
        self.1.write().and_then(|()| self.0.refill(name, len))
    }
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.1.read().and_then(|()| self.0.open(name)).map(|file| self.file(file))
    }
    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.1.read().and_then(|()| self.0.list(dir))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.1.write().and_then(|()| self.0.remove(name))
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.1.write().and_then(|()| self.0.sync_dir(dir))
    }
    fn read_small(&self, name: &str) -> io::Result<Vec<u8>> {
        self.1.read().and_then(|()| self.0.read_small(name))
    }
    fn replace_small(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.1.write().and_then(|()| self.0.replace_small(name, bytes))
    }
    fn sync_written(&self, touched: &[Arc<dyn DiskFile>]) -> io::Result<()> {
        self.1.write().and_then(|()| self.0.sync_written(touched))
    }
    fn free_bytes(&self) -> io::Result<u64> {
        self.0.free_bytes()
    }
    fn release(&self) {
        self.0.release();
    }
    fn is_direct(&self) -> bool {
        self.0.is_direct()
    }
}

impl DiskFile for GatedFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.1.write().and_then(|()| self.0.write_at(bytes, offset))
    }
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.1.read().and_then(|()| self.0.read_at(bytes, offset))
    }
    fn sync(&self) -> io::Result<()> {
        self.1.write().and_then(|()| self.0.sync())
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}

/// Real directories behind gates, by the name of the volume.
#[derive(Default)]
struct GatedShelf(Mutex<HashMap<String, Arc<Gate>>>);

impl GatedShelf {
    fn gate(&self, name: &str) -> Arc<Gate> {
        let make = || Arc::new(Gate { mood: Mutex::new(Mood::Well), changed: Condvar::new() });
        Arc::clone(lock(&self.0).entry(name.to_owned()).or_insert_with(make))
    }
}

impl Shelf for GatedShelf {
    fn disk(&self, volume: &VolumeSetup, known: bool) -> Result<Arc<dyn Disk>, OpenError> {
        let gate = self.gate(&volume.name);
        if *lock(&gate.mood) == Mood::Gone {
            return Err(OpenError::Missing { volume: volume.name.clone(), path: volume.path.clone() });
        }
        Ok(Arc::new(GatedDisk(Directories.disk(volume, known)?, gate)))
    }
}

/// A node with several disks and a camera on each.
struct Room {
    dir: tempfile::TempDir,
    journal: Arc<Journal>,
    shelf: Arc<GatedShelf>,
    store: Arc<Store>,
    announced: Arc<Mutex<BTreeSet<(StreamId, UtcMicros)>>>,
    next: i64,
}

const CAMERAS: u32 = 4;

impl Room {
    fn new(disks: usize) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/../target").expect("a directory");
        let journal = Journal::open(&dir.path().join("journal"), NodeId::from_bytes(NODE)).expect("a journal");
        let shelf = Arc::new(GatedShelf::default());
        let store = Self::open(&dir, &journal, &shelf, disks);
        let room = Self { dir, journal, shelf, store, announced: Arc::default(), next: 0 };
        room.watch();
        room
    }

    fn open(dir: &tempfile::TempDir, journal: &Arc<Journal>, shelf: &Arc<GatedShelf>, disks: usize) -> Arc<Store> {
        let setup = Setup { volumes: Self::volumes(dir, disks), ..small(dir.path()) };
        let notebook = Arc::clone(journal) as Arc<dyn Notebook>;
        Store::open_on(setup, Arc::clone(shelf) as Arc<dyn Shelf>, notebook).expect("a store")
    }

    fn volumes(dir: &tempfile::TempDir, disks: usize) -> Vec<VolumeSetup> {
        let volume = |n| {
            let volume = VolumeSetup { name: format!("d{n}"), path: dir.path().join(format!("d{n}")), capacity: 24 << 20 };
            std::fs::create_dir_all(&volume.path).expect("a directory");
            volume
        };
        (1..=disks).map(volume).collect()
    }

    fn watch(&self) {
        let seen = Arc::clone(&self.announced);
        let watch = move |fragment: &Announced| {
            lock(&seen).insert((fragment.stream, fragment.window.from));
        };
        self.store.on_announced(Box::new(watch));
    }

    fn streams() -> impl Iterator<Item = StreamId> {
        (1..=CAMERAS).map(|camera| stream(camera, StreamKind::Main))
    }

    /// A second of every camera.
    fn film(&mut self) {
        for stream in Self::streams() {
            self.store.append(second(stream, self.next)).expect("room");
        }
        self.next += 1;
    }

    /// Waits until everything filmed is durable.
    fn settle(&self) {
        wait("what was filmed", || lock(&self.announced).len() == self.next as usize * CAMERAS as usize);
        assert_eq!(self.store.health().fragments_lost, 0);
    }

    fn volume(&self, name: &str) -> VolumeHealth {
        self.store.health().volumes.into_iter().find(|volume| volume.name == name).expect("it is configured")
    }

    /// Everything filmed is there, once.
    fn check(&self) {
        for stream in Self::streams() {
            let (reader, _) = reader(&self.store, &self.journal, &[stream]);
            let fragments = reader.fragments(stream, window(0.0, 1e6));
            let at: Vec<_> = fragments.iter().map(|fragment| fragment.window.from).collect();
            let filmed: Vec<_> = (0..self.next).map(|n| super::at(n as f64)).collect();
            assert_eq!(at, filmed, "{stream}");
            for fragment in &fragments {
                reader.fetch(fragment).expect("whole");
            }
        }
    }

    fn events(&self) -> Vec<String> {
        let entries = self.journal.read(crate::journal::Seq::new(1), 10_000).expect("readable");
        let fares = entries.iter().filter(|entry| entry.kind == "footage.volume");
        let text = |body: &serde_json::Value, key: &str| body[key].as_str().unwrap_or("-").to_owned();
        fares.map(|entry| ["volume", "state", "trouble"].map(|key| text(&entry.body, key)).join(" ")).collect()
    }
}

#[test]
fn what_a_disk_that_stands_still_was_writing_is_recorded_by_others_and_there_once_when_it_answers_again() {
    let mut room = Room::new(3);
    room.film();
    room.settle();
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
        let mut room = Room::new(2);
        room.film();
        room.settle();
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
fn a_disk_that_vanishes_takes_its_footage_from_the_timeline_with_its_name_and_brings_it_back() {
    let mut room = Room::new(2);
    room.film();
    room.settle();
    let gate = room.shelf.gate("d2");
    gate.set(Mood::Gone);
    room.film();
    room.settle();
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
    let mut room = Room::new(2);
    room.film();
    room.settle();
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
fn a_volume_is_added_and_another_taken_out_while_cameras_record() {
    let mut room = Room::new(2);
    room.film();
    room.settle();
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
        let mut room = Room::new(1);
        room.film();
        room.settle();
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
fn what_waited_for_a_disk_that_is_not_there_when_the_node_stopped_has_the_disk_as_its_cause() {
    let mut room = Room::new(1);
    room.film();
    room.settle();
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

#[test]
fn a_node_that_stops_while_streams_are_moving_to_a_better_disk_loses_nothing() {
    let mut room = Room::new(1);
    room.film();
    room.settle();
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
    let mut room = Room::new(2);
    room.film();
    room.settle();
    let gate = room.shelf.gate("d2");
    gate.set(Mood::Gone);
    room.film();
    room.settle();
    wait("its footage to leave the timeline", || first_second(&room) == (2, 2));
    put_another_disk(&room, "d2");
    gate.set(Mood::Well);
    wait("the other disk", || room.volume("d2").state == VolumeState::Ok && room.store.is_recovered());
    assert_eq!(first_second(&room), (2, 2));
    room.store.close();
    room.store = Room::open(&room.dir, &room.journal, &room.shelf, 2);
    wait("recovery", || room.store.is_recovered());
    assert_eq!(first_second(&room), (2, 2), "also for those who start later");
}

#[test]
fn a_node_that_starts_without_a_disk_knows_what_time_is_on_it_and_what_is_gone_with_it_when_it_was_replaced() {
    for replaced in [false, true] {
        let mut room = Room::new(2);
        room.film();
        room.settle();
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
    let mut room = Room::new(2);
    room.film();
    room.settle();
    room.store.close();
    std::fs::remove_dir_all(room.dir.path().join("d2")).expect("unmounted");
    room.store = Room::open(&room.dir, &room.journal, &room.shelf, 2);
    assert!(!room.dir.path().join("d2/segs").exists());
    let fare = room.volume("d2");
    assert_eq!((fare.state, fare.trouble), (VolumeState::Failed, Some(Trouble::Away)));
    assert!(fare.last_error.is_some_and(|error| error.contains("not mounted")));
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
