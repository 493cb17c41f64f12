//! Oddities of RTP, RTCP and the coded video within.

use super::{
    Act::{All, Reshape, Sdp, Unit},
    Moment, Quirk, sdp,
};

const MARK: u8 = 0x80;
const VIDEO: u8 = 96;
const SOUND: u8 = 97;

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

fn leave_out(bytes: &mut Vec<u8>, unwanted: fn(&[u8]) -> bool) {
    let mut frames = split(bytes);
    frames.retain(|(_, packet)| !unwanted(packet));
    join(bytes, &frames);
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

fn is_sound(packet: &[u8]) -> bool {
    packet.len() > 12 && packet[1] & 0x7f == SOUND
}

/// H.264 parameter sets (STAP-A) or those of H.265 (AP): nothing else is aggregated here.
fn is_sets(packet: &[u8]) -> bool {
    is_video(packet) && (packet[12] == 24 | 0x60 || is_h265_sets(packet))
}

fn is_h265_sets(packet: &[u8]) -> bool {
    is_video(packet) && packet[12] == 48 << 1
}

/// A fragment of H.264 (FU-A) or H.265 (FU): the length of its headers, its flags.
fn fragment(packet: &[u8]) -> Option<(usize, u8)> {
    match packet.get(12..15)? {
        [head, flags, _] if head & 0x1f == 28 => Some((2, *flags)),
        [head, 1, flags] if head >> 1 & 0x3f == 49 => Some((3, *flags)),
        _ => None,
    }
}

/// NAL units behind 2-byte lengths.
fn aggregated(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut nals = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<2>() {
        let Some((nal, tail)) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length))) else { break };
        nals.push(nal);
        rest = tail;
    }
    nals
}

/// Parameter sets of H.264 as one NAL unit with start codes within.
fn annex_b_sets(packet: &mut Vec<u8>) {
    let joined = aggregated(&packet[13..]).join(&[0, 0, 0, 1][..]);
    packet.splice(12.., joined);
}

/// Fragments put together again, as far as a packet can hold.
fn join_fragments(bytes: &mut Vec<u8>, _: Moment) {
    const MOST: usize = 60_000;
    let mut joined: Vec<(u8, Vec<u8>)> = Vec::new();
    for (channel, packet) in split(bytes) {
        let open = fragment(&packet).filter(|(_, flags)| is_video(&packet) && flags & 0x80 == 0);
        match (open, joined.last_mut()) {
            // Marker and the flag of the last fragment are those of the last one that was joined.
            (Some((headers, flags)), Some((_, last)))
                if fragment(last).is_some_and(|(_, begun)| begun & 0x40 == 0) && last.len() + packet.len() < MOST =>
            {
                last[1] |= packet[1] & MARK;
                last[12 + headers - 1] |= flags & 0x40;
                last.extend(&packet[12 + headers..]);
            }
            _ => joined.push((channel, packet)),
        }
    }
    join(bytes, &joined);
}

/// Decoding order numbers as RFC 7798 §4.4 puts them, all zero: units are sent in the order of decoding.
fn number_units(packet: &mut Vec<u8>) {
    match packet[12] >> 1 & 0x3f {
        48 => {
            let numbered = aggregated(&packet[14..]).into_iter().enumerate().flat_map(|(place, nal)| {
                let number: &[u8] = if place == 0 { &[0, 0] } else { &[0] };
                [number, &(nal.len() as u16).to_be_bytes()[..], nal].concat()
            });
            let numbered: Vec<u8> = numbered.collect();
            packet.splice(14.., numbered);
        }
        49 if packet[14] & 0x80 != 0 => drop(packet.splice(15..15, [0, 0])),
        49 => {}
        _ => drop(packet.splice(14..14, [0, 0])),
    }
}

pub(super) const TABLE: &[Quirk] = &[
    Quirk {
        id: "Q34",
        says: "parameter sets neither in the description nor in the stream (mediamtx#5861)",
        acts: All(&[Sdp(|text| sdp::without_sets(&text)), Reshape(|bytes, _| leave_out(bytes, is_sets))]),
    },
    Quirk { id: "Q34b", says: "parameter sets only in the description", acts: Reshape(|bytes, _| leave_out(bytes, is_sets)) },
    Quirk {
        id: "Q35",
        says: "SPS and PPS in one packet with a start code between (retina#68, gortsplib#402; H.264)",
        acts: Unit(|bytes, _| each(bytes, |packet| is_sets(packet) && !is_h265_sets(packet), annex_b_sets)),
    },
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
        id: "Q87",
        says: "sequence numbers begin elsewhere in each GOP",
        acts: Unit(|bytes, Moment { gop, .. }| {
            each(bytes, is_video, |packet| {
                let number = u16::from_be_bytes([packet[2], packet[3]]).wrapping_sub((gop as u16).wrapping_mul(20_000));
                packet[2..4].copy_from_slice(&number.to_be_bytes());
            });
        }),
    },
    Quirk {
        id: "Q88",
        says: "a fragmented NAL unit without its end, once in a second or two, with no number missing",
        acts: Unit(|bytes, Moment { counter, key, .. }| {
            if counter.is_multiple_of(50) && !key {
                each(bytes, is_video, |packet| {
                    if let Some((headers, _)) = fragment(packet) {
                        packet[12 + headers - 1] &= !0x40;
                    }
                });
            }
        }),
    },
    Quirk {
        id: "Q89",
        says: "datagrams overtake each other (UDP only)",
        acts: Unit(|bytes, _| {
            let mut frames = split(bytes);
            let video: Vec<usize> = (0..frames.len()).filter(|at| is_video(&frames[*at].1)).collect();
            // The first one tells where numbers begin.
            video.get(1..).unwrap_or_default().chunks_exact(2).for_each(|pair| frames.swap(pair[0], pair[1]));
            join(bytes, &frames);
        }),
    },
    Quirk {
        id: "Q89b",
        says: "RTP packets of tens of kilobytes (go2rtc, ZLMediaKit#284, Tapo, Hikvision's platform)",
        acts: Reshape(join_fragments),
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
        id: "Q96",
        says: "a whole NAL unit as a single fragment, start and end at once (gortsplib#649, CostarHD; H.264)",
        acts: Unit(|bytes, _| {
            each(
                bytes,
                |packet| is_video(packet) && matches!(packet[12] & 0x1f, 1 | 5) && packet[12] & 0x60 != 0,
                |packet| {
                    packet.splice(12..13, [packet[12] & 0xe0 | 28, 0xc0 | packet[12] & 0x1f]);
                },
            );
        }),
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
        id: "Q103",
        says: "H.265 with decoding order numbers in every packet (RFC 7798, sprop-max-don-diff)",
        acts: All(&[
            Sdp(|text| text.replace("sprop-vps=", "sprop-max-don-diff=1;sprop-vps=")),
            Unit(|bytes, _| each(bytes, is_video, number_units)),
        ]),
    },
    Quirk {
        id: "Q106",
        says: "nothing ends an access unit: neither marker nor a new timestamp (go2rtc#675)",
        acts: Unit(|bytes, _| {
            each(bytes, is_video, |packet| {
                packet[1] &= !MARK;
                packet[4..8].copy_from_slice(&[0, 0, 0x10, 0]);
            });
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
    Quirk {
        id: "Q110",
        says: "an ADTS header within RFC 3640 (go2rtc#1328)",
        acts: Unit(|bytes, _| {
            each(bytes, is_sound, |packet| {
                let size = packet.len() - 16 + 7;
                // MPEG-4, no CRC; LC, 16 kHz, mono: ISO/IEC 13818-7 §6.2.
                let adts = [0xff, 0xf1, 0x60, 0x40 | (size >> 11) as u8, (size >> 3) as u8, (size << 5) as u8 | 0x1f, 0xfc];
                packet[14..16].copy_from_slice(&((size as u16) << 3).to_be_bytes());
                packet.splice(16..16, adts);
            });
        }),
    },
    Quirk {
        id: "Q116",
        says: "timestamps of sound run backwards now and then (frigate#7720)",
        acts: Unit(|bytes, Moment { counter, .. }| {
            if counter.is_multiple_of(10) {
                each(bytes, is_sound, |packet| {
                    let time = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]).wrapping_sub(4096);
                    packet[4..8].copy_from_slice(&time.to_be_bytes());
                });
            }
        }),
    },
];
