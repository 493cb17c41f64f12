//! What a camera usually shows: its edges, its colours, its sharpness and its noise, learnt while all is well and slowly followed.
//!
//! Colour pictures and those without colour (infra-red at night) are two views: edges, sharpness and noise differ. Each is learnt from
//! its own pictures, and judged only once it is known.

use super::movement::Compared;
use super::sample::{HEIGHT, LEVEL, PER_CELL, SAMPLES, Sampled, WIDTH};
use index::motion::{CELLS, COLUMNS};

/// Pictures until a view is known.
const KNOWN: u32 = 12;
/// A view follows the picture by so much each time, once it is known: over some 20 minutes, as shadows move.
const FOLLOW: f32 = 1.0 / 600.0;
/// Less colour than this is none, in levels.
const GREY: f32 = 1.8;
/// The slope from which a sample is part of an outline, in levels: above most noise.
const OUTLINE: f32 = 4.0;
/// An edge worth remembering, in levels from sample to sample.
const EDGE: f32 = 5.0;
/// A cell has texture if so many of its 25 samples lie on an edge.
const TEXTURED: usize = 4;
/// Cells with texture that a view needs before it is compared with.
const CELLS_MIN: usize = 40;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct View {
    colour: Usual,
    grey: Usual,
    /// Which of them the last picture belonged to.
    is_grey: bool,
}

#[derive(Debug, Default)]
struct Usual {
    pictures: u32,
    /// Luma in levels.
    luma: Vec<f32>,
    colour: (f32, f32),
    sharpness: Option<f32>,
    stillness: Option<f32>,
}

/// How a picture compares with what the camera usually shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Likeness {
    /// The share of the usual edges that are where they usually are.
    pub(super) kept: f32,
    /// How alike the brightness of the cells that have lost their texture still is, -1 to 1; 1 if there are few of them.
    pub(super) flat_like: f32,
    /// How many outlines there are for each usual one: something that hides the view takes them away, another view has its own.
    pub(super) outlines: f32,
}

impl View {
    fn usual(&self) -> Option<&Usual> {
        let usual = if self.is_grey { &self.grey } else { &self.colour };
        (usual.pictures >= KNOWN).then_some(usual)
    }

    pub(super) fn sharpness(&self) -> Option<f32> {
        self.usual()?.sharpness
    }

    /// The share of samples that hardly differ from one picture to the next.
    pub(super) fn stillness(&self) -> Option<f32> {
        self.usual()?.stillness
    }

    /// The usual mean colour's distance from grey; `None` without colour.
    pub(super) fn colour(&self) -> Option<(f32, f32)> {
        self.usual().filter(|_| !self.is_grey).map(|usual| usual.colour)
    }

    /// Compares a picture; `None` while the view is not known, or shows too little to be known by.
    pub(super) fn likeness(&mut self, picture: &Sampled) -> Option<Likeness> {
        self.is_grey = picture.colour_spread < GREY && picture.colour.0.hypot(picture.colour.1) < GREY;
        let usual = self.usual()?;
        let now: Vec<f32> = picture.luma.iter().map(|sample| f32::from(*sample) / LEVEL as f32).collect();
        let (mut kept, mut edges) = (0.0f32, 0.0f32);
        let (mut outlines_now, mut outlines_usual) = (0.0f32, 0.0f32);
        let (mut before, mut after, mut on_edge) = ([0.0f32; CELLS], [0.0f32; CELLS], [0usize; CELLS]);
        // Contrast may have changed as a whole: dusk, fog.
        let contrast = (spread(&now) / spread(&usual.luma).max(1.0)).clamp(0.15, 2.0);
        for y in 1..HEIGHT - 1 {
            for x in 1..WIDTH - 1 {
                let at = y * WIDTH + x;
                let cell = y / PER_CELL * COLUMNS + x / PER_CELL;
                let (ux, uy) = slope(&usual.luma, at);
                let (nx, ny) = slope(&now, at);
                let (usually, found) = (ux.hypot(uy), nx.hypot(ny));
                after[cell] += found;
                before[cell] += usually;
                outlines_now += f32::from(found >= OUTLINE);
                outlines_usual += f32::from(usually >= OUTLINE);
                if usually < EDGE {
                    continue;
                }
                on_edge[cell] += 1;
                edges += 1.0;
                let same_way = (ux * nx + uy * ny) / (usually * found.max(0.01));
                if same_way > 0.75 && found > 0.25 * contrast * usually {
                    kept += 1.0;
                }
            }
        }
        let textured: Vec<usize> = (0..CELLS).filter(|cell| on_edge[*cell] >= TEXTURED).collect();
        if textured.len() < CELLS_MIN {
            return None;
        }
        let flat: Vec<usize> =
            textured.iter().copied().filter(|cell| after[*cell] < 0.3 * contrast.clamp(0.6, 1.0) * before[*cell]).collect();
        let flat_like = if flat.len() < CELLS_MIN / 2 { 1.0 } else { likeness(&means(&usual.luma, &flat), &means(&now, &flat)) };
        let outlines = outlines_now / outlines_usual.max(1.0);
        Some(Likeness { kept: kept / edges.max(1.0), flat_like, outlines })
    }

    /// Takes a picture that is well as one more of what is usual.
    pub(super) fn learn(&mut self, picture: &Sampled, compared: &Compared) {
        let usual = if self.is_grey { &mut self.grey } else { &mut self.colour };
        usual.pictures = usual.pictures.saturating_add(1);
        let weight = (1.0 / usual.pictures as f32).max(FOLLOW);
        usual.luma.resize(SAMPLES, 0.0);
        for (usual, now) in usual.luma.iter_mut().zip(&picture.luma) {
            *usual += (f32::from(*now) / LEVEL as f32 - *usual) * weight;
        }
        let follow = |usual: f32, now: f32| usual + (now - usual) * weight;
        usual.colour = (follow(usual.colour.0, picture.colour.0), follow(usual.colour.1, picture.colour.1));
        if let Some((now, _)) = picture.sharpness {
            usual.sharpness = Some(usual.sharpness.map_or(now, |before| follow(before, now)));
        }
        if let Some((now, _)) = compared.still {
            usual.stillness = Some(usual.stillness.map_or(now, |before| follow(before, now)));
        }
    }
}

fn slope(luma: &[f32], at: usize) -> (f32, f32) {
    (luma[at + 1] - luma[at - 1], luma[at + WIDTH] - luma[at - WIDTH])
}

fn spread(luma: &[f32]) -> f32 {
    let mean = luma.iter().sum::<f32>() / luma.len().max(1) as f32;
    luma.iter().map(|level| (level - mean).abs()).sum::<f32>() / luma.len().max(1) as f32
}

/// The mean luma of some cells.
fn means(luma: &[f32], cells: &[usize]) -> Vec<f32> {
    let mean = |cell: &usize| {
        let (left, top) = (cell % COLUMNS * PER_CELL, cell / COLUMNS * PER_CELL);
        let rows = (top..top + PER_CELL).map(|y| luma[y * WIDTH + left..][..PER_CELL].iter().sum::<f32>());
        rows.sum::<f32>() / (PER_CELL * PER_CELL) as f32
    };
    cells.iter().map(mean).collect()
}

/// The correlation of two rows of figures; 0 where one of them does not vary.
fn likeness(a: &[f32], b: &[f32]) -> f32 {
    let mean = |row: &[f32]| row.iter().sum::<f32>() / row.len().max(1) as f32;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        ab += (a - ma) * (b - mb);
        aa += (a - ma) * (a - ma);
        bb += (b - mb) * (b - mb);
    }
    // Less than two levels of variance is noise.
    let least = 2.0 * a.len() as f32;
    if aa < least || bb < least { 0.0 } else { ab / (aa * bb).sqrt() }
}
