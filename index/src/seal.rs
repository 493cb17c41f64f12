//! Camera passwords at rest: sealed with a key that only this node has.
//!
//! Whoever copies the cameras file, or a backup of it, gets no password; whoever can write it cannot give one camera's
//! password to another, because the camera's number is part of what the seal covers.
//!
//! ```text
//! sealed, as base64:  0 1 version 1 | 1 24 nonce, random | 25 … XChaCha20-Poly1305 of the plain bytes | 16 tag
//! plain:              0 2 length of the user name | 2 2 length of the password, little-endian | user | password | zeros
//!                     to a multiple of 64 bytes, so that the length tells little
//! covered besides:    "haohe camera credentials" | camera number, 4 bytes little-endian
//! ```

use crate::durable::{self, FileError};
use crate::model::{CameraId, Credentials, Secret};
use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const NONCE: usize = 24;
/// A user name or password of a camera has at most so many bytes.
const MAX_PART: usize = 1024;
const KEY_MARK: &str = "haohe-node-key-1 ";

/// The node's key. It has no `Debug` that shows it, and is cleared when it goes.
pub struct NodeKey(XChaCha20Poly1305);

/// Sealed credentials: safe to store, useless elsewhere.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

/// Why something is not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Others than the owner could read the key, or anybody change it.
    #[error("the key file {path} has permissions {mode:03o}; it must be 400", path = path.display())]
    Permissions {
        /// The key file.
        path: PathBuf,
        /// What it has.
        mode: u32,
    },
    /// The key file is not one.
    #[error("{path} is not a node key", path = path.display())]
    Key {
        /// The key file.
        path: PathBuf,
    },
    /// Sealed with another key, for another camera, changed since, or of a later version.
    #[error("the sealed password of {0:?} does not open with this node's key: enter it again")]
    Broken(CameraId),
    /// Longer than any camera takes.
    #[error("a camera's user name and password have at most 1,024 bytes each")]
    TooLong,
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

impl NodeKey {
    /// Reads the key file, or creates it with mode 0400 at the first start.
    ///
    /// # Errors
    /// [`SealError::Permissions`] if anybody but the owner can read the file; [`SealError::Key`] if it holds no key.
    pub fn open_or_create(path: &Path) -> Result<Self, SealError> {
        let Some(bytes) = durable::read(path)?.map(Zeroizing::new) else { return Self::create(path) };
        let stat = |source| FileError { doing: "stat", path: path.to_owned(), source };
        let mode = fs::metadata(path).map_err(stat)?.permissions().mode() & 0o777;
        if mode & !0o400 != 0 {
            return Err(SealError::Permissions { path: path.to_owned(), mode });
        }
        let broken = || SealError::Key { path: path.to_owned() };
        let text = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim_end().strip_prefix(KEY_MARK)).ok_or_else(broken)?;
        let key = Zeroizing::new(STANDARD.decode(text).map_err(|_| broken())?);
        Ok(Self(XChaCha20Poly1305::new_from_slice(&key).map_err(|_| broken())?))
    }

    fn create(path: &Path) -> Result<Self, SealError> {
        let mut key = Zeroizing::new([0_u8; 32]);
        rand::fill(&mut key[..]);
        let text = Zeroizing::new(format!("{KEY_MARK}{}\n", &*Zeroizing::new(STANDARD.encode(&key[..]))));
        durable::replace(path, text.as_bytes(), 0o400)?;
        Ok(Self(XChaCha20Poly1305::new((&*key).into())))
    }

    /// Seals a camera's credentials. Twice the same gives two different texts.
    ///
    /// # Errors
    /// [`SealError::TooLong`].
    pub fn seal(&self, camera: CameraId, credentials: &Credentials) -> Result<Sealed, SealError> {
        let plain = encode(credentials).ok_or(SealError::TooLong)?;
        let mut bytes = vec![VERSION];
        let mut nonce = [0; NONCE];
        rand::fill(&mut nonce[..]);
        bytes.extend_from_slice(&nonce);
        let payload = Payload { msg: &plain, aad: &context(camera) };
        // The cipher refuses only messages of 256 GiB.
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::TooLong)?;
        bytes.extend_from_slice(&sealed);
        Ok(Sealed(STANDARD.encode(bytes)))
    }

    /// Opens a camera's sealed credentials.
    ///
    /// # Errors
    /// [`SealError::Broken`] for anything that this key did not seal for this camera.
    pub fn open(&self, camera: CameraId, sealed: &Sealed) -> Result<Credentials, SealError> {
        let broken = || SealError::Broken(camera);
        let bytes = STANDARD.decode(&sealed.0).map_err(|_| broken())?;
        let (version, rest) = bytes.split_first().ok_or_else(broken)?;
        let (nonce, message) = rest.split_first_chunk::<NONCE>().ok_or_else(broken)?;
        if *version != VERSION {
            return Err(broken());
        }
        let payload = Payload { msg: message, aad: &context(camera) };
        let plain = Zeroizing::new(self.0.decrypt(&XNonce::from(*nonce), payload).map_err(|_| broken())?);
        decode(&plain).ok_or_else(broken)
    }
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeKey(…)")
    }
}

fn context(camera: CameraId) -> Vec<u8> {
    [b"haohe camera credentials", &camera.number().to_le_bytes()[..]].concat()
}

fn encode(credentials: &Credentials) -> Option<Zeroizing<Vec<u8>>> {
    let (user, password) = (credentials.user.as_bytes(), credentials.password.expose().as_bytes());
    if user.len() > MAX_PART || password.len() > MAX_PART {
        return None;
    }
    // Room for all at once: growing would leave copies behind.
    let length = (4 + user.len() + password.len()).next_multiple_of(64);
    let mut plain = Zeroizing::new(Vec::with_capacity(length));
    plain.extend_from_slice(&(user.len() as u16).to_le_bytes());
    plain.extend_from_slice(&(password.len() as u16).to_le_bytes());
    plain.extend_from_slice(user);
    plain.extend_from_slice(password);
    plain.resize(length, 0);
    Some(plain)
}

fn decode(plain: &[u8]) -> Option<Credentials> {
    let (lengths, rest) = plain.split_first_chunk::<4>()?;
    let (user, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([lengths[0], lengths[1]])))?;
    let password = rest.get(..usize::from(u16::from_le_bytes([lengths[2], lengths[3]])))?;
    Some(Credentials {
        user: std::str::from_utf8(user).ok()?.to_owned(),
        password: Secret::new(std::str::from_utf8(password).ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn camera(number: u32) -> CameraId {
        CameraId::new(number).expect("a camera's number")
    }

    fn key() -> NodeKey {
        NodeKey(XChaCha20Poly1305::new(&[7; 32].into()))
    }

    fn credentials(user: &str, password: &str) -> Credentials {
        Credentials { user: user.into(), password: Secret::new(password) }
    }

    proptest! {
        #[test]
        fn credentials_come_back_as_they_went(user in ".{0,80}", password in ".{0,80}", number in 1..=CameraId::MAX) {
            let key = key();
            let given = credentials(&user, &password);
            let sealed = key.seal(camera(number), &given).expect("sealed");
            prop_assert_eq!(key.open(camera(number), &sealed).expect("opened"), given);
        }
    }

    #[test]
    fn a_seal_moved_to_another_camera_does_not_open() {
        let key = key();
        let sealed = key.seal(camera(7), &credentials("admin", "canary")).expect("sealed");
        assert!(!format!("{sealed:?}").contains("canary"));
        assert!(matches!(key.open(camera(8), &sealed), Err(SealError::Broken(id)) if id == camera(8)));
    }

    #[test]
    fn a_seal_that_was_changed_anywhere_does_not_open() {
        let key = key();
        let sealed = key.seal(camera(7), &credentials("admin", "canary")).expect("sealed");
        let bytes = STANDARD.decode(&sealed.0).expect("base64");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(key.open(camera(7), &Sealed(STANDARD.encode(&changed))).is_err(), "byte {at}");
            assert!(key.open(camera(7), &Sealed(STANDARD.encode(&bytes[..at]))).is_err(), "cut at {at}");
        }
        assert!(key.open(camera(7), &Sealed("no base64!".into())).is_err());
    }

    #[test]
    fn the_length_of_a_short_password_does_not_show() {
        let key = key();
        let length = |password| key.seal(camera(1), &credentials("admin", password)).expect("sealed").0.len();
        assert_eq!(length("x"), length("a much longer password than that"));
    }

    #[test]
    fn the_key_stays_the_same_and_is_refused_when_others_may_read_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("node.key");
        let sealed = NodeKey::open_or_create(&path).expect("a key").seal(camera(1), &credentials("u", "p")).expect("sealed");
        assert!(NodeKey::open_or_create(&path).expect("the same").open(camera(1), &sealed).is_ok());
        for mode in [0o440, 0o404, 0o600, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("our file");
            let error = NodeKey::open_or_create(&path).expect_err("refused");
            assert!(matches!(error, SealError::Permissions { mode: m, .. } if m == mode), "{error}");
        }
    }

    #[test]
    fn a_key_file_that_holds_no_key_is_refused_and_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("node.key");
        for text in ["", "haohe-node-key-1 c2hvcnQ=\n", "something else"] {
            durable::replace(&path, text.as_bytes(), 0o400).expect("written");
            assert!(matches!(NodeKey::open_or_create(&path), Err(SealError::Key { .. })), "{text:?}");
            assert_eq!(fs::read_to_string(&path).expect("kept"), text);
        }
    }

    #[test]
    fn what_no_camera_takes_is_refused() {
        let key = key();
        assert!(matches!(key.seal(camera(1), &credentials("u", &"x".repeat(1025))), Err(SealError::TooLong)));
    }
}
