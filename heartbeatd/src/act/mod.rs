//! What a decision comes to: scripts run, addresses put on and taken off, announcements sent.

pub mod address;
pub mod announce;
pub mod guard;
pub mod identity;
pub mod lease;
pub mod script;
