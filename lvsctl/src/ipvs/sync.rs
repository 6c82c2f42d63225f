//! Connection entries as the kernel's sync daemon receives them: version 1 of the
//! protocol of `ip_vs_sync.c`.
//!
//! The kernel's own master sends an entry up to two seconds late. A planned switch cannot
//! wait that long: the giver sends what it has itself, and the taker's backup daemon
//! takes it.

use std::net::{IpAddr, SocketAddr};

/// UDP port of the sync daemons.
pub const PORT: u16 = 8848;
/// Multicast group of the sync daemons.
pub const GROUP: std::net::Ipv4Addr = std::net::Ipv4Addr::new(224, 0, 0, 81);

const HEADER: usize = 8;
const VERSION: u8 = 1;
/// `STYPE_INET6`: the first byte of an IPv6 entry.
const INET6: u8 = 1;
/// `IP_VS_CONN_F_NO_CPORT`, `IP_VS_CONN_F_TEMPLATE`, `IP_VS_CONN_F_INACTIVE`.
const NO_CLIENT_PORT: u32 = 0x800;
const TEMPLATE: u32 = 0x1000;
const INACTIVE: u32 = 0x100;

/// One connection, or one persistence template.
///
/// ```
/// use lvs::ipvs::sync::{Entry, datagrams, tcp_state};
///
/// let entry = Entry {
///     protocol: 6,
///     client: "198.51.100.1:40001".parse()?,
///     service: "192.0.2.1:80".parse()?,
///     real: "10.0.0.1:80".parse()?,
///     state: tcp_state("ESTABLISHED").expect("a state"),
///     timeout: 900,
///     method: 3,
/// };
/// assert_eq!(datagrams(&[entry], 7, 1472)[0].len(), 44);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// IP protocol number.
    pub protocol: u8,
    /// The client; port 0 in a template.
    pub client: SocketAddr,
    /// The virtual service.
    pub service: SocketAddr,
    /// The real server.
    pub real: SocketAddr,
    /// The state's number in its protocol; see [`tcp_state`].
    pub state: u16,
    /// Seconds left; 0 lets the receiver choose.
    pub timeout: u32,
    /// Forwarding method as the kernel numbers it (0 masquerading, 2 tunnel, 3 direct routing).
    pub method: u32,
}

/// The number of a TCP state as `/proc/net/ip_vs_conn` names it.
#[must_use]
pub fn tcp_state(name: &str) -> Option<u16> {
    const NAMES: [&str; 11] = [
        "NONE",
        "ESTABLISHED",
        "SYN_SENT",
        "SYN_RECV",
        "FIN_WAIT",
        "TIME_WAIT",
        "CLOSE",
        "CLOSE_WAIT",
        "LAST_ACK",
        "LISTEN",
        "SYNACK",
    ];
    let number = NAMES.iter().position(|&known| known == name)?;
    u16::try_from(number).ok()
}

/// The datagrams that carry the entries, each at most `max_length` bytes. An entry whose
/// addresses are of two families is left out: the protocol has no form for it.
#[must_use]
pub fn datagrams(entries: &[Entry], sync_id: u8, max_length: usize) -> Vec<Vec<u8>> {
    let mut done = Vec::new();
    let mut open = Datagram::new(sync_id);
    for bytes in entries.iter().filter_map(emit) {
        let fits = open.bytes.len() + bytes.len() <= max_length && open.count < u8::MAX;
        if !fits && open.count > 0 {
            done.push(std::mem::replace(&mut open, Datagram::new(sync_id)).finish());
        }
        open.bytes.extend_from_slice(&bytes);
        open.count += 1;
    }
    if open.count > 0 {
        done.push(open.finish());
    }
    done
}

struct Datagram {
    bytes: Vec<u8>,
    count: u8,
    sync_id: u8,
}

impl Datagram {
    fn new(sync_id: u8) -> Self {
        Self { bytes: vec![0; HEADER], count: 0, sync_id }
    }

    fn finish(mut self) -> Vec<u8> {
        let size = u16::try_from(self.bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
        // reserved, sync id, size, connections, version, spare
        self.bytes[..HEADER].copy_from_slice(&[0, self.sync_id, size[0], size[1], self.count, VERSION, 0, 0]);
        self.bytes
    }
}

fn emit(entry: &Entry) -> Option<Vec<u8>> {
    let Entry { protocol, client, service, real, state, timeout, method } = *entry;
    let addresses: Vec<u8> = match (client.ip(), service.ip(), real.ip()) {
        (IpAddr::V4(c), IpAddr::V4(v), IpAddr::V4(r)) => [c.octets(), v.octets(), r.octets()].concat(),
        (IpAddr::V6(c), IpAddr::V6(v), IpAddr::V6(r)) => [c.octets(), v.octets(), r.octets()].concat(),
        _ => return None,
    };
    let length = 24 + addresses.len();
    let kind = if client.is_ipv6() { INET6 } else { 0 };
    let mut flags = method & 0x7;
    if client.port() == 0 {
        flags |= TEMPLATE | NO_CLIENT_PORT;
    }
    if protocol == 6 && state != 1 {
        flags |= INACTIVE;
    }
    let mut bytes = vec![kind, protocol];
    // The entry's version is the upper four bits of its length, and 0.
    bytes.extend_from_slice(&u16::try_from(length).ok()?.to_be_bytes());
    bytes.extend_from_slice(&flags.to_be_bytes());
    for number in [state, client.port(), service.port(), real.port()] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes.extend_from_slice(&0u32.to_be_bytes());
    bytes.extend_from_slice(&timeout.to_be_bytes());
    bytes.extend_from_slice(&addresses);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(client: &str) -> Entry {
        let at = |text: &str| text.parse().expect("an address");
        let (service, real) = if client.starts_with('[') {
            ("[2001:db8::1]:80", "[2001:db8::2]:80")
        } else {
            ("10.0.0.1:80", "10.0.0.2:80")
        };
        Entry {
            protocol: 6,
            client: at(client),
            service: at(service),
            real: at(real),
            state: 1,
            timeout: 900,
            method: 3,
        }
    }

    #[test]
    fn an_entry_is_laid_out_as_the_kernel_reads_it() {
        let datagrams = datagrams(&[entry("10.9.0.1:40001")], 7, 1472);
        let expected = [
            [0, 7, 0, 44, 1, 1, 0, 0].as_slice(),
            &[0, 6, 0, 36],
            &[0, 0, 0, 3],
            &[0, 1, 0x9c, 0x41, 0, 80, 0, 80],
            &[0, 0, 0, 0],
            &[0, 0, 3, 132],
            &[10, 9, 0, 1, 10, 0, 0, 1, 10, 0, 0, 2],
        ]
        .concat();
        assert_eq!(datagrams, [expected]);
    }

    #[test]
    fn entries_are_spread_over_datagrams_that_fit() {
        let many = vec![entry("[2001:db8::9]:40001"); 50];
        let datagrams = datagrams(&many, 0, 1452);
        assert!(datagrams.iter().all(|d| d.len() <= 1452));
        assert_eq!(datagrams.iter().map(|d| usize::from(d[4])).sum::<usize>(), 50);
    }
}
