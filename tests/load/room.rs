//! `room`: a full room, main and sub-streams of 290 cameras, with the cameras on the same machine. Nothing may be lost.
//!
//! Five minutes of it are some 50 GB. All of it is kept, nothing is recycled, so every frame sent can be looked for in what was stored.

use crate::{
    figures::Figures,
    site::{Clips, Plan, Segments},
    watch::{BAD, bad_frames, watch},
};
use anyhow::{Result, ensure};

/// Besides the span that is watched: until all streams record, the settling after it, and the stop.
const AROUND_S: u64 = 35;

/// `tests/measure room`.
pub(crate) async fn room(cameras: u32, minutes: f64, driver: Option<&str>) -> Result<()> {
    ensure!((0.1..=600.0).contains(&minutes), "{minutes} minutes: ask for 0.1 to 600");
    let seconds = (minutes * 60.0).round() as u64;
    let plan = Plan { cameras, sub: true, seconds: seconds + AROUND_S, driver: driver.map(str::to_owned), clips: Clips::Full };
    let watched = watch("room", plan, Segments::SMALL, seconds).await?;
    let mut figures = Figures::default();
    for (name, sum) in BAD.into_iter().zip(bad_frames(&watched.report)) {
        figures.add(name, sum as f64, "frames");
    }
    figures.add("frames_present", watched.report.streams.iter().map(|s| s.present).sum::<u64>() as f64, "frames");
    figures.add("cpu_cores", watched.room_cpu_s() / watched.seconds, "cores");
    for (role, cpu_s) in &watched.threads {
        figures.add(&format!("{role}_cpu_cores"), cpu_s / watched.seconds, "cores");
    }
    figures.add("fleet_cpu_cores", watched.fleet_cpu_s() / watched.seconds, "cores");
    figures.add("written_mb_per_s", watched.written_mb / watched.seconds, "MB/s");
    if let Some(rate) = watched.syscalls_per_s {
        figures.add("syscalls_per_mb", rate * watched.seconds / watched.written_mb, "calls");
    }
    figures.add("rss_mb", watched.rss_mib(), "MiB");
    figures.finish();
    Ok(())
}
