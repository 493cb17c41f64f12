use super::*;
use crate::{
    alarms::AlarmId,
    events::{Event, Kind},
    journal::{Copies, CopyLimits, Gathered, History, Journal, MAX_BATCH_BYTES, Record, Seen, Seq},
    model::{CameraId, NodeId, UtcMicros, Window},
};
use proptest::prelude::*;
use serde_json::json;
use std::{sync::Arc, time::Duration};

const DAY_US: i64 = 86_400_000_000;

fn node(number: u8) -> NodeId {
    NodeId::from_bytes([number; 16])
}

/// The n-th day of a November and its window.
fn november(n: i8) -> (Day, Window) {
    let from = UtcMicros::from_micros(1_793_462_400_000_000 + i64::from(n - 1) * DAY_US);
    (Day(jiff::civil::date(2026, 11, n)), Window::new(from, from + Duration::from_micros(DAY_US as u64)))
}

fn at(day: i8, secs: u64) -> UtcMicros {
    november(day).1.from + Duration::from_secs(secs)
}

/// An alarm of this number, raised then, as it stands in the journal.
fn raised(number: u64, kind: &str, when: UtcMicros) -> Record {
    let id = AlarmId { event: Seq::new(number), rule: serde_json::from_value(json!(1)).expect("a rule") };
    let event = crate::events::EventId::new(when, node(1), Seq::new(number)).to_string();
    let body = json!({
        "id": id, "event": event, "rule_name": "r", "urgency": "high", "kind": kind, "camera": 1, "name": "n", "place": [],
        "at": when, "raised": when, "last": when, "repeats": 0, "acknowledged": null,
    });
    Record::new(when, "alarm.raised", body)
}

fn acknowledged(number: u64, when: UtcMicros) -> Record {
    Record::new(when, "alarm.acknowledged", json!({ "alarm": format!("{number}-1"), "by": "w" }))
}

fn picture(kind: Kind, when: UtcMicros) -> Record {
    Event { camera: CameraId::new(7).ok(), ..Event::new(when, kind) }.into_record(when)
}

fn facts(records: &[Record]) -> Facts {
    let mut facts = Facts::default();
    for (n, record) in (1..).zip(records) {
        let body = serde_json::to_vec(&record.body).expect("JSON");
        facts.take(node(1), Seen { seq: Seq::new(n), at: record.at, kind: &record.kind, body: &body });
    }
    facts
}

fn figures(recorded_us: u64) -> Figures {
    Figures { cameras: 1, expected_us: DAY_US as u64, recorded_us, watched_us: DAY_US as u64, ..Figures::default() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_median_and_a_p95_over_rooms_are_those_of_all_incidents_together(
        rooms in prop::collection::vec(prop::collection::vec(0_u64..4_000_000, 0..60), 1..6),
    ) {
        let mut sum = Spread::default();
        let mut all = Vec::new();
        for room in &rooms {
            let mut spread = Spread::default();
            room.iter().for_each(|secs| spread.count(Duration::from_secs(*secs)));
            sum.add(&spread);
            all.extend(room.iter().map(|secs| Spread::class(Duration::from_secs(*secs))));
        }
        all.sort_unstable();
        for percent in [50, 95, 100] {
            let rank = (all.len() * percent).div_ceil(100).max(1);
            prop_assert_eq!(sum.percentile(percent as u32), all.get(rank - 1).copied());
        }
    }

    #[test]
    fn a_statement_comes_back_from_its_records_however_many_it_takes(
        times in prop::collection::vec(prop::collection::vec(0_u64..90_000, 0..2500), 1..6),
    ) {
        let mut incidents = Incidents::default();
        for (n, times) in times.iter().enumerate() {
            let of = incidents.0.entry(format!("kind{n}")).or_default();
            of.raised = times.len() as u64;
            times.iter().for_each(|secs| of.close.count(Duration::from_secs(*secs)));
        }
        let (day, window) = november(3);
        let statement = Statement { day, window, revision: 4, figures: figures(7), incidents };
        let mut book = Book::new(node(9));
        for (n, record) in (1..).zip(statement.records("Asia/Shanghai", window.to)) {
            let body = serde_json::to_vec(&record.body).expect("JSON");
            prop_assert!(body.len() < crate::journal::MAX_BODY);
            book.take(node(1), Seen { seq: Seq::new(n), at: record.at, kind: &record.kind, body: &body });
        }
        prop_assert_eq!(book.stated(node(1), day), Some(&statement));
        let kept: Book = serde_json::from_slice(&serde_json::to_vec(&book).expect("JSON")).expect("the same");
        prop_assert_eq!(kept, book);
    }
}

#[test]
fn times_are_counted_in_seconds_then_minutes_then_hours_and_never_as_shorter_than_they_were() {
    let class = |millis| Spread::class(Duration::from_millis(millis));
    assert_eq!([class(0), class(1), class(1000), class(600_000), class(600_001)], [0, 1, 1, 600, 660]);
    assert_eq!([class(86_400_000), class(86_400_001), class(u64::MAX)], [86_400, 90_000, 31 * 86_400]);
    let classes: std::collections::BTreeSet<u32> =
        (0..=31 * 86_400).map(|secs| Spread::class(Duration::from_secs(secs))).collect();
    assert_eq!(classes.len(), Spread::CLASSES);
}

#[test]
fn an_incident_counts_on_the_day_it_was_raised_with_what_was_done_later() {
    let (_, window) = november(3);
    let facts = facts(&[
        raised(1, "line.crossed", at(3, 86_390)),
        raised(2, "line.crossed", at(3, 10)),
        raised(3, "fire", at(4, 5)),
        acknowledged(1, at(4, 20)),
        acknowledged(1, at(4, 50)),
        acknowledged(9, at(4, 60)),
    ]);
    let incidents = facts.incidents(window);
    let lines = &incidents.0["line.crossed"];
    assert_eq!(
        (lines.raised, lines.acknowledge.len(), lines.acknowledge.percentile(50)),
        (2, 1, Some(30)),
        "the first one counts"
    );
    assert_eq!(incidents.0.len(), 1);
    assert_eq!(facts.incidents(november(4).1).0["fire"].acknowledge.percentile(50), None);
}

#[test]
fn an_incident_and_the_alarm_that_opened_it_are_one_and_what_is_done_above_counts_too() {
    use crate::incidents::{Author, CloseCode, Deed, Handed, IncidentId, Limits, Opening, Priority, Told, What, Who};
    let id = IncidentId { node: node(1), seq: Seq::new(2) };
    let by = Author::Person(Who { name: "w".into(), display: "W".into() });
    let told = |home, secs, what| Told { home, at: at(3, secs), tier: crate::model::Tier::Room, by: by.clone(), what };
    let limits = Limits { acknowledge_s: 60, verify_s: 60, dispatch_s: 60, arrive_s: 60 };
    let opening = |alarm: Option<u64>| Opening {
        number: "1103-0001".into(),
        priority: Priority::P1,
        kind: Some(Kind::Fire),
        text: Default::default(),
        camera: None,
        name: String::new(),
        place: Vec::new(),
        happened: at(3, 0),
        event: None,
        alarm: alarm.map(|n| AlarmId { event: Seq::new(n), rule: serde_json::from_value(json!(1)).expect("a rule") }),
        limits,
    };
    let moved = |secs, deed| told(node(1), secs, What::Moved { incident: id, seen: Default::default(), deed });
    let above = Handed { at: Seq::new(1), node: node(5), seq: Seq::new(9), told: moved(300, Deed::Arrive) };
    let facts = facts(&[
        raised(1, "fire", at(3, 10)),
        told(node(1), 11, What::Opened(Box::new(opening(Some(1))))).record(at(3, 11)),
        Record::new(at(3, 310), "incident.received", json!({ "via": node(5), "handed": above })),
        moved(400, Deed::Close { code: CloseCode::Handled }).record(at(3, 400)),
        acknowledged(1, at(3, 40)),
        told(node(6), 50, What::Opened(Box::new(opening(None)))).record(at(3, 50)),
    ]);
    let fires = &facts.incidents(november(3).1).0["fire"];
    assert_eq!(fires.raised, 1, "and another node's is in that node's report");
    let middle = [&fires.acknowledge, &fires.arrive, &fires.close].map(|of| of.percentile(50));
    assert_eq!(middle, [Some(30), Some(290), Some(390)]);
}

#[test]
fn a_fault_of_a_picture_lasts_until_it_is_good_and_a_restart_does_not_make_two_of_one() {
    let started = |when| Record::new(when, "node.started", json!({}));
    let facts = facts(&[
        picture(Kind::PictureBlack, at(3, 1000)),
        started(at(3, 2000)),
        picture(Kind::PictureBlack, at(3, 2060)),
        picture(Kind::PictureGood, at(3, 3000)),
        started(at(3, 5000)),
        picture(Kind::PictureBlurred, at(3, 86_000)),
        picture(Kind::PictureGood, at(4, 100)),
    ]);
    let told = |day| {
        let mut figures = Figures::default();
        facts.add_faults(november(day).1, &mut figures);
        (figures.all_faults(), figures.faulty_us / 1_000_000)
    };
    assert_eq!(told(3), (2, 2000 + 400));
    assert_eq!(told(4), (0, 100));
}

#[test]
fn a_day_is_stated_when_it_is_over_once_and_again_only_when_something_changed_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Journal::open(&dir.path().join("journal"), node(1)).expect("a journal");
    let days = [november(2), november(3), november(4)];
    let open = || Reports::open(&dir.path().join("reports.json"), Arc::clone(&journal), None).expect("it opens");
    let state = |reports: &Reports, now, recorded| reports.state(&days, "UTC", now, |_| figures(recorded)).expect("stated");
    let reports = open();
    assert_eq!(state(&reports, at(3, 600), 5), 1, "the second is over, and no other");
    assert_eq!(state(&reports, at(3, 700), 5), 0);
    assert_eq!(state(&open(), at(3, 800), 5), 0, "nor after a crash that lost all but the journal");
    assert_eq!(state(&reports, at(3, 900), 6), 1, "the ledger knows better");
    journal.append(raised(1, "fire", at(2, 50))).wait().expect("durable");
    journal.append(acknowledged(1, at(3, 900))).wait().expect("durable");
    assert_eq!(state(&reports, at(3, 1000), 6), 1, "somebody came");
    let stated = reports.book().stated(node(1), november(2).0).cloned().expect("stated");
    assert_eq!((stated.revision, stated.figures.recorded_us, stated.incidents.all().acknowledge.len()), (3, 6, 1));
    assert_eq!(state(&reports, at(9, 0), 1), 2, "the two other days");
    let stands = reports.book().stated(node(1), november(2).0).cloned();
    assert_eq!(stands.as_ref(), Some(&stated), "what is deleted at its term changes no report");
    reports.keep().expect("kept");
    let rebuilt = Reports::open(&dir.path().join("other.json"), Arc::clone(&journal), None).expect("it opens");
    rebuilt.catch_up().expect("read");
    let kept = open();
    kept.catch_up().expect("read");
    assert_eq!(*kept.book(), *rebuilt.book(), "I7");
}

#[test]
fn what_a_centre_sums_is_what_its_rooms_state_and_a_day_that_is_missing_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let centre = Journal::open(&dir.path().join("centre"), node(100)).expect("a journal");
    let copies = Arc::new(Copies::open(&dir.path().join("copies"), CopyLimits::default()).expect("copies"));
    let reports = Reports::open(&dir.path().join("c.json"), centre, Some(Arc::clone(&copies))).expect("it opens");
    let mut rooms = Sum::default();
    for number in 1..=3 {
        let journal = Journal::open(&dir.path().join(number.to_string()), node(number)).expect("a journal");
        let room = Reports::open(&dir.path().join(format!("{number}.json")), Arc::clone(&journal), None).expect("it opens");
        journal.append(raised(1, "fire", at(2, 50))).wait().expect("durable");
        journal.append(acknowledged(1, at(2, 60 * u64::from(number)))).wait().expect("durable");
        for recorded in [7, 70 + u64::from(number)] {
            room.state(&[november(2)], "UTC", at(3, 600), |_| figures(recorded)).expect("stated");
        }
        rooms.take(room.book().stated(node(number), november(2).0).expect("stated"));
        let copy = copies.of(node(number)).expect("a copy");
        while let (tail, hash) = copy.head()
            && let Gathered::Batch(batch) = journal.gather(tail, hash, MAX_BATCH_BYTES).expect("readable")
        {
            copy.apply(&batch).expect("it follows");
        }
    }
    reports.catch_up().expect("read");
    let mut sum = Sum::default();
    let book = reports.book();
    for room in book.nodes() {
        for (day, _) in [november(2), november(3)] {
            match book.stated(room, day) {
                Some(statement) => sum.take(statement),
                None => sum.missing.push(day),
            }
        }
    }
    assert_eq!((&sum.figures, &sum.incidents, sum.days), (&rooms.figures, &rooms.incidents, 3));
    assert_eq!(sum.figures.recorded_us, 71 + 72 + 73, "the newest revision of each");
    assert_eq!(sum.incidents.all().acknowledge.percentile(50), Some(70));
    assert_eq!(sum.missing, [november(3).0; 3]);
}

#[test]
fn what_a_peer_states_that_no_node_would_is_passed_over() {
    let (day, window) = november(3);
    let good = json!({"day": day, "from_us": window.from, "to_us": window.to, "revision": 1, "part": 1, "parts": 1,
        "figures": {"expected_us": 5}, "raised": {"fire": 1}, "took": [{"kind": "fire", "step": "close", "times": {"60": 1}}]});
    let taken = |name: &str, value: serde_json::Value| {
        let mut body = good.clone();
        if !name.is_empty() {
            body[name] = value;
        }
        let mut book = Book::new(node(9));
        let body = serde_json::to_vec(&body).expect("JSON");
        book.take(node(1), Seen { seq: Seq::new(1), at: window.to, kind: "report.day", body: &body });
        book.stated(node(1), day).is_some()
    };
    assert!(taken("", json!(null)));
    for (name, value) in [
        ("part", json!(2)),
        ("parts", json!(0)),
        ("parts", json!(2)),
        ("revision", json!(0)),
        ("to_us", json!(window.from)),
        ("day", json!("yesterday")),
        ("figures", json!({"expected_us": -1})),
        ("raised", json!({"x".repeat(65): 1})),
        ("took", json!([{"kind": "fire", "step": "close", "times": {"601": 1}}])),
        ("took", json!([{"kind": "fire", "step": "close", "times": {"60": 0}}])),
    ] {
        assert!(!taken(name, value.clone()), "{name} {value}");
    }
}

#[test]
fn ranks_are_shared_by_equals_and_nobody_is_ranked_by_nothing() {
    let sum = |recorded, expected| Sum {
        figures: Figures { recorded_us: recorded, expected_us: expected, ..Figures::default() },
        ..Sum::default()
    };
    let sums = [sum(2, 3), sum(9, 9), sum(200_000_000_000_000, 300_000_000_000_000), sum(0, 0), sum(1, 3)];
    let sums: Vec<&Sum> = sums.iter().collect();
    assert_eq!(rank(Measure::Completeness, &sums), [Some(2), Some(1), Some(2), None, Some(4)]);
    assert_eq!(rank(Measure::Acknowledge, &sums), [None; 5]);
}

#[test]
fn weeks_begin_on_monday_and_periods_end_where_the_question_does() {
    let told = |step, from: &str, to: &str| {
        let days = (from.parse().expect("a day"), to.parse().expect("a day"));
        let periods = periods(days.0, days.1, step, 400).expect("periods");
        periods.iter().map(|period| format!("{}..{} {}", period.from, period.to, period.days.len())).collect::<Vec<_>>()
    };
    assert_eq!(told(Step::Week, "2026-11-22", "2026-11-24"), ["2026-11-22..2026-11-22 1", "2026-11-23..2026-11-24 2"]);
    assert_eq!(told(Step::Month, "2026-10-30", "2026-11-02"), ["2026-10-30..2026-10-31 2", "2026-11-01..2026-11-02 2"]);
    assert_eq!(told(Step::Day, "2026-02-28", "2026-03-01").len(), 2);
    let day = |text: &str| text.parse::<Day>().expect("a day");
    assert_eq!(periods(day("2026-11-02"), day("2026-11-01"), Step::Day, 400), None);
    assert_eq!(periods(day("2020-11-02"), day("2026-11-01"), Step::Day, 400), None);
}
