//! What `lvsctl status --cluster` prints.

use std::fmt::Write;

use super::Cluster;
use crate::control::heartbeatd::{self, Duplicate, GroupStatus, LinkStatus, NodeStatus};
use crate::control::ldirectord::{self, RealState, RealStatus, VirtualStatus};

/// The cluster in lines for a terminal.
pub(super) fn cluster(Cluster { heartbeatd, ldirectord }: &Cluster) -> String {
    let mut out = String::new();
    match heartbeatd {
        Some(status) => nodes(&mut out, status),
        None => out.push_str("heartbeatd does not run here\n"),
    }
    match ldirectord {
        Some(status) => services(&mut out, status),
        None => out.push_str("ldirectord does not run here\n"),
    }
    out
}

/// Writing to a `String` cannot fail.
macro_rules! line {
    ($out:expr, $($text:tt)*) => { let _ = writeln!($out, $($text)*); };
}

fn nodes(out: &mut String, status: &heartbeatd::Status) {
    let heartbeatd::Status {
        node,
        holds,
        stable,
        nodes,
        groups,
        longest_gap_ms,
        refused,
        ipfail: _,
        maintenance,
        deaf,
    } = status;
    let moving = if *stable { "" } else { ", moving" };
    line!(out, "{node} holds {holds} groups{moving}");
    if *maintenance {
        line!(out, "  in maintenance: it keeps what it has, and takes and gives nothing by itself");
    }
    if *deaf {
        line!(out, "  no medium of ha.cf has been open yet: it hears nothing, and takes nothing");
    }
    for NodeStatus { name, status, links, heartbeatd, ping, fencing, differs, maintenance } in nodes {
        let kind = match (ping, heartbeatd) {
            (true, _) => " (pinged)",
            (false, Some(false)) => " (heartbeat)",
            (false, _) => "",
        };
        let links: Vec<String> = links.iter().map(link).collect();
        let fencing = fencing.map_or_else(String::new, |tries| {
            format!("; not known to be off after {tries} attempts to fence it: nothing of it is taken")
        });
        line!(
            out,
            "  node {name}{kind}: {status}{}{fencing}{}{}",
            if *maintenance { ", in maintenance" } else { "" },
            if links.is_empty() { "" } else { "; " },
            links.join(", ")
        );
        if !differs.is_empty() {
            line!(out, "    {} there differs from ours", differs.join(" and "));
        }
    }
    for GroupStatus { name, home, holder, duplicates, failed, stuck, no_carrier, withheld } in groups {
        let holder = holder.as_deref().unwrap_or("nobody that is known");
        let failed = failed.as_ref().map_or_else(String::new, |why| format!("; failed here: {why}"));
        line!(out, "  group {name} of {home}: held by {holder}{failed}");
        if let Some(node) = stuck {
            line!(out, "    it cannot be stopped on {node} and still runs there: no other node may start it");
        }
        if *withheld {
            line!(
                out,
                "    its addresses are off here: no interface of it has a carrier, and another node may have it"
            );
        } else if *no_carrier {
            line!(out, "    nobody can reach it here: no interface of it has a carrier");
        }
        for Duplicate { address, also_at } in duplicates {
            line!(out, "    {address} is also at {}: two machines have it", also_at.join(" and "));
        }
    }
    let refused: Vec<String> = refused.iter().map(|(why, count)| format!("{count} {why}")).collect();
    if !refused.is_empty() {
        line!(out, "  datagrams refused: {}", refused.join(", "));
    }
    line!(out, "  longest gap of the main loop: {longest_gap_ms} ms");
}

fn link(LinkStatus { name, up, trouble }: &LinkStatus) -> String {
    let state = if *up { "up" } else { "down" };
    trouble.as_ref().map_or_else(|| format!("{name} {state}"), |trouble| format!("{name} {state} ({trouble})"))
}

fn services(out: &mut String, status: &ldirectord::Status) {
    let ldirectord::Status { config, ready, active, ipvs, virtuals, .. } = status;
    let ready = if *ready { "all checked" } else { "first checks under way" };
    let active = match active {
        Some(true) => ", active",
        Some(false) => ", standing by",
        None => "",
    };
    line!(out, "ldirectord with {config}: {ready}{active}, programs IPVS by {ipvs}");
    for VirtualStatus { id, scheduler, fallback, fallback_active, pending, reals } in virtuals {
        line!(out, "  {id} {scheduler}");
        for server in reals {
            let RealStatus { real, state, drained, maintenance, agent, weight, failures, why, .. } = server;
            let state = match (state, maintenance) {
                (RealState::Unknown, _) => "not checked yet".to_owned(),
                (RealState::Up, _) => "up".to_owned(),
                (RealState::Down, _) if *drained => "down, drained".to_owned(),
                (RealState::Down, _) => "down".to_owned(),
                (RealState::Drained, _) => "drained".to_owned(),
                (RealState::Maintenance, None) if agent.is_some() => "in maintenance by its agent".to_owned(),
                (RealState::Maintenance, file) => {
                    let also = if *drained { ", drained" } else { "" };
                    format!("in maintenance by the file {}{also}", file.as_deref().unwrap_or("of its name"))
                }
            };
            let weight = weight.map_or_else(|| ", not in the table".to_owned(), |weight| format!(", weight {weight}"));
            let failures = if *failures > 0 { format!(", {failures} failed in a row") } else { String::new() };
            let why = why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
            line!(out, "    {real} {state}{weight}{failures}{why}");
        }
        if let Some(fallback) = fallback {
            line!(out, "    {fallback} fallback{}", if *fallback_active { ", serving" } else { "" });
        }
        for refusal in pending {
            line!(out, "    tried again: {refusal}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_is_told_in_lines() {
        let cluster = r#"{
            "heartbeatd": {"node": "lvs1", "holds": "all", "stable": true, "longest_gap_ms": 7, "refused": {"unsigned": 3},
                "nodes": [{"name": "lvs1", "status": "active", "links": []},
                          {"name": "lvs2", "status": "dead", "heartbeatd": false, "links": [
                              {"name": "eth0", "up": false}, {"name": "hb0", "up": false, "trouble": "no such interface"}]}],
                "groups": [{"name": "192.168.60.200", "home": "lvs1", "holder": "lvs1"}]},
            "ldirectord": {"config": "/etc/ha.d/ldirectord.cf", "ready": true, "active": true, "ipvs": "helper",
                "virtuals": [{"id": "tcp:192.168.60.200:80", "scheduler": "rr", "fallback": "127.0.0.1:80",
                    "fallback_active": false, "reals": [
                        {"real": "192.168.60.132:80", "state": "up", "weight": 1, "failures": 0},
                        {"real": "192.168.60.144:80", "state": "down", "failures": 2, "why": "connection refused"}]}]}
        }"#;
        let cluster: Cluster = serde_json::from_str(cluster).expect("the types read it");
        let expected = "\
lvs1 holds all groups
  node lvs1: active
  node lvs2 (heartbeat): dead; eth0 down, hb0 down (no such interface)
  group 192.168.60.200 of lvs1: held by lvs1
  datagrams refused: 3 unsigned
  longest gap of the main loop: 7 ms
ldirectord with /etc/ha.d/ldirectord.cf: all checked, active, programs IPVS by helper
  tcp:192.168.60.200:80 rr
    192.168.60.132:80 up, weight 1
    192.168.60.144:80 down, not in the table, 2 failed in a row: connection refused
    127.0.0.1:80 fallback
";
        assert_eq!(super::cluster(&cluster), expected);
    }
}
