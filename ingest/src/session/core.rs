//! One RTSP session as a state machine: when to dial, with which driver, when to give up and for how long.
//!
//! A session lives for one thing: that access units are *stored*. An open socket proves nothing, and neither does an answered
//! keepalive. So silence of the pictures ends a session, units that arrive and are not stored raise an event (the disk is
//! at fault then, and redialling the camera would not help), and only storing resets the backoff.

use super::fault::{Fault, Phase};
use crate::CameraEventKind;
use index::model::{Driver, GapCause};
use std::time::{Duration, Instant};

/// A session without a picture for so long is dead, whatever its keepalives say (Q69).
pub(crate) const SILENCE_LIMIT: Duration = Duration::from_secs(10);
/// Pictures without a key unit or parameters for so long will not become recordable in this session.
const UNDECODABLE_LIMIT: Duration = Duration::from_secs(60);
/// Units arrive and none is stored for so long: the disk is at fault.
const NOT_STORED_LIMIT: Duration = Duration::from_secs(15);
/// Dialling takes no longer than this in all, its wait for a turn included; drivers limit each phase themselves.
const OPEN_LIMIT: Duration = Duration::from_secs(90);
/// The first and the longest wait between attempts.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Cameras lock an account after a few wrong passwords (Q19).
const PASSWORD_BACKOFF: Duration = Duration::from_secs(300);
/// Refusals of the password in a row before that wait begins.
const PASSWORD_ATTEMPTS: u32 = 2;
/// A session that stored for this long was a good one: the next wait is short again.
const GOOD_SESSION: Duration = Duration::from_secs(10);
/// A driver that plays and then fails this often within [`STRIKES_WITHIN`] gives way to the other one.
const STRIKES_WHEN_PLAYING: usize = 3;
const STRIKES_WITHIN: Duration = Duration::from_secs(300);
/// The driver that an unknown camera is tried with: it plays most oddities, keeps in-band parameter sets, and costs least.
/// What it cannot read, libav tries.
const PROBED_FIRST: Driver = Driver::Native;

/// What happened.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Input {
    /// Time passed; the session had asked to be woken.
    Tick,
    /// The camera agreed to send.
    Opened,
    /// Video units arrived; `recordable` when at least one of them may be stored.
    Units { recordable: bool },
    /// Units of this session became durable since the last such input.
    Stored,
    /// The driver gave up.
    Fault(Fault),
}

/// What the shell must do next: plain data, so that a test can compare it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Action {
    /// Dial with this driver.
    Open(Driver),
    /// Hang up.
    Close,
    /// Give a [`Input::Tick`] then; replaces an earlier wish.
    WakeAt(Instant),
    /// Note the cause of the gap that begins after what was recorded last.
    Mark(Fault),
    /// Tell the node.
    Tell(CameraEventKind),
    /// Keep in mind which driver plays.
    Remember(Driver),
}

/// Where the session stands.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum State {
    /// Between attempts; `cause` is none before the first.
    Waiting { until: Instant, cause: Option<GapCause> },
    /// Dialling.
    Opening { since: Instant },
    /// The camera agreed to send.
    Playing(Playing),
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Playing {
    since: Instant,
    last_unit: Instant,
    any_unit: bool,
    last_recordable: Instant,
    first_stored: Option<Instant>,
    last_stored: Instant,
    not_stored: bool,
}

/// Which driver to use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Choice {
    /// The configuration says.
    Fixed(Driver),
    /// Find out, starting with what played before.
    Probe(Option<Driver>),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Session {
    state: State,
    choice: Choice,
    driver: Driver,
    /// Failures of the driver since it last did well, oldest first.
    strikes: Vec<Instant>,
    /// Sessions in a row that stored nothing for long.
    failures: u32,
    refusals: u32,
    /// When a unit was last stored; the start before that.
    last_stored: Instant,
    ever_stored: bool,
    outage_told: bool,
    marked: Option<GapCause>,
    /// Why the last session ended, until units are stored again.
    trouble: Option<Fault>,
    jitter: Jitter,
}

impl Session {
    /// A session that dials at once. `seed` spreads the waits of many cameras.
    pub(crate) fn new(choice: Choice, seed: u64, now: Instant) -> Self {
        let driver = match choice {
            Choice::Fixed(driver) | Choice::Probe(Some(driver)) => driver,
            Choice::Probe(None) => PROBED_FIRST,
        };
        Self {
            state: State::Waiting { until: now, cause: None },
            choice,
            driver,
            strikes: Vec::new(),
            failures: 0,
            refusals: 0,
            last_stored: now,
            ever_stored: false,
            outage_told: false,
            marked: None,
            trouble: None,
            jitter: Jitter(seed),
        }
    }

    /// Where it stands.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Why nothing is being stored, if a session ended since something was.
    pub(crate) fn trouble(&self) -> Option<&Fault> {
        self.trouble.as_ref()
    }

    /// Whether units arrive and none is stored.
    pub(crate) fn not_stored(&self) -> bool {
        matches!(&self.state, State::Playing(playing) if playing.not_stored)
    }

    /// The only place where a session changes state.
    pub(crate) fn handle(&mut self, input: Input, now: Instant) -> Vec<Action> {
        match (&mut self.state, input) {
            (State::Waiting { until, .. }, Input::Tick) if now >= *until => {
                self.state = State::Opening { since: now };
                vec![Action::Open(self.driver), Action::WakeAt(now + OPEN_LIMIT)]
            }
            (State::Waiting { until, .. }, Input::Tick) => vec![Action::WakeAt(*until)],
            (State::Waiting { .. }, _) => Vec::new(),
            (_, Input::Fault(fault)) => self.fail(&fault, now),
            (State::Opening { .. }, Input::Opened) => {
                self.state = State::Playing(Playing::new(now));
                vec![Action::WakeAt(now + SILENCE_LIMIT)]
            }
            (State::Opening { since }, _) if now >= *since + OPEN_LIMIT => self.fail(&Fault::TimedOut(Phase::Describe), now),
            (State::Opening { since }, _) => vec![Action::WakeAt(*since + OPEN_LIMIT)],
            (State::Playing(playing), Input::Units { recordable }) => {
                playing.units(recordable, now);
                Vec::new()
            }
            (State::Playing(_), Input::Stored) => self.stored(now),
            (State::Playing(_), Input::Opened) => Vec::new(),
            (State::Playing(playing), Input::Tick) => match playing.verdict(now) {
                Verdict::Fault(fault) => self.fail(&fault, now),
                Verdict::NotStored => {
                    playing.not_stored = true;
                    vec![Action::Tell(CameraEventKind::NotStored), Action::WakeAt(playing.wake(now))]
                }
                Verdict::Well => vec![Action::WakeAt(playing.wake(now))],
            },
        }
    }

    fn stored(&mut self, now: Instant) -> Vec<Action> {
        let State::Playing(playing) = &mut self.state else { return Vec::new() };
        let mut actions = Vec::new();
        playing.last_stored = now;
        if std::mem::take(&mut playing.not_stored) {
            actions.push(Action::Tell(CameraEventKind::StoredAgain));
        }
        if playing.first_stored.replace(playing.first_stored.unwrap_or(now)).is_none() {
            let down_s = if self.ever_stored { (now - self.last_stored).as_secs() } else { 0 };
            actions.push(Action::Tell(CameraEventKind::Recording { down_s }));
            if let Choice::Probe(known) = self.choice
                && known != Some(self.driver)
            {
                self.choice = Choice::Probe(Some(self.driver));
                actions.push(Action::Remember(self.driver));
                actions.push(Action::Tell(CameraEventKind::DriverChosen(self.driver)));
            }
        }
        self.refusals = 0;
        self.last_stored = now;
        self.ever_stored = true;
        self.outage_told = false;
        self.marked = None;
        self.trouble = None;
        actions
    }

    fn fail(&mut self, fault: &Fault, now: Instant) -> Vec<Action> {
        let (stored, recorded) = match &self.state {
            State::Playing(playing) => (playing.first_stored, playing.awaits_storing()),
            _ => (None, false),
        };
        let mut actions = vec![Action::Close];
        let cause = fault.cause();
        self.trouble = Some(fault.clone());
        // A session that had anything to store leaves a gap of its own, even when its cause is that of the gap before.
        if recorded || self.marked != Some(cause) {
            self.marked = Some(cause);
            actions.push(Action::Mark(fault.clone()));
        }
        if !std::mem::replace(&mut self.outage_told, true) {
            actions.push(Action::Tell(CameraEventKind::Offline { cause, notice: fault.notice() }));
        }
        self.refusals = if *fault == Fault::Unauthorised { self.refusals + 1 } else { 0 };
        if self.refusals == PASSWORD_ATTEMPTS {
            actions.push(Action::Tell(CameraEventKind::WrongPassword));
        }
        let good = stored.is_some_and(|since| now - since >= GOOD_SESSION);
        self.failures = if good { 0 } else { self.failures + 1 };
        let wait = if self.refusals >= PASSWORD_ATTEMPTS {
            self.jitter.spread(PASSWORD_BACKOFF)
        } else if self.give_way(fault, stored.is_some(), now) {
            BACKOFF.0
        } else {
            let doubled = BACKOFF.0.saturating_mul(1 << self.failures.saturating_sub(1).min(16));
            // Spread, the longest wait is a quarter longer: when a whole room returns, half a minute is the most that one waits.
            self.jitter.spread(doubled.min(BACKOFF.1.mul_f64(0.8)))
        };
        let until = now + wait;
        self.state = State::Waiting { until, cause: Some(cause) };
        actions.push(Action::WakeAt(until));
        actions
    }

    /// Whether the other driver is tried next: at once for what this one cannot read, after a second time for what may
    /// have been chance, and after a few times for a driver that did play.
    fn give_way(&mut self, fault: &Fault, played: bool, now: Instant) -> bool {
        if matches!(self.choice, Choice::Fixed(_)) || !fault.blames_driver() {
            return false;
        }
        self.strikes.retain(|strike| now - *strike < STRIKES_WITHIN);
        self.strikes.push(now);
        let needed = match fault {
            _ if played => STRIKES_WHEN_PLAYING,
            Fault::Protocol(_) | Fault::UnsupportedCodec(_) => 1,
            _ => 2,
        };
        if self.strikes.len() < needed {
            return false;
        }
        self.strikes.clear();
        self.driver = match self.driver {
            Driver::Retina | Driver::Native => Driver::Libav,
            Driver::Libav => PROBED_FIRST,
        };
        // The way back and forth between two drivers that both fail is not taken at a run.
        self.failures <= 1
    }
}

enum Verdict {
    Well,
    NotStored,
    Fault(Fault),
}

impl Playing {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            last_unit: now,
            any_unit: false,
            last_recordable: now,
            first_stored: None,
            last_stored: now,
            not_stored: false,
        }
    }

    fn units(&mut self, recordable: bool, now: Instant) {
        if now - self.last_unit >= NOT_STORED_LIMIT / 2 || !self.any_unit {
            // After a pause, storing is expected only from here on.
            self.last_stored = now;
        }
        self.last_unit = now;
        self.any_unit = true;
        if recordable {
            self.last_recordable = now;
        }
    }

    fn verdict(&self, now: Instant) -> Verdict {
        if now - self.last_unit >= SILENCE_LIMIT {
            Verdict::Fault(Fault::Silent)
        } else if now - self.last_recordable >= UNDECODABLE_LIMIT {
            Verdict::Fault(Fault::Undecodable)
        } else if !self.not_stored && self.awaits_storing() && now - self.last_stored >= NOT_STORED_LIMIT {
            Verdict::NotStored
        } else {
            Verdict::Well
        }
    }

    fn awaits_storing(&self) -> bool {
        self.last_recordable > self.since
    }

    /// When the next verdict can differ.
    fn wake(&self, now: Instant) -> Instant {
        let mut wake = (self.last_unit + SILENCE_LIMIT).min(self.last_recordable + UNDECODABLE_LIMIT);
        if !self.not_stored && self.awaits_storing() {
            wake = wake.min(self.last_stored + NOT_STORED_LIMIT);
        }
        wake.max(now + Duration::from_millis(100))
    }
}

/// SplitMix64: a few waits need spreading, nothing needs to be unguessable.
#[derive(Debug)]
struct Jitter(u64);

impl Jitter {
    /// A quarter shorter to a quarter longer, never beyond the span's own quarter.
    fn spread(&mut self, span: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((mixed ^ (mixed >> 31)) >> 40) as f64 / f64::from(1 << 24);
        span.mul_f64(0.75 + unit / 2.0)
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
