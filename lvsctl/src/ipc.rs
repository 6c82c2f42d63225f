//! JSON lines over Unix sockets (DESIGN chapter 4).
//!
//! The server greets, requests carry an id, `watch` turns a connection into a stream of
//! notices. Lines are at most [`MAX_LINE`] bytes, a reader that falls [`BACKLOG`] notices
//! behind is told `lagged` and closed, and a connection that is not read from within
//! [`PATIENCE`] is closed: no client can hold up a daemon. One that says nothing may stay,
//! and takes up one of [`MAX_CONNECTIONS`], of which [`RESERVED_CONNECTIONS`] are kept for those who program.

mod caller;
mod client;
mod server;

pub use caller::{Caller, NotPermitted, Operate, Permit, Policy, Program, Rank, Read};
pub use client::{CallError, Client, ConnectError};
pub use server::{Call, Listen, ListenError, Server};

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longest line in either direction, bytes, newline included.
pub const MAX_LINE: usize = 64 * 1024;

/// Notices that wait for a slow reader.
pub const BACKLOG: usize = 256;

/// Connections at a time; further ones are closed at once.
pub const MAX_CONNECTIONS: usize = 64;

/// So many of them are kept for uid 0 and whoever else has the rank [`Rank::Program`]: others cannot shut them out
/// by sitting on connections.
pub const RESERVED_CONNECTIONS: usize = 8;

/// How long a write to a client may take, and how long a client waits to be greeted.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Version of the framing.
pub const VERSION: u32 = 1;

/// The server's first line.
///
/// ```
/// use lvs::ipc::{Greeting, VERSION};
///
/// let line = r#"{"speaks":"ldirectord","version":1,"program":"ldirectord 0.1.0","node":"lvs1"}"#;
/// let greeting: Greeting = serde_json::from_str(line)?;
/// assert_eq!((greeting.speaks.as_str(), greeting.version), ("ldirectord", VERSION));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// Which protocol: the daemon's name.
    pub speaks: String,
    /// Version of the framing.
    pub version: u32,
    /// Program and version.
    pub program: String,
    /// Node name.
    pub node: String,
}

/// A refusal in words a program and a person can act on.
///
/// ```
/// use lvs::ipc::Fault;
///
/// let fault = Fault::new("refused", "the other director does not answer");
/// assert_eq!(fault.to_string(), "the other director does not answer");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// `not-permitted`, `bad-request`, `lagged`, `refused`, `failed`.
    pub code: String,
    /// One sentence.
    pub message: String,
}

impl Fault {
    /// A fault with a code and a sentence.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }
}

#[cfg(test)]
mod tests;
