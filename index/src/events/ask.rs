//! Answering a question: day by day from the newest, until the page is full and everything asked for is counted.
//!
//! Cost is bounded. Days are left out as soon as they cannot matter; counts of a day that did not change are remembered; and
//! counting ends at the day after a number of documents, and the answer says down to when it counted. So a question costs
//! some tens of milliseconds of one thread, and putting events in goes on beside it (I10).

use super::counts::{Counts, Wants};
use super::day::{Stored, day_of, key_from, origin_number};
use super::freely::Ways;
use super::plan::{Plan, Scope};
use super::projection::{DayReader, Shared, lock};
use super::question::{
    Answer, AskError, Coverage, CoverageBelow, EXACT_TO, Histogram, MAX_COLUMNS, MAX_PAGE, Question, Reach, Total, Understood,
};
use super::scan::{Newest, scan};
use super::sieve::{Narrow, Sieve};
use super::text::{self, Conditions, Wanted};
use super::{event::Kept, parts::Region};
use crate::model::{UtcMicros, Window};
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};
use tantivy::{
    DocAddress, Searcher, TantivyDocument, TantivyError,
    query::AllQuery,
    schema::{Field, Value},
};

/// What a scan may cost before counting ends at the next day's border: less than a tenth of a second.
const COST_BOUND: u64 = 8_000_000;
/// Bytes of remembered counts.
const MEMORY: usize = 16 << 20;
const DAY_MICROS: i64 = 86_400_000_000;

/// Counts of days, by day, state of its index, and question.
#[derive(Default)]
pub(super) struct Remembered {
    counts: HashMap<(i64, u64, u64), Arc<Counts>>,
    weight: usize,
}

impl Remembered {
    fn get(&self, key: (i64, u64, u64)) -> Option<Arc<Counts>> {
        self.counts.get(&key).cloned()
    }

    fn put(&mut self, key: (i64, u64, u64), counts: Arc<Counts>) {
        self.weight += counts.weight();
        if self.weight > MEMORY {
            // Everything at once: what is asked again soon is counted again soon.
            self.counts.clear();
            self.weight = counts.weight();
        }
        self.counts.insert(key, counts);
    }
}

/// A day as a question sees it: one state of it, from beginning to end of the question.
struct Open {
    number: i64,
    reader: Arc<DayReader>,
    searcher: Searcher,
}

/// A question on its way.
struct Asking<'a> {
    question: &'a Question,
    days: Vec<Open>,
    remembered: &'a Mutex<Remembered>,
    narrow: Narrow,
    scope: Scope,
}

/// What came out of going through the days.
struct Found {
    newest: Newest,
    counts: Counts,
    exact: bool,
    /// Everything from here on was looked through.
    from: i64,
    finished: bool,
}

/// Answers a question.
pub(super) fn ask(shared: &Shared, remembered: &Mutex<Remembered>, question: &Question) -> Result<Answer, AskError> {
    check(question)?;
    answer_to(shared, remembered, question)
}

/// The newest events of a question without a text, as many as it says; and whether those are all.
pub(super) fn gather(
    shared: &Shared,
    remembered: &Mutex<Remembered>,
    question: &Question,
) -> Result<(Vec<Kept>, bool), AskError> {
    check(&Question { limit: question.limit.min(MAX_PAGE), ..question.clone() })?;
    let answer = answer_to(shared, remembered, &Question { text: String::new(), ..question.clone() })?;
    Ok((answer.events, answer.next.is_none()))
}

fn answer_to(shared: &Shared, remembered: &Mutex<Remembered>, question: &Question) -> Result<Answer, AskError> {
    let coverage = coverage(shared, question.window);
    let mut days = Vec::new();
    for (number, reader) in days_of(shared, question.window) {
        days.push(Open { number, searcher: reader.reader.searcher(), reader });
    }
    let narrow = Narrow {
        from: key_from(question.window.from).max(1),
        to: key_from(question.window.to),
        hours: question.hours,
        region: question.region.map(Region::packed),
        origins: origins(shared, question),
        elsewhere: elsewhere(question),
    };
    let asking = Asking { question, days, remembered, narrow, scope: Scope::of(question) };
    let result = asking.answer(coverage);
    if let Err(AskError::Index(_)) = &result {
        // Which day it was is found by reading each once more; the writing side sets it aside and makes it anew.
        let broken = asking.days.iter().filter(|day| asking.probe(day).is_err()).map(|day| day.number);
        lock(&shared.suspects).extend(broken);
    }
    result
}

/// Whose events are asked for; `None` for all there are.
fn origins(shared: &Shared, question: &Question) -> Option<Vec<u64>> {
    let own = shared.sources.own.node();
    if question.nodes.is_empty() || (!shared.sources.several() && question.nodes.contains(&own)) {
        return None;
    }
    Some(question.nodes.iter().map(|node| origin_number((*node != own).then_some(*node))).collect())
}

/// What must not be found although its number is in reach.
fn elsewhere(question: &Question) -> Vec<(u64, u64)> {
    let Reach::Below { elsewhere, .. } = &question.reach else { return Vec::new() };
    elsewhere.iter().map(|(node, camera)| (origin_number(Some(*node)), u64::from(camera.number()))).collect()
}

/// The newest state of what the index covers.
pub(super) fn coverage(shared: &Shared, window: Window) -> Coverage {
    let progress = &shared.progress;
    let mut sources = shared.sources.list();
    let own = sources.remove(0);
    let indexed = progress.reached(&own);
    let below = sources.iter().map(|source| {
        let mark = progress.reached(source);
        CoverageBelow { node: source.history.node(), indexed_to: mark.seq, indexed_at: mark.at, copied: source.history.head().0 }
    });
    let below = below.collect();
    let days = shared.days.read().unwrap_or_else(PoisonError::into_inner);
    let known = days.first_key_value().zip(days.last_key_value()).map(|((first, _), (last, _))| {
        Window::new(UtcMicros::from_micros(first * DAY_MICROS), UtcMicros::from_micros((last + 1) * DAY_MICROS))
    });
    Coverage {
        node: own.history.node(),
        journal: own.history.head().0,
        indexed_to: indexed.seq,
        indexed_at: indexed.at,
        known,
        rebuilding: progress.rebuilding.load(Ordering::Relaxed),
        problem: lock(&progress.problem).clone(),
        counted_from: window.from,
        below,
    }
}

fn check(question: &Question) -> Result<(), AskError> {
    if question.window.is_empty() {
        return Err(AskError::Question("the time window is empty"));
    }
    if question.limit > MAX_PAGE {
        return Err(AskError::Question("a page has at most 500 events"));
    }
    if let Some(step) = question.step_millis {
        let columns = question.window.to.micros_from(question.window.from) / 1000 / step.max(1);
        if step < 1000 || columns > MAX_COLUMNS as i64 {
            return Err(AskError::Question("a histogram has at most 1,500 columns of at least a second"));
        }
    }
    Ok(())
}

/// The days that a window touches, newest first.
fn days_of(shared: &Shared, window: Window) -> Vec<(i64, Arc<DayReader>)> {
    let days = shared.days.read().unwrap_or_else(PoisonError::into_inner);
    let last = UtcMicros::from_micros(window.to.as_micros().saturating_sub(1));
    let within = days.range(day_of(window.from)..=day_of(last));
    within.rev().map(|(number, reader)| (*number, Arc::clone(reader))).collect()
}

impl Asking<'_> {
    fn answer(&self, mut coverage: Coverage) -> Result<Answer, AskError> {
        let wanted = text::wanted(&self.question.text);
        let mut understood = Understood::Literally;
        let mut found = self.go(&self.conditions(&wanted, &vec![understood; wanted.len()]))?;
        if found.counts.all == 0
            && !wanted.is_empty()
            && let Some(ways) = self.freely(&wanted)?
        {
            understood = ways.iter().copied().max().unwrap_or(understood);
            found = self.go(&self.conditions(&wanted, &ways))?;
        }
        coverage.counted_from = coverage.counted_from.max(UtcMicros::from_micros(found.from));
        let facets = self.question.facets.then(|| found.counts.facets());
        let histogram = self.histogram(&found.counts);
        let total = Total { count: found.counts.all, exact: found.exact };
        let full = found.newest.is_full();
        let hits = found.newest.into_sorted();
        let next = match hits.last() {
            Some((key, ..)) if full => Some(*key),
            _ if found.finished => None,
            _ => Some(key_from(UtcMicros::from_micros(found.from))),
        };
        let events = hits.into_iter().map(|(_, day, at)| self.read(coverage.node, day, at)).collect::<Result<Vec<_>, _>>()?;
        Ok(Answer { events: events.into_iter().flatten().collect(), next, total, understood, facets, histogram, coverage })
    }

    /// For each term, the strictest way of taking it that meets anything in reach; `None` if one meets nothing in any way.
    fn freely(&self, wanted: &[Wanted]) -> Result<Option<Vec<Understood>>, AskError> {
        let Some(fields) = self.days.first().map(|day| day.reader.fields) else { return Ok(None) };
        // A term that stands alone was just looked for as it stands.
        let strictest = if wanted.len() == 1 { Understood::AsWords } else { Understood::Literally };
        let mut met = Vec::new();
        for term in wanted {
            let mut ways = Ways::of(term, fields, strictest);
            let mut cost = 0;
            for day in &self.days {
                if ways.settled() || cost > COST_BOUND {
                    break;
                }
                cost += ways.look_into((&day.searcher, day.reader.fields), self.question, (&self.scope, &self.narrow))?;
            }
            let Some(way) = ways.met() else { return Ok(None) };
            met.push(way);
        }
        Ok(Some(met))
    }

    fn conditions(&self, wanted: &[Wanted], ways: &[Understood]) -> (u64, Conditions) {
        let mut hasher = DefaultHasher::new();
        format!("{wanted:?}{ways:?}").hash(&mut hasher);
        let fields = self.days.first().map(|day| day.reader.fields);
        let conditions = fields.into_iter().flat_map(|fields| {
            wanted.iter().zip(ways).flat_map(move |(term, way)| term.conditions(fields, *way).unwrap_or_default())
        });
        (hasher.finish(), conditions.collect())
    }

    /// Goes through the days.
    fn go(&self, (text, conditions): &(u64, Conditions)) -> Result<Found, AskError> {
        let question = self.question;
        let counting = question.facets || question.step_millis.is_some();
        let wants = Wants { facets: question.facets, step_millis: question.step_millis };
        let newest = Newest::new(question.before.unwrap_or(u64::MAX), question.limit);
        let mut found = Found { newest, counts: Counts::default(), exact: true, from: i64::MAX, finished: true };
        let mut cost = 0;
        let fingerprint = self.fingerprint(*text, &wants);
        for day in &self.days {
            let enough = found.newest.is_full() && !counting && found.counts.all > EXACT_TO;
            if enough || cost > COST_BOUND {
                (found.exact, found.finished) = (false, false);
                break;
            }
            cost += self.look_into(day, conditions, &wants, fingerprint, &mut found)?;
            found.from = day.number * DAY_MICROS;
        }
        if found.finished {
            found.from = i64::MIN;
        }
        Ok(found)
    }

    fn look_into(
        &self,
        day: &Open,
        conditions: &Conditions,
        wants: &Wants,
        fingerprint: u64,
        found: &mut Found,
    ) -> Result<u64, TantivyError> {
        let begin = day.number * DAY_MICROS;
        let whole = self.question.window.from.as_micros() <= begin && self.question.window.to.as_micros() >= begin + DAY_MICROS;
        let state = day.searcher.generation().generation_id();
        let key = (day.number, state, fingerprint);
        let known = if whole { self.remembered.lock().unwrap_or_else(PoisonError::into_inner).get(key) } else { None };
        if let Some(known) = &known
            && (known.all == 0 || !found.newest.wants(key_from(UtcMicros::from_micros(begin))))
        {
            found.counts.merge(known);
            return Ok(0);
        }
        let mut counts = Counts::default();
        let plan = Plan::of((&day.searcher, day.reader.fields), self.question, conditions, &self.scope, &self.narrow)?;
        let cost = match plan {
            Some(Plan { query, sieve }) => {
                scan((day.number, &day.searcher), &*query, &sieve, wants, &mut found.newest, &mut counts)?
            }
            None => 0,
        };
        found.counts.merge(&counts);
        if whole && known.is_none() {
            self.remembered.lock().unwrap_or_else(PoisonError::into_inner).put(key, Arc::new(counts));
        }
        Ok(cost)
    }

    /// What tells this question's counts of a day from another's.
    fn fingerprint(&self, text: u64, wants: &Wants) -> u64 {
        let Question { reach, under, cameras, nodes, kinds, severity, hours, region, .. } = self.question;
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        format!("{reach:?}{under:?}{cameras:?}{nodes:?}{kinds:?}{severity:?}{hours:?}{region:?}").hash(&mut hasher);
        (wants.facets, wants.step_millis).hash(&mut hasher);
        hasher.finish()
    }

    fn histogram(&self, counts: &Counts) -> Option<Histogram> {
        let step = self.question.step_millis?;
        let millis = |at: UtcMicros| at.as_micros().div_euclid(1000);
        let first = millis(self.question.window.from).div_euclid(step);
        let last = (millis(self.question.window.to) - 1).div_euclid(step);
        let columns = usize::try_from(last - first + 1).unwrap_or(0).min(MAX_COLUMNS + 1);
        Some(Histogram {
            from: UtcMicros::from_micros(first * step * 1000),
            step_millis: step,
            counts: counts.columns(first, columns),
        })
    }

    fn read(&self, node: crate::model::NodeId, number: i64, at: DocAddress) -> Result<Option<Kept>, TantivyError> {
        let Some(day) = self.days.iter().find(|day| day.number == number) else { return Ok(None) };
        read(&self.question.reach, &day.searcher, day.reader.fields.body, node, at)
    }

    /// Reads enough of a day to know whether it works.
    fn probe(&self, day: &Open) -> Result<(), TantivyError> {
        let (mut newest, mut counts) = (Newest::new(u64::MAX, 1), Counts::default());
        let wants = Wants { facets: true, step_millis: None };
        let narrow = Narrow { from: 1, to: u64::MAX, hours: None, region: None, origins: None, elsewhere: Vec::new() };
        scan((day.number, &day.searcher), &AllQuery, &Sieve::new(&narrow), &wants, &mut newest, &mut counts)?;
        Ok(())
    }
}

/// An event by its place in the index of a node.
pub(super) fn read(
    reach: &Reach,
    searcher: &Searcher,
    body: Field,
    node: crate::model::NodeId,
    at: DocAddress,
) -> Result<Option<Kept>, TantivyError> {
    let doc: TantivyDocument = searcher.doc(at)?;
    let stored = doc.get_first(body).and_then(|value| value.as_bytes()).and_then(Stored::read);
    let whose = |stored: &Stored<'_>| stored.origin.unwrap_or(node);
    Ok(stored.and_then(|stored| Kept::read_within(reach, whose(&stored), stored.seq, stored.at, stored.kind.word(), stored.body)))
}
