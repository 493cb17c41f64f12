//! A decoded picture brought down to what the rest looks at: 160 × 90 samples of its luma, the sharpness of its edges, its colours.
//!
//! Pure: planes in, numbers out. Each sample is the mean of a box of pixels, which takes most of the sensor's noise away; it is kept
//! in sixteenths of a level, because what noise is left says whether a picture is live.

use index::motion::{CELLS, COLUMNS, ROWS};

/// Samples in a row.
pub(super) const WIDTH: usize = 160;
/// Rows of samples.
pub(super) const HEIGHT: usize = 90;
/// Samples of a picture.
pub(super) const SAMPLES: usize = WIDTH * HEIGHT;
/// Samples of a cell, in a row and in rows.
pub(super) const PER_CELL: usize = WIDTH / COLUMNS;
/// A level of luma, in the unit of samples.
pub(super) const LEVEL: i32 = 16;

/// The smallest picture that is looked at: a pixel a sample.
const SIDES_MIN: (usize, usize) = (WIDTH, HEIGHT);
/// Of larger pictures only some rows are read, so that a box has at most so many.
const ROWS_PER_BOX: usize = 8;
/// An edge this weak may be noise; its sharpness says nothing.
const RANGE_MIN: u8 = 36;

/// The planes of a picture in 4:2:0, as decoders lay them out.
#[derive(Clone, Copy, Debug)]
pub struct Planes<'a> {
    width: usize,
    height: usize,
    luma: (&'a [u8], usize),
    blue: (&'a [u8], usize),
    red: (&'a [u8], usize),
}

impl<'a> Planes<'a> {
    /// Planes with the bytes from one row to the next. `None` if a plane is too short for the picture, or the picture has fewer than
    /// 160 × 90 pixels.
    #[must_use]
    pub fn new(
        width: usize,
        height: usize,
        luma: (&'a [u8], usize),
        blue: (&'a [u8], usize),
        red: (&'a [u8], usize),
    ) -> Option<Self> {
        let holds = |(bytes, stride): (&[u8], usize), width: usize, height: usize| {
            stride >= width && bytes.len() >= stride * (height - 1) + width
        };
        if width < SIDES_MIN.0 || height < SIDES_MIN.1 || width > 1 << 14 || height > 1 << 14 {
            return None;
        }
        let (half_width, half_height) = (width / 2, height / 2);
        let whole = holds(luma, width, height) && holds(blue, half_width, half_height) && holds(red, half_width, half_height);
        whole.then_some(Self { width, height, luma, blue, red })
    }

    /// The planes of an I420 picture without padding, one after the other.
    #[must_use]
    pub fn i420(bytes: &'a [u8], width: usize, height: usize) -> Option<Self> {
        let (luma, chroma) = bytes.split_at_checked(width * height)?;
        let (blue, red) = chroma.split_at_checked((width / 2) * (height / 2))?;
        Self::new(width, height, (luma, width), (blue, width / 2), (red, width / 2))
    }
}

/// What is left of a picture.
#[derive(Clone, Debug)]
pub struct Sampled {
    /// Luma in sixteenths of a level, row by row.
    pub(super) luma: Vec<u16>,
    /// How much of an edge's height its steepest pixel takes, 0 to 1: the median of the cells that have an edge, and how many have.
    pub(super) sharpness: Option<(f32, usize)>,
    /// The mean colour's distance from grey, blue and red difference, in levels.
    pub(super) colour: (f32, f32),
    /// How far the pixels' colours lie from their mean, in levels.
    pub(super) colour_spread: f32,
}

impl Sampled {
    /// Brings a picture down. Takes some tenths of a millisecond.
    #[must_use]
    pub fn of(planes: &Planes<'_>) -> Self {
        let (colour, colour_spread) = colours(planes);
        Self { luma: luma(planes), sharpness: sharpness(planes), colour, colour_spread }
    }
}

/// Where boxes begin and end along a side.
fn borders(length: usize, boxes: usize) -> Vec<usize> {
    (0..=boxes).map(|n| n * length / boxes).collect()
}

fn luma(planes: &Planes<'_>) -> Vec<u16> {
    let (columns, rows) = (borders(planes.width, WIDTH), borders(planes.height, HEIGHT));
    let (bytes, stride) = planes.luma;
    let mut samples = Vec::with_capacity(SAMPLES);
    for row in rows.windows(2) {
        let step = (row[1] - row[0]).div_ceil(ROWS_PER_BOX);
        let mut sums = [0u32; WIDTH];
        let mut lines = 0;
        for y in (row[0]..row[1]).step_by(step) {
            let line = &bytes[y * stride..y * stride + planes.width];
            for (sum, x) in sums.iter_mut().zip(columns.windows(2)) {
                *sum += line[x[0]..x[1]].iter().map(|byte| u32::from(*byte)).sum::<u32>();
            }
            lines += 1;
        }
        let mean = |(sum, x): (&u32, &[usize])| (sum * LEVEL as u32 / (lines * (x[1] - x[0]) as u32)) as u16;
        samples.extend(sums.iter().zip(columns.windows(2)).map(mean));
    }
    samples
}

/// In each cell: how high the steepest step from pixel to pixel is, measured by the whole range of the cell. A sharp edge rises within
/// one or two pixels whatever its contrast, in fog as in sunlight; a blurred one takes many.
fn sharpness(planes: &Planes<'_>) -> Option<(f32, usize)> {
    let (columns, rows) = (borders(planes.width, COLUMNS), borders(planes.height, ROWS));
    let (bytes, stride) = planes.luma;
    let mut found = Vec::with_capacity(CELLS);
    for row in rows.windows(2) {
        let step = (row[1] - row[0]).div_ceil(ROWS_PER_BOX * PER_CELL);
        let (mut low, mut high, mut steep) = ([u8::MAX; COLUMNS], [0u8; COLUMNS], [0u8; COLUMNS]);
        for y in (row[0]..row[1]).step_by(step) {
            let line = &bytes[y * stride..y * stride + planes.width];
            let above = &bytes[y.saturating_sub(1) * stride..][..planes.width];
            for (cell, x) in columns.windows(2).enumerate() {
                let (line, above) = (&line[x[0]..x[1]], &above[x[0]..x[1]]);
                let (mut least, mut most, mut steps) = (low[cell], high[cell], steep[cell]);
                for (byte, over) in line.iter().zip(above) {
                    (least, most) = (least.min(*byte), most.max(*byte));
                    steps = steps.max(byte.abs_diff(*over));
                }
                for (byte, next) in line.iter().zip(&line[1..]) {
                    steps = steps.max(byte.abs_diff(*next));
                }
                (low[cell], high[cell], steep[cell]) = (least, most, steps);
            }
        }
        for cell in 0..COLUMNS {
            let range = high[cell].saturating_sub(low[cell]);
            if range >= RANGE_MIN {
                found.push(f32::from(steep[cell]) / f32::from(range));
            }
        }
    }
    let count = found.len();
    let middle = count / 2;
    (count > 0).then(|| (*found.select_nth_unstable_by(middle, f32::total_cmp).1, count))
}

fn colours(planes: &Planes<'_>) -> ((f32, f32), f32) {
    let (width, height) = (planes.width / 2, planes.height / 2);
    // Some thousand pixels tell the mean of all.
    let (dx, dy) = ((width / 80).max(1), (height / 45).max(1));
    let pixels = || (0..height).step_by(dy).flat_map(move |y| (0..width).step_by(dx).map(move |x| (x, y)));
    let at = |(bytes, stride): (&[u8], usize), x: usize, y: usize| f32::from(bytes[y * stride + x]) - 128.0;
    let (mut blue, mut red, mut count) = (0.0, 0.0, 0.0f32);
    for (x, y) in pixels() {
        blue += at(planes.blue, x, y);
        red += at(planes.red, x, y);
        count += 1.0;
    }
    let mean = (blue / count.max(1.0), red / count.max(1.0));
    let off = |(x, y)| (at(planes.blue, x, y) - mean.0).abs() + (at(planes.red, x, y) - mean.1).abs();
    (mean, pixels().map(off).sum::<f32>() / count.max(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An I420 picture from its luma.
    fn picture(width: usize, height: usize, luma: impl Fn(usize, usize) -> u8) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..width * height).map(|at| luma(at % width, at / width)).collect();
        bytes.resize(width * height * 3 / 2, 128);
        bytes
    }

    #[test]
    fn samples_are_the_means_of_their_boxes_whatever_the_pictures_size() {
        for (width, height) in [(160, 90), (640, 360), (704, 576), (1920, 1080)] {
            let bytes = picture(width, height, |x, _| (x * 200 / width) as u8);
            let sampled = Sampled::of(&Planes::i420(&bytes, width, height).expect("planes"));
            assert_eq!(sampled.luma.len(), SAMPLES);
            for column in [0, 40, 159] {
                let wanted = (column as f32 + 0.5) * 200.0 / 160.0;
                let found = f32::from(sampled.luma[7 * WIDTH + column]) / LEVEL as f32;
                assert!((found - wanted).abs() < 1.5, "{width}×{height}, {column}: {found} for {wanted}");
            }
        }
    }

    #[test]
    fn a_sharp_edge_is_sharp_at_any_contrast_and_a_soft_one_is_not() {
        let edges = |contrast: f32, soft: f32| {
            let bytes = picture(640, 360, move |x, _| {
                let along = (x % 40) as f32 - 10.5;
                (100.0 + contrast * (along / soft).clamp(-1.0, 1.0)) as u8
            });
            Sampled::of(&Planes::i420(&bytes, 640, 360).expect("planes")).sharpness.expect("edges").0
        };
        assert!(edges(80.0, 0.4) > 0.8 && edges(25.0, 0.4) > 0.8);
        assert!(edges(80.0, 9.0) < 0.3 && edges(25.0, 9.0) < 0.3);
    }

    #[test]
    fn planes_that_do_not_hold_a_picture_are_refused() {
        let bytes = vec![0; 640 * 360 * 3 / 2];
        assert!(Planes::i420(&bytes, 640, 360).is_some());
        assert!(Planes::i420(&bytes[1..], 640, 360).is_none());
        assert!(Planes::i420(&bytes, 16, 16).is_none());
        assert!(Planes::new(640, 360, (&bytes, 100), (&bytes, 320), (&bytes, 320)).is_none());
    }
}
