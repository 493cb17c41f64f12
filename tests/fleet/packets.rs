//! Clips cut into RTP packets, once: what a session sends is a copy of these bytes with its headers patched.
//!
//! H.264: RFC 6184 (single NAL unit, STAP-A for parameter sets, FU-A). H.265: RFC 7798 (single, AP, FU). The stamp is
//! always the first packet of an access unit, alone. Packets lie one after the other with the four-byte frame of RTSP
//! interleaving in front (RFC 2326 §10.12), so a whole access unit is one write on TCP.

use crate::{
    clip::{Clip, ClipSpec},
    stamp::{self, Stamp},
};
use index::model::{StreamId, UtcMicros, VideoCodec};

/// Interleaved frame header plus RTP header.
pub(crate) const HEADERS: usize = 4 + 12;
/// The payload type of video.
pub(crate) const VIDEO_TYPE: u8 = 96;
/// Largest RTP packet: fits an Ethernet frame, as cameras do.
const PACKET: usize = 1400;

/// A clip, ready to send.
#[derive(Debug)]
pub(crate) struct Packets {
    /// What it was made from.
    pub spec: ClipSpec,
    /// VPS (H.265 only), SPS, PPS: also sent in-band before each key unit.
    pub parameter_sets: Vec<Vec<u8>>,
    /// One entry a picture, in decode order.
    pub units: Vec<Unit>,
}

/// One access unit, packetised.
#[derive(Debug)]
pub(crate) struct Unit {
    /// How many frame intervals later than decoded it is shown.
    pub delay: u32,
    /// The packets, one after the other, each behind [`HEADERS`] bytes of which only marker and payload type are set.
    pub bytes: Vec<u8>,
    /// Where each packet's interleaved header begins in `bytes`.
    pub packets: Vec<u32>,
    all: u32,
    slices: u32,
}

/// What a session patches into the packets of one track.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    /// The interleaved channel; ignored on UDP.
    pub channel: u8,
    /// The sequence number of the first packet.
    pub sequence: u16,
    /// The RTP timestamp of all packets.
    pub timestamp: u32,
    /// The sender's identity.
    pub ssrc: u32,
}

impl Packets {
    /// Cuts a clip.
    #[must_use]
    pub(crate) fn new(clip: &Clip) -> Self {
        let units = clip.units.iter().map(|coded| {
            let sets = if coded.key { &clip.parameter_sets[..] } else { &[] };
            Unit::new(clip.spec.codec, coded.delay, sets, &coded.slices)
        });
        Self { spec: clip.spec.clone(), parameter_sets: clip.parameter_sets.clone(), units: units.collect() }
    }

    /// The average bit rate of the packets, RTP headers included, in bits a second.
    #[must_use]
    pub(crate) fn bits_per_second(&self) -> u64 {
        let bytes: usize = self.units.iter().map(|unit| unit.bytes.len()).sum();
        bytes as u64 * 8 * u64::from(self.spec.frames_per_second) / self.units.len().max(1) as u64
    }
}

impl Unit {
    fn new(codec: VideoCodec, delay: u32, sets: &[Vec<u8>], slices: &[Vec<u8>]) -> Self {
        let others = || sets.iter().chain(slices).map(Vec::as_slice);
        let all = stamp::checksum(others());
        let of_slices = stamp::checksum(slices.iter().map(Vec::as_slice));
        let mut unit = Self { delay, bytes: Vec::new(), packets: Vec::new(), all, slices: of_slices };
        unit.packet(&[&stamp::template(codec)]);
        unit.aggregate(codec, sets);
        for slice in slices {
            unit.single_or_fragments(codec, slice);
        }
        if let Some(last) = unit.packets.last() {
            unit.bytes[*last as usize + 5] |= 0x80;
        }
        unit
    }

    fn packet(&mut self, parts: &[&[u8]]) {
        append_packet(&mut self.bytes, &mut self.packets, VIDEO_TYPE, parts);
    }

    /// All parameter sets in one packet: STAP-A (RFC 6184 §5.7.1) or AP (RFC 7798 §4.4.2).
    fn aggregate(&mut self, codec: VideoCodec, sets: &[Vec<u8>]) {
        let mut parts: Vec<&[u8]> = Vec::new();
        let lengths: Vec<[u8; 2]> = sets.iter().map(|set| (set.len() as u16).to_be_bytes()).collect();
        match codec {
            VideoCodec::H264 => parts.push(&[24 | 0x60]),
            VideoCodec::H265 => parts.push(&[48 << 1, 1]),
        }
        for (length, set) in lengths.iter().zip(sets) {
            parts.push(length);
            parts.push(set);
        }
        if !sets.is_empty() {
            self.packet(&parts);
        }
    }

    fn single_or_fragments(&mut self, codec: VideoCodec, nal: &[u8]) {
        if nal.len() + 12 <= PACKET {
            return self.packet(&[nal]);
        }
        // FU-A (RFC 6184 §5.8) replaces the one-byte NAL header by two bytes, FU (RFC 7798 §4.4.3) the two by three.
        let (head, kind, rest) = match codec {
            VideoCodec::H264 => (vec![nal[0] & 0xe0 | 28], nal[0] & 0x1f, &nal[1..]),
            VideoCodec::H265 => (vec![nal[0] & 0x81 | 49 << 1, nal[1]], nal[0] >> 1 & 0x3f, &nal[2..]),
        };
        let count = rest.chunks(PACKET - 12 - 3).count();
        for (place, piece) in rest.chunks(PACKET - 12 - 3).enumerate() {
            let flags = u8::from(place == 0) << 7 | u8::from(place + 1 == count) << 6;
            self.packet(&[&head, &[flags | kind], piece]);
        }
    }

    /// Writes the session's headers and the stamp into a copy of [`Unit::bytes`].
    pub(crate) fn patch(
        &self,
        copy: &mut [u8],
        codec: VideoCodec,
        header: Header,
        stream: StreamId,
        counter: u64,
        utc: UtcMicros,
    ) {
        patch_headers(copy, &self.packets, header);
        let stamp = Stamp { stream, counter, utc, all: self.all, slices: self.slices };
        let length = stamp::nal_length(codec);
        if let Some(nal) = copy.get_mut(HEADERS..HEADERS + length) {
            stamp.patch(codec, nal);
        }
    }
}

/// Appends one packet with empty headers but for version, payload type and length.
pub(crate) fn append_packet(bytes: &mut Vec<u8>, packets: &mut Vec<u32>, payload_type: u8, parts: &[&[u8]]) {
    let length = 12 + parts.iter().map(|part| part.len()).sum::<usize>();
    packets.push(bytes.len() as u32);
    bytes.extend([b'$', 0]);
    bytes.extend((length as u16).to_be_bytes());
    bytes.extend([0x80, payload_type, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
}

/// Writes channel, sequence numbers, timestamp and SSRC into packets that begin at `packets`.
pub(crate) fn patch_headers(copy: &mut [u8], packets: &[u32], header: Header) {
    let mut sequence = header.sequence;
    for at in packets {
        let Some(head) = copy.get_mut(*at as usize..).and_then(|tail| tail.first_chunk_mut::<HEADERS>()) else { return };
        head[1] = header.channel;
        head[6..8].copy_from_slice(&sequence.to_be_bytes());
        head[8..12].copy_from_slice(&header.timestamp.to_be_bytes());
        head[12..16].copy_from_slice(&header.ssrc.to_be_bytes());
        sequence = sequence.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(unit: &Unit) -> Vec<&[u8]> {
        unit.packets
            .iter()
            .map(|at| {
                let at = *at as usize;
                let length = usize::from(u16::from_be_bytes([unit.bytes[at + 2], unit.bytes[at + 3]]));
                &unit.bytes[at + 4..at + 4 + length]
            })
            .collect()
    }

    #[test]
    fn fragments_put_together_are_the_nal_unit() {
        let nal: Vec<u8> = [0x65].into_iter().chain((0..5000u32).map(|i| i as u8)).collect();
        let unit = Unit::new(VideoCodec::H264, 0, &[vec![0x67, 1], vec![0x68, 2]], std::slice::from_ref(&nal));
        let packets = split(&unit);
        assert!(packets.iter().all(|packet| packet.len() <= PACKET));
        assert_eq!(packets[1][12..], [0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 2]);
        let mut joined = vec![packets[2][12] & 0xe0 | packets[2][13] & 0x1f];
        packets[2..].iter().for_each(|packet| joined.extend(&packet[14..]));
        assert_eq!(joined, nal);
        let marks: Vec<_> = packets.iter().map(|packet| packet[1] & 0x80 != 0).collect();
        assert_eq!(marks.iter().filter(|mark| **mark).count(), 1);
        assert!(marks.last().is_some_and(|mark| *mark));
    }

    #[test]
    fn a_session_patches_its_headers_and_nothing_else() {
        let unit = Unit::new(VideoCodec::H265, 0, &[], &[vec![2, 1, 9, 9]]);
        let mut copy = unit.bytes.clone();
        let header = Header { channel: 4, sequence: u16::MAX, timestamp: 7, ssrc: 9 };
        let stream = "3/main".parse().expect("a stream");
        unit.patch(&mut copy, VideoCodec::H265, header, stream, 55, UtcMicros::from_micros(66));
        let second = unit.packets[1] as usize;
        assert_eq!(copy[second + 1], 4);
        assert_eq!(copy[second + 6..second + 16], [0, 0, 0, 0, 0, 7, 0, 0, 0, 9]);
        let nal = &copy[HEADERS..HEADERS + stamp::nal_length(VideoCodec::H265)];
        let stamp = Stamp::read(VideoCodec::H265, nal).expect("ours").expect("whole");
        assert_eq!((stamp.counter, stamp.all), (55, stamp::checksum([&[2u8, 1, 9, 9][..]].into_iter())));
    }
}
