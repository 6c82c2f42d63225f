//! ldirectord: health checks for LVS.
//!
//! Reads `ldirectord.cf`, probes the real servers, and keeps the IPVS table to
//! those that answer.

pub mod agent;
pub mod alert;
mod append;
pub mod check;
mod children;
pub mod cli;
pub mod command;
pub mod config;
mod control;
pub mod director;
pub mod farm;
mod file_watch;
pub mod instance;
pub mod journal;
pub mod local_time;
pub mod maintenance;
pub mod memory;
pub mod monitor;
pub mod notice;
pub mod replace;
pub mod schedule;
pub mod show;
pub mod verbs;
pub mod verdict;
pub mod wanted;
