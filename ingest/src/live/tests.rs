//! What viewers see of a stream, in small scripts of units.

use super::{channel::GOP_BYTES_LIMIT, queue::QUEUE_UNITS, *};
use crate::testing::{self, Script};

fn hub() -> (LiveHub, Arc<Channel>) {
    let hub = LiveHub::default();
    let channel = hub.add(testing::stream(), Arc::default());
    channel.tracks(&testing::tracks());
    (hub, channel)
}

/// What waits for a viewer, in words: `T` tracks, `K` key unit, `p` other unit, `-` gap, `.` the end.
fn seen(viewer: &mut LiveSubscription) -> String {
    let mut text = String::new();
    while let Some(item) = viewer.try_next() {
        text.push(match item {
            LiveItem::Tracks(_) => 'T',
            LiveItem::Unit(unit) if unit.key => 'K',
            LiveItem::Unit(_) => 'p',
            LiveItem::Gap => '-',
            LiveItem::Ended => {
                text.push('.');
                break;
            }
        });
    }
    text
}

fn check(tier: LiveTier, before: &str, after: &str, expected: &str) {
    let (hub, channel) = hub();
    let mut script = Script::default();
    channel.publish(&script.units(before));
    let mut viewer = hub.open(testing::stream(), tier).expect("configured");
    channel.publish(&script.units(after));
    assert_eq!(seen(&mut viewer), expected, "{tier:?}: {before} | {after}");
}

#[test]
fn a_new_viewer_starts_with_the_cached_gop() {
    check(LiveTier::Full, "KppKpp", "pp", "TKpppp");
    check(LiveTier::Full, "", "ppKp", "TKp");
    check(LiveTier::Key, "KppKpp", "ppKpp", "TKK");
}

#[test]
fn of_a_stream_that_nobody_watches_the_key_unit_and_a_second_are_kept() {
    let (hub, channel) = hub();
    let second = "p".repeat(25);
    let mut script = Script::default();
    channel.publish(&script.units(&format!("K{second}")));
    assert_eq!(lock(&channel.state).gop.len(), 26);
    channel.publish(&script.units("p"));
    assert_eq!(lock(&channel.state).gop.len(), 1, "only the key unit");
    let mut viewer = hub.open(testing::stream(), LiveTier::Full).expect("configured");
    channel.publish(&script.units(&format!("ppK{second}pppp")));
    assert_eq!(seen(&mut viewer), format!("TKK{second}pppp"), "a picture at once, movement from the next key unit");
    let mut second_viewer = hub.open(testing::stream(), LiveTier::Full).expect("configured");
    assert_eq!(seen(&mut second_viewer), format!("TK{second}pppp"), "watched, a stream keeps its whole GOP");
}

#[test]
fn a_slow_viewer_skips_to_the_next_key_unit_and_is_told() {
    let (hub, channel) = hub();
    let mut script = Script::default();
    let mut slow = hub.open(testing::stream(), LiveTier::Full).expect("configured");
    let mut quick = hub.open(testing::stream(), LiveTier::Full).expect("configured");
    let mut quick_units = 0;
    for _ in 0..QUEUE_UNITS / 10 + 2 {
        channel.publish(&script.units("Kppppppppp"));
        quick_units += seen(&mut quick).matches(['K', 'p']).count();
    }
    assert_eq!(quick_units, QUEUE_UNITS + 20, "a slow viewer costs the others nothing");
    assert!(seen(&mut slow).starts_with("T-K"), "the slow one goes on at a key unit");
    assert_eq!(hub.viewers(testing::stream()).1, 1);
}

#[test]
fn a_break_is_told_once_and_ends_with_a_key_unit() {
    let (hub, channel) = hub();
    let mut script = Script::default();
    channel.publish(&script.units("Kp"));
    let mut viewer = hub.open(testing::stream(), LiveTier::Full).expect("configured");
    channel.broken();
    channel.broken();
    channel.publish(&script.units("ppKp"));
    assert_eq!(seen(&mut viewer), "TKp-Kp");
}

#[test]
fn a_gop_too_long_to_cache_leaves_its_key_unit() {
    let (hub, channel) = hub();
    let mut script = Script { bytes: GOP_BYTES_LIMIT / 4, ..Script::default() };
    channel.publish(&script.units("Kppppp"));
    let mut viewer = hub.open(testing::stream(), LiveTier::Full).expect("configured");
    assert_eq!(seen(&mut viewer), "TK");
    channel.publish(&script.units("pK"));
    assert_eq!(seen(&mut viewer), "K");
}

#[test]
fn a_removed_stream_ends_for_its_viewers() {
    let (hub, _channel) = hub();
    let mut viewer = hub.open(testing::stream(), LiveTier::Full).expect("configured");
    hub.remove(testing::stream());
    assert_eq!(seen(&mut viewer), "T.");
    assert!(matches!(hub.open(testing::stream(), LiveTier::Full), Err(LiveError::Unknown(_))));
}

#[tokio::test]
async fn a_waiting_viewer_is_woken() {
    let (hub, channel) = hub();
    let mut viewer = hub.open(testing::stream(), LiveTier::Full).expect("configured");
    assert!(matches!(viewer.next().await, LiveItem::Tracks(_)));
    let publish = async {
        tokio::task::yield_now().await;
        channel.publish(&Script::default().units("K"));
    };
    let (item, ()) = tokio::join!(viewer.next(), publish);
    assert!(matches!(item, LiveItem::Unit(_)));
    drop(viewer);
    assert_eq!(channel.viewers_nearby.load(std::sync::atomic::Ordering::Relaxed), 0);
}
