//! `lvsctl status`: the table with its counters, straight from the kernel; or, on demand, what the
//! daemons say.
//!
//! Numbers instead of names, in true order, and counters in full: what ipvsadm's listing is not.

use std::io::Write;

use serde::Serialize;

use super::{cluster, fail};
use crate::ipvs::{
    DestinationListing, Forward, Info, Netmask, Service, ServiceListing, Stats, SyncDaemon, SyncRole, Timeouts, Tunnel,
};
use crate::netlink::RequestError;
use crate::netlink::ipvs::Client;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// What heartbeatd and ldirectord say, instead of the table
    #[arg(long)]
    cluster: bool,
    #[command(flatten)]
    at: cluster::Where,
}

/// Everything there is to show.
#[derive(Debug, Serialize)]
struct Status {
    #[serde(flatten)]
    info: Info,
    timeouts: Timeouts,
    daemons: Vec<SyncDaemon>,
    services: Vec<ServiceListing>,
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    if arguments.cluster {
        return cluster::status(&arguments.at, arguments.json);
    }
    let mut kernel = match Client::open() {
        Ok(kernel) => kernel,
        Err(error) => return fail(&error),
    };
    let status = match read(&mut kernel) {
        Ok(status) => status,
        Err(error) => return fail(&error),
    };
    let text = if arguments.json {
        match serde_json::to_string_pretty(&status) {
            Ok(text) => text + "\n",
            Err(error) => return fail(&error),
        }
    } else {
        table(&status)
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => 0,
        Err(error) => fail(&error),
    }
}

fn read(kernel: &mut Client) -> Result<Status, RequestError> {
    let (info, timeouts, daemons) = (kernel.info()?, kernel.timeouts()?, kernel.daemons()?);
    let mut services = kernel.listing()?;
    services.sort_by_key(|service| service.key);
    services.iter_mut().for_each(|service| service.destinations.sort_by_key(|server| server.at));
    Ok(Status { info, timeouts, daemons, services })
}

fn table(status: &Status) -> String {
    let Status { info, timeouts, daemons, services } = status;
    let version = info.version;
    let mut text = format!(
        "IPVS {}.{}.{}, {} buckets for connections; timeouts: tcp {} s, after FIN {} s, udp {} s\n",
        version >> 16 & 0xff,
        version >> 8 & 0xff,
        version & 0xff,
        info.connection_table_size,
        timeouts.tcp,
        timeouts.tcp_fin,
        timeouts.udp
    );
    for daemon in daemons {
        let role = match daemon.role {
            SyncRole::Master => "sends connections to",
            SyncRole::Backup => "takes connections from",
        };
        text += &format!("{role} the network of {} with sync id {}\n", daemon.interface, daemon.sync_id);
    }
    if services.is_empty() {
        return text + "no virtual services\n";
    }
    let heading = ["", "method", "weight", "active", "inactive", "persistent", "connections", "per second"];
    let counters = ["bytes in", "bytes out"];
    let mut rows = vec![heading.iter().chain(&counters).map(ToString::to_string).collect::<Vec<_>>()];
    for ServiceListing { key, service, stats, destinations } in services {
        let about = scheduling(service);
        let mut row = vec![format!("{key} {about}")];
        row.extend(std::iter::repeat_n(String::new(), 5));
        row.extend(traffic(stats));
        rows.push(row);
        rows.extend(destinations.iter().map(server));
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    for row in &rows {
        let mut line = format!("{:<1$}", row[0], widths[0]);
        for (cell, &width) in row.iter().zip(&widths).skip(1) {
            line += &format!("  {cell:>width$}");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn server(listing: &DestinationListing) -> Vec<String> {
    let DestinationListing {
        at,
        destination,
        active_connections: active,
        inactive_connections: inactive,
        persistent_connections: persistent,
        stats,
    } = listing;
    let method = match destination.forward {
        Forward::Masq => "masquerade".to_owned(),
        Forward::Local => "local".to_owned(),
        Forward::Gate => "direct".to_owned(),
        Forward::Bypass => "bypass".to_owned(),
        Forward::Tunnel(Tunnel::Ipip) => "ipip".to_owned(),
        Forward::Tunnel(Tunnel::Gue { port, .. }) => format!("gue:{port}"),
        Forward::Tunnel(Tunnel::Gre { .. }) => "gre".to_owned(),
        Forward::Tunnel(Tunnel::Other { kind, .. }) => format!("tunnel-{kind}"),
    };
    let mut row = vec![format!("  {at}"), method];
    row.extend([&destination.weight, active, inactive, persistent].map(ToString::to_string));
    row.extend(traffic(stats));
    row
}

fn traffic(stats: &Stats) -> [String; 4] {
    [stats.connections, stats.connection_rate, stats.bytes_in, stats.bytes_out].map(|value| value.to_string())
}

fn scheduling(service: &Service) -> String {
    let mut text = service.scheduler.to_string();
    if let Some(persistence) = service.persistence {
        text += &format!(", persistent {} s", persistence.timeout);
        match persistence.netmask {
            Netmask::Mask(mask) if mask.is_broadcast() => {}
            Netmask::Mask(mask) => text += &format!(" by {mask}"),
            Netmask::Prefix(prefix) if prefix.get() == 128 => {}
            Netmask::Prefix(prefix) => text += &format!(" by /{prefix}"),
        }
    }
    if service.one_packet {
        text += ", one packet";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::{Destination, ServiceKey};

    #[test]
    fn the_table_lines_up_and_counts_in_full() {
        let at = ([10, 1, 0, 1], 80).into();
        let stats = Stats { connections: 5_000_000_000, bytes_in: 7, ..Stats::default() };
        let destination = DestinationListing {
            at,
            destination: Destination::new(Forward::Gate, 1),
            active_connections: 2,
            inactive_connections: 3,
            persistent_connections: 0,
            stats,
        };
        let status = Status {
            info: Info { version: 0x01_02_01, connection_table_size: 4096 },
            timeouts: Timeouts { tcp: 900, tcp_fin: 120, udp: 300 },
            daemons: vec![],
            services: vec![ServiceListing {
                key: ServiceKey::tcp(([10, 0, 0, 1], 80).into()),
                service: Service::default(),
                stats,
                destinations: vec![destination],
            }],
        };
        let expected = "\
IPVS 1.2.1, 4096 buckets for connections; timeouts: tcp 900 s, after FIN 120 s, udp 300 s
                     method  weight  active  inactive  persistent  connections  per second  bytes in  bytes out
tcp 10.0.0.1:80 wlc                                                 5000000000           0         7          0
  10.1.0.1:80        direct       1       2         3           0   5000000000           0         7          0
";
        assert_eq!(table(&status), expected);
        let json = serde_json::to_string(&status).expect("it serialises");
        assert!(json.contains("\"connections\":5000000000"), "{json}");
    }
}
