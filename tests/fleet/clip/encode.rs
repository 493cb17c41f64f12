//! Paints and encodes one clip with GStreamer: the same encoders that other tests decode against.

use super::{Clip, ClipError, ClipSpec, Coded, annex_b, is_parameter_set};
use crate::{scene::Painter, stamp::is_slice};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app as gst_app;
use index::model::VideoCodec;

fn pipeline_text(spec: &ClipSpec) -> String {
    let ClipSpec { width, height, frames_per_second: rate, gop, kbit_per_second: kbit, b_pictures, .. } = spec;
    // Fixed GOPs without scene cuts; the buffer of one second keeps key units from starving what follows.
    let encoder = match spec.codec {
        VideoCodec::H264 => format!(
            "x264enc speed-preset=superfast pass=cbr bitrate={kbit} vbv-buf-capacity=1000 key-int-max={gop} bframes={b_pictures} \
             b-adapt=false aud=false byte-stream=true rc-lookahead=10 option-string=\"scenecut=0:open-gop=0:keyint-min={gop}\" \
             ! video/x-h264,profile=high,stream-format=byte-stream,alignment=au"
        ),
        VideoCodec::H265 => format!(
            "x265enc speed-preset=ultrafast bitrate={kbit} key-int-max={gop} log-level=none \
             option-string=\"scenecut=0:open-gop=0:min-keyint={gop}:keyint={gop}:bframes={b_pictures}:b-adapt=0:repeat-headers=1:\
             info=0:aud=0:rc-lookahead=10:vbv-maxrate={kbit}:vbv-bufsize={kbit}\" \
             ! video/x-h265,stream-format=byte-stream,alignment=au"
        ),
    };
    format!(
        "appsrc name=in format=time block=true max-bytes=33554432 \
         caps=video/x-raw,format=I420,width={width},height={height},framerate={rate}/1 ! {encoder} ! appsink name=out sync=false"
    )
}

fn failed(what: impl std::fmt::Display) -> ClipError {
    ClipError::Encode(what.to_string())
}

/// Makes a clip. Takes seconds for a large one: see [`Clip::load`] for the cache.
pub(super) fn encode(spec: &ClipSpec) -> Result<Clip, ClipError> {
    gst::init().map_err(failed)?;
    let pipeline = gst::parse::launch(&pipeline_text(spec)).map_err(failed)?;
    let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| failed("not a pipeline"))?;
    let element = |name| pipeline.by_name(name).ok_or_else(|| failed(format!("no element {name}")));
    let source = element("in")?.downcast::<gst_app::AppSrc>().map_err(|_| failed("no source"))?;
    let sink = element("out")?.downcast::<gst_app::AppSink>().map_err(|_| failed("no sink"))?;
    pipeline.set_state(gst::State::Playing).map_err(failed)?;
    let result = std::thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(spec, &source));
        let taken = take(spec, &sink);
        // A failed encoder no longer takes frames: let the feeder go.
        let stopped = pipeline.set_state(gst::State::Null).map_err(failed);
        feeder.join().map_err(|_| failed("the painter stopped"))?;
        stopped.and(taken)
    });
    let message = pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
    if let Some(gst::MessageView::Error(error)) = message.as_ref().map(|message| message.view()) {
        return Err(failed(error.error()));
    }
    result
}

fn feed(spec: &ClipSpec, source: &gst_app::AppSrc) {
    let frames = spec.frames();
    let painter = Painter::new(&spec.scene, spec.width as usize, spec.height as usize, frames, spec.frames_per_second);
    for frame in 0..frames {
        let mut buffer = gst::Buffer::from_mut_slice(painter.paint(frame));
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::from_useconds(micros(spec, frame)));
            buffer.set_duration(gst::ClockTime::from_useconds(micros(spec, 1)));
        }
        if source.push_buffer(buffer).is_err() {
            return;
        }
    }
    // The taker notices if this fails: it gets too few pictures.
    let _ = source.end_of_stream();
}

fn micros(spec: &ClipSpec, frames: u32) -> u64 {
    u64::from(frames) * 1_000_000 / u64::from(spec.frames_per_second)
}

fn take(spec: &ClipSpec, sink: &gst_app::AppSink) -> Result<Clip, ClipError> {
    let mut clip = Clip { spec: spec.clone(), parameter_sets: Vec::new(), units: Vec::new() };
    let mut shown = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let buffer = sample.buffer().ok_or_else(|| failed("a sample without a buffer"))?;
        shown.push(buffer.pts().map_or(0, gst::ClockTime::useconds));
        let map = buffer.map_readable().map_err(failed)?;
        let nals = annex_b(&map);
        if clip.parameter_sets.is_empty() {
            clip.parameter_sets = nals.iter().filter(|nal| is_parameter_set(spec.codec, nal)).map(|nal| nal.to_vec()).collect();
            // x265enc puts its own headers before the encoder's, and its PPS carries bytes of foreign memory: of each
            // kind the last one is the encoder's.
            clip.parameter_sets.sort_by_key(|set| set[0]);
            clip.parameter_sets.reverse();
            clip.parameter_sets.dedup_by_key(|set| set[0]);
            clip.parameter_sets.reverse();
        }
        let slices: Vec<_> = nals.iter().filter(|nal| is_slice(spec.codec, nal)).map(|nal| nal.to_vec()).collect();
        let key = slices.first().is_some_and(|slice| spec.codec.starts_decoding(slice));
        clip.units.push(Coded { key, delay: 0, slices });
    }
    let first = shown.iter().copied().min().unwrap_or(0);
    let interval = micros(spec, 1).max(1);
    for (place, (unit, shown)) in (0u64..).zip(clip.units.iter_mut().zip(shown)) {
        let frame = (shown - first + interval / 2) / interval;
        // Shifted by the depth of reordering, so that nothing is shown before it is decoded.
        unit.delay = (frame + u64::from(spec.b_pictures.min(1))).saturating_sub(place) as u32;
    }
    check(spec, &clip)?;
    Ok(clip)
}

fn check(spec: &ClipSpec, clip: &Clip) -> Result<(), ClipError> {
    if clip.units.len() != spec.frames() as usize {
        return Err(ClipError::Output(format!("{} pictures of {}", clip.units.len(), spec.frames())));
    }
    let wrong = (0u32..).zip(&clip.units).find(|(at, unit)| unit.slices.is_empty() || unit.key != (at % spec.gop == 0));
    match wrong {
        Some((at, unit)) => Err(ClipError::Output(format!("picture {at} with {} slices, key: {}", unit.slices.len(), unit.key))),
        None if clip.parameter_sets.is_empty() => Err(ClipError::Output("no parameter sets".into())),
        None => Ok(()),
    }
}
