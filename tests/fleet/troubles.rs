//! Faults as a client meets them: a client written here, on a plain socket, that sees every byte.

use fleet::{Checker, Fate, Fault, Fleet, FleetSpec, StreamLog, Who};
use index::model::{StreamKind, UtcMicros, Window};
use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(15);

enum Message {
    Reply(String),
    Frame {
        channel: u8,
        packet: Vec<u8>,
    },
    /// A byte that begins neither.
    Garbage,
    Closed,
}

/// A client that plays the main stream of camera 1.
struct Client {
    socket: TcpStream,
    bytes: Vec<u8>,
    url: String,
    session: String,
}

impl Client {
    fn connect(fleet: &Fleet) -> Self {
        let socket = TcpStream::connect(fleet.address()).expect("the fleet listens");
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
        Self { socket, bytes: Vec::new(), url: fleet.url(1, StreamKind::Main), session: String::new() }
    }

    fn playing(fleet: &Fleet) -> Self {
        let mut client = Self::connect(fleet);
        assert!(client.set_up().contains("200 OK"));
        assert!(client.ask("PLAY", "").contains("200 OK"));
        client
    }

    fn set_up(&mut self) -> String {
        let reply = self.ask("SETUP", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n");
        let session = reply.lines().find_map(|line| line.strip_prefix("Session: ")?.split(';').next());
        self.session = session.unwrap_or_default().to_owned();
        reply
    }

    fn send(&mut self, method: &str, more: &str) {
        let track = if method == "SETUP" { "/trackID=0" } else { "" };
        let session = if self.session.is_empty() { String::new() } else { format!("Session: {}\r\n", self.session) };
        let text = format!("{method} {}{track} RTSP/1.0\r\nCSeq: 1\r\n{session}{more}\r\n", self.url);
        // A camera that closed at once is seen when reading.
        let _ = self.socket.write_all(text.as_bytes());
    }

    /// The reply, past any frames; empty if the connection is closed.
    fn ask(&mut self, method: &str, more: &str) -> String {
        self.send(method, more);
        let until = Instant::now() + PATIENCE;
        loop {
            match self.next(until) {
                Some(Message::Reply(text)) => return text,
                Some(Message::Frame { .. } | Message::Garbage) => {}
                Some(Message::Closed) | None => return String::new(),
            }
        }
    }

    fn next(&mut self, until: Instant) -> Option<Message> {
        loop {
            if let Some(message) = self.take() {
                return Some(message);
            }
            let mut buffer = [0; 65_536];
            match self.socket.read(&mut buffer) {
                Ok(0) => return Some(Message::Closed),
                Ok(read) => self.bytes.extend(&buffer[..read]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return Some(Message::Closed),
            }
            if Instant::now() > until {
                return None;
            }
        }
    }

    fn take(&mut self) -> Option<Message> {
        match self.bytes.first()? {
            b'$' => {
                let length = usize::from(u16::from_be_bytes([*self.bytes.get(2)?, *self.bytes.get(3)?]));
                let packet = self.bytes.get(4..4 + length)?.to_vec();
                let channel = self.bytes[1];
                self.bytes.drain(..4 + length);
                Some(Message::Frame { channel, packet })
            }
            b'R' => {
                let end = self.bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
                let text = String::from_utf8_lossy(&self.bytes[..end]).into_owned();
                self.bytes.drain(..end);
                Some(Message::Reply(text))
            }
            _ => {
                self.bytes.remove(0);
                Some(Message::Garbage)
            }
        }
    }

    /// The next frame of a channel. `None` if none comes within `wait`.
    fn frame(&mut self, wanted: u8, wait: Duration) -> Option<Vec<u8>> {
        let until = Instant::now() + wait;
        while let Some(message) = self.next(until) {
            match message {
                Message::Frame { channel, packet } if channel == wanted => return Some(packet),
                Message::Closed => return None,
                _ => {}
            }
        }
        None
    }

    /// The RTP timestamp of the next access unit.
    fn timestamp(&mut self) -> i64 {
        let packet = self.frame(0, PATIENCE).expect("a packet");
        i64::from(u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]))
    }
}

fn start() -> Fleet {
    let mut spec = FleetSpec::tiny(2);
    spec.scenes.truncate(1);
    Fleet::start(spec).expect("a fleet")
}

fn log(fleet: &Fleet) -> StreamLog {
    fleet.sent("1/main".parse().expect("a stream")).expect("camera 1")
}

const ONE: Who = Who::All;
const SOON: Duration = Duration::from_millis(1500);

#[test]
fn a_dropped_connection_ends_and_the_next_one_plays() {
    let fleet = start();
    let mut client = Client::playing(&fleet);
    assert!(client.frame(0, PATIENCE).is_some());
    fleet.begin(Fault::Drop, &ONE);
    let until = Instant::now() + PATIENCE;
    while !matches!(client.next(until).expect("an end"), Message::Closed) {}
    assert!(Client::playing(&fleet).frame(0, PATIENCE).is_some());
}

#[test]
fn a_silent_camera_answers_but_sends_nothing_and_the_log_says_so() {
    let fleet = start();
    let mut client = Client::playing(&fleet);
    assert!(client.frame(0, PATIENCE).is_some());
    fleet.begin(Fault::Silent, &ONE);
    assert!(client.ask("GET_PARAMETER", "").contains("200 OK"));
    while client.frame(0, Duration::from_millis(300)).is_some() {}
    assert!(client.ask("GET_PARAMETER", "").contains("200 OK"));
    fleet.clear(&ONE);
    assert!(client.frame(0, PATIENCE).is_some());
    assert_eq!(log(&fleet).ranges(Fate::Withheld).len(), 1);
}

#[test]
fn a_half_open_connection_says_nothing_at_all() {
    let fleet = start();
    let mut client = Client::playing(&fleet);
    fleet.begin(Fault::HalfOpen, &ONE);
    while client.frame(0, Duration::from_millis(300)).is_some() {}
    client.send("OPTIONS", "");
    assert!(client.next(Instant::now() + SOON).is_none());
}

#[test]
fn a_camera_that_is_offline_closes_whatever_asks() {
    let fleet = start();
    fleet.begin(Fault::Offline, &ONE);
    assert!(Client::connect(&fleet).ask("OPTIONS", "").is_empty());
}

#[test]
fn garbage_stands_between_frames_while_the_fault_lasts() {
    let fleet = start();
    fleet.begin(Fault::Garbage, &ONE);
    let mut client = Client::playing(&fleet);
    let until = Instant::now() + PATIENCE;
    while !matches!(client.next(until).expect("something"), Message::Garbage) {}
}

#[test]
fn timestamps_jump_and_drift_as_told() {
    let fleet = start();
    let mut client = Client::playing(&fleet);
    let before = client.timestamp();
    fleet.begin(Fault::TimestampJump(-50), &ONE);
    let mut after = client.timestamp();
    for _ in 0..200 {
        after = if after < before || after - before > i64::from(u32::MAX / 2) { break } else { client.timestamp() };
    }
    let jump = (after - before) as i32;
    assert!((-4_600_000..=-4_000_000).contains(&jump), "{jump}");
    // At twice the speed, a second holds 180,000 ticks.
    fleet.begin(Fault::Drift(1_000_000), &ONE);
    let (begin, first) = (Instant::now(), client.timestamp());
    let mut last = first;
    while begin.elapsed() < Duration::from_secs(2) {
        last = client.timestamp();
    }
    let speed = f64::from((last - first) as i32) / begin.elapsed().as_secs_f64();
    assert!((150_000.0..200_000.0).contains(&speed), "{speed}");
}

#[test]
fn parameter_sets_change_at_a_key_unit_and_come_back() {
    let fleet = start();
    let mut client = Client::playing(&fleet);
    let mut set = || loop {
        let packet = client.frame(0, PATIENCE).expect("a packet");
        if packet[12] & 0x1f == 24 {
            return packet[12..].to_vec();
        }
    };
    let first = set();
    fleet.begin(Fault::NewParameters, &ONE);
    let until = Instant::now() + PATIENCE;
    while set() == first {
        assert!(Instant::now() < until);
    }
    fleet.clear(&ONE);
    while set() != first {
        assert!(Instant::now() < until);
    }
}

#[test]
fn a_slow_camera_begins_late() {
    let fleet = start();
    fleet.begin(Fault::SlowStart(2000), &ONE);
    let begin = Instant::now();
    assert!(Client::playing(&fleet).frame(0, PATIENCE).is_some());
    assert!(begin.elapsed() >= Duration::from_secs(2));
}

#[test]
fn sender_reports_come_unless_the_camera_sends_none() {
    let fleet = start();
    assert!(Client::playing(&fleet).frame(1, SOON + SOON).is_some_and(|packet| packet[1] == 200));
    fleet.begin(Fault::NoRtcp, &ONE);
    assert!(Client::playing(&fleet).frame(1, SOON).is_none());
}

#[test]
fn the_session_beyond_the_limit_is_refused_with_453_until_one_ends() {
    let fleet = start();
    fleet.begin(Fault::SessionLimit(1), &ONE);
    let mut first = Client::playing(&fleet);
    assert!(Client::connect(&fleet).set_up().contains("453"));
    assert!(first.ask("TEARDOWN", "").contains("200 OK"));
    assert!(Client::connect(&fleet).set_up().contains("200 OK"));
}

#[test]
fn scripted_faults_begin_and_end_by_themselves() {
    let mut spec = FleetSpec::tiny(1);
    spec.faults = vec!["offline@1+3:1".parse().expect("a rule")];
    let fleet = Fleet::start(spec).expect("a fleet");
    for answers in [true, false, true] {
        let until = Instant::now() + PATIENCE;
        while Client::connect(&fleet).ask("OPTIONS", "").is_empty() == answers {
            assert!(Instant::now() < until, "it never {}", if answers { "answered" } else { "closed" });
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_client_that_does_not_read_loses_whole_gops_and_the_log_names_them() {
    let mut spec = FleetSpec::tiny(1);
    (spec.client_buffer, spec.socket_buffer) = (20_000, 4096);
    let fleet = Fleet::start(spec).expect("a fleet");
    let mut client = Client::playing(&fleet);
    let until = Instant::now() + Duration::from_secs(60);
    while log(&fleet).ranges(Fate::Refused).iter().all(|(first, last)| last - first < 30) {
        assert!(Instant::now() < until, "{:?}", fleet.stats());
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let mut checker = Checker::new();
    let (mut nals, mut fragment): (Vec<Vec<u8>>, Vec<u8>) = (Vec::new(), Vec::new());
    let seen = |log: &StreamLog| log.ranges(Fate::Sent).last().map_or(0, |(_, last)| *last);
    let refused_until = log(&fleet).ranges(Fate::Refused)[0].1;
    let mut drained = Instant::now() + PATIENCE;
    while let Some(packet) = client.frame(0, drained.saturating_duration_since(Instant::now())) {
        let payload = &packet[12..];
        match payload[0] & 0x1f {
            24 => {
                let mut rest = &payload[1..];
                while let Some((length, tail)) = rest.split_first_chunk::<2>() {
                    let (nal, tail) = tail.split_at(usize::from(u16::from_be_bytes(*length)));
                    nals.push(nal.to_vec());
                    rest = tail;
                }
            }
            28 => {
                if payload[1] & 0x80 != 0 {
                    fragment = vec![payload[0] & 0xe0 | payload[1] & 0x1f];
                }
                fragment.extend(&payload[2..]);
                if payload[1] & 0x40 != 0 {
                    nals.push(std::mem::take(&mut fragment));
                }
            }
            _ => nals.push(payload.to_vec()),
        }
        if packet[1] & 0x80 != 0 {
            let unit: Vec<&[u8]> = nals.iter().map(Vec::as_slice).collect();
            checker.unit(index::model::VideoCodec::H264, &unit);
            nals.clear();
            if seen(&log(&fleet)) > refused_until + 10 {
                drained = drained.min(Instant::now() + Duration::from_millis(400));
            }
        }
    }
    drop(client);
    let log = log(&fleet);
    let report = checker.report(None, Window::new(UtcMicros::MIN, UtcMicros::MAX));
    let stream = &report.streams[0];
    assert_eq!(report.unstamped, 0);
    assert!(stream.altered.is_empty() && stream.duplicated.is_empty(), "{report}");
    let refused = log.ranges(Fate::Refused);
    let lost: Vec<_> = stream.lost.iter().map(|span| (span.first, span.last)).collect();
    assert!(lost.iter().all(|span| refused.contains(span)), "lost {lost:?} refused {refused:?}");
    assert!(!lost.is_empty());
    assert!(fleet.stats().wait_s > 0.0 && fleet.stats().refused >= 30);
}
