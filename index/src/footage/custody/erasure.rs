//! An order to erase: whose footage, which time, by which document, and what became of it.

use super::{Act, CustodyError, Deed, Order};
use crate::model::UtcMicros;
use serde::{Deserialize, Serialize};

/// Where an order stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErasureState {
    /// It waits for a second person.
    Requested,
    /// It is being carried out, and will be again after a crash until it is done.
    Approved,
    /// Every byte of it that is not held is gone from every volume.
    Done,
    /// The second person said no.
    Declined,
    /// Nobody approved it in time.
    Lapsed,
}

impl ErasureState {
    /// `requested`, `approved`, …, as in the API and the journal.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Done => "done",
            Self::Declined => "declined",
            Self::Lapsed => "lapsed",
        }
    }
}

/// What an erasure did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Erased {
    /// Fragments whose media are zeros now.
    pub fragments: u64,
    /// Bytes of media in them.
    pub bytes: u64,
    /// Fragments that a hold kept.
    pub kept_by_hold: u64,
}

impl Erased {
    pub(in crate::footage) fn add(&mut self, other: Self) {
        self.fragments += other.fragments;
        self.bytes += other.bytes;
        self.kept_by_hold += other.kept_by_hold;
    }
}

/// An order to erase. See the module of custody.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Erasure {
    /// Its number.
    pub id: u64,
    /// What is to be erased, and why.
    #[serde(flatten)]
    pub order: Order,
    /// Where it stands.
    pub state: ErasureState,
    /// Who asked.
    pub asked: Deed,
    /// Who approved.
    #[serde(default)]
    pub approved: Option<Deed>,
    /// When it was carried out, or who declined it; an empty name where nobody did.
    #[serde(default)]
    pub ended: Option<Deed>,
    /// What it did; complete once it is done.
    #[serde(default)]
    pub erased: Erased,
}

impl Erasure {
    /// The order as the ledger cites it.
    #[must_use]
    pub fn citation(&self) -> String {
        format!("order {} ({})", self.id, self.order.authority)
    }

    pub(super) fn expect(&self, state: ErasureState) -> Result<(), CustodyError> {
        if self.state == state { Ok(()) } else { Err(CustodyError::State(self.id, self.state.word())) }
    }

    pub(super) fn may_approve(&self, by: &str) -> Result<(), CustodyError> {
        self.expect(ErasureState::Requested)?;
        if self.asked.by == by { Err(CustodyError::SecondPerson(by.to_owned())) } else { Ok(()) }
    }

    pub(super) fn apply(&mut self, act: &Act) {
        match act {
            Act::ErasureApproved { deed, .. } if self.state == ErasureState::Requested => {
                self.state = ErasureState::Approved;
                self.approved = Some(deed.clone());
            }
            Act::ErasureDeclined { deed, .. } if self.state == ErasureState::Requested => {
                self.end(ErasureState::Declined, &deed.by, deed.at);
            }
            Act::ErasureLapsed { at, .. } if self.state == ErasureState::Requested => {
                self.end(ErasureState::Lapsed, "", *at);
            }
            Act::ErasureDone { at, erased, .. } if self.state == ErasureState::Approved => {
                self.end(ErasureState::Done, "", *at);
                self.erased = *erased;
            }
            _ => {}
        }
    }

    fn end(&mut self, state: ErasureState, by: &str, at: UtcMicros) {
        self.state = state;
        self.ended = Some(Deed { by: by.to_owned(), at });
    }
}
