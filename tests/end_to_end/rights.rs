//! What people lose together with their rights, and what can still be seen of cameras that are gone.

use crate::node::{Client, Heard, Node};
use serde_json::{Value, json};
use std::time::Duration;

/// The configuration's lines of one camera.
fn section(config: &str, camera: u32) -> String {
    let from = config.find(&format!("[[camera]]\nid = {camera}\n")).expect("configured");
    let rest = &config[from..];
    rest[..rest[1..].find("[[camera]]").map_or(rest.len(), |next| next + 1)].to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_disabled_or_loses_a_right_loses_live_pictures_at_once() {
    let node = Node::start(1).await;
    let admin = node.sign_in("admin").await;
    let changes = [("operator", json!({ "disabled": true })), ("other", json!({ "scopes": [{ "camera": 99 }] }))];
    for (name, change) in changes {
        let viewer = node.sign_in(name).await;
        viewer.until_recorded(1, Duration::from_secs(1)).await;
        let mut socket = viewer.socket().await;
        socket.watch(1, 1).await;
        assert_eq!(admin.put(&format!("/api/v1/people/{name}"), &change).await.status(), 204, "{name}");
        assert_eq!(socket.until_closed().await, Some(4401), "{name} is signed out");
        assert_eq!(viewer.get("/api/v1/cameras", None).await.status(), 401, "{name}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_that_moves_out_of_ones_scope_leaves_ones_window_and_nobody_elses() {
    let mut node = Node::start(2).await;
    let (gate, operator) = (node.sign_in("gate").await, node.sign_in("operator").await);
    operator.until_recorded(2, Duration::from_secs(1)).await;
    let (mut scoped, mut whole) = (gate.socket().await, operator.socket().await);
    for socket in [&mut scoped, &mut whole] {
        socket.watch(1, 1).await;
        socket.watch(2, 2).await;
    }
    node.reload(|config| {
        let moved = section(config, 1).replace("东苑", "西苑");
        *config = config.replace(&section(config, 1), &moved);
    })
    .await;
    loop {
        if let Heard::Text(said) = scoped.next().await {
            assert_eq!(said, json!({ "op": "state", "ch": 1, "word": "ended" }));
            break;
        }
    }
    scoped.say(json!({ "op": "sub", "ch": 3, "camera": 1, "tier": "main" })).await;
    let mut others = 0;
    loop {
        match scoped.next().await {
            Heard::Text(said) => break assert_eq!(said["code"], "not_found", "{said}"),
            heard => {
                assert!(!heard.is_unit_of(1), "nothing more of the camera that moved");
                others += usize::from(heard.is_unit_of(2));
            }
        }
    }
    while others < 25 {
        others += usize::from(scoped.next().await.is_unit_of(2));
    }
    for _ in 0..50 {
        assert!(!matches!(whole.next().await, Heard::Text(said) if said["word"] == "ended"), "whoever may, goes on watching");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_removed_camera_left_is_listed_and_played_by_those_with_rights() {
    let mut node = Node::start(2).await;
    let operator = node.sign_in("operator").await;
    operator.until_recorded(1, Duration::from_secs(4)).await;
    node.reload(|config| {
        let moved = section(config, 1).replace("东苑", "西苑");
        *config = config.replace(&section(config, 1), &moved);
    })
    .await;
    assert_eq!(removed(&operator).await, Vec::<Value>::new());
    node.reload(|config| *config = config.replace(&section(config, 1), "")).await;

    let gone = removed(&operator).await;
    assert_eq!(
        (&gone[0]["id"], &gone[0]["name"], &gone[0]["place"]),
        (&json!(1), &json!("南门 1"), &json!(["西苑"])),
        "{gone:?}"
    );
    let left = |edge: &str| gone[0]["streams"][0][edge].as_i64().expect("some is left");
    let (from, to) = (left("recorded_from_us"), left("recorded_to_us"));
    let window = format!("from_us={from}&to_us={to}");
    let coverage = operator.get_json(&format!("/api/v1/coverage?cameras=1&{window}")).await;
    assert_eq!(coverage["rows"][0]["first_us"], from, "{coverage}");
    let report = node.check(1, &operator, from, to).await;
    assert!(report.is_good() && report.streams[0].present >= 25, "{report}");
    assert_eq!(operator.get(&format!("/api/v1/stills/1?at_us={}", from + 1_000_000), None).await.status(), 200);
    assert_eq!(operator.get_json("/api/v1/cameras").await["cameras"].as_array().map(Vec::len), Some(1), "it is on no wall");

    // Where it stood last decides who may see what it left.
    let gate = node.sign_in("gate").await;
    assert_eq!(removed(&gate).await, Vec::<Value>::new());
    for path in [format!("footage/1/main.mp4?{window}"), format!("coverage?cameras=1&{window}"), "stills/1".to_owned()] {
        assert_eq!(gate.get(&format!("/api/v1/{path}"), None).await.status(), 404, "{path}");
    }
    let auditor = node.sign_in("auditor").await;
    let page = auditor.get_json("/api/v1/access-records?action=playback&camera=1").await;
    let looked = |name: &str| page["records"].as_array().into_iter().flatten().any(|record| record["person"] == name);
    assert!(looked("operator"), "{page}");
    node.stop().await;
}

async fn removed(client: &Client) -> Vec<Value> {
    client.get_json("/api/v1/cameras").await["removed"].as_array().cloned().expect("a list")
}
