//! Oddities that are neither a text nor a packet.

use super::{
    Act::{Habit as Has, Ignores, Interjects},
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
    Quirk { id: "Q18", says: "redirects DESCRIBE once (go2rtc#1909)", acts: Has(Habit::Redirects) },
    Quirk { id: "Q22", says: "empty lines between messages (retina 0.3.8)", acts: Interjects("\r\n\r\n") },
    Quirk { id: "Q41", says: "another session name in each SETUP reply (retina#85)", acts: Has(Habit::SessionPerTrack) },
    Quirk { id: "Q60", says: "closes on a keepalive that it does not know (mediamtx#1066)", acts: Has(Habit::HatesKeepalive) },
    Quirk { id: "Q62", says: "never answers keepalives (mediamtx#2302)", acts: Ignores("GET_PARAMETER") },
    Quirk { id: "Q65", says: "the real timeout is a sixth of the announced one (mediamtx#1403)", acts: Has(Habit::ShortTimeout) },
    Quirk {
        id: "Q67",
        says: "the camera sends requests of its own (gortsplib#93)",
        acts: Interjects("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
    },
    Quirk { id: "Q68", says: "a reply that nobody asked for", acts: Interjects("RTSP/1.0 200 OK\r\nCSeq: 4711\r\n\r\n") },
];
