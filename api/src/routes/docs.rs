//! `/api/openapi.json` and its viewer at `/api/docs`: made from the code, served from the binary, nothing fetched from
//! elsewhere.

use axum::{
    Extension,
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
};
use std::sync::Arc;
use utoipa::openapi::OpenApi;

/// The document, made once.
#[derive(Clone)]
pub(super) struct Document(pub(super) Arc<OpenApi>);

/// The OpenAPI document of this API.
#[utoipa::path(get, path = "/api/openapi.json", responses((status = 200, body = String, content_type = "application/json")))]
pub(super) async fn openapi(Extension(Document(api)): Extension<Document>) -> Response {
    axum::Json(&*api).into_response()
}

/// A page that shows the document.
#[utoipa::path(get, path = "/api/docs", responses((status = 200, body = String, content_type = "text/html")))]
pub(super) async fn viewer() -> Html<&'static str> {
    Html(include_str!("docs.html"))
}

/// That page's script; apart, because nothing inline is run here.
#[utoipa::path(get, path = "/api/docs.js", responses((status = 200, body = String, content_type = "text/javascript")))]
pub(super) async fn script() -> Response {
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"))];
    (headers, include_str!("docs.js")).into_response()
}
