//! `/metrics`: figures for Prometheus, made from the same state as the health page.

use super::{below, cameras::statuses, health::is_recording};
use crate::{authority::Authority, node::Shared};
use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use index::model::UtcMicros;
use ingest::{
    StreamState, StreamStatus,
    picture::{PictureState, PictureStatus},
};
use std::{
    fmt::Write,
    sync::{PoisonError, atomic::Ordering},
};

/// Figures in Prometheus' text format. For auditors and administrators, or with the configured token.
#[utoipa::path(get, path = "/metrics",
    responses((status = 200, body = String, content_type = "text/plain"), (status = 401, body = crate::refusal::Refusal)))]
pub(super) async fn metrics(authority: Authority) -> Response {
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"))];
    (headers, write(authority.node())).into_response()
}

/// A page of figures under construction.
#[derive(Default)]
struct Page(String);

impl Page {
    fn kind(&mut self, name: &str, kind: &str) {
        let _ = writeln!(self.0, "# TYPE haohe_{name} {kind}");
    }

    fn one(&mut self, name: &str, kind: &str, value: impl std::fmt::Display) {
        self.kind(name, kind);
        let _ = writeln!(self.0, "haohe_{name} {value}");
    }

    fn with(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "haohe_{name}{{{labels}}} {value}");
    }
}

fn write(node: &Shared) -> String {
    let mut page = Page::default();
    let now = UtcMicros::now();
    page.one("start_time_seconds", "gauge", node.started.as_micros() as f64 / 1e6);
    page.one("logins", "gauge", node.logins.count());
    page.one("journal_tail", "counter", node.journal.tail().get());
    events(&mut page, node);
    streams(&mut page, node, now);
    pictures(&mut page, node);
    volumes(&mut page, node);
    nodes_below(&mut page, node);
    let figures = &node.figures;
    for (name, kind, value) in [
        ("http_failures_total", "counter", &figures.failures),
        ("media_sockets", "gauge", &figures.sockets),
        ("media_channels", "gauge", &figures.channels),
        ("live_units_total", "counter", &figures.live_units),
        ("live_gaps_total", "counter", &figures.live_gaps),
        ("media_bytes_total", "counter", &figures.media_bytes),
    ] {
        page.one(name, kind, value.load(Ordering::Relaxed));
    }
    figures.requests.write("haohe_http_request_seconds", &mut page.0);
    figures.live_age.write("haohe_live_age_seconds", &mut page.0);
    page.0
}

fn events(page: &mut Page, node: &Shared) {
    let coverage = node.events.coverage(index::model::Window::ALL);
    page.one("events_indexed_total", "counter", node.events.added());
    page.one("events_index_behind_records", "gauge", coverage.journal.get().saturating_sub(coverage.indexed_to.get()));
    page.one("events_index_failed", "gauge", u8::from(coverage.problem.is_some()));
    page.kind("identity_refused_total", "counter");
    for (door, why, count) in node.events.refused.all() {
        page.with("identity_refused_total", &format!("door=\"{door}\",why=\"{}\"", why.word()), count);
    }
    if node.config.mqtt.is_some() {
        let mqtt = &node.mqtt;
        page.one("mqtt_messages_total", "counter", mqtt.messages.load(Ordering::Relaxed));
        page.one("mqtt_refused_total", "counter", mqtt.refused.load(Ordering::Relaxed));
        page.one("mqtt_connects_total", "counter", mqtt.connects.load(Ordering::Relaxed));
        page.one("mqtt_away", "gauge", u8::from(mqtt.away().is_some()));
    }
    page.kind("hook_taken_total", "counter");
    for (name, state) in node.hooks.states() {
        page.with("hook_taken_total", &format!("hook=\"{}\"", name.replace(['"', '\\', '\n'], "_")), state.taken);
    }
    page.kind("hook_failing", "gauge");
    for (name, state) in node.hooks.states() {
        let label = format!("hook=\"{}\"", name.replace(['"', '\\', '\n'], "_"));
        page.with("hook_failing", &label, u8::from(state.failing.is_some()));
    }
    let metadata = &node.metadata.figures;
    for (name, value) in [
        ("metadata_documents_total", &metadata.documents),
        ("metadata_documents_dropped_total", &metadata.dropped),
        ("metadata_events_total", &metadata.events),
        ("metadata_events_shed_total", &metadata.shed),
    ] {
        page.one(name, "counter", value.load(Ordering::Relaxed));
    }
    page.kind("metadata_unreadable_total", "counter");
    for (why, count) in metadata.unreadable.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        page.with("metadata_unreadable_total", &format!("why=\"{why}\""), count);
    }
}

/// How the nodes below a centre stand; nothing in a room.
fn nodes_below(page: &mut Page, node: &Shared) {
    let looked = below::look(node);
    if looked.is_empty() {
        return;
    }
    let nodes = below::bodies(&looked, &node.events.coverage(index::model::Window::ALL));
    page.kind("nodes_below", "gauge");
    for state in below::STATES {
        page.with("nodes_below", &format!("state=\"{state}\""), nodes.iter().filter(|node| node.state == state).count());
    }
    for (name, read) in NODE_FIGURES {
        page.kind(name, "gauge");
        for node in &nodes {
            page.with(name, &format!("node=\"{}\"", node.node), read(node));
        }
    }
}

/// A figure of a node below: its name, how to read it.
type NodeFigure = (&'static str, fn(&below::NodeBody) -> f64);

const NODE_FIGURES: [NodeFigure; 2] =
    [("node_below_lag_seconds", |node| node.lag_s), ("node_below_lag_records", |node| node.lag_records as f64)];

/// A figure of a stream: its name, its kind, how to read it.
type Figure = (&'static str, &'static str, fn(&StreamStatus) -> f64);

const STREAM_FIGURES: [Figure; 10] = [
    ("stream_playing", "gauge", |s| f64::from(u8::from(s.state == StreamState::Playing))),
    ("stream_bits_per_second", "gauge", |s| s.bits_per_second as f64),
    ("stream_units_received_total", "counter", |s| s.units_received as f64),
    ("stream_units_stored_total", "counter", |s| s.units_stored as f64),
    ("stream_lost_queue_units_total", "counter", |s| s.lost_queue_units as f64),
    ("stream_disk_wait_seconds_p99", "gauge", |s| s.disk_wait_ms_p99 / 1e3),
    ("stream_bytes_received_total", "counter", |s| s.bytes_received as f64),
    ("stream_lost_rtp_packets_total", "counter", |s| s.lost_rtp_packets as f64),
    ("stream_lost_kernel_packets_total", "counter", |s| s.lost_kernel_packets as f64),
    ("stream_reconnects_total", "counter", |s| s.reconnects as f64),
];

fn streams(page: &mut Page, node: &Shared, now: UtcMicros) {
    let mut all: Vec<_> = statuses(node).into_values().collect();
    all.sort_unstable_by_key(|status| status.stream);
    let labels = |status: &StreamStatus| format!("camera=\"{}\",stream=\"{}\"", status.stream.camera, status.stream.kind);
    for (name, kind, read) in STREAM_FIGURES {
        page.kind(name, kind);
        for status in &all {
            page.with(name, &labels(status), read(status));
        }
    }
    page.kind("stream_recorded_age_seconds", "gauge");
    for status in &all {
        if let Some(to) = node.store.recorded_to(status.stream) {
            page.with("stream_recorded_age_seconds", &labels(status), now.since(to).as_secs_f64());
        }
    }
    page.one("streams_recording", "gauge", all.iter().filter(|status| is_recording(node, status, now)).count());
}

/// A figure of a camera's pictures: its name, its kind, how to read it.
type PictureFigure = (&'static str, &'static str, fn(&PictureStatus) -> u64);

const PICTURE_FIGURES: [PictureFigure; 5] = [
    ("picture_looks_total", "counter", |s| s.looks),
    ("picture_passed_over_total", "counter", |s| s.passed_over),
    ("picture_unreadable_total", "counter", |s| s.unreadable),
    ("picture_waiting", "gauge", |s| u64::from(s.state == PictureState::Waiting)),
    ("picture_faulty", "gauge", |s| u64::from(s.diagnosis.is_some())),
];

fn pictures(page: &mut Page, node: &Shared) {
    page.one("pictures_cpu_seconds_total", "counter", node.ingest.pictures().figures().cpu_seconds);
    let motion = node.motion.health();
    page.one("motion_looks_stored_total", "counter", motion.stored);
    page.one("motion_looks_lost_total", "counter", motion.lost);
    page.one("motion_days_forgotten_total", "counter", motion.forgotten);
    let all = node.ingest.pictures().status();
    for (name, kind, read) in PICTURE_FIGURES {
        page.kind(name, kind);
        for status in &all {
            page.with(name, &format!("camera=\"{}\"", status.camera), read(status));
        }
    }
}

fn volumes(page: &mut Page, node: &Shared) {
    let health = node.store.health();
    page.one("store_fragments_total", "counter", health.fragments);
    page.one("store_fragments_lost_total", "counter", health.fragments_lost);
    for (name, kind) in [
        ("volume_state", "gauge"),
        ("volume_segments_free", "gauge"),
        ("volume_bytes_written_total", "counter"),
        ("volume_queue_bytes", "gauge"),
        ("volume_commits_total", "counter"),
        ("volume_commit_seconds_p99", "gauge"),
    ] {
        page.kind(name, kind);
        for volume in &health.volumes {
            // Names come from the configuration; quotes and backslashes would end the label.
            let label = format!("volume=\"{}\"", volume.name.replace(['"', '\\', '\n'], "_"));
            let value = match name {
                "volume_state" => f64::from(volume.state as u8),
                "volume_segments_free" => volume.segments_free as f64,
                "volume_bytes_written_total" => volume.bytes_written as f64,
                "volume_queue_bytes" => volume.queue_bytes as f64,
                "volume_commits_total" => volume.commits as f64,
                _ => volume.commit_ms_p99 / 1e3,
            };
            page.with(name, &label, value);
        }
    }
}
