//! Heartbeats, virtual addresses and takeover for a pair of directors: reads the
//! files of heartbeat 3.0.6 (haresources mode) and speaks its protocol.

pub mod act;
pub mod config;
pub mod core;
pub mod decode;
pub mod driver;
pub mod media;
pub mod names;
pub mod show;
pub mod start;
pub mod wire;
