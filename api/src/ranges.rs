//! Byte ranges of something whose length and parts are known before any of it is read.

use crate::refusal::{Refusal, words};
use axum::http::{HeaderMap, StatusCode, header};
use std::ops::Range;

/// Which bytes a request wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// All of them.
    Whole,
    /// Some of them: status 206.
    Part(Range<u64>),
}

impl Wanted {
    /// The bytes of something `length` bytes long.
    #[must_use]
    pub fn bytes(&self, length: u64) -> Range<u64> {
        match self {
            Self::Whole => 0..length,
            Self::Part(range) => range.clone(),
        }
    }
}

/// Reads `Range` and `If-Range` (RFC 9110 §14). Several ranges, or a unit other than bytes, are answered with the whole;
/// so is a range of an earlier version, by its tag.
///
/// # Errors
/// 416 if the range begins beyond the end.
pub fn wanted(headers: &HeaderMap, length: u64, tag: &str) -> Result<Wanted, Refusal> {
    let Some(range) = headers.get(header::RANGE).and_then(|v| v.to_str().ok()) else { return Ok(Wanted::Whole) };
    if headers.get(header::IF_RANGE).is_some_and(|known| known.as_bytes() != tag.as_bytes()) {
        return Ok(Wanted::Whole);
    }
    let Some((from, to)) = range.strip_prefix("bytes=").and_then(|spec| spec.split_once('-')) else { return Ok(Wanted::Whole) };
    let part = match (from.trim().parse::<u64>(), to.trim().parse::<u64>()) {
        (Ok(from), Ok(last)) if last >= from => from..length.min(last.saturating_add(1)),
        (Ok(from), Err(_)) if to.trim().is_empty() => from..length,
        (Err(_), Ok(suffix)) if from.trim().is_empty() => length.saturating_sub(suffix)..length,
        _ => return Ok(Wanted::Whole),
    };
    if part.start >= part.end {
        return Err(Refusal::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "range_beyond_end",
            words("请求的位置超出文件末尾", format!("The range begins beyond the end, {length} bytes")),
            words("请从头请求", "Ask from the beginning"),
        ));
    }
    Ok(Wanted::Part(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn check(range: &'static str, expected: &Option<Wanted>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static(range));
        assert_eq!(&wanted(&headers, 100, "\"t\"").ok(), expected, "{range}");
    }

    #[test]
    fn one_range_is_served_and_what_is_not_understood_gets_the_whole() {
        check("bytes=0-0", &Some(Wanted::Part(0..1)));
        check("bytes=90-", &Some(Wanted::Part(90..100)));
        check("bytes=-10", &Some(Wanted::Part(90..100)));
        check("bytes=-1000", &Some(Wanted::Part(0..100)));
        check("bytes=50-1000", &Some(Wanted::Part(50..100)));
        check("bytes=100-", &None);
        check("bytes=-0", &None);
        for odd in ["bytes=5-4", "bytes=a-b", "bytes=0-1,5-6", "lines=0-1", "bytes=", "bytes=-"] {
            check(odd, &Some(Wanted::Whole));
        }
    }

    #[test]
    fn a_range_of_an_earlier_version_gets_the_whole() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=5-9"));
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"t\""));
        assert_eq!(wanted(&headers, 100, "\"t\"").ok(), Some(Wanted::Part(5..10)));
        assert_eq!(wanted(&headers, 100, "\"u\"").ok(), Some(Wanted::Whole));
    }
}
