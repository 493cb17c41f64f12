//! `/api/v1/people`: who may sign in. Passwords are never chosen for others: a person gets a random one-time password.

use super::{login::PersonBody, wire::json};
use crate::{
    authority::Authority,
    node::actor,
    refusal::{Refusal, words},
    sign_in::passwords,
};
use axum::{Json, body::Bytes, extract::Path, http::StatusCode};
use index::{
    access::{Person, Role, Scope},
    accounts::{Account, AccountsError, Change, PasswordHash},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// Everyone who has an account.
#[derive(Serialize, ToSchema)]
pub(super) struct People {
    people: Vec<AccountBody>,
}

/// One account.
#[derive(Serialize, ToSchema)]
pub(super) struct AccountBody {
    #[serde(flatten)]
    person: PersonBody,
    unit: String,
    disabled: bool,
    must_change_password: bool,
}

/// A new account, or what changes of one. Left out is left as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountWish {
    /// Only for a new one: 1 to 32 of a-z, 0-9, dot, underscore, dash.
    name: Option<String>,
    display: Option<String>,
    unit: Option<String>,
    /// `operator`, `auditor`, `admin`.
    #[schema(value_type = Option<Vec<String>>)]
    roles: Option<BTreeSet<Role>>,
    /// `"everything"`, `{"place": […]}` or `{"camera": 7}`.
    #[schema(value_type = Option<Vec<serde_json::Value>>)]
    scopes: Option<Vec<Scope>>,
    disabled: Option<bool>,
}

/// A password that works once; shown this one time.
#[derive(Serialize, ToSchema)]
pub(super) struct OneTime {
    name: String,
    one_time_password: String,
}

/// Everyone who has an account.
#[utoipa::path(get, path = "/api/v1/people", responses((status = 200, body = People), (status = 403, body = Refusal)))]
pub(super) async fn list(authority: Authority) -> Json<People> {
    let people = authority.node().accounts.list().into_iter().map(|account| AccountBody {
        unit: account.person.unit.clone(),
        disabled: account.disabled,
        must_change_password: account.person.must_change_password,
        person: PersonBody::of(&account.person),
    });
    Json(People { people: people.collect() })
}

/// Adds an account with a one-time password.
#[utoipa::path(post, path = "/api/v1/people", request_body = AccountWish,
    responses((status = 201, body = OneTime), (status = 400, body = Refusal), (status = 409, body = Refusal)))]
pub(super) async fn add(authority: Authority, body: Bytes) -> Result<(StatusCode, Json<OneTime>), Refusal> {
    let wish: AccountWish = json(&body)?;
    let name = wish.name.ok_or_else(|| Refusal::bad_request("missing field `name`").on("name"))?;
    let node = authority.node();
    let password = passwords::one_time();
    let hash = node.passwords.hash(password.clone()).await.map_err(|error| Refusal::failed("hash a password", &error))?;
    let account = Account {
        person: Person {
            display: wish.display.unwrap_or_else(|| name.clone()),
            unit: wish.unit.unwrap_or_default(),
            roles: wish.roles.unwrap_or_default(),
            scopes: wish.scopes.unwrap_or_default(),
            must_change_password: true,
            name: name.clone(),
        },
        password: PasswordHash::new(hash),
        disabled: wish.disabled.unwrap_or(false),
        staff_expires: None,
    };
    let by = actor(authority.person()?, authority.from());
    node.blocking(move |node| node.accounts.add(&by, account)).await?.map_err(|error| refused(&error))?;
    Ok((StatusCode::CREATED, Json(OneTime { name, one_time_password: password.expose().to_owned() })))
}

/// Changes an account. If its rights change, the person's logins end.
#[utoipa::path(put, path = "/api/v1/people/{name}", params(("name" = String, Path)), request_body = AccountWish,
    responses((status = 204), (status = 400, body = Refusal), (status = 404, body = Refusal)))]
pub(super) async fn change(authority: Authority, Path(name): Path<String>, body: Bytes) -> Result<StatusCode, Refusal> {
    let wish: AccountWish = json(&body)?;
    let change = Change {
        display: wish.display,
        unit: wish.unit,
        roles: wish.roles,
        scopes: wish.scopes,
        disabled: wish.disabled,
        staff_expires: None,
    };
    let rights = change.roles.is_some() || change.scopes.is_some() || change.disabled.is_some();
    let (by, target) = (actor(authority.person()?, authority.from()), name.clone());
    authority.node().blocking(move |node| node.accounts.change(&by, &target, change)).await?.map_err(|error| refused(&error))?;
    if rights {
        authority.node().logins.end_person(&name, None);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a person a new one-time password, and ends their logins.
#[utoipa::path(post, path = "/api/v1/people/{name}/password", params(("name" = String, Path)),
    responses((status = 200, body = OneTime), (status = 404, body = Refusal)))]
pub(super) async fn new_password(authority: Authority, Path(name): Path<String>) -> Result<Json<OneTime>, Refusal> {
    let node = authority.node();
    let password = passwords::one_time();
    let hash = node.passwords.hash(password.clone()).await.map_err(|error| Refusal::failed("hash a password", &error))?;
    let (by, target) = (actor(authority.person()?, authority.from()), name.clone());
    let set = node.blocking(move |node| node.accounts.set_password(&by, &target, PasswordHash::new(hash), true)).await?;
    set.map_err(|error| refused(&error))?;
    node.logins.end_person(&name, None);
    Ok(Json(OneTime { name, one_time_password: password.expose().to_owned() }))
}

fn refused(error: &AccountsError) -> Refusal {
    let status = match error {
        AccountsError::Unknown => return Refusal::not_found("该账户", "account"),
        AccountsError::Exists => StatusCode::CONFLICT,
        AccountsError::OwnRights | AccountsError::LastAdmin => StatusCode::FORBIDDEN,
        AccountsError::Account(_) => StatusCode::BAD_REQUEST,
        _ => return Refusal::failed("change people", error),
    };
    Refusal::new(
        status,
        "account_refused",
        words("账户设置不被接受，未作任何更改", format!("Nothing was changed: {error}")),
        words("请更正后重试", "Correct it and try again"),
    )
}
