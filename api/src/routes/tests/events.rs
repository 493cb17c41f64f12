//! Events through the API: who finds what, what is written before, and what boxes may send.

use super::*;
use index::{
    events::{Event, Kind, Region, Text},
    model::{CameraId, UtcMicros},
};

const TOKEN: &str = "box-token-0123456789";

impl Fixture {
    /// Three events: at the south gate, at the west gate, about no camera. Findable when this returns.
    async fn with_events() -> Self {
        let fixture = Self::new().await;
        let now = UtcMicros::now();
        let at = |camera: u32, kind, region| {
            let entry = fixture.room.node.camera(CameraId::new(camera).expect("a number")).expect("a camera");
            Event { camera: Some(entry.id), name: entry.name, place: entry.place, region, ..Event::new(now, kind) }
        };
        let events = vec![at(7, Kind::LineCrossed, Region::new(0.0, 0.0, 0.5, 0.5)), at(8, Kind::Loitering, None)];
        for event in events.into_iter().chain([Event::new(now, Kind::DiskFull)]) {
            fixture.room.node.journal.append(event.into_record(now)).wait().expect("durable");
        }
        fixture.until_indexed().await;
        fixture
    }

    pub(super) async fn until_indexed(&self) {
        let node = self.room.node.clone();
        let current = move || node.events.wait_indexed(node.journal.tail(), Duration::from_secs(240));
        assert!(tokio::task::spawn_blocking(current).await.expect("it ran"), "the index follows");
    }

    async fn report(&self, token: &str, body: Value) -> Answer {
        let request = Request::builder().method(Method::POST).uri("/api/v1/events").header(header::HOST, "localhost");
        let request = request.header(header::AUTHORIZATION, format!("Bearer {token}")).body(Body::from(body.to_string()));
        let response = self.router.clone().oneshot(request.expect("a request")).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.expect("a body").to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn kinds(&self, query: &str, cookie: &str) -> Vec<String> {
        let answer = self.get(&format!("/api/v1/events?{query}"), cookie).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", String::from_utf8_lossy(&answer.body));
        let answer = answer.json();
        let events = answer["events"].as_array().expect("a list").clone();
        events
            .iter()
            .map(|event| event["kind"].as_str().unwrap_or_default().to_owned())
            .filter(|kind| !kind.starts_with("node.") && !kind.starts_with("camera."))
            .collect()
    }
}

#[tokio::test]
async fn events_are_found_within_the_scope_and_never_beyond_it() {
    let fixture = Fixture::with_events().await;
    let (operator, gate) = (fixture.cookie("operator"), fixture.cookie("gate"));
    assert_eq!(fixture.get("/api/v1/events", &operator).await.code(), "purpose_missing");
    fixture.declare(&operator).await;
    fixture.declare(&gate).await;
    assert_eq!(fixture.kinds("", &operator).await, ["disk.full", "loitering", "line.crossed"]);
    assert_eq!(fixture.kinds("", &gate).await, ["line.crossed"]);
    for query in ["text=xm", "cameras=8", "place=%E8%A5%BF%E8%8B%91", "kinds=loitering", "kinds=disk.full"] {
        assert!(fixture.kinds(query, &gate).await.is_empty(), "{query} shows what is outside");
    }
    assert_eq!(fixture.kinds("text=nmgt&region=0.4,0.4,1,1", &operator).await, ["line.crossed"]);
    let answer = fixture.get("/api/v1/events?facets=1&histogram_s=86400&severity=notice", &gate).await.json();
    assert_eq!(answer["total"], json!({ "count": 1, "exact": true }));
    assert_eq!(answer["facets"]["kinds"], json!([["line.crossed", 1]]));
    assert_eq!(answer["facets"]["cameras"], json!([[7, 1]]));
    assert_eq!(answer["coverage"]["complete"], true);
    for bad in ["kinds=nonsense", "hours=25-3", "region=1,2", "severity=loud", "from_us=5&to_us=4", "histogram_s=1", "colour=red"]
    {
        assert_eq!(fixture.get(&format!("/api/v1/events?{bad}"), &operator).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

#[tokio::test]
async fn a_search_stands_in_the_register_before_its_answer_leaves() {
    let fixture = Fixture::with_events().await;
    let operator = fixture.cookie("operator");
    fixture.declare(&operator).await;
    let page = fixture.get("/api/v1/events?text=nmgt&limit=1", &operator).await.json();
    let next = page["next"].as_u64().expect("there may be more");
    fixture.get(&format!("/api/v1/events?text=nmgt&limit=1&before={next}"), &operator).await;
    let records = fixture.get("/api/v1/access-records?action=search", &fixture.cookie("auditor")).await.json();
    let records = records["records"].as_array().expect("a list").clone();
    assert_eq!(records.len(), 1, "one question, however many pages: {records:?}");
    assert_eq!((records[0]["person"].as_str(), records[0]["question"].as_str()), (Some("operator"), Some("text=nmgt")));
    assert_eq!(records[0]["purpose"]["text"], "夜间巡查");
}

#[tokio::test]
async fn a_search_that_only_follows_the_clock_is_recorded_once() {
    let fixture = Fixture::with_events().await;
    let operator = fixture.cookie("operator");
    fixture.declare(&operator).await;
    let now = UtcMicros::now().as_micros();
    let (minute, from) = (60_000_000, now - 3_600_000_000);
    let searches = async |window: (i64, i64), text: &str| {
        let asked = format!("/api/v1/events?text={text}&from_us={}&to_us={}", window.0, window.1);
        assert_eq!(fixture.get(&asked, &operator).await.status, StatusCode::OK);
        let records = fixture.get("/api/v1/access-records?action=search", &fixture.cookie("auditor")).await.json();
        records["records"].as_array().expect("a list").len()
    };
    assert_eq!(searches((from, now), "nmgt").await, 1);
    assert_eq!(searches((from + minute, now + minute), "nmgt").await, 1, "a minute later");
    assert_eq!(searches((from, now), "nmg").await, 2, "other words");
    assert_eq!(searches((from - 1, now), "nmgt").await, 3, "an earlier time");
    assert_eq!(searches((from, now + 6 * minute), "nmgt").await, 4, "long after");
    fixture.declare_as(&operator, "incident", "另一事由").await;
    assert_eq!(searches((from, now), "nmgt").await, 5, "another reason");
}

#[tokio::test]
async fn a_box_reports_within_its_scope_once_and_never_an_identity() {
    let fixture = Fixture::new().await;
    fixture.until_indexed().await;
    let now = UtcMicros::now().as_micros();
    let event = |id: &str, camera: u32| json!({ "kind": "crowd", "time_us": now, "camera": camera, "id": id });
    let with = |id: &str, name: &str, value: Value| {
        let mut event = event(id, 7);
        event[name] = value;
        event
    };
    assert_eq!(fixture.report("another", json!({ "events": [] })).await.status, StatusCode::UNAUTHORIZED);
    let batch = json!({ "events": [
        event("1", 7),
        event("1", 7),
        event("2", 8),
        with("3", "attributes", json!({ "faceToken": "x" })),
        with("4", "text", json!({ "zh": "车牌苏F12345" })),
        with("5", "person_name", json!("李明")),
        with("6", "objects", json!([{ "class": "LicensePlate" }])),
        with("7", "kind", json!("disk.full")),
        with("8", "colour", json!("red")),
        with("9", "time_us", json!(5)),
    ] });
    let answer = fixture.report(TOKEN, batch).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", String::from_utf8_lossy(&answer.body));
    let answer = answer.json();
    let fates: Vec<String> = answer["accepted"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| match (&one["refused"]["code"], &one["repeated"]) {
            (Value::String(code), _) => code.clone(),
            (_, Value::Bool(true)) => "repeated".to_owned(),
            _ => "new".to_owned(),
        })
        .collect();
    assert_eq!(
        fates,
        ["new", "repeated", "camera", "identity", "identity", "identity", "identity", "not_an_event", "not_an_event", "time"]
    );
    fixture.until_indexed().await;
    let operator = fixture.cookie("operator");
    fixture.declare(&operator).await;
    assert_eq!(fixture.kinds("kinds=crowd", &operator).await, ["crowd"]);
    let records = fixture.room.node.journal.read(Default::default(), 1000).expect("readable");
    let text = serde_json::to_string(&records).expect("JSON");
    assert!(!text.contains("faceToken") && !text.contains("苏F12345") && !text.contains("李明"), "I14");
    let metrics = fixture.get("/metrics", &fixture.cookie("admin")).await;
    assert!(
        String::from_utf8_lossy(&metrics.body).contains("haohe_identity_refused_total{door=\"http\",why=\"attribute_name\"} 3")
    );
    let many: Vec<Value> = (0..500).map(|n| event(&format!("m{n}"), 7)).collect();
    assert_eq!(fixture.report(TOKEN, json!({ "events": many })).await.code(), "too_many_events");
}

#[tokio::test]
async fn an_operator_marks_a_moment_and_finds_it_again() {
    let fixture = Fixture::new().await;
    let gate = fixture.cookie("gate");
    fixture.declare(&gate).await;
    let mark = |camera: u32, text: &str| json!({ "camera": camera, "time_us": UtcMicros::now().as_micros(), "text": text });
    let post = |body: Value| fixture.ask(Method::POST, "/api/v1/bookmarks", Some(&gate), body);
    assert_eq!(post(mark(7, "可疑包裹")).await.status, StatusCode::CREATED);
    assert_eq!(post(mark(8, "别处")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(post(mark(7, "电话13912345678")).await.status, StatusCode::BAD_REQUEST);
    fixture.until_indexed().await;
    assert_eq!(fixture.kinds("text=%E5%8C%85%E8%A3%B9", &gate).await, ["bookmark"]);
}

#[tokio::test]
async fn what_a_camera_tells_is_found_and_who_it_says_somebody_is_is_not_kept() {
    let fixture = Fixture::new().await;
    let now = UtcMicros::now();
    let document = format!(
        "<tt:MetadataStream><tt:Event><wsnt:NotificationMessage><wsnt:Topic>tns1:RuleEngine/LineDetector/Crossed</wsnt:Topic>\
         <wsnt:Message><tt:Message UtcTime=\"{now}\"><tt:Data><tt:SimpleItem Name=\"ClassTypes\" Value=\"Vehicle\"/>\
         <tt:SimpleItem Name=\"PlateNumber\" Value=\"苏F12345\"/></tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>\
         </tt:Event></tt:MetadataStream>"
    );
    let metadata = &fixture.room.node.metadata;
    let stream = index::model::StreamId::new(CameraId::new(7).expect("a number"), index::model::StreamKind::Main);
    metadata.tell(stream, now, document.as_bytes());
    metadata.tell(stream, now, b"<tt:MetadataStream><");
    let begun = Instant::now();
    while metadata.figures.events.load(Ordering::Relaxed) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(120), "the event is taken");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fixture.until_indexed().await;
    let gate = fixture.cookie("gate");
    fixture.declare(&gate).await;
    assert_eq!(fixture.kinds("text=nmgt&kinds=line.crossed", &gate).await, ["line.crossed"]);
    let records = fixture.room.node.journal.read(Default::default(), 1000).expect("readable");
    assert!(!serde_json::to_string(&records).expect("JSON").contains("12345"), "I14");
    let metrics = fixture.get("/metrics", &fixture.cookie("admin")).await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(metrics.contains("haohe_identity_refused_total{door=\"onvif\",why=\"attribute_name\"} 1"), "{metrics}");
    assert!(metrics.contains("haohe_metadata_unreadable_total{why=\"malformed\"} 1"), "{metrics}");
}

#[tokio::test]
async fn an_event_about_several_cameras_is_found_by_who_may_see_one_of_them_and_names_that_one_alone() {
    let fixture = Fixture::new().await;
    let (operator, gate) = (fixture.cookie("operator"), fixture.cookie("gate"));
    fixture.declare(&operator).await;
    fixture.declare(&gate).await;
    let now = UtcMicros::now();
    let about = |cameras: &[u32]| Event {
        cameras: cameras.iter().filter_map(|number| CameraId::new(*number).ok()).collect(),
        text: Text {
            zh: "{count} 路摄像机同时离线：{cameras}".into(), en: "{count} cameras went offline: {cameras}".into()
        },
        attributes: json!({ "cause": "network", "missing_s": 40.0 }).as_object().cloned().unwrap_or_default(),
        ..Event::new(now, Kind::CamerasOffline)
    };
    for cameras in [&[7, 8][..], &[8, 9]] {
        fixture.room.node.journal.append(about(cameras).into_record(now)).wait().expect("durable");
    }
    fixture.until_indexed().await;
    let found = async |query: &str, cookie: &str| {
        let answer = fixture.get(&format!("/api/v1/events?kinds=cameras.offline&{query}"), cookie).await.json();
        let events = answer["events"].as_array().expect("a list").clone();
        assert_eq!(answer["total"]["count"], events.len());
        events
    };
    let whole = found("", &operator).await;
    assert_eq!(whole.len(), 2);
    assert_eq!((&whole[1]["text"]["zh"], &whole[1]["cameras"]), (&json!("2 路摄像机同时离线：7、8"), &json!([7, 8])));
    let theirs = found("", &gate).await;
    assert_eq!(theirs.len(), 1, "what is about none of theirs is not found");
    assert_eq!((&theirs[0]["text"]["zh"], &theirs[0]["cameras"]), (&json!("1 路摄像机同时离线：7"), &json!([7])));
    assert_eq!(theirs[0]["attributes"], json!({ "cause": "network" }), "sums over other cameras are not told");
    assert_eq!(found("cameras=8", &operator).await.len(), 2, "each of the cameras finds it");
    assert_eq!(found("cameras=7&text=%E7%A6%BB%E7%BA%BF", &gate).await.len(), 1);
    for query in ["cameras=8", "text=8"] {
        assert!(found(query, &gate).await.is_empty(), "{query} hints at what is outside");
    }
}
