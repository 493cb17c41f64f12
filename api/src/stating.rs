//! A room states its days, and every node reads what was stated: the clock and the turns of [`index::reports`], which has neither.
//!
//! A day is looked at soon after its midnight, and all days that may still change are looked at once an hour: what an hour costs is a few
//! milliseconds of one thread beside recording (R4).

use crate::{
    days,
    node::{Node, Shared},
};
use index::{
    footage::Store,
    journal::JournalError,
    model::{CameraId, UtcMicros, Window},
    reports::{Day, FOLLOWED, Reports, figures_of, main_streams},
};
use std::time::{Duration, Instant};

/// How often what is new in the journals is read.
const READ_EVERY: Duration = Duration::from_secs(5);
/// How long after its midnight a day is stated: what is recorded of its last minute is in the ledger then.
pub(crate) const GRACE: Duration = Duration::from_secs(600);
/// How often days are looked at again.
const STATE_EVERY: Duration = Duration::from_secs(3600);
/// How often what is known is kept.
const KEEP_EVERY: Duration = Duration::from_secs(900);

/// Reads on, and states what is to be stated, until it is aborted.
pub(crate) async fn follow(node: Shared) {
    let mut turns = tokio::time::interval(READ_EVERY);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut stated, mut kept, mut failing) = (None, Instant::now(), false);
    loop {
        turns.tick().await;
        let today = day_of(&node, UtcMicros::now() - GRACE);
        let due = node.config.tier.records()
            && node.store.is_recovered()
            && stated.is_none_or(|(day, at): (Option<Day>, Instant)| day != today || at.elapsed() >= STATE_EVERY);
        let keep = kept.elapsed() >= KEEP_EVERY;
        let done = node.blocking(move |node| {
            let read = if due { state(node, UtcMicros::now()) } else { node.reports.catch_up() };
            if keep {
                self::keep(&node.reports);
            }
            read
        });
        match done.await {
            Ok(Ok(())) => {
                failing = false;
                stated = if due { Some((today, Instant::now())) } else { stated };
                kept = if keep { Instant::now() } else { kept };
            }
            Ok(Err(JournalError::Closed)) => return,
            Ok(Err(error)) if !std::mem::replace(&mut failing, true) => {
                tracing::error!(%error, "a journal does not read back or does not take records: reports lack what is in it until it does");
            }
            Ok(Err(_)) => {}
            Err(_) => {
                tracing::error!(
                    "reports are made no more until the node is started anew; the journals have what they are made of"
                );
                return;
            }
        }
    }
}

/// States the days that are over and not stated, or not as they are known now.
fn state(node: &Node, now: UtcMicros) -> Result<(), JournalError> {
    let over = now - GRACE;
    // The first of these is cut off where the window begins.
    let days = days::of(Window::new(over - FOLLOWED, over), &node.config.zone).unwrap_or_default();
    let days: Vec<(Day, Window)> = days.into_iter().skip(1).map(|(day, window)| (Day(day), window)).collect();
    // The day that is under way ends now, and so is not over.
    let days: Vec<(Day, Window)> = days.into_iter().filter(|(_, window)| window.to < over).collect();
    let streams = main_streams(&node.store, cameras(node));
    let stated = node.reports.state(&days, &node.config.zone_name, now, |window| figures_of(&node.store, &streams, window))?;
    if stated > 0 {
        tracing::info!(days = stated, "days stated for reports");
    }
    Ok(())
}

fn cameras(node: &Node) -> impl Iterator<Item = CameraId> {
    let present = node.catalogue.list().into_iter().map(|entry| entry.camera.id);
    present.chain(node.catalogue.removed().into_iter().map(|gone| gone.camera.id))
}

/// A day that is not stated, as far as it has come; `None` in a node that does not record.
pub(crate) fn live(node: &Node, day: Day, window: Window) -> Option<index::reports::Statement> {
    let store: &Store = &node.store;
    let figures = || figures_of(store, &main_streams(store, cameras(node)), window);
    node.config.tier.records().then(|| node.reports.worked_out(day, window, figures()))
}

/// The day of an instant, where the node stands.
fn day_of(node: &Node, at: UtcMicros) -> Option<Day> {
    let window = Window::new(at, at + Duration::from_micros(1));
    days::of(window, &node.config.zone)?.first().map(|(day, _)| Day(*day))
}

/// Keeps what is known, for the next start.
pub(crate) fn keep(reports: &Reports) {
    if let Err(error) = reports.keep() {
        tracing::warn!(%error, "what reports are made of could not be kept; the next start reads more of the journals");
    }
}
