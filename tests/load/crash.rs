//! `crash`: kill -9 under load. What was not yet durable is lost, at most two seconds of it; what is served is right.

use crate::{
    figures::Figures,
    site::{Client, Clips, Plan, Site},
};
use ::fleet::{Checker, Span, StreamReport, control::sent_log, pictures};
use anyhow::{Context, Result};
use index::model::{UtcMicros, Window};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// How long it records between two kills: long enough that something must survive.
const BETWEEN: Duration = Duration::from_secs(8);
/// What counts as back: a stream whose newest durable picture is younger than this.
const LIMIT: Duration = Duration::from_secs(60);

/// `tests/measure crash`.
pub(crate) async fn crash(cameras: u32, kills: u32) -> Result<()> {
    // A kill leaves every open segment for good, mostly empty; its unused bytes are given back, which takes a moment.
    let seconds = u64::from(kills) * 40 + 120;
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
    figures.add("wrong_frames", wrong as f64, "frames");
    figures.finish();
    Ok(())
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
