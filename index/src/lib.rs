//! What a node remembers: its footage, the ledger of every camera-second, its journal and the register of accesses.
//!
//! This crate knows no network and no camera: whoever holds access units appends them, whoever holds a [`access::Permit`]
//! reads them. Everything here can be driven by a test on one thread, from a seed.

pub mod access;
pub mod accounts;
pub mod alarms;
pub mod cameras;
mod durable;
pub mod events;
pub mod footage;
pub mod incidents;
pub mod journal;
pub mod model;
pub mod motion;
pub mod node;
pub mod reports;
pub mod seal;
pub mod site;

pub use durable::FileError;
