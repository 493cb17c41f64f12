//! A journal record as the index sees it: what it is found by, read without copying, because twenty thousand a second pass here.

use super::atoms::ROLES;
use super::parts::{Class, Region};
use super::{Kind, Severity, several};
use crate::journal::{Seen, Seq};
use crate::model::UtcMicros;
use serde::Deserialize;
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap};

/// What the index needs of a record's body.
#[derive(Deserialize)]
pub(super) struct Glance<'a> {
    time_us: Option<i64>,
    pub(super) camera: Option<u32>,
    /// Where it is about several.
    #[serde(default)]
    pub(super) camera_numbers: Vec<u32>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) place: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    severity: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    text: Words<'a>,
    #[serde(default)]
    pub(super) region: Option<Region>,
    #[serde(default)]
    objects: Vec<GlanceObjects>,
    #[serde(default)]
    attributes: BTreeMap<String, Value>,
    #[serde(borrow, default)]
    pub(super) source: GlanceSource<'a>,
    #[serde(borrow, default)]
    notice: Option<GlanceNotice<'a>>,
}

#[derive(Deserialize, Default)]
struct Words<'a> {
    #[serde(borrow, default)]
    zh: Cow<'a, str>,
    #[serde(borrow, default)]
    en: Cow<'a, str>,
}

#[derive(Deserialize)]
struct GlanceObjects {
    class: Class,
}

#[derive(Deserialize, Default)]
pub(super) struct GlanceSource<'a> {
    #[serde(borrow, default)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    topic: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) id: Cow<'a, str>,
}

#[derive(Deserialize)]
struct GlanceNotice<'a> {
    #[serde(borrow, default)]
    state: Words<'a>,
}

/// A record that is an event, as the index sees it.
pub(super) struct Glimpse<'a> {
    /// When it happened.
    pub(super) time: UtcMicros,
    pub(super) seq: Seq,
    pub(super) at: UtcMicros,
    pub(super) kind: Kind,
    pub(super) body: &'a [u8],
    pub(super) glance: Glance<'a>,
}

impl<'a> Glimpse<'a> {
    /// `None` for the record of something else, or one whose body is not an event's.
    pub(super) fn of(seen: Seen<'a>) -> Option<Self> {
        let kind = Kind::from_word(seen.kind)?;
        let glance: Glance<'a> = serde_json::from_slice(seen.body).ok()?;
        let time = glance.time_us.map_or(seen.at, UtcMicros::from_micros);
        Some(Self { time, seq: seen.seq, at: seen.at, kind, body: seen.body, glance })
    }

    /// How heavy it is: as its source said, or as its kind is.
    pub(super) fn severity(&self) -> Severity {
        self.glance.severity.as_deref().and_then(Severity::from_word).unwrap_or(self.kind.severity())
    }

    /// The texts that it is found by, by role: where, what, and what was said; empty for none.
    pub(super) fn texts(&self) -> [String; ROLES] {
        let Glance { camera, camera_numbers, name, place, text, objects, attributes, source, notice, .. } = &self.glance;
        let camera_number = camera.map(|number| number.to_string()).unwrap_or_default();
        let place = if name.is_empty() && place.is_empty() {
            String::new()
        } else {
            format!("{}/{name} {camera_number}", place.join("/"))
        };
        let (zh, en) = self.kind.name();
        let mut what = format!("{zh} {en}");
        for GlanceObjects { class } in objects {
            let (en, zh) = class.words();
            what.extend([" ", zh, " ", en]);
        }
        let said =
            notice.as_ref().map(|notice| &notice.state).filter(|_| text.zh.is_empty() && text.en.is_empty()).unwrap_or(text);
        let mut words = [&*said.zh, &*said.en, &*source.topic].join(" ");
        if !camera_numbers.is_empty() {
            words = several::searchable(&words);
        }
        for value in attributes.values().filter_map(Value::as_str) {
            words.extend([" ", value]);
        }
        [place, what, if words.trim().is_empty() { String::new() } else { words }]
    }
}
