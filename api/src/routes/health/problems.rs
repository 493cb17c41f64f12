//! What is wrong with the node and its cameras: in words, each with its remedy.

use super::{PATIENCE, Problem, Severity, is_recording};
use crate::{
    node::{Node, Shared},
    refusal::words,
    routes::wire::sentence,
};
use index::{
    footage::StoreHealth,
    journal::JournalHealth,
    model::{Camera, StreamKind, UtcMicros},
};
use ingest::{StreamState, StreamStatus};

/// A state directory's disk with less room than that is nearly full.
const STATE_DISK_BYTES: u64 = 256 << 20;

/// The node itself: its clock, its journal, its state directory, footage that found no disk.
pub(super) fn node_problems(node: &Shared, store: &StoreHealth) -> Vec<Problem> {
    let jumped = store.retention_frozen.map(|since| {
        let state = words("系统时钟发生跳变，到期删除已暂停", "The clock jumped, so nothing is deleted until it is confirmed");
        let remedy = words("请检查时间同步（NTP）", "Check the time service (NTP)");
        Problem::of_node("clock_jumped", Severity::High, Some(since), state, remedy)
    });
    let lost = (store.fragments_lost > 0).then(|| {
        let state = words(
            format!("启动以来有 {} 个片段未能写入任何磁盘", store.fragments_lost),
            format!("{} fragments could not be written to any disk since start", store.fragments_lost),
        );
        let remedy = words("请检查磁盘；缺失时段已记入时间轴", "Check the disks; the timeline shows which seconds are missing");
        Problem::of_node("footage_lost", Severity::Urgent, None, state, remedy)
    });
    let full = rustix::fs::statvfs(&node.config.state_dir)
        .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < STATE_DISK_BYTES)
        .then(|| {
            let state = words(
                "状态目录所在磁盘将满：登记无法写入时视频将不可查看",
                "The state directory's disk is nearly full: when the register cannot be written, no pictures are shown",
            );
            Problem::of_node("state_disk_full", Severity::Urgent, None, state, words("请清理该磁盘", "Free space on that disk"))
        });
    [jumped, lost, of_journal(node.journal.health()), full].into_iter().flatten().collect()
}

fn of_journal(journal: JournalHealth) -> Option<Problem> {
    if let Some(error) = journal.failed {
        let state = words(
            "登记日志无法写入，视频不可查看；录像继续",
            format!("The journal takes no more records ({error}), so no pictures are shown; recording goes on"),
        );
        let remedy =
            words("请检查状态目录所在磁盘，然后重启服务", "Check the disk of the state directory, then restart the service");
        return Some(Problem::of_node("journal_failed", Severity::Urgent, None, state, remedy));
    }
    (journal.refused > 0).then(|| {
        let state = words(
            format!("启动以来有 {} 条登记未能写入", journal.refused),
            format!("{} records were refused by the journal since start", journal.refused),
        );
        let remedy = words("请检查状态目录所在磁盘的空间和速度", "Check the space and speed of the state directory's disk");
        Problem::of_node("journal_refused", Severity::High, None, state, remedy)
    })
}

/// Why a stream is not recorded; `None` while it is, and for [`PATIENCE`] after a start.
pub(super) fn camera_problem(node: &Node, camera: &Camera, status: &StreamStatus, now: UtcMicros) -> Option<Problem> {
    if is_recording(node, status, now) && status.notice.is_none() && !status.not_stored {
        return None;
    }
    let main = status.stream.kind == StreamKind::Main;
    let severity = if main { Severity::High } else { Severity::Medium };
    if let Some(notice) = &status.notice {
        let (state, remedy) = (sentence(&notice.state), sentence(&notice.remedy));
        return Some(Problem::of_camera(camera, notice.code, severity, Some(status.since), state, remedy));
    }
    let waits = status.state == StreamState::Paused || now.since(status.since.max(node.started)) < PATIENCE;
    (!waits).then(|| {
        let since = node.store.recorded_to(status.stream).unwrap_or(status.since);
        let remedy = words("请检查摄像机画面和磁盘状态", "Check the camera's picture and the disks");
        let state = words("没有在录像", "is not being recorded");
        Problem::of_camera(camera, "camera_not_recorded", severity, Some(since), state, remedy)
    })
}
