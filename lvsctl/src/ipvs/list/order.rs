//! The order of sorted listings (spec/ipvs.md A.9 "Order").
//!
//! ipvsadm compares 32-bit numbers by the sign of their difference. That is not transitive, so the
//! result depends on the algorithm; this is the one of glibc's `qsort`, a top-down merge sort. The
//! standard library's sorts may panic on such a comparison.

use std::net::{IpAddr, SocketAddr};

use crate::ipvs::{DestinationListing, ServiceKey, ServiceListing};

/// Sorts as `ipvsadm -L` does: by mark, family, protocol, address, port.
pub fn sort_services(services: &mut [ServiceListing]) {
    sort(services, |a, b| {
        let (a, b) = (Identity::of(&a.key), Identity::of(&b.key));
        let numbers = difference(a.mark, b.mark).or(difference(a.family, b.family));
        let protocol = numbers.or(difference(a.protocol, b.protocol));
        protocol.or(compare(a.family, &a.address, &b.address)).or(difference(a.port, b.port))
    });
}

/// Sorts as `ipvsadm -L` does: by address and port.
pub fn sort_destinations(servers: &mut [DestinationListing]) {
    sort(servers, |a, b| addresses(a.at, b.at));
}

/// As [`sort_destinations`], for whatever is kept of servers behind their addresses.
pub fn sort_by_address<T>(servers: &mut [(SocketAddr, T)]) {
    // Servers that were added in their order come out of the kernel the other way round.
    if is_backwards(servers.iter().map(|(at, _)| *at)) {
        servers.reverse();
    } else {
        sort(servers, |a, b| addresses(a.0, b.0));
    }
}

/// Whether each is less than the one before it, and all are IPv4 addresses of which any two are compared as
/// numbers are.
fn is_backwards(mut servers: impl Iterator<Item = SocketAddr>) -> bool {
    let number = |at: SocketAddr| match at.ip() {
        IpAddr::V4(address) => Some(u64::from(address.to_bits()) << 16 | u64::from(at.port())),
        IpAddr::V6(_) => None,
    };
    let Some(first) = servers.next().and_then(number) else { return false };
    let mut last = first;
    for at in servers {
        match number(at) {
            Some(next) if next < last => last = next,
            _ => return false,
        }
    }
    (first >> 16) - (last >> 16) < 1 << 31
}

fn addresses(a: SocketAddr, b: SocketAddr) -> Difference {
    let compared = match (a.ip(), b.ip()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => difference(a.to_bits(), b.to_bits()),
        // The family of the first alone decides how much is compared.
        (first, second) => compare(family(first), &words(first), &words(second)),
    };
    compared.or(difference(a.port().into(), b.port().into()))
}

/// The sign of `a - b`; `None` if they are equal.
type Difference = Option<i32>;

fn difference(a: u32, b: u32) -> Difference {
    Some(a.wrapping_sub(b).cast_signed()).filter(|&d| d != 0)
}

fn compare(family: u32, a: &[u32; 4], b: &[u32; 4]) -> Difference {
    let compared = if family == INET6 { 4 } else { 1 };
    std::iter::zip(a, b).take(compared).find_map(|(&a, &b)| difference(a, b))
}

const INET: u32 = 2;
const INET6: u32 = 10;

fn family(address: IpAddr) -> u32 {
    if address.is_ipv4() { INET } else { INET6 }
}

fn words(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(address) => [address.to_bits(), 0, 0, 0],
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            [96, 64, 32, 0].map(|shift| u32::try_from(bits >> shift & 0xffff_ffff).expect("masked to 32 bits"))
        }
    }
}

struct Identity {
    mark: u32,
    family: u32,
    protocol: u32,
    address: [u32; 4],
    port: u32,
}

impl Identity {
    fn of(key: &ServiceKey) -> Self {
        match *key {
            ServiceKey::Address { protocol, at } => Self {
                mark: 0,
                family: family(at.ip()),
                protocol: protocol.number().into(),
                address: words(at.ip()),
                port: at.port().into(),
            },
            ServiceKey::Mark { family, mark } => Self {
                mark: mark.get(),
                family: if family == crate::ipvs::Family::Inet { INET } else { INET6 },
                protocol: 0,
                address: [0; 4],
                port: 0,
            },
        }
    }
}

/// Merge sort of n/2 and n - n/2 elements that takes the left one unless it is greater. Large elements are
/// moved once, in place.
fn sort<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Difference) {
    let mut order: Vec<usize> = (0..items.len()).collect();
    let mut merged = Vec::with_capacity(items.len());
    merge_sort(&mut order, &mut merged, &|a, b| compare(&items[a], &items[b]));
    for start in 0..order.len() {
        // Each round puts one cycle of the permutation in place, and marks its places as done.
        let mut at = start;
        loop {
            let from = std::mem::replace(&mut order[at], at);
            if from == start || from == at {
                break;
            }
            items.swap(at, from);
            at = from;
        }
    }
}

fn merge_sort(order: &mut [usize], merged: &mut Vec<usize>, compare: &impl Fn(usize, usize) -> Difference) {
    if order.len() < 2 {
        return;
    }
    let middle = order.len() / 2;
    merge_sort(&mut order[..middle], merged, compare);
    merge_sort(&mut order[middle..], merged, compare);
    merged.clear();
    let (mut left, mut right) = (0, middle);
    while left < middle && right < order.len() {
        if compare(order[left], order[right]).is_some_and(|d| d > 0) {
            merged.push(order[right]);
            right += 1;
        } else {
            merged.push(order[left]);
            left += 1;
        }
    }
    // What is left on the right is in its place already.
    merged.extend_from_slice(&order[left..middle]);
    order[..merged.len()].copy_from_slice(merged);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipvs::{Destination, Forward, Stats};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_backwards_is_turned_round_and_nothing_else(first: u32, steps in proptest::collection::vec((0_u32..1 << 30, 0_u16..3), 0..6)) {
            let mut at = (first, 80_u16);
            let mut servers = vec![(SocketAddr::from((at.0.to_be_bytes(), at.1)), ())];
            for (down, ports) in steps {
                at = (at.0.wrapping_sub(down), at.1 - ports);
                servers.push((SocketAddr::from((at.0.to_be_bytes(), at.1)), ()));
            }
            let mut sorted = servers.clone();
            sort(&mut sorted, |a, b| addresses(a.0, b.0));
            sort_by_address(&mut servers);
            prop_assert_eq!(servers, sorted);
        }
    }

    fn sorted(servers: &[[u8; 4]]) -> Vec<[u8; 4]> {
        let mut listing: Vec<_> = servers
            .iter()
            .map(|&address| DestinationListing {
                at: (address, 80).into(),
                destination: Destination::new(Forward::Gate, 1),
                active_connections: 0,
                inactive_connections: 0,
                persistent_connections: 0,
                stats: Stats::default(),
            })
            .collect();
        sort_destinations(&mut listing);
        let octets = |server: DestinationListing| match server.at.ip() {
            IpAddr::V4(address) => address.octets(),
            IpAddr::V6(_) => unreachable!("only IPv4 went in"),
        };
        listing.into_iter().map(octets).collect()
    }

    #[test]
    fn addresses_are_compared_by_their_signed_difference() {
        let servers = [[10, 0, 255, 1], [172, 16, 0, 1], [192, 168, 0, 1], [10, 1, 0, 9]];
        assert_eq!(sorted(&servers), [[172, 16, 0, 1], [192, 168, 0, 1], [10, 0, 255, 1], [10, 1, 0, 9]]);
    }

    #[test]
    fn a_cycle_ends_in_the_order_of_glibcs_merge_sort() {
        let five = [[50, 1, 0, 1], [150, 1, 0, 1], [200, 1, 0, 1], [100, 1, 0, 1], [10, 1, 0, 1]];
        let expected = [[200, 1, 0, 1], [10, 1, 0, 1], [50, 1, 0, 1], [100, 1, 0, 1], [150, 1, 0, 1]];
        assert_eq!(sorted(&five), expected);
    }
}
