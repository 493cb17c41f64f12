//! `seek`: how long an operator waits for the first picture of any second, for a timeline, for a still, for an export.

use crate::{
    figures::Figures,
    month,
    site::{Client, Clips, Plan, Segments, Site},
};
use anyhow::{Context, Result};
use index::model::UtcMicros;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::time::{Duration, Instant};

/// How much is recorded before reading starts.
const ARCHIVE: Duration = Duration::from_secs(60);
const SEED: u64 = 7;

/// Cameras of the month of index.
const MONTH_CAMERAS: u32 = 50;

/// `tests/measure seek`.
pub(crate) async fn seek(cameras: u32, reads: u32, days: u32) -> Result<()> {
    let mut figures = Figures::default();
    recorded(cameras, reads, &mut figures).await?;
    if days > 0 {
        long_past(days, reads, &mut figures).await?;
    }
    figures.finish();
    Ok(())
}

/// What was recorded a moment ago, while its cameras go on.
async fn recorded(cameras: u32, reads: u32, figures: &mut Figures) -> Result<()> {
    let mut site = Site::prepare("seek", Plan { cameras, sub: true, seconds: 600, driver: None, clips: Clips::Full })?;
    let fleet = site.start_fleet()?;
    let room = site.start_room()?;
    let client = site.sign_in().await?;
    client.wait_recording(site.streams(), Duration::from_secs(60)).await?;
    let from_us = UtcMicros::now().as_micros();
    tokio::time::sleep(ARCHIVE).await;
    let span = (from_us, UtcMicros::now().as_micros() - 2_000_000);

    let mut random = StdRng::seed_from_u64(SEED);
    let mut places = || (random.random_range(1..=cameras), random.random_range(span.0..span.1));
    let mut samples = Vec::new();
    for _ in 0..reads {
        samples.push(timed(&client, &first_fragment(&client, places()).await?).await?);
    }
    figures.percentiles("first_fragment_ms", &mut samples, "ms");

    drop_page_cache();
    samples.clear();
    for _ in 0..reads {
        samples.push(timed(&client, &first_fragment(&client, places()).await?).await?);
        drop_page_cache();
    }
    figures.percentiles("first_fragment_disk_ms", &mut samples, "ms");

    samples.clear();
    for _ in 0..reads {
        let (camera, at) = places();
        samples.push(timed(&client, &format!("/api/v1/stills/{camera}?at_us={at}&stream=main&format=jpeg&width=640")).await?);
    }
    figures.percentiles("still_ms", &mut samples, "ms");

    samples.clear();
    let all: Vec<String> = (1..=cameras.min(9)).map(|i| i.to_string()).collect();
    for _ in 0..reads {
        let month_ago = span.1 - 30 * 86_400_000_000;
        let path = format!("/api/v1/coverage?cameras={}&stream=main&from_us={month_ago}&to_us={}&px=1600", all.join(","), span.1);
        samples.push(timed(&client, &path).await?);
    }
    figures.percentiles("coverage_ms", &mut samples, "ms");

    let started = Instant::now();
    let bytes = client.bytes(&format!("/api/v1/footage/1/main.mp4?from_us={}&to_us={}", span.0, span.1)).await?.len();
    figures.add("range_mb_per_s", bytes as f64 / 1e6 / started.elapsed().as_secs_f64(), "MB/s");
    room.stop()?;
    fleet.stop()?;
    Ok(())
}

/// Days of 50 cameras: the start with such an index, its memory, and reading all over it while the cameras record on.
async fn long_past(days: u32, reads: u32, figures: &mut Figures) -> Result<()> {
    let plan = Plan { cameras: MONTH_CAMERAS, sub: false, seconds: 600, driver: None, clips: Clips::Tiny };
    let mut site = Site::prepare_with("seek-month", plan, Segments { main_mib: 1, sub_mib: 1 })?;
    let past = month::Plan::usual(MONTH_CAMERAS, days);
    site.allow_more(past.capacity())?;
    let (state, volume) = (site.state(), site.volume());
    let started = Instant::now();
    let month = tokio::task::spawn_blocking(move || month::lay(&state, &volume, past)).await??;
    eprintln!("{} segments laid down in {} s", month.segments, started.elapsed().as_secs());
    figures.add("month_segments", month.segments as f64, "segments");

    let fleet = site.start_fleet()?;
    let started = Instant::now();
    let room = site.start_room()?;
    let client = site.sign_in().await?;
    client.wait_recording(site.streams(), Duration::from_secs(60)).await?;
    figures.add("month_recording_after_s", started.elapsed().as_secs_f64(), "s");
    while client.get("/api/v1/health").await?["volumes"][0]["recovering"] != serde_json::json!(false) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    figures.add("month_timeline_after_s", started.elapsed().as_secs_f64(), "s");

    let (from, to) = (month.window.from.as_micros(), month.window.to.as_micros());
    let mut random = StdRng::seed_from_u64(SEED);
    let mut samples = Vec::new();
    for _ in 0..reads {
        drop_page_cache();
        let place = (random.random_range(1..=MONTH_CAMERAS), random.random_range(from..to));
        let started = Instant::now();
        client.bytes(&first_fragment(&client, place).await?).await?;
        samples.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    figures.percentiles("month_find_and_first_fragment_disk_ms", &mut samples, "ms");
    samples.clear();
    for _ in 0..reads {
        let cameras: Vec<String> = (0..9).map(|_| random.random_range(1..=MONTH_CAMERAS).to_string()).collect();
        let path = format!("/api/v1/coverage?cameras={}&stream=main&from_us={from}&to_us={to}&px=1600", cameras.join(","));
        samples.push(timed(&client, &path).await?);
    }
    figures.percentiles("month_coverage_ms", &mut samples, "ms");
    figures.add("month_rss_mb", room.cost()?.rss_mib, "MiB");
    room.stop()?;
    fleet.stop()?;
    Ok(())
}

/// The path of the fragment that holds an instant, as a player asks for it.
async fn first_fragment(client: &Client, (camera, at): (u32, i64)) -> Result<String> {
    let answer = client.get(&format!("/api/v1/fragments/{camera}/main?from_us={at}&to_us={}", at + 1)).await?;
    answer["fragments"][0]["uri"].as_str().map(str::to_owned).with_context(|| format!("no fragment at {at}: {answer}"))
}

async fn timed(client: &Client, path: &str) -> Result<f64> {
    let started = Instant::now();
    client.bytes(path).await?;
    Ok(started.elapsed().as_secs_f64() * 1000.0)
}

/// Lets the kernel forget file contents, so that the next read comes from the disk. Needs root; without it the figure is
/// that of the cache, and the line says so.
fn drop_page_cache() {
    if std::fs::write("/proc/sys/vm/drop_caches", "1").is_err() {
        eprintln!("the page cache could not be dropped: run as root for the disk's figure");
    }
}
