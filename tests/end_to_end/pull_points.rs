//! Events that cameras keep until they are asked: device services signed to in both ways, one of which dies without a word.

use crate::node::{Heard, Node, Socket};
use fleet::{Auth, DigestAlgorithm, Fault, FleetSpec, What, Who};
use index::model::{CameraId, UtcMicros, Window};
use serde_json::{Value, json};
use std::{
    os::unix::fs::OpenOptionsExt,
    time::{Duration, Instant},
};

const PASSWORD: &str = "ca:n@ry/47";
/// A pull waits for half a minute, and a camera that says nothing is given a quarter more.
const NOTICED: Duration = Duration::from_secs(120);

/// The next line crossed before a camera.
async fn crossed(feed: &mut Socket, camera: u32) -> Value {
    loop {
        if let Heard::Text(message) = feed.next().await
            && message["event"]["kind"] == "line.crossed"
            && message["event"]["camera"] == camera
        {
            return message["event"].clone();
        }
    }
}

fn subscribed(node: &Node, camera: u32) -> bool {
    let id = CameraId::new(camera).expect("a number");
    node.room.node.ingest.pull_points().iter().any(|status| status.camera == id && status.subscribed)
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < NOTICED, "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cameras_keep_until_they_are_asked_is_found_also_after_a_service_died_silently() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("password");
    let mut options = std::fs::OpenOptions::new();
    let written = options.write(true).create_new(true).mode(0o600).open(&file);
    written.and_then(|mut file| std::io::Write::write_all(&mut file, PASSWORD.as_bytes())).expect("written");
    // Nothing on the metadata track: what is found was pulled.
    let spec = FleetSpec {
        metadata: false,
        pull_points: 2,
        auth: Auth::Digest { user: "admin".into(), password: PASSWORD.into(), algorithm: DigestAlgorithm::Md5 },
        ..FleetSpec::tiny(2)
    };
    let node = Node::start_fleet(spec, |fleet, config| {
        for camera in 1..=2 {
            let url = fleet.device_url(camera).expect("a device service");
            let more = format!("id = {camera}\nonvif = \"{url}\"\nuser = \"admin\"\npassword_file = \"{}\"\n", file.display());
            *config = config.replace(&format!("id = {camera}\n"), &more);
        }
        // Whose clock is an hour ahead: what it tells is dated by ours.
        fleet.begin(Fault::ClockOffset(3600), &Who::Cameras(vec![2]));
    })
    .await;
    let operator = node.sign_in("operator").await;
    until("both are subscribed to", || (1..=2).all(|camera| subscribed(&node, camera))).await;
    let mut feed = operator.socket_at("/api/v1/feed").await;
    // By WS-Security, and by HTTP Digest.
    for camera in 1..=2 {
        let event = crossed(&mut feed, camera).await;
        assert_eq!(event["source"]["topic"], "tns1:RuleEngine/LineDetector/Crossed");
        // It happened: the scene's truth has a crossing then. A camera's clock is asked to the second.
        let at = event["time_us"].as_i64().expect("a time");
        let around = Window::new(UtcMicros::from_micros(at - 1_500_000), UtcMicros::from_micros(at + 1_500_000));
        let truth = node.fleet.truth(camera, around);
        assert!(truth.iter().any(|truth| matches!(truth.what, What::LineCrossed { .. })), "{event} and {truth:?}");
    }
    operator.until("/api/v1/events?kinds=line.crossed", |answer| answer["total"]["count"].as_u64() >= Some(2)).await;

    node.fleet.begin(Fault::DeviceDead, &Who::Cameras(vec![1]));
    until("that nothing comes is noticed", || !subscribed(&node, 1)).await;
    assert!(subscribed(&node, 2), "the others go on");
    node.fleet.end(Fault::DeviceDead, &Who::Cameras(vec![1]));
    until("there is a new subscription", || subscribed(&node, 1)).await;
    let back = UtcMicros::now().as_micros();
    let path = format!("/api/v1/events?kinds=line.crossed&cameras=1&from_us={back}");
    let found = operator.until(&path, |answer| answer["total"]["count"].as_u64() >= Some(1)).await;
    assert_eq!(found["events"][0]["camera"], json!(1));
    feed.close().await;
    node.stop().await;
}
