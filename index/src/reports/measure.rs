//! A day's figures from the ledger and what is kept: the one place where they are worked out. Reads memory only, one stream at a time.

use super::figures::Figures;
use crate::{
    footage::{Store, StreamRetention, Tally},
    model::{GapCause, StreamId, StreamKind, Window},
};
use std::time::Duration;

/// Causes that say that the camera was not there, or sent nothing that can be recorded.
const CAMERA_AWAY: [GapCause; 7] = [
    GapCause::CameraUnreachable,
    GapCause::CameraRefused,
    GapCause::CameraSilent,
    GapCause::CameraFault,
    GapCause::NoNetwork,
    GapCause::WrongPassword,
    GapCause::UnsupportedCodec,
];
/// Recordings may begin so much later than promised before the camera counts as kept too short: a day is what people count in.
const SHORT: Duration = Duration::from_secs(86_400);

/// The main streams that a day's figures are about: those with footage, and those of `cameras`. By number, each once.
#[must_use]
pub fn main_streams(store: &Store, cameras: impl IntoIterator<Item = crate::model::CameraId>) -> Vec<StreamId> {
    let kept = store.streams().into_iter().map(|summary| summary.stream).filter(|stream| stream.kind == StreamKind::Main);
    let mut streams: Vec<StreamId> =
        kept.chain(cameras.into_iter().map(|camera| StreamId::new(camera, StreamKind::Main))).collect();
    streams.sort_unstable();
    streams.dedup();
    streams
}

/// The figures of these streams in a window of the past; without those of pictures and incidents, which are the journal's.
#[must_use]
pub fn figures_of(store: &Store, streams: &[StreamId], window: Window) -> Figures {
    let mut figures = Figures::default();
    let kept = store.retention();
    for stream in streams {
        let Some(sum) = store.tally(*stream, &[window]).pop() else { continue };
        if sum.expected().is_zero() {
            continue;
        }
        add_ledger(&mut figures, &sum);
        let Ok(known) = kept.streams.binary_search_by_key(stream, |kept| kept.stream) else { continue };
        let kept = &kept.streams[known];
        let begin = window.to - kept.term;
        let there = store.tally(*stream, &[Window::new(begin, window.to)]).pop().unwrap_or_default();
        add_retention(&mut figures, kept, &there, window);
    }
    figures
}

fn add_ledger(figures: &mut Figures, sum: &Tally) {
    let not_watched = [GapCause::Paused, GapCause::Restart].map(|cause| sum.gap(cause)).into_iter().sum();
    let watched = sum.expected().saturating_sub(not_watched);
    let away = CAMERA_AWAY.map(|cause| sum.gap(cause)).into_iter().sum();
    figures.cameras += 1;
    figures.expected_us += micros(sum.expected());
    figures.recorded_us += micros(sum.recorded);
    figures.watched_us += micros(watched);
    figures.online_us += micros(watched.saturating_sub(away));
    let outside = [GapCause::NotConfigured, GapCause::Expired, GapCause::Erased];
    for (cause, missing) in sum.gaps().filter(|(cause, _)| !outside.contains(cause)) {
        *figures.gaps_us.entry(cause.word().to_owned()).or_default() += micros(missing);
    }
}

/// `there` is the sum of the stream's term up to the window's end: how much of it the camera existed.
fn add_retention(figures: &mut Figures, kept: &StreamRetention, there: &Tally, window: Window) {
    let promised = there.known.saturating_sub(there.gap(GapCause::NotConfigured)).min(kept.term);
    let reaches = window.to.since(kept.oldest).min(promised);
    figures.promised_us += micros(promised);
    figures.kept_us += micros(reaches);
    figures.short += u64::from(promised.saturating_sub(reaches) > SHORT);
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
