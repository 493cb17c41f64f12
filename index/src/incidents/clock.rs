//! How long each step of an incident may take before the tier above has it.

use super::moves::Priority;
use super::state::Stage;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Seconds for each step of one incident. 0 is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Until somebody takes it on, at the first tier and at each that it is escalated to.
    pub acknowledge_s: u32,
    /// Then, until it is known to be true or false.
    pub verify_s: u32,
    /// Then, until somebody is sent.
    pub dispatch_s: u32,
    /// Then, until they are there.
    pub arrive_s: u32,
}

impl Limits {
    /// How long it may stay as it is; `None` for as long as it takes.
    #[must_use]
    pub fn of(&self, stage: &Stage, taken: bool) -> Option<Duration> {
        let seconds = match stage {
            stage if stage.is_over() => 0,
            _ if !taken => self.acknowledge_s,
            Stage::New => self.acknowledge_s,
            Stage::Acknowledged | Stage::Reopened => self.verify_s,
            Stage::Verified => self.dispatch_s,
            Stage::Dispatched { .. } => self.arrive_s,
            _ => 0,
        };
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }
}

/// The limits of a node for what is opened there, by priority.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clocks {
    /// Of what is urgent.
    pub p1: Limits,
    /// Of what is high.
    pub p2: Limits,
    /// Of the rest.
    pub p3: Limits,
}

impl Default for Clocks {
    fn default() -> Self {
        let limits = |acknowledge_s, verify_s, dispatch_s, arrive_s| Limits { acknowledge_s, verify_s, dispatch_s, arrive_s };
        Self { p1: limits(60, 180, 300, 900), p2: limits(180, 300, 600, 0), p3: limits(600, 900, 1800, 0) }
    }
}

impl Clocks {
    /// The limits of a priority.
    #[must_use]
    pub fn of(&self, priority: Priority) -> Limits {
        match priority {
            Priority::P1 => self.p1,
            Priority::P2 => self.p2,
            Priority::P3 => self.p3,
        }
    }
}
