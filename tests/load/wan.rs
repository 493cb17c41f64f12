//! `wan`: a room behind a line that was cut for a day and comes back narrow, lossy and flapping, with real processes and a real broker.
//!
//! The day is compressed: while the line is cut and the room stands still, a day's events are appended to its journal. What is compared at
//! the end are the journals themselves, and what the centre finds.

use crate::{
    district::District,
    figures::Figures,
    namespaces::{Line, Place},
    process::{Process, sibling},
    site::wait_for,
};
use anyhow::{Context, Result, ensure};
use index::{
    events,
    journal::{Copies, CopyLimits, Journal},
    model::UtcMicros,
    node::StateDir,
};
use std::{
    collections::HashMap,
    fs,
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const DAY_S: u64 = 86_400;
/// The line that comes back.
const MBIT: u32 = 2;
const LOST_PCT: u32 = 1;
/// How long it holds, and how long it is away in between.
const HOLDS: Duration = Duration::from_secs(12);
const AWAY: Duration = Duration::from_secs(2);
/// The centre's count of nodes of which it has everything.
const CURRENT: &str = "haohe_nodes_below{state=\"current\"}";
const TOKEN: &str = "measure-token-0123456789";
const PATIENCE: Duration = Duration::from_secs(120);

/// A node at one end of the line.
struct Node {
    folder: PathBuf,
    role: &'static str,
    process: Option<Process>,
    namespace: String,
    url: String,
}

impl Node {
    fn prepare(folder: &Path, role: &'static str, place: &Place) -> Result<Self> {
        let folder = folder.join(role);
        fs::create_dir_all(folder.join("state"))?;
        fs::set_permissions(folder.join("state"), fs::Permissions::from_mode(0o700))?;
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.join("token"))?
            .write_all(TOKEN.as_bytes())?;
        let (tier, own) = match role {
            "room" => {
                fs::create_dir_all(folder.join("volume"))?;
                let volume = "[footage]\nsegment_mib = 1\nsub_segment_mib = 1\n[[volume]]\nname = \"disk\"\npath = \"volume\"\ncapacity = \"16 MiB\"\n";
                ("room", volume.to_owned())
            }
            _ => ("subdistrict", format!("[below]\nlisten = \"0.0.0.0:7422\"\nnames = [\"{}\"]\n", place.on_line)),
        };
        let text = format!(
            "[node]\nname = \"{role}\"\ntier = \"{tier}\"\nstate_dir = \"state\"\n[http]\nlisten = \"0.0.0.0:8443\"\n\
             [metrics]\ntoken_file = \"token\"\n{own}"
        );
        fs::write(folder.join("node.toml"), text)?;
        let url = format!("https://{}:8443", place.from_here);
        Ok(Self { folder, role, process: None, namespace: place.name.clone(), url })
    }

    fn config(&self) -> String {
        self.folder.join("node.toml").display().to_string()
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn start(&mut self) -> Result<()> {
        let command = if self.role == "room" { "room" } else { "centre" };
        let arguments = [command.to_owned(), "--config".to_owned(), self.config()];
        self.process = Some(Process::start_in(&self.namespace, "haohe", &arguments, self.folder.join("log"))?);
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), Process::stop)
    }

    fn haohe(&self, arguments: &[&str]) -> Result<String> {
        let program = sibling("haohe")?;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program).args(arguments).args(["--config", &self.config()]);
        let output = command.output()?;
        ensure!(output.status.success(), "haohe {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// A figure of its `/metrics`; `None` while it does not answer.
    async fn metric(&self, http: &reqwest::Client, name: &str) -> Option<f64> {
        let answer =
            http.get(format!("{}/metrics", self.url)).bearer_auth(TOKEN).timeout(Duration::from_secs(5)).send().await.ok()?;
        let text = answer.text().await.ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    fn journal(&self) -> Result<Arc<Journal>> {
        let state = StateDir::open(&self.state())?;
        Ok(Journal::open(&state.journal(), state.node())?)
    }
}

/// `tests/measure wan`.
pub(crate) async fn wan(events_per_s: u64) -> Result<()> {
    let folder = std::env::current_dir()?.join(".cache/measure/wan");
    let _ = fs::remove_dir_all(&folder);
    let line = Line::new()?;
    let (mut room, mut centre) = (Node::prepare(&folder, "room", &line.lower)?, Node::prepare(&folder, "centre", &line.upper)?);
    let http = reqwest::Client::builder().danger_accept_invalid_certs(true).build()?;
    room.start()?;
    centre.start()?;
    until("both nodes answer", async || {
        room.metric(&http, "haohe_journal_tail").await.is_some() && centre.metric(&http, "haohe_journal_tail").await.is_some()
    })
    .await?;
    let code = centre.haohe(&["ca", "invite"])?;
    room.haohe(&["join", &code])?;
    until("the room's journal is at the centre", async || centre.metric(&http, CURRENT).await == Some(1.0)).await?;

    eprintln!("the line is cut for a day of {} events", events_per_s * DAY_S);
    line.cut(true)?;
    room.stop()?;
    let tail = append_a_day(&room, events_per_s)?;
    room.start()?;
    until("the room answers", async || room.metric(&http, "haohe_journal_tail").await.is_some()).await?;
    line.narrow(MBIT, LOST_PCT)?;
    let carried = line.carried_up()?;

    eprintln!("the line is back at {MBIT} Mbit/s, loses {LOST_PCT} % of packets and flaps");
    let (begun, ended) = (Instant::now(), AtomicBool::new(false));
    let (drained, flaps) = tokio::join!(
        async {
            let drained = drained(&centre, &http, events_per_s * DAY_S).await;
            ended.store(true, Ordering::Release);
            drained
        },
        flap(&line, &ended)
    );
    let (drain_s, flaps) = (drained?.duration_since(begun).as_secs_f64(), flaps?);
    let carried = line.carried_up()? - carried;
    room.stop()?;
    centre.stop()?;

    let (lost, doubled) = compare(&room, &centre, tail)?;
    let mut figures = Figures::default();
    figures.add("events", (events_per_s * DAY_S) as f64, "events of the day that the line was cut");
    figures.add("flaps", f64::from(flaps), "times that the line went away while it was caught up with");
    figures.add("drain_s", drain_s, "s until all of it was found at the centre");
    figures.add("drain_x", DAY_S as f64 / drain_s, "times as fast as it happened");
    figures.add("line_bytes_per_event", carried as f64 / (events_per_s * DAY_S) as f64, "bytes");
    figures.add("lost", lost as f64, "events");
    figures.add("doubled", doubled as f64, "events");
    figures.finish();
    Ok(())
}

/// Appends a day of events to the journal of a node that stands still. Returns where it ends.
fn append_a_day(room: &Node, events_per_s: u64) -> Result<u64> {
    let journal = room.journal()?;
    let (mut district, count) = (District::new(5), events_per_s * DAY_S);
    let first = UtcMicros::now().as_micros() - DAY_S as i64 * 1_000_000;
    for n in 0..count {
        while journal.health().waiting > 8_000 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let at = UtcMicros::from_micros(first + (n * 1_000_000 / events_per_s) as i64);
        drop(journal.append(district.event(at).into_record(at)));
    }
    wait_for("the day to be durable", PATIENCE, || Ok((journal.health().waiting == 0).then_some(())))?;
    let tail = journal.tail().get();
    journal.close();
    Ok(tail)
}

/// When the centre finds all that many events and has nothing left to fetch.
async fn drained(centre: &Node, http: &reqwest::Client, events: u64) -> Result<Instant> {
    let limit = Instant::now() + Duration::from_secs(DAY_S / 20);
    loop {
        let found = centre.metric(http, "haohe_events_indexed_total").await.unwrap_or_default();
        if found >= events as f64 && centre.metric(http, CURRENT).await == Some(1.0) {
            return Ok(Instant::now());
        }
        ensure!(Instant::now() < limit, "after {} s the centre has found {found} of {events} events", DAY_S / 20);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Lets the line go away now and then until all is there. Returns how often it went.
async fn flap(line: &Line, ended: &AtomicBool) -> Result<u32> {
    let mut flaps = 0;
    let mut changes = Instant::now() + HOLDS;
    while !ended.load(Ordering::Acquire) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if Instant::now() >= changes {
            line.cut(true)?;
            tokio::time::sleep(AWAY).await;
            line.cut(false)?;
            flaps += 1;
            changes = Instant::now() + HOLDS;
        }
    }
    Ok(flaps)
}

/// Events of the room that the centre does not find, and those that it finds twice, after both have stopped.
fn compare(room: &Node, centre: &Node, tail: u64) -> Result<(usize, usize)> {
    let id = StateDir::peek(&room.state())?.context("the room has no identity")?;
    let copies = Copies::open(&StateDir::open(&centre.state())?.copies(), CopyLimits::default())?;
    let copy = copies.of(id)?;
    let verified = copy.verify()?.get();
    ensure!(verified >= tail, "the centre's copy ends at {verified} of {tail}");
    let there: Vec<u64> = events::contents(&room.state().join("events"))?.into_iter().map(|(seq, ..)| seq).collect();
    let mut here: HashMap<u64, usize> = HashMap::new();
    for (seq, ..) in events::contents(&centre.state().join("events"))?.into_iter().filter(|(_, node, _)| *node == Some(id)) {
        *here.entry(seq).or_default() += 1;
    }
    let lost = there.iter().filter(|seq| **seq <= tail && !here.contains_key(seq)).count();
    Ok((lost, here.values().filter(|times| **times > 1).count()))
}

/// Waits until something is so.
async fn until(what: &str, so: impl AsyncFn() -> bool) -> Result<()> {
    let limit = Instant::now() + PATIENCE;
    while !so().await {
        ensure!(Instant::now() < limit, "not within {} s: {what}", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
