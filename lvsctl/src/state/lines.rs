//! The lines of `ipvsadm -S` with what those lose: thresholds, large marks, timeouts, daemons, comments.
//!
//! `ipvsadm -R` reads all of them but the comments, which `ipvsadm-restore` passes over.

use std::fmt::Write;

use crate::ipvs::text::command_line;
use crate::ipvs::{
    Change, Destination, Forward, Protocol, ServiceKey, SyncDaemon, Timeouts, Tunnel, TunnelChecksum, VirtualService,
};
use crate::state::{Wanted, role_name};

/// The arguments of ipvsadm that make this change, in numbers.
#[must_use]
pub fn options(change: &Change) -> String {
    match change {
        // 0 keeps the value, here as there.
        Change::SetTimeouts(Timeouts { tcp, tcp_fin, udp }) => format!("--set {tcp} {tcp_fin} {udp}"),
        Change::StartDaemon(SyncDaemon { role, interface, sync_id, max_length, group, port, ttl }) => {
            let role = role_name(*role);
            let mut out = format!("--start-daemon {role} --mcast-interface {interface} --syncid {sync_id}");
            let options = [
                ("sync-maxlen", max_length.map(|length| length.to_string())),
                ("mcast-group", group.map(|group| group.to_string())),
                ("mcast-port", port.map(|port| port.to_string())),
                ("mcast-ttl", ttl.map(|ttl| ttl.to_string())),
            ];
            for (option, value) in options {
                if let Some(value) = value {
                    let _ = write!(out, " --{option} {value}");
                }
            }
            out
        }
        Change::StopDaemon(role) => format!("--stop-daemon {}", role_name(*role)),
        Change::Flush => "-C".to_owned(),
        other => command_line(other),
    }
}

/// The changes that the lines say, each with its comment.
#[must_use]
pub fn changes(wanted: &Wanted) -> Vec<(Change, Option<&str>)> {
    let mut changes = Vec::new();
    if wanted.timeouts != Timeouts::default() {
        changes.push((Change::SetTimeouts(wanted.timeouts), None));
    }
    for (key, VirtualService { service, destinations }) in &wanted.table {
        changes.push((Change::AddService(*key, service.clone()), wanted.comments.service(key)));
        let servers = destinations.iter();
        changes.extend(servers.map(|(at, destination)| {
            (Change::AddDestination(*key, *at, *destination), wanted.comments.server(key, *at))
        }));
    }
    changes.extend(wanted.daemons.iter().flatten().map(|daemon| (Change::StartDaemon(daemon.clone()), None)));
    changes
}

/// The lines, behind what is said of the whole.
#[must_use]
pub fn to_lines(whole: Option<&str>, changes: &[(Change, Option<&str>)]) -> String {
    let mut out = String::new();
    if let Some(comment) = whole {
        remark(&mut out, comment);
        out.push('\n');
    }
    for (change, comment) in changes {
        comment.iter().for_each(|comment| remark(&mut out, comment));
        out.push_str(&options(change));
        out.push('\n');
    }
    out
}

/// What ipvsadm has no option for in the line of a change: "its protocol".
#[must_use]
pub fn unspeakable(change: &Change) -> Option<&'static str> {
    match change {
        Change::AddService(ServiceKey::Address { protocol: Protocol::Other(_), .. }, _) => Some("its protocol"),
        Change::AddService(_, service)
            if service.scheduler_flags.flag_3 && matches!(service.scheduler.as_str(), "sh" | "mh") =>
        {
            Some("flag 3 of its scheduler")
        }
        Change::AddDestination(_, _, destination) => unspeakable_method(destination),
        _ => None,
    }
}

fn unspeakable_method(destination: &Destination) -> Option<&'static str> {
    match destination.forward {
        Forward::Local => Some("the method \"local\""),
        Forward::Bypass => Some("the method \"bypass\""),
        Forward::Tunnel(Tunnel::Other { .. }) => Some("its type of tunnel"),
        Forward::Tunnel(
            Tunnel::Gue { checksum: TunnelChecksum::Other(_), .. } | Tunnel::Gre { checksum: TunnelChecksum::Other(_) },
        ) => Some("its tunnel's flags"),
        Forward::Masq | Forward::Gate | Forward::Tunnel(Tunnel::Ipip | Tunnel::Gue { .. } | Tunnel::Gre { .. }) => None,
    }
}

/// One `#` line for each line of a comment.
fn remark(out: &mut String, comment: &str) {
    for line in comment.split('\n') {
        let _ = if line.is_empty() { writeln!(out, "#") } else { writeln!(out, "# {line}") };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::SyncRole;

    #[test]
    fn timeouts_and_daemons_are_said_in_ipvsadm_s_options() {
        let daemon = SyncDaemon {
            role: SyncRole::Backup,
            interface: "eth1".into(),
            sync_id: 7,
            max_length: Some(1472),
            group: Some([224, 0, 0, 81].into()),
            port: Some(8848),
            ttl: None,
        };
        let said = [
            options(&Change::SetTimeouts(Timeouts { tcp: 900, tcp_fin: 0, udp: 300 })),
            options(&Change::StartDaemon(daemon)),
            options(&Change::StopDaemon(SyncRole::Master)),
        ];
        let expected = [
            "--set 900 0 300",
            "--start-daemon backup --mcast-interface eth1 --syncid 7 --sync-maxlen 1472 --mcast-group 224.0.0.81 \
             --mcast-port 8848",
            "--stop-daemon master",
        ];
        assert_eq!(said, expected);
    }
}
