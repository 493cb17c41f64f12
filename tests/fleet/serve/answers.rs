//! What a camera answers to each request, before oddities of the reply.

use super::{
    camera::CameraState,
    connection::Connection,
    session::{Path, Session},
};
use crate::{
    auth::Challenge,
    faults::Effects,
    quirks::{Act, Habit},
    rtsp::{Reply, Request},
    sdp::{self, TrackName},
    spec::Auth,
};
use index::model::StreamKind;
use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
};

/// After so many wrong passwords a camera that locks its accounts refuses the right one, too.
const WRONG_PASSWORDS: u32 = 3;

impl Connection {
    pub(super) fn answer(&mut self, request: &Request, effects: &Effects) -> Reply {
        let auth = self.shared().spec.auth.clone();
        let open = request.method == "OPTIONS";
        self.asked |= open;
        if effects.has(Habit::WantsOptions) && !self.asked {
            return Reply::new(455);
        }
        if !open && !self.is_admitted(&auth, request, effects) {
            return self.challenge.ask(&auth, Reply::new(401));
        }
        if effects.has(Habit::Redirects) && request.method == "DESCRIBE" && !request.uri.contains('?') {
            return Reply::new(302).with("Location", format!("{}?moved", request.uri));
        }
        match request.method.as_str() {
            "OPTIONS" => {
                let keepalive = if effects.has(Habit::HatesKeepalive) { "" } else { "GET_PARAMETER, " };
                Reply::new(200).with("Public", format!("OPTIONS, DESCRIBE, SETUP, PLAY, {keepalive}TEARDOWN"))
            }
            "DESCRIBE" => self.describe(request),
            "SETUP" => self.set_up(request, effects),
            "PLAY" if effects.has(Habit::WantsRange) && request.header("Range").is_none() => Reply::new(457),
            "PLAY" if effects.has(Habit::HatesRange) && request.header("Range").is_some() => Reply::new(457),
            "PLAY" => self.play(request),
            "GET_PARAMETER" | "SET_PARAMETER" => self.with_session(request, Reply::new(200)),
            "TEARDOWN" => {
                let reply = self.with_session(request, Reply::new(200));
                if reply.status == 200 {
                    self.session = None;
                }
                reply
            }
            _ => Reply::new(405),
        }
    }

    /// Whether the request shows the right password, as this camera wants it shown.
    fn is_admitted(&mut self, auth: &Auth, request: &Request, effects: &Effects) -> bool {
        if let (true, Some((camera, _))) = (effects.has(Habit::ClosesAfterChallenge), &self.camera) {
            self.challenge = camera.challenge.get_or_init(|| Challenge::new(self.dice.next())).clone();
        }
        let right = self.challenge.admits(auth, request) && !effects.wrong_password;
        if effects.has(Habit::FreshNonces) && right {
            self.challenge = Challenge::new(self.dice.next());
        }
        if effects.has(Habit::LocksOut)
            && let Some((camera, _)) = &self.camera
        {
            let tried = u32::from(!right && request.header("Authorization").is_some());
            if camera.wrong.fetch_add(tried, Relaxed) >= WRONG_PASSWORDS {
                return false;
            }
        }
        let shy = effects.has(Habit::WantsUserAgent) && request.header("User-Agent").is_none();
        let inexact = effects.has(Habit::ExactAddress) && !Challenge::is_exact(request);
        right && !shy && !inexact
    }

    /// What `/cam/I/{main,sub}[/trackID=N]` names.
    fn target(&self, request: &Request) -> Option<(Arc<CameraState>, StreamKind, Option<TrackName>)> {
        let path = request.path();
        let mut parts = path.split('/').filter(|part| !part.is_empty()).skip(2);
        let kind = parts.next()?.parse().ok()?;
        let track = match parts.next() {
            Some(part) => Some(TrackName::of(part)?),
            None => None,
        };
        Some((self.camera.as_ref()?.0.clone(), kind, track))
    }

    fn describe(&self, request: &Request) -> Reply {
        let Some((camera, kind, None)) = self.target(request) else { return Reply::new(404) };
        let main = kind == StreamKind::Main;
        let audio = camera.audio.as_deref().filter(|_| main);
        let number = u64::from(u32::from(camera.id));
        let mut body = sdp::describe(number, &camera.stream(kind).packets, audio, main && camera.metadata);
        for act in camera.effects().acts() {
            match act {
                Act::Sdp(change) => body = change(body),
                Act::SdpAt(change) => body = change(body, request.uri.trim_end_matches('/')),
                _ => {}
            }
        }
        let base = format!("{}/", request.uri.trim_end_matches('/'));
        let mut reply = Reply::new(200).with("Content-Base", base).with("Content-Type", "application/sdp");
        reply.body = body;
        reply
    }

    fn set_up(&mut self, request: &Request, effects: &Effects) -> Reply {
        let Some((camera, kind, Some(name))) = self.target(request) else { return Reply::new(404) };
        let offered = match name {
            TrackName::Video => true,
            TrackName::Audio => kind == StreamKind::Main && camera.audio.is_some(),
            TrackName::Metadata => kind == StreamKind::Main && camera.metadata,
        };
        if !offered {
            return Reply::new(404);
        }
        let Some(transport) = request.header("Transport").and_then(|text| self.transport(text, name)) else {
            return Reply::new(461);
        };
        if self.session.as_ref().is_some_and(|session| session.camera.id != camera.id || session.kind != kind) {
            return Reply::new(455);
        }
        if self.session.is_none() {
            if !camera.take_slot(effects.session_limit) {
                return Reply::new(453);
            }
            self.session = Some(Session::new(self.shared(), &camera, kind));
        }
        let (path, mut text) = transport;
        if let Path::Udp { rtcp, .. } = path {
            self.shard.udp_peers.borrow_mut().insert(rtcp, self.me.clone());
        }
        if let Some(session) = &mut self.session {
            let track = session.set_up(name, path);
            text.push_str(&format!(";ssrc={:08X}", track.ssrc));
        }
        self.with_session(request, Reply::new(200).with("Transport", text))
    }

    /// The first transport of the client's list that this server speaks, and how the reply says so.
    fn transport(&self, offers: &str, name: TrackName) -> Option<(Path, String)> {
        offers.split(',').find_map(|offer| {
            let parameter = |name: &str| offer.split(';').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
            let pair = |text: &str| {
                let (first, second) = text.split_once('-').unwrap_or((text, ""));
                let first: u16 = first.parse().ok()?;
                Some((first, second.parse().unwrap_or(first.wrapping_add(1))))
            };
            let profile = offer.split(';').next()?.trim();
            if profile.eq_ignore_ascii_case("RTP/AVP/TCP") {
                let channel = match parameter("interleaved").and_then(pair) {
                    _ if self.effects().has(Habit::OtherChannels) => name as u8 * 2 + 20,
                    Some((first, _)) => u8::try_from(first).ok().filter(|channel| *channel < 255)?,
                    None => name as u8 * 2,
                };
                let text = format!("RTP/AVP/TCP;unicast;interleaved={channel}-{}", channel + 1);
                return Some((Path::Interleaved { channel }, text));
            }
            let udp = profile.eq_ignore_ascii_case("RTP/AVP") || profile.eq_ignore_ascii_case("RTP/AVP/UDP");
            let (rtp, rtcp) = parameter("client_port").and_then(pair).filter(|_| udp && !offer.contains("multicast"))?;
            let server = self.shard.udp.rtp.local_addr().ok()?.port();
            let text = format!("RTP/AVP;unicast;client_port={rtp}-{rtcp};server_port={server}-{}", server + 1);
            let to = |port| SocketAddr::new(self.peer.ip(), port);
            Some((Path::Udp { rtp: to(rtp), rtcp: to(rtcp) }, text))
        })
    }

    fn play(&mut self, request: &Request) -> Reply {
        let reply = self.with_session(request, Reply::new(200).with("Range", "npt=now-"));
        let Some(session) = self.session.as_mut().filter(|_| reply.status == 200) else { return reply };
        session.play();
        let base = request.uri.trim_end_matches('/');
        let info = session.tracks.iter().map(|track| {
            let (timestamp, sequence) = session.rtp_info(track);
            format!("url={base}/{};seq={sequence};rtptime={timestamp}", track.name.control())
        });
        reply.with("RTP-Info", info.collect::<Vec<_>>().join(","))
    }

    /// The reply with the session's name, or 454 if the request names none or another one.
    fn with_session(&self, request: &Request, reply: Reply) -> Reply {
        let Some(session) = &self.session else { return Reply::new(454) };
        let named = request.header("Session").map(|text| text.split(';').next().unwrap_or_default().trim());
        if named.is_some_and(|named| !named.starts_with(&session.id())) || (named.is_none() && request.method != "SETUP") {
            return Reply::new(454);
        }
        let id = match request.method.as_str() {
            "SETUP" if self.effects().has(Habit::SessionPerTrack) => format!("{}{}", session.id(), session.tracks.len()),
            _ => session.id(),
        };
        reply.with("Session", format!("{id};timeout={}", self.shared().spec.session_timeout.as_secs()))
    }
}
