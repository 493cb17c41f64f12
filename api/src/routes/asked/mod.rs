//! What a centre answers that only rooms have: the request goes down the line to the room that has the camera, and its answer comes back.
//!
//! The centre checks its own person's rights and writes its own access record first, as if the footage were here; the room does the same
//! again (I8 on both sides). A room that cannot be reached is named, with the reason.

mod together;

use super::{
    coverage::{CoverageQuery, MAX_ROWS, causes},
    exports,
    fragments::FragmentQuery,
    key_units,
    ledger::{self, LedgerQuery},
    motion::{self, DensityQuery, MotionQuery},
    stills::StillQuery,
    wire::{WindowQuery, camera_id, stream_kind},
};
use crate::{
    authority::Authority,
    link::down::{Asker, ExportBelow, MAX_BODY, No, NotWatching, Request, Unreached, Watching},
    node::Shared,
    recorded::with_lead_in,
    refusal::{Refusal, Words, words},
};
use axum::{
    Json,
    body::Body,
    extract::Query,
    http::{HeaderName, HeaderValue, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::StreamExt;
use index::{
    access::{Action, Extent, Permit},
    model::{CameraId, NodeId, StreamId, UtcMicros, Window},
};
use ingest::LiveTier;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

/// A request for what rooms have, from somebody who may pass its door.
struct Asked {
    authority: Authority,
    parts: Parts,
    body: Bytes,
}

/// Answers a request by asking the rooms that have what it is about.
///
/// # Errors
/// As the room's own handler; 503 if the room cannot be reached.
pub(crate) async fn ask_rooms(authority: Authority, request: axum::extract::Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_BODY).await.map_err(|_| Refusal::bad_request("the body is too long"))?;
    let asked = Asked { authority, parts, body };
    let path = asked.parts.uri.path().to_owned();
    let path: Vec<&str> = path.strip_prefix("/api/v1/").unwrap_or_default().split('/').collect();
    match path[..] {
        ["footage", camera, file] => {
            let (kind, _) = file.split_once('.').ok_or_else(|| Refusal::not_found("该文件", "file"))?;
            asked.footage(camera, kind).await
        }
        ["fragments", camera, kind] => asked.footage(camera, kind).await,
        ["fragments", camera, kind, _, _] => asked.fragment(camera, kind).await,
        ["stills", camera] => asked.still(camera).await,
        ["key-units"] => asked.key_units().await,
        ["exports"] => asked.export().await,
        ["exports", id] => asked.exported(id, None).await,
        ["exports", id, file] => asked.exported(id, Some(file)).await,
        ["coverage"] => asked.coverage().await,
        ["ledger"] => asked.ledger().await,
        ["motion"] => asked.motion().await,
        ["motion", "density"] => asked.density().await,
        _ => Err(Refusal::held_in_rooms()),
    }
}

impl Asked {
    fn query<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let query = Query::<T>::try_from_uri(&self.parts.uri);
        query.map(|Query(query)| query).map_err(|error| Refusal::bad_request(error.body_text()).on("query"))
    }

    /// A stream of a camera that this person reaches, and the room that has it.
    async fn stream(&self, camera: &str, kind: &str) -> Result<(NodeId, StreamId), Refusal> {
        let stream = StreamId::new(camera_id(camera)?, stream_kind(kind)?);
        let room = self.room(stream.camera).await?;
        self.authority.stream(stream.camera, stream.kind).map(|stream| (room, stream))
    }

    /// The room that has a camera.
    async fn room(&self, camera: CameraId) -> Result<NodeId, Refusal> {
        let missing = || Refusal::not_found("该摄像机", "camera");
        let below = self.authority.node().below.as_ref().ok_or_else(missing)?;
        below.places.learn(&[camera]).await;
        below.places.known(camera).map(|(room, _)| room).ok_or_else(missing)
    }

    /// A window of footage: a list or a file.
    async fn footage(&self, camera: &str, kind: &str) -> Result<Response, Refusal> {
        let window = self.query::<WindowQuery>()?.footage()?;
        let (room, stream) = self.stream(camera, kind).await?;
        let permit = self.authority.recorded(Action::Playback, stream, with_lead_in(window)).await?;
        self.forward(room, &[stream.camera], Some(permit)).await
    }

    /// One fragment of a window that a list was given of.
    async fn fragment(&self, camera: &str, kind: &str) -> Result<Response, Refusal> {
        let query: FragmentQuery = self.query()?;
        let window = WindowQuery { from_us: query.from_us, to_us: query.to_us }.footage()?;
        let (room, stream) = self.stream(camera, kind).await?;
        let permit = self.authority.recorded_touching(Action::Playback, stream, window).await?;
        self.forward(room, &[stream.camera], Some(permit)).await
    }

    async fn still(&self, camera: &str) -> Result<Response, Refusal> {
        let query: StillQuery = self.query()?;
        let (room, stream) = self.stream(camera, query.stream.as_deref().unwrap_or("main")).await?;
        let extent = match query.at_us {
            Some(at) => {
                let instant = Window::new(UtcMicros::from_micros(at), UtcMicros::from_micros(at.saturating_add(1)));
                Extent::recorded([stream], with_lead_in(instant))
            }
            None => Extent::live([stream]),
        };
        let permit = self.authority.admit(Action::Still, extent, self.authority.purpose()?).await?;
        self.forward(room, &[stream.camera], Some(Arc::new(permit))).await
    }

    /// Key units of several cameras, each asked of its room; a room that cannot be reached is named in a header, and its cameras are
    /// left out.
    async fn key_units(&self) -> Result<Response, Refusal> {
        let cameras = key_units::cameras(&self.body)?;
        if let Some(below) = &self.authority.node().below {
            below.places.learn(&cameras).await;
        }
        let permit = key_units::admit(&self.authority, &key_units::asks(&self.authority, &self.body)?).await?;
        let rooms = self.by_room(&cameras).await?;
        if let [(room, cameras)] = &rooms.iter().collect::<Vec<_>>()[..] {
            return self.forward(**room, cameras, Some(permit)).await;
        }
        let wish: serde_json::Value = super::wire::json(&self.body)?;
        let mut streams = Vec::new();
        let mut refused = None;
        for (room, cameras) in rooms {
            let mut wish = wish.clone();
            if let Some(wants) = wish["wants"].as_array_mut() {
                wants.retain(|want| cameras.iter().any(|camera| want["camera"] == camera.number()));
            }
            match self.put(room, &cameras, path_and_query(&self.parts.uri), wish.to_string()).await {
                Ok(opened) if opened.status == 200 => streams.push(key_units::whole_records(opened.body.stream())),
                Ok(_) => {}
                Err(why) => refused = Some(self.unreached(room, why)),
            }
        }
        if let (true, Some(refusal)) = (streams.is_empty(), refused) {
            return Err(refusal);
        }
        let records = futures::stream::select_all(streams);
        let mut response = Response::new(self.counted(records, Some(permit)));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        Ok(response)
    }

    /// Cameras by the room that has them.
    async fn by_room(&self, cameras: &[CameraId]) -> Result<BTreeMap<NodeId, Vec<CameraId>>, Refusal> {
        let mut rooms: BTreeMap<NodeId, Vec<CameraId>> = BTreeMap::new();
        for camera in cameras {
            rooms.entry(self.room(*camera).await?).or_default().push(*camera);
        }
        Ok(rooms)
    }

    /// Hands the request on as it is, and the answer back.
    async fn forward(&self, room: NodeId, cameras: &[CameraId], permit: Option<Arc<Permit>>) -> Result<Response, Refusal> {
        let opened = self
            .put(room, cameras, path_and_query(&self.parts.uri), self.text()?)
            .await
            .map_err(|why| self.unreached(room, why))?;
        let mut response = Response::new(self.counted(opened.body.stream(), permit));
        *response.status_mut() = StatusCode::from_u16(opened.status).unwrap_or(StatusCode::BAD_GATEWAY);
        for (name, value) in &opened.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
                response.headers_mut().insert(name, value);
            }
        }
        if let Ok(room) = HeaderValue::from_str(&room.to_string()) {
            response.headers_mut().insert("x-haohe-node", room);
        }
        Ok(response)
    }

    fn text(&self) -> Result<String, Refusal> {
        String::from_utf8(self.body.to_vec()).map_err(|_| Refusal::bad_request("the body is not UTF-8"))
    }

    async fn put(
        &self,
        room: NodeId,
        cameras: &[CameraId],
        uri: String,
        body: String,
    ) -> Result<crate::link::down::Opened, Unreached> {
        let node = self.authority.node();
        let unknown = Unreached { by: node.id, why: No::UnknownNode };
        let below = node.below.as_ref().ok_or(unknown)?;
        let asker = asker(&self.authority, Some(cameras.to_vec())).map_err(|_| unknown)?;
        let header = |name| self.parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let request = Request {
            method: self.parts.method.to_string(),
            uri,
            range: header(header::RANGE),
            if_range: header(header::IF_RANGE),
            body,
        };
        below.down.open(room, asker, request).await
    }

    /// A body whose bytes stand in the access record.
    fn counted(
        &self,
        bytes: impl futures::Stream<Item = Result<Bytes, Unreached>> + Send + 'static,
        permit: Option<Arc<Permit>>,
    ) -> Body {
        let node = self.authority.node().clone();
        Body::from_stream(bytes.inspect(move |bytes| {
            if let Ok(bytes) = bytes {
                permit.iter().for_each(|permit| permit.count(bytes.len() as u64));
                node.figures.media_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
        }))
    }

    fn unreached(&self, room: NodeId, why: Unreached) -> Refusal {
        unreached(self.authority.node(), room, why)
    }

    /// An export is made in the room, of cameras of one room. Nothing leaves yet.
    async fn export(&self) -> Result<Response, Refusal> {
        let cameras = exports::cameras(&self.body)?;
        let rooms = self.by_room(&cameras).await?;
        let [(room, _)] = rooms.into_iter().collect::<Vec<_>>()[..] else { return Err(together::one_room_only()) };
        let (streams, window, purpose) = exports::wanted(&self.authority, &self.body)?;
        let extent = Extent::recorded(streams.clone(), with_lead_in(window));
        drop(self.authority.admit(Action::Export, extent, purpose.clone()).await?);
        let opened = self.put(room, &cameras, path_and_query(&self.parts.uri), self.text()?).await;
        let opened = opened.map_err(|why| self.unreached(room, why))?;
        let status = StatusCode::from_u16(opened.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let body = opened.body.whole(MAX_BODY).await.map_err(|why| self.unreached(room, why))?;
        let begun: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        if let (true, Some(id), Some(below)) = (status.is_success(), begun["id"].as_str(), &self.authority.node().below) {
            let person = self.authority.person()?.name.clone();
            below.exports.keep(ExportBelow { id: id.to_owned(), node: room, person, streams, window, purpose });
        }
        Ok((status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
    }

    /// How far an export is, or a file of it: fetching pictures is an access of its own.
    async fn exported(&self, id: &str, file: Option<&str>) -> Result<Response, Refusal> {
        let person = &self.authority.person()?.name;
        let export = self.authority.node().below.as_ref().and_then(|below| below.exports.find(id, person));
        let export = export.ok_or_else(|| Refusal::not_found("该导出任务", "export"))?;
        let cameras: Vec<CameraId> = export.streams.iter().map(|stream| stream.camera).collect();
        let pictures = file.filter(|file| file.ends_with(".mp4"));
        let stream = pictures.and_then(|file| {
            let number: CameraId = file.split(['.', '-']).next()?.parse().ok()?;
            export.streams.iter().find(|stream| stream.camera == number)
        });
        let permit = match (pictures, stream) {
            (None, _) => None,
            (Some(_), None) => return Err(Refusal::not_found("该导出文件", "exported file")),
            (Some(_), Some(stream)) => {
                let extent = Extent::recorded([*stream], with_lead_in(export.window));
                self.authority.grant_media(Action::Export, &extent).map(drop)?;
                let visit = &self.authority.login()?.belongings;
                Some(match visit.find(Action::Export, |open| *open == extent) {
                    Some(permit) => permit,
                    None => visit.keep(self.authority.admit(Action::Export, extent, export.purpose).await?),
                })
            }
        };
        self.forward(export.node, &cameras, permit).await
    }

    /// Which seconds are recorded, of cameras of several rooms.
    async fn coverage(&self) -> Result<Response, Refusal> {
        let query: CoverageQuery = self.query()?;
        let cameras = motion::cameras(&query.cameras, MAX_ROWS)?;
        let rooms = self.reached(&cameras).await?;
        let answers = self.ask_all(rooms, |_, cameras| self.with_cameras(cameras)).await;
        let empty = json!({ "from_us": query.from_us, "to_us": query.to_us, "as_of_us": UtcMicros::now().as_micros(), "bucket_us": 0,
            "causes": causes() });
        Ok(Json(together::rows(empty, answers, &cameras)).into_response())
    }

    /// How much moved along time, of cameras of several rooms.
    async fn density(&self) -> Result<Response, Refusal> {
        let query: DensityQuery = self.query()?;
        let cameras = motion::cameras(&query.cameras, 9)?;
        let rooms = self.reached(&cameras).await?;
        let answers = self.ask_all(rooms, |_, cameras| self.with_cameras(cameras)).await;
        Ok(Json(together::rows(json!({}), answers, &cameras)).into_response())
    }

    /// When something moved, before cameras of several rooms. A search: it stands in the register first.
    async fn motion(&self) -> Result<Response, Refusal> {
        let query: MotionQuery = self.query()?;
        let question = motion::question(&query)?;
        let rooms = self.reached(&question.cameras).await?;
        self.authority.purpose()?;
        if question.after.is_none() {
            self.authority.note_search(question.window, motion::described(&query)).await?;
        }
        let answers = self.ask_all(rooms, |_, cameras| self.with_cameras(cameras)).await;
        let (from, to) = (question.window.from.as_micros(), question.window.to.as_micros());
        let empty = json!({ "coverage": { "from_us": from, "to_us": to } });
        Ok(Json(together::motion(empty, answers, question.order, question.limit)).into_response())
    }

    /// The sums of the rooms below a place, or of these cameras. Places count from this centre.
    async fn ledger(&self) -> Result<Response, Refusal> {
        let query: LedgerQuery = self.query()?;
        let missing = || Refusal::not_found("该摄像机", "camera");
        let below = self.authority.node().below.as_ref().ok_or_else(missing)?;
        let named = query.cameras.as_deref().filter(|text| !text.is_empty());
        let cameras = match named {
            Some(text) => text.split(',').map(camera_id).collect::<Result<Vec<_>, _>>()?,
            None => {
                below.places.learn(&[]).await;
                let person = self.authority.person()?;
                let place = query.place.iter().flat_map(|place| place.split('/')).filter(|level| !level.is_empty());
                let place: Vec<&str> = place.collect();
                let within = |of: &[String]| of.len() >= place.len() && of.iter().zip(&place).all(|(a, b)| a == b);
                let all = below.places.all().into_iter().map(|(_, camera)| camera);
                all.filter(|camera| person.reaches(camera) && within(&camera.place)).map(|camera| camera.id).collect()
            }
        };
        let rooms = self.reached(&cameras).await?;
        let answers = self.ask_all(rooms, |_, cameras| {
            let mut pairs = self.pairs_but(&["cameras", "place"]);
            pairs.push(("cameras".to_owned(), together::list(cameras)));
            pairs
        });
        let empty = json!({ "from_us": query.from_us, "to_us": query.to_us, "as_of_us": UtcMicros::now().as_micros(),
            "zone": self.authority.node().config.zone_name, "by": query.by, "definitions": ledger::definitions(), "causes": {} });
        Ok(Json(together::ledger(empty, answers.await)).into_response())
    }

    /// Cameras by room, all of them within this person's reach: one outside it does not exist.
    async fn reached(&self, cameras: &[CameraId]) -> Result<BTreeMap<NodeId, Vec<CameraId>>, Refusal> {
        let rooms = self.by_room(cameras).await?;
        motion::within_reach(&self.authority, cameras)?;
        Ok(rooms)
    }

    fn with_cameras(&self, cameras: &[CameraId]) -> Vec<(String, String)> {
        let mut pairs = self.pairs_but(&["cameras"]);
        pairs.push(("cameras".to_owned(), together::list(cameras)));
        pairs
    }
}

/// Begins to watch a room's camera live, when the centre's own access record is durable.
///
/// # Errors
/// 503 if the room cannot be reached; what it says if it says no.
pub(crate) async fn watch(authority: &Authority, stream: StreamId, tier: LiveTier) -> Result<Watching, Refusal> {
    let node = authority.node();
    let missing = || Refusal::not_found("实时画面", "live stream");
    let below = node.below.as_ref().ok_or_else(missing)?;
    let (room, _) = below.places.known(stream.camera).ok_or_else(missing)?;
    let relays = below.relays.get().ok_or_else(missing)?;
    let asker = asker(authority, Some(vec![stream.camera]))?;
    relays.watch(room, asker, stream, tier).await.map_err(|why| match why {
        NotWatching::Unreached(why) => unreached(node, room, why),
        NotWatching::Refused(code, zh, en) => Refusal::said_by_room(&name(node, room), code, words(zh, en)),
    })
}

fn unreached(node: &Shared, room: NodeId, why: Unreached) -> Refusal {
    let (code, words) = said(why.why);
    Refusal::unreached(&name(node, room), code, words)
}

/// What a node below is called.
fn name(centre: &Shared, node: NodeId) -> String {
    let known = centre.below.as_ref().and_then(|below| below.roster.of(node));
    known.map_or_else(|| node.to_string(), |known| known.named.name)
}

/// Who asks, as rooms are told.
///
/// # Errors
/// 403 without a purpose.
pub(crate) fn asker(authority: &Authority, cameras: Option<Vec<CameraId>>) -> Result<Asker, Refusal> {
    let (node, person, purpose) = (authority.node(), authority.person()?, authority.purpose()?);
    Ok(Asker {
        node: node.id,
        node_name: node.config.name.clone(),
        person: person.name.clone(),
        display: person.display.clone(),
        unit: person.unit.clone(),
        login: authority.login()?.id.clone(),
        from: authority.from(),
        category: purpose.category(),
        text: purpose.text().to_owned(),
        case: purpose.case().map(str::to_owned),
        cameras,
    })
}

fn path_and_query(uri: &Uri) -> String {
    uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string)
}

/// Why a room gives nothing: a stable word, and what people read.
pub(crate) fn said(why: No) -> (&'static str, Words) {
    match why {
        No::NoContact | No::UnknownNode => {
            ("room_unreachable", words("目前无法联系，无法调阅", "it cannot be reached now, so nothing of it can be shown"))
        }
        No::Busy => ("room_busy", words("调阅请求过多，正在排队", "too much is asked of it at once")),
        No::Gone | No::Broken => ("room_broke_off", words("传输中断，未完成", "it broke off before the end")),
        No::NotAnswered => (
            "room_other_version",
            words("不支持此项请求，两端软件版本可能不一致", "it does not answer this: the programs may be of different versions"),
        ),
    }
}
