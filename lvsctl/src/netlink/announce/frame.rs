//! Ethernet frames of address resolution: ARP (RFC 826, RFC 5227) and neighbour discovery
//! (RFC 4861).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Everybody on the link.
pub const BROADCAST: [u8; 6] = [0xff; 6];

const ETHER_ARP: u16 = 0x0806;
const ETHER_IPV6: u16 = 0x86dd;
/// Hardware Ethernet, protocol IPv4, addresses of 6 and 4 bytes.
const ARP_OVER_ETHERNET: [u8; 6] = [0, 1, 8, 0, 6, 4];
const ARP_REQUEST: u8 = 1;
const ARP_REPLY: u8 = 2;

const ICMPV6: u8 = 58;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const ROUTER: u8 = 0x80;
const OVERRIDE: u8 = 0x20;
/// Option types: whose hardware address follows.
const TARGET_LINK_ADDRESS: u8 = 2;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The protocol in a frame's header; 0 if there is no header.
#[must_use]
pub fn protocol(frame: &[u8]) -> u16 {
    frame.get(12..14).map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// A gratuitous ARP request: sender and target are `ip`, the target's hardware address is left
/// open.
#[must_use]
pub fn arp_request(mac: [u8; 6], ip: Ipv4Addr) -> [u8; 42] {
    arp(ARP_REQUEST, mac, ip, [0; 6], ip)
}

/// A gratuitous ARP reply: sender and target are `ip` at `mac`.
#[must_use]
pub fn arp_reply(mac: [u8; 6], ip: Ipv4Addr) -> [u8; 42] {
    arp(ARP_REPLY, mac, ip, mac, ip)
}

/// The question who has `ip`, from nobody: it teaches no one anything.
#[must_use]
pub fn arp_probe(mac: [u8; 6], ip: Ipv4Addr) -> [u8; 42] {
    arp(ARP_REQUEST, mac, Ipv4Addr::UNSPECIFIED, [0; 6], ip)
}

fn arp(operation: u8, mac: [u8; 6], sender: Ipv4Addr, target_mac: [u8; 6], target: Ipv4Addr) -> [u8; 42] {
    let mut frame = [0; 42];
    ethernet(&mut frame, BROADCAST, mac, ETHER_ARP);
    frame[14..20].copy_from_slice(&ARP_OVER_ETHERNET);
    frame[21] = operation;
    frame[22..28].copy_from_slice(&mac);
    frame[28..32].copy_from_slice(&sender.octets());
    frame[32..38].copy_from_slice(&target_mac);
    frame[38..42].copy_from_slice(&target.octets());
    frame
}

/// An unsolicited neighbour advertisement to all nodes: `ip` is at `mac`, whatever they believed
/// so far. `router` says that the machine forwards packets.
#[must_use]
pub fn neighbour_advertisement(mac: [u8; 6], ip: Ipv6Addr, router: bool) -> [u8; 86] {
    let mut frame = [0; 86];
    let flags = if router { OVERRIDE | ROUTER } else { OVERRIDE };
    frame[78..80].copy_from_slice(&[TARGET_LINK_ADDRESS, 1]);
    frame[80..86].copy_from_slice(&mac);
    neighbour_discovery(&mut frame, mac, ip, ALL_NODES, [ADVERTISEMENT, flags], ip);
    frame
}

/// The question who has `ip`, from nobody: it teaches no one anything.
#[must_use]
pub fn neighbour_solicitation(mac: [u8; 6], ip: Ipv6Addr) -> [u8; 78] {
    let mut frame = [0; 78];
    let [.., high, middle, low] = ip.octets();
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(high), u16::from_be_bytes([middle, low]));
    neighbour_discovery(&mut frame, mac, Ipv6Addr::UNSPECIFIED, group, [SOLICITATION, 0], ip);
    frame
}

/// Everything but the options, which are there already: the checksum covers them.
fn neighbour_discovery(
    frame: &mut [u8],
    mac: [u8; 6],
    source: Ipv6Addr,
    group: Ipv6Addr,
    [kind, flags]: [u8; 2],
    target: Ipv6Addr,
) {
    let [.., a, b, c, d] = group.octets();
    ethernet(frame, [0x33, 0x33, a, b, c, d], mac, ETHER_IPV6);
    let length = u8::try_from(frame.len() - 54).unwrap_or(u8::MAX);
    frame[14] = 6 << 4;
    frame[19] = length;
    frame[20] = ICMPV6;
    // Anything less may have come from another link and is not believed.
    frame[21] = 255;
    frame[22..38].copy_from_slice(&source.octets());
    frame[38..54].copy_from_slice(&group.octets());
    frame[54] = kind;
    frame[58] = flags;
    frame[62..78].copy_from_slice(&target.octets());
    let checksum = checksum(frame);
    frame[56..58].copy_from_slice(&checksum.to_be_bytes());
}

fn ethernet(frame: &mut [u8], to: [u8; 6], from: [u8; 6], protocol: u16) {
    frame[..6].copy_from_slice(&to);
    frame[6..12].copy_from_slice(&from);
    frame[12..14].copy_from_slice(&protocol.to_be_bytes());
}

/// The ICMPv6 checksum of a frame (RFC 4443 section 2.3): over both addresses, the length, the
/// protocol, and the message.
fn checksum(frame: &[u8]) -> u16 {
    let message = &frame[54..];
    let words = frame[22..].chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).copied().map_or(0, u32::from));
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut sum = words.sum::<u32>() + length + u32::from(ICMPV6);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The hardware address that a received frame claims for `ip`, if it claims one.
#[must_use]
pub fn claim(frame: &[u8], ip: IpAddr) -> Option<[u8; 6]> {
    let at = |from: usize, length: usize| frame.get(from..from + length);
    match ip {
        IpAddr::V4(ip) => {
            let arp = protocol(frame) == ETHER_ARP && at(14, 6)? == ARP_OVER_ETHERNET && at(28, 4)? == ip.octets();
            if arp { at(22, 6)?.try_into().ok() } else { None }
        }
        IpAddr::V6(ip) => {
            let advertisement = protocol(frame) == ETHER_IPV6
                && *frame.get(20)? == ICMPV6
                && *frame.get(21)? == 255
                && *frame.get(54)? == ADVERTISEMENT
                && at(62, 16)? == ip.octets();
            if !advertisement {
                return None;
            }
            let mut options = frame.get(78..)?;
            loop {
                let length = usize::from(*options.get(1)?) * 8;
                match (options.first()?, length) {
                    (_, 0) => return None,
                    (&TARGET_LINK_ADDRESS, 8) => return options.get(2..8)?.try_into().ok(),
                    _ => options = options.get(length..)?,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: [u8; 6] = [0x02, 0x42, 0xc0, 0xa8, 0x3c, 0x0b];

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hex")).collect()
    }

    #[test]
    fn a_gratuitous_request_leaves_the_target_hardware_address_open() {
        let expected = hex("ffffffffffff 0242c0a83c0b 0806 0001 0800 06 04 0001
             0242c0a83c0b c0a83cc8 000000000000 c0a83cc8");
        assert_eq!(arp_request(MAC, Ipv4Addr::new(192, 168, 60, 200)).to_vec(), expected);
    }

    #[test]
    fn a_gratuitous_reply_names_the_hardware_address_twice() {
        let expected = hex("ffffffffffff 0242c0a83c0b 0806 0001 0800 06 04 0002
             0242c0a83c0b c0a83cc8 0242c0a83c0b c0a83cc8");
        assert_eq!(arp_reply(MAC, Ipv4Addr::new(192, 168, 60, 200)).to_vec(), expected);
    }

    /// As Linux sends it with `ndisc_notify`.
    #[test]
    fn an_advertisement_is_the_one_that_the_kernel_sends() {
        let expected = hex("3333 0000 0001 0242 c0a8 3c0b 86dd 6000 0000 0020 3aff
             2001 0db8 0000 0000 0000 0000 0000 0200 ff02 0000 0000 0000 0000 0000 0000 0001
             8800 f837 2000 0000 2001 0db8 0000 0000 0000 0000 0000 0200 0201 0242 c0a8 3c0b");
        let ip = "2001:db8::200".parse().expect("an address");
        assert_eq!(neighbour_advertisement(MAC, ip, false).to_vec(), expected);
    }

    #[test]
    fn a_probe_comes_from_no_address() {
        let probe = arp_probe(MAC, Ipv4Addr::new(192, 168, 60, 200));
        assert_eq!(probe[28..32], [0; 4]);
        assert_eq!(claim(&probe, IpAddr::from([192, 168, 60, 200])), None);
    }

    #[test]
    fn announcements_claim_their_address_and_no_other() {
        let ip = Ipv4Addr::new(192, 168, 60, 200);
        for frame in [arp_request(MAC, ip), arp_reply(MAC, ip)] {
            assert_eq!(claim(&frame, ip.into()), Some(MAC));
            assert_eq!(claim(&frame, IpAddr::from([192, 168, 60, 201])), None);
        }
        let ip: Ipv6Addr = "2001:db8::200".parse().expect("an address");
        let frame = neighbour_advertisement(MAC, ip, false);
        assert_eq!(claim(&frame, ip.into()), Some(MAC));
        assert_eq!(claim(&frame, Ipv6Addr::LOCALHOST.into()), None);
        assert_eq!(claim(&neighbour_solicitation(MAC, ip), ip.into()), None);
    }

    proptest! {
        #[test]
        fn no_frame_makes_the_reader_panic(frame in proptest::collection::vec(any::<u8>(), 0..128), v6 in any::<bool>()) {
            let ip = if v6 { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
            let _ = (protocol(&frame), claim(&frame, ip));
        }

        #[test]
        fn no_change_to_an_advertisement_makes_the_reader_panic(at in 0usize..86, byte in any::<u8>(), length in 0usize..=86) {
            let mut frame = neighbour_advertisement(MAC, Ipv6Addr::LOCALHOST, true);
            frame[at] = byte;
            let _ = claim(&frame[..length], Ipv6Addr::LOCALHOST.into());
        }
    }
}
