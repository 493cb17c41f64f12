//! What can happen: a closed set of kinds with dotted names, each with its words in both languages and its weight.
//!
//! Closed, so that a rule, a facet and a page know every value; what a camera calls by another name keeps that name as its
//! *topic* and becomes [`Kind::CameraTopic`]. The numbers stand in index files: a number once given is never given again.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::borrow::Cow;

/// How much an event wants somebody's attention.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// To be found when looked for.
    Info,
    /// Worth a look when there is time.
    Notice,
    /// Something is not as it should be.
    Warning,
    /// Somebody must act now.
    Alarm,
}

impl Severity {
    /// All, lightest first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Notice, Self::Warning, Self::Alarm];

    /// The word for it in the journal and the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Alarm => "alarm",
        }
    }

    /// The severity of a word; `None` for any other word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.word() == word)
    }

    /// Its number in the index: 0 to 3.
    pub(super) fn code(self) -> u64 {
        self as u64
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal $word:literal $severity:ident $zh:literal $en:literal;)*) => {
        /// What happened.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The dotted word for it in the journal and the API.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The kind of a dotted word; `None` for any other word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$name),)* _ => None }
            }

            /// Its name, Chinese and English.
            #[must_use]
            pub fn name(self) -> (&'static str, &'static str) {
                match self { $(Self::$name => ($zh, $en),)* }
            }

            /// How severe it is unless its source says otherwise.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// Its number in the index.
            pub(super) fn code(self) -> u64 {
                match self { $(Self::$name => $code,)* }
            }

            /// The inverse of [`Kind::code`].
            pub(super) fn from_code(code: u64) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }
        }
    };
}

kinds! {
    /// Something moved in the picture.
    Motion = 1 "motion" Info "画面移动" "motion";
    /// Something crossed a drawn line.
    LineCrossed = 2 "line.crossed" Notice "越线" "line crossed";
    /// Something entered a drawn area.
    AreaEntered = 3 "area.entered" Notice "区域入侵" "area entered";
    /// Something left a drawn area.
    AreaLeft = 4 "area.left" Info "离开区域" "area left";
    /// Somebody stays about.
    Loitering = 5 "loitering" Notice "徘徊" "loitering";
    /// Many in one place.
    Crowd = 6 "crowd" Warning "人员聚集" "crowd gathering";
    /// Something was left behind.
    ObjectLeft = 7 "object.left" Warning "遗留物品" "object left behind";
    /// Something was taken away.
    ObjectRemoved = 8 "object.removed" Warning "物品移走" "object removed";
    /// Somebody fell.
    Fall = 9 "person.fell" Alarm "人员跌倒" "person fell";
    /// Fire or smoke.
    Fire = 10 "fire" Alarm "烟火" "fire or smoke";
    /// A vehicle stands where none should.
    Parking = 11 "vehicle.parked" Notice "违规停车" "vehicle parked where it should not";
    /// Something moves against the permitted direction.
    WrongWay = 12 "wrong.way" Notice "逆行" "wrong way";
    /// Something high fell or was thrown.
    Thrown = 13 "object.thrown" Alarm "高空抛物" "object thrown from height";
    /// How many were counted.
    Counted = 14 "objects.counted" Info "目标计数" "objects counted";
    /// A detector wired to the camera reports.
    Input = 15 "input.alarm" Warning "报警输入" "alarm input";
    /// A loud or unusual sound, as the camera judged it: no sound is kept.
    Sound = 16 "sound.alarm" Notice "声音异常" "unusual sound";
    /// The camera says that it is covered, turned or opened.
    Tampered = 17 "camera.tampered" Warning "摄像机被遮挡或破坏" "camera tampered with";
    /// A topic of the camera's own that has no kind here; the topic is kept.
    CameraTopic = 18 "camera.topic" Info "摄像机事件" "camera event";

    /// The picture is black.
    PictureBlack = 30 "picture.black" Warning "画面黑屏" "picture black";
    /// The picture is white.
    PictureWhite = 31 "picture.white" Warning "画面过曝" "picture white";
    /// The picture stands still.
    PictureFrozen = 32 "picture.frozen" Warning "画面冻结" "picture frozen";
    /// The picture is out of focus.
    PictureBlurred = 33 "picture.blurred" Notice "画面模糊" "picture blurred";
    /// Something hides the picture.
    PictureCovered = 34 "picture.covered" Warning "画面遮挡" "picture covered";
    /// The colours are wrong.
    PictureCast = 35 "picture.colour_cast" Notice "画面偏色" "picture colour cast";
    /// The camera looks elsewhere.
    PictureMoved = 36 "picture.moved" Warning "摄像机移位" "camera moved";
    /// The picture is as it should be again.
    PictureGood = 37 "picture.good" Info "画面恢复" "picture good again";

    /// The camera is recorded again.
    CameraRecording = 50 "camera.recording" Info "摄像机恢复录像" "camera recording again";
    /// The camera is not recorded.
    CameraOffline = 51 "camera.offline" Warning "摄像机离线" "camera offline";
    /// The camera refuses the password.
    WrongPassword = 52 "camera.wrong_password" Warning "摄像机密码错误" "camera refuses the password";
    /// Pictures arrive and are not stored.
    NotStored = 53 "camera.not_stored" Alarm "录像无法写入" "pictures not stored";
    /// They are stored again.
    StoredAgain = 54 "camera.stored_again" Info "录像恢复写入" "pictures stored again";
    /// Pictures are dropped by rule because a disk is slow.
    Shedding = 55 "camera.shedding" Warning "磁盘过慢丢帧" "disk too slow, pictures dropped";
    /// The camera sends another picture format.
    ParametersChanged = 56 "camera.parameters_changed" Info "视频参数改变" "video parameters changed";
    /// The camera's clock jumped.
    ClockStep = 57 "camera.clock_step" Notice "摄像机时钟跳变" "camera clock stepped";
    /// The probe chose how to speak to the camera.
    DriverChosen = 58 "camera.driver_chosen" Info "接入方式选定" "driver chosen";
    /// A camera was added.
    CameraAdded = 59 "camera.added" Info "新增摄像机" "camera added";
    /// A camera's settings changed.
    CameraChanged = 60 "camera.changed" Info "摄像机设置变更" "camera changed";
    /// A camera was removed.
    CameraRemoved = 61 "camera.removed" Notice "删除摄像机" "camera removed";
    /// Many cameras went at once, for one cause.
    CamerasOffline = 62 "cameras.offline" Alarm "多路摄像机同时离线" "many cameras offline at once";
    /// What took many cameras is over.
    CamerasBack = 63 "cameras.back" Notice "多路摄像机恢复" "many cameras back";

    /// Nodes below state the same camera number.
    CameraClash = 64 "camera.clash" Warning "摄像机编号重复" "camera number used twice";

    /// A span was not recorded.
    RecordingGap = 70 "recording.gap" Warning "录像缺失" "recording gap";
    /// A disk has no room left.
    DiskFull = 71 "disk.full" Alarm "磁盘已满" "disk full";
    /// A disk's state changed.
    DiskState = 72 "footage.volume" Warning "磁盘状态变化" "disk state changed";
    /// Stored footage does not read back as written.
    FootageDamaged = 73 "footage.damaged" Alarm "录像数据损坏" "footage damaged";
    /// The clock jumped, and deletion by age waits.
    FootageClock = 74 "footage.clock" Warning "时钟跳变，暂停到期清理" "clock jumped, deletion by age paused";
    /// A disk will have no room for new footage while all of it is within its term, or has it again after all.
    FootageRetention = 75 "footage.retention" Alarm "录像存储将不足" "disk will run out of room for its terms";
    /// What of a stream was deleted over a day because its term was over.
    FootageExpired = 76 "footage.expired" Info "录像到期删除" "footage deleted at its term";

    /// Somebody asks that footage be kept beyond its term; it is, from now on.
    HoldRequested = 100 "hold.requested" Notice "申请保全录像" "hold asked for";
    /// A second person says yes to a hold.
    HoldApproved = 101 "hold.approved" Notice "批准保全录像" "hold approved";
    /// A hold is refused, or taken back.
    HoldDeclined = 102 "hold.declined" Notice "驳回保全录像" "hold declined";
    /// Somebody asks for the release of a hold.
    ReleaseAsked = 103 "hold.release_asked" Notice "申请解除保全" "release of a hold asked for";
    /// A second person releases a hold.
    HoldReleased = 104 "hold.released" Notice "解除保全" "hold released";
    /// A hold is over, or nobody approved it in time.
    HoldEnded = 105 "hold.ended" Notice "保全终止" "hold over";
    /// Somebody asks for an erasure.
    ErasureRequested = 106 "erasure.requested" Notice "申请删除录像" "erasure asked for";
    /// A second person says yes to an erasure.
    ErasureApproved = 107 "erasure.approved" Notice "批准删除录像" "erasure approved";
    /// An erasure is refused, or taken back.
    ErasureDeclined = 108 "erasure.declined" Notice "驳回删除录像" "erasure declined";
    /// Nobody approved an erasure in time.
    ErasureLapsed = 109 "erasure.lapsed" Notice "删除申请失效" "erasure lapsed";
    /// An erasure is carried out on every disk.
    ErasureDone = 110 "erasure.done" Notice "删除录像完成" "erasure carried out";

    /// The node began to work.
    NodeStarted = 80 "node.started" Info "系统启动" "system started";
    /// The node was stopped.
    NodeStopped = 81 "node.stopped" Notice "系统停止" "system stopped";
    /// Somebody signed in.
    SignedIn = 82 "signin.succeeded" Info "登录" "signed in";
    /// Somebody could not sign in.
    SignInFailed = 83 "signin.failed" Notice "登录失败" "sign-in failed";
    /// Somebody is kept from trying passwords.
    SignInBarred = 84 "signin.barred" Warning "登录被锁定" "sign-in barred";
    /// Somebody signed out.
    SignedOut = 85 "signin.ended" Info "退出登录" "signed out";
    /// The node's own clock jumped.
    NodeClock = 86 "node.clock" Warning "系统时钟跳变" "system clock stepped";
    /// A message to another system was not delivered and is laid aside.
    HookFailed = 87 "hook.failed" Warning "外发通知未送达" "web hook not delivered";

    /// An operator marked a moment.
    Bookmark = 90 "bookmark" Info "书签" "bookmark";
}

/// As their words, wherever they are written.
macro_rules! written_as_word {
    ($($type:ty, $what:literal;)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(self.word())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let word = Cow::<'_, str>::deserialize(d)?;
                Self::from_word(&word).ok_or_else(|| D::Error::custom(concat!("no such ", $what)))
            }
        }
    )*};
}

written_as_word! {
    Kind, "kind of event";
    Severity, "severity";
}

impl Kind {
    /// Whether an analytics box may report it: what is seen in pictures, not how this node does.
    #[must_use]
    pub fn may_come_from_outside(self) -> bool {
        self.code() < 50
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_word_and_one_number_of_its_own() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_word(kind.word()), Some(*kind));
            assert_eq!(Kind::from_code(kind.code()), Some(*kind));
        }
        assert_eq!(Kind::from_word("access.playback"), None, "the register is not an event list");
        for severity in Severity::ALL {
            assert_eq!(Severity::from_word(severity.word()), Some(severity));
        }
    }
}
