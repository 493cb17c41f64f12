//! One track's line from its counter to the node's clock.

use super::{Arrival, BREAKS_ALLOWED, BREAKS_WITHIN, DISCIPLINE_EVERY, JUMP, OUTLIERS_BELIEVED, SLEW_PPM, STEP};
use index::model::UtcMicros;
use std::collections::VecDeque;

/// Where the line puts a unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mapped {
    pub(super) utc: UtcMicros,
    /// Differs from `utc` where the camera sends pictures in another order than they are shown.
    pub(super) decode: UtcMicros,
    pub(super) reordered: bool,
    /// The counter jumped and the jump is now believed.
    pub(super) broke: bool,
    /// The line is wrong by this many microseconds; a new run should take the step.
    pub(super) step: Option<i64>,
}

#[derive(Debug, Default)]
pub(super) struct TrackClock {
    line: Option<Line>,
    /// Microseconds a tick, from the line before this one.
    learned: Option<f64>,
    newest: Newest,
    outliers: Option<Outliers>,
    /// When the counter broke, newest last.
    breaks: VecDeque<i64>,
    /// The counter is not used any more (T4).
    by_arrival: bool,
    report: Option<Report>,
    camera_offset: Option<i64>,
    /// How wrong the line was found to be, in microseconds.
    error: i64,
    order: Order,
}

/// `utc = at_utc + (counter - at_counter) * micros_per_tick * (1 + slew)`.
#[derive(Debug)]
struct Line {
    at_counter: i64,
    at_utc: f64,
    micros_per_tick: f64,
    /// Parts per million.
    slew: f64,
    /// The earliest arrival against the line since `since`.
    earliest: i64,
    since: i64,
}

/// The newest unit that was believed.
#[derive(Debug, Default)]
struct Newest {
    rtp: u32,
    counter: i64,
    utc: i64,
    /// Smoothed time between units.
    interval: i64,
}

#[derive(Debug)]
struct Outliers {
    rtp: u32,
    count: u32,
}

#[derive(Debug)]
struct Report {
    counter: i64,
    camera: i64,
    received: i64,
}

/// How a stream with B-pictures gets decode times: they advance evenly and follow the latest picture shown.
#[derive(Clone, Copy, Debug, Default)]
struct Order {
    reordered: bool,
    latest: i64,
    decode: i64,
    /// Units since the latest one shown.
    units: i64,
    /// Smoothed time a unit takes.
    pace: i64,
}

impl TrackClock {
    pub(super) fn map(&mut self, arrival: Arrival) -> Mapped {
        let received = arrival.received.as_micros();
        let rate = f64::from(arrival.rate.max(1));
        if self.line.is_none() {
            self.begin(arrival.rtp, received, self.learned.unwrap_or(1e6 / rate));
            return self.mapped(received, false, None);
        }
        if self.by_arrival {
            let utc = received.max(self.newest.utc + 1);
            self.believe(arrival.rtp, self.newest.counter, utc);
            return self.mapped(utc, false, None);
        }
        let delta = i64::from(arrival.rtp.wrapping_sub(self.newest.rtp).cast_signed());
        let counter = self.newest.counter + delta;
        let Some(line) = &mut self.line else { return self.mapped(received, false, None) };
        let utc = line.at(counter);
        let back = self.newest.utc - utc;
        if utc > received + JUMP || back > JUMP {
            return self.outlier(arrival, received);
        }
        self.outliers = None;
        let step = line.discipline(received, utc, counter, &mut self.error);
        if delta >= 0 {
            self.believe(arrival.rtp, counter, utc);
        } else {
            self.order.reordered = true;
        }
        if step.is_some() {
            self.broke(received);
        }
        self.mapped(utc, false, step)
    }

    fn begin(&mut self, rtp: u32, utc: i64, micros_per_tick: f64) {
        self.line = Some(Line {
            at_counter: i64::from(rtp),
            at_utc: utc as f64,
            micros_per_tick,
            slew: 0.0,
            earliest: i64::MAX,
            since: utc,
        });
        self.newest = Newest { rtp, counter: i64::from(rtp), utc, interval: self.newest.interval };
        self.order = Order { latest: utc, decode: utc - 1, units: 0, ..self.order };
        self.report = None;
    }

    fn believe(&mut self, rtp: u32, counter: i64, utc: i64) {
        let interval = (utc - self.newest.utc).clamp(0, JUMP);
        let smoothed =
            if self.newest.interval == 0 { interval } else { self.newest.interval + (interval - self.newest.interval) / 8 };
        self.newest = Newest { rtp, counter, utc, interval: smoothed };
    }

    /// T2: stamped by the pace of those before it; believed when enough agree.
    fn outlier(&mut self, arrival: Arrival, received: i64) -> Mapped {
        let ticks = i64::from(arrival.rate.max(1)) * JUMP / 1_000_000;
        let count = match &self.outliers {
            Some(seen) if i64::from(arrival.rtp.wrapping_sub(seen.rtp).cast_signed()).abs() < ticks => seen.count + 1,
            _ => 1,
        };
        self.outliers = Some(Outliers { rtp: arrival.rtp, count });
        let utc = (self.newest.utc + self.newest.interval.max(1)).max(received - STEP);
        let broke = count >= OUTLIERS_BELIEVED;
        if broke {
            let micros_per_tick = self.line.as_ref().map_or(1e6 / f64::from(arrival.rate.max(1)), |line| line.micros_per_tick);
            self.outliers = None;
            self.begin(arrival.rtp, utc, micros_per_tick);
            self.order.decode = utc - self.newest.interval.max(1);
            self.broke(received);
        } else {
            self.newest.utc = utc;
        }
        self.mapped(utc, broke, None)
    }

    fn broke(&mut self, now: i64) {
        self.breaks.push_back(now);
        while self.breaks.front().is_some_and(|first| now - first > BREAKS_WITHIN) {
            self.breaks.pop_front();
        }
        self.by_arrival |= self.breaks.len() > BREAKS_ALLOWED;
    }

    fn mapped(&mut self, utc: i64, broke: bool, step: Option<i64>) -> Mapped {
        let decode = self.order.decode(utc);
        let reordered = self.order.reordered;
        Mapped { utc: UtcMicros::from_micros(utc), decode: UtcMicros::from_micros(decode), reordered, broke, step }
    }

    /// The node's clock moved by `by`: the line is judged against the clock it was made with until the step is taken.
    pub(super) fn node_stepped(&mut self, by: i64) {
        if let Some(line) = &mut self.line {
            line.at_utc += by as f64;
            self.newest.utc += by;
            self.order.latest += by;
            self.order.decode += by;
            line.since = self.newest.utc;
            line.earliest = i64::MAX;
        }
    }

    /// The next unit begins a new line, at the rate that was learned.
    pub(super) fn forget_line(&mut self) {
        self.learned = self.line.take().map(|line| line.micros_per_tick);
        self.outliers = None;
        self.error = 0;
    }

    pub(super) fn sender_report(&mut self, rtp: u32, camera: i64, received: i64) {
        // Reports before the camera knows the time say 1900, 1970 or the year of its firmware (Q86).
        const CAMERA_KNOWS_TIME: i64 = 1_577_836_800_000_000;
        let Some(line) = &mut self.line else { return };
        if self.by_arrival || camera < CAMERA_KNOWS_TIME {
            return;
        }
        let counter = self.newest.counter + i64::from(rtp.wrapping_sub(self.newest.rtp).cast_signed());
        if let Some(before) = &self.report {
            let (camera_span, counter_span) = (camera - before.camera, counter - before.counter);
            let received_span = received - before.received;
            // The camera's clock went as ours did: a frozen or stepping one does not.
            let agree = camera_span > 0 && (camera_span - received_span).abs() < received_span / 100 + 50_000;
            if agree && camera_span >= DISCIPLINE_EVERY / 2 && counter_span > 0 {
                line.set_rate(camera_span as f64 / counter_span as f64, counter);
            }
            self.camera_offset = agree.then(|| camera - line.at(counter));
        }
        self.report = Some(Report { counter, camera, received });
    }

    /// Sound and documents follow the pictures: `utc` is where the pictures' line puts the camera's clock at this counter.
    pub(super) fn align(&mut self, rtp: u32, utc: i64) {
        let counter = self.newest.counter + i64::from(rtp.wrapping_sub(self.newest.rtp).cast_signed());
        if let Some(line) = &mut self.line {
            let error = utc - line.at(counter);
            line.bend(error, counter);
        }
    }

    /// The camera's clock minus the node's, in microseconds, once two sender reports agreed.
    pub(super) fn camera_offset(&self) -> Option<i64> {
        self.camera_offset
    }

    pub(super) fn camera_offset_ms(&self) -> Option<i32> {
        self.camera_offset.map(|offset| i32::try_from(offset / 1_000).unwrap_or(if offset < 0 { i32::MIN } else { i32::MAX }))
    }

    /// What is known to be wrong, and the 20 ms that nobody can know: exposure, encoding, the way to us.
    pub(super) fn error_ms(&self) -> u16 {
        u16::try_from(self.error.abs() / 1_000 + 20).unwrap_or(u16::MAX)
    }
}

impl Line {
    fn at(&self, counter: i64) -> i64 {
        let span = (counter - self.at_counter) as f64 * self.micros_per_tick;
        (self.at_utc + span * (1.0 + self.slew / 1e6)).round() as i64
    }

    /// Once in a while, bends the line towards the earliest arrival. Returns an error too large to bend away.
    fn discipline(&mut self, received: i64, utc: i64, counter: i64, error: &mut i64) -> Option<i64> {
        self.earliest = self.earliest.min(received - utc);
        if received - self.since < DISCIPLINE_EVERY {
            return None;
        }
        let earliest = std::mem::replace(&mut self.earliest, i64::MAX);
        self.since = received;
        *error = earliest;
        if earliest.abs() > STEP {
            return Some(earliest);
        }
        self.bend(earliest, counter);
        None
    }

    fn bend(&mut self, error: i64, counter: i64) {
        self.turn_at(counter);
        let wanted = error as f64 * 1e6 / DISCIPLINE_EVERY as f64;
        self.slew = wanted.clamp(-SLEW_PPM, SLEW_PPM);
    }

    /// A camera that counts at another rate than it declares (Q81): its own clock, by sender reports, says which.
    fn set_rate(&mut self, micros_per_tick: f64, counter: i64) {
        let ratio = micros_per_tick / self.micros_per_tick;
        if (0.7..1.4).contains(&ratio) && (ratio - 1.0).abs() > SLEW_PPM / 1e6 {
            self.turn_at(counter);
            self.micros_per_tick = micros_per_tick;
        }
    }

    fn turn_at(&mut self, counter: i64) {
        let span = (counter - self.at_counter) as f64 * self.micros_per_tick;
        self.at_utc += span * (1.0 + self.slew / 1e6);
        self.at_counter = counter;
    }
}

impl Order {
    fn decode(&mut self, utc: i64) -> i64 {
        self.units += 1;
        if utc > self.latest {
            let pace = (utc - self.latest) / self.units;
            self.pace = if self.pace == 0 { pace } else { self.pace + (pace - self.pace) / 8 };
            (self.latest, self.units) = (utc, 0);
        }
        self.decode = if self.reordered {
            // Evenly, and an eighth of the way towards the latest picture shown, so that the two stay together.
            let even = self.decode + self.pace;
            (even + (self.latest - even) / 8).max(self.decode + 1)
        } else {
            utc.max(self.decode + 1)
        };
        self.decode
    }
}
