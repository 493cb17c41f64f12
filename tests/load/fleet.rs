//! `fleet`: what the simulated cameras themselves cost and how well they keep time, with a client that throws the bytes away.

use crate::{figures::Figures, process::Process, site::wait_for};
use ::fleet::{
    Over,
    control::{Order, tell},
};
use anyhow::{Context, Result, ensure};
use index::model::StreamKind;
use std::{
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

/// One crowd of cameras.
struct Crowd {
    name: &'static str,
    cameras: u32,
    /// What `fleet serve` is told besides.
    more: &'static [&'static str],
    kinds: &'static [StreamKind],
    over: Over,
}

const CROWDS: [Crowd; 3] = [
    // 4 and 0.5 Mbit/s a camera: 600 sessions.
    Crowd { name: "300", cameras: 300, more: &[], kinds: &StreamKind::ALL, over: Over::Tcp },
    Crowd { name: "300_udp", cameras: 300, more: &[], kinds: &StreamKind::ALL, over: Over::Udp },
    // What the encoder spends on this scene when it may spend so much: 1.04 Mbit/s.
    Crowd {
        name: "2000",
        cameras: 2000,
        more: &["--main-kbit", "1200", "--scenes", "1"],
        kinds: &[StreamKind::Main],
        over: Over::Tcp,
    },
];

/// `tests/measure fleet`.
pub(crate) async fn fleet(seconds: u64) -> Result<()> {
    let mut figures = Figures::default();
    for crowd in &CROWDS {
        watch(crowd, seconds, &mut figures).await?;
    }
    figures.finish();
    Ok(())
}

async fn watch(crowd: &Crowd, seconds: u64, figures: &mut Figures) -> Result<()> {
    let (listen, control) = (free_address()?, free_address()?);
    let folder = std::env::current_dir()?.join(".cache/measure");
    std::fs::create_dir_all(&folder)?;
    let mut arguments =
        vec!["serve".to_owned(), "--cameras".to_owned(), crowd.cameras.to_string(), "--stats-every".to_owned(), "0".to_owned()];
    arguments.extend(["--listen".to_owned(), listen.to_string(), "--control".to_owned(), control.to_string()]);
    arguments.extend(crowd.more.iter().map(|more| (*more).to_owned()));
    let mut process = Process::start("fleet", &arguments, folder.join("fleet.log"))?;
    wait_for("the cameras to listen", Duration::from_secs(300), || {
        process.check_alive()?;
        Ok(std::net::TcpStream::connect(control).is_ok().then_some(()))
    })?;
    let streams: Vec<String> =
        (1..=crowd.cameras).flat_map(|camera| crowd.kinds.iter().map(move |kind| format!("cam/{camera}/{kind}"))).collect();
    let (wanted, over) = (streams.len() as u64, crowd.over);
    // The client watches longer than the figures are taken of: nothing begins or ends meanwhile.
    let client = tokio::task::spawn_blocking(move || ::fleet::drain(listen, streams, over, Duration::from_secs(seconds + 4)));
    let deadline = Instant::now() + Duration::from_secs(120);
    while stats(control).await?.sessions < wanted {
        ensure!(
            Instant::now() < deadline && !client.is_finished(),
            "only {} of {wanted} sessions play",
            stats(control).await?.sessions
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(stats(control).await?);
    let (before, started) = (process.cost()?.cpu_s, Instant::now());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let found = stats(control).await?;
    let cores = (process.cost()?.cpu_s - before) / started.elapsed().as_secs_f64();
    let drained = client.await?;
    process.stop()?;
    let name = crowd.name;
    figures.add(&format!("sessions_{name}"), found.sessions as f64, "sessions");
    figures.add(&format!("mbit_per_s_{name}"), found.mbit_per_s, "Mbit/s");
    figures.add(&format!("cpu_cores_{name}"), cores, "cores");
    figures.add(&format!("jitter_ms_p50_{name}"), found.jitter_ms_p50, "ms");
    figures.add(&format!("jitter_ms_p99_{name}"), found.jitter_ms_p99, "ms");
    figures.add(&format!("sessions_failed_{name}"), drained.failed as f64, "sessions");
    figures.add(&format!("units_refused_{name}"), found.refused as f64, "units");
    if over == Over::Udp {
        figures.add(&format!("datagrams_lost_{name}"), drained.lost as f64, "datagrams");
    }
    Ok(())
}

async fn stats(control: SocketAddr) -> Result<::fleet::Stats> {
    let answer = tell(control, &Order::Stats).await.context("ask the cameras for their figures")?;
    Ok(serde_json::from_value(answer)?)
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
