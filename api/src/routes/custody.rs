//! `/api/v1/holds` and `/api/v1/erasures`: footage that two people decide to keep beyond its term, or to erase before it. Operators and
//! administrators ask, an administrator who did not ask decides, auditors read. The rules are in `index::footage`.

use super::wire::json;
use crate::{
    authority::Authority,
    node::Node,
    refusal::{Refusal, words},
};
use axum::{Json, body::Bytes, extract::Path, http::StatusCode};
use index::{
    access::Action,
    footage::{CustodyError, Deed, Erasure, Hold, Order},
    model::{Camera, CameraId, UtcMicros, Window},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the person who asks may do here.
#[derive(Serialize, ToSchema)]
pub(super) struct May {
    request: bool,
    approve: bool,
}

/// The holds about cameras in the scope, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Holds {
    /// Bytes that holds may take up.
    quota_bytes: u64,
    /// Bytes that they take up.
    held_bytes: u64,
    may: May,
    holds: Vec<HoldBody>,
}

/// One hold.
#[derive(Serialize, ToSchema)]
pub(super) struct HoldBody {
    id: u64,
    #[schema(value_type = Vec<u32>)]
    cameras: Vec<CameraId>,
    from_us: i64,
    to_us: i64,
    reason: String,
    /// The document that says so.
    authority: String,
    /// `requested`, `active`, `declined`, `released`, `expired` or `lapsed`. The first two protect.
    state: &'static str,
    requested_by: String,
    requested_us: i64,
    approved_by: Option<String>,
    approved_us: Option<i64>,
    /// Who asked for its release first; a second person's word releases it.
    release_requested_by: Option<String>,
    ended_by: Option<String>,
    ended_us: Option<i64>,
    expires_us: i64,
    /// Bytes it keeps, alone.
    bytes: u64,
}

/// The orders about cameras in the scope, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Erasures {
    may: May,
    erasures: Vec<ErasureBody>,
}

/// One order of erasure.
#[derive(Serialize, ToSchema)]
pub(super) struct ErasureBody {
    id: u64,
    #[schema(value_type = Vec<u32>)]
    cameras: Vec<CameraId>,
    from_us: i64,
    to_us: i64,
    reason: String,
    authority: String,
    /// `requested`, `approved` (being carried out), `done`, `declined` or `lapsed`.
    state: &'static str,
    requested_by: String,
    requested_us: i64,
    approved_by: Option<String>,
    approved_us: Option<i64>,
    done_us: Option<i64>,
    /// Fragments of about a second whose media are zeros now.
    fragments: u64,
    bytes: u64,
    /// Fragments that a hold kept.
    kept_by_hold: u64,
}

/// A hold that somebody asks for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldWish {
    #[schema(value_type = Vec<u32>)]
    cameras: Vec<CameraId>,
    from_us: i64,
    to_us: i64,
    /// Why, in words.
    reason: String,
    /// The number of the document that says so.
    authority: String,
    /// When it ends by itself; at most three years from now.
    expires_us: i64,
}

/// An erasure that somebody asks for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ErasureWish {
    #[schema(value_type = Vec<u32>)]
    cameras: Vec<CameraId>,
    from_us: i64,
    to_us: i64,
    reason: String,
    authority: String,
}

/// Why a hold is released.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseWish {
    reason: String,
}

/// The holds.
#[utoipa::path(get, path = "/api/v1/holds", responses((status = 200, body = Holds), (status = 403, body = Refusal)))]
pub(super) async fn holds(authority: Authority) -> Result<Json<Holds>, Refusal> {
    let store = authority.node().store.clone();
    let (holds, retention, bytes) = authority
        .node()
        .reads
        .run(move || {
            let holds = store.holds();
            let bytes: Vec<u64> = holds.iter().map(|hold| store.bytes_held(std::slice::from_ref(&hold.order))).collect();
            (holds, store.retention(), bytes)
        })
        .await?;
    let bodies = holds.into_iter().zip(bytes).rev().filter_map(|(hold, bytes)| {
        let cameras = in_scope(&authority, &hold.order)?;
        Some(hold_body(hold, cameras, bytes))
    });
    Ok(Json(Holds {
        quota_bytes: retention.quota,
        held_bytes: retention.held,
        may: may(&authority, Action::RequestHold, Action::ApproveHold),
        holds: bodies.collect(),
    }))
}

/// Asks for a hold. It protects at once, and lapses after 72 hours if nobody approves it.
#[utoipa::path(post, path = "/api/v1/holds", request_body = HoldWish,
    responses((status = 201, body = HoldBody), (status = 400, body = Refusal), (status = 409, body = Refusal)))]
pub(super) async fn request_hold(authority: Authority, body: Bytes) -> Result<(StatusCode, Json<HoldBody>), Refusal> {
    let wish: HoldWish = json(&body)?;
    let (order, by) =
        asked(&authority, Action::RequestHold, wish.cameras, (wish.from_us, wish.to_us), wish.reason, wish.authority)?;
    let expires = UtcMicros::from_micros(wish.expires_us);
    let hold = act(&authority, move |node| node.store.request_hold(order, expires, &by)).await?;
    Ok((StatusCode::CREATED, Json(answer(&authority, hold))))
}

/// Approves a hold: somebody else than who asked.
#[utoipa::path(post, path = "/api/v1/holds/{id}/approve", params(("id" = u64, Path)),
    responses((status = 200, body = HoldBody), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
pub(super) async fn approve_hold(authority: Authority, Path(id): Path<u64>) -> Result<Json<HoldBody>, Refusal> {
    let by = decider(&authority, Action::ApproveHold, &hold_order(&authority, id)?)?;
    let hold = act(&authority, move |node| node.store.approve_hold(id, &by)).await?;
    Ok(Json(answer(&authority, hold)))
}

/// Declines a hold, which ends at once.
#[utoipa::path(post, path = "/api/v1/holds/{id}/decline", params(("id" = u64, Path)),
    responses((status = 200, body = HoldBody), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
pub(super) async fn decline_hold(authority: Authority, Path(id): Path<u64>) -> Result<Json<HoldBody>, Refusal> {
    let by = decider(&authority, Action::ApproveHold, &hold_order(&authority, id)?)?;
    let hold = act(&authority, move |node| node.store.decline_hold(id, &by)).await?;
    Ok(Json(answer(&authority, hold)))
}

/// Asks for the release of a hold (202), or, as a second person, releases it (200).
#[utoipa::path(post, path = "/api/v1/holds/{id}/release", params(("id" = u64, Path)), request_body = ReleaseWish,
    responses((status = 200, body = HoldBody), (status = 202, body = HoldBody), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
pub(super) async fn release_hold(
    authority: Authority,
    Path(id): Path<u64>,
    body: Bytes,
) -> Result<(StatusCode, Json<HoldBody>), Refusal> {
    let wish: ReleaseWish = json(&body)?;
    if wish.reason.trim().is_empty() || wish.reason.chars().count() > 500 {
        return Err(Refusal::bad_request("a release needs its reason, of at most 500 characters").on("reason"));
    }
    let order = hold_order(&authority, id)?;
    // Who may ask for a hold may ask for its release; the second word is a decision.
    let first = authority.node().store.holds().iter().any(|hold| hold.id == id && hold.release_asked.is_none());
    let by = decider(&authority, if first { Action::RequestHold } else { Action::ApproveHold }, &order)?;
    let hold = act(&authority, move |node| node.store.release_hold(id, &by, &wish.reason)).await?;
    let status = if hold.in_force() { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, Json(answer(&authority, hold))))
}

/// The orders of erasure.
#[utoipa::path(get, path = "/api/v1/erasures", responses((status = 200, body = Erasures), (status = 403, body = Refusal)))]
pub(super) async fn erasures(authority: Authority) -> Json<Erasures> {
    let all = authority.node().store.erasures().into_iter().rev();
    let mine = all.filter_map(|order| in_scope(&authority, &order.order).map(|cameras| erasure_body(order, cameras)));
    Json(Erasures { erasures: mine.collect(), may: may(&authority, Action::RequestErasure, Action::ApproveErasure) })
}

/// Asks for an erasure by order. Nothing is touched before somebody else approves it.
#[utoipa::path(post, path = "/api/v1/erasures", request_body = ErasureWish,
    responses((status = 201, body = ErasureBody), (status = 400, body = Refusal), (status = 409, body = Refusal)))]
pub(super) async fn request_erasure(authority: Authority, body: Bytes) -> Result<(StatusCode, Json<ErasureBody>), Refusal> {
    let wish: ErasureWish = json(&body)?;
    let (order, by) =
        asked(&authority, Action::RequestErasure, wish.cameras, (wish.from_us, wish.to_us), wish.reason, wish.authority)?;
    let order = act(&authority, move |node| node.store.request_erasure(order, &by)).await?;
    let cameras = order.order.cameras.clone();
    Ok((StatusCode::CREATED, Json(erasure_body(order, cameras))))
}

/// Approves an erasure: somebody else than who asked. It is carried out at once, and cannot be undone.
#[utoipa::path(post, path = "/api/v1/erasures/{id}/approve", params(("id" = u64, Path)),
    responses((status = 200, body = ErasureBody), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
pub(super) async fn approve_erasure(authority: Authority, Path(id): Path<u64>) -> Result<Json<ErasureBody>, Refusal> {
    let by = decider(&authority, Action::ApproveErasure, &erasure_order(&authority, id)?)?;
    let order = act(&authority, move |node| node.store.approve_erasure(id, &by)).await?;
    let cameras = order.order.cameras.clone();
    Ok(Json(erasure_body(order, cameras)))
}

/// Declines an erasure.
#[utoipa::path(post, path = "/api/v1/erasures/{id}/decline", params(("id" = u64, Path)),
    responses((status = 200, body = ErasureBody), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
pub(super) async fn decline_erasure(authority: Authority, Path(id): Path<u64>) -> Result<Json<ErasureBody>, Refusal> {
    let by = decider(&authority, Action::ApproveErasure, &erasure_order(&authority, id)?)?;
    let order = act(&authority, move |node| node.store.decline_erasure(id, &by)).await?;
    let cameras = order.order.cameras.clone();
    Ok(Json(erasure_body(order, cameras)))
}

/// The order that somebody asks for, with who asks, if they may ask it for all of these cameras.
fn asked(
    authority: &Authority,
    action: Action,
    mut cameras: Vec<CameraId>,
    (from_us, to_us): (i64, i64),
    reason: String,
    document: String,
) -> Result<(Order, String), Refusal> {
    cameras.sort_unstable();
    cameras.dedup();
    let window = Window::new(UtcMicros::from_micros(from_us), UtcMicros::from_micros(to_us));
    let order = Order { cameras, window, reason, authority: document };
    let by = decider(authority, action, &order)?;
    Ok((order, by))
}

/// Who does this, if they may do it with every camera of the order.
fn decider(authority: &Authority, action: Action, order: &Order) -> Result<String, Refusal> {
    let cameras: Vec<Camera> = order.cameras.iter().map(|id| authority.camera(*id)).collect::<Result<_, _>>()?;
    drop(authority.grant(action, &cameras.iter().collect::<Vec<_>>(), None)?);
    Ok(authority.person()?.name.clone())
}

fn hold_order(authority: &Authority, id: u64) -> Result<Order, Refusal> {
    let hold = authority.node().store.holds().into_iter().find(|hold| hold.id == id);
    hold.map(|hold| hold.order).ok_or_else(|| Refusal::not_found("该保全", "hold"))
}

fn erasure_order(authority: &Authority, id: u64) -> Result<Order, Refusal> {
    let order = authority.node().store.erasures().into_iter().find(|order| order.id == id);
    order.map(|order| order.order).ok_or_else(|| Refusal::not_found("该删除令", "order"))
}

async fn act<T: Send + 'static>(
    authority: &Authority,
    work: impl FnOnce(&Node) -> Result<T, CustodyError> + Send + 'static,
) -> Result<T, Refusal> {
    authority.node().blocking(work).await?.map_err(|error| refused(&error))
}

/// The cameras of an order that this person reaches; `None` if that is none. Whoever reaches the whole site also sees orders about
/// cameras that are gone.
fn in_scope(authority: &Authority, order: &Order) -> Option<Vec<CameraId>> {
    if authority.person().is_ok_and(|person| person.reaches_everything()) {
        return Some(order.cameras.clone());
    }
    let mine: Vec<CameraId> = order.cameras.iter().copied().filter(|id| authority.camera(*id).is_ok()).collect();
    (!mine.is_empty()).then_some(mine)
}

fn may(authority: &Authority, request: Action, approve: Action) -> May {
    let may = |action| authority.person().is_ok_and(|person| person.may(action, None).is_ok());
    May { request: may(request), approve: may(approve) }
}

fn answer(authority: &Authority, hold: Hold) -> HoldBody {
    let bytes = authority.node().store.bytes_held(std::slice::from_ref(&hold.order));
    let cameras = hold.order.cameras.clone();
    hold_body(hold, cameras, bytes)
}

fn split(deed: Option<Deed>) -> (Option<String>, Option<i64>) {
    let at = deed.as_ref().map(|deed| deed.at.as_micros());
    (deed.map(|deed| deed.by).filter(|by| !by.is_empty()), at)
}

fn hold_body(hold: Hold, cameras: Vec<CameraId>, bytes: u64) -> HoldBody {
    let ((approved_by, approved_us), (ended_by, ended_us)) = (split(hold.approved), split(hold.ended));
    HoldBody {
        id: hold.id,
        cameras,
        from_us: hold.order.window.from.as_micros(),
        to_us: hold.order.window.to.as_micros(),
        reason: hold.order.reason,
        authority: hold.order.authority,
        state: hold.state.word(),
        requested_by: hold.asked.by,
        requested_us: hold.asked.at.as_micros(),
        approved_by,
        approved_us,
        release_requested_by: hold.release_asked.map(|deed| deed.by),
        ended_by,
        ended_us,
        expires_us: hold.expires.as_micros(),
        bytes,
    }
}

fn erasure_body(order: Erasure, cameras: Vec<CameraId>) -> ErasureBody {
    let ((approved_by, approved_us), (_, done_us)) = (split(order.approved), split(order.ended));
    ErasureBody {
        id: order.id,
        cameras,
        from_us: order.order.window.from.as_micros(),
        to_us: order.order.window.to.as_micros(),
        reason: order.order.reason,
        authority: order.order.authority,
        state: order.state.word(),
        requested_by: order.asked.by,
        requested_us: order.asked.at.as_micros(),
        approved_by,
        approved_us,
        done_us,
        fragments: order.erased.fragments,
        bytes: order.erased.bytes,
        kept_by_hold: order.erased.kept_by_hold,
    }
}

fn refused(error: &CustodyError) -> Refusal {
    let conflict = |code, zh: String, remedy_zh: &'static str, remedy_en: &'static str| {
        Refusal::new(StatusCode::CONFLICT, code, words(zh, format!("Nothing was changed: {error}")), words(remedy_zh, remedy_en))
    };
    match error {
        CustodyError::Unknown(_) => Refusal::not_found("该编号", "number"),
        CustodyError::Nothing => Refusal::bad_request(error.to_string()).on("cameras"),
        CustodyError::Words => Refusal::bad_request(error.to_string()).on("reason"),
        CustodyError::Expiry => Refusal::bad_request(error.to_string()).on("expires_us"),
        CustodyError::Future => Refusal::bad_request(error.to_string()).on("to_us"),
        CustodyError::SecondPerson(_) => conflict(
            "second_person",
            "须由另一人批准，未作任何更改".to_owned(),
            "请由未提出申请的管理员办理",
            "An administrator who did not ask for it decides",
        ),
        CustodyError::State(..) => conflict(
            "wrong_state",
            "当前状态不允许此操作，未作任何更改".to_owned(),
            "请刷新后查看其状态",
            "Look at its state again",
        ),
        CustodyError::Quota { wanted, quota } => conflict(
            "hold_quota",
            format!("保全占用将达 {:.1} GB，超过限额 {:.1} GB；未到期录像不会因此被删除，故拒绝", gb(*wanted), gb(*quota)),
            "缩短时段、导出后解除已有保全，或增加磁盘、提高 retention.hold_percent",
            "Shorten it, release another hold after exporting it, add a disk, or raise retention.hold_percent",
        ),
        CustodyError::Held(_) => conflict(
            "held",
            "该时段全部处于保全之下，保全优先，未删除".to_owned(),
            "如确需删除，先由两人解除保全",
            "Release the hold first, by two persons, if it must go",
        ),
        CustodyError::Journal(_) => Refusal::failed("write the journal", error),
    }
}

fn gb(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}
