//! The ledger: for each stream, every second is recorded or a gap with a cause (I2, I3). What is recorded stands in the segments;
//! this keeps the other half: marks, losses, restarts and removals. They are facts in the node's journal; a checkpoint in
//! the state directory saves reading all of it at start.

mod expiring;
mod merge;
mod notebook;
mod state;
mod story;
mod tally;
mod tile;

pub use tally::Tally;
pub(super) use {
    merge::merge,
    notebook::Notebook,
    story::{Loss, Mark, Removed, Silence, Story},
    tally::tally,
    tile::{Facts, tile},
};

use super::{
    custody::{Act, Custody, CustodyError, Erased},
    spans,
    volume::lock,
    world::World,
};
use crate::{
    durable,
    model::{GapCause, StreamId, UtcMicros, Window},
};
use serde_json::{Value, json};
use state::{State, instant_of};
use std::{
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

/// See the module.
pub(super) struct Ledger {
    state: Mutex<State>,
    /// Held while footage is removed and while holds and orders change: what is held is never gone a moment later.
    acting: Mutex<()>,
    notebook: Arc<dyn Notebook>,
    world: Arc<dyn World>,
    file: PathBuf,
    /// When an earlier run last gave a sign of life: the newest that it wrote, not the one with the highest date.
    last_sign: Option<UtcMicros>,
    /// The instant of which its newest mark speaks, where no checkpoint is younger. Where somebody set the clock just before the end, the
    /// sign is dated by the new one, and this by the one that dated the last seconds of which the marks may have been lost.
    last_marked: Option<UtcMicros>,
}

const PAGE: usize = 4096;
/// Details are for people: this much of one is kept.
const DETAIL: usize = 200;

impl Ledger {
    /// Reads the checkpoint in `state_dir`, if there is a whole one, and what the journal holds beyond it.
    pub(super) fn open(state_dir: &Path, notebook: Arc<dyn Notebook>, world: Arc<dyn World>) -> Self {
        let file = state_dir.join("ledger.json");
        let mut state: State = match std::fs::read(&file) {
            Ok(bytes) => durable::read_checked(&bytes).unwrap_or_else(|error| {
                tracing::warn!(file = %file.display(), error, "ledger checkpoint unreadable, reading the journal instead");
                State::default()
            }),
            Err(_) => State::default(),
        };
        if state.seq > notebook.newest() {
            // Another journal than this checkpoint was made from.
            state = State::default();
        }
        // A checkpoint is younger than the newest fact if it knows of it.
        let last_sign = if notebook.newest() > state.seq { notebook.inherited_at() } else { state.alive };
        let last_sign = last_sign.or(notebook.inherited_at());
        let mut last_marked = None;
        loop {
            let facts = notebook.after(state.seq, PAGE);
            let Some((last, ..)) = facts.last() else { break };
            state.seq = *last;
            let mark = facts.iter().rev().find(|(_, kind, _)| kind == "ledger.mark");
            last_marked = mark.and_then(|(.., body)| instant_of(body, "at_us")).or(last_marked);
            facts.iter().for_each(|(_, kind, body)| state.apply(kind, body));
        }
        Self { state: Mutex::new(state), acting: Mutex::default(), notebook, world, file, last_sign, last_marked }
    }

    /// From `at` on, what is missing is missing for this cause. Says whether that is news.
    pub(super) fn mark(&self, stream: StreamId, at: UtcMicros, cause: GapCause, detail: &str, silence: Option<Silence>) -> bool {
        let detail: String = detail.chars().take(DETAIL).collect();
        let body = json!({ "stream": stream, "at_us": at, "cause": cause, "detail": detail });
        let news = lock(&self.state).streams.entry(stream).or_default().mark(Mark { at, cause, detail }, silence);
        if news {
            self.notebook.note(self.world.now(), "ledger.mark", body);
        }
        news
    }

    pub(super) fn lose(&self, stream: StreamId, window: Window, cause: GapCause, units: u32) {
        if window.is_empty() {
            return;
        }
        lock(&self.state).streams.entry(stream).or_default().lose(Loss { window, cause, units });
        let body = json!({ "stream": stream, "from_us": window.from, "to_us": window.to, "cause": cause, "units": units });
        self.notebook.note(self.world.now(), "ledger.loss", body);
    }

    /// Notes that the node starts, before it records anything: whatever becomes of this run, what was missed before it has a cause.
    /// Durable on return.
    pub(super) fn started(&self, at: UtcMicros, believed: bool) {
        let (sign, marked) = (self.last_sign, self.last_marked);
        {
            let mut state = lock(&self.state);
            state.starts.push(at);
            state.signs.extend([sign, marked].into_iter().flatten().map(|sign| (at, sign)));
            if believed {
                state.believed = Some(at);
            }
        }
        let body = json!({ "at_us": at, "believed": believed, "sign_us": sign, "marked_us": marked });
        if let Err(error) = self.notebook.note_durably(at, "ledger.start", body) {
            tracing::error!(error, "a start is not in the journal, the gap before it may have no cause");
        }
    }

    /// Starts of which it is not known yet since when the node had not been running.
    pub(super) fn starts(&self) -> Vec<UtcMicros> {
        lock(&self.state).starts.clone()
    }

    /// When the run before this one last gave a sign of life, whatever else is dated later.
    pub(super) fn last_sign(&self) -> Option<UtcMicros> {
        self.last_sign
    }

    /// For each start that nobody has spoken of yet: the last sign of life before it, and the last instant that was marked before it.
    pub(super) fn signs(&self) -> Vec<(UtcMicros, UtcMicros)> {
        lock(&self.state).signs.clone()
    }

    /// Notes that the node was not running in `window`, at the end of which it started.
    pub(super) fn restarted(&self, window: Window) {
        {
            let mut state = lock(&self.state);
            state.starts.retain(|start| *start != window.to);
            state.signs.retain(|(start, _)| *start != window.to);
            if window.is_empty() {
                return;
            }
            state.restart(window);
        }
        self.notebook.note(self.world.now(), "ledger.restart", json!({ "from_us": window.from, "to_us": window.to }));
    }

    /// Notes that a run ended in `window`, by the clock that it had.
    pub(super) fn ended(&self, window: Window) {
        {
            let mut state = lock(&self.state);
            if state.ends.contains(&window) {
                return;
            }
            state.ends.push(window);
        }
        self.notebook.note(self.world.now(), "ledger.end", json!({ "from_us": window.from, "to_us": window.to }));
    }

    /// When runs ended, by the clocks that they had.
    pub(super) fn ends(&self) -> Vec<Window> {
        lock(&self.state).ends.clone()
    }

    /// Somebody says that the clock is right.
    pub(super) fn confirmed(&self, now: UtcMicros) {
        lock(&self.state).believed = Some(now);
        self.notebook.note(now, "ledger.clock", json!({ "believed_us": now }));
    }

    /// The last instant at which an earlier run believed its clock.
    pub(super) fn believed(&self) -> Option<UtcMicros> {
        lock(&self.state).believed
    }

    /// The last mark before `at`, or the end of the last recording before it that was removed since: signs that the node was running
    /// then.
    pub(super) fn ran_before(&self, at: UtcMicros) -> Option<UtcMicros> {
        let state = lock(&self.state);
        let marked = |story: &Story| story.marks[..story.marks.partition_point(|mark| mark.at < at)].last().map(|mark| mark.at);
        let removed = |story: &Story| {
            story.removed[..story.removed.partition_point(|gone| gone.window.to <= at)].last().map(|gone| gone.window.to)
        };
        state.streams.values().filter_map(|story| marked(story).max(removed(story))).max()
    }

    /// Notes that recorded time of a segment was removed on purpose, and by which rule; `record` is what else the journal keeps of it.
    pub(super) fn removed(
        &self,
        stream: StreamId,
        incarnation: u64,
        gone: &[Window],
        cause: GapCause,
        rule: &str,
        record: Value,
    ) {
        let at = self.world.now();
        {
            let mut state = lock(&self.state);
            let fresh = state.gone(incarnation, gone, cause);
            let story = state.streams.entry(stream).or_default();
            for window in gone {
                story.remove(&Removed { window: *window, cause, rule: rule.to_owned(), done: Window::new(at, at) });
            }
            if fresh {
                state.expiring.add(stream, gone, rule, at, &record);
            }
        }
        let windows: Vec<_> = gone.iter().map(|window| [window.from, window.to]).collect();
        let segment = format!("{incarnation:016x}");
        let mut body = json!({ "stream": stream, "windows_us": windows, "rule": rule, "at_us": at, "incarnation": segment });
        if let (Some(body), Value::Object(record)) = (body.as_object_mut(), record) {
            body.extend(record);
        }
        self.notebook.note(at, if cause == GapCause::Erased { "ledger.erased" } else { "ledger.expired" }, body);
    }

    /// Tells of a day's deletions at the end of their term, where a day has passed: an event for each stream.
    pub(super) fn tell_expired(&self) {
        let now = self.world.now();
        let due = {
            let mut state = lock(&self.state);
            let due = state.expiring.due(now);
            due.iter().for_each(|(stream, since, _)| state.expiring.told(*stream, *since));
            due
        };
        due.into_iter().for_each(|(.., body)| self.notebook.note(now, "footage.expired", body));
    }

    /// A segment begins whose first picture is dated `from`. Where footage of that time, or of later, was removed before, it is written
    /// down that this is not that footage; durable on return.
    pub(super) fn begin(&self, stream: StreamId, from: UtcMicros, incarnation: u64) {
        let mut gone = Vec::new();
        {
            let mut state = lock(&self.state);
            let story = state.streams.entry(stream).or_default();
            let later = |gone: &&Removed| gone.window.to > from;
            story.removed.iter().rev().take_while(later).for_each(|removed| spans::join(&mut gone, removed.window));
            if gone.is_empty() {
                return;
            }
            state.anew.insert(incarnation, gone.clone());
        }
        self.note_anew(stream, incarnation, &gone);
    }

    /// These times of a segment stay while footage of the same time goes elsewhere: an order passes over them because they are held, or
    /// their term is not over. Whatever is taken elsewhere, and whenever a hold ends, this footage was not removed; durable on return.
    pub(super) fn kept(&self, stream: StreamId, incarnation: u64, windows: &[Window]) {
        let all = {
            let mut state = lock(&self.state);
            let known = state.anew.entry(incarnation).or_default();
            let before = known.clone();
            windows.iter().for_each(|window| spans::join(known, *window));
            if *known == before {
                return;
            }
            known.clone()
        };
        self.note_anew(stream, incarnation, &all);
    }

    fn note_anew(&self, stream: StreamId, incarnation: u64, gone: &[Window]) {
        let windows: Vec<_> = gone.iter().map(|window| [window.from, window.to]).collect();
        let body = json!({ "stream": stream, "incarnation": format!("{incarnation:016x}"), "windows_us": windows });
        if let Err(error) = self.notebook.note_durably(self.world.now(), "ledger.anew", body) {
            tracing::error!(%stream, error, "it is not in the journal that a time is recorded again of which footage was removed");
        }
    }

    /// What of a segment's footage at that time was not erased by order, nor, if its own term was over at `over`, went at the end of a
    /// term since then.
    pub(super) fn left_of(&self, stream: StreamId, incarnation: u64, window: Window, over: Option<UtcMicros>) -> Vec<Window> {
        let state = lock(&self.state);
        let middle = window.from + window.duration() / 2;
        let before = state.anew.get(&incarnation).is_some_and(|gone| gone.iter().any(|gone| gone.contains(middle)));
        match state.streams.get(&stream).filter(|_| !before) {
            // What was recorded twice, as the clock had been set back, may be named by an order once and not the other time.
            Some(story) => story.left_of(window, over, state.custody.orders_gone(stream, window)),
            None => vec![window],
        }
    }

    /// The same of what stood in a stretch that nobody can read any more, and erasures alone: some of it may be another's time, and some not.
    pub(super) fn left_of_stretch(&self, stream: StreamId, incarnation: u64, window: Window) -> Vec<Window> {
        let state = lock(&self.state);
        let mut left = match state.streams.get(&stream) {
            Some(story) => story.left_of(window, None, true),
            None => vec![window],
        };
        let others = state.anew.get(&incarnation).into_iter().flatten().map(|others| others.intersect(window));
        others.filter(|others| !others.is_empty()).for_each(|others| spans::join(&mut left, others));
        left
    }

    /// Whether a segment is past its term, and its file need not know it yet.
    pub(super) fn is_expired(&self, incarnation: u64) -> bool {
        lock(&self.state).expired.contains(&incarnation)
    }

    /// A file says durably that what it held is gone.
    pub(super) fn freed(&self, incarnation: u64) {
        let mut state = lock(&self.state);
        state.expired.remove(&incarnation);
        state.anew.remove(&incarnation);
    }

    /// Keeps holds and orders as they are while the guard lives. Taken before any other lock.
    pub(super) fn still(&self) -> MutexGuard<'_, ()> {
        lock(&self.acting)
    }

    /// Looks at the holds and orders.
    pub(super) fn custody<T>(&self, look: impl FnOnce(&Custody) -> T) -> T {
        look(&lock(&self.state).custody)
    }

    /// Takes a step of a hold or an order, if it may be taken: it is durable on return (C3).
    pub(super) fn act(&self, _still: &MutexGuard<'_, ()>, act: &Act) -> Result<(), CustodyError> {
        // In the state first, as with every fact: a checkpoint made meanwhile claims to know all that the journal does.
        let (before, cameras) = {
            let mut state = lock(&self.state);
            state.custody.check(act)?;
            let before = state.custody.clone();
            state.custody.apply(act);
            (before, state.custody.cameras_of(act))
        };
        self.notebook.note_durably(self.world.now(), act.kind(), act.body(&cameras)).map_err(|error| {
            lock(&self.state).custody = before;
            CustodyError::Journal(error)
        })
    }

    /// Counts what one volume did for an order; `done` when it has nothing left to do. Gives the sum once all of `volumes` are done.
    pub(super) fn erasing(&self, order: u64, volume: u16, erased: Erased, done: bool, volumes: &[u16]) -> Option<Erased> {
        let mut state = lock(&self.state);
        let progress = state.erasing.entry(order).or_default();
        progress.erased.add(erased);
        if done {
            progress.volumes.insert(volume);
        }
        volumes.iter().all(|volume| progress.volumes.contains(volume)).then_some(progress.erased)
    }

    /// Whether a volume has nothing left to do for an order, in this run.
    pub(super) fn is_erased_on(&self, order: u64, volume: u16) -> bool {
        lock(&self.state).erasing.get(&order).is_some_and(|progress| progress.volumes.contains(&volume))
    }

    /// A fact about the store itself, for the journal alone.
    pub(super) fn note(&self, kind: &'static str, body: Value) {
        self.notebook.note(self.world.now(), kind, body);
    }

    /// As [`Ledger::note`], and waits until it, and every fact noted before it, is durable.
    pub(super) fn note_durably(&self, kind: &'static str, body: Value) -> Result<(), String> {
        self.notebook.note_durably(self.world.now(), kind, body)
    }

    /// The last sign of life of an earlier run: of its marks, its checkpoints, and, were all of that lost, the newest fact that it wrote
    /// down about anything.
    pub(super) fn last_alive(&self) -> Option<UtcMicros> {
        let state = lock(&self.state);
        let marks = state.streams.values().filter_map(|story| story.marks.last()).map(|mark| mark.at);
        marks.chain(state.alive).chain(self.notebook.inherited_at()).max()
    }

    /// Calls `tell` with a stream's story and the restarts.
    pub(super) fn with<T>(&self, stream: StreamId, tell: impl FnOnce(&Story, &[Window]) -> T) -> T {
        let state = lock(&self.state);
        match state.streams.get(&stream) {
            Some(story) => tell(story, &state.restarts),
            None => tell(&Story::default(), &state.restarts),
        }
    }

    /// Saves the state, so that the next start need not read the whole journal. What is older than `horizon` is forgotten.
    pub(super) fn checkpoint(&self, now: UtcMicros, believed: bool, horizon: UtcMicros) -> std::io::Result<()> {
        // Facts up to this one are in the state: they are put there before they are noted.
        let seq = self.notebook.newest();
        let bytes = {
            let mut state = lock(&self.state);
            state.seq = seq;
            state.alive = Some(now);
            if believed {
                state.believed = Some(now);
            }
            state.streams.values_mut().for_each(|story| story.forget(horizon));
            state.restarts.retain(|restart| restart.to >= horizon);
            state.ends.retain(|end| end.to >= horizon);
            state.forget_others(horizon);
            durable::with_checksum(&serde_json::to_vec(&*state)?)
        };
        let new = self.file.with_extension("new");
        let mut file = std::fs::File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, &self.file)?;
        std::fs::File::open(self.file.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}
