//! ldirectord: health checks for LVS.
//!
//! Reads `ldirectord.cf`, probes the real servers, and keeps the IPVS table to
//! those that answer.

pub mod cli;
pub mod config;
pub mod instance;
pub mod local_time;
