//! What a medium must know of its interface.

use std::fs;
use std::io;
use std::net::Ipv4Addr;

use rustix::net::{AddressFamily, SocketType, netdevice, socket};

/// Number of the interface, if there is one of that name.
pub(super) fn index(name: &str) -> io::Result<Option<u32>> {
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    match netdevice::name_to_index(&any, name) {
        Ok(index) => Ok(Some(index)),
        Err(rustix::io::Errno::NODEV) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Broadcast address of the network the interface is in: that of its connected route.
pub(super) fn broadcast(name: &str) -> io::Result<Option<Ipv4Addr>> {
    Ok(broadcast_in(&fs::read_to_string("/proc/net/route")?, name))
}

/// Of the routes in the kernel's table, the most specific one that leads to the interface without a gateway.
fn broadcast_in(routes: &str, name: &str) -> Option<Ipv4Addr> {
    let route = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let interface = words.next()?;
        // Addresses are printed as they lie in memory, read as a number of this machine.
        let mut hex = || u32::from_str_radix(words.next()?, 16).ok().map(|n| u32::from_be_bytes(n.to_ne_bytes()));
        let (network, gateway) = (hex()?, hex()?);
        let mask = u32::from_be_bytes(u32::from_str_radix(words.nth(4)?, 16).ok()?.to_ne_bytes());
        (interface == name && gateway == 0 && mask != 0 && mask != u32::MAX).then_some((mask, network | !mask))
    };
    routes.lines().filter_map(route).max().map(|(_, broadcast)| broadcast.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn the_broadcast_address_is_that_of_the_connected_route() {
        let routes = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0
hb0\t0000630A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
hb0\t000A630A\t0100630A\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0
";
        assert_eq!(broadcast_in(routes, "hb0"), Some(Ipv4Addr::new(10, 99, 0, 255)));
        assert_eq!(broadcast_in(routes, "eth0"), None);
        assert_eq!(broadcast_in("garbage\n\n\u{e4}", "hb0"), None);
    }

    #[test]
    fn the_loopback_has_a_number_and_another_name_has_none() {
        assert!(index("lo").unwrap().is_some());
        assert_eq!(index("nosuch0").unwrap(), None);
    }
}
