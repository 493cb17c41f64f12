use super::*;
use crate::{config::Config, room::Room, sign_in::passwords};
use axum::{
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{HeaderMap, Method, header},
};
use index::{
    access::{Actor, Person, Role, Scope},
    accounts::{Account, PasswordHash},
    model::Secret,
};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tower::ServiceExt;

mod alarms;
mod events;
mod incidents;
mod keeping;
mod motion;
mod reports;
mod rights;

const PASSWORD: &str = "moat-and-old-town-five";

/// A running room with no cameras to dial, asked without a socket.
struct Fixture {
    _dir: tempfile::TempDir,
    room: Room,
    router: Router,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("d1")).expect("a volume");
        std::fs::write(dir.path().join("token"), "scraper-token-4711\n").expect("a token");
        std::fs::write(dir.path().join("box"), "box-token-0123456789\n").expect("a token");
        let text = r#"
            [[source]]
            name = "box1"
            token_file = "box"
            places = ["东苑"]
            rate_per_s = 5
            [node]
            name = "东苑社区"
            tier = "room"
            state_dir = "state"
            [http]
            listen = "127.0.0.1:0"
            [[volume]]
            name = "d1"
            path = "d1"
            capacity = "16 MiB"
            [footage]
            segment_mib = 1
            sub_segment_mib = 1
            [metrics]
            token_file = "token"
            [[camera]]
            id = 7
            name = "南门岗亭"
            place = ["东苑", "南门"]
            main = "rtsp://192.0.2.7/main"
            sub = "rtsp://192.0.2.7/sub"
            enabled = false
            [[camera]]
            id = 8
            name = "西门"
            place = ["西苑"]
            main = "rtsp://192.0.2.8/main"
            enabled = false
        "#;
        let file = dir.path().join("room.toml");
        std::fs::write(&file, text).expect("a configuration");
        let config = Config::load(&file).map_err(|e| e.to_string()).expect("valid");
        let room = Room::start(config).await.expect("a room");
        let router = router(&room.node);
        let hash = passwords::hash_now(&Secret::new(PASSWORD)).expect("hashed");
        for (name, roles, scopes, fresh) in [
            ("operator", vec![Role::Operator], vec![Scope::Everything], false),
            ("gate", vec![Role::Operator], vec![Scope::Place(vec!["东苑".to_owned()])], false),
            ("auditor", vec![Role::Auditor], vec![Scope::Everything], false),
            ("admin", vec![Role::Admin], vec![Scope::Everything], false),
            ("fresh", vec![Role::Admin, Role::Operator], vec![Scope::Everything], true),
        ] {
            let person = Person {
                name: name.to_owned(),
                display: name.to_owned(),
                unit: "东苑社区".to_owned(),
                roles: roles.into_iter().collect(),
                scopes,
                must_change_password: fresh,
            };
            let account = Account { person, password: PasswordHash::new(hash.clone()), disabled: false, staff_expires: None };
            room.node.accounts.add(&Actor::Shell, account).expect("added");
        }
        Self { _dir: dir, room, router }
    }

    async fn ask(&self, method: Method, path: &str, cookie: Option<&str>, body: Value) -> Answer {
        let mut request =
            Request::builder().method(method).uri(path).header(header::HOST, "127.0.0.1:8443").header("x-haohe", "1");
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, format!("other=1; {cookie}"));
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let mut request = request.body(body).expect("a request");
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 99], 4711))));
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.expect("a body").to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Signs in past the throttle, which the tests' one address would soon meet.
    fn cookie(&self, name: &str) -> String {
        let (cookie, _) = self.room.node.logins.begin(name, [192, 0, 2, 99].into());
        format!("{}={}", crate::authority::COOKIE, cookie.expose())
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.ask(Method::GET, path, Some(cookie), Value::Null).await
    }

    async fn declare(&self, cookie: &str) {
        self.declare_as(cookie, "duty", "夜间巡查").await;
    }

    /// Declares another purpose.
    async fn declare_as(&self, cookie: &str, category: &str, text: &str) {
        let purpose = json!({ "category": category, "text": text });
        let answer = self.ask(Method::PUT, "/api/v1/me/purpose", Some(cookie), purpose).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
    }
}

#[tokio::test]
async fn every_answer_carries_the_headers_and_other_hosts_and_senders_are_refused() {
    let fixture = Fixture::new().await;
    for path in ["/", "/wall", "/api/v1/version", "/api/v1/none", "/assets/none.js"] {
        let answer = fixture.ask(Method::GET, path, None, Value::Null).await;
        for name in ["content-security-policy", "x-content-type-options", "cross-origin-opener-policy", "cache-control"] {
            assert!(answer.headers.contains_key(name), "{path} has {name}");
        }
    }
    assert_eq!(fixture.ask(Method::GET, "/api/v1/none", None, Value::Null).await.status, StatusCode::NOT_FOUND);
    let foreign = Request::builder().uri("/").header(header::HOST, "evil.example").body(Body::empty()).expect("a request");
    let foreign = fixture.router.clone().oneshot(foreign).await.expect("an answer");
    assert_eq!(foreign.status(), StatusCode::MISDIRECTED_REQUEST);
    let forged = Request::builder().method("POST").uri("/api/v1/logout").header(header::HOST, "localhost");
    let forged = forged.header(header::COOKIE, fixture.cookie("operator")).body(Body::empty()).expect("a request");
    let forged = fixture.router.clone().oneshot(forged).await.expect("an answer");
    assert_eq!(forged.status(), StatusCode::FORBIDDEN, "a form of another site lacks the header");
}

#[tokio::test]
async fn cameras_are_added_changed_and_removed_and_no_password_comes_back() {
    let fixture = Fixture::new().await;
    let admin = fixture.cookie("admin");
    let camera = json!({
        "id": 9, "name": "北门", "place": ["东苑"], "main": "rtsp://192.0.2.9/main", "enabled": false,
        "user": "recorder", "password": "canary-4711",
    });
    assert_eq!(fixture.ask(Method::POST, "/api/v1/cameras", Some(&admin), camera.clone()).await.status, StatusCode::CREATED);
    assert_eq!(fixture.ask(Method::POST, "/api/v1/cameras", Some(&admin), camera).await.code(), "camera_exists");
    let list = fixture.get("/api/v1/cameras", &admin).await;
    let text = String::from_utf8(list.body.clone()).expect("text");
    assert!(!text.contains("canary") && !text.contains("recorder"), "{text}");
    assert_eq!(list.json()["cameras"][2]["has_password"], true);
    let secret = json!({ "id": 9, "name": "北门", "main": "rtsp://admin:canary-4711@192.0.2.9/main" });
    let secret = fixture.ask(Method::PUT, "/api/v1/cameras/9", Some(&admin), secret).await;
    assert_eq!(secret.status, StatusCode::BAD_REQUEST);
    assert!(!String::from_utf8_lossy(&secret.body).contains("canary"));
    let configured = fixture.ask(Method::DELETE, "/api/v1/cameras/7", Some(&admin), Value::Null).await;
    assert_eq!((configured.status, configured.code().as_str()), (StatusCode::CONFLICT, "camera_refused"));
    assert_eq!(fixture.ask(Method::DELETE, "/api/v1/cameras/9", Some(&admin), Value::Null).await.status, StatusCode::NO_CONTENT);
    let tree = fixture.get("/api/v1/tree", &admin).await.json();
    assert_eq!(tree["children"][0]["path"], json!(["东苑"]));
}

#[tokio::test]
async fn health_coverage_metrics_and_the_document_are_answered() {
    let fixture = Fixture::new().await;
    let operator = fixture.cookie("operator");
    let health = fixture.get("/api/v1/health", &operator).await.json();
    assert_eq!(health["volumes"][0]["state"], "ok");
    assert_eq!(health["cameras"], json!({ "recording": 0, "total": 0 }));
    let coverage = fixture.get("/api/v1/coverage?cameras=7,8&stream=main&from_us=1000000&to_us=2000000&px=100", &operator).await;
    let coverage = coverage.json();
    assert_eq!(coverage["rows"].as_array().map(Vec::len), Some(2));
    assert_eq!(coverage["causes"]["1"]["word"], "not_configured");
    let scraped = Request::builder().uri("/metrics").header(header::HOST, "localhost");
    let scraped = scraped.header(header::AUTHORIZATION, "Bearer scraper-token-4711").body(Body::empty()).expect("a request");
    let scraped = fixture.router.clone().oneshot(scraped).await.expect("an answer");
    assert_eq!(scraped.status(), StatusCode::OK);
    let text = to_bytes(scraped.into_body(), 1 << 20).await.expect("a body");
    assert!(String::from_utf8_lossy(&text).contains("haohe_volume_state{volume=\"d1\"} 0"));
    let document = fixture.get("/api/openapi.json", &operator).await.json();
    assert!(document["paths"]["/api/v1/key-units"]["post"].is_object());
    assert_eq!(fixture.get("/api/docs", &operator).await.status, StatusCode::OK);
}

#[tokio::test]
async fn bad_input_is_refused_with_a_code_and_changes_nothing() {
    let fixture = Fixture::new().await;
    let operator = fixture.cookie("operator");
    fixture.declare(&operator).await;
    for path in [
        "/api/v1/coverage?cameras=&from_us=1&to_us=2",
        "/api/v1/coverage?cameras=7&from_us=2&to_us=1",
        "/api/v1/coverage?cameras=x&from_us=1&to_us=2",
        "/api/v1/coverage",
        "/api/v1/fragments/7/main?from_us=1&to_us=999999999999999",
        "/api/v1/fragments/7/third?from_us=1&to_us=2",
        "/api/v1/fragments/0/main?from_us=1&to_us=2",
        "/api/v1/footage/7/main.avi?from_us=1&to_us=2",
        "/api/v1/footage/7/../../etc/passwd?from_us=1&to_us=2",
        "/api/v1/stills/7?at_us=5&format=bmp",
        "/api/v1/exports/../../../etc/passwd",
        "/api/v1/exports/1/manifest.json",
        "/api/v1/media",
    ] {
        let answer = fixture.get(path, &operator).await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.status);
    }
    let export = json!({ "cameras": [7], "stream": "main", "from_us": 1, "to_us": 2, "reason": "依法调取", "case": " " });
    let export = fixture.ask(Method::POST, "/api/v1/exports", Some(&operator), export).await;
    assert_eq!((export.status, export.json()["field"].clone()), (StatusCode::BAD_REQUEST, json!("case")));
    let long = "x".repeat(BODY_LIMIT + 1);
    let long = fixture.ask(Method::POST, "/api/v1/key-units", Some(&operator), json!(long)).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
}
