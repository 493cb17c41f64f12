//! A tiling at the resolution of a screen: what is too short to be drawn is merged with its neighbours, and a gap never vanishes. Pure.

use crate::{
    footage::types::{Interval, IntervalState},
    model::Window,
};
use std::time::Duration;

/// Merges neighbours that are shorter than `resolution` until they are not: for drawing. Long intervals stay as they are, and a gap
/// never vanishes: what holds both is partial, with the cause of its longest gap.
pub(in crate::footage) fn merge(tiles: Vec<Interval>, resolution: Duration) -> Vec<Interval> {
    if resolution.is_zero() {
        return tiles;
    }
    let mut merged = Vec::new();
    let mut group: Vec<Interval> = Vec::new();
    for tile in tiles {
        let long = tile.window.duration() >= resolution;
        if !long {
            group.push(tile);
            let whole = group.iter().map(|tile| tile.window.duration()).sum::<Duration>();
            if whole >= resolution {
                merged.extend(blend(&group));
                group.clear();
            }
        } else {
            merged.extend(blend(&group));
            group.clear();
            merged.push(tile);
        }
    }
    merged.extend(blend(&group));
    merged
}

/// One interval for several that follow each other. `None` for none.
fn blend(group: &[Interval]) -> Option<Interval> {
    let (first, last) = (group.first()?, group.last()?);
    if group.len() == 1 {
        return Some(first.clone());
    }
    let window = Window::new(first.window.from, last.window.to);
    let mut recorded = Duration::ZERO;
    let mut units = 0;
    let mut worst: Option<(Duration, &Interval)> = None;
    for tile in group {
        let long = tile.window.duration();
        let missing = match &tile.state {
            IntervalState::Recorded => {
                recorded += long;
                continue;
            }
            IntervalState::Gap { .. } => long,
            IntervalState::Partial { share, units: lost, .. } => {
                recorded += long.mul_f32(share.clamp(0.0, 1.0));
                units += lost;
                long.mul_f32(1.0 - share.clamp(0.0, 1.0))
            }
        };
        if worst.is_none_or(|(longest, _)| missing > longest) {
            worst = Some((missing, tile));
        }
    }
    let state = match worst.map(|(_, tile)| &tile.state) {
        None | Some(IntervalState::Recorded) => IntervalState::Recorded,
        Some(IntervalState::Gap { cause, detail }) if recorded.is_zero() => {
            IntervalState::Gap { cause: *cause, detail: detail.clone() }
        }
        Some(IntervalState::Gap { cause, .. } | IntervalState::Partial { cause, .. }) => {
            let share = recorded.as_secs_f32() / window.duration().as_secs_f32();
            IntervalState::Partial { cause: *cause, share, units }
        }
    };
    Some(Interval { window, state })
}
