//! One camera's pictures, from the coded bytes to what is said of them.

use super::PictureError;
use super::decode::{Quality, decode, with_planes};
use super::judge::{Fault, Judge, Verdict};
use super::movement::Movement;
use super::sample::{Planes, Sampled};
use index::{
    model::{AccessUnit, UtcMicros, VideoParameters},
    motion::Look,
};

/// What a picture said.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Report {
    /// Where something moved.
    pub look: Look,
    /// What changed about the picture itself.
    pub verdict: Option<Verdict>,
}

/// Looks at one camera's pictures, one after the other.
#[derive(Debug, Default)]
pub struct Watch {
    movement: Movement,
    judge: Judge,
    size: (u16, u16),
}

impl Watch {
    /// Decodes a key unit and looks at it. Takes 2 to 40 ms of CPU: not for a runtime's thread.
    ///
    /// # Errors
    /// [`PictureError`]; nothing was learnt then, and the next picture is compared with the last that could be decoded.
    pub fn look(&mut self, parameters: &VideoParameters, unit: &AccessUnit) -> Result<Report, PictureError> {
        let size = (parameters.width, parameters.height);
        if self.size != size {
            // Another size is often another view; edges would not be where they were.
            self.size = size;
            self.movement.reset();
            self.judge.reset();
        }
        let picture = decode(parameters, unit, Quality::Rough)?;
        with_planes(&picture, |planes| self.look_at(unit.utc, planes))
    }

    /// Looks at a decoded picture.
    pub fn look_at(&mut self, at: UtcMicros, planes: &Planes<'_>) -> Report {
        let sampled = Sampled::of(planes);
        let compared = self.movement.compare(at, &sampled);
        let verdict = self.judge.look(at, &sampled, &compared);
        Report { look: compared.look, verdict }
    }

    /// What is wrong with the picture now, and since when.
    #[must_use]
    pub fn told(&self) -> Option<(Fault, UtcMicros)> {
        self.judge.told()
    }
}
