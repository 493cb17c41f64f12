//! The cheapest client there can be: it plays many streams and has the kernel throw the bytes away. It shows what the fleet itself
//! can carry, without the cost of a real client.
//!
//! One thread looks at all sockets in turn, every some milliseconds, and copies nothing: of TCP no byte leaves the kernel
//! (`MSG_TRUNC`, tcp(7)), of a datagram only the four that hold its number.

use rustix::{
    io::Errno,
    net::{RecvFlags, recv},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

/// Time between two looks at all sockets.
const TURN: Duration = Duration::from_millis(20);
/// How often each session shows that it is alive.
const ALIVE_EVERY: Duration = Duration::from_secs(15);
/// What is thrown away at once: as much as a socket holds at most.
const BITE: usize = 4 << 20;
/// How long the fleet may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How the media comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Over {
    /// Within the connection.
    Tcp,
    /// As datagrams.
    Udp,
}

/// What was drained.
#[derive(Clone, Copy, PartialEq, Debug, Default, serde::Serialize)]
pub struct Drained {
    /// Sessions that played to the end.
    pub sessions: u64,
    /// Sessions that could not be played, or broke.
    pub failed: u64,
    /// Bytes received; over TCP with the replies.
    pub bytes: u64,
    /// Datagrams that did not come, by their numbers.
    pub lost: u64,
}

/// Lets this process open as many files as it may: thousands of sessions are thousands of sockets.
pub fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the number of open files stays limited");
    }
}

/// Plays `streams` (`cam/1/main`, ...) of a fleet, begins one after the other, for `lasting` after the last began, and counts.
#[must_use]
pub fn drain(fleet: SocketAddr, streams: Vec<String>, over: Over, lasting: Duration) -> Drained {
    raise_file_limit();
    let mut total = Drained::default();
    // Its length counts, not its bytes: nothing is ever written there.
    let mut bin = vec![0; BITE];
    let mut playing = Vec::new();
    for stream in streams {
        match Playing::begin(fleet, &stream, over) {
            Ok(session) => playing.push(session),
            Err(error) => {
                tracing::debug!(%error, stream, "not played");
                total.failed += 1;
            }
        }
        // Those that play already are not kept waiting by those that begin.
        if playing.len().is_multiple_of(32) {
            turn(&mut playing, &mut total, &mut bin);
        }
    }
    let mut shown = Instant::now();
    let end = Instant::now() + lasting;
    while Instant::now() < end {
        let next = Instant::now() + TURN;
        turn(&mut playing, &mut total, &mut bin);
        if shown.elapsed() >= ALIVE_EVERY {
            shown = Instant::now();
            playing.retain_mut(|session| {
                let alive = session.show_alive().is_ok();
                total.failed += u64::from(!alive);
                alive
            });
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    total.sessions = playing.len() as u64;
    total
}

/// Empties every socket once, and gives up those that broke.
fn turn(playing: &mut Vec<Playing>, total: &mut Drained, bin: &mut [u8]) {
    playing.retain_mut(|session| {
        let alive = session.empty(total, bin).is_ok();
        total.failed += u64::from(!alive);
        alive
    });
}

struct Playing {
    socket: TcpStream,
    datagrams: Option<UdpSocket>,
    /// The number that the next datagram should have.
    expected: Option<u16>,
    alive: String,
}

impl Playing {
    fn begin(fleet: SocketAddr, stream: &str, over: Over) -> io::Result<Self> {
        let mut socket = TcpStream::connect_timeout(&fleet, PATIENCE)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let url = format!("rtsp://{fleet}/{stream}");
        let (datagrams, transport) = match over {
            Over::Tcp => (None, "RTP/AVP/TCP;unicast;interleaved=0-1".to_owned()),
            Over::Udp => {
                let socket = UdpSocket::bind((socket.local_addr()?.ip(), 0))?;
                socket.set_nonblocking(true)?;
                let port = socket.local_addr()?.port();
                // Nobody listens for the reports: whatever stands on that port, it is not asked for more than one in five seconds.
                (Some(socket), format!("RTP/AVP;unicast;client_port={port}-{}", port.wrapping_add(1)))
            }
        };
        let set_up = format!("SETUP {url}/trackID=0 RTSP/1.0\r\nCSeq: 1\r\nTransport: {transport}\r\n\r\n");
        let reply = ask(&mut socket, &set_up)?;
        let session = reply.lines().find_map(|line| line.strip_prefix("Session: ")?.split(';').next());
        let session = session.ok_or_else(|| io::Error::other("no session"))?;
        socket.write_all(format!("PLAY {url} RTSP/1.0\r\nCSeq: 2\r\nSession: {session}\r\n\r\n").as_bytes())?;
        socket.set_nonblocking(true)?;
        let alive = format!("GET_PARAMETER {url} RTSP/1.0\r\nCSeq: 3\r\nSession: {session}\r\n\r\n");
        Ok(Self { socket, datagrams, expected: None, alive })
    }

    fn show_alive(&mut self) -> io::Result<()> {
        self.socket.write_all(self.alive.as_bytes())
    }

    fn empty(&mut self, total: &mut Drained, bin: &mut [u8]) -> io::Result<()> {
        if let Some(datagrams) = &self.datagrams {
            let mut head = [0; 4];
            while let Some(length) = received(recv(datagrams, &mut head, RecvFlags::TRUNC))? {
                let number = u16::from_be_bytes([head[2], head[3]]);
                let gap = number.wrapping_sub(self.expected.unwrap_or(number));
                // What comes late was counted as lost when the one after it came.
                total.lost += if gap < 1 << 15 { u64::from(gap) } else { 0 };
                self.expected = Some(number.wrapping_add(1));
                total.bytes += length as u64;
            }
        }
        match received(recv(&self.socket, bin, RecvFlags::TRUNC))? {
            Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(length) => total.bytes += length as u64,
            None => {}
        }
        Ok(())
    }
}

/// How many bytes there were; `None` when nothing is there now.
fn received(result: Result<(usize, usize), Errno>) -> io::Result<Option<usize>> {
    match result {
        Ok((_, length)) => Ok(Some(length)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn ask(socket: &mut TcpStream, request: &str) -> io::Result<String> {
    socket.write_all(request.as_bytes())?;
    let mut reply = Vec::new();
    let mut byte = [0];
    while !reply.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte)?;
        reply.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&reply).into_owned())
}
