//! Oddities of RTP, RTCP and the coded video within.

use super::{Act::Unit, Moment, Quirk};

const MARK: u8 = 0x80;
const VIDEO: u8 = 96;

/// Splits interleaved frames into channel and packet.
fn split(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut rest = bytes;
    let mut frames = Vec::new();
    while let Some((&[b'$', channel, high, low], tail)) = rest.split_first_chunk::<4>() {
        let Some((packet, tail)) = tail.split_at_checked(usize::from(u16::from_be_bytes([high, low]))) else { break };
        frames.push((channel, packet.to_vec()));
        rest = tail;
    }
    frames
}

fn join(bytes: &mut Vec<u8>, frames: &[(u8, Vec<u8>)]) {
    bytes.clear();
    for (channel, packet) in frames {
        bytes.extend([b'$', *channel]);
        bytes.extend((packet.len() as u16).to_be_bytes());
        bytes.extend(packet);
    }
}

/// How many whole frames there are, and how many bytes belong to none.
#[cfg(test)]
pub(super) fn count(bytes: &[u8]) -> (usize, usize) {
    let frames = split(bytes);
    (frames.len(), bytes.len() - frames.iter().map(|(_, packet)| packet.len() + 4).sum::<usize>())
}

fn is_video(packet: &[u8]) -> bool {
    packet.len() > 12 && packet[1] & 0x7f == VIDEO
}

fn is_report(packet: &[u8]) -> bool {
    packet.get(1) == Some(&200)
}

fn each(bytes: &mut Vec<u8>, wanted: fn(&[u8]) -> bool, mut change: impl FnMut(&mut Vec<u8>)) {
    let mut frames = split(bytes);
    frames.iter_mut().filter(|(_, packet)| wanted(packet)).for_each(|(_, packet)| change(packet));
    join(bytes, &frames);
}

fn change_ssrc(packet: &mut [u8], by: u64) {
    if let Some(last) = packet.get_mut(11) {
        *last = last.wrapping_add(by as u8);
    }
}

/// Repeats the first video packet with another first byte of payload behind it.
fn append_video(bytes: &mut Vec<u8>, make: fn(&[u8]) -> Vec<u8>) {
    let mut frames = split(bytes);
    if let Some((channel, packet)) = frames.iter().find(|(_, packet)| is_video(packet)).cloned() {
        frames.push((channel, make(&packet)));
    }
    join(bytes, &frames);
}

pub(super) const TABLE: &[Quirk] = &[
    Quirk {
        id: "Q55",
        says: "packets on a channel that was never set up (moonfire-nvr#213)",
        acts: Unit(|bytes, _| bytes.extend([b'$', 12, 0, 12, 0x80, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
    },
    Quirk {
        id: "Q74",
        says: "a new SSRC each GOP (gortsplib#687, Uniview)",
        acts: Unit(|bytes, Moment { gop, .. }| each(bytes, is_video, |packet| change_ssrc(packet, gop))),
    },
    Quirk {
        id: "Q75",
        says: "sender reports with a foreign SSRC (Tapo C320WS)",
        acts: Unit(|bytes, _| each(bytes, is_report, |packet| packet[4] ^= 0x55)),
    },
    Quirk {
        id: "Q76",
        says: "malformed RTCP (mediamtx#5355, Hanwha)",
        acts: Unit(|bytes, _| {
            let mut frames = split(bytes);
            frames.push((1, vec![0x80, 200, 0, 99, 1, 2, 3, 4]));
            join(bytes, &frames);
        }),
    },
    Quirk {
        id: "Q77",
        says: "an RTP packet cut short",
        acts: Unit(|bytes, moment| {
            if moment.key {
                bytes.extend([b'$', 0, 0, 3, 0x80, 96, 0]);
            }
        }),
    },
    Quirk {
        id: "Q78",
        says: "another payload type with the same SSRC and sequence number (retina#33, Geovision)",
        acts: Unit(|bytes, moment| {
            if moment.key {
                append_video(bytes, |packet| [&packet[..1], &[50], &packet[2..12], &[1, 2, 3]].concat());
            }
        }),
    },
    Quirk {
        id: "Q80",
        says: "the timestamp never changes (retina#64)",
        acts: Unit(|bytes, _| each(bytes, is_video, |packet| packet[4..8].copy_from_slice(&[0, 0, 0x10, 0]))),
    },
    Quirk {
        id: "Q86",
        says: "sender reports with an NTP time of zero",
        acts: Unit(|bytes, _| each(bytes, is_report, |packet| packet[8..16].fill(0))),
    },
    Quirk {
        id: "Q90",
        says: "header extensions and padding (retina 0.4.4)",
        acts: Unit(|bytes, _| {
            each(bytes, is_video, |packet| {
                packet[0] |= 0x30;
                packet.splice(12..12, [0xab, 0xac, 0, 1, 9, 9, 9, 9]);
                packet.extend([0, 0, 0, 4]);
            });
        }),
    },
    Quirk {
        id: "Q92",
        says: "the marker also on the SEI (moonfire-nvr#352)",
        acts: Unit(|bytes, _| {
            let mut first = true;
            each(bytes, is_video, |packet| {
                packet[1] |= if std::mem::take(&mut first) { MARK } else { 0 };
            });
        }),
    },
    Quirk {
        id: "Q93",
        says: "the marker also on parameter sets (Tapo TC70, Reolink Duo 2)",
        acts: Unit(|bytes, _| {
            each(bytes, is_video, |packet| {
                if matches!(packet[12] & 0x1f, 24) || packet[12] >> 1 & 0x3f == 48 {
                    packet[1] |= MARK;
                }
            });
        }),
    },
    Quirk {
        id: "Q94",
        says: "the marker is missing (mediamtx#3945, FLIR M400)",
        acts: Unit(|bytes, _| each(bytes, is_video, |packet| packet[1] &= !MARK)),
    },
    Quirk {
        id: "Q95",
        says: "the marker on every packet",
        acts: Unit(|bytes, _| each(bytes, is_video, |packet| packet[1] |= MARK)),
    },
    Quirk {
        id: "Q97",
        says: "fragments whose NRI differs from the first one's (moonfire-nvr#344, Tiandy; H.264)",
        acts: Unit(|bytes, _| {
            each(bytes, is_video, |packet| {
                if packet[12] & 0x1f == 28 && packet[13] & 0x80 == 0 {
                    packet[12] &= 0x9f;
                }
            });
        }),
    },
    Quirk {
        id: "Q98",
        says: "a packet without payload (retina#115)",
        acts: Unit(|bytes, moment| {
            if moment.key {
                append_video(bytes, |packet| packet[..12].to_vec());
            }
        }),
    },
    Quirk {
        id: "Q105",
        says: "a NAL unit with the forbidden bit (go2rtc#1570)",
        acts: Unit(|bytes, moment| {
            if moment.key {
                append_video(bytes, |packet| [&packet[..12], &[0x80 | 31, 1, 2]].concat());
            }
        }),
    },
];
