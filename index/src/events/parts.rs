//! What an event is made of: its identity, its words, where in the picture, what was seen, and who noticed.

use crate::{
    journal::Seq,
    model::{NodeId, UtcMicros},
};
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_ordered_by_time_and_then_by_number() {
        let node = NodeId::from_bytes([200; 16]);
        let id = |millis: i64, seq| EventId::new(UtcMicros::from_micros(millis * 1000), node, Seq::new(seq));
        assert!(id(5, 9) < id(6, 1) && id(6, 1) < id(6, 2));
        assert_eq!(id(6, 2).0.get_version_num(), 7);
    }

    #[test]
    fn regions_touch_when_they_overlap() {
        let region = |l, t, r, b| Region::new(l, t, r, b).expect("a rectangle").packed();
        assert!(Region::touch(region(0.0, 0.0, 0.5, 0.5), region(0.4, 0.4, 1.0, 1.0)));
        assert!(!Region::touch(region(0.0, 0.0, 0.3, 0.3), region(0.5, 0.5, 1.0, 1.0)));
        assert!(Region::new(0.5, 0.0, 0.5, 1.0).is_none() && Region::new(0.0, 0.0, f32::NAN, 1.0).is_none());
    }
}
