//! A node's incidents on its journals: what is done is made durable first and is then the state. Owns no thread and no clock.

use super::book::{Book, other, priority_of};
use super::clock::Clocks;
use super::moves::{Author, Deed, Handed, IncidentId, MAX_TEXT, Opening, Priority, RECEIVED, Received, Told, What, Who};
use super::shift::{self, HandOver, MAX_REMARKS, ShiftError};
use super::state::{Entry, Incident, NotNow};
use crate::alarms::Alarm;
use crate::journal::{Copies, History, Journal, JournalError, Record, Seq};
use crate::model::{NodeId, Tier, UtcMicros};
use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Records looked at under one lock.
const BATCH: u64 = 5_000;
/// Records handed down in one message, at most, and about how many bytes of them.
const HANDED: (usize, usize) = (200, 256 << 10);
/// Records of the own journal that one search for something to hand down goes through.
const SEARCHED: u64 = 100_000;

/// Who the node is among the tiers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Me {
    /// Which node.
    pub node: NodeId,
    /// Its tier.
    pub tier: Tier,
    /// How long each step may take for what is opened here.
    pub clocks: Clocks,
}

/// What a node keeps of those below it.
#[derive(Clone)]
pub struct Lower {
    /// Their journals.
    pub copies: Arc<Copies>,
    /// Of which tier each of them is; `None` for as long as that is not known, and its journal waits so long.
    pub tier: Arc<dyn Fn(NodeId) -> Option<Tier> + Send + Sync>,
}

/// What an incident is opened with, but for what the node adds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// Whose it is: the room with the camera, else the node itself.
    pub home: NodeId,
    /// What is known; its number and limits are filled in.
    pub opening: Opening,
}

/// Why an incident was not opened or moved.
#[derive(Debug, thiserror::Error)]
pub enum IncidentError {
    /// There is none of that name, or no more.
    #[error("there is no such incident")]
    Unknown,
    /// Somebody or the clock moved it meanwhile.
    #[error("it was moved meanwhile")]
    Moved {
        /// What was done last.
        last: Option<Box<Entry>>,
        /// As it is now.
        now: Box<Incident>,
    },
    /// That is not possible as it is.
    #[error("{why}")]
    NotNow {
        /// Why not.
        why: NotNow,
        /// As it is now.
        now: Box<Incident>,
    },
    /// Words of it are missing or too long.
    #[error("the text has 1 to {MAX_TEXT} characters")]
    Text,
    /// The journal does not take it now.
    #[error("the journal did not take it")]
    Journal(#[from] JournalError),
}

/// See the module.
pub struct Casebook {
    me: Me,
    journal: Arc<Journal>,
    below: Option<Lower>,
    book: Mutex<Book>,
    /// The tier above, where the node has joined one.
    upper: Mutex<Option<Tier>>,
    /// One decision at a time, from looking until it is durable and known.
    deciding: Mutex<()>,
}

impl Casebook {
    /// Of a node with this journal, over what it keeps of those below. `book` is what was kept, or an empty one: the first
    /// [`Casebook::catch_up`] reads what came since.
    #[must_use]
    pub fn new(me: Me, journal: Arc<Journal>, below: Option<Lower>, book: Book) -> Self {
        Self { me, journal, below, book: Mutex::new(book), upper: Mutex::new(None), deciding: Mutex::new(()) }
    }

    /// Who the node is.
    #[must_use]
    pub fn me(&self) -> Me {
        self.me
    }

    /// The present state, locked: look and let go.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tier above, if there is one.
    #[must_use]
    pub fn upper(&self) -> Option<Tier> {
        *self.upper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells it which tier is above.
    pub fn set_upper(&self, tier: Tier) {
        *self.upper.lock().unwrap_or_else(PoisonError::into_inner) = Some(tier);
    }

    /// Reads what stands in the journals beyond what was read. Whether the state changed.
    ///
    /// # Errors
    /// If one does not read back: the others were read.
    pub fn catch_up(&self) -> Result<bool, JournalError> {
        let before = self.book().revision();
        let mut read = self.follow_own();
        for (lower, copy) in self.below.iter().flat_map(|lower| lower.copies.list().into_iter().map(move |copy| (lower, copy))) {
            if let Some(tier) = (lower.tier)(copy.node()) {
                read = self.follow(&*copy, tier).and(read);
            }
        }
        read.map(|()| self.book().revision() > before)
    }

    fn follow_own(&self) -> Result<(), JournalError> {
        self.follow(&*self.journal, self.me.tier)
    }

    fn follow(&self, history: &dyn History, tier: Tier) -> Result<(), JournalError> {
        let (node, tail) = (history.node(), history.head().0);
        loop {
            let mut book = self.book();
            let cursor = book.cursor(node);
            if cursor >= tail {
                return Ok(());
            }
            let to = tail.min(Seq::new(cursor.get() + BATCH));
            let mut last = cursor;
            let read = history.visit(cursor.next(), to, &mut |seen| {
                book.take((node, tier), &seen);
                last = seen.seq;
                ControlFlow::Continue(())
            });
            book.set_cursor(node, last);
            read?;
            if last == cursor {
                return Ok(());
            }
        }
    }

    /// Opens what alarms ask for, and escalates what nobody did anything about in time. Waits for the disk. When it is to be called
    /// again at the latest, if nothing else happens.
    ///
    /// # Errors
    /// If the journal does not take it, or does not read back.
    pub fn tick(&self, now: UtcMicros) -> Result<Option<UtcMicros>, JournalError> {
        let _one = self.decide();
        // What is decided is decided on everything that is durable here (N3).
        self.catch_up()?;
        let waiting = self.book().waiting();
        if !waiting.is_empty() {
            for alarm in &waiting {
                let number = self.book().next_number(now);
                self.journal.append_all(vec![self.opened_for(alarm, number, now)])?;
                self.follow_own()?;
            }
        }
        let records = self.escalations(now);
        if !records.is_empty() {
            self.journal.append_all(records)?;
            self.follow_own()?;
        }
        Ok(self.book().next_wake(now))
    }

    fn escalations(&self, now: UtcMicros) -> Vec<Record> {
        let upper = self.upper();
        let mut book = self.book();
        let mut records = Vec::new();
        for id in book.woken(now) {
            book.bring_back(id, now);
            let Some(incident) = book.get(id) else { continue };
            // Only the node of the tier that has it runs its clock.
            let due = incident.due().filter(|due| *due <= now && incident.tier == self.me.tier);
            if let (Some(due), Some(to)) = (due, upper) {
                let deed = Deed::Escalate { from: incident.tier, to, number: incident.escalations };
                records.push(self.moved(incident, Author::Clock, deed, now.max(due)).record(now));
            }
        }
        records
    }

    fn opened_for(&self, alarm: &Alarm, number: String, now: UtcMicros) -> Record {
        let priority = priority_of(alarm.urgency);
        let opening = Opening {
            number,
            priority,
            kind: Some(alarm.kind),
            text: alarm.text.clone(),
            camera: alarm.camera,
            name: alarm.name.clone(),
            place: alarm.place.clone(),
            happened: alarm.at,
            event: Some(alarm.event),
            alarm: Some(alarm.id),
            limits: self.me.clocks.of(priority),
        };
        // Its time counts from when operators were called.
        let what = What::Opened(Box::new(opening));
        let by = Author::Rule(alarm.rule_name.clone());
        Told { home: self.me.node, at: alarm.raised.min(now), tier: self.me.tier, by, what }.record(now)
    }

    fn moved(&self, incident: &Incident, by: Author, deed: Deed, now: UtcMicros) -> Told {
        let what = What::Moved { incident: incident.id, seen: incident.seen.clone(), deed };
        Told { home: incident.home, at: incident.next_at(now), tier: self.me.tier, by, what }
    }

    /// Opens an incident. Durable when this returns. Waits for the disk.
    ///
    /// # Errors
    /// See [`IncidentError`].
    pub fn open(&self, who: Who, draft: Draft, now: UtcMicros) -> Result<Incident, IncidentError> {
        let Draft { home, mut opening } = draft;
        let long = |text: &str| text.chars().count() > MAX_TEXT;
        if long(&opening.text.zh) || long(&opening.text.en) || long(&opening.name) {
            return Err(IncidentError::Text);
        }
        let _one = self.decide();
        self.catch_up()?;
        opening.number = self.book().next_number(now);
        opening.limits = self.me.clocks.of(opening.priority);
        let what = What::Opened(Box::new(opening));
        let told = Told { home, at: now, tier: self.me.tier, by: Author::Person(who), what };
        let seq = self.journal.append_all(vec![told.record(now)])?;
        self.catch_up()?;
        self.book().get(IncidentId { node: self.me.node, seq }).cloned().ok_or(IncidentError::Unknown)
    }

    /// Does something with an incident as somebody saw it: `version` is that of what they saw. Durable when this returns; what somebody
    /// else moved meanwhile is not moved again. Waits for the disk.
    ///
    /// # Errors
    /// See [`IncidentError`].
    pub fn act(&self, who: Who, id: IncidentId, version: u32, deed: Deed, now: UtcMicros) -> Result<Incident, IncidentError> {
        if deed.words().is_some_and(|words| words.trim().is_empty() || words.chars().count() > MAX_TEXT) {
            return Err(IncidentError::Text);
        }
        let _one = self.decide();
        self.catch_up()?;
        let incident = self.book().get(id).ok_or(IncidentError::Unknown)?.as_of(now);
        if other(&deed).is_some_and(|other| self.book().get(other).is_none()) {
            return Err(IncidentError::Unknown);
        }
        if incident.version != version && !deed.only_adds() {
            let last = Book::last_move(&incident).cloned().map(Box::new);
            return Err(IncidentError::Moved { last, now: Box::new(incident) });
        }
        let by = Author::Person(who);
        let at = incident.next_at(now);
        match self.possible(&incident, &by, &deed, at) {
            Ok(()) => {}
            Err(why) => return Err(IncidentError::NotNow { why, now: Box::new(incident) }),
        }
        self.journal.append_all(vec![self.moved(&incident, by, deed, now).record(now)])?;
        self.catch_up()?;
        self.book().get(id).cloned().ok_or(IncidentError::Unknown)
    }

    fn possible(&self, incident: &Incident, by: &Author, deed: &Deed, at: UtcMicros) -> Result<(), NotNow> {
        match deed {
            Deed::Undo { node, seq } => {
                let last = Book::last_move(incident).ok_or(NotNow::TooLate)?;
                let own = last.by == *by && *node == self.me.node && (last.place.node, last.place.seq) == (*node, *seq);
                let slip = matches!(last.deed, Deed::Close { .. } | Deed::Dismiss { .. });
                if own && slip && at.since(last.place.at) <= super::moves::UNDO_WITHIN { Ok(()) } else { Err(NotNow::TooLate) }
            }
            Deed::Escalate { to, .. } if Some(*to) != self.upper() => Err(NotNow::Impossible),
            deed => incident.may(self.me.tier, by, deed, at),
        }
    }

    /// What is to be handed down next to those nodes that `goes` names, after a record of this node's journal; and up to where the
    /// journal was looked through.
    ///
    /// # Errors
    /// If the journal does not read back.
    pub fn outgoing(&self, after: Seq, goes: impl Fn(NodeId) -> bool) -> Result<(Vec<Handed>, Seq), JournalError> {
        let (mut found, mut bytes, mut last) = (Vec::new(), 0, after);
        let own = self.me.node;
        let to = Seq::new(after.get().saturating_add(SEARCHED));
        self.journal.visit(after.next(), to, |seen| {
            last = seen.seq;
            if !seen.kind.starts_with("incident.") {
                return ControlFlow::Continue(());
            }
            let handed = if seen.kind == RECEIVED {
                serde_json::from_slice::<Received>(seen.body).ok().map(|received| Handed { at: seen.seq, ..received.handed })
            } else {
                serde_json::from_slice(seen.body).ok().map(|told| Handed { at: seen.seq, node: own, seq: seen.seq, told })
            };
            if let Some(handed) = handed.filter(|handed| goes(handed.told.home)) {
                bytes += seen.body.len();
                found.push(handed);
            }
            if found.len() >= HANDED.0 || bytes >= HANDED.1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok((found, last))
    }

    /// Takes what the neighbour above hands down, durably, each once. Up to which record of its journal everything is here. Waits for
    /// the disk.
    ///
    /// # Errors
    /// If the journal does not take it: nothing is confirmed.
    pub fn receive(&self, via: NodeId, handed: Vec<Handed>, now: UtcMicros) -> Result<Seq, JournalError> {
        let _one = self.decide();
        self.catch_up()?;
        let cursor = self.book().handed(via);
        let mut upto = cursor;
        let mut records = Vec::new();
        for handed in handed {
            upto = upto.max(handed.at);
            // From above comes what was done above, about incidents of this node's part of the tree.
            let ours = handed.told.tier > self.me.tier && handed.node != self.me.node && self.is_below(handed.told.home);
            if handed.at > cursor && ours && !self.book().knows(&handed) {
                records.push(Record::new(now, RECEIVED, serde_json::json!(Received { via, handed })));
            }
        }
        if !records.is_empty() {
            self.journal.append_all(records)?;
            self.follow_own()?;
        }
        Ok(upto)
    }

    /// Notes that somebody hands what is open over to the next shift, and signs that. Durable when this returns. Waits for the disk.
    ///
    /// # Errors
    /// See [`ShiftError`].
    pub fn hand_over(&self, by: &Who, to: &Who, remarks: &str, now: UtcMicros) -> Result<HandOver, ShiftError> {
        if by.name == to.name {
            return Err(ShiftError::Oneself);
        }
        if remarks.chars().count() > MAX_REMARKS {
            return Err(ShiftError::Text);
        }
        let _one = self.decide();
        self.catch_up()?;
        let here = |incident: &&Incident| !incident.stage.is_over() && incident.tier == self.me.tier;
        let open = self.book().all().filter(here).map(|incident| incident.id).collect();
        let record = shift::handed(by, to, remarks, open, now);
        let seq = self.journal.append_all(vec![record])?;
        self.catch_up()?;
        let book = self.book();
        book.shifts().iter().find(|shift| shift.seq == seq).cloned().ok_or(ShiftError::Unknown)
    }

    /// Notes that the next shift takes it over, and signs that: what the one before had taken on is theirs. Durable when this returns.
    /// Waits for the disk.
    ///
    /// # Errors
    /// See [`ShiftError`].
    pub fn take_over(&self, by: &Who, seq: Seq, now: UtcMicros) -> Result<HandOver, ShiftError> {
        let _one = self.decide();
        self.catch_up()?;
        let shift = self.book().shifts().iter().find(|shift| shift.seq == seq).cloned().ok_or(ShiftError::Unknown)?;
        if shift.to.name != by.name {
            return Err(ShiftError::NotTheirs(shift.to.display));
        }
        if shift.taken.is_some() {
            return Err(ShiftError::Signed);
        }
        let of_before = |incident: &&Incident| {
            let owned = incident.owner.as_ref().is_some_and(|o| o.node == self.me.node && o.who.name == shift.by.name);
            !incident.stage.is_over() && incident.tier == self.me.tier && owned
        };
        let mut records: Vec<Record> = {
            let book = self.book();
            let moved =
                |incident: &Incident| self.moved(incident, Author::Person(by.clone()), Deed::Hand { to: by.clone() }, now);
            book.all().filter(of_before).map(|incident| moved(incident).record(now)).collect()
        };
        records.push(shift::taken(by, seq, now));
        self.journal.append_all(records)?;
        self.catch_up()?;
        let book = self.book();
        book.shifts().iter().find(|shift| shift.seq == seq).cloned().ok_or(ShiftError::Unknown)
    }

    fn is_below(&self, home: NodeId) -> bool {
        home == self.me.node
            || self.below.as_ref().is_some_and(|lower| lower.copies.list().iter().any(|copy| copy.node() == home))
    }

    fn decide(&self) -> MutexGuard<'_, ()> {
        self.deciding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An opening without an event, for whoever opens one by hand.
#[must_use]
pub fn opening(priority: Priority, clocks: &Clocks, happened: UtcMicros) -> Opening {
    Opening {
        number: String::new(),
        priority,
        kind: None,
        text: Default::default(),
        camera: None,
        name: String::new(),
        place: Vec::new(),
        happened,
        event: None,
        alarm: None,
        limits: clocks.of(priority),
    }
}

impl std::fmt::Debug for Casebook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Casebook").field("node", &self.me.node).finish_non_exhaustive()
    }
}
