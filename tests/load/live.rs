//! `live`: how long a frame stays inside the recorder on its way from a camera's socket to a viewer's WebSocket.

use crate::{
    figures::Figures,
    process::Process,
    site::{Client, Clips, Plan, Site},
};
use ::fleet::Stamp;
use anyhow::{Context, Result};
use futures::{SinkExt, StreamExt};
use index::model::{UtcMicros, VideoCodec};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;

const CAMERAS: u32 = 16;
const FULL_RATE: &str = "main";

/// `tests/measure live`.
pub(crate) async fn live(seconds: u64) -> Result<()> {
    let mut site =
        Site::prepare("live", Plan { cameras: CAMERAS, sub: true, seconds: 5 * seconds + 90, driver: None, clips: Clips::Full })?;
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
        let (mut whole, mut inside) = (Vec::new(), Vec::new());
        for viewer in watching {
            for seen in viewer.await?? {
                whole.extend(seen.whole_ms);
                inside.push(seen.inside_ms);
            }
        }
        figures.add(&format!("frames_{viewers}"), inside.len() as f64, "frames");
        for (name, samples) in [("latency_ms", &mut whole), ("inside_ms", &mut inside)] {
            samples.sort_by(f64::total_cmp);
            for (suffix, share) in [("p50", 0.50), ("p95", 0.95), ("p99", 0.99)] {
                figures.add(&format!("{name}_{suffix}_{viewers}"), crate::figures::percentile(samples, share), "ms");
            }
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

/// How old one frame was.
struct Seen {
    /// From the instant at which the camera was to send it until a viewer had it: the camera's own lateness, the wait for the
    /// reader's turn, the way through the recorder and TLS, and the viewer's turn. `None` for a frame without the camera's stamp.
    whole_ms: Option<f64>,
    /// From the reading of its last packet at the recorder's socket to the making of its message, as its header says.
    inside_ms: f64,
}

/// One viewer of one camera's main stream at its full rate.
async fn watch(client: Client, camera: u32, span: Duration) -> Result<Vec<Seen>> {
    let mut socket = client.web_socket("/api/v1/media").await?;
    let wanted = serde_json::json!({"op": "sub", "ch": 1, "camera": camera, "tier": FULL_RATE});
    socket.send(Message::text(wanted.to_string())).await?;
    let end = tokio::time::Instant::now() + span;
    let mut seen = Vec::new();
    let mut cached = true;
    while let Ok(message) = tokio::time::timeout_at(end, socket.next()).await {
        let Message::Binary(frame) = message.context("the room closed the socket")?? else { continue };
        let now = UtcMicros::now();
        let header: [u8; 20] = frame.get(..20).and_then(|h| h.try_into().ok()).context("a frame without its header")?;
        let age_us = u32::from_be_bytes([header[16], header[17], header[18], header[19]]);
        // The cached pictures that open a view are old by nature; live ones follow.
        cached = cached && age_us > 1_000_000 || header[1] == 0;
        if !cached && matches!(header[1], 1 | 2) {
            let whole_ms = stamped(&frame[20..]).map(|sent| now.as_micros().saturating_sub(sent.as_micros()) as f64 / 1000.0);
            seen.push(Seen { whole_ms, inside_ms: f64::from(age_us) / 1000.0 });
        }
    }
    // The first two seconds hold the rest of the cached group of pictures.
    let opening = seen.len().min(50);
    Ok(seen.split_off(opening))
}

/// When the camera was to send an access unit: its stamp is the first NAL unit.
fn stamped(unit: &[u8]) -> Option<UtcMicros> {
    let (length, rest) = unit.split_first_chunk::<4>()?;
    let nal = rest.get(..u32::from_be_bytes(*length) as usize)?;
    let stamp = [VideoCodec::H264, VideoCodec::H265].into_iter().find_map(|codec| Stamp::read(codec, nal))?;
    stamp.ok().map(|stamp| stamp.utc)
}
