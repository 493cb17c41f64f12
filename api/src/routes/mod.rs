//! One file per resource: its wire types beside its handlers. This file is the list of all of them, each with its door.

mod access_records;
mod alarms;
pub(crate) mod asked;
mod below;
mod cameras;
mod coverage;
mod custody;
mod docs;
mod events;
mod exports;
mod footage;
mod fragments;
mod health;
mod hooks;
mod incidents;
mod key_units;
mod ledger;
mod link;
mod login;
mod media;
mod metrics;
mod motion;
mod people;
mod reports;
mod retention;
mod rules;
mod stills;
mod tree;
mod version;
mod wire;

pub(crate) use coverage::cause_words;

use crate::{
    doors::{Door, Doors, Entry},
    headers,
    link::down::{Answers, Listed, budget::Budget},
    node::Shared,
    page,
    refusal::Refusal,
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::StatusCode,
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use index::{access::Action, model::Camera};
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::routes;

/// The largest body a request may have: a long list of key units.
const BODY_LIMIT: usize = 256 << 10;
/// How long a handler may think before its answer begins.
const PATIENCE: Duration = Duration::from_secs(30);

/// All routes of a node, its OpenAPI document, and the list of routes with their doors.
pub fn all(node: &Shared) -> (Router<Shared>, OpenApi, Vec<Entry>) {
    let info = InfoBuilder::new()
        .title("Haohe 濠河")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "A node's HTTP API. Times are microseconds UTC. Sign in at /api/v1/login; changes need the header `x-haohe: 1`. \
             Programs send it with every request to stay signed in: a login ends when no request with it came for `http.login_idle_mins`. \
             Every error is a `Refusal`: a stable code, the state and the remedy in Chinese and English.",
        ))
        .build();
    Doors::new(node.clone(), OpenApiBuilder::new().info(info).build())
        .add(Door::Anyone, routes!(login::sign_in))
        .add(Door::Anyone, routes!(version::version))
        .add(Door::Anyone, routes!(link::join))
        .add(Door::SignedIn, routes!(login::sign_out))
        .add(Door::SignedIn, routes!(login::me))
        .add(Door::SignedIn, routes!(login::change_password))
        .add(Door::Settled, routes!(login::declare_purpose))
        .add(Door::Settled, routes!(docs::openapi))
        .add(Door::Settled, routes!(docs::viewer))
        .add(Door::Settled, routes!(docs::script))
        .add(Door::Needs(Action::ChangePeople), routes!(people::list))
        .add(Door::Needs(Action::ChangePeople), routes!(people::add))
        .add(Door::Needs(Action::ChangePeople), routes!(people::change))
        .add(Door::Needs(Action::ChangePeople), routes!(people::new_password))
        .add(Door::Needs(Action::ListCameras), routes!(cameras::list))
        .add(Door::Needs(Action::ListCameras), routes!(tree::tree))
        .add(Door::Needs(Action::Search), routes!(events::find))
        .add_asked_of_rooms(Door::Needs(Action::Search), routes!(motion::search))
        .add_asked_of_rooms(Door::Needs(Action::Search), routes!(motion::density))
        .add(Door::Needs(Action::Search), routes!(events::kinds))
        .add_in_rooms(Door::Needs(Action::Search), routes!(events::feed::feed))
        .add_in_rooms(Door::Needs(Action::Search), routes!(events::reports::bookmark))
        .add_in_rooms(Door::Reporter, routes!(events::reports::report))
        .add_in_rooms(Door::Needs(Action::Search), routes!(alarms::list))
        .add_in_rooms(Door::Needs(Action::Acknowledge), routes!(alarms::acknowledge))
        .add(Door::Needs(Action::Search), routes!(incidents::list))
        .add(Door::Needs(Action::Acknowledge), routes!(incidents::open))
        .add(Door::Needs(Action::Search), routes!(incidents::one))
        .add(Door::Needs(Action::Acknowledge), routes!(incidents::act))
        .add(Door::Needs(Action::Search), routes!(incidents::shift::note))
        .add(Door::Needs(Action::Acknowledge), routes!(incidents::shift::hand))
        .add(Door::Needs(Action::Acknowledge), routes!(incidents::shift::take))
        .add_in_rooms(Door::Needs(Action::Search), routes!(rules::list))
        .add_in_rooms(Door::Needs(Action::ChangeRules), routes!(rules::add))
        .add_in_rooms(Door::Needs(Action::ChangeRules), routes!(rules::change))
        .add_in_rooms(Door::Needs(Action::ChangeRules), routes!(rules::remove))
        .add_in_rooms(Door::Needs(Action::ChangeRules), routes!(rules::rate))
        .add_in_rooms(Door::Needs(Action::ChangeRules), routes!(hooks::list))
        .add_in_rooms(Door::Needs(Action::ChangeRules), routes!(hooks::send))
        .add_in_rooms(Door::Needs(Action::ChangeRules), routes!(hooks::discard))
        .add_in_rooms(Door::Needs(Action::ChangeCameras), routes!(cameras::add))
        .add_in_rooms(Door::Needs(Action::ChangeCameras), routes!(cameras::change))
        .add_in_rooms(Door::Needs(Action::ChangeCameras), routes!(cameras::remove))
        .add_asked_of_rooms(Door::Needs(Action::ListCameras), routes!(coverage::coverage))
        .add_asked_of_rooms(Door::Needs(Action::ListCameras), routes!(ledger::ledger))
        .add(Door::Needs(Action::Live), routes!(media::media))
        .add_asked_of_rooms(Door::Needs(Action::Playback), routes!(key_units::key_units))
        .add_asked_of_rooms(Door::Needs(Action::Playback), routes!(fragments::list))
        .add_asked_of_rooms(Door::Needs(Action::Playback), routes!(fragments::init))
        .add_asked_of_rooms(Door::Needs(Action::Playback), routes!(fragments::fragment))
        .add_asked_of_rooms(Door::Needs(Action::Playback), routes!(footage::file))
        .add_asked_of_rooms(Door::Needs(Action::Still), routes!(stills::still))
        .add_asked_of_rooms(Door::Needs(Action::Export), routes!(exports::begin))
        .add_asked_of_rooms(Door::Needs(Action::Export), routes!(exports::progress))
        .add_asked_of_rooms(Door::Needs(Action::Export), routes!(exports::file))
        .add(Door::Needs(Action::ReadHealth), routes!(health::health))
        .add_in_rooms(Door::Needs(Action::ReadHealth), routes!(retention::retention))
        .add_in_rooms(Door::Needs(Action::ReadHolds), routes!(custody::holds))
        .add_in_rooms(Door::Needs(Action::RequestHold), routes!(custody::request_hold))
        .add_in_rooms(Door::Needs(Action::ApproveHold), routes!(custody::approve_hold))
        .add_in_rooms(Door::Needs(Action::ApproveHold), routes!(custody::decline_hold))
        .add_in_rooms(Door::Needs(Action::RequestHold), routes!(custody::release_hold))
        .add_in_rooms(Door::Needs(Action::ReadHolds), routes!(custody::erasures))
        .add_in_rooms(Door::Needs(Action::RequestErasure), routes!(custody::request_erasure))
        .add_in_rooms(Door::Needs(Action::ApproveErasure), routes!(custody::approve_erasure))
        .add_in_rooms(Door::Needs(Action::ApproveErasure), routes!(custody::decline_erasure))
        .add(Door::Needs(Action::ReadReports), routes!(reports::report))
        .add(Door::Needs(Action::ReadReports), routes!(reports::csv))
        .add(Door::Needs(Action::ReadReports), routes!(reports::page))
        .add(Door::Needs(Action::ReadReports), routes!(reports::style))
        .add(Door::Needs(Action::ReadRegister), routes!(access_records::list))
        .add(Door::Scraper, routes!(metrics::metrics))
        .finish()
}

/// What this node answers to the node above, beside its journal.
pub fn answers(node: &Shared, budget: &Arc<Budget>) -> Answers {
    let (routes, _, _) = all(node);
    let router = routes
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(node.clone(), count))
        .with_state(node.clone());
    let of = node.clone();
    let listed = move || {
        let cameras = of.catalogue.list().into_iter().map(|entry| entry.camera);
        let cameras = cameras.chain(of.catalogue.removed().into_iter().map(|gone| gone.camera));
        let listed = |Camera { id, name, place, sub, .. }| Listed { id, name, place, sub: sub.is_some() };
        serde_json::to_vec(&cameras.map(listed).collect::<Vec<_>>()).unwrap_or_default()
    };
    Answers::new(node.id, router, node.config.above.allow.clone(), listed, budget).with_live(node.clone())
}

/// The whole service: every route, the page, and what surrounds them.
pub fn router(node: &Shared) -> Router {
    let (routes, api, _) = all(node);
    let hosts = node.hosts.clone();
    Router::new()
        .merge(routes)
        .route("/api/{*rest}", axum::routing::any(unknown))
        .fallback(page::serve)
        .layer(axum::Extension(docs::Document(Arc::new(api))))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, PATIENCE))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(move |request, next| headers::guard_host(hosts.clone(), request, next)))
        .layer(from_fn(headers::secure))
        .layer(from_fn_with_state(node.clone(), count))
        .with_state(node.clone())
}

async fn unknown() -> Refusal {
    Refusal::not_found("该接口", "route")
}

fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    Refusal::failed("handler", &"it panicked").into_response()
}

/// Counts and logs a request: method, path without its query, status, time. Never a cookie or a query.
async fn count(State(node): State<Shared>, request: Request, next: Next) -> Response {
    let (method, path, begin) = (request.method().clone(), request.uri().path().to_owned(), Instant::now());
    let response = next.run(request).await;
    let took = begin.elapsed();
    node.figures.requests.add(took);
    let status = response.status();
    if status.is_server_error() {
        node.figures.failures.fetch_add(1, Ordering::Relaxed);
    }
    let took_ms = took.as_secs_f64() * 1e3;
    tracing::debug!(%method, path, status = status.as_u16(), took_ms, "request");
    response
}

#[cfg(test)]
mod tests;
