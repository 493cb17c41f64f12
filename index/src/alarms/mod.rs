//! Alarms: events that an operator is called for, by rules.
//!
//! Rules, alarms and acknowledgements are the journal's; here they are folded into their present state ([`State`]) by one thread
//! that follows it, and that writes `alarm.raised` for each alarm that an event begins. A file keeps the state as of a number, so
//! that a start reads on from there; without it everything is read again.
//!
//! - A1: after a crash no alarm is raised twice and none is lost: what stands in the journal as raised is not raised again.
//! - A2: the journal never waits for rules (I10); how far they are behind can be seen.

mod follow;
mod rate;
mod rule;
mod state;

pub use rate::{RATE_DAYS, Rate, rate};
pub use rule::{LATE, MAX_RULE_SECS, MAX_RULE_TEXT, Rule, RuleError, RuleId, Schedule, Urgency};
pub use state::{Alarm, AlarmId, MAX_ALARMS, MAX_RULES, State};

use crate::access::Actor;
use crate::durable::FileError;
use crate::journal::{Journal, JournalError, Record, Seq};
use crate::model::UtcMicros;
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

/// The rules and alarms of one node. Dropping it ends its thread.
pub struct Alarms {
    shared: Arc<follow::Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// One change of the rules at a time, so that two new ones never get the same number.
    changing: Mutex<()>,
}

/// Why a rule was not changed, or an alarm not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum AlarmError {
    /// The rule cannot be so.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// There is no such alarm, or no more.
    #[error("there is no such alarm")]
    Unknown,
    /// Somebody did so before.
    #[error("{0} acknowledged it before")]
    Acknowledged(String),
    /// The journal does not take it now.
    #[error("the journal did not take it")]
    Journal(#[from] JournalError),
}

impl Alarms {
    /// Reads the state kept in `file` and begins to follow the journal; `changed` is called after each change, on the thread that
    /// follows, with the new revision: it must be short.
    ///
    /// # Errors
    /// If the thread cannot be made, or the file's directory does not read.
    pub fn open(file: &Path, journal: Arc<Journal>, changed: impl Fn(u64) + Send + Sync + 'static) -> Result<Self, FileError> {
        let (shared, thread) = follow::start(file, journal, Box::new(changed))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)), changing: Mutex::default() })
    }

    /// The present state, locked: look and let go.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// How far the journal was looked at.
    #[must_use]
    pub fn cursor(&self) -> Seq {
        self.shared.cursor()
    }

    /// Adds a rule, or changes the one that has its number. Durable, and in force, when this returns. Waits for the disk.
    ///
    /// # Errors
    /// See [`AlarmError`].
    pub fn set_rule(&self, by: &Actor, mut rule: Rule) -> Result<RuleId, AlarmError> {
        rule.check()?;
        rule.name = rule.name.trim().to_owned();
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.state().rule(rule.id).cloned();
        if rule.id == RuleId::default() {
            rule.id = self.state().next_rule()?;
        } else if before.is_none() {
            return Err(RuleError::Unknown.into());
        }
        let id = rule.id;
        self.shared.note(told("rule.set", by, json!({ "rule": rule, "before": before })))?;
        Ok(id)
    }

    /// Removes a rule. Its alarms stay until they are acknowledged.
    ///
    /// # Errors
    /// See [`AlarmError`].
    pub fn remove_rule(&self, by: &Actor, id: RuleId) -> Result<(), AlarmError> {
        let _one = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.state().rule(id).cloned().ok_or(RuleError::Unknown)?;
        self.shared.note(told("rule.removed", by, json!({ "rule": id, "before": before })))?;
        Ok(())
    }

    /// Notes that somebody has seen an alarm. Durable when this returns. Waits for the disk.
    ///
    /// # Errors
    /// See [`AlarmError`]; [`AlarmError::Acknowledged`] names who was first.
    pub fn acknowledge(&self, by: &Actor, who: &str, id: AlarmId) -> Result<(), AlarmError> {
        let alarm = self.state().alarm(id).cloned().ok_or(AlarmError::Unknown)?;
        if let Some((first, _)) = alarm.acknowledged {
            return Err(AlarmError::Acknowledged(first));
        }
        self.shared.note(told("alarm.acknowledged", by, json!({ "alarm": id, "by": who, "after_ms": age_ms(alarm.raised) })))?;
        Ok(())
    }

    /// Ends the thread after it has seen what the journal has, and keeps the state.
    pub fn close(&self) {
        self.shared.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!(
                "the thread of rules and alarms did not end cleanly; the next start reads what it missed from the journal"
            );
        }
    }
}

impl Drop for Alarms {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Alarms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alarms").field("cursor", &self.cursor()).finish_non_exhaustive()
    }
}

fn age_ms(raised: UtcMicros) -> u128 {
    UtcMicros::now().since(raised).as_millis()
}

fn told(kind: &'static str, by: &Actor, mut body: Value) -> Record {
    body["actor"] = json!(by);
    Record::new(UtcMicros::now(), kind, body)
}

#[cfg(test)]
mod tests;
