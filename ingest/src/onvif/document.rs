//! One `tt:MetadataStream` document, or a bare notification (ONVIF Core Specification §9, Analytics Service Specification §5).
//!
//! Whoever owns a camera's cable writes these bytes, so everything is bounded: length, also when inflated, depth, how many of
//! each thing, how long a word is. A document type is refused, so there are no entities but XML's own five. Names count without
//! their prefix: cameras bind prefixes as they like, and some never bind them at all.

use super::mapping;
use flate2::read::GzDecoder;
use index::{
    events::{Class, Identity, Region, identity_in_item},
    model::UtcMicros,
};
use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};
use std::io::Read;

/// Bytes of a document, inflated.
const BYTES_MAX: u64 = 1 << 20;
/// Elements within each other.
const DEPTH_MAX: usize = 32;
const NOTIFICATIONS_MAX: usize = 256;
const OBJECTS_MAX: usize = 256;
/// Items of one notification.
const ITEMS_MAX: usize = 64;
/// Characters of a value, a name or a topic that are looked at: enough to see that it is a picture or a template.
const WORD_MAX: usize = 4096;

/// What a document says.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Document {
    /// When its pictures were taken, on the camera's clock.
    pub at: Option<UtcMicros>,
    /// What happened, in the order told; at most 256.
    pub notifications: Vec<Notification>,
    /// What is in the picture; at most 256.
    pub objects: Vec<Seen>,
    /// Parts that say who somebody is. What they said was not kept (I14).
    pub refused: Vec<Identity>,
}

/// Something that a camera tells of.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Notification {
    /// The camera's own topic, as sent: `tns1:RuleEngine/LineDetector/Crossed`.
    pub topic: String,
    /// When, on the camera's clock.
    pub at: Option<UtcMicros>,
    /// Whether it is a state, and what became of it.
    pub operation: Operation,
    /// What it is about: which rule, which input. Also the items that ONVIF calls keys.
    pub source: Vec<Item>,
    /// What is so now.
    pub data: Vec<Item>,
}

/// What a notification says of a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Operation {
    /// It is no state: something happened.
    #[default]
    None,
    /// The state, told to whoever begins to listen.
    Initialized,
    /// The state is another.
    Changed,
    /// What the state was about is no more.
    Deleted,
}

/// A name and a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// An object in the picture.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Seen {
    /// The camera's number for it, the same while it is tracked.
    pub id: String,
    /// What it is, if it has a class of ours.
    pub class: Option<Class>,
    /// Where, if that is a rectangle within the picture.
    pub region: Option<Region>,
}

/// Why a document is not read. Nothing of it is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DocumentError {
    /// The compressed bytes do not inflate.
    #[error("its compressed form cannot be read")]
    Compressed,
    /// It is longer than 1 MiB, or holds more of something than any camera has.
    #[error("it is longer than any camera's")]
    TooLarge,
    /// Elements within elements, more than 32.
    #[error("its elements are nested too deep")]
    TooDeep,
    /// It brings a document type, with which entities could be made.
    #[error("it has a document type, which no camera needs")]
    DocumentType,
    /// It is no XML in UTF-8.
    #[error("it is not well-formed XML")]
    Malformed,
}

impl DocumentError {
    /// A stable word for metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Compressed => "compressed",
            Self::TooLarge => "too_large",
            Self::TooDeep => "too_deep",
            Self::DocumentType => "document_type",
            Self::Malformed => "malformed",
        }
    }
}

impl Document {
    /// Reads a document as it came, plain or with gzip.
    ///
    /// # Errors
    /// The first thing that no honest camera sends.
    pub fn read(bytes: &[u8]) -> Result<Self, DocumentError> {
        let inflated;
        let plain = if bytes.starts_with(&[0x1f, 0x8b]) {
            inflated = inflate(bytes)?;
            &inflated
        } else {
            bytes
        };
        if plain.len() as u64 > BYTES_MAX {
            return Err(DocumentError::TooLarge);
        }
        // Some cameras end a document with zeros.
        let plain = plain.trim_ascii().strip_suffix(b"\0").map_or(plain, |rest| rest.trim_ascii_end());
        let text = std::str::from_utf8(plain).map_err(|_| DocumentError::Malformed)?;
        Parser::default().run(text.trim_start_matches('\u{feff}'))
    }
}

fn inflate(bytes: &[u8]) -> Result<Vec<u8>, DocumentError> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).take(BYTES_MAX + 1).read_to_end(&mut plain).map_err(|_| DocumentError::Compressed)?;
    Ok(plain)
}

/// Which list of a notification items go to.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Part {
    #[default]
    None,
    Source,
    Data,
}

/// What text is gathered for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gathering {
    Topic,
    Class,
}

#[derive(Default)]
struct Parser {
    document: Document,
    depth: usize,
    notification: Option<Notification>,
    part: Part,
    object: Option<Seen>,
    text: Option<(Gathering, String)>,
    /// From the frame's coordinates to ONVIF's: factor and offset, across and up.
    scale: [f32; 2],
    translate: [f32; 2],
}

impl Parser {
    fn run(mut self, text: &str) -> Result<Document, DocumentError> {
        let mut reader = Reader::from_str(text);
        self.scale = [1.0, 1.0];
        loop {
            match reader.read_event().map_err(|_| DocumentError::Malformed)? {
                Event::Start(element) => {
                    self.depth += 1;
                    if self.depth > DEPTH_MAX {
                        return Err(DocumentError::TooDeep);
                    }
                    self.begin(&element)?;
                }
                Event::Empty(element) => {
                    self.begin(&element)?;
                    self.end(element.local_name().as_ref())?;
                }
                Event::End(element) => {
                    self.depth = self.depth.checked_sub(1).ok_or(DocumentError::Malformed)?;
                    self.end(element.local_name().as_ref())?;
                }
                Event::Text(piece) => self.gather(&piece),
                Event::CData(piece) => self.gather(&piece),
                Event::GeneralRef(reference) => {
                    let named = quick_xml::escape::resolve_predefined_entity(&reference).map(str::to_owned);
                    let numbered = || reference.resolve_char_ref().ok().flatten().map(String::from);
                    let character = named.or_else(numbered).ok_or(DocumentError::Malformed)?;
                    self.gather(&character);
                }
                Event::DocType(_) => return Err(DocumentError::DocumentType),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof if self.depth == 0 => return Ok(self.document),
                Event::Eof => return Err(DocumentError::Malformed),
            }
        }
    }

    fn gather(&mut self, piece: &str) {
        if let Some((_, text)) = &mut self.text {
            let room = WORD_MAX.saturating_sub(text.chars().count());
            text.extend(piece.chars().take(room));
        }
    }

    fn begin(&mut self, element: &BytesStart<'_>) -> Result<(), DocumentError> {
        let local = element.local_name();
        let name: &str = local.as_ref();
        match name {
            "NotificationMessage" => self.notification = Some(Notification::default()),
            "Topic" if self.notification.is_some() => self.text = Some((Gathering::Topic, String::new())),
            "Message" => self.message(element)?,
            "Source" | "Key" => self.part = Part::Source,
            "Data" => self.part = Part::Data,
            "SimpleItem" => self.item(element)?,
            "ElementItem" => {
                self.refuse(&attribute(element, "Name")?.unwrap_or_default(), "");
            }
            "Frame" => {
                self.document.at = attribute(element, "UtcTime")?.as_deref().and_then(instant).or(self.document.at);
                (self.scale, self.translate) = ([1.0, 1.0], [0.0, 0.0]);
            }
            "Scale" => self.scale = pair(element)?.unwrap_or([1.0, 1.0]),
            "Translate" => self.translate = pair(element)?.unwrap_or([0.0, 0.0]),
            "Object" => self.object = Some(Seen { id: attribute(element, "ObjectId")?.unwrap_or_default(), ..Seen::default() }),
            "BoundingBox" => self.bounding_box(element)?,
            "Type" if self.object.is_some() => self.text = Some((Gathering::Class, String::new())),
            "MetadataStream"
            | "VideoAnalytics"
            | "Event"
            | "PTZ"
            | "Extension"
            | "Appearance"
            | "Shape"
            | "CenterOfGravity"
            | "Class"
            | "ClassCandidate"
            | "Likelihood"
            | "Transformation"
            | "ProducerReference"
            | "SubscriptionReference"
            | "Behaviour"
            | "Speed"
            | "GeoLocation"
            | "Polygon"
            | "Point" => {}
            // `HumanFace`, `LicensePlateInfo` and whatever else is named so: what it holds is passed over.
            other => {
                self.refuse(other, "");
            }
        }
        Ok(())
    }

    fn end(&mut self, name: &str) -> Result<(), DocumentError> {
        match name {
            "NotificationMessage" => {
                let Some(notification) = self.notification.take() else { return Ok(()) };
                self.part = Part::None;
                if self.document.notifications.len() >= NOTIFICATIONS_MAX {
                    return Err(DocumentError::TooLarge);
                }
                self.document.notifications.push(notification);
            }
            "Topic" | "Type" => match (self.text.take(), &mut self.notification, &mut self.object) {
                (Some((Gathering::Topic, text)), Some(notification), _) => notification.topic = text.trim().to_owned(),
                (Some((Gathering::Class, text)), _, Some(object)) => {
                    object.class = object.class.or_else(|| mapping::class(text.trim()));
                    self.refuse(text.trim(), "");
                }
                _ => {}
            },
            "Source" | "Key" | "Data" => self.part = Part::None,
            "Object" => {
                let Some(object) = self.object.take() else { return Ok(()) };
                if self.document.objects.len() >= OBJECTS_MAX {
                    return Err(DocumentError::TooLarge);
                }
                self.document.objects.push(object);
            }
            _ => {}
        }
        Ok(())
    }

    /// `tt:Message`, within the `wsnt:Message` that says nothing.
    fn message(&mut self, element: &BytesStart<'_>) -> Result<(), DocumentError> {
        let Some(notification) = &mut self.notification else { return Ok(()) };
        if let Some(text) = attribute(element, "UtcTime")? {
            notification.at = instant(&text);
        }
        notification.operation = match attribute(element, "PropertyOperation")?.as_deref() {
            Some("Initialized") => Operation::Initialized,
            Some("Changed") => Operation::Changed,
            Some("Deleted") => Operation::Deleted,
            _ => notification.operation,
        };
        Ok(())
    }

    fn item(&mut self, element: &BytesStart<'_>) -> Result<(), DocumentError> {
        let name = attribute(element, "Name")?.unwrap_or_default();
        let value = attribute(element, "Value")?.unwrap_or_default();
        if self.refuse(&name, &value) {
            return Ok(());
        }
        let Some(notification) = &mut self.notification else { return Ok(()) };
        if notification.source.len() + notification.data.len() >= ITEMS_MAX {
            return Err(DocumentError::TooLarge);
        }
        match self.part {
            Part::Source => notification.source.push(Item { name, value }),
            Part::Data => notification.data.push(Item { name, value }),
            Part::None => {}
        }
        Ok(())
    }

    /// Whether a name, or a value by its shape, says who somebody is; counted if so.
    fn refuse(&mut self, name: &str, value: &str) -> bool {
        let why = identity_in_item(name, value);
        self.document.refused.extend(why);
        why.is_some()
    }

    fn bounding_box(&mut self, element: &BytesStart<'_>) -> Result<(), DocumentError> {
        let mut edges = [0.0f32; 4];
        for (edge, name) in edges.iter_mut().zip(["left", "top", "right", "bottom"]) {
            let Some(number) = attribute(element, name)?.and_then(|text| text.trim().parse::<f32>().ok()) else { return Ok(()) };
            *edge = number;
        }
        let [left, top, right, bottom] = edges;
        // ONVIF's picture runs from −1 to 1, upwards; ours from 0 to 1, downwards.
        let across = |x: f32| ((x * self.scale[0] + self.translate[0] + 1.0) / 2.0).clamp(0.0, 1.0);
        let down = |y: f32| ((1.0 - (y * self.scale[1] + self.translate[1])) / 2.0).clamp(0.0, 1.0);
        let region = Region::new(
            across(left).min(across(right)),
            down(top).min(down(bottom)),
            across(left).max(across(right)),
            down(top).max(down(bottom)),
        );
        if let Some(object) = &mut self.object {
            object.region = region;
        }
        Ok(())
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>, DocumentError> {
    for attribute in element.attributes().with_checks(false) {
        let attribute = attribute.map_err(|_| DocumentError::Malformed)?;
        if attribute.key.local_name().as_ref() as &str == name {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|_| DocumentError::Malformed)?;
            return Ok(Some(value.chars().take(WORD_MAX).collect()));
        }
    }
    Ok(None)
}

fn pair(element: &BytesStart<'_>) -> Result<Option<[f32; 2]>, DocumentError> {
    let number = |text: Option<String>| text.and_then(|text| text.trim().parse::<f32>().ok());
    Ok(number(attribute(element, "x")?).zip(number(attribute(element, "y")?)).map(|(x, y)| [x, y]))
}

/// An `xs:dateTime`. One without a zone is UTC: that is what ONVIF asks for, and what cameras that leave the `Z` away mean.
fn instant(text: &str) -> Option<UtcMicros> {
    let text = text.trim();
    let zoned = text.parse::<jiff::Timestamp>().ok();
    let plain = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|z| z.timestamp());
    zoned.or_else(plain).map(|at| UtcMicros::from_micros(at.as_microsecond()))
}
