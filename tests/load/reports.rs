//! `reports`: what a district and its sub-districts report of a month, against what each room finds in its own ledger and journal.

#[path = "../tiers/reports.rs"]
mod month;

use crate::figures::Figures;
use anyhow::Result;
use month::{Found, Plan, Planted, run};

pub(crate) fn reports(seed: u64, days: usize) -> Result<()> {
    let plan = Plan { seed, subdistricts: 3, rooms_each: 3, cameras: 2, days };
    println!("seed {seed}: {} rooms, {} cameras each, {days} days", plan.subdistricts * plan.rooms_each, plan.cameras);
    let found = lived(plan, Planted::Nothing)?;
    // Whether it would be noticed: a centre that loses something differs.
    let small = Plan { subdistricts: 1, rooms_each: 2, cameras: 1, days: 6, ..plan };
    let mut noticed = 0;
    for planted in [Planted::Revisions, Planted::Room] {
        noticed += u64::from(lived(small, planted)?.differences > 0);
    }
    let mut figures = Figures::default();
    for (name, number, unit) in [
        ("days_stated", found.stated, "days"),
        ("days_stated_again", found.restated, "days"),
        ("incidents", found.incidents, "incidents"),
        ("figures_compared", found.compared, "figures"),
        ("planted_losses_noticed", noticed, "of_2"),
        ("differences", found.differences, "figures"),
    ] {
        figures.add(name, number as f64, unit);
    }
    figures.finish();
    Ok(())
}

fn lived(plan: Plan, planted: Planted) -> Result<Found> {
    let dir = std::env::current_dir()?.join(".cache/measure/reports");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir)?;
    let found = run(plan, &dir, planted);
    std::fs::remove_dir_all(&dir)?;
    found
}
