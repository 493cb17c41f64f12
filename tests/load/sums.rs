//! `sums`: how long the ledger of a whole room and month takes to answer over HTTPS, summed by camera and day, by day, and for the room.
//!
//! The footage is laid down with eight gaps a day and camera, so that there is something to sum.

use crate::{
    figures::Figures,
    month,
    site::{Clips, Plan, Segments, Site},
};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};

/// One hour of three is recorded. A fragment, of which each segment has one, is at most 71 minutes long.
const SEGMENT: Duration = Duration::from_secs(3600);
const GAP: Duration = Duration::from_secs(7200);
/// Questions of each kind.
const QUESTIONS: usize = 20;

/// `tests/measure sums`.
pub(crate) async fn sums(cameras: u32, days: u32) -> Result<()> {
    let plan = Plan { cameras, sub: false, seconds: 120, driver: None, clips: Clips::Tiny };
    let mut site = Site::prepare_with("sums", plan, Segments { main_mib: 1, sub_mib: 1 })?;
    let past = month::Plan { cameras, days, segment: SEGMENT, gap: GAP };
    site.allow_more(past.capacity())?;
    let (state, volume) = (site.state(), site.volume());
    let month = tokio::task::spawn_blocking(move || month::lay(&state, &volume, past)).await??;
    // No camera answers: it is the past that is asked about.
    let room = site.start_room()?;
    let client = site.sign_in().await?;
    let started = Instant::now();
    while client.get("/api/v1/health").await?["volumes"][0]["recovering"] != serde_json::json!(false) {
        ensure!(started.elapsed() < Duration::from_secs(60), "the timeline is not whole after a minute");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (from, to) = (month.window.from.as_micros(), month.window.to.as_micros());
    let mut figures = Figures::default();
    figures.add("cameras", f64::from(cameras), "cameras");
    figures.add("days", f64::from(days), "days");
    figures.add("gaps", month.segments as f64, "gaps");
    for by in ["room", "day", "camera", "camera_day"] {
        let path = format!("/api/v1/ledger?from_us={from}&to_us={to}&by={by}");
        let mut samples = Vec::new();
        for _ in 0..QUESTIONS {
            let asked = Instant::now();
            let answer = client.get(&path).await?;
            samples.push(asked.elapsed().as_secs_f64() * 1000.0);
            let recorded = answer["total"]["recorded_s"].as_f64().context("recorded_s")?;
            let laid = month.segments as f64 * SEGMENT.as_secs_f64();
            ensure!((recorded - laid).abs() < 1.0, "{recorded} s are recorded by the ledger, {laid} s were laid down");
        }
        figures.percentiles(&format!("ledger_by_{by}_ms"), &mut samples, "ms");
    }
    room.stop()?;
    figures.finish();
    Ok(())
}
