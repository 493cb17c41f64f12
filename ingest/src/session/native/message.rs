//! RTSP messages (RFC 2326 §4), read as tolerantly as forty firmwares demand and written as plainly as possible.
//!
//! Reading accepts bare line feeds, any protocol version, a missing reason, odd case and spaces in header names, folded
//! lines and lines that mean nothing (Q11, Q12, Q22). What it never accepts is size: a line is at most 8 KiB, a head 100
//! lines and 64 KiB, a body 64 KiB.

use std::fmt::Write;

/// The longest line of a head, in bytes.
const LINE_MAX: usize = 8 << 10;
/// The most lines in a head.
const LINES_MAX: usize = 100;
/// The longest head, in bytes.
const HEAD_MAX: usize = 64 << 10;
/// The longest body, in bytes: session descriptions are a few hundred.
const BODY_MAX: usize = 64 << 10;

/// What the camera says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Message {
    Response(Response),
    Request(Request),
}

/// An answer to one of our requests, or what is meant as one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) body: Vec<u8>,
}

/// A request of the camera's own (Q67).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) headers: Headers,
}

/// Names and values in the order received, trimmed; names are compared without case.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Headers(Vec<(String, String)>);

/// Why the connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum MessageError {
    #[error("an RTSP message longer than the limits")]
    TooLong,
    #[error("not an RTSP message")]
    Malformed,
}

impl Headers {
    /// The first value under a name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Every value under a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The sequence number, if there is a readable one (Q11, Q63).
    pub(super) fn sequence(&self) -> Option<u32> {
        self.get("CSeq")?.parse().ok()
    }
}

/// Takes one message from the front of `bytes`: how many bytes it was, and what it said. `None`: it is not whole yet.
///
/// # Errors
/// [`MessageError`] when what stands there is no message, or one beyond the limits.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(usize, Message)>, MessageError> {
    let Some((head, mut length)) = split_head(bytes)? else { return Ok(None) };
    let mut lines = head.iter().map(|line| String::from_utf8_lossy(line));
    let first = lines.next().unwrap_or_default();
    let mut headers = Headers::default();
    for line in lines {
        match (line.starts_with([' ', '\t']), headers.0.last_mut(), line.split_once(':')) {
            (true, Some((_, value)), _) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            (_, _, Some((name, value))) => headers.0.push((name.trim().to_owned(), value.trim().to_owned())),
            // A line without a colon says nothing.
            (_, _, None) => {}
        }
    }
    let body_length = headers.get("Content-Length").and_then(|text| text.parse::<usize>().ok()).unwrap_or(0);
    if body_length > BODY_MAX {
        return Err(MessageError::TooLong);
    }
    let Some(body) = bytes.get(length..length + body_length) else { return Ok(None) };
    length += body_length;
    let mut words = first.split_ascii_whitespace();
    let (one, two, three) = (words.next().unwrap_or_default(), words.next().unwrap_or_default(), words.next());
    if is_banner(one) {
        let status = two.get(..3).and_then(|digits| digits.parse().ok()).ok_or(MessageError::Malformed)?;
        return Ok(Some((length, Message::Response(Response { status, headers, body: body.to_vec() }))));
    }
    if !three.is_some_and(is_banner) {
        return Err(MessageError::Malformed);
    }
    Ok(Some((length, Message::Request(Request { method: one.to_ascii_uppercase(), headers }))))
}

/// `RTSP/1.0`, and whatever else cameras print there (Q12).
fn is_banner(word: &str) -> bool {
    word.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("RTSP/"))
}

/// The lines of a head, and how many bytes they take with the blank one.
type Head<'a> = (Vec<&'a [u8]>, usize);

fn split_head(bytes: &[u8]) -> Result<Option<Head<'_>>, MessageError> {
    let mut lines: Vec<&[u8]> = Vec::new();
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let Some(end) = rest.iter().take(LINE_MAX).position(|byte| *byte == b'\n') else {
            return if rest.len() >= LINE_MAX { Err(MessageError::TooLong) } else { Ok(None) };
        };
        at += end + 1;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        match (line.is_empty(), lines.is_empty()) {
            // Blank lines before a message (Q22).
            (true, true) => {}
            (true, false) => return Ok(Some((lines, at))),
            (false, _) if lines.len() >= LINES_MAX || at > HEAD_MAX => return Err(MessageError::TooLong),
            (false, _) => lines.push(line),
        }
    }
}

/// A request of ours as bytes. `uri` and the values are ours and hold no line breaks.
pub(super) fn request(method: &str, uri: &str, sequence: u32, headers: &[(&str, &str)]) -> Vec<u8> {
    finish(format!("{method} {uri} RTSP/1.0\r\nCSeq: {sequence}\r\n"), headers)
}

/// The answer to a request of the camera's.
pub(super) fn answer(status: u16, reason: &str, sequence: Option<u32>, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("RTSP/1.0 {status} {reason}\r\n");
    if let Some(sequence) = sequence {
        let _ = write!(text, "CSeq: {sequence}\r\n");
    }
    finish(text, headers)
}

fn finish(mut text: String, headers: &[(&str, &str)]) -> Vec<u8> {
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn response(text: &str) -> Response {
        match parse(text.as_bytes()).expect("readable") {
            Some((length, Message::Response(response))) if length == text.len() => response,
            other => panic!("{text:?} gave {other:?}"),
        }
    }

    #[test]
    fn a_response_is_read_whole_or_not_at_all() {
        let text = "RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 4\r\n\r\nv=0\n";
        for cut in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..cut]), Ok(None), "{cut}");
        }
        let read = response(text);
        assert_eq!((read.status, read.headers.sequence(), &read.body[..]), (200, Some(2), &b"v=0\n"[..]));
    }

    #[test]
    fn q11_header_names_have_any_case_and_trailing_spaces() {
        let read = response("RTSP/1.0 200 OK\r\nCseq : 7  \r\nSESSION:9\r\n\r\n");
        assert_eq!((read.headers.sequence(), read.headers.get("Session")), (Some(7), Some("9")));
    }

    #[test]
    fn q12_bare_line_feeds_missing_reasons_and_other_versions_are_read() {
        assert_eq!(response("RTSP/1.0 200\nCSeq: 1\n\n").status, 200);
        assert_eq!(response("RTSP/2.0 404 Not Found\r\n\r\n").status, 404);
        assert_eq!(response("rtsp/1.0 200 OK\r\nno colon here\r\nX: a\r\n  b\r\n\r\n").headers.get("x"), Some("a b"));
    }

    #[test]
    fn q22_blank_lines_before_a_message_are_skipped() {
        assert_eq!(response("\r\n\r\n\nRTSP/1.0 200 OK\r\n\r\n").status, 200);
    }

    #[test]
    fn q67_a_request_of_the_camera_is_read_as_one() {
        let text = "OPTIONS rtsp://192.0.2.1/ RTSP/1.0\r\nCSeq: 5\r\n\r\n";
        let Ok(Some((_, Message::Request(request)))) = parse(text.as_bytes()) else { panic!("no request") };
        assert_eq!((request.method.as_str(), request.headers.sequence()), ("OPTIONS", Some(5)));
    }

    #[test]
    fn size_is_bounded_everywhere() {
        let line = "X: ".to_owned() + &"a".repeat(LINE_MAX);
        assert_eq!(parse(format!("RTSP/1.0 200 OK\r\n{line}\r\n\r\n").as_bytes()), Err(MessageError::TooLong));
        assert_eq!(parse(format!("RTSP/1.0 200 OK\r\n{}\r\n", "a:b\r\n".repeat(101)).as_bytes()), Err(MessageError::TooLong));
        assert_eq!(parse(b"RTSP/1.0 200 OK\r\nContent-Length: 9999999\r\n\r\n"), Err(MessageError::TooLong));
        assert_eq!(parse(b"GET / HTTP/1.1\r\n\r\n"), Err(MessageError::Malformed));
        assert_eq!(parse(b"RTSP/1.0 huh\r\n\r\n"), Err(MessageError::Malformed));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = request("SETUP", "rtsp://192.0.2.1/a", 3, &[("Session", "x")]);
        let Ok(Some((length, Message::Request(read)))) = parse(&bytes) else { panic!("unreadable") };
        assert_eq!((length, read.headers.get("session")), (bytes.len(), Some("x")));
        assert_eq!(answer(501, "Not Implemented", Some(9), &[]), b"RTSP/1.0 501 Not Implemented\r\nCSeq: 9\r\n\r\n");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn arbitrary_bytes_are_answered_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(Some((length, _))) = parse(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }

        #[test]
        fn arbitrary_text_is_answered_without_a_panic(text in "(RTSP/[0-9. ]{0,8}|[A-Z]{1,9} x RTSP/1.0)(\r?\n[A-Za-z: 0-9-]{0,20}){0,6}\r?\n\r?\n") {
            let _ = parse(text.as_bytes());
        }
    }
}
