//! Access units into fragments: what the store appends at once and makes durable together.
//!
//! A fragment ends when the next video unit would make it longer than about a second, or is a key unit, or the fragment has
//! grown to 2 MiB; so readers find a key unit at the start of a fragment. How long a fragment lasts is known only when the
//! next unit comes: the cut is made then.
//!
//! - A1: the first fragment of a run starts with a key unit; units before it are counted, not stored.
//! - A2: a fragment is never empty of video.

use index::{
    footage::Draft,
    model::{AccessUnit, ClockReading, MediaTicks, Priority, RetentionClass, StreamId, TrackKind, Tracks, UtcMicros},
};
use std::sync::Arc;

/// A fragment is cut at the first unit this far from its start.
const FRAGMENT: MediaTicks = MediaTicks::new(MediaTicks::PER_SECOND);
/// A key unit nearer to the start than this does not cut: a camera that sends only key units would make a fragment of each.
const FRAGMENT_MIN: MediaTicks = MediaTicks::new(MediaTicks::PER_SECOND / 5);
/// A fragment is cut before it grows beyond this.
const FRAGMENT_BYTES: usize = 2 << 20;
/// A longer pause between two pictures is a gap, and not a picture that lasted so long.
const PICTURE_MAX: MediaTicks = MediaTicks::new(2 * MediaTicks::PER_SECOND);
/// How long a picture lasts of which nothing else is known: 25 a second.
const PICTURE_USUAL: MediaTicks = MediaTicks::new(MediaTicks::PER_SECOND / 25);

/// What does not change within a stream's configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) stream: StreamId,
    pub(crate) retention: RetentionClass,
    pub(crate) priority: Priority,
}

/// What a pushed unit brought about.
#[derive(Debug, Default)]
pub(crate) struct Pushed {
    /// A fragment that is now whole.
    pub(crate) draft: Option<Draft>,
    /// Pictures stopped at this instant, and came again with this unit.
    pub(crate) pause: Option<UtcMicros>,
    /// The unit was left out: no key unit came before it (A1).
    pub(crate) undecodable: bool,
}

/// Cuts one stream's units.
#[derive(Debug)]
pub(crate) struct Assembler {
    terms: Terms,
    run: u32,
    tracks: Option<Arc<Tracks>>,
    units: Vec<AccessUnit>,
    bytes: usize,
    /// Decode time of the fragment's first picture.
    first: MediaTicks,
    /// Decode time of its newest picture.
    last: MediaTicks,
    /// How long the newest picture but one lasted.
    picture: MediaTicks,
    /// Whether the run has its key unit.
    begun: bool,
    /// How many units the last fragment had: the next one will have about as many.
    usual_units: usize,
}

impl Assembler {
    pub(crate) fn new(terms: Terms) -> Self {
        Self {
            terms,
            run: 0,
            tracks: None,
            units: Vec::new(),
            bytes: 0,
            first: MediaTicks::default(),
            last: MediaTicks::default(),
            picture: PICTURE_USUAL,
            begun: false,
            usual_units: 0,
        }
    }

    /// Begins a run: what was open is cut as it stands, and nothing is stored until a key unit comes.
    pub(crate) fn begin_run(&mut self, run: u32, tracks: Arc<Tracks>, clock: ClockReading) -> Option<Draft> {
        let draft = self.flush(clock);
        self.run = run;
        self.tracks = Some(tracks);
        self.begun = false;
        draft
    }

    /// Takes the next unit of the run, in the order received.
    pub(crate) fn push(&mut self, unit: AccessUnit, clock: ClockReading) -> Pushed {
        if unit.track != TrackKind::Video {
            return self.accompany(unit);
        }
        if self.tracks.is_none() || !(self.begun || unit.key) {
            return Pushed { undecodable: true, ..Pushed::default() };
        }
        self.begun = true;
        let mut pushed = Pushed::default();
        if !self.units.is_empty() {
            let since = unit.decode - self.last;
            if since > PICTURE_MAX {
                pushed.draft = self.flush(clock);
                pushed.pause = pushed.draft.as_ref().and_then(end_of);
            } else {
                self.picture = since;
                let age = unit.decode - self.first;
                let full = self.bytes + unit.data.len() > FRAGMENT_BYTES;
                if age >= FRAGMENT || full || (unit.key && age >= FRAGMENT_MIN) {
                    pushed.draft = self.cut(age, clock);
                }
            }
        }
        if self.units.is_empty() {
            self.first = unit.decode;
            self.units.reserve(self.usual_units);
        }
        self.last = unit.decode;
        self.add(unit);
        pushed
    }

    /// Cuts what is open: the session ends, or the run does.
    pub(crate) fn flush(&mut self, clock: ClockReading) -> Option<Draft> {
        self.cut(self.last - self.first + self.picture, clock)
    }

    /// Sound and documents travel with the pictures around them; before the first picture there is nothing to travel with.
    fn accompany(&mut self, unit: AccessUnit) -> Pushed {
        let undecodable = self.units.is_empty() || self.bytes + unit.data.len() > 2 * FRAGMENT_BYTES;
        if !undecodable {
            self.add(unit);
        }
        Pushed { undecodable, ..Pushed::default() }
    }

    fn add(&mut self, unit: AccessUnit) {
        self.bytes += unit.data.len();
        self.units.push(unit);
    }

    fn cut(&mut self, duration: MediaTicks, clock: ClockReading) -> Option<Draft> {
        let tracks = self.tracks.as_ref()?;
        if self.units.is_empty() {
            return None;
        }
        self.usual_units = self.units.len() + 2;
        self.bytes = 0;
        Some(Draft {
            stream: self.terms.stream,
            tracks: Arc::clone(tracks),
            units: std::mem::take(&mut self.units),
            duration,
            run: self.run,
            clock,
            retention: self.terms.retention,
            priority: self.terms.priority,
        })
    }
}

/// The instant after a fragment's last picture; `None` for one without video (A2: there is none).
pub(crate) fn end_of(draft: &Draft) -> Option<UtcMicros> {
    let first = draft.units.iter().find(|unit| unit.track == TrackKind::Video)?;
    Some(UtcMicros::from_micros(first.utc.as_micros() + draft.duration.as_micros()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Script};

    fn assembler() -> Assembler {
        Assembler::new(Terms { stream: testing::stream(), retention: RetentionClass::Standard, priority: Priority::Normal })
    }

    fn words(draft: &Draft) -> String {
        let letters = draft.units.iter().map(|unit| match (unit.track, unit.key) {
            (TrackKind::Video, true) => 'K',
            (TrackKind::Video, false) => 'p',
            _ => 'a',
        });
        let mut text: String = letters.collect();
        text = text.replace("ppppp", "5");
        format!("{text}:{}", draft.duration.get() / 3_600)
    }

    /// Units of one run and the fragments they make; `5` stands for five plain units; the number is the length in pictures.
    fn check_with(bytes: usize, input: &str, expected: &str) {
        let mut script = Script { bytes, ..Script::default() };
        let mut assembler = assembler();
        let clock = ClockReading::default();
        assert!(assembler.begin_run(1, testing::tracks(), clock).is_none());
        let (mut made, mut left_out) = (Vec::new(), 0);
        for unit in script.units(&input.replace('5', "ppppp")) {
            let pushed = assembler.push(unit, clock);
            left_out += usize::from(pushed.undecodable);
            made.extend(pushed.draft.map(|draft| words(&draft)));
            made.extend(pushed.pause.map(|at| format!("pause@{}", (at.as_micros() - 1_000_000_000) / 40_000)));
        }
        made.extend(assembler.flush(clock).map(|draft| words(&draft)));
        if left_out > 0 {
            made.push(format!("-{left_out}"));
        }
        assert_eq!(made.join(" "), expected, "{input}");
    }

    fn check(input: &str, expected: &str) {
        check_with(100, input, expected);
    }

    #[test]
    fn a_fragment_lasts_a_second_or_to_the_next_key_unit() {
        check("K5555pppp5555p", "K5555pppp:25 5555p:21");
        check("K55K55", "K55:11 K55:11");
        check("K5555ppppp5555ppppK5", "K5555pppp:25 55555:25 K5:6");
    }

    #[test]
    fn a_run_starts_at_a_key_unit_and_what_came_before_is_counted() {
        check("pppK5", "K5:6 -3");
        check("apppKap", "Kap:2 -4");
        check("pp", "-2");
    }

    #[test]
    fn a_fragment_stays_below_two_mebibytes() {
        check_with(900_000, "Kppppp", "Kp:2 pp:2 pp:2");
    }

    #[test]
    fn a_camera_that_sends_only_key_units_still_makes_few_fragments() {
        check("KKKKKKKKKK", "KKKKK:5 KKKKK:5");
    }

    #[test]
    fn a_pause_is_a_gap_and_not_one_long_picture() {
        let pause = "_".repeat(100);
        check(&format!("Kp{pause}pp"), "Kp:2 pause@2 pp:2");
    }

    #[test]
    fn sound_travels_with_the_pictures_around_it() {
        check("KapapapapaK", "Kapapapapa:5 K:1");
    }

    #[test]
    fn a_new_run_cuts_what_was_open() {
        let mut script = Script::default();
        let mut assembler = assembler();
        assembler.begin_run(1, testing::tracks(), ClockReading::default());
        for unit in script.units("Kp") {
            assembler.push(unit, ClockReading::default());
        }
        let draft = assembler.begin_run(2, testing::tracks(), ClockReading::default()).expect("what was open");
        assert_eq!((words(&draft).as_str(), draft.run), ("Kp:2", 1));
        assert!(assembler.push(script.units("p").remove(0), ClockReading::default()).undecodable);
    }
}
