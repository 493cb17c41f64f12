//! One node with real sockets, a real store and a fleet of simulated cameras in the same process.

mod below;
mod centre;
mod events;
mod gaps;
mod ingest;
mod mqtt;
mod native;
mod node;
mod operations;
mod pull_points;
mod rights;
mod room;
mod viewing;
