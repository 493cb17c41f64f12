//! One account, its rules, and what may be changed about it.

use crate::access::{Person, Role, Scope};
use crate::model::UtcMicros;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A password's argon2id hash in its text form. Never shown, logged or journalled (I12).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes the text form, `$argon2id$…`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text form, for whoever checks a password.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// Somebody who may sign in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Name, roles and scopes.
    pub person: Person,
    /// The password's hash.
    pub password: PasswordHash,
    /// Switched off: no sign-in, and running logins end.
    #[serde(default)]
    pub disabled: bool,
    /// When the person's clearance, training or contract runs out (Decree 799, article 16); `None` if it does not.
    #[serde(default)]
    pub staff_expires: Option<UtcMicros>,
}

/// Which rule an account breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AccountError {
    /// The name is not one that can be typed anywhere.
    #[error("an account's name is 1 to 32 of a-z, 0-9, dot, underscore and dash, and starts with a letter")]
    Name,
    /// The register must name a person, not only an account.
    #[error("the display name is empty, or it or the unit is longer than 100 characters")]
    Display,
    /// An account without a role can do nothing.
    #[error("an account has at least one role")]
    NoRole,
    /// Who checks the others does not work beside them (Z3).
    #[error("an auditor has no other role")]
    AuditorApart,
    /// A scope names nothing.
    #[error("a scope is everything, a camera, or a place of 1 to 6 levels; at most 1,000 of them")]
    Scope,
}

/// What is to be changed about an account; `None` leaves it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Change {
    /// The name colleagues know.
    pub display: Option<String>,
    /// The organisation.
    pub unit: Option<String>,
    /// What the person is trusted with.
    pub roles: Option<BTreeSet<Role>>,
    /// Where.
    pub scopes: Option<Vec<Scope>>,
    /// Whether the account is switched off.
    pub disabled: Option<bool>,
    /// When it runs out; `Some(None)` for never.
    pub staff_expires: Option<Option<UtcMicros>>,
}

impl Change {
    /// Whether it changes what the person may do.
    pub(super) fn touches_rights(&self) -> bool {
        self.roles.is_some() || self.scopes.is_some() || self.disabled.is_some() || self.staff_expires.is_some()
    }

    pub(super) fn apply(self, mut account: Account) -> Account {
        let person = &mut account.person;
        set(&mut person.display, self.display);
        set(&mut person.unit, self.unit);
        set(&mut person.roles, self.roles);
        set(&mut person.scopes, self.scopes);
        set(&mut account.disabled, self.disabled);
        set(&mut account.staff_expires, self.staff_expires);
        account
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

impl Account {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), AccountError> {
        let Person { name, display, unit, roles, scopes, .. } = &self.person;
        let letter = |c: u8| c.is_ascii_lowercase();
        let sign = |c: u8| letter(c) || c.is_ascii_digit() || matches!(c, b'.' | b'_' | b'-');
        if name.len() > 32 || !name.bytes().next().is_some_and(letter) || !name.bytes().all(sign) {
            return Err(AccountError::Name);
        }
        if display.trim().is_empty() || display.chars().count() > 100 || unit.chars().count() > 100 {
            return Err(AccountError::Display);
        }
        if roles.is_empty() {
            return Err(AccountError::NoRole);
        }
        if roles.contains(&Role::Auditor) && roles.len() > 1 {
            return Err(AccountError::AuditorApart);
        }
        let good = |scope: &Scope| !matches!(scope, Scope::Place(levels) if levels.is_empty() || levels.len() > 6);
        if scopes.len() > 1000 || !scopes.iter().all(good) {
            return Err(AccountError::Scope);
        }
        Ok(())
    }

    /// What the journal may know: everything but the hash.
    pub(super) fn facts(&self) -> serde_json::Value {
        let Self { person, password: _, disabled, staff_expires } = self;
        serde_json::json!({ "person": person, "disabled": disabled, "staff_expires": staff_expires })
    }
}
