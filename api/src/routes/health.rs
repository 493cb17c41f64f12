//! `/api/v1/health`: what is wrong, worst first, in words, with a remedy. What is well has figures, not words.

use super::cameras::statuses;
use crate::{
    authority::Authority,
    node::{Node, Shared},
    refusal::{Refusal, Words, words},
};
use axum::Json;
use index::{
    footage::{Trouble, VolumeHealth},
    model::{Camera, CameraId, StreamId, StreamKind, UtcMicros, Window},
};
use ingest::{StreamState, StreamStatus};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

mod keeping;
mod outside;
mod pictures;
mod problems;
mod pull_points;
mod volumes;

use keeping::keeping_problems;
use problems::{camera_problem, node_problems};

/// A stream that plays and has had nothing stored for that long is not being recorded.
const STALE: Duration = Duration::from_secs(15);
/// How old it may be what is said of retention.
const RETENTION_AGE: Duration = Duration::from_secs(10);
/// A stream may take so long to start before anyone needs to know.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the node does.
#[derive(Serialize, ToSchema)]
pub(super) struct Health {
    as_of_us: i64,
    node: NodeHealth,
    volumes: Vec<Volume>,
    cameras: Count,
    /// Worst first.
    problems: Vec<Problem>,
    ingest: IngestHealth,
    pictures: PictureHealth,
    /// In a centre, the nodes below.
    below: Vec<super::below::NodeBody>,
    store: StoreFigures,
    journal: JournalFigures,
    clock: Clock,
}

#[derive(Serialize, ToSchema)]
struct NodeHealth {
    name: String,
    tier: String,
    id: String,
    version: &'static str,
    started_us: i64,
    /// People signed in.
    logins: usize,
}

#[derive(Serialize, ToSchema)]
struct Count {
    /// Cameras whose main stream is being recorded.
    recording: usize,
    /// Cameras that shall be.
    total: usize,
}

#[derive(Serialize, ToSchema)]
struct Volume {
    name: String,
    path: String,
    /// `ok`, `suspect`, `draining` or `failed`.
    state: &'static str,
    /// `slow`, `stalled`, `refuses`, `unsynced`, `read_only`, `no_space` or `away`; `null` if nothing is the matter.
    trouble: Option<&'static str>,
    since_us: Option<i64>,
    /// Streams that are recorded there.
    streams: usize,
    /// Bytes of `total_bytes` that the disk does not have.
    missing_bytes: u64,
    direct_io: bool,
    total_bytes: u64,
    /// What is left for new footage before the oldest is recycled.
    free_bytes: u64,
    segments_total: usize,
    segments_free: usize,
    segments_open: usize,
    bytes_written: u64,
    queue_bytes: usize,
    commit_ms_p50: f64,
    commit_ms_p99: f64,
    recovering: bool,
    damaged: u64,
    /// Bytes read again since start and compared with what was written.
    verified_bytes: u64,
    last_error: Option<String>,
    sentence: Option<Words>,
    remedy: Option<Words>,
}

/// Something that someone should know or do.
#[derive(Serialize, ToSchema)]
struct Problem {
    /// A stable word.
    kind: String,
    #[schema(value_type = Option<u32>)]
    camera: Option<CameraId>,
    since_us: Option<i64>,
    /// `urgent`, `high`, `medium` or `info`.
    severity: Severity,
    state: Words,
    remedy: Words,
}

impl Problem {
    /// One of the node as a whole.
    fn of_node(kind: &str, severity: Severity, since: Option<UtcMicros>, state: Words, remedy: Words) -> Self {
        Self { kind: kind.to_owned(), camera: None, since_us: since.map(UtcMicros::as_micros), severity, state, remedy }
    }

    /// One of a camera, which is named before what is said of it.
    fn of_camera(camera: &Camera, kind: &str, severity: Severity, since: Option<UtcMicros>, state: Words, remedy: Words) -> Self {
        let Words { zh, en } = state;
        let state = words(format!("{} {}：{zh}", camera.id, camera.name), format!("{} {}: {en}", camera.id, camera.name));
        Self { camera: Some(camera.id), ..Self::of_node(kind, severity, since, state, remedy) }
    }
}

#[derive(Serialize, ToSchema, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Urgent,
    High,
    Medium,
    Info,
}

#[derive(Serialize, ToSchema)]
struct IngestHealth {
    streams: usize,
    playing: usize,
    bits_per_second: u64,
    units_received: u64,
    units_stored: u64,
    /// RTP packets that never came; of them, those that the kernel of this machine dropped; units that our queue shed.
    lost_rtp_packets: u64,
    lost_kernel_packets: u64,
    lost_queue_units: u64,
    /// The longest of the streams' waits for the disk.
    disk_wait_ms_p99: f64,
    reconnects: u64,
}

/// Looking at key pictures.
#[derive(Serialize, ToSchema)]
struct PictureHealth {
    /// Cameras whose pictures are looked at.
    watched: usize,
    /// Cameras whose pictures wait, because the budget of CPU time does not suffice.
    waiting: usize,
    /// Cameras whose pictures cannot be decoded.
    unreadable: usize,
    /// Cameras whose picture is not as it should be.
    faulty: usize,
    looks: u64,
    passed_over: u64,
    cpu_seconds: f64,
    motion_stored: u64,
    /// Looks whose motion could not be written.
    motion_lost: u64,
}

#[derive(Serialize, ToSchema)]
struct StoreFigures {
    fragments: u64,
    fragments_lost: u64,
    oldest_us: Option<i64>,
}

#[derive(Serialize, ToSchema)]
struct JournalFigures {
    tail: u64,
    waiting: usize,
    refused: u64,
    commit_ms_p50: f64,
    commit_ms_p99: f64,
}

#[derive(Serialize, ToSchema)]
struct Clock {
    server_us: i64,
    /// Since when retention stands still because the clock jumped; `null` if it does not.
    retention_frozen_us: Option<i64>,
}

/// How the node does, with the cameras this person may list.
#[utoipa::path(get, path = "/api/v1/health", responses((status = 200, body = Health), (status = 403, body = Refusal)))]
pub(super) async fn health(authority: Authority) -> Result<Json<Health>, Refusal> {
    let node = authority.node();
    let cameras: Vec<Camera> = authority.cameras()?.into_iter().map(|entry| entry.camera).collect();
    let store = node.store.health();
    let statuses = statuses(node);
    let now = UtcMicros::now();
    let mut problems: Vec<Problem> = store.volumes.iter().flat_map(volumes::problem).collect();
    problems.extend(node_problems(node, &store));
    // A month of a room is a quarter of a million segments: not on a thread that others wait for, and not for everybody who asks.
    let kept = node.blocking(|node| node.store.retention_within(RETENTION_AGE)).await?;
    problems.extend(keeping_problems(node, &kept, now));
    let mut recording = 0;
    for camera in cameras.iter().filter(|camera| camera.enabled) {
        let main = statuses.get(&StreamId::new(camera.id, StreamKind::Main));
        recording += usize::from(main.is_some_and(|status| is_recording(node, status, now)));
        let found = StreamKind::ALL.iter().filter_map(|kind| statuses.get(&StreamId::new(camera.id, *kind)));
        problems.extend(found.filter_map(|status| camera_problem(node, camera, status, now)).next());
    }
    let pictures = pictures::look(node, &cameras, &mut problems);
    problems.extend(pull_points::problems(node, &cameras, now));
    problems.extend(outside::problems(node, now));
    let below = nodes_below(node, &mut problems);
    problems.sort_by_key(|problem| (problem.severity, problem.since_us, problem.camera));
    let mine = || statuses.values().filter(|status| cameras.iter().any(|camera| camera.id == status.stream.camera));
    let sum = |figure: fn(&StreamStatus) -> u64| mine().map(figure).sum();
    Ok(Json(Health {
        as_of_us: now.as_micros(),
        node: NodeHealth {
            name: node.config.name.clone(),
            tier: node.config.tier.to_string(),
            id: node.id.to_string(),
            version: env!("CARGO_PKG_VERSION"),
            started_us: node.started.as_micros(),
            logins: node.logins.count(),
        },
        volumes: store.volumes.iter().map(|volume| body(node, volume)).collect(),
        cameras: Count { recording, total: cameras.iter().filter(|camera| camera.enabled).count() },
        problems,
        ingest: IngestHealth {
            streams: mine().count(),
            playing: mine().filter(|status| status.state == StreamState::Playing).count(),
            bits_per_second: sum(|s| s.bits_per_second),
            units_received: sum(|s| s.units_received),
            units_stored: sum(|s| s.units_stored),
            lost_rtp_packets: sum(|s| s.lost_rtp_packets),
            lost_kernel_packets: sum(|s| s.lost_kernel_packets),
            lost_queue_units: sum(|s| s.lost_queue_units),
            disk_wait_ms_p99: mine().map(|s| s.disk_wait_ms_p99).fold(0.0, f64::max),
            reconnects: sum(|s| s.reconnects),
        },
        pictures,
        below,
        store: StoreFigures {
            fragments: store.fragments,
            fragments_lost: store.fragments_lost,
            oldest_us: store.oldest.map(UtcMicros::as_micros),
        },
        journal: journal_figures(node),
        clock: Clock { server_us: now.as_micros(), retention_frozen_us: store.retention_frozen.map(UtcMicros::as_micros) },
    }))
}

/// The nodes below a centre; one that is missing is a problem.
fn nodes_below(node: &Node, problems: &mut Vec<Problem>) -> Vec<super::below::NodeBody> {
    let looked = super::below::look(node);
    let bodies = super::below::bodies(&looked, &node.events.coverage(Window::ALL));
    for (body, below) in bodies.iter().zip(&looked) {
        let Some(reason) = &body.reason else { continue };
        let severity = if reason.grave { Severity::Urgent } else { Severity::High };
        let state = words(format!("{}：{}", body.name, reason.state.zh), format!("{}: {}", body.name, reason.state.en));
        let kind = format!("node_{}", reason.code);
        problems.push(Problem::of_node(&kind, severity, below.standing.heard, state, reason.remedy.clone()));
    }
    bodies
}

fn journal_figures(node: &Node) -> JournalFigures {
    let health = node.journal.health();
    JournalFigures {
        tail: health.tail.get(),
        waiting: health.waiting,
        refused: health.refused,
        commit_ms_p50: health.commit_p50.as_secs_f64() * 1e3,
        commit_ms_p99: health.commit_p99.as_secs_f64() * 1e3,
    }
}

/// Recorded means on disk: a connection that plays is not enough.
pub(super) fn is_recording(node: &Node, status: &StreamStatus, now: UtcMicros) -> bool {
    let to = node.store.recorded_to(status.stream);
    status.state == StreamState::Playing && to.is_some_and(|to| now.since(to) < STALE)
}

fn body(node: &Shared, volume: &VolumeHealth) -> Volume {
    let problem = volumes::problem(volume);
    // Free segments are ready files; what the pool may still grow by is free too.
    let used = volume.segments_total.saturating_sub(volume.segments_free) as u64;
    Volume {
        name: volume.name.clone(),
        path: volume.path.display().to_string(),
        state: volume.state.word(),
        trouble: volume.trouble.map(Trouble::word),
        since_us: volume.since.map(UtcMicros::as_micros),
        streams: volume.streams,
        missing_bytes: volume.missing,
        direct_io: volume.direct_io,
        total_bytes: volume.capacity,
        free_bytes: volume.capacity.saturating_sub(used * node.config.segment_bytes),
        segments_total: volume.segments_total,
        segments_free: volume.segments_free,
        segments_open: volume.segments_open,
        bytes_written: volume.bytes_written,
        queue_bytes: volume.queue_bytes,
        commit_ms_p50: volume.commit_ms_p50,
        commit_ms_p99: volume.commit_ms_p99,
        recovering: volume.recovering,
        damaged: volume.damaged,
        verified_bytes: volume.verified,
        last_error: volume.last_error.clone(),
        sentence: problem.as_ref().map(|problem| problem.state.clone()),
        remedy: problem.map(|problem| problem.remedy),
    }
}
