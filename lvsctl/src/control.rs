//! What the daemons say to each other and to their administrators, as types.
//!
//! Requests are JSON objects with an `op`; unknown operations and unknown fields are
//! refused. Replies and notices may grow: clients ignore fields they do not know.
//! (DESIGN chapter 4.) Unit variants carry braces: serde ignores
//! `deny_unknown_fields` on unit variants of an internally tagged enum.

pub mod heartbeatd;
pub mod ldirectord;
pub mod lvsctl;
pub mod realserver;

use std::path::{Path, PathBuf};

/// Where the sockets are, unless `lvs.toml` says otherwise.
pub const SOCKET_DIRECTORY: &str = "/run/lvs";

/// The socket of a daemon: `/run/lvs/ldirectord.sock`.
#[must_use]
pub fn socket(directory: &Path, daemon: &str) -> PathBuf {
    directory.join(format!("{daemon}.sock"))
}
