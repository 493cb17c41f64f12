//! Acts for a [`Puller`]: puts its questions on the line, its batches into copies, and its words into the log. Decides nothing.

use super::{
    Line, LineError,
    message::{self, Answer, Offered, Question},
    pull::{Action, Held, Input, NotApplied, Peer, Puller, Told},
    roster::Roster,
    standing::Standings,
};
use index::{
    journal::{Batch, Copies, CopyError, History, JournalCopy},
    model::{NodeId, UtcMicros},
};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// How often names are asked for: while one is missing, and otherwise.
const NAMES_MISSING: Duration = Duration::from_secs(5);
const NAMES_EVERY: Duration = Duration::from_secs(300);
/// How long the answer may take.
const NAMES_DEADLINE: Duration = Duration::from_secs(5);

/// Fetches over one line until it is told to stop. What is being written then is finished first.
pub async fn replicate(
    line: Arc<dyn Line>,
    peer: Peer,
    copies: Arc<Copies>,
    (standings, roster): (Arc<Standings>, Arc<Roster>),
    seed: u64,
    stop: CancellationToken,
) {
    let here = {
        let copies = Arc::clone(&copies);
        tokio::task::spawn_blocking(move || here(&copies, peer.node)).await.unwrap_or_default()
    };
    let mut names = Names::default();
    let mut puller = Puller::new(peer, here, seed, Instant::now());
    standings.set(puller.standings());
    let mut actions = VecDeque::from([Action::WakeAt(Instant::now())]);
    while let Some(action) = actions.pop_front() {
        let input = match action {
            Action::Tell(told) => {
                tell(peer.node, &told);
                continue;
            }
            Action::WakeAt(at) => tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(at.into()) => Input::Tick,
            },
            Action::Ask { number, question, deadline } => {
                let answer = tokio::select! {
                    () = stop.cancelled() => return,
                    answer = line.ask(message::write_question(number, &question), deadline) => answer,
                };
                match understood(number, answer) {
                    Ok(Answer::Histories(offers)) => {
                        let offers = roster.fed_by(peer, offers);
                        names.learn(&*line, &roster, peer, &offers).await;
                        on_disk(&copies, move |copies| Input::Offered(number, offered(copies, peer, offers))).await
                    }
                    Ok(answer) => Input::Answered(number, answer),
                    Err(why) => Input::Failed(number, why),
                }
            }
            Action::Apply(batch) => on_disk(&copies, move |copies| Input::Applied(batch.node, applied(copies, &batch))).await,
        };
        actions.extend(puller.handle(input, Instant::now(), UtcMicros::now()));
        standings.set(puller.standings());
    }
}

/// Asks what nodes are called that are offered and have no name yet, and now and then again: names change.
#[derive(Default)]
struct Names {
    asked: Option<Instant>,
    number: u64,
}

impl Names {
    async fn learn(&mut self, line: &dyn Line, roster: &Arc<Roster>, peer: Peer, offers: &[Offered]) {
        let unknown = offers.iter().any(|offer| roster.of(offer.node).is_none());
        let rest = if unknown { NAMES_MISSING } else { NAMES_EVERY };
        if self.asked.is_some_and(|asked| asked.elapsed() < rest) {
            return;
        }
        (self.asked, self.number) = (Some(Instant::now()), self.number.wrapping_add(1));
        let asked = line.ask(message::write_question(self.number, &Question::Names), NAMES_DEADLINE).await;
        // Without an answer the nodes go by their numbers for now.
        if let Ok(Answer::Names(named)) = understood(self.number, asked) {
            let roster = Arc::clone(roster);
            let learnt = tokio::task::spawn_blocking(move || roster.learn(peer, named)).await;
            if learnt.is_err() {
                tracing::warn!(peer = %peer.node, "names of nodes below could not be kept");
            }
        }
    }
}

fn understood(number: u64, answer: Result<Vec<u8>, LineError>) -> Result<Answer, LineError> {
    let (answered, answer) = message::read_answer(&answer?).map_err(LineError::Malformed)?;
    if answered == number { Ok(answer) } else { Err(LineError::Malformed("it answers another question")) }
}

/// Work that waits for the disk, beside the async threads. If it panics, its node is asked again later.
async fn on_disk(copies: &Arc<Copies>, work: impl FnOnce(&Copies) -> Input + Send + 'static) -> Input {
    let copies = Arc::clone(copies);
    match tokio::task::spawn_blocking(move || work(&copies)).await {
        Ok(input) => input,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// What is here of a node's journal; `None` if its copy does not open, which is said then. Waits for the disk.
#[must_use]
pub fn here(copies: &Copies, node: NodeId) -> Option<Held> {
    let opened = copies.of(node);
    opened
        .inspect_err(|error| tracing::error!(%node, %error, "the copy of a node's journal does not open"))
        .ok()
        .map(|copy| held(&copy))
}

/// What is here of each journal that is offered. Opens their copies: waits for the disk. For what the neighbour may not offer none is begun,
/// so that it cannot fill the disk with names.
#[must_use]
pub fn offered(copies: &Copies, peer: Peer, offers: Vec<Offered>) -> Vec<(Offered, Result<Held, NotApplied>)> {
    let find = |node| match copies.of(node) {
        Ok(copy) => Ok(held(&copy)),
        Err(error) => Err(not_applied(node, &error)),
    };
    offers
        .into_iter()
        .map(|offer| (offer, if peer.may_offer(offer.node) { find(offer.node) } else { Err(NotApplied::Batch) }))
        .collect()
}

/// Takes a batch into the copy of its node, durably. Waits for the disk.
///
/// # Errors
/// Whose fault it is that it did not enter; nothing of it did.
pub fn applied(copies: &Copies, batch: &Batch) -> Result<Held, NotApplied> {
    let copy = copies.of(batch.node).map_err(|error| not_applied(batch.node, &error))?;
    copy.apply(batch).map_err(|error| not_applied(batch.node, &error))?;
    Ok(held(&copy))
}

fn held(copy: &JournalCopy) -> Held {
    let (tail, hash) = copy.head();
    Held { tail, hash, newest_at: copy.newest_at() }
}

fn not_applied(node: NodeId, error: &CopyError) -> NotApplied {
    // At this level only: what it means for the node is said once, when it begins (`tell`).
    tracing::debug!(%node, %error, "records did not enter a copy");
    if error.is_peers_fault() { NotApplied::Batch } else { NotApplied::Disk }
}

fn tell(peer: NodeId, told: &Told) {
    match told {
        Told::LineLost(error) => {
            tracing::warn!(%peer, %error, "a node below does not answer: what happens there is not known here until it does; nothing is lost");
        }
        Told::LineBack(failures) => tracing::info!(%peer, failures, "a node below answers again"),
        Told::Began(node, trouble) if trouble.is_grave() => {
            tracing::error!(%peer, %node, %trouble, "the copy of a node's journal does not grow any more: somebody must look into it");
        }
        Told::Began(node, trouble) => {
            tracing::warn!(%peer, %node, %trouble, "the copy of a node's journal does not grow for now");
        }
        Told::Ended(node) => tracing::info!(%peer, %node, "the copy of a node's journal grows again"),
        Told::NotItsOwn(journals) => {
            tracing::error!(%peer, journals, "a room offers journals of other nodes, and they are not taken: somebody must look into it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Desk, Standing, Trouble, embedded};
    use futures::future::BoxFuture;
    use index::{
        journal::{CopyLimits, Hash, Journal, JournalLimits, Record, Seq, SimDisk},
        model::NodeId,
    };
    use std::sync::Mutex;

    fn node(n: u8) -> NodeId {
        NodeId::from_bytes([n; 16])
    }

    fn journal(n: u8, records: u64) -> Arc<Journal> {
        let journal =
            Journal::open_simulated(&SimDisk::new(u64::from(n)), node(n), JournalLimits::default()).expect("a new journal");
        let record = |n: u64| Record::new(UtcMicros::from_micros(n as i64), "test.record", serde_json::json!({ "n": n }));
        journal.append_all((1..=records).map(record).collect()).expect("appended");
        journal
    }

    fn line_to(desk: Desk) -> Arc<dyn Line> {
        let (line, work) = embedded(Arc::new(desk));
        tokio::spawn(work);
        Arc::new(line)
    }

    /// A centre that fetches over a line.
    fn centre(
        n: u8,
        line: Arc<dyn Line>,
        peer: u8,
        carries: bool,
        stop: &CancellationToken,
    ) -> (Desk, Arc<Copies>, Arc<Standings>) {
        let copies = Arc::new(Copies::open_simulated(&SimDisk::new(u64::from(n)), CopyLimits::default()).expect("they open"));
        let standings = Arc::new(Standings::default());
        let peer = Peer { node: node(peer), carries };
        let known = (Arc::clone(&standings), Arc::default());
        tokio::spawn(replicate(line, peer, Arc::clone(&copies), known, 1, stop.clone()));
        (Desk::of_centre(journal(n, 3), Arc::clone(&copies), Arc::clone(&standings)), copies, standings)
    }

    /// Waits until something is so of how a node stands.
    async fn stands(standings: &Standings, n: u8, so: impl Fn(Standing) -> bool) {
        let until = async {
            while !standings.of(node(n)).is_some_and(&so) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), until).await.expect("it comes to stand so");
    }

    fn complete_at(tail: u64) -> impl Fn(Standing) -> bool {
        move |standing| standing.tail == Seq::new(tail) && standing.trouble.is_none() && standing.lag_records() == 0
    }

    /// A line whose other end can be exchanged for another.
    struct Exchanged(Mutex<Arc<dyn Line>>);

    impl Line for Exchanged {
        fn ask(&self, question: Vec<u8>, deadline: Duration) -> BoxFuture<'_, Result<Vec<u8>, LineError>> {
            let line = Arc::clone(&self.0.lock().expect("nobody panics with it"));
            Box::pin(async move { line.ask(question, deadline).await })
        }
    }

    #[tokio::test]
    async fn what_a_room_writes_is_in_the_district_through_the_sub_district_and_stands_there_as_complete() {
        let room = journal(1, 5000);
        let stop = CancellationToken::new();
        let below = line_to(Desk::of_room(Arc::clone(&room) as Arc<dyn History>));
        let (desk, _, _) = centre(2, below, 1, false, &stop);
        let (_, copies, standings) = centre(3, line_to(desk), 2, true, &stop);
        stands(&standings, 1, complete_at(5000)).await;
        stands(&standings, 2, complete_at(3)).await;
        assert_eq!(copies.of(node(1)).expect("it opens").head(), room.head());
        stop.cancel();
    }

    #[test]
    fn a_room_that_offers_journals_of_others_makes_nothing_on_the_disk() {
        let copies = Copies::open_simulated(&SimDisk::new(1), CopyLimits::default()).expect("they open");
        let offer =
            |n| Offered { node: node(n), tail: Seq::new(5), hash: Hash::ZERO, complete_to: UtcMicros::MIN, trouble: None };
        let found = offered(&copies, Peer { node: node(1), carries: false }, (0..200).map(offer).collect());
        assert_eq!(found.iter().filter(|(_, held)| held.is_ok()).count(), 1);
        assert_eq!(copies.list().iter().map(|copy| copy.node()).collect::<Vec<_>>(), [node(1)]);
    }

    #[tokio::test]
    async fn a_room_whose_journal_was_begun_anew_is_named_and_nothing_of_it_enters_until_a_person_says_so() {
        let stop = CancellationToken::new();
        let (before, anew) = (journal(1, 100), journal(1, 70));
        let line = Arc::new(Exchanged(Mutex::new(line_to(Desk::of_room(Arc::clone(&before) as Arc<dyn History>)))));
        let (_, copies, standings) = centre(3, Arc::clone(&line) as Arc<dyn Line>, 1, false, &stop);
        stands(&standings, 1, complete_at(100)).await;
        *line.0.lock().expect("nobody panics with it") = line_to(Desk::of_room(Arc::clone(&anew) as Arc<dyn History>));
        stands(&standings, 1, |standing| standing.trouble == Some(Trouble::LostEnd)).await;
        anew.append_all((0..60).map(|n| Record::new(UtcMicros::from_micros(n), "test.other", serde_json::Value::Null)).collect())
            .expect("appended");
        stands(&standings, 1, |standing| standing.trouble == Some(Trouble::OtherChain)).await;
        assert_eq!(copies.of(node(1)).expect("it opens").head(), before.head());
        copies.begin_anew(node(1)).expect("begun");
        stands(&standings, 1, complete_at(130)).await;
        assert_eq!(copies.of(node(1)).expect("it opens").head(), anew.head());
        stop.cancel();
    }
}
