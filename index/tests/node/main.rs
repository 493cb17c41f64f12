//! A node's memory as an outsider uses it: through its public doors only.

mod doors;
mod ledger;
mod site;
