//! One fragment: `moof` + `mdat`. The samples of a track lie together in `mdat`, video first, so that a key unit is one read
//! behind the `moof`; each track has one `traf` with its own 64-bit decode time.

use super::{
    boxes::{Put, boxed, find, full, u32_at, u64_at},
    children,
    init::tracks_present,
    scaled, timescale, unscaled,
};
use crate::model::{AccessUnit, MediaTicks, TrackKind, Tracks, UtcMicros};
use bytes::Bytes;

/// ISO/IEC 14496-12 §8.8.3.1: depends on no other sample.
const KEY: u32 = 0x0200_0000;
/// Depends on others, and is no place to start.
const DELTA: u32 = 0x0101_0000;

/// The tracks in the order in which their samples stand in `mdat`.
const ORDER: [TrackKind; 3] = [TrackKind::Video, TrackKind::Audio, TrackKind::Metadata];

/// Appends the `moof` of a fragment made of `units`, and the header of the `mdat` that must follow with their bytes in
/// [`ORDER`]. `base` is the media time that is zero in this file; `sequence` counts its fragments from 1.
pub(in crate::footage) fn encode_moof(
    out: &mut Vec<u8>,
    tracks: &Tracks,
    units: &[AccessUnit],
    duration: MediaTicks,
    base: MediaTicks,
    sequence: u32,
) {
    let start = out.len();
    let mut patches = [(0, 0u32); 3];
    let mut offset = 0u32;
    boxed(out, b"moof", |out| {
        full(out, b"mfhd", 0, 0, |out| out.u32(sequence));
        for (slot, track) in patches.iter_mut().zip(ORDER) {
            let samples = || units.iter().filter(move |unit| unit.track == track);
            if samples().next().is_none() {
                continue;
            }
            *slot = (encode_traf(out, tracks, track, samples, duration, base), offset);
            offset += samples().map(|unit| unit.data.len() as u32).sum::<u32>();
        }
    });
    // Data offsets count from the start of the moof; the mdat's header is 8 bytes.
    let moof = (out.len() - start) as u32;
    for (at, offset) in patches.into_iter().filter(|(at, _)| *at > 0) {
        out[at..at + 4].copy_from_slice(&(moof + 8 + offset).to_be_bytes());
    }
    out.u32(8 + offset);
    out.extend_from_slice(b"mdat");
}

/// Bytes of the samples of `units`.
pub(in crate::footage) fn mdat_len(units: &[AccessUnit]) -> usize {
    units.iter().map(|unit| unit.data.len()).sum()
}

/// Writes one track's part and says where its data offset is to be filled in.
fn encode_traf<'a, I: Iterator<Item = &'a AccessUnit>>(
    out: &mut Vec<u8>,
    tracks: &Tracks,
    track: TrackKind,
    samples: impl Fn() -> I,
    duration: MediaTicks,
    base: MediaTicks,
) -> usize {
    let scale = timescale(tracks, track);
    let at = |unit: &AccessUnit| scaled(unit.decode.get() - base.get(), scale).max(0);
    let first = samples().next().map_or(0, at);
    // Video fills the fragment's duration; a packet of sound says itself how long it is.
    let end = match track {
        TrackKind::Video | TrackKind::Metadata => {
            let video = units_start(&samples, base);
            scaled(video + duration.get(), scale)
        }
        TrackKind::Audio => samples().last().map_or(0, |unit| at(unit) + audio_units(tracks, unit)),
    };
    let composed = samples().any(|unit| unit.present != unit.decode);
    let mut data_offset = 0;
    boxed(out, b"traf", |out| {
        full(out, b"tfhd", 0, 0x02_0000, |out| out.u32(track.track_id()));
        full(out, b"tfdt", 1, 0, |out| out.u64(first as u64));
        full(out, b"trun", 1, if composed { 0xf01 } else { 0x701 }, |out| {
            out.u32(samples().count() as u32);
            data_offset = out.len();
            out.u32(0);
            let mut next = samples().skip(1);
            for unit in samples() {
                let until = next.next().map_or(end, at);
                out.u32((until - at(unit)).clamp(0, i64::from(u32::MAX)) as u32);
                out.u32(unit.data.len() as u32);
                out.u32(if unit.key { KEY } else { DELTA });
                if composed {
                    out.u32((unit.present.get() - unit.decode.get()) as i32 as u32);
                }
            }
        });
    });
    data_offset
}

fn units_start<'a, I: Iterator<Item = &'a AccessUnit>>(samples: &impl Fn() -> I, base: MediaTicks) -> i64 {
    samples().next().map_or(0, |unit| (unit.decode.get() - base.get()).max(0))
}

/// How long a packet of sound is, in the track's units.
fn audio_units(tracks: &Tracks, unit: &AccessUnit) -> i64 {
    match &tracks.audio {
        Some(audio) if !audio.config.is_empty() => 1024,
        Some(audio) => (unit.data.len() / usize::from(audio.channels.max(1))) as i64,
        None => 0,
    }
}

/// One sample as its `trun` describes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::footage) struct Sample {
    pub(in crate::footage) track: TrackKind,
    /// Decode time in the track's units, counted from the start of the file.
    pub(in crate::footage) decode: i64,
    pub(in crate::footage) duration: u32,
    pub(in crate::footage) composition: i32,
    pub(in crate::footage) key: bool,
    /// Where its bytes begin, counted from the start of the `moof`.
    pub(in crate::footage) offset: usize,
    pub(in crate::footage) size: usize,
}

/// A `moof`, read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::footage) struct ParsedFragment {
    /// By track, in decode order within each.
    pub(in crate::footage) samples: Vec<Sample>,
    pub(in crate::footage) moof_len: usize,
}

/// Reads the `moof` that `bytes` begin with. `None` if it is not one of ours. The samples' bytes need not be there.
pub(in crate::footage) fn parse(bytes: &[u8]) -> Option<ParsedFragment> {
    let moof_len = u32_at(bytes, 0)? as usize;
    let moof = find(bytes, b"moof")?;
    let mut samples = Vec::new();
    for traf in children(moof).filter(|child| &child.kind == b"traf") {
        let track_id = u32_at(find(traf.body, b"tfhd")?, 4)?;
        let track = ORDER.into_iter().find(|track| track.track_id() == track_id)?;
        let mut decode = i64::try_from(u64_at(find(traf.body, b"tfdt")?, 4)?).ok()?;
        let trun = find(traf.body, b"trun")?;
        let composed = u32_at(trun, 0)? & 0x800 != 0;
        let mut offset = u32_at(trun, 8)? as usize;
        let row = if composed { 16 } else { 12 };
        for fields in trun.get(12..)?.chunks_exact(row).take(u32_at(trun, 4)? as usize) {
            let (duration, size) = (u32_at(fields, 0)?, u32_at(fields, 4)? as usize);
            let composition = if composed { u32_at(fields, 12)? as i32 } else { 0 };
            samples.push(Sample { track, decode, duration, composition, key: u32_at(fields, 8)? == KEY, offset, size });
            decode += i64::from(duration);
            offset = offset.checked_add(size)?;
        }
    }
    Some(ParsedFragment { samples, moof_len })
}

/// What turns samples back into access units: the times of the fragment's first video unit.
#[derive(Clone, Copy, Debug)]
pub(in crate::footage) struct Anchor {
    pub(in crate::footage) decode: MediaTicks,
    pub(in crate::footage) utc: UtcMicros,
    pub(in crate::footage) received: UtcMicros,
    pub(in crate::footage) rtp: u32,
    /// The media time that is zero in the file.
    pub(in crate::footage) base: MediaTicks,
}

impl ParsedFragment {
    /// The access unit of one sample, whose bytes are `data`.
    pub(in crate::footage) fn unit(&self, sample: &Sample, tracks: &Tracks, anchor: Anchor, data: Bytes) -> AccessUnit {
        let scale = timescale(tracks, sample.track);
        let decode = MediaTicks::new(anchor.base.get() + unscaled(sample.decode, scale));
        let present = MediaTicks::new(decode.get() + i64::from(sample.composition));
        let later = |time: UtcMicros| UtcMicros::from_micros(time.as_micros() + (present - anchor.decode).as_micros());
        AccessUnit {
            track: sample.track,
            key: sample.key,
            decode,
            present,
            utc: later(anchor.utc),
            received: later(anchor.received),
            rtp: anchor.rtp.wrapping_add((present - anchor.decode).get() as u32),
            data,
        }
    }
}

/// Writes the number and the decode time of the first video sample over those in a `moof`; the other tracks keep their distance
/// to the video. `None` if it is not one of ours.
pub(in crate::footage) fn retime(moof: &mut [u8], tracks: &Tracks, video: u64, sequence: u32) -> Option<()> {
    let parsed = parse(moof)?;
    let first = |track| parsed.samples.iter().find(|sample| sample.track == track).map(|sample| sample.decode);
    let shift = video as i64 - first(TrackKind::Video).unwrap_or(0);
    let mut edits = Vec::new();
    for child in children(moof.get(8..)?) {
        match &child.kind {
            b"mfhd" => edits.push((8 + child.start + 12, u64::from(sequence), 4)),
            b"traf" => {
                let track_id = u32_at(find(child.body, b"tfhd")?, 4)?;
                let track = tracks_present(tracks).find(|track| track.track_id() == track_id)?;
                let tfdt = children(child.body).find(|inner| &inner.kind == b"tfdt")?;
                let time = first(track)? + scaled(shift, timescale(tracks, track));
                edits.push((8 + child.start + 8 + tfdt.start + 12, time.max(0) as u64, 8));
            }
            _ => {}
        }
    }
    for (at, value, width) in edits {
        moof.get_mut(at..at + width)?.copy_from_slice(&value.to_be_bytes()[8 - width..]);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AudioCodec, AudioParameters, VideoCodec, VideoParameters};
    use proptest::prelude::*;

    fn tracks() -> Tracks {
        let decoder_config = Bytes::from_static(&[1, 0x4d, 0x40, 0x1f, 0xff]);
        Tracks {
            video: VideoParameters {
                codec: VideoCodec::H264,
                width: 640,
                height: 360,
                decoder_config,
                rfc6381: "avc1.4d401f".into(),
            },
            audio: Some(AudioParameters { codec: AudioCodec::Pcma, sample_rate: 8000, channels: 1, config: Bytes::new() }),
            metadata: true,
        }
    }

    fn unit(track: TrackKind, decode: i64, shift: i64, data: Vec<u8>) -> AccessUnit {
        let utc = UtcMicros::from_micros(1_700_000_000_000_000 + MediaTicks::new(decode + shift).as_micros());
        AccessUnit {
            track,
            key: data.len().is_multiple_of(2),
            decode: MediaTicks::new(decode),
            present: MediaTicks::new(decode + shift),
            utc,
            received: utc,
            rtp: (decode + shift) as u32,
            data: data.into(),
        }
    }

    fn assemble(units: &[AccessUnit], base: i64, sequence: u32) -> Vec<u8> {
        let mut out = Vec::new();
        encode_moof(&mut out, &tracks(), units, MediaTicks::new(90_000), MediaTicks::new(base), sequence);
        for track in ORDER {
            for unit in units.iter().filter(|unit| unit.track == track) {
                out.extend_from_slice(&unit.data);
            }
        }
        out
    }

    fn disassemble(bytes: &[u8], base: i64, anchor: &AccessUnit) -> Vec<AccessUnit> {
        let parsed = parse(bytes).expect("our own moof");
        let anchor = Anchor {
            decode: anchor.present,
            utc: anchor.utc,
            received: anchor.received,
            rtp: anchor.rtp,
            base: MediaTicks::new(base),
        };
        let data = |sample: &Sample| Bytes::copy_from_slice(&bytes[sample.offset..sample.offset + sample.size]);
        parsed.samples.iter().map(|sample| parsed.unit(sample, &tracks(), anchor, data(sample))).collect()
    }

    proptest! {
        #[test]
        fn units_come_back_from_the_fragment_they_were_written_to(
            base in 0i64..1 << 40,
            video in prop::collection::vec((1i64..9000, 0i64..3, prop::collection::vec(any::<u8>(), 0..40)), 1..30),
            sound in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..10),
        ) {
            let mut units = Vec::new();
            let mut decode = base;
            for (step, shift, data) in video {
                units.push(unit(TrackKind::Video, decode, shift * 3600, data));
                decode += step * 9;
            }
            for (i, data) in sound.into_iter().enumerate() {
                let mut unit = unit(TrackKind::Audio, base + i as i64 * 1800, 0, data);
                unit.key = true;
                units.push(unit);
            }
            prop_assert_eq!(disassemble(&assemble(&units, base, 1), base, &units[0]), units);
        }
    }

    #[test]
    fn a_retimed_fragment_keeps_the_distance_between_its_tracks() {
        let units = [unit(TrackKind::Video, 90_000, 0, vec![1; 10]), unit(TrackKind::Audio, 91_800, 0, vec![2; 160])];
        let mut bytes = assemble(&units, 0, 1);
        retime(&mut bytes, &tracks(), 900_000, 77).expect("our own moof");
        let samples = parse(&bytes).expect("still a moof").samples;
        assert_eq!(samples.iter().map(|sample| sample.decode).collect::<Vec<_>>(), [900_000, 80_000 + 160]);
        assert_eq!(u32_at(&bytes, 8 + 12), Some(77));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), flips in prop::collection::vec((0usize..300, any::<u8>()), 0..20)) {
            let _ = parse(&bytes);
            let mut ours = assemble(&[unit(TrackKind::Video, 0, 1, vec![1; 10])], 0, 1);
            for (at, value) in flips {
                let at = at % ours.len();
                ours[at] = value;
            }
            let _ = parse(&ours);
            let _ = retime(&mut ours, &tracks(), 5, 6);
        }
    }
}
