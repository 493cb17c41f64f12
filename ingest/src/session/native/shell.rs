//! The sockets of a session, driven for [`Client`], which decides.
//!
//! Bytes are read into one buffer for all cameras of a thread: what a camera sent since it was last looked at is read by one
//! call and used up at once; only the beginning of a packet whose end has not come yet is kept with the camera.

use super::{
    Moment,
    client::{Client, Redial, Settings},
    datagrams::{Drops, Pair, bind_all, poll_datagram},
};
use crate::{
    address::AddressPolicy,
    session::{
        Fault, Phase,
        source::{Item, Source, Target},
    },
};
use index::model::{CameraAddress, Transport, UtcMicros};
use rustix::net::sockopt;
use std::{
    cell::RefCell,
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, timeout},
};

/// What is read at once: half a second of a large camera, and twice what may have to wait for its end.
const BUFFER: usize = 256 << 10;
/// The most that waits for its end: a message's head and body, or a frame.
const WAITING_MAX: usize = BUFFER - (64 << 10);
/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long all of OPTIONS to PLAY may take, redirects included.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// Bytes that the camera does not acknowledge for so long mean that it is gone (Q72).
const USER_TIMEOUT_MS: u32 = 15_000;
/// Datagrams of one socket at one go: then others get their turn.
const DATAGRAMS_AT_ONCE: usize = 256;

thread_local! {
    static SHARED: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

/// A session with its sockets.
pub(crate) struct NativeSource {
    client: Client,
    stream: TcpStream,
    host: IpAddr,
    /// UDP: the sockets of each track, packets and reports.
    sockets: Vec<Pair>,
    drops: Drops,
    alarm: Pin<Box<Sleep>>,
    /// When the alarm rings.
    rings: Instant,
    /// The beginning of what has not come whole.
    waiting: Vec<u8>,
    /// What came before the camera said that it would.
    early: Vec<Item>,
    /// The camera closed the connection.
    ended: bool,
}

/// Dials a camera at `peer`, where the target's URL was pinned to, and asks it to send. A redirect is followed only to where `allow` lets this node dial.
///
/// # Errors
/// Why it does not send.
pub(crate) async fn open(target: &Target, peer: SocketAddr, allow: &AddressPolicy) -> Result<NativeSource, Fault> {
    timeout(OPEN_LIMIT, Box::pin(negotiate(target, peer, allow))).await.map_err(|_| Fault::TimedOut(Phase::Describe))?
}

async fn negotiate(target: &Target, mut peer: SocketAddr, allow: &AddressPolicy) -> Result<NativeSource, Fault> {
    plain(target.url.as_str())?;
    let stream = connect(peer).await?;
    let sockets = if target.transport == Transport::Udp { bind_all(peer.ip())? } else { Vec::new() };
    let port = |pair: &Pair| pair[0].local_addr().map_or(0, |address| address.port());
    let settings = Settings {
        url: target.url.as_str().to_owned(),
        credentials: target.credentials.clone(),
        transport: target.transport,
        audio: target.audio,
        metadata: target.metadata,
        ports: sockets.iter().map(port).collect(),
        random: rand::random(),
    };
    let now = Instant::now();
    let client = Client::new(settings, now);
    let rings = client.deadline();
    let alarm = Box::pin(tokio::time::sleep_until(rings.into()));
    let (host, waiting, early, drops) = (peer.ip(), Vec::new(), Vec::new(), Drops::of(&sockets, now));
    let mut source = NativeSource { client, stream, host, sockets, drops, alarm, rings, waiting, early, ended: false };
    loop {
        let redial = poll_fn(|cx| source.poll_answer(cx)).await?;
        match redial {
            None => return Ok(source),
            Some(Redial::Same) => {}
            Some(Redial::To(url)) => {
                plain(&url)?;
                let address = CameraAddress::new(&url).map_err(|_| Fault::Protocol("a redirect to nowhere".to_owned()))?;
                peer = allow.pin(&address).await?.socket;
                source.host = peer.ip();
            }
        }
        source.stream = connect(peer).await?;
        source.waiting.clear();
        source.ended = false;
        source.client.redialled(Instant::now());
        source.set_alarm();
    }
}

/// RTSP over TLS is another driver's.
fn plain(url: &str) -> Result<(), Fault> {
    if url.starts_with("rtsp://") { Ok(()) } else { Err(Fault::Protocol("only rtsp:// is spoken by this driver".to_owned())) }
}

async fn connect(peer: SocketAddr) -> Result<TcpStream, Fault> {
    let stream = timeout(CONNECT_LIMIT, TcpStream::connect(peer))
        .await
        .map_err(|_| Fault::Unreachable("no connection in time".to_owned()))?
        .map_err(|error| Fault::of_connection(&error))?;
    stream.set_nodelay(true).map_err(|error| Fault::of_connection(&error))?;
    // Without it a dead camera is noticed by its silence, later.
    let _ = sockopt::set_tcp_user_timeout(&stream, USER_TIMEOUT_MS);
    Ok(stream)
}

impl Source for NativeSource {
    fn poll_items(&mut self, cx: &mut Context<'_>, into: &mut Vec<Item>) -> Poll<Result<(), Fault>> {
        let before = into.len();
        into.append(&mut self.early);
        let outcome = self.poll_once(cx, into);
        match outcome {
            Poll::Pending if into.len() > before => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

impl NativeSource {
    /// Reads, writes and watches the clock until something was received.
    fn poll_once(&mut self, cx: &mut Context<'_>, into: &mut Vec<Item>) -> Poll<Result<(), Fault>> {
        let before = into.len();
        loop {
            self.poll_alarm(cx, into)?;
            self.poll_write(cx)?;
            self.poll_datagrams(cx, into);
            match self.poll_read(cx, into)? {
                Poll::Ready(()) if into.len() == before && self.client.is_playing() => {}
                Poll::Pending if into.len() == before => return Poll::Pending,
                _ => return Poll::Ready(Ok(())),
            }
        }
    }

    /// While the session is being set up: ready when it plays, or when the connection must be made anew.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Redial>, Fault>> {
        loop {
            let mut early = std::mem::take(&mut self.early);
            let outcome = self.poll_once(cx, &mut early);
            self.early = early;
            if let Poll::Ready(Err(fault)) = outcome {
                return Poll::Ready(Err(fault));
            }
            if let Some(redial) = self.client.redial() {
                return Poll::Ready(Ok(Some(redial)));
            }
            if self.client.is_playing() {
                // What the last answer made due is written by the next poll.
                return Poll::Ready(Ok(None));
            }
            if outcome.is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>, into: &mut Vec<Item>) -> Result<(), Fault> {
        // An earlier wish than the alarm's comes up rarely; a later one waits until it rings.
        if self.client.deadline() < self.rings {
            self.set_alarm();
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            self.client.tick(now(), into)?;
            match self.drops.since(Instant::now()) {
                0 => {}
                dropped => into.push(Item::Overrun(dropped)),
            }
            self.set_alarm();
        }
        Ok(())
    }

    fn set_alarm(&mut self) {
        self.rings = self.client.deadline();
        self.alarm.as_mut().reset(self.rings.into());
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        while !self.client.outgoing().is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, self.client.outgoing()) {
                Poll::Ready(Ok(written)) if written > 0 => drop(self.client.outgoing().drain(..written)),
                Poll::Ready(_) => {
                    self.client.outgoing().clear();
                    return self.end();
                }
                Poll::Pending => break,
            }
        }
        for (track, report) in self.client.datagrams() {
            // A camera that names no port takes its reports where it listens by custom, or does without.
            let port = self.client.report_port(track);
            if let (Some(port), Some(sockets)) = (port, self.sockets.get(track)) {
                let _ = sockets[1].try_send_to(&report, SocketAddr::new(self.host, port));
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.ended = true;
        self.client.hung_up()
    }

    /// One read, and everything that it completed.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut Vec<Item>) -> Result<Poll<()>, Fault> {
        if self.ended {
            return Ok(Poll::Pending);
        }
        SHARED.with_borrow_mut(|shared| {
            let kept = self.waiting.len();
            let mut buffer = ReadBuf::new(&mut shared[kept..]);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Err(_)) => return self.end().map(Poll::Ready),
                Poll::Ready(Ok(())) => {}
            }
            let read = buffer.filled().len();
            if read == 0 {
                return self.end().map(Poll::Ready);
            }
            shared[..kept].copy_from_slice(&self.waiting);
            let bytes = &shared[..kept + read];
            let used = self.client.receive(bytes, now(), into)?;
            self.waiting.clear();
            self.waiting.extend_from_slice(&bytes[used..]);
            if self.waiting.len() > WAITING_MAX {
                return Err(Fault::Protocol("more than fits, and nothing whole".to_owned()));
            }
            Ok(Poll::Ready(()))
        })
    }

    fn poll_datagrams(&mut self, cx: &mut Context<'_>, into: &mut Vec<Item>) {
        let Self { sockets, client, host, .. } = self;
        SHARED.with_borrow_mut(|shared| {
            for (track, pair) in sockets.iter().enumerate() {
                for (reports, socket) in [false, true].into_iter().zip(pair) {
                    let mut left = DATAGRAMS_AT_ONCE;
                    while let Poll::Ready(outcome) = poll_datagram(socket, cx, shared) {
                        // Any port of the camera's will do (Q47, Q48), nobody else's; refusals that come back are no packets.
                        if let Ok((length, from)) = outcome
                            && from.ip().to_canonical() == host.to_canonical()
                        {
                            client.datagram(track, reports, &shared[..length], now(), into);
                        }
                        left -= 1;
                        if left == 0 {
                            cx.waker().wake_by_ref();
                            break;
                        }
                    }
                }
            }
        });
    }
}

impl Drop for NativeSource {
    /// Says goodbye as far as that goes without waiting.
    fn drop(&mut self) {
        if !self.ended {
            self.client.close();
            let goodbye = std::mem::take(self.client.outgoing());
            let _ = self.stream.try_write(&goodbye);
        }
    }
}

fn now() -> Moment {
    Moment { at: Instant::now(), utc: UtcMicros::now() }
}
