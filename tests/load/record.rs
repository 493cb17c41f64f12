//! `record`: what a recorder costs, and whether it lost anything.

use crate::{
    figures::Figures,
    site::{Clips, Plan, Segments},
    watch::{BAD, bad_frames, watch},
};
use anyhow::Result;

/// `tests/measure record`.
pub(crate) async fn record(cameras: &[u32], seconds: u64, driver: Option<&str>) -> Result<()> {
    let mut figures = Figures::default();
    let mut sums = [0; 4];
    for &n in cameras {
        let plan = Plan { cameras: n, sub: false, seconds: seconds + 60, driver: driver.map(str::to_owned), clips: Clips::Full };
        let watched = watch(&format!("record-{n}"), plan, Segments::QUARTER, seconds).await?;
        let cpu = watched.room_cpu_s();
        let megabytes_per_s = watched.written_mb / watched.seconds;
        figures.add(&format!("cpu_s_per_camera_hour_{n}"), cpu / watched.seconds * 3600.0 / f64::from(n), "s");
        figures.add(&format!("cameras_per_core_{n}"), f64::from(n) * watched.seconds / cpu, "cameras");
        figures.add(&format!("written_mb_per_s_{n}"), megabytes_per_s, "MB/s");
        figures.add(&format!("rss_mb_{n}"), watched.rss_mib(), "MiB");
        if let Some(rate) = watched.syscalls_per_s {
            figures.add(&format!("syscalls_per_mb_{n}"), rate / megabytes_per_s, "calls");
        }
        figures.add(&format!("fleet_cpu_cores_{n}"), watched.fleet_cpu_s() / watched.seconds, "cores");
        figures.add("rss_mb_per_camera", watched.rss_mib() / f64::from(n), "MiB");
        for (sum, found) in sums.iter_mut().zip(bad_frames(&watched.report)) {
            *sum += found;
        }
    }
    for (name, sum) in BAD.into_iter().zip(sums) {
        figures.add(name, sum as f64, "frames");
    }
    figures.finish();
    Ok(())
}
