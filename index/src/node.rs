//! The node's own directory: who it is, and that only one process at a time is it.

use crate::durable::{self, FileError};
use crate::model::NodeId;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// The directory with everything that this node must not forget: identity, journal, people, cameras, key. Holding it is
/// being the node; when it goes, or the process dies in any way, the lock goes too.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    node: NodeId,
    _lock: File,
}

/// Why the node cannot be this one.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Another process is this node.
    #[error("{path} is in use by another haohe process{}", holder.map(|pid| format!(" (process {pid})")).unwrap_or_default(), path = path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Which process, as far as it said.
        holder: Option<u32>,
    },
    /// The identity does not read back. Minting another would make this a node that nobody knows.
    #[error("{path} does not hold a node's identity: {why}", path = path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    version: u32,
    node: NodeId,
}

impl StateDir {
    /// Takes a directory, created with mode 0700 if missing, and mints the node's identity at the first start.
    ///
    /// # Errors
    /// [`NodeError::InUse`] if another process has it; [`NodeError::Identity`] if the identity is damaged.
    pub fn open(path: &Path) -> Result<Self, NodeError> {
        let failed = |doing| move |source| FileError { doing, path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("create"))?;
        let lock = lock(path)?;
        let file = path.join("node.json");
        let node = match durable::read(&file)? {
            Some(bytes) => parse(&bytes).map_err(|why| NodeError::Identity { path: file, why })?,
            None => mint(path, &file)?,
        };
        Ok(Self { path: path.to_owned(), node, _lock: lock })
    }

    /// Who the node of a directory is, without being it; `None` if there is none yet. For what is done beside a running node.
    ///
    /// # Errors
    /// As [`StateDir::open`].
    pub fn peek(path: &Path) -> Result<Option<NodeId>, NodeError> {
        let file = path.join("node.json");
        let Some(bytes) = durable::read(&file)? else { return Ok(None) };
        parse(&bytes).map(Some).map_err(|why| NodeError::Identity { path: file, why })
    }

    /// Who the node is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the journal lives.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// Where a centre keeps copies of the journals of the nodes below it.
    #[must_use]
    pub fn copies(&self) -> PathBuf {
        self.path.join("copies")
    }

    /// Where it is kept who this node believes, above and below.
    #[must_use]
    pub fn link(&self) -> PathBuf {
        self.path.join("link")
    }

    /// The file that it is kept in which cameras the journals tell of.
    #[must_use]
    pub fn site(&self) -> PathBuf {
        self.path.join("site.json")
    }

    /// Where the index of events lives.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.path.join("events")
    }

    /// Where it is kept what moved in the pictures.
    #[must_use]
    pub fn motion(&self) -> PathBuf {
        self.path.join("motion")
    }

    /// The file that rules and alarms are kept in.
    #[must_use]
    pub fn alarms(&self) -> PathBuf {
        self.path.join("alarms.json")
    }

    /// The file that incidents are kept in.
    #[must_use]
    pub fn incidents(&self) -> PathBuf {
        self.path.join("incidents.json")
    }

    /// Where it is kept how far each web hook is.
    #[must_use]
    pub fn hooks(&self) -> PathBuf {
        self.path.join("hooks")
    }

    /// The file that says of which gaps in recordings nothing was told yet.
    #[must_use]
    pub fn gaps(&self) -> PathBuf {
        self.path.join("gaps.json")
    }

    /// The file of what reports are made of.
    #[must_use]
    pub fn reports(&self) -> PathBuf {
        self.path.join("reports.json")
    }

    /// The file of people.
    #[must_use]
    pub fn people(&self) -> PathBuf {
        self.path.join("people.json")
    }

    /// The file of cameras.
    #[must_use]
    pub fn cameras(&self) -> PathBuf {
        self.path.join("cameras.json")
    }

    /// The file of the key that seals camera passwords.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.path.join("node.key")
    }
}

/// Locks the directory for this process and notes its number for whoever comes second.
fn lock(dir: &Path) -> Result<File, NodeError> {
    let path = dir.join("lock");
    let failed = |doing| {
        let path = path.clone();
        move |source| FileError { doing, path, source }
    };
    let mut file =
        File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed("open"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let holder = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(NodeError::InUse { path: dir.to_owned(), holder });
        }
        Err(TryLockError::Error(source)) => return Err(failed("lock")(source).into()),
    }
    file.set_len(0).map_err(failed("write"))?;
    file.rewind().map_err(failed("write"))?;
    writeln!(file, "{}", std::process::id()).map_err(failed("write"))?;
    Ok(file)
}

/// Mints the identity, unless the directory shows that there once was one.
fn mint(dir: &Path, file: &Path) -> Result<NodeId, NodeError> {
    if fs::exists(dir.join("journal")).unwrap_or(true) {
        let why = "it is missing, although the directory holds a journal: restore it from a backup".to_owned();
        return Err(NodeError::Identity { path: file.to_owned(), why });
    }
    let node = NodeId::from_bytes(uuid::Uuid::new_v4().into_bytes());
    let text = serde_json::json!({ "version": 1, "node": node }).to_string();
    durable::replace(file, text.as_bytes(), 0o600)?;
    Ok(node)
}

fn parse(bytes: &[u8]) -> Result<NodeId, String> {
    let identity: Identity = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if identity.version == 1 { Ok(identity.node) } else { Err(format!("its version is {}, not 1", identity.version)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_keeps_its_identity_for_life() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("state");
        let first = StateDir::open(&path).expect("a new node").node();
        assert_eq!(StateDir::open(&path).expect("the same node").node(), first);
    }

    #[test]
    fn a_second_process_is_refused_and_told_which_one_is_first() {
        let dir = tempfile::tempdir().expect("a directory");
        let _first = StateDir::open(dir.path()).expect("a new node");
        let error = StateDir::open(dir.path()).expect_err("in use");
        assert!(matches!(error, NodeError::InUse { holder: Some(pid), .. } if pid == std::process::id()), "{error}");
    }

    #[test]
    fn a_damaged_or_lost_identity_is_never_replaced_by_a_new_one() {
        let dir = tempfile::tempdir().expect("a directory");
        drop(StateDir::open(dir.path()).expect("a new node"));
        fs::create_dir(dir.path().join("journal")).expect("writable");
        for damage in [Some("{"), Some(r#"{"version":2,"node":"00000000-0000-0000-0000-000000000001"}"#), None] {
            match damage {
                Some(text) => fs::write(dir.path().join("node.json"), text).expect("writable"),
                None => fs::remove_file(dir.path().join("node.json")).expect("removable"),
            }
            let error = StateDir::open(dir.path()).expect_err("refused");
            assert!(matches!(error, NodeError::Identity { .. }), "{error}");
        }
    }
}
