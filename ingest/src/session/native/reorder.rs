//! Puts the packets of a UDP track back in order (Q89). A packet that is in order passes without being copied; one that
//! came early waits until those before it came, or until it is clear that they will not.

use super::rtp;
use std::time::{Duration, Instant};

/// How many packets wait at most: a few of the largest key units' packets overtake each other at most.
const HELD_MAX: usize = 64;
/// How long they wait at most.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// The waiting room of one track.
#[derive(Debug, Default)]
pub(super) struct Reorder {
    next: Option<u16>,
    held: Vec<(u16, Instant, Vec<u8>)>,
}

impl Reorder {
    /// Takes a datagram and hands on, in order, whatever need not wait any longer.
    pub(super) fn push(&mut self, datagram: &[u8], now: Instant, mut hand_on: impl FnMut(&[u8])) {
        let Some(packet) = rtp::parse(datagram) else { return };
        let ahead = self.next.map_or(0, |next| packet.sequence.wrapping_sub(next));
        match ahead {
            1..0x4000 => {
                if !self.held.iter().any(|(sequence, ..)| *sequence == packet.sequence) {
                    self.held.push((packet.sequence, now, datagram.to_vec()));
                }
                if self.held.len() > HELD_MAX {
                    self.skip();
                }
            }
            0 => {
                hand_on(datagram);
                self.next = Some(packet.sequence.wrapping_add(1));
            }
            // Late, or a camera that counts anew: who follows the numbers knows which.
            _ => {
                hand_on(datagram);
                if (0x4000..0xff00).contains(&ahead) {
                    self.held.clear();
                    self.next = Some(packet.sequence.wrapping_add(1));
                }
            }
        }
        self.release(now, hand_on);
    }

    /// Hands on what waited long enough.
    pub(super) fn release(&mut self, now: Instant, mut hand_on: impl FnMut(&[u8])) {
        while !self.held.is_empty() {
            let next = self.next.unwrap_or_default();
            if let Some(at) = self.held.iter().position(|(sequence, ..)| *sequence == next) {
                let (_, _, datagram) = self.held.swap_remove(at);
                hand_on(&datagram);
                self.next = Some(next.wrapping_add(1));
            } else if self.held.iter().any(|(_, since, _)| now.saturating_duration_since(*since) >= WAIT_MAX) {
                self.skip();
            } else {
                break;
            }
        }
    }

    /// When [`Reorder::release`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.held.iter().map(|(_, since, _)| *since + WAIT_MAX).min()
    }

    /// Gives up on what is missing before the nearest packet that waits.
    fn skip(&mut self) {
        let next = self.next.unwrap_or_default();
        self.next =
            self.held.iter().map(|(sequence, ..)| *sequence).min_by_key(|sequence| sequence.wrapping_sub(next)).or(self.next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sequence numbers in, in the order of arrival; what came out, with `|` where 200 ms passed.
    #[track_caller]
    fn check(input: &str, expected: &str) {
        let mut now = Instant::now();
        let mut reorder = Reorder::default();
        let mut out = Vec::new();
        for word in input.split(' ') {
            let mut hand_on = |bytes: &[u8]| out.extend(rtp::parse(bytes).map(|packet| packet.sequence.to_string()));
            if word == "|" {
                now += Duration::from_millis(200);
                reorder.release(now, hand_on);
            } else {
                reorder.push(&rtp::tests::packet(false, word.parse().expect("a number"), 0, &[]), now, &mut hand_on);
            }
        }
        assert_eq!(out.join(" "), expected, "{input}");
    }

    #[test]
    fn q89_packets_that_overtook_others_wait_for_them() {
        check("1 3 2 4", "1 2 3 4");
        check("65534 0 65535 1", "65534 65535 0 1");
        check("1 4 4 3 2 5", "1 2 3 4 5");
    }

    #[test]
    fn what_never_comes_is_waited_for_only_so_long() {
        check("1 3 4 | 5", "1 3 4 5");
        let early: Vec<String> = (3..3 + HELD_MAX + 1).map(|n| n.to_string()).collect();
        check(&format!("1 {}", early.join(" ")), &format!("1 {}", early.join(" ")));
    }

    #[test]
    fn a_camera_that_counts_anew_is_followed() {
        check("40000 5 6 7", "40000 5 6 7");
    }
}
