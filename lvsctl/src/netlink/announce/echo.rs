//! Echo requests to one machine, whatever address it is asked under.
//!
//! A real server with direct routing has the virtual address on lo and keeps silent about it, so no ordinary ping
//! finds out. A frame to its hardware address does: it answers only if it takes packets for that address.

use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::packet_address::packet_address;

const ETHER_IPV4: u16 = 0x0800;
const ICMP: u8 = 1;
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
/// Ethernet header, IPv4 header, echo header.
const LENGTH: usize = 14 + 20 + 8;
/// How often it is asked; a single question may be lost.
const QUESTIONS: u32 = 3;
/// In each request and its answer: tells them from other programs'.
const IDENTIFIER: [u8; 2] = *b"lv";

/// Who is asked, under which address.
///
/// ```no_run
/// use std::net::Ipv4Addr;
/// use std::time::Duration;
/// use lvs::netlink::announce::echo::{Request, answered};
///
/// let director = ([2, 0, 0, 0, 0, 1], Ipv4Addr::new(192, 168, 60, 10));
/// let virtual_address = Ipv4Addr::new(192, 168, 60, 200);
/// let request = Request { interface: 2, from: director, to: ([2, 0, 0, 0, 0, 2], virtual_address) };
/// println!("it takes packets for the address: {}", answered(&request, Duration::from_secs(1))?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// The interface behind which the machine is.
    pub interface: u32,
    /// This machine there: hardware address and an address that answers come back to.
    pub from: ([u8; 6], Ipv4Addr),
    /// The other machine's hardware address, and the address it is asked under.
    pub to: ([u8; 6], Ipv4Addr),
}

/// Whether the machine answers within `patience`. Waits that long, so a program with a loop calls it on another
/// thread.
///
/// # Errors
/// Without `CAP_NET_RAW`, or if the interface is gone or down.
pub fn answered(request: &Request, patience: Duration) -> io::Result<bool> {
    let question = frame(request);
    let mut socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
    // Before it is bound: a busy director's packets must not all be copied for this.
    socket.attach_filter(&echo_replies())?;
    let link = packet_address(request.interface, ETHER_IPV4, request.to.0)?;
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
            match socket.read(&mut received) {
                Ok(length) if answers(received.get(..length).unwrap_or(&received), request) => return Ok(true),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(false)
}

/// IPv4 without options, ICMP, echo reply.
fn echo_replies() -> [SockFilter; 8] {
    const LOAD_BYTE: u16 = 0x30;
    const LOAD_HALF: u16 = 0x28;
    const EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    [
        SockFilter::new(LOAD_HALF, 0, 0, 12),
        SockFilter::new(EQUAL, 0, 5, ETHER_IPV4 as u32),
        SockFilter::new(LOAD_BYTE, 0, 0, 23),
        SockFilter::new(EQUAL, 0, 3, ICMP as u32),
        SockFilter::new(LOAD_HALF, 0, 0, 34),
        SockFilter::new(EQUAL, 0, 1, (ECHO_REPLY as u32) << 8),
        SockFilter::new(RETURN, 0, 0, 128),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

fn frame(Request { from: (from_mac, from), to: (to_mac, to), .. }: &Request) -> [u8; LENGTH] {
    let mut frame = [0; LENGTH];
    frame[..6].copy_from_slice(to_mac);
    frame[6..12].copy_from_slice(from_mac);
    frame[12..14].copy_from_slice(&ETHER_IPV4.to_be_bytes());
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&28u16.to_be_bytes());
    // Nothing beyond the neighbour is meant: a machine without the address must not send it on.
    frame[22] = 1;
    frame[23] = ICMP;
    frame[26..30].copy_from_slice(&from.octets());
    frame[30..34].copy_from_slice(&to.octets());
    let sum = checksum(&frame[14..34]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame[34] = ECHO_REQUEST;
    frame[38..40].copy_from_slice(&IDENTIFIER);
    let sum = checksum(&frame[34..]);
    frame[36..38].copy_from_slice(&sum.to_be_bytes());
    frame
}

fn answers(frame: &[u8], request: &Request) -> bool {
    let at = |range: std::ops::Range<usize>| frame.get(range).unwrap_or_default();
    at(12..14) == ETHER_IPV4.to_be_bytes()
        && at(6..12) == request.to.0
        && at(14..15) == [0x45]
        && at(23..24) == [ICMP]
        && at(26..30) == request.to.1.octets()
        && at(34..36) == [ECHO_REPLY, 0]
        && at(38..40) == IDENTIFIER
}

/// RFC 1071, of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        let (from, to) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(192, 168, 60, 200));
        Request { interface: 2, from: ([2, 0, 0, 0, 0, 1], from), to: ([2, 0, 0, 0, 0, 2], to) }
    }

    #[test]
    fn a_request_is_a_whole_packet() {
        let frame = frame(&request());
        let expected = [
            &[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0][..],
            &[0x45, 0, 0, 28, 0, 0, 0, 0, 1, 1, 0xf2, 0x6f, 10, 0, 0, 1, 192, 168, 60, 200],
            &[8, 0, 0x8b, 0x89, b'l', b'v', 0, 0],
        ]
        .concat();
        assert_eq!((checksum(&frame[14..34]), checksum(&frame[34..])), (0, 0), "the sum over a right header is 0");
        assert_eq!(frame[..24], expected[..24]);
        assert_eq!(frame[26..36], expected[26..36]);
    }

    #[test]
    fn only_the_answer_to_the_request_counts() {
        let request = request();
        let Request { from, to, .. } = request;
        let mut answer = frame(&Request { from: to, to: from, ..request });
        assert!(!answers(&answer, &request), "a request is no answer");
        answer[34] = ECHO_REPLY;
        assert!(answers(&answer, &request));
        for (at, byte) in [(11, 9), (13, 6), (14, 0x46), (23, 17), (29, 201), (38, 0)] {
            let mut other = answer;
            other[at] = byte;
            assert!(!answers(&other, &request), "byte {at}");
        }
        assert!(!answers(&answer[..20], &request));
        assert!(!answers(&[], &request));
    }
}
