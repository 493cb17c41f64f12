//! `page`: the operators' page in Debian's Chromium, driven by `tests/page/measure.mjs`, which prints the figures itself.

use anyhow::{Result, ensure};
use std::process::Command;

/// `tests/measure alarm`.
pub(crate) async fn alarm(alarms: u32) -> Result<()> {
    let status = tokio::task::spawn_blocking(move || {
        let mut node = Command::new("node");
        node.args(["tests/page/alarm.mjs", "--alarms", &alarms.to_string()]).env("HAOHE_PROFILE", "release").status()
    })
    .await??;
    ensure!(status.success(), "tests/page/alarm.mjs ended with {status}");
    Ok(())
}

/// `tests/measure page`.
pub(crate) async fn page(minutes: u32) -> Result<()> {
    let status = tokio::task::spawn_blocking(move || {
        let mut node = Command::new("node");
        node.args(["tests/page/measure.mjs", "--minutes", &minutes.to_string()]).env("HAOHE_PROFILE", "release").status()
    })
    .await??;
    ensure!(status.success(), "tests/page/measure.mjs ended with {status}");
    Ok(())
}
