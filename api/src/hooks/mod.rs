//! Web hooks: alarms told to other systems, each once and in order, signed.
//!
//! A hook reads the journal behind a number of its own, kept in a file, so that a node that was away misses nothing; a receiver that
//! was away gets everything since, again and again with longer waits (`outbox`). What it refuses, or never takes, is laid aside: an
//! event says so, the file keeps its number, and a person has it sent again or discards it ([`aside`]). Whoever is told, the address policy decides: a name is resolved, checked and pinned
//! for each attempt, and no redirect is followed.

mod aside;
mod outbox;
mod sign;

pub use aside::{Aside, AsideError};

use index::{
    events::{Event, Kind, Text},
    journal::{Journal, Seen, Seq},
    model::{NodeId, Secret, UtcMicros},
};
use ingest::AddressPolicy;
use outbox::{Ended, Next};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    io::Write,
    net::SocketAddr,
    ops::{ControlFlow, Range},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

/// How long a receiver may think.
const PATIENCE: Duration = Duration::from_secs(10);
/// Records looked through in one go.
const BATCH: u64 = 5_000;
/// Messages laid aside that are kept for a person; beyond that the oldest leave the list, counted and with an event.
const ASIDE: usize = 1_000;
/// After the first one that left the list, so many more are told as one.
const LEFT_AT_ONCE: u64 = 100;

/// A hook as the configuration names it.
#[derive(Clone, Debug)]
pub struct HookConfig {
    /// What people call it.
    pub name: String,
    /// Who is told.
    pub url: Url,
    /// What messages are signed with.
    pub secret: Secret,
    /// In which networks the receiver may be.
    pub allow: AddressPolicy,
    /// Whose certificate is believed instead of the system's, in PEM.
    pub authority: Option<Vec<u8>>,
}

/// How a hook fares.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct HookState {
    /// Which journal the number is of.
    node: Option<NodeId>,
    /// Everything up to here was told or laid aside.
    pub seq: Seq,
    /// The newest messages that were laid aside, oldest first.
    #[serde(deserialize_with = "asides")]
    pub aside: Vec<Aside>,
    /// Messages that were laid aside and had to leave the list for newer ones, since ever. Each has its event and its record.
    #[serde(default)]
    pub left: u64,
    /// Messages that the receiver took, since ever.
    pub taken: u64,
    /// Why the newest attempt failed; `None` when it did not.
    pub failing: Option<String>,
}

fn asides<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Aside>, D::Error> {
    Ok(Vec::<aside::Written>::deserialize(from)?.into_iter().map(Aside::from).collect())
}

/// The hooks of a node. They end when it is dropped.
#[derive(Debug, Default)]
pub struct Hooks {
    all: Vec<Arc<Hook>>,
    stop: CancellationToken,
}

impl Hooks {
    /// Starts a task for each hook; their files are in `dir`, made if missing.
    ///
    /// # Errors
    /// If the directory cannot be made.
    pub fn start(
        dir: &Path,
        configured: &[HookConfig],
        journal: &Arc<Journal>,
        commits: &watch::Receiver<()>,
    ) -> std::io::Result<Self> {
        let stop = CancellationToken::new();
        if configured.is_empty() {
            return Ok(Self { all: Vec::new(), stop });
        }
        std::fs::create_dir_all(dir)?;
        let mut all = Vec::new();
        for config in configured {
            let file = file_of(dir, &config.name);
            let state = Mutex::new(read(&file, journal));
            let (journal, stop) = (Arc::clone(journal), stop.clone());
            let hook = Arc::new(Hook {
                config: config.clone(),
                file,
                state,
                acting: Turn::default(),
                keeping: Turn::default(),
                journal,
                stop,
            });
            all.push(Arc::clone(&hook));
            tokio::spawn(hook.run(commits.clone()));
        }
        Ok(Self { all, stop })
    }

    /// Each hook's name and state.
    #[must_use]
    pub fn states(&self) -> Vec<(String, HookState)> {
        self.all.iter().map(|hook| (hook.config.name.clone(), hook.state())).collect()
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn file_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{}.json", blake3::hash(name.as_bytes()).to_hex().get(..16).unwrap_or_default()))
}

/// What was kept; a new hook begins with what happens from now on.
fn read(file: &Path, journal: &Journal) -> HookState {
    let kept = std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice::<HookState>(&bytes).ok());
    let kept = kept.filter(|kept| kept.node == Some(journal.node()) && kept.seq <= journal.tail());
    kept.unwrap_or_else(|| HookState { node: Some(journal.node()), seq: journal.tail(), ..HookState::default() })
}

/// What one receiver is told.
struct Message {
    seq: Seq,
    at: UtcMicros,
    kind: String,
    body: Value,
}

type Turn = tokio::sync::Mutex<()>;

#[derive(Debug)]
struct Hook {
    config: HookConfig,
    file: PathBuf,
    state: Mutex<HookState>,
    /// One person's act at a time.
    acting: Turn,
    /// One change of the state at a time.
    keeping: Turn,
    journal: Arc<Journal>,
    stop: CancellationToken,
}

impl Hook {
    fn state(&self) -> HookState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn run(self: Arc<Self>, mut commits: watch::Receiver<()>) {
        let hook = self;
        let stop = hook.stop.clone();
        let work = async move {
            loop {
                commits.mark_unchanged();
                let reader = Arc::clone(&hook);
                let Ok((messages, seen)) = tokio::task::spawn_blocking(move || reader.next()).await else { return };
                for message in messages {
                    hook.deliver(&message).await;
                }
                let more = hook.seen(seen);
                if !more && commits.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    /// The next messages, and up to where the journal was looked at.
    fn next(&self) -> (Vec<Message>, Seq) {
        let after = self.state.lock().unwrap_or_else(PoisonError::into_inner).seq;
        let (mut messages, mut seen) = (Vec::new(), after);
        let read = self.journal.visit(after.next(), Seq::new(after.get() + BATCH), |record| {
            seen = record.seq;
            messages.extend(self.read(&record));
            ControlFlow::Continue(())
        });
        if let Err(error) = read {
            tracing::error!(%error, hook = self.config.name, "the journal does not read back for a web hook");
        }
        (messages, seen)
    }

    /// What the receiver is told of a record, if it is told of it.
    fn read(&self, record: &Seen<'_>) -> Option<Message> {
        if !matches!(record.kind, "alarm.raised" | "alarm.acknowledged") {
            return None;
        }
        let facts = serde_json::from_slice::<Value>(record.body).ok()?;
        let node = self.journal.node().to_string();
        let body = json!({ "delivery": format!("{node}-{}", record.seq), "node": node, "seq": record.seq,
            "at_us": record.at, "kind": record.kind, "alarm": facts });
        Some(Message { seq: record.seq, at: record.at, kind: record.kind.to_owned(), body })
    }

    /// Sends a message until it is taken or laid aside.
    async fn deliver(&self, message: &Message) {
        let (mut attempts, mut left) = (0, 0..0);
        loop {
            attempts += 1;
            let ended = self.attempt(message).await;
            let next = outbox::after(ended, attempts, UtcMicros::now().since(message.at), rand::random());
            self.advance(|state| match next {
                Next::Done => {
                    state.seq = state.seq.max(message.seq);
                    (state.taken, state.failing) = (state.taken + 1, None);
                }
                Next::Again(_) => state.failing = Some(ended.words()),
                Next::LaidAside => {
                    state.seq = state.seq.max(message.seq);
                    state.failing = Some(ended.words());
                    let (since, status) = (Some(UtcMicros::now()), ended.status());
                    state.aside.push(Aside { seq: message.seq, since, attempts, status });
                    let excess = state.aside.len().saturating_sub(ASIDE);
                    left = state.left..state.left + excess as u64;
                    state.left = left.end;
                    state.aside.drain(..excess);
                }
            })
            .await;
            match next {
                Next::Done => return,
                Next::Again(wait) => tokio::time::sleep(wait).await,
                Next::LaidAside => {
                    self.say_laid_aside(message, attempts, ended);
                    if worth_telling(&left) {
                        self.say_left(left.end);
                    }
                    return;
                }
            }
        }
    }

    async fn attempt(&self, message: &Message) -> Ended {
        let Some((host, address)) = self.resolve().await else { return Ended::NoAnswer };
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .no_proxy()
            .resolve(&host, address);
        if let Some(pem) = &self.config.authority {
            let Ok(authority) = reqwest::Certificate::from_pem(pem) else { return Ended::NoAnswer };
            builder = builder.tls_certs_only([authority]);
        }
        let Ok(client) = builder.build() else { return Ended::NoAnswer };
        let body = message.body.to_string();
        let at_s = UtcMicros::now().as_micros() / 1_000_000;
        let signature = sign::signature(self.config.secret.expose().as_bytes(), at_s, body.as_bytes());
        let request = client.post(self.config.url.clone()).header("content-type", "application/json");
        match request.header("x-haohe-signature", signature).body(body).send().await {
            Ok(answer) => Ended::of(answer.status().as_u16()),
            Err(_) => Ended::NoAnswer,
        }
    }

    /// The receiver's name and the address of it that the policy allows.
    async fn resolve(&self) -> Option<(String, SocketAddr)> {
        let host = self.config.url.host_str()?.to_owned();
        let port = self.config.url.port_or_known_default()?;
        let bare = host.trim_matches(['[', ']']).to_owned();
        let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((bare, port))).await.ok()?.ok()?;
        let address = found.into_iter().find(|address| self.config.allow.allows(address.ip()));
        if address.is_none() {
            tracing::warn!(hook = self.config.name, "the receiver of a web hook is in no network that it may be in");
        }
        Some((host, address?))
    }

    /// Nothing up to here is left to tell; whether the journal has more. Not worth a write: after a crash it is looked through again.
    fn seen(&self, seen: Seq) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.seq = state.seq.max(seen);
        state.seq < self.journal.tail()
    }

    /// Changes the state and keeps it; only then it is told, so that what is told survives a restart.
    async fn advance(&self, change: impl FnOnce(&mut HookState)) {
        let _turn = self.keeping.lock().await;
        let mut next = self.state();
        change(&mut next);
        let bytes = serde_json::to_vec(&next).unwrap_or_default();
        let file = self.file.clone();
        let kept = tokio::task::spawn_blocking(move || keep(&file, &bytes)).await;
        if let Ok(Err(error)) = kept {
            tracing::warn!(%error, hook = self.config.name, "how far a web hook is could not be kept; after a restart some messages are sent twice");
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // What was looked through meanwhile, and holds no message, needs no write and stays looked through.
        next.seq = next.seq.max(state.seq);
        *state = next;
    }

    fn say_laid_aside(&self, message: &Message, attempts: u32, ended: Ended) {
        let name = &self.config.name;
        let text = Text {
            zh: format!("外发通知“{name}”未送达，已搁置：第 {} 号，尝试 {attempts} 次，{}", message.seq, ended.words()),
            en: format!(
                "Web hook {name:?} did not deliver number {} after {attempts} attempts ({}); it is laid aside",
                message.seq,
                ended.words()
            ),
        };
        self.say(text);
    }

    fn say_left(&self, left: u64) {
        let name = &self.config.name;
        self.say(Text {
            zh: format!("外发通知“{name}”搁置的消息超过 {ASIDE} 条，最早的 {left} 条已不在清单中，只能在事件检索中查到"),
            en: format!(
                "More than {ASIDE} messages of web hook {name:?} are laid aside; {left} older ones have left the list and are found by event search only"
            ),
        });
    }

    fn say(&self, text: Text) {
        let event = Event { text, ..Event::new(UtcMicros::now(), Kind::HookFailed) };
        drop(self.journal.append(event.into_record(UtcMicros::now())));
    }
}

/// Whether the messages that now left the list, by their count since ever, are told: the first one is, and then every hundredth.
fn worth_telling(left: &Range<u64>) -> bool {
    !left.is_empty() && (left.start == 0 || left.end / LEFT_AT_ONCE > left.start / LEFT_AT_ONCE)
}

/// Writes a small file whole or not at all.
pub(crate) fn keep(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let fresh = file.with_extension("new");
    let mut open = std::fs::File::create(&fresh)?;
    open.write_all(bytes)?;
    open.sync_all()?;
    std::fs::rename(&fresh, file)
}

#[cfg(test)]
mod tests;
