//! What must be true: who was told what, and what the store answers to that. Knows nothing of files, except where it asks whether
//! a loss is the fault of the disk.

use super::{
    cameras::{SECOND, Sent},
    decided::Decided,
};
use crate::{
    access::Extent,
    footage::{
        FragmentRef, IntervalState, ReadError, Reader, RetentionTerms, SegmentName, Store,
        disk::sim::SimDisk,
        format::{BLOCK, HEAD_COPY, RECORD_HEADER},
        spans,
        volume::segment_name,
    },
    model::{GapCause, StreamId, UtcMicros, Window},
};
use rand::{RngExt as _, rngs::SmallRng};
use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

/// A fragment's name: nothing is sent twice at the same instant.
pub(super) type Name = (StreamId, UtcMicros);

/// What one seed's run came to.
#[derive(Clone, Default, Debug)]
pub(super) struct Outcome {
    pub(super) crashes: u32,
    /// Fragments announced, and their bytes.
    pub(super) acknowledged: u64,
    pub(super) bytes: u64,
    pub(super) lost_bytes: u64,
    pub(super) wrong_frames: u64,
    pub(super) unexplained_s: f64,
    /// Footage lost by a crash, per stream: in crashes where no disk had misbehaved, and in all.
    pub(super) lost_s: f64,
    pub(super) lost_after_faults_s: f64,
    pub(super) queries: u64,
    /// Acts of people about holds and erasures, and orders of erasure that were carried out.
    pub(super) decisions: u64,
    pub(super) erasures: u64,
    /// What is wrong, in words; the first few.
    pub(super) faults: Vec<String>,
    /// A digest of all that the disks were asked to do.
    pub(super) trace: u64,
}

impl Outcome {
    /// Adds what another run came to.
    pub(super) fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.acknowledged += other.acknowledged;
        self.bytes += other.bytes;
        self.lost_bytes += other.lost_bytes;
        self.wrong_frames += other.wrong_frames;
        self.unexplained_s += other.unexplained_s;
        self.queries += other.queries;
        self.decisions += other.decisions;
        self.erasures += other.erasures;
        self.lost_s = self.lost_s.max(other.lost_s);
        self.lost_after_faults_s = self.lost_after_faults_s.max(other.lost_after_faults_s);
    }

    /// Something is wrong.
    pub(super) fn fault(&mut self, text: String) {
        if self.faults.len() < 8 {
            if std::env::var_os("HAOHE_SEED").is_some() {
                println!("WRONG: {text}");
            }
            self.faults.push(text);
        }
    }
}

/// Where a fragment was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    segment: SegmentName,
    offset: u64,
    length: u32,
}

impl Place {
    fn of(fragment: &FragmentRef) -> Self {
        Self { segment: fragment.segment, offset: fragment.offset, length: fragment.length }
    }
}

/// Why something may be gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Gone {
    ByRule,
    ByOrder,
    /// Its term was over, and an order names it: whichever came first.
    Either,
}

/// See the module.
#[derive(Default)]
pub(super) struct Model {
    pub(super) sent: BTreeMap<Name, Sent>,
    acknowledged: BTreeMap<Name, Option<Place>>,
    /// Announced, and nobody has looked yet where it is.
    unlocated: Vec<Name>,
    /// What may be gone, and is.
    gone: BTreeMap<Name, Gone>,
    pub(super) decided: Decided,
    /// What a disk's own fault took: nothing is asked of these any more.
    excused: BTreeSet<Name>,
    /// Whether a disk changed bytes by itself: then footage may be damaged, and the ledger need not know it yet.
    pub(super) tainted: bool,
    pub(super) terms: RetentionTerms,
    /// Up to where terms may be counted: the clock, had nobody set it by hours.
    pub(super) trusted: UtcMicros,
    /// The latest that it was since everything was compared: what went meanwhile may have been due then.
    latest: UtcMicros,
    /// Where each stream's story begins.
    pub(super) begun: BTreeMap<StreamId, UtcMicros>,
    /// What was compared of each stream.
    compared: BTreeMap<StreamId, Compared>,
}

/// What was compared of a stream. Most of it is the same the next time, and what was right is right still.
#[derive(Default)]
struct Compared {
    /// What was there.
    fragments: Vec<FragmentRef>,
    /// Counts what people had decided until then.
    decided: u64,
    /// Whether also what was missing was looked for.
    whole: bool,
    /// What was announced since.
    announced: Vec<UtcMicros>,
}

impl Compared {
    /// Whether nothing happened since but that these were added: everything else, and what is missing, is as it was.
    fn goes_on_in<'a>(&self, fragments: &'a [FragmentRef], decided: u64) -> Option<&'a [FragmentRef]> {
        let added = fragments.strip_prefix(self.fragments.as_slice())?;
        let there = |utc: &UtcMicros| added.iter().any(|fragment| fragment.window.from == *utc);
        (self.whole && self.decided == decided && self.announced.iter().all(there)).then_some(added)
    }
}

impl Model {
    pub(super) fn new(terms: RetentionTerms, trusted: UtcMicros) -> Self {
        Self { terms, trusted, latest: trusted, ..Self::default() }
    }

    /// What the clock would say had nobody set it by hours.
    pub(super) fn trust(&mut self, now: UtcMicros) {
        self.trusted = now;
        self.latest = self.latest.max(now);
    }

    pub(super) fn announced(&mut self, name: Name) {
        if let Entry::Vacant(fresh) = self.acknowledged.entry(name) {
            fresh.insert(None);
            self.unlocated.push(name);
            self.compared.entry(name.0).or_default().announced.push(name.1);
        }
    }

    /// Where the newest announced fragment of a stream's present run ends.
    pub(super) fn end_of(&self, stream: StreamId, from: UtcMicros, to: UtcMicros) -> Option<UtcMicros> {
        self.acknowledged.range((stream, from)..(stream, to)).next_back().map(|((_, utc), _)| *utc + SECOND)
    }

    /// Finds out where announced fragments are.
    pub(super) fn locate(&mut self, store: &Store) {
        let reader = self.reader(store);
        self.unlocated.retain(|(stream, utc)| {
            let Some(place) = self.acknowledged.get_mut(&(*stream, *utc)).filter(|place| place.is_none()) else { return false };
            let found = reader.fragments(*stream, Window::new(*utc, *utc + SECOND));
            *place = found.iter().find(|fragment| fragment.window.from == *utc).map(Place::of);
            place.is_none()
        });
    }

    pub(super) fn reader(&self, store: &Store) -> Reader {
        let streams: Vec<StreamId> = self.begun.keys().copied().collect();
        Reader::new(Arc::clone(&store.shared), Arc::clone(&store.cache), Extent::recorded(streams, Window::ALL))
    }

    /// Compares everything: each announced fragment is there, and whatever is there was sent. `whole` reads every byte.
    pub(super) fn check(&mut self, store: &Store, disks: &[SimDisk], whole: bool, what: &str, outcome: &mut Outcome) {
        let reader = self.reader(store);
        let (recovered, decided) = (store.is_recovered(), self.decided.changes());
        for stream in self.begun.keys().copied().collect::<Vec<_>>() {
            let fragments = reader.fragments(stream, Window::ALL);
            let before = self.compared.remove(&stream).unwrap_or_default();
            let added = before.goes_on_in(&fragments, decided).filter(|_| recovered && !whole);
            for fragment in added.unwrap_or(&fragments) {
                self.compare(fragment, whole.then_some(&reader), disks, what, outcome);
            }
            if recovered && added.is_none() {
                let found = fragments.iter().map(|fragment| (stream, fragment.window.from)).collect();
                self.missing(stream, &found, disks, what, outcome);
            }
            self.compared.insert(stream, Compared { fragments, decided, whole: recovered, announced: Vec::new() });
        }
        if recovered {
            self.latest = self.trusted;
        }
    }

    /// Compares a fragment that is there with what was sent, its bytes too where there is a `reader` for them.
    fn compare(&mut self, fragment: &FragmentRef, reader: Option<&Reader>, disks: &[SimDisk], what: &str, outcome: &mut Outcome) {
        let name = (fragment.stream, fragment.window.from);
        let Some(sent) = self.sent.get(&name) else {
            outcome.wrong_frames += 5;
            outcome.fault(format!("{what}: a phantom at {name:?}"));
            return;
        };
        if let Some(why) = self.gone.get(&name).copied() {
            // A copy that a disk refused and kept all the same was still there when the hold was asked for: it is held.
            if why != Gone::ByOrder && self.decided.protects(name.0, sent.window()) {
                self.gone.remove(&name);
                return;
            }
            outcome.wrong_frames += 5;
            outcome.fault(format!("{what}: {name:?} was removed ({why:?}) and is there again"));
        }
        if let Some(order) = self.decided.erased_by(sent) {
            outcome.wrong_frames += 5;
            outcome.fault(format!("{what}: {name:?} is there although order {order} was carried out"));
        }
        let place = Place::of(fragment);
        if let Some(known) = self.acknowledged.get_mut(&name) {
            *known = Some(place);
        }
        // A disk that reads the wrong place once reads the right one the next time.
        match reader.map(|reader| reader.fetch(fragment).or_else(|_| reader.fetch(fragment))) {
            None => {}
            Some(Ok(read)) if read.units() == sent.units() => {}
            Some(Ok(_)) => {
                outcome.wrong_frames += 5;
                outcome.fault(format!("{what}: {name:?} is not what was sent"));
            }
            Some(Err(error)) => self.unreadable(name, place, &error, disks, what, outcome),
        }
    }

    /// A listed fragment cannot be read: the disk's fault, or ours.
    fn unreadable(&mut self, name: Name, place: Place, error: &ReadError, disks: &[SimDisk], what: &str, outcome: &mut Outcome) {
        if spoiled(place, disks) {
            self.excused.insert(name);
            return;
        }
        let bytes = self.sent.get(&name).map_or(0, Sent::bytes);
        if self.acknowledged.contains_key(&name) && !self.excused.contains(&name) {
            outcome.lost_bytes += bytes;
        }
        outcome.fault(format!("{what}: {name:?} at {place:?} is listed and cannot be read: {error}"));
    }

    /// Announced fragments of a stream that are not there any more: removed by rule or order, taken by a disk's fault, or lost.
    fn missing(&mut self, stream: StreamId, found: &BTreeSet<Name>, disks: &[SimDisk], what: &str, outcome: &mut Outcome) {
        let all = (stream, UtcMicros::MIN)..=(stream, UtcMicros::MAX);
        let gone = self
            .acknowledged
            .range(all)
            .filter(|(name, _)| !found.contains(name) && !self.gone.contains_key(name) && !self.excused.contains(name));
        for (name, place) in gone.map(|(name, place)| (*name, *place)).collect::<Vec<_>>() {
            let Some(sent) = self.sent.get(&name) else { continue };
            if place.is_some_and(|place| spoiled(place, disks)) || (place.is_none() && self.tainted) {
                self.excused.insert(name);
                continue;
            }
            let held = self.decided.protects(stream, sent.window());
            let over = !held && sent.window().to < self.latest - self.terms.of(sent.class);
            let ordered = !held && self.decided.may_erase(stream, sent.window());
            let why = match (over, ordered) {
                (true, true) => Some(Gone::Either),
                (true, false) => Some(Gone::ByRule),
                (false, true) => Some(Gone::ByOrder),
                (false, false) => None,
            };
            if let Some(why) = why {
                self.gone.insert(name, why);
            } else {
                outcome.lost_bytes += sent.bytes();
                let (now, term) = (self.latest, self.terms.of(sent.class));
                let held = if held { ", it is held" } else { "" };
                outcome
                    .fault(format!("{what}: {name:?}, announced at {place:?}, is gone at {now:?}, its term is {term:?}{held}"));
                self.excused.insert(name);
            }
        }
    }

    /// What disks did to footage is remembered before anything else is written there.
    pub(super) fn excuse_spoiled(&mut self, disks: &[SimDisk]) {
        // Few files, if any: only of footage in them is it asked page by page.
        let files: Vec<_> = disks.iter().map(SimDisk::spoiled_files).collect();
        if files.iter().all(|files| files.as_ref().is_some_and(BTreeSet::is_empty)) {
            return;
        }
        let hit = |place: &Option<Place>| {
            place.is_some_and(|place| {
                let key = place.segment.0;
                let known = files.get(usize::from(key.volume)).and_then(Option::as_ref);
                known.is_none_or(|files| files.contains(&key.number)) && spoiled(place, disks)
            })
        };
        let taken = self.acknowledged.iter().filter(|(_, place)| hit(place)).map(|(name, _)| *name);
        self.excused.extend(taken.collect::<Vec<_>>());
    }

    /// A disk is gone for good, and what stood on it.
    pub(super) fn disk_died(&mut self, at: usize) {
        let on = |place: &Option<Place>| place.is_none_or(|place| usize::from(place.segment.0.volume) == at);
        let there = self.acknowledged.iter().filter(|(_, place)| on(place)).map(|(name, _)| *name);
        self.excused.extend(there.collect::<Vec<_>>());
        self.tainted = true;
    }

    /// Asks the store what an operator asks, at awkward edges, and compares the answers with each other and with what was sent.
    pub(super) fn ask(&mut self, store: &Store, random: &mut SmallRng, what: &str, outcome: &mut Outcome) {
        let reader = self.reader(store);
        for (stream, begun) in self.begun.clone() {
            let all = reader.fragments(stream, Window::ALL);
            let window = Self::window(&all, begun, store, random);
            outcome.queries += 3;
            let inside: Vec<_> = all.iter().filter(|fragment| fragment.window.overlaps(window)).collect();
            let answer = reader.fragments(stream, window);
            if answer.iter().collect::<Vec<_>>() != inside {
                outcome.wrong_frames += 5;
                outcome.fault(format!("{what}: {stream} in {window:?}: {} fragments for {}", answer.len(), inside.len()));
            }
            self.ask_for_key(&reader, stream, &all, window.from, what, outcome);
            if !self.tainted && store.is_recovered() {
                self.ask_for_coverage(store, stream, &all, window, what, outcome);
            }
        }
    }

    /// A window whose edges lie on, or a hair beside, those of fragments.
    pub(super) fn window(all: &[FragmentRef], begun: UtcMicros, store: &Store, random: &mut SmallRng) -> Window {
        let mut edge = || {
            let near = match all.len() {
                0 => begun,
                some => {
                    let window = all[random.random_range(0..some)].window;
                    if random.random() { window.from } else { window.to }
                }
            };
            let off = [0, 0, -1, 1, 200_000, -1500, 1500, 60_000_000][random.random_range(0..8)];
            UtcMicros::from_micros(near.as_micros() + off)
        };
        let (a, b) = (edge(), edge());
        let now = store.shared.world.now();
        let (from, to) = if a <= b { (a, b) } else { (b, a) };
        Window::new(from, if random.random_ratio(1, 4) { now.max(to) } else { to })
    }

    /// The key unit at or before an instant.
    fn ask_for_key(
        &self,
        reader: &Reader,
        stream: StreamId,
        all: &[FragmentRef],
        at: UtcMicros,
        what: &str,
        outcome: &mut Outcome,
    ) {
        let before = all.iter().filter(|fragment| fragment.window.from <= at);
        let expected = before.clone().filter(|fragment| fragment.starts_with_key).map(|fragment| fragment.window.from).max();
        match reader.key_unit(stream, at).or_else(|_| reader.key_unit(stream, at)) {
            Ok(Some((_, unit))) => {
                let sent = self.sent.get(&(stream, unit.utc));
                if !sent.is_some_and(|sent| sent.units()[0] == unit) {
                    outcome.wrong_frames += 1;
                    outcome.fault(format!("{what}: the key unit of {stream} at {at:?} is no unit that was sent"));
                } else if expected != Some(unit.utc) && !self.tainted {
                    outcome.wrong_frames += 1;
                    outcome.fault(format!("{what}: the key unit of {stream} before {at:?} is {:?}, not {expected:?}", unit.utc));
                }
            }
            // Those of the last minute are always looked at.
            Ok(None) => {
                let near = expected.is_some_and(|expected| at.since(expected) < Duration::from_secs(20));
                if near && !self.tainted {
                    outcome.fault(format!("{what}: no key unit of {stream} before {at:?}, there is one at {expected:?}"));
                }
            }
            Err(error) => {
                if !self.tainted {
                    outcome.fault(format!("{what}: key unit of {stream} at {at:?}: {error}"));
                }
            }
        }
    }

    /// Time is tiled: without overlap or hole, recorded where there is footage and only there, and every gap has a cause.
    fn ask_for_coverage(
        &self,
        store: &Store,
        stream: StreamId,
        all: &[FragmentRef],
        window: Window,
        what: &str,
        outcome: &mut Outcome,
    ) {
        let mut set = Vec::new();
        all.iter().for_each(|fragment| spans::join(&mut set, fragment.window));
        let mut edge = window.from;
        for tile in store.coverage(stream, window, Duration::ZERO) {
            if tile.window.from != edge || tile.window.is_empty() {
                outcome.fault(format!("{what}: {stream} in {window:?} is tiled {:?} after {edge:?}", tile.window));
            }
            edge = tile.window.to;
            let covered = set.iter().any(|span| span.covers(tile.window));
            let touched = set.iter().any(|span| span.overlaps(tile.window));
            let wrong = match &tile.state {
                IntervalState::Recorded => !covered,
                IntervalState::Gap { .. } => touched,
                IntervalState::Partial { .. } => !touched,
            };
            if wrong {
                outcome.fault(format!("{what}: {stream} in {window:?}: {tile:?}, footage {set:?}"));
            }
            if let IntervalState::Gap { cause, detail } = &tile.state {
                self.compare_cause(stream, tile.window, *cause, detail, what, outcome);
            }
            if let IntervalState::Gap { cause: GapCause::Unexplained, .. } = tile.state {
                outcome.unexplained_s += tile.window.duration().as_secs_f64();
                outcome.fault(format!("{what}: {stream}: nobody explains {:?}, asked for {window:?}", tile.window));
            }
        }
        // What waits for a disk that stands still is not known yet.
        let waits = store.shared.waiting(stream).is_some_and(|since| since < edge + SECOND);
        if edge < window.to && edge + Duration::from_secs(16) < store.shared.world.now().min(window.to) && !waits {
            outcome.fault(format!("{what}: {stream} in {window:?}: the answer ends at {edge:?}"));
        }
    }
}

impl Model {
    /// Time of which something was removed says so, and by what.
    fn compare_cause(&self, stream: StreamId, tile: Window, cause: GapCause, detail: &str, what: &str, outcome: &mut Outcome) {
        let around = (stream, tile.from - SECOND)..(stream, tile.to);
        for ((_, utc), why) in self.gone.range(around) {
            let middle = *utc + SECOND / 2;
            if !tile.contains(middle) {
                continue;
            }
            let beside = (stream, middle - SECOND)..(stream, middle);
            let alone = self.gone.range(beside).count() == 1;
            let right = match (cause, why) {
                (GapCause::Expired, Gone::ByOrder) | (GapCause::Erased, Gone::ByRule) => !alone,
                (GapCause::Expired, _) => detail.starts_with("deleted by rule "),
                (GapCause::Erased, _) => detail.starts_with("erased by order "),
                _ => false,
            };
            if !right {
                outcome.fault(format!(
                    "{what}: {stream} at {middle:?} went {why:?}, and is said to be missing for {cause:?} {detail}"
                ));
            }
        }
    }

    /// After an erasure: no picture that had to go stands where it stood.
    pub(super) fn check_erased(&self, disks: &[SimDisk], what: &str, outcome: &mut Outcome) {
        for (name, place) in &self.acknowledged {
            let (Some(place), Some(sent)) = (place, self.sent.get(name)) else { continue };
            if self.decided.erased_by(sent).is_none() || self.gone.get(name) != Some(&Gone::ByOrder) {
                continue;
            }
            let key = place.segment.0;
            let Some(disk) = disks.get(usize::from(key.volume)) else { continue };
            let payload = disk.peek(&segment_name(key.number), place.offset + RECORD_HEADER as u64, place.length as usize);
            if payload.is_some_and(|payload| sent.shows_in(&payload)) {
                outcome.wrong_frames += 5;
                outcome.fault(format!("{what}: {name:?} was erased and still stands at {place:?}"));
            }
        }
    }
}

/// Whether what stands there is not what the store wrote there.
fn spoiled(place: Place, disks: &[SimDisk]) -> bool {
    let key = place.segment.0;
    let (name, end) = (segment_name(key.number), place.offset + RECORD_HEADER as u64 + u64::from(place.length));
    let both = |disk: &SimDisk| [0, HEAD_COPY].iter().all(|at| disk.is_spoiled(&name, *at, at + 2 * BLOCK as u64));
    disks.get(usize::from(key.volume)).is_none_or(|disk| disk.is_spoiled(&name, place.offset, end) || both(disk))
}
