//! One cause, one event, and not too many of them: what is told of gaps, and when. Pure.
//!
//! Gaps with one cause that end soon after each other are one event: a restart of the node ends as many as there are cameras. A
//! camera that comes and goes all night is told of some times, and then now and then with the sum of what happened since: nothing is
//! left out of the sums, and nobody is flooded.

use super::holes::Gap;
use crate::{outages::MANY, routes::cause_words};
use index::{
    events::{Event, Kind, Severity, Text},
    journal::Record,
    model::{Camera, CameraId, GapCause, UtcMicros, Window},
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
/// Numbers of cameras named in the text.
const NAMED: usize = 12;

/// What is gathered, and what is held back.
#[derive(Default, Debug)]
pub struct Gather {
    gathering: BTreeMap<u8, Gathering>,
    allowances: BTreeMap<About, Allowance>,
    held: BTreeMap<About, Told>,
}

/// What an allowance is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum About {
    /// One camera, and a group of causes.
    Camera(CameraId, u8),
    /// Many cameras, and a group of causes.
    Many(u8),
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
    /// Where the first of each camera began.
    begins: BTreeMap<CameraId, UtcMicros>,
}

impl Gather {
    /// Takes a gap that is over.
    pub fn take(&mut self, gap: Gap, now: Instant) {
        let gathering = self.gathering.entry(group(gap.cause)).or_insert(Gathering { since: now, newest: now, gaps: Vec::new() });
        gathering.newest = now;
        gathering.gaps.push(gap);
    }

    /// What is told now that it is so late.
    pub fn due(&mut self, now: Instant) -> Vec<Told> {
        let ripe = |gathering: &Gathering| {
            now.duration_since(gathering.newest) >= QUIET || now.duration_since(gathering.since) >= LONGEST
        };
        let groups: Vec<u8> = self.gathering.iter().filter(|(_, gathering)| ripe(gathering)).map(|(group, _)| *group).collect();
        for group in groups {
            let gaps = self.gathering.remove(&group).map(|gathering| gathering.gaps).unwrap_or_default();
            let all = Told::sum(gaps.iter());
            if all.as_ref().is_some_and(|all| all.cameras.len() >= MANY) {
                self.hold(About::Many(group), all);
            } else {
                gaps.iter().for_each(|gap| self.hold(About::Camera(gap.camera, group), Told::sum([gap].into_iter())));
            }
        }
        self.spend(now)
    }

    /// Cameras with gaps that were taken and not told yet, each with the beginning of its first.
    #[must_use]
    pub fn untold(&self) -> BTreeMap<CameraId, UtcMicros> {
        let gathered = self.gathering.values().flat_map(|gathering| &gathering.gaps).map(|gap| (gap.camera, gap.window.from));
        let held = self.held.values().flat_map(|told| told.begins.iter().map(|(camera, from)| (*camera, *from)));
        let mut first: BTreeMap<CameraId, UtcMicros> = BTreeMap::new();
        for (camera, from) in gathered.chain(held) {
            first.entry(camera).and_modify(|known| *known = from.min(*known)).or_insert(from);
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
            shares: vec![(gap.cause, gap.window.duration())],
            window: gap.window,
            count: 1,
            missing: gap.window.duration(),
            longest: gap.window.duration(),
            cameras: [(gap.camera, gap.window.to)].into(),
            begins: [(gap.camera, gap.window.from)].into(),
        };
        gaps.map(one).reduce(|mut sum, next| {
            sum.join(next);
            sum
        })
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
        for (camera, to) in other.cameras {
            let known = self.cameras.entry(camera).or_insert(to);
            *known = to.max(*known);
        }
        for (camera, from) in other.begins {
            let known = self.begins.entry(camera).or_insert(from);
            *known = from.min(*known);
        }
    }

    /// The journal's record, dated when the last of the gaps was over; `camera_of` knows places, `zone` is that of the times in the text.
    #[must_use]
    pub fn record(&self, camera_of: impl Fn(CameraId) -> Option<Camera>, zone: &TimeZone, now: UtcMicros) -> Record {
        let alone = self.cameras.keys().next().copied().filter(|_| self.cameras.len() == 1);
        let known: Vec<Camera> = self.cameras.keys().filter_map(|id| camera_of(*id)).collect();
        let places: Vec<Vec<String>> = known.iter().map(|camera| camera.place.clone()).collect();
        let severity = if self.longest < SHORT { Severity::Notice } else { Severity::Warning };
        let mut event = Event {
            camera: alone,
            name: alone.and(known.first()).map(|camera| camera.name.clone()).unwrap_or_default(),
            place: crate::outages::common(&places),
            severity,
            text: self.text(zone),
            ..Event::new(self.window.to, Kind::RecordingGap)
        };
        let seconds = |span: Duration| (span.as_secs_f64() * 10.0).round() / 10.0;
        let facts: [(&str, serde_json::Value); 7] = [
            ("cause", self.cause().word().into()),
            ("from_us", self.window.from.as_micros().into()),
            ("to_us", self.window.to.as_micros().into()),
            ("missing_s", seconds(self.missing).into()),
            ("longest_s", seconds(self.longest).into()),
            ("gaps", self.count.into()),
            ("cameras", self.cameras.len().into()),
        ];
        event.attributes.extend(facts.map(|(name, value)| (name.to_owned(), value)));
        let mut record = event.into_record(now);
        // For whoever reads the journal, this module at the next start among them: which cameras, and where each one's gap ended.
        record.body["camera_numbers"] = self.cameras.keys().map(|camera| camera.number()).collect();
        record.body["ends_us"] = self.cameras.values().map(|to| to.as_micros()).collect();
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
        let cameras = self.cameras.len();
        let (zh, en) = if cameras > 1 {
            let more = if cameras > NAMED { "…" } else { "" };
            let numbers: Vec<String> = self.cameras.keys().take(NAMED).map(ToString::to_string).collect();
            let numbers = format!("{}{more}", numbers.join("、"));
            (
                format!("{cameras} 路摄像机录像缺失，{from} 至 {to}，最长 {}：{}：{numbers}", longest.0, cause.zh),
                format!("{cameras} cameras were not recorded, {from} to {to}, {} at most: {}: {numbers}", longest.1, cause.en),
            )
        } else if self.count > 1 {
            (
                format!("{from} 至 {to} 录像缺失 {} 次，合计 {}：{}", self.count, missing.0, cause.zh),
                format!("Not recorded {} times from {from} to {to}, {} together: {}", self.count, missing.1, cause.en),
            )
        } else {
            (
                format!("{from} 至 {to} 录像缺失 {}：{}", missing.0, cause.zh),
                format!("Not recorded from {from} to {to}, {}: {}", missing.1, cause.en),
            )
        };
        Text { zh, en }
    }
}

/// Causes that one broken line shows as, now this and now that, are one group.
fn group(cause: GapCause) -> u8 {
    match cause {
        GapCause::CameraUnreachable | GapCause::CameraSilent | GapCause::Network | GapCause::NoNetwork => {
            GapCause::CameraUnreachable.code()
        }
        other => other.code(),
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
        Gap { camera: CameraId::new(camera).expect("a number"), window: Window::new(at(from), at(to)), cause }
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
        assert!(record.body["text"]["zh"].as_str().is_some_and(|text| text.starts_with("290 路摄像机录像缺失")), "{record:?}");
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
        let camera = CameraId::new(7).expect("a number");
        assert_eq!(gather.untold(), [(camera, UtcMicros::from_micros(50_000_000))].into());
        assert_eq!(gather.due(later(begin, 5)), [], "others may follow");
        assert_eq!(gather.due(later(begin, 7)).len(), 2, "two causes are two events");
    }
}
