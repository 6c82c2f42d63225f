//! `host[:port]`, in all its forms (spec/ipvs.md A.6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::number::{dotted, inet_aton, within};
use crate::ipvs::Protocol;
use crate::ipvs::text::Names;

/// A virtual or real server as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) address: IpAddr,
    /// `None` if none was written.
    pub(super) port: Option<u16>,
}

/// Reads an address; ports may be names of `protocol`, hosts names with an IPv4 address.
pub(super) fn endpoint(text: &[u8], protocol: Option<Protocol>, names: &mut dyn Names) -> Option<Endpoint> {
    if let Some(endpoint) = plain(text) {
        return Some(endpoint);
    }
    if text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (host, mut port) = match text.strip_prefix(b"[") {
        Some(inner) => {
            let end = inner.iter().position(|&b| b == b']')?;
            let port = inner[end + 1..].strip_prefix(b":")?;
            (&inner[..end], Some(port))
        }
        None => (text, None),
    };
    let address = if let Some(address) = ipv6(host) {
        address.into()
    } else {
        // What stood behind the brackets is forgotten: [192.0.2.1]:80 is an address without a port.
        let colon = host.iter().rposition(|&b| b == b':');
        port = colon.map(|at| &host[at + 1..]);
        ipv4(&host[..colon.unwrap_or(host.len())], names)?.into()
    };
    let port = match port {
        None => None,
        Some(port) => Some(self::port(port, protocol, names)?),
    };
    Some(Endpoint { address, port })
}

/// A dotted IPv4 address and a port in digits: what tables are full of.
fn plain(text: &[u8]) -> Option<Endpoint> {
    let colon = text.iter().position(|&byte| byte == b':')?;
    let address = dotted(&text[..colon])?;
    let port = &text[colon + 1..];
    if !(1..=5).contains(&port.len()) || !port.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let port = port.iter().fold(0_u32, |sum, &digit| sum * 10 + u32::from(digit - b'0'));
    Some(Endpoint { address: address.into(), port: Some(u16::try_from(port).ok()?) })
}

/// `inet_aton`, or else the first IPv4 address of a host.
pub(super) fn ipv4(host: &[u8], names: &mut dyn Names) -> Option<Ipv4Addr> {
    if let Some(address) = inet_aton(host) {
        return Some(address);
    }
    // The resolver knows malformed addresses for what they are, and asks nobody.
    let malformed = host.iter().all(|&b| b.is_ascii_digit() || b == b'.');
    if malformed { None } else { names.address(str::from_utf8(host).ok()?) }
}

fn ipv6(host: &[u8]) -> Option<Ipv6Addr> {
    // Tables are full of IPv4 addresses: no need to try those.
    if host.iter().filter(|&&b| b == b':').count() < 2 {
        return None;
    }
    str::from_utf8(host).ok()?.parse().ok()
}

fn port(text: &[u8], protocol: Option<Protocol>, names: &mut dyn Names) -> Option<u16> {
    match within(text, 0, u16::MAX.into()) {
        Some(port) => u16::try_from(port).ok(),
        None => names.port(str::from_utf8(text).ok().filter(|name| !name.is_empty())?, protocol?),
    }
}
