//! The ledger, holds and erasures, as they are asked for.

use super::*;

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
