//! The kernel's IPVS family of generic netlink (spec/ipvs.md part B).
//!
//! [`Client`] asks and waits; [`Handle`] asks and awaits: behind it the client is on a thread of its own,
//! a [`Worker`]. Both use one socket, and look the family up once.

mod ahead;
mod client;
mod decode;
mod dump;
mod encode;
mod handle;
mod newer;
mod number;
mod packed;
mod rows;
mod worker;

pub use client::{Client, OpenError};
pub use dump::{replay_daemons, replay_destinations, replay_services};
pub use handle::{Entries, Handle};
pub use packed::Packed;
pub use rows::Rows;
pub use worker::{Worker, WorkerDied};

// The recorded messages are little endian.
#[cfg(all(test, target_endian = "little"))]
mod tests;
