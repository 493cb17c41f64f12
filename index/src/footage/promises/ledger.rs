//! A small room with faults from a seed, each told to the store as the place that knows it tells it in life: the session when a camera
//! goes, and only once it noticed; the queue for what it shed; the network for packets lost; the writer for what the disk refused; the
//! operator for a pause; the start for the time before it. What the ledger makes of it is compared with what was done.

use super::{
    super::tests::{draft, stream},
    *,
};
use crate::model::{RetentionClass, StreamKind};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const CAMERAS: u32 = 5;
/// A session that hears nothing knows after so many seconds.
const SILENCE: u64 = 10;

const CAUSES: [GapCause; 12] = [
    GapCause::CameraUnreachable,
    GapCause::CameraRefused,
    GapCause::CameraSilent,
    GapCause::CameraFault,
    GapCause::NoNetwork,
    GapCause::WrongPassword,
    GapCause::UnsupportedCodec,
    GapCause::Network,
    GapCause::OurQueue,
    GapCause::Disk,
    GapCause::Paused,
    GapCause::NotConfigured,
];

/// A fault as it was made.
#[derive(Clone, Debug)]
struct Fault {
    stream: StreamId,
    window: Window,
    cause: GapCause,
}

/// What one camera is going through.
struct Camera {
    stream: StreamId,
    /// The second at which things change: from well to trouble, or back.
    until: u64,
    trouble: Option<GapCause>,
    since: UtcMicros,
    /// The second at which somebody notices, and tells.
    told_at: Option<u64>,
    run: u32,
}

struct Room {
    site: Site,
    node: Option<Node>,
    cameras: Vec<Camera>,
    made: Vec<Fault>,
    second: u64,
}

impl Room {
    fn new(seed: u64, faults: u64) -> Self {
        let site = Site::new((24 << 20) + faults * (400 << 10), seed);
        let camera = |n| Camera {
            stream: stream(n, StreamKind::Main),
            until: 20 + u64::from(n),
            trouble: None,
            since: UtcMicros::default(),
            told_at: None,
            run: 1,
        };
        let cameras = (1..=CAMERAS).map(camera).collect();
        Self { node: Some(site.start(|_| {})), cameras, made: Vec::new(), second: 0, site }
    }

    fn now(&self) -> UtcMicros {
        self.site.world.now()
    }

    /// A second passes for every camera.
    fn second(&mut self) {
        let (from, second) = (self.now(), self.second);
        let Some(node) = &mut self.node else { return };
        let mut drafts = Vec::new();
        for camera in &mut self.cameras {
            if second >= camera.until {
                camera.turn(from, second, &mut self.site.random, &mut self.made);
            }
            drafts.extend(camera.film(&node.store, from, second));
        }
        self.site.world.advance(SECOND);
        self.site.journal.settle();
        node.commit(drafts);
        node.round();
        self.second += 1;
    }

    /// The node is killed and comes back, while all cameras are well.
    fn restart(&mut self) {
        if self.cameras.iter().any(|camera| camera.trouble.is_some()) {
            return;
        }
        let from = self.now();
        self.node = None;
        self.site.crash();
        let off = 3 + self.site.dice(40);
        self.site.world.advance(Duration::from_secs(off));
        self.second += off;
        self.node = Some(self.site.start(|_| {}));
        let window = Window::new(from, self.now());
        for camera in &mut self.cameras {
            self.made.push(Fault { stream: camera.stream, window, cause: GapCause::Restart });
            camera.until = camera.until.max(self.second + 12);
            camera.run += 1;
        }
    }
}

impl Camera {
    /// From well to trouble, or back.
    fn turn(&mut self, now: UtcMicros, second: u64, random: &mut SmallRng, made: &mut Vec<Fault>) {
        match self.trouble.take() {
            None => {
                let cause = CAUSES[random.random_range(0..CAUSES.len())];
                self.trouble = Some(cause);
                self.since = now;
                self.until = second + random.random_range(3..33);
                self.told_at = Some(second + if cause == GapCause::CameraSilent { SILENCE } else { random.random_range(0..2) });
            }
            Some(cause) => {
                made.push(Fault { stream: self.stream, window: Window::new(self.since, now), cause });
                self.until = second + random.random_range(12..42);
                self.run += 1;
            }
        }
    }

    /// What of the second from `from` on is recorded, and what is said about it.
    fn film(&mut self, store: &Store, from: UtcMicros, second: u64) -> Option<Draft> {
        let mut draft = draft(self.stream, second as i64, 60, self.run);
        draft.units.iter_mut().enumerate().for_each(|(n, unit)| unit.utc = from + Duration::from_millis(200 * n as u64));
        let window = Window::new(from, from + SECOND);
        let cause = match self.trouble {
            None => return Some(draft),
            Some(cause) => cause,
        };
        match cause {
            // Recording goes on, with pictures missing.
            GapCause::Network => {
                store.lost(self.stream, window, cause, 3);
                return Some(draft);
            }
            GapCause::OurQueue => store.lost(self.stream, window, cause, 5),
            GapCause::Disk => store.shared.lose(&draft, cause, "the disk refused it"),
            cause => {
                let over = second + 1 >= self.until;
                if self.told_at.is_some_and(|at| second >= at || over) {
                    self.told_at = None;
                    store.mark(self.stream, self.since, cause, "as the session says");
                }
            }
        }
        None
    }
}

#[derive(Default, Debug)]
struct Sums {
    faults: usize,
    found: usize,
    exact: usize,
    right: usize,
    invented: Vec<String>,
    unexplained: Duration,
}

fn measure(seed: u64, faults: u64) -> Sums {
    let mut room = Room::new(seed, faults);
    let first = room.now();
    while (room.made.len() as u64) < faults {
        room.second();
        if room.site.dice(150) == 0 {
            room.restart();
        }
    }
    // Recording goes on for long enough that the ends of the last ones are known.
    let faults = std::mem::take(&mut room.made);
    for _ in 0..20 {
        room.second();
    }
    let node = room.node.as_ref().expect("it runs");
    let mut sums = Sums { faults: faults.len(), ..Sums::default() };
    for camera in &room.cameras {
        let mine: Vec<&Fault> = faults.iter().filter(|fault| fault.stream == camera.stream).collect();
        let end = mine.iter().map(|fault| fault.window.to).max().unwrap_or(first);
        let tiles = node.store.coverage(camera.stream, Window::new(first, end), Duration::ZERO);
        judge(&tiles, &mine, &mut sums);
        sums.unexplained += node.store.tally(camera.stream, &[Window::new(first, end)])[0].gap(GapCause::Unexplained);
    }
    sums
}

/// Compares one camera's tiles with what happened to it.
fn judge(tiles: &[Interval], made: &[&Fault], sums: &mut Sums) {
    let troubled = |tile: &&Interval| tile.state != IntervalState::Recorded;
    for fault in made {
        let about: Vec<&Interval> = tiles.iter().filter(|tile| troubled(tile) && tile.window.overlaps(fault.window)).collect();
        let (Some(head), Some(tail)) = (about.first(), about.last()) else { continue };
        sums.found += 1;
        let off = |a: UtcMicros, b: UtcMicros| a.since(b).max(b.since(a));
        let exact = off(head.window.from, fault.window.from) <= SECOND && off(tail.window.to, fault.window.to) <= SECOND;
        sums.exact += usize::from(exact);
        let named = |tile: &&&Interval| match tile.state {
            IntervalState::Gap { cause, .. } | IntervalState::Partial { cause, .. } => cause == fault.cause,
            IntervalState::Recorded => false,
        };
        let named: Duration = about.iter().filter(named).map(|tile| tile.window.intersect(fault.window).duration()).sum();
        sums.right += usize::from(named + SECOND >= fault.window.duration());
    }
    let invented = tiles.iter().filter(|tile| troubled(tile) && !made.iter().any(|fault| fault.window.overlaps(tile.window)));
    sums.invented.extend(invented.map(|tile| format!("{tile:?}")));
}

/// Milliseconds that the sums of a month take: 290 cameras, twenty gaps a day each, by camera and day; the median of five.
fn month_of_a_room_ms() -> f64 {
    let mut room = Room::new(1, 0);
    let store = &room.node.take().expect("it runs").store;
    let first = room.now() - 31 * DAY;
    let days: Vec<Window> = (0..30).map(|n| Window::new(first + n * DAY, first + (n + 1) * DAY)).collect();
    let streams: Vec<StreamId> = (1..=290).map(|n| stream(n, StreamKind::Main)).collect();
    for stream in &streams {
        for n in 0..600 {
            let from = first + n * (DAY / 20);
            let window = Window::new(from, from + DAY / 20 - Duration::from_secs(60));
            store.mark(*stream, window.to, GapCause::CameraUnreachable, "");
            let key = catalogue::SegmentKey { volume: 0, number: n, incarnation: u64::from(stream.to_raw()) };
            let class = RetentionClass::Standard;
            let meta = catalogue::SegmentMeta { key, window, holes: None, bytes: 1, records: 1, class, end: 1, entries: None };
            store.shared.catalogue.insert(*stream, meta);
        }
    }
    let mut times: Vec<Duration> = (0..5)
        .map(|_| {
            let began = std::time::Instant::now();
            let missing = streams.iter().flat_map(|stream| store.tally(*stream, &days)).map(|sums| sums.missing());
            assert_eq!(missing.sum::<Duration>(), 290 * 600 * Duration::from_secs(60));
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[2].as_secs_f64() * 1e3
}

#[test]
fn every_fault_of_a_room_is_found_in_the_ledger_to_the_second_and_by_its_cause() {
    let (seed, faults) = (option("HAOHE_LEDGER_SEED", 1), option("HAOHE_FAULTS", 60));
    let sums = measure(seed, faults);
    let percent = |part: usize| 100.0 * part as f64 / sums.faults.max(1) as f64;
    let mut figures = Figures::default();
    figures.add("faults", sums.faults as f64, "faults");
    figures.add("found_pct", percent(sums.found), "%");
    figures.add("edges_within_1_s_pct", percent(sums.exact), "%");
    figures.add("cause_right_pct", percent(sums.right), "%");
    figures.add("invented_gaps", sums.invented.len() as f64, "gaps");
    figures.add("unexplained_s", sums.unexplained.as_secs_f64(), "s");
    if figures::wanted() {
        figures.add("month_of_a_room_ms", month_of_a_room_ms(), "ms");
    }
    figures.finish();
    assert_eq!((sums.found, sums.exact), (sums.faults, sums.faults), "seed {seed}: {sums:?}");
    assert!(sums.invented.is_empty(), "seed {seed}: {:#?}", sums.invented);
    assert!(percent(sums.right) >= 99.0, "seed {seed}: {sums:?}");
    assert_eq!(sums.unexplained, Duration::ZERO, "seed {seed}: {sums:?}");
}
