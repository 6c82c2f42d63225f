//! Why a cable cannot be used.

use std::io;

/// Why a medium cannot be opened now.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not there, or not yet.
    #[error("waiting for interface {0}")]
    NoInterface(String),
    /// It has no IPv4 network.
    #[error("waiting for an address on interface {0}")]
    NoBroadcast(String),
    /// The kernel refused something.
    #[error("cannot {what}")]
    Kernel {
        /// What was attempted.
        what: String,
        /// Its reason.
        #[source]
        source: io::Error,
    },
    /// Its device is not there any more, or what is at its other end is not.
    #[error("{device} has been hung up")]
    HungUp {
        /// The device.
        device: String,
        /// What the kernel says.
        #[source]
        source: io::Error,
    },
    /// Somebody else has locked it.
    #[error("another program uses {0}")]
    InUse(String),
}
