//! Films a street with known faults, picture by picture, and encodes the pictures as the key units that a camera would send: what
//! whoever looks at key pictures is judged by.

use crate::{
    clip::{ClipError, annex_b, is_parameter_set},
    scene::{Lens, Object, Painter, Scene},
    stamp::is_slice,
};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app as gst_app;
use index::model::VideoCodec;

/// A street and whoever films it.
pub struct Film {
    scene: Scene,
    painter: Painter,
    size: (usize, usize),
    frames: u32,
}

/// Key units of one stream, H.264.
#[derive(Clone, Debug, Default)]
pub struct KeyUnits {
    /// SPS and PPS.
    pub parameter_sets: Vec<Vec<u8>>,
    /// The slices of each picture, in order.
    pub units: Vec<Vec<Vec<u8>>>,
}

impl Film {
    /// Films `scene`, whose movements repeat after `frames` frames at 25 a second, in pictures of `width` × `height`, both
    /// multiples of 8.
    #[must_use]
    pub fn new(scene: &Scene, width: usize, height: usize, frames: u32) -> Self {
        Self { scene: scene.clone(), painter: Painter::new(scene, width, height, frames, 25), size: (width, height), frames }
    }

    /// The picture of a frame as I420, planes one after the other.
    #[must_use]
    pub fn picture(&self, frame: u32, lens: Lens) -> Vec<u8> {
        self.painter.through(frame % self.frames, lens)
    }

    /// What is in the picture of a frame.
    #[must_use]
    pub fn objects(&self, frame: u32) -> Vec<Object> {
        self.scene.objects(frame % self.frames, self.frames)
    }

    /// Encodes pictures, each as a key unit of its own, as a camera's encoder does at a sub-stream's rate.
    ///
    /// # Errors
    /// [`ClipError::Encode`] if GStreamer or x264 fails.
    pub fn key_units(&self, pictures: impl Iterator<Item = Vec<u8>> + Send) -> Result<KeyUnits, ClipError> {
        let failed = |what: &dyn std::fmt::Display| ClipError::Encode(what.to_string());
        gst::init().map_err(|error| failed(&error))?;
        let (width, height) = self.size;
        let text = format!(
            "appsrc name=in format=time block=true max-bytes=8388608 \
             caps=video/x-raw,format=I420,width={width},height={height},framerate=25/1 \
             ! x264enc speed-preset=superfast pass=quant quantizer=27 key-int-max=1 bframes=0 aud=false byte-stream=true threads=1 \
             ! video/x-h264,profile=high,stream-format=byte-stream,alignment=au ! appsink name=out sync=false"
        );
        let pipeline = gst::parse::launch(&text).map_err(|error| failed(&error))?;
        let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| failed(&"not a pipeline"))?;
        let element = |name| pipeline.by_name(name).ok_or_else(|| failed(&name));
        let source = element("in")?.downcast::<gst_app::AppSrc>().map_err(|_| failed(&"no source"))?;
        let sink = element("out")?.downcast::<gst_app::AppSink>().map_err(|_| failed(&"no sink"))?;
        pipeline.set_state(gst::State::Playing).map_err(|error| failed(&error))?;
        let taken = std::thread::scope(|scope| {
            let feeder = scope.spawn(move || {
                for (at, picture) in (0u64..).zip(pictures) {
                    let mut buffer = gst::Buffer::from_mut_slice(picture);
                    if let Some(buffer) = buffer.get_mut() {
                        buffer.set_pts(gst::ClockTime::from_mseconds(at * 40));
                    }
                    if source.push_buffer(buffer).is_err() {
                        return;
                    }
                }
                // The taker notices if this fails: it gets too few pictures.
                let _ = source.end_of_stream();
            });
            let taken = take(&sink);
            let stopped = pipeline.set_state(gst::State::Null).map_err(|error| failed(&error));
            feeder.join().map_err(|_| failed(&"the painter stopped"))?;
            stopped.and(taken)
        })?;
        if taken.parameter_sets.len() < 2 { Err(failed(&"no parameter sets came")) } else { Ok(taken) }
    }
}

fn take(sink: &gst_app::AppSink) -> Result<KeyUnits, ClipError> {
    let mut taken = KeyUnits::default();
    while let Ok(sample) = sink.pull_sample() {
        let buffer = sample.buffer().ok_or_else(|| ClipError::Encode("a sample without a buffer".to_owned()))?;
        let map = buffer.map_readable().map_err(|error| ClipError::Encode(error.to_string()))?;
        let nals = annex_b(&map);
        let (sets, rest): (Vec<&[u8]>, Vec<&[u8]>) = nals.into_iter().partition(|nal| is_parameter_set(VideoCodec::H264, nal));
        if taken.parameter_sets.is_empty() {
            taken.parameter_sets = sets.iter().map(|nal| nal.to_vec()).collect();
        }
        taken.units.push(rest.iter().filter(|nal| is_slice(VideoCodec::H264, nal)).map(|nal| nal.to_vec()).collect());
    }
    Ok(taken)
}
