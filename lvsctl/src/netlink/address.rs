//! IP addresses of interfaces.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope, CacheInfo,
};

/// How far an address means something.
///
/// ```
/// use lvs::netlink::address::{Address, Scope};
///
/// let on_lo = Address { scope: Scope::Host, ..Address::new(1, "192.0.2.1".parse()?, 32) };
/// # assert_eq!(on_lo.prefix, 32);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scope {
    /// Everywhere.
    #[default]
    Global,
    /// On this link.
    Link,
    /// In this machine; the usual one on `lo`.
    Host,
    /// A number that an administrator gave a meaning.
    Other(u8),
}

/// When the kernel takes an address off by itself.
///
/// ```
/// use std::num::NonZeroU32;
///
/// use lvs::netlink::address::{Address, Lifetime};
///
/// let lease = Lifetime::Seconds(NonZeroU32::new(3).expect("not 0"));
/// let leased = Address::new(2, "192.0.2.1".parse()?, 24).lasting(lease);
/// assert_ne!(leased.lifetime, Lifetime::Forever);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Never.
    Forever,
    /// This many seconds after it was last set, up to a quarter of a second later. Renewed by
    /// setting it again.
    Seconds(NonZeroU32),
}

impl Lifetime {
    const INFINITY: u32 = u32::MAX;

    fn number(self) -> u32 {
        match self {
            Self::Forever => Self::INFINITY,
            Self::Seconds(seconds) => seconds.get(),
        }
    }
}

/// An address on an interface.
///
/// ```
/// use lvs::netlink::address::Address;
///
/// assert_eq!(Address::new(2, "192.0.2.1".parse()?, 24).to_string(), "192.0.2.1/24");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Index of the interface.
    pub interface: u32,
    /// The address.
    pub ip: IpAddr,
    /// Length of the network prefix, bits.
    pub prefix: u8,
    /// IPv4: the alias name that `ifconfig` shows, such as `lo:0`; at most 15 bytes.
    pub label: Option<String>,
    /// IPv4: the broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// How far it means something.
    pub scope: Scope,
    /// When it goes by itself.
    pub lifetime: Lifetime,
}

impl Address {
    /// An address that stays, of global scope, without label or broadcast address.
    #[must_use]
    pub fn new(interface: u32, ip: IpAddr, prefix: u8) -> Self {
        Self { interface, ip, prefix, label: None, broadcast: None, scope: Scope::Global, lifetime: Lifetime::Forever }
    }

    /// The same with another lifetime.
    #[must_use]
    pub fn lasting(self, lifetime: Lifetime) -> Self {
        Self { lifetime, ..self }
    }
}

/// `192.168.60.200/24`
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

/// An address as the kernel lists it.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// for state in lvs::netlink::route::Client::open()?.addresses()? {
///     if state.duplicate {
///         println!("another machine has {}", state.address);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressState {
    /// The address; its lifetime is what is left of it.
    pub address: Address,
    /// Not usable yet: duplicate address detection goes on.
    pub tentative: bool,
    /// Not usable: another machine has it.
    pub duplicate: bool,
}

/// What identifies an address to the kernel.
pub(super) fn identity(address: &Address) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = if address.ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = address.prefix;
    message.header.index = address.interface;
    message.attributes.push(AddressAttribute::Local(address.ip));
    message.attributes.push(AddressAttribute::Address(address.ip));
    message
}

/// Everything about an address.
pub(super) fn whole(address: &Address) -> AddressMessage {
    let mut message = identity(address);
    message.header.scope = match address.scope {
        Scope::Global => AddressScope::Universe,
        Scope::Link => AddressScope::Link,
        Scope::Host => AddressScope::Host,
        Scope::Other(number) => number.into(),
    };
    if address.ip.is_ipv6() {
        // Detection would keep a virtual address unusable for a second after takeover.
        message.header.flags = AddressHeaderFlags::Nodad;
    }
    message.attributes.extend(address.label.clone().map(AddressAttribute::Label));
    message.attributes.extend(address.broadcast.map(AddressAttribute::Broadcast));
    let mut times = CacheInfo::default();
    times.ifa_valid = address.lifetime.number();
    times.ifa_preferred = address.lifetime.number();
    message.attributes.push(AddressAttribute::CacheInfo(times));
    message
}

impl AddressState {
    /// `None` if there is no address in the message.
    pub(super) fn of(message: AddressMessage) -> Option<Self> {
        let header = message.header;
        let mut flags = AddressFlags::from_bits_retain(header.flags.bits().into());
        let (mut local, mut remote, mut label, mut broadcast) = (None, None, None, None);
        let mut lifetime = Lifetime::Forever;
        for attribute in message.attributes {
            match attribute {
                AddressAttribute::Local(ip) => local = Some(ip),
                AddressAttribute::Address(ip) => remote = Some(ip),
                AddressAttribute::Label(text) => label = Some(text),
                AddressAttribute::Broadcast(ip) => broadcast = Some(ip),
                AddressAttribute::Flags(wider) => flags = wider,
                AddressAttribute::CacheInfo(times) if times.ifa_valid != Lifetime::INFINITY => {
                    // In its last moment an address has 0 seconds left and is still there.
                    lifetime = Lifetime::Seconds(NonZeroU32::new(times.ifa_valid).unwrap_or(NonZeroU32::MIN));
                }
                _ => {}
            }
        }
        let scope = match header.scope {
            AddressScope::Universe => Scope::Global,
            AddressScope::Link => Scope::Link,
            AddressScope::Host => Scope::Host,
            other => Scope::Other(other.into()),
        };
        let address = Address {
            interface: header.index,
            // On a point-to-point link IFA_ADDRESS is the other end's.
            ip: local.or(remote)?,
            prefix: header.prefix_len,
            label,
            broadcast,
            scope,
            lifetime,
        };
        Some(Self {
            address,
            tentative: flags.contains(AddressFlags::Tentative),
            duplicate: flags.contains(AddressFlags::Dadfailed),
        })
    }
}
