//! What one channel of the media socket sends next: the sequence, the credit, and when to skip. Pure, so that a slow page
//! is a test.

use super::CREDIT_WINDOW;
use crate::{link::down::Watching, media_frame};
use bytes::Bytes;
use index::{
    access::Permit,
    model::{CameraId, TrackKind, UtcMicros},
};
use ingest::LiveItem;
use tokio_util::sync::CancellationToken;

/// One subscription: its permit lives as long as it does.
pub(super) struct Channel {
    camera: CameraId,
    permit: Permit,
    /// At a centre: what has the stream come from its room.
    watching: Option<Watching>,
    since: UtcMicros,
    ended: CancellationToken,
    flow: Flow,
}

/// Sequence and credit.
#[derive(Default)]
struct Flow {
    next: u32,
    /// The last sequence the page reported drawn; `None` if it never did, and then there is no limit.
    drawn: Option<u32>,
    skipping: bool,
    began: bool,
}

/// What to send.
pub(super) enum Step {
    Nothing,
    Frame(Bytes),
    Gap(Bytes),
    Unit { frame: Bytes, received: UtcMicros, first: bool },
    Ended,
}

impl Channel {
    pub(super) fn new(camera: CameraId, permit: Permit, watching: Option<Watching>) -> Self {
        Self { camera, permit, watching, since: UtcMicros::now(), ended: CancellationToken::new(), flow: Flow::default() }
    }

    /// Whose pictures it carries.
    pub(super) fn camera(&self) -> CameraId {
        self.camera
    }

    /// Cancelled when the channel goes.
    pub(super) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Whether a unit came after the channel was opened: only then does its age say how quick the node is. The cached GOP
    /// is as old as it is.
    pub(super) fn is_fresh(&self, received: UtcMicros) -> bool {
        received > self.since
    }

    /// The page has drawn everything up to `seq`.
    pub(super) fn credit(&mut self, seq: u32) {
        self.flow.drawn = Some(seq);
    }

    /// Turns an item into what is sent for it, and counts the bytes in the access record.
    pub(super) fn step(&mut self, ch: u16, item: LiveItem, now: UtcMicros) -> Step {
        let step = self.flow.step(ch, item, now);
        if let Step::Unit { frame, .. } = &step {
            self.permit.count(frame.len() as u64);
            self.watching.iter().for_each(|watching| watching.count(frame.len() as u64));
        }
        step
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl Flow {
    fn step(&mut self, ch: u16, item: LiveItem, now: UtcMicros) -> Step {
        match item {
            LiveItem::Tracks(tracks) => Step::Frame(media_frame::init(ch, self.take(), &tracks)),
            LiveItem::Gap => self.gap(ch, now),
            LiveItem::Ended => Step::Ended,
            LiveItem::Unit(unit) if unit.track != TrackKind::Video => Step::Nothing,
            LiveItem::Unit(unit) => {
                let behind = self.drawn.is_some_and(|drawn| self.next.wrapping_sub(drawn) > CREDIT_WINDOW);
                if self.skipping && (behind || !unit.key) {
                    return Step::Nothing;
                }
                if behind {
                    self.skipping = true;
                    return self.gap(ch, now);
                }
                self.skipping = false;
                let first = !std::mem::replace(&mut self.began, true);
                Step::Unit { frame: media_frame::unit(ch, self.take(), &unit, now), received: unit.received, first }
            }
        }
    }

    fn gap(&mut self, ch: u16, now: UtcMicros) -> Step {
        Step::Gap(media_frame::gap(ch, self.take(), now))
    }

    fn take(&mut self) -> u32 {
        let seq = self.next;
        self.next = self.next.wrapping_add(1);
        seq
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use index::model::{AccessUnit, MediaTicks};
    use std::sync::Arc;

    fn unit(key: bool) -> LiveItem {
        LiveItem::Unit(Arc::new(AccessUnit {
            track: TrackKind::Video,
            key,
            decode: MediaTicks::default(),
            present: MediaTicks::default(),
            utc: UtcMicros::default(),
            received: UtcMicros::default(),
            rtp: 0,
            data: Bytes::from_static(&[0, 0, 0, 1, 0x65]),
        }))
    }

    fn said(flow: &mut Flow, key: bool) -> char {
        match flow.step(1, unit(key), UtcMicros::default()) {
            Step::Unit { .. } if key => 'K',
            Step::Unit { .. } => 'p',
            Step::Gap(_) => '-',
            _ => '.',
        }
    }

    #[test]
    fn a_page_that_draws_too_slowly_is_skipped_to_the_next_key_unit_after_it_caught_up() {
        let mut flow = Flow { drawn: Some(0), ..Flow::default() };
        assert_eq!(said(&mut flow, true), 'K');
        for _ in 0..CREDIT_WINDOW {
            assert_eq!(said(&mut flow, false), 'p');
        }
        let behind: String = [false, false, true].map(|key| said(&mut flow, key)).iter().collect();
        assert_eq!(behind, "-..", "one gap is told, and no key unit is sent to a page that is still behind");
        flow.drawn = Some(90);
        let caught_up: String = [false, true, false].map(|key| said(&mut flow, key)).iter().collect();
        assert_eq!(caught_up, ".Kp");
    }

    #[test]
    fn a_page_that_reports_no_credit_has_no_limit() {
        let mut flow = Flow::default();
        assert!((0..10 * CREDIT_WINDOW).all(|n| said(&mut flow, n == 0) != '-'));
    }
}
