//! The lower node's side: requests from above, answered by the node's own router, part by part.

use super::{Asker, MAX_BODY, MAX_PART, No, Reply, Request, Say};
use crate::{sign_in::logins::Login, visit::Visit};
use axum::{
    Router,
    body::{Body, BodyDataStream},
    http::{HeaderMap, HeaderValue, Method, Request as HttpRequest, header},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use index::{
    access::{Action, Person, Role, Scope},
    model::NodeId,
};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt;

/// Bodies under way; each holds a part and what its source gave in one piece.
const MAX_BODIES: usize = 96;
/// A body that nobody asks on for so long is given up.
const IDLE: Duration = Duration::from_secs(30);
/// People of centres above who are remembered, and for how long after their last request: their open accesses with them.
const MAX_VISITORS: usize = 1024;
const VISIT: Duration = Duration::from_mins(5);
/// What is there goes when nothing more comes for so long.
const GATHER: Duration = Duration::from_millis(20);
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
    bodies: Mutex<HashMap<u64, Arc<Kept>>>,
    visitors: Mutex<HashMap<(NodeId, String), Visitor>>,
}

struct Visitor {
    login: Arc<Login<Visit>>,
    used: Instant,
}

/// A body under way.
struct Kept {
    used: Mutex<Instant>,
    /// `None` until its request is answered.
    sending: tokio::sync::Mutex<Option<Sending>>,
}

/// An answer and how much of it went.
struct Sending {
    status: u16,
    headers: Vec<(String, String)>,
    source: Option<BodyDataStream>,
    /// What the source gave and no part took.
    rest: Bytes,
    /// The newest part and where it begins (D1).
    part: (u64, Bytes),
    broken: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Answers {
    /// What a node answers: by its router, whose routes check rights themselves, and never more than `allowed`. `cameras` lists what is
    /// recorded here, as JSON.
    pub fn new(
        node: NodeId,
        router: Router,
        allowed: Vec<Action>,
        cameras: impl Fn() -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self {
            node,
            router,
            allowed: allowed.into(),
            cameras: Box::new(cameras),
            bodies: Mutex::default(),
            visitors: Mutex::default(),
        }
    }

    /// Answers within a time. May be dropped: what was read then is kept.
    pub async fn answer(&self, say: Say, within: Duration) -> (Reply, Bytes) {
        let until = Instant::now() + within;
        let answered = match say {
            Say::Open { handle, asker, request } => self.open(handle, &asker, *request, until).await,
            Say::Next { handle, from } => self.next(handle, from, until).await,
            Say::Close { handle } => {
                lock(&self.bodies).remove(&handle);
                Ok((Reply::Closed, Bytes::new()))
            }
            Say::Cameras => Ok((Reply::Cameras, Bytes::from((self.cameras)()))),
        };
        answered.unwrap_or_else(|why| (Reply::No { by: self.node, why }, Bytes::new()))
    }

    /// Gives up what nobody asks for any more: bodies, and the accesses of people who left. Called now and then.
    pub fn sweep(&self) {
        lock(&self.bodies).retain(|_, kept| lock(&kept.used).elapsed() < IDLE);
        lock(&self.visitors).retain(|_, visitor| visitor.used.elapsed() < VISIT);
        let present: Vec<_> = lock(&self.visitors).values().map(|visitor| Arc::clone(&visitor.login)).collect();
        present.iter().for_each(|login| login.belongings.sweep());
    }

    async fn open(&self, handle: u64, asker: &Asker, request: Request, until: Instant) -> Result<(Reply, Bytes), No> {
        let kept = self.kept(handle)?;
        // Whoever asks again while the first answer is being made waits for it (D3).
        let mut sending = timeout_at(until, kept.sending.lock()).await.map_err(|_| No::Busy)?;
        if sending.is_none() {
            let request = self.request(asker, request)?;
            let Ok(response) = self.router.clone().oneshot(request).await;
            let (head, body) = response.into_parts();
            *sending = Some(Sending {
                status: head.status.as_u16(),
                headers: told(&head.headers),
                source: Some(body.into_data_stream()),
                rest: Bytes::new(),
                part: (0, Bytes::new()),
                broken: false,
            });
        }
        let Some(sending) = sending.as_mut() else { return Err(No::Gone) };
        let (bytes, end) = sending.part(0, until).await?;
        Ok((Reply::Opened { status: sending.status, headers: sending.headers.clone(), end }, bytes))
    }

    async fn next(&self, handle: u64, from: u64, until: Instant) -> Result<(Reply, Bytes), No> {
        let kept = lock(&self.bodies).get(&handle).cloned().ok_or(No::Gone)?;
        *lock(&kept.used) = Instant::now();
        let mut sending = timeout_at(until, kept.sending.lock()).await.map_err(|_| No::Busy)?;
        let (bytes, end) = sending.as_mut().ok_or(No::Gone)?.part(from, until).await?;
        Ok((Reply::Part { from, end }, bytes))
    }

    /// The place of a body: its own, or one that is made now (D2).
    fn kept(&self, handle: u64) -> Result<Arc<Kept>, No> {
        let mut bodies = lock(&self.bodies);
        if let Some(kept) = bodies.get(&handle) {
            *lock(&kept.used) = Instant::now();
            return Ok(Arc::clone(kept));
        }
        if bodies.len() >= MAX_BODIES {
            bodies.retain(|_, kept| lock(&kept.used).elapsed() < IDLE);
        }
        if bodies.len() >= MAX_BODIES {
            return Err(No::Busy);
        }
        let kept = Arc::new(Kept { used: Mutex::new(Instant::now()), sending: tokio::sync::Mutex::default() });
        bodies.insert(handle, Arc::clone(&kept));
        Ok(kept)
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

impl Sending {
    /// The part from a place on, and whether it is the last: the newest again, or the one after it. Empty if nothing comes in time.
    async fn part(&mut self, from: u64, until: Instant) -> Result<(Bytes, bool), No> {
        let (begins, length) = (self.part.0, self.part.1.len() as u64);
        if from == begins && length > 0 {
            return Ok((self.part.1.clone(), self.is_over()));
        }
        if from != begins + length {
            return Err(No::Gone);
        }
        let mut part = BytesMut::new();
        while part.len() < MAX_PART && (self.source.is_some() || !self.rest.is_empty()) {
            if self.rest.is_empty() {
                let patience = if part.is_empty() { until } else { until.min(Instant::now() + GATHER) };
                let Some(source) = &mut self.source else { break };
                match timeout_at(patience, source.next()).await {
                    Ok(Some(Ok(piece))) => self.rest = piece,
                    Ok(Some(Err(_))) => (self.broken, self.source) = (true, None),
                    Ok(None) => self.source = None,
                    Err(_) => break,
                }
            }
            let taken = self.rest.len().min(MAX_PART - part.len());
            part.extend_from_slice(&self.rest.split_to(taken));
        }
        // What came before it broke is worth having.
        if self.broken && part.is_empty() {
            return Err(No::Broken);
        }
        self.part = (from, part.freeze());
        Ok((self.part.1.clone(), self.is_over()))
    }

    fn is_over(&self) -> bool {
        self.source.is_none() && self.rest.is_empty() && !self.broken
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
