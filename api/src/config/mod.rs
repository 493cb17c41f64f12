//! A node's configuration: TOML in, checked types out.
//!
//! Nothing listens and nothing records until the whole file is valid. A refusal names the file, the line or key, and the
//! remedy. Secrets never stand in it: they are references to files that only the service's user can read.

mod amount;
mod file;

pub use amount::ByteCount;
pub use file::LogFormat;

use crate::{hooks::HookConfig, sources::SourceConfig};
use file::{CameraEntry, File};
use index::{
    access::Scope,
    footage::shortfall,
    model::{Camera, Credentials, Secret, Tier},
};
use ingest::{AddressPolicy, Network, NetworkError};
use std::{
    collections::HashSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where cameras may be unless the file says otherwise: private networks (RFC 1918, RFC 4193).
const PRIVATE_NETWORKS: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

/// Everything a node was told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// What people call this node.
    pub name: String,
    /// Its tier.
    pub tier: Tier,
    /// Where everything but footage lives: journal, people, keys, certificate, exports.
    pub state_dir: PathBuf,
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
    /// How many days of events stay findable.
    pub event_days: u32,
    /// Who else is told of alarms.
    pub hooks: Vec<HookConfig>,
    /// How many alarms a day one operator can look into.
    pub alarm_budget_per_day: u32,
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

/// A problem in the file, before the file's name is added.
struct Problem {
    place: String,
    what: String,
    remedy: String,
}

fn problem(place: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Problem {
    Problem { place: place.into(), what: what.into(), remedy: remedy.into() }
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

        if file.node.name.trim().is_empty() || file.node.name.chars().count() > 100 {
            return Err(problem("node.name", "it is empty or longer than 100 characters", "Write what people call this room"));
        }
        let zone = crate::days::zone(&file.node.time_zone).ok_or_else(|| {
            problem(
                "node.time_zone",
                format!("{:?} is no known time zone", file.node.time_zone),
                "Write a name like \"Asia/Shanghai\"",
            )
        })?;
        if !(1..=50).contains(&file.retention.hold_percent) {
            let what = format!("{} percent", file.retention.hold_percent);
            return Err(problem("retention.hold_percent", what, "Let holds take up 1 to 50 percent of the capacity; 10 is good"));
        }
        let has_disks_or_cameras = !file.volumes.is_empty() || !file.cameras.is_empty();
        if has_disks_or_cameras && !file.node.tier.records() {
            return Err(problem(
                "node.tier",
                format!("a {} does not record, and here are volumes or cameras", file.node.tier),
                "Write tier = \"room\", or take [[volume]] and [[camera]] out",
            ));
        }
        let certificate = match (&file.http.certificate_file, &file.http.key_file) {
            (Some(certificate), Some(key)) => Some((file_path(certificate), file_path(key))),
            (None, None) => None,
            _ => return Err(problem("http", "certificate_file and key_file belong together", "Give both or neither")),
        };
        for host in &file.http.allowed_hosts {
            if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) {
                return Err(problem(
                    "http.allowed_hosts",
                    format!("{host:?} is not a host name"),
                    "Write names without scheme and port",
                ));
            }
        }
        let volumes = check_volumes(&file, &file_path)?;
        let days = |key: &str, days: u32, least: u32, law: &str| {
            if (least..=3650).contains(&days) {
                Ok(days)
            } else {
                Err(problem(format!("retention.{key}"), format!("{days} days"), format!("Keep {least} to 3650 days ({law})")))
            }
        };
        let mut networks = Vec::new();
        let written = file.ingest.allow_networks.iter().map(String::as_str);
        let private = PRIVATE_NETWORKS.into_iter().filter(|_| file.ingest.allow_networks.is_empty());
        for text in written.chain(private) {
            networks.push(text.parse().map_err(|error: NetworkError| {
                problem("ingest.allow_networks", error.to_string(), "Write networks as \"192.0.2.0/24\"")
            })?);
        }
        let mut seen = HashSet::new();
        let mut cameras = Vec::new();
        for (n, entry) in file.cameras.into_iter().enumerate() {
            let place = format!("camera {} (the {}. [[camera]])", entry.id, n + 1);
            if !seen.insert(entry.id) {
                return Err(problem(place, "another camera has this id", "Give every camera its own number"));
            }
            cameras.push(check_camera(entry, &place, &file_path)?);
        }
        check_fit(&file.footage, &volumes, &cameras)?;
        let sources = check_sources(&file.sources, &file_path)?;
        let hooks = check_hooks(&file.hooks, &file_path)?;
        let metrics_token = match &file.metrics.token_file {
            Some(path) => Some(read_secret(&file_path(path), "metrics.token_file")?),
            None => None,
        };
        if !(1..=200).contains(&file.ingest.tick_ms) {
            return Err(problem(
                "ingest.tick_ms",
                format!("{} ms", file.ingest.tick_ms),
                "Write 1 to 200 milliseconds; 40 is good",
            ));
        }
        let mib = |key: &str, mib: u64| {
            if (1..=4096).contains(&mib) {
                Ok(mib << 20)
            } else {
                Err(problem(format!("footage.{key}"), format!("{mib} MiB"), "Write 1 to 4096 MiB; 256 is good for main streams"))
            }
        };
        Ok(Self {
            name: file.node.name,
            tier: file.node.tier,
            state_dir: file_path(&file.node.state_dir),
            zone,
            zone_name: file.node.time_zone.clone(),
            http: Http {
                listen: file.http.listen,
                certificate,
                allowed_hosts: file.http.allowed_hosts,
                login_idle: Duration::from_secs(60 * u64::from(file.http.login_idle_mins.clamp(1, 24 * 60))),
                login_max: Duration::from_secs(3600 * u64::from(file.http.login_max_hours.clamp(1, 24 * 7))),
            },
            volumes,
            segment_bytes: mib("segment_mib", file.footage.segment_mib)?,
            sub_segment_bytes: mib("sub_segment_mib", file.footage.sub_segment_mib)?,
            standard_days: days("standard_days", file.retention.standard_days, 30, "Decree 799, article 17")?,
            key_target_days: days("key_target_days", file.retention.key_target_days, 90, "Anti-Terrorism Law, article 32")?,
            hold_percent: file.retention.hold_percent,
            ingest_cores: file.ingest.cores,
            ingest_tick: Duration::from_millis(file.ingest.tick_ms),
            pictures_cpu_percent: match file.pictures.cpu_percent {
                percent @ 0..=1600 => percent,
                percent => {
                    let what = format!("{percent} percent");
                    return Err(problem(
                        "pictures.cpu_percent",
                        what,
                        "Write 0 to 1600 percent of one core; 100 is good for a room",
                    ));
                }
            },
            allow_networks: networks,
            cameras,
            metrics_token,
            sources,
            hooks,
            event_days: match file.events.keep_days {
                days @ 30..=3650 => days,
                days => {
                    return Err(problem("events.keep_days", format!("{days} days"), "Keep 30 to 3650 days of events findable"));
                }
            },
            alarm_budget_per_day: match file.alarms.budget_per_day {
                alarms @ 1..=100_000 => alarms,
                alarms => {
                    return Err(problem(
                        "alarms.budget_per_day",
                        format!("{alarms} a day"),
                        "Write 1 to 100000; 144 is one in ten minutes",
                    ));
                }
            },
            log_format: file.log.format,
            log_filter: file.log.filter,
        })
    }
}

fn check_volumes(file: &File, file_path: &dyn Fn(&Path) -> PathBuf) -> Result<Vec<Volume>, Problem> {
    if file.volumes.is_empty() && file.node.tier.records() {
        return Err(problem(
            "volume",
            "there is none, so nothing can be recorded",
            "Add a [[volume]] with name, path and capacity",
        ));
    }
    let mut volumes: Vec<Volume> = Vec::new();
    for (n, entry) in file.volumes.iter().enumerate() {
        let place = format!("volume {:?} (the {}. [[volume]])", entry.name, n + 1);
        let path = file_path(&entry.path);
        if entry.name.trim().is_empty() || volumes.iter().any(|v| v.name == entry.name || v.path == path) {
            return Err(problem(place, "its name is empty, or its name or path is another volume's", "Name each disk once"));
        }
        if entry.capacity.bytes() < (4 * file.footage.segment_mib.max(file.footage.sub_segment_mib)) << 20 {
            return Err(problem(
                place,
                format!("capacity {} is less than four segments", entry.capacity),
                "Give the disk more, or make segments smaller",
            ));
        }
        volumes.push(Volume { name: entry.name.clone(), path, capacity: entry.capacity.bytes() });
    }
    Ok(volumes)
}

/// Each stream holds a segment open: with fewer segments than streams, some would not be recorded.
fn check_fit(footage: &file::Footage, volumes: &[Volume], cameras: &[(Camera, Option<Credentials>)]) -> Result<(), Problem> {
    let sizes = [footage.segment_mib << 20, footage.sub_segment_mib << 20];
    let capacities: Vec<u64> = volumes.iter().map(|volume| volume.capacity).collect();
    let recorded = || cameras.iter().map(|(camera, _)| camera).filter(|camera| camera.enabled);
    let streams = [recorded().count(), recorded().filter(|camera| camera.sub.is_some()).count()];
    let Some(short) = shortfall(sizes, &capacities, streams) else { return Ok(()) };
    let [main, sub] = streams;
    let fits = |mib: &u64| shortfall([mib << 20, (mib / 4).max(1) << 20], &capacities, streams).is_none();
    let smaller = [128, 64, 32, 16, 8, 4].into_iter().find(fits);
    let smaller = smaller.map_or(String::new(), |mib| {
        format!(", or write segment_mib = {mib} and sub_segment_mib = {} under [footage]", (mib / 4).max(1))
    });
    Err(problem(
        "volume.capacity",
        format!(
            "{main} main and {sub} sub-streams each need a segment of {} or {} MiB at once, and each disk two more of each size; \
             there are too few for {} main and {} sub-streams, which would not be recorded",
            footage.segment_mib, footage.sub_segment_mib, short.streams[0], short.streams[1]
        ),
        format!("Give the volumes {} MiB or more in all{smaller}", short.needed.div_ceil(1 << 20)),
    ))
}

fn check_sources(entries: &[file::SourceEntry], file_path: &dyn Fn(&Path) -> PathBuf) -> Result<Vec<SourceConfig>, Problem> {
    let mut sources: Vec<SourceConfig> = Vec::new();
    for (n, entry) in entries.iter().enumerate() {
        let place = format!("source {:?} (the {}. [[source]])", entry.name, n + 1);
        if entry.name.trim().is_empty() || sources.iter().any(|source| source.name == entry.name) {
            return Err(problem(place, "its name is empty or another source's", "Name each analytics box once"));
        }
        let places = entry.places.iter().map(|levels| Scope::Place(levels.split('/').map(str::to_owned).collect()));
        let scopes: Vec<Scope> = places.chain(entry.cameras.iter().map(|camera| Scope::Camera(*camera))).collect();
        if scopes.is_empty() || !(1..=20_000).contains(&entry.rate_per_s) {
            return Err(problem(
                place,
                "it names no place and no camera, or its rate is not 1 to 20,000 a second",
                "Write places = [\"东苑社区\"] or cameras = [7], and rate_per_s = 50",
            ));
        }
        let token = read_secret(&file_path(&entry.token_file), &format!("{place}: token_file"))?;
        if token.expose().len() < 16 {
            return Err(problem(place, "its token is shorter than 16 characters", "Make one with: openssl rand -hex 24"));
        }
        sources.push(SourceConfig { name: entry.name.clone(), token, scopes, rate_per_s: entry.rate_per_s });
    }
    Ok(sources)
}

fn check_hooks(entries: &[file::HookEntry], file_path: &dyn Fn(&Path) -> PathBuf) -> Result<Vec<HookConfig>, Problem> {
    let mut hooks: Vec<HookConfig> = Vec::new();
    for (n, entry) in entries.iter().enumerate() {
        let place = format!("hook {:?} (the {}. [[hook]])", entry.name, n + 1);
        if entry.name.trim().is_empty() || hooks.iter().any(|hook| hook.name == entry.name) {
            return Err(problem(place, "its name is empty or another hook's", "Name each receiver once"));
        }
        let networks = entry.allow_networks.iter().map(|text| text.parse()).collect::<Result<Vec<Network>, NetworkError>>();
        let networks =
            networks.map_err(|error| problem(place.as_str(), error.to_string(), "Write networks as \"192.0.2.0/24\""))?;
        let bad = |what: &str| problem(place.as_str(), what, "Write url = \"https://receiver.example/alarms\"");
        let url = url::Url::parse(&entry.url).map_err(|_| bad("its url cannot be read"))?;
        let loopback = networks.iter().all(|network| network.to_string().starts_with("127."));
        if url.host().is_none() || !(url.scheme() == "https" || (url.scheme() == "http" && loopback)) {
            return Err(bad("its url is not https; http is for this machine itself only"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("its url holds a password; messages are signed instead"));
        }
        if networks.is_empty() {
            return Err(problem(
                place,
                "it names no network",
                "Write where the receiver is: allow_networks = [\"192.0.2.0/24\"]",
            ));
        }
        let secret = read_secret(&file_path(&entry.secret_file), &format!("{place}: secret_file"))?;
        if secret.expose().len() < 32 {
            return Err(problem(place, "its secret is shorter than 32 characters", "Make one with: openssl rand -hex 32"));
        }
        let authority = entry.authority_file.as_deref().map(|path| {
            std::fs::read(file_path(path)).map_err(|error| problem(place.as_str(), error.to_string(), "Name a readable PEM file"))
        });
        let allow = AddressPolicy::new(networks);
        hooks.push(HookConfig { name: entry.name.clone(), url, secret, allow, authority: authority.transpose()? });
    }
    Ok(hooks)
}

fn check_camera(
    entry: CameraEntry,
    place: &str,
    file_path: &dyn Fn(&Path) -> PathBuf,
) -> Result<(Camera, Option<Credentials>), Problem> {
    let credentials = match (&entry.user, &entry.password_file) {
        (Some(user), Some(path)) => {
            Some(Credentials { user: user.clone(), password: read_secret(&file_path(path), &format!("{place}: password_file"))? })
        }
        (None, None) => None,
        _ => return Err(problem(place, "user and password_file belong together", "Give both or neither")),
    };
    let camera = Camera::from(entry);
    camera.check().map_err(|error| problem(place, error.to_string(), "Correct it, then run haohe check-config"))?;
    Ok((camera, credentials))
}

fn read_secret(path: &Path, place: &str) -> Result<Secret, Problem> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        problem(place, format!("{}: {error}", path.display()), "Name a file that only this service's user can read")
    })?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(problem(place, format!("{} is empty", path.display()), "Put the secret on its first line"));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests;
