//! The sockets of one medium, with the options heartbeat gives them (spec/heartbeat.md 4.1).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use rustix::net::SendFlags;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::error::OpenError;
use super::interface::{Interface, Interfaces};
use crate::config::Udp;

/// Low delay, as heartbeat marks its packets.
const TOS_LOW_DELAY: u32 = 0x10;
/// So that heartbeats find room beside whatever else is sent to the port.
const RECEIVE_BUFFER: usize = 1024 * 1024;

/// Open sockets: one to send, whose source port stays the same for its life, and one to receive.
#[derive(Debug)]
pub(super) struct Port {
    index: u32,
    to: SocketAddr,
    flags: SendFlags,
    send: Socket,
    pub(super) receive: UdpSocket,
}

impl Port {
    pub(super) fn open(medium: &Udp, interfaces: &Interfaces) -> Result<Self, OpenError> {
        let name = medium.interface();
        let interface = interfaces.find(name).ok_or_else(|| OpenError::NoInterface(name.to_owned()))?;
        let index = interface.link.index;
        let to = target(medium, interface).ok_or_else(|| OpenError::NoBroadcast(name.to_owned()))?;
        let send = sender(medium, index).map_err(kernel(format!("open a socket to send to {to}")))?;
        let at = receiving(medium, index);
        let receive = receiver(medium, index, at).map_err(kernel(format!("listen on {at}")))?;
        let mut flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        if matches!(medium, Udp::Bcast { .. }) {
            flags |= SendFlags::DONTROUTE;
        }
        Ok(Self { index, to, flags, send, receive })
    }

    /// Whether the interface is still the one the sockets are bound to, and what is sent goes to
    /// the right address.
    pub(super) fn is_current(&self, medium: &Udp, interfaces: &Interfaces) -> bool {
        interfaces.find(medium.interface()).is_some_and(|interface| {
            // An interface without a network now may get the same one back.
            interface.link.index == self.index && target(medium, interface).is_none_or(|to| to == self.to)
        })
    }

    pub(super) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        rustix::net::sendto(&self.send, datagram, self.flags, &self.to)?;
        Ok(())
    }
}

fn kernel(what: String) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Kernel { what, source }
}

/// Where heartbeats are sent to, if the interface has what that takes.
fn target(medium: &Udp, interface: &Interface) -> Option<SocketAddr> {
    let index = interface.link.index;
    Some(match medium {
        Udp::Bcast { port, .. } => (interface.broadcast?, *port).into(),
        Udp::Mcast { group, port, .. } => (*group, *port).into(),
        Udp::Mcast6 { group, port, .. } => SocketAddrV6::new(*group, *port, 0, index).into(),
        Udp::Ucast { peer, port, .. } => (*peer, *port).into(),
        Udp::Ucast6 { peer, port, .. } => SocketAddrV6::new(*peer, *port, 0, index).into(),
    })
}

/// Where heartbeats are received.
fn receiving(medium: &Udp, index: u32) -> SocketAddr {
    match medium {
        Udp::Bcast { port, .. } | Udp::Ucast { port, .. } => (Ipv4Addr::UNSPECIFIED, *port).into(),
        Udp::Ucast6 { port, .. } => (Ipv6Addr::UNSPECIFIED, *port).into(),
        Udp::Mcast { group, port, .. } => (*group, *port).into(),
        Udp::Mcast6 { group, port, .. } => SocketAddrV6::new(*group, *port, 0, index).into(),
    }
}

fn bound(medium: &Udp, domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    socket.bind_device(Some(medium.interface().as_bytes()))?;
    Ok(socket)
}

fn domain(medium: &Udp) -> Domain {
    match medium {
        Udp::Bcast { .. } | Udp::Mcast { .. } | Udp::Ucast { .. } => Domain::IPV4,
        Udp::Mcast6 { .. } | Udp::Ucast6 { .. } => Domain::IPV6,
    }
}

fn sender(medium: &Udp, index: u32) -> io::Result<Socket> {
    let socket = bound(medium, domain(medium))?;
    match medium {
        Udp::Bcast { .. } => socket.set_broadcast(true)?,
        Udp::Ucast { .. } => socket.set_tos_v4(TOS_LOW_DELAY)?,
        Udp::Mcast { ttl, loopback, .. } => {
            rustix::net::sockopt::set_ip_multicast_if_with_ifindex(
                &socket,
                &Ipv4Addr::UNSPECIFIED,
                &Ipv4Addr::UNSPECIFIED,
                index,
            )?;
            socket.set_multicast_ttl_v4((*ttl).into())?;
            socket.set_multicast_loop_v4(*loopback)?;
        }
        Udp::Mcast6 { hops, loopback, .. } => {
            socket.set_multicast_if_v6(index)?;
            socket.set_multicast_hops_v6((*hops).into())?;
            socket.set_multicast_loop_v6(*loopback)?;
        }
        Udp::Ucast6 { .. } => {}
    }
    Ok(socket)
}

fn receiver(medium: &Udp, index: u32, at: SocketAddr) -> io::Result<UdpSocket> {
    let socket = bound(medium, domain(medium))?;
    // Several media on one interface share the port. Unlike SO_REUSEADDR, which heartbeat sets
    // too, this shares it with our own user only.
    socket.set_reuse_port(true)?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&at.into())?;
    match medium {
        Udp::Mcast { group, .. } => socket.join_multicast_v4_n(group, &InterfaceIndexOrAddress::Index(index))?,
        Udp::Mcast6 { group, .. } => socket.join_multicast_v6(group, index)?,
        Udp::Bcast { .. } | Udp::Ucast { .. } | Udp::Ucast6 { .. } => {}
    }
    UdpSocket::from_std(socket.into())
}
