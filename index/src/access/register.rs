//! The register of accesses: the record first, then the permit.

use super::records::{self, AccessEnd, AccessRecord, Began, Ended, Fact, MAX_PAGE, Page, Projection};
use super::{Action, Asker, Denied, Extent, Filter, Grant, Permit, Person, Purpose, RoomDenied, Span};
use crate::journal::{Journal, JournalError, Record, Seq};
use crate::model::{CameraId, StreamId, UtcMicros};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
};

/// Accesses kept in memory for auditors' questions, about 30 MB; older ones are read from the journal.
const IN_MEMORY: usize = 50_000;
/// Streams that one access may be about.
const MAX_STREAMS: usize = 1024;

/// What somebody with a [`Grant`] asks to see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessRequest {
    /// The public number of the login; never the cookie.
    pub login: String,
    /// From where.
    pub from: IpAddr,
    /// Which streams and which time.
    pub extent: Extent,
    /// Why.
    pub purpose: Purpose,
}

/// Why there is no permit.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AdmitError {
    /// The grant is for something that shows no video.
    #[error("{} shows no video and needs no access record", .0.word())]
    NotMedia(Action),
    /// The request names a camera that the grant does not.
    #[error("the grant does not include {0:?}")]
    OutsideGrant(CameraId),
    /// Live where the grant says recorded, or the reverse.
    #[error("the request is live and the grant recorded, or the reverse")]
    OtherSpan,
    /// No stream, more than 1,024, or an empty window.
    #[error("the request names no footage, or more than 1,024 streams")]
    Extent,
    /// The record could not be made durable, so nothing is shown (A1).
    #[error("the access record could not be written")]
    Journal(#[from] JournalError),
}

/// The register of one node. One per journal.
pub struct Register {
    journal: Arc<Journal>,
    clock: Box<dyn Fn() -> UtcMicros + Send + Sync>,
    projection: Arc<Mutex<Projection>>,
    /// Ends that the journal's queue had no room for, to be written with the next access.
    owed: Mutex<Vec<(UtcMicros, Ended)>>,
}

impl Register {
    /// Opens the register on a journal. Accesses that a crash cut short are ended now, with their bytes unknown.
    ///
    /// # Errors
    /// If the journal does not read back.
    pub fn open(journal: Arc<Journal>) -> Result<Arc<Self>, JournalError> {
        Self::with_clock(journal, UtcMicros::now)
    }

    /// As [`Register::open`], with a clock of the caller's.
    ///
    /// # Errors
    /// As [`Register::open`].
    pub fn with_clock(
        journal: Arc<Journal>,
        clock: impl Fn() -> UtcMicros + Send + Sync + 'static,
    ) -> Result<Arc<Self>, JournalError> {
        let projection = Projection::rebuild(&journal, IN_MEMORY)?;
        let cut = projection.unended();
        let register = Arc::new(Self {
            journal,
            clock: Box::new(clock),
            projection: Arc::new(Mutex::new(projection)),
            owed: Mutex::default(),
        });
        cut.into_iter().for_each(|access| register.write_end((register.clock)(), Ended { access, bytes: None }));
        Ok(register)
    }

    /// Writes the access record, waits until it is durable, and gives the permit. Typically the time of one disk sync.
    ///
    /// # Errors
    /// Why there is none; if the record cannot be written, nothing may be shown.
    pub fn admit(self: &Arc<Self>, grant: Grant, request: AccessRequest) -> Result<Permit, AdmitError> {
        let (send, receive) = mpsc::sync_channel(1);
        self.admit_then(grant, request, move |result| drop(send.send(result)));
        receive.recv().unwrap_or(Err(AdmitError::Journal(JournalError::Closed)))
    }

    /// As [`Register::admit`], for async callers: returns at once and calls `then` later, on the journal's thread, or at
    /// once on the caller's if the request is refused. A permit that nobody takes ends its access at once.
    pub fn admit_then(
        self: &Arc<Self>,
        grant: Grant,
        request: AccessRequest,
        then: impl FnOnce(Result<Permit, AdmitError>) + Send + 'static,
    ) {
        if let Err(error) = check(&grant, &request.extent) {
            return then(Err(error));
        }
        self.pay();
        let AccessRequest { login, from, extent, purpose } = request;
        let (person, action, asked_from) = grant.spend();
        let began = Began {
            category: Some(purpose.category()),
            text: purpose.text().to_owned(),
            case: purpose.case().map(str::to_owned),
            asked_from,
            ..began(action, &person, login, from, &extent)
        };
        let register = Arc::clone(self);
        self.write_began(began, move |result| {
            then(result.map(|access| Permit::new(access, action, extent, register)).map_err(AdmitError::from));
        });
    }

    /// Writes the record of a search and calls `then` when it is durable, as [`Register::admit_then`] does: nothing found may
    /// leave before. `request.extent` needs no streams; `question` is what was asked for.
    pub fn note_search_then(
        &self,
        grant: Grant,
        request: AccessRequest,
        question: String,
        then: impl FnOnce(Result<Seq, JournalError>) + Send + 'static,
    ) {
        let AccessRequest { login, from, extent, purpose } = request;
        let (person, action, asked_from) = grant.spend();
        let began = Began {
            category: Some(purpose.category()),
            text: purpose.text().to_owned(),
            case: purpose.case().map(str::to_owned),
            question: Some(question),
            asked_from,
            ..began(action, &person, login, from, &extent)
        };
        self.write_began(began, then);
    }

    /// Notes that somebody was refused, without waiting: attempts belong in the register too.
    pub fn refuse(&self, action: Action, person: &Person, login: String, from: IpAddr, extent: &Extent, why: Denied) {
        let began = Began { refused: Some(why.code().to_owned()), ..began(action, person, login, from, extent) };
        self.write_began(began, |result| {
            if let Err(error) = result {
                tracing::warn!(%error, "a refused access could not be noted");
            }
        });
    }

    /// Notes that this room said no to somebody at a node above. Returns at once; the record follows.
    pub fn refuse_from_above(&self, action: Action, asker: &Asker, extent: &Extent, no: RoomDenied) {
        let began = Began {
            action,
            person: asker.person.clone(),
            display: asker.person.clone(),
            unit: asker.unit.clone(),
            login: String::new(),
            from: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            streams: extent.streams.clone(),
            span: extent.span,
            category: Some(asker.purpose.category()),
            text: asker.purpose.text().to_owned(),
            case: asker.purpose.case().map(str::to_owned),
            question: None,
            refused: Some(no.code().to_owned()),
            asked_from: Some(asker.from_node()),
        };
        self.write_began(began, |result| {
            if let Err(error) = result {
                tracing::warn!(%error, "a refused access from above could not be noted");
            }
        });
    }

    /// Records for an auditor, newest first, at most `limit` and at most 500, those before `before` if given.
    ///
    /// # Errors
    /// If the journal does not read back.
    pub fn records(&self, filter: &Filter, before: Option<Seq>, limit: usize) -> Result<Page, JournalError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let before = before.unwrap_or(Seq::new(u64::MAX));
        let (mut records, complete_from) = self.projection().newest(filter, before, limit);
        if records.len() == limit {
            let next = records.last().map(|record| record.seq);
            return Ok(Page { records, next });
        }
        let older = records::from_journal(&self.journal, filter, before.min(complete_from), limit - records.len())?;
        records.extend(older.records);
        Ok(Page { records, next: older.next })
    }

    /// The journal it stands on.
    #[must_use]
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Ends an access; for a permit that goes.
    pub(super) fn end(&self, access: Seq, bytes: u64) {
        self.write_end((self.clock)(), Ended { access, bytes: Some(bytes) });
    }

    fn write_began(&self, began: Began, then: impl FnOnce(Result<Seq, JournalError>) + Send + 'static) {
        let at = (self.clock)();
        let word = if began.refused.is_some() { "refused" } else { began.action.word() };
        let body = match serde_json::to_value(&began) {
            Ok(body) => body,
            Err(_) => return then(Err(JournalError::Record("its body cannot be written as JSON"))),
        };
        let projection = Arc::clone(&self.projection);
        self.journal.append_then(Record::new(at, format!("access.{word}"), body), move |result| {
            if let Ok(seq) = result {
                lock(&projection).apply(Fact::Began(Box::new(AccessRecord::begun(seq, at, began))));
            }
            then(result);
        });
    }

    fn write_end(&self, at: UtcMicros, ended: Ended) {
        let body = serde_json::json!({ "access": ended.access, "bytes": ended.bytes });
        let projection = Arc::clone(&self.projection);
        let refused = Arc::new(Mutex::new(false));
        let full = Arc::clone(&refused);
        self.journal.append_then(Record::new(at, "access.ended", body), move |result| match result {
            Ok(_) => lock(&projection).apply(Fact::Ended(ended.access, AccessEnd { at, bytes: ended.bytes })),
            // Called before `append_then` returns, so the flag is read below.
            Err(JournalError::Full { .. }) => *lock(&full) = true,
            Err(error) => tracing::error!(%error, access = %ended.access, "the end of an access could not be written"),
        });
        if *lock(&refused) {
            lock(&self.owed).push((at, ended));
        }
    }

    /// Writes the ends that found no room before.
    fn pay(&self) {
        let owed = std::mem::take(&mut *lock(&self.owed));
        owed.into_iter().for_each(|(at, ended)| self.write_end(at, ended));
    }

    /// What memory holds, for comparing with a rebuild.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> Projection {
        self.projection().clone()
    }

    fn projection(&self) -> MutexGuard<'_, Projection> {
        lock(&self.projection)
    }
}

impl std::fmt::Debug for Register {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Register").field("journal", &self.journal).finish_non_exhaustive()
    }
}

/// Whether a request stays within its grant. A request that does not is a defect of the caller, and refused all the same.
fn check(grant: &Grant, extent: &Extent) -> Result<(), AdmitError> {
    let action = grant.action();
    if !action.is_media() {
        return Err(AdmitError::NotMedia(action));
    }
    if let Some(stray) = extent.streams.iter().find(|stream| !grant.cameras().contains(&stream.camera)) {
        return Err(AdmitError::OutsideGrant(stray.camera));
    }
    let empty = match extent.span {
        Span::Live => false,
        Span::Recorded(window) => window.is_empty(),
    };
    if extent.streams.is_empty() || extent.streams.len() > MAX_STREAMS || empty {
        return Err(AdmitError::Extent);
    }
    // A still may be of now or of then; the others say by their name which.
    let live = extent.span == Span::Live;
    match action {
        Action::Live if !live => Err(AdmitError::OtherSpan),
        Action::Playback | Action::Export if live => Err(AdmitError::OtherSpan),
        _ => Ok(()),
    }
}

fn began(action: Action, person: &Person, login: String, from: IpAddr, extent: &Extent) -> Began {
    Began {
        action,
        person: person.name.clone(),
        display: person.display.clone(),
        unit: person.unit.clone(),
        login,
        from,
        streams: extent.streams.clone(),
        span: extent.span,
        category: None,
        text: String::new(),
        case: None,
        question: None,
        refused: None,
        asked_from: None,
    }
}

/// Streams of one camera or several, for a request.
impl Extent {
    /// Watching streams live.
    #[must_use]
    pub fn live(streams: impl IntoIterator<Item = StreamId>) -> Self {
        Self { streams: streams.into_iter().collect(), span: Span::Live }
    }

    /// A window of streams' footage.
    #[must_use]
    pub fn recorded(streams: impl IntoIterator<Item = StreamId>, window: crate::model::Window) -> Self {
        Self { streams: streams.into_iter().collect(), span: Span::Recorded(window) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
