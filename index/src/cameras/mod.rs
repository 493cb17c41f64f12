//! The cameras this node is told to record, and how to sign in to them.
//!
//! Some stand in the configuration file and are only read here; others are added by administrators and live in a state
//! file, with their passwords sealed ([`crate::seal`]). Every change, of either kind, is in the journal with what stood
//! before (S3): a camera that goes missing was removed by somebody. What drivers learned about a camera is remembered in
//! a file of its own, because losing it costs a probe and writing it must cost no recording thread a disk sync.

mod initials;
mod stored;
mod verdicts;

pub use initials::{initials, pinyin};

use crate::access::Actor;
use crate::durable::{self, FileError};
use crate::journal::{Journal, JournalError, Record, Seq};
use crate::model::{Camera, CameraError, CameraId, Credentials, Driver, UtcMicros};
use crate::seal::{NodeKey, SealError, Sealed};
use crate::site::{self, Stated, Told};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use verdicts::Verdicts;

/// Cameras that one node may be told to record.
pub const MAX_CAMERAS: usize = 4096;

/// The catalogue of one node. Changes wait for the disk: not for async code.
pub struct Cameras {
    path: PathBuf,
    key: NodeKey,
    journal: Arc<Journal>,
    /// Held while a change goes to disk, so that changes queue up and lookups, many a request, never wait for it.
    changing: Mutex<()>,
    state: Mutex<State>,
    verdicts: Verdicts,
}

#[derive(Clone, Default)]
struct State {
    /// Added through the API.
    added: BTreeMap<CameraId, Added>,
    /// From the configuration file.
    configured: BTreeMap<CameraId, (Camera, Option<Credentials>)>,
    /// No longer recorded, by number; a number that was given again is not among them.
    removed: BTreeMap<CameraId, Removed>,
}

/// A camera that is no longer recorded. Its footage stays for its term, under the rights that held where it stood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Removed {
    /// As it was last.
    pub camera: Camera,
    /// Since when.
    pub at: UtcMicros,
}

impl State {
    /// Notes who is not there any more, compared with `before`, and forgets whoever is there again. Of very many only the newest are
    /// remembered.
    fn remember_removed(&mut self, before: &BTreeMap<CameraId, Camera>, now: UtcMicros) {
        for (id, camera) in before {
            self.removed.entry(*id).or_insert_with(|| Removed { camera: camera.clone(), at: now });
        }
        let Self { added, configured, removed } = self;
        removed.retain(|id, _| !added.contains_key(id) && !configured.contains_key(id));
        while removed.len() > MAX_CAMERAS {
            let oldest = removed.iter().min_by_key(|(_, gone)| gone.at).map(|(id, _)| *id);
            oldest.and_then(|id| removed.remove(&id));
        }
    }
}

#[derive(Clone)]
struct Added {
    camera: Camera,
    sealed: Option<Sealed>,
}

/// Who manages a camera, and so where it can be changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Managed {
    /// Administrators, through the API.
    Api,
    /// The configuration file; read-only here.
    Config,
    /// The node below that has it; read-only in a centre.
    Below,
}

/// A camera as the catalogue shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The camera.
    pub camera: Camera,
    /// Where it can be changed.
    pub managed: Managed,
    /// Whether a user name and password are known.
    pub has_password: bool,
    /// Which driver worked, if one was remembered.
    pub verdict: Option<Driver>,
    /// The initials of its name in pinyin, for search: `nmgt` for 南门岗亭.
    pub initials: String,
}

/// What to do with a camera's credentials.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Password {
    /// Leave what is there, if the camera's host stays the same.
    Keep,
    /// Forget them.
    Clear,
    /// These from now on.
    Set(Credentials),
}

/// Why the catalogue is not as asked.
#[derive(Debug, thiserror::Error)]
pub enum CamerasError {
    /// The state file does not read back. Starting without it would record nothing, silently.
    #[error("{path} is not a file of cameras: {why}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// The configuration file names a number twice, or one that administrators added here.
    #[error("{0:?} is configured twice")]
    Twice(CameraId),
    /// The camera is managed by the configuration file.
    #[error("{0:?} is managed by the configuration file: change it there and reload")]
    Configured(CameraId),
    /// There is no such camera.
    #[error("there is no {0:?}")]
    Unknown(CameraId),
    /// More than [`MAX_CAMERAS`].
    #[error("a node records at most 4,096 cameras")]
    TooMany,
    /// A kept password would be sent to another host.
    #[error("{0:?} has another host now: give its password again")]
    PasswordForNewHost(CameraId),
    /// The camera's settings break a rule.
    #[error("{0:?}: {1}")]
    Camera(CameraId, CameraError),
    /// Credentials could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The change could not be journalled, so it was not made.
    #[error("the change could not be journalled, so it was not made")]
    Journal(#[from] JournalError),
    /// The file could not be replaced; the catalogue is as it was.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Configured cameras as a configuration file gives them.
pub type Configured = Vec<(Camera, Option<Credentials>)>;

impl Cameras {
    /// Reads the state file (no cameras if it is missing) and takes the configured cameras in. What the configuration
    /// changed since the last start is journalled.
    ///
    /// # Errors
    /// [`CamerasError::Damaged`] with what is wrong in the file, or what the configured cameras break.
    pub fn open(path: &Path, key: NodeKey, journal: Arc<Journal>, configured: Configured) -> Result<Self, CamerasError> {
        let damaged = |why| CamerasError::Damaged { path: path.to_owned(), why };
        let (state, known) = match durable::read(path)? {
            Some(bytes) => stored::parse(&bytes).map_err(damaged)?,
            None => (State::default(), BTreeMap::new()),
        };
        let verdicts = Verdicts::open(&path.with_extension("drivers.json"));
        let cameras =
            Self { path: path.to_owned(), key, journal, changing: Mutex::default(), state: Mutex::new(state), verdicts };
        cameras.configure(configured, &known)?;
        Ok(cameras)
    }

    /// Takes the configured cameras of a reloaded configuration file.
    ///
    /// # Errors
    /// What they break; the catalogue is as it was.
    pub fn reload(&self, configured: Configured) -> Result<(), CamerasError> {
        let _changing = self.begin();
        let known = self.lock().configured.values().map(|(camera, _)| (camera.id, camera.clone())).collect();
        self.configure(configured, &known)
    }

    /// Every camera, by number.
    #[must_use]
    pub fn list(&self) -> Vec<Entry> {
        let state = self.lock();
        let mut all: Vec<Entry> = state
            .added
            .values()
            .map(|added| self.entry(&added.camera, Managed::Api, added.sealed.is_some()))
            .chain(state.configured.values().map(|(camera, secret)| self.entry(camera, Managed::Config, secret.is_some())))
            .collect();
        all.sort_by_key(|entry| entry.camera.id);
        all
    }

    /// One camera.
    #[must_use]
    pub fn get(&self, id: CameraId) -> Option<Entry> {
        let state = self.lock();
        match (state.added.get(&id), state.configured.get(&id)) {
            (Some(added), _) => Some(self.entry(&added.camera, Managed::Api, added.sealed.is_some())),
            (None, Some((camera, secret))) => Some(self.entry(camera, Managed::Config, secret.is_some())),
            (None, None) => None,
        }
    }

    /// The cameras that are no longer recorded, by number. What they left is kept for its term.
    #[must_use]
    pub fn removed(&self) -> Vec<Removed> {
        self.lock().removed.values().cloned().collect()
    }

    /// A camera that is no longer recorded.
    #[must_use]
    pub fn get_removed(&self, id: CameraId) -> Option<Removed> {
        self.lock().removed.get(&id).cloned()
    }

    /// The whole wanted set with its credentials, by number: what ingest is to record. A sealed password that does not
    /// open is left out and logged; the camera then says that it refuses us.
    #[must_use]
    pub fn wanted(&self) -> Vec<(Camera, Option<Credentials>)> {
        let state = self.lock();
        let open = |added: &Added| {
            let opened = added.sealed.as_ref().map(|sealed| self.key.open(added.camera.id, sealed)).transpose();
            opened.unwrap_or_else(|error| {
                tracing::error!(camera = %added.camera.id, %error, "a camera's password cannot be used");
                None
            })
        };
        let mut all: Vec<_> = state.added.values().map(|added| (added.camera.clone(), open(added))).collect();
        all.extend(state.configured.values().cloned());
        all.sort_by_key(|(camera, _)| camera.id);
        all
    }

    /// Adds a camera, or changes one that the API manages. Durable, and in the journal, when this returns.
    ///
    /// # Errors
    /// Why the catalogue is as it was.
    pub fn upsert(&self, by: &Actor, camera: Camera, password: Password) -> Result<(), CamerasError> {
        let id = camera.id;
        camera.check().map_err(|error| CamerasError::Camera(id, error))?;
        let _changing = self.begin();
        let state = self.lock().clone();
        if state.configured.contains_key(&id) {
            return Err(CamerasError::Configured(id));
        }
        let before = state.added.get(&id);
        if before.is_none() && state.added.len() + state.configured.len() >= MAX_CAMERAS {
            return Err(CamerasError::TooMany);
        }
        let word = match password {
            Password::Keep => "kept",
            Password::Clear => "cleared",
            Password::Set(_) => "set",
        };
        let sealed = match password {
            Password::Set(credentials) => Some(self.key.seal(id, &credentials)?),
            Password::Clear => None,
            Password::Keep => match before {
                Some(Added { camera: old, sealed: Some(_) }) if !same_hosts(old, &camera) => {
                    return Err(CamerasError::PasswordForNewHost(id));
                }
                _ => before.and_then(|added| added.sealed.clone()),
            },
        };
        let kind = if before.is_some() { "camera.changed" } else { "camera.added" };
        let body = serde_json::json!({
            "by": by, "camera": id, "before": before.map(|added| &added.camera), "after": camera, "password": word,
        });
        let mut next = state;
        next.added.insert(id, Added { camera, sealed });
        next.remember_removed(&BTreeMap::new(), UtcMicros::now());
        self.store(next, vec![(kind, body)])
    }

    /// Removes a camera that the API manages. Its footage stays until its term; the ledger then says not configured.
    ///
    /// # Errors
    /// [`CamerasError::Unknown`], [`CamerasError::Configured`].
    pub fn remove(&self, by: &Actor, id: CameraId) -> Result<(), CamerasError> {
        let _changing = self.begin();
        let mut next = self.lock().clone();
        if next.configured.contains_key(&id) {
            return Err(CamerasError::Configured(id));
        }
        let removed = next.added.remove(&id).ok_or(CamerasError::Unknown(id))?;
        let body = serde_json::json!({ "by": by, "camera": id, "before": removed.camera, "after": null });
        next.remember_removed(&BTreeMap::from([(id, removed.camera)]), UtcMicros::now());
        self.store(next, vec![("camera.removed", body)])
    }

    /// States all cameras in the journal if it does not say so already: a journal that is older than such statements, or a change that a
    /// crash kept out of the file, would leave nodes above with other cameras than there are. `told` is what the journal says up to some
    /// record; what it says since is read here. Returns whether a statement was needed. Waits for the disk.
    ///
    /// # Errors
    /// If the journal does not read back, or does not take it.
    pub fn state_if_unsaid(&self, mut told: Told, after: Seq) -> Result<bool, JournalError> {
        let _changing = self.begin();
        let tail = self.journal.tail();
        site::read_on(&mut told, &*self.journal, after, tail)?;
        let stated = self.stated();
        if told.is(&stated) {
            return Ok(false);
        }
        let now = UtcMicros::now();
        let records = site::statement(&stated).into_iter().map(|body| Record::new(now, site::LISTED, body));
        self.journal.append_all(records.collect())?;
        Ok(true)
    }

    /// The cameras as nodes above may know them, by number.
    fn stated(&self) -> Vec<Stated> {
        self.list().iter().map(|entry| Stated::from(&entry.camera)).collect()
    }

    /// Which driver worked with a camera, if that was remembered.
    #[must_use]
    pub fn remembered(&self, id: CameraId) -> Option<Driver> {
        self.verdicts.get(id)
    }

    /// Remembers which driver works with a camera. Returns at once; the file follows soon.
    pub fn remember(&self, id: CameraId, driver: Driver) {
        self.verdicts.set(id, driver);
    }

    /// Puts the configured cameras in place of those known from before, and journals what differs.
    fn configure(&self, configured: Configured, known: &BTreeMap<CameraId, Camera>) -> Result<(), CamerasError> {
        let mut next = State { configured: BTreeMap::new(), ..self.lock().clone() };
        for (camera, credentials) in configured {
            let id = camera.id;
            camera.check().map_err(|error| CamerasError::Camera(id, error))?;
            if next.added.contains_key(&id) || next.configured.insert(id, (camera, credentials)).is_some() {
                return Err(CamerasError::Twice(id));
            }
        }
        if next.added.len() + next.configured.len() > MAX_CAMERAS {
            return Err(CamerasError::TooMany);
        }
        next.remember_removed(known, UtcMicros::now());
        let changes = differences(known, &next.configured);
        if changes.is_empty() {
            // Only passwords can differ, and those are nowhere but in memory.
            *self.lock() = next;
            return Ok(());
        }
        self.store(next, changes)
    }

    /// The records first, then the file, then memory: a change is never in force without its record.
    fn store(&self, next: State, records: Vec<(&'static str, serde_json::Value)>) -> Result<(), CamerasError> {
        let now = UtcMicros::now();
        let tickets: Vec<_> = records.into_iter().map(|(kind, body)| self.journal.append(Record::new(now, kind, body))).collect();
        for ticket in tickets {
            ticket.wait()?;
        }
        let bytes = stored::encode(&next).map_err(|why| CamerasError::Damaged { path: self.path.clone(), why })?;
        if let Err(error) = durable::replace(&self.path, &bytes, 0o600) {
            drop(self.journal.append(Record::new(UtcMicros::now(), "camera.undone", serde_json::json!({}))));
            // What was just told is not so: nodes above are told what is.
            let stated = self.stated();
            site::statement(&stated).into_iter().for_each(|body| drop(self.journal.append(Record::new(now, site::LISTED, body))));
            return Err(error.into());
        }
        *self.lock() = next;
        Ok(())
    }

    fn begin(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, camera: &Camera, managed: Managed, has_password: bool) -> Entry {
        let verdict = self.verdicts.get(camera.id);
        Entry { camera: camera.clone(), managed, has_password, verdict, initials: initials(&camera.name) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Cameras {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cameras").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Whether a password known for `old` would go to no other host with `new`.
fn same_hosts(old: &Camera, new: &Camera) -> bool {
    let host = |address: &str| {
        let authority = address.split("://").nth(1).unwrap_or_default().split(['/', '?', '#']).next().unwrap_or_default();
        authority.to_ascii_lowercase()
    };
    let trusted: Vec<String> = [Some(&old.main), old.sub.as_ref()].into_iter().flatten().map(|a| host(a.as_str())).collect();
    [Some(&new.main), new.sub.as_ref()].into_iter().flatten().all(|address| trusted.contains(&host(address.as_str())))
}

/// What changed between the configured cameras known before and those of now.
fn differences(
    known: &BTreeMap<CameraId, Camera>,
    now: &BTreeMap<CameraId, (Camera, Option<Credentials>)>,
) -> Vec<(&'static str, serde_json::Value)> {
    let record = |id: &CameraId, before: Option<&Camera>, after: Option<&Camera>| serde_json::json!({ "by": Actor::Config, "camera": id, "before": before, "after": after });
    let gone = known.iter().filter(|(id, _)| !now.contains_key(id));
    let mut changes: Vec<_> = gone.map(|(id, before)| ("camera.removed", record(id, Some(before), None))).collect();
    for (id, (after, _)) in now {
        match known.get(id) {
            None => changes.push(("camera.added", record(id, None, Some(after)))),
            Some(before) if before != after => changes.push(("camera.changed", record(id, Some(before), Some(after)))),
            Some(_) => {}
        }
    }
    changes
}

#[cfg(test)]
mod tests;
