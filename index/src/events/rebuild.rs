//! Making the index anew from the journal, and telling whether two indexes are the same (I7).

use super::day::{Day, Stored, millis_of};
use super::projection::{self, IndexError, IndexLimits, Sources};
use super::reached::Order;
use crate::durable::FileError;
use crate::model::NodeId;
use std::{
    fs,
    path::Path,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tantivy::{TantivyDocument, TantivyError, schema::Value};

/// What a rebuild did.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rebuilt {
    /// Events put in.
    pub events: u64,
    /// How long it took.
    pub took: Duration,
}

/// Makes the index in `dir` anew from the journals of a stopped node. The old one is there until the new one is complete.
///
/// # Errors
/// If a journal does not read back or the disk refuses; the old index is as it was.
pub fn rebuild(dir: &Path, sources: Sources, limits: IndexLimits) -> Result<Rebuilt, IndexError> {
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| FileError { doing, path, source }
    };
    let fresh = dir.with_extension("new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(failed("remove", &fresh))?;
    }
    let begin = Instant::now();
    let (shared, thread) = projection::start(&fresh, sources, limits)?;
    shared.stop();
    let joined = thread.join();
    let problem = projection::lock(&shared.progress.problem).take();
    if joined.is_err() || problem.is_some() {
        let why = problem.unwrap_or_else(|| "its thread ended".to_owned());
        return Err(IndexError::Index { path: fresh, source: TantivyError::InternalError(why) });
    }
    let events = shared.progress.added.load(Ordering::Relaxed);
    drop(shared);
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(failed("remove", dir))?;
    }
    fs::rename(&fresh, dir).map_err(failed("put in place", &fresh))?;
    Ok(Rebuilt { events, took: begin.elapsed() })
}

/// An event in an index: its number, whose journal it stands in, and a hash of all that is known of it.
pub type Content = (u64, Option<NodeId>, [u8; 32]);

/// Every event that an index holds, by number and then by whose journal it stands in (`None` for the node's own), each with a hash of
/// all it knows of it: two indexes are the same if and only if these are. In which order events of one millisecond arrived from several
/// journals is no part of it.
///
/// # Errors
/// If it does not read back.
pub fn contents(dir: &Path) -> Result<Vec<Content>, IndexError> {
    let mut all = Vec::new();
    for (_, path) in projection::day_dirs(dir) {
        let failed = |source| IndexError::Index { path: path.clone(), source };
        all.extend(day_contents(&path).map_err(failed)?);
    }
    all.sort_unstable();
    Ok(all)
}

fn day_contents(path: &Path) -> Result<Vec<Content>, TantivyError> {
    let day = Day::open(path, Order::ByNumber)?;
    let searcher = day.reader.searcher();
    let mut all = Vec::new();
    for segment in searcher.segment_readers() {
        let column = |name: &str| Ok::<_, TantivyError>(segment.fast_fields().u64(name)?.first_or_default_col(0));
        let columns = [column("key")?, column("camera")?, column("kind")?, column("severity")?, column("region")?];
        let store = segment.get_store_reader(16)?;
        for doc in 0..segment.max_doc() {
            if columns[0].get_val(doc) == 0 {
                continue;
            }
            let document: TantivyDocument = store.get(doc)?;
            let body = document.get_first(day.fields.body).and_then(|value| value.as_bytes()).unwrap_or_default();
            let mut hasher = blake3::Hasher::new();
            hasher.update(&millis_of(columns[0].get_val(doc)).to_le_bytes());
            for column in &columns[1..] {
                hasher.update(&column.get_val(doc).to_le_bytes());
            }
            hasher.update(body);
            let (seq, origin) = Stored::read(body).map_or((0, None), |stored| (stored.seq.get(), stored.origin));
            all.push((seq, origin, *hasher.finalize().as_bytes()));
        }
    }
    Ok(all)
}
