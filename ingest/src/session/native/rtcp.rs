//! RTCP (RFC 3550 §6): the camera's clock comes in, a sign of life goes out. What is malformed is dropped (Q76).

use index::model::UtcMicros;

/// Seconds from 1900 to 1970.
const NTP_TO_UNIX: u64 = 2_208_988_800;

/// The camera's wall clock at a value of its RTP counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SenderReport {
    pub(super) ssrc: u32,
    /// The middle 32 bits of the NTP time, as receiver reports give them back.
    pub(super) middle: u32,
    pub(super) rtp: u32,
    /// `None` when the camera has no idea what time it is (Q86).
    pub(super) utc: Option<UtcMicros>,
}

/// The first sender report in a compound packet.
pub(super) fn sender_report(mut bytes: &[u8]) -> Option<SenderReport> {
    while let Some(head) = bytes.first_chunk::<4>() {
        let length = 4 + 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
        let packet = bytes.get(..length).filter(|_| head[0] >> 6 == 2)?;
        if head[1] == 200 {
            return report(packet);
        }
        bytes = &bytes[length..];
    }
    None
}

fn report(packet: &[u8]) -> Option<SenderReport> {
    let word = |at: usize| packet.get(at..).and_then(|rest| rest.first_chunk::<4>()).map(|bytes| u32::from_be_bytes(*bytes));
    let (ssrc, seconds, fraction, rtp) = (word(4)?, word(8)?, word(12)?, word(16)?);
    let micros = (u64::from(fraction) * 1_000_000) >> 32;
    let unix = u64::from(seconds).checked_sub(NTP_TO_UNIX);
    let utc = unix.and_then(|unix| i64::try_from(unix * 1_000_000 + micros).ok()).map(UtcMicros::from_micros);
    Some(SenderReport { ssrc, middle: seconds << 16 | fraction >> 16, rtp, utc })
}

/// What a receiver report says about one source.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Reception {
    pub(super) source: u32,
    /// Highest sequence number, extended by its wraps.
    pub(super) highest: u32,
    /// Packets that never came, since the start.
    pub(super) lost: u64,
    /// Of the packets expected since the last report, how many of 256 never came.
    pub(super) fraction: u8,
    /// [`SenderReport::middle`] of the last sender report; 0 before the first.
    pub(super) last_report: u32,
    /// How long ago that was, in 1/65 536 s.
    pub(super) since_report: u32,
}

/// A receiver report and our name: what cameras that drop silent listeners wait for (Q66).
pub(super) fn receiver_report(own: u32, reception: &Reception) -> Vec<u8> {
    let mut bytes = vec![0x81, 201, 0, 7];
    bytes.extend(own.to_be_bytes());
    bytes.extend(reception.source.to_be_bytes());
    let lost = reception.lost.min(0x7f_ffff) as u32;
    bytes.extend((u32::from(reception.fraction) << 24 | lost).to_be_bytes());
    bytes.extend(reception.highest.to_be_bytes());
    // Jitter is of use to senders that adapt; cameras do not.
    bytes.extend([0; 4]);
    bytes.extend(reception.last_report.to_be_bytes());
    bytes.extend(reception.since_report.to_be_bytes());
    // SDES with a CNAME of 5 letters: 4 + 4 + 2 + 5 bytes and the end marker make 16.
    bytes.extend([0x81, 202, 0, 3]);
    bytes.extend(own.to_be_bytes());
    bytes.extend(b"\x01\x05haohe\x00");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(seconds: u32) -> Vec<u8> {
        let mut bytes = vec![0x80, 200, 0, 6];
        for word in [9, seconds, 1 << 31, 4500, 0, 0] {
            bytes.extend(u32::to_be_bytes(word));
        }
        bytes
    }

    #[test]
    fn a_sender_report_gives_the_cameras_clock() {
        let report = sender_report(&sender(NTP_TO_UNIX as u32 + 10)).expect("a report");
        assert_eq!((report.ssrc, report.rtp, report.utc), (9, 4500, Some(UtcMicros::from_micros(10_500_000))));
        let behind = [&[0x80, 201, 0, 1, 0, 0, 0, 1][..], &sender(NTP_TO_UNIX as u32)].concat();
        assert!(sender_report(&behind).is_some());
    }

    #[test]
    fn q76_malformed_reports_are_dropped() {
        let whole = sender(NTP_TO_UNIX as u32);
        assert!((0..whole.len()).all(|cut| sender_report(&whole[..cut]).is_none()));
        assert_eq!(sender_report(&[0x80, 200, 0, 1, 0, 0, 0, 1]), None);
        assert_eq!(sender_report(&[0x40, 200, 0, 0]), None);
    }

    #[test]
    fn q86_a_camera_that_counts_from_1900_has_no_clock() {
        assert_eq!(sender_report(&sender(0)).map(|report| report.utc), Some(None));
        assert_eq!(sender_report(&sender(86_400)).map(|report| report.utc), Some(None));
    }

    #[test]
    fn q66_our_report_is_a_compound_of_whole_words() {
        let bytes = receiver_report(1, &Reception { source: 9, highest: 70_000, lost: 3, fraction: 5, ..Reception::default() });
        assert_eq!((bytes.len() % 4, bytes.len()), (0, 48));
        assert_eq!((&bytes[8..12], &bytes[12..16]), (&[0, 0, 0, 9][..], &[5, 0, 0, 3][..]));
        assert_eq!(bytes[32..36], [0x81, 202, 0, 3]);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = sender_report(&bytes);
        }
    }
}
