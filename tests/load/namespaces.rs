//! Two machines and the line between them, out of network namespaces: a line that can be cut, narrowed, and made to lose packets.
//!
//! Each place has two wires: one to the other place, which is the line that is measured, and one to here, over which the measurement
//! looks. Needs root. Everything is gone when this is dropped.

use anyhow::{Context, Result, ensure};
use std::process::{Command, Stdio};

/// Both ends of a line.
pub(crate) struct Line {
    /// The upper end: where the centre runs.
    pub(crate) upper: Place,
    /// The lower end: where the room runs.
    pub(crate) lower: Place,
}

/// One end, a network namespace.
pub(crate) struct Place {
    /// The namespace's name.
    pub(crate) name: String,
    /// Its address on the line.
    pub(crate) on_line: String,
    /// Its address as seen from here.
    pub(crate) from_here: String,
    /// Its end of the line.
    device: String,
}

impl Line {
    /// A whole line, as fast as the machine.
    pub(crate) fn new() -> Result<Self> {
        let id = std::process::id() % 100_000;
        let place = |role: &str, n: u8| Place {
            name: format!("hh{role}{id}"),
            on_line: format!("198.18.0.{n}"),
            from_here: format!("198.18.{n}.2"),
            device: format!("hl{role}{id}"),
        };
        let line = Self { upper: place("u", 1), lower: place("l", 2) };
        let places = [(&line.upper, 1), (&line.lower, 2)];
        for (place, _) in places {
            ip(&["netns", "add", &place.name])?;
        }
        ip(&["link", "add", &line.upper.device, "type", "veth", "peer", "name", &line.lower.device])?;
        for (place, n) in places {
            let (outer, inner) = (format!("hm{id}{n}"), format!("hn{id}{n}"));
            ip(&["link", "add", &outer, "type", "veth", "peer", "name", &inner])?;
            for (device, address) in
                [(&place.device, format!("{}/24", place.on_line)), (&inner, format!("{}/24", place.from_here))]
            {
                ip(&["link", "set", device, "netns", &place.name])?;
                place.ip(&["address", "add", &address, "dev", device])?;
                place.ip(&["link", "set", device, "up"])?;
            }
            place.ip(&["link", "set", "lo", "up"])?;
            ip(&["address", "add", &format!("198.18.{n}.1/24"), "dev", &outer])?;
            ip(&["link", "set", &outer, "up"])?;
        }
        Ok(line)
    }

    /// Cuts it, or mends it.
    pub(crate) fn cut(&self, cut: bool) -> Result<()> {
        self.lower.ip(&["link", "set", &self.lower.device, if cut { "down" } else { "up" }])
    }

    /// Makes it so narrow both ways, with so many of a hundred packets lost.
    pub(crate) fn narrow(&self, mbit: u32, lost_pct: u32) -> Result<()> {
        for place in [&self.upper, &self.lower] {
            let rate = format!("{mbit}mbit");
            let shape = [
                "tc",
                "qdisc",
                "replace",
                "dev",
                &place.device,
                "root",
                "tbf",
                "rate",
                &rate,
                "burst",
                "16kb",
                "latency",
                "200ms",
            ];
            place.run(&shape)?;
            place.run(&["nft", "add", "table", "inet", "line"])?;
            place.run(&["nft", "add", "chain", "inet", "line", "in", "{ type filter hook input priority 0; }"])?;
            let (device, lost) = (place.device.as_str(), lost_pct.to_string());
            let rule = [
                "nft", "add", "rule", "inet", "line", "in", "iifname", device, "numgen", "random", "mod", "100", "<", &lost,
                "drop",
            ];
            place.run(&rule)?;
        }
        Ok(())
    }

    /// Bytes that came to the upper end over the line.
    pub(crate) fn carried_up(&self) -> Result<u64> {
        let path = format!("/sys/class/net/{}/statistics/rx_bytes", self.upper.device);
        let read = Command::new("ip").args(["netns", "exec", &self.upper.name, "cat", &path]).output()?;
        String::from_utf8_lossy(&read.stdout).trim().parse().context("the line's count of bytes")
    }
}

impl Place {
    fn ip(&self, arguments: &[&str]) -> Result<()> {
        ip(&[&["-n", self.name.as_str()], arguments].concat())
    }

    /// Runs a command there.
    pub(crate) fn run(&self, command: &[&str]) -> Result<()> {
        ip(&[&["netns", "exec", self.name.as_str()], command].concat())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Its wires go with it.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).stderr(Stdio::null()).status();
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output().context("run ip: is iproute2 installed?")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {} (this measurement needs root and nftables)", arguments.join(" "), said.trim());
    Ok(())
}
