//! A node's configuration: TOML in, checked types out.
//!
//! Nothing listens and nothing records until the whole file is valid. A refusal names the file, the line or key, and the
//! remedy. Secrets never stand in it: they are references to files that only the service's user can read.

mod amount;
mod check;
mod file;
mod outside;

pub use amount::ByteCount;
pub use file::LogFormat;

use crate::{hooks::HookConfig, link::broker::BrokerConfig, mqtt::MqttConfig, sources::SourceConfig};
use check::{
    Problem, check_above, check_below, check_budget, check_cameras, check_clocks, check_fit, check_http, check_networks,
    check_node, check_units, check_volumes, problem, read_secret, within,
};
use file::File;
use index::access::Action;
use index::incidents::Clocks;
use index::model::{Camera, Credentials, Secret, Tier};
use ingest::Network;
use outside::{check_hooks, check_mqtt, check_sources};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// Everything a node was told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// What people call this node.
    pub name: String,
    /// Its tier.
    pub tier: Tier,
    /// Where everything but footage lives: journal, people, keys, certificate, exports.
    pub state_dir: PathBuf,
    /// The NATS server that carries the line between tiers: a path, or a name that is looked for in PATH.
    pub nats_server: PathBuf,
    /// Where its days begin and end.
    pub zone: jiff::tz::TimeZone,
    /// The name of that time zone.
    pub zone_name: String,
    /// How it is reached.
    pub http: Http,
    /// The directories that hold footage, each on its own disk: at least one in a room, none in a centre.
    pub volumes: Vec<Volume>,
    /// The size of one segment file of a main stream, in bytes.
    pub segment_bytes: u64,
    /// The size of one segment file of a sub-stream, in bytes.
    pub sub_segment_bytes: u64,
    /// How long standard footage is kept, in whole days, at least 30.
    pub standard_days: u32,
    /// How long footage of key targets is kept, in whole days, at least 90.
    pub key_target_days: u32,
    /// The share of all capacity that holds may take up, in percent, 1 to 50.
    pub hold_percent: u8,
    /// Threads that talk to cameras; 0 is one a core.
    pub ingest_cores: usize,
    /// How long these threads sleep between batches of reads.
    pub ingest_tick: Duration,
    /// CPU time for looking at key pictures, in percent of one core; 0 looks at none.
    pub pictures_cpu_percent: u32,
    /// The networks in which cameras may be; empty is any private network.
    pub allow_networks: Vec<Network>,
    /// The cameras of the file; others are added by the API.
    pub cameras: Vec<(Camera, Option<Credentials>)>,
    /// What a scraper of `/metrics` shows instead of a sign-in.
    pub metrics_token: Option<Secret>,
    /// Analytics boxes that report events.
    pub sources: Vec<SourceConfig>,
    /// Where they report by MQTT; `None`: nowhere.
    pub mqtt: Option<MqttConfig>,
    /// How many days of events stay findable.
    pub event_days: u32,
    /// Who else is told of alarms.
    pub hooks: Vec<HookConfig>,
    /// How the nodes below reach this centre; `None` in a room.
    pub below: Option<BrokerConfig>,
    /// What the nodes above get of this one.
    pub above: Above,
    /// How much may come up each line from below, in bits a second; `None`: as much as there is.
    pub below_budget: Option<u64>,
    /// How many alarms a day one operator can look into.
    pub alarm_budget_per_day: u32,
    /// How long each step of an incident may take until the tier above has it.
    pub incident_clocks: Clocks,
    /// Whom operators can send, in the order of their keys.
    pub incident_units: Vec<String>,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// What is logged, as tracing's `EnvFilter` reads it.
    pub log_filter: String,
}

/// How a node is reached.
#[derive(Debug, Clone)]
pub struct Http {
    /// Where it listens, HTTPS only.
    pub listen: SocketAddr,
    /// The node's own certificate chain and key; `None` makes a self-signed one at first start.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Host names people type; addresses, `localhost` and the machine's own name always work.
    pub allowed_hosts: Vec<String>,
    /// A sign-in ends when nothing was asked for that long.
    pub login_idle: Duration,
    /// A sign-in ends after that long whatever happened.
    pub login_max: Duration,
}

/// What the nodes above get of this one.
#[derive(Debug, Clone)]
pub struct Above {
    /// What people signed in there may do here, within what their own centre grants them.
    pub allow: Vec<Action>,
    /// How much may go up the line, in bits a second; `None`: as much as there is.
    pub budget: Option<u64>,
}

/// One directory for footage.
#[derive(Debug, Clone)]
pub struct Volume {
    /// What people call it.
    pub name: String,
    /// The directory; it exists.
    pub path: PathBuf,
    /// How many bytes to fill with segment files, once.
    pub capacity: u64,
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
#[error("{}: {place}: {what}. {remedy}", file.display())]
pub struct ConfigError {
    file: PathBuf,
    place: String,
    what: String,
    remedy: String,
}

impl Config {
    /// How long each class of footage is kept.
    #[must_use]
    pub fn terms(&self) -> index::footage::RetentionTerms {
        let days = |days: u32| Duration::from_secs(86_400 * u64::from(days));
        index::footage::RetentionTerms { standard: days(self.standard_days), key_target: days(self.key_target_days) }
    }

    /// Reads a configuration and the secrets it refers to, and checks all of it. Relative paths count from the file's own
    /// directory.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place and remedy. No secret is repeated in it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let named = |p: Problem| ConfigError { file: path.to_owned(), place: p.place, what: p.what, remedy: p.remedy };
        let text = std::fs::read_to_string(path).map_err(|error| {
            named(problem("the file", error.to_string(), "Name a configuration file that this user may read"))
        })?;
        let base = path.parent().unwrap_or(Path::new("."));
        Self::parse(&text, base).map_err(named)
    }

    fn parse(text: &str, base: &Path) -> Result<Self, Problem> {
        // toml's own message quotes the line, which may hold what someone took for a good place for a password.
        let file: File = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            problem(format!("line {line}"), error.message().to_owned(), "config/room.toml shows every key with its meaning")
        })?;
        let file_path = |p: &Path| if p.is_absolute() { p.to_owned() } else { base.join(p) };
        let zone = check_node(&file)?;
        let volumes = check_volumes(&file, &file_path)?;
        let below = check_below(&file)?;
        let below_budget = check_budget("below.budget_mbit", file.below.as_ref().and_then(|below| below.budget_mbit))?;
        let cameras = check_cameras(file.cameras, &file_path)?;
        check_fit(&file.footage, &volumes, &cameras)?;
        let days = |key, days, least, law| within(key, days, least..=3650, "days", format!("Keep {least} to 3650 days ({law})"));
        let mib = |key, mib| {
            within(key, mib, 1..=4096, "MiB", "Write 1 to 4096 MiB; 256 is good for main streams").map(|mib| mib << 20)
        };
        let token = file.metrics.token_file.as_deref();
        Ok(Self {
            http: check_http(&file.http, &file_path)?,
            name: file.node.name,
            tier: file.node.tier,
            state_dir: file_path(&file.node.state_dir),
            nats_server: file.node.nats_server.clone(),
            zone,
            zone_name: file.node.time_zone,
            volumes,
            segment_bytes: mib("footage.segment_mib", file.footage.segment_mib)?,
            sub_segment_bytes: mib("footage.sub_segment_mib", file.footage.sub_segment_mib)?,
            standard_days: days("retention.standard_days", file.retention.standard_days, 30, "Decree 799, article 17")?,
            key_target_days: days(
                "retention.key_target_days",
                file.retention.key_target_days,
                90,
                "Anti-Terrorism Law, article 32",
            )?,
            hold_percent: within(
                "retention.hold_percent",
                file.retention.hold_percent,
                1..=50,
                "percent",
                "Let holds take up 1 to 50 percent of the capacity; 10 is good",
            )?,
            ingest_cores: file.ingest.cores,
            ingest_tick: within("ingest.tick_ms", file.ingest.tick_ms, 1..=200, "ms", "Write 1 to 200 milliseconds; 40 is good")
                .map(Duration::from_millis)?,
            pictures_cpu_percent: within(
                "pictures.cpu_percent",
                file.pictures.cpu_percent,
                0..=1600,
                "percent",
                "Write 0 to 1600 percent of one core; 100 is good for a room",
            )?,
            allow_networks: check_networks(&file.ingest.allow_networks)?,
            cameras,
            metrics_token: token.map(|path| read_secret(&file_path(path), "metrics.token_file")).transpose()?,
            sources: check_sources(&file.sources, &file_path)?,
            mqtt: check_mqtt(file.mqtt.as_ref(), &file.sources, &file_path)?,
            hooks: check_hooks(&file.hooks, &file_path)?,
            below,
            above: check_above(&file.above)?,
            below_budget,
            event_days: within(
                "events.keep_days",
                file.events.keep_days,
                30..=3650,
                "days",
                "Keep 30 to 3650 days of events findable",
            )?,
            alarm_budget_per_day: within(
                "alarms.budget_per_day",
                file.alarms.budget_per_day,
                1..=100_000,
                "a day",
                "Write 1 to 100000; 144 is one in ten minutes",
            )?,
            incident_clocks: check_clocks(&file.incidents)?,
            incident_units: check_units(&file.incidents)?,
            log_format: file.log.format,
            log_filter: file.log.filter,
        })
    }
}

#[cfg(test)]
mod tests;
