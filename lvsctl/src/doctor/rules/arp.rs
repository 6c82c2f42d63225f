//! ARP on this machine: as a real server, and as a director with two feet in one network.

use std::net::IpAddr;

use super::{file, set};
use crate::doctor::{Facts, Finding, Severity};
use crate::netlink::link::Link;
use crate::netlink::route::within;

pub(super) fn look(facts: &Facts, found: &mut Vec<Finding>) {
    as_real_server(facts, found);
    as_director(facts, found);
}

/// Where real servers have virtual addresses besides lo. Other interfaces without ARP, such as those of a VPN, have
/// addresses of their own.
const KEEPERS: [&str; 5] = ["dummy", "tunl", "gre", "fou", "ipip"];

/// The address that a real server hides from ARP, where it is, and how sure that is.
///
/// A machine that balances has such addresses for other reasons too: a router's own, or virtual ones that are routed
/// to it. Only one for which another machine answers has to be hidden there.
fn hidden(facts: &Facts) -> Option<(IpAddr, &Link, Severity)> {
    let vips = facts.virtual_addresses();
    let addresses = facts.addresses.iter().map(|state| &state.address);
    let addresses = addresses.filter(|address| address.ip.is_ipv4() && !address.ip.is_loopback());
    let judged = addresses.filter_map(|address| {
        let link = facts.link(address.interface).filter(|link| !link.resolves)?;
        let keeper = link.loopback || KEEPERS.iter().any(|kind| link.name.starts_with(kind));
        let severity = match facts.probes.holders.get(&address.ip) {
            _ if facts.services.is_empty() => {
                if facts.ipvs {
                    Severity::Warning
                } else {
                    Severity::Error
                }
            }
            Some(holders) if holders.is_empty() => return None,
            Some(_) => Severity::Error,
            None => Severity::Warning,
        };
        let wanted = vips.contains(&address.ip) || (keeper && facts.services.is_empty());
        wanted.then_some((address.ip, link, severity))
    });
    judged.max_by_key(|(ip, _, severity)| (*severity, std::cmp::Reverse(*ip)))
}

fn neighbours(facts: &Facts) -> impl Iterator<Item = &Link> {
    facts.links.iter().filter(|link| link.up && link.resolves)
}

fn as_real_server(facts: &Facts, found: &mut Vec<Finding>) {
    let Some((vip, place, severity)) = hidden(facts) else { return };
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
            let text = format!("{vip} is on {}, and {name} lets {} speak of it", place.name, link.name);
            let all = format!("net/ipv4/conf/all/{name}");
            found.push(
                Finding::new(id, severity, text)
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
                && within(other.ip, first.ip, first.prefix)
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

#[cfg(test)]
mod tests {
    use super::super::testing::{ETH1, OTHER_MAC, VIP, director, found, ip, link, own, set};
    use super::*;
    use crate::doctor::examine;

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
    fn tunnels_and_dummies_keep_addresses_too_and_those_of_a_vpn_are_its_own() {
        let server = |name: &str| {
            let mut facts = Facts {
                links: vec![link(1, "lo"), link(2, "eth0"), Link { resolves: false, ..link(3, name) }],
                addresses: vec![own(2, "192.168.60.132", 24), own(3, VIP, 32)],
                ..Facts::default()
            };
            set(&mut facts, "net/ipv4/conf/all/arp_ignore", "0");
            facts
        };
        assert_eq!(found(&server("tunl0")), ["arp-ignore"]);
        assert_eq!(found(&server("dummy0")), ["arp-ignore"]);
        assert_eq!(found(&server("wg0")), [""; 0]);
        assert_eq!(examine(&server("tunl0"))[0].severity, Severity::Error);
        let loaded = Facts { ipvs: true, ..server("tunl0") };
        assert_eq!(examine(&loaded)[0].severity, Severity::Warning, "it may be a director before its table is filled");
    }

    #[test]
    fn what_a_director_has_on_lo_is_its_affair_unless_another_machine_answers_for_it() {
        let mut facts = director();
        facts.addresses.push(own(1, "10.255.0.1", 32));
        assert_eq!(found(&facts), [""; 0], "a router's own address");
        facts.addresses.remove(1);
        facts.addresses.push(own(1, VIP, 32));
        assert_eq!(found(&facts), [""; 0], "nobody else has it: it answers, and shall");
        facts.probes.holders.insert(ip(VIP), [OTHER_MAC].into());
        assert_eq!(found(&facts), ["arp-ignore", "arp-announce", "vip-elsewhere"]);
        facts.probes.holders.clear();
        assert_eq!(examine(&facts)[0].severity, Severity::Warning, "nobody was asked");
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
