//! Bodies under way: what is being sent up a line, part by part, each kept until the next one is asked for (D1).

use super::{
    MAX_PART, No,
    budget::{Budget, Rank},
};
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream::BoxStream};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// Bodies at a time; each holds a part and what its source gave in one piece.
const MAX_BODIES: usize = 96;
/// A body that nobody asks on for so long is given up.
const IDLE: Duration = Duration::from_secs(30);
/// What is there goes when nothing more comes for so long.
const GATHER: Duration = Duration::from_millis(20);

/// What gives the bytes; an error breaks the body off.
pub(super) type Source = BoxStream<'static, Result<Bytes, ()>>;

/// See the module.
pub(super) struct Bodies {
    table: Mutex<HashMap<u64, Arc<Kept>>>,
    budget: Arc<Budget>,
}

/// A body under way.
pub(super) struct Kept {
    used: Mutex<Instant>,
    /// `None` until its request is answered.
    pub(super) sending: tokio::sync::Mutex<Option<Sending>>,
}

/// An answer and how much of it went.
pub(super) struct Sending {
    /// The HTTP status; of what is no answer to a request, 200.
    pub(super) status: u16,
    /// The headers that a viewer needs.
    pub(super) headers: Vec<(String, String)>,
    source: Option<Source>,
    /// What the source gave and no part took.
    rest: Bytes,
    /// The newest part and where it begins (D1).
    part: (u64, Bytes),
    broken: bool,
    rank: Arc<Ranked>,
}

/// How urgent a body is, and how long it had to wait for the line: whoever makes it may then make less.
#[derive(Debug)]
pub(super) struct Ranked {
    rank: Mutex<Rank>,
    waited_us: AtomicU64,
}

/// A part, as it goes.
pub(super) struct Part {
    pub(super) bytes: Bytes,
    pub(super) end: bool,
    /// Whether it stands back for what is more urgent, and so is empty.
    pub(super) waits: bool,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ranked {
    pub(super) fn new(rank: Rank) -> Arc<Self> {
        Arc::new(Self { rank: Mutex::new(rank), waited_us: AtomicU64::new(0) })
    }

    pub(super) fn set(&self, rank: Rank) {
        *lock(&self.rank) = rank;
    }

    /// How long it waited for the line since this was asked last.
    pub(super) fn waited(&self) -> Duration {
        Duration::from_micros(self.waited_us.swap(0, Ordering::Relaxed))
    }
}

impl Bodies {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self { table: Mutex::default(), budget }
    }

    /// The place of a body: its own, or one that is made now (D2).
    pub(super) fn kept(&self, handle: u64) -> Result<Arc<Kept>, No> {
        let mut bodies = lock(&self.table);
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

    /// The place of a body that is there.
    pub(super) fn find(&self, handle: u64) -> Result<Arc<Kept>, No> {
        let kept = lock(&self.table).get(&handle).cloned().ok_or(No::Gone)?;
        *lock(&kept.used) = Instant::now();
        Ok(kept)
    }

    pub(super) fn close(&self, handle: u64) {
        lock(&self.table).remove(&handle);
    }

    pub(super) fn sweep(&self) {
        lock(&self.table).retain(|_, kept| lock(&kept.used).elapsed() < IDLE);
    }

    /// The part from a place on: the newest again, or the one after it. Empty if nothing comes in time, or the line has no room.
    pub(super) async fn part(&self, sending: &mut Sending, from: u64, until: Instant) -> Result<Part, No> {
        sending.gather(from, self.budget.part(MAX_PART), until).await?;
        let bytes = sending.part.1.clone();
        let asked = Instant::now();
        let rank = *lock(&sending.rank.rank);
        if !bytes.is_empty() && !self.budget.pass(rank, bytes.len(), until.saturating_duration_since(asked)).await {
            sending.rank.waited_us.fetch_add(asked.elapsed().as_micros() as u64, Ordering::Relaxed);
            return Ok(Part { bytes: Bytes::new(), end: false, waits: true });
        }
        sending.rank.waited_us.fetch_add(asked.elapsed().as_micros() as u64, Ordering::Relaxed);
        Ok(Part { bytes, end: sending.is_over(), waits: false })
    }
}

impl Sending {
    pub(super) fn new(status: u16, headers: Vec<(String, String)>, source: Source, rank: Arc<Ranked>) -> Self {
        Self { status, headers, source: Some(source), rest: Bytes::new(), part: (0, Bytes::new()), broken: false, rank }
    }

    async fn gather(&mut self, from: u64, most: usize, until: Instant) -> Result<(), No> {
        let (begins, length) = (self.part.0, self.part.1.len() as u64);
        if from == begins && length > 0 {
            return Ok(());
        }
        if from != begins + length {
            return Err(No::Gone);
        }
        let mut part = BytesMut::new();
        while part.len() < most && (self.source.is_some() || !self.rest.is_empty()) {
            if self.rest.is_empty() {
                let patience = if part.is_empty() { until } else { until.min(Instant::now() + GATHER) };
                let Some(source) = &mut self.source else { break };
                match timeout_at(patience, source.next()).await {
                    Ok(Some(Ok(piece))) => self.rest = piece,
                    Ok(Some(Err(()))) => (self.broken, self.source) = (true, None),
                    Ok(None) => self.source = None,
                    Err(_) => break,
                }
            }
            let taken = self.rest.len().min(most - part.len());
            part.extend_from_slice(&self.rest.split_to(taken));
        }
        // What came before it broke is worth having.
        if self.broken && part.is_empty() {
            return Err(No::Broken);
        }
        self.part = (from, part.freeze());
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.source.is_none() && self.rest.is_empty() && !self.broken
    }
}
