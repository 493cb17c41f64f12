//! "When did something move here?": spans of time, from days of frames, and what time nobody looked at.

use super::format::{DayFile, Frame, STEP_MAX, day_of, day_window};
use super::grid::{CELLS, Grid};
use crate::model::{CameraId, UtcMicros, Window};
use std::{collections::BTreeMap, time::Duration};

/// Spans of one answer.
pub const MAX_SPANS: usize = 500;
/// Cameras of one question.
pub const MAX_CAMERAS: usize = 64;
/// The longest window.
pub const MAX_DAYS: u32 = 400;
/// Spans of one camera that are told one by one because nobody looked; the longest, if there are more.
pub const MAX_UNSEEN: usize = 50;

/// In which order spans come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// By their end, latest first.
    NewestFirst,
    /// By their beginning, earliest first.
    OldestFirst,
}

/// When did something move there?
#[derive(Clone, PartialEq, Debug)]
pub struct Question {
    /// Of which cameras; at most 64.
    pub cameras: Vec<CameraId>,
    /// When; at most 400 days.
    pub window: Window,
    /// Where in the picture. Of a camera that shows the same place elsewhere, ask apart.
    pub region: Grid,
    /// Quiet shorter than this does not end a span; at most an hour.
    pub join: Duration,
    /// Spans shorter than this are left out; zero for none.
    pub least: Duration,
    /// Which come first.
    pub order: Order,
    /// Only what comes after the span with this key, in the order.
    pub after: Option<(UtcMicros, CameraId)>,
    /// At most so many; at most 500.
    pub limit: usize,
}

/// Something moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Before which camera.
    pub camera: CameraId,
    /// From the picture before the first that shows it to the last that does.
    pub window: Window,
    /// In how many pictures.
    pub pictures: u32,
}

impl Span {
    /// What a page that follows this span is asked with.
    #[must_use]
    pub fn key(&self, order: Order) -> (UtcMicros, CameraId) {
        let at = match order {
            Order::NewestFirst => self.window.to,
            Order::OldestFirst => self.window.from,
        };
        (at, self.camera)
    }
}

/// What of a camera's time was looked at (I9).
#[derive(Clone, PartialEq, Debug)]
pub struct Seen {
    /// Which camera.
    pub camera: CameraId,
    /// How much of the answered window was looked at, 0 to 1.
    pub share: f64,
    /// When nobody looked, in order; the longest 50 if there are more, and not what is shorter than the pictures' usual distance.
    pub unseen: Vec<Window>,
    /// Whether there are more.
    pub more: bool,
}

/// Spans, and what they cover.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// In the question's order.
    pub spans: Vec<Span>,
    /// Whether there are more after them.
    pub more: bool,
    /// The part of the window that this answer is complete for: all of it, or as far as the limit allowed.
    pub answered: Window,
    /// By camera, for `answered`.
    pub seen: Vec<Seen>,
    /// Pictures that were gone through.
    pub pictures: u64,
    /// Bytes of stored grids that do not read back, so that their time counts as unseen.
    pub damaged: u64,
}

/// Where a search reads a day from: the whole file, and what is not in it yet.
pub(super) trait Days {
    /// Calls `read` with each piece of a camera's day, in order of time. A piece is a file's bytes, its header first.
    fn day(&mut self, camera: CameraId, day: u32, read: &mut dyn FnMut(&[u8]));
}

/// Goes through the days of the window in the question's order until it has enough.
pub(super) fn search(question: &Question, days: &mut dyn Days) -> Answer {
    let mut region = [0u8; CELLS];
    question.region.cells().for_each(|cell| region[cell] = 0xff);
    let window = reach(question);
    let (first, last) = (day_of(window.from), day_of(UtcMicros::from_micros(window.to.as_micros() - 1)));
    let order: Vec<u32> = match question.order {
        Order::NewestFirst => (first..=last).rev().collect(),
        Order::OldestFirst => (first..=last).collect(),
    };
    let mut tracks: BTreeMap<CameraId, Track> = question.cameras.iter().map(|camera| (*camera, Track::default())).collect();
    let (mut pictures, mut damaged) = (0, 0);
    let mut answered = window;
    for (turn, day) in order.iter().enumerate() {
        for (camera, track) in &mut tracks {
            let mut found = Track::default();
            days.day(*camera, *day, &mut |bytes| {
                let mut file = DayFile::open(bytes, *camera, *day);
                for frame in &mut file {
                    found.take(&frame, &region, window, question.join);
                    pictures += u64::from(frame.len());
                }
                damaged += file.damaged as u64;
            });
            track.join(found, question);
        }
        let begun = day_window(*day);
        answered = match question.order {
            _ if order.len() == turn + 1 => window,
            Order::NewestFirst => Window::new(window.from.max(begun.from), window.to),
            Order::OldestFirst => Window::new(window.from, window.to.min(begun.to)),
        };
        // One more than is asked for, so that what follows is known to exist.
        let ready: usize = tracks.iter().map(|(camera, track)| track.ready(*camera, question, window, answered).count()).sum();
        if answered == window || ready > question.limit {
            break;
        }
    }
    let mut spans: Vec<Span> =
        tracks.iter().flat_map(|(camera, track)| track.ready(*camera, question, window, answered)).collect();
    match question.order {
        Order::NewestFirst => spans.sort_unstable_by_key(|span| std::cmp::Reverse(span.key(question.order))),
        Order::OldestFirst => spans.sort_unstable_by_key(|span| span.key(question.order)),
    }
    let more = spans.len() > question.limit || answered != window;
    spans.truncate(question.limit);
    let answered = complete_for(question, answered, spans.last().filter(|_| more));
    let seen = tracks.iter().map(|(camera, track)| track.seen(*camera, answered)).collect();
    Answer { spans, more, answered, seen, pictures, damaged }
}

/// What an answer is complete for: no more than was gone through, nothing that an earlier page told, and, where more follows its last
/// span, not what lies beyond that one.
fn complete_for(question: &Question, read: Window, last: Option<&Span>) -> Window {
    let mut answered = read.intersect(question.window);
    let after = question.after.map(|(at, _)| at);
    match question.order {
        Order::NewestFirst => {
            answered.to = answered.to.min(after.unwrap_or(answered.to));
            answered.from = answered.from.max(last.map_or(answered.from, |span| span.window.from));
        }
        Order::OldestFirst => {
            answered.from = answered.from.max(after.unwrap_or(answered.from));
            answered.to = answered.to.min(last.map_or(answered.to, |span| span.window.to));
        }
    }
    answered
}

/// The part of the window that can hold what comes after the key: joined spans need what lies around them.
fn reach(question: &Question) -> Window {
    let around = question.join + STEP_MAX;
    match (question.order, question.after) {
        (_, None) => question.window,
        (Order::NewestFirst, Some((at, _))) => Window::new(question.window.from, question.window.to.min(at + around)),
        (Order::OldestFirst, Some((at, _))) => Window::new(question.window.from.max(at - around), question.window.to),
    }
}

fn wanted(span: &Span, question: &Question) -> bool {
    let after = question.after.is_none_or(|key| match question.order {
        Order::NewestFirst => span.key(question.order) < key,
        Order::OldestFirst => span.key(question.order) > key,
    });
    after && span.window.duration() >= question.least
}

/// One camera's findings so far, in order of time.
#[derive(Default)]
struct Track {
    spans: Vec<(Window, u32)>,
    /// What was looked at, joined where it touches.
    looked: Vec<Window>,
}

impl Track {
    fn take(&mut self, frame: &Frame<'_>, region: &[u8; CELLS], window: Window, join: Duration) {
        let moved = frame.moved_in(region);
        for (_, looked, bit) in frame.pictures() {
            let looked = looked.intersect(window);
            if looked.is_empty() {
                continue;
            }
            touch(&mut self.looked, looked);
            if moved & bit != 0 {
                extend(&mut self.spans, (looked, 1), join);
            }
        }
    }

    /// Puts a day before or behind what is known.
    fn join(&mut self, mut day: Self, question: &Question) {
        if question.order == Order::NewestFirst {
            std::mem::swap(self, &mut day);
        }
        day.spans.into_iter().for_each(|span| extend(&mut self.spans, span, question.join));
        day.looked.into_iter().for_each(|window| touch(&mut self.looked, window));
    }

    /// Its spans that belong into the answer and that nothing can make longer that lies outside of `read`, a part of `window`.
    fn ready(&self, camera: CameraId, question: &Question, window: Window, read: Window) -> impl Iterator<Item = Span> {
        let settled = move |span: &Span| match question.order {
            _ if read == window => true,
            Order::NewestFirst => span.window.from.since(read.from) > question.join,
            Order::OldestFirst => read.to.since(span.window.to) > question.join,
        };
        let spans = self.spans.iter().map(move |(window, pictures)| Span { camera, window: *window, pictures: *pictures });
        spans.filter(move |span| wanted(span, question) && settled(span))
    }

    fn seen(&self, camera: CameraId, answered: Window) -> Seen {
        let looked = self.looked.iter().map(|window| window.intersect(answered)).filter(|window| !window.is_empty());
        let (mut at, mut unseen, mut sum) = (answered.from, Vec::new(), Duration::ZERO);
        for window in looked {
            unseen.push(Window::new(at, window.from));
            sum += window.duration();
            at = window.to;
        }
        unseen.push(Window::new(at, answered.to));
        unseen.retain(|window| window.duration() > UNSEEN_LEAST);
        let more = unseen.len() > MAX_UNSEEN;
        if more {
            unseen.sort_unstable_by_key(|window| std::cmp::Reverse(window.duration()));
            unseen.truncate(MAX_UNSEEN);
            unseen.sort_unstable_by_key(|window| window.from);
        }
        let whole = answered.duration().as_secs_f64();
        let share = if whole > 0.0 { (sum.as_secs_f64() / whole).min(1.0) } else { 1.0 };
        Seen { camera, share, unseen, more }
    }
}

/// Shorter than the pictures' usual distance: between two of them, or before the next one comes.
const UNSEEN_LEAST: Duration = Duration::from_secs(5);

fn extend(spans: &mut Vec<(Window, u32)>, (window, pictures): (Window, u32), join: Duration) {
    match spans.last_mut() {
        Some((last, count)) if window.from.since(last.to) <= join => {
            last.to = last.to.max(window.to);
            *count += pictures;
        }
        _ => spans.push((window, pictures)),
    }
}

fn touch(looked: &mut Vec<Window>, window: Window) {
    match looked.last_mut() {
        // A hundredth of a second is how exactly times are kept.
        Some(last) if window.from.since(last.to) <= Duration::from_millis(20) => last.to = last.to.max(window.to),
        _ => looked.push(window),
    }
}

/// How much moved along time: for each of `columns` equal parts of the window, the share of its looked-at pictures in which something
/// moved in the region, and how much of the part was looked at at all.
#[derive(Clone, PartialEq, Debug)]
pub struct Density {
    /// 0 to 1; 0 where nobody looked.
    pub moved: Vec<f32>,
    /// 0 to 1.
    pub looked: Vec<f32>,
}

/// Adds a camera's days up.
pub(super) fn density(camera: CameraId, window: Window, region: &Grid, columns: usize, days: &mut dyn Days) -> Density {
    let mut bytes = [0u8; CELLS];
    region.cells().for_each(|cell| bytes[cell] = 0xff);
    let width = window.to.micros_from(window.from).max(1) as f64 / columns.max(1) as f64;
    let (mut moved, mut looked) = (vec![0f32; columns], vec![0f32; columns]);
    for day in day_of(window.from)..=day_of(window.to) {
        days.day(camera, day, &mut |file| {
            for frame in DayFile::open(file, camera, day) {
                let found = frame.moved_in(&bytes);
                for (_, seen, bit) in frame.pictures() {
                    spread(seen.intersect(window), window.from, width, |column, share| {
                        looked[column] += share;
                        moved[column] += if found & bit != 0 { share } else { 0.0 };
                    });
                }
            }
        });
    }
    for (moved, looked) in moved.iter_mut().zip(&mut looked) {
        *moved = if *looked > 0.0 { (*moved / *looked).min(1.0) } else { 0.0 };
        *looked = looked.min(1.0);
    }
    Density { moved, looked }
}

/// Tells each column that a span touches how much of the column it fills.
fn spread(span: Window, from: UtcMicros, width: f64, mut fill: impl FnMut(usize, f32)) {
    if span.is_empty() {
        return;
    }
    let (begin, end) = (span.from.micros_from(from) as f64 / width, span.to.micros_from(from) as f64 / width);
    let mut column = begin.floor();
    while column < end {
        let share = (end.min(column + 1.0) - begin.max(column)) as f32;
        fill(column as usize, share);
        column += 1.0;
    }
}
