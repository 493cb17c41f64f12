//! What people ask the store about keeping and forgetting: holds, orders of erasure, and whether the promise of retention is kept.
//! The rules are in [`super::custody`] and [`super::forecast`]; here they meet the catalogue, the disks and the clock.

use super::{
    Store,
    catalogue::StreamIndex,
    custody::{Act, CustodyError, Deed, Erasure, ErasureState, Hold, HoldState, Order},
    forecast::{self, Book, Forewarning},
    pool::Size,
    shared::Shared,
    volume::{Volume, lock},
};
use crate::model::{RetentionClass, StreamId, UtcMicros};
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// How often it is looked whether the promise will be kept: it is days that are forecast.
const LOOK_AHEAD: Duration = Duration::from_secs(600);

/// How the promise of retention stands.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Bytes that holds may take up.
    pub quota: u64,
    /// Bytes that they take up.
    pub held: u64,
    /// One for each volume, in the order of the configuration.
    pub volumes: Vec<VolumeRetention>,
    /// One for each stream that there is footage of, by number.
    pub streams: Vec<StreamRetention>,
}

/// How a volume fills.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VolumeRetention {
    /// Its name.
    pub name: String,
    /// Bytes that segments may take up.
    pub capacity: u64,
    /// Bytes that hold footage.
    pub used: u64,
    /// Of these, held.
    pub held: u64,
    /// Bytes that come in a day, by the rate of recorded time.
    pub rate_a_day: u64,
    /// When the free room is used up, and the oldest footage begins to make way.
    pub full: Option<UtcMicros>,
    /// When there will be no room although nothing may go: from then on new footage is lost. `None` if that is not to be expected within
    /// the shortest term.
    pub breaks: Option<UtcMicros>,
    /// Whether people are told of that: from [`super::WARNING`] before it on. Looked at every ten minutes.
    pub warned: Option<Forewarning>,
}

/// What is kept of one stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamRetention {
    /// Which stream.
    pub stream: StreamId,
    /// The class of its newest footage.
    pub class: RetentionClass,
    /// How long that is kept.
    pub term: Duration,
    /// Its oldest picture.
    pub oldest: UtcMicros,
    /// Bytes that come in a day.
    pub rate_a_day: u64,
    /// Bytes of it that are held.
    pub held: u64,
}

impl Shared {
    /// Ends what nobody approved in time and what is over. A clock that jumped ends nothing (C5).
    pub(super) fn end_overdue(&self) {
        let Some(now) = self.retention_now() else { return };
        if self.ledger.custody(|custody| custody.overdue(now)).is_empty() {
            return;
        }
        let still = self.ledger.still();
        for act in self.ledger.custody(|custody| custody.overdue(now)) {
            if let Err(error) = self.ledger.act(&still, &act) {
                tracing::error!(%error, act = act.kind(), "what is over cannot be ended");
            }
        }
    }

    fn holds_in_force(&self) -> Vec<(Order, UtcMicros)> {
        let in_force = |hold: &&Hold| hold.in_force();
        self.ledger
            .custody(|custody| custody.holds.values().filter(in_force).map(|hold| (hold.order.clone(), hold.expires)).collect())
    }

    fn capacity(&self) -> u64 {
        self.volumes.all().iter().map(|volume| volume.capacity).sum()
    }

    fn hold_quota(&self) -> u64 {
        (u128::from(self.capacity()) * u128::from(self.setup.hold_percent) / 100) as u64
    }

    fn file_bytes(&self, stream: StreamId) -> u64 {
        match Size::of(stream.kind) {
            Size::Main => self.setup.segment_bytes,
            Size::Sub => self.setup.sub_segment_bytes,
        }
    }

    /// Bytes that these orders keep, each segment once, and those that they will keep of what is yet to be filmed.
    fn bytes_under(&self, orders: &[Order], now: UtcMicros) -> u64 {
        let streams = self.catalogue.read();
        let one = |(stream, index): (&StreamId, &StreamIndex)| {
            let mine: Vec<&Order> = orders.iter().filter(|order| order.cameras.contains(&stream.camera)).collect();
            if mine.is_empty() {
                return 0;
            }
            let size = self.file_bytes(*stream);
            let held = index.segments().iter().filter(|meta| mine.iter().any(|order| order.window.overlaps(meta.window)));
            let ahead = mine.iter().map(|order| order.window.to.since(order.window.from.max(now))).max().unwrap_or_default();
            held.map(|meta| forecast::cost(meta, size)).sum::<u64>()
                + (forecast::rate(index, size, now) * ahead.as_secs_f64()) as u64
        };
        streams.iter().map(one).sum()
    }
}

impl Store {
    /// Every hold there ever was, by number.
    #[must_use]
    pub fn holds(&self) -> Vec<Hold> {
        self.shared.ledger.custody(|custody| custody.holds.values().cloned().collect())
    }

    /// Every order of erasure there ever was, by number.
    #[must_use]
    pub fn erasures(&self) -> Vec<Erasure> {
        self.shared.ledger.custody(|custody| custody.erasures.values().cloned().collect())
    }

    /// Bytes that these holds keep together, each segment counted once, what is yet to be filmed included.
    #[must_use]
    pub fn bytes_held(&self, orders: &[Order]) -> u64 {
        self.shared.bytes_under(orders, self.shared.world.now())
    }

    /// Asks for a hold, which protects at once and waits for a second person. Waits for the journal: not for async code.
    ///
    /// # Errors
    /// [`CustodyError::Quota`] rather than footage that is pushed out before its term; [`CustodyError`] for what makes no sense.
    pub fn request_hold(&self, order: Order, expires: UtcMicros, by: &str) -> Result<Hold, CustodyError> {
        let (now, still) = (self.shared.world.now(), self.shared.ledger.still());
        let mut orders: Vec<Order> = self.shared.holds_in_force().into_iter().map(|(order, _)| order).collect();
        orders.push(order.clone());
        let (wanted, quota) = (self.shared.bytes_under(&orders, now), self.shared.hold_quota());
        let hold = Hold {
            id: self.shared.ledger.custody(super::custody::Custody::next),
            order,
            expires,
            state: HoldState::Requested,
            asked: Deed { by: by.to_owned(), at: now },
            approved: None,
            release_asked: None,
            ended: None,
        };
        let act = Act::HoldRequested(hold.clone());
        self.shared.ledger.custody(|custody| custody.check(&act))?;
        if wanted > quota {
            return Err(CustodyError::Quota { wanted, quota });
        }
        self.shared.ledger.act(&still, &act)?;
        Ok(hold)
    }

    /// Says yes to a hold, as somebody else than who asked.
    ///
    /// # Errors
    /// [`CustodyError::SecondPerson`], [`CustodyError::State`], [`CustodyError::Unknown`], [`CustodyError::Journal`].
    pub fn approve_hold(&self, id: u64, by: &str) -> Result<Hold, CustodyError> {
        self.hold_act(id, &Act::HoldApproved { id, deed: self.deed(by) })
    }

    /// Says no to a hold, or takes one's own request back.
    ///
    /// # Errors
    /// As [`Store::approve_hold`].
    pub fn decline_hold(&self, id: u64, by: &str) -> Result<Hold, CustodyError> {
        self.hold_act(id, &Act::HoldDeclined { id, deed: self.deed(by) })
    }

    /// Asks for the release of a hold; asked by a second person too, it is released. The state of what is returned says which.
    ///
    /// # Errors
    /// As [`Store::approve_hold`].
    pub fn release_hold(&self, id: u64, by: &str, reason: &str) -> Result<Hold, CustodyError> {
        let asked = self.shared.ledger.custody(|custody| custody.hold(id).map(|hold| hold.release_asked.is_some()))?;
        let (deed, reason) = (self.deed(by), reason.to_owned());
        let act = if asked { Act::HoldReleased { id, deed, reason } } else { Act::ReleaseAsked { id, deed, reason } };
        self.hold_act(id, &act)
    }

    /// Asks for an erasure. Nothing is touched before a second person approves it.
    ///
    /// # Errors
    /// [`CustodyError::Future`] for what is still being filmed; [`CustodyError`].
    pub fn request_erasure(&self, order: Order, by: &str) -> Result<Erasure, CustodyError> {
        let (deed, still) = (self.deed(by), self.shared.ledger.still());
        if order.window.to > deed.at {
            return Err(CustodyError::Future);
        }
        let id = self.shared.ledger.custody(super::custody::Custody::next);
        let (state, erased) = (ErasureState::Requested, Default::default());
        let erasure = Erasure { id, order, state, asked: deed, approved: None, ended: None, erased };
        self.shared.ledger.act(&still, &Act::ErasureRequested(erasure.clone()))?;
        Ok(erasure)
    }

    /// Says yes to an erasure, as somebody else than who asked. It is carried out in the background.
    ///
    /// # Errors
    /// [`CustodyError::Held`] if one hold has all of it (C4); otherwise as [`Store::approve_hold`].
    pub fn approve_erasure(&self, id: u64, by: &str) -> Result<Erasure, CustodyError> {
        self.shared.ledger.custody(|custody| {
            let order = &custody.erasure(id)?.order;
            let whole = |hold: &&Hold| {
                let cameras = order.cameras.iter().all(|camera| hold.order.cameras.contains(camera));
                hold.in_force() && cameras && hold.order.window.covers(order.window)
            };
            custody.holds.values().find(whole).map_or(Ok(()), |hold| Err(CustodyError::Held(hold.id)))
        })?;
        let erasure = self.erasure_act(id, &Act::ErasureApproved { id, deed: self.deed(by) })?;
        for volume in self.shared.volumes.all().iter() {
            volume.chores.notify_all();
        }
        Ok(erasure)
    }

    /// Says no to an erasure, or takes one's own request back.
    ///
    /// # Errors
    /// As [`Store::approve_hold`].
    pub fn decline_erasure(&self, id: u64, by: &str) -> Result<Erasure, CustodyError> {
        self.erasure_act(id, &Act::ErasureDeclined { id, deed: self.deed(by) })
    }

    fn deed(&self, by: &str) -> Deed {
        Deed { by: by.to_owned(), at: self.shared.world.now() }
    }

    fn hold_act(&self, id: u64, act: &Act) -> Result<Hold, CustodyError> {
        let still = self.shared.ledger.still();
        self.shared.ledger.act(&still, act)?;
        self.shared.ledger.custody(|custody| custody.hold(id).cloned())
    }

    fn erasure_act(&self, id: u64, act: &Act) -> Result<Erasure, CustodyError> {
        let still = self.shared.ledger.still();
        self.shared.ledger.act(&still, act)?;
        self.shared.ledger.custody(|custody| custody.erasure(id).cloned())
    }

    /// How the promise of retention stands, and when it breaks if things go on as they do. Reads memory only, and all of it that is
    /// about segments: not for async code.
    #[must_use]
    pub fn retention(&self) -> Retention {
        self.shared.retention(self.shared.world.now())
    }

    /// As [`Store::retention`], but what it was at most `age` ago will do. Many who ask at once wait for one of them to find out.
    #[must_use]
    pub fn retention_within(&self, age: Duration) -> Arc<Retention> {
        let mut seen = lock(&self.shared.retention_seen);
        let now = self.shared.world.monotonic();
        if let Some((_, kept)) = seen.as_ref().filter(|(at, _)| now.saturating_sub(*at) <= age) {
            return Arc::clone(kept);
        }
        let kept = Arc::new(self.retention());
        *seen = Some((now, Arc::clone(&kept)));
        kept
    }
}

impl Shared {
    /// Looks whether the promise will break, if it is time to look, and tells who must know: that it will, and that it will not after
    /// all, are events. A clock that is not believed forecasts nothing, nor does a catalogue that is not yet whole.
    pub(super) fn forewarn(&self) {
        let Some(now) = self.retention_now().filter(|_| !self.is_recovering()) else { return };
        let monotonic = self.world.monotonic();
        {
            let mut looked = lock(&self.looked_ahead);
            if looked.is_some_and(|looked| monotonic.saturating_sub(looked) < LOOK_AHEAD) {
                return;
            }
            *looked = Some(monotonic);
        }
        for (index, volume) in (0..).zip(self.retention(now).volumes) {
            let warned = forecast::forewarned(volume.warned, volume.breaks, now);
            match warned {
                Some(warned) => drop(lock(&self.forewarned).insert(index, warned)),
                None => drop(lock(&self.forewarned).remove(&index)),
            }
            if warned.is_some() != volume.warned.is_some() {
                self.ledger.note("footage.retention", told(&volume.name, warned));
            }
        }
    }

    fn retention(&self, now: UtcMicros) -> Retention {
        let shared = self;
        let holds = shared.holds_in_force();
        let terms = &shared.setup.terms;
        let volumes = shared.volumes.all();
        let mut books: HashMap<u16, Book> = HashMap::new();
        let mut rates: HashMap<usize, f64> = HashMap::new();
        let mut streams = Vec::new();
        let places = lock(&shared.places).clone();
        for (stream, index) in &*shared.catalogue.read() {
            let (Some(first), Some(last)) = (index.segments().first(), index.segments().last()) else { continue };
            let size = shared.file_bytes(*stream);
            let mut held = 0;
            for meta in index.segments() {
                let book = books.entry(meta.key.volume).or_default();
                let before = book.held;
                book.enter(*stream, meta, size, terms, &holds);
                held += book.held - before;
            }
            let rate = forecast::rate(index, size, now);
            *rates.entry(places.get(stream).copied().unwrap_or_default()).or_default() += rate;
            let (class, oldest) = (last.class, first.window.from);
            let rate_a_day = forecast::a_day(rate);
            streams.push(StreamRetention { stream: *stream, class, term: terms.of(class), oldest, rate_a_day, held });
        }
        streams.sort_unstable_by_key(|kept| kept.stream);
        let horizon = now + terms.standard.min(terms.key_target);
        let volume = |volume: &Volume| {
            let free = free_bytes(volume);
            let (book, rate) = (
                books.remove(&volume.index).unwrap_or_default(),
                rates.get(&usize::from(volume.index)).copied().unwrap_or_default(),
            );
            VolumeRetention {
                name: volume.name.clone(),
                capacity: volume.capacity,
                used: volume.capacity.saturating_sub(free),
                held: book.held,
                rate_a_day: forecast::a_day(rate),
                full: (rate > 0.0).then(|| now + Duration::from_secs_f64((free as f64 / rate).min(1e9))),
                // A disk that is not there is another trouble.
                breaks: (!volume.is_absent()).then(|| book.breaks(free, rate, now, horizon)).flatten(),
                warned: lock(&shared.forewarned).get(&volume.index).copied(),
            }
        };
        let mut volume = volume;
        let volumes: Vec<VolumeRetention> = volumes.iter().map(|each| volume(each)).collect();
        let orders: Vec<Order> = holds.iter().map(|(order, _)| order.clone()).collect();
        Retention { quota: shared.hold_quota(), held: shared.bytes_under(&orders, now), volumes, streams }
    }
}

/// The event that people are told by, or no longer.
fn told(volume: &str, warned: Option<Forewarning>) -> Value {
    match warned {
        Some(Forewarning { breaks, .. }) => json!({
            "volume": volume,
            "breaks_us": breaks,
            "text": {
                "zh": format!("磁盘 {volume} 预计于 {breaks} 写满而无到期录像可回收，此后新录像将无处可存：请增加磁盘、降低码率或解除保全"),
                "en": format!(
                    "Disk {volume} will be full at {breaks} with nothing past its term, and new footage is lost from then on: add a disk, \
                     lower bit rates or release holds"
                ),
            },
        }),
        None => json!({
            "volume": volume,
            "breaks_us": null,
            "severity": "info",
            "text": {
                "zh": format!("磁盘 {volume} 的空间恢复到足够保存期限"),
                "en": format!("Disk {volume} has room enough again for all terms"),
            },
        }),
    }
}

/// Bytes that new footage may take up on a volume before any other goes.
fn free_bytes(volume: &Volume) -> u64 {
    let pool = lock(&volume.pool);
    let ready: u64 = Size::ALL.into_iter().map(|size| pool.free(size) as u64 * pool.bytes_of(size)).sum();
    let freed: u64 = pool.limbo().iter().map(|(_, size)| pool.bytes_of(*size)).sum();
    // What the disk turned out not to have is not free, whatever is configured.
    let room = if volume.is_absent() { volume.capacity } else { volume.capacity.min(pool.capacity().max(pool.allocated())) };
    room.saturating_sub(pool.allocated()) + ready + freed
}
