//! What is dropped, and in which order, when a disk cannot keep up.
//!
//! A socket reader never waits for a disk (I10): the store takes a fragment or gives it back. While it gives fragments
//! back, the pressure on that volume rises step by step, and each step gives up what is worth least: sub-streams first, then
//! all but the key units of low-priority cameras, of normal ones, of key ones, and at last their key units too. Every unit
//! dropped is counted and stands in the ledger (I3, I11).

use index::{
    footage::Draft,
    model::{Priority, StreamKind, TrackKind},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The pressure rises by one step at most this often.
const RISE_EVERY: Duration = Duration::from_secs(2);
/// After so long without a refusal it falls by one step.
const FALL_EVERY: Duration = Duration::from_secs(10);
/// The highest step.
const STEPS: u8 = 5;

/// What becomes of a fragment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Keep,
    KeyUnitsOnly,
    Drop,
}

/// The pressure on one volume.
#[derive(Debug, Default)]
pub(crate) struct Pressure {
    step: u8,
    changed: Option<Instant>,
    refused: Option<Instant>,
}

impl Pressure {
    /// The volume gave a fragment back.
    pub(crate) fn refused(&mut self, now: Instant) {
        self.fall(now);
        self.refused = Some(now);
        if self.changed.is_none_or(|changed| self.step == 0 || now - changed >= RISE_EVERY) {
            self.step = (self.step + 1).min(STEPS);
            self.changed = Some(now);
        }
    }

    /// What to do with a fragment of such a stream now.
    pub(crate) fn verdict(&mut self, kind: StreamKind, priority: Priority, now: Instant) -> Verdict {
        self.fall(now);
        let (thin_from, drop_from) = match (kind, priority) {
            (StreamKind::Sub, _) => (1, 1),
            (StreamKind::Main, Priority::Low) => (2, 5),
            (StreamKind::Main, Priority::Normal) => (3, 5),
            (StreamKind::Main, Priority::Key) => (4, u8::MAX),
        };
        match self.step {
            step if step >= drop_from => Verdict::Drop,
            step if step >= thin_from => Verdict::KeyUnitsOnly,
            _ => Verdict::Keep,
        }
    }

    /// Whether nothing is shed any more.
    pub(crate) fn is_over(&mut self, now: Instant) -> bool {
        self.fall(now);
        self.step == 0
    }

    fn fall(&mut self, now: Instant) {
        while self.step > 0 {
            let quiet_since = self.refused.max(self.changed).unwrap_or(now);
            if now - quiet_since < FALL_EVERY {
                return;
            }
            self.step -= 1;
            self.changed = Some(quiet_since + FALL_EVERY);
        }
    }
}

/// The pressure on each volume, by its name.
#[derive(Debug, Default)]
pub(crate) struct Volumes(Mutex<HashMap<String, Arc<Mutex<Pressure>>>>);

impl Volumes {
    pub(crate) fn named(&self, name: &str) -> Arc<Mutex<Pressure>> {
        let mut volumes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(volumes.entry(name.to_owned()).or_default())
    }
}

/// How many fragments of a stream wait for a volume to take them again: as long as it takes until the rule gives them up, so
/// that it is the rule that does, and not the length of this queue. A sub-stream is what the rule gives up first.
pub(crate) fn backlog(kind: StreamKind, priority: Priority) -> usize {
    match (kind, priority) {
        (StreamKind::Sub, _) => 4,
        (StreamKind::Main, Priority::Low | Priority::Normal) => 10,
        (StreamKind::Main, Priority::Key) => 16,
    }
}

/// Leaves only the key units of a fragment. Returns how many units went; all of them if none is a key unit.
pub(crate) fn thin(draft: &mut Draft) -> usize {
    let before = draft.units.len();
    draft.units.retain(|unit| unit.track == TrackKind::Video && unit.key);
    before - draft.units.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdicts (`+` keep, `k` key units only, `-` drop) for sub, low, normal and key main streams after each refusal.
    fn verdicts(pressure: &mut Pressure, now: Instant) -> String {
        let streams = [
            (StreamKind::Sub, Priority::Key),
            (StreamKind::Main, Priority::Low),
            (StreamKind::Main, Priority::Normal),
            (StreamKind::Main, Priority::Key),
        ];
        let letter = |(kind, priority)| match pressure.verdict(kind, priority, now) {
            Verdict::Keep => '+',
            Verdict::KeyUnitsOnly => 'k',
            Verdict::Drop => '-',
        };
        streams.map(letter).iter().collect()
    }

    #[test]
    fn sub_streams_go_first_then_plain_units_by_priority_then_key_units() {
        let mut pressure = Pressure::default();
        let mut now = Instant::now();
        let mut seen = vec![verdicts(&mut pressure, now)];
        for _ in 0..6 {
            pressure.refused(now);
            seen.push(verdicts(&mut pressure, now));
            now += RISE_EVERY;
        }
        assert_eq!(seen, ["++++", "-+++", "-k++", "-kk+", "-kkk", "---k", "---k"]);
    }

    #[test]
    fn a_burst_of_refusals_is_one_step() {
        let mut pressure = Pressure::default();
        let now = Instant::now();
        (0..100).for_each(|_| pressure.refused(now));
        assert_eq!(verdicts(&mut pressure, now), "-+++");
    }

    #[test]
    fn pressure_falls_step_by_step_once_the_disk_keeps_up() {
        let mut pressure = Pressure::default();
        let now = Instant::now();
        pressure.refused(now);
        pressure.refused(now + RISE_EVERY);
        let seen: Vec<String> = [5, 13, 30].map(|s| verdicts(&mut pressure, now + Duration::from_secs(s))).into();
        assert_eq!(seen, ["-k++", "-+++", "++++"]);
        assert!(pressure.is_over(now + Duration::from_secs(30)));
    }
}
