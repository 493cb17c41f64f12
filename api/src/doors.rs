//! The router's only entrance: a route is registered together with who may pass, or not at all.
//!
//! [`Doors::add`] is the one way to register a handler. It puts the check before the handler and notes the route in a list
//! that a test walks as nobody and in every role, so that a new route cannot be forgotten.

use crate::{authority::Authority, node::Shared, refusal::Refusal, routes::asked};
use axum::{
    extract::{Request, State},
    http::Method,
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use index::access::Action;
use utoipa::openapi::{OpenApi, PathItem, path::Operation};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

/// Who may pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Door {
    /// Anyone: signing in, the version.
    Anyone,
    /// Whoever is signed in, even with a one-time password.
    SignedIn,
    /// Whoever is signed in with a password of their own.
    Settled,
    /// Whoever the policy allows this. What it allows for which camera is asked again with the camera at hand.
    Needs(Action),
    /// An analytics box that shows its token; no person.
    Reporter,
    /// As `Needs(ReadMetrics)`, or a scraper that shows the configured token.
    Scraper,
}

/// Which nodes have what a route is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// All.
    Every,
    /// Rooms; a centre says so.
    Rooms,
    /// Rooms; a centre asks them.
    AskedOfRooms,
}

/// A registered route.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its method.
    pub method: Method,
    /// Its path, with `{parameters}`.
    pub path: String,
    /// Who may pass.
    pub door: Door,
}

/// A router under construction.
pub struct Doors {
    node: Shared,
    router: OpenApiRouter<Shared>,
    entries: Vec<Entry>,
}

impl Doors {
    /// No route yet; `api` is what the OpenAPI document says besides its routes.
    #[must_use]
    pub fn new(node: Shared, api: OpenApi) -> Self {
        Self { node, router: OpenApiRouter::with_openapi(api), entries: Vec::new() }
    }

    /// Registers handlers behind a door, of nodes of every tier.
    #[must_use]
    pub fn add(self, door: Door, handlers: UtoipaMethodRouter<Shared>) -> Self {
        self.add_for(door, At::Every, handlers)
    }

    /// Registers handlers behind a door of what only rooms have and centres ask them for: footage and what is read from it.
    #[must_use]
    pub fn add_asked_of_rooms(self, door: Door, handlers: UtoipaMethodRouter<Shared>) -> Self {
        self.add_for(door, At::AskedOfRooms, handlers)
    }

    /// Registers handlers behind a door that only a room has: of cameras, footage, pictures and what stands on them. A centre says so.
    #[must_use]
    pub fn add_in_rooms(self, door: Door, handlers: UtoipaMethodRouter<Shared>) -> Self {
        self.add_for(door, At::Rooms, handlers)
    }

    fn add_for(mut self, door: Door, at: At, (schemas, paths, handlers): UtoipaMethodRouter<Shared>) -> Self {
        for (path, item) in &paths.paths {
            self.entries.extend(methods(item).map(|method| Entry { method, path: path.clone(), door }));
        }
        let guarded = handlers.layer(from_fn_with_state((self.node.clone(), door, at), pass));
        self.router = self.router.routes((schemas, paths, guarded));
        self
    }

    /// The router, its OpenAPI document and the list of its routes.
    pub fn finish(self) -> (axum::Router<Shared>, OpenApi, Vec<Entry>) {
        let (router, api) = self.router.split_for_parts();
        (router, api, self.entries)
    }
}

fn methods(item: &PathItem) -> impl Iterator<Item = Method> {
    fn given(operation: Option<&Operation>, method: Method) -> Option<Method> {
        operation.map(|_| method)
    }
    [
        given(item.get.as_ref(), Method::GET),
        given(item.put.as_ref(), Method::PUT),
        given(item.post.as_ref(), Method::POST),
        given(item.delete.as_ref(), Method::DELETE),
        given(item.patch.as_ref(), Method::PATCH),
    ]
    .into_iter()
    .flatten()
}

async fn pass(State((node, door, at)): State<(Shared, Door, At)>, mut request: Request, next: Next) -> Response {
    let elsewhere = !node.config.tier.records();
    match Authority::establish(&node, door, &request) {
        // Said to those only who might have had it.
        Ok(_) if at == At::Rooms && elsewhere => Refusal::held_in_rooms().into_response(),
        Ok(authority) if at == At::AskedOfRooms && elsewhere => {
            asked::ask_rooms(authority, request).await.unwrap_or_else(IntoResponse::into_response)
        }
        Ok(authority) => {
            request.extensions_mut().insert(authority);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}
