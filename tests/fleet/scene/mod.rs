//! A street that can be filmed for ever: who moves where is a pure function of the seed and the frame, so the fleet
//! knows the truth about every picture it sends, and detectors and searches can be judged by it.
//!
//! All motion is periodic in the length of a clip: a clip that loops shows no jump. Coordinates are fractions of the
//! picture, from its upper left corner.

mod canvas;
mod lens;
mod paint;

pub use lens::Lens;
pub(crate) use paint::Painter;

use crate::dice::Dice;
use serde::{Deserialize, Serialize};

/// What one street looks like.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Scene {
    /// Chooses houses, colours, and who passes when.
    pub seed: u64,
    /// Lamps and lit windows instead of the sun.
    pub night: bool,
    /// What falls from the sky.
    pub weather: Weather,
    /// How many people and vehicles pass; 0 is an empty street.
    pub people: u8,
    /// See `people`.
    pub vehicles: u8,
}

/// What falls from the sky.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weather {
    /// Nothing.
    Clear,
    /// Streaks, different in every frame: hard on encoders.
    Rain,
    /// Flakes that drift.
    Snow,
    /// Little contrast.
    Fog,
}

/// What kind of thing an object is. Never who.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Class {
    /// A person on foot.
    Human,
    /// A car, van or bus.
    Vehicle,
}

impl Class {
    /// The class as ONVIF's schema spells it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Human => "Human",
            Self::Vehicle => "Vehicle",
        }
    }
}

/// One thing in one picture: where it is, as fractions of the picture, cut at its edges.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Object {
    /// Its number, the same while it crosses the picture.
    pub id: u32,
    /// What it is.
    pub class: Class,
    /// Left edge, 0 to 1.
    pub left: f32,
    /// Upper edge, 0 to 1.
    pub top: f32,
    /// Right edge, 0 to 1, not less than `left`.
    pub right: f32,
    /// Lower edge, 0 to 1, not less than `top`.
    pub bottom: f32,
}

/// Something that happens at one frame of the clip.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Happening {
    /// The first frame that shows it.
    pub frame: u32,
    /// What happens.
    pub what: What,
}

/// What happens.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum What {
    /// Something is in the picture that was empty, or the picture is empty again.
    Motion {
        /// Whether anything moves now.
        now: bool,
    },
    /// The middle of an object passed the scene's line.
    LineCrossed {
        /// Which object.
        object: u32,
        /// What it is.
        class: Class,
        /// Left to right, or downwards.
        forward: bool,
    },
}

/// One who passes. Vehicles keep to the lanes and people to the pavements, but for those who cross the road.
#[derive(Clone, Debug)]
struct Actor {
    class: Class,
    path: Path,
    /// Passes per clip, and where in the first one the clip begins.
    passes: u32,
    phase: f32,
    width: f32,
    height: f32,
    colour: [u8; 3],
}

#[derive(Clone, Copy, Debug)]
enum Path {
    /// Sideways, standing on `ground`.
    Along { ground: f32, forward: bool },
    /// Over the road at `x`.
    Over { x: f32, forward: bool },
}

const FAR_PAVEMENT: f32 = 0.60;
const ROAD: (f32, f32) = (0.63, 0.88);
const NEAR_PAVEMENT: f32 = 0.96;
/// Vehicles and people along the street cross it here; people who cross the road cross the middle of the road.
const LINE_X: f32 = 0.5;
const LINE_Y: f32 = 0.75;
/// How far outside the picture a path begins and ends, so that the street is sometimes empty.
const MARGIN: f32 = 0.35;

impl Scene {
    fn actors(&self) -> Vec<Actor> {
        let mut dice = Dice::new(self.seed, 1);
        let vehicles = (0..self.vehicles).map(|_| Class::Vehicle);
        vehicles.chain((0..self.people).map(|_| Class::Human)).map(|class| Actor::new(class, &mut dice)).collect()
    }

    /// What is in the picture at `frame` of a clip of `frames`, nearest last.
    #[must_use]
    pub fn objects(&self, frame: u32, frames: u32) -> Vec<Object> {
        let mut seen: Vec<_> = self.placed(frame, frames).into_iter().map(|(_, object)| object).collect();
        seen.sort_by(|a, b| a.bottom.total_cmp(&b.bottom));
        seen
    }

    fn placed(&self, frame: u32, frames: u32) -> Vec<(Actor, Object)> {
        let place = |(id, actor): (usize, Actor)| {
            let object = actor.object(id as u32 + 1, frame, frames)?;
            Some((actor, object))
        };
        self.actors().into_iter().enumerate().filter_map(place).collect()
    }

    /// Everything that happens in a clip of `frames`, in order. The clip loops: frame 0 follows the last one.
    #[must_use]
    pub fn happenings(&self, frames: u32) -> Vec<Happening> {
        let actors = self.actors();
        let moving = |frame| (0u32..).zip(&actors).any(|(id, actor)| actor.object(id, frame, frames).is_some());
        let mut found = Vec::new();
        for frame in 0..frames {
            let before = (frame + frames - 1) % frames;
            let now = moving(frame);
            if now != moving(before) {
                found.push(Happening { frame, what: What::Motion { now } });
            }
            for (id, actor) in (1u32..).zip(&actors) {
                if let Some(forward) = actor.crosses(before, frame, frames) {
                    found.push(Happening { frame, what: What::LineCrossed { object: id, class: actor.class, forward } });
                }
            }
        }
        found
    }
}

impl Actor {
    fn new(class: Class, dice: &mut Dice) -> Self {
        let forward = dice.below(2) == 0;
        let shade = |dice: &mut Dice| dice.between(40.0, 200.0) as u8;
        let colour = [shade(dice), 90 + dice.below(76) as u8, 90 + dice.below(76) as u8];
        let phase = dice.unit();
        match class {
            Class::Vehicle => {
                let ground = if forward { 0.85 } else { 0.74 };
                let size = ground * dice.between(0.8, 1.4);
                let path = Path::Along { ground, forward };
                Self { class, path, passes: 1 + dice.below(2) as u32, phase, width: 0.17 * size, height: 0.14 * size, colour }
            }
            Class::Human => {
                let path = match dice.below(3) {
                    0 => Path::Over { x: dice.between(0.42, 0.58), forward },
                    1 => Path::Along { ground: FAR_PAVEMENT + dice.between(0.0, 0.02), forward },
                    _ => Path::Along { ground: NEAR_PAVEMENT, forward },
                };
                Self { class, path, passes: 1, phase, width: 0.03, height: 0.16, colour }
            }
        }
    }

    /// Where the middle of its feet is, 0 to 1 across the picture but for the margins, and how large it looks there.
    fn stands(&self, frame: u32, frames: u32) -> (f32, f32, f32) {
        // In 64 bits: positions of frame 0 and of the frame after the last must agree to the last digit.
        let along = (f64::from(frame) / f64::from(frames.max(1)) * f64::from(self.passes) + f64::from(self.phase)).fract() as f32;
        let span = |forward: bool| if forward { along } else { 1.0 - along };
        match self.path {
            Path::Along { ground, forward } => (span(forward) * (1.0 + 2.0 * MARGIN) - MARGIN, ground, ground),
            Path::Over { x, forward } => {
                let y = FAR_PAVEMENT + span(forward) * (NEAR_PAVEMENT + 0.3 - FAR_PAVEMENT);
                (x, y, y)
            }
        }
    }

    fn object(&self, id: u32, frame: u32, frames: u32) -> Option<Object> {
        let (x, y, depth) = self.stands(frame, frames);
        let (half, height) = (self.width * depth / 2.0, self.height * depth);
        let object = Object {
            id,
            class: self.class,
            left: (x - half).clamp(0.0, 1.0),
            top: (y - height).clamp(0.0, 1.0),
            right: (x + half).clamp(0.0, 1.0),
            bottom: y.clamp(0.0, 1.0),
        };
        (object.left < object.right && object.top < object.bottom).then_some(object)
    }

    /// Whether its middle passes the line between two frames that follow each other, and if so whether forwards.
    fn crosses(&self, before: u32, frame: u32, frames: u32) -> Option<bool> {
        let ((x0, y0, _), (x1, y1, _)) = (self.stands(before, frames), self.stands(frame, frames));
        let (a, b) = match self.path {
            Path::Along { .. } => (x0 - LINE_X, x1 - LINE_X),
            Path::Over { .. } => (y0 - LINE_Y, y1 - LINE_Y),
        };
        // A large step is the path's end meeting its beginning, outside the picture.
        let passed = (a < 0.0) != (b < 0.0) && (a - b).abs() < 0.25;
        passed.then_some(a < b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn street() -> Scene {
        Scene { seed: 3, night: false, weather: Weather::Clear, people: 4, vehicles: 3 }
    }

    #[test]
    fn the_same_seed_films_the_same_street() {
        assert_eq!(street().objects(17, 100), street().objects(17, 100));
        assert_ne!(street().objects(17, 100), Scene { seed: 4, ..street() }.objects(17, 100));
    }

    #[test]
    fn a_clip_loops_without_a_jump() {
        assert_eq!(street().objects(0, 100), street().objects(100, 100));
    }

    #[test]
    fn every_one_who_passes_crosses_the_line_once_a_pass() {
        let scene = street();
        let crossings = scene.happenings(300).iter().filter(|h| matches!(h.what, What::LineCrossed { .. })).count();
        let passes: u32 = scene.actors().iter().map(|actor| actor.passes).sum();
        assert_eq!(crossings, passes as usize);
    }

    #[test]
    fn an_empty_street_stays_empty() {
        let empty = Scene { people: 0, vehicles: 0, ..street() };
        assert!(empty.happenings(50).is_empty() && empty.objects(9, 50).is_empty());
    }
}
