use super::*;
use crate::access::Actor;
use crate::events::{Event, EventId, Events, IndexLimits, Kept, Kind, Reach, Severity};
use crate::model::{CameraId, NodeId};
use std::{collections::BTreeSet, time::Duration};

/// Monday 2027-01-18, 14:00 on the district's clocks.
const MONDAY: i64 = 1_800_252_000;

fn node() -> NodeId {
    NodeId::from_bytes([3; 16])
}

fn at(seconds: i64) -> UtcMicros {
    UtcMicros::from_micros((MONDAY + seconds) * 1_000_000)
}

fn camera(number: u32) -> CameraId {
    CameraId::new(number).expect("a number")
}

type Change = fn(&mut Rule);

fn rule(change: impl FnOnce(&mut Rule)) -> Rule {
    let mut rule = Rule {
        id: RuleId(1),
        name: "越线".into(),
        enabled: true,
        kinds: BTreeSet::from([Kind::LineCrossed]),
        severity: Severity::Info,
        under: Vec::new(),
        cameras: BTreeSet::new(),
        text: String::new(),
        schedule: Schedule::default(),
        urgency: Urgency::High,
        opens_incident: false,
        group_s: 60,
        hold_off_s: 0,
    };
    change(&mut rule);
    rule
}

fn kept(seq: u64, number: u32, seconds: i64) -> Kept {
    let event = Event {
        camera: Some(camera(number)),
        name: "南门岗亭".into(),
        place: vec!["东苑".into(), "南门".into()],
        ..Event::new(at(seconds), Kind::LineCrossed)
    };
    Kept { id: EventId::new(event.time, node(), Seq::new(seq)), node: node(), seq: Seq::new(seq), received: at(seconds), event }
}

/// Events of cameras, `camera@second`, and what becomes of them: `seconds of the begin: camera ×events`.
fn check(rule: Rule, events: &str, expected: &str) {
    let mut state = State::default();
    state.set_rule(rule);
    for (seq, event) in (1..).zip(events.split_whitespace()) {
        let (number, seconds) = event.split_once('@').expect("camera@second");
        state.judge(&kept(seq, number.parse().expect("a number"), seconds.parse().expect("a number")));
    }
    let told = |alarm: &Alarm| {
        let begun = alarm.raised.micros_from(at(0)) / 1_000_000;
        format!("{begun}: {} ×{}", alarm.camera.map_or(0, CameraId::number), alarm.repeats + 1)
    };
    let alarms: Vec<String> = state.alarms_since(0).map(told).collect();
    assert_eq!(alarms.join(", "), expected, "{events}");
}

#[test]
fn a_rule_for_a_camera_is_also_about_an_event_that_took_it_with_others() {
    let together = |cameras: &[u32]| {
        let mut kept = kept(1, 1, 0);
        (kept.event.camera, kept.event.cameras) = (None, cameras.iter().map(|number| camera(*number)).collect());
        kept
    };
    let three = rule(|rule| rule.cameras = [camera(3)].into());
    assert!(three.matches(&together(&[2, 3])) && !three.matches(&together(&[2, 4])) && !three.matches(&together(&[])));
    assert!(rule(|_| {}).matches(&together(&[2, 4])));
}

#[test]
fn repeats_of_one_camera_are_one_alarm_as_long_as_they_follow_each_other() {
    check(rule(|_| {}), "1@0 1@50 1@100 2@101 1@200", "0: 1 ×3, 101: 2 ×1, 200: 1 ×1");
    check(rule(|rule| rule.group_s = 0), "1@0 1@0 1@1", "0: 1 ×1, 0: 1 ×1, 1: 1 ×1");
}

#[test]
fn within_the_hold_off_no_second_alarm_begins() {
    check(
        rule(|rule| (rule.group_s, rule.hold_off_s) = (10, 300)),
        "1@0 1@100 1@290 1@305 1@700",
        "0: 1 ×3, 305: 1 ×1, 700: 1 ×1",
    );
}

#[test]
fn a_rule_holds_for_its_kinds_place_cameras_words_and_hours_only() {
    let event = kept(1, 7, 0);
    let cases: [(&str, Change, bool); 12] = [
        ("as it is", |_| {}, true),
        ("another kind", |rule| rule.kinds = BTreeSet::from([Kind::Motion]), false),
        ("heavier", |rule| rule.severity = Severity::Alarm, false),
        ("its place", |rule| rule.under = vec!["东苑".into()], true),
        ("another place", |rule| rule.under = vec!["西苑".into()], false),
        ("below its place", |rule| rule.under = vec!["东苑".into(), "南门".into(), "岗亭".into()], false),
        ("another camera", |rule| rule.cameras = BTreeSet::from([camera(8)]), false),
        ("its words", |rule| rule.text = "岗亭 LINE".into(), true),
        ("other words", |rule| rule.text = "岗亭 烟".into(), false),
        ("its hour", |rule| (rule.schedule.from_hour, rule.schedule.to_hour) = (14, 14), true),
        ("the night", |rule| (rule.schedule.from_hour, rule.schedule.to_hour) = (22, 6), false),
        ("the weekend", |rule| rule.schedule.days = [false, false, false, false, false, true, true], false),
    ];
    for (name, change, matches) in cases {
        assert_eq!(rule(change).matches(&event), matches, "{name}");
    }
    let mut late = event;
    late.received = at(601);
    assert!(!rule(|_| {}).matches(&late), "what a box tells an hour later is found and rings nobody");
}

#[test]
fn a_rule_without_bounds_is_refused() {
    let refused: [(Change, RuleError); 5] = [
        (|rule| rule.name = " ".into(), RuleError::Name),
        (|rule| rule.kinds.clear(), RuleError::Kinds),
        (|rule| rule.text = "长".repeat(61), RuleError::Text),
        (|rule| rule.schedule.to_hour = 24, RuleError::Schedule),
        (|rule| rule.hold_off_s = 86_401, RuleError::Seconds),
    ];
    for (change, error) in refused {
        assert_eq!(rule(change).check(), Err(error));
    }
    assert_eq!(rule(|_| {}).check(), Ok(()));
}

#[test]
fn alarms_beyond_the_bound_push_the_oldest_out_acknowledged_ones_first() {
    let mut state = State::default();
    state.set_rule(rule(|rule| rule.group_s = 0));
    for seq in 1..=MAX_ALARMS as u64 + 5 {
        state.judge(&kept(seq, 1, 0));
    }
    assert_eq!((state.alarms_since(0).count(), state.shed()), (MAX_ALARMS, 5));
    assert_eq!(state.alarms_since(0).next().map(|alarm| alarm.id.event), Some(Seq::new(6)));
}

struct Room {
    dir: tempfile::TempDir,
    journal: Arc<Journal>,
}

impl Room {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::open(&dir.path().join("journal"), node()).expect("a journal");
        Self { dir, journal }
    }

    fn alarms(&self) -> Alarms {
        Alarms::open(&self.dir.path().join("alarms.json"), Arc::clone(&self.journal), |_| {}).expect("a thread")
    }

    fn crossing(&self, number: u32) {
        let now = UtcMicros::now();
        let event = Event { camera: Some(camera(number)), ..Event::new(now, Kind::LineCrossed) };
        self.journal.append(event.into_record(now)).wait().expect("durable");
    }

    fn raised(&self) -> usize {
        self.journal.read(Seq::new(1), 10_000).expect("readable").iter().filter(|entry| entry.kind == "alarm.raised").count()
    }
}

fn until(what: &str, met: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !met() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn an_event_that_a_rule_is_about_raises_one_alarm_that_one_person_acknowledges() {
    let room = Room::new();
    let alarms = room.alarms();
    let id = alarms.set_rule(&Actor::Shell, rule(|rule| rule.id = RuleId::default())).expect("taken");
    room.crossing(7);
    until("the alarm stands in the journal", || room.raised() == 1);
    let alarm = alarms.state().alarms_since(0).next().cloned().expect("an alarm");
    assert_eq!((alarm.id.rule, alarm.camera, &alarm.acknowledged), (id, Some(camera(7)), &None));
    alarms.acknowledge(&Actor::Shell, "wang", alarm.id).expect("acknowledged");
    assert!(matches!(alarms.acknowledge(&Actor::Shell, "li", alarm.id), Err(AlarmError::Acknowledged(first)) if first == "wang"));
    let seen = alarms.state().alarm(alarm.id).and_then(|alarm| alarm.acknowledged.clone()).expect("acknowledged");
    assert_eq!(seen.0, "wang");
    alarms.remove_rule(&Actor::Shell, id).expect("removed");
    room.crossing(8);
    until("the journal was read", || alarms.cursor() == room.journal.tail());
    assert_eq!(room.raised(), 1, "a rule that is gone calls nobody");
    assert!(matches!(alarms.remove_rule(&Actor::Shell, id), Err(AlarmError::Rule(RuleError::Unknown))));
}

#[test]
fn after_a_crash_no_alarm_is_lost_or_raised_twice_and_a_rebuild_is_the_same_state() {
    let room = Room::new();
    let file = room.dir.path().join("alarms.json");
    let alarms = room.alarms();
    alarms.set_rule(&Actor::Shell, rule(|rule| (rule.id, rule.group_s) = (RuleId::default(), 0))).expect("taken");
    for number in 1..=5 {
        room.crossing(number);
    }
    until("all are raised", || room.raised() == 5 && alarms.cursor() == room.journal.tail());
    alarms.close();
    let before = std::fs::read(&file).expect("kept");
    // What happens between the file and the crash is read from the journal again.
    let alarms = room.alarms();
    room.crossing(6);
    until("it is raised", || room.raised() == 6 && alarms.cursor() == room.journal.tail());
    let whole: Vec<Alarm> = alarms.state().alarms_since(0).cloned().collect();
    alarms.close();
    for kept in [Some(&before), None] {
        match kept {
            Some(bytes) => std::fs::write(&file, bytes).expect("put back"),
            None => std::fs::remove_file(&file).expect("removed"),
        }
        let alarms = room.alarms();
        until("the journal was read", || alarms.cursor() == room.journal.tail());
        assert_eq!(alarms.state().alarms_since(0).cloned().collect::<Vec<_>>(), whole);
        alarms.close();
        assert_eq!(room.raised(), 6, "A1");
    }
}

#[test]
fn an_event_that_was_durable_before_a_crash_and_not_judged_is_judged_after_it() {
    let room = Room::new();
    let alarms = room.alarms();
    alarms.set_rule(&Actor::Shell, rule(|rule| rule.id = RuleId::default())).expect("taken");
    alarms.close();
    room.crossing(7);
    let _alarms = room.alarms();
    until("it is raised", || room.raised() == 1);
}

#[test]
fn a_rules_rate_is_what_it_would_have_raised_over_the_last_days() {
    let room = Room::new();
    let events =
        Events::open(&room.dir.path().join("events"), Arc::clone(&room.journal), IndexLimits::default()).expect("an index");
    let now = UtcMicros::now();
    let hours = |count: i64| UtcMicros::from_micros(now.as_micros() - count * 3_600_000_000);
    for (number, time) in [(1, hours(50)), (1, hours(49)), (2, hours(2)), (3, hours(1)), (1, hours(300))] {
        let event = Event { camera: Some(camera(number)), ..Event::new(time, Kind::LineCrossed) };
        // Heard of when it happened.
        room.journal.append(event.into_record(time)).wait().expect("durable");
    }
    assert!(events.wait_indexed(room.journal.tail(), Duration::from_secs(60)));
    let alarms = |change: fn(&mut Rule)| {
        let rate = rate(&events, Reach::Everything, &rule(change), now).expect("an answer");
        let sums = rate.days.iter().fold((0, 0), |(events, alarms), day| (events + day.1, alarms + day.2));
        (sums, rate.alarms_per_day.map(|per_day| (per_day * 7.0).round()))
    };
    assert_eq!(alarms(|rule| rule.group_s = 60), ((4, 4), Some(4.0)));
    assert_eq!(alarms(|rule| rule.hold_off_s = 7_200), ((4, 3), Some(3.0)));
    assert_eq!(alarms(|rule| rule.cameras = BTreeSet::from([camera(3)])), ((1, 1), Some(1.0)));
}
