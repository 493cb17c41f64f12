//! What health says of pictures: whose is not as it should be, whose nobody looks at.

use super::{PictureHealth, Problem, Severity};
use crate::{diagnosis, node::Node, refusal::words};
use index::model::{Camera, UtcMicros};
use ingest::picture::{Fault, PictureState, PictureStatus};
use std::collections::HashMap;

/// Sums up the pictures of these cameras, and adds what is wrong with them.
pub(super) fn look(node: &Node, cameras: &[Camera], problems: &mut Vec<Problem>) -> PictureHealth {
    let known: HashMap<_, _> = node.ingest.pictures().status().into_iter().map(|status| (status.camera, status)).collect();
    let mine: Vec<(&Camera, &PictureStatus)> =
        cameras.iter().filter_map(|camera| Some((camera, known.get(&camera.id)?))).collect();
    problems.extend(mine.iter().filter_map(|(camera, status)| problem(camera, status)));
    let count = |state| mine.iter().filter(|(_, status)| status.state == state).count();
    let waiting = count(PictureState::Waiting);
    if waiting > 0 {
        problems.push(busy(waiting));
    }
    let motion = node.motion.health();
    if let Some(error) = motion.problem {
        problems.push(Problem {
            kind: "motion_not_stored".to_owned(),
            camera: None,
            since_us: None,
            severity: Severity::Medium,
            state: words(
                "画面移动记录无法写入：区域搜索缺少这段时间；录像不受影响",
                format!("Motion cannot be stored ({error}): region search lacks this time; recording is not affected"),
            ),
            remedy: words("请检查状态目录所在磁盘", "Check the disk of the state directory"),
        });
    }
    PictureHealth {
        watched: count(PictureState::Watched),
        waiting,
        unreadable: count(PictureState::Unreadable),
        faulty: mine.iter().filter(|(_, status)| status.diagnosis.is_some()).count(),
        looks: mine.iter().map(|(_, status)| status.looks).sum(),
        passed_over: mine.iter().map(|(_, status)| status.passed_over).sum(),
        cpu_seconds: node.ingest.pictures().figures().cpu_seconds,
        motion_stored: motion.stored,
        motion_lost: motion.lost,
    }
}

fn problem(camera: &Camera, status: &PictureStatus) -> Option<Problem> {
    let (since, severity, kind, said, remedy) = if let Some(told) = status.diagnosis {
        let severity = match told.fault {
            Fault::Blurred | Fault::Cast => Severity::Medium,
            _ => Severity::High,
        };
        let kind = format!("picture_{}", told.fault.word());
        (Some(told.since), severity, kind, diagnosis::sentence(told.fault, told.reason), diagnosis::remedy(told.fault))
    } else if status.state == PictureState::Unreadable {
        let said = words("关键帧无法解码，画面未作分析", "its key pictures cannot be decoded, so nobody looks at them");
        let remedy = words("请检查编码设置；录像照常", "Check its encoder settings; it is recorded all the same");
        (None, Severity::Info, "picture_unreadable".to_owned(), said, remedy)
    } else {
        return None;
    };
    let (id, name) = (camera.id, &camera.name);
    Some(Problem {
        kind,
        camera: Some(id),
        since_us: since.map(UtcMicros::as_micros),
        severity,
        state: words(format!("{id} {name}：{}", said.zh), format!("{id} {name}: {}", said.en)),
        remedy,
    })
}

fn busy(waiting: usize) -> Problem {
    Problem {
        kind: "pictures_wait".to_owned(),
        camera: None,
        since_us: None,
        severity: Severity::Info,
        state: words(
            format!("画面分析算力不足：{waiting} 路摄像机按规则轮候，其画面移动和诊断较为稀疏；录像不受影响"),
            format!(
                "Not enough CPU time to look at every picture: {waiting} cameras wait by rule, so that their motion and diagnosis are sparse; recording is not affected"
            ),
        ),
        remedy: words(
            "可提高 pictures.cpu_percent，或为摄像机配置子码流",
            "Raise pictures.cpu_percent, or give cameras a sub-stream",
        ),
    }
}
