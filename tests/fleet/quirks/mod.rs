//! Oddities that real cameras showed, one entry each. An entry names who reported it and changes one thing: the
//! description, a reply, the packets of an access unit, or one habit of the server. Add the next one to a table; nothing
//! else changes.

mod frames;
mod habits;
mod replies;
mod sdp;

use crate::rtsp::Reply;

/// One oddity.
#[derive(Debug)]
pub struct Quirk {
    /// Its number in the catalogue of camera oddities: `Q24`. Variants of one entry end in a letter.
    pub id: &'static str,
    /// What the camera does, and who reported it.
    pub says: &'static str,
    /// Where it acts.
    pub acts: Act,
}

/// Where an oddity acts.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Changes the session description.
    Sdp(fn(String) -> String),
    /// Changes the reply to a method; `*` means any.
    Reply(&'static str, fn(&mut Reply)),
    /// Changes the interleaved frames of one access unit (with the sound, metadata and reports that go with it).
    Unit(fn(&mut Vec<u8>, Moment)),
    /// Never answers a method while media flows.
    Ignores(&'static str),
    /// Sends these bytes once a second between frames.
    Interjects(&'static str),
    /// A habit that the server itself must have.
    Habit(Habit),
}

/// Which access unit is sent.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The picture's number.
    pub counter: u64,
    /// The number of its GOP.
    pub gop: u64,
    /// Whether it begins one.
    pub key: bool,
}

/// What an odd server does at its own places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Habit {
    /// A new nonce for every request, the old one being stale.
    FreshNonces,
    /// Closes the connection after a 401.
    ClosesAfterChallenge,
    /// Answers DESCRIBE without user agent with 401.
    WantsUserAgent,
    /// Sends DESCRIBE elsewhere: to itself, with a trailing question mark.
    Redirects,
    /// Ends sessions after a sixth of the time that it announced.
    ShortTimeout,
    /// Closes the connection on GET_PARAMETER.
    HatesKeepalive,
    /// Another session name in each reply to SETUP.
    SessionPerTrack,
}

/// The oddity with a number.
#[must_use]
pub(crate) fn find(id: &str) -> Option<&'static Quirk> {
    all().find(|quirk| quirk.id.eq_ignore_ascii_case(id))
}

/// Every oddity that the fleet can show.
pub fn all() -> impl Iterator<Item = &'static Quirk> {
    [sdp::TABLE, replies::TABLE, frames::TABLE, habits::TABLE].into_iter().flatten()
}

impl PartialEq for Quirk {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> String {
        let media = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\na=fmtp:96 packetization-mode=1;sprop-vps=QAE=;\
                     sprop-parameter-sets=Z0I=,aM4=\r\na=control:trackID=0\r\nm=audio 0 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n\
                     a=fmtp:97 mode=AAC-hbr;config=1408\r\na=control:trackID=1\r\n";
        format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=Simulated camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n{media}")
    }

    fn reply(method: &str) -> Reply {
        let status = if method == "401" { 401 } else { 200 };
        Reply::new(status)
            .with("CSeq", "1")
            .with("Content-Base", "rtsp://127.0.0.1:1/cam/1/main/")
            .with("Content-Type", "application/sdp")
            .with("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1;server_port=2-3;ssrc=01020304")
            .with("Session", "ABCD;timeout=60")
            .with("WWW-Authenticate", "Digest realm=\"x\", nonce=\"y\"")
            .with("RTP-Info", "url=rtsp://127.0.0.1:1/cam/1/main/trackID=0;seq=7;rtptime=9")
    }

    /// A stamp, parameter sets, two fragments and a sender report.
    fn unit() -> Vec<u8> {
        let mut bytes = Vec::new();
        let payloads = [&[6u8, 5, 1][..], &[0x78, 0, 1, 0x67], &[0x7c, 0x85, 1, 2], &[0x7c, 0x45, 3, 4]];
        for payload in payloads {
            crate::packets::append_packet(&mut bytes, &mut Vec::new(), 96, &[payload]);
        }
        let last = bytes.len() - 15;
        bytes[last] |= 0x80;
        bytes.extend([b'$', 1, 0, 28, 0x80, 200, 0, 6]);
        bytes.extend([7; 24]);
        bytes
    }

    #[test]
    fn every_oddity_changes_something_and_has_a_number_of_its_own() {
        let mut ids: Vec<_> = all().map(|quirk| quirk.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all().count());
        for quirk in all() {
            match quirk.acts {
                Act::Sdp(change) => assert_ne!(change(description()), description(), "{}", quirk.id),
                Act::Reply(_, change) => {
                    let changed = ["200", "401"].into_iter().any(|status| {
                        let mut changed = reply(status);
                        change(&mut changed);
                        changed != reply(status)
                    });
                    assert!(changed, "{}", quirk.id);
                }
                Act::Unit(change) => {
                    let mut changed = unit();
                    change(&mut changed, Moment { counter: 50, gop: 2, key: true });
                    assert_ne!(changed, unit(), "{}", quirk.id);
                    assert_eq!(frames::count(&changed).1, 0, "{}: the frames no longer fit", quirk.id);
                }
                Act::Ignores(_) | Act::Interjects(_) | Act::Habit(_) => {}
            }
        }
    }
}
