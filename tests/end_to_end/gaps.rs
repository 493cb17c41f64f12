//! Gaps in recordings as events: told when they are over, once each, also across restarts.

use crate::node::{Client, Heard, Node};
use fleet::{Fault, Who};
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than the shortest gap that is told.
const AWAY: Duration = Duration::from_secs(3);
const GAPS: &str = "/api/v1/events?kinds=recording.gap";

/// The newest first, once there are so many.
async fn told(operator: &Client, count: u64) -> Vec<Value> {
    let answer = operator.until(GAPS, |answer| answer["total"]["count"].as_u64() >= Some(count)).await;
    assert_eq!(answer["total"]["count"], count, "{answer}");
    answer["events"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_recorded_is_an_event_with_its_cause_and_a_restart_is_one_for_all_cameras() {
    let node = Node::start(6).await;
    let (operator, admin) = (node.sign_in("operator").await, node.sign_in("admin").await);
    let rule = json!({ "name": "录像缺失", "enabled": true, "kinds": ["recording.gap"], "urgency": "high", "group_s": 0, "hold_off_s": 0 });
    assert_eq!(admin.post("/api/v1/rules", &rule).await.status(), 201);
    for camera in 1..=6 {
        operator.until_recorded(camera, Duration::from_secs(2)).await;
    }
    let mut feed = operator.socket_at("/api/v1/feed").await;
    node.fleet.begin(Fault::Offline, &Who::Cameras(vec![3]));
    operator.until("/api/v1/events?kinds=camera.offline", |answer| answer["total"]["count"] == 1).await;
    node.fleet.end(Fault::Offline, &Who::Cameras(vec![3]));
    let event = loop {
        if let Heard::Text(message) = feed.next().await
            && message["event"]["kind"] == "recording.gap"
        {
            break message["event"].clone();
        }
    };
    feed.close().await;
    assert_eq!((&event["camera"], event["name"].as_str()), (&json!(3), Some("南门 3")));
    let facts = &event["attributes"];
    assert!(matches!(facts["cause"].as_str(), Some("camera_unreachable" | "camera_silent")), "{event}");
    assert_eq!(event["time_us"], facts["to_us"], "it is told when it is over");
    let (from, to) = (facts["from_us"].as_i64().expect("a time"), facts["to_us"].as_i64().expect("a time"));
    let coverage = operator.get_json(&format!("/api/v1/coverage?cameras=3&from_us={from}&to_us={to}")).await;
    assert_eq!(coverage["rows"][0]["totals"]["recorded_us"].as_i64().unwrap_or(0), 0, "{coverage}");
    told(&operator, 1).await;
    operator.until("/api/v1/alarms", |answer| answer.to_string().contains("录像缺失")).await;

    // What the cameras lost by a restart is one event; and what was told before it is not told again.
    let node = node.restart_after(AWAY).await;
    let operator = node.sign_in("operator").await;
    let events = told(&operator, 2).await;
    let facts = &events[0]["attributes"];
    assert_eq!(
        (facts["cause"].as_str(), &facts["cameras"], &facts["gaps"]),
        (Some("restart"), &json!(6), &json!(6)),
        "{events:?}"
    );
    assert!(events[0]["text"]["zh"].as_str().is_some_and(|text| text.starts_with("6 路摄像机录像缺失")), "{events:?}");
    let node = node.restart_after(AWAY).await;
    let operator = node.sign_in("operator").await;
    told(&operator, 3).await;
    node.stop().await;
}
