//! What one node's journal says of its cameras: pure, record by record.
//!
//! What a node tells is another machine's word: sizes are capped, and what does not read is passed over. Addresses stand in the records
//! that its own administrators look through; they are not taken in here, so no projection above has one.

use crate::cameras::MAX_CAMERAS;
use crate::journal::Seen;
use crate::model::{AudioBasis, Camera, CameraAddress, CameraId, Priority, RetentionClass, UtcMicros};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The kind of the record by which a node states all of its cameras, in parts.
pub const LISTED: &str = "cameras.listed";
/// Cameras in one part: with the longest names and places, each character escaped, they fit one record.
const IN_PART: usize = 14;

/// A camera as nodes above may know it: no address, no user, no password.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stated {
    id: CameraId,
    name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    place: Vec<String>,
    /// Whether it has a sub-stream.
    #[serde(default)]
    sub: bool,
    #[serde(default)]
    retention: RetentionClass,
    #[serde(default)]
    priority: Priority,
    /// Whether there is a legal basis for its sound.
    #[serde(default)]
    audio: bool,
    #[serde(default = "yes")]
    enabled: bool,
}

/// The same as it stands in a record of a change, among what is not taken in.
#[derive(Deserialize)]
struct Settings {
    id: CameraId,
    name: String,
    #[serde(default)]
    place: Vec<String>,
    #[serde(default)]
    sub: Option<IgnoredAny>,
    #[serde(default)]
    retention: RetentionClass,
    #[serde(default)]
    priority: Priority,
    #[serde(default)]
    audio: Option<IgnoredAny>,
    #[serde(default = "yes")]
    enabled: bool,
}

fn yes() -> bool {
    true
}

impl From<&Camera> for Stated {
    fn from(camera: &Camera) -> Self {
        Self {
            id: camera.id,
            name: camera.name.clone(),
            place: camera.place.clone(),
            sub: camera.sub.is_some(),
            retention: camera.retention,
            priority: camera.priority,
            audio: camera.audio.is_some(),
            enabled: camera.enabled,
        }
    }
}

impl From<Settings> for Stated {
    fn from(settings: Settings) -> Self {
        let Settings { id, name, place, sub, retention, priority, audio, enabled } = settings;
        Self { id, name, place, sub: sub.is_some(), retention, priority, audio: audio.is_some(), enabled }
    }
}

impl Stated {
    /// The camera, below a part of the tree. Its addresses say only which streams it has: nobody above can dial it.
    pub(super) fn camera(&self, above: &[String]) -> Camera {
        let held = CameraAddress::held_by_its_node;
        Camera {
            place: above.iter().chain(&self.place).cloned().collect(),
            sub: self.sub.then(held),
            retention: self.retention,
            priority: self.priority,
            audio: self.audio.then(|| AudioBasis("held by its node".to_owned())),
            enabled: self.enabled,
            ..Camera::new(self.id, self.name.clone(), held())
        }
    }

    fn is_good(&self) -> bool {
        let good = |text: &str| !text.trim().is_empty() && text.chars().count() <= 100;
        good(&self.name) && self.place.len() <= 6 && self.place.iter().all(|level| good(level))
    }
}

/// Whether a camera was recorded when its node last told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Doing {
    /// Whether its main stream is recorded.
    pub recorded: bool,
    /// Since when, by its node's clock.
    pub since: UtcMicros,
}

/// A camera that its node has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Present {
    pub(super) stated: Stated,
    /// Since when its node states the number without a break.
    pub(super) since: UtcMicros,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) doing: Option<Doing>,
}

/// A camera that its node had.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Past {
    pub(super) stated: Stated,
    pub(super) at: UtcMicros,
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Told {
    #[serde(with = "as_list")]
    pub(super) present: BTreeMap<CameraId, Present>,
    #[serde(with = "as_list")]
    pub(super) past: BTreeMap<CameraId, Past>,
    /// Parts of a list that is not whole yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Stated>,
    /// The part that comes next; 0 when no list is under way.
    #[serde(default)]
    next: usize,
}

#[derive(Serialize, Deserialize)]
struct Listed {
    part: usize,
    parts: usize,
    cameras: Vec<Stated>,
}

#[derive(Deserialize)]
struct Change {
    camera: CameraId,
    #[serde(default)]
    after: Option<Settings>,
}

#[derive(Deserialize)]
struct Happened {
    #[serde(default)]
    camera: Option<CameraId>,
    #[serde(default)]
    camera_numbers: Vec<CameraId>,
    #[serde(default)]
    stream: Option<String>,
    #[serde(default)]
    time_us: Option<UtcMicros>,
}

impl Told {
    /// Takes a record in; whether it changed anything that is shown.
    pub(super) fn take(&mut self, seen: Seen<'_>) -> bool {
        match seen.kind {
            "camera.added" | "camera.changed" | "camera.removed" => {
                serde_json::from_slice(seen.body).is_ok_and(|change| self.change(change, seen.at))
            }
            LISTED => serde_json::from_slice(seen.body).is_ok_and(|listed| self.listed(listed, seen.at)),
            "camera.recording" | "cameras.back" => self.happened(seen, true),
            "camera.offline" | "cameras.offline" => self.happened(seen, false),
            _ => false,
        }
    }

    /// Whether these cameras, and no others, are what was told.
    #[must_use]
    pub(crate) fn is(&self, cameras: &[Stated]) -> bool {
        self.next == 0
            && self.present.len() == cameras.len()
            && cameras.iter().all(|camera| self.present.get(&camera.id).is_some_and(|present| present.stated == *camera))
    }

    fn change(&mut self, change: Change, at: UtcMicros) -> bool {
        match change.after {
            Some(after) if after.id == change.camera => self.put(after.into(), at),
            Some(_) => false,
            None => self.drop(change.camera, at),
        }
    }

    fn put(&mut self, stated: Stated, at: UtcMicros) -> bool {
        let id = stated.id;
        if !stated.is_good() || (self.present.len() >= MAX_CAMERAS && !self.present.contains_key(&id)) {
            return false;
        }
        self.past.remove(&id);
        match self.present.get_mut(&id) {
            Some(present) if present.stated == stated => false,
            Some(present) => {
                present.stated = stated;
                true
            }
            None => self.present.insert(id, Present { stated, since: at, doing: None }).is_none(),
        }
    }

    fn drop(&mut self, id: CameraId, at: UtcMicros) -> bool {
        let Some(Present { stated, .. }) = self.present.remove(&id) else { return false };
        self.past.insert(id, Past { stated, at });
        while self.past.len() > MAX_CAMERAS {
            let oldest = self.past.iter().min_by_key(|(_, past)| past.at).map(|(id, _)| *id);
            oldest.and_then(|id| self.past.remove(&id));
        }
        true
    }

    fn listed(&mut self, listed: Listed, at: UtcMicros) -> bool {
        let Listed { part, parts, cameras } = listed;
        if part == 1 {
            (self.parts, self.next) = (Vec::new(), 1);
        }
        // A part whose list lost its beginning says nothing.
        if part != self.next || part > parts || self.parts.len() + cameras.len() > MAX_CAMERAS {
            (self.parts, self.next) = (Vec::new(), 0);
            return false;
        }
        self.parts.extend(cameras);
        self.next = part + 1;
        if part < parts {
            return false;
        }
        self.next = 0;
        let all = std::mem::take(&mut self.parts);
        let gone: Vec<CameraId> = self.present.keys().filter(|id| !all.iter().any(|stated| stated.id == **id)).copied().collect();
        let mut changed = false;
        gone.into_iter().for_each(|id| changed |= self.drop(id, at));
        all.into_iter().for_each(|stated| changed |= self.put(stated, at));
        changed
    }

    fn happened(&mut self, seen: Seen<'_>, recorded: bool) -> bool {
        let Ok(happened) = serde_json::from_slice::<Happened>(seen.body) else { return false };
        if happened.stream.is_some_and(|stream| stream.ends_with("/sub")) {
            return false;
        }
        let doing = Doing { recorded, since: happened.time_us.unwrap_or(seen.at) };
        let mut changed = false;
        for id in happened.camera.into_iter().chain(happened.camera_numbers) {
            if let Some(present) = self.present.get_mut(&id)
                && present.doing.is_none_or(|before| before.recorded != recorded)
            {
                present.doing = Some(doing);
                changed = true;
            }
        }
        changed
    }
}

/// The bodies of the records that state all cameras of a node.
#[must_use]
pub(crate) fn statement(cameras: &[Stated]) -> Vec<Value> {
    let parts = cameras.len().div_ceil(IN_PART).max(1);
    let part = |part: usize| {
        let from = ((part - 1) * IN_PART).min(cameras.len());
        let some = &cameras[from..(from + IN_PART).min(cameras.len())];
        json!(Listed { part, parts, cameras: some.to_vec() })
    };
    (1..=parts).map(part).collect()
}

/// Maps by camera as lists of pairs: JSON has no numbers as keys.
mod as_list {
    use crate::model::CameraId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    pub(super) fn serialize<V: Serialize, S: Serializer>(map: &BTreeMap<CameraId, V>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(map.iter())
    }

    pub(super) fn deserialize<'de, V: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<BTreeMap<CameraId, V>, D::Error> {
        Ok(Vec::<(CameraId, V)>::deserialize(from)?.into_iter().collect())
    }
}
