//! What comes in: nothing lost, every gap explained, no camera disturbed by another.

use crate::room::Room;
use ::ingest::{LiveItem, LiveTier, StreamState};
use fleet::{AudioPlan, Auth, DigestAlgorithm, Fate, Fault, Fleet, FleetSpec, Who};
use index::{
    access::{Action, Extent},
    footage::{Interval, IntervalState},
    model::{
        AudioBasis, CameraAddress, Credentials, Driver, GapCause, Priority, Secret, StreamId, StreamKind, TrackKind, Transport,
        UtcMicros, VideoCodec, Window,
    },
};
use std::{collections::BTreeMap, time::Duration};

const SECOND: Duration = Duration::from_secs(1);

fn fleet(change: impl FnOnce(&mut FleetSpec)) -> Fleet {
    let mut spec = FleetSpec::tiny(4);
    change(&mut spec);
    Fleet::start(spec).expect("a fleet")
}

fn assert_whole(room: &Room, fleet: &Fleet, stream: index::model::StreamId) {
    let report = room.compare(fleet, stream);
    assert!(report.is_good(), "{stream}: {report}");
    assert!(report.streams[0].present >= 50, "{stream}: {report}");
}

async fn record_whole(codec: VideoCodec, transport: Transport) {
    let fleet = fleet(|spec| spec.scenes.iter_mut().for_each(|scene| scene.main.codec = codec));
    let room = Room::open();
    let streams: Vec<_> = (1..=2).map(|number| room.add(&fleet, number, |camera| camera.transport = transport)).collect();
    for stream in &streams {
        room.records(*stream, 4 * SECOND).await;
        let status = room.status(*stream);
        assert_eq!(
            (status.state, status.codec, status.width, status.lost_rtp_packets),
            (StreamState::Playing, Some(codec), 320, 0)
        );
    }
    room.finish().await;
    for stream in streams {
        assert_whole(&room, &fleet, stream);
        assert_eq!(room.heard(stream), ["camera.recording", "camera.driver_chosen"]);
    }
}

#[tokio::test]
async fn h264_over_tcp_is_recorded_without_losing_a_picture() {
    record_whole(VideoCodec::H264, Transport::Tcp).await;
}

#[tokio::test]
async fn h264_over_udp_is_recorded_without_losing_a_picture() {
    record_whole(VideoCodec::H264, Transport::Udp).await;
}

#[tokio::test]
async fn h265_over_tcp_is_recorded_without_losing_a_picture() {
    record_whole(VideoCodec::H265, Transport::Tcp).await;
}

#[tokio::test]
async fn h265_over_udp_is_recorded_without_losing_a_picture() {
    record_whole(VideoCodec::H265, Transport::Udp).await;
}

#[tokio::test]
async fn a_dropped_connection_leaves_a_short_gap_with_its_cause() {
    let (fleet, room, begun) = (fleet(|_| {}), Room::open(), UtcMicros::now());
    let stream = room.add(&fleet, 1, |_| {});
    let other = room.add(&fleet, 2, |_| {});
    room.records(stream, 2 * SECOND).await;
    fleet.begin(Fault::Drop, &Who::Cameras(vec![1]));
    room.records(stream, 4 * SECOND).await;
    room.finish().await;
    let causes = room.gaps(stream, begun + SECOND, Duration::from_millis(200));
    assert!(!causes.is_empty() && causes.iter().all(|cause| *cause == GapCause::CameraUnreachable), "{causes:?}");
    assert_eq!(room.heard(stream)[2..], ["camera.offline", "camera.recording"]);
    assert_whole(&room, &fleet, other);
}

#[tokio::test]
async fn a_silent_camera_is_noticed_and_its_gap_says_so() {
    let (fleet, room, begun) = (fleet(|_| {}), Room::open(), UtcMicros::now());
    let stream = room.add(&fleet, 1, |_| {});
    room.records(stream, 2 * SECOND).await;
    fleet.begin(Fault::Silent, &Who::Cameras(vec![1]));
    room.until("noticing silence", || matches!(room.status(stream).state, StreamState::BackingOff { .. })).await;
    assert_eq!(room.status(stream).notice.expect("a reason").code, "camera_silent");
    fleet.end(Fault::Silent, &Who::Cameras(vec![1]));
    room.records(stream, 2 * SECOND).await;
    room.finish().await;
    let causes = room.gaps(stream, begun + SECOND, SECOND);
    assert_eq!(causes, [GapCause::CameraSilent]);
}

#[tokio::test]
async fn cameras_come_and_go_and_change_while_another_loses_nothing() {
    let (fleet, room) = (fleet(|_| {}), Room::open());
    let steady = room.add(&fleet, 1, |_| {});
    room.records(steady, 2 * SECOND).await;
    let guest = room.add(&fleet, 2, |_| {});
    room.records(guest, SECOND).await;
    room.change(guest, |camera| camera.transport = Transport::Udp);
    room.records(guest, 2 * SECOND).await;
    room.change(guest, |camera| camera.enabled = false);
    room.until("pausing", || room.status(guest).state == StreamState::Paused).await;
    room.change(steady, |camera| camera.name = "another name".to_owned());
    room.remove(guest);
    room.records(steady, 2 * SECOND).await;
    assert_eq!(room.status(steady).reconnects, 0);
    room.finish().await;
    assert_whole(&room, &fleet, steady);
}

#[tokio::test]
async fn a_viewer_of_a_watched_stream_sees_the_cached_gop_at_once_and_every_unit_after_it() {
    let (fleet, room) = (fleet(|_| {}), Room::open());
    let stream = room.add(&fleet, 1, |camera| {
        camera.sub = Some(index::model::CameraAddress::new(&fleet.url(1, StreamKind::Sub)).expect("an address"));
    });
    room.records(stream, SECOND).await;
    let permit = room.permit(Action::Live, Extent::live([stream]));
    let mut earlier = room.ingest.live().subscribe(&permit, stream, LiveTier::Full).expect("covered");
    let mut keys = 0;
    while keys < 2 {
        keys += u32::from(matches!(earlier.next().await, LiveItem::Unit(unit) if unit.key && unit.track == TrackKind::Video));
    }
    let mut viewer = room.ingest.live().subscribe(&permit, stream, LiveTier::Full).expect("covered");
    assert!(matches!(viewer.try_next(), Some(LiveItem::Tracks(_))));
    let Some(LiveItem::Unit(first)) = viewer.try_next() else { panic!("no cached key unit") };
    assert!(first.key);
    let mut last = first.decode;
    for _ in 0..60 {
        match viewer.next().await {
            LiveItem::Unit(unit) if unit.track != TrackKind::Video => {}
            LiveItem::Unit(unit) => {
                let step = unit.decode.get() - last.get();
                assert!((3_000..4_200).contains(&step), "a step of {step} ticks");
                last = unit.decode;
            }
            other => panic!("{other:?}"),
        }
    }
    let sub = index::model::StreamId::new(stream.camera, StreamKind::Sub);
    assert!(room.ingest.live().subscribe(&permit, sub, LiveTier::Key).is_err(), "the permit is for the main stream");
    let jpeg = ingest_picture(&room, &permit, stream);
    assert!(jpeg.starts_with(&[0xff, 0xd8]));
}

fn ingest_picture(room: &Room, permit: &index::access::Permit, stream: index::model::StreamId) -> Vec<u8> {
    let (tracks, unit) = room.ingest.live().latest_key(permit, stream).expect("covered").expect("a key unit");
    ::ingest::picture::jpeg(&tracks.video, &unit, 160).expect("a picture")
}

#[tokio::test]
async fn libav_records_without_losing_a_picture_and_tells_the_same_tracks() {
    let (fleet, room) = (fleet(|_| {}), Room::open());
    let stream = room.add(&fleet, 1, |camera| camera.driver = Some(Driver::Libav));
    let by_retina = room.add(&fleet, 3, |camera| camera.driver = Some(Driver::Retina));
    room.records(stream, 4 * SECOND).await;
    assert_eq!(room.status(stream).driver, Some(Driver::Libav));
    let tracks = |stream| {
        let permit = room.permit(Action::Live, Extent::live([stream]));
        let (tracks, _) = room.ingest.live().latest_key(&permit, stream).expect("covered").expect("a key unit");
        tracks.video.clone()
    };
    // Cameras 1 and 3 film the same scene.
    let (ours, theirs) = (tracks(stream), tracks(by_retina));
    assert_eq!((ours.width, ours.height), (theirs.width, theirs.height));
    // Ours ends with the chroma format and bit depths that high profiles add; retina leaves them out.
    assert!(ours.decoder_config.starts_with(&theirs.decoder_config));
    assert_eq!(ours.rfc6381.to_lowercase(), theirs.rfc6381.to_lowercase());
    room.finish().await;
    assert_whole(&room, &fleet, stream);
}

/// A proxy in front of the fleet that adds a line to the answer with the session description that is longer than our own
/// driver reads, and that FFmpeg cuts.
async fn spoiler(fleet: &Fleet) -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (own, camera) = (listener.local_addr().expect("bound"), fleet.address());
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (mut from_client, mut to_client) = client.into_split();
            let camera = tokio::net::TcpStream::connect(camera).await.expect("the fleet listens");
            let (mut from_camera, mut to_camera) = camera.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_camera).await });
            tokio::spawn(async move {
                let mut buffer = vec![0; 65_536];
                while let Ok(count @ 1..) = from_camera.read(&mut buffer).await {
                    let mut chunk = buffer[..count].to_vec();
                    if let Some(at) = chunk.windows(7).position(|bytes| bytes == b"\r\n\r\nv=0") {
                        let line = format!("\r\nX-Serial: {}", "9".repeat(10_000));
                        chunk.splice(at..at, line.into_bytes());
                    }
                    if to_client.write_all(&chunk).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    own
}

#[tokio::test]
async fn a_camera_that_the_first_driver_cannot_read_is_recorded_by_another_and_that_is_remembered() {
    let (fleet, room) = (fleet(|_| {}), Room::open());
    let proxy = spoiler(&fleet).await;
    let stream = room.add(&fleet, 1, |camera| {
        let address = camera.main.as_str().replace(&fleet.address().to_string(), &proxy.to_string());
        camera.main = index::model::CameraAddress::new(&address).expect("an address");
    });
    room.records(stream, 3 * SECOND).await;
    // FFmpeg hands over the first seconds at once: they can be stored a moment before the session is told.
    room.until("telling which driver plays", || room.heard(stream).contains(&"camera.driver_chosen")).await;
    assert_eq!(room.heard(stream), ["camera.offline", "camera.recording", "camera.driver_chosen"]);
    assert_eq!(ingest::DriverMemory::remembered(room.memory.as_ref(), stream.camera), Some(Driver::Libav));
    room.finish().await;
    assert_whole(&room, &fleet, stream);
}

fn credentials(password: &str) -> Option<Credentials> {
    Some(Credentials { user: "admin".to_owned(), password: Secret::new(password) })
}

#[tokio::test]
async fn a_wrong_password_is_tried_twice_told_and_put_right() {
    let auth = Auth::Digest { user: "admin".to_owned(), password: "right-1".to_owned(), algorithm: DigestAlgorithm::Md5 };
    let (fleet, room, begun) = (fleet(|spec| spec.auth = auth), Room::open(), UtcMicros::now());
    let stream = room.add_with(&fleet, 1, credentials("wrong"), |_| {});
    room.until("telling of the password", || room.heard(stream).contains(&"camera.wrong_password")).await;
    let status = room.status(stream);
    assert_eq!(status.notice.expect("a reason").code, "camera_unauthorised");
    let StreamState::BackingOff { until, cause } = status.state else { panic!("{:?}", status.state) };
    assert!(until.since(UtcMicros::now()) > Duration::from_secs(120), "it must not lock the account");
    assert_eq!(cause, GapCause::WrongPassword);
    room.add_with(&fleet, 1, credentials("right-1"), |_| {});
    room.records(stream, 2 * SECOND).await;
    assert_eq!(room.status(stream).notice, None);
    room.finish().await;
    let causes = room.gaps(stream, begun, Duration::from_millis(300));
    assert!(causes.contains(&GapCause::WrongPassword) && !causes.contains(&GapCause::Unexplained), "{causes:?}");
}

#[tokio::test]
async fn both_drivers_answer_digest_challenges() {
    for algorithm in [DigestAlgorithm::Md5, DigestAlgorithm::Sha256] {
        let auth = Auth::Digest { user: "admin".to_owned(), password: "p:w@d/1".to_owned(), algorithm };
        let (fleet, room) = (fleet(|spec| spec.auth = auth), Room::open());
        let mut streams = vec![room.add_with(&fleet, 1, credentials("p:w@d/1"), |camera| camera.driver = Some(Driver::Retina))];
        if algorithm == DigestAlgorithm::Md5 {
            // FFmpeg 5.1 knows no other.
            streams.push(room.add_with(&fleet, 2, credentials("p:w@d/1"), |camera| camera.driver = Some(Driver::Libav)));
        }
        for stream in streams {
            room.records(stream, SECOND).await;
        }
        room.finish().await;
    }
}

#[tokio::test]
async fn sound_is_recorded_where_its_basis_is_given_and_nowhere_else() {
    for plan in [AudioPlan::Pcma, AudioPlan::Aac] {
        let (fleet, room) = (fleet(|spec| spec.audio = plan), Room::open());
        let with = room.add(&fleet, 1, |camera| camera.audio = Some(AudioBasis("GB 12345 §6".to_owned())));
        let without = room.add(&fleet, 2, |_| {});
        room.records(with, 2 * SECOND).await;
        room.records(without, SECOND).await;
        room.finish().await;
        assert!(room.tracks_stored(with).contains(&TrackKind::Audio), "{plan:?}");
        assert!(room.tracks_stored(with).contains(&TrackKind::Metadata), "{plan:?}");
        assert!(!room.tracks_stored(without).contains(&TrackKind::Audio), "{plan:?}");
        assert_whole(&room, &fleet, with);
    }
}

#[tokio::test]
async fn other_parameters_and_a_jumping_counter_lose_no_picture() {
    for fault in [Fault::NewParameters, Fault::TimestampJump(9_800), Fault::Drift(300), Fault::ClockOffset(90), Fault::NoRtcp] {
        let (fleet, room) = (fleet(|_| {}), Room::open());
        let stream = room.add(&fleet, 1, |_| {});
        room.records(stream, 2 * SECOND).await;
        fleet.begin(fault, &Who::Cameras(vec![1]));
        room.records(stream, 4 * SECOND).await;
        assert_eq!(room.status(stream).reconnects, 0, "{fault:?}: the session went on");
        room.finish().await;
        assert_whole(&room, &fleet, stream);
    }
}

#[tokio::test]
async fn a_disk_that_cannot_keep_up_costs_units_by_rule_and_never_the_camera_a_packet() {
    let fleet = fleet(|_| {});
    let (room, begun) = (Room::open_with(|setup| setup.queue_bytes = 20_000), UtcMicros::now());
    let stream = room.add(&fleet, 1, |camera| camera.priority = index::model::Priority::Low);
    room.until("shedding", || room.status(stream).lost_queue_units > 50).await;
    room.until("keeping key units", || room.store.recorded_to(stream).is_some()).await;
    assert!(room.heard(stream).contains(&"camera.shedding"));
    let refused = fleet.sent(stream).expect("a camera of the fleet").ranges(Fate::Refused);
    assert!(refused.is_empty(), "the camera had to wait: {refused:?}");
    room.finish().await;
    let tiles = room.store.coverage(stream, Window::new(begun, UtcMicros::now()), Duration::ZERO);
    let explained = |tile: &Interval| match tile.state {
        IntervalState::Partial { cause, .. } => cause == GapCause::OurQueue,
        IntervalState::Gap { cause, .. } => cause != GapCause::Unexplained,
        IntervalState::Recorded => true,
    };
    assert!(tiles.iter().all(explained), "{tiles:#?}");
    assert!(tiles.iter().any(|tile| matches!(tile.state, IntervalState::Partial { units: 1.., .. })), "{tiles:#?}");
}

#[tokio::test]
async fn a_disk_that_stands_still_costs_sub_streams_first_then_plain_units_by_priority_and_no_camera_its_key_units() {
    let fleet = fleet(|_| {});
    // A disk that writes nothing until it is asked to: what waits for it is full after some two seconds of these cameras.
    let still = |setup: &mut index::footage::Setup| {
        (setup.queue_bytes, setup.commit_every) = (400_000, Duration::from_secs(3600));
    };
    let (room, begun) = (Room::open_with(still), UtcMicros::now());
    let mains: Vec<StreamId> = [Priority::Low, Priority::Normal, Priority::Key]
        .into_iter()
        .zip(1..)
        .map(|(priority, number)| {
            room.add(&fleet, number, |camera| {
                camera.priority = priority;
                camera.sub = Some(CameraAddress::new(&fleet.url(number, StreamKind::Sub)).expect("an address"));
            })
        })
        .collect();
    let subs: Vec<StreamId> = mains.iter().map(|main| StreamId::new(main.camera, StreamKind::Sub)).collect();
    let order = std::sync::Mutex::new(Vec::new());
    let look = || {
        let mut order = order.lock().expect("no panic");
        for stream in subs.iter().chain(&mains) {
            if !order.contains(stream) && room.status(*stream).lost_queue_units > 0 {
                order.push(*stream);
            }
        }
        order.len() == subs.len() + mains.len()
    };
    room.until("shedding of every sort", look).await;
    // It answers again.
    let answers = UtcMicros::now();
    let written = || mains.iter().all(|main| room.store.recorded_to(*main).is_some_and(|to| to >= answers));
    room.until("what waited to be written", || {
        room.store.flush();
        written()
    })
    .await;
    room.finish().await;
    let order = order.into_inner().expect("no panic");
    assert!(order[..3].iter().all(|stream| stream.kind == StreamKind::Sub), "sub-streams go first: {order:?}");
    assert_eq!(order[3..], mains, "then plain units of low, normal and key cameras");
    let tiles = |stream: StreamId| room.store.coverage(stream, Window::new(begun, answers), Duration::ZERO);
    for stream in &subs {
        let dropped = |tile: &Interval| matches!(tile.state, IntervalState::Gap { cause: GapCause::OurQueue, .. });
        assert!(tiles(*stream).iter().any(dropped), "{stream}: each drop stands in the ledger: {:#?}", tiles(*stream));
    }
    for stream in &mains {
        let thinned =
            |tile: &Interval| matches!(tile.state, IntervalState::Partial { cause: GapCause::OurQueue, units: 1.., .. });
        let dropped = |tile: &Interval| matches!(tile.state, IntervalState::Gap { cause: GapCause::OurQueue, .. });
        assert!(tiles(*stream).iter().any(thinned), "{stream}: {:#?}", tiles(*stream));
        assert!(!tiles(*stream).iter().any(dropped), "{stream} kept a picture of every second: {:#?}", tiles(*stream));
    }
    for stream in subs.iter().chain(&mains) {
        assert!(!room.gaps(*stream, begun, Duration::ZERO).contains(&GapCause::Unexplained), "{stream}: {:#?}", tiles(*stream));
    }
}

#[tokio::test]
async fn what_still_waits_for_a_slow_disk_when_the_node_stops_is_in_the_ledger_as_shed() {
    let fleet = fleet(|_| {});
    let still = |setup: &mut index::footage::Setup| {
        (setup.queue_bytes, setup.commit_every) = (200_000, Duration::from_secs(3600));
    };
    let (room, begun) = (Room::open_with(still), UtcMicros::now());
    // Of a key camera nothing is given up for the first seconds: it waits.
    let stream = room.add(&fleet, 1, |camera| camera.priority = Priority::Key);
    let waits = || {
        let status = room.status(stream);
        status.units_received > status.units_stored + 75
    };
    room.until("three seconds that the store did not take", waits).await;
    let stopped = UtcMicros::now();
    room.finish().await;
    let tiles = room.store.coverage(stream, Window::new(begun, stopped - SECOND / 2), Duration::ZERO);
    let long = |cause: GapCause| -> Duration {
        let mine = |tile: &&Interval| matches!(tile.state, IntervalState::Gap { cause: found, .. } if found == cause);
        tiles.iter().filter(mine).map(|tile| tile.window.duration()).sum()
    };
    assert!(long(GapCause::OurQueue) >= SECOND, "{tiles:#?}");
    assert_eq!(long(GapCause::Restart), Duration::ZERO, "it ran, and received: {tiles:#?}");
}

#[tokio::test]
async fn whatever_goes_wrong_every_gap_has_its_cause_and_recording_returns() {
    let faults = [Fault::Offline, Fault::HalfOpen, Fault::Garbage, Fault::Drop, Fault::SessionLimit(0), Fault::SlowStart(1_500)];
    let (fleet, room, begun) = (fleet(|spec| spec.cameras = 7), Room::open(), UtcMicros::now());
    let streams: Vec<_> = (1..=7).map(|number| room.add(&fleet, number, |_| {})).collect();
    room.until("all", || streams.iter().all(|stream| room.store.recorded_to(*stream).is_some())).await;
    for (number, fault) in (1..).zip(faults) {
        let who = Who::Cameras(vec![number]);
        fleet.begin(fault, &who);
        if matches!(fault, Fault::SessionLimit(_) | Fault::SlowStart(_)) {
            fleet.begin(Fault::Drop, &who);
        }
    }
    // Garbage between frames ends no session: the driver finds the next frame. The others do.
    let ended = || streams[..6].iter().zip(faults).filter(|(_, fault)| *fault != Fault::Garbage).map(|(stream, _)| *stream);
    for stream in ended() {
        let disturbed = || room.heard(stream).contains(&"camera.offline");
        room.until(&format!("trouble with {stream}"), disturbed).await;
    }
    fleet.clear(&Who::All);
    for stream in &streams {
        room.records(*stream, 2 * SECOND).await;
    }
    room.finish().await;
    for stream in ended() {
        assert!(!room.gaps(stream, begun, Duration::ZERO).is_empty(), "{stream}: trouble without a gap");
    }
    for stream in &streams[..6] {
        let causes = room.gaps(*stream, begun, Duration::ZERO);
        assert!(!causes.contains(&GapCause::Unexplained), "{stream}: {causes:?}");
    }
    assert_whole(&room, &fleet, streams[6]);
}

/// The threads of this process that read sockets, and how often each went to sleep so far.
fn lanes() -> BTreeMap<String, u64> {
    let mut lanes = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").expect("Linux").filter_map(Result::ok) {
        let read = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").starts_with("ingest-") {
            let status = read("status");
            let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            let count = count.and_then(|count| count.trim().parse().ok()).unwrap_or(0);
            lanes.insert(task.file_name().to_string_lossy().into_owned(), count);
        }
    }
    lanes
}

#[tokio::test]
async fn one_wake_up_reads_many_cameras() {
    let fleet = fleet(|spec| spec.cameras = 16);
    // Other tests of this process have lanes of their own.
    let others = lanes();
    let room = Room::open();
    let ours = || lanes().into_iter().filter(|(id, _)| !others.contains_key(id));
    let mine: Vec<String> = ours().map(|(id, _)| id).collect();
    let sleeps = || ours().filter(|(id, _)| mine.contains(id)).map(|(_, count)| count).sum::<u64>();
    let streams: Vec<_> = (1..=16).map(|number| room.add(&fleet, number, |_| {})).collect();
    room.until("all", || streams.iter().all(|stream| room.store.recorded_to(*stream).is_some())).await;
    let (before, begun) = (sleeps(), std::time::Instant::now());
    room.records(streams[0], 3 * SECOND).await;
    let a_second = (sleeps() - before) as f64 / begun.elapsed().as_secs_f64();
    // A nap of 20 ms, and at times the wait for sockets after it, on each of two lanes.
    assert!(a_second < 2.0 * 2.0 * 50.0 * 1.2, "{a_second:.0} sleeps a second for 400 pictures");
    room.finish().await;
}
