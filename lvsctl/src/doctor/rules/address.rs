//! The virtual addresses: here, elsewhere, twice, nowhere.

use std::net::IpAddr;

use super::mac;
use crate::doctor::{Answer, Facts, Finding, Severity};
use crate::ipvs::Forward;

pub(super) fn look(facts: &Facts, found: &mut Vec<Finding>) {
    for vip in facts.virtual_addresses() {
        let others = others(facts, vip);
        match facts.own(vip) {
            Some(state) if facts.keeps_to_itself(state.address.interface) => {
                held(facts, vip, &[], found);
                // Right, on a real server that stands by as a director, if another machine answers for it.
                elsewhere(facts, vip, &others.unwrap_or_default(), found);
            }
            Some(_) => held(facts, vip, &others.unwrap_or_default(), found),
            None => missing(facts, vip, others, found),
        }
    }
    if facts.virtual_addresses().iter().any(|vip| facts.own(*vip).is_some()) {
        on_servers(facts, found);
    }
    if let Some(why) = &facts.probes.failed {
        let text = "the neighbours could not be asked who has the virtual addresses";
        found.push(
            Finding::new("not-probed", Severity::Note, text)
                .read("packet socket", why)
                .means("double addresses, and real servers without the virtual address, would not be noticed")
                .fix("run lvsctl doctor as root"),
        );
    }
    if facts.probes.left_out > 0 {
        let count = facts.probes.left_out;
        found.push(
            Finding::new("not-all-probed", Severity::Note, "there are too many neighbours to ask all of them")
                .read("questions left out", count.to_string())
                .means("of those virtual addresses and real servers mistakes on other machines were not looked for"),
        );
    }
}

/// Which other machines answer for it; `None` if nobody was asked. Another interface of this machine in the same segment
/// answers too; the rules about ARP speak of that.
fn others(facts: &Facts, vip: IpAddr) -> Option<Vec<[u8; 6]>> {
    let ours = |mac: &[u8; 6]| facts.links.iter().any(|link| link.mac == Some(*mac));
    facts.probes.holders.get(&vip).map(|holders| holders.iter().copied().filter(|mac| !ours(mac)).collect())
}

/// What answers to this hardware address, if it is a real server that was asked.
fn server_of(facts: &Facts, holder: [u8; 6]) -> Option<IpAddr> {
    facts.probes.servers.iter().find(|(_, mac)| **mac == Some(holder)).map(|(ip, _)| *ip)
}

fn held(facts: &Facts, vip: IpAddr, others: &[[u8; 6]], found: &mut Vec<Finding>) {
    let Some(state) = facts.own(vip) else { return };
    let link = facts.link(state.address.interface);
    let name = link.map_or("its interface", |link| link.name.as_str());
    if state.duplicate || state.tentative {
        let what = if state.duplicate { "another machine has it (dadfailed)" } else { "detection goes on (tentative)" };
        found.push(
            Finding::new("vip-unusable", Severity::Error, format!("{vip} is on {name} and cannot be used"))
                .read(format!("ip address show dev {name}"), what)
                .means("this machine does not answer for it")
                .fix(format!("ip address del {vip}/{} dev {name}", state.address.prefix))
                .fix(format!("ip address add {vip}/{} dev {name} nodad", state.address.prefix)),
        );
    }
    if let Some(link) = link.filter(|link| !link.running && !link.loopback) {
        let what = if link.up { "no carrier" } else { "down" };
        found.push(
            Finding::new("vip-interface", Severity::Error, format!("{vip} is on {name}, which is not working"))
                .read(format!("ip link show dev {name}"), what)
                .means("no client reaches it")
                .fix(format!("ip link set dev {name} up")),
        );
    }
    let directors = without_servers(facts, vip, others, found);
    if !directors.is_empty() {
        found.push(
            Finding::new("vip-twice", Severity::Error, format!("{vip} is here and on another machine"))
                .read("ARP or neighbour discovery", answers(&directors, vip))
                .means("each client reaches one of them, and may reach the other one next minute")
                .fix("lvsctl status --cluster")
                .fix(format!("ip address del {vip}/{} dev {name}", state.address.prefix)),
        );
    }
}

fn answers(others: &[[u8; 6]], vip: IpAddr) -> String {
    let others: Vec<String> = others.iter().copied().map(mac).collect();
    format!("{} answers for {vip}", others.join(" and "))
}

/// Tells of the real servers among those who answer, and returns the others.
fn without_servers(facts: &Facts, vip: IpAddr, others: &[[u8; 6]], found: &mut Vec<Finding>) -> Vec<[u8; 6]> {
    let (servers, rest): (Vec<[u8; 6]>, Vec<_>) = others.iter().partition(|mac| server_of(facts, **mac).is_some());
    for other in servers {
        if let Some(server) = server_of(facts, other) {
            found.push(arp_flux(vip, server, answers(&[other], vip)));
        }
    }
    rest
}

fn arp_flux(vip: IpAddr, server: IpAddr, seen: String) -> Finding {
    let text = format!("the real server {server} answers for the virtual address {vip}");
    Finding::new("arp-flux", Severity::Error, text)
        .read("ARP or neighbour discovery", seen)
        .means("clients reach this server past the director, with no balancing and no failover")
        .fix(format!("on {server}: sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2"))
        .fix(format!("on {server}: realserver start, which does this and the address on lo"))
}

/// Not here, or hidden here.
fn elsewhere(facts: &Facts, vip: IpAddr, others: &[[u8; 6]], found: &mut Vec<Finding>) {
    let directors = without_servers(facts, vip, others, found);
    let finding = match directors.len() {
        0 => return,
        1 => Finding::new("vip-elsewhere", Severity::Note, format!("another machine has {vip}"))
            .means("right on a director that stands by"),
        count => Finding::new("vip-twice", Severity::Error, format!("{count} other machines have {vip}"))
            .means("each client reaches one of them, and may reach the other one next minute")
            .fix("lvsctl status --cluster"),
    };
    found.push(finding.read("ARP or neighbour discovery", answers(&directors, vip)));
}

fn missing(facts: &Facts, vip: IpAddr, others: Option<Vec<[u8; 6]>>, found: &mut Vec<Finding>) {
    if let Some(others) = others.as_ref().filter(|others| !others.is_empty()) {
        return elsewhere(facts, vip, others, found);
    }
    let here = format!("not on any interface: {vip}");
    let behind = facts.networks.get(&vip).and_then(|&interface| facts.link(interface));
    let askable = behind.is_some_and(|link| link.running && link.resolves);
    found.push(match others {
        Some(_) if askable => Finding::new("vip-missing", Severity::Error, format!("no machine has {vip}"))
            .read("ip address", here)
            .read("ARP or neighbour discovery", format!("nobody answers for {vip}"))
            .means("its services are in the table and no client reaches them")
            .fix("lvsctl takeover, where heartbeatd runs")
            .fix(format!("ip address add {vip}/{} dev INTERFACE, where it does not", whole(vip))),
        // Silence on an interface whose network is another one says nothing.
        Some(_) => Finding::new("vip-missing", Severity::Warning, format!("{vip} is not on this machine"))
            .read("ip address", here)
            .read("ip route", format!("no working interface of this machine has a network with {vip}"))
            .means("right on a director that stands by; whether another machine has it cannot be asked from here")
            .fix("lvsctl status --cluster, which tells who has it"),
        None => Finding::new("vip-missing", Severity::Warning, format!("{vip} is not on this machine"))
            .read("ip address", here)
            .means("right on a director that stands by; nobody could be asked whether another machine has it"),
    });
}

fn whole(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// Real servers with direct routing have to have the virtual address too.
fn on_servers(facts: &Facts, found: &mut Vec<Finding>) {
    for (&server, mac) in &facts.probes.servers {
        if mac.is_none() {
            found.push(
                Finding::new("server-silent", Severity::Warning, format!("the real server {server} does not answer"))
                    .read("ARP or neighbour discovery", format!("nobody answers for {server}"))
                    .means("it is off, or not in this network; what is sent to it is lost")
                    .fix(format!("ping {server}")),
            );
        }
    }
    let direct = facts.servers().filter(|(_, server)| server.destination.forward == Forward::Gate);
    let mut pairs: Vec<(IpAddr, IpAddr)> = direct
        .filter_map(|(service, server)| Some((server.at.ip(), crate::doctor::facts::virtual_address(&service.key)?)))
        .collect();
    pairs.sort();
    pairs.dedup();
    for (server, vip) in pairs {
        let answer = |ip| facts.probes.echoes.get(&(server, ip));
        // A server that answers no echo request for its own address says nothing by silence.
        if answer(server) == Some(&Answer::Yes) && answer(vip) == Some(&Answer::No) {
            let text = format!("the real server {server} does not have the virtual address {vip}");
            found.push(
                Finding::new("vip-not-on-server", Severity::Error, text)
                    .read(format!("echo request to {server}"), "answered")
                    .read(format!("echo request for {vip}, sent to the same machine"), "not answered")
                    .means("with direct routing it gets packets for that address, and throws them away")
                    .fix(format!("on {server}: ip address add {vip}/{} dev lo", whole(vip)))
                    .fix(format!("on {server}: realserver start, which also keeps it from answering ARP")),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ETH1, OTHER_MAC, SERVER_MAC, VIP, director, found, ip, link, set};
    use super::*;

    #[test]
    fn a_virtual_address_is_on_one_machine() {
        let mut facts = director();
        facts.probes.holders.insert(ip(VIP), [OTHER_MAC].into());
        assert_eq!(found(&facts), ["vip-twice"]);
        facts.probes.holders.insert(ip(VIP), [SERVER_MAC].into());
        assert_eq!(found(&facts), ["arp-flux"]);
        facts.addresses.retain(|state| state.address.ip != ip(VIP));
        assert_eq!(found(&facts), ["arp-flux"]);
        facts.probes.holders.insert(ip(VIP), [OTHER_MAC].into());
        assert_eq!(found(&facts), ["vip-elsewhere"]);
        facts.probes.holders.insert(ip(VIP), [].into());
        assert_eq!(found(&facts), ["vip-missing"]);
        assert_eq!(crate::doctor::examine(&facts)[0].severity, Severity::Error);
        facts.networks.clear();
        assert_eq!(crate::doctor::examine(&facts)[0].severity, Severity::Warning, "asked in another network");
        facts.probes.holders.clear();
        assert_eq!(crate::doctor::examine(&facts)[0].severity, Severity::Warning, "it may be elsewhere");
    }

    #[test]
    fn everybody_who_answers_is_told_of_whoever_was_first() {
        let mut facts = director();
        facts.links.push(link(ETH1, "eth1"));
        let own = facts.links[2].mac.expect("it has one");
        facts.probes.holders.insert(ip(VIP), [own, OTHER_MAC, SERVER_MAC].into());
        assert_eq!(found(&facts), ["arp-flux", "vip-twice"]);
        facts.addresses.retain(|state| state.address.ip != ip(VIP));
        assert_eq!(found(&facts), ["arp-flux", "vip-elsewhere"]);
        facts.probes.holders.insert(ip(VIP), [OTHER_MAC, [2, 0, 0, 0, 0, 8]].into());
        assert_eq!(found(&facts), ["vip-twice"]);
        let evidence = crate::doctor::examine(&facts)[0].evidence[0].value.clone();
        assert_eq!(evidence, "02:00:00:00:00:08 and 02:00:00:00:00:09 answers for 192.168.60.200");
    }

    #[test]
    fn an_interface_of_this_machine_is_no_other_director() {
        let mut facts = director();
        facts.links.push(link(ETH1, "eth1"));
        facts.probes.holders.insert(ip(VIP), facts.links[2].mac.into_iter().collect());
        assert_eq!(found(&facts), [""; 0]);
    }

    #[test]
    fn a_real_server_that_stands_by_has_the_address_on_lo() {
        let mut facts = director();
        set(&mut facts, "net/ipv4/conf/all/arp_ignore", "1");
        set(&mut facts, "net/ipv4/conf/all/arp_announce", "2");
        facts.addresses[1].address.interface = 1;
        assert_eq!(found(&facts), [""; 0]);
        facts.probes.holders.insert(ip(VIP), [OTHER_MAC].into());
        assert_eq!(found(&facts), ["vip-elsewhere"]);
    }

    #[test]
    fn that_not_everybody_was_asked_is_told() {
        let mut facts = director();
        facts.probes.left_out = 3;
        assert_eq!(found(&facts), ["not-all-probed"]);
        assert_eq!(crate::doctor::examine(&facts)[0].evidence[0].value, "3");
    }

    #[test]
    fn a_virtual_address_has_to_be_usable() {
        let mut facts = director();
        facts.addresses[1].duplicate = true;
        assert_eq!(found(&facts), ["vip-unusable"]);
        let mut facts = director();
        facts.links[1].running = false;
        assert_eq!(found(&facts), ["vip-interface"]);
    }

    #[test]
    fn a_real_server_without_the_virtual_address_is_found_if_it_answers_at_all() {
        let mut facts = director();
        let real = ip("192.168.60.132");
        facts.probes.echoes.insert((real, ip(VIP)), Answer::No);
        assert_eq!(found(&facts), ["vip-not-on-server"]);
        facts.probes.echoes.insert((real, real), Answer::No);
        assert_eq!(found(&facts), [""; 0], "it answers no echo request whatever");
        facts.probes.servers.insert(real, None);
        assert_eq!(found(&facts), ["server-silent"]);
    }

    #[test]
    fn that_nobody_could_be_asked_is_told() {
        let mut facts = director();
        facts.probes.failed = Some("Operation not permitted".into());
        assert_eq!(found(&facts), ["not-probed"]);
    }
}
