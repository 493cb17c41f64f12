//! What a seed has in store for a node: how it is built, decided once, and what cameras, disks and the clock do to it on the way.

use super::{
    node::{Life, Node},
    people::People,
};
use crate::{
    footage::{RetentionTerms, Store, disk::sim::Fault, world::World as _},
    model::GapCause,
};
use rand::{RngExt as _, rngs::SmallRng};
use std::time::Duration;

/// Steps of the clock, in seconds.
const YEARS: i64 = 20 * 365 * 86_400;
const HOUR: i64 = 3600;

/// Seeds below this one live as they did when they were found; to those from here on happens what was added since.
pub(super) const LATER: u64 = 2000;
/// From here on it is now and then the process alone that ends.
pub(super) const KILLED: u64 = 20_000;

/// What a seed decided once.
pub(super) struct Plan {
    pub(super) disks: usize,
    /// Bytes of a volume.
    pub(super) capacity: u64,
    /// Of 1,000 steps, those with a fault of a disk.
    pub(super) fault_rate: u32,
    /// Whether disks change bytes by themselves.
    pub(super) rot: bool,
    /// Whether anybody sets the clock.
    pub(super) clocks: bool,
    pub(super) terms: RetentionTerms,
    pub(super) segment_max: Duration,
    /// Whether what was added to lives later happens too: more steps of the clock, longer times without power.
    pub(super) later: bool,
    /// Whether now and then the process ends and the machine goes on.
    pub(super) kills: bool,
    /// Whether anybody asks for holds and erasures.
    pub(super) people: bool,
}

impl Plan {
    pub(super) fn new(seed: u64, random: &mut SmallRng, people: &mut People) -> Self {
        let later = seed >= LATER;
        let short = random.random_ratio(1, 2);
        let seconds = |n: u64| Duration::from_secs(n);
        let years = seconds(60 * 365 * 86_400);
        Self {
            disks: [1, 1, 2, 3][random.random_range(0..4)],
            capacity: random.random_range(10..24) << 20,
            fault_rate: [0, 0, 5, 20][random.random_range(0..4)],
            rot: random.random_ratio(1, 5),
            clocks: random.random_ratio(1, 3),
            terms: match short {
                true => RetentionTerms { standard: seconds(random.random_range(15..40)), key_target: seconds(70) },
                false => RetentionTerms { standard: years, key_target: years },
            },
            segment_max: seconds(random.random_range(5..40)),
            later,
            kills: seed >= KILLED,
            people: later && people.chance(2, 3),
        }
    }
}

impl Node {
    /// What cameras, people and disks do of their own accord.
    pub(super) fn trouble(&mut self, life: &Life) {
        let monotonic = self.world.monotonic();
        if self.random.random_ratio(1, 60) {
            let at = self.random.random_range(0..self.cameras.len());
            let camera = &mut self.cameras[at];
            if camera.silent_until == Duration::ZERO {
                let silent = self.random.random_range(500..15_000);
                camera.silent_until = monotonic + Duration::from_millis(silent);
                life.store.mark(camera.stream, camera.end(), GapCause::CameraSilent, "");
                let stream = camera.stream;
                self.told(&format!("{stream} is silent for {silent} ms"));
            }
        }
        if self.plan.clocks && self.random.random_ratio(1, 80) {
            self.set_clock(&life.store);
        }
        if self.random.random_range(0..1000) < self.plan.fault_rate {
            self.fault();
        }
        if self.plan.rot && self.random.random_ratio(1, 100) {
            let at = self.random.random_range(0..self.disks.len());
            match self.random.random_range(0..3) {
                0 => self.disks[at].plan(self.random.random_range(0..6), Fault::MisdirectedWrite),
                _ => self.disks[at].rot_anywhere(),
            }
            self.told(&format!("disk {at} changes bytes"));
            (self.troubled, self.model.tainted) = (true, true);
        }
    }

    fn fault(&mut self) {
        let at = self.random.random_range(0..self.disks.len());
        let after = self.random.random_range(0..10);
        let fault = match self.random.random_range(0..12) {
            0..3 => Fault::Error,
            3..5 => Fault::ShortWrite,
            5..7 => Fault::NoSpace,
            7..9 => Fault::LostSync,
            9..11 => Fault::Stall(self.random.random_range(1..12)),
            _ if self.disks.len() > 1 && !self.disk_lost => {
                self.disk_lost = true;
                self.model.disk_died(at);
                Fault::Gone
            }
            _ => Fault::Error,
        };
        self.told(&format!("disk {at}: {fault:?} in {after} operations"));
        self.disks[at].plan(if fault == Fault::Gone { 0 } else { after }, fault);
        self.troubled = true;
    }

    /// Somebody sets the clock: a little, or by two hours or twenty years and some time later back.
    fn set_clock(&mut self, store: &Store) {
        let by = match self.clock_off {
            0 if self.plan.later => {
                let steps = [20, -20, -3, -7200, YEARS, -HOUR, -90, 90];
                steps[self.random.random_range(0..steps.len())] * 1_000_000
            }
            0 => [20, -20, -3, -7200, YEARS][self.random.random_range(0..5)] * 1_000_000,
            off => -off,
        };
        self.world.set_by(by);
        self.told(&format!("the clock is set by {by} µs"));
        if by.abs() >= 3_600_000_000 {
            self.clock_off += by;
        }
        for camera in &mut self.cameras {
            // Time that the clock left out has a reason.
            store.mark(camera.stream, camera.end(), GapCause::CameraFault, "the clock was set");
            camera.clock_was_set(self.world.now(), self.world.monotonic());
        }
    }

    /// Lets the power go after so many more operations of one disk.
    pub(super) fn plan_crash(&mut self, operations: u64) {
        let at = self.random.random_range(0..self.disks.len());
        self.disks[at].plan(operations, Fault::Death);
    }

    /// Arms a read at the wrong place.
    pub(super) fn plan_misread(&mut self) {
        if self.plan.rot {
            let at = self.random.random_range(0..self.disks.len());
            self.disks[at].plan(0, Fault::MisdirectedRead);
        }
    }
}
