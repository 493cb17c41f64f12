//! The lower node's side: requests from above, answered by the node's own router, part by part.

use super::{
    Asker, MAX_BODY, No, Reply, Request, Say,
    bodies::{Bodies, Part, Ranked, Sending, lock},
    budget::{Budget, Rank},
    live::{Feeds, Watches},
};
use crate::{node::Shared, sign_in::logins::Login, visit::Visit};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request as HttpRequest, header},
};
use bytes::Bytes;
use futures::StreamExt;
use index::{
    access::{Action, Person, Role, Scope},
    model::{NodeId, StreamId},
};
use ingest::LiveTier;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt;

/// People of centres above who are remembered, and for how long after their last request: their open accesses with them.
const MAX_VISITORS: usize = 1024;
const VISIT: Duration = Duration::from_mins(5);
/// The headers that go back; others speak of this node's own connections.
const TOLD: [&str; 8] = [
    "content-type",
    "content-length",
    "content-range",
    "content-disposition",
    "accept-ranges",
    "etag",
    "cache-control",
    "retry-after",
];

/// Whoever a centre asks for, beside a request: put there by this module alone, and believed by [`crate::authority`].
#[derive(Clone)]
pub struct FromAbove {
    /// What stands for their login here.
    pub login: Arc<Login<Visit>>,
    /// They, with the rights that the centre and this node grant them.
    pub person: Arc<Person>,
    /// From where they are signed in at the centre.
    pub from: IpAddr,
    /// What this node allows to nodes above at all.
    pub allowed: Arc<[Action]>,
}

/// See the module.
pub struct Answers {
    node: NodeId,
    router: Router,
    allowed: Arc<[Action]>,
    cameras: Box<dyn Fn() -> Vec<u8> + Send + Sync>,
    bodies: Bodies,
    feeds: Feeds,
    /// Who watches live; `None` where there are no cameras.
    watches: Option<Watches>,
    visitors: Mutex<HashMap<(NodeId, String), Visitor>>,
}

struct Visitor {
    login: Arc<Login<Visit>>,
    used: Instant,
}

impl Answers {
    /// What a node answers: by its router, whose routes check rights themselves, and never more than `allowed`. `cameras` lists what is
    /// recorded here, as JSON.
    pub fn new(
        node: NodeId,
        router: Router,
        allowed: Vec<Action>,
        cameras: impl Fn() -> Vec<u8> + Send + Sync + 'static,
        budget: &Arc<Budget>,
    ) -> Self {
        Self {
            node,
            router,
            allowed: allowed.into(),
            cameras: Box::new(cameras),
            bodies: Bodies::new(Arc::clone(budget)),
            feeds: Feeds::new(Arc::clone(budget)),
            watches: None,
            visitors: Mutex::default(),
        }
    }

    /// The same, and this node's cameras may be watched live.
    #[must_use]
    pub fn with_live(self, node: Shared) -> Self {
        Self { watches: Some(Watches::new(node)), ..self }
    }

    /// Answers within a time. May be dropped: what was read then is kept.
    pub async fn answer(&self, say: Say, within: Duration) -> (Reply, Bytes) {
        let until = Instant::now() + within;
        let answered = match say {
            Say::Open { handle, asker, request } => self.open(handle, &asker, *request, until).await,
            Say::Next { handle, from } => self.next(handle, from, until).await,
            Say::Close { handle } => {
                self.bodies.close(handle);
                self.feeds.close(handle);
                Ok((Reply::Closed, Bytes::new()))
            }
            Say::Watch { handle, asker, stream } => self.watch(handle, &asker, stream).await.map(|reply| (reply, Bytes::new())),
            Say::Keep { watching } => {
                let all = watching.iter().map(|(handle, _)| *handle).collect();
                let gone = self.watches.as_ref().map_or(all, |watches| watches.keep(watching));
                Ok((Reply::Kept { gone }, Bytes::new()))
            }
            Say::Leave { handle, bytes } => {
                self.watches.iter().for_each(|watches| watches.leave(handle, bytes));
                Ok((Reply::Closed, Bytes::new()))
            }
            Say::Live { handle, stream, key, from } => match &self.watches {
                Some(watches) if watches.is_watched(stream) => {
                    let tier = if key { LiveTier::Key } else { LiveTier::Full };
                    self.feeds.part((handle, from), (stream, tier), until, || watches.open(stream, tier)).await
                }
                _ => {
                    self.feeds.close(handle);
                    Err(No::Gone)
                }
            },
            Say::Cameras => Ok((Reply::Cameras, Bytes::from((self.cameras)()))),
        };
        answered.unwrap_or_else(|why| (Reply::No { by: self.node, why }, Bytes::new()))
    }

    /// Gives up what nobody asks for any more: bodies, and the accesses of people who left. Called now and then.
    pub fn sweep(&self) {
        self.bodies.sweep();
        self.feeds.sweep();
        self.watches.iter().for_each(Watches::sweep);
        lock(&self.visitors).retain(|_, visitor| visitor.used.elapsed() < VISIT);
        let present: Vec<_> = lock(&self.visitors).values().map(|visitor| Arc::clone(&visitor.login)).collect();
        present.iter().for_each(|login| login.belongings.sweep());
    }

    async fn open(&self, handle: u64, asker: &Asker, request: Request, until: Instant) -> Result<(Reply, Bytes), No> {
        let kept = self.bodies.kept(handle)?;
        // Whoever asks again while the first answer is being made waits for it (D3).
        let mut sending = timeout_at(until, kept.sending.lock()).await.map_err(|_| No::Busy)?;
        if sending.is_none() {
            let rank = rank(&request);
            let request = self.request(asker, request)?;
            let Ok(response) = self.router.clone().oneshot(request).await;
            let (head, body) = response.into_parts();
            let source = body.into_data_stream().map(|piece| piece.map_err(drop)).boxed();
            *sending = Some(Sending::new(head.status.as_u16(), told(&head.headers), source, Ranked::new(rank)));
        }
        let Some(sending) = sending.as_mut() else { return Err(No::Gone) };
        let Part { bytes, end, waits } = self.bodies.part(sending, 0, until).await?;
        Ok((Reply::Opened { status: sending.status, headers: sending.headers.clone(), end, waits }, bytes))
    }

    async fn next(&self, handle: u64, from: u64, until: Instant) -> Result<(Reply, Bytes), No> {
        let kept = self.bodies.find(handle)?;
        let mut sending = timeout_at(until, kept.sending.lock()).await.map_err(|_| No::Busy)?;
        let Part { bytes, end, waits } = self.bodies.part(sending.as_mut().ok_or(No::Gone)?, from, until).await?;
        Ok((Reply::Part { from, end, waits }, bytes))
    }

    async fn watch(&self, handle: u64, asker: &Asker, stream: StreamId) -> Result<Reply, No> {
        let watches = self.watches.as_ref().ok_or(No::NotAnswered)?;
        watches.begin(handle, &self.visitor(asker)?, stream).await
    }

    fn request(&self, asker: &Asker, wanted: Request) -> Result<HttpRequest<Body>, No> {
        let method = match wanted.method.as_str() {
            "GET" => Method::GET,
            "POST" => Method::POST,
            _ => return Err(No::NotAnswered),
        };
        if !wanted.uri.starts_with("/api/v1/") || wanted.body.len() > MAX_BODY {
            return Err(No::NotAnswered);
        }
        let mut request = HttpRequest::new(Body::from(wanted.body));
        *request.method_mut() = method;
        *request.uri_mut() = wanted.uri.parse().map_err(|_| No::NotAnswered)?;
        for (name, value) in [(header::RANGE, wanted.range), (header::IF_RANGE, wanted.if_range)] {
            if let Some(value) = value {
                request.headers_mut().insert(name, HeaderValue::from_str(&value).map_err(|_| No::NotAnswered)?);
            }
        }
        request.extensions_mut().insert(self.visitor(asker)?);
        Ok(request)
    }

    /// Who asks, as this node knows them: an operator of the centre above, for what that centre grants them.
    fn visitor(&self, asker: &Asker) -> Result<FromAbove, No> {
        let purpose = asker.purpose().map_err(|_| No::NotAnswered)?;
        let name = format!("{}@{}", asker.person, asker.node_name);
        let login = {
            let mut visitors = lock(&self.visitors);
            let key = (asker.node, asker.login.clone());
            if visitors.len() >= MAX_VISITORS
                && !visitors.contains_key(&key)
                && let Some(oldest) = visitors.iter().min_by_key(|(_, visitor)| visitor.used).map(|(key, _)| key.clone())
            {
                visitors.remove(&oldest);
            }
            let visitor = visitors.entry(key).or_insert_with(|| Visitor {
                login: Arc::new(Login::apart(asker.login.clone(), name.clone(), asker.from)),
                used: Instant::now(),
            });
            visitor.used = Instant::now();
            Arc::clone(&visitor.login)
        };
        login.belongings.declare(purpose);
        let scopes = match &asker.cameras {
            None => vec![Scope::Everything],
            Some(cameras) => cameras.iter().copied().map(Scope::Camera).collect(),
        };
        let person = Person {
            name,
            display: asker.display.clone(),
            unit: if asker.unit.is_empty() { asker.node_name.clone() } else { asker.unit.clone() },
            roles: [Role::Operator].into(),
            scopes,
            must_change_password: false,
        };
        Ok(FromAbove { login, person: Arc::new(person), from: asker.from, allowed: Arc::clone(&self.allowed) })
    }
}

/// How urgent the answer to a request is.
fn rank(request: &Request) -> Rank {
    match request.uri.trim_start_matches("/api/v1/").split(['/', '?']).next() {
        Some("fragments" | "footage") => Rank::Playback,
        Some("stills" | "key-units") => Rank::Picture,
        Some("exports") => Rank::Export,
        _ => Rank::Word,
    }
}

fn told(headers: &HeaderMap) -> Vec<(String, String)> {
    let wanted = |name: &str| TOLD.contains(&name) || name.starts_with("x-haohe-");
    let told = headers.iter().filter(|(name, _)| wanted(name.as_str()));
    told.filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))).collect()
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answers").field("node", &self.node).finish_non_exhaustive()
    }
}
