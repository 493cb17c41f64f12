//! `/api/v1/key-units`: the key units nearest before many instants, for scrubbing: one request, one stream of answers.
//!
//! The body names a stream and, for each camera, instants. The answer is a sequence of records, all numbers big-endian:
//!
//! ```text
//! u32 length of all that follows | u32 camera | i64 asked µs | i64 unit µs | u8 kind | payload
//! kind 0 init  what decodes the camera's units that follow, as the media socket's init payload; asked and unit are 0
//! kind 1 unit  one access unit, NAL units behind 4-byte lengths; an empty payload and unit 0: nothing is recorded then
//! ```
//! Answers come in the order asked: every camera's first instant, then every camera's second, and so on; each is sent as
//! soon as it is read. An init precedes a camera's first unit and every change. A gap between the unit and the instant
//! asked for counts as nothing recorded.

use super::wire::json;
use crate::{authority::Authority, media_frame::init_payload, recorded::with_lead_in, refusal::Refusal};
use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream::BoxStream};
use index::{
    access::{Action, Extent, Permit},
    footage::Reader,
    model::{AccessUnit, CameraId, StreamId, StreamKind, Tracks, UtcMicros, Window},
};
use serde::Deserialize;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};
use utoipa::ToSchema;

const MAX_CAMERAS: usize = 16;
const MAX_INSTANTS: usize = 64;
/// A key unit older than this is not what was on at the instant: there is a gap between.
const FRESH: Duration = Duration::from_secs(12);

/// Which key units.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyUnitsWish {
    /// `main` or `sub`; a camera without a sub-stream answers with its main stream.
    #[schema(value_type = String)]
    stream: StreamKind,
    /// At most 16 cameras.
    wants: Vec<Want>,
}

/// The instants of one camera.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Want {
    #[schema(value_type = u32)]
    camera: CameraId,
    /// At most 64 instants.
    at_us: Vec<i64>,
}

/// One question.
#[derive(Clone, Copy)]
pub(super) struct Ask {
    stream: StreamId,
    at: UtcMicros,
}

/// The key units nearest before many instants.
#[utoipa::path(post, path = "/api/v1/key-units", request_body = KeyUnitsWish,
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = 400, body = Refusal), (status = 403, body = Refusal)))]
pub(super) async fn key_units(authority: Authority, body: Bytes) -> Result<Response, Refusal> {
    let asks = asks(&authority, &body)?;
    let permit = admit(&authority, &asks).await?;
    let node = authority.node().clone();
    let reader = Arc::new(node.store.read(&permit).map_err(|error| crate::recorded::unreadable(&error))?);
    let known: Arc<Mutex<HashMap<CameraId, Arc<Tracks>>>> = Arc::default();
    // Two reads at a time: the second is under way while the first is being sent, and answers keep their order.
    let records = futures::stream::iter(asks)
        .map(move |ask| {
            let (node, reader) = (node.clone(), Arc::clone(&reader));
            async move { (ask, node.reads.run(move || find(&reader, ask)).await.ok().flatten()) }
        })
        .buffered(2);
    let figures = authority.node().clone();
    let answer = records.map(move |(ask, found)| {
        let record = write(ask, found.as_ref(), &known);
        permit.count(record.len() as u64);
        figures.figures.media_bytes.fetch_add(record.len() as u64, Ordering::Relaxed);
        Ok::<_, std::convert::Infallible>(record)
    });
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))];
    Ok((headers, Body::from_stream(answer)).into_response())
}

/// The cameras that a body asks for.
pub(super) fn cameras(body: &[u8]) -> Result<Vec<CameraId>, Refusal> {
    Ok(wish(body)?.wants.into_iter().map(|want| want.camera).collect())
}

fn wish(body: &[u8]) -> Result<KeyUnitsWish, Refusal> {
    let wish: KeyUnitsWish = json(body)?;
    if wish.wants.is_empty() || wish.wants.len() > MAX_CAMERAS || wish.wants.iter().any(|w| w.at_us.len() > MAX_INSTANTS) {
        return Err(Refusal::bad_request("at most 16 cameras with 64 instants each").on("wants"));
    }
    Ok(wish)
}

/// What a body asks for, in the order of the answers.
pub(super) fn asks(authority: &Authority, body: &[u8]) -> Result<Vec<Ask>, Refusal> {
    let wish = wish(body)?;
    let mut lists = Vec::new();
    for want in &wish.wants {
        let camera = authority.node().camera_ever(want.camera).ok_or_else(|| Refusal::not_found("该摄像机", "camera"))?;
        let kind = if camera.sub.is_none() { StreamKind::Main } else { wish.stream };
        lists.push(
            want.at_us.iter().map(|at| Ask { stream: StreamId::new(camera.id, kind), at: UtcMicros::from_micros(*at) }).collect(),
        );
    }
    Ok(interleave(&lists))
}

/// The first of each list, then the second of each, and so on.
fn interleave(lists: &[Vec<Ask>]) -> Vec<Ask> {
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|n| lists.iter().filter_map(move |list| list.get(n).copied())).collect()
}

/// One access for all of it: while one scrubs back and forth, its minute is asked for again and again.
pub(super) async fn admit(authority: &Authority, asks: &[Ask]) -> Result<Arc<Permit>, Refusal> {
    let purpose = authority.purpose()?;
    let (from, to) =
        asks.iter().fold((i64::MAX, i64::MIN), |(from, to), ask| (from.min(ask.at.as_micros()), to.max(ask.at.as_micros())));
    if from > to {
        return Err(Refusal::bad_request("no instant is asked for").on("wants"));
    }
    let exact = with_lead_in(Window::new(UtcMicros::from_micros(from), UtcMicros::from_micros(to.saturating_add(1))));
    let mut streams: Vec<StreamId> = asks.iter().map(|ask| ask.stream).collect();
    streams.sort();
    streams.dedup();
    let extent = Extent::recorded(streams.clone(), exact);
    authority.grant_media(Action::Playback, &extent).map(drop)?;
    let visit = &authority.login()?.belongings;
    if let Some(permit) = visit.find(Action::Playback, |open| streams.iter().all(|stream| open.covers(*stream, exact))) {
        return Ok(permit);
    }
    Ok(visit.keep(authority.admit(Action::Playback, extent, purpose).await?))
}

fn find(reader: &Reader, ask: Ask) -> Option<(Arc<Tracks>, AccessUnit)> {
    match reader.key_unit(ask.stream, ask.at) {
        Ok(found) => found.filter(|(_, unit)| ask.at.since(unit.utc) <= FRESH),
        Err(error) => {
            tracing::warn!(%error, camera = %ask.stream.camera, "a key unit could not be read");
            None
        }
    }
}

fn write(ask: Ask, found: Option<&(Arc<Tracks>, AccessUnit)>, known: &Mutex<HashMap<CameraId, Arc<Tracks>>>) -> Bytes {
    let camera = ask.stream.camera;
    let mut out = BytesMut::new();
    match found {
        None => record(&mut out, camera, ask.at, UtcMicros::default(), 1, &[]),
        Some((tracks, unit)) => {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.get(&camera) != Some(tracks) {
                record(&mut out, camera, UtcMicros::default(), UtcMicros::default(), 0, &init_payload(tracks));
                known.insert(camera, Arc::clone(tracks));
            }
            record(&mut out, camera, ask.at, unit.utc, 1, &unit.data);
        }
    }
    out.freeze()
}

fn record(out: &mut BytesMut, camera: CameraId, asked: UtcMicros, unit: UtcMicros, kind: u8, payload: &[u8]) {
    out.reserve(25 + payload.len());
    out.put_u32(21 + payload.len() as u32);
    out.put_u32(camera.number());
    out.put_i64(asked.as_micros());
    out.put_i64(unit.as_micros());
    out.put_u8(kind);
    out.put_slice(payload);
}

/// Cuts an answer, in whatever pieces it comes, into whole records, so that several answers may be told in turn. A last record that was cut
/// short is left out.
pub(super) fn whole_records<E: Send + 'static>(
    pieces: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> BoxStream<'static, Result<Bytes, E>> {
    let pieces = Box::pin(pieces);
    let cut = futures::stream::unfold((pieces, BytesMut::new()), |(mut pieces, mut held)| async move {
        loop {
            if let Some(length) = held.first_chunk::<4>().map(|length| 4 + u32::from_be_bytes(*length) as usize)
                && held.len() >= length
            {
                let record = held.split_to(length).freeze();
                return Some((Ok(record), (pieces, held)));
            }
            match pieces.next().await? {
                Ok(piece) => held.extend_from_slice(&piece),
                Err(error) => return Some((Err(error), (pieces, held))),
            }
        }
    });
    cut.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn records_stay_whole_in_whatever_pieces_they_come() {
        let mut all = BytesMut::new();
        let camera = CameraId::new(7).expect("a number");
        for n in 0..5 {
            record(&mut all, camera, UtcMicros::from_micros(n), UtcMicros::default(), 1, &vec![n as u8; n as usize * 40]);
        }
        for size in [1, 3, 25, 1000] {
            let pieces: Vec<_> = all.chunks(size).map(|piece| Ok::<_, ()>(Bytes::copy_from_slice(piece))).collect();
            let records: Vec<Bytes> =
                whole_records(futures::stream::iter(pieces)).map(|record| record.expect("no error")).collect().await;
            assert_eq!(records.len(), 5);
            assert_eq!(records.concat(), all[..]);
        }
    }

    #[test]
    fn a_record_says_its_length_whose_it_is_and_when() {
        let mut out = BytesMut::new();
        let camera = CameraId::new(0x0102).expect("a number");
        record(&mut out, camera, UtcMicros::from_micros(3), UtcMicros::from_micros(2), 1, &[9, 9]);
        assert_eq!(out[..], [0, 0, 0, 23, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 1, 9, 9]);
    }

    #[test]
    fn every_cameras_first_instant_comes_first() {
        let ask = |camera, at| Ask {
            stream: StreamId::new(CameraId::new(camera).expect("a number"), StreamKind::Sub),
            at: UtcMicros::from_micros(at),
        };
        let order = interleave(&[vec![ask(1, 10), ask(1, 11)], vec![ask(2, 20)]]);
        assert_eq!(order.iter().map(|a| a.at.as_micros()).collect::<Vec<_>>(), [10, 20, 11]);
    }
}
