//! What goes wrong, and when.

use super::{Plan, node::Node};
use rand::{RngExt, rngs::StdRng};

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Trouble {
    Cut(usize),
    Heal(usize),
    Slow(usize),
    /// Whatever carries the messages forgets all that were under way.
    WipeBroker,
    /// A node stops, and starts again after a while. If the power goes, its disk stops somewhere in the middle of what it does.
    Restart {
        node: Node,
        power_goes: bool,
        dead: bool,
        after_ms: u64,
    },
}

/// Three rooms cut off for long, a sub-district for a while, a line that flaps, two slow ones, restarts all the time, the broker wiped once.
pub(super) fn schedule(dice: &mut StdRng, plan: &Plan) -> Vec<(u64, Trouble)> {
    let rooms = plan.subdistricts * plan.rooms_each;
    let end = plan.secs * 1000;
    let mut all = vec![(end / 2, Trouble::WipeBroker)];
    let mut lines: Vec<usize> = (0..rooms).collect();
    let mut some_room = |dice: &mut StdRng| lines.swap_remove(dice.random_range(0..lines.len()));
    for _ in 0..3 {
        let (line, from) = (some_room(dice), dice.random_range(end / 10..end / 2));
        all.extend([(from, Trouble::Cut(line)), (from + dice.random_range(end / 4..end / 2), Trouble::Heal(line))]);
    }
    for _ in 0..2 {
        all.push((0, Trouble::Slow(some_room(dice))));
    }
    let between = rooms + dice.random_range(0..plan.subdistricts);
    all.extend([(end / 3, Trouble::Cut(between)), (end / 3 + end / 6, Trouble::Heal(between))]);
    let flapping = some_room(dice);
    for from in (end / 5..end).step_by(7000) {
        all.extend([(from, Trouble::Cut(flapping)), (from + 3000, Trouble::Heal(flapping))]);
    }
    let mut at = 3000;
    while at < end {
        // Rooms are the most, but centres are what much hangs on.
        let node = match dice.random_range(0..4) {
            0 => Node::Centre(plan.subdistricts),
            1 => Node::Centre(dice.random_range(0..plan.subdistricts)),
            _ => Node::Room(dice.random_range(0..rooms)),
        };
        let after_ms = dice.random_range(200..6000);
        all.push((at, Trouble::Restart { node, power_goes: dice.random(), dead: dice.random(), after_ms }));
        at += dice.random_range(end / 60..end / 20);
    }
    all
}
