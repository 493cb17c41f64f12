//! Events about several cameras, and as much of one as somebody may see.
//!
//! A switch that dies, a restart of the node, a hold on what six cameras saw: one event, about many cameras. Whoever may see some of
//! them finds it, and learns of those: their numbers, and that they are so many. So the sentence of such an event is kept with places
//! for both, and is filled in for whoever reads it; what sums up all cameras is left out for who may not see them all.

use super::parts::Text;
use crate::model::CameraId;

/// Stands in a text for how many cameras it is about.
pub const COUNT: &str = "{count}";
/// Stands in a text for their numbers.
pub const CAMERAS: &str = "{cameras}";
/// Cameras that are named one by one.
const NAMED: usize = 12;

/// The text as it reads for these cameras; `None` for one that names cameras of its own, as earlier versions wrote.
pub(super) fn filled(text: &Text, cameras: &[CameraId]) -> Option<Text> {
    text.zh.contains(CAMERAS).then(|| {
        let count = cameras.len().to_string();
        let (zh, en) = names(cameras);
        Text {
            zh: text.zh.replace(COUNT, &count).replace(CAMERAS, &zh),
            en: text.en.replace(COUNT, &count).replace(CAMERAS, &en),
        }
    })
}

/// The text without its places, as it can be searched: nobody finds it by the number of a camera that they may not see.
pub(super) fn searchable(text: &str) -> String {
    text.replace(COUNT, " ").replace(CAMERAS, " ")
}

fn names(cameras: &[CameraId]) -> (String, String) {
    let named: Vec<String> = cameras.iter().take(NAMED).map(ToString::to_string).collect();
    let (zh, en) = (named.join("、"), named.join(", "));
    match cameras.len() {
        some if some > NAMED => (format!("{zh} 等 {some} 路"), format!("{en} and {} more", some - NAMED)),
        _ => (zh, en),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_the_cameras_of_whoever_reads_it_and_is_searched_without_them() {
        let text = Text { zh: "{count} 路离线：{cameras}".into(), en: "{count} cameras are gone: {cameras}".into() };
        let cameras: Vec<CameraId> = (1..=14).filter_map(|number| CameraId::new(number).ok()).collect();
        let filled = |some| filled(&text, some).expect("a text with places");
        assert_eq!(filled(&cameras[..2]).zh, "2 路离线：1、2");
        assert_eq!(filled(&cameras).en, "14 cameras are gone: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 2 more");
        assert_eq!(searchable(&text.zh), "  路离线： ");
        assert_eq!(super::filled(&Text { zh: "3、4 离线".into(), en: String::new() }, &cameras), None);
    }
}
