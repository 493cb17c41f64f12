//! RTP packets (RFC 3550 §5.1), and what their numbers say about packets that never came.

/// A packet without what surrounds its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Packet<'a> {
    pub(super) marker: bool,
    pub(super) payload_type: u8,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    pub(super) ssrc: u32,
    pub(super) payload: &'a [u8],
}

/// Reads a packet; contributing sources, extension and padding are left out (Q90). `None`: it is none, or cut short (Q77).
pub(super) fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    let (head, mut payload) = bytes.split_first_chunk::<12>()?;
    if head[0] >> 6 != 2 {
        return None;
    }
    payload = payload.get(usize::from(head[0] & 15) * 4..)?;
    if head[0] & 0x10 != 0 {
        let extension = payload.first_chunk::<4>()?;
        payload = payload.get(4 + usize::from(u16::from_be_bytes([extension[2], extension[3]])) * 4..)?;
    }
    if head[0] & 0x20 != 0 {
        let padding = usize::from(*payload.last()?);
        payload = payload.get(..payload.len().checked_sub(padding)?)?;
    }
    Some(Packet {
        marker: head[1] & 0x80 != 0,
        payload_type: head[1] & 0x7f,
        sequence: u16::from_be_bytes([head[2], head[3]]),
        timestamp: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
        ssrc: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
        payload,
    })
}

/// What a packet's number says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arrival {
    /// It follows the one before.
    Next,
    /// So many are missing before it.
    After(u16),
    /// The camera counts anew: nothing is known of what lies between.
    Anew,
    /// It came before, or too late, or belongs to somebody else: not to be used.
    Drop,
}

/// Numbers this far behind are packets that come twice or too late, not a camera that counts anew (Q91).
const LATE: u16 = 256;
/// Numbers further ahead than this are a camera that counts anew, not twenty seconds of packets that got lost.
const MISSING_MAX: u16 = 8192;
/// So many late packets in a row are a camera that counts anew after all (Q87).
const LATE_MAX: u8 = 16;

/// Follows one track's numbers.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    locked: Option<Lock>,
    /// A source that took the lock away and lost it again: a session from before, still being served (Q56).
    foreign: Option<u32>,
    /// The source locked on before this one.
    former: Option<u32>,
    late: u8,
    /// How many numbers after the last packet were taken by packets that are not for us.
    passed: u16,
    /// Packets that never came.
    pub(super) lost: u64,
    /// Packets that came.
    pub(super) received: u64,
    wraps: u16,
}

#[derive(Clone, Copy, Debug)]
struct Lock {
    ssrc: u32,
    next: u16,
}

impl Sequence {
    /// Judges one packet. A new source is followed at once (Q74: some cameras take a new one with every key unit).
    pub(super) fn judge(&mut self, ssrc: u32, sequence: u16) -> Arrival {
        let next = sequence.wrapping_add(1);
        let Some(lock) = &mut self.locked else {
            self.locked = Some(Lock { ssrc, next });
            self.received += 1;
            return Arrival::Next;
        };
        if ssrc != lock.ssrc {
            return self.other_source(ssrc, sequence);
        }
        let ahead = sequence.wrapping_sub(lock.next);
        let arrival = match ahead {
            0 => Arrival::Next,
            1..=MISSING_MAX if ahead <= self.passed => Arrival::Next,
            1..=MISSING_MAX => Arrival::After(ahead - self.passed),
            _ if ahead.wrapping_neg() <= LATE && self.late < LATE_MAX => {
                self.late += 1;
                return Arrival::Drop;
            }
            _ => Arrival::Anew,
        };
        if next < lock.next && arrival != Arrival::Anew {
            self.wraps = self.wraps.wrapping_add(1);
        }
        lock.next = next;
        (self.late, self.passed) = (0, 0);
        self.received += 1;
        if let Arrival::After(count) = arrival {
            self.lost += u64::from(count);
        }
        arrival
    }

    fn other_source(&mut self, ssrc: u32, sequence: u16) -> Arrival {
        let Some(lock) = &mut self.locked else { return Arrival::Drop };
        if self.foreign == Some(ssrc) {
            return Arrival::Drop;
        }
        if self.former == Some(ssrc) {
            // Two sources in turns: the one that came later to the channel is not ours.
            self.foreign = Some(lock.ssrc);
        }
        let arrival = if sequence == lock.next { Arrival::Next } else { Arrival::Anew };
        self.former = Some(lock.ssrc);
        *lock = Lock { ssrc, next: sequence.wrapping_add(1) };
        (self.late, self.passed) = (0, 0);
        self.received += 1;
        arrival
    }

    /// A packet of our source that is not for us may have taken a number (Q78), or may repeat that of one that is.
    pub(super) fn pass(&mut self, ssrc: u32, sequence: u16) {
        if let Some(lock) = &self.locked
            && lock.ssrc == ssrc
            && sequence.wrapping_sub(lock.next) == self.passed
        {
            self.passed = self.passed.saturating_add(1);
        }
    }

    /// The source and its highest number with wraps, as receiver reports have it.
    pub(super) fn highest(&self) -> Option<(u32, u32)> {
        self.locked.map(|lock| (lock.ssrc, u32::from(self.wraps) << 16 | u32::from(lock.next.wrapping_sub(1))))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A packet of payload type 96.
    pub(in super::super) fn packet(marker: bool, sequence: u16, timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x80, 96 | u8::from(marker) << 7];
        bytes.extend(sequence.to_be_bytes());
        bytes.extend(timestamp.to_be_bytes());
        bytes.extend(7u32.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn q77_what_is_cut_short_is_no_packet() {
        let whole = packet(true, 1, 2, &[]);
        assert!((0..12).all(|cut| parse(&whole[..cut]).is_none()));
        assert_eq!(parse(&whole).map(|packet| (packet.marker, packet.sequence, packet.timestamp)), Some((true, 1, 2)));
    }

    #[test]
    fn q90_sources_extensions_and_padding_are_left_out() {
        let mut bytes = packet(false, 1, 2, &[]);
        bytes[0] = 0x80 | 0x20 | 0x10 | 1;
        bytes.extend([1, 2, 3, 4]);
        bytes.extend([0xab, 0xac, 0, 1, 9, 9, 9, 9]);
        bytes.extend([0x65, 0x42, 0, 0, 3]);
        assert_eq!(parse(&bytes).map(|packet| packet.payload), Some(&[0x65, 0x42][..]));
        bytes.pop();
        bytes.push(200);
        assert_eq!(parse(&bytes), None, "more padding than packet");
    }

    /// Numbers as `source:sequence` and the verdicts: `.` next, a number for so many missing, `!` anew, `x` dropped.
    #[track_caller]
    fn check(input: &str, expected: &str) {
        let mut sequence = Sequence::default();
        let text: String = input
            .split(' ')
            .map(|word| {
                let (ssrc, number) = word.split_once(':').expect("source:sequence");
                match sequence.judge(ssrc.parse().expect("a source"), number.parse().expect("a number")) {
                    Arrival::Next => ".".to_owned(),
                    Arrival::After(missing) => missing.to_string(),
                    Arrival::Anew => "!".to_owned(),
                    Arrival::Drop => "x".to_owned(),
                }
            })
            .collect();
        assert_eq!(text, expected, "{input}");
    }

    #[test]
    fn q74_a_new_source_is_followed_at_once() {
        check("1:5 1:6 2:7 2:8 3:900 3:901", "....!.");
    }

    #[test]
    fn q56_a_source_that_comes_in_between_is_dropped() {
        check("1:5 2:900 1:6 2:901 1:7 2:902 1:8", ".!!x.x.");
    }

    #[test]
    fn q87_gaps_wraps_and_resets_are_told_apart() {
        check("1:65534 1:65535 1:0 1:3", "...2");
        check("1:40000 1:40001 1:7 1:8", "..!.");
        check("1:500 1:501 1:480 1:502", "..x.");
    }

    #[test]
    fn q91_what_comes_twice_is_used_once() {
        check("1:5 1:6 1:5 1:6 1:7", "..xx.");
    }

    #[test]
    fn q78_numbers_of_packets_for_others_are_not_missing() {
        let mut sequence = Sequence::default();
        sequence.judge(1, 5);
        sequence.pass(1, 6);
        assert_eq!(sequence.judge(1, 7), Arrival::Next);
        sequence.pass(1, 8);
        assert_eq!(sequence.judge(1, 8), Arrival::Next, "the number was used twice");
        assert_eq!((sequence.lost, sequence.highest()), (0, Some((1, 8))));
        sequence.pass(1, 9);
        assert_eq!(sequence.judge(1, 11), Arrival::After(1));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_are_no_packet_or_a_shorter_one(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            if let Some(packet) = parse(&bytes) {
                proptest::prop_assert!(packet.payload.len() + 12 <= bytes.len());
            }
        }
    }
}
