//! How often a rule would have called: over the last days' events, before it is saved.
//!
//! The very same state machine judges the events that the index still finds, so the figure is what would have happened, grouping
//! and hold-off included. The cost is bounded: beyond a number of events only the newest days count, and the answer says which.

use super::rule::Rule;
use super::state::State;
use crate::events::{AskError, Events, Question, Reach, ZONE_HOURS};
use crate::model::{UtcMicros, Window};
use std::collections::BTreeMap;

/// Events that one figure is made from.
const EVENTS_MAX: usize = 20_000;
/// Days looked back.
pub const RATE_DAYS: u32 = 7;
const DAY_MICROS: i64 = 86_400_000_000;

/// What a rule would have made of the last days.
#[derive(Clone, PartialEq, Debug)]
pub struct Rate {
    /// Oldest first: when the district's day began, events that match, alarms of them.
    pub days: Vec<(UtcMicros, u64, u64)>,
    /// From here on everything was counted.
    pub counted_from: UtcMicros,
    /// Alarms a day, over what was counted; `None` if that is less than an hour.
    pub alarms_per_day: Option<f64>,
}

/// Works a rule's rate out of the index. Takes up to some tenths of a second of this thread.
///
/// # Errors
/// As [`Events::ask`].
pub fn rate(events: &Events, reach: Reach, rule: &Rule, now: UtcMicros) -> Result<Rate, AskError> {
    let from = UtcMicros::from_micros(now.as_micros() - i64::from(RATE_DAYS) * DAY_MICROS);
    let question = Question {
        kinds: rule.kinds.clone(),
        severity: rule.severity,
        cameras: rule.cameras.clone(),
        under: rule.under.clone(),
        limit: EVENTS_MAX,
        ..Question::new(reach, Window::new(from, now))
    };
    let (mut found, whole) = events.gather(&question)?;
    found.reverse();
    let known = events.coverage(question.window).known.map_or(now, |known| known.from);
    let counted_from = match found.first() {
        Some(oldest) if !whole => oldest.event.time,
        _ => from.max(known),
    };
    // As they were heard of, which is what alarms go by.
    found.sort_by_key(|kept| kept.seq);
    let mut state = State::default();
    state.set_rule(Rule { enabled: true, ..rule.clone() });
    let mut days: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
    let day = |at: UtcMicros| (at.as_micros() + ZONE_HOURS * 3_600_000_000).div_euclid(DAY_MICROS);
    for number in day(counted_from)..=day(now) {
        days.insert(number, (0, 0));
    }
    let mut alarms = 0;
    for kept in found.iter().filter(|kept| rule.matches(kept)) {
        let begun = state.judge(kept).len() as u64;
        let counts = days.entry(day(kept.event.time)).or_default();
        *counts = (counts.0 + 1, counts.1 + begun);
        alarms += begun;
    }
    let counted = now.since(counted_from).as_secs_f64() / 86_400.0;
    Ok(Rate {
        days: days
            .into_iter()
            .map(|(number, (events, alarms))| {
                (UtcMicros::from_micros(number * DAY_MICROS - ZONE_HOURS * 3_600_000_000), events, alarms)
            })
            .collect(),
        counted_from,
        alarms_per_day: (counted * 24.0 >= 1.0).then(|| alarms as f64 / counted),
    })
}
