//! `record` and `room`: what a recorder costs, and whether it lost anything.

use crate::{
    figures::Figures,
    process::{Cost, Process},
    site::{Plan, Site},
};
use anyhow::{Context, Result};
use fleet::{Checker, Report, control::sent_log, pictures};
use index::model::{UtcMicros, Window};
use std::{
    fs, io,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// Before a measurement starts, connections settle and first segments are opened.
const SETTLE: Duration = Duration::from_secs(10);

/// What one watched span cost.
struct Watched {
    seconds: f64,
    room: [Cost; 2],
    fleet: [Cost; 2],
    report: Report,
    syscalls_per_s: Option<f64>,
    written_mb: f64,
}

/// `tests/measure record`.
pub(crate) async fn record(cameras: &[u32], seconds: u64, driver: Option<&str>) -> Result<()> {
    let mut figures = Figures::default();
    let mut sums = [0; 4];
    for &n in cameras {
        let watched = watch(&format!("record-{n}"), n, false, seconds, driver).await?;
        let cpu = cpu_s(&watched.room);
        let megabytes_per_s = watched.written_mb / watched.seconds;
        figures.add(&format!("cpu_s_per_camera_hour_{n}"), cpu / watched.seconds * 3600.0 / f64::from(n), "s");
        figures.add(&format!("cameras_per_core_{n}"), f64::from(n) * watched.seconds / cpu, "cameras");
        figures.add(&format!("written_mb_per_s_{n}"), megabytes_per_s, "MB/s");
        figures.add(&format!("rss_mb_{n}"), watched.room[1].rss_mib, "MiB");
        if let Some(rate) = watched.syscalls_per_s {
            figures.add(&format!("syscalls_per_mb_{n}"), rate / megabytes_per_s, "calls");
        }
        figures.add(&format!("fleet_cpu_cores_{n}"), cpu_s(&watched.fleet) / watched.seconds, "cores");
        figures.add("rss_mb_per_camera", watched.room[1].rss_mib / f64::from(n), "MiB");
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

/// `tests/measure room`.
pub(crate) async fn room(cameras: u32, seconds: u64) -> Result<()> {
    let watched = watch("room", cameras, true, seconds, None).await?;
    let mut figures = Figures::default();
    for (name, sum) in BAD.into_iter().zip(bad_frames(&watched.report)) {
        figures.add(name, sum as f64, "frames");
    }
    figures.add("frames_present", watched.report.streams.iter().map(|s| s.present).sum::<u64>() as f64, "frames");
    figures.add("cpu_cores", cpu_s(&watched.room) / watched.seconds, "cores");
    figures.add("fleet_cpu_cores", cpu_s(&watched.fleet) / watched.seconds, "cores");
    figures.add("written_mb_per_s", watched.written_mb / watched.seconds, "MB/s");
    figures.add("rss_mb", watched.room[1].rss_mib, "MiB");
    figures.finish();
    Ok(())
}

fn cpu_s(costs: &[Cost; 2]) -> f64 {
    costs[1].cpu_s - costs[0].cpu_s
}

/// Lost: sent and not stored. Refused: never sent, because the recorder did not read in time.
const BAD: [&str; 4] = ["frames_lost", "frames_refused", "frames_duplicated", "frames_altered"];

fn bad_frames(report: &Report) -> [u64; 4] {
    let mut sums = [0, 0, 0, report.unstamped + report.faults.len() as u64];
    for stream in &report.streams {
        let found = [&stream.lost, &stream.refused, &stream.duplicated, &stream.altered];
        sums.iter_mut().zip(found).for_each(|(sum, spans)| *sum += pictures(spans));
    }
    for fault in report.faults.iter().take(5) {
        eprintln!("checker: {fault}");
    }
    sums
}

async fn watch(name: &str, cameras: u32, sub: bool, seconds: u64, driver: Option<&str>) -> Result<Watched> {
    let mut site = Site::prepare(name, Plan { cameras, sub, seconds: seconds + 60, driver: driver.map(str::to_owned) })?;
    let fleet = site.start_fleet()?;
    let room = site.start_room()?;
    let client = site.sign_in().await?;
    client.wait_recording(site.streams(), Duration::from_secs(120)).await?;
    tokio::time::sleep(SETTLE).await;

    let (started, from) = (Instant::now(), UtcMicros::now());
    let before = (room.cost()?, fleet.cost()?, bytes_written(&room)?);
    let syscalls_per_s = count_syscalls(&room, Duration::from_secs(seconds)).await;
    tokio::time::sleep_until((started + Duration::from_secs(seconds)).into()).await;
    let after = (room.cost()?, fleet.cost()?, bytes_written(&room)?);
    let elapsed = started.elapsed().as_secs_f64();

    let window = Window::new(from, UtcMicros::now() - Duration::from_secs(1));
    room.stop()?;
    let sent = sent_log(site.control()).await.context("ask the cameras what they sent")?;
    fleet.stop()?;
    let mut checker = Checker::new();
    read_segments(&site.volume(), &mut checker)?;
    Ok(Watched {
        seconds: elapsed,
        room: [before.0, after.0],
        fleet: [before.1, after.1],
        report: checker.report(Some(&sent), window),
        syscalls_per_s,
        written_mb: (after.2 - before.2) / 1e6,
    })
}

/// Bytes the process has caused to be written to disks.
fn bytes_written(process: &Process) -> Result<f64> {
    let io = std::fs::read_to_string(format!("/proc/{}/io", process.pid()))?;
    io.lines().find_map(|l| l.strip_prefix("write_bytes: ")?.parse().ok()).context("no write_bytes in /proc/PID/io")
}

/// System calls a second over five seconds in the middle of `span`, by the kernel's own counter; `None` where perf is missing
/// or may not look.
async fn count_syscalls(process: &Process, span: Duration) -> Option<f64> {
    const WATCHED_S: u32 = 5;
    tokio::time::sleep(span / 3).await;
    let pid = process.pid().to_string();
    let seconds = WATCHED_S.to_string();
    let arguments = ["stat", "-x", ",", "-e", "raw_syscalls:sys_enter", "-p", &pid, "--", "sleep", &seconds].map(str::to_owned);
    let output = tokio::task::spawn_blocking(move || Command::new("perf").args(arguments).output()).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count: f64 = text.lines().find(|l| l.contains("sys_enter"))?.split(',').next()?.parse().ok()?;
    Some(count / f64::from(WATCHED_S))
}

/// Gives the checker every segment of a volume that was used, as it lies on the disk, in the order of first use.
fn read_segments(folder: &Path, checker: &mut Checker) -> io::Result<()> {
    let mut paths: Vec<_> = fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read_segments(&path, checker)?;
        } else if path.extension().is_some_and(|e| e == "mp4") && was_used(&path)? {
            checker.file(&path.display().to_string(), &fs::read(&path)?);
        }
    }
    Ok(())
}

/// A preallocated segment that no camera was given yet is all zeros.
fn was_used(path: &Path) -> io::Result<bool> {
    use io::Read;
    let mut start = [0; 8];
    let read = fs::File::open(path)?.read(&mut start)?;
    Ok(start[..read].iter().any(|byte| *byte != 0))
}
