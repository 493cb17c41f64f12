//! What one camera said so far, as far as it decides what is an event.
//!
//! - A state is an event when it begins to hold. Told anew to a new listener (`Initialized`), told again unchanged, or ended,
//!   it is none.
//! - The same notification by two ways (metadata track and pull point) is one event.
//! - A camera has an allowance for each kind, so that one that shakes in the wind neither fills the journal nor hides what else
//!   it sees. What is beyond is counted.
//! - The camera's clock is not ours: how far it is off is worked out from what arrives, and a time that is more than a second
//!   off is put right by that.

use super::{Document, Notification, Operation, Seen, mapping};
use index::{
    events::{Class, Event, Identity, Kind, Objects, Source, identity_in_item},
    model::UtcMicros,
};
use serde_json::{Map, Value};
use std::{
    collections::{HashMap, VecDeque, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

/// States, and objects, of one camera that are kept in mind; beyond that all are forgotten and learnt anew.
const KNOWN_MAX: usize = 512;
/// Notifications that are remembered to tell repeats.
const RECENT: usize = 128;
/// Further facts kept of a notification, and the characters of each.
const FACTS_MAX: usize = 12;
const FACT_CHARS: usize = 80;
/// How long a sample of the camera's clock counts, and how many do.
const CLOCK_MEMORY_US: i64 = 60_000_000;
const CLOCK_SAMPLES: usize = 64;
/// A clock that is off by less is left alone: the network's delay looks the same.
const CLOCK_TOLERANCE_US: i64 = 1_000_000;

/// See the module.
#[derive(Debug, Default)]
pub struct Watch {
    /// What holds, by topic and source.
    states: HashMap<u64, u64>,
    recent: VecDeque<u64>,
    objects: HashMap<String, Seen>,
    clock: CameraClock,
    allowances: HashMap<Kind, Allowance>,
}

/// What became of a document.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    /// Events, without the camera's number, name and place, which whoever knows them adds.
    pub events: Vec<Event>,
    /// Parts that said who somebody is, and were refused.
    pub refused: Vec<Identity>,
    /// Events beyond the camera's allowance, dropped.
    pub shed: u64,
}

impl Watch {
    /// Takes a document that was received at an instant of the node's clock.
    pub fn take(&mut self, document: Document, received: UtcMicros) -> Outcome {
        let mut outcome = Outcome { refused: document.refused, ..Outcome::default() };
        if let Some(at) = document.at {
            self.clock.learn(at, received);
        }
        for object in document.objects {
            if self.objects.len() >= KNOWN_MAX {
                self.objects.clear();
            }
            self.objects.insert(object.id.clone(), object);
        }
        for notification in document.notifications {
            if let Some(at) = notification.at {
                self.clock.learn(at, received);
            }
            // A topic that is about faces or plates is refused whole, whatever it says.
            if let Some(why) = notification.topic.split(['/', ':']).find_map(|part| identity_in_item(part, "")) {
                outcome.refused.push(why);
                continue;
            }
            let Some(kind) = mapping::kind(&notification).filter(|_| self.is_news(&notification)) else { continue };
            if self.allowances.entry(kind).or_insert_with(|| Allowance::full(kind, received)).spend(received) {
                outcome.events.push(self.event(kind, &notification, received));
            } else {
                outcome.shed += 1;
            }
        }
        outcome
    }

    /// Whether something happened, or a state began to hold.
    fn is_news(&mut self, notification: &Notification) -> bool {
        let about = number(&(&notification.topic, pairs(&notification.source)));
        let says = number(&pairs(&notification.data));
        let truth = mapping::truth(&notification.data);
        // Whatever says yes or no is a state, also where the camera does not call it one.
        if notification.operation == Operation::None && truth.is_none() {
            let told = number(&(about, says, notification.at));
            if notification.at.is_some() && self.recent.contains(&told) {
                return false;
            }
            self.recent.push_back(told);
            if self.recent.len() > RECENT {
                self.recent.pop_front();
            }
            return true;
        }
        if notification.operation == Operation::Deleted {
            self.states.remove(&about);
            return false;
        }
        if self.states.len() >= KNOWN_MAX {
            self.states.clear();
        }
        let state = truth.map_or(says, u64::from);
        let before = self.states.insert(about, state);
        notification.operation != Operation::Initialized && truth != Some(false) && before != Some(state)
    }

    fn event(&self, kind: Kind, notification: &Notification, received: UtcMicros) -> Event {
        let (time, off_ms) = self.clock.put_right(notification.at, received);
        let seen = notification.data.iter().find(|item| item.name == "ObjectId").and_then(|item| self.objects.get(&item.value));
        let mut classes: Vec<Class> = mapping::classes(&notification.data).collect();
        classes.extend(seen.and_then(|seen| seen.class).filter(|_| classes.is_empty()));
        classes.dedup();
        let count = mapping::count(&notification.data).filter(|_| kind == Kind::Counted).unwrap_or(1);
        let mut attributes = facts(notification);
        if let Some(off_ms) = off_ms {
            attributes.insert("camera_clock_ms".to_owned(), off_ms.into());
        }
        Event {
            region: seen.and_then(|seen| seen.region),
            objects: classes.into_iter().map(|class| Objects { class, count }).collect(),
            attributes,
            source: Source { name: "onvif".to_owned(), topic: notification.topic.chars().take(200).collect(), id: String::new() },
            ..Event::new(time, kind)
        }
    }
}

/// The facts worth keeping of a notification: which rule, which way, how sure. Tokens of the camera's configuration are not.
fn facts(notification: &Notification) -> Map<String, Value> {
    let items = notification.source.iter().chain(&notification.data);
    let told = items.filter(|item| !item.name.ends_with("Token") && !item.name.is_empty() && item.name.len() <= 40);
    let short = told.filter(|item| !item.value.is_empty() && item.value.chars().count() <= FACT_CHARS);
    short.take(FACTS_MAX).map(|item| (item.name.clone(), Value::String(item.value.clone()))).collect()
}

fn pairs(items: &[super::Item]) -> Vec<(&str, &str)> {
    items.iter().map(|item| (item.name.as_str(), item.value.as_str())).collect()
}

fn number(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// How far a camera's clock is behind ours: the least of what lately lay between a time that it told and when that arrived. The
/// least, because everything on the way only adds.
#[derive(Debug, Default)]
struct CameraClock {
    samples: VecDeque<(UtcMicros, i64)>,
}

impl CameraClock {
    fn learn(&mut self, said: UtcMicros, received: UtcMicros) {
        let behind = received.micros_from(said);
        // A clock that was set lately is another clock: what was learnt of the one before does not count.
        if self.behind(received).is_some_and(|known| behind - known > 5 * CLOCK_TOLERANCE_US) && self.was_late(received) {
            self.samples.clear();
        }
        self.samples.push_back((received, behind));
        while self.samples.len() > CLOCK_SAMPLES {
            self.samples.pop_front();
        }
    }

    /// Whether the newest sample, too, said that the clock is far behind what is believed.
    fn was_late(&self, received: UtcMicros) -> bool {
        let last = self.samples.back().map(|(_, behind)| *behind);
        last.zip(self.behind(received)).is_some_and(|(last, known)| last - known > 5 * CLOCK_TOLERANCE_US)
    }

    fn behind(&self, now: UtcMicros) -> Option<i64> {
        let fresh = self.samples.iter().filter(|(at, _)| now.micros_from(*at) <= CLOCK_MEMORY_US);
        fresh.map(|(_, behind)| *behind).min()
    }

    /// When something happened on our clock, and by how many milliseconds the camera's was behind it if that had to be put right.
    fn put_right(&self, said: Option<UtcMicros>, received: UtcMicros) -> (UtcMicros, Option<i64>) {
        let Some(said) = said else { return (received, None) };
        let behind = self.behind(received).unwrap_or(0);
        if behind.abs() <= CLOCK_TOLERANCE_US {
            return (said, None);
        }
        let time = UtcMicros::from_micros(said.as_micros().saturating_add(behind).min(received.as_micros()));
        (time, Some(behind / 1000))
    }
}

/// How many events of a kind a camera may still tell.
#[derive(Debug)]
struct Allowance {
    left: f64,
    at: UtcMicros,
    most: f64,
    per_s: f64,
}

impl Allowance {
    /// What is told at every leaf that moves gets less than what people drew lines for.
    fn full(kind: Kind, now: UtcMicros) -> Self {
        let (most, per_s) = match kind {
            Kind::Motion | Kind::CameraTopic | Kind::Counted | Kind::Sound => (20.0, 0.1),
            _ => (60.0, 1.0),
        };
        Self { left: most, at: now, most, per_s }
    }

    fn spend(&mut self, now: UtcMicros) -> bool {
        self.left = (self.left + now.since(self.at).as_secs_f64() * self.per_s).min(self.most);
        self.at = self.at.max(now);
        let may = self.left >= 1.0;
        self.left -= if may { 1.0 } else { 0.0 };
        may
    }
}
