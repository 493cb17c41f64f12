//! Which camera's picture is looked at next, and which cameras wait.
//!
//! Every camera has one place: the newest key picture that is due. A budget of CPU time fills steadily; each look draws what it cost. While
//! it suffices every due picture is looked at. When it does not, the camera whose wait weighs most comes next: the time since its last
//! look, four times as much for key cameras and twice for normal ones as for those of low priority. So load is shed from low priority
//! first, and nobody starves. A picture that a newer one replaces was passed over, and is counted (I11).
//!
//! The rule of streams: a camera with a sub-stream is looked at through it; through its main stream when it has none, or when none of its
//! sub-stream's key pictures came for ten seconds. What a picture costs its camera pays: the next is due when two seconds and a hundred
//! times the cost have passed, so no camera takes more than a hundredth of a core, whatever it sends.

use index::model::{CameraId, Priority, StreamId, StreamKind};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The least time from one look at a camera to the next. A little less than the two seconds that most cameras' GOPs last.
const EVERY: Duration = Duration::from_millis(1_800);
/// A camera's share of a core is at most one in so many.
const SHARE: u32 = 100;
/// The longest a costly picture puts off its camera's next look.
const PUT_OFF_MAX: Duration = Duration::from_secs(120);
/// Without a key picture of the sub-stream for so long, the main stream's are looked at.
const SUB_SILENT: Duration = Duration::from_secs(10);
/// A camera waits, as a state that is shown, after so many pictures passed over in a row.
const WAITS_FROM: u32 = 3;
/// The most CPU time that is saved up.
const SAVED_MAX: Duration = Duration::from_secs(1);

/// What is known of a camera.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Terms {
    pub(super) priority: Priority,
    pub(super) has_sub: bool,
}

/// See the module. `T` is a picture, `W` what is kept of a camera between its pictures and lent to whoever looks.
#[derive(Debug)]
pub(super) struct Turns<T, W> {
    cameras: BTreeMap<CameraId, Place<T, W>>,
    /// Nanoseconds of CPU time saved up; below 0 after a look that cost more.
    saved: i128,
    counted: Instant,
    /// CPU time a second.
    budget: Duration,
}

#[derive(Debug)]
struct Place<T, W> {
    terms: Terms,
    since: Instant,
    sub_seen: Option<Instant>,
    looked: Option<Instant>,
    cost: Duration,
    picture: Option<T>,
    /// `None` while somebody looks.
    kept: Option<W>,
    passed_over: u32,
    all_passed_over: u64,
}

/// What whoever is free does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T, W> {
    /// Look at this.
    Look(CameraId, T, W),
    /// The budget is spent: nothing before so long.
    Rest(Duration),
    /// Nothing is due.
    Idle,
}

/// How a camera stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Standing {
    pub(super) waits: bool,
    pub(super) passed_over: u64,
}

impl<T, W: Default> Turns<T, W> {
    /// With so much CPU time a second.
    pub(super) fn new(budget: Duration, now: Instant) -> Self {
        Self { cameras: BTreeMap::new(), saved: 0, counted: now, budget }
    }

    /// Makes these the cameras that are looked at.
    pub(super) fn apply(&mut self, wanted: &BTreeMap<CameraId, Terms>, now: Instant) {
        self.cameras.retain(|camera, _| wanted.contains_key(camera));
        for (camera, terms) in wanted {
            let place = self.cameras.entry(*camera).or_insert_with(|| Place::new(*terms, now));
            place.terms = *terms;
        }
    }

    /// A key picture came. Whether somebody should look for a turn.
    pub(super) fn offer(&mut self, stream: StreamId, picture: T, now: Instant) -> bool {
        let Some(place) = self.cameras.get_mut(&stream.camera) else { return false };
        if !place.takes(stream.kind, now) || !place.is_due(now) {
            return false;
        }
        if place.picture.replace(picture).is_some() {
            place.passed_over += 1;
            place.all_passed_over += 1;
        }
        place.kept.is_some()
    }

    /// What to do now.
    pub(super) fn next(&mut self, now: Instant) -> Next<T, W> {
        self.fill(now);
        let waiting = self.cameras.iter().filter(|(_, place)| place.picture.is_some() && place.kept.is_some());
        let Some((camera, _)) = waiting.max_by_key(|(camera, place)| (place.weight(now), std::cmp::Reverse(**camera))) else {
            return Next::Idle;
        };
        if self.saved <= 0 {
            return Next::Rest(self.until_filled());
        }
        let camera = *camera;
        let taken = self.cameras.get_mut(&camera).and_then(|place| Some((place.picture.take()?, place.kept.take()?)));
        taken.map_or(Next::Idle, |(picture, kept)| Next::Look(camera, picture, kept))
    }

    /// A look is over and cost so much CPU time.
    pub(super) fn done(&mut self, camera: CameraId, kept: W, cost: Duration, now: Instant) {
        self.saved -= cost.as_nanos() as i128;
        if let Some(place) = self.cameras.get_mut(&camera) {
            (place.kept, place.looked, place.cost, place.passed_over) = (Some(kept), Some(now), cost, 0);
        }
    }

    /// How each camera stands.
    pub(super) fn standing(&self) -> impl Iterator<Item = (CameraId, Standing)> {
        let standing =
            |place: &Place<T, W>| Standing { waits: place.passed_over >= WAITS_FROM, passed_over: place.all_passed_over };
        self.cameras.iter().map(move |(camera, place)| (*camera, standing(place)))
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted).min(Duration::from_secs(10));
        self.counted = now;
        let more = passed.as_nanos() as i128 * self.budget.as_nanos() as i128 / 1_000_000_000;
        self.saved = (self.saved + more).min(SAVED_MAX.min(self.budget).as_nanos() as i128);
    }

    fn until_filled(&self) -> Duration {
        let missing = (1_000_000 - self.saved).max(0) as f64;
        Duration::from_secs_f64((missing / self.budget.as_nanos().max(1) as f64).clamp(0.001, 10.0))
    }
}

impl<T, W: Default> Place<T, W> {
    fn new(terms: Terms, now: Instant) -> Self {
        let (sub_seen, looked, picture, kept) = (None, None, None, Some(W::default()));
        Self { terms, since: now, sub_seen, looked, cost: Duration::ZERO, picture, kept, passed_over: 0, all_passed_over: 0 }
    }

    fn takes(&mut self, kind: StreamKind, now: Instant) -> bool {
        match kind {
            StreamKind::Sub => {
                self.sub_seen = Some(now);
                true
            }
            StreamKind::Main => {
                !self.terms.has_sub || now.saturating_duration_since(self.sub_seen.unwrap_or(self.since)) > SUB_SILENT
            }
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        let every = EVERY.max((self.cost * SHARE).min(PUT_OFF_MAX));
        self.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= every)
    }

    fn weight(&self, now: Instant) -> u128 {
        let by = match self.terms.priority {
            Priority::Key => 4,
            Priority::Normal => 2,
            Priority::Low => 1,
        };
        now.saturating_duration_since(self.looked.unwrap_or(self.since)).as_nanos() * by
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(number: u32) -> CameraId {
        CameraId::new(number).expect("a number")
    }

    fn main(number: u32) -> StreamId {
        StreamId::new(camera(number), StreamKind::Main)
    }

    fn sub(number: u32) -> StreamId {
        StreamId::new(camera(number), StreamKind::Sub)
    }

    /// Cameras 1, 2, ... of these priorities, with sub-streams.
    fn turns(budget_ms: u64, priorities: &[Priority], now: Instant) -> Turns<char, ()> {
        let mut turns = Turns::new(Duration::from_millis(budget_ms), now);
        let terms = |priority: &Priority| Terms { priority: *priority, has_sub: true };
        turns.apply(&(1..).map(camera).zip(priorities.iter().map(terms)).collect(), now);
        turns
    }

    #[test]
    fn a_camera_is_looked_at_through_its_sub_stream_and_through_its_main_stream_when_there_is_none() {
        let now = Instant::now();
        let mut turns = turns(1_000, &[Priority::Normal], now);
        assert!(!turns.offer(main(1), 'm', now), "the sub-stream may still come");
        assert!(turns.offer(sub(1), 's', now));
        let later = now + Duration::from_secs(9);
        assert!(!turns.offer(main(1), 'm', later));
        assert!(turns.offer(main(1), 'm', later + Duration::from_secs(2)), "the sub-stream is silent");
        assert!(!turns.offer(main(2), 'm', later), "a camera that nobody knows");
        turns.apply(&[(camera(2), Terms { priority: Priority::Normal, has_sub: false })].into(), later);
        assert!(turns.offer(main(2), 'm', later));
    }

    #[test]
    fn a_camera_takes_no_more_than_a_hundredth_of_a_core_whatever_it_sends() {
        let mut now = Instant::now();
        let mut turns = turns(1_000, &[Priority::Normal], now);
        let mut spent = Duration::ZERO;
        for _ in 0..600 {
            now += Duration::from_secs(1);
            turns.offer(sub(1), 'k', now);
            if let Next::Look(camera, _, kept) = turns.next(now) {
                spent += Duration::from_millis(200);
                turns.done(camera, kept, Duration::from_millis(200), now);
            }
        }
        assert!(spent <= Duration::from_secs(7), "{spent:?} of 600 s");
    }

    #[test]
    fn when_the_budget_is_short_low_priority_waits_most_and_nobody_starves() {
        use Priority::{Key, Low, Normal};
        let mut now = Instant::now();
        // Twelve cameras want 60 ms a second; there are 20.
        let mut turns = turns(20, &[Key, Key, Key, Key, Normal, Normal, Normal, Normal, Low, Low, Low, Low], now);
        let mut looks = [0u32; 13];
        for tick in 0..6_000u32 {
            now += Duration::from_millis(50);
            if tick % 40 == 0 {
                (1..=12).for_each(|number| {
                    turns.offer(sub(number), 'k', now);
                });
            }
            if let Next::Look(camera, _, kept) = turns.next(now) {
                looks[camera.number() as usize] += 1;
                turns.done(camera, kept, Duration::from_millis(10), now);
            }
        }
        let of = |from: usize| looks[from..from + 4].iter().sum::<u32>();
        assert!(of(1) > of(5) && of(5) > of(9), "{looks:?}");
        assert!(looks[1..].iter().all(|looks| *looks >= 20), "{looks:?}");
        let waiting: Vec<u32> = turns.standing().filter(|(_, standing)| standing.waits).map(|(id, _)| id.number()).collect();
        assert!(!waiting.is_empty() && waiting.iter().all(|id| *id > 4), "{waiting:?}");
        assert!(turns.standing().all(|(id, standing)| id.number() <= 4 || standing.passed_over > 0));
    }

    #[test]
    fn nobody_looks_at_two_pictures_of_a_camera_at_once() {
        let now = Instant::now() + Duration::from_secs(5);
        let mut turns = turns(1_000, &[Priority::Normal], now - Duration::from_secs(5));
        turns.offer(sub(1), 'a', now);
        assert!(matches!(turns.next(now), Next::Look(_, 'a', ())));
        assert!(!turns.offer(sub(1), 'b', now));
        assert_eq!(turns.next(now), Next::Idle);
        turns.done(camera(1), (), Duration::from_millis(1), now);
        assert!(matches!(turns.next(now), Next::Look(_, 'b', ())));
    }

    #[test]
    fn a_spent_budget_rests_until_it_is_filled_again() {
        let mut now = Instant::now();
        let mut turns = turns(100, &[Priority::Normal, Priority::Normal], now);
        now += Duration::from_secs(2);
        turns.offer(sub(1), 'k', now);
        turns.offer(sub(2), 'k', now);
        assert!(matches!(turns.next(now), Next::Look(..)));
        turns.done(camera(1), (), Duration::from_millis(300), now);
        let Next::Rest(rest) = turns.next(now) else { panic!("200 ms of debt") };
        assert!((Duration::from_millis(1_900)..Duration::from_millis(2_200)).contains(&rest), "{rest:?}");
        assert!(matches!(turns.next(now + rest), Next::Look(..)));
    }
}
