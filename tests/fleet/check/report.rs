//! What the checker found, per stream: numbers for machines and ranges with times for people.

use super::{Condition, Found};
use crate::sent::{Fate, StreamLog};
use index::model::{StreamId, UtcMicros, Window};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Every stream that was found or was expected, in order.
    pub streams: Vec<StreamReport>,
    /// Access units without a stamp.
    pub unstamped: u64,
    /// What is wrong beside single units: malformed files, damaged stamps.
    pub faults: Vec<String>,
}

/// What was found of one stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StreamReport {
    /// Which stream.
    pub stream: StreamId,
    /// How many pictures were sent within the window; `None` without a sent log.
    pub sent: Option<u64>,
    /// How many different pictures are present.
    pub present: u64,
    /// Present, but their parameter sets were moved elsewhere. Harmless where the file's header has them.
    pub bare: u64,
    /// Sent (or, without a log, between two that are present), but absent.
    pub lost: Vec<Span>,
    /// Present more than once.
    pub duplicated: Vec<Span>,
    /// After one that was taken later.
    pub reordered: Vec<Span>,
    /// Present, but not as sent.
    pub altered: Vec<Span>,
    /// Dropped by the camera because nobody read: not the recorder's copy, but often its fault.
    pub refused: Vec<Span>,
    /// Present, but never sent as far as the log knows.
    pub unsent: Vec<Span>,
}

/// Pictures that follow each other, both ends inside.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Span {
    /// Number of the first.
    pub first: u64,
    /// Number of the last.
    pub last: u64,
    /// When the first was taken; `None` if neither log nor stamps tell.
    pub from: Option<UtcMicros>,
    /// When the last was taken.
    pub to: Option<UtcMicros>,
}

/// How many pictures some spans hold.
#[must_use]
pub fn pictures(spans: &[Span]) -> u64 {
    spans.iter().map(|span| span.last - span.first + 1).sum()
}

impl Report {
    /// Whether nothing is lost, duplicated, reordered, altered, unsent, unstamped or malformed.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.unstamped == 0 && self.faults.is_empty() && self.streams.iter().all(StreamReport::is_good)
    }
}

impl StreamReport {
    pub(super) fn new(stream: StreamId, found: &[Found], log: Option<&StreamLog>, window: Window) -> Self {
        let mut times: BTreeMap<u64, UtcMicros> = BTreeMap::new();
        let (mut duplicated, mut reordered, mut altered) = (Vec::new(), Vec::new(), Vec::new());
        let (mut bare, mut newest) = (0, None);
        for unit in found {
            if times.insert(unit.counter, unit.utc).is_some() {
                duplicated.push(unit.counter);
            } else if newest.is_some_and(|newest| unit.counter < newest) {
                reordered.push(unit.counter);
            }
            newest = newest.max(Some(unit.counter));
            match unit.condition {
                Condition::Whole => {}
                Condition::Bare => bare += 1,
                Condition::Altered => altered.push(unit.counter),
            }
        }
        let expected = match log {
            Some(log) => within(log, Fate::Sent, window),
            None => times.keys().next().zip(times.keys().next_back()).map(|(a, b)| (*a, *b)).into_iter().collect(),
        };
        let time = |counter: u64| log.map(|log| log.taken_at(counter)).or_else(|| times.get(&counter).copied());
        let span = |(first, last): (u64, u64)| Span { first, last, from: time(first), to: time(last) };
        let spans = |mut counters: Vec<u64>| {
            counters.sort_unstable();
            counters.dedup();
            runs(counters.into_iter()).into_iter().map(span).collect()
        };
        let absent = expected.iter().flat_map(|(first, last)| gaps(&times, *first, *last)).map(span).collect();
        let sent_ever = log.map(|log| log.ranges(Fate::Sent));
        let unsent = sent_ever.map_or_else(Vec::new, |sent| {
            let foreign = |counter: &u64| !sent.iter().any(|(first, last)| (*first..=*last).contains(counter));
            times.keys().copied().filter(foreign).collect()
        });
        Self {
            stream,
            sent: log.map(|_| expected.iter().map(|(first, last)| last - first + 1).sum()),
            present: times.len() as u64,
            bare,
            lost: absent,
            duplicated: spans(duplicated),
            reordered: spans(reordered),
            altered: spans(altered),
            refused: log.map_or_else(Vec::new, |log| within(log, Fate::Refused, window).into_iter().map(span).collect()),
            unsent: spans(unsent),
        }
    }

    /// Whether nothing is lost, duplicated, reordered, altered or unsent.
    #[must_use]
    pub fn is_good(&self) -> bool {
        [&self.lost, &self.duplicated, &self.reordered, &self.altered, &self.unsent].iter().all(|spans| spans.is_empty())
    }
}

/// The pictures of a fate that were taken within a window.
fn within(log: &StreamLog, fate: Fate, window: Window) -> Vec<(u64, u64)> {
    let rate = u128::from(log.frames_per_second);
    // The number of the first picture taken at or after an instant.
    let number = |at: UtcMicros| {
        let micros = u128::try_from(i128::from(at.as_micros()) - i128::from(log.zero.as_micros())).unwrap_or(0);
        u64::try_from((micros * rate).div_ceil(1_000_000)).unwrap_or(u64::MAX)
    };
    let (from, to) = (number(window.from), number(window.to));
    let cut = |(first, last): (u64, u64)| (first.max(from), last.min(to.saturating_sub(1)));
    log.ranges(fate).into_iter().map(cut).filter(|(first, last)| first <= last && to > 0).collect()
}

/// The numbers from `first` to `last` that are no keys, as runs.
fn gaps(present: &BTreeMap<u64, UtcMicros>, first: u64, last: u64) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    let mut next = first;
    for (counter, _) in present.range(first..=last) {
        if *counter > next {
            found.push((next, counter - 1));
        }
        next = counter + 1;
    }
    if next <= last {
        found.push((next, last));
    }
    found
}

fn runs(counters: impl Iterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut found: Vec<(u64, u64)> = Vec::new();
    for counter in counters {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == counter => *last = counter,
            _ => found.push((counter, counter)),
        }
    }
    found
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.first, self.last)?;
        match (self.from, self.to) {
            (Some(from), Some(to)) => write!(f, " ({from} to {to})"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for stream in &self.streams {
            let sent = stream.sent.map_or_else(|| "?".to_owned(), |sent| sent.to_string());
            write!(f, "{}: sent {sent} present {}", stream.stream, stream.present)?;
            let lists = [
                ("lost", &stream.lost),
                ("duplicated", &stream.duplicated),
                ("reordered", &stream.reordered),
                ("altered", &stream.altered),
                ("refused", &stream.refused),
                ("unsent", &stream.unsent),
            ];
            for (word, spans) in lists {
                write!(f, " {word} {}", pictures(spans))?;
            }
            writeln!(f)?;
            for (word, spans) in lists {
                spans.iter().try_for_each(|span| writeln!(f, "  {word} {span}"))?;
            }
        }
        if self.unstamped > 0 {
            writeln!(f, "{} access units without a stamp", self.unstamped)?;
        }
        self.faults.iter().try_for_each(|fault| writeln!(f, "{fault}"))
    }
}
