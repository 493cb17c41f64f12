//! Who may ask for what: roles, scopes, sign-in, purposes.

use super::*;

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
