//! `viewing`: people at a centre in front of a room's cameras, over a line of 100 Mbit/s and within its budget.
//!
//! The room, its cameras, the centre and the centre's broker are processes of their own on loopback. The line between them is a relay in
//! this one, which carries no more than it may and counts what goes up.

use crate::{
    figures::{Figures, percentile},
    process::{Process, sibling},
    site::{Client, Clips, Plan, Site, free_port},
    watch::{BAD, bad_frames, read_segments},
};
use ::fleet::{Checker, control::sent_log};
use anyhow::{Context, Result, ensure};
use api::link::papers::Papers;
use futures::{SinkExt, StreamExt};
use index::model::{UtcMicros, Window};
use serde_json::json;
use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::tungstenite::Message;

const CAMERAS: u32 = 8;
/// The line.
const LINE_BITS: u64 = 100_000_000;
/// Of it, what the room's configuration allows: room for four of the eight main streams and some more.
const BUDGET_MBIT: u64 = 24;
/// Before bytes are compared, cached groups of pictures have gone.
const SETTLE: Duration = Duration::from_secs(5);
/// Over how long the budget is held against what went.
const SPAN_S: usize = 5;
const PATIENCE: Duration = Duration::from_secs(120);

/// What went up the line, in bytes.
type Carried = Arc<AtomicU64>;

/// `tests/measure viewing`.
pub(crate) async fn viewing(viewers: u32, seconds: u64) -> Result<()> {
    let plan = Plan { cameras: CAMERAS, sub: true, seconds: 2 * seconds + 150, driver: None, clips: Clips::Full };
    let mut site = Site::prepare("viewing", plan)?;
    fs::OpenOptions::new()
        .append(true)
        .open(site.config())?
        .write_all(format!("\n[above]\nbudget_mbit = {BUDGET_MBIT}\n").as_bytes())?;
    let centre = Centre::prepare(&site.state().with_file_name("centre"))?;
    let process = centre.start()?;
    let person = centre.sign_in().await?;
    let carried = centre.join(&site).await?;
    let fleet = site.start_fleet()?;
    let room = site.start_room()?;
    let here = site.sign_in().await?;
    here.wait_recording(site.streams(), PATIENCE).await?;
    until("the centre has a picture of the room", async || first_picture(&person, 1).await.is_ok()).await?;

    let mut figures = Figures::default();
    let (begun, from) = (Instant::now(), UtcMicros::now());
    // Nobody watches: what journals take.
    let still = per_second(&carried, SPAN_S).await;
    let idle = still.iter().sum::<u64>() as f64 / still.len() as f64;

    // All of them over four cameras: within the budget.
    let half = watch(&person, viewers, CAMERAS / 2, seconds, &carried).await?;
    let mut first: Vec<f64> = half.first_s.clone();
    let streams: f64 = half.bytes_per_s.iter().sum();
    let line = mean(&half.carried[SETTLE.as_secs() as usize..]) - idle;
    figures.add("viewers", f64::from(viewers), "people at the centre");
    figures.add("line_bytes_per_stream_byte", line / streams, "times what one viewer of each stream got");
    figures.add("copies_on_link", (line / streams).round(), "times that a stream went over the line");

    // All of them over eight cameras: more than the budget allows.
    let all = watch(&person, viewers, CAMERAS, seconds, &carried).await?;
    first.extend(&all.first_s);
    first.sort_by(f64::total_cmp);
    let budget = (BUDGET_MBIT * 1_000_000 / 8) as f64;
    let spans = half.carried.windows(SPAN_S).chain(all.carried.windows(SPAN_S));
    let most = spans.map(|span| span.iter().sum::<u64>() as f64 / SPAN_S as f64).fold(0.0, f64::max);
    figures.add("budget_mbit", BUDGET_MBIT as f64, "Mbit/s");
    figures.add("line_mbit_most", most * 8.0 / 1e6, "Mbit/s over 5 s");
    figures.add(
        "line_mbit_full",
        mean(&all.carried[SETTLE.as_secs() as usize..]) * 8.0 / 1e6,
        "Mbit/s with more asked for than allowed",
    );
    figures.add("budget_over_pct", ((most / budget - 1.0) * 100.0).max(0.0), "% above the budget, the worst 5 s");
    figures.add("first_picture_p50_s", percentile(&first, 0.5), "s");
    figures.add("first_picture_p95_s", percentile(&first, 0.95), "s");
    figures.add("viewers_without_picture", f64::from(2 * viewers) - first.len() as f64, "of both rounds");

    let window = Window::new(from, UtcMicros::now() - Duration::from_secs(1));
    process.stop()?;
    room.stop()?;
    let sent = sent_log(site.control()).await.context("ask the cameras what they sent")?;
    fleet.stop()?;
    let mut checker = Checker::new();
    read_segments(&site.volume(), &mut checker)?;
    for (name, sum) in BAD.into_iter().zip(bad_frames(&checker.report(Some(&sent), window))) {
        figures.add(name, sum as f64, "frames, while all that went on");
    }
    figures.add("seconds", begun.elapsed().as_secs_f64(), "s");
    figures.finish();
    Ok(())
}

/// What a round of viewers saw, and what went up the line meanwhile.
struct Round {
    /// From asking to the first picture, of each viewer who got one.
    first_s: Vec<f64>,
    /// What a viewer of each camera got a second.
    bytes_per_s: Vec<f64>,
    /// Bytes up the line, second by second.
    carried: Vec<u64>,
}

async fn watch(person: &Client, viewers: u32, cameras: u32, seconds: u64, carried: &Carried) -> Result<Round> {
    let watching: Vec<_> = (0..viewers).map(|n| tokio::spawn(view(person.clone(), n % cameras + 1, seconds))).collect();
    let line = per_second(carried, seconds as usize).await;
    let mut round = Round { first_s: Vec::new(), bytes_per_s: Vec::new(), carried: line };
    for (n, viewer) in watching.into_iter().enumerate() {
        let seen = viewer.await??;
        round.first_s.extend(seen.first_s);
        if n < cameras as usize {
            round.bytes_per_s.push(seen.bytes as f64 / (seconds as f64 - SETTLE.as_secs_f64()));
        }
    }
    // Those who were here are gone, and their streams with them.
    tokio::time::sleep(SETTLE).await;
    Ok(round)
}

struct Seen {
    first_s: Option<f64>,
    /// Of pictures, after the settling.
    bytes: u64,
}

async fn view(person: Client, camera: u32, seconds: u64) -> Result<Seen> {
    let mut socket = person.web_socket("/api/v1/media").await?;
    let begun = Instant::now();
    socket.send(Message::text(json!({ "op": "sub", "ch": 1, "camera": camera, "tier": "main" }).to_string())).await?;
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
    let mut seen = Seen { first_s: None, bytes: 0 };
    while let Ok(message) = tokio::time::timeout_at(end, socket.next()).await {
        let Message::Binary(frame) = message.context("the centre closed the socket")?? else { continue };
        if !matches!(frame.get(1), Some(1 | 2)) {
            continue;
        }
        seen.first_s.get_or_insert(begun.elapsed().as_secs_f64());
        if begun.elapsed() > SETTLE {
            seen.bytes += frame.len() as u64;
        }
    }
    Ok(seen)
}

async fn first_picture(person: &Client, camera: u32) -> Result<()> {
    let seen = view(person.clone(), camera, 3).await?;
    seen.first_s.map(drop).context("no picture")
}

async fn per_second(carried: &Carried, seconds: usize) -> Vec<u64> {
    let mut turns = tokio::time::interval(Duration::from_secs(1));
    turns.tick().await;
    let mut before = carried.load(Ordering::Acquire);
    let mut went = Vec::new();
    for _ in 0..seconds {
        turns.tick().await;
        let now = carried.load(Ordering::Acquire);
        went.push(now - before);
        before = now;
    }
    went
}

fn mean(samples: &[u64]) -> f64 {
    samples.iter().sum::<u64>() as f64 / samples.len().max(1) as f64
}

/// A centre in a folder.
struct Centre {
    folder: PathBuf,
    url: String,
    broker: u16,
    password: String,
}

impl Centre {
    fn prepare(folder: &Path) -> Result<Self> {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder.join("state"))?;
        fs::set_permissions(folder.join("state"), fs::Permissions::from_mode(0o700))?;
        let (page, broker) = (free_port()?, free_port()?);
        let text = format!(
            "[node]\nname = \"centre\"\ntier = \"district\"\nstate_dir = \"state\"\n[http]\nlisten = \"127.0.0.1:{page}\"\n\
             [below]\nlisten = \"127.0.0.1:{broker}\"\nnames = [\"127.0.0.1\"]\n"
        );
        fs::write(folder.join("centre.toml"), text)?;
        let mut centre =
            Self { folder: folder.to_owned(), url: format!("https://127.0.0.1:{page}"), broker, password: String::new() };
        centre.password = centre.haohe(&["person", "add", "measure", "--one-time", "--role", "admin", "--role", "operator"])?;
        Ok(centre)
    }

    fn config(&self) -> String {
        self.folder.join("centre.toml").display().to_string()
    }

    fn haohe(&self, arguments: &[&str]) -> Result<String> {
        haohe(arguments, &self.config())
    }

    fn start(&self) -> Result<Process> {
        Process::start("haohe", &["centre".to_owned(), "--config".to_owned(), self.config()], self.folder.join("centre.log"))
    }

    async fn sign_in(&self) -> Result<Client> {
        let client = Client::new(self.url.clone())?;
        until("the centre answers", async || client.get("/api/v1/version").await.is_ok()).await?;
        let lasting = format!("{}-Lasting-7", self.password);
        client.post("/api/v1/login", &json!({ "name": "measure", "password": self.password })).await?;
        client.post("/api/v1/me/password", &json!({ "old": self.password, "new": lasting })).await?;
        client.post("/api/v1/login", &json!({ "name": "measure", "password": lasting })).await?;
        client.put("/api/v1/me/purpose", &json!({ "category": "maintenance", "text": "measuring the line to a room" })).await?;
        Ok(client)
    }

    /// Joins the room, over the line that is measured.
    async fn join(&self, site: &Site) -> Result<Carried> {
        let line = TcpListener::bind("127.0.0.1:0").await?;
        let address = line.local_addr()?;
        let carried = Carried::default();
        tokio::spawn(relay(line, self.broker, Arc::clone(&carried)));
        haohe(&["join", &self.haohe(&["ca", "invite"])?], &site.config().display().to_string())?;
        let link = site.state().join("link");
        let papers = Papers::read(&link)?.context("the room has not joined")?;
        // Before the room runs: it dials whom its papers name when it first reads them.
        let papers = Papers { broker: address.to_string(), ..papers };
        papers.write(&link)?;
        Ok(carried)
    }
}

fn haohe(arguments: &[&str], config: &str) -> Result<String> {
    let output = Command::new(sibling("haohe")?).args(arguments).args(["--config", config]).output()?;
    ensure!(output.status.success(), "haohe {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The line: to the broker, no faster up than it is.
async fn relay(line: TcpListener, broker: u16, carried: Carried) {
    while let Ok((lower, _)) = line.accept().await {
        let carried = Arc::clone(&carried);
        tokio::spawn(async move {
            let Ok(upper) = TcpStream::connect(("127.0.0.1", broker)).await else { return };
            let _ = (lower.set_nodelay(true), upper.set_nodelay(true));
            let (mut from_lower, mut to_lower) = lower.into_split();
            let (mut from_upper, mut to_upper) = upper.into_split();
            let down = tokio::spawn(async move { drop(tokio::io::copy(&mut from_upper, &mut to_lower).await) });
            let mut buffer = vec![0; 16 << 10];
            let mut free = tokio::time::Instant::now();
            while let Ok(length @ 1..) = from_lower.read(&mut buffer).await {
                free =
                    free.max(tokio::time::Instant::now()) + Duration::from_nanos(length as u64 * 8 * 1_000_000_000 / LINE_BITS);
                tokio::time::sleep_until(free).await;
                if to_upper.write_all(&buffer[..length]).await.is_err() {
                    break;
                }
                carried.fetch_add(length as u64, Ordering::AcqRel);
            }
            down.abort();
        });
    }
}

/// Waits until something is so.
async fn until(what: &str, so: impl AsyncFn() -> bool) -> Result<()> {
    let limit = Instant::now() + PATIENCE;
    while !so().await {
        ensure!(Instant::now() < limit, "not within {} s: {what}", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
