//! A whole RTSP session as a state machine: OPTIONS, DESCRIBE, SETUP for each track, PLAY, then signs of life for as long as
//! packets come.
//!
//! Bytes and time come in; what must be sent and what was received go out. While the session is being set up one request is
//! open at a time. Answers are matched by their number if they have one, and believed without (Q63); once packets come,
//! answers hardly matter, because packets are the better sign of life (Q62).

mod alive;
mod dialogue;

use super::{
    Moment,
    demux::{self, Demux},
    message::{self, Message, MessageError, Request, Response},
    track::Track,
};
use crate::{
    auth::Authentication,
    session::{Fault, source::Item},
};
use index::model::{Credentials, Transport};
use std::time::{Duration, Instant};

/// Some cameras answer only clients that say who they are (Q10).
const USER_AGENT: &str = concat!("Haohe/", env!("CARGO_PKG_VERSION"));
/// How long an answer may take; to OPTIONS, which is a courtesy, less.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
const OPTIONS_LIMIT: Duration = Duration::from_secs(3);
/// A camera that asks questions faster than it takes our answers gets none any more.
const OUTGOING_MAX: usize = 64 << 10;

/// What a session needs to know beforehand.
#[derive(Debug)]
pub(super) struct Settings {
    /// The address as it goes into requests, without user information.
    pub(super) url: String,
    pub(super) credentials: Option<Credentials>,
    pub(super) transport: Transport,
    pub(super) audio: bool,
    pub(super) metadata: bool,
    /// UDP: the even local port of each track; the next one takes its reports.
    pub(super) ports: Vec<u16>,
    /// Random: for Digest, and as our RTCP source.
    pub(super) random: u64,
}

/// The connection must be made anew before the session can go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Redial {
    /// To the same place (Q16).
    Same,
    /// To another, which the shell must check like any address (Q18).
    To(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Options,
    Describe,
    Setup(usize),
    Play,
    Playing,
}

/// A request that was not answered yet.
#[derive(Debug)]
struct Open {
    sequence: u32,
    until: Instant,
    /// An answer with another number than ours: believed only if no better one comes (Q63, Q68).
    doubtful: Option<Response>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Client {
    settings: Settings,
    auth: Authentication,
    stage: Stage,
    /// Of the camera's answers: what other URLs are joined to, and what PLAY and keepalives are about.
    base: String,
    aggregate: String,
    demux: Demux,
    tracks: Vec<Track>,
    sequence: u32,
    open: Option<Open>,
    session: Option<String>,
    timeout: Duration,
    keepalive: &'static str,
    keepalive_at: Instant,
    keepalive_sequence: Option<u32>,
    report_at: Instant,
    /// PLAY goes without Range (Q53).
    plain_play: bool,
    redirects: u32,
    redial: Option<Redial>,
    redialled: bool,
    challenged: bool,
    any_packet: bool,
    outgoing: Vec<u8>,
    datagrams: Vec<(usize, Vec<u8>)>,
}

impl Client {
    /// A session over a connection that was just made.
    pub(super) fn new(mut settings: Settings, now: Instant) -> Self {
        let cnonce = format!("{:016x}", settings.random);
        let mut client = Self {
            auth: Authentication::new(settings.credentials.take(), cnonce),
            stage: Stage::Options,
            base: settings.url.clone(),
            aggregate: settings.url.clone(),
            settings,
            demux: Demux::default(),
            tracks: Vec::new(),
            sequence: 0,
            open: None,
            session: None,
            timeout: Duration::from_secs(60),
            keepalive: "OPTIONS",
            keepalive_at: now,
            keepalive_sequence: None,
            report_at: now,
            plain_play: false,
            redirects: 0,
            redial: None,
            redialled: false,
            challenged: false,
            any_packet: false,
            outgoing: Vec::new(),
            datagrams: Vec::new(),
        };
        client.ask(now);
        client
    }

    /// Whether the camera agreed to send.
    pub(super) fn is_playing(&self) -> bool {
        self.stage == Stage::Playing
    }

    /// When [`Client::tick`] is due.
    pub(super) fn deadline(&self) -> Instant {
        let waits = self.tracks.iter().filter_map(|track| track.reorder.deadline());
        let own = match (&self.open, self.stage) {
            (Some(open), _) => open.until,
            (None, _) => self.keepalive_at.min(self.report_at),
        };
        waits.fold(own, Instant::min)
    }

    /// What must be written to the connection; the shell takes away what it wrote.
    pub(super) fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    /// Reports to send by UDP, each from the second socket of a track.
    pub(super) fn datagrams(&mut self) -> Vec<(usize, Vec<u8>)> {
        std::mem::take(&mut self.datagrams)
    }

    /// The port to which a track's reports go, where the camera named one.
    pub(super) fn report_port(&self, track: usize) -> Option<u16> {
        self.tracks.get(track)?.server_ports.map(|ports| ports.1)
    }

    /// Whether the connection must be made anew; asked after each call that returned `Ok`.
    pub(super) fn redial(&mut self) -> Option<Redial> {
        self.redial.take()
    }

    /// The new connection is there.
    pub(super) fn redialled(&mut self, now: Instant) {
        self.outgoing.clear();
        self.demux = Demux::default();
        self.ask(now);
    }

    /// Takes what came on the connection and says how much of it is done with; the rest must stand in front next time.
    ///
    /// # Errors
    /// Why the session is over.
    pub(super) fn receive(&mut self, bytes: &[u8], now: Moment, into: &mut Vec<Item>) -> Result<usize, Fault> {
        let mut at = 0;
        while self.redial.is_none() {
            let (taken, item) =
                self.demux.next(&bytes[at..]).map_err(|error: MessageError| Fault::Protocol(error.to_string()))?;
            at += taken;
            match item {
                demux::Item::More => return Ok(at),
                demux::Item::Skipped => {}
                demux::Item::Frame { channel, payload } => self.frame(channel, payload, now, into),
                demux::Item::Message(Message::Response(response)) => self.response(response, now.at)?,
                demux::Item::Message(Message::Request(request)) => self.request(&request)?,
            }
        }
        // What is left belongs to a connection that is given up.
        Ok(bytes.len())
    }

    fn frame(&mut self, channel: u8, payload: &[u8], now: Moment, into: &mut Vec<Item>) {
        // Before PLAY was asked for, packets belong to somebody's earlier session (Q54, Q56).
        if !matches!(self.stage, Stage::Play | Stage::Playing) {
            return;
        }
        for track in &mut self.tracks {
            if track.channels.0 == channel {
                self.any_packet = true;
                return track.packet(payload, now, into);
            }
            if track.channels.1 == channel {
                return track.report(payload, now, into);
            }
        }
    }

    /// Takes a datagram that came to a track's first socket, or to its second (`reports`), from the camera's address.
    pub(super) fn datagram(&mut self, track: usize, reports: bool, bytes: &[u8], now: Moment, into: &mut Vec<Item>) {
        let Some(track) = self.tracks.get_mut(track).filter(|_| matches!(self.stage, Stage::Play | Stage::Playing)) else {
            return;
        };
        if reports {
            return track.report(bytes, now, into);
        }
        self.any_packet = true;
        let mut reorder = std::mem::take(&mut track.reorder);
        reorder.push(bytes, now.at, |packet| track.packet(packet, now, into));
        track.reorder = reorder;
    }

    /// Does what is due.
    ///
    /// # Errors
    /// Why the session is over: an answer did not come.
    pub(super) fn tick(&mut self, now: Moment, into: &mut Vec<Item>) -> Result<(), Fault> {
        for track in &mut self.tracks {
            let mut reorder = std::mem::take(&mut track.reorder);
            reorder.release(now.at, |packet| track.packet(packet, now, into));
            track.reorder = reorder;
        }
        if self.open.as_ref().is_some_and(|open| now.at >= open.until) {
            return self.unanswered(now.at);
        }
        if self.is_playing() {
            if now.at >= self.report_at {
                self.send_reports(now.at);
            }
            if now.at >= self.keepalive_at {
                self.send_keepalive(now.at);
            }
        }
        Ok(())
    }

    /// The connection broke. `Ok`: make it anew, [`Client::redial`] says so.
    ///
    /// # Errors
    /// Why the session is over.
    pub(super) fn hung_up(&mut self) -> Result<(), Fault> {
        // Some cameras hang up after asking for the password, and know it on the next connection (Q16).
        if self.challenged && !self.redialled && !self.is_playing() {
            self.redialled = true;
            self.redial = Some(Redial::Same);
            return Ok(());
        }
        Err(Fault::Unreachable("the camera hung up".to_owned()))
    }

    /// Says goodbye, so that the camera need not keep a session for nobody (Q56, Q57).
    pub(super) fn close(&mut self) {
        if self.session.is_some() {
            let url = self.aggregate.clone();
            self.send("TEARDOWN", &url, &[]);
        }
    }

    /// Sends the request that the present stage is about.
    fn ask(&mut self, now: Instant) {
        let url = self.settings.url.clone();
        let limit = if self.stage == Stage::Options { OPTIONS_LIMIT } else { ANSWER_LIMIT };
        let sequence = match self.stage {
            Stage::Options => self.send("OPTIONS", &url, &[]),
            Stage::Describe => self.send("DESCRIBE", &url, &[("Accept", "application/sdp")]),
            Stage::Setup(number) => {
                let Some(track) = self.tracks.get(number) else { return };
                let (url, wanted) = (track.url.clone(), self.wanted_transport(number));
                self.send("SETUP", &url, &[("Transport", &wanted)])
            }
            Stage::Play => {
                let url = self.aggregate.clone();
                let range: &[(&str, &str)] = if self.plain_play { &[] } else { &[("Range", "npt=0.000-")] };
                self.send("PLAY", &url, range)
            }
            Stage::Playing => return,
        };
        self.open = Some(Open { sequence, until: now + limit, doubtful: None });
    }

    fn wanted_transport(&self, number: usize) -> String {
        match self.settings.transport {
            Transport::Tcp => format!("RTP/AVP/TCP;unicast;interleaved={}-{}", number * 2, number * 2 + 1),
            Transport::Udp => {
                let port = self.settings.ports.get(number).copied().unwrap_or_default();
                format!("RTP/AVP;unicast;client_port={port}-{}", port.saturating_add(1))
            }
        }
    }

    fn send(&mut self, method: &str, url: &str, extra: &[(&str, &str)]) -> u32 {
        self.sequence += 1;
        let authorisation = self.auth.authorise(method, url);
        let mut headers = vec![("User-Agent", USER_AGENT)];
        headers.extend(self.session.as_deref().map(|session| ("Session", session)));
        headers.extend(authorisation.as_deref().map(|value| ("Authorization", value)));
        headers.extend_from_slice(extra);
        self.outgoing.extend(message::request(method, url, self.sequence, &headers));
        self.sequence
    }

    /// The camera asks something itself (Q67).
    fn request(&mut self, request: &Request) -> Result<(), Fault> {
        if self.outgoing.len() > OUTGOING_MAX {
            return Err(Fault::Protocol("the camera asks and does not listen".to_owned()));
        }
        let sequence = request.headers.sequence();
        let answer = match request.method.as_str() {
            "OPTIONS" => message::answer(200, "OK", sequence, &[("Public", "OPTIONS, GET_PARAMETER, SET_PARAMETER, ANNOUNCE")]),
            "GET_PARAMETER" | "SET_PARAMETER" | "ANNOUNCE" => message::answer(200, "OK", sequence, &[]),
            "TEARDOWN" => return Err(Fault::Unreachable("the camera ended the session".to_owned())),
            _ => message::answer(501, "Not Implemented", sequence, &[]),
        };
        self.outgoing.extend(answer);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
