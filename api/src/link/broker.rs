//! The centre's broker: a NATS server of its own, configured by the list of members and kept running.
//!
//! It carries and remembers nothing (no JetStream, no disk): what a message was about is asked again. Whoever dials in is who its
//! certificate says, by TLS and before anything else, and may only answer the questions put to itself, where they were asked from. So no
//! room can speak as another, hear another, or ask anything.

use super::{
    authority::{Authority, name_of},
    members::Member,
};
use crate::tls::write_private;
use anyhow::Context;
use index::model::NodeId;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fmt::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long a broker that ended is left alone before it is started again, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// What it may hold for one node that does not take it.
const MAX_PENDING: &str = "8MB";

/// Where it listens and how it is started.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Where lower nodes dial in.
    pub listen: SocketAddr,
    /// The names that they dial, as they stand in its certificate; the first is the one they are told.
    pub names: Vec<String>,
    /// The program.
    pub program: PathBuf,
}

/// The subject on which a node is asked.
#[must_use]
pub fn asked_on(node: NodeId) -> String {
    format!("haohe.link.{node}.ask")
}

/// Where a centre's answers come to.
#[must_use]
pub fn answered_on(centre: NodeId) -> String {
    format!("haohe.answer.{centre}")
}

/// What the server reads: who may come, and what each may say. Pure.
#[must_use]
pub fn written(config: &BrokerConfig, dir: &Path, centre: NodeId, members: &[Member]) -> String {
    let file = |name: &str| format!("{:?}", dir.join(name).display().to_string());
    let mut text = format!(
        "# Written by haohe; changed whenever a node joins.\n\
         server_name: \"haohe-{centre}\"\n\
         listen: \"{listen}\"\n\
         pid_file: {pid}\n\
         max_payload: 1048576\n\
         max_pending: {MAX_PENDING}\n\
         write_deadline: \"10s\"\n\
         tls {{\n  cert_file: {certificate}\n  key_file: {key}\n  ca_file: {authority}\n  verify_and_map: true\n  timeout: 10\n}}\n\
         authorization {{\n  users: [\n",
        listen = config.listen,
        pid = file("broker.pid"),
        certificate = file("broker.pem"),
        key = file("broker.key"),
        authority = file("authority.pem"),
    );
    let _ = writeln!(
        text,
        "    {{ user: \"{}\", permissions: {{ publish: \"haohe.link.*.ask\", subscribe: \"{}.>\" }} }}",
        name_of(centre),
        answered_on(centre)
    );
    for member in members {
        let _ = writeln!(
            text,
            "    {{ user: \"{}\", permissions: {{ subscribe: \"{}\", \
             allow_responses: {{ max: 1, expires: \"30s\" }} }} }}",
            name_of(member.node),
            asked_on(member.node)
        );
    }
    text.push_str("  ]\n}\n");
    text
}

/// A broker that is kept running until this is dropped.
pub struct Broker {
    config: BrokerConfig,
    dir: PathBuf,
    centre: NodeId,
    stop: Arc<AtomicBool>,
    child: Arc<Mutex<Option<Child>>>,
    keeper: Option<JoinHandle<()>>,
}

impl Broker {
    /// Makes its certificate, writes its configuration, and starts it on a thread that starts it again whenever it ends.
    ///
    /// # Errors
    /// If the files cannot be written, or there is no such program.
    pub fn start(
        config: BrokerConfig,
        dir: &Path,
        centre: NodeId,
        authority: &Authority,
        members: &[Member],
    ) -> anyhow::Result<Self> {
        let (certificate, key) = authority.for_broker(&config.names)?;
        write_private(&dir.join("broker.pem"), certificate.as_bytes())?;
        write_private(&dir.join("broker.key"), key.as_bytes())?;
        let file = dir.join("broker.conf");
        write_private(&file, written(&config, dir, centre, members).as_bytes())?;
        let checked = Command::new(&config.program).arg("-t").arg("-c").arg(&file).stdin(Stdio::null()).output();
        let checked = checked.with_context(|| {
            format!(
                "start {}: install a NATS server of 2.10 or later, or name its program in below.program",
                config.program.display()
            )
        })?;
        anyhow::ensure!(
            checked.status.success(),
            "{} does not take {}: {}",
            config.program.display(),
            file.display(),
            String::from_utf8_lossy(&checked.stderr).trim()
        );
        let (stop, child) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Option<Child>>>::default());
        let keeper = {
            let (stop, child, program) = (Arc::clone(&stop), Arc::clone(&child), config.program.clone());
            std::thread::Builder::new().name("broker".into()).spawn(move || keep(&program, &file, &stop, &child))?
        };
        Ok(Self { config, dir: dir.to_owned(), centre, stop, child, keeper: Some(keeper) })
    }

    /// Has it take another list of members: who is on it may come at once, who is not is cut off.
    ///
    /// # Errors
    /// If the list cannot be written.
    pub fn admit(&self, members: &[Member]) -> anyhow::Result<()> {
        write_private(&self.dir.join("broker.conf"), written(&self.config, &self.dir, self.centre, members).as_bytes())?;
        signal(&self.child, Signal::HUP);
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        signal(&self.child, Signal::TERM);
        if let Some(keeper) = self.keeper.take()
            && keeper.join().is_err()
        {
            tracing::warn!("the broker's keeper did not end cleanly");
        }
    }
}

fn signal(child: &Mutex<Option<Child>>, signal: Signal) {
    let child = child.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pid) = child.as_ref().and_then(|child| Pid::from_raw(i32::try_from(child.id()).ok()?))
        && let Err(error) = kill_process(pid, signal)
    {
        tracing::warn!(%error, "the broker could not be told to change");
    }
}

/// Runs it again and again. It lives no longer than this thread: the kernel sees to that, whatever becomes of the process.
fn keep(program: &Path, file: &Path, stop: &AtomicBool, child: &Mutex<Option<Child>>) {
    let mut wait = AGAIN.0;
    while !stop.load(Ordering::Acquire) {
        let begun = Instant::now();
        let spawned = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--"])
            .arg(program)
            .arg("-c")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match spawned {
            Ok(started) => {
                *child.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
                // Told to stop in between: nobody had a child to tell.
                if stop.load(Ordering::Acquire) {
                    signal(child, Signal::TERM);
                }
                let ended = wait_for(child);
                *child.lock().unwrap_or_else(PoisonError::into_inner) = None;
                if stop.load(Ordering::Acquire) {
                    return;
                }
                tracing::error!(
                    status = ended,
                    "the broker ended and is started again: nothing is lost, lower nodes are out of reach until then"
                );
            }
            Err(error) => {
                tracing::error!(%error, "the broker does not start: lower nodes are out of reach; is the package util-linux there?");
            }
        }
        wait = if begun.elapsed() > AGAIN.1 { AGAIN.0 } else { (wait * 2).min(AGAIN.1) };
        let until = Instant::now() + wait;
        while Instant::now() < until && !stop.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn wait_for(child: &Mutex<Option<Child>>) -> String {
    loop {
        let ended = child.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(Child::try_wait);
        match ended {
            Some(Ok(None)) => std::thread::sleep(Duration::from_millis(50)),
            Some(Ok(Some(status))) => return status.to_string(),
            Some(Err(error)) => return error.to_string(),
            None => return String::new(),
        }
    }
}
