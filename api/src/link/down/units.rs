//! Live units as they stand in the parts of a stream that crosses a line. Pure.
//!
//! ```text
//! item: u8 kind | u32 length | as many bytes, all numbers big-endian
//! 0 tracks  u8 codec (0 H.264, 1 H.265) | u16 width | u16 height | u8 length of the codec's name | name | decoder configuration record
//! 1 unit    u8 key | i64 decode | i64 present | i64 UTC µs | i64 received µs | u32 RTP time | NAL units behind 4-byte lengths
//! 2 gap     nothing: a key unit follows
//! 3 ended   nothing: the stream is not recorded any more
//! ```
//! Pictures only: sound and metadata are not watched live.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use index::model::{AccessUnit, MediaTicks, TrackKind, Tracks, UtcMicros, VideoCodec, VideoParameters};
use ingest::LiveItem;
use std::sync::Arc;

/// Bytes before an item's own.
const HEAD: usize = 5;
/// The longest item that is believed: a key unit of 4K is a tenth of it.
const MAX_ITEM: usize = 8 << 20;
/// Bytes of a unit before its NAL units.
const UNIT: usize = 37;

/// An item as it is sent; nothing for what is not a picture.
#[must_use]
pub fn write(item: &LiveItem) -> Bytes {
    let mut out = BytesMut::new();
    match item {
        LiveItem::Tracks(tracks) => {
            let video = &tracks.video;
            let name = video.rfc6381.as_bytes();
            let name = &name[..name.len().min(255)];
            head(&mut out, 0, 6 + name.len() + video.decoder_config.len());
            out.put_u8(u8::from(video.codec == VideoCodec::H265));
            out.put_u16(video.width);
            out.put_u16(video.height);
            out.put_u8(name.len() as u8);
            out.put_slice(name);
            out.put_slice(&video.decoder_config);
        }
        LiveItem::Unit(unit) if unit.track == TrackKind::Video => {
            head(&mut out, 1, UNIT + unit.data.len());
            out.put_u8(u8::from(unit.key));
            out.put_i64(unit.decode.get());
            out.put_i64(unit.present.get());
            out.put_i64(unit.utc.as_micros());
            out.put_i64(unit.received.as_micros());
            out.put_u32(unit.rtp);
            out.put_slice(&unit.data);
        }
        LiveItem::Unit(_) => {}
        LiveItem::Gap => head(&mut out, 2, 0),
        LiveItem::Ended => head(&mut out, 3, 0),
    }
    out.freeze()
}

fn head(out: &mut BytesMut, kind: u8, length: usize) {
    out.reserve(HEAD + length);
    out.put_u8(kind);
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// Takes parts and gives items, wherever the parts were cut.
#[derive(Default, Debug)]
pub struct Reader {
    held: BytesMut,
}

impl Reader {
    /// Takes the next part.
    pub fn take(&mut self, part: &[u8]) {
        self.held.extend_from_slice(part);
    }

    /// The next item that is whole; `None` until more comes.
    ///
    /// # Errors
    /// What shows that these are no items: nothing after it can be read.
    pub fn item(&mut self) -> Result<Option<LiveItem>, &'static str> {
        let Some((head, _)) = self.held.split_first_chunk::<HEAD>() else { return Ok(None) };
        let (kind, length) = (head[0], u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize);
        if length > MAX_ITEM {
            return Err("an item is longer than any");
        }
        if self.held.len() < HEAD + length {
            return Ok(None);
        }
        let mut item = self.held.split_to(HEAD + length).freeze();
        item.advance(HEAD);
        match kind {
            0 => tracks(item).map(Some),
            1 => unit(item).map(Some),
            2 => Ok(Some(LiveItem::Gap)),
            3 => Ok(Some(LiveItem::Ended)),
            _ => Err("an item of no kind that is known"),
        }
    }
}

fn tracks(mut item: Bytes) -> Result<LiveItem, &'static str> {
    const SHORT: &str = "what decodes a stream is cut short";
    if item.len() < 6 {
        return Err(SHORT);
    }
    let codec = if item.get_u8() == 0 { VideoCodec::H264 } else { VideoCodec::H265 };
    let (width, height, name) = (item.get_u16(), item.get_u16(), usize::from(item.get_u8()));
    if item.len() < name {
        return Err(SHORT);
    }
    let rfc6381 = String::from_utf8(item.split_to(name).to_vec()).map_err(|_| "a codec's name is no text")?;
    let video = VideoParameters { codec, width, height, decoder_config: item, rfc6381 };
    Ok(LiveItem::Tracks(Arc::new(Tracks { video, audio: None, metadata: false })))
}

fn unit(mut item: Bytes) -> Result<LiveItem, &'static str> {
    if item.len() < UNIT {
        return Err("a unit is cut short");
    }
    let key = item.get_u8() != 0;
    let (decode, present) = (MediaTicks::new(item.get_i64()), MediaTicks::new(item.get_i64()));
    let (utc, received) = (UtcMicros::from_micros(item.get_i64()), UtcMicros::from_micros(item.get_i64()));
    let rtp = item.get_u32();
    Ok(LiveItem::Unit(Arc::new(AccessUnit { track: TrackKind::Video, key, decode, present, utc, received, rtp, data: item })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items() -> Vec<LiveItem> {
        let video = VideoParameters {
            codec: VideoCodec::H265,
            width: 3840,
            height: 2160,
            decoder_config: Bytes::from_static(&[1, 2, 3]),
            rfc6381: "hvc1.1.6.L93.b0".to_owned(),
        };
        let unit = |n: i64, track| AccessUnit {
            track,
            key: n == 0,
            decode: MediaTicks::new(n * 3600),
            present: MediaTicks::new(n * 3600 + 1),
            utc: UtcMicros::from_micros(n * 40_000),
            received: UtcMicros::from_micros(n * 40_000 + 5),
            rtp: 7,
            data: Bytes::from(vec![n as u8; n as usize * 50]),
        };
        let mut items = vec![LiveItem::Tracks(Arc::new(Tracks { video, audio: None, metadata: false }))];
        items.extend((0..4).map(|n| LiveItem::Unit(Arc::new(unit(n, TrackKind::Video)))));
        items.extend([LiveItem::Unit(Arc::new(unit(1, TrackKind::Audio))), LiveItem::Gap, LiveItem::Ended]);
        items
    }

    #[test]
    fn pictures_arrive_as_they_were_sent_wherever_the_parts_are_cut() {
        let sent: Vec<u8> = items().iter().flat_map(|item| write(item).to_vec()).collect();
        let pictures = items().into_iter().filter(|item| !matches!(item, LiveItem::Unit(unit) if unit.track != TrackKind::Video));
        let expected: Vec<String> = pictures.map(|item| format!("{item:?}")).collect();
        for size in [1, 7, 64, 4096] {
            let mut reader = Reader::default();
            let mut read = Vec::new();
            for part in sent.chunks(size) {
                reader.take(part);
                while let Some(item) = reader.item().expect("items") {
                    read.push(format!("{item:?}"));
                }
            }
            assert_eq!(read, expected, "parts of {size}");
        }
    }

    #[test]
    fn what_is_no_item_is_not_taken_for_one() {
        for bytes in [&[9, 0, 0, 0, 0][..], &[1, 0, 0, 0, 1, 5], &[0, 0, 0, 0, 2, 1, 1], &[1, 0xff, 0, 0, 0]] {
            let mut reader = Reader::default();
            reader.take(bytes);
            assert!(reader.item().is_err(), "{bytes:?}");
        }
    }
}
