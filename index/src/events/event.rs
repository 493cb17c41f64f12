//! One dated observation, never edited: its parts, its bounds, and its form in the journal.
//!
//! A journal record is an event when its kind is one of the closed set ([`Kind`]); its body then has the fields below. The
//! name and the place of the camera stand in the event as they were when it happened, so that old events are found under the
//! names they had, and so that an index rebuilt later is the same index (I7). The record's own instant is when the node
//! received it; `time_us` stands in the body where the event happened at another time.

use super::identity::{self, Identity};
use super::{Kind, Severity};
use crate::journal::{Record, Seq};
use crate::model::{CameraId, NodeId, UtcMicros};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use uuid::Uuid;

/// Characters of each text.
pub const MAX_TEXT: usize = 500;
/// Attributes, and characters of each one's value.
pub const MAX_ATTRIBUTES: usize = 32;
/// Characters of a name, a topic or a source's own number.
pub const MAX_WORD: usize = 200;
/// Kinds of objects in one event.
pub const MAX_OBJECTS: usize = 16;
/// How long ago an event from outside may have happened: longer than a box is ever cut off, shorter than retention.
pub const OLDEST: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);
/// How far in the future, as clocks differ.
pub const NEWEST: std::time::Duration = std::time::Duration::from_secs(300);

/// An event's identity: time-ordered, and the same whenever it is worked out again. A UUID of version 7 whose tail is the
/// node and the sequence number instead of chance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// The identity of the event that is number `seq` in `node`'s journal and happened at `time`.
    #[must_use]
    pub fn new(time: UtcMicros, node: NodeId, seq: Seq) -> Self {
        let millis = (time.as_micros().max(0) as u128 / 1000) & ((1 << 48) - 1);
        let node = u128::from_be_bytes(node.to_bytes());
        // 12 and 22 bits of the node, 40 of the number: enough for 1,000 events a second over 30 years.
        let tail = (node >> 12 & ((1 << 22) - 1)) << 40 | u128::from(seq.get()) & ((1 << 40) - 1);
        Self(Uuid::from_u128(millis << 80 | 7 << 76 | (node & 0xfff) << 64 | 2 << 62 | tail))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What people read, in both languages. One of them may be empty; then the other serves.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Text {
    /// Chinese.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub zh: String,
    /// English.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub en: String,
}

impl Text {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.zh.is_empty() && self.en.is_empty()
    }
}

/// Where in the picture: a rectangle in shares of its width and height, 0 to 1, from the upper left corner.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(into = "[f32; 4]", try_from = "[f32; 4]")]
pub struct Region {
    /// Left, top, right, bottom.
    corners: [f32; 4],
}

impl Region {
    /// A rectangle; `None` unless 0 ≤ left < right ≤ 1 and 0 ≤ top < bottom ≤ 1.
    #[must_use]
    pub fn new(left: f32, top: f32, right: f32, bottom: f32) -> Option<Self> {
        let within = [left, top, right, bottom].iter().all(|share| (0.0..=1.0).contains(share));
        (within && left < right && top < bottom).then_some(Self { corners: [left, top, right, bottom] })
    }

    /// Left, top, right, bottom.
    #[must_use]
    pub fn corners(self) -> [f32; 4] {
        self.corners
    }

    /// As the index keeps it: a byte a corner, rounded outwards, so that nothing that touches is missed. Never 0.
    pub(super) fn packed(self) -> u64 {
        let [left, top, right, bottom] = self.corners;
        let (down, up) = (|share: f32| (share * 255.0).floor() as u64, |share: f32| (share * 255.0).ceil() as u64);
        down(left) << 24 | down(top) << 16 | up(right) << 8 | up(bottom)
    }

    /// Whether two packed regions touch.
    pub(super) fn touch(a: u64, b: u64) -> bool {
        let part = |packed: u64, shift: u32| packed >> shift & 0xff;
        part(a, 24) < part(b, 8) && part(b, 24) < part(a, 8) && part(a, 16) < part(b, 0) && part(b, 16) < part(a, 0)
    }
}

impl From<Region> for [f32; 4] {
    fn from(region: Region) -> Self {
        region.corners
    }
}

impl TryFrom<[f32; 4]> for Region {
    type Error = &'static str;
    fn try_from([left, top, right, bottom]: [f32; 4]) -> Result<Self, Self::Error> {
        Self::new(left, top, right, bottom).ok_or("a region is [left, top, right, bottom] in shares of the picture, 0 to 1")
    }
}

/// What was seen: a class, never an individual.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A human being.
    Person,
    /// A vehicle of unsaid kind.
    Vehicle,
    /// A car.
    Car,
    /// A lorry.
    Truck,
    /// A bus.
    Bus,
    /// A motorcycle or scooter.
    Motorcycle,
    /// A bicycle.
    Bicycle,
    /// An animal.
    Animal,
    /// A bag, box or other thing.
    Thing,
    /// Fire.
    Fire,
    /// Smoke.
    Smoke,
    /// Something that the source has no word for.
    Other,
}

impl Class {
    /// Every class with its words: as sources write it, Chinese, English.
    pub const ALL: [(Self, &'static str, &'static str); 12] = [
        (Self::Person, "person", "人员"),
        (Self::Vehicle, "vehicle", "车辆"),
        (Self::Car, "car", "轿车"),
        (Self::Truck, "truck", "货车"),
        (Self::Bus, "bus", "客车"),
        (Self::Motorcycle, "motorcycle", "摩托车"),
        (Self::Bicycle, "bicycle", "自行车"),
        (Self::Animal, "animal", "动物"),
        (Self::Thing, "thing", "物品"),
        (Self::Fire, "fire", "明火"),
        (Self::Smoke, "smoke", "烟雾"),
        (Self::Other, "other", "其他目标"),
    ];

    /// Its words, English and Chinese.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        Self::ALL.iter().find(|(class, ..)| *class == self).map_or(("other", "其他目标"), |(_, en, zh)| (en, zh))
    }
}

/// So many of a class.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objects {
    /// What.
    pub class: Class,
    /// How many; 1 to 10,000.
    #[serde(default = "one")]
    pub count: u32,
}

fn one() -> u32 {
    1
}

/// Who noticed, and what they call it.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Source {
    /// Whose report: `onvif`, an analytics box's name, an operator's account; empty for the node itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The camera's own topic, as sent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub topic: String,
    /// The source's own number of the event: the same number twice is one event.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
}

/// An event as somebody reports it, before the journal gave it its number.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// When it happened.
    pub time: UtcMicros,
    /// What happened.
    pub kind: Kind,
    /// How much it wants attention.
    pub severity: Severity,
    /// Which camera; `None` if it is about none, or about many.
    pub camera: Option<CameraId>,
    /// What the camera was called then.
    pub name: String,
    /// Where it stood then, outermost first.
    pub place: Vec<String>,
    /// In words; empty where the kind says it all.
    pub text: Text,
    /// Where in the picture.
    pub region: Option<Region>,
    /// What was seen.
    pub objects: Vec<Objects>,
    /// Further facts: short texts, numbers, yes or no.
    pub attributes: Map<String, Value>,
    /// Who noticed.
    pub source: Source,
}

/// Why an event is not taken. Nothing of it is kept.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EventError {
    /// It carries who somebody is (I14).
    #[error("{place} carries identity data ({}), which this system never keeps: send classes and counts only", why.word())]
    Identity {
        /// Where in the event.
        place: String,
        /// What gave it away.
        why: Identity,
    },
    /// A part is too long, or there are too many.
    #[error("{what} is larger than {limit}")]
    TooLarge {
        /// Which part.
        what: &'static str,
        /// What is allowed.
        limit: usize,
    },
    /// An attribute is a list or an object.
    #[error("attribute {0:?} is neither a text, a number nor a yes or no")]
    Nested(String),
    /// The time cannot be.
    #[error("the time is more than 30 days in the past or 5 minutes in the future: set the sender's clock")]
    Time,
    /// A count of nothing.
    #[error("an object count is not 1 to 10,000")]
    Count,
}

impl Event {
    /// An event of `kind` at `time`, with the kind's own severity and nothing else said.
    #[must_use]
    pub fn new(time: UtcMicros, kind: Kind) -> Self {
        Self {
            time,
            kind,
            severity: kind.severity(),
            camera: None,
            name: String::new(),
            place: Vec::new(),
            text: Text::default(),
            region: None,
            objects: Vec::new(),
            attributes: Map::new(),
            source: Source::default(),
        }
    }

    /// Checks bounds, and that nothing in it says who somebody is. For whatever comes from outside the node.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self, now: UtcMicros) -> Result<(), EventError> {
        let ahead = self.time.micros_from(now);
        if ahead > NEWEST.as_micros() as i64 || -ahead > OLDEST.as_micros() as i64 {
            return Err(EventError::Time);
        }
        let texts = [
            ("text.zh", &self.text.zh, MAX_TEXT),
            ("text.en", &self.text.en, MAX_TEXT),
            ("source.name", &self.source.name, MAX_WORD),
            ("source.topic", &self.source.topic, MAX_WORD),
            ("source.id", &self.source.id, MAX_WORD),
        ];
        for (what, text, limit) in texts {
            if text.chars().count() > limit {
                return Err(EventError::TooLarge { what, limit });
            }
            if let Some(why) = identity::in_text(text).filter(|why| what != "source.id" || *why != Identity::Encoded) {
                return Err(EventError::Identity { place: what.to_owned(), why });
            }
        }
        if self.objects.len() > MAX_OBJECTS {
            return Err(EventError::TooLarge { what: "objects", limit: MAX_OBJECTS });
        }
        if self.objects.iter().any(|objects| !(1..=10_000).contains(&objects.count)) {
            return Err(EventError::Count);
        }
        self.check_attributes()
    }

    fn check_attributes(&self) -> Result<(), EventError> {
        if self.attributes.len() > MAX_ATTRIBUTES {
            return Err(EventError::TooLarge { what: "attributes", limit: MAX_ATTRIBUTES });
        }
        for (name, value) in &self.attributes {
            if name.chars().count() > MAX_WORD {
                return Err(EventError::TooLarge { what: "the name of an attribute", limit: MAX_WORD });
            }
            if let Some(why) = identity::in_name(name).or_else(|| identity::in_value(value)) {
                // The name may itself be the identity, so it is not repeated.
                return Err(EventError::Identity { place: "an attribute".to_owned(), why });
            }
            match value {
                Value::String(text) if text.chars().count() > MAX_WORD => {
                    return Err(EventError::TooLarge { what: "the value of an attribute", limit: MAX_WORD });
                }
                Value::Array(_) | Value::Object(_) => return Err(EventError::Nested(name.clone())),
                _ => {}
            }
        }
        Ok(())
    }

    /// The journal's record of the event, received at `now`.
    #[must_use]
    pub fn into_record(self, now: UtcMicros) -> Record {
        let body = Body {
            time_us: (self.time != now).then_some(self.time),
            camera: self.camera,
            name: self.name,
            place: self.place,
            severity: (self.severity != self.kind.severity()).then(|| self.severity.word().to_owned()),
            text: self.text,
            region: self.region,
            objects: self.objects,
            attributes: self.attributes,
            source: self.source,
            notice: None,
            rest: Map::new(),
        };
        Record::new(now, self.kind.word(), serde_json::to_value(body).unwrap_or_default())
    }
}

/// An event as the journal keeps it.
#[derive(Clone, PartialEq, Debug)]
pub struct Kept {
    /// Its identity.
    pub id: EventId,
    /// Whose journal.
    pub node: NodeId,
    /// Its place there.
    pub seq: Seq,
    /// When the node received it.
    pub received: UtcMicros,
    /// The event.
    pub event: Event,
}

impl Kept {
    /// The event that a journal record is; `None` for the record of something else.
    #[must_use]
    pub fn read(node: NodeId, seq: Seq, at: UtcMicros, kind: &str, body: &[u8]) -> Option<Self> {
        let kind = Kind::from_word(kind)?;
        let body: Body = serde_json::from_slice(body).ok()?;
        let time = body.time_us.unwrap_or(at);
        let mut attributes = body.attributes;
        // What the node's own parts note beside the common fields: plain facts only, no settings of cameras before and after.
        attributes.extend(body.rest.into_iter().filter(|(_, value)| !value.is_object() && !value.is_array()));
        let text = match body.notice {
            Some(Notice { state }) if body.text.is_empty() => state,
            _ => body.text,
        };
        let severity = body.severity.as_deref().and_then(Severity::from_word).unwrap_or(kind.severity());
        let event = Event {
            time,
            kind,
            severity,
            camera: body.camera,
            name: body.name,
            place: body.place,
            text,
            region: body.region,
            objects: body.objects,
            attributes,
            source: body.source,
        };
        Some(Self { id: EventId::new(time, node, seq), node, seq, received: at, event })
    }
}

/// The JSON of a record's body.
#[derive(Serialize, Deserialize)]
struct Body {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_us: Option<UtcMicros>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    camera: Option<CameraId>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    place: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    severity: Option<String>,
    #[serde(default, skip_serializing_if = "Text::is_empty")]
    text: Text,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    objects: Vec<Objects>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    attributes: Map<String, Value>,
    #[serde(default, skip_serializing_if = "is_own")]
    source: Source,
    /// What an operator reads, where a session with a camera noticed.
    #[serde(default, skip_serializing)]
    notice: Option<Notice>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct Notice {
    state: Text,
}

fn is_own(source: &Source) -> bool {
    *source == Source::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: UtcMicros = UtcMicros::from_micros(1_800_000_000_000_000);

    fn crossing() -> Event {
        Event {
            camera: CameraId::new(7).ok(),
            name: "南门岗亭".into(),
            place: vec!["东苑社区".into(), "3号楼".into()],
            text: Text { zh: "一人越线".into(), en: "one person crossed".into() },
            region: Region::new(0.1, 0.2, 0.5, 0.9),
            objects: vec![Objects { class: Class::Person, count: 1 }],
            attributes: json!({"direction": "in", "likelihood": 0.9}).as_object().cloned().unwrap_or_default(),
            source: Source { name: "box1".into(), topic: String::new(), id: "a-1".into() },
            ..Event::new(UtcMicros::from_micros(NOW.as_micros() - 1_000_000), Kind::LineCrossed)
        }
    }

    #[test]
    fn an_event_comes_back_from_the_journal_as_it_went() {
        let (node, seq) = (NodeId::from_bytes([9; 16]), Seq::new(12));
        let record = crossing().into_record(NOW);
        let body = serde_json::to_vec(&record.body).expect("JSON");
        let kept = Kept::read(node, seq, record.at, &record.kind, &body).expect("an event");
        assert_eq!(kept.event, crossing());
        assert_eq!((kept.received, kept.id), (NOW, EventId::new(crossing().time, node, seq)));
    }

    #[test]
    fn identities_are_ordered_by_time_and_then_by_number() {
        let node = NodeId::from_bytes([200; 16]);
        let id = |millis: i64, seq| EventId::new(UtcMicros::from_micros(millis * 1000), node, Seq::new(seq));
        assert!(id(5, 9) < id(6, 1) && id(6, 1) < id(6, 2));
        assert_eq!(id(6, 2).0.get_version_num(), 7);
    }

    #[test]
    fn what_the_nodes_own_parts_note_is_an_event_too() {
        let body = json!({"camera": 3, "stream": "3/main", "cause": "camera", "after": {"main": "rtsp://192.0.2.7/"}, "notice": {"code": "x", "state": {"zh": "离线", "en": "gone"}, "remedy": {"zh": "", "en": ""}}});
        let body = serde_json::to_vec(&body).expect("JSON");
        let kept = Kept::read(NodeId::from_bytes([1; 16]), Seq::new(1), NOW, "camera.offline", &body).expect("an event");
        assert_eq!((kept.event.kind, kept.event.text.zh.as_str()), (Kind::CameraOffline, "离线"));
        assert_eq!(kept.event.attributes["cause"], "camera");
        assert!(!kept.event.attributes.contains_key("after"), "where a camera is reached is nobody's business here");
        assert!(Kept::read(kept.node, kept.seq, NOW, "access.playback", b"{}").is_none());
    }

    #[test]
    fn who_somebody_is_does_not_pass_in_any_part() {
        let spoil: [fn(&mut Event); 6] = [
            |event| event.text.zh = "车牌苏F12345".into(),
            |event| event.text.en = "call 13912345678".into(),
            |event| drop(event.attributes.insert("faceId".into(), json!(1))),
            |event| drop(event.attributes.insert("note".into(), json!("11010519491231002X"))),
            |event| drop(event.attributes.insert("v".into(), json!(vec![0.1; 128]))),
            |event| event.source.topic = "苏F·D12345".into(),
        ];
        assert_eq!(crossing().check(NOW), Ok(()));
        for (n, spoil) in spoil.into_iter().enumerate() {
            let mut event = crossing();
            spoil(&mut event);
            let error = event.check(NOW).expect_err("refused");
            assert!(matches!(error, EventError::Identity { .. }), "{n}: {error}");
            assert!(!error.to_string().contains("12345"), "what was refused is not repeated");
        }
    }

    #[test]
    fn an_events_size_and_time_are_bounded() {
        type Case = (fn(&mut Event), fn(&EventError) -> bool);
        let spoil: [Case; 6] = [
            (|event| event.text.zh = "长".repeat(MAX_TEXT + 1), |error| matches!(error, EventError::TooLarge { .. })),
            (|event| event.objects = vec![Objects { class: Class::Car, count: 0 }], |error| *error == EventError::Count),
            (
                |event| event.objects = vec![Objects { class: Class::Car, count: 1 }; 17],
                |error| matches!(error, EventError::TooLarge { .. }),
            ),
            (|event| drop(event.attributes.insert("a".into(), json!({"b": 1}))), |error| matches!(error, EventError::Nested(_))),
            (|event| event.time = UtcMicros::from_micros(NOW.as_micros() + 301_000_000), |error| *error == EventError::Time),
            (|event| event.time = UtcMicros::from_micros(0), |error| *error == EventError::Time),
        ];
        for (n, (spoil, expected)) in spoil.into_iter().enumerate() {
            let mut event = crossing();
            spoil(&mut event);
            assert!(event.check(NOW).is_err_and(|error| expected(&error)), "case {n}");
        }
    }

    #[test]
    fn regions_touch_when_they_overlap() {
        let region = |l, t, r, b| Region::new(l, t, r, b).expect("a rectangle").packed();
        assert!(Region::touch(region(0.0, 0.0, 0.5, 0.5), region(0.4, 0.4, 1.0, 1.0)));
        assert!(!Region::touch(region(0.0, 0.0, 0.3, 0.3), region(0.5, 0.5, 1.0, 1.0)));
        assert!(Region::new(0.5, 0.0, 0.5, 1.0).is_none() && Region::new(0.0, 0.0, f32::NAN, 1.0).is_none());
    }
}
