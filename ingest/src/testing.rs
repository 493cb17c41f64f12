//! Units and tracks for tests, made from short texts.

use bytes::Bytes;
use index::model::{
    AccessUnit, CameraId, MediaTicks, StreamId, StreamKind, TrackKind, Tracks, UtcMicros, VideoCodec, VideoParameters,
};
use std::sync::Arc;

/// What the program does at its start, as often as tests like.
pub(crate) fn choose_tls() {
    // Another test was first: then it is chosen.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

pub(crate) fn stream() -> StreamId {
    StreamId::new(CameraId::new(7).expect("a number"), StreamKind::Main)
}

pub(crate) fn tracks() -> Arc<Tracks> {
    let video = VideoParameters {
        codec: VideoCodec::H264,
        width: 640,
        height: 360,
        decoder_config: Bytes::from_static(&[1, 0x4d, 0x40, 0x1f, 0xff, 0xe0, 0]),
        rfc6381: "avc1.4d401f".to_owned(),
    };
    Arc::new(Tracks { video, audio: None, metadata: false })
}

/// Makes units at 25 a second: `K` a key unit, `p` another one, `a` a packet of sound, `_` a unit that never came.
pub(crate) struct Script {
    pub(crate) next: i64,
    pub(crate) bytes: usize,
}

impl Default for Script {
    fn default() -> Self {
        Self { next: 0, bytes: 100 }
    }
}

impl Script {
    pub(crate) fn units(&mut self, text: &str) -> Vec<AccessUnit> {
        text.chars().filter_map(|letter| self.unit(letter)).collect()
    }

    fn unit(&mut self, letter: char) -> Option<AccessUnit> {
        let number = self.next;
        if letter != 'a' {
            self.next += 1;
        }
        let track = match letter {
            'K' | 'p' => TrackKind::Video,
            'a' => TrackKind::Audio,
            _ => return None,
        };
        let utc = UtcMicros::from_micros(1_000_000_000 + number * 40_000);
        let ticks = MediaTicks::new(number * 3_600);
        Some(AccessUnit {
            track,
            key: letter != 'p',
            decode: ticks,
            present: ticks,
            utc,
            received: utc,
            rtp: (number * 3_600) as u32,
            data: Bytes::from(vec![0; self.bytes]),
        })
    }
}

/// A short moving picture, really encoded.
pub(crate) struct Clip {
    pub(crate) parameters: VideoParameters,
    pub(crate) units: Vec<AccessUnit>,
}

pub(crate) fn clip(codec: VideoCodec, width: u32, height: u32, pictures: i64) -> Clip {
    use ffmpeg_next::{Dictionary, Packet, Rational, codec::Context, encoder, format::Pixel, frame};
    crate::ffmpeg::ready();
    let name = if codec == VideoCodec::H264 { "libx264" } else { "libx265" };
    let found = encoder::find_by_name(name).expect("Debian's FFmpeg has it");
    let mut video = Context::new_with_codec(found).encoder().video().expect("a video encoder");
    video.set_width(width);
    video.set_height(height);
    video.set_format(Pixel::YUV420P);
    video.set_time_base(Rational::new(1, 25));
    video.set_max_b_frames(0);
    let mut options = Dictionary::new();
    options.set("preset", "ultrafast");
    options.set("tune", "zerolatency");
    options.set("x265-params", "log-level=none");
    let mut opened = video.open_as_with(found, options).expect("it opens");
    let mut units = Vec::new();
    let mut sets = crate::parameters::ParameterSets::new(codec);
    for number in 0..pictures {
        let mut picture = frame::Video::new(Pixel::YUV420P, width, height);
        for plane in 0..3 {
            for (at, byte) in picture.data_mut(plane).iter_mut().enumerate() {
                *byte = (at as i64 * 7 + number * 13) as u8;
            }
        }
        picture.set_pts(Some(number));
        opened.send_frame(&picture).expect("it encodes");
        let mut packet = Packet::empty();
        while opened.receive_packet(&mut packet).is_ok() {
            let nals: Vec<&[u8]> = crate::nal::with_start_codes(packet.data().expect("data")).collect();
            sets.update(nals.iter().copied());
            let data = crate::nal::join(nals.into_iter());
            let ticks = MediaTicks::new(number * 3_600);
            units.push(AccessUnit {
                track: TrackKind::Video,
                key: crate::nal::is_key(codec, &data),
                decode: ticks,
                present: ticks,
                utc: UtcMicros::from_micros(number * 40_000),
                received: UtcMicros::from_micros(number * 40_000),
                rtp: (number * 3_600) as u32,
                data,
            });
        }
    }
    Clip { parameters: sets.describe().expect("the encoder sends its sets in-band"), units }
}
