//! Taking events in from outside: checked, told apart from repeats, durable before the sender hears so.

use super::ask;
use super::day::{day_of, source_number, term};
use super::projection::{Shared, lock};
use super::{
    event::{Event, EventError, Kept},
    parts::EventId,
    question::Reach,
};
use crate::journal::{JournalError, Seq};
use crate::model::UtcMicros;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError, atomic::Ordering},
};
use tantivy::{
    DocAddress, DocSet, TERMINATED, TantivyError,
    query::{EnableScoring, Query, TermQuery},
    schema::IndexRecordOption,
};

/// Events of one batch.
pub const MAX_BATCH: usize = 1000;

/// What became of a reported event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reported {
    /// It is durable, under this number.
    New(EventId),
    /// It was reported before, and has this number since.
    Repeated(EventId),
}

/// Why an event was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// It breaks a rule.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The journal takes no more now.
    #[error("the journal did not take the event")]
    Journal(#[from] JournalError),
    /// What was reported before is not known yet.
    #[error("the event index is catching up after a start, so repeats cannot be told yet: send again in a few seconds")]
    CatchingUp,
    /// Whether it is a repeat cannot be looked up.
    #[error("the event index cannot be read: {0}")]
    Index(#[from] TantivyError),
}

/// Reports that the index does not have yet, by their source's number.
#[derive(Default)]
pub(super) struct Recent {
    pub(super) reports: Mutex<HashMap<u64, (Seq, EventId)>>,
    /// Where the journal ended when this process began: repeats are known once the index is there.
    pub(super) known_from: Seq,
}

/// Takes a batch in, and returns what became of each, in order. One batch at a time; waits for the disk.
pub(super) fn report(shared: &Shared, recent: &Recent, events: Vec<Event>) -> Vec<Result<Reported, ReportError>> {
    // Held for the whole batch: two senders of the same event must not both be first.
    let mut reports = recent.reports.lock().unwrap_or_else(PoisonError::into_inner);
    let indexed = Seq::new(shared.progress.seq.load(Ordering::Relaxed));
    reports.retain(|_, (seq, _)| *seq > indexed);
    let now = UtcMicros::now();
    let mut begun: HashMap<u64, usize> = HashMap::new();
    let mut fates = Vec::with_capacity(events.len());
    for (place, event) in events.into_iter().enumerate() {
        let named = (!event.source.id.is_empty()).then(|| source_number(&event.source.name, &event.source.id));
        let time = event.time;
        let fate = match event.check(now) {
            Err(error) => Fate::Settled(Err(error.into())),
            Ok(()) => match named.map(|number| find(shared, recent, &reports, &begun, number, time)).transpose() {
                Err(error) => Fate::Settled(Err(error)),
                Ok(Some(Some(fate))) => fate,
                Ok(_) => {
                    if let Some(number) = named {
                        begun.insert(number, place);
                    }
                    Fate::Begun(shared.sources.own.append(event.into_record(now)), time, named)
                }
            },
        };
        fates.push(fate);
    }
    let mut results: Vec<Result<Reported, ReportError>> = Vec::with_capacity(fates.len());
    for fate in fates {
        let result = match fate {
            Fate::Settled(result) => result,
            Fate::Same(first) => match results.get(first) {
                Some(Ok(Reported::New(id) | Reported::Repeated(id))) => Ok(Reported::Repeated(*id)),
                _ => Err(ReportError::CatchingUp),
            },
            Fate::Begun(ticket, time, named) => ticket.wait().map_err(ReportError::from).map(|seq| {
                let id = EventId::new(time, shared.sources.own.node(), seq);
                if let Some(number) = named {
                    reports.insert(number, (seq, id));
                }
                Reported::New(id)
            }),
        };
        results.push(result);
    }
    results
}

enum Fate {
    Settled(Result<Reported, ReportError>),
    /// The same as an earlier one of the batch.
    Same(usize),
    Begun(crate::journal::Ticket, UtcMicros, Option<u64>),
}

fn find(
    shared: &Shared,
    recent: &Recent,
    reports: &HashMap<u64, (Seq, EventId)>,
    begun: &HashMap<u64, usize>,
    number: u64,
    time: UtcMicros,
) -> Result<Option<Fate>, ReportError> {
    if let Some(first) = begun.get(&number) {
        return Ok(Some(Fate::Same(*first)));
    }
    if let Some((_, id)) = reports.get(&number) {
        return Ok(Some(Fate::Settled(Ok(Reported::Repeated(*id)))));
    }
    let indexed = Seq::new(shared.progress.seq.load(Ordering::Relaxed));
    if indexed < recent.known_from
        || shared.progress.rebuilding.load(Ordering::Relaxed)
        || lock(&shared.progress.problem).is_some()
    {
        return Err(ReportError::CatchingUp);
    }
    Ok(in_index(shared, number, time)?.map(|kept| Fate::Settled(Ok(Reported::Repeated(kept.id)))))
}

/// The event of a source's number in the day of its time: a repeat has the same time.
fn in_index(shared: &Shared, number: u64, time: UtcMicros) -> Result<Option<Kept>, TantivyError> {
    let day = shared.days.read().unwrap_or_else(PoisonError::into_inner).get(&day_of(time)).cloned();
    let Some(day) = day else { return Ok(None) };
    let searcher = day.reader.searcher();
    let query = TermQuery::new(term(day.fields.source, number), IndexRecordOption::Basic);
    let weight = query.weight(EnableScoring::disabled_from_searcher(&searcher))?;
    for (ordinal, segment) in searcher.segment_readers().iter().enumerate() {
        let docs = weight.scorer(segment, 1.0)?;
        if docs.doc() != TERMINATED {
            let at = DocAddress::new(ordinal as u32, docs.doc());
            return ask::read(&Reach::Everything, &searcher, day.fields.body, shared.sources.own.node(), at);
        }
    }
    Ok(None)
}
