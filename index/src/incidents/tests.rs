use super::*;
use crate::access::Actor;
use crate::alarms::{Alarms, Rule, RuleId, Schedule, Urgency};
use crate::events::{Event, Kind, Severity};
use crate::journal::{Copies, CopyLimits, Gathered, History, MAX_BATCH_BYTES, Seq};
use crate::model::{CameraId, NodeId, Tier, UtcMicros, Window};
use std::collections::BTreeMap;

const BEGIN: i64 = 1_795_000_000_000_000;

fn at(seconds: f64) -> UtcMicros {
    UtcMicros::from_micros(BEGIN + (seconds * 1e6) as i64)
}

fn node(tier: Tier) -> NodeId {
    NodeId::from_bytes([tier as u8 + 1; 16])
}

fn who(name: &str) -> Who {
    Who { name: name.to_owned(), display: name.to_owned() }
}

fn tier_of(word: &str) -> Tier {
    match word {
        "room" => Tier::Room,
        "sub" => Tier::Subdistrict,
        "district" => Tier::District,
        _ => panic!("no tier: {word}"),
    }
}

fn deed(word: &str, incident: &Incident) -> Deed {
    let (verb, more) = word.split_once('=').unwrap_or((word, ""));
    let seconds = more.parse::<f64>().unwrap_or(0.0);
    match verb {
        "ack" => Deed::Acknowledge,
        "verify" => Deed::Verify,
        "dispatch" => Deed::Dispatch { unit: more.to_owned() },
        "arrive" => Deed::Arrive,
        "resolve" => Deed::Resolve,
        "close" => Deed::Close { code: CloseCode::Handled },
        "false" => Deed::Dismiss { reason: FalseReason::Animal },
        "shelve" => Deed::Shelve { until: at(seconds), reason: "检修".into() },
        "unshelve" => Deed::Unshelve,
        "merge" => Deed::Merge { into: IncidentId { node: node(Tier::Room), seq: Seq::new(99) } },
        "reopen" => Deed::Reopen,
        "hand" => Deed::Hand { to: who(more) },
        "note" => Deed::Note { text: more.to_owned() },
        "up" => {
            let from = incident.tier;
            let to = if from == Tier::Room { Tier::Subdistrict } else { Tier::District };
            Deed::Escalate { from, to, number: incident.escalations }
        }
        "undo" => {
            let last = Book::last_move(incident).expect("something to undo");
            Deed::Undo { node: last.place.node, seq: last.place.seq }
        }
        _ => panic!("no deed: {verb}"),
    }
}

/// Moves of a P1 opened in a room at 0, `tier:who:deed@second`, `clock` for the clock, `!` before the tier of one who had seen nothing
/// but the opening and what his own node did. In whatever order they arrive, the outcome is `stage tier owner escalations` and for each
/// move that was more or less than plainly done, `#n:effect`.
fn check(moves: &str, expected: &str) {
    let opening = opening(Priority::P1, &Clocks::default(), at(0.0));
    let room = node(Tier::Room);
    let id = IncidentId { node: room, seq: Seq::new(1) };
    let rule = Author::Rule("越线".into());
    let opened = Told { home: room, at: at(0.0), tier: Tier::Room, by: rule, what: What::Opened(Box::new(opening.clone())) };
    let mut known = BTreeMap::new();
    let own = |known: &BTreeMap<Place, Told>, node: NodeId| {
        known
            .iter()
            .filter(|(place, _)| place.node == node)
            .map(|(place, told)| (*place, told.clone()))
            .collect::<BTreeMap<_, _>>()
    };
    for (seq, text) in (2..).zip(moves.split_whitespace()) {
        let (text, second) = text.split_once('@').expect("deed@second");
        let (blind, text) = text.strip_prefix('!').map_or((false, text), |text| (true, text));
        let mut parts = text.splitn(3, ':');
        let tier = tier_of(parts.next().expect("a tier"));
        let name = parts.next().expect("a name");
        let by = if name == "clock" { Author::Clock } else { Author::Person(who(name)) };
        let saw = if blind { own(&known, node(tier)) } else { known.clone() };
        let seen = Incident::fold(id, &opened, &opening, &saw);
        let place = Place { at: at(second.parse().expect("a second")), node: node(tier), seq: Seq::new(seq) };
        let what = What::Moved { incident: id, seen: seen.seen.clone(), deed: deed(parts.next().expect("a deed"), &seen) };
        known.insert(place, Told { home: room, at: place.at, tier, by, what });
    }
    let incident = Incident::fold(id, &opened, &opening, &known);
    let mut told = format!(
        "{} {} {} {}",
        incident.stage.word(),
        incident.tier,
        incident.owner.as_ref().map_or("-", |owner| &owner.who.name),
        incident.escalations
    );
    for entry in incident.history.iter().filter(|entry| entry.effect != Effect::Done) {
        told += &format!(" #{}:{:?}", entry.place.seq.get() - 1, entry.effect);
    }
    assert_eq!(told, expected, "{moves}");
    // The same through books that get the records in another order.
    for turn in 0..3 {
        let mut book = Book::new(node(Tier::District), Tier::District);
        let mut records: Vec<(NodeId, Seq, Told)> =
            known.iter().map(|(place, told)| (place.node, place.seq, told.clone())).collect();
        records.push((room, Seq::new(1), opened.clone()));
        match turn {
            0 => {}
            1 => records.reverse(),
            _ => records.sort_by_key(|(node, seq, _)| (*node, *seq)),
        }
        for (node, seq, told) in &records {
            let body = serde_json::to_vec(told).expect("it is JSON");
            book.take((*node, told.tier), &crate::journal::Seen { seq: *seq, at: told.at, kind: "incident.any", body: &body });
        }
        assert_eq!(book.get(id), Some(&incident), "{moves} turn {turn}");
    }
}

#[test]
fn an_incident_goes_from_new_to_closed_by_the_hands_of_its_owner() {
    check(
        "room:wang:ack@10 room:wang:verify@40 room:wang:dispatch=12@60 room:wang:arrive@300 room:wang:resolve@400 room:wang:close@500",
        "closed room wang 0",
    );
    check("room:wang:verify@10", "verified room wang 0");
    check("room:wang:ack@10 room:wang:false@20", "false room wang 0");
    check("room:wang:ack@10 room:wang:close@20 room:li:reopen@900", "reopened room li 0");
    check("room:wang:ack@10 room:wang:merge@20", "merged room wang 0");
    check("room:wang:ack@10 room:wang:hand=li@20", "acknowledged room li 0");
}

#[test]
fn what_is_not_possible_as_it_is_has_no_effect_and_stays_in_the_history() {
    check("room:wang:close@10", "new room - 0 #1:Nothing");
    check("room:wang:ack@10 room:li:ack@12", "acknowledged room wang 0 #2:Nothing");
    check("room:wang:ack@10 room:wang:arrive@12", "acknowledged room wang 0 #2:Nothing");
    check("room:wang:shelve=99999@10", "new room - 0 #1:Nothing");
    check("room:wang:ack@10 room:wang:up@20 room:wang:verify@30", "acknowledged subdistrict - 1 #3:Nothing");
}

#[test]
fn the_tier_above_has_what_is_escalated_and_whoever_takes_it_on_there_owns_it() {
    check("room:wang:ack@10 room:wang:up@20", "acknowledged subdistrict - 1");
    check("room:wang:ack@10 room:wang:up@20 room:wang:note=看@21 sub:li:ack@30 sub:li:up@40", "acknowledged district - 2");
    check("room:wang:ack@10 room:wang:up@20 sub:li:ack@30 sub:li:verify@31", "verified subdistrict li 1");
    check("room:wang:ack@10 sub:li:ack@30", "acknowledged subdistrict li 0");
}

#[test]
fn a_clock_escalates_when_its_time_is_up_and_once_whoever_tells_of_it() {
    check("room:clock:up@60", "new subdistrict - 1");
    check("room:clock:up@59.9", "new room - 0 #1:Nothing");
    check("room:wang:ack@59 room:clock:up@60", "acknowledged room wang 0 #2:Nothing");
    check("room:wang:ack@59 room:clock:up@239", "acknowledged subdistrict - 1");
    check("room:clock:up@60 !sub:clock:up@60.5", "new subdistrict - 1 #2:Nothing");
    check("room:clock:up@60 sub:clock:up@120", "new district - 2");
    // Somebody above was faster, which the cut-off room could not know.
    check("sub:li:ack@50 !room:clock:up@60", "acknowledged subdistrict li 0 #2:Nothing");
}

#[test]
fn what_is_laid_aside_comes_back_by_itself_with_its_time_anew() {
    check("room:wang:ack@10 room:wang:shelve=1000@20 room:clock:up@190", "acknowledged room wang 0 #3:Nothing");
    check("room:wang:ack@10 room:wang:shelve=1000@20 room:clock:up@1179", "acknowledged room wang 0 #3:Nothing");
    check("room:wang:ack@10 room:wang:shelve=1000@20 room:clock:up@1180", "acknowledged subdistrict - 1");
    check("room:wang:ack@10 room:wang:shelve=1000@20 room:wang:unshelve@30 room:clock:up@210", "acknowledged subdistrict - 1");
}

#[test]
fn closing_is_taken_back_within_seconds_by_whoever_did_it() {
    check("room:wang:ack@10 room:wang:close@20 room:wang:undo@24", "acknowledged room wang 0");
    check("room:wang:ack@10 room:wang:false@20 room:wang:note=错@21 room:wang:undo@24", "acknowledged room wang 0");
    check("room:wang:ack@10 room:wang:close@20 room:li:undo@24", "closed room wang 0 #3:Nothing");
    check("room:wang:ack@10 room:wang:close@20 !sub:li:note=看@21 room:wang:undo@24", "acknowledged room wang 0");
    check("room:wang:ack@10 room:wang:close@20 room:wang:undo@29", "closed room wang 0 #3:Nothing");
}

#[test]
fn of_two_tiers_that_acted_while_they_were_cut_the_later_one_decides_and_both_are_shown() {
    check("room:wang:ack@10 room:wang:false@20 !sub:li:dispatch=12@25", "dispatched subdistrict li 0 #3:DoneOver");
    check("room:wang:ack@10 !sub:li:dispatch=12@15 !room:wang:false@20", "false subdistrict li 0 #2:DoneOver #3:DoneOver");
    // It never takes back what is further on.
    check("sub:li:dispatch=12@15 !room:wang:ack@20", "dispatched subdistrict li 0 #2:Clash");
    check("room:wang:ack@10 room:wang:close@20 !sub:li:ack@25", "closed room wang 0 #3:Clash");
    check("room:wang:ack@10 !sub:li:note=看@15 room:wang:verify@20", "verified room wang 0");
}

struct Room {
    dir: tempfile::TempDir,
    journal: Arc<Journal>,
}

impl Room {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::open(&dir.path().join("journal"), node(Tier::Room)).expect("a journal");
        Self { dir, journal }
    }

    fn me() -> Me {
        Me { node: node(Tier::Room), tier: Tier::Room, clocks: Clocks::default() }
    }

    fn casebook(&self) -> Casebook {
        Casebook::new(Self::me(), Arc::clone(&self.journal), None, Book::new(node(Tier::Room), Tier::Room))
    }

    fn open(casebook: &Casebook, now: UtcMicros) -> Incident {
        let home = node(Tier::Room);
        let draft = Draft { home, opening: opening(Priority::P1, &Clocks::default(), now) };
        casebook.open(who("wang"), draft, now).expect("opened")
    }
}

#[test]
fn whoever_acts_on_what_was_moved_meanwhile_is_told_by_whom_and_does_nothing() {
    let room = Room::new();
    let casebook = room.casebook();
    let incident = Room::open(&casebook, at(0.0));
    assert_eq!(incident.opening.number.split_once('-').map(|(_, number)| number), Some("0001"));
    let first = casebook.act(who("wang"), incident.id, incident.version, Deed::Acknowledge, at(1.0)).expect("acknowledged");
    assert_eq!((first.version, first.stage.word()), (1, "acknowledged"));
    let tail = room.journal.tail();
    let late = casebook.act(who("li"), incident.id, incident.version, Deed::Verify, at(2.0));
    let Err(IncidentError::Moved { last: Some(last), now }) = late else { panic!("{late:?}") };
    assert_eq!((last.by, now.owner.map(|owner| owner.who.name)), (Author::Person(who("wang")), Some("wang".to_owned())));
    assert_eq!(room.journal.tail(), tail);
    let note = Deed::Note { text: "西侧无灯".into() };
    casebook.act(who("li"), incident.id, 0, note, at(3.0)).expect("a note may be added at any time");
    for text in ["", "  ", &"长".repeat(MAX_TEXT + 1)] {
        let refused = casebook.act(who("li"), incident.id, 1, Deed::Note { text: text.to_owned() }, at(3.0));
        assert!(matches!(refused, Err(IncidentError::Text)), "{text}");
    }
    let up = Deed::Escalate { from: Tier::Room, to: Tier::Subdistrict, number: 0 };
    let alone = casebook.act(who("wang"), incident.id, 1, up, at(4.0));
    assert!(matches!(alone, Err(IncidentError::NotNow { why: NotNow::Impossible, .. })), "there is no tier above: {alone:?}");
}

#[test]
fn a_clock_that_was_over_while_the_node_was_down_escalates_once_after_it_is_back() {
    let room = Room::new();
    let casebook = room.casebook();
    casebook.set_upper(Tier::Subdistrict);
    let id = Room::open(&casebook, at(0.0)).id;
    let next = casebook.tick(at(0.5)).expect("a tick");
    assert_eq!(next, Some(at(60.0)), "when it is to be called again");
    drop(casebook);
    let again = room.casebook();
    again.set_upper(Tier::Subdistrict);
    for second in [100.0, 100.5, 200.0] {
        again.tick(at(second)).expect("a tick");
    }
    let incident = again.book().get(id).cloned().expect("an incident");
    assert_eq!((incident.tier, incident.escalations, incident.history.len()), (Tier::Subdistrict, 1, 1));
    assert_eq!(incident.history[0].place.at, at(100.0));
}

#[test]
fn a_book_that_was_kept_and_one_read_anew_are_the_same() {
    let room = Room::new();
    let file = room.dir.path().join("incidents.json");
    let incidents = Incidents::open(&file, Room::me(), Arc::clone(&room.journal), None, |_| {}).expect("a thread");
    let id = Room::open(incidents.casebook(), UtcMicros::now()).id;
    incidents.casebook().act(who("wang"), id, 0, Deed::Acknowledge, UtcMicros::now()).expect("acknowledged");
    let before = incidents.casebook().book().get(id).cloned();
    incidents.close();
    assert!(file.exists());
    let again = Incidents::open(&file, Room::me(), Arc::clone(&room.journal), None, |_| {}).expect("a thread");
    assert_eq!(again.casebook().book().get(id).cloned(), before);
    again.close();
    let anew = room.casebook();
    anew.catch_up().expect("it reads");
    assert_eq!(anew.book().get(id).cloned(), before);
}

#[test]
fn an_alarm_of_a_rule_that_opens_incidents_opens_one_also_over_a_restart() {
    let room = Room::new();
    let alarms = Alarms::open(&room.dir.path().join("alarms.json"), Arc::clone(&room.journal), |_| {}).expect("a thread");
    let rule = Rule {
        id: RuleId::default(),
        name: "越线".into(),
        enabled: true,
        kinds: [Kind::LineCrossed].into(),
        severity: Severity::Info,
        under: Vec::new(),
        cameras: Default::default(),
        text: String::new(),
        schedule: Schedule::default(),
        urgency: Urgency::Urgent,
        opens_incident: true,
        group_s: 0,
        hold_off_s: 0,
    };
    alarms.set_rule(&Actor::Shell, rule).expect("taken");
    let now = UtcMicros::now();
    let event = Event { camera: CameraId::new(7).ok(), ..Event::new(now, Kind::LineCrossed) };
    room.journal.append(event.into_record(now)).wait().expect("durable");
    let raised =
        |room: &Room| room.journal.read(Seq::ZERO, 100).expect("readable").iter().any(|entry| entry.kind == "alarm.raised");
    let begun = Instant::now();
    while !raised(&room) {
        assert!(begun.elapsed() < Duration::from_secs(60), "an alarm is raised");
        std::thread::sleep(Duration::from_millis(2));
    }
    for _ in 0..2 {
        let casebook = room.casebook();
        casebook.tick(UtcMicros::now()).expect("a tick");
        let all: Vec<Incident> = casebook.book().all().cloned().collect();
        assert_eq!(all.len(), 1);
        assert_eq!(
            (all[0].opening.priority, all[0].opening.camera, all[0].home),
            (Priority::P1, CameraId::new(7).ok(), node(Tier::Room))
        );
        let alarm = all[0].opening.alarm.expect("its alarm");
        assert_eq!(casebook.book().of_alarm(node(Tier::Room), alarm).map(|incident| incident.id), Some(all[0].id));
    }
}

#[test]
fn a_shift_hands_over_by_two_signatures_and_what_was_its_own_is_the_next_ones() {
    let room = Room::new();
    let casebook = room.casebook();
    let ids = [0.0, 1.0].map(|second| Room::open(&casebook, at(second)).id);
    casebook.act(who("wang"), ids[0], 0, Deed::Acknowledge, at(2.0)).expect("acknowledged");
    casebook.act(who("zhao"), ids[1], 0, Deed::Acknowledge, at(2.0)).expect("acknowledged");
    let hand = |by: &str, to: &str| casebook.hand_over(&who(by), &who(to), "西门施工", at(3.0));
    assert!(matches!(hand("wang", "wang"), Err(ShiftError::Oneself)));
    let shift = hand("wang", "li").expect("handed over");
    assert_eq!((shift.open.as_slice(), &shift.taken), (ids.as_slice(), &None));
    assert!(matches!(casebook.take_over(&who("zhao"), shift.seq, at(4.0)), Err(ShiftError::NotTheirs(_))));
    assert_eq!(casebook.take_over(&who("li"), shift.seq, at(5.0)).expect("taken over").taken, Some(at(5.0)));
    assert!(matches!(casebook.take_over(&who("li"), shift.seq, at(6.0)), Err(ShiftError::Signed)));
    let owner = |id| casebook.book().get(id).and_then(|incident| incident.owner.clone()).map(|owner| owner.who.name);
    assert_eq!(ids.map(owner), [Some("li".to_owned()), Some("zhao".to_owned())]);
    let again = room.casebook();
    again.catch_up().expect("it reads");
    assert_eq!(again.book().shifts(), casebook.book().shifts());
}

#[test]
fn what_is_done_above_reaches_the_room_once_and_what_others_claim_does_not() {
    let room = Room::new();
    let below = room.casebook();
    let dir = tempfile::tempdir().expect("a directory");
    let journal = Journal::open(&dir.path().join("journal"), node(Tier::Subdistrict)).expect("a journal");
    let copies = Arc::new(Copies::open(&dir.path().join("copies"), CopyLimits::default()).expect("copies"));
    let me = Me { node: node(Tier::Subdistrict), tier: Tier::Subdistrict, clocks: Clocks::default() };
    let lower = Lower { copies: Arc::clone(&copies), tier: Arc::new(|_| Some(Tier::Room)) };
    let above = Casebook::new(me, journal, Some(lower), Book::new(me.node, me.tier));
    let id = Room::open(&below, at(0.0)).id;
    let copy = copies.of(node(Tier::Room)).expect("a copy");
    let (tail, hash) = copy.head();
    if let Gathered::Batch(batch) = room.journal.gather(tail, hash, MAX_BATCH_BYTES).expect("readable") {
        copy.apply(&batch).expect("it follows");
    }
    let footage = Window::new(at(-10.0), at(30.0));
    let evidence = Evidence { camera: CameraId::new(7).expect("a number"), window: footage, hold: None };
    above.act(who("li"), id, 0, Deed::Acknowledge, at(5.0)).expect("acknowledged above");
    above.act(who("li"), id, 1, Deed::Attach { evidence: evidence.clone() }, at(6.0)).expect("attached");
    let goes = |home| home == node(Tier::Room);
    let (handed, upto) = above.outgoing(Seq::ZERO, goes).expect("readable");
    assert_eq!((handed.len(), upto), (2, Seq::new(2)));
    assert_eq!(above.outgoing(upto, goes).expect("readable").0.len(), 0);
    assert_eq!(above.outgoing(Seq::ZERO, |_| false).expect("readable").0.len(), 0);
    let tail = room.journal.tail();
    for _ in 0..2 {
        assert_eq!(below.receive(me.node, handed.clone(), at(7.0)).expect("received"), upto);
    }
    assert_eq!(room.journal.tail().get(), tail.get() + 2, "each once");
    assert_eq!(below.book().get(id), above.book().get(id));
    assert_eq!(below.book().get(id).map(|incident| incident.evidence.clone()), Some(vec![evidence]));
    // A forged move of the room's own, and one about somebody else's incident.
    let mut forged = handed[0].clone();
    (forged.at, forged.node, forged.seq) = (Seq::new(9), node(Tier::Room), Seq::new(77));
    let mut foreign = handed[0].clone();
    (foreign.at, foreign.seq, foreign.told.home) = (Seq::new(10), Seq::new(78), node(Tier::District));
    below.receive(me.node, vec![forged, foreign], at(8.0)).expect("answered");
    assert_eq!(room.journal.tail().get(), tail.get() + 2);
    // And above it is not believed what a room says that others did.
    let told = serde_json::to_vec(&handed[0].told).expect("it is JSON");
    let received = serde_json::to_vec(&serde_json::json!({ "via": me.node, "handed": handed[0] })).expect("it is JSON");
    let mut book = Book::new(node(Tier::District), Tier::District);
    for (kind, body) in [(RECEIVED, &received), ("incident.acknowledged", &told)] {
        let seen = crate::journal::Seen { seq: Seq::new(1), at: at(0.0), kind, body };
        book.take((NodeId::from_bytes([9; 16]), Tier::Room), &seen);
    }
    assert_eq!(book.passed_over(), (0, 1), "the one is passed over, the other refused");
}
