//! What the store costs: CPU-seconds per camera-hour at 4 Mbit/s, everything included from the draft to its announcement.
//! `cargo bench -p index --bench append [-- CAMERAS SECONDS DIRECTORY]`. Prints `name value unit` lines.

use index::{
    footage::{Draft, Setup, Store, VolumeSetup},
    journal::Journal,
    model::{
        AccessUnit, CameraId, ClockReading, MediaTicks, NodeId, Priority, RetentionClass, StreamId, StreamKind, TrackKind,
        Tracks, UtcMicros, VideoCodec, VideoParameters,
    },
};
use std::{sync::Arc, time::Instant};

/// A second at 4 Mbit/s in 25 units, the first five times as large as the others.
fn draft(stream: StreamId, tracks: &Arc<Tracks>, second: i64, now: UtcMicros) -> Draft {
    let units = (0..25i64).map(|i| {
        let ticks = MediaTicks::new(second * 90_000 + i * 3600);
        let size = if i == 0 { 86_000 } else { 17_250 };
        let data = vec![(second + i) as u8; size].into();
        AccessUnit { track: TrackKind::Video, key: i == 0, decode: ticks, present: ticks, utc: now, received: now, rtp: 0, data }
    });
    Draft {
        stream,
        tracks: Arc::clone(tracks),
        units: units.collect(),
        duration: MediaTicks::new(90_000),
        run: 1,
        clock: ClockReading::default(),
        retention: RetentionClass::Standard,
        priority: Priority::Normal,
    }
}

fn cpu_seconds() -> f64 {
    let usage = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks: Vec<f64> = usage.rsplit(") ").next().unwrap_or("").split(' ').filter_map(|field| field.parse().ok()).collect();
    // Fields 14 and 15 of the file; the state before them is a letter. In hundredths of a second.
    (ticks.get(10).unwrap_or(&0.0) + ticks.get(11).unwrap_or(&0.0)) / 100.0
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let cameras: u32 = args.next().map_or(Ok(50), |text| text.parse())?;
    let seconds: i64 = args.next().map_or(Ok(20), |text| text.parse())?;
    let dir = args.next().unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").to_owned() + "/../target/append-bench");
    let dir = std::path::PathBuf::from(dir);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(dir.join("disk"))?;
    let node = NodeId::from_bytes([1; 16]);
    let volume = VolumeSetup { name: "disk".into(), path: dir.join("disk"), capacity: (u64::from(cameras) + 6) * (72 << 20) };
    let mut setup = Setup::new(node, dir.clone(), vec![volume]);
    (setup.segment_bytes, setup.sub_segment_bytes) = (64 << 20, 16 << 20);
    let store = Store::open(setup, Journal::open(&dir.join("journal"), node)?)?;
    let config = vec![1, 0x4d, 0x40, 0x1f, 0xff, 0xe1, 0, 2, 0x67, 1, 1, 0, 2, 0x68, 1];
    let video = VideoParameters {
        codec: VideoCodec::H264,
        width: 1920,
        height: 1080,
        decoder_config: config.into(),
        rfc6381: "avc1.4d401f".into(),
    };
    let tracks = Arc::new(Tracks { video, audio: None, metadata: false });
    let deadline = Instant::now() + std::time::Duration::from_secs(30);
    while store.health().volumes[0].segments_free < cameras as usize && Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }

    let (mut making, began, cpu) = (0.0, Instant::now(), cpu_seconds());
    for second in 0..seconds {
        let before = cpu_seconds();
        let started = Instant::now();
        let now = UtcMicros::now();
        let drafts: Vec<_> = (1..=cameras)
            .filter_map(|camera| Some(StreamId::new(CameraId::new(camera).ok()?, StreamKind::Main)))
            .map(|stream| draft(stream, &tracks, second, now))
            .collect();
        // The bench's own work, on this thread while the writer rests.
        making += (cpu_seconds() - before).min(started.elapsed().as_secs_f64());
        for draft in drafts {
            store.append(draft)?;
        }
        store.flush();
    }
    let (took, spent) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu - making);
    let health = store.health();
    let camera_hours = f64::from(cameras) * seconds as f64 / 3600.0;
    println!("cpu_s_per_camera_hour {:.3} s", spent / camera_hours);
    println!("making_s_per_camera_hour {:.3} s", making / camera_hours);
    println!("throughput_mb_s {:.0} MB/s", health.volumes[0].bytes_written as f64 / took / 1e6);
    println!("commit_ms_p50 {:.1} ms", health.volumes[0].commit_ms_p50);
    println!("commit_ms_p99 {:.1} ms", health.volumes[0].commit_ms_p99);
    println!("fragments_lost {} fragments", health.fragments_lost);
    store.close();
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
