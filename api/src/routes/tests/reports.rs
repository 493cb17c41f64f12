//! Reports: what is answered, to whom, and what is taken out.

use super::*;
use index::{
    journal::Record,
    model::UtcMicros,
    reports::{Day, Figures},
};

/// A room that stated the first of November 2026, and in which an alarm was acknowledged.
async fn stated() -> Fixture {
    let fixture = Fixture::new().await;
    let node = &fixture.room.node;
    let from = UtcMicros::from_micros(1_793_462_400_000_000 - 8 * 3_600_000_000);
    let window = index::model::Window::new(from, from + Duration::from_secs(86_400));
    let raised = from + Duration::from_secs(100);
    let alarm = json!({
        "id": "5-1", "event": index::events::EventId::new(raised, node.id, index::journal::Seq::new(5)).to_string(), "rule_name": "r",
        "urgency": "high", "kind": "fire", "camera": 7, "name": "<b>门</b>", "place": [], "at": raised, "raised": raised, "last": raised,
        "repeats": 0, "acknowledged": null,
    });
    node.note("alarm.raised", alarm).await.expect("noted");
    let acknowledged = Record::new(raised + Duration::from_secs(42), "alarm.acknowledged", json!({ "alarm": "5-1", "by": "w" }));
    node.journal.append(acknowledged).wait().expect("durable");
    let figures = Figures { cameras: 2, expected_us: 172_800_000_000, recorded_us: 172_799_999_999, ..Figures::default() };
    let day = (Day(jiff::civil::date(2026, 11, 1)), window);
    let now = window.to + Duration::from_secs(3600);
    node.reports.state(&[day], "Asia/Shanghai", now, |_| figures.clone()).expect("stated");
    fixture
}

const NOVEMBER: &str = "from=2026-11-01&to=2026-11-02";

#[tokio::test(flavor = "multi_thread")]
async fn a_report_says_what_was_stated_and_what_is_missing_with_its_definitions() {
    let fixture = stated().await;
    let report = fixture.get(&format!("/api/v1/reports?{NOVEMBER}&step=week"), &fixture.cookie("auditor")).await;
    assert_eq!(report.status, StatusCode::OK, "{}", report.json());
    let report = report.json();
    let row = &report["periods"][0]["rows"][0];
    assert_eq!(row["figures"]["recorded_us"], 172_799_999_999_i64, "to the microsecond");
    assert_eq!((&row["ranks"]["completeness"], &row["days"]), (&json!(1), &json!(1)));
    assert_eq!(row["all"]["acknowledge"], json!({ "count": 1, "median_s": 42, "p95_s": 42 }));
    assert_eq!(row["incidents"][0]["kind"], "fire");
    for measure in ["completeness", "online", "retention", "faults", "acknowledge", "percentiles", "rank", "sums"] {
        assert!(!report["definitions"][measure]["zh"].is_null(), "{measure}");
    }
    assert_eq!(report["periods"].as_array().map(Vec::len), Some(2), "a Sunday and a Monday are two weeks");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reaches_a_part_of_the_site_gets_no_report_of_all_of_it() {
    let fixture = stated().await;
    for format in ["", ".csv", ".html"] {
        let refused = fixture.get(&format!("/api/v1/reports{format}?{NOVEMBER}"), &fixture.cookie("gate")).await;
        assert_eq!((refused.status, refused.json()["field"].clone()), (StatusCode::FORBIDDEN, json!("whole_site_needed")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_out_is_noted_first_and_nothing_in_it_is_markup() {
    let fixture = stated().await;
    let operator = fixture.cookie("operator");
    let csv = fixture.get(&format!("/api/v1/reports.csv?{NOVEMBER}"), &operator).await;
    let csv = String::from_utf8(csv.body).expect("text");
    assert!(csv.starts_with('\u{feff}') && csv.contains("\"172799.999999\"") && csv.contains("\"42 / 42\""), "{csv}");
    let page = fixture.get(&format!("/api/v1/reports.html?{NOVEMBER}&lang=en"), &operator).await;
    let page = String::from_utf8(page.body).expect("text");
    assert!(page.contains("99.99 %") && !page.contains("100.00 %"), "what is not whole is not 100 %: {page}");
    assert!(!page.contains("<b>门") && page.contains("0:42 / 0:42"));
    assert_eq!(fixture.get("/api/v1/reports.css", &operator).await.status, StatusCode::OK);
    let notes = fixture.room.node.journal.read(Default::default(), 200).expect("readable");
    let taken: Vec<_> = notes.iter().filter(|entry| entry.kind == "report.taken").map(|entry| &entry.body["format"]).collect();
    assert_eq!(taken, [&json!("csv"), &json!("html")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_makes_no_sense_is_refused_with_the_field() {
    let fixture = stated().await;
    let operator = fixture.cookie("operator");
    for (query, field) in [
        ("from=x&to=2026-11-02", "from"),
        ("from=2026-11-02&to=2026-11-01", "to"),
        ("from=2020-11-02&to=2026-11-01", "to"),
        ("from=2026-11-01&to=2026-11-02&step=year", "step"),
        ("from=2026-11-01&to=2026-11-02&level=city", "level"),
        ("from=2026-11-01&to=2026-11-02&under=x", "under"),
    ] {
        let refused = fixture.get(&format!("/api/v1/reports?{query}"), &operator).await;
        assert_eq!((refused.status, refused.json()["field"].clone()), (StatusCode::BAD_REQUEST, json!(field)), "{query}");
    }
    let other = "/api/v1/reports?from=2026-11-01&to=2026-11-02&under=00000000-0000-0000-0000-000000000009";
    assert_eq!(fixture.get(other, &operator).await.status, StatusCode::NOT_FOUND);
}
