//! The interleaved connection (RFC 2326 §10.12) cut into frames and messages, without copying either.
//!
//! A frame on a channel that was set up and that looks like RTP is taken at once. Anything odd is believed only if what
//! follows it looks right, too; bytes that belong to nothing are skipped until something plausible begins (Q21), but only
//! so many: a connection that lost its framing for good is given up.

use super::message::{self, Message, MessageError};

/// Foreign bytes in a row before the connection is given up: a few key units of a camera with large packets.
const GARBAGE_MAX: usize = 1 << 20;

/// What stands at the front of the buffer.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Item<'a> {
    /// A frame of a channel that was set up.
    Frame { channel: u8, payload: &'a [u8] },
    /// An answer or a request.
    Message(Message),
    /// Nothing that is of use: foreign bytes, or a channel that was never set up (Q55).
    Skipped,
    /// Not whole yet.
    More,
}

/// Cuts one connection.
#[derive(Debug, Default)]
pub(super) struct Demux {
    /// Bit n: channel n was set up.
    channels: [u128; 2],
    /// Foreign bytes since the last good frame or message.
    garbage: usize,
}

/// What a place in the buffer may be the start of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Start {
    Yes,
    No,
    /// More bytes decide.
    Perhaps,
}

impl Demux {
    /// Frames on this channel are of use from now on.
    pub(super) fn open(&mut self, channel: u8) {
        self.channels[usize::from(channel >> 7)] |= 1 << (channel & 127);
    }

    fn is_open(&self, channel: u8) -> bool {
        self.channels[usize::from(channel >> 7)] >> (channel & 127) & 1 == 1
    }

    /// What stands at the front of `bytes`, and how many of them it takes; nothing is taken as long as it is not whole.
    ///
    /// # Errors
    /// [`MessageError`] when a message is beyond the limits, or foreign bytes do not end.
    pub(super) fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Item<'a>), MessageError> {
        match bytes {
            [] => Ok((0, Item::More)),
            [b'$', ..] => self.frame(bytes),
            [b'\r' | b'\n', ..] => Ok((bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count(), Item::Skipped)),
            _ => match message_start(bytes) {
                Start::Perhaps => Ok((0, Item::More)),
                Start::No => self.resynchronise(bytes),
                Start::Yes => match message::parse(bytes) {
                    Ok(Some((length, message))) => {
                        self.garbage = 0;
                        Ok((length, Item::Message(message)))
                    }
                    Ok(None) => Ok((0, Item::More)),
                    // It only looked like one.
                    Err(MessageError::Malformed) => self.resynchronise(bytes),
                    Err(error) => Err(error),
                },
            },
        }
    }

    fn frame<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Item<'a>), MessageError> {
        let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Ok((0, Item::More)) };
        let channel = head[1];
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let known = self.is_open(channel);
        let rtp = rest.first().map(|first| first >> 6 == 2);
        if known && (rtp == Some(true) || (rtp.is_none() && length > 0)) {
            let Some(payload) = rest.get(..length) else { return Ok((0, Item::More)) };
            self.garbage = 0;
            return Ok((4 + length, Item::Frame { channel, payload }));
        }
        // Q55, Q77, or a dollar sign among foreign bytes: what follows decides.
        let Some(payload) = rest.get(..length) else {
            let foreign = self.garbage > 0 || (!known && self.hides_frame(rest));
            return if foreign { self.resynchronise(bytes) } else { Ok((0, Item::More)) };
        };
        match start(&rest[length..]) {
            Start::No => self.resynchronise(bytes),
            Start::Perhaps if rest.len() > length => Ok((0, Item::More)),
            _ if known => Ok((4 + length, Item::Frame { channel, payload })),
            _ => Ok((4 + length, Item::Skipped)),
        }
    }

    /// Whether a whole frame of ours lies within what claims to be another's payload.
    fn hides_frame(&self, bytes: &[u8]) -> bool {
        (0..bytes.len()).any(|at| match bytes[at..] {
            [b'$', channel, high, low, first, ..] if self.is_open(channel) && first >> 6 == 2 => {
                let end = at + 4 + usize::from(u16::from_be_bytes([high, low]));
                bytes.get(end..).is_some_and(|rest| !rest.is_empty() && start(rest) == Start::Yes)
            }
            _ => false,
        })
    }

    /// Skips to the next byte at which a frame of ours or a message may begin.
    fn resynchronise<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, Item<'a>), MessageError> {
        let plausible = |at: &usize| match bytes[*at..] {
            [b'$'] => true,
            [b'$', channel] | [b'$', channel, _] | [b'$', channel, _, _] => self.is_open(channel),
            [b'$', channel, _, _, first, ..] => self.is_open(channel) && first >> 6 == 2,
            ref rest => message_start(rest) == Start::Yes,
        };
        let skipped = (1..bytes.len()).find(plausible).unwrap_or(bytes.len());
        self.garbage += skipped;
        if self.garbage > GARBAGE_MAX { Err(MessageError::Malformed) } else { Ok((skipped, Item::Skipped)) }
    }
}

/// Whether a frame or a message may begin here. The end of the buffer may be anything.
fn start(bytes: &[u8]) -> Start {
    match bytes {
        [] => Start::Perhaps,
        [b'$' | b'\r' | b'\n', ..] => Start::Yes,
        _ => message_start(bytes),
    }
}

/// Whether a message begins here: the banner of an answer, or a method that a camera may use.
fn message_start(bytes: &[u8]) -> Start {
    const WORDS: [&[u8]; 9] = [
        b"RTSP/",
        b"OPTIONS ",
        b"GET_PARAMETER ",
        b"SET_PARAMETER ",
        b"ANNOUNCE ",
        b"REDIRECT ",
        b"TEARDOWN ",
        b"PLAY ",
        b"PAUSE ",
    ];
    let mut answer = Start::No;
    for word in WORDS {
        let shared = bytes.len().min(word.len());
        if bytes[..shared].eq_ignore_ascii_case(&word[..shared]) {
            if shared == word.len() {
                return Start::Yes;
            }
            answer = Start::Perhaps;
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(channel: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![b'$', channel];
        bytes.extend((payload.len() as u16).to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn rtp(number: u8) -> Vec<u8> {
        let mut packet = vec![0x80; 20];
        packet[19] = number;
        packet
    }

    /// Feeds `bytes` in pieces of `step` and lists what came out: the last byte of a frame, `m` for a message.
    fn listing(bytes: &[u8], step: usize) -> String {
        let mut demux = Demux::default();
        demux.open(0);
        demux.open(1);
        let (mut buffer, mut text) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(step) {
            buffer.extend(piece);
            loop {
                let (taken, item) = demux.next(&buffer).expect("framing");
                match item {
                    Item::Frame { channel, payload } => text.push(format!("{channel}:{}", payload.last().unwrap_or(&0))),
                    Item::Message(_) => text.push("m".to_owned()),
                    Item::Skipped => {}
                    Item::More => break,
                }
                buffer.drain(..taken);
            }
        }
        text.join(" ")
    }

    #[track_caller]
    fn check(parts: &[&[u8]], expected: &str) {
        let bytes = parts.concat();
        for step in [1, 2, 3, 7, 64, bytes.len()] {
            assert_eq!(listing(&bytes, step), expected, "in pieces of {step}");
        }
    }

    const ANSWER: &[u8] = b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\n";

    #[test]
    fn frames_and_messages_are_told_apart_in_pieces_of_any_size() {
        check(&[&frame(0, &rtp(1)), ANSWER, &frame(1, &rtp(2)), b"\r\n", &frame(0, &rtp(3))], "0:1 m 1:2 0:3");
    }

    #[test]
    fn q21_foreign_bytes_between_frames_are_skipped() {
        check(&[&frame(0, &rtp(1)), b"garbage without a dollar", &frame(0, &rtp(2)), &frame(0, &rtp(3))], "0:1 0:2 0:3");
        check(&[&frame(0, &rtp(1)), b"$\xff\xff\xff$$\x09", &frame(0, &rtp(2)), ANSWER, &frame(0, &rtp(3))], "0:1 0:2 m 0:3");
    }

    #[test]
    fn q21_framing_that_is_lost_for_good_ends_the_connection() {
        let mut demux = Demux::default();
        let noise = vec![b'x'; 100_000];
        let verdict = (0..20).find_map(|_| demux.next(&noise).err());
        assert_eq!(verdict, Some(MessageError::Malformed));
    }

    #[test]
    fn q55_frames_on_channels_never_set_up_are_skipped() {
        check(&[&frame(7, &rtp(9)), &frame(0, &rtp(1)), &frame(7, b""), &frame(0, &rtp(2))], "0:1 0:2");
    }

    #[test]
    fn q77_a_frame_that_is_empty_or_not_rtp_is_handed_on_to_be_counted() {
        check(&[&frame(0, b""), &frame(0, &[0, 7]), &frame(0, &rtp(1)), ANSWER], "0:0 0:7 0:1 m");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn arbitrary_bytes_never_panic_and_always_move_on(bytes in proptest::collection::vec(prop_oneof![Just(b'$'), Just(0), Just(0x80), any::<u8>()], 0..400)) {
            let mut demux = Demux::default();
            demux.open(0);
            let mut rest = &bytes[..];
            while let Ok((taken, item)) = demux.next(rest) {
                if item == Item::More { break; }
                prop_assert!(taken > 0 && taken <= rest.len());
                rest = &rest[taken..];
            }
        }

        #[test]
        fn frames_behind_foreign_bytes_are_found_again(noise in proptest::collection::vec(0x25u8..0x41, 0..400)) {
            let text = listing(&[&frame(0, &rtp(1))[..], &noise, &frame(0, &rtp(2)), &frame(0, &rtp(3))].concat(), 50);
            prop_assert_eq!(text, "0:1 0:2 0:3");
        }
    }
}
