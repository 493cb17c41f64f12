//! Password hashing: Argon2id, on blocking threads, a few at a time.
//!
//! One hash takes 19 MiB and tens of milliseconds by design; a bounded number of them at once keeps a flood of sign-ins
//! from taking the memory and cores that recording needs.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use index::model::Secret;
use rand::RngExt;
use std::sync::{Arc, LazyLock};
use tokio::sync::Semaphore;

/// Fewer than this many characters is not a password (GB/T 22239 asks for length and variety; length is what resists guessing).
pub const MIN_LENGTH: usize = 10;
/// More than this is not typed by a person, and hashing it is work for an attacker's benefit.
pub const MAX_LENGTH: usize = 256;

/// Why a new password is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    /// Too short or too long.
    #[error("a password has {MIN_LENGTH} to {MAX_LENGTH} characters")]
    Length,
    /// Contains the person's name, or is one repeated character or a run.
    #[error("a password does not contain the person's name and is not a simple pattern")]
    Guessable,
}

/// Hashes and checks passwords. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
}

impl Passwords {
    /// At most `at_once` hashes are computed at a time; further callers wait their turn.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(at_once.max(1))) }
    }

    /// Hashes a password for the people file.
    ///
    /// # Errors
    /// If the machine has no randomness or memory for it.
    pub async fn hash(&self, password: Secret) -> Result<String, String> {
        let _turn = self.turns.acquire().await.map_err(|e| e.to_string())?;
        tokio::task::spawn_blocking(move || hash_now(&password)).await.map_err(|e| e.to_string())?
    }

    /// Whether `password` is the one that `hash` was made of. Without a hash (no such person) the same work is done, so
    /// that the time taken tells nobody which names exist.
    pub async fn verify(&self, password: Secret, hash: Option<String>) -> bool {
        let Ok(_turn) = self.turns.acquire().await else { return false };
        tokio::task::spawn_blocking(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| NOBODY.clone());
            let right = PasswordHash::new(&hash)
                .is_ok_and(|hash| Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok());
            right && known
        })
        .await
        .unwrap_or(false)
    }
}

/// Stands in for the hash of a person who does not exist; of a password nobody knows.
static NOBODY: LazyLock<String> = LazyLock::new(|| hash_now(&one_time()).unwrap_or_default());

/// Hashes on the calling thread: for the command line.
///
/// # Errors
/// If the machine has no randomness or memory for it.
pub fn hash_now(password: &Secret) -> Result<String, String> {
    // The crate's default is OWASP's: Argon2id, 19 MiB, 2 passes, 1 lane, with a random salt.
    Argon2::default().hash_password(password.expose().as_bytes()).map(|hash| hash.to_string()).map_err(|e| e.to_string())
}

/// A random password of 20 characters that can be read out over a telephone: about 98 bits.
#[must_use]
pub fn one_time() -> Secret {
    // Without 0 O 1 l I and vowels: nothing to confuse, no words by accident.
    const LETTERS: &[u8] = b"23456789bcdfghjkmnpqrstvwxyz";
    let mut rng = rand::rng();
    let text: String = (0..20).map(|_| char::from(LETTERS[rng.random_range(0..LETTERS.len())])).collect();
    Secret::new(text)
}

/// Whether a new password may be used by `person`.
///
/// # Errors
/// The rule it breaks.
pub fn check(password: &Secret, person: &str) -> Result<(), Weak> {
    let text = password.expose();
    let length = text.chars().count();
    if !(MIN_LENGTH..=MAX_LENGTH).contains(&length) {
        return Err(Weak::Length);
    }
    let bytes = text.as_bytes();
    let patterned = bytes.windows(2).all(|pair| pair[0].abs_diff(pair[1]) <= 1);
    if patterned || (person.len() >= 3 && text.to_lowercase().contains(&person.to_lowercase())) {
        return Err(Weak::Guessable);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_person_is_right() {
        let passwords = Passwords::new(2);
        let hash = passwords.hash(Secret::new("moat-and-old-town")).await.expect("hashed");
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(passwords.verify(Secret::new("moat-and-old-town"), Some(hash.clone())).await);
        assert!(!passwords.verify(Secret::new("moat-and-new-town"), Some(hash)).await);
        assert!(!passwords.verify(Secret::new("moat-and-old-town"), None).await);
        assert!(!passwords.verify(Secret::new(""), Some("not a hash".to_owned())).await);
    }

    #[test]
    fn guessable_passwords_are_refused() {
        for weak in ["short", "aaaaaaaaaaaa", "0123456789", "9876543210", "wang-lei-2026"] {
            assert!(check(&Secret::new(weak), "wang-lei").is_err(), "{weak}");
        }
        assert_eq!(check(&one_time(), "wang-lei"), Ok(()));
        assert_eq!(check(&Secret::new("濠河边的老城区有五座桥吧"), "wang-lei"), Ok(()));
    }
}
