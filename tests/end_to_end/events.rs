//! What happens in a room, told and found: the whole node with HTTPS, and cameras that begin to be recorded and tell what they see.

use crate::node::{Heard, Node, Socket};
use fleet::What;
use index::model::{UtcMicros, Window};
use serde_json::{Value, json};

/// The next message of the feed that is an event of a kind.
async fn next_of(feed: &mut Socket, kind: &str) -> Value {
    loop {
        if let Heard::Text(message) = feed.next().await
            && message["event"]["kind"] == kind
        {
            return message;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_told_as_they_happen_once_each_also_to_a_page_that_was_away_and_are_found() {
    let node = Node::start(1).await;
    let operator = node.sign_in("operator").await;
    let mark = |text: &str| json!({ "camera": 1, "time_us": UtcMicros::now().as_micros(), "text": text });
    let mut feed = operator.socket_at("/api/v1/feed").await;
    assert!(matches!(feed.next().await, Heard::Text(hello) if hello["hello"]["tail"].is_u64()));
    assert_eq!(operator.post("/api/v1/bookmarks", &mark("一号包裹")).await.status(), 201);
    let first = next_of(&mut feed, "bookmark").await;
    assert_eq!((first["event"]["name"].as_str(), first["event"]["text"]["zh"].as_str()), (Some("南门 1"), Some("一号包裹")));
    feed.close().await;
    for text in ["二号包裹", "三号包裹"] {
        assert_eq!(operator.post("/api/v1/bookmarks", &mark(text)).await.status(), 201);
    }
    let seen = first["seq"].as_u64().expect("a number");
    let mut feed = operator.socket_at(&format!("/api/v1/feed?after={seen}")).await;
    for text in ["二号包裹", "三号包裹"] {
        assert_eq!(next_of(&mut feed, "bookmark").await["event"]["text"]["zh"], text);
    }
    feed.close().await;
    let all = |count: u64| move |answer: &Value| answer["total"]["count"] == count;
    // By what was written, and, for what the session with the camera noticed, by how the camera's name sounds.
    operator.until("/api/v1/events?text=%E5%8C%85%E8%A3%B9", all(3)).await;
    operator
        .until("/api/v1/events?text=nanmen&kinds=camera.recording", |answer| answer["total"]["count"].as_u64() > Some(0))
        .await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_crossed_before_a_camera_is_told_within_a_moment_and_found_by_place_class_and_time() {
    let node = Node::start(1).await;
    let operator = node.sign_in("operator").await;
    let mut feed = operator.socket_at("/api/v1/feed").await;
    let told = next_of(&mut feed, "line.crossed").await;
    let event = &told["event"];
    assert_eq!(event["source"]["name"], "onvif");
    assert_eq!(event["source"]["topic"], "tns1:RuleEngine/LineDetector/Crossed");
    assert_eq!((&event["camera"], event["name"].as_str()), (&json!(1), Some("南门 1")));
    feed.close().await;
    // It happened: the scene's truth has a crossing in that picture, of that class.
    let at = event["time_us"].as_i64().expect("a time");
    let around = Window::new(UtcMicros::from_micros(at - 20_000), UtcMicros::from_micros(at + 20_000));
    let crossed = node.fleet.truth(1, around);
    let class = crossed.iter().find_map(|truth| match &truth.what {
        What::LineCrossed { class, .. } if truth.at.as_micros() == at => Some(class.word()),
        _ => None,
    });
    let said = event["objects"][0]["class"].as_str();
    assert_eq!(said, class.map(|class| if class == "Human" { "person" } else { "vehicle" }), "{event} against {crossed:?}");
    assert!(event["region"].is_array(), "where the object was in the picture: {event}");
    let id = event["id"].clone();
    // The index tells milliseconds apart.
    let path = format!("/api/v1/events?kinds=line.crossed&text=nanmen&from_us={at}&to_us={}", at + 1_000);
    operator.until(&path, |answer| answer["events"].as_array().is_some_and(|all| all.iter().any(|one| one["id"] == id))).await;
    // Every crossing of a span, each once.
    let (from, to) = (at + 1_000, at + 8_000_000);
    let expected = || {
        let truth = node.fleet.truth(1, Window::new(UtcMicros::from_micros(from), UtcMicros::from_micros(to)));
        truth.iter().filter(|truth| matches!(truth.what, What::LineCrossed { .. })).count() as u64
    };
    let path = format!("/api/v1/events?kinds=line.crossed&from_us={from}&to_us={to}");
    operator.until("/api/v1/cameras", |_| UtcMicros::now().as_micros() > to).await;
    assert!(expected() > 0);
    operator.until(&path, |answer| answer["total"]["count"].as_u64() == Some(expected())).await;
    node.stop().await;
}

/// The next message of the feed that is about alarms.
async fn next_alarms(feed: &mut Socket) -> Value {
    loop {
        if let Heard::Text(message) = feed.next().await
            && message["alarms"].is_array()
        {
            return message;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_camera_sees_calls_everybody_on_the_feed_and_one_who_takes_it_on_is_named_to_the_others() {
    let node = Node::start(1).await;
    let (operator, other, admin) = (node.sign_in("operator").await, node.sign_in("other").await, node.sign_in("admin").await);
    let mut feed = operator.socket_at("/api/v1/feed").await;
    let first = next_alarms(&mut feed).await;
    assert_eq!((&first["all"], &first["alarms"]), (&json!(true), &json!([])));
    let rule = json!({ "name": "越线", "enabled": true, "kinds": ["line.crossed"], "urgency": "urgent", "group_s": 3600, "hold_off_s": 0 });
    assert_eq!(admin.post("/api/v1/rules", &rule).await.status(), 201);
    let told = loop {
        let message = next_alarms(&mut feed).await;
        if let Some(alarm) = message["alarms"].get(0) {
            break alarm.clone();
        }
    };
    assert_eq!((&told["camera"], told["urgency"].as_str(), &told["acknowledged"]), (&json!(1), Some("urgent"), &Value::Null));
    let id = told["id"].as_str().expect("an id");
    assert_eq!(other.post(&format!("/api/v1/alarms/{id}/acknowledge"), &json!({})).await.status(), 204);
    assert_eq!(operator.post(&format!("/api/v1/alarms/{id}/acknowledge"), &json!({})).await.status(), 409);
    loop {
        let message = next_alarms(&mut feed).await;
        if message["alarms"][0]["acknowledged"]["by"] == "other" {
            break;
        }
    }
    feed.close().await;
    // Whoever opens the feed later is told how things are.
    let mut feed = operator.socket_at("/api/v1/feed").await;
    let now = next_alarms(&mut feed).await;
    assert_eq!((&now["all"], &now["alarms"][0]["id"]), (&json!(true), &json!(id)));
    feed.close().await;
    node.stop().await;
}
