//! What stands before the fragments: `ftyp` and `moov`, and the way back from a `moov` to the tracks it was made of.

use super::{
    boxes::{Put, boxed, find, full, u16_at, u32_at},
    children, timescale,
};
use crate::model::{AudioCodec, AudioParameters, TrackKind, Tracks, VideoCodec, VideoParameters};
use bytes::Bytes;
use std::fmt::Write as _;

const UNITY: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
const ONVIF_NAMESPACE: &[u8] = b"http://www.onvif.org/ver10/schema\0";

/// `ftyp` + `moov`: what a player, or a browser's source buffer, must get before the fragments of a recording with these
/// tracks.
#[must_use]
pub fn init_segment(tracks: &Tracks) -> Bytes {
    let mut out = ftyp();
    out.extend_from_slice(&moov(tracks));
    out.into()
}

/// The file type box: 32 bytes.
pub(in crate::footage) fn ftyp() -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    boxed(&mut out, b"ftyp", |out| {
        out.extend_from_slice(b"iso6");
        out.u32(0);
        out.extend_from_slice(b"iso6iso5mp41isom");
    });
    out
}

/// The movie box of a fragmented file: tracks without samples.
pub(in crate::footage) fn moov(tracks: &Tracks) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    boxed(&mut out, b"moov", |out| {
        mvhd(out, 0);
        for track in tracks_present(tracks) {
            trak(out, tracks, track, 0, |out| {
                for kind in [b"stts", b"stsc", b"stco"] {
                    full(out, kind, 0, 0, |out| out.u32(0));
                }
                full(out, b"stsz", 0, 0, |out| out.zeros(8));
            });
        }
        boxed(out, b"mvex", |out| {
            for track in tracks_present(tracks) {
                full(out, b"trex", 0, 0, |out| {
                    for field in [track.track_id(), 1, 0, 0, 0] {
                        out.u32(field);
                    }
                });
            }
        });
    });
    out
}

/// The tracks that a recording has, by number.
pub(super) fn tracks_present(tracks: &Tracks) -> impl Iterator<Item = TrackKind> + use<> {
    let (audio, metadata) = (tracks.audio.is_some(), tracks.metadata);
    [TrackKind::Video, TrackKind::Audio, TrackKind::Metadata].into_iter().filter(move |track| match track {
        TrackKind::Video => true,
        TrackKind::Audio => audio,
        TrackKind::Metadata => metadata,
    })
}

/// The movie header; `duration` in milliseconds.
pub(super) fn mvhd(out: &mut Vec<u8>, duration: u64) {
    full(out, b"mvhd", 1, 0, |out| {
        out.zeros(16);
        out.u32(1000);
        out.u64(duration);
        out.u32(0x1_0000);
        out.u16(0x100);
        out.zeros(10);
        UNITY.iter().for_each(|n| out.u32(*n));
        out.zeros(24);
        out.u32(4);
    });
}

/// One track: `duration` in its own units, `tables` writes what follows `stsd`.
pub(super) fn trak(out: &mut Vec<u8>, tracks: &Tracks, track: TrackKind, duration: u64, tables: impl FnOnce(&mut Vec<u8>)) {
    let scale = timescale(tracks, track);
    boxed(out, b"trak", |out| {
        full(out, b"tkhd", 1, 3, |out| {
            out.zeros(16);
            out.u32(track.track_id());
            out.u32(0);
            out.u64(duration.saturating_mul(1000) / u64::from(scale));
            out.zeros(12);
            out.u16(if track == TrackKind::Audio { 0x100 } else { 0 });
            out.u16(0);
            UNITY.iter().for_each(|n| out.u32(*n));
            let (width, height) = if track == TrackKind::Video { (tracks.video.width, tracks.video.height) } else { (0, 0) };
            out.u32(u32::from(width) << 16);
            out.u32(u32::from(height) << 16);
        });
        boxed(out, b"mdia", |out| {
            full(out, b"mdhd", 1, 0, |out| {
                out.zeros(16);
                out.u32(scale);
                out.u64(duration);
                out.u16(0x55c4); // "und"
                out.u16(0);
            });
            let (handler, name): (_, &[u8]) = match track {
                TrackKind::Video => (b"vide", b"video\0"),
                TrackKind::Audio => (b"soun", b"audio\0"),
                TrackKind::Metadata => (b"meta", b"ONVIF metadata\0"),
            };
            full(out, b"hdlr", 0, 0, |out| {
                out.u32(0);
                out.extend_from_slice(handler);
                out.zeros(12);
                out.extend_from_slice(name);
            });
            boxed(out, b"minf", |out| {
                match track {
                    TrackKind::Video => full(out, b"vmhd", 0, 1, |out| out.zeros(8)),
                    TrackKind::Audio => full(out, b"smhd", 0, 0, |out| out.zeros(4)),
                    TrackKind::Metadata => full(out, b"nmhd", 0, 0, |_| {}),
                }
                boxed(out, b"dinf", |out| {
                    full(out, b"dref", 0, 0, |out| {
                        out.u32(1);
                        full(out, b"url ", 0, 1, |_| {});
                    });
                });
                boxed(out, b"stbl", |out| {
                    full(out, b"stsd", 0, 0, |out| {
                        out.u32(1);
                        sample_entry(out, tracks, track);
                    });
                    tables(out);
                });
            });
        });
    });
}

fn sample_entry(out: &mut Vec<u8>, tracks: &Tracks, track: TrackKind) {
    match (track, &tracks.audio) {
        (TrackKind::Video, _) => video_entry(out, &tracks.video),
        (TrackKind::Audio, Some(audio)) => audio_entry(out, audio),
        _ => boxed(out, b"metx", |out| {
            out.zeros(6);
            out.u16(1);
            out.u8(0); // no content encoding
            out.extend_from_slice(ONVIF_NAMESPACE);
            out.u8(0); // no schema location
        }),
    }
}

fn video_entry(out: &mut Vec<u8>, video: &VideoParameters) {
    let (entry, config) = match video.codec {
        VideoCodec::H264 => (b"avc1", b"avcC"),
        VideoCodec::H265 => (b"hvc1", b"hvcC"),
    };
    boxed(out, entry, |out| {
        out.zeros(6);
        out.u16(1);
        out.zeros(16);
        out.u16(video.width);
        out.u16(video.height);
        out.u32(0x48_0000);
        out.u32(0x48_0000);
        out.u32(0);
        out.u16(1);
        out.zeros(32);
        out.u16(24);
        out.u16(0xffff);
        boxed(out, config, |out| out.extend_from_slice(&video.decoder_config));
    });
}

fn audio_entry(out: &mut Vec<u8>, audio: &AudioParameters) {
    let kind = match audio.codec {
        AudioCodec::Aac => b"mp4a",
        AudioCodec::Pcmu => b"ulaw",
        AudioCodec::Pcma => b"alaw",
    };
    boxed(out, kind, |out| {
        out.zeros(6);
        out.u16(1);
        out.zeros(8);
        out.u16(u16::from(audio.channels));
        out.u16(16);
        out.u32(0);
        out.u32(audio.sample_rate.min(0xffff) << 16);
        if audio.codec == AudioCodec::Aac {
            full(out, b"esds", 0, 0, |out| esds(out, &audio.config));
        }
    });
}

/// ES descriptor (ISO/IEC 14496-1 §7.2.6.5): each descriptor is a tag, a length in one byte (a config of more than 90 bytes
/// does not exist for AAC) and a body.
fn esds(out: &mut Vec<u8>, config: &[u8]) {
    let config = &config[..config.len().min(90)];
    let n = config.len() as u8;
    out.extend_from_slice(&[3, 23 + n, 0, 1, 0]);
    out.extend_from_slice(&[4, 15 + n, 0x40, 0x15]);
    out.zeros(11);
    out.extend_from_slice(&[5, n]);
    out.extend_from_slice(config);
    out.extend_from_slice(&[6, 1, 2]);
}

/// The codec as browsers name it (RFC 6381, ISO/IEC 14496-15 annex E), from a decoder configuration record. `None` if the
/// record is too short to say.
#[must_use]
pub fn rfc6381(codec: VideoCodec, config: &[u8]) -> Option<String> {
    match codec {
        VideoCodec::H264 => {
            let [_, profile, compatibility, level] = config.first_chunk::<4>()?;
            Some(format!("avc1.{profile:02x}{compatibility:02x}{level:02x}"))
        }
        VideoCodec::H265 => {
            let head = config.first_chunk::<13>()?;
            let space = ["", "A", "B", "C"][usize::from(head[1] >> 6)];
            let tier = if head[1] & 0x20 == 0 { 'L' } else { 'H' };
            let compatibility = u32::from_be_bytes([head[2], head[3], head[4], head[5]]).reverse_bits();
            let mut text = format!("hvc1.{space}{}.{compatibility:X}.{tier}{}", head[1] & 0x1f, head[12]);
            let constraints = &head[6..12];
            let used = constraints.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            for byte in &constraints[..used] {
                let _ = write!(text, ".{byte:X}");
            }
            Some(text)
        }
    }
}

/// The tracks that a movie box (whole, header included) describes. `None` if it is not one of ours.
pub(in crate::footage) fn tracks_of(moov: &[u8]) -> Option<Tracks> {
    let moov = find(moov, b"moov")?;
    let (mut video, mut audio, mut metadata) = (None, None, false);
    for trak in children(moov).filter(|child| &child.kind == b"trak") {
        let stbl = find(find(find(trak.body, b"mdia")?, b"minf")?, b"stbl")?;
        let entry = children(find(stbl, b"stsd")?.get(8..)?).next()?;
        match &entry.kind {
            b"avc1" => video = Some(video_of(VideoCodec::H264, entry.body)?),
            b"hvc1" => video = Some(video_of(VideoCodec::H265, entry.body)?),
            b"mp4a" => audio = Some(audio_of(AudioCodec::Aac, entry.body, find(trak.body, b"mdia")?)?),
            b"ulaw" => audio = Some(audio_of(AudioCodec::Pcmu, entry.body, find(trak.body, b"mdia")?)?),
            b"alaw" => audio = Some(audio_of(AudioCodec::Pcma, entry.body, find(trak.body, b"mdia")?)?),
            b"metx" => metadata = true,
            _ => {}
        }
    }
    Some(Tracks { video: video?, audio, metadata })
}

fn video_of(codec: VideoCodec, entry: &[u8]) -> Option<VideoParameters> {
    let config = children(entry.get(78..)?).find(|child| matches!(&child.kind, b"avcC" | b"hvcC"))?.body;
    Some(VideoParameters {
        codec,
        width: u16_at(entry, 24)?,
        height: u16_at(entry, 26)?,
        decoder_config: Bytes::copy_from_slice(config),
        rfc6381: rfc6381(codec, config)?,
    })
}

fn audio_of(codec: AudioCodec, entry: &[u8], mdia: &[u8]) -> Option<AudioParameters> {
    let config = match codec {
        AudioCodec::Aac => {
            let esds = find(entry.get(28..)?, b"esds")?;
            // Version, ES descriptor up to its decoder configuration, that up to its specific information: see `esds`.
            let length = usize::from(*esds.get(4 + 5 + 2 + 13 + 1)?);
            Bytes::copy_from_slice(esds.get(26..26 + length)?.get(..length)?)
        }
        AudioCodec::Pcmu | AudioCodec::Pcma => Bytes::new(),
    };
    Some(AudioParameters {
        codec,
        sample_rate: u32_at(find(mdia, b"mdhd")?, 20)?,
        channels: u8::try_from(u16_at(entry, 16)?).ok()?,
        config,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracks(audio: Option<AudioParameters>, metadata: bool) -> Tracks {
        let decoder_config = Bytes::from_static(&[1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0, 2, 0x67, 1, 1, 0, 2, 0x68, 1]);
        let video =
            VideoParameters { codec: VideoCodec::H264, width: 1920, height: 1080, decoder_config, rfc6381: "avc1.4d401f".into() };
        Tracks { video, audio, metadata }
    }

    #[test]
    fn tracks_come_back_from_the_movie_box_they_were_written_to() {
        let aac = AudioParameters {
            codec: AudioCodec::Aac,
            sample_rate: 16_000,
            channels: 1,
            config: Bytes::from_static(&[0x14, 0x08]),
        };
        let g711 = |codec| AudioParameters { codec, sample_rate: 8000, channels: 1, config: Bytes::new() };
        for audio in [None, Some(aac), Some(g711(AudioCodec::Pcmu)), Some(g711(AudioCodec::Pcma))] {
            for metadata in [false, true] {
                let tracks = tracks(audio.clone(), metadata);
                assert_eq!(tracks_of(&moov(&tracks)).as_ref(), Some(&tracks));
            }
        }
    }

    #[test]
    fn an_independent_reader_finds_the_same_tracks() {
        use mp4_atom::{Decode, Moov};
        let tracks = tracks(None, true);
        let bytes = moov(&tracks);
        let read = Moov::decode(&mut &bytes[..]).expect("mp4-atom reads our movie box");
        assert_eq!(read.trak.len(), 2);
        assert_eq!(read.trak[0].mdia.mdhd.timescale, 90_000);
        assert!(read.mvex.is_some());
    }

    #[test]
    fn codecs_are_named_as_browsers_do() {
        assert_eq!(rfc6381(VideoCodec::H264, &[1, 0x64, 0, 0x28, 0xff]).as_deref(), Some("avc1.640028"));
        let hvcc = [1, 0x01, 0x60, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 93, 0];
        assert_eq!(rfc6381(VideoCodec::H265, &hvcc).as_deref(), Some("hvc1.1.6.L93.B0"));
        assert_eq!(rfc6381(VideoCodec::H265, &[1, 1]), None);
    }
}
