//! People: now and then somebody asks for a hold or an erasure, about an awkward stretch of time, and somebody else, or the same person,
//! says yes or no. Whatever is refused must have changed nothing.

use super::{
    decided::Decided,
    model::{Model, Outcome},
};
use crate::{
    footage::{CustodyError, ErasureState, HoldState, Order, Store},
    model::{CameraId, StreamId, UtcMicros, Window},
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use std::time::Duration;

/// See the module.
pub(super) struct People {
    random: SmallRng,
}

const NAMES: [&str; 3] = ["wang", "li", "zhao"];

impl People {
    pub(super) fn new(seed: u64) -> Self {
        // Chance of their own: lives without them stay as they were.
        Self { random: SmallRng::seed_from_u64(seed ^ 0x0070_656f_706c_6500) }
    }

    /// Whether somebody does something now.
    pub(super) fn wake(&mut self) -> bool {
        self.random.random_ratio(1, 25)
    }

    pub(super) fn chance(&mut self, one: u32, of: u32) -> bool {
        self.random.random_ratio(one, of)
    }

    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        self.random.random_range(from..to)
    }

    fn name(&mut self) -> &'static str {
        NAMES[self.random.random_range(0..NAMES.len())]
    }

    /// Does one thing, and remembers in the model what the store answered.
    pub(super) fn act(&mut self, store: &Store, model: &mut Model, what: &str, outcome: &mut Outcome) -> String {
        outcome.decisions += 1;
        match self.random.random_range(0..8) {
            0 | 1 => self.ask_for_hold(store, model),
            2 | 3 => self.ask_for_erasure(store, model),
            4 | 5 => self.judge_erasure(store, &mut model.decided, what, outcome),
            _ => self.judge_hold(store, &mut model.decided, what, outcome),
        }
    }

    /// An awkward stretch of some camera's time, most often an early one.
    fn order(&mut self, store: &Store, model: &Model) -> Order {
        let streams: Vec<StreamId> = model.begun.keys().copied().collect();
        let stream = streams[self.random.random_range(0..streams.len())];
        let mut all = model.reader(store).fragments(stream, Window::ALL);
        if self.random.random() {
            all.truncate(all.len().div_ceil(3));
        }
        let begun = model.begun.get(&stream).copied().unwrap_or_default();
        let mut window = Model::window(&all, begun, store, &mut self.random);
        if window.is_empty() || window.duration() > Duration::from_secs(600) {
            window = Window::new(window.from, window.from + Duration::from_millis(self.random.random_range(1..9000)));
        }
        let mut cameras: Vec<CameraId> = vec![stream.camera];
        if self.random.random_ratio(1, 4) {
            cameras.extend(streams.iter().map(|stream| stream.camera));
            cameras.sort_unstable();
            cameras.dedup();
        }
        Order { cameras, window, reason: "调查".to_owned(), authority: "〔2026〕1".to_owned() }
    }

    fn ask_for_hold(&mut self, store: &Store, model: &mut Model) -> String {
        let order = self.order(store, model);
        let expires: UtcMicros = store.shared.world.now() + Duration::from_secs(self.random.random_range(1..90));
        let by = self.name();
        let answer = store.request_hold(order, expires, by);
        if let Ok(hold) = &answer {
            model.decided.held(hold.clone());
        }
        format!("{by} asks for a hold: {answer:?}")
    }

    fn ask_for_erasure(&mut self, store: &Store, model: &mut Model) -> String {
        let order = self.order(store, model);
        let by = self.name();
        let answer = store.request_erasure(order, by);
        if let Ok(order) = &answer {
            model.decided.ordered(order.clone());
        }
        format!("{by} asks for an erasure: {answer:?}")
    }

    fn judge_erasure(&mut self, store: &Store, decided: &mut Decided, what: &str, outcome: &mut Outcome) -> String {
        let Some((id, state, asked)) = self.pick(decided.orders.values().map(|task| {
            let order = &task.order;
            (order.id, order.state, order.asked.by.clone())
        })) else {
            return "nobody asked for an erasure".to_owned();
        };
        let (by, yes) = (self.name(), self.random.random_ratio(4, 5));
        let answer = if yes { store.approve_erasure(id, by) } else { store.decline_erasure(id, by) };
        let may = state == ErasureState::Requested && !(yes && asked == by);
        if answer.is_ok() && !may {
            outcome.fault(format!("{what}: {by} decides on the erasure of {asked}, which is {state:?}: {answer:?}"));
        }
        let held = matches!(answer, Err(CustodyError::Held(_)));
        if let (Err(error), true) = (&answer, may && !held) {
            outcome.fault(format!("{what}: {by} may decide on the erasure of {asked}: {error}"));
        }
        if let Ok(order) = &answer {
            decided.ordered(order.clone());
        }
        format!("{by} says {yes} to an erasure: {answer:?}")
    }

    fn judge_hold(&mut self, store: &Store, decided: &mut Decided, what: &str, outcome: &mut Outcome) -> String {
        let Some((id, state, asked)) = self.pick(decided.holds.values().map(|promise| {
            let hold = &promise.hold;
            let first = hold.release_asked.as_ref().map_or(&hold.asked.by, |deed| &deed.by);
            (hold.id, (hold.state, hold.release_asked.is_some()), first.clone())
        })) else {
            return "nobody asked for a hold".to_owned();
        };
        let (by, yes) = (self.name(), self.random.random_ratio(3, 4));
        let (answer, may) = match state {
            (HoldState::Requested, _) if yes => (store.approve_hold(id, by), by != asked),
            (HoldState::Requested, _) => (store.decline_hold(id, by), true),
            (_, asked_for) => (store.release_hold(id, by, "结案"), state.0 == HoldState::Active && (!asked_for || by != asked)),
        };
        if answer.is_ok() != may {
            outcome.fault(format!("{what}: {by} about hold {id}, {state:?} by {asked}: {answer:?}"));
        }
        if let Ok(hold) = &answer {
            decided.held(hold.clone());
        }
        format!("{by} says {yes} to hold {id}: {answer:?}")
    }

    /// One of them, the newest as often as any other.
    fn pick<T>(&mut self, all: impl Iterator<Item = T>) -> Option<T> {
        let mut all: Vec<T> = all.collect();
        match all.len() {
            0 => None,
            _ if self.random.random() => all.pop(),
            some => Some(all.swap_remove(self.random.random_range(0..some))),
        }
    }
}
