//! Who gets in where: state directory, journal, people, register and footage as the api uses them.

use super::site::*;
use index::access::{Action, Actor, Denied, Extent, Filter, Role, Scope};
use index::footage::{FragmentRef, ReadError};
use index::journal::{Journal, Seq};
use index::model::{GapCause, UtcMicros, Window};
use std::fs;

#[test]
fn an_operator_reads_the_seconds_of_the_purpose_and_the_auditor_sees_it() {
    let dir = directory();
    let node = Node::open(dir.path());
    let (gate, yard) = (camera(1, "东苑社区"), camera(2, "西苑社区"));
    node.record(&gate, 0..30);
    node.record(&yard, 0..30);
    let li = node.hire("li", Role::Operator, Scope::Place(vec!["东苑社区".into()]));
    let auditor = node.hire("chen", Role::Auditor, Scope::Everything);
    let admin = node.hire("root", Role::Admin, Scope::Everything);

    let played = node.play(&li, &gate, window(10, 15));
    assert_eq!(played.iter().map(|f| f.window.from).collect::<Vec<_>>(), (10..15).map(at).collect::<Vec<_>>());
    let bytes = played.iter().map(|f| u64::from(f.length)).sum();
    for (person, camera, why) in
        [(&li, &yard, "outside_scope"), (&auditor, &gate, "auditor_apart"), (&admin, &gate, "role_missing")]
    {
        for action in [Action::Live, Action::Playback, Action::Still, Action::Export] {
            assert_eq!(person.may(action, Some(camera)).map(drop).map_err(Denied::code), Err(why), "{} {action:?}", person.name);
        }
    }
    assert!(auditor.may(Action::ReadRegister, None).is_ok() && li.may(Action::ReadRegister, None).is_err());
    assert_eq!(node.audit(), [("li".to_owned(), "playback".to_owned(), Some(bytes))]);
}

#[test]
fn the_access_record_is_durable_before_a_reader_exists() {
    let dir = directory();
    let node = Node::open(dir.path());
    let gate = camera(1, "东苑社区");
    node.record(&gate, 0..3);
    let li = node.hire("li", Role::Operator, Scope::Everything);
    let permit = node.permit(&li, Action::Playback, &gate, Extent::recorded([main_of(&gate)], window(0, 3)));
    // As another process would read the disk, at this moment.
    let verified = Journal::verify(&dir.path().join("state/journal")).expect("whole").expect("there");
    assert!(verified.tail >= permit.access());
    let entry = node.journal.read(permit.access(), 1).expect("readable").remove(0);
    assert_eq!((entry.kind.as_str(), entry.body["person"].as_str()), ("access.playback", Some("li")));
}

#[test]
fn a_reader_gives_nothing_beyond_its_permit_even_for_a_forged_address() {
    let dir = directory();
    let node = Node::open(dir.path());
    let (gate, yard) = (camera(1, "东苑社区"), camera(2, "东苑社区"));
    node.record(&gate, 0..10);
    node.record(&yard, 0..10);
    let li = node.hire("li", Role::Operator, Scope::Everything);
    let foreign = node.play(&li, &yard, window(0, 10));
    let later = node.play(&li, &gate, window(8, 9));
    let permit = node.permit(&li, Action::Playback, &gate, Extent::recorded([main_of(&gate)], window(2, 4)));
    let reader = node.store.read(&permit).expect("a reader");
    assert_eq!(reader.fragments(main_of(&gate), Window::ALL).len(), 2);
    assert!(reader.fragments(main_of(&yard), Window::ALL).is_empty());
    for honest in foreign.iter().chain(&later) {
        assert!(matches!(reader.fetch(honest), Err(ReadError::NotPermitted { .. })), "{honest:?}");
        // The same place, called one of the permit's own.
        let forged = FragmentRef { stream: main_of(&gate), window: window(2, 3), ..*honest };
        assert!(reader.fetch(&forged).is_err(), "{forged:?}");
    }
    for second in [0, 5, 9] {
        assert!(matches!(reader.key_unit(main_of(&gate), at(second)), Err(ReadError::NotPermitted { .. })), "second {second}");
    }
    let (_, unit) = reader.key_unit(main_of(&gate), at(3)).expect("permitted").expect("recorded");
    assert_eq!(unit, draft(main_of(&gate), 3).units[0]);
}

#[test]
fn a_permit_for_watching_live_reads_no_footage() {
    let dir = directory();
    let node = Node::open(dir.path());
    let gate = camera(1, "东苑社区");
    node.record(&gate, 0..3);
    let li = node.hire("li", Role::Operator, Scope::Everything);
    let recorded = node.play(&li, &gate, window(0, 3));
    let live = node.permit(&li, Action::Live, &gate, Extent::live([main_of(&gate)]));
    let reader = node.store.read(&live).expect("a reader");
    assert!(reader.fragments(main_of(&gate), Window::ALL).is_empty());
    assert!(matches!(reader.fetch(&recorded[0]), Err(ReadError::NotPermitted { .. })));
    assert!(matches!(reader.key_unit(main_of(&gate), at(1)), Err(ReadError::NotPermitted { .. })));
}

#[test]
fn a_restart_forgets_nothing_and_every_projection_can_be_thrown_away() {
    let dir = directory();
    let gate = camera(1, "东苑社区");
    let stream = main_of(&gate);
    let first = {
        let node = Node::open(dir.path());
        node.hire("li", Role::Operator, Scope::Everything);
        node.record(&gate, 0..10);
        node.store.mark(stream, at(10), GapCause::CameraUnreachable, "no route to host");
        node.record(&gate, 20..30);
        node.store.mark(stream, at(30), GapCause::Paused, "");
        node.play(&node.person("li"), &gate, window(0, 40));
        (node.audit(), node.gaps(&gate, window(0, 40)))
    };
    let expected = [(0, 10, None), (10, 20, Some(GapCause::CameraUnreachable)), (20, 30, None), (30, 40, Some(GapCause::Paused))];
    assert_eq!(first.1, expected);
    for lost in ["", "state/ledger.json", "disk-1/catalogue.bin"] {
        if !lost.is_empty() {
            fs::remove_file(dir.path().join(lost)).expect("it was written");
        }
        let node = Node::open(dir.path());
        assert_eq!((node.audit(), node.gaps(&gate, window(0, 40))), first, "without {lost:?}");
    }
    let node = Node::open(dir.path());
    assert_eq!(node.play(&node.person("li"), &gate, window(0, 40)).len(), 20);
    assert_eq!(node.audit().len(), 2);
}

#[test]
fn an_access_that_a_crash_cut_short_is_ended_and_a_disabled_person_is_nobody() {
    let dir = directory();
    let gate = camera(1, "东苑社区");
    {
        let node = Node::open(dir.path());
        let li = node.hire("li", Role::Operator, Scope::Everything);
        node.hire("root", Role::Admin, Scope::Everything);
        let permit = node.permit(&li, Action::Live, &gate, Extent::live([main_of(&gate)]));
        node.journal.close();
        // Its end finds the journal closed, as at a power cut.
        drop(permit);
    }
    let node = Node::open(dir.path());
    assert_eq!(node.audit(), [("li".to_owned(), "live".to_owned(), None)]);
    let page = node.register.records(&Filter::default(), None, 1).expect("readable");
    assert!(page.records[0].end.is_some_and(|end| end.bytes.is_none()));
    let by = Actor::Person { name: "root".into(), from: [192, 0, 2, 1].into() };
    node.accounts.change(&by, "li", index::accounts::Change { disabled: Some(true), ..Default::default() }).expect("changed");
    assert_eq!(node.accounts.person("li", UtcMicros::now()), Err(index::accounts::Barred::Disabled));
    let kinds: Vec<_> = node.journal.read(Seq::ZERO, 100).expect("readable").into_iter().map(|entry| entry.kind).collect();
    assert!(kinds.iter().any(|kind| kind == "person.changed"), "{kinds:?}");
}
