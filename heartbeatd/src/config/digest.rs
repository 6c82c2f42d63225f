//! Short digests of the three files, which two heartbeatd tell each other: haresources must be the same on both
//! nodes, and nothing else would notice if it is not (spec/heartbeat.md 2.5, fault 11).

use sha2::{Digest, Sha256};

use super::{Config, Group, HaCf};
use crate::core::Files;

/// Of what both nodes should have in common. Never 0, which is for what is not known.
#[must_use]
pub fn digests(config: &Config) -> Files {
    Files {
        ha_cf: short(&ha_cf(&config.ha_cf)),
        haresources: short(&haresources(&config.groups)),
        authkeys: config.keys.digest(),
    }
}

fn short(text: &str) -> u32 {
    let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(text.as_bytes()));
    u32::from_be_bytes([a, b, c, d]).max(1)
}

/// Media, watchdog, fencing devices and programs are a node's own and may differ.
fn ha_cf(file: &HaCf) -> String {
    let HaCf { nodes, keepalive, deadtime, warntime, initdead, auto_failback, legacy, ipfail, deadping, pings, .. } =
        file;
    // With a heartbeat it is another protocol, so one file with it and one with "on" are two.
    let auto_failback = if *legacy {
        "legacy"
    } else if *auto_failback {
        "true"
    } else {
        "false"
    };
    let mut nodes = nodes.clone();
    if nodes.len() <= 2 {
        // Of more nodes the order counts: it is that of the homes.
        nodes.sort();
    }
    let mut pings: Vec<&str> = pings.iter().map(|ping| ping.name.as_str()).collect();
    pings.sort_unstable();
    format!(
        "{nodes:?} {keepalive:?} {deadtime:?} {warntime:?} {initdead:?} {auto_failback} {ipfail} {deadping:?} {pings:?}"
    )
}

/// The order of the groups decides nothing, that of the resources in a group does.
fn haresources(groups: &[Group]) -> String {
    let line = |group: &Group| {
        let resources: Vec<&str> = group.resources.iter().map(|resource| resource.written.as_str()).collect();
        let homes: String = group.then.iter().flat_map(|home| [",", home]).collect();
        format!("{}{homes} {}", group.home, resources.join(" "))
    };
    let mut lines: Vec<String> = groups.iter().map(line).collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::config::tests::model;

    #[test]
    fn on_off_and_legacy_are_three_files() {
        let digest = |failback: &str| short(&ha_cf(&model(&format!("{failback}\n"))));
        let [on, off, legacy] = ["auto_failback on", "auto_failback off", "auto_failback legacy"].map(digest);
        assert!(on != off && off != legacy && legacy != on);
        // No line at all is legacy.
        assert_eq!(digest(""), legacy);
    }

    #[test]
    fn what_is_a_nodes_own_may_differ() {
        let digest = |more: &str| short(&ha_cf(&model(&format!("auto_failback on\n{more}\n"))));
        for own in ["bcast hb1", "watchdog /dev/watchdog", "stonith_host lvs2 meatware", "respawn root /usr/bin/true"] {
            assert_eq!(digest(own), digest(""), "{own}");
        }
        assert_ne!(digest("keepalive 2"), digest(""));
    }
}
