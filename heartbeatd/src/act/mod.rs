//! What a decision comes to: scripts run, addresses put on and taken off, announcements sent.

pub mod address;
pub mod announce;
pub mod fence;
pub mod groups;
pub mod guard;
pub mod handover;
pub mod helper;
pub mod identity;
pub mod ldirectord;
pub mod lease;
pub mod notify;
pub mod probe;
pub mod proclaim;
pub mod repair;
pub mod script;
pub mod silence;
pub mod started;
pub mod sync;
pub mod watchdog;
