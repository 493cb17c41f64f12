//! An order of erasure, with the power cut at every operation of the disk while it is carried out: after the next start it is carried out
//! to its end, what it was about is gone from the disk, and everything beside it is there.

use super::{
    super::{
        disk::read_vec,
        tests::{draft, stream},
        volume::{segment_name, segment_number},
    },
    *,
};
use crate::{
    access::Extent,
    footage::disk::sim::Fault,
    model::{CameraId, StreamKind},
};

const SECONDS: i64 = 30;

/// Bytes that only this second's media have.
fn canary(second: i64) -> Vec<u8> {
    vec![(second * 5 + 3) as u8; 512]
}

fn begin(site: &Site) -> Node {
    site.start(|_| {})
}

/// Thirty seconds in segments of six, and an order about seconds 8 to 16: parts of one segment, and one whole.
fn record(site: &Site, gate: StreamId) -> (Node, UtcMicros) {
    let mut node = begin(site);
    let first = site.world.now();
    for n in 0..SECONDS {
        let now = site.world.now();
        let mut one = draft(gate, n, 3000, (n / 6) as u32);
        one.units.iter_mut().enumerate().for_each(|(i, unit)| unit.utc = now + Duration::from_millis(200 * i as u64));
        node.commit(vec![one]);
        node.round();
        site.world.advance(Duration::from_secs(1));
        site.journal.settle();
    }
    node.round();
    site.world.advance(Duration::from_secs(120));
    node.round();
    (node, first)
}

fn order(first: UtcMicros) -> Order {
    let second = |n| first + Duration::from_secs(n);
    // A hair inside, so that the fragments at its edges are those of whole seconds.
    let window = Window::new(second(8) + Duration::from_millis(1), second(18) - Duration::from_millis(1));
    Order { cameras: vec![CameraId::new(1).expect("a number")], window, reason: "依法删除".into(), authority: "9号".into() }
}

#[test]
fn an_erasure_cut_by_a_power_failure_at_any_operation_is_carried_out_to_its_end() {
    let gate = stream(1, StreamKind::Main);
    let mut cut = 0;
    for operation in (0..42).step_by(3) {
        let mut site = Site::new(12 << 20, 7 + operation);
        let (mut node, first) = record(&site, gate);
        let asked = node.store.request_erasure(order(first), "wang").expect("asked");
        node.store.approve_erasure(asked.id, "li").expect("a second person");
        site.disk.plan(operation, Fault::Death);
        node.round();
        cut += u32::from(site.disk.is_dead());
        drop(node);
        site.crash();
        let mut node = begin(&site);
        for _ in 0..4 {
            site.world.advance(Duration::from_secs(40));
            node.round();
        }
        let what = format!("cut at operation {operation}");
        assert_eq!(node.store.erasures()[0].state, ErasureState::Done, "{what}");
        let reader = Reader::new(Arc::clone(&node.store.shared), Arc::default(), Extent::recorded([gate], Window::ALL));
        let found = reader.fragments(gate, Window::new(first, first + Duration::from_secs(60)));
        let seconds: Vec<i64> = found.iter().map(|fragment| fragment.window.from.micros_from(first) / 1_000_000).collect();
        let left: Vec<i64> = (0..8).chain(18..SECONDS).collect();
        assert_eq!(seconds, left, "{what}");
        found.iter().for_each(|fragment| drop(reader.fetch(fragment).unwrap_or_else(|error| panic!("{what}: {error}"))));
        let tiles = node.store.coverage(gate, Window::new(first, first + Duration::from_secs(30)), Duration::ZERO);
        let shown: Vec<_> = tiles
            .iter()
            .map(|tile| {
                (tile.window.duration().as_secs(), matches!(tile.state, IntervalState::Gap { cause: GapCause::Erased, .. }))
            })
            .collect();
        assert_eq!(shown, [(8, false), (10, true), (12, false)], "{what}: {tiles:?}");
        for second in 8..18 {
            assert!(!is_on_disk(&site, second), "{what}: second {second} is still on the disk");
        }
    }
    assert!(cut > 4, "{cut} cuts fell into the work");
}

/// Whether media of that second stand in any file.
fn is_on_disk(site: &Site, second: i64) -> bool {
    let canary = canary(second);
    site.disk.list("segs").expect("files").iter().any(|name| {
        let number = segment_number(name).expect("a segment");
        let file = site.disk.open(&segment_name(number)).expect("it opens");
        let bytes = read_vec(&*file, 0, file.len().expect("a length") as usize).expect("it reads");
        bytes.chunks_exact(512).any(|part| part == canary)
    })
}

#[test]
fn what_the_disk_refused_and_has_all_the_same_is_erased_by_order_too() {
    let mut site = Site::new(12 << 20, 7);
    let gate = stream(1, StreamKind::Main);
    let mut node = begin(&site);
    let first = site.world.now();
    for n in 0..12 {
        let mut one = draft(gate, n, 3000, 1);
        let now = site.world.now();
        one.units.iter_mut().enumerate().for_each(|(i, unit)| unit.utc = now + Duration::from_millis(200 * i as u64));
        if n == 11 {
            // The write goes well, the sync behind it does not.
            site.disk.plan(1, Fault::Error);
        }
        node.commit(vec![one]);
        node.round();
        site.world.advance(Duration::from_secs(1));
    }
    let end = first + Duration::from_secs(11);
    assert_eq!(node.store.recorded_to(gate), Some(end), "the last second was refused");
    assert!(is_on_disk(&site, 11), "and is on the disk");
    site.world.advance(Duration::from_secs(120));
    let window = Window::new(end + Duration::from_millis(1), end + Duration::from_millis(900));
    let asked = node.store.request_erasure(Order { window, ..order(first) }, "wang").expect("asked");
    node.store.approve_erasure(asked.id, "li").expect("a second person");
    node.round();
    assert_eq!(node.store.erasures()[0].state, ErasureState::Done);
    assert!(!is_on_disk(&site, 11), "it is erased where nobody was shown it");
    drop(node);
    site.crash();
    let node = begin(&site);
    assert_eq!(node.store.recorded_to(gate), Some(end), "the next start finds what was announced, and no more");
}
