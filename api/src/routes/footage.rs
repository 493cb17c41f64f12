//! `/api/v1/footage/{camera}/{main|sub}.{mp4|m3u8}`: any range for any player.
//!
//! `.mp4` is one fragmented MP4 with byte ranges. Its layout follows from the fragments' lengths alone, so any range can be
//! served by reading only the fragments it touches; media time 0 is `from_us`, and a gap is a gap in media time. Where
//! other parameters decode what follows, the file ends, and `x-haohe-continues-us` says where to ask on.
//!
//! `.m3u8` is the same as HLS (RFC 8216), with a discontinuity at each gap and change.

use super::{
    fragments::{fragment_uri, init_uri, open},
    wire::{WindowQuery, camera_id, stream_kind},
};
use crate::{
    authority::Authority,
    node::Shared,
    ranges::{self, Wanted},
    recorded::{Part, nothing_recorded, ticks, unreadable},
    refusal::Refusal,
};
use axum::{
    body::Body,
    extract::{Path, Query},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::StreamExt;
use index::{
    access::{Action, Permit},
    footage::{Reader, mp4},
    model::{StreamId, UtcMicros, Window},
};
use std::{
    fmt::Write,
    ops::Range,
    sync::{Arc, atomic::Ordering},
};

/// Footage of a window as one file.
#[utoipa::path(get, path = "/api/v1/footage/{camera}/{file}",
    params(("camera" = u32, Path), ("file" = String, Path, description = "main.mp4, sub.mp4, main.m3u8 or sub.m3u8"), WindowQuery),
    responses((status = 200, body = Vec<u8>, content_type = "video/mp4"), (status = 206, body = Vec<u8>, content_type = "video/mp4"),
        (status = 403, body = Refusal), (status = 404, body = Refusal), (status = 416, body = Refusal)))]
pub(super) async fn file(
    authority: Authority,
    Path((camera, file)): Path<(String, String)>,
    Query(query): Query<WindowQuery>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (kind, form) = file.split_once('.').ok_or_else(|| Refusal::not_found("该文件", "file"))?;
    let stream = authority.stream(camera_id(&camera)?, stream_kind(kind)?)?;
    let window = query.footage()?;
    if !matches!(form, "mp4" | "m3u8") {
        return Err(Refusal::not_found("该文件", "file; .mp4 and .m3u8 are"));
    }
    let (footage, permit) = open(&authority, Action::Playback, stream, window).await?;
    if footage.parts.is_empty() {
        return Err(nothing_recorded());
    }
    if form == "m3u8" {
        let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.apple.mpegurl"))];
        return Ok((headers, playlist(stream, &footage.parts)).into_response());
    }
    let layout = Layout::new(&footage.parts, window.from);
    layout.respond(&headers, authority.node().clone(), footage.reader, permit)
}

/// A fragmented MP4 before it is read.
struct Layout {
    init: Bytes,
    /// In order; the file ends where other tracks begin.
    parts: Vec<Part>,
    /// Where each part begins, and the end of the file.
    offsets: Vec<u64>,
    origin: UtcMicros,
    continues: Option<UtcMicros>,
    tag: String,
}

impl Layout {
    /// The file that these parts make; at least one.
    fn new(parts: &[Part], from: UtcMicros) -> Self {
        let tracks = &parts[0].tracks;
        let same = parts.iter().take_while(|part| part.tracks == *tracks).count();
        let init = mp4::init_segment(tracks);
        let mut hash = blake3::Hasher::new();
        hash.update(&init);
        let mut offsets = vec![init.len() as u64];
        for part in &parts[..same] {
            let fragment = &part.fragment;
            offsets.push(offsets[offsets.len() - 1] + u64::from(fragment.length));
            hash.update(fragment.segment.to_string().as_bytes()).update(&fragment.offset.to_le_bytes());
        }
        Self {
            init,
            parts: parts[..same].to_vec(),
            offsets,
            // The lead-in before `from` must not be before time 0.
            origin: from.min(parts[0].fragment.window.from),
            continues: parts.get(same).map(|part| part.fragment.window.from),
            tag: format!("\"{}\"", &hash.finalize().to_hex()[..32]),
        }
    }

    fn length(&self) -> u64 {
        self.offsets[self.offsets.len() - 1]
    }

    fn respond(self, headers: &HeaderMap, node: Shared, reader: Arc<Reader>, permit: Arc<Permit>) -> Result<Response, Refusal> {
        let length = self.length();
        let wanted = ranges::wanted(headers, length, &self.tag)?;
        let range = wanted.bytes(length);
        let mut out = HeaderMap::new();
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
        out.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        out.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
        out.insert(header::ETAG, HeaderValue::from_str(&self.tag).map_err(|error| Refusal::failed("etag", &error))?);
        if let Some(at) = self.continues {
            out.insert("x-haohe-continues-us", HeaderValue::from(at.as_micros()));
        }
        let status = match wanted {
            Wanted::Whole => StatusCode::OK,
            Wanted::Part(_) => {
                let text = format!("bytes {}-{}/{length}", range.start, range.end - 1);
                out.insert(
                    header::CONTENT_RANGE,
                    HeaderValue::from_str(&text).map_err(|error| Refusal::failed("range", &error))?,
                );
                StatusCode::PARTIAL_CONTENT
            }
        };
        Ok((status, out, Body::from_stream(self.bytes(range, node, reader, permit))).into_response())
    }

    /// The bytes of a range, fragment by fragment, two reads ahead at most.
    fn bytes(
        self,
        range: Range<u64>,
        node: Shared,
        reader: Arc<Reader>,
        permit: Arc<Permit>,
    ) -> impl futures::Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
        let head = clip(&self.init, 0, &range);
        let first = self.offsets.partition_point(|offset| *offset <= range.start).saturating_sub(1);
        let last = self.offsets.partition_point(|offset| *offset < range.end).min(self.parts.len());
        let layout = Arc::new(self);
        let fragments = futures::stream::iter(first..last).map(move |n| {
            let (layout, node, reader, range) = (Arc::clone(&layout), node.clone(), Arc::clone(&reader), range.clone());
            async move {
                let part = layout.parts[n].fragment;
                let at = ticks(part.window.from, layout.origin);
                let read = move || reader.fetch(&part).map(|fragment| fragment.retimed(at, n as u32 + 1));
                let bytes = node.reads.run(read).await.map_err(|refusal| std::io::Error::other(refusal.to_string()))?;
                let bytes = bytes.map_err(|error| std::io::Error::other(unreadable(&error).to_string()))?;
                let bytes = clip(&bytes, layout.offsets[n], &range);
                node.figures.media_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(bytes)
            }
        });
        let fragments = fragments.buffered(2).inspect(move |bytes| {
            if let Ok(bytes) = bytes {
                permit.count(bytes.len() as u64);
            }
        });
        futures::stream::iter((!head.is_empty()).then_some(Ok(head))).chain(fragments)
    }
}

/// What of `bytes`, which begin at `offset` of the file, lies in `range`.
fn clip(bytes: &Bytes, offset: u64, range: &Range<u64>) -> Bytes {
    let length = bytes.len() as u64;
    let from = range.start.saturating_sub(offset).min(length);
    let to = range.end.saturating_sub(offset).min(length);
    bytes.slice(from as usize..to.max(from) as usize)
}

fn playlist(stream: StreamId, parts: &[Part]) -> String {
    let seconds = |window: Window| window.duration().as_secs_f64();
    let longest = parts.iter().map(|part| seconds(part.fragment.window)).fold(1.0, f64::max);
    let mut out = format!("#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-TARGETDURATION:{}\n", longest.ceil());
    let mut init = String::new();
    let origin = parts.first().map_or(0, |part| part.fragment.window.from.as_micros());
    for (n, part) in parts.iter().enumerate() {
        if n > 0 && !part.continues {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        let uri = init_uri(stream, part);
        let changed = parts.get(n.wrapping_sub(1)).is_none_or(|before| before.tracks != part.tracks);
        if changed || init.is_empty() {
            let _ = writeln!(out, "#EXT-X-MAP:URI=\"{uri}\"");
            init = uri;
        }
        if n == 0 || !part.continues {
            let _ = writeln!(out, "#EXT-X-PROGRAM-DATE-TIME:{}", part.fragment.window.from);
        }
        let uri = fragment_uri(stream, &part.fragment);
        let _ = writeln!(out, "#EXTINF:{:.6},\n{uri}&origin_us={origin}", seconds(part.fragment.window));
    }
    out.push_str("#EXT-X-ENDLIST\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_takes_of_each_part_what_lies_in_it() {
        let part = Bytes::from_static(b"0123456789");
        assert_eq!(clip(&part, 0, &(3..5)), "34");
        assert_eq!(clip(&part, 100, &(105..200)), "56789");
        assert_eq!(clip(&part, 100, &(0..200)), "0123456789");
        assert!(clip(&part, 100, &(0..100)).is_empty());
        assert!(clip(&part, 100, &(110..200)).is_empty());
    }
}
