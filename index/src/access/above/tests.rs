use super::*;
use crate::access::Category;
use crate::model::CameraAddress;

/// 2027-01-15T08:00:00Z: 16:00 on the district's clocks.
const NOW: UtcMicros = UtcMicros::from_micros(1_800_000_000_000_000);
const HOUR: i64 = 3600 * MICROS;

fn camera(number: u32, place: &str) -> Camera {
    let address = CameraAddress::new("rtsp://192.0.2.7/main").expect("an address");
    Camera { place: vec![place.to_owned()], ..Camera::new(CameraId::new(number).expect("a number"), "南门岗亭", address) }
}

fn asker(tier: Tier) -> Asker {
    Asker {
        node: NodeId::from_bytes([tier as u8; 16]),
        node_name: format!("{tier}"),
        tier,
        person: "wang".into(),
        unit: "东苑街道".into(),
        purpose: Purpose::new(Category::Duty, "夜间巡查", None).expect("a purpose"),
    }
}

fn grant(actions: &[Action]) -> AboveGrant {
    AboveGrant {
        number: 1,
        node: asker(Tier::Subdistrict).node,
        node_name: "东苑街道分中心".into(),
        person: None,
        actions: actions.iter().copied().collect(),
        scopes: vec![Scope::Place(vec!["东苑".into()])],
        from: NOW,
        until: UtcMicros::from_micros(NOW.as_micros() + HOUR),
        reason: "案件 2027-15".into(),
        approver: "li".into(),
        at: NOW,
        revoked: None,
    }
}

/// The answer in a word: by what it is allowed and for how many minutes, or the code of the refusal.
fn answer(policy: &AbovePolicy, grants: &[AboveGrant], asker: &Asker, action: Action, camera: &Camera, now: UtcMicros) -> String {
    match may(policy, grants, asker, action, &[camera], now) {
        Ok(Allowed { until, by, .. }) => {
            format!("{by:?} {}", (until.as_micros() - now.as_micros()) / (60 * MICROS))
        }
        Err(no) => no.code().to_owned(),
    }
}

#[test]
fn three_tiers_of_askers_by_three_of_policies_by_what_they_ask_for() {
    let shut = AbovePolicy { actions: BTreeSet::new(), ..AbovePolicy::default() };
    let places = AbovePolicy { places: vec![vec!["西苑".into()]], ..AbovePolicy::default() };
    let open = AbovePolicy::default();
    let here = camera(7, "东苑");
    let asked = [Action::Live, Action::Playback, Action::Still, Action::Export];
    for tier in [Tier::Room, Tier::Subdistrict, Tier::District] {
        let asker = asker(tier);
        for (policy, expected) in [
            (&open, ["Policy 120", "Policy 120", "Policy 120", "room_policy_action"]),
            (&places, ["room_policy_place", "room_policy_place", "room_policy_place", "room_policy_action"]),
            (&shut, ["room_policy_action"; 4]),
        ] {
            let got = asked.map(|action| answer(policy, &[], &asker, action, &here, NOW));
            let expected = if tier.records() { ["room_not_above"; 4] } else { expected };
            assert_eq!(got, expected, "{tier} {policy:?}");
        }
    }
    assert_eq!(answer(&open, &[], &asker(Tier::District), Action::ChangeCameras, &here, NOW), "room_never");
    assert!(matches!(may(&open, &[], &asker(Tier::District), Action::Live, &[], NOW), Err(RoomDenied::NoCamera)));
}

#[test]
fn a_grant_opens_what_the_policy_does_not_to_whom_it_names_where_it_says_and_until_it_ends() {
    let (policy, sub) = (AbovePolicy::default(), asker(Tier::Subdistrict));
    let here = camera(7, "东苑");
    let exports = |grants: &[AboveGrant], asker: &Asker, camera: &Camera, minutes: i64| {
        let now = UtcMicros::from_micros(NOW.as_micros() + minutes * 60 * MICROS);
        answer(&policy, grants, asker, Action::Export, camera, now)
    };
    let given = [grant(&[Action::Export])];
    assert_eq!(exports(&given, &sub, &here, 0), "Grant(1) 60");
    assert_eq!(exports(&given, &sub, &here, 59), "Grant(1) 1");
    assert_eq!(exports(&given, &sub, &here, 60), "room_grant_over");
    assert_eq!(exports(&given, &sub, &here, -1), "room_policy_action", "it has not begun");
    assert_eq!(exports(&given, &sub, &camera(8, "西苑"), 0), "room_policy_action");
    assert_eq!(exports(&given, &asker(Tier::District), &here, 0), "room_policy_action", "another node's people");
    let named = [AboveGrant { person: Some("zhao".into()), ..grant(&[Action::Export]) }];
    assert_eq!(exports(&named, &sub, &here, 0), "room_policy_action");
    let back = [AboveGrant { revoked: Some(("li".into(), NOW)), ..grant(&[Action::Export]) }];
    assert_eq!(exports(&back, &sub, &here, 1), "room_grant_revoked");
    let again = [back[0].clone(), AboveGrant { number: 2, ..grant(&[Action::Export]) }];
    assert_eq!(exports(&again, &sub, &here, 1), "Grant(2) 59");
}

#[test]
fn of_several_cameras_the_first_end_holds_and_one_no_is_no() {
    let policy = AbovePolicy { places: vec![vec!["西苑".into()]], ..AbovePolicy::default() };
    let (here, there) = (camera(7, "东苑"), camera(8, "西苑"));
    let sub = asker(Tier::Subdistrict);
    let both = may(&policy, &[grant(&[Action::Live])], &sub, Action::Live, &[&there, &here], NOW).expect("both");
    assert_eq!((both.by, both.until.as_micros() - NOW.as_micros()), (AllowedBy::Grant(1), HOUR));
    assert_eq!(both.grant.cameras(), [there.id, here.id]);
    assert_eq!(both.grant.person().name, "wang");
    assert_eq!(both.grant.asked_from().map(|from| from.node), Some(sub.node));
    assert_eq!(may(&policy, &[], &sub, Action::Live, &[&there, &here], NOW).err(), Some(RoomDenied::Place(here.id)));
}

#[test]
fn hours_pass_midnight_and_end_what_they_allow() {
    let at = |hour: i64| UtcMicros::from_micros(NOW.as_micros() + (hour - 16) * HOUR);
    let night = AbovePolicy { hours: Some((22, 6)), ..AbovePolicy::default() };
    let asked = |hour| answer(&night, &[], &asker(Tier::District), Action::Live, &camera(7, "东苑"), at(hour));
    let got = [21, 22, 23, 24, 29, 30].map(asked);
    assert_eq!(got, ["room_policy_hours", "Policy 120", "Policy 120", "Policy 120", "Policy 60", "room_policy_hours"]);
}

#[test]
fn every_no_says_that_the_room_said_it_in_both_languages() {
    let one = CameraId::new(7).expect("a number");
    let all = [
        RoomDenied::NeverAsked(Action::ChangePeople),
        RoomDenied::NotAbove,
        RoomDenied::Action(Action::Export),
        RoomDenied::Place(one),
        RoomDenied::Hours { from: 8, to: 18 },
        RoomDenied::GrantOver,
        RoomDenied::GrantRevoked,
        RoomDenied::NoCamera,
    ];
    let codes: BTreeSet<&str> = all.iter().map(|no| no.code()).collect();
    assert_eq!(codes.len(), all.len());
    assert!(all.iter().all(|no| no.words().0.starts_with("监控室拒绝") && no.words().1.starts_with("The room said no")));
}
