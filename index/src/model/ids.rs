//! Identities. Each is a type of its own, so that a camera's number can never be passed where a stream is meant.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A camera's number: what operators type, what stands on the wall plan and in every URL. Unique within a district.
/// Bounds: 1 to [`CameraId::MAX`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct CameraId(u32);

impl CameraId {
    /// The largest number: it leaves three bits of a `u32` for the stream's kind (see [`StreamId::to_raw`]).
    pub const MAX: u32 = (1 << 29) - 1;

    /// # Errors
    /// [`IdError::Camera`] if the number is 0 or larger than [`CameraId::MAX`].
    pub fn new(number: u32) -> Result<Self, IdError> {
        if (1..=Self::MAX).contains(&number) { Ok(Self(number)) } else { Err(IdError::Camera(number.to_string())) }
    }

    /// The number itself.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

/// Why a text or number names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a camera's number.
    #[error("{0:?} is not a camera number: a whole number from 1 to {max} is", max = CameraId::MAX)]
    Camera(String),
    /// Not 32 hexadecimal digits in five groups.
    #[error("{0:?} is not the identity of a node or a volume")]
    Random(String),
    /// Not a stream of a camera.
    #[error("{0:?} is not a stream: a camera number, a slash, and main or sub is")]
    Stream(String),
}

impl TryFrom<u32> for CameraId {
    type Error = IdError;
    fn try_from(number: u32) -> Result<Self, IdError> {
        Self::new(number)
    }
}

impl From<CameraId> for u32 {
    fn from(id: CameraId) -> u32 {
        id.0
    }
}

impl FromStr for CameraId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().ok().and_then(|n| Self::new(n).ok()).ok_or_else(|| IdError::Camera(text.to_owned()))
    }
}

impl fmt::Display for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "camera {}", self.0)
    }
}

/// Which encoding of a camera's picture: the one that is evidence, or the small one that walls and analysis use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamKind {
    /// Full resolution, about 4 Mbit/s.
    Main,
    /// Small, about 0.5 Mbit/s, H.264 with a key unit every 2 s.
    Sub,
}

impl StreamKind {
    /// Both, in the order in which a page lists them.
    pub const ALL: [Self; 2] = [Self::Main, Self::Sub];

    /// `main` or `sub`, as in URLs and files.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Sub => "sub",
        }
    }
}

impl fmt::Display for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for StreamKind {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::ALL.into_iter().find(|k| k.word() == text).ok_or_else(|| IdError::Stream(text.to_owned()))
    }
}

/// One encoding of one camera: what is recorded, played and counted. Written `1042/main`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Whose picture.
    pub camera: CameraId,
    /// Which encoding of it.
    pub kind: StreamKind,
}

impl StreamId {
    /// Names a stream.
    #[must_use]
    pub fn new(camera: CameraId, kind: StreamKind) -> Self {
        Self { camera, kind }
    }

    /// The stream as segment files name it: the camera's number times eight, plus 0 for main or 1 for sub.
    #[must_use]
    pub fn to_raw(self) -> u32 {
        self.camera.0 << 3 | self.kind as u32
    }

    /// The inverse of [`StreamId::to_raw`]. `None` for a number that names no stream.
    #[must_use]
    pub fn from_raw(raw: u32) -> Option<Self> {
        let kind = match raw & 7 {
            0 => StreamKind::Main,
            1 => StreamKind::Sub,
            _ => return None,
        };
        Some(Self { camera: CameraId::new(raw >> 3).ok()?, kind })
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.camera, self.kind)
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for StreamId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let (camera, kind) = text.split_once('/').ok_or_else(|| IdError::Stream(text.to_owned()))?;
        Ok(Self { camera: camera.parse()?, kind: kind.parse()? })
    }
}

impl Serialize for StreamId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StreamId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Takes an identity as it stands in a file.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes that files carry.
            #[must_use]
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.parse().map(Self).map_err(|_| IdError::Random(text.to_owned()))
            }
        }
    };
}

random_id! {
    /// One running service: a room's recorder or a centre. Minted once, at first start.
    NodeId
}
random_id! {
    /// A directory on one disk that holds segments. Minted when the volume is prepared; a replaced disk is a new volume.
    VolumeId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_after_a_trip_through_text_and_number() {
        for text in ["1/main", "1042/sub", "536870911/main"] {
            let stream: StreamId = text.parse().expect(text);
            assert_eq!(stream.to_string(), text);
            assert_eq!(StreamId::from_raw(stream.to_raw()), Some(stream));
        }
    }

    #[test]
    fn what_names_no_stream_is_refused() {
        for text in ["", "1042", "0/main", "1042/third", "-1/main", "536870912/main", "1042/main/x"] {
            assert!(text.parse::<StreamId>().is_err(), "{text}");
        }
        assert_eq!(StreamId::from_raw(8 | 2), None);
        assert_eq!(StreamId::from_raw(0), None);
    }
}
