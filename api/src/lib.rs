//! How people and other centres reach a node: the only crate that speaks HTTP and JSON.
//!
//! A request passes the host check, then the one authorisation point, [`authority`], which knows who asks; a handler in
//! [`routes`] extracts, asks a crate, converts. Media is read only under a permit that the register of accesses gave, and
//! it gives none before its record is durable (I8). Whatever happens here, recording goes on (I10): reads take turns on
//! threads of their own.

pub mod authority;
pub mod centre;
pub mod command;
pub mod config;
pub mod days;
pub mod diagnosis;
pub mod doors;
pub mod exports;
pub mod figures;
pub mod gaps;
pub mod headers;
pub mod hooks;
pub mod link;
pub mod media_frame;
pub mod memory;
pub mod metadata;
pub mod mqtt;
pub mod node;
pub mod outages;
pub mod own;
pub mod page;
pub mod ranges;
pub mod recorded;
pub mod refusal;
pub mod reports;
pub mod room;
pub mod routes;
pub mod sign_in;
pub mod sources;
pub mod stating;
pub mod tls;
pub mod visit;
