//! `heartbeatd status` for people.

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use lvs::control::heartbeatd::{Request, SPEAKS, Status};
use lvs::ipc::Client;
use lvs::settings::Settings;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::start::Places;

/// A node whose loop stands still does not keep those who ask.
pub const ANSWER: Duration = Duration::from_secs(5);

/// Asks the running node and puts its answer into text, or JSON.
///
/// # Errors
/// If it does not answer within five seconds.
pub fn status(places: &Places, json: bool) -> Result<String, Box<dyn Error>> {
    let answer: Status = ask(places, &Request::Status {}, ANSWER)?;
    if json { Ok(serde_json::to_string(&answer)?) } else { Ok(text(&answer)) }
}

/// Asks the running node.
///
/// # Errors
/// What it refuses, or that it does not answer within `patience`.
pub fn ask<T: DeserializeOwned>(places: &Places, request: &Request, patience: Duration) -> Result<T, Box<dyn Error>> {
    let settings = Settings::read(&places.config.join("lvs.toml"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let socket = lvs::control::socket(&settings.sockets, SPEAKS);
    let asked = async { Client::connect(&socket, SPEAKS).await?.call(request).await.map_err(Box::<dyn Error>::from) };
    runtime.block_on(async {
        timeout(patience, asked).await.map_err(|_| format!("no answer within {} s", patience.as_secs()))?
    })
}

/// A few lines: this node, the nodes with their links, the groups with their holders.
#[must_use]
pub fn text(status: &Status) -> String {
    let mut out = format!("{} holds {} resources", status.node, status.holds);
    if !status.stable {
        out.push_str(" (in transition)");
    }
    if status.maintenance {
        out.push_str("\nin maintenance: takes and gives nothing by itself");
    }
    if status.deaf {
        out.push_str(
            "\nno medium of ha.cf has been open yet: it hears nothing, declares nobody dead and takes nothing",
        );
    }
    let many = status.nodes.iter().filter(|node| !node.ping).count() > 2;
    for node in &status.nodes {
        let maintenance = if node.maintenance { ", in maintenance" } else { "" };
        let kind = match (node.heartbeatd, many) {
            (Some(false), false) => ", heartbeat 3.0.6",
            (Some(false), true) => ", heartbeat 3.0.6, which cannot be one of more than two: nothing is taken over",
            (Some(true) | None, true | false) => "",
        };
        let fencing = match node.fencing {
            Some(tries) => format!(", not known to be off ({tries} attempts to fence it)"),
            None => String::new(),
        };
        add(&mut out, format_args!("node  {:<20} {}{maintenance}{kind}{fencing}", node.name, node.status));
        for file in &node.differs {
            add(&mut out, format_args!("  {file} differs from ours"));
        }
        for link in &node.links {
            let trouble = link.trouble.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
            add(&mut out, format_args!("  link {:<18} {}{trouble}", link.name, if link.up { "up" } else { "dead" }));
        }
    }
    for group in &status.groups {
        let holder = group.holder.as_deref().unwrap_or("nobody");
        let failed = group.failed.as_deref().map(|why| format!(", {why}")).unwrap_or_default();
        add(&mut out, format_args!("group {:<20} at {holder}, home {}{failed}", group.name, group.home));
        if let Some(node) = &group.stuck {
            add(
                &mut out,
                format_args!("  cannot be stopped on {node} and still runs there: no other node may start it"),
            );
        }
        for found in &group.duplicates {
            let others = found.also_at.join(" and ");
            add(&mut out, format_args!("  {} is also at {others}: two machines have it", found.address));
        }
    }
    for (reason, count) in &status.refused {
        add(&mut out, format_args!("refused {count} packets: {reason}"));
    }
    out
}

fn add(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let _ = write!(out, "\n{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maintenance_and_addresses_that_others_have_are_shown() {
        let status = r#"{"node": "lvs1", "holds": "local", "stable": true, "maintenance": true, "longest_gap_ms": 1, "refused": {},
            "nodes": [{"name": "lvs1", "status": "active", "links": [], "maintenance": true},
                      {"name": "lvs2", "status": "active", "links": [{"name": "eth1", "up": true}]}],
            "groups": [{"name": "192.0.2.1", "home": "lvs1", "holder": "lvs1",
                        "duplicates": [{"address": "192.0.2.1", "also_at": ["02:00:00:00:00:01"]}]}]}"#;
        let expected = "\
lvs1 holds local resources
in maintenance: takes and gives nothing by itself
node  lvs1                 active, in maintenance
node  lvs2                 active
  link eth1               up
group 192.0.2.1            at lvs1, home lvs1
  192.0.2.1 is also at 02:00:00:00:00:01: two machines have it";
        assert_eq!(text(&serde_json::from_str(status).unwrap()), expected);
    }
}
