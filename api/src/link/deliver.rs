//! What is done above about incidents of a room, on its way down to it.
//!
//! The upper node puts it as a question, the lower one answers when it is durable there and says how far it has come: that is the cursor,
//! and there is no other. [`Deliverer`] decides, pure; [`deliver`] acts for it. Whatever is lost, doubled or late costs a repetition.

use super::{
    Line, LineError,
    message::{self, Answer, Question},
    roster::Roster,
};
use index::{
    incidents::{Casebook, Handed},
    journal::Seq,
    model::NodeId,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often it is looked whether there is something new, if nobody says so.
const REST: Duration = Duration::from_millis(500);
/// The first and the longest wait after a question without an answer.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// What happened.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// Time passed, or the journal grew.
    Tick,
    /// What the journal has next for the node below, and up to where it was looked through.
    Found(Vec<Handed>, Seq),
    /// The node below has everything up to there.
    Delivered(u64, Seq),
    /// There is no answer, or none that can be used.
    Failed(u64, LineError),
}

/// What the shell must do next.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Look what the journal has for the node below after a record, and give [`Input::Found`].
    Look(Seq),
    /// Put a question.
    Ask {
        /// What the answer must repeat.
        number: u64,
        /// What is handed down; nothing asks for the cursor alone.
        moves: Vec<Handed>,
        /// How long it may take.
        deadline: Duration,
    },
    /// Give an [`Input::Tick`] then, or when the journal grew.
    WakeAt(Instant),
}

#[derive(Debug)]
enum State {
    Resting { until: Instant },
    Looking,
    Asking { number: u64, last: Option<Seq>, upto: Seq },
}

/// The upper node's side of handing down over one line.
#[derive(Debug)]
pub struct Deliverer {
    state: State,
    /// How far everything is durable below; `None` until it said so.
    cursor: Option<Seq>,
    number: u64,
    failures: u32,
    dice: StdRng,
}

impl Deliverer {
    /// Begins by asking for the cursor.
    #[must_use]
    pub fn new(seed: u64, now: Instant) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let number = dice.random::<u64>() >> 1;
        Self { state: State::Resting { until: now }, cursor: None, number, failures: 0, dice }
    }

    /// The only place where it changes state.
    pub fn handle(&mut self, input: Input, now: Instant) -> Option<Action> {
        match (&self.state, input) {
            (State::Resting { until }, Input::Tick) if now < *until && (self.failures > 0 || self.cursor.is_none()) => {
                Some(Action::WakeAt(*until))
            }
            (State::Resting { .. }, Input::Tick) => match self.cursor {
                Some(cursor) => {
                    self.state = State::Looking;
                    Some(Action::Look(cursor))
                }
                None => Some(self.ask(Vec::new(), Seq::ZERO)),
            },
            (State::Looking, Input::Found(moves, upto)) if moves.is_empty() => {
                let further = self.cursor.is_none_or(|cursor| upto > cursor);
                self.cursor = Some(upto);
                if further {
                    return Some(Action::Look(upto));
                }
                Some(self.rest(now + REST))
            }
            (State::Looking, Input::Found(moves, upto)) => Some(self.ask(moves, upto)),
            (State::Asking { number, last, upto }, Input::Delivered(answered, cursor)) if *number == answered => {
                self.failures = 0;
                self.cursor = Some(match last {
                    // What was looked through beyond the last of them has nothing for that node.
                    Some(last) if cursor >= *last => *upto,
                    _ => cursor,
                });
                self.state = State::Looking;
                self.cursor.map(Action::Look)
            }
            (State::Asking { number, .. }, Input::Failed(asked, _)) if *number == asked => {
                self.failures = self.failures.saturating_add(1);
                let wait = BACKOFF.0.saturating_mul(1 << (self.failures - 1).min(10)).min(BACKOFF.1);
                let wait = wait.mul_f64(self.dice.random_range(0.7..1.3));
                Some(self.rest(now + wait))
            }
            // Late, doubled and forged answers are nobody's.
            _ => None,
        }
    }

    fn ask(&mut self, moves: Vec<Handed>, upto: Seq) -> Action {
        self.number = self.number.wrapping_add(1);
        self.state = State::Asking { number: self.number, last: moves.last().map(|handed| handed.at), upto };
        Action::Ask { number: self.number, moves, deadline: DEADLINE }
    }

    fn rest(&mut self, until: Instant) -> Action {
        self.state = State::Resting { until };
        Action::WakeAt(until)
    }
}

/// Hands down over one line until it is told to stop. `grew` rings when the node's own journal did.
pub async fn deliver(
    line: Arc<dyn Line>,
    lower: NodeId,
    (casebook, roster): (Arc<Casebook>, Arc<Roster>),
    seed: u64,
    mut grew: watch::Receiver<()>,
    stop: CancellationToken,
) {
    let mut deliverer = Deliverer::new(seed, Instant::now());
    let mut next = deliverer.handle(Input::Tick, Instant::now());
    let mut told = false;
    while let Some(action) = next {
        let input = match action {
            Action::WakeAt(at) => tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(at.into()) => Input::Tick,
                _ = grew.changed() => Input::Tick,
            },
            Action::Look(after) => {
                grew.mark_unchanged();
                let (casebook, roster) = (Arc::clone(&casebook), Arc::clone(&roster));
                let goes = move |home: NodeId| home == lower || roster.of(home).is_some_and(|known| known.via == lower);
                let looked = tokio::task::spawn_blocking(move || casebook.outgoing(after, goes)).await;
                match looked {
                    Ok(Ok((moves, upto))) => Input::Found(moves, upto),
                    failed => {
                        if !std::mem::replace(&mut told, true) {
                            tracing::error!(?failed, %lower, "what was done here about incidents cannot be read and is not handed down");
                        }
                        tokio::time::sleep(BACKOFF.1).await;
                        Input::Found(Vec::new(), after)
                    }
                }
            }
            Action::Ask { number, moves, deadline } => {
                let via = casebook.me().node;
                let question = message::write_question(number, &Question::Deliver { via, moves });
                let answer = tokio::select! {
                    () = stop.cancelled() => return,
                    answer = line.ask(question, deadline) => answer,
                };
                understood(number, answer)
            }
        };
        next = deliverer.handle(input, Instant::now());
    }
}

/// What an answer is to the question of a number.
#[must_use]
pub fn understood(number: u64, answer: Result<Vec<u8>, LineError>) -> Input {
    match answer.and_then(|bytes| message::read_answer(&bytes).map_err(LineError::Malformed)) {
        Ok((answered, Answer::Delivered(upto))) => Input::Delivered(answered, upto),
        Ok((answered, Answer::Refused(why))) => Input::Failed(answered, LineError::Refused(why)),
        Ok(_) => Input::Failed(number, LineError::Malformed("it answers another question")),
        Err(why) => Input::Failed(number, why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use index::{
        incidents::{Author, Deed, IncidentId, Told, What},
        model::{Tier, UtcMicros},
    };

    fn handed(at: u64) -> Handed {
        let node = NodeId::from_bytes([3; 16]);
        let incident = IncidentId { node, seq: Seq::new(1) };
        let what = What::Moved { incident, seen: Default::default(), deed: Deed::Acknowledge };
        let told = Told { home: node, at: UtcMicros::from_micros(0), tier: Tier::District, by: Author::Clock, what };
        Handed { at: Seq::new(at), node, seq: Seq::new(at), told }
    }

    fn asked(action: Option<Action>) -> (u64, usize) {
        match action {
            Some(Action::Ask { number, moves, .. }) => (number, moves.len()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn it_goes_on_from_where_the_node_below_says_it_is_and_says_nothing_twice_that_arrived() {
        let now = Instant::now();
        let mut it = Deliverer::new(1, now);
        let (number, moves) = asked(it.handle(Input::Tick, now));
        assert_eq!(moves, 0, "first it asks how far the other has come");
        assert_eq!(it.handle(Input::Delivered(number + 1, Seq::new(99)), now), None, "another's answer");
        assert_eq!(it.handle(Input::Delivered(number, Seq::new(7)), now), Some(Action::Look(Seq::new(7))));
        let (number, _) = asked(it.handle(Input::Found(vec![handed(8), handed(11)], Seq::new(20)), now));
        let Some(Action::WakeAt(again)) = it.handle(Input::Failed(number, LineError::Deadline), now) else { panic!("it waits") };
        assert_eq!(it.handle(Input::Tick, now), Some(Action::WakeAt(again)), "not before its time");
        assert_eq!(it.handle(Input::Tick, again), Some(Action::Look(Seq::new(7))), "and says it all again");
        let (number, _) = asked(it.handle(Input::Found(vec![handed(8), handed(11)], Seq::new(20)), again));
        assert_eq!(it.handle(Input::Delivered(number, Seq::new(11)), again), Some(Action::Look(Seq::new(20))));
        assert!(matches!(it.handle(Input::Found(Vec::new(), Seq::new(20)), again), Some(Action::WakeAt(_))));
        // The journal grew: at once.
        assert_eq!(it.handle(Input::Tick, again), Some(Action::Look(Seq::new(20))));
        let (number, _) = asked(it.handle(Input::Found(vec![handed(21), handed(22)], Seq::new(22)), again));
        assert_eq!(it.handle(Input::Delivered(number, Seq::new(21)), again), Some(Action::Look(Seq::new(21))), "one is missing");
    }
}
