//! `incidents`: incidents in three tiers, likewise. `district`: a whole district on simulated clocks, lines and disks, from a seed: what of it reaches the top, and what is said of the rest.

#[path = "../tiers/simulation/mod.rs"]
mod simulation;

use crate::figures::Figures;
use anyhow::{Result, ensure};
use simulation::{Plan, run};
use std::time::Instant;

pub(crate) fn district(seed: u64, events_per_s: usize, minutes: u64) -> Result<()> {
    let (subdistricts, rooms_each, cameras_each) = (9, 5, 290);
    println!("seed {seed}: {} rooms, {cameras_each} cameras each", subdistricts * rooms_each);
    let begun = Instant::now();
    let found = run(Plan { seed, subdistricts, rooms_each, cameras_each, events_per_s, secs: minutes * 60, trouble: true });
    let mut figures = Figures::default();
    figures.add("events", found.acknowledged as f64, "events");
    for (name, number) in [
        ("lost", found.lost),
        ("doubled", found.doubled),
        ("out_of_order", found.out_of_order),
        ("journals_that_differ", found.differing),
        ("camera_states_that_differ", found.states_differ),
        ("untrue_claims_of_completeness", found.untrue),
        ("restarts", found.restarts),
        ("looks_while_a_room_was_out_of_reach", found.missing),
    ] {
        figures.add(name, number as f64, "times");
    }
    ensure!(found.missing > 0, "no room was out of reach for long: try another seed");
    figures.add("missing_named_pct", found.missing_named as f64 * 100.0 / found.missing as f64, "%");
    figures.add("all_arrived_after_s", found.quiet_after_s.map_or(f64::NAN, |secs| secs as f64), "s");
    figures.add("line_bytes_per_record_byte", found.line_bytes as f64 / found.record_bytes as f64, "ratio");
    figures.add("messages", found.messages as f64, "messages");
    figures.add("simulated_x", (minutes * 60) as f64 / begun.elapsed().as_secs_f64(), "times_real_time");
    figures.finish();
    Ok(())
}

pub(crate) fn incidents(seed: u64, incidents: usize) -> Result<()> {
    let (subdistricts, rooms_each) = (3, 3);
    println!("seed {seed}: {} rooms, {subdistricts} sub-districts, a district", subdistricts * rooms_each);
    let begun = Instant::now();
    let plan = simulation::incidents::Plan { seed, subdistricts, rooms_each, incidents, secs: 3600, trouble: true };
    let found = simulation::incidents::run(plan);
    let mut figures = Figures::default();
    for (name, number) in [
        ("incidents", found.opened),
        ("moves", found.moves),
        ("turned_away", found.turned_away),
        ("escalated_by_clock", found.escalated),
        ("escalated_twice", found.escalated_twice),
        ("late", found.late),
        ("lost_moves", found.lost_moves),
        ("disagreements", found.disagreements),
        ("clashes_shown", found.clashes),
        ("kills", found.restarts),
        ("cuts", found.cuts),
    ] {
        figures.add(name, number as f64, "times");
    }
    ensure!(found.escalated > 0 && found.restarts > 0 && found.cuts > 0, "nothing went wrong: try another seed");
    figures.add("all_agree_after_s", found.quiet_after_s.map_or(f64::NAN, |secs| secs as f64), "s");
    figures.add("messages", found.messages as f64, "messages");
    figures.add("took_s", begun.elapsed().as_secs_f64(), "s");
    figures.finish();
    Ok(())
}
