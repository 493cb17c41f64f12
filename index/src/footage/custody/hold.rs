//! A hold: footage that is kept whatever its term says.

use super::{APPROVAL, Act, CustodyError, Deed, HOLD_MAX, Order};
use crate::model::UtcMicros;
use serde::{Deserialize, Serialize};

/// Where a hold stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    /// It protects, and waits for a second person.
    Requested,
    /// It protects.
    Active,
    /// The second person said no.
    Declined,
    /// Two persons ended it.
    Released,
    /// Its time is over.
    Expired,
    /// Nobody approved it in time.
    Lapsed,
}

impl HoldState {
    /// `requested`, `active`, …, as in the API and the journal.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Active => "active",
            Self::Declined => "declined",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Lapsed => "lapsed",
        }
    }
}

/// Footage kept by decision of two persons. See the module of custody.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hold {
    /// Its number.
    pub id: u64,
    /// What is held, and why.
    #[serde(flatten)]
    pub order: Order,
    /// When it ends by itself.
    pub expires: UtcMicros,
    /// Where it stands.
    pub state: HoldState,
    /// Who asked.
    pub asked: Deed,
    /// Who approved.
    #[serde(default)]
    pub approved: Option<Deed>,
    /// Who asked for its release first.
    #[serde(default)]
    pub release_asked: Option<Deed>,
    /// Who ended it; an empty name where time did.
    #[serde(default)]
    pub ended: Option<Deed>,
}

impl Hold {
    /// Whether it protects footage now.
    #[must_use]
    pub fn in_force(&self) -> bool {
        matches!(self.state, HoldState::Requested | HoldState::Active)
    }

    pub(super) fn check(&self) -> Result<(), CustodyError> {
        self.order.check()?;
        let ahead = self.expires.since(self.asked.at);
        if ahead.is_zero() || ahead > HOLD_MAX { Err(CustodyError::Expiry) } else { Ok(()) }
    }

    pub(super) fn expect(&self, state: HoldState) -> Result<(), CustodyError> {
        if self.state == state { Ok(()) } else { Err(CustodyError::State(self.id, self.state.word())) }
    }

    pub(super) fn may_approve(&self, by: &str) -> Result<(), CustodyError> {
        self.expect(HoldState::Requested)?;
        if self.asked.by == by { Err(CustodyError::SecondPerson(by.to_owned())) } else { Ok(()) }
    }

    pub(super) fn may_release(&self, by: &str) -> Result<(), CustodyError> {
        self.expect(HoldState::Active)?;
        match &self.release_asked {
            Some(first) if first.by != by => Ok(()),
            _ => Err(CustodyError::SecondPerson(by.to_owned())),
        }
    }

    /// How it ends by itself, if it is time.
    pub(super) fn overdue(&self, now: UtcMicros) -> Option<(u64, HoldState)> {
        match self.state {
            _ if !self.in_force() => None,
            HoldState::Requested if now.since(self.asked.at) > APPROVAL => Some((self.id, HoldState::Lapsed)),
            _ => (now >= self.expires).then_some((self.id, HoldState::Expired)),
        }
    }

    pub(super) fn apply(&mut self, act: &Act) {
        match act {
            Act::HoldApproved { deed, .. } if self.state == HoldState::Requested => {
                self.state = HoldState::Active;
                self.approved = Some(deed.clone());
            }
            Act::HoldDeclined { deed, .. } if self.state == HoldState::Requested => self.end(HoldState::Declined, deed),
            Act::ReleaseAsked { deed, .. } if self.state == HoldState::Active => self.release_asked = Some(deed.clone()),
            Act::HoldReleased { deed, .. } if self.state == HoldState::Active => self.end(HoldState::Released, deed),
            Act::HoldEnded { how, at, .. } if self.in_force() => {
                self.end(*how, &Deed { by: String::new(), at: *at });
            }
            _ => {}
        }
    }

    fn end(&mut self, state: HoldState, deed: &Deed) {
        self.state = state;
        self.ended = Some(deed.clone());
    }
}
