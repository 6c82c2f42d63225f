//! The TOML form of a table file; `lvs-table(5)` is its description for administrators.
//!
//! ```toml
//! [timeouts]
//! tcp = 900
//!
//! [sync.backup]
//! interface = "eth0"
//! id = 7
//!
//! [[service]]
//! tcp = "192.168.60.200:80"
//! scheduler = "wrr"
//! comment = "the shop"
//! server = [
//!   { address = "192.168.60.132:80", forward = "direct", weight = 2 },
//! ]
//! ```

mod read;
mod server;
mod service;
mod write;
mod written;

#[cfg(test)]
mod tests;

pub use read::{Reading, read};
pub use write::{to_json, to_toml};
