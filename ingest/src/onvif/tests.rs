use super::*;
use index::{
    events::{Class, Identity, Kind},
    model::UtcMicros,
};
use proptest::prelude::*;
use std::io::Write;

/// 2027-01-15T08:00:00Z.
const NOON: UtcMicros = UtcMicros::from_micros(1_800_000_000_000_000);
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><tt:MetadataStream xmlns:tt=\"http://www.onvif.org/ver10/schema\">";

fn at(seconds: i64) -> UtcMicros {
    UtcMicros::from_micros(NOON.as_micros() + seconds * 1_000_000)
}

/// A notification as cameras write it; `items` are `Name=Value`, parted by spaces, of its data.
fn notification(topic: &str, operation: &str, at: UtcMicros, items: &str) -> String {
    let operation = if operation.is_empty() { String::new() } else { format!(" PropertyOperation=\"{operation}\"") };
    let item = |item: &str| {
        let (name, value) = item.split_once('=').expect("a pair");
        format!("<tt:SimpleItem Name=\"{name}\" Value=\"{value}\"/>")
    };
    let items: String = items.split_whitespace().map(item).collect();
    format!(
        "<wsnt:NotificationMessage><wsnt:Topic Dialect=\"d\">tns1:{topic}</wsnt:Topic><wsnt:Message><tt:Message UtcTime=\"{at}\"{operation}>\
         <tt:Source><tt:SimpleItem Name=\"VideoSourceToken\" Value=\"0\"/><tt:SimpleItem Name=\"Rule\" Value=\"gate\"/></tt:Source>\
         <tt:Data>{items}</tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>"
    )
}

fn document(notifications: &str) -> String {
    format!("{HEAD}<tt:Event>{notifications}</tt:Event></tt:MetadataStream>")
}

fn take(watch: &mut Watch, xml: &str, received: UtcMicros) -> Outcome {
    watch.take(Document::read(xml.as_bytes()).expect("a document"), received)
}

fn kinds(outcome: &Outcome) -> Vec<Kind> {
    outcome.events.iter().map(|event| event.kind).collect()
}

#[test]
fn a_crossed_line_is_an_event_with_the_cameras_topic_class_place_and_time() {
    let objects = "<tt:VideoAnalytics><tt:Frame UtcTime=\"2027-01-15T08:00:00Z\"><tt:Object ObjectId=\"12\"><tt:Appearance><tt:Shape>\
        <tt:BoundingBox left=\"-0.5\" top=\"0.5\" right=\"0.0\" bottom=\"-1\"/></tt:Shape><tt:Class><tt:Type Likelihood=\"0.9\">Human</tt:Type>\
        </tt:Class></tt:Appearance></tt:Object></tt:Frame></tt:VideoAnalytics>";
    let crossing = notification("RuleEngine/LineDetector/Crossed", "", NOON, "ObjectId=12 Direction=Forward");
    let xml = format!("{HEAD}{objects}<tt:Event>{crossing}</tt:Event></tt:MetadataStream>");
    let outcome = take(&mut Watch::default(), &xml, at(0));
    let event = outcome.events.first().expect("an event");
    assert_eq!((event.kind, event.time), (Kind::LineCrossed, NOON));
    assert_eq!(event.source.topic, "tns1:RuleEngine/LineDetector/Crossed");
    assert_eq!(event.objects.first().map(|seen| seen.class), Some(Class::Person));
    assert_eq!(event.region.map(|region| region.corners()), Some([0.25, 0.25, 0.5, 1.0]));
    assert_eq!((&event.attributes["Rule"], &event.attributes["Direction"]), (&"gate".into(), &"Forward".into()));
    assert!(!event.attributes.contains_key("VideoSourceToken"), "how a camera is configured is no fact of the event");
    assert_eq!(event.check(NOON), Ok(()));
}

#[test]
fn compressed_documents_are_read_as_plain_ones() {
    let xml = document(&notification("RuleEngine/FieldDetector/ObjectsInside", "Changed", NOON, "IsInside=true"));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(xml.as_bytes()).expect("in memory");
    let packed = gzip.finish().expect("in memory");
    assert_eq!(Document::read(&packed), Document::read(xml.as_bytes()));
    assert_eq!(Document::read(&packed[..packed.len() / 2]), Err(DocumentError::Compressed));
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b' '; 64 << 20]).expect("in memory");
    assert_eq!(Document::read(&bomb.finish().expect("in memory")), Err(DocumentError::TooLarge));
}

#[test]
fn a_state_is_an_event_when_it_begins_to_hold_and_never_because_it_is_told_again() {
    let motion = |operation, seconds, holds: bool| {
        document(&notification("VideoSource/MotionAlarm", operation, at(seconds), &format!("State={holds}")))
    };
    let mut watch = Watch::default();
    for (n, (operation, holds, events)) in [
        ("Initialized", true, 0),
        ("Changed", true, 0),
        ("Changed", false, 0),
        ("Changed", true, 1),
        ("Changed", true, 0),
        // Cameras that do not say that it is a state, and tell it every second.
        ("", true, 0),
        ("", false, 0),
        ("", true, 1),
        ("Deleted", true, 0),
        ("Changed", true, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let outcome = take(&mut watch, &motion(operation, n as i64, holds), at(n as i64));
        assert_eq!(outcome.events.len(), events, "step {n}: {operation} {holds}");
    }
}

#[test]
fn what_happened_once_is_one_event_by_however_many_ways_it_comes() {
    let crossing = |seconds| document(&notification("RuleEngine/LineDetector/Crossed", "", at(seconds), "ObjectId=1"));
    let mut watch = Watch::default();
    assert_eq!(take(&mut watch, &crossing(0), at(0)).events.len(), 1);
    assert_eq!(take(&mut watch, &crossing(0), at(0)).events.len(), 0);
    assert_eq!(take(&mut watch, &crossing(1), at(1)).events.len(), 1);
}

#[test]
fn who_somebody_is_is_refused_in_every_part_and_counted() {
    let plate = notification("RuleEngine/LineDetector/Crossed", "", NOON, "ObjectId=1 PlateNumber=SU12345");
    let outcome = take(&mut Watch::default(), &document(&plate), NOON);
    assert_eq!(outcome.refused, [Identity::Name]);
    assert!(outcome.events[0].attributes.values().all(|value| !value.to_string().contains("12345")), "{outcome:?}");
    for topic in ["RuleEngine/FaceDetector/Face", "RuleEngine/Recognition/LicensePlate"] {
        let outcome = take(&mut Watch::default(), &document(&notification(topic, "", NOON, "State=true")), NOON);
        assert_eq!((outcome.events.len(), outcome.refused.len()), (0, 1), "{topic}");
    }
    for (item, why) in [
        ("Note=苏F12345", Identity::Plate),
        ("Remark=13912345678", Identity::Telephone),
        ("ClassTypes=Face", Identity::Name),
        ("Image=data:image/png;base64,AAAA", Identity::Encoded),
    ] {
        let told = document(&notification("RuleEngine/LineDetector/Crossed", "", NOON, item));
        assert_eq!(take(&mut Watch::default(), &told, NOON).refused, [why], "{item}");
    }
    let inside = format!(
        "{HEAD}<tt:VideoAnalytics><tt:Frame UtcTime=\"2027-01-15T08:00:00Z\"><tt:Object ObjectId=\"1\"><tt:Appearance>\
         <tt:HumanFace><tt:Age>31</tt:Age></tt:HumanFace></tt:Appearance></tt:Object></tt:Frame></tt:VideoAnalytics></tt:MetadataStream>"
    );
    assert_eq!(
        take(&mut Watch::default(), &inside, NOON).refused,
        [Identity::Name; 2],
        "a face and an age are refused; the number is not read"
    );
}

#[test]
fn topics_of_common_cameras_have_kinds_and_others_stay_what_they_are() {
    for (topic, kind) in [
        ("RuleEngine/CellMotionDetector/Motion", Kind::Motion),
        ("RuleEngine/MotionRegionDetector/Motion", Kind::Motion),
        ("RuleEngine/LineCrossDetector/LineCross", Kind::LineCrossed),
        ("RuleEngine/FieldDetector/ObjectsInside", Kind::AreaEntered),
        ("RuleEngine/LoiteringDetector/ObjectIsLoitering", Kind::Loitering),
        ("VideoSource/GlobalSceneChange/ImagingService", Kind::Tampered),
        ("RuleEngine/TamperDetector/Tamper", Kind::Tampered),
        ("Device/Trigger/DigitalInput", Kind::Input),
        ("AudioAnalytics/Audio/DetectedSound", Kind::Sound),
        ("RuleEngine/MyRuleDetector/PeopleDetect", Kind::CameraTopic),
    ] {
        let told = document(&notification(topic, "Changed", NOON, "State=true"));
        assert_eq!(kinds(&take(&mut Watch::default(), &told, NOON)), [kind], "{topic}");
    }
    let gauge = document(&notification("Monitoring/ProcessorUsage", "Changed", NOON, "Value=31"));
    assert_eq!(kinds(&take(&mut Watch::default(), &gauge, NOON)), []);
}

#[test]
fn a_camera_that_tells_without_end_is_held_to_its_allowance_and_hides_nothing_else() {
    let mut watch = Watch::default();
    let (mut told, mut shed) = (0, 0);
    for n in 0..1_000 {
        let holds = n % 2 == 0;
        let xml = document(&notification("VideoSource/MotionAlarm", "Changed", NOON, &format!("State={holds}")));
        let outcome = take(&mut watch, &xml, NOON);
        (told, shed) = (told + outcome.events.len(), shed + outcome.shed);
    }
    assert_eq!((told, shed), (20, 480));
    let crossing = document(&notification("RuleEngine/LineDetector/Crossed", "", NOON, "ObjectId=1"));
    assert_eq!(kinds(&take(&mut watch, &crossing, NOON)), [Kind::LineCrossed]);
    let later = document(&notification("VideoSource/MotionAlarm", "Changed", at(60), "State=true"));
    assert_eq!(take(&mut watch, &later, at(60)).events.len(), 1, "the allowance comes back");
}

#[test]
fn a_camera_with_a_wrong_clock_tells_when_it_was_by_ours() {
    let crossing = |said: i64| document(&notification("RuleEngine/LineDetector/Crossed", "", at(said), "ObjectId=1"));
    let mut watch = Watch::default();
    // An hour ahead: what arrives at once teaches how far.
    for n in 0..20 {
        let received = UtcMicros::from_micros(at(n).as_micros() + 40_000);
        let event = take(&mut watch, &crossing(3600 + n), received).events.remove(0);
        assert!(event.time.micros_from(at(n)).abs() <= 40_000, "event {n} at {}", event.time);
        assert_eq!(event.attributes["camera_clock_ms"], -3_599_960);
    }
    // Set right: believed from the second time on.
    take(&mut watch, &crossing(30), at(30));
    let event = take(&mut watch, &crossing(31), at(31)).events.remove(0);
    assert_eq!((event.time, event.attributes.get("camera_clock_ms")), (at(31), None));
}

#[test]
fn hostile_documents_are_refused_for_what_they_are() {
    let deep = format!("{HEAD}{}", "<a>".repeat(100_000));
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]><x>&b;</x>";
    let many = document(&notification("VideoSource/MotionAlarm", "Changed", NOON, "State=true").repeat(300));
    let items = document(&notification("VideoSource/MotionAlarm", "Changed", NOON, &"A=1 ".repeat(100)));
    for (xml, error) in [
        (deep.as_str(), DocumentError::TooDeep),
        (bomb, DocumentError::DocumentType),
        (&many, DocumentError::TooLarge),
        (&items, DocumentError::TooLarge),
        ("<a>&b;</a>", DocumentError::Malformed),
        ("<a><b></a></b>", DocumentError::Malformed),
        ("<tt:MetadataStream><tt:Event>", DocumentError::Malformed),
    ] {
        assert_eq!(Document::read(xml.as_bytes()), Err(error), "{}", &xml[..xml.len().min(80)]);
    }
    assert_eq!(Document::read(&[0xff, 0xfe, 0x3c]), Err(DocumentError::Malformed));
    assert_eq!(Document::read(&vec![b'x'; 2 << 20]), Err(DocumentError::TooLarge));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), cut in 0..900usize, flip in 0..900usize) {
        let _ = Document::read(&bytes);
        let mut xml = document(&notification("RuleEngine/LineDetector/Crossed", "", NOON, "ObjectId=1")).into_bytes();
        let length = xml.len();
        xml[flip % length] ^= bytes.first().copied().unwrap_or(1);
        xml.truncate(length - cut % length);
        if let Ok(document) = Document::read(&xml) {
            Watch::default().take(document, NOON);
        }
    }
}
