//! A NATS server that a node runs for itself: written down, started, and started again whenever it ends.
//!
//! It carries and remembers nothing (no JetStream, no disk): what a message was about is asked again.

use crate::tls::write_private;
use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long a server that ended is left alone before it is started again, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Older ones know no leaf by its certificate.
const OLDEST: (u32, u32) = (2, 10);
const REMEDY: &str = "install a NATS server of 2.10 or later, or name its program in node.nats_server";

/// What every configuration says: sizes of messages, what is held for whoever does not take it, and when silence is looked into.
pub(super) const LIMITS: &str =
    "max_payload: 1048576\nmax_pending: 8MB\nwrite_deadline: \"10s\"\nping_interval: \"10s\"\nping_max: 2\n";

/// A server that is kept running until this is dropped, which waits for its end.
pub(super) struct Server {
    file: PathBuf,
    stop: Arc<AtomicBool>,
    child: Arc<Mutex<Option<Child>>>,
    keeper: Option<JoinHandle<()>>,
}

/// An address on this machine where a server may listen for its own node.
///
/// # Errors
/// If there is none.
pub(super) fn own_address() -> anyhow::Result<SocketAddr> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
    free.context("find a free port on this machine")
}

impl Server {
    /// Writes its configuration and starts it on a thread that starts it again whenever it ends. `role` is for the log.
    ///
    /// # Errors
    /// If the file cannot be written, there is no such program, or it does not take the configuration.
    pub(super) fn start(role: &'static str, program: &Path, file: PathBuf, text: &str) -> anyhow::Result<Self> {
        write_private(&file, text.as_bytes())?;
        let said = Command::new(program).arg("--version").stdin(Stdio::null()).output();
        let said = said.with_context(|| format!("start {}: {REMEDY}", program.display()))?;
        let said = String::from_utf8_lossy(&said.stdout);
        anyhow::ensure!(
            version(&said).is_some_and(|version| version >= OLDEST),
            "{} says it is {:?}: {REMEDY}",
            program.display(),
            said.trim()
        );
        let checked = Command::new(program).arg("-t").arg("-c").arg(&file).stdin(Stdio::null()).output()?;
        anyhow::ensure!(
            checked.status.success(),
            "{} does not take {}: {}",
            program.display(),
            file.display(),
            String::from_utf8_lossy(&checked.stderr).trim()
        );
        let (stop, child) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Option<Child>>>::default());
        let keeper = {
            let (stop, child) = (Arc::clone(&stop), Arc::clone(&child));
            let (program, file) = (program.to_owned(), file.clone());
            std::thread::Builder::new().name(role.into()).spawn(move || keep(role, &program, &file, &stop, &child))?
        };
        Ok(Self { file, stop, child, keeper: Some(keeper) })
    }

    /// Has it take another configuration.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn change(&self, text: &str) -> anyhow::Result<()> {
        write_private(&self.file, text.as_bytes())?;
        signal(&self.child, Signal::HUP);
        Ok(())
    }
}

/// The version that a server says it is of, `nats-server: v2.15.1`.
fn version(said: &str) -> Option<(u32, u32)> {
    let (major, rest) = said.trim().rsplit_once(" v")?.1.split_once('.')?;
    Some((major.parse().ok()?, rest.split('.').next()?.parse().ok()?))
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        signal(&self.child, Signal::TERM);
        if let Some(keeper) = self.keeper.take()
            && keeper.join().is_err()
        {
            tracing::warn!("the keeper of a NATS server did not end cleanly");
        }
    }
}

fn signal(child: &Mutex<Option<Child>>, signal: Signal) {
    let child = child.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pid) = child.as_ref().and_then(|child| Pid::from_raw(i32::try_from(child.id()).ok()?))
        && let Err(error) = kill_process(pid, signal)
    {
        tracing::warn!(%error, "a NATS server could not be told to change or to end");
    }
}

/// Runs it again and again. It lives no longer than this thread: the kernel sees to that, whatever becomes of the process.
fn keep(role: &str, program: &Path, file: &Path, stop: &AtomicBool, child: &Mutex<Option<Child>>) {
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
                    role,
                    "a NATS server ended and is started again: nothing is lost, other nodes are out of reach until then"
                );
            }
            Err(error) => {
                tracing::error!(%error, role, "a NATS server does not start: other nodes are out of reach; is the package util-linux there?");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_server_is_known_by_what_it_says_of_itself() {
        assert!(version("nats-server: v2.9.10\n").is_some_and(|version| version < OLDEST));
        assert!(version("nats-server: v2.10.26").is_some_and(|version| version >= OLDEST));
        assert_eq!([version("nats-server: v2.15.1"), version("something else"), version("")], [Some((2, 15)), None, None]);
    }
}
