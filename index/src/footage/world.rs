//! What the store takes from the machine beside its disks: two clocks and chance. One place for them, so that a test decides all
//! three and a whole life of the store follows from one seed.

use crate::model::UtcMicros;
use std::time::Duration;

/// See the module.
pub(super) trait World: Send + Sync {
    /// The machine's clock, which people and NTP set.
    fn now(&self) -> UtcMicros;
    /// Time since the machine started: never set, never back.
    fn monotonic(&self) -> Duration;
    /// A number that nobody can guess and that does not come twice.
    fn random(&self) -> u64;
}

/// The real ones.
pub(super) struct Machine;

impl World for Machine {
    fn now(&self) -> UtcMicros {
        UtcMicros::now()
    }

    fn monotonic(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    fn random(&self) -> u64 {
        rand::random()
    }
}
