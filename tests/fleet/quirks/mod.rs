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
    /// Changes the session description, knowing the address that was asked for.
    SdpAt(fn(String, &str) -> String),
    /// Changes the reply to a method; `*` means any.
    Reply(&'static str, fn(&mut Reply)),
    /// Changes the interleaved frames of one access unit (with the sound, metadata and reports that go with it).
    Unit(fn(&mut Vec<u8>, Moment)),
    /// Cuts the interleaved frames of one access unit otherwise: packets may be joined, split or left away, and the server numbers
    /// them anew.
    Reshape(fn(&mut Vec<u8>, Moment)),
    /// Sends these bytes before the reply to a method.
    Before(&'static str, &'static [u8]),
    /// Never answers a method while media flows.
    Ignores(&'static str),
    /// Sends these bytes once a second between frames.
    Interjects(&'static str),
    /// A habit that the server itself must have.
    Habit(Habit),
    /// Several of the others at once; none of them such a list itself.
    All(&'static [Act]),
}

impl Act {
    /// The single acts that it stands for.
    pub fn each(&self) -> &[Self] {
        match self {
            Self::All(acts) => acts,
            single => std::slice::from_ref(single),
        }
    }
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
    /// Closes the connection after a 401; the nonce stays good for the next one.
    ClosesAfterChallenge,
    /// Answers DESCRIBE without user agent with 401.
    WantsUserAgent,
    /// Sends DESCRIBE elsewhere: to itself, with a trailing question mark.
    Redirects,
    /// Ends sessions after a sixth of the time that it announced.
    ShortTimeout,
    /// Closes the connection on GET_PARAMETER, which it does not list among its methods.
    HatesKeepalive,
    /// Another session name in each reply to SETUP.
    SessionPerTrack,
    /// Refuses whatever comes before OPTIONS.
    WantsOptions,
    /// Refuses everyone, the right password too, after three wrong ones.
    LocksOut,
    /// Admits only a digest over the very address of the request line.
    ExactAddress,
    /// Chooses channels of its own.
    OtherChannels,
    /// Sends from other ports than it announced.
    OtherPorts,
    /// Refuses PLAY without Range.
    WantsRange,
    /// Refuses PLAY with Range.
    HatesRange,
    /// Takes only receiver reports for a sign of life.
    WantsReports,
}

/// Entries of the catalogue that are no oddity of one reply or packet: what plays them here, or why nothing does.
pub const ELSEWHERE: &[(&str, &str)] = &[
    ("Q14", "serve --digest sha256 plays a camera that knows SHA-256 only; Q14 itself is the odd algorithm field"),
    ("Q21", "the fault garbage"),
    ("Q23", "a client that does not read: whole GOPs are dropped, never half a frame"),
    ("Q57", "the fault session-limit"),
    ("Q59", "the fault slow-start"),
    ("Q69", "the fault silent"),
    ("Q72", "the fault half-open"),
    ("Q73", "the fault drop, scripted again and again"),
    ("Q79", "the fault timestamp-jump"),
    ("Q81", "the fault drift"),
    ("Q82", "the faults drift and clock-offset"),
    ("Q91", "the fault bursts"),
    ("Q99", "the fault new-parameters"),
    ("Q107", "the fault new-parameters: another clip with other parameter sets stands in"),
    ("Q100", "not played: clips have GOPs of 1 or 2 s; a smart codec's minutes would need clips of minutes"),
    ("Q101", "not played: the clips have one slice a picture; AUD and SEI order would change what the stamp sums up"),
    ("Q102", "a clip with ClipSpec::b_pictures; not offered by the program"),
    ("Q108", "only as Q108, a description that names motion JPEG: there is no such clip"),
    ("Q37", "only as Q37, trailing bytes in the description; scaling lists and sub-layers would need another encoder"),
    ("Q58", "not played: there is no ONVIF event service here"),
    ("Q70", "not played: a stream that slows down over days is the ingest core's own test"),
    ("Q71", "metadata follows the scene, which falls silent by itself"),
    ("Q83", "the fault clock-offset moves sender reports, metadata and the clock of the device service, whose events are pulled"),
    ("Q84", "not played: there is no ONVIF device service here"),
    ("Q85", "not played: sender reports are UTC by nature; clock-offset=3600 is what a camera that is wrong about it sends"),
    ("Q111", "only the sizes of AAC-lbr; 44.1 kHz would need another clip"),
    ("Q114", "not played: there is no L16 clip"),
    ("Q117", "Q117 to Q120 not played: there is no ONVIF event service here"),
    ("Q121", "Q121 to Q125 not played: the fleet speaks RTSP, not GB/T 28181"),
];

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

    /// A stamp, parameter sets, a slice, two fragments, a sender report and sound.
    fn unit() -> Vec<u8> {
        let mut bytes = Vec::new();
        let payloads = [&[6u8, 5, 1][..], &[0x78, 0, 1, 0x67], &[0x41, 9, 9], &[0x7c, 0x85, 1, 2], &[0x7c, 0x45, 3, 4]];
        for payload in payloads {
            crate::packets::append_packet(&mut bytes, &mut Vec::new(), 96, &[payload]);
        }
        let last = bytes.len() - 15;
        bytes[last] |= 0x80;
        bytes.extend([b'$', 1, 0, 28, 0x80, 200, 0, 6]);
        bytes.extend([7; 24]);
        // Sound in an AU header section of one entry.
        crate::packets::append_packet(&mut bytes, &mut Vec::new(), 97, &[&[0, 16, 0, 16, 1, 2]]);
        bytes
    }

    /// Parameter sets, a slice of its own, and a fragmented one.
    fn unit_h265() -> Vec<u8> {
        let mut bytes = Vec::new();
        for payload in [&[96u8, 1, 0, 2, 0x40, 1, 0, 2, 0x42, 1][..], &[2, 1, 9], &[98, 1, 0x81, 5, 6], &[98, 1, 0x41, 7]] {
            crate::packets::append_packet(&mut bytes, &mut Vec::new(), 96, &[payload]);
        }
        bytes
    }

    #[test]
    fn what_is_played_otherwise_is_told_once() {
        let mut ids: Vec<_> = ELSEWHERE.iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), ELSEWHERE.len());
    }

    #[test]
    fn every_oddity_changes_something_and_has_a_number_of_its_own() {
        let mut ids: Vec<_> = all().map(|quirk| quirk.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all().count());
        for quirk in all() {
            quirk.acts.each().iter().for_each(|act| changes(quirk.id, *act));
        }
    }

    fn changes(id: &str, act: Act) {
        match act {
            Act::SdpAt(change) => assert_ne!(change(description(), "rtsp://h/cam/1/main"), description(), "{id}"),
            Act::Sdp(change) => assert_ne!(change(description()), description(), "{id}"),
            Act::Reply(_, change) => {
                let changed = ["200", "401"].into_iter().any(|status| {
                    let mut changed = reply(status);
                    change(&mut changed);
                    changed != reply(status)
                });
                assert!(changed, "{id}");
            }
            Act::Unit(change) | Act::Reshape(change) => {
                // Some act on one codec, some on key units or others only.
                let codecs = [(unit(), true), (unit(), false), (unit_h265(), true)];
                let changed = codecs.into_iter().any(|(before, key)| {
                    let mut changed = before.clone();
                    change(&mut changed, Moment { counter: 50, gop: 2, key });
                    assert_eq!(frames::count(&changed).1, 0, "{id}: the frames no longer fit");
                    changed != before
                });
                assert!(changed, "{id}");
            }
            Act::Before(_, bytes) => assert_eq!(frames::count(bytes).1, 0, "{id}"),
            Act::All(_) => panic!("{id}: a list within a list"),
            Act::Ignores(_) | Act::Interjects(_) | Act::Habit(_) => {}
        }
    }
}
