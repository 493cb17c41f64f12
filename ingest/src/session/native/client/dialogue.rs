//! The camera's answers while a session is set up, each of which leads to the next request or to the end.

use super::{
    super::{address, message::Response, sdp, track, transport},
    ANSWER_LIMIT, Client, Open, Redial, Stage,
    alive::REPORT_EVERY,
};
use crate::{
    auth::Verdict,
    session::{Fault, Phase},
};
use index::model::{TrackKind, Transport};
use std::time::Instant;

/// Redirects that are followed (Q18).
const REDIRECTS_MAX: u32 = 3;

impl Client {
    pub(super) fn response(&mut self, response: Response, now: Instant) -> Result<(), Fault> {
        if self.is_playing() {
            return self.answered_while_playing(&response, now);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        if response.headers.sequence().is_some_and(|sequence| sequence != open.sequence) {
            open.doubtful = Some(response);
            return Ok(());
        }
        self.answered(&response, now)
    }

    /// The open request got no answer that is surely its own.
    pub(super) fn unanswered(&mut self, now: Instant) -> Result<(), Fault> {
        let doubtful = self.open.take().and_then(|open| open.doubtful);
        match (doubtful, self.stage) {
            (Some(response), _) => self.answered(&response, now),
            (None, Stage::Options) => self.advance(Stage::Describe, now),
            (None, Stage::Play) if self.any_packet => self.begin(now),
            (None, Stage::Describe) => Err(Fault::TimedOut(Phase::Describe)),
            (None, Stage::Setup(_)) => Err(Fault::TimedOut(Phase::Setup)),
            (None, Stage::Play | Stage::Playing) => Err(Fault::TimedOut(Phase::Play)),
        }
    }

    fn answered(&mut self, response: &Response, now: Instant) -> Result<(), Fault> {
        self.open = None;
        if response.status == 401 {
            self.challenged = true;
            return match self.auth.challenged(response.headers.all("WWW-Authenticate")) {
                Verdict::Retry => self.advance(self.stage, now),
                Verdict::Refused => Err(Fault::Unauthorised),
            };
        }
        if response.status != 100 {
            self.auth.accept();
        }
        match (response.status, self.stage) {
            // The answer proper will come.
            (100..200, _) => {
                self.open = Some(Open { sequence: self.sequence, until: now + ANSWER_LIMIT, doubtful: None });
                Ok(())
            }
            (300..400, Stage::Options | Stage::Describe) => self.redirected(response),
            (_, Stage::Options) => {
                let methods: String = ["Public", "Allow"].into_iter().flat_map(|name| response.headers.all(name)).collect();
                let known = |method: &str| methods.to_ascii_uppercase().contains(method);
                // Of the requests that do nothing, the first that the camera says it knows (Q60, Q61).
                self.keepalive = ["GET_PARAMETER", "SET_PARAMETER"].into_iter().find(|method| known(method)).unwrap_or("OPTIONS");
                self.advance(Stage::Describe, now)
            }
            (200..300, Stage::Describe) => self.described(response, now),
            (_, Stage::Setup(number)) => self.set_up(number, response, now),
            (200..300, Stage::Play) => {
                self.note_session(response);
                self.begin(now)
            }
            (400 | 406 | 457 | 501, Stage::Play) if !self.plain_play => {
                self.plain_play = true;
                self.advance(Stage::Play, now)
            }
            (status, _) => Err(Fault::Refused(status)),
        }
    }

    fn advance(&mut self, stage: Stage, now: Instant) -> Result<(), Fault> {
        self.stage = stage;
        self.ask(now);
        Ok(())
    }

    fn redirected(&mut self, response: &Response) -> Result<(), Fault> {
        self.redirects += 1;
        let location = response.headers.get("Location").and_then(|text| address::redirect(&self.settings.url, text));
        let Some(url) = location.filter(|_| self.redirects <= REDIRECTS_MAX) else { return Err(Fault::Refused(response.status)) };
        self.settings.url.clone_from(&url);
        self.base.clone_from(&url);
        self.redial = Some(Redial::To(url));
        Ok(())
    }

    fn described(&mut self, response: &Response, now: Instant) -> Result<(), Fault> {
        // The media type is not looked at: what else would it be (Q09)?
        let offer = sdp::parse(&response.body);
        if offer.media.is_empty() {
            return Err(Fault::Protocol("the description names no tracks".to_owned()));
        }
        let content_base = response.headers.get("Content-Base").or_else(|| response.headers.get("Content-Location"));
        self.base = address::base(&self.settings.url, content_base);
        self.aggregate = address::join(&self.base, offer.control.as_deref());
        self.tracks =
            track::choose(&offer, &self.base, self.settings.audio, self.settings.metadata).map_err(Fault::UnsupportedCodec)?;
        self.advance(Stage::Setup(0), now)
    }

    fn set_up(&mut self, number: usize, response: &Response, now: Instant) -> Result<(), Fault> {
        let Some(track) = self.tracks.get_mut(number) else { return Err(Fault::Refused(response.status)) };
        let next = if (200..300).contains(&response.status) {
            let answer = response.headers.get("Transport").map(transport::parse).unwrap_or_default();
            // What the camera does not say, it does as proposed (Q45).
            let proposed = (number as u8 * 2, number as u8 * 2 + 1);
            track.channels = answer.channels.unwrap_or(proposed);
            track.server_ports = answer.server_ports;
            if self.settings.transport == Transport::Tcp {
                let channels = track.channels;
                self.demux.open(channels.0);
                self.demux.open(channels.1);
            }
            self.note_session(response);
            number + 1
        } else if track.kind == TrackKind::Video {
            return Err(Fault::Refused(response.status));
        } else {
            // Pictures are not given up for want of sound.
            self.tracks.remove(number);
            number
        };
        if next < self.tracks.len() {
            return self.advance(Stage::Setup(next), now);
        }
        track::introduce(&mut self.tracks);
        self.advance(Stage::Play, now)
    }

    /// The first session named is kept, whatever the camera calls it later (Q41).
    fn note_session(&mut self, response: &Response) {
        if self.session.is_none()
            && let Some((name, timeout)) = response.headers.get("Session").and_then(transport::session)
        {
            (self.session, self.timeout) = (Some(name), timeout);
        }
    }

    fn begin(&mut self, now: Instant) -> Result<(), Fault> {
        self.stage = Stage::Playing;
        self.open = None;
        self.keepalive_at = now + self.keepalive_every();
        // Over UDP an early report opens the way back through a firewall.
        self.report_at = if self.settings.transport == Transport::Udp { now } else { now + REPORT_EVERY };
        Ok(())
    }
}
