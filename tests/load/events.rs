//! `index`, `search`, `events-crash`: events through journal and index, questions to it, and kills in a storm.

use crate::{district::District, figures::Figures};
use anyhow::{Context, Result, ensure};
use index::{
    events::{self, Event, Events, IndexLimits, Kind, Question, Reach, Region, Severity, Sources, Text},
    journal::{Journal, JournalLimits},
    model::{CameraId, NodeId, UtcMicros, Window},
};
use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

const LONG: Duration = Duration::from_secs(3600);
const DAY: i64 = 86_400_000_000;

/// A folder with a journal and an index; removed at the end.
struct Place {
    folder: PathBuf,
}

impl Place {
    fn new(name: &str) -> Result<Self> {
        let folder = std::env::current_dir()?.join(".cache/measure").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    fn index(&self) -> PathBuf {
        self.folder.join("events")
    }

    fn open(&self) -> Result<(Arc<Journal>, Events)> {
        open(&self.folder)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn open(folder: &Path) -> Result<(Arc<Journal>, Events)> {
    // The identity of no real node.
    let journal = Journal::open_with(&folder.join("journal"), NodeId::from_bytes([7; 16]), JournalLimits::default())?;
    let events = Events::open(&folder.join("events"), Arc::clone(&journal), IndexLimits::default())?;
    Ok((journal, events))
}

/// Appends, and waits where the journal's queue is full, as a sender would.
fn append(journal: &Journal, acked: &Arc<AtomicU64>, event: Event) {
    loop {
        if journal.health().waiting < 8_000 {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let acked = Arc::clone(acked);
    journal.append_then(event.into_record(UtcMicros::now()), move |result| {
        if let Ok(seq) = result {
            acked.fetch_max(seq.get(), Ordering::Release);
        }
    });
}

/// CPU seconds of this process so far.
fn cpu_s() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<f64> = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|f| f.parse().ok())
        .collect();
    Ok(fields.iter().sum::<f64>() / 100.0)
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| if entry.path().is_dir() { bytes_in(&entry.path()) } else { entry.metadata().map_or(0, |m| m.len()) })
        .sum()
}

/// `tests/measure index`.
pub(crate) fn index(count: u64) -> Result<()> {
    let place = Place::new("index")?;
    let (journal, events) = place.open()?;
    let mut district = District::new(1);
    let made: Vec<Event> = {
        let now = UtcMicros::now().as_micros();
        (0..count).map(|n| district.event(UtcMicros::from_micros(now - (count - n) as i64 * 50))).collect()
    };
    let mut figures = Figures::default();
    // The dictionary is read once in a process's life, not once an event.
    events.ask(&Question { text: "预热".into(), ..Question::new(Reach::Everything, Window::ALL) })?;
    let acked = Arc::new(AtomicU64::new(0));
    let (begin, cpu) = (Instant::now(), cpu_s()?);
    made.into_iter().for_each(|event| append(&journal, &acked, event));
    while acked.load(Ordering::Acquire) < count {
        std::thread::sleep(Duration::from_millis(1));
    }
    ensure!(events.wait_indexed(journal.tail(), LONG), "the index does not follow");
    let (wall_s, cpu_s) = (begin.elapsed().as_secs_f64(), cpu_s()? - cpu);
    figures.add("events", count as f64, "events");
    figures.add("events_per_s", count as f64 / cpu_s, "events per second of one core");
    figures.add("events_per_s_wall", count as f64 / wall_s, "events/s, whatever else the machine does");
    let (durable_s, searchable_s) = searchable(&journal, &events, &acked)?;
    figures.add("durable_after_s", durable_s, "s");
    figures.add("searchable_after_s", searchable_s, "s");
    events.close();
    figures.add("journal_bytes_per_event", bytes_in(&place.folder.join("journal")) as f64 / count as f64, "bytes");
    figures.add("index_bytes_per_event", bytes_in(&place.index()) as f64 / count as f64, "bytes");
    figures.add("bytes_per_event", bytes_in(&place.folder) as f64 / count as f64, "bytes");
    figures.finish();
    Ok(())
}

/// The longest of thirty waits from append to durable, and from append to found, while 500 others a second come in.
fn searchable(journal: &Arc<Journal>, events: &Events, acked: &Arc<AtomicU64>) -> Result<(f64, f64)> {
    let stop = Arc::new(AtomicBool::new(false));
    let others = feeder(Arc::clone(journal), Arc::clone(acked), 500, Arc::clone(&stop));
    let (mut durable, mut worst): (f64, f64) = (0.0, 0.0);
    for n in 0..30 {
        let word = format!("needle{n}x");
        let begin = Instant::now();
        let event = Event { text: Text { zh: word.clone(), en: String::new() }, ..Event::new(UtcMicros::now(), Kind::Bookmark) };
        journal.append(event.into_record(UtcMicros::now())).wait()?;
        durable = durable.max(begin.elapsed().as_secs_f64());
        loop {
            let answer = events.ask(&Question { text: word.clone(), limit: 1, ..Question::new(Reach::Everything, recent()) })?;
            if answer.total.count == 1 {
                break;
            }
            ensure!(begin.elapsed() < Duration::from_secs(60), "an event was not found after a minute");
            std::thread::sleep(Duration::from_millis(5));
        }
        worst = worst.max(begin.elapsed().as_secs_f64());
    }
    stop.store(true, Ordering::Relaxed);
    others.join().map_err(|_| anyhow::anyhow!("the feeder failed"))?;
    Ok((durable, worst))
}

fn recent() -> Window {
    let now = UtcMicros::now().as_micros();
    Window::new(UtcMicros::from_micros(now - DAY), UtcMicros::from_micros(now + DAY))
}

/// Appends so many events a second until told to stop; returns how many.
fn feeder(journal: Arc<Journal>, acked: Arc<AtomicU64>, per_s: u64, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<u64> {
    std::thread::spawn(move || {
        let mut district = District::new(77);
        let (begin, mut sent) = (Instant::now(), 0);
        while !stop.load(Ordering::Relaxed) {
            let due = (begin.elapsed().as_secs_f64() * per_s as f64) as u64;
            while sent < due {
                append(&journal, &acked, district.event(UtcMicros::now()));
                sent += 1;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        sent
    })
}

/// `tests/measure search`.
pub(crate) fn search(count: u64, questions: u32) -> Result<()> {
    let place = Place::new("search")?;
    let (journal, events) = place.open()?;
    let mut district = District::new(2);
    let acked = Arc::new(AtomicU64::new(0));
    let now = UtcMicros::now().as_micros();
    let first = now - 30 * DAY;
    eprintln!("building {count} events over 30 days");
    for n in 0..count {
        let at = first + (30 * DAY) / count as i64 * n as i64;
        append(&journal, &acked, district.event(UtcMicros::from_micros(at)));
    }
    while acked.load(Ordering::Acquire) < count {
        std::thread::sleep(Duration::from_millis(5));
    }
    ensure!(events.wait_indexed(journal.tail(), LONG), "the index does not follow");
    let month = Window::new(UtcMicros::from_micros(first), UtcMicros::from_micros(now + DAY));
    let mut figures = Figures::default();
    figures.add("events", count as f64, "events");

    let stop = Arc::new(AtomicBool::new(false));
    let quiet = rate_of(&events, &journal, &acked, Duration::from_secs(10))?;
    let (feeding, feeding_stop) = (Arc::clone(&acked), Arc::clone(&stop));
    let feed = feeder(Arc::clone(&journal), feeding, 2000, feeding_stop);
    let (added, begin) = (events.added(), Instant::now());
    let mut worst: f64 = 0.0;
    for class in CLASSES {
        let (mut took, mut counted_s) = (Vec::new(), 0.0);
        for _ in 0..questions {
            let question = class.1(&mut district, month, &events)?;
            let begin = Instant::now();
            let answer = events.ask(&question)?;
            took.push(begin.elapsed().as_secs_f64() * 1e3);
            let counted = question.window.to.micros_from(answer.coverage.counted_from);
            counted_s += counted as f64 / question.window.to.micros_from(question.window.from) as f64;
        }
        figures.percentiles(&format!("{}_ms", class.0), &mut took, "ms");
        if matches!(class.0, "facets" | "histogram") {
            figures.add(&format!("{}_counted_pct", class.0), counted_s / f64::from(questions) * 100.0, "% of the time asked for");
        }
        worst = worst.max(crate::figures::percentile(&took, 0.95));
    }
    let busy = (events.added() - added) as f64 / begin.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    feed.join().map_err(|_| anyhow::anyhow!("the feeder failed"))?;
    figures.add("p95_ms", worst, "ms, the worst class");
    figures.add("ingest_events_per_s_quiet", quiet, "events/s");
    figures.add("ingest_events_per_s_asked", busy, "events/s");
    figures.add("ingest_slowdown_pct", ((1.0 - busy / quiet) * 100.0).max(0.0), "%");
    figures.finish();
    Ok(())
}

/// Events a second that become findable when 2,000 a second come in and nobody asks.
fn rate_of(events: &Events, journal: &Arc<Journal>, acked: &Arc<AtomicU64>, span: Duration) -> Result<f64> {
    let stop = Arc::new(AtomicBool::new(false));
    let (added, begin) = (events.added(), Instant::now());
    let feed = feeder(Arc::clone(journal), Arc::clone(acked), 2000, Arc::clone(&stop));
    std::thread::sleep(span);
    let rate = (events.added() - added) as f64 / begin.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    feed.join().map_err(|_| anyhow::anyhow!("the feeder failed"))?;
    ensure!(events.wait_indexed(journal.tail(), LONG), "the index does not follow");
    Ok(rate)
}

type Ask = fn(&mut District, Window, &Events) -> Result<Question>;
/// Kinds of questions, each made anew every time from the district's own words, places and times.
const CLASSES: [(&str, Ask); 6] = [
    ("text", |district, month, _| Ok(Question { text: district.words().into(), ..Question::new(Reach::Everything, month) })),
    ("text_scope_time", |district, month, _| {
        let from = month.from.as_micros() + i64::from(district.below(23)) * DAY;
        let window = Window::new(UtcMicros::from_micros(from), UtcMicros::from_micros(from + 7 * DAY));
        let room = district.below(45) * 290;
        let cameras = (room + 1..=room + 290).filter_map(|number| CameraId::new(number).ok()).collect();
        Ok(Question { text: district.words().into(), ..Question::new(Reach::Cameras(cameras), window) })
    }),
    ("facets", |district, month, _| {
        let text = if district.below(2) == 0 { String::new() } else { district.words().into() };
        let under = if district.below(2) == 0 { vec![district.community()] } else { Vec::new() };
        Ok(Question { text, under, facets: true, ..Question::new(Reach::Everything, month) })
    }),
    ("histogram", |district, month, _| {
        let severity = *district.one(&[Severity::Info, Severity::Notice, Severity::Warning]);
        let text = if district.below(2) == 0 { String::new() } else { district.words().into() };
        Ok(Question { severity, text, step_millis: Some(3_600_000), ..Question::new(Reach::Everything, month) })
    }),
    ("deep_page", |district, month, events| {
        let at = month.from.as_micros() + i64::from(district.below(30)) * DAY;
        let window = Window::new(month.from, UtcMicros::from_micros(at + DAY));
        let question = Question { text: district.words().into(), ..Question::new(Reach::Everything, window) };
        let before = events.ask(&question)?.next;
        Ok(Question { before, ..question })
    }),
    ("region_hours", |district, month, _| {
        let from = month.from.as_micros() + i64::from(district.below(23)) * DAY;
        let hours = std::array::from_fn(|hour| !(6..22).contains(&hour));
        Ok(Question {
            region: Region::new(0.1, 0.1, 0.4, 0.4),
            hours: Some(hours),
            cameras: CameraId::new(1 + district.below(12_999)).into_iter().collect(),
            ..Question::new(Reach::Everything, Window::new(UtcMicros::from_micros(from), UtcMicros::from_micros(from + 7 * DAY)))
        })
    }),
];

/// `tests/measure events-crash`.
pub(crate) fn crash(kills: u32) -> Result<()> {
    let place = Place::new("events-crash")?;
    let program = std::env::current_exe()?;
    let mut acked = 0;
    let mut storm = 0.0;
    for kill in 0..kills {
        let mut child = Command::new(&program).arg("events-storm").arg(&place.folder).stdout(Stdio::piped()).spawn()?;
        let out = child.stdout.take().context("its output")?;
        let reader = std::thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            lines.filter_map(|line| line.strip_suffix('.').and_then(|number| number.parse::<u64>().ok())).max().unwrap_or(0)
        });
        // Spread over the first commits, later ones and merges.
        let alive = Duration::from_millis(300 + u64::from(kill * 137 % 1500));
        std::thread::sleep(alive);
        child.kill()?;
        child.wait()?;
        let seen = reader.join().map_err(|_| anyhow::anyhow!("the reader failed"))?;
        storm += (seen.saturating_sub(acked)) as f64 / alive.as_secs_f64() / f64::from(kills);
        acked = acked.max(seen);
    }
    let (journal, events) = place.open()?;
    ensure!(events.wait_indexed(journal.tail(), LONG), "the index does not follow");
    let tail = journal.tail().get();
    drop(events);
    let found = events::contents(&place.index())?;
    let mut times: HashMap<u64, u32> = HashMap::new();
    found.iter().for_each(|(seq, ..)| *times.entry(*seq).or_default() += 1);
    let lost = (1..=tail.max(acked)).filter(|seq| !times.contains_key(seq)).count();
    let rebuilt = events::rebuild(&place.index(), Sources::own(journal), IndexLimits::default())?;
    let same = events::contents(&place.index())? == found;
    let mut figures = Figures::default();
    figures.add("kills", f64::from(kills), "kills");
    figures.add("events", tail as f64, "events");
    figures.add("acknowledged", acked as f64, "events");
    figures.add("storm_events_per_s", storm, "events/s");
    figures.add("lost", lost as f64 + acked.saturating_sub(tail) as f64, "events");
    figures.add("doubled", times.values().filter(|count| **count > 1).count() as f64, "events");
    figures.add("rebuild_equals_index", f64::from(u8::from(same)), "1 is yes");
    figures.add("rebuild_events_per_s", rebuilt.events as f64 / rebuilt.took.as_secs_f64(), "events/s");
    figures.finish();
    Ok(())
}

/// A process that is made to be killed: appends as fast as the journal takes it, and says how far it was told to be durable.
pub(crate) fn storm(folder: &Path) -> Result<()> {
    let (journal, _events) = open(folder)?;
    let acked = Arc::new(AtomicU64::new(0));
    let telling = Arc::clone(&acked);
    std::thread::spawn(move || {
        let mut out = std::io::stdout();
        loop {
            // The dot shows that the number was written whole.
            if writeln!(out, "{}.", telling.load(Ordering::Acquire)).and_then(|()| out.flush()).is_err() {
                std::process::exit(0);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    let mut district = District::new(u64::from(std::process::id()));
    let mut late = 0;
    loop {
        // Some come late, into older days.
        late = (late + 1) % 50;
        let ago = if late == 0 { i64::from(district.below(4)) * DAY } else { 0 };
        let event = district.event(UtcMicros::from_micros(UtcMicros::now().as_micros() - ago));
        append(&journal, &acked, event);
    }
}
