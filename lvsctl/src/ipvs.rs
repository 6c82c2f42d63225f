//! The IPVS table as values: virtual services, their real servers, and the
//! changes that lead from one table to another.
//!
//! Names and limits are the kernel's (`linux/ip_vs.h`; spec/ipvs.md part B).
//! Nothing here does I/O: [`crate::netlink`] carries these values to the kernel.

mod change;
mod destination;
mod diff;
pub mod list;
mod service;
pub mod sync;
pub mod sync_report;
pub mod text;

pub use change::{Change, Refusal};
pub use destination::{Destination, Forward, MAX_WEIGHT, Tunnel, TunnelChecksum};
pub use diff::{ModelRefusal, apply_to, diff};
pub use service::{
    Family, InvalidName, Mark, Netmask, Persistence, PersistenceEngine, Protocol, Scheduler, SchedulerFlags, Service,
    ServiceKey,
};

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// The services of a network namespace, each with its real servers.
pub type Table = BTreeMap<ServiceKey, VirtualService>;

/// A virtual service and its real servers, without counters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualService {
    /// How the service schedules.
    pub service: Service,
    /// The real servers by address and port; port 0 is legal (a mark service's usual port).
    pub destinations: BTreeMap<SocketAddr, Destination>,
}

/// Counters and rates (spec/ipvs.md B.3, B.5): sums that the kernel refreshes every two seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients; zero with direct routing and tunnels.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
    /// Connections per second.
    pub connection_rate: u64,
    /// Packets from clients per second.
    pub packet_rate_in: u64,
    /// Packets to clients per second.
    pub packet_rate_out: u64,
    /// Bytes per second from clients.
    pub byte_rate_in: u64,
    /// Bytes per second to clients.
    pub byte_rate_out: u64,
}

/// A service as the kernel lists it, with counters, its servers in the kernel's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceListing {
    /// Which service.
    pub key: ServiceKey,
    /// How it schedules.
    pub service: Service,
    /// Its counters.
    pub stats: Stats,
    /// Its servers, newest first as the kernel keeps them.
    pub destinations: Vec<DestinationListing>,
}

/// A real server as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationListing {
    /// Address and port.
    pub at: SocketAddr,
    /// Forwarding method, weight, thresholds.
    pub destination: Destination,
    /// Connections that carry traffic (TCP: SYN_RECV and ESTABLISHED).
    pub active_connections: u32,
    /// Other connection entries.
    pub inactive_connections: u32,
    /// Persistence templates.
    pub persistent_connections: u32,
    /// Its counters.
    pub stats: Stats,
}

/// The table without counters.
#[must_use]
pub fn table_of(listing: &[ServiceListing]) -> Table {
    listing
        .iter()
        .map(|s| {
            let destinations = s.destinations.iter().map(|d| (d.at, d.destination)).collect();
            (s.key, VirtualService { service: s.service.clone(), destinations })
        })
        .collect()
}

/// IPVS version and table size (`GET_INFO`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Version as the kernel packs it: 0x010201 is 1.2.1.
    pub version: u32,
    /// Buckets of the connection table.
    pub connection_table_size: u32,
}

/// Connection timeouts in seconds; 0 in a change keeps the present value (`SET_CONFIG`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Established TCP.
    pub tcp: u32,
    /// TCP after a FIN.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}

/// Which half of connection synchronisation a daemon does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncRole {
    /// Sends connection entries.
    Master,
    /// Receives them.
    Backup,
}

/// A connection-sync daemon (spec/ipvs.md B.3, B.10). `None` leaves the choice to the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncDaemon {
    /// Sender or receiver.
    pub role: SyncRole,
    /// Multicast interface, at most 15 bytes.
    pub interface: String,
    /// 0 to 255; a backup with 0 takes messages of every id.
    pub sync_id: u8,
    /// Largest message, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u16>,
    /// Multicast group; the kernel's default is 224.0.0.81.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<IpAddr>,
    /// UDP port; the kernel's default is 8848.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Multicast time to live; the kernel's default is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u8>,
}
