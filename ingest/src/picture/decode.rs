//! A key access unit into a picture. What a camera sends is hostile until decoded: its size is bounded before and after, and a picture
//! larger than any camera makes is refused by the decoder itself, whatever its parameter sets claim.
//!
//! A decoder lives for one picture: opening one costs 0.25 ms, and keeps nothing of one camera for the next.

use super::PictureError;
use super::sample::Planes;
use crate::{ffmpeg as library, nal, parameters};
use ffmpeg_next::{Dictionary, Discard, Packet, codec, decoder, format::Pixel, frame, software::scaling};
use index::model::{AccessUnit, TrackKind, VideoCodec, VideoParameters};

/// No camera makes larger pictures; a damaged parameter set may claim anything.
const PIXELS_MAX: u32 = 7_680 * 4_320;
/// No key unit of a camera is larger.
const BYTES_MAX: usize = 8 << 20;

/// How well a picture is to be decoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Quality {
    /// As the camera meant it.
    Full,
    /// Without the filter over block borders: a quarter cheaper, and good enough to be looked at by machines. Damaged pictures are
    /// refused.
    Rough,
}

/// Decodes a key unit.
pub(super) fn decode(parameters: &VideoParameters, unit: &AccessUnit, quality: Quality) -> Result<frame::Video, PictureError> {
    if unit.track != TrackKind::Video || !unit.key {
        return Err(PictureError::NotKey);
    }
    let (width, height) = (u32::from(parameters.width), u32::from(parameters.height));
    if width * height > PIXELS_MAX || unit.data.len() > BYTES_MAX {
        return Err(PictureError::TooLarge { width, height });
    }
    library::ready();
    let open = || {
        let id = match parameters.codec {
            VideoCodec::H264 => codec::Id::H264,
            VideoCodec::H265 => codec::Id::HEVC,
        };
        let codec = decoder::find(id).ok_or(ffmpeg_next::Error::DecoderNotFound)?;
        let mut context = codec::Context::new_with_codec(codec);
        // One picture gives threads nothing to share.
        context.set_threading(codec::threading::Config { count: 1, ..Default::default() });
        let mut decoder = context.decoder();
        if quality == Quality::Rough {
            decoder.skip_loop_filter(Discard::All);
            // What the decoder would paint over a damaged part moves, and looks like a fault.
            decoder.check(decoder::Check::EXPLODE);
        }
        let mut options = Dictionary::new();
        options.set("max_pixels", &PIXELS_MAX.to_string());
        decoder.open_as_with(codec, options)?.video()
    };
    let mut decoder = open().map_err(PictureError::Decode)?;
    let mut frame = frame::Video::empty();
    let mut run = || {
        decoder.send_packet(&Packet::copy(&annex_b(parameters, unit)))?;
        decoder.send_eof()?;
        decoder.receive_frame(&mut frame)
    };
    run().map_err(PictureError::Decode)?;
    let (width, height) = (frame.width(), frame.height());
    if width.saturating_mul(height) > PIXELS_MAX || width == 0 || height == 0 {
        return Err(PictureError::TooLarge { width, height });
    }
    Ok(frame)
}

/// The unit as the decoder takes it without any configuration: parameter sets first, start codes between.
fn annex_b(parameters: &VideoParameters, unit: &AccessUnit) -> Vec<u8> {
    let sets = parameters::sets_of(parameters.codec, &parameters.decoder_config);
    let mut data = Vec::with_capacity(unit.data.len() + parameters.decoder_config.len() + 64);
    for nal in sets.into_iter().chain(nal::with_lengths(&unit.data)) {
        data.extend_from_slice(&[0, 0, 0, 1]);
        data.extend_from_slice(nal);
    }
    data
}

/// Calls `look` with the planes of a decoded picture, converted first where the camera does not send plain 4:2:0.
pub(super) fn with_planes<T>(picture: &frame::Video, look: impl FnOnce(&Planes<'_>) -> T) -> Result<T, PictureError> {
    let mut converted = frame::Video::empty();
    let plain = matches!(picture.format(), Pixel::YUV420P | Pixel::YUVJ420P);
    let picture = if plain {
        picture
    } else {
        let (width, height) = (picture.width(), picture.height());
        let to = (Pixel::YUV420P, width, height);
        let scaler = scaling::Context::get(picture.format(), width, height, to.0, to.1, to.2, scaling::Flags::POINT);
        scaler.and_then(|mut scaler| scaler.run(picture, &mut converted)).map_err(PictureError::Decode)?;
        &converted
    };
    let plane = |number| (picture.data(number), picture.stride(number));
    let (width, height) = (picture.width(), picture.height());
    let planes = Planes::new(width as usize, height as usize, plane(0), plane(1), plane(2));
    Ok(look(&planes.ok_or(PictureError::TooSmall { width, height })?))
}
