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

/// The lines, and what they cannot say: one sentence for each entry that would come back as another one.
#[must_use]
pub fn to_lines(wanted: &Wanted) -> (String, Vec<String>) {
    let (mut out, mut lost) = (String::new(), Vec::new());
    if let Some(comment) = &wanted.comments.whole {
        remark(&mut out, comment);
        out.push('\n');
    }
    let mut say = |change: Change, comment: Option<&str>| {
        comment.into_iter().for_each(|comment| remark(&mut out, comment));
        out.push_str(&options(&change));
        out.push('\n');
    };
    if wanted.timeouts != Timeouts::default() {
        say(Change::SetTimeouts(wanted.timeouts), None);
    }
    for (key, VirtualService { service, destinations }) in &wanted.table {
        if matches!(key, ServiceKey::Address { protocol: Protocol::Other(_), .. }) {
            lost.push(format!("{key}: ipvsadm has no option for its protocol"));
        }
        if service.scheduler_flags.flag_3 && matches!(service.scheduler.as_str(), "sh" | "mh") {
            lost.push(format!("{key}: ipvsadm has no word for flag 3 of {}", service.scheduler));
        }
        say(Change::AddService(*key, service.clone()), wanted.comments.service(key));
        for (at, destination) in destinations {
            if let Some(what) = unspeakable(destination) {
                lost.push(format!("real server {at} of {key}: ipvsadm has no option for {what}"));
            }
            say(Change::AddDestination(*key, *at, *destination), wanted.comments.server(key, *at));
        }
    }
    for daemon in wanted.daemons.iter().flatten() {
        say(Change::StartDaemon(daemon.clone()), None);
    }
    (out, lost)
}

fn unspeakable(destination: &Destination) -> Option<&'static str> {
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
    for line in comment.lines() {
        let _ = writeln!(out, "# {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::{Service, SyncRole};

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

    #[test]
    fn what_the_lines_cannot_say_is_told() {
        let key = ServiceKey::Address { protocol: Protocol::Other(47), at: ([10, 0, 0, 1], 0).into() };
        let servers = [
            (([10, 1, 0, 1], 0).into(), Destination::new(Forward::Bypass, 1)),
            (([10, 1, 0, 2], 0).into(), Destination::new(Forward::Gate, 1)),
        ];
        let service = VirtualService { service: Service::default(), destinations: servers.into() };
        let (_, lost) = to_lines(&Wanted { table: [(key, service)].into(), ..Wanted::default() });
        let expected = [
            "protocol-47 10.0.0.1:0: ipvsadm has no option for its protocol",
            "real server 10.1.0.1:0 of protocol-47 10.0.0.1:0: ipvsadm has no option for the method \"bypass\"",
        ];
        assert_eq!(lost, expected);
    }
}
