//! ldirectord: health checks for LVS.
//!
//! Reads `ldirectord.cf`, probes the real servers, and keeps the IPVS table to
//! those that answer.

pub mod config;
