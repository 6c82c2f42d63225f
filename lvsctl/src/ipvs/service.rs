//! What identifies a virtual service, and how it schedules.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU8, NonZeroU32};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Address family; the number on the wire is `AF_INET` or `AF_INET6`.
///
/// ```
/// use lvs::ipvs::Family;
///
/// assert_eq!(Family::of("2001:db8::1".parse()?), Family::Inet6);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::Inet } else { Self::Inet6 }
    }
}

/// Transport protocol of an address service.
///
/// ```
/// use lvs::ipvs::Protocol;
///
/// assert_eq!(Protocol::from_number(17), Protocol::Udp);
/// assert_eq!(Protocol::Sctp.number(), 132);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP, 6.
    Tcp,
    /// UDP, 17.
    Udp,
    /// SCTP, 132.
    Sctp,
    /// Anything else; the kernel takes any number.
    Other(u16),
}

impl Protocol {
    /// The number in an IP header.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
            Self::Other(number) => number,
        }
    }

    /// The protocol with this number.
    #[must_use]
    pub fn from_number(number: u16) -> Self {
        match number {
            6 => Self::Tcp,
            17 => Self::Udp,
            132 => Self::Sctp,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("tcp"),
            Self::Udp => f.write_str("udp"),
            Self::Sctp => f.write_str("sctp"),
            Self::Other(number) => write!(f, "protocol-{number}"),
        }
    }
}

/// A firewall mark. Mark 0 means "no mark" and identifies nothing.
///
/// ```
/// use lvs::ipvs::{Family, Mark, ServiceKey};
///
/// assert_eq!(Mark::new(0), None);
/// let mark = Mark::new(8).expect("not 0");
/// assert_eq!(ServiceKey::Mark { family: Family::Inet6, mark }.to_string(), "mark 8 IPv6");
/// ```
pub type Mark = NonZeroU32;

/// What identifies a virtual service to the kernel (spec/ipvs.md B.3).
///
/// ```
/// use lvs::ipvs::{Family, Protocol, ServiceKey};
///
/// let sip = ServiceKey::Address { protocol: Protocol::Sctp, at: "[2001:db8::1]:5060".parse()? };
/// assert_eq!(sip.family(), Family::Inet6);
/// assert_eq!(sip.to_string(), "sctp [2001:db8::1]:5060");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceKey {
    /// Protocol, address and port.
    Address {
        /// Transport protocol.
        protocol: Protocol,
        /// Virtual address and port; port 0 takes every port and needs persistence.
        at: SocketAddr,
    },
    /// Packets that carry a firewall mark.
    Mark {
        /// Family of the packets.
        family: Family,
        /// The mark.
        mark: Mark,
    },
}

impl ServiceKey {
    /// A TCP service.
    #[must_use]
    pub fn tcp(at: SocketAddr) -> Self {
        Self::Address { protocol: Protocol::Tcp, at }
    }

    /// A UDP service.
    #[must_use]
    pub fn udp(at: SocketAddr) -> Self {
        Self::Address { protocol: Protocol::Udp, at }
    }

    /// The family of the packets the service takes.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::Address { at, .. } => Family::of(at.ip()),
            Self::Mark { family, .. } => *family,
        }
    }

    /// The virtual port; `None` for a mark.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Address { at, .. } => Some(at.port()),
            Self::Mark { .. } => None,
        }
    }
}

/// `tcp 192.168.60.200:80`, `mark 8`, `mark 8 IPv6`.
impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { protocol, at } => write!(f, "{protocol} {at}"),
            Self::Mark { family: Family::Inet, mark } => write!(f, "mark {mark}"),
            Self::Mark { family: Family::Inet6, mark } => write!(f, "mark {mark} IPv6"),
        }
    }
}

/// A name that the kernel would not take.
///
/// ```
/// use lvs::ipvs::Scheduler;
///
/// let error = "a name that is too long".parse::<Scheduler>().expect_err("more than 15 bytes");
/// assert!(error.to_string().contains("1 to 15 bytes"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} name {name:?} must have 1 to {limit} bytes, none of them NUL")]
pub struct InvalidName {
    what: &'static str,
    name: String,
    limit: usize,
}

fn checked_name(what: &'static str, name: &str, limit: usize) -> Result<String, InvalidName> {
    let fits = !name.is_empty() && name.len() <= limit && !name.bytes().any(|b| b == 0);
    if fits { Ok(name.to_owned()) } else { Err(InvalidName { what, name: name.to_owned(), limit }) }
}

macro_rules! kernel_name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $limit:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as the kernel knows it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(name: &str) -> Result<Self, InvalidName> {
                checked_name($what, name, $limit).map(Self)
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;

            fn try_from(name: String) -> Result<Self, InvalidName> {
                name.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

kernel_name! {
    /// A scheduler: `rr`, `wlc`, or any module `ip_vs_NAME` the kernel may have. At most 15 bytes.
    ///
    /// ```
    /// use lvs::ipvs::Scheduler;
    ///
    /// assert_eq!(Scheduler::default().as_str(), "wlc");
    /// assert_eq!("mh".parse::<Scheduler>()?.to_string(), "mh");
    /// # Ok::<(), lvs::ipvs::InvalidName>(())
    /// ```
    Scheduler, "scheduler", 15
}

kernel_name! {
    /// A persistence engine, such as `sip`. At most 16 bytes.
    ///
    /// ```
    /// use lvs::ipvs::{PersistenceEngine, Service};
    ///
    /// let engine: PersistenceEngine = "sip".parse()?;
    /// let service = Service { engine: Some(engine), ..Service::default() };
    /// # assert!(service.engine.is_some());
    /// # Ok::<(), lvs::ipvs::InvalidName>(())
    /// ```
    PersistenceEngine, "persistence engine", 16
}

/// ipvsadm's default.
impl Default for Scheduler {
    fn default() -> Self {
        Self("wlc".to_owned())
    }
}

/// The three scheduler flags; what they mean depends on the scheduler
/// (`sh`, `mh`: flag 1 is fallback, flag 2 is port).
///
/// ```
/// use lvs::ipvs::SchedulerFlags;
///
/// let sh_port = SchedulerFlags { flag_2: true, ..SchedulerFlags::default() };
/// assert_eq!(sh_port.bits(), 0x10);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SchedulerFlags {
    /// 0x08.
    #[serde(default)]
    pub flag_1: bool,
    /// 0x10.
    #[serde(default)]
    pub flag_2: bool,
    /// 0x20.
    #[serde(default)]
    pub flag_3: bool,
}

impl SchedulerFlags {
    /// The kernel's bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        (u32::from(self.flag_1) << 3) | (u32::from(self.flag_2) << 4) | (u32::from(self.flag_3) << 5)
    }

    /// The scheduler flags among the kernel's service flags.
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        Self { flag_1: bits & 0x08 != 0, flag_2: bits & 0x10 != 0, flag_3: bits & 0x20 != 0 }
    }
}

/// Which clients persistence keeps together.
///
/// ```
/// use lvs::ipvs::{Family, Netmask};
///
/// let network = Netmask::Mask([255, 255, 255, 0].into());
/// assert_ne!(network, Netmask::host(Family::Inet));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Netmask {
    /// IPv4 mask; the kernel takes any, contiguous or not.
    Mask(Ipv4Addr),
    /// IPv6 prefix length, 1 to 128; the kernel refuses more.
    Prefix(NonZeroU8),
}

impl Netmask {
    /// Each client by itself.
    #[must_use]
    pub fn host(family: Family) -> Self {
        match family {
            Family::Inet => Self::Mask(Ipv4Addr::BROADCAST),
            Family::Inet6 => Self::Prefix(NonZeroU8::new(128).expect("128 is not zero")),
        }
    }
}

/// Connections of one client (or network) go to one server.
///
/// ```
/// use lvs::ipvs::{Family, Netmask, Persistence};
///
/// let five_minutes = Persistence { timeout: 300, netmask: Netmask::host(Family::Inet) };
/// # assert_eq!(five_minutes.timeout, 300);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Persistence {
    /// Seconds after the last connection.
    pub timeout: u32,
    /// Which clients count as one; of the service's family.
    pub netmask: Netmask,
}

/// How a virtual service schedules. There is no netmask without persistence: the kernel
/// stores one, but nothing reads it.
///
/// ```
/// use lvs::ipvs::{Family, Netmask, Persistence, Service};
///
/// let service = Service {
///     scheduler: "wrr".parse()?,
///     persistence: Some(Persistence { timeout: 600, netmask: Netmask::host(Family::Inet) }),
///     ..Service::default()
/// };
/// assert!(!service.one_packet);
/// # Ok::<(), lvs::ipvs::InvalidName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Service {
    /// Who picks the server.
    pub scheduler: Scheduler,
    /// Flags to the scheduler.
    #[serde(default)]
    pub scheduler_flags: SchedulerFlags,
    /// Persistence, if wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
    /// Each datagram is scheduled by itself (UDP; the kernel does not check).
    #[serde(default)]
    pub one_packet: bool,
    /// Persistence engine; the kernel keeps one without persistence too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<PersistenceEngine>,
}
