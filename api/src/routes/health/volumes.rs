//! What is wrong with a disk, what that costs, and what to do: one problem a volume, the worst.

use super::{Problem, Severity};
use crate::refusal::{Words, words};
use index::{
    footage::{Trouble, VolumeHealth, VolumeState},
    model::UtcMicros,
};

/// The worst that is the matter with a volume. `None` if all is well.
pub(super) fn problem(volume: &VolumeHealth) -> Option<Problem> {
    let found = trouble(volume).or_else(|| shortage(volume)).or_else(|| damage(volume)).or_else(|| buffered(volume))?;
    let (kind, severity, state, remedy) = found;
    let since_us = volume.since.map(UtcMicros::as_micros);
    Some(Problem { kind: kind.to_owned(), camera: None, since_us, severity, state, remedy })
}

type Found = (&'static str, Severity, Words, Words);

/// What the disk does.
fn trouble(volume: &VolumeHealth) -> Option<Found> {
    let (name, path) = (&volume.name, volume.path.display());
    let trouble = volume.trouble.filter(|_| volume.state != VolumeState::Ok)?;
    let moved = match volume.streams {
        0 => words("新录像已改存到其他磁盘", "new footage goes to other disks"),
        _ => words("没有其他磁盘可用，录像可能丢失", "there is no other disk for it, and footage may be lost"),
    };
    let severity = if volume.streams > 0 { Severity::Urgent } else { Severity::High };
    let replace = words(
        "请检查磁盘、线缆与供电；修复或更换并重新挂载后会自动恢复使用，或执行 systemctl reload haohe-room 再试",
        "Check the disk, its cable and its power; mounted anew it is used again by itself, or run systemctl reload haohe-room to try it again",
    );
    let say = |zh: &str, en: &str| words(format!("磁盘 {name} {zh}，{}", moved.zh), format!("Disk {name} {en}; {}", moved.en));
    Some(match trouble {
        Trouble::Away => (
            "disk_away",
            Severity::Urgent,
            words(
                format!("磁盘 {name} 不在或无法读取，其上的录像暂不可用；{}", moved.zh),
                format!("Disk {name} is not there or cannot be read, nor can the footage on it; {}", moved.en),
            ),
            words(
                format!("请检查磁盘并重新挂载到 {path}；如已换新盘，挂载到同一目录即可，系统会自动接入"),
                format!("Check the disk and mount it at {path} again, or mount a new one there: either is taken in by itself"),
            ),
        ),
        Trouble::Stalled => (
            "disk_stalled",
            severity,
            say("长时间没有响应", "does not answer"),
            words(
                "请检查磁盘与控制器；恢复响应一分钟后会自动重新使用",
                "Check the disk and its controller; a minute after it answers again it is used again",
            ),
        ),
        Trouble::Slow => (
            "disk_slow",
            severity,
            say("写入过慢", "is too slow"),
            words("请检查磁盘健康状况与其他占用它的程序", "Check the disk's health, and what else uses it"),
        ),
        Trouble::ReadOnly => (
            "disk_read_only",
            severity,
            say("已变为只读", "has become read-only"),
            words(
                format!("文件系统通常因错误转为只读：请检查后重新挂载 {path}，再执行 systemctl reload haohe-room"),
                format!(
                    "A file system turns read-only after an error: check it, mount {path} anew, then run systemctl reload haohe-room"
                ),
            ),
        ),
        Trouble::Unsynced => {
            ("disk_draining", severity, say("未能确认已写入的数据", "could not confirm what was written to it"), replace)
        }
        Trouble::NoSpace => (
            "disk_no_space",
            Severity::High,
            words(
                format!("磁盘 {name} 的文件系统已被其他文件占满"),
                format!("The file system of disk {name} is filled up by other files"),
            ),
            words(format!("请删除 {path} 中不属于录像的文件"), format!("Remove from {path} what is not footage")),
        ),
        Trouble::Refuses if volume.state == VolumeState::Suspect => (
            "disk_suspect",
            Severity::Medium,
            words(format!("磁盘 {name} 出现过写入错误，仍在使用"), format!("Disk {name} refused a write; it is still used")),
            replace,
        ),
        Trouble::Refuses => ("disk_draining", severity, say("拒绝写入", "refuses writes"), replace),
    })
}

/// What it has no room for.
fn shortage(volume: &VolumeHealth) -> Option<Found> {
    let name = &volume.name;
    let gib = |bytes: u64| bytes.div_ceil(1 << 30);
    // Every segment is being written: it is not the footage that fills it, but the number of streams.
    if volume.full && volume.streams > volume.segments_open && volume.segments_open + 1 >= volume.segments_total {
        let lacking = volume.streams - volume.segments_open;
        return Some((
            "disk_too_small",
            Severity::Urgent,
            words(
                format!(
                    "磁盘 {name} 只有 {} 个录像段，需录 {} 路：有 {lacking} 路没有在录像",
                    volume.segments_total, volume.streams
                ),
                format!(
                    "Disk {name} has {} segments for {} streams: {lacking} of them are not recorded",
                    volume.segments_total, volume.streams
                ),
            ),
            words(
                "请增加磁盘，或减小 footage.segment_mib 与 footage.sub_segment_mib 后重启",
                "Add a disk, or make footage.segment_mib and footage.sub_segment_mib smaller and restart",
            ),
        ));
    }
    if volume.full {
        return Some((
            "disk_full",
            Severity::Urgent,
            words(
                format!("磁盘 {name} 已满，且没有到期的录像，新录像无处可存"),
                format!("Disk {name} is full and nothing on it is past its term: recording has stopped there"),
            ),
            words(
                "请增加磁盘或减少摄像机；未到期录像不会被删除",
                "Add a disk or record fewer cameras; footage within its term is never deleted",
            ),
        ));
    }
    (volume.missing > volume.capacity / 50).then(|| {
        (
            "disk_short",
            Severity::High,
            words(
                format!("磁盘 {name} 比配置少 {} GiB：被其他文件占用，或磁盘较小，录像保存天数将不足", gib(volume.missing)),
                format!("Disk {name} lacks {} GiB of what is configured: other files take them up, or it is smaller; footage may not be kept for its term", gib(volume.missing)),
            ),
            words(
                "请删除该盘上不属于录像的文件，或在配置中改小 capacity",
                "Remove what is not footage from it, or correct its capacity in the configuration",
            ),
        )
    })
}

/// What it holds that is not what was written.
fn damage(volume: &VolumeHealth) -> Option<Found> {
    let name = &volume.name;
    (volume.damaged > 0).then(|| {
        (
            "footage_damaged",
            Severity::High,
            words(
                format!("磁盘 {name} 上有 {} 处录像在保存后损坏", volume.damaged),
                format!("Footage in {} places on disk {name} was damaged after it was stored", volume.damaged),
            ),
            words(
                "损坏时段已记入时间轴；请运行 haohe footage verify 查明范围，并检查磁盘",
                "The timeline shows which seconds; run haohe footage verify to see where, and check the disk",
            ),
        )
    })
}

fn buffered(volume: &VolumeHealth) -> Option<Found> {
    let name = &volume.name;
    (!volume.direct_io).then(|| {
        (
            "disk_buffered",
            Severity::Info,
            words(
                format!("磁盘 {name} 的文件系统不支持直接写入，改用缓冲写入"),
                format!("The file system of disk {name} refuses direct writes; buffered ones are used"),
            ),
            words("生产环境请使用 XFS 或 ext4", "Use XFS or ext4 in production"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn well() -> VolumeHealth {
        VolumeHealth {
            name: "d1".into(),
            path: PathBuf::from("/srv/haohe/d1"),
            state: VolumeState::Ok,
            trouble: None,
            since: None,
            streams: 15,
            direct_io: true,
            segments_total: 100,
            segments_free: 10,
            segments_open: 15,
            full: false,
            capacity: 100 << 30,
            missing: 0,
            bytes_written: 0,
            queue_bytes: 0,
            queue_bound: 0,
            commits: 0,
            commit_ms_p50: 0.0,
            commit_ms_p99: 0.0,
            last_error: None,
            recovering: false,
            damaged: 0,
            verified: 0,
        }
    }

    fn kind(volume: &VolumeHealth) -> Option<String> {
        problem(volume).map(|problem| problem.kind)
    }

    #[test]
    fn each_trouble_of_a_disk_is_a_problem_in_both_languages_with_its_remedy() {
        assert_eq!(kind(&well()), None);
        for (state, trouble, expected) in [
            (VolumeState::Suspect, Trouble::Slow, "disk_slow"),
            (VolumeState::Suspect, Trouble::Stalled, "disk_stalled"),
            (VolumeState::Suspect, Trouble::Refuses, "disk_suspect"),
            (VolumeState::Draining, Trouble::Refuses, "disk_draining"),
            (VolumeState::Draining, Trouble::Unsynced, "disk_draining"),
            (VolumeState::Draining, Trouble::ReadOnly, "disk_read_only"),
            (VolumeState::Suspect, Trouble::NoSpace, "disk_no_space"),
            (VolumeState::Failed, Trouble::Away, "disk_away"),
        ] {
            let found = problem(&VolumeHealth { state, trouble: Some(trouble), ..well() }).expect("a problem");
            assert_eq!(found.kind, expected);
            for text in [&found.state.zh, &found.state.en, &found.remedy.zh, &found.remedy.en] {
                assert!(!text.is_empty(), "{expected}");
            }
        }
    }

    #[test]
    fn a_disk_with_fewer_segments_than_streams_says_how_many_streams_are_not_recorded() {
        let small = VolumeHealth { full: true, streams: 6, segments_total: 4, segments_open: 4, ..well() };
        let found = problem(&small).expect("a problem");
        assert_eq!(found.kind, "disk_too_small");
        assert!(found.state.en.contains("2 of them are not recorded"), "{}", found.state.en);
        assert_eq!(kind(&VolumeHealth { full: true, ..well() }).as_deref(), Some("disk_full"));
    }

    #[test]
    fn what_a_foreign_file_takes_from_a_disk_is_a_problem_before_anything_is_lost() {
        assert_eq!(kind(&VolumeHealth { missing: 30 << 30, ..well() }).as_deref(), Some("disk_short"));
        assert_eq!(kind(&VolumeHealth { missing: 1 << 20, ..well() }), None);
    }
}
