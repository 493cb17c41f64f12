//! The ledger: for each stream, every second is recorded or a gap with a cause (I2, I3). What is recorded stands in the segments;
//! this keeps the other half: marks, losses, restarts and removals. They are facts in the node's journal; a checkpoint in
//! the state directory saves reading all of it at start.

mod tile;

pub(super) use tile::{Facts, merge, tile};

use super::{spans, volume::lock, world::World};
use crate::{
    journal::{Journal, Record, Seq},
    model::{GapCause, StreamId, UtcMicros, Window},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

/// Where the store's facts are kept: the node's journal, or memory in a test.
pub(super) trait Notebook: Send + Sync {
    /// Writes a fact down, soon and durably, without waiting for it.
    fn note(&self, at: UtcMicros, kind: &'static str, body: Value);
    /// The number of the newest fact; 0 if there is none.
    fn newest(&self) -> u64;
    /// When the newest fact of an earlier run was written down; `None` if there was no earlier run.
    fn inherited_at(&self) -> Option<UtcMicros>;
    /// Facts numbered above `after`, oldest first, at most `limit`: number, kind, body. Facts of other kinds than `ledger.*`
    /// may be among them.
    fn after(&self, after: u64, limit: usize) -> Vec<(u64, String, Value)>;
}

impl Notebook for Journal {
    fn note(&self, at: UtcMicros, kind: &'static str, body: Value) {
        self.append_then(Record::new(at, kind, body), move |result| {
            if let Err(error) = result {
                tracing::error!(kind, %error, "a fact of the footage store is not in the journal");
            }
        });
    }

    fn newest(&self) -> u64 {
        self.tail().get()
    }

    fn inherited_at(&self) -> Option<UtcMicros> {
        let last = self.read(self.inherited(), 1).unwrap_or_default();
        last.first().filter(|entry| entry.seq == self.inherited()).map(|entry| entry.at)
    }

    fn after(&self, after: u64, limit: usize) -> Vec<(u64, String, Value)> {
        let entries = self.read(Seq::new(after + 1), limit).unwrap_or_else(|error| {
            tracing::error!(%error, "the journal cannot be read, gaps of earlier runs may have no cause");
            Vec::new()
        });
        entries.into_iter().map(|entry| (entry.seq.get(), entry.kind, entry.body)).collect()
    }
}

/// From an instant on, whatever is not recorded is missing for this cause.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) at: UtcMicros,
    pub(super) cause: GapCause,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) detail: String,
}

/// A definite loss.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Loss {
    pub(super) window: Window,
    pub(super) cause: GapCause,
    pub(super) units: u32,
}

/// What is known about a stream's time beside what is recorded.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub(super) struct Story {
    /// By instant.
    pub(super) marks: Vec<Mark>,
    /// By start.
    pub(super) losses: Vec<Loss>,
    /// What expired: merged, by start.
    pub(super) removed: Vec<Window>,
    /// The longest loss: how far back a search must look.
    #[serde(default)]
    longest: Duration,
}

/// Details are for people: this much of one is kept.
const DETAIL: usize = 200;

impl Story {
    /// `newest` is where the newest recorded picture ends: the same cause again while nothing was recorded since says nothing new.
    fn mark(&mut self, mark: Mark, newest: Option<UtcMicros>) -> bool {
        let at = self.marks.partition_point(|other| other.at <= mark.at);
        let before = at.checked_sub(1).map(|before| &self.marks[before]);
        let again = |before: &Mark| before.cause == mark.cause && before.detail == mark.detail;
        let same_hole = |before: &Mark| before.at == mark.at || newest.is_some_and(|newest| before.at >= newest);
        if before.is_some_and(|before| again(before) && same_hole(before)) {
            return false;
        }
        self.marks.insert(at, mark);
        true
    }

    fn lose(&mut self, loss: Loss) {
        self.longest = self.longest.max(loss.window.duration());
        let at = self.losses.partition_point(|other| other.window.from <= loss.window.from);
        match at.checked_sub(1).map(|before| &mut self.losses[before]) {
            // A run of losses is one: what is shed is shed second by second.
            Some(before) if before.cause == loss.cause && loss.window.from <= before.window.to + spans::JOIN => {
                before.window.to = before.window.to.max(loss.window.to);
                before.units = before.units.saturating_add(loss.units);
                self.longest = self.longest.max(before.window.duration());
            }
            _ => self.losses.insert(at, loss),
        }
    }

    pub(super) fn losses_in(&self, window: Window) -> impl Iterator<Item = &Loss> {
        let first = self.losses.partition_point(|loss| loss.window.from < window.from - self.longest);
        self.losses[first..]
            .iter()
            .take_while(move |loss| loss.window.from < window.to)
            .filter(move |loss| loss.window.overlaps(window))
    }

    pub(super) fn removed_in(&self, window: Window) -> impl Iterator<Item = Window> + '_ {
        let first = self.removed.partition_point(|gone| gone.to <= window.from);
        self.removed[first..].iter().copied().take_while(move |gone| gone.from < window.to)
    }

    /// Forgets what lies wholly before `horizon`, except the last mark, which may still speak for what follows.
    fn forget(&mut self, horizon: UtcMicros) {
        let marks = self.marks.partition_point(|mark| mark.at < horizon).saturating_sub(1);
        self.marks.drain(..marks);
        self.losses.retain(|loss| loss.window.to >= horizon);
        // Long after it all expired, where its gaps were matters to nobody; that it was there does.
        let old = self.removed.partition_point(|gone| gone.to < horizon);
        if let (2.., Some(first)) = (old, self.removed.first()) {
            let whole = Window::new(first.from, self.removed[old - 1].to);
            self.removed.splice(..old, [whole]);
        }
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct State {
    /// The journal's number up to which this is complete.
    seq: u64,
    /// The last sign of life: where a restart's gap begins.
    alive: Option<UtcMicros>,
    streams: HashMap<StreamId, Story>,
    restarts: Vec<Window>,
}

/// See the module.
pub(super) struct Ledger {
    state: Mutex<State>,
    notebook: Arc<dyn Notebook>,
    world: Arc<dyn World>,
    file: PathBuf,
}

const PAGE: usize = 4096;

impl Ledger {
    /// Reads the checkpoint in `state_dir`, if there is a whole one, and what the journal holds beyond it.
    pub(super) fn open(state_dir: &Path, notebook: Arc<dyn Notebook>, world: Arc<dyn World>) -> Self {
        let file = state_dir.join("ledger.json");
        let mut state: State = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(file = %file.display(), %error, "ledger checkpoint unreadable, reading the journal instead");
                State::default()
            }),
            Err(_) => State::default(),
        };
        if state.seq > notebook.newest() {
            // Another journal than this checkpoint was made from.
            state = State::default();
        }
        loop {
            let facts = notebook.after(state.seq, PAGE);
            let Some((last, ..)) = facts.last() else { break };
            state.seq = *last;
            facts.iter().for_each(|(_, kind, body)| state.apply(kind, body));
        }
        Self { state: Mutex::new(state), notebook, world, file }
    }

    pub(super) fn mark(&self, stream: StreamId, at: UtcMicros, cause: GapCause, detail: &str, newest: Option<UtcMicros>) {
        let detail: String = detail.chars().take(DETAIL).collect();
        let body = json!({ "stream": stream, "at_us": at, "cause": cause, "detail": detail });
        if lock(&self.state).streams.entry(stream).or_default().mark(Mark { at, cause, detail }, newest) {
            self.notebook.note(self.world.now(), "ledger.mark", body);
        }
    }

    pub(super) fn lose(&self, stream: StreamId, window: Window, cause: GapCause, units: u32) {
        if window.is_empty() {
            return;
        }
        lock(&self.state).streams.entry(stream).or_default().lose(Loss { window, cause, units });
        let body = json!({ "stream": stream, "from_us": window.from, "to_us": window.to, "cause": cause, "units": units });
        self.notebook.note(self.world.now(), "ledger.loss", body);
    }

    /// Notes that the node was not running in `window`.
    pub(super) fn restarted(&self, window: Window) {
        if window.is_empty() {
            return;
        }
        lock(&self.state).restarts.push(window);
        self.notebook.note(self.world.now(), "ledger.restart", json!({ "from_us": window.from, "to_us": window.to }));
    }

    /// Notes that the retention rule removed recorded time.
    pub(super) fn expired(&self, stream: StreamId, gone: &[Window]) {
        {
            let mut state = lock(&self.state);
            let story = state.streams.entry(stream).or_default();
            gone.iter().for_each(|window| spans::join(&mut story.removed, *window));
        }
        let windows: Vec<_> = gone.iter().map(|window| [window.from, window.to]).collect();
        self.notebook.note(self.world.now(), "ledger.expired", json!({ "stream": stream, "windows_us": windows }));
    }

    /// A fact about the store itself, for the journal alone.
    pub(super) fn note(&self, kind: &'static str, body: Value) {
        self.notebook.note(self.world.now(), kind, body);
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
    pub(super) fn checkpoint(&self, now: UtcMicros, horizon: UtcMicros) -> std::io::Result<()> {
        // Facts up to this one are in the state: they are put there before they are noted.
        let seq = self.notebook.newest();
        let bytes = {
            let mut state = lock(&self.state);
            state.seq = seq;
            state.alive = Some(now);
            state.streams.values_mut().for_each(|story| story.forget(horizon));
            state.restarts.retain(|restart| restart.to >= horizon);
            serde_json::to_vec(&*state)?
        };
        let new = self.file.with_extension("new");
        let mut file = std::fs::File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, &self.file)?;
        std::fs::File::open(self.file.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl State {
    /// Takes in a fact of the journal. Facts may come twice: after a crash the checkpoint may know them already.
    fn apply(&mut self, kind: &str, body: &Value) {
        let field = |name: &str| body.get(name).and_then(Value::as_i64).map(UtcMicros::from_micros);
        let window = || Some(Window::new(field("from_us")?, field("to_us")?));
        let stream = || body.get("stream")?.as_str()?.parse::<StreamId>().ok();
        let cause = || serde_json::from_value::<GapCause>(body.get("cause")?.clone()).ok();
        match kind {
            "ledger.mark" => {
                if let (Some(stream), Some(at), Some(cause)) = (stream(), field("at_us"), cause()) {
                    let detail = body.get("detail").and_then(Value::as_str).unwrap_or_default().to_owned();
                    self.streams.entry(stream).or_default().mark(Mark { at, cause, detail }, None);
                }
            }
            "ledger.loss" => {
                if let (Some(stream), Some(window), Some(cause)) = (stream(), window(), cause()) {
                    let units = body.get("units").and_then(Value::as_u64).unwrap_or(0) as u32;
                    let story = self.streams.entry(stream).or_default();
                    let known = story.losses_in(window).any(|loss| loss.cause == cause && loss.window.covers(window));
                    if !known {
                        story.lose(Loss { window, cause, units });
                    }
                }
            }
            "ledger.restart" => self.restarts.extend(window().filter(|window| !self.restarts.contains(window))),
            "ledger.expired" => {
                if let (Some(stream), Some(windows)) = (stream(), body.get("windows_us").and_then(Value::as_array)) {
                    let story = self.streams.entry(stream).or_default();
                    for window in windows {
                        let instant = |i: usize| window.get(i).and_then(Value::as_i64).map(UtcMicros::from_micros);
                        if let (Some(from), Some(to)) = (instant(0), instant(1)) {
                            spans::join(&mut story.removed, Window::new(from, to));
                        }
                    }
                }
            }
            _ => {}
        }
    }
}
