//! The upper side of a line, told what happens in text-sized steps.

use super::*;

/// A puller, its clock, and what it wants done.
struct Bench {
    puller: Puller,
    now: Instant,
    actions: Vec<Action>,
    told: Vec<Told>,
}

fn node(n: u8) -> NodeId {
    NodeId::from_bytes([n; 16])
}

fn hash(tail: u64) -> Hash {
    Hash([tail as u8; 32])
}

fn held(tail: u64) -> Held {
    Held { tail: Seq::new(tail), hash: hash(tail), newest_at: Some(UtcMicros::from_micros(tail as i64)) }
}

fn offer(n: u8, tail: u64, complete_to: i64) -> Offered {
    let complete_to = UtcMicros::from_micros(complete_to);
    Offered { node: node(n), tail: Seq::new(tail), hash: hash(tail), complete_to, trouble: None }
}

fn batch(n: u8, after: u64) -> Answer {
    Answer::Records(Batch { node: node(n), after: Seq::new(after), records: Vec::new() })
}

impl Bench {
    fn new(carries: bool) -> Self {
        let now = Instant::now();
        let mut bench = Self {
            puller: Puller::new(Peer { node: node(1), carries }, None, 7, now),
            now,
            actions: Vec::new(),
            told: Vec::new(),
        };
        bench.give(Input::Tick);
        bench
    }

    fn give(&mut self, input: Input) {
        self.actions = self.puller.handle(input, self.now, UtcMicros::from_micros(77));
        self.told.extend(self.actions.extract_if(.., |action| matches!(action, Action::Tell(_))).map(|action| match action {
            Action::Tell(told) => told,
            other => panic!("{other:?}"),
        }));
    }

    /// The question that it asks now.
    fn asked(&self) -> (u64, Question) {
        match &self.actions[..] {
            [Action::Ask { number, question, .. }] => (*number, question.clone()),
            other => panic!("it does not ask: {other:?}"),
        }
    }

    fn asked_of(&self) -> (NodeId, u64) {
        match self.asked().1 {
            Question::Records { node, after, .. } => (node, after.get()),
            Question::Histories | Question::Names | Question::Deliver { .. } | Question::Down { .. } => {
                panic!("it asks for no records")
            }
        }
    }

    /// The journals there are, and how far each goes here.
    fn offers(&mut self, offers: &[(Offered, u64)]) {
        let (number, question) = self.asked();
        assert_eq!(question, Question::Histories);
        self.give(Input::Offered(number, offers.iter().map(|(offer, tail)| (*offer, Ok(held(*tail)))).collect()));
    }

    fn answers(&mut self, answer: Answer) {
        let (number, _) = self.asked();
        self.give(Input::Answered(number, answer));
    }

    /// The next records came, and are here up to `tail` now.
    fn fetches(&mut self, n: u8, after: u64, tail: u64) {
        assert_eq!(self.asked_of(), (node(n), after));
        self.answers(batch(n, after));
        assert!(matches!(&self.actions[..], [Action::Apply(batch)] if batch.node == node(n)), "{:?}", self.actions);
        self.give(Input::Applied(node(n), Ok(held(tail))));
    }

    fn fails(&mut self) -> Duration {
        let (number, _) = self.asked();
        self.give(Input::Failed(number, LineError::Deadline));
        self.rests()
    }

    /// How long it rests; and then it is awake.
    fn rests(&mut self) -> Duration {
        let [Action::WakeAt(at)] = self.actions[..] else { panic!("it does not rest: {:?}", self.actions) };
        let rest = at - self.now;
        self.now = at;
        self.give(Input::Tick);
        rest
    }

    fn standing(&self, n: u8) -> Standing {
        self.puller.standings().find(|(of, _)| *of == node(n)).expect("it is known").1
    }
}

#[test]
fn fetching_goes_on_from_the_end_of_the_copy_and_rests_when_all_is_here() {
    let mut bench = Bench::new(false);
    bench.offers(&[(offer(1, 30, 900), 10)]);
    assert_eq!((bench.standing(1).lag_records(), bench.standing(1).complete_to), (20, UtcMicros::from_micros(10)));
    bench.fetches(1, 10, 20);
    bench.fetches(1, 20, 30);
    assert!((0.45..0.55).contains(&bench.rests().as_secs_f64()));
    let standing = bench.standing(1);
    assert_eq!((standing.lag_records(), standing.complete_to, standing.lag_secs()), (0, UtcMicros::from_micros(900), 0.0));
    assert_eq!(standing.heard, Some(UtcMicros::from_micros(77)));
    bench.offers(&[(offer(1, 30, 1400), 30)]);
    assert_eq!(bench.standing(1).complete_to, UtcMicros::from_micros(1400), "silence is an answer: nothing happened until then");
}

#[test]
fn nobodys_backlog_keeps_another_node_waiting() {
    let mut bench = Bench::new(true);
    bench.offers(&[(offer(1, 5, 9), 5), (offer(2, 10_000, 9), 0), (offer(3, 2, 9), 0), (offer(4, 3, 9), 1)]);
    bench.fetches(2, 0, 100);
    bench.fetches(3, 0, 2);
    bench.fetches(4, 1, 3);
    bench.fetches(2, 100, 200);
    bench.fetches(2, 200, 300);
    // While it goes on, what is new elsewhere is looked for.
    bench.now += LOOK_EVERY;
    assert_eq!(bench.asked_of(), (node(2), 300));
    bench.fetches(2, 300, 400);
    bench.offers(&[(offer(2, 10_000, 9), 400), (offer(3, 3, 9), 2)]);
    bench.fetches(3, 2, 3);
}

#[test]
fn a_line_slower_than_the_looks_that_are_due_fetches_all_the_same() {
    let mut bench = Bench::new(false);
    for tail in 0..3 {
        bench.now += LOOK_EVERY * 2;
        bench.offers(&[(offer(1, 30, 900), tail)]);
        bench.now += LOOK_EVERY * 2;
        bench.fetches(1, tail, tail + 1);
    }
}

#[test]
fn a_line_that_does_not_answer_is_asked_ever_less_often_and_in_smaller_pieces_and_said_once() {
    let mut bench = Bench::new(false);
    bench.offers(&[(offer(1, 30, 900), 10)]);
    let rests: Vec<f64> = (0..12).map(|_| bench.fails().as_secs_f64()).collect();
    for (n, rest) in rests.iter().enumerate() {
        let longest = (0.5 * 2_f64.powi(n as i32)).min(30.0);
        assert!((longest / 2.0..=longest).contains(rest), "{n}: {rest} s");
    }
    assert_eq!(bench.told, [Told::LineLost(LineError::Deadline)]);
    assert_eq!(bench.standing(1).trouble, Some(Trouble::NoContact));
    bench.offers(&[(offer(1, 30, 950), 10)]);
    assert_eq!(bench.told[1..], [Told::LineBack(12)]);
    assert_eq!(bench.standing(1).trouble, None);
    let Question::Records { bytes, .. } = bench.asked().1 else { panic!("it does not fetch") };
    assert_eq!(bytes as usize, MIN_BATCH_BYTES);
}

#[test]
fn a_neighbour_that_never_answered_is_named_as_missing_with_what_is_here_of_it() {
    let now = Instant::now();
    let puller = Puller::new(Peer { node: node(1), carries: true }, Some(held(30)), 7, now);
    let mut bench = Bench { puller, now, actions: Vec::new(), told: Vec::new() };
    let standing = bench.standing(1);
    let instant = UtcMicros::from_micros;
    assert_eq!(
        (standing.tail, standing.complete_to, standing.missing(instant(1))),
        (Seq::new(30), instant(30), Some(Trouble::NoContact))
    );
    bench.give(Input::Tick);
    bench.fails();
    assert_eq!(bench.standing(1).missing(instant(1)), Some(Trouble::NoContact));
    bench.offers(&[(offer(1, 30, 900), 30)]);
    let standing = bench.standing(1);
    assert_eq!((standing.complete_to, standing.missing(instant(77))), (instant(900), None));
    assert_eq!(standing.missing(instant(77 + 13_000_000)), Some(Trouble::NoContact), "a word of thirteen seconds ago is stale");
}

#[test]
fn late_doubled_and_forged_answers_change_nothing() {
    let mut bench = Bench::new(false);
    let (first, _) = bench.asked();
    bench.fails();
    let (second, _) = bench.asked();
    bench.give(Input::Offered(first, vec![(offer(1, 30, 900), Ok(held(0)))]));
    bench.give(Input::Failed(first, LineError::Down));
    bench.give(Input::Tick);
    assert!(bench.actions.is_empty() && bench.puller.standings().next().is_none(), "{:?}", bench.actions);
    bench.give(Input::Offered(second, vec![(offer(1, 30, 900), Ok(held(0)))]));
    let (third, _) = bench.asked();
    bench.answers(batch(1, 0));
    bench.give(Input::Answered(third, batch(1, 0)));
    assert!(bench.actions.is_empty(), "the same answer twice is one batch");
    bench.give(Input::Applied(node(2), Ok(held(9))));
    assert!(bench.actions.is_empty());
}

#[test]
fn a_room_may_offer_its_own_journal_only() {
    let mut bench = Bench::new(false);
    bench.offers(&[(offer(2, 50, 9), 0), (offer(1, 5, 9), 0)]);
    assert_eq!(bench.told, [Told::NotItsOwn(1)]);
    bench.fetches(1, 0, 5);
    bench.rests();
    assert_eq!(bench.puller.standings().count(), 1);
}

#[test]
fn a_journal_begun_anew_is_noticed_whether_shorter_longer_or_as_long_and_said_once() {
    for (tail, expected) in [(20, Trouble::LostEnd), (30, Trouble::OtherChain), (40, Trouble::OtherChain)] {
        let mut bench = Bench::new(false);
        for _ in 0..3 {
            let anew = Offered { hash: Hash([0xee; 32]), ..offer(1, tail, 900) };
            bench.offers(&[(anew, 30)]);
            if tail > 30 && bench.told.is_empty() {
                assert_eq!(bench.asked_of(), (node(1), 30));
                bench.answers(Answer::OtherChain);
            }
            bench.rests();
        }
        assert_eq!(bench.told, [Told::Began(node(1), expected)], "{tail}");
        assert!(bench.standing(1).trouble.is_some_and(Trouble::is_grave));
    }
}

#[test]
fn a_copy_that_a_person_had_begun_anew_is_filled_at_once() {
    let mut bench = Bench::new(false);
    bench.offers(&[(offer(1, 30, 900), 30)]);
    for _ in 0..8 {
        bench.rests();
        bench.offers(&[(Offered { hash: Hash([0xee; 32]), ..offer(1, 30, 950) }, 30)]);
    }
    assert_eq!(bench.standing(1).trouble, Some(Trouble::OtherChain));
    assert_eq!(bench.standing(1).complete_to, UtcMicros::from_micros(900), "another chain completes nothing");
    bench.rests();
    bench.offers(&[(offer(1, 30, 990), 0)]);
    assert_eq!(bench.standing(1).complete_to, UtcMicros::from_micros(0));
    bench.fetches(1, 0, 30);
    assert_eq!((bench.standing(1).trouble, bench.standing(1).complete_to), (None, UtcMicros::from_micros(990)));
}

#[test]
fn a_centre_between_that_lost_its_copies_is_waited_for_and_is_no_alarm() {
    let mut bench = Bench::new(true);
    bench.offers(&[(offer(2, 10, 9), 30)]);
    assert_eq!(bench.told, [Told::Began(node(2), Trouble::BetweenBehind)]);
    assert!(!Trouble::BetweenBehind.is_grave());
    bench.rests();
    bench.now += Duration::from_secs(60);
    bench.offers(&[(offer(2, 31, 9), 30)]);
    bench.fetches(2, 30, 31);
    assert_eq!(bench.told[1..], [Told::Ended(node(2))]);
}

#[test]
fn what_the_centre_between_cannot_reach_is_named_with_its_reason_and_what_it_has_is_fetched() {
    let mut bench = Bench::new(true);
    let cut = Offered { trouble: Some(Trouble::NoContact), ..offer(2, 30, 500) };
    bench.offers(&[(cut, 10)]);
    bench.fetches(2, 10, 30);
    let standing = bench.standing(2);
    assert_eq!((standing.trouble, standing.complete_to), (Some(Trouble::NoContact), UtcMicros::from_micros(500)));
    bench.rests();
    bench.offers(&[(offer(2, 30, 900), 30)]);
    assert_eq!((bench.standing(2).trouble, bench.standing(2).complete_to), (None, UtcMicros::from_micros(900)));
}

#[test]
fn records_that_do_not_enter_are_asked_for_again_ever_less_often_while_the_other_nodes_go_on() {
    let mut bench = Bench::new(true);
    let mut tried = Vec::new();
    let begun = bench.now;
    for turn in 0..200 {
        bench.offers(&[(offer(2, 50, 9), 10), (offer(3, 1000, 9), turn)]);
        while let [Action::Ask { number, question: Question::Records { node: of, after, .. }, .. }] = bench.actions[..] {
            bench.give(Input::Answered(number, Answer::Records(Batch { node: of, after, records: Vec::new() })));
            if of == node(2) {
                tried.push((bench.now - begun).as_secs());
                bench.give(Input::Applied(of, Err(NotApplied::Batch)));
            } else {
                bench.give(Input::Applied(of, Ok(held(1000))));
            }
        }
        bench.rests();
    }
    assert_eq!(bench.told, [Told::Began(node(2), Trouble::Altered)]);
    assert!(tried.len() > 4 && tried.len() < 9, "tried at {tried:?} s");
    assert!(tried.windows(3).all(|three| three[2] - three[1] + 1 >= three[1] - three[0]), "{tried:?}");
}

#[test]
fn an_answer_that_brings_nothing_is_not_asked_for_again_at_once() {
    let mut bench = Bench::new(false);
    bench.offers(&[(offer(1, 30, 9), 10)]);
    bench.answers(batch(1, 10));
    bench.give(Input::Applied(node(1), Ok(held(10))));
    assert!(bench.rests() > Duration::from_millis(400));
    assert_eq!(bench.told, [Told::Began(node(1), Trouble::Altered)]);
}

#[test]
fn an_answer_to_another_question_is_a_failure_of_the_line_and_never_ends_the_asking() {
    let mut bench = Bench::new(false);
    bench.answers(Answer::Nothing);
    bench.rests();
    bench.offers(&[(offer(1, 30, 9), 10)]);
    let (number, _) = bench.asked();
    bench.give(Input::Offered(number, Vec::new()));
    bench.rests();
    bench.offers(&[(offer(1, 30, 9), 10)]);
    bench.answers(batch(2, 0));
    bench.rests();
    assert_eq!(bench.asked().1, Question::Histories);
}
