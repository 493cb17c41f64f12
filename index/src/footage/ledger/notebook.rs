//! Where the store's facts are kept: the node's journal.

use crate::{
    journal::{Journal, Record, Seq},
    model::UtcMicros,
};
use serde_json::Value;

/// Where the store's facts are kept: the node's journal, or memory in a test.
pub(in crate::footage) trait Notebook: Send + Sync {
    /// Writes a fact down, soon and durably, without waiting for it.
    fn note(&self, at: UtcMicros, kind: &'static str, body: Value);
    /// Writes a fact down and waits until it is durable, or says why it never will be.
    fn note_durably(&self, at: UtcMicros, kind: &'static str, body: Value) -> Result<(), String> {
        self.note(at, kind, body);
        Ok(())
    }
    /// The number of the newest fact; 0 if there is none.
    fn newest(&self) -> u64;
    /// When the newest fact of an earlier run was written down; `None` if there was no earlier run.
    fn inherited_at(&self) -> Option<UtcMicros>;
    /// Facts numbered above `after`, oldest first, at most `limit`: number, kind, body. Facts of other kinds than `ledger.*`
    /// may be among them.
    fn after(&self, after: u64, limit: usize) -> Vec<(u64, String, Value)>;
}

impl Notebook for Journal {
    fn note(&self, at: UtcMicros, kind: &'static str, body: Value) {
        self.append_then(Record::new(at, kind, body), move |result| {
            if let Err(error) = result {
                tracing::error!(kind, %error, "a fact of the footage store is not in the journal");
            }
        });
    }

    fn note_durably(&self, at: UtcMicros, kind: &'static str, body: Value) -> Result<(), String> {
        self.append(Record::new(at, kind, body)).wait().map(drop).map_err(|error| error.to_string())
    }

    fn newest(&self) -> u64 {
        self.tail().get()
    }

    fn inherited_at(&self) -> Option<UtcMicros> {
        let last = self.read(self.inherited(), 1).unwrap_or_default();
        last.first().filter(|entry| entry.seq == self.inherited()).map(|entry| entry.at)
    }

    fn after(&self, after: u64, limit: usize) -> Vec<(u64, String, Value)> {
        let entries = self.read(Seq::new(after + 1), limit).unwrap_or_else(|error| {
            tracing::error!(%error, "the journal cannot be read, gaps of earlier runs may have no cause");
            Vec::new()
        });
        entries.into_iter().map(|entry| (entry.seq.get(), entry.kind, entry.body)).collect()
    }
}
