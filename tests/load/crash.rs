//! `crash`: kill -9 under load. What was not yet durable is lost, at most two seconds of it; what is served is right. After that the
//! recorder is stopped for some seconds (SIGSTOP) and continued: what it could not record meanwhile is a gap with a cause.

use crate::{
    figures::Figures,
    process::Process,
    site::{Client, Clips, Plan, Site},
};
use ::fleet::{Checker, Span, StreamReport, control::sent_log, pictures};
use anyhow::{Context, Result};
use index::model::{GapCause, UtcMicros, Window};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// How long it records between two kills: long enough that something must survive.
const BETWEEN: Duration = Duration::from_secs(8);
/// What counts as back: a stream whose newest durable picture is younger than this.
const LIMIT: Duration = Duration::from_secs(60);

/// `tests/measure crash`.
pub(crate) async fn crash(cameras: u32, kills: u32, stops: u32, stopped_s: u64) -> Result<()> {
    // A kill leaves every open segment for good, mostly empty; its unused bytes are given back, which takes a moment.
    let seconds = u64::from(kills) * 40 + u64::from(stops) * (stopped_s + 30) + 120;
    let mut site = Site::prepare("crash", Plan { cameras, sub: false, seconds, driver: None, clips: Clips::Full })?;
    let fleet = site.start_fleet()?;
    let mut room = site.start_room()?;
    site.sign_in().await?.wait_recording(cameras, LIMIT).await?;

    let mut lost_s = Vec::new();
    let (mut recording_after_s, mut timeline_after_s) = (Vec::new(), Vec::new());
    for _ in 0..kills {
        tokio::time::sleep(BETWEEN).await;
        let killed_us = UtcMicros::now().as_micros();
        room.kill()?;
        let started = Instant::now();
        room = site.start_room()?;
        let client = site.sign_in().await?;
        client.wait_recording(cameras, LIMIT).await?;
        recording_after_s.push(started.elapsed().as_secs_f64());
        lost_s.extend(lost_before(&client, cameras, killed_us, &mut timeline_after_s, started).await?);
    }
    let client = site.sign_in().await?;
    let mut stands = Vec::new();
    for _ in 0..stops {
        stands.push(stand(&client, &room, cameras, Duration::from_secs(stopped_s)).await?);
    }
    let wrong = wrong_frames(&client, cameras, site.control()).await?;
    room.stop()?;
    fleet.stop()?;

    let mut figures = Figures::default();
    let max = |samples: &[f64]| samples.iter().copied().fold(0.0, f64::max);
    let mean = |samples: &[f64]| samples.iter().sum::<f64>() / samples.len().max(1) as f64;
    figures.add("kills", f64::from(kills), "kills");
    figures.add("lost_s_max", max(&lost_s), "s");
    figures.add("lost_s_mean", mean(&lost_s), "s");
    figures.add("recording_after_s_max", max(&recording_after_s), "s");
    figures.add("recording_after_s_mean", mean(&recording_after_s), "s");
    figures.add("timeline_after_s_max", max(&timeline_after_s), "s");
    if !stands.is_empty() {
        let worst = |of: fn(&Stand) -> f64| stands.iter().map(of).fold(0.0, f64::max);
        figures.add("stops", f64::from(stops), "stops");
        figures.add("stopped_s", stopped_s as f64, "s");
        figures.add("stop_missing_s_max", worst(|stand| stand.missing_s), "s");
        figures.add("stop_recording_after_s_max", worst(|stand| stand.recording_after_s), "s");
        figures.add("stop_unexplained_s", stands.iter().map(|stand| stand.unexplained_s).sum(), "s");
        figures.add("stop_cause_restart_pct", stands.iter().map(|stand| stand.named_pct).sum::<f64>() / f64::from(stops), "%");
    }
    figures.add("wrong_frames", wrong as f64, "frames");
    figures.finish();
    Ok(())
}

/// What one stop of the whole recorder cost.
struct Stand {
    /// Seconds that the worst camera misses.
    missing_s: f64,
    unexplained_s: f64,
    /// The share of the missing time whose cause says that the recorder did not run.
    named_pct: f64,
    /// From its going on until all record.
    recording_after_s: f64,
}

async fn stand(client: &Client, room: &Process, cameras: u32, stopped: Duration) -> Result<Stand> {
    tokio::time::sleep(BETWEEN).await;
    let from_us = UtcMicros::now().as_micros();
    room.stand_still()?;
    tokio::time::sleep(stopped).await;
    room.go_on()?;
    let (began, went_on) = (Instant::now(), UtcMicros::now().as_micros());
    // Not those that were fresh before it stood still.
    client.wait_recorded_since(cameras, went_on, LIMIT).await?;
    let recording_after_s = began.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let to_us = UtcMicros::now().as_micros() - 3_000_000;
    let answer = client.get(&format!("/api/v1/ledger?from_us={from_us}&to_us={to_us}&by=camera&stream=main")).await?;
    let rows = answer["rows"].as_array().context("rows")?;
    let gap = |row: &serde_json::Value, cause: GapCause| row["gaps"][cause.word()].as_f64().unwrap_or(0.0);
    let sum = |of: &dyn Fn(&serde_json::Value) -> f64| rows.iter().map(of).sum::<f64>();
    let missing = |row: &serde_json::Value| row["missing_s"].as_f64().unwrap_or(f64::NAN);
    Ok(Stand {
        missing_s: rows.iter().map(missing).fold(0.0, f64::max),
        unexplained_s: sum(&|row| gap(row, GapCause::Unexplained)),
        named_pct: 100.0 * sum(&|row| gap(row, GapCause::Restart)) / sum(&missing).max(0.001),
        recording_after_s,
    })
}

/// For each camera, the seconds between its last durable picture before the kill and the kill.
async fn lost_before(
    client: &Client,
    cameras: u32,
    killed_us: i64,
    timeline_after_s: &mut Vec<f64>,
    started: Instant,
) -> Result<Vec<f64>> {
    let from = killed_us - 6_000_000;
    let ids: Vec<String> = (1..=cameras).map(|i| i.to_string()).collect();
    let path = format!("/api/v1/coverage?cameras={}&stream=main&from_us={from}&to_us={killed_us}&px=6000", ids.join(","));
    let deadline = Instant::now() + LIMIT;
    loop {
        let answer = client.get(&path).await?;
        let rows = answer["rows"].as_array().context("rows")?;
        let ends: Vec<i64> = rows.iter().filter_map(last_recorded).collect();
        // The timeline is whole when every camera's footage from before the kill is there again.
        if ends.len() == cameras as usize || Instant::now() > deadline {
            timeline_after_s.push(started.elapsed().as_secs_f64());
            return Ok(ends
                .iter()
                .map(|end| (killed_us - end) as f64 / 1e6)
                .chain((ends.len()..cameras as usize).map(|_| 6.0))
                .collect());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn last_recorded(row: &serde_json::Value) -> Option<i64> {
    row["intervals"].as_array()?.iter().filter(|i| i[2] == 0).filter_map(|i| i[1].as_i64()).max()
}

/// Plays every camera from first to last through the API and counts what no camera sent, or sent otherwise, or twice.
async fn wrong_frames(client: &Client, cameras: u32, control: SocketAddr) -> Result<u64> {
    let mut checker = Checker::new();
    let to = UtcMicros::now().as_micros();
    for camera in 1..=cameras {
        let from = to - 3_600_000_000;
        let file = client.bytes(&format!("/api/v1/footage/{camera}/main.mp4?from_us={from}&to_us={to}")).await?;
        checker.file(&format!("camera {camera}"), &file);
    }
    // Asked last: what is played must have been sent before.
    let sent = sent_log(control).await?;
    let report = checker.report(Some(&sent), Window::ALL);
    let count = |spans: fn(&StreamReport) -> &Vec<Span>| report.streams.iter().map(|s| pictures(spans(s))).sum::<u64>();
    let found = [
        ("altered", count(|s| &s.altered)),
        ("duplicated", count(|s| &s.duplicated)),
        ("reordered", count(|s| &s.reordered)),
        ("unsent", count(|s| &s.unsent)),
        ("unstamped", report.unstamped),
        ("malformed", report.faults.len() as u64),
    ];
    for (kind, frames) in found.iter().filter(|(_, frames)| *frames > 0) {
        eprintln!("wrong frames: {frames} {kind}");
    }
    for fault in report.faults.iter().take(5) {
        eprintln!("wrong frames: {fault}");
    }
    Ok(found.iter().map(|(_, frames)| frames).sum())
}
