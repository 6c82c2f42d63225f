//! Changes and questions as the kernel wants them (spec/ipvs.md B.3, B.4).

use std::net::{IpAddr, SocketAddr};

use netlink_packet_core::Emitable;
use netlink_packet_generic::GenlHeader;
use netlink_packet_generic::constants::GENL_HDRLEN;

use super::number::{VERSION, command, daemon, dest, service, top};
use crate::ipvs::{
    Change, Destination, Family, Forward, Netmask, Service, ServiceKey, SyncDaemon, SyncRole, Timeouts, Tunnel,
    TunnelChecksum,
};
use crate::netlink::attribute::Writer;

/// Appends the generic netlink header of a command.
pub fn header(out: &mut Vec<u8>, cmd: u8) {
    let start = out.len();
    out.resize(start + GENL_HDRLEN, 0);
    GenlHeader { cmd, version: VERSION }.emit(&mut out[start..]);
}

/// Appends the body of a change: header and attributes. An edit sends `unknown` back, what [`super::decode`] set
/// aside of the same entry.
pub fn change(out: &mut Vec<u8>, change: &Change, unknown: &[u8]) {
    header(out, command_of(change));
    let mut message = Writer(out);
    match change {
        Change::AddService(key, service) | Change::EditService(key, service) => {
            message.nested(top::SERVICE, |w| {
                identity(w, key);
                scheduling(w, key.family(), service, matches!(change, Change::EditService(..)));
                w.append(unknown);
            });
        }
        Change::DeleteService(key) | Change::Zero(Some(key)) => whose(&mut message, key),
        Change::AddDestination(key, at, destination) | Change::EditDestination(key, at, destination) => {
            whose(&mut message, key);
            message.nested(top::DEST, |w| {
                server(w, *at);
                forwarding(w, destination);
                w.append(unknown);
            });
        }
        Change::DeleteDestination(key, at) => {
            whose(&mut message, key);
            message.nested(top::DEST, |w| server(w, *at));
        }
        Change::Zero(None) | Change::Flush => {}
        Change::SetTimeouts(Timeouts { tcp, tcp_fin, udp }) => {
            message.u32(top::TIMEOUT_TCP, *tcp);
            message.u32(top::TIMEOUT_TCP_FIN, *tcp_fin);
            message.u32(top::TIMEOUT_UDP, *udp);
        }
        Change::StartDaemon(daemon) => message.nested(top::DAEMON, |w| sync_daemon(w, daemon)),
        Change::StopDaemon(role) => message.nested(top::DAEMON, |w| w.u32(daemon::STATE, state(*role))),
    }
}

fn command_of(change: &Change) -> u8 {
    match change {
        Change::AddService(..) => command::NEW_SERVICE,
        Change::EditService(..) => command::SET_SERVICE,
        Change::DeleteService(_) => command::DEL_SERVICE,
        Change::AddDestination(..) => command::NEW_DEST,
        Change::EditDestination(..) => command::SET_DEST,
        Change::DeleteDestination(..) => command::DEL_DEST,
        Change::Zero(_) => command::ZERO,
        Change::Flush => command::FLUSH,
        Change::SetTimeouts(_) => command::SET_CONFIG,
        Change::StartDaemon(_) => command::NEW_DAEMON,
        Change::StopDaemon(_) => command::DEL_DAEMON,
    }
}

/// The service that a request is about.
pub fn whose(message: &mut Writer, key: &ServiceKey) {
    message.nested(top::SERVICE, |w| identity(w, key));
}

fn identity(w: &mut Writer, key: &ServiceKey) {
    w.u16(service::AF, number_of(key.family()));
    match *key {
        ServiceKey::Mark { mark, .. } => w.u32(service::FWMARK, mark.get()),
        ServiceKey::Address { protocol, at } => {
            w.u16(service::PROTOCOL, protocol.number());
            address(w, service::ADDR, at.ip());
            w.port(service::PORT, at.port());
        }
    }
}

fn number_of(family: Family) -> u16 {
    match family {
        Family::Inet => libc::AF_INET as u16,
        Family::Inet6 => libc::AF_INET6 as u16,
    }
}

/// Always 16 bytes: a kernel before 4.20 took nothing shorter.
fn address(w: &mut Writer, kind: u16, address: IpAddr) {
    let mut field = [0; 16];
    match address {
        IpAddr::V4(v4) => field[..4].copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => field = v6.octets(),
    }
    w.bytes(kind, &field);
}

fn scheduling(w: &mut Writer, family: Family, wanted: &Service, edit: bool) {
    let Service { scheduler, scheduler_flags, persistence, one_packet, engine } = wanted;
    w.text(service::SCHED_NAME, scheduler.as_str());
    if let Some(engine) = engine {
        w.text(service::PE_NAME, engine.as_str());
    }
    let mut flags = scheduler_flags.bits();
    if persistence.is_some() {
        flags |= service::FLAG_PERSISTENT;
    }
    if *one_packet {
        flags |= service::FLAG_ONE_PACKET;
    }
    let mut flags_and_mask = [0; 8];
    flags_and_mask[..4].copy_from_slice(&flags.to_ne_bytes());
    // The kernel keeps the flags outside of the mask: those of a newer one outlive an edit.
    let mask = if edit { service::KNOWN_FLAGS } else { u32::MAX };
    flags_and_mask[4..].copy_from_slice(&mask.to_ne_bytes());
    w.bytes(service::FLAGS, &flags_and_mask);
    w.u32(service::TIMEOUT, persistence.map_or(0, |p| p.timeout));
    match persistence.map_or(Netmask::host(family), |p| p.netmask) {
        Netmask::Mask(mask) => w.bytes(service::NETMASK, &mask.octets()),
        Netmask::Prefix(length) => w.u32(service::NETMASK, length.get().into()),
    }
}

fn server(w: &mut Writer, at: SocketAddr) {
    address(w, dest::ADDR, at.ip());
    w.port(dest::PORT, at.port());
    w.u16(dest::ADDR_FAMILY, number_of(Family::of(at.ip())));
}

fn forwarding(w: &mut Writer, wanted: &Destination) {
    let Destination { forward, weight, upper_threshold, lower_threshold } = *wanted;
    let method = match forward {
        Forward::Masq => dest::MASQ,
        Forward::Local => dest::LOCAL,
        Forward::Tunnel(_) => dest::TUNNEL,
        Forward::Gate => dest::GATE,
        Forward::Bypass => dest::BYPASS,
    };
    w.u32(dest::FWD_METHOD, method);
    w.u32(dest::WEIGHT, weight);
    w.u32(dest::U_THRESH, upper_threshold);
    w.u32(dest::L_THRESH, lower_threshold);
    let Forward::Tunnel(tunnel) = forward else { return };
    let (kind, port, flags) = match tunnel {
        Tunnel::Ipip => (dest::TUN_IPIP, 0, 0),
        Tunnel::Gue { port, checksum } => (dest::TUN_GUE, port, checksum_flags(checksum)),
        Tunnel::Gre { checksum } => (dest::TUN_GRE, 0, checksum_flags(checksum)),
        Tunnel::Other { kind, port, flags } => (kind, port, flags),
    };
    w.u8(dest::TUN_TYPE, kind);
    w.port(dest::TUN_PORT, port);
    w.u16(dest::TUN_FLAGS, flags);
}

fn checksum_flags(checksum: TunnelChecksum) -> u16 {
    match checksum {
        TunnelChecksum::None => 0,
        TunnelChecksum::Full => 1,
        TunnelChecksum::Remote => 2,
        TunnelChecksum::Other(flags) => flags,
    }
}

fn state(role: SyncRole) -> u32 {
    match role {
        SyncRole::Master => daemon::MASTER,
        SyncRole::Backup => daemon::BACKUP,
    }
}

fn sync_daemon(w: &mut Writer, wanted: &SyncDaemon) {
    let SyncDaemon { role, interface, sync_id, max_length, group, port, ttl } = wanted;
    w.u32(daemon::STATE, state(*role));
    w.text(daemon::MCAST_IFN, interface);
    w.u32(daemon::SYNC_ID, (*sync_id).into());
    if let Some(length) = max_length {
        w.u16(daemon::SYNC_MAXLEN, *length);
    }
    match *group {
        Some(group @ IpAddr::V4(_)) => w.address(daemon::MCAST_GROUP, group),
        Some(group @ IpAddr::V6(_)) => w.address(daemon::MCAST_GROUP6, group),
        None => {}
    }
    if let Some(port) = port {
        w.u16(daemon::MCAST_PORT, *port);
    }
    if let Some(ttl) = ttl {
        w.u8(daemon::MCAST_TTL, *ttl);
    }
}
