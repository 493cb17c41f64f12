//! What is wrong with a camera's picture, in words: for the journal, for health, for the camera list.

use crate::refusal::{Words, words};
use index::{
    events::{Event, Kind, Text},
    model::{Camera, CameraId, UtcMicros},
};
use ingest::picture::{Fault, Reason, Verdict};

/// The event that tells of a change. It happened when the first picture showed it, and says by which figure.
#[must_use]
pub fn event(at: UtcMicros, id: CameraId, camera: Option<&Camera>, verdict: Verdict) -> Event {
    let mut event = match verdict {
        Verdict::Wrong { fault, since, reason } => {
            let mut event = Event::new(since, fault.kind());
            event.text = text(&sentence(fault, reason));
            event.attributes.insert("measure".to_owned(), reason.measure.into());
            event.attributes.insert("value".to_owned(), rounded(reason.value).into());
            event.attributes.insert("limit".to_owned(), rounded(reason.limit).into());
            event
        }
        Verdict::Good { fault, since, accepted } => {
            let mut event = Event::new(at, Kind::PictureGood);
            let (zh, en) = fault.kind().name();
            let minutes = at.since(since).as_secs().div_ceil(60);
            event.text = text(&if accepted {
                words(
                    format!("{zh}已持续 {minutes} 分钟，现以新视角为准"),
                    format!("{en} for {minutes} min; the new view is taken as the camera's own from now on"),
                )
            } else {
                words(format!("{zh}已解除，持续约 {minutes} 分钟"), format!("{en} is over after about {minutes} min"))
            });
            event.attributes.insert("fault".to_owned(), fault.word().into());
            event
        }
    };
    event.camera = Some(id);
    if let Some(camera) = camera {
        event.name.clone_from(&camera.name);
        event.place.clone_from(&camera.place);
    }
    event
}

fn text(words: &Words) -> Text {
    Text { zh: words.zh.to_string(), en: words.en.to_string() }
}

fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1000.0).round() / 1000.0
}

/// What is wrong, and why it is believed.
#[must_use]
pub fn sentence(fault: Fault, reason: Reason) -> Words {
    let percent = (reason.value * 100.0).round();
    match fault {
        Fault::Black => words(format!("画面黑屏：{percent}% 的画面全黑"), format!("picture black: {percent} % of it is")),
        Fault::White => words(format!("画面过曝：{percent}% 的画面全白"), format!("picture white: {percent} % of it is")),
        Fault::Frozen => words(
            format!("画面冻结：{percent}% 的画面一成不变，连噪点也没有变化"),
            format!("picture frozen: {percent} % of it does not change at all, not even in its noise"),
        ),
        Fault::Covered => words(
            format!("画面遮挡：平时可见的景物有 {percent}% 看不到"),
            format!("picture covered: {percent} % of what it usually shows is hidden"),
        ),
        Fault::Moved => words(
            format!("摄像机移位：画面轮廓有 {percent}% 与平时不符"),
            format!("camera moved: {percent} % of the outlines are not where they usually are"),
        ),
        Fault::Blurred => {
            words(format!("画面模糊：清晰度比平时低 {percent}%"), format!("picture blurred: {percent} % less sharp than usual"))
        }
        Fault::Cast => words(
            format!("画面偏色：颜色整体偏移 {:.0} 级", reason.value),
            format!("picture off colour: all of it is shifted by {:.0} levels", reason.value),
        ),
    }
}

/// What somebody can do about it.
#[must_use]
pub fn remedy(fault: Fault) -> Words {
    match fault {
        Fault::Black => words("请检查摄像机镜头、补光和供电", "Check the camera's lens, its light and its power"),
        Fault::White => words("请检查曝光设置及是否有强光直射", "Check its exposure and whether a strong light shines into it"),
        Fault::Frozen => words("请重启摄像机；编码器可能已停止工作", "Restart the camera: its encoder may have stopped"),
        Fault::Covered => words("请查看现场，移开遮挡物", "Go and look, and remove what hides the view"),
        Fault::Moved => words(
            "请查看现场；如系人为调整，10 分钟后自动以新视角为准",
            "Go and look; if it was turned on purpose, the new view is taken as its own after ten minutes",
        ),
        Fault::Blurred => words("请擦拭镜头或重新对焦", "Clean the lens or focus it anew"),
        Fault::Cast => words("请检查白平衡和滤光片", "Check its white balance and its filter"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_an_event_that_the_journal_takes_and_says_why() {
        let now = UtcMicros::now();
        let id = CameraId::new(7).expect("a number");
        for fault in Fault::ALL {
            let reason = Reason { measure: "share", value: 0.97, limit: 0.9 };
            let wrong = event(now, id, None, Verdict::Wrong { fault, since: now, reason });
            assert_eq!((wrong.kind, wrong.check(now)), (fault.kind(), Ok(())));
            assert!(wrong.text.zh.contains('9') && wrong.text.en.contains("97") || fault == Fault::Cast, "{:?}", wrong.text);
            for accepted in [false, true] {
                let good = event(now, id, None, Verdict::Good { fault, since: now, accepted });
                assert_eq!((good.kind, good.check(now)), (Kind::PictureGood, Ok(())));
            }
            assert!(!remedy(fault).zh.is_empty());
        }
    }
}
