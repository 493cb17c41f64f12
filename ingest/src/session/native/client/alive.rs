//! What keeps a session alive while packets come: keepalives, receiver reports, and the answers that hardly matter then.

use super::{
    super::{message::Response, rtcp},
    Client, OUTGOING_MAX,
};
use crate::{auth::Verdict, session::Fault};
use index::model::Transport;
use std::time::{Duration, Instant};

/// A sign of life is sent at a third of the session's timeout (Q65), and behind NAT at least so often (Q71).
const KEEPALIVE_MAX: Duration = Duration::from_secs(30);
/// Receiver reports (Q66).
pub(super) const REPORT_EVERY: Duration = Duration::from_secs(5);

impl Client {
    pub(super) fn keepalive_every(&self) -> Duration {
        (self.timeout / 3).min(KEEPALIVE_MAX)
    }

    pub(super) fn send_keepalive(&mut self, now: Instant) {
        self.keepalive_at = now + self.keepalive_every();
        // What was not even taken off our hands yet need not be said twice.
        if self.outgoing.is_empty() {
            let url = self.aggregate.clone();
            self.keepalive_sequence = Some(self.send(self.keepalive, &url, &[]));
        }
    }

    pub(super) fn send_reports(&mut self, now: Instant) {
        self.report_at = now + REPORT_EVERY;
        for (number, track) in self.tracks.iter_mut().enumerate() {
            let own = (self.settings.random as u32).wrapping_add(number as u32);
            let Some(reception) = track.reception(now) else { continue };
            let report = rtcp::receiver_report(own, &reception);
            match self.settings.transport {
                Transport::Udp => self.datagrams.push((number, report)),
                Transport::Tcp if self.outgoing.len() < OUTGOING_MAX => {
                    self.outgoing.extend([b'$', track.channels.1]);
                    self.outgoing.extend((report.len() as u16).to_be_bytes());
                    self.outgoing.extend(report);
                }
                Transport::Tcp => {}
            }
        }
    }

    /// Late, wrong and missing answers are all the same now (Q62, Q63, Q68); two statuses are not (Q64).
    pub(super) fn answered_while_playing(&mut self, response: &Response, now: Instant) -> Result<(), Fault> {
        let ours = response.headers.sequence().is_none_or(|sequence| Some(sequence) == self.keepalive_sequence);
        match response.status {
            401 if ours => match self.auth.challenged(response.headers.all("WWW-Authenticate")) {
                Verdict::Retry => self.send_keepalive(now),
                Verdict::Refused => return Err(Fault::Unauthorised),
            },
            454 if ours => return Err(Fault::Refused(454)),
            400 | 405 | 451 | 501 | 551 if ours => self.keepalive = "OPTIONS",
            _ if ours => self.auth.accept(),
            _ => {}
        }
        Ok(())
    }
}
