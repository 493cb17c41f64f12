//! The upper node's side: puts requests to rooms, through the centres between, and takes their bodies in parts.

use super::{Asker, No, Reply, Request, Say};
use crate::link::{
    Line, LineError,
    message::{self, Answer, Question, Refused},
    roster::Roster,
};
use bytes::Bytes;
use futures::Stream;
use index::model::NodeId;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long the first bytes of an answer may take: what a room reads and decodes for them included.
const OPENING: Duration = Duration::from_secs(10);
/// How long one part may take. On a line of 2 Mbit/s a part takes a second.
const PART: Duration = Duration::from_secs(8);
/// A question that is not answered is asked again for so long.
const AGAIN: Duration = Duration::from_secs(25);
/// The wait between.
const PAUSE: Duration = Duration::from_millis(200);
/// What a hop keeps for itself of the time that an answer may take.
const HOP: Duration = Duration::from_millis(150);

/// The lines of a node to those below it, and whoever is reached through them.
pub struct Down {
    node: NodeId,
    roster: Arc<Roster>,
    lines: Mutex<BTreeMap<NodeId, Arc<dyn Line>>>,
    numbers: AtomicU64,
    /// What may come up each line, in bits a second; 0: as much as there is.
    limit: AtomicU64,
}

/// Why a node below gives nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{by}: {why}")]
pub struct Unreached {
    /// Which node says so, or does not answer.
    pub by: NodeId,
    /// Why.
    pub why: No,
}

/// What a room answered, up to its first bytes.
#[derive(Debug)]
pub struct Opened {
    /// The HTTP status.
    pub status: u16,
    /// The headers that a viewer needs.
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub body: Body,
}

/// A body in a room, taken part by part. What is not taken to its end is closed there when this goes.
#[derive(Debug)]
pub struct Body {
    of: Arc<Down>,
    to: NodeId,
    handle: u64,
    first: Option<Bytes>,
    at: u64,
    end: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Down {
    /// Without a line yet.
    #[must_use]
    pub fn new(node: NodeId, roster: Arc<Roster>) -> Self {
        Self {
            node,
            roster,
            lines: Mutex::default(),
            numbers: AtomicU64::new(rand::random::<u64>() >> 1),
            limit: AtomicU64::new(0),
        }
    }

    /// Says how much may come up each line from now on, in bits a second.
    pub fn allow(&self, limit: Option<u64>) {
        self.limit.store(limit.unwrap_or(0), Ordering::Relaxed);
    }

    /// Whose lines these are.
    #[must_use]
    pub fn own(&self) -> NodeId {
        self.node
    }

    /// A line to a neighbour below, from now on.
    pub fn add(&self, neighbour: NodeId, line: Arc<dyn Line>) {
        lock(&self.lines).insert(neighbour, line);
    }

    /// Asks a node something and waits for the answer, at most so long. Once: whoever asks decides whether again.
    ///
    /// # Errors
    /// Who says no, or does not answer.
    pub async fn ask(&self, to: NodeId, say: Say, within: Duration) -> Result<(Reply, Bytes), Unreached> {
        let via = self.roster.of(to).map(|known| known.via).ok_or(Unreached { by: self.node, why: No::UnknownNode })?;
        let line = lock(&self.lines).get(&via).cloned().ok_or(Unreached { by: via, why: No::NoContact })?;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let within_ms = u32::try_from(within.saturating_sub(HOP).as_millis()).unwrap_or(u32::MAX);
        let limit = Some(self.limit.load(Ordering::Relaxed)).filter(|limit| *limit > 0);
        let question = Question::Down { to, within_ms, limit, say: Box::new(say) };
        let unreached = |why| Unreached { by: via, why };
        let answer = line.ask(message::write_question(number, &question), within).await;
        match answer.and_then(|bytes| message::read_answer(&bytes).map_err(LineError::Malformed)) {
            Ok((answered, Answer::Down(reply, bytes))) if answered == number => match *reply {
                Reply::No { by, why } => Err(Unreached { by, why }),
                reply => Ok((reply, bytes)),
            },
            Ok((_, Answer::Refused(Refused::NotUnderstood))) => Err(unreached(No::NotAnswered)),
            Ok(_) => Err(unreached(No::NoContact)),
            Err(LineError::Busy) => Err(unreached(No::Busy)),
            Err(_) => Err(unreached(No::NoContact)),
        }
    }

    /// Hands a question for a node below on to it, for the node above.
    pub async fn pass(&self, to: NodeId, say: Say, within: Duration) -> (Reply, Bytes) {
        let answer = self.ask(to, say, within.saturating_sub(HOP)).await;
        answer.unwrap_or_else(|Unreached { by, why }| (Reply::No { by, why }, Bytes::new()))
    }

    /// Puts a request to a room.
    ///
    /// # Errors
    /// Who says no, or does not answer, however often asked.
    pub async fn open(self: &Arc<Self>, to: NodeId, asker: Asker, request: Request) -> Result<Opened, Unreached> {
        let handle = rand::random();
        let mut body = Body { of: Arc::clone(self), to, handle, first: None, at: 0, end: false };
        let say = Say::Open { handle, asker: Box::new(asker), request: Box::new(request) };
        let (reply, bytes) = self.again(to, say, OPENING).await?;
        let Reply::Opened { status, headers, end, .. } = reply else {
            return Err(Unreached { by: to, why: No::NotAnswered });
        };
        (body.at, body.end) = (bytes.len() as u64, end);
        body.first = Some(bytes).filter(|bytes| !bytes.is_empty());
        Ok(Opened { status, headers, body })
    }

    /// Asks, and asks again what the line lost.
    async fn again(&self, to: NodeId, say: Say, within: Duration) -> Result<(Reply, Bytes), Unreached> {
        let begun = Instant::now();
        loop {
            match self.ask(to, say.clone(), within).await {
                Err(Unreached { why: No::NoContact | No::Busy, .. }) if begun.elapsed() < AGAIN => {
                    tokio::time::sleep(PAUSE).await;
                }
                answered => return answered,
            }
        }
    }
}

impl Body {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// Why the rest cannot be had.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Unreached> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        while !self.end {
            let say = Say::Next { handle: self.handle, from: self.at };
            match self.of.again(self.to, say, PART).await? {
                (Reply::Part { from, end, .. }, bytes) if from == self.at => {
                    self.at += bytes.len() as u64;
                    self.end = end;
                    if !bytes.is_empty() {
                        return Ok(Some(bytes));
                    }
                }
                _ => return Err(Unreached { by: self.to, why: No::Broken }),
            }
        }
        Ok(None)
    }

    /// The bytes as a stream, one part asked for ahead of whoever takes them.
    pub fn stream(self) -> impl Stream<Item = Result<Bytes, Unreached>> + Send + 'static {
        let (tell, told) = tokio::sync::mpsc::channel(1);
        let mut body = self;
        tokio::spawn(async move {
            loop {
                let item = tokio::select! {
                    () = tell.closed() => return,
                    item = body.next() => item.transpose(),
                };
                let Some(item) = item else { return };
                let last = item.is_err();
                if tell.send(item).await.is_err() || last {
                    return;
                }
            }
        });
        futures::stream::unfold(told, |mut told| async move { told.recv().await.map(|item| (item, told)) })
    }

    /// All of it, if it is not longer than `most`.
    ///
    /// # Errors
    /// Why it cannot be had; [`No::Broken`] if it is longer.
    pub async fn whole(mut self, most: usize) -> Result<Vec<u8>, Unreached> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await? {
            if all.len() + bytes.len() > most {
                return Err(Unreached { by: self.to, why: No::Broken });
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let (of, to, handle) = (Arc::clone(&self.of), self.to, self.handle);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // Nobody waits for it: what is not closed is given up there by itself.
            runtime.spawn(async move { drop(of.ask(to, Say::Close { handle }, PART).await) });
        }
    }
}

impl std::fmt::Debug for Down {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Down").field("node", &self.node).finish_non_exhaustive()
    }
}
