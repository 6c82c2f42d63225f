//! Telling the neighbours where a virtual address now lives, and asking whether somebody else
//! has it.
//!
//! The frames are plain values ([`frame`]); only [`Announcer`], [`holder`] and [`holders`] touch a
//! network. They need `CAP_NET_RAW`.

pub mod echo;
pub mod frame;
mod packet_address;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use socket2::{Domain, SockFilter, Socket, Type};

use packet_address::packet_address;

/// How often [`holder`] and [`holders`] ask; a single question may be lost.
const QUESTIONS: u32 = 3;

/// So many holders of one address are counted: an answer can be forged, each time with another hardware address.
const MOST_HOLDERS: usize = 64;

/// Lets neighbour advertisements through and nothing else of IPv6: a director that serves it has other things to do than
/// to copy every packet (classic BPF; offsets in an Ethernet frame, RFC 2464 and RFC 4861 4.4).
const ADVERTISEMENTS: [SockFilter; 6] = {
    /// Load the byte at, jump if it is, return so many bytes (linux/bpf_common.h).
    const LOAD: u16 = 0x30;
    const IS: u16 = 0x15;
    const RETURN: u16 = 0x06;
    [
        SockFilter::new(LOAD, 0, 0, 20),
        SockFilter::new(IS, 0, 3, 58),
        SockFilter::new(LOAD, 0, 0, 54),
        SockFilter::new(IS, 0, 1, 136),
        SockFilter::new(RETURN, 0, 0, LONGEST as u32),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
};

/// What is read of an answer.
const LONGEST: usize = 128;

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
/// does within `patience`. The first to answer, if there are several: [`holders`] waits for all.
/// Waits that long, so a program with a loop calls it on another thread.
///
/// Asks as duplicate address detection does (RFC 5227, RFC 4862), so nobody learns a wrong
/// address from the question.
///
/// # Errors
/// Without `CAP_NET_RAW`, or if the interface is gone or down.
pub fn holder(interface: u32, mac: [u8; 6], ip: IpAddr, patience: Duration) -> io::Result<Option<[u8; 6]>> {
    let mut found = None;
    ask(interface, mac, &[ip], patience, |_, other| {
        found = Some(other);
        true
    })?;
    Ok(found)
}

/// Which other machines on the link answer for these addresses within `patience`, all of them: those that answer for
/// one, by that address, and of each 64 at most. Asks as [`holder`] does; waits for `patience` in any case, once for each family of addresses.
///
/// # Errors
/// As [`holder`].
pub fn holders(
    interface: u32,
    mac: [u8; 6],
    ips: &[IpAddr],
    patience: Duration,
) -> io::Result<BTreeMap<IpAddr, BTreeSet<[u8; 6]>>> {
    let mut found: BTreeMap<IpAddr, BTreeSet<[u8; 6]>> = BTreeMap::new();
    let (of_4, of_6): (Vec<IpAddr>, Vec<IpAddr>) = ips.iter().partition(|ip| ip.is_ipv4());
    for ips in [of_4, of_6] {
        ask(interface, mac, &ips, patience, |ip, other| {
            count(found.entry(ip).or_default(), other);
            false
        })?;
    }
    Ok(found)
}

fn count(holders: &mut BTreeSet<[u8; 6]>, other: [u8; 6]) {
    if holders.len() < MOST_HOLDERS {
        holders.insert(other);
    }
}

/// Asks for addresses of one family, and says who answers until it was told that this is enough.
fn ask(
    interface: u32,
    mac: [u8; 6],
    ips: &[IpAddr],
    patience: Duration,
    mut answered: impl FnMut(IpAddr, [u8; 6]) -> bool,
) -> io::Result<()> {
    let question = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => frame::arp_probe(mac, *ip).to_vec(),
        IpAddr::V6(ip) => frame::neighbour_solicitation(mac, *ip).to_vec(),
    };
    let questions: Vec<Vec<u8>> = ips.iter().map(question).collect();
    let Some(first) = questions.first() else { return Ok(()) };
    // Protocol 0 until it is bound: nothing is queued that has not passed the filter.
    let mut socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    if ips.iter().any(IpAddr::is_ipv6) {
        socket.attach_filter(&ADVERTISEMENTS)?;
    }
    let link = packet_address(interface, frame::protocol(first), frame::BROADCAST)?;
    socket.bind(&link)?;
    let start = Instant::now();
    for turn in 1..=QUESTIONS {
        for question in &questions {
            socket.send_to(question, &link)?;
        }
        let end = start + patience * turn / QUESTIONS;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            socket.set_read_timeout(Some(left))?;
            let mut received = [0; LONGEST];
            let length = match socket.read(&mut received) {
                Ok(length) => length.min(received.len()),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            for ip in ips {
                match frame::claim(&received[..length], *ip) {
                    Some(other) if other != mac && answered(*ip, other) => return Ok(()),
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forged_answers_do_not_fill_the_memory() {
        let mut holders = BTreeSet::new();
        (0..=u16::MAX)
            .for_each(|number| count(&mut holders, [2, 0, 0, 0, number.to_be_bytes()[0], number.to_be_bytes()[1]]));
        assert_eq!(holders.len(), MOST_HOLDERS);
    }
}
