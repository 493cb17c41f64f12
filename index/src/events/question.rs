//! What is asked of the index, and what it answers.

use super::{Kind, Severity};
use super::{event::Kept, parts::Region};
use crate::journal::Seq;
use crate::model::{CameraId, NodeId, UtcMicros, Window};
use std::collections::BTreeSet;

/// The largest page.
pub const MAX_PAGE: usize = 500;
/// Up to so many, a total is exact.
pub const EXACT_TO: u64 = 10_000;
/// Columns of a histogram.
pub const MAX_COLUMNS: usize = 1500;
/// Cameras named in the facets.
pub const FACET_CAMERAS: usize = 50;
/// Terms in one text.
pub const MAX_TERMS: usize = 8;

/// Which cameras' events somebody may find. It is part of the query, not of what is done with its result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reach {
    /// All, and those that are about no camera.
    Everything,
    /// Those of these cameras, and nothing else.
    Cameras(BTreeSet<CameraId>),
    /// The same in a centre, where another node may use, or have used, one of these numbers for a camera of its own.
    Below {
        /// These cameras,
        cameras: BTreeSet<CameraId>,
        /// but not what these nodes tell under these numbers.
        elsewhere: BTreeSet<(NodeId, CameraId)>,
    },
}

impl Reach {
    /// Whether the events of this camera may be found.
    #[must_use]
    pub fn has(&self, camera: CameraId) -> bool {
        match self {
            Self::Everything => true,
            Self::Cameras(cameras) | Self::Below { cameras, .. } => cameras.contains(&camera),
        }
    }

    /// The same for what a node tells of it.
    #[must_use]
    pub fn has_of(&self, node: NodeId, camera: CameraId) -> bool {
        let elsewhere = matches!(self, Self::Below { elsewhere, .. } if elsewhere.contains(&(node, camera)));
        self.has(camera) && !elsewhere
    }
}

/// A question.
#[derive(Clone, PartialEq, Debug)]
pub struct Question {
    /// Who asks may find these.
    pub reach: Reach,
    /// What it is about, in words: Chinese, English, pinyin or initials. All words must be met.
    pub text: String,
    /// Within this part of the site tree, as it was then.
    pub under: Vec<String>,
    /// Of these cameras; all if empty.
    pub cameras: BTreeSet<CameraId>,
    /// Told by these nodes; by all if empty.
    pub nodes: BTreeSet<NodeId>,
    /// Of these kinds; all if empty.
    pub kinds: BTreeSet<Kind>,
    /// At least so severe.
    pub severity: Severity,
    /// Within this time.
    pub window: Window,
    /// At these hours of the day on the district's clocks; `None` for all.
    pub hours: Option<[bool; 24]>,
    /// Touching this part of the picture.
    pub region: Option<Region>,
    /// Those after this place of the list: the `next` of the page before.
    pub before: Option<u64>,
    /// At most so many, up to [`MAX_PAGE`].
    pub limit: usize,
    /// Whether to count by kind, severity, camera and hour.
    pub facets: bool,
    /// Whether to count along time, in columns of so many milliseconds; at least 1,000, and at most [`MAX_COLUMNS`] of them
    /// in the window.
    pub step_millis: Option<i64>,
}

impl Question {
    /// Everything in a window that a reach has, newest first, 50 a page.
    #[must_use]
    pub fn new(reach: Reach, window: Window) -> Self {
        Self {
            reach,
            text: String::new(),
            under: Vec::new(),
            cameras: BTreeSet::new(),
            nodes: BTreeSet::new(),
            kinds: BTreeSet::new(),
            severity: Severity::Info,
            window,
            hours: None,
            region: None,
            before: None,
            limit: 50,
            facets: false,
            step_millis: None,
        }
    }
}

/// How the words of a question were understood: as they stand, or, where that found nothing, more freely.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Understood {
    /// As written.
    Literally,
    /// Cut into words that need not stand together.
    AsWords,
    /// By sound.
    AsHomophone,
    /// A whole name with one character wrong, missing, too many or exchanged.
    NameWithOneSlip,
    /// As a short form: a character of each word.
    AsShortForm,
    /// With one character wrong, missing, too many or exchanged, anywhere.
    WithOneSlip,
}

impl Understood {
    /// From strict to free.
    pub const ALL: [Self; 6] =
        [Self::Literally, Self::AsWords, Self::AsHomophone, Self::NameWithOneSlip, Self::AsShortForm, Self::WithOneSlip];

    /// The word for it in the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Literally => "literal",
            Self::AsWords => "words",
            Self::AsHomophone => "homophone",
            Self::AsShortForm => "short_form",
            Self::NameWithOneSlip | Self::WithOneSlip => "one_character",
        }
    }
}

/// How many there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Total {
    /// So many, or at least so many.
    pub count: u64,
    /// Which of the two.
    pub exact: bool,
}

/// Counts by kind, severity, camera and hour.
#[derive(Clone, PartialEq, Debug)]
pub struct Facets {
    /// Most frequent first.
    pub kinds: Vec<(Kind, u64)>,
    /// By severity, lightest first.
    pub severities: [u64; 4],
    /// Most frequent first, at most [`FACET_CAMERAS`].
    pub cameras: Vec<(CameraId, u64)>,
    /// By hour of the day on the district's clocks.
    pub hours: [u64; 24],
}

/// Counts along time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Histogram {
    /// Where the first column begins.
    pub from: UtcMicros,
    /// How wide a column is.
    pub step_millis: i64,
    /// The columns.
    pub counts: Vec<u64>,
}

/// What the answer covers (I9).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coverage {
    /// Whose journal.
    pub node: NodeId,
    /// Everything up to here was looked through.
    pub indexed_to: Seq,
    /// When the newest of that was received; [`UtcMicros::MIN`] if nothing was yet.
    pub indexed_at: UtcMicros,
    /// How far the journal reaches.
    pub journal: Seq,
    /// The time that the index knows, whole days; `None` if it knows none.
    pub known: Option<Window>,
    /// Whether days are being made anew, so that events of theirs are missing for now.
    pub rebuilding: bool,
    /// What keeps the index from following.
    pub problem: Option<String>,
    /// Down to where facets and histogram count: later than the window's beginning when the cost bound cut them short.
    pub counted_from: UtcMicros,
    /// The same of each copy that the index is made of, by node. How far a copy follows its node is known elsewhere.
    pub below: Vec<CoverageBelow>,
}

/// What the answer covers of a node below.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoverageBelow {
    /// Whose journal.
    pub node: NodeId,
    /// Everything up to here was looked through.
    pub indexed_to: Seq,
    /// When the newest of that was received, by that node's clock; [`UtcMicros::MIN`] if nothing was yet.
    pub indexed_at: UtcMicros,
    /// How far the copy reaches.
    pub copied: Seq,
}

impl Coverage {
    /// Whether nothing that the journal and the copies have is missing from the answer.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let below = self.below.iter().all(|below| below.indexed_to == below.copied);
        self.indexed_to == self.journal && below && !self.rebuilding && self.problem.is_none()
    }
}

/// An answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// Newest first.
    pub events: Vec<Kept>,
    /// Where to go on; `None` at the end.
    pub next: Option<u64>,
    /// How many there are in all.
    pub total: Total,
    /// How the text was understood.
    pub understood: Understood,
    /// If asked for.
    pub facets: Option<Facets>,
    /// If asked for.
    pub histogram: Option<Histogram>,
    /// What it covers.
    pub coverage: Coverage,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The question cannot be asked so.
    #[error("{0}")]
    Question(&'static str),
    /// The index does not read back.
    #[error("a day of the event index cannot be read: {0}")]
    Index(#[from] tantivy::TantivyError),
}
