//! Messages that were laid aside, and what a person may do with one: have it sent again, or discard it. Either is a fact in the journal
//! before it is done.

use super::{Hook, Hooks, Message, outbox::Ended};
use index::{
    access::Actor,
    journal::{Record, Seq},
    model::UtcMicros,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{ops::ControlFlow, sync::Arc};

/// A message that was laid aside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aside {
    /// Its number in the journal.
    pub seq: Seq,
    /// Since when; `None` in files of earlier versions.
    pub since: Option<UtcMicros>,
    /// How often it was sent.
    pub attempts: u32,
    /// What the receiver answered last, as an HTTP status; `None`: nothing.
    pub status: Option<u16>,
}

/// As the file has it: earlier versions wrote the number alone.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Written {
    Number(Seq),
    Whole(Aside),
}

impl From<Written> for Aside {
    fn from(written: Written) -> Self {
        match written {
            Written::Number(seq) => Self { seq, since: None, attempts: 0, status: None },
            Written::Whole(aside) => aside,
        }
    }
}

/// Why nothing was done with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AsideError {
    /// There is no such hook, or no such message is laid aside.
    Unknown,
    /// The receiver did not take it this time either; the status it answered with, if any.
    NotTaken(Option<u16>),
    /// The journal did not take the fact, so nothing was done.
    Journal,
}

impl Ended {
    pub(super) fn status(self) -> Option<u16> {
        match self {
            Self::Refused(status) | Self::Later(status) => Some(status),
            Self::Taken | Self::NoAnswer => None,
        }
    }
}

impl Hooks {
    /// What a message that was laid aside said: its kind, and the facts of the alarm. `None` if the journal has it no more. Blocking.
    #[must_use]
    pub fn said(&self, hook: &str, seq: Seq) -> Option<(String, Value)> {
        let message = self.hook(hook)?.message(seq)?;
        Some((message.kind, message.body.get("alarm").cloned().unwrap_or_default()))
    }

    /// Sends a message that was laid aside once more, at once and once. If the receiver takes it, it is laid aside no longer.
    ///
    /// # Errors
    /// [`AsideError::NotTaken`]: it stays where it is.
    pub async fn send_again(&self, by: &Actor, hook: &str, seq: Seq) -> Result<(), AsideError> {
        let hook = self.hook(hook).ok_or(AsideError::Unknown)?;
        let _turn = hook.acting.lock().await;
        hook.aside(seq)?;
        let reader = Arc::clone(&hook);
        let message = tokio::task::spawn_blocking(move || reader.message(seq)).await.ok().flatten();
        let message = message.ok_or(AsideError::Unknown)?;
        hook.note("hook.sent_again", by, seq).await?;
        let ended = hook.attempt(&message).await;
        hook.advance(|state| {
            if ended == Ended::Taken {
                state.taken += 1;
                state.aside.retain(|aside| aside.seq != seq);
            } else if let Some(aside) = state.aside.iter_mut().find(|aside| aside.seq == seq) {
                (aside.attempts, aside.status) = (aside.attempts + 1, ended.status());
            }
        })
        .await;
        if ended == Ended::Taken { Ok(()) } else { Err(AsideError::NotTaken(ended.status())) }
    }

    /// Gives a message up that was laid aside.
    ///
    /// # Errors
    /// If there is none, or the journal does not take the fact.
    pub async fn discard(&self, by: &Actor, hook: &str, seq: Seq) -> Result<(), AsideError> {
        let hook = self.hook(hook).ok_or(AsideError::Unknown)?;
        let _turn = hook.acting.lock().await;
        hook.aside(seq)?;
        hook.note("hook.discarded", by, seq).await?;
        hook.advance(|state| state.aside.retain(|aside| aside.seq != seq)).await;
        Ok(())
    }

    fn hook(&self, name: &str) -> Option<Arc<Hook>> {
        self.all.iter().find(|hook| hook.config.name == name).cloned()
    }
}

impl Hook {
    fn aside(&self, seq: Seq) -> Result<(), AsideError> {
        let known = self.state().aside.iter().any(|aside| aside.seq == seq);
        if known { Ok(()) } else { Err(AsideError::Unknown) }
    }

    /// The message of one record. Blocking.
    fn message(&self, seq: Seq) -> Option<Message> {
        let mut found = None;
        let read = self.journal.visit(seq, seq, |record| {
            found = self.read(&record);
            ControlFlow::Break(())
        });
        read.ok().and(found)
    }

    async fn note(&self, kind: &'static str, by: &Actor, seq: Seq) -> Result<(), AsideError> {
        let (done, durable) = tokio::sync::oneshot::channel();
        let body = json!({ "by": by, "hook": self.config.name, "message": seq });
        self.journal.append_then(Record::new(UtcMicros::now(), kind, body), move |result| drop(done.send(result)));
        match durable.await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(AsideError::Journal),
        }
    }
}
