//! H.264 (RFC 6184) and H.265 (RFC 7798) packets put together to access units: NAL units behind 4-byte lengths, every byte
//! as received and in the order received (I4), written once into the memory in which they travel on.
//!
//! The marker bit is believed only behind a slice (Q92, Q93), never within a fragmented unit (Q95), and not at all once it
//! was seen to lie; a new timestamp always ends a unit (Q94). Of a unit that misses packets nothing is handed over: it would
//! be stored as if it were the camera's picture.

use super::{
    payload::{Carried, begins_unit, carried, continues_picture, hides_start_code},
    rtp::Packet,
};
use crate::{
    nal::{self, NalKind},
    parameters::ParameterSets,
    session::source::UNIT_BYTES_MAX,
};
use bytes::{Bytes, BytesMut};
use index::model::{VideoCodec, VideoParameters};

/// The smallest and the largest memory that several units share, in bytes: eight pictures of a sub-stream, a few of a main one.
const SLAB: (usize, usize) = (16 << 10, 64 << 10);

/// A whole access unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Picture {
    pub(super) key: bool,
    pub(super) rtp: u32,
    pub(super) data: Bytes,
    /// What decodes it and those that follow, when that is new.
    pub(super) news: Option<VideoParameters>,
}

/// Puts one track's packets together.
#[derive(Debug)]
pub(super) struct Pictures {
    codec: VideoCodec,
    /// Decoding order numbers stand in the packets (Q103).
    numbered: bool,
    sets: ParameterSets,
    /// The sets differ from those that were last told.
    changed: bool,
    told: Option<VideoParameters>,
    /// The unit being put together, at the front of the slab that it shares with those before it.
    unit: BytesMut,
    /// Where the length of the NAL unit begins that is being put together from fragments.
    open: Option<usize>,
    timestamp: u32,
    has_slice: bool,
    has_sets: bool,
    key: bool,
    damaged: bool,
    /// A marker ended the unit with this timestamp.
    marked: Option<u32>,
    markers_lie: bool,
    /// The size of the last key unit and of the last other one: the next will need about as much.
    usual: [usize; 2],
    /// Units thrown away since this was last asked: they missed packets, or were too large.
    pub(super) dropped: u32,
}

impl Pictures {
    /// `numbered`: packets carry decoding order numbers (H.265 with sprop-max-don-diff above 0).
    pub(super) fn new(codec: VideoCodec, numbered: bool) -> Self {
        Self {
            codec,
            numbered,
            sets: ParameterSets::new(codec),
            changed: false,
            told: None,
            unit: BytesMut::new(),
            open: None,
            timestamp: 0,
            has_slice: false,
            has_sets: false,
            key: false,
            damaged: false,
            marked: None,
            markers_lie: false,
            usual: [0; 2],
            dropped: 0,
        }
    }

    /// Takes the parameter sets of the description: each one NAL unit, or several behind start codes (Q35).
    pub(super) fn offer(&mut self, sets: &[Vec<u8>]) {
        let nals = sets.iter().flat_map(|set| {
            let joined = nal::has_start_codes(set);
            let (one, several) = if joined { (None, Some(nal::with_start_codes(set))) } else { (Some(&set[..]), None) };
            one.into_iter().chain(several.into_iter().flatten())
        });
        self.changed |= self.sets.update(nals);
    }

    /// Whether the end of a NAL unit is still to come.
    pub(super) fn is_within_nal(&self) -> bool {
        self.open.is_some()
    }

    /// Takes the next packet. `broken`: packets before it are missing. Hands over at most two units: one that this packet
    /// shows to have ended, and one that it ends.
    pub(super) fn push(&mut self, packet: &Packet<'_>, broken: bool, mut hand_on: impl FnMut(Picture)) {
        let carried = carried(self.codec, self.numbered, packet.payload);
        let empty = self.unit.is_empty();
        if broken {
            self.close_damaged_part();
            self.damaged |= !empty;
        }
        if packet.timestamp != self.timestamp && (self.has_slice || self.damaged) {
            hand_on_some(self.finish(), &mut hand_on);
        }
        // Sets and messages that came with another timestamp than their picture stay in front of it.
        self.timestamp = packet.timestamp;
        if broken && self.unit.is_empty() && !begins_unit(self.codec, &carried) {
            self.damaged = true;
        }
        if self.unit.is_empty() && self.marked == Some(packet.timestamp) && continues_picture(self.codec, &carried) {
            self.markers_lie = true;
        }
        self.append(carried);
        if packet.marker && self.has_slice && self.open.is_none() && !self.markers_lie {
            self.marked = Some(packet.timestamp);
            hand_on_some(self.finish(), &mut hand_on);
        }
    }

    fn append(&mut self, carried: Carried<'_>) {
        match carried {
            Carried::Single(nal) => {
                self.close_damaged_part();
                self.whole(nal);
            }
            Carried::Several { mut rest, gap } => {
                self.close_damaged_part();
                while let Some((length, tail)) = rest.split_first_chunk::<2>() {
                    // A length that lies takes what is there.
                    let length = usize::from(u16::from_be_bytes(*length)).min(tail.len());
                    self.whole(&tail[..length]);
                    rest = tail[length..].get(gap..).unwrap_or_default();
                }
            }
            Carried::Part { first, last, header, rest } => self.part(first, last, header, rest),
            Carried::Useless => {}
        }
    }

    fn whole(&mut self, nal: &[u8]) {
        if nal.is_empty() || !self.room_for(nal.len()) {
            return;
        }
        let at = self.unit.len();
        self.begin_nal(nal[0]);
        self.unit.extend_from_slice(nal);
        self.end_nal(at);
    }

    fn part(&mut self, first: bool, last: bool, header: [u8; 2], rest: &[u8]) {
        if first {
            // The end of the one before never came, though no number is missing (Q88).
            self.close_damaged_part();
        }
        if !self.room_for(rest.len()) {
            return;
        }
        match (first, self.open) {
            (true, _) => {
                self.open = Some(self.unit.len());
                self.begin_nal(header[0]);
                let header_length = if self.codec == VideoCodec::H264 { 1 } else { 2 };
                self.unit.extend_from_slice(&header[..header_length]);
            }
            // Its beginning never came. Empty parts say nothing (Q98).
            (false, None) => {
                self.damaged |= !rest.is_empty();
                return;
            }
            // The type in later parts is not looked at (Q97).
            (false, Some(_)) => {}
        }
        self.unit.extend_from_slice(rest);
        if let (true, Some(at)) = (last, self.open.take_if(|_| last)) {
            self.end_nal(at);
        }
    }

    /// Room for a NAL unit's length, and memory for about as much as a unit of its sort needed last time.
    fn begin_nal(&mut self, header: u8) {
        let opens_key = match nal::kind(self.codec, &[header]) {
            NalKind::Vps | NalKind::Sps => true,
            NalKind::Slice => self.codec.starts_decoding(&[header]),
            NalKind::Pps | NalKind::Other => false,
        };
        let usual = self.usual[usize::from(opens_key)];
        self.reach(usual + usual / 8 + 256);
        self.unit.extend_from_slice(&[0; 4]);
    }

    /// Makes memory for a unit of so many bytes in all. Units share slabs: memory of a few equal sizes is given back and taken
    /// again without holes, where each unit's own size would leave some, and no unit has more than it needs. A slab goes
    /// when its last unit does, so it holds little of the stream.
    fn reach(&mut self, wanted: usize) {
        if self.unit.capacity() >= wanted {
            return;
        }
        let slab = (8 * self.usual[0]).next_power_of_two().clamp(SLAB.0, SLAB.1);
        let mut larger = BytesMut::with_capacity(wanted.max(slab));
        larger.extend_from_slice(&self.unit);
        self.unit = larger;
    }

    /// Writes the length of the NAL unit that began at `at`, and takes note of what it is.
    fn end_nal(&mut self, at: usize) {
        let body = at + 4;
        let nal = &self.unit[body..];
        let kind = nal::kind(self.codec, nal);
        if nal::has_start_codes(nal) || (kind != NalKind::Slice && hides_start_code(self.codec, nal)) {
            return self.split(at);
        }
        if nal.len() < if self.codec == VideoCodec::H264 { 1 } else { 2 } {
            self.unit.truncate(at);
            return;
        }
        match kind {
            NalKind::Slice => {
                self.key |= !self.has_slice && self.codec.starts_decoding(nal);
                self.has_slice = true;
            }
            NalKind::Other => {}
            NalKind::Vps | NalKind::Sps | NalKind::Pps => self.has_sets = true,
        }
        let length = (self.unit.len() - body) as u32;
        self.unit[at..body].copy_from_slice(&length.to_be_bytes());
    }

    /// Several NAL units with start codes between them came as one (Q35).
    fn split(&mut self, at: usize) {
        let tail = self.unit.split_off(at);
        let mut bytes = &tail[4..];
        if !nal::has_start_codes(bytes) {
            let end = bytes.windows(3).position(|three| three == [0, 0, 1]).unwrap_or(bytes.len());
            let (first, rest) = bytes.split_at(end);
            self.whole(first.strip_suffix(&[0]).unwrap_or(first));
            bytes = rest;
        }
        for nal in nal::with_start_codes(bytes) {
            self.whole(nal);
        }
    }

    /// Forgets the NAL unit whose end will not come.
    fn close_damaged_part(&mut self) {
        if let Some(at) = self.open.take() {
            self.unit.truncate(at);
        }
    }

    /// Whether the unit may grow by so much (Q106). One that may not is given up.
    fn room_for(&mut self, bytes: usize) -> bool {
        let wanted = self.unit.len() + bytes + 8;
        if wanted <= UNIT_BYTES_MAX {
            if self.unit.capacity() < wanted {
                self.reach(wanted + wanted / 2);
            }
            return true;
        }
        self.unit = BytesMut::new();
        self.open = None;
        self.damaged = true;
        false
    }

    fn finish(&mut self) -> Option<Picture> {
        self.close_damaged_part();
        let data = self.unit.split().freeze();
        let (has_slice, key, damaged) = (self.has_slice, self.key, self.damaged);
        let has_sets = std::mem::take(&mut self.has_sets);
        (self.has_slice, self.key, self.damaged) = (false, false, false);
        if damaged {
            self.dropped += 1;
            return None;
        }
        if !has_slice {
            return None;
        }
        self.usual[usize::from(key)] = data.len();
        if has_sets {
            self.changed |= self.sets.update(nal::with_lengths(&data));
        }
        let news = self.news(key);
        Some(Picture { key, rtp: self.timestamp, data, news })
    }

    /// The parameters, if they are complete and differ from those told before. A change takes effect at a key unit (Q99); the
    /// first ones are told at once.
    fn news(&mut self, key: bool) -> Option<VideoParameters> {
        if !self.changed || (self.told.is_some() && !key) {
            return None;
        }
        let parameters = self.sets.describe()?;
        self.changed = false;
        if self.told.as_ref() == Some(&parameters) {
            return None;
        }
        self.told = Some(parameters.clone());
        Some(parameters)
    }
}

fn hand_on_some(picture: Option<Picture>, hand_on: &mut impl FnMut(Picture)) {
    if let Some(picture) = picture {
        hand_on(picture);
    }
}

#[cfg(test)]
#[path = "picture_tests.rs"]
mod tests;
