//! Telling the neighbours where a virtual address now lives, and asking whether somebody else
//! has it.
//!
//! The frames are plain values ([`frame`]); only [`Announcer`] and [`holder`] touch a network.
//! Both need `CAP_NET_RAW`.

pub mod echo;
pub mod frame;
mod packet_address;

use std::io::{self, Read};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use packet_address::packet_address;

/// How often [`holder`] asks; a single question may be lost.
const QUESTIONS: u32 = 3;

/// Sends announcements on any interface.
///
/// ```no_run
/// use lvs::netlink::announce::Announcer;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (interface, mac) = (2, [0x02, 0, 0, 0, 0, 1]);
/// Announcer::open()?.announce(interface, mac, "192.0.2.1".parse()?, false)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Announcer {
    socket: Socket,
}

impl Announcer {
    /// Opens a socket in this thread's network namespace.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`.
    pub fn open() -> io::Result<Self> {
        // Protocol 0: it only sends, and nothing is queued for it.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }

    /// Sends one frame. Does not wait: an interface whose queue is full is an error.
    ///
    /// # Errors
    /// If the interface is gone or down, or has no room.
    pub fn send(&self, interface: u32, frame: &[u8]) -> io::Result<()> {
        let protocol = frame::protocol(frame);
        self.socket.send_to(frame, &packet_address(interface, protocol, frame::BROADCAST)?).map(|_| ())
    }

    /// Says once that `ip` is at `mac`: for IPv4 both as an ARP request and as a reply, because some
    /// neighbours believe only one of them; for IPv6 as an unsolicited neighbour advertisement.
    /// `router` is what an IPv6 advertisement says of this machine: that it forwards packets.
    ///
    /// # Errors
    /// As [`Self::send`]; the second form is tried even if the first failed.
    pub fn announce(&self, interface: u32, mac: [u8; 6], ip: IpAddr, router: bool) -> io::Result<()> {
        match ip {
            IpAddr::V4(ip) => {
                let request = self.send(interface, &frame::arp_request(mac, ip));
                self.send(interface, &frame::arp_reply(mac, ip)).and(request)
            }
            IpAddr::V6(ip) => self.send(interface, &frame::neighbour_advertisement(mac, ip, router)),
        }
    }
}

/// Which other machine on the link answers for `ip`: its hardware address, or `None` if none
/// does within `patience`. Waits that long, so a program with a loop calls it on another thread.
///
/// Asks as duplicate address detection does (RFC 5227, RFC 4862), so nobody learns a wrong
/// address from the question.
///
/// # Errors
/// Without `CAP_NET_RAW`, or if the interface is gone or down.
pub fn holder(interface: u32, mac: [u8; 6], ip: IpAddr, patience: Duration) -> io::Result<Option<[u8; 6]>> {
    let question = match ip {
        IpAddr::V4(ip) => frame::arp_probe(mac, ip).to_vec(),
        IpAddr::V6(ip) => frame::neighbour_solicitation(mac, ip).to_vec(),
    };
    let protocol = frame::protocol(&question);
    let mut socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(protocol.to_be()))))?;
    let link = packet_address(interface, protocol, frame::BROADCAST)?;
    socket.bind(&link)?;
    let start = Instant::now();
    for turn in 1..=QUESTIONS {
        socket.send_to(&question, &link)?;
        let end = start + patience * turn / QUESTIONS;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            socket.set_read_timeout(Some(left))?;
            let mut received = [0; 128];
            let length = match socket.read(&mut received) {
                Ok(length) => length,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            match frame::claim(&received[..length.min(received.len())], ip) {
                Some(other) if other != mac => return Ok(Some(other)),
                _ => {}
            }
        }
    }
    Ok(None)
}
