//! Three tiers in one process, on simulated clocks, lines and disks, from a seed.

mod reports;
mod simulation;

use simulation::{Found, Plan, incidents, run};

/// Lives through a plan and holds what must hold in every one. `HAOHE_SEED` replays a seed.
fn check(plan: Plan) -> Found {
    let seed = std::env::var("HAOHE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(plan.seed);
    let plan = Plan { seed, ..plan };
    println!("seed {seed}: HAOHE_SEED={seed} cargo test -p tests --test tiers");
    let found = run(plan);
    println!("{found:?}");
    assert!(found.quiet_after_s.is_some(), "seed {seed}: not everything arrived: {found:?}");
    let wrong = [found.lost, found.doubled, found.out_of_order, found.differing, found.states_differ, found.untrue];
    assert_eq!(wrong, [0; 6], "seed {seed}: {found:?}");
    assert_eq!(found.missing_named, found.missing, "seed {seed}: {found:?}");
    found
}

const DISTRICT: Plan =
    Plan { seed: 1, subdistricts: 9, rooms_each: 5, cameras_each: 290, events_per_s: 300, secs: 150, trouble: true };

#[test]
fn a_district_of_45_rooms_with_290_cameras_each_has_every_event_once_and_in_order_whatever_fails_between() {
    let found = check(DISTRICT);
    assert!(found.acknowledged > 20_000 && found.restarts > 20 && found.missing > 10, "{found:?}");
}

#[test]
fn small_districts_of_many_seeds_lose_double_and_exchange_nothing() {
    let mut restarts = 0;
    for seed in 100..130 {
        let plan = Plan { seed, subdistricts: 2, rooms_each: 4, cameras_each: 5, events_per_s: 40, secs: 150, trouble: true };
        restarts += check(plan).restarts;
    }
    assert!(restarts > 500, "{restarts}");
}

#[test]
fn without_trouble_everything_is_in_the_district_seconds_after_it_happened() {
    let found = check(Plan { trouble: false, secs: 20, ..DISTRICT });
    assert_eq!((found.restarts, found.missing), (0, 0));
    assert!(found.quiet_after_s <= Some(3), "{found:?}");
}

#[test]
fn the_same_seed_is_the_same_life() {
    let plan = Plan { seed: 5, subdistricts: 2, rooms_each: 3, cameras_each: 5, events_per_s: 30, secs: 60, trouble: true };
    assert_eq!(check(plan), check(plan));
}

/// Lives through incidents in three tiers and holds what must hold in every life.
fn check_incidents(plan: incidents::Plan) -> incidents::Found {
    let seed = std::env::var("HAOHE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(plan.seed);
    let plan = incidents::Plan { seed, ..plan };
    println!("seed {seed}: HAOHE_SEED={seed} cargo test -p tests --test tiers");
    let found = incidents::run(plan);
    println!("{found:?}");
    assert!(found.quiet_after_s.is_some(), "seed {seed}: the tiers never agree: {found:?}");
    let wrong = [found.escalated_twice, found.late, found.lost_moves, found.disagreements];
    assert_eq!(wrong, [0; 4], "seed {seed}: {found:?}");
    found
}

#[test]
fn incidents_escalate_once_and_in_time_and_are_the_same_in_all_tiers_whatever_fails_between() {
    let (mut escalated, mut clashes, mut restarts) = (0, 0, 0);
    for seed in 1..=6 {
        let plan = incidents::Plan { seed, subdistricts: 2, rooms_each: 2, incidents: 120, secs: 1200, trouble: true };
        let found = check_incidents(plan);
        assert!(found.moves > 150, "{found:?}");
        (escalated, clashes, restarts) = (escalated + found.escalated, clashes + found.clashes, restarts + found.restarts);
    }
    assert!(escalated > 100 && clashes > 10 && restarts > 50, "{escalated} {clashes} {restarts}");
}

#[test]
fn incidents_without_trouble_are_the_same_in_all_tiers_seconds_later() {
    let plan = incidents::Plan { seed: 1, subdistricts: 2, rooms_each: 2, incidents: 60, secs: 600, trouble: false };
    let found = check_incidents(plan);
    assert_eq!((found.restarts, found.quiet_after_s), (0, Some(5)), "{found:?}");
}

/// A month of reports, shorter: what centres report against the rooms.
fn reported(planted: reports::Planted) -> reports::Found {
    let dir = tempfile::tempdir().expect("a directory");
    let plan = reports::Plan { seed: 7, subdistricts: 2, rooms_each: 2, cameras: 1, days: 8 };
    reports::run(plan, dir.path(), planted).expect("it is lived through")
}

#[test]
fn what_centres_report_of_their_rooms_is_what_the_rooms_find_to_the_microsecond() {
    let found = reported(reports::Planted::Nothing);
    assert_eq!(found.differences, 0, "{found:?}");
    assert!(found.compared > 1_000 && found.restated > 0 && found.incidents > 100, "{found:?}");
}

#[test]
fn a_centre_that_loses_a_revision_or_a_room_is_found_out() {
    for planted in [reports::Planted::Revisions, reports::Planted::Room] {
        let found = reported(planted);
        assert!(found.differences > 0, "{planted:?}: {found:?}");
    }
}
