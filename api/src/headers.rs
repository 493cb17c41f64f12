//! What every answer carries and every request must pass before a handler sees it: the right host, a same-site sender,
//! and headers that leave a browser no room for other people's scripts.

use crate::refusal::{Refusal, words};
use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::net::IpAddr;

/// Header that a page of ours sends with every change. A form or image of another site cannot (CSRF).
pub const OUR_PAGE: HeaderName = HeaderName::from_static("x-haohe");

/// Scripts, workers, pictures and connections only from here; nothing inline; no frames around or inside.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
    media-src 'self' blob:; font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const FIXED: [(&str, &str); 8] = [
    ("content-security-policy", POLICY),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-resource-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=(), display-capture=()"),
    ("strict-transport-security", "max-age=31536000"),
];

/// Adds the headers that every answer carries. What no handler marked as cacheable is not stored anywhere.
pub async fn secure(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Which host names this node answers to. A page of another site that makes its own name resolve to our address (DNS
/// rebinding) is not among them.
#[derive(Clone, Debug)]
pub struct Hosts {
    names: Vec<String>,
}

impl Hosts {
    /// The configured names; `localhost`, the machine's own name and plain addresses are always good.
    #[must_use]
    pub fn new(configured: &[String]) -> Self {
        let mut names: Vec<String> = configured.iter().map(|name| name.to_ascii_lowercase()).collect();
        names.push("localhost".to_owned());
        names.extend(crate::tls::own_host_name().map(|name| name.to_ascii_lowercase()));
        Self { names }
    }

    fn answers_to(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        name.parse::<IpAddr>().is_ok() || self.names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Lets a request through if it names a host of ours.
    ///
    /// # Errors
    /// 421 for any other.
    pub fn check(&self, request: &Request) -> Result<(), Refusal> {
        let named = request.uri().authority().map(Authority::as_str);
        let named = named.or_else(|| request.headers().get(header::HOST)?.to_str().ok());
        if named.is_some_and(|host| self.answers_to(host)) {
            return Ok(());
        }
        Err(Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            "unknown_host",
            words("本机不以该主机名提供服务", "This node does not answer to that host name"),
            words("请将主机名加入配置 http.allowed_hosts", "Add the name to http.allowed_hosts in the configuration"),
        ))
    }
}

/// Whether a request may change something: a safe method, or one that our own page sent.
///
/// # Errors
/// 403 if the header that only our page sends is missing.
pub fn check_sender(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    if method.is_safe() || headers.get(OUR_PAGE).is_some_and(|value| value == "1") {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::FORBIDDEN,
        "not_our_page",
        words("请求并非来自本系统页面，未作任何更改", "The request does not come from this system's page; nothing was changed"),
        words("程序调用请加请求头 x-haohe: 1", "Programs send the header x-haohe: 1"),
    ))
}

/// Whether a WebSocket is opened by our own page: browsers send cookies with foreign ones too, and no other check applies.
///
/// # Errors
/// 403 if a browser names another origin.
pub fn check_origin(headers: &HeaderMap, host: Option<&str>) -> Result<(), Refusal> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let ours = origin.to_str().ok().and_then(|o| o.split_once("://")).is_some_and(|(_, from)| Some(from) == host);
    if ours { Ok(()) } else { check_sender(&Method::POST, &HeaderMap::new()) }
}

/// Turns a request away before routing when its host is not ours.
pub async fn guard_host(hosts: Hosts, request: Request, next: Next) -> Response {
    match hosts.check(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_and_addresses_are_answered() {
        let hosts = Hosts::new(&["haohe.example".to_owned()]);
        for good in ["127.0.0.1:8443", "[::1]:8443", "localhost", "HAOHE.example:443"] {
            assert!(hosts.answers_to(good), "{good}");
        }
        for bad in ["", "evil.example", "haohe.example.evil.example", "127.0.0.1.evil.example", "a b"] {
            assert!(!hosts.answers_to(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_socket_of_another_site_is_refused() {
        let mut headers = HeaderMap::new();
        assert!(check_origin(&headers, Some("127.0.0.1:8443")).is_ok(), "programs send no origin");
        headers.insert(header::ORIGIN, HeaderValue::from_static("https://127.0.0.1:8443"));
        assert!(check_origin(&headers, Some("127.0.0.1:8443")).is_ok());
        headers.insert(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
        assert!(check_origin(&headers, Some("127.0.0.1:8443")).is_err());
    }
}
