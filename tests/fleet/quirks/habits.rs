//! Oddities that are neither a text nor a packet.

use super::{
    Act::{Before, Habit as Has, Ignores, Interjects},
    Habit, Quirk,
};

pub(super) const TABLE: &[Quirk] = &[
    Quirk { id: "Q10", says: "refuses clients that do not name themselves (go2rtc#235)", acts: Has(Habit::WantsUserAgent) },
    Quirk { id: "Q15", says: "every request finds its nonce stale", acts: Has(Habit::FreshNonces) },
    Quirk {
        id: "Q16",
        says: "closes the connection after a challenge (retina#45, VStarcam)",
        acts: Has(Habit::ClosesAfterChallenge),
    },
    Quirk { id: "Q17", says: "knows nobody who did not ask OPTIONS first (retina#45)", acts: Has(Habit::WantsOptions) },
    Quirk { id: "Q18", says: "redirects DESCRIBE once (go2rtc#1909)", acts: Has(Habit::Redirects) },
    Quirk { id: "Q19", says: "locks the account after three wrong passwords (go2rtc#1801, Tapo)", acts: Has(Habit::LocksOut) },
    Quirk {
        id: "Q20",
        says: "the digest must be over the address as it stands in the request line (retina#62, gortsplib#1118)",
        acts: Has(Habit::ExactAddress),
    },
    Quirk { id: "Q22", says: "empty lines between messages (retina 0.3.8)", acts: Interjects("\r\n\r\n") },
    Quirk { id: "Q41", says: "another session name in each SETUP reply (retina#85)", acts: Has(Habit::SessionPerTrack) },
    Quirk { id: "Q46", says: "other channels than were asked for (gortsplib#304)", acts: Has(Habit::OtherChannels) },
    Quirk { id: "Q48", says: "UDP from other ports than announced (mediamtx#691)", acts: Has(Habit::OtherPorts) },
    Quirk { id: "Q53", says: "refuses PLAY without Range (mediamtx#413)", acts: Has(Habit::WantsRange) },
    Quirk { id: "Q53b", says: "refuses PLAY with Range (mediamtx#1780)", acts: Has(Habit::HatesRange) },
    Quirk {
        id: "Q54",
        says: "RTCP and an empty RTP packet before the reply to PLAY (retina 0.3.6, v4l2rtspserver)",
        acts: Before("PLAY", b"$\x01\0\x08\x80\xc9\0\x01\0\0\0\x07$\0\0\x0c\x80\x60\0\x01\0\0\0\0\0\0\0\x07"),
    },
    Quirk {
        id: "Q56",
        says: "another session's packets on a new connection, before anything is set up (retina#17, live555 before 2017)",
        acts: Before("DESCRIBE", b"$\0\0\x0e\x80\x60\x12\x34\0\0\x10\0\xde\xad\xbe\xef\x06\x05"),
    },
    Quirk { id: "Q60", says: "closes on a keepalive that it does not know (mediamtx#1066)", acts: Has(Habit::HatesKeepalive) },
    Quirk { id: "Q62", says: "never answers keepalives (mediamtx#2302)", acts: Ignores("GET_PARAMETER") },
    Quirk { id: "Q65", says: "the real timeout is a sixth of the announced one (mediamtx#1403)", acts: Has(Habit::ShortTimeout) },
    Quirk { id: "Q66", says: "drops whoever sends no receiver reports (Dahua IPC-T12D-V2)", acts: Has(Habit::WantsReports) },
    Quirk {
        id: "Q67",
        says: "the camera sends requests of its own (gortsplib#93)",
        acts: Interjects("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
    },
    Quirk { id: "Q68", says: "a reply that nobody asked for", acts: Interjects("RTSP/1.0 200 OK\r\nCSeq: 4711\r\n\r\n") },
];
