//! The policy as a matrix, the register as a story, and the projection against its rebuild.

use super::records::Projection;
use super::*;
use crate::journal::{Journal, JournalLimits, Record, Seq};
use crate::model::{Camera, CameraAddress, CameraId, NodeId, StreamId, StreamKind, UtcMicros, Window};
use proptest::prelude::*;
use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

fn camera(number: u32, place: &[&str]) -> Camera {
    Camera {
        place: place.iter().map(|level| (*level).to_owned()).collect(),
        ..Camera::new(
            CameraId::new(number).expect("a number"),
            format!("camera {number}"),
            CameraAddress::new("rtsp://192.0.2.1/main").expect("an address"),
        )
    }
}

fn person(roles: impl IntoIterator<Item = Role>, scopes: Vec<Scope>) -> Person {
    Person {
        name: "li.ming".into(),
        display: "李明".into(),
        unit: "东苑社区".into(),
        roles: roles.into_iter().collect(),
        scopes,
        must_change_password: false,
    }
}

fn main_of(camera: &Camera) -> StreamId {
    StreamId::new(camera.id, StreamKind::Main)
}

fn window(from: i64, to: i64) -> Window {
    Window::new(UtcMicros::from_micros(from), UtcMicros::from_micros(to))
}

const FROM: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 77));

/// What the rules say, in words independent of the code's: who may do what, where.
fn expected(roles: &BTreeSet<Role>, action: Action, in_scope: bool, whole: bool) -> bool {
    let is = |role| roles.contains(&role);
    let (operator, auditor, admin) = (is(Role::Operator), is(Role::Auditor), is(Role::Admin));
    match action {
        Action::Live | Action::Playback | Action::Still | Action::Export | Action::Acknowledge => {
            operator && !auditor && in_scope
        }
        Action::Search => (operator || admin) && !auditor && in_scope,
        Action::ListCameras | Action::ReadHealth | Action::ReadHolds => (operator || auditor || admin) && in_scope,
        Action::RequestHold | Action::RequestErasure => (operator || admin) && !auditor && in_scope,
        Action::ChangeCameras | Action::ApproveHold | Action::ApproveErasure => admin && !auditor && in_scope,
        Action::ReadRegister => auditor && in_scope && whole,
        Action::ReadMetrics => (auditor || admin) && in_scope && whole,
        Action::ReadReports => (operator || auditor || admin) && in_scope && whole,
        Action::ChangePeople | Action::ChangeRules => admin && !auditor && in_scope && whole,
    }
}

#[test]
fn every_role_action_and_scope_is_decided_by_the_rules() {
    let inside = camera(1, &["东苑社区", "3号楼"]);
    let outside = camera(2, &["西苑社区"]);
    let place = |levels: &[&str]| Scope::Place(levels.iter().map(|level| (*level).to_owned()).collect());
    let scopes = [
        (vec![], false, false),
        (vec![Scope::Everything], true, true),
        (vec![place(&["东苑社区"])], true, false),
        (vec![place(&["东苑社区", "3号楼"])], true, false),
        (vec![place(&["东苑社区", "3号楼", "顶层"])], false, false),
        (vec![place(&["东苑社区", "3"])], false, false),
        (vec![place(&["东苑"])], false, false),
        (vec![place(&[])], false, false),
        (vec![Scope::Camera(inside.id)], true, false),
        (vec![place(&["南苑社区"]), Scope::Camera(inside.id)], true, false),
    ];
    let mut checked = 0;
    for roles in 0..8 {
        let roles: BTreeSet<Role> =
            Role::ALL.into_iter().enumerate().filter(|(n, _)| roles >> n & 1 == 1).map(|(_, r)| r).collect();
        for (scope, reaches_inside, whole) in &scopes {
            let mut person = person(roles.clone(), scope.clone());
            for action in Action::ALL {
                for (camera, in_scope) in [(Some(&inside), *reaches_inside), (Some(&outside), *whole), (None, true)] {
                    let answer = person.may(action, camera);
                    assert_eq!(answer.is_ok(), expected(&roles, action, in_scope, *whole), "{person:?} {action:?} {camera:?}");
                    if let Ok(grant) = answer {
                        assert_eq!(grant.cameras(), camera.map(|camera| camera.id).as_slice());
                    }
                    person.must_change_password = true;
                    assert!(matches!(person.may(action, camera), Err(Denied::PasswordMustChange)));
                    person.must_change_password = false;
                    checked += 1;
                }
                let both = person.may_all(action, &[&inside, &outside]);
                assert_eq!(both.is_ok(), expected(&roles, action, *reaches_inside && *whole, *whole));
            }
        }
    }
    assert_eq!(checked, 8 * 10 * Action::ALL.len() * 3);
}

struct Fixture {
    _dir: tempfile::TempDir,
    journal: Arc<Journal>,
    register: Arc<Register>,
    /// What the register's clock says, in microseconds.
    now: Arc<AtomicI64>,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().expect("a directory");
    let limits = JournalLimits { segment_bytes: 16 << 10, ..JournalLimits::default() };
    let journal = Journal::open_with(dir.path(), NodeId::from_bytes([7; 16]), limits).expect("a journal");
    let now = Arc::new(AtomicI64::new(1000));
    let clock = Arc::clone(&now);
    let register = Register::with_clock(Arc::clone(&journal), move || UtcMicros::from_micros(clock.load(Ordering::Relaxed)));
    Fixture { _dir: dir, journal, register: register.expect("a register"), now }
}

impl Fixture {
    fn admit(&self, action: Action, cameras: &[&Camera], extent: Extent) -> Result<Permit, AdmitError> {
        let grant = person([Role::Operator], vec![Scope::Everything]).may_all(action, cameras).expect("granted");
        self.register.admit(grant, self.request(extent))
    }

    fn request(&self, extent: Extent) -> AccessRequest {
        let purpose = Purpose::new(Category::Incident, "查找走失老人", Some("2026-17")).expect("a purpose");
        AccessRequest { login: "7".into(), from: FROM, extent, purpose }
    }

    fn all(&self) -> Vec<AccessRecord> {
        // Ends are written without waiting; a record behind them is durable after them.
        self.journal.append(Record::new(UtcMicros::default(), "test.mark", serde_json::json!({}))).wait().expect("durable");
        self.register.records(&Filter::default(), None, 500).expect("readable").records
    }
}

#[test]
fn the_record_is_durable_before_there_is_a_permit_and_says_everything_the_law_asks() {
    let fixture = fixture();
    let gate = camera(42, &["东苑社区"]);
    let permit = fixture.admit(Action::Playback, &[&gate], Extent::recorded([main_of(&gate)], window(10, 20))).expect("admitted");
    let entry = &fixture.journal.read(permit.access(), 1).expect("readable")[0];
    assert_eq!(entry.kind, "access.playback");
    let expected = serde_json::json!({
        "action": "playback", "person": "li.ming", "display": "李明", "unit": "东苑社区", "login": "7", "from": "192.0.2.77",
        "streams": ["42/main"], "span": {"recorded": {"from": 10, "to": 20}},
        "category": "incident", "text": "查找走失老人", "case": "2026-17",
    });
    assert_eq!(entry.body, expected);
    fixture.now.store(5000, Ordering::Relaxed);
    permit.count(300);
    permit.finish(45);
    let records = fixture.all();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].at, UtcMicros::from_micros(1000));
    assert_eq!(records[0].end, Some(AccessEnd { at: UtcMicros::from_micros(5000), bytes: Some(345) }));
}

#[test]
fn a_permit_opens_what_was_asked_for_and_nothing_beside_it() {
    let fixture = fixture();
    let (one, two) = (camera(1, &[]), camera(2, &[]));
    let sub = StreamId::new(one.id, StreamKind::Sub);
    let playback = fixture.admit(Action::Playback, &[&one], Extent::recorded([main_of(&one)], window(10, 20))).expect("admitted");
    assert!(playback.covers(main_of(&one), window(10, 20)) && playback.covers(main_of(&one), window(12, 13)));
    for (stream, window) in [
        (main_of(&one), window(9, 20)),
        (main_of(&one), window(10, 21)),
        (main_of(&one), Window::ALL),
        (sub, window(10, 20)),
        (main_of(&two), window(10, 20)),
    ] {
        assert!(!playback.covers(stream, window), "{stream} {window:?}");
    }
    assert!(playback.extent().touches(main_of(&one), window(5, 11)) && !playback.extent().touches(main_of(&one), window(20, 25)));
    assert!(!playback.covers_live(main_of(&one)));
    let live = fixture.admit(Action::Live, &[&one], Extent::live([sub])).expect("admitted");
    assert!(live.covers_live(sub) && !live.covers_live(main_of(&one)));
    assert!(!live.covers(sub, window(10, 20)) && !live.extent().touches(sub, window(10, 20)) && live.window().is_empty());
}

#[test]
fn a_request_beyond_its_grant_gets_no_permit_and_leaves_no_record() {
    let fixture = fixture();
    let (one, two) = (camera(1, &[]), camera(2, &[]));
    let recorded = |camera: &Camera| Extent::recorded([main_of(camera)], window(10, 20));
    let refused = |action, extent| fixture.admit(action, &[&one], extent).expect_err("refused");
    assert!(matches!(refused(Action::Playback, recorded(&two)), AdmitError::OutsideGrant(id) if id == two.id));
    assert!(matches!(refused(Action::Playback, Extent::live([main_of(&one)])), AdmitError::OtherSpan));
    assert!(matches!(refused(Action::Live, recorded(&one)), AdmitError::OtherSpan));
    assert!(matches!(refused(Action::ListCameras, recorded(&one)), AdmitError::NotMedia(Action::ListCameras)));
    assert!(matches!(refused(Action::Playback, Extent::recorded([], window(10, 20))), AdmitError::Extent));
    assert!(matches!(refused(Action::Playback, Extent::recorded([main_of(&one)], window(20, 20))), AdmitError::Extent));
    let in_general = person([Role::Operator], vec![Scope::Everything]).may(Action::Live, None).expect("a role check");
    let opened = fixture.register.admit(in_general, fixture.request(Extent::live([main_of(&one)])));
    assert!(matches!(opened, Err(AdmitError::OutsideGrant(_))));
    assert!(fixture.all().is_empty());
}

#[test]
fn without_a_journal_nothing_is_shown() {
    let fixture = fixture();
    let gate = camera(42, &[]);
    fixture.journal.close();
    let result = fixture.admit(Action::Live, &[&gate], Extent::live([main_of(&gate)]));
    assert!(matches!(result, Err(AdmitError::Journal(_))));
    assert!(fixture.register.records(&Filter::default(), None, 10).expect("readable").records.is_empty());
}

#[test]
fn a_refused_attempt_is_in_the_register_too() {
    let fixture = fixture();
    let gate = camera(42, &["西苑社区"]);
    let curious = person([Role::Operator], vec![Scope::Place(vec!["东苑社区".into()])]);
    let why = curious.may(Action::Live, Some(&gate)).expect_err("out of scope");
    fixture.register.refuse(Action::Live, &curious, "9".into(), FROM, &Extent::live([main_of(&gate)]), why);
    let records = fixture.all();
    assert_eq!(records[0].began.refused.as_deref(), Some("outside_scope"));
    assert_eq!((records[0].began.action, records[0].end), (Action::Live, None));
}

#[test]
fn a_permit_that_nobody_takes_ends_at_once() {
    let fixture = fixture();
    let gate = camera(42, &[]);
    let grant = person([Role::Operator], vec![Scope::Everything]).may(Action::Live, Some(&gate)).expect("granted");
    let (done, is_done) = std::sync::mpsc::channel();
    fixture.register.admit_then(grant, fixture.request(Extent::live([main_of(&gate)])), move |permit| {
        drop(permit);
        let _ = done.send(());
    });
    is_done.recv().expect("called");
    assert_eq!(fixture.all()[0].end.map(|end| end.bytes), Some(Some(0)));
}

#[test]
fn accesses_that_a_crash_cut_short_are_ended_at_the_next_start_with_unknown_bytes() {
    let fixture = fixture();
    let gate = camera(42, &[]);
    let cut = fixture.admit(Action::Live, &[&gate], Extent::live([main_of(&gate)])).expect("admitted");
    // As after a crash: the first register's permit never ended when the second one starts.
    let again = Register::open(Arc::clone(&fixture.journal)).expect("opens");
    fixture.all();
    let records = again.records(&Filter::default(), None, 10).expect("readable").records;
    assert_eq!(records[0].seq, cut.access());
    assert_eq!(records[0].end.map(|end| end.bytes), Some(None));
}

#[test]
fn auditors_page_through_everything_newest_first_and_filter_it() {
    let fixture = fixture();
    let (one, two) = (camera(1, &[]), camera(2, &[]));
    for n in 0..60 {
        fixture.now.store(1000 + n, Ordering::Relaxed);
        let camera = if n % 3 == 0 { &two } else { &one };
        let (action, extent) = match n % 2 {
            0 => (Action::Live, Extent::live([main_of(camera)])),
            _ => (Action::Export, Extent::recorded([main_of(camera)], window(0, n + 1))),
        };
        fixture.admit(action, &[camera], extent).expect("admitted").finish(n as u64);
    }
    let all = fixture.all();
    assert_eq!(all.len(), 60);
    assert!(all.iter().rev().enumerate().all(|(n, record)| record.end.map(|end| end.bytes) == Some(Some(n as u64))));
    // A register that remembers only the newest must answer the same from the journal.
    let small = Projection::rebuild(&fixture.journal, 5).expect("readable");
    let (_, complete_from) = small.newest(&Filter::default(), Seq::new(u64::MAX), 5);
    assert!(complete_from > Seq::new(60));
    for filter in [
        Filter::default(),
        Filter { camera: Some(two.id), ..Filter::default() },
        Filter { action: Some(Action::Export), ..Filter::default() },
        Filter { during: Some(window(1010, 1020)), ..Filter::default() },
        Filter { person: Some("nobody".into()), ..Filter::default() },
    ] {
        let wanted: Vec<_> = all.iter().filter(|record| filter.wants(record)).cloned().collect();
        for limit in [1, 7, 100] {
            for from_journal in [false, true] {
                let (mut got, mut before) = (Vec::new(), None);
                loop {
                    let page = if from_journal {
                        let before = before.unwrap_or(Seq::new(u64::MAX));
                        records::from_journal(&fixture.journal, &filter, before, limit).expect("readable")
                    } else {
                        fixture.register.records(&filter, before, limit).expect("readable")
                    };
                    assert!(page.records.len() <= limit);
                    got.extend(page.records);
                    let Some(next) = page.next else { break };
                    assert!(before.is_none_or(|before| next < before), "the cursor moves");
                    before = Some(next);
                }
                assert_eq!(got, wanted, "{filter:?} by {limit}, from the journal: {from_journal}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_register_in_memory_equals_its_rebuild_from_the_journal(steps in proptest::collection::vec(0_u8..5, 1..60)) {
        let fixture = fixture();
        let gate = camera(42, &[]);
        let mut held = Vec::new();
        for step in steps {
            match step {
                0 | 1 => held.push(fixture.admit(Action::Live, &[&gate], Extent::live([main_of(&gate)])).expect("admitted")),
                2 if !held.is_empty() => held.swap_remove(held.len() / 2).finish(7),
                3 => {
                    let auditor = person([Role::Auditor], vec![Scope::Everything]);
                    let why = auditor.may(Action::Live, Some(&gate)).expect_err("an auditor");
                    fixture.register.refuse(Action::Live, &auditor, "1".into(), FROM, &Extent::live([main_of(&gate)]), why);
                }
                _ => drop(fixture.journal.append(Record::new(UtcMicros::default(), "camera.offline", serde_json::json!({})))),
            }
        }
        fixture.all();
        prop_assert_eq!(fixture.register.remembered(), Projection::rebuild(&fixture.journal, 50_000).expect("readable"));
    }
}

#[test]
fn scopes_read_and_write_as_the_api_shows_them() {
    let scopes = vec![Scope::Everything, Scope::Place(vec!["东苑社区".into()]), Scope::Camera(camera(7, &[]).id)];
    let text = serde_json::json!(["everything", { "place": ["东苑社区"] }, { "camera": 7 }]);
    assert_eq!(serde_json::to_value(&scopes).expect("written"), text);
    assert_eq!(serde_json::from_value::<Vec<Scope>>(text).expect("read"), scopes);
}
