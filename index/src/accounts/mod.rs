//! The people of a node: who may sign in, with which roles and scopes.
//!
//! A file that is replaced whole, and a journal record before each change (S3): a change that nobody could look up later
//! does not happen. Passwords are here only as hashes, which this crate neither makes nor checks. An account is never
//! removed, only disabled: the register names it.

mod account;
mod throttle;

pub use account::{Account, AccountError, Change, PasswordHash};
pub use throttle::{Throttle, Wait};

use crate::access::{Actor, Person, Role};
use crate::durable::{self, FileError};
use crate::journal::{Journal, JournalError, Record};
use crate::model::UtcMicros;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The accounts of one node. Changes wait for the disk: not for async code.
pub struct Accounts {
    path: PathBuf,
    journal: Arc<Journal>,
    /// Held while a change goes to disk, so that changes queue up and lookups, one a request, never wait for it.
    changing: Mutex<()>,
    people: Mutex<BTreeMap<String, Account>>,
}

/// Why an account cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The file does not read back. Starting without it would let nobody in, or the wrong ones.
    #[error("{path} is not a file of people: {why}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// There is an account of this name already; disabled ones count.
    #[error("there is an account of this name already")]
    Exists,
    /// There is none.
    #[error("there is no account of this name")]
    Unknown,
    /// Nobody raises or lowers their own rights: another administrator does.
    #[error("nobody changes their own roles, scopes or standing")]
    OwnRights,
    /// Somebody must be left who can repair a mistake.
    #[error("the last administrator cannot be disabled or lose that role")]
    LastAdmin,
    /// The account breaks a rule.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The change could not be journalled, so it was not made.
    #[error("the change could not be journalled, so it was not made")]
    Journal(#[from] JournalError),
    /// The file could not be replaced; the accounts are as they were.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why a person has no access now although the account exists, or that it does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Barred {
    /// No such account. Tell callers outside no more than "wrong name or password".
    #[error("there is no account of this name")]
    Unknown,
    /// Switched off by an administrator.
    #[error("the account is disabled")]
    Disabled,
    /// The person's clearance or contract ran out.
    #[error("the account has expired")]
    Expired,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    people: Vec<Account>,
}

impl Accounts {
    /// Reads the people's file; there are none if it is missing.
    ///
    /// # Errors
    /// [`AccountsError::Damaged`] with what is wrong in the file.
    pub fn open(path: &Path, journal: Arc<Journal>) -> Result<Self, AccountsError> {
        let damaged = |why| AccountsError::Damaged { path: path.to_owned(), why };
        let people = match durable::read(path)? {
            Some(bytes) => parse(&bytes).map_err(damaged)?,
            None => BTreeMap::new(),
        };
        Ok(Self { path: path.to_owned(), journal, changing: Mutex::default(), people: Mutex::new(people) })
    }

    /// Every account, by name.
    #[must_use]
    pub fn list(&self) -> Vec<Account> {
        self.lock().values().cloned().collect()
    }

    /// One account.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Account> {
        self.lock().get(name).cloned()
    }

    /// The person behind an account with the rights of this moment. Ask for each request.
    ///
    /// # Errors
    /// Why there is no access now.
    pub fn person(&self, name: &str, now: UtcMicros) -> Result<Person, Barred> {
        let people = self.lock();
        let account = people.get(name).ok_or(Barred::Unknown)?;
        if account.disabled {
            return Err(Barred::Disabled);
        }
        if account.staff_expires.is_some_and(|at| at <= now) {
            return Err(Barred::Expired);
        }
        Ok(account.person.clone())
    }

    /// Adds an account. Durable, and in the journal, when this returns.
    ///
    /// # Errors
    /// [`AccountsError::Exists`], or what the account breaks.
    pub fn add(&self, by: &Actor, account: Account) -> Result<(), AccountsError> {
        account.check()?;
        let _changing = self.begin();
        let people = self.lock().clone();
        if people.contains_key(&account.person.name) {
            return Err(AccountsError::Exists);
        }
        self.store(people, by, "person.added", account)
    }

    /// Changes an account's rights or standing.
    ///
    /// # Errors
    /// [`AccountsError::OwnRights`] if the person asks for their own account; [`AccountsError::LastAdmin`].
    pub fn change(&self, by: &Actor, name: &str, change: Change) -> Result<(), AccountsError> {
        let _changing = self.begin();
        let people = self.lock().clone();
        let before = people.get(name).ok_or(AccountsError::Unknown)?;
        let own = matches!(by, Actor::Person { name: actor, .. } if actor == name);
        if own && change.touches_rights() {
            return Err(AccountsError::OwnRights);
        }
        let after = change.apply(before.clone());
        after.check()?;
        if is_admin(before) && !is_admin(&after) && people.values().filter(|account| is_admin(account)).count() == 1 {
            return Err(AccountsError::LastAdmin);
        }
        self.store(people, by, "person.changed", after)
    }

    /// Gives an account a new password hash; `must_change` if somebody else chose the password.
    ///
    /// # Errors
    /// [`AccountsError::Unknown`].
    pub fn set_password(&self, by: &Actor, name: &str, hash: PasswordHash, must_change: bool) -> Result<(), AccountsError> {
        let _changing = self.begin();
        let people = self.lock().clone();
        let mut account = people.get(name).ok_or(AccountsError::Unknown)?.clone();
        account.password = hash;
        account.person.must_change_password = must_change;
        self.store(people, by, "person.password", account)
    }

    /// The record first, then the file, then memory: a change is never in force without its record.
    fn store(
        &self,
        mut people: BTreeMap<String, Account>,
        by: &Actor,
        kind: &'static str,
        account: Account,
    ) -> Result<(), AccountsError> {
        let name = account.person.name.clone();
        let before = people.get(&name).map(Account::facts);
        let body = serde_json::json!({ "by": by, "person": name, "before": before, "after": account.facts() });
        self.journal.append(Record::new(UtcMicros::now(), kind, body)).wait()?;
        people.insert(name.clone(), account);
        let stored = Stored { version: 1, people: people.values().cloned().collect() };
        let bytes = serde_json::to_vec_pretty(&stored).map_err(|e| self.damaged(&e))?;
        if let Err(error) = durable::replace(&self.path, &bytes, 0o600) {
            let body = serde_json::json!({ "by": by, "person": name, "undone": kind });
            drop(self.journal.append(Record::new(UtcMicros::now(), "person.undone", body)));
            return Err(error.into());
        }
        *self.lock() = people;
        Ok(())
    }

    fn begin(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn damaged(&self, why: &dyn std::fmt::Display) -> AccountsError {
        AccountsError::Damaged { path: self.path.clone(), why: why.to_string() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Account>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Accounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accounts").field("path", &self.path).finish_non_exhaustive()
    }
}

fn is_admin(account: &Account) -> bool {
    !account.disabled && account.person.roles.contains(&Role::Admin)
}

fn parse(bytes: &[u8]) -> Result<BTreeMap<String, Account>, String> {
    let stored: Stored = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if stored.version != 1 {
        return Err(format!("its version is {}, not 1", stored.version));
    }
    let mut people = BTreeMap::new();
    for account in stored.people {
        account.check().map_err(|error| format!("{}: {error}", account.person.name))?;
        let name = account.person.name.clone();
        if people.insert(name.clone(), account).is_some() {
            return Err(format!("{name} stands in it twice"));
        }
    }
    Ok(people)
}

#[cfg(test)]
mod tests;
