//! What each command of `fleet` takes and does.

use anyhow::Context;
use clap::Args;
use fleet::{AudioPlan, Auth, Checker, DigestAlgorithm, Fleet, FleetSpec, Over, Rule, StreamLog, control::Order};
use index::model::{StreamKind, UtcMicros, Window};
use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, interval_at},
};

/// Which clips.
#[derive(Args)]
pub(crate) struct Shape {
    /// Small pictures and short clips, as tests use.
    #[arg(long)]
    tiny: bool,
    /// Where clips are kept.
    #[arg(long)]
    cache: Option<PathBuf>,
}

impl Shape {
    pub(crate) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut spec = self.spec(1);
        spec.cameras = spec.scenes.len() as u32;
        fleet::make_clips(&spec).context("make clips")?;
        Ok(ExitCode::SUCCESS)
    }

    fn spec(&self, cameras: u32) -> FleetSpec {
        let mut spec = if self.tiny { FleetSpec::tiny(cameras) } else { FleetSpec::full(cameras) };
        if let Some(cache) = &self.cache {
            spec.cache.clone_from(cache);
        }
        spec
    }
}

/// Where a fleet takes orders if it is told nothing else.
const CONTROL: &str = "127.0.0.1:8555";

/// `fleet serve`
#[derive(Args)]
pub(crate) struct Serve {
    /// How many cameras.
    #[arg(long, default_value_t = 16)]
    cameras: u32,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8554")]
    listen: SocketAddr,
    /// Where to take orders (a line of JSON each); only on loopback, for there is no password.
    #[arg(long)]
    control: Option<SocketAddr>,
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
    /// So many cameras, from the first on, have an ONVIF device service whose events are pulled.
    #[arg(long, default_value_t = 0)]
    pull_points: u32,
    /// Film only so many of the streets: fewer clips to make and to keep in memory.
    #[arg(long)]
    scenes: Option<usize>,
    /// Code main streams of all scenes to about this many kbit/s instead of 4000.
    #[arg(long)]
    main_kbit: Option<u32>,
    /// Threads that pace and send.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Print a line of figures (JSON) this often, in seconds; 0 for never.
    #[arg(long, default_value_t = 10)]
    stats_every: u64,
    #[command(flatten)]
    shape: Shape,
}

impl Serve {
    fn spec(&self) -> anyhow::Result<FleetSpec> {
        let mut spec = self.shape.spec(self.cameras);
        if let (Some(user), Some(file)) = (&self.user, &self.password_file) {
            let text = std::fs::read_to_string(file).with_context(|| format!("read the password from {}", file.display()))?;
            let password = text.lines().next().unwrap_or_default().to_owned();
            anyhow::ensure!(!password.is_empty(), "the first line of {} is empty: write the password there", file.display());
            spec.auth = Auth::Digest { user: user.clone(), password, algorithm: self.digest };
        }
        spec.scenes.truncate(self.scenes.unwrap_or(usize::MAX).max(1));
        if let Some(kbit) = self.main_kbit {
            spec.scenes.iter_mut().for_each(|scene| scene.main.kbit_per_second = kbit);
        }
        spec.listen = self.listen;
        spec.seed = self.seed;
        spec.faults.clone_from(&self.faults);
        spec.audio = self.audio;
        spec.metadata = !self.no_metadata;
        spec.pull_points = self.pull_points;
        spec.threads = self.threads;
        Ok(spec)
    }

    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        anyhow::ensure!(
            self.control.is_none_or(|at| at.ip().is_loopback()),
            "--control must be a loopback address: it has no password"
        );
        fleet::raise_file_limit();
        let fleet = Arc::new(Fleet::start(self.spec()?).context("start the fleet")?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        tokio::task::LocalSet::new().block_on(&runtime, self.watch(&fleet))?;
        println!("{}", serde_json::to_string(&fleet.stats())?);
        Ok(ExitCode::SUCCESS)
    }

    /// Prints figures and takes orders until a signal ends it.
    async fn watch(&self, fleet: &Arc<Fleet>) -> anyhow::Result<()> {
        let (mut end, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let mut control = None;
        if let Some(address) = self.control {
            let listener = tokio::net::TcpListener::bind(address).await.with_context(|| format!("take orders at {address}"))?;
            control = Some(listener.local_addr()?);
            tokio::task::spawn_local(fleet::control::serve(listener, fleet.clone()));
        }
        println!(
            "{}",
            serde_json::json!({ "listening": fleet.address(), "control": control, "cameras": self.cameras, "seed": self.seed, "device": fleet.device_url(1) })
        );
        let period = Duration::from_secs(if self.stats_every == 0 { 1 << 30 } else { self.stats_every });
        let mut beat = interval_at(Instant::now() + period, period);
        loop {
            tokio::select! {
                _ = beat.tick() => println!("{}", serde_json::to_string(&fleet.stats())?),
                _ = end.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            }
        }
    }
}

/// `fleet check`
#[derive(Args)]
pub(crate) struct Check {
    /// Files or http(s) addresses, in the order of time: MP4, fragmented MP4, segments, Annex B.
    #[arg(required = true)]
    recordings: Vec<String>,
    /// The sent log: a file with the reply to {"op":"sent"}.
    #[arg(long, conflicts_with = "control")]
    sent: Option<PathBuf>,
    /// The control port of the running fleet, to ask for the sent log.
    #[arg(long)]
    control: Option<SocketAddr>,
    /// Expect only pictures taken from this instant on, in microseconds since 1970.
    #[arg(long, requires = "to_us")]
    from_us: Option<i64>,
    /// Expect only pictures taken before this instant.
    #[arg(long, requires = "from_us")]
    to_us: Option<i64>,
    /// Only the streams that the recordings hold; without it, every stream of the sent log is expected.
    #[arg(long)]
    present_only: bool,
    /// A header for http(s), as in 'cookie: __Host-haohe=…'. May be repeated.
    #[arg(long = "header")]
    headers: Vec<String>,
    /// Accept a self-signed certificate.
    #[arg(long)]
    insecure: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut checker = Checker::new();
        for name in &self.recordings {
            let bytes = if name.starts_with("http://") || name.starts_with("https://") {
                runtime.block_on(self.fetch(name)).with_context(|| format!("fetch {name}"))?
            } else {
                std::fs::read(name).with_context(|| format!("read {name}"))?
            };
            checker.file(name, &bytes);
        }
        let sent = match (&self.sent, self.control) {
            (Some(file), _) => Some(read_log(file)?),
            (None, Some(control)) => Some(runtime.block_on(fleet::control::sent_log(control)).context("ask the fleet")?),
            (None, None) => None,
        };
        let window = match (self.from_us, self.to_us) {
            (Some(from), Some(to)) => Window::new(UtcMicros::from_micros(from), UtcMicros::from_micros(to)),
            _ => Window::ALL,
        };
        let mut report = checker.report(sent.as_deref(), window);
        if self.present_only {
            report.streams.retain(|stream| stream.present > 0);
        }
        if self.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            print!("{report}");
        }
        Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn fetch(&self, address: &str) -> anyhow::Result<Vec<u8>> {
        // Another part of the program may have chosen the provider already; either will do.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder().danger_accept_invalid_certs(self.insecure).build()?;
        let mut request = client.get(address);
        for header in &self.headers {
            let (name, value) = header.split_once(':').context("a header is `name: value`")?;
            request = request.header(name.trim(), value.trim());
        }
        Ok(request.send().await?.error_for_status()?.bytes().await?.to_vec())
    }
}

fn read_log(file: &PathBuf) -> anyhow::Result<Vec<StreamLog>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let mut value: serde_json::Value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?;
    let list = if value.is_array() { value } else { value["ok"].take() };
    serde_json::from_value(list).with_context(|| format!("{} is no sent log", file.display()))
}

/// `fleet drain`
#[derive(Args)]
pub(crate) struct Drain {
    /// The fleet.
    #[arg(long, default_value = "127.0.0.1:8554")]
    fleet: SocketAddr,
    /// How many cameras, from 1.
    #[arg(long, default_value_t = 16)]
    cameras: u32,
    /// Only these streams; both without it.
    #[arg(long)]
    kind: Option<StreamKind>,
    /// For how many seconds after all of them play.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// By datagrams instead of within the connections.
    #[arg(long)]
    udp: bool,
}

impl Drain {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let kinds: Vec<_> = StreamKind::ALL.into_iter().filter(|kind| self.kind.is_none_or(|only| only == *kind)).collect();
        let streams = (1..=self.cameras).flat_map(|camera| kinds.iter().map(move |kind| format!("cam/{camera}/{kind}")));
        let over = if self.udp { Over::Udp } else { Over::Tcp };
        let drained = fleet::drain(self.fleet, streams.collect(), over, Duration::from_secs(self.seconds));
        println!("{}", serde_json::to_string(&drained)?);
        Ok(if drained.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// `fleet tell`
#[derive(Args)]
pub(crate) struct Tell {
    /// The fleet's control port.
    #[arg(long, default_value = CONTROL)]
    control: SocketAddr,
    /// What to do with the fault.
    change: Change,
    /// The fault, as in `fleet serve --fault`: offline, silent, drop, drift=200.
    fault: String,
    /// Which cameras: all, 3, 1,2 or 10%.
    who: String,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Change {
    Begin,
    End,
}

impl Tell {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let Self { control, change, fault, who } = self;
        let order = match change {
            Change::Begin => Order::Begin { fault, who },
            Change::End => Order::End { fault, who },
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let told = runtime.block_on(fleet::control::tell(control, &order));
        told.with_context(|| format!("tell the fleet at {control}"))?;
        Ok(ExitCode::SUCCESS)
    }
}
