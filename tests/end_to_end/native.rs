//! The driver of our own against everything that the fleet can show: what others refuse is recorded whole, too.

use crate::room::Room;
use fleet::{AudioPlan, Auth, DigestAlgorithm, Fault, Fleet, FleetSpec, Quirk, Who};
use index::{
    access::{Action, Extent},
    model::{AudioBasis, Camera, Credentials, Driver, GapCause, Secret, StreamId, TrackKind, Transport, UtcMicros, VideoCodec},
};
use ingest::StreamState;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A fleet whose even cameras send H.265.
fn fleet(change: impl FnOnce(&mut FleetSpec)) -> Fleet {
    let mut spec = FleetSpec::tiny(4);
    spec.scenes[1].main.codec = VideoCodec::H265;
    change(&mut spec);
    Fleet::start(spec).expect("a fleet")
}

fn native(camera: &mut Camera) {
    camera.driver = Some(Driver::Native);
}

fn digest(algorithm: DigestAlgorithm) -> Auth {
    Auth::Digest { user: "admin".to_owned(), password: "p:w@d/1".to_owned(), algorithm }
}

fn credentials() -> Option<Credentials> {
    Some(Credentials { user: "admin".to_owned(), password: Secret::new("p:w@d/1") })
}

fn assert_whole(room: &Room, fleet: &Fleet, stream: StreamId) {
    let report = room.compare(fleet, stream);
    assert!(report.is_good() && report.streams[0].present >= 50, "{stream}: {report}");
}

#[tokio::test]
async fn both_codecs_are_recorded_whole_over_both_transports_with_sound_and_documents() {
    for plan in [AudioPlan::Pcma, AudioPlan::Aac] {
        let (fleet, room) = (fleet(|spec| spec.audio = plan), Room::open());
        let streams: Vec<_> = (1..=4)
            .map(|number| {
                room.add(&fleet, number, |camera| {
                    native(camera);
                    camera.transport = if number > 2 { Transport::Udp } else { Transport::Tcp };
                    camera.audio = (number != 1).then(|| AudioBasis("GB 12345 §6".to_owned()));
                })
            })
            .collect();
        for stream in &streams {
            room.records(*stream, 4 * SECOND).await;
            let status = room.status(*stream);
            let found = (status.state, status.driver, status.width, status.lost_rtp_packets, status.reconnects);
            assert_eq!(found, (StreamState::Playing, Some(Driver::Native), 320, 0, 0), "{stream}");
        }
        room.finish().await;
        for stream in &streams {
            assert_whole(&room, &fleet, *stream);
            let mut tracks = vec![TrackKind::Video, TrackKind::Audio, TrackKind::Metadata];
            tracks.retain(|track| *track != TrackKind::Audio || *stream != streams[0]);
            assert_eq!(room.tracks_stored(*stream), tracks, "{plan:?} {stream}");
            let told = room.documents.lock().expect("no panic");
            let mut mine = told.iter().filter(|(of, _)| of == stream).map(|(_, document)| String::from_utf8_lossy(document));
            assert!(mine.any(|text| text.contains("MetadataStream")), "{stream}: no document was told of");
        }
    }
}

#[tokio::test]
async fn it_tells_the_same_tracks_as_libav() {
    let (fleet, room) = (fleet(|_| {}), Room::open());
    let tracks = async |number, driver| {
        let stream = room.add(&fleet, number, |camera| camera.driver = Some(driver));
        room.records(stream, SECOND).await;
        let permit = room.permit(Action::Live, Extent::live([stream]));
        room.ingest.live().latest_key(&permit, stream).expect("covered").expect("a key unit").0.video.clone()
    };
    // Cameras 1 and 3 film the same scene, and so do 2 and 4.
    assert_eq!(tracks(1, Driver::Native).await, tracks(3, Driver::Libav).await);
    assert_eq!(tracks(2, Driver::Native).await, tracks(4, Driver::Libav).await);
    room.finish().await;
}

#[tokio::test]
async fn digest_of_either_hash_is_answered_and_a_wrong_password_is_not_repeated() {
    for algorithm in [DigestAlgorithm::Md5, DigestAlgorithm::Sha256] {
        let (fleet, room) = (fleet(|spec| spec.auth = digest(algorithm)), Room::open());
        let stream = room.add_with(&fleet, 1, credentials(), native);
        let wrong = Some(Credentials { user: "admin".to_owned(), password: Secret::new("wrong") });
        let refused = room.add_with(&fleet, 2, wrong, native);
        room.records(stream, SECOND).await;
        room.until("telling of the password", || room.heard(refused).contains(&"camera.wrong_password")).await;
        room.finish().await;
    }
}

#[tokio::test]
async fn faults_on_the_way_lose_no_picture_that_was_sent_and_end_no_session() {
    let faults = [
        Fault::NewParameters,
        Fault::TimestampJump(9_800),
        Fault::Drift(300),
        Fault::ClockOffset(90),
        Fault::NoRtcp,
        Fault::Garbage,
    ];
    let (fleet, room) = (fleet(|spec| spec.cameras = faults.len() as u32), Room::open());
    let streams: Vec<_> = (1..=faults.len() as u32).map(|number| room.add(&fleet, number, native)).collect();
    for stream in &streams {
        room.records(*stream, 2 * SECOND).await;
    }
    for (number, fault) in (1..).zip(faults) {
        fleet.begin(fault, &Who::Cameras(vec![number]));
    }
    for stream in &streams {
        room.records(*stream, 4 * SECOND).await;
        assert_eq!(room.status(*stream).reconnects, 0, "{stream}");
    }
    room.finish().await;
    streams.iter().for_each(|stream| assert_whole(&room, &fleet, *stream));
}

#[tokio::test]
async fn a_dropped_connection_is_dialled_again_and_the_gap_has_its_cause() {
    let (fleet, room, begun) = (fleet(|_| {}), Room::open(), UtcMicros::now());
    let stream = room.add(&fleet, 1, native);
    room.records(stream, 2 * SECOND).await;
    fleet.begin(Fault::Drop, &Who::Cameras(vec![1]));
    room.records(stream, 4 * SECOND).await;
    room.finish().await;
    let causes = room.gaps(stream, begun + SECOND, Duration::from_millis(200));
    assert!(!causes.is_empty() && causes.iter().all(|cause| *cause == GapCause::CameraUnreachable), "{causes:?}");
}

/// Records cameras with one oddity each, long enough for signs of life, and lists what is wrong with the recordings.
async fn failures(quirks: &[&'static Quirk]) -> Vec<String> {
    let fleet = fleet(|spec| {
        spec.cameras = 2 * quirks.len() as u32;
        spec.audio = AudioPlan::Aac;
        spec.auth = digest(DigestAlgorithm::Md5);
        // Signs of life are due after a third of it, and one camera means a sixth.
        spec.session_timeout = 36 * SECOND;
    });
    let room = Room::open();
    let odd: Vec<_> = (0..)
        .zip(quirks)
        .map(|(place, quirk)| {
            let number = 2 * place + if H265.contains(&quirk.id) { 2 } else { 1 };
            fleet.begin(Fault::Odd(quirk), &Who::Cameras(vec![number]));
            let stream = room.add_with(&fleet, number, credentials(), |camera| {
                native(camera);
                camera.audio = Some(AudioBasis("GB 12345 §6".to_owned()));
                camera.transport = if OVER_UDP.contains(&quirk.id) { Transport::Udp } else { Transport::Tcp };
            });
            (stream, quirk)
        })
        .collect();
    room.records(odd[0].0, 15 * SECOND).await;
    let mut failures = Vec::new();
    for (stream, quirk) in &odd {
        let status = room.status(*stream);
        if status.reconnects > 0 || status.state != StreamState::Playing {
            let notice = status.notice.map(|notice| notice.code);
            failures
                .push(format!("{} ({}): {:?} {notice:?}, {} reconnects", quirk.id, quirk.says, status.state, status.reconnects));
        }
    }
    room.finish().await;
    for (stream, quirk) in odd.iter().filter(|(stream, _)| room.store.recorded_to(*stream).is_some()) {
        let report = room.compare(&fleet, *stream);
        if !report.is_good() || report.streams[0].present < 50 {
            failures.push(format!("{} ({}): {report}", quirk.id, quirk.says));
        }
    }
    failures
}

/// Oddities that cost pictures or the session whatever a client does: nothing says how to decode (Q34), the session is lost (Q64:
/// the driver dials again), a NAL unit misses its end (Q88), nothing ends an access unit (Q106), the codec is not recorded (Q108).
const ELSEWHERE: [&str; 5] = ["Q34", "Q64", "Q88", "Q106", "Q108"];

/// Oddities of H.265.
const H265: [&str; 2] = ["Q36", "Q103"];

/// Oddities of datagrams.
const OVER_UDP: [&str; 3] = ["Q47", "Q48", "Q89"];

#[tokio::test]
async fn every_oddity_that_the_fleet_can_show_is_recorded_whole() {
    let quirks: Vec<_> = fleet::quirks().filter(|quirk| !ELSEWHERE.contains(&quirk.id)).collect();
    let mut wrong = Vec::new();
    for some in quirks.chunks(24) {
        wrong.extend(failures(some).await);
    }
    assert!(wrong.is_empty(), "{} of {} failed:\n{}", wrong.len(), quirks.len(), wrong.join("\n"));
}
