//! Weeks of a small room in which everything happens that retention must live with: disks that hold their terms and disks that do not,
//! a camera that is added, holds, a clock that is twenty years ahead for a while and one that is an hour behind.

use super::{
    super::tests::{draft, stream},
    *,
};
use crate::{
    access::Extent,
    model::{CameraId, MediaTicks, RetentionClass, StreamKind},
};
use std::collections::HashMap;

const DAY: Duration = Duration::from_secs(86_400);
/// Terms of a simulation: as in life, but fewer days of them fit in memory.
const TERMS: RetentionTerms =
    RetentionTerms { standard: Duration::from_secs(6 * 86_400), key_target: Duration::from_secs(9 * 86_400) };
/// How long after its term footage may still be there.
const LATE: Duration = DAY;
/// A segment is sealed after three hours: eight files a day and stream.
const SEGMENT: Duration = Duration::from_secs(3 * 3600);
const FILE: u64 = 1 << 20;
/// Recorded in one go.
const FRAGMENT: Duration = Duration::from_secs(1800);
/// How often every second is looked for in the ledger, in hours.
const LOOK_EVERY_H: u64 = 6;
/// How often the keeper looks in.
const ROUND: Duration = Duration::from_secs(600);

/// What a week may have in store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Story {
    /// The disk holds all terms with a little to spare.
    Enough,
    /// It does not.
    TooSmall,
    /// It did, until another camera came.
    Another,
    /// Somebody holds some days, and releases them.
    Held,
    /// The clock is twenty years ahead for half a day.
    YearsAhead,
    /// It is an hour and a bit behind for half a day.
    HourBehind,
}

const STORIES: [Story; 6] = [Story::Enough, Story::TooSmall, Story::Another, Story::Held, Story::YearsAhead, Story::HourBehind];

#[derive(Default, Debug)]
struct Sums {
    days: f64,
    deleted: u64,
    early: u64,
    late: u64,
    breaches: u64,
    warned: u64,
    false_alarms: u64,
    unreachable: Duration,
}

/// Files that streams of these classes fill in steady state, the ones being written and freed included.
fn files(standard: u64, key: u64) -> u64 {
    8 * (6 * standard + 9 * key) + 3 * (standard + key)
}

struct Run {
    site: Site,
    node: Node,
    streams: Vec<(StreamId, RetentionClass)>,
    /// Sealed segments that were seen, and when each was filmed.
    known: HashMap<catalogue::SegmentKey, (StreamId, Window, RetentionClass)>,
    /// By how much the clock is ahead.
    off_us: i64,
    /// Since when people are told that the promise will break.
    alarm: Option<UtcMicros>,
    broken: bool,
    hold: Option<u64>,
    /// Fragments recorded so far, for the media clock.
    fragment: i64,
    /// How often the clock was set: a step of it ends a run, as it does in a session.
    steps: u32,
    sums: Sums,
}

fn run(story: Story, seed: u64, days: u64) -> Sums {
    let room = match story {
        Story::TooSmall => files(2, 1) * 7 / 10,
        Story::Held => files(2, 1) + 60,
        _ => files(2, 1) + 12,
    };
    // The sub size takes its share of an idle volume.
    let mut site = Site::new(room * FILE * 8 / 7, seed);
    let node = site.start(|setup| {
        setup.terms = TERMS;
        setup.segment_max = SEGMENT;
        setup.hold_percent = 50;
    });
    let camera = |n| stream(n, StreamKind::Main);
    let streams = vec![
        (camera(1), RetentionClass::Standard),
        (camera(2), RetentionClass::Standard),
        (camera(3), RetentionClass::KeyTarget),
    ];
    // Each seed turns the clock, adds the camera, asks for the hold at an hour of its own.
    let turn = days * 24 * 6 / 10 + site.dice(24);
    let mut run = Run {
        site,
        node,
        streams,
        known: HashMap::new(),
        off_us: 0,
        alarm: None,
        broken: false,
        hold: None,
        fragment: 0,
        steps: 0,
        sums: Sums::default(),
    };
    for hour in 0..days * 24 {
        run.happen(story, hour, turn);
        run.hour();
        run.check(hour);
        run.sums.days += 1.0 / 24.0;
        if run.broken {
            break;
        }
    }
    run.read_all();
    run.sums
}

impl Run {
    /// True time, whatever the clock says.
    fn truth(&self) -> UtcMicros {
        UtcMicros::from_micros(self.site.world.now().as_micros() - self.off_us)
    }

    fn set_ahead(&mut self, micros: i64) {
        self.site.world.set_by(micros - self.off_us);
        self.off_us = micros;
        self.steps += 1;
    }

    fn happen(&mut self, story: Story, hour: u64, turn: u64) {
        let now = self.site.world.now();
        match story {
            Story::YearsAhead if hour == turn => self.set_ahead(20 * 365 * 86_400_000_000),
            Story::HourBehind if hour == turn => self.set_ahead(-3_700_000_000),
            Story::YearsAhead | Story::HourBehind if hour == turn + 12 => self.set_ahead(0),
            Story::Another if hour == turn => self.streams.push((stream(4, StreamKind::Main), RetentionClass::Standard)),
            Story::Held if hour == turn => {
                let cameras = vec![CameraId::new(1).expect("a number")];
                let window = Window::new(now - 5 * DAY, now - 4 * DAY);
                let order = Order { cameras, window, reason: "取证".into(), authority: "17号".into() };
                let hold = self.node.store.request_hold(order, now + 30 * DAY, "wang").expect("room for it");
                self.node.store.approve_hold(hold.id, "li").expect("a second person");
                self.hold = Some(hold.id);
            }
            Story::Held if hour == turn + 96 => {
                let id = self.hold.take().expect("it was asked for");
                self.node.store.release_hold(id, "li", "结案").expect("asked");
                self.node.store.release_hold(id, "wang", "结案").expect("released");
            }
            _ => {}
        }
    }

    /// An hour of recording, and a keeper that looks in every ten minutes.
    fn hour(&mut self) {
        for _ in 0..2 {
            let now = self.site.world.now();
            let film = |(stream, class): &(StreamId, RetentionClass)| {
                // Six of them fill a file, so that nothing of it is given back when it is sealed.
                let ticks = FRAGMENT.as_secs() as i64 * 90_000;
                let mut draft = draft(*stream, self.fragment * 1800, 22_000, (self.fragment / 6) as u32 + 10_000 * self.steps);
                draft.units.iter_mut().for_each(|unit| unit.utc = now);
                draft.duration = MediaTicks::new(ticks);
                draft.retention = *class;
                draft
            };
            let drafts = self.streams.iter().map(film).collect();
            self.fragment += 1;
            self.node.commit(drafts);
            for _ in 0..FRAGMENT.as_secs() / ROUND.as_secs() {
                self.site.world.advance(ROUND);
                self.site.journal.settle();
                self.node.round();
            }
        }
    }

    /// What went since it was looked at last, and what should have.
    fn check(&mut self, hour: u64) {
        let truth = self.truth();
        let held = self.node.store.shared.ledger.custody(custody::Custody::held);
        let mut present = HashMap::new();
        for (stream, index) in &*self.node.store.shared.catalogue.read() {
            for meta in index.segments().iter().filter(|meta| meta.entries.is_none()) {
                present.insert(meta.key, (*stream, meta.window, meta.class));
            }
        }
        for (_, (stream, window, class)) in self.known.iter().filter(|(key, _)| !present.contains_key(key)) {
            self.sums.deleted += 1;
            if truth < window.to + TERMS.of(*class) || held.covers(*stream, *window) {
                self.sums.early += 1;
            }
        }
        let late = |(stream, window, class): &&(StreamId, Window, RetentionClass)| {
            truth > window.to + TERMS.of(*class) + LATE && !held.covers(*stream, *window)
        };
        self.sums.late += present.values().filter(late).count() as u64;
        // Whatever the clock says now, the ledger shows all of it as recorded.
        let looked = if hour.is_multiple_of(LOOK_EVERY_H) { present.values() } else { Default::default() };
        for (stream, window, _) in looked {
            let tiles = self.node.store.coverage(*stream, *window, Duration::ZERO);
            let shown =
                tiles.iter().filter(|tile| tile.state == IntervalState::Recorded).map(|tile| tile.window.duration()).sum();
            self.sums.unreachable += window.duration().saturating_sub(shown);
        }
        self.known = present;
        self.alarms(truth);
    }

    /// At the end every second that is shown is read.
    fn read_all(&mut self) {
        for (stream, _) in &self.streams {
            let reader =
                Reader::new(Arc::clone(&self.node.store.shared), Arc::default(), Extent::recorded([*stream], Window::ALL));
            let found = reader.fragments(*stream, Window::ALL);
            let read = found.iter().filter(|fragment| reader.fetch(fragment).is_ok()).count();
            let shown = self.node.store.coverage(*stream, Window::new(UtcMicros::MIN, UtcMicros::MAX), Duration::ZERO);
            let shown = shown.iter().filter(|tile| tile.state == IntervalState::Recorded);
            let shown: Duration = shown.map(|tile| tile.window.duration()).sum();
            self.sums.unreachable += shown.saturating_sub(FRAGMENT * read as u32);
        }
    }

    /// An alarm stands, rises or falls; and the promise breaks when the first fragment is lost.
    fn alarms(&mut self, truth: UtcMicros) {
        let alarm = self.node.store.retention().volumes.iter().any(|volume| volume.warned.is_some());
        if self.node.store.health().fragments_lost > 0 {
            self.broken = true;
            self.sums.breaches += 1;
            self.sums.warned += u64::from(self.alarm.is_some_and(|since| truth.since(since) >= DAY));
            return;
        }
        match self.alarm {
            None => self.alarm = alarm.then_some(truth),
            // One that goes, without anything having been done, was false; so is one that stands for long and nothing comes.
            Some(since) if !alarm || truth.since(since) > WARNING + 2 * DAY => {
                self.sums.false_alarms += 1;
                self.alarm = alarm.then_some(truth);
            }
            Some(_) => {}
        }
    }
}

#[test]
fn footage_is_deleted_neither_early_nor_late_and_a_breach_is_announced_a_day_before() {
    let (seeds, days) = (option("HAOHE_SEEDS", 1), option("HAOHE_DAYS", 16));
    let mut sums = Sums::default();
    let mut wrong = Vec::new();
    for seed in 0..seeds {
        for story in STORIES {
            let one = run(story, seed, days);
            let breaks = matches!(story, Story::TooSmall | Story::Another);
            if one.deleted + one.breaches == 0 || (one.breaches > 0) != breaks {
                wrong.push(format!("{story:?}, seed {seed}: a story that does not show what it is for: {one:?}"));
            }
            if one.early + one.late + one.false_alarms > 0 || one.warned != one.breaches || !one.unreachable.is_zero() {
                wrong.push(format!("{story:?}, seed {seed}: {one:?}"));
            }
            sums.days += one.days;
            sums.deleted += one.deleted;
            sums.early += one.early;
            sums.late += one.late;
            sums.breaches += one.breaches;
            sums.warned += one.warned;
            sums.false_alarms += one.false_alarms;
            sums.unreachable += one.unreachable;
        }
    }
    let mut figures = Figures::default();
    figures.add("days_simulated", sums.days, "days");
    figures.add("deletions", sums.deleted as f64, "segments");
    figures.add("early_deletions", sums.early as f64, "segments");
    figures.add("late_deletions", sums.late as f64, "segments");
    figures.add("unreachable_s", sums.unreachable.as_secs_f64(), "s");
    figures.add("breaches", sums.breaches as f64, "breaches");
    figures.add("warned_pct", 100.0 * sums.warned as f64 / sums.breaches.max(1) as f64, "%");
    figures.add("false_alarms", sums.false_alarms as f64, "alarms");
    figures.finish();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
