use super::*;
use crate::journal::Seq;
use crate::model::{CameraAddress, NodeId, Secret};
use std::fs;

struct Fixture {
    dir: tempfile::TempDir,
    journal: Arc<Journal>,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::open(&dir.path().join("journal"), NodeId::from_bytes([7; 16])).expect("a journal");
        Self { dir, journal }
    }

    fn open(&self, configured: Configured) -> Result<Cameras, CamerasError> {
        let key = NodeKey::open_or_create(&self.dir.path().join("node.key")).expect("a key");
        Cameras::open(&self.dir.path().join("cameras.json"), key, Arc::clone(&self.journal), configured)
    }

    /// The journal as words: kind and camera.
    fn told(&self) -> Vec<String> {
        let entries = self.journal.read(Seq::ZERO, 100).expect("readable");
        entries.iter().map(|entry| format!("{} {}", entry.kind, entry.body["camera"])).collect()
    }
}

fn camera(number: u32, name: &str) -> Camera {
    Camera {
        place: vec!["东苑社区".into()],
        ..Camera::new(id(number), name, CameraAddress::new(&format!("rtsp://192.0.2.{number}/main")).expect("an address"))
    }
}

fn id(number: u32) -> CameraId {
    CameraId::new(number).expect("a number")
}

fn secret() -> Credentials {
    Credentials { user: "admin".into(), password: Secret::new("canary-4711") }
}

#[test]
fn added_cameras_and_their_passwords_survive_a_restart_sealed() {
    let fixture = Fixture::new();
    let cameras = fixture.open(vec![]).expect("none yet");
    cameras.upsert(&Actor::Shell, camera(7, "南门岗亭"), Password::Set(secret())).expect("added");
    let mut moved = camera(7, "南门");
    moved.place = vec!["西苑社区".into()];
    cameras.upsert(&Actor::Shell, moved.clone(), Password::Keep).expect("changed");
    drop(cameras);
    let again = fixture.open(vec![]).expect("readable");
    assert_eq!(again.wanted(), [(moved, Some(secret()))]);
    let entry = again.get(id(7)).expect("there");
    assert!(entry.has_password && entry.managed == Managed::Api && entry.initials == "nm");
    let entries = fixture.journal.read(Seq::ZERO, 10).expect("readable");
    assert_eq!(entries[1].body["before"]["name"], "南门岗亭");
    assert_eq!(entries[1].body["after"]["place"][0], "西苑社区");
    let file = fs::read_to_string(fixture.dir.path().join("cameras.json")).expect("readable");
    assert!(!format!("{entries:?} {file} {again:?} {entry:?}").contains("canary"));
}

#[test]
fn what_the_configuration_changed_is_journalled_also_when_it_changed_while_the_node_was_down() {
    let fixture = Fixture::new();
    drop(fixture.open(vec![(camera(1, "东门"), Some(secret())), (camera(2, "西门"), None)]).expect("configured"));
    let cameras = fixture.open(vec![(camera(1, "东门二号"), Some(secret())), (camera(3, "北门"), None)]).expect("reconfigured");
    cameras.reload(vec![(camera(3, "北门"), None)]).expect("reloaded");
    cameras.reload(vec![(camera(3, "北门"), Some(secret()))]).expect("only a password");
    assert_eq!(
        fixture.told(),
        ["camera.added 1", "camera.added 2", "camera.removed 2", "camera.changed 1", "camera.added 3", "camera.removed 1"]
    );
    assert_eq!(cameras.wanted(), [(camera(3, "北门"), Some(secret()))]);
    let file = fs::read_to_string(fixture.dir.path().join("cameras.json")).expect("readable");
    assert!(!file.contains("canary"));
}

#[test]
fn a_configured_camera_is_changed_only_in_the_configuration() {
    let fixture = Fixture::new();
    let cameras = fixture.open(vec![(camera(1, "东门"), None)]).expect("configured");
    let changed = cameras.upsert(&Actor::Shell, camera(1, "西门"), Password::Clear);
    assert!(matches!(changed, Err(CamerasError::Configured(camera)) if camera == id(1)));
    assert!(matches!(cameras.remove(&Actor::Shell, id(1)), Err(CamerasError::Configured(_))));
    cameras.upsert(&Actor::Shell, camera(2, "西门"), Password::Clear).expect("added");
    for twice in [vec![(camera(2, "x"), None)], vec![(camera(1, "x"), None), (camera(1, "y"), None)]] {
        assert!(matches!(cameras.reload(twice), Err(CamerasError::Twice(_))));
    }
    assert_eq!(cameras.list().len(), 2);
}

#[test]
fn a_kept_password_is_never_sent_to_another_host() {
    let fixture = Fixture::new();
    let cameras = fixture.open(vec![]).expect("none yet");
    cameras.upsert(&Actor::Shell, camera(7, "南门"), Password::Set(secret())).expect("added");
    for address in ["rtsp://198.51.100.1/main", "rtsp://192.0.2.7:8554/main", "rtsp://192.0.2.7.evil.example/main"] {
        let mut moved = camera(7, "南门");
        moved.main = CameraAddress::new(address).expect("an address");
        let result = cameras.upsert(&Actor::Shell, moved.clone(), Password::Keep);
        assert!(matches!(result, Err(CamerasError::PasswordForNewHost(_))), "{address}");
        let mut with_sub = camera(7, "南门");
        with_sub.sub = Some(moved.main);
        assert!(cameras.upsert(&Actor::Shell, with_sub, Password::Keep).is_err(), "{address}");
    }
    let mut other_path = camera(7, "南门");
    other_path.main = CameraAddress::new("rtsp://192.0.2.7/other").expect("an address");
    cameras.upsert(&Actor::Shell, other_path, Password::Keep).expect("the same host");
}

#[test]
fn a_removed_camera_is_gone_and_the_journal_says_what_it_was() {
    let fixture = Fixture::new();
    let cameras = fixture.open(vec![]).expect("none yet");
    cameras.upsert(&Actor::Shell, camera(7, "南门"), Password::Clear).expect("added");
    cameras.remove(&Actor::Shell, id(7)).expect("removed");
    assert!(matches!(cameras.remove(&Actor::Shell, id(7)), Err(CamerasError::Unknown(_))));
    assert!(cameras.list().is_empty() && cameras.get(id(7)).is_none());
    assert_eq!(fixture.told(), ["camera.added 7", "camera.removed 7"]);
}

#[test]
fn a_drivers_verdict_is_remembered_over_a_restart() {
    let fixture = Fixture::new();
    let cameras = fixture.open(vec![]).expect("none yet");
    for number in 1..=300 {
        cameras.remember(id(number), if number % 2 == 0 { Driver::Libav } else { Driver::Retina });
    }
    drop(cameras);
    let again = fixture.open(vec![]).expect("readable");
    assert_eq!((again.remembered(id(300)), again.remembered(id(299))), (Some(Driver::Libav), Some(Driver::Retina)));
    assert_eq!(again.remembered(id(301)), None);
}

#[test]
fn a_state_file_that_does_not_read_back_is_refused_and_kept() {
    let fixture = Fixture::new();
    let cameras = fixture.open(vec![]).expect("none yet");
    cameras.upsert(&Actor::Shell, camera(7, "南门"), Password::Clear).expect("added");
    let path = fixture.dir.path().join("cameras.json");
    let good = fs::read_to_string(&path).expect("readable");
    for bad in [
        String::new(),
        good.replace("\"version\": 1", "\"version\": 9"),
        good.replace("\"enabled\"", "\"enbled\""),
        good.replace("192.0.2.7", "user:pw@192.0.2.7"),
        good[..good.len() / 2].to_owned(),
    ] {
        fs::write(&path, &bad).expect("writable");
        assert!(matches!(fixture.open(vec![]), Err(CamerasError::Damaged { .. })), "{bad}");
        assert_eq!(fs::read_to_string(&path).expect("kept"), bad);
    }
}

#[test]
fn a_camera_that_breaks_a_rule_is_refused_with_its_number() {
    let fixture = Fixture::new();
    let cameras = fixture.open(vec![]).expect("none yet");
    let error = cameras.upsert(&Actor::Shell, camera(7, " "), Password::Clear).expect_err("refused");
    assert!(matches!(error, CamerasError::Camera(number, CameraError::Name) if number == id(7)), "{error}");
    assert!(cameras.list().is_empty() && fixture.journal.tail() == Seq::ZERO);
}

#[test]
fn a_camera_that_is_gone_is_remembered_with_its_place_until_its_number_is_given_again() {
    let fixture = Fixture::new();
    let cameras = fixture.open(vec![(camera(8, "北门"), None)]).expect("one configured");
    cameras.upsert(&Actor::Shell, camera(7, "南门岗亭"), Password::Set(secret())).expect("added");
    assert!(cameras.removed().is_empty());
    cameras.remove(&Actor::Shell, id(7)).expect("removed");
    assert_eq!(cameras.get(id(7)), None);
    drop(cameras);

    // The other one leaves while the node is down.
    let cameras = fixture.open(vec![]).expect("reads back");
    let names: Vec<_> = cameras.removed().into_iter().map(|gone| gone.camera.name).collect();
    assert_eq!(names, ["南门岗亭", "北门"]);
    assert_eq!(cameras.get_removed(id(7)).expect("remembered").camera.place, ["东苑社区"]);
    assert!(!fs::read_to_string(fixture.dir.path().join("cameras.json")).expect("text").contains("canary"));

    cameras.upsert(&Actor::Shell, camera(7, "新南门"), Password::Clear).expect("given again");
    assert_eq!(cameras.get_removed(id(7)), None);
    cameras.reload(vec![(camera(8, "北门"), None)]).expect("back in the file");
    assert!(cameras.removed().is_empty());
}
