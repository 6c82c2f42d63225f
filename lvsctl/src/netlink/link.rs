//! Network interfaces.

use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};

/// A network interface.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// if let Some(link) = lvs::netlink::route::Client::open()?.link("eth0")? {
///     println!("{} is {}", link.name, if link.running { "running" } else { "down or unplugged" });
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it.
    pub index: u32,
    /// `eth0`.
    pub name: String,
    /// Ethernet address; `None` where there is none or it is of another kind.
    pub mac: Option<[u8; 6]>,
    /// An administrator wants it up.
    pub up: bool,
    /// It is up and has a carrier: packets can go.
    pub running: bool,
    /// `lo`.
    pub loopback: bool,
    /// Neighbours are found by ARP or neighbour discovery, so announcements make sense.
    pub resolves: bool,
    /// Largest packet, bytes; 0 if the kernel does not say.
    pub mtu: u32,
}

impl Link {
    pub(super) fn of(message: LinkMessage) -> Self {
        let flags = message.header.flags;
        let loopback = flags.contains(LinkFlags::Loopback);
        let mut link = Self {
            index: message.header.index,
            name: String::new(),
            mac: None,
            up: flags.contains(LinkFlags::Up),
            running: flags.contains(LinkFlags::Up | LinkFlags::Running),
            loopback,
            resolves: !loopback && !flags.contains(LinkFlags::Noarp),
            mtu: 0,
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Address(bytes) => link.mac = bytes.try_into().ok(),
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                _ => {}
            }
        }
        link
    }
}
