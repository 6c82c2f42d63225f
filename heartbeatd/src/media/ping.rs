//! Echo requests to ping nodes and their replies (spec/heartbeat.md 7.1).
//!
//! heartbeat sends a signed message in the request and believes whatever comes back with it. Here the request carries
//! chance that is known to nobody else, and a reply counts if it comes from the address that was asked and has it: nothing
//! of the cluster leaves towards a router.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

const ECHO_REPLY_4: u8 = 0;
const ECHO_REQUEST_4: u8 = 8;
const ECHO_REQUEST_6: u8 = 128;
const ECHO_REPLY_6: u8 = 129;
const HEADER: usize = 8;
/// A raw socket hears every ICMP message of the machine: so many are looked at in one turn of the loop.
const BUDGET: usize = 64;

/// What every request of this process carries.
type Token = [u8; 16];

/// Asks all hosts of all ping nodes.
#[derive(Debug)]
pub struct Pinger {
    four: Option<UdpSocket>,
    six: Option<UdpSocket>,
    /// Index of the ping node, and a host of it.
    hosts: Vec<(usize, IpAddr)>,
    token: Token,
    sequence: u16,
    every: Duration,
    next: Instant,
}

impl Pinger {
    /// Opens the sockets that `hosts` need; no request is sent before [`Pinger::turn`].
    ///
    /// # Errors
    /// Without CAP_NET_RAW.
    pub fn new(hosts: Vec<(usize, IpAddr)>, token: Token, every: Duration, now: Instant) -> io::Result<Self> {
        let open = |wanted: bool, domain, protocol| {
            if !wanted {
                return Ok(None);
            }
            let socket = Socket::new(domain, Type::RAW.nonblocking().cloexec(), Some(protocol))?;
            // Of the UDP in its type nothing is used but that it sends and receives datagrams.
            UdpSocket::from_std(socket.into()).map(Some)
        };
        Ok(Self {
            four: open(hosts.iter().any(|(_, host)| host.is_ipv4()), Domain::IPV4, Protocol::ICMPV4)?,
            six: open(hosts.iter().any(|(_, host)| host.is_ipv6()), Domain::IPV6, Protocol::ICMPV6)?,
            hosts,
            token,
            sequence: 0,
            every,
            next: now,
        })
    }

    /// When the next requests are due; `None` without ping nodes.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        (!self.hosts.is_empty()).then_some(self.next)
    }

    /// Waits until something may have come; for ever without ping nodes.
    pub async fn readable(&self) {
        let wait = async |socket: &Option<UdpSocket>| match socket {
            Some(socket) => drop(socket.readable().await),
            None => std::future::pending().await,
        };
        tokio::select! {
            () = wait(&self.four) => {}
            () = wait(&self.six) => {}
        }
    }

    /// Reads replies, sends what is due; tells which ping nodes have answered.
    pub fn turn(&mut self, now: Instant) -> Vec<usize> {
        let mut answered = Vec::new();
        for (socket, six) in [(&self.four, false), (&self.six, true)] {
            let Some(socket) = socket else { continue };
            for _ in 0..BUDGET {
                let mut buffer = [0; 256];
                let Ok((length, from)) = socket.try_recv_from(&mut buffer) else { break };
                if !self.is_ours(&buffer[..length], six) {
                    continue;
                }
                let nodes = self.hosts.iter().filter(|(_, host)| *host == from.ip()).map(|(node, _)| *node);
                answered.extend(nodes);
            }
        }
        if !self.hosts.is_empty() && self.next <= now {
            self.next = now + self.every;
            self.sequence = self.sequence.wrapping_add(1);
            for (_, host) in &self.hosts {
                let socket = if host.is_ipv4() { &self.four } else { &self.six };
                let request = self.request(host.is_ipv6());
                if let Some(socket) = socket {
                    // A host that cannot be reached does not answer either: that is what is asked.
                    let _ = socket.try_send_to(&request, SocketAddr::new(*host, 0));
                }
            }
        }
        answered
    }

    fn request(&self, six: bool) -> Vec<u8> {
        let kind = if six { ECHO_REQUEST_6 } else { ECHO_REQUEST_4 };
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend(identifier(&self.token));
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.token);
        if !six {
            // The kernel does it for ICMPv6.
            let sum = checksum(&bytes).to_be_bytes();
            bytes[2..4].copy_from_slice(&sum);
        }
        bytes
    }

    fn is_ours(&self, bytes: &[u8], six: bool) -> bool {
        // A raw IPv4 socket hands over the IP header as well, whose length is in words.
        let skip = if six { 0 } else { bytes.first().map_or(0, |first| usize::from(first & 0x0f) * 4) };
        let kind = if six { ECHO_REPLY_6 } else { ECHO_REPLY_4 };
        let Some(message) = bytes.get(skip..) else { return false };
        message.first() == Some(&kind)
            && message.get(4..6) == Some(&identifier(&self.token)[..])
            && message.get(HEADER..HEADER + self.token.len()) == Some(&self.token[..])
    }
}

/// Tells our requests from those of other programs.
fn identifier(token: &Token) -> [u8; 2] {
    [token[0], token[1]]
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    // Folded twice it fits.
    !(((folded & 0xffff) + (folded >> 16)) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pinger(token: Token) -> Pinger {
        let (every, next) = (Duration::from_secs(1), Instant::now());
        Pinger { four: None, six: None, hosts: Vec::new(), token, sequence: 7, every, next }
    }

    /// What a host answers: the request with another type; an IPv4 header of five words before it.
    fn reply(request: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 20];
        bytes[0] = 0x45;
        bytes.extend(request);
        bytes[20] = ECHO_REPLY_4;
        bytes
    }

    #[test]
    fn only_a_reply_with_our_chance_in_it_counts() {
        let ours = pinger([7; 16]);
        let bytes = reply(&ours.request(false));
        assert!(ours.is_ours(&bytes, false));
        assert!(!pinger([8; 16]).is_ours(&bytes, false));
        let mut request = bytes.clone();
        request[20] = ECHO_REQUEST_4;
        assert!(!ours.is_ours(&request, false), "our own request, heard on lo");
        for length in 0..bytes.len() {
            assert!(!ours.is_ours(&bytes[..length], false), "{length} bytes");
        }
    }

    #[test]
    fn the_checksum_is_the_internets() {
        // RFC 1071, section 3.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        let mut request = pinger([9; 16]).request(false);
        assert_eq!(checksum(&request), 0, "summed with its own checksum");
        request.push(1);
        assert_ne!(checksum(&request), 0);
    }
}
