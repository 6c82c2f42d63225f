//! A real server of a virtual service.

use serde::{Deserialize, Serialize};

/// The largest weight the kernel takes: it is a signed 32-bit number there.
pub const MAX_WEIGHT: u32 = 2_147_483_647;

/// How packets get to the real server.
///
/// ```
/// use lvs::ipvs::{Forward, Tunnel};
///
/// let methods = [Forward::Masq, Forward::Gate, Forward::Tunnel(Tunnel::Ipip)];
/// assert!(methods.contains(&Forward::Gate));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Forward {
    /// Masquerading, `-m`.
    Masq,
    /// Handled on this machine; shown by old kernels for local addresses.
    Local,
    /// Encapsulated, `-i`.
    Tunnel(Tunnel),
    /// Direct routing (gatewaying), `-g`.
    Gate,
    /// Past IPVS; only caches use it.
    Bypass,
}

/// The encapsulation of [`Forward::Tunnel`].
///
/// ```
/// use lvs::ipvs::{Tunnel, TunnelChecksum};
///
/// let gue = Tunnel::Gue { port: 6080, checksum: TunnelChecksum::Full };
/// assert_ne!(gue, Tunnel::default());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tunnel {
    /// IP in IP.
    #[default]
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// UDP port, not 0.
        port: u16,
        /// Checksums.
        checksum: TunnelChecksum,
    },
    /// GRE.
    Gre {
        /// Checksums.
        checksum: TunnelChecksum,
    },
    /// A type of a newer kernel, kept as it is.
    Other {
        /// `TUN_TYPE`.
        kind: u8,
        /// `TUN_PORT`.
        port: u16,
        /// `TUN_FLAGS`.
        flags: u16,
    },
}

/// Checksums of the outer header.
///
/// ```
/// use lvs::ipvs::{Tunnel, TunnelChecksum};
///
/// assert_eq!(TunnelChecksum::default(), TunnelChecksum::None);
/// let gre = Tunnel::Gre { checksum: TunnelChecksum::Remote };
/// # assert_ne!(gre, Tunnel::Ipip);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TunnelChecksum {
    /// `--tun-nocsum`, 0.
    #[default]
    None,
    /// `--tun-csum`, 1.
    Full,
    /// `--tun-remcsum`, 2: remote checksum offload.
    Remote,
    /// Flags of a newer kernel, kept as they are.
    Other(u16),
}

/// A real server: how to reach it and how much it gets.
///
/// ```
/// use lvs::ipvs::{Destination, Forward};
///
/// let full = Destination { upper_threshold: 1000, lower_threshold: 800, ..Destination::new(Forward::Gate, 5) };
/// let quiescent = Destination { weight: 0, ..full };
/// assert_eq!(quiescent.upper_threshold, 1000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Destination {
    /// Forwarding method.
    pub forward: Forward,
    /// Share of new connections; 0 is quiescent: no new ones, the present ones go on. At most [`MAX_WEIGHT`].
    pub weight: u32,
    /// Connections at which it is skipped; 0 is no limit.
    #[serde(default)]
    pub upper_threshold: u32,
    /// Connections below which it is used again; 0 is three quarters of the upper one.
    #[serde(default)]
    pub lower_threshold: u32,
}

impl Destination {
    /// A server without thresholds.
    #[must_use]
    pub fn new(forward: Forward, weight: u32) -> Self {
        Self { forward, weight, upper_threshold: 0, lower_threshold: 0 }
    }
}
