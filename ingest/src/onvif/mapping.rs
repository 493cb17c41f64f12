//! From what cameras call things to our kinds and classes. ONVIF's own topics first, then what common makes use instead; any
//! other topic is kept as what it is.

use super::{Item, Notification};
use index::events::{Class, Kind};

/// Topics that are the camera's housekeeping: gauges and settings, no events.
const HOUSEKEEPING: [&str; 6] = [
    "processorusage",
    "operatingtime",
    "configurationchanged",
    "profilechanged",
    "recordingjobconfiguration",
    "trackconfiguration",
];

/// The kind of a notification; `None` for what is no event of anybody's.
pub(super) fn kind(notification: &Notification) -> Option<Kind> {
    let path: Vec<String> = segments(&notification.topic).collect();
    if path.is_empty() || path.iter().any(|part| HOUSEKEEPING.contains(&part.as_str())) {
        return None;
    }
    let has = |word: &str| path.iter().any(|part| part.contains(word));
    let last = path.last().map_or("", String::as_str);
    // In this order: `LineDetector/Crossed` before whatever else has `motion` in its path.
    let found = [
        (has("wrongdirection") || has("wrongway") || has("retrograde"), Kind::WrongWay),
        (has("linedetector") || has("linecross") || has("crossline") || has("tripwire"), Kind::LineCrossed),
        (has("loiter") || has("wandering"), Kind::Loitering),
        (has("exitregion") || has("regionexit") || has("leavearea") || has("exiting"), Kind::AreaLeft),
        (has("fielddetector") || has("intrusion") || has("enterregion") || has("regionentrance"), Kind::AreaEntered),
        (has("crowd") || has("density"), Kind::Crowd),
        (has("abandon") || has("unattended") || has("objectleft") || has("lefto"), Kind::ObjectLeft),
        (has("missingobject") || has("objectremoved") || has("objectisremoved") || has("takenaway"), Kind::ObjectRemoved),
        (has("falldetect") || has("fallen") || last == "fall", Kind::Fall),
        (has("fire") || has("smoke") || has("flame"), Kind::Fire),
        (has("parking") || has("stoppedvehicle"), Kind::Parking),
        (has("thrown") || has("highaltitude"), Kind::Thrown),
        (has("counting") || has("countaggregation") || has("linecounter") || last == "counter", Kind::Counted),
        (has("digitalinput") || has("externalinput") || has("alarmin"), Kind::Input),
        (has("audio") || has("sound"), Kind::Sound),
        (has("tamper") || has("globalscenechange") || has("sceneshielding") || has("occlusion"), Kind::Tampered),
        (has("imagetooblurry") || has("defocus"), Kind::PictureBlurred),
        (has("imagetoobright"), Kind::PictureWhite),
        (has("motion"), Kind::Motion),
    ];
    let kind = found.into_iter().find_map(|(is, kind)| is.then_some(kind));
    Some(kind.unwrap_or(Kind::CameraTopic))
}

/// A topic's levels without their prefixes, in lower case.
pub(super) fn segments(topic: &str) -> impl Iterator<Item = String> + '_ {
    topic
        .split('/')
        .map(|part| part.rsplit(':').next().unwrap_or(part).trim().to_ascii_lowercase())
        .filter(|part| !part.is_empty())
}

/// The class of an object by the word that a camera has for it, ONVIF's misspelling included.
pub(super) fn class(word: &str) -> Option<Class> {
    Some(match word.to_ascii_lowercase().as_str() {
        "human" | "person" | "people" | "pedestrian" | "humanbody" => Class::Person,
        "vehicle" | "vehical" => Class::Vehicle,
        "car" | "van" | "suv" => Class::Car,
        "truck" | "lorry" => Class::Truck,
        "bus" => Class::Bus,
        "motorcycle" | "motorbike" | "scooter" => Class::Motorcycle,
        "bicycle" | "bike" | "non-motor" | "nonmotor" => Class::Bicycle,
        "animal" | "dog" | "cat" => Class::Animal,
        "bag" | "object" | "package" => Class::Thing,
        "other" | "unknown" => Class::Other,
        _ => return None,
    })
}

/// The classes that a notification's items name, `Human Vehicle` and `Human,Vehicle` alike.
pub(super) fn classes(data: &[Item]) -> impl Iterator<Item = Class> + '_ {
    let named =
        data.iter().filter(|item| matches!(item.name.as_str(), "ClassTypes" | "Class" | "ObjectType" | "Type" | "ObjectClass"));
    named.flat_map(|item| item.value.split([' ', ',', ';'])).filter_map(class)
}

/// Whether the data says yes or no about something.
pub(super) fn truth(data: &[Item]) -> Option<bool> {
    data.iter().find_map(|item| match (item.value.as_str(), item.name.as_str()) {
        ("true" | "True" | "TRUE", _) => Some(true),
        ("false" | "False" | "FALSE", _) => Some(false),
        ("1", "State" | "LogicalState" | "IsMotion" | "IsInside" | "IsTamper") => Some(true),
        ("0", "State" | "LogicalState" | "IsMotion" | "IsInside" | "IsTamper") => Some(false),
        _ => None,
    })
}

/// The count that a counter reports.
pub(super) fn count(data: &[Item]) -> Option<u32> {
    let named = data.iter().filter(|item| item.name.to_ascii_lowercase().contains("count"));
    named.filter_map(|item| item.value.trim().parse().ok()).find(|count| (1..=10_000).contains(count))
}
