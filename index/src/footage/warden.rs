//! The one who watches the volumes from outside: a writer that waits for a disk can tell nobody. It moves streams away from a volume
//! that stands still, finds out whether a disk is still there, takes a volume out when it is not, and in again when it is back.
//! It never touches a disk itself: whatever might wait for one is done by a thread of its own, at most one a volume.

use super::{
    keeper::{self, Keeper, Leftovers},
    scrub::Scrub,
    shared::Shared,
    shelf,
    types::VolumeState,
    volume::{Identity, Unsound, Volume, lock},
    writer::{self, Writer},
};
use std::{
    collections::HashMap,
    io,
    sync::{Arc, atomic::Ordering, mpsc},
    thread::{Builder, JoinHandle},
    time::Duration,
};

/// How often it looks at what its volumes do.
pub(super) const TURN: Duration = Duration::from_millis(250);
/// How often a volume's name is read, to see that it is there.
const LOOK: Duration = Duration::from_secs(5);
/// The same where there is doubt.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Looks in a row that must fail.
const DOUBTS: u32 = 2;
/// A warden that had no turn for so long did not run: the process was stopped, or the machine under it.
const STOOD: Duration = Duration::from_secs(5);

/// The threads of a volume.
pub(super) type Crew = Vec<(u16, JoinHandle<()>)>;

/// Gives a volume its writer, its keeper, and who reads it again.
pub(super) fn staff(shared: &Arc<Shared>, volume: &Arc<Volume>, leftovers: Leftovers) -> io::Result<()> {
    let writer = Writer::new(Arc::clone(volume), Arc::clone(shared));
    let keeper = Keeper { volume: Arc::clone(volume), shared: Arc::clone(shared) };
    // A first few files at once: the rest of the pool grows while recording goes on.
    keeper.grow(4);
    let scrub = Scrub::new(Arc::clone(volume), Arc::clone(shared));
    let named = |role: &str| Builder::new().name(format!("{role}-{}", volume.index));
    let threads = [
        named("writer").spawn(move || writer::run(writer))?,
        named("keeper").spawn(move || keeper.run(leftovers))?,
        named("scrub").spawn(move || scrub.run())?,
    ];
    lock(&shared.crew).extend(threads.map(|thread| (volume.index, thread)));
    Ok(())
}

/// What a thread sent out found.
enum Found {
    /// Whether the volume's name could be read.
    Name(Arc<Volume>, io::Result<()>),
    /// A volume that is back, or why it is not.
    Back(u16, Result<(Arc<Volume>, Leftovers), String>),
}

/// What the warden remembers of a volume.
#[derive(Default)]
struct Look {
    last: Duration,
    away: bool,
    doubts: u32,
}

/// See the module.
pub(super) struct Warden {
    shared: Arc<Shared>,
    looks: HashMap<u16, Look>,
    /// When it had its last turn.
    turned: Option<Duration>,
    sent: mpsc::Sender<Found>,
    found: mpsc::Receiver<Found>,
}

impl Warden {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let (sent, found) = mpsc::channel();
        Self { shared, looks: HashMap::new(), turned: None, sent, found }
    }

    /// The thread: until the store is closed.
    pub(super) fn run(mut self) {
        while !self.shared.closed.load(Ordering::Acquire) {
            self.round();
            std::thread::park_timeout(TURN);
        }
    }

    /// Looks at every volume once.
    pub(super) fn round(&mut self) {
        let now = self.shared.world.monotonic();
        let stood = self.turned.replace(now).map(|turned| now.saturating_sub(turned)).filter(|stood| *stood >= STOOD);
        if let Some(stood) = stood {
            self.shared.stood_still(stood);
        }
        while let Ok(found) = self.found.try_recv() {
            self.take_in(found);
        }
        for volume in self.shared.volumes.all().iter() {
            self.watch(volume);
        }
    }

    fn watch(&mut self, volume: &Arc<Volume>) {
        let now = self.shared.world.monotonic();
        let busy = lock(&volume.queue).writing_since.map(|since| now.saturating_sub(since));
        if let Some(busy) = busy {
            let changed = lock(&volume.stats).fare.busy(busy, self.shared.world.now());
            if changed.is_some() {
                self.shared.fare_changed(volume);
            }
        }
        if !volume.is_home() {
            self.shared.evacuate(volume);
        }
        if self.shared.closing.load(Ordering::Acquire) || volume.removed.load(Ordering::Acquire) {
            self.dismiss(volume);
            return;
        }
        let state = volume.state();
        if state == VolumeState::Failed {
            self.dismiss(volume);
        }
        let look = self.looks.entry(volume.index).or_default();
        let every = if state == VolumeState::Ok && look.doubts == 0 { LOOK } else { LOOK_AGAIN };
        let asked = volume.ask_again.swap(false, Ordering::AcqRel);
        if look.away || (now.saturating_sub(look.last) < every && !asked) {
            if asked {
                volume.ask_again.store(true, Ordering::Release);
            }
            return;
        }
        (look.last, look.away) = (now, true);
        if volume.is_absent() || (asked && state == VolumeState::Draining) {
            self.send_for(volume);
        } else {
            self.send_look(volume);
        }
    }

    /// Reads the volume's name.
    fn send_look(&self, volume: &Arc<Volume>) {
        let (volume, sent, node) = (Arc::clone(volume), self.sent.clone(), self.shared.setup.node);
        let look = move || {
            let read = Identity::read(&*volume.disk);
            let same = read.and_then(|read| match read {
                Ok(identity) if identity.id == volume.id => Ok(()),
                Ok(_) => Err(io::Error::new(io::ErrorKind::NotFound, "another volume is in its place")),
                Err(Unsound::Damaged(reason)) => {
                    tracing::error!(volume = %volume.name, reason, "whose the volume is is written anew");
                    Identity::of(&volume, node).write(&*volume.disk)
                }
                Err(Unsound::Unknown(reason)) => Err(io::Error::new(io::ErrorKind::InvalidData, reason)),
            });
            drop(sent.send(Found::Name(volume, same)));
        };
        drop(Builder::new().name("look".into()).spawn(look));
    }

    /// Tries to open a volume that was away. One that is draining must have let go of its disk first.
    fn send_for(&self, volume: &Arc<Volume>) {
        let (shared, sent, setup, index) = (Arc::clone(&self.shared), self.sent.clone(), volume.setup(), volume.index);
        if !volume.is_absent() {
            volume.retire();
        }
        let idle = !lock(&self.shared.crew).iter().any(|(of, thread)| *of == index && !thread.is_finished());
        let open = move || {
            let back = match idle {
                true => open(&shared, index, &setup).map_err(|error| shelf::chain(&error)),
                false => Err("a thread still waits for its disk".to_owned()),
            };
            drop(sent.send(Found::Back(index, back)));
        };
        drop(Builder::new().name("open".into()).spawn(open));
    }

    fn take_in(&mut self, found: Found) {
        match found {
            Found::Name(volume, read) => {
                let look = self.looks.entry(volume.index).or_default();
                look.away = false;
                look.doubts = if read.is_ok() { 0 } else { look.doubts + 1 };
                if let (Err(error), true) = (read, look.doubts >= DOUBTS) {
                    let changed = lock(&volume.stats).fare.unreadable(&error, self.shared.world.now());
                    if changed.is_some() {
                        self.shared.fare_changed(&volume);
                    }
                }
            }
            Found::Back(index, back) => {
                *self.looks.entry(index).or_default() = Look { last: self.shared.world.monotonic(), ..Look::default() };
                match back {
                    Ok((volume, leftovers)) => self.install(&volume, leftovers),
                    Err(why) => tracing::debug!(index, why, "the volume is not back"),
                }
            }
        }
    }

    /// A volume is back, with what is on it.
    fn install(&self, volume: &Arc<Volume>, leftovers: Leftovers) {
        self.shared.take_back(volume);
        match staff(&self.shared, volume, leftovers) {
            Ok(()) => self.shared.fare_changed(volume),
            Err(error) => tracing::error!(volume = %volume.name, %error, "no thread for a volume that is back"),
        }
    }

    /// Lets a volume's threads end; when they have, lets go of its disk, so that it can be unmounted.
    fn dismiss(&self, volume: &Arc<Volume>) {
        if self.shared.closing.load(Ordering::Acquire) || volume.is_absent() {
            return;
        }
        volume.retire();
        let mut crew = lock(&self.shared.crew);
        crew.iter().filter(|(of, _)| *of == volume.index).for_each(|(_, thread)| thread.thread().unpark());
        if crew.iter().any(|(of, thread)| *of == volume.index && !thread.is_finished()) {
            return;
        }
        let ended: Vec<_> = crew.extract_if(.., |(of, _)| *of == volume.index).collect();
        drop(crew);
        for (_, thread) in ended {
            if thread.join().is_err() {
                tracing::error!(volume = %volume.name, "a thread of the footage store panicked");
            }
        }
        volume.disk.release();
        self.shared.away.remember(volume, &self.shared.catalogue);
        self.shared.catalogue.remove_volume(volume.index);
        let why = lock(&volume.stats).fare.last_error().unwrap_or("it is not configured any more").to_owned();
        self.shared.install(&Arc::new(volume.absent(why, self.shared.world.now())));
    }
}

/// Opens a volume for the place that it has: at a start, when it was added, and when it is back.
pub(super) fn open(
    shared: &Arc<Shared>,
    index: u16,
    setup: &super::VolumeSetup,
) -> Result<(Arc<Volume>, Leftovers), super::OpenError> {
    let known = shared.roster.id(&setup.name);
    let disk = shared.shelf.disk(setup, known.is_some())?;
    let refuse = |source| shelf::refusal(&setup.name, &setup.path, source);
    let fresh = super::opening::fresh_id(&*shared.world);
    let identity = Identity::read_or_make(&*disk, shared.setup.node, fresh).map_err(refuse)?;
    let (name, path) = (setup.name.clone(), setup.path.clone());
    let identity = identity.map_err(|reason| super::OpenError::Foreign { volume: name, path, reason })?;
    if shared.volumes.all().iter().any(|other| other.index != index && other.id == identity.id) {
        let (volume, path) = (setup.name.clone(), setup.path.clone());
        return Err(super::OpenError::Locked { volume, path });
    }
    let volume = Arc::new(shared.volume(index, setup, disk, identity.id));
    shared.catalogue.remove_volume(index);
    let leftovers = keeper::open(&volume, shared).map_err(refuse)?;
    shared.check_room(&volume)?;
    shared.roster.note(&setup.name, identity.id);
    Ok((volume, leftovers))
}
