//! Rules and alarms through the API: who makes them, who sees them, who takes them on.

use super::*;
use index::{
    events::{Event, Kind},
    model::{CameraId, UtcMicros},
};

fn crossing_rule() -> Value {
    json!({ "name": "夜间越线", "enabled": true, "kinds": ["line.crossed"], "urgency": "urgent", "group_s": 60, "hold_off_s": 0 })
}

impl Fixture {
    async fn crossing(&self, number: u32) {
        let now = UtcMicros::now();
        let camera = self.room.node.camera(CameraId::new(number).expect("a number")).expect("a camera");
        let event =
            Event { camera: Some(camera.id), name: camera.name, place: camera.place, ..Event::new(now, Kind::LineCrossed) };
        let journal = self.room.node.journal.clone();
        let append = move || journal.append(event.into_record(now)).wait();
        tokio::task::spawn_blocking(append).await.expect("it ran").expect("durable");
    }

    async fn alarms(&self, cookie: &str) -> Vec<Value> {
        let answer = self.get("/api/v1/alarms", cookie).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()["alarms"].as_array().expect("a list").clone()
    }

    /// The alarms when there are so many of them.
    async fn alarms_when(&self, count: usize, cookie: &str) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let alarms = self.alarms(cookie).await;
            if alarms.len() == count {
                return alarms;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "{count} alarms wanted, there are {alarms:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn a_rule_calls_the_operators_in_whose_scope_it_happened_and_one_of_them_takes_it_on() {
    let fixture = Fixture::new().await;
    let (operator, gate, admin) = (fixture.cookie("operator"), fixture.cookie("gate"), fixture.cookie("admin"));
    assert_eq!(fixture.get("/api/v1/alarms", &operator).await.code(), "purpose_missing");
    fixture.declare(&operator).await;
    fixture.declare(&gate).await;
    let added = fixture.ask(Method::POST, "/api/v1/rules", Some(&admin), crossing_rule()).await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", String::from_utf8_lossy(&added.body));
    fixture.crossing(7).await;
    fixture.crossing(8).await;
    let all = fixture.alarms_when(2, &operator).await;
    let own = fixture.alarms_when(1, &gate).await;
    assert_eq!((own[0]["camera"].as_u64(), own[0]["name"].as_str()), (Some(7), Some("南门岗亭")));
    assert_eq!((own[0]["urgency"].as_str(), own[0]["rule_name"].as_str()), (Some("urgent"), Some("夜间越线")));
    let path = |alarm: &Value| format!("/api/v1/alarms/{}/acknowledge", alarm["id"].as_str().expect("an id"));
    let elsewhere = all.iter().find(|alarm| alarm["camera"] == 8).expect("the other");
    let take = async |path: String, cookie: &str| fixture.ask(Method::POST, &path, Some(cookie), json!({})).await;
    assert_eq!(take(path(elsewhere), &gate).await.status, StatusCode::NOT_FOUND, "outside the scope it does not exist");
    assert_eq!(take(path(&own[0]), &gate).await.status, StatusCode::NO_CONTENT);
    let second = take(path(&own[0]), &operator).await;
    assert_eq!((second.status, second.code()), (StatusCode::CONFLICT, "acknowledged".to_owned()));
    assert!(second.json()["state"]["zh"].as_str().is_some_and(|text| text.contains("gate")));
    assert_eq!(fixture.alarms(&operator).await[0]["acknowledged"]["by"], "gate");
    assert_eq!(take("/api/v1/alarms/9999-1/acknowledge".to_owned(), &operator).await.status, StatusCode::NOT_FOUND);
    // A repeat is the same alarm.
    fixture.crossing(8).await;
    let begun = Instant::now();
    while fixture.alarms(&operator).await[1]["repeats"] != 1 {
        assert!(begun.elapsed() < Duration::from_secs(120), "the repeat is counted");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(fixture.alarms(&operator).await.len(), 2);
}

#[tokio::test]
async fn a_rule_is_changed_removed_and_refused_by_administrators_only() {
    let fixture = Fixture::new().await;
    let (operator, admin) = (fixture.cookie("operator"), fixture.cookie("admin"));
    let ask = async |method: Method, path: &str, body: Value| fixture.ask(method, path, Some(&admin), body).await;
    let denied = fixture.ask(Method::POST, "/api/v1/rules", Some(&operator), crossing_rule()).await;
    assert_eq!(denied.code(), "not_allowed");
    for (name, value) in [
        ("kinds", json!([])),
        ("name", json!("")),
        ("kinds", json!(["nonsense"])),
        ("schedule", json!({ "from_hour": 25 })),
        ("colour", json!("red")),
    ] {
        let mut rule = crossing_rule();
        rule[name] = value;
        assert_eq!(ask(Method::POST, "/api/v1/rules", rule.clone()).await.status, StatusCode::BAD_REQUEST, "{rule}");
    }
    let id = ask(Method::POST, "/api/v1/rules", crossing_rule()).await.json()["id"].as_u64().expect("a number");
    let mut rule = crossing_rule();
    rule["name"] = "越线".into();
    assert_eq!(ask(Method::PUT, &format!("/api/v1/rules/{id}"), rule.clone()).await.status, StatusCode::NO_CONTENT);
    let rules = fixture.get("/api/v1/rules", &operator).await.json();
    assert_eq!((rules["rules"][0]["name"].as_str(), rules["budget_per_day"].as_u64()), (Some("越线"), Some(144)));
    for path in ["/api/v1/rules/0", "/api/v1/rules/99", "/api/v1/rules/x"] {
        assert_eq!(ask(Method::PUT, path, rule.clone()).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(ask(Method::DELETE, &format!("/api/v1/rules/{id}"), Value::Null).await.status, StatusCode::NO_CONTENT);
    assert_eq!(fixture.get("/api/v1/rules", &operator).await.json()["rules"], json!([]));
    let history = fixture.room.node.journal.read(Default::default(), 1000).expect("readable");
    let told: Vec<&str> = history.iter().map(|entry| entry.kind.as_str()).filter(|kind| kind.starts_with("rule.")).collect();
    assert_eq!(told, ["rule.set", "rule.set", "rule.removed"]);
    assert!(history.iter().any(|entry| entry.kind == "rule.removed" && entry.body["actor"].to_string().contains("admin")));
}

#[tokio::test]
async fn how_often_a_rule_would_have_called_is_known_before_it_is_saved() {
    let fixture = Fixture::new().await;
    let admin = fixture.cookie("admin");
    for _ in 0..3 {
        fixture.crossing(7).await;
    }
    fixture.crossing(8).await;
    fixture.until_indexed().await;
    let sums = async |rule: Value| {
        let answer = fixture.ask(Method::POST, "/api/v1/rules/rate", Some(&admin), rule).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer.body));
        let days = answer.json()["days"].as_array().expect("a list").clone();
        let sum = |name: &str| days.iter().filter_map(|day| day[name].as_u64()).sum::<u64>();
        (sum("events"), sum("alarms"), answer.json()["budget_per_day"].as_u64())
    };
    assert_eq!(sums(crossing_rule()).await, (4, 2, Some(144)));
    let mut each = crossing_rule();
    each["group_s"] = 0.into();
    assert_eq!(sums(each).await.1, 4);
    assert_eq!(fixture.room.node.alarms.state().rules().count(), 0, "nothing was saved");
}
