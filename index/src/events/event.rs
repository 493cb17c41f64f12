//! One dated observation, never edited: its parts, its bounds, and its form in the journal.
//!
//! A journal record is an event when its kind is one of the closed set ([`Kind`]); its body then has the fields below. The
//! name and the place of the camera stand in the event as they were when it happened, so that old events are found under the
//! names they had, and so that an index rebuilt later is the same index (I7). The record's own instant is when the node
//! received it; `time_us` stands in the body where the event happened at another time.

use super::identity::{self, Identity};
use super::parts::{EventId, Objects, Region, Source, Text};
use super::question::Reach;
use super::several;
use super::{Kind, Severity};
use crate::journal::{Record, Seq};
use crate::model::{CameraId, NodeId, UtcMicros};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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

/// An event as somebody reports it, before the journal gave it its number.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// When it happened.
    pub time: UtcMicros,
    /// What happened.
    pub kind: Kind,
    /// How much it wants attention.
    pub severity: Severity,
    /// Which camera; `None` if it is about none, or about several.
    pub camera: Option<CameraId>,
    /// Which cameras, where it is about several; otherwise empty. The text then says [`crate::events::COUNT`] and [`crate::events::CAMERAS`].
    pub cameras: Vec<CameraId>,
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
            cameras: Vec::new(),
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
            camera_numbers: self.cameras,
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
        Self::read_within(&Reach::Everything, node, seq, at, kind, body)
    }

    /// The same for somebody who reaches some cameras: `None` also where it is about none of them; and of an event about several what
    /// concerns theirs.
    #[must_use]
    pub fn read_within(reach: &Reach, node: NodeId, seq: Seq, at: UtcMicros, kind: &str, body: &[u8]) -> Option<Self> {
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
        let all = if body.camera.is_none() { body.camera_numbers } else { Vec::new() };
        let cameras: Vec<CameraId> = all.iter().copied().filter(|camera| reach.has_of(node, *camera)).collect();
        let reached = match (reach, body.camera) {
            (Reach::Everything, _) => true,
            (_, Some(camera)) => reach.has_of(node, camera),
            (_, None) => !cameras.is_empty(),
        };
        let whole = cameras.len() == all.len();
        let text = match several::filled(&text, &cameras) {
            Some(filled) if !cameras.is_empty() => filled,
            _ if whole => text,
            _ => Text::default(),
        };
        attributes.retain(|name, _| whole || SHARED_FACTS.contains(&name.as_str()));
        let severity = body.severity.as_deref().and_then(Severity::from_word).unwrap_or(kind.severity());
        let event = Event {
            time,
            kind,
            severity,
            camera: body.camera,
            cameras,
            name: body.name,
            place: body.place,
            text,
            region: body.region,
            objects: body.objects,
            attributes,
            source: body.source,
        };
        reached.then(|| Self { id: EventId::new(time, node, seq), node, seq, received: at, event })
    }
}

/// Facts of an event about several cameras that hold for each of them.
const SHARED_FACTS: [&str; 3] = ["cause", "id", "stream"];

/// The JSON of a record's body.
#[derive(Serialize, Deserialize)]
struct Body {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_us: Option<UtcMicros>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    camera: Option<CameraId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    camera_numbers: Vec<CameraId>,
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
    use crate::events::parts::Class;
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
}
