//! What stands beside exported files, so that anyone can check them with common tools.

use super::{Job, Order};
use crate::node::Shared;
use index::{
    access::{Category, Purpose},
    model::{CameraId, GapCause, StreamKind, UtcMicros},
};
use serde::{Deserialize, Serialize};
use std::{fs, io::Write, path::Path};

/// The content of `manifest.json`.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct Manifest {
    /// 1.
    pub version: u32,
    /// The export's name.
    pub id: String,
    /// The program that made it.
    pub software: String,
    /// The node's identity.
    pub node: String,
    /// What people call the node.
    pub node_name: String,
    /// When it was made.
    pub made_us: i64,
    /// Who asked, by account.
    pub person: String,
    /// The name colleagues know.
    pub display: String,
    /// Which kind of reason.
    pub category: Category,
    /// The reason.
    pub reason: String,
    /// The case or document.
    pub case: Option<String>,
    /// The access record's number in the node's journal.
    pub access: u64,
    /// The time asked for.
    pub from_us: i64,
    /// Its end.
    pub to_us: i64,
    /// One or more for each camera.
    pub files: Vec<ManifestFile>,
}

/// One exported file.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct ManifestFile {
    /// Whose pictures.
    pub camera: CameraId,
    /// What people call the camera.
    pub name: String,
    /// Which encoding.
    pub stream: StreamKind,
    /// The file's name, beside the manifest.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of it, in hexadecimal.
    pub sha256: String,
    /// When its first picture was taken: the file's time 0. It may lie before the time asked for, at a key picture.
    pub from_us: i64,
    /// When its last picture ends.
    pub to_us: i64,
    /// Pictures in it, as received from the camera.
    pub pictures: u64,
    /// The largest uncertainty of its times, in milliseconds.
    pub clock_error_ms: u16,
    /// The camera's own clock minus the node's, in milliseconds, where the camera told it.
    pub camera_clock_offset_ms: Option<i32>,
    /// Where pictures are missing within the time asked for, and why. The last picture before a gap is shown until its end.
    pub gaps: Vec<ManifestGap>,
}

/// A span without all of its pictures.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub struct ManifestGap {
    /// Its start.
    pub from_us: i64,
    /// Its end.
    pub to_us: i64,
    /// Why.
    pub cause: GapCause,
    /// How much of it is recorded, 0 to 1.
    pub recorded_share: f32,
    /// More about the cause.
    pub detail: String,
}

impl Manifest {
    pub(super) fn new(node: &Shared, job: &Job, order: &Order, files: Vec<ManifestFile>) -> Self {
        Self {
            version: 1,
            id: job.id.clone(),
            software: format!("haohe {}", env!("CARGO_PKG_VERSION")),
            node: node.id.to_string(),
            node_name: node.config.name.clone(),
            made_us: UtcMicros::now().as_micros(),
            person: order.person.clone(),
            display: order.display.clone(),
            category: order.purpose.category(),
            reason: order.purpose.text().to_owned(),
            case: order.purpose.case().map(str::to_owned),
            access: order.permit.access().get(),
            from_us: order.window.from.as_micros(),
            to_us: order.window.to.as_micros(),
            files,
        }
    }

    /// Reads a manifest back; `None` if there is none that can be read.
    pub(super) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Why it was made; `None` if that would not be accepted today.
    pub(super) fn purpose(&self) -> Option<Purpose> {
        Purpose::new(self.category, &self.reason, self.case.as_deref()).ok()
    }

    /// Writes it durably, under its name only when whole.
    pub(super) fn write(&self, dir: &Path) -> std::io::Result<()> {
        let half = dir.join("manifest.new");
        let mut file = fs::File::create(&half)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        fs::rename(half, dir.join("manifest.json"))?;
        fs::File::open(dir)?.sync_all()
    }
}
