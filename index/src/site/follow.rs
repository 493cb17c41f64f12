//! The thread that reads the copies for cameras, and the file that spares a start most of that reading.

use super::Paths;
use super::told::Told;
use super::view::{Clash, Part, View};
use crate::durable::{self, FileError};
use crate::events::Kind;
use crate::journal::{Copies, History, Journal, JournalCopy, JournalError, Record, Seq};
use crate::model::{CameraId, NodeId, UtcMicros};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Records of one copy that are read before the next has its turn.
const BATCH: u64 = 20_000;
/// How long the thread waits for copies to grow before it looks whether it should end, and whether nodes are called otherwise.
const PATIENCE: Duration = Duration::from_millis(250);
/// The shortest time between two looks.
const PACE: Duration = Duration::from_millis(40);
/// How often it is asked where nodes stand.
const NAMES_EVERY: Duration = Duration::from_secs(1);
/// How often the file is renewed: it only spares reading.
const KEEP_EVERY: Duration = Duration::from_secs(300);
/// A copy that does not read back is tried again so much later.
const STUCK: Duration = Duration::from_secs(30);
/// Clashes that events are written for; a tree with more of them has one cause.
const MAX_CLASHES_TOLD: usize = 1000;
const VERSION: u32 = 1;

/// Called after each change.
pub(super) type Changed = Box<dyn Fn() + Send + Sync>;

/// What the thread and everybody else see.
pub(super) struct Shared {
    view: RwLock<Arc<View>>,
    stop: AtomicBool,
}

impl Shared {
    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// What one copy says, and how far it was read.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
struct Read {
    begun: u32,
    seq: Seq,
    told: Told,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    /// The node whose file it is.
    node: NodeId,
    /// How far its own journal was read for clashes.
    seq: Seq,
    /// The clashes that stand in it, by number.
    clashes: Vec<(CameraId, NodeId)>,
    copies: Vec<(NodeId, Read)>,
}

/// Reads on what a history says of its node's cameras, after a record and up to another. Returns whether anything shown changed.
///
/// # Errors
/// If it does not read back; what was read before that is in.
pub(crate) fn read_on(told: &mut Told, history: &dyn History, after: Seq, to: Seq) -> Result<bool, JournalError> {
    let mut changed = false;
    if to > after {
        history.visit(after.next(), to, &mut |seen| {
            changed |= seen.kind.starts_with("camera") && told.take(seen);
            ControlFlow::Continue(())
        })?;
    }
    Ok(changed)
}

fn read_kept(file: &Path) -> Option<Kept> {
    let kept = durable::read(file).ok()??;
    serde_json::from_slice::<Kept>(&kept).ok().filter(|kept| kept.version == VERSION)
}

/// What a room keeps of its own journal.
pub(super) fn kept_of_room(file: &Path, journal: &Journal) -> (Told, Seq) {
    let kept = read_kept(file).filter(|kept| kept.node == journal.node());
    let own = kept.into_iter().flat_map(|kept| kept.copies).find(|(node, _)| *node == journal.node());
    own.map(|(_, read)| (read.told, read.seq)).filter(|(_, seq)| *seq <= journal.tail()).unwrap_or_default()
}

pub(super) fn keep_of_room(file: &Path, node: NodeId, seq: Seq, told: &Told) {
    let read = Read { begun: 0, seq, told: told.clone() };
    write_kept(file, &Kept { version: VERSION, node, seq, clashes: Vec::new(), copies: vec![(node, read)] });
}

fn write_kept(file: &Path, kept: &Kept) {
    let written = durable::replace(file, &serde_json::to_vec(kept).unwrap_or_default(), 0o600);
    if let Err(error) = written {
        tracing::warn!(%error, "the list of cameras could not be kept; the next start reads more of the journals");
    }
}

/// Reads what was kept and starts to follow.
pub(super) fn start(
    file: &Path,
    journal: Arc<Journal>,
    copies: Arc<Copies>,
    paths: Paths,
    changed: Changed,
) -> Result<(Arc<Shared>, JoinHandle<()>), FileError> {
    let kept = read_kept(file).filter(|kept| kept.node == journal.node() && kept.seq <= journal.tail());
    let (seq, clashes, read) = kept
        .map_or_else(Default::default, |kept| (kept.seq, kept.clashes.into_iter().collect(), kept.copies.into_iter().collect()));
    let shared = Arc::new(Shared { view: RwLock::default(), stop: AtomicBool::new(false) });
    let mut follower = Follower {
        shared: Arc::clone(&shared),
        journal,
        copies,
        known: paths(),
        asked: Instant::now(),
        paths,
        changed,
        file: file.to_owned(),
        read,
        parts: BTreeMap::new(),
        stuck: BTreeMap::new(),
        told_clashes: clashes,
        own: seq,
        kept: Instant::now(),
    };
    // What was kept is shown at once: a start never shows an empty tree where there was one.
    follower.show(&BTreeSet::new());
    let thread = std::thread::Builder::new().name("site".into()).spawn(move || follower.run());
    let thread = thread.map_err(|source| FileError { doing: "start the thread of", path: file.to_owned(), source })?;
    Ok((shared, thread))
}

struct Follower {
    shared: Arc<Shared>,
    journal: Arc<Journal>,
    copies: Arc<Copies>,
    paths: Paths,
    /// Where nodes stand, as they were last asked for, and when.
    known: BTreeMap<NodeId, Vec<String>>,
    asked: Instant,
    changed: Changed,
    file: PathBuf,
    read: BTreeMap<NodeId, Read>,
    parts: BTreeMap<NodeId, Part>,
    stuck: BTreeMap<NodeId, Instant>,
    /// Clashes that the own journal tells of: the number, and who uses it too.
    told_clashes: BTreeSet<(CameraId, NodeId)>,
    own: Seq,
    kept: Instant,
}

impl Follower {
    fn run(&mut self) {
        self.learn_told_clashes();
        loop {
            let heard = self.copies.bell().count();
            let (changed, more) = self.look();
            self.show(&changed);
            if self.shared.stop.load(Ordering::Acquire) {
                break;
            }
            if !more {
                self.tell_clashes();
                self.copies.bell().wait_beyond(heard, PATIENCE);
                // Copies grow many times a second; cameras do not.
                std::thread::sleep(PACE);
            }
            if self.kept.elapsed() >= KEEP_EVERY {
                self.keep();
            }
        }
        self.keep();
    }

    /// Reads some of each copy that has more. Returns whose cameras changed, and whether there is more to read.
    fn look(&mut self) -> (BTreeSet<NodeId>, bool) {
        let mut changed = BTreeSet::new();
        let mut more = false;
        for copy in self.copies.list() {
            let node = History::node(&*copy);
            if self.stuck.get(&node).is_some_and(|until| *until > Instant::now()) {
                continue;
            }
            self.stuck.remove(&node);
            match self.look_at(node, &copy) {
                Ok((something, rest)) => {
                    more |= rest;
                    if something {
                        changed.insert(node);
                    }
                }
                Err(error) => {
                    tracing::error!(%node, %error, "a copy does not read back for its cameras; they stay as they were");
                    self.stuck.insert(node, Instant::now() + STUCK);
                }
            }
        }
        (changed, more)
    }

    fn look_at(&mut self, node: NodeId, copy: &JournalCopy) -> Result<(bool, bool), JournalError> {
        let tail = copy.head().0;
        let read = self.read.entry(node).or_default();
        let mut changed = false;
        if read.begun != copy.begun_anew() || read.seq > tail {
            *read = Read { begun: copy.begun_anew(), ..Read::default() };
            changed = true;
        }
        let to = tail.min(Seq::new(read.seq.get().saturating_add(BATCH)));
        changed |= read_on(&mut read.told, copy, read.seq, to)?;
        read.seq = to.max(read.seq);
        Ok((changed, read.seq < tail))
    }

    /// Puts the tree together anew if any cameras changed, or where a node stands.
    fn show(&mut self, changed: &BTreeSet<NodeId>) {
        let mut anew = false;
        if self.asked.elapsed() >= NAMES_EVERY {
            (self.known, self.asked) = ((self.paths)(), Instant::now());
        }
        for (node, read) in &self.read {
            let path = self.known.get(node).cloned().unwrap_or_else(|| vec![node.to_string()]);
            if changed.contains(node) || self.parts.get(node).is_none_or(|part| part.path() != path) {
                self.parts.insert(*node, Part::of(*node, &read.told, &path));
                anew = true;
            }
        }
        if anew {
            let view = Arc::new(View::of(&self.parts));
            *self.shared.view.write().unwrap_or_else(PoisonError::into_inner) = view;
            (self.changed)();
        }
    }

    /// Writes an event for each clash that none was written for.
    fn tell_clashes(&mut self) {
        let view = self.shared.view();
        for Clash { camera, owner, others } in view.clashes() {
            for other in others {
                if self.told_clashes.len() >= MAX_CLASHES_TOLD || !self.told_clashes.insert((*camera, *other)) {
                    continue;
                }
                let name = |node: NodeId| view.path(node).map(|path| path.join(" / ")).unwrap_or_else(|| node.to_string());
                let (first, second) = (name(*owner), name(*other));
                let body = json!({
                    "number": camera, "owner": owner, "other": other,
                    "text": {
                        "zh": format!("编号 {camera} 同时被 {first} 和 {second} 使用；这里只认前者，请修改后者的编号"),
                        "en": format!("Number {camera} is used by {first} and by {second}; here it means the former: renumber the latter"),
                    },
                });
                drop(self.journal.append(Record::new(UtcMicros::now(), Kind::CameraClash.word(), body)));
            }
        }
    }

    fn learn_told_clashes(&mut self) {
        #[derive(Deserialize)]
        struct Told {
            number: CameraId,
            other: NodeId,
        }
        let tail = self.journal.tail();
        let clashes = &mut self.told_clashes;
        let read = self.journal.visit(self.own.next(), tail, |seen| {
            if seen.kind == Kind::CameraClash.word()
                && let Ok(Told { number, other }) = serde_json::from_slice(seen.body)
            {
                clashes.insert((number, other));
            }
            ControlFlow::Continue(())
        });
        match read {
            Ok(()) => self.own = tail,
            Err(error) => tracing::error!(%error, "the journal does not read back; a clash of numbers may be told twice"),
        }
    }

    fn keep(&mut self) {
        self.kept = Instant::now();
        let copies = self.read.iter().map(|(node, read)| (*node, read.clone())).collect();
        let clashes = self.told_clashes.iter().copied().collect();
        // The clashes told since are in the set: from here on none is read twice.
        write_kept(&self.file, &Kept { version: VERSION, node: self.journal.node(), seq: self.own, clashes, copies });
    }
}
