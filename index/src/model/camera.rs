//! A camera as the configuration knows it: where it is, how to reach it, how long its footage is kept.

use super::{CameraId, Secret, StreamKind};
use serde::{Deserialize, Serialize};

/// One imaging device and how this node records it. Carries no secret: see [`Credentials`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// Its number.
    pub id: CameraId,
    /// What people call it: `南门岗亭`. 1 to 100 characters.
    pub name: String,
    /// Where it stands in the site tree below this node, outermost first: `["东苑社区", "3号楼"]`. At most 6 levels.
    #[serde(default)]
    pub place: Vec<String>,
    /// The address of the main stream.
    pub main: CameraAddress,
    /// The address of the sub-stream; without one, walls show the main stream's key units.
    #[serde(default)]
    pub sub: Option<CameraAddress>,
    /// The address of its ONVIF device service, whose events are then asked for by pull point; without one, only what its
    /// metadata track tells is heard.
    #[serde(default)]
    pub onvif: Option<DeviceAddress>,
    /// How packets travel. TCP unless the camera cannot.
    #[serde(default)]
    pub transport: Transport,
    /// Which driver speaks to it; `None` probes and remembers.
    #[serde(default)]
    pub driver: Option<Driver>,
    /// How long its footage is kept.
    #[serde(default)]
    pub retention: RetentionClass,
    /// What is shed first when disks are too slow.
    #[serde(default)]
    pub priority: Priority,
    /// The legal basis for recording sound; without one, sound is not even asked for.
    #[serde(default)]
    pub audio: Option<AudioBasis>,
    /// Whether to record it; `false` is a pause, with its own gap cause.
    #[serde(default = "yes")]
    pub enabled: bool,
}

fn yes() -> bool {
    true
}

impl Camera {
    /// A camera of which nothing is set that need not be: recorded, by one stream, without a place.
    #[must_use]
    pub fn new(id: CameraId, name: impl Into<String>, main: CameraAddress) -> Self {
        Self {
            id,
            name: name.into(),
            place: Vec::new(),
            main,
            sub: None,
            onvif: None,
            transport: Transport::default(),
            driver: None,
            retention: RetentionClass::default(),
            priority: Priority::default(),
            audio: None,
            enabled: true,
        }
    }
}

/// An RTSP address without user information: `rtsp://192.0.2.7:554/Streaming/Channels/101`. Schemes: rtsp, rtsps.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CameraAddress(String);

/// The address of an ONVIF device service without user information: `http://192.0.2.7/onvif/device_service`. Schemes: http, https
/// (a camera's own certificate is taken as it is).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceAddress(String);

/// Why a camera's settings are refused. The text says what to write instead; no secret is repeated in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CameraError {
    /// Not an address that this system dials.
    #[error("the address is not rtsp://host[:port]/path or rtsps://…")]
    Address,
    /// Not a device service that this system asks.
    #[error("the ONVIF address is not http://host[:port]/path or https://…")]
    DeviceAddress,
    /// A password in a URL ends up in logs and on screens.
    #[error("the address contains a user name or password: give them as `user` and `password`, never in the URL")]
    SecretInAddress,
    /// The name is empty or too long.
    #[error("the name is empty or longer than 100 characters")]
    Name,
    /// The place has too many levels or an empty one.
    #[error("the place has more than 6 levels, or a level is empty or longer than 100 characters")]
    Place,
    /// The basis for recording sound says nothing.
    #[error("recording sound needs its legal basis in words")]
    Audio,
}

impl CameraAddress {
    /// # Errors
    /// [`CameraError::Address`] for anything but an RTSP address with a host, of at most 1,024 bytes, free of spaces and
    /// control characters; [`CameraError::SecretInAddress`] if it carries user information.
    pub fn new(text: &str) -> Result<Self, CameraError> {
        let rest = text.strip_prefix("rtsp://").or_else(|| text.strip_prefix("rtsps://")).ok_or(CameraError::Address)?;
        plain(text, rest, CameraError::Address)?;
        Ok(Self(text.to_owned()))
    }

    /// What stands for the address of a stream that another node records: that there is one, and nothing that could be dialled.
    #[must_use]
    pub fn held_by_its_node() -> Self {
        Self("rtsp://held-by-its-node.invalid/".to_owned())
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks what stands behind the scheme of an address: a host without user information, at most 1,024 bytes in all, printable.
fn plain(text: &str, rest: &str, otherwise: CameraError) -> Result<(), CameraError> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(CameraError::SecretInAddress);
    }
    let printable = text.bytes().all(|b| b.is_ascii_graphic());
    if authority.is_empty() || authority.starts_with(':') || text.len() > 1024 || !printable {
        return Err(otherwise);
    }
    Ok(())
}

impl DeviceAddress {
    /// # Errors
    /// [`CameraError::DeviceAddress`] for anything but an HTTP address with a host, of at most 1,024 bytes, free of spaces and
    /// control characters; [`CameraError::SecretInAddress`] if it carries user information.
    pub fn new(text: &str) -> Result<Self, CameraError> {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).ok_or(CameraError::DeviceAddress)?;
        plain(text, rest, CameraError::DeviceAddress)?;
        Ok(Self(text.to_owned()))
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DeviceAddress {
    type Error = CameraError;
    fn try_from(text: String) -> Result<Self, CameraError> {
        Self::new(&text)
    }
}

impl From<DeviceAddress> for String {
    fn from(address: DeviceAddress) -> Self {
        address.0
    }
}

impl TryFrom<String> for CameraAddress {
    type Error = CameraError;
    fn try_from(text: String) -> Result<Self, CameraError> {
        Self::new(&text)
    }
}

impl From<CameraAddress> for String {
    fn from(address: CameraAddress) -> Self {
        address.0
    }
}

impl std::fmt::Display for CameraAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Camera {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), CameraError> {
        let good = |text: &str| !text.trim().is_empty() && text.chars().count() <= 100;
        if !good(&self.name) {
            return Err(CameraError::Name);
        }
        if self.place.len() > 6 || !self.place.iter().all(|level| good(level)) {
            return Err(CameraError::Place);
        }
        if self.audio.as_ref().is_some_and(|basis| basis.0.trim().is_empty()) {
            return Err(CameraError::Audio);
        }
        Ok(())
    }

    /// The address of one of its streams, if it has that one.
    #[must_use]
    pub fn address(&self, kind: StreamKind) -> Option<&CameraAddress> {
        match kind {
            StreamKind::Main => Some(&self.main),
            StreamKind::Sub => self.sub.as_ref(),
        }
    }
}

/// A camera's user name and password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// How packets travel from the camera.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Interleaved in the RTSP connection: nothing is lost silently. The default.
    #[default]
    Tcp,
    /// RTP over UDP.
    Udp,
}

/// Who speaks RTSP to a camera.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// The retina crate: for cameras whose configuration or earlier verdict names it.
    Retina,
    /// FFmpeg's libavformat on a thread of its own: for what `Native` cannot read, and for RTSP over TLS.
    Libav,
    /// This system's own, tried first: it plays most oddities and costs least.
    Native,
}

/// How long footage is kept. The terms are this system's, in whole days; law and site rules choose the class.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetentionClass {
    /// 30 days: the duty of Decree 799, article 17.
    #[default]
    Standard,
    /// 90 days: key targets, Anti-Terrorism Law, article 32.
    KeyTarget,
}

impl RetentionClass {
    /// The number segment files carry.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Standard => 1,
            Self::KeyTarget => 2,
        }
    }

    /// `standard` or `key_target`, as in configuration, journal and API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::KeyTarget => "key_target",
        }
    }

    /// The class a file's number means. An unknown number reads as the longest term: never delete what a later version kept.
    #[must_use]
    pub fn from_code(code: u8) -> Self {
        if code == 1 { Self::Standard } else { Self::KeyTarget }
    }
}

/// What is shed first when a disk cannot keep up, lowest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Shed before the others.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Shed last.
    Key,
}

/// Why sound may be recorded here: the rule and the document, in words.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AudioBasis(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_a_password_is_refused_without_repeating_it() {
        let error = CameraAddress::new("rtsp://admin:canary@192.0.2.7/live").expect_err("must be refused");
        assert_eq!(error, CameraError::SecretInAddress);
        assert!(!error.to_string().contains("canary"));
    }

    #[test]
    fn only_rtsp_addresses_with_a_host_are_dialled() {
        for bad in
            ["", "http://192.0.2.7/", "rtsp://", "rtsp:///live", "rtsp://:554/live", "rtsp://a b/", "rtsp://host/\r\nDESCRIBE"]
        {
            assert_eq!(CameraAddress::new(bad), Err(CameraError::Address), "{bad:?}");
        }
        assert!(CameraAddress::new("rtsp://[2001:db8::7]:554/cam?channel=1&subtype=0").is_ok());
    }
}
