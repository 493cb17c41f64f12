//! Child processes and what the kernel says they cost.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A program of ours running beside the measurement. Killed when dropped, so that nothing outlives a failed run.
pub(crate) struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

/// The unit of times in /proc/PID/stat: USER_HZ, which is 100 on every Linux that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time and memory of a process at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// User and system time since its start, in seconds.
    pub(crate) cpu_s: f64,
    /// Resident memory in MiB.
    pub(crate) rss_mib: f64,
}

impl Process {
    /// Starts `program` from the folder of the running executable, its output into `log`.
    pub(crate) fn start(program: &str, arguments: &[String], log: PathBuf) -> Result<Self> {
        Self::spawn(Command::new(sibling(program)?), program, arguments, log)
    }

    /// The same in a network namespace.
    pub(crate) fn start_in(namespace: &str, program: &str, arguments: &[String], log: PathBuf) -> Result<Self> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(sibling(program)?);
        Self::spawn(command, program, arguments, log)
    }

    fn spawn(mut command: Command, program: &str, arguments: &[String], log: PathBuf) -> Result<Self> {
        let out = File::options().create(true).append(true).open(&log).with_context(|| format!("create {}", log.display()))?;
        command.args(arguments).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().with_context(|| format!("start {program}"))?;
        Ok(Self { child, name: program.to_owned(), log })
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has cost so far.
    pub(crate) fn cost(&self) -> Result<Cost> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).with_context(|| self.gone())?;
        // The second field is the name in parentheses and may hold spaces; utime and stime are fields 14 and 15.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks: Vec<f64> = after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse().ok()).collect();
        let [user, system] = ticks[..] else { bail!("/proc/{}/stat reads {stat:?}", self.pid()) };
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let rss_kib = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        Ok(Cost { cpu_s: (user + system) / TICKS_PER_SECOND, rss_mib: rss_kib.context("no VmRSS")? / 1024.0 })
    }

    /// CPU seconds so far of its threads, by role: `ingest-0` and `ingest-1` together are `ingest`. Threads without a name of
    /// their own serve HTTP.
    pub(crate) fn thread_costs(&self) -> Result<BTreeMap<String, f64>> {
        let mut costs = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{}/task", self.pid())).with_context(|| self.gone())? {
            // A thread may end between the two looks.
            let Ok(stat) = fs::read_to_string(entry?.path().join("stat")) else { continue };
            let Some((head, rest)) = stat.rsplit_once(')') else { continue };
            let name = head.split_once('(').map_or("", |(_, name)| name);
            let role = name.split_once('-').map_or(name, |(role, _)| role).replace("tokio", "http").replace(' ', "_");
            let ticks: f64 = rest.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum();
            *costs.entry(role).or_default() += ticks / TICKS_PER_SECOND;
        }
        Ok(costs)
    }

    /// Fails with the end of its log if it has ended.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended with {status}; the end of its log:\n{}", self.name, tail(&self.log));
        }
        Ok(())
    }

    /// Asks it to read its configuration again.
    pub(crate) fn reload(&self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    /// Asks it to stop and waits, at most 40 s.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let limit = Instant::now() + Duration::from_secs(40);
        while self.child.try_wait()?.is_none() {
            if Instant::now() > limit {
                bail!("{} did not stop within 40 s; the end of its log:\n{}", self.name, tail(&self.log));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Ends it as a power cut of the process would: no handler runs.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.child.wait()?;
        Ok(())
    }

    /// Stops it as a debugger does, or a machine that is suspended: it does nothing until [`Process::go_on`], and is not told.
    pub(crate) fn stand_still(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("process id")?;
        kill_process(pid, signal).with_context(|| self.gone())
    }

    fn gone(&self) -> String {
        format!("{} is gone; the end of its log:\n{}", self.name, tail(&self.log))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The path of a program that was built beside this one.
pub(crate) fn sibling(program: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let path = here.parent().map(|folder| folder.join(program)).context("this program has no folder")?;
    if !path.exists() {
        bail!("{} is not built: run this through tests/measure, which builds it", path.display());
    }
    Ok(path)
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
