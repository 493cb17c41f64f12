//! The operators' page, embedded in the binary: no file beside it, no Node at run time, nothing fetched from elsewhere.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{Html, IntoResponse, Response},
};
use rust_embed::{EmbeddedFile, RustEmbed};

/// What `npm run build` made. Empty in a binary that was built without it.
#[derive(RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct Dist;

/// Stands in when the page was not built.
const UNBUILT: &str = "<!doctype html><html lang=zh><meta charset=utf-8><title>濠河</title><h1>页面未随程序构建</h1>\
    <p>录像与接口正常。请先运行 <code>cd api/web &amp;&amp; npm ci &amp;&amp; npm run build</code>，再重新构建 haohe。\
    <h1>This binary was built without its page</h1><p>Recording and the API work. Run <code>cd api/web &amp;&amp; npm ci \
    &amp;&amp; npm run build</code>, then build haohe again.";

/// Serves a file of the page, or the page itself for every address that its own router knows.
pub async fn serve(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let is_file = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
    let name = if is_file { path } else { "index.html" };
    match find(name, &headers) {
        Some((file, encoding)) => respond(name, &file, encoding, &headers),
        None if is_file => StatusCode::NOT_FOUND.into_response(),
        None => Html(UNBUILT).into_response(),
    }
}

/// The smallest stored variant that the browser takes. The build leaves `.br` and `.gz` beside each file.
fn find(name: &str, headers: &HeaderMap) -> Option<(EmbeddedFile, Option<&'static str>)> {
    let accepts = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or_default();
    for (encoding, ending) in [("br", "br"), ("gzip", "gz")] {
        if accepts.split(',').any(|a| a.split(';').next().unwrap_or_default().trim() == encoding)
            && let Some(file) = Dist::get(&format!("{name}.{ending}"))
        {
            return Some((file, Some(encoding)));
        }
    }
    Dist::get(name).map(|file| (file, None))
}

fn respond(name: &str, file: &EmbeddedFile, encoding: Option<&'static str>, headers: &HeaderMap) -> Response {
    let digest = file.metadata.sha256_hash();
    let tag: String = std::iter::once('"')
        .chain(digest[..8].iter().flat_map(|b| format!("{b:02x}").into_bytes()).map(char::from))
        .chain(std::iter::once('"'))
        .collect();
    // A hashed name never changes its content; the page itself is asked for again each time.
    let cache = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        file.data.clone().into_owned().into_response()
    };
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(name)));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        out.insert(header::ETAG, tag);
    }
    if let Some(encoding) = encoding {
        out.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_address_of_the_page_is_answered_with_the_page_and_missing_files_are_not() {
        let page = serve(Uri::from_static("/wall/1042"), HeaderMap::new()).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert!(page.headers()[header::CONTENT_TYPE].to_str().is_ok_and(|t| t.starts_with("text/html")));
        let missing = serve(Uri::from_static("/assets/none.js"), HeaderMap::new()).await;
        assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    }
}
