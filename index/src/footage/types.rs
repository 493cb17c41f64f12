//! The words in which the rest of the system speaks to the store. Plain data: what they do is decided elsewhere.

use crate::model::{
    AccessUnit, ClockReading, GapCause, MediaTicks, NodeId, Priority, RetentionClass, StreamId, Tracks, UtcMicros, Window,
};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// Everything that the store must be told once, at start.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Whose footage it is; stands in every segment.
    pub node: NodeId,
    /// Where the store keeps what can be rebuilt: the ledger's checkpoint. Must exist.
    pub state_dir: PathBuf,
    /// The disks. At least one.
    pub volumes: Vec<VolumeSetup>,
    /// Bytes of a main stream's segment file: a multiple of 4,096, 1 MiB to 1 GiB. Default 256 MiB.
    pub segment_bytes: u64,
    /// The same for sub-streams. Default 64 MiB.
    pub sub_segment_bytes: u64,
    /// A segment is sealed at the latest after this much recorded time. Default one hour.
    pub segment_max: Duration,
    /// How long footage is kept, by class.
    pub terms: RetentionTerms,
    /// The share of all capacity that holds may take up, in percent. Default 10.
    pub hold_percent: u8,
    /// Bytes of drafts that may wait for one volume; one more is given back. Memory is used only while a disk stands still. Default
    /// 256 MiB: a second and a half of a full room.
    pub queue_bytes: usize,
    /// How long a draft waits for the commit that makes it durable to begin, at the longest. A commit takes all that wait then, so this
    /// bounds the syncs a second too. Default 500 ms.
    pub commit_every: Duration,
    /// Bytes a second that are read again of each volume, to see that they are what was written; 0 reads nothing. Default
    /// 4 MiB.
    pub scrub_bytes: u64,
    /// Pending bytes that start a commit early; where a stall left a backlog, one commit takes about eight times as much. Default
    /// 16 MiB.
    pub commit_bytes: usize,
}

impl Setup {
    /// The defaults, for these volumes.
    #[must_use]
    pub fn new(node: NodeId, state_dir: PathBuf, volumes: Vec<VolumeSetup>) -> Self {
        Self {
            node,
            state_dir,
            volumes,
            segment_bytes: 256 << 20,
            sub_segment_bytes: 64 << 20,
            segment_max: Duration::from_secs(3600),
            terms: RetentionTerms::default(),
            hold_percent: 10,
            queue_bytes: 256 << 20,
            commit_every: Duration::from_millis(500),
            scrub_bytes: 4 << 20,
            commit_bytes: 16 << 20,
        }
    }
}

/// One disk as the configuration names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VolumeSetup {
    /// What people call it: `disk-03`.
    pub name: String,
    /// The directory. Must exist and be writable; is prepared at first use.
    pub path: PathBuf,
    /// Bytes that segments may take up in all. Preallocated in the background.
    pub capacity: u64,
}

/// How long each class of footage is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetentionTerms {
    /// [`RetentionClass::Standard`]; 30 days by default.
    pub standard: Duration,
    /// [`RetentionClass::KeyTarget`]; 90 days by default.
    pub key_target: Duration,
}

impl Default for RetentionTerms {
    fn default() -> Self {
        let days = |n: u64| Duration::from_secs(n * 86_400);
        Self { standard: days(30), key_target: days(90) }
    }
}

impl RetentionTerms {
    /// The term of a class.
    #[must_use]
    pub fn of(&self, class: RetentionClass) -> Duration {
        match class {
            RetentionClass::Standard => self.standard,
            RetentionClass::KeyTarget => self.key_target,
        }
    }
}

/// A fragment before it is on disk: whole access units of one stream, about a second of them.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Whose.
    pub stream: StreamId,
    /// What decodes it. Other tracks than the draft's before it begin a new segment.
    pub tracks: Arc<Tracks>,
    /// In decode order within each track; the tracks may be mixed. Never empty.
    pub units: Vec<AccessUnit>,
    /// From the first video unit's decode time to that of the one after the last.
    pub duration: MediaTicks,
    /// Changes when the timeline broke (a reconnect, a jump of the camera's clock): another value begins a new segment.
    pub run: u32,
    /// What was known about time.
    pub clock: ClockReading,
    /// How long it is kept.
    pub retention: RetentionClass,
    /// What is shed first.
    pub priority: Priority,
}

impl Draft {
    /// Bytes of media in it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.units.iter().map(|unit| unit.data.len()).sum()
    }

    /// The first video unit, or the first of any track where there is no video.
    #[must_use]
    pub fn lead(&self) -> Option<&AccessUnit> {
        self.units.iter().find(|unit| unit.track == crate::model::TrackKind::Video).or(self.units.first())
    }

    /// When it was filmed: from its first picture, for its duration.
    #[must_use]
    pub fn window(&self) -> Window {
        let from = self.lead().map(|unit| unit.utc).unwrap_or_default();
        Window::new(from, from + Duration::from_micros(u64::try_from(self.duration.as_micros()).unwrap_or(0)))
    }
}

/// A draft was not taken: the volume's queue is full (I11). It comes back whole; the caller sheds by rule and reports what it
/// shed with [`Store::lost`](super::Store::lost).
#[derive(Debug, thiserror::Error)]
#[error("the queue of volume {volume} holds {queued} bytes, its bound is {bound}")]
pub struct Full {
    /// What was not taken.
    pub draft: Box<Draft>,
    /// The volume's name.
    pub volume: String,
    /// Bytes waiting there.
    pub queued: usize,
    /// The most that may wait.
    pub bound: usize,
}

/// A fragment became durable (F3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Announced {
    /// Whose.
    pub stream: StreamId,
    /// When it was filmed.
    pub window: Window,
    /// Bytes of media.
    pub bytes: u64,
}

/// One tile of a stream's time.
#[derive(Clone, PartialEq, Debug)]
pub struct Interval {
    /// The time it tiles.
    pub window: Window,
    /// What there is.
    pub state: IntervalState,
}

/// What there is of a stream in a span of time.
#[derive(Clone, PartialEq, Debug)]
pub enum IntervalState {
    /// Everything.
    Recorded,
    /// Nothing.
    Gap {
        /// Why.
        cause: GapCause,
        /// What the place that named the cause had to add; may be empty.
        detail: String,
    },
    /// Something: units were lost inside, or recorded and gap spans were merged to the resolution asked for.
    Partial {
        /// The cause of the longest loss inside.
        cause: GapCause,
        /// The share that is recorded: above 0, at most 1 (1 where only single units are missing).
        share: f32,
        /// Units known to be missing; 0 where only spans of time are.
        units: u32,
    },
}

/// What the store holds of one stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamSummary {
    /// Which stream.
    pub stream: StreamId,
    /// Its oldest picture.
    pub first: UtcMicros,
    /// Where its newest picture ends.
    pub last: UtcMicros,
    /// Bytes of its fragments.
    pub bytes: u64,
    /// Segments that hold them.
    pub segments: usize,
}

/// How a volume fares.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum VolumeState {
    /// It writes and syncs.
    Ok,
    /// It refused a write, or is slow: what it did not take went elsewhere. It is used again when it does well.
    Suspect,
    /// It refused a sync or too many writes, or does not answer: it is read, and written only if no other volume is left.
    Draining,
    /// It is not there, or cannot even be read.
    Failed,
}

impl VolumeState {
    /// `ok`, `suspect`, `draining` or `failed`, as in the API and the journal.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Suspect => "suspect",
            Self::Draining => "draining",
            Self::Failed => "failed",
        }
    }
}

/// What is the matter with a volume.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Trouble {
    /// Its commits take longer than a second.
    Slow,
    /// A commit has not returned for more than two seconds.
    Stalled,
    /// It refuses writes.
    Refuses,
    /// It refused a sync.
    Unsynced,
    /// Its file system is read-only.
    ReadOnly,
    /// Its file system is full although the space of segments is taken up beforehand.
    NoSpace,
    /// Its disk is not there.
    Away,
}

impl Trouble {
    /// `slow`, `stalled`, `refuses`, `unsynced`, `read_only`, `no_space` or `away`, as in the API and the journal.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Stalled => "stalled",
            Self::Refuses => "refuses",
            Self::Unsynced => "unsynced",
            Self::ReadOnly => "read_only",
            Self::NoSpace => "no_space",
            Self::Away => "away",
        }
    }
}

/// One volume's figures.
#[derive(Clone, Debug)]
pub struct VolumeHealth {
    /// Its name in the configuration.
    pub name: String,
    /// Its directory.
    pub path: PathBuf,
    /// How it fares.
    pub state: VolumeState,
    /// Why it is not [`VolumeState::Ok`]; `None` if it is.
    pub trouble: Option<Trouble>,
    /// Since when.
    pub since: Option<UtcMicros>,
    /// Streams that are recorded there.
    pub streams: usize,
    /// Whether writes bypass the page cache. If not, the file system refused it, and a warning was logged at start.
    pub direct_io: bool,
    /// Segment files there are.
    pub segments_total: usize,
    /// Of these, ready for new footage.
    pub segments_free: usize,
    /// Of these, being written.
    pub segments_open: usize,
    /// Whether there is no segment to write to and none is past its term: what arrives is being lost.
    pub full: bool,
    /// Bytes that segments may take up, as configured.
    pub capacity: u64,
    /// Bytes of these that the disk did not have: something else takes them up, or the disk is smaller. Asked for again each minute.
    pub missing: u64,
    /// Bytes written since start, headers and padding included.
    pub bytes_written: u64,
    /// Bytes waiting to be written.
    pub queue_bytes: usize,
    /// The bound of the queue.
    pub queue_bound: usize,
    /// Commits since start.
    pub commits: u64,
    /// Median time of the last 256 commits, in milliseconds.
    pub commit_ms_p50: f64,
    /// 99th percentile of the same.
    pub commit_ms_p99: f64,
    /// What the disk said last, if it ever refused.
    pub last_error: Option<String>,
    /// Whether tails of an earlier run, or the catalogue, are still being read.
    pub recovering: bool,
    /// Places that recovery, or reading again, found damaged since they were stored.
    pub damaged: u64,
    /// Bytes read again since start and compared with what was written.
    pub verified: u64,
}

/// The store's figures.
#[derive(Clone, Debug)]
pub struct StoreHealth {
    /// One for each volume, in the order of the configuration.
    pub volumes: Vec<VolumeHealth>,
    /// Fragments announced since start.
    pub fragments: u64,
    /// Fragments lost since start because no disk took them.
    pub fragments_lost: u64,
    /// The oldest footage there is.
    pub oldest: Option<UtcMicros>,
    /// Whether retention stands still because the node's clock jumped, and since when.
    pub retention_frozen: Option<UtcMicros>,
}

/// Why the store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration names no volume.
    #[error("no volume is configured")]
    NoVolume,
    /// A size makes no sense.
    #[error("segments of {0} bytes: give a multiple of 4096 from 1 MiB to 1 GiB")]
    SegmentSize(u64),
    /// The directory is not there: perhaps the disk is not mounted.
    #[error("volume {volume}: {path} does not exist: mount its disk there, or make the directory")]
    Missing {
        /// Its name.
        volume: String,
        /// Its directory.
        path: PathBuf,
    },
    /// A disk that was used before is not mounted where it was.
    #[error(
        "volume {volume}: nothing of it is in {path}: its disk is not mounted there. Mount it, or give an empty disk another name"
    )]
    NotMounted {
        /// Its name.
        volume: String,
        /// Its directory.
        path: PathBuf,
    },
    /// A running node was told of another directory for a volume.
    #[error(
        "volume {volume}: its directory cannot become {path} while the node runs: restart it, or give the volume another name"
    )]
    Moved {
        /// Its name.
        volume: String,
        /// The directory it was to have.
        path: PathBuf,
    },
    /// The directory may not be written by this user.
    #[error("volume {volume}: no permission to write {path}: give the directory to the user that this node runs as")]
    Permission {
        /// Its name.
        volume: String,
        /// Its directory.
        path: PathBuf,
    },
    /// Another process records there.
    #[error(
        "volume {volume}: another process has {path} locked: a disk belongs to one node. Stop the other, or name another directory"
    )]
    Locked {
        /// Its name.
        volume: String,
        /// Its directory.
        path: PathBuf,
    },
    /// The file system has no room for even a few segments.
    #[error(
        "volume {volume} is full: {free} bytes are free in {path} and one segment needs {needed}. Nothing was recorded there: make room, or name another disk"
    )]
    Full {
        /// Its name.
        volume: String,
        /// Its directory.
        path: PathBuf,
        /// Free bytes.
        free: u64,
        /// Bytes of one segment.
        needed: u64,
    },
    /// The volume was prepared by another node or is of a later version.
    #[error(
        "volume {volume}: {path} is not a volume of this node: {reason}. It is left alone: name another directory, or the node that it belongs to"
    )]
    Foreign {
        /// Its name.
        volume: String,
        /// Its directory.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Anything else the system said.
    #[error("volume {volume}: {path}")]
    Io {
        /// Its name.
        volume: String,
        /// Its directory.
        path: PathBuf,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
}

impl OpenError {
    /// Whether the disk may just not be there, so that a node that knows the volume records without it.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::NotMounted { .. } | Self::Io { .. })
    }
}

/// Why media cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The permit does not cover it (I8).
    #[error("the permit does not cover {stream} then")]
    NotPermitted {
        /// The stream asked for.
        stream: StreamId,
    },
    /// It was there, and has been removed since.
    #[error("segment {segment} holds other footage by now")]
    Gone {
        /// The segment's number.
        segment: u32,
    },
    /// The bytes are not those that were written.
    #[error("segment {segment} at byte {offset}: {what}")]
    Damaged {
        /// The segment's number.
        segment: u32,
        /// Where in the file.
        offset: u64,
        /// Which check failed.
        what: &'static str,
    },
    /// The disk refused.
    #[error("read segment {segment}")]
    Io {
        /// The segment's number.
        segment: u32,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
}
