//! What a fleet is made of, as plain data: how many cameras, what they film, how they are reached, what goes wrong.

use crate::{
    clip::ClipSpec,
    faults::Rule,
    scene::{Scene, Weather},
};
use index::model::VideoCodec;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// A whole fleet. [`FleetSpec::tiny`] for tests, [`FleetSpec::full`] for demonstrations and measurements.
#[derive(Clone, Debug)]
pub struct FleetSpec {
    /// How many cameras, numbered from 1.
    pub cameras: u32,
    /// Where to listen; port 0 takes any free port.
    pub listen: SocketAddr,
    /// Everything random comes from it.
    pub seed: u64,
    /// What the cameras film; camera `i` takes scene `(i - 1) mod n`. Not empty.
    pub scenes: Vec<SceneClips>,
    /// Who may watch.
    pub auth: Auth,
    /// What the cameras hear, on their main streams.
    pub audio: AudioPlan,
    /// Whether main streams offer an ONVIF metadata track.
    pub metadata: bool,
    /// So many cameras, from the first on, have a device service whose events are pulled.
    pub pull_points: u32,
    /// Threads that pace and send, 1 to 16. One carries several hundred cameras.
    pub threads: usize,
    /// Where clips are kept.
    pub cache: PathBuf,
    /// What goes wrong, and when.
    pub faults: Vec<Rule>,
    /// How long a session lives without a request or receiver report; announced in `Session`.
    pub session_timeout: Duration,
    /// How many bytes a camera holds back for a client that does not read, before it drops whole GOPs.
    pub client_buffer: usize,
    /// The kernel's send buffer for each TCP session, in bytes. Small, as in cameras: a client that is slow shows soon.
    pub socket_buffer: usize,
}

/// The clips of one scene.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SceneClips {
    /// What `/main` shows.
    pub main: ClipSpec,
    /// What `/sub` shows.
    pub sub: ClipSpec,
}

/// Who may watch. Passwords are test data and may be printed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Auth {
    /// Everyone.
    Open,
    /// Digest authentication (RFC 2617, RFC 7616).
    Digest {
        /// The only user.
        user: String,
        /// The password.
        password: String,
        /// With which hash.
        algorithm: DigestAlgorithm,
    },
}

/// The hash of digest authentication.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum DigestAlgorithm {
    /// What almost every camera uses.
    Md5,
    /// What newer ones offer.
    Sha256,
}

/// Which cameras have a microphone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum AudioPlan {
    /// None.
    None,
    /// All: G.711 A-law, 8 kHz.
    Pcma,
    /// All: G.711 µ-law, 8 kHz.
    Pcmu,
    /// All: AAC-LC, 16 kHz.
    Aac,
    /// In turn: A-law, AAC, none.
    Mixed,
}

impl FleetSpec {
    /// Cameras fit for tests in debug builds: 320×180 and 160×96, a key unit every second, clips of 4 s.
    #[must_use]
    pub fn tiny(cameras: u32) -> Self {
        let scene = Scene { seed: 11, night: false, weather: Weather::Clear, people: 2, vehicles: 2 };
        let clip = |scene: &Scene, codec, width, height, kbit_per_second| ClipSpec {
            scene: scene.clone(),
            codec,
            width,
            height,
            frames_per_second: 25,
            gops: 4,
            gop: 25,
            kbit_per_second,
            b_pictures: 0,
        };
        let clips = |scene: &Scene| SceneClips {
            main: clip(scene, VideoCodec::H264, 320, 180, 400),
            sub: clip(scene, VideoCodec::H264, 160, 96, 100),
        };
        let night = Scene { seed: 12, night: true, ..scene.clone() };
        Self { scenes: vec![clips(&scene), clips(&night)], ..Self::full(cameras) }
    }

    /// Cameras as a room has them: 1080p25 at about 4 Mbit/s and 640×360 at about 0.5 Mbit/s, a key unit every 2 s. Four
    /// streets in H.264 and one in H.265, whose sub-stream is H.264 as walls need it.
    #[must_use]
    pub fn full(cameras: u32) -> Self {
        let street = |seed, night, weather, people, vehicles| Scene { seed, night, weather, people, vehicles };
        let scenes = [
            (street(1, false, Weather::Clear, 4, 4), VideoCodec::H264),
            (street(2, true, Weather::Clear, 2, 3), VideoCodec::H264),
            (street(3, false, Weather::Rain, 3, 4), VideoCodec::H264),
            (street(4, false, Weather::Fog, 2, 1), VideoCodec::H265),
            (street(5, true, Weather::Snow, 1, 2), VideoCodec::H264),
        ];
        let clip = |scene: &Scene, codec, width, height, kbit_per_second| ClipSpec {
            scene: scene.clone(),
            codec,
            width,
            height,
            frames_per_second: 25,
            gops: 6,
            gop: 50,
            kbit_per_second,
            b_pictures: 0,
        };
        let scenes = scenes.iter().map(|(scene, codec)| SceneClips {
            main: clip(scene, *codec, 1920, 1080, 4000),
            sub: clip(scene, VideoCodec::H264, 640, 360, 500),
        });
        Self {
            cameras,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            seed: 1,
            scenes: scenes.collect(),
            auth: Auth::Open,
            audio: AudioPlan::None,
            metadata: true,
            pull_points: 0,
            threads: 1,
            cache: default_cache(),
            faults: Vec::new(),
            session_timeout: Duration::from_secs(60),
            client_buffer: 2 << 20,
            socket_buffer: 512 << 10,
        }
    }
}

/// `.cache/clips` at the root of the repository that this was built from.
#[must_use]
pub fn default_cache() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.cache/clips"))
}
