//! Paints the street: the still background once, then who moves, the weather, the sensor's noise and a clock.

use super::canvas::{Canvas, Colour};
use super::{Actor, Class, FAR_PAVEMENT, LINE_X, Lens, Object, ROAD, Scene, Weather};
use crate::dice::Dice;

/// Paints the frames of one clip, in any order.
pub(crate) struct Painter {
    scene: Scene,
    frames: u32,
    frames_per_second: u32,
    background: Canvas,
    noise: Vec<u8>,
}

const SKIN: Colour = [150, 112, 148];
const GLASS: Colour = [70, 136, 122];
const BLACK: Colour = [22, 128, 128];
const LAMP: Colour = [225, 96, 146];

/// Three columns by five rows a digit, top row first, then `:` and `.`.
const DIGITS: [u16; 12] = [
    0b111_101_101_101_111,
    0b010_110_010_010_111,
    0b111_001_111_100_111,
    0b111_001_111_001_111,
    0b101_101_111_001_001,
    0b111_100_111_001_111,
    0b111_100_111_101_111,
    0b111_001_010_010_010,
    0b111_101_111_101_111,
    0b111_101_111_001_111,
    0b000_010_000_010_000,
    0b000_000_000_000_010,
];

impl Painter {
    /// A painter of `frames` pictures of `width` × `height` pixels, both multiples of 8.
    #[must_use]
    pub(crate) fn new(scene: &Scene, width: usize, height: usize, frames: u32, frames_per_second: u32) -> Self {
        let mut dice = Dice::new(scene.seed, 2);
        // Sensors are noisier in the dark. Without noise a clip would need a tenth of a camera's bit rate.
        let amplitude = if scene.night { 7 } else { 5 };
        let noise = (0..65_536 + width).map(|_| (dice.below(amplitude * 2 + 1) as i8 - amplitude as i8) as u8).collect();
        let mut painter = Self { scene: scene.clone(), frames, frames_per_second, background: Canvas::new(width, height), noise };
        painter.build(&mut dice);
        painter
    }

    /// Houses, pavements and road. Luma stays within 24 to 226, so that noise never wraps around.
    fn build(&mut self, dice: &mut Dice) {
        let night = self.scene.night;
        let dim = move |luma: f32| if night { 24.0 + luma * 0.3 } else { luma } as u8;
        let canvas = &mut self.background;
        for step in 0..24 {
            let top = step as f32 / 48.0;
            canvas.rectangle(0.0, top, 1.0, top + 1.0 / 40.0, [dim(205.0 - step as f32 * 2.0), 138, 122]);
        }
        let mut x = -0.03;
        while x < 1.0 {
            let (width, roof) = (dice.between(0.1, 0.24), dice.between(0.06, 0.3));
            let wall = [dim(dice.between(90.0, 180.0)), 118 + dice.below(16) as u8, 122 + dice.below(20) as u8];
            canvas.rectangle(x, roof, x + width, FAR_PAVEMENT, wall);
            let columns = (width / 0.03) as u32;
            let mut floor = roof + 0.03;
            while floor < FAR_PAVEMENT - 0.09 {
                for column in 0..columns {
                    let left = x + (column as f32 + 0.25) * width / columns as f32;
                    let lit = night && dice.below(3) == 0;
                    let glass = if lit { LAMP } else { [dim(70.0), GLASS[1], GLASS[2]] };
                    canvas.rectangle(left, floor, left + 0.016, floor + 0.035, glass);
                }
                floor += 0.06;
            }
            x += width + 0.005;
        }
        canvas.rectangle(0.0, FAR_PAVEMENT - 0.05, 1.0, ROAD.0, [dim(150.0), 126, 130]);
        canvas.rectangle(0.0, ROAD.0, 1.0, ROAD.1, [dim(75.0), 128, 128]);
        canvas.rectangle(0.0, ROAD.1, 1.0, 1.0, [dim(160.0), 126, 130]);
        for dash in 0..14 {
            let left = dash as f32 / 14.0;
            canvas.rectangle(left, 0.752, left + 0.035, 0.76, [dim(210.0), 128, 128]);
        }
        for stripe in 0..9 {
            let top = ROAD.0 + 0.008 + stripe as f32 * 0.027;
            canvas.rectangle(LINE_X - 0.08, top, LINE_X + 0.08, top + 0.014, [dim(205.0), 128, 128]);
        }
        for post in 0..5 {
            let x = 0.1 + post as f32 * 0.2;
            canvas.rectangle(x, 0.3, x + 0.004, FAR_PAVEMENT, [dim(60.0), 128, 128]);
            let head = if night { LAMP } else { [dim(120.0), 128, 128] };
            canvas.ellipse(x + 0.002, 0.3, 0.012, 0.012, head);
        }
        // Plaster, asphalt and leaves are not flat: a fixed grain keeps edges and detail in the coded picture.
        for luma in canvas.luma() {
            *luma = luma.saturating_add(dice.below(9) as u8).clamp(24, 218);
        }
        if self.scene.weather == Weather::Fog {
            // Half the contrast and colour, on a light grey.
            self.background.bytes.iter_mut().for_each(|byte| *byte = *byte / 2 + 64);
            self.background.luma().iter_mut().for_each(|luma| *luma += 20);
        }
    }

    /// The picture of `frame`: I420, the planes one after the other without padding.
    #[must_use]
    pub(crate) fn paint(&self, frame: u32) -> Vec<u8> {
        self.through(frame, Lens::Clear)
    }

    /// The same through a lens that something may be the matter with. Noise and clock come after it.
    #[must_use]
    pub(crate) fn through(&self, frame: u32, lens: Lens) -> Vec<u8> {
        let mut canvas = self.background.clone();
        let mut placed = self.scene.placed(frame, self.frames);
        placed.sort_by(|a, b| a.1.bottom.total_cmp(&b.1.bottom));
        for (actor, object) in &placed {
            self.draw(&mut canvas, actor, object, frame);
        }
        let mut dice = Dice::new(self.scene.seed ^ u64::from(frame) << 32, 3);
        self.weather(&mut canvas, frame, &mut dice);
        lens.through(&mut canvas);
        let width = canvas.width;
        for row in canvas.luma().chunks_exact_mut(width) {
            let from = dice.below(65_536) as usize;
            for (luma, noise) in row.iter_mut().zip(&self.noise[from..from + width]) {
                *luma = luma.wrapping_add(*noise);
            }
        }
        self.clock(&mut canvas, frame);
        canvas.bytes
    }

    fn draw(&self, canvas: &mut Canvas, actor: &Actor, object: &Object, frame: u32) {
        let (x, y, depth) = actor.stands(frame, self.frames);
        let (half, height) = (actor.width * depth / 2.0, actor.height * depth);
        let dark = |luma: u8| if self.scene.night { luma / 2 + 20 } else { luma };
        let paint = [dark(actor.colour[0]), actor.colour[1], actor.colour[2]];
        match object.class {
            Class::Vehicle => {
                canvas.rectangle(x - half, y - height * 0.6, x + half, y - height * 0.12, paint);
                canvas.rectangle(x - half * 0.6, y - height, x + half * 0.6, y - height * 0.6, paint);
                canvas.rectangle(x - half * 0.5, y - height * 0.92, x + half * 0.5, y - height * 0.62, GLASS);
                for wheel in [-0.6, 0.6] {
                    canvas.ellipse(x + wheel * half, y - height * 0.12, half * 0.18, height * 0.14, BLACK);
                }
                if self.scene.night {
                    canvas.ellipse(x + half * 0.95, y - height * 0.4, half * 0.12, height * 0.1, LAMP);
                    canvas.ellipse(x - half * 0.95, y - height * 0.4, half * 0.08, height * 0.08, [90, 100, 190]);
                }
            }
            Class::Human => {
                let stride = (frame as f32 * 0.5).sin() * half * 0.7;
                canvas.rectangle(x - half * 0.6, y - height * 0.8, x + half * 0.6, y - height * 0.4, paint);
                for leg in [stride, -stride] {
                    canvas.rectangle(x + leg - half * 0.25, y - height * 0.4, x + leg + half * 0.25, y, BLACK);
                }
                let skin = [dark(SKIN[0]), SKIN[1], SKIN[2]];
                canvas.ellipse(x, y - height * 0.9, half * 0.45, height * 0.1, skin);
            }
        }
    }

    fn weather(&self, canvas: &mut Canvas, frame: u32, dice: &mut Dice) {
        match self.scene.weather {
            Weather::Clear | Weather::Fog => {}
            Weather::Rain => {
                for _ in 0..220 {
                    let (x, y) = (dice.unit(), dice.unit());
                    canvas.rectangle(x, y, x + 0.0012, y + 0.035, [170, 128, 128]);
                }
            }
            Weather::Snow => {
                let mut flakes = Dice::new(self.scene.seed, 4);
                for _ in 0..260 {
                    let (x, start, falls) = (flakes.unit(), flakes.unit(), 2 + flakes.below(3));
                    let y = (start + falls as f32 * frame as f32 / self.frames.max(1) as f32).fract();
                    canvas.ellipse(x, y, 0.0016, 0.003, [218, 128, 128]);
                }
            }
        }
    }

    /// `MM:SS.ff` of the clip and the frame's number: people see at once which picture they look at.
    fn clock(&self, canvas: &mut Canvas, frame: u32) {
        let rate = self.frames_per_second.max(1);
        let seconds = frame / rate;
        let text = format!("{:02}:{:02}.{:02}", seconds / 60, seconds % 60, frame % rate);
        canvas.rectangle(0.02, 0.03, 0.02 + 0.018 * 8.0 + 0.012, 0.115, BLACK);
        for (place, letter) in text.chars().enumerate() {
            let bits = match letter {
                ':' => DIGITS[10],
                '.' => DIGITS[11],
                digit => DIGITS[digit as usize - '0' as usize],
            };
            for cell in 0..15 {
                if bits & (1 << (14 - cell)) != 0 {
                    let (column, row) = ((cell % 3) as f32, (cell / 3) as f32);
                    let (x, y) = (0.026 + place as f32 * 0.018 + column * 0.0045, 0.04 + row * 0.013);
                    canvas.rectangle(x, y, x + 0.0045, y + 0.013, [222, 128, 128]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_is_painted_where_the_truth_says() {
        let scene = Scene { seed: 5, night: false, weather: Weather::Clear, people: 0, vehicles: 1 };
        let (width, height, frames) = (320, 180, 40);
        let painter = Painter::new(&scene, width, height, frames, 25);
        let frame = (0..frames).find(|f| scene.objects(*f, frames).iter().any(|o| o.left > 0.2 && o.right < 0.8));
        let frame = frame.expect("the vehicle passes the middle");
        let object = &scene.objects(frame, frames)[0];
        let (picture, empty) = (painter.paint(frame), &painter.background.bytes);
        let differs = |x: f32, y: f32| {
            let at = (y * height as f32) as usize * width + (x * width as f32) as usize;
            picture[at].abs_diff(empty[at]) > 12
        };
        let mut changed = 0;
        for step in 0..20 {
            let x = object.left + (object.right - object.left) * (step as f32 + 0.5) / 20.0;
            changed += u32::from(differs(x, object.top + (object.bottom - object.top) * 0.75));
        }
        assert!(changed >= 14, "only {changed} of 20 points on the vehicle differ from the empty street");
    }
}
