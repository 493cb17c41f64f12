//! The register as auditors read it: a projection of the journal's access records, newest first.

use super::{Action, AskedFrom, Category, Extent, Span};
use crate::journal::{Journal, JournalError, Seq};
use crate::model::{CameraId, StreamId, UtcMicros, Window};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    ops::ControlFlow,
};

/// The largest page.
pub(super) const MAX_PAGE: usize = 500;
/// Files of the journal that one question, or opening, reads at most: a bound on its time.
const FILES_AT_ONCE: usize = 8;

/// One access: who looked at what, when and why, and how it ended. Everything the law asks the register to name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessRecord {
    /// Its place in the journal; also the access's number.
    pub seq: Seq,
    /// When it was asked for.
    pub at: UtcMicros,
    /// The facts as the journal has them.
    pub began: Began,
    /// How it ended. `None` while it lasts, and for a refusal.
    pub end: Option<AccessEnd>,
}

/// What is written before the first byte leaves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Began {
    /// What was asked for.
    pub action: Action,
    /// The account.
    pub person: String,
    /// The name colleagues know.
    pub display: String,
    /// The person's organisation.
    pub unit: String,
    /// Which login, by its public number. Never the cookie.
    pub login: String,
    /// From where.
    pub from: IpAddr,
    /// Which streams.
    pub streams: Vec<StreamId>,
    /// Which time.
    pub span: Span,
    /// Which kind of reason; `None` only for a refusal.
    pub category: Option<Category>,
    /// The reason in words.
    pub text: String,
    /// The case or document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// What was searched for, if it was a search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// Why it was refused: a code of [`super::Denied`]. `None` if it was admitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// The node above that it was asked from; `None` if here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_from: Option<AskedFrom>,
}

/// How an access ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccessEnd {
    /// When.
    pub at: UtcMicros,
    /// How many bytes of media left. `None` if the node stopped first, so that nobody knows.
    pub bytes: Option<u64>,
}

/// The body of an end record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    pub access: Seq,
    pub bytes: Option<u64>,
}

/// Which records an auditor wants. The default is all.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Filter {
    /// Of this account.
    pub person: Option<String>,
    /// About this camera.
    pub camera: Option<CameraId>,
    /// Asked for in this window.
    pub during: Option<Window>,
    /// Of this kind.
    pub action: Option<Action>,
}

/// Records, newest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// The records; may be fewer than asked for even when there are more.
    pub records: Vec<AccessRecord>,
    /// Where to go on: ask again for what stands before this. `None` when nothing older is left.
    pub next: Option<Seq>,
}

impl AccessRecord {
    /// An access that has begun. A search is over at once: nothing of it goes on.
    pub(super) fn begun(seq: Seq, at: UtcMicros, began: Began) -> Self {
        let end = (began.action == Action::Search).then_some(AccessEnd { at, bytes: Some(0) });
        Self { seq, at, began, end }
    }

    /// Which streams and which time it was about.
    #[must_use]
    pub fn extent(&self) -> Extent {
        Extent { streams: self.began.streams.clone(), span: self.began.span }
    }
}

impl Filter {
    /// Whether the auditor wants this one.
    #[must_use]
    pub fn wants(&self, record: &AccessRecord) -> bool {
        let began = &record.began;
        self.person.as_ref().is_none_or(|person| *person == began.person)
            && self.camera.is_none_or(|camera| began.streams.iter().any(|stream| stream.camera == camera))
            && self.during.is_none_or(|window| window.contains(record.at))
            && self.action.is_none_or(|action| action == began.action)
    }
}

/// What one journal record means to the register.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fact {
    Began(Box<AccessRecord>),
    Ended(Seq, AccessEnd),
}

impl Fact {
    /// `None` for records that are not the register's.
    fn read(seq: Seq, at: UtcMicros, kind: &str, body: &[u8]) -> Option<Self> {
        let word = kind.strip_prefix("access.")?;
        if word == "ended" {
            let ended: Ended = serde_json::from_slice(body).ok()?;
            return Some(Self::Ended(ended.access, AccessEnd { at, bytes: ended.bytes }));
        }
        let began: Began = serde_json::from_slice(body).ok()?;
        Some(Self::Began(Box::new(AccessRecord::begun(seq, at, began))))
    }
}

/// The newest accesses in memory; older ones stay in the journal and are read from there. Equal to a rebuild (I7).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Projection {
    /// Ascending by number.
    records: VecDeque<AccessRecord>,
    limit: usize,
    /// Every access from here on is in memory.
    complete_from: Seq,
}

impl Projection {
    /// Reads the newest accesses, at most `limit`, from the newest files of the journal.
    pub(super) fn rebuild(journal: &Journal, limit: usize) -> Result<Self, JournalError> {
        let tail = journal.tail();
        let mut chunks = Vec::new();
        let mut found = 0;
        let mut to = tail;
        for start in journal.file_starts().into_iter().rev().take(FILES_AT_ONCE) {
            let facts = facts(journal, start, to)?;
            found += facts.len();
            to = Seq::new(start.get().saturating_sub(1));
            chunks.push(facts);
            if found >= limit {
                break;
            }
        }
        let mut all = Self { records: VecDeque::new(), limit, complete_from: to.next() };
        chunks.into_iter().rev().flatten().for_each(|fact| all.apply(fact));
        Ok(all)
    }

    pub(super) fn apply(&mut self, fact: Fact) {
        match fact {
            Fact::Began(record) => {
                if self.records.len() >= self.limit
                    && let Some(oldest) = self.records.pop_front()
                {
                    self.complete_from = oldest.seq.next();
                }
                self.records.push_back(*record);
            }
            Fact::Ended(access, end) => {
                if let Ok(at) = self.records.binary_search_by_key(&access, |record| record.seq) {
                    self.records[at].end = Some(end);
                }
            }
        }
    }

    /// Accesses that have begun and not ended.
    pub(super) fn unended(&self) -> Vec<Seq> {
        self.records.iter().filter(|r| r.end.is_none() && r.began.refused.is_none()).map(|r| r.seq).collect()
    }

    /// The newest wanted records before `before`, and from where on memory knows all.
    pub(super) fn newest(&self, filter: &Filter, before: Seq, limit: usize) -> (Vec<AccessRecord>, Seq) {
        let end = self.records.partition_point(|record| record.seq < before);
        let wanted = self.records.range(..end).rev().filter(|record| filter.wants(record));
        (wanted.take(limit).cloned().collect(), self.complete_from)
    }
}

/// The register's facts in a range of the journal, in order.
fn facts(journal: &Journal, from: Seq, to: Seq) -> Result<Vec<Fact>, JournalError> {
    let mut facts = Vec::new();
    journal.visit(from, to, |seen| {
        facts.extend(Fact::read(seen.seq, seen.at, seen.kind, seen.body));
        ControlFlow::Continue(())
    })?;
    Ok(facts)
}

/// Wanted records before `before` from the journal itself, newest first, reading a bounded number of files.
pub(super) fn from_journal(journal: &Journal, filter: &Filter, before: Seq, limit: usize) -> Result<Page, JournalError> {
    let mut records: Vec<AccessRecord> = Vec::new();
    let mut ends = HashMap::new();
    let mut to = Seq::new(before.get().saturating_sub(1));
    for start in journal.file_starts().into_iter().rev().filter(|start| *start < before).take(FILES_AT_ONCE) {
        let mut began = Vec::new();
        for fact in facts(journal, start, to)? {
            match fact {
                Fact::Began(record) if filter.wants(&record) => began.push(*record),
                Fact::Began(_) => {}
                Fact::Ended(access, end) => drop(ends.insert(access, end)),
            }
        }
        records.extend(began.into_iter().rev());
        to = Seq::new(start.get().saturating_sub(1));
        if records.len() >= limit {
            break;
        }
    }
    let mut next = (to > Seq::ZERO).then_some(to.next());
    if records.len() > limit {
        records.truncate(limit);
        next = records.last().map(|record| record.seq);
    }
    find_ends(journal, &mut records, before, ends)?;
    Ok(Page { records, next })
}

/// Fills in the ends that stand after `before`: an access may last for hours.
fn find_ends(
    journal: &Journal,
    records: &mut [AccessRecord],
    before: Seq,
    mut ends: HashMap<Seq, AccessEnd>,
) -> Result<(), JournalError> {
    let mut open: usize = records.iter().filter(|r| r.began.refused.is_none() && !ends.contains_key(&r.seq)).count();
    let starts = journal.file_starts();
    let last = starts.iter().copied().filter(|start| *start > before).nth(FILES_AT_ONCE).unwrap_or(Seq::new(u64::MAX));
    if open > 0 {
        journal.visit(before, last, |seen| {
            if let Some(Fact::Ended(access, end)) = Fact::read(seen.seq, seen.at, seen.kind, seen.body) {
                let ours = records.binary_search_by(|record| access.cmp(&record.seq)).is_ok();
                if ours && ends.insert(access, end).is_none() {
                    open -= 1;
                }
            }
            if open == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    records.iter_mut().for_each(|record| record.end = ends.get(&record.seq).copied());
    Ok(())
}
