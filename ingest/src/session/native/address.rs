//! The URLs of RTSP as cameras use them: strings to be sent back unchanged, joined the way live555 joins them and not by
//! RFC 3986 (Q07, Q08). Nothing here is ever dialled: the connection stays where it is, whatever a camera claims to be
//! called (Q06); only a redirect names a new place, and the shell checks that like any configured address.

/// The URL that control attributes are joined to: Content-Base if it makes sense, the request's URL otherwise.
pub(super) fn base(request: &str, content_base: Option<&str>) -> String {
    let Some(given) = content_base.map(str::trim).filter(|text| !text.is_empty()) else { return request.to_owned() };
    let (scheme, rest) = request.split_once("://").unwrap_or(("rtsp", request));
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    // Q05: a path alone.
    if given.starts_with('/') {
        return format!("{scheme}://{authority}{given}");
    }
    let Some((_, mut tail)) = split_scheme(given) else {
        // Q01: the scheme is missing. Without so much as a host, the text says nothing.
        let host = given.split('/').next().unwrap_or_default();
        let plausible = host.contains(['.', ':']) && is_authority(host);
        return if plausible { format!("{scheme}://{given}") } else { request.to_owned() };
    };
    // Q02: the scheme is repeated.
    while let Some((_, inner)) = split_scheme(tail) {
        tail = inner;
    }
    let host = tail.split(['/', '?']).next().unwrap_or_default();
    // Q03: an IPv6 address without brackets.
    if is_authority(host) { format!("{scheme}://{tail}") } else { request.to_owned() }
}

/// The URL of a track, or of the whole presentation (`*`, or nothing).
pub(super) fn join(base: &str, control: Option<&str>) -> String {
    let control = control.map_or("", str::trim);
    match (control, split_scheme(control)) {
        ("" | "*", _) => base.to_owned(),
        (_, Some(_)) => control.to_owned(),
        (_, None) => format!("{}/{}", base.strip_suffix('/').unwrap_or(base), control.strip_prefix('/').unwrap_or(control)),
    }
}

/// Where a redirect leads, or `None` if it must not be followed: no RTSP address, one with a password in it, or one that gives
/// up encryption (Q18).
pub(super) fn redirect(from: &str, location: &str) -> Option<String> {
    let location = location.trim();
    let (scheme, rest) = split_scheme(location)?;
    let encrypted = split_scheme(from)?.0.eq_ignore_ascii_case("rtsps");
    let allowed = scheme.eq_ignore_ascii_case("rtsps") || (scheme.eq_ignore_ascii_case("rtsp") && !encrypted);
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    let clean = location.len() <= 1024 && location.bytes().all(|byte| byte.is_ascii_graphic()) && is_authority(host);
    (allowed && clean).then(|| format!("{}://{rest}", scheme.to_ascii_lowercase()))
}

/// `rtsp`, and what follows `://`. Only what looks like a scheme counts.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme_like = !scheme.is_empty() && scheme.len() <= 8 && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    scheme_like.then_some((scheme, rest))
}

/// A host that may carry a port; no user information.
fn is_authority(text: &str) -> bool {
    let bracketed = text.starts_with('[') && text.contains(']');
    !text.is_empty() && !text.contains('@') && (bracketed || text.matches(':').count() <= 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = "rtsp://192.0.2.7:554/s0";

    #[track_caller]
    fn check(content_base: &str, control: &str, expected: &str) {
        assert_eq!(join(&base(REQUEST, Some(content_base)), Some(control)), expected, "{content_base:?} {control:?}");
    }

    #[test]
    fn q01_a_base_without_a_scheme_gets_the_requests() {
        check("192.168.1.10:554/s0/", "track1", "rtsp://192.168.1.10:554/s0/track1");
    }

    #[test]
    fn q02_repeated_schemes_are_stripped() {
        check("rtsp://rtsp://host/", "track1", "rtsp://host/track1");
    }

    #[test]
    fn q03_an_ipv6_base_without_brackets_is_not_used() {
        check("rtsp://::ffff:1.2.3.4/", "track1", "rtsp://192.0.2.7:554/s0/track1");
        check("rtsp://[2001:db8::1]:554/a/", "track1", "rtsp://[2001:db8::1]:554/a/track1");
    }

    #[test]
    fn q04_an_empty_base_is_none() {
        check("  ", "track1", "rtsp://192.0.2.7:554/s0/track1");
    }

    #[test]
    fn q05_a_relative_base_keeps_the_host() {
        check("/live/", "track1", "rtsp://192.0.2.7:554/live/track1");
        check("live/", "track1", "rtsp://192.0.2.7:554/s0/track1");
    }

    #[test]
    fn q06_a_private_host_is_sent_back_as_the_camera_said_it() {
        check("rtsp://10.0.0.9/s0/", "track1", "rtsp://10.0.0.9/s0/track1");
    }

    #[test]
    fn q07_q08_controls_are_joined_as_strings() {
        check("rtsp://h/s0", "/track1", "rtsp://h/s0/track1");
        check("rtsp://h/s0/", "/track1", "rtsp://h/s0/track1");
        check("rtsp://h/s0/", "rtsp://h/s0/track1", "rtsp://h/s0/track1");
        check("rtsp://h/cam?channel=1&subtype=0/", "trackID=0", "rtsp://h/cam?channel=1&subtype=0/trackID=0");
        check("rtsp://h/s0/", "*", "rtsp://h/s0/");
    }

    #[test]
    fn q18_a_redirect_keeps_or_raises_protection() {
        assert_eq!(redirect(REQUEST, "rtsp://h:8554/x").as_deref(), Some("rtsp://h:8554/x"));
        assert_eq!(redirect(REQUEST, "RTSPS://h/x").as_deref(), Some("rtsps://h/x"));
        for bad in ["http://h/", "rtsp://u:p@h/", "/relative", "rtsp://a b/"] {
            assert_eq!(redirect(REQUEST, bad), None, "{bad}");
        }
        assert_eq!(redirect("rtsps://h/", "rtsp://h/"), None);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_is_joined_without_a_panic(a in ".{0,60}", b in ".{0,60}") {
            let _ = join(&base(REQUEST, Some(&a)), Some(&b));
            let _ = redirect(&a, &b);
        }
    }
}
