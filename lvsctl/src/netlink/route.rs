//! The kernel's addresses, links and routes: asking for them, and setting addresses.

use std::fmt;
use std::io;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE, NetlinkDeserializable, NetlinkHeader, NetlinkSerializable};
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::RequestError;
use super::address::{self, Address, AddressState};
use super::link::Link;
use super::socket::Socket;

/// A connection to the addresses and links of the network namespace in which it was opened.
///
/// Requests take microseconds, but the kernel does them one after the other for the whole
/// machine: creating many interfaces elsewhere delays them.
///
/// ```no_run
/// use lvs::netlink::address::Address;
/// use lvs::netlink::route::Client;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = Client::open()?;
/// if let Some(eth0) = client.link("eth0")? {
///     client.set_address(&Address::new(eth0.index, "192.0.2.1".parse()?, 24))?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Client {
    socket: Socket,
}

/// The interface behind which a network lies.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// if let Some(cover) = lvs::netlink::route::Client::open()?.covering("192.0.2.1".parse()?)? {
///     println!("interface {}, /{}", cover.interface, cover.prefix);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cover {
    /// Index of the interface.
    pub interface: u32,
    /// Length of the network's prefix, bits.
    pub prefix: u8,
}

/// Where the kernel sends a packet of this machine next.
///
/// ```no_run
/// use lvs::netlink::route::{Client, Hop};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// if let Hop::Router(interface) = Client::open()?.next_hop("192.0.2.1".parse()?)? {
///     println!("through a router behind interface {interface:?}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// To itself: the address is one of this machine's.
    Own,
    /// To its destination, a neighbour behind the interface of that index.
    Neighbour(u32),
    /// To a router behind the interface of that index, if the kernel names one.
    Router(Option<u32>),
    /// Nowhere: there is no route, or one that forbids it.
    Nowhere,
}

impl Client {
    /// Connects. Needs no privilege; only changes do.
    ///
    /// # Errors
    /// If there is no room for a socket.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: Socket::open(NETLINK_ROUTE)? })
    }

    /// All interfaces.
    ///
    /// # Errors
    /// If the kernel refuses or its answer is lost.
    pub fn links(&mut self) -> Result<Vec<Link>, RequestError> {
        let mut question = LinkMessage::default();
        question.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        self.list(&"list the interfaces", &RouteNetlinkMessage::GetLink(question), |message| match message {
            RouteNetlinkMessage::NewLink(link) => Some(Link::of(link)),
            _ => None,
        })
    }

    /// The interface of that name, if there is one.
    ///
    /// # Errors
    /// If the kernel refuses or its answer is lost.
    pub fn link(&mut self, name: &str) -> Result<Option<Link>, RequestError> {
        Ok(self.links()?.into_iter().find(|link| link.name == name))
    }

    /// All addresses of all interfaces.
    ///
    /// # Errors
    /// If the kernel refuses or its answer is lost.
    pub fn addresses(&mut self) -> Result<Vec<AddressState>, RequestError> {
        let question = RouteNetlinkMessage::GetAddress(Default::default());
        self.list(&"list the addresses", &question, |message| match message {
            RouteNetlinkMessage::NewAddress(found) => AddressState::of(found),
            _ => None,
        })
    }

    /// Adds an address, or gives the one that is there (same address, prefix and interface) its
    /// new lifetime. IPv6 addresses are usable at once, without duplicate address detection.
    ///
    /// # Errors
    /// If the kernel refuses: without `CAP_NET_ADMIN`, or when the interface is gone.
    pub fn set_address(&mut self, wanted: &Address) -> Result<(), RequestError> {
        let message = RouteNetlinkMessage::NewAddress(address::whole(wanted));
        let what = format_args!("set {wanted} on interface {}", wanted.interface);
        self.tell(&what, NLM_F_CREATE | NLM_F_REPLACE, &message)
    }

    /// Takes an address off; whether it was there. Prefix and interface must match.
    ///
    /// With `promote_secondaries` off (the default), an IPv4 address that was the first of its network
    /// on the interface takes the other ones of that network with it.
    ///
    /// # Errors
    /// If the kernel refuses: without `CAP_NET_ADMIN`.
    pub fn delete_address(&mut self, unwanted: &Address) -> Result<bool, RequestError> {
        let message = RouteNetlinkMessage::DelAddress(address::identity(unwanted));
        let what = format_args!("take {unwanted} off interface {}", unwanted.interface);
        match self.tell(&what, 0, &message) {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.errno(), Some(libc::EADDRNOTAVAIL | libc::ENODEV)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The interface whose network an address lies in: the longest route of the main table that
    /// is no default route, else the longest prefix of another address.
    ///
    /// # Errors
    /// If the kernel refuses or its answer is lost.
    pub fn covering(&mut self, ip: IpAddr) -> Result<Option<Cover>, RequestError> {
        let mut question = RouteMessage::default();
        question.header.address_family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let routes =
            self.list(&"list the routes", &RouteNetlinkMessage::GetRoute(question), |message| match message {
                RouteNetlinkMessage::NewRoute(route) => cover_of(&route, ip),
                _ => None,
            })?;
        if let Some(found) = routes.into_iter().max_by_key(|cover| cover.prefix) {
            return Ok(Some(found));
        }
        let lo: Vec<u32> = self.links()?.iter().filter(|link| link.loopback).map(|link| link.index).collect();
        let neighbours = self.addresses()?.into_iter().map(|state| state.address);
        let covers = neighbours
            .filter(|a| a.ip != ip && !lo.contains(&a.interface) && within(ip, a.ip, a.prefix))
            .map(|a| Cover { interface: a.interface, prefix: a.prefix });
        Ok(covers.max_by_key(|cover| cover.prefix))
    }

    /// Where a packet for an address would go, as `ip route get` tells it: by all rules and tables.
    ///
    /// # Errors
    /// If the kernel refuses the question or its answer is lost.
    pub fn next_hop(&mut self, ip: IpAddr) -> Result<Hop, RequestError> {
        let (family, bits, destination) = match ip {
            IpAddr::V4(v4) => (AddressFamily::Inet, 32, RouteAddress::Inet(v4)),
            IpAddr::V6(v6) => (AddressFamily::Inet6, 128, RouteAddress::Inet6(v6)),
        };
        let mut question = RouteMessage::default();
        question.header.address_family = family;
        question.header.destination_prefix_length = bits;
        question.attributes.push(RouteAttribute::Destination(destination));
        let question = RouteNetlinkMessage::GetRoute(question);
        let mut hop = Hop::Nowhere;
        let answer = self.socket.request(
            &format_args!("look up the route to {ip}"),
            question.message_type(),
            0,
            |out| append(out, &question),
            |kind, payload| {
                if let Some(RouteNetlinkMessage::NewRoute(route)) = parse(kind, payload) {
                    hop = hop_of(&route);
                }
                Ok(())
            },
        );
        match answer {
            Ok(()) => Ok(hop),
            // No route, and routes of the types unreachable, prohibit and blackhole (kernel fib_props).
            Err(error) => match error.errno() {
                Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL) => Ok(Hop::Nowhere),
                _ => Err(error),
            },
        }
    }

    pub(super) fn list<T>(
        &mut self,
        what: &dyn fmt::Display,
        question: &RouteNetlinkMessage,
        pick: impl Fn(RouteNetlinkMessage) -> Option<T>,
    ) -> Result<Vec<T>, RequestError> {
        self.socket.dump(
            what,
            question.message_type(),
            |out| append(out, question),
            |kind, payload| Ok(parse(kind, payload).and_then(&pick)),
        )
    }

    pub(super) fn tell(
        &mut self,
        what: &dyn fmt::Display,
        flags: u16,
        message: &RouteNetlinkMessage,
    ) -> Result<(), RequestError> {
        self.socket.request(what, message.message_type(), flags, |out| append(out, message), |_, _| Ok(()))
    }
}

fn append(out: &mut Vec<u8>, message: &RouteNetlinkMessage) {
    let start = out.len();
    out.resize(start + message.buffer_len(), 0);
    message.serialize(&mut out[start..]);
}

/// One entry that a newer kernel describes in a way this program does not know must not hide the
/// others: it is passed over.
pub(super) fn parse(kind: u16, payload: &[u8]) -> Option<RouteNetlinkMessage> {
    let mut header = NetlinkHeader::default();
    header.message_type = kind;
    match RouteNetlinkMessage::deserialize(&header, payload) {
        Ok(message) => Some(message),
        Err(error) => {
            log::debug!("passed over a netlink message of type {kind}: {error}");
            None
        }
    }
}

fn cover_of(route: &RouteMessage, ip: IpAddr) -> Option<Cover> {
    let header = &route.header;
    let prefix = header.destination_prefix_length;
    if header.table != RouteHeader::RT_TABLE_MAIN || header.kind != RouteType::Unicast || prefix == 0 {
        return None;
    }
    let (mut network, mut interface) = (None, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(v4)) => network = Some(IpAddr::V4(*v4)),
            RouteAttribute::Destination(RouteAddress::Inet6(v6)) => network = Some(IpAddr::V6(*v6)),
            RouteAttribute::Oif(index) => interface = Some(*index),
            _ => {}
        }
    }
    let cover = Cover { interface: interface?, prefix };
    within(ip, network?, prefix).then_some(cover)
}

fn hop_of(route: &RouteMessage) -> Hop {
    match route.header.kind {
        RouteType::Local | RouteType::Anycast => return Hop::Own,
        RouteType::Unreachable | RouteType::Prohibit | RouteType::BlackHole | RouteType::Throw => return Hop::Nowhere,
        _ => {}
    }
    let interface = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    });
    let router = |attribute: &RouteAttribute| matches!(attribute, RouteAttribute::Gateway(_) | RouteAttribute::Via(_));
    match interface {
        Some(interface) if !route.attributes.iter().any(router) => Hop::Neighbour(interface),
        _ => Hop::Router(interface),
    }
}

/// Whether two addresses share their first `prefix` bits.
pub(crate) fn within(ip: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let different_bits = match (ip, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(a.to_bits() ^ b.to_bits()) << 96,
        (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
        _ => return false,
    };
    different_bits.leading_zeros() >= u32::from(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_the_network_whose_prefix_it_shares() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(within(ip("192.168.60.200"), ip("192.168.60.1"), 24));
        assert!(!within(ip("192.168.61.200"), ip("192.168.60.1"), 24));
        assert!(within(ip("192.168.61.200"), ip("192.168.60.1"), 23));
        assert!(within(ip("192.168.60.200"), ip("192.168.60.200"), 32));
        assert!(!within(ip("192.168.60.201"), ip("192.168.60.200"), 32));
        assert!(within(ip("10.0.0.1"), ip("192.168.60.200"), 0));
        assert!(within(ip("2001:db8::1"), ip("2001:db8::2"), 64));
        assert!(!within(ip("2001:db8:1::1"), ip("2001:db8::2"), 64));
        assert!(!within(ip("2001:db8::1"), ip("32.1.13.184"), 0));
    }

    #[test]
    fn the_next_hop_is_read_from_a_route() {
        let router = RouteAttribute::Gateway(RouteAddress::Inet([192, 0, 2, 1].into()));
        let hop = |kind, attributes: &[RouteAttribute]| {
            let mut route = RouteMessage::default();
            route.header.kind = kind;
            route.attributes = attributes.to_vec();
            hop_of(&route)
        };
        assert_eq!(hop(RouteType::Unicast, &[RouteAttribute::Oif(2)]), Hop::Neighbour(2));
        assert_eq!(hop(RouteType::Unicast, &[RouteAttribute::Oif(2), router.clone()]), Hop::Router(Some(2)));
        assert_eq!(hop(RouteType::Unicast, &[router]), Hop::Router(None));
        assert_eq!(hop(RouteType::Local, &[RouteAttribute::Oif(1)]), Hop::Own);
        assert_eq!(hop(RouteType::Prohibit, &[RouteAttribute::Oif(1)]), Hop::Nowhere);
    }

    #[test]
    fn the_kernel_looks_a_route_up() {
        let mut client = Client::open().expect("a socket");
        for own in ["127.0.0.1", "127.0.0.2"] {
            assert_eq!(client.next_hop(own.parse().expect("an address")).expect("an answer"), Hop::Own);
        }
    }

    #[test]
    fn what_cannot_be_read_is_passed_over() {
        const NEW_ADDRESS: u16 = 20;
        let header_only = [2, 24, 0, 0, 1, 0, 0, 0];
        assert!(parse(NEW_ADDRESS, &header_only).is_some());
        assert!(parse(NEW_ADDRESS, &header_only[..1]).is_none());
        let with_broken_local = [&header_only[..], &[5, 0, 2, 0, 9, 0, 0, 0]].concat();
        assert!(parse(NEW_ADDRESS, &with_broken_local).is_none());
    }
}
