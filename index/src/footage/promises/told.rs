//! What is done about footage for good is found later by those whom it concerns: its facts in the journal are events.

use super::{
    super::tests::{draft, stream},
    *,
};
use crate::model::{CameraId, StreamKind};
use serde_json::Value;

/// The bodies of all facts of a kind.
fn facts(site: &Site, kind: &str) -> Vec<Value> {
    let all = site.journal.after(0, usize::MAX);
    all.into_iter().filter(|(_, other, _)| other == kind).map(|(.., body)| body).collect()
}

fn begin(site: &Site) -> Node {
    let minute = Duration::from_secs(60);
    site.start(|setup| setup.terms = RetentionTerms { standard: minute, key_target: minute })
}

#[test]
fn what_is_deleted_at_the_end_of_its_term_is_one_event_a_stream_and_day_whatever_happens_in_between() {
    let mut site = Site::new(12 << 20, 7);
    let gate = stream(1, StreamKind::Main);
    let mut node = begin(&site);
    for n in 0..10 {
        let now = site.world.now();
        // A segment every two seconds.
        let mut one = draft(gate, n, 3000, (n / 2) as u32);
        one.units.iter_mut().enumerate().for_each(|(i, unit)| unit.utc = now + Duration::from_millis(200 * i as u64));
        node.commit(vec![one]);
        node.round();
        site.world.advance(Duration::from_secs(1));
    }
    site.world.advance(Duration::from_secs(90));
    node.round();
    site.journal.settle();
    let gone = facts(&site, "ledger.expired").len();
    assert!(gone >= 4, "{gone} segments went");
    for hours in [23, 2, 30] {
        drop(node);
        site.crash();
        node = begin(&site);
        site.world.advance(Duration::from_secs(hours * 3600));
        node.round();
        site.journal.settle();
        let told = facts(&site, "footage.expired");
        assert_eq!(told.len(), usize::from(hours != 23), "{told:?}");
        if let Some(event) = told.first() {
            assert_eq!(event["camera"], 1);
            assert_eq!(event["segments"], facts(&site, "ledger.expired").len());
            assert_eq!(event["rule"], "standard, 0 days");
        }
    }
}

#[test]
fn a_hold_or_an_order_about_one_camera_is_an_event_about_that_camera() {
    let site = Site::new(12 << 20, 7);
    let node = begin(&site);
    let now = site.world.now();
    let order = |cameras: &[u32]| Order {
        cameras: cameras.iter().map(|camera| CameraId::new(*camera).expect("a number")).collect(),
        window: Window::new(now - Duration::from_secs(60), now),
        reason: "调查".into(),
        authority: "9号".into(),
    };
    let later = now + Duration::from_secs(3600);
    let hold = node.store.request_hold(order(&[2]), later, "wang").expect("asked");
    node.store.approve_hold(hold.id, "li").expect("a second person");
    let erasure = node.store.request_erasure(order(&[3, 4]), "wang").expect("asked");
    node.store.decline_erasure(erasure.id, "li").expect("declined");
    for kind in ["hold.requested", "hold.approved"] {
        assert_eq!(facts(&site, kind)[0]["camera"], 2, "{kind}");
    }
    for kind in ["erasure.requested", "erasure.declined"] {
        assert!(
            facts(&site, kind)[0].get("camera").is_none(),
            "{kind}: those who may see one of them need not know of the other"
        );
    }
}
