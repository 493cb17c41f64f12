//! A room that records simulated cameras for a while, watched from outside: what it cost, and what became of every frame.

use crate::{
    process::{Cost, Process},
    site::{Plan, Segments, Site},
};
use ::fleet::{Checker, Report, control::sent_log, pictures};
use anyhow::{Context, Result};
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
pub(crate) struct Watched {
    /// How long it was.
    pub(crate) seconds: f64,
    /// What was recorded against what was sent.
    pub(crate) report: Report,
    /// System calls of the recorder; `None` where the kernel's counter cannot be read.
    pub(crate) syscalls_per_s: Option<f64>,
    /// What it wrote to the disk.
    pub(crate) written_mb: f64,
    /// CPU seconds of the recorder's threads, by what they do.
    pub(crate) threads: Vec<(String, f64)>,
    room: [Cost; 2],
    fleet: [Cost; 2],
}

impl Watched {
    /// CPU seconds of the recorder, user and system.
    pub(crate) fn room_cpu_s(&self) -> f64 {
        self.room[1].cpu_s - self.room[0].cpu_s
    }

    /// CPU seconds of the simulated cameras.
    pub(crate) fn fleet_cpu_s(&self) -> f64 {
        self.fleet[1].cpu_s - self.fleet[0].cpu_s
    }

    /// The recorder's resident memory at the end.
    pub(crate) fn rss_mib(&self) -> f64 {
        self.room[1].rss_mib
    }
}

/// Names of [`bad_frames`]. Lost: sent and not stored. Refused: never sent, because the recorder did not read in time.
pub(crate) const BAD: [&str; 4] = ["frames_lost", "frames_refused", "frames_duplicated", "frames_altered"];

/// How many frames went wrong, each way of [`BAD`]. The first of them are named on the error output.
pub(crate) fn bad_frames(report: &Report) -> [u64; 4] {
    let mut sums = [0, 0, 0, report.unstamped + report.faults.len() as u64];
    let mut named = 0;
    for stream in &report.streams {
        let found = [&stream.lost, &stream.refused, &stream.duplicated, &stream.altered];
        for ((sum, spans), what) in sums.iter_mut().zip(found).zip(BAD) {
            *sum += pictures(spans);
            for span in spans.iter().take(if named < 20 { 3 } else { 0 }) {
                named += 1;
                eprintln!("{what}: {} {} to {}, taken {:?} to {:?}", stream.stream, span.first, span.last, span.from, span.to);
            }
        }
    }
    for fault in report.faults.iter().take(5) {
        eprintln!("checker: {fault}");
    }
    sums
}

/// Starts what `plan` says, waits until all of it records, and watches for `seconds`. Everything is stopped and its footage removed
/// when it returns.
pub(crate) async fn watch(name: &str, plan: Plan, segments: Segments, seconds: u64) -> Result<Watched> {
    let mut site = Site::prepare_with(name, plan, segments)?;
    let fleet = site.start_fleet()?;
    let room = site.start_room()?;
    let client = site.sign_in().await?;
    client.wait_recording(site.streams(), Duration::from_secs(120)).await?;
    tokio::time::sleep(SETTLE).await;

    let (started, from) = (Instant::now(), UtcMicros::now());
    let before = (room.cost()?, fleet.cost()?, bytes_written(&room)?, room.thread_costs()?);
    let syscalls_per_s = count_syscalls(&room, Duration::from_secs(seconds)).await;
    tokio::time::sleep_until((started + Duration::from_secs(seconds)).into()).await;
    let after = (room.cost()?, fleet.cost()?, bytes_written(&room)?, room.thread_costs()?);
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
        threads: after.3.into_iter().map(|(name, cpu_s)| (name.clone(), cpu_s - before.3.get(&name).unwrap_or(&0.0))).collect(),
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
pub(crate) fn read_segments(folder: &Path, checker: &mut Checker) -> io::Result<()> {
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
