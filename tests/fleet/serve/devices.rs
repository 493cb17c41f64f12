//! The device services of a fleet's cameras: one HTTP listener for all of them, on a thread of its own.
//!
//! `POST /cam/3/onvif/…` is camera 3's. What is wrong with a camera is wrong with its service: one that is offline closes connections, one
//! that is half open says nothing, and one whose service died (`device-dead`) takes connections, says nothing, and has forgotten everybody
//! when it is back, while its pictures go on.

use super::{Shared, camera::CameraState};
use crate::{
    auth::Challenge,
    device::{Answer, Asked, Device, envelope},
    rtsp::{MAX_BODY, MAX_HEAD, Reply, Request},
    scene::What,
    spec::Auth,
};
use index::model::{StreamKind, UtcMicros};
use std::{
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{LocalSet, spawn_local},
    time::{Instant, sleep},
};

/// How often a pull that waits looks whether something happened: a picture's time.
const LOOK: Duration = Duration::from_millis(40);

/// The services, and where they listen.
pub(super) struct Devices {
    shared: Arc<Shared>,
    address: SocketAddr,
    all: Vec<Mutex<Device>>,
    challenge: Challenge,
}

impl Devices {
    pub(super) fn new(shared: Arc<Shared>, address: SocketAddr) -> Self {
        let all = (0..shared.spec.pull_points).map(|_| Mutex::default()).collect();
        let challenge = Challenge::new(shared.spec.seed ^ 0x0f1f);
        Self { shared, address, all, challenge }
    }

    /// Serves until the fleet stops.
    pub(super) fn run(self, listener: TcpListener) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else {
            tracing::error!("no runtime for the device services");
            return;
        };
        let devices = Rc::new(self);
        LocalSet::new().block_on(&runtime, async move {
            let stop = devices.shared.stop.clone();
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            let accept = async {
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => drop(spawn_local(Rc::clone(&devices).serve(stream))),
                        Err(_) => sleep(LOOK).await,
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = accept => {}
            }
        });
    }

    /// One connection: question after question.
    async fn serve(self: Rc<Self>, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        while let Some((request, body)) = read(&mut stream, &mut bytes).await {
            let Some(reply) = self.reply(&request, &body).await else { return };
            if stream.write_all(&reply).await.is_err() {
                return;
            }
        }
    }

    /// The answer as it is sent; `None` closes the connection.
    async fn reply(&self, request: &Request, body: &str) -> Option<Vec<u8>> {
        let path = request.path();
        let mut parts = path.split('/');
        let number = match (parts.next(), parts.next()) {
            (Some("cam"), Some(number)) => number.parse::<u32>().ok(),
            _ => None,
        };
        let found = number.and_then(|number| Some((number, self.shared.camera(number)?, self.all.get(number as usize - 1)?)));
        let Some((number, camera, device)) = found else { return Some(http(404, "", "")) };
        let effects = camera.effects();
        if effects.offline {
            return None;
        }
        if effects.half_open || effects.device_dead {
            self.dead(camera, device).await;
            return None;
        }
        let digest = number.is_multiple_of(2);
        let auth = if effects.wrong_password { &refusing() } else { &self.shared.spec.auth };
        if digest && !body.contains("GetSystemDateAndTime") && !self.challenge.admits(auth, request) {
            let asked = self.challenge.ask(&self.shared.spec.auth, Reply::new(401));
            let proof = asked.headers.into_iter().find(|(name, _)| name == "WWW-Authenticate").map(|(_, value)| value);
            let proof = proof.map(|proof| format!("WWW-Authenticate: {proof}\r\n")).unwrap_or_default();
            return Some(http(401, &proof, ""));
        }
        let here = format!("http://{}/cam/{number}/onvif", self.address);
        let ahead = effects.clock_offset;
        let now = || UtcMicros::from_micros(UtcMicros::now().as_micros() + ahead);
        let place = path.rsplit('/').next().unwrap_or_default();
        let auth = if digest { &Auth::Open } else { auth };
        let answer = lock(device).answer(&Asked { place, envelope: body, here: &here, now: now(), auth });
        let (status, text) = match answer {
            Answer::Now(status, text) => (status, text),
            Answer::Pull { subscription, after, wait, most } => {
                let deadline = Instant::now() + wait;
                let after = UtcMicros::from_micros(after.as_micros() - ahead);
                let (events, to) = loop {
                    if camera.effects().device_dead {
                        self.dead(camera, device).await;
                        return None;
                    }
                    let to = UtcMicros::now();
                    let mut events = self.happened(camera, after, to);
                    if events.len() > most {
                        events.truncate(most);
                        let last = events.last().map_or(to, |(at, _)| *at);
                        break (events, last);
                    }
                    if !events.is_empty() || Instant::now() >= deadline {
                        break (events, to);
                    }
                    sleep(LOOK).await;
                };
                let told = |at: UtcMicros| UtcMicros::from_micros(at.as_micros() + ahead);
                let events: Vec<_> = events.into_iter().map(|(at, what)| (told(at), what)).collect();
                match lock(device).pulled(subscription, &events, now(), told(to)) {
                    Answer::Now(status, text) => (status, text),
                    Answer::Pull { .. } => return None,
                }
            }
        };
        Some(http(status, "Content-Type: application/soap+xml; charset=utf-8\r\n", &envelope(&text)))
    }

    /// Says nothing for as long as the service is dead.
    async fn dead(&self, camera: &CameraState, device: &Mutex<Device>) {
        while !self.shared.stop.is_cancelled() {
            let effects = camera.effects();
            if !effects.device_dead && !effects.half_open {
                break;
            }
            if effects.device_dead {
                lock(device).forget();
            }
            sleep(LOOK).await;
        }
    }

    /// What happened before a camera after one instant and up to another.
    fn happened(&self, camera: &CameraState, after: UtcMicros, to: UtcMicros) -> Vec<(UtcMicros, What)> {
        let Some(truth) = &camera.truth else { return Vec::new() };
        let rate = u64::from(camera.main.packets.spec.frames_per_second);
        let micros = |at: UtcMicros| at.since(self.shared.zero).as_micros() as u64;
        let first = micros(after).saturating_sub(camera.phase) * rate / 1_000_000;
        let timed = (first..).map(|counter| (counter, self.shared.utc(camera.taken_at(StreamKind::Main, counter))));
        timed
            .take_while(|(_, at)| *at <= to)
            .filter(|(_, at)| *at > after)
            .flat_map(|(counter, at)| truth.happenings(counter + camera.shift).iter().map(move |what| (at, what.clone())))
            .collect()
    }
}

fn lock(device: &Mutex<Device>) -> std::sync::MutexGuard<'_, Device> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What no password fits.
fn refusing() -> Auth {
    let nobody = String::new();
    Auth::Digest { user: nobody.clone(), password: nobody, algorithm: crate::spec::DigestAlgorithm::Md5 }
}

fn http(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} x\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The next request and its body; `None` when there is none, or it is no HTTP.
async fn read(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<(Request, String)> {
    loop {
        if let Some(head) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            let request = Request::http(std::str::from_utf8(&bytes[..head]).ok()?)?;
            let length: usize = request.header("Content-Length").map_or(Some(0), |length| length.parse().ok())?;
            if length > MAX_BODY {
                return None;
            }
            if bytes.len() >= head + 4 + length {
                let body = String::from_utf8(bytes[head + 4..head + 4 + length].to_vec()).ok()?;
                bytes.drain(..head + 4 + length);
                return Some((request, body));
            }
        } else if bytes.len() > MAX_HEAD {
            return None;
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}
