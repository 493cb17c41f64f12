//! A segment that is being written: where its next record goes, and how a draft becomes the bytes of one. Decides and computes;
//! writes nothing.

use super::{
    catalogue::SegmentKey,
    disk::{AlignedBuffer, DiskFile},
    format::{
        CommitSpan, DATA_START, Entry, FOOTER, HeadPieces, MAX_RECORDS, RECORD_HEADER, RecordHeader, SegmentHeader, SegmentState,
        Trailer, blocks, encode_footer, pad_len, write_pad,
    },
    mp4, spans,
    types::Draft,
};
use crate::model::{MediaTicks, NodeId, RetentionClass, StreamId, TrackKind, Tracks, UtcMicros, VolumeId, Window};
use std::{sync::Arc, time::Duration};

/// See the module.
pub(super) struct OpenSegment {
    pub(super) key: SegmentKey,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) stream: StreamId,
    pub(super) class: RetentionClass,
    size: u64,
    tracks: Arc<Tracks>,
    run: u32,
    base: MediaTicks,
    first: UtcMicros,
    /// When it was last written, for sealing what lies idle.
    pub(super) touched: UtcMicros,
    /// Where the next record goes.
    pub(super) tail: u64,
    /// Of the next commit.
    span: CommitSpan,
    pub(super) chain: [u8; 32],
    /// All of its records; the first `announced` are durable.
    pub(super) entries: Vec<Entry>,
    announced: usize,
    spans: Vec<Window>,
    bytes: u64,
}

/// What a new segment is told about its place.
pub(super) struct Place {
    pub(super) key: SegmentKey,
    pub(super) node: NodeId,
    pub(super) volume: VolumeId,
    pub(super) size: u64,
    /// The last chain value of the stream's segment before.
    pub(super) chain: [u8; 32],
    pub(super) now: UtcMicros,
}

/// Bytes of records that a file of that size has room for.
pub(super) fn room(size: u64) -> u64 {
    size - FOOTER - DATA_START
}

impl OpenSegment {
    /// Begins a segment for `draft`, and gives what is to be written at its start, and where. `None` if its tracks do not fit the header.
    pub(super) fn begin(place: &Place, file: Arc<dyn DiskFile>, draft: &Draft) -> Option<(Self, HeadPieces)> {
        let moov = mp4::moov(&draft.tracks);
        if !SegmentHeader::fits(&moov) {
            return None;
        }
        let lead = draft.lead()?;
        let base = MediaTicks::new(draft.units.iter().map(|unit| unit.decode.get()).min().unwrap_or(0).min(lead.decode.get()));
        let header = SegmentHeader {
            state: SegmentState::Used,
            incarnation: place.key.incarnation,
            node: place.node,
            volume: place.volume,
            number: place.key.number,
            stream: Some(draft.stream),
            class: draft.retention,
            created: place.now,
            size: place.size,
            base,
            clock_epoch: draft.clock.epoch,
            run: draft.run,
            moov_len: moov.len() as u32,
            moov_crc: crc32c::crc32c(&moov),
            chain: place.chain,
        };
        let head = header.encode(&mp4::ftyp(), &moov);
        let segment = Self {
            key: place.key,
            file,
            stream: draft.stream,
            class: draft.retention,
            size: place.size,
            tracks: Arc::clone(&draft.tracks),
            run: draft.run,
            base,
            first: lead.utc,
            touched: place.now,
            tail: DATA_START,
            span: CommitSpan { commit: 1, first: 0 },
            chain: place.chain,
            entries: Vec::new(),
            announced: 0,
            spans: Vec::new(),
            bytes: 0,
        };
        Some((segment, head))
    }

    /// Whether the draft may follow in this segment.
    pub(super) fn takes(&self, draft: &Draft, longest: Duration) -> bool {
        let goes_on = self.run == draft.run
            && self.class == draft.retention
            && (Arc::ptr_eq(&self.tracks, &draft.tracks) || self.tracks == draft.tracks)
            && draft.lead().is_some_and(|lead| lead.decode >= self.base && lead.utc.since(self.first) < longest);
        goes_on && self.entries.len() < MAX_RECORDS && self.tail + record_bound(draft) <= self.size - FOOTER
    }

    /// Appends the draft's record to `out`, to be written at [`OpenSegment::tail`] of before. `scratch` is reused.
    pub(super) fn encode(&mut self, draft: &Draft, out: &mut AlignedBuffer, scratch: &mut Vec<u8>, monotonic_us: u64) {
        let start = out.len();
        scratch.clear();
        let number = self.entries.len() as u32;
        mp4::encode_moof(scratch, &draft.tracks, &draft.units, draft.duration, self.base, number + 1);
        let payload_len = scratch.len() + mp4::mdat_len(&draft.units);
        let pad = pad_len(payload_len);
        out.reserve(RECORD_HEADER + payload_len + pad);
        out.grow(RECORD_HEADER);
        out.push(scratch);
        let in_order = |track| draft.units.iter().filter(move |unit| unit.track == track);
        for track in [TrackKind::Video, TrackKind::Audio, TrackKind::Metadata] {
            in_order(track).for_each(|unit| out.push(&unit.data));
        }
        write_pad(out.grow(pad));

        let record = &mut out.bytes_mut()[start..];
        let payload = &record[RECORD_HEADER..RECORD_HEADER + payload_len];
        let video = in_order(TrackKind::Video).next();
        let lead_len = video.map_or(0, |unit| unit.data.len());
        let (utc, received, decode, rtp) =
            draft.lead().map(|unit| (unit.utc, unit.received, unit.decode, unit.rtp)).unwrap_or_default();
        let mut header = RecordHeader {
            incarnation: self.key.incarnation,
            span: self.span,
            record: number,
            stream: self.stream.to_raw(),
            starts_with_key: video.is_some_and(|unit| unit.key),
            payload_len: payload_len as u32,
            pad_len: pad as u32,
            payload_crc: super::format::checksum(self.key.incarnation, payload),
            utc,
            received,
            decode,
            rtp,
            duration_us: u32::try_from(draft.duration.as_micros()).unwrap_or(0),
            monotonic_us,
            clock: draft.clock,
            samples: u16::try_from(draft.units.len()).unwrap_or(u16::MAX),
            moof_len: scratch.len() as u32 - 8,
            lead_len: lead_len as u32,
            lead_crc: super::format::checksum(self.key.incarnation, &payload[scratch.len()..scratch.len() + lead_len]),
            moof_crc: super::format::checksum(self.key.incarnation, scratch),
            block: u32::try_from(self.tail / super::format::BLOCK as u64).unwrap_or(0),
            hash: *blake3::hash(payload).as_bytes(),
            chain: [0; 32],
        };
        let mut bytes = [0; RECORD_HEADER];
        header.encode(&self.chain, &mut bytes);
        record[..RECORD_HEADER].copy_from_slice(&bytes);
        self.chain = header.chain;
        self.note(&header);
    }

    fn note(&mut self, header: &RecordHeader) {
        let entry = Entry::of(header, self.tail);
        self.tail = entry.end();
        self.bytes += u64::from(header.payload_len);
        spans::join(&mut self.spans, entry.window());
        self.entries.push(entry);
    }

    /// The footer that seals it, in pieces of whole blocks.
    pub(super) fn footer(&self) -> Vec<(u64, Vec<u8>)> {
        let mut trailer = Trailer {
            incarnation: self.key.incarnation,
            entries: 0,
            entries_crc: 0,
            bytes: self.bytes,
            data_end: self.tail,
            chain: self.chain,
            salvaged: false,
            spans: Some(self.spans.clone()),
        };
        encode_footer(self.size, &self.entries, &mut trailer)
    }

    /// Its bytes that nothing stands in, once it is sealed.
    pub(super) fn spare(&self) -> Option<(u64, u64)> {
        super::format::spare(self.tail, self.size)
    }

    /// Its records that are not durable yet.
    pub(super) fn pending(&self) -> &[Entry] {
        &self.entries[self.announced..]
    }

    /// Its records of the present commit, which is durable now; what is written next belongs to the next commit.
    pub(super) fn committed(&mut self) -> Vec<Entry> {
        let new = self.entries[self.announced..].to_vec();
        self.announced = self.entries.len();
        self.span = CommitSpan { commit: self.span.commit + 1, first: self.entries.len() as u32 };
        new
    }
}

/// The most bytes a draft's record can take up.
pub(super) fn record_bound(draft: &Draft) -> u64 {
    let moof = 256 + 16 * draft.units.len();
    blocks((RECORD_HEADER + moof + draft.bytes() + 8) as u64)
}

impl Entry {
    /// What the footer says of a record that begins at `offset`.
    pub(super) fn of(header: &RecordHeader, offset: u64) -> Self {
        Self {
            utc: header.utc,
            duration_us: header.duration_us,
            block: (offset / super::format::BLOCK as u64) as u32,
            payload_len: header.payload_len,
            lead_len: header.lead_len,
            moof_len: header.moof_len,
            samples: header.samples,
            starts_with_key: header.starts_with_key,
        }
    }
}
