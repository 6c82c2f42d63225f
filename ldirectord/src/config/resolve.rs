//! Names to addresses and ports (spec chapter 4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lvs::ipvs::{Destination, Family, Forward, Protocol, ServiceKey};

use super::address::{FallbackLine, RealLine, VirtualAddress, no_fallback};
use super::model::Fallback;
use super::span::{At, Findings, Span};
use super::surroundings::Surroundings;
use super::written::{ProtocolName, Section};

/// The servers one `real` line stands for.
pub struct Servers<'w, 'a> {
    /// The line.
    pub line: &'w At<'a, RealLine<'a>>,
    /// Their addresses, ascending.
    pub addresses: Vec<IpAddr>,
    /// As written; 0 if it was not.
    pub port: u16,
}

/// More servers than this behind one line are a slip: `10.0.0.1->11.0.0.1`.
const LARGEST_RANGE: u32 = 65_536;

/// A literal address, or a name that is looked up.
pub fn host(text: &str, family: Family, surroundings: &dyn Surroundings) -> Option<IpAddr> {
    let literal = match family {
        Family::Inet => text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
        Family::Inet6 => text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
    };
    // 10.0.0.256 and 5060 are slips, although resolvers take the latter for 0.0.19.196.
    let address = text.contains(':') || text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    literal.or_else(|| if address { None } else { surroundings.host(text, family) })
}

/// A number from 0 to 65535, or the name of a service.
fn port(text: &str, protocol: Option<Protocol>, surroundings: &dyn Surroundings) -> Option<u16> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { surroundings.port(text, protocol) }
}

/// What identifies the section's service; a mistake is reported at the `virtual` line.
pub fn service_key(
    section: &Section<'_>,
    surroundings: &dyn Surroundings,
    findings: &mut Findings,
) -> Option<ServiceKey> {
    let (host_text, port_text) = match section.address.as_ref()? {
        VirtualAddress::Mark(mark) => return Some(ServiceKey::Mark { family: section.family, mark: *mark }),
        VirtualAddress::Address { host, port } => (*host, *port),
    };
    let protocol = match section.protocol.as_ref().map(|p| p.value) {
        Some(ProtocolName::Udp) => Protocol::Udp,
        Some(ProtocolName::Tcp | ProtocolName::Fwm) => Protocol::Tcp,
        None if matches!(port_text.text(), "53" | "domain") => Protocol::Udp,
        None => Protocol::Tcp,
    };
    const MESSAGE: &str = "invalid address for virtual service";
    let Some(address) = host(host_text.text(), section.family, surroundings) else {
        findings.error_with_help(host_text, MESSAGE, unknown_host(host_text, section.family));
        return None;
    };
    let Some(port) = port(port_text.text(), Some(protocol), surroundings) else {
        findings.error_with_help(port_text, MESSAGE, unknown_port(port_text, Some(protocol)));
        return None;
    };
    Some(ServiceKey::Address { protocol, at: SocketAddr::new(address, port) })
}

fn unknown_host(host: Span<'_>, family: Family) -> String {
    let version = if family == Family::Inet { "IPv4" } else { "IPv6" };
    format!("\"{}\" is not an {version} address, nor a name that has one here", host.text())
}

fn unknown_port(port: Span<'_>, protocol: Option<Protocol>) -> String {
    let service = protocol.map_or_else(|| "service".to_owned(), |protocol| format!("{protocol} service"));
    format!("ports are 0 to 65535, or the name of a {service} in /etc/services; \"{}\" is neither", port.text())
}

/// The servers of a `real` line; a mistake is reported at that line.
pub fn servers<'w, 'a>(
    line: &'w At<'a, RealLine<'a>>,
    family: Family,
    surroundings: &dyn Surroundings,
    findings: &mut Findings,
) -> Option<Servers<'w, 'a>> {
    let RealLine { host: first, last, port: port_text, .. } = line.value;
    let Some(from) = host(first.text(), family, surroundings) else {
        let message = format!("invalid address ({}) for real server (could not resolve host)", first.text());
        findings.error_with_help(first, message, unknown_host(first, family));
        return None;
    };
    let addresses = match last {
        None => vec![from],
        Some(last) => range(first, from, last, family, surroundings, findings)?,
    };
    let port = match port_text {
        None => 0,
        Some(text) => {
            let found = port(text.text(), None, surroundings);
            if found.is_none() {
                let message = format!("invalid port ({}) for real server (could not resolve port)", text.text());
                findings.error_with_help(text, message, unknown_port(text, None));
            }
            found?
        }
    };
    Some(Servers { line, addresses, port })
}

/// One address after the other, compared as numbers (B26).
fn range(
    first: Span<'_>,
    from: IpAddr,
    last: Span<'_>,
    family: Family,
    surroundings: &dyn Surroundings,
    findings: &mut Findings,
) -> Option<Vec<IpAddr>> {
    if family == Family::Inet6 {
        findings.error(last, "Address range for IPv6 is not supported yet");
        return None;
    }
    let (IpAddr::V4(from), Some(IpAddr::V4(to))) = (from, host(last.text(), family, surroundings)) else {
        let message = format!("invalid address ({}) for real server (could not resolve end host)", last.text());
        findings.error_with_help(last, message, unknown_host(last, family));
        return None;
    };
    let (low, high) = (u32::from(from), u32::from(to));
    if low > high {
        let message =
            format!("Invalid Range: {from}-{to}: First value must be greater than or equal to the second value");
        findings.error_with_help(first, message, "the lower address comes first");
        return None;
    }
    if high - low >= LARGEST_RANGE {
        let message = format!("Invalid Range: {}-{}: too many servers", first.text(), last.text());
        findings.error_with_help(last, message, format!("a range has at most {LARGEST_RANGE}"));
        return None;
    }
    Some((low..=high).map(|address| Ipv4Addr::from(address).into()).collect())
}

/// A fallback whose name has been looked up.
#[derive(Debug, Clone, Copy)]
pub struct FallbackServer {
    address: IpAddr,
    port: Option<u16>,
    forward: Forward,
}

/// Looks up a fallback; a mistake is reported at its line.
pub fn fallback_server(
    line: &At<'_, FallbackLine<'_>>,
    family: Family,
    surroundings: &dyn Surroundings,
    findings: &mut Findings,
) -> Option<FallbackServer> {
    let FallbackLine { host: host_text, port: port_text, forward } = line.value;
    let Some(address) = host(host_text.text(), family, surroundings) else {
        let help = unknown_host(host_text, family);
        findings.error_with_help(host_text, no_fallback(family, host_text.text()), help);
        return None;
    };
    let port = match port_text {
        None => None,
        Some(text) => {
            let found = port(text.text(), None, surroundings);
            if found.is_none() {
                findings.error_with_help(text, "invalid port for fallback server", unknown_port(text, None));
            }
            Some(found?)
        }
    };
    Some(FallbackServer { address, port, forward })
}

impl FallbackServer {
    /// As it serves one virtual; a mark has port 0 (B18).
    pub fn for_service(self, key: &ServiceKey) -> Fallback {
        let configured_port = self.port.unwrap_or_else(|| key.port().unwrap_or(0));
        Fallback {
            at: SocketAddr::new(self.address, mapped_port(key, self.forward, configured_port)),
            configured_port,
            destination: Destination::new(self.forward, 1),
        }
    }
}

/// The port in the kernel's table: only masquerading translates ports (spec chapter 6).
pub fn mapped_port(key: &ServiceKey, forward: Forward, configured: u16) -> u16 {
    match (key, forward) {
        (ServiceKey::Address { at, .. }, Forward::Gate | Forward::Tunnel(_)) => at.port(),
        _ => configured,
    }
}
