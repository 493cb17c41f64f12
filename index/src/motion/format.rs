//! The bytes of a day of one camera: a header, then frames of up to eight pictures, appended and never rewritten.
//!
//! ```text
//! header  "HHMG" | version 1 | 3 zero | camera u32 | day u32                                                   16 bytes
//! frame   length u16 | count u8 | compared u8 | crc32c u32 | first u32 | step u16 × count | (skip u8, pictures u8)*
//! ```
//!
//! Times are hundredths of a second since the day began (UTC). `step` is how long before its own picture the one stood that it was
//! compared with; `compared` has a bit for each picture of which that can be said. Each cell in which something moved is a pair:
//! how many cells lie between it and the one before, and a bit for each picture; 256 cells without any are `(255, 0)`. So a question
//! about a region is an OR over bytes, and an empty frame costs 28 bytes for eight pictures. The checksum is seeded with the header,
//! so that a frame of another camera or day never passes for one of this. `length` counts what follows the checksum.

use super::grid::{CELLS, Grid};
use crate::model::{CameraId, UtcMicros, Window};
use std::time::Duration;

/// Bytes before the first frame.
pub(super) const HEADER: usize = 16;
const MAGIC: &[u8; 4] = b"HHMG";
const VERSION: u8 = 1;
const FRAME_HEADER: usize = 8;
/// Pictures of a frame: as many as a byte has bits.
pub(super) const PICTURES: usize = 8;
/// The longest a frame can be: every cell, and the skips.
const BODY_MAX: usize = 4 + 2 * PICTURES + 2 * (CELLS + CELLS / 255);
/// A hundredth of a second.
const TICK_MICROS: i64 = 10_000;
const DAY_MICROS: i64 = 86_400_000_000;
/// Two pictures further apart say nothing of the time between them.
pub(super) const STEP_MAX: Duration = Duration::from_secs(30);
/// The most cells that one pair passes over.
const SKIP_MAX: usize = 255;

/// What one picture said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Look {
    /// When it was filmed.
    pub at: UtcMicros,
    /// What had changed.
    pub found: Found,
}

/// What had changed since the picture before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// These cells, since the picture that long before: at most 30 s.
    Moved {
        /// In which cells something moved; none is an answer too.
        cells: Grid,
        /// How long before `at` the picture stood that it was compared with.
        since: Duration,
    },
    /// There was none to compare with, or the whole picture changed at once: light, or the camera itself.
    Unknown,
}

/// The number of the day (UTC) of an instant, since 1970.
pub(super) fn day_of(at: UtcMicros) -> u32 {
    u32::try_from(at.as_micros().div_euclid(DAY_MICROS)).unwrap_or(0)
}

/// A day, from its beginning to the next.
pub(super) fn day_window(day: u32) -> Window {
    let from = i64::from(day) * DAY_MICROS;
    Window::new(UtcMicros::from_micros(from), UtcMicros::from_micros(from + DAY_MICROS))
}

/// The first bytes of a day's file.
pub(super) fn header(camera: CameraId, day: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..4].copy_from_slice(MAGIC);
    bytes[4] = VERSION;
    bytes[8..12].copy_from_slice(&camera.number().to_le_bytes());
    bytes[12..].copy_from_slice(&day.to_le_bytes());
    bytes
}

fn tick(day: u32, at: UtcMicros) -> u32 {
    let within = at.as_micros() - day_window(day).from.as_micros();
    u32::try_from(within.max(0) / TICK_MICROS).unwrap_or(u32::MAX)
}

/// Whether a look may follow another in one frame, which keeps of two neighbours only how far apart they are.
pub(super) fn may_follow(last: &Look, next: &Look) -> bool {
    let step = next.at.micros_from(last.at);
    let compared = match next.found {
        Found::Moved { since, .. } => (since.as_micros() as i64 - step).abs() <= 2 * TICK_MICROS,
        Found::Unknown => true,
    };
    compared && day_of(last.at) == day_of(next.at) && step > 0 && step <= STEP_MAX.as_micros() as i64
}

/// A frame of 1 to 8 looks of one day, each of which may follow the one before.
pub(super) fn encode(camera: CameraId, day: u32, looks: &[Look]) -> Vec<u8> {
    debug_assert!((1..=PICTURES).contains(&looks.len()));
    let mut frame = vec![0; FRAME_HEADER];
    let first = looks.first().map_or(0, |look| tick(day, look.at));
    frame.extend_from_slice(&first.to_le_bytes());
    let (mut compared, mut masks, mut last) = (0u8, [0u8; CELLS], first);
    for (bit, look) in looks.iter().enumerate() {
        let now = tick(day, look.at);
        let mut step = now - last;
        last = now;
        if let Found::Moved { cells, since } = look.found {
            compared |= 1 << bit;
            cells.cells().for_each(|cell| masks[cell] |= 1 << bit);
            if bit == 0 {
                step = (since.as_micros() as i64 / TICK_MICROS) as u32;
            }
        }
        frame.extend_from_slice(&(step.min(u32::from(u16::MAX)) as u16).to_le_bytes());
    }
    let mut empty = 0usize;
    for mask in masks {
        if mask == 0 {
            empty += 1;
            continue;
        }
        for _ in 0..empty / (SKIP_MAX + 1) {
            frame.extend_from_slice(&[SKIP_MAX as u8, 0]);
        }
        frame.extend_from_slice(&[(empty % (SKIP_MAX + 1)) as u8, mask]);
        empty = 0;
    }
    let length = u16::try_from(frame.len() - FRAME_HEADER).unwrap_or(u16::MAX);
    frame[..2].copy_from_slice(&length.to_le_bytes());
    (frame[2], frame[3]) = (looks.len() as u8, compared);
    let sum = checksum(seed(camera, day), &frame);
    frame[4..8].copy_from_slice(&sum.to_le_bytes());
    frame
}

fn seed(camera: CameraId, day: u32) -> u32 {
    crc32c::crc32c(&header(camera, day))
}

fn checksum(seed: u32, frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &frame[..4]), &frame[FRAME_HEADER..])
}

/// A frame as it lies in a file, its checksum verified.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    day: u32,
    count: usize,
    compared: u8,
    body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at the beginning of `bytes`, and how long it is.
    fn read(bytes: &'a [u8], seed: u32, day: u32) -> Option<(Self, usize)> {
        let length = usize::from(u16::from_le_bytes([*bytes.first()?, *bytes.get(1)?]));
        let count = usize::from(*bytes.get(2)?);
        if length > BODY_MAX || !(1..=PICTURES).contains(&count) || length < 4 + 2 * count {
            return None;
        }
        let frame = bytes.get(..FRAME_HEADER + length)?;
        let sum = u32::from_le_bytes([frame[4], frame[5], frame[6], frame[7]]);
        (checksum(seed, frame) == sum)
            .then(|| (Self { day, count, compared: frame[3], body: &frame[FRAME_HEADER..] }, frame.len()))
    }

    /// How many pictures it tells of.
    pub(super) fn len(&self) -> u8 {
        self.count as u8
    }

    fn step(&self, picture: usize) -> u32 {
        let at = 4 + 2 * picture;
        u32::from(u16::from_le_bytes([self.body[at], self.body[at + 1]]))
    }

    /// A bit for each picture in which something moved in a cell whose byte in `region` is not 0.
    #[inline]
    pub(super) fn moved_in(&self, region: &[u8; CELLS]) -> u8 {
        let (mut cell, mut found) = (0, 0);
        for pair in self.body[4 + 2 * self.count..].as_chunks::<2>().0 {
            cell += usize::from(pair[0]);
            found |= pair[1] & region.get(cell).copied().unwrap_or(0);
            cell += 1;
        }
        found & self.compared
    }

    /// For each picture: when it was filmed, what time it says something of (empty if of none), and its bit in a mask.
    pub(super) fn pictures(&self) -> impl Iterator<Item = (UtcMicros, Window, u8)> + use<'a> {
        let frame = *self;
        let first = u32::from_le_bytes([self.body[0], self.body[1], self.body[2], self.body[3]]);
        let begin = day_window(self.day).from.as_micros();
        let mut at = begin + i64::from(first) * TICK_MICROS;
        (0..self.count).map(move |picture| {
            let step = i64::from(frame.step(picture)) * TICK_MICROS;
            if picture > 0 {
                at += step;
            }
            let now = UtcMicros::from_micros(at);
            let from = if frame.compared >> picture & 1 == 1 { UtcMicros::from_micros(at - step) } else { now };
            (now, Window::new(from, now), 1 << picture)
        })
    }

    /// The looks it was made from, to a hundredth of a second.
    pub(super) fn looks(&self) -> Vec<Look> {
        let mut grids = [Grid::EMPTY; PICTURES];
        let mut cell = 0;
        for pair in self.body[4 + 2 * self.count..].as_chunks::<2>().0 {
            cell += usize::from(pair[0]);
            (0..PICTURES).filter(|bit| pair[1] >> bit & 1 == 1).for_each(|bit| grids[bit].set(cell));
            cell += 1;
        }
        let look = |((at, window, bit), cells): ((UtcMicros, Window, u8), Grid)| {
            let found = Found::Moved { cells, since: window.duration() };
            Look { at, found: if self.compared & bit != 0 { found } else { Found::Unknown } }
        };
        self.pictures().zip(grids).map(look).collect()
    }
}

/// A day's file, read.
pub(super) struct DayFile<'a> {
    rest: &'a [u8],
    seed: u32,
    day: u32,
    /// How many bytes from the file's beginning to the end of the newest frame that was returned.
    pub(super) good: usize,
    /// Bytes that were passed over because no frame was there.
    pub(super) damaged: usize,
}

impl<'a> DayFile<'a> {
    /// The frames of a file; none if its header is not that of this camera and day.
    pub(super) fn open(bytes: &'a [u8], camera: CameraId, day: u32) -> Self {
        let ours = bytes.get(..HEADER) == Some(&header(camera, day)[..]);
        let rest = if ours { &bytes[HEADER..] } else { &[] };
        Self { rest, seed: seed(camera, day), day, good: if ours { HEADER } else { 0 }, damaged: 0 }
    }
}

impl<'a> Iterator for DayFile<'a> {
    type Item = Frame<'a>;

    /// The next frame. Damage is passed over: what follows it is found again by its checksum.
    fn next(&mut self) -> Option<Frame<'a>> {
        let mut passed = 0;
        while passed < self.rest.len() {
            if let Some((frame, length)) = Frame::read(&self.rest[passed..], self.seed, self.day) {
                self.rest = &self.rest[passed + length..];
                self.good += passed + length;
                self.damaged += passed;
                return Some(frame);
            }
            passed += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn camera() -> CameraId {
        CameraId::new(7).expect("a number")
    }

    const DAY: u32 = 20_000;

    fn at(tenths: i64) -> UtcMicros {
        UtcMicros::from_micros(i64::from(DAY) * DAY_MICROS + tenths * 100_000)
    }

    fn moved(tenths: i64, since_ms: u64, cells: &[usize]) -> Look {
        let cells = cells.iter().copied().collect();
        Look { at: at(tenths), found: Found::Moved { cells, since: Duration::from_millis(since_ms) } }
    }

    fn file(frames: &[Vec<Look>]) -> Vec<u8> {
        let mut bytes = header(camera(), DAY).to_vec();
        frames.iter().for_each(|looks| bytes.extend(encode(camera(), DAY, looks)));
        bytes
    }

    fn looks(bytes: &[u8]) -> Vec<Look> {
        DayFile::open(bytes, camera(), DAY).flat_map(|frame| frame.looks()).collect()
    }

    #[test]
    fn what_was_seen_reads_back_to_the_hundredth_of_a_second() {
        let first = vec![moved(0, 2_000, &[]), moved(20, 2_000, &[0, 31, 300, 575]), Look { at: at(40), found: Found::Unknown }];
        let second = vec![moved(100, 6_000, &(0..CELLS).collect::<Vec<_>>())];
        let all: Vec<Look> = first.iter().chain(&second).copied().collect();
        assert_eq!(looks(&file(&[first, second])), all);
    }

    #[test]
    fn a_quiet_frame_is_small_and_a_full_one_fits_its_length() {
        let quiet: Vec<Look> = (0..8).map(|n| moved(n * 20, 2_000, &[])).collect();
        assert_eq!(encode(camera(), DAY, &quiet).len(), 28);
        let full = vec![moved(0, 2_000, &(0..CELLS).collect::<Vec<_>>()); 1];
        assert!(encode(camera(), DAY, &full).len() <= FRAME_HEADER + BODY_MAX);
    }

    #[test]
    fn a_torn_tail_costs_the_torn_frame_and_damage_only_what_it_hit() {
        let frames: Vec<Vec<Look>> = (0..5).map(|n| vec![moved(n * 20, 2_000, &[n as usize])]).collect();
        let whole = file(&frames);
        let each = (whole.len() - HEADER) / 5;
        for cut in HEADER..whole.len() {
            assert_eq!(looks(&whole[..cut]).len(), (cut - HEADER) / each, "cut at {cut}");
        }
        for hit in HEADER..whole.len() {
            let mut damaged = whole.clone();
            damaged[hit] ^= 0x10;
            assert_eq!(looks(&damaged).len(), 4, "hit at {hit}");
        }
    }

    #[test]
    fn a_frame_of_another_camera_or_day_is_none() {
        let bytes = file(&[vec![moved(0, 2_000, &[5])]]);
        let other = CameraId::new(8).expect("a number");
        assert_eq!(DayFile::open(&bytes, other, DAY).count(), 0);
        let mut moved_over = header(other, DAY).to_vec();
        moved_over.extend(&bytes[HEADER..]);
        assert_eq!(DayFile::open(&moved_over, other, DAY).count(), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_fail(bytes in prop::collection::vec(any::<u8>(), 0..2000), cut in 0..40usize) {
            let mut file = file(&[vec![moved(0, 2_000, &[5])]]);
            file.truncate(file.len().saturating_sub(cut));
            file.extend(bytes);
            let mut region = [0u8; CELLS];
            region[5] = 0xff;
            for frame in DayFile::open(&file, camera(), DAY) {
                let _ = (frame.moved_in(&region), frame.looks());
            }
        }
    }
}
