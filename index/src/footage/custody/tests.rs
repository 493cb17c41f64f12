use super::*;

fn at(hour: i64) -> UtcMicros {
    UtcMicros::from_micros(hour * 3_600_000_000)
}

fn deed(by: &str, hour: i64) -> Deed {
    Deed { by: by.to_owned(), at: at(hour) }
}

fn order() -> Order {
    Order {
        cameras: vec![CameraId::new(7).expect("a number")],
        window: Window::new(at(10), at(20)),
        reason: "交通事故取证".to_owned(),
        authority: "公(交)调证字〔2026〕17号".to_owned(),
    }
}

fn hold(id: u64) -> Act {
    let (state, expires) = (HoldState::Requested, at(1000));
    let (approved, release_asked, ended) = (None, None, None);
    Act::HoldRequested(Hold { id, order: order(), expires, state, asked: deed("wang", 30), approved, release_asked, ended })
}

fn erasure(id: u64) -> Act {
    let (state, erased) = (ErasureState::Requested, Default::default());
    Act::ErasureRequested(Erasure { id, order: order(), state, asked: deed("wang", 30), approved: None, ended: None, erased })
}

/// Does what is allowed, and keeps what the journal would.
fn run(custody: &mut Custody, journal: &mut Vec<(&'static str, serde_json::Value)>, act: &Act) -> Result<(), CustodyError> {
    custody.check(act)?;
    custody.apply(act);
    journal.push((act.kind(), act.body(&[])));
    Ok(())
}

fn held(custody: &Custody) -> bool {
    let stream = StreamId::new(CameraId::new(7).expect("a number"), crate::model::StreamKind::Sub);
    custody.held().covers(stream, Window::new(at(19), at(25)))
}

#[test]
fn a_hold_protects_at_once_and_takes_two_persons_to_begin_and_to_end() {
    let (mut custody, mut journal) = (Custody::default(), Vec::new());
    let mut act = |custody: &mut Custody, act: Act| run(custody, &mut journal, &act);
    act(&mut custody, hold(1)).expect("asked");
    assert!(held(&custody), "C1");
    let approve = |by: &str| Act::HoldApproved { id: 1, deed: deed(by, 31) };
    assert_eq!(act(&mut custody, approve("wang")), Err(CustodyError::SecondPerson("wang".to_owned())));
    act(&mut custody, approve("li")).expect("a second person");
    assert_eq!(act(&mut custody, approve("li")), Err(CustodyError::State(1, "active")));
    let release = |by: &str| Act::HoldReleased { id: 1, deed: deed(by, 33), reason: "结案".to_owned() };
    assert!(act(&mut custody, release("li")).is_err(), "nobody asked for it first");
    act(&mut custody, Act::ReleaseAsked { id: 1, deed: deed("li", 32), reason: "结案".to_owned() }).expect("asked");
    assert!(act(&mut custody, release("li")).is_err() && held(&custody));
    act(&mut custody, release("zhao")).expect("a second person");
    assert!(!held(&custody));
    let mut again = Custody::default();
    for _ in 0..2 {
        for (kind, body) in &journal {
            again.apply(&Act::read(kind, body).expect("it reads back"));
        }
    }
    assert_eq!(again, custody, "I7, told twice");
}

#[test]
fn each_step_is_an_event_that_says_in_words_what_it_is_about_to_whoever_may_see_some_of_its_cameras() {
    use crate::{
        events::{Kept, Reach},
        journal::Seq,
        model::NodeId,
    };
    let cameras: Vec<CameraId> = [7, 4812, 5099].into_iter().filter_map(|number| CameraId::new(number).ok()).collect();
    let reason = || "结案".to_owned();
    let steps = [
        hold(17),
        Act::HoldApproved { id: 17, deed: deed("li", 31) },
        Act::HoldDeclined { id: 17, deed: deed("li", 31) },
        Act::ReleaseAsked { id: 17, deed: deed("li", 31), reason: reason() },
        Act::HoldReleased { id: 17, deed: deed("zhao", 31), reason: reason() },
        Act::HoldEnded { id: 17, how: HoldState::Lapsed, at: at(31) },
        Act::HoldEnded { id: 17, how: HoldState::Expired, at: at(31) },
        erasure(17),
        Act::ErasureApproved { id: 17, deed: deed("li", 31) },
        Act::ErasureDeclined { id: 17, deed: deed("li", 31) },
        Act::ErasureLapsed { id: 17, at: at(31) },
        Act::ErasureDone { id: 17, at: at(31), erased: Default::default() },
    ];
    for mut act in steps {
        if let Act::HoldRequested(Hold { order, .. }) | Act::ErasureRequested(Erasure { order, .. }) = &mut act {
            order.cameras.clone_from(&cameras);
        }
        let body = act.body(&cameras).to_string();
        let read = |reach| {
            let kept = Kept::read_within(&reach, NodeId::from_bytes([7; 16]), Seq::new(1), at(31), act.kind(), body.as_bytes());
            kept.map(|kept| kept.event)
        };
        let begins = matches!(act, Act::HoldRequested(_) | Act::ErasureRequested(_));
        let event = read(Reach::Everything).expect("an event");
        assert_eq!((event.camera, &event.cameras), (None, &cameras));
        assert!(event.text.zh.contains("7、4812、5099"), "{:?}", event.text);
        let theirs = read(Reach::Cameras([cameras[1]].into())).expect("one camera is enough");
        assert_eq!(theirs.cameras, [cameras[1]]);
        assert!(theirs.text.zh.contains("17") && !theirs.text.zh.contains("5099") && !theirs.text.en.contains("5099"));
        assert!(
            theirs.attributes.keys().all(|name| name == "id"),
            "what sums up all cameras is left out: {:?}",
            theirs.attributes
        );
        assert_eq!(read(Reach::Cameras([CameraId::new(9).expect("a number")].into())), None, "and none is not");
        assert!(event.text.zh.contains("17") && event.text.en.contains("17"), "{:?}", event.text);
        assert_eq!(event.text.zh.contains("〔2026〕17号") && event.text.en.contains("〔2026〕17号"), begins);
    }
}

#[test]
fn requests_that_nobody_approves_lapse_and_holds_end_by_themselves_at_their_time() {
    let mut custody = Custody::default();
    custody.apply(&hold(1));
    custody.apply(&hold(2));
    custody.apply(&erasure(3));
    custody.apply(&Act::HoldApproved { id: 2, deed: deed("li", 31) });
    assert_eq!(custody.next(), 4);
    assert!(custody.overdue(at(30 + 72)).is_empty());
    for act in custody.overdue(at(30 + 73)) {
        custody.apply(&act);
    }
    assert_eq!(custody.holds[&1].state, HoldState::Lapsed);
    assert_eq!(custody.erasures[&3].state, ErasureState::Lapsed);
    assert!(held(&custody), "the approved one goes on");
    for act in custody.overdue(at(1000)) {
        custody.apply(&Act::read(act.kind(), &act.body(&[])).expect("it reads back"));
    }
    assert_eq!(custody.holds[&2].state, HoldState::Expired);
    assert!(!held(&custody));
}

#[test]
fn an_order_without_words_or_footage_and_a_hold_without_end_are_refused() {
    let mut nothing = order();
    nothing.cameras.clear();
    assert_eq!(nothing.check(), Err(CustodyError::Nothing));
    assert_eq!(Order { authority: " ".to_owned(), ..order() }.check(), Err(CustodyError::Words));
    let Act::HoldRequested(hold) = hold(1) else { unreachable!("it is one") };
    for expires in [at(30), at(20), at(30 + 24 * 366 * 4)] {
        assert_eq!(Hold { expires, ..hold.clone() }.check(), Err(CustodyError::Expiry));
    }
}

#[test]
fn an_order_is_carried_out_once_after_its_footage_settled() {
    let mut custody = Custody::default();
    custody.apply(&erasure(1));
    assert!(custody.due(at(50)).is_empty(), "not approved");
    custody.apply(&Act::ErasureApproved { id: 1, deed: deed("li", 31) });
    assert!(custody.due(at(20)).is_empty() && custody.due(at(20) + SETTLED).len() == 1);
    let erased = erasure::Erased { fragments: 3, bytes: 900, kept_by_hold: 1 };
    let done = Act::ErasureDone { id: 1, at: at(40), erased };
    custody.apply(&Act::read(done.kind(), &done.body(&[])).expect("it reads back"));
    assert!(custody.due(at(50)).is_empty());
    assert_eq!((custody.erasures[&1].state, custody.erasures[&1].erased), (ErasureState::Done, erased));
}
