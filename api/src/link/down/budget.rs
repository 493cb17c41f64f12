//! How much may go up a line, and what goes first when that is not enough.
//!
//! Whoever has something to send waits for its turn ([`Budget`]); what decides is pure ([`Scheduler`]): a rate in bits a second, ranks, and a
//! share for journals that no picture can take. Without a rate nothing waits.
//!
//! - B1: over any time no more goes than the rate allows, and one message.
//! - B2: a lower rank goes only when no higher one waits; journals get their share all the same, and what it does not use others do.
//! - B3: nobody waits longer than they said they would.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// What goes first: in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rank {
    /// Heads, lists, what says how things are: small.
    Word,
    /// Live key units, and streams that were cut down to them.
    LiveKey,
    /// Live sub-streams.
    LiveSub,
    /// Live main streams.
    LiveMain,
    /// Stills and key units: scrubbing.
    Picture,
    /// Playback.
    Playback,
    /// Records of journals, beyond their share.
    Journal,
    /// Exports: nobody watches them come.
    Export,
}

/// Of the rate, what journals get whatever else waits: one part in so many.
const JOURNAL_SHARE: u64 = 10;
/// What may go at once after a pause, in seconds of the rate.
const BURST: f64 = 0.1;
/// What a message costs on the wire beside itself: its head, TLS, the broker's protocol, TCP and IP.
const OVERHEAD: u64 = 256;
/// The same in proportion: one part in so many.
const OVERHEAD_SHARE: u64 = 16;
/// The longest that one part may take on the line, so that what is more urgent does not wait behind it.
const PART: Duration = Duration::from_millis(100);
/// The smallest part that is worth its head.
const LEAST_PART: usize = 16 << 10;

/// See the module. Time is what the caller says it is.
#[derive(Debug)]
pub struct Scheduler {
    /// Bits a second; `None`: no limit.
    rate: Option<u64>,
    /// Bytes that may go now; negative after a message that was longer.
    room: f64,
    /// The same of the journals' share.
    journal_room: f64,
    at: Instant,
    waiting: BTreeMap<Rank, VecDeque<(u64, u64)>>,
}

impl Scheduler {
    /// Nothing waits.
    #[must_use]
    pub fn new(rate: Option<u64>, now: Instant) -> Self {
        Self { rate, room: 0.0, journal_room: 0.0, at: now, waiting: BTreeMap::new() }
    }

    /// Another rate from now on.
    pub fn set_rate(&mut self, rate: Option<u64>, now: Instant) {
        self.refill(now);
        self.rate = rate;
    }

    /// Bits a second; `None`: no limit.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        self.rate
    }

    /// Something of so many bytes waits for its turn.
    pub fn enqueue(&mut self, number: u64, rank: Rank, bytes: u64) {
        self.waiting.entry(rank).or_default().push_back((number, cost(bytes)));
    }

    /// It waits no longer.
    pub fn withdraw(&mut self, number: u64) {
        self.waiting.values_mut().for_each(|queue| queue.retain(|(waiting, _)| *waiting != number));
    }

    /// Whose turn it is now, in order, and how long until somebody else's may be; `None` if nobody waits.
    pub fn turns(&mut self, now: Instant) -> (Vec<u64>, Option<Duration>) {
        self.refill(now);
        let mut turns = Vec::new();
        let Some(rate) = self.rate else {
            turns.extend(self.waiting.values_mut().flat_map(|queue| queue.drain(..)).map(|(number, _)| number));
            return (turns, None);
        };
        while self.journal_room > 0.0
            && let Some((number, bytes)) = self.waiting.get_mut(&Rank::Journal).and_then(VecDeque::pop_front)
        {
            // What goes by the share is taken from the whole too: together they stay within the rate.
            self.journal_room -= bytes as f64;
            self.room -= bytes as f64;
            turns.push(number);
        }
        while self.room > 0.0
            && let Some((number, bytes)) = self.waiting.values_mut().find_map(VecDeque::pop_front)
        {
            self.room -= bytes as f64;
            turns.push(number);
        }
        let rest = |room: f64, rate: f64| Duration::from_secs_f64(((1.0 - room) * 8.0 / rate).clamp(0.001, 10.0));
        let journals = self.waiting.get(&Rank::Journal).is_some_and(|queue| !queue.is_empty());
        let anybody = self.waiting.values().any(|queue| !queue.is_empty());
        let whole = anybody.then(|| rest(self.room, rate as f64));
        let share = journals.then(|| rest(self.journal_room, rate as f64 / JOURNAL_SHARE as f64));
        (turns, [whole, share].into_iter().flatten().min())
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        let Some(rate) = self.rate else { return };
        let bytes = rate as f64 / 8.0;
        self.room = (self.room + bytes * passed).min(bytes * BURST);
        let share = bytes / JOURNAL_SHARE as f64;
        self.journal_room = (self.journal_room + share * passed).min(share * BURST);
    }
}

/// What so many bytes cost on the wire.
fn cost(bytes: u64) -> u64 {
    bytes + bytes / OVERHEAD_SHARE + OVERHEAD
}

/// The scheduler of one line, as those who send see it.
#[derive(Debug)]
pub struct Budget {
    /// What this node's own configuration allows.
    own: Option<u64>,
    inner: Mutex<Inner>,
    changed: tokio::sync::Notify,
}

#[derive(Debug)]
struct Inner {
    scheduler: Scheduler,
    number: u64,
    senders: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Budget {
    /// With what this node's configuration allows, in bits a second.
    #[must_use]
    pub fn new(own: Option<u64>) -> Self {
        let scheduler = Scheduler::new(own, Instant::now());
        let inner = Inner { scheduler, number: 0, senders: BTreeMap::new() };
        Self { own, inner: Mutex::new(inner), changed: tokio::sync::Notify::new() }
    }

    /// The node above allows so much: the stricter wins.
    pub fn above_allows(&self, rate: Option<u64>) {
        let rate = [self.own, rate].into_iter().flatten().min();
        let mut inner = self.lock();
        if inner.scheduler.rate() != rate {
            inner.scheduler.set_rate(rate, Instant::now());
            drop(inner);
            self.turn();
        }
    }

    /// The largest part that does not keep others waiting.
    #[must_use]
    pub fn part(&self, most: usize) -> usize {
        let rate = self.lock().scheduler.rate();
        rate.map_or(most, |rate| ((rate as f64 / 8.0 * PART.as_secs_f64()) as usize).clamp(LEAST_PART.min(most), most))
    }

    /// Waits for the turn to send so many bytes; `false` if it did not come in time (B3).
    pub async fn pass(&self, rank: Rank, bytes: usize, within: Duration) -> bool {
        let (number, mut turn) = {
            let mut inner = self.lock();
            if inner.scheduler.rate().is_none() {
                return true;
            }
            inner.number += 1;
            let (number, (tell, turn)) = (inner.number, oneshot::channel());
            inner.scheduler.enqueue(number, rank, bytes as u64);
            inner.senders.insert(number, tell);
            (number, turn)
        };
        let withdraw = Withdraw { budget: self, number };
        let until = tokio::time::Instant::now() + within;
        // Whoever waits drives the scheduler: there is no task that could be missing.
        loop {
            let wait = self.turn().unwrap_or(Duration::from_millis(50)).min(Duration::from_millis(50));
            tokio::select! {
                told = &mut turn => break told.is_ok(),
                () = self.changed.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            if tokio::time::Instant::now() >= until && turn.try_recv().is_err() {
                drop(withdraw);
                break false;
            }
        }
    }

    fn turn(&self) -> Option<Duration> {
        let mut inner = self.lock();
        let (turns, wait) = inner.scheduler.turns(Instant::now());
        for number in turns {
            if let Some(tell) = inner.senders.remove(&number) {
                let _ = tell.send(());
            }
        }
        wait
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes whoever gave up waiting out of the queue.
struct Withdraw<'a> {
    budget: &'a Budget,
    number: u64,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        let mut inner = self.budget.lock();
        inner.scheduler.withdraw(self.number);
        inner.senders.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MBIT: u64 = 1_000_000;

    /// Senders that always have a message of 32 KiB of each rank waiting, for so many seconds: bytes that went, by rank.
    fn run(rate: u64, ranks: &[Rank], seconds: u64) -> BTreeMap<Rank, u64> {
        let begun = Instant::now();
        let mut scheduler = Scheduler::new(Some(rate), begun);
        let mut sent: BTreeMap<Rank, u64> = BTreeMap::new();
        let mut number = 0;
        let mut under_way: BTreeMap<u64, Rank> = BTreeMap::new();
        for step in 0..seconds * 200 {
            for rank in ranks {
                if !under_way.values().any(|waiting| waiting == rank) {
                    number += 1;
                    scheduler.enqueue(number, *rank, 32 << 10);
                    under_way.insert(number, *rank);
                }
            }
            let (turns, _) = scheduler.turns(begun + Duration::from_millis(5 * step));
            for turn in turns {
                *sent.entry(under_way.remove(&turn).expect("it waited")).or_default() += cost(32 << 10);
            }
        }
        sent
    }

    #[test]
    fn no_more_goes_than_the_rate_allows_and_what_there_is_room_for_goes() {
        for rate in [2 * MBIT, 20 * MBIT, 45 * MBIT] {
            let sent: u64 = run(rate, &[Rank::LiveMain, Rank::Journal, Rank::Export], 60).values().sum();
            let allowed = rate / 8 * 60;
            assert!(sent <= allowed + allowed / 100 + (64 << 10), "{sent} of {allowed}");
            assert!(sent >= allowed / 100 * 95, "{sent} of {allowed}");
        }
    }

    #[test]
    fn key_units_go_before_sub_streams_before_main_streams_before_exports_and_journals_keep_their_share() {
        let all = [Rank::LiveKey, Rank::LiveMain, Rank::Playback, Rank::Journal, Rank::Export];
        let sent = run(MBIT, &all, 60);
        let share = |rank| sent.get(&rank).copied().unwrap_or(0) as f64 / (MBIT as f64 / 8.0 * 60.0);
        assert!(share(Rank::LiveKey) > 0.8, "{sent:?}");
        assert!((0.08..=0.12).contains(&share(Rank::Journal)), "{sent:?}");
        assert!(share(Rank::LiveMain) < 0.05 && share(Rank::Export) == 0.0, "{sent:?}");
        let alone = run(MBIT, &[Rank::Journal], 60);
        assert!(alone[&Rank::Journal] as f64 > MBIT as f64 / 8.0 * 60.0 * 0.9, "what nobody else uses: {alone:?}");
    }

    #[test]
    fn without_a_rate_nobody_waits_and_whoever_leaves_takes_no_turn() {
        let now = Instant::now();
        let mut scheduler = Scheduler::new(None, now);
        scheduler.enqueue(1, Rank::Export, 1 << 20);
        scheduler.enqueue(2, Rank::Word, 1 << 20);
        assert_eq!(scheduler.turns(now), (vec![2, 1], None));
        scheduler.set_rate(Some(MBIT), now);
        scheduler.enqueue(3, Rank::Export, 1 << 20);
        scheduler.withdraw(3);
        assert_eq!(scheduler.turns(now + Duration::from_secs(9)), (Vec::new(), None));
    }

    #[tokio::test]
    async fn whoever_waits_is_told_when_their_turn_does_not_come_in_time() {
        let budget = Budget::new(Some(8_000));
        assert!(budget.pass(Rank::Export, 100, Duration::from_secs(20)).await, "the first goes as soon as there is any room");
        assert!(!budget.pass(Rank::LiveMain, 200_000, Duration::from_millis(20)).await);
        budget.above_allows(Some(1 << 40));
        assert_eq!(budget.part(MBIT as usize), LEAST_PART, "the stricter wins");
        let free = Budget::new(None);
        assert!(free.pass(Rank::Export, usize::MAX / 2, Duration::ZERO).await);
    }
}
