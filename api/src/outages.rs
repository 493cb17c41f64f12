//! One cause, one event: cameras that go, or come back, together are told of together.
//!
//! A switch that dies takes forty cameras with it within the same seconds. Told one by one they would bury whatever else happens,
//! and hide that it is one thing. So the first is held back until no other followed for some seconds; if it stayed alone it is told
//! as it is, with the time at which it happened. What the ledger says of each camera does not wait for this.

use index::{
    events::{CAMERAS, COUNT, Event, Kind, Text},
    journal::Record,
    model::{Camera, CameraId, StreamKind, UtcMicros},
};
use ingest::{CameraEvent, CameraEventKind};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// From so many cameras on it is one event.
pub const MANY: usize = 5;
/// How long after the last camera another one is waited for.
const QUIET: Duration = Duration::from_secs(3);
/// However many follow, what is known is told after so long.
const LONGEST: Duration = Duration::from_secs(20);

/// What is held back: cameras that went, and cameras that came back. A camera's sub-stream is told of only if its main stream did
/// not go or come with it.
#[derive(Default, Debug)]
pub struct Outages {
    gone: Gathering,
    back: Gathering,
}

#[derive(Default, Debug)]
struct Gathering {
    since: Option<Instant>,
    newest: Option<Instant>,
    cameras: BTreeMap<CameraId, CameraEvent>,
}

/// What is to be told.
#[derive(Debug, PartialEq)]
pub enum Told {
    /// An event as it is.
    One(CameraEvent),
    /// Many at once.
    Many(Vec<CameraEvent>),
}

impl Outages {
    /// Takes an event; returns what is told at once.
    pub fn take(&mut self, event: CameraEvent, now: Instant) -> Option<Told> {
        let gathering = match &event.kind {
            CameraEventKind::Offline { .. } => &mut self.gone,
            CameraEventKind::Recording { .. } => &mut self.back,
            _ => return Some(Told::One(event)),
        };
        gathering.since.get_or_insert(now);
        gathering.newest = Some(now);
        match gathering.cameras.entry(event.stream.camera) {
            std::collections::btree_map::Entry::Vacant(place) => drop(place.insert(event)),
            std::collections::btree_map::Entry::Occupied(mut known) => {
                // Twice the same stream is twice something; the sub-stream's share in it says nothing new.
                if known.get().stream.kind == StreamKind::Sub && event.stream.kind == StreamKind::Main {
                    known.insert(event);
                } else if known.get().stream == event.stream {
                    return Some(Told::One(known.insert(event)));
                }
            }
        }
        None
    }

    /// What is told now that it is so late.
    pub fn due(&mut self, now: Instant) -> Vec<Told> {
        // Who went is told before who came back.
        [&mut self.gone, &mut self.back].into_iter().flat_map(|gathering| gathering.due(now)).collect()
    }

    /// Everything that is held back, because the node ends.
    pub fn rest(&mut self) -> Vec<Told> {
        [&mut self.gone, &mut self.back].into_iter().flat_map(Gathering::tell).collect()
    }
}

impl Gathering {
    fn due(&mut self, now: Instant) -> Vec<Told> {
        let quiet = self.newest.is_some_and(|newest| now.duration_since(newest) >= QUIET);
        let long = self.since.is_some_and(|since| now.duration_since(since) >= LONGEST);
        if quiet || long { self.tell() } else { Vec::new() }
    }

    fn tell(&mut self) -> Vec<Told> {
        let Self { cameras, .. } = std::mem::take(self);
        let events: Vec<CameraEvent> = cameras.into_values().collect();
        if events.len() >= MANY { vec![Told::Many(events)] } else { events.into_iter().map(Told::One).collect() }
    }
}

/// The record of many cameras that went or came back together; `camera_of` knows their places.
pub fn record(events: &[CameraEvent], camera_of: impl Fn(CameraId) -> Option<Camera>, now: UtcMicros) -> Record {
    let time = events.iter().map(|event| event.at).min().unwrap_or(now);
    let gone = events.iter().any(|event| matches!(event.kind, CameraEventKind::Offline { .. }));
    let places: Vec<Vec<String>> =
        events.iter().filter_map(|event| camera_of(event.stream.camera)).map(|camera| camera.place).collect();
    let place = common(&places);
    let (where_zh, where_en) = match place.last() {
        Some(level) => (format!("（{}）", place.join("/")), format!(" at {level}")),
        None => (String::new(), String::new()),
    };
    let count = events.len();
    let down_s = events.iter().filter_map(|event| match event.kind {
        CameraEventKind::Recording { down_s } => Some(down_s),
        _ => None,
    });
    let (kind, text) = match down_s.max() {
        _ if gone => {
            let zh = format!("{COUNT} 路摄像机同时离线{where_zh}，请检查共用的交换机、供电或网络：{CAMERAS}");
            let en = format!(
                "{COUNT} cameras went offline together{where_en}: look at the switch, the power or the network they share: {CAMERAS}"
            );
            (Kind::CamerasOffline, Text { zh, en })
        }
        Some(longest @ 1..) => {
            let zh = format!("{COUNT} 路摄像机恢复录像{where_zh}，最长缺失 {longest} 秒：{CAMERAS}");
            let en = format!("{COUNT} cameras are recorded again{where_en}, after {longest} s at most: {CAMERAS}");
            (Kind::CamerasBack, Text { zh, en })
        }
        _ => {
            let zh = format!("{COUNT} 路摄像机开始录像{where_zh}：{CAMERAS}");
            let en = format!("{COUNT} cameras began to be recorded{where_en}: {CAMERAS}");
            (Kind::CamerasBack, Text { zh, en })
        }
    };
    let cameras = events.iter().map(|event| event.stream.camera).collect();
    let mut event = Event { cameras, place, text, ..Event::new(time, kind) };
    event.attributes.insert("cameras".to_owned(), count.into());
    event.into_record(now)
}

/// The levels that all places begin with.
pub(crate) fn common(places: &[Vec<String>]) -> Vec<String> {
    let Some((first, rest)) = places.split_first() else { return Vec::new() };
    let shared = |depth: &usize| rest.iter().all(|place| place.get(*depth) == first.get(*depth));
    (0..first.len()).take_while(shared).map(|depth| first[depth].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use index::model::{CameraAddress, GapCause, StreamId};

    fn event(camera: u32, kind: StreamKind, what: CameraEventKind) -> CameraEvent {
        let stream = StreamId::new(CameraId::new(camera).expect("a number"), kind);
        CameraEvent { at: UtcMicros::from_micros(1_000_000 * i64::from(camera)), stream, kind: what }
    }

    fn gone(camera: u32, kind: StreamKind) -> CameraEvent {
        let sentence = || ingest::Sentence { zh: "离线".into(), en: "gone".into() };
        let notice = ingest::Notice { code: "silent", state: sentence(), remedy: sentence() };
        event(camera, kind, CameraEventKind::Offline { cause: GapCause::CameraSilent, notice })
    }

    fn back(camera: u32, down_s: u64) -> CameraEvent {
        event(camera, StreamKind::Main, CameraEventKind::Recording { down_s })
    }

    fn camera(number: u32, place: &[&str]) -> Camera {
        Camera {
            place: place.iter().map(|level| (*level).to_owned()).collect(),
            ..Camera::new(
                CameraId::new(number).expect("a number"),
                format!("camera {number}"),
                CameraAddress::new("rtsp://192.0.2.1/").expect("an address"),
            )
        }
    }

    #[test]
    fn forty_cameras_behind_one_switch_are_one_event() {
        let (mut outages, begin) = (Outages::default(), Instant::now());
        for number in 1..=40 {
            let now = begin + Duration::from_millis(50 * u64::from(number));
            for kind in StreamKind::ALL {
                assert_eq!(outages.take(gone(number, kind), now), None);
            }
            assert_eq!(outages.due(now), []);
        }
        let told = outages.due(begin + Duration::from_secs(6));
        let [Told::Many(events)] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(events.len(), 40, "a camera is one, whatever streams it has");
        let place =
            |id: CameraId| Some(camera(id.number(), &["东苑", if id.number().is_multiple_of(2) { "南门" } else { "北门" }]));
        let record = record(events, place, UtcMicros::from_micros(99_000_000));
        assert_eq!(record.kind, "cameras.offline");
        assert_eq!(record.body["place"], serde_json::json!(["东苑"]), "where all of them stand");
        assert_eq!(record.body["time_us"], 1_000_000, "when the first went");
        assert!(record.body["text"]["zh"].as_str().is_some_and(|text| text.contains("{count} 路")), "{record:?}");
        assert_eq!(record.body["camera_numbers"].as_array().map(Vec::len), Some(40));
        assert_eq!(outages.rest(), []);
    }

    #[test]
    fn one_camera_alone_is_told_as_it_is_after_a_moment() {
        let (mut outages, begin) = (Outages::default(), Instant::now());
        outages.take(gone(7, StreamKind::Sub), begin);
        outages.take(gone(7, StreamKind::Main), begin);
        assert_eq!(outages.due(begin + Duration::from_secs(2)), []);
        assert_eq!(outages.due(begin + Duration::from_secs(3)), [Told::One(gone(7, StreamKind::Main))]);
    }

    #[test]
    fn what_is_no_outage_waits_for_nothing() {
        let mut outages = Outages::default();
        let password = event(7, StreamKind::Main, CameraEventKind::WrongPassword);
        assert_eq!(outages.take(password.clone(), Instant::now()), Some(Told::One(password)));
    }

    #[test]
    fn cameras_that_return_one_after_the_other_are_told_within_a_bound() {
        let (mut outages, begin) = (Outages::default(), Instant::now());
        let mut told = Vec::new();
        for second in 0..30 {
            let now = begin + Duration::from_secs(second);
            assert_eq!(outages.take(back(second as u32 + 1, 90), now), None);
            told.extend(outages.due(now));
        }
        let [Told::Many(first)] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(first.len(), 21, "those of the first twenty seconds");
        let record = record(first, |_| None, UtcMicros::from_micros(99_000_000));
        assert_eq!(record.kind, "cameras.back");
        assert!(record.body["text"]["en"].as_str().is_some_and(|text| text.contains("after 90 s at most")));
        assert!(matches!(outages.rest().as_slice(), [Told::Many(rest)] if rest.len() == 9));
    }

    #[test]
    fn a_stream_that_goes_twice_while_it_is_held_back_is_told_of_twice() {
        let (mut outages, begin) = (Outages::default(), Instant::now());
        assert_eq!(outages.take(gone(7, StreamKind::Main), begin), None);
        assert!(matches!(outages.take(gone(7, StreamKind::Main), begin), Some(Told::One(_))));
    }
}
