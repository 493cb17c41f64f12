//! The index as its users see it, on a real journal and real files.

mod several;
mod ways;

use super::*;
use crate::journal::Record;
use crate::model::{CameraId, NodeId, UtcMicros};
use serde_json::json;
use std::{collections::BTreeSet, path::PathBuf};

const LONG: Duration = Duration::from_secs(240);
/// The span of all tests' events: a week around the time that the tests run.
fn week() -> Window {
    let now = UtcMicros::now().as_micros();
    Window::new(UtcMicros::from_micros(now - 6 * 86_400_000_000), UtcMicros::from_micros(now + 86_400_000_000))
}

struct Room {
    dir: tempfile::TempDir,
    journal: Arc<Journal>,
}

impl Room {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::open(&dir.path().join("journal"), NodeId::from_bytes([5; 16])).expect("a journal");
        Self { dir, journal }
    }

    fn index(&self) -> PathBuf {
        self.dir.path().join("events")
    }

    fn open(&self) -> Events {
        Events::open(&self.index(), Arc::clone(&self.journal), IndexLimits::default()).expect("an index")
    }

    /// An index that knows all that the journal has.
    fn current(&self) -> Events {
        let events = self.open();
        assert!(events.wait_indexed(self.journal.tail(), LONG), "the index follows");
        events
    }

    fn tell(&self, events: Vec<Event>) {
        let now = UtcMicros::now();
        let tickets: Vec<_> = events.into_iter().map(|event| self.journal.append(event.into_record(now))).collect();
        for ticket in tickets {
            ticket.wait().expect("durable");
        }
    }
}

fn ago(seconds: i64) -> UtcMicros {
    UtcMicros::from_micros(UtcMicros::now().as_micros() - seconds * 1_000_000)
}

fn seen(camera: u32, name: &str, kind: Kind, seconds_ago: i64) -> Event {
    Event {
        camera: CameraId::new(camera).ok(),
        name: name.into(),
        place: vec!["东苑社区".into(), "3号楼".into()],
        ..Event::new(ago(seconds_ago), kind)
    }
}

fn gate() -> Vec<Event> {
    vec![
        seen(1, "南门岗亭", Kind::LineCrossed, 50),
        seen(1, "南门岗亭", Kind::Motion, 40),
        seen(2, "北门车库", Kind::LineCrossed, 30),
        seen(3, "濠河长桥", Kind::Crowd, 20),
        Event {
            text: Text { zh: "快递放在门口".into(), en: "parcels left at the door".into() },
            ..seen(2, "北门车库", Kind::ObjectLeft, 10)
        },
    ]
}

fn ask(events: &Events, text: &str) -> Answer {
    let question = Question { text: text.into(), ..Question::new(Reach::Everything, week()) };
    events.ask(&question).expect("an answer")
}

fn kinds(answer: &Answer) -> Vec<&'static str> {
    answer.events.iter().map(|kept| kept.event.kind.word()).collect()
}

#[test]
fn events_are_found_by_words_pinyin_initials_english_and_with_a_slip() {
    let room = Room::new();
    room.tell(gate());
    let events = room.current();
    for (text, wanted, understood) in [
        ("", 5, Understood::Literally),
        ("南门岗亭", 2, Understood::Literally),
        ("门岗", 2, Understood::Literally),
        ("亭", 2, Understood::Literally),
        ("nmgt", 2, Understood::Literally),
        ("nanmengangt", 2, Understood::Literally),
        ("车库 越线", 1, Understood::Literally),
        ("越线 东苑", 2, Understood::Literally),
        ("3号楼", 5, Understood::Literally),
        ("crossing", 2, Understood::Literally),
        ("parcel", 1, Understood::Literally),
        ("快递", 1, Understood::Literally),
        ("changqiao", 1, Understood::Literally),
        ("岗亭越线", 1, Understood::AsWords),
        ("南门港亭", 2, Understood::AsHomophone),
        ("南门石亭", 2, Understood::NameWithOneSlip),
        ("濠河桥", 1, Understood::NameWithOneSlip),
        ("南亭", 2, Understood::AsShortForm),
        ("南岗亭", 2, Understood::NameWithOneSlip),
        ("快递石在门口", 1, Understood::NameWithOneSlip),
        ("递放石门", 1, Understood::WithOneSlip),
        ("南岗门亭", 2, Understood::NameWithOneSlip),
        ("西门岗哨", 0, Understood::Literally),
        ("zzzz", 0, Understood::Literally),
    ] {
        let answer = ask(&events, text);
        assert_eq!((answer.total.count, answer.understood), (wanted, understood), "{text}: {:?}", kinds(&answer));
        assert!(answer.total.exact && answer.coverage.is_complete());
    }
}

#[test]
fn answers_are_newest_first_and_pages_neither_miss_nor_repeat() {
    let room = Room::new();
    // Many in the same millisecond, and over three days.
    let time = |n: i64| ago(n / 40 * 20_000);
    room.tell((0..400).map(|n| Event { time: time(n), ..seen(1 + n as u32 % 7, "门", Kind::Motion, 0) }).collect());
    let events = room.current();
    let (mut ids, mut before) = (Vec::new(), None);
    loop {
        let question = Question { before, limit: 37, ..Question::new(Reach::Everything, week()) };
        let answer = events.ask(&question).expect("a page");
        assert_eq!(answer.total, Total { count: 400, exact: true });
        ids.extend(answer.events.iter().map(|kept| (kept.event.time.as_micros() / 1000, kept.seq)));
        match answer.next {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    assert_eq!(ids.len(), 400);
    assert!(ids.is_sorted_by(|a, b| a > b), "newest first, each once");
}

#[test]
fn what_is_outside_a_persons_reach_is_not_found_counted_or_hinted_at() {
    let room = Room::new();
    room.tell(gate());
    room.tell(vec![Event::new(ago(5), Kind::SignedIn)]);
    let events = room.current();
    let reach = Reach::Cameras(CameraId::new(2).into_iter().collect());
    let base = Question { facets: true, step_millis: Some(3_600_000), ..Question::new(reach, week()) };
    let answer = events.ask(&base).expect("an answer");
    assert_eq!(kinds(&answer), ["object.left", "line.crossed"]);
    let facets = answer.facets.expect("asked for");
    assert_eq!(facets.kinds.iter().map(|(_, count)| count).sum::<u64>(), 2);
    assert_eq!(answer.histogram.expect("asked for").counts.iter().sum::<u64>(), 2);
    // Nor does a text that only matches elsewhere, or a camera asked for by number, or a correction.
    for text in ["南门岗亭", "nmgt", "南门港亭"] {
        let answer = events.ask(&Question { text: text.into(), ..base.clone() }).expect("an answer");
        assert_eq!((answer.total.count, answer.understood), (0, Understood::Literally), "{text}");
    }
    let other = Question { cameras: CameraId::new(1).into_iter().collect(), ..base.clone() };
    assert_eq!(events.ask(&other).expect("an answer").total.count, 0);
    let nothing = Question { reach: Reach::Cameras(BTreeSet::new()), ..base };
    assert_eq!(events.ask(&nothing).expect("an answer").total.count, 0);
}

#[test]
fn questions_narrow_by_camera_kind_severity_place_time_hour_and_region() {
    let room = Room::new();
    // Taken now: a busy machine may need longer for what follows than lies between two events.
    let lately = ago(35);
    room.tell(gate());
    room.tell(vec![Event {
        region: Region::new(0.0, 0.0, 0.2, 0.2),
        place: vec!["西苑".into()],
        ..seen(9, "东门", Kind::AreaEntered, 60)
    }]);
    let events = room.current();
    let count = |narrow: &dyn Fn(&mut Question)| {
        let mut question = Question::new(Reach::Everything, week());
        narrow(&mut question);
        events.ask(&question).expect("an answer").total.count
    };
    assert_eq!(count(&|_| {}), 6);
    assert_eq!(count(&|q| q.cameras = CameraId::new(2).into_iter().collect()), 2);
    assert_eq!(count(&|q| q.kinds = [Kind::LineCrossed, Kind::Crowd].into()), 3);
    assert_eq!(count(&|q| q.severity = Severity::Warning), 2);
    assert_eq!(count(&|q| q.under = vec!["东苑社区".into()]), 5);
    assert_eq!(count(&|q| q.under = vec!["东苑社区".into(), "3号楼".into()]), 5);
    assert_eq!(count(&|q| q.under = vec!["3号楼".into()]), 0, "a place is named from the outermost on");
    assert_eq!(count(&|q| q.window = Window::new(lately, UtcMicros::now())), 3);
    assert_eq!(count(&|q| q.hours = Some([false; 24])), 0);
    assert_eq!(count(&|q| q.hours = Some([true; 24])), 6);
    assert_eq!(count(&|q| q.region = Region::new(0.1, 0.1, 0.9, 0.9)), 1);
    assert_eq!(count(&|q| q.region = Region::new(0.5, 0.5, 0.9, 0.9)), 0);
}

#[test]
fn an_index_that_is_stopped_anywhere_goes_on_without_loss_or_double() {
    let room = Room::new();
    for round in 0..5 {
        room.tell((0..50).map(|n| seen(n % 5 + 1, "门", Kind::Motion, i64::from(round * 50_000 + n))).collect());
        // Dropped at once: sometimes before the first commit, sometimes after.
        drop(room.open());
    }
    let events = room.current();
    assert_eq!(ask(&events, "").total, Total { count: 250, exact: true });
    drop(events);
    let before = contents(&room.index()).expect("readable");
    let rebuilt = rebuild(&room.index(), Sources::own(Arc::clone(&room.journal)), IndexLimits::default()).expect("made anew");
    assert_eq!((rebuilt.events, contents(&room.index()).expect("readable")), (250, before), "I7");
}

#[test]
fn a_day_that_does_not_read_back_is_set_aside_and_made_anew_and_the_node_starts() {
    let room = Room::new();
    room.tell(gate());
    drop(room.current());
    let day =
        std::fs::read_dir(room.index()).expect("readable").flatten().find(|entry| entry.path().is_dir()).expect("a day").path();
    std::fs::write(day.join("meta.json"), "{ not an index").expect("writable");
    let events = room.current();
    let until = Instant::now() + LONG;
    while ask(&events, "").total.count != 5 && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(ask(&events, "nmgt").total.count, 2);
}

#[test]
fn days_past_their_time_are_forgotten_with_their_directories() {
    let room = Room::new();
    room.tell(vec![seen(1, "门", Kind::Motion, 5 * 86_400), seen(1, "门", Kind::Motion, 0)]);
    drop(room.current());
    let days = || std::fs::read_dir(room.index()).expect("readable").flatten().filter(|entry| entry.path().is_dir()).count();
    assert_eq!(days(), 2);
    let short = Events::open(&room.index(), Arc::clone(&room.journal), IndexLimits { keep_days: 2 }).expect("an index");
    short.close();
    assert_eq!((days(), ask(&short, "").total.count), (1, 1));
}

#[test]
fn a_report_is_durable_once_however_often_it_is_sent() {
    let room = Room::new();
    let report = |id: &str, seconds| Event {
        source: Source { name: "box1".into(), topic: String::new(), id: id.into() },
        ..seen(1, "门", Kind::Crowd, seconds)
    };
    let first = report("a", 100);
    let events = room.current();
    let Ok(Reported::New(id)) = events.report("http", vec![first.clone()]).remove(0) else { panic!("taken") };
    // At once, within one batch, after it is indexed, and after a restart.
    let again = events.report("http", vec![first.clone(), report("b", 90), report("b", 90)]);
    assert!(matches!(again[0], Ok(Reported::Repeated(same)) if same == id));
    assert!(matches!((&again[1], &again[2]), (Ok(Reported::New(a)), Ok(Reported::Repeated(b))) if a == b));
    assert!(events.wait_indexed(room.journal.tail(), LONG));
    assert!(matches!(events.report("http", vec![first.clone()]).remove(0), Ok(Reported::Repeated(same)) if same == id));
    drop(events);
    let events = room.current();
    assert!(matches!(events.report("http", vec![first]).remove(0), Ok(Reported::Repeated(same)) if same == id));
    assert_eq!(ask(&events, "").total.count, 2);
}

#[test]
fn identity_is_refused_counted_and_nowhere_in_the_journal() {
    let room = Room::new();
    let events = room.current();
    let mut face = seen(1, "门", Kind::Crowd, 1);
    face.attributes.insert("faceId".into(), json!("x"));
    let plate = Event { text: Text { zh: "车牌苏F12345".into(), en: String::new() }, ..seen(1, "门", Kind::Parking, 1) };
    let results = events.report("http", vec![face, plate, seen(1, "门", Kind::Crowd, 1)]);
    assert!(results[0].is_err() && results[1].is_err() && results[2].is_ok());
    assert_eq!(events.refused.all(), [("http", Identity::Name, 1), ("http", Identity::Plate, 1)]);
    let records = room.journal.read(Seq::ZERO, 100).expect("readable");
    let text = serde_json::to_string(&records).expect("JSON");
    assert!(records.len() == 1 && !text.contains("face") && !text.contains("12345"));
}

#[test]
fn records_of_other_things_are_no_events() {
    let room = Room::new();
    drop(room.journal.append(Record::new(UtcMicros::now(), "access.playback", json!({"person": "li"}))).wait());
    drop(room.journal.append(Record::new(UtcMicros::now(), "camera.offline", json!({"camera": 4}))).wait());
    let events = room.current();
    assert_eq!(kinds(&ask(&events, "")), ["camera.offline"]);
    assert_eq!(ask(&events, "离线").total.count, 1);
}
