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
///
/// ```
/// use lvs::ipvs::{ServiceKey, Table, VirtualService};
///
/// let web = ServiceKey::tcp("192.0.2.1:80".parse()?);
/// let mut table = Table::new();
/// table.insert(web, VirtualService { service: Default::default(), destinations: Default::default() });
/// assert!(table[&web].destinations.is_empty());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub type Table = BTreeMap<ServiceKey, VirtualService>;

/// A virtual service and its real servers, without counters.
///
/// ```
/// use lvs::ipvs::{Destination, Forward, Service, VirtualService};
///
/// let server = "10.0.0.1:80".parse()?;
/// let web = VirtualService {
///     service: Service { scheduler: "rr".parse()?, ..Service::default() },
///     destinations: [(server, Destination::new(Forward::Gate, 1))].into(),
/// };
/// assert_eq!(web.destinations[&server].weight, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualService {
    /// How the service schedules.
    pub service: Service,
    /// The real servers by address and port; port 0 is legal (a mark service's usual port).
    pub destinations: BTreeMap<SocketAddr, Destination>,
}

/// Counters and rates (spec/ipvs.md B.3, B.5): sums that the kernel refreshes every two seconds.
///
/// ```
/// use lvs::ipvs::Stats;
///
/// /// Packets that did not come back: all of them with direct routing.
/// fn one_way(stats: &Stats) -> u64 {
///     stats.packets_in.saturating_sub(stats.packets_out)
/// }
/// assert_eq!(one_way(&Stats { packets_in: 5, packets_out: 3, ..Stats::default() }), 2);
/// ```
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
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// for service in lvs::netlink::ipvs::Client::open()?.listing()? {
///     println!("{}: {} connections so far", service.key, service.stats.connections);
/// }
/// # Ok(())
/// # }
/// ```
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
///
/// ```
/// use lvs::ipvs::DestinationListing;
///
/// /// A server that may be taken away.
/// fn is_drained(server: &DestinationListing) -> bool {
///     let left = server.active_connections + server.inactive_connections + server.persistent_connections;
///     server.destination.weight == 0 && left == 0
/// }
/// ```
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
///
/// ```
/// use lvs::ipvs::Info;
///
/// let info = Info { version: 0x01_02_01, connection_table_size: 4096 };
/// assert_eq!(info.version.to_be_bytes(), [0, 1, 2, 1]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Version as the kernel packs it: 0x010201 is 1.2.1.
    pub version: u32,
    /// Buckets of the connection table.
    pub connection_table_size: u32,
}

/// Connection timeouts in seconds; 0 in a change keeps the present value (`SET_CONFIG`).
///
/// ```
/// use lvs::ipvs::{Change, Timeouts};
///
/// // TCP for an hour; the others stay as they are.
/// let change = Change::SetTimeouts(Timeouts { tcp: 3600, ..Timeouts::default() });
/// assert_eq!(change.to_string(), "set timeouts");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Established TCP.
    pub tcp: u32,
    /// TCP after a FIN.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}

impl Timeouts {
    /// What there is after these were set where `there` was: 0 keeps what there is.
    #[must_use]
    pub fn over(self, there: Self) -> Self {
        let either = |ours: u32, there: u32| if ours == 0 { there } else { ours };
        Self {
            tcp: either(self.tcp, there.tcp),
            tcp_fin: either(self.tcp_fin, there.tcp_fin),
            udp: either(self.udp, there.udp),
        }
    }
}

/// Which half of connection synchronisation a daemon does.
///
/// ```
/// use lvs::ipvs::{Change, SyncRole};
///
/// assert_eq!(Change::StopDaemon(SyncRole::Backup).to_string(), "stop the backup sync daemon");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncRole {
    /// Sends connection entries.
    Master,
    /// Receives them.
    Backup,
}

/// A connection-sync daemon (spec/ipvs.md B.3, B.10). `None` leaves the choice to the kernel.
///
/// ```
/// use lvs::ipvs::{SyncDaemon, SyncRole};
///
/// let master = SyncDaemon {
///     role: SyncRole::Master,
///     interface: "eth0".into(),
///     sync_id: 7,
///     max_length: None,
///     group: None,
///     port: None,
///     ttl: None,
/// };
/// assert_eq!(master.sync_id, 7);
/// ```
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

impl SyncDaemon {
    /// Whether this daemon, which runs, is the one that is wanted. A parameter that is left to the kernel is right as
    /// it is.
    #[must_use]
    pub fn satisfies(&self, wanted: &Self) -> bool {
        fn left_or_equal<T: PartialEq>(wanted: &Option<T>, runs: &Option<T>) -> bool {
            wanted.is_none() || wanted == runs
        }
        let Self { role, interface, sync_id, max_length, group, port, ttl } = wanted;
        (self.role, &self.interface, self.sync_id) == (*role, interface, *sync_id)
            && left_or_equal(&max_length.map(|length| self.length_from(length)), &self.max_length)
            && left_or_equal(group, &self.group)
            && left_or_equal(port, &self.port)
            && left_or_equal(ttl, &self.ttl)
    }

    /// What the kernel makes of a wanted length: a backup receives at least 1024 bytes, and what is in a datagram is shorter
    /// than it by the headers (`ip_vs_genl_new_daemon` and `start_sync_thread`).
    fn length_from(&self, wanted: u16) -> u16 {
        let least = if self.role == SyncRole::Backup { 1024 } else { 1 };
        let headers = if matches!(self.group, Some(IpAddr::V6(_))) { 40 + 8 } else { 20 + 8 };
        wanted.clamp(least, u16::MAX - headers)
    }
}
