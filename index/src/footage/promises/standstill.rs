//! A process that is stopped for a while, as a debugger does it, or a machine that is suspended: nobody tells it, and when it goes on,
//! everything around it looks as if it had stood still.

use super::{
    super::tests::{draft, stream},
    *,
};
use crate::model::StreamKind;
use warden::Warden;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_process_that_was_stopped_names_itself_as_the_cause_of_what_it_missed_and_blames_no_disk() {
    let site = Site::new(12 << 20, 1);
    let mut node = site.start(|_| {});
    let mut warden = Warden::new(Arc::clone(&node.store.shared));
    let (gate, first) = (stream(1, StreamKind::Main), site.world.now());
    let film = |node: &mut Node, warden: &mut Warden, n: i64| {
        let mut one = draft(gate, n, 60, 1);
        let from = site.world.now();
        one.units.iter_mut().enumerate().for_each(|(i, unit)| unit.utc = from + Duration::from_millis(200 * i as u64));
        site.world.advance(SECOND);
        node.commit(vec![one]);
        warden.round();
    };
    (0..5).for_each(|n| film(&mut node, &mut warden, n));
    // In the middle of a commit.
    let volume = Arc::clone(&node.keeper.volume);
    lock(&volume.queue).writing_since = Some(node.world.monotonic());
    site.world.advance(8 * SECOND);
    warden.round();
    assert_eq!(volume.state(), VolumeState::Ok, "a disk that nobody asked anything stood still with the rest");
    lock(&volume.queue).writing_since = None;
    (5..10).for_each(|n| film(&mut node, &mut warden, n));
    let tiles = node.store.coverage(gate, Window::new(first, first + 18 * SECOND), Duration::ZERO);
    let shown: Vec<_> = tiles
        .iter()
        .map(|tile| match tile.state {
            IntervalState::Gap { cause, .. } => (Some(cause), tile.window.duration().as_secs()),
            _ => (None, tile.window.duration().as_secs()),
        })
        .collect();
    assert_eq!(shown, [(None, 5), (Some(GapCause::Restart), 8), (None, 5)], "{tiles:?}");
    // A busy machine is not a stopped one.
    site.world.advance(3 * SECOND);
    warden.round();
    let (_, restarts) = node.store.shared.ledger.with(gate, |story, restarts| (story.clone(), restarts.to_vec()));
    assert_eq!(restarts.len(), 1, "{restarts:?}");
}
