//! One client's connection: its requests, in order, and the pictures that are due to it.

use super::{
    Shared,
    camera::CameraState,
    output::Output,
    session::{Path, Session},
    shard::Shard,
};
use crate::{
    auth::Challenge,
    dice::Dice,
    faults::Effects,
    quirks::{Act, Habit},
    rtsp::{self, Input},
    sent::Fate,
};
use index::model::UtcMicros;
use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    rc::{Rc, Weak},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, sync::Notify, time::sleep};

/// A connection as its reader and the pacer share it.
pub(super) type Link = Rc<RefCell<Connection>>;

/// One client.
pub(super) struct Connection {
    pub(super) shard: Rc<Shard>,
    pub(super) me: Weak<RefCell<Connection>>,
    stream: Rc<TcpStream>,
    pub(super) peer: SocketAddr,
    output: Output,
    pub(super) challenge: Challenge,
    pub(super) dice: Dice,
    pub(super) session: Option<Session>,
    /// The camera that it last asked for, and how often that camera had reset its connections by then.
    pub(super) camera: Option<(Arc<CameraState>, u64)>,
    /// Whether it asked OPTIONS.
    pub(super) asked: bool,
    heard: Instant,
    closing: Rc<Notify>,
}

/// Serves one client until either side has enough.
pub(super) async fn converse(stream: TcpStream, shard: Rc<Shard>) {
    let Ok(peer) = stream.peer_addr() else { return };
    if let Err(error) = prepare(&stream, shard.shared.spec.socket_buffer) {
        return tracing::debug!(%peer, %error, "client gone before it said anything");
    }
    let stream = Rc::new(stream);
    let closing = Rc::new(Notify::new());
    let random = u64::from(peer.port()) << 32 ^ shard.shared.now_us();
    let mut dice = Dice::new(shard.shared.spec.seed, random);
    let link = Rc::new_cyclic(|me| {
        RefCell::new(Connection {
            shard: shard.clone(),
            me: me.clone(),
            stream: stream.clone(),
            peer,
            output: Output::new(stream.clone()),
            challenge: Challenge::new(dice.next()),
            dice,
            session: None,
            camera: None,
            asked: false,
            heard: Instant::now(),
            closing: closing.clone(),
        })
    });
    tokio::select! {
        () = closing.notified() => {}
        end = read(&stream, &link) => tracing::debug!(%peer, end = ?end.err(), "client gone"),
    }
    // The session ends here even if something still holds the connection.
    link.borrow_mut().session = None;
}

fn prepare(stream: &TcpStream, buffer: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_send_buffer_size(buffer)
}

async fn read(stream: &TcpStream, link: &Link) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        stream.readable().await?;
        if link.borrow().effects().half_open {
            sleep(Duration::from_millis(100)).await;
            continue;
        }
        match stream.try_read_buf(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        while let Some((taken, input)) = rtsp::parse(&bytes).map_err(io::Error::other)? {
            bytes.drain(..taken);
            link.borrow_mut().handle(&input)?;
        }
    }
}

impl Connection {
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shard.shared
    }

    pub(super) fn effects(&self) -> Arc<Effects> {
        self.camera.as_ref().map_or_else(Arc::default, |(camera, _)| camera.effects())
    }

    /// The client gave a sign of life.
    pub(super) fn heard(&mut self) {
        self.heard = Instant::now();
    }

    fn handle(&mut self, input: &Input) -> io::Result<()> {
        if matches!(input, Input::Interleaved(_)) || !self.effects().has(Habit::WantsReports) {
            self.heard();
        }
        let Input::Request(request) = input else { return Ok(()) };
        let path = request.path();
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        if let (Some("cam"), Some(Ok(number))) = (parts.next(), parts.next().map(str::parse::<u32>)) {
            let camera = self.shared().camera(number).cloned();
            let known = self.camera.as_ref().is_some_and(|(camera, _)| u32::from(camera.id) == number);
            if !known {
                self.camera = camera.map(|camera| (camera.clone(), camera.effects().drops));
            }
        }
        let effects = self.effects();
        if effects.offline {
            self.reset();
            return Ok(());
        }
        let playing = self.session.as_ref().is_some_and(|session| session.next.is_some());
        if playing && effects.acts().any(|act| matches!(act, Act::Ignores(method) if *method == request.method)) {
            return Ok(());
        }
        if effects.has(Habit::HatesKeepalive) && request.method == "GET_PARAMETER" {
            return Err(io::Error::other("a keepalive that the camera hates"));
        }
        let mut reply = self.answer(request, &effects);
        let challenged = reply.status == 401;
        if let Some(sequence) = request.header("CSeq") {
            reply.headers.insert(0, ("CSeq".to_owned(), sequence.to_owned()));
        }
        for act in effects.acts() {
            match act {
                Act::Reply(method, change) if *method == "*" || *method == request.method => change(&mut reply),
                Act::Before(method, bytes) if *method == request.method => {
                    self.output.send(bytes, None, &self.shard.shared.counters)?;
                }
                _ => {}
            }
        }
        let started = request.method == "PLAY" && reply.status == 200;
        self.output.send(reply.render().as_bytes(), None, &self.shard.shared.counters)?;
        if challenged && effects.has(Habit::ClosesAfterChallenge) {
            return Err(io::Error::other("closed after the challenge"));
        }
        if self.output.waiting() > self.shared().spec.client_buffer + (64 << 10) {
            return Err(io::Error::other("asks, but does not read the answers"));
        }
        if let (true, Some(session), Some(link)) = (started, &self.session, self.me.upgrade())
            && let Some(at) = session.due()
        {
            self.shard.schedule(at, session.number, &link);
        }
        Ok(())
    }

    /// Sends the picture that is due. When the next one is; `None` if the session is over.
    pub(super) fn tick(&mut self, number: u64, now: u64, scratch: &mut Vec<u8>) -> Option<u64> {
        if self.session.as_ref()?.number != number {
            return None;
        }
        let effects = self.effects();
        let reset = self.camera.as_ref().is_some_and(|(_, drops)| *drops != effects.drops);
        let patience = self.shared().spec.session_timeout
            / if effects.has(Habit::ShortTimeout) || effects.has(Habit::WantsReports) { 6 } else { 1 };
        let stale = self.heard.elapsed() > patience;
        if reset || (stale && !effects.half_open) || self.send_unit(&effects, now, scratch).is_err() {
            self.reset();
            return None;
        }
        let session = self.session.as_mut()?;
        session.next = session.next.map(|counter| counter + 1);
        session.due()
    }

    fn send_unit(&mut self, effects: &Effects, now: u64, scratch: &mut Vec<u8>) -> io::Result<()> {
        let Some(session) = &mut self.session else { return Ok(()) };
        let Some(counter) = session.next else { return Ok(()) };
        let counters = &self.shard.shared.counters;
        if effects.half_open {
            session.note(counter, Fate::Withheld);
            return Ok(());
        }
        self.output.flush(counters)?;
        if effects.silent {
            session.note(counter, Fate::Withheld);
        } else if refuses(session, counter, self.output.waiting(), self.shard.shared.spec.client_buffer) {
            session.note(counter, Fate::Refused);
        } else {
            session.unit(counter, effects, scratch);
            if effects.garbage {
                let garbage: Vec<u8> = (0..7).map(|_| (self.dice.next() as u8).clamp(1, 35)).collect();
                self.output.send(&garbage, None, counters)?;
            }
            for act in effects.acts() {
                if let Act::Interjects(text) = act
                    && counter.is_multiple_of(25)
                {
                    self.output.send(text.as_bytes(), None, counters)?;
                }
            }
            let interleaved = session.tracks.iter().any(|track| matches!(track.path, Path::Interleaved { .. }));
            if interleaved {
                self.output.send(scratch, Some(counter), counters)?;
            } else {
                send_udp(&self.shard, session, scratch, effects.has(Habit::OtherPorts));
                session.note(counter, Fate::Sent);
            }
            let due = session.due().unwrap_or(now);
            counters.sent(Duration::from_micros(self.shard.shared.now_us().saturating_sub(due)));
        }
        while let Some(done) = self.output.done() {
            session.note(done, Fate::Sent);
        }
        Ok(())
    }

    /// Resets the connection: the client gets no farewell.
    fn reset(&mut self) {
        // Fails only if the socket is already gone.
        drop(socket2::SockRef::from(&*self.stream).set_linger(Some(Duration::ZERO)));
        self.closing.notify_one();
        self.session = None;
    }
}

/// Whether the client's slowness costs it this picture: once the buffer is full, all until a key picture finds it at
/// most half full.
fn refuses(session: &mut Session, counter: u64, waiting: usize, buffer: usize) -> bool {
    if session.refusing {
        session.refusing = !(session.is_key(counter) && waiting <= buffer / 2);
    } else {
        session.refusing = waiting > buffer;
    }
    session.refusing
}

/// Sends each interleaved frame as a datagram to the port that its channel stands for.
fn send_udp(shard: &Shard, session: &Session, frames: &[u8], crossed: bool) {
    let mut rest = frames;
    while let Some((&[_, channel, high, low], tail)) = rest.split_first_chunk::<4>() {
        let Some((packet, tail)) = tail.split_at_checked(usize::from(u16::from_be_bytes([high, low]))) else { return };
        rest = tail;
        let track = session.tracks.iter().find(|track| track.name as u8 == channel / 2);
        let Some(Path::Udp { rtp, rtcp }) = track.map(|track| track.path) else { continue };
        let to = if channel % 2 == 0 { rtp } else { rtcp };
        let socket = if (channel % 2 == 0) == crossed { &shard.udp.rtcp } else { &shard.udp.rtp };
        // A datagram that the kernel refuses is lost, as on any network.
        if let Ok(sent) = socket.try_send_to(packet, to) {
            shard.shared.counters.bytes.fetch_add(sent as u64, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shard.udp_peers.borrow_mut().retain(|_, link| link.strong_count() > 0);
        if let Some(session) = self.session.take() {
            tracing::debug!(peer = %self.peer, session = session.number, at = %UtcMicros::now(), "session ends");
        }
    }
}
