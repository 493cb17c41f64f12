//! `return`: a switch fails, every camera of a room is gone, and all are back in the same instant. None may be left out, and
//! the recorder's connects and CPU time stay bounded.
//!
//! The cameras send small pictures: it is the connecting that is measured, not the writing.

use crate::{
    figures::Figures,
    process::Process,
    site::{Client, Clips, Plan, Segments, Site},
};
use anyhow::{Context, Result, ensure};
use fleet::control::{Order, tell};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Until all record at first.
const LIMIT: Duration = Duration::from_secs(120);
/// After this long without some of them the measurement says so and ends.
const GIVE_UP: Duration = Duration::from_secs(180);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// `tests/measure return`.
pub(crate) async fn mass_return(cameras: u32, outage_s: u64) -> Result<()> {
    let plan = Plan { cameras, sub: false, seconds: outage_s + 400, driver: None, clips: Clips::Tiny };
    let mut site = Site::prepare_with("return", plan, Segments::SMALL)?;
    let fleet = site.start_fleet()?;
    let room = site.start_room()?;
    let client = site.sign_in().await?;
    client.wait_recording(cameras, LIMIT).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;

    let everybody = || "all".to_owned();
    tell(site.control(), &Order::Begin { fault: "offline".to_owned(), who: everybody() }).await?;
    tokio::time::sleep(Duration::from_secs(outage_s)).await;
    let left = client.recording().await?;
    ensure!(left == 0, "{left} cameras record although all are gone");
    let before = connections(site.control()).await?;
    tell(site.control(), &Order::Clear { who: everybody() }).await?;
    let found = watch(&client, &room, site.control(), cameras, before).await?;
    room.stop()?;
    fleet.stop()?;

    let mut figures = Figures::default();
    figures.add("cameras", f64::from(cameras), "cameras");
    figures.add("outage_s", outage_s as f64, "s");
    figures.add("recording_95_s", found.most_s, "s");
    figures.add("recording_all_s", found.all_s, "s");
    figures.add("connects_per_s_peak", found.connects, "connects");
    figures.add("cpu_cores_peak", found.cores, "cores");
    figures.finish();
    Ok(())
}

/// What a return took.
struct Found {
    most_s: f64,
    all_s: f64,
    connects: f64,
    cores: f64,
}

async fn watch(client: &Client, room: &Process, control: SocketAddr, cameras: u32, before: u64) -> Result<Found> {
    let started = Instant::now();
    let mut most_s = None;
    let (mut looks, mut found) =
        (vec![(0.0, before, room.cost()?.cpu_s)], Found { most_s: 0.0, all_s: 0.0, connects: 0.0, cores: 0.0 });
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let recording = client.recording().await?;
        let now = started.elapsed().as_secs_f64();
        looks.push((now, connections(control).await?, room.cost()?.cpu_s));
        // Over a second.
        if let [.., (then, taken, cpu_s), _, _, _, (now, taken_now, cpu_s_now)] = looks[..] {
            let span = now - then;
            found.connects = found.connects.max((taken_now - taken) as f64 / span);
            found.cores = found.cores.max((cpu_s_now - cpu_s) / span);
        }
        if recording * 100 >= cameras * 95 {
            most_s.get_or_insert(now);
        }
        if recording == cameras {
            (found.most_s, found.all_s) = (most_s.unwrap_or(now), now);
            return Ok(found);
        }
        ensure!(
            started.elapsed() < GIVE_UP,
            "only {recording} of {cameras} cameras record {} s after their return",
            GIVE_UP.as_secs()
        );
    }
}

/// How many connections the cameras ever took, those that came to nothing included.
async fn connections(control: SocketAddr) -> Result<u64> {
    tell(control, &Order::Stats).await?["connections"].as_u64().context("the fleet's figures name no connections")
}
