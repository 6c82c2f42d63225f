//! A healthy director, for rules to find a mistake in.

use std::net::IpAddr;

use crate::doctor::{Answer, Facts, Way, examine};
use crate::ipvs::{Destination, DestinationListing, Forward, Service, ServiceKey, ServiceListing, Stats};
use crate::netlink::address::{Address, AddressState};
use crate::netlink::link::Link;

pub const VIP: &str = "192.168.60.200";
pub const ETH0: u32 = 2;
pub const ETH1: u32 = 3;
pub const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
pub const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub fn link(index: u32, name: &str) -> Link {
    let loopback = name == "lo";
    Link {
        index,
        name: name.to_owned(),
        mac: Some([2, 0, 0, 0, 1, u8::try_from(index).expect("small")]),
        up: true,
        running: true,
        loopback,
        resolves: !loopback,
        mtu: 1500,
    }
}

pub fn own(interface: u32, address: &str, prefix: u8) -> AddressState {
    let address = Address::new(interface, ip(address), prefix);
    AddressState { address, tentative: false, duplicate: false }
}

pub fn server(at: &str, forward: Forward) -> DestinationListing {
    DestinationListing {
        at: at.parse().expect("an address"),
        destination: Destination::new(forward, 1),
        active_connections: 0,
        inactive_connections: 0,
        persistent_connections: 0,
        stats: Stats::default(),
    }
}

pub fn service(at: &str, servers: Vec<DestinationListing>) -> ServiceListing {
    ServiceListing {
        key: ServiceKey::tcp(at.parse().expect("an address")),
        service: Service::default(),
        stats: Stats::default(),
        destinations: servers,
    }
}

pub fn set(facts: &mut Facts, name: &str, value: &str) {
    facts.sysctls.insert(name.to_owned(), value.to_owned());
}

/// A director with direct routing on which nothing is wrong.
pub fn director() -> Facts {
    let mut facts = Facts {
        kernel: Some((6, 1)),
        links: vec![link(1, "lo"), link(ETH0, "eth0")],
        addresses: vec![own(ETH0, "192.168.60.130", 24), own(ETH0, VIP, 32)],
        services: vec![service("192.168.60.200:80", vec![server("192.168.60.132:80", Forward::Gate)])],
        ways: [(ip("192.168.60.132"), Way::Neighbour(ETH0))].into(),
        networks: [(ip(VIP), ETH0)].into(),
        default_interface: Some(ETH0),
        ipvs: true,
        ..Facts::default()
    };
    for (name, value) in [
        ("net/ipv4/ip_forward", "0"),
        ("net/ipv4/conf/all/arp_ignore", "0"),
        ("net/ipv4/conf/all/arp_announce", "0"),
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/eth0/rp_filter", "2"),
        ("net/ipv4/conf/all/send_redirects", "1"),
        ("net/ipv4/vs/conntrack", "0"),
        ("net/ipv4/vs/conn_reuse_mode", "1"),
        ("net/ipv4/vs/expire_nodest_conn", "1"),
        ("net/ipv4/vs/expire_quiescent_template", "1"),
        ("net/ipv4/vs/run_estimation", "1"),
        ("net/ipv4/vs/backup_only", "0"),
    ] {
        set(&mut facts, name, value);
    }
    facts.probes.holders.insert(ip(VIP), [].into());
    facts.probes.servers.insert(ip("192.168.60.132"), Some(SERVER_MAC));
    facts.probes.echoes.insert((ip("192.168.60.132"), ip("192.168.60.132")), Answer::Yes);
    facts.probes.echoes.insert((ip("192.168.60.132"), ip(VIP)), Answer::Yes);
    facts
}

/// A director that masquerades, with a network of its own for the servers.
pub fn nat_director() -> Facts {
    let mut facts = director();
    set(&mut facts, "net/ipv4/ip_forward", "1");
    facts.links.push(link(ETH1, "eth1"));
    facts.addresses.push(own(ETH1, "10.1.0.254", 24));
    facts.services = vec![service("192.168.60.200:80", vec![server("10.1.0.1:8080", Forward::Masq)])];
    facts.ways = [(ip("10.1.0.1"), Way::Neighbour(ETH1))].into();
    facts.probes.servers = [(ip("10.1.0.1"), Some(SERVER_MAC))].into();
    facts.probes.echoes.clear();
    facts
}

/// The names of what is found.
pub fn found(facts: &Facts) -> Vec<&'static str> {
    examine(facts).iter().map(|finding| finding.id).collect()
}

#[test]
fn nothing_is_wrong_with_healthy_machines() {
    assert_eq!(examine(&director()), []);
    assert_eq!(examine(&nat_director()), []);
    assert_eq!(examine(&Facts::default()), []);
}
