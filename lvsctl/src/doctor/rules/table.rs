//! The table itself: what the kernel takes although it cannot be meant.

use crate::doctor::{Facts, Finding, Severity};
use crate::ipvs::Forward;

pub(super) fn look(facts: &Facts, found: &mut Vec<Finding>) {
    for service in &facts.services {
        if service.destinations.iter().any(|server| server.destination.weight > 0) {
            continue;
        }
        let what = match service.destinations.len() {
            0 => "no real server".to_owned(),
            1 => "1 real server, with weight 0".to_owned(),
            count => format!("{count} real servers, all with weight 0"),
        };
        found.push(
            Finding::new("no-server", Severity::Error, format!("nobody serves {}", service.key))
                .read("IPVS table", what)
                .means("new clients are refused")
                .fix("lvsctl status --cluster, which tells why ldirectord took them out")
                .fix("lvsctl undrain SERVER, if they were drained"),
        );
    }
    for (service, server) in facts.servers() {
        let keeps = matches!(server.destination.forward, Forward::Gate | Forward::Tunnel(_));
        if let Some(port) = service.key.port().filter(|&port| keeps && port != server.at.port()) {
            let text = format!("{} gets its packets at port {port}, not at {}", server.at, server.at.port());
            found.push(
                Finding::new("port-kept", Severity::Error, text)
                    .read("IPVS table", format!("{} of {} is not masqueraded", server.at, service.key))
                    .means("direct routing and tunnels do not change ports")
                    .fix(format!("let the server listen at port {port}, or masquerade it")),
            );
        }
    }
    schedulers(facts, found);
}

fn schedulers(facts: &Facts, found: &mut Vec<Finding>) {
    for (scheduler, who) in &facts.schedulers {
        let module = format!("ip_vs_{}", scheduler.replace('-', "_"));
        let Some(loadable) = facts.loadable.as_ref().filter(|_| !facts.modules.contains(&module)) else { continue };
        if loadable.contains(&module) {
            found.push(
                Finding::new(
                    "scheduler-not-loaded",
                    Severity::Note,
                    format!("the scheduler {scheduler} is not loaded yet"),
                )
                .read("/proc/modules", format!("no {module}"))
                .read(who.clone(), format!("wants {scheduler}"))
                .means("the kernel loads it when the service is added, if it may load modules then")
                .fix(format!("modprobe {module}")),
            );
        } else {
            found.push(
                Finding::new("scheduler-missing", Severity::Error, format!("this kernel has no scheduler {scheduler}"))
                    .read("/lib/modules", format!("no {module}"))
                    .read(who.clone(), format!("wants {scheduler}"))
                    .means("the service cannot be added")
                    .fix(format!("install the kernel package that has {module}.ko, or take another scheduler")),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{director, found};

    #[test]
    fn somebody_has_to_serve() {
        let mut facts = director();
        facts.services[0].destinations[0].destination.weight = 0;
        assert_eq!(found(&facts), ["no-server"]);
        facts.services[0].destinations.clear();
        assert_eq!(found(&facts), ["no-server"]);
    }

    #[test]
    fn direct_routing_keeps_the_port() {
        let mut facts = director();
        facts.services[0].destinations[0].at.set_port(8080);
        assert_eq!(found(&facts), ["port-kept"]);
    }

    #[test]
    fn schedulers_that_are_wanted_have_to_be_there() {
        let mut facts = director();
        facts.schedulers.insert("wrr".into(), "/etc/ha.d/ldirectord.cf".into());
        assert_eq!(found(&facts), [""; 0], "nobody knows which modules there are");
        facts.loadable = Some([].into());
        assert_eq!(found(&facts), ["scheduler-missing"]);
        facts.loadable = Some(["ip_vs_wrr".to_owned()].into());
        assert_eq!(found(&facts), ["scheduler-not-loaded"]);
        facts.modules.insert("ip_vs_wrr".into());
        assert_eq!(found(&facts), [""; 0]);
    }
}
