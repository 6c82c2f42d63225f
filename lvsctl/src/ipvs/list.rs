//! The listings of `ipvsadm -L` (spec/ipvs.md A.9): columns, trailing blanks and all.

mod connections;
mod order;

pub use connections::{Connection, connection_heading, connection_line};
pub use order::{sort_by_address, sort_destinations, sort_services};

use super::text::{Names, cut, endpoint, left, pad, protocol_of, push, scheduler_flags};
use super::{
    DestinationListing, Family, Forward, Info, Netmask, Protocol, Service, ServiceKey, Stats, SyncDaemon, SyncRole,
    Timeouts, Tunnel, TunnelChecksum,
};
use std::net::IpAddr;

/// What a listing of services shows of each server.
///
/// ```
/// use lvs::ipvs::list::{Columns, heading};
///
/// let mut text = String::new();
/// heading(&mut text, Columns::Plain);
/// assert!(text.starts_with("Prot LocalAddress:Port Scheduler Flags"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Columns {
    /// Forwarding method, weight, connections.
    #[default]
    Plain,
    /// `--tun-info`: the same, with the encapsulation.
    Tunnels,
    /// `--stats`: sums.
    Statistics,
    /// `--rate`: per second.
    Rates,
    /// `--thresholds`.
    Thresholds,
    /// `--persistent-conn`.
    Persistence,
}

/// How a listing of services looks.
///
/// ```
/// use lvs::ipvs::list::{Columns, Style, service_line};
/// use lvs::ipvs::text::Numeric;
/// use lvs::ipvs::{Service, ServiceKey, Stats};
///
/// let web = ServiceKey::tcp("192.0.2.1:80".parse()?);
/// let style = Style { columns: Columns::Plain, exact: true };
/// let mut text = String::new();
/// service_line(&mut text, &web, &Service::default(), &Stats::default(), style, &mut Numeric);
/// assert_eq!(text, "TCP  192.0.2.1:80 wlc\n");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Which columns.
    pub columns: Columns,
    /// `--exact`: large numbers in full.
    pub exact: bool,
}

/// Adds the first line of the listing of all services.
pub fn version_line(out: &mut String, info: Info) {
    let Info { version, connection_table_size } = info;
    let (major, minor, patch) = (version >> 16 & 0xff, version >> 8 & 0xff, version & 0xff);
    push(out, format_args!("IP Virtual Server version {major}.{minor}.{patch} (size={connection_table_size})\n"));
}

/// Adds the two lines above a listing of services.
pub fn heading(out: &mut String, columns: Columns) {
    let plain = "Prot LocalAddress:Port Scheduler Flags\n  -> RemoteAddress:Port           Forward ";
    let numbers = |out: &mut String, names: [&str; 5]| {
        push(out, format_args!("{:<33}", "Prot LocalAddress:Port"));
        names.iter().for_each(|name| push(out, format_args!(" {name:>8}")));
        out.push_str("\n  -> RemoteAddress:Port\n");
    };
    match columns {
        Columns::Plain => {
            out.push_str(plain);
            out.push_str("Weight ActiveConn InActConn\n");
        }
        Columns::Tunnels => {
            out.push_str(plain);
            out.push_str("TunnelInfo    Weight ActiveConn InActConn\n");
        }
        Columns::Statistics => numbers(out, ["Conns", "InPkts", "OutPkts", "InBytes", "OutBytes"]),
        Columns::Rates => numbers(out, ["CPS", "InPPS", "OutPPS", "InBPS", "OutBPS"]),
        Columns::Thresholds => {
            push(out, format_args!("{:<33} {:<10} {:<10} ", "Prot LocalAddress:Port", "Uthreshold", "Lthreshold"));
            push(out, format_args!("{:<10} {:<10}\n  -> RemoteAddress:Port\n", "ActiveConn", "InActConn"));
        }
        Columns::Persistence => {
            push(out, format_args!("{:<33} {:<9} {:<11} ", "Prot LocalAddress:Port", "Weight", "PersistConn"));
            push(out, format_args!("{:<10} {:<10}\n  -> RemoteAddress:Port\n", "ActiveConn", "InActConn"));
        }
    }
}

/// Adds the line of a service.
pub fn service_line(
    out: &mut String,
    key: &ServiceKey,
    service: &Service,
    stats: &Stats,
    style: Style,
    names: &mut dyn Names,
) {
    let start = out.len();
    match *key {
        ServiceKey::Address { protocol, at } => {
            let name = match protocol {
                Protocol::Tcp => "TCP",
                Protocol::Udp => "UDP",
                Protocol::Sctp => "SCTP",
                Protocol::Other(_) => "?",
            };
            push(out, format_args!("{name:<4} "));
            endpoint(out, at, Some(protocol), names);
            if at.is_ipv4() {
                cut(out, start, 33);
            }
        }
        ServiceKey::Mark { family, mark } => {
            push(out, format_args!("FWM  {}", mark.get().cast_signed()));
            if family == Family::Inet6 {
                out.push_str(" IPv6");
            }
        }
    }
    match style.columns {
        Columns::Statistics | Columns::Rates => {
            pad(out, start, 33);
            let of = if style.columns == Columns::Statistics { sums } else { rates };
            of(stats).into_iter().for_each(|value| number(out, value, style.exact));
        }
        Columns::Plain | Columns::Tunnels | Columns::Thresholds | Columns::Persistence => {
            scheduling(out, key.family(), service);
        }
    }
    out.push('\n');
}

fn scheduling(out: &mut String, family: Family, service: &Service) {
    let Service { scheduler, scheduler_flags: flags, persistence, one_packet, engine } = service;
    push(out, format_args!(" {scheduler}"));
    if flags.bits() != 0 {
        push(out, format_args!(" ({})", scheduler_flags(scheduler.as_str(), *flags)));
    }
    if let Some(persistence) = persistence {
        push(out, format_args!(" persistent {}", persistence.timeout));
        if persistence.netmask != Netmask::host(family) {
            match persistence.netmask {
                Netmask::Mask(mask) => push(out, format_args!(" mask {mask}")),
                Netmask::Prefix(prefix) => push(out, format_args!(" mask {prefix}")),
            }
        }
        if let Some(engine) = engine {
            push(out, format_args!(" pe {engine}"));
        }
    }
    if *one_packet {
        out.push_str(" ops");
    }
}

/// Adds the line of a real server of the service `key`.
pub fn destination_line(
    out: &mut String,
    key: &ServiceKey,
    server: &DestinationListing,
    style: Style,
    names: &mut dyn Names,
) {
    let DestinationListing {
        at,
        destination,
        active_connections: active,
        inactive_connections: inactive,
        persistent_connections: persistent,
        stats,
    } = server;
    out.push_str("  -> ");
    let start = out.len();
    endpoint(out, *at, protocol_of(key), names);
    if at.is_ipv4() {
        cut(out, start, 28);
    }
    pad(out, start, 28);
    let (forward, weight) = (destination.forward, destination.weight);
    match style.columns {
        Columns::Plain => {
            out.push(' ');
            let start = out.len();
            out.push_str(method(forward));
            pad(out, start, 8);
            match u32::try_from(weight.cast_signed()) {
                Ok(weight) => left(out, weight, 6),
                Err(_) => push(out, format_args!("{:<6}", weight.cast_signed())),
            }
            out.push(' ');
            left(out, *active, 10);
            out.push(' ');
            left(out, *inactive, 10);
        }
        Columns::Tunnels => {
            push(out, format_args!(" {:<7} {:<13} ", method(forward), tunnel(forward)));
            push(out, format_args!("{:<6} {active:<10} {inactive:<10}", weight.cast_signed()));
        }
        Columns::Statistics => sums(stats).into_iter().for_each(|value| number(out, value, style.exact)),
        Columns::Rates => {
            let [connections, packets_in, packets_out, bytes_in, bytes_out] = rates(stats);
            // Unlike those of services, these three are never scaled.
            push(out, format_args!(" {connections:>8} {packets_in:>8} {packets_out:>8}"));
            number(out, bytes_in, style.exact);
            number(out, bytes_out, style.exact);
        }
        Columns::Thresholds => {
            let (upper, lower) = (destination.upper_threshold, destination.lower_threshold);
            push(out, format_args!(" {upper:<10} {lower:<10} {active:<10} {inactive:<10}"));
        }
        Columns::Persistence => {
            push(out, format_args!(" {weight:<9} {persistent:<11} {active:<10} {inactive:<10}"));
        }
    }
    out.push('\n');
}

fn method(forward: Forward) -> &'static str {
    match forward {
        Forward::Masq => "Masq",
        Forward::Local => "Local",
        Forward::Tunnel(_) => "Tunnel",
        Forward::Gate => "Route",
        Forward::Bypass => "(null)",
    }
}

fn tunnel(forward: Forward) -> String {
    let mut text = match forward {
        Forward::Tunnel(Tunnel::Ipip) => "ipip".to_owned(),
        Forward::Tunnel(Tunnel::Gue { port, checksum }) => format!("gue:{port}:{}", checksum_flag(checksum)),
        Forward::Tunnel(Tunnel::Gre { checksum }) => format!("gre:{}", checksum_flag(checksum)),
        Forward::Tunnel(Tunnel::Other { .. }) | Forward::Masq | Forward::Local | Forward::Gate | Forward::Bypass => {
            "n/a".to_owned()
        }
    };
    cut(&mut text, 0, 15);
    text
}

fn checksum_flag(checksum: TunnelChecksum) -> String {
    match checksum {
        TunnelChecksum::None => "-c".to_owned(),
        TunnelChecksum::Full => "+c".to_owned(),
        TunnelChecksum::Remote => "r+c".to_owned(),
        TunnelChecksum::Other(flags) => flags.to_string(),
    }
}

fn sums(stats: &Stats) -> [u64; 5] {
    [stats.connections, stats.packets_in, stats.packets_out, stats.bytes_in, stats.bytes_out]
}

fn rates(stats: &Stats) -> [u64; 5] {
    [stats.connection_rate, stats.packet_rate_in, stats.packet_rate_out, stats.byte_rate_in, stats.byte_rate_out]
}

/// A blank and the number in eight columns; nine digits and more in thousands, unless exact.
fn number(out: &mut String, value: u64, exact: bool) {
    const SCALE: [(u64, u64, char); 4] = [
        (1_000_000_000, 1_000, 'K'),
        (100_000_000_000, 1_000_000, 'M'),
        (100_000_000_000_000, 1_000_000_000, 'G'),
        (u64::MAX, 1_000_000_000_000, 'T'),
    ];
    if exact || value < 100_000_000 {
        push(out, format_args!(" {value:>8}"));
    } else {
        let (_, unit, letter) = SCALE.into_iter().find(|&(below, ..)| value < below).unwrap_or(SCALE[3]);
        push(out, format_args!("{:>8}{letter}", value / unit));
    }
}

/// Adds the line of `ipvsadm -L --timeout`.
pub fn timeout_line(out: &mut String, timeouts: Timeouts) {
    let Timeouts { tcp, tcp_fin, udp } = timeouts;
    push(out, format_args!("Timeout (tcp tcpfin udp): {tcp} {tcp_fin} {udp}\n"));
}

/// Adds the line that `ipvsadm -L --daemon` prints for a running sync daemon.
pub fn daemon_line(out: &mut String, daemon: &SyncDaemon) {
    let SyncDaemon { role, interface, sync_id, max_length, group, port, ttl } = daemon;
    let role = match role {
        SyncRole::Master => "master",
        SyncRole::Backup => "backup",
    };
    push(out, format_args!("{role} sync daemon (mcast={interface}, syncid={sync_id}"));
    if let Some(max_length) = max_length {
        push(out, format_args!(", maxlen={max_length}"));
    }
    match group {
        Some(IpAddr::V4(group)) => push(out, format_args!(", group={group}")),
        Some(IpAddr::V6(group)) => {
            out.push_str(", group=");
            super::text::ipv6(out, *group);
        }
        None => {}
    }
    if let Some(port) = port {
        push(out, format_args!(", port={port}"));
    }
    if let Some(ttl) = ttl {
        push(out, format_args!(", ttl={ttl}"));
    }
    out.push_str(")\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::Destination;
    use crate::ipvs::text::Numeric;

    fn shown(value: u64, exact: bool) -> String {
        let mut out = String::new();
        number(&mut out, value, exact);
        out
    }

    #[test]
    fn numbers_grow_a_letter_at_nine_digits() {
        let cases = [
            (0, "        0"),
            (99_999_999, " 99999999"),
            (100_000_000, "  100000K"),
            (999_999_999, "  999999K"),
            (1_000_000_000, "    1000M"),
            (99_999_999_999, "   99999M"),
            (100_000_000_000, "     100G"),
            (99_999_999_999_999, "   99999G"),
            (100_000_000_000_000, "     100T"),
            (u64::MAX, "18446744T"),
        ];
        for (value, expected) in cases {
            assert_eq!(shown(value, false), expected, "{value}");
        }
        assert_eq!(shown(u64::MAX, true), " 18446744073709551615");
    }

    #[test]
    fn unknown_tunnel_flags_are_shown_as_a_number() {
        let checksum = TunnelChecksum::Other(3);
        assert_eq!(tunnel(Forward::Tunnel(Tunnel::Gue { port: 65535, checksum })), "gue:65535:3");
    }

    #[test]
    fn counters_of_servers_beyond_32_bits_are_shown_whole() {
        let server = DestinationListing {
            at: ([10, 1, 0, 1], 80).into(),
            destination: Destination::new(Forward::Gate, 1),
            active_connections: 0,
            inactive_connections: 0,
            persistent_connections: 0,
            stats: Stats { connections: 4_294_967_297, connection_rate: 4_294_967_297, ..Stats::default() },
        };
        let line = |columns| {
            let mut out = String::new();
            let style = Style { columns, exact: true };
            destination_line(&mut out, &ServiceKey::tcp(server.at), &server, style, &mut Numeric);
            out
        };
        let sums = "  -> 10.1.0.1:80                  4294967297        0        0        0        0\n";
        assert_eq!(line(Columns::Statistics), sums);
        assert_eq!(line(Columns::Rates), sums);
    }

    #[test]
    fn a_daemon_of_an_old_kernel_shows_what_is_known() {
        let daemon = SyncDaemon {
            role: SyncRole::Backup,
            interface: "eth0".into(),
            sync_id: 7,
            max_length: None,
            group: None,
            port: None,
            ttl: None,
        };
        let mut out = String::new();
        daemon_line(&mut out, &daemon);
        assert_eq!(out, "backup sync daemon (mcast=eth0, syncid=7)\n");
    }
}
