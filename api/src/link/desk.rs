//! The lower node's side of a line: answers what the upper one asks, from the journal and from the copies kept here.

use super::down::{
    Answers, No, Relays, Reply,
    budget::{Budget, Rank},
};
use super::message::{self, Answer, Named, Offered, Question, Refused};
use super::roster::Roster;
use super::standing::Standings;
use bytes::Bytes;
use index::{
    incidents::{Casebook, Handed},
    journal::{Copies, Gathered, Hash, History, Seq},
    model::{NodeId, Tier, UtcMicros},
};
use std::{sync::Arc, time::Duration};

/// The longest that a question may wait for its answer, whatever it says.
const LONGEST: Duration = Duration::from_secs(30);

/// How many times smaller a batch of records is on the line.
const PACKED: usize = 8;

/// What an upper node may fetch here.
pub struct Desk {
    own: Arc<dyn History>,
    below: Option<(Arc<Copies>, Arc<Standings>)>,
    /// What is told of the nodes by name, the own one first.
    names: Option<(Named, Arc<Roster>)>,
    /// Who keeps what was done above about incidents.
    incidents: Option<Arc<Casebook>>,
    /// What answers requests for this node itself.
    here: Option<Arc<Answers>>,
    /// What hands on those for nodes below.
    down: Option<Arc<Relays>>,
    /// What may go up the line.
    budget: Arc<Budget>,
}

impl Desk {
    /// Of a room: its own journal.
    #[must_use]
    pub fn of_room(own: Arc<dyn History>) -> Self {
        Self { own, below: None, names: None, incidents: None, here: None, down: None, budget: Arc::new(Budget::new(None)) }
    }

    /// Of a centre: its own journal, and the copies of those below with how they stand.
    #[must_use]
    pub fn of_centre(own: Arc<dyn History>, copies: Arc<Copies>, standings: Arc<Standings>) -> Self {
        Self {
            own,
            below: Some((copies, standings)),
            names: None,
            incidents: None,
            here: None,
            down: None,
            budget: Arc::new(Budget::new(None)),
        }
    }

    /// The same, and it says what the nodes are called: this one, and those that are known below.
    #[must_use]
    pub fn called(self, own: Named, below: Arc<Roster>) -> Self {
        Self { names: Some((own, below)), ..self }
    }

    /// The same, and it takes what was done above about incidents.
    #[must_use]
    pub fn taking(self, incidents: Arc<Casebook>) -> Self {
        Self { incidents: Some(incidents), ..self }
    }

    /// Says which tier is above.
    pub fn is_below(&self, tier: Tier) {
        if let Some(incidents) = &self.incidents {
            incidents.set_upper(tier);
        }
    }

    /// The same, and it answers requests for what is here.
    #[must_use]
    pub fn answering(self, here: Arc<Answers>) -> Self {
        Self { here: Some(here), ..self }
    }

    /// The same, and it hands requests on to nodes below.
    #[must_use]
    pub fn handing_on(self, down: Arc<Relays>) -> Self {
        Self { down: Some(down), ..self }
    }

    /// The same, and no more goes up the line than this.
    #[must_use]
    pub fn within(self, budget: Arc<Budget>) -> Self {
        Self { budget, ..self }
    }

    /// Answers a message, as [`Desk::answer`] does, or from beside the async threads; also what takes its time.
    pub async fn reply(self: Arc<Self>, message: Vec<u8>) -> Option<Vec<u8>> {
        if let Ok((number, Some(Question::Down { to, within_ms, limit, say }))) = message::read_question(&message) {
            self.budget.above_allows(limit);
            let within = Duration::from_millis(u64::from(within_ms)).min(LONGEST);
            let (reply, bytes) = match (&self.here, &self.down) {
                (Some(here), _) if to == self.own.node() => here.answer(*say, within).await,
                (_, Some(down)) if to != self.own.node() => down.hand_on(to, *say, within).await,
                _ => (Reply::No { by: self.own.node(), why: No::UnknownNode }, Bytes::new()),
            };
            return Some(message::write_answer(number, &Answer::Down(Box::new(reply), bytes)));
        }
        let budget = Arc::clone(&self.budget);
        let answered = tokio::task::spawn_blocking(move || self.answer(&message, UtcMicros::now()));
        let answer = answered.await.ok().flatten()?;
        // Whoever asks for a journal asks again for what could not go.
        budget.pass(Rank::Journal, answer.len(), LONGEST).await.then_some(answer)
    }

    /// Answers a message; `None` if it is no question. Reads the disk: not for async code.
    #[must_use]
    pub fn answer(&self, message: &[u8], now: UtcMicros) -> Option<Vec<u8>> {
        let (number, question) = message::read_question(message).ok()?;
        let answer = match question {
            None | Some(Question::Down { .. }) => Answer::Refused(Refused::NotUnderstood),
            Some(Question::Histories) => Answer::Histories(self.histories(now)),
            Some(Question::Names) => Answer::Names(self.names()),
            Some(Question::Deliver { via, moves }) => self.receive(via, moves, now),
            Some(Question::Records { node, after, hash, bytes }) => {
                // Records are packed to an eighth: so many make a part that keeps nobody waiting.
                let bytes = self.budget.part(bytes as usize / PACKED).saturating_mul(PACKED).min(bytes as usize);
                self.records(node, after, hash, bytes)
            }
        };
        Some(message::write_answer(number, &answer))
    }

    fn histories(&self, now: UtcMicros) -> Vec<Offered> {
        let (tail, hash) = self.own.head();
        let mut offered = vec![Offered { node: self.own.node(), tail, hash, complete_to: now, trouble: None }];
        if let Some((copies, standings)) = &self.below {
            offered.extend(copies.list().iter().map(|copy| {
                // First how far it is complete, then how far it goes: it may grow in between.
                let standing = standings.of_copy(copy);
                let (tail, hash) = copy.head();
                Offered { node: copy.node(), tail, hash, complete_to: standing.complete_to, trouble: standing.trouble }
            }));
        }
        offered.truncate(message::MAX_OFFERED);
        offered
    }

    fn names(&self) -> Vec<Named> {
        let Some((own, below)) = &self.names else { return Vec::new() };
        std::iter::once(own.clone()).chain(below.list().into_iter().map(|known| known.named)).take(message::MAX_OFFERED).collect()
    }

    fn receive(&self, via: NodeId, moves: Vec<Handed>, now: UtcMicros) -> Answer {
        let Some(incidents) = &self.incidents else { return Answer::Refused(Refused::NotUnderstood) };
        match incidents.receive(via, moves, now) {
            Ok(upto) => Answer::Delivered(upto),
            Err(error) => {
                tracing::error!(%via, %error, "what was done above about incidents cannot be kept here, and is not confirmed");
                Answer::Refused(Refused::Unreadable)
            }
        }
    }

    fn records(&self, node: NodeId, after: Seq, hash: Hash, bytes: usize) -> Answer {
        let copy = || self.below.as_ref()?.0.list().into_iter().find(|copy| copy.node() == node);
        let gathered = if node == self.own.node() {
            self.own.gather(after, hash, bytes)
        } else {
            match copy() {
                Some(copy) => copy.gather(after, hash, bytes),
                None => return Answer::Refused(Refused::Unknown),
            }
        };
        match gathered {
            Ok(Gathered::Batch(batch)) => Answer::Records(batch),
            Ok(Gathered::Nothing) => Answer::Nothing,
            Ok(Gathered::Behind { tail }) => Answer::Behind(tail),
            Ok(Gathered::OtherChain { .. }) => Answer::OtherChain,
            Err(error) => {
                tracing::error!(%node, %error, "an upper node asked for records that do not read back: check the disk");
                Answer::Refused(Refused::Unreadable)
            }
        }
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("node", &self.own.node()).finish_non_exhaustive()
    }
}
