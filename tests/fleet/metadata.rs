//! The ONVIF metadata track: what the scene's truth says, as `tt:MetadataStream` documents (ONVIF Streaming
//! Specification §5.1.2.1.1; Analytics Service Specification §5 for the shapes).

use crate::{
    clip::ClipSpec,
    packets::append_packet,
    scene::{Object, What},
    sdp::METADATA_TYPE,
};
use index::model::UtcMicros;
use std::fmt::Write;

/// Between two documents with objects, in pictures: five documents a second at 25 pictures.
const EVERY: u32 = 5;
const PACKET: usize = 1388;

/// What is seen and what happens at each picture of a clip.
#[derive(Debug)]
pub(crate) struct Truth {
    objects: Vec<Vec<Object>>,
    happenings: Vec<Vec<What>>,
}

impl Truth {
    /// The truth of a clip, worked out once.
    #[must_use]
    pub(crate) fn new(spec: &ClipSpec) -> Self {
        let frames = spec.frames();
        let mut happenings = vec![Vec::new(); frames as usize];
        for happening in spec.happenings() {
            happenings[happening.frame as usize].push(happening.what);
        }
        Self { objects: (0..frames).map(|frame| spec.objects(frame)).collect(), happenings }
    }

    /// What happens at a picture of the clip; numbers beyond its end begin anew.
    #[must_use]
    pub(crate) fn happenings(&self, frame: u64) -> &[What] {
        &self.happenings[(frame % self.happenings.len() as u64) as usize]
    }

    /// What is in a picture of the clip, furthest first.
    #[must_use]
    pub(crate) fn objects(&self, frame: u64) -> &[Object] {
        &self.objects[(frame % self.objects.len() as u64) as usize]
    }

    /// The document of one picture, if it has one.
    #[must_use]
    pub(crate) fn document(&self, frame: u64, utc: UtcMicros) -> Option<String> {
        let happenings = self.happenings(frame);
        if !frame.is_multiple_of(u64::from(EVERY)) && happenings.is_empty() {
            return None;
        }
        let mut xml = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><tt:MetadataStream xmlns:tt=\"http://www.onvif.org/ver10/schema\" \
             xmlns:wsnt=\"http://docs.oasis-open.org/wsn/b-2\" xmlns:tns1=\"http://www.onvif.org/ver10/topics\">",
        );
        // Writing to a string cannot fail.
        let _ = write!(xml, "<tt:VideoAnalytics><tt:Frame UtcTime=\"{utc}\">");
        self.objects(frame).iter().for_each(|object| write_object(&mut xml, object));
        xml.push_str("</tt:Frame></tt:VideoAnalytics>");
        if !happenings.is_empty() {
            xml.push_str("<tt:Event>");
            happenings.iter().for_each(|what| write_event(&mut xml, what, utc));
            xml.push_str("</tt:Event>");
        }
        xml.push_str("</tt:MetadataStream>");
        Some(xml)
    }
}

/// ONVIF's coordinates run from −1 to 1, upwards.
fn write_object(xml: &mut String, object: &Object) {
    let (x, y) = (|x: f32| x * 2.0 - 1.0, |y: f32| 1.0 - y * 2.0);
    let Object { id, class, left, top, right, bottom } = object;
    let _ = write!(
        xml,
        "<tt:Object ObjectId=\"{id}\"><tt:Appearance><tt:Shape>\
         <tt:BoundingBox left=\"{:.4}\" top=\"{:.4}\" right=\"{:.4}\" bottom=\"{:.4}\"/>\
         <tt:CenterOfGravity x=\"{:.4}\" y=\"{:.4}\"/></tt:Shape>\
         <tt:Class><tt:Type Likelihood=\"0.9\">{}</tt:Type></tt:Class></tt:Appearance></tt:Object>",
        x(*left),
        y(*top),
        x(*right),
        y(*bottom),
        x((left + right) / 2.0),
        y((top + bottom) / 2.0),
        class.word()
    );
}

pub(crate) fn write_event(xml: &mut String, what: &What, utc: UtcMicros) {
    let (topic, rule, operation, data) = match what {
        What::Motion { now } => {
            let data = format!("<tt:SimpleItem Name=\"IsMotion\" Value=\"{now}\"/>");
            ("RuleEngine/CellMotionDetector/Motion", "Motion", " PropertyOperation=\"Changed\"", data)
        }
        What::LineCrossed { object, class, forward } => {
            let (class, way) = (class.word(), if *forward { "Forward" } else { "Backward" });
            let data = format!(
                "<tt:SimpleItem Name=\"ObjectId\" Value=\"{object}\"/><tt:SimpleItem Name=\"ClassTypes\" Value=\"{class}\"/>\
                 <tt:SimpleItem Name=\"Direction\" Value=\"{way}\"/>"
            );
            ("RuleEngine/LineDetector/Crossed", "Line", "", data)
        }
    };
    let _ = write!(
        xml,
        "<wsnt:NotificationMessage><wsnt:Topic Dialect=\"http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet\">tns1:{topic}\
         </wsnt:Topic><wsnt:Message><tt:Message UtcTime=\"{utc}\"{operation}><tt:Source>\
         <tt:SimpleItem Name=\"VideoSourceConfigurationToken\" Value=\"0\"/><tt:SimpleItem Name=\"Rule\" Value=\"{rule}\"/>\
         </tt:Source><tt:Data>{data}</tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>"
    );
}

/// Cuts a document into RTP packets; the last one carries the marker.
pub(crate) fn packetise(document: &str, bytes: &mut Vec<u8>, packets: &mut Vec<u32>) {
    let pieces = document.as_bytes().chunks(PACKET);
    let last = pieces.len().saturating_sub(1);
    for (place, piece) in pieces.enumerate() {
        let marker = if place == last { 0x80 } else { 0 };
        append_packet(bytes, packets, METADATA_TYPE | marker, &[piece]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::FleetSpec;

    #[test]
    fn every_crossing_of_the_truth_stands_in_the_document_of_its_picture() {
        let spec = FleetSpec::tiny(1).scenes[0].main.clone();
        let truth = Truth::new(&spec);
        let utc = UtcMicros::from_micros(1_700_000_000_040_000);
        let mut crossings = 0;
        for frame in 0..u64::from(spec.frames()) {
            let wanted = truth.happenings(frame).iter().filter(|what| matches!(what, What::LineCrossed { .. })).count();
            let document = truth.document(frame, utc).unwrap_or_default();
            assert_eq!(document.matches("LineDetector/Crossed").count(), wanted);
            assert_eq!(document.matches("<tt:Object ").count(), if document.is_empty() { 0 } else { truth.objects(frame).len() });
            crossings += wanted;
        }
        assert!(crossings > 0);
        assert!(truth.document(0, utc).is_some_and(|text| text.contains("UtcTime=\"2023-11-14T22:13:20.040000Z\"")));
    }
}
