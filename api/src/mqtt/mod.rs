//! Events of analytics boxes from an MQTT broker: off unless configured.
//!
//! A message is the same JSON batch as the body of `POST /api/v1/events` and goes through the same door: a topic belongs to one configured
//! source, under whose name, scope and rate its events are taken, identity data is refused and counted, and the source's own number keeps
//! an event from being kept twice. A message is acknowledged when the journal has it durably and not before, and one that comes too fast
//! waits: the broker holds what is not acknowledged, across our restarts too. A broker is as hostile as a camera: sizes are bounded, its
//! address must be in a configured network and is pinned, and TLS believes one configured authority.

mod core;

use self::core::{Action, Core, Fate, Message, Timer, Wish};
use crate::{
    node::Shared,
    reports::{self, Batch, Door, Taken},
    sources::Source,
};
use index::model::{Secret, UtcMicros};
use ingest::AddressPolicy;
use rustls::pki_types::ServerName;
use serde_json::Value;
use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant as At, sleep, sleep_until, timeout},
};

/// How long it may take to reach the broker, and to shake hands.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first and the longest wait before the broker is tried again.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How long a batch waits that could not be written now.
const BUSY: Duration = Duration::from_secs(1);
/// Far enough away to be never.
const NEVER: Duration = Duration::from_secs(86_400 * 365);

/// The broker as the configuration names it.
#[derive(Clone, Debug)]
pub struct MqttConfig {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whose certificate is believed, in PEM; `None`: no TLS, which is for this machine itself only.
    pub authority: Option<Vec<u8>>,
    /// In which networks it may be.
    pub allow: AddressPolicy,
    /// What it knows this node by; `None`: by the node's own number.
    pub client_id: Option<String>,
    /// How this node signs in there.
    pub user: Option<(String, Secret)>,
    /// Which topic is which source's.
    pub topics: Vec<(String, String)>,
}

/// Why nothing comes from the broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Away {
    /// It cannot be reached, or the connection ended.
    NoAnswer,
    /// Its address is in no network that it may be in.
    Address,
    /// Its certificate is not believed, or it speaks no TLS.
    Tls,
    /// It refuses the user or the password.
    Refused,
    /// It refuses a topic.
    Topic,
    /// What it says cannot be understood, or is too large.
    Protocol,
}

/// How it goes, for health and metrics.
#[derive(Debug, Default)]
pub struct MqttFigures {
    away: Mutex<Option<(Away, UtcMicros)>>,
    /// Messages acknowledged.
    pub messages: AtomicU64,
    /// Events in them that were refused, or messages that are no batch.
    pub refused: AtomicU64,
    /// Connections that were made.
    pub connects: AtomicU64,
}

impl MqttFigures {
    /// Why nothing comes from the broker, and since when; `None` while it is listened to, or where none is configured.
    #[must_use]
    pub fn away(&self) -> Option<(Away, UtcMicros)> {
        *self.lock()
    }

    fn gone(&self, why: Away) {
        let mut away = self.lock();
        let since = away.map_or_else(UtcMicros::now, |(_, since)| since);
        if away.is_none_or(|(known, _)| known != why) {
            tracing::warn!(?why, "nothing comes from the MQTT broker; it is tried again until it does");
        }
        *away = Some((why, since));
    }

    fn back(&self) {
        let away_s = self.lock().take().map_or(0, |(_, since)| UtcMicros::now().since(since).as_secs());
        tracing::info!(away_s, "the MQTT broker is listened to");
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Away, UtcMicros)>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Listens to the configured broker for as long as the task lives. Returns at once where none is configured.
pub async fn listen(node: Shared) {
    let Some(config) = node.config.mqtt.clone() else { return };
    let find = |(topic, name): &(String, String)| Some((topic.clone(), node.sources.named(name)?));
    let listener = Listener { topics: config.topics.iter().filter_map(find).collect(), config, node };
    let mut failures = 0_u32;
    loop {
        let begun = Instant::now();
        let why = listener.once().await;
        listener.node.mqtt.gone(why);
        // Only a connection that lasted is a reason to come back quickly.
        failures = if begun.elapsed() > AGAIN.1 { 0 } else { failures.saturating_add(1) };
        let wait = AGAIN.0.saturating_mul(1 << failures.min(10)).min(AGAIN.1);
        sleep(wait.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
    }
}

struct Listener {
    config: MqttConfig,
    node: Shared,
    topics: Vec<(String, Arc<Source>)>,
}

impl Listener {
    /// One connection, from its beginning to why it ended.
    async fn once(&self) -> Away {
        let address = match self.resolve().await {
            Ok(address) => address,
            Err(why) => return why,
        };
        let Ok(Ok(socket)) = timeout(PATIENCE, TcpStream::connect(address)).await else { return Away::NoAnswer };
        let _ = socket.set_nodelay(true);
        let Some(authority) = &self.config.authority else { return self.talk(socket).await };
        let Some((connector, name)) = tls(authority, &self.config.host) else { return Away::Tls };
        match timeout(PATIENCE, connector.connect(name, socket)).await {
            Ok(Ok(socket)) => self.talk(socket).await,
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::InvalidData => Away::Tls,
            _ => Away::NoAnswer,
        }
    }

    async fn resolve(&self) -> Result<SocketAddr, Away> {
        let wanted = (self.config.host.as_str(), self.config.port);
        let Ok(Ok(found)) = timeout(PATIENCE, tokio::net::lookup_host(wanted)).await else { return Err(Away::NoAnswer) };
        found.into_iter().find(|address| self.config.allow.allows(address.ip())).ok_or(Away::Address)
    }

    /// The shell around [`Core`]: reads, writes, watches its timers, and has one message at a time taken in.
    async fn talk(&self, socket: impl AsyncRead + AsyncWrite + Unpin) -> Away {
        let id = self.node.id.to_string();
        let user = self.config.user.as_ref().map(|(user, password)| (user.as_str(), password.expose()));
        let topics = self.topics.iter().map(|(topic, _)| topic.as_str()).collect();
        let client = self.config.client_id.clone().unwrap_or_else(|| format!("haohe-{}", &id[..8.min(id.len())]));
        let (mut core, begun) = Core::begin(&Wish { client: &client, user, topics });
        let (mut reader, mut writer) = tokio::io::split(socket);
        let mut actions = VecDeque::from(begun);
        let mut waiting: VecDeque<Message> = VecDeque::new();
        let (mut ping, mut pong) = (At::now() + NEVER, At::now() + NEVER);
        // Until it listens the broker has so long in all.
        let mut deadline = At::now() + PATIENCE;
        let mut bytes = vec![0; 16 << 10];
        let mut working = None;
        loop {
            while let Some(action) = actions.pop_front() {
                match action {
                    Action::Send(bytes) => match timeout(PATIENCE, writer.write_all(&bytes)).await {
                        Ok(Ok(())) => {}
                        _ => return Away::NoAnswer,
                    },
                    Action::Wake(Timer::Ping, after) => ping = At::now() + after,
                    Action::Wake(Timer::Pong, after) => pong = At::now() + after,
                    Action::Rest(Timer::Ping) => ping = At::now() + NEVER,
                    Action::Rest(Timer::Pong) => pong = At::now() + NEVER,
                    Action::Listening => {
                        deadline = At::now() + NEVER;
                        self.node.mqtt.connects.fetch_add(1, Ordering::Relaxed);
                        self.node.mqtt.back();
                    }
                    // Of those that want an acknowledgement the broker may send no more than `AT_ONCE`; of others no more are kept.
                    Action::Take(message) if message.id.is_some() || waiting.len() < usize::from(core::AT_ONCE) => {
                        waiting.push_back(message);
                    }
                    Action::Take(_) => {
                        self.node.mqtt.refused.fetch_add(1, Ordering::Relaxed);
                    }
                    Action::Close(why) => return why,
                }
            }
            if working.is_none()
                && let Some(message) = waiting.pop_front()
            {
                working = Some(Box::pin(self.take(message)));
            }
            actions.extend(tokio::select! {
                (id, fate) = async { match working.as_mut() { Some(work) => work.await, None => std::future::pending().await } } => {
                    working = None;
                    self.node.mqtt.messages.fetch_add(1, Ordering::Relaxed);
                    id.map(|id| core.acknowledge(id, fate)).unwrap_or_default()
                }
                read = reader.read(&mut bytes) => match read {
                    Ok(count @ 1..) => core.read(&bytes[..count]),
                    _ => return Away::NoAnswer,
                },
                () = sleep_until(ping) => { ping = At::now() + NEVER; core.ring(Timer::Ping) }
                () = sleep_until(pong) => { pong = At::now() + NEVER; core.ring(Timer::Pong) }
                () = sleep_until(deadline) => return Away::NoAnswer,
            });
        }
    }

    /// Takes a message in, however long that waits for its turn; what it is acknowledged by, and what became of it.
    async fn take(&self, message: Message) -> (Option<u16>, Fate) {
        let Some((_, source)) = self.topics.iter().find(|(topic, _)| *topic == message.topic) else {
            return (message.id, Fate::Nonsense);
        };
        let Some(batch) = batch(&message.bytes) else {
            self.node.mqtt.refused.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(
                source = source.name,
                bytes = message.bytes.len(),
                "a message by MQTT is no batch of events and is not kept"
            );
            return (message.id, Fate::Nonsense);
        };
        if batch.len() > source.most_at_once() {
            self.node.mqtt.refused.fetch_add(batch.len() as u64, Ordering::Relaxed);
            tracing::warn!(
                source = source.name,
                events = batch.len(),
                "a batch by MQTT is larger than its source may ever send and is not kept"
            );
            return (message.id, Fate::Nonsense);
        }
        while let Err(seconds) = source.spend(batch.len(), Instant::now()) {
            sleep(Duration::from_secs(seconds.clamp(1, 60))).await;
        }
        loop {
            let taken = reports::take(&self.node, source, Door::Mqtt, batch.clone()).await.unwrap_or_default();
            // What could not be written now comes again: what was written is known by its number.
            if taken.is_empty() && !batch.is_empty() || taken.iter().any(Taken::is_busy) {
                sleep(BUSY).await;
                continue;
            }
            let refused = taken.iter().filter(|one| one.is_refused()).count() as u64;
            self.node.mqtt.refused.fetch_add(refused, Ordering::Relaxed);
            return (message.id, Fate::Kept);
        }
    }
}

/// The events of a message; `None` if it is no batch.
fn batch(bytes: &[u8]) -> Option<Vec<Value>> {
    let batch: Batch = serde_json::from_slice(bytes).ok()?;
    (!batch.is_too_long()).then_some(batch.events)
}

/// TLS that believes one authority.
fn tls(authority: &[u8], host: &str) -> Option<(tokio_rustls::TlsConnector, ServerName<'static>)> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority) {
        roots.add(certificate.ok()?).ok()?;
    }
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Some((tokio_rustls::TlsConnector::from(Arc::new(config)), ServerName::try_from(host.to_owned()).ok()?))
}
