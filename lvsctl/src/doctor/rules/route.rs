//! Ways to the servers and back: routes, reverse path filters, room for tunnels' headers.

use super::{file, set};
use crate::doctor::{Facts, Finding, Severity, Way};
use crate::ipvs::{Family, Forward, Tunnel, TunnelChecksum};
use crate::netlink::link::Link;

pub(super) fn look(facts: &Facts, found: &mut Vec<Finding>) {
    unreachable(facts, found);
    reverse_path(facts, found);
    tunnel_room(facts, found);
}

fn unreachable(facts: &Facts, found: &mut Vec<Finding>) {
    for (service, server) in facts.servers() {
        if facts.ways.get(&server.at.ip()) == Some(&Way::Nowhere) {
            let ip = server.at.ip();
            found.push(
                Finding::new(
                    "no-route",
                    Severity::Error,
                    format!("there is no route to the real server {}", server.at),
                )
                .read(format!("ip route get {ip}"), "unreachable")
                .read("IPVS table", format!("it is a server of {}", service.key))
                .means("its share of the clients is answered with an error")
                .fix(format!("ip route add {ip} via ROUTER")),
            );
        } else if server.destination.forward == Forward::Gate
            && let Some(Way::Routed(interface)) = facts.ways.get(&server.at.ip())
        {
            let behind = interface.and_then(|interface| facts.link(interface));
            let behind = behind.map_or_else(String::new, |link| format!(" behind {}", link.name));
            let ip = server.at.ip();
            let text = format!("{} is directly routed, and a router is in between", server.at);
            found.push(
                Finding::new("direct-through-router", Severity::Error, text)
                    .read(format!("ip route get {ip}"), format!("via a router{behind}"))
                    .means("the router gets packets for the virtual address and sends them back to the director")
                    .fix("reach this server by a tunnel: forward = \"ipip\" (ipvsadm -i)"),
            );
        }
    }
}

/// 1 is strict: a packet is dropped if the answer to it would leave by another interface.
const STRICT: i64 = 1;

fn reverse_path(facts: &Facts, found: &mut Vec<Finding>) {
    let strict = |link: &&Link| facts.strictest("rp_filter", &link.name) == Some(STRICT);
    // What comes out of a tunnel has clients' addresses, and clients are not behind the tunnel.
    let tunnels = facts.links.iter().filter(|link| link.up && !link.loopback && !link.resolves);
    let tunnels = tunnels.filter(|link| ["tunl", "gre", "fou", "ipip"].iter().any(|kind| link.name.starts_with(kind)));
    let clients = facts.virtual_addresses().into_iter().filter(std::net::IpAddr::is_ipv4);
    let clients = clients.filter_map(|vip| facts.link(facts.interface_of(vip)?));
    let clients =
        clients.filter(|link| link.resolves && facts.default_interface.is_some_and(|default| default != link.index));
    let tunnels = tunnels.map(|link| (link, Severity::Error));
    // Clients may all be behind the interface that has the virtual address, away from the default route.
    let clients = clients.map(|link| (link, Severity::Warning));
    let mut seen: Vec<&str> = Vec::new();
    for (link, severity) in tunnels.chain(clients).filter(|(link, _)| strict(link)) {
        if seen.contains(&link.name.as_str()) {
            continue;
        }
        seen.push(&link.name);
        let name = format!("net/ipv4/conf/{}/rp_filter", link.name);
        let text = format!("{} drops packets of clients that are not behind it", link.name);
        let meaning = if severity == Severity::Error {
            "connections time out, and nothing is logged; the larger of the two values counts"
        } else {
            "other clients' connections time out unlogged; right if there are none. The larger of the two values counts"
        };
        found.push(
            Finding::new("rp-filter", severity, text)
                .read(file("net/ipv4/conf/all/rp_filter"), value(facts, "net/ipv4/conf/all/rp_filter"))
                .read(file(&name), value(facts, &name))
                .means(meaning)
                .fix(set(&name, 2)),
        );
    }
}

fn value<'a>(facts: &'a Facts, name: &str) -> &'a str {
    facts.sysctls.get(name).map_or("not there", String::as_str)
}

/// What a tunnel puts in front of each packet, bytes.
fn header(outer_is_v4: bool, tunnel: Tunnel) -> u32 {
    let outer = if outer_is_v4 { 20 } else { 40 };
    let private = match tunnel {
        Tunnel::Ipip => 0,
        // UDP, GUE, and the private field of remote checksums.
        Tunnel::Gue { checksum: TunnelChecksum::Remote, .. } => 8 + 4 + 8,
        Tunnel::Gue { .. } => 8 + 4,
        Tunnel::Gre { checksum: TunnelChecksum::None } => 4,
        Tunnel::Gre { .. } => 8,
        Tunnel::Other { .. } => return 0,
    };
    outer + private
}

fn tunnel_room(facts: &Facts, found: &mut Vec<Finding>) {
    for (service, server) in facts.servers() {
        let Forward::Tunnel(tunnel) = server.destination.forward else { continue };
        let way = facts.ways.get(&server.at.ip());
        let Some(Way::Neighbour(out) | Way::Routed(Some(out))) = way else { continue };
        let Some(out) = facts.link(*out) else { continue };
        let vip = crate::doctor::facts::virtual_address(&service.key);
        let inside = vip.and_then(|vip| facts.link(facts.interface_of(vip)?)).filter(|link| !link.loopback);
        let inside = inside.map_or(1500, |link| link.mtu);
        let needed = inside + header(server.at.is_ipv4(), tunnel);
        if out.mtu == 0 || out.mtu >= needed {
            continue;
        }
        // The headers of IPv4 or IPv6, and of TCP, that are in each packet inside.
        let (ip, headers) = if service.key.family() == Family::Inet6 { ("ip -6", 60) } else { ("ip", 40) };
        let text = format!("packets of {inside} bytes do not fit into the tunnel to {}", server.at.ip());
        found.push(
            Finding::new("tunnel-mtu", Severity::Warning, text)
                .read(format!("ip link show dev {}", out.name), format!("mtu {}; {needed} would be needed", out.mtu))
                .means("large requests need fragments, or path MTU discovery that firewalls often break")
                .fix(format!("ip link set dev {} mtu {needed}, if the network can, on the server too", out.name))
                .fix(format!(
                    "on the servers: {ip} route change default via ROUTER advmss {}",
                    out.mtu.saturating_sub(needed - inside + headers)
                )),
        );
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ETH0, ETH1, director, found, ip, link, own, server, service, set};
    use super::*;

    #[test]
    fn every_server_needs_a_route_and_direct_routing_a_common_network() {
        let mut facts = director();
        facts.ways.insert(ip("192.168.60.132"), Way::Nowhere);
        assert_eq!(found(&facts), ["no-route"]);
        facts.ways.insert(ip("192.168.60.132"), Way::Routed(Some(ETH0)));
        assert_eq!(found(&facts), ["direct-through-router"]);
        facts.services[0].destinations[0].destination.forward = Forward::Masq;
        set(&mut facts, "net/ipv4/ip_forward", "1");
        assert_eq!(found(&facts), [""; 0]);
    }

    #[test]
    fn a_strict_filter_drops_what_comes_out_of_a_tunnel() {
        let mut facts = Facts {
            links: vec![link(1, "lo"), link(2, "eth0"), Link { resolves: false, ..link(3, "tunl0") }],
            addresses: vec![own(3, "192.168.60.200", 32)],
            ..Facts::default()
        };
        set(&mut facts, "net/ipv4/conf/all/rp_filter", "1");
        set(&mut facts, "net/ipv4/conf/tunl0/rp_filter", "0");
        assert_eq!(found(&facts), ["rp-filter"]);
        set(&mut facts, "net/ipv4/conf/tunl0/rp_filter", "2");
        assert_eq!(found(&facts), [""; 0], "the larger one counts");
    }

    #[test]
    fn a_strict_filter_drops_clients_where_the_default_route_is_elsewhere() {
        let mut facts = director();
        facts.links.push(link(ETH1, "eth1"));
        set(&mut facts, "net/ipv4/conf/eth0/rp_filter", "1");
        assert_eq!(found(&facts), [""; 0]);
        facts.default_interface = Some(ETH1);
        assert_eq!(found(&facts), ["rp-filter"]);
        assert_eq!(crate::doctor::examine(&facts)[0].severity, Severity::Warning, "clients may be behind eth0 alone");
        facts.links[1].resolves = false;
        facts.probes = crate::doctor::Probes::default();
        assert!(!found(&facts).contains(&"rp-filter"), "no client is behind a dummy interface");
    }

    #[test]
    fn a_tunnel_needs_room_for_its_header() {
        let mut facts = director();
        facts.services = vec![service("192.168.60.200:80", vec![server("10.2.0.1:80", Forward::Tunnel(Tunnel::Ipip))])];
        facts.ways = [(ip("10.2.0.1"), Way::Routed(Some(ETH0)))].into();
        facts.probes.servers.clear();
        assert_eq!(found(&facts), ["tunnel-mtu"]);
        assert!(crate::doctor::examine(&facts)[0].fix[0].contains("mtu 1520"));
        assert!(crate::doctor::examine(&facts)[0].fix[1].contains("advmss 1440"));
        facts.links.push(Link { mtu: 1520, ..link(ETH1, "eth1") });
        facts.ways = [(ip("10.2.0.1"), Way::Routed(Some(ETH1)))].into();
        assert_eq!(found(&facts), [""; 0]);

        let mut facts = director();
        let servers = vec![server("[2001:db8:2::1]:80", Forward::Tunnel(Tunnel::Ipip))];
        facts.services = vec![service("[2001:db8::1]:80", servers)];
        facts.addresses.push(own(ETH0, "2001:db8::1", 128));
        facts.ways = [(ip("2001:db8:2::1"), Way::Routed(Some(ETH0)))].into();
        assert_eq!(found(&facts), ["tunnel-mtu"]);
        let fix = &crate::doctor::examine(&facts)[0].fix[1];
        assert!(fix.contains("ip -6 route") && fix.contains("advmss 1400"), "{fix}");
    }
}
