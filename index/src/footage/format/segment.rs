//! The two ends of a segment file: the header that says whose it is, the footer that says what is in it.

use super::{
    BLOCK, DATA_START, ENTRY, FOOTER, FOOTER_HEAD, HEAD_COPY, MAX_RECORDS, UUID_HEAD, VERSION, blocks, checksum, checksum_around,
    get, is_uuid_head, put, put_uuid_head,
};
use crate::footage::planted::{Bug, planted};
use crate::model::{MediaTicks, NodeId, RetentionClass, StreamId, UtcMicros, VolumeId, Window};

const HEADER_MAGIC: u64 = u64::from_le_bytes(*b"HAOHESEG");
const TRAILER_MAGIC: u64 = u64::from_le_bytes(*b"HAOHEEND");
/// Behind the 32 bytes of `ftyp`.
const AT_HEADER: usize = 32;
const HEADER_LEN: usize = UUID_HEAD + 512;
/// In the header's own bytes.
const AT_CRC: usize = UUID_HEAD + 12;
/// In the trailer's block.
const AT_TRAILER_CRC: usize = 12;
const AT_SPANS: usize = 256;
/// Spans a trailer has room for; the last 8 bytes of a file stay zero, because players look there for an `mfro` box.
const MAX_SPANS: usize = (BLOCK - AT_SPANS - 8) / 16;

/// Whether a file holds footage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::footage) enum SegmentState {
    /// It may be written; whatever stands behind its header was deleted.
    Free,
    /// It holds footage, sealed or not.
    Used,
}

/// The first block of a file, behind `ftyp`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::footage) struct SegmentHeader {
    pub(in crate::footage) state: SegmentState,
    /// Random, new at each use: seeds every checksum in the file.
    pub(in crate::footage) incarnation: u64,
    pub(in crate::footage) node: NodeId,
    pub(in crate::footage) volume: VolumeId,
    pub(in crate::footage) number: u32,
    pub(in crate::footage) stream: Option<StreamId>,
    pub(in crate::footage) class: RetentionClass,
    pub(in crate::footage) created: UtcMicros,
    /// Bytes of the file.
    pub(in crate::footage) size: u64,
    /// The media time that is zero in the file.
    pub(in crate::footage) base: MediaTicks,
    pub(in crate::footage) clock_epoch: u32,
    /// The session that it was received in. Of a free file: the number of its volume's newest checkpoint when it was freed.
    pub(in crate::footage) run: u32,
    pub(in crate::footage) moov_len: u32,
    pub(in crate::footage) moov_crc: u32,
    /// The last chain value of the stream's segment before this one, zero if there was none: the chain goes on.
    pub(in crate::footage) chain: [u8; 32],
}

/// What is written at the start of a file, and where.
pub(in crate::footage) type HeadPieces = [(u64, Vec<u8>); 2];

impl SegmentHeader {
    /// The file's first bytes: the header's block, then `moov`, then a `free` box that reaches to [`DATA_START`]; and a copy of header
    /// and `moov`, which stands in that box. Two pieces of whole blocks, to be written one by one, so that a write that goes astray takes
    /// one of them: where in the file, and what. `moov` must fit below [`HEAD_COPY`]; [`SegmentHeader::fits`] says so.
    pub(in crate::footage) fn encode(&self, ftyp: &[u8], moov: &[u8]) -> HeadPieces {
        let mut out = vec![0; BLOCK];
        out[..AT_HEADER].copy_from_slice(ftyp);
        self.encode_own(&mut out[AT_HEADER..AT_HEADER + HEADER_LEN]);
        let rest = AT_HEADER + HEADER_LEN;
        put(&mut out, rest, ((BLOCK - rest) as u32).to_be_bytes());
        put(&mut out, rest + 4, *b"free");
        out.extend_from_slice(moov);
        let mut copy = out.clone();
        copy.resize(blocks(copy.len() as u64) as usize, 0);
        let free = DATA_START as u32 - out.len() as u32;
        out.extend_from_slice(&free.to_be_bytes());
        out.extend_from_slice(b"free");
        out.resize(blocks(out.len() as u64) as usize, 0);
        [(0, out), (HEAD_COPY, copy)]
    }

    /// Whether a movie box leaves room for the box behind it.
    pub(in crate::footage) fn fits(moov: &[u8]) -> bool {
        BLOCK + moov.len() + 8 <= HEAD_COPY as usize
    }

    fn encode_own(&self, out: &mut [u8]) {
        put_uuid_head(out, HEADER_LEN as u32, b"seg1");
        let body = &mut out[UUID_HEAD..];
        put(body, 0, HEADER_MAGIC.to_le_bytes());
        put(body, 8, VERSION.to_le_bytes());
        body[10] = u8::from(self.state == SegmentState::Used);
        body[11] = self.class.code();
        put(body, 16, self.incarnation.to_le_bytes());
        put(body, 24, self.node.to_bytes());
        put(body, 40, self.volume.to_bytes());
        put(body, 56, self.number.to_le_bytes());
        put(body, 60, self.stream.map_or(0, StreamId::to_raw).to_le_bytes());
        put(body, 64, self.created.as_micros().to_le_bytes());
        put(body, 72, self.size.to_le_bytes());
        put(body, 80, self.base.get().to_le_bytes());
        put(body, 88, self.clock_epoch.to_le_bytes());
        put(body, 92, self.run.to_le_bytes());
        put(body, 96, self.moov_len.to_le_bytes());
        put(body, 100, self.moov_crc.to_le_bytes());
        put(body, 104, self.chain);
        let crc = checksum_around(self.incarnation, out, AT_CRC);
        put(out, AT_CRC, crc.to_le_bytes());
    }

    /// Reads the header from a file's first block. `None` if it is not a header of ours, or damaged.
    pub(in crate::footage) fn decode(block: &[u8]) -> Option<Self> {
        let own = block.get(AT_HEADER..AT_HEADER + HEADER_LEN)?;
        let body = &own[UUID_HEAD..];
        if !is_uuid_head(own, HEADER_LEN as u32, b"seg1")
            || get(body, 0) != HEADER_MAGIC.to_le_bytes()
            || u16::from_le_bytes(get(body, 8)) > VERSION
            || body[10] > 1
        {
            return None;
        }
        let incarnation = u64::from_le_bytes(get(body, 16));
        if checksum_around(incarnation, own, AT_CRC).to_le_bytes() != get(own, AT_CRC) {
            return None;
        }
        Some(Self {
            state: if body[10] == 1 { SegmentState::Used } else { SegmentState::Free },
            incarnation,
            node: NodeId::from_bytes(get(body, 24)),
            volume: VolumeId::from_bytes(get(body, 40)),
            number: u32::from_le_bytes(get(body, 56)),
            stream: StreamId::from_raw(u32::from_le_bytes(get(body, 60))),
            class: RetentionClass::from_code(body[11]),
            created: UtcMicros::from_micros(i64::from_le_bytes(get(body, 64))),
            size: u64::from_le_bytes(get(body, 72)),
            base: MediaTicks::new(i64::from_le_bytes(get(body, 80))),
            clock_epoch: u32::from_le_bytes(get(body, 88)),
            run: u32::from_le_bytes(get(body, 92)),
            moov_len: u32::from_le_bytes(get(body, 96)),
            moov_crc: u32::from_le_bytes(get(body, 100)),
            chain: get(body, 104),
        })
    }
}

/// What the footer, and memory, know of one record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::footage) struct Entry {
    pub(in crate::footage) utc: UtcMicros,
    pub(in crate::footage) duration_us: u32,
    /// Where the record begins, in blocks.
    pub(in crate::footage) block: u32,
    pub(in crate::footage) payload_len: u32,
    pub(in crate::footage) lead_len: u32,
    pub(in crate::footage) moof_len: u32,
    pub(in crate::footage) samples: u16,
    pub(in crate::footage) starts_with_key: bool,
}

impl Entry {
    /// Its time.
    pub(in crate::footage) fn window(&self) -> Window {
        Window::new(self.utc, self.utc + std::time::Duration::from_micros(u64::from(self.duration_us)))
    }

    /// Where its record begins in the file.
    pub(in crate::footage) fn offset(&self) -> u64 {
        u64::from(self.block) * BLOCK as u64
    }

    /// Where the record behind it begins.
    pub(in crate::footage) fn end(&self) -> u64 {
        let payload = self.payload_len as usize;
        self.offset() + (super::RECORD_HEADER + payload + super::pad_len(payload)) as u64
    }

    /// Whether its media were erased by order: a record that holds media has samples.
    pub(in crate::footage) fn is_erased(&self) -> bool {
        self.samples == 0
    }

    /// What the footer says of it once its media are erased.
    pub(in crate::footage) fn erased(self) -> Self {
        Self { samples: 0, lead_len: 0, moof_len: 0, starts_with_key: false, ..self }
    }

    pub(in crate::footage) fn encode(&self, out: &mut [u8]) {
        put(out, 0, self.utc.as_micros().to_le_bytes());
        put(out, 8, self.duration_us.to_le_bytes());
        put(out, 12, self.block.to_le_bytes());
        put(out, 16, self.payload_len.to_le_bytes());
        put(out, 20, self.lead_len.to_le_bytes());
        put(out, 24, self.moof_len.to_le_bytes());
        put(out, 28, self.samples.to_le_bytes());
        put(out, 30, u16::from(self.starts_with_key).to_le_bytes());
    }

    /// Reads one; `bytes` holds at least [`ENTRY`].
    pub(in crate::footage) fn decode(bytes: &[u8]) -> Self {
        Self {
            utc: UtcMicros::from_micros(i64::from_le_bytes(get(bytes, 0))),
            duration_us: u32::from_le_bytes(get(bytes, 8)),
            block: u32::from_le_bytes(get(bytes, 12)),
            payload_len: u32::from_le_bytes(get(bytes, 16)),
            lead_len: u32::from_le_bytes(get(bytes, 20)),
            moof_len: u32::from_le_bytes(get(bytes, 24)),
            samples: u16::from_le_bytes(get(bytes, 28)),
            starts_with_key: bytes[30] & 1 != 0,
        }
    }
}

/// The last block of a sealed file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::footage) struct Trailer {
    pub(in crate::footage) incarnation: u64,
    pub(in crate::footage) entries: u32,
    pub(in crate::footage) entries_crc: u32,
    /// Bytes of all payloads.
    pub(in crate::footage) bytes: u64,
    /// Where the last record ends.
    pub(in crate::footage) data_end: u64,
    /// The last record's chain value.
    pub(in crate::footage) chain: [u8; 32],
    /// Whether recovery sealed it after a crash.
    pub(in crate::footage) salvaged: bool,
    /// The recorded time in it, merged; `None` if there are more spans than a trailer holds: the entries know.
    pub(in crate::footage) spans: Option<Vec<Window>>,
}

/// The footer as it is written, in pieces of whole blocks: where in the file, and what. The `free` box over the unused
/// bytes comes first, the trailer last. `entries` are at most [`MAX_RECORDS`].
pub(in crate::footage) fn encode_footer(size: u64, entries: &[Entry], trailer: &mut Trailer) -> Vec<(u64, Vec<u8>)> {
    let mut pieces = Vec::with_capacity(3);
    let start = size - FOOTER;
    if trailer.data_end < start {
        let mut free = vec![0; BLOCK];
        put(&mut free, 0, ((start - trailer.data_end) as u32).to_be_bytes());
        put(&mut free, 4, *b"free");
        pieces.push((trailer.data_end, free));
    }
    let mut head = vec![0; FOOTER_HEAD + entries.len() * ENTRY];
    put_uuid_head(&mut head, FOOTER as u32, b"end1");
    put(&mut head, UUID_HEAD, trailer.incarnation.to_le_bytes());
    for (entry, out) in entries.iter().zip(head[FOOTER_HEAD..].chunks_exact_mut(ENTRY)) {
        entry.encode(out);
    }
    trailer.entries = entries.len() as u32;
    trailer.entries_crc = checksum(trailer.incarnation, &head);
    head.resize(blocks(head.len() as u64) as usize, 0);
    pieces.push((start, head));
    pieces.push((size - BLOCK as u64, trailer.encode()));
    pieces
}

/// Bytes to read from the start of the footer to get all its entries.
pub(in crate::footage) fn footer_blocks(entries: u32) -> usize {
    blocks((FOOTER_HEAD + entries as usize * ENTRY) as u64) as usize
}

/// The entries in a footer's first bytes. `None` if they are not those that the trailer was written for.
pub(in crate::footage) fn read_entries(footer: &[u8], trailer: &Trailer) -> Option<Vec<Entry>> {
    let used = footer.get(..FOOTER_HEAD + trailer.entries as usize * ENTRY)?;
    (is_uuid_head(used, FOOTER as u32, b"end1")
        && (checksum(trailer.incarnation, used) == trailer.entries_crc || planted(Bug::TrustFooter)))
    .then(|| used[FOOTER_HEAD..].chunks_exact(ENTRY).map(Entry::decode).collect())
}

impl Trailer {
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![0; BLOCK];
        put(&mut out, 0, TRAILER_MAGIC.to_le_bytes());
        put(&mut out, 8, VERSION.to_le_bytes());
        put(&mut out, 10, u16::from(self.salvaged).to_le_bytes());
        put(&mut out, 16, self.incarnation.to_le_bytes());
        put(&mut out, 24, self.entries.to_le_bytes());
        put(&mut out, 28, self.entries_crc.to_le_bytes());
        put(&mut out, 32, self.bytes.to_le_bytes());
        put(&mut out, 40, self.data_end.to_le_bytes());
        put(&mut out, 48, self.chain);
        match self.spans.as_deref() {
            Some(spans) if spans.len() <= MAX_SPANS => {
                put(&mut out, 80, (spans.len() as u32).to_le_bytes());
                for (span, at) in spans.iter().zip((AT_SPANS..).step_by(16)) {
                    put(&mut out, at, span.from.as_micros().to_le_bytes());
                    put(&mut out, at + 8, span.to.as_micros().to_le_bytes());
                }
            }
            _ => put(&mut out, 80, u32::MAX.to_le_bytes()),
        }
        let crc = checksum_around(self.incarnation, &out, AT_TRAILER_CRC);
        put(&mut out, AT_TRAILER_CRC, crc.to_le_bytes());
        out
    }

    /// Reads a file's last block. `None` unless it seals this use of the file.
    pub(in crate::footage) fn decode(block: &[u8], incarnation: u64) -> Option<Self> {
        if block.len() != BLOCK
            || get(block, 0) != TRAILER_MAGIC.to_le_bytes()
            || u16::from_le_bytes(get(block, 8)) > VERSION
            || u64::from_le_bytes(get(block, 16)) != incarnation
            || checksum_around(incarnation, block, AT_TRAILER_CRC).to_le_bytes() != get(block, AT_TRAILER_CRC)
        {
            return None;
        }
        let count = u32::from_le_bytes(get(block, 80)) as usize;
        let span = |at: usize| {
            let instant = |at| UtcMicros::from_micros(i64::from_le_bytes(get(block, at)));
            Window::new(instant(at), instant(at + 8))
        };
        let trailer = Self {
            incarnation,
            entries: u32::from_le_bytes(get(block, 24)),
            entries_crc: u32::from_le_bytes(get(block, 28)),
            bytes: u64::from_le_bytes(get(block, 32)),
            data_end: u64::from_le_bytes(get(block, 40)),
            chain: get(block, 48),
            salvaged: block[10] & 1 != 0,
            spans: (count <= MAX_SPANS).then(|| (0..count).map(|i| span(AT_SPANS + i * 16)).collect()),
        };
        (trailer.entries as usize <= MAX_RECORDS).then_some(trailer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            state: SegmentState::Used,
            incarnation: 0x0123_4567_89ab_cdef,
            node: NodeId::from_bytes([1; 16]),
            volume: VolumeId::from_bytes([2; 16]),
            number: 4711,
            stream: StreamId::from_raw(1042 << 3 | 1),
            class: RetentionClass::KeyTarget,
            created: UtcMicros::from_micros(1_700_000_000_000_000),
            size: 256 << 20,
            base: MediaTicks::new(-5),
            clock_epoch: 2,
            run: 9,
            moov_len: 700,
            moov_crc: 3,
            chain: [7; 32],
        }
    }

    #[test]
    fn a_segment_header_comes_back_and_every_flipped_bit_of_it_is_seen() {
        let ftyp = crate::footage::mp4::ftyp();
        let [(_, bytes), (_, copy)] = header().encode(&ftyp, &[0; 700]);
        assert_eq!((bytes.len(), copy.len()), (2 * BLOCK, 2 * BLOCK));
        assert_eq!(copy[..BLOCK + 700], bytes[..BLOCK + 700], "the copy");
        assert_eq!(SegmentHeader::decode(&bytes[..BLOCK]), Some(header()));
        for bit in AT_HEADER * 8..(AT_HEADER + HEADER_LEN) * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&flipped), None, "bit {bit}");
        }
        assert_eq!(SegmentHeader::decode(&[0; BLOCK]), None);
    }

    fn entry() -> impl Strategy<Value = Entry> {
        (any::<i64>(), any::<[u32; 5]>(), any::<u16>(), any::<bool>()).prop_map(|(utc, n, samples, starts_with_key)| Entry {
            utc: UtcMicros::from_micros(utc),
            duration_us: n[0],
            block: n[1],
            payload_len: n[2],
            lead_len: n[3],
            moof_len: n[4],
            samples,
            starts_with_key,
        })
    }

    proptest! {
        #[test]
        fn a_footer_comes_back_and_a_flipped_bit_of_it_is_seen(
            entries in prop::collection::vec(entry(), 0..50),
            spans in prop::collection::vec((any::<i64>(), any::<i64>()), 0..300),
            bit in any::<prop::sample::Index>(),
        ) {
            let window = |(a, b): &(i64, i64)| Window::new(UtcMicros::from_micros(*a), UtcMicros::from_micros(*b));
            let size = 1 << 20;
            let mut trailer = Trailer {
                incarnation: 99, entries: 0, entries_crc: 0, bytes: 12, data_end: 128 << 10, chain: [3; 32], salvaged: true,
                spans: Some(spans.iter().map(window).collect()),
            };
            let pieces = encode_footer(size, &entries, &mut trailer);
            if spans.len() > MAX_SPANS {
                trailer.spans = None;
            }
            let [_, (start, head), (end, last)] = &pieces[..] else { panic!("three pieces") };
            prop_assert_eq!((*start, *end), (size - FOOTER, size - BLOCK as u64));
            prop_assert_eq!(Trailer::decode(last, 99), Some(trailer.clone()));
            prop_assert_eq!(Trailer::decode(last, 98), None);
            prop_assert_eq!(&last[BLOCK - 8..], &[0; 8]);
            prop_assert_eq!(head.len(), footer_blocks(entries.len() as u32));
            prop_assert_eq!(read_entries(head, &trailer), Some(entries.clone()));

            let bit = bit.index(BLOCK * 8);
            let mut flipped = last.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Trailer::decode(&flipped, 99), None);
            let bit = bit % ((FOOTER_HEAD + entries.len() * ENTRY) * 8);
            let mut flipped = head.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(read_entries(&flipped, &trailer), None);
        }
    }
}
