//! The configuration file as written: names, defaults, nothing checked across keys yet.

use super::amount::ByteCount;
use index::{
    access::Action,
    incidents::{Clocks, Limits},
    model::{AudioBasis, Camera, CameraAddress, CameraId, DeviceAddress, Driver, Priority, RetentionClass, Tier, Transport},
};
use serde::Deserialize;
use std::{net::SocketAddr, path::PathBuf};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) node: Node,
    #[serde(default)]
    pub(super) http: Http,
    #[serde(default, rename = "volume")]
    pub(super) volumes: Vec<Volume>,
    #[serde(default)]
    pub(super) footage: Footage,
    #[serde(default)]
    pub(super) retention: Retention,
    #[serde(default)]
    pub(super) ingest: Ingest,
    #[serde(default)]
    pub(super) pictures: Pictures,
    #[serde(default, rename = "camera")]
    pub(super) cameras: Vec<CameraEntry>,
    #[serde(default)]
    pub(super) metrics: Metrics,
    #[serde(default)]
    pub(super) log: Log,
    #[serde(default)]
    pub(super) events: Events,
    #[serde(default, rename = "source")]
    pub(super) sources: Vec<SourceEntry>,
    pub(super) mqtt: Option<Mqtt>,
    #[serde(default)]
    pub(super) alarms: Alarms,
    #[serde(default)]
    pub(super) incidents: Incidents,
    #[serde(default, rename = "hook")]
    pub(super) hooks: Vec<HookEntry>,
    pub(super) below: Option<Below>,
    #[serde(default)]
    pub(super) above: Above,
}

/// What the nodes above get of this one.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Above {
    pub(super) allow: Vec<Action>,
    pub(super) budget_mbit: Option<f64>,
}

impl Default for Above {
    fn default() -> Self {
        use Action::{Export, ListCameras, Live, Playback, Search, Still};
        Self { allow: vec![Live, Playback, Still, Export, Search, ListCameras], budget_mbit: None }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Below {
    pub(super) listen: SocketAddr,
    pub(super) names: Vec<String>,
    pub(super) budget_mbit: Option<f64>,
}

fn nats_server() -> PathBuf {
    PathBuf::from("nats-server")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HookEntry {
    pub(super) name: String,
    pub(super) url: String,
    pub(super) secret_file: PathBuf,
    pub(super) allow_networks: Vec<String>,
    pub(super) authority_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Alarms {
    pub(super) budget_per_day: u32,
}

impl Default for Alarms {
    fn default() -> Self {
        Self { budget_per_day: 144 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Incidents {
    pub(super) units: Vec<String>,
    pub(super) p1: Limits,
    pub(super) p2: Limits,
    pub(super) p3: Limits,
}

impl Default for Incidents {
    fn default() -> Self {
        let Clocks { p1, p2, p3 } = Clocks::default();
        let units = ["巡逻组", "社区民警", "物业", "网格员"].map(str::to_owned).to_vec();
        Self { units, p1, p2, p3 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Events {
    pub(super) keep_days: u32,
}

impl Default for Events {
    fn default() -> Self {
        Self { keep_days: 180 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceEntry {
    pub(super) name: String,
    pub(super) token_file: PathBuf,
    #[serde(default)]
    pub(super) places: Vec<String>,
    #[serde(default)]
    pub(super) cameras: Vec<CameraId>,
    #[serde(default = "fifty")]
    pub(super) rate_per_s: u32,
    pub(super) mqtt_topic: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mqtt {
    pub(super) broker: String,
    pub(super) allow_networks: Vec<String>,
    pub(super) authority_file: Option<PathBuf>,
    pub(super) client_id: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password_file: Option<PathBuf>,
}

fn fifty() -> u32 {
    50
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) tier: Tier,
    pub(super) state_dir: PathBuf,
    #[serde(default = "china")]
    pub(super) time_zone: String,
    #[serde(default = "nats_server")]
    pub(super) nats_server: PathBuf,
}

fn china() -> String {
    "Asia/Shanghai".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Http {
    pub(super) listen: SocketAddr,
    pub(super) certificate_file: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) allowed_hosts: Vec<String>,
    pub(super) login_idle_mins: u32,
    pub(super) login_max_hours: u32,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            certificate_file: None,
            key_file: None,
            allowed_hosts: Vec::new(),
            login_idle_mins: 30,
            login_max_hours: 12,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Volume {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) capacity: ByteCount,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Footage {
    pub(super) segment_mib: u64,
    pub(super) sub_segment_mib: u64,
}

impl Default for Footage {
    fn default() -> Self {
        Self { segment_mib: 256, sub_segment_mib: 64 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Retention {
    pub(super) standard_days: u32,
    pub(super) key_target_days: u32,
    pub(super) hold_percent: u8,
}

impl Default for Retention {
    fn default() -> Self {
        Self { standard_days: 30, key_target_days: 90, hold_percent: 10 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Ingest {
    pub(super) cores: usize,
    pub(super) tick_ms: u64,
    pub(super) allow_networks: Vec<String>,
}

impl Default for Ingest {
    fn default() -> Self {
        Self { cores: 0, tick_ms: 40, allow_networks: Vec::new() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Pictures {
    pub(super) cpu_percent: u32,
}

impl Default for Pictures {
    fn default() -> Self {
        Self { cpu_percent: 100 }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Metrics {
    pub(super) token_file: Option<PathBuf>,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people at a terminal.
    #[default]
    Text,
    /// One JSON object a line, for collectors.
    Json,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub(super) format: LogFormat,
    pub(super) filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info,retina=warn".to_owned() }
    }
}

/// A camera as written in the file: [`Camera`] and how to sign in to it. Spelt out because serde cannot both flatten a
/// struct and refuse unknown keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CameraEntry {
    pub(super) id: CameraId,
    name: String,
    #[serde(default)]
    place: Vec<String>,
    main: CameraAddress,
    sub: Option<CameraAddress>,
    onvif: Option<DeviceAddress>,
    #[serde(default)]
    transport: Transport,
    driver: Option<Driver>,
    #[serde(default)]
    retention: RetentionClass,
    #[serde(default)]
    priority: Priority,
    audio: Option<AudioBasis>,
    #[serde(default = "yes")]
    enabled: bool,
    pub(super) user: Option<String>,
    pub(super) password_file: Option<PathBuf>,
}

fn yes() -> bool {
    true
}

impl From<CameraEntry> for Camera {
    fn from(entry: CameraEntry) -> Self {
        Self {
            id: entry.id,
            name: entry.name,
            place: entry.place,
            main: entry.main,
            sub: entry.sub,
            onvif: entry.onvif,
            transport: entry.transport,
            driver: entry.driver,
            retention: entry.retention,
            priority: entry.priority,
            audio: entry.audio,
            enabled: entry.enabled,
        }
    }
}
