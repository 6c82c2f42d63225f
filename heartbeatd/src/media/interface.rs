//! What media must know of the interfaces of this machine.

use std::net::{IpAddr, Ipv4Addr};

use lvs::netlink::RequestError;
use lvs::netlink::link::Link;
use lvs::netlink::route::Client;

/// The interfaces as they are at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interfaces(Vec<Interface>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) link: Link,
    /// Broadcast address of its first network.
    pub(super) broadcast: Option<Ipv4Addr>,
}

impl Interfaces {
    /// Asks the kernel.
    ///
    /// # Errors
    /// The kernel refuses or its answer is lost.
    pub fn list(kernel: &mut Client) -> Result<Self, RequestError> {
        let addresses = kernel.addresses()?;
        let broadcast = |index: u32| {
            addresses.iter().map(|state| &state.address).find_map(|address| match address.ip {
                // The kernel lists the first network of an interface first.
                IpAddr::V4(ip) if address.interface == index => {
                    address.broadcast.or_else(|| computed_broadcast(ip, address.prefix))
                }
                _ => None,
            })
        };
        let interface =
            |link: Link| Interface { broadcast: if link.loopback { None } else { broadcast(link.index) }, link };
        Ok(Self(kernel.links()?.into_iter().map(interface).collect()))
    }

    pub(super) fn find(&self, name: &str) -> Option<&Interface> {
        self.0.iter().find(|interface| interface.link.name == name)
    }

    /// Each of them.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.0.iter().map(|interface| &interface.link)
    }
}

/// The last address of the network; networks of one or two addresses have none.
pub(crate) fn computed_broadcast(ip: Ipv4Addr, prefix: u8) -> Option<Ipv4Addr> {
    let hosts = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    (prefix < 31).then(|| Ipv4Addr::from(u32::from(ip) | hosts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broadcast_address_is_the_last_one_of_the_network() {
        let ip = Ipv4Addr::new(10, 99, 1, 2);
        assert_eq!(computed_broadcast(ip, 24), Some(Ipv4Addr::new(10, 99, 1, 255)));
        assert_eq!(computed_broadcast(ip, 0), Some(Ipv4Addr::BROADCAST));
        assert_eq!(computed_broadcast(ip, 31), None);
        assert_eq!(computed_broadcast(ip, 32), None);
    }
}
