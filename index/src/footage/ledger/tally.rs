//! Sums over a tiling: how much of a span was recorded, and how much is missing for each cause. Pure.

use crate::{
    footage::types::{Interval, IntervalState},
    model::{GapCause, Window},
};
use std::time::Duration;

/// How a span of one or more streams' time adds up. `recorded` and the gaps together are `known` (I2), to the microsecond.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// Time about which the ledger says something: the span asked for, up to the present.
    pub known: Duration,
    /// Of this, recorded, with or without single units missing inside.
    pub recorded: Duration,
    /// Of the recorded time, that in which units are missing.
    pub partial: Duration,
    /// Units known to be missing inside recorded time.
    pub units: u64,
    /// By the causes' place in [`GapCause::ALL`].
    gaps: [Duration; GapCause::ALL.len()],
}

impl Tally {
    /// Time missing for this cause.
    #[must_use]
    pub fn gap(&self, cause: GapCause) -> Duration {
        self.gaps[usize::from(cause.code()) - 1]
    }

    /// Every cause for which time is missing, with how much.
    pub fn gaps(&self) -> impl Iterator<Item = (GapCause, Duration)> + '_ {
        GapCause::ALL.into_iter().zip(self.gaps).filter(|(_, missing)| !missing.is_zero())
    }

    /// The time in which a recording should exist today: all that is known, but for when the stream was not configured, and but for
    /// what was kept for its term and then deleted, or erased by order. A pause is expected time: somebody answers for it.
    #[must_use]
    pub fn expected(&self) -> Duration {
        let not = [GapCause::NotConfigured, GapCause::Expired, GapCause::Erased].map(|cause| self.gap(cause));
        self.known.saturating_sub(not.into_iter().sum())
    }

    /// Expected time that is not recorded.
    #[must_use]
    pub fn missing(&self) -> Duration {
        self.expected().saturating_sub(self.recorded)
    }

    /// The share of the expected time that is recorded, 0 to 1. `None` if nothing is expected.
    #[must_use]
    pub fn completeness(&self) -> Option<f64> {
        let expected = self.expected();
        (!expected.is_zero()).then(|| self.recorded.as_secs_f64() / expected.as_secs_f64())
    }

    /// Adds another span's sums.
    pub fn add(&mut self, other: &Self) {
        self.known += other.known;
        self.recorded += other.recorded;
        self.partial += other.partial;
        self.units += other.units;
        self.gaps.iter_mut().zip(other.gaps).for_each(|(sum, gap)| *sum += gap);
    }

    /// Adds the part of a tile that lies in `window`. Units count where their tile begins.
    fn take(&mut self, tile: &Interval, window: Window) {
        let long = tile.window.intersect(window).duration();
        self.known += long;
        match &tile.state {
            IntervalState::Recorded => self.recorded += long,
            IntervalState::Partial { units, .. } => {
                self.recorded += long;
                self.partial += long;
                self.units += if window.contains(tile.window.from) { u64::from(*units) } else { 0 };
            }
            IntervalState::Gap { cause, .. } => self.gaps[usize::from(cause.code()) - 1] += long,
        }
    }
}

/// The sums of an exact tiling in each of `spans`, which are in order and do not overlap.
pub(in crate::footage) fn tally(tiles: &[Interval], spans: &[Window]) -> Vec<Tally> {
    let mut sums = vec![Tally::default(); spans.len()];
    let mut first = 0;
    for tile in tiles {
        while first < spans.len() && spans[first].to <= tile.window.from {
            first += 1;
        }
        for (span, sum) in spans[first..].iter().zip(&mut sums[first..]).take_while(|(span, _)| span.from < tile.window.to) {
            sum.take(tile, *span);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UtcMicros;
    use proptest::prelude::*;

    fn window(from: i64, to: i64) -> Window {
        Window::new(UtcMicros::from_micros(from), UtcMicros::from_micros(to))
    }

    /// Tiles of these lengths, one after the other.
    fn tiling(parts: &[(i64, usize)]) -> Vec<Interval> {
        let mut at = 0;
        let tile = |(long, kind): &(i64, usize)| {
            at += long;
            let state = match GapCause::ALL.get(*kind) {
                Some(cause) => IntervalState::Gap { cause: *cause, detail: String::new() },
                None if *kind == GapCause::ALL.len() => IntervalState::Recorded,
                None => IntervalState::Partial { cause: GapCause::Network, share: 1.0, units: 3 },
            };
            Interval { window: window(at - long, at), state }
        };
        parts.iter().map(tile).collect()
    }

    proptest! {
        #[test]
        fn sums_equal_the_tiling_however_it_is_cut(
            parts in prop::collection::vec((1i64..5000, 0..GapCause::ALL.len() + 2), 1..40),
            cuts in prop::collection::btree_set(1i64..200_000, 0..20),
        ) {
            let tiles = tiling(&parts);
            let end = tiles.last().map_or(0, |tile| tile.window.to.as_micros());
            let edges: Vec<i64> = [0].into_iter().chain(cuts.into_iter().filter(|cut| *cut < end)).chain([end]).collect();
            let spans: Vec<Window> = edges.windows(2).map(|pair| window(pair[0], pair[1])).collect();
            let mut sum = Tally::default();
            for (part, span) in tally(&tiles, &spans).iter().zip(&spans) {
                prop_assert_eq!(part.known, span.duration());
                prop_assert_eq!(part.recorded + part.gaps().map(|(_, gap)| gap).sum::<Duration>(), part.known);
                prop_assert_eq!(part.recorded + part.missing(), part.expected());
                sum.add(part);
            }
            prop_assert_eq!(sum, tally(&tiles, &[window(0, end)])[0]);
            for cause in GapCause::ALL {
                let long = parts.iter().filter(|(_, kind)| GapCause::ALL.get(*kind) == Some(&cause)).map(|(long, _)| *long).sum::<i64>();
                prop_assert_eq!(sum.gap(cause), Duration::from_micros(long as u64));
            }
        }
    }

    #[test]
    fn what_was_not_to_be_recorded_or_was_deleted_by_rule_is_not_expected() {
        let code = |cause: GapCause| usize::from(cause.code()) - 1;
        let tiles = tiling(&[
            (10, code(GapCause::NotConfigured)),
            (20, code(GapCause::Expired)),
            (30, code(GapCause::Erased)),
            (40, code(GapCause::Paused)),
            (60, GapCause::ALL.len()),
        ]);
        let sum = tally(&tiles, &[window(0, 160)])[0];
        assert_eq!((sum.expected(), sum.missing()), (Duration::from_micros(100), Duration::from_micros(40)));
        assert_eq!(sum.completeness(), Some(0.6));
        assert_eq!(Tally::default().completeness(), None);
    }
}
