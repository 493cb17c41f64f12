//! The simulated cameras, and the checker that compares what a recorder made of them with what they sent.

pub mod check;
pub mod sei;
