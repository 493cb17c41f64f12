//! `live`: how long a frame stays inside the recorder on its way from a camera's socket to a viewer's WebSocket.

use crate::{
    figures::Figures,
    process::Process,
    site::{Client, Plan, Site},
};
use anyhow::{Context, Result};
use futures::{SinkExt, StreamExt};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;

const CAMERAS: u32 = 16;
const FULL_RATE: &str = "main";

/// `tests/measure live`.
pub(crate) async fn live(seconds: u64) -> Result<()> {
    let mut site = Site::prepare("live", Plan { cameras: CAMERAS, sub: true, seconds: 5 * seconds + 90, driver: None })?;
    let fleet = site.start_fleet()?;
    let room = site.start_room()?;
    let client = site.sign_in().await?;
    client.wait_recording(site.streams(), Duration::from_secs(60)).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;

    let mut figures = Figures::default();
    let idle = cpu_cores(&room, Duration::from_secs(seconds)).await?;
    figures.add("cpu_cores_0", idle, "cores");
    for viewers in [1, 16, 64] {
        let watching =
            (0..viewers).map(|i| tokio::spawn(watch(client.clone(), i % CAMERAS + 1, Duration::from_secs(seconds + 2))));
        let watching: Vec<_> = watching.collect();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let cores = cpu_cores(&room, Duration::from_secs(seconds)).await?;
        let mut ages = Vec::new();
        for viewer in watching {
            ages.extend(viewer.await??);
        }
        figures.add(&format!("frames_{viewers}"), ages.len() as f64, "frames");
        for (suffix, share) in [("p50", 0.50), ("p95", 0.95), ("p99", 0.99)] {
            ages.sort_by(f64::total_cmp);
            figures.add(&format!("latency_ms_{suffix}_{viewers}"), crate::figures::percentile(&ages, share), "ms");
        }
        figures.add(&format!("cpu_pct_per_viewer_{viewers}"), (cores - idle) * 100.0 / f64::from(viewers), "% of a core");
    }
    room.stop()?;
    fleet.stop()?;
    figures.finish();
    Ok(())
}

async fn cpu_cores(room: &Process, span: Duration) -> Result<f64> {
    let (started, before) = (Instant::now(), room.cost()?.cpu_s);
    tokio::time::sleep(span).await;
    Ok((room.cost()?.cpu_s - before) / started.elapsed().as_secs_f64())
}

/// One viewer of one camera's main stream at its full rate. Answers the age of each frame in milliseconds, from the arrival
/// of its last packet at the recorder's socket to the writing of its message, as its header says.
async fn watch(client: Client, camera: u32, span: Duration) -> Result<Vec<f64>> {
    let mut socket = client.web_socket("/api/v1/media").await?;
    let wanted = serde_json::json!({"op": "sub", "ch": 1, "camera": camera, "tier": FULL_RATE});
    socket.send(Message::text(wanted.to_string())).await?;
    let end = tokio::time::Instant::now() + span;
    let mut ages = Vec::new();
    let mut cached = true;
    while let Ok(message) = tokio::time::timeout_at(end, socket.next()).await {
        let Message::Binary(frame) = message.context("the room closed the socket")?? else { continue };
        let header: [u8; 20] = frame.get(..20).and_then(|h| h.try_into().ok()).context("a frame without its header")?;
        let age_us = u32::from_be_bytes([header[16], header[17], header[18], header[19]]);
        // The cached pictures that open a view are old by nature; live ones follow.
        cached = cached && age_us > 1_000_000 || header[1] == 0;
        if !cached && matches!(header[1], 1 | 2) {
            ages.push(f64::from(age_us) / 1000.0);
        }
    }
    // The first two seconds hold the rest of the cached group of pictures.
    let opening = ages.len().min(50);
    Ok(ages.split_off(opening))
}
