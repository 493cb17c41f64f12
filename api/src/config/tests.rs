use super::*;

const SMALLEST: &str = r#"
[node]
name = "东苑社区"
tier = "room"
state_dir = "state"
[[volume]]
name = "d1"
path = "footage"
capacity = "10 GiB"
"#;

fn refusal(extra: &str) -> String {
    let text = format!("{SMALLEST}{extra}");
    let refused = Config::parse(&text, Path::new("/etc/haohe")).expect_err("must be refused");
    format!("{}: {}. {}", refused.place, refused.what, refused.remedy)
}

#[test]
fn the_smallest_config_has_good_defaults() {
    let config = Config::parse(SMALLEST, Path::new("/etc/haohe")).map_err(|p| p.what).expect("valid");
    assert_eq!(config.state_dir, Path::new("/etc/haohe/state"));
    assert!(config.http.listen.ip().is_loopback(), "a node is reachable from elsewhere only when told so");
    assert_eq!((config.standard_days, config.key_target_days), (30, 90));
}

#[test]
fn a_centre_has_no_cameras_and_no_disks_for_footage() {
    let text = SMALLEST.replace("\"room\"", "\"district\"");
    let refused = Config::parse(&text, Path::new("/")).expect_err("must be refused");
    assert!(refused.place == "node.tier" && refused.remedy.contains("[[volume]]"));
    let centre = text.split("[[volume]]").next().expect("a start");
    assert!(Config::parse(centre, Path::new("/")).is_ok());
    assert!(Config::parse(&SMALLEST.replace("\"room\"", "\"village\""), Path::new("/")).is_err());
}

#[test]
fn every_file_in_the_config_folder_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).expect("the folder").flatten() {
        if entry.path().extension().is_some_and(|e| e == "toml") {
            Config::load(&entry.path()).map_err(|e| e.to_string()).expect("every example is valid");
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[test]
fn a_refusal_names_line_or_key_and_remedy() {
    for (extra, place, hint) in [
        ("[http]\nport = 1", "line 11", "port"),
        ("[http]\nlisten = 'everywhere'", "line 11", "socket address"),
        ("[http]\ncertificate_file = 'c.pem'", "http", "both or neither"),
        ("[retention]\nstandard_days = 7", "retention.standard_days", "30 to 3650"),
        ("[ingest]\nallow_networks = ['10.0.0.0/33']", "ingest.allow_networks", "192.0.2.0/24"),
        ("[mqtt]\nbroker = 'mqtts://b'\nallow_networks = ['10.0.0.0/8']", "mqtt", "mqtt_topic"),
        ("[ingest]\ntick_ms = 0", "ingest.tick_ms", "1 to 200"),
        ("[[volume]]\nname = 'd1'\npath = 'x'\ncapacity = '10 GiB'", "the 2. [[volume]]", "once"),
        ("[[volume]]\nname = 'd2'\npath = 'x'\ncapacity = '10 MiB'", "four segments", "smaller"),
        ("[[camera]]\nid = 0\nname = 'a'\nmain = 'rtsp://192.0.2.1/'", "line 11", "camera number"),
        ("[[camera]]\nid = 1\nname = ''\nmain = 'rtsp://192.0.2.1/'", "camera 1", "100 characters"),
        ("[[camera]]\nid = 1\nname = 'a'\nmain = 'rtsp://192.0.2.1/'\nuser = 'u'", "camera 1", "belong together"),
        ("[metrics]\ntoken_file = 'absent'", "metrics.token_file", "only this service's user"),
    ] {
        let said = refusal(extra);
        assert!(said.contains(place) && said.contains(hint), "{extra:?} was refused with: {said}");
    }
}

#[test]
fn a_password_written_into_an_address_is_refused_without_repeating_it() {
    let said = refusal("[[camera]]\nid = 1\nname = 'a'\nmain = 'rtsp://admin:canary-4711@192.0.2.1/'");
    assert!(said.contains("user name or password"), "{said}");
    assert!(!said.contains("canary"), "{said}");
}

#[test]
fn a_second_camera_with_the_same_number_is_refused() {
    let camera = "[[camera]]\nid = 5\nname = 'a'\nmain = 'rtsp://192.0.2.1/'\n";
    assert!(refusal(&format!("{camera}{camera}")).contains("another camera has this id"));
}

#[test]
fn disks_with_fewer_segments_than_streams_are_refused_with_what_is_needed_and_what_would_do() {
    let camera =
        |id: u32| format!("[[camera]]\nid = {id}\nname = 'a'\nmain = 'rtsp://192.0.2.{id}/1'\nsub = 'rtsp://192.0.2.{id}/2'\n");
    let cameras = |count: u32| (1..=count).map(camera).collect::<String>();
    // 10 GiB hold 30 segments of 256 MiB and as many of 64 MiB, and two more of each.
    let fits = format!("{SMALLEST}{}", cameras(30));
    assert!(Config::parse(&fits, Path::new("/")).is_ok());
    let said = refusal(&cameras(40));
    assert!(said.starts_with("volume.capacity: 40 main and 40 sub-streams"), "{said}");
    assert!(said.contains("segment_mib = 128 and sub_segment_mib = 32"), "{said}");
    assert!(said.contains("13440 MiB or more"), "{said}");
    let paused = format!("{}enabled = false\n", camera(31));
    assert!(Config::parse(&format!("{fits}{paused}"), Path::new("/")).is_ok(), "what is not recorded needs no segment");
}
