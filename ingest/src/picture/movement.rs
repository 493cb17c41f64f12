//! Where something moved from one key picture to the next, and what only looks so.
//!
//! - Light: the best gain and offset that carry one picture into the other are taken out first, so a cloud or the camera's exposure
//!   moves nothing. What is left of a change of the whole picture is no movement either; it is not known then what moved.
//! - Noise: a difference counts from several times the picture's own noise, and from several times what is usual at that place: a clock
//!   in the picture, a flag or leaves that change in two pictures of five become usual within minutes.
//! - Rain and flakes: what is thinner than two samples is dropped.

use super::sample::{HEIGHT, LEVEL, PER_CELL, SAMPLES, Sampled, WIDTH};
use index::{
    model::UtcMicros,
    motion::{CELLS, COLUMNS, Found, Grid, Look},
};
use std::time::Duration;

/// The least difference that counts, in levels.
const LEAST: i32 = 9;
/// As a multiple of the median difference of the whole picture.
const OF_NOISE: i32 = 6;
/// As a multiple of what is usual at the place.
const OF_USUAL: i32 = 3;
/// A picture whose median difference is more, in levels, is another picture: no sensor is that noisy.
const NOISE_MAX: i32 = 8;
/// Samples of a cell, of 25, that must have changed.
const SAMPLES_MIN: u8 = 2;
/// The same while it rains or snows: streaks that fall side by side look like something.
const SAMPLES_MIN_RAIN: u8 = 6;
/// It does when more than one sample in so many changed alone.
const RAIN: usize = 60;
/// More cells than this, and it is the picture that changed, not something in it.
const CELLS_MAX: usize = CELLS * 7 / 10;
/// Pictures further apart than this are not compared.
const STEP_MAX: Duration = Duration::from_secs(30);
/// What is usual rises by an eighth and falls by a thirteenth: it settles where two differences of five are above it.
const RISE: (u32, u32) = (9, 8);
const FALL: (u32, u32) = (12, 13);
const USUAL_LEAST: u32 = LEVEL as u32;
const USUAL_MOST: u32 = 255 * LEVEL as u32;

/// Compares each picture of one camera with the one before.
#[derive(Debug, Default)]
pub struct Movement {
    before: Option<(UtcMicros, Vec<u16>)>,
    usual: Vec<u32>,
}

/// A comparison: the look, and how live the picture is.
#[derive(Clone, Debug)]
pub(super) struct Compared {
    pub(super) look: Look,
    /// The shares of samples that differ by less than a sixteenth of a level, and by less than half a level; `None` of the first picture.
    pub(super) still: Option<(f32, f32)>,
}

impl Movement {
    /// Compares a picture with the one before it, and keeps it for the next.
    pub(super) fn compare(&mut self, at: UtcMicros, picture: &Sampled) -> Compared {
        let before = self.before.replace((at, picture.luma.clone()));
        let Some((then, luma)) = before.filter(|(then, luma)| luma.len() == SAMPLES && *then < at && at.since(*then) <= STEP_MAX)
        else {
            return Compared { look: Look { at, found: Found::Unknown }, still: None };
        };
        self.usual.resize(SAMPLES, USUAL_LEAST);
        let still = stillness(&luma, &picture.luma);
        let differences = differences(&luma, &picture.luma);
        let noise = median(&differences);
        let cells = self.moved(&differences, noise);
        let found = if cells.count() > CELLS_MAX || noise > NOISE_MAX * LEVEL {
            Found::Unknown
        } else {
            Found::Moved { cells, since: at.since(then) }
        };
        Compared { look: Look { at, found }, still: Some(still) }
    }

    /// Forgets what came before: another view, another size.
    pub(super) fn reset(&mut self) {
        self.before = None;
        self.usual.clear();
    }

    fn moved(&mut self, differences: &[i32], noise: i32) -> Grid {
        let least = (LEAST * LEVEL).max(OF_NOISE * noise);
        let changed: Vec<bool> =
            differences.iter().zip(&self.usual).map(|(d, usual)| *d > least.max(OF_USUAL * *usual as i32)).collect();
        for (difference, usual) in differences.iter().zip(&mut self.usual) {
            let (up, down) = if difference.cast_unsigned() > *usual { RISE } else { FALL };
            *usual = (*usual * up / down).clamp(USUAL_LEAST, USUAL_MOST);
        }
        // A sample counts if it lies in a square of four that all changed.
        let mut counts = [0u8; CELLS];
        let mut solid = vec![false; SAMPLES];
        for y in 0..HEIGHT - 1 {
            for x in 0..WIDTH - 1 {
                let at = y * WIDTH + x;
                if changed[at] && changed[at + 1] && changed[at + WIDTH] && changed[at + WIDTH + 1] {
                    [at, at + 1, at + WIDTH, at + WIDTH + 1].into_iter().for_each(|at| solid[at] = true);
                }
            }
        }
        for (at, _) in solid.iter().enumerate().filter(|(_, solid)| **solid) {
            counts[at / WIDTH / PER_CELL * COLUMNS + at % WIDTH / PER_CELL] += 1;
        }
        let alone = changed.iter().zip(&solid).filter(|(changed, solid)| **changed && !**solid).count();
        let least = if alone > SAMPLES / RAIN { SAMPLES_MIN_RAIN } else { SAMPLES_MIN };
        (0..CELLS).filter(|cell| counts[*cell] >= least).collect()
    }
}

/// How much each sample differs once the light is taken out.
fn differences(before: &[u16], now: &[u16]) -> Vec<i32> {
    let (gain, offset) = light(before, now);
    let expected = |sample: u16| (gain * f32::from(sample) + offset) as i32;
    before.iter().zip(now).map(|(before, now)| (i32::from(*now) - expected(*before)).abs()).collect()
}

/// Gain and offset that carry one picture into the other: least squares, thrice, each time without what does not fit.
fn light(before: &[u16], now: &[u16]) -> (f32, f32) {
    let (mut gain, mut offset) = (1.0f32, 0.0f32);
    let mut limit = f32::INFINITY;
    for _ in 0..3 {
        let (mut n, mut x, mut y, mut xx, mut xy) = (0.0f64, 0.0f64, 0.0f64, 0.0f64, 0.0f64);
        let (mut off, mut all) = (0.0f64, 0.0f64);
        for (a, b) in before.iter().zip(now).step_by(3) {
            let (a, b) = (f32::from(*a), f32::from(*b));
            let rest = (b - (gain * a + offset)).abs();
            if rest <= limit {
                let (a, b) = (f64::from(a), f64::from(b));
                (n, x, y, xx, xy) = (n + 1.0, x + a, y + b, xx + a * a, xy + a * b);
                off += f64::from(rest);
            }
            all += 1.0;
        }
        let spread = n * xx - x * x;
        // A flat picture says nothing of gain; one that does not fit at all is another picture.
        if n < all / 4.0 || spread < n * n {
            break;
        }
        gain = ((n * xy - x * y) / spread).clamp(0.4, 2.5) as f32;
        offset = (y / n - f64::from(gain) * x / n) as f32;
        limit = (2.5 * off / n).max(f64::from(2 * LEVEL)) as f32;
    }
    (gain, offset)
}

/// The shares of samples that differ by less than a sixteenth of a level and by less than half a level, light left in.
fn stillness(before: &[u16], now: &[u16]) -> (f32, f32) {
    let (mut same, mut near) = (0, 0);
    for (before, now) in before.iter().zip(now) {
        let difference = before.abs_diff(*now);
        same += u32::from(difference <= 1);
        near += u32::from(difference <= LEVEL as u16 / 2);
    }
    (same as f32 / SAMPLES as f32, near as f32 / SAMPLES as f32)
}

fn median(differences: &[i32]) -> i32 {
    let mut some: Vec<i32> = differences.iter().copied().step_by(7).collect();
    if some.is_empty() {
        return 0;
    }
    let middle = some.len() / 2;
    *some.select_nth_unstable(middle).1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of flat texture with a square of `side` samples at (`x`, `y`), under some light.
    fn picture(x: usize, y: usize, side: usize, gain: f32, seed: u32) -> Sampled {
        let mut noise = seed;
        let mut sample = |at: usize| {
            let (column, row) = (at % WIDTH, at / WIDTH);
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let square = (x..x + side).contains(&column) && (y..y + side).contains(&row);
            let level = if square { 40.0 } else { 90.0 + ((column / 8 + row / 6) % 3) as f32 * 30.0 };
            ((level * gain + (noise >> 30) as f32 - 1.5) * LEVEL as f32) as u16
        };
        let luma = (0..SAMPLES).map(&mut sample).collect();
        Sampled { luma, sharpness: None, colour: (0.0, 0.0), colour_spread: 0.0 }
    }

    fn at(seconds: i64) -> UtcMicros {
        UtcMicros::from_micros(seconds * 1_000_000)
    }

    fn cells(look: Look) -> Vec<usize> {
        match look.found {
            Found::Moved { cells, .. } => cells.cells().collect(),
            Found::Unknown => panic!("nothing was compared"),
        }
    }

    #[test]
    fn what_moves_is_found_where_it_was_and_where_it_is() {
        let mut movement = Movement::default();
        assert_eq!(movement.compare(at(0), &picture(10, 10, 5, 1.0, 1)).look.found, Found::Unknown, "the first says nothing");
        let moved = cells(movement.compare(at(2), &picture(60, 10, 5, 1.0, 2)).look);
        assert_eq!(moved, [2 * COLUMNS + 2, 2 * COLUMNS + 12]);
        assert!(cells(movement.compare(at(4), &picture(60, 10, 5, 1.0, 3)).look).is_empty(), "what stands does not move");
    }

    #[test]
    fn light_that_changes_moves_nothing_but_what_moves_under_it_does() {
        let mut movement = Movement::default();
        movement.compare(at(0), &picture(10, 10, 5, 1.0, 1));
        for (turn, gain) in [(1, 1.3), (2, 0.8), (3, 1.2)] {
            assert!(cells(movement.compare(at(turn * 2), &picture(10, 10, 5, gain, 9)).look).is_empty(), "gain {gain}");
        }
        let moved = cells(movement.compare(at(8), &picture(60, 10, 5, 0.7, 2)).look);
        assert_eq!(moved, [2 * COLUMNS + 2, 2 * COLUMNS + 12]);
    }

    #[test]
    fn another_picture_is_no_movement() {
        let mut movement = Movement::default();
        movement.compare(at(0), &picture(10, 10, 5, 1.0, 1));
        let mut other = picture(0, 0, 0, 1.0, 1);
        other.luma.iter_mut().enumerate().for_each(|(at, sample)| *sample = ((at * 7919) % 3_000) as u16);
        assert_eq!(movement.compare(at(2), &other).look.found, Found::Unknown);
        assert_eq!(movement.compare(at(100), &other).look.found, Found::Unknown, "too long ago to say anything");
    }

    #[test]
    fn what_always_changes_becomes_usual_and_other_places_stay_keen() {
        let mut movement = Movement::default();
        let clock = |turn: i64| picture(2, 2, if turn % 2 == 0 { 6 } else { 0 }, 1.0, turn as u32);
        let seen: Vec<bool> = (0..120)
            .map(|turn| movement.compare(at(turn * 2), &clock(turn)).look.found)
            .map(|found| matches!(found, Found::Moved { cells, .. } if !cells.is_empty()))
            .collect();
        assert!(seen[1..5].iter().all(|seen| *seen), "at first it moves");
        assert!(seen[90..].iter().all(|seen| !seen), "later it is a clock");
        movement.compare(at(240), &picture(100, 50, 6, 1.0, 7));
        assert!(!cells(movement.compare(at(242), &picture(120, 50, 6, 1.0, 8)).look).is_empty());
    }

    #[test]
    fn thin_streaks_are_rain() {
        let mut movement = Movement::default();
        let rain = |seed: u32| {
            let mut sampled = picture(0, 0, 0, 1.0, 5);
            let mut dice = seed;
            let mut below = |bound: usize| {
                dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (dice >> 8) as usize % bound
            };
            for _ in 0..150 {
                let (x, y) = (below(WIDTH), below(HEIGHT - 4));
                (0..3).for_each(|down| sampled.luma[(y + down) * WIDTH + x] += 30 * LEVEL as u16);
            }
            sampled
        };
        movement.compare(at(0), &rain(1));
        let moved = cells(movement.compare(at(2), &rain(2)).look).len();
        assert!(moved <= 45, "{moved} cells of some 250, where two streaks fell side by side");
    }
}
