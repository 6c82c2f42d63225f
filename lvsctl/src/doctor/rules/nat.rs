//! Masquerading: there and back through this machine.

use std::net::IpAddr;

use super::{file, set};
use crate::doctor::{Facts, Finding, Severity, Way};
use crate::ipvs::{Protocol, ServiceKey};

/// As many connections without one packet back are no chance.
const ENOUGH: u64 = 3;

pub(super) fn look(facts: &Facts, found: &mut Vec<Finding>) {
    forwarding(facts, found);
    no_answers(facts, found);
    same_network(facts, found);
    ftp(facts, found);
    other_rules(facts, found);
}

fn forwarding(facts: &Facts, found: &mut Vec<Finding>) {
    for (name, is_family) in [
        ("net/ipv4/ip_forward", IpAddr::is_ipv4 as fn(&IpAddr) -> bool),
        ("net/ipv6/conf/all/forwarding", IpAddr::is_ipv6),
    ] {
        let Some((service, server)) = facts.masqueraded().find(|(_, server)| is_family(&server.at.ip())) else {
            continue;
        };
        if facts.sysctl(name) == Some(0) {
            let text = format!("this machine does not forward packets, and {} is masqueraded", server.at);
            found.push(
                Finding::new("ip-forward", Severity::Error, text)
                    .read(file(name), "0")
                    .read("IPVS table", format!("{} of {} is reached by masquerading", server.at, service.key))
                    .means("the answers of the server end here; clients see nothing but time-outs")
                    .fix(set(name, 1)),
            );
        }
    }
}

fn no_answers(facts: &Facts, found: &mut Vec<Finding>) {
    for (service, server) in facts.masqueraded() {
        let severity = match &service.key {
            // Its answers are not counted.
            _ if service.service.one_packet => continue,
            ServiceKey::Address { protocol: Protocol::Tcp | Protocol::Sctp, .. } => Severity::Error,
            // Much that is sent by UDP, as logs are, is never answered.
            ServiceKey::Address { .. } | ServiceKey::Mark { .. } => Severity::Note,
        };
        let stats = &server.stats;
        if stats.connections >= ENOUGH && stats.packets_in > 0 && stats.packets_out == 0 {
            let ip = server.at.ip();
            let text = format!("no answer of the real server {} has come through this machine", server.at);
            let meaning = if severity == Severity::Error {
                "it answers past the director, or not at all: its default route has to lead here"
            } else {
                "right where clients want no answer, as for logs; else its default route has to lead here"
            };
            found.push(
                Finding::new("nat-return", severity, text)
                    .read(
                        format!("counters of {} in {}", server.at, service.key),
                        format!("{} connections, {} packets in, 0 out", stats.connections, stats.packets_in),
                    )
                    .means(meaning)
                    .fix(format!("on {ip}: ip route replace default via ADDRESS, one of this machine in its network"))
                    .fix("lvsctl -Z, then look again: the counters are those since the last time"),
            );
        }
    }
}

/// A client in the servers' own network is answered directly by the server.
fn same_network(facts: &Facts, found: &mut Vec<Finding>) {
    for (service, server) in facts.masqueraded() {
        let Some(&Way::Neighbour(interface)) = facts.ways.get(&server.at.ip()) else { continue };
        let vip = crate::doctor::facts::virtual_address(&service.key);
        let Some(vip) = vip.filter(|&vip| facts.interface_of(vip) == Some(interface)) else { continue };
        let Some(link) = facts.link(interface) else { continue };
        let name = format!("net/ipv4/conf/{}/send_redirects", link.name);
        let redirects = facts.strictest("send_redirects", &link.name);
        let text = format!("{} is masqueraded in the very network of the virtual address {vip}", server.at);
        let mut finding = Finding::new("nat-one-arm", Severity::Warning, text)
            .read("ip address", format!("{vip} and the network of {} are on {}", server.at.ip(), link.name))
            .means("clients of that network are answered past the director and get nowhere")
            .fix("use direct routing here, or put the real servers into a network of their own");
        if redirects.is_some_and(|value| value > 0) && server.at.is_ipv4() {
            finding = finding
                .read(file(&name), "redirects are sent")
                .fix(set("net/ipv4/conf/all/send_redirects", 0))
                .fix(set(&name, 0));
        }
        found.push(finding);
        return;
    }
}

fn ftp(facts: &Facts, found: &mut Vec<Finding>) {
    let control = facts.masqueraded().find(|(service, _)| service.key.port() == Some(21));
    let Some((service, _)) = control.filter(|_| !facts.modules.contains("ip_vs_ftp")) else { return };
    found.push(
        Finding::new("ftp", Severity::Warning, format!("{} is FTP, and ip_vs_ftp is not loaded", service.key))
            .read("/proc/modules", "no ip_vs_ftp")
            .means("passive data connections go to addresses that clients cannot reach")
            .fix("modprobe ip_vs_ftp"),
    );
}

/// Modules that translate addresses by rules.
const TRANSLATORS: [&str; 5] = ["nft_masq", "nft_nat", "xt_MASQUERADE", "iptable_nat", "ip6table_nat"];

fn other_rules(facts: &Facts, found: &mut Vec<Finding>) {
    let translator = TRANSLATORS.into_iter().find(|name| facts.modules.contains(*name));
    let (Some(module), Some(0), true) = (translator, facts.vs("conntrack"), facts.masqueraded().next().is_some())
    else {
        return;
    };
    let text = "there are rules that translate addresses, and they do not see IPVS's connections";
    found.push(
        Finding::new("conntrack-off", Severity::Note, text)
            .read("/proc/modules", module)
            .read(file("net/ipv4/vs/conntrack"), "0")
            .means("SNAT or stateful rules for what IPVS forwards have no effect; if there are none, all is well")
            .fix(set("net/ipv4/vs/conntrack", 1)),
    );
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ETH0, director, found, ip, nat_director, own, server, service, set};
    use super::*;
    use crate::ipvs::{Forward, Stats};

    #[test]
    fn masquerading_needs_forwarding_and_direct_routing_does_not() {
        let mut facts = nat_director();
        set(&mut facts, "net/ipv4/ip_forward", "0");
        assert_eq!(found(&facts), ["ip-forward"]);
        facts.ways.insert(ip("10.1.0.1"), Way::Local);
        assert_eq!(found(&facts), [""; 0], "a server on this machine needs none");
        assert_eq!(director().sysctl("net/ipv4/ip_forward"), Some(0));

        let mut facts = nat_director();
        facts.services.push(service("[2001:db8::1]:80", vec![server("[2001:db8:1::1]:80", Forward::Masq)]));
        facts.addresses.push(own(ETH0, "2001:db8::1", 128));
        set(&mut facts, "net/ipv6/conf/all/forwarding", "1");
        facts.probes.holders.insert(ip("2001:db8::1"), [].into());
        assert_eq!(found(&facts), [""; 0]);
        set(&mut facts, "net/ipv6/conf/all/forwarding", "0");
        assert_eq!(found(&facts), ["ip-forward"]);
    }

    #[test]
    fn answers_have_to_come_back_through_the_director() {
        let mut facts = nat_director();
        let stats = &mut facts.services[0].destinations[0].stats;
        *stats = Stats { connections: 3, packets_in: 9, ..Stats::default() };
        assert_eq!(found(&facts), ["nat-return"]);
        facts.services[0].destinations[0].stats.packets_out = 1;
        assert_eq!(found(&facts), [""; 0]);
        let stats = &mut facts.services[0].destinations[0].stats;
        *stats = Stats { connections: 2, packets_in: 2, ..Stats::default() };
        assert_eq!(found(&facts), [""; 0], "too early to tell");
    }

    #[test]
    fn datagrams_may_stay_without_an_answer() {
        let mut facts = nat_director();
        facts.services[0].destinations[0].stats = Stats { connections: 9, packets_in: 9, ..Stats::default() };
        assert_eq!(crate::doctor::examine(&facts)[0].severity, Severity::Error);
        facts.services[0].key = ServiceKey::udp(([192, 168, 60, 200], 514).into());
        assert_eq!(found(&facts), ["nat-return"]);
        assert_eq!(crate::doctor::examine(&facts)[0].severity, Severity::Note);
        facts.services[0].service.one_packet = true;
        assert_eq!(found(&facts), [""; 0], "nobody counts its answers");
    }

    #[test]
    fn a_server_in_the_network_of_its_clients_answers_past_the_director() {
        let mut facts = nat_director();
        facts.ways.insert(ip("10.1.0.1"), Way::Neighbour(ETH0));
        assert_eq!(found(&facts), ["nat-one-arm"]);
        assert_eq!(crate::doctor::examine(&facts)[0].fix.len(), 3);
        set(&mut facts, "net/ipv4/conf/all/send_redirects", "0");
        assert_eq!(crate::doctor::examine(&facts)[0].fix.len(), 1);
    }

    #[test]
    fn ftp_needs_its_helper() {
        let mut facts = nat_director();
        facts.services = vec![service("192.168.60.200:21", vec![server("10.1.0.1:21", Forward::Masq)])];
        assert_eq!(found(&facts), ["ftp"]);
        facts.modules.insert("ip_vs_ftp".into());
        assert_eq!(found(&facts), [""; 0]);
    }

    #[test]
    fn rules_beside_ipvs_need_conntrack() {
        let mut facts = nat_director();
        facts.modules.insert("nft_masq".into());
        assert_eq!(found(&facts), ["conntrack-off"]);
        set(&mut facts, "net/ipv4/vs/conntrack", "1");
        assert_eq!(found(&facts), [""; 0]);
    }
}
