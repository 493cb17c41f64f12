//! What is wrong with the node, its cameras and what it promised to keep: in words, each with its remedy.

use super::{PATIENCE, Problem, Severity, is_recording};
use crate::{
    node::{Node, Shared},
    refusal::{Words, words},
};
use index::{
    footage::{ErasureState, HoldState, StoreHealth},
    model::{Camera, StreamKind, UtcMicros},
};
use ingest::{StreamState, StreamStatus};
use std::time::Duration;

/// How long before a hold ends somebody is told.
const HOLD_NOTICE: Duration = Duration::from_secs(3 * 86_400);
/// An erasure may take so long before anyone needs to know.
const ERASURE_PATIENCE: Duration = Duration::from_secs(3600);

/// What threatens the promise of retention, while there is time; and what waits for a second person.
pub(super) fn keeping_problems(node: &Shared, now: UtcMicros) -> Vec<Problem> {
    let kept = node.store.retention();
    let mut problems = Vec::new();
    let mut add = |kind: &str, since: Option<UtcMicros>, severity, (state, remedy): (Words, Words)| {
        let (kind, since_us) = (kind.to_owned(), since.map(UtcMicros::as_micros));
        problems.push(Problem { kind, camera: None, since_us, severity, state, remedy });
    };
    if let Some((volume, warned)) = super::super::retention::near_breach(&kept) {
        let words = super::super::retention::breach_words(volume, warned.breaks);
        add("retention_breach", Some(warned.since), Severity::Urgent, words);
    }
    if kept.held > kept.quota / 10 * 9 {
        let (held, quota) = (kept.held as f64 / 1e9, kept.quota as f64 / 1e9);
        add(
            "hold_quota_near",
            None,
            Severity::Medium,
            (
                words(
                    format!("录像保全已占用 {held:.1} GB，限额 {quota:.1} GB：新的保全可能被拒绝"),
                    format!("Holds take up {held:.1} of {quota:.1} GB: a new one may be refused"),
                ),
                words(
                    "导出后解除不再需要的保全，或提高 retention.hold_percent",
                    "Export and release what is no longer needed, or raise retention.hold_percent",
                ),
            ),
        );
    }
    for hold in node.store.holds().into_iter().filter(index::footage::Hold::in_force) {
        if hold.state == HoldState::Requested {
            add(
                "hold_waits",
                Some(hold.asked.at),
                Severity::Medium,
                (
                    words(
                        format!("保全 {} 待第二人批准，72 小时内未批准将失效", hold.id),
                        format!("Hold {} waits for a second person and lapses 72 hours after it was asked for", hold.id),
                    ),
                    words("请由另一名管理员批准或驳回", "Another administrator approves or declines it"),
                ),
            );
        } else if hold.expires.since(now) < HOLD_NOTICE {
            add(
                "hold_expires_soon",
                None,
                Severity::Medium,
                (
                    words(
                        format!("保全 {} 将于 {} 到期，届时录像按期限删除", hold.id, hold.expires),
                        format!("Hold {} ends at {}; its footage then goes by its term", hold.id, hold.expires),
                    ),
                    words("如仍需要，请重新申请保全或导出", "Ask for a new hold, or export it, if it is still needed"),
                ),
            );
        }
    }
    for order in node.store.erasures().into_iter().filter(|order| order.state == ErasureState::Approved) {
        let since = order.approved.as_ref().map(|deed| deed.at);
        if since.is_some_and(|since| now.since(since) > ERASURE_PATIENCE) {
            add(
                "erasure_waits",
                since,
                Severity::High,
                (
                    words(
                        format!("删除令 {} 尚未在所有磁盘上执行完毕", order.id),
                        format!("The order of erasure {} is not carried out on every disk yet", order.id),
                    ),
                    words("请检查是否有磁盘离线或拒绝写入", "Look for a disk that is away or refuses to write"),
                ),
            );
        }
    }
    problems
}

/// The node itself: its clock, its journal, its state directory, footage that found no disk.
pub(super) fn node_problems(node: &Shared, store: &StoreHealth) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |kind: &str, since: Option<UtcMicros>, severity, state, remedy| {
        problems.push(Problem {
            kind: kind.to_owned(),
            camera: None,
            since_us: since.map(UtcMicros::as_micros),
            severity,
            state,
            remedy,
        });
    };
    if let Some(since) = store.retention_frozen {
        add(
            "clock_jumped",
            Some(since),
            Severity::High,
            words("系统时钟发生跳变，到期删除已暂停", "The clock jumped, so nothing is deleted until it is confirmed"),
            words("请检查时间同步（NTP）", "Check the time service (NTP)"),
        );
    }
    if store.fragments_lost > 0 {
        add(
            "footage_lost",
            None,
            Severity::Urgent,
            words(
                format!("启动以来有 {} 个片段未能写入任何磁盘", store.fragments_lost),
                format!("{} fragments could not be written to any disk since start", store.fragments_lost),
            ),
            words("请检查磁盘；缺失时段已记入时间轴", "Check the disks; the timeline shows which seconds are missing"),
        );
    }
    let journal = node.journal.health();
    if let Some(error) = journal.failed {
        add(
            "journal_failed",
            None,
            Severity::Urgent,
            words(
                "登记日志无法写入，视频不可查看；录像继续",
                format!("The journal takes no more records ({error}), so no pictures are shown; recording goes on"),
            ),
            words("请检查状态目录所在磁盘，然后重启服务", "Check the disk of the state directory, then restart the service"),
        );
    } else if journal.refused > 0 {
        add(
            "journal_refused",
            None,
            Severity::High,
            words(
                format!("启动以来有 {} 条登记未能写入", journal.refused),
                format!("{} records were refused by the journal since start", journal.refused),
            ),
            words("请检查状态目录所在磁盘的空间和速度", "Check the space and speed of the state directory's disk"),
        );
    }
    if let Ok(disk) = rustix::fs::statvfs(&node.config.state_dir)
        && disk.f_bavail.saturating_mul(disk.f_frsize) < 256 << 20
    {
        add(
            "state_disk_full",
            None,
            Severity::Urgent,
            words(
                "状态目录所在磁盘将满：登记无法写入时视频将不可查看",
                "The state directory's disk is nearly full: when the register cannot be written, no pictures are shown",
            ),
            words("请清理该磁盘", "Free space on that disk"),
        );
    }
    problems
}

/// Why a stream is not recorded; `None` while it is, and for [`PATIENCE`] after a start.
pub(super) fn camera_problem(node: &Node, camera: &Camera, status: &StreamStatus, now: UtcMicros) -> Option<Problem> {
    if is_recording(node, status, now) && status.notice.is_none() && !status.not_stored {
        return None;
    }
    let main = status.stream.kind == StreamKind::Main;
    let severity = if main { Severity::High } else { Severity::Medium };
    if let Some(notice) = &status.notice {
        return Some(Problem {
            kind: notice.code.to_owned(),
            camera: Some(camera.id),
            since_us: Some(status.since.as_micros()),
            severity,
            state: words(
                format!("{} {}：{}", camera.id, camera.name, notice.state.zh),
                format!("{} {}: {}", camera.id, camera.name, notice.state.en),
            ),
            remedy: super::super::wire::sentence(&notice.remedy),
        });
    }
    let waits = status.state == StreamState::Paused || now.since(status.since.max(node.started)) < PATIENCE;
    (!waits).then(|| Problem {
        kind: "camera_not_recorded".to_owned(),
        camera: Some(camera.id),
        since_us: Some(node.store.recorded_to(status.stream).unwrap_or(status.since).as_micros()),
        severity,
        state: words(
            format!("{} {}：没有在录像", camera.id, camera.name),
            format!("{} {}: is not being recorded", camera.id, camera.name),
        ),
        remedy: words("请检查摄像机画面和磁盘状态", "Check the camera's picture and the disks"),
    })
}
