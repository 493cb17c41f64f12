//! A month of a district's rooms, from a seed: their ledgers with gaps, alarms that somebody acknowledges sooner or much later, faults of
//! pictures, days stated again when late facts change them, journals copied to a sub-district and from there to the district. What the
//! centres report is then held against what each room finds when it adds up its own ledger anew, and against what was laid down.

use anyhow::{Result, ensure};
use index::{
    alarms::AlarmId,
    events::{Event, EventId, Kind},
    footage::{Draft, RetentionTerms, Setup, Store, VolumeSetup},
    journal::{Copies, CopyLimits, Gathered, History, Journal, MAX_BATCH_BYTES, Record, Seq},
    model::{
        AccessUnit, CameraId, ClockReading, GapCause, MediaTicks, NodeId, Priority, RetentionClass, StreamId, StreamKind,
        TrackKind, Tracks, UtcMicros, VideoCodec, VideoParameters, Window,
    },
    reports::{Book, Day, Figures, Reports, Spread, Step, Sum, figures_of, main_streams, periods},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3600);
const KINDS: [Kind; 3] = [Kind::LineCrossed, Kind::Fire, Kind::Loitering];
const CAUSES: [GapCause; 5] =
    [GapCause::CameraUnreachable, GapCause::CameraSilent, GapCause::Network, GapCause::Paused, GapCause::Disk];

/// What is lived through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) subdistricts: usize,
    pub(crate) rooms_each: usize,
    pub(crate) cameras: u32,
    pub(crate) days: usize,
}

/// What a centre is made to lose, to see that it would be noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Planted {
    Nothing,
    /// Every statement after a day's first.
    Revisions,
    /// One room's statements.
    Room,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Found {
    /// Figures compared, of rooms, sub-districts and the district, by day, week and month.
    pub(crate) compared: u64,
    /// Of these, those that are not the rooms'.
    pub(crate) differences: u64,
    /// Days stated, and of these, again.
    pub(crate) stated: u64,
    pub(crate) restated: u64,
    /// Incidents raised.
    pub(crate) incidents: u64,
}

/// An incident as it was laid down: kind, raised, acknowledged.
type Laid = (Kind, UtcMicros, Option<UtcMicros>);

struct Room {
    node: NodeId,
    journal: Arc<Journal>,
    store: Arc<Store>,
    dir: PathBuf,
    incidents: Vec<Laid>,
    /// Camera, from, to.
    faults: Vec<(u32, UtcMicros, UtcMicros)>,
    /// Microseconds laid down.
    recorded: BTreeMap<Day, u64>,
}

fn number(kind: u8, n: usize) -> NodeId {
    let mut bytes = [kind; 16];
    bytes[15] = n as u8 + 1;
    NodeId::from_bytes(bytes)
}

/// The days of the plan: whole ones of UTC, the last of them over since yesterday.
fn days(plan: Plan) -> Vec<(Day, Window)> {
    let today = UtcMicros::now().as_micros().div_euclid(DAY.as_micros() as i64);
    let first = today - 1 - plan.days as i64;
    let day = |n: i64| {
        let from = UtcMicros::from_micros(n * DAY.as_micros() as i64);
        let date =
            jiff::Timestamp::from_microsecond(from.as_micros()).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC).date();
        (Day(date), Window::new(from, from + DAY))
    };
    (first..first + plan.days as i64).map(day).collect()
}

/// Lives through the plan in a directory, and compares.
pub(crate) fn run(plan: Plan, dir: &Path, planted: Planted) -> Result<Found> {
    let days = days(plan);
    let mut dice = StdRng::seed_from_u64(plan.seed);
    let (mut found, mut groups) = (Found::default(), Vec::new());
    let district = Centre::open(dir, number(3, 0))?;
    for sub in 0..plan.subdistricts {
        let centre = Centre::open(dir, number(2, sub))?;
        let mut rooms = Vec::new();
        for n in 0..plan.rooms_each {
            let mut room =
                Room::lay(plan, &dir.join(format!("room{sub}.{n}")), number(1, sub * plan.rooms_each + n), &days, &mut dice)?;
            room.live(&days, plan.cameras, &mut dice, &mut found)?;
            rooms.push(room);
        }
        // The lines are down for some of the time: what comes, comes late, and on the way up through the centre between.
        for room in &rooms {
            carry(&*room.journal, &centre.copies)?;
            let copy = centre.copies.of(room.node)?;
            carry(&*copy, &district.copies)?;
        }
        groups.push((centre, rooms));
    }
    let rooms: Vec<&Room> = groups.iter().flat_map(|(_, rooms)| rooms).collect();
    let lost = rooms.first().map(|room| room.node);
    let of = |centre: &Centre| centre.book(planted, lost);
    compare(&of(&district)?, &rooms, &days, &mut found);
    for (centre, rooms) in &groups {
        compare(&of(centre)?, &rooms.iter().collect::<Vec<_>>(), &days, &mut found);
    }
    rooms.iter().for_each(|room| room.store.close());
    Ok(found)
}

struct Centre {
    journal: Arc<Journal>,
    copies: Arc<Copies>,
    file: PathBuf,
}

impl Centre {
    fn open(dir: &Path, node: NodeId) -> Result<Self> {
        let dir = dir.join(node.to_string());
        std::fs::create_dir_all(&dir)?;
        let journal = Journal::open(&dir.join("journal"), node)?;
        let copies = Arc::new(Copies::open(&dir.join("copies"), CopyLimits::default())?);
        Ok(Self { journal, copies, file: dir.join("reports.json") })
    }

    /// What it knows of its rooms, by the code that runs; or, with a fault planted, by a projection that loses something.
    fn book(&self, planted: Planted, lost: Option<NodeId>) -> Result<Book> {
        if planted == Planted::Nothing {
            let reports = Reports::open(&self.file, Arc::clone(&self.journal), Some(Arc::clone(&self.copies)))?;
            reports.catch_up()?;
            reports.keep()?;
            // The next process goes on with what is kept.
            let again = Reports::open(&self.file, Arc::clone(&self.journal), Some(Arc::clone(&self.copies)))?;
            again.catch_up()?;
            return Ok(again.book().clone());
        }
        let mut book = Book::new(self.journal.node());
        for copy in self.copies.list() {
            let node = copy.node();
            copy.visit(Seq::new(1), copy.head().0, &mut |seen| {
                let first = String::from_utf8_lossy(seen.body).contains("\"revision\":1,");
                let dropped = match planted {
                    Planted::Nothing => false,
                    Planted::Revisions => !first,
                    Planted::Room => Some(node) == lost,
                };
                if seen.kind != "report.day" || !dropped {
                    book.take(node, seen);
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(book)
    }
}

/// Copies a history to its end, a batch at a time.
fn carry(from: &dyn History, to: &Copies) -> Result<()> {
    let copy = to.of(from.node())?;
    loop {
        let (tail, hash) = copy.head();
        match from.gather(tail, hash, MAX_BATCH_BYTES)? {
            Gathered::Batch(batch) => drop(copy.apply(&batch)?),
            Gathered::Nothing => return Ok(()),
            other => anyhow::bail!("{} does not go on from {tail}: {other:?}", from.node()),
        }
    }
}

impl Room {
    /// Lays down its footage with gaps.
    fn lay(plan: Plan, dir: &Path, node: NodeId, days: &[(Day, Window)], dice: &mut StdRng) -> Result<Self> {
        std::fs::create_dir_all(dir.join("volume"))?;
        let journal = Journal::open(&dir.join("journal"), node)?;
        let capacity = (u64::from(plan.cameras) * (plan.days as u64 + 8) * 2) << 20;
        let volume = VolumeSetup { name: "d1".to_owned(), path: dir.join("volume"), capacity };
        let setup = Setup {
            segment_bytes: 1 << 20,
            sub_segment_bytes: 1 << 20,
            segment_max: DAY * 400,
            commit_every: Duration::from_millis(1),
            scrub_bytes: 0,
            // The month is longer than the usual term, and nothing is to be deleted under the comparison.
            terms: RetentionTerms { standard: DAY * 90, key_target: DAY * 90 },
            ..Setup::new(node, dir.to_owned(), vec![volume])
        };
        let store = Store::open(setup, Arc::clone(&journal))?;
        let mut room = Self {
            node,
            journal,
            store,
            dir: dir.to_owned(),
            incidents: Vec::new(),
            faults: Vec::new(),
            recorded: BTreeMap::new(),
        };
        let (from, to) = (days[0].1.from, days[days.len() - 1].1.to);
        let tracks = tracks();
        for camera in 1..=plan.cameras {
            let stream = StreamId::new(CameraId::new(camera)?, StreamKind::Main);
            // The ledger is of milliseconds that clocks have, not of whole hours.
            let mut at = from + Duration::from_millis(dice.random_range(0..3_600_000));
            let mut run = 0;
            while at < to {
                let long = Duration::from_millis(dice.random_range(3_300_000..4_200_000)).min(to.since(at));
                let draft = draft(stream, run, at, long, &tracks);
                let ends = draft.window().to;
                room.append(&draft)?;
                for (day, window) in days {
                    let part = Window::new(at, ends).intersect(*window).duration().as_micros() as u64;
                    *room.recorded.entry(*day).or_default() += part;
                }
                at = ends;
                if dice.random_range(0..30) == 0 {
                    room.store.mark(stream, at, CAUSES[dice.random_range(0..CAUSES.len())], "");
                    at = at + Duration::from_millis(dice.random_range(1..10_000_000));
                    run += 1;
                }
            }
        }
        room.store.flush();
        Ok(room)
    }

    /// Appends until it is durable: what finds no file yet is not recorded.
    fn append(&self, draft: &Draft) -> Result<()> {
        let (stream, ends) = (draft.stream, draft.window().to);
        let deadline = Instant::now() + Duration::from_secs(120);
        while self.store.recorded_to(stream).is_none_or(|to| to < ends) {
            ensure!(Instant::now() < deadline, "{stream} is not recorded: the volume has no room");
            drop(self.store.append(draft.clone()));
            self.store.flush();
        }
        Ok(())
    }

    /// What the journal has of the month beside the footage, by time.
    fn happenings(&mut self, days: &[(Day, Window)], cameras: u32, dice: &mut StdRng) -> Vec<Record> {
        let mut records = Vec::new();
        for (_, window) in days {
            for _ in 0..dice.random_range(3..25) {
                let (kind, raised) = (KINDS[dice.random_range(0..KINDS.len())], within(*window, dice));
                let after = match dice.random_range(0..10) {
                    0 => None,
                    1 => Some(Duration::from_millis(dice.random_range(600_000..250_000_000))),
                    _ => Some(Duration::from_millis(dice.random_range(2_000..400_000))),
                };
                let id = AlarmId { event: Seq::new(1_000_000 + self.incidents.len() as u64), rule: Default::default() };
                let event = EventId::new(raised, self.node, id.event).to_string();
                let body = json!({
                    "id": id, "event": event, "rule_name": "r", "urgency": "high", "kind": kind, "camera": 1, "name": "", "place": [],
                    "at": raised, "raised": raised, "last": raised, "repeats": 0, "acknowledged": null,
                });
                records.push(Record::new(raised, "alarm.raised", body));
                let acknowledged = after.map(|after| raised + after);
                if let Some(at) = acknowledged {
                    records.push(Record::new(at, "alarm.acknowledged", json!({ "alarm": id, "by": "wang" })));
                }
                self.incidents.push((kind, raised, acknowledged));
            }
            for camera in 1..=cameras {
                let from = within(*window, dice);
                let to = from + Duration::from_millis(dice.random_range(20_000..90_000_000));
                // One at a time: a camera's next fault ends the last.
                if self.faults.iter().any(|(of, _, until)| *of == camera && *until >= from) {
                    continue;
                }
                self.faults.push((camera, from, to));
                for (kind, at) in [(Kind::PictureBlurred, from), (Kind::PictureGood, to)] {
                    records.push(Event { camera: CameraId::new(camera).ok(), ..Event::new(at, kind) }.into_record(at));
                }
            }
        }
        records.sort_by_key(|record| record.at);
        records
    }

    /// Its days as they pass: each is stated when it is over, and again when something changes it. Now and then it is started anew, with
    /// and without what it kept.
    fn live(&mut self, days: &[(Day, Window)], cameras: u32, dice: &mut StdRng, found: &mut Found) -> Result<()> {
        let mut records = self.happenings(days, cameras, dice).into_iter().peekable();
        found.incidents += self.incidents.len() as u64;
        let open = |n: usize| Reports::open(&self.dir.join(format!("reports{n}.json")), Arc::clone(&self.journal), None);
        let (mut reports, mut file) = (open(0)?, 0);
        let streams = main_streams(&self.store, []);
        let mut stated = 0;
        for (n, (_, window)) in days.iter().enumerate() {
            let now = window.to + HOUR;
            let mut past = Vec::new();
            while let Some(record) = records.next_if(|record| record.at <= now) {
                past.push(record);
            }
            self.journal.append_all(past)?;
            let before = self.journal.tail();
            stated += reports.state(&days[..=n], "UTC", now, |window| figures_of(&self.store, &streams, window))? as u64;
            ensure!(self.journal.tail() > before, "{}: a day that is over is stated", self.node);
            match dice.random_range(0..6) {
                0 => {
                    reports.keep()?;
                    reports = open(file)?;
                }
                1 => {
                    file += 1;
                    reports = open(file)?;
                }
                _ => {}
            }
        }
        // Somebody comes days later, too.
        self.journal.append_all(records.collect())?;
        let last = days[days.len() - 1].1.to + DAY * 4;
        stated += reports.state(days, "UTC", last, |window| figures_of(&self.store, &streams, window))? as u64;
        found.restated += stated - days.len() as u64;
        found.stated += stated;
        Ok(())
    }

    /// A day's figures, added up anew from the ledger and from what was laid down.
    fn figures(&self, window: Window) -> Figures {
        let mut figures = figures_of(&self.store, &main_streams(&self.store, []), window);
        for (_, from, to) in &self.faults {
            if window.contains(*from) {
                *figures.faults.entry(Kind::PictureBlurred.word().to_owned()).or_default() += 1;
            }
            figures.faulty_us += Window::new(*from, *to).intersect(window).duration().as_micros() as u64;
        }
        figures
    }
}

fn within(window: Window, dice: &mut StdRng) -> UtcMicros {
    window.from + Duration::from_micros(dice.random_range(0..window.duration().as_micros() as u64))
}

fn tracks() -> Arc<Tracks> {
    let decoder_config: &'static [u8] = &[1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0, 2, 0x67, 1, 1, 0, 2, 0x68, 1];
    let video = VideoParameters {
        codec: VideoCodec::H264,
        width: 640,
        height: 360,
        decoder_config: decoder_config.into(),
        rfc6381: "avc1.4d401f".into(),
    };
    Arc::new(Tracks { video, audio: None, metadata: false })
}

/// One picture that is shown for so long.
fn draft(stream: StreamId, run: u32, utc: UtcMicros, long: Duration, tracks: &Arc<Tracks>) -> Draft {
    let at = MediaTicks::new(utc.as_micros() / 1000 % 1_000_000_000 * 90);
    let data: &'static [u8] = &[0, 0, 0, 6, 0x65, 1, 2, 3, 4, 5];
    let unit = AccessUnit {
        track: TrackKind::Video,
        key: true,
        decode: at,
        present: at,
        utc,
        received: utc,
        rtp: at.get() as u32,
        data: data.into(),
    };
    Draft {
        stream,
        tracks: Arc::clone(tracks),
        units: vec![unit],
        duration: MediaTicks::new(long.as_millis() as i64 * 90),
        run,
        clock: ClockReading { epoch: 1, error_ms: 5, camera_offset_ms: None },
        retention: RetentionClass::Standard,
        priority: Priority::Normal,
    }
}

/// Holds what a centre has of these rooms against the rooms, by day, week and month, each room and all together.
fn compare(book: &Book, rooms: &[&Room], days: &[(Day, Window)], found: &mut Found) {
    let windows: BTreeMap<Day, Window> = days.iter().copied().collect();
    let (first, last) = (days[0].0, days[days.len() - 1].0);
    let mut groups: Vec<Vec<&Room>> = rooms.iter().map(|room| vec![*room]).collect();
    groups.push(rooms.to_vec());
    // The ledger is added up once a day and room.
    let anew: BTreeMap<(NodeId, Day), Figures> =
        rooms.iter().flat_map(|room| days.iter().map(|(day, window)| ((room.node, *day), room.figures(*window)))).collect();
    for step in Step::ALL {
        for period in periods(first, last, step, days.len()).unwrap_or_default() {
            for group in &groups {
                let (mut there, mut here, mut recorded) = (Sum::default(), Figures::default(), 0);
                for room in group {
                    for day in &period.days {
                        if let Some(statement) = book.stated(room.node, *day) {
                            there.take(statement);
                        }
                        here.add(&anew[&(room.node, *day)]);
                        recorded += room.recorded.get(day).copied().unwrap_or_default();
                    }
                }
                let mut check = |same: bool| {
                    found.compared += 1;
                    found.differences += u64::from(!same);
                };
                let (there_figures, here_figures) = (json!(there.figures), json!(here));
                for (name, value) in here_figures.as_object().into_iter().flatten() {
                    check(there_figures.get(name) == Some(value));
                }
                check(there.figures.recorded_us == recorded);
                check(there.days == (group.len() * period.days.len()) as u64);
                let inside = |at: UtcMicros| period.days.iter().any(|day| windows[day].contains(at));
                for kind in KINDS {
                    let laid: Vec<&Laid> =
                        group.iter().flat_map(|room| &room.incidents).filter(|(of, at, _)| *of == kind && inside(*at)).collect();
                    let mut took: Vec<u32> =
                        laid.iter().filter_map(|(_, at, to)| Some(Spread::class(to.as_ref()?.since(*at)))).collect();
                    took.sort_unstable();
                    let of = there.incidents.0.get(kind.word()).cloned().unwrap_or_default();
                    check(of.raised == laid.len() as u64);
                    check(of.acknowledge.len() == took.len() as u64);
                    for percent in [50, 95] {
                        let rank = (took.len() * percent).div_ceil(100).max(1);
                        check(of.acknowledge.percentile(percent as u32) == took.get(rank - 1).copied());
                    }
                }
            }
        }
    }
}
