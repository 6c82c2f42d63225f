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
    let vip_questions = vips.iter().filter_map(|&vip| question(facts, vip, facts.interface_of(vip)));
    let servers: BTreeSet<IpAddr> = facts.servers().map(|(_, server)| server.at.ip()).collect();
    let server_questions = servers.iter().filter_map(|&server| match facts.ways.get(&server) {
        Some(&Way::Neighbour(interface)) => question(facts, server, Some(interface)),
        _ => None,
    });
    let (vip_questions, server_questions): (Vec<_>, Vec<_>) =
        (vip_questions.take(MOST).collect(), server_questions.take(MOST).collect());
    thread::scope(|scope| {
        let holders: Vec<_> = vip_questions.iter().map(|q| scope.spawn(move || (q.ip, who(q)))).collect();
        let macs: Vec<_> = server_questions.iter().map(|q| scope.spawn(move || (q, who(q)))).collect();
        for (ip, answer) in holders.into_iter().filter_map(|thread| thread.join().ok()) {
            note(&mut probes, answer, |probes, holder| {
                probes.holders.insert(ip, holder);
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

/// Where an address is asked for: on the interface that has it, else on the one whose network holds it.
fn question(facts: &Facts, ip: IpAddr, interface: Option<u32>) -> Option<Question> {
    let usable = |index| facts.link(index).filter(|link| link.running && link.resolves);
    let link = interface.and_then(usable).or_else(|| usable(facts.default_interface?)).or_else(|| {
        let mut links = facts.links.iter().filter(|link| link.running && link.resolves);
        links.next().filter(|_| links.next().is_none())
    })?;
    Some(Question { interface: link.index, mac: link.mac?, ip })
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
        let all = std::iter::once(server).chain(vips.into_iter().take(MOST));
        asked.extend(
            all.map(|ip| (q.ip, echo::Request { interface: q.interface, from: (q.mac, source), to: (to, ip) })),
        );
    }
    asked.truncate(MOST);
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
