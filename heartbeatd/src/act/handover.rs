//! Connections that are open while the addresses move.
//!
//! In a planned switch the giver goes on serving until the taker has announced itself. What
//! is in the middle of a request then would meet a director that has never heard of its
//! connection. So the giver sends the taker's kernel its connection entries, again and again
//! while the switch lasts, in the form of the kernel's own sync daemon
//! ([`lvs::ipvs::sync`]): that one would send them up to two seconds late.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket};

use lvs::ipvs::list::Connection;
use lvs::ipvs::sync::{self, Entry};
use socket2::{Domain, Protocol, Socket, Type};

/// Interval of sending while a switch lasts.
pub const EVERY: std::time::Duration = std::time::Duration::from_millis(20);
/// A datagram that fits into an Ethernet frame.
const LENGTH: usize = 1472;
/// Direct routing; the receiver goes by its own table where it knows the real server.
const METHOD: u32 = 3;

/// The way to the peer's kernel.
#[derive(Debug)]
pub struct Handover {
    socket: UdpSocket,
    sync_id: u8,
}

impl Handover {
    /// Opens a way over the sync daemon's interface.
    ///
    /// # Errors
    /// If the interface is missing or the kernel refuses.
    pub fn open(interface: &str, sync_id: u8) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_multicast_ttl_v4(1)?;
        socket.set_multicast_loop_v4(false)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0).into())?;
        Ok(Self { socket: socket.into(), sync_id })
    }

    /// Sends every connection to these addresses that the kernel knows now; how many.
    ///
    /// Reads a file that may be long: not to be called in the loop that sends heartbeats.
    ///
    /// # Errors
    /// If the kernel's list cannot be read or nothing can be sent.
    pub fn push(&self, addresses: &[IpAddr]) -> io::Result<usize> {
        let entries = entries(&fs::read_to_string("/proc/net/ip_vs_conn")?, addresses);
        for datagram in sync::datagrams(&entries, self.sync_id, LENGTH) {
            self.socket.send_to(&datagram, (sync::GROUP, sync::PORT))?;
        }
        Ok(entries.len())
    }
}

fn entries(rows: &str, addresses: &[IpAddr]) -> Vec<Entry> {
    rows.lines()
        .filter_map(Connection::parse)
        .filter(|connection| addresses.contains(&connection.virtual_address.ip()))
        .filter_map(|connection| {
            let (protocol, state) = match connection.protocol {
                "TCP" => (6, sync::tcp_state(connection.state)?),
                // One state only.
                "UDP" => (17, 0),
                _ => return None,
            };
            Some(Entry {
                protocol,
                client: connection.source,
                service: connection.virtual_address,
                real: connection.destination,
                state,
                timeout: connection.expires,
                method: METHOD,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connections_to_the_addresses_that_move_are_sent() {
        let rows = "\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C0A83C01 9C41 C0A83CC8 0050 C0A83C84 0050 ESTABLISHED     899
TCP C0A83C01 9C42 C0A83CC9 0050 C0A83C84 0050 ESTABLISHED     899
UDP C0A83C01 0000 C0A83CC8 0035 C0A83C90 0035 NONE            300
garbage
";
        let sent = entries(rows, &["192.168.60.200".parse().expect("v4")]);
        assert_eq!(sent.len(), 2);
        assert_eq!((sent[0].client.port(), sent[0].state, sent[0].timeout), (40001, 1, 899));
        assert_eq!((sent[1].protocol, sent[1].state), (17, 0));
    }
}
