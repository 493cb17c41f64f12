//! The ledger against a model: whatever was recorded, interrupted, marked, shed and restarted, time is tiled, each hole has
//! the cause that was named, and a ledger rebuilt from the journal is the same.

use super::site::*;
use index::footage::IntervalState;
use index::model::{GapCause, UtcMicros};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{collections::BTreeMap, fs, time::Duration};

/// Causes that a supervisor names for a hole.
const CAUSES: [GapCause; 6] = [
    GapCause::CameraUnreachable,
    GapCause::CameraRefused,
    GapCause::CameraSilent,
    GapCause::CameraFault,
    GapCause::Paused,
    GapCause::NotConfigured,
];

/// What must be found of each second.
type Model = BTreeMap<i64, Option<GapCause>>;

fn check(node: &Node, camera: &index::model::Camera, model: &Model, seconds: i64, case: &str) {
    let tiles = node.store.coverage(main_of(camera), window(0, seconds), Duration::ZERO);
    let mut end = at(0);
    for pair in tiles.windows(2) {
        assert_ne!(pair[0].state, pair[1].state, "{case}: neighbours differ");
    }
    let mut found = Model::new();
    for tile in &tiles {
        assert_eq!(tile.window.from, end, "{case}: no overlap, no hole");
        assert!(!tile.window.is_empty(), "{case}");
        end = tile.window.to;
        let cause = match &tile.state {
            IntervalState::Recorded => None,
            IntervalState::Gap { cause, .. } => Some(*cause),
            IntervalState::Partial { share, .. } => panic!("{case}: nothing was partial, {share}"),
        };
        let second = |t: UtcMicros| t.micros_from(at(0)) / 1_000_000;
        found.extend((second(tile.window.from)..second(tile.window.to)).map(|n| (n, cause)));
    }
    assert_eq!(end, at(seconds), "{case}: all of it is known");
    assert_eq!(&found, model, "{case}");
}

fn live(seed: u64) {
    let dir = directory();
    let gate = camera(1, "东苑社区");
    let mut dice = StdRng::seed_from_u64(seed);
    let mut node = Node::open(dir.path());
    let (mut model, mut second) = (Model::new(), 0);
    for step in 0..12 {
        let length = dice.random_range(1..=20_i64);
        let span = second..second + length;
        second += length;
        if step % 2 == 0 {
            node.record(&gate, span.clone());
            model.extend(span.map(|n| (n, None)));
        } else {
            let cause = CAUSES[dice.random_range(0..CAUSES.len())];
            node.store.mark(main_of(&gate), at(span.start), cause, "");
            // Named again and again while it lasts, as a supervisor does.
            (0..dice.random_range(0..3)).for_each(|_| node.store.mark(main_of(&gate), at(span.start), cause, ""));
            model.extend(span.map(|n| (n, Some(cause))));
        }
        match dice.random_range(0..4) {
            0 => {
                drop(node);
                node = Node::open(dir.path());
            }
            1 => check(&node, &gate, &model, second, &format!("seed {seed}, step {step}")),
            _ => {}
        }
    }
    check(&node, &gate, &model, second, &format!("seed {seed}, at the end"));
    // A last sign of life: without the checkpoint, the node is taken to be down from the last one on.
    node.store.mark(main_of(&gate), at(second), GapCause::Paused, "");
    drop(node);
    fs::remove_file(dir.path().join("state/ledger.json")).expect("it was written");
    let node = Node::open(dir.path());
    check(&node, &gate, &model, second, &format!("seed {seed}, rebuilt"));
}

#[test]
fn every_second_has_its_cause_whatever_happened_and_a_rebuilt_ledger_says_the_same() {
    (0..5).for_each(live);
}
