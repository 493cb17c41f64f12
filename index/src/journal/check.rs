//! Proving that a journal is whole: every file, record, number and link of the chain.

use super::medium::{Medium, RealMedium, Use};
use super::recover::{check_order, open_all, scan_file};
use super::segment::Stop;
use super::{Hash, Journal, JournalError, Seq, hint};
use crate::model::NodeId;
use std::path::Path;

/// What a whole journal consists of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verified {
    /// Whose it is.
    pub node: NodeId,
    /// How many files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// The newest record.
    pub tail: Seq,
    /// The chain up to it.
    pub head: Hash,
    /// Bytes of a commit at the end that was never acknowledged: of a crash, or of a node that is writing now.
    pub unfinished_bytes: u64,
}

impl Journal {
    /// Reads the whole journal in `dir` and checks every record (J1, J5). Changes nothing and needs no running node; a
    /// running one may go on. `None` if there is no journal.
    ///
    /// # Errors
    /// [`JournalError::Damaged`] names the first place that does not check; [`JournalError::Io`].
    pub fn verify(dir: &Path) -> Result<Option<Verified>, JournalError> {
        Self::verify_on(&RealMedium::new(dir))
    }

    pub(super) fn verify_on(medium: &dyn Medium) -> Result<Option<Verified>, JournalError> {
        let note = hint::read(medium)?;
        let files = open_all(medium, Use::Read)?;
        let Some(oldest) = files.first() else {
            hint::check(note.as_ref(), medium, Seq::ZERO, Hash::ZERO)?;
            return Ok(None);
        };
        let node = oldest.header.node;
        files.iter().try_for_each(|file| file.check_node(node))?;
        check_order(&files)?;
        let mut all = Verified { node, files: files.len(), bytes: 0, tail: Seq::ZERO, head: Hash::ZERO, unfinished_bytes: 0 };
        let mut commit = 0;
        for (n, file) in files.iter().enumerate() {
            let damaged = |offset, what| JournalError::Damaged { path: file.path.clone(), offset, what };
            if file.header.before != all.head || file.header.first != all.tail.next() || file.header.first_commit != commit + 1 {
                return Err(damaged(32, "the file does not continue the one before it"));
            }
            let scan = scan_file(file)?;
            match scan.stop {
                Stop::Clean => {}
                Stop::Unfinished if n + 1 == files.len() => all.unfinished_bytes = file.end() - scan.end,
                Stop::Unfinished => return Err(damaged(scan.end, "no whole record where one should be")),
                Stop::Damaged(offset, what) => return Err(damaged(offset, what)),
            }
            (all.tail, all.head, commit) = (scan.tail, scan.hash, scan.commit);
            all.bytes += file.end();
        }
        hint::check(note.as_ref(), medium, all.tail, all.head)?;
        Ok(Some(all))
    }
}
