use super::*;
use index::{
    model::{CameraId, UtcMicros},
    motion::{Found, Look},
};

const BEGIN: i64 = 1_795_000_000_000_000;

/// A quarter of an hour of camera 7: something moved in cell 40 from the 100th to the 120th second, and in cell 300 from the 500th.
fn film(fixture: &Fixture) {
    for second in (0..900).step_by(2) {
        let cells = match second {
            102..=120 => vec![40],
            502..=504 => vec![300],
            _ => vec![],
        };
        let found = Found::Moved { cells: cells.into_iter().collect(), since: Duration::from_secs(2) };
        let look = Look { at: UtcMicros::from_micros(BEGIN + second * 1_000_000), found };
        fixture.room.node.motion.note(CameraId::new(7).expect("a number"), look);
    }
}

#[tokio::test]
async fn a_region_is_searched_by_whoever_may_search_with_coverage_and_an_access_record() {
    let fixture = Fixture::new().await;
    film(&fixture);
    let cookie = fixture.cookie("gate");
    let range = format!("from_us={BEGIN}&to_us={}", BEGIN + 1_200_000_000);
    let path = format!("/api/v1/motion?cameras=7&{range}&cells=40-41");
    assert_eq!(fixture.get(&path, &cookie).await.code(), "purpose_missing");
    fixture.declare(&cookie).await;
    let answer = fixture.get(&path, &cookie).await.json();
    let span = &answer["spans"][0];
    assert_eq!((span["camera"].as_u64(), span["pictures"].as_u64()), (Some(7), Some(10)), "{answer}");
    assert_eq!((span["from_us"].as_i64(), span["to_us"].as_i64()), (Some(BEGIN + 100_000_000), Some(BEGIN + 120_000_000)));
    assert_eq!((answer["spans"].as_array().map(Vec::len), &answer["next"]), (Some(1), &Value::Null));
    let seen = &answer["coverage"]["cameras"][0];
    assert!(seen["share"].as_f64().is_some_and(|share| (share - 0.75).abs() < 0.01), "{answer}");
    assert_eq!(seen["unseen"][0][1].as_i64(), Some(BEGIN + 1_200_000_000), "nobody looked after the film ended");
    let polygon = format!("/api/v1/motion?cameras=7&{range}&polygon=0,0,1,0,1,1,0,1&limit=1");
    let first = fixture.get(&polygon, &cookie).await.json();
    let next = first["next"].as_str().expect("there is one more").to_owned();
    let second = fixture.get(&format!("{polygon}&after={next}"), &cookie).await.json();
    assert_eq!(first["spans"][0]["from_us"].as_i64(), Some(BEGIN + 500_000_000));
    assert_eq!((second["spans"][0]["from_us"].as_i64(), &second["next"]), (Some(BEGIN + 100_000_000), &Value::Null));
    let records = fixture.get("/api/v1/access-records?action=search", &fixture.cookie("auditor")).await.json();
    let records = records["records"].as_array().expect("a list").clone();
    assert_eq!(records.len(), 2, "one for each question, none for a page: {records:?}");
}

#[tokio::test]
async fn cameras_out_of_scope_and_wrong_questions_are_refused() {
    let fixture = Fixture::new().await;
    let cookie = fixture.cookie("gate");
    fixture.declare(&cookie).await;
    let range = format!("from_us={BEGIN}&to_us={}", BEGIN + 1_000_000);
    for path in ["motion?cameras=8&", "motion?cameras=7,8&", "motion/density?cameras=8&", "motion?cameras=99&"] {
        let answer = fixture.get(&format!("/api/v1/{path}{range}"), &cookie).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    let wrong = ["cells=576", "polygon=0,0,2,2", "cells=1&polygon=0,0,1,1", "order=up", "after=x"];
    for wrong in wrong {
        let answer = fixture.get(&format!("/api/v1/motion?cameras=7&{range}&{wrong}"), &cookie).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let long = format!("/api/v1/motion?cameras=7&from_us=0&to_us={BEGIN}");
    assert_eq!(fixture.get(&long, &cookie).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn density_tells_how_much_moved_and_where_nobody_looked() {
    let fixture = Fixture::new().await;
    film(&fixture);
    let cookie = fixture.cookie("operator");
    fixture.declare(&cookie).await;
    let path = format!("/api/v1/motion/density?cameras=7&from_us={BEGIN}&to_us={}&columns=12", BEGIN + 1_200_000_000);
    let moved = fixture.get(&path, &cookie).await.json()["rows"][0]["moved"].clone();
    assert_eq!(moved, json!([0, 20, 0, 0, 0, 4, 0, 0, 0, -1, -1, -1]));
    let health = fixture.get("/api/v1/health", &cookie).await.json();
    assert_eq!(health["pictures"]["motion_lost"], 0);
}
