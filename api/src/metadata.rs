//! What cameras tell on their metadata tracks, from the threads that read sockets to the journal.
//!
//! Reading threads only lay documents down here; one thread of its own reads them, because a camera may send whatever it
//! likes and a socket's reader waits for nothing. The way is bounded in documents and bytes (I11): what does not fit is dropped
//! and counted. A camera's name and place are put on its events as they are now.

use index::{
    cameras::Cameras,
    events::{Event, Events, MAX_BATCH},
    model::{CameraId, StreamId, UtcMicros},
};
use ingest::onvif::{Document, DocumentError, Watch};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

/// Documents that may wait.
const WAITING: usize = 4096;
/// Bytes that may wait.
const WAITING_BYTES: usize = 16 << 20;
/// Documents read before their events are handed on.
const AT_ONCE: usize = 200;

/// How the documents fare, since start.
#[derive(Default, Debug)]
pub struct MetadataFigures {
    /// Documents that came.
    pub documents: AtomicU64,
    /// Documents that found no room and were dropped.
    pub dropped: AtomicU64,
    /// Events that they became.
    pub events: AtomicU64,
    /// Events beyond a camera's allowance, dropped.
    pub shed: AtomicU64,
    /// Documents that could not be read, by reason.
    pub unreadable: Mutex<BTreeMap<&'static str, u64>>,
    waiting: AtomicUsize,
}

/// The way for metadata, and the thread at its end.
#[derive(Debug)]
pub struct Metadata {
    send: SyncSender<Told>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// What passed.
    pub figures: Arc<MetadataFigures>,
}

enum Told {
    Document(StreamId, UtcMicros, Box<[u8]>),
    End,
}

impl Metadata {
    /// Starts the thread that reads.
    ///
    /// # Errors
    /// What the system says when it cannot make a thread.
    pub fn start(events: Arc<Events>, cameras: Arc<Cameras>) -> std::io::Result<Self> {
        let (send, receive) = sync_channel(WAITING);
        let figures = Arc::<MetadataFigures>::default();
        let mut reading = Reading { events, cameras, figures: Arc::clone(&figures), watches: HashMap::new() };
        let thread = std::thread::Builder::new().name("metadata".into()).spawn(move || reading.run(&receive))?;
        Ok(Self { send, thread: Mutex::new(Some(thread)), figures })
    }

    /// Takes a document as it came; returns at once.
    pub fn tell(&self, stream: StreamId, received: UtcMicros, document: &[u8]) {
        self.figures.documents.fetch_add(1, Ordering::Relaxed);
        let waiting = self.figures.waiting.fetch_add(document.len(), Ordering::Relaxed) + document.len();
        if waiting > WAITING_BYTES || self.send.try_send(Told::Document(stream, received, document.into())).is_err() {
            self.figures.waiting.fetch_sub(document.len(), Ordering::Relaxed);
            self.figures.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Ends the thread after what waits is in the journal.
    pub fn close(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && (self.send.send(Told::End).is_err() || thread.join().is_err())
        {
            tracing::error!(
                "the thread that reads cameras' metadata did not end cleanly; events of the last second may be missing"
            );
        }
    }
}

struct Reading {
    events: Arc<Events>,
    cameras: Arc<Cameras>,
    figures: Arc<MetadataFigures>,
    watches: HashMap<CameraId, (Watch, u64)>,
}

impl Reading {
    fn run(&mut self, receive: &Receiver<Told>) {
        while let Ok(first) = receive.recv() {
            let mut batch = Vec::new();
            for told in std::iter::once(first).chain(receive.try_iter().take(AT_ONCE)) {
                match told {
                    Told::Document(stream, received, bytes) => {
                        self.figures.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
                        self.document(stream.camera, received, &bytes, &mut batch);
                    }
                    Told::End => return self.hand_on(batch),
                }
            }
            self.hand_on(batch);
        }
    }

    fn document(&mut self, id: CameraId, received: UtcMicros, bytes: &[u8], batch: &mut Vec<Event>) {
        let Some(entry) = self.cameras.get(id) else {
            self.watches.remove(&id);
            return;
        };
        let (watch, unreadable) = self.watches.entry(id).or_default();
        let document = match Document::read(bytes) {
            Ok(document) => document,
            Err(error) => {
                *unreadable += 1;
                return self.unreadable(id, error);
            }
        };
        if *unreadable > 0 {
            tracing::info!(camera = %id, documents = *unreadable, "the camera's metadata can be read again");
            *unreadable = 0;
        }
        let outcome = watch.take(document, received);
        for why in outcome.refused {
            self.events.refused.count("onvif", why);
        }
        self.figures.shed.fetch_add(outcome.shed, Ordering::Relaxed);
        batch.extend(outcome.events.into_iter().map(|event| Event {
            camera: Some(id),
            name: entry.camera.name.clone(),
            place: entry.camera.place.clone(),
            ..event
        }));
    }

    fn unreadable(&self, id: CameraId, error: DocumentError) {
        *self.figures.unreadable.lock().unwrap_or_else(PoisonError::into_inner).entry(error.word()).or_default() += 1;
        if self.watches.get(&id).is_some_and(|(_, unreadable)| *unreadable == 1) {
            tracing::warn!(camera = %id, %error, "the camera's metadata cannot be read, so its events are missing; pictures are recorded");
        }
    }

    /// Makes events durable. What a camera told of is not asked for again, so what the journal does not take is lost, and said.
    fn hand_on(&self, mut batch: Vec<Event>) {
        while !batch.is_empty() {
            let rest = batch.split_off(batch.len().min(MAX_BATCH));
            let fates = self.events.report("onvif", std::mem::replace(&mut batch, rest));
            let taken = fates.iter().filter(|fate| fate.is_ok()).count();
            self.figures.events.fetch_add(taken as u64, Ordering::Relaxed);
            if let Some(error) = fates.into_iter().find_map(Result::err) {
                tracing::error!(%error, "events of cameras were not kept");
            }
        }
    }
}
