//! The driver of our own: RTSP and RTP as one state machine without a socket, and a thin shell around it.
//!
//! It exists for two reasons. It plays what other clients refuse: the tests of each part bear the numbers of the camera
//! oddities they cover (Q01 to Q116). And it costs little: one read a wake-up into a buffer that all cameras of a thread
//! share, no allocation and no task switch a packet, and each payload copied once, from that buffer into the memory of its
//! access unit.
//!
//! `client` decides: bytes and time in, bytes to send and items out. `message`, `sdp`, `address` and `transport`
//! read what the camera says; `demux`, `rtp`, `rtcp`, `reorder`, `payload`, `picture` and `sound` what it sends; `track` joins the two.
//! `shell` owns the sockets.

mod address;
mod client;
mod datagrams;
mod demux;
mod message;
mod payload;
mod picture;
mod reorder;
mod rtcp;
mod rtp;
mod sdp;
mod shell;
mod sound;
mod track;
mod transport;

pub(crate) use shell::open;

use index::model::UtcMicros;
use std::time::Instant;

/// Now, by both clocks.
#[derive(Clone, Copy, Debug)]
struct Moment {
    at: Instant,
    utc: UtcMicros,
}
