//! What is wrong with a camera's picture: black, white, frozen, covered, blurred, moved, off colour. At most one at a time, the one that
//! explains the others.
//!
//! Some faults show in one picture, others only beside what the camera usually shows ([`View`]). A fault is told after it stood for
//! some pictures and seconds, and is over after the picture was well for some; while it stands the limits are wider, so that a picture
//! on the edge does not tell it twice. Every finding says which figure gave it, and the limit.

use super::movement::Compared;
use super::sample::{LEVEL, Sampled};
use super::view::{Likeness, View};
use index::{events::Kind, model::UtcMicros};
use std::time::Duration;

/// What is wrong with a picture.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Fault {
    /// Nothing but black.
    Black,
    /// Nothing but white.
    White,
    /// The same picture again and again.
    Frozen,
    /// Something hides a large part of the view.
    Covered,
    /// The camera looks elsewhere.
    Moved,
    /// Out of focus, or something on the lens.
    Blurred,
    /// One colour over everything.
    Cast,
}

impl Fault {
    /// Every fault, in the order in which they explain each other.
    pub const ALL: [Self; 7] = [Self::Black, Self::White, Self::Frozen, Self::Covered, Self::Blurred, Self::Moved, Self::Cast];

    /// The event that tells it.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Black => Kind::PictureBlack,
            Self::White => Kind::PictureWhite,
            Self::Frozen => Kind::PictureFrozen,
            Self::Covered => Kind::PictureCovered,
            Self::Moved => Kind::PictureMoved,
            Self::Blurred => Kind::PictureBlurred,
            Self::Cast => Kind::PictureCast,
        }
    }

    /// The word for it in the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Black => "black",
            Self::White => "white",
            Self::Frozen => "frozen",
            Self::Covered => "covered",
            Self::Moved => "moved",
            Self::Blurred => "blurred",
            Self::Cast => "colour_cast",
        }
    }

    /// How many pictures, and how long, before it is told.
    fn patience(self) -> (u32, Duration) {
        match self {
            Self::Black | Self::White | Self::Covered => (4, Duration::from_secs(6)),
            Self::Frozen => (6, Duration::from_secs(10)),
            Self::Moved | Self::Blurred | Self::Cast => (6, Duration::from_secs(10)),
        }
    }
}

/// The figure that gave a finding.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Reason {
    /// What was measured: a stable word.
    pub measure: &'static str,
    /// How much it was.
    pub value: f32,
    /// The limit that it passed.
    pub limit: f32,
}

/// A change of what is told of a camera's picture.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Verdict {
    /// This is wrong, and was since then.
    Wrong {
        /// What.
        fault: Fault,
        /// Since when.
        since: UtcMicros,
        /// Why it is believed.
        reason: Reason,
    },
    /// It is over.
    Good {
        /// What was wrong.
        fault: Fault,
        /// Since when it was.
        since: UtcMicros,
        /// The view was taken as the camera's new one: what was wrong is now how it is.
        accepted: bool,
    },
}

/// Pictures and seconds that must be well before a fault is over.
const WELL: (u32, Duration) = (4, Duration::from_secs(6));
/// A camera that looks elsewhere for so long was turned on purpose: its new view is learnt.
const ACCEPT: Duration = Duration::from_secs(600);

/// One camera's picture, judged from picture to picture.
#[derive(Debug, Default)]
pub struct Judge {
    view: View,
    told: Option<(Fault, UtcMicros)>,
    /// What the last pictures say, if it is not what is told: since when, and how many.
    leaning: Option<Leaning>,
}

#[derive(Clone, Copy, Debug)]
struct Leaning {
    to: Option<Fault>,
    since: UtcMicros,
    pictures: u32,
}

impl Judge {
    /// What is told to be wrong now, and since when.
    #[must_use]
    pub fn told(&self) -> Option<(Fault, UtcMicros)> {
        self.told
    }

    /// Looks at the next picture.
    pub(super) fn look(&mut self, at: UtcMicros, picture: &Sampled, compared: &Compared) -> Option<Verdict> {
        let likeness = self.view.likeness(picture);
        let found = self.find(picture, compared, likeness.as_ref());
        if found.is_none() && self.told.is_none() {
            self.view.learn(picture, compared);
        }
        let now = found.map(|(fault, _)| fault);
        if now == self.told.map(|(fault, _)| fault) {
            self.leaning = None;
            return self.accept(at);
        }
        let leaning = match self.leaning {
            Some(leaning) if leaning.to == now => Leaning { pictures: leaning.pictures + 1, ..leaning },
            _ => Leaning { to: now, since: at, pictures: 1 },
        };
        self.leaning = Some(leaning);
        let (pictures, time) = now.map_or(WELL, Fault::patience);
        if leaning.pictures < pictures || at.since(leaning.since) < time {
            return None;
        }
        self.leaning = None;
        let before = self.told.take();
        match found {
            Some((fault, reason)) => {
                self.told = Some((fault, leaning.since));
                Some(Verdict::Wrong { fault, since: leaning.since, reason })
            }
            None => before.map(|(fault, since)| Verdict::Good { fault, since, accepted: false }),
        }
    }

    /// Forgets what the camera showed: another size, another stream.
    pub(super) fn reset(&mut self) {
        self.view = View::default();
        self.leaning = None;
    }

    fn accept(&mut self, at: UtcMicros) -> Option<Verdict> {
        let (fault, since) = self.told.filter(|(fault, since)| *fault == Fault::Moved && at.since(*since) >= ACCEPT)?;
        self.told = None;
        self.reset();
        Some(Verdict::Good { fault, since, accepted: true })
    }

    /// What this picture alone says.
    fn find(&self, picture: &Sampled, compared: &Compared, likeness: Option<&Likeness>) -> Option<(Fault, Reason)> {
        let standing = |fault| self.told.is_some_and(|(told, _)| told == fault);
        // The limit is easier to pass for a fault that stands: how much easier, it says itself.
        let over = |fault, measure, value: f32, limit: f32, eased: f32| {
            let limit = if standing(fault) { eased } else { limit };
            (value >= limit).then_some((fault, Reason { measure, value, limit }))
        };
        let shares = Shares::of(picture);
        let black = || over(Fault::Black, "dark_share", shares.dark, 0.96, 0.93);
        let white = || over(Fault::White, "bright_share", shares.bright, 0.85, 0.75);
        let frozen = || {
            let (same, near) = compared.still?;
            let usual = self.view.stillness()?;
            // A picture whose noise the encoder always takes away cannot be told from a frozen one by its noise.
            let told = usual < FROZEN_USUAL && near >= FROZEN_NEAR;
            told.then(|| over(Fault::Frozen, "identical_share", same, FROZEN, FROZEN_EASED)).flatten()
        };
        let covered = || {
            let likeness = likeness.filter(|likeness| likeness.flat_like < COVERED_LIKE)?;
            over(Fault::Covered, "outlines_lost", 1.0 - likeness.outlines, HIDDEN, HIDDEN_EASED)
        };
        let moved = || {
            let likeness = likeness.filter(|likeness| likeness.outlines >= MOVED_OUTLINES)?;
            over(Fault::Moved, "unfamiliar_share", 1.0 - likeness.kept, MOVED, MOVED_EASED)
        };
        let blurred = || {
            let (sharp, _) = picture.sharpness?;
            let usual = self.view.sharpness()?;
            over(Fault::Blurred, "softness", 1.0 - sharp / usual.max(0.01), BLURRED, BLURRED_EASED)
        };
        let cast = || {
            let usual = self.view.colour()?;
            let (blue, red) = (picture.colour.0 - usual.0, picture.colour.1 - usual.1);
            let strength = picture.colour.0.hypot(picture.colour.1);
            let shifted = strength > 10.0 && picture.colour_spread < strength * 2.0;
            shifted.then(|| over(Fault::Cast, "colour_shift", blue.hypot(red), 12.0, 9.0)).flatten()
        };
        black().or_else(white).or_else(frozen).or_else(covered).or_else(blurred).or_else(moved).or_else(cast)
    }
}

/// The share of samples that hardly differ: of a live picture that its noise is seen in, and of a frozen one.
const FROZEN_USUAL: f32 = 0.55;
const FROZEN: f32 = 0.8;
const FROZEN_EASED: f32 = 0.7;
const FROZEN_NEAR: f32 = 0.93;
/// How alike the large shapes of what became flat may still be; a blurred picture keeps them.
const COVERED_LIKE: f32 = 0.6;
/// The share of the usual outlines that is gone. Covered scenes had lost 0.56 and more; turned, blurred and unlit ones 0.11 at most.
const HIDDEN: f32 = 0.4;
const HIDDEN_EASED: f32 = 0.3;
/// With fewer outlines for each usual one, little is left to know a view by.
const MOVED_OUTLINES: f32 = 0.6;
const MOVED: f32 = 0.6;
const MOVED_EASED: f32 = 0.5;
const BLURRED: f32 = 0.45;
const BLURRED_EASED: f32 = 0.35;

/// How much of a picture is how light.
struct Shares {
    dark: f32,
    bright: f32,
}

impl Shares {
    fn of(picture: &Sampled) -> Self {
        let all = picture.luma.len().max(1) as f32;
        let share =
            |test: fn(i32) -> bool| picture.luma.iter().filter(|sample| test(i32::from(**sample) / LEVEL)).count() as f32 / all;
        // Black is 16 and white 235 where levels are limited, 0 and 255 where not; noise and a clock are allowed for.
        Self { dark: share(|level| level < 34), bright: share(|level| level > 222) }
    }
}
