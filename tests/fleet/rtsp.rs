//! RTSP 1.0 (RFC 2326) as text: requests from clients, replies to them. No socket here.

use std::fmt::Write;

/// The longest request head that is read, in bytes: a client that sends more is cut off.
pub(crate) const MAX_HEAD: usize = 16 << 10;
/// The longest body that is read, in bytes.
pub(crate) const MAX_BODY: usize = 64 << 10;

/// What a client sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Input {
    /// A request.
    Request(Request),
    /// An interleaved frame, such as a receiver report: the channel.
    Interleaved(u8),
    /// The answer to a request of the camera's own: its status.
    Response(u16),
}

/// A request. Header names are compared without case.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Request {
    /// `DESCRIBE` and so on.
    pub method: String,
    /// As the client wrote it.
    pub uri: String,
    headers: Vec<(String, String)>,
}

/// Why a client is cut off.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ParseError {
    /// The head or the body is longer than the limits.
    #[error("a request longer than the limits")]
    TooLong,
    /// The first line or a header is none.
    #[error("not an RTSP request")]
    Malformed,
}

impl Request {
    /// The value of a header, trimmed.
    #[must_use]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The head of an HTTP request: a camera's device service reads no RTSP. `None`: it is none.
    #[must_use]
    pub(crate) fn http(head: &str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let (Some(method), Some(path), Some("HTTP/1.1")) = (first.next(), first.next(), first.next()) else { return None };
        let headers = lines.map(|line| line.split_once(':').map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned())));
        Some(Self { method: method.to_owned(), uri: path.to_owned(), headers: headers.collect::<Option<_>>()? })
    }

    /// The path of the URI without scheme, host and query, slashes trimmed: `cam/3/main/trackID=0`. Clients join a track's name
    /// to the whole address of the stream, as live555 does: in `cam/3/main?x=1/trackID=0` it stands behind the query.
    #[must_use]
    pub(crate) fn path(&self) -> String {
        let rest =
            self.uri.split_once("://").map_or(self.uri.as_str(), |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let track = query.split_once('/').map_or("", |(_, track)| track);
        format!("{}/{track}", path.trim_end_matches('/')).trim_matches('/').to_owned()
    }
}

/// Takes the next message from the front of `bytes`: how many bytes it took and what it is. `None`: wait for more.
///
/// # Errors
/// [`ParseError`] when the client must be cut off.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(usize, Input)>, ParseError> {
    let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let rest = &bytes[blank..];
    if let [b'$', channel, high, low, ..] = rest {
        let length = 4 + usize::from(u16::from_be_bytes([*high, *low]));
        return Ok((rest.len() >= length).then_some((blank + length, Input::Interleaved(*channel))));
    }
    if rest.first() == Some(&b'$') {
        return Ok(None);
    }
    let window = &rest[..rest.len().min(MAX_HEAD)];
    let Some(head) = window.windows(4).position(|end| end == b"\r\n\r\n") else {
        return if rest.len() >= MAX_HEAD { Err(ParseError::TooLong) } else { Ok(None) };
    };
    let text = std::str::from_utf8(&rest[..head]).map_err(|_| ParseError::Malformed)?;
    let mut lines = text.split("\r\n");
    let first: Vec<&str> = lines.next().unwrap_or_default().splitn(3, ' ').collect();
    let headers = lines.map(|line| line.split_once(':').map(|(n, v)| (n.trim().to_owned(), v.trim().to_owned())));
    let headers = headers.collect::<Option<Vec<_>>>().ok_or(ParseError::Malformed)?;
    let (request, response) = match first[..] {
        ["RTSP/1.0", status, ..] => {
            let status = status.parse().map_err(|_| ParseError::Malformed)?;
            (Request { method: String::new(), uri: String::new(), headers }, Some(Input::Response(status)))
        }
        [method, uri, "RTSP/1.0"] => (Request { method: method.to_owned(), uri: uri.to_owned(), headers }, None),
        _ => return Err(ParseError::Malformed),
    };
    let body = match request.header("Content-Length") {
        Some(length) => length.parse().map_err(|_| ParseError::Malformed)?,
        None => 0usize,
    };
    if body > MAX_BODY {
        return Err(ParseError::TooLong);
    }
    let length = head + 4 + body;
    Ok((rest.len() >= length).then(|| (blank + length, response.unwrap_or(Input::Request(request)))))
}

/// A reply, as data until it is sent: quirks change it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// The protocol as the first line claims it.
    pub banner: String,
    /// 200, 401, ...
    pub status: u16,
    /// What follows the status; `None` leaves even the space away.
    pub reason: Option<String>,
    /// In the order sent.
    pub headers: Vec<(String, String)>,
    /// Usually SDP.
    pub body: String,
    /// What ends a line.
    pub line_end: &'static str,
}

impl Reply {
    /// A reply with the words that belong to its status.
    #[must_use]
    pub fn new(status: u16) -> Self {
        let reason = match status {
            200 => "OK",
            400 => "Bad Request",
            302 => "Moved Temporarily",
            401 => "Unauthorized",
            404 => "Not Found",
            405 => "Method Not Allowed",
            453 => "Not Enough Bandwidth",
            454 => "Session Not Found",
            455 => "Method Not Valid in This State",
            457 => "Invalid Range",
            461 => "Unsupported Transport",
            503 => "Service Unavailable",
            _ => "Error",
        };
        let (banner, reason) = ("RTSP/1.0".to_owned(), Some(reason.to_owned()));
        Self { banner, status, reason, headers: Vec::new(), body: String::new(), line_end: "\r\n" }
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Replaces the value of a header, if it is there; `None` removes it.
    pub fn replace(&mut self, name: &str, value: impl Fn(&str) -> Option<String>) {
        let change = |(known, old): (String, String)| {
            if known.eq_ignore_ascii_case(name) { value(&old).map(|new| (known, new)) } else { Some((known, old)) }
        };
        self.headers = std::mem::take(&mut self.headers).into_iter().filter_map(change).collect();
    }

    /// The bytes on the wire; `Content-Length` is added where there is a body.
    #[must_use]
    pub fn render(&self) -> String {
        let end = self.line_end;
        let mut text = format!("{} {}", self.banner, self.status);
        if let Some(reason) = &self.reason {
            text.push(' ');
            text.push_str(reason);
        }
        text.push_str(end);
        for (name, value) in &self.headers {
            // Writing to a string cannot fail.
            let _ = write!(text, "{name}: {value}{end}");
        }
        if !self.body.is_empty() {
            let _ = write!(text, "Content-Length: {}{end}", self.body.len());
        }
        text.push_str(end);
        text.push_str(&self.body);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_interleaved_frames_come_out_one_by_one() {
        let bytes = b"\r\n$\x01\0\x02ab\r\nPLAY rtsp://h:1/cam/3/main?x=1 RTSP/1.0\r\ncseq:  7 \r\n\r\nrest";
        let (taken, first) = parse(bytes).expect("good").expect("whole");
        assert_eq!(first, Input::Interleaved(1));
        let (more, second) = parse(&bytes[taken..]).expect("good").expect("whole");
        let Input::Request(request) = second else { panic!("a request") };
        assert_eq!((request.header("CSeq"), request.path().as_str()), (Some("7"), "cam/3/main"));
        assert_eq!(&bytes[taken + more..], b"rest");
    }

    #[test]
    fn the_answer_to_a_request_of_the_cameras_own_is_no_request() {
        let bytes = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS\r\n\r\nrest";
        assert_eq!(parse(bytes), Ok(Some((bytes.len() - 4, Input::Response(200)))));
        assert_eq!(parse(b"RTSP/1.0 501\r\n\r\n"), Ok(Some((16, Input::Response(501)))));
        assert_eq!(parse(b"RTSP/1.0 soon\r\n\r\n"), Err(ParseError::Malformed));
    }

    #[test]
    fn a_tracks_name_may_stand_behind_the_query() {
        let path = |uri: &str| {
            let text = format!("SETUP {uri} RTSP/1.0\r\n\r\n");
            let Ok(Some((_, Input::Request(request)))) = parse(text.as_bytes()) else { panic!("a request") };
            request.path()
        };
        assert_eq!(path("rtsp://h/cam/1/main?moved/trackID=0"), "cam/1/main/trackID=0");
        assert_eq!(path("rtsp://h/cam/1/main/?a=1&b=2"), "cam/1/main");
        assert_eq!(path("rtsp://h/cam/1/main/trackID=0?a=1"), "cam/1/main/trackID=0");
        assert_eq!(path("rtsp://h"), "");
    }

    #[test]
    fn half_a_message_waits_for_the_rest() {
        let whole = b"OPTIONS rtsp://h/ RTSP/1.0\r\nContent-Length: 3\r\n\r\nabc";
        for cut in 0..whole.len() {
            assert_eq!(parse(&whole[..cut]), Ok(None), "{cut}");
        }
        assert!(parse(whole).expect("good").is_some());
        assert_eq!(parse(b"$\x01\0"), Ok(None));
    }

    #[test]
    fn what_is_too_long_or_no_request_cuts_the_client_off() {
        assert_eq!(parse(&[b'a'; MAX_HEAD]), Err(ParseError::TooLong));
        assert_eq!(parse(b"GET / HTTP/1.1\r\n\r\n"), Err(ParseError::Malformed));
        assert_eq!(parse(b"PLAY x RTSP/1.0\r\nContent-Length: 99999999\r\n\r\n"), Err(ParseError::TooLong));
        assert_eq!(parse(b"PLAY x RTSP/1.0\r\nno colon\r\n\r\n"), Err(ParseError::Malformed));
    }
}
