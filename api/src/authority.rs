//! The one authorisation point: who asks, and what they may.
//!
//! Every registered route passes [`Authority::establish`] before its handler runs. A handler that shows pictures asks its
//! [`Authority`] for a permit, names the camera, and gets one only after the access record is durable (I8); the readers of
//! footage and live units accept nothing else. What is outside a person's scope does not exist for them.

use crate::{
    doors::Door,
    headers::{OUR_PAGE, check_sender},
    link::down::FromAbove,
    node::Shared,
    refusal::{Refusal, words},
    sign_in::logins::{Doing, Login},
    sources::Source,
    visit::Visit,
};
use axum::{
    extract::{ConnectInfo, FromRequestParts, Request},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use index::{
    access::{AccessRequest, Action, AdmitError, Denied, Extent, Grant, Permit, Person, Purpose},
    cameras::{Entry, Managed, Removed},
    model::{Camera, CameraId, StreamId, StreamKind, Window},
    site::Located,
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

/// The cookie that a login is. The prefix makes browsers insist on HTTPS, this host and no parent path.
pub const COOKIE: &str = "__Host-haohe";

/// What is known about whoever sent a request.
#[derive(Clone)]
pub struct Authority {
    node: Shared,
    from: IpAddr,
    signed_in: Option<(Arc<Login<Visit>>, Arc<Person>)>,
    source: Option<Arc<Source>>,
}

impl Authority {
    /// Checks the sender, the login and the door.
    ///
    /// # Errors
    /// 401 for nobody, 403 for whoever may not pass.
    pub fn establish(node: &Shared, door: Door, request: &Request) -> Result<Self, Refusal> {
        if let Some(above) = request.extensions().get::<FromAbove>() {
            // What only needs a sign-in, or none, is not for nodes above either.
            let Door::Needs(action) = door else { return Err(Refusal::not_for_centres(&node.config.name)) };
            return Self::from_above(node, action, above);
        }
        // A box is known by its token, which no browser sends by itself.
        if door != Door::Reporter {
            check_sender(request.method(), request.headers())?;
        }
        let from = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let from = from.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip().to_canonical());
        let nobody = Self { node: node.clone(), from, signed_in: None, source: None };
        if door == Door::Anyone || (door == Door::Scraper && shows_token(node, request.headers())) {
            return Ok(nobody);
        }
        if door == Door::Reporter {
            let source = bearer(request.headers()).and_then(|token| node.sources.find(token)).ok_or_else(Refusal::signed_out)?;
            return Ok(Self { source: Some(source), ..nobody });
        }
        let doing = doing(request.headers());
        let login = cookie(request.headers()).and_then(|cookie| node.logins.find(cookie, doing));
        let login = login.ok_or_else(Refusal::signed_out)?;
        // Rights are looked up anew for each request: they may have been taken away since.
        let Some(person) = node.person(&login.person) else {
            node.logins.end(&login.id);
            return Err(Refusal::signed_out());
        };
        match door {
            Door::Anyone | Door::SignedIn | Door::Reporter => {}
            Door::Settled if person.must_change_password => return Err(Refusal::password_change_due()),
            Door::Settled => {}
            Door::Needs(action) => drop(person.may(action, None).map_err(denied)?),
            Door::Scraper => drop(person.may(Action::ReadMetrics, None).map_err(denied)?),
        }
        Ok(Self { signed_in: Some((login, Arc::new(person))), ..nobody })
    }

    /// Somebody whom a centre above asks for: what this node allows to nodes above, for the cameras that the centre grants.
    ///
    /// # Errors
    /// 403 for what is not allowed.
    pub fn from_above(node: &Shared, action: Action, above: &FromAbove) -> Result<Self, Refusal> {
        if !above.allowed.contains(&action) {
            return Err(Refusal::not_for_centres(&node.config.name));
        }
        drop(above.person.may(action, None).map_err(denied)?);
        let signed_in = Some((Arc::clone(&above.login), Arc::clone(&above.person)));
        Ok(Self { node: node.clone(), from: above.from, signed_in, source: None })
    }

    /// The node that was asked.
    #[must_use]
    pub fn node(&self) -> &Shared {
        &self.node
    }

    /// From where.
    #[must_use]
    pub fn from(&self) -> IpAddr {
        self.from
    }

    /// Who is signed in.
    ///
    /// # Errors
    /// 401 on routes that anyone may pass, when nobody is.
    pub fn person(&self) -> Result<&Arc<Person>, Refusal> {
        self.signed_in.as_ref().map(|(_, person)| person).ok_or_else(Refusal::signed_out)
    }

    /// Their login.
    ///
    /// # Errors
    /// As [`Authority::person`].
    pub fn login(&self) -> Result<&Arc<Login<Visit>>, Refusal> {
        self.signed_in.as_ref().map(|(login, _)| login).ok_or_else(Refusal::signed_out)
    }

    /// The analytics box that asks.
    ///
    /// # Errors
    /// 401 if it is none.
    pub fn source(&self) -> Result<Arc<Source>, Refusal> {
        self.source.clone().ok_or_else(Refusal::signed_out)
    }

    /// The same person's authority now, for whatever lasts longer than a request: rights may have been taken away.
    ///
    /// # Errors
    /// 401 if they are signed out, 403 if they may no longer search.
    pub fn renewed(&self) -> Result<Self, Refusal> {
        let login = self.login()?;
        let person = self.node.person(&login.person).filter(|_| !login.ended.is_cancelled()).ok_or_else(Refusal::signed_out)?;
        drop(person.may(Action::Search, None).map_err(denied)?);
        Ok(Self { signed_in: Some((login.clone(), Arc::new(person))), ..self.clone() })
    }

    /// Writes the record of a search for events and waits until it is durable. A search that only follows the clock is written once.
    ///
    /// # Errors
    /// 403 without the right or a purpose; 503 if the record cannot be written, for then nothing may be shown.
    pub async fn note_search(&self, window: Window, question: String) -> Result<(), Refusal> {
        let grant = self.grant(Action::Search, &[], None)?;
        let extent = Extent::recorded([], window);
        let login = self.login()?;
        let request = AccessRequest { login: login.id.clone(), from: self.from, extent, purpose: self.purpose()? };
        if login.belongings.has_searched(&question, window) {
            return Ok(());
        }
        let (send, receive) = tokio::sync::oneshot::channel();
        self.node.register.note_search_then(grant, request, question.clone(), move |result| drop(send.send(result)));
        match receive.await {
            Ok(Ok(_)) => {
                login.belongings.searched(question, window);
                Ok(())
            }
            Ok(Err(error)) => Err(not_admitted(&AdmitError::Journal(error))),
            Err(_) => Err(register_closed()),
        }
    }

    /// The cameras this person may list, by number.
    ///
    /// # Errors
    /// As [`Authority::person`].
    pub fn cameras(&self) -> Result<Vec<Entry>, Refusal> {
        let person = self.person()?;
        if let Some(site) = &self.node.site {
            let view = site.view();
            let mine = view.list().filter(|located| person.may(Action::ListCameras, Some(&located.camera)).is_ok());
            return Ok(mine.map(|located| entry_below(located)).collect());
        }
        let mut cameras = self.node.catalogue.list();
        cameras.retain(|entry| person.may(Action::ListCameras, Some(&entry.camera)).is_ok());
        Ok(cameras)
    }

    /// The cameras that are no longer recorded and whose footage this person may know of, by number.
    ///
    /// # Errors
    /// As [`Authority::person`].
    pub fn removed_cameras(&self) -> Result<Vec<Removed>, Refusal> {
        let person = self.person()?;
        let mut removed = match &self.node.site {
            Some(site) => site.view().removed().filter_map(|gone| removed_below(gone)).collect(),
            None => self.node.catalogue.removed(),
        };
        removed.retain(|gone| person.may(Action::ListCameras, Some(&gone.camera)).is_ok());
        Ok(removed)
    }

    /// One camera, if it exists for this person; also one that is no longer recorded.
    ///
    /// # Errors
    /// 404 for a camera that does not, or stands outside their scope.
    pub fn camera(&self, id: CameraId) -> Result<Camera, Refusal> {
        let camera = self.node.camera_ever(id).filter(|camera| self.person().is_ok_and(|person| person.reaches(camera)));
        camera.ok_or_else(|| Refusal::not_found("该摄像机", "camera"))
    }

    /// Whether the person may do this with these cameras. A refused look at pictures is noted in the register.
    ///
    /// # Errors
    /// 403 with the reason.
    pub fn grant(&self, action: Action, cameras: &[&Camera], extent: Option<&Extent>) -> Result<Grant, Refusal> {
        let person = self.person()?;
        person.may_all(action, cameras).map_err(|why| {
            if let (Some(extent), Ok(login)) = (extent, self.login()) {
                self.node.register.refuse(action, person, login.id.clone(), self.from, extent, why);
            }
            denied(why)
        })
    }

    /// As [`Authority::grant`], for the cameras of an extent. A camera outside the scope is noted, and does not exist.
    ///
    /// # Errors
    /// 403 with the reason, 404.
    pub fn grant_media(&self, action: Action, extent: &Extent) -> Result<Grant, Refusal> {
        let known = |id| self.node.camera_ever(id).ok_or_else(|| Refusal::not_found("该摄像机", "camera"));
        let cameras = extent.cameras().into_iter().map(known).collect::<Result<Vec<_>, _>>()?;
        self.grant(action, &cameras.iter().collect::<Vec<_>>(), Some(extent))
    }

    /// The purpose this person declared.
    ///
    /// # Errors
    /// 403 `purpose_missing` before they did.
    pub fn purpose(&self) -> Result<Purpose, Refusal> {
        self.login()?.belongings.purpose().ok_or_else(Refusal::purpose_missing)
    }

    /// A permit of its own: writes the access record, waits until it is durable, and gives the right to read.
    ///
    /// # Errors
    /// 403 without the right or a purpose; 404 for cameras that do not exist for them; 503 if the record cannot be
    /// written, for then nothing may be shown.
    pub async fn admit(&self, action: Action, extent: Extent, purpose: Purpose) -> Result<Permit, Refusal> {
        let grant = self.grant_media(action, &extent)?;
        let request = AccessRequest { login: self.login()?.id.clone(), from: self.from, extent, purpose };
        let (send, receive) = tokio::sync::oneshot::channel();
        self.node.register.admit_then(grant, request, move |result| drop(send.send(result)));
        match receive.await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(error)) => Err(not_admitted(&error)),
            Err(_) => Err(register_closed()),
        }
    }

    /// The permit for a window of recorded footage of one stream: the one that is open for it, or a new one.
    ///
    /// # Errors
    /// As [`Authority::admit`].
    pub async fn recorded(&self, action: Action, stream: StreamId, window: Window) -> Result<Arc<Permit>, Refusal> {
        self.open(action, stream, window, |extent| extent.covers(stream, window)).await
    }

    /// As [`Authority::recorded`], where an open access to part of the window is enough: for one fragment at its edge.
    ///
    /// # Errors
    /// As [`Authority::admit`].
    pub async fn recorded_touching(&self, action: Action, stream: StreamId, window: Window) -> Result<Arc<Permit>, Refusal> {
        self.open(action, stream, window, |extent| extent.touches(stream, window)).await
    }

    async fn open(
        &self,
        action: Action,
        stream: StreamId,
        window: Window,
        enough: impl Fn(&Extent) -> bool,
    ) -> Result<Arc<Permit>, Refusal> {
        let purpose = self.purpose()?;
        let extent = Extent::recorded([stream], window);
        // Asked on every request: the right may be gone although an access is still open.
        drop(self.grant_media(action, &extent)?);
        let visit = &self.login()?.belongings;
        match visit.find(action, enough) {
            Some(permit) => Ok(permit),
            None => Ok(visit.keep(self.admit(action, extent, purpose).await?)),
        }
    }

    /// The stream of a camera that a request names, if the camera has it. Whether the person may see it is asked by the
    /// permit that follows, so that a refusal is noted with the time it was about.
    ///
    /// # Errors
    /// 404 if not.
    pub fn stream(&self, camera: CameraId, kind: StreamKind) -> Result<StreamId, Refusal> {
        let camera_of = self.node.camera_ever(camera).ok_or_else(|| Refusal::not_found("该摄像机", "camera"))?;
        if camera_of.address(kind).is_none() {
            // The same words as for a camera that does not exist: which streams one outside the scope has is nobody's business.
            return Err(Refusal::not_found("该摄像机", "camera"));
        }
        Ok(StreamId::new(camera, kind))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Authority {
    type Rejection = Refusal;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        // Absent only on a route registered past `Doors`, which then answers nobody.
        parts.extensions.get::<Self>().cloned().ok_or_else(Refusal::signed_out)
    }
}

/// A camera of a node below, as this centre lists it.
fn entry_below(located: &Located) -> Entry {
    let (camera, initials) = (located.camera.clone(), located.initials.clone());
    Entry { camera, managed: Managed::Below, has_password: false, verdict: None, initials }
}

fn removed_below(located: &Located) -> Option<Removed> {
    Some(Removed { camera: located.camera.clone(), at: located.removed? })
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Whether a request is a person's doing. The page says so while somebody uses its machine, and scripts may; what polls or plays on
/// by itself does not keep a login from going idle.
fn doing(headers: &HeaderMap) -> Doing {
    if headers.get(OUR_PAGE).is_some_and(|value| value == "1") { Doing::Person } else { Doing::Machine }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "))
}

fn shows_token(node: &Shared, headers: &HeaderMap) -> bool {
    match (&node.config.metrics_token, bearer(headers)) {
        // Comparing digests takes the same time wherever they differ.
        (Some(token), Some(shown)) => blake3::hash(token.expose().as_bytes()) == blake3::hash(shown.as_bytes()),
        _ => false,
    }
}

/// What the policy's no means to the person.
fn denied(why: Denied) -> Refusal {
    match why {
        Denied::PasswordMustChange => Refusal::password_change_due(),
        Denied::Scope(_) => Refusal::not_found("该摄像机", "camera"),
        Denied::Room(no) => Refusal::room_denied(no),
        Denied::AuditorApart | Denied::Role(_) | Denied::WholeSite(_) => Refusal::not_allowed(why.to_string()).on(why.code()),
    }
}

fn not_admitted(error: &AdmitError) -> Refusal {
    match error {
        AdmitError::Extent => Refusal::bad_request(error.to_string()),
        AdmitError::Journal(cause) => {
            tracing::error!(error = %cause, "no access record could be written, so no pictures are shown");
            register_closed()
        }
        _ => Refusal::failed("admit", error),
    }
}

fn register_closed() -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "register_unavailable",
        words(
            "调阅登记无法写入，因此视频暂不可查看；录像继续",
            "The access register cannot be written, so no pictures are shown; recording goes on",
        ),
        words("请管理员检查状态目录所在磁盘", "An administrator checks the disk of the state directory"),
    )
}
