//! What is wrong with a picture before the sensor's noise and the clock come over it: known faults, for judging whoever looks for them.

use super::canvas::Canvas;

/// What stands between the street and the sensor, or became of it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Lens {
    /// Nothing.
    Clear,
    /// The picture is black.
    Black,
    /// It is white.
    White,
    /// It is out of focus: each pixel is the mean of a square of `2 × radius + 1`, twice.
    Blurred {
        /// In pixels.
        radius: usize,
    },
    /// Something smooth hangs before it.
    Covered {
        /// From the left edge to this share of the width; 1 hides all.
        share: f32,
        /// How light it is.
        luma: u8,
    },
    /// All colours are shifted.
    Cast {
        /// By so much blue difference.
        blue: i8,
        /// By so much red difference.
        red: i8,
    },
    /// The camera looks elsewhere: what leaves on one side comes in on the other.
    Moved {
        /// By this share of the width, to the right.
        right: f32,
        /// By this share of the height, downwards.
        down: f32,
    },
    /// No fault: more or less light.
    Light {
        /// Times as much as usual.
        gain: f32,
    },
}

impl Lens {
    pub(super) fn through(self, canvas: &mut Canvas) {
        let (width, height) = (canvas.width, canvas.height);
        match self {
            Self::Clear => {}
            Self::Black => canvas.rectangle(0.0, 0.0, 1.0, 1.0, [24, 128, 128]),
            Self::White => canvas.rectangle(0.0, 0.0, 1.0, 1.0, [240, 128, 128]),
            Self::Blurred { radius } => {
                for _ in 0..2 {
                    for (plane, width, height, radius) in planes(canvas, radius) {
                        blur(plane, width, height, radius);
                    }
                }
            }
            Self::Covered { share, luma } => {
                // A hand, a bag: not flat, but without edges.
                for step in 0..16 {
                    let (left, right) = (share * step as f32 / 16.0, share * (step + 1) as f32 / 16.0);
                    canvas.rectangle(left, 0.0, right, 1.0, [luma.saturating_add(step), 124, 134]);
                }
            }
            Self::Cast { blue, red } => {
                let luma = width * height;
                let (us, vs) = canvas.bytes[luma..].split_at_mut(luma / 4);
                us.iter_mut().for_each(|u| *u = u.saturating_add_signed(blue));
                vs.iter_mut().for_each(|v| *v = v.saturating_add_signed(red));
            }
            Self::Moved { right, down } => {
                for (plane, width, height, _) in planes(canvas, 0) {
                    plane.rotate_right((down * height as f32) as usize % height * width);
                    let by = (right * width as f32) as usize % width;
                    plane.chunks_exact_mut(width).for_each(|row| row.rotate_right(by));
                }
            }
            Self::Light { gain } => {
                let lit = |luma: &mut u8| *luma = (f32::from(*luma) * gain).clamp(24.0, 226.0) as u8;
                canvas.luma().iter_mut().for_each(lit);
            }
        }
    }
}

/// The three planes with their sizes, and a radius that fits each.
fn planes(canvas: &mut Canvas, radius: usize) -> [(&mut [u8], usize, usize, usize); 3] {
    let (width, height) = (canvas.width, canvas.height);
    let (luma, chroma) = canvas.bytes.split_at_mut(width * height);
    let (blue, red) = chroma.split_at_mut(width * height / 4);
    [(luma, width, height, radius), (blue, width / 2, height / 2, radius / 2), (red, width / 2, height / 2, radius / 2)]
}

/// The mean of a square around each pixel, by rows and then by columns.
fn blur(plane: &mut [u8], width: usize, height: usize, radius: usize) {
    let mut line = vec![0u8; width.max(height)];
    let mut along = |plane: &mut [u8], from: usize, step: usize, count: usize| {
        let at = |n: isize| from + n.clamp(0, count as isize - 1) as usize * step;
        let mut sum: u32 = (-(radius as isize)..=radius as isize).map(|n| u32::from(plane[at(n)])).sum();
        for (n, out) in line[..count].iter_mut().enumerate() {
            *out = (sum / (2 * radius as u32 + 1)) as u8;
            sum += u32::from(plane[at(n as isize + radius as isize + 1)]);
            sum -= u32::from(plane[at(n as isize - radius as isize)]);
        }
        (0..count).for_each(|n| plane[from + n * step] = line[n]);
    };
    (0..height).for_each(|row| along(plane, row * width, 1, width));
    (0..width).for_each(|column| along(plane, column, width, height));
}
