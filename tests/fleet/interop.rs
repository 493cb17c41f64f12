//! The fleet as clients that we did not write see it: retina and ffprobe.

use fleet::{AudioPlan, Auth, Condition, DigestAlgorithm, Fate, Fault, Fleet, FleetSpec, Verdict, Who};
use futures::StreamExt;
use index::model::{StreamKind, VideoCodec};
use retina::{client, codec::CodecItem};
use std::{sync::Arc, time::Duration};

const PATIENCE: Duration = Duration::from_secs(20);

fn tiny(cameras: u32, codec: VideoCodec) -> FleetSpec {
    let mut spec = FleetSpec::tiny(cameras);
    spec.scenes.truncate(1);
    spec.scenes[0].main.codec = codec;
    spec.scenes[0].main.gops = 2;
    spec
}

async fn play(
    fleet: &Fleet,
    kind: StreamKind,
    transport: client::Transport,
    creds: Option<client::Credentials>,
) -> Result<client::Demuxed, retina::Error> {
    let group = Arc::new(client::SessionGroup::default());
    let options = client::SessionOptions::default().creds(creds).session_group(group);
    let url = fleet.url(1, kind).parse().expect("a URL");
    let mut session = client::Session::describe(url, options).await?;
    for stream in 0..session.streams().len() {
        session.setup(stream, client::SetupOptions::default().transport(transport.clone())).await?;
    }
    session.play(client::PlayOptions::default()).await?.demuxed()
}

/// What retina made of some seconds of a stream.
#[derive(Default)]
struct Seen {
    counters: Vec<u64>,
    audio: usize,
    documents: Vec<String>,
    reports: usize,
    new_parameters: usize,
}

async fn watch(mut session: client::Demuxed, codec: VideoCodec, enough: impl Fn(&Seen) -> bool) -> Seen {
    let mut seen = Seen::default();
    let watching = async {
        while !enough(&seen) {
            match session.next().await.expect("the stream goes on").expect("no error") {
                CodecItem::VideoFrame(frame) => {
                    let mut rest = frame.data();
                    let mut nals = Vec::new();
                    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
                        let (nal, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
                        nals.push(nal);
                        rest = tail;
                    }
                    match Verdict::of(codec, &nals) {
                        Verdict::Stamped(stamp, Condition::Whole | Condition::Bare) => seen.counters.push(stamp.counter),
                        other => panic!("{other:?}"),
                    }
                    seen.new_parameters += usize::from(frame.has_new_parameters());
                }
                CodecItem::AudioFrame(_) => seen.audio += 1,
                CodecItem::MessageFrame(message) => seen.documents.push(String::from_utf8_lossy(message.data()).into_owned()),
                CodecItem::Rtcp(_) => seen.reports += 1,
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, watching).await.expect("in time");
    seen
}

fn assert_whole(fleet: &Fleet, seen: &Seen) {
    assert!(seen.counters.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{:?}", seen.counters);
    let log = fleet.sent("1/main".parse().expect("a stream")).expect("camera 1");
    assert_eq!(log.ranges(Fate::Sent)[0].0, seen.counters[0]);
}

#[tokio::test]
async fn retina_plays_both_codecs_over_both_transports_without_losing_a_picture() {
    for codec in [VideoCodec::H264, VideoCodec::H265] {
        let fleet = Fleet::start(tiny(2, codec)).expect("a fleet");
        let transports = [
            client::Transport::Tcp(client::TcpTransportOptions::default()),
            client::Transport::Udp(client::UdpTransportOptions::default()),
        ];
        for transport in transports {
            let session = play(&fleet, StreamKind::Main, transport, None).await.expect("plays");
            let seen =
                watch(session, codec, |seen| seen.counters.len() >= 30 && seen.reports > 0 && seen.documents.len() > 2).await;
            assert!(seen.counters.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{:?}", seen.counters);
            assert!(seen.documents.iter().all(|text| text.ends_with("</tt:MetadataStream>")));
        }
    }
}

#[tokio::test]
async fn sound_of_either_codec_is_played_beside_the_pictures() {
    for plan in [AudioPlan::Pcma, AudioPlan::Pcmu, AudioPlan::Aac] {
        let fleet = Fleet::start(FleetSpec { audio: plan, ..tiny(1, VideoCodec::H264) }).expect("a fleet");
        let tcp = client::Transport::default();
        let session = play(&fleet, StreamKind::Main, tcp, None).await.expect("plays");
        let seen = watch(session, VideoCodec::H264, |seen| seen.audio >= 20 && seen.counters.len() >= 20).await;
        assert_whole(&fleet, &seen);
    }
}

#[tokio::test]
async fn digest_of_either_hash_admits_the_right_password_and_no_other() {
    for algorithm in [DigestAlgorithm::Md5, DigestAlgorithm::Sha256] {
        let auth = Auth::Digest { user: "viewer".into(), password: "right".into(), algorithm };
        let fleet = Fleet::start(FleetSpec { auth, ..tiny(1, VideoCodec::H264) }).expect("a fleet");
        let with = |password: &str| Some(client::Credentials { username: "viewer".into(), password: password.into() });
        let tcp = client::Transport::default;
        let session = play(&fleet, StreamKind::Main, tcp(), with("right")).await.expect("plays");
        watch(session, VideoCodec::H264, |seen| seen.counters.len() >= 3).await;
        assert!(play(&fleet, StreamKind::Main, tcp(), with("wrong")).await.is_err());
        assert!(play(&fleet, StreamKind::Main, tcp(), None).await.is_err());
        fleet.begin(Fault::WrongPassword, &Who::All);
        assert!(play(&fleet, StreamKind::Main, tcp(), with("right")).await.is_err());
    }
}

#[tokio::test]
async fn ffprobe_knows_every_track() {
    let fleet = Fleet::start(FleetSpec { audio: AudioPlan::Aac, ..tiny(1, VideoCodec::H264) }).expect("a fleet");
    let mut probe = tokio::process::Command::new("ffprobe");
    probe.args(["-v", "error", "-rtsp_transport", "tcp", "-show_entries", "stream=codec_name,width,height", "-of", "csv=p=0"]);
    let output = tokio::time::timeout(PATIENCE, probe.arg(fleet.url(1, StreamKind::Main)).kill_on_drop(true).output());
    let output = output.await.expect("in time").expect("package ffmpeg");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("h264,320,180") && text.contains("aac"), "{text}");
}
