//! One cause, one event, and not too many of them: what is told of gaps, and when. Pure.
//!
//! Gaps with one cause that end soon after each other are one event: a restart of the node ends as many as there are cameras. A
//! camera that comes and goes all night is told of some times, and then now and then with the sum of what happened since: nothing is
//! left out of the sums, and nobody is flooded.

use super::holes::{Gap, group};
use crate::{outages::MANY, routes::cause_words};
use index::{
    events::{CAMERAS, COUNT, Event, Kind, Severity, Text},
    journal::Record,
    model::{Camera, CameraId, GapCause, StreamId, StreamKind, UtcMicros, Window},
};
use jiff::{Timestamp, tz::TimeZone};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How long after the last gap of a cause another one is waited for.
const QUIET: Duration = Duration::from_secs(6);
/// However many follow, what is known is told after so long.
const LONGEST: Duration = Duration::from_secs(60);
/// Events about one camera, or about many for one cause, that may be told at once,
const BURST: f64 = 4.0;
/// and how long until there may be another one.
const EACH: Duration = Duration::from_secs(900);
/// A gap that is shorter is a note, and a longer one a warning.
const SHORT: Duration = Duration::from_secs(10);

/// What is gathered, and what is held back.
#[derive(Default, Debug)]
pub struct Gather {
    gathering: BTreeMap<(StreamKind, u8), Gathering>,
    allowances: BTreeMap<About, Allowance>,
    held: BTreeMap<About, Told>,
}

/// What an allowance is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum About {
    /// One stream, and a group of causes.
    One(StreamId, u8),
    /// The streams of many cameras, and a group of causes.
    Many(StreamKind, u8),
}

#[derive(Debug)]
struct Gathering {
    since: Instant,
    newest: Instant,
    gaps: Vec<Gap>,
}

#[derive(Clone, Copy, Debug)]
struct Allowance {
    left: f64,
    at: Instant,
}

/// What is to be told: one gap, or the sum of several.
#[derive(Clone, PartialEq, Debug)]
pub struct Told {
    /// Of which recordings: those of main streams, or of sub-streams alone.
    kind: StreamKind,
    /// The causes, each with how long it lasted in all.
    shares: Vec<(GapCause, Duration)>,
    /// From the beginning of the first to the end of the last.
    pub window: Window,
    /// How many.
    pub count: usize,
    /// Their lengths together.
    pub missing: Duration,
    /// The longest of them.
    pub longest: Duration,
    /// Of which cameras; for each where its last one ended.
    pub cameras: BTreeMap<CameraId, UtcMicros>,
    /// Of which of them the sub-stream was lost with the main stream; for each where its last gap ended.
    pub with_sub: BTreeMap<CameraId, UtcMicros>,
    /// Where the first of each stream began.
    begins: BTreeMap<StreamId, UtcMicros>,
}

impl Gather {
    /// Takes a gap that is over.
    pub fn take(&mut self, gap: Gap, now: Instant) {
        let key = (gap.stream.kind, group(gap.cause));
        let gathering = self.gathering.entry(key).or_insert(Gathering { since: now, newest: now, gaps: Vec::new() });
        gathering.newest = now;
        gathering.gaps.push(gap);
    }

    /// What is told now that it is so late.
    pub fn due(&mut self, now: Instant) -> Vec<Told> {
        let ripe = |gathering: &Gathering| {
            now.duration_since(gathering.newest) >= QUIET || now.duration_since(gathering.since) >= LONGEST
        };
        let keys: Vec<_> = self.gathering.iter().filter(|(_, gathering)| ripe(gathering)).map(|(key, _)| *key).collect();
        for (kind, group) in keys {
            let gaps = self.gathering.remove(&(kind, group)).map(|gathering| gathering.gaps).unwrap_or_default();
            let all = Told::sum(gaps.iter());
            if all.as_ref().is_some_and(|all| all.cameras.len() >= MANY) {
                self.hold(About::Many(kind, group), all);
            } else {
                gaps.iter().for_each(|gap| self.hold(About::One(gap.stream, group), Told::sum([gap].into_iter())));
            }
        }
        self.spend(now)
    }

    /// Streams with gaps that were taken and not told yet, each with the beginning of its first.
    #[must_use]
    pub fn untold(&self) -> BTreeMap<StreamId, UtcMicros> {
        let gathered = self.gathering.values().flat_map(|gathering| &gathering.gaps).flat_map(Told::begins);
        let held = self.held.values().flat_map(|told| told.begins.iter().map(|(stream, from)| (*stream, *from)));
        let mut first: BTreeMap<StreamId, UtcMicros> = BTreeMap::new();
        for (stream, from) in gathered.chain(held) {
            first.entry(stream).and_modify(|known| *known = from.min(*known)).or_insert(from);
        }
        first
    }

    fn hold(&mut self, about: About, told: Option<Told>) {
        let Some(told) = told else { return };
        match self.held.get_mut(&about) {
            Some(held) => held.join(told),
            None => drop(self.held.insert(about, told)),
        }
    }

    fn spend(&mut self, now: Instant) -> Vec<Told> {
        self.allowances.retain(|_, allowance| allowance.now(now) < BURST);
        let allowances = &mut self.allowances;
        let mut may = |about: &About| {
            let allowance = allowances.entry(*about).or_insert(Allowance { left: BURST, at: now });
            *allowance = Allowance { left: allowance.now(now), at: now };
            let may = allowance.left >= 1.0;
            allowance.left -= if may { 1.0 } else { 0.0 };
            may
        };
        self.held.extract_if(.., |about, _| may(about)).map(|(_, told)| told).collect()
    }
}

impl Allowance {
    fn now(self, now: Instant) -> f64 {
        (self.left + now.duration_since(self.at).as_secs_f64() / EACH.as_secs_f64()).min(BURST)
    }
}

impl Told {
    fn sum<'a>(gaps: impl Iterator<Item = &'a Gap>) -> Option<Self> {
        let one = |gap: &Gap| Self {
            kind: gap.stream.kind,
            shares: vec![(gap.cause, gap.window.duration())],
            window: gap.window,
            count: 1,
            missing: gap.window.duration(),
            longest: gap.window.duration(),
            cameras: [(gap.stream.camera, gap.window.to)].into(),
            with_sub: gap.with_sub.iter().map(|window| (gap.stream.camera, window.to)).collect(),
            begins: Self::begins(gap).collect(),
        };
        gaps.map(one).reduce(|mut sum, next| {
            sum.join(next);
            sum
        })
    }

    /// Where a gap began, in each stream that has it.
    fn begins(gap: &Gap) -> impl Iterator<Item = (StreamId, UtcMicros)> + use<> {
        let sub = StreamId::new(gap.stream.camera, StreamKind::Sub);
        [(gap.stream, gap.window.from)].into_iter().chain(gap.with_sub.map(|window| (sub, window.from)))
    }

    /// The cause of most of what is missing.
    #[must_use]
    pub fn cause(&self) -> GapCause {
        let most = self.shares.iter().max_by_key(|(_, lasting)| *lasting);
        most.map_or(GapCause::Unexplained, |(cause, _)| *cause)
    }

    fn join(&mut self, other: Self) {
        for (cause, lasting) in other.shares {
            match self.shares.iter_mut().find(|(known, _)| *known == cause) {
                Some((_, known)) => *known += lasting,
                None => self.shares.push((cause, lasting)),
            }
        }
        self.window = Window::new(self.window.from.min(other.window.from), self.window.to.max(other.window.to));
        self.count += other.count;
        self.missing += other.missing;
        self.longest = self.longest.max(other.longest);
        for (mine, theirs) in [(&mut self.cameras, other.cameras), (&mut self.with_sub, other.with_sub)] {
            for (camera, to) in theirs {
                let known = mine.entry(camera).or_insert(to);
                *known = to.max(*known);
            }
        }
        for (stream, from) in other.begins {
            let known = self.begins.entry(stream).or_insert(from);
            *known = from.min(*known);
        }
    }

    /// The journal's record, dated when the last of the gaps was over; `camera_of` knows places, `zone` is that of the times in the text.
    #[must_use]
    pub fn record(&self, camera_of: impl Fn(CameraId) -> Option<Camera>, zone: &TimeZone, now: UtcMicros) -> Record {
        let alone = self.cameras.keys().next().copied().filter(|_| self.cameras.len() == 1);
        let known: Vec<Camera> = self.cameras.keys().filter_map(|id| camera_of(*id)).collect();
        let places: Vec<Vec<String>> = known.iter().map(|camera| camera.place.clone()).collect();
        // The recording that people ask for is there when only the small one is missing.
        let light = self.longest < SHORT || self.kind == StreamKind::Sub;
        let severity = if light { Severity::Notice } else { Severity::Warning };
        let mut event = Event {
            camera: alone,
            cameras: if alone.is_some() { Vec::new() } else { self.cameras.keys().copied().collect() },
            name: alone.and(known.first()).map(|camera| camera.name.clone()).unwrap_or_default(),
            place: crate::outages::common(&places),
            severity,
            text: self.text(zone),
            ..Event::new(self.window.to, Kind::RecordingGap)
        };
        let seconds = |span: Duration| (span.as_secs_f64() * 10.0).round() / 10.0;
        let facts: [(&str, serde_json::Value); 8] = [
            ("cause", self.cause().word().into()),
            ("stream", if self.kind == StreamKind::Sub { "sub" } else { "main" }.into()),
            ("from_us", self.window.from.as_micros().into()),
            ("to_us", self.window.to.as_micros().into()),
            ("missing_s", seconds(self.missing).into()),
            ("longest_s", seconds(self.longest).into()),
            ("gaps", self.count.into()),
            ("cameras", self.cameras.len().into()),
        ];
        event.attributes.extend(facts.map(|(name, value)| (name.to_owned(), value)));
        let mut record = event.into_record(now);
        // For whoever reads the journal, this module at the next start among them: which cameras, and where each stream's gap ended.
        let ends = |ends: &BTreeMap<CameraId, UtcMicros>| -> serde_json::Value {
            self.cameras.keys().map(|camera| ends.get(camera).map(|to| to.as_micros())).collect()
        };
        let (main, sub) = match self.kind {
            StreamKind::Main => (&self.cameras, &self.with_sub),
            StreamKind::Sub => (&BTreeMap::new(), &self.cameras),
        };
        record.body["camera_numbers"] = self.cameras.keys().map(|camera| camera.number()).collect();
        (record.body["ends_us"], record.body["sub_ends_us"]) = (ends(main), ends(sub));
        record
    }

    fn text(&self, zone: &TimeZone) -> Text {
        let clock = |at: UtcMicros| match Timestamp::from_microsecond(at.as_micros()) {
            Ok(at) => at.to_zoned(zone.clone()).strftime("%m-%d %H:%M:%S").to_string(),
            Err(_) => at.to_string(),
        };
        let (from, to) = (clock(self.window.from), clock(self.window.to));
        let cause = cause_words(self.cause());
        let (missing, longest) = (span(self.missing), span(self.longest));
        let what = match self.kind {
            StreamKind::Main => {
                ("录像", "", if self.with_sub.is_empty() { ("", "") } else { ("（含子码流）", ", the sub-stream too") })
            }
            StreamKind::Sub => ("子码流录像", "Sub-stream: ", ("", "")),
        };
        let (zh, en, (also_zh, also_en)) = what;
        let (zh, en) = if self.cameras.len() > 1 {
            (
                format!("{COUNT} 路摄像机{zh}缺失{also_zh}，{from} 至 {to}，最长 {}：{}：{CAMERAS}", longest.0, cause.zh),
                format!(
                    "{COUNT} cameras were not recorded{}{also_en}, {from} to {to}, {} at most: {}: {CAMERAS}",
                    if en.is_empty() { "" } else { " by their sub-streams" },
                    longest.1,
                    cause.en
                ),
            )
        } else if self.count > 1 {
            (
                format!("{from} 至 {to} {zh}缺失 {} 次，合计 {}{also_zh}：{}", self.count, missing.0, cause.zh),
                format!(
                    "{en}Not recorded {} times from {from} to {to}, {} together{also_en}: {}",
                    self.count, missing.1, cause.en
                ),
            )
        } else {
            (
                format!("{from} 至 {to} {zh}缺失 {}{also_zh}：{}", missing.0, cause.zh),
                format!("{en}Not recorded from {from} to {to}, {}{also_en}: {}", missing.1, cause.en),
            )
        };
        Text { zh, en }
    }
}

/// A span as people read it, Chinese and English.
fn span(span: Duration) -> (String, String) {
    let seconds = span.as_secs_f64();
    match span.as_secs() {
        0..60 => (format!("{seconds:.1} 秒"), format!("{seconds:.1} s")),
        whole @ 60..3600 => (format!("{} 分 {} 秒", whole / 60, whole % 60), format!("{} min {} s", whole / 60, whole % 60)),
        whole => {
            (format!("{} 小时 {} 分", whole / 3600, whole % 3600 / 60), format!("{} h {} min", whole / 3600, whole % 3600 / 60))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(camera: u32, from: i64, to: i64, cause: GapCause) -> Gap {
        let at = |second: i64| UtcMicros::from_micros(second * 1_000_000);
        let stream = StreamId::new(CameraId::new(camera).expect("a number"), StreamKind::Main);
        Gap { stream, window: Window::new(at(from), at(to)), cause, with_sub: None }
    }

    fn sub_gap(camera: u32, from: i64, to: i64) -> Gap {
        let gap = gap(camera, from, to, GapCause::CameraSilent);
        Gap { stream: StreamId::new(gap.stream.camera, StreamKind::Sub), ..gap }
    }

    fn later(begin: Instant, seconds: u64) -> Instant {
        begin + Duration::from_secs(seconds)
    }

    #[test]
    fn a_restart_is_one_event_however_many_cameras_it_cost() {
        let (mut gather, begin) = (Gather::default(), Instant::now());
        for camera in 1..=290 {
            gather.take(gap(camera, 100, 103 + i64::from(camera % 20), GapCause::Restart), later(begin, u64::from(camera) / 10));
        }
        let told = gather.due(later(begin, 40));
        let [one] = told.as_slice() else { panic!("{} events", told.len()) };
        assert_eq!((one.count, one.cameras.len(), one.longest), (290, 290, Duration::from_secs(22)));
        let record = one.record(|_| None, &TimeZone::UTC, UtcMicros::from_micros(200_000_000));
        assert_eq!((record.kind.as_ref(), record.body["attributes"]["cause"].as_str()), ("recording.gap", Some("restart")));
        assert_eq!(record.body["time_us"], 122_000_000, "when the last was recorded again");
        assert_eq!(record.body["camera_numbers"].as_array().map(Vec::len), Some(290));
        assert!(
            record.body["text"]["zh"].as_str().is_some_and(|text| text.starts_with("{count} 路摄像机录像缺失")),
            "{record:?}"
        );
        assert!(gather.untold().is_empty());
    }

    #[test]
    fn one_broken_line_is_one_event_whatever_it_looked_like_from_here() {
        let (mut gather, begin) = (Gather::default(), Instant::now());
        for camera in 1..=6 {
            let cause = if camera % 3 == 0 { GapCause::CameraSilent } else { GapCause::CameraUnreachable };
            gather.take(gap(camera, 100, 160, cause), begin);
        }
        gather.take(gap(9, 100, 160, GapCause::Disk), begin);
        let told = gather.due(later(begin, 6));
        let counts: Vec<usize> = told.iter().map(|told| told.cameras.len()).collect();
        assert_eq!((counts, told.iter().any(|told| told.cause() == GapCause::Disk)), (vec![1, 6], true));
    }

    #[test]
    fn a_camera_that_comes_and_goes_all_night_is_told_of_within_bounds_and_wholly_summed() {
        let (mut gather, begin) = (Gather::default(), Instant::now());
        let mut told = Vec::new();
        for n in 0..480 {
            gather.take(gap(7, n * 60, n * 60 + 5, GapCause::CameraUnreachable), later(begin, n as u64 * 60));
            told.extend(gather.due(later(begin, n as u64 * 60 + 10)));
        }
        assert!(told.len() <= 4 + 8 * 4, "{} events in eight hours", told.len());
        told.extend(gather.due(later(begin, 480 * 60 + 900)));
        assert_eq!(told.iter().map(|told| told.count).sum::<usize>(), 480, "each is in one sum");
        let many = told.iter().find(|told| told.count > 1).expect("a sum");
        let record = many.record(|_| None, &TimeZone::UTC, UtcMicros::from_micros(0));
        assert_eq!(record.body["camera"], 7);
        assert!(record.body["text"]["en"].as_str().is_some_and(|text| text.contains(" times from ")), "{record:?}");
    }

    #[test]
    fn what_is_not_told_yet_is_known_by_where_it_began() {
        let (mut gather, begin) = (Gather::default(), Instant::now());
        gather.take(gap(7, 50, 55, GapCause::Disk), begin);
        gather.take(gap(7, 70, 75, GapCause::CameraSilent), begin);
        let stream = gap(7, 50, 55, GapCause::Disk).stream;
        assert_eq!(gather.untold(), [(stream, UtcMicros::from_micros(50_000_000))].into());
        assert_eq!(gather.due(later(begin, 5)), [], "others may follow");
        assert_eq!(gather.due(later(begin, 7)).len(), 2, "two causes are two events");
    }

    #[test]
    fn a_sub_stream_lost_with_its_main_stream_is_in_one_event_and_alone_it_is_a_note_of_its_own() {
        let (mut gather, begin) = (Gather::default(), Instant::now());
        let with_sub = Some(Window::new(UtcMicros::from_micros(49_000_000), UtcMicros::from_micros(91_000_000)));
        gather.take(Gap { with_sub, ..gap(7, 50, 90, GapCause::CameraSilent) }, begin);
        for camera in [8, 9] {
            gather.take(sub_gap(camera, 200, 260), begin);
        }
        let sub = sub_gap(7, 0, 1).stream;
        assert_eq!(gather.untold().get(&sub), Some(&UtcMicros::from_micros(49_000_000)), "both are untold");
        let records: Vec<Record> = gather
            .due(later(begin, 7))
            .iter()
            .map(|told| told.record(|_| None, &TimeZone::UTC, UtcMicros::from_micros(0)))
            .collect();
        let read = |record: &Record| {
            let zh = record.body["text"]["zh"].as_str().unwrap_or_default().to_owned();
            let ends = (record.body["ends_us"][0].as_i64(), record.body["sub_ends_us"][0].as_i64());
            (zh.contains("录像缺失 40.0 秒（含子码流）"), zh.contains("子码流录像缺失 1 分 0 秒"), ends)
        };
        let read: Vec<_> = records.iter().map(read).collect();
        let alone = (false, true, (None, Some(260_000_000)));
        assert_eq!(read, [(true, false, (Some(90_000_000), Some(91_000_000))), alone, alone]);
        assert!(records[1].body["severity"] == "notice" && records[0].body["severity"].is_null(), "the main stream weighs more");
    }
}
