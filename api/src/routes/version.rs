//! `/api/v1/version`: which program this is. The one answer for everyone, so that a script can wait for a node to be up.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

/// Which program answers.
#[derive(Serialize, ToSchema)]
pub(super) struct Version {
    /// `haohe`.
    program: &'static str,
    /// Its version.
    version: &'static str,
}

/// Which program answers.
#[utoipa::path(get, path = "/api/v1/version", responses((status = 200, body = Version)))]
pub(super) async fn version() -> Json<Version> {
    Json(Version { program: "haohe", version: env!("CARGO_PKG_VERSION") })
}
