//! What the checker says of each stream, for people and as JSON.

use serde::Serialize;
use std::{collections::BTreeMap, fmt, ops::RangeInclusive};

/// The numbers of the access units that each stream's camera put on the wire, by `camera/kind` (`3/main`), as runs.
pub type SentLog = BTreeMap<String, Vec<RangeInclusive<u64>>>;

/// What was found of one stream.
#[derive(Default, Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    /// Access units sent between the first and the last that are present: from the sent log, or all numbers between.
    pub sent: u64,
    /// Different access units found.
    pub present: u64,
    /// Sent and not found.
    pub lost: u64,
    /// Found more than once (the surplus).
    pub duplicated: u64,
    /// Found behind a later one in the same file.
    pub reordered: u64,
    /// Found with other picture bytes than those sent.
    pub altered: u64,
    /// The first and last numbers found.
    pub first: Option<u64>,
    /// See `first`.
    pub last: Option<u64>,
    /// The UTC microseconds stamped into the first and the last.
    pub first_utc_us: Option<i64>,
    /// See `first_utc_us`.
    pub last_utc_us: Option<i64>,
    /// Where units are lost: runs of numbers, at most 100.
    pub lost_at: Vec<(u64, u64)>,
    /// The numbers of altered units, at most 100.
    pub altered_at: Vec<u64>,
}

/// What was found in all the files.
#[derive(Default, Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// By `camera/kind`.
    pub streams: BTreeMap<String, StreamReport>,
    /// Video samples that carry no stamp of a simulated camera.
    pub unstamped: u64,
    /// Files that hold no readable video.
    pub unreadable: Vec<String>,
}

impl Report {
    /// Whether every stream holds all that was sent, once, in order, unaltered, and nothing else is there.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.unstamped == 0
            && self.unreadable.is_empty()
            && self.streams.values().all(|s| s.lost + s.duplicated + s.reordered + s.altered == 0)
    }

    /// The sum of one figure over all streams.
    #[must_use]
    pub fn total(&self, figure: impl Fn(&StreamReport) -> u64) -> u64 {
        self.streams.values().map(figure).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<12} {:>9} {:>9} {:>7} {:>7} {:>9} {:>7}",
            "stream", "sent", "present", "lost", "double", "reordered", "altered"
        )?;
        for (name, s) in &self.streams {
            writeln!(
                f,
                "{name:<12} {:>9} {:>9} {:>7} {:>7} {:>9} {:>7}",
                s.sent, s.present, s.lost, s.duplicated, s.reordered, s.altered
            )?;
            for (first, last) in s.lost_at.iter().take(5) {
                writeln!(f, "  lost: units {first} to {last}")?;
            }
            for number in s.altered_at.iter().take(5) {
                writeln!(f, "  altered: unit {number}")?;
            }
        }
        if self.unstamped > 0 {
            writeln!(f, "{} samples carry no stamp of a simulated camera", self.unstamped)?;
        }
        self.unreadable.iter().try_for_each(|file| writeln!(f, "no readable video: {file}"))
    }
}
