//! The three levels of management centres.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A node's level. A room records; the two above it are centres, which do not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// 监控室: a community's monitoring room, about 290 cameras.
    Room,
    /// 街道分中心: the centre of a sub-district, over some rooms.
    Subdistrict,
    /// 区中心: the centre of the district, over all of them.
    District,
}

impl Tier {
    /// `room`, `subdistrict` or `district`, as in configuration and API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Subdistrict => "subdistrict",
            Self::District => "district",
        }
    }

    /// Whether nodes of this tier have cameras and disks for footage.
    #[must_use]
    pub fn records(self) -> bool {
        self == Self::Room
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
