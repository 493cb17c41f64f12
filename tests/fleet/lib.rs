//! The simulated cameras: an RTSP server of hundreds or thousands of them, their faults, and a checker that compares
//! what was recorded, played or exported with what was sent.
//!
//! It knows the system under test only from outside: the vocabulary of `index::model` is shared, no code of the store
//! or of ingest is.
//!
//! ```no_run
//! use fleet::{Fault, Fleet, FleetSpec, Who};
//! let fleet = Fleet::start(FleetSpec::tiny(4)).expect("clips and a port");
//! println!("{}", fleet.url(1, index::model::StreamKind::Main));
//! fleet.begin(Fault::Silent, &Who::Cameras(vec![1]));
//! println!("{:?}", fleet.stats());
//! ```

mod audio;
mod auth;
mod check;
mod clip;
pub mod control;
mod device;
mod dice;
mod drain;
mod faults;
mod film;
mod metadata;
mod packets;
mod quirks;
mod rtsp;
mod scene;
mod sdp;
mod sent;
mod serve;
mod spec;
mod stamp;
mod stats;

pub use check::{Checker, Condition, Report, Span, StreamReport, Verdict, pictures};
pub use clip::{Clip, ClipError, ClipSpec};
pub use drain::{Drained, Over, drain, raise_file_limit};
pub use faults::{Active, Effects, Fault, Rule, RuleError, Who};
pub use film::{Film, KeyUnits};
pub use quirks::{Act, ELSEWHERE, Habit, Moment, Quirk, all as quirks};
pub use scene::{Class, Happening, Lens, Object, Scene, Weather, What};
pub use sent::{Fate, Run, SessionLog, StreamLog};
pub use serve::{Fleet, FleetError, TruthEvent, make_clips};
pub use spec::{AudioPlan, Auth, DigestAlgorithm, FleetSpec, SceneClips, default_cache};
pub use stamp::{STAMP_UUID, Stamp, StampError, checksum};
pub use stats::Stats;
