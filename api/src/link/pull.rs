//! What an upper node asks of one neighbour below, and when. Pure: answers and time in, questions out.
//!
//! One round asks which journals there are and how far each goes, then fetches from those that go further than the copies here, turn by
//! turn, so that no node's backlog keeps another waiting; then it rests. There is one question or one batch at a time (L3). A line that
//! does not answer is asked less and less often, with chance in it, so that a centre that comes back is not met by all at once.

use super::{
    LineError,
    message::{Answer, MAX_OFFERED, Offered, Question},
    standing::{Standing, Trouble},
};
use index::{
    journal::{Batch, Hash, MAX_BATCH_BYTES, MIN_BATCH_BYTES, Seq},
    model::{NodeId, UtcMicros},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How long a line rests when all is fetched: what happens below is known above so much later.
const REST: Duration = Duration::from_millis(500);
/// While much is fetched, it is asked anew so often how far each journal goes.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long an answer may take. A batch over a line of 0.5 Mbit/s takes two seconds.
const DEADLINE: Duration = Duration::from_secs(10);
/// The first and the longest wait after a question without an answer.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// The same for one node whose records are refused while its line works.
const NODE_BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Who is at the other end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// Which node.
    pub node: NodeId,
    /// Whether it may offer journals of nodes below it; a room may offer its own only.
    pub carries: bool,
}

impl Peer {
    /// Whether it may offer that node's journal.
    #[must_use]
    pub fn may_offer(self, node: NodeId) -> bool {
        self.carries || node == self.node
    }
}

/// What of a node's journal is here, durably.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// The end of the copy.
    pub tail: Seq,
    /// The chain up to it.
    pub hash: Hash,
    /// When its newest record happened.
    pub newest_at: Option<UtcMicros>,
}

/// Why a batch did not enter a copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotApplied {
    /// It is not what must come next: see [`index::journal::CopyError::is_peers_fault`].
    Batch,
    /// The copy cannot be written or opened.
    Disk,
}

/// What happened.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// Time passed.
    Tick,
    /// The answer to [`Question::Histories`], and what is here of each.
    Offered(u64, Vec<(Offered, Result<Held, NotApplied>)>),
    /// Any other answer to the question of that number.
    Answered(u64, Answer),
    /// There is no answer to it.
    Failed(u64, LineError),
    /// What became of the batch that was to be applied.
    Applied(NodeId, Result<Held, NotApplied>),
}

/// What the shell must do next.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Put a question to the neighbour.
    Ask {
        /// What the answer must repeat.
        number: u64,
        /// The question.
        question: Question,
        /// How long it may take.
        deadline: Duration,
    },
    /// Take a batch into the copy of its node.
    Apply(Batch),
    /// Give a [`Input::Tick`] then.
    WakeAt(Instant),
    /// Say it in the log.
    Tell(Told),
}

/// What people should know, once each time it changes.
#[derive(Clone, PartialEq, Debug)]
pub enum Told {
    /// The neighbour does not answer any more.
    LineLost(LineError),
    /// It answers again, after so many questions without an answer.
    LineBack(u32),
    /// Something keeps a copy from following.
    Began(NodeId, Trouble),
    /// It does not any more.
    Ended(NodeId),
    /// The neighbour offered journals that it may not carry, so many.
    NotItsOwn(usize),
}

#[derive(Debug)]
enum State {
    Resting { until: Instant },
    Asking { number: u64, of: Option<NodeId> },
    Applying { node: NodeId },
}

/// One node that is fetched over this line.
#[derive(Debug)]
struct Followed {
    held: Held,
    standing: Standing,
    /// It is left alone until then, after so many refusals in a row.
    until: Option<Instant>,
    refusals: u32,
    /// The trouble is that of the node between.
    inherited: bool,
}

/// The upper node's side of one line.
#[derive(Debug)]
pub struct Puller {
    peer: Peer,
    state: State,
    nodes: BTreeMap<NodeId, Followed>,
    /// Whose turn was last.
    turn: Option<NodeId>,
    number: u64,
    failures: u32,
    looked: Option<Instant>,
    bytes: usize,
    not_its_own: usize,
    dice: StdRng,
}

impl Puller {
    /// Begins at once, with what is here of the neighbour's own journal: until it answers, that is known of it and no more. The seed
    /// decides the chance in its waits and where its numbers begin.
    #[must_use]
    pub fn new(peer: Peer, held: Option<Held>, seed: u64, now: Instant) -> Self {
        let neighbour = held.map(|held| (peer.node, Followed::unheard(peer.node, held)));
        let mut dice = StdRng::seed_from_u64(seed);
        let number = dice.random::<u64>() >> 1;
        Self {
            peer,
            state: State::Resting { until: now },
            nodes: neighbour.into_iter().collect(),
            turn: None,
            number,
            failures: 0,
            looked: None,
            bytes: MAX_BATCH_BYTES,
            not_its_own: 0,
            dice,
        }
    }

    /// How each node stands that was ever offered over this line.
    pub fn standings(&self) -> impl Iterator<Item = (NodeId, Standing)> {
        self.nodes.iter().map(|(node, followed)| (*node, followed.standing))
    }

    /// The only place where the line changes state. `utc` is this node's clock, for people.
    pub fn handle(&mut self, input: Input, now: Instant, utc: UtcMicros) -> Vec<Action> {
        let mut actions = Vec::new();
        match (&self.state, input) {
            (State::Resting { until }, Input::Tick) if now >= *until => self.look(&mut actions),
            (State::Resting { until }, Input::Tick) => actions.push(Action::WakeAt(*until)),
            (State::Asking { number, of: None }, Input::Offered(answered, offers)) if *number == answered => {
                self.take_offers(offers, now, utc, &mut actions);
                self.next(now, &mut actions);
            }
            (State::Asking { number, of: Some(node) }, Input::Answered(answered, answer)) if *number == answered => {
                let node = *node;
                self.take_answer(node, answer, now, &mut actions);
            }
            (State::Asking { number, .. }, Input::Offered(answered, _)) if *number == answered => {
                self.fail(LineError::Malformed("it answers another question"), now, &mut actions);
            }
            (State::Asking { number, .. }, Input::Answered(answered, answer)) if *number == answered => {
                let why = match answer {
                    Answer::Refused(why) => LineError::Refused(why),
                    _ => LineError::Malformed("it answers another question"),
                };
                self.fail(why, now, &mut actions);
            }
            (State::Asking { number, .. }, Input::Failed(asked, why)) if *number == asked => self.fail(why, now, &mut actions),
            (State::Applying { node }, Input::Applied(applied, result)) if *node == applied => {
                self.take_applied(applied, result, now, &mut actions);
                self.next(now, &mut actions);
            }
            // Late, doubled and forged answers are nobody's.
            _ => {}
        }
        actions
    }

    fn ask(&mut self, of: Option<NodeId>, question: Question, actions: &mut Vec<Action>) {
        self.number = self.number.wrapping_add(1);
        self.state = State::Asking { number: self.number, of };
        actions.push(Action::Ask { number: self.number, question, deadline: DEADLINE });
    }

    fn look(&mut self, actions: &mut Vec<Action>) {
        self.ask(None, Question::Histories, actions);
    }

    /// Asks for what comes next of some node that is behind, or rests.
    fn next(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.looked.is_none_or(|looked| now >= looked + LOOK_EVERY) {
            return self.look(actions);
        }
        let behind =
            |followed: &Followed| followed.standing.there > followed.held.tail && followed.until.is_none_or(|until| now >= until);
        let after = self.nodes.iter().filter(|(node, _)| Some(**node) > self.turn).find(|(_, followed)| behind(followed));
        let Some((node, followed)) = after.or_else(|| self.nodes.iter().find(|(_, followed)| behind(followed))) else {
            let rest = REST.mul_f64(self.dice.random_range(0.9..1.1));
            return self.rest(now + rest, actions);
        };
        let (node, Held { tail, hash, .. }) = (*node, followed.held);
        self.turn = Some(node);
        self.ask(Some(node), Question::Records { node, after: tail, hash, bytes: self.bytes as u32 }, actions);
    }

    fn rest(&mut self, until: Instant, actions: &mut Vec<Action>) {
        self.state = State::Resting { until };
        actions.push(Action::WakeAt(until));
    }

    fn take_offers(
        &mut self,
        offers: Vec<(Offered, Result<Held, NotApplied>)>,
        now: Instant,
        utc: UtcMicros,
        actions: &mut Vec<Action>,
    ) {
        self.succeed(actions);
        // Counted from the answer: over a line slower than this, something is fetched all the same.
        self.looked = Some(now);
        let (peer, via) = (self.peer, self.peer.node);
        let all = offers.len();
        let ours: Vec<_> = offers.into_iter().filter(|(offer, _)| peer.may_offer(offer.node)).collect();
        let not_its_own = all - ours.len();
        if not_its_own != std::mem::replace(&mut self.not_its_own, not_its_own) && not_its_own > 0 {
            actions.push(Action::Tell(Told::NotItsOwn(not_its_own)));
        }
        for (offer, held) in ours {
            if !self.nodes.contains_key(&offer.node) && self.nodes.len() >= MAX_OFFERED {
                continue;
            }
            let none = Held { tail: Seq::ZERO, hash: Hash::ZERO, newest_at: None };
            let followed = self.nodes.entry(offer.node).or_insert_with(|| Followed::new(via, none));
            followed.standing.there = offer.tail;
            followed.standing.there_complete_to = offer.complete_to;
            followed.standing.heard = Some(utc);
            match held {
                Ok(held) => {
                    if held.tail < followed.held.tail {
                        // A person had the copy begun anew: what was in its way does not count any more.
                        followed.end(offer.node, actions);
                        followed.standing.complete_to = UtcMicros::MIN;
                    }
                    followed.hold(held);
                    followed.compare(&offer, held, now, actions);
                    if !followed.standing.trouble.is_some_and(Trouble::is_grave) {
                        followed.complete();
                    }
                }
                Err(_) => followed.begin(offer.node, Trouble::OurDisk, now, actions),
            }
        }
    }

    fn take_answer(&mut self, node: NodeId, answer: Answer, now: Instant, actions: &mut Vec<Action>) {
        let Some(followed) = self.nodes.get_mut(&node) else { return self.next(now, actions) };
        let trouble = match answer {
            Answer::Records(batch) if batch.node == node => {
                self.state = State::Applying { node };
                actions.push(Action::Apply(batch));
                self.bytes = (self.bytes * 2).min(MAX_BATCH_BYTES);
                return self.succeed(actions);
            }
            Answer::Nothing => {
                followed.standing.there = followed.held.tail;
                None
            }
            Answer::Behind(_) if node == self.peer.node => Some(Trouble::LostEnd),
            Answer::Behind(_) => Some(Trouble::BetweenBehind),
            Answer::OtherChain => Some(Trouble::OtherChain),
            Answer::Refused(_) => Some(Trouble::Withheld),
            Answer::Records(_) | Answer::Histories(_) | Answer::Names(_) | Answer::Delivered(_) | Answer::Down(..) => {
                return self.fail(LineError::Malformed("it answers another question"), now, actions);
            }
        };
        if let Some(trouble) = trouble {
            followed.begin(node, trouble, now, actions);
        }
        self.succeed(actions);
        self.next(now, actions);
    }

    fn take_applied(&mut self, node: NodeId, result: Result<Held, NotApplied>, now: Instant, actions: &mut Vec<Action>) {
        let Some(followed) = self.nodes.get_mut(&node) else { return };
        match result {
            Ok(held) if held.tail > followed.held.tail => {
                followed.hold(held);
                followed.complete();
                if !followed.inherited {
                    followed.end(node, actions);
                }
            }
            // An answer that brings nothing new would be asked for again at once, for ever.
            Ok(_) | Err(NotApplied::Batch) => followed.begin(node, Trouble::Altered, now, actions),
            Err(NotApplied::Disk) => followed.begin(node, Trouble::OurDisk, now, actions),
        }
    }

    fn succeed(&mut self, actions: &mut Vec<Action>) {
        let failures = std::mem::take(&mut self.failures);
        if failures > 0 {
            actions.push(Action::Tell(Told::LineBack(failures)));
        }
    }

    fn fail(&mut self, why: LineError, now: Instant, actions: &mut Vec<Action>) {
        if self.failures == 0 {
            actions.push(Action::Tell(Told::LineLost(why)));
        }
        self.failures = self.failures.saturating_add(1);
        self.bytes = (self.bytes / 2).max(MIN_BATCH_BYTES);
        for followed in self.nodes.values_mut().filter(|followed| followed.standing.trouble.is_none()) {
            followed.standing.trouble = Some(Trouble::NoContact);
        }
        self.looked = None;
        let wait = backoff(BACKOFF, self.failures, &mut self.dice);
        self.rest(now + wait, actions);
    }
}

impl Followed {
    fn new(via: NodeId, held: Held) -> Self {
        let standing = Standing {
            via,
            tail: held.tail,
            there: held.tail,
            complete_to: UtcMicros::MIN,
            there_complete_to: UtcMicros::MIN,
            trouble: None,
            heard: None,
        };
        Self { held, standing, until: None, refusals: 0, inherited: false }
    }

    /// A node of which nothing was heard since the start.
    fn unheard(via: NodeId, held: Held) -> Self {
        let mut followed = Self::new(via, held);
        followed.standing.complete_to = held.newest_at.unwrap_or(UtcMicros::MIN);
        followed.standing.there_complete_to = followed.standing.complete_to;
        followed.standing.trouble = Some(Trouble::NoContact);
        followed
    }

    /// What is here now.
    fn hold(&mut self, held: Held) {
        self.held = held;
        self.standing.tail = held.tail;
    }

    /// So far is it complete then: as far as the other end, if all that is there is here.
    fn complete(&mut self) {
        let held = self.held;
        let known = if held.tail >= self.standing.there { Some(self.standing.there_complete_to) } else { held.newest_at };
        self.standing.complete_to = self.standing.complete_to.max(known.unwrap_or(UtcMicros::MIN));
    }

    /// Holds what is offered against what is here.
    fn compare(&mut self, offer: &Offered, held: Held, now: Instant, actions: &mut Vec<Action>) {
        let passing = matches!(self.standing.trouble, Some(Trouble::NoContact | Trouble::BetweenBehind));
        if offer.tail < held.tail {
            let why = if offer.node == self.standing.via { Trouble::LostEnd } else { Trouble::BetweenBehind };
            self.begin(offer.node, why, now, actions);
        } else if offer.tail == held.tail && offer.hash != held.hash {
            self.begin(offer.node, Trouble::OtherChain, now, actions);
        } else if let Some(trouble) = offer.trouble {
            // Somebody between has trouble with it, and so have we: but what there is, is fetched.
            self.set(offer.node, trouble, true, actions);
        } else if offer.tail == held.tail || self.inherited || passing {
            self.end(offer.node, actions);
        }
    }

    fn begin(&mut self, node: NodeId, trouble: Trouble, now: Instant, actions: &mut Vec<Action>) {
        self.refusals = self.refusals.saturating_add(1);
        self.until = Some(now + doubled(NODE_BACKOFF, self.refusals));
        self.set(node, trouble, false, actions);
    }

    fn set(&mut self, node: NodeId, trouble: Trouble, inherited: bool, actions: &mut Vec<Action>) {
        self.inherited = inherited;
        if self.standing.trouble.replace(trouble) != Some(trouble) {
            actions.push(Action::Tell(Told::Began(node, trouble)));
        }
    }

    fn end(&mut self, node: NodeId, actions: &mut Vec<Action>) {
        (self.until, self.refusals, self.inherited) = (None, 0, false);
        if let Some(trouble) = self.standing.trouble.take()
            && trouble != Trouble::NoContact
        {
            actions.push(Action::Tell(Told::Ended(node)));
        }
    }
}

/// The wait after that many failures in a row.
fn doubled((first, longest): (Duration, Duration), failures: u32) -> Duration {
    first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(longest)
}

/// The same, half of it by chance.
fn backoff(limits: (Duration, Duration), failures: u32, dice: &mut StdRng) -> Duration {
    doubled(limits, failures).mul_f64(dice.random_range(0.5..1.0))
}

#[cfg(test)]
mod tests;
