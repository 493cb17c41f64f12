//! `region`: when did something move here, over a month.
//!
//! A month of grids is made by rule: a picture each two seconds; who passes comes more often by day than by night and moves over the
//! picture for some seconds. Questions ask for a small region in which little happens and so all days are gone through, and for busy
//! ones. The files are
//! in the page cache, as they are after the first question.

use crate::figures::Figures;
use anyhow::{Result, ensure};
use index::{
    model::{CameraId, UtcMicros, Window},
    motion::{COLUMNS, Footage, Found, Grid, Look, Motion, Order, Question, ROWS},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const CAMERAS: u32 = 50;
const EVERY: i64 = 2;
const DAY: i64 = 86_400;
/// Looks of a camera that are noted at once.
const PIECE: usize = 500;

/// Footage that is all there.
struct Whole;

impl Footage for Whole {
    fn keeps(&self, _: CameraId, _: Window) -> bool {
        true
    }

    fn orders(&self) -> usize {
        0
    }

    fn erased(&self, _: CameraId, _: Window) -> Vec<Window> {
        Vec::new()
    }
}

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// A day's looks of one camera. Nobody ever comes into the upper right corner.
fn day(chance: &mut Chance, begin: i64) -> Vec<Look> {
    let mut looks = Vec::with_capacity((DAY / EVERY) as usize);
    let mut passing: Option<(i64, i64, i64)> = None;
    for second in (0..DAY).step_by(EVERY as usize) {
        let hour = second / 3600;
        let often = if (7..21).contains(&hour) { 12 } else { 90 };
        if passing.is_none() && chance.below(often) == 0 {
            passing = Some((0, 4 + chance.below(12) as i64, if chance.below(2) == 0 { 1 } else { -1 }));
        }
        let mut cells = Grid::EMPTY;
        if let Some((step, row, way)) = passing.as_mut() {
            let middle = if *way > 0 { *step * 3 } else { COLUMNS as i64 - *step * 3 };
            for column in (middle - 1..=middle + 2).filter(|column| (0..COLUMNS as i64).contains(column)) {
                (*row..(*row + 3).min(ROWS as i64)).for_each(|row| cells.set((row * COLUMNS as i64 + column) as usize));
            }
            *step += 1;
            if *step > 11 {
                passing = None;
            }
        }
        let at = UtcMicros::from_micros((begin + second) * 1_000_000);
        looks.push(Look { at, found: Found::Moved { cells, since: Duration::from_secs(EVERY as u64) } });
    }
    looks
}

/// `tests/measure region`.
pub(crate) fn region(days: u32, questions: u32) -> Result<()> {
    let folder = std::env::current_dir()?.join(".cache/measure/region");
    let _ = std::fs::remove_dir_all(&folder);
    let motion = Motion::open(&folder, Arc::new(Whole))?;
    let today = UtcMicros::now().as_micros() / 1_000_000 / DAY;
    let first = (today - i64::from(days)) * DAY;
    let mut chance = Chance(20_261_123);
    let mut looks = 0u64;
    let begun = Instant::now();
    for turn in 0..i64::from(days) {
        // Cameras differ from each other and days from each other; five kinds of day are made and dealt out.
        let kinds: Vec<Vec<Look>> = (0..5).map(|_| day(&mut chance, first + turn * DAY)).collect();
        let most = kinds.first().map_or(0, Vec::len);
        for from in (0..most).step_by(PIECE) {
            for number in 1..=CAMERAS {
                let camera = CameraId::new(number)?;
                let piece = &kinds[number as usize % kinds.len()][from..(from + PIECE).min(most)];
                piece.iter().for_each(|look| motion.note(camera, *look));
                looks += piece.len() as u64;
            }
            motion.flush();
        }
    }
    let health = motion.health();
    ensure!(health.lost == 0, "{} looks were lost: {:?}", health.lost, health.problem);
    let mut figures = Figures::default();
    figures.add("looks", looks as f64, "pictures");
    figures.add("stored_looks_per_s", looks as f64 / begun.elapsed().as_secs_f64(), "pictures/s");
    figures.add("bytes_per_look", bytes(&folder) as f64 / looks as f64, "bytes");
    figures.add("bytes_per_camera_month", bytes(&folder) as f64 / f64::from(CAMERAS) / f64::from(days) * 30.0, "bytes");
    let window = Window::new(UtcMicros::from_micros(first * 1_000_000), UtcMicros::from_micros(today * DAY * 1_000_000));
    let corner: Grid = (0..3).flat_map(|row| (28..32).map(move |column| row * COLUMNS + column)).collect();
    let spot: Grid = (8..10).flat_map(|row| (14..18).map(move |column| row * COLUMNS + column)).collect();
    for (name, cameras) in [("one_camera", 1), ("fifty_cameras", CAMERAS)] {
        let mut quiet = Vec::new();
        let mut busy = Vec::new();
        for turn in 0..questions {
            let ids = (0..cameras).map(|n| CameraId::new(1 + (turn + n) % CAMERAS)).collect::<Result<Vec<_>, _>>()?;
            for (region, times, found) in [(corner, &mut quiet, false), (spot, &mut busy, true)] {
                let question = Question {
                    cameras: ids.clone(),
                    window,
                    region,
                    join: Duration::from_secs(10),
                    least: Duration::ZERO,
                    order: Order::NewestFirst,
                    after: None,
                    // The longest search goes through every day: whatever it asks for, there is less of it.
                    limit: 100,
                };
                let begun = Instant::now();
                let answer = motion.search(&question);
                times.push(begun.elapsed().as_secs_f64() * 1e3);
                ensure!(answer.spans.is_empty() != found, "{} spans", answer.spans.len());
                ensure!(
                    found || answer.answered == window && answer.seen.iter().all(|seen| seen.share > 0.999),
                    "not all was gone through"
                );
            }
        }
        // The worst of all questions that had to go through everything is the figure.
        let worst = quiet.iter().copied().fold(0.0, f64::max);
        figures.add(&format!("{name}_ms"), worst, "ms");
        figures.percentiles(&format!("{name}_all_days_ms"), &mut quiet, "ms");
        figures.percentiles(&format!("{name}_first_100_spans_ms"), &mut busy, "ms");
    }
    let begun = Instant::now();
    let density = motion.density(CameraId::new(1)?, window, &Grid::ALL, 1200);
    figures.add("density_one_camera_ms", begun.elapsed().as_secs_f64() * 1e3, "ms");
    ensure!(density.moved.iter().any(|share| *share > 0.0), "no density");
    figures.finish();
    motion.close();
    let _ = std::fs::remove_dir_all(&folder);
    Ok(())
}

fn bytes(folder: &std::path::Path) -> u64 {
    let cameras = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let files = cameras.flat_map(|camera| std::fs::read_dir(camera.path()).into_iter().flatten().flatten());
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}
