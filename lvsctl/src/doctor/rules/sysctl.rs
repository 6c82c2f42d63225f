//! The settings of IPVS against what the table needs of them (spec/ipvs.md B.9).

use super::{file, set};
use crate::diag::counted;
use crate::doctor::{Facts, Finding, Severity};
use crate::ipvs::{Protocol, ServiceKey};

/// From 5.9 on a reused port is scheduled again without the delay of a second.
const REUSE_WITHOUT_DELAY: (u32, u32) = (5, 9);

pub(super) fn look(facts: &Facts, found: &mut Vec<Finding>) {
    connection_table(facts, found);
    if facts.services.is_empty() {
        return;
    }
    no_destination(facts, found);
    quiescent(facts, found);
    reuse(facts, found);
    conntrack(facts, found);
    if facts.vs("run_estimation") == Some(0) {
        found.push(
            Finding::new("estimation-off", Severity::Note, "the counters of IPVS stand still")
                .read(file("net/ipv4/vs/run_estimation"), "0")
                .means("ipvsadm --stats, lvsctl status and lvsctl top show old numbers")
                .fix(set("net/ipv4/vs/run_estimation", 1)),
        );
    }
}

fn no_destination(facts: &Facts, found: &mut Vec<Finding>) {
    if facts.vs("expire_nodest_conn") != Some(0) {
        return;
    }
    let is_udp = |key: &ServiceKey| matches!(key, ServiceKey::Address { protocol: Protocol::Udp, .. });
    let udp = facts.services.iter().find(|service| is_udp(&service.key) && !service.service.one_packet);
    let mut finding = Finding::new("expire-nodest-conn", Severity::Warning, "connections of a deleted server hang")
        .read(file("net/ipv4/vs/expire_nodest_conn"), "0")
        .means(
            "when a dead server is deleted (quiescent=no), packets of its clients are dropped in silence until their \
             connections time out, instead of going to another one; it does nothing for weight 0 (quiescent=yes)",
        );
    if let Some(service) = udp {
        finding = finding.read("IPVS table", format!("{} is UDP, where clients do not notice", service.key));
    }
    found.push(finding.fix(set("net/ipv4/vs/expire_nodest_conn", 1)));
}

fn quiescent(facts: &Facts, found: &mut Vec<Finding>) {
    let persistent = facts.services.iter().find(|service| service.service.persistence.is_some());
    let Some(service) = persistent.filter(|_| facts.vs("expire_quiescent_template") == Some(0)) else { return };
    let stuck = facts.servers().find(|(service, server)| {
        let quiet = server.destination.weight == 0 && server.persistent_connections > 0;
        service.service.persistence.is_some() && quiet
    });
    let (severity, service, are) = match stuck {
        Some((service, _)) => (Severity::Error, service, "are"),
        None => (Severity::Warning, service, "would be"),
    };
    let text = format!("{} is persistent, and clients {are} kept at servers with weight 0", service.key);
    let mut finding = Finding::new("expire-quiescent-template", severity, text)
        .read(file("net/ipv4/vs/expire_quiescent_template"), "0")
        .means("a server that is drained, or that failed its checks with quiescent on, keeps its clients");
    if let Some((service, server)) = stuck {
        let clients = counted(server.persistent_connections.into(), "client");
        finding = finding
            .read(format!("{} of {}", server.at, service.key), format!("weight 0 and {clients} kept by persistence"));
    }
    found.push(finding.fix(set("net/ipv4/vs/expire_quiescent_template", 1)));
}

fn reuse(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(mode) = facts.vs("conn_reuse_mode") else { return };
    let delayed = facts.vs("conntrack") == Some(1) && facts.kernel.is_some_and(|kernel| kernel < REUSE_WITHOUT_DELAY);
    // With that delay 0 is the better of two evils, and what is advised below.
    if mode == 0 && !delayed {
        found.push(
            Finding::new("conn-reuse-mode", Severity::Warning, "a client that uses a port again gets its old server")
                .read(file("net/ipv4/vs/conn_reuse_mode"), "0")
                .means("behind a proxy or NAT, drained and new servers get too much and too little")
                .fix(set("net/ipv4/vs/conn_reuse_mode", 1)),
        );
    } else if mode != 0 && delayed {
        let (major, minor) = facts.kernel.unwrap_or_default();
        let text = "on this kernel a client that uses a port again waits for a second";
        found.push(
            Finding::new("conn-reuse-delay", Severity::Warning, text)
                .read("uname -r", format!("{major}.{minor}"))
                .read(file("net/ipv4/vs/conn_reuse_mode"), mode.to_string())
                .read(file("net/ipv4/vs/conntrack"), "1")
                .means("its first packet is dropped whenever the old connection is in TIME_WAIT")
                .fix(set("net/ipv4/vs/conn_reuse_mode", 0))
                .fix("or take a kernel from 5.9 on"),
        );
    }
}

fn conntrack(facts: &Facts, found: &mut Vec<Finding>) {
    if facts.vs("conntrack") == Some(1) && facts.masqueraded().next().is_none() {
        found.push(
            Finding::new(
                "conntrack-idle",
                Severity::Note,
                "IPVS keeps netfilter's connections too, and nothing is masqueraded",
            )
            .read(file("net/ipv4/vs/conntrack"), "1")
            .means("it costs time and memory for each connection; only stateful rules about virtual services need it")
            .fix(set("net/ipv4/vs/conntrack", 0)),
        );
    }
}

/// Full tables drop packets of everybody, so this is looked at without services too.
fn connection_table(facts: &Facts, found: &mut Vec<Finding>) {
    let (count, most) = ("net/netfilter/nf_conntrack_count", "net/netfilter/nf_conntrack_max");
    let (Some(used), Some(limit)) = (facts.sysctl(count), facts.sysctl(most)) else { return };
    if limit > 0 && used.saturating_mul(10) >= limit.saturating_mul(9) {
        let double = u32::try_from(limit.saturating_mul(2)).unwrap_or(u32::MAX);
        found.push(
            Finding::new("conntrack-full", Severity::Error, "netfilter's connection table is almost full")
                .read(file(count), used.to_string())
                .read(file(most), limit.to_string())
                .means("when it is, new connections are dropped: \"nf_conntrack: table full\" in the kernel's log")
                .fix(set(most, double)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{director, found, nat_director, server, service, set};
    use super::*;
    use crate::doctor::examine;
    use crate::ipvs::{Forward, Netmask, Persistence};
    use std::net::Ipv4Addr;

    #[test]
    fn settings_matter_where_there_are_services() {
        for (name, bad, id) in [
            ("expire_nodest_conn", "0", "expire-nodest-conn"),
            ("conn_reuse_mode", "0", "conn-reuse-mode"),
            ("run_estimation", "0", "estimation-off"),
            ("conntrack", "1", "conntrack-idle"),
        ] {
            let mut facts = director();
            set(&mut facts, &format!("net/ipv4/vs/{name}"), bad);
            assert_eq!(found(&facts), [id]);
            facts.services.clear();
            assert_eq!(found(&facts), [""; 0], "{name} without services");
        }
    }

    #[test]
    fn udp_makes_forgotten_connections_worse() {
        let mut facts = director();
        set(&mut facts, "net/ipv4/vs/expire_nodest_conn", "0");
        assert_eq!(examine(&facts)[0].evidence.len(), 1);
        let mut dns = service("192.168.60.200:53", vec![server("192.168.60.132:53", Forward::Gate)]);
        dns.key = ServiceKey::udp(([192, 168, 60, 200], 53).into());
        facts.services.push(dns);
        assert_eq!(examine(&facts)[0].evidence.len(), 2);
    }

    #[test]
    fn persistence_needs_templates_that_expire() {
        let mut facts = director();
        set(&mut facts, "net/ipv4/vs/expire_quiescent_template", "0");
        assert_eq!(found(&facts), [""; 0]);
        let netmask = Netmask::Mask(Ipv4Addr::BROADCAST);
        facts.services[0].service.persistence = Some(Persistence { timeout: 300, netmask });
        assert_eq!(examine(&facts)[0].severity, Severity::Warning);
        let told = examine(&facts)[0].to_string();
        assert!(told.contains("tcp 192.168.60.200:80 is persistent, and clients would be kept"), "{told}");
        let mut other = service("192.168.60.200:443", vec![]);
        other.destinations = ["192.168.60.144:443", "192.168.60.132:443"].map(|at| server(at, Forward::Gate)).into();
        other.service.persistence = facts.services[0].service.persistence;
        other.destinations[0].destination.weight = 0;
        other.destinations[0].persistent_connections = 4;
        facts.services.push(other);
        let finding = examine(&facts).into_iter().find(|finding| finding.id == "expire-quiescent-template");
        let finding = finding.expect("it happens now");
        assert_eq!(finding.severity, Severity::Error);
        let told = finding.to_string();
        assert!(told.contains("tcp 192.168.60.200:443 is persistent, and clients are kept"), "{told}");
        set(&mut facts, "net/ipv4/vs/expire_quiescent_template", "1");
        assert_eq!(found(&facts), [""; 0]);
    }

    #[test]
    fn old_kernels_delay_reused_ports_with_conntrack() {
        let mut facts = nat_director();
        set(&mut facts, "net/ipv4/vs/conntrack", "1");
        assert_eq!(found(&facts), [""; 0]);
        facts.kernel = Some((5, 4));
        assert_eq!(found(&facts), ["conn-reuse-delay"]);
        set(&mut facts, "net/ipv4/vs/conn_reuse_mode", "0");
        assert_eq!(found(&facts), [""; 0], "the advice is followed");
        facts.kernel = Some((5, 9));
        assert_eq!(found(&facts), ["conn-reuse-mode"]);
        facts.kernel = Some((5, 4));
        set(&mut facts, "net/ipv4/vs/conn_reuse_mode", "1");
        set(&mut facts, "net/ipv4/vs/conntrack", "0");
        assert_eq!(found(&facts), [""; 0]);
    }

    #[test]
    fn a_connection_table_is_full_at_nine_tenths() {
        let mut facts = director();
        set(&mut facts, "net/netfilter/nf_conntrack_max", "1000");
        set(&mut facts, "net/netfilter/nf_conntrack_count", "899");
        assert_eq!(found(&facts), [""; 0]);
        set(&mut facts, "net/netfilter/nf_conntrack_count", "900");
        assert_eq!(found(&facts), ["conntrack-full"]);
    }
}
