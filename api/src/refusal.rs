//! What the API answers when it does not do what was asked.
//!
//! One type for every handler: a status, a stable code for programs, and for people two sentences in Chinese and
//! English: the state of things (what is lost, since when, what still works) and the remedy. The cause stays in the log.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use index::access::RoomDenied;
use serde::Serialize;
use std::borrow::Cow;
use utoipa::ToSchema;

/// The same sentence in both languages of the page.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, ToSchema)]
pub struct Words {
    /// Chinese.
    pub zh: Cow<'static, str>,
    /// English.
    pub en: Cow<'static, str>,
}

/// Puts a sentence's two languages together.
pub fn words(zh: impl Into<Cow<'static, str>>, en: impl Into<Cow<'static, str>>) -> Words {
    Words { zh: zh.into(), en: en.into() }
}

/// A refused request. The body of every answer of status 400 and above. Boxed: most requests are not refused.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(transparent)]
pub struct Refusal(Box<Said>);

/// What a refusal says.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Said {
    #[serde(skip)]
    #[schema(ignore)]
    status: StatusCode,
    /// A stable word for programs: `purpose_missing`.
    pub code: Cow<'static, str>,
    /// What is so.
    pub state: Words,
    /// What to do about it.
    pub remedy: Words,
    /// Which part of the request is meant, where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Whole seconds until trying again makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

impl Refusal {
    /// A refusal with its sentences.
    pub fn new(status: StatusCode, code: &'static str, state: Words, remedy: Words) -> Self {
        Self(Box::new(Said { status, code: Cow::Borrowed(code), state, remedy, field: None, retry_after_s: None }))
    }

    /// Names the part of the request that is meant.
    #[must_use]
    pub fn on(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn after(mut self, seconds: u64) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// The status it will be answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What it says.
    #[must_use]
    pub fn said(&self) -> &Said {
        &self.0
    }

    /// 401: nobody is signed in.
    #[must_use]
    pub fn signed_out() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "signed_out",
            words("尚未登录，或登录已过期", "Not signed in, or the sign-in has expired"),
            words("请登录", "Sign in"),
        )
    }

    /// 403: this person may not do that.
    #[must_use]
    pub fn not_allowed(en: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "not_allowed",
            Words { zh: "您的角色或管辖范围不允许此操作".into(), en: en.into() },
            words("如工作需要，请向管理员申请", "Ask an administrator if your work needs it"),
        )
    }

    /// 403: a one-time password has to be replaced first.
    #[must_use]
    pub fn password_change_due() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "password_change_due",
            words(
                "当前为一次性密码，其他功能暂不可用",
                "The password is a one-time password; nothing else works until it is changed",
            ),
            words("请先设置新密码", "Set a new password first"),
        )
    }

    /// 403: nobody looks at pictures without saying why.
    #[must_use]
    pub fn purpose_missing() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "purpose_missing",
            words("尚未登记查看事由，视频不可查看", "No purpose is declared for this sign-in, so no pictures are shown"),
            words("请先登记查看事由（类别和说明）", "Declare the purpose of viewing first: a category and a few words"),
        )
    }

    /// 404: there is no such thing, or not for this person.
    #[must_use]
    pub fn not_found(what_zh: &str, what_en: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            words(format!("找不到{what_zh}"), format!("There is no such {what_en}")),
            words("请核对编号", "Check the number"),
        )
    }

    /// 403: the room that has a camera says no to a node above, by which rule.
    #[must_use]
    pub fn room_denied(no: RoomDenied) -> Self {
        let (zh, en) = no.words();
        Self::new(
            StatusCode::FORBIDDEN,
            no.code(),
            words(zh, en),
            words("如有需要，请向该监控室管理员申请授权", "If it is needed, ask an administrator of that room for a grant"),
        )
    }

    /// 409: a centre is asked for what only rooms have.
    #[must_use]
    pub fn held_in_rooms() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "held_in_rooms",
            words(
                "本中心不保存摄像机、录像、画面、台账和告警规则，这些均在各监控室",
                "This centre does not hold cameras, footage, pictures, the ledger or alarm rules: they are in the rooms",
            ),
            words(
                "请登录该摄像机所在监控室的页面查看；事件可在本中心检索",
                "Sign in at the page of the room that has the camera; events of all rooms are searched here",
            ),
        )
    }

    /// 403: a room does not answer this to nodes above.
    #[must_use]
    pub fn not_for_centres(room: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "refused_by_room",
            words(format!("{room}不向上级中心开放此项操作"), format!("{room} does not allow this to centres above")),
            words("如工作需要，请与该监控室联系", "Ask that room if your work needs it"),
        )
    }

    /// 403: a room says no, in its own words.
    #[must_use]
    pub fn said_by_room(room: &str, code: String, why: Words) -> Self {
        let Words { zh, en } = why;
        let remedy = words("如工作需要，请与该监控室联系", "Ask that room if your work needs it");
        let state = words(format!("{room}：{zh}"), format!("{room}: {en}"));
        let mut refusal = Self::new(StatusCode::FORBIDDEN, "refused_by_room", state, remedy);
        refusal.0.code = Cow::Owned(code);
        refusal
    }

    /// 503: the room that has it does not answer.
    #[must_use]
    pub fn unreached(room: &str, code: &'static str, why: Words) -> Self {
        let Words { zh, en } = why;
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            code,
            words(format!("{room}：{zh}；录像在该室继续"), format!("{room}: {en}; it goes on recording there")),
            words("线路恢复后自动可用，可稍后再试", "It works again as soon as the line does; try again later"),
        )
        .after(5)
    }

    /// 400: the request does not make sense.
    #[must_use]
    pub fn bad_request(en: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "bad_request",
            Words { zh: "请求有误，未作任何更改".into(), en: en.into() },
            words("请检查所填内容", "Check what was sent; nothing was changed"),
        )
    }

    /// 429 and 503: more is asked than the node gives beside recording.
    #[must_use]
    pub fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            words("请求过多，正在优先保证录像", "Too many requests at once; recording goes first"),
            words("请稍后再试", "Try again in a moment"),
        )
        .after(1)
    }

    /// 500: our own failure. The cause goes to the log, here; the answer says only what it means.
    pub fn failed(what: &'static str, error: &dyn std::fmt::Display) -> Self {
        tracing::error!(what, error = %error, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "failed",
            words("系统内部错误，本次请求未完成；录像不受影响", "This request failed inside the system; recording goes on"),
            words("请重试；如持续出现，请查看系统日志", "Try again; if it stays, the system's log has the cause"),
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.0.status, Json(&self)).into_response();
        if let Some(seconds) = self.0.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.state.en)
    }
}
