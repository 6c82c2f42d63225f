//! The kernel's IPVS family of generic netlink (spec/ipvs.md part B).
//!
//! [`Client`] asks and waits; [`Worker`] does so on a thread of its own for programs with a
//! loop.

mod client;
mod decode;
mod dump;
mod encode;
mod number;
mod worker;

pub use client::{Client, OpenError};
pub use dump::{replay_daemons, replay_destinations, replay_services};
pub use worker::{Worker, WorkerDied};

// The recorded messages are little endian.
#[cfg(all(test, target_endian = "little"))]
mod tests;
