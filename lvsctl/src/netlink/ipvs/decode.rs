//! The kernel's answers as values (spec/ipvs.md B.3).
//!
//! Attributes come in any order, unknown ones are set aside for the way back, and what an older kernel
//! does not send has the value that it means there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU8;

use super::number::{daemon, dest, info, service, stats, top};
use crate::ipvs::{
    Destination, DestinationListing, Family, Forward, Info, Mark, Netmask, Persistence, Protocol, SchedulerFlags,
    Service, ServiceKey, ServiceListing, Stats, SyncDaemon, SyncRole, Timeouts, Tunnel, TunnelChecksum,
};
use crate::netlink::RequestError;
use crate::netlink::attribute::{Value, Writer, attributes, find};

fn lacks(what: &'static str) -> RequestError {
    RequestError::Malformed(what)
}

/// A service, still without its servers. Attributes of a newer kernel are appended to `unknown`.
pub fn service(attrs: &[u8], unknown: &mut Vec<u8>) -> Result<ServiceListing, RequestError> {
    let nest = find(attrs, top::SERVICE).ok_or_else(|| lacks("no service in it"))?;
    let (mut family, mut mark, mut protocol, mut address, mut port) = (None, None, None, None, None);
    let (mut scheduler, mut engine, mut flags, mut timeout, mut netmask) = (None, None, 0, 0, None);
    let (mut counters, mut wide_counters) = (None, None);
    for (kind, value) in attributes(nest.0) {
        match kind {
            service::AF => family = value.u16().and_then(family_of),
            service::PROTOCOL => protocol = value.u16(),
            service::ADDR => address = Some(value),
            service::PORT => port = value.port(),
            service::FWMARK => mark = value.u32().and_then(Mark::new),
            service::SCHED_NAME => scheduler = value.text().and_then(|name| name.parse().ok()),
            service::FLAGS => flags = value.u32().unwrap_or_default(),
            service::TIMEOUT => timeout = value.u32().unwrap_or_default(),
            service::NETMASK => netmask = Some(value),
            service::STATS => counters = Some(value),
            service::PE_NAME => engine = value.text().and_then(|name| name.parse().ok()),
            service::STATS64 => wide_counters = Some(value),
            newer => Writer(unknown).bytes(newer, value.0),
        }
    }
    let family = family.ok_or_else(|| lacks("a service without a known family"))?;
    let key = match mark {
        Some(mark) => ServiceKey::Mark { family, mark },
        None => {
            let protocol = Protocol::from_number(protocol.ok_or_else(|| lacks("a service without a protocol"))?);
            ServiceKey::Address { protocol, at: at(family, address, port)? }
        }
    };
    let persistence = (flags & service::FLAG_PERSISTENT != 0).then(|| Persistence {
        timeout,
        netmask: netmask.and_then(|value| netmask_of(family, value)).unwrap_or(Netmask::host(family)),
    });
    let service = Service {
        scheduler: scheduler.ok_or_else(|| lacks("a service without a scheduler"))?,
        scheduler_flags: SchedulerFlags::from_bits(flags),
        persistence,
        one_packet: flags & service::FLAG_ONE_PACKET != 0,
        engine,
    };
    let stats = wide_counters.or(counters).map(statistics).unwrap_or_default();
    Ok(ServiceListing { key, service, stats, destinations: Vec::new() })
}

/// A real server of a service of this family; without `with_counters` its counters are left at 0. Attributes of a
/// newer kernel are appended to `unknown`.
pub fn destination(
    attrs: &[u8],
    service: Family,
    with_counters: bool,
    unknown: &mut Vec<u8>,
) -> Result<DestinationListing, RequestError> {
    let nest = find(attrs, top::DEST).ok_or_else(|| lacks("no real server in it"))?;
    let (mut family, mut address, mut port, mut method) = (service, None, None, dest::MASQ);
    let (mut weight, mut upper_threshold, mut lower_threshold) = (0, 0, 0);
    let (mut active_connections, mut inactive_connections, mut persistent_connections) = (0, 0, 0);
    let (mut tunnel, mut tunnel_port, mut tunnel_flags) = (dest::TUN_IPIP, 0, 0);
    let (mut counters, mut wide_counters) = (None, None);
    for (kind, value) in attributes(nest.0) {
        let number = || value.u32().unwrap_or_default();
        match kind {
            dest::ADDR => address = Some(value),
            dest::PORT => port = value.port(),
            dest::FWD_METHOD => method = number() & dest::METHOD_MASK,
            dest::WEIGHT => weight = number(),
            dest::U_THRESH => upper_threshold = number(),
            dest::L_THRESH => lower_threshold = number(),
            dest::ACTIVE_CONNS => active_connections = number(),
            dest::INACT_CONNS => inactive_connections = number(),
            dest::PERSIST_CONNS => persistent_connections = number(),
            dest::STATS => counters = Some(value),
            dest::ADDR_FAMILY => family = value.u16().and_then(family_of).unwrap_or(service),
            dest::STATS64 => wide_counters = Some(value),
            dest::TUN_TYPE => tunnel = value.u8().unwrap_or_default(),
            dest::TUN_PORT => tunnel_port = value.port().unwrap_or_default(),
            dest::TUN_FLAGS => tunnel_flags = value.u16().unwrap_or_default(),
            newer => Writer(unknown).bytes(newer, value.0),
        }
    }
    let forward = match method {
        dest::MASQ => Forward::Masq,
        dest::LOCAL => Forward::Local,
        dest::TUNNEL => Forward::Tunnel(tunnel_of(tunnel, tunnel_port, tunnel_flags)),
        dest::GATE => Forward::Gate,
        // The kernel takes 5 to 7 and then sends nothing; every listing calls them as it calls 4.
        _ => Forward::Bypass,
    };
    Ok(DestinationListing {
        at: at(family, address, port)?,
        destination: Destination { forward, weight, upper_threshold, lower_threshold },
        active_connections,
        inactive_connections,
        persistent_connections,
        stats: wide_counters.or(counters).filter(|_| with_counters).map(statistics).unwrap_or_default(),
    })
}

fn family_of(number: u16) -> Option<Family> {
    match i32::from(number) {
        libc::AF_INET => Some(Family::Inet),
        libc::AF_INET6 => Some(Family::Inet6),
        _ => None,
    }
}

fn at(family: Family, address: Option<Value>, port: Option<u16>) -> Result<SocketAddr, RequestError> {
    let address =
        address.and_then(|value| value.address(family)).ok_or_else(|| lacks("an entry without an address"))?;
    Ok(SocketAddr::new(address, port.ok_or_else(|| lacks("an entry without a port"))?))
}

fn netmask_of(family: Family, value: Value) -> Option<Netmask> {
    match family {
        Family::Inet => value.0.first_chunk::<4>().map(|&mask| Netmask::Mask(Ipv4Addr::from(mask))),
        Family::Inet6 => value.u32().and_then(|n| u8::try_from(n).ok()).and_then(NonZeroU8::new).map(Netmask::Prefix),
    }
}

fn tunnel_of(kind: u8, port: u16, flags: u16) -> Tunnel {
    let checksum = match flags {
        0 => TunnelChecksum::None,
        1 => TunnelChecksum::Full,
        2 => TunnelChecksum::Remote,
        other => TunnelChecksum::Other(other),
    };
    match kind {
        dest::TUN_IPIP => Tunnel::Ipip,
        dest::TUN_GUE => Tunnel::Gue { port, checksum },
        dest::TUN_GRE => Tunnel::Gre { checksum },
        kind => Tunnel::Other { kind, port, flags },
    }
}

fn statistics(nest: Value) -> Stats {
    let mut found = Stats::default();
    for (kind, value) in attributes(nest.0) {
        let counter = match kind {
            stats::CONNS => &mut found.connections,
            stats::INPKTS => &mut found.packets_in,
            stats::OUTPKTS => &mut found.packets_out,
            stats::INBYTES => &mut found.bytes_in,
            stats::OUTBYTES => &mut found.bytes_out,
            stats::CPS => &mut found.connection_rate,
            stats::INPPS => &mut found.packet_rate_in,
            stats::OUTPPS => &mut found.packet_rate_out,
            stats::INBPS => &mut found.byte_rate_in,
            stats::OUTBPS => &mut found.byte_rate_out,
            _ => continue,
        };
        *counter = value.u64().unwrap_or_default();
    }
    found
}

/// A sync daemon.
pub fn sync_daemon(attrs: &[u8]) -> Result<SyncDaemon, RequestError> {
    let nest = find(attrs, top::DAEMON).ok_or_else(|| lacks("no sync daemon in it"))?;
    let (mut role, mut interface, mut sync_id) = (None, None, 0);
    let (mut max_length, mut group, mut port, mut ttl) = (None, None, None, None);
    for (kind, value) in attributes(nest.0) {
        match kind {
            daemon::STATE => {
                role = match value.u32() {
                    Some(daemon::MASTER) => Some(SyncRole::Master),
                    Some(daemon::BACKUP) => Some(SyncRole::Backup),
                    _ => None,
                }
            }
            daemon::MCAST_IFN => interface = value.text().map(str::to_owned),
            // The low byte is what goes into the messages.
            daemon::SYNC_ID => sync_id = value.u32().map_or(0, |id| id.to_le_bytes()[0]),
            daemon::SYNC_MAXLEN => max_length = value.u16(),
            daemon::MCAST_GROUP => group = value.address(Family::Inet),
            daemon::MCAST_GROUP6 => group = value.address(Family::Inet6),
            daemon::MCAST_PORT => port = value.u16(),
            daemon::MCAST_TTL => ttl = value.u8(),
            _ => {}
        }
    }
    Ok(SyncDaemon {
        role: role.ok_or_else(|| lacks("a sync daemon without a role"))?,
        interface: interface.ok_or_else(|| lacks("a sync daemon without an interface"))?,
        sync_id,
        max_length,
        group: group.filter(|group: &IpAddr| !group.is_unspecified()),
        port,
        ttl,
    })
}

/// Timeouts; one that is missing counts as 0.
pub fn timeouts(attrs: &[u8]) -> Timeouts {
    let seconds = |kind| find(attrs, kind).and_then(Value::u32).unwrap_or_default();
    Timeouts { tcp: seconds(top::TIMEOUT_TCP), tcp_fin: seconds(top::TIMEOUT_TCP_FIN), udp: seconds(top::TIMEOUT_UDP) }
}

/// Version and table size.
pub fn information(attrs: &[u8]) -> Result<Info, RequestError> {
    let number = |kind| find(attrs, kind).and_then(Value::u32);
    Ok(Info {
        version: number(info::VERSION).ok_or_else(|| lacks("no version in it"))?,
        connection_table_size: number(info::CONN_TAB_SIZE).unwrap_or_default(),
    })
}
