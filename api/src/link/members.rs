//! Who may dial in to this centre: each node was admitted once, by a person's one-time code, and is a file from then on.
//!
//! Files, because `haohe ca` writes codes while the centre runs, and because what a person admits must outlive any crash. A code is a
//! file named by its hash, so that reading the directory gives nobody a code; using it up is removing the file, which succeeds once.

use crate::tls::write_private;
use index::model::{NodeId, Tier, UtcMicros};
use rand::Rng;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// How long a code is good for.
pub const CODE_LASTS: Duration = Duration::from_secs(24 * 3600);
/// Nodes that one centre admits.
const MAX_MEMBERS: usize = 512;

/// A node that may dial in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Which node.
    pub node: NodeId,
    /// What people call it.
    pub name: String,
    /// Its tier.
    pub tier: Tier,
    /// Since when.
    pub since: UtcMicros,
}

/// What a person carries from the centre to the node that shall join: where to go, whom to believe there, and a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    /// The centre's API, `host:port`.
    pub address: String,
    /// The beginning of the SHA-256 of its HTTPS certificate.
    pub fingerprint: [u8; 16],
    secret: [u8; 16],
}

/// Why a node is not admitted.
#[derive(Debug, thiserror::Error)]
pub enum NotAdmitted {
    /// The code is none, is used up, or is too old.
    #[error("this code was used, is older than a day, or was never given")]
    Code,
    /// A node of that tier does not belong below this centre.
    #[error("a {0} does not belong directly below this centre")]
    Tier(Tier),
    /// Another node is known under that identity.
    #[error("this centre is that node itself, or has it already through another node")]
    Known,
    /// As many nodes as may be are admitted.
    #[error("as many nodes as one centre takes are admitted already")]
    Full,
    /// The disk refuses.
    #[error("the disk of the state directory refuses")]
    Disk(#[source] anyhow::Error),
}

impl Code {
    /// Its secret, for whoever redeems it.
    #[must_use]
    pub fn secret(&self) -> String {
        hex(&self.secret)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "haohe1/{}/{}/{}", self.address, hex(&self.fingerprint), hex(&self.secret))
    }
}

impl FromStr for Code {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = "this is no code: copy the whole line that `haohe ca invite` printed, from haohe1 on";
        let parts: Vec<&str> = text.trim().split('/').collect();
        let ["haohe1", address, fingerprint, secret] = parts[..] else { return Err(bad) };
        let whole = address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !whole {
            return Err(bad);
        }
        Ok(Self { address: address.to_owned(), fingerprint: unhex(fingerprint).ok_or(bad)?, secret: unhex(secret).ok_or(bad)? })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes from their digits; `None` for anything but as many as wanted.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

fn file_of(dir: &Path, secret: &str) -> PathBuf {
    dir.join("invitations").join(blake3::hash(secret.as_bytes()).to_hex().as_str())
}

/// Gives a code out. `dir` is the centre's directory of the link; the centre may be running.
///
/// # Errors
/// If the disk refuses.
pub fn invite(dir: &Path, address: String, fingerprint: [u8; 16]) -> anyhow::Result<Code> {
    let mut secret = [0; 16];
    rand::rng().fill_bytes(&mut secret);
    let code = Code { address, fingerprint, secret };
    fs::create_dir_all(dir.join("invitations"))?;
    let until = UtcMicros::now() + CODE_LASTS;
    write_private(&file_of(dir, &code.secret()), until.as_micros().to_string().as_bytes())?;
    Ok(code)
}

/// The members of a running centre.
pub struct Members {
    dir: PathBuf,
    admitting: Mutex<()>,
    /// All of them, as they change.
    now: watch::Sender<Vec<Member>>,
}

impl Members {
    /// Reads who was admitted, from the centre's directory of the link.
    ///
    /// # Errors
    /// If a file does not read back: then restore it, or remove it and have the node join again.
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        let members = dir.join("members");
        fs::create_dir_all(&members)?;
        fs::create_dir_all(dir.join("invitations"))?;
        let mut all = Vec::new();
        for entry in fs::read_dir(&members)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                let named = |error: anyhow::Error| {
                    error.context(format!(
                        "{} does not read back: restore it, or remove it and have the node join again",
                        path.display()
                    ))
                };
                let text = fs::read(&path).map_err(|error| named(error.into()))?;
                all.push(serde_json::from_slice::<Member>(&text).map_err(|error| named(error.into()))?);
            }
        }
        all.sort_by_key(|member| member.node);
        Ok(Self { dir: dir.to_owned(), admitting: Mutex::default(), now: watch::Sender::new(all) })
    }

    /// Who may dial in, by node.
    #[must_use]
    pub fn list(&self) -> Vec<Member> {
        self.now.borrow().clone()
    }

    /// The same, as it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Vec<Member>> {
        self.now.subscribe()
    }

    /// Admits a node for a code, which is used up. One that was admitted before may join again: with another key, under its new name.
    /// Waits for the disk.
    ///
    /// # Errors
    /// Why not. A code is used up also by a node that is refused for another reason.
    pub fn admit(
        &self,
        secret: &str,
        member: Member,
        may: impl FnOnce(&Member) -> Result<(), NotAdmitted>,
    ) -> Result<(), NotAdmitted> {
        let _one_at_a_time = self.admitting.lock().unwrap_or_else(PoisonError::into_inner);
        self.redeem(secret, member.since)?;
        may(&member)?;
        let mut all = self.list();
        all.retain(|known| known.node != member.node);
        if all.len() >= MAX_MEMBERS {
            return Err(NotAdmitted::Full);
        }
        let path = self.dir.join("members").join(format!("{}.json", member.node));
        let text = serde_json::to_vec(&member).unwrap_or_default();
        write_private(&path, &text).map_err(NotAdmitted::Disk)?;
        all.push(member);
        all.sort_by_key(|member| member.node);
        self.now.send_replace(all);
        Ok(())
    }

    fn redeem(&self, secret: &str, now: UtcMicros) -> Result<(), NotAdmitted> {
        let path = file_of(&self.dir, secret);
        let until: i64 = match fs::read_to_string(&path) {
            Ok(text) => text.parse().map_err(|_| NotAdmitted::Code)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(NotAdmitted::Code),
            Err(error) => return Err(NotAdmitted::Disk(error.into())),
        };
        fs::remove_file(&path).map_err(|error| NotAdmitted::Disk(error.into()))?;
        if now.as_micros() < until { Ok(()) } else { Err(NotAdmitted::Code) }
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Members").field("dir", &self.dir).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(n: u8) -> Member {
        Member { node: NodeId::from_bytes([n; 16]), name: format!("监控室 {n}"), tier: Tier::Room, since: UtcMicros::now() }
    }

    fn anyone(_: &Member) -> Result<(), NotAdmitted> {
        Ok(())
    }

    fn code(dir: &Path) -> Code {
        invite(dir, "centre.example:8443".to_owned(), [7; 16]).expect("a code")
    }

    #[test]
    fn a_code_admits_one_node_once_and_is_read_as_it_was_printed() {
        let dir = tempfile::tempdir().expect("a directory");
        let members = Members::open(dir.path()).expect("open");
        let code = code(dir.path());
        assert!(code.to_string().parse() == Ok(code.clone()));
        assert!(members.admit("0123", room(1), anyone).is_err());
        members.admit(&code.secret(), room(1), anyone).expect("admitted");
        assert!(matches!(members.admit(&code.secret(), room(2), anyone), Err(NotAdmitted::Code)));
        let names = |members: &Members| members.list().into_iter().map(|member| member.name).collect::<Vec<_>>();
        assert_eq!(names(&members), ["监控室 1"]);
        assert_eq!(names(&Members::open(dir.path()).expect("open")), ["监控室 1"], "admitted for good");
    }

    #[test]
    fn a_code_that_is_a_day_old_admits_nobody() {
        let dir = tempfile::tempdir().expect("a directory");
        let members = Members::open(dir.path()).expect("open");
        let code = code(dir.path());
        let late = Member { since: UtcMicros::now() + CODE_LASTS, ..room(1) };
        assert!(matches!(members.admit(&code.secret(), late, anyone), Err(NotAdmitted::Code)));
        assert!(members.list().is_empty());
    }

    #[test]
    fn what_is_no_code_is_told_so() {
        for text in
            ["", "haohe1", "haohe1/a:1/00/11", "haohe1/centre/00112233445566778899aabbccddeeff/00112233445566778899aabbccddeeff"]
        {
            assert!(text.parse::<Code>().is_err(), "{text}");
        }
    }

    #[test]
    fn no_code_can_be_read_out_of_the_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let secret = code(dir.path()).secret();
        for entry in fs::read_dir(dir.path().join("invitations")).expect("readable").flatten() {
            let text = fs::read_to_string(entry.path()).expect("readable");
            assert!(!text.contains(&secret) && !entry.path().to_string_lossy().contains(&secret));
        }
    }
}
