//! Film for measurements of the store alone: fragments without a camera, whose bytes follow from a number, and a reader of them.

use anyhow::{Context, Result};
use bytes::Bytes;
use index::{
    access::{AccessRequest, Action, Category, Extent, Person, Purpose, Register, Role, Scope},
    footage::{Draft, Reader, Store},
    journal::Journal,
    model::{
        AccessUnit, Camera, CameraAddress, CameraId, ClockReading, MediaTicks, Priority, RetentionClass, StreamId, StreamKind,
        TrackKind, Tracks, UtcMicros, VideoCodec, VideoParameters, Window,
    },
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

/// What a fragment lasts.
pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// Pictures in it, the first of which is a key unit.
const UNITS: usize = 5;
const TICKS: i64 = 90_000;

/// The main stream of a camera, of those numbered from 1.
///
/// # Errors
/// For the number 0, which no camera has.
pub(crate) fn stream(camera: u32) -> Result<StreamId> {
    let camera = CameraId::new(camera)?;
    Ok(StreamId::new(camera, StreamKind::Main))
}

/// A second filmed at `from`, in bytes that only this number has.
pub(crate) fn second(stream: StreamId, from: UtcMicros, number: u64, bytes: usize) -> Draft {
    let mut random = SmallRng::seed_from_u64(number);
    let size = bytes / UNITS;
    let unit = |n: usize| {
        let mut data = vec![0; size];
        random.fill(&mut data[..]);
        // One NAL unit behind its length, as the store gets them.
        data[..4].copy_from_slice(&(size as u32 - 4).to_be_bytes());
        data[4] = if n == 0 { 0x65 } else { 0x41 };
        let utc = from + SECOND * n as u32 / UNITS as u32;
        let ticks = utc.as_micros() * 9 / 100;
        AccessUnit {
            track: TrackKind::Video,
            key: n == 0,
            decode: MediaTicks::new(ticks),
            present: MediaTicks::new(ticks),
            utc,
            received: utc,
            rtp: ticks as u32,
            data: data.into(),
        }
    };
    Draft {
        stream,
        tracks: tracks(),
        units: (0..UNITS).map(unit).collect(),
        duration: MediaTicks::new(TICKS),
        run: 1,
        clock: ClockReading { epoch: 1, error_ms: 5, camera_offset_ms: None },
        retention: RetentionClass::Standard,
        priority: Priority::Normal,
    }
}

fn tracks() -> Arc<Tracks> {
    let decoder_config = Bytes::from_static(&[1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0, 2, 0x67, 1, 1, 0, 2, 0x68, 1]);
    let video =
        VideoParameters { codec: VideoCodec::H264, width: 640, height: 360, decoder_config, rfc6381: "avc1.4d401f".into() };
    Arc::new(Tracks { video, audio: None, metadata: false })
}

/// A reader of these streams as an operator gets one: after the access record is durable.
pub(crate) fn reader(store: &Arc<Store>, journal: &Arc<Journal>, streams: &[StreamId]) -> Result<Reader> {
    let register = Register::open(Arc::clone(journal))?;
    let person = Person {
        name: "measure".into(),
        display: "measure".into(),
        unit: String::new(),
        roles: [Role::Operator].into(),
        scopes: vec![Scope::Everything],
        must_change_password: false,
    };
    let camera =
        |stream: &StreamId| -> Result<Camera> { Ok(Camera::new(stream.camera, "", CameraAddress::new("rtsp://192.0.2.7/")?)) };
    let cameras = streams.iter().map(camera).collect::<Result<Vec<_>>>()?;
    let grant = person.may_all(Action::Playback, &cameras.iter().collect::<Vec<_>>())?;
    let request = AccessRequest {
        login: "1".into(),
        from: IpAddr::V4(Ipv4Addr::LOCALHOST),
        extent: Extent::recorded(streams.iter().copied(), Window::ALL),
        purpose: Purpose::new(Category::Maintenance, "comparing what is stored with what was sent", None)?,
    };
    let permit = register.admit(grant, request).context("a permit")?;
    Ok(store.read(&permit)?)
}
