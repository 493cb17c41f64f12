//! What an operator is told of a camera that does not record, and what a changed configuration costs the others: nothing.

use crate::node::{Client, Node};
use fleet::{Fault, Who};
use serde_json::Value;
use std::{fmt::Write, time::Duration};

/// The state of a camera's main stream, once it says why it does not record.
async fn trouble(client: &Client, camera: u32) -> Value {
    let state = |all: &Value| {
        let cameras = all["cameras"].as_array().into_iter().flatten();
        cameras.filter(|one| one["id"] == camera).map(|one| one["streams"][0]["state"].clone()).next().unwrap_or_default()
    };
    state(&client.until("/api/v1/cameras", |all| !state(all)["sentence"].is_null()).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_that_does_not_record_says_why_and_what_to_do_in_both_languages() {
    let node = Node::start_with(2, |fleet, config| {
        fleet.begin(Fault::WrongPassword, &Who::Cameras(vec![1]));
        fleet.begin("Q108".parse().expect("known"), &Who::Cameras(vec![2]));
        let _ = writeln!(config, "[[camera]]\nid = 3\nname = \"断线\"\nmain = \"rtsp://127.0.0.1:1/main\"");
        let _ = writeln!(config, "[[camera]]\nid = 4\nname = \"外网\"\nmain = \"rtsp://192.0.2.4/main\"");
    })
    .await;
    let operator = node.sign_in("operator").await;
    let expected = [
        (1, "wrong_password", "refuses the user name or password", "password"),
        (2, "unsupported_codec", "codec cannot be recorded", "h.264"),
        (3, "camera_unreachable", "cannot be reached", "cable"),
        (4, "camera_unreachable", "outside the allowed networks", "allow_networks"),
    ];
    for (camera, cause, sentence, remedy) in expected {
        let state = trouble(&operator, camera).await;
        let said = |part: &str, language: &str| state[part][language].as_str().unwrap_or_default().to_lowercase();
        assert_eq!((&state["word"], &state["cause"]), (&"backing_off".into(), &cause.into()), "{camera}: {state}");
        assert!(said("sentence", "en").contains(&sentence.to_lowercase()), "{camera}: {state}");
        assert!(said("remedy", "en").contains(&remedy.to_lowercase()), "{camera}: {state}");
        assert!(!said("sentence", "zh").is_ascii() && !said("remedy", "zh").is_ascii(), "{camera}: {state}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cameras_are_added_changed_and_removed_by_a_reload_while_the_others_lose_not_one_frame() {
    let mut node = Node::start(3).await;
    let operator = node.sign_in("operator").await;
    for camera in 1..=3 {
        operator.until_recorded(camera, Duration::from_secs(2)).await;
    }
    let (from, _) = operator.recorded(1).await;
    // The second takes its address from the first's neighbour, the third goes, and one comes that does not answer.
    node.reload(|config| {
        let second = config.find("id = 2\n").expect("configured");
        let third = config.find("[[camera]]\nid = 3\n").expect("configured");
        let changed = config[second..third].replacen("南门 2", "南门 2 号", 1).replace("/cam/2/", "/cam/3/");
        *config =
            format!("{}{changed}[[camera]]\nid = 4\nname = \"新\"\nmain = \"rtsp://127.0.0.1:1/main\"\n", &config[..second]);
    })
    .await;
    let names = operator.until("/api/v1/cameras", |all| all["cameras"][1]["name"] == "南门 2 号").await;
    let ids: Vec<_> = names["cameras"].as_array().expect("a list").iter().map(|camera| camera["id"].clone()).collect();
    assert_eq!(ids, [1, 2, 4]);
    let (_, then) = operator.recorded(1).await;
    operator.until_recorded(1, Duration::from_micros((then - from + 4_000_000) as u64)).await;
    let (_, to) = operator.recorded(1).await;
    let report = node.check(1, &operator, from, to).await;
    assert!(report.is_good() && report.streams[0].present >= 100, "{report}");
    node.stop().await;
}
