//! Reports: how well rooms recorded, and how soon somebody came.
//!
//! Each room states the facts of each of its days as records of its journal ([`Statement`]), in integers only: microseconds and counts. They
//! flow up like everything else, and whoever holds them adds them. So what a centre says of its rooms is what the rooms say of
//! themselves, to the microsecond: no ratio is ever averaged, and no median is taken of medians, for a day carries how many incidents
//! took how long ([`Spread`]), not only the middle of them.
//!
//! - R1: a day is stated when it is over, and again under a higher revision when something later changes it; the highest counts.
//! - R2: what is stated twice alike is stated once, also after a crash: what the journal holds is read before anything is added.
//! - R3: a sum names the days of each node that it lacks.
//! - R4: recording never waits for any of it (I10): the ledger is read once an hour, one stream at a time.
//!
//! `figures` is what is added up, `statement` a day as records, `facts` what the own journal says of incidents and pictures, [`Book`]
//! all that was stated by node and day (I7), `sums` periods and ranks, and [`Reports`] the book on its journals.

mod book;
mod facts;
mod figures;
mod measure;
mod shell;
mod statement;
mod sums;

pub use book::{Book, KEPT_DAYS};
pub use facts::{FOLLOWED, Facts, Incident};
pub use figures::{Figures, Incidents, Spread, Times};
pub use measure::{figures_of, main_streams};
pub use shell::Reports;
pub use statement::{Day, Statement};
pub use sums::{Measure, Period, Ranked, Step, Sum, periods, rank};

#[cfg(test)]
mod tests;
