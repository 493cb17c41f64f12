//! A key access unit into a JPEG: for stills and for pages that cannot decode a camera's codec.

use super::PictureError;
use super::decode::{Quality, decode};
use ffmpeg_next::{Packet, Rational, codec, encoder, format::Pixel, frame, software::scaling};
use index::model::{AccessUnit, VideoParameters};

/// The narrowest JPEG that makes sense.
const WIDTH_MIN: u32 = 16;
/// MJPEG's scale from 2 (best) to 31: about 85 on the scale of other encoders.
const QUALITY: usize = 4;

/// Decodes a key unit and encodes it as JPEG, at most `max_width` pixels wide (never wider than it is, at least 16), its
/// shape kept. Takes 10 to 40 ms of CPU: not for a runtime's thread.
///
/// # Errors
/// See [`PictureError`].
pub fn jpeg(parameters: &VideoParameters, unit: &AccessUnit, max_width: u32) -> Result<Vec<u8>, PictureError> {
    let decoded = decode(parameters, unit, Quality::Full)?;
    encode(&scale(&decoded, max_width).map_err(PictureError::Encode)?).map_err(PictureError::Encode)
}

fn scale(picture: &frame::Video, max_width: u32) -> Result<frame::Video, ffmpeg_next::Error> {
    let (width, height) = (picture.width(), picture.height());
    let wanted = max_width.clamp(WIDTH_MIN, width.max(WIDTH_MIN));
    // JPEG with halved colour wants even sides.
    let new_width = (wanted & !1).max(2);
    let new_height = (u64::from(height) * u64::from(new_width) / u64::from(width)).max(2) as u32 & !1;
    let flags = scaling::Flags::BILINEAR;
    let mut scaler = scaling::Context::get(picture.format(), width, height, Pixel::YUVJ420P, new_width, new_height, flags)?;
    let mut scaled = frame::Video::empty();
    scaler.run(picture, &mut scaled)?;
    Ok(scaled)
}

fn encode(picture: &frame::Video) -> Result<Vec<u8>, ffmpeg_next::Error> {
    let codec = encoder::find(codec::Id::MJPEG).ok_or(ffmpeg_next::Error::EncoderNotFound)?;
    let mut context = codec::Context::new_with_codec(codec).encoder().video()?;
    context.set_width(picture.width());
    context.set_height(picture.height());
    context.set_format(Pixel::YUVJ420P);
    context.set_time_base(Rational::new(1, 25));
    context.set_qmin(i32::try_from(QUALITY).unwrap_or(4));
    context.set_qmax(i32::try_from(QUALITY).unwrap_or(4));
    let mut opened = context.open_as(codec)?;
    opened.send_frame(picture)?;
    opened.send_eof()?;
    let mut packet = Packet::empty();
    opened.receive_packet(&mut packet)?;
    Ok(packet.data().unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use index::model::VideoCodec;

    /// Width and height from a JPEG's frame header (ITU-T T.81 §B.2.2).
    fn size(jpeg: &[u8]) -> (u16, u16) {
        let at = jpeg.windows(2).position(|two| two == [0xff, 0xc0]).expect("a baseline frame header");
        let side = |from: usize| u16::from_be_bytes([jpeg[at + from], jpeg[at + from + 1]]);
        (side(7), side(5))
    }

    #[test]
    fn a_key_unit_of_either_codec_becomes_a_jpeg() {
        for codec in [VideoCodec::H264, VideoCodec::H265] {
            let clip = testing::clip(codec, 320, 180, 3);
            let full = jpeg(&clip.parameters, &clip.units[0], 4_000).expect("a picture");
            assert!(full.starts_with(&[0xff, 0xd8]) && full.ends_with(&[0xff, 0xd9]), "{codec:?}");
            assert_eq!(size(&full), (320, 180), "{codec:?}");
            let small = jpeg(&clip.parameters, &clip.units[0], 160).expect("a picture");
            assert_eq!(size(&small), (160, 90), "{codec:?}");
            assert!(small.len() < full.len());
        }
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        let clip = testing::clip(VideoCodec::H264, 64, 64, 3);
        assert!(matches!(jpeg(&clip.parameters, &clip.units[1], 64), Err(PictureError::NotKey)));
        let mut broken = clip.units[0].clone();
        broken.data = bytes::Bytes::from_static(&[0, 0, 0, 3, 0x65, 0, 0]);
        assert!(matches!(jpeg(&clip.parameters, &broken, 64), Err(PictureError::Decode(_))));
        let huge = VideoParameters { width: 60_000, height: 60_000, ..clip.parameters.clone() };
        assert!(matches!(jpeg(&huge, &clip.units[0], 64), Err(PictureError::TooLarge { .. })));
    }
}
