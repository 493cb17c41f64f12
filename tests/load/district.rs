//! Events of a made-up district, the same for the same seed: 13,000 cameras in 45 communities, at hours when things happen.

use index::{
    events::{Class, Event, Kind, Objects, Region, Source, Text},
    model::{CameraId, UtcMicros},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Cameras of the district.
pub(crate) const CAMERAS: u32 = 13_000;

const COMMUNITIES: [&str; 15] = [
    "东苑",
    "西苑",
    "南园",
    "北濠桥",
    "文峰",
    "虹桥",
    "学田",
    "任港",
    "新城桥",
    "和平桥",
    "易家桥",
    "段家坝",
    "濠东",
    "濠西",
    "城港",
];
const PARTS: [&str; 3] = ["社区", "新村", "花园"];
const SPOTS: [&str; 20] = [
    "南门岗亭",
    "北门岗亭",
    "东门",
    "西门",
    "地下车库入口",
    "地下车库出口",
    "儿童乐园",
    "健身广场",
    "垃圾分类点",
    "快递柜",
    "电动车充电棚",
    "电梯厅",
    "单元门口",
    "楼顶平台",
    "沿河步道",
    "配电房",
    "消防通道",
    "菜场入口",
    "公交站台",
    "主干道路口",
];
const KINDS: [(Kind, u32); 9] = [
    (Kind::Motion, 60),
    (Kind::LineCrossed, 14),
    (Kind::AreaEntered, 8),
    (Kind::Loitering, 5),
    (Kind::Parking, 5),
    (Kind::Crowd, 3),
    (Kind::ObjectLeft, 3),
    (Kind::PictureBlurred, 1),
    (Kind::CameraOffline, 1),
];
const SAID: [(&str, &str); 8] = [
    ("夜间有人翻越围墙", "somebody climbed the wall at night"),
    ("消防通道被占用", "fire lane blocked"),
    ("电动车进入电梯", "electric scooter in the lift"),
    ("垃圾堆放在桶外", "rubbish beside the bins"),
    ("快递车逆向行驶", "parcel van against the traffic"),
    ("河边有人钓鱼", "fishing at the river bank"),
    ("广场舞人员聚集", "crowd dancing on the square"),
    ("车辆长时间停留", "vehicle standing for long"),
];

/// A source of events.
pub(crate) struct District {
    rng: StdRng,
}

impl District {
    /// The district of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed) }
    }

    /// Where a camera stands: community, building; and its name.
    pub(crate) fn camera(number: u32) -> (Vec<String>, String) {
        let community = number / 290;
        let name = COMMUNITIES[community as usize % COMMUNITIES.len()];
        let part = PARTS[community as usize / COMMUNITIES.len() % PARTS.len()];
        let place = vec![format!("{name}{part}"), format!("{}号楼", number % 290 / 10 + 1)];
        (place, format!("{}{}", SPOTS[number as usize % SPOTS.len()], number % 10))
    }

    /// The next event, at `time`.
    pub(crate) fn event(&mut self, time: UtcMicros) -> Event {
        let number = self.rng.random_range(1..=CAMERAS);
        let (place, name) = Self::camera(number);
        let roll = self.rng.random_range(0..100);
        let mut sum = 0;
        let kind = KINDS.iter().find(|(_, share)| {
            sum += share;
            roll < sum
        });
        let kind = kind.map_or(Kind::Motion, |(kind, _)| *kind);
        let left = self.rng.random_range(0.0..0.7_f32);
        let top = self.rng.random_range(0.0..0.7_f32);
        let said = self.rng.random_range(0..100_usize);
        let text = SAID.get(said).map_or_else(Text::default, |(zh, en)| Text { zh: (*zh).into(), en: (*en).into() });
        let class = if kind == Kind::Parking { Class::Car } else { Class::Person };
        Event {
            camera: CameraId::new(number).ok(),
            name,
            place,
            text,
            region: Region::new(left, top, left + 0.3, top + 0.3),
            objects: vec![Objects { class, count: self.rng.random_range(1..4) }],
            source: Source { name: "onvif".into(), topic: "tns1:RuleEngine/CellMotionDetector/Motion".into(), id: String::new() },
            ..Event::new(time, kind)
        }
    }

    /// A number below another.
    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.rng.random_range(0..limit)
    }

    /// One of a list.
    pub(crate) fn one<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.rng.random_range(0..list.len())]
    }

    /// A community's name.
    pub(crate) fn community(&mut self) -> String {
        Self::camera(self.rng.random_range(1..=CAMERAS)).0.swap_remove(0)
    }

    /// Something that somebody may type.
    pub(crate) fn words(&mut self) -> &'static str {
        const TYPED: [&str; 16] = [
            "岗亭",
            "南门岗亭",
            "nmgt",
            "车库",
            "dixiacheku",
            "垃圾",
            "电动车",
            "翻越围墙",
            "scooter",
            "parcel",
            "越线",
            "徘徊",
            "文峰社区",
            "沿河步道",
            "yhbd",
            "聚集",
        ];
        TYPED[self.below(16) as usize]
    }
}
