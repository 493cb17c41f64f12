//! What a start says of the run before it: when that ended, and what became of its last seconds. Nobody was there to say so then.

use super::{
    catalogue::{SegmentMeta, StreamIndex},
    ledger::{self, Facts},
    shared::Shared,
    types::{Interval, IntervalState},
    volume::lock,
};
use crate::model::{GapCause, StreamId, UtcMicros, Window};
use serde_json::json;
use std::{sync::atomic::Ordering, time::Duration};

/// A node that runs gives a sign of life at least this often: it is twice the time between two checkpoints.
const SIGNS: Duration = Duration::from_secs(60);

/// So long after it was filmed a fragment is durable, or was given to another disk.
const DURABLE: Duration = Duration::from_secs(15);

/// When a run ended of which that was the last sign of life before that start.
fn end_of(sign: UtcMicros, start: UtcMicros) -> Window {
    Window::new(sign - DURABLE, (sign + SIGNS).max(start).min(sign + 2 * SIGNS))
}

/// A record that does not read back.
pub(super) struct Doubt {
    pub(super) stream: StreamId,
    pub(super) window: Window,
    pub(super) volume: String,
    pub(super) segment: u32,
    /// Whether it is known to be damaged, and not when: the window is longer than it was.
    pub(super) damaged: bool,
}

impl Shared {
    /// A volume's leftovers are looked after. When all are, it is known when the earlier run ended: from its last sign of life to
    /// our start, the node was not running.
    pub(super) fn recovered(&self) {
        if self.is_recovering() || self.restart_noted.swap(true, Ordering::AcqRel) {
            return;
        }
        // Also for earlier starts, where a crash came before it was said.
        let ended = lock(&self.ended).clone();
        self.settle_doubts();
        let signs = self.ledger.signs();
        for (start, sign) in &signs {
            self.ledger.ended(end_of(*sign, *start));
        }
        for start in self.ledger.starts() {
            let alive = self.alive.filter(|alive| start == self.started_at && *alive <= start);
            let alive = alive.max(ended.get(&start).copied());
            self.ledger.restarted(Window::new(alive.unwrap_or(start), start));
        }
        for (start, sign) in signs {
            self.explain_end(end_of(sign, start));
        }
    }

    /// A record that does not read back although the node went on for long after it was written had been durable, or else was written
    /// elsewhere: where nothing else says what became of it, it is damaged.
    pub(super) fn settle_doubts(&self) {
        let doubts = std::mem::take(&mut *lock(&self.doubts));
        let long_ago =
            |doubt: &Doubt| doubt.damaged || self.ledger.last_sign().is_some_and(|sign| doubt.window.to + DURABLE <= sign);
        for doubt in doubts.into_iter().filter(long_ago) {
            let known = |state: &IntervalState| match state {
                IntervalState::Recorded | IntervalState::Partial { .. } => true,
                IntervalState::Gap { cause, .. } => {
                    use GapCause::{Damaged, Disk, Erased, Expired, OurQueue, Restart};
                    matches!(cause, Disk | OurQueue | Restart | Expired | Erased | Damaged)
                }
            };
            let tiles = self.tiles(doubt.stream, doubt.window);
            if !doubt.damaged && tiles.iter().all(|tile| known(&tile.state)) {
                continue;
            }
            if let Some(volume) = self.volumes.all().iter().find(|volume| volume.name == doubt.volume) {
                lock(&volume.stats).damaged += 1;
            }
            tracing::error!(volume = doubt.volume, segment = doubt.segment, stream = %doubt.stream, "stored footage is damaged");
            let span = [doubt.window.from, doubt.window.to];
            let body = json!({ "volume": doubt.volume, "segment": doubt.segment, "stream": doubt.stream, "window_us": span });
            self.ledger.note("footage.damaged", body);
            if !doubt.damaged {
                self.ledger.lose(doubt.stream, doubt.window, GapCause::Damaged, 0);
                continue;
            }
            for hole in tiles {
                if matches!(hole.state, IntervalState::Gap { cause: GapCause::Unexplained, .. }) {
                    self.ledger.lose(doubt.stream, hole.window, GapCause::Damaged, 0);
                }
            }
        }
    }

    /// The tiling of a stream's time, as far as this node's disks and ledger tell. That a run ended about then explains no damage.
    fn tiles(&self, stream: StreamId, window: Window) -> Vec<Interval> {
        let recorded = self.catalogue.read().get(&stream).map(|index| index.recorded_around(window).to_vec()).unwrap_or_default();
        let now = self.world.now().max(window.to);
        let tile = |story: &_, restarts: &_| {
            ledger::tile(&Facts { window, recorded: &recorded, story, restarts, ends: &[], now, waiting: None })
        };
        self.ledger.with(stream, tile)
    }

    /// Where the clock of a run had been set, it ended at a time of which there may be other footage: holes then that nothing else
    /// explains are the end of this run, its last seconds that were not durable.
    fn explain_end(&self, end: Window) {
        let last = |index: &StreamIndex| index.recorded_around(Window::new(end.to, UtcMicros::MAX)).last().map(|span| span.to);
        let mut streams: Vec<_> = self.catalogue.read().iter().map(|(stream, index)| (*stream, last(index))).collect();
        streams.sort_unstable();
        for (stream, last) in streams {
            // A hole that begins there goes on to the older footage behind it, however far that is.
            let window = Window::new(end.from, end.to.max(last.unwrap_or(end.to)));
            for hole in self.tiles(stream, window).into_iter().take_while(|hole| hole.window.from < end.to) {
                if matches!(hole.state, IntervalState::Gap { cause: GapCause::Unexplained, .. }) {
                    self.ledger.lose(stream, hole.window, GapCause::Restart, 0);
                }
            }
        }
    }

    /// Takes in a segment of an earlier run.
    pub(super) fn inherit(&self, stream: StreamId, meta: SegmentMeta) {
        self.note_ended(&meta);
        self.catalogue.insert(stream, meta);
    }

    /// The same of all that a volume's checkpoint tells of a stream.
    pub(super) fn inherit_all(&self, stream: StreamId, volume: u16, metas: Vec<SegmentMeta>) {
        metas.iter().for_each(|meta| self.note_ended(meta));
        self.catalogue.insert_all(stream, volume, metas);
    }

    fn note_ended(&self, meta: &SegmentMeta) {
        let mut ended = lock(&self.ended);
        for start in self.ledger.starts() {
            if let Some(end) = meta.spans().iter().map(|span| span.to).filter(|end| *end <= start).max() {
                let last = ended.entry(start).or_insert(end);
                *last = end.max(*last);
            }
        }
    }
}
