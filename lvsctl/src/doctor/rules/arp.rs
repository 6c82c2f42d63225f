//! ARP on this machine: as a real server, and as a director with two feet in one network.

use std::net::IpAddr;

use super::{file, set};
use crate::doctor::{Facts, Finding, Severity};
use crate::netlink::link::Link;

pub(super) fn look(facts: &Facts, found: &mut Vec<Finding>) {
    as_real_server(facts, found);
    as_director(facts, found);
}

/// Addresses on lo that are nobody's loopback: virtual ones of a real server.
fn hidden(facts: &Facts) -> Vec<IpAddr> {
    let on_lo = |index| facts.link(index).is_some_and(|link| link.loopback);
    let addresses = facts.addresses.iter().map(|state| &state.address).filter(|address| on_lo(address.interface));
    addresses.map(|address| address.ip).filter(|ip| ip.is_ipv4() && !ip.is_loopback()).collect()
}

fn neighbours(facts: &Facts) -> impl Iterator<Item = &Link> {
    facts.links.iter().filter(|link| link.up && link.resolves)
}

fn as_real_server(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(vip) = hidden(facts).first().copied() else { return };
    let rules = [
        ("arp-ignore", "arp_ignore", 1, "it answers the ARP questions that are meant for the director"),
        ("arp-announce", "arp_announce", 2, "its own ARP questions tell routers that the virtual address is here"),
    ];
    for (id, name, enough, meaning) in rules {
        let loose = neighbours(facts).find_map(|link| {
            let value = facts.strictest(name, &link.name)?;
            (value < enough).then_some((link, value))
        });
        if let Some((link, value)) = loose {
            let text = format!("{vip} is on lo, and {name} lets {} speak of it", link.name);
            let all = format!("net/ipv4/conf/all/{name}");
            found.push(
                Finding::new(id, Severity::Error, text)
                    .read(file(&format!("net/ipv4/conf/{{all,{}}}/{name}", link.name)), format!("{value} at most"))
                    .means(meaning)
                    .fix(set(&all, u32::try_from(enough).unwrap_or_default()))
                    .fix("realserver start, which does this and remembers the value from before"),
            );
        }
    }
}

fn as_director(facts: &Facts, found: &mut Vec<Finding>) {
    let own: Vec<_> = facts.addresses.iter().map(|state| &state.address).filter(|a| a.ip.is_ipv4()).collect();
    for (n, first) in own.iter().enumerate() {
        let Some(link) = facts.link(first.interface).filter(|link| link.up && link.resolves) else { continue };
        let same = |other: &&&crate::netlink::address::Address| {
            other.interface != first.interface
                && first.prefix < 31
                && other.prefix == first.prefix
                && network(other.ip, other.prefix) == network(first.ip, first.prefix)
        };
        let other = own[n + 1..].iter().find(same).and_then(|other| facts.link(other.interface));
        let Some(other) = other.filter(|other| other.up && other.resolves) else { continue };
        let loose = [link, other].into_iter().any(|link| facts.strictest("arp_ignore", &link.name) == Some(0));
        if loose && !facts.services.is_empty() {
            let text = format!("{} and {} are in one network, and each answers for the other", link.name, other.name);
            found.push(
                Finding::new("arp-two-feet", Severity::Warning, text)
                    .read(
                        "ip address",
                        format!("{}/{} on {}, and one on {}", first.ip, first.prefix, link.name, other.name),
                    )
                    .read(file("net/ipv4/conf/all/arp_ignore"), "0")
                    .means("neighbours learn now this, now that hardware address for the virtual addresses")
                    .fix(set("net/ipv4/conf/all/arp_ignore", 1))
                    .fix(set("net/ipv4/conf/all/arp_announce", 2)),
            );
            return;
        }
    }
}

fn network(ip: IpAddr, prefix: u8) -> Option<u32> {
    match ip {
        IpAddr::V4(ip) => Some(ip.to_bits().checked_shr(32 - u32::from(prefix)).unwrap_or(0)),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ETH1, VIP, director, found, link, own, set};
    use super::*;

    #[test]
    fn a_real_server_keeps_silent_about_the_address_on_lo() {
        let mut facts = Facts {
            links: vec![link(1, "lo"), link(2, "eth0")],
            addresses: vec![own(1, "127.0.0.1", 8), own(1, VIP, 32), own(2, "192.168.60.132", 24)],
            ..Facts::default()
        };
        assert_eq!(found(&facts), [""; 0], "what could not be read is not judged");
        for name in ["arp_ignore", "arp_announce"] {
            set(&mut facts, &format!("net/ipv4/conf/all/{name}"), "0");
            set(&mut facts, &format!("net/ipv4/conf/eth0/{name}"), "0");
        }
        assert_eq!(found(&facts), ["arp-ignore", "arp-announce"]);
        set(&mut facts, "net/ipv4/conf/all/arp_ignore", "1");
        set(&mut facts, "net/ipv4/conf/eth0/arp_announce", "2");
        assert_eq!(found(&facts), [""; 0]);
        set(&mut facts, "net/ipv4/conf/all/arp_ignore", "0");
        facts.addresses.remove(1);
        assert_eq!(found(&facts), [""; 0], "no real server");
    }

    #[test]
    fn two_interfaces_in_one_network_are_told_apart_by_arp_ignore() {
        let mut facts = director();
        facts.links.push(link(ETH1, "eth1"));
        facts.addresses.push(own(ETH1, "192.168.60.131", 24));
        assert_eq!(found(&facts), ["arp-two-feet"]);
        set(&mut facts, "net/ipv4/conf/all/arp_ignore", "1");
        assert_eq!(found(&facts), [""; 0]);
        set(&mut facts, "net/ipv4/conf/all/arp_ignore", "0");
        facts.addresses.pop();
        facts.addresses.push(own(ETH1, "192.168.61.131", 24));
        assert_eq!(found(&facts), [""; 0]);
    }
}
