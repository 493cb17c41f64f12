//! `record`: what a recorder costs, and whether it lost anything.
//!
//! First of recording alone: main streams, durable each second, nobody looks at pictures and no camera tells anything. Then, for the
//! smallest number of cameras, of all that a room does with them (`whole_…`): sub-streams, key pictures looked at, events found.

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
    if let Some(&n) = cameras.iter().min() {
        let plan = Plan { cameras: n, sub: true, seconds: seconds + 60, driver: driver.map(str::to_owned), clips: Clips::Full };
        let watched = watch(&format!("record-{n}-whole"), plan, Segments::QUARTER, seconds).await?;
        let hourly = |cpu_s: f64| cpu_s / watched.seconds * 3600.0 / f64::from(n);
        figures.add(&format!("whole_cpu_s_per_camera_hour_{n}"), hourly(watched.room_cpu_s()), "s");
        for (role, cpu_s) in &watched.threads {
            figures.add(&format!("whole_{role}_cpu_s_per_camera_hour_{n}"), hourly(*cpu_s), "s");
        }
        figures.add(&format!("whole_rss_mb_{n}"), watched.rss_mib(), "MiB");
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
