//! Incidents through the API: who opens them, who sees them, who moves them; the hand-over between shifts.

use super::*;
use index::{
    events::{Event, Kind},
    model::{CameraId, UtcMicros},
};

impl Fixture {
    async fn opened(&self, cookie: &str, body: Value) -> Value {
        let answer = self.ask(Method::POST, "/api/v1/incidents", Some(cookie), body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    async fn moved(&self, cookie: &str, incident: &Value, mut deed: Value) -> Answer {
        deed["version"] = incident["version"].clone();
        let path = format!("/api/v1/incidents/{}/moves", incident["id"].as_str().expect("an id"));
        self.ask(Method::POST, &path, Some(cookie), deed).await
    }

    async fn queue(&self, cookie: &str, queue: &str) -> Value {
        let answer = self.get(&format!("/api/v1/incidents?queue={queue}"), cookie).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }
}

fn numbers(queue: &Value) -> Vec<&str> {
    let incidents = queue["incidents"].as_array().expect("a list");
    incidents.iter().map(|incident| incident["number"].as_str().expect("a number").split('-').next_back().expect("it")).collect()
}

#[tokio::test]
async fn an_incident_is_opened_by_hand_and_worked_on_by_those_in_whose_scope_it_is() {
    let fixture = Fixture::new().await;
    let (operator, gate, admin) = (fixture.cookie("operator"), fixture.cookie("gate"), fixture.cookie("admin"));
    fixture.declare(&operator).await;
    fixture.declare(&gate).await;
    let open = json!({ "priority": "p1", "camera": "8", "text": "有人翻越围墙" });
    assert_eq!(fixture.ask(Method::POST, "/api/v1/incidents", Some(&gate), open.clone()).await.status, StatusCode::NOT_FOUND);
    assert_eq!(fixture.ask(Method::POST, "/api/v1/incidents", Some(&admin), open.clone()).await.code(), "not_allowed");
    let west = fixture.opened(&operator, open).await;
    let south = fixture.opened(&gate, json!({ "priority": "p3", "camera": "7" })).await;
    assert_eq!(
        (west["name"].as_str(), west["stage"].as_str(), south["priority"].as_str()),
        (Some("西门"), Some("new"), Some("p3"))
    );
    assert_eq!(west["text"]["zh"], "有人翻越围墙");
    for body in [
        json!({ "priority": "p4" }),
        json!({ "priority": "p1", "text": "长".repeat(501) }),
        json!({ "priority": "p1", "colour": 1 }),
    ] {
        let refused = fixture.ask(Method::POST, "/api/v1/incidents", Some(&operator), body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    }
    // Outside the scope it does not exist; without a camera it is for those who reach everything.
    fixture.opened(&operator, json!({ "priority": "p2", "text": "停电" })).await;
    let (all, own) = (fixture.queue(&operator, "room").await, fixture.queue(&gate, "room").await);
    assert_eq!((numbers(&all), numbers(&own)), (vec!["0001", "0003", "0002"], vec!["0002"]), "what is due first comes first");
    assert_eq!((own["counts"]["room"].as_u64(), own["tier"].as_str(), own["upper"].as_str()), (Some(1), Some("room"), None));
    let path = format!("/api/v1/incidents/{}", west["id"].as_str().expect("an id"));
    assert_eq!(fixture.get(&path, &gate).await.status, StatusCode::NOT_FOUND);
    assert_eq!(fixture.moved(&gate, &west, json!({ "do": "acknowledge" })).await.status, StatusCode::NOT_FOUND);
    assert_eq!(fixture.get("/api/v1/incidents/nonsense", &operator).await.status, StatusCode::NOT_FOUND);
    assert_eq!(fixture.get("/api/v1/incidents?queue=all", &operator).await.status, StatusCode::BAD_REQUEST);

    let taken = fixture.moved(&operator, &west, json!({ "do": "acknowledge" })).await;
    assert_eq!((taken.status, taken.json()["stage"].as_str()), (StatusCode::OK, Some("acknowledged")));
    let late = fixture.moved(&operator, &west, json!({ "do": "verify" })).await;
    assert_eq!((late.status, late.code()), (StatusCode::CONFLICT, "incident_moved".to_owned()));
    assert!(late.json()["state"]["zh"].as_str().is_some_and(|text| text.contains("operator") && text.contains("确认")));
    let west = taken.json();
    for (deed, code) in [
        (json!({ "do": "escalate" }), "incident_not_now"),
        (json!({ "do": "arrive" }), "incident_not_now"),
        (json!({ "do": "undo" }), "incident_not_now"),
        (json!({ "do": "dispatch", "unit": " " }), "bad_request"),
        (json!({ "do": "shelve", "minutes": 481, "reason": "检修" }), "bad_request"),
        (json!({ "do": "fly" }), "bad_request"),
    ] {
        assert_eq!(fixture.moved(&operator, &west, deed.clone()).await.code(), code, "{deed}");
    }
    let west = fixture.moved(&operator, &west, json!({ "do": "dispatch", "unit": "巡逻组" })).await.json();
    assert_eq!((west["stage"].as_str(), west["detail"].as_str()), (Some("dispatched"), Some("巡逻组")));
    let now = UtcMicros::now().as_micros();
    let footage = json!({ "do": "attach", "camera": "8", "from_us": now - 30_000_000, "to_us": now, "hold": 3 });
    let west = fixture.moved(&operator, &west, footage).await.json();
    assert_eq!((west["evidence"][0]["camera"].as_u64(), west["evidence"][0]["hold"].as_u64()), (Some(8), Some(3)));
    let west = fixture.moved(&operator, &west, json!({ "do": "close", "code": "handled" })).await.json();
    assert_eq!(numbers(&fixture.queue(&operator, "closed").await), ["0001"]);
    let west = fixture.moved(&operator, &west, json!({ "do": "reopen" })).await.json();
    assert_eq!(west["stage"], "reopened");
    let what: Vec<&str> = west["history"].as_array().expect("a list").iter().filter_map(|entry| entry["what"].as_str()).collect();
    assert_eq!(what, ["opened", "acknowledged", "dispatched", "evidence", "closed", "reopened"]);
    assert_eq!(numbers(&fixture.queue(&operator, "mine").await), ["0001"]);
    // A page after the other.
    let first = fixture.get("/api/v1/incidents?limit=2", &operator).await.json();
    let next =
        fixture.get(&format!("/api/v1/incidents?limit=2&after={}", first["next"].as_str().expect("more")), &operator).await;
    assert_eq!((numbers(&first).len(), numbers(&next.json()).len(), next.json()["next"].clone()), (2, 1, Value::Null));
}

#[tokio::test]
async fn an_alarm_and_the_incident_that_it_opened_are_taken_on_together_from_either_side() {
    let fixture = Fixture::new().await;
    let (operator, admin) = (fixture.cookie("operator"), fixture.cookie("admin"));
    fixture.declare(&operator).await;
    let rule = json!({ "name": "夜间越线", "enabled": true, "kinds": ["line.crossed"], "urgency": "urgent", "opens_incident": true,
        "group_s": 0, "hold_off_s": 0 });
    assert_eq!(fixture.ask(Method::POST, "/api/v1/rules", Some(&admin), rule).await.status, StatusCode::CREATED);
    for camera in [7, 8] {
        let now = UtcMicros::now();
        let event = Event { camera: CameraId::new(camera).ok(), ..Event::new(now, Kind::LineCrossed) };
        let journal = fixture.room.node.journal.clone();
        let append = move || journal.append(event.into_record(now)).wait();
        tokio::task::spawn_blocking(append).await.expect("it ran").expect("durable");
    }
    let begun = Instant::now();
    let queue = loop {
        let queue = fixture.queue(&operator, "room").await;
        if numbers(&queue).len() == 2 {
            break queue;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "two incidents wanted: {queue}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let alarms = fixture.get("/api/v1/alarms", &operator).await.json()["alarms"].as_array().expect("a list").clone();
    let incidents = queue["incidents"].as_array().expect("a list");
    assert_eq!((incidents[0]["priority"].as_str(), incidents[0]["kind"].as_str()), (Some("p1"), Some("line.crossed")));
    let of = |list: &[Value], camera: u64| list.iter().find(|one| one["camera"] == camera).cloned().expect("one of it");
    let path = format!("/api/v1/alarms/{}/acknowledge", of(&alarms, 7)["id"].as_str().expect("an id"));
    assert_eq!(fixture.ask(Method::POST, &path, Some(&operator), json!({})).await.status, StatusCode::NO_CONTENT);
    let taken = fixture.moved(&operator, &of(incidents, 8), json!({ "do": "acknowledge" })).await;
    assert_eq!(taken.status, StatusCode::OK, "{}", String::from_utf8_lossy(&taken.body));
    let alarms = fixture.get("/api/v1/alarms", &operator).await.json()["alarms"].as_array().expect("a list").clone();
    assert!(alarms.iter().all(|alarm| alarm["acknowledged"]["by"] == "operator"), "{alarms:?}");
    let mine = fixture.queue(&operator, "mine").await;
    assert!(
        mine["incidents"].as_array().is_some_and(|all| all.len() == 2 && all.iter().all(|one| one["stage"] == "acknowledged"))
    );
}

#[tokio::test]
async fn the_shift_note_says_what_is_open_and_is_signed_by_both() {
    let fixture = Fixture::new().await;
    let (operator, gate) = (fixture.cookie("operator"), fixture.cookie("gate"));
    fixture.declare(&operator).await;
    fixture.declare(&gate).await;
    let incident = fixture.opened(&operator, json!({ "priority": "p2", "camera": "7" })).await;
    let incident = fixture.moved(&operator, &incident, json!({ "do": "acknowledge" })).await.json();
    fixture.moved(&operator, &incident, json!({ "do": "note", "text": "西侧无灯" })).await;
    let note = fixture.get("/api/v1/shift-note", &operator).await.json();
    assert_eq!((note["open"].as_array().map(Vec::len), note["notes"][0]["text"].as_str()), (Some(1), Some("西侧无灯")));
    let colleagues = json!([{ "name": "fresh", "display": "fresh" }, { "name": "gate", "display": "gate" }]);
    assert_eq!(note["colleagues"], colleagues, "those who could take over");
    let hand = async |to: &str| {
        fixture.ask(Method::POST, "/api/v1/shift-note", Some(&operator), json!({ "to": to, "remarks": "夜间西门施工" })).await
    };
    assert_eq!(hand("nobody").await.status, StatusCode::NOT_FOUND);
    assert_eq!(hand("operator").await.status, StatusCode::BAD_REQUEST);
    let handed = hand("gate").await;
    assert_eq!(handed.status, StatusCode::CREATED);
    let path = format!("/api/v1/shift-note/{}/take", handed.json()["seq"]);
    assert_eq!(fixture.ask(Method::POST, &path, Some(&operator), json!({})).await.status, StatusCode::CONFLICT);
    let taken = fixture.ask(Method::POST, &path, Some(&gate), json!({})).await;
    assert_eq!((taken.status, taken.json()["taken_us"].is_i64()), (StatusCode::OK, true));
    assert_eq!(fixture.queue(&gate, "mine").await["counts"]["mine"], 1, "what was the one's is the other's");
    let kinds: Vec<String> =
        fixture.room.node.journal.read(Default::default(), 1000).expect("readable").into_iter().map(|entry| entry.kind).collect();
    for kind in ["incident.opened", "incident.acknowledged", "incident.noted", "shift.handed", "incident.handed", "shift.taken"] {
        assert!(kinds.iter().any(|k| k == kind), "{kind} is in the journal: {kinds:?}");
    }
}
