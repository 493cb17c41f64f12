//! What the cameras hear: a tone that rises once a second, coded once and looped.

use crate::clip::ClipError;
use gstreamer::{self as gst, prelude::*};
use gstreamer_app as gst_app;
use index::model::AudioCodec;

/// Packets of sound that loop.
#[derive(Debug)]
pub(crate) struct AudioClip {
    /// How they are coded.
    pub codec: AudioCodec,
    /// RTP payload type.
    pub payload_type: u8,
    /// Samples a second, also the RTP clock.
    pub sample_rate: u32,
    /// Samples in each packet.
    pub samples: u32,
    /// AAC: the AudioSpecificConfig.
    pub config: Vec<u8>,
    /// RTP payloads.
    pub packets: Vec<Vec<u8>>,
}

const SECONDS: u32 = 4;

impl AudioClip {
    /// Makes a clip; takes milliseconds.
    ///
    /// # Errors
    /// [`ClipError::Encode`] if GStreamer lacks the AAC encoder (package gstreamer1.0-plugins-bad).
    pub(crate) fn new(codec: AudioCodec) -> Result<Self, ClipError> {
        match codec {
            AudioCodec::Pcma => Ok(Self::g711(codec, 8, a_law)),
            AudioCodec::Pcmu => Ok(Self::g711(codec, 0, mu_law)),
            AudioCodec::Aac => Self::aac(),
        }
    }

    /// Packets of 40 ms, as long as a picture is shown.
    fn g711(codec: AudioCodec, payload_type: u8, code: fn(i16) -> u8) -> Self {
        let packets = tone(8000).chunks(320).map(|samples| samples.iter().map(|sample| code(*sample)).collect()).collect();
        Self { codec, payload_type, sample_rate: 8000, samples: 320, config: Vec::new(), packets }
    }

    fn aac() -> Result<Self, ClipError> {
        let rate = 16_000;
        let failed = |what: &dyn std::fmt::Display| ClipError::Encode(what.to_string());
        gst::init().map_err(|e| failed(&e))?;
        let text = format!(
            "appsrc name=in format=time caps=audio/x-raw,format=S16LE,rate={rate},channels=1,layout=interleaved \
             ! voaacenc bitrate=32000 ! audio/mpeg,stream-format=raw ! appsink name=out sync=false"
        );
        let pipeline = gst::parse::launch(&text).map_err(|e| failed(&e))?;
        let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| failed(&"not a pipeline"))?;
        let source =
            pipeline.by_name("in").and_then(|e| e.downcast::<gst_app::AppSrc>().ok()).ok_or_else(|| failed(&"no source"))?;
        let sink =
            pipeline.by_name("out").and_then(|e| e.downcast::<gst_app::AppSink>().ok()).ok_or_else(|| failed(&"no sink"))?;
        pipeline.set_state(gst::State::Playing).map_err(|e| failed(&e))?;
        let bytes: Vec<u8> = tone(rate).iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::ZERO);
        }
        source.push_buffer(buffer).map_err(|e| failed(&e))?;
        source.end_of_stream().map_err(|e| failed(&e))?;
        let mut packets = Vec::new();
        while let Ok(sample) = sink.pull_sample() {
            let map = sample.buffer().and_then(|buffer| buffer.map_readable().ok()).ok_or_else(|| failed(&"no buffer"))?;
            // RFC 3640 §3.3.6: one AU header of 13 bits size and 3 bits index, 16 bits of headers in all.
            let mut packet = vec![0, 16];
            packet.extend(((map.len() as u16) << 3).to_be_bytes());
            packet.extend_from_slice(&map);
            packets.push(packet);
        }
        pipeline.set_state(gst::State::Null).map_err(|e| failed(&e))?;
        if packets.is_empty() {
            return Err(failed(&"voaacenc made nothing"));
        }
        // AAC-LC, 16 kHz (index 8), one channel.
        Ok(Self { codec: AudioCodec::Aac, payload_type: 97, sample_rate: rate, samples: 1024, config: vec![0x14, 0x08], packets })
    }

    /// The packets that begin within the picture with the given number, and the sample each begins with. The camera's
    /// first picture and first sample coincide.
    pub(crate) fn within(&self, frame: u64, frames_per_second: u32) -> impl Iterator<Item = (u64, &[u8])> {
        let first_at = |frame: u64| {
            (frame * u64::from(self.sample_rate)).div_ceil(u64::from(frames_per_second)).div_ceil(u64::from(self.samples))
        };
        (first_at(frame)..first_at(frame + 1)).filter_map(|number| {
            let packet = self.packets.get((number % self.packets.len() as u64) as usize)?;
            Some((number * u64::from(self.samples), packet.as_slice()))
        })
    }
}

fn tone(rate: u32) -> Vec<i16> {
    let sample = |at: u32| {
        let second = at as f32 / rate as f32;
        let pitch = 300.0 + 100.0 * (at / rate) as f32;
        ((second * pitch * std::f32::consts::TAU).sin() * 6000.0) as i16
    };
    (0..rate * SECONDS).map(sample).collect()
}

/// ITU-T G.711, table 1: segments double in width, the first two are equal.
fn a_law(sample: i16) -> u8 {
    let (mask, magnitude) = if sample >= 0 { (0xd5, sample >> 3) } else { (0x55, !sample >> 3) };
    let magnitude = u32::from(magnitude.unsigned_abs());
    let segment = (32 - magnitude.leading_zeros()).saturating_sub(5);
    let step = magnitude >> segment.max(1) & 15;
    (segment << 4 | step) as u8 ^ mask
}

/// ITU-T G.711, table 2.
fn mu_law(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = (i32::from(sample).abs().min(32_635) + 132) as u32;
    let exponent = 24 - magnitude.leading_zeros();
    let mantissa = magnitude >> (exponent + 3) & 15;
    !((sign | exponent << 4 | mantissa) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_loud_samples_are_coded_as_the_standard_says() {
        assert_eq!((a_law(0), mu_law(0)), (0xd5, 0xff));
        assert_eq!((a_law(32_767), mu_law(32_767)), (0xaa, 0x80));
        assert_eq!((a_law(-32_768), mu_law(-32_768)), (0x2a, 0x00));
    }

    #[test]
    fn every_sample_is_sent_once() {
        for codec in [AudioCodec::Pcma, AudioCodec::Aac] {
            let clip = AudioClip::new(codec).expect("a clip");
            let starts: Vec<_> = (0..250).flat_map(|frame| clip.within(frame, 25)).map(|(sample, _)| sample).collect();
            let expected: Vec<_> = (0..starts.len() as u64).map(|n| n * u64::from(clip.samples)).collect();
            assert_eq!(starts, expected);
            assert!(starts.len() as u32 * clip.samples >= clip.sample_rate * 10);
        }
    }
}
