//! The rules of a configuration's sections: each takes what the file says and gives what the program uses, or the first thing
//! that is wrong with its place and remedy.

use super::{
    Above, Http, Volume,
    file::{self, CameraEntry, File, Footage},
};
use crate::link::broker::BrokerConfig;
use index::{
    access::Action,
    footage::shortfall,
    incidents::Clocks,
    model::{Camera, Credentials, Secret},
};
use ingest::{Network, NetworkError};
use std::{
    collections::HashSet,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where cameras may be unless the file says otherwise: private networks (RFC 1918, RFC 4193).
const PRIVATE_NETWORKS: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

/// A problem in the file, before the file's name is added.
pub(super) struct Problem {
    /// The key or section.
    pub(super) place: String,
    /// What is wrong with it.
    pub(super) what: String,
    /// What to write instead.
    pub(super) remedy: String,
}

/// A [`Problem`] of these words.
pub(super) fn problem(place: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) -> Problem {
    Problem { place: place.into(), what: what.into(), remedy: remedy.into() }
}

/// `value` if it is within `range`; else a problem with `key` that says the value in `unit` and the `remedy`.
pub(super) fn within<T: PartialOrd + std::fmt::Display>(
    key: &str,
    value: T,
    range: RangeInclusive<T>,
    unit: &str,
    remedy: impl Into<String>,
) -> Result<T, Problem> {
    if range.contains(&value) { Ok(value) } else { Err(problem(key, format!("{value} {unit}"), remedy)) }
}

/// How long each step of an incident may take.
pub(super) fn check_clocks(file: &file::Incidents) -> Result<Clocks, Problem> {
    for (name, limits) in [("p1", file.p1), ("p2", file.p2), ("p3", file.p3)] {
        for seconds in [limits.acknowledge_s, limits.verify_s, limits.dispatch_s, limits.arrive_s] {
            within(&format!("incidents.{name}"), seconds, 0..=86_400, "s", "Write 0 to 86400 seconds; 0 is no limit")?;
        }
    }
    Ok(Clocks { p1: file.p1, p2: file.p2, p3: file.p3 })
}

/// Whom operators can send.
pub(super) fn check_units(file: &file::Incidents) -> Result<Vec<String>, Problem> {
    let fine = |unit: &String| (1..=40).contains(&unit.trim().chars().count());
    if file.units.len() > 9 || !file.units.iter().all(fine) {
        return Err(problem("incidents.units", "a list of units", "Name up to nine units, each with 1 to 40 characters"));
    }
    Ok(file.units.clone())
}

/// How nodes below reach a centre; a room has none below it.
pub(super) fn check_below(file: &File) -> Result<Option<BrokerConfig>, Problem> {
    let Some(below) = &file.below else { return Ok(None) };
    if file.node.tier.records() {
        return Err(problem("below", "a room has no nodes below it", "Take the section out, or write tier = \"subdistrict\""));
    }
    let is_name = |host: &str| !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:".contains(&b));
    if below.names.is_empty() || below.names.len() > 16 || !below.names.iter().all(|name| is_name(name)) {
        return Err(problem(
            "below.names",
            "it names no host, or something else",
            "Write the names or addresses by which lower nodes reach this centre: names = [\"centre.example\"]",
        ));
    }
    if below.listen.port() == 0 {
        return Err(problem(
            "below.listen",
            "port 0 is nowhere that others could dial",
            "Write a port: listen = \"0.0.0.0:7422\"",
        ));
    }
    let mut names = below.names.clone();
    // The centre itself dials its broker too.
    let here = if below.listen.ip().is_unspecified() { "127.0.0.1".to_owned() } else { below.listen.ip().to_string() };
    if !names.contains(&here) {
        names.push(here);
    }
    Ok(Some(BrokerConfig { listen: below.listen, names, program: file.node.nats_server.clone() }))
}

/// What may be allowed to people at nodes above: looking and searching, never changing anything.
pub(super) fn check_above(above: &file::Above) -> Result<Above, Problem> {
    let looks = |action: &Action| action.is_media() || matches!(action, Action::Search | Action::ListCameras);
    match above.allow.iter().find(|action| !looks(action)) {
        Some(action) => Err(problem(
            "above.allow",
            format!("{} is not for nodes above", action.word()),
            "Write any of live, playback, still, export, search, list_cameras",
        )),
        None => Ok(Above { allow: above.allow.clone(), budget: check_budget("above.budget_mbit", above.budget_mbit)? }),
    }
}

/// What may go over a line, in bits a second.
pub(super) fn check_budget(key: &str, mbit: Option<f64>) -> Result<Option<u64>, Problem> {
    match mbit {
        None => Ok(None),
        Some(mbit) if (0.5..=100_000.0).contains(&mbit) => Ok(Some((mbit * 1e6) as u64)),
        Some(mbit) => Err(problem(
            key,
            format!("{mbit} Mbit/s is no budget of a line"),
            "Write 0.5 to 100000 Mbit/s, or leave it out for as much as there is",
        )),
    }
}

/// The node's name, its time zone, and that its tier does what the file asks of it.
pub(super) fn check_node(file: &File) -> Result<jiff::tz::TimeZone, Problem> {
    let node = &file.node;
    if node.name.trim().is_empty() || node.name.chars().count() > 100 {
        return Err(problem("node.name", "it is empty or longer than 100 characters", "Write what people call this room"));
    }
    let has_disks_or_cameras = !file.volumes.is_empty() || !file.cameras.is_empty();
    if has_disks_or_cameras && !node.tier.records() {
        return Err(problem(
            "node.tier",
            format!("a {} does not record, and here are volumes or cameras", node.tier),
            "Write tier = \"room\", or take [[volume]] and [[camera]] out",
        ));
    }
    crate::days::zone(&node.time_zone).ok_or_else(|| {
        problem("node.time_zone", format!("{:?} is no known time zone", node.time_zone), "Write a name like \"Asia/Shanghai\"")
    })
}

/// How the node is reached. Spans are cut to what is sensible: a minute to a day, an hour to a week.
pub(super) fn check_http(http: &file::Http, file_path: &dyn Fn(&Path) -> PathBuf) -> Result<Http, Problem> {
    let certificate = match (&http.certificate_file, &http.key_file) {
        (Some(certificate), Some(key)) => Some((file_path(certificate), file_path(key))),
        (None, None) => None,
        _ => return Err(problem("http", "certificate_file and key_file belong together", "Give both or neither")),
    };
    let is_name = |host: &str| !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if let Some(host) = http.allowed_hosts.iter().find(|host| !is_name(host)) {
        let what = format!("{host:?} is not a host name");
        return Err(problem("http.allowed_hosts", what, "Write names without scheme and port"));
    }
    Ok(Http {
        listen: http.listen,
        certificate,
        allowed_hosts: http.allowed_hosts.clone(),
        login_idle: Duration::from_secs(60 * u64::from(http.login_idle_mins.clamp(1, 24 * 60))),
        login_max: Duration::from_secs(3600 * u64::from(http.login_max_hours.clamp(1, 24 * 7))),
    })
}

/// Where cameras may be: the written networks, or any private one.
pub(super) fn check_networks(written: &[String]) -> Result<Vec<Network>, Problem> {
    let private = PRIVATE_NETWORKS.into_iter().filter(|_| written.is_empty());
    let parsed = written.iter().map(String::as_str).chain(private).map(str::parse);
    parsed
        .collect::<Result<_, NetworkError>>()
        .map_err(|error| problem("ingest.allow_networks", error.to_string(), "Write networks as \"192.0.2.0/24\""))
}

/// The cameras of the file, each with a number of its own.
pub(super) fn check_cameras(
    entries: Vec<CameraEntry>,
    file_path: &dyn Fn(&Path) -> PathBuf,
) -> Result<Vec<(Camera, Option<Credentials>)>, Problem> {
    let mut seen = HashSet::new();
    let mut cameras = Vec::new();
    for (n, entry) in entries.into_iter().enumerate() {
        let place = format!("camera {} (the {}. [[camera]])", entry.id, n + 1);
        if !seen.insert(entry.id) {
            return Err(problem(place, "another camera has this id", "Give every camera its own number"));
        }
        cameras.push(check_camera(entry, &place, file_path)?);
    }
    Ok(cameras)
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

/// The disks: at least one in a room, each with a name and a path of its own and room for four segments.
pub(super) fn check_volumes(file: &File, file_path: &dyn Fn(&Path) -> PathBuf) -> Result<Vec<Volume>, Problem> {
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
pub(super) fn check_fit(footage: &Footage, volumes: &[Volume], cameras: &[(Camera, Option<Credentials>)]) -> Result<(), Problem> {
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

/// The secret that stands in the file at `path`, which `place` names.
pub(super) fn read_secret(path: &Path, place: &str) -> Result<Secret, Problem> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        problem(place, format!("{}: {error}", path.display()), "Name a file that only this service's user can read")
    })?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(problem(place, format!("{} is empty", path.display()), "Put the secret on its first line"));
    }
    Ok(Secret::new(text))
}
