//! `fleet`: simulated cameras at the command line.

use anyhow::Context;
use clap::{Parser, Subcommand};
use fleet::{AudioPlan, Auth, DigestAlgorithm, Fleet, FleetSpec, Rule};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// A fleet of simulated cameras, and the checker of what was recorded from them.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves cameras at rtsp://LISTEN/cam/I/{main,sub}, I from 1, until interrupted.
    Serve(Serve),
    /// Makes the clips that the cache lacks.
    Clips {
        #[command(flatten)]
        shape: Shape,
    },
}

#[derive(clap::Args)]
struct Shape {
    /// Small pictures and short clips, as tests use.
    #[arg(long)]
    tiny: bool,
    /// Where clips are kept.
    #[arg(long)]
    cache: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Serve {
    /// How many cameras.
    #[arg(long, default_value_t = 16)]
    cameras: u32,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8554")]
    listen: SocketAddr,
    /// Everything random comes from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What goes wrong: FAULT[=NUMBER][@SECONDS][+SECONDS][:WHO], as in drop@30:10%. May be repeated.
    #[arg(long = "fault")]
    faults: Vec<Rule>,
    /// The user who may watch; without one, everyone may.
    #[arg(long, requires = "password_file")]
    user: Option<String>,
    /// A file with that user's password in its first line.
    #[arg(long, requires = "user")]
    password_file: Option<PathBuf>,
    /// The hash of digest authentication.
    #[arg(long, value_enum, default_value = "md5")]
    digest: DigestAlgorithm,
    /// Which cameras have a microphone.
    #[arg(long, value_enum, default_value = "none")]
    audio: AudioPlan,
    /// Leave the ONVIF metadata track away.
    #[arg(long)]
    no_metadata: bool,
    /// Threads that pace and send.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Print a line of figures (JSON) this often, in seconds; 0 for never.
    #[arg(long, default_value_t = 10)]
    stats_every: u64,
    #[command(flatten)]
    shape: Shape,
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match Cli::parse().command {
        Command::Serve(arguments) => serve(arguments),
        Command::Clips { shape } => {
            let mut spec = shape.spec(u32::MAX);
            spec.cameras = spec.scenes.len() as u32;
            fleet::make_clips(&spec).context("make clips")
        }
    }
}

impl Shape {
    fn spec(&self, cameras: u32) -> FleetSpec {
        let mut spec = if self.tiny { FleetSpec::tiny(cameras) } else { FleetSpec::full(cameras) };
        if let Some(cache) = &self.cache {
            spec.cache.clone_from(cache);
        }
        spec
    }
}

impl Serve {
    fn spec(self) -> anyhow::Result<FleetSpec> {
        let mut spec = self.shape.spec(self.cameras);
        if let (Some(user), Some(file)) = (self.user, self.password_file) {
            let text = std::fs::read_to_string(&file).with_context(|| format!("read the password from {}", file.display()))?;
            let password = text.lines().next().unwrap_or_default().to_owned();
            spec.auth = Auth::Digest { user, password, algorithm: self.digest };
        }
        spec.listen = self.listen;
        spec.seed = self.seed;
        spec.faults = self.faults;
        spec.audio = self.audio;
        spec.metadata = !self.no_metadata;
        spec.threads = self.threads;
        Ok(spec)
    }
}

fn serve(arguments: Serve) -> anyhow::Result<()> {
    let every = arguments.stats_every;
    let fleet = Fleet::start(arguments.spec()?).context("start the fleet")?;
    println!("{}", serde_json::json!({ "listening": fleet.address() }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut end = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let period = if every == 0 { Duration::from_secs(86_400 * 365) } else { Duration::from_secs(every) };
        let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
        loop {
            tokio::select! {
                _ = beat.tick() => println!("{}", serde_json::to_string(&fleet.stats())?),
                _ = end.recv() => break,
                result = tokio::signal::ctrl_c() => break result?,
            }
        }
        anyhow::Ok(())
    })?;
    println!("{}", serde_json::to_string(&fleet.stats())?);
    fleet.stop();
    Ok(())
}
