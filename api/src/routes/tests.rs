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
mod motion;

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
        let purpose = json!({ "category": "duty", "text": "夜间巡查" });
        let answer = self.ask(Method::PUT, "/api/v1/me/purpose", Some(cookie), purpose).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
    }
}

/// The path of a route with something in every parameter.
fn filled(path: &str) -> String {
    let filled: Vec<&str> = path
        .split('/')
        .map(|part| match part {
            "{camera}" => "7",
            "{stream}" => "main",
            "{file}" => "main.mp4",
            part if part.starts_with('{') => "1",
            part => part,
        })
        .collect();
    filled.join("/")
}

#[tokio::test]
async fn every_route_turns_away_nobody_and_the_wrong_role() {
    let fixture = Fixture::new().await;
    let (_, api, entries) = all(&fixture.room.node);
    let documented: usize = api
        .paths
        .paths
        .values()
        .map(|item| {
            [&item.get, &item.put, &item.post, &item.delete, &item.patch].iter().filter(|operation| operation.is_some()).count()
        })
        .sum();
    assert_eq!(entries.len(), documented, "every documented route has a door");
    assert!(entries.len() >= 30);
    let mut checks = 0;
    for entry in &entries {
        let path = filled(&entry.path);
        let nobody = fixture.ask(entry.method.clone(), &path, None, Value::Null).await;
        let open = entry.door == Door::Anyone;
        assert_eq!(nobody.status == StatusCode::UNAUTHORIZED, !open, "{} {path} to nobody: {}", entry.method, nobody.status);
        let forged = fixture.ask(entry.method.clone(), &path, Some("__Host-haohe=AAAA"), Value::Null).await;
        assert_eq!(forged.status == StatusCode::UNAUTHORIZED, !open, "{} {path} to a forged cookie", entry.method);
        for name in ["operator", "auditor", "admin", "fresh"] {
            let person = fixture.room.node.person(name).expect("a person");
            let allowed = match entry.door {
                Door::Anyone | Door::SignedIn => true,
                // A person is not a box, whatever their role: turned away as nobody.
                Door::Reporter => continue,
                Door::Settled => !person.must_change_password,
                Door::Needs(action) => person.may(action, None).is_ok(),
                Door::Scraper => person.may(Action::ReadMetrics, None).is_ok(),
            };
            if allowed {
                continue;
            }
            let answer = fixture.ask(entry.method.clone(), &path, Some(&fixture.cookie(name)), Value::Null).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{} {path} to {name}", entry.method);
            let due = if name == "fresh" { "password_change_due" } else { "not_allowed" };
            assert_eq!(answer.code(), due, "{} {path} to {name}", entry.method);
            checks += 1;
        }
    }
    assert!(checks > 50, "{checks} refusals checked");
}

#[tokio::test]
async fn signing_in_needs_the_right_password_and_a_one_time_password_must_be_changed() {
    let fixture = Fixture::new().await;
    let sign_in = |password: &'static str| {
        let body = json!({ "name": "fresh", "password": password, "purpose": { "category": "duty", "text": "夜间巡查" } });
        fixture.ask(Method::POST, "/api/v1/login", None, body)
    };
    let wrong = sign_in("moat-and-new-town-six").await;
    assert_eq!((wrong.status, wrong.code().as_str()), (StatusCode::UNAUTHORIZED, "wrong_name_or_password"));
    let right = sign_in(PASSWORD).await;
    assert_eq!(right.status, StatusCode::OK);
    assert_eq!(right.json()["must_change_password"], true);
    let cookie = right.headers[header::SET_COOKIE].to_str().expect("text");
    for word in ["__Host-haohe=", "; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    let cookie = cookie.split(';').next().expect("a pair").to_owned();
    assert_eq!(fixture.get("/api/v1/cameras", &cookie).await.code(), "password_change_due");
    let weak = json!({ "old": PASSWORD, "new": "fresh-password" });
    let weak = fixture.ask(Method::POST, "/api/v1/me/password", Some(&cookie), weak).await;
    assert_eq!((weak.status, weak.code().as_str()), (StatusCode::BAD_REQUEST, "weak_password"));
    let change = json!({ "old": PASSWORD, "new": "a river around the town" });
    let changed = fixture.ask(Method::POST, "/api/v1/me/password", Some(&cookie), change).await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT);
    assert_eq!(fixture.get("/api/v1/cameras", &cookie).await.status, StatusCode::OK);
    let out = fixture.ask(Method::POST, "/api/v1/logout", Some(&cookie), Value::Null).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT);
    assert_eq!(fixture.get("/api/v1/me", &cookie).await.status, StatusCode::UNAUTHORIZED);
    let kinds: Vec<String> =
        fixture.room.node.journal.read(Default::default(), 100).expect("readable").into_iter().map(|entry| entry.kind).collect();
    for kind in ["signin.failed", "signin.succeeded", "signin.ended", "person.password"] {
        assert!(kinds.iter().any(|k| k == kind), "{kind} is in the journal: {kinds:?}");
    }
}

#[tokio::test]
async fn guessing_passwords_is_slowed_down() {
    let fixture = Fixture::new().await;
    let guess = || fixture.ask(Method::POST, "/api/v1/login", None, json!({ "name": "operator", "password": "guess" }));
    for _ in 0..5 {
        assert_eq!(guess().await.status, StatusCode::UNAUTHORIZED);
    }
    let barred = guess().await;
    assert_eq!(barred.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(barred.json()["retry_after_s"].as_u64() >= Some(1) && barred.headers.contains_key(header::RETRY_AFTER));
}

#[tokio::test]
async fn no_pictures_without_a_purpose_and_every_look_is_in_the_register() {
    let fixture = Fixture::new().await;
    let cookie = fixture.cookie("operator");
    let path = "/api/v1/fragments/7/main?from_us=1000000&to_us=2000000";
    assert_eq!(fixture.get(path, &cookie).await.code(), "purpose_missing");
    let evasive = json!({ "category": "duty", "text": "test" });
    let evasive = fixture.ask(Method::PUT, "/api/v1/me/purpose", Some(&cookie), evasive).await;
    assert_eq!(evasive.code(), "purpose_says_nothing");
    fixture.declare(&cookie).await;
    let list = fixture.get(path, &cookie).await;
    assert_eq!((list.status, list.json()), (StatusCode::OK, json!({ "fragments": [] })));
    fixture.get(path, &cookie).await;
    let records = fixture.get("/api/v1/access-records?action=playback", &fixture.cookie("auditor")).await.json();
    let records = records["records"].as_array().expect("a list").clone();
    assert_eq!(records.len(), 1, "one look, however many requests it takes: {records:?}");
    assert_eq!(records[0]["person"], "operator");
    assert_eq!(records[0]["cameras"], json!([7]));
    assert_eq!(records[0]["from"], "192.0.2.99");
    assert_eq!(records[0]["purpose"]["text"], "夜间巡查");
}

#[tokio::test]
async fn what_is_outside_the_scope_does_not_exist() {
    let fixture = Fixture::new().await;
    let cookie = fixture.cookie("gate");
    fixture.declare(&cookie).await;
    let cameras = fixture.get("/api/v1/cameras", &cookie).await.json();
    assert_eq!(cameras["cameras"].as_array().map(Vec::len), Some(1));
    assert_eq!(cameras["cameras"][0]["initials"], "nmgt");
    for path in [
        "/api/v1/coverage?cameras=8&from_us=1000000&to_us=2000000",
        "/api/v1/fragments/8/main?from_us=1000000&to_us=2000000",
        "/api/v1/footage/8/main.mp4?from_us=1000000&to_us=2000000",
        "/api/v1/stills/8?at_us=1000000",
    ] {
        assert_eq!(fixture.get(path, &cookie).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let wants = json!({ "stream": "main", "wants": [{ "camera": 8, "at_us": [1_000_000] }] });
    assert_eq!(fixture.ask(Method::POST, "/api/v1/key-units", Some(&cookie), wants).await.status, StatusCode::NOT_FOUND);
    // A refusal is answered at once and noted soon after.
    let auditor = fixture.cookie("auditor");
    let mut attempts = Vec::new();
    for _ in 0..500 {
        let register = fixture.get("/api/v1/access-records?camera=8", &auditor).await.json();
        attempts = register["records"].as_array().expect("a list").clone();
        if attempts.len() >= 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(attempts.len(), 4, "attempts are noted: {attempts:?}");
    assert!(attempts.iter().all(|attempt| attempt["refused"] == "outside_scope"), "{attempts:?}");
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
async fn a_new_person_signs_in_once_with_a_password_nobody_chose() {
    let fixture = Fixture::new().await;
    let admin = fixture.cookie("admin");
    let person = json!({ "name": "li.ming", "display": "李明", "roles": ["operator"], "scopes": ["everything"] });
    let added = fixture.ask(Method::POST, "/api/v1/people", Some(&admin), person).await;
    assert_eq!(added.status, StatusCode::CREATED);
    let password = added.json()["one_time_password"].as_str().expect("a password").to_owned();
    let signed_in = fixture.ask(Method::POST, "/api/v1/login", None, json!({ "name": "li.ming", "password": password })).await;
    assert_eq!((signed_in.status, signed_in.json()["must_change_password"].clone()), (StatusCode::OK, json!(true)));
    let list = String::from_utf8(fixture.get("/api/v1/people", &admin).await.body).expect("text");
    assert!(list.contains("li.ming") && !list.contains("argon2"), "{list}");
    let cookie = fixture.cookie("li.ming");
    let disable = json!({ "disabled": true });
    assert_eq!(fixture.ask(Method::PUT, "/api/v1/people/li.ming", Some(&admin), disable).await.status, StatusCode::NO_CONTENT);
    assert_eq!(fixture.get("/api/v1/me", &cookie).await.status, StatusCode::UNAUTHORIZED, "a disabled person is out at once");
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
async fn the_ledger_sums_what_the_scope_reaches_and_every_second_has_its_cause() {
    let fixture = Fixture::new().await;
    let now = index::model::UtcMicros::now().as_micros();
    let ask = |person: &'static str, rest: &str| {
        let (from, to) = (now - 2 * 86_400_000_000, now + 86_400_000_000);
        let (path, cookie) = (format!("/api/v1/ledger?from_us={from}&to_us={to}&{rest}"), fixture.cookie(person));
        let fixture = &fixture;
        async move { fixture.get(&path, &cookie).await }
    };
    for (by, rows) in [("camera", 2), ("place", 2), ("room", 1), ("day", 3), ("camera_day", 6), ("place_day", 6)] {
        let answer = ask("operator", &format!("by={by}")).await.json();
        assert_eq!(answer["rows"].as_array().map(Vec::len), Some(rows), "{by}: {answer}");
        assert_eq!((answer["total"]["cameras"].clone(), answer["zone"].clone()), (json!(2), json!("Asia/Shanghai")));
        let sum = |key: &str| answer["rows"].as_array().expect("rows").iter().filter_map(|row| row[key].as_f64()).sum::<f64>();
        for key in ["window_s", "expected_s", "recorded_s", "missing_s"] {
            assert!((sum(key) - answer["total"][key].as_f64().expect("seconds")).abs() < 1e-3, "{by} {key}: {answer}");
        }
        let gaps = answer["total"]["gaps"].as_object().expect("causes").values().filter_map(Value::as_f64).sum::<f64>();
        let known = answer["total"]["window_s"].as_f64().expect("seconds");
        assert!((gaps - known).abs() < 1e-3, "nothing is recorded, and all of it has a cause: {answer}");
        assert!(answer["total"]["gaps"]["unexplained"].is_null(), "{answer}");
    }
    let mine = ask("gate", "by=camera").await.json();
    assert_eq!((mine["rows"][0]["camera"].clone(), mine["total"]["cameras"].clone()), (json!(7), json!(1)));
    assert_eq!(ask("gate", "by=camera&cameras=7,8").await.status, StatusCode::NOT_FOUND);
    assert_eq!(ask("operator", "place=西苑").await.json()["rows"][0]["camera"], json!(8));
    assert_eq!(ask("operator", "by=week").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_camera_that_was_removed_stays_in_the_ledger_of_the_time_before_and_in_no_other() {
    let fixture = Fixture::new().await;
    let admin = fixture.cookie("admin");
    let camera = json!({ "id": 9, "name": "北门", "place": ["东苑"], "main": "rtsp://192.0.2.9/main", "enabled": false });
    assert_eq!(fixture.ask(Method::POST, "/api/v1/cameras", Some(&admin), camera).await.status, StatusCode::CREATED);
    let now = index::model::UtcMicros::now().as_micros();
    // An hour of it is known: it was paused, which is time that somebody answers for.
    let stream = index::model::StreamId::new(9.try_into().expect("a number"), index::model::StreamKind::Main);
    let at = index::model::UtcMicros::from_micros(now - 3_600_000_000);
    fixture.room.node.store.mark(stream, at, index::model::GapCause::Paused, "");
    assert_eq!(fixture.ask(Method::DELETE, "/api/v1/cameras/9", Some(&admin), Value::Null).await.status, StatusCode::NO_CONTENT);
    let removed = index::model::UtcMicros::now().as_micros();
    let ask = |from: i64, to: i64, rest: &str| {
        let (path, cookie) = (format!("/api/v1/ledger?from_us={from}&to_us={to}&{rest}"), fixture.cookie("operator"));
        let fixture = &fixture;
        async move { fixture.get(&path, &cookie).await.json() }
    };
    let before = ask(now - 1_800_000_000, now, "by=camera").await;
    let row = before["rows"].as_array().expect("rows").iter().find(|row| row["camera"] == 9).expect("the removed camera");
    assert_eq!((row["name"].clone(), row["missing_s"].clone()), (json!("北门"), json!(1800.0)));
    assert!(row["removed_us"].as_i64().is_some_and(|at| (now..=removed).contains(&at)), "{row}");
    assert_eq!(before["total"]["cameras"], 3);
    let after = ask(removed + 1_000_000, removed + 2_000_000, "by=camera").await;
    assert_eq!(after["total"]["cameras"], 2, "{after}");
    assert_eq!(ask(now - 1_800_000_000, now, "by=camera&cameras=9").await["total"]["missing_s"], 1800.0);
}

#[tokio::test]
async fn holds_and_erasures_take_two_persons_and_auditors_read_them() {
    let fixture = Fixture::new().await;
    let hash = passwords::hash_now(&Secret::new(PASSWORD)).expect("hashed");
    let second = Person {
        name: "second".to_owned(),
        display: "second".to_owned(),
        unit: String::new(),
        roles: [Role::Admin].into(),
        scopes: vec![Scope::Everything],
        must_change_password: false,
    };
    let account = Account { person: second, password: PasswordHash::new(hash), disabled: false, staff_expires: None };
    fixture.room.node.accounts.add(&Actor::Shell, account).expect("added");
    let now = index::model::UtcMicros::now().as_micros();
    let wish = |expires: bool, cameras: Value| {
        let mut wish = json!({
            "cameras": cameras, "from_us": now - 7_200_000_000i64, "to_us": now - 3_600_000_000i64,
            "reason": "交通事故取证", "authority": "公(交)调证字17号",
        });
        if expires {
            wish["expires_us"] = json!(now + 86_400_000_000);
        }
        wish
    };
    let post = |person: &'static str, path: &'static str, body: Value| {
        let cookie = fixture.cookie(person);
        let fixture = &fixture;
        async move { fixture.ask(Method::POST, path, Some(&cookie), body).await }
    };
    assert_eq!(post("auditor", "/api/v1/holds", wish(true, json!([7]))).await.status, StatusCode::FORBIDDEN);
    assert_eq!(post("gate", "/api/v1/holds", wish(true, json!([7, 8]))).await.status, StatusCode::NOT_FOUND, "outside the scope");
    let asked = post("admin", "/api/v1/holds", wish(true, json!([7]))).await;
    assert_eq!((asked.status, asked.json()["state"].clone()), (StatusCode::CREATED, json!("requested")));
    assert_eq!(post("operator", "/api/v1/holds/1/approve", Value::Null).await.status, StatusCode::FORBIDDEN);
    assert_eq!(post("admin", "/api/v1/holds/1/approve", Value::Null).await.code(), "second_person");
    assert_eq!(post("second", "/api/v1/holds/1/approve", Value::Null).await.json()["state"], "active");
    let read = fixture.get("/api/v1/holds", &fixture.cookie("auditor")).await.json();
    assert_eq!((read["holds"][0]["approved_by"].clone(), read["may"]["request"].clone()), (json!("second"), json!(false)));

    let asked = post("operator", "/api/v1/erasures", wish(false, json!([7]))).await;
    assert_eq!((asked.status, asked.json()["id"].clone()), (StatusCode::CREATED, json!(2)));
    assert_eq!(post("admin", "/api/v1/erasures/2/approve", Value::Null).await.code(), "held", "holds win");
    let ask = post("operator", "/api/v1/holds/1/release", json!({ "reason": "结案" })).await;
    assert_eq!((ask.status, ask.json()["release_requested_by"].clone()), (StatusCode::ACCEPTED, json!("operator")));
    let released = post("admin", "/api/v1/holds/1/release", json!({ "reason": "结案" })).await;
    assert_eq!((released.status, released.json()["state"].clone()), (StatusCode::OK, json!("released")));
    assert_eq!(post("admin", "/api/v1/erasures/2/approve", Value::Null).await.status, StatusCode::OK);
    let done = fixture.get("/api/v1/erasures", &fixture.cookie("auditor")).await.json();
    assert!(matches!(done["erasures"][0]["state"].as_str(), Some("approved" | "done")), "{done}");
    let retention = fixture.get("/api/v1/retention", &fixture.cookie("operator")).await.json();
    assert_eq!((retention["cameras"].as_array().map(Vec::len), retention["breach_us"].clone()), (Some(2), Value::Null));
    assert_eq!(retention["classes"][0]["term_s"], json!(30 * 86_400));
    let kinds: Vec<String> =
        fixture.room.node.journal.read(Default::default(), 1000).expect("readable").into_iter().map(|entry| entry.kind).collect();
    for kind in
        ["hold.requested", "hold.approved", "hold.release_asked", "hold.released", "erasure.requested", "erasure.approved"]
    {
        assert!(kinds.iter().any(|k| k == kind), "{kind} is in the journal: {kinds:?}");
    }
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
