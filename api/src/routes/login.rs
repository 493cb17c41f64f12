//! `/api/v1/login`, `/logout`, `/me`: signing in and out, the one-time password's end, the purpose.

use super::wire::json;
use crate::{
    authority::{Authority, COOKIE},
    node::{Shared, actor},
    refusal::{Refusal, words},
    sign_in::passwords,
};
use axum::{
    Json,
    body::Bytes,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use index::{
    access::{Category, Person, Purpose, PurposeError, Role, Scope},
    accounts::PasswordHash,
    model::{Secret, UtcMicros},
};
use serde::{Deserialize, Serialize};
use std::{sync::PoisonError, time::Instant};
use utoipa::ToSchema;

/// What somebody signs in with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    name: String,
    #[schema(value_type = String, format = Password)]
    password: Secret,
    purpose: Option<PurposeBody>,
}

/// Why somebody looks.
#[derive(Deserialize, Serialize, ToSchema, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct PurposeBody {
    /// `duty`, `incident`, `request`, `maintenance` or `training`.
    #[schema(value_type = String)]
    category: Category,
    /// In words: 2 to 200 characters that can be checked later.
    text: String,
}

/// A new password for the old one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordChange {
    #[schema(value_type = String, format = Password)]
    old: Secret,
    #[schema(value_type = String, format = Password)]
    new: Secret,
}

/// Who is signed in, and where.
#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    person: PersonBody,
    /// Nothing but a password change is answered until it is made.
    must_change_password: bool,
    /// As declared; `null` before.
    purpose: Option<PurposeBody>,
    /// The node's clock.
    server_us: i64,
    node: NodeBody,
}

/// A person as the page shows one.
#[derive(Serialize, ToSchema)]
pub(super) struct PersonBody {
    name: String,
    display: String,
    /// `operator`, `auditor`, `admin`.
    #[schema(value_type = Vec<String>)]
    roles: Vec<Role>,
    /// `"everything"`, `{"place": […]}` or `{"camera": 7}`.
    #[schema(value_type = Vec<serde_json::Value>)]
    scopes: Vec<Scope>,
}

/// The node that answers.
#[derive(Serialize, ToSchema)]
pub(super) struct NodeBody {
    name: String,
    tier: String,
}

impl PersonBody {
    pub(super) fn of(person: &Person) -> Self {
        Self {
            name: person.name.clone(),
            display: person.display.clone(),
            roles: person.roles.iter().copied().collect(),
            scopes: person.scopes.clone(),
        }
    }
}

fn me_of(node: &Shared, person: &Person, purpose: Option<Purpose>) -> Me {
    Me {
        person: PersonBody::of(person),
        must_change_password: person.must_change_password,
        purpose: purpose.map(|p| PurposeBody { category: p.category(), text: p.text().to_owned() }),
        server_us: UtcMicros::now().as_micros(),
        node: NodeBody { name: node.config.name.clone(), tier: node.config.tier.to_string() },
    }
}

pub(super) fn purpose_refused(error: PurposeError) -> Refusal {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        error.code(),
        words("查看事由不符合要求", format!("The purpose is refused: {error}")),
        words("请如实填写：为何查看，2 至 200 字", "Say why, in 2 to 200 characters that can be checked later"),
    )
    .on("purpose")
}

fn check_purpose(body: &PurposeBody) -> Result<Purpose, Refusal> {
    Purpose::new(body.category, &body.text, None).map_err(purpose_refused)
}

fn wrong() -> Refusal {
    Refusal::new(
        StatusCode::UNAUTHORIZED,
        "wrong_name_or_password",
        words("用户名或密码不正确，或账户已停用", "The name or password is wrong, or the account is disabled"),
        words("请重试；忘记密码请联系管理员重置", "Try again; an administrator can reset a forgotten password"),
    )
}

fn too_often(seconds: u64) -> Refusal {
    Refusal::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too_many_attempts",
        words(format!("尝试次数过多，{seconds} 秒内不接受登录"), format!("Too many attempts; no sign-in for {seconds} s")),
        words("请稍后再试", "Wait, then try again"),
    )
    .after(seconds)
}

/// Signs in. The answer sets the cookie.
#[utoipa::path(post, path = "/api/v1/login", request_body = SignIn,
    responses((status = 200, body = Me), (status = 401, body = Refusal), (status = 429, body = Refusal)))]
pub(super) async fn sign_in(authority: Authority, body: Bytes) -> Result<Response, Refusal> {
    let SignIn { name, password, purpose } = json(&body)?;
    let purpose = purpose.as_ref().map(check_purpose).transpose()?;
    let (node, from) = (authority.node(), authority.from());
    let barred = node.throttle.lock().unwrap_or_else(PoisonError::into_inner).begin(&name, from, Instant::now()).err();
    let account = node.accounts.get(&name);
    // A name that is no account is not written down: people type passwords into the wrong field.
    let known = account.as_ref().map(|account| account.person.name.clone());
    if let Some(wait) = barred {
        let seconds = wait.retry_after.as_secs().max(1);
        if wait.just_barred {
            tracing::warn!(peer = %from, seconds, "sign-in barred after too many attempts");
            let _ = node.note("signin.barred", serde_json::json!({ "person": known, "from": from, "seconds": seconds })).await;
        }
        return Err(too_often(seconds));
    }
    let hash = account.map(|account| account.password.expose().to_owned());
    let right = password.expose().len() <= 4 * passwords::MAX_LENGTH && node.passwords.verify(password, hash).await;
    let person = if right { node.person(&name) } else { None };
    let Some(person) = person else {
        let _ = node.note("signin.failed", serde_json::json!({ "person": known, "from": from })).await;
        return Err(wrong());
    };
    node.throttle.lock().unwrap_or_else(PoisonError::into_inner).succeeded(&name, from);
    let (cookie, login) = node.logins.begin(&person.name, from);
    let noted =
        node.note("signin.succeeded", serde_json::json!({ "person": person.name, "from": from, "login": login.id })).await;
    if let Err(error) = noted {
        node.logins.end(&login.id);
        return Err(Refusal::failed("note a sign-in", &error));
    }
    if let Some(purpose) = purpose.filter(|_| !person.must_change_password) {
        login.belongings.declare(purpose);
    }
    let me = Json(me_of(node, &person, login.belongings.purpose()));
    Ok((set_cookie(cookie.expose(), None)?, me).into_response())
}

fn set_cookie(value: &str, max_age: Option<u32>) -> Result<HeaderMap, Refusal> {
    let age = max_age.map_or(String::new(), |age| format!("; Max-Age={age}"));
    let text = format!("{COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Strict{age}");
    let mut value = HeaderValue::from_str(&text).map_err(|error| Refusal::failed("cookie", &error))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(header::SET_COOKIE, value)]))
}

/// Signs out: the login, its open accesses and its live pictures end.
#[utoipa::path(post, path = "/api/v1/logout", responses((status = 204), (status = 401, body = Refusal)))]
pub(super) async fn sign_out(authority: Authority) -> Result<Response, Refusal> {
    let (node, login) = (authority.node(), authority.login()?);
    node.logins.end(&login.id);
    let _ = node.note("signin.ended", serde_json::json!({ "person": login.person, "login": login.id })).await;
    Ok((StatusCode::NO_CONTENT, set_cookie("", Some(0))?).into_response())
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/v1/me", responses((status = 200, body = Me), (status = 401, body = Refusal)))]
pub(super) async fn me(authority: Authority) -> Result<Json<Me>, Refusal> {
    Ok(Json(me_of(authority.node(), authority.person()?, authority.login()?.belongings.purpose())))
}

/// Replaces one's own password. Every other login of the person ends.
#[utoipa::path(post, path = "/api/v1/me/password", request_body = PasswordChange,
    responses((status = 204), (status = 400, body = Refusal), (status = 401, body = Refusal)))]
pub(super) async fn change_password(authority: Authority, body: Bytes) -> Result<StatusCode, Refusal> {
    let PasswordChange { old, new } = json(&body)?;
    let (node, person) = (authority.node(), authority.person()?);
    let from = authority.from();
    let begun = node.throttle.lock().unwrap_or_else(PoisonError::into_inner).begin(&person.name, from, Instant::now());
    begun.map_err(|wait| too_often(wait.retry_after.as_secs().max(1)))?;
    let hash = node.accounts.get(&person.name).map(|account| account.password.expose().to_owned());
    let same = old == new;
    if !node.passwords.verify(old, hash).await {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "wrong_password",
            words("原密码不正确，密码未更改", "The old password is wrong; nothing was changed"),
            words("请重新输入原密码", "Type the old password again"),
        )
        .on("old"));
    }
    node.throttle.lock().unwrap_or_else(PoisonError::into_inner).succeeded(&person.name, from);
    let weak = passwords::check(&new, &person.name).err().map(|weak| weak.to_string());
    if let Some(why) = weak.or(same.then(|| "the new password is the old one".to_owned())) {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "weak_password",
            words("新密码不符合要求，密码未更改", format!("The new password is refused: {why}")),
            words(
                "至少 10 个字符，不含用户名，不用简单序列，且与原密码不同",
                "At least 10 characters, without the name, no simple pattern, not the old one",
            ),
        )
        .on("new"));
    }
    let hash = node.passwords.hash(new).await.map_err(|error| Refusal::failed("hash a password", &error))?;
    let (by, name) = (actor(person, from), person.name.clone());
    let set = node.blocking(move |node| node.accounts.set_password(&by, &name, PasswordHash::new(hash), false)).await?;
    set.map_err(|error| Refusal::failed("set a password", &error))?;
    node.logins.end_person(&person.name, Some(&authority.login()?.id));
    Ok(StatusCode::NO_CONTENT)
}

/// Declares why one looks; until then no pictures are shown. Accesses that are open under another purpose end.
#[utoipa::path(put, path = "/api/v1/me/purpose", request_body = PurposeBody,
    responses((status = 204), (status = 400, body = Refusal), (status = 401, body = Refusal)))]
pub(super) async fn declare_purpose(authority: Authority, body: Bytes) -> Result<StatusCode, Refusal> {
    let purpose = check_purpose(&json(&body)?)?;
    authority.login()?.belongings.declare(purpose);
    Ok(StatusCode::NO_CONTENT)
}
