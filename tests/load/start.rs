//! `district-start`: the whole district of `deploy/demo --district`, from the command to everything recorded and in sync.

use crate::figures::{Figures, percentile};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// What the demo says when all is there.
const READY: &str = "all three tiers have what is below them";
/// How long it may take on a busy machine, building aside.
const LIMIT: Duration = Duration::from_secs(600);

/// `tests/measure district-start`.
pub(crate) fn district_start(runs: u32, cameras: u32) -> Result<()> {
    let mut figures = Figures::default();
    let mut took = Vec::new();
    for _ in 0..runs {
        let begun = Instant::now();
        let mut demo = Demo::start(cameras)?;
        demo.wait_ready()?;
        took.push(begun.elapsed().as_secs_f64());
        demo.stop()?;
    }
    took.sort_by(f64::total_cmp);
    figures.add("runs", f64::from(runs), "runs");
    figures.add("cameras", f64::from(cameras * 5), "cameras in five rooms");
    figures.add("ready_s", percentile(&took, 0.5), "s, the median run");
    figures.add("ready_s_worst", percentile(&took, 1.0), "s");
    figures.finish();
    Ok(())
}

/// The running demo. Told to stop when dropped, so that none of its processes outlives a failed run.
struct Demo {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Demo {
    fn start(cameras: u32) -> Result<Self> {
        let mut child = Command::new("deploy/demo")
            .args(["--district", "--cameras", &cameras.to_string(), "--port", "18443"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("start deploy/demo")?;
        let out = child.stdout.take().context("its output")?;
        let (tell, lines) = mpsc::channel();
        std::thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Ok(Self { child, lines })
    }

    fn wait_ready(&mut self) -> Result<()> {
        let until = Instant::now() + LIMIT;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(READY) => return Ok(()),
                Ok(line) => eprintln!("{line}"),
                Err(mpsc::RecvTimeoutError::Timeout) => bail!("the demo was not ready within {} s", LIMIT.as_secs()),
                Err(mpsc::RecvTimeoutError::Disconnected) => bail!("the demo ended before it was ready; it says why above"),
            }
        }
    }

    /// As Ctrl-C does. Its processes write what they hold.
    fn stop(&mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("process id")?;
        kill_process(pid, Signal::TERM)?;
        let until = Instant::now() + Duration::from_secs(60);
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < until, "the demo did not stop within a minute");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && self.stop().is_err() {
            let _ = self.child.kill();
        }
    }
}
