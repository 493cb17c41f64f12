//! A picture in I420, as encoders take it: painting straight into it saves a colour conversion of every frame.

/// Luma and the two chroma planes of one picture, the latter at half the width and height.
#[derive(Clone)]
pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    /// All three planes, one after the other, without padding.
    pub(super) bytes: Vec<u8>,
}

/// Y, U, V.
pub(super) type Colour = [u8; 3];

impl Canvas {
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, height, bytes: vec![128; width * height * 3 / 2] }
    }

    pub(super) fn luma(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.width * self.height]
    }

    /// Fills a rectangle given as fractions of the picture; what lies outside is cut.
    pub(super) fn rectangle(&mut self, left: f32, top: f32, right: f32, bottom: f32, colour: Colour) {
        let (w, h) = (self.width as f32, self.height as f32);
        let at = |value: f32, size: f32| (value.clamp(0.0, 1.0) * size).round() as usize;
        let (x0, x1, y0, y1) = (at(left, w), at(right, w), at(top, h), at(bottom, h));
        if x0 >= x1 {
            return;
        }
        let width = self.width;
        for row in y0..y1 {
            self.bytes[row * width + x0..row * width + x1].fill(colour[0]);
        }
        let (luma, half, quarter) = (width * self.height, width / 2, width * self.height / 4);
        let (c0, c1) = (x0 / 2, x1.div_ceil(2).min(half));
        for row in y0 / 2..y1.div_ceil(2).min(self.height / 2) {
            let (from, to) = (luma + row * half + c0, luma + row * half + c1);
            self.bytes[from..to].fill(colour[1]);
            self.bytes[from + quarter..to + quarter].fill(colour[2]);
        }
    }

    /// Fills an ellipse with the middle (`x`, `y`); a stack of rectangles one pixel high.
    pub(super) fn ellipse(&mut self, x: f32, y: f32, half_width: f32, half_height: f32, colour: Colour) {
        let pixel = 1.0 / self.height as f32;
        let rows = (half_height / pixel).ceil().max(1.0) as i32;
        for row in -rows..=rows {
            let part = (row as f32 * pixel / half_height.max(pixel)).clamp(-1.0, 1.0);
            let reach = half_width * (1.0 - part * part).sqrt();
            let top = y + row as f32 * pixel;
            self.rectangle(x - reach, top, x + reach, top + pixel, colour);
        }
    }
}
