//! The sync daemons of this machine.

use super::{file, set};
use crate::doctor::{Facts, Finding, Severity, Way};
use crate::ipvs::{Forward, SyncRole};
use crate::state::role_name;

pub(super) fn look(facts: &Facts, found: &mut Vec<Finding>) {
    interfaces(facts, found);
    loops(facts, found);
    if let [first, second] = facts.daemons.as_slice()
        && first.sync_id != second.sync_id
        && second.sync_id != 0
        && first.sync_id != 0
    {
        found.push(
            Finding::new("sync-id", Severity::Warning, "the two sync daemons of this machine have different ids")
                .read("lvsctl -L --daemon", format!("{} has {}", role_name(first.role), first.sync_id))
                .read("lvsctl -L --daemon", format!("{} has {}", role_name(second.role), second.sync_id))
                .means("after a switch the other director throws away what this one sends")
                .fix(format!("lvsctl --stop-daemon {}", role_name(second.role)))
                .fix(format!(
                    "lvsctl --start-daemon {} --mcast-interface {} --syncid {}",
                    role_name(second.role),
                    second.interface,
                    first.sync_id
                )),
        );
    }
}

fn interfaces(facts: &Facts, found: &mut Vec<Finding>) {
    for daemon in &facts.daemons {
        let link = facts.links.iter().find(|link| link.name == daemon.interface);
        let what = match link {
            Some(link) if link.running => continue,
            Some(link) if link.up => "no carrier",
            Some(_) => "down",
            None => "not there",
        };
        let role = role_name(daemon.role);
        found.push(
            Finding::new(
                "sync-interface",
                Severity::Error,
                format!("the {role} sync daemon uses {}", daemon.interface),
            )
            .read(format!("ip link show dev {}", daemon.interface), what)
            .means("no connection is synchronised; a takeover breaks all of them")
            .fix(format!("ip link set dev {} up", daemon.interface)),
        );
    }
}

/// A director that stands by and is a real server too must not balance what it gets as a real server.
fn loops(facts: &Facts, found: &mut Vec<Finding>) {
    let stands_by = facts.daemons.iter().any(|daemon| daemon.role == SyncRole::Backup)
        && facts.daemons.iter().all(|daemon| daemon.role != SyncRole::Master);
    let local = facts.servers().find(|(_, server)| {
        server.destination.forward != Forward::Masq && facts.ways.get(&server.at.ip()) == Some(&Way::Local)
    });
    let Some((service, server)) = local.filter(|_| stands_by && facts.vs("backup_only") == Some(0)) else { return };
    let text = format!("this machine stands by and is itself the real server {} of {}", server.at, service.key);
    found.push(
        Finding::new("backup-only", Severity::Warning, text)
            .read(file("net/ipv4/vs/backup_only"), "0")
            .means("what the other director sends here may be balanced again, and go round in a circle")
            .fix(set("net/ipv4/vs/backup_only", 1)),
    );
}

#[cfg(test)]
mod tests {
    use super::super::testing::{director, found, ip, set};
    use super::*;
    use crate::ipvs::SyncDaemon;

    fn daemon(role: SyncRole, sync_id: u8) -> SyncDaemon {
        let interface = "eth0".to_owned();
        SyncDaemon { role, interface, sync_id, max_length: None, group: None, port: None, ttl: None }
    }

    #[test]
    fn the_daemons_of_a_machine_agree_on_an_id() {
        let mut facts = director();
        facts.daemons = vec![daemon(SyncRole::Master, 7), daemon(SyncRole::Backup, 8)];
        assert_eq!(found(&facts), ["sync-id"]);
        facts.daemons[1].sync_id = 0;
        assert_eq!(found(&facts), [""; 0], "a backup with 0 takes everything");
        facts.daemons[1].sync_id = 7;
        assert_eq!(found(&facts), [""; 0]);
    }

    #[test]
    fn a_daemon_needs_a_working_interface() {
        let mut facts = director();
        facts.daemons = vec![SyncDaemon { interface: "eth9".into(), ..daemon(SyncRole::Master, 7) }];
        assert_eq!(found(&facts), ["sync-interface"]);
        facts.daemons = vec![daemon(SyncRole::Master, 7)];
        assert_eq!(found(&facts), [""; 0]);
    }

    #[test]
    fn a_standing_by_director_that_serves_must_not_balance() {
        let mut facts = director();
        facts.daemons = vec![daemon(SyncRole::Backup, 7)];
        assert_eq!(found(&facts), [""; 0]);
        facts.ways.insert(ip("192.168.60.132"), Way::Local);
        assert_eq!(found(&facts), ["backup-only"]);
        set(&mut facts, "net/ipv4/vs/backup_only", "1");
        assert_eq!(found(&facts), [""; 0]);
    }
}
