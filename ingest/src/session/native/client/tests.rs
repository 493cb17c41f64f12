use super::*;
use crate::session::Phase;
use crate::session::{native::rtp::tests::packet, source::RawUnit};
use index::model::{Secret, UtcMicros};
use proptest::prelude::*;

const SDP: &str =
    "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:v\r\nm=audio 0 RTP/AVP 8\r\na=control:a\r\n";

/// A session against a camera that the test plays itself.
struct Play {
    client: Client,
    now: Instant,
    items: Vec<Item>,
}

impl Play {
    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let credentials = Credentials { user: "admin".to_owned(), password: Secret::new("secret") };
        let mut settings = Settings {
            url: "rtsp://192.0.2.7:554/s0".to_owned(),
            credentials: Some(credentials),
            transport: Transport::Tcp,
            audio: false,
            metadata: false,
            ports: vec![5000, 5002, 5004],
            random: 7,
        };
        change(&mut settings);
        let now = Instant::now();
        Self { client: Client::new(settings, now), now, items: Vec::new() }
    }

    fn new() -> Self {
        Self::with(|_| ())
    }

    /// The requests that were sent since this was last asked, as `METHOD url`; an interleaved frame as `$`.
    fn sent(&mut self) -> String {
        self.sent_whole()
            .iter()
            .map(|text| text.lines().next().unwrap_or_default().replace(" RTSP/1.0", ""))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn sent_whole(&mut self) -> Vec<String> {
        let bytes = std::mem::take(self.client.outgoing());
        let (mut rest, mut all) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let length = if rest[0] == b'$' {
                all.push("$".to_owned());
                4 + usize::from(u16::from_be_bytes([rest[2], rest[3]]))
            } else {
                let end = rest.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole request") + 4;
                all.push(String::from_utf8_lossy(&rest[..end]).into_owned());
                end
            };
            rest = &rest[length..];
        }
        all
    }

    fn moment(&self) -> Moment {
        Moment { at: self.now, utc: UtcMicros::from_micros(1) }
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let now = self.moment();
        self.client.receive(bytes, now, &mut self.items).map(drop)
    }

    /// Answers the newest request.
    fn answer(&mut self, status: u16, headers: &str, body: &str) -> Result<(), Fault> {
        let sequence = self.client.sequence;
        self.receive(
            format!("RTSP/1.0 {status} X\r\nCSeq: {sequence}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
                .as_bytes(),
        )
    }

    /// Plays a friendly camera until it sends.
    fn play(mut self) -> Self {
        self.answer(200, "Public: OPTIONS, DESCRIBE, GET_PARAMETER\r\n", "").expect("OPTIONS");
        self.describe(SDP);
        self.answer(200, "Session: 42;timeout=60\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n", "").expect("SETUP");
        self.answer(200, "", "").expect("PLAY");
        assert!(self.client.is_playing());
        self.sent();
        self
    }

    fn describe(&mut self, sdp: &str) {
        self.answer(200, "Content-Base: rtsp://192.0.2.7:554/s0/\r\nContent-Type: application/sdp\r\n", sdp).expect("DESCRIBE");
    }

    fn frame(&mut self, channel: u8, payload: &[u8]) -> Result<(), Fault> {
        let mut bytes = vec![b'$', channel];
        bytes.extend((payload.len() as u16).to_be_bytes());
        bytes.extend(payload);
        self.receive(&bytes)
    }

    fn after(&mut self, seconds: u64) -> Result<String, Fault> {
        self.now += Duration::from_secs(seconds);
        let now = self.moment();
        self.client.tick(now, &mut self.items)?;
        Ok(self.sent())
    }

    fn units(&self) -> usize {
        self.items.iter().filter(|item| matches!(item, Item::Unit(_))).count()
    }
}

const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"c\", nonce=\"1\"\r\n";

#[test]
fn a_friendly_camera_is_asked_four_things_and_then_sends() {
    let mut play = Play::new();
    assert_eq!(play.sent(), "OPTIONS rtsp://192.0.2.7:554/s0");
    play.answer(200, "Public: OPTIONS\r\n", "").expect("OPTIONS");
    assert_eq!(play.sent(), "DESCRIBE rtsp://192.0.2.7:554/s0");
    play.describe(SDP);
    assert_eq!(play.sent(), "SETUP rtsp://192.0.2.7:554/s0/v");
    play.answer(200, "Session: 42\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n", "").expect("SETUP");
    let request = play.sent_whole().remove(0);
    assert!(request.starts_with("PLAY rtsp://192.0.2.7:554/s0/ ") && request.contains("Session: 42\r\n"), "{request}");
    play.answer(200, "", "").expect("PLAY");
    play.frame(0, &packet(true, 1, 9, &[0x65, 0x88])).expect("media");
    assert!(matches!(&play.items[..], [Item::Unit(RawUnit { key: true, .. })]));
}

#[test]
fn q10_every_request_says_who_asks() {
    assert!(Play::new().sent_whole()[0].contains("User-Agent: Haohe/"));
}

#[test]
fn sound_is_set_up_only_when_asked_for_and_its_refusal_costs_no_pictures() {
    let mut play = Play::with(|settings| settings.audio = true);
    play.answer(200, "", "").expect("OPTIONS");
    play.describe(SDP);
    play.answer(200, "Session: 42\r\n", "").expect("SETUP");
    play.sent();
    play.answer(461, "", "").expect("a refusal of the sound");
    assert_eq!(play.sent(), "PLAY rtsp://192.0.2.7:554/s0/");
}

#[test]
fn q15_a_stale_nonce_is_answered_at_setup_and_while_playing() {
    let mut play = Play::new();
    play.answer(200, "", "").expect("OPTIONS");
    play.answer(401, CHALLENGE, "").expect("a challenge");
    assert!(play.sent_whole().last().is_some_and(|text| text.contains("Authorization: Digest ")));
    play.describe(SDP);
    play.answer(401, &CHALLENGE.replace("nonce=\"1\"", "nonce=\"2\", stale=true"), "").expect("a stale nonce");
    assert!(play.sent_whole().last().is_some_and(|text| text.starts_with("SETUP") && text.contains("nonce=\"2\"")));
    play.answer(200, "Session: 42\r\n", "").expect("SETUP");
    play.answer(200, "", "").expect("PLAY");
    assert_eq!(play.sent(), "PLAY rtsp://192.0.2.7:554/s0/");
    assert_eq!(play.after(20).expect("time"), "OPTIONS rtsp://192.0.2.7:554/s0/");
    play.answer(401, &CHALLENGE.replace("\"1\"", "\"3\""), "").expect("a new nonce");
    assert!(play.sent_whole().last().is_some_and(|text| text.contains("nonce=\"3\"")));
}

#[test]
fn q16_a_camera_that_hangs_up_after_its_challenge_is_dialled_again_once() {
    let mut play = Play::new();
    play.answer(200, "", "").expect("OPTIONS");
    play.answer(401, CHALLENGE, "").expect("a challenge");
    play.client.hung_up().expect("another try");
    assert_eq!(play.client.redial(), Some(Redial::Same));
    play.client.redialled(play.now);
    assert!(play.sent_whole()[0].contains("Authorization: Digest "));
    assert!(matches!(play.client.hung_up(), Err(Fault::Unreachable(_))));
}

#[test]
fn q17_a_camera_that_wants_options_first_gets_them_and_one_that_does_not_answer_is_still_asked() {
    let mut play = Play::new();
    play.sent();
    assert_eq!(play.after(3).expect("time"), "DESCRIBE rtsp://192.0.2.7:554/s0");
    let mut refuses = Play::new();
    refuses.sent();
    refuses.answer(501, "", "").expect("no OPTIONS");
    assert_eq!(refuses.sent(), "DESCRIBE rtsp://192.0.2.7:554/s0");
}

#[test]
fn q18_redirects_are_followed_three_times() {
    let mut play = Play::new();
    for hop in 1..=3 {
        play.answer(302, &format!("Location: rtsp://192.0.2.8:554/{hop}\r\n"), "").expect("a redirect");
        assert_eq!(play.client.redial(), Some(Redial::To(format!("rtsp://192.0.2.8:554/{hop}"))));
        play.client.redialled(play.now);
    }
    assert_eq!(play.sent(), "OPTIONS rtsp://192.0.2.8:554/3");
    assert_eq!(play.answer(302, "Location: rtsp://192.0.2.8:554/4\r\n", ""), Err(Fault::Refused(302)));
}

#[test]
fn q19_a_wrong_password_is_a_fault_of_its_own_after_one_offer() {
    let mut play = Play::new();
    play.answer(401, CHALLENGE, "").expect("a challenge");
    assert_eq!(play.answer(401, CHALLENGE, ""), Err(Fault::Unauthorised));
    let mut nobody = Play::with(|settings| settings.credentials = None);
    assert_eq!(nobody.answer(401, CHALLENGE, ""), Err(Fault::Unauthorised));
}

#[test]
fn q57_statuses_are_faults_that_name_them() {
    for status in [404, 453, 454, 503] {
        let mut play = Play::new();
        play.answer(200, "", "").expect("OPTIONS");
        assert_eq!(play.answer(status, "", ""), Err(Fault::Refused(status)));
    }
}

#[test]
fn an_offer_without_a_known_codec_names_what_was_offered() {
    let mut play = Play::new();
    play.answer(200, "", "").expect("OPTIONS");
    let sdp = "m=video 0 RTP/AVP 26\r\na=rtpmap:26 JPEG/90000\r\n";
    assert_eq!(play.answer(200, "", sdp), Err(Fault::UnsupportedCodec("video/JPEG".to_owned())));
    let mut empty = Play::new();
    empty.answer(200, "", "").expect("OPTIONS");
    assert!(matches!(empty.answer(200, "", ""), Err(Fault::Protocol(_))));
}

#[test]
fn q41_q45_q46_the_first_session_and_the_cameras_channels_are_used() {
    let mut play = Play::with(|settings| settings.audio = true);
    play.answer(200, "", "").expect("OPTIONS");
    play.describe(SDP);
    play.answer(200, "Session: first\r\nTransport: RTP/AVP;unicast;interleaved=7\r\n", "").expect("SETUP");
    play.answer(200, "Session: second\r\nTransport: RTP/AVP/TCP;unicast\r\n", "").expect("SETUP");
    assert!(play.sent_whole().last().is_some_and(|text| text.contains("Session: first\r\n")));
    play.answer(200, "", "").expect("PLAY");
    play.frame(7, &packet(true, 1, 9, &[0x65, 0x88])).expect("pictures");
    let mut sound = packet(true, 1, 9, &[1, 2]);
    sound[1] = 8;
    play.frame(2, &sound).expect("sound");
    assert_eq!(play.units(), 2);
}

#[test]
fn q47_over_udp_ports_are_asked_for_and_reports_go_to_the_cameras() {
    let mut play = Play::with(|settings| settings.transport = Transport::Udp);
    play.answer(200, "", "").expect("OPTIONS");
    play.describe(SDP);
    assert!(play.sent_whole().last().is_some_and(|text| text.contains("Transport: RTP/AVP;unicast;client_port=5000-5001\r\n")));
    play.answer(200, "Session: 42\r\nTransport: RTP/AVP;server_port=6970-6971\r\n", "").expect("SETUP");
    play.answer(200, "", "").expect("PLAY");
    let now = play.moment();
    for (number, payload) in [(1, [0x65, 0x88]), (3, [0x41, 0x9a]), (2, [0x41, 0x9a])] {
        play.client.datagram(0, false, &packet(true, number, u32::from(number), &payload), now, &mut play.items);
    }
    let times: Vec<u32> =
        play.items.iter().filter_map(|item| if let Item::Unit(unit) = item { Some(unit.arrival.rtp) } else { None }).collect();
    assert_eq!(times, [1, 2, 3]);
    play.after(0).expect("time");
    assert_eq!((play.client.datagrams().len(), play.client.report_port(0)), (1, Some(6971)));
}

#[test]
fn q53_play_is_tried_again_without_a_range() {
    let mut play = Play::new();
    play.answer(200, "", "").expect("OPTIONS");
    play.describe(SDP);
    play.answer(200, "Session: 42\r\n", "").expect("SETUP");
    assert!(play.sent_whole().last().is_some_and(|text| text.contains("Range: npt=0.000-")));
    play.answer(457, "", "").expect("a dislike");
    assert!(play.sent_whole().last().is_some_and(|text| text.starts_with("PLAY") && !text.contains("Range")));
}

#[test]
fn q54_q56_packets_before_play_are_not_used_and_those_before_its_answer_are() {
    let mut play = Play::new();
    let old = packet(true, 1, 9, &[0x65, 0x88]);
    play.answer(200, "", "").expect("OPTIONS");
    play.receive(&[&b"$\x00\x00\x0e"[..], &old, b"\r\n"].concat()).expect("an old session's packet");
    play.describe(SDP);
    play.answer(200, "Session: 42\r\n", "").expect("SETUP");
    assert_eq!(play.units(), 0);
    play.frame(0, &old).expect("an early packet");
    assert_eq!(play.units(), 1);
    play.after(6).expect("the answer to PLAY never came, but packets did");
    assert!(play.client.is_playing());
}

#[test]
fn a_camera_that_stops_answering_is_told_apart_by_phase() {
    let mut play = Play::new();
    play.answer(200, "", "").expect("OPTIONS");
    assert_eq!(play.after(6), Err(Fault::TimedOut(Phase::Describe)));
    let mut play = Play::new();
    play.answer(200, "", "").expect("OPTIONS");
    play.describe(SDP);
    assert_eq!(play.after(6), Err(Fault::TimedOut(Phase::Setup)));
}

#[test]
fn q60_q61_q65_q71_signs_of_life_use_a_method_that_the_camera_knows_and_come_in_time() {
    let mut play = Play::new().play();
    assert_eq!(play.after(19).expect("time"), "");
    assert_eq!(play.after(1).expect("time"), "GET_PARAMETER rtsp://192.0.2.7:554/s0/");
    play.answer(501, "", "").expect("not known after all");
    assert_eq!(play.after(20).expect("time"), "OPTIONS rtsp://192.0.2.7:554/s0/");
}

#[test]
fn q62_q63_q68_missing_wrong_and_stray_answers_do_not_end_a_session() {
    let mut play = Play::new().play();
    for _ in 0..10 {
        assert_eq!(play.after(20).expect("time"), "GET_PARAMETER rtsp://192.0.2.7:554/s0/");
        play.receive(b"RTSP/1.0 400 Bad\r\nCSeq: 1\r\n\r\nRTSP/1.0 454 X\r\nCSeq: 9999\r\n\r\nRTSP/1.0 200 OK\r\n\r\n")
            .expect("strays");
    }
    let mut early = Play::new();
    early.receive(b"RTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\n").expect("a stray");
    assert_eq!(early.sent(), "OPTIONS rtsp://192.0.2.7:554/s0", "nothing was answered yet");
    early.after(3).expect("time");
    assert_eq!(early.client.stage, Stage::Describe, "believed, for want of a better one");
}

#[test]
fn q64_a_lost_session_is_a_fault() {
    let mut play = Play::new().play();
    play.after(20).expect("time");
    assert_eq!(play.answer(454, "", ""), Err(Fault::Refused(454)));
}

#[test]
fn q66_reports_are_sent_every_five_seconds_once_packets_come() {
    let mut play = Play::new().play();
    assert_eq!(play.after(5).expect("time"), "");
    play.frame(0, &packet(true, 1, 9, &[0x65, 0x88])).expect("media");
    assert_eq!(play.after(5).expect("time"), "$");
}

#[test]
fn q67_the_cameras_own_requests_are_answered() {
    let mut play = Play::new().play();
    play.receive(b"OPTIONS * RTSP/1.0\r\nCSeq: 3\r\n\r\nREDIRECT * RTSP/1.0\r\nCSeq: 4\r\n\r\n").expect("requests");
    assert_eq!(play.sent(), "RTSP/1.0 200 OK, RTSP/1.0 501 Not Implemented");
    assert!(matches!(play.receive(b"TEARDOWN * RTSP/1.0\r\n\r\n"), Err(Fault::Unreachable(_))));
}

#[test]
fn q67_a_camera_that_only_asks_is_given_up() {
    let mut play = Play::new().play();
    let verdict = (0..5_000).find_map(|_| play.receive(b"OPTIONS * RTSP/1.0\r\nCSeq: 3\r\n\r\n").err());
    assert!(matches!(verdict, Some(Fault::Protocol(_))));
    assert!(play.client.outgoing().len() < OUTGOING_MAX + 1_000);
}

#[test]
fn goodbye_is_said_to_a_camera_that_keeps_a_session() {
    let mut play = Play::new().play();
    play.client.close();
    assert_eq!(play.sent(), "TEARDOWN rtsp://192.0.2.7:554/s0/");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_never_panic(playing in any::<bool>(), bytes in prop::collection::vec(prop_oneof![Just(b'$'), Just(0), Just(0x80), any::<u8>()], 0..400)) {
        let mut play = if playing { Play::new().play() } else { Play::new() };
        let _ = play.receive(&bytes);
        let _ = play.after(5);
    }

    #[test]
    fn whatever_a_camera_answers_the_session_moves_on_or_ends(answers in prop::collection::vec((prop::sample::select(vec![200u16, 100, 302, 400, 401, 404, 453, 461, 500]), any::<bool>()), 0..40)) {
        let mut play = Play::new();
        for (status, with_sdp) in answers {
            let headers = "Session: 1\r\nLocation: rtsp://192.0.2.9/\r\nWWW-Authenticate: Digest realm=\"c\", nonce=\"1\", stale=true\r\n";
            if play.answer(status, headers, if with_sdp { SDP } else { "" }).is_err() {
                break;
            }
            if play.client.redial().is_some() {
                play.client.redialled(play.now);
            }
            prop_assert!(play.client.outgoing().len() < 64 << 10);
            play.sent();
        }
    }
}
