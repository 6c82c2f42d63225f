//! Asks the neighbours: who has the virtual addresses, and do the real servers take them.
//!
//! Everything is asked at the same time, and nothing for longer than a moment.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use crate::doctor::{Answer, Facts, Probes, Way};
use crate::ipvs::Forward;
use crate::netlink::announce::{self, echo};
use crate::netlink::link::Link;

/// A neighbour answers within milliseconds; questions may be lost and are repeated within this.
const PATIENCE: Duration = Duration::from_millis(900);
/// More addresses are not asked for: each takes a thread for a moment.
const MOST: usize = 64;

/// One question, and where it is asked.
struct Question {
    interface: u32,
    mac: [u8; 6],
    ip: IpAddr,
}

pub(super) fn ask(facts: &Facts) -> Probes {
    let mut probes = Probes::default();
    let vips: Vec<IpAddr> = facts.virtual_addresses().into_iter().collect();
    let vip_questions: Vec<_> =
        vips.iter().filter_map(|&vip| Question::on(facts.link(place(facts, vip)?)?, vip)).collect();
    let servers: BTreeSet<IpAddr> = facts.servers().map(|(_, server)| server.at.ip()).collect();
    let server_questions = servers.iter().filter_map(|&server| match facts.ways.get(&server) {
        Some(&Way::Neighbour(interface)) => Question::on(usable(facts, interface)?, server),
        _ => None,
    });
    let (vip_questions, vips_left) = bounded(vip_questions);
    let (server_questions, servers_left) = bounded(server_questions.collect());
    probes.left_out = vips_left + servers_left;
    thread::scope(|scope| {
        let holders: Vec<_> = vip_questions.iter().map(|q| scope.spawn(move || (q.ip, all(q)))).collect();
        let macs: Vec<_> = server_questions.iter().map(|q| scope.spawn(move || (q, who(q)))).collect();
        for (ip, answer) in holders.into_iter().filter_map(|thread| thread.join().ok()) {
            note(&mut probes, answer, |probes, holders| {
                probes.holders.insert(ip, holders);
            });
        }
        for (q, answer) in macs.into_iter().filter_map(|thread| thread.join().ok()) {
            note(&mut probes, answer, |probes, mac| {
                probes.servers.insert(q.ip, mac);
            });
        }
    });
    echoes(facts, &server_questions, &mut probes);
    probes
}

/// As many as are asked, and how many are left out.
fn bounded<T>(mut questions: Vec<T>) -> (Vec<T>, usize) {
    let left = questions.len().saturating_sub(MOST);
    questions.truncate(MOST);
    (questions, left)
}

impl Question {
    fn on(link: &Link, ip: IpAddr) -> Option<Self> {
        Some(Self { interface: link.index, mac: link.mac?, ip })
    }
}

/// Only there can a neighbour be asked.
fn usable(facts: &Facts, interface: u32) -> Option<&Link> {
    facts.link(interface).filter(|link| link.running && link.resolves)
}

/// Where a virtual address is asked for: on the interface that has it, else on the one whose network holds it. An
/// address that lies in no network of this machine may be asked for where most clients come from, but silence there
/// says nothing.
fn place(facts: &Facts, vip: IpAddr) -> Option<u32> {
    let known = [facts.interface_of(vip), facts.networks.get(&vip).copied()];
    if let Some(link) = known.into_iter().flatten().find_map(|interface| usable(facts, interface)) {
        return Some(link.index);
    }
    let mut links = facts.links.iter().filter(|link| link.running && link.resolves);
    let only = links.next().filter(|_| links.next().is_none());
    facts.default_interface.and_then(|interface| usable(facts, interface)).or(only).map(|link| link.index)
}

/// Everybody: who is first need not be the one that matters.
fn all(Question { interface, mac, ip }: &Question) -> io::Result<BTreeSet<[u8; 6]>> {
    let mut found = announce::holders(*interface, *mac, &[*ip], PATIENCE)?;
    Ok(found.remove(ip).unwrap_or_default())
}

fn who(Question { interface, mac, ip }: &Question) -> io::Result<Option<[u8; 6]>> {
    announce::holder(*interface, *mac, *ip, PATIENCE)
}

fn note<T>(probes: &mut Probes, answer: io::Result<T>, keep: impl FnOnce(&mut Probes, T)) {
    match answer {
        Ok(answer) => keep(probes, answer),
        Err(error) => probes.failed = Some(error.to_string()),
    }
}

/// Sends each directly routed server an echo request for itself and one for each of its virtual addresses.
fn echoes(facts: &Facts, questions: &[Question], probes: &mut Probes) {
    let mut asked = Vec::new();
    for q in questions {
        let (IpAddr::V4(server), Some(Some(to))) = (q.ip, probes.servers.get(&q.ip).copied()) else { continue };
        let Some(source) = source(facts, q.interface) else { continue };
        let direct = facts.servers().filter(|(_, listed)| listed.at.ip() == q.ip);
        let direct = direct.filter(|(_, listed)| listed.destination.forward == Forward::Gate);
        let mut vips: Vec<Ipv4Addr> = direct
            .filter_map(|(service, _)| match crate::doctor::virtual_address(&service.key) {
                Some(IpAddr::V4(vip)) => Some(vip),
                _ => None,
            })
            .collect();
        vips.sort();
        vips.dedup();
        let all = std::iter::once(server).chain(vips);
        asked.extend(
            all.map(|ip| (q.ip, echo::Request { interface: q.interface, from: (q.mac, source), to: (to, ip) })),
        );
    }
    let (asked, left) = bounded(asked);
    probes.left_out += left;
    thread::scope(|scope| {
        let asked = asked
            .iter()
            .map(|(server, request)| scope.spawn(move || (*server, request.to.1, echo::answered(request, PATIENCE))));
        for (server, ip, answer) in asked.collect::<Vec<_>>().into_iter().filter_map(|thread| thread.join().ok()) {
            note(probes, answer, |probes, answered| {
                let answer = if answered { Answer::Yes } else { Answer::No };
                probes.echoes.insert((server, IpAddr::V4(ip)), answer);
            });
        }
    });
}

/// An address of this machine that is not a virtual one: answers to it come back here.
fn source(facts: &Facts, interface: u32) -> Option<Ipv4Addr> {
    let vips = facts.virtual_addresses();
    facts.addresses.iter().map(|state| &state.address).find_map(|address| match address.ip {
        IpAddr::V4(ip) if address.interface == interface && !vips.contains(&address.ip) => Some(ip),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::address::{Address, AddressState};

    fn link(index: u32) -> Link {
        let (up, running, resolves) = (true, true, true);
        let name = format!("eth{index}");
        Link { index, name, mac: Some([2, 0, 0, 0, 0, 1]), up, running, loopback: false, resolves, mtu: 1500 }
    }

    #[test]
    fn an_address_is_asked_for_where_it_belongs() {
        let vip: IpAddr = [192, 168, 60, 200].into();
        let mut facts = Facts { links: vec![link(1), link(2), link(3)], ..Facts::default() };
        assert_eq!(place(&facts, vip), None, "nothing tells which of the three");
        facts.default_interface = Some(1);
        assert_eq!(place(&facts, vip), Some(1));
        facts.networks.insert(vip, 2);
        assert_eq!(place(&facts, vip), Some(2), "the default route leads elsewhere");
        let address = Address::new(3, vip, 32);
        facts.addresses.push(AddressState { address, tentative: false, duplicate: false });
        assert_eq!(place(&facts, vip), Some(3));
        facts.links[2].resolves = false;
        assert_eq!(place(&facts, vip), Some(2), "it is on lo, and its network is behind another interface");
        assert_eq!(place(&Facts { links: vec![link(1)], ..Facts::default() }, vip), Some(1), "the only one");
    }

    #[test]
    fn questions_beyond_the_bound_are_counted() {
        assert_eq!(bounded(vec![(); MOST]).1, 0);
        let (asked, left) = bounded(vec![(); MOST + 3]);
        assert_eq!((asked.len(), left), (MOST, 3));
    }
}
