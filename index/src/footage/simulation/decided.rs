//! What people decided about footage, as they were told it, and what follows: what must still be there, what may go, and what must be
//! gone. The rules of holds and orders, written a second time and more simply.

use super::{
    cameras::Sent,
    model::{Name, Outcome},
};
use crate::{
    footage::{Erasure, ErasureState, Hold, HoldState, Store},
    model::{StreamId, UtcMicros, Window},
};
use std::{collections::BTreeMap, time::Duration};

const DAY: Duration = Duration::from_secs(86_400);

/// See the module.
#[derive(Default)]
pub(super) struct Decided {
    pub(super) holds: BTreeMap<u64, Promise>,
    pub(super) orders: BTreeMap<u64, Task>,
    /// Counts steps, whatever clocks say.
    turn: u64,
    changes: u64,
}

/// A hold, and the turns in which it protected.
pub(super) struct Promise {
    pub(super) hold: Hold,
    since: u64,
    until: Option<u64>,
}

/// An order of erasure.
pub(super) struct Task {
    pub(super) order: Erasure,
    approved: u64,
    done: Option<Done>,
}

/// When it was done, and the number that each stream's next fragment had then: what is filmed later is none of its business, whatever a
/// clock says that was set back.
struct Done {
    turn: u64,
    next: BTreeMap<StreamId, i64>,
}

impl Promise {
    fn is_in_force(&self) -> bool {
        self.until.is_none()
    }

    fn touches(&self, stream: StreamId, window: Window) -> bool {
        self.hold.order.touches(stream, window)
    }
}

impl Task {
    /// Whether what it names was held at some time while it was carried out: then it may have been passed over.
    fn was_kept(&self, holds: &BTreeMap<u64, Promise>, stream: StreamId, window: Window) -> bool {
        let end = self.done.as_ref().map_or(u64::MAX, |done| done.turn);
        let meanwhile = |hold: &&Promise| hold.since <= end && hold.until.is_none_or(|until| until >= self.approved);
        holds.values().filter(meanwhile).any(|hold| hold.touches(stream, window))
    }
}

impl Decided {
    pub(super) fn next_turn(&mut self) {
        self.turn += 1;
    }

    /// Counts what changed of holds and orders.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether there is anything to compare.
    pub(super) fn is_empty(&self) -> bool {
        self.holds.is_empty() && self.orders.is_empty()
    }

    /// The store said so.
    pub(super) fn held(&mut self, hold: Hold) {
        self.changes += 1;
        let turn = self.turn;
        let known = self.holds.entry(hold.id).or_insert_with(|| Promise { hold: hold.clone(), since: turn, until: None });
        if !hold.in_force() {
            known.until.get_or_insert(turn);
        }
        known.hold = hold;
    }

    /// The store said so.
    pub(super) fn ordered(&mut self, order: Erasure) {
        self.changes += 1;
        let turn = self.turn;
        let known = self.orders.entry(order.id).or_insert_with(|| Task { order: order.clone(), approved: turn, done: None });
        if order.state == ErasureState::Approved && known.order.state == ErasureState::Requested {
            known.approved = turn;
        }
        known.order = order;
    }

    /// Whether a hold protects it now.
    pub(super) fn protects(&self, stream: StreamId, window: Window) -> bool {
        self.holds.values().any(|hold| hold.is_in_force() && hold.touches(stream, window))
    }

    /// Whether an order allows that it goes.
    pub(super) fn may_erase(&self, stream: StreamId, window: Window) -> bool {
        let allows = |task: &Task| matches!(task.order.state, ErasureState::Approved | ErasureState::Done);
        self.orders.values().any(|task| allows(task) && task.order.order.touches(stream, window))
    }

    /// The order by which it must be gone, if there is one.
    pub(super) fn erased_by(&self, sent: &Sent) -> Option<u64> {
        let window = sent.window();
        let gone = |task: &&Task| {
            let before = |done: &Done| done.next.get(&sent.stream).is_some_and(|next| sent.number < *next);
            task.done.as_ref().is_some_and(before)
                && task.order.order.touches(sent.stream, window)
                && !task.was_kept(&self.holds, sent.stream, window)
        };
        self.orders.values().find(gone).map(|task| task.order.id)
    }

    /// Where the times end that wait to be erased, except for those that only a clock knew that was years ahead.
    fn waiting(&self, now: UtcMicros) -> impl Iterator<Item = UtcMicros> {
        let waits = self.orders.values().filter(|task| task.order.state == ErasureState::Approved);
        waits.map(|task| task.order.order.window.to).filter(move |to| *to < now + DAY)
    }

    /// Whether orders wait to be carried out.
    pub(super) fn is_work_left(&self, now: UtcMicros) -> bool {
        self.waiting(now).next().is_some()
    }

    /// Where the last time ends that waits to be erased.
    pub(super) fn latest(&self, now: UtcMicros) -> Option<UtcMicros> {
        self.waiting(now).max()
    }

    /// Compares with what the store says of every hold and order. What changed by itself must have been due by the clock that may be
    /// believed. Says whether an order was carried out.
    pub(super) fn compare(
        &mut self,
        store: &Store,
        trusted: UtcMicros,
        sent: &BTreeMap<Name, Sent>,
        what: &str,
        outcome: &mut Outcome,
    ) -> bool {
        let known = (self.holds.values().map(|promise| &promise.hold), self.orders.values().map(|task| &task.order));
        if store.shared.ledger.custody(|custody| custody.holds.values().eq(known.0) && custody.erasures.values().eq(known.1)) {
            return false;
        }
        let (holds, orders) = (store.holds(), store.erasures());
        if holds.len() != self.holds.len() || orders.len() != self.orders.len() {
            let (there, known) = (holds.len() + orders.len(), self.holds.len() + self.orders.len());
            outcome.fault(format!("{what}: {there} holds and orders, {known} were decided"));
        }
        for hold in holds {
            let Some(known) = self.holds.get_mut(&hold.id) else { continue };
            if hold == known.hold {
                continue;
            }
            let over = known.is_in_force() && hold.state == HoldState::Expired && trusted >= hold.expires;
            if !over {
                outcome.fault(format!("{what}: {hold:?} at {trusted}, it was {:?}", known.hold));
            }
            known.until.get_or_insert(self.turn);
            known.hold = hold;
            self.changes += 1;
        }
        let mut any = false;
        for order in orders {
            let Some(known) = self.orders.get_mut(&order.id) else { continue };
            if order == known.order {
                continue;
            }
            if known.order.state != ErasureState::Approved || order.state != ErasureState::Done {
                outcome.fault(format!("{what}: {order:?}, it was {:?}", known.order));
            }
            let mut next = BTreeMap::new();
            for ((stream, _), sent) in sent {
                let number = next.entry(*stream).or_insert(0);
                *number = sent.number.max(*number - 1) + 1;
            }
            known.done = Some(Done { turn: self.turn, next });
            known.order = order;
            self.changes += 1;
            any = true;
        }
        any
    }
}
